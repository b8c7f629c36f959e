"""The coordinator's board: what keeps the rotation running, without one word of clinical text.

Weeks and who is in post, identities to complete, ends of ALD (dates, never the number), patients
nobody reached, the desk's own items, senders that fell silent. Everything here is a name, a date,
a count or a state; nothing of a diagnosis, a treatment, a result, a severity or a note is read
into it, so that no page or answer made of it can show any.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Final, Literal
from uuid import UUID

import msgspec

from releve.domain.values import Session
from releve.projections import wording
from releve.projections.dates import last_day, zone_of
from releve.projections.directory import CentreEntry, Directory, StintLine
from releve.projections.inbox import InboxLine, SourceState
from releve.projections.open_items import BoardLine
from releve.projections.patient_summary import Line, PatientSummary
from releve.projections.rhythm import comes_on, rhythm

WEEKS: Final = 8
"""Weeks that are looked ahead, this one included."""

ALD_AHEAD: Final = timedelta(days=90)
"""How long before its end an ALD is to be renewed."""

ALD_LAPSED: Final = timedelta(days=365)
"""How long an ALD whose end passed without a word stays among the others; then it stands last."""

PostState = Literal["planned", "confirmed", "started", "ended", "cancelled"]


class Post(msgspec.Struct, frozen=True, kw_only=True):
    """One stint as the rotation shows it; civil days of the centre."""

    stint: UUID
    name: str
    first: date
    last: date
    mode: str
    state: PostState
    rpps_verified: bool
    rhythm: str = ""
    """On which days of the week the doctor comes, in words; empty for every day."""
    pattern: tuple[Session, ...] = ()

    def covers(self, day: date) -> bool:
        """Whether the doctor is expected at the centre on that day."""
        return self.first <= day <= self.last and comes_on(self.pattern, day)


class Week(msgspec.Struct, frozen=True, kw_only=True):
    """One civil week and who covers it."""

    monday: date
    number: int
    """ISO week number."""
    posts: tuple[Post, ...]
    uncovered: tuple[date, ...]
    """Days that the centre is open and no doctor is planned."""
    hole: bool
    """No doctor on any open day."""
    gap: str
    """Why nobody comes, where that was recorded for every uncovered day; else empty."""
    gap_recorded: bool


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """A patient whose identity still has to be completed or qualified."""

    patient: UUID
    name: str
    birth_date: str
    status: str
    incomplete: bool


class AldEnd(msgspec.Struct, frozen=True, kw_only=True):
    """An ALD that ends soon or has just ended; which one is clinical and stays out."""

    patient: UUID
    name: str
    birth_date: str
    ends: date
    days: int
    """Whole days until its last day; negative once it is over."""

    @property
    def lapsed(self) -> bool:
        """Whether it ended so long ago that it is told apart; only a word on it takes it away."""
        return self.days < -ALD_LAPSED.days


class Unreached(msgspec.Struct, frozen=True, kw_only=True):
    """A patient whom somebody tried to reach about something that still waits."""

    patient: UUID
    name: str
    attempts: int
    last_at: datetime
    channel: str
    outcome: str
    by: str


class Errand(msgspec.Struct, frozen=True, kw_only=True):
    """An item that the desk answers for: its nature and its deadline, never its text."""

    patient: UUID
    name: str
    item: UUID
    nature: str
    due: date | None
    overdue_days: int


class Silence(msgspec.Struct, frozen=True, kw_only=True):
    """An expected sender from which nothing came in time."""

    system: str
    last: datetime | None


class Coordination(msgspec.Struct, frozen=True, kw_only=True):
    """The whole board."""

    weeks: tuple[Week, ...]
    identities: tuple[Identity, ...]
    ald: tuple[AldEnd, ...]
    unreached: tuple[Unreached, ...]
    errands: tuple[Errand, ...]
    late: int
    """Items overdue in the whole centre, whoever answers for them."""
    silent: tuple[Silence, ...]
    waiting_documents: int
    oldest_document: datetime | None

    def patients(self) -> list[UUID]:
        """Everybody the board names, once."""
        lines: tuple[Identity | AldEnd | Unreached | Errand, ...] = (
            *self.identities, *self.ald, *self.unreached, *self.errands,
        )  # fmt: skip
        return list(dict.fromkeys(line.patient for line in lines))


def coordination(
    summaries: Iterable[PatientSummary],
    items: Iterable[BoardLine],
    waiting: Iterable[InboxLine],
    sources: Iterable[SourceState],
    directory: Directory,
    centre: CentreEntry,
    at: datetime,
) -> Coordination:
    """The board of a centre as of ``at`` (pure)."""
    living = [each for each in summaries if each.death is None]
    today = at.astimezone(zone_of(centre.zone)).date()
    documents = sorted(line.received_at for line in waiting)
    lines = list(items)
    return Coordination(
        weeks=tuple(weeks(directory, centre, at)),
        identities=tuple(identities(living)),
        ald=tuple(ald_ends(living, today)),
        unreached=tuple(unreached(living)),
        errands=tuple(errands(lines)),
        late=sum(line.overdue for line in lines),
        silent=tuple(Silence(system=each.system, last=each.last) for each in sources
                     if each.silent),
        waiting_documents=len(documents),
        oldest_document=documents[0] if documents else None,
    )  # fmt: skip


# Posts


def weeks(
    directory: Directory, centre: CentreEntry, at: datetime, count: int = WEEKS
) -> list[Week]:
    """The civil weeks from this one on; a hole is an open week without any doctor."""
    zone = zone_of(centre.zone)
    today = at.astimezone(zone).date()
    monday = today - timedelta(days=today.weekday())
    stints = [line for line in directory.stints.values() if line.centre == centre.centre]
    stints.sort(key=lambda line: (line.starts_at, line.stint))
    open_days = {slot.weekday for slot in centre.opening} or {1, 2, 3, 4, 5}
    found = []
    for number in range(count):
        first = monday + timedelta(weeks=number)
        days = [first + timedelta(days=each) for each in range(7)]
        posts = [
            post for line in stints
            if (post := _post(line, directory, centre, at)).first <= days[-1]
            and post.last >= first
        ]  # fmt: skip
        planned = [post for post in posts if post.state != "cancelled"]
        due = [
            day for day in days
            if day.isoweekday() in open_days and not any(c.covers(day) for c in centre.closures)
        ]  # fmt: skip
        uncovered = [day for day in due if not any(post.covers(day) for post in planned)]
        gaps = [gap for gap in centre.gaps if any(gap.covers(day) for day in uncovered)]
        recorded = bool(uncovered) and all(
            any(gap.covers(day) for gap in gaps) for day in uncovered
        )
        found.append(
            Week(
                monday=first,
                number=first.isocalendar().week,
                posts=tuple(posts),
                uncovered=tuple(uncovered),
                hole=bool(due) and len(uncovered) == len(due),
                gap="; ".join(gap.reason for gap in gaps) if recorded else "",
                gap_recorded=recorded,
            )
        )
    return found


def _post(line: StintLine, directory: Directory, centre: CentreEntry, at: datetime) -> Post:
    zone = zone_of(centre.zone)
    known = directory.practitioners.get(line.practitioner)
    start = line.as_stint().window[0]
    return Post(
        stint=line.stint,
        name=line.practitioner_name,
        first=start.astimezone(zone).date(),
        # A stint that ends at midnight does not cover the day that begins then.
        last=(line.over_at - timedelta(microseconds=1)).astimezone(zone).date(),
        mode=line.mode,
        state=_state(line, at),
        rpps_verified=line.started_at is not None
        or (known is not None and known.verified_at is not None and not known.suspended),
        rhythm=rhythm(line.pattern),
        pattern=line.pattern,
    )


def _state(line: StintLine, at: datetime) -> PostState:
    if line.cancelled:
        return "cancelled"
    if line.over_at <= at:
        return "ended"
    if line.started_at is not None or line.active(at):
        return "started"
    return "confirmed" if line.confirmed else "planned"


# Patients


def identities(summaries: Iterable[PatientSummary]) -> list[Identity]:
    """Identities that lack a strict trait, then those whose INS is not qualified, by name."""
    found = []
    for summary in summaries:
        who = summary.identity
        status = who.identity_status if who else "provisoire"
        if summary.identity_incomplete or status != "qualifiee":
            found.append(
                Identity(
                    patient=summary.patient,
                    name=summary.full_name(),
                    birth_date=(who.birth_date or "") if who else "",
                    status=status,
                    incomplete=summary.identity_incomplete,
                )
            )
    return sorted(found, key=lambda each: (not each.incomplete, each.name, each.patient.hex))


def ald_ends(summaries: Iterable[PatientSummary], today: date) -> list[AldEnd]:
    """ALD in force that end within 90 days or ended without being renewed, the next end first.

    Those that lapsed long ago stand last: nothing leaves a list by time alone.
    """
    found = []
    for summary in summaries:
        for ends in sorted(set(_ends(summary))):
            if ends <= today + ALD_AHEAD:
                who = summary.identity
                found.append(
                    AldEnd(
                        patient=summary.patient,
                        name=summary.full_name(),
                        birth_date=(who.birth_date or "") if who else "",
                        ends=ends,
                        days=(ends - today).days,
                    )
                )
    return sorted(found, key=lambda each: (each.lapsed, each.ends, each.name, each.patient.hex))


def _ends(summary: PatientSummary) -> Iterable[date]:
    for line in summary.ald_in_force:
        said = line.detail.get("ends")
        day = last_day(said, line.zone) if said else None
        if day is not None:
            yield day


def unreached(summaries: Iterable[PatientSummary]) -> list[Unreached]:
    """Patients not reached about an open item or a result to tell, the oldest attempt first."""
    found = []
    for summary in summaries:
        tried: dict[UUID, Line] = {}
        for item in summary.open_items:
            tried |= {step.entry_id: step for step in item.steps if _is_attempt(step)}
        for result in summary.results:
            if not result.cancelled and not result.informings:
                tried |= {step.entry_id: step for step in result.attempts if _is_attempt(step)}
        if not tried:
            continue
        last = max(tried.values(), key=lambda step: step.version)
        if last.detail["outcome"] == "reached":
            continue
        found.append(
            Unreached(
                patient=summary.patient,
                name=summary.full_name(),
                attempts=len(tried),
                last_at=last.recorded_at,
                channel=last.detail["channel"],
                outcome=wording.REACHED[last.detail["outcome"]],
                by=last.author,
            )
        )
    return sorted(found, key=lambda each: (each.last_at, each.patient.hex))


def _is_attempt(step: Line) -> bool:
    return step.topic == "patient.contact-attempted" and step.current and not step.wrong


def errands(items: Iterable[BoardLine]) -> list[Errand]:
    """Administrative items and what the coordinator answers for, the most overdue first."""
    found = [
        Errand(
            patient=line.patient,
            name=line.name,
            item=line.item.line.entry_id,
            nature=wording.ITEM_KIND[line.item.kind],
            due=line.due,
            overdue_days=line.overdue_days,
        )
        for line in items
        if line.item.kind == "admin"
        or (line.answerable is not None and line.answerable.role == "coordinator")
    ]
    return sorted(found, key=lambda each: (-each.overdue_days, each.due or date.max, each.item.hex))
