"""The plain medicine of the demo: common problems, their treatments, what is measured.

Not reviewed by a clinician. Labels are our own; codes are CIM-10, ATC and LOINC.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Drug:
    """One treatment line."""

    name: str
    atc: str
    dose: str


@dataclass(frozen=True)
class Problem:
    """One problem with who may have it, what treats it and how a visit for it reads."""

    label: str
    cim10: str
    ages: tuple[int, int]
    weight: int
    drugs: tuple[Drug, ...] = ()
    chronic: bool = True
    sex: str | None = None
    plaint: str = ""
    exam: str = ""
    plan: str = ""
    follow_up: tuple[str, str, int] | None = None
    """(kind, text, days) of the open item that a visit may leave."""


PROBLEMS = (
    Problem("Hypertension artérielle essentielle", "I10", (45, 99), 30,
            (Drug("Périndopril", "C09AA04", "5 mg le matin"), Drug("Amlodipine", "C08CA01", "5 mg le matin")),
            plaint="contrôle tensionnel, pas de céphalées", exam="bruits du cœur réguliers, pas d'œdème",
            plan="traitement inchangé, automesure trois jours",
            follow_up=("review", "Relire l'automesure tensionnelle", 12)),
    Problem("Diabète de type 2", "E11", (48, 95), 16,
            (Drug("Metformine", "A10BA02", "1 g matin et soir"),),
            plaint="suivi du diabète, pas d'hypoglycémie", exam="pieds sans plaie, monofilament perçu",
            plan="HbA1c et créatinine à prélever", follow_up=("result", "Lire l'HbA1c prélevée", 9)),
    Problem("Hypercholestérolémie", "E78.0", (45, 85), 12, (Drug("Atorvastatine", "C10AA05", "20 mg le soir"),),
            plaint="renouvellement, pas de myalgie", exam="examen sans particularité", plan="bilan lipidique annuel",
            follow_up=("monitoring", "Bilan lipidique à prélever", 24)),
    Problem("Hypothyroïdie", "E03.9", (25, 90), 8, (Drug("Lévothyroxine", "H03AA01", "75 µg le matin à jeun"),),
            plaint="fatigue modérée", exam="pas de goitre palpable", plan="TSH à contrôler",
            follow_up=("result", "Lire la TSH prélevée", 8)),
    Problem("Asthme", "J45.9", (6, 60), 9, (Drug("Salbutamol", "R03AC02", "1 à 2 bouffées si gêne"),),
            plaint="gêne à l'effort, réveils rares", exam="quelques sibilants", plan="technique d'inhalation revue",
            follow_up=("monitoring", "Débit expiratoire à refaire", 15)),
    Problem("Bronchopneumopathie chronique obstructive", "J44.9", (50, 88), 6,
            (Drug("Tiotropium", "R03BB04", "18 µg le matin"),),
            plaint="dyspnée stable aux côtes", exam="murmure diminué, pas de foyer", plan="sevrage tabagique repris",
            follow_up=("call", "Appeler pour le sevrage tabagique", 10)),
    Problem("Lombalgie chronique", "M54.5", (30, 80), 10, (Drug("Paracétamol", "N02BE01", "1 g si besoin, 3 par jour"),),
            plaint="douleur lombaire basse sans irradiation", exam="Lasègue négatif, force conservée",
            plan="kinésithérapie, reprise de la marche"),
    Problem("Gonarthrose", "M17.9", (55, 95), 10, (Drug("Paracétamol", "N02BE01", "1 g si besoin, 3 par jour"),),
            plaint="gonalgie à la descente", exam="genou sec, mobilité limitée", plan="infiltration discutée"),
    Problem("Reflux gastro-œsophagien", "K21.9", (30, 85), 7, (Drug("Oméprazole", "A02BC01", "20 mg le soir"),),
            plaint="pyrosis après les repas", exam="abdomen souple", plan="réévaluer la durée du traitement"),
    Problem("Fibrillation atriale", "I48.9", (65, 96), 5,
            (Drug("Apixaban", "B01AF02", "5 mg matin et soir"), Drug("Bisoprolol", "C07AB07", "2,5 mg le matin")),
            plaint="pas de palpitation", exam="pouls irrégulier, fréquence contrôlée",
            plan="créatinine et numération avant renouvellement",
            follow_up=("result", "Lire créatinine et numération", 7)),
    Problem("Migraine sans aura", "G43.0", (16, 55), 5, (Drug("Ibuprofène", "M01AE01", "400 mg à la crise"),), sex="female",
            plaint="deux crises dans le mois", exam="examen neurologique normal", plan="agenda des crises"),
    Problem("Ostéoporose", "M81.9", (62, 95), 4, (Drug("Acide alendronique", "M05BA04", "70 mg une fois par semaine"),), sex="female",
            plaint="pas de chute depuis la dernière visite", exam="taille stable", plan="vitamine D, prévention des chutes"),
    Problem("Hypertrophie bénigne de la prostate", "N40", (58, 95), 6, (Drug("Tamsulosine", "G04CA02", "0,4 mg le soir"),), sex="male",
            plaint="deux levers par nuit", exam="pas de globe", plan="débitmétrie si gêne croissante"),
    Problem("Rhinopharyngite aiguë", "J00", (0, 45), 12, (), False,
            plaint="rhinorrhée depuis trois jours", exam="tympans normaux, auscultation claire",
            plan="lavage de nez, revoir si fièvre au-delà de trois jours"),
    Problem("Otite moyenne aiguë", "H66.9", (0, 12), 6, (Drug("Amoxicilline", "J01CA04", "80 mg/kg par jour, cinq jours"),), False,
            plaint="otalgie et fièvre", exam="tympan droit bombé", plan="antalgiques, contrôle si persistance",
            follow_up=("call", "Appeler la famille : évolution de l'otite", 3)),
    Problem("Cystite aiguë", "N30.0", (18, 80), 6, (Drug("Fosfomycine", "J01XX01", "3 g en une prise"),), False, "female",
            plaint="brûlures mictionnelles", exam="pas de fièvre, fosses lombaires libres", plan="boissons, revoir si fièvre"),
    Problem("Plaie suturée", "T14.1", (5, 80), 4, (), False,
            plaint="coupure de la main au jardin", exam="pas d'atteinte tendineuse", plan="pansement un jour sur deux",
            follow_up=("admin", "Retrait des fils", 9)),
    Problem("Eczéma", "L20.9", (1, 60), 5, (Drug("Désonide crème", "D07AB08", "une application le soir"),),
            plaint="prurit des plis", exam="placards secs", plan="émollients"),
)  # fmt: skip

VITALS = (
    ("8480-6", "Pression artérielle systolique", "mm[Hg]", (112, 158)),
    ("8867-4", "Fréquence cardiaque", "/min", (58, 96)),
    ("29463-7", "Poids", "kg", (48, 104)),
)
"""(LOINC, label, UCUM, range of the plain values)."""

ALLERGENS = (
    ("Pénicilline", "J01CE", "urticaire"),
    ("Aspirine", "N02BA01", "œdème des lèvres"),
    ("Iode de contraste", "V08", "malaise"),
    ("Arachide", None, "urticaire"),
    ("Venin de guêpe", None, "réaction locale étendue"),
    ("Sulfamides", "J01E", "éruption"),
)

CIM10 = "http://hl7.org/fhir/sid/icd-10"
ATC = "http://www.whocc.no/atc"
LOINC = "http://loinc.org"
