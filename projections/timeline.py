"""Replay: what was written on a record, and what could be known at a moment.

Read from the ledger alone; projections may be empty. Two times are kept apart: *known* (the
position, or the last one known at a moment) and *happened* (clinical time). No line depends on the
moment of printing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any, NamedTuple
from uuid import UUID

from releve.domain.aggregates.patient import Patient, fold
from releve.domain.aggregates.patient.contingencies import ContingencyActivated
from releve.domain.aggregates.patient.validation import EntryValidated, awaiting_validation
from releve.domain.errors import NotFound
from releve.domain.events import Event
from releve.projections import wording
from releve.projections.dates import first_instant, zone_of
from releve.projections.patient_summary import (
    SLOTS,
    Item,
    Line,
    PatientSummary,
    Question,
    Result,
    fold_all,
)
from releve.security.ledger.reader import LedgerReader

_STATUS = {
    "patient.note-amended": "amended",
    "patient.item-closed": "closed",
    "patient.item-reopened": "current",
    "patient.item-revised": "revised",
    "patient.problem-revised": "revised",
    "patient.allergy-revised": "revised",
    "patient.medication-changed": "revised",
    "patient.medication-stopped": "stopped",
    "patient.vigilance-point-lifted": "lifted",
    "patient.contingency-withdrawn": "withdrawn",
    "patient.medecin-traitant-ended": "ended",
    "patient.question-answered": "answered",
    "patient.result-reviewed": "reviewed",
}
"""What an event makes of the entry that it names."""


class TimelineEntry(NamedTuple):
    """One step of a record's history, with both of its times and what became of it.

    ``status``: current, amended, revised, stopped, lifted, withdrawn, ended, answered, reviewed,
    superseded, closed, accepted, refused, in-error.
    """

    event_id: UUID
    position: int
    topic: str
    recorded_at: datetime
    occurred_at: str
    author: str
    role: str
    text: str
    status: str
    reason: str | None
    target: UUID | None
    late: bool
    """Whether it was written well after it happened ("saisie tardive")."""
    version: int
    channel: str
    waits: bool = False
    """Whether it is an imported line that no doctor has accepted or refused ("à valider")."""

    def to_json(self) -> dict[str, Any]:
        """The entry of the contract's object."""
        return {
            "event_id": str(self.event_id),
            "position": self.position,
            "topic": self.topic,
            "recorded_at": self.recorded_at.astimezone(UTC).isoformat(),
            "occurred_at": self.occurred_at,
            "author": self.author,
            "role": self.role,
            "text": self.text,
            "status": self.status,
            "reason": self.reason,
            "target": str(self.target) if self.target else None,
            "late": self.late,
            "version": self.version,
            "source": self.channel,
            "validation": "to-validate" if self.waits else "",
        }


class Replay(NamedTuple):
    """A record as it could be known: its entries, its summary and its open items then."""

    patient: UUID
    position: int
    known_at: datetime | None
    at: datetime | None
    entries: list[TimelineEntry]
    summary: PatientSummary

    def to_json(self) -> dict[str, Any]:
        """The contract's object."""
        summary = self.summary
        return {
            "patient": str(self.patient),
            "position": self.position,
            "known_at": _iso(self.known_at),
            "at": _iso(self.at),
            "entries": [entry.to_json() for entry in self.entries],
            "summary": {
                slot.name: [line_json(line) for line in summary.slot(slot.name)] for slot in SLOTS
            },
            "absences": {
                name: {
                    "state": presence.state,
                    "asked_on": presence.asked_on,
                    "validation": presence.absence.validation if presence.absence else "",
                }
                for name in ("allergies", "medications", "problems")
                for presence in (summary.presence(name),)
            },
            "open_items": [item_json(item) for item in summary.open_items],
            "results": [result_json(each, self._day()) for each in summary.results],
            "questions": [question_json(each) for each in summary.open_questions],
        }

    def _day(self) -> date:
        """The civil day that the record is looked at from: asked for, else its last entry's."""
        at = self.at or self.known_at or self.summary.recorded_at
        return at.astimezone(zone_of(self.summary.zone)).date() if at else date.min


def replay(
    reader: LedgerReader,
    patient: UUID,
    *,
    position: int | None = None,
    known_at: datetime | None = None,
    at: datetime | None = None,
) -> Replay:
    """The record of a patient as it could be known.

    Args:
        reader: of the ledger.
        patient: the record's stream.
        position: only events up to it; or
        known_at: only events up to the last position known then.
        at: of these, only what had happened by then, by clinical time, as it is known: whatever
            was since marked in error, refused or amended is so. A partial date counts from its
            first day.

    Raises:
        NotFound: the record has no event up to there.
        KeyDestroyed: the record was erased.
        Tampered, KeyServiceDown: as the reader.
    """
    up_to = position
    if known_at is not None:
        known = reader.known_at(known_at)
        up_to = known if up_to is None else min(up_to, known)
    if up_to is None:
        up_to = reader.head().size - 1
    events: list[Event] = reader.stream(patient, up_to=up_to)
    if not events or not events[0].topic.startswith("patient."):
        raise NotFound
    told = events if at is None else what_happened(events, at)
    summary = fold_all(None, told, patient)
    last = position if position is not None else _last_position(told)
    entries = entries_of(told)
    if at is not None:
        then = {event.event_id for event in events if _happened_by(event, at)}
        entries = [entry for entry in entries if entry.event_id in then]
    return Replay(patient, last, known_at, at, entries, summary)


def what_happened(events: Sequence[Event], at: datetime) -> list[Event]:
    """What had happened by ``at``, with every word of ``events`` that sets it right since.

    An error is an error and a refused line is refused whenever somebody noticed: their marks are
    kept with what they are about, whatever day they were made.
    """
    kept: list[Event] = []
    known: set[UUID | None] = set()
    for event in events:
        sets_right = event.topic in _SET_RIGHT and event.envelope.target in known
        if sets_right or _happened_by(event, at):
            kept.append(event)
            known.add(event.event_id)
    return kept


_SET_RIGHT = frozenset(
    {
        "patient.entry-marked-in-error", "patient.entry-reinstated", "patient.entry-validated",
        "patient.note-amended",
    }
)  # fmt: skip
"""What is about the record and not about the patient's days."""


def not_yet_known(events: Sequence[Event], known_to: int, at: datetime) -> list[TimelineEntry]:
    """What had happened by ``at`` but nobody could read at position ``known_to``, oldest first.

    The sentence that an inquiry needs: it was already true, and the record did not say so yet.
    """
    late = {
        event.event_id
        for event in events
        if (event.position is None or event.position > known_to) and _happened_by(event, at)
    }
    return [entry for entry in entries_of(events) if entry.event_id in late]


def entries_of(events: Sequence[Event]) -> list[TimelineEntry]:
    """One entry per event in order, with what later events made of it.

    Whether an entry is out or replaced is the record's own word (:class:`Patient`); what an entry
    that is out did to others is undone.
    """
    record = fold(None, events)
    if record is None:
        return []
    status: dict[UUID, str] = {}
    by_stint: dict[UUID | None, Event] = {}
    for event in events:
        if record.is_out(event.event_id):
            is_error = event.event_id in record.in_error
            status[event.event_id] = "in-error" if is_error else "refused"
            continue
        target = event.envelope.target
        if event.topic == "patient.handover-written":
            stint = event.envelope.author.stint
            earlier = by_stint.get(stint)
            if stint is not None and earlier is not None:
                older, newer = sorted((earlier, event), key=lambda each: each.recency)
                status[older.event_id] = "superseded"
                by_stint[stint] = newer
            else:
                by_stint[stint] = event
        if record.is_replaced(event.event_id):
            status[event.event_id] = "superseded"
        if target is None or record.is_out(target) or record.is_replaced(target):
            continue
        if isinstance(event.payload, EntryValidated):
            status[target] = event.payload.verdict
        elif event.topic in _STATUS:
            status[target] = _STATUS[event.topic]
    waiting = {event.event_id for event in awaiting_validation(record)}
    return [
        _entry(event, status.get(event.event_id, "current"), record)._replace(
            waits=event.event_id in waiting
        )
        for event in events
    ]


def line_json(line: Line) -> dict[str, Any]:
    """A summary line as JSON: what it says, its codes, its state, and where it comes from."""
    return {
        "entry": str(line.entry_id),
        "text": line.text,
        "state": line.state,
        "why": line.why,
        "validation": line.validation,
        "codings": list((line.concept or {}).get("codings", ())),
        "as_of": line.as_of,
        "recorded_at": line.recorded_at.astimezone(UTC).isoformat(),
        "author": line.source_author,
        "role": line.role,
        "source": line.source.channel if line.source else "ui",
        "position": line.position,
        "detail": line.detail,
    }


def item_json(item: Item) -> dict[str, Any]:
    """An open item as JSON."""
    return {
        "item": str(item.line.entry_id),
        "kind": item.kind,
        "text": item.line.detail["text"],
        "due": item.due,
        "no_deadline": item.due is None,
        "harm_if_late": item.harm_if_late,
        "owner": item.owner or {"role": "medecin_en_poste"},
        "state": item.state,
        "opened_at": item.line.as_of,
        "author": item.line.author,
        "position": item.line.position,
    }


def result_json(result: Result, day: date) -> dict[str, Any]:
    """A result as JSON: where it stands on ``day``, its versions, who read it, who was told."""
    received, review, told = result.received, result.review, result.informed
    return {
        "result": str(result.entry_id),
        "title": result.title,
        "state": result.state(day),
        "status": result.status,
        "ordered_by": result.order.author if result.order else None,
        "expected_by": result.order.detail["expected_by"] if result.order else None,
        "received_at": received.as_of if received else None,
        "versions": [str(each.entry_id) for each in result.versions],
        "reviewed_by": review.author if review else None,
        "previous_reader": result.previous_review.author if result.previous_review else None,
        "informed": told.as_of if told else None,
    }


def question_json(question: Question) -> dict[str, Any]:
    """A question that nobody has answered, as JSON."""
    return {
        "question": str(question.line.entry_id),
        "text": question.line.detail["text"],
        "to": question.line.detail["to_name"],
        "author": question.line.author,
        "due": question.line.detail.get("due"),
    }


def _activated(event: Event, record: Patient) -> str:
    """``Si K+ > 5,5 : seuil atteint (Potassium 6,2 mmol/L)``: which if, and what met it."""
    target = event.envelope.target
    rule = record.entries.get(target) if target is not None else None
    payload = event.payload
    if rule is None or not isinstance(payload, ContingencyActivated):
        return ""
    condition = wording.detail_of(rule.payload).get("condition", "")
    by = record.entries.get(payload.by)
    if by is None:
        return f"Si {condition} : seuil atteint"
    said = wording.entry_text(by.topic, wording.detail_of(by.payload), by.envelope.zone)
    return f"Si {condition} : seuil atteint ({said.partition(' : ')[2] or said})"


def _entry(event: Event, status: str, record: Patient) -> TimelineEntry:
    envelope = event.envelope
    detail = wording.detail_of(event.payload)
    happened = first_instant(envelope.occurred_at, envelope.zone)
    return TimelineEntry(
        event_id=event.event_id,
        position=-1 if event.position is None else event.position,
        topic=event.topic,
        recorded_at=event.recorded_at,
        occurred_at=envelope.occurred_at,
        author=envelope.author.name,
        role=envelope.author.role,
        text=_activated(event, record) or wording.entry_text(event.topic, detail, envelope.zone),
        status=status,
        reason=envelope.reason,
        target=envelope.target,
        late=happened is not None
        and envelope.source.channel in _TYPED
        and (event.recorded_at - happened).total_seconds() > _LATE_S,
        version=event.originator_version,
        channel=envelope.source.channel,
    )


_TYPED = frozenset({"ui", "offline", "phone", "paste", "demo"})
_LATE_S = 12 * 3600


def _happened_by(event: Event, at: datetime) -> bool:
    happened = first_instant(event.envelope.occurred_at, event.envelope.zone)
    return (happened or event.recorded_at) <= at


def _last_position(events: Sequence[Event]) -> int:
    return max((event.position for event in events if event.position is not None), default=-1)


def _iso(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat() if moment else None
