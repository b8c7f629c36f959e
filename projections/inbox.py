"""The inbox as read: one sealed row a document, who may read which part of it, silent senders.

A line has two halves. The **header** is what anybody who sorts the post needs: whose it says it
is, its kind, how and when it came in, from whom, and what became of it. The **content** (title,
words, values, bytes) is for who reads the record. Nothing here decides who that is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID

import msgspec
from psycopg_pool import ConnectionPool

from releve.domain.aggregates.inbox_document import (
    DocumentMatched,
    DocumentReceived,
    DocumentRejected,
    by_the_desk,
)
from releve.domain.events import Event, Source
from releve.domain.values import ExpectedSource
from releve.projections.summary_record import PatientSummary
from releve.security.errors import KeyDestroyed, SecurityError
from releve.security.keys.data_keys import DataKeys
from releve.security.keys.sealed_rows import open_row

KIND: Final = "inbox"
"""Label under which inbox rows are sealed."""

RECENT: Final = 300
"""Documents that a centre's list holds beside those that wait."""

InboxState = Literal["waiting", "matched", "rejected"]


class InboxLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One document as its events tell it."""

    document: UUID
    centre: UUID
    event: UUID
    """The event that brought it in, beside which its bytes are sealed."""
    position: int
    received_at: datetime
    received: DocumentReceived
    source: Source = Source()
    entered_by: str = ""
    """Who brought it in, as shown; a machine's name where nobody did."""
    state: InboxState = "waiting"
    patient: UUID | None = None
    matched_by: UUID | None = None
    decided_by: str = ""
    """Who matched it or set it aside, as shown."""
    decided_at: datetime | None = None
    agreed: tuple[str, ...] = ()
    confirmed: bool = False
    reason: str = ""
    sender_told: bool = False
    aside: bool = False
    """Set aside by the desk, which reads no content, and seen by no doctor since."""
    matched_at: UUID | None = None
    """The event of the match that stands."""
    formers: tuple[UUID, ...] = ()
    """Records that it was matched with before, wrongly, oldest first."""

    @property
    def waits_as(self) -> InboxState:
        """``state`` for the list of what waits: what the desk set aside waits for a doctor."""
        return "waiting" if self.aside else self.state


_ENCODER = msgspec.msgpack.Encoder(uuid_format="bytes")
_DECODER: msgspec.msgpack.Decoder[InboxLine] = msgspec.msgpack.Decoder(InboxLine)


def to_bytes(line: InboxLine) -> bytes:
    """The line as MessagePack."""
    return _ENCODER.encode(line)


def from_bytes(raw: bytes) -> InboxLine:
    """The line that :func:`to_bytes` wrote."""
    return _DECODER.decode(raw)


def fold_line(line: InboxLine | None, event: Event) -> InboxLine:
    """The line after ``event`` (pure).

    Raises:
        ValueError: the event does not belong to an inbox document, or not after that line.
    """
    told = event.envelope
    match event.payload, line:
        case DocumentReceived() as received, None if told.centre is not None:
            return InboxLine(
                document=event.originator_id,
                centre=told.centre,
                event=event.event_id,
                position=max(event.position or 0, 0),
                received_at=event.recorded_at,
                received=received,
                source=told.source,
                entered_by=told.author.name,
            )
        case DocumentMatched() as matched, InboxLine():
            return msgspec.structs.replace(
                line,
                state="matched",
                patient=matched.patient,
                matched_by=told.author.person,
                decided_by=told.author.name,
                decided_at=event.recorded_at,
                agreed=matched.agreed,
                confirmed=matched.confirmed,
                reason="",
                sender_told=False,
                aside=False,
                matched_at=event.event_id,
                formers=(*line.formers, line.patient) if line.patient else line.formers,
            )
        case DocumentRejected() as rejected, InboxLine():
            return msgspec.structs.replace(
                line,
                state="rejected",
                decided_by=told.author.name,
                decided_at=event.recorded_at,
                reason=told.reason or "",
                sender_told=rejected.sender_told,
                aside=by_the_desk(event),
            )
        case _:
            raise ValueError(f"{event.payload.topic} has no place in the inbox here")


# Senders


class SourceState(NamedTuple):
    """One expected sender: when something last came from it, and whether that is too long ago."""

    system: str
    within: timedelta
    last: datetime | None
    silent: bool


def sources(
    expected: Iterable[ExpectedSource], last: Mapping[str, datetime], at: datetime
) -> list[SourceState]:
    """The expected senders, silent ones first, longest silent first (pure).

    ``last`` is the newest arrival by sender as written. A sender from whom nothing ever came is
    silent: nobody can tell a link that was never made from one that broke.
    """
    found = []
    heard: dict[str, datetime] = {}
    for system, moment in last.items():
        named = sender_key(system)
        heard[named] = max(moment, heard.get(named, moment))
    for source in expected:
        within = timedelta(hours=source.within_hours)
        seen = heard.get(sender_key(source.system))
        found.append(SourceState(source.system, within, seen, seen is None or at - seen > within))
    return sorted(
        found,
        key=lambda each: (
            not each.silent,
            each.last.timestamp() if each.last else float("-inf"),
            each.system,
        ),
    )


def sender_key(system: str) -> str:
    """One sender is one sender whatever the capitals and spaces of its name."""
    return " ".join(system.split()).casefold()


def last_by_system(lines: Iterable[InboxLine]) -> dict[str, datetime]:
    """When each sender was last heard of, by what the inbox holds (pure)."""
    found: dict[str, datetime] = {}
    for line in lines:
        system = line.source.system
        if system and (system not in found or found[system] < line.received_at):
            found[system] = line.received_at
    return found


def source_states(
    expected: Iterable[ExpectedSource],
    lines: Iterable[InboxLine],
    summaries: Callable[[], Iterable[PatientSummary]],
    at: datetime,
) -> list[SourceState]:
    """As :func:`sources`, by the inbox and by results that came to records through another door.

    ``summaries`` is asked only where the inbox alone would call somebody silent.
    """
    wanted = tuple(expected)
    last = last_by_system(lines) if wanted else {}
    found = sources(wanted, last, at)
    if not any(each.silent for each in found):
        return found
    for summary in summaries():
        for result in summary.results:
            for version in result.versions:
                system = version.source.system if version.source else None
                if system and (system not in last or last[system] < version.recorded_at):
                    last[system] = version.recorded_at
    return sources(wanted, last, at)


# Reading


class InboxRecords:
    """A centre's inbox, opened, and kept in memory; only rows that changed are opened again.

    Whoever calls has asked the policy and makes the access entry. Safe in several threads.
    """

    def __init__(self, pool: ConnectionPool[Any], data_keys: DataKeys) -> None:
        """Read through ``pool``; open with ``data_keys``."""
        self._pool = pool
        self._data_keys = data_keys
        self._lock = threading.Lock()
        self._kept: dict[UUID, dict[UUID, tuple[str, InboxLine]]] = {}

    def lines(self, centre: UUID) -> list[InboxLine]:
        """Every document that waits, and the newest others; newest first.

        Raises:
            KeyServiceDown: try again.
            Tampered: a row does not open where it stands.
        """
        with self._pool.connection() as connection:
            stamps = connection.execute(_STAMPS, {"centre": centre, "recent": RECENT}).fetchall()
            held = self._kept.get(centre, {})
            stale = [d for d, wrote in stamps if d not in held or held[d][0] != wrote]
            rows = connection.execute(_ROWS, (stale,), binary=True).fetchall() if stale else []
        opened = {line.document: (wrote, line) for wrote, line in self._opened(rows)}
        kept = {}
        for document, _ in stamps:
            found = opened.get(document) or (None if document in stale else held.get(document))
            if found is not None:
                kept[document] = found
        with self._lock:
            self._kept[centre] = kept
        lines = [line for _, line in kept.values()]
        return sorted(lines, key=lambda line: (-line.position, line.document.hex))

    def waiting(self, centre: UUID) -> list[InboxLine]:
        """Documents that nobody matched or set aside yet, oldest first."""
        return [line for line in reversed(self.lines(centre)) if line.state == "waiting"]

    def one(self, document: UUID) -> InboxLine | None:
        """One document; None when there is none, or it was erased."""
        with self._pool.connection() as connection:
            rows = connection.execute(_ROWS, ([document],), binary=True).fetchall()
        return next((line for _, line in self._opened(rows)), None)

    def matched(self) -> list[UUID]:
        """Every document that is matched, in all centres, oldest first; nothing is opened."""
        with self._pool.connection() as connection:
            return [row[0] for row in connection.execute(_MATCHED).fetchall()]

    def matched_rows(self) -> list[tuple[UUID, str]]:
        """As :meth:`matched`, each with a mark that changes when it is matched again."""
        with self._pool.connection() as connection:
            return [(row[0], row[1]) for row in connection.execute(_MATCHED).fetchall()]

    def centre_of(self, document: UUID) -> UUID | None:
        """The centre that a document came to; nothing is opened."""
        return centre_of(self._pool, document)

    def _opened(self, rows: list[Any]) -> Iterable[tuple[str, InboxLine]]:
        keys = self._data_keys.look_up((row[0], 1) for row in rows)
        for document, position, wrote, row in rows:
            key = keys[document, 1]
            if isinstance(key, KeyDestroyed):
                continue
            if isinstance(key, SecurityError):
                raise key
            yield wrote, from_bytes(open_row(key, KIND, document, position, row))


def centre_of(pool: ConnectionPool[Any], document: UUID) -> UUID | None:
    """The centre that a document came to; None when there is no such document."""
    with pool.connection() as connection:
        row = connection.execute(_CENTRE, (document,)).fetchone()
    return row[0] if row else None


_STAMPS: Final = (
    "SELECT i.document, i.xmin::text FROM projection.feed f "
    "JOIN projection.inbox i ON i.build = f.build "
    "WHERE f.name = 'main' AND i.centre = %(centre)s AND (i.state = 'waiting' OR i.document IN ("
    "SELECT n.document FROM projection.inbox n WHERE n.build = f.build "
    "AND n.centre = %(centre)s ORDER BY n.position DESC LIMIT %(recent)s))"
)
_ROWS: Final = (
    "SELECT i.document, i.position, i.xmin::text, i.row FROM projection.feed f "
    "JOIN projection.inbox i ON i.build = f.build "
    "WHERE f.name = 'main' AND i.document = ANY(%b)"
)
_CENTRE: Final = (
    "SELECT i.centre FROM projection.feed f JOIN projection.inbox i ON i.build = f.build "
    "WHERE f.name = 'main' AND i.document = %s"
)
_MATCHED: Final = (
    "SELECT i.document, i.xmin::text FROM projection.feed f "
    "JOIN projection.inbox i ON i.build = f.build "
    "WHERE f.name = 'main' AND i.state = 'matched' ORDER BY i.position"
)
