"""Centres, practitioners and stints: who is in post, who came before, who answers.

A small projection, opened whole and kept in memory until one of its rows changes. Its rows are
sealed under their own stream's key. Being in post follows from the stint's period alone; nobody
has to record that it lapsed.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from psycopg_pool import ConnectionPool

from releve.domain.aggregates.health_centre import CentreOpened
from releve.domain.aggregates.patient.open_items import Holder, in_post, owner_at
from releve.domain.aggregates.practitioner import PractitionerOnboarded
from releve.domain.aggregates.stint import (
    BriefingIssued,
    BriefingOpened,
    Stint,
    StintEnded,
    StintPlanned,
    StintStarted,
)
from releve.domain.events import Event
from releve.domain.values import NamedPerson, Owner, StintMode, StintPeriod
from releve.projections.dates import first_instant
from releve.security.errors import KeyDestroyed, SecurityError
from releve.security.keys.data_keys import DataKeys
from releve.security.keys.sealed_rows import open_row

KIND: Final = "directory"
"""Label under which directory rows are sealed."""


class CentreEntry(msgspec.Struct, frozen=True, kw_only=True, tag="centre"):
    """A health centre, its référent and its on-call chain."""

    centre: UUID
    name: str
    finess: str
    referent: NamedPerson
    on_call_chain: tuple[NamedPerson, ...]
    zone: str = "Europe/Paris"
    address: str = ""
    phones: tuple[tuple[str, str], ...] = ()


class PractitionerEntry(msgspec.Struct, frozen=True, kw_only=True, tag="practitioner"):
    """A practitioner, or another member of a team."""

    practitioner: UUID
    name: str
    given: str
    title: str = "Dr"
    rpps: str | None = None
    qualification: str = ""
    role: str = "doctor"

    @property
    def full_name(self) -> str:
        """``Dr Camille Exemple``."""
        return " ".join(part for part in (self.title, self.given, self.name) if part)


class IssuedEdition(msgspec.Struct, frozen=True, kw_only=True):
    """An edition that the stint's stream says was issued; ``manifest`` is hex SHA-256."""

    edition: UUID
    number: int
    manifest: str
    position: int
    rule_release: str
    patients: int
    issued_at: datetime


class StintLine(msgspec.Struct, frozen=True, kw_only=True, tag="stint"):
    """One doctor's time at one centre; instants are UTC."""

    stint: UUID
    practitioner: UUID
    practitioner_name: str
    centre: UUID
    starts_at: datetime
    ends_at: datetime
    mode: StintMode = "volontaire"
    zone: str = "Europe/Paris"
    started_at: datetime | None = None
    ended_at: datetime | None = None
    editions: tuple[IssuedEdition, ...] = ()
    opened: tuple[UUID, ...] = ()

    @property
    def over_at(self) -> datetime:
        """When the stint stops: its end as planned, or earlier when it was cut short."""
        return self.as_stint().window[1]

    def active(self, at: datetime) -> bool:
        """Whether the doctor is in post at that moment."""
        return self.as_stint().active(at)

    def as_stint(self) -> Stint:
        """The domain's own view of it: its rules decide who is in post and who holds what."""
        return Stint(
            id=self.stint,
            version=0,
            practitioner=self.practitioner,
            practitioner_name=self.practitioner_name,
            centre=self.centre,
            planned=StintPeriod(self.starts_at, self.ends_at),
            mode=self.mode,
            zone=self.zone,
            started_at=self.started_at,
            ended_at=self.ended_at,
        )


DirectoryEntry = CentreEntry | PractitionerEntry | StintLine

_ENCODER = msgspec.msgpack.Encoder(uuid_format="bytes")
_DECODER: msgspec.msgpack.Decoder[DirectoryEntry] = msgspec.msgpack.Decoder(DirectoryEntry)


def to_bytes(entry: DirectoryEntry) -> bytes:
    """The entry as MessagePack."""
    return _ENCODER.encode(entry)


def from_bytes(raw: bytes) -> DirectoryEntry:
    """The entry that :func:`to_bytes` wrote."""
    return _DECODER.decode(raw)


def fold_entry(entry: DirectoryEntry | None, event: Event) -> DirectoryEntry:
    """The entry after ``event`` (pure).

    Raises:
        ValueError: the event does not belong to a directory stream, or not after that entry.
    """
    payload = event.payload
    stream = event.originator_id
    match payload, entry:
        case CentreOpened(), None:
            return CentreEntry(
                centre=stream,
                name=payload.name,
                finess=payload.finess,
                referent=payload.referent,
                on_call_chain=payload.on_call_chain,
                zone=payload.zone,
                address=payload.address,
                phones=payload.phones,
            )
        case PractitionerOnboarded(), None:
            return PractitionerEntry(
                practitioner=stream,
                name=payload.name,
                given=payload.given,
                title=payload.title,
                rpps=payload.rpps,
                qualification=payload.qualification,
                role=payload.role,
            )
        case StintPlanned(), None:
            zone = event.envelope.zone
            return StintLine(
                stint=stream,
                practitioner=payload.practitioner,
                practitioner_name=payload.practitioner_name,
                centre=payload.centre,
                starts_at=_instant(payload.starts_at, zone),
                ends_at=_instant(payload.ends_at, zone),
                mode=payload.mode,
                zone=zone,
            )
        case StintStarted(), StintLine():
            began = first_instant(event.envelope.occurred_at, event.envelope.zone)
            return msgspec.structs.replace(entry, started_at=began or event.recorded_at)
        case StintEnded(), StintLine():
            ended = first_instant(event.envelope.occurred_at, event.envelope.zone)
            return msgspec.structs.replace(entry, ended_at=ended or event.recorded_at)
        case BriefingIssued(), StintLine():
            issued = IssuedEdition(
                edition=payload.edition,
                number=payload.number,
                manifest=payload.manifest,
                position=payload.position,
                rule_release=payload.rule_release,
                patients=payload.patients,
                issued_at=event.recorded_at,
            )
            return msgspec.structs.replace(entry, editions=(*entry.editions, issued))
        case BriefingOpened(), StintLine():
            if payload.edition in entry.opened:
                return entry
            return msgspec.structs.replace(entry, opened=(*entry.opened, payload.edition))
        case _:
            raise ValueError(f"{payload.topic} has no place in the directory here")


def _instant(text: str, zone: str) -> datetime:
    moment = first_instant(text, zone)
    if moment is None:
        raise ValueError("a stint's period is not a date")
    return moment.astimezone(UTC)


class Directory:
    """Centres, practitioners and stints as one immutable picture."""

    def __init__(self, entries: Iterable[DirectoryEntry]) -> None:
        """Index the entries; a stint of an unknown centre is kept too."""
        self.centres: dict[UUID, CentreEntry] = {}
        self.practitioners: dict[UUID, PractitionerEntry] = {}
        self.stints: dict[UUID, StintLine] = {}
        self._by_centre: dict[UUID, list[StintLine]] = {}
        self._domain: dict[UUID, dict[UUID, Stint]] = {}
        for entry in entries:
            match entry:
                case CentreEntry():
                    self.centres[entry.centre] = entry
                case PractitionerEntry():
                    self.practitioners[entry.practitioner] = entry
                case StintLine():
                    self.stints[entry.stint] = entry
                    self._by_centre.setdefault(entry.centre, []).append(entry)
        for stints in self._by_centre.values():
            stints.sort(key=lambda line: (line.starts_at, line.ends_at, line.stint))

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
        """Every stint of a centre, earliest first."""
        return list(self._by_centre.get(centre, ()))

    def stints_of_practitioner(self, practitioner: UUID) -> list[StintLine]:
        """Every stint of a person, whatever the centre, earliest first."""
        found = [line for line in self.stints.values() if line.practitioner == practitioner]
        return sorted(found, key=lambda line: (line.starts_at, line.stint))

    def in_post(self, centre: UUID, at: datetime) -> list[StintLine]:
        """Who is in post at a centre at that moment, longest there first; two may overlap."""
        present = in_post(self._stints_at(centre).values(), centre, at)
        return [self.stints[stint.id] for stint in present]

    def previous(self, stint: UUID) -> StintLine | None:
        """The stint of the same centre that began last before this one."""
        here = self.stints[stint]
        before = [
            line
            for line in self._by_centre[here.centre]
            if line.starts_at < here.starts_at and line.stint != stint
        ]
        return before[-1] if before else None

    def next(self, stint: UUID) -> StintLine | None:
        """The stint of the same centre that begins first after this one began."""
        here = self.stints[stint]
        return next(
            (line for line in self._by_centre[here.centre] if line.starts_at > here.starts_at),
            None,
        )

    def current_or_next(self, centre: UUID, at: datetime) -> StintLine | None:
        """Who is in post, else who comes next, else who was there last."""
        present = self.in_post(centre, at)
        if present:
            return present[0]
        stints = self._by_centre.get(centre, [])
        coming = [line for line in stints if line.starts_at > at]
        return coming[0] if coming else (stints[-1] if stints else None)

    def last_stint_before(self, stint: UUID) -> StintLine | None:
        """The same doctor's previous stint at the same centre, or None on a first one."""
        here = self.stints[stint]
        before = [
            line
            for line in self._by_centre[here.centre]
            if line.practitioner == here.practitioner and line.starts_at < here.starts_at
        ]
        return before[-1] if before else None

    def overlapping(self, stint: UUID) -> list[StintLine]:
        """Colleagues in post during part of this stint."""
        here = self.stints[stint]
        return [
            line
            for line in self._by_centre[here.centre]
            if line.stint != stint
            and line.starts_at < here.over_at
            and here.starts_at < line.over_at
        ]

    def answerable(self, owner: Owner, centre: UUID | None, at: datetime) -> Holder | None:
        """Who answers at that moment for what ``owner`` owns, by the domain's rule.

        None only for an unknown centre.
        """
        here = self.centres.get(centre) if centre else None
        if here is None:
            return None
        return owner_at(owner, here.centre, at, self._stints_at(here.centre), here.referent)

    def _stints_at(self, centre: UUID) -> dict[UUID, Stint]:
        found = self._domain.get(centre)
        if found is None:
            lines = self._by_centre.get(centre, ())
            found = self._domain[centre] = {line.stint: line.as_stint() for line in lines}
        return found


_STAMP = (
    "SELECT f.build, count(d.stream), max(d.position) FROM projection.feed f "
    "LEFT JOIN projection.directory d ON d.build = f.build "
    "WHERE f.name = 'main' GROUP BY f.build"
)
_ROWS = (
    "SELECT d.stream, d.position, d.row FROM projection.directory d "
    "JOIN projection.feed f ON f.build = d.build WHERE f.name = 'main'"
)


class DirectoryCache:
    """Gives the directory as projected now, opened again only after one of its rows changed."""

    def __init__(self, pool: ConnectionPool[Any], data_keys: DataKeys) -> None:
        """Read through ``pool``; open with ``data_keys``."""
        self._pool = pool
        self._data_keys = data_keys
        self._lock = threading.Lock()
        self._stamp: object = None
        self._directory = Directory(())

    def load(self) -> Directory:
        """The directory at the feed's position.

        Raises:
            KeyServiceDown: the keys cannot be opened now.
            Tampered: a row does not open where it stands.
        """
        with self._pool.connection() as connection:
            stamp = connection.execute(_STAMP).fetchone()
            with self._lock:
                if stamp is not None and stamp == self._stamp:
                    return self._directory
            rows = connection.execute(_ROWS).fetchall()
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
