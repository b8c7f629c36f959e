"""Stint (séjour): one doctor's time at one centre, and the briefing issued for it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import ClassVar, Literal
from uuid import UUID

from releve.domain.aggregates.deciding import (
    CLOCK_TOLERANCE,
    LATE_ENTRY_WINDOW,
    Context,
    Fact,
    refuse,
)
from releve.domain.aggregates.folding import Folded
from releve.domain.aggregates.session_pattern import read_pattern
from releve.domain.codes import Sha256
from releve.domain.commands import (
    CancelStint,
    CloseHandover,
    Command,
    EndStint,
    IssueBriefing,
    OpenBriefing,
    PlanStint,
    ReviseStint,
    StartStint,
    TakeWatch,
)
from releve.domain.errors import Invalid, Refused
from releve.domain.events import Event, Payload
from releve.domain.values import (
    Session,
    StintMode,
    StintPeriod,
    instant,
    readable,
    span,
    time_zone,
    words,
)

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
    pattern: tuple[Session, ...] = ()
    """On which days of the week the doctor comes; empty for all along. It gives no right."""


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
    pattern: tuple[Session, ...] | None = None
    """The rhythm from now on; empty for all along."""


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

MOST_COUNTED = 100_000
"""Patients or items that a handover may count: more is a mistyped number."""


@dataclass(slots=True, kw_only=True)
class Stint(Folded):
    """One stint as its events tell it."""

    practitioner: UUID
    practitioner_name: str
    centre: UUID
    planned: StintPeriod
    mode: StintMode
    zone: str
    started_at: datetime | None = None
    ended_at: datetime | None = None
    confirmed: bool = False
    cancelled: bool = False
    handover: HandoverClosed | None = None
    watch: WatchTaken | None = None
    pattern: tuple[Session, ...] = ()
    editions: list[UUID] = field(default_factory=list)

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
        return not self.cancelled and start <= at < end


def fold(stint: Stint | None, events: Iterable[Event]) -> Stint | None:
    """``stint`` after ``events``; ``stint`` itself is changed."""
    for event in events:
        payload = event.payload
        if isinstance(payload, StintPlanned):
            stint = Stint(
                id=event.originator_id,
                practitioner=payload.practitioner,
                practitioner_name=payload.practitioner_name,
                centre=payload.centre,
                planned=StintPeriod(
                    instant(payload.starts_at, field="starts_at"),
                    instant(payload.ends_at, field="ends_at"),
                ),
                mode=payload.mode,
                zone=event.envelope.zone,
                pattern=payload.pattern,
            )
        if stint is None:
            continue
        match payload:
            case StintStarted():
                stint.started_at = _earliest(stint.started_at, event, stint.zone)
            case StintEnded():
                stint.ended_at = _earliest(stint.ended_at, event, stint.zone)
            case StintRevised():
                stint.planned = _revised(stint.planned, payload)
                if payload.confirmed is not None:
                    stint.confirmed = payload.confirmed
                if payload.pattern is not None:
                    stint.pattern = payload.pattern
            case StintCancelled():
                stint.cancelled = True
            case HandoverClosed():
                stint.handover = payload
            case WatchTaken():
                stint.watch = payload
            case BriefingIssued():
                stint.editions.append(payload.edition)
            case _:
                pass
        stint.passed(event)
    return stint


def _revised(period: StintPeriod, payload: StintRevised) -> StintPeriod:
    return StintPeriod(
        instant(payload.starts_at, field="starts_at") if payload.starts_at else period.starts_at,
        instant(payload.ends_at, field="ends_at") if payload.ends_at else period.ends_at,
    )


def _earliest(known: datetime | None, event: Event, zone: str) -> datetime:
    happened = span(event.envelope.occurred_at, zone)[0]
    return happened if known is None else min(known, happened)


# Decisions


def decide(stint: Stint | None, command: Command, ctx: Context) -> tuple[Fact, ...]:
    """The facts that ``command`` makes of ``stint``, or the reason why it makes none."""
    if isinstance(command, PlanStint):
        return plan(stint, command, ctx)
    if stint is None:
        raise TypeError(f"{command.name} needs a stint")
    if stint.cancelled and not isinstance(command, CancelStint):
        raise refuse(
            "cancelled",
            "Ce séjour est annulé.",
            "Un séjour annulé ne donne aucun droit et ne se modifie plus.",
            "Prévoir un autre séjour.",
        )
    match command:
        case ReviseStint():
            return revise(stint, command, ctx)
        case CancelStint():
            return cancel(stint, command, ctx)
        case CloseHandover():
            return close_handover(stint, command, ctx)
        case TakeWatch():
            return take_watch(stint, command, ctx)
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


def plan(stint: Stint | None, command: PlanStint, ctx: Context) -> tuple[Fact, ...]:
    """A period of 1 to 21 days, longer for a salaried doctor or trainee, and the days they come.

    Two doctors may overlap; one doctor never overlaps themselves at the same centre.
    """
    if stint is not None:
        raise refuse(
            "already-planned",
            "Ce séjour est déjà prévu.",
            "Un séjour ne se prévoit qu'une fois.",
            "Prévoir un autre séjour.",
        )
    period = StintPeriod.read(command.starts_at, command.ends_at, command.mode)
    pattern = read_pattern(command.pattern, period)
    _apart(period, ctx)
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
                pattern=pattern,
            )
        ),
    )


def start(stint: Stint, command: StartStint, ctx: Context) -> tuple[Fact, ...]:
    """Once, not after the end, and only when the RPPS was checked.

    From three days before it was planned: from then on its doctor answers for what is open.
    """
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
    if _not_future(command, ctx) < stint.planned.starts_at - _EARLY:
        raise refuse(
            "too-early",
            "Ce séjour ne commence pas encore.",
            "Il est prévu dans plus de trois jours ; son médecin répondrait dès maintenant des "
            "points ouverts.",
            "Vérifier que c'est le bon séjour, ou avancer d'abord son début prévu.",
        )
    return (Fact(StintStarted(rpps_verified=True)),)


_EARLY = timedelta(days=3)


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


def revise(stint: Stint, command: ReviseStint, ctx: Context) -> tuple[Fact, ...]:
    """Before the stint is over; a beginning that has passed stays, an end lies ahead.

    The period obeys the rules of a planned one; stints of others may overlap it. A stint is cut
    short in the past by ``end-stint``, which says when it really ended.
    """
    reason = words(command.reason, field="reason", limit=400)
    start, end = stint.window
    if stint.ended_at is not None or ctx.now >= end:
        raise refuse(
            "already-ended",
            "Ce séjour est fini.",
            "Ses dates ne changent plus : des droits en ont dépendu.",
            "Prévoir un autre séjour.",
        )
    planned = stint.planned
    period = StintPeriod.read(
        command.starts_at or planned.starts_at.isoformat(),
        command.ends_at or planned.ends_at.isoformat(),
        stint.mode,
    )
    begun = stint.started_at is not None or ctx.now >= start
    if period.starts_at != planned.starts_at and (begun or period.starts_at < ctx.now):
        raise refuse(
            "already-started",
            "Le début de ce séjour ne peut pas changer ainsi.",
            "Un début passé ne change plus, et un nouveau début est à venir.",
            "Ne changer que la fin.",
            field="starts_at",
        )
    if period.ends_at != planned.ends_at and period.ends_at < ctx.now:
        raise refuse(
            "end-in-the-past",
            "La fin de ce séjour ne peut pas changer ainsi.",
            "Une nouvelle fin est à venir.",
            "Finir le séjour (end-stint), avec la date de sa fin.",
            field="ends_at",
        )
    if period != planned:
        _apart(period, ctx)
    pattern = read_pattern(stint.pattern if command.pattern is None else command.pattern, period)
    revised = StintRevised(
        starts_at=command.starts_at if period.starts_at != planned.starts_at else None,
        ends_at=command.ends_at if period.ends_at != planned.ends_at else None,
        confirmed=command.confirmed if command.confirmed != stint.confirmed else None,
        pattern=pattern if pattern != stint.pattern else None,
    )
    return () if revised == StintRevised() else (Fact(revised, reason=reason),)


def cancel(stint: Stint, command: CancelStint, ctx: Context) -> tuple[Fact, ...]:
    """Before it starts, for a reason; once. A stint that began is ended instead."""
    reason = words(command.reason, field="reason", limit=400)
    if stint.cancelled:
        return ()
    if stint.started_at is not None or stint.ended_at is not None or ctx.now >= stint.window[0]:
        raise refuse(
            "already-started",
            "Ce séjour ne peut pas être annulé.",
            "Il a commencé : ce qui s'y est fait reste.",
            "Le finir (end-stint), écourté.",
        )
    return (Fact(StintCancelled(), reason=reason),)


def close_handover(stint: Stint, command: CloseHandover, ctx: Context) -> tuple[Fact, ...]:
    """By the stint's own doctor, from its start to 72 hours after its end.

    May be said again: the last one stands, since a doctor who finished at noon may still see
    somebody in the afternoon.
    """
    _own(stint, ctx)
    start, end = stint.window
    if not start <= ctx.now <= end + LATE_ENTRY_WINDOW:
        raise _out_of_window("Les transmissions se finissent pendant le séjour, ou dans les 72 h.")
    for name, count in (("patients", command.patients), ("items_left", command.items_left)):
        if not 0 <= count <= MOST_COUNTED:
            raise Invalid("invalid-field", field=name, why=f"Entre 0 et {MOST_COUNTED}.")
    closed = HandoverClosed(
        patients=command.patients,
        items_left=command.items_left,
        message=readable(command.message, field="message", limit=2000),
    )
    return () if closed == stint.handover else (Fact(closed),)


def take_watch(stint: Stint, command: TakeWatch, ctx: Context) -> tuple[Fact, ...]:
    """By the stint's own doctor while in post, once, saying what comes first or what is unclear."""
    _own(stint, ctx)
    start, end = stint.window
    if not start <= ctx.now <= end:
        raise _out_of_window("La relève se prend pendant le séjour.")
    first = readable(command.first_action, field="first_action", limit=400)
    question = readable(command.question, field="question", limit=400)
    if not first and not question:
        raise refuse(
            "first-action-missing",
            "La relève n'est pas prise.",
            "Prendre la relève, c'est dire ce que l'on fait d'abord, ou ce qui n'est pas clair.",
            "Écrire la première action, ou une question.",
            field="first_action",
        )
    if command.edition is not None and command.edition not in stint.editions:
        raise refuse(
            "unknown-edition",
            "Cette édition n'existe pas.",
            "Aucune édition de ce séjour ne porte ce nom.",
            "Ouvrir la dernière édition.",
            field="edition",
        )
    taken = WatchTaken(edition=command.edition, first_action=first, question=question)
    if stint.watch is not None:
        if stint.watch == taken:
            return ()
        raise refuse(
            "watch-taken",
            "La relève est déjà prise.",
            "Elle se prend une fois par séjour.",
            "Écrire une question à un confrère, ou une note.",
        )
    return (Fact(taken),)


def _apart(period: StintPeriod, ctx: Context) -> None:
    """Refuse a doctor twice at one time and place: they would be their own predecessor."""
    for other in sorted(ctx.own_stints, key=lambda each: each.starts_at):
        if other.starts_at < period.ends_at and period.starts_at < other.ends_at:
            zone = time_zone(ctx.zone)
            begins, ends = other.starts_at.astimezone(zone), other.ends_at.astimezone(zone)
            raise refuse(
                "own-stint-overlaps",
                "Ce médecin a déjà un séjour ici à ces dates.",
                f"Du {begins:%d/%m/%Y} au {ends:%d/%m/%Y} : il serait en poste deux fois.",
                "Choisir d'autres dates, ou modifier le séjour prévu.",
                field="starts_at",
            )


def _own(stint: Stint, ctx: Context) -> None:
    if ctx.author.person != stint.practitioner:
        raise refuse(
            "not-own-stint",
            "Cette action revient au médecin du séjour.",
            "Le séjour est celui d'un autre médecin.",
            "Ouvrir son propre séjour.",
        )


def _out_of_window(why: str) -> Refused:
    return refuse(
        "outside-stint",
        "Ce séjour n'est pas en cours.",
        why,
        "Vérifier les dates du séjour.",
    )


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
