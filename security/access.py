"""Who read what, and why: one entry a request, durable before any clinical byte leaves.

Entries are events of class 6 of the same log, sealed under the month's audit key. One committer
thread writes whatever is waiting, in one transaction: no timer, so a lone reader waits for one
commit and forty readers share one. The thread has a stream of its own, one per process start.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from eventsourcing.persistence import StoredEvent

from releve.security.errors import LogUnavailable, SecurityError, Tampered
from releve.security.keys.data_keys import DataKeys, access_generation
from releve.security.ledger.connection import Pool
from releve.security.ledger.envelope import (
    ACCESS,
    CLASS_NAMES,
    GENESIS,
    HEADER_LENGTH,
    Content,
    leaf_hash,
    seal,
)
from releve.security.ledger.mapper import microseconds
from releve.security.ledger.recorder import LedgerRecorder, OutcomeUnknown, VersionConflict
from releve.security.ledger.store import SKEW

RECORD_READ: Final = "access.record-read"
EXPORTED: Final = "access.exported"
TOPICS: Final = frozenset({RECORD_READ, EXPORTED})

_SCHEMA: Final = 1
_AT_ONCE: Final = 500
_RETRY_S: Final = 0.05
_SYSTEM_SESSION: Final = UUID(int=0)
_LOOK_AHEAD_S: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Accessor:
    """Who reads: the person (or machine), in which role, during which stint."""

    role: str
    name: str
    person: UUID | None = None
    stint: UUID | None = None


@dataclass(frozen=True, slots=True)
class AccessEntry:
    """One request for clinical data, granted or refused; holds no clinical text."""

    actor: Accessor
    action: str
    """What was asked for, in the policy's words."""
    what: str
    """What kind of thing was read: a page, a resource type, an export."""
    patients: tuple[UUID, ...] = ()
    """Every patient whose data left, by pseudonym."""
    count: int = 0
    """How many records or resources."""
    purpose: str | None = None
    outcome: str = "granted"
    topic: str = RECORD_READ
    """``access.record-read`` or ``access.exported``."""
    position: int | None = None
    """The ledger position that the page or file showed."""


@dataclass(slots=True)
class _Waiting:
    entry: AccessEntry
    event_id: UUID = field(default_factory=uuid4)
    done: threading.Event = field(default_factory=threading.Event)
    failure: BaseException | None = None


class AccessLog:
    """Writes access entries; :meth:`record` is safe to call from any thread.

    An entry is durable when it is recorded. Its position comes when the sequencer next looks:
    nobody waits for it, and what numbers a reading is kept out of the readings that follow.
    """

    def __init__(
        self,
        pool: Pool,
        data_keys: DataKeys,
        clock: Callable[[], datetime],
        *,
        skew: timedelta | None = SKEW,
        patience: timedelta = timedelta(seconds=5),
    ) -> None:
        """Take the service role's pool, the data keys and the record's clock.

        Args:
            pool: connections that may append events.
            data_keys: gives the month's audit key.
            clock: ``recorded_at`` of entries.
            skew: as for :class:`LedgerFactory`.
            patience: how long an entry is tried before :class:`LogUnavailable`.
        """
        self._recorder = LedgerRecorder(pool, skew)
        self._data_keys = data_keys
        self._clock = clock
        self._patience = patience.total_seconds()
        self._stream = uuid4()
        self._version, self._leaf = 0, GENESIS
        self._is_known = True
        self._months_ensured_at = float("-inf")
        self._waiting: list[_Waiting] = []
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="access-log", daemon=True)
        self._thread.start()

    @property
    def stream(self) -> UUID:
        """The stream of this process's entries."""
        return self._stream

    def record(self, entry: AccessEntry) -> None:
        """Write one entry and return once it is durable.

        Raises:
            LogUnavailable: it is not known to be durable; nothing may be shown.
        """
        self.begin(entry)()

    def begin(self, entry: AccessEntry) -> Callable[[], None]:
        """Begin to write one entry; calling what is given returns once the entry is durable.

        Both raise as :meth:`record`. Meanwhile the caller may prepare what it will show.
        """
        if entry.topic not in TOPICS:
            raise ValueError("not a topic of the access log")
        waiting = _Waiting(entry)
        with self._changed:
            if self._closed:
                raise LogUnavailable("the access log is closed")
            self._waiting.append(waiting)
            self._changed.notify()

        def durable() -> None:
            if not waiting.done.wait(self._patience * 2 + 1):
                raise LogUnavailable("the access log does not answer")
            if waiting.failure is not None:
                raise LogUnavailable("the access entry could not be written") from waiting.failure

        return durable

    def close(self) -> None:
        """Write what is waiting, then end the thread; later entries are refused."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closed:
                    self._changed.wait()
                if not self._waiting:
                    return
                batch, self._waiting = self._waiting[:_AT_ONCE], self._waiting[_AT_ONCE:]
            failure: BaseException | None = None
            try:
                self._commit(batch)
            except Exception as error:  # whatever it is, the readers must not see their pages
                failure = error
            for waiting in batch:
                waiting.failure = failure
                waiting.done.set()

    def _commit(self, batch: Sequence[_Waiting]) -> None:
        """Append one batch; tries again, with the same ids, until it is known to stand."""
        deadline = time.monotonic() + self._patience
        while True:
            try:
                if not self._is_known and self._stands(batch):
                    return
                self._append(batch)
                return
            except (OutcomeUnknown, VersionConflict):
                self._is_known = False
                if time.monotonic() > deadline:
                    raise
            except SecurityError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(_RETRY_S)

    def _append(self, batch: Sequence[_Waiting]) -> None:
        now = self._clock()
        self._ensure_months(now)
        generation = access_generation(now)
        key = self._data_keys.audit_month(generation)
        leaf = self._leaf
        stored: list[StoredEvent] = []
        for version, waiting in enumerate(batch, self._version + 1):
            header, body = seal(
                key,
                event_class=ACCESS,
                event_id=waiting.event_id,
                stream=self._stream,
                version=version,
                recorded_at_us=microseconds(now),
                session=_SYSTEM_SESSION,
                key_generation=generation,
                prev=leaf,
                content=content_of(waiting.entry, now),
            )
            leaf = leaf_hash(header)
            stored.append(StoredEvent(self._stream, version, CLASS_NAMES[ACCESS], header + body))
        self._recorder.insert_events(stored)
        self._version, self._leaf = self._version + len(batch), leaf

    def _stands(self, batch: Sequence[_Waiting]) -> bool:
        """Take up the stream where the database has it; True if this batch is part of it."""
        found = self._recorder.select_events(self._stream, gt=self._version)
        if found:
            self._version = found[-1].originator_version
            self._leaf = leaf_hash(found[-1].state[:HEADER_LENGTH])
        self._is_known = True
        return batch[0].event_id.bytes in {stored.state[8:24] for stored in found}

    def _ensure_months(self, now: datetime) -> None:
        if time.monotonic() - self._months_ensured_at > _LOOK_AHEAD_S:
            self._data_keys.ensure_audit_months(now)
            self._months_ensured_at = time.monotonic()


def content_of(entry: AccessEntry, when: datetime) -> Content:
    """What is sealed for an entry: envelope and payload as ``docs/formats.md`` §1 has them."""
    author = {"role": entry.actor.role, "name": entry.actor.name}
    if entry.actor.person is not None:
        author["person"] = str(entry.actor.person)
    if entry.actor.stint is not None:
        author["stint"] = str(entry.actor.stint)
    payload: dict[str, Any] = {
        "action": entry.action,
        "what": entry.what,
        "patients": [str(patient) for patient in entry.patients],
        "count": entry.count,
        "outcome": entry.outcome,
    }
    if entry.purpose is not None:
        payload["purpose"] = entry.purpose
    if entry.position is not None:
        payload["position"] = entry.position
    return entry.topic, _SCHEMA, {"occurred_at": when.isoformat(), "author": author}, payload


def entry_of(content: Content) -> AccessEntry:
    """Read what :func:`content_of` made.

    Raises:
        Tampered: not an access entry, or of a later release.
    """
    topic, schema, envelope, payload = content
    if topic not in TOPICS or schema != _SCHEMA:
        raise Tampered("an access entry of an unknown kind")
    try:
        author = envelope["author"]
        person, stint = author.get("person"), author.get("stint")
        return AccessEntry(
            actor=Accessor(
                author["role"],
                author["name"],
                None if person is None else UUID(person),
                None if stint is None else UUID(stint),
            ),
            action=payload["action"],
            what=payload["what"],
            patients=tuple(UUID(patient) for patient in payload["patients"]),
            count=payload["count"],
            purpose=payload.get("purpose"),
            outcome=payload["outcome"],
            topic=topic,
            position=payload.get("position"),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Tampered("an access entry that cannot be read") from error
