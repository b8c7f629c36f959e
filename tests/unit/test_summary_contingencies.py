"""If/then in the summary: what rings, what is listed, whichever of value and if/then came first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from releve.domain.aggregates.patient.contingencies import (
    ContingencyActivated,
    ContingencyWithdrawn,
)
from releve.domain.aggregates.patient.corrections import EntryMarkedInError, EntryReinstated
from releve.domain.aggregates.patient.handover import HandoverWritten
from releve.domain.aggregates.patient.results import ResultReviewed
from releve.domain.aggregates.patient.severity import IllnessSeveritySet
from releve.domain.aggregates.patient.validation import EntryValidated
from releve.domain.events import Event, Payload, Source
from releve.projections.patient_summary import PatientSummary
from support.briefing import new_card, person
from support.patient_events import LAST_WEEK, Stream, folded_by_the_feed, summary_of
from support.results import IF_THEN, line, measure, phoned, result

LABORATORY = Source(channel="hprim", system="Labo")
READ = ResultReviewed(verdict="abnormal", action="ECG", inform_patient=False)


def said(stream: Stream, payload: Payload, about: Event, **more: Any) -> Event:
    return stream.add(payload, target=about.event_id, reason="parce que", **more)


def in_error(stream: Stream, entry: Event) -> Event:
    return said(stream, EntryMarkedInError(), entry)


def back(stream: Stream, entry: Event) -> Event:
    return said(stream, EntryReinstated(), entry)


def fired_and_withdrawn_in_error(stream: Stream) -> None:
    rule = stream.add(IF_THEN)
    stream.add(result(value="5.8"))
    in_error(stream, said(stream, ContingencyWithdrawn(), rule))


def came_while_it_was_in_error(stream: Stream) -> None:
    rule = stream.add(IF_THEN)
    in_error(stream, rule)
    stream.add(result(value="5.8"))
    back(stream, rule)


def came_while_it_was_withdrawn(stream: Stream) -> None:
    withdrawal = said(stream, ContingencyWithdrawn(), stream.add(IF_THEN))
    stream.add(result(value="5.8"))
    in_error(stream, withdrawal)


def was_there_before(stream: Stream) -> None:
    stream.add(result(value="5.8"))
    stream.add(IF_THEN)


def was_sampled_before(stream: Stream) -> None:
    stream.add(IF_THEN)
    stream.add(result(value="5.8", sampled_at=LAST_WEEK))


def was_in_error_when_it_was_set(stream: Stream) -> None:
    came = stream.add(result(value="5.8"))
    in_error(stream, came)
    stream.add(IF_THEN)
    back(stream, came)


def was_refused_when_it_was_set(stream: Stream) -> None:
    came = stream.add(result(value="5.8"), source=LABORATORY)
    refusal = said(stream, EntryValidated(verdict="refused"), came)
    stream.add(IF_THEN)
    in_error(stream, refusal)


def was_read_in_error(stream: Stream) -> None:
    review = said(stream, READ, stream.add(result(value="5.8")))
    stream.add(IF_THEN)
    in_error(stream, review)


def was_corrected_in_error(stream: Stream) -> None:
    first = stream.add(result(value="5.8"))
    newer = stream.add(result("corrected", "4.1"), target=first.event_id)
    stream.add(IF_THEN)
    in_error(stream, newer)


def was_measured_elsewhere(stream: Stream) -> None:
    stream.add(measure("5.8"), source=LABORATORY)
    stream.add(IF_THEN)


def was_phoned(stream: Stream) -> None:
    stream.add(phoned("5.8"))
    stream.add(HandoverWritten(severity="stable", summary="RAS"))
    stream.add(IF_THEN)


UNREAD: list[Callable[[Stream], None]] = [
    fired_and_withdrawn_in_error, came_while_it_was_in_error, came_while_it_was_withdrawn,
    was_there_before, was_sampled_before, was_in_error_when_it_was_set,
    was_refused_when_it_was_set, was_read_in_error, was_corrected_in_error,
    was_measured_elsewhere, was_phoned,
]  # fmt: skip


@pytest.mark.parametrize("history", UNREAD)
def test_what_nobody_has_read_rings_whichever_came_first(
    history: Callable[[Stream], None],
) -> None:
    stream = person()
    history(stream)
    for summary in (summary_of(stream), folded_by_the_feed(stream)):
        assert [(fired.matched, fired.text) for fired in summary.firing] == [
            (True, "Potassium 5,8 mmol/L")
        ]
        assert summary.older_measures == []
    card = new_card(stream)
    assert card["tier"] == "T0"
    assert [rule["met"] for rule in card["contingencies"]] == [True]
    stream.add(IllnessSeveritySet(severity="stable"))
    assert summary_of(stream).firing == []


def listed(summary: PatientSummary) -> list[str]:
    return [fired.text for fired in summary.older_measures]


def test_what_was_read_before_it_was_written_is_listed_until_somebody_judges_again() -> None:
    stream = person()
    came = stream.add(result(value="5.8"))
    review = said(stream, READ, came)
    stream.add(IllnessSeveritySet(severity="watcher"))
    stream.add(IF_THEN)
    assert summary_of(stream).firing == []
    assert listed(summary_of(stream)) == ["Potassium 5,8 mmol/L"]
    assert [each["text"] for each in new_card(stream)["contingencies"][0]["older"]]
    in_error(stream, review)
    assert (len(summary_of(stream).firing), listed(summary_of(stream))) == (1, [])
    back(stream, review)
    assert (summary_of(stream).firing, len(listed(summary_of(stream)))) == ([], 1)
    said(stream, READ, came)
    assert listed(summary_of(stream)) == []


def test_what_its_author_measured_before_is_listed_and_does_not_ring() -> None:
    stream = person()
    stream.add(measure("5.8"))
    stream.add(IF_THEN)
    assert (summary_of(stream).firing, len(listed(summary_of(stream)))) == ([], 1)
    stream.add(IllnessSeveritySet(severity="stable"))
    assert listed(summary_of(stream)) == []


def test_what_was_measured_and_written_down_since_it_was_said_rings() -> None:
    stream = person()
    stream.add(measure("5.8"))
    stream.add(IF_THEN, occurred_at=LAST_WEEK)
    assert len(summary_of(stream).firing) == 1


def test_what_is_history_never_rings_and_only_news_is_listed_beside_a_new_one() -> None:
    stream = person()
    stream.add(result(value="5.8", sampled_at="2026-04-02"))
    stream.add(measure("5.9"), occurred_at="2026-04-02")
    stream.add(IF_THEN)
    assert (summary_of(stream).firing, listed(summary_of(stream))) == ([], [])
    stream.add(result(value="6.1", sampled_at="2026-04-03"))
    assert (summary_of(stream).firing, listed(summary_of(stream))) == (
        [],
        ["Potassium 6,1 mmol/L"],
    )


def test_an_unread_value_that_cannot_be_compared_is_said_beside_a_new_one() -> None:
    stream = person()
    odd = result()
    stream.add(type(odd)(status="final", lines=(line("5.8", unit="mg/dL"),)))
    stream.add(IF_THEN)
    assert [fired.matched for fired in summary_of(stream).firing] == [False]


def test_a_handover_that_writes_it_does_not_answer_what_was_unread_by_then() -> None:
    stream = person()
    stream.add(result(value="5.8"))
    rule = stream.add(IF_THEN)
    note = HandoverWritten(severity="stable", summary="RAS", contingencies=(rule.event_id,))
    stream.add(note, at=rule.recorded_at)
    assert len(summary_of(stream).firing) == 1
    stream.add(HandoverWritten(severity="stable", summary="Vu, ECG normal"))
    assert summary_of(stream).firing == []


def test_a_replaced_value_rings_no_more_and_its_return_does() -> None:
    stream = person()
    stream.add(IF_THEN)
    first = stream.add(result("partial", "5.8"))
    newer = stream.add(result("final", "4.1"), target=first.event_id)
    assert summary_of(stream).firing == []
    in_error(stream, newer)
    assert [fired.observation for fired in summary_of(stream).firing] == [first.event_id]


def test_a_word_on_the_patient_that_is_taken_back_and_given_back_answers_as_before() -> None:
    stream = person()
    stream.add(IF_THEN)
    stream.add(result(value="5.8"))
    word = stream.add(IllnessSeveritySet(severity="stable"))
    in_error(stream, word)
    assert len(summary_of(stream).firing) == 1
    back(stream, word)
    assert summary_of(stream).firing == []


def test_an_if_then_that_does_not_stand_is_silent_whatever_comes() -> None:
    stream = person()
    rule = stream.add(IF_THEN)
    stream.add(result(value="5.8"))
    said(stream, ContingencyWithdrawn(), rule)
    stream.add(result(value="6.1"))
    assert (summary_of(stream).firing, listed(summary_of(stream))) == ([], [])


def test_the_record_s_own_word_rings_for_a_measure_that_the_summary_let_go() -> None:
    stream = person()
    rule = stream.add(IF_THEN)
    in_error(stream, rule)
    high = stream.add(measure("5.8"))
    for _ in range(20):
        stream.add(measure("4.1"))
    back(stream, rule)
    assert summary_of(stream).firing == []
    said(stream, ContingencyActivated(by=high.event_id), rule)
    assert [fired.observation for fired in summary_of(stream).firing] == [high.event_id]


def test_each_of_many_lists_what_was_measured_before_it() -> None:
    stream = person()
    rules = [stream.add(IF_THEN) for _ in range(9)]
    stream.add(measure("5.8"), occurred_at=LAST_WEEK)
    summary = summary_of(stream)
    assert {fired.contingency for fired in summary.older_measures} == {
        rule.event_id for rule in rules
    }


def test_a_measure_that_the_summary_let_go_rings_until_it_is_read() -> None:
    stream = person()
    stream.add(IF_THEN)
    high = stream.add(measure("5.8"))
    for _ in range(20):
        stream.add(measure("4.1"))
    assert len(summary_of(stream).firing) == 1
    review = said(stream, READ, high)
    assert summary_of(stream).firing == []
    in_error(stream, review)
    assert [fired.observation for fired in summary_of(stream).firing] == [high.event_id]
    assert len(folded_by_the_feed(stream).firing) == 1
