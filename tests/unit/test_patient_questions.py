"""Questions to a colleague and second looks: who asks, who answers, until when."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

import pytest

from releve.domain.aggregates.deciding import Colleague
from releve.domain.aggregates.patient.encounters import NoteAmended, NoteSigned
from releve.domain.aggregates.patient.problems import ProblemRevised, current_problems
from releve.domain.aggregates.patient.questions import (
    OpinionRecorded,
    QuestionAnswered,
    QuestionAsked,
    open_challenges,
    open_questions_to,
)
from releve.domain.aggregates.patient.record import Patient
from releve.domain.commands import AnswerQuestion, AskQuestion, RecordOpinion
from support.given import AMONT, AVAL, NOW, REFERENT, Given, Told, entry, given, named, stint_of
from support.treated import IDENTITY, RAMIPRIL, WRONG, active

# Questions

ASKED = QuestionAsked(to=named("amont"), to_name="Dr Amont", text="Pourquoi l'arrêt ?")
ANSWER = AnswerQuestion(question=entry(3), text="Bradycardie à 42")
STOPPED = Told(RAMIPRIL)


def questioned() -> Given:
    return given(IDENTITY, STOPPED, Told(ASKED, author=AVAL, target=entry(2)))


def test_a_question_goes_to_a_colleague_about_what_stands() -> None:
    command = AskQuestion(
        to=named("amont"), to_name="Dr Amont", text="Pourquoi l'arrêt ?", about=entry(2)
    )
    answer = given(IDENTITY, STOPPED).when(command, by=AVAL).then(ASKED)
    assert answer.events[0].envelope.target == entry(2)
    given(IDENTITY, STOPPED).when(command, by=AMONT).refused("asked-of-oneself", field="to")
    given(IDENTITY, STOPPED, Told(WRONG, target=entry(2))).when(command, by=AVAL).refused(
        "entry-not-current", field="about"
    )
    late = AskQuestion(to=named("amont"), to_name="Dr Amont", text="x", due="2026-11-23")
    given(IDENTITY).when(late, by=AVAL).invalid("in-the-past", field="due")
    about_identity = AskQuestion(to=named("amont"), to_name="x", text="x", about=entry(1))
    given(IDENTITY).when(about_identity, by=AVAL).refused("no-subject", field="about")


@pytest.mark.parametrize(
    ("colleague", "code"),
    [
        (Colleague(), "unknown-colleague"),
        (Colleague(names=("Dr Amont",)), "unknown-colleague"),
        (Colleague(names=("Dr Amont",), stays_until=NOW - timedelta(days=14, hours=1)),
         "answer-window-over"),
        (Colleague(names=("Dr Maud Aval",), standing=True), "another-name"),
        (Colleague(names=("Dr Amont",), stays_until=NOW - timedelta(days=13)), None),
        (Colleague(names=("Dr Amont",), stays_until=NOW + timedelta(days=9)), None),
        (Colleague(names=("Docteur Léa AMONT",), standing=True), None),
    ],
)  # fmt: skip
def test_a_question_goes_where_an_answer_can_come(colleague: Colleague, code: str | None) -> None:
    command = AskQuestion(to=named("amont"), to_name="Dr Amont", text="Pourquoi l'arrêt ?")
    answer = given(IDENTITY).when(command, by=AVAL, colleague=colleague)
    if code is None:
        answer.then(ASKED)
    else:
        answer.refused(code, field="to_name" if code == "another-name" else "to")


def test_who_was_asked_answers_once() -> None:
    state = questioned().state
    assert [e.event_id for e in open_questions_to(state, named("amont"))] == [entry(3)]
    assert open_questions_to(state, named("aval")) == []
    answer = questioned().when(ANSWER).then(QuestionAnswered(text="Bradycardie à 42"))
    assert open_questions_to(answer.state, named("amont")) == []
    Given("patient", answer.state).when(ANSWER).refused("already-answered", field="question")
    questioned().when(ANSWER, by=AVAL).refused("not-asked", field="question")
    questioned().when(ANSWER, by=REFERENT).refused("not-asked", field="question")


END_OF_STINT = datetime.fromisoformat("2026-11-28T13:00:00+01:00")


@pytest.mark.parametrize(
    ("after", "answered"),
    [
        (timedelta(hours=1), True),
        (timedelta(hours=73), True),
        (timedelta(days=14), True),
        (timedelta(days=14, seconds=1), False),
    ],
)
def test_an_answer_comes_until_day_14_after_the_stint_and_is_no_late_entry(
    after: timedelta, answered: bool
) -> None:
    answer = questioned().when(ANSWER, now=END_OF_STINT + after)
    if answered:
        answer.then(QuestionAnswered(text="Bradycardie à 42"))
        assert answer.events[0].envelope.reason is None
    else:
        answer.refused("outside-stint")
    other = AskQuestion(to=named("aval"), to_name="Dr Aval", text="Et ensuite ?")
    questioned().when(other, now=END_OF_STINT + after).refused(
        "outside-stint" if after > timedelta(hours=72) else "late-reason-missing"
    )


def test_an_answer_still_needs_a_stint_of_its_author() -> None:
    questioned().when(ANSWER, stint=stint_of(AVAL)).refused("outside-stint")
    future = stint_of(AMONT, "2026-11-30T08:00:00+01:00", "2026-12-05T13:00:00+01:00")
    questioned().when(ANSWER, stint=future, now=NOW).refused("outside-stint")


# Opinions

Stance = Literal["agrees", "challenges", "adds"]


def opinion(stance: Stance, place: int = 2) -> RecordOpinion:
    return RecordOpinion(about=entry(place), stance=stance, text="Plutôt veineux")


CHALLENGE = Told(OpinionRecorded(stance="challenges", text="Veineux"), AVAL, target=entry(2))


def challenged(patient: Patient) -> list[UUID]:
    return [event.event_id for event in open_challenges(patient)]


def test_an_opinion_stands_beside_an_entry_it_never_changes() -> None:
    answer = given(IDENTITY, active()).when(opinion("challenges"), by=AVAL)
    answer.then(OpinionRecorded(stance="challenges", text="Plutôt veineux"))
    assert answer.state.entries[entry(2)].payload == active()
    assert [e.event_id for e in current_problems(answer.state)] == [entry(2)]
    assert len(challenged(answer.state)) == 1


@pytest.mark.parametrize(
    "reply",
    [
        Told(OpinionRecorded(stance="adds", text="Œdème bilatéral"), AMONT, target=entry(2)),
        Told(OpinionRecorded(stance="agrees", text="Vu"), AVAL, target=entry(2)),
        Told(ProblemRevised(verification="provisional"), REFERENT, target=entry(2)),
        Told(WRONG, AMONT, target=entry(2)),
        Told(WRONG, AVAL, target=entry(3)),
    ],
)
def test_a_challenge_is_shown_until_it_is_answered(reply: Told) -> None:
    assert challenged(given(IDENTITY, active(), CHALLENGE).state) == [entry(3)]
    assert challenged(given(IDENTITY, active(), CHALLENGE, reply).state) == []


@pytest.mark.parametrize(
    "reply",
    [
        Told(OpinionRecorded(stance="agrees", text="Moi aussi"), REFERENT, target=entry(2)),
        Told(OpinionRecorded(stance="challenges", text="Si"), AVAL, target=entry(2)),
    ],
)
def test_what_others_say_does_not_answer_a_challenge(reply: Told) -> None:
    assert entry(3) in challenged(given(IDENTITY, active(), CHALLENGE, reply).state)


def test_a_revision_before_a_challenge_is_no_answer_to_it() -> None:
    revised = Told(ProblemRevised(severity="x"), AMONT, target=entry(2))
    before = given(IDENTITY, active(), revised, CHALLENGE)
    assert challenged(before.state) == [entry(4)]


def test_an_addendum_answers_who_challenged_a_note() -> None:
    note = NoteSigned(assessment="Insuffisance cardiaque")
    added = Told(NoteAmended(kind="addendum", text="BNP demandé"), AMONT, target=entry(2))
    assert challenged(given(IDENTITY, note, CHALLENGE, added).state) == []


def test_the_author_speaks_beside_their_own_entry_only_when_challenged() -> None:
    given(IDENTITY, active()).when(opinion("adds")).refused("own-entry", field="about")
    answer = given(IDENTITY, active(), CHALLENGE).when(opinion("adds"))
    assert challenged(answer.state) == []
    given(IDENTITY, active(), CHALLENGE).when(opinion("agrees", 3)).refused(
        "opinion-on-an-opinion", field="about"
    )
