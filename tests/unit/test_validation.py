"""A document's lines judged together, and what the record already says of each."""

from __future__ import annotations

from datetime import date
from typing import Any
from uuid import UUID

import pytest

from releve.domain.aggregates.patient.allergies import AbsenceAsserted, AllergyRecorded
from releve.domain.aggregates.patient.comparison import bearings
from releve.domain.aggregates.patient.history import (
    DeviceRecorded,
    HistoryRecorded,
    ImmunizationRecorded,
    ProcedureRecorded,
)
from releve.domain.aggregates.patient.identity import Registered
from releve.domain.aggregates.patient.medications import MedicationStarted, MedicationStopped
from releve.domain.aggregates.patient.observations import ObservationRecorded
from releve.domain.aggregates.patient.open_items import (
    ItemClosed,
    ItemOpened,
    ItemReopened,
    open_items,
)
from releve.domain.aggregates.patient.problems import ProblemRecorded, ProblemRevised
from releve.domain.aggregates.patient.results import (
    InvestigationOrdered,
    ResultReceived,
    ResultReviewed,
)
from releve.domain.aggregates.patient.validation import (
    EntryValidated,
    awaiting_validation,
)
from releve.domain.commands import COMMANDS, Judgement, ValidateEntries
from releve.domain.errors import Invalid
from releve.domain.events import Payload, Source
from releve.domain.values import Coding, Concept
from support.given import COORDINATOR, NURSE, REFERENT, Told, When, entry, given

IDENTITY = Registered(birth_name="EXEMPLE")
VSM = Source(channel="cda", system="Centre hospitalier")
ASTHMA = ProblemRecorded(concept=Concept(text="Asthme"), clinical_status="active")
RAMIPRIL = MedicationStarted(concept=Concept(text="Ramipril 5 mg"))
IODINE = AllergyRecorded(substance=Concept(text="Iode"), clinical_status="active")
ACCEPTED, REFUSED = EntryValidated(verdict="accepted"), EntryValidated(verdict="refused")


def sent(payload: Payload, **more: Any) -> Told:
    """A line of the other system's document."""
    return Told(payload, source=VSM, **more)


def yes(place: int) -> Judgement:
    return Judgement(entry=entry(place), verdict="accepted")


def no(place: int, reason: str = "Autre patient") -> Judgement:
    return Judgement(entry=entry(place), verdict="refused", reason=reason)


def judge(*said: Judgement, by: Any = None, told: tuple[Payload | Told, ...] = ()) -> When:
    before = given(IDENTITY, *(told or (sent(ASTHMA), sent(RAMIPRIL), sent(IODINE))))
    command = ValidateEntries(judgements=said)
    return before.when(command) if by is None else before.when(command, by=by)


class TestJudgingSeveralLines:
    def test_each_line_becomes_an_event_of_its_own_and_the_others_wait(self) -> None:
        answer = judge(yes(2), no(4)).then(ACCEPTED, REFUSED)
        assert [each.envelope.target for each in answer.events] == [entry(2), entry(4)]
        assert [each.envelope.reason for each in answer.events] == [None, "Autre patient"]
        state = answer.state
        assert [each.event_id for each in awaiting_validation(state)] == [entry(3)]
        assert not state.stands(state.entries[entry(4)])
        assert state.entries[entry(4)].payload == IODINE

    def test_naming_no_line_accepts_none(self) -> None:
        judge().refused("nothing-judged", field="judgements")

    def test_a_command_without_lines_is_not_read_as_all_of_them(self) -> None:
        for data in ({}, {"judgements": "all"}, {"judgements": [{"verdict": "accepted"}]}):
            with pytest.raises(Invalid):
                COMMANDS["validate-entries"].parse(data)

    def test_one_wrong_line_keeps_all_of_them_from_being_written(self) -> None:
        judge(yes(2), no(3, " ")).refused("reason-missing", field="judgements[1].reason")
        judge(yes(2), yes(1)).refused("not-imported", field="judgements[1].entry")
        judge(yes(2), yes(9)).refused("unknown-entry", field="judgements[1].entry")
        judge(yes(2), no(2)).invalid("invalid-field", field="judgements[1].entry")

    def test_a_line_that_was_judged_meanwhile_is_named(self) -> None:
        told = (sent(ASTHMA), sent(RAMIPRIL), Told(ACCEPTED, target=entry(2)))
        judge(yes(3), no(2), told=told).refused("already-validated", field="judgements[1].entry")

    @pytest.mark.parametrize("author", [NURSE, COORDINATOR])
    def test_it_is_a_doctors(self, author: Any) -> None:
        judge(yes(2), by=author).refused("role-not-allowed")
        judge(yes(2), by=REFERENT).then(ACCEPTED)

    def test_two_refused_results_of_one_order_leave_it_awaited(self) -> None:
        order = InvestigationOrdered(
            kind="laboratory", text="Ionogramme", expected_by="2026-11-26", item=entry(3)
        )
        item = ItemOpened(kind="result", text="Ionogramme", due="2026-11-26", follows=entry(2))
        first, second = (
            sent(ResultReceived(status="final", title="Ionogramme", report=each, order=entry(2)))
            for each in ("R1", "R2")
        )
        read = ResultReviewed(verdict="normal", inform_patient=False)
        reviews = (Told(read, target=entry(4)), Told(read, target=entry(5)))
        done = Told(ItemClosed(outcome="done", evidence="Lu"), target=entry(3))
        told = (order, item, first, second, *reviews, done)
        judge(no(4), told=told).then(REFUSED)
        both = judge(no(4), no(5), told=told)
        assert [type(each.payload) for each in both.events].count(ItemReopened) == 1
        assert [each.event_id for each in open_items(both.state)] == [entry(3)]


def relations(*told: Payload | Told, of: int) -> list[tuple[str, UUID]]:
    """What bears on the ``of``-th event of a record."""
    state = given(IDENTITY, *told).state
    found = bearings(state, state.entries[entry(of)], date(2026, 11, 24))
    return [(each.relation, each.entry.event_id) for each in found]


def allergy(text: str, **more: Any) -> AllergyRecorded:
    return AllergyRecorded(substance=Concept(text=text), **more)


class TestWhatTheRecordSaysAlready:
    def test_nothing_of_the_same_name_is_nothing(self) -> None:
        assert relations(ASTHMA, RAMIPRIL, sent(IODINE), of=4) == []

    @pytest.mark.parametrize(
        ("known", "relation"),
        [
            (allergy("iode "), "same"),
            (allergy("Iode", clinical_status="resolved"), "over"),
            (allergy("Iode", verification="refuted"), "denied"),
            (AbsenceAsserted(slot="allergies"), "absent"),
            (MedicationStarted(concept=Concept(text="Iode")), "treatment"),
        ],
    )
    def test_of_an_allergy(self, known: Payload, relation: str) -> None:
        assert relations(known, sent(IODINE), of=3) == [(relation, entry(2))]

    def test_of_an_allergy_no_absence_of_another_part(self) -> None:
        food = AbsenceAsserted(slot="allergies", part="food")
        assert relations(food, sent(allergy("Iode", categories=("medication",))), of=3) == []
        assert relations(food, sent(allergy("Arachide", categories=("food",))), of=3) == [
            ("absent", entry(2))
        ]

    def test_of_none_known_everything_that_is(self) -> None:
        none = sent(AbsenceAsserted(slot="allergies"))
        gone = allergy("Latex", clinical_status="resolved")
        assert relations(IODINE, gone, none, of=4) == [("present", entry(2))]
        for slot, known in (
            ("problems", ASTHMA),
            ("medications", RAMIPRIL),
            ("procedures", ProcedureRecorded(concept=Concept(text="Cholécystectomie"))),
            ("devices", DeviceRecorded(concept=Concept(text="Stimulateur"))),
        ):
            said = sent(AbsenceAsserted(slot=slot))  # type: ignore[arg-type]  # each is one
            assert relations(known, said, of=3) == [("present", entry(2))], slot

    def test_of_a_treatment_that_runs_was_stopped_or_is_reacted_to(self) -> None:
        again = sent(RAMIPRIL)
        assert relations(RAMIPRIL, again, of=3) == [("same", entry(2))]
        stopped = Told(MedicationStopped(stopped_on="2026-11-20"), target=entry(2))
        assert relations(RAMIPRIL, stopped, again, of=4) == [("over", entry(2))]
        assert relations(allergy("Ramipril 5 mg"), again, of=3) == [("allergy", entry(2))]
        assert relations(AbsenceAsserted(slot="medications"), again, of=3) == [("absent", entry(2))]
        ended = sent(MedicationStarted(concept=RAMIPRIL.concept, status="completed"))
        assert relations(RAMIPRIL, ended, of=3) == [("over", entry(2))]

    def test_of_a_treatment_by_its_code_whatever_its_words(self) -> None:
        atc = (Coding(system="http://www.whocc.no/atc", code="C09AA05"),)
        known = MedicationStarted(concept=Concept(text="Triatec", codings=atc))
        said = sent(MedicationStarted(concept=Concept(text="Ramipril", codings=atc)))
        assert relations(known, said, of=3) == [("same", entry(2))]

    def test_of_a_problem_on_the_same_side(self) -> None:
        left = ProblemRecorded(concept=Concept(text="Gonarthrose"), laterality="gauche")
        right = sent(ProblemRecorded(concept=Concept(text="Gonarthrose"), laterality="droite"))
        unsaid = sent(ProblemRecorded(concept=Concept(text="Gonarthrose")))
        assert relations(left, right, of=3) == []
        assert relations(left, unsaid, of=3) == [("same", entry(2))]
        refuted = Told(ProblemRevised(verification="refuted"), target=entry(2))
        assert relations(left, refuted, unsaid, of=4) == [("denied", entry(2))]
        assert relations(AbsenceAsserted(slot="problems"), unsaid, of=3) == [("absent", entry(2))]

    @pytest.mark.parametrize(
        ("known", "said", "same"),
        [
            (
                ImmunizationRecorded(vaccine=Concept(text="Grippe"), given_on="2026-10-12"),
                ImmunizationRecorded(vaccine=Concept(text="Grippe"), given_on="2026-10"),
                True,
            ),
            (
                ImmunizationRecorded(vaccine=Concept(text="Grippe"), given_on="2025-10-12"),
                ImmunizationRecorded(vaccine=Concept(text="Grippe"), given_on="2026-10-12"),
                False,
            ),
            (
                ProcedureRecorded(concept=Concept(text="Appendicectomie")),
                ProcedureRecorded(concept=Concept(text="Appendicectomie"), performed="1998"),
                True,
            ),
            (
                HistoryRecorded(
                    slot="family-history", concept=Concept(text="Infarctus"), relationship="père"
                ),
                HistoryRecorded(
                    slot="family-history", concept=Concept(text="Infarctus"), relationship="mère"
                ),
                False,
            ),
            (
                ObservationRecorded(code=Concept(text="Poids")),
                ObservationRecorded(code=Concept(text="Poids")),
                False,
            ),
        ],
    )
    def test_of_the_other_lists(self, known: Payload, said: Payload, same: bool) -> None:
        assert relations(known, sent(said), of=3) == ([("same", entry(2))] if same else [])

    def test_what_was_refused_or_replaced_bears_on_nothing(self) -> None:
        refused = Told(REFUSED, target=entry(2))
        assert relations(sent(RAMIPRIL), refused, sent(RAMIPRIL), of=4) == []
        newer = sent(RAMIPRIL, target=entry(2))
        assert relations(sent(RAMIPRIL), newer, of=3) == []
