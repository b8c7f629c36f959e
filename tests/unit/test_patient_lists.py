"""Problems, allergies, treatments, measures, severity: what the lists of a record may hold."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from releve.domain.aggregates.patient.allergies import (
    AbsenceAsserted,
    AllergyRecorded,
    absence_of,
    current_allergies,
)
from releve.domain.aggregates.patient.corrections import EntryMarkedInError
from releve.domain.aggregates.patient.handover import HandoverWritten
from releve.domain.aggregates.patient.identity import Registered
from releve.domain.aggregates.patient.medications import MedicationStarted, is_active_medication
from releve.domain.aggregates.patient.observations import ObservationRecorded
from releve.domain.aggregates.patient.problems import (
    ProblemRecorded,
    current_problems,
    is_active_problem,
)
from releve.domain.aggregates.patient.severity import IllnessSeveritySet, current_severity
from releve.domain.commands import (
    AssertAbsence,
    RecordAllergy,
    RecordConsultation,
    RecordObservation,
    RecordProblem,
    SetIllnessSeverity,
    StartMedication,
)
from releve.domain.events import Source
from releve.domain.values import Coding, Component, Concept, Quantity
from support.given import NURSE, REFERENT, Told, entry, given
from support.treated import active

REGISTERED = Registered(birth_name="EXEMPLE")
ICD10 = "http://hl7.org/fhir/sid/icd-10"
HYPERTENSION = Concept(text="Hypertension", codings=(Coding(system=ICD10, code="I10"),))
PENICILLIN = Concept(text="Pénicilline")
NO_KNOWN_ALLERGY = Concept(
    text="Aucune allergie connue",
    codings=(Coding(system="http://snomed.info/sct", code="716186003"),),
)


def measure(loinc: str, value: str, unit: str, **fields: Any) -> RecordObservation:
    return RecordObservation(
        code=Concept(text="Mesure", codings=(Coding(system="http://loinc.org", code=loinc),)),
        value=Quantity(value=value, unit=unit),
        **fields,
    )


# Problems


def test_a_problem_is_recorded_once_as_active() -> None:
    same_code_other_words = Concept(
        text="HTA", codings=(Coding(system=ICD10, code="I10"), Coding(system="x", code="y"))
    )
    given(REGISTERED, active(HYPERTENSION)).when(
        RecordProblem(concept=same_code_other_words)
    ).refused("problem-already-active", field="concept")
    given(REGISTERED, active(Concept(text="Asthme"))).when(
        RecordProblem(concept=Concept(text=" asthme "))
    ).refused("problem-already-active")


@pytest.mark.parametrize(
    "before",
    [
        active(HYPERTENSION, laterality="left"),
        ProblemRecorded(concept=HYPERTENSION, clinical_status="resolved"),
        ProblemRecorded(concept=HYPERTENSION, clinical_status="active", verification="refuted"),
        Told(active(HYPERTENSION), source=Source(channel="fhir", system="urn:elsewhere")),
    ],
)
def test_another_side_an_old_episode_or_another_source_is_another_problem(
    before: ProblemRecorded | Told,
) -> None:
    given(REGISTERED, before).when(RecordProblem(concept=HYPERTENSION)).then(active(HYPERTENSION))


def test_a_problem_marked_in_error_may_be_recorded_again() -> None:
    marked = Told(EntryMarkedInError(), target=entry(2))
    given(REGISTERED, active(HYPERTENSION), marked).when(RecordProblem(concept=HYPERTENSION)).then(
        active(HYPERTENSION)
    )


def test_the_same_problem_twice_in_one_consultation_is_refused() -> None:
    problem = RecordProblem(concept=HYPERTENSION)
    given(REGISTERED).when(RecordConsultation(problems=(problem, problem))).refused(
        "problem-already-active", field="problems[1].concept"
    )


@pytest.mark.parametrize(
    ("command", "code", "field"),
    [
        (RecordProblem(concept=Concept(text=" ")), "missing-field", "concept.text"),
        (
            RecordProblem(concept=HYPERTENSION, clinical_status="ill"),
            "invalid-field",
            "clinical_status",
        ),
        (
            RecordProblem(concept=HYPERTENSION, verification="entered-in-error"),
            "invalid-field",
            "verification",
        ),
        (RecordProblem(concept=HYPERTENSION, onset="2027"), "in-the-future", "onset"),
        (RecordProblem(concept=HYPERTENSION, abatement="2020"), "invalid-field", "abatement"),
    ],
)
def test_a_problem_that_cannot_be_is_refused(command: RecordProblem, code: str, field: str) -> None:
    given(REGISTERED).when(command).invalid(code, field=field)


@pytest.mark.parametrize(
    ("status", "verification", "abatement", "shown"),
    [
        ("active", "confirmed", None, True),
        ("recurrence", None, None, True),
        ("relapse", "provisional", None, True),
        ("remission", "confirmed", None, False),
        ("resolved", "confirmed", None, False),
        ("inactive", None, None, False),
        ("active", "refuted", None, False),
        ("active", "entered-in-error", None, False),
        (None, None, None, True),
        (None, None, "2020", False),
    ],
)
def test_only_what_the_patient_has_now_is_active(
    status: str | None, verification: str | None, abatement: str | None, shown: bool
) -> None:
    problem = ProblemRecorded(
        concept=HYPERTENSION,
        clinical_status=status,
        verification=verification,
        abatement=abatement,
    )
    assert is_active_problem(problem) is shown
    assert [event.payload for event in current_problems(given(REGISTERED, problem).state)] == (
        [problem] if shown else []
    )


# Allergies


@pytest.mark.parametrize(
    ("status", "verification"),
    [("active", "refuted"), ("active", "entered-in-error"), ("resolved", None), ("inactive", None)],
)
def test_beside_a_refuted_or_resolved_allergy_none_may_be_said(
    status: str, verification: str | None
) -> None:
    allergy = AllergyRecorded(
        substance=PENICILLIN, clinical_status=status, verification=verification
    )
    record = given(REGISTERED, allergy)
    assert list(current_allergies(record.state)) == []
    assert entry(2) in record.state.entries
    record.when(AssertAbsence(slot="allergies")).then(
        AbsenceAsserted(slot="allergies", asked_on="2026-11-24")
    )


def test_none_known_is_not_said_over_an_active_allergy() -> None:
    food = AllergyRecorded(substance=Concept(text="Arachide"), categories=("food",))
    record = given(REGISTERED, food)
    record.when(AssertAbsence(slot="allergies")).refused("absence-contradicted")
    record.when(AssertAbsence(slot="allergies", part="food")).refused("absence-contradicted")
    record.when(AssertAbsence(slot="allergies", part="drug", asked_on="2026-11-23")).then(
        AbsenceAsserted(slot="allergies", part="drug", asked_on="2026-11-23")
    )


def test_none_known_is_not_said_beside_the_allergy_of_the_same_consultation() -> None:
    given(REGISTERED).when(
        RecordConsultation(
            allergies=(RecordAllergy(substance=PENICILLIN),),
            absences=(AssertAbsence(slot="allergies"),),
        )
    ).refused("absence-contradicted", field="absences[0].slot")


def test_absences_of_problems_and_treatments_follow_the_same_rule() -> None:
    record = given(REGISTERED, active(HYPERTENSION), MedicationStarted(concept=PENICILLIN))
    record.when(AssertAbsence(slot="problems")).refused("absence-contradicted")
    record.when(AssertAbsence(slot="medications")).refused("absence-contradicted")
    record.when(AssertAbsence(slot="devices")).then(
        AbsenceAsserted(slot="devices", asked_on="2026-11-24")
    )


@pytest.mark.parametrize(
    ("zone", "asked"), [("Europe/Paris", "2026-11-23"), ("Indian/Reunion", "2026-11-24")]
)
def test_today_is_the_centres_civil_day(zone: str, asked: str) -> None:
    late = datetime.fromisoformat("2026-11-23T22:30:00+00:00")
    record = given(REGISTERED)
    said = AssertAbsence(slot="allergies")
    record.when(said, by=REFERENT, now=late, zone=zone).then(
        AbsenceAsserted(slot="allergies", asked_on=asked)
    )
    tomorrow = AssertAbsence(slot="allergies", asked_on="2026-11-24")
    answer = record.when(tomorrow, by=REFERENT, now=late, zone=zone)
    if zone == "Europe/Paris":
        answer.invalid("in-the-future", field="asked_on")
    else:
        answer.then(AbsenceAsserted(slot="allergies", asked_on="2026-11-24"))


def test_a_known_absence_code_is_never_a_substance() -> None:
    found = absence_of(NO_KNOWN_ALLERGY)
    assert found is not None
    assert (found.slot, found.part) == ("allergies", None)
    assert absence_of(PENICILLIN) is None
    given(REGISTERED).when(RecordAllergy(substance=NO_KNOWN_ALLERGY)).refused(
        "absence-is-not-a-substance"
    )


def test_an_allergy_is_recorded_once_as_active() -> None:
    allergy = AllergyRecorded(
        substance=PENICILLIN, clinical_status="active", verification="confirmed"
    )
    given(REGISTERED).when(RecordAllergy(substance=PENICILLIN)).then(allergy)
    given(REGISTERED, allergy).when(RecordAllergy(substance=PENICILLIN)).refused(
        "allergy-already-active"
    )


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"categories": ("latex",)}, "categories"),
        ({"criticality": "huge"}, "criticality"),
        ({"verification": "entered-in-error"}, "verification"),
        ({"clinical_status": "gone"}, "clinical_status"),
        ({"onset": "hier"}, "onset"),
    ],
)
def test_an_allergy_speaks_the_codes_of_fhir(fields: dict[str, Any], field: str) -> None:
    given(REGISTERED).when(RecordAllergy(substance=PENICILLIN, **fields)).invalid(
        "invalid-field", field=field
    )


# Treatments


def test_a_treatment_starts_today_where_nothing_else_is_said() -> None:
    given(REGISTERED).when(StartMedication(concept=Concept(text="Ramipril"))).then(
        MedicationStarted(concept=Concept(text="Ramipril"), start="2026-11-24")
    )


def test_a_dose_has_its_ucum_unit_and_the_end_follows_the_start() -> None:
    drug = Concept(text="Ramipril")
    given(REGISTERED).when(
        StartMedication(concept=drug, dose=Quantity(value="5", unit="comprimés"))
    ).invalid("invalid-field", field="dose.unit")
    given(REGISTERED).when(
        StartMedication(concept=drug, start="2026-11", end="2026-10-31")
    ).invalid("invalid-field", field="end")


def test_two_doctors_may_write_the_same_drug_side_by_side() -> None:
    drug = MedicationStarted(concept=Concept(text="Ramipril"), start="2026-11-24")
    given(REGISTERED, drug).when(StartMedication(concept=Concept(text="Ramipril"))).then(drug)


@pytest.mark.parametrize(
    ("status", "shown"),
    [
        ("active", True),
        ("on-hold", True),
        ("unknown", True),
        ("stopped", False),
        ("completed", False),
        ("entered-in-error", False),
        ("not-taken", False),
    ],
)
def test_only_its_status_ends_a_treatment(status: str, shown: bool) -> None:
    line = MedicationStarted(concept=PENICILLIN, status=status, end="2001")
    assert is_active_medication(line) is shown


@pytest.mark.parametrize(
    ("end", "status", "start"),
    [
        ("2026-11-23", "completed", None),
        ("2026-10", "completed", None),
        ("2026-11-24", "active", "2026-11-24"),
        ("2026-11", "active", "2026-11-24"),
        (None, "active", "2026-11-24"),
    ],
)
def test_a_treatment_whose_end_is_past_is_told_as_completed(
    end: str | None, status: str, start: str | None
) -> None:
    command = StartMedication(concept=PENICILLIN, end=end)
    given(REGISTERED).when(command).then(
        MedicationStarted(concept=PENICILLIN, status=status, start=start, end=end)
    )


# Measures


def test_a_measure_is_kept_exactly_as_written() -> None:
    asked = measure("29463-7", "71.50", "kg")
    answer = given(REGISTERED).when(asked, by=NURSE)
    answer.then(ObservationRecorded(code=asked.code, value=Quantity(value="71.50", unit="kg")))


def test_a_measure_may_have_been_taken_before_the_stint() -> None:
    earlier = RecordObservation(
        code=measure("2823-3", "4.1", "mmol/L").code,
        value=Quantity(value="4.1", unit="mmol/L"),
        occurred_at="2026-11-18",
    )
    answer = given(REGISTERED).when(earlier)
    assert answer.events[0].envelope.occurred_at == "2026-11-18"


@pytest.mark.parametrize(
    ("asked", "code", "field"),
    [
        (measure("2823-4", "4.1", "mmol/L"), "invalid-field", "code"),
        (measure("2823-3", "4.1", "mg/dL"), "unit-not-expected", "value.unit"),
        (measure("2823-3", "41", "mmol/L"), "implausible-value", "value.value"),
        (measure("2823-3", "4.1e1", "mmol/L"), "invalid-field", "value.value"),
        (measure("2823-3", "4.1", "mmol par litre"), "invalid-field", "value.unit"),
        (
            RecordObservation(code=Concept(text="Poids"), value=Quantity(value="7", unit="kg")),
            "missing-field",
            "code",
        ),
        (RecordObservation(code=measure("29463-7", "7", "kg").code), "missing-field", "value"),
    ],
)
def test_a_measure_that_cannot_be_is_refused(
    asked: RecordObservation, code: str, field: str
) -> None:
    given(REGISTERED).when(asked).invalid(code, field=field)


def test_an_unusual_value_is_confirmed_by_its_author() -> None:
    given(REGISTERED).when(measure("2823-3", "6.9", "mmol/L")).refused(
        "unusual-value", field="value.value"
    )
    answer = given(REGISTERED).when(measure("2823-3", "6.9", "mmol/L", confirmed=True))
    payload = answer.events[0].payload
    assert isinstance(payload, ObservationRecorded)
    assert payload.confirmed
    usual = given(REGISTERED).when(measure("2823-3", "4.9", "mmol/L", confirmed=True))
    payload = usual.events[0].payload
    assert isinstance(payload, ObservationRecorded)
    assert not payload.confirmed


def test_each_component_is_measured_on_its_own() -> None:
    def part(loinc: str, value: str) -> Component:
        return Component(
            code=Concept(text="PA", codings=(Coding(system="http://loinc.org", code=loinc),)),
            value=Quantity(value=value, unit="mm[Hg]"),
        )

    panel = Concept(text="PA", codings=(Coding(system="http://loinc.org", code="85354-9"),))
    good = RecordObservation(code=panel, components=(part("8480-6", "132"), part("8462-4", "81")))
    given(REGISTERED).when(good).then(ObservationRecorded(code=panel, components=good.components))
    bad = RecordObservation(code=panel, components=(part("8480-6", "132"), part("8462-4", "810")))
    given(REGISTERED).when(bad).invalid("implausible-value", field="components[1].value.value")


# Severity


def test_a_patient_who_is_not_stable_has_a_reason() -> None:
    given(REGISTERED).when(SetIllnessSeverity(severity="unstable")).refused(
        "severity-reason-missing", field="reason"
    )
    given(REGISTERED).when(SetIllnessSeverity(severity="stable")).then(
        IllnessSeveritySet(severity="stable")
    )


def test_the_last_severity_that_stands_counts_and_never_expires() -> None:
    worse = IllnessSeveritySet(severity="unstable", reason="Dyspnée", review_by="2020-01-01")
    better = IllnessSeveritySet(severity="stable")
    assert current_severity(given(REGISTERED, better, worse).state) == "unstable"
    undone = given(REGISTERED, worse, better, Told(EntryMarkedInError(), target=entry(3))).state
    assert current_severity(undone) == "unstable"


LAST_WEEK = "2026-11-18T10:00:00+01:00"


def test_a_late_severity_about_last_week_is_not_todays() -> None:
    worse = IllnessSeveritySet(severity="unstable", reason="Dyspnée")
    late = Told(IllnessSeveritySet(severity="stable"), at=LAST_WEEK)
    assert current_severity(given(REGISTERED, worse, late).state) == "unstable"
    undone = given(REGISTERED, worse, late, Told(EntryMarkedInError(), target=entry(2))).state
    assert current_severity(undone) == "stable"


def test_a_handover_that_says_it_again_holds_against_a_late_entry_between_the_two() -> None:
    first = Told(IllnessSeveritySet(severity="unstable", reason="Dyspnée"), at=LAST_WEEK)
    again = HandoverWritten(severity="unstable", summary="IC")
    between = Told(IllnessSeveritySet(severity="stable"), at="2026-11-20T10:00:00+01:00")
    assert current_severity(given(REGISTERED, first, again, between).state) == "unstable"
