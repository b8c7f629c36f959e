"""French labels of coded values, as a doctor says them."""

from __future__ import annotations

from collections.abc import Mapping

SEVERITY: Mapping[str, str] = {
    "unstable": "instable",
    "watcher": "à surveiller",
    "stable": "stable",
}
SEX: Mapping[str, str] = {
    "male": "homme", "female": "femme", "other": "autre", "unknown": "inconnu",
}  # fmt: skip
CHILD: Mapping[str, str] = {**SEX, "male": "garçon", "female": "fille"}
"""What a child under fifteen is called."""
BORN: Mapping[str, str] = {"male": "né", "female": "née"}
"""How one says born of whom the sex is known; else ``né(e)``."""
ROLE: Mapping[str, str] = {
    "doctor": "médecin", "referent": "référent médical", "intern": "interne",
    "nurse": "soins infirmiers", "coordinator": "coordination", "secretary": "secrétariat",
    "auditor": "auditeur", "dpo": "délégué à la protection des données",
    "administrator": "administration", "ehr": "logiciel", "system": "système",
}  # fmt: skip
OWNER_ROLE: Mapping[str, str] = {
    "medecin_en_poste": "médecin en poste",
    "referent": "référent médical",
    "coordinator": "coordination",
}
ITEM_KIND: Mapping[str, str] = {
    "result": "résultat attendu", "call": "appel", "review": "à revoir",
    "referral": "avis spécialisé", "renewal": "renouvellement", "monitoring": "surveillance",
    "admin": "administratif", "other": "autre",
}  # fmt: skip
MODE: Mapping[str, str] = {
    "cabinet": "au centre", "visite": "en visite", "ehpad": "en EHPAD",
    "tele": "en téléconsultation", "telephone": "au téléphone",
}  # fmt: skip
OUTCOME: Mapping[str, str] = {
    "done": "fait", "not-needed": "plus nécessaire", "transferred": "transmis",
}  # fmt: skip
READ_BACK: Mapping[str, str] = {
    "restatement": "Restitution", "question": "Question", "takes": "Reprise",
    "continuation": "Poursuite par le même médecin",
}  # fmt: skip
CLINICAL_STATUS: Mapping[str, str] = {
    "active": "actif", "recurrence": "récidive", "relapse": "rechute", "inactive": "inactif",
    "remission": "en rémission", "resolved": "résolu",
}  # fmt: skip
VERIFICATION: Mapping[str, str] = {
    "unconfirmed": "non confirmé", "provisional": "provisoire", "differential": "différentiel",
    "confirmed": "confirmé", "refuted": "réfuté", "presumed": "présumé",
    "entered-in-error": "saisi par erreur",
}  # fmt: skip
ALLERGY_STATUS: Mapping[str, str] = {
    "active": "active", "inactive": "inactive", "resolved": "résolue", "recurrence": "récidive",
    "relapse": "rechute", "remission": "en rémission",
}  # fmt: skip
ALLERGY_VERIFICATION: Mapping[str, str] = {
    "unconfirmed": "non confirmée", "provisional": "provisoire", "differential": "différentielle",
    "confirmed": "confirmée", "refuted": "réfutée", "presumed": "présumée",
    "entered-in-error": "saisie par erreur",
}  # fmt: skip
MEDICATION_STATUS: Mapping[str, str] = {
    "active": "en cours", "completed": "terminé", "entered-in-error": "saisi par erreur",
    "intended": "prévu", "stopped": "arrêté", "on-hold": "suspendu", "unknown": "statut inconnu",
    "not-taken": "non pris", "cancelled": "annulé", "draft": "projet",
    "in-progress": "en cours", "not-done": "non fait", "preparation": "en préparation",
    "declined": "refusé",
}  # fmt: skip
CRITICALITY: Mapping[str, str] = {"high": "risque élevé", "low": "risque faible"}
CHANNEL: Mapping[str, str] = {
    "ui": "saisi", "fhir": "import FHIR", "cda": "import CDA", "hprim": "import HPRIM",
    "pdf": "import PDF", "paste": "collé", "phone": "téléphone", "offline": "hors ligne",
    "system": "système", "demo": "démonstration",
}  # fmt: skip
ABSENCE: Mapping[str, str] = {
    "allergies": "Aucune allergie connue",
    "medications": "Aucun traitement connu",
    "problems": "Aucun problème connu",
    "procedures": "Aucune intervention connue",
    "devices": "Aucun dispositif connu",
}
RESULT_STATUS: Mapping[str, str] = {
    "partial": "partiel", "final": "définitif", "corrected": "corrigé", "phoned": "téléphoné",
}  # fmt: skip
RESULT_STATE: Mapping[str, str] = {
    "expected": "résultat attendu", "expected-late": "résultat attendu, en retard",
    "partial": "partiel", "to-review": "à lire", "to-inform": "patient à prévenir",
    "done": "lu, patient prévenu", "cancelled": "annulé",
}  # fmt: skip
VERDICT: Mapping[str, str] = {
    "normal": "normal", "known": "déjà connu", "abnormal": "anormal", "critical": "critique",
}  # fmt: skip
INVESTIGATION: Mapping[str, str] = {
    "laboratory": "biologie", "imaging": "imagerie", "functional": "exploration fonctionnelle",
    "other": "examen",
}  # fmt: skip
CONTACT: Mapping[str, str] = {
    "phone": "par téléphone", "sms": "par SMS", "letter": "par courrier",
    "in-person": "de vive voix", "message": "par message",
}  # fmt: skip
REACHED: Mapping[str, str] = {
    "no-answer": "sans réponse", "message-left": "message laissé", "reached": "joint",
    "wrong-number": "mauvais numéro",
}  # fmt: skip
STANCE: Mapping[str, str] = {
    "agrees": "d'accord", "challenges": "remet en question", "adds": "ajoute",
}  # fmt: skip
INS_STATUS: Mapping[str, str] = {
    "provisoire": "provisoire", "recuperee": "récupérée", "validee": "validée",
    "qualifiee": "qualifiée",
}  # fmt: skip
ALD_STATUS: Mapping[str, str] = {
    "granted": "accordée", "renewed": "renouvelée", "ended": "terminée",
}  # fmt: skip
VALIDATION: Mapping[str, str] = {
    "to-validate": "à valider", "accepted": "acceptée", "refused": "refusée",
}  # fmt: skip
PROCEDURE_STATUS: Mapping[str, str] = {
    "preparation": "prévu", "in-progress": "en cours", "not-done": "non fait",
    "on-hold": "suspendu", "stopped": "interrompu", "entered-in-error": "saisi par erreur",
    "unknown": "statut inconnu",
}  # fmt: skip
DEVICE_STATUS: Mapping[str, str] = {
    "inactive": "retiré", "completed": "retiré", "entered-in-error": "saisi par erreur",
    "intended": "prévu", "stopped": "retiré", "on-hold": "suspendu", "unknown": "statut inconnu",
}  # fmt: skip
PART: Mapping[str, str] = {
    "food": "alimentaire",
    "drug": "médicamenteuse",
    "medication": "médicamenteuse",
    "environment": "environnementale",
}
HISTORY: Mapping[str, str] = {
    "family-history": "Antécédent familial", "lifestyle": "Mode de vie",
    "occupation": "Facteur professionnel", "functional-status": "Autonomie",
    "adverse-reactions": "Effet indésirable",
}  # fmt: skip
INTERPRETATION: Mapping[str, str] = {
    "H": "haut", "HH": "très haut", "HU": "très haut", "L": "bas", "LL": "très bas",
    "LU": "très bas", "A": "anormal", "AA": "très anormal", "POS": "positif", "NEG": "négatif",
    "N": "",
}  # fmt: skip
"""HL7 v3 ObservationInterpretation codes in a French reader's words."""
UNIT: Mapping[str, str] = {
    "mm[Hg]": "mmHg", "Cel": "°C", "umol/L": "µmol/L", "{INR}": "", "{score}": "", "1": "",
    "{beats}/min": "/min", "{breaths}/min": "/min", "kg/m2": "kg/m²",
    "mL/min/{1.73_m2}": "mL/min/1,73 m²", "{Pack}.a": "paquets-années", "{tablet}": "comprimé(s)",
}  # fmt: skip
"""UCUM codes as a French reader writes them."""
