"""Every door asks the policy, every clinical answer leaves its trace first."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar
from uuid import UUID, uuid4

import pytest
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from httpx2 import Response
from starlette.testclient import TestClient

from releve.api.acting import ACTIONS, public_commands
from releve.api.frame import SECURITY_HEADERS
from releve.api.gate import PUBLIC, Guard
from releve.api.inbox import receive
from releve.api.pages.audit import WHAT
from releve.api.routes.commands import CommandGuard
from releve.domain.commands import COMMANDS
from releve.projections import records
from support.postgres import Database
from support.web import FORM, Web, key, open_web, routes, submit

pytestmark = pytest.mark.postgres
ROOT = Path(__file__).resolve().parents[2]


def calls(dependant: Dependant) -> Iterator[object]:
    yield dependant.call
    for below in dependant.dependencies:
        yield from calls(below)


def test_every_route_asks_the_policy_or_is_on_the_closed_list(web: Web) -> None:
    bare = {
        route.path
        for route in routes(web.app)
        if not any(isinstance(call, Guard | CommandGuard) for call in calls(route.dependant))
    }
    assert bare == set(PUBLIC)


def test_a_route_without_guard_would_be_found(web: Web) -> None:
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.add_api_route("/oubli", lambda: {})
    assert [
        route.path
        for route in routes(app)
        if not any(isinstance(call, Guard | CommandGuard) for call in calls(route.dependant))
    ] == ["/oubli"]


def test_every_command_has_an_action_and_every_public_one_a_route(web: Web) -> None:
    assert set(ACTIONS) == set(COMMANDS)
    posted = {route.name for route in routes(web.app) if "POST" in (route.methods or ())}
    for target in ("patient", "stint", "centre", "practitioner", "inbox"):
        assert {spec.name for spec in public_commands(target)} <= posted


def entry_of(web: Web, patient: UUID) -> UUID:
    """The newest entry of a record."""
    newest: UUID = web.services.reader.stream(patient)[-1].event_id
    return newest


def ask_the_doctor_in_post(web: Web, patient: str) -> None:
    """A question that waits for an answer: without one there is nothing to read."""
    present = web.services.persona("present")
    asked = {"to": str(present.person), "to_name": present.name, "text": "?"}
    path = f"/api/v1/patients/{patient}/ask-question"
    answer = web.machine("referent").post(path, json=asked, headers=key())
    assert answer.status_code == 201, answer.text


def readings(web: Web) -> list[tuple[str, str, str]]:
    """(persona, method, address) of every route that gives a record, filled in."""
    patient, stint = str(web.patient()), str(web.stint("present"))
    found = []
    for route in routes(web.app):
        if route.path in PUBLIC or "GET" not in (route.methods or ()):
            continue
        address = re.sub(r"\{patient\}", patient, re.sub(r"\{stint\}", stint, route.path))
        address = address.replace("{entry}", str(entry_of(web, UUID(patient))))
        address = address.replace("{act}", "question")
        if "{document}" in address:
            address = address.replace("{document}", document_of(web)).replace("{number}", "0")
        address = address.replace("{centre}", str(web.services.persona("present").centre))
        persona = "present"
        if route.path.endswith("/questions"):
            ask_the_doctor_in_post(web, patient)
        if route.path.startswith("/audit"):
            persona = "auditor"
        elif route.path in ("/echeances", "/arrivees/agenda") or "coordination" in route.path:
            persona = "coordinator"
        found.append((persona, address, route.path))
    return found


def document_of(web: Web) -> str:
    """A document of the inbox that carries a PDF inside; the same one however often it is asked."""
    raw = (ROOT / "tests" / "conformance" / "data" / "inbox" / "cda-level1-pdf.xml").read_bytes()
    kept = receive(web.services, raw, centre=web.services.persona("present").centre, door="upload")
    web.services.catch_up()
    return str(kept.document)


CLINICAL_SLOTS = ("problems", "allergies", "medications")


def clinical_words(web: Web) -> set[str]:
    """What only clinicians read: one-liners, diagnoses, substances, treatments of everybody."""
    words: set[str] = set()
    centre = web.services.persona("present").centre
    for patient in web.services.records.summaries(centre)[1]:
        found = records.read_patient(web.services.pool, web.services.data_keys, patient)
        assert found is not None
        spoken = found.summary.one_liner()
        words |= {spoken.text} if spoken else set()
        words |= {
            str(line.concept["text"])
            for name in CLINICAL_SLOTS
            for line in found.summary.slot(name)
            if line.concept and len(line.concept.get("text", "")) > 5
        }
    return words


SEVERITY = re.compile(r'class="severity |"severity": ?"|gravité non dite|One-?liner', re.IGNORECASE)


@pytest.mark.parametrize("who", ["coordinator", "secretary", "auditor"])
def test_no_get_route_gives_clinical_text_to_who_may_not_read_it(web: Web, who: str) -> None:
    """Every GET route, by cookie and by token, with the ids of patients and stints that exist."""
    words = clinical_words(web)
    assert len(words) > 30
    if who == "secretary":
        web.hire(who)
    browser, machine = web.browser(who), web.machine(who)
    patients = [web.patient("T0"), web.patient("T2"), web.patient("T3")]
    stints = [web.stint("previous"), web.stint("present"), web.stint("next")]
    opened = 0
    for route in routes(web.app):
        if "GET" not in (route.methods or ()):
            continue
        for patient, stint in zip(patients, stints, strict=True):
            address = route.path.replace("{patient}", str(patient)).replace("{stint}", str(stint))
            address = address.replace("{centre}", str(web.services.persona(who).centre))
            address = address.replace("{entry}", str(entry_of(web, patient)))
            address = address.replace("{act}", "question")
            for client in (browser, machine):
                answer = client.get(address.replace("{name}", "app.css"))
                assert answer.status_code in (200, 303, 404), (who, address, answer.status_code)
                if answer.status_code != 200 or route.path in PUBLIC:
                    continue
                opened += 1
                text = html.unescape(answer.text)
                assert not {word for word in words if word in text}, (who, route.path)
                assert SEVERITY.search(text) is None, (who, route.path)
    assert opened > 3


def test_the_words_looked_for_are_what_a_doctor_is_shown(web: Web) -> None:
    """The search above finds something where it should: on a doctor's and a nurse's pages."""
    words = clinical_words(web)
    web.hire("nurse")
    for who in ("present", "nurse"):
        shown = html.unescape(web.browser(who).get(f"/patients/{web.patient()}").text)
        assert {word for word in words if word in shown}, who
        assert SEVERITY.search(shown)


def test_the_list_of_a_stint_is_its_own_doctors_and_the_referents(web: Web) -> None:
    own = f"/sejours/{web.stint('present')}/transmissions"
    web.hire("nurse")
    web.hire("secretary")
    told = {
        who: web.browser(who).get(own).status_code
        for who in ("present", "previous", "next", "referent", "coordinator", "secretary",
                    "nurse", "auditor")
    }  # fmt: skip
    assert {who for who, status in told.items() if status == 200} == {"present", "referent"}
    assert set(told.values()) == {200, 404}


def test_everything_that_was_read_has_words_on_the_auditors_page(web: Web) -> None:
    """Names in access entries: those of all GET routes, of refusals, and of the command line."""
    for persona, address, path in readings(web):
        machine = path.startswith(("/api", "/fhir"))
        (web.machine if machine else web.browser)(persona).get(address)
        (web.machine if machine else web.browser)("next").get(address)
    web.services.settled()
    head = web.services.reader.head().size
    kept = {
        read.access.what
        for start in range(-1, head, 500)
        for read in web.services.reader.by_position(start, 500)
        if read.access is not None
    }
    assert len(kept) > 12
    assert kept <= set(WHAT)
    source = "".join(path.read_text("utf-8") for path in (ROOT / "api").rglob("*.py"))
    written = set(re.findall(r'what="((?:page|api|fhir)\.[\w-]+)"', source))
    about_one = re.findall(r'patient_page\(request, \w+, "(\w+)\.html"', source)
    written |= {f"page.{template}" for template in about_one}
    written |= set(re.findall(r'_trace\(services, "[\w.]+", "(\w+)"', source))
    assert {"export", "replay", "briefing", "fhir", "page.handovers", "page.act"} <= written
    assert written <= set(WHAT)
    patient = web.patient()
    web.machine("present").get(f"/api/v1/patients/{patient}/replay")
    web.services.settled()
    shown = web.browser("auditor").get(f"/audit/patients/{patient}").text
    assert "dossier rejoué à un moment, par l’API" in shown
    assert "api.replay" not in shown


def test_an_id_that_no_record_has_is_never_written_down_as_a_patient(web: Web) -> None:
    made_up = uuid4()
    web.machine("present").get(f"/api/v1/patients/{made_up}")
    web.services.settled()
    last = web.services.reader.by_position(web.services.reader.head().size - 2, 1)[0]
    assert last.access is not None
    assert (last.access.outcome, last.access.patients) == ("refused", ())


NO_RECORD = {
    "/",
    "/releve",
    "/transmissions",
    "/audit",
    "/patients/nouveau",
    "/api/v1/ledger/checkpoint",
    "/api/v1/centres/{centre}",
    "/coordination/sejour",
    "/coordination/sejours/{stint}/modifier",
    "/coordination/sejours/{stint}/annuler",
    "/coordination/equipe",
    "/coordination/horaires",
    "/coordination/fermeture",
    "/coordination/sans-medecin",
    "/coordination/lieu",
}
"""Signed-in pages that hold no record: a redirection, the log's head, an empty form, a centre."""


def test_no_record_leaves_once_the_access_log_is_down(web: Web, module_database: Database) -> None:
    """The same database, opened a second time, with its access log closed as if it had died."""
    with open_web(module_database, web.services.settings.state_dir) as web:
        asked = readings(web)
        clients = {
            name: (web.browser(name), web.machine(name))
            for name in {persona for persona, _, _ in asked}
        }
        name = web.cards[0]["identity"]["name"].split()[0]
        told = {}
        for persona, address, path in asked:
            client = clients[persona][path.startswith(("/api", "/fhir"))]
            told[path] = client.get(address)
        assert {path for path, answer in told.items() if answer.status_code == 200} == {
            *(path for path in told if path not in ("/", "/releve", "/transmissions"))
        }
        assert sum(name in answer.text for answer in told.values()) >= 8
        web.services.access.close()
        for persona, address, path in asked:
            client = clients[persona][path.startswith(("/api", "/fhir"))]
            answer = client.get(address)
            if path in NO_RECORD:
                assert answer.status_code in (200, 303), path
                continue
            assert answer.status_code == 503, path
            assert answer.headers["retry-after"]
            assert name not in answer.text, path
        searched = clients["present"][0].post(
            "/patients", data={"nom": name, "jeton": form_token(clients["present"][0])},
            headers=FORM,
        )  # fmt: skip
        assert searched.status_code == 503
        assert name not in searched.text


def form_token(client: TestClient) -> str:
    shown = client.get("/patients/nouveau")
    found = re.search(r'name="jeton" value="([^"]+)"', shown.text)
    assert found is not None
    return found[1]


class TestTheDeskLearnsNothingFromItsAnswers:
    """A result that it notes sets rules off: no answer says whether one did."""

    CALL: ClassVar[dict[str, object]] = {
        "status": "phoned",
        "caller": "Mme Exemple",
        "read_back": True,
        "laboratory": "Laboratoire de l'exemple",
    }

    def dropped(self, web: Web, who: str, value: str, **more: str) -> tuple[str, Response]:
        doctor, desk = web.machine("present"), web.machine(who)
        born = {"birth_name": "SEUIL", "first_names": ["Odette"], "birth_date": "1948-03-02",
                "sex": "female", "prior_search": "name"}  # fmt: skip
        patient = doctor.post("/api/v1/patients", json=born, headers=key()).json()["patient"]
        limit = {"loinc": "2823-3", "comparator": ">", "value": "5.5", "unit": "mmol/L"}
        rule = {"condition": "K+ > 5,5", "action": "ECG", "threshold": limit}
        path = f"/api/v1/patients/{patient}"
        assert doctor.post(f"{path}/set-contingency", json=rule, headers=key()).status_code == 201
        code = {"text": "Potassium", "codings": [{"system": "http://loinc.org", "code": "2823-3"}]}
        line = {"code": code, "value": {"value": value, "unit": "mmol/L", "code": "mmol/L"}}
        sent = {**self.CALL, "lines": [line]}
        return patient, desk.post(f"{path}/receive-result", json=sent, headers={**key(), **more})

    def test_on_which_side_of_a_limit_a_value_is(self, web: Web) -> None:
        for who in ("coordinator", web.hire("secretary")):
            seen = []
            for value, events in (("5.4", 2), ("5.6", 3)):
                patient, answer = self.dropped(web, who, value, **{"releve-seen-position": "0"})
                assert answer.status_code == 201, answer.text
                said = answer.json()
                stream = web.services.reader.stream(UUID(patient))
                assert stream[2].topic == "patient.result-received"
                assert len(stream) == 2 + events  # the rules did fire
                assert said["event_ids"] == [str(stream[2].event_id)]
                assert (said["version"], said["position"]) == (None, None)
                assert "etag" not in answer.headers
                assert "releve-position" not in answer.headers
                (last,) = said["arrived"]  # whoever wrote last, not what, nor how often
                assert set(last) == {"author", "role", "recorded_at"}
                seen.append((set(said), set(answer.headers), len(said["event_ids"])))
            assert seen[0] == seen[1]

    def test_by_guessing_the_version(self, web: Web) -> None:
        bodies = set()
        for version in ("1", "2", "3", "0"):
            patient, answer = self.dropped(
                web, "coordinator", "5.6", **{"if-match": f'"{version}"'}
            )
            assert (answer.status_code, answer.json()["code"]) == (412, "version-not-shown")
            bodies.add(tuple(sorted(answer.json())))
            assert len(web.services.reader.stream(UUID(patient))) == 2
        assert len(bodies) == 1

    def test_and_a_doctor_is_told_everything(self, web: Web) -> None:
        _, answer = self.dropped(web, "present", "5.6")
        assert len(answer.json()["event_ids"]) == 3
        assert answer.headers["etag"] == f'"{answer.json()["version"]}"' == '"5"'


class TestRefusedAndUnknownAreOne:
    @pytest.mark.parametrize("suffix", ["", "/summary", "/timeline", "/open-items", "/replay"])
    def test_in_json(self, web: Web, suffix: str) -> None:
        machine = web.machine("coordinator")
        refused = machine.get(f"/api/v1/patients/{web.patient()}{suffix}")
        unknown = machine.get(f"/api/v1/patients/00000000-0000-4000-8000-000000000001{suffix}")
        nonsense = machine.get(f"/api/v1/patients/pas-un-id{suffix}")
        nowhere = machine.get("/api/v1/rien")
        assert refused.status_code == 404
        assert refused.json()["code"] == "not-available"
        assert refused.content == unknown.content == nonsense.content == nowhere.content
        assert set(refused.headers) == set(unknown.headers)

    def test_on_pages(self, web: Web) -> None:
        browser = web.browser("auditor")
        refused = browser.get(f"/patients/{web.patient()}")
        unknown = browser.get("/patients/00000000-0000-4000-8000-000000000001")
        assert refused.status_code == unknown.status_code == 404
        assert refused.content == unknown.content

    def test_in_fhir(self, web: Web) -> None:
        machine = web.machine("auditor")
        refused = machine.get(f"/fhir/Patient/{web.patient()}/$summary")
        unknown = machine.get("/fhir/Patient/00000000-0000-4000-8000-000000000001/$summary")
        assert refused.status_code == unknown.status_code == 404
        assert refused.json()["resourceType"] == "OperationOutcome"
        assert refused.content == unknown.content

    def test_for_writing(self, web: Web) -> None:
        machine = web.machine("next")
        body = {"severity": "stable"}
        path = "/api/v1/patients/{}/set-illness-severity"
        refused = machine.post(path.format(web.patient()), json=body)
        unknown = machine.post(path.format("00000000-0000-4000-8000-000000000001"), json=body)
        assert refused.status_code == unknown.status_code == 404
        assert refused.content == unknown.content

    def test_a_refusal_is_itself_written_down(self, web: Web) -> None:
        patient = web.patient()
        web.machine("auditor").get(f"/api/v1/patients/{patient}")
        web.services.catch_up()
        last = web.services.reader.by_position(web.services.reader.head().size - 2, 1)[0]
        assert last.access is not None
        assert last.access.outcome == "refused"
        assert last.access.patients == (patient,)
        assert last.access.actor.role == "auditor"


class TestWithoutASession:
    def test_pages_send_to_the_chooser_and_back(self, web: Web) -> None:
        answer = web.client().get("/patients")
        assert answer.status_code == 303
        assert answer.headers["location"] == "/connexion?retour=%2Fpatients"

    @pytest.mark.parametrize("path", ["/api/v1/ledger/checkpoint", "/fhir/Patient/x"])
    def test_machines_are_told_401(self, web: Web, path: str) -> None:
        for headers in ({}, {"authorization": "Bearer rlv_rien"}, {"authorization": "Basic eDp4"}):
            answer = web.client().get(path, headers=headers)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"].startswith("Bearer")

    def test_a_cookie_never_writes_through_the_json_door(self, web: Web) -> None:
        answer = web.browser("present").post(
            f"/api/v1/patients/{web.patient()}/set-illness-severity", json={"severity": "stable"}
        )
        assert answer.status_code == 401

    def test_a_token_is_no_session_for_pages(self, web: Web) -> None:
        assert web.machine("present").get("/patients").status_code == 303


class TestHeaders:
    def test_stand_on_every_answer(self, web: Web) -> None:
        browser = web.browser("present")
        for path in (
            "/connexion",
            "/patients",
            "/rien",
            "/healthz",
            "/fhir/metadata",
            "/static/app.css",
        ):
            answer = browser.get(path)
            for name, value in SECURITY_HEADERS.items():
                assert answer.headers[name] == value, (path, name)
            assert "server" not in answer.headers

    def test_csp_allows_nothing_inline(self, web: Web) -> None:
        policy = web.client().get("/connexion").headers["content-security-policy"]
        assert "unsafe" not in policy
        assert policy.startswith("default-src 'none'")

    def test_records_are_never_kept_and_assets_are(self, web: Web) -> None:
        browser = web.browser("present")
        assert browser.get(f"/patients/{web.patient()}").headers["cache-control"] == "no-store"
        assert "immutable" in browser.get("/static/app.css").headers["cache-control"]

    def test_a_demo_answers_to_loopback_names_only(self, web: Web) -> None:
        answer = web.client().get("/connexion", headers={"host": "releve.example.org"})
        assert answer.status_code == 400


class TestLimits:
    def test_a_body_over_one_mebibyte_is_refused(self, web: Web) -> None:
        machine = web.machine("present")
        path = f"/api/v1/patients/{web.patient()}/sign-note"
        assert machine.post(path, content=b"x" * (1024 * 1024 + 1)).status_code == 413

        def unannounced() -> Iterator[bytes]:
            for _ in range(20):
                yield b" " * 64 * 1024

        headers = {"content-type": "application/json"}
        assert machine.post(path, content=unannounced(), headers=headers).status_code == 413

    def test_a_note_over_64_kib_and_a_deep_json_are_refused(self, web: Web) -> None:
        machine = web.machine("present")
        path = f"/api/v1/patients/{web.patient()}/sign-note"
        machine.headers.update(key())
        answer = machine.post(path, json={"plan": "x" * (64 * 1024 + 1)})
        assert (answer.status_code, answer.json()["code"]) == (413, "text-too-long")
        deep = b'{"a":' * 33 + b"1" + b"}" * 33
        headers = {"content-type": "application/json"}
        answer = machine.post(path, content=deep, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (413, "too-deep")
        brackets = machine.post(path, json={"plan": "[{" * 200})
        assert brackets.status_code == 201, brackets.text

    @pytest.mark.parametrize(
        ("content", "media_type", "status"),
        [(b"{", "application/json", 400), (b"[]", "application/json", 400),
         (b"{}", "text/plain", 415), (b"a=1", "application/x-www-form-urlencoded", 415),
         (b"\xff\xfe", "application/json", 400)],
    )  # fmt: skip
    def test_what_is_not_a_json_object_is_refused(
        self, web: Web, content: bytes, media_type: str, status: int
    ) -> None:
        path = f"/api/v1/patients/{web.patient()}/sign-note"
        answer = web.machine("present").post(
            path, content=content, headers={"content-type": media_type}
        )
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"


class TestOnesOwnEntries:
    """What is allowed on an entry of one's own is refused on anybody else's, by the same bytes."""

    def test_a_nurse_closes_the_item_that_she_opened_and_no_other(self, web: Web) -> None:
        nurse, doctor = web.machine(web.hire("nurse")), web.machine("present")
        patient = web.patient("T2")
        path = f"/api/v1/patients/{patient}"
        body = {"kind": "call", "text": "Rappeler la famille", "no_deadline": True}
        hers, theirs = (
            who.post(f"{path}/open-item", json=body, headers=key()).json()["event_ids"][0]
            for who in (nurse, doctor)
        )
        shown = web.browser("nurse").get(f"/patients/{patient}").text
        assert f'action="/patients/{patient}/points/{hers}"' in shown
        assert f'action="/patients/{patient}/points/{theirs}"' not in shown
        done = {"evidence": "Appelée"}
        refused = nurse.post(f"{path}/close-item", json={"item": theirs, **done}, headers=key())
        assert (refused.status_code, refused.json()["code"]) == (404, "not-available")
        closed = nurse.post(f"{path}/close-item", json={"item": hers, **done}, headers=key())
        assert closed.status_code == 201, closed.text
        posted = submit(
            web.browser("present"), f"/patients/{patient}", f"/patients/{patient}/points/{theirs}",
            **{f"p{theirs[:8]}.evidence": "Fait", f"p{theirs[:8]}.outcome": "done"},
        )  # fmt: skip
        assert posted.status_code == 303
