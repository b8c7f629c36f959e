"""Allergies and absences: known, asked and none, or not asked. Never two of these at once."""

from __future__ import annotations

from typing import ClassVar

from releve.domain.events import Payload
from releve.domain.values import AbsenceSlot, Concept, Reaction


class AllergyRecorded(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """A substance the patient reacts to, with the status its source gives it (FHIR codes)."""

    topic: ClassVar[str] = "patient.allergy-recorded"

    substance: Concept
    clinical_status: str | None = None
    verification: str | None = None
    kind: str | None = None
    categories: tuple[str, ...] = ()
    criticality: str | None = None
    onset: str | None = None
    recorded: str | None = None
    reactions: tuple[Reaction, ...] = ()


class AbsenceAsserted(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """Asked, and none known: on which day, for a slot or a part of it (``food``, ``drug``)."""

    topic: ClassVar[str] = "patient.absence-asserted"

    slot: AbsenceSlot
    part: str | None = None
    asked_on: str | None = None
    concept: Concept | None = None
    clinical_status: str | None = None
    verification: str | None = None
