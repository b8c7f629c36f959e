"""Golden patients, each one trap: what a good briefing must not miss, hide or confuse.

Those whose danger belongs to later work (confidentiality, merging, moving an entry, the second
signature, emergency access, offline rounds, advance directives, objection) are here with what the
record can hold of them today; ``docs/roadmap.md`` names them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, time, timedelta

from releve.api.demo.acts import LABORATORY
from releve.api.demo.golden.story import (
    LATER,
    Golden,
    Step,
    allergy,
    drug,
    measure,
    none_known,
    problem,
    value,
)
from releve.api.demo.paper import letter, report
from releve.domain.commands import (
    AcceptItem,
    AnswerQuestion,
    AskQuestion,
    ChangeAldStatus,
    ChangeInsStatus,
    CloseItem,
    DeclineItem,
    LiftVigilancePoint,
    MarkEntryInError,
    NoticeAppointment,
    OfferItem,
    OpenItem,
    OrderInvestigation,
    ReceiveResult,
    RecordConsultation,
    RecordContactAttempt,
    RecordDeath,
    RecordImmunization,
    RecordObservation,
    RecordOpinion,
    ReinstateEntry,
    ReviewResult,
    ReviseAllergy,
    SetContingency,
    SetIllnessSeverity,
    SetVigilancePoint,
    SignNote,
    StopMedication,
)
from releve.domain.events import Source
from releve.domain.values import Concept, Owner, Threshold

ORDER, RESULT, ITEM = (
    "patient.investigation-ordered", "patient.result-received", "patient.item-opened",
)  # fmt: skip
PROBLEM, NOTE, ALLERGY = (
    "patient.problem-recorded", "patient.note-signed", "patient.allergy-recorded",
)  # fmt: skip
PSA = ("RES|PSA TOTAL|PSA|N|4.9|ng/ml|0|4.0|H|F",)
DIRECT = Source(channel="system", system=LABORATORY)


def traps(monday: date, name_at: Callable[[int], str]) -> tuple[Golden, ...]:
    """The scenes around ``monday``; ``name_at`` gives who is in post so many days from it."""

    def day(offset: int) -> str:
        return (monday + timedelta(days=offset)).isoformat()

    def at(offset: int, hour: str) -> str:
        return f"{day(offset)}T{hour}:00+01:00"

    return (
        # A potassium of 6.2 that came in on Friday at 19:10, when everybody had left.
        Golden("potassium", "Verdelhan", "Roger", "male", date(1951, 8, 9), (
            Step(-5, time(11, 0), RecordConsultation(
                reason="Suivi de l'insuffisance cardiaque",
                note=SignNote(one_liner="Insuffisance cardiaque sous ramipril augmenté mercredi, ionogramme demandé",
                              subjective="Moins essoufflé.", objective="Pas d'œdème.", assessment="Amélioration.",
                              plan="Ramipril 10 mg, ionogramme vendredi."),
                problems=(problem("Insuffisance cardiaque", "I50.9", "2022"), problem("Maladie rénale chronique, stade 3", "N18.3", "2020")),
                medications=(drug("Ramipril", "C09AA05", "10 mg le matin", day(-5), why="Insuffisance cardiaque"),
                             drug("Spironolactone", "C03DA01", "25 mg le midi", "2022", why="Insuffisance cardiaque")),
                absences=(none_known(day(-5)),),
                contingencies=(SetContingency(condition="Kaliémie > 5,5 mmol/L", action="Arrêter la spironolactone, ECG le jour même",
                                              threshold=Threshold(loinc="2823-3", comparator=">", value="5.5", unit="mmol/L"),
                                              who="médecin en poste", valid_until=day(9)),))),
            Step(-5, time(11, 10), OrderInvestigation(kind="laboratory", text="Ionogramme, créatinine", expected_by=day(-3),
                                                      why="Ramipril augmenté", criticality="urgent", harm_if_late=True), label="order"),
            Step(-3, time(19, 10), ReceiveResult(
                status="final", title="Ionogramme, créatinine", order=LATER, report="TV-K62", laboratory=LABORATORY,
                sampled_at=at(-3, "08:10"),
                lines=(value("Potassium", "2823-3", "6.2", "mmol/L", "HH"), value("Créatinine", "14682-9", "148", "umol/L", "H"))),
                by="laboratory", about={"order": ("order", ORDER, 0)}, source=DIRECT),
        )),
        # A blood count of which only the first half came: partial is not done.
        Golden("nfs", "Yzambart", "Solange", "female", date(1968, 5, 30), (
            Step(-6, time(9, 40), RecordConsultation(
                reason="Pâleur et essoufflement",
                note=SignNote(one_liner="Pâleur et essoufflement depuis un mois, bilan en cours",
                              subjective="S'arrête dans les côtes.", objective="Conjonctives pâles.",
                              assessment="Pâleur à explorer.", plan="Numération, ferritine ; orienter selon le résultat."),
                problems=(problem("Pâleur", "R23.1", day(-6)),), absences=(none_known(day(-6)),))),
            Step(-6, time(9, 50), OrderInvestigation(kind="laboratory", text="Numération, ferritine", expected_by=day(-3), why="Pâleur"), label="order"),
            Step(-4, time(18, 20), ReceiveResult(
                status="partial", title="Numération, ferritine", order=LATER, report="TV-NFS", laboratory=LABORATORY,
                sampled_at=at(-4, "07:50"), lines=(value("Hémoglobine", "718-7", "9.4", "g/dL", "L"),)),
                label="partial", by="laboratory", about={"order": ("order", ORDER, 0)}, source=DIRECT),
            Step(-3, time(9, 5), ReviewResult(result=LATER, verdict="abnormal", action="Attendre la ferritine, fer si basse"),
                 about={"result": ("partial", RESULT, 0)}),
            Step(-3, time(9, 20), RecordContactAttempt(channel="phone", outcome="message-left", about=LATER),
                 by="secretary", about={"about": ("partial", RESULT, 0)}),
        )),
        # A report that says another day of birth than the record: nobody may match it by name alone.
        Golden("orphelin", "Fontanille", "Bernard", "male", date(1947, 2, 18), (
            Step(-18, time(10, 0), RecordConsultation(
                reason="Contrôle annuel",
                note=SignNote(one_liner="Contrôle annuel, PSA prescrit en ville", subjective="Se sent bien.",
                              objective="Examen sans particularité.", plan="Attendre le compte rendu du laboratoire."),
                absences=(none_known(day(-18)),),
                items=(OpenItem(kind="admin", text="Compte rendu du laboratoire à recevoir", due=day(4), done_when="Compte rendu au dossier"),))),
            # His report says the 19th: the desk must not match it. Another one is of nobody here.
            Step(-3, time(17, 20), paper=lambda who: report(
                replace(who, born=who.born + timedelta(days=1), ins=""), PSA, monday - timedelta(days=4), "TV90412")),
            Step(-13, time(9, 30), paper=lambda who: report(
                replace(who, family="Malterre", given="Ernest", ins=""), PSA, monday - timedelta(days=14), "TV90377"), fate="rejected"),
            Step(-5, time(9, 0), paper=lambda who: letter(who, "Compte rendu d'urologie", "Toucher rectal normal, revoir si le PSA monte.",
                                                          monday - timedelta(days=6)), fate="matched"),
        )),
        # A note written on the wrong record: in error here, and one that was in error by mistake.
        Golden("mauvais-dossier", "Lavergnolle", "Josiane", "female", date(1949, 7, 23), (
            Step(-19, time(9, 15), RecordConsultation(
                reason="Renouvellement",
                note=SignNote(one_liner="Varices, bas de contention renouvelés", subjective="Jambes lourdes le soir.",
                              objective="Pas d'ulcère.", plan="Bas de classe deux."),
                problems=(problem("Insuffisance veineuse", "I83.9", "2009"),), absences=(none_known(day(-19)),))),
            Step(-19, time(9, 50), SignNote(one_liner="Toux fébrile, radiographie demandée", subjective="Tousse depuis quatre jours.",
                                            objective="Foyer de la base gauche.", plan="Radiographie ce jour."), label="other"),
            Step(-19, time(11, 30), MarkEntryInError(entry=LATER, reason="Écrite sur le mauvais dossier : voir le patient suivant de la liste"),
                 about={"entry": ("other", NOTE, 0)}),
            Step(-6, time(16, 30), RecordObservation(code=measure("29463-7", "Poids", "1", "kg").code, value=measure("29463-7", "Poids", "64.2", "kg").value), label="weight"),
            Step(-6, time(16, 40), MarkEntryInError(entry=LATER, reason="Poids d'une autre patiente"),
                 label="wrong", about={"entry": ("weight", "patient.observation-recorded", 0)}),
            Step(-6, time(16, 50), ReinstateEntry(entry=LATER, reason="C'était bien son poids, relu avec elle"),
                 about={"entry": ("weight", "patient.observation-recorded", 0)}),
        )),
        # Twins: one family name, one day of birth, one of them asthmatic.
        Golden("jumelle-a", "Trémolière", "Léonie", "female", date(2019, 3, 4), (
            Step(-10, time(16, 0), RecordConsultation(
                reason="Toux nocturne",
                note=SignNote(one_liner="Asthme de l'enfant, jumelle de Rosalie : vérifier le prénom", subjective="Tousse la nuit.",
                              objective="Sibilants.", plan="Salbutamol avec chambre."),
                problems=(problem("Asthme", "J45.9", "2023"),),
                medications=(drug("Salbutamol", "R03AC02", "deux bouffées si gêne", day(-10), why="Asthme"),),
                allergies=(allergy("Arachide", "urticaire", "high", "2021"),),
                observations=(measure("29463-7", "Poids", "24.1", "kg"), measure("8302-2", "Taille", "121", "cm")))),
        )),
        Golden("jumelle-b", "Trémolière", "Rosalie", "female", date(2019, 3, 4), (
            Step(-10, time(16, 15), RecordConsultation(
                reason="Vaccination",
                note=SignNote(one_liner="Enfant en bonne santé, jumelle de Léonie : vérifier le prénom", subjective="Rien à signaler.",
                              objective="Examen normal.", plan="Rappel fait."),
                absences=(none_known(day(-10)),),
                observations=(measure("29463-7", "Poids", "23.6", "kg"), measure("8302-2", "Taille", "120", "cm")))),
            Step(-10, time(16, 20), RecordImmunization(vaccine=Concept(text="DTCaPolio"), given_on=day(-10), lot="EX4410"), by="nurse"),
        )),
        # A minor who asked that nobody at home knows: nothing clinical is written before it can be hidden.
        Golden("secret", "Vaubourdolle", "Inès", "female", date(2010, 10, 12), (
            Step(-13, time(17, 0), RecordConsultation(
                reason="Consultation", note=SignNote(one_liner="À revoir seule, sur rendez-vous", plan="Ne pas laisser de message à la maison."),
                absences=(none_known(day(-13)),))),
        )),
        # Violence at home: the same restraint, until an entry can be restricted.
        Golden("violences", "Nadalou", "Aurore", "female", date(1988, 1, 27), (
            Step(-13, time(11, 45), RecordConsultation(
                reason="Consultation", note=SignNote(one_liner="Souhaite être rappelée au travail seulement", plan="Revoir vendredi, seule."),
                absences=(none_known(day(-13)),),
                items=(OpenItem(kind="review", text="La revoir seule, rendez-vous donné de vive voix", due=day(4), done_when="Vue seule"),))),
        )),
        # An anticoagulant and an anti-inflammatory, started by two doctors.
        Golden("avk-ains", "Ribeyrolles", "Guy", "male", date(1953, 4, 2), (
            Step(-41, time(10, 30), RecordConsultation(
                reason="Suivi",
                note=SignNote(one_liner="Phlébite récidivante sous warfarine au long cours", subjective="Aucun saignement.",
                              objective="Mollets souples.", plan="INR mensuel."),
                problems=(problem("Phlébites récidivantes", "I80.2", "2016"),),
                medications=(drug("Warfarine", "B01AA03", "4 mg le soir", "2016", why="Phlébites récidivantes"),),
                absences=(none_known(day(-41)),),
                observations=(measure("6301-6", "INR", "2.6", "{INR}"),))),
            Step(-5, time(17, 40), RecordConsultation(
                reason="Douleur d'épaule",
                note=SignNote(one_liner="Épaule douloureuse, ibuprofène cinq jours", subjective="Douleur la nuit.",
                              objective="Arc douloureux.", plan="Ibuprofène cinq jours."),
                problems=(problem("Tendinopathie de l'épaule", "M75.1", day(-5)),),
                medications=(drug("Ibuprofène", "M01AE01", "400 mg trois fois par jour", day(-5), why="Tendinopathie de l'épaule"),))),
            Step(-5, time(18, 20), SignNote(one_liner="Ibuprofène donné alors qu'il prend de la warfarine : vu après son départ", plan="Le rappeler, arrêt, INR.")),
            Step(-5, time(18, 25), OpenItem(kind="call", text="Rappeler : arrêter l'ibuprofène, contrôler l'INR", due=day(-3), harm_if_late=True, done_when="Joint, INR prélevé")),
        )),
        # An allergy to penicillin refuted by a test; the drug was given since, and well borne.
        Golden("penicilline", "Chastagnier", "Marinette", "female", date(1962, 12, 6), (
            Step(-34, time(9, 0), RecordConsultation(
                reason="Dossier repris",
                note=SignNote(one_liner="Allergie à la pénicilline dite dans l'enfance, à vérifier", subjective="Éruption à six ans.",
                              objective="Peau saine.", plan="Test de provocation demandé à l'hôpital."),
                allergies=(allergy("Pénicilline", "éruption", "low", "1969", atc="J01CE"),)), label="first"),
            Step(-13, time(14, 30), ReviseAllergy(allergy=LATER, verification="refuted", reason="Test de provocation négatif le mois dernier, compte rendu lu"),
                 about={"allergy": ("first", ALLERGY, 0)}),
            Step(-13, time(14, 40), RecordConsultation(
                reason="Angine",
                note=SignNote(one_liner="Angine traitée par amoxicilline, bien supportée", subjective="Mal à la gorge.", objective="Amygdales rouges, test positif.", plan="Six jours."),
                problems=(problem("Angine", "J03.9", day(-13)),),
                medications=(drug("Amoxicilline", "J01CA04", "1 g matin et soir, six jours", day(-13), why="Angine"),),
                absences=(none_known(day(-13)),))),
        )),
        # Died on Saturday; an appointment is still booked, and a result comes in on Sunday.
        Golden("decede", "Moulinjeune", "Fernand", "male", date(1936, 9, 14), (
            Step(-6, time(11, 15), RecordConsultation(
                mode="visite", reason="Altération de l'état général",
                note=SignNote(one_liner="Altération de l'état général, soins de confort avec sa fille", subjective="Ne mange plus.",
                              objective="Paisible, pas de douleur.", plan="Passage infirmier quotidien."),
                absences=(none_known(day(-6)),))),
            Step(-6, time(11, 30), OrderInvestigation(kind="laboratory", text="Ionogramme, créatinine", expected_by=day(-2), why="Déshydratation"), label="order"),
            Step(-5, time(9, 30), NoticeAppointment(starts_at=at(1, "15:00"), mode="visite", reference="agenda-decede"), by="secretary"),
            Step(-2, time(14, 5), RecordDeath(date=day(-2), source="Appel de la fille, certificat établi par le médecin du SMUR")),
            Step(-1, time(9, 10), ReceiveResult(
                status="final", title="Ionogramme, créatinine", order=LATER, report="TV-DC", laboratory=LABORATORY, sampled_at=at(-3, "08:00"),
                lines=(value("Potassium", "2823-3", "4.8", "mmol/L"), value("Créatinine", "14682-9", "176", "umol/L", "H"))),
                by="laboratory", about={"order": ("order", ORDER, 0)}, source=DIRECT),
        )),
        # Eight months and a half: the certificate of the ninth month is due.
        Golden("cs9", "Bassoulet", "Gabriel", "male", monday - timedelta(days=259), (
            Step(-17, time(9, 30), RecordConsultation(
                reason="Examen du huitième mois",
                note=SignNote(one_liner="Nourrisson de huit mois, examen du 9e mois et certificat à faire avant ses neuf mois", subjective="Tient assis, babille.",
                              objective="Examen normal, fontanelle souple.", plan="Examen obligatoire du 9e mois."),
                absences=(none_known(day(-17)),),
                observations=(measure("29463-7", "Poids", "8.6", "kg"), measure("8302-2", "Taille", "70", "cm"), measure("9843-4", "Périmètre crânien", "45.0", "cm")),
                items=(OpenItem(kind="admin", text="Certificat du 9e mois (CS9) à établir", due=day(3), done_when="Certificat remis"),))),
            Step(-17, time(9, 40), RecordImmunization(vaccine=Concept(text="Hexavalent (DTCaPolio, Hib, hépatite B)"), given_on=day(-120), lot="EX2207", dose_number=2)),
        )),
        # Lives in an EHPAD; her directives exist on paper until they can be events.
        Golden("directives", "Chabrillange", "Raymonde", "female", date(1931, 6, 1), (
            Step(-20, time(15, 0), RecordConsultation(
                mode="ehpad", site="EHPAD Les Tilleuls", reason="Visite mensuelle",
                note=SignNote(one_liner="Résidente, directives écrites en 2024 : copie dans le classeur de l'EHPAD", subjective="Calme.",
                              objective="Mange peu.", plan="Revoir avec la famille."),
                problems=(problem("Maladie d'Alzheimer", "G30.9", "2018"),), absences=(none_known(day(-20)),))),
            Step(-20, time(15, 10), SetVigilancePoint(text="Directives anticipées écrites : les lire avant toute hospitalisation")),
            Step(-20, time(15, 12), SetVigilancePoint(text="Risque de fausse route : eau gélifiée"), label="texture"),
            Step(-6, time(15, 30), LiftVigilancePoint(point=LATER, reason="Déglutition revue par l'orthophoniste, eau normale"),
                 about={"point": ("texture", "patient.vigilance-point-set", 0)}),
            Step(-20, time(15, 20), SignNote(plan="Copie des directives jointe.")),
        )),
        # The doctor of this week was here six weeks ago: what became of what she left.
        Golden("retour", "Desgranges", "Hélène", "female", date(1957, 10, 3), (
            Step(-41, time(14, 15), RecordConsultation(
                reason="Douleur thoracique d'effort",
                note=SignNote(one_liner="Douleur d'effort, épreuve demandée au cardiologue", subjective="Serrement en montant.", objective="Examen normal.",
                              assessment="Douleur d'effort à explorer.", plan="Épreuve d'effort, aspirine en attendant."),
                problems=(problem("Douleur thoracique d'effort", "R07.4", day(-41)),),
                medications=(drug("Acide acétylsalicylique", "B01AC06", "75 mg à midi", day(-41), why="Douleur thoracique d'effort"),),
                absences=(none_known(day(-41)),),
                items=(OpenItem(kind="referral", text="Épreuve d'effort : date et compte rendu", due=day(-14), done_when="Compte rendu lu"),)), label="first"),
            Step(-27, time(10, 0), OfferItem(item=LATER, to=Owner(role="referent"), message="Le cardiologue ne rappelle que toi"),
                 about={"item": ("first", ITEM, 0)}),
            Step(-26, time(9, 0), AcceptItem(item=LATER), by="referent", about={"item": ("first", ITEM, 0)}),
            Step(-17, time(11, 0), CloseItem(item=LATER, evidence="Épreuve négative, compte rendu au dossier"), by="referent", about={"item": ("first", ITEM, 0)}),
            Step(-17, time(11, 5), StopMedication(medication=LATER, reason="Épreuve négative"), by="referent",
                 about={"medication": ("first", "patient.medication-started", 0)}),
        )),
        # Accepted by a doctor who left two weeks ago without finishing; it lapsed to whoever is in post.
        Golden("parti", "Gourdonnet", "Aimé", "male", date(1960, 3, 19), (
            Step(-20, time(11, 30), RecordConsultation(
                reason="Nodule thyroïdien",
                note=SignNote(one_liner="Nodule thyroïdien de 22 mm, cytoponction à organiser", subjective="Aucune gêne.", objective="Nodule ferme à droite.",
                              plan="Échographie faite, cytoponction."),
                problems=(problem("Nodule thyroïdien", "E04.1", day(-20)),), absences=(none_known(day(-20)),),
                items=(OpenItem(kind="referral", text="Rendez-vous de cytoponction à obtenir", due=day(-8), harm_if_late=True, done_when="Date connue du patient"),)), label="first"),
            Step(-18, time(11, 45), OfferItem(item=LATER, to=Owner(role="referent"), message="Peux-tu le suivre ?"), about={"item": ("first", ITEM, 0)}),
            Step(-18, time(12, 5), DeclineItem(item=LATER, reason="En congé la semaine prochaine"), by="referent", about={"item": ("first", ITEM, 0)}),
            Step(-17, time(9, 40), OfferItem(item=LATER, to=Owner(person=LATER), to_name=name_at(-10), message="Pour ta semaine"),
                 about={"item": ("first", ITEM, 0)}, refers={"to.person": "in-post@-10"}),
            Step(-13, time(10, 20), AcceptItem(item=LATER), about={"item": ("first", ITEM, 0)}),
        )),
        # One person registered twice, to be joined one day.
        Golden("doublon-a", "Estradier", "Marie-Claire", "female", date(1959, 8, 30), (
            Step(-19, time(16, 10), RecordConsultation(
                reason="Renouvellement", note=SignNote(one_liner="Hypertension équilibrée ; un second dossier existe sans doute", subjective="RAS.", objective="TA correcte.", plan="Trois mois."),
                problems=(problem("Hypertension artérielle essentielle", "I10", "2014"),), absences=(none_known(day(-19)),))),
        )),
        Golden("doublon-b", "Estradier", "Marie", "female", date(1959, 8, 30), (
            Step(-5, time(9, 20), RecordConsultation(
                reason="Urticaire", note=SignNote(one_liner="Urticaire après un antibiotique : allergie notée ici seulement", subjective="Plaques.", objective="Pas de gêne.", plan="Arrêt."),
                allergies=(allergy("Sulfamides", "urticaire", "high", day(-6), atc="J01E"),))),
        )),
        # Two men of one name born on one day.
        Golden("homonyme-a", "Barrandon", "Michel", "male", date(1950, 11, 2), (
            Step(-13, time(9, 10), RecordConsultation(
                reason="Suivi", note=SignNote(one_liner="Diabète suivi ; homonyme né le même jour : vérifier la commune", subjective="RAS.", objective="Pieds sains.", plan="HbA1c."),
                problems=(problem("Diabète de type 2", "E11.9", "2011"),), absences=(none_known(day(-13)),))),
        )),
        Golden("homonyme-b", "Barrandon", "Michel", "male", date(1950, 11, 2), (
            Step(-13, time(9, 25), RecordConsultation(
                reason="Suivi", note=SignNote(one_liner="Allergique au produit de contraste iodé ; homonyme né le même jour : vérifier la commune", subjective="RAS.", objective="Normal.", plan="Un an."),
                allergies=(allergy("Produit de contraste iodé", "malaise", "high", "2008", atc="V08"),))),
        )),
        # A qualified identity that lost its status when a trait proved wrong.
        Golden("ins", "Pommerolle", "Denise", "female", date(1944, 5, 5), (
            Step(-10, time(10, 10), ChangeInsStatus(status="provisoire", reason="Prénom de naissance différent sur la carte présentée"), by="coordinator"),
            Step(-10, time(10, 30), RecordConsultation(
                reason="Vertiges", note=SignNote(one_liner="Vertiges au lever, identité à requalifier avant tout envoi", subjective="Depuis une semaine.", objective="Tension basse debout.", plan="Lever en deux temps."),
                problems=(problem("Hypotension orthostatique", "I95.1", day(-10)),), absences=(none_known(day(-10)),))),
        )),
        # A long-term condition that ends in eighty days.
        Golden("ald", "Vigneronnat", "Marguerite", "female", date(1952, 2, 20), (
            Step(-24, time(9, 30), RecordConsultation(
                reason="Suivi", note=SignNote(one_liner="Cancer du sein en rémission, ALD à renouveler avant février", subjective="Va bien.", objective="Examen normal.", plan="Mammographie annuelle."),
                problems=(problem("Cancer du sein en rémission", "C50.9", "2021", clinical_status="remission"),), absences=(none_known(day(-24)),),
                medications=(drug("Anastrozole", "L02BG03", "1 mg le matin", "2021", why="Cancer du sein en rémission"),),
                items=(OpenItem(kind="renewal", text="Demande de renouvellement d'ALD", due=day(60), owner=Owner(role="coordinator"), done_when="Accord reçu"),))),
            Step(-24, time(9, 40), ChangeAldStatus(status="granted", code="30", starts=(monday - timedelta(days=1746)).isoformat(), ends=day(80))),
        )),
        # Written on Friday of what was seen on Tuesday's round.
        Golden("hors-ligne", "Soulabaille", "Huguette", "female", date(1933, 12, 12), (
            Step(-24, time(15, 0), RecordConsultation(
                mode="ehpad", site="EHPAD du Val-Fleuri", reason="Visite mensuelle",
                note=SignNote(one_liner="Résidente, tension basse sous amlodipine", subjective="Somnole.", objective="Tension 98 debout.", plan="Surveiller."),
                problems=(problem("Hypertension artérielle essentielle", "I10", "2001"),),
                medications=(drug("Amlodipine", "C08CA01", "5 mg le matin", "2012", why="Hypertension artérielle essentielle"),), absences=(none_known(day(-24)),))),
            Step(-3, time(16, 0), RecordObservation(
                code=measure("8480-6", "Pression artérielle systolique", "1", "mm[Hg]").code,
                value=measure("8480-6", "Pression artérielle systolique", "102", "mm[Hg]").value, occurred_at=at(-6, "15:10"))),
        )),
        # What a trainee wrote waits for a second signature.
        Golden("cosignature", "Teyssandier", "Lucas", "male", date(2001, 7, 7), (
            Step(-13, time(14, 50), RecordConsultation(
                reason="Entorse", note=SignNote(one_liner="Entorse de cheville vue par l'interne, à relire", subjective="Chute au football.", objective="Œdème externe.", plan="Attelle dix jours."),
                problems=(problem("Entorse de cheville", "S93.4", day(-13)),), absences=(none_known(day(-13)),)), stint="stint-trainee"),
        )),
        # Objects to the shared national record; until that is an event, it is said at the desk.
        Golden("dmp", "Valadeix", "Armand", "male", date(1971, 9, 9), (
            Step(-17, time(16, 45), RecordConsultation(
                reason="Renouvellement", note=SignNote(one_liner="Ne veut rien dans Mon espace santé : le redemander à chaque envoi", plan="Renouvelé."),
                absences=(none_known(day(-17)),))),
        )),
        # Followed elsewhere; opened one night without a word, one day.
        Golden("bris-de-glace", "Servientis", "Albert", "male", date(1964, 6, 16), (
            Step(-18, time(9, 50), RecordConsultation(
                reason="Passage", note=SignNote(one_liner="De passage, suivi dans un autre centre", subjective="Ordonnance oubliée.", plan="Dépannage d'une semaine."),
                absences=(none_known(day(-18)),))),
        )),
        # A diagnosis that a second doctor challenges, and a question to the first.
        Golden("contestation", "Peyrissac", "Yvette", "female", date(1946, 1, 15), (
            Step(-13, time(15, 40), RecordConsultation(
                reason="Œdèmes des jambes",
                note=SignNote(one_liner="Œdèmes des jambes rapportés au cœur, diurétique commencé", subjective="Jambes enflées le soir.", objective="Godet aux chevilles.",
                              assessment="Insuffisance cardiaque probable.", plan="Furosémide 20 mg."),
                problems=(problem("Insuffisance cardiaque", "I50.9", day(-13), verification="provisional"),),
                medications=(drug("Furosémide", "C03CA01", "20 mg le matin", day(-13), why="Insuffisance cardiaque"),),
                absences=(none_known(day(-13)),)), label="first"),
            Step(-6, time(10, 15), RecordOpinion(about=LATER, stance="challenges", text="Plutôt veineux : pas d'orthopnée, jugulaires plates, varices des deux côtés. BNP avant de poursuivre."),
                 about={"about": ("first", PROBLEM, 0)}),
            Step(-6, time(10, 20), AskQuestion(to=LATER, to_name=name_at(-13), text="Y avait-il un essoufflement couché quand tu l'as vue ?", due=day(-4), about=LATER),
                 label="ask", about={"about": ("first", PROBLEM, 0)}, refers={"to": "in-post@-13"}),
            Step(-5, time(19, 30), AnswerQuestion(question=LATER, text="Non, seulement les jambes. J'avais été trop vite."), week=-1,
                 about={"question": ("ask", "patient.question-asked", 0)}),
            Step(-4, time(9, 45), AskQuestion(to=LATER, to_name=name_at(-20), text="L'échographie de 2025 est-elle chez toi ?", due=day(2)),
                 refers={"to": "in-post@-20"}),
            Step(-4, time(10, 0), OrderInvestigation(kind="laboratory", text="NT-proBNP", expected_by=day(2), why="Œdèmes"), label="order"),
            Step(-3, time(18, 10), ReceiveResult(status="final", title="NT-proBNP", order=LATER, report="TV-BNP", laboratory=LABORATORY, sampled_at=at(-3, "08:30"),
                                                  lines=(value("NT-proBNP", "33762-6", "96", "ng/L"),)), label="bnp", by="laboratory",
                 about={"order": ("order", ORDER, 0)}, source=DIRECT),
            Step(-3, time(18, 40), ReviewResult(result=LATER, verdict="normal", action="Pas d'insuffisance cardiaque : diurétique à arrêter lundi"), about={"result": ("bnp", RESULT, 0)}),
            Step(-3, time(19, 0), SetIllnessSeverity(severity="stable")),
        )),
    )  # fmt: skip
