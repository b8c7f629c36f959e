"""The other slots of the summary: vaccines, acts, devices, family, way of life."""

from __future__ import annotations

from typing import ClassVar, Literal

from releve.domain.aggregates.patient.record import Fold, file
from releve.domain.events import Payload
from releve.domain.values import (
    Concept,
    HistorySlot,
    Quantity,
)

# Events: the storage format. Never rename, retype or reuse a field; see domain/upcasting.py.


class ImmunizationRecorded(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """A vaccination was given, or not done and why."""

    topic: ClassVar[str] = "patient.immunization-recorded"

    vaccine: Concept
    status: Literal["completed", "not-done", "entered-in-error"] = "completed"
    given_on: str | None = None
    lot: str | None = None
    site: str | None = None
    dose_number: int | None = None
    reason: str | None = None


class ProcedureRecorded(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """Surgery or another act was done; ``status`` is the FHIR code of its source."""

    topic: ClassVar[str] = "patient.procedure-recorded"

    concept: Concept
    status: str = "completed"
    performed: str | None = None
    body_site: str | None = None
    outcome: str | None = None


class DeviceRecorded(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """The patient carries or uses a device."""

    topic: ClassVar[str] = "patient.device-recorded"

    concept: Concept
    status: str = "active"
    since: str | None = None
    until: str | None = None
    body_site: str | None = None
    udi: str | None = None


class HistoryRecorded(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """One line of family history, way of life, occupation, ability, or adverse reaction."""

    topic: ClassVar[str] = "patient.history-recorded"

    slot: HistorySlot
    concept: Concept
    relationship: str | None = None
    value: Quantity | None = None
    since: str | None = None
    until: str | None = None
    status: str | None = None


# State

FOLDS: dict[type[Payload], Fold] = {
    ImmunizationRecorded: file,
    ProcedureRecorded: file,
    DeviceRecorded: file,
    HistoryRecorded: file,
}
