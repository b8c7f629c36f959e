"""The first walk of docs/walkthrough.md, through the real doors, step by step."""

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
        ("read_clinical", "api/disclosure.py"),
    ):
        assert f"`{symbol}`" in PAGE or f".{symbol}`" in PAGE
        assert f"def {symbol}(" in (ROOT / module).read_text()
