"""A critical value without a report, from the door to a patient who was told."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest
from starlette.testclient import TestClient

from support.inbox import SAMPLES, match, odette, send
from support.web import Web, key

pytestmark = pytest.mark.postgres
LOINC = "http://loinc.org"
RINGS = "Potassium 7,6 mmol/L"


def bundle(birth_date: str, value: str, **other: Any) -> bytes:
    """A Bundle of one potassium without a report, of Odette or of a namesake born that day."""
    patient = "urn:uuid:0d6d3f36-7ac5-4ac6-9a3a-8e0f3a5c0001"
    who = {
        "resourceType": "Patient",
        "name": [
            {"use": "official", "family": "BELLANGER", "given": ["ODETTE", "MARIE", "ROSE"]},
            {"use": "usual", "family": "PICHON", "given": ["ODETTE"]},
        ],
        "birthDate": birth_date,
        "gender": "female",
    }
    category = "http://terminology.hl7.org/CodeSystem/observation-category"
    potassium = {
        "resourceType": "Observation",
        "status": "final",
        "category": [{"coding": [{"system": category, "code": "laboratory"}]}],
        "code": {"coding": [{"system": LOINC, "code": "2823-3", "display": "Potassium"}]},
        "subject": {"reference": patient},
        "valueQuantity": {"value": "VALUE", "unit": "mmol/L"},
        **other,
    }
    entries = [
        {"fullUrl": patient, "resource": who},
        {"fullUrl": "urn:uuid:0d6d3f36-7ac5-4ac6-9a3a-8e0f3a5c0002", "resource": potassium},
    ]
    made = {"resourceType": "Bundle", "type": "collection", "entry": entries}
    return json.dumps(made).replace('"VALUE"', value).encode()


def header(client: TestClient, document: str) -> dict[str, Any]:
    listed = client.get("/api/v1/inbox").json()["documents"]
    (row,) = [each for each in listed if each["inbox"] == document]
    found: dict[str, Any] = row
    return found


def board(web: Web) -> dict[str, list[dict[str, Any]]]:
    centre = web.services.persona("present").centre
    groups = web.machine("present").get(f"/api/v1/centres/{centre}/results").json()["groups"]
    return {each["group"]: each["results"] for each in groups}


def of_patient(web: Web, patient: UUID) -> list[tuple[str, bool]]:
    """The group of each line of a patient on the results board, and whether it is critical."""
    return [
        (group, row["critical"])
        for group, rows in board(web).items()
        for row in rows
        if row["patient"] == str(patient)
    ]


def unmatched(web: Web, document: str) -> list[bool]:
    """Whether a document that is nobody's stands on the board, and is critical there."""
    rows = board(web).get("unmatched", [])
    return [row["critical"] for row in rows if row["document"] == document]


def open_items(web: Web, patient: UUID) -> int:
    _, summaries = web.services.records.summaries(web.services.persona("present").centre)
    return len(summaries[patient].open_items)


def alarms_of(web: Web, patient: UUID) -> list[str]:
    """What rings for a patient in an edition issued now."""
    doctor = web.machine("present")
    stint = f"/api/v1/stints/{web.stint('present')}"
    issued = doctor.post(f"{stint}/issue-briefing", headers=key())
    assert issued.status_code in (200, 201), issued.text
    rows = issued.json()["rows"]
    (card,) = [each for each in rows if each["patient"] == str(patient)] or [{}]
    return [alarm["text"] for alarm in card.get("alarms", ())]


def act(web: Web, patient: UUID, name: str, **data: Any) -> Any:
    answer = web.machine("present").post(
        f"/api/v1/patients/{patient}/{name}", json=data, headers=key()
    )
    assert answer.status_code == 201, answer.text
    return answer.json()


def lines_of(web: Web, patient: UUID, topic: str) -> list[str]:
    record = web.services.continuity.patient(patient)
    return [str(event.event_id) for event in record.entries.values() if event.topic == topic]


def test_it_is_urgent_before_it_is_matched_and_an_item_until_the_patient_was_told(
    web: Web,
) -> None:
    patient = odette(web, birth_date="1951-02-03")
    desk = web.machine("coordinator")
    document = send(desk, bundle("1951-02-03", "7.6"))
    assert header(desk, document)["urgent"] is True
    assert unmatched(web, document) == [True]
    assert "non rattaché" in web.browser("present").get("/releve", follow_redirects=True).text

    assert match(desk, document, patient).status_code == 201
    assert of_patient(web, patient) == [("to-review", True)]
    assert open_items(web, patient) == 1
    (result,) = lines_of(web, patient, "patient.result-received")
    assert lines_of(web, patient, "patient.observation-recorded") == []

    act(web, patient, "validate-entry", entry=result, verdict="accepted")
    assert of_patient(web, patient) == [("to-review", True)]
    assert alarms_of(web, patient) == [RINGS]

    act(web, patient, "review-result", result=result, verdict="critical", action="SAMU")
    assert of_patient(web, patient) == [("to-inform", True)]
    assert open_items(web, patient) == 1
    act(web, patient, "inform-patient", result=result, channel="phone")
    assert of_patient(web, patient) == []
    assert open_items(web, patient) == 0


def test_a_summary_with_a_critical_measure_is_urgent(web: Web) -> None:
    text = (SAMPLES / "vsm.xml").read_text()
    for old, new in (
        ('code="14682-9" displayName="Créatinine [Moles/Volume] Sérum/Plasma"',
         'code="2823-3" displayName="Potassium"'),
        ('value="118" unit="umol/L"', 'value="7.6" unit="mg/L"'),
    ):  # fmt: skip
        assert text.count(old) == 1
        text = text.replace(old, new)
    desk = web.machine("coordinator")
    unknown = send(desk, text.encode())
    assert (header(desk, unknown)["urgent"], unmatched(web, unknown)) == (False, [False])
    critical = send(desk, text.replace('unit="mg/L"', 'unit="mmol/L"').encode())
    assert (header(desk, critical)["urgent"], unmatched(web, critical)) == (True, [True])
    calm = send(desk, text.replace('value="7.6" unit="mg/L"', 'value="4" unit="mmol/L"').encode())
    assert (header(desk, calm)["urgent"], unmatched(web, calm)) == (False, [])


def test_accepting_a_critical_measure_does_not_end_its_alarm(web: Web) -> None:
    patient = odette(web, birth_date="1951-02-04")
    desk = web.machine("coordinator")
    exam = [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category",
                         "code": "exam"}]}]  # fmt: skip
    document = send(desk, bundle("1951-02-04", "7.6", category=exam))
    assert header(desk, document)["urgent"] is True
    assert match(desk, document, patient).status_code == 201
    (measure,) = lines_of(web, patient, "patient.observation-recorded")
    assert alarms_of(web, patient) == [RINGS]
    act(web, patient, "validate-entry", entry=measure, verdict="accepted")
    assert alarms_of(web, patient) == [RINGS]
    page = web.browser("present").get("/releve", follow_redirects=True).text
    assert f"CRITIQUE, GRAVITÉ À DIRE : {RINGS}" in page
    assert f'href="/patients/{patient}#changer">Dire la gravité<' in page
    record = web.browser("present").get(f"/patients/{patient}").text
    folded = record.partition("<summary>Changer la gravité</summary>")[2].partition("</details>")[0]
    assert 'id="changer"' in folded  # what an address names inside a fold unfolds it
    act(web, patient, "set-illness-severity", severity="unstable", reason="Kaliémie")
    assert alarms_of(web, patient) == []


def test_a_critical_potassium_that_a_nurse_measured_rings(web: Web) -> None:
    patient = odette(web, birth_date="1951-02-05")
    nurse = web.machine(web.hire("nurse"))
    code = {"text": "Potassium", "codings": [{"system": LOINC, "code": "2823-3"}]}
    said = {"code": code, "value": {"value": "7.6", "unit": "mmol/L"}, "confirmed": True}
    answer = nurse.post(f"/api/v1/patients/{patient}/record-observation", json=said, headers=key())
    assert answer.status_code == 201, answer.text
    assert alarms_of(web, patient) == [RINGS]
