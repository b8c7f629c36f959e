"""given(events).when(command).then(events): decisions tested in the words of the domain.

Given payloads become events 1, 2, ... of one stream; ``entry(n)`` is the id of the n-th. ``when``
asks as Dr Amont (the doctor in post from Monday 23 to Saturday 28 November 2026) unless told
otherwise, on Tuesday the 24th at 10:00 in Paris.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from releve.domain.aggregates.patient import Patient
from releve.domain.aggregates.stint import Stint, StintEnded, StintPlanned
from releve.domain.commands import COMMANDS, Command, Target
from releve.domain.errors import Invalid, Refused
from releve.domain.events import Author, Envelope, Event, Payload, Source
from releve.domain.requests import CommandContext, fold, propose
from releve.security.ledger.envelope import derive_event_id, derive_stream

NAMES = UUID("00000000-0000-4000-8000-00000000abcd")


def named(name: str) -> UUID:
    """A stable id for a name."""
    return uuid5(NAMES, name)


STREAM, CENTRE, OTHER_CENTRE = named("stream"), named("centre"), named("other centre")
NOW = datetime.fromisoformat("2026-11-24T10:00:00+01:00")
ACTOR, KEY = b"actor", b"request"

AMONT = Author(role="doctor", name="Dr Amont", person=named("amont"), stint=named("stint of amont"))
AVAL = Author(role="doctor", name="Dr Aval", person=named("aval"), stint=named("stint of aval"))
REFERENT = Author(role="referent", name="Dr Camille Référent", person=named("referent"))
NURSE = Author(role="nurse", name="Sacha Infirmier", person=named("nurse"))
COORDINATOR = Author(role="coordinator", name="Lou Coordinatrice", person=named("coordinator"))
SECRETARY = Author(role="secretary", name="Dominique Secrétaire", person=named("secretary"))
SYSTEM = Author(role="system", name="Relève")


class DerivedIds:
    """The ids that the ledger derives."""

    def event_id(self, stream: UUID, actor: bytes, key: bytes, ordinal: int) -> UUID:
        return derive_event_id(stream, actor, key, ordinal)

    def stream(self, actor: bytes, key: bytes) -> UUID:
        return derive_stream(actor, key)


IDS = DerivedIds()


def entry(place: int, stream: UUID = STREAM) -> UUID:
    """Id of the ``place``-th event given, from 1."""
    return derive_event_id(stream, b"given", b"given", place)


@dataclass(frozen=True)
class Told:
    """A payload with what its envelope says beside the defaults."""

    payload: Payload
    author: Author = AMONT
    at: str = "2026-11-23T09:00:00+01:00"
    target: UUID | None = None
    source: Source | None = None
    reason: str | None = None
    encounter_id: UUID | None = None


def events(
    told: Iterable[Payload | Told], *, stream: UUID = STREAM, kind: Target = "patient"
) -> list[Event]:
    """Events 1, 2, ... of ``stream``."""
    classes = {"patient": 1, "centre": 2, "practitioner": 3, "stint": 4, "inbox": 5, "rules": 7}
    made = []
    for place, each in enumerate(told, start=1):
        one = each if isinstance(each, Told) else Told(each)
        made.append(
            Event(
                originator_id=stream,
                originator_version=place,
                event_id=entry(place, stream),
                event_class=classes[kind],
                recorded_at=NOW - timedelta(days=1) + timedelta(seconds=place),
                envelope=Envelope(
                    occurred_at=one.at,
                    author=one.author,
                    centre=CENTRE,
                    target=one.target,
                    reason=one.reason,
                    encounter_id=one.encounter_id,
                    source=one.source or Source(),
                ),
                payload=one.payload,
            )
        )
    return made


def stint_of(
    author: Author,
    starts_at: str = "2026-11-23T08:00:00+01:00",
    ends_at: str = "2026-11-28T13:00:00+01:00",
    *,
    centre: UUID = CENTRE,
    ended: str | None = None,
) -> Stint:
    """The folded stint of ``author``."""
    assert author.person is not None
    assert author.stint is not None
    told: list[Payload | Told] = [
        StintPlanned(
            practitioner=author.person,
            practitioner_name=author.name,
            centre=centre,
            starts_at=starts_at,
            ends_at=ends_at,
        )
    ]
    if ended is not None:
        told.append(Told(StintEnded(cause="cut-short"), at=ended))
    state = fold("stint", None, events(told, stream=author.stint, kind="stint"))
    assert isinstance(state, Stint)
    return state


@dataclass
class Given:
    """A stream as it stands."""

    kind: Target
    state: Any
    """The folded state; None where nothing happened."""

    def when(
        self,
        command: Command,
        *,
        by: Author = AMONT,
        stint: Stint | None = None,
        now: datetime = NOW,
        originals: Iterable[str] = (),
        candidate: Patient | None = None,
        key: bytes = KEY,
        **context: Any,
    ) -> When:
        """Ask; whatever comes of it is judged by the answer's methods."""
        asked = CommandContext(
            author=by,
            now=now,
            key=key,
            actor=ACTOR,
            centre=context.pop("centre", CENTRE),
            **context,
        )
        if stint is None and by in (AMONT, AVAL):
            stint = stint_of(by)
        assert COMMANDS[command.name].target == self.kind
        try:
            decided = propose(
                IDS,
                self.state,
                command,
                asked,
                STREAM,
                author_stint=stint,
                candidate=candidate,
                originals=originals,
            )
        except (Invalid, Refused) as refused:
            return When((), refused, self)
        return When(decided, None, self)


@dataclass
class When:
    """What came of a command."""

    events: tuple[Event, ...]
    refusal: Invalid | Refused | None
    given: Given

    def then(self, *payloads: Payload) -> When:
        """Exactly these facts, in this order."""
        assert self.refusal is None, (
            f"refused: {self.refusal} ({self.refusal.why}; {self.refusal.field})"
        )
        assert [event.payload for event in self.events] == list(payloads)
        return self

    def nothing(self) -> None:
        """No event, and no refusal either."""
        self.then()

    def refused(self, code: str, *, field: str | None = None) -> None:
        """A rule said no, with that code (and field)."""
        assert isinstance(self.refusal, Refused), f"not refused: {self.refusal or self.events}"
        self._coded(code, field)

    def invalid(self, code: str, *, field: str) -> None:
        """The request itself was malformed at ``field``."""
        assert isinstance(self.refusal, Invalid), f"not invalid: {self.refusal or self.events}"
        self._coded(code, field)

    def _coded(self, code: str, field: str | None) -> None:
        assert self.refusal is not None
        assert self.refusal.code == code
        if field is not None:
            assert self.refusal.field == field
        assert self.refusal.what
        assert self.refusal.why
        assert self.refusal.do

    @property
    def state(self) -> Any:
        """The state after these events."""
        return fold(self.given.kind, deepcopy(self.given.state), self.events)


def given(*told: Payload | Told, kind: Target = "patient") -> Given:
    """A stream on which this happened; nothing at all is a stream that does not exist yet."""
    return Given(kind, fold(kind, None, events(told, kind=kind)))
