"""Data keys: one per stream and generation, wrapped in the database, opened for a short while here.

:class:`DataKeys` is the only way to a data key. It keeps opened keys in a bounded cache, asks for
many in one query and one call of the wrapper, and never mistakes an outage for an erasure:
``KeyDestroyed``, ``KeyMissing`` and ``KeyServiceDown`` are three different answers.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg.rows import tuple_row
from psycopg_pool import ConnectionPool

from releve.security.errors import (
    KeyDestroyed,
    KeyMissing,
    KeyRefused,
    KeyServiceDown,
    SecurityError,
    Tampered,
)
from releve.security.keys.derivation import KEY_LENGTH
from releve.security.keys.records import WrappedKey
from releve.security.keys.wrapper import AUDIT, DataKeyContext, KeyWrapper, Scope, scope_of

KeyId = tuple[UUID, int]
"""Stream and generation: what a header says about the key that opens it."""

ACCESS_STREAM: Final = UUID(int=0)
"""The stream under which the months' keys of access entries are filed."""

_CENTRE_CLASS = 2
_ACCESS_CLASS = 6
_MADE_AHEAD = timedelta(days=7)

_SELECT = (
    "SELECT k.stream, k.generation, k.kek_id, k.kek_version, k.record, k.destroyed_at "
    "FROM unnest(%s::uuid[], %s::bigint[]) AS wanted (stream, generation) "
    "JOIN keys.data_key AS k USING (stream, generation)"
)
_INSERT = (
    "INSERT INTO keys.data_key (stream, generation, kek_id, kek_version, record) "
    "SELECT * FROM unnest(%s::uuid[], %s::bigint[], %s::uuid[], %s::bigint[], %s::bytea[]) "
    "ON CONFLICT (stream, generation) DO NOTHING"
)
_WRAPPED_BY = "SELECT 1 FROM keys.data_key WHERE kek_id = %s AND record IS NOT NULL LIMIT 1"


def access_generation(when: datetime) -> int:
    """Give the number of the month (UTC) whose key seals access entries: year * 12 + month."""
    month = when.astimezone(UTC)
    return month.year * 12 + month.month


def key_of(event_class: int, stream: UUID, generation: int) -> KeyId:
    """Give the data key that opens an event, from its clear header alone."""
    return (ACCESS_STREAM if event_class == _ACCESS_CLASS else stream), generation


@dataclass(slots=True, repr=False)
class _Kept:
    key: bytes
    until: float
    idle_until: float


class DataKeys:
    """Gives data keys by stream and generation; safe to use from several threads."""

    def __init__(
        self,
        pool: ConnectionPool[Any],
        wrapper: KeyWrapper,
        *,
        capacity: int = 5_000,
        lifetime: timedelta = timedelta(minutes=15),
        idle: timedelta = timedelta(minutes=5),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the pool and the wrapper.

        Opened keys stay for at most ``lifetime``, and ``idle`` after their last use, and never
        more than ``capacity`` of them. ``clock`` gives seconds that only go forward.
        """
        self._pool = pool
        self._wrapper = wrapper
        self._capacity = capacity
        self._lifetime = lifetime.total_seconds()
        self._idle = idle.total_seconds()
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: OrderedDict[KeyId, _Kept] = OrderedDict()
        self._loading: dict[KeyId, Future[bytes | SecurityError]] = {}
        self._forgotten = 0

    def __repr__(self) -> str:
        return f"DataKeys({len(self._kept)} opened)"

    def get(self, stream: UUID, generation: int = 1) -> bytes:
        """Give one data key (32 bytes).

        Raises:
            KeyDestroyed: it was destroyed; what it sealed is erased.
            KeyMissing: there never was one.
            KeyServiceDown: database or wrapper do not answer; says nothing about the record.
            KeyRefused, Tampered: its wrapped bytes were changed.
        """
        wanted = stream, generation
        with self._lock:
            kept = self._fresh(wanted)
        return kept if kept is not None else self.get_many([wanted])[wanted]

    def get_many(self, wanted: Iterable[KeyId]) -> dict[KeyId, bytes]:
        """Give all of these data keys, with one query and one unwrapping for the unopened ones.

        Raises:
            KeyDestroyed, KeyMissing, KeyServiceDown, KeyRefused, Tampered: as :meth:`get`, for
                the first that is not available. Where one erased record must not hide the
                others, use :meth:`look_up`.
        """
        return _all_of(self.look_up(wanted))

    def look_up(self, wanted: Iterable[KeyId]) -> dict[KeyId, bytes | SecurityError]:
        """Give for each key its bytes, or why it is not available, in the order asked.

        The reason is a ``KeyDestroyed``, ``KeyMissing``, ``KeyRefused`` or ``Tampered``; no
        reason is remembered, the next call asks again.

        Raises:
            KeyServiceDown: database or wrapper do not answer.
        """
        names = list(dict.fromkeys(wanted))
        answers: dict[KeyId, bytes | SecurityError] = {}
        mine: list[KeyId] = []
        others: dict[KeyId, Future[bytes | SecurityError]] = {}
        with self._lock:
            for name in names:
                kept = self._fresh(name)
                if kept is not None:
                    answers[name] = kept
                elif name in self._loading:
                    others[name] = self._loading[name]
                else:
                    self._loading[name] = Future()
                    mine.append(name)
            epoch = self._forgotten
        # Ours first: nobody waits for a thread that waits for somebody else.
        if mine:
            answers.update(self._load(mine, epoch))
        for name, future in others.items():
            answers[name] = future.result()
        return {name: answers[name] for name in names}

    def create(
        self, stream: UUID, event_class: int, centre: UUID | None, generation: int = 1
    ) -> bytes:
        """Make the data key of a new stream, durable before it returns, and give it.

        In a transaction of its own, before the event that it will seal. Where another process
        made it meanwhile, gives the other's. ``centre`` says whose key wraps it (classes patient,
        centre, stint and intake); a centre's own stream may leave it out.

        Raises:
            KeyDestroyed: this key existed and was destroyed.
            KeyRefused: the class needs a centre and none is given.
            KeyServiceDown: database or wrapper do not answer.
        """
        context = DataKeyContext(stream, generation, _scope(stream, event_class, centre))
        return self._make([context])[stream, generation]

    def create_many(self, streams: Sequence[tuple[UUID, int, UUID | None]]) -> dict[KeyId, bytes]:
        """Make the first data keys of many streams ``(stream, class, centre)`` in one transaction.

        Raises:
            KeyDestroyed, KeyRefused, KeyServiceDown: as :meth:`create`.
        """
        return self._make(
            [
                DataKeyContext(stream, 1, _scope(stream, kind, centre))
                for stream, kind, centre in streams
            ]
        )

    def audit_month(self, generation: int) -> bytes:
        """Give the key under which access entries of a month are written, made if it is missing.

        For writers only: to open an entry use :meth:`get` with :data:`ACCESS_STREAM`.

        Raises:
            KeyDestroyed, KeyServiceDown: as :meth:`get`.
        """
        try:
            return self.get(ACCESS_STREAM, generation)
        except KeyMissing:
            context = DataKeyContext(ACCESS_STREAM, generation, AUDIT)
            return self._make([context])[ACCESS_STREAM, generation]

    def ensure_audit_months(self, now: datetime) -> None:
        """Make this month's access key, and within its last week the next one's too.

        Raises:
            KeyServiceDown: database or wrapper do not answer.
        """
        for when in (now, now + _MADE_AHEAD):
            self.audit_month(access_generation(when))

    def forget(self, stream: UUID) -> None:
        """Drop a stream's opened keys at once, also those being loaded right now."""
        with self._lock:
            self._forgotten += 1
            for name in [name for name in self._kept if name[0] == stream]:
                del self._kept[name]

    def _fresh(self, name: KeyId) -> bytes | None:
        kept = self._kept.get(name)
        if kept is None:
            return None
        now = self._clock()
        if now >= kept.until or now >= kept.idle_until:
            del self._kept[name]
            return None
        kept.idle_until = now + self._idle
        self._kept.move_to_end(name)
        return kept.key

    def _load(self, names: list[KeyId], epoch: int) -> dict[KeyId, bytes | SecurityError]:
        try:
            answers = self._read(names)
        except BaseException as error:
            self._settle(names, epoch, None, error)
            raise
        self._settle(names, epoch, answers, None)
        return answers

    def _settle(
        self,
        names: list[KeyId],
        epoch: int,
        answers: dict[KeyId, bytes | SecurityError] | None,
        failure: BaseException | None,
    ) -> None:
        with self._lock:
            futures = [(name, self._loading.pop(name)) for name in names]
            if answers is not None and epoch == self._forgotten:
                self._keep(answers)
        for name, future in futures:
            if answers is not None:
                future.set_result(answers[name])
            else:
                # Whoever waits sees an outage, whatever ended the thread it waited for.
                outage = failure if isinstance(failure, SecurityError) else KeyServiceDown()
                future.set_exception(outage)

    def _keep(self, answers: dict[KeyId, bytes | SecurityError]) -> None:
        now = self._clock()
        for name, answer in answers.items():
            if isinstance(answer, bytes):
                self._kept[name] = _Kept(answer, now + self._lifetime, now + self._idle)
                self._kept.move_to_end(name)
        while len(self._kept) > self._capacity:
            self._kept.popitem(last=False)

    def _read(self, names: Sequence[KeyId]) -> dict[KeyId, bytes | SecurityError]:
        streams = [stream for stream, _ in names]
        generations = [generation for _, generation in names]
        with _database(self._pool) as cursor:
            rows = cursor.execute(_SELECT, (streams, generations)).fetchall()
        answers: dict[KeyId, bytes | SecurityError] = {}
        records: dict[KeyId, bytes] = {}
        for stream, generation, kek, kek_version, record, destroyed_at in rows:
            name = stream, generation
            if record is None:
                destroyed = destroyed_at is not None
                answers[name] = (
                    KeyDestroyed("the data key was destroyed")
                    if destroyed
                    else Tampered("a data key lost its record and was not destroyed")
                )
                continue
            problem = _misplaced(name, kek, kek_version, record)
            if problem is None:
                records[name] = record
            else:
                answers[name] = problem
        answers.update(self._unwrap(records))
        for name in names:
            answers.setdefault(name, KeyMissing("no data key for this stream and generation"))
        return answers

    def _unwrap(self, records: dict[KeyId, bytes]) -> dict[KeyId, bytes | SecurityError]:
        if not records:
            return {}
        try:
            keys = self._wrapper.unwrap_many(list(records.values()))
        except (KeyRefused, Tampered) as error:
            if len(records) == 1:
                return dict.fromkeys(records, error)
            # One bad record must not hide the others: find it.
            found: dict[KeyId, bytes | SecurityError] = {}
            for name, record in records.items():
                found.update(self._unwrap({name: record}))
            return found
        return dict(zip(records, keys, strict=True))

    def _make(self, contexts: Sequence[DataKeyContext]) -> dict[KeyId, bytes]:
        for scope in {context.scope for context in contexts}:
            self._refuse_second_founding(scope)
        records = self._wrapper.wrap_many([(c, os.urandom(KEY_LENGTH)) for c in contexts])
        parsed = [WrappedKey.parse(record) for record in records]
        with _database(self._pool) as cursor:
            cursor.execute(
                _INSERT,
                (
                    [record.stream for record in parsed],
                    [record.generation for record in parsed],
                    [record.kek for record in parsed],
                    [record.kek_version for record in parsed],
                    records,
                ),
            )
        # What stands now is what counts: ours, or that of whoever was quicker. Read here, for a
        # look-up of another thread that is under way may have begun before the key was made.
        return self._made([(context.stream, context.generation) for context in contexts])

    def _made(self, names: Sequence[KeyId]) -> dict[KeyId, bytes]:
        with self._lock:
            epoch = self._forgotten
        answers = self._read(names)
        with self._lock:
            if epoch == self._forgotten:
                self._keep(answers)
        return _all_of(answers)

    def _refuse_second_founding(self, scope: Scope) -> None:
        """A lost key file must not be replaced by a new one that opens nothing of what stands."""
        if self._wrapper.current_version(scope.kek):
            return
        with _database(self._pool) as cursor:
            wrapped = cursor.execute(_WRAPPED_BY, (scope.kek,)).fetchone()
        # Looked for again: another process may have founded it since, and its file comes first.
        if wrapped and not self._wrapper.current_version(scope.kek):
            raise KeyServiceDown("la clé qui protège ces dossiers manque : la remettre en place")


def _all_of(answers: dict[KeyId, bytes | SecurityError]) -> dict[KeyId, bytes]:
    """The keys of a look-up, or the first reason why one of them is not available."""
    found: dict[KeyId, bytes] = {}
    for name, answer in answers.items():
        if isinstance(answer, SecurityError):
            raise answer
        found[name] = answer
    return found


def _scope(stream: UUID, event_class: int, centre: UUID | None) -> Scope:
    own = stream if event_class == _CENTRE_CLASS else None
    return scope_of(event_class, centre or own)


def _misplaced(name: KeyId, kek: UUID, kek_version: int, raw: bytes) -> SecurityError | None:
    try:
        record = WrappedKey.parse(raw)
    except Tampered as error:
        return error
    if (record.stream, record.generation, record.kek, record.kek_version) != (
        *name,
        kek,
        kek_version,
    ):
        return Tampered("a wrapped data key stands in another one's place")
    return None


@contextmanager
def _database(pool: ConnectionPool[Any]) -> Iterator[psycopg.Cursor[tuple[Any, ...]]]:
    """One transaction on a pooled connection; whatever goes wrong with it is an outage."""
    try:
        with (
            pool.connection() as connection,
            connection.transaction(),
            connection.cursor(row_factory=tuple_row, binary=True) as cursor,
        ):
            yield cursor
    except psycopg.Error as error:
        raise KeyServiceDown("la base des clés ne répond pas") from error
