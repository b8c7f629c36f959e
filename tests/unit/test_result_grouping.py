"""Results that were marked in error and reinstated: the summary leaves none of them out."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import pytest

from releve.domain.aggregates.patient import Patient
from releve.domain.aggregates.patient.corrections import EntryMarkedInError, EntryReinstated
from releve.domain.aggregates.patient.identity import Registered
from releve.domain.aggregates.patient.open_items import ItemClosed, ItemOpened
from releve.domain.aggregates.patient.results import (
    Informed,
    InvestigationOrdered,
    ResultReceived,
    ResultReviewed,
    awaited_by,
    items_of,
)
from releve.domain.aggregates.patient.validation import EntryValidated
from releve.domain.events import Payload
from releve.domain.requests import fold
from releve.projections.patient_summary import (
    PatientSummary,
    fold_all,
    from_bytes,
    reads_whole,
    to_bytes,
)
from releve.projections.summary_corrections import item_of as summary_item_of
from support.given import STREAM, SYSTEM, Told, entry, events
from support.result_standing import DAY, Standing, shown, told, waiting
from support.results import CDA, NA, line, phoned, result

IDENTITY = Registered(birth_name="EXEMPLE")
QUIET = ResultReviewed(verdict="normal", inform_patient=False)
NOT_NEEDED = ItemClosed(outcome="not-needed", evidence="Demande ou résultat écarté")


def ordered(item: int) -> InvestigationOrdered:
    """An order whose item is the ``item``-th entry."""
    return InvestigationOrdered(
        kind="laboratory", text="Ionogramme", expected_by="2026-11-26", item=entry(item)
    )


def item_of(follows: int) -> ItemOpened:
    return ItemOpened(kind="result", text="Lire", due="2026-11-24", follows=entry(follows))


def newer(place: int, value: str = "4.1", status: str = "final") -> Told:
    said = msgspec.structs.replace(result("final", value), status=status)
    return Told(said, target=entry(place))


def wrong(place: int) -> Told:
    return Told(EntryMarkedInError(), target=entry(place))


def back(place: int) -> Told:
    return Told(EntryReinstated(), target=entry(place))


def read(place: int, review: ResultReviewed = QUIET) -> Told:
    return Told(review, target=entry(place))


def folded(said: Iterable[Payload | Told]) -> tuple[Patient, PatientSummary]:
    """The record and its summary, which was stored and read again before every event."""
    stream = events([IDENTITY, *said])
    record = fold("patient", None, [*stream])
    assert isinstance(record, Patient)
    told = [msgspec.structs.replace(event, position=n) for n, event in enumerate(stream, start=1)]
    summary = fold_all(None, told[:1], STREAM)
    for place, event in enumerate(told[1:], start=2):
        kept = from_bytes(to_bytes(summary))
        whole = reads_whole(kept, [event])
        summary = fold_all(None if whole else kept, told[:place] if whole else [event], STREAM)
    return record, summary


def standing(*said: Payload | Told) -> Standing:
    """Where all results stand, once the record and the summary agree on it."""
    record, summary = folded(said)
    assert waiting(shown(summary)) == waiting(told(record))
    return shown(summary)


FIRST = result("final", "6.4")
BEGUN = result("partial", "6.4")
HISTORIES: dict[str, tuple[Payload | Told, ...]] = {
    "a late partial was completed while the final one was out": (
        FIRST, newer(2, status="partial"), wrong(2), newer(3, "6.1"), back(2),
    ),
    "an older version was replaced anew while the newer was out": (
        BEGUN, newer(2, "6.6"), wrong(3), newer(2, "6.1"), back(3),
    ),
    "two late partials, the final one out": (
        FIRST, newer(2, status="partial"), newer(2, "4.2", "partial"), wrong(2),
    ),
    "an older version and a late partial, the final one out": (
        BEGUN, newer(2), newer(3, "4.2", "partial"), wrong(3),
    ),
    "the final one was replaced while it was out": (
        FIRST, newer(2, status="partial"), wrong(2), newer(2, "6.1"), back(2), wrong(5),
    ),
    "a call came while the report was out": (
        FIRST, wrong(2), phoned("6.5"), back(2),
    ),
    "all of five versions but the first are out": (
        FIRST, *(newer(place) for place in range(2, 6)),
        *(wrong(place) for place in range(6, 2, -1)),
    ),
    "of eight versions the second is back": (
        FIRST, *(newer(place) for place in range(2, 9)), *(wrong(place) for place in range(2, 10)),
        back(3),
    ),
    "refused, and the refusal taken back": (
        FIRST, Told(FIRST, source=CDA, target=entry(2)),
        Told(EntryValidated(verdict="refused"), target=entry(3)), newer(2, "6.1"), wrong(4),
    ),
    "another order than it came with, as its reader said": (
        ordered(3), item_of(2), ordered(5), item_of(4),
        msgspec.structs.replace(FIRST, order=entry(2)),
        read(6, msgspec.structs.replace(QUIET, order=entry(4))),
    ),
    "the reading that named its order was an error": (
        ordered(3), item_of(2), FIRST,
        read(4, msgspec.structs.replace(QUIET, order=entry(2))), wrong(5),
    ),
    "its order was an error, and is not": (
        ordered(3), item_of(2), msgspec.structs.replace(BEGUN, order=entry(2)),
        wrong(2), item_of(4), Told(NOT_NEEDED, SYSTEM, target=entry(3)), back(2),
    ),
    "an item opened only after it came back": (
        BEGUN, item_of(2), wrong(2), Told(NOT_NEEDED, target=entry(3)), back(2), item_of(2),
    ),
    "a call was settled, and another version of it is in force again": (
        FIRST, phoned("6.4"), Told(phoned("4.1"), target=entry(3)), read(4), wrong(4), read(3),
        read(2), back(4),
    ),
    "a settled call was read by mistake": (
        FIRST, phoned("6.4"), read(3), read(2), wrong(4),
    ),
    "the final one that settled a call was read by mistake": (
        FIRST, phoned("6.4"), read(3), read(2), wrong(5),
    ),
    "a call that was read and is still to be told": (
        phoned("6.4"), read(2, ResultReviewed(verdict="critical", action="SAMU")),
    ),
}  # fmt: skip


@pytest.mark.parametrize("said", HISTORIES.values(), ids=HISTORIES)
def test_each_result_stands_where_the_record_has_it(said: tuple[Payload | Told, ...]) -> None:
    assert standing(*said)


def test_two_versions_in_force_are_two_results() -> None:
    found = standing(*HISTORIES["a late partial was completed while the final one was out"])
    assert found == {entry(2): ("to-review", None), entry(5): ("to-review", None)}
    _, summary = folded(HISTORIES["a late partial was completed while the final one was out"])
    versions = [[each.entry_id for each in one.versions] for one in summary.results]
    assert versions == [[entry(2)], [entry(3), entry(5)]]
    assert sorted(each.text for each in summary.slot("results")) == [
        "Potassium 6,1 mmol/L", "Potassium 6,4 mmol/L",
    ]  # fmt: skip


def test_two_versions_in_force_share_the_items_of_their_result() -> None:
    both = HISTORIES["a late partial was completed while the final one was out"]
    record, summary = folded((*both, item_of(2)))
    for name in (entry(2), entry(5)):
        assert [item.event_id for item in items_of(record, name)] == [entry(7)]
    # So that it stays open until both of them were read.
    awaited = [event.event_id for event in awaited_by(record, item_of(2))]
    assert awaited == [entry(2), entry(5)]
    for one in summary.results:
        item = summary_item_of(summary, one)
        assert item is not None
        assert item.line.entry_id == entry(7)


def test_an_order_whose_result_answers_another_is_awaited_again() -> None:
    found = standing(*HISTORIES["another order than it came with, as its reader said"])
    assert found == {entry(2): ("expected", entry(2)), entry(6): ("done", entry(4))}


def test_what_lies_beside_in_error_is_history_of_the_order_that_another_result_answers() -> None:
    came = msgspec.structs.replace(FIRST, order=entry(2))
    record, summary = folded((ordered(3), item_of(2), came, wrong(4), came))
    (one,) = summary.results
    assert [each.entry_id for each in one.versions] == [entry(4), entry(6)]
    assert (one.entry_id, one.state(DAY)) == (entry(6), "to-review")
    assert told(record).keys() == {entry(6)}


SETTLED = [
    step
    for place in range(40, 68, 2)
    for step in (
        ResultReceived(status="final", lines=(line(str(place), code=NA),)),
        read(place),
    )
]
"""Fourteen results that are done, from the 40th entry on."""
FILLER = [Told(item_of(2))] * 40


def after_many(*said: Payload | Told) -> tuple[Payload | Told, ...]:
    """``said`` from the second entry on, then more that is done than a summary keeps whole."""
    return (*said, *FILLER[: 38 - len(said)], *SETTLED)


@pytest.mark.parametrize(
    ("before", "since", "state"),
    [
        ((FIRST, read(2)), wrong(3), "to-review"),
        ((FIRST, read(2, ResultReviewed(verdict="normal")), Told(Informed(channel="phone"),
          target=entry(2))), wrong(4), "to-inform"),
        ((BEGUN, newer(2), read(3)), wrong(3), "partial"),
        ((FIRST, wrong(2)), back(2), "to-review"),
        ((FIRST, newer(2), read(3)), newer(3, "6.9", "corrected"), "to-review"),
        ((FIRST, read(2), wrong(3), read(2)), wrong(5), "to-review"),
    ],
    ids=[
        "reading", "telling", "version", "reinstated", "corrected", "second reading",
    ],
)  # fmt: skip
def test_what_was_done_long_ago_is_in_sight_again(
    before: tuple[Payload | Told, ...], since: Told, state: str
) -> None:
    assert waiting(standing(*after_many(*before))) == {}
    found = waiting(standing(*after_many(*before), since))
    assert [each for each, _ in found.values()] == [state]


def test_a_call_is_awaited_again_where_what_settled_it_long_ago_was_read_by_mistake() -> None:
    called = (FIRST, phoned("6.4"), read(3), read(2))
    assert waiting(standing(*after_many(*called))) == {}
    found = standing(*after_many(*called), wrong(5))
    assert waiting(found) == {entry(2): ("to-review", None), entry(3): ("partial", None)}
