"""What follows from a decision by rule alone, whatever command it answered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal
from uuid import UUID

from releve.domain.aggregates.deciding import RELEVE, Context, Fact
from releve.domain.aggregates.patient.contingencies import activated
from releve.domain.aggregates.patient.corrections import EntryMarkedInError, EntryReinstated
from releve.domain.aggregates.patient.entries import about
from releve.domain.aggregates.patient.open_items import (
    ItemClosed,
    ItemOpened,
    ItemReopened,
    open_items,
)
from releve.domain.aggregates.patient.record import Patient
from releve.domain.aggregates.patient.result_follow_up import Arrival, order_item, own_item
from releve.domain.aggregates.patient.results import (
    InvestigationOrdered,
    ResultReceived,
    ResultReviewed,
    Stage,
    current_results,
    is_unread,
    order_of,
    stage_of,
    versions_of,
)
from releve.domain.aggregates.patient.validation import EntryValidated
from releve.domain.events import Event


def consequences(
    patient: Patient, facts: Sequence[Fact], ctx: Context, *, happened: str | None
) -> tuple[Fact, ...]:
    """What ``facts`` of one decision bring about, whatever the command.

    A measure that meets an if/then activates it, whichever of them came first. A correction, or the
    refusal of an imported line, never leaves an order or a result that waits without an open item,
    nor an item that waits for nothing.
    ``happened`` is when, for facts that do not say it themselves.
    """
    after = patient
    gone: list[UUID] = []
    back: list[UUID] = []
    for fact in facts:
        if fact.target is None:
            continue
        match fact.payload:
            case EntryMarkedInError() | EntryValidated(verdict="refused"):
                gone.append(fact.target)
            case EntryReinstated():
                back.append(fact.target)
            case _:
                pass
    if gone or back:
        # All of them at once: of two refused results of one order, neither is the other's stand-in.
        after = replace(patient, in_error=patient.in_error.union(gone).difference(back))
    found = list(activated(patient, after, facts, ctx, happened=happened))
    if after is not patient:
        found += _kept_in_step(patient, after, {*gone, *back}, ctx)
    return tuple(found)


_SETTLED: frozenset[Stage] = frozenset({"done", "history"})


@dataclass(frozen=True, slots=True)
class _Matter:
    """An order with its results, or a result that nobody ordered, and the items that follow it."""

    result: Event | None
    """One of its results in force, to name it by."""
    stages: tuple[Stage, ...]
    unread: bool
    """Whether one of its results is still to be read."""
    items: tuple[Event, ...]
    open: tuple[Event, ...]
    ordered: bool

    @property
    def waits(self) -> bool:
        """Whether something is still to come, to be read or to be told."""
        unsettled = any(stage not in _SETTLED for stage in self.stages)
        return unsettled or (self.ordered and "done" not in self.stages)


def _matters(patient: Patient) -> dict[UUID, _Matter]:
    """Everything that is or was awaited, by its order, else by the first version of its result."""
    answers: dict[UUID, list[Event]] = {
        event.event_id: [] for event in patient.standing(patient.told(InvestigationOrdered))
    }
    orders = set(answers)
    for event in current_results(patient):
        order = order_of(patient, event.event_id)
        *_, first = versions_of(patient, event.event_id)
        answers.setdefault(order or first.event_id, []).append(event)
    still = {item.event_id for item in open_items(patient)}
    following: dict[UUID, list[tuple[int, Event]]] = {}
    for place, item in enumerate(patient.standing(patient.items)):
        if isinstance(item.payload, ItemOpened) and item.payload.follows is not None:
            following.setdefault(item.payload.follows, []).append((place, item))
    found = {}
    for key, results in answers.items():
        follows = {key}.union(
            version.event_id
            for event in results
            for version in versions_of(patient, event.event_id)
        )
        placed = (each for entry in follows for each in following.get(entry, ()))
        items = tuple(item for _, item in sorted(placed, key=lambda each: each[0]))
        found[key] = _Matter(
            result=results[0] if results else None,
            stages=tuple(stage_of(patient, event) for event in results),
            unread=any(is_unread(patient, event) for event in results),
            items=items,
            open=tuple(item for item in items if item.event_id in still),
            ordered=key in orders,
        )
    return found


def _kept_in_step(
    patient: Patient, after: Patient, corrected: set[UUID], ctx: Context
) -> Iterator[Fact]:
    """One open item for whatever waits after a correction, and none for what waits no more.

    An item that somebody opened again by hand, or closed as not needed, stays as they left it.
    """
    before, now = _matters(patient), _matters(after)
    for key, matter in now.items():
        was = before.get(key)
        if matter.waits and not matter.open:
            same = was is not None and not was.open and _stand_alike(was, matter)
            if not same and not _given_up(after, matter, was, corrected):
                yield _opened(after, key, matter, ctx)
        elif matter.waits:
            if key in corrected and matter.ordered:
                yield from _given_back(key, matter)
            elif any(item.event_id in corrected for item in matter.open):
                yield from (
                    _closed(item, "transferred", "Point d'origine rétabli")
                    for item in matter.open
                    if item.event_id not in corrected and item.envelope.author == RELEVE
                )
        elif was is None or was.waits:
            yield from (
                _closed(item, "done", "Résultat en vigueur déjà lu")
                for item in matter.open
                if not _by_hand(after, item)
            )
    followed = {item.event_id for matter in now.values() for item in matter.items}
    had = {item.event_id for matter in before.values() for item in matter.items}
    for item in open_items(after):
        if item.event_id in had and item.event_id not in followed:
            yield _closed(item, "not-needed", "Demande ou résultat écarté")


def _opened(patient: Patient, key: UUID, matter: _Matter, ctx: Context) -> Fact:
    """An item of a matter open again, the order's before a result's; a new one where none is."""
    ordered = patient.entries[key].payload
    if matter.items:
        mine = (
            item.event_id
            for item in matter.items
            if isinstance(item.payload, ItemOpened) and item.payload.follows == key
        )
        why = "Un résultat attend de nouveau" if matter.stages else "Le résultat reste attendu"
        reopened = next(mine, matter.items[0].event_id)
        return Fact(ItemReopened(), target=reopened, reason=why, author=RELEVE)
    if isinstance(ordered, InvestigationOrdered):
        return order_item(ordered, key, ctx)
    received = matter.result
    if received is None or not isinstance(received.payload, ResultReceived):
        raise TypeError("what waits is an order or a result")
    harm = _harmful(patient, received)
    return own_item(Arrival(received.event_id, received.payload, None, None), ctx, harm=harm)


def _harmful(patient: Patient, result: Event) -> bool:
    """Whether an order that the result answers says so; one taken back says it all the same."""
    told = [event.payload for event in versions_of(patient, result.event_id)]
    for event in versions_of(patient, result.event_id):
        told += [read.payload for read in about(patient, ResultReviewed, event.event_id)]
    named = (each.order for each in told if isinstance(each, ResultReceived | ResultReviewed))
    orders = (patient.entries[order].payload for order in named if order in patient.entries)
    return any(isinstance(each, InvestigationOrdered) and each.harm_if_late for each in orders)


def _given_back(order: UUID, matter: _Matter) -> Iterator[Fact]:
    """The item of an order that stands again, in place of those that stood in for it meanwhile."""

    def of_order(item: Event) -> bool:
        return isinstance(item.payload, ItemOpened) and item.payload.follows == order

    own = next((item for item in matter.items if of_order(item)), None)
    meanwhile = [
        item for item in matter.open if not of_order(item) and item.envelope.author == RELEVE
    ]
    if own is None or own in matter.open or not meanwhile:
        return
    yield Fact(ItemReopened(), target=own.event_id, reason="Demande rétablie", author=RELEVE)
    for item in meanwhile:
        yield _closed(item, "transferred", "Demande rétablie")


def _stand_alike(one: _Matter, other: _Matter) -> bool:
    return (one.stages, one.unread) == (other.stages, other.unread)


def _given_up(patient: Patient, matter: _Matter, was: _Matter | None, corrected: set[UUID]) -> bool:
    """Whether somebody had closed what waits as not needed, which the correction leaves so."""
    if matter.unread or not matter.items:
        return False
    words = (*patient.closings, *patient.told(ItemReopened))
    moved = {event.envelope.target for event in words if event.event_id in corrected}
    named = {item.event_id for item in matter.items}
    if was is not None and not _stand_alike(was, matter) and not moved & named:
        return False
    last = [
        event
        for event in patient.standing(patient.closings)
        if event.envelope.target in named and event.envelope.author != RELEVE
    ]
    return bool(last) and _is_not_needed(last[-1].payload)


def _is_not_needed(payload: object) -> bool:
    return isinstance(payload, ItemClosed) and payload.outcome == "not-needed"


def _by_hand(patient: Patient, item: Event) -> bool:
    """Whether the last word that opened an item again was somebody's, not a rule's."""
    again = list(about(patient, ItemReopened, item.event_id))
    return bool(again) and again[-1].envelope.author != RELEVE


def _closed(item: Event, outcome: Literal["done", "not-needed", "transferred"], why: str) -> Fact:
    closing = ItemClosed(outcome=outcome, evidence=why)
    return Fact(closing, target=item.event_id, author=RELEVE)
