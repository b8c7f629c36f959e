"""The inbox when two people, two patients or two records want the same thing."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from starlette.testclient import TestClient

from releve.api.cli.acts import import_fhir
from releve.api.delivering import Repair, deliver
from releve.api.inbox import line_of
from releve.domain.commands import MatchDocument
from releve.domain.continuity import MatchedMeanwhile
from releve.domain.events import Author
from releve.domain.requests import CommandContext
from releve.fhir.received_document import ReadDocument, read_document
from support.inbox import SAMPLES, attached, match, odette, pdf, send
from support.web import FORM, Web, hidden, key

pytestmark = pytest.mark.postgres

MATRICULE = {"system": "urn:oid:1.2.250.1.213.1.4.10", "value": "248032309600111"}


def matched(web: Web, document: UUID, patient: UUID, corrects: UUID | None = None) -> UUID | None:
    """A match that is durable and not delivered, as if the process had died just then."""
    services = web.services
    services.continuity.execute(
        MatchDocument(patient=patient, confirmed=True),
        CommandContext(
            author=Author(role="referent", name="Dr Ref", person=uuid4()),
            now=services.clock.for_write(),
            key=services.blind_index.request_key(b"t", uuid4().bytes),
            actor=b"t",
            corrects=corrects,
        ),
        target=document,
    )
    return line_of(services, document).matched_at


# Two people


def namesakes(web: Web, name: str) -> tuple[UUID, UUID]:
    first, second = (odette(web, birth_name=name) for _ in range(2))
    return first, second


def test_of_two_matches_at_once_one_is_refused_and_says_who_was_first(web: Web) -> None:
    doctors = [web.machine("present") for _ in range(2)]
    for turn in range(3):
        records = namesakes(web, f"CONTESTE {turn}")
        raw = pdf(f"contested {turn}")
        document = send(doctors[0], raw, birth_name=f"CONTESTE {turn}", birth_date="1948-03-02")
        with ThreadPoolExecutor(2) as pool:
            answers = list(
                pool.map(
                    lambda one, document=document: match(one[0], document, one[1], confirmed=True),
                    zip(doctors, records, strict=True),
                )
            )
        codes = sorted(each.status_code for each in answers)
        assert codes in ([201, 409], [201, 422]), [each.text for each in answers]
        (lost,) = [each.json() for each in answers if each.status_code != 201]
        assert lost["code"] in ("matched-meanwhile", "still-on-record")
        if lost["code"] == "matched-meanwhile":
            assert lost["by"]["name"] in lost["why"]
        Repair(web.services).run_once()
        assert [len(attached(web, each, raw)) for each in records].count(0) == 1


def test_a_match_that_lost_the_race_is_no_correction(web: Web) -> None:
    """It did not see the match that stands, of which nothing was delivered yet."""
    first, second = namesakes(web, "PREMIERE")
    raw = pdf("lost race")
    document = UUID(send(web.machine("present"), raw, birth_name="PREMIERE"))
    seen = matched(web, document, first)
    with pytest.raises(MatchedMeanwhile) as lost:
        matched(web, document, second)
    assert lost.value.by is not None
    assert lost.value.by.name == "Dr Ref"
    asked = match(web.machine("present"), str(document), second, confirmed=True)
    assert (asked.status_code, asked.json()["code"]) == (422, "still-on-record")
    assert line_of(web.services, document).matched_at == seen
    assert (len(attached(web, first, raw)), attached(web, second, raw)) == (1, [])


def test_a_form_that_was_opened_before_the_match_corrects_nothing(web: Web) -> None:
    first, second = namesakes(web, "FORMULAIRE")
    raw, browser = pdf("stale form"), web.browser("present")
    document = send(
        web.machine("present"), raw, birth_name="FORMULAIRE", first_names=["Odette"],
        birth_date="1948-03-02",
    )  # fmt: skip
    page = f"/arrivees/{document}"
    fields = hidden(browser.get(page), f"{page}/rattacher")
    assert match(web.machine("referent"), document, first, confirmed=True).status_code == 201
    fields |= {"patient": str(second), "confirmed": "oui"}
    told = browser.post(f"{page}/rattacher", data=fields, headers=FORM)
    assert told.status_code == 422
    who = web.services.persona("referent").name
    assert re.search(rf"{who} l.a rattaché depuis sa lecture", unescape(told.text))
    assert (len(attached(web, first, raw)), attached(web, second, raw)) == (1, [])


def test_a_delivery_stops_where_the_match_was_corrected_meanwhile(web: Web) -> None:
    first, second = namesakes(web, "CORRIGEE")
    raw = pdf("corrected meanwhile")
    document = UUID(send(web.machine("present"), raw, birth_name="CORRIGEE"))
    seen = matched(web, document, first)

    def meanwhile(
        raw: bytes, *, media_type: str | None = None, name_hint: str | None = None
    ) -> ReadDocument:
        matched(web, document, second, corrects=seen)
        return read_document(raw, media_type=media_type, name_hint=name_hint)

    with pytest.raises(MatchedMeanwhile):
        deliver(web.services, document, reader=meanwhile)
    web.services.catch_up()
    assert Repair(web.services).run_once() == 1
    assert (attached(web, first, raw), len(attached(web, second, raw))) == ([], 1)


# Two patients


def test_the_same_words_about_two_patients_are_two_documents(web: Web, desk: TestClient) -> None:
    first, second = (odette(web, birth_name=name) for name in ("MEMESMOTS", "AUTREMOTS"))
    raw = b"INR 7,8 ce jour, appeler le patient."

    def sent(**identity: Any) -> Any:
        return desk.post(
            "/api/v1/inbox",
            files={"document": ("lettre.txt", raw, "text/plain")},
            data={"identity": json.dumps(identity) if identity else ""},
        )

    said = [
        {"birth_name": name, "first_names": ["Odette"], "birth_date": "1948-03-02"}
        for name in ("MEMESMOTS", "AUTREMOTS")
    ]
    answers = [sent(**each) for each in said]
    assert [each.status_code for each in answers] == [201, 201]
    one, other = (each.json()["inbox"] for each in answers)
    assert one != other
    again = [sent(**each) for each in (*said, {**said[1], "birth_name": "Autremots"}, {})]
    assert [(each.status_code, each.json()["inbox"]) for each in again] == [
        (200, one), (200, other), (200, other), (200, one),
    ]  # fmt: skip
    assert match(desk, one, first).status_code == 201
    assert match(desk, other, second).status_code == 201
    assert [len(attached(web, each, raw)) for each in (first, second)] == [1, 1]


# Said once


def test_a_one_liner_that_begins_with_the_title_is_the_title(web: Web) -> None:
    doctor, raw = web.machine("present"), (SAMPLES / "hprim-structured.hpr").read_bytes()
    document = send(doctor, raw)
    said = line_of(web.services, UUID(document)).received
    assert said.one_liner.startswith(said.title)
    who = said.identity
    assert who is not None
    patient = odette(web, birth_name=who.birth_name or who.used_name, used_name=who.used_name,
                     first_names=list(who.first_names) or [who.used_first_name],
                     birth_date=who.birth_date, sex=who.sex, birth_place=None)  # fmt: skip
    assert match(doctor, document, patient, confirmed=True).status_code == 201
    (held,) = attached(web, patient, raw)
    assert held.payload.title == said.one_liner


# Two records


def matricule(web: Web, patient: UUID) -> Any:
    return web.machine("coordinator").post(
        f"/api/v1/patients/{patient}/change-ins-status",
        json={"status": "recuperee", "matricule": MATRICULE["value"],
              "system": MATRICULE["system"], "service": True},
        headers=key(),
    )  # fmt: skip


def corrected(web: Web, patient: UUID, command: str, entry: str) -> Any:
    return web.machine("present").post(
        f"/api/v1/patients/{patient}/{command}",
        json={"entry": entry, "reason": "Matricule d'une autre patiente"},
        headers=key(),
    )


def test_a_matricule_given_in_error_matches_nothing_and_is_free(web: Web, desk: TestClient) -> None:
    wrong, right = (odette(web, birth_name=name) for name in ("FAUTIVE", "PORTEUSE"))
    given = matricule(web, wrong)
    assert given.status_code == 201, given.text
    assert matricule(web, right).json()["code"] == "identifier-claimed"
    entry = given.json()["event_ids"][0]
    assert corrected(web, wrong, "mark-entry-in-error", entry).status_code == 201
    document = send(desk, pdf("matricule in error"), identifiers=[MATRICULE])
    assert desk.get(f"/api/v1/inbox/{document}").json()["proposals"] == []
    assert match(desk, document, wrong).json()["code"] == "identity-too-thin"

    # It comes back to the record that gave it in error while nobody else took it, and not after.
    assert corrected(web, wrong, "reinstate-entry", entry).status_code == 201
    assert matricule(web, right).json()["code"] == "identifier-claimed"
    assert corrected(web, wrong, "mark-entry-in-error", entry).status_code == 201
    taken = matricule(web, right)
    assert taken.status_code == 201, taken.text
    refused = corrected(web, wrong, "reinstate-entry", entry)
    assert (refused.status_code, refused.json()["code"]) == (409, "identifier-claimed")
    (found,) = desk.get(f"/api/v1/inbox/{document}").json()["proposals"]
    assert found["patient"] == str(right)
    assert match(desk, document, right).status_code == 201


def test_a_bundle_that_was_matched_is_imported_nowhere_else(
    web: Web, desk: TestClient, tmp_path: Path
) -> None:
    patient = odette(web, birth_name="DEUXPORTES")
    raw = bundle("DEUXPORTES")
    document = send(web.machine("present"), raw)
    assert match(web.machine("present"), document, patient, confirmed=True).status_code == 201
    again, other = tmp_path / "again.json", tmp_path / "other.json"
    again.write_bytes(raw)
    other.write_bytes(raw.replace(b"Asthme", b"Eczema"))
    report = import_fhir(web.services, [again], finess=None, keep_going=False)
    assert (report.patients, report.duplicates, report.rejected) == ([patient], [str(again)], [])

    report = import_fhir(web.services, [other], finess=None, keep_going=False)
    (opened,) = report.patients
    assert opened != patient
    (told,) = [each for each in report.warnings if "autre dossier" in each["reason"]]
    assert "DEUXPORTES" not in told["reason"]


def bundle(name: str) -> bytes:
    """A bundle with one problem of somebody whom no identifier names."""
    return json.dumps({
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [
            {"fullUrl": "urn:uuid:0a8e1a4e-7d0f-4a55-9e0c-6f6f4e1c2b11", "resource": {
                "resourceType": "Patient",
                "name": [{"use": "official", "family": name, "given": ["ODETTE"]}],
                "gender": "female", "birthDate": "1948-03-02"}},
            {"fullUrl": "urn:uuid:5e0b1b5c-0a55-4d0b-8a55-3a8d4b3b9c22", "resource": {
                "resourceType": "Condition",
                "clinicalStatus": {"coding": [{"code": "active", "system":
                    "http://terminology.hl7.org/CodeSystem/condition-clinical"}]},
                "code": {"text": "Asthme"},
                "subject": {"reference": "urn:uuid:0a8e1a4e-7d0f-4a55-9e0c-6f6f4e1c2b11"}}},
        ],
    }).encode()  # fmt: skip
