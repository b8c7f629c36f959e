"""Results from the order to a patient who was told."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Literal

import pytest

from releve.domain.aggregates.patient.death import DeathRecorded
from releve.domain.aggregates.patient.observations import LOINC
from releve.domain.aggregates.patient.open_items import ItemClosed, ItemOpened
from releve.domain.aggregates.patient.results import (
    ContactAttempted,
    Informed,
    InvestigationOrdered,
    ResultReceived,
    ResultReviewed,
    order_of,
)
from releve.domain.commands import (
    CloseItem,
    InformPatient,
    OrderInvestigation,
    ReceiveResult,
    RecordContactAttempt,
    ReviewResult,
)
from releve.domain.values import Coding, Concept, Owner, Quantity, ResultLine
from support.given import AVAL, COORDINATOR, NURSE, SECRETARY, SYSTEM, Told, entry, given
from support.ordered import ORDER, ORDER_ITEM, ORDERED, REGISTERED, REVIEWED, items, stages
from support.results import NA, K, line, result

# The order


def test_an_order_opens_its_item_in_one_append() -> None:
    answer = given(REGISTERED).when(
        OrderInvestigation(
            kind="laboratory",
            text="Ionogramme",
            codes=(K,),
            expected_by="2026-11-26",
            harm_if_late=True,
            owner=Owner(role="referent"),
        )
    )
    order, item = answer.events
    answer.then(
        InvestigationOrdered(
            kind="laboratory",
            text="Ionogramme",
            expected_by="2026-11-26",
            item=item.event_id,
            codes=(K,),
            harm_if_late=True,
        ),
        ItemOpened(
            kind="result",
            text="Ionogramme",
            owner=Owner(role="referent"),
            due="2026-11-26",
            harm_if_late=True,
            done_when="résultat définitif lu, patient prévenu",
            follows=order.event_id,
        ),
    )
    assert items(answer.state) == [item.event_id]


@pytest.mark.parametrize(
    ("data", "code", "field"),
    [
        ({"expected_by": "2026-11-23"}, "invalid-field", "expected_by"),
        ({"expected_by": "vendredi"}, "invalid-field", "expected_by"),
        ({"text": " "}, "missing-field", "text"),
        ({"codes": (Concept(text="K", codings=(Coding(system=LOINC, code="2823-4"),)),)},
         "invalid-field", "codes[0]"),
    ],
)  # fmt: skip
def test_an_order_says_what_and_by_when(data: dict[str, Any], code: str, field: str) -> None:
    order: dict[str, Any] = {"kind": "laboratory", "text": "NFS", "expected_by": "2026-11-26"}
    given(REGISTERED).when(OrderInvestigation(**{**order, **data})).invalid(code, field=field)


# A result comes in


def test_a_result_of_an_order_leaves_its_item_to_wait_for_the_reader() -> None:
    answer = given(*ORDERED).when(
        ReceiveResult(status="final", title="Ionogramme", lines=(line("4.1"),), order=entry(2))
    )
    answer.then(result(order=entry(2)))
    assert items(answer.state) == [entry(3)]
    assert stages(answer.state) == ["to-read"]


def test_an_unordered_result_opens_an_item_that_somebody_answers_for() -> None:
    answer = given(REGISTERED).when(
        ReceiveResult(status="final", title="Ionogramme", lines=(line("4.1"),))
    )
    received, item = answer.events
    answer.then(
        result(),
        ItemOpened(
            kind="result",
            text="Lire le résultat : Ionogramme",
            due="2026-11-24",
            done_when="résultat définitif lu, patient prévenu",
            follows=received.event_id,
        ),
    )
    assert item.envelope.author == SYSTEM
    given(REGISTERED).when(ReceiveResult(status="final", order=entry(1), conclusion="x")).refused(
        "unknown-order", field="order"
    )


def test_the_desk_drops_a_phoned_result_and_nothing_else() -> None:
    phoned = ReceiveResult(
        status="phoned", lines=(line("6.4"),), caller="Mme Exemple", read_back=True
    )
    answer = given(REGISTERED).when(phoned, by=SECRETARY)
    received, item = (event.payload for event in answer.events)
    assert isinstance(received, ResultReceived)
    assert (received.status, received.caller, received.read_back) == ("phoned", "Mme Exemple", True)
    assert isinstance(item, ItemOpened)
    assert (item.text, item.harm_if_late) == ("Lire le résultat : Potassium", True)
    for other in (
        ReceiveResult(status="final", lines=(line("6.4"),)),
        ReceiveResult(status="phoned", replaces=entry(2), conclusion="x"),
    ):
        given(REGISTERED, result()).when(other, by=COORDINATOR).refused(
            "phoned-results-only", field="status"
        )


@pytest.mark.parametrize(
    ("data", "code", "field"),
    [
        ({"caller": " "}, "missing-field", "caller"),
        ({"lines": ()}, "missing-field", "lines"),
        ({"lines": (ResultLine(code=K),)}, "missing-field", "lines[0].value"),
        ({"lines": (line("6.4", unit=None),)}, "missing-field", "lines[0].value.unit"),
        ({"lines": (line("6.4", unit="mEq/L"),)}, "invalid-field", "lines[0].value.unit"),
        ({"lines": (line("6.4", unit="mg/dL"),)}, "unit-not-expected", "lines[0].value.unit"),
        ({"lines": (line("64"),)}, "implausible-value", "lines[0].value.value"),
        ({"lines": (line("6.4", code=Concept(text="K")),)}, "missing-field", "lines[0].code"),
        ({"sampled_at": "2026-11-25"}, "in-the-future", "sampled_at"),
    ],
)
def test_what_is_typed_is_a_measure(data: dict[str, Any], code: str, field: str) -> None:
    said: dict[str, Any] = {"status": "phoned", "lines": (line("6.4"),), "caller": "Mme Exemple"}
    asked = ReceiveResult(**{**said, "read_back": True, **data})
    given(REGISTERED).when(asked, by=SECRETARY).invalid(code, field=field)


def test_a_phoned_value_is_read_back_to_the_caller() -> None:
    asked = ReceiveResult(status="phoned", lines=(line("6.4"),), caller="Mme Exemple")
    given(REGISTERED).when(asked, by=SECRETARY).refused("not-read-back", field="read_back")


def test_a_machines_lines_are_kept_as_received() -> None:
    odd = ResultLine(code=Concept(text="K"), value=Quantity(value="6,4 *", unit="mEq/l"))
    answer = given(REGISTERED).when(ReceiveResult(status="final", lines=(odd,)), by=SYSTEM)
    assert isinstance(answer.events[0].payload, ResultReceived)
    assert answer.events[0].payload.lines == (odd,)


def test_results_still_enter_the_record_of_somebody_who_died() -> None:
    died = DeathRecorded(date="2026-11-23", source="famille")
    answer = given(REGISTERED, died).when(ReceiveResult(status="final", lines=(line("4.1"),)))
    assert answer.refusal is None
    read = given(REGISTERED, died, result()).when(ReviewResult(result=entry(3), verdict="normal"))
    assert read.refusal is None


# Reading it, telling the patient (scenario 4)


def test_the_item_ends_when_a_final_result_was_read_and_told() -> None:
    record = given(*ORDERED, result(order=entry(2)))
    read = record.when(ReviewResult(result=entry(4), verdict="normal")).then(REVIEWED)
    assert read.events[0].envelope.target == entry(4)
    assert stages(read.state) == ["to-tell"]
    assert items(read.state) == [entry(3)]
    told = given(*ORDERED, result(order=entry(2)), Told(REVIEWED, target=entry(4))).when(
        InformPatient(result=entry(4), channel="phone", text="Tout est normal"), by=NURSE
    )
    told.then(
        Informed(channel="phone", text="Tout est normal"),
        ItemClosed(outcome="done", evidence="Résultat lu, patient prévenu"),
    )
    assert (items(told.state), stages(told.state)) == ([], ["done"])
    assert told.events[1].envelope.target == entry(3)


def test_without_telling_the_patient_the_item_ends_for_a_reason() -> None:
    record = given(*ORDERED, result(order=entry(2)))
    silent = ReviewResult(result=entry(4), verdict="known", inform_patient=False)
    record.when(silent).invalid("missing-field", field="reason")
    answer = record.when(
        ReviewResult(result=entry(4), verdict="known", inform_patient=False, reason="Vu ce jour")
    )
    answer.then(
        ResultReviewed(verdict="known", inform_patient=False),
        ItemClosed(outcome="done", evidence="Résultat lu, patient non prévenu (Vu ce jour)"),
    )
    assert stages(answer.state) == ["done"]


@pytest.mark.parametrize("status", ["partial", "phoned"])
def test_a_result_that_is_not_definitive_ends_nothing(
    status: Literal["partial", "phoned"],
) -> None:
    received = result(status, order=entry(2))
    reviewed = given(*ORDERED, received).when(
        ReviewResult(result=entry(4), verdict="normal", inform_patient=False, reason="Attente")
    )
    assert len(reviewed.events) == 1
    assert (items(reviewed.state), stages(reviewed.state)) == ([entry(3)], [status])
    told = given(*ORDERED, received, Told(REVIEWED, target=entry(4))).when(
        InformPatient(result=entry(4), channel="phone")
    )
    assert items(told.state) == [entry(3)]


def test_an_abnormal_result_calls_for_an_action() -> None:
    for verdict in ("abnormal", "critical"):
        asked = ReviewResult(result=entry(2), verdict=verdict)
        given(REGISTERED, result()).when(asked).invalid("missing-field", field="action")


def test_the_patient_is_told_what_a_doctor_read() -> None:
    told = InformPatient(result=entry(2), channel="phone")
    given(REGISTERED, result()).when(told).refused("result-not-reviewed", field="result")
    given(REGISTERED).when(told).refused("unknown-result", field="result")


def test_the_reader_says_which_order_a_result_answers() -> None:
    unlinked = (result(), ItemOpened(kind="result", text="x", due="2026-11-24", follows=entry(4)))
    answer = given(*ORDERED, *unlinked).when(
        ReviewResult(
            result=entry(4), verdict="normal", order=entry(2), inform_patient=False, reason="Vu"
        )
    )
    assert {event.envelope.target for event in answer.events[1:]} == {entry(3), entry(5)}
    assert order_of(answer.state, entry(4)) == entry(2)
    assert items(answer.state) == []


def test_two_reports_of_one_order_are_both_read_before_it_ends() -> None:
    sodium = ResultReceived(status="final", lines=(line("140", code=NA),), order=entry(2))
    record = (*ORDERED, result(order=entry(2)), sodium)
    first = given(*record).when(
        ReviewResult(result=entry(4), verdict="normal", inform_patient=False, reason="Vu")
    )
    assert items(first.state) == [entry(3)]
    read = ResultReviewed(verdict="normal", inform_patient=False)
    second = given(*record, Told(read, target=entry(4))).when(
        ReviewResult(result=entry(5), verdict="normal", inform_patient=False, reason="Vu")
    )
    assert items(second.state) == []


def test_an_attempt_to_reach_the_patient_closes_nothing() -> None:
    record = given(*ORDERED, result(order=entry(2)), Told(REVIEWED, target=entry(4)))
    answer = record.when(
        RecordContactAttempt(channel="phone", outcome="reached", about=entry(4)), by=COORDINATOR
    )
    answer.then(ContactAttempted(channel="phone", outcome="reached"))
    assert answer.events[0].envelope.target == entry(4)
    assert items(answer.state) == [entry(3)]
    record.when(RecordContactAttempt(channel="phone", outcome="reached", about=entry(1))).invalid(
        "invalid-field", field="about"
    )
    record.when(InformPatient(result=entry(4), channel="phone"), by=COORDINATOR).refused(
        "role-not-allowed"
    )


def test_an_item_that_follows_an_order_is_only_cancelled_by_hand() -> None:
    done = CloseItem(item=entry(3), outcome="done", evidence="Fait")
    cancel = CloseItem(item=entry(3), outcome="not-needed", evidence="Examen refusé")
    given(*ORDERED).when(done).refused("follows-result", field="outcome")
    given(*ORDERED).when(cancel).then(ItemClosed(outcome="not-needed", evidence="Examen refusé"))
    # What came in and nobody read is not cancelled away.
    given(*ORDERED, result(order=entry(2))).when(cancel).refused("follows-result")
    partial = result("partial", order=entry(2))
    assert given(*ORDERED, partial, Told(REVIEWED, target=entry(4))).when(cancel).refusal is None


# Grace: 72 hours after the stint, one's own orders only (security, windows)

AFTER = datetime.fromisoformat("2026-11-29T10:00:00+01:00")


def test_after_the_stint_a_doctor_reads_only_what_they_ordered() -> None:
    read = ReviewResult(result=entry(4), verdict="normal", late_reason="Reçu après mon départ")
    mine = given(*ORDERED, result(order=entry(2)))
    assert mine.when(read, now=AFTER).refusal is None
    mine.when(ReviewResult(result=entry(4), verdict="normal"), now=AFTER).refused(
        "late-reason-missing"
    )
    mine.when(read, now=AFTER + timedelta(days=3)).refused("outside-stint")
    theirs = given(REGISTERED, Told(ORDER, author=AVAL), ORDER_ITEM, result(order=entry(2)))
    theirs.when(read, now=AFTER).refused("not-own-order", field="result")
    assert theirs.when(ReviewResult(result=entry(4), verdict="normal")).refusal is None
    called = RecordContactAttempt(
        channel="phone", outcome="reached", about=entry(4), late_reason="Rappel"
    )
    assert mine.when(called, now=AFTER).refusal is None
    theirs.when(called, now=AFTER).refused("not-own-order")
    told = InformPatient(result=entry(4), channel="phone", late_reason="Rappel")
    theirs.when(told, now=AFTER).refused("not-own-order")
