"""What is taken, what is refused, what is told: files of others, our own, and broken ones."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.bundles import (
    EXAMPLES,
    MUTANTS,
    PATIENT,
    SYNTHEA,
    accepted,
    allergy,
    coded,
    collection,
    condition,
    raw,
    read,
    statement,
)
from releve.domain.aggregates.patient.allergies import AbsenceAsserted, AllergyRecorded
from releve.domain.aggregates.patient.medications import MedicationStarted
from releve.domain.aggregates.patient.observations import ObservationRecorded
from releve.domain.aggregates.patient.problems import ProblemRecorded
from releve.fhir import exact_json
from releve.fhir.import_bundle import ImportPlan, plan
from releve.fhir.reading import UNREAD_RHYTHM

NEVER_UNMAPPED = {
    "Condition",
    "AllergyIntolerance",
    "Medication",
    "MedicationStatement",
    "MedicationRequest",
    "MedicationAdministration",
    "MedicationDispense",
}
PENICILLIN = coded("764146007", "Substance with penicillin structure (substance)")


@pytest.mark.parametrize("path", [*EXAMPLES, *SYNTHEA], ids=lambda path: path.name[:24])
def test_files_that_others_wrote_are_taken_whole(path: Path) -> None:
    planned = plan(path.read_bytes())
    assert planned.rejected == ()
    assert planned.warnings == ()
    (patient,) = planned.patients
    resources = [entry["resource"] for entry in read(path)["entry"]]
    lines = {"Condition", "AllergyIntolerance", "MedicationStatement", "MedicationRequest"}
    taken = [path for path in patient.entry_paths]
    for number, resource in enumerate(resources):
        if resource["resourceType"] in lines:
            assert f"Bundle.entry[{number}].resource" in taken
    assert not NEVER_UNMAPPED & {one.type for one in planned.unmapped}


@pytest.mark.parametrize("path", [*EXAMPLES, *SYNTHEA], ids=lambda path: path.name[:24])
def test_every_resource_is_either_taken_or_listed(path: Path) -> None:
    planned = plan(path.read_bytes())
    told = {one.path for one in planned.unmapped} | set(planned.patients[0].entry_paths)
    told.add(planned.patients[0].path)
    entries = read(path)["entry"]
    held = {
        one["reference"]
        for entry in entries
        for one in (*entry["resource"].get("result", ()), *entry["resource"].get("hasMember", ()))
    }
    for number, entry in enumerate(entries):
        resource = f"Bundle.entry[{number}].resource"
        if entry["resource"]["resourceType"] != "Medication" and entry["fullUrl"] not in held:
            assert resource in told


REFUSED = {
    "m01": "Bundle.entry[1].resource.foo",
    "m07": "Bundle.entry[0].resource.subject",
    "m14": "Bundle.entry[2].fullUrl",
    "m16": "Bundle.entry[9].resource.patient",
    "m19": "Bundle.timestamp",
}
WARNED = {
    "m02": "Bundle.entry[1].resource.gender",
    "m05": "Bundle.entry[0].resource.section",
    "m06": "Bundle.entry[0].resource.section[2]",
    "m10": "Bundle.entry[9].resource.clinicalStatus",
    "m18": "Bundle.entry[0].resource.section[0].text.div",
}


@pytest.mark.parametrize("mutant", REFUSED)
def test_a_bad_part_refuses_the_whole_file_with_its_path(mutant: str) -> None:
    planned = plan(MUTANTS[mutant].read_bytes())
    assert planned.patients == ()
    assert REFUSED[mutant] in [one.path for one in planned.rejected]
    assert all(one.reason for one in planned.rejected)


@pytest.mark.parametrize("mutant", WARNED)
def test_a_lesser_defect_is_taken_with_a_warning(mutant: str) -> None:
    planned = plan(MUTANTS[mutant].read_bytes())
    assert planned.rejected == ()
    assert len(planned.patients) == 1
    assert [one.path for one in planned.warnings] == [WARNED[mutant]]


def test_the_control_is_taken_clean() -> None:
    planned = plan(MUTANTS["m22"].read_bytes())
    assert (planned.rejected, planned.warnings) == ((), ())
    (patient,) = planned.patients
    problem = patient.entries[0].payload
    assert isinstance(problem, ProblemRecorded)
    assert problem.clinical_status is None


WEEKLY = {"repeat": {"frequency": 1, "period": 1, "periodUnit": "wk", "dayOfWeek": ["mon"]}}
AMOUNT = {"doseAndRate": [{"doseQuantity": {"value": 10, "unit": "mg"}}]}


@pytest.mark.parametrize(
    ("dosages", "text", "dose", "frequency"),
    [
        ([{"text": "1 le matin"}, {"text": "2 le soir"}], "1 le matin ; 2 le soir", None, None),
        (
            [{**AMOUNT, "timing": {"repeat": {"frequency": 1, "period": 1, "periodUnit": "d"}}},
             {"text": "puis 5 mg"}],
            "10 mg, 1 x / 1 d ; puis 5 mg", None, None,
        ),
        ([{**AMOUNT, "timing": WEEKLY}], None, "10", UNREAD_RHYTHM),
        ([{**AMOUNT, "asNeededBoolean": True}], None, "10", "si besoin"),
        (
            [{**AMOUNT, "asNeededCodeableConcept": {"text": "douleur"}}],
            None, "10", "si besoin (douleur)",
        ),
        ([{**AMOUNT, "text": "10 mg le lundi", "timing": WEEKLY}], "10 mg le lundi", "10", None),
    ],
)  # fmt: skip
def test_a_posology_is_never_told_by_a_part_of_it(
    dosages: list[Any], text: str | None, dose: str | None, frequency: str | None
) -> None:
    """The first of two doses, a weekly drug without its day, a reserve taken for a rule."""
    taken = statement(coded("L04AX03", "méthotrexate"), dosage=dosages)
    (entry,) = accepted(raw(collection(taken))).entries
    assert isinstance(entry.payload, MedicationStarted)
    assert (entry.payload.dose_text, entry.payload.frequency) == (text, frequency)
    assert (entry.payload.dose and entry.payload.dose.value) == dose


def test_an_unknown_gender_counts_as_absent_not_as_another_trait() -> None:
    patient = accepted(MUTANTS["m02"].read_bytes())
    assert patient.registration.sex is None
    assert patient.registration.birth_date == "1972-05-01"


def test_script_in_a_narrative_reaches_nothing_that_is_kept() -> None:
    patient = accepted(MUTANTS["m18"].read_bytes())
    assert "script" not in repr(patient.entries)
    assert "alert" not in repr((patient.entries, patient.document))


def test_keep_going_takes_the_good_parts() -> None:
    whole = accepted(EXAMPLES[0].read_bytes())
    planned = plan(MUTANTS["m16"].read_bytes(), keep_going=True)
    assert [one.path for one in planned.rejected] == ["Bundle.entry[9].resource.patient"]
    (patient,) = planned.patients
    assert len(patient.entries) == len(whole.entries) - 1
    assert not any(isinstance(one.payload, AllergyRecorded) for one in patient.entries)


def test_keep_going_does_not_take_what_hangs_on_a_bad_patient() -> None:
    planned = plan(MUTANTS["m01"].read_bytes(), keep_going=True)
    assert planned.patients == ()
    assert "Bundle.entry[4].resource.subject" in [one.path for one in planned.rejected]


def test_keep_going_does_not_take_a_document_that_is_bad_as_a_whole() -> None:
    planned = plan(MUTANTS["m19"].read_bytes(), keep_going=True)
    assert planned.patients == ()


def one_payload(*resources: dict[str, Any]) -> Any:
    """The payload of the last resource of a collection that is taken."""
    return accepted(raw(collection(*resources))).entries[-1].payload


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ({"onsetDateTime": "2015-01"}, "2015-01"),
        ({"onsetDateTime": "2015-01-02T10:00:00.120+02:00"}, "2015-01-02T10:00:00.120+02:00"),
        ({"onsetPeriod": {"start": "2015", "end": "2016-03"}}, "2015/2016-03"),
        ({"onsetPeriod": {"start": "2015"}}, "2015/.."),
        (
            {"onsetAge": {"value": 40, "system": "http://unitsofmeasure.org", "code": "a"}},
            "age 40 a",
        ),
        ({"onsetString": "dans l'enfance"}, "dans l'enfance"),
        ({"onsetString": "2015"}, '"2015"'),
    ],
)
def test_dates_are_kept_in_the_form_they_came(said: dict[str, Any], kept: str) -> None:
    problem = one_payload(condition(coded("38341003", "Hypertension"), "active", **said))
    assert isinstance(problem, ProblemRecorded)
    assert problem.onset == kept


def test_every_code_system_is_kept_as_received() -> None:
    code = {
        "coding": [
            {"system": "urn:oid:1.2.250.1.213.2.5", "code": "XYZ-1", "version": "2"},
            {"code": "sans système"},
        ],
        "text": "hypertension",
    }
    problem = one_payload(condition(code, "active"))
    assert isinstance(problem, ProblemRecorded)
    assert [(one.system, one.code) for one in problem.concept.codings] == [
        ("urn:oid:1.2.250.1.213.2.5", "XYZ-1"),
        (None, "sans système"),
    ]


@pytest.mark.parametrize(
    ("code", "part"),
    [
        ("716186003", None),
        ("429625007", "food"),
        ("409137002", "medication"),
        ("428607008", "environment"),
        ("716220001", "animal"),
        ("716184000", "latex"),
    ],
)
def test_a_known_absence_is_never_a_substance(code: str, part: str | None) -> None:
    absence = one_payload(allergy(coded(code, "No known allergy"), "active"))
    assert isinstance(absence, AbsenceAsserted)
    assert (absence.slot, absence.part) == ("allergies", part)
    assert absence.concept is not None
    assert absence.concept.codings[0].code == code


def test_no_known_medications_and_no_current_problems_are_absences() -> None:
    treatment = one_payload(statement(coded("787481004", "No known medications")))
    assert isinstance(treatment, AbsenceAsserted)
    assert treatment.slot == "medications"
    problem = one_payload(condition(coded("160245001", "No current problems"), "active"))
    assert isinstance(problem, AbsenceAsserted)
    assert problem.slot == "problems"


def test_an_absence_gives_way_to_the_allergy_that_contradicts_it() -> None:
    nothing = allergy(coded("716186003", "No known allergy"), "active")
    planned = plan(raw(collection(allergy(PENICILLIN, "active"), nothing)))
    (patient,) = planned.patients
    assert [type(one.payload) for one in patient.entries] == [AllergyRecorded]
    assert [one.path for one in planned.warnings] == ["Bundle.entry[2].resource"]


def test_an_absence_that_is_refuted_is_not_one() -> None:
    refuted = allergy(coded("716186003", "No known allergy"), "active", verification="refuted")
    planned = plan(raw(collection(refuted)))
    assert planned.patients[0].entries == ()
    assert [one.rule for one in planned.warnings] == ["absence"]


def test_a_medication_is_followed_into_the_bundle_and_into_the_resource() -> None:
    contained = {
        "resourceType": "MedicationRequest",
        "contained": [
            {"resourceType": "Medication", "id": "m", "code": coded("C09AA05", "ramipril")}
        ],
        "status": "stopped",
        "intent": "order",
        "medicationReference": {"reference": "#m"},
        "subject": {"reference": PATIENT},
        "authoredOn": "2024-03-01",
    }
    bundle = collection(contained)
    bundle["entry"].append(
        {
            "fullUrl": "https://ehr.example/fhir/Medication/7",
            "resource": {
                "resourceType": "Medication",
                "id": "7",
                "code": coded("N02BE01", "paracétamol"),
            },
        }
    )
    relative = {
        "resourceType": "MedicationDispense",
        "status": "completed",
        "medicationReference": {"reference": "Medication/7"},
        "subject": {"reference": PATIENT},
        "whenHandedOver": "2024-03-02",
    }
    bundle["entry"].append(
        {"fullUrl": "https://ehr.example/fhir/MedicationDispense/8", "resource": relative}
    )
    planned = plan(raw(bundle))
    first, second = (one.payload for one in planned.patients[0].entries)
    assert isinstance(first, MedicationStarted)
    assert isinstance(second, MedicationStarted)
    assert (first.concept.text, first.status, first.start) == ("ramipril", "stopped", "2024-03-01")
    assert (second.concept.text, second.statement) == ("paracétamol", "MedicationDispense")
    assert planned.unmapped == ()


def test_numbers_keep_their_digits() -> None:
    text = raw(
        collection(
            {
                "resourceType": "Observation",
                "status": "final",
                "code": coded("29463-7", "Poids", "http://loinc.org"),
                "subject": {"reference": PATIENT},
                "effectiveDateTime": "2024-03-01",
                "valueQuantity": {"value": "DIGITS", "unit": "kg"},
            }
        )
    )
    for digits in ("1.50", "0.010", "1e2", "5", "-0.0"):
        measure = accepted(text.replace(b'"DIGITS"', digits.encode())).entries[0].payload
        assert isinstance(measure, ObservationRecorded)
        assert measure.value is not None
        assert measure.value.value == digits


def test_a_measure_with_a_comparator_is_listed_not_taken_as_a_number() -> None:
    below = {
        "resourceType": "Observation",
        "status": "final",
        "code": coded("29463-7", "Poids", "http://loinc.org"),
        "subject": {"reference": PATIENT},
        "valueQuantity": {"value": 5, "comparator": "<", "unit": "kg"},
    }
    planned = plan(raw(collection(below)))
    assert [(one.path, one.type) for one in planned.unmapped] == [
        ("Bundle.entry[1].resource", "Observation")
    ]


def test_traits_that_are_not_mapped_are_listed() -> None:
    planned = plan(
        raw(
            collection(
                patient={
                    "deceasedBoolean": False,
                    "telecom": [{"system": "phone", "value": "05 00 00 00 01"}],
                    "maritalStatus": {"text": "mariée"},
                }
            )
        )
    )
    assert {(one.path, one.type) for one in planned.unmapped} == {
        ("Bundle.entry[0].resource.deceased", "boolean"),
        ("Bundle.entry[0].resource.telecom[0]", "ContactPoint"),
        ("Bundle.entry[0].resource.maritalStatus", "CodeableConcept"),
    }


def test_a_second_patient_is_refused_since_the_original_is_sealed_under_one_key() -> None:
    bundle = collection(condition(coded("38341003", "Hypertension"), "active"))
    other = {"resourceType": "Patient", "name": [{"family": "Loriot"}]}
    bundle["entry"].append({"fullUrl": "urn:uuid:2", "resource": other})
    theirs = condition(coded("73211009", "Diabetes"), "active", subject={"reference": "urn:uuid:2"})
    bundle["entry"].append({"fullUrl": "urn:uuid:3", "resource": theirs})
    assert "Bundle.entry[2].resource" in [one.path for one in plan(raw(bundle)).rejected]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b'{"resourceType":"Bundle"}',
        b'{"resourceType":"Bundle","type":"history"}',
        b'{"resourceType":"Bundle","type":"collection","entry":{}}',
        b'{"resourceType":"Bundle","type":"collection","entry":[null,1,{}]}',
        b'{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"X"}}]}',
        b'{"resourceType":"Bundle","type":"collection","entry":[]}',
        b'{"resourceType":"Bundle","resourceType":"Bundle"}',
        b'{"resourceType":"Bundle","total":NaN}',
        b'{"a":' * 40 + b"1" + b"}" * 40,
        b"[" * 100_000,
        b'{"resourceType":"Bundle","id":"\\ud800"}',
        b'{"resourceType":"Bundle","total":1e999999}',
        b'{"resourceType":"Patient"}',
    ],
)
def test_what_is_no_bundle_is_refused_with_a_reason(content: bytes) -> None:
    planned = plan(content)
    assert planned.patients == ()
    assert planned.rejected
    assert all(one.path.startswith("Bundle") and one.reason for one in planned.rejected)


def test_a_file_larger_than_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact_json, "MAX_BYTES", 100)
    assert plan(b" " * 101).rejected


def test_no_reason_repeats_a_value_of_the_file() -> None:
    mark = "Zyxwvuts"
    text = EXAMPLES[0].read_text(encoding="utf-8").replace("DeLarosa", mark)
    broken = text.replace('"birthDate": "1972-05-01"', f'"birthDate": "{mark}"')
    for content in (broken, text.replace('"final"', f'"{mark}"')):
        planned = plan(content.encode())
        assert planned.rejected or planned.warnings
        assert mark not in repr((planned.rejected, planned.warnings))


SEED = json.loads(EXAMPLES[0].read_bytes())


def values() -> st.SearchStrategy[Any]:
    """What may stand where something else should."""
    return st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-5, 5),
        st.text(max_size=5),
        st.sampled_from(
            [
                [], {}, [[]], [{}], [None], "Patient", "urn:uuid:x", "#", "2015", "active",
                {"reference": "#"}, {"reference": None}, {"coding": [None]}, {"coding": "x"},
                {"coding": [{"code": 1}]}, {"resourceType": "Foo"}, {"value": "1"}, -1,
            ]
        ),
    )  # fmt: skip


def changed(value: Any, changes: list[tuple[tuple[Any, ...], Any]]) -> Any:
    """A copy of ``value`` with each change made that still has a place."""
    mutated = json.loads(json.dumps(value))
    for path, new in changes:
        holder = mutated
        try:
            for step in path[:-1]:
                holder = holder[step]
            holder[path[-1]] = new
        except (KeyError, IndexError, TypeError):
            continue
    return mutated


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        if isinstance(inner, dict | list):
            yield from places(inner, (*path, key))
        else:
            yield (*path, key)


PLACES = list(places(SEED))


@settings(max_examples=300)
@given(st.lists(st.tuples(st.sampled_from(PLACES), values()), min_size=1, max_size=3))
def test_no_change_of_a_good_file_makes_anything_but_a_plan(
    changes: list[tuple[tuple[Any, ...], Any]],
) -> None:
    mutated = changed(SEED, changes)
    for keep_going in (False, True):
        planned = plan(json.dumps(mutated).encode(), keep_going=keep_going)
        assert isinstance(planned, ImportPlan)
        assert planned.patients or planned.rejected


@settings(max_examples=150, deadline=None)
@given(
    st.binary(max_size=200) | st.recursive(values(), st.lists).map(lambda v: json.dumps(v).encode())
)
def test_no_bytes_make_anything_but_a_plan(content: bytes) -> None:
    assert plan(content).rejected


def refused_paths(bundle: dict[str, Any]) -> list[str]:
    """Where a bundle of our own is refused."""
    planned = plan(raw(bundle))
    assert planned.patients == ()
    return [one.path for one in planned.rejected]


def test_what_changes_the_meaning_of_a_line_and_is_not_known_refuses_it() -> None:
    modifier = [{"url": "https://exemple.fr/negation", "valueBoolean": True}]
    bundle = collection(condition(coded("1", "a"), "active", modifierExtension=modifier))
    assert refused_paths(bundle) == ["Bundle.entry[1].resource.modifierExtension[0]"]
    bundle = collection(condition(coded("1", "a"), "active", implicitRules="https://exemple.fr"))
    assert refused_paths(bundle) == ["Bundle.entry[1].resource.implicitRules"]
    bundle = collection(patient={"modifierExtension": modifier})
    assert refused_paths(bundle) == ["Bundle.entry[0].resource.modifierExtension[0]"]


def test_a_document_that_was_taken_back_is_refused() -> None:
    text = (
        EXAMPLES[0]
        .read_text(encoding="utf-8")
        .replace('"status": "final"', '"status": "entered-in-error"', 1)
    )
    planned = plan(text.encode(), keep_going=True)
    assert [one.path for one in planned.rejected] == ["Bundle.entry[0].resource.status"]


def test_a_drug_not_to_be_given_is_no_treatment() -> None:
    request = {
        "resourceType": "MedicationRequest",
        "status": "active",
        "intent": "order",
        "doNotPerform": True,
        "medicationCodeableConcept": coded("M01AE01", "ibuprofène"),
        "subject": {"reference": PATIENT},
    }
    planned = plan(raw(collection(request)))
    assert planned.patients[0].entries == ()
    assert [one.rule for one in planned.warnings] == ["negated"]
    proposal = plan(raw(collection({**request, "doNotPerform": False, "intent": "proposal"})))
    assert [one.rule for one in proposal.warnings] == ["intent"]
    assert len(proposal.patients[0].entries) == 1


def test_a_number_that_a_family_shares_names_nobody() -> None:
    insured = {
        "system": "urn:oid:1.2.250.1.213.1.4.8",
        "value": "279035121518989",
        "type": {
            "coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "NH"}]
        },
    }
    planned = plan(raw(collection(patient={"identifier": [insured]})))
    assert planned.patients[0].identifiers == ()
    assert [(one.path, one.type) for one in planned.unmapped] == [
        ("Bundle.entry[0].resource.identifier[0]", "Identifier")
    ]


def test_a_death_is_told_until_the_record_can_hold_it() -> None:
    planned = plan(raw(collection(patient={"deceasedDateTime": "2026-01-01"})))
    assert [one.path for one in planned.warnings] == ["Bundle.entry[0].resource.deceased"]
    assert [one.type for one in planned.unmapped] == ["dateTime"]


def test_a_maiden_name_is_the_birth_name_and_the_other_the_used_one() -> None:
    names = [
        {"use": "maiden", "family": "Loriot"},
        {"use": "official", "family": "Sansonnet", "given": ["Odile"]},
        {"use": "nickname", "given": ["Dilou"]},
    ]
    planned = plan(raw(collection(patient={"name": names})))
    registration = planned.patients[0].registration
    assert (registration.birth_name, registration.used_name) == ("Loriot", "Sansonnet")
    assert (registration.first_names, registration.used_first_name) == (("Odile",), None)
    assert [one.path for one in planned.unmapped] == ["Bundle.entry[0].resource.name[2]"]
