"""The feed: follows the ledger by position and keeps every projection at that one position.

A batch is read, opened, folded and sealed before any lock is taken; then one short transaction
locks the feed's row, makes sure that nobody wrote meanwhile, writes the rows and moves the
position: exactly once, whatever dies when. Any number of workers may run; one writes.

A patient with an event that cannot be read is parked: the row keeps what was read, says how many
events are missing, and everybody else goes on. Erased streams lose their rows.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import psycopg
from psycopg_pool import ConnectionPool

from releve.domain.events import ADMINISTRATION, CENTRE, INTAKE, PATIENT, PRACTITIONER, STINT, Event
from releve.projections import directory, inbox
from releve.projections.directory import DirectoryEntry, fold_entry
from releve.projections.inbox import InboxLine, fold_line
from releve.projections.patient_summary import PatientSummary, fold_all, reads_whole
from releve.projections.projected_rows import (
    GENERATION,
    Batch,
    Build,
    Connection,
    open_patient,
    write,
)
from releve.projections.rebuild import RebuildReport, RebuildRunning, few_collections, rebuild
from releve.projections.served_build import FEED, ROW_FORMAT
from releve.security.errors import KeyDestroyed, SecurityError, Tampered
from releve.security.keys.data_keys import DataKeys
from releve.security.keys.sealed_rows import open_row
from releve.security.ledger.reader import LedgerReader, Read

_SHREDDED = 0xFFF1
_FOLDED = (PATIENT, CENTRE, PRACTITIONER, STINT, INTAKE, ADMINISTRATION)


class Lag(NamedTuple):
    """How far projections are behind the log: events, and since when the oldest of them waits."""

    events: int
    position: int
    head: int
    behind_s: float
    """Seconds between the log's known time and that of the feed's position; 0 when caught up."""


class Parked(NamedTuple):
    """A stream of which something could not be read; ``error`` is a class name, never a message."""

    stream: UUID
    position: int
    events: int
    error: str


class Stand(NamedTuple):
    """Where the feed is: which build is served, up to which position, after how many writes."""

    build: Build
    position: int
    epoch: int
    format: int

    @property
    def outdated(self) -> bool:
        """Whether the rows have the shape of another version: nobody reads them."""
        return self.format != ROW_FORMAT


@dataclass
class _Held:
    """What a build holds of one stream before a batch."""

    summary: PatientSummary | None = None
    entry: DirectoryEntry | None = None
    line: InboxLine | None = None
    parked: Parked | None = None


class Feed:
    """Drives every projection; safe to run in several threads and processes at once."""

    def __init__(
        self, pool: ConnectionPool[Any], reader: LedgerReader, data_keys: DataKeys
    ) -> None:
        """Take a pool of the worker role, a reader of the ledger, and the data keys."""
        self.pool = pool
        self.reader = reader
        self.data_keys = data_keys
        self._moved = threading.Condition()

    def stand(self) -> Stand:
        """Where the feed is now."""
        with self.pool.connection() as connection:
            return _stand(connection)

    def position(self) -> int:
        """The last position that every projection has seen; -1 before the first."""
        return self.stand().position

    def lag(self) -> Lag:
        """How far projections are behind."""
        head = self.reader.head()
        position = self.position()
        behind = 0.0
        if position + 1 < head.size:
            waiting = self.reader.by_position(position, 1, lenient=True)
            if waiting:
                oldest = datetime.fromtimestamp(
                    waiting[0].header.recorded_at / 1_000_000, head.known_time.tzinfo
                )
                behind = max(0.0, (head.known_time - oldest).total_seconds())
        return Lag(max(0, head.size - 1 - position), position, head.size - 1, behind)

    def parked(self) -> list[Parked]:
        """Streams that are parked, by position."""
        with self.pool.connection() as connection:
            return _parked(connection, _stand(connection).build, None)

    def run_once(self, limit: int = 500) -> int:
        """Apply at most ``limit`` events in one transaction; give how many.

        0 means nothing to do, or that another worker is doing it.

        Raises:
            KeyServiceDown, LedgerUnreachable: try again; nothing was skipped.
            Tampered: the log itself has a hole.
        """
        stand = self.stand()
        if stand.outdated:
            with suppress(RebuildRunning):
                rebuild(self)
            return 0
        return self._applied(stand, self._read(stand.position, limit))

    def run_until_idle(self, limit: int = 500) -> int:
        """Apply batches until nothing is left; give how many events were applied here.

        The next batch is read and opened while the one before it is written.
        """
        applied = 0
        with few_collections(), ThreadPoolExecutor(1, "feed-ahead") as ahead:
            reading: Future[list[Read]] | None = None
            while True:
                stand = self.stand()
                if stand.outdated:
                    if not self.run_once(limit) and self.stand().outdated:
                        return applied
                    continue
                ahead_of = reading.result() if reading is not None else []
                if ahead_of and ahead_of[0].position == stand.position + 1:
                    reads = ahead_of
                else:
                    reads = self._read(stand.position, limit)
                reading = None
                if len(reads) == limit:
                    reading = ahead.submit(self._read, reads[-1].position, limit)
                done = self._applied(stand, reads)
                if not done and (not reads or self.stand() == stand):
                    return applied  # nothing left, or another worker holds the feed
                applied += done

    def _read(self, position: int, limit: int) -> list[Read]:
        return self.reader.by_position(position, limit, lenient=True)

    def _applied(self, stand: Stand, reads: Sequence[Read]) -> int:
        """Apply events that follow ``stand``; 0 when somebody else wrote meanwhile."""
        if not reads or reads[0].position != stand.position + 1:
            return 0
        batch = self.prepare(stand.build, reads)
        with self._locked() as (connection, now):
            if now != stand:
                return 0
            with connection.pipeline():  # one round trip: the locked row is what others wait for
                write(connection, stand.build, batch)
                connection.execute(_ADVANCE, (reads[-1].position, FEED))
        self._told()
        return len(reads)

    def wait_for(self, position: int, timeout: float) -> bool:
        """Wait until projections have reached ``position``, at most ``timeout`` seconds.

        Wakes at once when a feed of this process moves, and looks every 25 ms for others'.
        """
        deadline = time.monotonic() + timeout
        while self.position() < position:
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            with self._moved:
                self._moved.wait(min(left, 0.025))
        return True

    def retry_parked(self, streams: Sequence[UUID] | None = None) -> int:
        """Read parked streams (all, or these) again from the start; give how many are whole now.

        Worth calling after an update of the product; a rebuild does the same for all.
        """
        stand = self.stand()
        with self.pool.connection() as connection:
            parked = _parked(connection, stand.build, streams)
        if not parked:
            return 0
        found = self.reader.streams([each.stream for each in parked], up_to=stand.position)
        batch = Batch()
        for stream, reads in found.items():
            if reads:
                self._fold_stream(batch, _Held(), stream, reads)
        batch.unparked.update(found)
        with self._locked() as (connection, now):
            if now != stand:
                return 0
            write(connection, stand.build, batch)
            connection.execute(_ADVANCE, (stand.position, FEED))
        self._told()
        return len(found) - len(batch.parked)

    def rebuild(self, name: str = "all", *, check: bool = False) -> RebuildReport:
        """Build everything again beside what is served, then swap; see :mod:`.rebuild`."""
        report = rebuild(self, name, check=check)
        self._told()
        return report

    def prepare(self, build: Build, reads: Sequence[Read]) -> Batch:
        """The rows that a run of events changes in a build that stands just before them."""
        by_stream = _by_stream(reads)
        held, broken = self._held(build, by_stream)
        if broken:
            by_stream.update(self.reader.streams(sorted(broken), up_to=reads[-1].position))
        whole = self._spoken_of_again(held, by_stream, reads[-1].position)
        batch = Batch()
        for stream, events in by_stream.items():
            self._fold_stream(batch, held.get(stream, _Held()), stream, events, whole.get(stream))
        for read in reads:
            if read.access is not None:
                batch.access.update((patient, read.position) for patient in read.access.patients)
            elif read.header.event_class == _SHREDDED:
                batch.gone.add(read.header.stream)
                self.data_keys.forget(read.header.stream)
        return batch

    def prepare_streams(self, streams: Iterable[tuple[UUID, Sequence[Read]]]) -> Batch:
        """The rows of whole streams, each folded in one pass from its beginning."""
        batch = Batch()
        for stream, reads in streams:
            self._fold_stream(batch, _Held(), stream, reads)
        return batch

    def _fold_stream(
        self,
        batch: Batch,
        held: _Held,
        stream: UUID,
        reads: Sequence[Read],
        whole: Sequence[Read] | None = None,
    ) -> None:
        reads = [
            read for read in reads if not read.gone and read.header.event_class in _FOLDED
        ]  # a purged body is passed over; a destroyed key is found below
        if not reads:
            if isinstance(self._key(stream), KeyDestroyed):
                batch.gone.add(stream)
            return
        key = self._key(stream)
        if isinstance(key, SecurityError):
            if isinstance(key, KeyDestroyed):
                batch.gone.add(stream)
            else:
                batch.parked[stream] = (reads[0].position, len(reads), type(key).__name__)
            return
        if reads[0].header.event_class == PATIENT:
            self._fold_patient(batch, held, stream, reads, key, whole)
        elif reads[0].header.event_class == INTAKE:
            self._fold_inbox(batch, held, stream, reads, key)
        else:
            self._fold_directory(batch, held, stream, reads, key)

    def _fold_patient(
        self,
        batch: Batch,
        held: _Held,
        stream: UUID,
        reads: Sequence[Read],
        key: bytes,
        whole: Sequence[Read] | None,
    ) -> None:
        before = held.summary
        unread, failed_at, error = _parked_already(held)
        if unread:
            after = fold_all(before, (), stream)
            unread += len(reads)
        else:
            try:
                known = before if whole is None else None
                after = fold_all(known, map(_event, whole or reads), stream)
            except Exception:
                after, index, error = _readable(before, reads, stream)
                unread, failed_at = len(reads) - index, reads[index].position
        if unread:
            batch.parked[stream] = (failed_at, unread, error)
            after.unread = unread
            if not after.centres:
                after.centres = self._key_centre(stream)
        batch.put_patient(before, after, reads[-1].position, key)

    def _spoken_of_again(
        self, held: Mapping[UUID, _Held], by_stream: Mapping[UUID, Sequence[Read]], up_to: int
    ) -> dict[UUID, list[Read]]:
        """The whole records, where what is read speaks of what a summary may have let go.

        All in one question to the ledger: one a record was a sixth of a catch-up.
        """
        again = []
        for stream, reads in by_stream.items():
            before = held[stream].summary if stream in held else None
            told = (read.event for read in reads if isinstance(read.event, Event))
            if before is not None and reads_whole(before, told):
                again.append(stream)
        found = self.reader.streams(again, up_to=up_to) if again else {}
        return {
            stream: [read for read in reads if not read.gone] for stream, reads in found.items()
        }

    def _fold_directory(
        self, batch: Batch, held: _Held, stream: UUID, reads: Sequence[Read], key: bytes
    ) -> None:
        entry = held.entry

        def fold(event: Event) -> None:
            nonlocal entry
            entry = fold_entry(entry, event)

        _take_each(batch, held, stream, reads, fold)
        if entry is not None:
            batch.put_entry(stream, entry, reads[-1].position, key)

    def _fold_inbox(
        self, batch: Batch, held: _Held, stream: UUID, reads: Sequence[Read], key: bytes
    ) -> None:
        line = held.line

        def fold(event: Event) -> None:
            nonlocal line
            line = fold_line(line, event)

        _take_each(batch, held, stream, reads, fold)
        if line is not None:
            batch.put_document(line, reads[-1].position, key)

    def _key(self, stream: UUID) -> bytes | SecurityError:
        return self.data_keys.look_up([(stream, GENERATION)])[stream, GENERATION]

    def _key_centre(self, stream: UUID) -> list[UUID]:
        """The centre whose key wraps this stream's: known even where no event can be read."""
        with self.pool.connection() as connection:
            row = connection.execute(_KEY_CENTRE, (stream,)).fetchone()
        return [row[0]] if row else []

    def _held(
        self, build: Build, by_stream: dict[UUID, list[Read]]
    ) -> tuple[dict[UUID, _Held], set[UUID]]:
        """What the build holds of these streams, opened; and those whose row does not open.

        A row that was changed, or is of an older shape, is folded again from the ledger.
        """
        streams = list(by_stream)
        held: dict[UUID, _Held] = {}
        broken: set[UUID] = set()
        if not streams:
            return held, broken
        with self.pool.connection() as connection:
            patients = connection.execute(_PATIENTS, (build, streams), binary=True).fetchall()
            entries: list[Any] = []
            documents: list[Any] = []
            classes = {reads[0].header.event_class for reads in by_stream.values()}
            if classes - {PATIENT, INTAKE}:
                entries = connection.execute(_ENTRIES, (build, streams), binary=True).fetchall()
            if INTAKE in classes:
                documents = connection.execute(_DOCUMENTS, (build, streams), binary=True).fetchall()
            parked = _parked(connection, build, streams)
        keys = self.data_keys.look_up((stream, GENERATION) for stream in streams)
        for kind, rows in ((PATIENT, patients), (INTAKE, documents), (None, entries)):
            for stream, position, row in rows:
                key = keys[stream, GENERATION]
                if not isinstance(key, bytes):
                    continue
                try:
                    if kind == PATIENT:
                        held[stream] = _Held(summary=open_patient(key, stream, position, row))
                    elif kind == INTAKE:
                        raw = open_row(key, inbox.KIND, stream, position, row)
                        held[stream] = _Held(line=inbox.from_bytes(raw))
                    else:
                        raw = open_row(key, directory.KIND, stream, position, row)
                        held[stream] = _Held(entry=directory.from_bytes(raw))
                except (Tampered, msgspec.MsgspecError):
                    broken.add(stream)
        for each in parked:
            if each.stream not in broken:
                held.setdefault(each.stream, _Held()).parked = each
        return held, broken

    @contextmanager
    def _locked(self) -> Iterator[tuple[Connection, Stand | None]]:
        """One transaction that holds the feed's row; None for the stand when another has it."""
        with self.pool.connection() as connection, connection.transaction():
            row = connection.execute(_LOCK, (FEED,)).fetchone()
            yield connection, Stand(*row) if row else None

    def _told(self) -> None:
        with self._moved:
            self._moved.notify_all()


def _event(read: Read) -> Event:
    """The event that was read; whatever kept it from being opened is raised here."""
    if read.failure is not None:
        raise read.failure
    if not isinstance(read.event, Event):
        raise TypeError("not an event of the domain")
    return read.event


def _parked_already(held: _Held) -> tuple[int, int, str]:
    """How many events are unread, from which position, and for which error."""
    if held.parked is None:
        return 0, 0, ""
    return held.parked.events, held.parked.position, held.parked.error


def _take_each(
    batch: Batch, held: _Held, stream: UUID, reads: Sequence[Read], fold: Callable[[Event], None]
) -> None:
    """Fold each event that can be read; the first that cannot parks the stream from there on."""
    unread, failed_at, error = _parked_already(held)
    for read in reads:
        if unread:
            unread += 1
            continue
        try:
            fold(_event(read))
        except Exception as poison:
            unread, failed_at, error = 1, read.position, type(poison).__name__
    if unread:
        batch.parked[stream] = (failed_at, unread, error)


def _readable(
    before: PatientSummary | None, reads: Sequence[Read], patient: UUID
) -> tuple[PatientSummary, int, str]:
    """What can be read of a record with a poisoned event: summary, its index, its error's class."""
    after = fold_all(before, (), patient)
    for index, read in enumerate(reads):
        try:
            after = fold_all(after, (_event(read),), patient)
        except Exception as poison:
            return after, index, type(poison).__name__
    raise AssertionError("the same events were folded without an error")


def _by_stream(reads: Sequence[Read]) -> dict[UUID, list[Read]]:
    """Events of patients and of the directory, by stream, in order."""
    found: dict[UUID, list[Read]] = {}
    for read in reads:
        if read.header.event_class in _FOLDED:
            found.setdefault(read.header.stream, []).append(read)
    return found


def _stand(connection: Connection) -> Stand:
    row = connection.execute(_STAND, (FEED,)).fetchone()
    if row is None:
        raise psycopg.errors.NoData("the feed has no row")
    return Stand(*row)


def _parked(connection: Connection, build: Build, streams: Sequence[UUID] | None) -> list[Parked]:
    rows = connection.execute(_PARKED, (FEED, build)).fetchall()
    found = [Parked(*row) for row in rows]
    return found if streams is None else [each for each in found if each.stream in set(streams)]


_STAND = "SELECT build, position, epoch, format FROM projection.feed WHERE name = %s"
_LOCK = (
    "SELECT build, position, epoch, format FROM projection.feed WHERE name = %s "
    "FOR UPDATE SKIP LOCKED"
)
_ADVANCE = "UPDATE projection.feed SET position = %s, epoch = epoch + 1 WHERE name = %s"
_PATIENTS = (
    "SELECT patient, position, row FROM projection.patient WHERE build = %b AND patient = ANY(%b)"
)
_ENTRIES = (
    "SELECT stream, position, row FROM projection.directory WHERE build = %b AND stream = ANY(%b)"
)
_DOCUMENTS = (
    "SELECT document, position, row FROM projection.inbox WHERE build = %b AND document = ANY(%b)"
)
_PARKED = (
    "SELECT stream, position, events, error FROM projection.parked "
    "WHERE name = %s AND build = %s ORDER BY position"
)
_KEY_CENTRE = (
    "SELECT kek_id FROM keys.data_key WHERE stream = %s AND record IS NOT NULL "
    "ORDER BY generation LIMIT 1"
)
