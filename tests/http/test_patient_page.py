"""One patient's page and an auditor's: what they offer, and what they say is wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from starlette.testclient import TestClient

from releve.api.app import create_app
from support.web import BASE, Web, key, submit

pytestmark = pytest.mark.postgres


def handed_over(web: Web, **more: Any) -> str:
    """A new patient whom the référent hands over to whoever is in post; their page."""
    machine = web.machine("referent")
    person = {"birth_name": "TRANSMISE", "first_names": ["Ana"], "prior_search": "name"}
    patient = machine.post("/api/v1/patients", json=person, headers=key()).json()["patient"]
    note = {"severity": "stable", "summary": "À suivre", **more}
    written = machine.post(f"/api/v1/patients/{patient}/write-handover", json=note, headers=key())
    assert written.status_code == 201, written.text
    return f"/patients/{patient}"


TAKE = 'name="kind" value="takes"'


@pytest.fixture
def doctor(web: Web) -> TestClient:
    return web.browser("present")


class TestTakingAPatientOn:
    @pytest.mark.parametrize(
        ("more", "offered"),
        [
            ({}, True),
            ({"severity": "watcher", "severity_reason": "Fièvre"}, True),
            ({"severity": "unstable", "severity_reason": "Dyspnée"}, False),
            ({"read_back_requested": True}, False),
        ],
    )
    def test_is_offered_only_where_the_record_accepts_it_without_words(
        self, web: Web, doctor: TestClient, more: dict[str, Any], offered: bool
    ) -> None:
        page = handed_over(web, **more)
        shown = doctor.get(page).text
        assert 'name="kind" value="restatement"' in shown
        assert (TAKE in shown) is offered
        handover = shown.split('name="handover" value="')[1][:36]
        answer = submit(doctor, page, f"{page}/restitution", kind="takes", handover=handover)
        assert (answer.status_code == 303) is offered

    def test_who_became_unstable_since_is_restated_with_words(
        self, web: Web, doctor: TestClient
    ) -> None:
        page = handed_over(web)
        assert TAKE in doctor.get(page).text
        worse = {"severity": "unstable", "reason": "Choc"}
        path = f"/api/v1{page}/set-illness-severity"
        assert web.machine("present").post(path, json=worse, headers=key()).status_code == 201
        assert TAKE not in doctor.get(page).text


class TestAnAuditorsMoment:
    @pytest.mark.parametrize("query", ["connu=demain", "connu=2026-13-45T08:00", "position=x"])
    def test_that_cannot_be_read_is_said_and_never_passes_for_everything(
        self, web: Web, query: str
    ) -> None:
        page = f"/audit/patients/{web.patient()}"
        auditor = web.browser("auditor")
        answer = auditor.get(f"{page}?{query}")
        assert answer.status_code == 422
        assert 'id="connu-erreur"' in answer.text
        whole = auditor.get(page)
        assert whole.status_code == 200
        assert 'id="connu-erreur"' not in whole.text
        assert answer.text.count("pas encore connu") > whole.text.count("pas encore connu")


def test_modes_are_written_as_french_writes_them(web: Web, doctor: TestClient) -> None:
    shown = doctor.get(f"/patients/{web.patient('T3')}/consultation").text
    assert ">En EHPAD<" in shown
    assert "ehpad<" not in shown


def test_without_a_demo_the_sign_in_page_does_not_speak_of_one(web: Web) -> None:
    bare = replace(web.services, identity=replace(web.services.identity, demo=None, provider=None))
    client = TestClient(create_app(bare), base_url=BASE, follow_redirects=False)
    shown = client.get("/connexion")
    assert shown.status_code == 200
    assert "personnages" not in shown.text
    assert "releve demo" not in shown.text
    assert "Personnes et lieux inventés" not in shown.text
    assert "Aucune authentification n’est encore branchée" in shown.text


class TestCorrecting:
    def test_a_note_is_added_to_and_its_first_text_stays(
        self, web: Web, doctor: TestClient
    ) -> None:
        page = f"/patients/{web.patient('T3')}"
        address = thread_link(doctor, web, page, "Poids stable")
        shown = doctor.get(address)
        assert "Poids stable" in shown.text
        empty = submit(doctor, address, f"{address}/complement", text="", reason="Oubli")
        assert empty.status_code == 422
        assert 'id="text-erreur"' in empty.text
        assert 'value="Oubli"' in empty.text
        sent = {"text": "Œdèmes revus mardi", "reason": "Oubli"}
        done = submit(doctor, address, f"{address}/complement", **sent)
        assert done.status_code == 303
        after = doctor.get(done.headers["location"]).text
        assert "Complément signé" in after
        assert "Œdèmes revus mardi" in after
        assert "Poids stable" in after
        events = web.services.reader.stream(UUID(page.rpartition("/")[2]))
        assert events[-1].topic == "patient.note-amended"
        assert str(events[-1].envelope.target) == address.rpartition("/")[2]
        assert events[-1].envelope.reason == "Oubli"

    def test_an_entry_marked_in_error_is_struck_and_cannot_be_marked_again(
        self, web: Web, doctor: TestClient
    ) -> None:
        page = f"/patients/{web.patient('T3')}"
        address = thread_link(doctor, web, page, "Saisi sur le mauvais dossier")
        untold = submit(doctor, address, f"{address}/erreur", error_reason=" ")
        assert untold.status_code == 422
        assert 'id="error_reason-erreur"' in untold.text
        done = submit(doctor, address, f"{address}/erreur", error_reason="Autre patient", harm="1")
        assert done.status_code == 303
        after = doctor.get(done.headers["location"]).text
        assert "Entrée marquée erronée" in after
        assert address not in after  # offered no more
        assert "<form" not in doctor.get(address).text.split("<main")[1]
        events = web.services.reader.stream(UUID(page.rpartition("/")[2]))
        assert events[-1].topic == "patient.entry-marked-in-error"
        assert events[-1].envelope.reason == "Autre patient"

    def test_is_offered_to_the_author_and_a_note_to_the_referent(
        self, web: Web, doctor: TestClient
    ) -> None:
        page = f"/patients/{web.patient('T3')}"
        address = thread_link(doctor, web, page, "Note d'une autre")
        referent = web.browser("referent")
        assert f'href="{address}"' in referent.get(page).text
        shown = referent.get(address).text
        assert f'action="{address}/complement"' in shown
        assert f'action="{address}/erreur"' not in shown  # not in post
        nurse = web.browser(web.hire("nurse"))
        assert f'href="{address}"' not in nurse.get(page).text
        assert "ne se corrige pas, ou pas par vous" in nurse.get(address).text
        assert web.browser("coordinator").get(address).status_code == 404
        other = f"/patients/{web.patient('T2')}/entrees/{address.rpartition('/')[2]}"
        assert doctor.get(other).status_code == 404


def thread_link(doctor: TestClient, web: Web, page: str, plan: str) -> str:
    """Sign a note as the doctor in post; the address where its thread entry is corrected."""
    signed = web.machine("present").post(
        f"/api/v1{page}/sign-note", json={"plan": plan}, headers=key()
    )
    address = f"{page}/entrees/{signed.json()['event_ids'][0]}"
    assert f'href="{address}"' in doctor.get(page).text
    return address
