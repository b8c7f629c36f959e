"""Allergies and absences: known, asked and none, or not asked. Never two of these at once."""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from releve.domain.events import Payload
from releve.domain.values import Concept


class Reaction(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How the allergy showed itself."""

    manifestations: tuple[Concept, ...] = ()
    substance: Concept | None = None
    severity: str | None = None
    onset: str | None = None
    description: str | None = None


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
    """"None known", asked on a day, for a slot or a part of it (``food``, ``drug``)."""

    topic: ClassVar[str] = "patient.absence-asserted"

    slot: Literal["allergies", "medications", "problems", "procedures", "devices"]
    part: str | None = None
    asked_on: str | None = None
    concept: Concept | None = None
    clinical_status: str | None = None
    verification: str | None = None
