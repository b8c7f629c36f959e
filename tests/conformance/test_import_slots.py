"""Reports, vaccines, acts, devices and family history: taken whole, once, and nothing twice."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid5

import pytest

from conformance.bundles import (
    CENTRE,
    DIRECTORY,
    PATIENT,
    Resource,
    accepted,
    coded,
    collection,
    imported,
    raw,
    summary_of,
)
from releve.domain.aggregates.patient.allergies import AbsenceAsserted
from releve.domain.aggregates.patient.history import (
    DeviceRecorded,
    HistoryRecorded,
    ImmunizationRecorded,
    ProcedureRecorded,
)
from releve.domain.aggregates.patient.observations import ObservationRecorded
from releve.domain.aggregates.patient.results import ResultReceived
from releve.domain.values import Quantity
from releve.fhir.import_bundle import plan
from releve.fhir.reading_results import ATTACHED
from releve.fhir.summary import summary_document

LOINC = "http://loinc.org"
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
ABSENT = "http://hl7.org/fhir/uv/ips/CodeSystem/absent-unknown-uv-ips"


def url(number: int) -> str:
    """The fullUrl of the resource of that number in :func:`collection`."""
    return f"urn:uuid:{uuid5(CENTRE, str(number))}"


def observation(code: str, category: str = "laboratory", **other: Any) -> Resource:
    return {
        "resourceType": "Observation",
        "status": "final",
        "category": [{"coding": [{"system": CATEGORY, "code": category}]}],
        "code": coded(code, f"test {code}", LOINC),
        "subject": {"reference": PATIENT},
        "effectiveDateTime": "2026-11-02T08:10:00+01:00",
        **other,
    }


def potassium(**quantity: Any) -> Resource:
    unit = {"value": 4.1, "unit": "mmol/L", "system": "http://unitsofmeasure.org", "code": "mmol/L"}
    return observation("2823-3", valueQuantity={**unit, **quantity})


def report(*numbers: int, **other: Any) -> Resource:
    return {
        "resourceType": "DiagnosticReport",
        "status": "final",
        "code": {"text": "Ionogramme"},
        "subject": {"reference": PATIENT},
        "result": [{"reference": url(number)} for number in numbers],
        **other,
    }


def payloads(*resources: Resource) -> list[Any]:
    return [one.payload for one in accepted(raw(collection(*resources))).entries]


def left_over(*resources: Resource) -> list[str]:
    return [one.path for one in plan(raw(collection(*resources))).unmapped]


def test_a_report_and_its_observations_are_one_result() -> None:
    sodium = observation(
        "2951-2",
        valueQuantity={"value": 130, "comparator": "<", "unit": "mmol/L"},
        interpretation=[{"coding": [{"code": "L"}]}],
        referenceRange=[{"low": {"value": 135, "unit": "mmol/L"}, "high": {"value": 145}}],
    )
    words = observation("5778-6", valueString="jaune")
    made = report(1, 2, 3, conclusion="À contrôler", performer=[{"display": "Labo"}],
                  identifier=[{"system": "urn:oid:1.2.250.1.999.3", "value": "CR-7"}])  # fmt: skip
    (result,) = payloads(made, potassium(), sodium, words)
    assert isinstance(result, ResultReceived)
    assert (result.status, result.title, result.report) == ("final", "Ionogramme", "CR-7")
    assert (result.conclusion, result.laboratory) == ("À contrôler", "Labo")
    first, second, third = result.lines
    assert first.value == Quantity(value="4.1", unit="mmol/L", code="mmol/L")
    assert (second.comparator, second.interpretation) == ("<", "L")
    assert second.reference_range == "135 - 145 mmol/L"
    assert (third.value, third.text) == (None, "jaune")
    assert left_over(made, potassium(), sodium, words) == []


SECTION = "http://terminology.hl7.org/CodeSystem/v2-0074"
PDF = [{"contentType": "application/pdf", "data": "JVBERi0="}]


@pytest.mark.parametrize(
    ("said", "conclusion"),
    [
        ({"presentedForm": PDF}, ATTACHED),
        ({"presentedForm": PDF, "category": [coded("PAT", "x", SECTION)]}, ATTACHED),
        ({"conclusionCode": [coded("363346000", "Carcinome")]}, "Carcinome"),
        ({"presentedForm": PDF, "conclusion": "Carcinome"}, "Carcinome"),
    ],
)
def test_a_report_in_a_file_or_a_code_is_a_result_to_be_read(
    said: Resource, conclusion: str
) -> None:
    """Histology mostly comes as a PDF: without a result nobody would be asked to read it."""
    (result,) = payloads(report(code={"text": "Histologie"}, **said))
    assert isinstance(result, ResultReceived)
    assert (result.status, result.title, result.lines) == ("final", "Histologie", ())
    assert result.conclusion == conclusion


def test_a_note_that_is_sent_as_a_report_is_no_result() -> None:
    note = [coded("34117-2", "History and physical note", LOINC)]
    assert payloads(report(presentedForm=PDF, category=note)) == []


@pytest.mark.parametrize(
    "said",
    [
        [{"coding": [{"code": "H"}]}, {"coding": [{"code": "HH"}]}],
        [{"coding": [{"system": "urn:oid:1.2.250.1.999", "code": "CRIT"}, {"code": "HH"}]}],
    ],
)
def test_of_several_interpretations_the_critical_one_is_kept(said: list[Resource]) -> None:
    lithium = {"value": 3.5, "unit": "mmol/L", "code": "mmol/L"}
    line = observation("14334-7", valueQuantity=lithium, interpretation=said)
    (result,) = payloads(report(1), line)
    assert result.lines[0].interpretation == "HH"


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("registered", "partial"),
        ("preliminary", "partial"),
        ("partial", "partial"),
        ("final", "final"),
        ("amended", "corrected"),
        ("appended", "corrected"),
        ("corrected", "corrected"),
    ],
)
def test_a_report_that_is_not_final_is_partial(sent: str, kept: str) -> None:
    (result,) = payloads(report(1, status=sent), potassium())
    assert result.status == kept


@pytest.mark.parametrize("status", ["entered-in-error", "cancelled"])
def test_a_report_taken_back_is_listed_and_its_values_stand_alone(status: str) -> None:
    planned = accepted(raw(collection(report(1, status=status), potassium())))
    (alone,) = (one.payload for one in planned.entries)
    assert isinstance(alone, ResultReceived)
    assert (alone.title, len(alone.lines)) == ("test 2823-3", 1)
    assert "Bundle.entry[1].resource" in [one.path for one in planned.document.unmapped]
    assert any("n'est pas repris" in one for one in planned.document.warnings)


def test_a_line_taken_back_is_not_a_line_of_the_report() -> None:
    wrong = {**potassium(), "status": "entered-in-error"}
    planned = accepted(raw(collection(report(1, 2), wrong, potassium(value=4.6))))
    (result,) = (one.payload for one in planned.entries)
    assert isinstance(result, ResultReceived)
    assert [one.value.value for one in result.lines if one.value] == ["4.6"]
    assert planned.document.warnings


def test_groups_of_laboratory_values_are_one_result_and_vital_signs_stay_measures() -> None:
    group = observation("24320-4", hasMember=[{"reference": url(1)}])
    (result,) = payloads(group, potassium())
    assert isinstance(result, ResultReceived)
    pulse = observation("8867-4", "vital-signs", valueQuantity={"value": 72, "unit": "/min"})
    vital = observation("85353-1", "vital-signs", hasMember=[{"reference": url(1)}])
    (measure,) = payloads(vital, pulse)
    assert isinstance(measure, ObservationRecorded)


def test_a_report_of_another_patient_does_not_hide_its_values() -> None:
    other = {**potassium(), "subject": {"reference": "Patient/elsewhere"}}
    planned = plan(raw(collection(report(1), other)))
    assert planned.patients == ()
    assert planned.rejected


def test_an_unknown_modifier_refuses_a_report() -> None:
    turned = report(1, modifierExtension=[{"url": "http://x.example/not", "valueBoolean": True}])
    planned = plan(raw(collection(turned, potassium())))
    assert [one.rule for one in planned.rejected] == ["modifier"]


def test_the_same_report_again_is_no_event_and_a_correction_replaces_it() -> None:
    first = raw(collection(report(1), potassium()))
    second = raw(collection(report(1, status="corrected"), potassium(value=4.6)))
    events = imported(first)
    assert len(imported(first, first)) == len(events)
    again = imported(first, second)
    (corrected,) = [one for one in again[len(events):]
                    if isinstance(one.payload, ResultReceived)]  # fmt: skip
    before = next(one for one in events if isinstance(one.payload, ResultReceived))
    assert corrected.envelope.target == before.event_id


def test_a_vaccine_is_taken_given_or_not() -> None:
    vaccine: Resource = {
        "resourceType": "Immunization",
        "status": "completed",
        "vaccineCode": coded("J07BB02", "Grippe", "http://www.whocc.no/atc"),
        "patient": {"reference": PATIENT},
        "occurrenceDateTime": "2025-10-20",
        "lotNumber": "A1",
        "protocolApplied": [{"doseNumberPositiveInt": 2}],
    }
    (given,) = payloads(vaccine)
    assert isinstance(given, ImmunizationRecorded)
    assert (given.given_on, given.lot, given.dose_number) == ("2025-10-20", "A1", 2)
    refused = {**vaccine, "status": "not-done", "statusReason": {"text": "refus"}}
    (declined,) = payloads(refused)
    assert (declined.status, declined.reason) == ("not-done", "refus")


def test_an_act_and_a_device_in_use_with_its_device() -> None:
    act: Resource = {
        "resourceType": "Procedure",
        "status": "completed",
        "code": {"text": "Appendicectomie"},
        "subject": {"reference": PATIENT},
        "performedDateTime": "1987",
    }
    use: Resource = {
        "resourceType": "DeviceUseStatement",
        "status": "active",
        "subject": {"reference": PATIENT},
        "device": {"reference": url(2)},
        "timingPeriod": {"start": "2019-05"},
    }
    device: Resource = {
        "resourceType": "Device",
        "type": {"text": "Stimulateur"},
        "patient": {"reference": PATIENT},
        "udiCarrier": [{"carrierHRF": "(01)0001"}],
    }
    procedure, worn = payloads(act, use, device)
    assert isinstance(procedure, ProcedureRecorded)
    assert procedure.performed == "1987"
    assert worn == DeviceRecorded(
        concept=worn.concept, status="active", since="2019-05", udi="(01)0001"
    )
    assert worn.concept.text == "Stimulateur"
    (alone,) = payloads(device)
    assert isinstance(alone, DeviceRecorded)
    assert left_over(act, use, device) == []


def test_a_relative_with_two_conditions_is_two_lines() -> None:
    father: Resource = {
        "resourceType": "FamilyMemberHistory",
        "status": "completed",
        "patient": {"reference": PATIENT},
        "relationship": {"text": "père"},
        "condition": [{"code": {"text": "Infarctus"}, "onsetString": "jeune"},
                      {"code": {"text": "Diabète"}}],
    }  # fmt: skip
    lines = payloads(father)
    assert [(one.concept.text, one.relationship, one.since) for one in lines] == [
        ("Infarctus", "père", "jeune"),
        ("Diabète", "père", None),
    ]
    assert {one.slot for one in lines} == {"family-history"}
    content = raw(collection(father))
    assert len(imported(content, content)) == len(imported(content))


def test_an_answer_about_the_way_of_life_keeps_question_and_answer() -> None:
    never = coded("266919005", "Never smoker")
    (tobacco,) = payloads(observation("72166-2", "survey", valueCodeableConcept=never))
    assert isinstance(tobacco, HistoryRecorded)
    assert tobacco.slot == "lifestyle"
    assert tobacco.concept.text == "test 72166-2 : Never smoker"
    assert [one.code for one in tobacco.concept.codings] == ["72166-2", "266919005"]


def test_none_known_of_acts_and_devices_is_an_absence() -> None:
    act: Resource = {
        "resourceType": "Procedure",
        "status": "unknown",
        "code": coded("no-known-procedures", "No known procedures", ABSENT),
        "subject": {"reference": PATIENT},
    }
    (absence,) = payloads(act)
    assert isinstance(absence, AbsenceAsserted)
    assert absence.slot == "procedures"


def test_a_coded_place_is_read_in_words_and_leaves_with_its_code() -> None:
    place = coded("11207009", "Right thigh")
    act: Resource = {
        "resourceType": "Procedure",
        "status": "completed",
        "code": {"text": "Biopsie"},
        "subject": {"reference": PATIENT},
        "bodySite": [place],
        "performedPeriod": {"start": "2018-09-17", "end": "2018-09-18"},
    }
    summary = summary_of(imported(raw(collection(act))))
    (line,) = summary.slot("procedures")
    assert line.text == "Biopsie, Right thigh, le 17/09/2018"
    sent = json.loads(summary_document(summary, DIRECTORY))["entry"]
    (procedure,) = [one["resource"] for one in sent
                    if one["resource"]["resourceType"] == "Procedure"]  # fmt: skip
    assert procedure["bodySite"] == [place]
    assert procedure["performedPeriod"] == act["performedPeriod"]
