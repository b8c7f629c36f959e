"""A summary lets old things go; what takes one of them back brings it back, in the feed too."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from releve.domain.aggregates.patient.allergies import AllergyRecorded, AllergyRevised
from releve.domain.aggregates.patient.contingencies import ContingencySet, ContingencyWithdrawn
from releve.domain.aggregates.patient.corrections import EntryMarkedInError, EntryReinstated
from releve.domain.aggregates.patient.encounters import NoteAmended, NoteSigned
from releve.domain.aggregates.patient.ins import InsStatusChanged
from releve.domain.aggregates.patient.medications import (
    MedicationChanged,
    MedicationStarted,
    MedicationStopped,
)
from releve.domain.aggregates.patient.observations import ObservationRecorded
from releve.domain.aggregates.patient.offers import ItemAccepted, ItemOffered
from releve.domain.aggregates.patient.open_items import (
    ItemClosed,
    ItemOpened,
    ItemReopened,
    ItemRevised,
)
from releve.domain.aggregates.patient.problems import ProblemRecorded
from releve.domain.aggregates.patient.questions import (
    OpinionRecorded,
    QuestionAnswered,
    QuestionAsked,
)
from releve.domain.aggregates.patient.results import ContactAttempted, ResultReceived
from releve.domain.aggregates.patient.severity import IllnessSeveritySet
from releve.domain.aggregates.patient.vigilance import VigilancePointSet
from releve.domain.events import Event, Payload, Source
from releve.domain.values import Coding, Concept, Owner, Quantity, ResultLine, Threshold
from releve.projections.patient_summary import PatientSummary, reads_whole, to_bytes
from releve.projections.ranking import extract
from support.briefing import LENOIR, ME, new_card, person
from support.patient_events import Stream, folded_by_the_feed, summary_of

MANY = 25
"""More of anything than a summary keeps."""
FHIR = Source(channel="fhir", system="urn:oid:2.999")
LOINC = "http://loinc.org"
POTASSIUM = Concept(text="Potassium", codings=(Coding(system=LOINC, code="2823-3"),))


def said(stream: Stream, payload: Payload, about: Event | None = None) -> Event:
    return stream.add(payload, target=None if about is None else about.event_id, reason="parce que")


def opened(stream: Stream, text: str = "Appeler") -> Event:
    return said(stream, ItemOpened(kind="call", text=text, due="2026-11-20", harm_if_late=True))


def closed(stream: Stream, item: Event) -> Event:
    return said(stream, ItemClosed(outcome="done", evidence="fait"), item)


def stopped(stream: Stream, name: str, start: str) -> Event:
    drug = said(stream, MedicationStarted(concept=Concept(text=name), start=start))
    return said(stream, MedicationStopped(stopped_on="2026-11-20"), drug)


def refuted(stream: Stream, substance: str) -> Event:
    allergy = said(stream, AllergyRecorded(substance=Concept(text=substance)))
    return said(stream, AllergyRevised(verification="refuted"), allergy)


def answered(stream: Stream, text: str) -> Event:
    question = said(stream, QuestionAsked(to=LENOIR, to_name="Dr Lenoir", text=text))
    return said(stream, QuestionAnswered(text="oui"), question)


def withdrawn(stream: Stream, condition: str) -> Event:
    rule = said(stream, ContingencySet(condition=condition, action="ECG"))
    return said(stream, ContingencyWithdrawn(), rule)


def texts_of_items(summary: PatientSummary) -> list[str]:
    return [item.line.detail["text"] for item in summary.open_items]


def current(slot: str) -> Callable[[PatientSummary], list[str]]:
    def found(summary: PatientSummary) -> list[str]:
        lines = (line for line in summary.slot(slot) if line.current)
        return [(line.concept or {})["text"] for line in lines]

    return found


ENDED: dict[str, tuple[Callable[[Stream, str], Event], Callable[[PatientSummary], list[str]]]] = {
    "a closing": (lambda stream, name: closed(stream, opened(stream, name)), texts_of_items),
    "a stop": (lambda stream, name: stopped(stream, name, "2010"), current("medications")),
    "a refutation": (refuted, current("allergies")),
    "an answer": (
        answered,
        lambda summary: [one.line.detail["text"] for one in summary.open_questions],
    ),
    "a withdrawal": (
        withdrawn,
        lambda summary: [
            line.detail["condition"] for line in summary.contingencies if line.current
        ],
    ),
}


@pytest.mark.parametrize("ends", ENDED)
def test_an_end_taken_back_after_many_others_gives_back_what_it_ended(ends: str) -> None:
    end, standing = ENDED[ends]
    stream = person()
    first = end(stream, "le premier")
    for number in range(MANY):
        end(stream, f"un autre {number}")
    assert standing(summary_of(stream)) == []
    said(stream, EntryMarkedInError(), first)
    for summary in (summary_of(stream), folded_by_the_feed(stream), extract(summary_of(stream))):
        assert standing(summary) == ["le premier"]


def test_a_withdrawal_in_error_lets_the_alarm_ring_again() -> None:
    stream = person()
    threshold = Threshold(loinc="2823-3", comparator=">", value="5.5", unit="mmol/L")
    rule = said(stream, ContingencySet(condition="K > 5,5", action="ECG", threshold=threshold))
    line = ResultLine(code=POTASSIUM, value=Quantity(value="5.8", unit="mmol/L", code="mmol/L"))
    said(stream, ResultReceived(status="final", title="Iono", lines=(line,)))
    assert summary_of(stream).firing
    withdrawal = said(stream, ContingencyWithdrawn(), rule)
    assert not summary_of(stream).firing
    said(stream, EntryMarkedInError(), withdrawal)
    assert [fired.matched for fired in summary_of(stream).firing] == [True]
    assert new_card(stream)["tier"] == "T0"
    said(stream, EntryReinstated(), withdrawal)
    assert not summary_of(stream).firing


def test_an_item_that_is_opened_again_is_open_whatever_was_closed_since() -> None:
    stream = person()
    item = opened(stream, "Rappeler le laboratoire")
    closed(stream, item)
    for _ in range(MANY):
        closed(stream, opened(stream))
    said(stream, ItemReopened(), item)
    for _ in range(MANY):
        closed(stream, opened(stream))
    assert texts_of_items(folded_by_the_feed(stream)) == ["Rappeler le laboratoire"]
    assert new_card(stream)["tier"] == "T1"


def test_a_treatment_stopped_last_is_the_last_to_be_forgotten() -> None:
    stream = person()
    old = said(stream, MedicationStarted(concept=Concept(text="Warfarine"), start="2010"))
    for number in range(MANY):
        stopped(stream, f"Antibiotique {number}", "2026-11-16")
    said(stream, MedicationStopped(stopped_on="2026-11-20"), old)
    past = [line.entry_id for line in summary_of(stream).slot("medications")]
    assert old.event_id in past
    assert "Warfarine" in str(new_card(stream)["changes"])


def test_a_card_counts_every_vigilance_point_that_it_leaves_out() -> None:
    stream = person()
    for number in range(9):
        said(stream, VigilancePointSet(text=f"Point {number}"))
    card = new_card(stream)
    assert len(card["vigilance"]) + card["more"]["vigilance"] == 9


def test_severities_in_error_give_back_the_one_before_all_of_them() -> None:
    stream = person()
    said(stream, IllnessSeveritySet(severity="unstable", reason="choc"))
    later = [said(stream, IllnessSeveritySet(severity="stable")) for _ in range(MANY)]
    for each in later:
        said(stream, EntryMarkedInError(), each)
    severity = folded_by_the_feed(stream).severity
    assert severity is not None
    assert severity.detail["severity"] == "unstable"
    assert new_card(stream)["tier"] == "T0"


def test_what_is_added_to_an_old_note_is_the_one_liner_in_force() -> None:
    stream = person()
    note = said(stream, NoteSigned(one_liner="Toux"))
    for number in range(MANY):
        said(stream, NoteSigned(one_liner=f"Contrôle {number}"))
    said(stream, NoteAmended(kind="addendum", text="Appel", one_liner="Embolie"), note)
    spoken = folded_by_the_feed(stream).one_liner()
    assert spoken is not None
    assert spoken.text == "Embolie"


def test_a_challenge_waits_for_its_answer_whatever_is_said_of_other_entries() -> None:
    stream = person()
    doubted = said(stream, ProblemRecorded(concept=Concept(text="Embolie")))
    other = said(stream, ProblemRecorded(concept=Concept(text="Asthme")))
    challenge = OpinionRecorded(stance="challenges", text="Plutôt une pneumopathie")
    stream.add(challenge, target=doubted.event_id, author=ME)
    for number in range(MANY):
        opinion = OpinionRecorded(stance="adds", text=str(number))
        stream.add(opinion, target=other.event_id, author=ME)
    summary = summary_of(stream)
    (line,) = [one for one in summary.slot("problems") if one.entry_id == doubted.event_id]
    assert summary.challenge_of(line) is not None
    assert len(summary.opinions) < MANY


class TestSteps:
    def test_calls_without_an_answer_do_not_change_who_holds_an_item(self) -> None:
        stream = person()
        item = opened(stream)
        owner = Owner(role="referent", person=LENOIR)
        said(stream, ItemOffered(to=owner, to_name="Dr Lenoir"), item)
        said(stream, ItemAccepted(owner=owner), item)
        for _ in range(MANY):
            said(stream, ContactAttempted(channel="phone", outcome="no-answer"), item)
        (held,) = summary_of(stream).open_items
        assert held.owner["person"] == str(LENOIR)
        for _ in range(MANY):
            said(stream, ItemOffered(to=Owner(role="coordinator")), item)
        (held,) = summary_of(stream).open_items
        assert held.owner["person"] == str(LENOIR)

    def test_an_offer_waits_for_its_answer_whoever_is_called(self) -> None:
        stream = person()
        item = opened(stream)
        said(stream, ItemOffered(to=Owner(role="referent")), item)
        for _ in range(MANY):
            said(stream, ContactAttempted(channel="phone", outcome="no-answer"), item)
        (held,) = summary_of(stream).open_items
        assert held.state == "offered"

    def test_an_offer_ends_with_a_closing_though_the_item_is_open_again(self) -> None:
        stream = person()
        item = opened(stream)
        said(stream, ItemOffered(to=Owner(role="referent")), item)
        closing = closed(stream, item)
        said(stream, ItemReopened(), item)
        (held,) = summary_of(stream).open_items
        assert held.state == "reopened"
        said(stream, EntryMarkedInError(), closing)
        (held,) = summary_of(stream).open_items
        assert held.state == "offered"

    def test_an_item_is_due_as_was_said_last_whatever_moment_was_given(self) -> None:
        stream = person()
        item = opened(stream)
        said(stream, ItemRevised(due="2026-12-20"), item)
        stream.add(
            ItemRevised(due="2026-11-24"), target=item.event_id, reason="plus tôt",
            occurred_at="2026-11-01",
        )  # fmt: skip
        (held,) = summary_of(stream).open_items
        assert held.due == "2026-11-24"


def test_a_doubt_about_the_identity_counts_though_it_is_about_an_older_day() -> None:
    stream = person()
    for _ in range(4):
        said(stream, InsStatusChanged(status="validee", proof="passeport"))
    stream.add(InsStatusChanged(status="provisoire"), occurred_at="2026-11-01")
    summary = summary_of(stream)
    assert summary.identity is not None
    assert summary.identity.identity_status == "provisoire"


class TestMeasuresFromElsewhere:
    def measured(self, stream: Stream, value: str, day: str, source: Source = FHIR) -> None:
        quantity = Quantity(value=value, unit="mmol/L", code="mmol/L")
        measure = ObservationRecorded(code=POTASSIUM, value=quantity)
        stream.add(measure, source=source, occurred_at=day)

    def test_a_critical_one_alarms_until_it_is_judged_whatever_is_measured_since(self) -> None:
        stream = person()
        self.measured(stream, "6.8", "2026-11-15")
        for _ in range(MANY):
            self.measured(stream, "4.1", "2026-11-16", Source())
        card = new_card(stream)
        assert (card["tier"], card["to_validate"]) == ("T0", 1)
        assert [alarm["text"] for alarm in card["alarms"]] == ["Potassium 6,8 mmol/L"]

    def test_old_ones_of_a_list_of_years_are_let_go(self) -> None:
        stream = person()
        for _ in range(MANY):
            self.measured(stream, "6.8", "2019")
        assert len(summary_of(stream).slot("results")) == 3

    def test_a_critical_one_written_here_is_on_the_card_until_somebody_judges_the_patient(
        self,
    ) -> None:
        stream = person()
        self.measured(stream, "6.8", "2026-11-16", Source())
        assert new_card(stream)["tier"] == "T0"
        said(stream, IllnessSeveritySet(severity="stable"))
        assert new_card(stream)["tier"] != "T0"


class TestManyChanges:
    def test_a_dose_is_the_right_one_however_often_it_was_changed(self) -> None:
        stream = person()
        drug = said(stream, MedicationStarted(concept=Concept(text="Warfarine"), dose_text="2 mg"))
        wrong = said(stream, MedicationChanged(frequency="deux fois par jour"), drug)
        said(stream, MedicationChanged(dose_text="5 mg"), drug)
        stream.add(
            MedicationChanged(dose_text="3 mg"), target=drug.event_id, reason="écrit en retard",
            occurred_at="2026-11-01",
        )  # fmt: skip
        for number in range(MANY):
            said(stream, MedicationChanged(indication=f"motif {number}"), drug)
        (line,) = summary_of(stream).slot("medications")
        assert line.detail["dose_text"] == "5 mg"
        assert line.detail["frequency"] == "deux fois par jour"
        assert len(line.revisions) < MANY
        said(stream, EntryMarkedInError(), wrong)
        (line,) = folded_by_the_feed(stream).slot("medications")
        assert "frequency" not in line.detail
        assert line.detail["dose_text"] == "5 mg"

    def test_the_last_day_of_an_item_in_error_gives_back_the_day_before_it(self) -> None:
        stream = person()
        item = opened(stream)
        days = [f"2026-12-{day:02}" for day in range(1, 20)]
        changes = [said(stream, ItemRevised(due=day), item) for day in days]
        for change in changes[9:]:
            said(stream, EntryMarkedInError(), change)
        (held,) = folded_by_the_feed(stream).open_items
        assert held.due == "2026-12-09"


def test_a_partial_that_nobody_read_is_in_sight_though_its_item_was_closed() -> None:
    stream = person()
    line = ResultLine(code=POTASSIUM, value=Quantity(value="6.9", unit="mmol/L"))
    result = said(stream, ResultReceived(status="partial", title="Iono", lines=(line,)))
    item = said(
        stream,
        ItemOpened(kind="result", text="Lire", due="2026-11-20", follows=result.event_id),
    )
    said(stream, ItemClosed(outcome="not-needed", evidence="refait ailleurs"), item)
    assert new_card(stream)["tier"] == "T0"


def test_the_feed_asks_for_the_whole_record_for_new_words_about_old_ones_alone() -> None:
    stream = person()
    item = opened(stream)
    closing = closed(stream, item)
    summary = summary_of(stream)
    said(stream, IllnessSeveritySet(severity="stable"))
    assert not reads_whole(summary, stream.events[-1:])
    said(stream, EntryMarkedInError(), closing)
    assert reads_whole(summary, stream.events[-1:])
    assert not reads_whole(summary_of(stream), stream.events[-1:])
    assert to_bytes(folded_by_the_feed(stream)) == to_bytes(summary_of(stream))
