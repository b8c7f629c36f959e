"""Imported lines: "à valider" until a doctor accepts or refuses them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal
from uuid import UUID

from releve.domain.aggregates.deciding import Context, Fact, refuse, under
from releve.domain.aggregates.patient.ald import AldStatusChanged
from releve.domain.aggregates.patient.allergies import AbsenceAsserted, AllergyRecorded
from releve.domain.aggregates.patient.entries import about, standing_entry
from releve.domain.aggregates.patient.history import (
    DeviceRecorded,
    HistoryRecorded,
    ImmunizationRecorded,
    ProcedureRecorded,
)
from releve.domain.aggregates.patient.medications import MedicationStarted
from releve.domain.aggregates.patient.observations import ObservationRecorded
from releve.domain.aggregates.patient.problems import ProblemRecorded
from releve.domain.aggregates.patient.record import Fold, Patient, file, from_elsewhere
from releve.domain.aggregates.patient.results import ResultReceived, ResultReviewed
from releve.domain.aggregates.patient.vigilance import VigilancePointSet
from releve.domain.commands import Judgement, ValidateEntries, ValidateEntry
from releve.domain.errors import Invalid
from releve.domain.events import Event, Payload
from releve.domain.values import readable

# Events: the storage format. Never rename, retype or reuse a field; see domain/upcasting.py.


class EntryValidated(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """A doctor accepted or refused an imported line (the envelope's target)."""

    topic: ClassVar[str] = "patient.entry-validated"

    verdict: Literal["accepted", "refused"]


# State


def _validated(patient: Patient, event: Event) -> None:
    file(patient, event)
    verdict, target = event.payload, event.envelope.target
    if isinstance(verdict, EntryValidated) and target is not None:
        said = patient.refused if verdict.verdict == "refused" else patient.accepted
        said[target] = (*said.get(target, ()), event.event_id)


FOLDS: dict[type[Payload], Fold] = {
    EntryValidated: _validated,
}

LINES: tuple[type[Payload], ...] = (
    ProblemRecorded,
    AllergyRecorded,
    AbsenceAsserted,
    MedicationStarted,
    ObservationRecorded,
    ResultReceived,
    ImmunizationRecorded,
    ProcedureRecorded,
    DeviceRecorded,
    HistoryRecorded,
    VigilancePointSet,
    AldStatusChanged,
)
"""What a source's coded lines become; its documents and identities are nobody's line to accept."""


def is_imported(event: Event) -> bool:
    """True for a line that came from elsewhere: another system's, or a paste of somebody else's.

    What the secretary hears on the phone is no import: the doctor's review is its validation.
    """
    return isinstance(event.payload, LINES) and from_elsewhere(event.envelope.source)


def awaiting_validation(patient: Patient) -> Iterator[Event]:
    """Imported lines that stand and nobody has judged, oldest first."""
    said = (*patient.told(EntryValidated), *patient.told(ResultReviewed))
    judged = {verdict.envelope.target for verdict in patient.standing(said)}
    return (
        event
        for event in patient.entries.values()
        if is_imported(event) and event.event_id not in judged and patient.stands(event)
    )


def _verdict(patient: Patient, event: Event) -> EntryValidated | None:
    for judged in about(patient, EntryValidated, event.event_id):
        if isinstance(judged.payload, EntryValidated):
            return judged.payload
    return None


# Decisions


def validate_entry(patient: Patient, command: ValidateEntry, ctx: Context) -> tuple[Fact, ...]:
    """An imported line, once; refused for a reason, it leaves every current view.

    A verdict given by mistake is marked in error, and the line is to be judged again.
    """
    said = Judgement(entry=command.entry, verdict=command.verdict, reason=command.reason)
    return _judged(patient, said)


def validate_entries(patient: Patient, command: ValidateEntries, ctx: Context) -> tuple[Fact, ...]:
    """Each line that is named, as :func:`validate_entry`; all of them or none.

    A line that is not named stays as it is, and naming none is refused: nobody accepts a document
    by sending nothing.
    """
    if not command.judgements:
        raise refuse(
            "nothing-judged",
            "Rien n'est enregistré.",
            "Aucune ligne n'est acceptée ni refusée.",
            "Choisir, ligne par ligne.",
            field="judgements",
        )
    facts: list[Fact] = []
    named: set[UUID] = set()
    for place, judgement in enumerate(command.judgements):
        path = f"judgements[{place}]"
        if judgement.entry in named:
            raise Invalid(
                "invalid-field", field=f"{path}.entry", why="Cette ligne est jugée deux fois."
            )
        named.add(judgement.entry)
        facts += under(path, _judged, patient, judgement)
    return tuple(facts)


def _judged(patient: Patient, said: Judgement) -> tuple[Fact, ...]:
    event = patient.entries.get(said.entry)
    if event is not None and _verdict(patient, event) is not None:
        raise refuse(
            "already-validated",
            "Cette ligne est déjà jugée.",
            "Un médecin l'a acceptée ou refusée.",
            "Relire le dossier ; si le jugement est faux, le marquer erroné.",
            field="entry",
        )
    event, _ = standing_entry(patient, said.entry, Payload, field="entry")
    if not is_imported(event):
        raise refuse(
            "not-imported",
            "Cette ligne n'est pas à valider.",
            "Elle a été écrite ici, ou n'est pas une ligne du dossier.",
            "La compléter, ou la marquer erronée.",
            field="entry",
        )
    reason = readable(said.reason, field="reason", limit=400)
    if said.verdict == "refused" and not reason:
        raise refuse(
            "reason-missing",
            "La ligne n'est pas refusée.",
            "Un refus dit pourquoi.",
            "Dire en quelques mots pourquoi.",
            field="reason",
        )
    return (Fact(EntryValidated(verdict=said.verdict), target=said.entry, reason=reason or None),)
