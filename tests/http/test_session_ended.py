"""A form whose session is over writes nothing, and its sender gets back what they typed."""

from __future__ import annotations

import html
import re

import pytest
from starlette.testclient import TestClient

from releve.api.gate import windows_of
from releve.security.policy import reading_opens_at
from support.web import FORM, Web, hidden, submit

pytestmark = pytest.mark.postgres
NOTE = "Dyspnée d'effort <depuis> trois jours"


def close_session(web: Web, client: TestClient) -> None:
    """End the session as time does: the browser keeps its cookie."""
    session = web.services.identity.sessions.by_cookie(client.cookies["releve"])
    assert session is not None
    web.services.identity.sessions.close(session)


def consultation(web: Web, client: TestClient) -> tuple[str, dict[str, str]]:
    """The address of a consultation and what is typed in it, hidden fields included."""
    page = f"/patients/{web.patient('T3')}/consultation"
    typed = {"signer": "1", "note.plan": NOTE, "note.one_liner": "À revoir vendredi",
             "items[0].text": "Rappeler le laboratoire", "items[0].kind": "result"}  # fmt: skip
    return page, {**hidden(client.get(page), page), **typed}


def test_what_was_typed_is_shown_back_to_copy_and_nothing_is_written(web: Web) -> None:
    client = web.browser("present")
    page, sent = consultation(web, client)
    close_session(web, client)
    before = web.services.reader.head().size
    answer = client.post(page, data=sent, headers=FORM)
    assert answer.status_code == 401
    assert answer.headers["cache-control"] == "no-store"
    area = re.search(r"<textarea[^>]* readonly>(.*?)</textarea>", answer.text, re.DOTALL)
    assert area is not None
    assert "<depuis>" not in area[1]
    shown = html.unescape(area[1])
    assert f"Plan : {NOTE}" in shown
    assert "En une ligne : À revoir vendredi" in shown
    assert "Texte : Rappeler le laboratoire" in shown
    assert sent["jeton"] not in answer.text
    assert sent["cle"] not in answer.text
    assert 'href="/connexion"' in answer.text
    assert web.services.reader.head().size == before
    assert "<form" not in answer.text  # nothing that a later session could send on
    assert not re.search(r'<input[^>]*type="hidden"', answer.text)


@pytest.mark.parametrize(
    ("page", "field", "label"),
    [("coller", "texte", "Texte"), ("gestes/probleme", "concept", "Quoi"),
     ("restitution", "restitution", "Restitution")],
)  # fmt: skip
def test_a_pasted_consultation_an_act_and_an_answer_come_back_too(
    web: Web, page: str, field: str, label: str
) -> None:
    client = web.browser("present")
    record = f"/patients/{web.patient('T3')}"
    token = hidden(client.get(f"{record}/coller"), f"{record}/coller")["jeton"]
    close_session(web, client)
    answer = client.post(f"{record}/{page}", data={"jeton": token, field: NOTE}, headers=FORM)
    assert answer.status_code == 401
    assert f"{label} : {NOTE}" in html.unescape(answer.text)


@pytest.mark.parametrize(
    ("name", "label"),
    [("motif.0b0e3b3c-9d5f-4a54-9a2c-5b8f2f9f0001", "Motif"), ("reponse-0b0e3b3c", "Réponse")],
)
def test_what_answers_one_line_among_others_comes_back(web: Web, name: str, label: str) -> None:
    client = web.browser("present")
    page, sent = consultation(web, client)
    close_session(web, client)
    answer = client.post(page, data={"jeton": sent["jeton"], name: NOTE}, headers=FORM)
    assert f"{label} : {NOTE}" in html.unescape(answer.text)


def test_the_next_person_at_the_same_browser_is_shown_none_of_it(web: Web) -> None:
    client = web.browser("present")
    page, sent = consultation(web, client)
    close_session(web, client)
    client.post(page, data=sent, headers=FORM)
    persona = web.services.persona("coordinator").persona
    opened = client.post("/connexion", data={"persona": persona, "retour": "/"}, headers=FORM)
    assert opened.status_code == 303
    for address in ("/connexion", "/echeances", "/patients"):
        assert "Dyspnée" not in client.get(address).text


@pytest.mark.parametrize("headers", [{"sec-fetch-site": "cross-site"}, {"origin": "null"}, {}])
def test_another_sites_words_are_never_shown_as_ours(web: Web, headers: dict[str, str]) -> None:
    page = f"/patients/{web.patient('T3')}/consultation"
    answer = web.client().post(page, data={"note.plan": NOTE}, headers=headers)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/connexion")
    assert "Dyspnée" not in answer.text


def test_a_form_in_which_nothing_was_typed_leads_to_the_sign_in(web: Web) -> None:
    client = web.browser("present")
    page, sent = consultation(web, client)
    close_session(web, client)
    empty = {name: sent[name] for name in ("jeton", "cle", "signer")}
    answer = client.post(page, data=empty, headers=FORM)
    assert (answer.status_code, answer.headers["location"]) == (303, "/connexion")


def test_whoever_comes_too_early_or_too_late_is_told_when_and_can_leave(web: Web) -> None:
    before = web.browser("next").get("/")
    assert before.status_code == 200
    opens = reading_opens_at(
        next(
            window
            for window in windows_of(
                web.services.directory.load(), web.services.persona("next").person
            )
            if window.stint == web.stint("next")
        )
    )
    told = html.unescape(before.text).replace("\xa0", " ").replace("\u202f", " ")
    assert f"Votre accès s’ouvre le {opens:%d/%m} à 8 h" in told
    assert 'action="/deconnexion"' in told
    assert 'aria-label="Principale"' not in told, "no door that leads nowhere"
    left = submit(web.browser("next"), "/", "/deconnexion")
    assert left.headers["location"] == "/connexion"
