"""Centres, practitioners and stints: who is in post, who came before, who answers.

A small projection, opened whole and kept in memory until one of its rows changes. Its rows are
sealed under their own stream's key. Being in post follows from the stint's period alone; nobody
has to record that it lapsed.
"""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from psycopg_pool import ConnectionPool

from releve.domain.aggregates.patient.open_items import Holder, in_post, owner_at
from releve.domain.aggregates.stint import (
    Stint,
)
from releve.domain.values import (
    NamedPerson,
    Owner,
    time_zone,
)
from releve.projections.directory_entries import (
    CentreEntry,
    ClosedHandover,
    DirectoryEntry,
    IssuedEdition,
    PractitionerEntry,
    RulesEntry,
    Site,
    StandingRole,
    StintLine,
    WatchKept,
    fold_entry,
    from_bytes,
    to_bytes,
)
from releve.projections.served_build import DIRECTORY_SCOPE, ServedBuild
from releve.security.errors import KeyDestroyed, SecurityError
from releve.security.keys.data_keys import DataKeys
from releve.security.keys.sealed_rows import open_row

__all__ = (
    "KIND",
    "CentreEntry",
    "ClosedHandover",
    "Directory",
    "DirectoryCache",
    "DirectoryEntry",
    "IssuedEdition",
    "PractitionerEntry",
    "RulesEntry",
    "Site",
    "StandingRole",
    "StintLine",
    "WatchKept",
    "fold_entry",
    "from_bytes",
    "load",
    "to_bytes",
)
"""Entries are imported from here, beside what answers questions about them."""

KIND: Final = "directory"
"""Label under which directory rows are sealed."""


class Directory:
    """Centres, practitioners and stints as one immutable picture."""

    def __init__(self, entries: Iterable[DirectoryEntry]) -> None:
        """Index the entries; a stint of an unknown centre is kept too."""
        self.centres: dict[UUID, CentreEntry] = {}
        self.practitioners: dict[UUID, PractitionerEntry] = {}
        self.stints: dict[UUID, StintLine] = {}
        """Every stint, cancelled ones among them."""
        self.rules: RulesEntry | None = None
        """The release of the rules that was activated last; None: the one shipped."""
        self._by_centre: dict[UUID, list[StintLine]] = {}
        self._by_practitioner: dict[UUID, list[StintLine]] = {}
        self._by_end: dict[UUID, list[StintLine]] = {}
        for entry in entries:
            match entry:
                case CentreEntry():
                    self.centres[entry.centre] = entry
                case PractitionerEntry():
                    self.practitioners[entry.practitioner] = entry
                case StintLine():
                    self.stints[entry.stint] = entry
                    self._by_practitioner.setdefault(entry.practitioner, []).append(entry)
                    self._by_centre.setdefault(entry.centre, [])
                    if not entry.cancelled:
                        self._by_centre[entry.centre].append(entry)
                case RulesEntry():
                    if self.rules is None or entry.since > self.rules.since:
                        self.rules = entry
        for centre, stints in self._by_centre.items():
            stints.sort(key=lambda line: (line.starts_at, line.ends_at, line.stint))
            self._by_end[centre] = sorted(stints, key=lambda line: line.ends_at)

    def centre(self, centre: UUID) -> CentreEntry | None:
        """The centre of that id."""
        return self.centres.get(centre)

    def centre_by_finess(self, finess: str) -> CentreEntry | None:
        """The centre of that FINESS number."""
        return next((each for each in self.centres.values() if each.finess == finess), None)

    def stint(self, stint: UUID) -> StintLine | None:
        """The stint of that id."""
        return self.stints.get(stint)

    def stints_of(self, centre: UUID) -> list[StintLine]:
        """Every stint of a centre that takes place or took place, earliest first."""
        return list(self._by_centre.get(centre, ()))

    def stints_of_practitioner(self, practitioner: UUID) -> list[StintLine]:
        """Every stint of a person, whatever the centre, earliest first."""
        found = self._by_practitioner.get(practitioner, ())
        return sorted(found, key=lambda line: (line.starts_at, line.stint))

    def centres_of_practitioner(self, practitioner: UUID) -> frozenset[UUID]:
        """The centres that made a person known, or where they have a role, a stint, or are named.

        Empty for an unknown person.
        """
        known = self.practitioners.get(practitioner)
        if known is None:
            return frozenset()
        found = {each.centre for each in known.roles}
        found |= {
            here.centre
            for here in self.centres.values()
            if any(
                each.person == practitioner
                for each in (here.referent, *here.on_call_chain, *here.coordinators)
            )
        }
        found |= {line.centre for line in self.stints_of_practitioner(practitioner)}
        return frozenset(found | ({known.centre} if known.centre else set()))

    def standing_at(
        self, person: UUID, role: str, at: datetime, known: Iterable[UUID] = ()
    ) -> frozenset[UUID]:
        """Where a person holds a standing role at that moment.

        ``known`` are the centres at which somebody else vouches for it (a sign-in): a role that
        was revoked there is not held whoever says so.
        """
        entry = self.practitioners.get(person)
        if entry is None:
            return frozenset(known)
        granted = {
            each.centre
            for each in entry.roles
            if each.role == role
            and (each.until is None or self._today(each.centre, at).isoformat() <= each.until)
        }
        ended = {each.centre for each in (*entry.roles, *entry.revoked) if each.role == role}
        return frozenset(granted | (set(known) - ended))

    def _today(self, centre: UUID, at: datetime) -> date:
        here = self.centres.get(centre)
        return at.astimezone(time_zone(here.zone if here else "Europe/Paris")).date()

    def without_doctor(self, centre: UUID, at: datetime) -> NamedPerson | None:
        """The référent who answers when no doctor is in post; None while one is.

        A page that gets a person here says « aucun médecin : 15 / 116 117 » beside the name
        (:data:`releve.domain.aggregates.health_centre.NO_DOCTOR`).
        """
        here = self.centres.get(centre)
        return None if here is None or self.in_post(centre, at) else here.referent

    def in_post(self, centre: UUID, at: datetime) -> list[StintLine]:
        """Who is in post at a centre at that moment, longest there first; two may overlap."""
        present = in_post(self._not_over(centre, at).values(), centre, at)
        return [self.stints[stint.id] for stint in present]

    def previous(self, stint: UUID) -> StintLine | None:
        """The stint of another doctor at the same centre that began last before this one."""
        here = self.stints[stint]
        stints = self._by_centre[here.centre]
        before = range(bisect_left(stints, here.starts_at, key=_starts_at) - 1, -1, -1)
        earlier = (stints[place] for place in before)
        return next((each for each in earlier if each.practitioner != here.practitioner), None)

    def next(self, stint: UUID) -> StintLine | None:
        """The stint of the same centre that begins first after this one began.

        It may be the same doctor's again, who then continues; :meth:`successor` is somebody else.
        """
        here = self.stints[stint]
        return next(self._after(here.centre, here.starts_at), None)

    def successor(self, stint: UUID) -> StintLine | None:
        """The stint of another doctor at the same centre that begins first after this one began."""
        here = self.stints[stint]
        later = self._after(here.centre, here.starts_at)
        return next((each for each in later if each.practitioner != here.practitioner), None)

    def _after(self, centre: UUID, moment: datetime) -> Iterator[StintLine]:
        """A centre's stints that begin after a moment, earliest first; no other is looked at."""
        stints = self._by_centre.get(centre, [])
        for place in range(bisect_right(stints, moment, key=_starts_at), len(stints)):
            yield stints[place]

    def current_or_next(self, centre: UUID, at: datetime) -> StintLine | None:
        """Who is in post, else who comes next, else who was there last."""
        present = self.in_post(centre, at)
        if present:
            return present[0]
        stints = self._by_centre.get(centre, [])
        return next(self._after(centre, at), stints[-1] if stints else None)

    def last_stint_before(self, stint: UUID) -> StintLine | None:
        """The same doctor's previous stint at the same centre, or None on a first one."""
        before = self.stints_before(stint)
        return before[-1] if before else None

    def stints_before(self, stint: UUID) -> list[StintLine]:
        """The same doctor's stints at the same centre that began before this one, earliest first.

        Cancelled ones are none.
        """
        here = self.stints[stint]
        return [
            line
            for line in self.stints_of_practitioner(here.practitioner)
            if line.centre == here.centre and line.starts_at < here.starts_at and not line.cancelled
        ]

    def overlapping(self, stint: UUID) -> list[StintLine]:
        """Colleagues in post during part of this stint."""
        here = self.stints[stint]
        begins, over = here.starts_at, here.over_at
        return [
            line
            for line in self._by_centre[here.centre]
            # No stint outlasts its plan: the plan alone rules out ten years of others.
            if begins < line.ends_at and line.starts_at < over
            if begins < line.over_at and line.practitioner != here.practitioner
        ]

    def answerable(self, owner: Owner, centre: UUID | None, at: datetime) -> Holder | None:
        """Who answers at that moment for what ``owner`` owns, by the domain's rule.

        None only for an unknown centre.
        """
        here = self.centres.get(centre) if centre else None
        if here is None:
            return None
        return owner_at(owner, here.centre, at, self._not_over(here.centre, at), here.referent)

    def _not_over(self, centre: UUID, at: datetime) -> dict[UUID, Stint]:
        """Stints whose plan ends after that moment: no other can be in post, however many were."""
        lines = self._by_end.get(centre, [])
        first = bisect_right(lines, at, key=lambda line: line.ends_at)
        return {line.stint: line.as_stint() for line in lines[first:]}


def _starts_at(line: StintLine) -> datetime:
    return line.starts_at


_ROWS = (
    "SELECT d.stream, d.position, d.row FROM projection.directory d "
    "JOIN projection.feed f ON f.build = d.build WHERE f.name = 'main'"
)


class DirectoryCache:
    """Gives the directory as projected now, opened again only after one of its rows changed."""

    def __init__(
        self, pool: ConnectionPool[Any], data_keys: DataKeys, served: ServedBuild | None = None
    ) -> None:
        """Read through ``pool``; open with ``data_keys``; ask ``served`` whether a row changed."""
        self._pool = pool
        self._data_keys = data_keys
        self._served = served or ServedBuild(pool)
        self._lock = threading.Lock()
        self._stamp: tuple[int, int] | None = None
        self._directory = Directory(())
        self._held: ContextVar[list[Directory] | None] = ContextVar("directory", default=None)

    @contextmanager
    def one_picture(self) -> Iterator[None]:
        """Inside, the first picture loaded serves the rest of the reading: one answer, one state.

        For readings only: whoever writes must see what was written.
        """
        token = self._held.set([])
        try:
            yield
        finally:
            self._held.reset(token)

    def load(self) -> Directory:
        """The directory at the feed's position.

        Raises:
            KeyServiceDown: the keys cannot be opened now.
            Tampered: a row does not open where it stands.
        """
        held = self._held.get()
        if held:
            return held[0]
        directory = self._newest()
        if held is not None:
            held.append(directory)
        return directory

    def _newest(self) -> Directory:
        served = self._served.now()
        number = served.revisions.get(DIRECTORY_SCOPE) if served is not None else None
        stamp = (served.build, number) if served is not None and number is not None else None
        with self._lock:
            if stamp is not None and stamp == self._stamp:
                return self._directory
        with self._pool.connection() as connection:
            rows = connection.execute(_ROWS, binary=True).fetchall()
        directory = Directory(_opened(rows, self._data_keys))
        with self._lock:
            self._stamp, self._directory = stamp, directory
        return directory


def load(pool: ConnectionPool[Any], data_keys: DataKeys) -> Directory:
    """The directory at the feed's position, read and opened now."""
    return DirectoryCache(pool, data_keys).load()


def _opened(rows: list[Any], data_keys: DataKeys) -> Iterable[DirectoryEntry]:
    keys: Mapping[tuple[UUID, int], bytes | SecurityError] = data_keys.look_up(
        (stream, 1) for stream, _, _ in rows
    )
    for stream, position, row in rows:
        key = keys[stream, 1]
        if isinstance(key, KeyDestroyed):
            continue
        if isinstance(key, SecurityError):
            raise key
        yield from_bytes(open_row(key, KIND, stream, position, row))
