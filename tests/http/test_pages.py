"""Pages as forms: signed in, posted once, refused with everything typed still there."""

from __future__ import annotations

import html
import re
from uuid import UUID

import pytest
from starlette.testclient import TestClient

from releve.api.pages.writing import UNCHANGED
from support.web import FORM, Web, hidden, key, submit

pytestmark = pytest.mark.postgres


@pytest.fixture
def doctor(web: Web) -> TestClient:
    return web.browser("present")


def entries(web: Web, patient: UUID | str, topic: str) -> int:
    events = web.services.reader.stream(UUID(str(patient)))
    return sum(event.topic == topic for event in events)


class TestSigningIn:
    def test_the_chooser_names_who_one_may_be(self, web: Web) -> None:
        shown = web.client().get("/connexion")
        assert shown.status_code == 200
        assert "Qui êtes-vous ce matin" in shown.text
        demo = web.services.identity.demo
        assert demo is not None
        for persona in demo.personas():
            if persona.role == "administrator":  # has no page, only commands
                continue
            assert f'value="{persona.persona}"' in shown.text

    def test_the_cookie_is_random_http_only_and_new_each_time(self, web: Web) -> None:
        client = web.client()
        data = {"persona": web.services.persona("present").persona}
        first = client.post("/connexion", data=data, headers=FORM)
        second = client.post("/connexion", data=data, headers=FORM)
        cookies = [answer.headers["set-cookie"] for answer in (first, second)]
        assert all(
            "HttpOnly" in c and "samesite=lax" in c.lower() and "Path=/" in c for c in cookies
        )
        assert cookies[0] != cookies[1]
        old = re.search(r"releve=([^;]+)", cookies[0])
        assert old is not None
        assert web.services.identity.sessions.by_cookie(old[1]) is None

    def test_over_tls_the_cookie_is_bound_to_its_host(self, web: Web) -> None:
        client = TestClient(web.app, base_url="https://127.0.0.1", follow_redirects=False)
        data = {"persona": web.services.persona("present").persona}
        answer = client.post("/connexion", data=data, headers=FORM)
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("__Host-releve=")
        assert "Secure" in cookie
        assert "max-age" in answer.headers["strict-transport-security"]

    @pytest.mark.parametrize(
        "headers",
        [{"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"},
         {"origin": "http://evil.example"}, {"origin": "null"}, {}],
    )  # fmt: skip
    def test_another_site_cannot_sign_anybody_in(self, web: Web, headers: dict[str, str]) -> None:
        data = {"persona": web.services.persona("present").persona}
        answer = web.client().post("/connexion", data=data, headers=headers)
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers

    def test_the_way_back_stays_inside(self, web: Web) -> None:
        data = {"persona": web.services.persona("present").persona}
        for asked, given in (
            ("/patients", "/patients"),
            ("https://evil.example/", "/"),
            ("//evil.example/", "/"),
            ("/\\evil.example", "/"),
        ):
            answer = web.client().post("/connexion", data={**data, "retour": asked}, headers=FORM)
            assert answer.headers["location"] == given

    def test_nobody_is_not_somebody(self, web: Web) -> None:
        answer = web.client().post("/connexion", data={"persona": "personne"}, headers=FORM)
        assert answer.status_code == 422
        assert "set-cookie" not in answer.headers

    def test_leaving_ends_the_session_and_clears_the_browser(self, doctor: TestClient) -> None:
        shown = doctor.get("/patients")
        answer = doctor.post("/deconnexion", data=hidden(shown, "/deconnexion"), headers=FORM)
        assert answer.headers["location"] == "/connexion"
        assert "storage" in answer.headers["clear-site-data"]
        assert doctor.get("/patients").status_code == 303


class TestForgedForms:
    def test_a_form_without_our_token_is_refused(self, web: Web, doctor: TestClient) -> None:
        path = f"/patients/{web.patient()}/gravite"
        for data in ({"severity": "stable"}, {"severity": "stable", "jeton": "A" * 88}):
            assert doctor.post(path, data=data, headers=FORM).status_code == 403

    def test_another_sessions_token_is_refused(self, web: Web, doctor: TestClient) -> None:
        other = web.browser("present").get(f"/patients/{web.patient()}")
        path = f"/patients/{web.patient()}/gravite"
        data = {**hidden(other, path), "severity": "stable"}
        assert doctor.post(path, data=data, headers=FORM).status_code == 403

    def test_another_site_is_refused_even_with_a_token(self, web: Web, doctor: TestClient) -> None:
        path = f"/patients/{web.patient()}/gravite"
        data = {**hidden(doctor.get(f"/patients/{web.patient()}"), path), "severity": "stable"}
        answer = doctor.post(path, data=data, headers={**FORM, "sec-fetch-site": "cross-site"})
        assert answer.status_code == 403


class TestAConsultation:
    def test_is_recorded_once_however_often_it_is_sent(self, web: Web, doctor: TestClient) -> None:
        patient = web.patient("T3")
        page = f"/patients/{patient}/consultation"
        data = {
            **hidden(doctor.get(page), page),
            "signer": "1",
            "mode": "cabinet",
            "note.one_liner": "Revu ce matin, va mieux",
            "observations[0].code": "pressure",
            "observations[0].measure": "135/80 mmHg",
            "problems[0].text": "Lombalgie",
            "items[0].kind": "call",
            "items[0].text": "Rappeler dans la semaine",
            "items[0].due": "2026-11-27",
        }
        first = doctor.post(page, data=data, headers=FORM)
        again = doctor.post(page, data=data, headers=FORM)
        assert first.status_code == again.status_code == 303, first.text[:3000]
        assert first.headers["location"] == f"/patients/{patient}?fait=consultation"
        shown = doctor.get(first.headers["location"])
        assert "Consultation signée." in shown.text
        assert "Lombalgie" in shown.text
        found = web.services.continuity.patient(patient)
        assert sum("Lombalgie" in str(e.payload) for e in found.entries.values()) == 1

    def test_comes_back_whole_with_what_is_wrong_beside_its_field(
        self, web: Web, doctor: TestClient
    ) -> None:
        patient = web.patient("T3", 1)
        before = len(web.services.reader.stream(patient))
        answer = submit(
            doctor,
            f"/patients/{patient}/consultation",
            **{
                "signer": "1",
                "note.one_liner": "x" * 161,
                "note.plan": "Un plan <b>tapé</b> & gardé",
                "observations[1].code": "weight",
                "observations[1].measure": "71,5",
                "items[0].text": "Sans date",
                "severity.severity": "unstable",
                "contingencies[0].condition": "Fièvre",
            },
        )
        assert answer.status_code == 422
        text = answer.text
        for kept in ("x" * 161, "Un plan &lt;b&gt;tapé&lt;/b&gt; &amp; gardé", "71,5", "Sans date",
                     "Fièvre"):  # fmt: skip
            assert kept in text
        anchors = set(re.findall(r'<li><a href="#([^"]+)">', text))
        assert anchors == {
            "note.one_liner", "observations[0].measure", "items[0].due", "severity.reason",
            "contingencies[0].action",
        }  # fmt: skip
        for anchor in anchors:
            assert f'id="{anchor}"' in text
            assert f'id="{anchor}-erreur"' in text
        assert "celle-ci en a 161" in text
        assert len(web.services.reader.stream(patient)) == before

    def test_a_rule_of_the_record_is_told_on_the_row_it_is_about(
        self, web: Web, doctor: TestClient
    ) -> None:
        answer = submit(
            doctor,
            f"/patients/{web.patient('T3', 1)}/consultation",
            **{
                "signer": "1",
                "observations[0].code": "weight",
                "observations[0].measure": "4000 kg",
            },
        )
        assert answer.status_code == 422
        assert 'id="observations[0].measure-erreur"' in answer.text
        assert "n’est pas possible" in answer.text

    def test_a_row_more_can_be_asked_for_without_losing_anything(
        self, web: Web, doctor: TestClient
    ) -> None:
        answer = submit(
            doctor,
            f"/patients/{web.patient('T3', 1)}/consultation",
            **{"ajouter": "problems", "problems[0].text": "Migraine"},
        )
        assert answer.status_code == 200
        assert 'value="Migraine"' in answer.text
        assert 'name="problems[1].text"' in answer.text
        assert "à corriger" not in answer.text

    def test_an_empty_one_is_not_signed(self, web: Web, doctor: TestClient) -> None:
        page = f"/patients/{web.patient('T3', 1)}/consultation"
        assert submit(doctor, page, signer="1", mode="cabinet").status_code == 422

    def test_who_wrote_meanwhile_is_told_and_nothing_is_lost(
        self, web: Web, doctor: TestClient
    ) -> None:
        patient = web.patient("T1", 1)
        page = f"/patients/{patient}/consultation"
        data = {**hidden(doctor.get(page), page), "signer": "1", "note.plan": "Mon plan"}
        web.machine("referent").post(
            f"/api/v1/patients/{patient}/open-item",
            json={"kind": "call", "text": "Autre", "due": "2026-11-26"},
            headers=key(),
        )
        answer = doctor.post(page, data=data, headers=FORM)
        assert answer.status_code == 422
        assert "a écrit sur ce dossier entre-temps" in answer.text
        assert "Mon plan" in answer.text
        again = {**hidden(answer, page), "signer": "1", "note.plan": "Mon plan"}
        assert doctor.post(page, data=again, headers=FORM).status_code == 303


class TestSmallForms:
    def test_an_item_is_opened_then_closed_with_its_evidence(
        self, web: Web, doctor: TestClient
    ) -> None:
        patient = web.patient("T2")
        page = f"/patients/{patient}"
        missing = submit(doctor, page, f"{page}/points", kind="call", text="Rappeler")
        assert missing.status_code == 422
        assert "Donner une échéance" in missing.text
        opened = submit(
            doctor, page, f"{page}/points", kind="call", text="Rappeler", no_deadline="oui"
        )
        assert opened.headers["location"] == f"{page}?fait=point-ouvert#points"
        event = web.services.reader.stream(patient)[-1]
        item = f"{page}/points/{event.event_id}"
        prefix = f"p{str(event.event_id)[:8]}."
        bare = submit(doctor, page, item)
        assert bare.status_code == 422
        assert f'id="{prefix}evidence-erreur"' in bare.text
        assert f'id="{prefix}outcome-erreur"' in bare.text
        said = {f"{prefix}outcome": "done", f"{prefix}evidence": "Appelée, va bien"}
        closed = submit(doctor, page, item, **said)
        assert closed.status_code == 303
        assert entries(web, patient, "patient.item-closed") >= 1

    def test_severity_needs_its_reason(self, web: Web, doctor: TestClient) -> None:
        page = f"/patients/{web.patient('T2')}"
        assert submit(doctor, page, f"{page}/gravite", severity="unstable").status_code == 422
        done = submit(
            doctor, page, f"{page}/gravite", severity="unstable", reason="Dyspnée de repos"
        )
        assert done.status_code == 303
        assert "Dyspnée de repos" in doctor.get(page).text

    def test_a_read_back_needs_words_and_shows_on_the_briefing(
        self, web: Web, doctor: TestClient
    ) -> None:
        briefing = f"/sejours/{web.stint('present')}/briefing"
        patient = next(
            card["patient"] for card in web.cards if card["tier"] == "T0" and card["handover"]
        )
        path = f"/patients/{patient}/restitution"
        shown = doctor.get(briefing)
        data = hidden(shown, path)
        silent = doctor.post(path, data={**data, "kind": "restatement"}, headers=FORM)
        assert silent.status_code == 422
        said = {**data, "kind": "restatement", "text": "Je le pèse puis je l’appelle"}
        done = doctor.post(path, data=said, headers=FORM)
        assert done.headers["location"] == f"{briefing}?fait=restitution#p-{patient}"
        after = doctor.get(briefing)
        assert "✓ Restitution" in after.text
        assert f'action="{path}"' not in after.text


class TestABriefing:
    def test_has_every_tier_badge_source_and_proof(self, web: Web, doctor: TestClient) -> None:
        text = doctor.get(f"/sejours/{web.stint('present')}/briefing").text
        for tier in ("T0", "T1", "T2", "T3", "T5"):
            assert f'id="{tier}"' in text
        for card in web.cards:
            if card["tier"] in ("T0", "T1", "T2", "T3"):
                assert f'href="/patients/{card["patient"]}"' in text
        rows = re.findall(r"<article.*?</article>", text, re.DOTALL)
        assert rows
        for row in rows:
            assert 'class="allergy ' in row
            assert re.search(r"\d\d/\d\d/\d{4}", row)
        edition = web.services.editions.newest(web.stint("present"))
        assert edition is not None
        assert edition.manifest_sha256 in text

    def test_says_what_changed_since_and_can_be_renewed(self, web: Web, doctor: TestClient) -> None:
        stint = web.stint("present")
        page = f"/sejours/{stint}/briefing"
        doctor.get(page)
        number = getattr(web.services.editions.newest(stint), "number", 0)
        patient = web.patient("T1")
        path = f"/patients/{patient}"
        submit(doctor, path, f"{path}/gravite", severity="unstable", reason="Fièvre")
        shown = doctor.get(page)
        assert "depuis l’édition" in shown.text
        renewed = submit(doctor, page, f"/sejours/{stint}/edition")
        assert renewed.status_code == 303
        newest = web.services.editions.newest(stint)
        assert newest is not None
        assert newest.number == number + 1
        assert "depuis l’édition" not in doctor.get(page).text


class TestTheList:
    def test_a_name_is_searched_by_post_and_never_stands_in_an_address(
        self, web: Web, doctor: TestClient
    ) -> None:
        name = web.cards[0]["identity"]["name"].split()[0]
        answer = submit(doctor, "/patients", nom=name.lower()[:5])
        assert answer.status_code == 200
        assert name in answer.text
        assert "location" not in answer.headers
        assert submit(doctor, "/patients", nom="zzzzzz").text.count("<tr>") <= 1

    def test_the_office_sees_names_and_nothing_else(self, web: Web) -> None:
        office = web.browser("coordinator")
        text = office.get("/patients").text
        assert web.cards[0]["identity"]["name"] in text
        assert "Allergie" not in text
        assert 'class="severity' not in text
        deadlines = office.get("/echeances").text
        for card in web.cards:
            for action in card["actions"]:
                assert action["kind"] == "admin" or action["text"] not in deadlines

    def test_a_record_is_opened_after_a_search(self, web: Web, doctor: TestClient) -> None:
        page = "/patients/nouveau"
        refused = submit(doctor, page, birth_name="NOUVELLE", first_names="Ève")
        assert refused.status_code == 422
        assert 'value="NOUVELLE"' in refused.text
        done = submit(
            doctor, page, birth_name="NOUVELLE", first_names="Ève Anne", birth_date="1980-02-03",
            sex="female", searched="oui", declared="oui",
        )  # fmt: skip
        assert done.status_code == 303, done.text
        shown = doctor.get(done.headers["location"])
        assert "NOUVELLE Ève" in shown.text
        assert "Allergies : non demandées" in shown.text
        assert "identité incomplète" in shown.text

    def test_the_desk_is_back_on_its_list_after_opening_a_record(self, web: Web) -> None:
        office = web.browser("coordinator")
        done = submit(
            office, "/patients/nouveau", birth_name="ACCUEILLIE", first_names="Rose",
            birth_date="1981-02-03", sex="female", searched="oui",
        )  # fmt: skip
        assert done.status_code == 303, done.text
        shown = office.get(done.headers["location"])
        assert shown.status_code == 200
        assert "Dossier ouvert." in shown.text


class TestAHandover:
    def test_is_prefilled_signed_and_replaced(self, web: Web, doctor: TestClient) -> None:
        patient = web.patient("T0", 1)
        page = f"/patients/{patient}/transmission"
        shown = doctor.get(page)
        card = next(c for c in web.cards if c["patient"] == str(patient))
        assert card["one_liner"]["text"] in shown.text.replace("&#39;", "'")
        assert 'value="unstable" checked' in shown.text
        items = re.findall(r'name="items" value="([^"]+)" checked', shown.text)
        assert items
        long = submit(doctor, page, signer="1", severity="watcher", summary="y" * 161)
        assert long.status_code == 422
        done = submit(
            doctor,
            page,
            signer="1",
            severity="unstable",
            severity_reason="BPCO décompensée",
            summary="BPCO en exacerbation, oxygène à domicile",
            **{"actions[0]": "Saturation à 9 h"},
        )
        assert done.status_code == 303
        assert entries(web, patient, "patient.handover-written") == 2
        again = doctor.get(page)
        assert "Remplace celle que vous avez écrite" in again.text
        assert 'value="Saturation à 9 h"' in again.text

    def test_of_somebody_not_seen_is_not_signed_untouched(
        self, web: Web, doctor: TestClient
    ) -> None:
        patient = web.patient("T2", -1)
        page = f"/patients/{patient}/transmission"
        shown = html.unescape(doctor.get(page).text)
        (said,) = re.findall(r'<textarea id="summary"[^>]*>(.*?)</textarea>', shown, re.S)
        assert "patient non revu pendant mon séjour" in shown
        typed = {"signer": "1", "severity": "watcher", "severity_reason": "Fragile",
                 "summary": said.strip(), "situation": "Sa fille appelle le soir"}  # fmt: skip
        refused = submit(doctor, page, **typed)
        assert refused.status_code == 422
        kept = html.unescape(refused.text)
        assert 'id="unchanged-erreur"' in kept
        assert typed["summary"] in kept
        assert typed["situation"] in kept
        assert entries(web, patient, "patient.handover-written") == 1
        assert submit(doctor, page, unchanged="oui", **typed).status_code == 303
        handed = html.unescape(doctor.get(f"/patients/{patient}").text)
        assert f"{typed['situation']} {UNCHANGED}" in handed
        assert "patient non revu pendant mon séjour" not in html.unescape(doctor.get(page).text)


class TestAnAuditor:
    def test_sees_structure_and_proof_and_no_clinical_text(self, web: Web) -> None:
        web.services.settled()
        auditor = web.browser("auditor")
        patient = web.patient("T0")
        text = auditor.get(f"/audit/patients/{patient}").text
        assert "chaîne intacte" in text
        assert "✓ prouvé" in text
        assert "▲" not in text
        card = next(c for c in web.cards if c["patient"] == str(patient))
        for secret in (
            card["identity"]["name"],
            card["one_liner"]["text"],
            *(action["text"] for action in card["actions"]),
        ):
            assert secret not in text
        assert "Qui a lu ce dossier" in text

    def test_as_known_at_a_moment_later_entries_are_said_not_known(self, web: Web) -> None:
        auditor = web.browser("auditor")
        page = f"/audit/patients/{web.patient('T0')}"
        then = auditor.get(page, params={"connu": "2026-11-20T12:00"}).text
        assert "pas encore connu" in then
        assert "Connu le 20/11/2026" in then
        assert "pas encore connu" not in auditor.get(page).text

    def test_verifies_the_whole_log_on_demand(self, web: Web) -> None:
        auditor = web.browser("auditor")
        assert "Registre intact" in submit(auditor, "/audit", "/audit/verification").text

    def test_a_changed_byte_is_named(self, web: Web) -> None:
        patient = web.patient("T2", 1)
        web.services.settled()
        auditor = web.browser("auditor")
        page = f"/audit/patients/{patient}"
        assert "chaîne intacte" in auditor.get(page).text
        with web.services.pool.connection() as connection:
            row = connection.execute(
                "SELECT body FROM ledger.event WHERE stream = %s AND version = 2", (patient,)
            ).fetchone()
        assert row is not None
        body = bytearray(row[0])
        body[40] ^= 1
        damage(web, patient, bytes(body))
        try:
            text = auditor.get(page).text
            assert auditor.get(page).status_code == 200
            assert "Altération constatée" in text
            assert "contenu altéré, version 2" in text
        finally:
            damage(web, patient, bytes(row[0]))


def damage(web: Web, patient: UUID, body: bytes) -> None:
    """Change one body as whoever owns the machine could."""
    import psycopg

    with psycopg.connect(web.services.settings.database_url or "", autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute(
            "UPDATE ledger.event SET body = %s WHERE stream = %s AND version = 2", (body, patient)
        )


def test_a_pseudonym_that_is_none_is_said_to_be_so(web: Web) -> None:
    answer = web.browser("auditor").get("/audit?dossier=VERDELHAN")
    assert answer.status_code == 422
    assert "Ce n’est pas un pseudonyme" in answer.text
