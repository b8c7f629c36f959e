"""If/then: the measures that activate one, whatever the door, and who must then read it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
import pytest

from releve.domain.aggregates.patient.contingencies import (
    ContingencyActivated,
    ContingencySet,
    ContingencyWithdrawn,
    answers,
    current_contingencies,
    has_activated,
    matches,
    unread_activations,
)
from releve.domain.aggregates.patient.corrections import EntryMarkedInError
from releve.domain.aggregates.patient.handover import HandoverWritten
from releve.domain.aggregates.patient.observations import LOINC, ObservationRecorded
from releve.domain.aggregates.patient.results import ResultReceived, ResultReviewed
from releve.domain.aggregates.patient.validation import EntryValidated
from releve.domain.commands import (
    Command,
    ImportedEntry,
    ImportRecord,
    MarkEntryInError,
    ReadBackHandover,
    ReceiveResult,
    RecordConsultation,
    RecordObservation,
    ReinstateEntry,
    ReviewResult,
    SetContingency,
    WithdrawContingency,
    WriteHandover,
)
from releve.domain.events import Author, Payload
from releve.domain.values import Coding, Component, Concept, Quantity, ResultLine, Threshold
from support.given import AVAL, SYSTEM, Given, Told, entry, given
from support.ordered import REGISTERED, REVIEWED, imported
from support.results import ABOVE, CDA, IF_THEN, NA, K, line, measure, phoned, result

# If/then (scenario 24)


def measured(value: str, unit: str = "mmol/L") -> RecordObservation:
    return RecordObservation(code=K, value=Quantity(value=value, unit=unit, code=unit))


def marked(place: int) -> Told:
    return Told(EntryMarkedInError(), target=entry(place), reason="x")


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


def test_another_unit_activates_nothing_and_is_never_taken_for_a_no() -> None:
    odd = imported(ResultReceived(status="final", title="K", lines=(line("5.6", unit="mg/dL"),)))
    answer = given(REGISTERED, IF_THEN).when(odd, source=CDA)
    assert activations_in(answer.events) == []
    assert answers(IF_THEN, answer.events[0].payload) == "unit-error"


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


def test_a_comma_in_a_threshold_is_stored_as_a_point() -> None:
    typed = Threshold(loinc="2823-3", comparator=">", value="5,50", unit="mmol/L")
    answer = given(REGISTERED).when(
        SetContingency(condition="Si K > 5,5", action="ECG", threshold=typed)
    )
    (stored,) = (event.payload for event in answer.events)
    assert isinstance(stored, ContingencySet)
    assert stored.threshold is not None
    assert stored.threshold.value == "5.50"


def test_a_threshold_that_was_stored_with_a_comma_is_met() -> None:
    stored = Threshold(loinc="2823-3", comparator=">", value="5,5", unit="mmol/L")
    assert matches(stored, Quantity(value="5,6", unit="mmol/L")) == "met"
    assert matches(stored, Quantity(value="NaN", unit="mmol/L")) == "unit-error"


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
    for label, match in (
        ("D-DIMERES", "unit-error"), ("DOSAGE DES D-DIMERES", "unit-error"),
        ("D-Dimères plasmatiques (VIDAS)", "unit-error"), ("Fibrinogène", None), ("D", None),
        ("DOSAGE", None), ("", None),
    ):  # fmt: skip
        said = line("1400", code=Concept(text=label), unit="ng/mL")
        assert answers(asked, ResultReceived(status="final", lines=(said,))) == match


def test_a_line_without_a_code_is_shown_beside_its_if_then_and_fires_nothing() -> None:
    said = line("6.4", code=Concept(text="POTASSIUM", codings=(Coding(code="K"),)))
    answer = given(REGISTERED, IF_THEN).when(
        ReceiveResult(status="final", lines=(said,)), by=Author(role="ehr", name="Laboratoire")
    )
    assert not any(isinstance(e.payload, ContingencyActivated) for e in answer.events)
    assert answers(IF_THEN, answer.events[0].payload) == "unit-error"


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


# Whichever came first

SET = SetContingency(condition="K+ > 5,5", action="ECG", threshold=ABOVE)
UNREAD: dict[str, tuple[list[Payload | Told], Command, tuple[int, int] | None]] = {
    "it was there when the if/then is set": ([result(value="5.8")], SET, None),
    "it came while the if/then was in error": (
        [IF_THEN, marked(2), result(value="5.8")], ReinstateEntry(entry=entry(2), reason="x"),
        (2, 4),
    ),
    "it came while the if/then was withdrawn": (
        [IF_THEN, Told(ContingencyWithdrawn(), target=entry(2)), result(value="5.8")],
        MarkEntryInError(entry=entry(3), reason="x"), (2, 4),
    ),
    "it was in error when the if/then was set": (
        [result(value="5.8"), marked(2), IF_THEN], ReinstateEntry(entry=entry(2), reason="x"),
        (4, 2),
    ),
    "it was refused when the if/then was set": (
        [
            Told(result(value="5.8"), source=CDA),
            Told(EntryValidated(verdict="refused"), target=entry(2)), IF_THEN,
        ],
        MarkEntryInError(entry=entry(3), reason="x"), (4, 2),
    ),
    "it was read in error when the if/then was set": (
        [result(value="5.8"), Told(REVIEWED, target=entry(2)), IF_THEN],
        MarkEntryInError(entry=entry(3), reason="x"), (4, 2),
    ),
    "it was replaced in error when the if/then was set": (
        [result(value="5.8"), Told(result("corrected", "4.1"), target=entry(2)), IF_THEN],
        MarkEntryInError(entry=entry(3), reason="x"), (4, 2),
    ),
}  # fmt: skip


@pytest.mark.parametrize("history", UNREAD)
def test_an_unread_value_activates_it_whichever_came_first(history: str) -> None:
    told, asked, named = UNREAD[history]
    answer = given(REGISTERED, *told).when(asked)
    rule, by = (answer.events[0].event_id, entry(2)) if named is None else map(entry, named)
    assert activations_in(answer.events) == [(rule, by, SYSTEM)]
    assert [each.measure.event_id for each in unread_activations(answer.state)] == [by]


def test_it_is_activated_once_until_its_value_is_to_be_read_anew() -> None:
    rang = Told(ContingencyActivated(by=entry(3)), target=entry(2))
    fired: list[Payload | Told] = [IF_THEN, result(value="5.8"), rang]
    withdrawn = given(REGISTERED, *fired, Told(ContingencyWithdrawn(), target=entry(2)))
    assert list(unread_activations(withdrawn.state)) == []
    again = withdrawn.when(MarkEntryInError(entry=entry(5), reason="x"))
    assert activations_in(again.events) == []
    assert len(list(unread_activations(again.state))) == 1
    read = given(REGISTERED, *fired, Told(REVIEWED, target=entry(3)))
    unread = read.when(MarkEntryInError(entry=entry(5), reason="x"))
    assert activations_in(unread.events) == [(entry(2), entry(3), SYSTEM)]


def test_a_handover_that_writes_one_beside_an_unread_value_activates_it() -> None:
    note = WriteHandover(severity="stable", summary="RAS", new_contingencies=(SET,))
    answer = given(REGISTERED, result(value="5.8")).when(note)
    rule = next(e.event_id for e in answer.events if isinstance(e.payload, ContingencySet))
    assert activations_in(answer.events) == [(rule, entry(2), SYSTEM)]
    takes = ReadBackHandover(handover=answer.events[-2].event_id, kind="takes")
    Given("patient", answer.state).when(takes, by=AVAL).refused("read-back-required")


LONG_AGO = "2026-04-02T09:00:00+02:00"


@pytest.mark.parametrize(
    "told",
    [
        measure("5.8"),
        Told(measure("5.8"), at=LONG_AGO, source=CDA),
        Told(result(value="5.8"), at=LONG_AGO),
        result(value="5.8", sampled_at=LONG_AGO),
        result(value="5.4"),
    ],
)
def test_what_was_known_or_old_or_lower_activates_no_new_one(told: Payload | Told) -> None:
    assert activations_in(given(REGISTERED, told).when(SET).events) == []


def test_what_was_surely_measured_before_activates_it_only_while_it_is_to_be_read() -> None:
    yesterday = "2026-11-22T18:00:00+01:00"
    typed = msgspec.structs.replace(measured("5.8"), occurred_at=yesterday)
    record = given(REGISTERED, IF_THEN)
    assert activations_in(record.when(typed).events) == []
    came = ReceiveResult(status="final", lines=(line("5.8"),), sampled_at=yesterday)
    assert len(activations_in(record.when(came).events)) == 1


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
    dictated = phoned("6.4")
    given(REGISTERED, note, dictated).when(takes, by=AVAL).refused("read-back-required")
    read = given(REGISTERED, note, dictated, Told(REVIEWED, target=entry(3)))
    assert read.when(takes, by=AVAL).refusal is None
    said = ReadBackHandover(handover=entry(2), kind="restatement", text="ECG tout de suite")
    assert fired.when(said, by=AVAL).refusal is None
