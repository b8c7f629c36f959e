"""What arrived on a record after somebody last saw it: told to whoever writes after others.

Both writings are kept; whoever comes second is told what the first one was. Who may read the record
is told in words, and that reading leaves its access entry; the desk is told who wrote last, and
when: neither what kind of thing it was, nor how many there were, nor what a rule did by itself.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

from releve.api.disclosure import read_clinical
from releve.api.entry_kinds import kind_of
from releve.api.gate import Granted, authorise, may
from releve.domain.continuity import Outcome
from releve.domain.events import Event
from releve.projections.timeline import TimelineEntry, entries_of
from releve.security.policy import Action

if TYPE_CHECKING:
    from releve.api.services import Services

Told = dict[str, Any]


def arrived_since(services: Services, granted: Granted, version: int) -> list[Told]:
    """What stands on a patient's record above a version, oldest first, as the asker may see it.

    Raises:
        LogUnavailable: the access entry could not be written; nothing is told.
    """
    events = services.reader.stream(granted.patient)
    return _told(services, granted, events, [e for e in events if e.originator_version > version])


def arrived_beside(
    services: Services, granted: Granted, outcome: Outcome, seen_position: int | None
) -> list[Told]:
    """What others had written on the record above the position that the author's screen showed.

    Empty where the request did not say what was seen, or was sent before.
    """
    if seen_position is None or outcome.replayed or not outcome.events:
        return []
    before = outcome.version - len(outcome.events)
    position = services.reader.position_of(outcome.stream, before) if before else -1
    if position is not None and position <= seen_position:
        return []
    events = services.reader.stream(outcome.stream)
    person = granted.principal.person
    unseen = [
        event
        for event in events
        if event.originator_version <= before
        and (event.position is None or event.position > seen_position)
        and event.envelope.author.person != person
    ]
    return _told(services, granted, events, unseen) if unseen else []


def _told(
    services: Services, granted: Granted, events: list[Event], unseen: list[Event]
) -> list[Told]:
    named = {event.event_id for event in unseen}
    entries = [entry for entry in entries_of(events) if entry.event_id in named]
    patient, position = granted.patient, max((each.position for each in entries), default=-1)
    for action, tell in ((Action.READ_CLINICAL, _in_words), (Action.READ_ITEM_LABELS, _by_whom)):
        if may(services, granted, action):
            reading = authorise(services, granted.principal, action, "patient", patient)
            told = tell(entries)
            disclosed = read_clinical(
                services,
                reading,
                partial(_at, told, position),
                what="arrived",
                patients=partial(_only, patient),
            )
            content: list[Told] = disclosed.content
            return content
    return []


def _at(told: list[Told], position: int) -> tuple[list[Told], int]:
    return told, position


def _only(patient: UUID, _: list[Told]) -> tuple[UUID, ...]:
    return (patient,)


def _by_whom(entries: list[TimelineEntry]) -> list[Told]:
    """Who wrote last, and when: one entry at most, whatever arrived."""
    written = [entry for entry in entries if entry.role != "system"]
    return [_signed(entry) for entry in written[-1:]]


def _signed(entry: TimelineEntry) -> Told:
    return {
        "author": entry.author,
        "role": entry.role,
        "recorded_at": entry.recorded_at.isoformat(),
    }


def _in_words(entries: list[TimelineEntry]) -> list[Told]:
    return [
        {
            **_signed(entry),
            "label": kind_of(entry.topic)[0],
            "event_id": str(entry.event_id),
            "topic": entry.topic,
            "occurred_at": entry.occurred_at,
            "text": entry.text,
            "status": entry.status,
            "version": entry.version,
        }
        for entry in entries
    ]
