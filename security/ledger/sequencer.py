"""Give committed events their dense positions, and grow the log over them.

An event has no position when it is committed: numbers taken at insert time would show gaps and
late comers to whoever reads along. The sequencer reads committed rows in (transaction, id) order
below the snapshot horizon, where no transaction is still open, and gives each the next position,
which is also its leaf index. Leaf rows, full tiles, known time and the unsigned head go in one
transaction. Any number of sequencers may run: the head row is the lease, and one works.

The cursor means something in one cluster only. After a logical restore (transaction numbers start
anew) the rows without a position that stood there get theirs first, in order of id; from then on
only rows above them are looked at.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

import psycopg
from psycopg.types.numeric import Int4, Int8

from releve.security.errors import SecurityError
from releve.security.ledger import merkle
from releve.security.ledger.connection import (
    Connection,
    LedgerUnreachable,
    NoticeWatch,
    Pool,
    binary_cursor,
    borrowed,
)
from releve.security.ledger.envelope import (
    CLASS_NAMES,
    EXPORT,
    GENESIS,
    HEADS,
    derive_event_id,
    heads_stream,
    leaf_hash,
    seal_clear,
)
from releve.security.ledger.mapper import microseconds
from releve.security.ledger.recorder import read

CHANNEL: Final = "releve_position"
"""Notified with the log's size after new positions, at most every 5 ms."""

BATCH_ROWS: Final = 2_000
"""Rows numbered in one transaction: well under a quarter of a second."""

_NOTIFY_EVERY: Final = 0.005
_LEASE_PATIENCE: Final = "5s"
_TAIL_PATIENCE_S: Final = 10.0
_STALE_CURSOR: Final = 10_000
"""Transactions that pass before an idle cursor that has restored rows above it is moved on."""

_log = logging.getLogger("releve.ledger")

# Where a statement must stay fast however long the log is, it leaves the planner one way: ordered
# look-ahead of a known length, and a scalar subquery instead of an anti-join.
_POLL: Final = """
SELECT i.incarnation, h.incarnation = i.incarnation, h.tail_through IS NOT NULL, w.n IS NOT NULL,
    CASE WHEN h.floor_id > 0
        THEN pg_snapshot_xmin(pg_current_snapshot())::text::numeric - h.last_tx::text::numeric > $1
        ELSE false END
FROM ledger.head h CROSS JOIN (
    SELECT c.system_identifier || ':' || d.oid AS incarnation
    FROM pg_control_system() c, pg_database d WHERE d.datname = current_database()) i
LEFT JOIN LATERAL (
    SELECT 1 AS n FROM ledger.event e
    WHERE e.id > h.floor_id AND (e.tx, e.id) > (h.last_tx, h.last_id)
    AND e.tx < pg_snapshot_xmin(pg_current_snapshot())
    AND (SELECT l.position FROM ledger.leaf l
         WHERE l.stream = e.stream AND l.version = e.version) IS NULL
    ORDER BY e.tx, e.id LIMIT 1) w ON true"""

_LEASE: Final = """
SELECT h.size, h.frontier, h.known_us, h.incarnation, h.floor_id, h.last_tx::text, h.last_id,
    h.tail_through IS NOT NULL,
    h.tail_through >= pg_snapshot_xmin(pg_current_snapshot()),
    pg_snapshot_xmin(pg_current_snapshot())::text,
    -- For this transaction: never sort a whole backlog to take its first rows.
    set_config('enable_sort', 'off', true), set_config('enable_bitmapscan', 'off', true),
    set_config('enable_seqscan', 'off', true)
FROM ledger.head h FOR UPDATE"""

# The columns of ORDER BY are the table's: an output column cast to text would sort as text.
_SCAN: Final = """
SELECT e.stream, e.version, e.header, e.tx::text AS tx_text, e.id AS row_id
FROM ledger.event e
WHERE e.id > $1 AND (e.tx, e.id) > ($2::text::xid8, $3::bigint) AND e.tx < $4::text::xid8
AND (SELECT l.position FROM ledger.leaf l
     WHERE l.stream = e.stream AND l.version = e.version) IS NULL
ORDER BY e.tx, e.id LIMIT {limit:d}"""

_SCAN_TAIL: Final = """
SELECT e.stream, e.version, e.header, e.tx::text AS tx_text, e.id AS row_id
FROM ledger.event e
WHERE e.id <= $1
AND NOT EXISTS (SELECT FROM ledger.leaf l WHERE l.stream = e.stream AND l.version = e.version)
ORDER BY e.id LIMIT $2"""

_NEW_FLOOR: Final = """
SELECT pg_snapshot_xmin(pg_current_snapshot())::text, nextval('ledger.event_id_seq'),
    (SELECT coalesce(max(e.id), 0) FROM ledger.event e)"""

_NEW_INCARNATION: Final = """
UPDATE ledger.head SET incarnation = $1, floor_id = $2, last_tx = $3::text::xid8, last_id = 0,
    tail_through = pg_current_xact_id()"""

_WRITE: Final = """
WITH leaves AS (
    INSERT INTO ledger.leaf (position, stream, version, class, leaf)
    SELECT $1::bigint + l.n - 1, l.stream, l.version, l.class, l.leaf
    FROM unnest($2::uuid[], $3::bigint[], $4::integer[], $5::bytea[])
        WITH ORDINALITY AS l(stream, version, class, leaf, n)
), tiles AS (
    INSERT INTO ledger.tile (level, idx, hashes)
    SELECT t.level, t.idx, t.hashes
    FROM unnest($6::integer[], $7::bigint[], $8::bytea[]) AS t(level, idx, hashes)
), times AS (
    INSERT INTO ledger.known_time (position, known_us)
    SELECT $9::bigint - 1, $11::bigint WHERE $9::bigint > $1::bigint
)
UPDATE ledger.head SET size = $9, frontier = $10, known_us = $11,
    last_tx = $12::text::xid8, last_id = $13,
    tail_through = CASE WHEN $14::boolean THEN tail_through END"""

_INSERT_OWN: Final = """
INSERT INTO ledger.event (stream, version, topic, header, body, event_id)
VALUES ($1, $2, $3, $4, $5, $6)"""

_BACKLOG: Final = """
SELECT count(w.n) FROM ledger.head h LEFT JOIN LATERAL (
    SELECT 1 AS n FROM ledger.event e
    WHERE e.id > h.floor_id AND (e.tx, e.id) > (h.last_tx, h.last_id)
    AND (SELECT l.position FROM ledger.leaf l
         WHERE l.stream = e.stream AND l.version = e.version) IS NULL
    OFFSET 0) w ON true"""

# One index probe a stream, however long the streams are.
_STREAM_HEADS: Final = """
WITH RECURSIVE newest AS (
    (SELECT l.stream, l.version, l.leaf FROM ledger.leaf l
     ORDER BY l.stream DESC, l.version DESC LIMIT 1)
    UNION ALL
    SELECT n.stream, n.version, n.leaf FROM newest p CROSS JOIN LATERAL (
        SELECT l.stream, l.version, l.leaf FROM ledger.leaf l WHERE l.stream < p.stream
        ORDER BY l.stream DESC, l.version DESC LIMIT 1) n
)
SELECT h.size, n.stream, n.version, n.leaf FROM ledger.head h LEFT JOIN newest n ON true"""


class SequenceBehind(SecurityError):
    """Rows have higher ids than the sequence gives: numbering would pass over new events.

    Happens where rows were copied without their sequence; set ``ledger.event_id_seq`` above the
    greatest id, as the owner.
    """

    code = "ledger-sequence-behind"


BuildManifest = Callable[[int, Sequence[UUID]], bytes]
"""Gives an export's manifest for a checkpoint size and all streams, ascending."""


class Appended(NamedTuple):
    """The log just after the ledger's own events: its size and root, and the manifest given."""

    size: int
    root: bytes
    manifest: bytes


@dataclass(frozen=True, slots=True)
class _Lease:
    """The head row as this sequencer holds it, and the horizon it saw when it took it."""

    size: int
    frontier: bytes
    known_us: int
    incarnation: str
    floor_id: int
    last_tx: str
    last_id: int
    has_tail: bool
    tail_waits: bool
    horizon: str


class _Row(NamedTuple):
    stream: UUID
    version: int
    event_class: int
    recorded_at: int
    leaf: bytes


class Sequencer:
    """Numbers events. Not tied to a thread or process; each call is one or more transactions."""

    def __init__(
        self,
        pool: Pool,
        cell: UUID,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        on_positions: Callable[[int], None] | None = None,
    ) -> None:
        """Take the worker role's pool and the cell, whose HEADS stream this one writes.

        Args:
            pool: connections of a member of ``releve_sequencer``.
            cell: the log's name for ever.
            clock: ``recorded_at`` of HEADS and EXPORT events, never below the log's known time.
            on_positions: called with the log's size after new positions.
        """
        self._pool = pool
        self._heads = heads_stream(cell)
        self._clock = clock
        self._on_positions = on_positions
        self._announced_at = 0.0
        self._announce_later: int | None = None

    def run_once(self, max_rows: int = BATCH_ROWS) -> int:
        """Number at most ``max_rows`` events below the horizon; 0 if there is nothing or no lease.

        Raises:
            LedgerUnreachable: the database does not answer; what was given stays given.
            SequenceBehind: nothing can be numbered safely.
        """
        with self._connection() as connection:
            self._announce(connection)
            incarnation, is_known, has_tail, has_rows, is_stale = _one(
                connection, _POLL, Int4(_STALE_CURSOR)
            )
            if not is_known:
                self._adopt(connection, incarnation)
                return 0
            if not (has_tail or has_rows or is_stale):
                return 0
            with self._lease(connection, wait=False) as lease:
                if lease is None:
                    return 0
                after = self._number(connection, lease, max_rows)
            if after.size > lease.size:
                self._given(connection, after.size)
            return after.size - lease.size

    def run_until_idle(self) -> int:
        """Number whatever is below the horizon now; gives how many. For commands without a worker.

        Raises:
            As :meth:`run_once`.
        """
        total = 0
        deadline = time.monotonic() + _TAIL_PATIENCE_S
        while True:
            given = self.run_once()
            total += given
            if not given:
                if self._is_settled():
                    return total
                if time.monotonic() > deadline:
                    raise LedgerUnreachable("an open transaction keeps a restored tail waiting")
                time.sleep(0.002)

    def append_heads(self) -> int:
        """Append a HEADS event over every stream's last numbered event; gives its position.

        Raises:
            LedgerUnreachable: the database or the lease did not answer in time.
        """
        return self._append_own(None).size - 1

    def append_export(self, build_manifest: BuildManifest) -> Appended:
        """Append EXPORT and HEADS for an export; gives the checkpoint size N and the manifest.

        ``build_manifest`` gets N and every stream of the log, and gives the manifest's bytes; it
        runs while the lease is held, so it must be quick. EXPORT is at N-2, HEADS at N-1.

        Raises:
            LedgerUnreachable: the database or the lease did not answer in time.
        """
        return self._append_own(build_manifest)

    def heads_due(self, every: timedelta) -> bool:
        """True if the log grew since the last HEADS event and that one is older than ``every``."""
        rows = read(
            self._pool,
            "SELECT h.size, l.position, t.known_us FROM ledger.head h LEFT JOIN LATERAL ("
            "SELECT l.position FROM ledger.leaf l WHERE l.stream = $1 AND l.class = $2 "
            "ORDER BY l.version DESC LIMIT 1) l ON true LEFT JOIN LATERAL ("
            "SELECT t.known_us FROM ledger.known_time t WHERE t.position >= l.position "
            "ORDER BY t.position LIMIT 1) t ON true",
            (self._heads, Int4(HEADS)),
        )
        size, position, known_us = rows[0]
        if position is None:
            return bool(size)
        age = microseconds(self._clock()) - known_us
        return bool(size > position + 1 and age >= every // timedelta(microseconds=1))

    def backlog(self) -> int:
        """How many committed events have no position yet, below the horizon or not."""
        if not self._is_settled():
            return self.unnumbered()
        rows = read(
            self._pool,
            _BACKLOG,
            (),
        )
        return int(rows[0][0])

    def unnumbered(self) -> int:
        """How many committed events have no position, counted over the whole log (slow, exact)."""
        rows = read(
            self._pool,
            "SELECT (SELECT count(*) FROM ledger.event) - (SELECT count(*) FROM ledger.leaf)",
            (),
        )
        return int(rows[0][0])

    def _is_settled(self) -> bool:
        """False while a restored tail is waiting for its turn."""
        return bool(read(self._pool, "SELECT h.tail_through IS NULL FROM ledger.head h", ())[0][0])

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        try:
            with borrowed(self._pool) as connection:
                yield connection
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise LedgerUnreachable("the database does not answer") from error

    @contextmanager
    def _lease(self, connection: Connection, *, wait: bool) -> Iterator[_Lease | None]:
        """The head row, locked until the block ends with its commit; None if another has it."""
        with NoticeWatch(connection) as notices, connection.transaction():
            if wait:
                connection.execute(f"SET LOCAL lock_timeout = '{_LEASE_PATIENCE}'")
            row = _one(connection, _LEASE if wait else _LEASE + " SKIP LOCKED")
            yield None if row is None else _Lease(*row[:10])
        if notices.seen:
            connection.close()
            raise LedgerUnreachable("the standby did not confirm new positions")

    def _adopt(self, connection: Connection, incarnation: str) -> None:
        """Start the cursor in a cluster it has not been in; rows that stand there are the tail.

        Whoever took a lower id than the floor had taken its transaction number before (the order
        of the table's defaults), so below the number that this transaction takes next: once every
        transaction up to that one has ended, the tail is complete.
        """
        tx, floor_id, greatest = _one(connection, _NEW_FLOOR)
        if greatest > floor_id:
            raise SequenceBehind("ledger.event_id_seq is below the greatest id of an event")
        with self._lease(connection, wait=False) as lease:
            if lease is not None and lease.incarnation != incarnation:
                _execute(connection, _NEW_INCARNATION, incarnation, Int8(floor_id), tx)

    def _number(self, connection: Connection, lease: _Lease, max_rows: int) -> _Lease:
        """Give positions to one batch and gives the head as it stands after it."""
        if lease.has_tail:
            return self._number_tail(connection, lease, max_rows)
        rows = _all(
            connection, _SCAN.format(limit=max_rows), Int8(lease.floor_id), lease.last_tx,
            Int8(lease.last_id), lease.horizon,
        )  # fmt: skip
        if len(rows) == max_rows:
            after = replace(lease, last_tx=rows[-1][3], last_id=rows[-1][4])
        elif int(lease.horizon) > int(lease.last_tx):
            # Nothing can appear below the horizon any more.
            after = replace(lease, last_tx=lease.horizon, last_id=0)
        else:
            after = lease
        return self._write(connection, lease, after, [_row(*row[:3]) for row in rows])

    def _number_tail(self, connection: Connection, lease: _Lease, max_rows: int) -> _Lease:
        if lease.tail_waits:
            return lease
        rows = _all(connection, _SCAN_TAIL, Int8(lease.floor_id), Int8(max_rows))
        after = replace(lease, has_tail=len(rows) == max_rows)
        return self._write(connection, lease, after, [_row(*row[:3]) for row in rows])

    def _write(
        self, connection: Connection, held: _Lease, lease: _Lease, rows: Sequence[_Row]
    ) -> _Lease:
        """Leaf rows, full tiles, known time and head, in one statement."""
        if not rows and lease == held:
            return lease
        frontier = merkle.Frontier.from_bytes(lease.size, lease.frontier)
        frontier.extend(row.leaf for row in rows)
        known_us = max([lease.known_us, *(row.recorded_at for row in rows)])
        tiles = list(self._tiles(connection, lease.size, [row.leaf for row in rows]))
        after = replace(lease, size=frontier.size, frontier=frontier.to_bytes(), known_us=known_us)
        _execute(
            connection,
            _WRITE,
            Int8(lease.size),
            [row.stream for row in rows],
            [Int8(row.version) for row in rows],
            [Int4(row.event_class) for row in rows],
            [row.leaf for row in rows],
            [Int4(tile.level) for tile, _ in tiles],
            [Int8(tile.index) for tile, _ in tiles],
            [hashes for _, hashes in tiles],
            Int8(after.size),
            after.frontier,
            Int8(known_us),
            after.last_tx,
            Int8(after.last_id),
            after.has_tail,
        )
        return after

    def _tiles(
        self, connection: Connection, size: int, leaves: Sequence[bytes]
    ) -> Iterator[tuple[merkle.Tile, bytes]]:
        """The tiles that these leaves complete, lower levels first."""
        made: dict[tuple[int, int], bytes] = {}
        width = merkle.TILE_WIDTH
        edge = size - size % width
        for tile in merkle.completed_tiles(size, size + len(leaves)):
            if tile.level == 0:
                start = tile.index * width
                before: list[bytes] = []
                if start == edge and edge < size:
                    before = [
                        row[0]
                        for row in _all(
                            connection,
                            "SELECT l.leaf FROM ledger.leaf l WHERE l.position >= $1 "
                            "AND l.position < $2 ORDER BY l.position",
                            Int8(edge),
                            Int8(size),
                        )
                    ]
                first = max(start, size) - size
                hashes = b"".join([*before, *leaves[first : start + width - size]])
            else:
                below = range(tile.index * width, (tile.index + 1) * width)
                missing = [i for i in below if (tile.level - 1, i) not in made]
                stored = dict(
                    _all(
                        connection,
                        "SELECT t.idx, t.hashes FROM ledger.tile t "
                        "WHERE t.level = $1 AND t.idx = ANY ($2::bigint[])",
                        Int4(tile.level - 1),
                        [Int8(i) for i in missing],
                    )
                )
                hashes = b"".join(
                    merkle.root(merkle.split(made.get((tile.level - 1, i)) or stored[i]))
                    for i in below
                )
            made[tile.level, tile.index] = hashes
            yield tile, hashes

    def _append_own(self, build_manifest: BuildManifest | None) -> Appended:
        """Number one batch, then EXPORT if there is a manifest, then HEADS, in one transaction."""
        self.run_until_idle()
        seen_size, newest = self._stream_heads()
        with self._connection() as connection:
            with self._lease(connection, wait=True) as lease:
                if lease is None:  # pragma: no cover - the head row is never removed
                    raise LedgerUnreachable("the log has no head")
                after = self._number(connection, lease, BATCH_ROWS)
                for stream, version, leaf in _all(
                    connection,
                    "SELECT l.stream, l.version, l.leaf FROM ledger.leaf l "
                    "WHERE l.position >= $1 ORDER BY l.position",
                    Int8(seen_size),
                ):
                    newest[stream] = (version, leaf)
                manifest = b""
                if build_manifest is not None:
                    streams = sorted({*newest, self._heads}, key=lambda stream: stream.bytes)
                    manifest = build_manifest(after.size + 2, streams)
                    digest = hashlib.sha256(manifest).digest()
                    after = self._own_event(connection, after, newest, EXPORT, digest)
                leaves = merkle.heads_leaves(
                    (stream, version, leaf) for stream, (version, leaf) in newest.items()
                )
                body = (
                    after.size.to_bytes(8, "big")
                    + len(leaves).to_bytes(8, "big")
                    + merkle.root(leaves)
                )
                after = self._own_event(connection, after, newest, HEADS, body)
            self._given(connection, after.size)
            frontier = merkle.Frontier.from_bytes(after.size, after.frontier)
            return Appended(after.size, frontier.root(), manifest)

    def _own_event(
        self,
        connection: Connection,
        lease: _Lease,
        newest: dict[UUID, tuple[int, bytes]],
        event_class: int,
        body: bytes,
    ) -> _Lease:
        """Append one of the ledger's events and give it the next position at once."""
        last_version, prev = newest.get(self._heads, (0, GENESIS))
        version = last_version + 1
        event_id = derive_event_id(self._heads, b"sequencer", version.to_bytes(8, "big"), 0)
        recorded_at = max(microseconds(self._clock()), lease.known_us)
        header, body = seal_clear(
            event_class=event_class,
            event_id=event_id,
            stream=self._heads,
            version=version,
            recorded_at_us=recorded_at,
            session=UUID(int=0),
            prev=prev,
            body=body,
        )
        _execute(
            connection, _INSERT_OWN, self._heads, Int8(version), CLASS_NAMES[event_class], header,
            body, event_id,
        )  # fmt: skip
        row = _row(self._heads, version, header)
        newest[self._heads] = (version, row.leaf)
        return self._write(connection, lease, lease, [row])

    def _stream_heads(self) -> tuple[int, dict[UUID, tuple[int, bytes]]]:
        """The log's size and each stream's last numbered event, from one snapshot."""
        rows = read(self._pool, _STREAM_HEADS, ())
        return rows[0][0], {
            stream: (version, leaf) for _, stream, version, leaf in rows if stream is not None
        }

    def _given(self, connection: Connection, size: int) -> None:
        self._announce_later = size
        self._announce(connection)
        if self._on_positions is not None:
            self._on_positions(size)

    def _announce(self, connection: Connection) -> None:
        """Notify listeners of the size, now or once 5 ms have passed since the last time."""
        now = time.monotonic()
        if self._announce_later is not None and now - self._announced_at >= _NOTIFY_EVERY:
            size = str(self._announce_later)
            _execute(connection, "SELECT pg_notify($1::text, $2::text)", CHANNEL, size)
            self._announced_at, self._announce_later = now, None


def _row(stream: UUID, version: int, header: bytes) -> _Row:
    """Class, time and leaf are the header's own; stream and version are the row's key."""
    return _Row(
        stream,
        version,
        int.from_bytes(header[6:8], "big"),
        int.from_bytes(header[48:56], "big"),
        leaf_hash(header),
    )


def _execute(connection: Connection, query: str, *parameters: object) -> psycopg.RawCursor[Any]:
    return binary_cursor(connection).execute(query, parameters, prepare=True)


def _all(connection: Connection, query: str, *parameters: object) -> list[Any]:
    return _execute(connection, query, *parameters).fetchall()


def _one(connection: Connection, query: str, *parameters: object) -> Any:
    return _execute(connection, query, *parameters).fetchone()
