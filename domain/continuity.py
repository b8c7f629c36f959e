"""Continuity: the application service, and the only writer of domain events.

A command is loaded, decided and saved: the target is folded from its events, a pure decision says
what becomes of it, the new events go in one append. The same request sent again gives the first
answer; somebody else's write in between makes it decide again on what the record says by then.

The store is any infrastructure of the ``eventsourcing`` library. What it refuses arrives as the
library's ``IntegrityError`` or ``OperationalError``; where it knows more, it carries one stable
word in ``cause``: ``version``, ``chain`` and ``event-id`` mean reload and decide again, ``claim``
that another record holds an identifier (``stream`` names it), ``unknown`` that nobody knows whether
the events were kept. Everything else is passed on as it came.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from eventsourcing.application import AggregateNotFoundError, Application
from eventsourcing.persistence import InfrastructureFactory, IntegrityError, OperationalError
from eventsourcing.utils import Environment, EnvType

from releve.domain.aggregates.health_centre import HealthCentre
from releve.domain.aggregates.inbox_document import DocumentReceived, InboxDocument
from releve.domain.aggregates.patient import Patient
from releve.domain.aggregates.patient.documents import DocumentAttached
from releve.domain.aggregates.practitioner import Practitioner
from releve.domain.aggregates.rules import RulesInForce
from releve.domain.aggregates.stint import Stint
from releve.domain.commands import COMMANDS, Command, MatchDocument, Target
from releve.domain.errors import Conflict, NotFound, Reused, Unavailable
from releve.domain.events import Author, Event
from releve.domain.requests import (
    CLASSES,
    CommandContext,
    Identifiers,
    State,
    command_digest,
    fold,
    propose,
)

_S = TypeVar("_S", Patient, Stint, HealthCentre, Practitioner, InboxDocument, RulesInForce)

ATTEMPTS = 3
"""Times a command is decided again when somebody else wrote first."""

UNKNOWN_DEADLINE = timedelta(seconds=10)
"""How long an unanswered append is asked about before the caller is told that it is unknown."""


class Attachment(NamedTuple):
    """Bytes that an event attaches; the store seals them beside it."""

    event_id: UUID
    content: bytes


@dataclass(frozen=True)
class Outcome:
    """What a command did: its events, as kept; ``replayed`` when an earlier request did it."""

    stream: UUID
    event_ids: tuple[UUID, ...]
    version: int
    replayed: bool
    events: tuple[Event, ...]


class Written(Conflict):
    """Somebody else wrote on this record since it was read.

    ``by`` is who, ``version`` the stream's version now; neither stands in the message.
    """

    def __init__(self, code: str, *, by: Author | None, version: int) -> None:
        super().__init__(code)
        self.by = by
        self.version = version

    def why_by(self, name: str) -> str:
        """Why the request is refused, where it is known who was first."""
        return f"{name} a écrit sur ce dossier depuis sa lecture."


class MatchedMeanwhile(Written):
    """Somebody else said whose a document is since it was read."""

    what = "Ce document vient d'être rattaché par quelqu'un d'autre."
    why = "Quelqu'un l'a rattaché depuis sa lecture."
    do = "Rouvrir le document : s'il n'est pas dans le bon dossier, un médecin l'en retire d'abord."

    def why_by(self, name: str) -> str:
        """Who matched it."""
        return f"{name} l'a rattaché depuis sa lecture."


class Claimed(Conflict):
    """Another record holds an identifier of this one; ``stream`` is that record, where known."""

    what = "Cet identifiant appartient à un autre dossier."
    why = "Un identifiant désigne un seul patient."
    do = "Ouvrir le dossier existant."

    def __init__(self, stream: UUID | None) -> None:
        super().__init__("identifier-claimed")
        self.stream = stream


class Continuity(Application[UUID]):
    """Every command goes through :meth:`execute`; reading a folded state never writes."""

    name = "ledger"

    def __init__(
        self,
        factory: InfrastructureFactory[Any],
        identifiers: Identifiers,
        *,
        unknown_deadline: timedelta = UNKNOWN_DEADLINE,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """``factory`` gives the store; nothing is read from the process environment."""
        self._factory = factory
        self._identifiers = identifiers
        self._unknown_deadline = unknown_deadline
        self._sleep = sleep
        super().__init__()

    def construct_env(self, name: str, env: EnvType | None = None) -> Environment:
        """Only what is given: the process environment is never merged."""
        return Environment(name, dict(env or {}))

    def construct_factory(self, env: Environment) -> InfrastructureFactory[Any]:
        """The factory that was given."""
        return self._factory

    # Reading

    def patient(self, patient: UUID) -> Patient:
        """The record as it stands. Raises NotFound."""
        return self._state("patient", patient, Patient)

    def stint(self, stint: UUID) -> Stint:
        """The stint as it stands. Raises NotFound."""
        return self._state("stint", stint, Stint)

    def centre(self, centre: UUID) -> HealthCentre:
        """The centre as it stands. Raises NotFound."""
        return self._state("centre", centre, HealthCentre)

    def practitioner(self, practitioner: UUID) -> Practitioner:
        """The practitioner as they stand. Raises NotFound."""
        return self._state("practitioner", practitioner, Practitioner)

    def stream_of(self, context: CommandContext) -> UUID:
        """The stream that a request opens, whether it was sent before or not."""
        return self._identifiers.stream(context.actor, context.key)

    def centre_of_document(self, document: UUID) -> UUID | None:
        """The centre that a document came in at; None for an unknown one."""
        state = self._load("inbox", document)
        return state.centre if isinstance(state, InboxDocument) else None

    def _state(self, target: Target, stream: UUID, expected: type[_S]) -> _S:
        state = self._load(target, stream)
        if not isinstance(state, expected):
            raise NotFound
        return state

    def _load(self, target: Target, stream: UUID) -> State | None:
        """The folded stream; None when there is none, or none of that kind."""

        def projector(initial: State | None, events: Iterable[Event]) -> State | None:
            of_kind = _of_class(events, CLASSES[target])
            return fold(target, initial, of_kind)

        # Our states are projected: they need none of the library's aggregate methods.
        get: Callable[..., State] = self.repository.get
        try:
            return get(stream, projector_func=projector)
        except AggregateNotFoundError:
            return None

    # Writing

    def execute(
        self,
        command: Command,
        context: CommandContext,
        *,
        target: UUID | None = None,
        claims: Sequence[Any] = (),
        attachments: Sequence[bytes] = (),
    ) -> Outcome:
        """Decide ``command`` and keep its events, durable when this returns.

        Args:
            command: what is asked.
            context: who asks, and the key that names the request.
            target: the stream it is addressed to; None for a command that opens one.
            claims: identifiers that the record alone may hold, kept in the same transaction.
            attachments: original bytes; each goes to the document event that bears its SHA-256,
                and to none where the record holds that document already.

        Raises:
            Invalid, Refused: the request or a rule; nothing was written.
            NotFound: no such stream.
            Reused: the key named another request before.
            Written: the version is not the expected one, or others kept writing first; or the
                document has a match that ``context.corrects`` does not name, or is to be delivered
                to a record that it is no longer matched with.
            Claimed: another record holds an identifier of this one.
            Unavailable: the store does not say whether it was kept; send the same request again.
        """
        spec = COMMANDS[command.name]
        if target is None and not spec.creates:
            raise NotFound
        stream = target or self._identifiers.stream(context.actor, context.key)
        digest = command_digest(command, target)
        deadline = time.monotonic() + self._unknown_deadline.total_seconds()
        began = time.monotonic()
        refusals = 0
        pause = 0.02
        unknown = False
        while True:
            try:
                state = self._load(spec.target, stream)
                done = self._done_before(state, context, digest)
                if done is not None:
                    return done
                if state is None and target is not None:
                    raise NotFound
                _expect(state, context)
                elapsed = timedelta(seconds=time.monotonic() - began)
                now = replace(context, now=context.now + elapsed) if unknown else context
                events = self._propose(state, command, now, stream, target, attachments, digest)
                if not events:
                    version = 0 if state is None else state.version
                    return Outcome(stream, (), version, False, ())
                self.save(*events, claims=tuple(claims), attachments=_attached(events, attachments))
            except IntegrityError as refused:
                cause = getattr(refused, "cause", "version")
                if cause == "claim":
                    raise Claimed(getattr(refused, "stream", None)) from None
                if cause not in ("version", "chain", "event-id"):
                    raise
                refusals += 1
                if refusals > ATTEMPTS:
                    raise self._written("conflict", spec.target, stream) from None
            except OperationalError as failed:
                # Before anything was sent, the caller may know; afterwards nobody does.
                if not unknown and getattr(failed, "cause", None) != "unknown":
                    raise
                unknown = True
                if time.monotonic() >= deadline:
                    raise Unavailable(
                        "outcome-unknown",
                        why="La base n'a pas dit si l'écriture est conservée.",
                        do="Renvoyer la même demande avec la même clé.",
                    ) from None
                self._sleep(pause)
                pause = min(pause * 2, 1.0)
            else:
                return Outcome(
                    stream,
                    tuple(event.event_id for event in events),
                    events[-1].originator_version,
                    False,
                    events,
                )

    def _propose(
        self,
        state: State | None,
        command: Command,
        context: CommandContext,
        stream: UUID,
        target: UUID | None,
        attachments: Sequence[bytes],
        digest: str,
    ) -> tuple[Event, ...]:
        author_stint: Stint | None = None
        if context.author.stint is not None:
            if isinstance(state, Stint) and state.id == context.author.stint:
                author_stint = state
            else:
                loaded = self._load("stint", context.author.stint)
                author_stint = loaded if isinstance(loaded, Stint) else None
        candidate: Patient | None = None
        former: Patient | None = None
        if context.delivers is not None:
            self._still_matched(context.delivers, stream)
        if isinstance(command, MatchDocument):
            if isinstance(state, InboxDocument) and state.match not in (None, context.corrects):
                raise _matched_meanwhile(state)
            record = self._load("patient", command.patient)
            candidate = record if isinstance(record, Patient) else None
            if isinstance(state, InboxDocument) and state.patient is not None:
                before = self._load("patient", state.patient)
                former = before if isinstance(before, Patient) else None
        return propose(
            self._identifiers,
            state,
            command,
            context,
            stream,
            target=target,
            author_stint=author_stint,
            candidate=candidate,
            former=former,
            originals=[hashlib.sha256(content).hexdigest() for content in attachments],
            digest=digest,
        )

    def _still_matched(self, document: UUID, patient: UUID) -> None:
        """Refuse to deliver what was matched with another record meanwhile."""
        state = self._load("inbox", document)
        if isinstance(state, InboxDocument) and state.patient != patient:
            raise _matched_meanwhile(state)

    def _done_before(
        self, state: State | None, context: CommandContext, digest: str
    ) -> Outcome | None:
        """The first answer to this request, where it was given before."""
        if state is None:
            return None
        first = self._identifiers.event_id(state.id, context.actor, context.key, 0)
        known: Any = state.entries if isinstance(state, Patient) else state.event_ids
        if first not in known:
            return None
        ids = [first]
        while (
            following := self._identifiers.event_id(state.id, context.actor, context.key, len(ids))
        ) in known:
            ids.append(following)
        if isinstance(state, Patient):
            events = tuple(state.entries[each] for each in ids)
        else:
            at = state.event_ids[first]
            kept: Iterable[Any] = self.events.get(state.id, gt=at - 1, lte=at + len(ids) - 1)
            events = tuple(kept)
        if events[0].envelope.command_digest != digest:
            raise Reused
        return Outcome(state.id, tuple(ids), events[-1].originator_version, True, events)

    def _written(self, code: str, target: Target, stream: UUID) -> Written:
        state = self._load(target, stream)
        return _written(code, state)


def _of_class(events: Iterable[Event], event_class: int) -> Iterable[Event]:
    """``events`` of a stream of that class; none at all when it is of another one."""
    return (event for event in events if event.event_class == event_class)


def _expect(state: State | None, context: CommandContext) -> None:
    version = 0 if state is None else state.version
    if context.expected_version is not None and context.expected_version != version:
        raise _written("version-mismatch", state)


def _written(code: str, state: State | None) -> Written:
    last = None if state is None else state.last
    return Written(
        code,
        by=None if last is None else last.envelope.author,
        version=0 if state is None else state.version,
    )


def _matched_meanwhile(document: InboxDocument) -> MatchedMeanwhile:
    last = document.last
    return MatchedMeanwhile(
        "matched-meanwhile",
        by=None if last is None else last.envelope.author,
        version=document.version,
    )


def _attached(events: Iterable[Event], originals: Sequence[bytes]) -> tuple[Attachment, ...]:
    by_hash = {hashlib.sha256(content).hexdigest(): content for content in originals}
    return tuple(
        Attachment(event.event_id, by_hash[event.payload.sha256])
        for event in events
        if isinstance(event.payload, DocumentAttached | DocumentReceived)
        and event.payload.sha256 in by_hash
    )
