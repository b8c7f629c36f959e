"""What follows from a decision by rule alone, whatever command it answered."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from uuid import UUID

from releve.domain.aggregates.deciding import RELEVE, Context, Fact
from releve.domain.aggregates.patient.contingencies import activated
from releve.domain.aggregates.patient.corrections import EntryMarkedInError, EntryReinstated
from releve.domain.aggregates.patient.open_items import (
    ItemClosed,
    ItemOpened,
    ItemReopened,
    closed_items,
    open_items,
)
from releve.domain.aggregates.patient.record import Patient
from releve.domain.aggregates.patient.result_follow_up import Arrival, own_item
from releve.domain.aggregates.patient.results import (
    InvestigationOrdered,
    ResultReceived,
    Stage,
    awaited_by,
    current_results,
    items_of,
    order_of,
    results_of,
    stage_of,
)
from releve.domain.aggregates.patient.validation import EntryValidated


def consequences(
    patient: Patient, facts: Sequence[Fact], ctx: Context, *, happened: str | None
) -> tuple[Fact, ...]:
    """What ``facts`` of one decision bring about, whatever the command.

    A measure that meets an if/then activates it. A correction, or the refusal of an imported line,
    never leaves a result that waits without an open item, nor an item that waits for nothing.
    ``happened`` is when, for facts that do not say it themselves.
    """
    found = list(activated(patient, facts, ctx, happened=happened))
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
        moved = [
            *_waiting_for_nothing(patient, after),
            *_awaited_again(patient, after, (*gone, *back)),
        ]
        found += [*moved, *_unanswered_for(patient, after, moved, ctx)]
    return tuple(found)


_SETTLED: tuple[Stage, Stage] = ("done", "history")


def _waiting_for_nothing(patient: Patient, after: Patient) -> list[Fact]:
    """Closings of the items whose order or result is out since; a reopening where it is back."""
    idle = {
        item.event_id for item in patient.standing(patient.items) if _is_idle(patient, item.payload)
    }
    closed = closed_items(after)
    facts = []
    for item in after.standing(after.items):
        now = _is_idle(after, item.payload)
        if now and item.event_id not in idle and item.event_id not in closed:
            closing = ItemClosed(outcome="not-needed", evidence="Demande ou résultat écarté")
            facts.append(Fact(closing, target=item.event_id, author=RELEVE))
        elif not now and item.event_id in idle and item.event_id in closed:
            facts.append(_again(item.event_id, "Demande ou résultat rétabli"))
    return facts


def _awaited_again(patient: Patient, after: Patient, results: Iterable[UUID]) -> list[Fact]:
    """The reopening of each order's item that was done with results no longer in force."""
    again: dict[UUID, Fact] = {}
    for result in results:
        order = order_of(patient, result)
        ordered = None if order is None else after.entries[order].payload
        if order is None or not isinstance(ordered, InvestigationOrdered):
            continue
        had, has = any(results_of(patient, order)), any(results_of(after, order))
        if had and not has and ordered.item in closed_items(after):
            again.setdefault(order, _again(ordered.item, "Résultat écarté : il reste attendu"))
    return list(again.values())


def _is_idle(patient: Patient, item: object) -> bool:
    if not isinstance(item, ItemOpened) or item.follows is None:
        return False
    followed = patient.entries.get(item.follows)
    if followed is not None and isinstance(followed.payload, InvestigationOrdered):
        return patient.is_out(item.follows)
    return not awaited_by(patient, item)


def _unanswered_for(
    patient: Patient, after: Patient, moved: list[Fact], ctx: Context
) -> list[Fact]:
    """An open item for each result that waits and lost the one that it had."""
    before = _waiting(patient)
    facts = []
    again = {fact.target for fact in moved if isinstance(fact.payload, ItemReopened)}
    for result, (stage, is_open) in _waiting(after).items():
        if is_open or before.get(result) == (stage, False):
            continue
        gone = {fact.target for fact in moved if isinstance(fact.payload, ItemClosed)}
        items = [item.event_id for item in items_of(after, result) if item.event_id not in gone]
        payload = after.entries[result].payload
        if not items and isinstance(payload, ResultReceived):
            facts.append(own_item(Arrival(result, payload, None, None), ctx))
        elif again.isdisjoint(items):
            again.add(items[0])
            facts.append(_again(items[0], "Un résultat attend de nouveau"))
    return facts


def _waiting(patient: Patient) -> dict[UUID, tuple[Stage, bool]]:
    """Results in force that wait: where each stands, and whether an open item follows it."""
    open_still = {item.event_id for item in open_items(patient)}
    found = {}
    for result in current_results(patient):
        stage = stage_of(patient, result)
        if stage not in _SETTLED:
            items = {item.event_id for item in items_of(patient, result.event_id)}
            found[result.event_id] = (stage, bool(items & open_still))
    return found


def _again(item: UUID, why: str) -> Fact:
    return Fact(ItemReopened(), target=item, reason=why, author=RELEVE)
