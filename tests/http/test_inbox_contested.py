"""The inbox when two people, two patients or two records want the same thing."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import pytest
from starlette.testclient import TestClient

from releve.api.inbox import Repair, deliver, line_of
from releve.domain.commands import MatchDocument
from releve.domain.continuity import CommandContext, MatchedMeanwhile
from releve.domain.events import Author
from releve.fhir.received_document import ReadDocument, read_document
from support.inbox import attached, match, odette, pdf, send
from support.web import Web

pytestmark = pytest.mark.postgres

MATRICULE = {"system": "urn:oid:1.2.250.1.213.1.4.10", "value": "248032309600170"}


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


def test_a_delivery_stops_where_the_match_was_corrected_meanwhile(web: Web) -> None:
    first, second = namesakes(web, "CORRIGEE")
    raw = pdf("corrected meanwhile")
    document = UUID(send(web.machine("present"), raw, birth_name="CORRIGEE"))
    seen = matched(web, document, first)

    def meanwhile(content: bytes, **hints: Any) -> ReadDocument:
        matched(web, document, second, corrects=seen)
        return read_document(content, **hints)

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
