"""What has a course in a patient summary: opened, answered, closed, and by whom.

An item, a result, a question, a handover: each keeps the line that began it, whose date and age
never change, and the last few steps that followed. A step that was declared an error counts for
nothing and comes back when it is reinstated.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from releve.domain.aggregates.patient.observations import tells_the_past
from releve.domain.aggregates.patient.results import Agreement, Link
from releve.projections import wording
from releve.projections.dates import last_day
from releve.projections.summary_lines import Line, Validation

ItemState = Literal["open", "offered", "reopened", "closed"]
ResultState = Literal[
    "expected", "expected-late", "partial", "to-review", "to-inform", "done", "cancelled"
]
"""``partial`` also is what was phoned and read: its written result is still to come."""


def standing(steps: Iterable[Line]) -> list[Line]:
    """Those that are not declared an error, oldest first."""
    return [step for step in steps if not step.wrong]


class Item(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """An open item with its last steps; ``line`` says what is in force since its revisions.

    Its age is that of ``line``, whatever was revised, offered or reopened since.
    """

    line: Line
    closings: tuple[Line, ...] = ()
    reopenings: tuple[Line, ...] = ()
    steps: tuple[Line, ...] = ()
    """Offers, acceptances, refusals and attempts to reach the patient about it."""

    @property
    def closing(self) -> Line | None:
        """What closed it, unless it was opened again since."""
        closed = standing(self.closings)
        if not closed:
            return None
        again = standing(self.reopenings)
        return None if again and again[-1].version > closed[-1].version else closed[-1]

    @property
    def reopened(self) -> Line | None:
        """What opened it again, where it is open because of that."""
        again = standing(self.reopenings)
        return again[-1] if again and self.closing is None else None

    @property
    def open(self) -> bool:
        """Whether it still has to happen."""
        return self.line.current and self.closing is None

    @property
    def offer(self) -> Line | None:
        """The offer that nobody has answered yet; its owner keeps the item meanwhile."""
        said = [step for step in standing(self.steps) if step.topic in _OFFERS]
        if not said or said[-1].topic != OFFERED:
            return None
        closed = standing(self.closings)  # which ended it, though the item is open again
        return None if closed and closed[-1].version > said[-1].version else said[-1]

    @property
    def owner(self) -> dict[str, Any]:
        """Whose it is as last accepted, else as it was opened; empty for the doctor in post."""
        taken = [step for step in standing(self.steps) if step.topic == ACCEPTED]
        said: dict[str, Any] = (taken[-1] if taken else self.line).detail.get("owner", {})
        return said

    @property
    def state(self) -> ItemState:
        """Where it stands."""
        if not self.open:
            return "closed"
        if self.offer is not None:
            return "offered"
        return "reopened" if self.reopened is not None else "open"

    @property
    def last_step(self) -> Line:
        """The newest thing that was done about it, its opening where nothing was."""
        done = [
            *standing(self.line.revisions), *standing(self.closings), *standing(self.reopenings),
            *standing(self.steps),
        ]  # fmt: skip
        return max(done, key=lambda step: step.version, default=self.line)

    @property
    def due(self) -> str | None:
        """The day it is due, as written; None when it was said to have no deadline."""
        return self.line.detail.get("due")

    @property
    def harm_if_late(self) -> bool:
        """Whether being late may hurt."""
        return bool(self.line.detail.get("harm_if_late"))

    @property
    def kind(self) -> str:
        """What kind of thing must happen: result, call, review…"""
        return str(self.line.detail["kind"])

    @property
    def follows(self) -> UUID | None:
        """The order or result that it follows."""
        named = self.line.detail.get("follows")
        return UUID(named) if named else None


OFFERED: Final = "patient.item-offered"
ACCEPTED: Final = "patient.item-accepted"
_OFFERS = frozenset({OFFERED, ACCEPTED, "patient.item-declined"})


class Settling(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """The definitive result, read and told, after which a phoned or partial one waits no more."""

    of: UUID
    """The phoned or partial version; another one of its result is to be compared anew."""
    by: UUID
    link: Link
    """``settled`` as it is; ``read`` only because somebody read the phoned or partial one too."""
    agree: Agreement
    read: int
    """Version of the record at which the definitive one was last read."""


class Result(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One investigation from its order to a patient who was told; one of both is always there."""

    order: Line | None = None
    versions: tuple[Line, ...] = ()
    """What came in, oldest first, each before what replaced it; the last one that stands is in
    force, all that stands before it is replaced."""
    reviews: tuple[Line, ...] = ()
    informings: tuple[Line, ...] = ()
    attempts: tuple[Line, ...] = ()
    """Attempts to reach the patient about it."""
    cancelled: bool = False
    """Its item was closed as no longer needed, for a reason."""
    settled_by: Settling | None = None
    """Why a phoned or partial one waits no more."""

    @property
    def to_say(self) -> str:
        """What the patient is to be told: the verdict of its review and what it asks for."""
        if self.review is None:
            return ""
        said = self.review.detail
        parts = (wording.VERDICT[said["verdict"]], said.get("action") or "")
        return ", ".join(part for part in parts if part)

    @property
    def received(self) -> Line | None:
        """The version in force: the last one that is neither an error nor refused."""
        return next((each for each in reversed(self.versions) if each.current), None)

    @property
    def earlier(self) -> list[Line]:
        """Versions that the one in force replaced, oldest first; errors aside."""
        now = self.received
        return [each for each in self.versions if each.current and each is not now]

    @property
    def line(self) -> Line:
        """The version in force, else the order, else the last version that does not stand."""
        return self.received or self.order or self.versions[-1]

    @property
    def entry_id(self) -> UUID:
        """What a review names: the version in force, else the order."""
        return self.line.entry_id

    @property
    def title(self) -> str:
        """What it is called: the report's title, else what was ordered, else its first line."""
        said = self.received.detail.get("title") if self.received else ""
        if not said and self.order is not None:
            said = self.order.detail["text"]
        if not said and self.lines:
            said = wording.concept_text(self.lines[0]["code"])
        return str(said or "Résultat")

    @property
    def status(self) -> str | None:
        """``partial``, ``final``, ``corrected`` or ``phoned``; None while nothing came."""
        return self.received.detail["status"] if self.received else None

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The lines of the version in force, as received."""
        found: list[dict[str, Any]] = self.received.detail.get("lines", []) if self.received else []
        return found

    @property
    def review(self) -> Line | None:
        """The doctor's verdict on the version in force, or None while nobody has read it."""
        now = self.received
        read = [each for each in standing(self.reviews) if now and each.target == now.entry_id]
        return read[-1] if read else None

    @property
    def informed(self) -> Line | None:
        """Who told the patient what the last review of the version in force says."""
        now, review = self.received, self.review
        since = 0 if review is None else review.version
        told = [
            each
            for each in standing(self.informings)
            if now and each.target == now.entry_id and each.version > since
        ]
        return told[-1] if told else None

    @property
    def previous_review(self) -> Line | None:
        """The last review of a version that was replaced: its author must be told."""
        now = self.received
        read = [each for each in standing(self.reviews) if now and each.target != now.entry_id]
        return read[-1] if read else None

    @property
    def corrected_after_review(self) -> bool:
        """Whether somebody had read an earlier version when the one in force came."""
        return self.previous_review is not None

    @property
    def validation(self) -> Validation:
        """Where it stands if another system sent it; a doctor's review accepts it too."""
        if self.received is None:
            return ""
        found = self.received.validation
        return "accepted" if found == "to-validate" and self.review is not None else found

    def state(self, day: date) -> ResultState:
        """Where it stands on ``day``; partial is not done, and read is not told."""
        found = self._state(day)
        unread = self.received is not None and self.review is None
        if not self.cancelled or unread or found in ("to-review", "done"):
            return found
        return "cancelled"

    def _state(self, day: date) -> ResultState:
        if self.received is None:
            if self.order is None or self.order.wrong:
                return "cancelled"
            return "expected-late" if self.overdue(day) else "expected"
        if self.settled_by is not None and self.status in ("partial", "phoned"):
            return "done"
        if self.status == "partial":
            return "partial"
        if self.review is None:
            return "to-review"
        if self.to_inform:
            return "to-inform"
        return "partial" if self.status == "phoned" else "done"

    @property
    def to_inform(self) -> bool:
        """Whether the patient is still to be told what the last review says."""
        review = self.review
        if review is None or not review.detail.get("inform_patient", True):
            return False
        return self.informed is None

    def overdue(self, day: date) -> bool:
        """Whether the last day on which it was expected is over."""
        if self.order is None:
            return False
        expected = last_day(self.order.detail["expected_by"], self.order.zone)
        return expected is not None and expected < day

    @property
    def settled(self) -> bool:
        """Whether nothing more is to be done, whatever the day."""
        return self.state(date.min) in ("done", "cancelled")


def was_old(version: Line) -> bool:
    """Whether a result's sample was old when it came in (``results.is_past``); a call is news."""
    if version.detail.get("status") == "phoned":
        return False
    taken = version.detail.get("sampled_at") or version.as_of
    return tells_the_past(taken, version.zone, version.recorded_at)


class Handover(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A handover note and what its receivers answered, oldest first."""

    line: Line
    read_backs: tuple[Line, ...] = ()


class Question(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A question to a colleague and its answers, oldest first."""

    line: Line
    answers: tuple[Line, ...] = ()

    @property
    def answer(self) -> Line | None:
        """The last answer that stands."""
        said = standing(self.answers)
        return said[-1] if said else None

    @property
    def open(self) -> bool:
        """Whether nobody has answered yet."""
        return self.line.current and self.answer is None

    @property
    def to(self) -> UUID:
        """The practitioner asked."""
        return UUID(self.line.detail["to"])


class Fired(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A measure met a contingency's threshold, or could not be compared with it.

    It is answered once a clinician has said how ill the patient is, afterwards and about a moment
    that is not before the measure, or has reviewed the result itself. An ``old`` one was measured
    before the contingency was said, and nobody has yet to read it: it is listed and does not ring.
    """

    contingency: UUID
    observation: UUID
    text: str
    as_of: str
    version: int
    """Version of the record with which the measure came in."""
    matched: bool
    happened_by: datetime
    """The latest moment at which it may have been measured."""
    before: bool = False
    """Measured before the contingency was said, or history when it came in."""
    unread: bool = False
    """A doctor has yet to read it: it rings whenever it was measured."""
    answers: tuple[UUID, ...] = ()
    """What answered it; an answer declared an error lets it ring again."""
    void: tuple[UUID, ...] = ()
    """Which of the two entries does not stand: it counts for nothing meanwhile."""

    @property
    def old(self) -> bool:
        """Whether it is listed beside its contingency and does not ring."""
        return self.before and not self.unread

    @property
    def answered(self) -> bool:
        """Whether a clinician has judged since."""
        return bool(self.answers)


class Change(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Something new on the record, for "since your last stint": which entry, where, by whom."""

    entry_id: UUID
    position: int
    topic: str
    person: UUID | None = None


class Seen(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Up to which ledger position somebody had this record before them when they last wrote."""

    person: UUID
    position: int
    treated: bool = False
    """Whether they ever took part in the patient's care."""
