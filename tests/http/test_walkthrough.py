"""Walks of docs/walkthrough.md, through the real doors, step by step."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from uuid import UUID

import pytest

from releve.projections import records
from releve.security.ledger.envelope import Header, leaf_hash
from support.web import Web, key

pytestmark = pytest.mark.postgres
ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "walkthrough.md").read_text()


def test_a_consultation_becomes_events_as_the_walkthrough_tells(web: Web) -> None:
    doctor = web.machine("present")
    services = web.services
    new = {"birth_name": "PROMENADE", "first_names": ["Anne"], "prior_search": "name"}
    patient = UUID(doctor.post("/api/v1/patients", json=new, headers=key()).json()["patient"])

    # 1 to 5: the door, the policy, the context, the fold, the decision
    body = {
        "mode": "cabinet",
        "reason": "Toux",
        "note": {"one_liner": "Bronchite simple", "plan": "Revoir si fièvre"},
        "problems": [{"concept": {"text": "Bronchite aiguë"}}],
    }
    request = key()
    where = f"/api/v1/patients/{patient}/record-consultation"
    answer = doctor.post(where, json=body, headers=request)
    assert answer.status_code == 201
    said = answer.json()
    events = services.reader.stream(patient)
    assert [event.topic for event in events] == [
        "patient.registered",
        "patient.encounter-recorded",
        "patient.note-signed",
        "patient.problem-recorded",
    ]
    assert [str(event.event_id) for event in events[1:]] == said["event_ids"]
    again = doctor.post(where, json=body, headers=request)
    assert (again.status_code, again.json()["event_ids"]) == (200, said["event_ids"])

    # 6: sealed to the leaf before it, one event after the other
    with services.pool.connection() as connection:
        raw = connection.execute(
            "SELECT header FROM ledger.event WHERE stream = %s ORDER BY version", (patient,)
        ).fetchall()
    headers = [bytes(row[0]) for row in raw]
    for before, after in itertools.pairwise(headers):
        assert Header.unpack(after).prev == leaf_hash(before)

    # 7: position, row, answer
    assert answer.headers["etag"] == f'"{said["version"]}"' == '"4"'
    position = int(answer.headers["releve-position"])
    assert position == services.reader.position_of(patient, 4)
    shown = records.read_patient(services.pool, services.data_keys, patient)
    assert shown is not None
    assert shown.position >= position
    assert [line.text for line in shown.summary.slot("problems")] == ["Bronchite aiguë"]


CDA = ROOT / "tests" / "conformance" / "data" / "inbox" / "vsm.xml"


def test_a_document_becomes_an_accepted_line_as_the_walkthrough_tells(web: Web) -> None:
    desk, doctor = web.machine("coordinator"), web.machine("present")
    services = web.services
    odette = {
        "birth_name": "BELLANGER", "first_names": ["ODETTE"], "birth_date": "1948-03-02",
        "sex": "female", "birth_place": "23096", "prior_search": "name",
    }  # fmt: skip
    patient = desk.post("/api/v1/patients", json=odette, headers=key()).json()["patient"]
    other = {**odette, "birth_date": "1948-03-03", "first_names": ["ODILE"]}
    wrong = desk.post("/api/v1/patients", json=other, headers=key()).json()["patient"]

    # 1 and 2: read and kept, the same document when it is sent again
    raw = CDA.read_bytes()
    document = desk.post("/api/v1/inbox", content=raw).json()["inbox"]
    assert desk.post("/api/v1/inbox", content=raw).json()["inbox"] == document
    assert [each.topic for each in services.reader.stream(UUID(document))] == [
        "inbox.document-received"
    ]

    # 3: a header without content, and the record that it is of
    header = desk.get(f"/api/v1/inbox/{document}").json()
    assert [each["patient"] for each in header["proposals"] if each["fits"]] == [patient]
    assert desk.get(f"/api/v1/inbox/{document}/content").status_code == 404

    # 4 and 5: another birth date refuses; the match is durable, and on the record
    where = f"/api/v1/inbox/{document}/match-document"
    refused = desk.post(where, json={"patient": wrong}, headers=key())
    assert (refused.status_code, refused.json()["code"]) == (422, "strict-trait-differs")
    assert desk.post(where, json={"patient": patient}, headers=key()).status_code == 201

    # 6: one line, à valider until a doctor accepts it
    def problems() -> list[tuple[str, str]]:
        services.catch_up()
        found = records.read_patient(services.pool, services.data_keys, UUID(patient))
        assert found is not None
        return [
            (str(line.entry_id), line.validation)
            for line in found.summary.slot("problems")
            if line.current
        ]

    waiting = problems()
    assert {state for _, state in waiting} == {"to-validate"}
    entry = waiting[0][0]
    accepted = doctor.post(
        f"/api/v1/patients/{patient}/validate-entry",
        json={"entry": entry, "verdict": "accepted"},
        headers=key(),
    )
    assert accepted.status_code == 201, accepted.text
    assert dict(problems())[entry] == "accepted"


def test_a_result_is_followed_to_a_patient_who_knows_as_the_walkthrough_tells(web: Web) -> None:
    doctor = web.machine("present")
    new = {"birth_name": "SUIVI", "first_names": ["Rose"], "prior_search": "name"}
    patient = doctor.post("/api/v1/patients", json=new, headers=key()).json()["patient"]

    def say(command: str, **data: object) -> list[str]:
        answer = doctor.post(f"/api/v1/patients/{patient}/{command}", json=data, headers=key())
        assert answer.status_code == 201, (command, answer.text)
        found: list[str] = answer.json()["event_ids"]
        return found

    def waiting() -> int:
        return len(doctor.get(f"/api/v1/patients/{patient}/open-items").json()["open_items"])

    # 1: the order and its item, in one append
    order, _ = say("order-investigation", kind="laboratory", text="Ionogramme",
                   expected_by="2026-11-25")  # fmt: skip
    assert waiting() == 1

    # 2 and 3: a value comes in, and the if/then whose threshold it meets fires
    limit = {"loinc": "2823-3", "comparator": ">", "value": "5.5", "unit": "mmol/L"}
    say("set-contingency", condition="K > 5,5", action="ECG", threshold=limit)
    loinc = {"system": "http://loinc.org", "code": "2823-3"}
    potassium = {"text": "Potassium", "codings": [loinc]}
    result = say(
        "receive-result", status="final", order=order, laboratory="Laboratoire des Charmes",
        lines=[{"code": potassium,
                "value": {"value": "6.4", "unit": "mmol/L", "code": "mmol/L"}}],
    )[0]  # fmt: skip
    topics = [each.topic for each in web.services.reader.stream(UUID(patient))]
    assert topics[-2:] == ["patient.result-received", "patient.contingency-activated"]

    # 4: critical for anybody, so first on the page
    shown = web.browser("present").get("/releve", follow_redirects=True).text
    assert "SUIVI" in shown.partition("<article")[2].partition("</article>")[0]

    # 5: read, then told; only then is it done
    say("review-result", result=result, verdict="critical", action="ECG ce jour")
    assert waiting() == 1
    say("inform-patient", result=result, channel="phone")
    assert waiting() == 0

    # 6: a correction opens it again
    say("receive-result", status="corrected", replaces=result, laboratory="Laboratoire des Charmes",
        lines=[{"code": potassium,
                "value": {"value": "4.6", "unit": "mmol/L", "code": "mmol/L"}}])  # fmt: skip
    assert waiting() == 1


def test_a_reading_shows_one_picture_of_the_directory(web: Web) -> None:
    directory, centre = web.services.directory, web.services.persona("coordinator").centre
    site = {"site_name": "EHPAD de la Promenade", "kind": "ehpad"}
    with directory.one_picture():
        before = directory.load()
        added = web.machine("coordinator").post(
            f"/api/v1/centres/{centre}/add-site", json=site, headers=key()
        )
        assert added.status_code == 201, added.text
        web.services.catch_up()
        assert directory.load() is before
    then, now = before.centres[centre], directory.load().centres[centre]
    assert [each.name for each in now.sites if each not in then.sites] == ["EHPAD de la Promenade"]


def test_the_walkthrough_links_only_to_what_is_there() -> None:
    links = re.findall(r"\]\((\.\./[^)#]+|[a-z-]+\.md)\)", PAGE)
    assert len(links) > 15
    for link in links:
        assert (ROOT / "docs" / link).resolve().exists(), link


def test_the_walkthrough_names_symbols_that_exist() -> None:
    for symbol, module in (
        ("decide", "security/policy.py"),
        ("perform", "api/acting.py"),
        ("execute", "domain/continuity.py"),
        ("propose", "domain/requests.py"),
        ("read_clinical", "api/disclosure.py"),
        ("read_document", "fhir/received_document.py"),
        ("receive", "api/inbox.py"),
        ("proposals", "api/proposing.py"),
        ("deliver", "api/delivering.py"),
        ("header", "api/inbox_views.py"),
        ("compare", "domain/aggregates/inbox_document.py"),
        ("order_investigation", "domain/aggregates/patient/result_follow_up.py"),
        ("kept_in_sight", "domain/aggregates/patient/result_follow_up.py"),
        ("earlier_version", "domain/aggregates/patient/results.py"),
        ("consequences", "domain/aggregates/patient/by_rule.py"),
        ("alarms", "projections/critical_values.py"),
        ("board", "projections/results_board.py"),
    ):
        assert f"`{symbol}`" in PAGE or f".{symbol}`" in PAGE
        assert f"def {symbol}(" in (ROOT / module).read_text()
