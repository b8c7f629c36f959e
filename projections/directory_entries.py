"""What the directory keeps of each centre, person, stint and release, and how events change it.

One entry a stream, folded event by event; :mod:`releve.projections.directory` asks them questions.
"""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import msgspec
from msgspec.structs import replace

from releve.domain.aggregates.health_centre import (
    CentreOpened,
    ClosureRecorded,
    Days,
    GapRecorded,
    PolicyChanged,
    RosterChanged,
    SiteAdded,
    days_of,
    is_open,
)
from releve.domain.aggregates.practitioner import (
    PractitionerOnboarded,
    PractitionerSuspended,
    PractitionerVerified,
    RoleGranted,
    RoleRevoked,
)
from releve.domain.aggregates.rules import RulesReleaseActivated
from releve.domain.aggregates.stint import (
    BriefingIssued,
    BriefingOpened,
    HandoverClosed,
    Stint,
    StintCancelled,
    StintEnded,
    StintPlanned,
    StintRevised,
    StintStarted,
    WatchTaken,
)
from releve.domain.events import Event
from releve.domain.values import (
    ExpectedSource,
    NamedPerson,
    OpeningSlot,
    Session,
    StintMode,
    StintPeriod,
    time_zone,
)
from releve.projections.dates import first_instant


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """A place where a centre gives care besides its own rooms."""

    site: UUID
    """Id of the event that added it."""
    name: str
    kind: str
    address: str = ""
    finess: str | None = None
    phone: str = ""


class CentreEntry(msgspec.Struct, frozen=True, kw_only=True, tag="centre"):
    """A health centre: its people, its places, its hours and the days nobody is there."""

    centre: UUID
    name: str
    finess: str
    referent: NamedPerson
    on_call_chain: tuple[NamedPerson, ...]
    zone: str = "Europe/Paris"
    address: str = ""
    phones: tuple[tuple[str, str], ...] = ()
    coordinators: tuple[NamedPerson, ...] = ()
    sites: tuple[Site, ...] = ()
    opening: tuple[OpeningSlot, ...] = ()
    expected_sources: tuple[ExpectedSource, ...] = ()
    closures: tuple[Days, ...] = ()
    gaps: tuple[Days, ...] = ()

    def open_at(self, at: datetime) -> bool | None:
        """Whether the centre is open at that moment; None where no hours are known."""
        return is_open(self.opening, self.closures, at.astimezone(time_zone(self.zone)))

    def gap_at(self, at: datetime) -> Days | None:
        """The recorded days without a doctor that this moment lies in."""
        day = at.astimezone(time_zone(self.zone)).date()
        return next((each for each in self.gaps if each.covers(day)), None)


class StandingRole(msgspec.Struct, frozen=True, kw_only=True):
    """A role that somebody holds at a centre whatever the stints; ``until`` is its last day."""

    role: str
    centre: UUID
    until: str | None = None


class PractitionerEntry(msgspec.Struct, frozen=True, kw_only=True, tag="practitioner"):
    """A practitioner, or another member of a team."""

    practitioner: UUID
    name: str
    given: str
    title: str = "Dr"
    rpps: str | None = None
    qualification: str = ""
    role: str = "doctor"
    centre: UUID | None = None
    """The centre that made them known."""
    verified_at: datetime | None = None
    proof: str = ""
    suspended: bool = False
    roles: tuple[StandingRole, ...] = ()
    revoked: tuple[StandingRole, ...] = ()
    """Roles taken back and not given again since."""

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


class ClosedHandover(msgspec.Struct, frozen=True, kw_only=True):
    """What a doctor said when the handovers were finished."""

    at: datetime
    patients: int
    items_left: int
    message: str = ""


class WatchKept(msgspec.Struct, frozen=True, kw_only=True):
    """How a doctor took over (relève prise): what comes first, or what is not clear yet."""

    at: datetime
    edition: UUID | None = None
    first_action: str = ""
    question: str = ""


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
    cancelled: bool = False
    confirmed: bool = False
    handover: ClosedHandover | None = None
    """How the doctor left, as last said."""
    watch: WatchKept | None = None
    """How the doctor took over."""
    pattern: tuple[Session, ...] = ()
    """On which days of the week the doctor comes, who is in post all along; empty for every day."""

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
            practitioner=self.practitioner,
            practitioner_name=self.practitioner_name,
            centre=self.centre,
            planned=StintPeriod(self.starts_at, self.ends_at),
            mode=self.mode,
            zone=self.zone,
            started_at=self.started_at,
            ended_at=self.ended_at,
            cancelled=self.cancelled,
            pattern=self.pattern,
        )


class RulesEntry(msgspec.Struct, frozen=True, kw_only=True, tag="rules"):
    """The release of the rules in force."""

    rules: UUID
    release: str
    sha256: str
    signer: str
    reviewed_by: str
    since: datetime


DirectoryEntry = CentreEntry | PractitionerEntry | StintLine | RulesEntry

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
    match event.payload, entry:
        case (_, None) | (RulesReleaseActivated(), RulesEntry()):
            return _first(event)
        case _, CentreEntry():
            return _centre_after(entry, event)
        case _, PractitionerEntry():
            return _practitioner_after(entry, event)
        case _, StintLine():
            return _stint_after(entry, event)
        case _:
            raise _out_of_place(event)


def _out_of_place(event: Event) -> ValueError:
    return ValueError(f"{event.payload.topic} has no place in the directory here")


def _first(event: Event) -> DirectoryEntry:
    payload = event.payload
    stream = event.originator_id
    match payload:
        case CentreOpened():
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
        case PractitionerOnboarded():
            return PractitionerEntry(
                practitioner=stream,
                name=payload.name,
                given=payload.given,
                title=payload.title,
                rpps=payload.rpps,
                qualification=payload.qualification,
                role=payload.role,
                centre=event.envelope.centre,
            )
        case StintPlanned():
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
                pattern=payload.pattern,
            )
        case RulesReleaseActivated():
            return RulesEntry(
                rules=stream,
                release=payload.release,
                sha256=payload.sha256,
                signer=payload.signer,
                reviewed_by=payload.reviewed_by,
                since=event.recorded_at,
            )
        case _:
            raise _out_of_place(event)


def _centre_after(entry: CentreEntry, event: Event) -> CentreEntry:
    match event.payload:
        case SiteAdded() as payload:
            site = Site(
                site=event.event_id,
                name=payload.name,
                kind=payload.kind,
                address=payload.address,
                finess=payload.finess,
                phone=payload.phone,
            )
            return replace(entry, sites=(*entry.sites, site))
        case PolicyChanged() as payload:
            return replace(
                entry, opening=payload.opening, expected_sources=payload.expected_sources
            )
        case RosterChanged() as payload:
            return replace(
                entry,
                referent=payload.referent,
                on_call_chain=payload.on_call_chain,
                coordinators=payload.coordinators,
            )
        case ClosureRecorded() as payload:
            return replace(entry, closures=(*entry.closures, days_of(payload)))
        case GapRecorded() as payload:
            return replace(entry, gaps=(*entry.gaps, days_of(payload)))
        case _:
            raise _out_of_place(event)


def _practitioner_after(entry: PractitionerEntry, event: Event) -> PractitionerEntry:
    match event.payload:
        case PractitionerVerified() as payload:
            return replace(
                entry,
                verified_at=event.recorded_at,
                proof=payload.proof,
                rpps=payload.rpps or entry.rpps,
                suspended=False,
            )
        case PractitionerSuspended():
            return replace(entry, suspended=True)
        case RoleGranted() | RoleRevoked() as payload:
            granted = isinstance(payload, RoleGranted)
            held = StandingRole(
                role=payload.role,
                centre=payload.centre,
                until=payload.until if isinstance(payload, RoleGranted) else None,
            )
            return replace(
                entry,
                roles=_without(entry.roles, held) + ((held,) if granted else ()),
                revoked=_without(entry.revoked, held) + (() if granted else (held,)),
            )
        case _:
            raise _out_of_place(event)


def _without(roles: tuple[StandingRole, ...], gone: StandingRole) -> tuple[StandingRole, ...]:
    return tuple(each for each in roles if (each.role, each.centre) != (gone.role, gone.centre))


def _stint_after(entry: StintLine, event: Event) -> StintLine:
    match event.payload:
        case StintStarted():
            began = first_instant(event.envelope.occurred_at, event.envelope.zone)
            return replace(entry, started_at=began or event.recorded_at)
        case StintEnded():
            ended = first_instant(event.envelope.occurred_at, event.envelope.zone)
            return replace(entry, ended_at=ended or event.recorded_at)
        case StintRevised() as payload:
            zone = event.envelope.zone
            return replace(
                entry,
                starts_at=_instant(payload.starts_at, zone)
                if payload.starts_at
                else entry.starts_at,
                ends_at=_instant(payload.ends_at, zone) if payload.ends_at else entry.ends_at,
                confirmed=entry.confirmed if payload.confirmed is None else payload.confirmed,
                pattern=entry.pattern if payload.pattern is None else payload.pattern,
            )
        case StintCancelled():
            return replace(entry, cancelled=True)
        case HandoverClosed() as payload:
            left = ClosedHandover(
                at=event.recorded_at,
                patients=payload.patients,
                items_left=payload.items_left,
                message=payload.message,
            )
            return replace(entry, handover=left)
        case WatchTaken() as payload:
            watch = WatchKept(
                at=event.recorded_at,
                edition=payload.edition,
                first_action=payload.first_action,
                question=payload.question,
            )
            return replace(entry, watch=watch)
        case BriefingIssued() as payload:
            issued = IssuedEdition(
                edition=payload.edition,
                number=payload.number,
                manifest=payload.manifest,
                position=payload.position,
                rule_release=payload.rule_release,
                patients=payload.patients,
                issued_at=event.recorded_at,
            )
            return replace(entry, editions=(*entry.editions, issued))
        case BriefingOpened() as payload:
            if payload.edition in entry.opened:
                return entry
            return replace(entry, opened=(*entry.opened, payload.edition))
        case _:
            raise _out_of_place(event)


def _instant(text: str, zone: str) -> datetime:
    moment = first_instant(text, zone)
    if moment is None:
        raise ValueError("a stint's period is not a date")
    return moment.astimezone(UTC)
