"""Results in the summary, from the order to a patient who was told; if/then that ring."""

from __future__ import annotations

from datetime import date
from typing import Any
from uuid import UUID, uuid5

import pytest

from releve.domain.aggregates.patient.contingencies import (
    ContingencyActivated,
    ContingencyWithdrawn,
)
from releve.domain.aggregates.patient.corrections import EntryMarkedInError, EntryReinstated
from releve.domain.aggregates.patient.encounters import NoteSigned
from releve.domain.aggregates.patient.handover import HandoverWritten
from releve.domain.aggregates.patient.open_items import ItemClosed, ItemOpened, ItemReopened
from releve.domain.aggregates.patient.results import (
    ContactAttempted,
    Informed,
    InvestigationOrdered,
    ResultReceived,
    ResultReviewed,
)
from releve.domain.aggregates.patient.severity import IllnessSeveritySet
from releve.domain.aggregates.patient.validation import EntryValidated
from releve.domain.events import Author, Event, Source
from releve.domain.values import Coding, Concept
from support.patient_events import LAST_WEEK, Stream, summary_of
from support.results import IF_THEN, line, measure, phoned, result

HPRIM = Source(channel="hprim", system="Laboratoire de l'exemple")
DR_LENOIR = Author(role="doctor", name="Dr Paul Lenoir", person=UUID(int=8))
DAY = date(2026, 11, 23)


def watched() -> Stream:
    """A record on which an if/then waits for a potassium above 5.5."""
    stream = Stream()
    stream.add(IF_THEN)
    return stream


class TestContingencies:
    @pytest.mark.parametrize(
        ("value", "unit", "expected"),
        [
            ("5.6", "mmol/L", [True]),
            ("5.50", "mmol/L", []),
            ("5.6", "mg/dL", [False]),
            ("environ 6", "mmol/L", [False]),
        ],
    )
    def test_a_measure_meets_the_threshold_or_is_said_not_to_be_comparable(
        self, value: str, unit: str, expected: list[bool]
    ) -> None:
        stream = watched()
        stream.add(measure(value, unit))
        assert [each.matched for each in summary_of(stream).firing] == expected

    def test_it_rings_until_a_clinician_judges_the_patient_again(self) -> None:
        stream = watched()
        measured = stream.add(measure("6.2"))
        assert len(summary_of(stream).firing) == 1
        stream.add(NoteSigned(plan="vu"))
        assert len(summary_of(stream).firing) == 1
        stream.add(IllnessSeveritySet(severity="unstable", reason="hyperkaliémie"))
        assert summary_of(stream).firing == []
        stream.add(EntryMarkedInError(), target=measured.event_id, reason="hémolyse")
        assert summary_of(stream).firing == []
        assert all(fired.void for fired in summary_of(stream).fired)

    def test_an_earlier_measure_does_not_meet_a_later_threshold(self) -> None:
        stream = Stream()
        stream.add(measure("6.2"))
        stream.add(watched().events[0].payload)
        assert summary_of(stream).firing == []

    def test_it_is_not_answered_by_a_late_word_on_how_the_patient_was_before(self) -> None:
        stream = watched()
        stream.add(measure("6.2"))
        stream.add(IllnessSeveritySet(severity="stable"), occurred_at=LAST_WEEK)
        stream.add(HandoverWritten(severity="stable", summary="RAS"), occurred_at=LAST_WEEK)
        assert len(summary_of(stream).firing) == 1
        stream.add(HandoverWritten(severity="unstable", summary="hyperkaliémie"))
        assert summary_of(stream).firing == []

    @pytest.mark.parametrize(
        ("occurred_at", "source"),
        [
            (LAST_WEEK, Source()),
            ("2026-11", Source(channel="fhir", system="EHR")),
            ("2026-11-16", Source(channel="fhir", system="EHR")),
            ("2019-02-03", Source(channel="fhir", system="EHR")),
        ],
    )
    def test_a_measure_from_before_it_was_written_is_listed_and_does_not_ring(
        self, occurred_at: str, source: Source
    ) -> None:
        stream = watched()
        stream.add(measure("6.2"), occurred_at=occurred_at, source=source)
        summary = summary_of(stream)
        surely_before = occurred_at in (LAST_WEEK, "2019-02-03")
        assert len(summary.firing) == (not surely_before)
        assert len(summary.older_measures) == surely_before
        stream.add(IllnessSeveritySet(severity="stable"))
        assert summary_of(stream).older_measures == []

    def test_only_the_newest_of_many_old_measures_are_listed(self) -> None:
        stream = watched()
        for day in range(1, 29):
            stream.add(measure("6.2"), occurred_at=f"2020-02-{day:02d}")
        listed = [each.as_of for each in summary_of(stream).older_measures]
        assert sorted(listed) == [f"2020-02-{day}" for day in range(23, 29)]


class TestResults:
    def ordered(self) -> tuple[Stream, Event, Event]:
        stream = Stream()
        item = uuid5(stream.id, "2")
        order = stream.add(
            InvestigationOrdered(
                kind="laboratory", text="Ionogramme", expected_by="2026-11-20", item=item
            )
        )
        opened = stream.add(
            ItemOpened(kind="result", text="Ionogramme", due="2026-11-20", follows=order.event_id)
        )
        assert opened.event_id == item
        return stream, order, opened

    def state(self, stream: Stream, day: date = DAY) -> str:
        (one,) = summary_of(stream).results
        return one.state(day)

    def test_go_from_the_order_to_a_patient_who_was_told(self) -> None:
        stream, order, _ = self.ordered()
        assert self.state(stream, date(2026, 11, 20)) == "expected"
        assert self.state(stream, date(2026, 11, 21)) == "expected-late"
        partial = stream.add(result("partial", "5.1", order=order.event_id))
        assert self.state(stream) == "partial"
        final = stream.add(result("final", "5.2", order=order.event_id), target=partial.event_id)
        assert self.state(stream) == "to-review"
        stream.add(ResultReviewed(verdict="known"), target=final.event_id)
        assert self.state(stream) == "to-inform"
        stream.add(ContactAttempted(channel="phone", outcome="no-answer"), target=final.event_id)
        assert self.state(stream) == "to-inform"
        stream.add(Informed(channel="phone"), target=final.event_id)
        assert self.state(stream) == "done"
        (one,) = summary_of(stream).results
        assert one.order is not None
        assert (one.order.entry_id, len(one.versions)) == (order.event_id, 2)

    def test_a_partial_one_that_was_read_is_not_done(self) -> None:
        stream, order, _ = self.ordered()
        partial = stream.add(result("partial", "5.1", order=order.event_id))
        stream.add(ResultReviewed(verdict="known", inform_patient=False), target=partial.event_id)
        assert self.state(stream) == "partial"

    def test_a_call_after_the_report_stands_beside_it(self) -> None:
        stream = Stream()
        lab: dict[str, Any] = {"report": "R1", "laboratory": "Labo"}
        final = stream.add(result("final", "4.1", **lab))
        called = stream.add(result("phoned", "6.4", **lab))
        again = stream.add(result("phoned", "6.6", **lab), target=called.event_id)
        first, second = summary_of(stream).results
        assert [each.entry_id for each in first.versions] == [final.event_id]
        assert [each.entry_id for each in second.versions] == [called.event_id, again.event_id]
        assert second.state(DAY) == "to-review"

    @pytest.mark.parametrize(
        ("concept", "matched"),
        [
            (Concept(text="K", codings=(Coding(code="6298-4"),)), [True]),
            (Concept(text="Potassium plasmatique", codings=(Coding(code="K"),)), [False]),
            (Concept(text="Potassium urinaire"), []),
        ],
    )
    def test_sister_codes_fire_and_the_same_words_alone_are_to_be_read(
        self, concept: Concept, matched: list[bool]
    ) -> None:
        stream = watched()
        stream.add(ResultReceived(status="final", lines=(line("6.4", code=concept),)))
        assert [each.matched for each in summary_of(stream).firing] == matched

    def test_a_phoned_one_that_was_read_still_waits_for_its_paper(self) -> None:
        stream = Stream()
        called = stream.add(phoned("6.4"))
        assert self.state(stream) == "to-review"
        stream.add(ResultReviewed(verdict="critical", action="SAMU"), target=called.event_id)
        assert self.state(stream) == "to-inform"
        stream.add(Informed(channel="phone"), target=called.event_id)
        assert self.state(stream) == "partial"

    def test_a_corrected_one_is_to_be_read_again_and_names_who_had_read_it(self) -> None:
        stream = Stream()
        first = stream.add(result("final", "5.1"))
        stream.add(
            ResultReviewed(verdict="known", inform_patient=False),
            target=first.event_id,
            author=DR_LENOIR,
        )
        assert self.state(stream) == "done"
        corrected = stream.add(result("corrected", "6.1"), target=first.event_id)
        (one,) = summary_of(stream).results
        assert one.state(DAY) == "to-review"
        assert one.corrected_after_review
        assert one.previous_review is not None
        assert one.previous_review.author == "Dr Paul Lenoir"
        assert [line.text for line in summary_of(stream).slot("results")] == [
            "Potassium 6,1 mmol/L"
        ]
        stream.add(EntryMarkedInError(), target=corrected.event_id, reason="autre patient")
        assert self.state(stream) == "done"
        assert [line.text for line in summary_of(stream).slot("results")] == [
            "Potassium 5,1 mmol/L"
        ]
        stream.add(EntryReinstated(), target=corrected.event_id, reason="c'était le bon")
        assert self.state(stream) == "to-review"
        assert [line.text for line in summary_of(stream).slot("results")] == [
            "Potassium 6,1 mmol/L"
        ]

    def test_a_partial_that_comes_after_the_final_does_not_hide_it(self) -> None:
        stream = Stream()
        final = stream.add(result("final", "6.9"))
        late = stream.add(result("partial", "4.1"), target=final.event_id)
        (one,) = summary_of(stream).results
        assert (one.entry_id, one.state(DAY)) == (final.event_id, "to-review")
        assert [each.entry_id for each in one.versions] == [late.event_id, final.event_id]
        assert [line.text for line in summary_of(stream).slot("results")] == [
            "Potassium 6,9 mmol/L"
        ]
        stream.add(EntryMarkedInError(), target=final.event_id, reason="autre patient")
        assert self.state(stream) == "partial"

    def test_another_value_of_the_same_order_does_not_replace_what_was_phoned(self) -> None:
        stream, order, _ = self.ordered()
        stream.add(result("phoned", "6.4", order=order.event_id))
        stream.add(result("final", "4.1", order=order.event_id))
        found = summary_of(stream).results
        assert [(one.status, one.state(DAY)) for one in found] == [
            ("phoned", "to-review"), ("final", "to-review"),
        ]  # fmt: skip

    def test_an_order_closed_as_no_longer_needed_is_cancelled_until_it_is_opened_again(
        self,
    ) -> None:
        stream, _, item = self.ordered()
        stream.add(ItemClosed(outcome="not-needed", evidence="refus"), target=item.event_id)
        assert self.state(stream) == "cancelled"
        stream.add(ItemReopened(), target=item.event_id, reason="le patient accepte")
        assert self.state(stream) == "expected-late"

    def test_an_imported_one_that_was_refused_leaves_what_it_answered_expected(self) -> None:
        stream, order, _ = self.ordered()
        came = stream.add(result("final", "5.2", order=order.event_id), source=HPRIM)
        (one,) = summary_of(stream).results
        assert one.validation == "to-validate"
        stream.add(EntryValidated(verdict="refused"), target=came.event_id, reason="homonyme")
        assert self.state(stream) == "expected-late"
        assert summary_of(stream).slot("results") == []

    def test_meets_a_threshold_until_it_is_reviewed(self) -> None:
        stream = watched()
        came = stream.add(result("final", "5.6"))
        assert [fired.matched for fired in summary_of(stream).firing] == [True]
        review = stream.add(ResultReviewed(verdict="critical", action="ECG"), target=came.event_id)
        assert summary_of(stream).firing == []
        stream.add(EntryMarkedInError(), target=review.event_id, reason="pas le bon patient")
        assert len(summary_of(stream).firing) == 1

    def test_activation_said_by_the_record_itself_is_not_counted_twice(self) -> None:
        stream = watched()
        came = stream.add(result("final", "5.6"))
        stream.add(ContingencyActivated(by=came.event_id), target=stream.events[0].event_id)
        assert len(summary_of(stream).firing) == 1

    def test_a_withdrawn_contingency_rings_no_more(self) -> None:
        stream = watched()
        stream.add(result("final", "5.6"))
        stream.add(ContingencyWithdrawn(), target=stream.events[0].event_id, reason="arrêté")
        assert summary_of(stream).firing == []
        assert not summary_of(stream).contingencies[0].current
