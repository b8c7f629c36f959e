"""Stint (séjour): one doctor's time at one centre, and the briefing issued for it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Literal
from uuid import UUID

from releve.domain.aggregates.deciding import CLOCK_TOLERANCE, Context, Fact, refuse
from releve.domain.commands import (
    Command,
    EndStint,
    IssueBriefing,
    OpenBriefing,
    PlanStint,
    StartStint,
)
from releve.domain.errors import Invalid
from releve.domain.events import Event, Payload
from releve.domain.values import Sha256, StintMode, StintPeriod, instant, span, words

# Events: the storage format. Never rename, retype or reuse a field; see domain/upcasting.py.


class StintPlanned(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """A doctor will be at a centre from ``starts_at`` to ``ends_at`` (RFC 3339 with offset)."""

    topic: ClassVar[str] = "stint.planned"

    practitioner: UUID
    practitioner_name: str
    centre: UUID
    starts_at: str
    ends_at: str
    mode: StintMode = "volontaire"


class StintStarted(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """The doctor arrived; the RPPS was checked."""

    topic: ClassVar[str] = "stint.started"

    rpps_verified: bool = False


class StintEnded(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """The stint is over: its ownership lapses here by fold, with no other event."""

    topic: ClassVar[str] = "stint.ended"

    cause: Literal["planned", "cut-short"] = "planned"


class BriefingIssued(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """An edition was issued: its manifest binds every card's sealed bytes (``formats.md`` §2)."""

    topic: ClassVar[str] = "stint.briefing-issued"

    edition: UUID
    number: int
    manifest: str
    """Hex SHA-256 of the edition's manifest."""
    position: int
    rule_release: str
    patients: int


class BriefingOpened(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """The incoming doctor opened an edition."""

    topic: ClassVar[str] = "stint.briefing-opened"

    edition: UUID
    device: str | None = None


class StintRevised(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """The stint was confirmed, extended or cut short before its end; what is absent stays."""

    topic: ClassVar[str] = "stint.revised"

    starts_at: str | None = None
    ends_at: str | None = None
    confirmed: bool | None = None


class StintCancelled(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """The stint will not take place, for the envelope's reason."""

    topic: ClassVar[str] = "stint.cancelled"


class HandoverClosed(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """The doctor finished handing over: patients handed over, items left open, a word to all."""

    topic: ClassVar[str] = "stint.handover-closed"

    patients: int
    items_left: int
    message: str = ""


class WatchTaken(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """The incoming doctor took over (relève prise)."""

    topic: ClassVar[str] = "stint.watch-taken"

    edition: UUID | None = None
    first_action: str = ""
    question: str = ""


# State


@dataclass(slots=True)
class Stint:
    """One stint as its events tell it."""

    id: UUID
    version: int
    practitioner: UUID
    practitioner_name: str
    centre: UUID
    planned: StintPeriod
    mode: StintMode
    zone: str
    started_at: datetime | None = None
    ended_at: datetime | None = None
    editions: list[UUID] = field(default_factory=list)
    event_ids: dict[UUID, int] = field(default_factory=dict)
    last: Event | None = None

    @property
    def window(self) -> tuple[datetime, datetime]:
        """First and last instant of the stint as planned, or as it really went."""
        start, end = self.planned.starts_at, self.planned.ends_at
        if self.started_at is not None:
            start = min(start, self.started_at)
        if self.ended_at is not None:
            end = min(end, self.ended_at)
        return start, end

    def active(self, at: datetime) -> bool:
        """True while the doctor is in post: from the first instant, up to the last one excluded."""
        start, end = self.window
        return start <= at < end


def fold(stint: Stint | None, events: Iterable[Event]) -> Stint | None:
    """``stint`` after ``events``; ``stint`` itself is changed."""
    for event in events:
        payload = event.payload
        if isinstance(payload, StintPlanned):
            stint = Stint(
                id=event.originator_id,
                version=event.originator_version,
                practitioner=payload.practitioner,
                practitioner_name=payload.practitioner_name,
                centre=payload.centre,
                planned=StintPeriod(
                    instant(payload.starts_at, field="starts_at"),
                    instant(payload.ends_at, field="ends_at"),
                ),
                mode=payload.mode,
                zone=event.envelope.zone,
            )
        if stint is None:
            continue
        match payload:
            case StintStarted():
                stint.started_at = _earliest(stint.started_at, event, stint.zone)
            case StintEnded():
                stint.ended_at = _earliest(stint.ended_at, event, stint.zone)
            case BriefingIssued():
                stint.editions.append(payload.edition)
            case _:
                pass
        stint.version = event.originator_version
        stint.event_ids[event.event_id] = event.originator_version
        stint.last = event
    return stint


def _earliest(known: datetime | None, event: Event, zone: str) -> datetime:
    happened = span(event.envelope.occurred_at, zone)[0]
    return happened if known is None else min(known, happened)


# Decisions


def decide(stint: Stint | None, command: Command, ctx: Context) -> tuple[Fact, ...]:
    """The facts that ``command`` makes of ``stint``, or the reason why it makes none."""
    if isinstance(command, PlanStint):
        return plan(stint, command)
    if stint is None:
        raise TypeError(f"{command.name} needs a stint")
    match command:
        case StartStint():
            return start(stint, command, ctx)
        case EndStint():
            return end(stint, command, ctx)
        case IssueBriefing():
            return issue_briefing(stint, command)
        case OpenBriefing():
            return open_briefing(stint, command, ctx)
        case _:
            raise TypeError(f"{command.name} is not a stint's command")


def plan(stint: Stint | None, command: PlanStint) -> tuple[Fact, ...]:
    """A period of 1 to 21 days, longer for a salaried doctor or trainee; overlaps are allowed."""
    if stint is not None:
        raise refuse(
            "already-planned",
            "Ce séjour est déjà prévu.",
            "Un séjour ne se prévoit qu'une fois.",
            "Prévoir un autre séjour.",
        )
    StintPeriod.read(command.starts_at, command.ends_at, command.mode)
    return (
        Fact(
            StintPlanned(
                practitioner=command.practitioner,
                practitioner_name=words(
                    command.practitioner_name, field="practitioner_name", limit=160
                ),
                centre=command.centre,
                starts_at=command.starts_at,
                ends_at=command.ends_at,
                mode=command.mode,
            )
        ),
    )


def start(stint: Stint, command: StartStint, ctx: Context) -> tuple[Fact, ...]:
    """Once, not after the end, and only when the RPPS was checked."""
    if stint.started_at is not None or stint.ended_at is not None:
        raise refuse(
            "already-started",
            "Ce séjour a déjà commencé.",
            "Un séjour commence une seule fois.",
            "Relire le séjour.",
        )
    if not command.rpps_verified:
        raise refuse(
            "rpps-not-verified",
            "Le séjour ne peut pas commencer.",
            "Le numéro RPPS du médecin n'a pas été vérifié.",
            "Vérifier le RPPS, puis ouvrir le séjour.",
            field="rpps_verified",
        )
    _not_future(command, ctx)
    return (Fact(StintStarted(rpps_verified=True)),)


def end(stint: Stint, command: EndStint, ctx: Context) -> tuple[Fact, ...]:
    """Once; not before it began."""
    if stint.ended_at is not None:
        raise refuse(
            "already-ended",
            "Ce séjour est déjà fini.",
            "Un séjour finit une seule fois.",
            "Relire le séjour.",
        )
    happened = _not_future(command, ctx)
    if happened < stint.window[0]:
        raise refuse(
            "not-started",
            "Ce séjour n'a pas commencé.",
            "Un séjour ne finit pas avant son début.",
            "Vérifier la date.",
            field="occurred_at",
        )
    return (Fact(StintEnded(cause=command.cause)),)


def issue_briefing(stint: Stint, command: IssueBriefing) -> tuple[Fact, ...]:
    """Editions are numbered from 1; each is issued once."""
    if command.edition in stint.editions:
        return ()
    if command.position < -1 or command.patients < 0:
        raise Invalid("invalid-field", field="position" if command.position < -1 else "patients")
    return (
        Fact(
            BriefingIssued(
                edition=command.edition,
                number=len(stint.editions) + 1,
                manifest=str(Sha256(command.manifest, field="manifest")),
                position=command.position,
                rule_release=command.rule_release,
                patients=command.patients,
            )
        ),
    )


def open_briefing(stint: Stint, command: OpenBriefing, ctx: Context) -> tuple[Fact, ...]:
    """Only an edition of this stint, and only by the doctor it was issued for."""
    if command.edition not in stint.editions:
        raise refuse(
            "unknown-edition",
            "Cette édition n'existe pas.",
            "Aucune édition de ce séjour ne porte ce nom.",
            "Ouvrir la dernière édition.",
            field="edition",
        )
    if ctx.author.person != stint.practitioner:
        raise refuse(
            "not-addressee",
            "Cette édition est adressée à un autre médecin.",
            "Seul le médecin du séjour ouvre son briefing.",
            "Ouvrir le briefing de son propre séjour.",
        )
    return (Fact(BriefingOpened(edition=command.edition, device=command.device)),)


def _not_future(command: Command, ctx: Context) -> datetime:
    happened = ctx.happened(command)
    if happened is None:
        return ctx.now
    begins, _ = span(happened, ctx.zone)
    if begins > ctx.now + CLOCK_TOLERANCE:
        raise Invalid(
            "in-the-future", field="occurred_at", why="Cette date n'est pas encore passée."
        )
    return begins
