"""What a request makes of a stream, purely: its events, numbered and named, not yet written.

A request is a command with its context: who asks, when, from which door and on which screen. The
aggregate decides; here its facts become events, whose ids are derived from the request, so that
the same request always makes the same ones. Nothing is read or written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

import msgspec
import rfc8785

from releve.domain.aggregates import (
    health_centre,
    inbox_document,
    patient,
    practitioner,
    rules,
    stint,
)
from releve.domain.aggregates.deciding import Colleague, Context, Fact, require_role
from releve.domain.aggregates.health_centre import HealthCentre
from releve.domain.aggregates.inbox_document import InboxDocument
from releve.domain.aggregates.patient import Patient
from releve.domain.aggregates.practitioner import Practitioner
from releve.domain.aggregates.rules import RulesInForce
from releve.domain.aggregates.stint import Stint, StintPlanned
from releve.domain.commands import COMMANDS, Command, ImportRecord, Target
from releve.domain.events import (
    ADMINISTRATION,
    CENTRE,
    INTAKE,
    PATIENT,
    PRACTITIONER,
    STINT,
    SYSTEM_SESSION,
    Author,
    Envelope,
    Event,
    Source,
)
from releve.domain.values import StintPeriod, time_zone

State = Patient | Stint | HealthCentre | Practitioner | InboxDocument | RulesInForce

CLASSES: dict[Target, int] = {
    "patient": PATIENT,
    "centre": CENTRE,
    "practitioner": PRACTITIONER,
    "stint": STINT,
    "inbox": INTAKE,
    "rules": ADMINISTRATION,
}
_FOLDS: dict[Target, Callable[[Any, Iterable[Event]], State | None]] = {
    "patient": patient.fold,
    "centre": health_centre.fold,
    "practitioner": practitioner.fold,
    "stint": stint.fold,
    "inbox": inbox_document.fold,
    "rules": rules.fold,
}
_DECISIONS: dict[Target, Callable[[Any, Command, Context], tuple[Fact, ...]]] = {
    "patient": patient.decide,
    "centre": health_centre.decide,
    "practitioner": practitioner.decide,
    "stint": stint.decide,
    "inbox": inbox_document.decide,
    "rules": rules.decide,
}


class Identifiers(Protocol):
    """Derives ids from a request, so that the same request makes the same ones (formats.md §1)."""

    def event_id(self, stream: UUID, actor: bytes, key: bytes, ordinal: int) -> UUID:
        """Id of the request's n-th event on ``stream``."""

    def stream(self, actor: bytes, key: bytes) -> UUID:
        """Pseudonym of the stream that the request opens."""


@dataclass(frozen=True)
class CommandContext:
    """Who asks, when, from which door and on which screen.

    ``key`` is the idempotency key after its HMAC and ``actor`` who it belongs to; together they
    name the request for ever. ``seen_position`` is the ledger position that the author's screen
    showed; ``expected_version`` the If-Match of the request.
    """

    author: Author
    now: datetime
    key: bytes
    actor: bytes
    occurred_at: str | None = None
    centre: UUID | None = None
    seen_position: int | None = None
    expected_version: int | None = None
    source: Source = field(default_factory=Source)
    reason: str | None = None
    """Why the entry is late, where the command does not say it itself."""
    zone: str = "Europe/Paris"
    session: UUID = SYSTEM_SESSION
    entered_by: UUID | None = None
    on_behalf_of: UUID | None = None
    device_time: str | None = None
    causation_id: UUID | None = None
    correlation_id: UUID | None = None
    rule_release: str | None = None
    read_backs_requested: int = 0
    """Patients for whom the author's stint has asked for a read-back already."""
    rivals: int = 0
    """Other records of the centre that a document to be matched fits."""
    document_with: UUID | None = None
    """The record with which the document of an entry that would come back is matched now."""
    own_stints: tuple[StintPeriod, ...] = ()
    """The other stints at the centre of a doctor whose stint is planned or moved."""
    colleague: Colleague | None = None
    """Whom a question is put to; None where the door does not know who works there."""
    corrects: UUID | None = None
    """The match that stood, delivered, when this one was asked for; None for a first match."""
    delivers: UUID | None = None
    """The document that is being delivered; its record takes it only while it is matched there."""


def command_digest(command: Command, target: UUID | None) -> str:
    """Hex SHA-256 of the RFC 8785 form of [name, target, data] (``docs/formats.md`` §1).

    An import's data name the topic of each entry, since entries of two topics may hold the same
    fields.
    """
    data: dict[str, Any] = msgspec.to_builtins(command, str_keys=True)
    if isinstance(command, ImportRecord) and command.entries:
        data["entries"] = [
            {**msgspec.to_builtins(entry, str_keys=True), "topic": entry.payload.topic}
            for entry in command.entries
        ]
    form = rfc8785.dumps([command.name, None if target is None else str(target), data])
    return hashlib.sha256(form).hexdigest()


def fold(target: Target, state: State | None, events: Iterable[Event]) -> State | None:
    """``state`` of a stream of that kind after ``events``; ``state`` itself is changed."""
    return _FOLDS[target](state, events)


def propose(
    identifiers: Identifiers,
    state: State | None,
    command: Command,
    context: CommandContext,
    stream: UUID,
    *,
    target: UUID | None = None,
    author_stint: Stint | None = None,
    candidate: Patient | None = None,
    former: Patient | None = None,
    originals: Iterable[str] = (),
    digest: str | None = None,
) -> tuple[Event, ...]:
    """The events that ``command`` makes of ``state``, numbered and named, not yet written.

    Pure: what it may know stands in its arguments. ``target`` is what the request addressed (None
    when it opens the stream); ``originals`` are the SHA-256 of the documents that came with it;
    ``digest`` is the command's, where it is known already.

    Raises:
        Invalid, Refused: as the aggregate decides.
    """

    def event_id(ordinal: int) -> UUID:
        return identifiers.event_id(stream, context.actor, context.key, ordinal)

    kind = COMMANDS[command.name].target
    decision = Context(
        author=context.author,
        now=context.now,
        event_id=event_id,
        stint=author_stint,
        candidate=candidate,
        former=former,
        rivals=context.rivals,
        document_with=context.document_with,
        own_stints=context.own_stints,
        colleague=context.colleague,
        stream=stream,
        centre=context.centre,
        zone=context.zone,
        source=context.source,
        occurred_at=context.occurred_at,
        late_reason=context.reason,
        read_backs_requested=context.read_backs_requested,
        originals=frozenset(originals),
    )
    require_role(command, decision)
    facts = _DECISIONS[kind](state, command, decision)
    if not facts:
        return ()
    version = 0 if state is None else state.version
    now = context.now.astimezone(time_zone(context.zone)).isoformat(timespec="seconds")
    happened = command.occurred_at or context.occurred_at
    centre = _centre_of(kind, state, facts, context, stream)
    events = []
    for ordinal, fact in enumerate(facts):
        reason = fact.reason or command.late_reason or context.reason
        envelope = Envelope(
            occurred_at=fact.occurred_at or happened or now,
            author=fact.author or context.author,
            zone=context.zone,
            centre=centre,
            entered_by=context.entered_by,
            on_behalf_of=context.on_behalf_of,
            encounter_id=fact.encounter_id,
            target=fact.target,
            reason=reason,
            source=fact.source or context.source,
            device_time=context.device_time,
            command_id=event_id(0),
            command_digest=(digest or command_digest(command, target)) if ordinal == 0 else None,
            causation_id=context.causation_id,
            correlation_id=context.correlation_id,
            seen_position=context.seen_position,
            rule_release=context.rule_release,
        )
        events.append(
            Event(
                originator_id=stream,
                originator_version=version + 1 + ordinal,
                event_id=event_id(ordinal),
                event_class=CLASSES[kind],
                recorded_at=context.now,
                session=context.session,
                envelope=envelope,
                payload=fact.payload,
            )
        )
    return tuple(events)


def _centre_of(
    kind: Target,
    state: State | None,
    facts: tuple[Fact, ...],
    context: CommandContext,
    stream: UUID,
) -> UUID | None:
    """The centre whose key wraps the stream's data key, and where the event happened."""
    if kind == "centre":
        return stream
    if kind == "rules":
        return None
    if isinstance(state, Stint | InboxDocument):
        return state.centre
    planned = facts[0].payload
    if isinstance(planned, StintPlanned):
        return planned.centre
    if context.centre is None and isinstance(state, Patient) and state.last is not None:
        return state.last.envelope.centre
    return context.centre
