"""Handover notes (I-PASS) and what their receiver answered."""

from __future__ import annotations

from typing import ClassVar, Literal
from uuid import UUID

from releve.domain.aggregates.deciding import Context, Fact, refuse, under
from releve.domain.aggregates.patient.contingencies import (
    current_contingencies,
    set_contingency,
    unread_activations,
)
from releve.domain.aggregates.patient.open_items import ItemOpened, closed_items, open_item
from releve.domain.aggregates.patient.record import Fold, Patient, file, supersede
from releve.domain.aggregates.patient.results import (
    ResultReceived,
    current_results,
    stage_of,
)
from releve.domain.aggregates.patient.severity import current_severity, set_illness_severity
from releve.domain.commands import ReadBackHandover, SetIllnessSeverity, WriteHandover
from releve.domain.errors import Invalid, Refused
from releve.domain.events import Event, Payload
from releve.domain.values import Severity, one_line, readable, words

# Events: the storage format. Never rename, retype or reuse a field; see domain/upcasting.py.


class HandoverWritten(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """I-PASS for one patient; supersedes the previous one of the same stint."""

    topic: ClassVar[str] = "patient.handover-written"

    severity: Severity
    summary: str
    """One line of at most 160 characters."""
    actions: tuple[str, ...] = ()
    situation: str = ""
    items: tuple[UUID, ...] = ()
    contingencies: tuple[UUID, ...] = ()
    read_back_requested: bool = False


class HandoverReadBack(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """The receiver said what they will do first, asked a question, or continues their own stint.

    The handover is the envelope's target.
    """

    topic: ClassVar[str] = "patient.handover-read-back"

    kind: Literal["restatement", "question", "takes", "continuation"]
    text: str = ""


# State


def _written(patient: Patient, event: Event) -> None:
    patient.handovers.append(event)
    patient.severities.append(event)
    previous = patient.entries.get(event.envelope.target) if event.envelope.target else None
    if previous is not None and previous.recency > event.recency:
        # A late one about an earlier day: what was said since stays the one to read.
        patient.superseded[event.event_id] = previous.event_id
    else:
        supersede(patient, event)


FOLDS: dict[type[Payload], Fold] = {
    HandoverWritten: _written,
    HandoverReadBack: file,
}

MOST_READ_BACKS = 7
"""Patients of one stint for whom a read-back may be demanded (scenario 21)."""


def must_be_restated(patient: Patient, handover: HandoverWritten) -> bool:
    """True where one key is not enough.

    For an unstable patient, a read-back its author asked for, an if/then that a measure met and a
    result told on the phone, both unread.
    """
    return (
        handover.read_back_requested
        or handover.severity == "unstable"
        or current_severity(patient) == "unstable"
        or any(True for _ in unread_activations(patient))
        or any(_told_on_the_phone(patient, result) for result in current_results(patient))
    )


def _told_on_the_phone(patient: Patient, result: Event) -> bool:
    told = result.payload
    return (
        isinstance(told, ResultReceived)
        and told.status == "phoned"
        and stage_of(patient, result) == "to-read"
    )


# Decisions


def write_handover(patient: Patient, command: WriteHandover, ctx: Context) -> tuple[Fact, ...]:
    """I-PASS in one append: severity where it changes, new items and contingencies, the note.

    Items and contingencies it refers to exist and stand; it supersedes the same stint's previous
    one; a stint asks for at most seven read-backs.
    """
    summary = words(one_line(command.summary, field="summary"), field="summary")
    facts: list[Fact] = []
    current = current_severity(patient)
    reason = readable(command.severity_reason, field="severity_reason", limit=400)
    if current != command.severity or reason:
        facts += set_illness_severity(
            patient,
            SetIllnessSeverity(
                severity=command.severity, reason=reason or summary, review_by=command.review_by
            ),
            ctx,
        )
    closed = closed_items(patient)
    for place, item in enumerate(command.items):
        known = patient.entries.get(item)
        if known is None or not isinstance(known.payload, ItemOpened) or not patient.stands(known):
            raise Invalid("invalid-field", field=f"items[{place}]", why="Point inconnu.")
        if item in closed:
            raise Invalid("invalid-field", field=f"items[{place}]", why="Point déjà clos.")
    current_ones = {event.event_id for event in current_contingencies(patient)}
    for place, contingency in enumerate(command.contingencies):
        if contingency not in current_ones:
            raise Invalid("invalid-field", field=f"contingencies[{place}]", why="Inconnu.")
    items, contingencies = list(command.items), list(command.contingencies)
    for place, new in enumerate(command.new_items):
        items.append(ctx.event_id(len(facts)))
        facts += under(f"new_items[{place}]", open_item, patient, new, ctx)
    for place, added in enumerate(command.new_contingencies):
        contingencies.append(ctx.event_id(len(facts)))
        facts += under(f"new_contingencies[{place}]", set_contingency, patient, added, ctx)
    previous = _same_stint(patient, ctx)
    asked_already = (
        previous is not None
        and isinstance(previous.payload, HandoverWritten)
        and previous.payload.read_back_requested
    )
    if (
        command.read_back_requested
        and not asked_already
        and ctx.read_backs_requested >= MOST_READ_BACKS
    ):
        raise refuse(
            "too-many-read-backs",
            "La transmission n'est pas enregistrée.",
            f"Un séjour demande au plus {MOST_READ_BACKS} restitutions ; elles sont atteintes.",
            "Choisir les patients pour lesquels la restitution compte le plus.",
            field="read_back_requested",
        )
    facts.append(
        Fact(
            HandoverWritten(
                severity=command.severity,
                summary=summary,
                actions=tuple(
                    words(action, field=f"actions[{place}]", limit=400)
                    for place, action in enumerate(command.actions)
                ),
                situation=readable(command.situation, field="situation", limit=2000),
                items=tuple(items),
                contingencies=tuple(contingencies),
                read_back_requested=command.read_back_requested,
            ),
            target=None if previous is None else previous.event_id,
        )
    )
    return tuple(facts)


def read_back(patient: Patient, command: ReadBackHandover, ctx: Context) -> tuple[Fact, ...]:
    """An answer that commits to something.

    What must be restated (:func:`must_be_restated`) takes words: a first action or a question. The
    receiver is not the sender, unless it is the same doctor's next stint: a continuation.
    """
    handover = patient.entries.get(command.handover)
    if handover is None or not isinstance(handover.payload, HandoverWritten):
        raise refuse(
            "unknown-handover",
            "Cette transmission n'existe pas.",
            "Aucune transmission de ce dossier ne porte ce nom.",
            "Relire le dossier.",
            field="handover",
        )
    if not patient.stands(handover):
        raise refuse(
            "handover-superseded",
            "La restitution n'est pas enregistrée.",
            "Cette transmission a été remplacée ou marquée erronée.",
            "Relire la dernière transmission, puis y répondre.",
            field="handover",
        )
    sender = handover.envelope.author
    same_person = sender.person is not None and sender.person == ctx.author.person
    if command.kind == "continuation":
        if not same_person or sender.stint == ctx.author.stint:
            raise _not_receiver(
                "Une suite se dit de son propre séjour précédent.", "Restituer avec ses mots."
            )
    elif same_person:
        raise _not_receiver(
            "Celui qui transmet ne se répond pas à lui-même.",
            "Dans le séjour suivant du même médecin, enregistrer une suite.",
        )
    text = readable(command.text, field="text", limit=2000)
    if command.kind in ("restatement", "question") and not text:
        raise Refused(
            "read-back-empty",
            what="La restitution n'est pas enregistrée.",
            why="Elle dit la première action, ou pose une question.",
            do="Écrire, avec ses mots, ce qui sera fait en premier.",
            field="text",
        )
    if command.kind == "takes" and must_be_restated(patient, handover.payload):
        raise refuse(
            "read-back-required",
            "Ce patient n'est pas repris.",
            "Un patient instable, signalé par son médecin, ou dont un seuil est atteint ou un "
            "résultat dicté non lu, se restitue avec des mots.",
            "Dire la première action, ou poser une question.",
            field="kind",
        )
    return (Fact(HandoverReadBack(kind=command.kind, text=text), target=command.handover),)


def _same_stint(patient: Patient, ctx: Context) -> Event | None:
    """The standing handover that the author's stint wrote before; by person without a stint."""
    for event in reversed(patient.handovers):
        author = event.envelope.author
        same = (
            author.stint == ctx.author.stint
            if ctx.author.stint is not None
            else author.stint is None and author.person == ctx.author.person
        )
        if same and patient.stands(event):
            return event
    return None


def _not_receiver(why: str, do: str) -> Refused:
    return refuse("not-receiver", "La restitution n'est pas enregistrée.", why, do, field="kind")


def left_by(patient: Patient, handover: UUID) -> list[Event]:
    """What was written with a handover and does not go with it when that is marked in error.

    The severity it said anew, items that are still open and if/thens in force: each is an entry of
    its own, true or false by itself. Empty for an entry that is no handover.
    """
    written = patient.entries.get(handover)
    if written is None or not isinstance(written.payload, HandoverWritten):
        return []
    closed = closed_items(patient)
    return [
        event
        for event in patient.entries.values()
        if event.event_id != handover
        and event.envelope.command_id is not None
        and event.envelope.command_id == written.envelope.command_id
        and patient.stands(event)
        and event.event_id not in closed
    ]
