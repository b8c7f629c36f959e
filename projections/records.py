"""Read what is projected: one patient, a centre's patients, its open items.

Every function reads the build that is served in one statement, so that nobody sees half a swap.
Whoever calls has asked the policy and made the access entry durable; this module does neither.
"""

from __future__ import annotations

import gc
import threading
import time
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Final, NamedTuple
from uuid import UUID

from psycopg_pool import ConnectionPool

from releve.projections import open_items, results_board
from releve.projections.directory import Directory
from releve.projections.inbox import InboxLine
from releve.projections.open_items import BoardLine, answerable_for, board
from releve.projections.patient_summary import Item, PatientSummary
from releve.projections.projected_rows import GENERATION, open_briefing, open_patient
from releve.projections.results_board import Group, ResultRow
from releve.projections.rule_release import Rules
from releve.projections.served_build import FEED, ServedBuild, read_served
from releve.security.errors import KeyDestroyed, SecurityError
from releve.security.keys.data_keys import DataKeys
from releve.security.keys.sealed_rows import open_row

KEPT_S: Final = 300.0
"""How long a centre's opened rows stay in memory after they were last read: as their keys do."""


_MANY: Final = 200
"""From so many rows on, what they hold is set aside from the garbage collector."""


@contextmanager
def _set_aside() -> Iterator[None]:
    """Keep the garbage collector from visiting what is made inside, now and later.

    A centre's opened rows are half a million objects and no cycle: references alone free them,
    while every full collection would stop the process for half a second to find nothing.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.freeze()


class PatientAt(NamedTuple):
    """A summary and the ledger position that all projections stood at when it was read."""

    summary: PatientSummary
    position: int


def read_patient(pool: ConnectionPool[Any], data_keys: DataKeys, patient: UUID) -> PatientAt | None:
    """The whole summary of one patient, or None when there is none.

    Raises:
        KeyDestroyed: the record was erased.
        KeyServiceDown: try again.
        Tampered: the row does not open where it stands.
    """
    with pool.connection() as connection:
        row = connection.execute(_PATIENT, (FEED, patient), binary=True).fetchone()
    if row is None:
        return None
    reached, position, sealed = row
    key = data_keys.get(patient, GENERATION)
    return PatientAt(open_patient(key, patient, position, sealed), reached)


def centres_of_patient(pool: ConnectionPool[Any], patient: UUID) -> frozenset[UUID]:
    """The centres that a patient belongs to: declared there, or written about there."""
    with pool.connection() as connection:
        rows = connection.execute(_CENTRES, (FEED, patient)).fetchall()
    return frozenset(row[0] for row in rows)


def access_positions(pool: ConnectionPool[Any], patient: UUID) -> list[int]:
    """Positions of the access entries that name a patient, oldest first."""
    with pool.connection() as connection:
        rows = connection.execute(_ACCESS, (FEED, patient)).fetchall()
    return [row[0] for row in rows]


class _Opened(NamedTuple):
    wrote: str
    """The transaction that wrote the row."""
    summary: PatientSummary
    name: str
    """The patient's name, as :func:`plain_name` gives it."""


@dataclass
class _Centre:
    build: int
    until: float
    rows: dict[UUID, _Opened] = field(default_factory=dict)
    revision: int | None = None
    """How often the rows had been written; the same while none is written, added or taken."""
    summaries: dict[UUID, PatientSummary] = field(default_factory=dict)

    @cached_property
    def namesakes(self) -> dict[str, list[UUID]]:
        """Names, as :func:`plain_name` gives them, that several patients have, and who they are."""
        found: dict[str, list[UUID]] = {}
        for patient, row in self.rows.items():
            found.setdefault(row.name, []).append(patient)
        return {name: patients for name, patients in found.items() if len(patients) > 1}


class CentreRecords:
    """A centre's bounded summaries, kept open for five minutes; only what changed is opened again.

    Erased patients disappear with their rows. Safe to use from several threads.
    """

    def __init__(
        self, pool: ConnectionPool[Any], data_keys: DataKeys, served: ServedBuild | None = None
    ) -> None:
        """Read through ``pool``; open with ``data_keys``; ask ``served`` whether a row changed."""
        self._pool = pool
        self._data_keys = data_keys
        self._served = served or ServedBuild(pool)
        self._kept: dict[UUID, _Centre] = {}
        self._lock = threading.Lock()
        self._held: ContextVar[dict[UUID, tuple[int, _Centre]] | None] = ContextVar(
            "records", default=None
        )

    @contextmanager
    def one_picture(self) -> Iterator[None]:
        """Inside, what was first read of a centre serves the rest of the reading."""
        token = self._held.set({})
        try:
            yield
        finally:
            self._held.reset(token)

    def summaries(self, centre: UUID) -> tuple[int, dict[UUID, PatientSummary]]:
        """(ledger position, bounded summary per patient) of everybody who belongs to a centre.

        The mapping is shared with other readers: it is not to be changed.

        Raises:
            KeyServiceDown: try again.
            Tampered: a row does not open where it stands.
        """
        position, kept = self._read(centre)
        return position, kept.summaries

    def _read(self, centre: UUID) -> tuple[int, _Centre]:
        held = self._held.get()
        if held is not None and centre in held:
            return held[centre]
        read = self._newest(centre)
        if held is not None:
            held[centre] = read
        return read

    def _newest(self, centre: UUID) -> tuple[int, _Centre]:
        served = self._served.now()
        if served is None:
            return -1, _Centre(0, 0.0)
        known = self._of(centre, served.build)
        if known.revision is not None and known.revision == served.revisions.get(centre):
            known.until = time.monotonic() + KEPT_S
            return served.position, known
        with self._pool.connection() as connection, connection.transaction():
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            newest = read_served(connection)
            if newest is None:
                return -1, _Centre(0, 0.0)
            build, reached, revision = newest.build, newest.position, newest.revisions.get(centre)
            held = self._of(centre, build).rows  # another thread may put another one there
            here = connection.execute(_POSITIONS, (build, centre), binary=True).fetchall()
            stale = [p for p, wrote in here if p not in held or held[p].wrote != wrote]
            sealed = (
                connection.execute(_ROWS, (build, stale), binary=True).fetchall() if stale else []
            )
        keys = self._data_keys.look_up((row[0], GENERATION) for row in sealed)
        reopened = set(stale)
        rows = {p: held[p] for p, _ in here if p not in reopened}
        with _set_aside() if len(sealed) > _MANY else nullcontext():
            for patient, position, wrote, row in sealed:
                key = keys[patient, GENERATION]
                if isinstance(key, KeyDestroyed):
                    continue
                if isinstance(key, SecurityError):
                    raise key
                summary = open_briefing(key, patient, position, row)
                rows[patient] = _Opened(wrote, summary, plain_name(summary.full_name()))
        summaries = {patient: row.summary for patient, row in rows.items()}
        kept = _Centre(build, time.monotonic() + KEPT_S, rows, revision, summaries)
        with self._lock:
            self._kept[centre] = kept
        return reached, kept

    def shared_names(self, centre: UUID) -> frozenset[str]:
        """Names, as :func:`plain_name` gives them, that several patients of a centre have."""
        return frozenset(self._read(centre)[1].namesakes)

    def search(self, centre: UUID, words: str, limit: int = 50) -> list[PatientSummary]:
        """Patients of a centre whose names begin with each of the words typed, by name.

        Accents, case and hyphens do not count; a birth date typed as ``12/03/1948`` or
        ``1948-03-12`` counts as a word. With nothing typed, everybody by name.
        """
        wanted = _plain(words).split()
        dates = {_date(word) for word in words.split()} - {""}
        if dates:
            wanted = _plain(" ".join(_undated(words))).split()
        found = []
        for summary in self.summaries(centre)[1].values():
            who = summary.identity
            if dates and (who is None or who.birth_date not in dates):
                continue
            names = _plain(_names(summary)).split()
            if all(any(name.startswith(word) for name in names) for word in wanted):
                found.append(summary)
        found.sort(key=lambda each: (_plain(each.full_name()), each.patient.hex))
        return found[:limit]

    def same_names(self, centre: UUID, summary: PatientSummary) -> list[PatientSummary]:
        """Other patients of a centre with the same name: a warning to show."""
        kept = self._read(centre)[1]
        same = kept.namesakes.get(plain_name(summary.full_name()), ())
        return [kept.summaries[other] for other in same if other != summary.patient]

    def forget(self, centre: UUID | None = None) -> None:
        """Drop what is kept in memory of one centre, or of all."""
        with self._lock:
            if centre is None:
                self._kept.clear()
            else:
                self._kept.pop(centre, None)

    def sweep(self) -> int:
        """Drop the rows of centres that nobody has read for as long as they are kept; how many."""
        now = time.monotonic()
        with self._lock:
            over = [centre for centre, held in self._kept.items() if held.until < now]
            for centre in over:
                del self._kept[centre]
        return len(over)

    def _of(self, centre: UUID, build: int) -> _Centre:
        self.sweep()
        now = time.monotonic()
        with self._lock:
            held = self._kept.get(centre)
            if held is None or held.build != build:
                held = self._kept[centre] = _Centre(build, now + KEPT_S)
            return held


def open_items_of(
    pool: ConnectionPool[Any],
    data_keys: DataKeys,
    records: CentreRecords,
    directory: Directory,
    centre: UUID,
    at: datetime,
) -> list[BoardLine]:
    """A centre's open items in board order; raises as :meth:`CentreRecords.summaries`."""
    with pool.connection() as connection:
        rows = connection.execute(_ITEMS, (FEED, centre), binary=True).fetchall()
    summaries = records.summaries(centre)[1]
    items = []
    for patient, item in _opened_items(rows, data_keys):
        summary = summaries.get(patient)
        if summary is not None:
            items.append((item, summary))
    return board(items, at, directory)


def results_of(
    records: CentreRecords,
    waiting: Iterable[InboxLine],
    directory: Directory,
    centre: UUID,
    at: datetime,
    rules: Rules,
) -> dict[Group, list[ResultRow]]:
    """A centre's results by group in board order; raises as :meth:`CentreRecords.summaries`.

    ``waiting`` are the inbox's documents that nobody matched: nothing of them without the right
    to read the inbox.
    """
    here = directory.centre(centre)
    zone = here.zone if here else "Europe/Paris"
    summaries = records.summaries(centre)[1].values()
    return results_board.board(summaries, waiting, rules, at, zone, centre, directory)


class ItemCount(NamedTuple):
    """How many items are open, late, and without anybody who answers for them."""

    open: int
    overdue: int
    orphans: int


def count_items(
    pool: ConnectionPool[Any], data_keys: DataKeys, directory: Directory, at: datetime
) -> ItemCount:
    """Open, overdue and orphan items of the whole installation at a moment."""
    with pool.connection() as connection:
        rows = connection.execute(_ALL_ITEMS, (FEED,), binary=True).fetchall()
    total = overdue = orphans = 0
    homes = {row[0]: row[3] for row in rows}
    for patient, item in _opened_items([row[:3] for row in rows], data_keys):
        total += 1
        overdue += open_items.overdue_days(item, at) > 0
        orphans += answerable_for(item, homes[patient], at, directory) is None
    return ItemCount(total, overdue, orphans)


def _opened_items(rows: list[Any], data_keys: DataKeys) -> Iterable[tuple[UUID, Item]]:
    keys = data_keys.look_up((row[0], GENERATION) for row in rows)
    for patient, position, row in rows:
        key = keys[patient, GENERATION]
        if isinstance(key, KeyDestroyed):
            continue
        if isinstance(key, SecurityError):
            raise key
        raw = open_row(key, open_items.KIND, patient, position, row)
        yield patient, open_items.from_bytes(raw)


def plain_name(name: str) -> str:
    """A name for comparing: no accents, no case, hyphens and apostrophes as single spaces."""
    return " ".join(_plain(name).split())


def _plain(text: str) -> str:
    """Lower case without accents, hyphens and apostrophes as spaces."""
    flat = unicodedata.normalize("NFKD", text)
    kept = "".join(sign for sign in flat if not unicodedata.combining(sign))
    return "".join(sign if sign.isalnum() else " " for sign in kept.casefold())


def _names(summary: PatientSummary) -> str:
    who = summary.identity
    if who is None:
        return ""
    parts = (who.used_name, who.birth_name, who.used_first_name, *who.first_names)
    return " ".join(part for part in parts if part)


def _date(word: str) -> str:
    """The ISO date that a typed word is, or nothing."""
    parts = word.replace("-", "/").split("/")
    if len(parts) != 3 or not all(part.isdigit() for part in parts):
        return ""
    if len(parts[0]) == 4:
        return f"{parts[0]}-{parts[1]:0>2}-{parts[2]:0>2}"
    return f"{parts[2]}-{parts[1]:0>2}-{parts[0]:0>2}"


def _undated(words: str) -> list[str]:
    return [word for word in words.split() if not _date(word)]


# Rows are asked for in binary: as text every byte of them would travel as two digits.
_PATIENT = (
    "SELECT f.position, p.position, p.row FROM projection.feed f "
    "JOIN projection.patient p ON p.build = f.build WHERE f.name = %b AND p.patient = %b"
)
_CENTRES = (
    "SELECT c.centre FROM projection.feed f "
    "JOIN projection.patient_centre c ON c.build = f.build WHERE f.name = %s AND c.patient = %s"
)
_ACCESS = (
    "SELECT a.position FROM projection.feed f JOIN projection.access a ON a.build = f.build "
    "WHERE f.name = %s AND a.patient = %s ORDER BY a.position"
)
_POSITIONS = (
    "SELECT b.patient, b.xmin::text FROM projection.patient_centre c "
    "JOIN projection.briefing b ON b.build = c.build AND b.patient = c.patient "
    "WHERE c.build = %b AND c.centre = %b"
)
# xmin names the transaction that wrote a row: a record read again keeps its position.
_ROWS = (
    "SELECT patient, position, xmin::text, row FROM projection.briefing "
    "WHERE build = %b AND patient = ANY(%b)"
)
_ITEMS = (
    "SELECT i.patient, i.position, i.row FROM projection.feed f "
    "JOIN projection.open_item i ON i.build = f.build WHERE f.name = %b AND i.centre = %b"
)
_ALL_ITEMS = (
    "SELECT i.patient, i.position, i.row, (SELECT min(c.centre::text)::uuid "
    "FROM projection.patient_centre c WHERE c.build = i.build AND c.patient = i.patient) "
    "FROM projection.feed f "
    "JOIN projection.open_item i ON i.build = f.build WHERE f.name = %b"
)
