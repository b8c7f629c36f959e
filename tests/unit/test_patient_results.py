"""Results from the order to a patient who was told; if/then thresholds that fire."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import pytest

from releve.domain.aggregates.patient.contingencies import (
    ContingencyActivated,
    ContingencySet,
    ContingencyWithdrawn,
    answers,
    current_contingencies,
    has_activated,
    matches,
    unit_errors,
    unread_activations,
)
from releve.domain.aggregates.patient.corrections import EntryMarkedInError, EntryReinstated
from releve.domain.aggregates.patient.death import DeathRecorded
from releve.domain.aggregates.patient.handover import HandoverWritten
from releve.domain.aggregates.patient.history import ImmunizationRecorded
from releve.domain.aggregates.patient.identity import Registered
from releve.domain.aggregates.patient.observations import LOINC, ObservationRecorded
from releve.domain.aggregates.patient.open_items import (
    ItemClosed,
    ItemOpened,
    ItemReopened,
    closed_items,
    open_items,
)
from releve.domain.aggregates.patient.results import (
    ContactAttempted,
    Informed,
    InvestigationOrdered,
    ResultReceived,
    ResultReviewed,
    current_results,
    order_of,
    stage_of,
)
from releve.domain.commands import (
    CloseItem,
    ImportedEntry,
    ImportRecord,
    InformPatient,
    MarkEntryInError,
    OrderInvestigation,
    ReadBackHandover,
    ReceiveResult,
    RecordConsultation,
    RecordContactAttempt,
    RecordObservation,
    ReinstateEntry,
    ReviewResult,
    SetContingency,
    ValidateEntry,
    WithdrawContingency,
    WriteHandover,
)
from releve.domain.events import Author, Source
from releve.domain.values import (
    Coding,
    Component,
    Concept,
    Owner,
    Quantity,
    ResultLine,
    ResultStatus,
    Threshold,
)
from support.given import AVAL, COORDINATOR, NURSE, SYSTEM, Told, entry, given

SECRETARY = Author(role="secretary", name="Dominique Secrétaire")
REGISTERED = Registered(birth_name="EXEMPLE")
K = Concept(text="Potassium", codings=(Coding(system=LOINC, code="2823-3"),))
NA = Concept(text="Sodium", codings=(Coding(system=LOINC, code="2951-2"),))
LAB = "Laboratoire de l'exemple"
ABOVE = Threshold(loinc="2823-3", comparator=">", value="5.5", unit="mmol/L")
IF_THEN = ContingencySet(condition="K+ > 5,5", action="ECG", threshold=ABOVE)
CDA = Source(channel="cda", system="urn:oid:1.2.250.1.999")


def line(value: str, *, code: Concept = K, unit: str | None = "mmol/L", **more: Any) -> ResultLine:
    return ResultLine(code=code, value=Quantity(value=value, unit=unit, code=unit), **more)


def result(status: ResultStatus = "final", value: str = "4.1", **more: Any) -> ResultReceived:
    return ResultReceived(status=status, title="Ionogramme", lines=(line(value),), **more)


# 2: the order, 3: its item
ORDER = InvestigationOrdered(
    kind="laboratory", text="Ionogramme", expected_by="2026-11-26", item=entry(3)
)
ORDER_ITEM = ItemOpened(kind="result", text="Ionogramme", due="2026-11-26", follows=entry(2))
ORDERED = (REGISTERED, ORDER, ORDER_ITEM)
REVIEWED = ResultReviewed(verdict="normal")


def items(state: Any) -> list[UUID]:
    return [event.event_id for event in open_items(state)]


def stages(state: Any) -> list[str]:
    return [stage_of(state, event) for event in current_results(state)]


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


# Newer versions (scenario 5)


def test_a_corrected_result_opens_the_item_again_and_both_versions_stay() -> None:
    read = ResultReviewed(verdict="normal", inform_patient=False)
    closing = Told(ItemClosed(outcome="done", evidence="Lu"), target=entry(3))
    first = result(order=entry(2), report="R1", laboratory=LAB)
    record = given(*ORDERED, first, Told(read, target=entry(4)), closing)
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
    phoned = result("phoned", "6.4", caller="Mme Exemple", read_back=True)
    own = ItemOpened(kind="result", text="Lire", due="2026-11-24", follows=entry(2))
    answer = given(REGISTERED, phoned, own).when(
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
    phoned = record.when(ReceiveResult(lines=(line("6.4"),), **called), by=SECRETARY)
    received, item = phoned.events
    assert received.envelope.target is None
    assert isinstance(item.payload, ItemOpened)
    assert item.payload.follows == received.event_id
    assert items(phoned.state) == [item.event_id]
    assert stages(phoned.state) == ["to-tell", "to-read"]
    # It can be read; and a second call replaces the first one, never the report.
    told = result("phoned", "6.4", caller="Mme Exemple", read_back=True, report="R1",
                  laboratory=LAB)  # fmt: skip
    since = given(*ORDERED, final, told)
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
    imported = given(REGISTERED, Told(result(), source=CDA), own)
    refused = imported.when(ValidateEntry(entry=entry(2), verdict="refused", reason="Doublon"))
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
    read = ResultReviewed(verdict="normal", inform_patient=False)
    closing = Told(ItemClosed(outcome="done", evidence="Lu"), target=entry(3))
    record = given(*ORDERED, result(order=entry(2)), Told(read, target=entry(4)), closing)
    answer = record.when(MarkEntryInError(entry=entry(4), reason="Autre patient"))
    assert [type(event.payload) for event in answer.events] == [EntryMarkedInError, ItemReopened]
    assert items(answer.state) == [entry(3)]


def test_an_undone_reading_opens_the_item_again() -> None:
    read = ResultReviewed(verdict="normal", inform_patient=False)
    closing = Told(ItemClosed(outcome="done", evidence="Lu"), target=entry(3))
    record = given(*ORDERED, result(order=entry(2)), Told(read, target=entry(4)), closing)
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


# Imports


def imported(
    *results: ResultReceived, at: str = "2026-11-24", source_id: str | None = None
) -> ImportRecord:
    return ImportRecord(
        entries=tuple(
            ImportedEntry(payload=each, occurred_at=at, source_id=source_id) for each in results
        )
    )


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
    assert list(unit_errors(answer.state)) == []


def test_the_other_slots_come_in_once_too() -> None:
    vaccine = ImmunizationRecorded(vaccine=Concept(text="Tétanos"), given_on="2024-05-01")
    asked = ImportRecord(entries=(ImportedEntry(payload=vaccine),))
    given(REGISTERED).when(asked, source=CDA).then(vaccine)
    given(REGISTERED, Told(vaccine, source=CDA)).when(asked, source=CDA).nothing()


# If/then (scenario 24)


def measured(value: str, unit: str = "mmol/L") -> RecordObservation:
    return RecordObservation(code=K, value=Quantity(value=value, unit=unit, code=unit))


def activations_in(events: Any) -> list[tuple[UUID | None, UUID, Author]]:
    return [
        (event.envelope.target, event.payload.by, event.envelope.author)
        for event in events
        if isinstance(event.payload, ContingencyActivated)
    ]


@pytest.mark.parametrize("door", ["measure", "result", "consultation", "import", "components"])
def test_a_measure_that_meets_an_if_then_activates_it_whatever_the_door(door: str) -> None:
    record = given(REGISTERED, IF_THEN)
    panel = ObservationRecorded(
        code=Concept(text="Panel"),
        components=(Component(code=K, value=Quantity(value="5.6", unit="mmol/L")),),
    )
    answer = {
        "measure": lambda: record.when(measured("5.6")),
        "result": lambda: record.when(ReceiveResult(status="partial", lines=(line("5.6"),))),
        "consultation": lambda: record.when(RecordConsultation(observations=(measured("5.6"),))),
        "import": lambda: record.when(imported(result(value="5.6")), source=CDA),
        "components": lambda: record.when(
            ImportRecord(entries=(ImportedEntry(payload=panel),)), source=CDA
        ),
    }[door]()
    by = next(
        event.event_id
        for event in answer.events
        if isinstance(event.payload, ObservationRecorded | ResultReceived)
    )
    assert activations_in(answer.events) == [(entry(2), by, SYSTEM)]
    assert has_activated(answer.state, by)
    (unread,) = unread_activations(answer.state)
    assert (unread.contingency.event_id, unread.measure.event_id) == (entry(2), by)


def test_another_unit_activates_nothing_and_is_an_error_to_read() -> None:
    odd = imported(ResultReceived(status="final", title="K", lines=(line("5.6", unit="mg/dL"),)))
    answer = given(REGISTERED, IF_THEN).when(odd, source=CDA)
    assert activations_in(answer.events) == []
    (error,) = unit_errors(answer.state)
    assert (error.contingency.event_id, error.measure) == (entry(2), answer.events[0])
    read = given(
        REGISTERED,
        IF_THEN,
        ResultReceived(status="final", lines=(line("5.6", unit="mg/dL"),)),
        Told(REVIEWED, target=entry(3)),
    )
    assert list(unit_errors(read.state)) == []


@pytest.mark.parametrize(
    ("threshold", "comparator", "value", "match"),
    [
        (">", ">", "5.5", "met"),
        (">", ">=", "5.5", "unit-error"),
        (">=", ">=", "5.5", "met"),
        (">", ">", "4", "unit-error"),
        (">", "<", "5.5", "not-met"),
        (">", "<=", "5.5", "not-met"),
        (">=", "<=", "5.5", "unit-error"),
        (">=", "<", "5.5", "not-met"),
        (">", "<", "9", "unit-error"),
        ("<", "<", "5.5", "met"),
        ("<", "<=", "5.5", "unit-error"),
        ("<", ">", "5.5", "not-met"),
        ("<=", ">=", "5.5", "unit-error"),
        ("<", ">", "2", "unit-error"),
        (">", None, "6,2", "met"),
        (">", None, "6.2 H", "unit-error"),
    ],
)
def test_a_bound_is_compared_only_where_it_leaves_one_answer(
    threshold: Any, comparator: str | None, value: str, match: str
) -> None:
    limit = Threshold(loinc="2823-3", comparator=threshold, value="5.5", unit="mmol/L")
    assert matches(limit, Quantity(value=value, unit="mmol/L"), comparator) == match


def test_words_in_the_place_of_a_number_are_never_a_no() -> None:
    haemolysed = ResultLine(code=K, text="hémolysé")
    assert answers(IF_THEN, ResultReceived(status="final", lines=(haemolysed,))) == "unit-error"
    both = (haemolysed, line("6.0"))
    assert answers(IF_THEN, ResultReceived(status="final", lines=both)) == "met"
    assert answers(IF_THEN, ResultReceived(status="final", lines=(line("140", code=NA),))) is None
    void = line("6.0", status="cancelled")
    assert answers(IF_THEN, ResultReceived(status="final", lines=(void,))) is None
    oid = Concept(
        text="K", codings=(Coding(system="urn:oid:2.16.840.1.113883.6.1", code="2823-3"),)
    )
    assert answers(IF_THEN, ResultReceived(status="final", lines=(line("6.0", code=oid),))) == "met"


@pytest.mark.parametrize(
    ("text", "codings", "match"),
    [
        ("Potassium sang total", (Coding(system=LOINC, code="6298-4"),), "met"),
        ("Potassium", (Coding(code="2823-3"),), "met"),
        ("POTASSIUM", (), "unit-error"),
        ("Potassium plasmatique", (Coding(code="K"),), "unit-error"),
        ("Kaliémie", (Coding(system=LOINC, code="99999-9"),), "unit-error"),
        ("K+", (), "unit-error"),
        ("Potassium urinaire", (), None),
        ("Potassium", (Coding(system=LOINC, code="2828-2"),), None),
        ("K-ras", (), None),
        ("Natrémie", (), None),
    ],
)
def test_an_if_then_hears_sister_codes_and_never_ignores_the_same_words(
    text: str, codings: tuple[Coding, ...], match: str | None
) -> None:
    said = line("6.4", code=Concept(text=text, codings=codings))
    assert answers(IF_THEN, ResultReceived(status="final", lines=(said,))) == match
    measured = ObservationRecorded(code=said.code, value=said.value)
    assert answers(IF_THEN, measured) == match


def test_words_of_the_condition_name_a_line_that_no_table_knows() -> None:
    asked = ContingencySet(
        condition="Si D-dimères > 1000",
        action="Angioscanner",
        threshold=Threshold(loinc="48065-7", comparator=">", value="1000", unit="ng/mL"),
    )
    for label, match in (("D-DIMERES", "unit-error"), ("Fibrinogène", None), ("D", None)):
        said = line("1400", code=Concept(text=label), unit="ng/mL")
        assert answers(asked, ResultReceived(status="final", lines=(said,))) == match


def test_a_line_without_a_code_is_shown_beside_its_if_then_and_fires_nothing() -> None:
    said = line("6.4", code=Concept(text="POTASSIUM", codings=(Coding(code="K"),)))
    answer = given(REGISTERED, IF_THEN).when(
        ReceiveResult(status="final", lines=(said,)), by=Author(role="ehr", name="Laboratoire")
    )
    assert not any(isinstance(e.payload, ContingencyActivated) for e in answer.events)
    (error,) = unit_errors(answer.state)
    assert error.measure.event_id == answer.events[0].event_id


def test_an_expired_if_then_still_fires_and_a_withdrawn_one_does_not() -> None:
    expired = ContingencySet(
        condition="K+", action="ECG", threshold=ABOVE, valid_until="2026-11-20"
    )
    assert len(given(REGISTERED, expired).when(measured("5.6")).events) == 2
    withdrawn = given(REGISTERED, IF_THEN, Told(ContingencyWithdrawn(), target=entry(2)))
    assert len(withdrawn.when(measured("5.6")).events) == 1
    assert list(current_contingencies(withdrawn.state)) == []
    withdrawn.when(WithdrawContingency(contingency=entry(2), reason="x")).refused(
        "unknown-contingency", field="contingency"
    )
    withdrawn.when(
        WriteHandover(severity="stable", summary="RAS", contingencies=(entry(2),))
    ).invalid("invalid-field", field="contingencies[0]")


def test_an_if_then_of_the_same_consultation_waits_for_the_next_measure() -> None:
    asked = RecordConsultation(
        observations=(measured("5.6"),),
        contingencies=(SetContingency(condition="K+", action="ECG", threshold=ABOVE),),
    )
    assert activations_in(given(REGISTERED).when(asked).events) == []


def test_what_an_if_then_fired_on_is_read_or_withdrawn() -> None:
    measure = ObservationRecorded(code=K, value=Quantity(value="5.6", unit="mmol/L"))
    fired = Told(ContingencyActivated(by=entry(3)), target=entry(2), author=SYSTEM)
    record = given(REGISTERED, IF_THEN, measure, fired)
    read = record.when(ReviewResult(result=entry(3), verdict="abnormal", action="ECG fait"))
    read.then(ResultReviewed(verdict="abnormal", action="ECG fait"))
    assert list(unread_activations(read.state)) == []
    ended = record.when(WithdrawContingency(contingency=entry(2), reason="ECG normal"))
    ended.then(ContingencyWithdrawn())
    assert list(unread_activations(ended.state)) == []
    in_error = record.when(MarkEntryInError(entry=entry(3), reason="Autre patient"))
    assert list(unread_activations(in_error.state)) == []
    plain = given(REGISTERED, measure)
    plain.when(ReviewResult(result=entry(2), verdict="normal")).refused("unknown-result")


# Taking over (scenario 22)


def test_one_key_does_not_take_a_patient_whose_if_then_fired_or_whose_result_was_phoned() -> None:
    note = HandoverWritten(severity="watcher", summary="IC")
    takes = ReadBackHandover(handover=entry(2), kind="takes")
    assert given(REGISTERED, note).when(takes, by=AVAL).refusal is None
    measure = ObservationRecorded(code=K, value=Quantity(value="5.6", unit="mmol/L"))
    fired = given(
        REGISTERED, note, IF_THEN, measure, Told(ContingencyActivated(by=entry(4)), target=entry(3))
    )
    fired.when(takes, by=AVAL).refused("read-back-required", field="kind")
    phoned = result("phoned", "6.4", caller="x", read_back=True)
    given(REGISTERED, note, phoned).when(takes, by=AVAL).refused("read-back-required")
    read = given(REGISTERED, note, phoned, Told(REVIEWED, target=entry(3)))
    assert read.when(takes, by=AVAL).refusal is None
    said = ReadBackHandover(handover=entry(2), kind="restatement", text="ECG tout de suite")
    assert fired.when(said, by=AVAL).refusal is None


def test_an_item_is_closed_by_its_last_word() -> None:
    closing = Told(ItemClosed(outcome="done", evidence="x"), target=entry(3))
    reopening = Told(ItemReopened(), target=entry(3))
    assert closed_items(given(*ORDERED, closing).state) == {entry(3)}
    assert closed_items(given(*ORDERED, closing, reopening).state) == set()
    assert closed_items(given(*ORDERED, closing, reopening, closing).state) == {entry(3)}
    undone = Told(EntryMarkedInError(), target=entry(5))
    assert closed_items(given(*ORDERED, closing, reopening, undone).state) == {entry(3)}
