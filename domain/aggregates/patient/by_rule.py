"""What follows from a decision by rule alone, whatever command it answered."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from releve.domain.aggregates.deciding import RELEVE, Context, Fact
from releve.domain.aggregates.patient.contingencies import activated
from releve.domain.aggregates.patient.corrections import EntryMarkedInError, EntryReinstated
from releve.domain.aggregates.patient.open_items import (
    ItemClosed,
    ItemOpened,
    ItemReopened,
    closed_items,
)
from releve.domain.aggregates.patient.record import Patient
from releve.domain.aggregates.patient.result_follow_up import Arrival, own_item
from releve.domain.aggregates.patient.results import (
    Informed,
    InvestigationOrdered,
    ResultReceived,
    ResultReviewed,
    awaited_by,
    is_past,
    items_of,
    results_of,
    stage_of,
    versions_of,
)
from releve.domain.aggregates.patient.validation import EntryValidated
from releve.domain.events import Event


def consequences(
    patient: Patient, facts: Sequence[Fact], ctx: Context, *, happened: str | None
) -> tuple[Fact, ...]:
    """What ``facts`` of one decision bring about, whatever the command.

    A measure that meets an if/then activates it; a result set aside or reinstated takes the item
    that it opened along. ``happened`` is when, for facts that do not say it themselves.
    """
    found = list(activated(patient, facts, ctx, happened=happened))
    for fact in facts:
        entry = patient.entries.get(fact.target) if fact.target is not None else None
        if entry is None:
            continue
        match fact.payload:
            case EntryMarkedInError():
                found += _set_aside(patient, entry, ctx)
            case EntryValidated(verdict="refused"):
                found += _set_aside(patient, entry, ctx)
            case EntryReinstated():
                found += _reinstated(patient, entry)
            case _:
                pass
    return tuple(found)


def _set_aside(patient: Patient, entry: Event, ctx: Context) -> list[Fact]:
    """What an entry that leaves current views leaves behind: nothing unread goes unanswered for."""
    match entry.payload:
        case ResultReceived():
            return _result_set_aside(patient, entry)
        case ResultReviewed() | Informed() if entry.envelope.target is not None:
            result = patient.entries.get(entry.envelope.target)
            if result is None or not _waits(patient, result, without=entry):
                return []
            return _opened_again(patient, result, "Lecture marquée erronée")
        case InvestigationOrdered(item=item):
            closing = ItemClosed(outcome="not-needed", evidence="Demande écartée")
            open_still = item in patient.entries and item not in closed_items(patient)
            ended = [Fact(closing, target=item, author=RELEVE)] if open_still else []
            return [
                *ended,
                *_items_for(patient, list(results_of(patient, entry.event_id)), item, ctx),
            ]
        case ItemOpened():
            return _items_for(patient, awaited_by(patient, entry.payload), entry.event_id, ctx)
        case ItemReopened() if entry.envelope.target is not None:
            lost = patient.entries.get(entry.envelope.target)
            if lost is None or not isinstance(lost.payload, ItemOpened):
                return []
            return _items_for(patient, awaited_by(patient, lost.payload), lost.event_id, ctx)
        case _:
            return []


def _result_set_aside(patient: Patient, entry: Event) -> list[Fact]:
    earlier = list(versions_of(patient, entry.event_id))[1:]
    given_back = next((event for event in earlier if not patient.is_out(event.event_id)), None)
    if given_back is not None and not patient.is_replaced(entry.event_id):
        if not _waits(patient, given_back):
            return []
        return _opened_again(patient, given_back, "La version antérieure a de nouveau cours")
    if given_back is not None or patient.is_replaced(entry.event_id):
        return []
    closed = closed_items(patient)
    closing = ItemClosed(outcome="not-needed", evidence="Résultat écarté")
    return [
        Fact(closing, target=item.event_id, author=RELEVE)
        for item in _own_items(patient, entry.event_id)
        if item.event_id not in closed
    ]


def _reinstated(patient: Patient, entry: Event) -> list[Fact]:
    """What comes back and was never settled is to be followed again."""
    match entry.payload:
        case ResultReceived() if _waits(patient, entry):
            return _opened_again(patient, entry, "Résultat rétabli")
        case InvestigationOrdered(item=item) if item in closed_items(patient):
            return [Fact(ItemReopened(), target=item, reason="Demande rétablie", author=RELEVE)]
        case _:
            return []


def _waits(patient: Patient, result: Event, *, without: Event | None = None) -> bool:
    """True for a result that is to be read or told, counted without one of its own entries."""
    if not isinstance(result.payload, ResultReceived):
        return False
    if without is None or patient.is_out(without.event_id):
        return stage_of(patient, result) not in ("done", "history")
    return patient.stands(result) and not is_past(result)


def _own_items(patient: Patient, result: UUID) -> list[Event]:
    """The items that a result, or an earlier version of it, opened by itself."""
    family = {version.event_id for version in versions_of(patient, result)}
    return [
        item
        for item in patient.standing(patient.items)
        if isinstance(item.payload, ItemOpened) and item.payload.follows in family
    ]


def _opened_again(patient: Patient, result: Event, why: str) -> list[Fact]:
    """The first of a result's items, where all are closed."""
    items = items_of(patient, result.event_id)
    closed = closed_items(patient)
    if not items or any(item.event_id not in closed for item in items):
        return []
    return [Fact(ItemReopened(), target=items[0].event_id, reason=why, author=RELEVE)]


def _items_for(patient: Patient, results: list[Event], lost: UUID, ctx: Context) -> list[Fact]:
    """An item of its own for each result that waits and had none but the one that is lost."""
    closed = closed_items(patient)
    facts = []
    for result in results:
        others = {item.event_id for item in items_of(patient, result.event_id)} - {lost} - closed
        if isinstance(result.payload, ResultReceived) and not others and _waits(patient, result):
            facts.append(own_item(Arrival(result.event_id, result.payload, None, None), ctx))
    return facts
