"""What changes a line that was written before: revisions, stops, verdicts, corrections."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import msgspec
import pytest

from releve.domain.aggregates.patient.allergies import (
    AbsenceAsserted,
    AllergyRecorded,
    AllergyRevised,
    allergy_in_force,
    current_allergies,
)
from releve.domain.aggregates.patient.corrections import EntryReinstated
from releve.domain.aggregates.patient.death import DeathRecorded
from releve.domain.aggregates.patient.documents import DocumentAttached
from releve.domain.aggregates.patient.encounters import NoteSigned
from releve.domain.aggregates.patient.history import (
    DeviceRecorded,
    HistoryRecorded,
    ImmunizationRecorded,
    ProcedureRecorded,
    current_devices,
)
from releve.domain.aggregates.patient.medications import (
    MedicationChanged,
    MedicationReconciled,
    MedicationStopped,
    current_medications,
    medication_in_force,
)
from releve.domain.aggregates.patient.problems import (
    ProblemRecorded,
    ProblemRevised,
    current_problems,
    problem_in_force,
)
from releve.domain.aggregates.patient.validation import (
    EntryValidated,
    awaiting_validation,
)
from releve.domain.commands import (
    AssertAbsence,
    ChangeMedication,
    MarkEntryInError,
    ReconcileMedications,
    RecordDevice,
    RecordHistory,
    RecordImmunization,
    RecordProblem,
    RecordProcedure,
    ReinstateEntry,
    ReviseAllergy,
    ReviseProblem,
    StopMedication,
    ValidateEntry,
)
from releve.domain.events import Channel, Payload, Source
from releve.domain.values import Concept, Quantity, Reaction
from support.given import AVAL, STREAM, Given, Told, entry, given, named
from support.treated import ASTHMA, IDENTITY, RAMIPRIL, WRONG, active

PENICILLIN = Concept(text="Pénicilline")


def allergic(**fields: Any) -> AllergyRecorded:
    return AllergyRecorded(
        substance=PENICILLIN, clinical_status="active", verification="confirmed", **fields
    )


def imported(payload: Any, channel: Channel = "cda", **source: Any) -> Told:
    return Told(payload, source=Source(channel=channel, system="urn:oid:2.999", **source))


# Problems


def test_a_problem_is_revised_for_a_reason_and_what_is_left_out_stays() -> None:
    command = ReviseProblem(
        problem=entry(2), reason="Guéri", clinical_status="resolved", abatement="2026-11-20"
    )
    answer = given(IDENTITY, active(onset="2019")).when(command)
    answer.then(ProblemRevised(clinical_status="resolved", abatement="2026-11-20"))
    assert answer.events[0].envelope.reason == "Guéri"
    assert list(current_problems(answer.state)) == []
    now = problem_in_force(answer.state, answer.state.entries[entry(2)])
    assert (now.clinical_status, now.abatement, now.onset, now.verification) == (
        "resolved",
        "2026-11-20",
        "2019",
        "confirmed",
    )


def test_a_problem_that_comes_back_has_no_end_any_more() -> None:
    over = ProblemRecorded(concept=ASTHMA, clinical_status="resolved", abatement="2020")
    back = ReviseProblem(problem=entry(2), reason="Rechute", clinical_status="relapse")
    state = given(IDENTITY, over).when(back).state
    assert problem_in_force(state, state.entries[entry(2)]).abatement is None
    assert [event.event_id for event in current_problems(state)] == [entry(2)]


def test_a_late_revision_does_not_undo_what_was_said_about_a_later_day() -> None:
    resolved = Told(
        ProblemRevised(clinical_status="resolved"), target=entry(2), at="2026-11-22T09:00:00+01:00"
    )
    late = Told(
        ProblemRevised(clinical_status="relapse"), target=entry(2), at="2026-11-01T09:00:00+01:00"
    )
    assert list(current_problems(given(IDENTITY, active(), resolved, late).state)) == []


def test_a_revision_marked_in_error_says_nothing() -> None:
    resolved = Told(ProblemRevised(clinical_status="resolved"), target=entry(2))
    wrong = Told(WRONG, target=entry(3))
    state = given(IDENTITY, active(), resolved, wrong).state
    assert [event.event_id for event in current_problems(state)] == [entry(2)]


def test_no_revision_makes_a_second_active_problem() -> None:
    over = ProblemRecorded(concept=ASTHMA, clinical_status="resolved")
    back = ReviseProblem(problem=entry(3), reason="Rechute", clinical_status="active")
    given(IDENTITY, active(), over).when(back).refused("problem-already-active")
    left = ReviseProblem(problem=entry(3), reason="Précisé", laterality="right")
    sides = (active(laterality="right"), active(laterality="left"))
    given(IDENTITY, *sides).when(left).refused("problem-already-active")
    resolved = Told(ProblemRevised(clinical_status="resolved"), target=entry(2))
    again = RecordProblem(concept=ASTHMA)
    assert given(IDENTITY, active(), resolved).when(again).refusal is None


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({}, "missing-field", "data"),
        ({"reason": " ", "verification": "refuted"}, "missing-field", "reason"),
        ({"clinical_status": "ill"}, "invalid-field", "clinical_status"),
        ({"verification": "entered-in-error"}, "invalid-field", "verification"),
        ({"abatement": "2026"}, "invalid-field", "abatement"),
        ({"onset": "2027"}, "in-the-future", "onset"),
        (
            {"clinical_status": "resolved", "onset": "2020", "abatement": "2019"},
            "invalid-field",
            "abatement",
        ),
    ],
)
def test_a_revision_that_cannot_be_is_refused(
    fields: dict[str, Any], code: str, field: str
) -> None:
    command = ReviseProblem(**{"problem": entry(2), "reason": "Relu", **fields})
    given(IDENTITY, active()).when(command).invalid(code, field=field)


@pytest.mark.parametrize(
    ("before", "code"),
    [
        ((), "unknown-entry"),
        ((NoteSigned(plan="x"),), "unknown-entry"),
        ((active(), Told(WRONG, target=entry(2))), "entry-not-current"),
        (
            (imported(active()), replace(imported(active(onset="2019")), target=entry(2))),
            "entry-not-current",
        ),
    ],
)
def test_only_a_problem_that_stands_is_revised(before: tuple[Any, ...], code: str) -> None:
    command = ReviseProblem(problem=entry(2), reason="Relu", verification="refuted")
    given(IDENTITY, *before).when(command).refused(code, field="problem")


# Allergies


def test_a_refuted_allergy_leaves_the_badge_and_only_then_may_none_be_known() -> None:
    none = AssertAbsence(slot="allergies", asked_on="2026-11-24")
    given(IDENTITY, allergic()).when(none).refused("absence-contradicted")
    refute = ReviseAllergy(allergy=entry(2), verification="refuted", reason="Test négatif")
    answer = given(IDENTITY, allergic()).when(refute)
    answer.then(AllergyRevised(verification="refuted"))
    assert answer.events[0].envelope.reason == "Test négatif"
    assert list(current_allergies(answer.state)) == []
    assert answer.state.entries[entry(2)].payload == allergic()
    Given("patient", answer.state).when(none).then(
        AbsenceAsserted(slot="allergies", asked_on="2026-11-24")
    )


def test_a_revision_adds_to_what_is_known_of_an_allergy() -> None:
    rash = (Reaction(description="Éruption"),)
    command = ReviseAllergy(
        allergy=entry(2), criticality="high", reactions=rash, reason="Interrogatoire"
    )
    state = given(IDENTITY, allergic(criticality="low")).when(command).state
    assert allergy_in_force(state, state.entries[entry(2)]) == allergic(
        criticality="high", reactions=rash
    )


def test_an_allergy_confirmed_again_is_not_a_second_one() -> None:
    refuted = Told(AllergyRevised(verification="refuted"), target=entry(2))
    confirm = ReviseAllergy(allergy=entry(2), verification="confirmed", reason="Récidive")
    before = (IDENTITY, allergic(), refuted)
    assert given(*before).when(confirm).refusal is None
    given(*before, allergic()).when(confirm).refused("allergy-already-active")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"clinical_status": "remission"}, "clinical_status"),
        ({"verification": "entered-in-error"}, "verification"),
        ({"criticality": "very"}, "criticality"),
    ],
)
def test_an_allergy_has_known_statuses(fields: dict[str, Any], field: str) -> None:
    command = ReviseAllergy(allergy=entry(2), reason="Relu", **fields)
    given(IDENTITY, allergic()).when(command).invalid("invalid-field", field=field)


# Treatments


def test_a_changed_treatment_is_one_line() -> None:
    change = ChangeMedication(
        medication=entry(2), dose_text="2 le matin", reason="Tension encore haute"
    )
    answer = given(IDENTITY, RAMIPRIL).when(change)
    answer.then(MedicationChanged(dose_text="2 le matin"))
    (event,) = current_medications(answer.state)
    assert event.event_id == entry(2)
    line = medication_in_force(answer.state, event)
    assert (line.dose_text, line.indication, line.start) == ("2 le matin", "HTA", "2024-01")


def test_a_treatment_is_stopped_for_a_reason_and_then_neither_changed_nor_stopped() -> None:
    stop = StopMedication(medication=entry(2), reason="Toux")
    answer = given(IDENTITY, RAMIPRIL).when(stop).then(MedicationStopped(stopped_on="2026-11-24"))
    assert answer.events[0].envelope.reason == "Toux"
    assert list(current_medications(answer.state)) == []
    again = Given("patient", answer.state)
    again.when(stop).refused("medication-over", field="medication")
    change = ChangeMedication(medication=entry(2), dose_text="2", reason="x")
    again.when(change).refused("medication-over", field="medication")
    none = AssertAbsence(slot="medications")
    given(IDENTITY, RAMIPRIL).when(none).refused("absence-contradicted")
    assert again.when(none).refusal is None


def test_a_stop_written_by_mistake_lets_the_treatment_run() -> None:
    stopped = Told(MedicationStopped(stopped_on="2026-11-23"), target=entry(2))
    state = given(IDENTITY, RAMIPRIL, stopped, Told(WRONG, target=entry(3))).state
    assert [medication_in_force(state, each) for each in current_medications(state)] == [RAMIPRIL]


@pytest.mark.parametrize(
    ("command", "code", "field"),
    [
        (StopMedication(medication=entry(2), reason=" "), "missing-field", "reason"),
        (
            StopMedication(medication=entry(2), reason="x", stopped_on="2026-11-25"),
            "in-the-future",
            "stopped_on",
        ),
        (
            StopMedication(medication=entry(2), reason="x", stopped_on="2023"),
            "invalid-field",
            "stopped_on",
        ),
        (ChangeMedication(medication=entry(2), reason="x"), "missing-field", "data"),
        (
            ChangeMedication(medication=entry(2), reason="", dose_text="2"),
            "missing-field",
            "reason",
        ),
        (
            ChangeMedication(medication=entry(2), reason="x", end="2026-11-23"),
            "in-the-past",
            "end",
        ),
        (
            ChangeMedication(
                medication=entry(2), reason="x", dose=Quantity(value="5", unit="cuillère")
            ),
            "invalid-field",
            "dose.unit",
        ),
    ],
)
def test_a_change_that_cannot_be_is_refused(command: Any, code: str, field: str) -> None:
    given(IDENTITY, RAMIPRIL).when(command).invalid(code, field=field)


def test_a_reconciled_list_holds_what_it_confirms() -> None:
    command = ReconcileMedications(against="ordonnance de sortie", checked=(entry(2),))
    given(IDENTITY, RAMIPRIL).when(command).then(
        MedicationReconciled(against="ordonnance de sortie", checked=(entry(2),))
    )
    given(IDENTITY, active()).when(command).refused("unknown-entry", field="checked[0]")
    twice = ReconcileMedications(against="x", checked=(entry(2), entry(2)))
    given(IDENTITY, RAMIPRIL).when(twice).invalid("invalid-field", field="checked")


# The other slots

FLU = Concept(text="Grippe saisonnière")


def test_a_vaccination_is_given_or_not_done_for_a_reason() -> None:
    given_now = RecordImmunization(vaccine=FLU, given_on="2026-11-23", lot="EX1", dose_number=1)
    given(IDENTITY).when(given_now).then(
        ImmunizationRecorded(vaccine=FLU, given_on="2026-11-23", lot="EX1", dose_number=1)
    )
    not_done = RecordImmunization(vaccine=FLU, status="not-done", reason="Fièvre")
    given(IDENTITY).when(not_done).then(
        ImmunizationRecorded(vaccine=FLU, status="not-done", reason="Fièvre")
    )
    before = ImmunizationRecorded(vaccine=FLU, given_on="2026-11-23")
    given(IDENTITY, before).when(given_now).refused("already-recorded", field="vaccine")


@pytest.mark.parametrize(
    ("command", "code", "field"),
    [
        (RecordImmunization(vaccine=FLU, status="not-done"), "missing-field", "reason"),
        (
            RecordImmunization(vaccine=FLU, status="not-done", reason="x", lot="EX1"),
            "invalid-field",
            "lot",
        ),
        (RecordImmunization(vaccine=FLU, given_on="2026-11-25"), "in-the-future", "given_on"),
        (RecordImmunization(vaccine=FLU, given_on="1947"), "before-birth", "given_on"),
        (RecordImmunization(vaccine=FLU, dose_number=0), "invalid-field", "dose_number"),
        (RecordProcedure(concept=ASTHMA, performed="1940"), "before-birth", "performed"),
        (RecordProcedure(concept=Concept(text="")), "missing-field", "concept.text"),
        (RecordDevice(concept=ASTHMA, since="2020", until="2019"), "invalid-field", "until"),
        (RecordHistory(slot="family-history", concept=ASTHMA), "missing-field", "relationship"),
        (
            RecordHistory(slot="lifestyle", concept=ASTHMA, relationship="père"),
            "invalid-field",
            "relationship",
        ),
        (
            RecordHistory(slot="lifestyle", concept=ASTHMA, value=Quantity(value="20")),
            "missing-field",
            "value.unit",
        ),
    ],
)
def test_history_that_cannot_be_is_refused(command: Any, code: str, field: str) -> None:
    given(IDENTITY).when(command).invalid(code, field=field)


def test_an_act_is_recorded_once_and_contradicts_none_known() -> None:
    gall = Concept(text="Cholécystectomie")
    done = ProcedureRecorded(concept=gall, performed="2014")
    command = RecordProcedure(concept=gall, performed="2014")
    given(IDENTITY).when(command).then(done)
    given(IDENTITY, done).when(command).refused("already-recorded", field="concept")
    none = AssertAbsence(slot="procedures")
    given(IDENTITY, done).when(none).refused("absence-contradicted")
    planned = ProcedureRecorded(concept=gall, status="not-done")
    assert given(IDENTITY, planned).when(none).refusal is None


def test_a_device_is_carried_until_its_end() -> None:
    pacemaker = Concept(text="Stimulateur")
    carried = DeviceRecorded(concept=pacemaker, since="2021-05")
    command = RecordDevice(concept=pacemaker, since="2021-05")
    answer = given(IDENTITY).when(command).then(carried)
    none = AssertAbsence(slot="devices")
    Given("patient", answer.state).when(none).refused("absence-contradicted")
    over = RecordDevice(concept=pacemaker, since="2021-05", until="2026-10")
    removed = DeviceRecorded(
        concept=pacemaker, status="completed", since="2021-05", until="2026-10"
    )
    ended = given(IDENTITY).when(over).then(removed)
    assert Given("patient", ended.state).when(none).refusal is None
    until_dusk = given(IDENTITY, DeviceRecorded(concept=pacemaker, until="2026-11-24")).state
    assert len(list(current_devices(until_dusk, date(2026, 11, 24)))) == 1
    assert list(current_devices(until_dusk, date(2026, 11, 25))) == []


def test_family_history_says_whose() -> None:
    command = RecordHistory(
        slot="family-history", concept=Concept(text="Infarctus"), relationship="père"
    )
    given(IDENTITY).when(command).then(
        HistoryRecorded(
            slot="family-history", concept=Concept(text="Infarctus"), relationship="père"
        )
    )


# Imported lines


def test_an_imported_line_is_accepted_once() -> None:
    before = given(IDENTITY, imported(active()))
    assert [e.event_id for e in awaiting_validation(before.state)] == [entry(2)]
    accept = ValidateEntry(entry=entry(2), verdict="accepted")
    answer = before.when(accept).then(EntryValidated(verdict="accepted"))
    assert answer.events[0].envelope.target == entry(2)
    line = answer.state.entries[entry(2)]
    assert list(awaiting_validation(answer.state)) == []
    assert answer.state.stands(line)
    Given("patient", answer.state).when(accept).refused("already-validated", field="entry")


def test_a_refused_line_leaves_every_current_view_with_its_reason() -> None:
    refuse = ValidateEntry(entry=entry(2), verdict="refused", reason="Autre patient")
    silent = ValidateEntry(entry=entry(2), verdict="refused")
    before = given(IDENTITY, imported(active()))
    before.when(silent).refused("reason-missing", field="reason")
    answer = before.when(refuse).then(EntryValidated(verdict="refused"))
    assert answer.events[0].envelope.reason == "Autre patient"
    line = answer.state.entries[entry(2)]
    assert not answer.state.stands(line)
    assert list(current_problems(answer.state)) == []
    Given("patient", answer.state).when(refuse).refused("already-validated")


def test_a_refusal_given_by_mistake_is_taken_back_and_given_again() -> None:
    refused = Told(EntryValidated(verdict="refused"), target=entry(2))
    taken_back = Told(WRONG, target=entry(3))
    before = given(IDENTITY, imported(active()), refused, taken_back)
    line = before.state.entries[entry(2)]
    assert before.state.stands(line)
    assert list(awaiting_validation(before.state)) == [line]
    accept = ValidateEntry(entry=entry(2), verdict="accepted")
    judged = before.when(accept)
    assert judged.refusal is None
    Given("patient", judged.state).when(
        ReinstateEntry(entry=entry(3), reason="Refus justifié")
    ).refused("written-again")


def test_a_refused_new_version_gives_the_old_one_back() -> None:
    newer = replace(imported(active(onset="2019")), target=entry(2))
    refused = Told(EntryValidated(verdict="refused"), target=entry(3))
    state = given(IDENTITY, imported(active()), newer, refused).state
    assert [e.event_id for e in current_problems(state)] == [entry(2)]


@pytest.mark.parametrize(
    ("told", "waits"),
    [
        (imported(active(), "fhir"), True),
        (imported(active(), "hprim"), True),
        (imported(active(), "pdf"), True),
        (imported(active(), "paste", author="Dr Ailleurs"), True),
        (imported(active(), "paste"), False),
        (imported(active(), "phone"), False),
        (imported(active(), "ui"), False),
        (imported(DocumentAttached(sha256="ab", size=1, media_type="x")), False),
    ],
)
def test_what_comes_from_elsewhere_waits_for_a_doctor(told: Told, waits: bool) -> None:
    before = given(IDENTITY, told)
    assert (len(list(awaiting_validation(before.state))) == 1) is waits
    answer = before.when(ValidateEntry(entry=entry(2), verdict="accepted"))
    if waits:
        assert answer.refusal is None
    else:
        answer.refused("not-imported", field="entry")


# Corrections


def test_a_reinstated_entry_has_its_first_author_and_time() -> None:
    wrong = Told(WRONG, target=entry(2), author=AVAL)
    command = ReinstateEntry(entry=entry(2), reason="C'était le bon dossier")
    answer = given(IDENTITY, Told(active(), author=AVAL, at="2026-11-20"), wrong).when(command)
    answer.then(EntryReinstated())
    (back,) = current_problems(answer.state)
    assert (back.event_id, back.envelope.author, back.envelope.occurred_at) == (
        entry(2),
        AVAL,
        "2026-11-20",
    )
    again = MarkEntryInError(entry=entry(2), reason="Si")
    assert Given("patient", answer.state).when(again).refusal is None


def test_only_what_is_in_error_is_reinstated() -> None:
    command = ReinstateEntry(entry=entry(2), reason="x")
    given(IDENTITY, active()).when(command).refused("not-in-error", field="entry")
    given(IDENTITY).when(command).refused("not-in-error", field="entry")
    empty = ReinstateEntry(entry=entry(2), reason=" ")
    wrong = Told(WRONG, target=entry(2))
    given(IDENTITY, active(), wrong).when(empty).invalid("missing-field", field="reason")


def test_what_a_document_brought_does_not_come_back_while_another_record_has_it() -> None:
    mark, elsewhere = MarkEntryInError(entry=entry(3), reason="Si"), named("another record")
    refusal = Told(EntryValidated(verdict="refused"), target=entry(2))
    wrong = Told(WRONG, target=entry(2))
    back = ReinstateEntry(entry=entry(2), reason="Si, bien ce dossier")
    for told, command in ((wrong, back), (refusal, mark)):
        record = given(IDENTITY, active(), told)
        record.when(command, document_with=elsewhere).refused("document-elsewhere", field="entry")
        for here in (None, STREAM):
            assert record.when(command, document_with=here).refusal is None
    said = given(IDENTITY, active()).when(
        MarkEntryInError(entry=entry(2), reason="Autre patient"), document_with=elsewhere
    )
    assert said.refusal is None


def test_a_reinstatement_does_not_make_two_of_one() -> None:
    wrong = Told(WRONG, target=entry(2))
    command = ReinstateEntry(entry=entry(2), reason="Si, bien ce dossier")
    given(IDENTITY, active(), wrong, active()).when(command).refused("problem-already-active")
    given(IDENTITY, allergic(), wrong, allergic()).when(command).refused("allergy-already-active")
    death = DeathRecorded(date="2026-11-20", source="Mairie")
    given(IDENTITY, death, wrong, death).when(command).refused("written-again", field="entry")


@pytest.mark.parametrize(
    ("one", "over", "again", "code"),
    [
        (active(), ProblemRevised(clinical_status="resolved"),
         ProblemRevised(clinical_status="active"), "problem-already-active"),
        (allergic(), AllergyRevised(verification="refuted"),
         AllergyRevised(verification="confirmed"), "allergy-already-active"),
    ],
    ids=["problem", "allergy"],
)  # fmt: skip
def test_taking_back_how_one_ended_does_not_make_two_of_one(
    one: Payload, over: Payload, again: Payload, code: str
) -> None:
    ended = Told(over, target=entry(2))
    mark = MarkEntryInError(entry=entry(3), reason="Autre patient")
    given(IDENTITY, one, ended, one).when(mark).refused(code, field="entry")
    assert given(IDENTITY, one, ended).when(mark).refusal is None
    both = (one, ended, one, Told(WRONG, target=entry(4)))
    assert given(IDENTITY, *both).when(mark).refusal is None
    back = (one, ended, Told(again, target=entry(2)), Told(WRONG, target=entry(4)), one)
    reinstate = ReinstateEntry(entry=entry(4), reason="Si")
    given(IDENTITY, *back).when(reinstate).refused(code, field="entry")


@pytest.mark.parametrize(
    ("one", "over", "code"),
    [
        (active(), ProblemRecorded(concept=ASTHMA, clinical_status="resolved"),
         "problem-already-active"),
        (allergic(), msgspec.structs.replace(allergic(), clinical_status="resolved"),
         "allergy-already-active"),
    ],
    ids=["problem", "allergy"],
)  # fmt: skip
def test_taking_back_a_version_or_a_refusal_does_not_make_two_of_one(
    one: Payload, over: Payload, code: str
) -> None:
    newer = Told(over, target=entry(2))
    mark = MarkEntryInError(entry=entry(3), reason="Autre patient")
    given(IDENTITY, one, newer, one).when(mark).refused(code, field="entry")
    assert given(IDENTITY, one, newer).when(mark).refusal is None

    refusal = Told(EntryValidated(verdict="refused"), target=entry(2))
    given(IDENTITY, imported(one), refusal, imported(one)).when(mark).refused(code, field="entry")
    assert given(IDENTITY, imported(one), refusal).when(mark).refusal is None

    # A newer version that waits stands beside the accepted one: they are one entry.
    accepted = Told(EntryValidated(verdict="accepted"), target=entry(2))
    again = Told(one, source=imported(one).source, target=entry(2))
    refused = Told(EntryValidated(verdict="refused"), target=entry(4))
    mark = MarkEntryInError(entry=entry(5), reason="Refus par erreur")
    assert given(IDENTITY, imported(one), accepted, again, refused).when(mark).refusal is None


def test_a_correction_is_not_itself_marked_in_error() -> None:
    wrong, back = Told(WRONG, target=entry(2)), Told(EntryReinstated(), target=entry(2))
    for place in (3, 4):
        given(IDENTITY, active(), wrong, back).when(
            MarkEntryInError(entry=entry(place), reason="x")
        ).refused("unknown-entry", field="entry")
