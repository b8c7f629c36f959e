"""Documents that come in for Odette, and how they are sent, matched and found on her record."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from starlette.testclient import TestClient

from releve.api.acting import settle
from releve.domain.aggregates.patient.documents import DocumentAttached
from releve.domain.commands.imports import ImportedEntry, ImportRecord
from releve.domain.events import Author, Payload, Source
from releve.domain.requests import CommandContext
from support.web import Web, key

SAMPLES = Path(__file__).parents[1] / "conformance" / "data" / "inbox"
"""Documents as senders write them."""
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
    """Ask to match a document with a record."""
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


def imported(web: Web, patient: UUID, *payloads: Payload) -> list[str]:
    """Deliver lines of one document to a record; their ids."""
    context = CommandContext(
        author=Author(role="ehr", name="Centre hospitalier"),
        now=web.services.clock.for_write(),
        key=uuid4().bytes,
        actor=b"inbox",
        centre=web.services.persona("present").centre,
        source=Source(channel="cda", system="Centre hospitalier"),
    )
    command = ImportRecord(entries=tuple(ImportedEntry(payload=each) for each in payloads))
    outcome = web.services.continuity.execute(command, context, target=patient)
    settle(web.services, outcome)
    return [str(each.event_id) for each in outcome.events if each.payload in payloads]
