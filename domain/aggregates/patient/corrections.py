"""Corrections that touch any entry: it leaves every current view and stays in the timeline."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from releve.domain.aggregates.deciding import Context, Fact, refuse
from releve.domain.aggregates.patient import allergies, problems
from releve.domain.aggregates.patient.allergies import (
    AllergyRecorded,
    AllergyRevised,
    allergy_in_force,
    current_allergies,
)
from releve.domain.aggregates.patient.death import DeathRecorded, death_of
from releve.domain.aggregates.patient.entries import about
from releve.domain.aggregates.patient.identity import Registered
from releve.domain.aggregates.patient.problems import (
    ProblemRecorded,
    ProblemRevised,
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
    _refuse_second_active(
        patient, replace(patient, in_error=patient.in_error | {command.entry}), entry
    )
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
            patient, replace(patient, in_error=patient.in_error - {command.entry}), entry
        )
        match entry.payload:
            case DeathRecorded() if death_of(patient) is not None:
                raise _replaced_since()
            case EntryValidated() if entry.envelope.target is not None and any(
                True for _ in about(patient, EntryValidated, entry.envelope.target)
            ):
                raise _replaced_since()
    return (Fact(EntryReinstated(), target=command.entry, reason=reason),)


def _refuse_second_active(patient: Patient, after: Patient, corrected: Event) -> None:
    """Refuse a correction that makes a problem or an allergy active beside one of its kind."""
    named = corrected.event_id
    if isinstance(corrected.payload, ProblemRevised | AllergyRevised):
        named = corrected.envelope.target or named
    event = after.entries.get(named)
    if event is None or not after.stands(event) or any(after.newer_than(named)):
        return
    system = event.envelope.source.system
    match event.payload:
        case ProblemRecorded() if not any(one is event for one in current_problems(patient)):
            problems.refuse_second_active(
                after, problem_in_force(after, event), system, but=event, field="entry"
            )
        case AllergyRecorded() if not any(one is event for one in current_allergies(patient)):
            allergies.refuse_second_active(
                after, allergy_in_force(after, event), system, but=event, field="entry"
            )
        case _:
            pass


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
