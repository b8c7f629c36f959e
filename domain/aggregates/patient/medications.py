"""Treatments: what is taken, since when, why, and what it was stopped for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal
from uuid import UUID

import msgspec

from releve.domain.aggregates.deciding import Context, Fact, refuse
from releve.domain.aggregates.patient.entries import (
    about,
    amended,
    in_order,
    optional_text,
    past_date,
    something,
    standing_entry,
)
from releve.domain.aggregates.patient.problems import read_concept
from releve.domain.aggregates.patient.record import Fold, Patient, file, supersede
from releve.domain.commands import (
    ChangeMedication,
    ReconcileMedications,
    StartMedication,
    StopMedication,
)
from releve.domain.errors import Invalid
from releve.domain.events import Event, Payload
from releve.domain.exact_numbers import with_point
from releve.domain.values import Concept, Dose, PartialDate, Quantity, readable, words

# Events: the storage format. Never rename, retype or reuse a field; see domain/upcasting.py.


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


class MedicationChanged(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """A treatment (the envelope's target) is taken otherwise; what is absent stays as it was."""

    topic: ClassVar[str] = "patient.medication-changed"

    dose_text: str | None = None
    dose: Quantity | None = None
    route: Concept | None = None
    frequency: str | None = None
    end: str | None = None
    indication: str | None = None


class MedicationStopped(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """A treatment (the envelope's target) was stopped, for the envelope's reason."""

    topic: ClassVar[str] = "patient.medication-stopped"

    stopped_on: str


class MedicationReconciled(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """The list of treatments was checked against a source; ``checked`` it confirms."""

    topic: ClassVar[str] = "patient.medication-reconciled"

    against: str
    checked: tuple[UUID, ...] = ()
    remarks: str = ""


# State


def _started(patient: Patient, event: Event) -> None:
    patient.medications.append(event)
    supersede(patient, event)


FOLDS: dict[type[Payload], Fold] = {
    MedicationStarted: _started,
    MedicationChanged: file,
    MedicationStopped: file,
    MedicationReconciled: file,
}

RUNNING = frozenset({"active", "on-hold", "intended", "in-progress", "unknown"})
"""FHIR statuses of treatments that must still be reckoned with."""


def is_active_medication(line: MedicationStarted) -> bool:
    """True while the treatment must be reckoned with; only its status ends it, never time alone."""
    return line.status in RUNNING


def medication_in_force(patient: Patient, event: Event) -> MedicationStarted:
    """How a treatment is taken after its changes; a stop ends it, with its day and its reason."""
    if not isinstance(event.payload, MedicationStarted):
        raise TypeError(event.topic)
    line = event.payload
    changes = about(patient, MedicationChanged, event.event_id)
    for change in sorted(changes, key=lambda one: one.recency):
        if isinstance(change.payload, MedicationChanged):
            line = _after(line, change.payload)
    for stop in about(patient, MedicationStopped, event.event_id):
        if isinstance(stop.payload, MedicationStopped):
            line = msgspec.structs.replace(
                line,
                status="stopped",
                end=stop.payload.stopped_on,
                status_reason=stop.envelope.reason,
            )
    return line


def _after(line: MedicationStarted, change: MedicationChanged) -> MedicationStarted:
    """A new dose replaces the old one in words and in figures: one left over would mislead."""
    if change.dose is not None or change.dose_text is not None:
        line = msgspec.structs.replace(line, dose=None, dose_text=None)
    return amended(line, change)


def current_medications(patient: Patient) -> Iterator[Event]:
    """Standing treatments, active after their changes and stops (:func:`medication_in_force`)."""
    return (
        event
        for event in patient.standing(patient.medications)
        if is_active_medication(medication_in_force(patient, event))
    )


# Decisions


def start_medication(patient: Patient, command: StartMedication, ctx: Context) -> tuple[Fact, ...]:
    """What, how much and how often as written; a dose has its UCUM unit; end not before start.

    One whose end is past is told as completed, and has no start where none is given.

    Two doctors may write the same drug: both lines stand side by side until one decides.
    """
    if command.start is not None:
        PartialDate(command.start, field="start")
    end = PartialDate(command.end, field="end") if command.end is not None else None
    in_order(command.start, command.end, field="end")
    over = end is not None and end.last_day < ctx.today
    if command.dose is not None:
        Dose.read(command.dose)
    return (
        Fact(
            MedicationStarted(
                concept=read_concept(command.concept, "concept"),
                status="completed" if over else "active",
                start=command.start or (None if over else ctx.today.isoformat()),
                end=command.end,
                dose_text=optional_text(command.dose_text, field="dose_text", limit=400),
                dose=None if command.dose is None else with_point(command.dose),
                route=command.route,
                frequency=optional_text(command.frequency, field="frequency", limit=400),
                indication=optional_text(command.indication, field="indication", limit=400),
            )
        ),
    )


def change_medication(
    patient: Patient, command: ChangeMedication, ctx: Context
) -> tuple[Fact, ...]:
    """A running treatment is taken otherwise, for a reason; what ended is stopped, not changed."""
    before = _running(patient, command.medication)
    reason = words(command.reason, field="reason", limit=400)
    if command.dose is not None:
        Dose.read(command.dose)
    if command.end is not None:
        if PartialDate(command.end, field="end").last_day < ctx.today:
            raise Invalid(
                "in-the-past",
                field="end",
                why="Une fin déjà passée est un arrêt.",
                do="Arrêter le traitement à cette date.",
            )
        in_order(before.start, command.end, field="end")
    change = MedicationChanged(
        dose_text=optional_text(command.dose_text, field="dose_text", limit=400),
        dose=None if command.dose is None else with_point(command.dose),
        route=command.route,
        frequency=optional_text(command.frequency, field="frequency", limit=400),
        end=command.end,
        indication=optional_text(command.indication, field="indication", limit=400),
    )
    something(*msgspec.structs.astuple(change))
    return (Fact(change, target=command.medication, reason=reason),)


def stop_medication(patient: Patient, command: StopMedication, ctx: Context) -> tuple[Fact, ...]:
    """A running treatment ends today, or on a day before, for a reason."""
    line = _running(patient, command.medication)
    reason = words(command.reason, field="reason", limit=400)
    stopped_on = command.stopped_on or ctx.today.isoformat()
    past_date(stopped_on, ctx, field="stopped_on")
    in_order(line.start, stopped_on, field="stopped_on")
    return (
        Fact(MedicationStopped(stopped_on=stopped_on), target=command.medication, reason=reason),
    )


def reconcile_medications(
    patient: Patient, command: ReconcileMedications, ctx: Context
) -> tuple[Fact, ...]:
    """The list was checked against a source that is named; what it confirms is in the list."""
    for place, entry in enumerate(command.checked):
        standing_entry(patient, entry, MedicationStarted, field=f"checked[{place}]")
    if len(set(command.checked)) != len(command.checked):
        raise Invalid("invalid-field", field="checked", why="Un traitement est cité deux fois.")
    return (
        Fact(
            MedicationReconciled(
                against=words(command.against, field="against", limit=160),
                checked=command.checked,
                remarks=readable(command.remarks, field="remarks", limit=2000),
            )
        ),
    )


def _running(patient: Patient, entry: UUID) -> MedicationStarted:
    event, _ = standing_entry(patient, entry, MedicationStarted, field="medication")
    line = medication_in_force(patient, event)
    if not is_active_medication(line):
        raise refuse(
            "medication-over",
            "Ce traitement n'est plus en cours.",
            "Il est arrêté ou terminé.",
            "Relire la liste ; s'il est repris, commencer un nouveau traitement.",
            field="medication",
        )
    return line
