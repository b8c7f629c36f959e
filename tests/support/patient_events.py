"""Builds the events of one stream in order, as the ledger would give them back."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from releve.domain.events import PATIENT, SYSTEM_SESSION, Author, Envelope, Event, Payload, Source
from releve.projections.patient_summary import (
    PatientSummary,
    fold_all,
    from_bytes,
    reads_whole,
    to_bytes,
)

CENTRE = UUID("00000000-0000-4000-8000-00000000000c")
STINT = UUID("00000000-0000-4000-8000-00000000005a")
MONDAY = datetime(2026, 11, 16, 9, 0, tzinfo=UTC)
LAST_WEEK = "2026-11-09T10:00:00+01:00"
HERE = Source()
GARNIER = Author(role="doctor", name="Dr Élise Garnier", stint=STINT)


class Stream:
    """A stream that grows: versions, positions and ids follow each other."""

    def __init__(self, number: int = 1, *, event_class: int = PATIENT, first: int = 0) -> None:
        self.id = UUID(int=0xA0000000_0000_4000_8000_000000000000 + number)
        self.event_class = event_class
        self.events: list[Event] = []
        self._first = first

    def add(
        self,
        payload: Payload,
        *,
        at: datetime | None = None,
        author: Author = GARNIER,
        occurred_at: str | None = None,
        source: Source = HERE,
        centre: UUID | None = CENTRE,
        **envelope: Any,
    ) -> Event:
        version = len(self.events) + 1
        recorded = at or MONDAY + timedelta(hours=version)
        event = Event(
            originator_id=self.id,
            originator_version=version,
            event_id=uuid5(self.id, str(version)),
            event_class=self.event_class,
            recorded_at=recorded,
            session=SYSTEM_SESSION,
            position=self._first + version - 1,
            envelope=Envelope(
                occurred_at=occurred_at or recorded.isoformat(),
                author=author,
                centre=centre,
                source=source,
                **envelope,
            ),
            payload=payload,
        )
        self.events.append(event)
        return event


def summary_of(stream: Stream) -> PatientSummary:
    """The summary of a whole stream."""
    return fold_all(None, stream.events, stream.id)


def folded_by_the_feed(stream: Stream, steps: Iterable[int] = ()) -> PatientSummary:
    """The summary of a whole stream, read in pieces of these lengths, then one by one."""
    summary: PatientSummary | None = None
    lengths, at = iter(steps), 0
    while at < len(stream.events):
        upto = at + next(lengths, 1)
        told = stream.events[at:upto]
        if summary is not None and reads_whole(summary, told):
            summary, told = None, stream.events[:upto]
        summary = from_bytes(to_bytes(fold_all(summary, told, stream.id)))
        at = upto
    assert summary is not None
    return summary
