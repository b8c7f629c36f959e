"""Treatments: what is taken, since when, why, and what it was stopped for."""

from __future__ import annotations

from typing import ClassVar, Literal

from releve.domain.events import Payload
from releve.domain.values import Concept, Quantity


class MedicationStarted(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """A treatment line as its source gives it; ``status`` is the FHIR code of its resource."""

    topic: ClassVar[str] = "patient.medication-started"

    concept: Concept
    statement: Literal[
        "MedicationStatement", "MedicationRequest", "MedicationAdministration", "MedicationDispense"
    ] = "MedicationStatement"
    status: str = "active"
    status_reason: str | None = None
    intent: str | None = None
    start: str | None = None
    end: str | None = None
    recorded: str | None = None
    dose_text: str | None = None
    dose: Quantity | None = None
    route: Concept | None = None
    frequency: str | None = None
    indication: str | None = None
