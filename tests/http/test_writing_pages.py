"""Forms that a doctor writes in: only the named button signs; nothing is recorded by default."""

from __future__ import annotations

import html
import re
from uuid import UUID

import pytest
from httpx2 import Response
from starlette.testclient import TestClient

from support.web import FORM, Web, declared_here, hidden, submit, write

pytestmark = pytest.mark.postgres

KEPT = "La touche Entrée ne signe pas"


@pytest.fixture(scope="module")
def page(web: Web, machine: TestClient) -> str:
    """A new record's address."""
    return declared_here(web, machine, "ÉCRITURE")


def version(web: Web, page: str) -> int:
    return len(web.services.reader.stream(UUID(page.rpartition("/")[2])))


def first_button(shown: str, action: str) -> dict[str, str]:
    """The button that the Enter key presses: the first one of the form (HTML, 4.10.21.2)."""
    form = re.search(rf'<form[^>]*action="{re.escape(action)}".*?</form>', shown, re.DOTALL)
    assert form is not None
    found = re.search(r'<button[^>]*name="(\w+)" value="(\w+)"', form[0])
    assert found is not None
    return {found[1]: found[2]}


@pytest.mark.parametrize(
    ("end", "typed"),
    [
        ("/consultation", {"mode": "telephone", "reason": "Toux", "note.one_liner": "Toux"}),
        ("/transmission", {"severity": "stable", "summary": "Rien de neuf"}),
        ("/coller", {"texte": "Vu ce jour", "one_liner": "Va bien"}),
        ("/gestes/deces", {"date": "2026-11-22", "source": "Sa fille"}),
        ("/gestes/traitement", {"concept": "Ramipril", "start": "2026-11-23"}),
    ],
)
def test_enter_keeps_what_is_typed_and_signs_nothing(
    web: Web, doctor: TestClient, page: str, end: str, typed: dict[str, str]
) -> None:
    address = page + end
    before = version(web, page)
    shown = doctor.get(address)
    pressed = first_button(shown.text, address)
    answer = doctor.post(address, data={**hidden(shown, address), **typed, **pressed}, headers=FORM)
    assert answer.status_code == 200
    said = html.unescape(answer.text)
    assert KEPT in said
    for value in typed.values():
        assert value in said, value
    assert version(web, page) == before


def test_no_homonym_is_said_of_somebody_whose_name_nobody_shares(
    doctor: TestClient, page: str
) -> None:
    for end in ("", "/coller", "/consultation", "/gestes/deces", "/traitements", "/resultats"):
        shown = doctor.get(page + end)
        assert shown.status_code == 200, end
        assert "homonyme" not in shown.text, end


def test_what_was_not_chosen_is_not_recorded(web: Web, doctor: TestClient, page: str) -> None:
    before = version(web, page)
    for word in ("aucune", "appel"):
        address = f"{page}/gestes/{word}"
        shown = doctor.get(address)
        assert "Choisir…" in shown.text
        sent = {**hidden(shown, address), "signer": "1", "slot": "", "channel": "", "outcome": ""}
        refused = doctor.post(address, data=sent, headers=FORM)
        assert refused.status_code == 422, word
    assert version(web, page) == before


def test_a_critical_result_that_nobody_read_is_told_before_leaving(
    web: Web, doctor: TestClient, machine: TestClient, page: str
) -> None:
    write(machine, page, "order-investigation", kind="laboratory", text="TSH",
          expected_by="2026-11-27")  # fmt: skip
    quantity = {"value": "6.2", "unit": "mmol/L", "code": "mmol/L"}
    code = {"text": "Potassium", "codings": [{"system": "http://loinc.org", "code": "2823-3"}]}
    write(machine, page, "receive-result", status="final", title="Ionogramme",
          lines=[{"code": code, "value": quantity}])  # fmt: skip
    shown = html.unescape(doctor.get(f"{page}/transmission").text)
    before = shown[shown.index('id="h-before"') :]
    assert "1 résultat critique reçu, non lu" in before
    assert "1 résultat attendu : le centre" in before


def test_closing_counts_every_item_that_stays_open(
    web: Web, doctor: TestClient, machine: TestClient, page: str
) -> None:
    write(machine, page, "open-item", kind="call", text="Rappeler", no_deadline=True)
    stint = web.stint("present")
    centre = web.services.persona("present").centre
    left = sum(len(each.open_items) for each in web.services.records.summaries(centre)[1].values())
    assert left > 1
    path = f"/sejours/{stint}/cloture"
    assert f"{left} points laissés ouverts au centre" in doctor.get(path).text
    assert submit(doctor, path, sans="oui").status_code == 303
    line = web.services.directory.load().stint(stint)
    assert line is not None
    assert line.handover is not None
    assert line.handover.items_left == left


def test_an_empty_read_back_says_so_on_top_and_leads_back_to_its_card(
    web: Web, doctor: TestClient
) -> None:
    briefing = f"/sejours/{web.stint('present')}/briefing"
    shown = doctor.get(briefing)
    restated = re.search(
        r'<form method="post" action="(/patients/[\w-]+)/restitution" class="read-back">'
        r"(?:(?!</form>).)*restatement",
        shown.text, re.S,
    )  # fmt: skip
    assert restated is not None
    patient = restated[1]
    address = f"{patient}/restitution"
    fields = hidden(shown, address)
    refused = doctor.post(
        address, data={**fields, "kind": "restatement", "text": " "}, headers=FORM
    )
    assert refused.status_code == 422
    text = refused.text
    assert text.index('id="erreurs"') < text.index('class="identity"')
    assert text.count('id="erreurs"') == 1
    assert 'href="#restitution"' in text
    assert 'id="restitution"' in text
    card = f"{briefing}#p-{patient.rpartition('/')[2]}"
    assert f'href="{card}"' in text
    again = {**hidden(refused, address), "kind": "restatement", "restitution": "Je le vois à 9 h"}
    done = doctor.post(address, data=again, headers=FORM)
    assert done.status_code == 303
    base, _, anchor = card.partition("#")
    assert done.headers["location"] == f"{base}?fait=restitution#{anchor}"
    assert f'id="{anchor}"' in doctor.get(base).text


def posted(doctor: TestClient, address: str, fields: dict[str, str], **typed: str) -> Response:
    return doctor.post(address, data={**fields, "signer": "1", **typed}, headers=FORM)


def test_the_same_again_is_told_and_recorded_only_when_it_is_meant(
    web: Web, doctor: TestClient, page: str
) -> None:
    address = f"{page}/gestes/appel"
    typed = {"channel": "phone", "outcome": "no-answer"}
    first = hidden(doctor.get(address), address)
    before = version(web, page)
    assert posted(doctor, address, first, **typed).status_code == 303
    resent = posted(doctor, address, first, **typed)  # the same page, sent twice
    assert resent.headers["location"].partition("fait=")[2].startswith("deja-fait")
    opened_anew = hidden(doctor.get(address), address)  # the browser's Back
    told = posted(doctor, address, opened_anew, **typed)
    assert told.status_code == 422
    assert "exactement ceci à 8" in html.unescape(told.text)
    assert 'name="encore"' in told.text
    assert version(web, page) == before + 1
    again = posted(doctor, address, hidden(told, address), encore="oui", **typed)
    assert again.status_code == 303
    other = posted(doctor, address, first, channel="phone", outcome="reached")
    assert "avec d’autres mots" in html.unescape(other.text)  # its key names the first request
    assert posted(doctor, address, hidden(other, address), channel="phone",
                  outcome="reached").status_code == 303  # fmt: skip
    assert version(web, page) == before + 3


def test_a_new_row_is_what_the_page_comes_back_to(doctor: TestClient, page: str) -> None:
    for end, group, name in (
        ("/consultation", "medications", ".text"),
        ("/consultation", "observations", ".code"),
        ("/transmission", "actions", ""),
    ):
        address = page + end
        shown = doctor.get(address)
        to = re.search(rf'value="{group}" formnovalidate formaction="([^"]+)"', shown.text)
        assert to is not None
        base, _, anchor = to[1].partition("#")
        assert base == address
        assert f'id="{anchor}"' not in shown.text
        typed = {**hidden(shown, address), "ajouter": group, "reason": "Toux"}
        added = doctor.post(base, data=typed, headers=FORM)
        assert f'id="{anchor}"' in added.text, anchor
        assert anchor.startswith(f"{group}[")
        assert anchor.endswith(name)


def test_nobody_writes_blind(doctor: TestClient, machine: TestClient, page: str) -> None:
    write(machine, page, "record-problem", concept={"text": "Insuffisance cardiaque"})
    write(machine, page, "start-medication", concept={"text": "Spironolactone 25 mg"},
          start="2026-10-01")  # fmt: skip
    write(machine, page, "sign-note", plan="Contrôler le potassium jeudi")
    code = {"text": "Potassium", "codings": [{"system": "http://loinc.org", "code": "2823-3"}]}

    def potassium(value: str, **more: str) -> str:
        quantity = {"value": value, "unit": "mmol/L", "code": "mmol/L"}
        line = {"code": code, "value": quantity, "reference_range": "3,5 à 5,1"}
        return write(machine, page, "receive-result", status="final", title="Ionogramme",
                     lines=[line], **more)[0]  # fmt: skip

    potassium("5.4", occurred_at="2026-11-16T08:00:00+01:00")
    newest = potassium("6.1")
    written = doctor.get(f"{page}/consultation").text
    read = doctor.get(f"{page}/gestes/relire/{newest}").text
    for shown in (written, read):
        aside = html.unescape(shown[shown.index("<aside") :])
        for said in ("Insuffisance cardiaque", "Spironolactone 25 mg", "jeudi", "Points ouverts",
                     "Allergies"):  # fmt: skip
            assert said in aside, said
    aside = html.unescape(read[read.index("<aside") :])
    assert "5,4 mmol/L" in aside
    assert "6,1 mmol/L" not in aside
    assert "3,5 à 5,1" in html.unescape(read)


def test_what_is_not_there_keeps_the_bar_and_says_nothing_more(
    web: Web, doctor: TestClient
) -> None:
    """A mistyped address, an unknown record and one that is not for the reader: one answer."""
    unknown = "00000000-0000-8000-8000-000000000000"
    nowhere, nobody = doctor.get("/nimporte"), doctor.get(f"/patients/{unknown}")
    forbidden = doctor.get("/audit")
    assert [each.status_code for each in (nowhere, nobody, forbidden)] == [404] * 3
    assert nowhere.content == nobody.content == forbidden.content
    said = html.unescape(nowhere.text)
    assert "Cette page ou ce dossier n’est pas disponible." in said
    assert '<nav aria-label="Principale">' in said
    assert 'href="/patients"' in said
    assert "<h1>404" not in said
    stranger = web.client().get("/nimporte")
    assert stranger.status_code == 404
    assert "<nav" not in stranger.text
