"""Build every projection again beside the one that is served, then swap.

Streams are read whole, a few hundred at a time, folded in one pass and sealed once. The swap is one
row in one transaction: no reader ever sees half a build. The build that was served is deleted
afterwards, in pieces.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast
from uuid import UUID

import msgspec

from releve.projections import directory, inbox, open_items
from releve.projections.projected_rows import (
    BRIEFING_KIND,
    GENERATION,
    PATIENT_KIND,
    Batch,
    Build,
    Connection,
    drop_builds,
    write,
)
from releve.projections.served_build import FEED, ROW_FORMAT
from releve.security.errors import SecurityError
from releve.security.keys.data_keys import DataKeys
from releve.security.keys.sealed_rows import open_row
from releve.security.ledger.reader import Read

if TYPE_CHECKING:
    from releve.projections.feed import Feed

PROJECTIONS: Final = ("patient", "briefing", "open-items", "directory", "inbox", "access")
"""What may be asked for by name; all are built together, so that all stand at one position."""

_CHUNK: Final = 256
_TAIL: Final = 500


class RebuildRunning(Exception):
    """Another rebuild is running; it will finish or die, and never leaves a half-built view."""


class RebuildReport(NamedTuple):
    """What a rebuild did; ``identical`` is None unless the rows were compared."""

    projection: str
    events: int
    seconds: float
    identical: bool | None

    @property
    def events_per_second(self) -> int:
        """Events folded a second, from reading to rows written."""
        return round(self.events / self.seconds) if self.seconds else 0

    def to_json(self) -> dict[str, Any]:
        """The contract's object."""
        return {
            "projection": self.projection,
            "events": self.events,
            "seconds": round(self.seconds, 3),
            "events_per_second": self.events_per_second,
            "identical": self.identical,
        }


def rebuild(feed: Feed, name: str = "all", *, check: bool = False) -> RebuildReport:
    """Build beside and swap; ``check`` first compares every opened row with the served one.

    Raises:
        ValueError: no projection of that name.
        RebuildRunning: another one is under way.
    """
    if name not in ("all", *PROJECTIONS):
        raise ValueError("no such projection")
    with _alone(feed) as lease, few_collections():
        stand = feed.stand()
        build = _fresh_build(lease)
        began = time.perf_counter()
        events = _by_stream(feed, build, stand.position)
        events += _access(feed, build, stand.position)
        seconds = time.perf_counter() - began
        identical = _swapped(feed, build, stand.position, check)
        while drop_builds(lease, [build]):
            pass
    return RebuildReport(name, events, seconds, identical)


@contextmanager
def _alone(feed: Feed) -> Iterator[Connection]:
    """A connection in autocommit that holds the rebuild's lock; it takes no transaction id."""
    with feed.pool.connection() as connection:
        before = connection.autocommit
        connection.autocommit = True
        try:
            row = connection.execute(
                "SELECT pg_try_advisory_lock(hashtext(%s))", (_LOCK,)
            ).fetchone()
            if not row or not row[0]:
                raise RebuildRunning
            try:
                yield connection
            finally:
                connection.execute("SELECT pg_advisory_unlock(hashtext(%s))", (_LOCK,))
        finally:
            connection.autocommit = before


_LOCK: Final = "releve.projection.rebuild"


def _fresh_build(connection: Connection) -> Build:
    """A number nobody used, after clearing what an interrupted rebuild left behind."""
    row = connection.execute(
        "UPDATE projection.feed SET next_build = greatest(build, coalesce(next_build, 0)) + 1 "
        "WHERE name = %s RETURNING build, next_build",
        (FEED,),
    ).fetchone()
    if row is None:
        raise LookupError("the feed has no row")
    while drop_builds(connection, [row[0]]):
        pass
    return int(row[1])


def _by_stream(feed: Feed, build: Build, up_to: int) -> int:
    """Fold whole streams into the build, a chunk a transaction; give how many events."""
    with feed.pool.connection() as connection:
        streams = [row[0] for row in connection.execute(_STREAMS, (up_to,)).fetchall()]
    chunks = [streams[first : first + _CHUNK] for first in range(0, len(streams), _CHUNK)]
    events = 0

    def read(chunk: list[UUID]) -> dict[UUID, list[Read]]:
        return feed.reader.streams(chunk, up_to=up_to)

    def written(batch: Batch) -> None:
        with feed.pool.connection() as connection, connection.transaction():
            write(connection, build, batch)

    # One chunk is folded while the next is read and the one before is written.
    with (
        ThreadPoolExecutor(1, "rebuild-read") as reader,
        ThreadPoolExecutor(1, "rebuild") as writer,
    ):
        reading = [reader.submit(read, chunk) for chunk in chunks[:1]]
        writing: list[Future[None]] = []
        for following in [*chunks[1:], None] if chunks else []:
            found = reading.pop().result()
            if following is not None:
                reading.append(reader.submit(read, following))
            batch = feed.prepare_streams(found.items())
            events += sum(map(len, found.values()))
            if writing:
                writing.pop().result()
            writing.append(writer.submit(written, batch))
        if writing:
            writing.pop().result()
    return events


@contextmanager
def few_collections() -> Iterator[None]:
    """Let the garbage collector run rarely: folding makes many objects and no cycles."""
    before = gc.get_threshold()
    gc.set_threshold(200_000, 50, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _access(feed: Feed, build: Build, up_to: int) -> int:
    """Who is named by access entries, read in order of position."""
    with feed.pool.connection() as connection:
        rows = connection.execute(_ACCESS_RUNS, (up_to,)).fetchall()
    events = 0
    for first, last in rows:
        after = first - 1
        while after < last:
            reads = feed.reader.by_position(after, min(2_000, last - after), lenient=True)
            mentions = [read for read in reads if read.access is not None]
            batch = feed.prepare(build, mentions)
            with feed.pool.connection() as connection, connection.transaction():
                write(connection, build, batch)
            events += len(mentions)
            after = reads[-1].position
    return events


def _swapped(feed: Feed, build: Build, position: int, check: bool) -> bool | None:
    """Bring the build to where the feed is, compare if asked, and serve it."""
    identical: bool | None = None
    while True:
        position = _advanced(feed, build, position, feed.stand().position)
        if check and identical is None:
            identical = _compared(feed, build, position)
            continue
        with feed.pool.connection() as connection, connection.transaction():
            row = connection.execute(
                "SELECT position FROM projection.feed WHERE name = %s FOR UPDATE", (FEED,)
            ).fetchone()
            if row is None:
                raise LookupError("the feed has no row")
            if row[0] - position > _TAIL:
                continue
            if row[0] > position:
                # The build's own rows are committed: read through another connection.
                reads = feed.reader.by_position(position, row[0] - position, lenient=True)
                write(connection, build, feed.prepare(build, reads))
            connection.execute(
                "UPDATE projection.feed SET build = next_build, next_build = NULL, "
                "epoch = epoch + 1, format = %s WHERE name = %s",
                (ROW_FORMAT, FEED),
            )
        return identical


def _compared(feed: Feed, build: Build, position: int) -> bool | None:
    """Compare both builds in one read-only snapshot; None when the feed was elsewhere by then.

    Read-only: it takes no transaction id, so positions go on being given meanwhile.
    """
    with feed.pool.connection() as connection, connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        row = connection.execute(
            "SELECT build, position FROM projection.feed WHERE name = %s", (FEED,)
        ).fetchone()
        if row is None or row[1] != position:
            return None
        return _identical(connection, feed.data_keys, row[0], build)


def _advanced(feed: Feed, build: Build, position: int, to: int) -> int:
    """Apply events that arrived meanwhile to the build, a batch a transaction."""
    while position < to:
        reads = feed.reader.by_position(position, min(_TAIL, to - position), lenient=True)
        batch = feed.prepare(build, reads)
        with feed.pool.connection() as connection, connection.transaction():
            write(connection, build, batch)
        position = reads[-1].position
    return position


def _identical(connection: Connection, keys: DataKeys, served: Build, built: Build) -> bool:
    """Whether two builds hold the same rows, opened; compared in chunks, never all in memory."""
    for statement in _CLEAR_DIFFERENCES:
        row = connection.execute(statement, {"a": served, "b": built}).fetchone()
        if row is None or row[0]:
            return False
    for statement, kind in _SEALED:
        with connection.cursor(name="compared") as cursor:
            cursor.itersize = 500
            cursor.execute(statement, {"a": served, "b": built})
            while rows := cursor.fetchmany(500):
                opened = keys.look_up((row[0], GENERATION) for row in rows)
                for owner, position_a, row_a, position_b, row_b in rows:
                    key = opened[owner, GENERATION]
                    if isinstance(key, SecurityError) or row_a is None or row_b is None:
                        return False
                    if _plain(key, kind, owner, position_a, row_a) != _plain(
                        key, kind, owner, position_b, row_b
                    ):
                        return False
    return True


def _plain(key: bytes, kind: str, owner: UUID, position: int, row: bytes) -> object:
    try:
        return cast(object, msgspec.msgpack.decode(open_row(key, kind, owner, position, row)))
    except SecurityError:
        return object()  # does not open: equal to nothing


# Rules in force are told on the cell's own stream, which other clear events may have begun.
_STREAMS: Final = (
    "SELECT stream FROM (SELECT stream, min(position) AS began FROM ledger.leaf "
    "WHERE position <= %s AND (version = 1 AND class BETWEEN 1 AND 5 OR class = 7) "
    "GROUP BY stream) AS found ORDER BY began"
)
# Runs of positions that hold access entries, so that clinical events are not read twice.
_ACCESS_RUNS: Final = (
    "SELECT min(position), max(position) FROM (SELECT position, position - row_number() "
    "OVER (ORDER BY position) AS run FROM ledger.leaf WHERE class = 6 AND position <= %s) AS found "
    "GROUP BY run ORDER BY 1"
)
_CLEAR_DIFFERENCES: Final = tuple(
    f"SELECT EXISTS (SELECT {columns} FROM projection.{table} WHERE build = %(a)s "  # noqa: S608 - from below
    f"EXCEPT SELECT {columns} FROM projection.{table} WHERE build = %(b)s) "
    f"OR EXISTS (SELECT {columns} FROM projection.{table} WHERE build = %(b)s "
    f"EXCEPT SELECT {columns} FROM projection.{table} WHERE build = %(a)s)"
    for table, columns in (
        ("patient", "patient"),
        ("briefing", "patient"),
        ("patient_centre", "patient, centre"),
        ("open_item", "item, patient, centre, position"),
        ("directory", "stream, kind, centre"),
        ("inbox", "document, centre, state"),
        ("access", "patient, position"),
        ("parked", "stream, position, events, error"),
    )
)
_SEALED: Final = tuple(
    (
        f"SELECT a.{owner}, a.position, a.row, b.position, b.row "  # noqa: S608 - from below
        f"FROM projection.{table} a LEFT JOIN projection.{table} b "
        f"ON b.build = %(b)s AND b.{key} = a.{key} WHERE a.build = %(a)s",
        kind,
    )
    for table, owner, key, kind in (
        ("patient", "patient", "patient", PATIENT_KIND),
        ("briefing", "patient", "patient", BRIEFING_KIND),
        ("open_item", "patient", "item", open_items.KIND),
        ("directory", "stream", "stream", directory.KIND),
        ("inbox", "document", "document", inbox.KIND),
    )
)
