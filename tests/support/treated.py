"""A patient with a problem and a treatment, as the rules about both are told."""

from __future__ import annotations

from typing import Any

from releve.domain.aggregates.patient.corrections import EntryMarkedInError
from releve.domain.aggregates.patient.identity import Registered
from releve.domain.aggregates.patient.medications import MedicationStarted
from releve.domain.aggregates.patient.problems import ProblemRecorded
from releve.domain.values import Concept

IDENTITY = Registered(birth_name="EXEMPLE", birth_date="1948-03-02")
ASTHMA = Concept(text="Asthme")
RAMIPRIL = MedicationStarted(
    concept=Concept(text="Ramipril"), start="2024-01", dose_text="1 le matin", indication="HTA"
)
WRONG = EntryMarkedInError()


def active(concept: Concept = ASTHMA, **fields: Any) -> ProblemRecorded:
    """A problem that the patient has now."""
    return ProblemRecorded(
        concept=concept, clinical_status="active", verification="confirmed", **fields
    )
