"""The same thing done by several people in the same moment, through two serving processes' worth
of services on one database: one of them does it, each is told what became of their own.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from starlette.testclient import TestClient

from releve.domain.aggregates.patient.problems import ProblemRecorded
from support.inbox import pdf, send
from support.postgres import Database
from support.web import Web, key, open_web, registered

pytestmark = pytest.mark.postgres

Answers = Sequence[tuple[int, dict[str, Any]]]


@pytest.fixture(scope="module")
def webs(
    module_database: Database, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Web, Web]]:
    """Two applications of one installation."""
    state: Path = tmp_path_factory.mktemp("state") / "releve"
    with open_web(module_database, state) as one, open_web(module_database, state) as other:
        for web in (one, other):
            # FastAPI prepares its routes at the first request, in a way that two threads disturb;
            # a process that serves has one thread for it.
            assert web.machine("present").get("/api/openapi.json").status_code == 200
        yield one, other


def machines(webs: tuple[Web, Web], *personas: str) -> list[TestClient]:
    """Each persona at both applications."""
    return [web.machine(persona) for persona in personas for web in webs]


def at_once(
    clients: Sequence[TestClient], ask: Callable[[TestClient], Any], *, each: int = 2
) -> Answers:
    """What every client is answered, all asking in the same moment."""
    asking = [client for client in clients for _ in range(each)]
    together = threading.Barrier(len(asking), timeout=60)

    def asked(client: TestClient) -> tuple[int, dict[str, Any]]:
        together.wait()
        answer = ask(client)
        return answer.status_code, answer.json()

    with ThreadPoolExecutor(len(asking)) as threads:
        return list(threads.map(asked, asking))


def told(answers: Answers) -> Counter[tuple[int, str]]:
    """How often each status came, with its code where it is a refusal."""
    return Counter((status, body.get("code", "")) for status, body in answers)


def test_one_request_sent_several_times_has_one_answer(webs: tuple[Web, Web]) -> None:
    same = key()
    who = {"birth_name": "DOUBLECLIC", "first_names": ["Ida"], "prior_search": "name"}
    answers = at_once(
        machines(webs, "coordinator"),
        lambda client: client.post("/api/v1/patients", json=who, headers=same),
    )
    assert {status for status, _ in answers} <= {200, 201}, told(answers)
    assert len({body["patient"] for _, body in answers}) == 1


def test_of_those_who_register_one_identifier_one_does_and_the_others_learn_that_it_is_held(
    webs: tuple[Web, Web],
) -> None:
    held = [{"system": "urn:oid:2.999.1", "value": "AT-ONCE-1"}]
    who = {"birth_name": "IDENTIFIANT", "first_names": ["Ida"], "prior_search": "name"}
    answers = at_once(
        machines(webs, "coordinator"),
        lambda client: client.post(
            "/api/v1/patients", json={**who, "identifiers": held}, headers=key()
        ),
    )
    assert told(answers) == {(201, ""): 1, (409, "identifier-claimed"): 3}


def test_of_those_who_saw_one_version_one_writes(webs: tuple[Web, Web]) -> None:
    patient = registered(webs[0].machine("coordinator"), "VERSION")
    read = webs[0].machine("present").get(f"/api/v1/patients/{patient}")
    version = read.headers["etag"]
    answers = at_once(
        machines(webs, "present"),
        lambda client: client.post(
            f"/api/v1/patients/{patient}/record-problem",
            json={"concept": {"text": "Asthme"}},
            headers={**key(), "if-match": version},
        ),
    )
    assert told(answers) == {(201, ""): 1, (412, "version-mismatch"): 3}


def test_an_item_is_closed_once(webs: tuple[Web, Web]) -> None:
    doctor = webs[0].machine("present")
    patient = registered(webs[0].machine("coordinator"), "FERMETURE")
    item = {"kind": "result", "text": "Rappeler", "due": "2026-11-27", "done_when": "rappelé"}
    opened = doctor.post(f"/api/v1/patients/{patient}/open-item", json=item, headers=key())
    assert opened.status_code == 201, opened.text
    closing = {"item": opened.json()["event_ids"][0], "outcome": "done", "evidence": "fait"}
    answers = at_once(
        machines(webs, "present"),
        lambda client: client.post(
            f"/api/v1/patients/{patient}/close-item", json=closing, headers=key()
        ),
    )
    assert told(answers)[201, ""] == 1, told(answers)
    assert {status for status, _ in answers} <= {201, 409, 422}, told(answers)


def test_a_document_is_matched_once(webs: tuple[Web, Web]) -> None:
    desk = webs[0].machine("coordinator")
    patients = [registered(desk, name) for name in ("MOMENTUN", "MOMENTDEUX")]
    document = send(desk, pdf("matched by several at once"))
    clients = machines(webs, "present")
    wanted = dict(zip(map(id, clients), patients, strict=True))

    def ask(client: TestClient) -> Any:
        return client.post(
            f"/api/v1/inbox/{document}/match-document",
            json={"patient": str(wanted[id(client)]), "confirmed": True},
            headers=key(),
        )

    answers = at_once(clients, ask)
    assert told(answers)[201, ""] >= 1, told(answers)
    assert {status for status, _ in answers} <= {201, 409, 422}, told(answers)


def test_the_same_bytes_sent_at_once_are_one_document(webs: tuple[Web, Web]) -> None:
    raw = pdf("sent by several at once")
    answers = at_once(
        machines(webs, "coordinator", "present"),
        lambda client: client.post(
            "/api/v1/inbox",
            files={"document": ("document.pdf", raw, "application/octet-stream")},
            data={"identity": "", "title": ""},
        ),
    )
    assert {status for status, _ in answers} <= {200, 201}, told(answers)
    assert len({body["inbox"] for _, body in answers}) == 1


def test_a_doctor_planned_twice_in_one_moment_has_one_stint(webs: tuple[Web, Web]) -> None:
    doctor = webs[0].services.persona("present")
    stint = {
        "practitioner": str(doctor.person), "practitioner_name": doctor.name,
        "centre": str(doctor.centre),
        "starts_at": "2027-03-01T08:00:00+01:00", "ends_at": "2027-03-06T13:00:00+01:00",
    }  # fmt: skip
    answers = at_once(
        machines(webs, "coordinator"),
        lambda client: client.post("/api/v1/stints", json=stint, headers=key()),
    )
    assert [status for status, _ in answers].count(201) == 1, told(answers)
    assert {status for status, _ in answers} == {201, 422}, told(answers)


def test_a_briefing_asked_for_at_once_is_one_edition(webs: tuple[Web, Web]) -> None:
    patient = webs[0].patient()
    doctor = webs[0].machine("present")
    worse = {"severity": "unstable", "reason": "au même moment"}
    doctor.post(f"/api/v1/patients/{patient}/set-illness-severity", json=worse, headers=key())
    stint = webs[0].stint("present")
    answers = at_once(
        machines(webs, "present"),
        lambda client: client.post(f"/api/v1/stints/{stint}/issue-briefing", headers=key()),
    )
    assert {status for status, _ in answers} <= {200, 201}, told(answers)
    assert len({body["edition"] for _, body in answers}) == 1


def test_writers_of_one_record_are_all_kept_or_told_who_wrote(webs: tuple[Web, Web]) -> None:
    patient = registered(webs[0].machine("coordinator"), "ENSEMBLE")
    answers = at_once(
        machines(webs, "present"),
        lambda client: client.post(
            f"/api/v1/patients/{patient}/record-problem",
            json={"concept": {"text": f"Problème {uuid4().hex}"}},
            headers=key(),
        ),
        each=4,
    )
    kept = [status for status, _ in answers].count(201)
    assert kept >= 1
    others = [answer for answer in told(answers).elements() if answer != (201, "")]
    assert others == [(409, "conflict")] * (8 - kept)
    assert all("by" in body for status, body in answers if status == 409)
    entries = webs[1].services.continuity.patient(patient).entries.values()
    assert sum(isinstance(each.payload, ProblemRecorded) for each in entries) == kept
