"""Who the patient is in the summary, what they wait for, and when it is to be read again."""

from __future__ import annotations

from datetime import date, timedelta
from uuid import UUID

from releve.domain.aggregates.patient.ald import AldStatusChanged
from releve.domain.aggregates.patient.appointments import AppointmentNoticed
from releve.domain.aggregates.patient.corrections import EntryMarkedInError
from releve.domain.aggregates.patient.death import DeathRecorded
from releve.domain.aggregates.patient.encounters import EncounterRecorded
from releve.domain.aggregates.patient.identity import MedecinTraitantDeclared, Registered
from releve.domain.aggregates.patient.ins import InsStatusChanged
from releve.domain.aggregates.patient.problems import ProblemRecorded, ProblemRevised
from releve.domain.aggregates.patient.questions import (
    OpinionRecorded,
    QuestionAnswered,
    QuestionAsked,
)
from releve.domain.aggregates.patient.summary_review import SummaryReviewed
from releve.domain.events import Author
from releve.domain.values import Concept
from releve.projections.ranking import extract
from releve.projections.rule_release import load_rules
from releve.projections.summary_staleness import review_due
from support.patient_events import CENTRE, MONDAY, Stream, summary_of

DR_LENOIR = Author(role="doctor", name="Dr Paul Lenoir", person=UUID(int=8))
DAY = date(2026, 11, 23)


class TestIdentity:
    def test_is_incomplete_while_one_of_five_traits_is_missing(self) -> None:
        stream = Stream()
        traits = Registered(
            birth_name="EXEMPLE", first_names=("Jeanne",), birth_date="1948-03-02", sex="female"
        )
        stream.add(traits)
        assert summary_of(stream).identity_incomplete
        stream = Stream()
        stream.add(
            Registered(
                birth_name="EXEMPLE",
                first_names=("Jeanne",),
                birth_date="1948-03-02",
                sex="female",
                birth_place="23096",
            )
        )
        assert not summary_of(stream).identity_incomplete

    def test_medecin_traitant_is_the_last_one_declared(self) -> None:
        stream = Stream()
        stream.add(
            MedecinTraitantDeclared(kind="centre", since="2026-01-01", centre=CENTRE), centre=None
        )
        wrong = stream.add(MedecinTraitantDeclared(kind="person", since="2026-02-01", name="Dr B"))
        summary = summary_of(stream)
        assert summary.medecin_traitant is not None
        assert summary.medecin_traitant.entry_id == wrong.event_id
        assert summary.centres == [CENTRE]
        stream.add(EntryMarkedInError(), target=wrong.event_id, reason="confusion")
        attending = summary_of(stream).medecin_traitant
        assert attending is not None
        assert attending.detail["kind"] == "centre"

    def test_medecin_traitant_is_the_one_with_the_latest_date(self) -> None:
        stream = Stream()
        now = stream.add(MedecinTraitantDeclared(kind="centre", since="2026-01-01", centre=CENTRE))
        stream.add(MedecinTraitantDeclared(kind="person", since="2020", name="Dr Ancien"))
        attending = summary_of(stream).medecin_traitant
        assert attending is not None
        assert attending.entry_id == now.event_id


class TestWhoThePatientIs:
    def test_ins_status_is_the_last_that_stands(self) -> None:
        stream = Stream()
        stream.add(Registered(birth_name="EXEMPLE"))
        wrong = stream.add(InsStatusChanged(status="qualifiee", proof="passeport"))
        identity = summary_of(stream).identity
        assert identity is not None
        assert identity.identity_status == "qualifiee"
        stream.add(EntryMarkedInError(), target=wrong.event_id, reason="autre patient")
        identity = summary_of(stream).identity
        assert identity is not None
        assert identity.identity_status == "provisoire"

    def test_an_appointment_is_what_the_agenda_last_said(self) -> None:
        stream = Stream()
        for starts_at in ("2026-11-24T09:00:00+01:00", "2026-11-25T10:00:00+01:00"):
            stream.add(AppointmentNoticed(starts_at=starts_at, reference="A1"))
        following = summary_of(stream).next_appointment(DAY)
        assert following is not None
        assert following.detail["starts_at"].startswith("2026-11-25")
        stream.add(
            AppointmentNoticed(
                starts_at="2026-11-25T10:00:00+01:00", status="cancelled", reference="A1"
            )
        )
        assert summary_of(stream).next_appointment(DAY) is None

    def test_many_past_appointments_never_push_out_the_next_one(self) -> None:
        stream = Stream()
        for number in range(60):
            starts_at = (MONDAY - timedelta(days=60 - number)).isoformat()
            stream.add(AppointmentNoticed(starts_at=starts_at, reference=f"P{number}"))
        stream.add(AppointmentNoticed(starts_at="2026-12-01T09:00:00+01:00", reference="N"))
        for number in range(60, 120):
            starts_at = (MONDAY - timedelta(days=120 - number)).isoformat()
            stream.add(AppointmentNoticed(starts_at=starts_at, reference=f"P{number}"))
        summary = summary_of(stream)
        assert len(summary.appointments) <= 24
        following = summary.next_appointment(DAY)
        assert following is not None
        assert following.detail["reference"] == "N"
        assert [line.detail["reference"] for line in extract(summary).appointments] == ["N"]

    def test_an_ald_is_in_force_until_it_ends(self) -> None:
        stream = Stream()
        stream.add(AldStatusChanged(status="granted", code="8"))
        stream.add(AldStatusChanged(status="granted", code="30"))
        stream.add(AldStatusChanged(status="ended", code="30"))
        assert [line.detail["code"] for line in summary_of(stream).ald_in_force] == ["8"]

    def test_a_question_is_open_until_it_is_answered(self) -> None:
        stream = Stream()
        asked = stream.add(QuestionAsked(to=UUID(int=8), to_name="Dr Paul Lenoir", text="?"))
        assert [each.to for each in summary_of(stream).open_questions] == [UUID(int=8)]
        stream.add(QuestionAnswered(text="Toux"), target=asked.event_id, author=DR_LENOIR)
        assert summary_of(stream).open_questions == []

    def test_a_challenge_stands_beside_the_problem_until_somebody_answers(self) -> None:
        stream = Stream()
        problem = stream.add(ProblemRecorded(concept=Concept(text="Arthrose")))
        stream.add(
            OpinionRecorded(stance="challenges", text="goutte ?"),
            target=problem.event_id,
            author=DR_LENOIR,
        )
        summary = summary_of(stream)
        (line,) = summary.slot("problems")
        assert summary.challenge_of(line) is not None
        stream.add(ProblemRevised(clinical_status="active"), target=problem.event_id, reason="vu")
        summary = summary_of(stream)
        (line,) = summary.slot("problems")
        assert summary.challenge_of(line) is None


class TestReviewOfTheSummary:
    def due(self, stream: Stream, day: date = DAY) -> date | None:
        found = review_due(summary_of(stream), load_rules(), day)
        return found.due if found else None

    def opened(self, birth_date: str = "1980-01-01") -> Stream:
        stream = Stream()
        stream.add(Registered(birth_name="EXEMPLE", birth_date=birth_date))
        return stream

    def test_is_due_after_a_year_and_after_three_months_for_who_is_frail(self) -> None:
        assert self.due(self.opened()) == date(2027, 11, 16)
        assert self.due(self.opened("1951-11-23")) == date(2027, 2, 16)
        assert self.due(self.opened("1951-11-24")) == date(2027, 11, 16)
        ald = self.opened()
        ald.add(AldStatusChanged(status="granted", code="8"))
        assert self.due(ald) == date(2027, 2, 16)
        ehpad = self.opened()
        ehpad.add(EncounterRecorded(mode="ehpad"))
        assert self.due(ehpad) == date(2027, 2, 16)

    def test_reading_some_slots_is_not_reading_the_summary(self) -> None:
        stream = self.opened()
        stream.add(SummaryReviewed(slots=("problems",), next_review="2026-12-01"))
        assert summary_of(stream).summary_review is None
        assert self.due(stream) == date(2027, 11, 16)
        whole = stream.add(SummaryReviewed(next_review="2027-01-31"))
        for _ in range(4):
            stream.add(SummaryReviewed(slots=("allergies",)))
        kept = summary_of(stream).summary_review
        assert kept is not None
        assert kept.entry_id == whole.event_id
        assert self.due(stream) == date(2027, 1, 31)

    def test_counts_from_the_last_reading_that_stands_and_no_later_than_it_said(self) -> None:
        stream = self.opened()
        read = stream.add(SummaryReviewed(next_review="2027-01-31"))
        assert self.due(stream) == date(2027, 1, 31)
        stream.add(EntryMarkedInError(), target=read.event_id, reason="autre patient")
        assert self.due(stream) == date(2027, 11, 16)
        stream.add(SummaryReviewed(next_review="2040-01-01"))
        assert self.due(stream) == date(2027, 11, 16)
        stream.add(DeathRecorded(date="2026-11-20", source="famille"))
        assert self.due(stream) is None
