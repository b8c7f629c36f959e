"""What a page says depends on who reads it; and no entry of the bar leads nowhere."""

from __future__ import annotations

import html
import re

import pytest
from starlette.testclient import TestClient

from support.web import Web

pytestmark = pytest.mark.postgres


def bar(shown: str) -> list[str]:
    """The addresses of the bar's entries."""
    nav = re.search(r'<nav aria-label="Principale">(.*?)</nav>', shown, re.DOTALL)
    assert nav is not None
    return re.findall(r'href="([^"]+)"', nav[1])


def opened(client: TestClient, page: str) -> int:
    """How a page answers once its redirections were followed."""
    answer = client.get(page)
    while answer.status_code == 303:
        answer = client.get(answer.headers["location"])
    return answer.status_code


@pytest.mark.parametrize(
    ("role", "home"),
    [
        ("present", "/patients"), ("referent", "/patients"), ("coordinator", "/coordination"),
        ("secretary", "/coordination"), ("nurse", "/patients"), ("auditor", "/audit"),
    ],
)  # fmt: skip
def test_every_entry_of_the_bar_opens(web: Web, role: str, home: str) -> None:
    standing = ("present", "referent", "coordinator", "auditor")
    client = web.browser(role if role in standing else web.hire(role))
    entries = bar(client.get(home).text)
    assert home in entries
    assert {page: opened(client, page) for page in entries} == dict.fromkeys(entries, 200)


def cards(client: TestClient, web: Web) -> dict[str, str]:
    """The cards of the briefing of the doctor in post, by patient."""
    page = client.get(f"/sejours/{web.stint('present')}/briefing?tout=1").text
    found = [each.partition("</article>")[0] for each in page.split("<article")[1:]]
    return {
        re.findall(r"/patients/([0-9a-f-]{36})", each)[0]: html.unescape(each) for each in found
    }


def test_a_handover_is_told_to_whoever_may_not_answer_it(web: Web, doctor: TestClient) -> None:
    mine, theirs = cards(doctor, web), cards(web.browser("referent"), web)
    asked = {patient for patient, card in mine.items() if 'name="kind"' in card}
    silent = {patient for patient, card in mine.items() if "Sans transmission écrite." in card}
    assert asked
    assert silent
    told = {patient for patient, card in theirs.items() if "Transmission écrite, sans" in card}
    assert told == asked
    assert {patient for patient, card in theirs.items() if "Sans transmission" in card} == silent


def test_only_the_doctor_of_the_stint_is_called_you(web: Web, doctor: TestClient) -> None:
    page = f"/sejours/{web.stint('present')}/briefing?tout=1"
    mine, theirs = (
        html.unescape(client.get(page).text) for client in (doctor, web.browser("referent"))
    )
    assert "Vous remplacez" in mine
    assert "depuis votre passage" not in theirs
    said = re.compile(r"\b(?:[Vv]otre dernier|[Vv]os prédécesseurs|pour vous|[Vv]ous remplacez)\b")
    assert said.search(mine)
    assert not said.search(theirs)
