"""The doors into the inbox: telephone, pages, day list, watched folder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from releve.api.inbox import receive
from releve.api.inbox_views import sender_of
from releve.api.watched import WatchedFolder, _looked_at, astray
from releve.domain.aggregates.patient.results import ResultReceived
from releve.domain.events import Source
from support.inbox import FINDING, attached, match, odette, pdf, send
from support.web import FORM, Web, hidden, key, submit

pytestmark = pytest.mark.postgres


# By telephone


def drop(browser: TestClient, **fields: str) -> Any:
    basic = {"test": "potassium", "measure": "6,4 mmol/L", "caller": "Laboratoire des Charmes",
             "read_back": "oui"}  # fmt: skip
    return submit(browser, "/arrivees/telephone", **{**basic, **fields})


def test_a_phoned_potassium_is_first_and_the_secretary_cannot_read_it_back(web: Web) -> None:
    browser = web.browser(web.hire("secretary"))
    patient = odette(web, birth_name="KALIEMIE", birth_date="1951-04-05")
    answer = drop(browser, patient=str(patient))
    assert answer.status_code == 303, answer.text
    page = browser.get(answer.headers["location"])
    assert "ne se relit pas" in page.text
    assert "6,4" not in page.text
    for path in (
        "/arrivees", f"/patients/{patient}", f"/api/v1/patients/{patient}",
        f"/api/v1/patients/{patient}/summary", f"/api/v1/patients/{patient}/timeline",
    ):  # fmt: skip
        seen = browser.get(path)
        assert b"6,4" not in seen.content, path
        assert b"6.4" not in seen.content, path
    (result,) = [
        event.payload
        for event in web.services.continuity.patient(patient).told(ResultReceived)
        if isinstance(event.payload, ResultReceived) and event.payload.status == "phoned"
    ]
    assert result.lines[0].value is not None
    assert (result.lines[0].value.value, result.lines[0].value.code) == ("6.4", "mmol/L")
    doctor = web.browser("present")
    shown = doctor.get("/releve", follow_redirects=True)
    assert shown.status_code == 200
    first = shown.text.partition("<article")[2].partition("</article>")[0]
    assert "6,4 mmol/L" in first
    assert "KALIEMIE" in first


def test_a_phoned_result_of_an_unknown_patient_waits_in_the_inbox(
    web: Web, desk: TestClient
) -> None:
    patient = odette(web, birth_name="DICTEE")
    browser = web.browser(web.hire("secretary"))
    answer = drop(browser, birth_name="Dictée", first_name="Odette", birth_date="1948-03-02",
                  measure="6,7 mmol/L")  # fmt: skip
    assert answer.status_code == 303, answer.text
    rows = desk.get("/api/v1/inbox").json()["documents"]
    (row,) = [each for each in rows if each["format"] == "phone" and each["state"] == "waiting"]
    assert row["urgent"] is True
    assert b"6,7" not in browser.get("/arrivees").content
    document = row["inbox"]
    content = web.machine("present").get(f"/api/v1/inbox/{document}/content").json()
    assert content["results"][0]["value"] == "6,7 mmol/L"
    shown = web.browser("present").get("/releve", follow_redirects=True).text
    assert "non rattaché" in shown.partition("<article")[0]
    assert match(desk, document, patient).status_code == 201
    phoned = [
        event
        for event in web.services.continuity.patient(patient).told(ResultReceived)
        if event.envelope.source.channel == "phone"
    ]
    assert len(phoned) == 1


@pytest.mark.parametrize(
    ("fields", "control"),
    [
        ({"read_back": ""}, "read_back"),
        ({"caller": ""}, "caller"),
        ({"measure": "6,4"}, "measure"),
        ({"measure": "6,4 g/L"}, "measure"),
        ({"test": ""}, "test"),
        ({"birth_name": ""}, "birth_name"),
        ({"test": "other", "loinc": "2823-4"}, "loinc"),
        ({"test": "other", "loinc": "2823-3", "measure": "6,4 mmole"}, "measure"),
    ],
)
def test_a_phoned_result_that_lacks_something_is_given_back(
    web: Web, fields: dict[str, str], control: str
) -> None:
    browser = web.browser(web.hire("secretary"))
    answer = drop(browser, **{"birth_name": "Inconnue", **fields})
    assert answer.status_code == 422
    assert f'id="{control}-erreur"' in answer.text


# Pages


def test_documents_are_dropped_and_sorted_on_pages(web: Web) -> None:
    patient = odette(web, birth_name="DEPOSEE")
    browser = web.browser("coordinator")
    shown = browser.get("/arrivees")
    raw = pdf("page")
    sent = browser.post(
        "/arrivees",
        data={**hidden(shown, "/arrivees"), "nom": "Déposée", "prenom": "Odette",
              "naissance": "1948-03-02", "titre": FINDING},
        files={"document": ("x.pdf", raw, "application/pdf")},
        headers={"sec-fetch-site": "same-origin"},
    )  # fmt: skip
    assert (sent.status_code, sent.headers["location"]) == (303, "/arrivees?fait=arrivee")
    waiting = browser.get("/arrivees").text.partition('id="t-faits"')[0]
    href = re.findall(r'href="(/arrivees/[0-9a-f-]{36})"', waiting)[-1]
    found = browser.get(href)
    assert f'value="{patient}"' in found.text
    assert FINDING not in found.text
    matched = submit(browser, href, f"{href}/rattacher", patient=str(patient))
    assert matched.status_code == 303, matched.text
    assert len(attached(web, patient, raw)) == 1


def test_pasted_text_waits_and_may_be_set_aside(web: Web) -> None:
    browser = web.browser("coordinator")
    shown = browser.get("/arrivees")
    fields = {**hidden(shown, "/arrivees"), "texte": f"Courrier. {FINDING}.", "nom": "Ailleurs"}
    sent = browser.post("/arrivees", data=fields, headers=FORM)
    assert sent.status_code == 303, sent.text
    doctor = web.browser("present")
    listed = doctor.get("/arrivees").text
    hrefs = re.findall(r'href="(/arrivees/[0-9a-f-]{36})"', listed)
    (href,) = [each for each in hrefs if FINDING in doctor.get(each).text and "Ailleurs" in
               doctor.get(each).text]  # fmt: skip
    empty = submit(doctor, href, f"{href}/rejeter", reason=" ")
    assert empty.status_code == 422
    aside = submit(doctor, href, f"{href}/rejeter", reason="Autre patient", sender_told="oui")
    assert aside.status_code == 303, aside.text
    told = doctor.get(href).text
    assert "Autre patient" in told
    assert "expéditeur prévenu" in told
    seen = browser.get(href).text  # why a doctor set it aside may be a clinical word
    assert "expéditeur prévenu" in seen
    assert "Autre patient" not in seen


def test_a_consultation_is_pasted_as_a_signed_note(web: Web) -> None:
    doctor, patient = web.browser("present"), web.patient()
    page = f"/patients/{patient}/coller"
    assert submit(doctor, page, texte=" ").status_code == 422
    signed = submit(doctor, page, texte=f"Vu ce jour.\n{FINDING}", one_liner="Douleur thoracique")
    assert signed.status_code == 303, signed.text
    note = web.services.continuity.patient(patient).last
    assert note is not None
    assert (note.topic, note.envelope.source.channel) == ("patient.note-signed", "paste")
    shown = doctor.get(page).text
    assert FINDING in shown
    assert "homonyme" not in shown  # others of the centre are none, whoever they are
    assert web.browser("coordinator").get(page).status_code == 404


def test_a_day_list_is_shown_then_written_once_confirmed(web: Web) -> None:
    patient = odette(web, birth_name="RENDEZVOUS")
    browser, page = web.browser("coordinator"), "/arrivees/agenda"
    listing = (
        "Date;Heure;Nom;Nom de naissance;Prénom;Date de naissance;Motif;N° RDV\n"
        f"24/11/2026;09:15;PICHON;RENDEZVOUS;Odette;02/03/1948;{FINDING};R-1\n"
        f"24/11/2026;09:30;PICHON;RENDEZVOUS;Odette;;{FINDING};R-2\n"
        f"24/11/2026;;PERDU;;Jean;01/01/1960;{FINDING};R-3\n"
    )
    shown = submit(browser, page, texte=listing)
    assert shown.status_code == 200, shown.text
    assert FINDING not in shown.text
    assert "Le nom seul ne suffit pas".lower() in shown.text.lower()
    assert "Lignes non lues" in shown.text
    fields = dict(re.findall(r'name="(l0\.\w+)" value="([^"]*)"', shown.text))
    assert fields["l0.patient"] == str(patient)
    to = f"{page}/inscrire"
    before = web.services.continuity.patient(patient).version
    done = browser.post(to, data={**hidden(shown, to), **fields, "l0.take": "oui"}, headers=FORM)
    assert done.status_code == 303, done.text
    record = web.services.continuity.patient(patient)
    assert record.version == before + 1
    assert record.last is not None
    assert record.last.topic == "patient.appointment-noticed"
    again = submit(browser, page, texte=listing)
    browser.post(to, data={**hidden(again, to), **fields, "l0.take": "oui"}, headers=FORM)
    assert web.services.continuity.patient(patient).version == before + 1


# Registering a namesake


def test_a_namesake_of_the_same_day_is_said_before_and_after(web: Web) -> None:
    typed = {"birth_name": "HOMONYME", "first_names": "Bernard", "birth_date": "1947-02-18"}
    who = {**typed, "first_names": ["Bernard"], "prior_search": "name"}
    typed["searched"] = "oui"
    machine, browser = web.machine("coordinator"), web.browser("coordinator")
    first = machine.post("/api/v1/patients", json=who, headers=key())
    assert "homonyms" not in first.json()
    again = machine.post("/api/v1/patients", json=who, headers=key())
    assert (again.status_code, again.json()["homonyms"]) == (201, 1)
    page = "/patients/nouveau"
    asked = submit(browser, page, **typed)
    assert asked.status_code == 422
    assert 'id="homonym-erreur"' in asked.text
    assert submit(browser, page, homonym="oui", **typed).status_code == 303
    other = {**typed, "birth_date": "1947-02-19"}
    assert submit(browser, page, **other).status_code == 303


# The watched folder


def test_a_watched_file_goes_only_when_it_is_kept(web: Web, tmp_path: Path) -> None:
    watched = WatchedFolder(web.services, tmp_path)
    (good, bad, part) = (tmp_path / name for name in ("nom.pdf", "vide.xml", ".en-cours"))
    good.write_bytes(pdf("watched"))
    bad.write_bytes(b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>')
    part.write_bytes(b"x")
    (tmp_path / "lien.pdf").symlink_to(good)
    assert watched.run_once() == (0, 0, 0)  # seen once: it may still be growing
    good.write_bytes(pdf("watched") + b"%% more")
    assert watched.run_once() == (0, 0, 1)
    assert watched.run_once() == (1, 0, 0)
    assert sorted(each.name for each in tmp_path.iterdir()) == [".en-cours", "lien.pdf", "refused"]
    assert (tmp_path / "refused" / "vide.xml.reason.txt").read_text(encoding="utf-8").strip()
    web.services.catch_up()
    centre = next(iter(web.services.directory.load().centres))
    lines = web.services.inbox.lines(centre)
    (line,) = [each for each in lines if each.received.door == "watched"]
    assert web.services.reader.attachment(line.event, line.document).endswith(b"%% more")
    good.write_bytes(pdf("watched") + b"%% more")
    watched.run_once()
    assert watched.run_once() == (0, 1, 0)


def test_what_belongs_to_no_centre_is_told_and_left(
    web: Web, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    known = next(iter(web.services.directory.load().centres.values())).finess
    for folder in (known, "230000000", "refused", ".autre"):
        (tmp_path / folder).mkdir()
    (tmp_path / "230000000" / "nom.pdf").write_bytes(pdf("astray"))
    assert astray(web.services, tmp_path) == (1, 0)
    (tmp_path / "lien").symlink_to(tmp_path / known)
    assert astray(web.services, tmp_path) == (1, 1)
    watched = WatchedFolder(web.services, tmp_path)
    with caplog.at_level("WARNING", logger="releve.watched"):
        for _ in range(3):
            assert watched.run_once() == (0, 0, 0)
    (said,) = [each.getMessage() for each in caplog.records if each.name == "releve.watched"]
    assert "1 folders" in said  # once, not at every pass
    assert "nom" not in said
    assert "230000000" not in said
    assert (tmp_path / "230000000" / "nom.pdf").exists()


def test_a_sender_is_one_short_line_where_its_format_has_a_place_for_one() -> None:
    source = Source(channel="cda", author="Laboratoire\nde  l'exemple " + "x" * 200)
    said = sender_of("cda", source)
    assert said.startswith("Laboratoire de l'exemple xx")
    assert len(said) == 80
    assert sender_of("hprim", Source(system="Labo")) == "Labo"
    assert sender_of("pdf", source) == sender_of("text", source) == ""


def test_a_file_that_takes_the_name_of_a_taken_one_is_taken_too(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = WatchedFolder(web.services, tmp_path)
    same = tmp_path / "resultat.pdf"
    same.write_bytes(pdf("first of that name"))
    newer = pdf("second of that name")

    def meanwhile(*args: Any, **named: Any) -> Any:
        kept = receive(*args, **named)
        (tmp_path / ".part").write_bytes(newer)
        (tmp_path / ".part").rename(same)
        return kept

    assert watched.run_once() == (0, 0, 0)
    with monkeypatch.context() as patched:
        patched.setattr("releve.api.watched.receive", meanwhile)
        assert watched.run_once() == (1, 0, 0)
    assert same.read_bytes() == newer
    assert [watched.run_once(), watched.run_once()] == [(0, 0, 0), (1, 0, 0)]
    assert not same.exists()


def test_a_file_that_takes_the_name_just_before_the_removal_is_not_removed(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = WatchedFolder(web.services, tmp_path)
    same = tmp_path / "resultat.pdf"
    same.write_bytes(pdf("first, looked at for the last time"))
    newer = pdf("second, there just after")
    looks = 0

    def overtaken(path: Path) -> Any:
        nonlocal looks
        seen = _looked_at(path)
        looks += 1
        if looks == 2:  # once before it is read, once before it is removed
            same.write_bytes(newer)
        return seen

    assert watched.run_once() == (0, 0, 0)
    with monkeypatch.context() as patched:
        patched.setattr("releve.api.watched._looked_at", overtaken)
        assert watched.run_once() == (1, 0, 0)
    assert [each.read_bytes() for each in tmp_path.iterdir()] == [newer]
    assert [watched.run_once(), watched.run_once()] == [(0, 0, 0), (1, 0, 0)]


def test_a_file_left_half_removed_is_taken_again(web: Web, tmp_path: Path) -> None:
    left = tmp_path / ".releve-0123.pdf"
    left.write_bytes(pdf("left by a crash"))
    watched = WatchedFolder(web.services, tmp_path)
    assert [watched.run_once(), watched.run_once()] == [(0, 0, 0), (1, 0, 0)]
    assert not list(tmp_path.iterdir())


def test_two_workers_refuse_a_file_once_and_go_on(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (WatchedFolder(web.services, tmp_path) for _ in range(2))
    (tmp_path / "a.xml").write_bytes(
        b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>'
    )
    (tmp_path / "b.pdf").write_bytes(pdf("after the one that two workers refuse"))
    others: list[WatchedFolder] = []

    def meanwhile(*args: Any, **named: Any) -> Any:
        while others:
            assert others.pop().run_once().refused == 1
        return receive(*args, **named)

    assert [first.run_once(), second.run_once()] == [(0, 0, 0)] * 2
    (tmp_path / "b.pdf").write_bytes(pdf("the first worker finds it changed: it waits"))
    with monkeypatch.context() as patched:
        patched.setattr("releve.api.watched.receive", meanwhile)
        others.append(first)
        assert second.run_once() == (0, 0, 0)
    assert [second.run_once(), first.run_once()] == [(1, 0, 0), (0, 0, 0)]
    refused = sorted(each.name for each in (tmp_path / "refused").iterdir())
    assert refused == ["a.xml", "a.xml.reason.txt"]


def test_the_inbox_is_rebuilt_as_it_stands(web: Web) -> None:
    centre = next(iter(web.services.directory.load().centres))
    receive(web.services, pdf("rebuild"), centre=centre, door="api")
    web.services.catch_up()
    assert web.services.feed.rebuild("inbox", check=True).identical


def test_the_desk_is_told_whose_result_it_sent_and_no_name_stands_in_the_address(web: Web) -> None:
    patient = odette(web, birth_name="CONFIRMEE")
    office = web.browser("coordinator")
    for known, named in (
        ({"patient": str(patient)}, "PICHON"),
        ({"birth_name": "NOUVELLE", "birth_date": "1951-02-03"}, "NOUVELLE"),
    ):
        sent = submit(
            office, "/arrivees/telephone", test="potassium", measure="4,4 mmol/L",
            caller="Laboratoire", read_back="oui", **known,
        )  # fmt: skip
        assert sent.status_code == 303, sent.text
        assert named not in sent.headers["location"]
        shown = office.get(sent.headers["location"]).text
        told = shown.partition("Envoyé pour")[2].partition("</div>")[0]
        assert named in told
        assert "4,4" not in shown


def test_a_file_that_nobody_reads_here_is_not_called_a_text(web: Web) -> None:
    document = send(web.machine("coordinator"), b"MZ\x00\x01programme")
    assert "Fichier non lu ici" in web.browser("coordinator").get(f"/arrivees/{document}").text
