"""The other slots of the summary: vaccines, acts, devices, family, way of life."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import ClassVar, Literal

from releve.domain.aggregates.deciding import Context, Fact, refuse
from releve.domain.aggregates.patient.entries import from_source, in_order, optional_text, past_date
from releve.domain.aggregates.patient.identity import lived_date
from releve.domain.aggregates.patient.problems import read_concept, same_concept
from releve.domain.aggregates.patient.record import Fold, Patient, file_version
from releve.domain.commands import (
    RecordDevice,
    RecordHistory,
    RecordImmunization,
    RecordProcedure,
)
from releve.domain.errors import Invalid, Refused
from releve.domain.events import Event, Payload
from releve.domain.exact_numbers import with_point
from releve.domain.values import (
    Concept,
    HistorySlot,
    PartialDate,
    Quantity,
    measured,
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
    ImmunizationRecorded: file_version,
    ProcedureRecorded: file_version,
    DeviceRecorded: file_version,
    HistoryRecorded: file_version,
}

USED = frozenset({"active", "on-hold"})
"""FHIR statuses of devices that the patient carries or uses (device-statement-status)."""

NOT_DONE = frozenset({"not-done", "entered-in-error", "preparation", "stopped"})
"""FHIR statuses of acts that did not take place, or not to their end (event-status)."""


def current_procedures(patient: Patient) -> Iterator[Event]:
    """Standing acts that took place, or are taking place (event-status)."""
    return (
        event
        for event in patient.standing(patient.told(ProcedureRecorded))
        if isinstance(event.payload, ProcedureRecorded) and event.payload.status not in NOT_DONE
    )


def is_used(device: DeviceRecorded, day: date) -> bool:
    """True while the patient carries or uses it, on ``day`` of the centre."""
    if device.status not in USED:
        return False
    return device.until is None or _last_day(device.until) >= day


def current_devices(patient: Patient, day: date) -> Iterator[Event]:
    """Standing devices that are in use on ``day``."""
    return (
        event
        for event in patient.standing(patient.told(DeviceRecorded))
        if isinstance(event.payload, DeviceRecorded) and is_used(event.payload, day)
    )


def _last_day(written: str) -> date:
    """The last day that a source's date may mean; what is no date never ends anything."""
    try:
        return PartialDate(written[:10]).last_day
    except Invalid:
        return date.max


# Decisions


def record_immunization(
    patient: Patient, command: RecordImmunization, ctx: Context
) -> tuple[Fact, ...]:
    """Given, with its day where it is known, or not done, with the reason; not twice."""
    vaccine = read_concept(command.vaccine, "vaccine")
    reason = optional_text(command.reason, field="reason", limit=400)
    if command.status == "not-done":
        if reason is None:
            raise Invalid(
                "missing-field", field="reason", why="Un vaccin non fait l'est pour une raison."
            )
        if command.given_on is not None or command.lot is not None:
            raise Invalid(
                "invalid-field",
                field="given_on" if command.given_on is not None else "lot",
                why="Un vaccin non fait n'a ni date ni lot.",
            )
    elif command.given_on is not None:
        lived_date(patient, command.given_on, ctx, field="given_on")
    if command.dose_number is not None and not 1 <= command.dose_number <= 20:
        raise Invalid("invalid-field", field="dose_number", why="Un rang va de 1 à 20.")
    given = ImmunizationRecorded(
        vaccine=vaccine,
        status=command.status,
        given_on=command.given_on,
        lot=optional_text(command.lot, field="lot", limit=40),
        site=optional_text(command.site, field="site", limit=80),
        dose_number=command.dose_number,
        reason=reason,
    )
    for event in from_source(patient, patient.told(ImmunizationRecorded), ctx.source.system):
        known = event.payload
        if (
            isinstance(known, ImmunizationRecorded)
            and given.given_on is not None
            and (known.status, known.given_on) == (given.status, given.given_on)
            and same_concept(known.vaccine, given.vaccine)
        ):
            raise _known("vaccine")
    return (Fact(given),)


def record_procedure(patient: Patient, command: RecordProcedure, ctx: Context) -> tuple[Fact, ...]:
    """An act that took place, as precisely dated as is known; not twice on the same day."""
    if command.performed is not None:
        lived_date(patient, command.performed, ctx, field="performed")
    done = ProcedureRecorded(
        concept=read_concept(command.concept, "concept"),
        performed=command.performed,
        body_site=optional_text(command.body_site, field="body_site", limit=400),
        outcome=optional_text(command.outcome, field="outcome", limit=400),
    )
    for event in from_source(patient, current_procedures(patient), ctx.source.system):
        known = event.payload
        if (
            isinstance(known, ProcedureRecorded)
            and done.performed is not None
            and (known.performed, known.body_site) == (done.performed, done.body_site)
            and same_concept(known.concept, done.concept)
        ):
            raise _known("concept")
    return (Fact(done),)


def record_device(patient: Patient, command: RecordDevice, ctx: Context) -> tuple[Fact, ...]:
    """What the patient carries; one whose end is past is told as completed."""
    if command.since is not None:
        lived_date(patient, command.since, ctx, field="since")
    over = command.until is not None and (
        PartialDate(command.until, field="until").last_day < ctx.today
    )
    in_order(command.since, command.until, field="until")
    return (
        Fact(
            DeviceRecorded(
                concept=read_concept(command.concept, "concept"),
                status="completed" if over else "active",
                since=command.since,
                until=command.until,
                body_site=optional_text(command.body_site, field="body_site", limit=400),
                udi=optional_text(command.udi, field="udi", limit=200),
            )
        ),
    )


def record_history(patient: Patient, command: RecordHistory, ctx: Context) -> tuple[Fact, ...]:
    """One line of its slot; a family's history says whose, and no other line does."""
    relationship = optional_text(command.relationship, field="relationship", limit=80)
    if command.slot == "family-history" and relationship is None:
        raise Invalid(
            "missing-field", field="relationship", why="Un antécédent familial dit de qui il est."
        )
    if command.slot != "family-history" and relationship is not None:
        raise Invalid(
            "invalid-field", field="relationship", why="Seul un antécédent familial a un parent."
        )
    if command.value is not None:
        measured(command.value, field="value")
    if command.since is not None:
        past_date(command.since, ctx, field="since")
    if command.until is not None:
        past_date(command.until, ctx, field="until")
    in_order(command.since, command.until, field="until")
    return (
        Fact(
            HistoryRecorded(
                slot=command.slot,
                concept=read_concept(command.concept, "concept"),
                relationship=relationship,
                value=None if command.value is None else with_point(command.value),
                since=command.since,
                until=command.until,
            )
        ),
    )


def _known(field: str) -> Refused:
    return refuse(
        "already-recorded",
        "Cette ligne existe déjà.",
        "Le dossier porte la même, au même jour, de la même source.",
        "Rien à faire ; si elle est fausse, la marquer erronée.",
        field=field,
    )
