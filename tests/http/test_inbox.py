"""The inbox through its doors: what comes in, who sees which part, and what reaches the record."""

from __future__ import annotations

import hashlib
from typing import Any
from uuid import UUID

import pytest

from support.web import Web, key

PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
SECRET = "Embolie pulmonaire segmentaire"
"""Words of content that nobody at the desk may be sent."""


def identity(web: Web, patient: UUID) -> dict[str, Any]:
    """The traits of a demo patient as somebody would type them."""
    events = web.services.continuity.patient(patient)
    assert events.registered is not None
    known: Any = events.registered.payload
    return {
        "birth_name": known.birth_name,
        "first_names": list(known.first_names),
        "birth_date": known.birth_date,
        "sex": known.sex,
    }


@pytest.mark.postgres
def test_a_pdf_is_dropped_matched_blind_and_delivered(web: Web) -> None:
    import json

    patient = web.patient()
    said = identity(web, patient)
    desk = web.machine(web.hire("secretary"))
    sent = desk.post(
        "/api/v1/inbox",
        files={"document": ("nom-du-patient.pdf", PDF, "application/pdf")},
        data={"identity": json.dumps(said), "title": SECRET},
    )
    assert sent.status_code == 201, sent.text
    document = sent.json()["inbox"]
    again = desk.post("/api/v1/inbox", content=PDF, headers={"content-type": "application/pdf"})
    assert again.status_code == 200
    assert again.json()["inbox"] == document
    assert again.json()["known"] is True

    listed = desk.get("/api/v1/inbox")
    assert listed.status_code == 200, listed.text
    (row,) = [each for each in listed.json()["documents"] if each["inbox"] == document]
    assert row["proposals"][0]["patient"] == str(patient)
    matched = desk.post(
        f"/api/v1/inbox/{document}/match-document", json={"patient": str(patient)}, headers=key()
    )
    assert matched.status_code == 201, matched.text
    record = web.services.continuity.patient(patient)
    (attached,) = [
        event
        for event in record.documents
        if getattr(event.payload, "sha256", "") == hashlib.sha256(PDF).hexdigest()
    ]
    assert attached.envelope.entered_by == web.services.persona("secretary").person
    assert web.services.reader.attachment(attached.event_id, patient) == PDF

    for path in ("", "/content", "/original"):
        seen = desk.get(f"/api/v1/inbox/{document}{path}")
        assert seen.status_code == (200 if not path else 404)
        assert SECRET not in seen.text
        assert b"%PDF" not in seen.content
    doctor = web.machine("present")
    assert doctor.get(f"/api/v1/inbox/{document}/original").content == PDF
    assert SECRET in doctor.get(f"/api/v1/inbox/{document}/content").text
