"""Whatever is ordered, received, read, offered or corrected: each open item has one holder, and
nothing unread is without an open item."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from hypothesis import given as over
from hypothesis import settings
from hypothesis import strategies as some

from releve.domain.aggregates.patient import Patient
from releve.domain.aggregates.patient.identity import Registered
from releve.domain.aggregates.patient.observations import LOINC
from releve.domain.aggregates.patient.offers import (
    ItemAccepted,
    owner_of,
    pending_offer,
)
from releve.domain.aggregates.patient.open_items import (
    Holder,
    ItemClosed,
    ItemOpened,
    open_items,
    owner_at,
)
from releve.domain.aggregates.patient.results import (
    InvestigationOrdered,
    ResultReceived,
    awaited_by,
    current_results,
    items_of,
    results_of,
    stage_of,
)
from releve.domain.commands import COMMANDS
from releve.domain.errors import Invalid, Refused
from releve.domain.events import Author, Event
from releve.domain.requests import CommandContext, fold, propose
from releve.domain.values import NamedPerson
from support.given import (
    AMONT,
    AVAL,
    CENTRE,
    COORDINATOR,
    IDS,
    NOW,
    NURSE,
    REFERENT,
    STREAM,
    SYSTEM,
    events,
    stint_of,
)

PEOPLE = [AMONT, AVAL, REFERENT, NURSE, COORDINATOR, SYSTEM]
STINTS = {stint.id: stint for stint in (stint_of(AMONT), stint_of(AVAL))}
REFERENT_PERSON = NamedPerson(name=REFERENT.name, phone="+33 5 99 00 00 01", person=REFERENT.person)
POTASSIUM = {"text": "Potassium", "codings": [{"system": LOINC, "code": "2823-3"}]}
OWNERS: list[dict[str, Any]] = [
    {},
    {"role": "referent"},
    {"role": "coordinator"},
    {"person": str(AMONT.person)},
    {"person": str(AVAL.person)},
    {"person": str(REFERENT.person)},
]
DEEDS = [
    "open-item", "order-investigation", "receive-result", "receive-result", "review-result",
    "review-result", "inform-patient", "close-item", "reopen-item", "revise-item", "offer-item",
    "offer-item", "accept-item", "accept-item", "decline-item", "mark-entry-in-error",
    "reinstate-entry",
]  # fmt: skip
STEPS = some.lists(
    some.tuples(
        some.sampled_from(DEEDS), some.integers(0, 5), some.integers(0, 9), some.integers(0, 11)
    ),
    min_size=4,
    max_size=30,
)


@dataclass
class Step:
    """The record after a command that was accepted, and what it made."""

    record: Patient
    made: tuple[Event, ...]


def asked(deed: str, record: Patient, which: int, how: int) -> dict[str, Any]:
    """Data of a command about what the record holds; some of it is refused."""
    entries = list(record.entries)
    items = [event.event_id for event in record.items] or entries
    results = [event.event_id for event in record.told(ResultReceived)] or entries
    orders = [e for e in entries if record.entries[e].topic == "patient.investigation-ordered"]
    item, result = str(items[-1 - which % len(items)]), str(results[-1 - which % len(results)])
    link = {"order": str(orders[how % len(orders)])} if orders and how % 2 else {}
    match deed:
        case "open-item":
            return {"kind": "call", "text": "x", "no_deadline": True, "owner": OWNERS[how % 6]}
        case "order-investigation":
            owner = OWNERS[how % 6]
            return {"kind": "laboratory", "text": "x", "expected_by": "2026-11-26", "owner": owner}
        case "receive-result":
            status = ["partial", "final", "corrected", "phoned"][how % 4]
            value = {"value": f"4.{which % 3}", "unit": "mmol/L"}
            told = {"report": f"R{which % 2}", "laboratory": "L"} if how < 6 else {}
            call = {"caller": "x", "read_back": True} if status == "phoned" else {}
            lines = [{"code": POTASSIUM, "value": value}]
            return {"status": status, "lines": lines, **told, **call, **link}
        case "review-result":
            quiet: dict[str, Any] = {"inform_patient": False, "reason": "x"} if how % 3 else {}
            return {"result": result, "verdict": "normal", **quiet, **(link if how > 8 else {})}
        case "inform-patient":
            return {"result": result, "channel": "phone"}
        case "close-item":
            outcome = "done" if how % 2 else "not-needed"
            return {"item": item, "outcome": outcome, "evidence": "x"}
        case "revise-item":
            return {"item": item, "due": f"2026-12-{1 + how:02}", "reason": "x"}
        case "offer-item":
            return {"item": item, "to": OWNERS[how % 6], "to_name": "x"}
        case "accept-item":
            return {"item": item}
        case "reopen-item" | "decline-item":
            return {"item": item, "reason": "x"}
        case _:
            entry = entries[-1 - (which + how) % len(entries)]
            return {"entry": str(entry), "reason": "x"}


def histories(steps: list[tuple[str, int, int, int]]) -> Iterator[Step]:
    record = fold("patient", None, events([Registered(birth_name="EXEMPLE")]))
    assert isinstance(record, Patient)
    for place, (deed, who, which, how) in enumerate(steps):
        author: Author = PEOPLE[who]
        command = COMMANDS[deed].parse(asked(deed, record, which, how))
        context = CommandContext(
            author=author,
            now=NOW + timedelta(minutes=place),
            key=str(place).encode(),
            actor=b"a",
            centre=CENTRE,
        )
        stint = STINTS.get(author.stint) if author.stint is not None else None
        try:
            made = propose(IDS, record, command, context, STREAM, author_stint=stint)
        except (Invalid, Refused):
            continue
        folded = fold("patient", record, made)
        assert isinstance(folded, Patient)
        record = folded
        yield Step(record, made)


def owners(record: Patient) -> dict[UUID, Holder]:
    at = NOW + timedelta(hours=1)
    return {
        item.event_id: owner_at(owner_of(record, item), CENTRE, at, STINTS, REFERENT_PERSON)
        for item in open_items(record)
    }


@settings(max_examples=120, deadline=None)
@over(STEPS)
def test_each_open_item_has_one_holder_and_only_acceptance_moves_it(
    steps: list[tuple[str, int, int, int]],
) -> None:
    in_post = {(stint.id, stint.practitioner) for stint in STINTS.values()}
    before: dict[UUID, Holder] = {}
    for step in histories(steps):
        now = owners(step.record)
        moved = {
            event.envelope.target for event in step.made if isinstance(event.payload, ItemAccepted)
        }
        corrected = any(event.topic.startswith("patient.entry-") for event in step.made)
        for item, holder in now.items():
            match holder.role:
                case "medecin_en_poste":
                    assert (holder.stint, holder.person) in in_post
                case "referent":
                    assert holder.person == REFERENT.person
                case "coordinator":
                    assert holder.person is None
            if item in before and item not in moved and not corrected:
                assert holder == before[item]
            owner = owner_of(step.record, step.record.entries[item])
            accepted = item in moved and owner.person is not None
            assert not accepted or holder.person == owner.person
            assert item not in moved or pending_offer(step.record, item) is None
        before = now


@settings(max_examples=120, deadline=None)
@over(STEPS)
def test_nothing_unread_is_without_an_open_item_and_nothing_partial_is_done(
    steps: list[tuple[str, int, int, int]],
) -> None:
    for step in histories(steps):
        still = {item.event_id for item in open_items(step.record)}
        for result in current_results(step.record):
            if stage_of(step.record, result) == "to-read":
                followed = {item.event_id for item in items_of(step.record, result.event_id)}
                assert followed & still
        for order in step.record.standing(step.record.told(InvestigationOrdered)):
            results = list(results_of(step.record, order.event_id))
            settled = [stage_of(step.record, event) == "done" for event in results]
            followed = {
                item.event_id
                for item in step.record.standing(step.record.items)
                if isinstance(item.payload, ItemOpened) and item.payload.follows == order.event_id
            }
            if not settled or not all(settled):
                given_up = {
                    closing.envelope.target
                    for closing in step.record.standing(step.record.closings)
                    if isinstance(closing.payload, ItemClosed)
                    and closing.payload.outcome == "not-needed"
                }
                owned = {
                    item.event_id
                    for event in results
                    for item in items_of(step.record, event.event_id)
                }
                assert (followed | owned) & still or followed & given_up
            assert len(followed & still) <= 1
        for event in step.made:
            if isinstance(event.payload, ItemClosed) and event.payload.outcome == "done":
                assert event.envelope.target is not None
                item = step.record.entries[event.envelope.target].payload
                assert isinstance(item, ItemOpened)
                stages = [stage_of(step.record, e) for e in awaited_by(step.record, item)]
                assert item.follows is None or set(stages) == {"done"}
