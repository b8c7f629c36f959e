"""Write sealed events with one statement, one round trip, no lock; read them back.

The statement itself re-checks what the sealed bytes claim: that the row of the version before has
the leaf they were chained to, that ``recorded_at`` agrees with the database's clock, and that it
is the first write of its transaction (two appends in one transaction could be numbered in
reverse). Races are decided by the primary key (stream, version). Nothing locks a table, nothing
notifies: the sequencer does that, alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final, NamedTuple, Never
from uuid import UUID

import psycopg
from eventsourcing.persistence import (
    ApplicationRecorder,
    IntegrityError,
    Notification,
    NotSupportedError,
    OperationalError,
    StoredEvent,
    Subscription,
)
from psycopg.types.numeric import Int8

from releve.security.errors import LedgerDown
from releve.security.ledger.connection import (
    LARGEST,
    LedgerUnreachable,
    NoticeWatch,
    Pool,
    binary_cursor,
    borrowed,
)
from releve.security.ledger.envelope import HEADER_LENGTH, leaf_hash


class Refusal(IntegrityError):
    """The append was refused and nothing was written; ``cause`` says why, in one stable word."""

    cause = "refused"


class VersionConflict(Refusal):
    """Another writer has this version of the stream: reload, decide again, never save again."""

    cause = "version"


class ChainBroken(VersionConflict):
    """The row of the version before is missing or has another leaf than was chained to."""

    cause = "chain"


class DuplicateEvent(Refusal):
    """An event with the same id stands in the stream already: the request was done before."""

    cause = "event-id"


class ClaimTaken(Refusal):
    """Another record holds this identifier. ``stream`` is that record, where it is known."""

    cause = "claim"

    def __init__(self, kind: str, stream: UUID | None) -> None:
        super().__init__(f"a claim of kind {kind} is taken")
        self.kind = kind
        self.stream = stream


class ClockRefused(Refusal):
    """``recorded_at`` is further from the database's clock than allowed."""

    cause = "clock"


class NotFirstWrite(Refusal):
    """The transaction had written before the append."""

    cause = "not-first-write"


class OutcomeUnknown(LedgerDown, OperationalError):
    """The database did not say whether the events were kept: ask again with the same ids.

    Also raised after a commit that the synchronous standby did not confirm.
    """

    cause = "unknown"


class Claim(NamedTuple):
    """An identifier (its blind index) that one record alone may hold."""

    kind: str
    mac: bytes


class SealedAttachment(NamedTuple):
    """Bytes that belong to an event, already sealed."""

    event_id: UUID
    stream: UUID
    body: bytes


class Link(NamedTuple):
    """What the first event of a stream in a batch was chained to: version n-1 and its leaf."""

    stream: UUID
    version: int
    leaf: bytes


_APPEND_ONE: Final = """
WITH guard AS MATERIALIZED (SELECT
    $2 = 1 OR EXISTS (
        SELECT FROM ledger.event p WHERE p.stream = $1 AND p.version = $2 - 1
        AND sha256('\\x00'::bytea || p.header) = $7
    ) AS is_chained,
    $8::bigint IS NULL OR (
        $9::bigint >= (extract(epoch FROM clock_timestamp()) * 1000000)::bigint - $8
        AND $9::bigint <= (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + $8
    ) AS clock_agrees,
    pg_current_xact_id_if_assigned() IS NULL AS is_first
), written AS (
    INSERT INTO ledger.event (stream, version, topic, header, body, event_id)
    SELECT $1, $2, $3, $4, $5, $6 FROM guard WHERE is_chained AND clock_agrees AND is_first
    RETURNING 1
)
SELECT is_chained, clock_agrees, is_first, (SELECT count(*) FROM written) FROM guard"""

_APPEND_MANY: Final = """
WITH guard AS MATERIALIZED (SELECT
    (SELECT coalesce(bool_and(coalesce((
        SELECT sha256('\\x00'::bytea || p.header) = l.leaf FROM ledger.event p
        WHERE p.stream = l.stream AND p.version = l.version
    ), false)), true)
    FROM unnest($7::uuid[], $8::bigint[], $9::bytea[]) AS l(stream, version, leaf)
    ) AS is_chained,
    $10::bigint IS NULL OR (
        $11::bigint >= (extract(epoch FROM clock_timestamp()) * 1000000)::bigint - $10
        AND $12::bigint <= (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + $10
    ) AS clock_agrees,
    pg_current_xact_id_if_assigned() IS NULL AS is_first
), written AS (
    INSERT INTO ledger.event (stream, version, topic, header, body, event_id)
    SELECT e.stream, e.version, e.topic, e.header, e.body, e.event_id
    FROM guard, unnest($1::uuid[], $2::bigint[], $3::text[], $4::bytea[], $5::bytea[], $6::uuid[])
        WITH ORDINALITY AS e(stream, version, topic, header, body, event_id, n)
    WHERE is_chained AND clock_agrees AND is_first
    ORDER BY e.n
    RETURNING 1
), kept AS (SELECT count(*) AS n FROM written
), claimed AS (
    INSERT INTO ledger.claim (kind, mac, stream)
    SELECT c.kind, c.mac, c.stream
    FROM kept, unnest($13::text[], $14::bytea[], $15::uuid[]) AS c(kind, mac, stream)
    WHERE kept.n > 0 AND NOT EXISTS (
        SELECT FROM ledger.claim h WHERE h.kind = c.kind AND h.mac = c.mac AND h.stream = c.stream)
    RETURNING 1
), attached AS (
    INSERT INTO ledger.attachment (event_id, stream, body)
    SELECT a.event_id, a.stream, a.body
    FROM kept, unnest($16::uuid[], $17::uuid[], $18::bytea[]) AS a(event_id, stream, body)
    WHERE kept.n > 0
    RETURNING 1
)
SELECT is_chained, clock_agrees, is_first, (SELECT n FROM kept),
    (SELECT count(*) FROM claimed), (SELECT count(*) FROM attached)
FROM guard"""

_SELECT_STREAM: Final = """
SELECT e.version, e.topic, e.header, e.body FROM ledger.event e
WHERE e.stream = $1 AND e.version > $2 AND e.version <= $3 ORDER BY e.version {order} LIMIT $4"""
_SELECT_ASCENDING: Final = _SELECT_STREAM.format(order="ASC")
_SELECT_DESCENDING: Final = _SELECT_STREAM.format(order="DESC")

_SELECT_HEADER: Final = """
SELECT e.header FROM ledger.event e WHERE e.stream = $1 AND e.version = $2"""

_SELECT_NOTIFICATIONS: Final = """
SELECT l.position, e.stream, e.version, e.topic, e.header, e.body
FROM ledger.leaf l CROSS JOIN LATERAL (
    SELECT e.stream, e.version, e.topic, e.header, e.body FROM ledger.event e
    WHERE e.stream = l.stream AND e.version = l.version OFFSET 0) e
WHERE l.position >= $1 AND l.position <= $2 AND ($3::text[] IS NULL OR e.topic = ANY ($3))
ORDER BY l.position LIMIT $4"""


class LedgerRecorder(ApplicationRecorder):
    """The library's recorder over ``ledger.event``; ``state`` of an event is header, then body.

    The library's notification ids start at 1: here they are position + 1, and an append gives
    none, since the sequencer numbers events after they are durable.
    """

    def __init__(self, pool: Pool, skew: timedelta | None) -> None:
        """``skew`` bounds ``recorded_at`` against the database's clock; None switches that off."""
        self._pool = pool
        self._skew = None if skew is None else Int8(skew // timedelta(microseconds=1))

    def insert_events(
        self, stored_events: Sequence[StoredEvent], **kwargs: Any
    ) -> Sequence[int] | None:
        """Append sealed events, all or none; gives None, since positions come later.

        ``kwargs`` may hold ``claims`` (pairs of stream and :class:`Claim`) and ``attachments``
        (:class:`SealedAttachment`), written after the events in the same transaction.

        Raises:
            VersionConflict, ChainBroken, DuplicateEvent, ClaimTaken, ClockRefused: refused.
            OutcomeUnknown: sent, and no answer that can be trusted came back.
            LedgerUnreachable: no connection; nothing was sent.
        """
        claims: Sequence[tuple[UUID, Claim]] = kwargs.get("claims", ())
        attachments: Sequence[SealedAttachment] = kwargs.get("attachments", ())
        if not stored_events:
            if claims or attachments:
                raise ValueError("claims and attachments go with the events that make them")
            return None
        if len(stored_events) == 1 and not claims and not attachments:
            query, parameters = _APPEND_ONE, self._one(stored_events[0])
        else:
            query, parameters = _APPEND_MANY, self._many(stored_events, claims, attachments)
        taken: psycopg.errors.UniqueViolation | None = None
        row: Any = None
        with borrowed(self._pool) as connection, NoticeWatch(connection) as notices:
            try:
                cursor = binary_cursor(connection).execute(query, parameters, prepare=True)
                row = cursor.fetchone()
            except psycopg.errors.UniqueViolation as error:
                taken = error
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                connection.close()
                raise OutcomeUnknown("no answer to an append") from error
            if notices.seen:
                connection.close()
                raise OutcomeUnknown("the standby did not confirm an append")
        if taken is not None:
            # Who holds a claim is asked on another connection: this one has been given back, or
            # as many refusals at once as there are connections would wait for each other.
            self._refuse(taken, claims)
        if row is None:  # pragma: no cover - the statement always gives its guard's row
            raise OutcomeUnknown("an append gave no row")
        is_chained, clock_agrees, is_first, written = row[:4]
        if not is_first:
            raise NotFirstWrite("an append must be the first write of its transaction")
        if not is_chained:
            raise ChainBroken("the version before is not the one these events were chained to")
        if not clock_agrees:
            raise ClockRefused("recorded_at is too far from the database's clock")
        if written != len(stored_events):  # pragma: no cover - the guard names every reason
            raise OutcomeUnknown("an append kept another number of events than it was given")
        return None

    def _one(self, stored: StoredEvent) -> tuple[object, ...]:
        state = stored.state
        return (
            stored.originator_id,
            Int8(stored.originator_version),
            stored.topic,
            state[:HEADER_LENGTH],
            state[HEADER_LENGTH:],
            UUID(bytes=state[8:24]),
            state[76:108],
            self._skew,
            Int8(int.from_bytes(state[48:56], "big")),
        )

    def _many(
        self,
        stored_events: Sequence[StoredEvent],
        claims: Sequence[tuple[UUID, Claim]],
        attachments: Sequence[SealedAttachment],
    ) -> tuple[object, ...]:
        states = [stored.state for stored in stored_events]
        times = [int.from_bytes(state[48:56], "big") for state in states]
        links = links_of(stored_events)
        return (
            [stored.originator_id for stored in stored_events],
            [Int8(stored.originator_version) for stored in stored_events],
            [stored.topic for stored in stored_events],
            [state[:HEADER_LENGTH] for state in states],
            [state[HEADER_LENGTH:] for state in states],
            [UUID(bytes=state[8:24]) for state in states],
            [link.stream for link in links],
            [Int8(link.version) for link in links],
            [link.leaf for link in links],
            self._skew,
            Int8(min(times)),
            Int8(max(times)),
            [claim.kind for _, claim in claims],
            [claim.mac for _, claim in claims],
            [stream for stream, _ in claims],
            [attachment.event_id for attachment in attachments],
            [attachment.stream for attachment in attachments],
            [attachment.body for attachment in attachments],
        )

    def _refuse(
        self, error: psycopg.errors.UniqueViolation, claims: Sequence[tuple[UUID, Claim]]
    ) -> Never:
        table, constraint = error.diag.table_name or "", error.diag.constraint_name or ""
        if table == "claim":
            raise self._taken(claims) from error
        if table.startswith("event") and constraint.endswith("_pkey"):
            raise VersionConflict("another writer has this version") from error
        raise DuplicateEvent("an event with this id stands in the stream") from error

    def _taken(self, claims: Sequence[tuple[UUID, Claim]]) -> ClaimTaken:
        rows = self._read(
            "SELECT h.kind, h.mac, h.stream FROM ledger.claim h "
            "JOIN unnest($1::text[], $2::bytea[]) AS c(kind, mac) USING (kind, mac)",
            ([claim.kind for _, claim in claims], [claim.mac for _, claim in claims]),
        )
        held = {(kind, bytes(mac)): stream for kind, mac, stream in rows}
        for stream, claim in claims:
            holder = held.get((claim.kind, claim.mac))
            if holder is not None and holder != stream:
                return ClaimTaken(claim.kind, holder)
        # Two records of one batch asked for the same identifier, or the holder has just left.
        return ClaimTaken(claims[-1][1].kind, None)

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        """One stream's events by version; a purged body leaves the header alone.

        Raises:
            LedgerUnreachable: the database does not answer.
        """
        rows = self.select_rows(originator_id, gt=gt, lte=lte, desc=desc, limit=limit)
        return [
            StoredEvent(originator_id, version, topic, header + body if body else header)
            for version, topic, header, body in rows
        ]

    def select_rows(
        self,
        stream: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> list[tuple[int, str, bytes, bytes | None]]:
        """The same as :meth:`select_events`, as (version, topic, header, body)."""
        return self._read(
            _SELECT_DESCENDING if desc else _SELECT_ASCENDING,
            (
                stream,
                Int8(-1 if gt is None else gt),
                Int8(LARGEST if lte is None else lte),
                None if limit is None else Int8(limit),
            ),
        )

    def select_leaf(self, stream: UUID, version: int) -> bytes | None:
        """The leaf of one event, None if there is no such event."""
        rows = self._read(_SELECT_HEADER, (stream, Int8(version)))
        return leaf_hash(rows[0][0]) if rows else None

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        """Numbered events in order; ids are position + 1, topics are class names."""
        first = 0 if start is None else start - 1 + (not inclusive_of_start)
        return [
            Notification(stream, version, topic, header + body if body else header, position + 1)
            for position, stream, version, topic, header, body in self._read(
                _SELECT_NOTIFICATIONS,
                (
                    Int8(first),
                    Int8(LARGEST if stop is None else stop - 1),
                    list(topics) or None,
                    Int8(limit),
                ),
            )
        ]

    def max_notification_id(self) -> int | None:
        """The number of events that have a position, None if there is none."""
        rows = self._read("SELECT h.size FROM ledger.head h", ())
        return rows[0][0] or None if rows else None

    def subscribe(
        self, gt: int | None = None, topics: Sequence[str] = ()
    ) -> Subscription[ApplicationRecorder]:
        """Not offered: the feed reads by position and survives a lost connection."""
        raise NotSupportedError("read the ledger by position (LedgerReader.by_position)")

    def _read(self, query: str, parameters: Sequence[object]) -> list[Any]:
        return read(self._pool, query, parameters)


def read(pool: Pool, query: str, parameters: Sequence[object]) -> list[Any]:
    """Rows of a query with ``$1`` placeholders; asked a second time if the connection was stale.

    Raises:
        LedgerUnreachable: the database does not answer.
    """
    for attempt in (1, 2):
        try:
            with borrowed(pool) as connection:
                cursor = binary_cursor(connection).execute(query, parameters, prepare=True)
                return cursor.fetchall()
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            if attempt == 2:
                raise LedgerUnreachable("the database does not answer") from error
    raise AssertionError("unreachable")  # pragma: no cover


def links_of(stored_events: Sequence[StoredEvent]) -> list[Link]:
    """What each stream's first event in the batch was chained to; new streams have no link."""
    seen: set[object] = set()
    links: list[Link] = []
    for stored in stored_events:
        if stored.originator_id not in seen:
            seen.add(stored.originator_id)
            if stored.originator_version > 1:
                stream = UUID(bytes=stored.state[24:40])
                links.append(Link(stream, stored.originator_version - 1, stored.state[76:108]))
    return links
