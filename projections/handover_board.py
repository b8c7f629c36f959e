"""The handover board: what each stint handed over, who answered, what nobody has answered yet.

One row for the handover in force of each patient, grouped by the stint that wrote it. A row goes
from written to opened (the receiver opened an edition that holds it) to answered; it leaves the
unanswered list by an answer or a newer handover alone, never by age. What the office may read of
it (states, ages, counts) is given apart from what is clinical (severity, words, who is unstable).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from releve.domain.aggregates.deciding import LATE_ENTRY_WINDOW
from releve.domain.aggregates.patient.handover import MOST_READ_BACKS
from releve.projections.dates import first_instant
from releve.projections.directory import ClosedHandover, Directory, StintLine, WatchKept
from releve.projections.patient_summary import Handover, Line, PatientSummary

HandoverState = Literal["written", "opened", "asked", "restated", "taken", "continued"]
"""``written`` and ``opened`` wait for an answer; the others name the last one."""

MOST_RESTATED: Final = MOST_READ_BACKS
"""Read-backs that one stint may ask its receiver for; more is "surcharge de transmission"."""

_ANSWERS: Final[dict[str, HandoverState]] = {
    "question": "asked", "restatement": "restated", "takes": "taken", "continuation": "continued",
}  # fmt: skip
_WATCHED: Final = frozenset({"unstable", "watcher"})


class HandoverRow(msgspec.Struct, frozen=True, kw_only=True):
    """One patient's handover and what became of it."""

    patient: UUID
    name: str
    entry: UUID
    """The handover's event, which an answer names."""
    version: int
    """The patient's stream as read: what an answer is written on."""
    severity: str
    """Clinical: never for the office."""
    summary: str
    """Clinical: never for the office."""
    by: str
    person: UUID | None
    written_at: datetime
    state: HandoverState
    restate: bool
    """Whether its receiver must answer in words: unstable, or its author asked for it."""
    answered_by: str = ""
    answered_at: datetime | None = None
    answer: str = ""
    """The receiver's words; clinical."""

    @property
    def waiting(self) -> bool:
        """Whether nobody has answered it."""
        return self.state in ("written", "opened")

    def age(self, at: datetime) -> timedelta:
        """How long ago it was written; never negative."""
        return max(at - self.written_at, timedelta())


class MissingHandover(msgspec.Struct, frozen=True, kw_only=True):
    """An unstable or watched patient of whom a stint has written no handover; clinical."""

    patient: UUID
    name: str
    severity: str
    seen: bool
    """Whether the stint saw the patient or judged how ill they are."""


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """What one stint hands over to the next one."""

    stint: UUID | None
    """None for handovers that were written outside any stint (the référent's)."""
    doctor: str
    over_at: datetime | None
    receiver: UUID | None
    receiver_name: str
    """Empty while no stint follows: the référent answers."""
    receiver_in_post: bool
    same_doctor: bool
    """The next stint is the same doctor's: answers are continuations."""
    rows: tuple[HandoverRow, ...]
    """What waits first, the oldest first; then what was answered, the newest answer first."""
    missing: tuple[MissingHandover, ...] = ()
    closed: ClosedHandover | None = None
    watch: WatchKept | None = None
    """How the receiver took over."""

    @property
    def waiting(self) -> int:
        """Handovers that nobody has answered."""
        return sum(row.waiting for row in self.rows)

    @property
    def restate(self) -> int:
        """Handovers that must be answered in words."""
        return sum(row.restate for row in self.rows)

    @property
    def overloaded(self) -> bool:
        """Whether more must be restated than one receiver restates well."""
        return self.restate > MOST_RESTATED

    def count(self, state: HandoverState) -> int:
        """Handovers in that state."""
        return sum(row.state == state for row in self.rows)


def board(
    summaries: Iterable[PatientSummary], directory: Directory, centre: UUID, at: datetime
) -> list[Batch]:
    """The batches of a centre, newest first: those that wait, the last one and the running ones."""
    everybody = list(summaries)
    stints = directory.stints_of(centre)
    rows: dict[UUID | None, list[HandoverRow]] = {}
    authors: dict[UUID | None, str] = {}
    for summary in everybody:
        handover = summary.handover
        if handover is None or not _of_centre(handover.line, directory, centre):
            continue
        stint = handover.line.stint
        rows.setdefault(stint, []).append(row_of(summary, handover, stints))
        authors.setdefault(stint, handover.line.author)
    shown = {stint for stint, found in rows.items() if any(row.waiting for row in found)}
    shown |= {line.stint for line in stints if line.active(at)}
    shown |= {line.stint for line in [each for each in stints if each.over_at <= at][-1:]}
    batches = [
        _batch(stint, rows.get(stint, []), authors.get(stint, ""), everybody, directory, at)
        for stint in shown
    ]
    return sorted(
        batches,
        key=lambda each: (each.over_at is None, -each.over_at.timestamp() if each.over_at else 0,
                          each.doctor),
    )  # fmt: skip


def batch_of(
    summaries: Iterable[PatientSummary], directory: Directory, line: StintLine, at: datetime
) -> Batch:
    """What one stint hands over, and of whom it has written nothing."""
    everybody = list(summaries)
    stints = directory.stints_of(line.centre)
    rows = [
        row_of(summary, handover, stints)
        for summary in everybody
        if (handover := summary.handover) is not None and handover.line.stint == line.stint
    ]
    return _batch(line.stint, rows, line.practitioner_name, everybody, directory, at, whole=True)


def unanswered(batches: Iterable[Batch]) -> list[tuple[Batch, HandoverRow]]:
    """Every handover that waits for an answer, the oldest first."""
    found = [(batch, row) for batch in batches for row in batch.rows if row.waiting]
    return sorted(found, key=lambda each: (each[1].written_at, each[1].patient.hex))


def row_of(summary: PatientSummary, handover: Handover, stints: Iterable[StintLine]) -> HandoverRow:
    """One handover as it stands."""
    line = handover.line
    answers = [each for each in handover.read_backs if each.current]
    last = answers[-1] if answers else None
    opened = _opened_by(line, stints)
    state: HandoverState = "opened" if opened else "written"
    if last is not None:
        state = _ANSWERS[last.detail["kind"]]
    severity = summary.severity
    ill = {line.detail["severity"], severity.detail["severity"] if severity else ""}
    return HandoverRow(
        patient=summary.patient,
        name=summary.full_name(),
        entry=line.entry_id,
        version=summary.version,
        severity=str(severity.detail["severity"] if severity else line.detail["severity"]),
        summary=str(line.detail["summary"]),
        by=line.author,
        person=line.person,
        written_at=first_instant(line.as_of, line.zone) or line.recorded_at,
        state=state,
        restate="unstable" in ill or bool(line.detail.get("read_back_requested")),
        answered_by=last.author if last else opened,
        answered_at=last.recorded_at if last else None,
        answer=str(last.detail.get("text", "")) if last else "",
    )


def _opened_by(line: Line, stints: Iterable[StintLine]) -> str:
    """Who opened an edition that holds the handover, its own stint aside."""
    for stint in stints:
        if stint.stint == line.stint:
            continue
        if any(
            each.position >= line.position and each.edition in stint.opened
            for each in stint.editions
        ):
            return stint.practitioner_name
    return ""


def _of_centre(line: Line, directory: Directory, centre: UUID) -> bool:
    stint = directory.stint(line.stint) if line.stint else None
    return (stint.centre if stint else line.centre) == centre


def _batch(
    stint: UUID | None,
    rows: list[HandoverRow],
    author: str,
    everybody: list[PatientSummary],
    directory: Directory,
    at: datetime,
    *,
    whole: bool = False,
) -> Batch:
    line = directory.stint(stint) if stint else None
    after = directory.next(line.stint) if line and not line.cancelled else None
    missing: tuple[MissingHandover, ...] = ()
    if line is not None and (whole or line.over_at - WRITTEN_FROM <= at):
        missing = tuple(_missing(everybody, line)) if at <= line.over_at + WRITTEN_UNTIL else ()
    rows.sort(key=lambda row: row.patient.hex)
    rows.sort(key=_order)
    return Batch(
        stint=stint,
        doctor=line.practitioner_name if line else author,
        over_at=line.over_at if line else None,
        receiver=after.stint if after else None,
        receiver_name=after.practitioner_name if after else "",
        receiver_in_post=after is not None and after.active(at),
        same_doctor=after is not None
        and line is not None
        and after.practitioner == line.practitioner,
        rows=tuple(rows),
        missing=missing,
        closed=line.handover if line else None,
        watch=after.watch if after else None,
    )


def _order(row: HandoverRow) -> tuple[bool, float]:
    if row.waiting:
        return False, row.written_at.timestamp()
    return True, -(row.answered_at or row.written_at).timestamp()


WRITTEN_FROM: Final = timedelta(hours=72)
"""How long before the end of a stint the board asks for its handovers."""

WRITTEN_UNTIL: Final = LATE_ENTRY_WINDOW
"""How long after a stint its handovers may still be written."""


def _missing(everybody: Iterable[PatientSummary], line: StintLine) -> list[MissingHandover]:
    """Unstable patients of the centre, and watched ones that the stint saw, without a handover."""
    found = []
    for summary in everybody:
        severity = summary.severity
        level = str(severity.detail["severity"]) if severity else ""
        if level not in _WATCHED or summary.death is not None:
            continue
        if any(each.line.stint == line.stint and not each.line.wrong for each in summary.handovers):
            continue  # one that a later stint has replaced since was written all the same
        contact = summary.last_contact
        seen = line.stint in (severity.stint if severity else None, contact and contact.stint)
        if seen or level == "unstable":
            found.append(
                MissingHandover(
                    patient=summary.patient, name=summary.full_name(), severity=level, seen=seen
                )
            )
    found.sort(key=lambda each: (each.severity != "unstable", not each.seen, each.name))
    return found


def to_json(batches: Iterable[Batch], at: datetime, *, clinical: bool) -> dict[str, Any]:
    """The board as JSON; without ``clinical``, states, ages, names and counts only."""
    found = list(batches)
    return {
        "batches": [_batch_json(batch, at, clinical) for batch in found],
        "waiting": sum(batch.waiting for batch in found),
        "overloaded": any(batch.overloaded for batch in found),
    }


def _batch_json(batch: Batch, at: datetime, clinical: bool) -> dict[str, Any]:
    return {
        "stint": batch.stint,
        "doctor": batch.doctor,
        "over_at": batch.over_at,
        "receiver": batch.receiver,
        "receiver_name": batch.receiver_name,
        "receiver_in_post": batch.receiver_in_post,
        "same_doctor": batch.same_doctor,
        "written": len(batch.rows),
        "waiting": batch.waiting,
        "to_restate": batch.restate,
        "overloaded": batch.overloaded,
        "missing": len(batch.missing),
        "closed_at": batch.closed.at if batch.closed else None,
        "watch_taken_at": batch.watch.at if batch.watch else None,
        "handovers": [_row_json(row, at, clinical) for row in batch.rows],
        **(
            {
                "missing_patients": [msgspec.to_builtins(each) for each in batch.missing],
                "message": batch.closed.message if batch.closed else "",
                "first_action": batch.watch.first_action if batch.watch else "",
                "question": batch.watch.question if batch.watch else "",
            }
            if clinical
            else {}
        ),
    }


def _row_json(row: HandoverRow, at: datetime, clinical: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "patient": row.patient,
        "name": row.name,
        "by": row.by,
        "written_at": row.written_at,
        "age_hours": int(row.age(at).total_seconds() // 3600),
        "state": row.state,
        "answered_by": row.answered_by,
        "answered_at": row.answered_at,
    }
    if clinical:
        shown |= {
            "entry": row.entry, "severity": row.severity, "summary": row.summary,
            "restate": row.restate, "answer": row.answer,
        }  # fmt: skip
    return shown
