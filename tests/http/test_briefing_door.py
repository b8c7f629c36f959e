"""The briefing as JSON says what happened since its edition, and is renewed through the API."""

from __future__ import annotations

import html
import re
from typing import Any
from uuid import uuid4

import pytest
from starlette.testclient import TestClient

from support.web import Web, key, registered

pytestmark = pytest.mark.postgres

POTASSIUM = {"text": "Potassium", "codings": [{"system": "http://loinc.org", "code": "2823-3"}]}
PHONED = {
    "status": "phoned", "caller": "Laboratoire des Charmes", "read_back": True,
    "lines": [{"code": POTASSIUM, "value": {"value": "7.1", "unit": "mmol/L", "code": "mmol/L"}}],
}  # fmt: skip


def of_present(web: Web) -> str:
    return f"/api/v1/stints/{web.stint('present')}"


def phoned(machine: TestClient, patient: str) -> tuple[str, int]:
    """A potassium of 7.1 that the laboratory dictated; its entry, and where it stands."""
    answer = machine.post(f"/api/v1/patients/{patient}/receive-result", json=PHONED, headers=key())
    assert answer.status_code == 201, answer.text
    return answer.json()["event_ids"][0], answer.json()["position"]


def test_a_phoned_critical_value_stands_beside_the_edition_it_came_after(
    web: Web, machine: TestClient
) -> None:
    patient = str(registered(machine, "APRESLEDITION"))
    edition = machine.post(f"{of_present(web)}/issue-briefing", headers=key()).json()
    assert patient not in [row["patient"] for row in edition["rows"]]
    entry, position = phoned(machine, patient)

    answer = machine.get(
        f"{of_present(web)}/briefing", headers={"releve-min-position": str(position)}
    )
    assert int(answer.headers["releve-position"]) >= position
    told: dict[str, Any] = answer.json()
    assert (told["edition"], told["sha256"]) == (edition["edition"], edition["sha256"])
    assert told["position"] < position, "the edition itself stays what was issued"
    since = told["since"]
    assert since["position"] >= position
    (row,) = [row for row in since["rows"] if row["patient"] == patient]
    assert row["tier"] == "T0"
    assert "7,1" in row["alarms"][0]["text"]
    (changed,) = [each for each in since["patients"] if each["patient"] == patient]
    assert changed["tier"] == "T0"
    assert entry in [each["entry"] for each in changed["changes"]]
    assert [each["topic"] for each in changed["changes"]].count("patient.result-received") == 1

    renewed = machine.post(f"{of_present(web)}/issue-briefing", headers=key())
    assert renewed.status_code == 201
    assert renewed.json()["number"] == edition["number"] + 1
    assert patient in [row["patient"] for row in renewed.json()["rows"]]
    assert renewed.json()["since"]["rows"] == []
    again = machine.post(f"{of_present(web)}/issue-briefing", headers=key())
    assert (again.status_code, again.json()["edition"]) == (200, renewed.json()["edition"])

    reviewed = machine.post(
        f"/api/v1/patients/{patient}/review-result",
        json={"result": entry, "verdict": "critical", "action": "Appel au 15"}, headers=key(),
    )  # fmt: skip
    assert reviewed.status_code == 201, reviewed.text
    ended = machine.get(f"{of_present(web)}/briefing").json()["since"]["ended_alarms"]
    assert [(each["entry"], each["judged"]) for each in ended] == [(entry, True)]
    assert ended[0]["became"].startswith("lu ")


def test_a_card_says_who_it_is_about_by_every_door(web: Web, machine: TestClient) -> None:
    traits = {
        "birth_name": "IDENTITEDITE", "first_names": ["Jeanne"], "used_name": "AUTRENOM",
        "birth_date": "1948-03-02", "sex": "female", "prior_search": "name",
    }  # fmt: skip
    patient = machine.post("/api/v1/patients", json=traits, headers=key()).json()["patient"]
    for name, data in (
        ("change-ald-status", {"status": "granted", "code": "8", "starts": "2026-11-02"}),
        ("set-illness-severity", {"severity": "unstable", "reason": "Dyspnée de repos"}),
    ):
        path = f"/api/v1/patients/{patient}/{name}"
        answer = machine.post(path, json=data, headers=key())
        assert answer.status_code == 201, answer.text
    edition = machine.post(f"{of_present(web)}/issue-briefing", headers=key()).json()
    (row,) = [row for row in edition["rows"] if row["patient"] == patient]
    assert row["identity"] == {
        "birth_name": "IDENTITEDITE", "birth_date": "1948-03-02", "age": "78 ans",
        "sex": "female", "incomplete": True, "ins": "provisoire", "ald": ["8"],
    }  # fmt: skip
    page = html.unescape(
        web.browser("present").get(f"/sejours/{web.stint('present')}/briefing").text
    )
    (card,) = re.findall(rf'aria-labelledby="p-{patient}">(.*?)</article>', page, re.DOTALL)
    assert "02/03/1948 · 78 ans · femme · ALD 8 · INS provisoire</span>" in card


def test_who_is_named_since_the_edition_is_written_down(web: Web, machine: TestClient) -> None:
    machine.post(f"{of_present(web)}/issue-briefing", headers=key())
    patient = registered(machine, "NOMMEDEPUIS")
    phoned(machine, str(patient))
    shown = machine.get(f"{of_present(web)}/briefing")
    assert str(patient) in [row["patient"] for row in shown.json()["since"]["rows"]]
    web.services.catch_up()
    reads = web.services.reader.by_position(int(shown.headers["releve-position"]), 50)
    named = [r.access.what for r in reads if r.access and patient in r.access.patients]
    assert "api.briefing" in named


def test_a_kept_edition_is_replayed_without_what_came_after(web: Web, machine: TestClient) -> None:
    first = machine.get(f"{of_present(web)}/briefing").json()
    kept = machine.get(f"{of_present(web)}/briefing", params={"edition": first["edition"]}).json()
    assert kept["since"] is None
    assert {**first, "since": None} == kept


def test_only_the_stints_own_doctor_renews_it(web: Web, machine: TestClient) -> None:
    path = f"{of_present(web)}/issue-briefing"
    for who in ("coordinator", "auditor", "referent"):
        assert web.machine(who).post(path, headers=key()).status_code == 404, who
    unknown = f"/api/v1/stints/{uuid4()}/issue-briefing"
    assert machine.post(unknown, headers=key()).status_code == 404
    missing = machine.post(path)
    assert (missing.status_code, missing.json()["code"]) == (400, "idempotency-key-missing")
