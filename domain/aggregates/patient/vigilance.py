"""Vigilance points: what everybody who acts must keep in mind."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import ClassVar

from releve.domain.aggregates.deciding import Context, Fact, refuse
from releve.domain.aggregates.patient.entries import about, standing_entry
from releve.domain.aggregates.patient.record import Fold, Patient, file, file_version
from releve.domain.commands import LiftVigilancePoint, SetVigilancePoint
from releve.domain.errors import Invalid
from releve.domain.events import Event, Payload
from releve.domain.values import PartialDate, one_line, words

# Events: the storage format. Never rename, retype or reuse a field; see domain/upcasting.py.


class VigilancePointSet(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """One line of at most 160 characters, until a day where one is given."""

    topic: ClassVar[str] = "patient.vigilance-point-set"

    text: str
    until: str | None = None


class VigilancePointLifted(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """A vigilance point (the envelope's target) was lifted, for the envelope's reason."""

    topic: ClassVar[str] = "patient.vigilance-point-lifted"


# State

FOLDS: dict[type[Payload], Fold] = {
    VigilancePointSet: file_version,
    VigilancePointLifted: file,
}


def is_lifted(patient: Patient, point: Event) -> bool:
    """True once a standing event lifted it."""
    return any(True for _ in about(patient, VigilancePointLifted, point.event_id))


def current_vigilance(patient: Patient, day: date) -> Iterator[Event]:
    """Points that stand, were not lifted and whose last day, where one was given, is not past."""
    for event in patient.standing(patient.told(VigilancePointSet)):
        point = event.payload
        if not isinstance(point, VigilancePointSet) or is_lifted(patient, event):
            continue
        if point.until is None or PartialDate(point.until).last_day >= day:
            yield event


# Decisions


def set_vigilance_point(
    patient: Patient, command: SetVigilancePoint, ctx: Context
) -> tuple[Fact, ...]:
    """One line that fits a glance, said once, until a day that is not past."""
    text = one_line(words(command.text, field="text"), field="text")
    if command.until is not None and PartialDate(command.until, field="until").last_day < ctx.today:
        raise Invalid("in-the-past", field="until", why="Cette date est passée.")
    for event in current_vigilance(patient, ctx.today):
        known = event.payload
        if isinstance(known, VigilancePointSet) and known.text.casefold() == text.casefold():
            raise refuse(
                "already-recorded",
                "Ce point de vigilance existe déjà.",
                "Le dossier porte le même.",
                "Rien à faire.",
                field="text",
            )
    return (Fact(VigilancePointSet(text=text, until=command.until)),)


def lift_vigilance_point(
    patient: Patient, command: LiftVigilancePoint, ctx: Context
) -> tuple[Fact, ...]:
    """A point that was not lifted before, for a reason."""
    event, _ = standing_entry(patient, command.point, VigilancePointSet, field="point")
    if is_lifted(patient, event):
        raise refuse(
            "already-lifted",
            "Ce point est déjà levé.",
            "Quelqu'un l'a levé entre-temps.",
            "Relire le dossier.",
            field="point",
        )
    return (
        Fact(
            VigilancePointLifted(),
            target=command.point,
            reason=words(command.reason, field="reason", limit=400),
        ),
    )
