"""The JSON and FHIR doors on a real database: written once, read with a trace, refused in words."""

from __future__ import annotations

import concurrent.futures
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from starlette.testclient import TestClient

from releve.api.acting import public_commands
from releve.api.preflight import delay
from releve.api.routes.bodies import as_json
from releve.api.routes.operating import describe
from releve.api.rules import activate_release
from releve.api.setbacks import IN_A_ROW, Setbacks
from releve.domain.commands import COMMANDS
from releve.projections.rule_release import CURRENT
from support.web import MONDAY, Web, key

pytestmark = pytest.mark.postgres
TELL_TALE = "Zorglubinette"
"""A word that no answer may repeat."""


@pytest.fixture
def doctor(web: Web) -> TestClient:
    return web.machine("present")


def register(client: TestClient, **more: Any) -> str:
    body = {"birth_name": "EXEMPLE", "first_names": ["Jeanne"], "birth_date": "1948-03-02",
            "sex": "female", "prior_search": "name", **more}  # fmt: skip
    answer = client.post("/api/v1/patients", json=body, headers=key())
    assert answer.status_code == 201, answer.text
    return str(answer.json()["patient"])


class TestWriting:
    def test_a_new_patient_has_an_address_a_version_and_a_position(
        self, web: Web, doctor: TestClient
    ) -> None:
        person = {"birth_name": "A", "first_names": ["B"], "prior_search": "name"}
        answer = doctor.post("/api/v1/patients", json=person, headers=key())
        body = answer.json()
        assert answer.status_code == 201
        assert answer.headers["location"] == f"/api/v1/patients/{body['patient']}"
        assert answer.headers["etag"] == '"1"'
        assert int(answer.headers["releve-position"]) == body["position"]
        assert web.services.reader.position_of(UUID(body["patient"]), 1) == body["position"]
        shown = doctor.get(answer.headers["location"])
        assert shown.status_code == 200
        assert shown.headers["etag"] == '"1"'
        assert int(shown.headers["releve-position"]) >= body["position"]

    def test_the_same_request_twice_makes_one_record(self, doctor: TestClient) -> None:
        headers = key()
        body = {"birth_name": "DEUXFOIS", "first_names": ["C"], "prior_search": "name"}
        first = doctor.post("/api/v1/patients", json=body, headers=headers)
        second = doctor.post("/api/v1/patients", json=body, headers=headers)
        assert (first.status_code, second.status_code) == (201, 200)
        assert first.json()["event_ids"] == second.json()["event_ids"]
        other = doctor.post("/api/v1/patients", json={**body, "sex": "male"}, headers=headers)
        assert (other.status_code, other.json()["code"]) == (422, "idempotency-key-reused")

    @pytest.mark.parametrize("target", ["patient", "stint"])
    def test_every_write_needs_a_key(self, web: Web, doctor: TestClient, target: str) -> None:
        """Without one, a request sent again after a lost answer would be written twice."""
        ids = {"patient": web.patient(), "stint": web.stint("present")}
        asked = 0
        for spec in public_commands(target):
            base = f"/api/v1/{target}s"
            path = base if spec.creates else f"{base}/{ids[target]}/{spec.name}"
            before = web.services.reader.head().size
            answer = doctor.post(path, json=dict(spec.example))
            assert answer.status_code in (400, 404), (spec.name, answer.text)
            if answer.status_code == 400:
                asked += 1
                assert answer.json()["code"] == "idempotency-key-missing"
                assert "Idempotency-Key" in answer.json()["what"]
                assert web.services.reader.head().size == before
        assert asked or target == "stint"

    def test_an_unknown_field_inside_is_named_by_its_place_only(self, doctor: TestClient) -> None:
        body = {"concept": {"text": "Amiodarone"}, "dose": {"value": "200", "unit": "mg",
                                                            TELL_TALE: TELL_TALE}}  # fmt: skip
        answer = doctor.post(
            f"/api/v1/patients/{register(doctor)}/start-medication", json=body, headers=key()
        )
        assert answer.status_code == 422
        assert answer.json()["errors"] == [{"loc": "dose", "type": "unknown-field"}]
        assert TELL_TALE not in answer.text

    def test_the_same_request_sent_by_eight_at_once_makes_one_entry(
        self, doctor: TestClient
    ) -> None:
        patient = register(doctor)
        headers = key()
        body = {"one_liner": "Appel de la famille", "plan": "Revoir"}

        def send(_: int) -> Any:
            return doctor.post(f"/api/v1/patients/{patient}/sign-note", json=body, headers=headers)

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(send, range(8)))
        assert {answer.status_code for answer in answers} <= {200, 201}
        assert len({tuple(answer.json()["event_ids"]) for answer in answers}) == 1
        entries = doctor.get(f"/api/v1/patients/{patient}/timeline").json()["entries"]
        assert sum(entry["topic"] == "patient.note-signed" for entry in entries) == 1

    def test_two_people_never_share_a_key(self, web: Web, doctor: TestClient) -> None:
        patient = register(doctor)
        headers = key()
        body = {"kind": "call", "text": "Rappeler", "due": "2026-11-25"}
        path = f"/api/v1/patients/{patient}/open-item"
        mine = doctor.post(path, json=body, headers=headers)
        theirs = web.machine("referent").post(path, json=body, headers=headers)
        assert (mine.status_code, theirs.status_code) == (201, 201)
        assert mine.json()["event_ids"] != theirs.json()["event_ids"]

    def test_if_match_refuses_who_has_not_seen_the_last_write(self, doctor: TestClient) -> None:
        patient = register(doctor)
        path = f"/api/v1/patients/{patient}/record-problem"
        first = doctor.post(
            path, json={"concept": {"text": "Asthme"}}, headers={**key(), "if-match": '"1"'}
        )
        assert first.status_code == 201
        assert first.headers["etag"] == '"2"'
        late = doctor.post(
            path, json={"concept": {"text": "Goutte"}}, headers={**key(), "if-match": '"1"'}
        )
        assert late.status_code == 412
        assert late.json()["version"] == 2
        assert late.json()["by"]["role"] == "doctor"
        bad = doctor.post(
            path, json={"concept": {"text": "Goutte"}}, headers={**key(), "if-match": "x"}
        )
        assert (bad.status_code, bad.json()["code"]) == (400, "bad-if-match")

    def test_what_the_screen_showed_is_kept_with_the_entry(
        self, web: Web, doctor: TestClient
    ) -> None:
        patient = register(doctor)
        answer = doctor.post(
            f"/api/v1/patients/{patient}/sign-note",
            json={"plan": "Vu"},
            headers={**key(), "releve-seen-position": "12"},
        )
        assert answer.status_code == 201
        event = web.services.reader.stream(UUID(patient))[-1]
        assert event.envelope.seen_position == 12
        assert event.envelope.author.stint == web.stint("present")

    def test_a_consultation_is_read_again_everywhere(self, doctor: TestClient) -> None:
        patient = register(doctor)
        answer = doctor.post(
            f"/api/v1/patients/{patient}/record-consultation",
            json=dict(COMMANDS["record-consultation"].example),
            headers=key(),
        )
        assert answer.status_code == 201, answer.text
        summary = doctor.get(f"/api/v1/patients/{patient}/summary").json()
        assert [line["text"] for line in summary["slots"]["problems"]]
        assert summary["presence"]["allergies"]["state"] == "not-asked"
        items = doctor.get(f"/api/v1/patients/{patient}/open-items").json()["open_items"]
        assert items[0]["answerable"]
        replayed = doctor.get(f"/api/v1/patients/{patient}/replay").json()
        assert replayed["entries"]
        assert replayed["position"] == answer.json()["position"]

    @pytest.mark.parametrize("name", [spec.name for spec in public_commands("patient")])
    def test_every_command_answers_with_a_code_and_never_breaks(
        self, doctor: TestClient, name: str
    ) -> None:
        spec = COMMANDS[name]
        path = "/api/v1/patients" if spec.creates else f"/api/v1/patients/{register(doctor)}/{name}"
        answer = doctor.post(path, json=dict(spec.example), headers=key())
        assert answer.status_code in (201, 404, 422), answer.text
        if answer.status_code == 422:
            assert answer.json()["code"] not in ("internal", "invalid-field", "unknown-field")


class TestCentresAndPeople:
    def test_a_team_reads_its_centre_and_nobody_elses(self, web: Web, doctor: TestClient) -> None:
        own = web.services.persona("present").centre
        found = doctor.get(f"/api/v1/centres/{own}").json()
        assert found["in_post"][0]["stint"] == str(web.stint("present"))
        assert (found["no_doctor"], found["answerable"]) == (None, None)
        assert len(found["on_call_chain"]) >= 2
        opened = open_centre(web)
        assert doctor.get(f"/api/v1/centres/{opened}").status_code == 404
        assert doctor.get(f"/api/v1/centres/{uuid4()}").status_code == 404

    def test_an_office_runs_its_own_centre_only(self, web: Web, doctor: TestClient) -> None:
        own, other = web.services.persona("coordinator").centre, open_centre(web)
        office = web.machine("coordinator")
        site = {"site_name": "EHPAD de l'Exemple", "kind": "ehpad"}
        added = office.post(f"/api/v1/centres/{own}/add-site", json=site, headers=key())
        assert added.status_code == 201, added.text
        assert added.headers["location"] == f"/api/v1/centres/{own}"
        assert added.json()["centre"] == str(own)
        shown = office.get(f"/api/v1/centres/{own}").json()
        assert "EHPAD de l'Exemple" in [each["name"] for each in shown["sites"]]
        for client, centre in ((office, other), (doctor, own), (office, uuid4())):
            answer = client.post(f"/api/v1/centres/{centre}/add-site", json=site, headers=key())
            assert (answer.status_code, answer.json()["code"]) == (404, "not-available")

    def test_no_stint_is_planned_and_no_role_granted_at_a_centre_of_others(self, web: Web) -> None:
        other = open_centre(web)
        person = web.services.persona("present").person
        stint = {**COMMANDS["plan-stint"].example, "practitioner": str(person)}
        for centre, status in ((other, 404), (web.services.persona("present").centre, 201)):
            answer = web.machine("coordinator").post(
                "/api/v1/stints", json={**stint, "centre": str(centre),
                                        "starts_at": "2027-03-01T08:00:00+01:00",
                                        "ends_at": "2027-03-06T13:00:00+01:00"}, headers=key(),
            )  # fmt: skip
            assert answer.status_code == status, answer.text
        administrator = web.machine("administrator")
        path = f"/api/v1/practitioners/{person}/grant-role"
        for centre, status in ((other, 404), (web.services.persona("present").centre, 201)):
            role = {"role": "nurse", "centre": str(centre)}
            assert administrator.post(path, json=role, headers=key()).status_code == status

    def test_no_door_opens_for_whoever_is_suspended(self, web: Web, doctor: TestClient) -> None:
        patient = register(doctor)
        person = web.services.persona("present").person
        base = f"/api/v1/practitioners/{person}"
        administrator = web.machine("administrator")
        assert doctor.post(f"{base}/suspend-practitioner", json={"reason": "x"},
                           headers=key()).status_code == 404  # fmt: skip
        suspended = administrator.post(
            f"{base}/suspend-practitioner", json={"reason": "Radiation"}, headers=key()
        )
        assert suspended.status_code == 201, suspended.text
        try:
            for address in (f"/api/v1/patients/{patient}", "/api/v1/ledger/checkpoint",
                            f"/api/v1/stints/{web.stint('present')}/briefing"):  # fmt: skip
                assert doctor.get(address).status_code == 404, address
            note = doctor.post(
                f"/api/v1/patients/{patient}/sign-note", json={"plan": "Revoir"}, headers=key()
            )
            assert note.status_code == 404
        finally:
            again = administrator.post(
                f"{base}/verify-practitioner", json={"proof": "Annuaire Santé"}, headers=key()
            )
        assert again.status_code == 201
        assert doctor.get(f"/api/v1/patients/{patient}").status_code == 200


def open_centre(web: Web) -> str:
    """Another centre, at which nobody of the demo has a role."""
    answer = web.machine("administrator").post(
        "/api/v1/centres", json=dict(COMMANDS["open-centre"].example), headers=key()
    )
    assert answer.status_code == 201, answer.text
    return str(answer.json()["centre"])


class TestWhatIsReadNow:
    def test_a_death_is_said_with_who_the_patient_is(self, doctor: TestClient) -> None:
        path = f"/api/v1/patients/{register(doctor)}"
        assert doctor.get(path).json()["death"] is None
        died = {"date": "2026-11-22", "source": "Famille"}
        assert doctor.post(f"{path}/record-death", json=died, headers=key()).status_code == 201
        for name in ("", "/summary"):
            death = doctor.get(path + name).json()["death"]
            assert (death["detail"]["date"], death["state"]) == ("2026-11-22", "current")
        note = {"severity": "unstable", "severity_reason": "Dyspnée", "summary": "À revoir"}
        refused = doctor.post(f"{path}/write-handover", json=note, headers=key())
        assert (refused.status_code, refused.json()["code"]) == (422, "after-death")

    def test_a_version_that_was_replaced_is_superseded(self, doctor: TestClient) -> None:
        path = f"/api/v1/patients/{register(doctor)}"
        for status, value in (("partial", "4.1"), ("final", "4.2"), ("corrected", "4.3")):
            code = {"text": "Potassium",
                    "codings": [{"system": "http://loinc.org", "code": "2823-3"}]}  # fmt: skip
            line = {"code": code, "value": {"value": value, "unit": "mmol/L", "code": "mmol/L"}}
            told = {"status": status, "title": "Ionogramme", "lines": [line], "report": "R1",
                    "laboratory": "Laboratoire des Charmes"}  # fmt: skip
            sent = doctor.post(f"{path}/receive-result", json=told, headers=key())
            assert sent.status_code == 201, sent.text
        (result,) = doctor.get(f"{path}/results").json()["results"]
        states = [each["state"] for each in result["versions"]]
        assert states == ["superseded", "superseded", "current"]


class TestWhatIsNotReadBack:
    def test_a_result_dropped_by_the_office_answers_with_ids_alone(
        self, web: Web, doctor: TestClient
    ) -> None:
        patient = register(doctor)
        office, headers = web.machine("coordinator"), key()
        path = f"/api/v1/patients/{patient}/receive-result"
        example = dict(COMMANDS["receive-result"].example)
        first = office.post(path, json=example, headers=headers)
        again = office.post(path, json=example, headers=headers)
        assert (first.status_code, again.status_code) == (201, 200), first.text
        for answer in (first, again):
            assert set(answer.json()) == {"patient", "event_ids", "version", "position"}
        received = web.services.reader.stream(UUID(patient))[1]
        assert received.envelope.source.channel == "phone"
        typed = office.post(path, json={**example, "status": "final"}, headers=key())
        assert typed.status_code == 404
        for name in ("", "/summary", "/open-items", "/timeline", "/replay"):
            assert office.get(f"/api/v1/patients/{patient}{name}").status_code == 404
        assert received.payload.lines[0].value.value == "6.4"
        assert doctor.get(f"/api/v1/patients/{patient}").status_code == 200

    def test_a_question_that_nobody_could_answer_is_refused(
        self, web: Web, doctor: TestClient
    ) -> None:
        path = f"/api/v1/patients/{register(doctor)}/ask-question"
        left, referent = web.services.persona("previous"), web.services.persona("referent")

        def asked(to: object, name: str) -> Any:
            body = {"to": str(to), "to_name": name, "text": "Pourquoi ?"}
            answer = doctor.post(path, json=body, headers=key()).json()
            return answer.get("code"), answer.get("do", "")

        assert asked(uuid4(), "Dr Personne")[0] == "unknown-colleague"
        assert asked(web.services.persona("secretary").person, "Mme Pradeau")[0] == (
            "unknown-colleague"
        )
        assert asked(left.person, referent.name)[0] == "another-name"
        assert "référent" in asked(uuid4(), left.name)[1]
        assert asked(referent.person, referent.name)[0] is None
        assert asked(left.person, left.name)[0] is None

    def test_an_item_is_offered_to_somebody_who_can_take_it(
        self, web: Web, doctor: TestClient
    ) -> None:
        patient = register(doctor)
        path = f"/api/v1/patients/{patient}"
        item = doctor.post(
            f"{path}/open-item",
            json={"kind": "call", "text": "Rappeler", "due": "2026-11-25"},
            headers=key(),
        ).json()["event_ids"][0]

        def offered(to: object, name: str) -> Any:
            body = {"item": item, "to": {"person": str(to)}, "to_name": name}
            return doctor.post(f"{path}/offer-item", json=body, headers=key()).json().get("code")

        def persona(name: str) -> Any:
            return web.services.persona(name)

        assert offered(uuid4(), "Dr Personne") == "cannot-accept"
        for gone in ("previous", "secretary"):
            assert offered(persona(gone).person, persona(gone).name) == "cannot-accept"
        assert offered(persona("referent").person, persona("next").name) == "another-name"
        for here in ("next", "referent", "coordinator"):
            assert offered(persona(here).person, persona(here).name) is None
        shown = web.browser("present").get(f"/patients/{patient}/gestes/offrir/{item}").text
        assert persona("next").name in shown
        assert persona("previous").name not in shown

    def test_a_question_opens_what_it_quotes_to_whoever_left_and_then_closes(
        self, web: Web, doctor: TestClient
    ) -> None:
        patient = register(doctor)
        left, asked_of = web.machine("previous"), web.services.persona("previous")
        path = f"/api/v1/patients/{patient}"
        note = doctor.post(f"{path}/sign-note", json={"plan": "Bêtabloquant arrêté"}, headers=key())
        assert left.get(f"{path}/questions").status_code == 404
        asked = doctor.post(
            f"{path}/ask-question",
            json={"to": str(asked_of.person), "to_name": asked_of.name,
                  "text": "Pourquoi ?", "about": note.json()["event_ids"][0]}, headers=key(),
        )  # fmt: skip
        assert asked.status_code == 201, asked.text
        (question,) = left.get(f"{path}/questions").json()["questions"]
        assert question["text"] == "Pourquoi ?"
        assert question["about"]["event_id"] == note.json()["event_ids"][0]
        assert left.get(path).status_code == 404
        answered = left.post(
            f"{path}/answer-question",
            json={"question": question["question"], "text": "Bradycardie à 42"}, headers=key(),
        )  # fmt: skip
        assert answered.status_code == 201, answered.text
        # The answer is an entry of the stint: in its 72 hours the record may be read again.
        assert left.get(f"{path}/questions").status_code == 404


class TestAMatricule:
    def test_is_held_by_one_record_alone(self, web: Web) -> None:
        desk = web.machine("coordinator")
        said = {"status": "recuperee", "service": True, "matricule": "2 79 03 51 215 189 89",
                "system": "urn:oid:1.2.250.1.213.1.4.10"}  # fmt: skip
        first, second = (register(desk, birth_date="1979-03-02") for _ in range(2))
        for _ in range(2):  # said again of the same record, it is still its own
            path = f"/api/v1/patients/{first}/change-ins-status"
            assert desk.post(path, json=said, headers=key()).status_code == 201
        path = f"/api/v1/patients/{second}/change-ins-status"
        taken = desk.post(path, json=said, headers=key())
        assert (taken.status_code, taken.json()["code"]) == (409, "identifier-claimed")
        assert "2790351" not in taken.text


class TestWhatIsWrongIsToldWithoutRepeatingIt:
    @pytest.mark.parametrize(
        "body",
        [
            {"birth_name": {"x": TELL_TALE}},
            {"birth_name": TELL_TALE, "birth_date": TELL_TALE},
            {TELL_TALE: 1},
            {"birth_name": "A", "sex": TELL_TALE},
            {"birth_name": "A", "prior_search": "name",
             "identifiers": [{"system": "urn:oid:1.2.250.1.213.1.4.8", "value": TELL_TALE}]},
            {"first_names": [TELL_TALE, 3]},
        ],
    )  # fmt: skip
    def test_in_json(self, doctor: TestClient, body: dict[str, Any]) -> None:
        answer = doctor.post("/api/v1/patients", json=body, headers=key())
        assert answer.status_code in (422, 201)
        assert TELL_TALE not in answer.text
        if answer.status_code == 422:
            assert answer.json()["what"]

    def test_in_an_address(self, doctor: TestClient, web: Web) -> None:
        patient = web.patient()
        for path in (
            f"/api/v1/patients/{patient}/replay?known_at={TELL_TALE}",
            f"/api/v1/patients/{patient}/replay?position={TELL_TALE}",
            f"/api/v1/patients/{TELL_TALE}",
            f"/api/v1/stints/{web.stint('present')}/briefing?edition={TELL_TALE}",
            f"/fhir/Patient/{TELL_TALE}/$summary",
            f"/{TELL_TALE}",
        ):
            answer = doctor.get(path)
            assert answer.status_code in (303, 400, 404, 422), path
            assert TELL_TALE not in answer.text, path

    def test_in_a_header(self, doctor: TestClient) -> None:
        for name in ("idempotency-key", "if-match", "releve-seen-position", "releve-min-position"):
            value = f"{TELL_TALE} {TELL_TALE}"
            answer = doctor.post("/api/v1/patients", json={}, headers={**key(), name: value})
            assert TELL_TALE not in answer.text

    def test_a_command_of_another_target_or_name_is_unknown(self, doctor: TestClient) -> None:
        patient = register(doctor)
        for name in ("import-record", "issue-briefing", "plan-stint", "rien"):
            answer = doctor.post(f"/api/v1/patients/{patient}/{name}", json={})
            assert answer.status_code in (404, 405), name


class TestReading:
    def test_the_one_liner_is_the_words_with_their_age_and_what_came_after(
        self, web: Web, doctor: TestClient
    ) -> None:
        path = f"/api/v1/patients/{register(doctor)}"
        assert doctor.get(path).json()["one_liner"] is None
        note = {"one_liner": "Décompensation cardiaque débutante", "plan": "Poids chaque jour",
                "occurred_at": MONDAY.isoformat()}  # fmt: skip
        entry = doctor.post(f"{path}/sign-note", json=note, headers=key()).json()["event_ids"][0]
        said = doctor.get(path).json()["one_liner"]
        assert said["text"] == "Décompensation cardiaque débutante"
        assert (said["entry"], said["greyed"], said["older_than"]) == (entry, False, None)
        problem = {"concept": {"text": "Fibrillation auriculaire"}}
        doctor.post(f"{path}/record-problem", json=problem, headers=key())
        for address in (path, f"{path}/summary"):
            said = doctor.get(address).json()["one_liner"]
            assert said["text"] == "Décompensation cardiaque débutante"
            assert said["older_than"]["text"].startswith("Fibrillation auriculaire")
            assert said["greyed"] is False

    def test_a_minimum_position_that_comes_is_waited_for(
        self, web: Web, doctor: TestClient
    ) -> None:
        patient = register(doctor)
        position = web.services.feed.position()
        answer = doctor.get(
            f"/api/v1/patients/{patient}", headers={"releve-min-position": str(position)}
        )
        assert answer.status_code == 200

    def test_one_that_does_not_come_is_503_after_two_seconds(
        self, web: Web, doctor: TestClient
    ) -> None:
        answer = doctor.get(
            f"/api/v1/patients/{web.patient()}", headers={"releve-min-position": "99999999"}
        )
        assert (answer.status_code, answer.json()["code"]) == (503, "position-not-reached")

    def test_a_briefing_replays_the_same_after_the_record_went_on(
        self, web: Web, doctor: TestClient
    ) -> None:
        path = f"/api/v1/stints/{web.stint('present')}/briefing"
        first = doctor.get(path).json()
        patient = first["rows"][0]["patient"]
        written = doctor.post(
            f"/api/v1/patients/{patient}/sign-note", json={"one_liner": "Autre chose"},
            headers=key(),
        )  # fmt: skip
        assert written.status_code == 201
        again = doctor.get(path, params={"edition": first["edition"]}).json()
        assert again["sha256"] == first["sha256"]
        assert again["rows"] == first["rows"]
        none = doctor.get(path, params={"edition": str(uuid4())})
        assert none.status_code == 404

    def test_a_reading_is_an_entry_that_names_the_patient(
        self, web: Web, doctor: TestClient
    ) -> None:
        patient = register(doctor)
        shown = doctor.get(f"/api/v1/patients/{patient}/summary")
        web.services.catch_up()
        reads = web.services.reader.by_position(int(shown.headers["releve-position"]), 50)
        mine = [r.access for r in reads if r.access and UUID(patient) in r.access.patients]
        assert [entry.what for entry in mine] == ["api.summary"]
        assert mine[0].actor.stint == web.stint("present")
        assert mine[0].position == int(shown.headers["releve-position"])

    def test_the_checkpoint_is_a_signed_note(self, web: Web, doctor: TestClient) -> None:
        web.services.settled()
        found = doctor.get("/api/v1/ledger/checkpoint").json()
        assert found["size"] > 0
        assert found["checkpoint"].startswith(found["origin"])
        bare = doctor.get("/api/v1/ledger/checkpoint", headers={"accept": "text/plain"})
        assert bare.text == found["checkpoint"]


class TestFhir:
    def test_metadata_is_public_and_names_this_service(self, web: Web) -> None:
        answer = web.client().get("/fhir/metadata")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("application/fhir+json")
        assert answer.json()["implementation"]["url"] == "http://127.0.0.1/fhir"

    def test_a_patient_and_its_summary_have_tags_and_are_never_kept(
        self, web: Web, doctor: TestClient
    ) -> None:
        for path in (f"/fhir/Patient/{web.patient()}", f"/fhir/Patient/{web.patient()}/$summary"):
            answer = doctor.get(path)
            assert answer.status_code == 200
            assert answer.headers["cache-control"] == "no-store"
            tag = answer.headers["etag"]
            same = doctor.get(path, headers={"if-none-match": tag})
            assert (same.status_code, same.content) == (304, b"")
        assert doctor.get(f"/fhir/Patient/{web.patient()}/$summary").json()["type"] == "document"

    def test_only_json_is_spoken(self, web: Web, doctor: TestClient) -> None:
        path = f"/fhir/Patient/{web.patient()}"
        assert doctor.get(path, headers={"accept": "application/fhir+xml"}).status_code == 406
        assert doctor.get(path, params={"_format": "xml"}).status_code == 406
        assert doctor.get(path, params={"_format": "json"}).status_code == 200


class TestOperating:
    def test_probes(self, web: Web) -> None:
        client = web.client()
        assert client.get("/healthz").json() == {"status": "ok"}
        ready = client.get("/readyz")
        assert ready.status_code == 200
        assert ready.json() == {"status": "ok"}
        assert "Disallow: /" in client.get("/robots.txt").text
        assert "Contact:" in client.get("/.well-known/security.txt").text
        for path in ("/docs", "/redoc", "/openapi.json"):
            assert client.get(path).status_code == 404
        described = client.get("/api/openapi.json").content
        assert described == as_json(describe("http://127.0.0.1/"))

    def test_what_fails_is_named_and_nothing_else(
        self, web: Web, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("releve.api.routes.operating.LAG_LIMIT", -1)
        keys = web.services.settings.state_dir / "keys"
        mode = keys.stat().st_mode
        keys.chmod(0o777)
        try:
            answer = web.client().get("/readyz")
        finally:
            keys.chmod(mode)
        assert answer.status_code == 503
        assert answer.json()["failing"] == ["keys", "readings"]
        assert str(keys) not in answer.text
        assert "position" not in answer.text

    def test_a_release_of_the_rules_is_put_in_force_once_on_the_cells_own_stream(
        self, web: Web
    ) -> None:
        done = [activate_release(web.services, name) for name in
                ("2026-11", "2026-11", CURRENT, "2026-11", CURRENT)]  # fmt: skip
        assert [len(each.event_ids) for each in done] == [1, 0, 1, 1, 1]
        assert len({each.stream for each in done}) == 1
        web.services.settled()
        in_force = web.services.directory.load().rules
        assert in_force is not None
        assert (in_force.release, in_force.rules) == (CURRENT, done[0].stream)
        with pytest.raises(FileNotFoundError):
            activate_release(web.services, "1999-01")

    def test_a_job_that_keeps_failing_is_named_to_nobody_but_makes_it_unready(
        self, web: Web
    ) -> None:
        setbacks = Setbacks("inbox", web.services.database.state.path)
        for _ in range(IN_A_ROW):
            setbacks.failed(ValueError("Castagnoli"))
        answer = web.client().get("/readyz")
        setbacks.worked()
        assert answer.status_code == 503
        assert answer.json()["failing"] == ["jobs"]
        assert web.client().get("/readyz").status_code == 200

    def test_a_position_held_back_fails_the_examination_which_names_who_holds_it(
        self, web: Web, doctor: TestClient
    ) -> None:
        assert delay(web.services).ok
        with psycopg.connect(web.services.database.owner_url) as other:
            other.execute("SELECT pg_current_xact_id()")
            body = {"birth_name": "RETENUE", "first_names": ["A"], "prior_search": "name"}
            assert doctor.post("/api/v1/patients", json=body, headers=key()).status_code == 201
            held = delay(web.services)
            assert f"le processus {other.info.backend_pid} " in held.what
            other.rollback()
        assert not held.ok
        assert "RETENUE" not in held.text()
        assert delay(web.services).ok
