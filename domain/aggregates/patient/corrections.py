"""Corrections that touch any entry: it leaves every current view and stays in the timeline."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import ClassVar

from releve.domain.aggregates.deciding import Context, Fact, refuse
from releve.domain.aggregates.patient import allergies, problems
from releve.domain.aggregates.patient.allergies import (
    allergy_in_force,
    current_allergies,
)
from releve.domain.aggregates.patient.death import DeathRecorded, death_of
from releve.domain.aggregates.patient.entries import about
from releve.domain.aggregates.patient.identity import Registered
from releve.domain.aggregates.patient.problems import (
    current_problems,
    problem_in_force,
)
from releve.domain.aggregates.patient.record import Fold, Patient
from releve.domain.aggregates.patient.validation import EntryValidated
from releve.domain.commands import MarkEntryInError, ReinstateEntry
from releve.domain.errors import Refused
from releve.domain.events import Event, Payload
from releve.domain.values import words

# Events: the storage format. Never rename, retype or reuse a field; see domain/upcasting.py.


class EntryMarkedInError(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """The entry named by the envelope's target was an error, for the envelope's reason."""

    topic: ClassVar[str] = "patient.entry-marked-in-error"

    harm: bool = False


class EntryReinstated(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """The entry named by the envelope's target was no error after all."""

    topic: ClassVar[str] = "patient.entry-reinstated"


# State


def _marked(patient: Patient, event: Event) -> None:
    if event.envelope.target is not None:
        patient.in_error.add(event.envelope.target)


def _reinstated(patient: Patient, event: Event) -> None:
    if event.envelope.target is not None:
        patient.in_error.discard(event.envelope.target)


FOLDS: dict[type[Payload], Fold] = {EntryMarkedInError: _marked, EntryReinstated: _reinstated}


# Decisions


def mark_in_error(patient: Patient, command: MarkEntryInError, ctx: Context) -> tuple[Fact, ...]:
    """Any entry but the identity and a correction, once, with a reason.

    Not while what it takes back would make a problem or an allergy active a second time, nor a
    refusal of what a document brought that belongs to another record since.
    """
    entry = patient.entries.get(command.entry)
    if entry is None or isinstance(
        entry.payload, Registered | EntryMarkedInError | EntryReinstated
    ):
        raise refuse(
            "unknown-entry",
            "Cette entrée n'existe pas.",
            "Aucune entrée corrigible de ce dossier ne porte ce nom.",
            "Relire le dossier.",
            field="entry",
        )
    if command.entry in patient.in_error:
        raise refuse(
            "already-in-error",
            "Cette entrée est déjà marquée erronée.",
            "Quelqu'un l'a marquée entre-temps.",
            "Relire le dossier.",
            field="entry",
        )
    if entry.payload == EntryValidated(verdict="refused") and ctx.document_with not in (
        None,
        patient.id,
    ):
        raise _document_elsewhere()  # taking a refusal back reinstates the line
    _refuse_second_active(patient, replace(patient, in_error=patient.in_error | {command.entry}))
    return (
        Fact(
            EntryMarkedInError(harm=command.harm),
            target=command.entry,
            reason=words(command.reason, field="reason", limit=400),
        ),
    )


def reinstate_entry(patient: Patient, command: ReinstateEntry, ctx: Context) -> tuple[Fact, ...]:
    """Only what is marked in error, for a reason; it comes back with its first author and time.

    Not while something was written since that it would contradict, nor while the document that
    brought it belongs to another record.
    """
    entry = patient.entries.get(command.entry)
    if entry is None or command.entry not in patient.in_error:
        raise refuse(
            "not-in-error",
            "Cette entrée n'est pas rétablie.",
            "Elle n'est pas marquée erronée.",
            "Relire le dossier.",
            field="entry",
        )
    if ctx.document_with not in (None, patient.id):
        raise _document_elsewhere()
    reason = words(command.reason, field="reason", limit=400)
    if not patient.is_replaced(command.entry):
        _refuse_second_active(
            patient, replace(patient, in_error=patient.in_error - {command.entry})
        )
        match entry.payload:
            case DeathRecorded() if death_of(patient) is not None:
                raise _replaced_since()
            case EntryValidated() if entry.envelope.target is not None and any(
                True for _ in about(patient, EntryValidated, entry.envelope.target)
            ):
                raise _replaced_since()
    return (Fact(EntryReinstated(), target=command.entry, reason=reason),)


def _refuse_second_active(patient: Patient, after: Patient) -> None:
    """Refuse a correction by which a problem or an allergy is active beside one of its kind.

    What it brings back may be another entry than the one it names: the version before, or the line
    of a refusal. Versions of one entry may stand together while a doctor has yet to accept one.
    """
    known = {event.event_id for event in (*current_problems(patient), *current_allergies(patient))}
    for event in current_problems(after):
        if event.event_id not in known:
            problems.refuse_second_active(
                replace(after, problems=_others(after, after.problems, event)),
                problem_in_force(after, event),
                event.envelope.source.system,
                field="entry",
            )
    for event in current_allergies(after):
        if event.event_id not in known:
            allergies.refuse_second_active(
                replace(after, allergies=_others(after, after.allergies, event)),
                allergy_in_force(after, event),
                event.envelope.source.system,
                field="entry",
            )


def _others(patient: Patient, events: Iterable[Event], event: Event) -> list[Event]:
    """Those of ``events`` that are no version of the same entry as ``event``."""
    first = _first_version(patient, event)
    return [each for each in events if _first_version(patient, each) is not first]


def _first_version(patient: Patient, event: Event) -> Event:
    while event.envelope.target is not None and event.envelope.target in patient.entries:
        event = patient.entries[event.envelope.target]
    return event


def _document_elsewhere() -> Refused:
    return refuse(
        "document-elsewhere",
        "Cette entrée n'est pas rétablie.",
        "Le document dont elle vient est rattaché à un autre dossier.",
        "Si elle est bien de ce patient, rattacher d'abord le document à ce dossier.",
        field="entry",
    )


def _replaced_since() -> Refused:
    return refuse(
        "written-again",
        "Cette entrée n'est pas rétablie.",
        "Une autre a été écrite à sa place depuis.",
        "Marquer d'abord la nouvelle erronée, ou laisser celle-ci.",
        field="entry",
    )
