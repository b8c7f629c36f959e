"""The inbox through its doors: what comes in, who sees which part, and what reaches the record."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from starlette.testclient import TestClient

from releve.api.inbox import Repair, deliver, receive
from releve.api.inbox_views import reread, sender_of
from releve.api.watched import WatchedFolder, astray
from releve.domain.aggregates.patient.documents import DocumentAttached
from releve.domain.aggregates.patient.results import ResultReceived
from releve.domain.commands import ImportedEntry, MatchDocument
from releve.domain.continuity import CommandContext
from releve.domain.events import Author, Source
from releve.fhir.received_document import ReadDocument, read_document
from releve.projections.records import read_patient
from support.web import FORM, Web, hidden, key, submit

pytestmark = pytest.mark.postgres

DATA = Path(__file__).parents[1] / "conformance" / "data" / "inbox"
PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
FINDING = "Embolie pulmonaire segmentaire"
"""Words of content that nobody at the desk may be sent."""
ODETTE: dict[str, Any] = {
    "birth_name": "BELLANGER", "first_names": ["ODETTE", "MARIE", "ROSE"], "used_name": "PICHON",
    "birth_date": "1948-03-02", "sex": "female", "birth_place": "23096", "prior_search": "name",
}  # fmt: skip


def pdf(words: str) -> bytes:
    """A PDF of its own for each test: the same bytes would be the same document."""
    return PDF + b"% " + words.encode() + b"\n"


def odette(web: Web, **changed: Any) -> UUID:
    """A new record with the identity of the fixtures, or one that differs by a trait."""
    made = web.machine("coordinator").post(
        "/api/v1/patients", json={**ODETTE, **changed}, headers=key()
    )
    assert made.status_code == 201, made.text
    return UUID(made.json()["patient"])


@pytest.fixture(scope="module")
def patient(web: Web) -> UUID:
    return odette(web)


@pytest.fixture(scope="module")
def desk(web: Web) -> TestClient:
    return web.machine(web.hire("secretary"))


def send(client: TestClient, raw: bytes, title: str = "", **identity: Any) -> str:
    """Send a document; gives its id."""
    sent = client.post(
        "/api/v1/inbox",
        files={"document": ("nom-du-patient.bin", raw, "application/octet-stream")},
        data={"identity": json.dumps(identity) if identity else "", "title": title},
    )
    assert sent.status_code == 201, sent.text
    document: str = sent.json()["inbox"]
    return document


def match(client: TestClient, document: str, patient: UUID, **more: Any) -> Any:
    return client.post(
        f"/api/v1/inbox/{document}/match-document",
        json={"patient": str(patient), **more},
        headers=key(),
    )


def attached(web: Web, patient: UUID, raw: bytes) -> list[Any]:
    """The events by which a record holds these bytes."""
    sha256 = hashlib.sha256(raw).hexdigest()
    return [
        event
        for event in web.services.continuity.patient(patient).documents
        if isinstance(event.payload, DocumentAttached) and event.payload.sha256 == sha256
    ]


# Whose it is, and who may see what


def test_a_pdf_is_matched_blind_and_kept_byte_for_byte(
    web: Web, patient: UUID, desk: TestClient
) -> None:
    raw = pdf("blind")
    said = {name: ODETTE[name] for name in ("birth_name", "first_names", "birth_date")}
    document = send(desk, raw, FINDING, **said)
    again = desk.post("/api/v1/inbox", content=raw, headers={"content-type": "application/pdf"})
    assert (again.status_code, again.json()["inbox"], again.json()["known"]) == (
        200,
        document,
        True,
    )
    listed = desk.get("/api/v1/inbox").json()["documents"]
    (row,) = [each for each in listed if each["inbox"] == document]
    assert row["identity"]["birth_date"] == "1948-03-02"
    assert [each["patient"] for each in row["proposals"] if each["fits"]] == [str(patient)]

    matched = match(desk, document, patient)
    assert matched.status_code == 201, matched.text
    (event,) = attached(web, patient, raw)
    assert event.envelope.entered_by == web.services.persona("secretary").person
    assert (event.envelope.source.channel, event.envelope.author.role) == ("pdf", "ehr")
    assert web.services.reader.attachment(event.event_id, patient) == raw
    assert match(desk, document, patient).json()["code"] == "already-matched"


def test_the_desk_is_sent_no_byte_of_content(web: Web, desk: TestClient) -> None:
    raw = (DATA / "cr-bio-final.xml").read_bytes()
    document = send(web.machine("coordinator"), raw, FINDING)
    browser = web.browser("coordinator")
    seen = [
        desk.get(f"/api/v1/inbox/{document}{part}") for part in ("", "/content", "/original")
    ] + [
        browser.get(path)
        for path in (
            "/arrivees",
            f"/arrivees/{document}",
            f"/arrivees/{document}/original",
            f"/arrivees/{document}/pieces/0",
        )
    ]
    assert [each.status_code for each in seen] == [200, 404, 404, 200, 200, 404, 404]
    shown = b"".join(each.content for each in (*seen, desk.get("/api/v1/inbox")))
    for secret in (FINDING, "Potassium", "6.2", "6,2", "136 - 145", "Sodium", "ClinicalDocument"):
        assert secret.encode() not in shown, secret
    assert b"Odette" in shown or b"ODETTE" in shown

    doctor = web.machine("present")
    assert doctor.get(f"/api/v1/inbox/{document}/original").content == raw
    content = doctor.get(f"/api/v1/inbox/{document}/content").json()
    assert content["title"] == FINDING
    assert "6,2 mmol/L" in [line["value"] for line in content["results"]], content["results"]
    page = web.browser("present").get(f"/arrivees/{document}")
    assert "Potassium" in page.text
    original = web.browser("present").get(f"/arrivees/{document}/original")
    assert original.headers["content-disposition"].startswith("attachment")
    assert original.headers["content-type"] == "application/octet-stream"


def test_reading_a_document_leaves_an_entry_first(web: Web, desk: TestClient) -> None:
    document = send(desk, pdf("traced"), FINDING)
    head = web.services.reader.head().size
    web.machine("present").get(f"/api/v1/inbox/{document}/content")
    desk.get(f"/api/v1/inbox/{document}/content")
    web.services.catch_up()
    entries = [
        read.access
        for read in web.services.reader.by_position(head - 1, 50)
        if read.access is not None
    ]
    assert [(each.action, each.outcome) for each in entries] == [
        ("inbox.read", "granted"),
        ("inbox.read", "refused"),
    ]
    assert entries[0].purpose == document


@pytest.mark.parametrize(
    ("trait", "value"),
    [("birth_date", "1948-03-03"), ("sex", "male"), ("birth_place", "23097")],
)
def test_one_strict_trait_off_is_refused_to_everybody(
    web: Web, desk: TestClient, trait: str, value: str
) -> None:
    other = odette(web, **{trait: value})
    raw = (DATA / "vsm.xml").read_bytes() + f"<!-- {trait} -->".encode()
    document = send(desk, raw)
    for client in (desk, web.machine("present")):
        refused = match(client, document, other, confirmed=True)
        assert refused.status_code == 422
        assert refused.json()["code"] == "strict-trait-differs"
        assert refused.json()["errors"][0]["loc"] == trait
        assert "1948" not in refused.text
    assert attached(web, other, raw) == []


def test_by_name_alone_a_doctor_who_read_it_matches(
    web: Web, patient: UUID, desk: TestClient
) -> None:
    document = send(desk, pdf("thin"), birth_name="BELLANGER", first_names=["ODETTE"])
    row = desk.get(f"/api/v1/inbox/{document}").json()
    assert row["proposals"] == []
    assert match(desk, document, patient, confirmed=True).json()["code"] == "identity-too-thin"
    doctor = web.machine("present")
    assert match(doctor, document, patient).json()["code"] == "confirmation-missing"
    assert match(doctor, document, patient, confirmed=True).status_code == 201


def test_two_records_that_fit_need_a_doctor_who_read_it(web: Web, desk: TestClient) -> None:
    first, second = (odette(web, birth_name="JUMELLE", first_names=[name, "Louise"],
                            used_first_name="Louise") for name in ("Louise", "Marie"))  # fmt: skip
    document = send(desk, pdf("twins"), used_name="JUMELLE", used_first_name="Louise",
                    birth_date="1948-03-02")  # fmt: skip
    found = desk.get(f"/api/v1/inbox/{document}").json()["proposals"]
    assert {(each["patient"], each["fits"]) for each in found} == {
        (str(first), False),
        (str(second), False),
    }
    assert (
        "Plusieurs dossiers peuvent convenir"
        in web.browser("coordinator").get(f"/arrivees/{document}").text
    )
    for patient in (first, second):
        blind = match(desk, document, patient, confirmed=True)
        assert (blind.status_code, blind.json()["code"]) == (422, "several-records")
    doctor = web.machine("present")
    assert match(doctor, document, first).json()["code"] == "confirmation-missing"
    assert match(doctor, document, first, confirmed=True).status_code == 201


def test_a_wrong_match_is_corrected_by_a_doctor(web: Web, desk: TestClient) -> None:
    wrong, right = odette(web, birth_name="AUTRE"), odette(web, birth_name="VRAIE")
    doctor, raw = web.machine("present"), pdf("moved")
    document = send(desk, raw, first_names=["Odette"], birth_date="1948-03-02")
    assert match(doctor, document, wrong, confirmed=True).status_code == 201
    assert match(desk, document, right).json()["code"] == "already-matched"
    assert match(doctor, document, right, confirmed=True).json()["code"] == "still-on-record"
    (held,) = attached(web, wrong, raw)
    marked = doctor.post(
        f"/api/v1/patients/{wrong}/mark-entry-in-error",
        json={"entry": str(held.event_id), "reason": "Autre patiente"},
        headers=key(),
    )
    assert marked.status_code == 201, marked.text
    assert "Mauvais dossier" in web.browser("present").get(f"/arrivees/{document}").text
    assert "Mauvais dossier" not in web.browser("coordinator").get(f"/arrivees/{document}").text
    assert match(doctor, document, right, confirmed=True).status_code == 201
    (moved,) = attached(web, right, raw)
    assert web.services.reader.attachment(moved.event_id, right) == raw
    assert attached(web, wrong, raw) == [held]  # the trace stays
    assert Repair(web.services).run_once() == 0
    again = desk.post("/api/v1/inbox", content=raw)
    assert (again.status_code, again.json()["inbox"]) == (200, document)


def test_what_the_desk_sets_aside_stays_in_a_doctors_sight(web: Web, desk: TestClient) -> None:
    def aside(client: TestClient, document: str) -> Any:
        return client.post(f"/api/v1/inbox/{document}/reject-document",
                           json={"reason": "Inconnue"}, headers=key())  # fmt: skip

    results = send(desk, (DATA / "cr-bio-final.xml").read_bytes() + b"<!-- aside -->")
    refused = aside(desk, results)
    assert (refused.status_code, refused.json()["code"]) == (422, "carries-results")
    letter = send(desk, pdf("set aside"), birth_name="ECARTEE")
    assert aside(desk, letter).status_code == 201
    assert aside(desk, letter).json()["code"] == "already-rejected"
    doctor = web.browser("present")
    shown = doctor.get("/arrivees").text.partition('id="t-ecartes"')[2].partition("</section>")[0]
    assert f"/arrivees/{letter}" in shown
    seen = submit(doctor, f"/arrivees/{letter}", f"/arrivees/{letter}/rejeter", reason="Vu")
    assert seen.status_code == 303, seen.text
    shown = doctor.get("/arrivees").text.partition('id="t-ecartes"')[2].partition("</section>")[0]
    assert f"/arrivees/{letter}" not in shown
    assert aside(web.machine("present"), results).status_code == 201


def test_a_file_of_two_patients_is_two_documents(web: Web, desk: TestClient) -> None:
    report = (DATA / "hprim-structured.hpr").read_bytes().replace(b"2614187", b"2614999")
    raw = report.replace(b"PICHON", b"PREMIERE") + report.replace(b"PICHON", b"SECONDE")
    sent = desk.post("/api/v1/inbox", content=raw)
    assert sent.status_code == 201, sent.text
    documents = [sent.json()["inbox"], *sent.json()["others"]]
    headers = [desk.get(f"/api/v1/inbox/{each}").json() for each in documents]
    assert [each["identity"]["name"] for each in headers] == ["Odette PREMIERE", "Odette SECONDE"]
    assert [each["urgent"] for each in headers] == [True, True]
    doctor = web.machine("present")
    parts = [doctor.get(f"/api/v1/inbox/{each}/original").content for each in documents]
    assert b"".join(parts) == raw
    told = doctor.get(f"/api/v1/inbox/{documents[1]}/content").json()
    assert any(hashlib.sha256(raw).hexdigest() in each for each in told["warnings"])
    again = desk.post("/api/v1/inbox", content=raw)
    assert again.status_code == 200
    assert [again.json()["inbox"], *again.json()["others"]] == documents


def test_an_unknown_document_and_a_refused_one_answer_alike(web: Web, desk: TestClient) -> None:
    document = send(desk, pdf("alike"))
    unknown = desk.get(f"/api/v1/inbox/{uuid4()}/content")
    refused = desk.get(f"/api/v1/inbox/{document}/content")
    assert unknown.status_code == refused.status_code == 404
    assert unknown.content == refused.content
    assert web.client().get("/api/v1/inbox").status_code == 401


def test_what_harms_is_refused_and_nothing_is_kept(web: Web, desk: TestClient) -> None:
    bomb = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>'
    before = len(desk.get("/api/v1/inbox").json()["documents"])
    for raw in (b"", b"  ", bomb):
        refused = desk.post("/api/v1/inbox", content=raw)
        assert refused.status_code == 422, raw
    assert len(desk.get("/api/v1/inbox").json()["documents"]) == before
    large = desk.post("/api/v1/inbox", content=b"", headers={"content-length": "99999999"})
    assert large.status_code == 413


# To the record


def test_a_vsm_and_a_cr_bio_become_lines_to_validate(
    web: Web, patient: UUID, desk: TestClient
) -> None:
    for name in ("vsm.xml", "cr-bio-partial.xml"):
        raw = (DATA / name).read_bytes()
        document = send(desk, raw)
        matched = match(desk, document, patient)
        assert matched.status_code == 201, matched.text
        (event,) = attached(web, patient, raw)
        assert event.envelope.source.channel == "cda"
        assert web.services.reader.attachment(event.event_id, patient) == raw
    record = web.services.continuity.patient(patient)
    assert record.problems
    (result,) = record.told(ResultReceived)
    assert isinstance(result.payload, ResultReceived)
    assert result.payload.status == "partial"
    assert result.envelope.source.channel == "cda"
    web.services.catch_up()
    projected = read_patient(web.services.pool, web.services.data_keys, patient)
    assert projected is not None
    lines = [line for line in projected.summary.slot("problems") if line.current]
    assert lines
    assert {line.validation for line in lines} == {"to-validate"}


def test_lines_to_validate_wait_on_the_briefing_until_each_is_judged(
    web: Web, patient: UUID, desk: TestClient
) -> None:
    raw = (DATA / "vsm.xml").read_bytes() + b"<!-- briefing -->"
    assert match(desk, send(desk, raw), patient).status_code == 201
    browser, doctor = web.browser("present"), web.machine("present")
    page = f"/sejours/{web.stint('present')}/briefing"

    def row() -> str:
        renewed = submit(browser, page, page.replace("briefing", "edition"))
        assert renewed.status_code == 303, renewed.text
        found = browser.get(f"{page}?tout=1").text
        shown = re.search(rf'<article[^>]*aria-labelledby="p-{patient}".*?</article>', found, re.S)
        head = found.partition('class="head"')[2].partition("</div>")[0]
        text = shown[0] if shown else ""
        assert ("à valider" in head) == ("à valider" in text), head
        return text

    def waiting() -> list[Any]:
        web.services.catch_up()
        read = read_patient(web.services.pool, web.services.data_keys, patient)
        assert read is not None
        return read.summary.to_validate

    lines = waiting()
    assert len(lines) > 3
    shown = row()
    assert "allergie ou valeur critique à valider" in shown
    assert shown.count('<span class="tag warn">à valider</span>') == 3
    assert "urn:oid" not in shown
    for line in lines:
        judged = doctor.post(
            f"/api/v1/patients/{patient}/validate-entry",
            json={"entry": str(line.entry_id), "verdict": "accepted"},
            headers=key(),
        )
        assert judged.status_code == 201, judged.text
    assert waiting() == []
    assert "à valider" not in row()


CLERK = uuid4()


def only_matched(web: Web, desk: TestClient, patient: UUID, raw: bytes) -> UUID:
    """A document whose match is durable, as if the process had died just then."""
    services = web.services
    said = {name: ODETTE[name] for name in ("birth_name", "first_names", "birth_date")}
    document = UUID(send(desk, raw, **said))
    services.continuity.execute(
        MatchDocument(patient=patient),
        CommandContext(
            author=Author(role="coordinator", name="Lou", person=CLERK),
            now=services.clock.for_write(),
            key=services.blind_index.request_key(b"t", document.bytes),
            actor=b"t",
        ),
        target=document,
    )
    services.catch_up()
    return document


def test_a_delivery_that_a_crash_cut_off_is_made_once(
    web: Web, patient: UUID, desk: TestClient
) -> None:
    services, raw = web.services, pdf("crash")
    document = only_matched(web, desk, patient, raw)
    assert attached(web, patient, raw) == []
    assert Repair(services).run_once() == 1
    (event,) = attached(web, patient, raw)
    assert event.envelope.entered_by == CLERK
    again = deliver(services, document)
    assert again is not None
    assert again.replayed
    assert Repair(services).run_once() == 0
    assert len(attached(web, patient, raw)) == 1


def test_lines_that_the_record_refuses_leave_the_document_in_and_say_so(
    web: Web, patient: UUID, desk: TestClient
) -> None:
    """A reader of another release gives a line that no record takes: the bytes still arrive."""
    raw = pdf("refused")
    document = only_matched(web, desk, patient, raw)
    line = ImportedEntry(payload=DocumentAttached(sha256="00" * 32, size=0, media_type="x"))

    def other_release(
        raw: bytes, *, media_type: str | None = None, name_hint: str | None = None
    ) -> ReadDocument:
        return msgspec.structs.replace(read_document(raw, media_type=media_type), entries=(line,))

    assert deliver(web.services, document, reader=other_release) is not None
    (event,) = attached(web, patient, raw)
    assert any(told.startswith("Lignes codées non reprises") for told in event.payload.warnings)


def test_a_document_that_is_not_on_the_record_says_so_and_stops_no_other(
    web: Web, patient: UUID, desk: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = pdf("cannot be delivered"), pdf("comes after it")
    stuck = only_matched(web, desk, patient, bad)
    only_matched(web, desk, patient, good)
    page = f"/arrivees/{stuck}"
    browser = web.browser("coordinator")
    assert "Rattaché, non versé" in browser.get(page).text
    assert "rattaché, non versé" in browser.get("/arrivees").text
    assert "repris de lui-même" not in browser.get(page).text
    assert "repris de lui-même" in web.browser("present").get(page).text

    def failing(services: Any, document: UUID) -> Any:
        if document == stuck:
            raise RuntimeError
        return deliver(services, document)

    repair = Repair(web.services)
    with monkeypatch.context() as patched:
        patched.setattr("releve.api.inbox.deliver", failing)
        assert repair.run_once() == 1
    assert (len(attached(web, patient, good)), attached(web, patient, bad)) == (1, [])
    assert repair.run_once() == 1
    assert "non versé" not in browser.get(page).text


def test_a_table_is_read_again_as_it_was_read_first(desk: TestClient, web: Web) -> None:
    sent = desk.post("/api/v1/inbox", files={"document": ("x.csv", b"a;b\n1;2\n", "text/csv")})
    line = web.services.inbox.one(UUID(sent.json()["inbox"]))
    assert line is not None
    read = reread(web.services, line)
    assert read is not None
    assert (read.media_type, line.received.media_type) == ("text/csv", "text/csv")


def test_the_same_bytes_with_another_identity_are_the_same_document(desk: TestClient) -> None:
    raw = pdf("twice")
    document = send(desk, raw, birth_name="Premier")
    again = desk.post(
        "/api/v1/inbox",
        files={"document": ("autre.pdf", raw, "application/pdf")},
        data={"identity": json.dumps({"birth_name": "Second"})},
    )
    assert (again.status_code, again.json()["inbox"]) == (200, document)
    assert desk.get(f"/api/v1/inbox/{document}").json()["identity"]["birth_name"] == "Premier"


def test_an_identifier_proposes_a_record_even_where_a_trait_differs(
    web: Web, desk: TestClient
) -> None:
    ipp = {"system": "urn:oid:2.999.7", "value": str(uuid4())}
    other = odette(web, birth_name="IDENTIFIANT", identifiers=[ipp])
    document = send(desk, pdf("ipp"), identifiers=[ipp])
    (found,) = desk.get(f"/api/v1/inbox/{document}").json()["proposals"]
    assert (found["patient"], found["fits"], found["agreed"]) == (
        str(other),
        False,
        ["identifiers"],
    )
    assert match(desk, document, other).json()["code"] == "identity-too-thin"
    document = send(desk, pdf("ipp off"), identifiers=[ipp], birth_date="1948-03-03")
    (found,) = desk.get(f"/api/v1/inbox/{document}").json()["proposals"]
    assert (found["fits"], found["differing"]) == (False, ["birth_date"])
    page = web.browser("coordinator").get(f"/arrivees/{document}").text
    assert re.search(rf'value="{other}" disabled', page)


def test_an_expected_sender_that_is_silent_is_said(web: Web, desk: TestClient) -> None:
    centre = str(web.services.persona("present").centre)
    named = {"system": "Laboratoire muet", "within_hours": 24}
    told = web.machine("coordinator").post(
        f"/api/v1/centres/{centre}/change-policy", json={"expected_sources": [named]}, headers=key()
    )
    assert told.status_code == 201, told.text
    (state,) = desk.get("/api/v1/inbox").json()["sources"]
    assert (state["system"], state["silent"], state["last"]) == ("Laboratoire muet", True, None)
    assert "Laboratoire muet" in web.browser("coordinator").get("/arrivees").text
    shown = web.browser("present").get("/releve", follow_redirects=True).text
    assert "Laboratoire muet" in shown


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
    assert FINDING in doctor.get(page).text
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


def test_the_inbox_is_rebuilt_as_it_stands(web: Web) -> None:
    centre = next(iter(web.services.directory.load().centres))
    receive(web.services, pdf("rebuild"), centre=centre, door="api")
    web.services.catch_up()
    assert web.services.feed.rebuild("inbox", check=True).identical
