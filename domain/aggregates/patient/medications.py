"""Treatments: what is taken, since when, why, and what it was stopped for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal
from uuid import UUID

from releve.domain.aggregates.deciding import Context, Fact
from releve.domain.aggregates.patient.problems import read_concept
from releve.domain.aggregates.patient.record import Fold, Patient, file, supersede
from releve.domain.commands import StartMedication
from releve.domain.errors import Invalid
from releve.domain.events import Event, Payload
from releve.domain.values import Concept, PartialDate, Quantity, measured, readable

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


def current_medications(patient: Patient) -> Iterator[Event]:
    """Standing treatment lines that are active."""
    return (
        event
        for event in patient.standing(patient.medications)
        if isinstance(event.payload, MedicationStarted) and is_active_medication(event.payload)
    )


# Decisions


def start_medication(patient: Patient, command: StartMedication, ctx: Context) -> tuple[Fact, ...]:
    """What, how much and how often as written; a dose has its UCUM unit; end not before start.

    One whose end is past is told as completed, and has no start where none is given.

    Two doctors may write the same drug: both lines stand side by side until one decides.
    """
    start = PartialDate(command.start, field="start") if command.start is not None else None
    end = PartialDate(command.end, field="end") if command.end is not None else None
    if start is not None and end is not None and end.last_day < start.first_day:
        raise Invalid("invalid-field", field="end", why="La fin vient après le début.")
    over = end is not None and end.last_day < ctx.today
    if command.dose is not None:
        measured(command.dose, field="dose")
    return (
        Fact(
            MedicationStarted(
                concept=read_concept(command.concept, "concept"),
                status="completed" if over else "active",
                start=command.start or (None if over else ctx.today.isoformat()),
                end=command.end,
                dose_text=_line(command.dose_text, "dose_text"),
                dose=command.dose,
                route=command.route,
                frequency=_line(command.frequency, "frequency"),
                indication=_line(command.indication, "indication"),
            )
        ),
    )


def _line(value: str | None, field: str) -> str | None:
    return None if value is None else readable(value, field=field, limit=400) or None
