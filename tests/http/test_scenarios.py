"""The scenarios of the domain's acceptance list that the record holds today, by number.

Through public doors only. ⚠ marks one with a known trap: the test would pass an implementation
that fell into it only if it were written carelessly, so the trap is named and stepped on.
"""

from __future__ import annotations

import hashlib
import html
import json
import re
import struct
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from starlette.testclient import TestClient

from releve.api.cli.acts import fhir_of, write_audit_export
from releve.api.demo.generator import Sizes
from releve.api.demo.golden import scenes
from releve.projections.briefing import build_card, card_bytes, is_needed, rank, viewpoint
from releve.projections.timeline import replay
from support.postgres import Server
from support.web import FORM, MONDAY, Web, key, open_web, routes, submit
from support.week import (
    ANSELME,
    BASILE,
    INS_TEST,
    IRENE,
    Json,
    Story,
    briefing,
    open_items,
    path_of,
    potassium,
    read,
    refused,
    register,
    row,
    send,
    statuses,
    topics,
    write,
)

pytestmark = pytest.mark.postgres

DATA = Path(__file__).parents[1] / "conformance" / "data" / "inbox"


@pytest.fixture(scope="module")
def web(postgres: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """Monday 8:30 at a centre large enough for every golden patient."""
    database = postgres.create()
    state = tmp_path_factory.mktemp("week") / "releve"
    with open_web(database, state, MONDAY, Sizes(patients=80, weeks=3)) as opened:
        yield opened
    database.drop()


@pytest.fixture
def story(postgres: Server, tmp_path: Path) -> Iterator[Story]:
    """A small centre of the test's own, to be looked at on several days."""
    database = postgres.create()
    yield Story(database, tmp_path / "releve")
    database.drop()


@pytest.fixture(scope="module")
def doctor(web: Web) -> TestClient:
    return web.machine(IRENE)


@pytest.fixture(scope="module")
def laboratory(web: Web) -> TestClient:
    """Other software, which brings results."""
    return web.machine(web.hire("ehr"))


def golden(web: Web, family: str) -> str:
    """The record of a golden patient."""
    (found,) = [
        str(patient)
        for patient, summary in web.services.records.summaries(web.services.persona(IRENE).centre)[
            1
        ].items()
        if summary.identity and (summary.identity.birth_name or "").lower() == family.lower()
    ]
    return found


def first_card(page: str) -> str:
    """The first card of a briefing page."""
    return html.unescape(page.partition("<article")[2].partition("</article>")[0])


# Results


def test_03_a_potassium_of_friday_evening_is_mondays_first_line(web: Web) -> None:
    patient = golden(web, "Verdelhan")
    first = briefing(web)["rows"][0]
    assert (first["patient"], first["tier"]) == (patient, "T0")
    assert "résultat critique non lu" in first["why"]
    (alarm,) = [each for each in first["alarms"] if each["critical"]]
    assert "6,2 mmol/L" in alarm["text"]
    assert alarm["as_of"].startswith("2026-11-20T19:10")
    page = web.browser(IRENE).get("/releve", follow_redirects=True)
    assert "VERDELHAN Roger" in first_card(page.text)


def test_04_a_partial_result_keeps_its_item_open_whatever_is_clicked(
    web: Web, doctor: TestClient, laboratory: TestClient
) -> None:
    """⚠ Trap: a boolean "reviewed"."""
    patient = register(doctor, "PARTIELLE")
    order, item = write(
        doctor, patient, "order-investigation", kind="laboratory", text="Numération, ferritine",
        expected_by="2026-11-26",
    )  # fmt: skip
    (partial, *_) = write(
        laboratory, patient, "receive-result", status="partial", order=order, title="Numération",
        report="R-4", laboratory="Laboratoire", lines=[potassium("4.1")],
    )  # fmt: skip
    write(doctor, patient, "review-result", result=partial, verdict="normal", action="Vu")
    write(doctor, patient, "inform-patient", result=partial, channel="phone")
    refused(send(doctor, patient, "close-item", item=item, evidence="Fait"), "follows-result")
    page = web.browser(IRENE)
    clicked = submit(
        page, f"/patients/{patient}", f"/patients/{patient}/points/{item}",
        **{f"p{item[:8]}.evidence": "Fait", f"p{item[:8]}.outcome": "done"},
    )  # fmt: skip
    assert clicked.status_code == 422
    assert item in open_items(doctor, patient)
    (result,) = read(doctor, patient, "replay")["results"]
    assert (result["state"], result["status"]) == ("partial", "partial")

    (final, *_) = write(
        laboratory, patient, "receive-result", status="final", order=order, title="Numération",
        report="R-4", laboratory="Laboratoire", replaces=partial, lines=[potassium("4.2")],
    )  # fmt: skip
    assert item in open_items(doctor, patient)
    write(doctor, patient, "review-result", result=final, verdict="normal", inform_patient=False,
          reason="Prévenue au premier résultat")  # fmt: skip
    assert open_items(doctor, patient) == {}


def test_05_a_correction_reopens_the_item_and_tells_who_had_read(
    web: Web, doctor: TestClient, laboratory: TestClient
) -> None:
    patient = register(doctor, "CORRIGEE")
    order, item = write(
        doctor, patient, "order-investigation", kind="laboratory", text="Ionogramme",
        expected_by="2026-11-26",
    )  # fmt: skip
    report = {"order": order, "title": "Ionogramme", "report": "R-5", "laboratory": "Laboratoire"}
    (final, *_) = write(laboratory, patient, "receive-result", status="final",
                        lines=[potassium("4.1")], **report)  # fmt: skip
    write(doctor, patient, "review-result", result=final, verdict="normal")
    write(doctor, patient, "inform-patient", result=final, channel="phone")
    assert open_items(doctor, patient) == {}
    (corrected, *_) = write(laboratory, patient, "receive-result", status="corrected",
                            replaces=final, lines=[potassium("5.4")], **report)  # fmt: skip
    assert item in open_items(doctor, patient)
    became = statuses(doctor, patient)
    assert (became[final], became[corrected]) == ("superseded", "current")
    shown = row(briefing(web), patient)
    assert "résultat corrigé après votre lecture" in shown["why"]
    (result,) = shown["results"]
    assert result["corrected_for_reader"] is True
    assert result["previous_reader"] == web.services.persona(IRENE).name


def test_06_a_result_of_nobody_known_waits_in_sight_and_no_name_matches_it(web: Web) -> None:
    desk = web.machine("coordinator")
    namesake = register(desk, "BELLANGER", first_names=["ODETTE"], birth_date="1950-01-01")
    raw = (DATA / "cr-bio-final.xml").read_bytes() + b"<!-- 6 -->"
    sent = desk.post("/api/v1/inbox", content=raw, headers={"content-type": "text/xml"})
    assert sent.status_code == 201, sent.text
    document = sent.json()["inbox"]
    waiting = desk.get(f"/api/v1/inbox/{document}").json()
    assert (waiting["state"], waiting["patient"]) == ("waiting", None)
    assert not [each for each in waiting["proposals"] if each["fits"]]
    assert read(web.machine(IRENE), namesake, "replay")["results"] == []
    said = briefing(web)["head"]["alarms"]
    assert any("non rattaché" in alarm for alarm in said), said
    only_name = desk.post(
        "/api/v1/inbox",
        files={"document": ("a.pdf", b"%PDF-1.4\n%six\n%%EOF", "application/pdf")},
        data={"identity": json.dumps({"birth_name": "BELLANGER", "first_names": ["ODETTE"]})},
    ).json()["inbox"]
    assert desk.get(f"/api/v1/inbox/{only_name}").json()["proposals"] == []
    matched = desk.post(
        f"/api/v1/inbox/{only_name}/match-document",
        json={"patient": namesake, "confirmed": True}, headers=key(),
    )  # fmt: skip
    refused(matched, "identity-too-thin")


@pytest.mark.parametrize(
    ("value", "unit", "tier", "why", "fires"),
    [("5.6", "mmol/L", "T0", "seuil atteint", True),
     ("5.6", "mg/dL", "T1", "seuil non comparable", False)],
)  # fmt: skip
def test_24_a_threshold_is_met_in_its_own_unit_only(
    web: Web, doctor: TestClient, laboratory: TestClient, value: str, unit: str, tier: str,
    why: str, fires: bool,
) -> None:  # fmt: skip
    patient = register(doctor, "SEUIL")
    threshold = {"loinc": "2823-3", "comparator": ">", "value": "5.5", "unit": "mmol/L"}
    (contingency,) = write(
        doctor, patient, "set-contingency", condition="Kaliémie > 5,5 mmol/L",
        action="Arrêter le ramipril", threshold=threshold,
    )  # fmt: skip
    write(laboratory, patient, "receive-result", status="final", title="Ionogramme",
          lines=[potassium(value, unit)])  # fmt: skip
    shown = row(briefing(web), patient)
    assert shown["tier"] == tier
    assert why in shown["why"]
    assert ("contingency-activated" in topics(doctor, patient)) is fires
    (told,) = [each for each in shown["contingencies"] if each["entry"] == contingency]
    assert told["met"] is fires


# Notes and times


def test_11_a_signed_note_is_amended_never_edited(web: Web, doctor: TestClient) -> None:
    patient = register(doctor, "AMENDEE")
    first, second = "Toux sèche depuis hier", "Toux grasse depuis lundi"
    (note,) = write(doctor, patient, "sign-note", one_liner=first, plan="Repos")
    for method in ("PUT", "PATCH", "DELETE"):
        edited = doctor.request(method, path_of(patient, "sign-note"), json={"one_liner": second})
        assert edited.status_code == 405, method
    (amendment,) = write(doctor, patient, "amend-note", note=note, kind="replacement",
                         one_liner=second, plan="Repos", reason="Erreur de saisie")  # fmt: skip
    assert read(doctor, patient)["one_liner"]["text"] == second
    became = statuses(doctor, patient)
    assert (became[note], became[amendment]) == ("amended", "current")
    entries = {each["event_id"]: each for each in read(doctor, patient, "timeline")["entries"]}
    assert first in entries[note]["text"]
    assert second in entries[amendment]["text"]
    assert entries[amendment]["reason"] == "Erreur de saisie"
    document = doctor.get(f"/fhir/Patient/{patient}/$summary").text
    assert first not in document
    auditor = web.browser("auditor").get(f"/audit/{patient}")
    assert auditor.status_code == 200
    assert note in auditor.text
    assert amendment in auditor.text


def test_12_what_was_known_and_what_had_happened_are_two_questions(
    web: Web, doctor: TestClient
) -> None:
    """⚠ Trap: one timestamp."""
    patient = golden(web, "Desgranges")
    coding = {"system": "http://loinc.org", "code": "29463-7"}
    (late,) = write(
        doctor, patient, "record-observation", occurred_at="2026-11-20T15:00:00+01:00",
        code={"text": "Poids", "codings": [coding]},
        value={"value": "61.5", "unit": "kg", "code": "kg"},
    )  # fmt: skip
    friday, thursday = "2026-11-20T20:00:00+01:00", "2026-11-19T20:00:00+01:00"

    def entries(**query: str) -> set[str]:
        return {each["event_id"] for each in read(doctor, patient, "replay", **query)["entries"]}

    assert late not in entries(known_at=friday)
    assert late in entries(at=friday)
    assert late not in entries(at=thursday)
    assert late not in entries(at=friday, known_at=friday)
    assert entries(known_at=friday) < entries()
    (entry,) = [each for each in read(doctor, patient, "timeline")["entries"]
                if each["event_id"] == late]  # fmt: skip
    assert entry["late"] is True


# Handing over


def test_22_taking_over_an_unstable_patient_takes_words(web: Web) -> None:
    """⚠ Trap: an acknowledge button."""
    stint = web.stint(IRENE)
    doctor, browser = web.machine(IRENE), web.browser(IRENE)
    empty = doctor.post(f"/api/v1/stints/{stint}/take-watch", json={}, headers=key())
    refused(empty, "first-action-missing")
    patient = next(
        each["patient"] for each in briefing(web)["rows"]
        if each["tier"] == "T0" and each["patient"] != golden(web, "Verdelhan")
    )  # fmt: skip
    page = f"/patients/{patient}"
    shown = browser.get(page).text
    handover = re.search(r'name="handover" value="([^"]+)"', shown)
    assert handover is not None
    typed = "Je rappelle la fille avant neuf heures"
    for kind, text in (("takes", typed), ("restatement", "  "), ("question", "")):
        answer = submit(browser, page, f"{page}/restitution", handover=handover[1], kind=kind,
                        text=text)  # fmt: skip
        assert answer.status_code == 422, kind
        assert text.strip() in html.unescape(answer.text)
    assert "handover-read-back" not in topics(doctor, patient)
    kept = submit(browser, page, f"{page}/restitution", handover=handover[1], kind="restatement",
                  text=typed)  # fmt: skip
    assert kept.status_code == 303
    assert "handover-read-back" in topics(doctor, patient)


def test_23_an_item_that_is_declined_never_was_without_owner(web: Web, doctor: TestClient) -> None:
    patient = register(doctor, "PROPOSEE")
    (item,) = write(doctor, patient, "open-item", kind="call", text="Rappeler", due="2026-11-26")
    referent = web.machine("referent")
    owners = [open_items(doctor, patient)[item]["answerable"]]
    write(doctor, patient, "offer-item", item=item, to={"role": "referent"}, message="Pour toi ?")
    owners.append(open_items(doctor, patient)[item]["answerable"])
    write(referent, patient, "decline-item", item=item, reason="Je pars jeudi")
    owners.append(open_items(doctor, patient)[item]["answerable"])
    assert owners == [web.services.persona(IRENE).name] * 3
    refused(send(referent, patient, "accept-item", item=item), "not-offered-to-you")


def test_26_a_refuted_allergy_leaves_the_badge_and_stays_in_the_history(
    web: Web, doctor: TestClient
) -> None:
    patient = register(doctor, "REFUTEE")
    (allergy,) = write(doctor, patient, "record-allergy", substance={"text": "Pénicilline"})
    write(doctor, patient, "open-item", kind="call", text="Rappeler", due="2026-11-26")
    refused(send(doctor, patient, "assert-absence", slot="allergies"), "absence-contradicted")
    assert row(briefing(web), patient)["allergies"]["state"] == "known"
    write(doctor, patient, "revise-allergy", allergy=allergy, verification="refuted",
          reason="Test de provocation négatif")  # fmt: skip
    badge = row(briefing(web), patient)["allergies"]
    assert (badge["state"], badge["lines"]) == ("not-asked", [])
    write(doctor, patient, "assert-absence", slot="allergies")
    assert row(briefing(web), patient)["allergies"]["state"] == "none"
    (line,) = [each for each in read(doctor, patient, "summary")["slots"]["allergies"]
               if each["entry"] == allergy]  # fmt: skip
    assert line["state"] == "refuted"
    assert "Test de provocation négatif" in json.dumps(line, ensure_ascii=False)
    assert "Pénicilline" not in first_badge(web, patient)


def first_badge(web: Web, patient: str) -> str:
    """The allergy badge of the identity bar."""
    page = web.browser(IRENE).get(f"/patients/{patient}").text
    found = re.search(r'<span class="allergy[^>]*>(.*?)</span>', page, re.DOTALL)
    assert found is not None
    return html.unescape(found[1])


# Identity


MATRICULE = "2480323096123"


def insured(desk: TestClient, family: str) -> str:
    """A record whose matricule the INS service gave; its identity is not qualified."""
    number = MATRICULE + f"{97 - int(MATRICULE) % 97:02d}"
    patient = register(desk, family)
    write(desk, patient, "change-ins-status", status="recuperee", service=True, matricule=number,
          system=INS_TEST)  # fmt: skip
    return patient


def everywhere_outside(web: Web, patient: str) -> str:
    """What leaves as FHIR, by the doors and by the command line."""
    doctor = web.machine(IRENE)
    answers = [doctor.get(f"/fhir/Patient/{patient}{each}") for each in ("", "/$summary")]
    assert [each.status_code for each in answers] == [200, 200]
    files = [fhir_of(web.services, UUID(patient), everything=each) for each in (False, True)]
    return "".join(
        [f"{each.text} {each.headers}" for each in answers] + [each.decode() for each in files]
    )


def test_33_and_34_a_matricule_leaves_only_while_the_identity_is_qualified(
    web: Web, capfd: pytest.CaptureFixture[str]
) -> None:
    desk = web.machine("coordinator")
    patient = insured(desk, "MATRICULEE")
    assert MATRICULE not in everywhere_outside(web, patient)
    write(desk, patient, "change-ins-status", status="qualifiee", service=True,
          proof="carte nationale d'identité")  # fmt: skip
    assert MATRICULE in everywhere_outside(web, patient)
    refused(send(desk, patient, "change-ins-status", status="provisoire"), "reason-missing")
    write(desk, patient, "change-ins-status", status="provisoire",
          reason="Nom de naissance corrigé sur la carte")  # fmt: skip
    assert MATRICULE not in everywhere_outside(web, patient)
    said = capfd.readouterr()
    assert MATRICULE not in said.out + said.err


# Evidence and imports


def test_35_an_export_that_was_touched_says_where(web: Web, tmp_path: Path) -> None:
    """The attacks one by one are those of ``tests/unit/test_verify.py``; here, one of each."""
    patient = golden(web, "Verdelhan")
    whole = tmp_path / "preuve.zip"
    told = write_audit_export(
        web.services, patient=UUID(patient), finess=None, stream=None, out=whole
    )
    with zipfile.ZipFile(whole) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    script = tmp_path / "verify.py"
    script.write_bytes(members["verify.py"])

    def verdict(entries: bytes) -> Json:
        path = tmp_path / f"{uuid4()}.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for name, raw in {**members, "entries.bin": entries}.items():
                archive.writestr(name, raw)
        done = subprocess.run(
            [sys.executable, "-I", str(script), str(path), "--vkey", told["vkey"], "--json"],
            capture_output=True, timeout=60, check=False,
        )  # fmt: skip
        found: Json = json.loads(done.stdout.splitlines()[-1])
        assert (done.returncode == 0) is found["verified"], done.stderr
        return found

    raw = members["entries.bin"]
    assert verdict(raw)["problems"] == []
    places = [each["position"] for each in positions(raw)]
    middle = len(places) // 2
    ends = [each["end"] for each in positions(raw)]
    starts = [0, *ends[:-1]]
    kept = [raw[start:end] for start, end in zip(starts, ends, strict=True)]
    changed = kept[middle][:-1] + bytes([kept[middle][-1] ^ 1])
    for at, touched in (
        (middle, [*kept[:middle], changed, *kept[middle + 1 :]]),
        (middle, [*kept[:middle], *kept[middle + 1 :]]),
        (1, [kept[0], kept[2], kept[1], *kept[3:]]),
        (len(kept) - 1, kept[:-1]),
    ):
        found = verdict(b"".join(touched))
        assert found["verified"] is False
        located = {each["position"] for each in found["problems"]}
        # A record that is gone is located where the next one does not follow.
        assert located & {*places[at : at + 2], places[at] + 1}, (places[at], found["problems"])


def positions(raw: bytes) -> list[dict[str, int]]:
    """Every record of ``entries.bin``: its position and where it ends (docs/formats.md)."""
    found, at = [], 0
    while at < len(raw):
        (here,) = struct.unpack_from(">Q", raw, at)
        (size,) = struct.unpack_from(">I", raw, at + 184)
        at += 188 + size
        found.append({"position": here, "end": at})
    return found


def bundle(identifier: str, family: str) -> bytes:
    """What another centre's software knows of a patient: one problem, one treatment."""
    resources: list[Json] = [
        {"resourceType": "Patient", "id": "p", "name": [{"use": "official", "family": family,
         "given": ["Jeanne"]}], "gender": "female", "birthDate": "1948-03-02"},
        {"resourceType": "Condition", "id": "c", "subject": {"reference": "Patient/p"},
         "clinicalStatus": {"coding": [{"system":
          "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]},
         "code": {"text": "Goutte", "coding": [{"system": "http://hl7.org/fhir/sid/icd-10",
                                                "code": "M10.9"}]}, "onsetDateTime": "2019"},
        {"resourceType": "MedicationStatement", "id": "m", "status": "active",
         "subject": {"reference": "Patient/p"}, "effectivePeriod": {"start": "2019-05"},
         "medicationCodeableConcept": {"text": "Allopurinol 100 mg"}},
    ]  # fmt: skip
    entries = [{"fullUrl": f"http://ailleurs.example/{each['resourceType']}/{each['id']}",
                "resource": each} for each in resources]  # fmt: skip
    return json.dumps({"resourceType": "Bundle", "id": identifier, "type": "collection",
                       "timestamp": "2026-11-20T10:00:00+01:00", "entry": entries}).encode()  # fmt: skip


def test_37_the_same_document_twice_makes_one_set_of_events(
    web: Web, doctor: TestClient, laboratory: TestClient
) -> None:
    patient = register(doctor, "DEUXFOIS")
    kind = {"content-type": "application/fhir+json"}
    first = laboratory.post("/api/v1/inbox", content=bundle("un", "DEUXFOIS"), headers=kind)
    again = laboratory.post("/api/v1/inbox", content=bundle("un", "DEUXFOIS"), headers=kind)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["inbox"] == again.json()["inbox"]
    other = laboratory.post("/api/v1/inbox", content=bundle("deux", "DEUXFOIS"), headers=kind)
    assert other.status_code == 201
    for document in (first, other):
        matched = doctor.post(
            f"/api/v1/inbox/{document.json()['inbox']}/match-document",
            json={"patient": patient, "confirmed": True}, headers=key(),
        )  # fmt: skip
        assert matched.status_code == 201, matched.text
    told = topics(doctor, patient)
    assert (told.count("problem-recorded"), told.count("medication-started")) == (1, 1)


# By telephone


def test_a_phoned_potassium_comes_first_and_no_route_reads_it_back(
    web: Web, doctor: TestClient
) -> None:
    """Every reading route of the application is asked, by browser and by token."""
    role = web.hire("secretary")
    browser, machine = web.browser(role), web.machine(role)
    patient = register(doctor, "DICTEE")
    told = submit(
        browser, "/arrivees/telephone", patient=patient, test="potassium", measure="6,4 mmol/L",
        caller="Laboratoire des Charmes", read_back="oui",
    )  # fmt: skip
    assert told.status_code == 303, told.text
    page = web.browser(IRENE).get("/releve", follow_redirects=True).text
    assert "6,4 mmol/L" in first_card(page)
    assert "DICTEE" in first_card(page)

    (entry,) = [each["event_id"] for each in read(doctor, patient, "timeline")["entries"]
                if each["topic"] == "patient.result-received"]  # fmt: skip
    edition = briefing(web)
    parts = {
        "patient": patient, "stint": str(web.stint(IRENE)), "entry": entry, "event": entry,
        "result": entry, "item": entry, "edition": edition["edition"], "document": entry,
        "centre": str(web.services.persona(IRENE).centre), "name": "app.css",
        "position": str(edition["position"]),
    }  # fmt: skip
    asked = 0
    for route in routes(web.app):
        if "GET" not in (route.methods or ()):
            continue
        path = re.sub(r"{(\w+)[^}]*}", lambda part: parts[part[1]], route.path)
        for client in (browser, machine):
            answer = client.get(path)
            assert answer.status_code < 500, path
            if path not in ("/api/openapi.json",):  # its examples are nobody's
                assert not re.search(r"6[.,]4", answer.text), (path, answer.status_code)
            asked += 1
    assert asked > 60


# The card and the fold


def test_every_golden_patients_card_is_the_fold_of_its_events(web: Web) -> None:
    """Replayed from the ledger alone up to the edition's position, a record gives the same card."""
    services, stint = web.services, web.stint(IRENE)
    shown = briefing(web)
    edition = services.editions.newest(stint)
    assert edition is not None
    directory = services.directory.load()
    line = directory.stint(stint)
    assert line is not None
    before = directory.previous(stint)  # she was never here: what is new since the stint before
    assert before is not None
    view = viewpoint(line, "Europe/Paris", edition.issued_at,
                     services.reader.known_at(before.starts_at))  # fmt: skip
    kept = dict(zip(edition.patients, edition.cards, strict=True))
    doctor = web.machine(IRENE)
    page = web.browser(IRENE).get(f"/sejours/{stint}/briefing?tout=1").text
    names = {scene.family for scene in scenes(MONDAY.date(), str)}
    summaries = services.records.summaries(line.centre)[1]
    carded = 0
    found = [p for p, s in summaries.items() if s.identity and s.identity.birth_name in names]
    assert len(found) >= len(scenes(MONDAY.date(), str))
    for patient in found:
        told = read(doctor, str(patient), "replay", position=edition.position)
        folded = replay(services.reader, patient, position=edition.position).summary
        (ranked,) = rank([folded], view, edition.rules)
        if patient not in kept:
            assert not is_needed(ranked, view, edition.rules), folded.full_name()
            continue
        card = build_card(ranked, view, directory, edition.rules)
        assert card_bytes(card) == kept[patient], folded.full_name()
        carded += 1
        if ranked.tier != "T5":
            same = row(shown, str(patient))
            entries = {each["item"] for each in told["open_items"]}
            assert {each["entry"] for each in same["actions"]} <= entries
            assert len(same["actions"]) + card["more"].get("actions", 0) == len(entries)
            current = {each["entry"] for each in told["summary"]["allergies"]
                       if each["state"] == "current"}  # fmt: skip
            assert {each["entry"] for each in same["allergies"]["lines"]} <= current
            assert folded.full_name() in html.unescape(page)
    assert carded > 12


# Whose item, and since when


def test_01_what_a_doctor_leaves_open_is_somebodys_at_every_moment(story: Story) -> None:
    """No event transfers it: the record has not moved between the three readings."""
    with story.on("2026-11-23 09:00") as web:
        doctor, referent = web.machine(IRENE), web.machine("referent")
        patient = register(doctor, "LAISSEE")
        (plain,) = write(doctor, patient, "open-item", kind="call", text="Rappeler",
                         due="2026-12-04")  # fmt: skip
        (own,) = write(doctor, patient, "open-item", kind="review", text="Revoir",
                       due="2026-12-04")  # fmt: skip
        irene = web.services.persona(IRENE)
        write(referent, patient, "offer-item", item=own, to={"person": str(irene.person)},
              to_name=irene.name)  # fmt: skip
        write(doctor, patient, "accept-item", item=own)
        told = [owners(referent, patient)]
        written = len(topics(doctor, patient))
    for moment in ("2026-11-29 20:30", "2026-11-30 09:00"):
        with story.on(moment) as web:
            referent = web.machine("referent")
            told.append(owners(referent, patient))
            assert len(topics(referent, patient)) == written
            named = web.services.persona("referent").name
            basile = web.services.persona(BASILE).name
    assert told == [
        {plain: irene.name, own: irene.name},
        dict.fromkeys((plain, own), f"{named} (référent)"),
        dict.fromkeys((plain, own), basile),
    ]


def owners(client: TestClient, patient: str) -> dict[str, str]:
    """Who answers for each open item now."""
    return {item: each["answerable"] for item, each in open_items(client, patient).items()}


def test_02_since_my_last_stay_goes_by_what_was_read_not_by_dates(story: Story) -> None:
    """⚠ Trap: a filter by date, which loses late entries and amendments and repeats what was read."""
    with story.on("2026-11-23 08:40") as web:
        doctor, referent = web.machine(IRENE), web.machine("referent")
        mine, others = register(doctor, "SUIVIE"), register(web.machine("coordinator"), "AUTRE")
        (note,) = write(doctor, mine, "sign-note", one_liner="Douleur d'effort", plan="Épreuve")
        read_one, later = (
            write(doctor, mine, "open-item", kind="call", text=text, due="2026-11-27")[0]
            for text in ("Appeler le cardiologue", "Obtenir le compte rendu")
        )
        write(referent, mine, "close-item", item=read_one, evidence="Appelé à 8 h 45")
        plan(web, IRENE, "2026-12-15T08:00:00+01:00", "2026-12-20T20:00:00+01:00")
        briefing(web)  # she has read everything above: none of it is news to her any more
    with story.on("2026-11-24 10:00") as web:
        left = web.machine(ANSELME)  # in his 72 hours: he types what he saw before she came
        (late,) = write(left, mine, "record-problem", concept={"text": "Angor stable"},
                        occurred_at="2026-11-20T11:00:00+01:00", late_reason="Réseau coupé")  # fmt: skip
    with story.on("2026-12-02 10:00") as web:
        next_one, referent = web.machine(BASILE), web.machine("referent")
        (amendment,) = write(referent, mine, "amend-note", note=note, reason="Compte rendu reçu",
                             text="Épreuve faite le 19 novembre, négative")  # fmt: skip
        write(next_one, mine, "close-item", item=later, evidence="Compte rendu au dossier")
        for patient in (mine, others):
            write(next_one, patient, "open-item", kind="call", text="Rappeler", due="2026-12-18")
        write(next_one, others, "record-problem", concept={"text": "Asthme"})
    with story.on("2026-12-15 08:30") as web:
        back = "stint-2026-12-15"
        edition = briefing(web, back)
        news = row(edition, mine)["since"]
        by_entry = {each["entry"]: each for each in news}
        assert by_entry[late]["kind"] == "diagnosis"
        assert by_entry[amendment]["kind"] == "amended"
        said = " ".join(each["text"] for each in news)
        assert "Obtenir le compte rendu" in said
        assert "Appeler le cardiologue" not in said
        assert row(edition, others)["since"] == []
        again = row(briefing(web, back), mine)["since"]
        assert again == news  # news stays on the page of the stay that it was told in


def plan(web: Web, persona: str, starts: str, ends: str) -> str:
    """Another stint of somebody's at the same centre."""
    who = web.services.persona(persona)
    planned = web.machine("coordinator").post(
        "/api/v1/stints",
        json={"practitioner": str(who.person), "practitioner_name": who.name,
              "centre": str(who.centre), "starts_at": starts, "ends_at": ends},
        headers=key(),
    )  # fmt: skip
    assert planned.status_code == 201, planned.text
    return str(planned.json()["stint"])
