"""Read the ledger: by position, as projections and auditors do, or one stream.

Whoever reads by position sees every event exactly once, in an order that never changes. An event
whose key was destroyed is still there, with its header: it says ``gone``, which is not the same
as an outage of the key service, which raises.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import Any, Final, NamedTuple
from uuid import UUID

from psycopg.types.numeric import Int8

from releve.security.access import AccessEntry, entry_of
from releve.security.errors import KeyDestroyed, SecurityError, Tampered
from releve.security.keys.data_keys import DataKeys, KeyId, key_of
from releve.security.keys.sealed_rows import open_attachment
from releve.security.ledger import merkle
from releve.security.ledger.connection import LARGEST, Pool
from releve.security.ledger.envelope import ACCESS, CLASS_NAMES, Header, open_clear, open_sealed
from releve.security.ledger.mapper import Codec, LedgerMapper, microseconds
from releve.security.ledger.recorder import read

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

# OFFSET 0 leaves the planner one way: a probe for each leaf, however large the tables are.
_BY_POSITION: Final = """
SELECT l.position, e.stream, e.version, e.topic, e.header, e.body
FROM ledger.leaf l LEFT JOIN LATERAL (
    SELECT e.stream, e.version, e.topic, e.header, e.body FROM ledger.event e
    WHERE e.stream = l.stream AND e.version = l.version OFFSET 0) e ON true
WHERE l.position > $1 AND l.position <= $2 ORDER BY l.position"""

_STREAM: Final = """
SELECT l.position, e.stream, e.version, e.topic, e.header, e.body
FROM ledger.event e LEFT JOIN ledger.leaf l ON l.stream = e.stream AND l.version = e.version
WHERE e.stream = $1 ORDER BY e.version"""

_STREAM_LAST: Final = """
SELECT l.position, e.stream, e.version, e.topic, e.header, e.body FROM (
    SELECT e.stream, e.version, e.topic, e.header, e.body FROM ledger.event e
    WHERE e.stream = $1 ORDER BY e.version DESC LIMIT $2) e LEFT JOIN LATERAL (
    SELECT l.position FROM ledger.leaf l
    WHERE l.stream = e.stream AND l.version = e.version OFFSET 0) l ON true
ORDER BY e.version DESC"""

_STREAM_UP_TO: Final = """
SELECT l.position, e.stream, e.version, e.topic, e.header, e.body
FROM ledger.event e JOIN ledger.leaf l ON l.stream = e.stream AND l.version = e.version
WHERE e.stream = $1 AND l.position <= $2 ORDER BY e.version"""

_STREAMS_UP_TO: Final = """
SELECT l.position, e.stream, e.version, e.topic, e.header, e.body
FROM unnest($1::uuid[]) AS wanted (stream) CROSS JOIN LATERAL (
    SELECT l.position, l.version FROM ledger.leaf l
    WHERE l.stream = wanted.stream AND l.position <= $2 OFFSET 0) l CROSS JOIN LATERAL (
    SELECT e.stream, e.version, e.topic, e.header, e.body FROM ledger.event e
    WHERE e.stream = wanted.stream AND e.version = l.version OFFSET 0) e"""

_HEAD: Final = "SELECT h.size, h.frontier, h.known_us FROM ledger.head h"

# The last batch known by then, and the end of the one after it.
_KNOWN: Final = """
SELECT coalesce(max(t.position), -1) FROM ledger.known_time t WHERE t.known_us <= $1"""
_NEXT_BATCH: Final = """
SELECT l.position, e.header FROM ledger.leaf l CROSS JOIN LATERAL (
    SELECT e.header FROM ledger.event e
    WHERE e.stream = l.stream AND e.version = l.version OFFSET 0) e
WHERE l.position > $1
AND l.position <= (SELECT min(t.position) FROM ledger.known_time t WHERE t.position > $1)
ORDER BY l.position"""


@dataclass(frozen=True, slots=True)
class Read:
    """One numbered event, as far as it can be read today."""

    position: int
    header: Header
    event: Any | None
    """The domain event; None if it is gone, an access entry, or one of the ledger's own."""
    gone: bool
    """True where the data key was destroyed or the body purged."""
    access: AccessEntry | None = None
    """The access entry, for events of class 6."""
    body: bytes | None = None
    """The clear body of one of the ledger's own events."""
    failure: Exception | None = None
    """Why it could not be opened, for whoever asked to be told instead of stopped."""


class Head(NamedTuple):
    """The log as it stands."""

    size: int
    """Number of positions; the last one is ``size - 1``."""
    root: bytes
    known_time: datetime
    """The greatest ``recorded_at`` of all numbered events; 1970 while there is none."""


_SETTLED_KEPT: Final = 256
"""Moments whose position is known for good that a reader remembers."""


class LedgerReader:
    """Reads and opens numbered events; safe to use from several threads."""

    def __init__(self, pool: Pool, data_keys: DataKeys, codec: Codec) -> None:
        """Take a pool that may read the ledger, the data keys and the domain's codec."""
        self._pool = pool
        self._data_keys = data_keys
        self._mapper = LedgerMapper(data_keys, codec)
        self._settled: dict[int, int] = {}

    def by_position(self, after: int, limit: int, *, lenient: bool = False) -> list[Read]:
        """At most ``limit`` events above position ``after`` (-1 at the start), dense, ascending.

        ``lenient`` gives an event that cannot be opened or decoded with its ``failure``, so that
        one poisoned record does not stop whoever follows the log.

        Raises:
            Tampered: a byte, a row or a position is missing or was changed.
            KeyServiceDown, LedgerUnreachable: try again; nothing was skipped.
        """
        rows = read(self._pool, _BY_POSITION, (Int8(after), Int8(min(after + limit, LARGEST))))
        for expected, row in enumerate(rows, after + 1):
            if row[0] != expected or row[4] is None:
                raise Tampered("a position has no event")
        return self._opened(rows, lenient)

    def streams(self, streams: Sequence[UUID], *, up_to: int) -> dict[UUID, list[Read]]:
        """Many streams at once, each by version up to a position; for rebuilding stream by stream.

        An event that cannot be opened is given with its ``failure``.

        Raises:
            KeyServiceDown, LedgerUnreachable: try again.
        """
        rows = read(self._pool, _STREAMS_UP_TO, (list(dict.fromkeys(streams)), Int8(up_to)))
        rows.sort(key=itemgetter(0))
        found: dict[UUID, list[Read]] = {stream: [] for stream in streams}
        for each in self._opened(rows, lenient=True):
            found[each.header.stream].append(each)
        return found

    def event(self, position: int) -> Read | None:
        """The event at one position, None above the log's end; raises as :meth:`by_position`."""
        reads = self.by_position(position - 1, 1)
        return reads[0] if reads else None

    def stream(
        self, stream: UUID, *, up_to: int | None = None, last: int | None = None
    ) -> list[Any]:
        """One stream's domain events by version, each with its position where it has one.

        ``up_to`` leaves out whatever is above that position or has none yet; ``last`` (without
        ``up_to``) gives the newest so many alone, at a cost that does not grow with the stream.

        Raises:
            KeyDestroyed: the record is erased.
            Tampered, KeyServiceDown, LedgerUnreachable: as :meth:`by_position`.
        """
        if last is not None:
            rows = read(self._pool, _STREAM_LAST, (stream, Int8(last)))[::-1]
        elif up_to is None:
            rows = read(self._pool, _STREAM, (stream,))
        else:
            rows = read(self._pool, _STREAM_UP_TO, (stream, Int8(up_to)))
        reads = self._opened(rows)
        self._refuse_erased(reads)
        return [found.event for found in reads if found.event is not None]

    def head(self) -> Head:
        """Size, root and known time of the log.

        Raises:
            LedgerUnreachable: the database does not answer.
        """
        rows = read(self._pool, _HEAD, ())
        size, frontier, known_us = rows[0] if rows else (0, b"", 0)
        root = merkle.Frontier.from_bytes(size, frontier).root()
        return Head(size, root, _EPOCH + timedelta(microseconds=known_us))

    def known_at(self, when: datetime) -> int:
        """The last position whose known time is at or before ``when``; -1 before the first.

        Raises:
            LedgerUnreachable: the database does not answer.
        """
        limit = microseconds(when)
        settled = self._settled.get(limit)
        if settled is not None:
            return settled
        position = int(read(self._pool, _KNOWN, (Int8(limit),))[0][0])
        for next_position, header in read(self._pool, _NEXT_BATCH, (Int8(position),)):
            if int.from_bytes(header[48:56], "big") > limit:
                # Something later is known by now: this answer can never change again.
                if len(self._settled) >= _SETTLED_KEPT:
                    self._settled.clear()
                self._settled[limit] = position
                break
            position = next_position
        return position

    def position_of(self, stream: UUID, version: int) -> int | None:
        """The position of one event, None while it has none.

        Raises:
            LedgerUnreachable: the database does not answer.
        """
        rows = read(
            self._pool,
            "SELECT l.position FROM ledger.leaf l WHERE l.stream = $1 AND l.version = $2",
            (stream, Int8(version)),
        )
        return int(rows[0][0]) if rows else None

    def attachment(self, event_id: UUID, stream: UUID) -> bytes:
        """The original bytes that an event of ``stream`` brought in.

        Raises:
            LookupError: that event has none.
            KeyDestroyed, Tampered, KeyServiceDown, LedgerUnreachable: as :meth:`stream`.
        """
        rows = read(
            self._pool,
            "SELECT a.body FROM ledger.attachment a WHERE a.event_id = $1 AND a.stream = $2",
            (event_id, stream),
        )
        if not rows:
            raise LookupError("this event has no attachment")
        return open_attachment(self._data_keys.get(stream), event_id, stream, rows[0][0])

    def _opened(self, rows: Sequence[Any], lenient: bool = False) -> list[Read]:
        headers = [Header.unpack(row[4]) for row in rows]
        names = [_key_name(header) for header in headers]
        keys = self._data_keys.look_up(
            {name for name, header in zip(names, headers, strict=True) if not header.clear}
        )
        opened = []
        for row, header, name in zip(rows, headers, names, strict=True):
            try:
                opened.append(self._open(row, header, name, keys))
            except Exception as error:  # the codec's errors are the domain's, unknown here
                if not lenient:
                    raise
                opened.append(Read(row[0], header, None, False, failure=error))
        return opened

    def _open(
        self, row: Any, header: Header, name: KeyId, keys: dict[KeyId, bytes | SecurityError]
    ) -> Read:
        position, stream, version, topic, raw, body = row
        if (
            header.stream != stream
            or header.version != version
            or CLASS_NAMES[header.event_class] != topic
        ):
            raise Tampered("a row stands in another one's place")
        if header.clear:
            return Read(position, header, None, False, body=open_clear(raw, body or b""))
        key = keys[name]
        if isinstance(key, KeyDestroyed) or body is None:
            return Read(position, header, None, True)
        if isinstance(key, SecurityError):
            raise key
        if header.event_class == ACCESS:
            entry = entry_of(open_sealed(key, raw, body))
            return Read(position, header, None, False, access=entry)
        event = self._mapper.open(header, raw, body, key, position)
        return Read(position, header, event, False)

    def _refuse_erased(self, reads: Sequence[Read]) -> None:
        """A purged body is passed over; a destroyed key ends the reading of its stream."""
        for found in reads:
            if found.gone:
                self._data_keys.get(*_key_name(found.header))


def _key_name(header: Header) -> KeyId:
    return key_of(header.event_class, header.stream, header.key_generation)
