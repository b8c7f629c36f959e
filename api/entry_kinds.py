"""What each topic is called in a list: its name in French and its family."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

KINDS: Final[Mapping[str, tuple[str, str]]] = {
    "patient.registered": ("Identité", "identity"),
    "patient.ins-status-changed": ("Identité INS", "identity"),
    "patient.contact-details-changed": ("Coordonnées", "identity"),
    "patient.medecin-traitant-declared": ("Médecin traitant", "identity"),
    "patient.medecin-traitant-ended": ("Médecin traitant", "identity"),
    "patient.death-recorded": ("Décès", "severity"),
    "patient.appointment-noticed": ("Rendez-vous", "identity"),
    "patient.encounter-recorded": ("Consultation", "note"),
    "patient.note-signed": ("Note", "note"),
    "patient.note-amended": ("Note amendée", "note"),
    "patient.observation-recorded": ("Mesure", "measure"),
    "patient.problem-recorded": ("Problème", "entry"),
    "patient.problem-revised": ("Problème révisé", "entry"),
    "patient.allergy-recorded": ("Allergie", "entry"),
    "patient.allergy-revised": ("Allergie révisée", "entry"),
    "patient.absence-asserted": ("Dit absent", "entry"),
    "patient.medication-started": ("Traitement", "entry"),
    "patient.medication-changed": ("Traitement changé", "entry"),
    "patient.medication-stopped": ("Traitement arrêté", "entry"),
    "patient.medication-reconciled": ("Traitements comparés", "entry"),
    "patient.immunization-recorded": ("Vaccin", "entry"),
    "patient.procedure-recorded": ("Acte", "entry"),
    "patient.device-recorded": ("Dispositif", "entry"),
    "patient.history-recorded": ("Contexte", "entry"),
    "patient.vigilance-point-set": ("Vigilance", "severity"),
    "patient.vigilance-point-lifted": ("Vigilance levée", "entry"),
    "patient.document-attached": ("Document", "entry"),
    "patient.investigation-ordered": ("Prescription", "item"),
    "patient.result-received": ("Résultat", "measure"),
    "patient.result-reviewed": ("Résultat lu", "measure"),
    "patient.contact-attempted": ("Appel", "item"),
    "patient.informed": ("Patient prévenu", "item"),
    "patient.item-opened": ("Point ouvert", "item"),
    "patient.item-revised": ("Point révisé", "item"),
    "patient.item-closed": ("Point clos", "item"),
    "patient.item-reopened": ("Point rouvert", "item"),
    "patient.item-offered": ("Point proposé", "item"),
    "patient.item-accepted": ("Point accepté", "item"),
    "patient.item-declined": ("Point décliné", "item"),
    "patient.contingency-set": ("Si… alors", "item"),
    "patient.contingency-activated": ("Seuil atteint", "severity"),
    "patient.contingency-withdrawn": ("Si… alors retiré", "item"),
    "patient.illness-severity-set": ("Gravité", "severity"),
    "patient.handover-written": ("Transmission", "handover"),
    "patient.handover-read-back": ("Restitution", "handover"),
    "patient.question-asked": ("Question", "handover"),
    "patient.question-answered": ("Réponse", "handover"),
    "patient.opinion-recorded": ("Second avis", "handover"),
    "patient.summary-reviewed": ("Synthèse relue", "identity"),
    "patient.ald-status-changed": ("ALD", "identity"),
    "patient.entry-validated": ("Ligne validée", "identity"),
    "patient.entry-marked-in-error": ("Correction", "identity"),
    "patient.entry-reinstated": ("Rétablissement", "identity"),
    "stint.planned": ("Séjour prévu", "identity"),
}
"""What each topic is called in a list, and the family that colours its edge."""


def kind_of(topic: str) -> tuple[str, str]:
    """The name and family of a topic."""
    return KINDS.get(topic, (topic, "entry"))
