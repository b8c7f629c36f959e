"""Golden patients of the briefing's first page: one hand-written scene for each reason to be on it."""

from __future__ import annotations

from datetime import date, time, timedelta

from releve.api.demo.golden.story import (
    LATER,
    Golden,
    Step,
    allergy,
    drug,
    measure,
    none_known,
    problem,
)
from releve.api.demo.tables.laboratory import concept
from releve.domain.commands import (
    CloseItem,
    OpenItem,
    OrderInvestigation,
    RecordConsultation,
    SetContingency,
    SetIllnessSeverity,
    SignNote,
    WriteHandover,
)
from releve.domain.values import Threshold


def first_page(monday: date) -> tuple[Golden, ...]:
    """The golden patients of a centre whose present stint begins on ``monday``."""

    def day(offset: int) -> str:
        return (monday + timedelta(days=offset)).isoformat()

    return (
        # T0: unstable, heart failure decompensated on Friday; blood drawn this Monday.
        Golden("coeur", "Guilloteau", "Marcel", "male", date(1948, 3, 14), (
            Step(-45, time(10, 10), RecordConsultation(
                reason="Renouvellement",
                note=SignNote(one_liner="FA anticoagulée et insuffisance cardiaque, stable",
                              subjective="Marche 400 m sans gêne. Vit seul, sa fille passe le soir.",
                              objective="Pas d'œdème, auscultation claire.",
                              assessment="Équilibre obtenu.", plan="Traitement reconduit trois mois."),
                problems=(problem("Fibrillation atriale", "I48.9", "2019"),
                          problem("Insuffisance cardiaque", "I50.9", "2021-05")),
                medications=(drug("Apixaban", "B01AF02", "5 mg matin et soir", "2019-11", why="Fibrillation atriale"),
                             drug("Furosémide", "C03CA01", "40 mg le matin", "2021-05", why="Insuffisance cardiaque"),
                             drug("Bisoprolol", "C07AB07", "2,5 mg le matin", "2021-05", why="Insuffisance cardiaque")),
                allergies=(allergy("Pénicilline", "œdème de Quincke", "high", "1994", atc="J01CE"),),
                observations=(measure("29463-7", "Poids", "78.4", "kg"),),
                severity=SetIllnessSeverity(severity="stable"))),
            Step(-3, time(16, 40), RecordConsultation(
                mode="visite", reason="Œdèmes et essoufflement",
                note=SignNote(one_liner="Décompensation cardiaque : +3 kg en six jours, furosémide doublé vendredi",
                              subjective="Orthopnée depuis deux nuits. Écart de régime au repas de famille.",
                              objective="Œdèmes des chevilles, crépitants des bases, 94 % en air ambiant.",
                              assessment="Décompensation cardiaque gauche modérée, refuse l'hospitalisation.",
                              plan="Furosémide 80 mg ce soir puis chaque matin. Prise de sang lundi 8 h par l'infirmière."),
                observations=(measure("29463-7", "Poids", "81.5", "kg"),
                              measure("8480-6", "Pression artérielle systolique", "134", "mm[Hg]"),
                              measure("59408-5", "Saturation en oxygène", "94", "%")))),
            Step(-3, time(16, 55), OrderInvestigation(
                kind="laboratory", text="Lire créatinine et potassium prélevés lundi 8 h", expected_by=day(0),
                codes=(concept("Potassium", "2823-3"), concept("Créatinine", "14682-9")),
                why="Furosémide doublé", criticality="urgent", harm_if_late=True)),
            Step(-3, time(17, 45), WriteHandover(
                severity="unstable", severity_reason="Décompensation cardiaque, +3 kg en six jours", review_by=day(0),
                summary="FA anticoagulée, insuffisance cardiaque décompensée vendredi, furosémide doublé",
                actions=("Appeler lundi matin : poids, souffle, nuit", "Lire créatinine et potassium prélevés lundi 8 h"),
                situation="Refuse l'hôpital. Sa fille a les clés et dort sur place jusqu'à lundi.",
                new_items=(
                    OpenItem(kind="call", text="Appeler : poids, souffle, nuit", due=day(0), harm_if_late=True,
                             done_when="Poids du matin noté et décision prise"),
                ),
                new_contingencies=(
                    SetContingency(condition="Poids > 82 kg ou essoufflé au repos",
                                   action="le 15, puis prévenir la fille",
                                   threshold=Threshold(loinc="29463-7", comparator=">", value="82", unit="kg"),
                                   who="médecin en poste", valid_until=day(6)),
                ),
                read_back_requested=True)),
        )),
        # T0: unstable, COPD exacerbation kept at home.
        Golden("souffle", "Pestouric", "Lucien", "male", date(1954, 7, 2), (
            Step(-4, time(11, 20), RecordConsultation(
                mode="visite", reason="Toux et gêne respiratoire",
                note=SignNote(one_liner="BPCO stade 3, exacerbation traitée à domicile depuis jeudi",
                              subjective="Expectoration sale depuis mardi, dort assis.",
                              objective="90 % en air ambiant, 24 cycles par minute, sibilants diffus.",
                              assessment="Exacerbation de BPCO sans signe d'épuisement.",
                              plan="Prednisolone 40 mg cinq jours, amoxicilline-acide clavulanique, passage infirmier matin et soir."),
                problems=(problem("Bronchopneumopathie chronique obstructive, stade 3", "J44.1", "2015"),),
                medications=(drug("Prednisolone", "H02AB06", "40 mg le matin, cinq jours", day(-4), why="Exacerbation de BPCO"),
                             drug("Amoxicilline et acide clavulanique", "J01CR02", "1 g trois fois par jour, sept jours", day(-4), why="Exacerbation de BPCO"),
                             drug("Tiotropium", "R03BB04", "18 µg le matin", "2016", why="BPCO")),
                absences=(none_known(day(-4)),),
                observations=(measure("59408-5", "Saturation en oxygène", "90", "%"),
                              measure("9279-1", "Fréquence respiratoire", "24", "/min")))),
            Step(-3, time(17, 55), WriteHandover(
                severity="unstable", severity_reason="Exacerbation de BPCO, 90 % en air ambiant", review_by=day(0),
                summary="BPCO stade 3 en exacerbation, maintenu à domicile, infirmier matin et soir",
                actions=("Visite lundi avant midi", "Relever les saturations notées par l'infirmière"),
                situation="Épouse présente. Oxygène non installé. Accepterait l'hôpital si aggravation.",
                new_items=(OpenItem(kind="review", text="Visite avant midi", due=day(0),
                                    harm_if_late=True, done_when="Examen fait, suite décidée"),),
                new_contingencies=(
                    SetContingency(condition="Saturation < 88 % ou somnolence", action="le 15",
                                   threshold=Threshold(loinc="59408-5", comparator="<", value="88", unit="%"),
                                   who="infirmière", valid_until=day(6)),
                ),
                read_back_requested=True)),
        )),
        # T1: overdue, harm if late: biopsy not confirmed.
        Golden("sein", "Laspougeas", "Sylvie", "female", date(1965, 9, 21), (
            Step(-20, time(9, 50), RecordConsultation(
                reason="Retour de mammographie",
                note=SignNote(one_liner="Mammographie ACR 4 à droite, biopsie demandée",
                              subjective="Inquiète, pas d'antécédent familial.", objective="Pas de masse palpée, aires libres.",
                              assessment="Opacité ACR 4 du sein droit.", plan="Biopsie sous échographie au centre d'imagerie."),
                problems=(problem("Mammographie anormale", "R92", day(-22)),),
                absences=(none_known(day(-20)),),
                items=(OpenItem(kind="referral", text="Date de biopsie mammaire à confirmer auprès de l'imagerie",
                                due=day(-10), harm_if_late=True, done_when="Date donnée à la patiente"),))),
        )),
        # T1: overdue INR under warfarin with a mechanical valve.
        Golden("valve", "Roudergues", "Alain", "male", date(1957, 1, 30), (
            Step(-40, time(15, 15), RecordConsultation(
                reason="Suivi de l'anticoagulation",
                note=SignNote(one_liner="Prothèse mitrale mécanique sous warfarine, INR cible 2,5 à 3,5",
                              subjective="Aucun saignement.", objective="Bruits de valve nets.",
                              assessment="INR 2,9, dans la cible.", plan="INR mensuel."),
                problems=(problem("Prothèse valvulaire mitrale mécanique", "Z95.2", "2012"),),
                medications=(drug("Warfarine", "B01AA03", "5 mg le soir", "2012", why="Prothèse valvulaire mécanique"),),
                allergies=(allergy("Produit de contraste iodé", "urticaire", "low", "2012"),),
                observations=(measure("6301-6", "INR", "2.9", "{INR}"),))),
            Step(-40, time(15, 30), OrderInvestigation(
                kind="laboratory", text="INR mensuel à recevoir", expected_by=day(-6), codes=(concept("INR", "6301-6"),),
                why="Prothèse valvulaire mécanique sous warfarine", harm_if_late=True)),
        )),
        # T2: watcher, diabetic heel wound.
        Golden("talon", "Villechenoux", "Jeanne", "female", date(1943, 11, 8), (
            Step(-6, time(14, 30), RecordConsultation(
                mode="visite", reason="Plaie du talon",
                note=SignNote(one_liner="Plaie du talon gauche chez une diabétique, pansement un jour sur deux",
                              subjective="Peu douloureuse.", objective="Plaie de 2 cm, fond rouge, pas d'odeur, pouls perçus.",
                              assessment="Plaie du pied diabétique sans infection.", plan="Décharge, pansement, contrôle mercredi."),
                problems=(problem("Diabète de type 2", "E11", "2004"), problem("Plaie du pied", "S91.3", day(-9))),
                medications=(drug("Metformine", "A10BA02", "1 g matin et soir", "2004", why="Diabète de type 2"),),
                allergies=(allergy("Amoxicilline", "éruption", "low", "1998", atc="J01CA04"),),
                severity=SetIllnessSeverity(severity="watcher", reason="Plaie du pied diabétique", review_by=day(2)),
                items=(OpenItem(kind="review", text="Revoir la plaie avec l'infirmière mercredi", due=day(2),
                                harm_if_late=True, done_when="Plaie mesurée"),),
                contingencies=(SetContingency(condition="Rougeur de plus de 2 cm ou fièvre",
                                              action="pristinamycine, pas d'amoxicilline ; revoir le jour même",
                                              who="médecin en poste", valid_until=day(8)),))),
            Step(-3, time(18, 5), WriteHandover(
                severity="watcher", severity_reason="Plaie du pied diabétique", review_by=day(2),
                summary="Plaie du talon gauche, diabète ancien, pansement un jour sur deux",
                actions=("Revoir la plaie mercredi avec l'infirmière",), situation="Mari aidant, chaussure de décharge acceptée.")),
        )),
        # T2: watcher, late pregnancy.
        Golden("grossesse", "Courtadon", "Lucie", "female", date(1997, 4, 17), (
            Step(-5, time(10, 45), RecordConsultation(
                reason="Consultation du 7e mois",
                note=SignNote(one_liner="Grossesse de 31 semaines, tension limite à recontrôler",
                              subjective="Pas de céphalée, bébé bouge bien.", objective="Hauteur utérine 29 cm, pas d'œdème.",
                              assessment="Tension limite sans protéinurie.", plan="Tension et bandelette deux fois cette semaine."),
                problems=(problem("Surveillance d'une première grossesse normale", "Z34.0", "2026-04"),),
                absences=(none_known(day(-5)),),
                observations=(measure("8480-6", "Pression artérielle systolique", "138", "mm[Hg]"),
                              measure("8462-4", "Pression artérielle diastolique", "86", "mm[Hg]")),
                severity=SetIllnessSeverity(severity="watcher", reason="Tension limite à 31 semaines", review_by=day(2)),
                items=(OpenItem(kind="review", text="Tension et bandelette urinaire mardi", due=day(1), harm_if_late=True,
                                done_when="Deux mesures notées"),),
                contingencies=(
                    SetContingency(condition="Systolique à 140 ou plus, ou céphalées",
                                   action="Maternité de référence le jour même",
                                   threshold=Threshold(loinc="8480-6", comparator=">=", value="140", unit="mm[Hg]"),
                                   who="médecin en poste", valid_until=day(6)),
                    SetContingency(condition="Diastolique à 90 ou plus, ou céphalées",
                                   action="Maternité de référence le jour même",
                                   threshold=Threshold(loinc="8462-4", comparator=">=", value="90", unit="mm[Hg]"),
                                   who="médecin en poste", valid_until=day(6)),
                ))),
        )),
        # T3: due inside this stint.
        Golden("fils", "Jouvencel", "Nathan", "male", date(2009, 6, 3), (
            Step(-7 + 1, time(17, 20), RecordConsultation(
                reason="Plaie de l'avant-bras",
                note=SignNote(one_liner="Plaie suturée de l'avant-bras droit, cinq points",
                              subjective="Chute de vélo.", objective="Plaie de 4 cm, sensibilité et force conservées.",
                              assessment="Plaie simple suturée.", plan="Retrait des fils jeudi. Vaccination à jour."),
                problems=(problem("Plaie de l'avant-bras", "S51.8", day(-6)),),
                items=(OpenItem(kind="other", text="Retrait des fils jeudi", due=day(3), done_when="Fils retirés"),))),
        )),
        # T3: due this week, and an earlier item closed by another doctor than the one who opened it.
        Golden("thyroide", "Malaguise", "Colette", "female", date(1959, 2, 11), (
            Step(-45, time(11, 0), RecordConsultation(
                reason="Fatigue",
                note=SignNote(one_liner="Hypothyroïdie, lévothyroxine augmentée",
                              subjective="Fatigue et frilosité.", objective="Poids stable.",
                              assessment="TSH à 9,8 mUI/L.", plan="Lévothyroxine 88 µg, TSH dans six semaines."),
                problems=(problem("Hypothyroïdie", "E03.9", "2017"),),
                medications=(drug("Lévothyroxine", "H03AA01", "88 µg le matin à jeun", day(-45), why="Hypothyroïdie"),),
                absences=(none_known(day(-45)),),
                items=(OpenItem(kind="call", text="Appeler : tolérance de la nouvelle dose", due=day(-10),
                                done_when="Appel fait"),)), label="dose"),
            Step(-11, time(12, 10), CloseItem(item=LATER, outcome="done",
                                              evidence="Appelée : bonne tolérance, TSH à prélever six semaines après la hausse."),
                 about={"item": ("dose", "patient.item-opened", 0)}),
            Step(-11, time(12, 15), OrderInvestigation(
                kind="laboratory", text="Lire la TSH (six semaines)", expected_by=day(3), codes=(concept("TSH", "3016-3"),),
                why="Lévothyroxine augmentée")),
        )),
        # A stable patient with a renewal, for the rest of the list.
        Golden("stable", "Tournebize", "René", "male", date(1955, 12, 19), (
            Step(-17, time(9, 20), RecordConsultation(
                reason="Renouvellement",
                note=SignNote(one_liner="BPCO légère, sevrage tabagique à douze semaines",
                              subjective="N'a pas refumé.", objective="Auscultation claire.", assessment="Stable.",
                              plan="Renouvellement trois mois."),
                problems=(problem("Bronchopneumopathie chronique obstructive", "J44.9", "2020"),),
                medications=(drug("Tiotropium", "R03BB04", "18 µg le matin", "2020", why="BPCO"),),
                absences=(none_known(day(-17)),),
                severity=SetIllnessSeverity(severity="stable"))),
        )),
    )  # fmt: skip
