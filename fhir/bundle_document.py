"""A FHIR Bundle that came in as a document: its plan, when it speaks of one patient."""

from __future__ import annotations

from typing import Final

from releve.domain.aggregates.inbox_document import identity_traits
from releve.fhir import exact_json
from releve.fhir.document_content import ReadDocument, glance
from releve.fhir.import_bundle import plan

MAX_ENTRIES: Final = 5_000
"""Entries of a Bundle that is read; a larger one is kept, and said unread."""


def read_bundle(raw: bytes) -> ReadDocument:
    """What a Bundle says; one that the import refuses is kept, with the reasons as warnings."""
    if _entries(raw) > MAX_ENTRIES:
        return ReadDocument(
            format="fhir",
            media_type="application/fhir+json",
            title="Bundle FHIR",
            one_liner="Document gardé sans être lu.",
            warnings=(f"Le Bundle a plus de {MAX_ENTRIES} entrées : il est gardé sans être lu.",),
        )
    planned = plan(raw)
    if len(planned.patients) != 1:
        return ReadDocument(
            format="fhir" if planned.is_bundle else "text",
            media_type="application/fhir+json" if planned.is_bundle else "application/json",
            title="Bundle FHIR" if planned.is_bundle else "Document JSON",
            one_liner="Document gardé sans être lu.",
            warnings=tuple(f"{one.path} : {one.reason}" for one in planned.rejected),
        )
    patient = planned.patients[0]
    count = len(patient.entries)
    lines = f"{count} ligne{'s' if count > 1 else ''} codée{'s' if count > 1 else ''}"
    return ReadDocument(
        format="fhir",
        media_type="application/fhir+json",
        kind=patient.document.kind,
        title=glance(patient.document.title),
        one_liner=glance(f"{patient.document.title} : {lines if count else 'sans ligne codée'}"),
        issued_at=_issued_at(raw),
        identity=identity_traits(patient.registration),
        system=patient.system,
        source_id=patient.document.source_id,
        entries=patient.entries,
        unmapped=patient.document.unmapped,
        warnings=patient.document.warnings,
    )


def _entries(raw: bytes) -> int:
    try:
        entries = exact_json.parse(raw).get("entry")
    except exact_json.NotReadable:
        return 0  # the plan says why
    return len(entries) if isinstance(entries, list) else 0


def _issued_at(raw: bytes) -> str | None:
    """When the document was written: its Composition's date, else the Bundle's timestamp."""
    bundle = exact_json.parse(raw)
    for entry in bundle.get("entry", ()):
        resource = entry.get("resource", {})
        if resource.get("resourceType") == "Composition" and resource.get("date"):
            return str(resource["date"])
    return bundle.get("timestamp")
