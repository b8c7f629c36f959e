"""Newer versions of a result, undone readings, and reports imported: each is there once."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from releve.domain.aggregates.patient.contingencies import ContingencyActivated
from releve.domain.aggregates.patient.corrections import EntryMarkedInError, EntryReinstated
from releve.domain.aggregates.patient.history import ImmunizationRecorded
from releve.domain.aggregates.patient.open_items import (
    ItemClosed,
    ItemOpened,
    ItemReopened,
    closed_items,
    open_items,
)
from releve.domain.aggregates.patient.results import ResultReceived, ResultReviewed, current_results
from releve.domain.commands import (
    CloseItem,
    ImportedEntry,
    ImportRecord,
    MarkEntryInError,
    ReceiveResult,
    ReinstateEntry,
    ReviewResult,
    ValidateEntry,
)
from releve.domain.events import Source
from releve.domain.requests import fold
from releve.domain.values import Concept
from support.given import SECRETARY, SYSTEM, Given, Told, entry, events, given
from support.ordered import ORDER_ITEM, ORDERED, REGISTERED, REVIEWED, imported, items, stages
from support.results import CDA, IF_THEN, LAB, NA, line, phoned, result

DONE = (
    Told(ResultReviewed(verdict="normal", inform_patient=False), target=entry(4)),
    Told(ItemClosed(outcome="done", evidence="Lu"), target=entry(3)),
)
"""The result of the order was read, and the order's item closed."""
# Newer versions (scenario 5)


def test_a_corrected_result_opens_the_item_again_and_both_versions_stay() -> None:
    first = result(order=entry(2), report="R1", laboratory=LAB)
    record = given(*ORDERED, first, *DONE)
    answer = record.when(
        ReceiveResult(status="corrected", lines=(line("6.1"),), report="R1", laboratory=LAB)
    )
    corrected, reopened = answer.events
    assert corrected.envelope.target == entry(4)
    assert isinstance(corrected.payload, ResultReceived)
    assert corrected.payload.order == entry(2)
    assert isinstance(reopened.payload, ItemReopened)
    assert (reopened.envelope.target, reopened.envelope.author) == (entry(3), SYSTEM)
    assert reopened.envelope.reason == "Résultat corrigé reçu"
    assert items(answer.state) == [entry(3)]
    assert [e.event_id for e in current_results(answer.state)] == [corrected.event_id]
    assert stages(answer.state) == ["to-read"]
    assert entry(4) in answer.state.entries
    stale = ReviewResult(result=entry(4), verdict="normal")
    superseded = given(*ORDERED, first, Told(first, target=entry(4)))
    superseded.when(stale).refused("result-superseded", field="result")


def test_a_final_result_takes_the_place_of_the_partial_it_completes() -> None:
    partial = result("partial", order=entry(2))
    answer = given(*ORDERED, partial).when(
        ReceiveResult(status="final", lines=(line("4.1"), line("140", code=NA)), order=entry(2))
    )
    assert answer.events[0].envelope.target == entry(4)
    assert stages(answer.state) == ["to-read"]
    other = given(*ORDERED, partial).when(
        ReceiveResult(status="final", lines=(line("140", code=NA),), order=entry(2))
    )
    assert stages(other.state) == ["partial", "to-read"]


@pytest.mark.parametrize(
    ("value", "stage"), [("6.4", ["to-read"]), ("5.4", ["to-read", "to-read"])]
)
def test_the_written_result_confirms_the_phoned_one_only_with_the_same_value(
    value: str, stage: list[str]
) -> None:
    said = phoned("6.4")
    own = ItemOpened(kind="result", text="Lire", due="2026-11-24", follows=entry(2))
    answer = given(REGISTERED, said, own).when(
        ReceiveResult(status="final", lines=(line(value), line("140", code=NA)))
    )
    assert stages(answer.state) == stage
    assert len(items(answer.state)) == len(stage)


def test_a_partial_that_comes_after_the_final_is_history_at_once() -> None:
    final = result(order=entry(2), report="R1", laboratory=LAB)
    closing = Told(ItemClosed(outcome="done", evidence="Lu"), target=entry(3))
    record = given(*ORDERED, final, closing)
    late = record.when(
        ReceiveResult(status="partial", lines=(line("4.1"),), report="R1", laboratory=LAB)
    )
    assert len(late.events) == 1
    assert [event.event_id for event in current_results(late.state)] == [entry(4)]
    assert items(late.state) == []
    named = ReceiveResult(status="partial", lines=(line("4.1"),), replaces=entry(4))
    record.when(named).refused("definitive-already", field="replaces")


def test_a_call_after_the_final_report_is_news_beside_it() -> None:
    final = result(order=entry(2), report="R1", laboratory=LAB)
    closing = Told(ItemClosed(outcome="done", evidence="Lu"), target=entry(3))
    record = given(*ORDERED, final, Told(REVIEWED, target=entry(4)), closing)
    called: dict[str, Any] = {"status": "phoned", "caller": "Mme Exemple", "read_back": True,
                              "report": "R1", "laboratory": LAB}  # fmt: skip
    dictated = record.when(ReceiveResult(lines=(line("6.4"),), **called), by=SECRETARY)
    received, item = dictated.events
    assert received.envelope.target is None
    assert isinstance(item.payload, ItemOpened)
    assert item.payload.follows == received.event_id
    assert items(dictated.state) == [item.event_id]
    assert stages(dictated.state) == ["to-tell", "to-read"]
    # It can be read; and a second call replaces the first one, never the report.
    told = phoned("6.4", report="R1",
                  laboratory=LAB)  # fmt: skip
    since = given(*ORDERED, final, told, ItemOpened(kind="result", text="Lire", follows=entry(5)))
    since.when(ReviewResult(result=entry(5), verdict="critical", action="SAMU")).then(
        ResultReviewed(verdict="critical", action="SAMU")
    )
    again = since.when(ReceiveResult(lines=(line("6.6"),), **called))
    assert [e.event_id for e in current_results(again.state)] == [
        entry(4),
        again.events[0].event_id,
    ]
    corrected = since.when(
        ReceiveResult(status="corrected", lines=(line("6.5"),), report="R1", laboratory=LAB)
    )
    assert [e.event_id for e in current_results(corrected.state)] == [
        entry(5), corrected.events[0].event_id,
    ]  # fmt: skip
    named = ReceiveResult(lines=(line("6.4"),), replaces=entry(4), **called)
    record.when(named).refused("definitive-already", field="replaces")


def test_a_result_set_aside_takes_the_item_it_opened_along() -> None:
    own = ItemOpened(kind="result", text="Lire", due="2026-11-24", follows=entry(2))
    marked = given(REGISTERED, result(), own).when(
        MarkEntryInError(entry=entry(2), reason="Autre patient")
    )
    assert marked.events[1].payload == ItemClosed(
        outcome="not-needed", evidence="Demande ou résultat écarté"
    )
    assert items(marked.state) == []
    brought = given(REGISTERED, Told(result(), source=CDA), own)
    refused = brought.when(ValidateEntry(entry=entry(2), verdict="refused", reason="Doublon"))
    assert items(refused.state) == []
    back = given(
        REGISTERED,
        result(),
        own,
        Told(EntryMarkedInError(), target=entry(2)),
        Told(ItemClosed(outcome="not-needed", evidence="Résultat écarté"), target=entry(3)),
    ).when(ReinstateEntry(entry=entry(2), reason="C'était bien elle"))
    assert [type(event.payload) for event in back.events] == [EntryReinstated, ItemReopened]
    assert items(back.state) == [entry(3)]


def test_an_order_whose_only_result_was_an_error_waits_again() -> None:
    record = given(*ORDERED, result(order=entry(2)), *DONE)
    answer = record.when(MarkEntryInError(entry=entry(4), reason="Autre patient"))
    assert [type(event.payload) for event in answer.events] == [EntryMarkedInError, ItemReopened]
    assert items(answer.state) == [entry(3)]


def test_an_undone_reading_opens_the_item_again() -> None:
    record = given(*ORDERED, result(order=entry(2)), *DONE)
    answer = record.when(MarkEntryInError(entry=entry(5), reason="Autre patient"))
    assert (items(answer.state), stages(answer.state)) == ([entry(3)], ["to-read"])


def test_an_order_in_error_is_no_longer_awaited_and_its_result_is_still_read() -> None:
    alone = given(*ORDERED).when(MarkEntryInError(entry=entry(2), reason="Autre patient"))
    assert items(alone.state) == []
    answer = given(*ORDERED, result(order=entry(2))).when(
        MarkEntryInError(entry=entry(2), reason="Autre patient")
    )
    (item,) = open_items(answer.state)
    assert isinstance(item.payload, ItemOpened)
    assert item.payload.follows == entry(4)


def test_an_order_in_error_leaves_its_result_as_urgent_as_it_was() -> None:
    registered, ordered, item = ORDERED
    harmful = msgspec.structs.replace(ordered, harm_if_late=True)
    answer = given(registered, harmful, item, result(order=entry(2))).when(
        MarkEntryInError(entry=entry(2), reason="Autre patient")
    )
    (own,) = open_items(answer.state)
    assert isinstance(own.payload, ItemOpened)
    assert own.payload.harm_if_late
    nobodys = given(registered, ordered, item, result(order=entry(2))).when(
        MarkEntryInError(entry=entry(2), reason="Autre patient")
    )
    (own,) = open_items(nobodys.state)
    assert isinstance(own.payload, ItemOpened)
    assert not own.payload.harm_if_late


def test_an_order_that_stands_again_has_its_own_item_and_no_other() -> None:
    record = given(
        *ORDERED,
        result(order=entry(2)),
        Told(EntryMarkedInError(), target=entry(2)),
        Told(ItemClosed(outcome="not-needed", evidence="Demande ou résultat écarté"),
             target=entry(3), author=SYSTEM),
        Told(ItemOpened(kind="result", text="Lire le résultat : Ionogramme", follows=entry(4)),
             author=SYSTEM),
    )  # fmt: skip
    assert items(record.state) == [entry(7)]
    back = record.when(ReinstateEntry(entry=entry(2), reason="C'était bien elle"))
    reinstated, reopened, closed = back.events
    assert isinstance(reinstated.payload, EntryReinstated)
    assert isinstance(reopened.payload, ItemReopened)
    assert (reopened.envelope.target, reopened.envelope.reason) == (entry(3), "Demande rétablie")
    assert closed.payload == ItemClosed(outcome="transferred", evidence="Demande rétablie")
    assert closed.envelope.target == entry(7)
    assert items(back.state) == [entry(3)]


def test_an_item_is_closed_by_its_last_word() -> None:
    closing = Told(ItemClosed(outcome="done", evidence="x"), target=entry(3))
    reopening = Told(ItemReopened(), target=entry(3))
    assert closed_items(given(*ORDERED, closing).state) == {entry(3)}
    assert closed_items(given(*ORDERED, closing, reopening).state) == set()
    assert closed_items(given(*ORDERED, closing, reopening, closing).state) == {entry(3)}
    undone = Told(EntryMarkedInError(), target=entry(5))
    assert closed_items(given(*ORDERED, closing, reopening, undone).state) == {entry(3)}


# Imports


def test_an_imported_report_comes_in_once_and_its_correction_replaces_it() -> None:
    first = result(report="R1", laboratory=LAB)
    record = given(REGISTERED)
    once = record.when(imported(first), source=CDA)
    assert [type(event.payload) for event in once.events] == [ResultReceived, ItemOpened]
    known = given(REGISTERED, Told(first, source=CDA), ORDER_ITEM)
    known.when(imported(first), source=CDA).nothing()
    # The same report by another way is the same report.
    known.when(imported(first), source=Source(channel="fhir", system="urn:other")).nothing()
    corrected = known.when(
        imported(result("corrected", "6.1", report="R1", laboratory=LAB)), source=CDA
    )
    assert corrected.events[0].envelope.target == entry(2)


def test_all_versions_in_one_import_leave_one_result_and_one_item() -> None:
    answer = given(REGISTERED).when(
        imported(
            result("partial", report="R1", laboratory=LAB),
            result("final", "4.2", report="R1", laboratory=LAB),
            result("partial", "4.0", report="R1", laboratory=LAB),
            result("corrected", "4.3", report="R1", laboratory=LAB),
        ),
        source=CDA,
    )
    kinds = [type(event.payload) for event in answer.events]
    assert kinds == [*[ResultReceived] * 4, ItemOpened]
    (current,) = current_results(answer.state)
    assert current.event_id == answer.events[3].event_id
    assert current.envelope.target == answer.events[1].event_id
    (item,) = open_items(answer.state)
    assert isinstance(item.payload, ItemOpened)
    assert item.payload.follows == current.event_id


def test_a_source_that_renames_nothing_gives_a_new_version_by_its_resource() -> None:
    told = Told(result(), source=Source(channel="fhir", system="s", source_id="R/1"))
    answer = given(REGISTERED, told).when(
        imported(result("corrected", "4.3"), source_id="R/1"),
        source=Source(channel="fhir", system="s"),
    )
    assert answer.events[0].envelope.target == entry(2)


def test_results_of_other_years_are_history_and_open_nothing() -> None:
    answer = given(REGISTERED, IF_THEN).when(
        imported(result(value="6.4"), at="2023-04-02"), source=CDA
    )
    assert [type(event.payload) for event in answer.events] == [ResultReceived]
    assert stages(answer.state) == ["history"]


LONG_AGO = "2026-09-15"
"""Seventy days before what comes in now."""


@pytest.mark.parametrize("typed", [False, True])
def test_a_correction_is_to_be_read_however_long_after_the_sample_it_comes(typed: bool) -> None:
    """Histology is read again after three months: benign is not the last word."""
    benign = result(report="R1", laboratory=LAB, sampled_at=LONG_AGO)
    known = Told(ResultReviewed(verdict="normal", inform_patient=False), target=entry(2))
    opened, came, read = events([REGISTERED, benign, known])
    came = msgspec.structs.replace(came, recorded_at=datetime(2026, 9, 20, 9, tzinfo=UTC))
    record = Given("patient", fold("patient", None, [opened, came, read]))
    said = result("corrected", "6.4", report="R1", laboratory=LAB, sampled_at=LONG_AGO)
    command = ReceiveResult(**msgspec.structs.asdict(said)) if typed else imported(said)
    answer = record.when(command, source=Source() if typed else CDA)
    assert [type(event.payload) for event in answer.events] == [ResultReceived, ItemOpened]
    assert answer.events[0].envelope.target == entry(2)
    assert stages(answer.state) == ["to-read"]


def test_what_answers_an_order_is_to_be_read_however_long_it_took() -> None:
    """A culture grows for two months: what was awaited is no history when it comes."""
    late = ReceiveResult(
        status="final", title="Culture", lines=(line("6.4"),), order=entry(2), sampled_at=LONG_AGO
    )
    answer = given(*ORDERED, IF_THEN).when(late)
    assert [type(event.payload) for event in answer.events] == [
        ResultReceived,
        ContingencyActivated,
    ]
    assert stages(answer.state) == ["to-read"]
    dropped = CloseItem(item=entry(3), outcome="not-needed", evidence="Plus utile")
    Given("patient", answer.state).when(dropped, key=b"2").refused("follows-result")


def test_the_other_slots_come_in_once_too() -> None:
    vaccine = ImmunizationRecorded(vaccine=Concept(text="Tétanos"), given_on="2024-05-01")
    asked = ImportRecord(entries=(ImportedEntry(payload=vaccine),))
    given(REGISTERED).when(asked, source=CDA).then(vaccine)
    given(REGISTERED, Told(vaccine, source=CDA)).when(asked, source=CDA).nothing()
