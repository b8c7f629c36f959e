"""Replay: what was written on a record, and what could be known at a moment.

Read from the ledger alone; projections may be empty. Two times are kept apart: *known* (the
position, or the last one known at a moment) and *happened* (clinical time). No line depends on the
moment of printing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from releve.domain.errors import NotFound
from releve.domain.events import Event
from releve.projections import wording
from releve.projections.dates import first_instant
from releve.projections.patient_summary import (
    SLOTS,
    Item,
    Line,
    PatientSummary,
    fold_all,
)
from releve.security.ledger.reader import LedgerReader

_STATUS = {
    "patient.note-amended": "amended",
    "patient.item-closed": "closed",
}


class TimelineEntry(NamedTuple):
    """One step of a record's history, with both of its times and what became of it.

    ``status``: current, amended, superseded, closed, in-error.
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
                name: {"state": presence.state, "asked_on": presence.asked_on}
                for name in ("allergies", "medications", "problems")
                for presence in (summary.presence(name),)
            },
            "open_items": [item_json(item) for item in summary.open_items],
        }


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
        at: of these, only what had happened by then, by clinical time; a partial date counts from
            its first day.

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
    if at is not None:
        events = [event for event in events if _happened_by(event, at)]
    summary = fold_all(None, events, patient)
    last = position if position is not None else _last_position(events)
    return Replay(patient, last, known_at, at, entries_of(events), summary)


def entries_of(events: Sequence[Event]) -> list[TimelineEntry]:
    """One entry per event in order, with what later events made of it."""
    wrong = {
        event.envelope.target
        for event in events
        if event.topic == "patient.entry-marked-in-error" and event.envelope.target
    }
    status: dict[UUID, str] = {}
    by_stint: dict[UUID | None, Event] = {}
    for event in events:
        if event.event_id in wrong:
            status[event.event_id] = "in-error"
            continue  # what an erroneous entry did to others is undone
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
        if target is not None and target not in wrong and event.topic in _STATUS:
            status[target] = _STATUS[event.topic]
    return [_entry(event, status.get(event.event_id, "current")) for event in events]


def line_json(line: Line) -> dict[str, Any]:
    """A summary line as JSON: what it says, its codes, its state, and where it comes from."""
    return {
        "entry": str(line.entry_id),
        "text": line.text,
        "state": line.state,
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
        "owner": item.line.detail.get("owner", {"role": "medecin_en_poste"}),
        "opened_at": item.line.as_of,
        "author": item.line.author,
        "position": item.line.position,
    }


def _entry(event: Event, status: str) -> TimelineEntry:
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
        text=wording.entry_text(event.topic, detail, envelope.zone),
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
