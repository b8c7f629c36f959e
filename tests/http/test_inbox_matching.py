"""The inbox: whose a document is, who sees which part of it, and what of it reaches the record."""

from __future__ import annotations

import hashlib
import re
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from starlette.testclient import TestClient

from releve.api.delivering import Repair, deliver
from releve.api.inbox_views import reread
from releve.domain.aggregates.patient.documents import DocumentAttached
from releve.domain.aggregates.patient.results import ResultReceived
from releve.domain.commands import ImportedEntry, MatchDocument
from releve.domain.events import Author, Event
from releve.domain.requests import CommandContext
from releve.fhir.received_document import ReadDocument, read_document
from releve.projections.records import read_patient
from support.inbox import FINDING, ODETTE, SAMPLES, attached, match, odette, pdf, send
from support.web import Web, key, submit

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def patient(web: Web) -> UUID:
    return odette(web)


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
    raw = (SAMPLES / "cr-bio-final.xml").read_bytes()
    document = send(web.machine("coordinator"), raw, FINDING)
    for who, told in ((desk, (None, None, None, None)), (web.machine("present"), ...)):
        again = who.post("/api/v1/inbox", content=raw)
        names = ("coded_lines", "unmapped", "warnings", "position")
        said = tuple(again.json()[name] for name in names)
        assert (said == told) if told is not ... else None not in said
        assert ("releve-position" in again.headers) is (told is ...)
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
    raw = (SAMPLES / "vsm.xml").read_bytes() + f"<!-- {trait} -->".encode()
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

    def corrected(command: str, patient: UUID, entry: Event) -> Any:
        return doctor.post(
            f"/api/v1/patients/{patient}/{command}",
            json={"entry": str(entry.event_id), "reason": "Autre patiente"},
            headers=key(),
        )

    marked = corrected("mark-entry-in-error", wrong, held)
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
    refused = corrected("reinstate-entry", wrong, held)
    assert (refused.status_code, refused.json()["code"]) == (422, "document-elsewhere")
    # Back where it was first: the document is delivered once more.
    assert corrected("mark-entry-in-error", right, moved).status_code == 201
    assert match(doctor, document, wrong, confirmed=True).status_code == 201
    assert [event.event_id for event in attached(web, wrong, raw)][:-1] == [held.event_id]
    assert "document-elsewhere" in corrected("reinstate-entry", right, moved).text


def test_what_the_desk_sets_aside_stays_in_a_doctors_sight(web: Web, desk: TestClient) -> None:
    def aside(client: TestClient, document: str) -> Any:
        return client.post(f"/api/v1/inbox/{document}/reject-document",
                           json={"reason": "Inconnue"}, headers=key())  # fmt: skip

    results = send(desk, (SAMPLES / "cr-bio-final.xml").read_bytes() + b"<!-- aside -->")
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
    report = (SAMPLES / "hprim-structured.hpr").read_bytes().replace(b"2614187", b"2614999")
    raw = report.replace(b"PICHON", b"PREMIERE") + report.replace(b"PICHON", b"SECONDE")
    sent = desk.post("/api/v1/inbox", content=raw)
    assert sent.status_code == 201, sent.text
    documents = [sent.json()["inbox"], *sent.json()["others"]]
    headers = [desk.get(f"/api/v1/inbox/{each}").json() for each in documents]
    assert [each["identity"]["name"] for each in headers] == ["PREMIERE Odette", "SECONDE Odette"]
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
        raw = (SAMPLES / name).read_bytes()
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
    raw = (SAMPLES / "vsm.xml").read_bytes() + b"<!-- briefing -->"
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
        patched.setattr("releve.api.delivering.deliver", failing)
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
