"""FHIR files to import: what others wrote (``data/``), and small bundles of our own."""

from __future__ import annotations

import json
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

from releve.domain.commands import ImportRecord
from releve.domain.events import Author, Event, Source
from releve.domain.requests import CommandContext, fold, propose
from releve.domain.values import NamedPerson
from releve.fhir import exact_json
from releve.fhir.import_bundle import PatientPlan, plan
from releve.projections.directory import CentreEntry, Directory
from releve.projections.patient_summary import PatientSummary, fold_all
from support.given import IDS

DATA = Path(__file__).parent / "data"
EXAMPLES = sorted((DATA / "ips" / "examples").glob("*.json"))
SYNTHEA = sorted((DATA / "synthea-r4").glob("*.json"))
MUTANTS = {path.name[:3]: path for path in sorted((DATA / "ips" / "mutants").glob("*.json"))}

CENTRE = UUID("00000000-0000-4000-8000-0000000000ce")
DIRECTORY = Directory(
    [
        CentreEntry(
            centre=CENTRE,
            name="Centre de santé <des> Essarts & Vaux",
            finess="230000010",
            referent=NamedPerson(name="Dr Camille Référent", phone="+33 5 00 00 00 00"),
            on_call_chain=(),
            address="1 place de la Mairie, 23999 Les Essarts",
        )
    ]
)
NOW = datetime(2026, 11, 23, 7, 30, tzinfo=UTC)
PATIENT = "urn:uuid:0d6d3f36-7ac5-4ac6-9a3a-8e0f3a5c0001"

_CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"
_VERIFICATION = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
_ALLERGY_CLINICAL = "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical"
_ALLERGY_VERIFICATION = "http://terminology.hl7.org/CodeSystem/allergyintolerance-verification"
SNOMED = "http://snomed.info/sct"

Resource = dict[str, Any]


def read(path: Path) -> exact_json.JsonObject:
    """A file as the product reads it."""
    return exact_json.parse(path.read_bytes())


def coded(code: str, display: str, system: str = SNOMED) -> Resource:
    """A CodeableConcept of one coding."""
    return {"coding": [{"system": system, "code": code, "display": display}]}


def status(code: str, system: str) -> Resource:
    """A CodeableConcept of one status."""
    return {"coding": [{"system": system, "code": code}]}


def condition(code: Resource, clinical: str | None, **other: Any) -> Resource:
    """A Condition about :data:`PATIENT`."""
    made: Resource = {"resourceType": "Condition", "code": code, "subject": {"reference": PATIENT}}
    if clinical:
        made["clinicalStatus"] = status(clinical, _CLINICAL)
    if verification := other.pop("verification", "confirmed"):
        made["verificationStatus"] = status(verification, _VERIFICATION)
    return {**made, **other}


def allergy(code: Resource, clinical: str | None, **other: Any) -> Resource:
    """An AllergyIntolerance about :data:`PATIENT`."""
    made: Resource = {
        "resourceType": "AllergyIntolerance",
        "code": code,
        "patient": {"reference": PATIENT},
    }
    if clinical:
        made["clinicalStatus"] = status(clinical, _ALLERGY_CLINICAL)
    if verification := other.pop("verification", "confirmed"):
        made["verificationStatus"] = status(verification, _ALLERGY_VERIFICATION)
    return {**made, **other}


def statement(code: Resource, taken: str = "active", **other: Any) -> Resource:
    """A MedicationStatement about :data:`PATIENT`."""
    return {
        "resourceType": "MedicationStatement",
        "status": taken,
        "medicationCodeableConcept": code,
        "subject": {"reference": PATIENT},
        **other,
    }


def collection(*resources: Resource, patient: Resource | None = None) -> Resource:
    """A collection Bundle: the patient, then ``resources``, each with a fullUrl of its own."""
    person: Resource = {
        "resourceType": "Patient",
        "identifier": [{"system": "urn:oid:1.2.250.1.999.1", "value": "ESSAI-0001"}],
        "name": [{"family": "Sansonnet", "given": ["Odile"]}],
        "birthDate": "1951-04-12",
        "gender": "female",
    }
    entries = [{"fullUrl": PATIENT, "resource": {**person, **(patient or {})}}]
    for number, one in enumerate(resources):
        url = f"urn:uuid:{uuid5(CENTRE, str(number))}"
        entries.append({"fullUrl": url, "resource": deepcopy(one)})
    return {"resourceType": "Bundle", "type": "collection", "entry": entries}


def raw(bundle: Resource) -> bytes:
    """A bundle as bytes."""
    return json.dumps(bundle, ensure_ascii=False).encode()


def accepted(content: bytes, *, keep_going: bool = False) -> PatientPlan:
    """The plan of the one patient of a file that is not refused."""
    planned = plan(content, keep_going=keep_going)
    assert [one for one in planned.patients], planned.rejected
    return planned.patients[0]


def imported(*contents: bytes) -> list[Event]:
    """The events of one record after these files, as the domain decides them."""
    events: list[Event] = []
    for content in contents:
        planned = accepted(content)
        context = CommandContext(
            author=Author(role="ehr", name="Import FHIR"),
            now=NOW,
            key=planned.document.sha256.encode(),
            actor=b"import",
            centre=CENTRE,
            source=Source(
                channel="fhir",
                system=planned.system,
                original_sha256=planned.document.sha256,
            ),
        )
        command = ImportRecord(
            registration=planned.registration,
            entries=planned.entries,
            document=planned.document,
        )
        stream = events[0].originator_id if events else IDS.stream(b"import", context.key)
        events += propose(
            IDS,
            fold("patient", None, events),
            command,
            context,
            stream,
            originals=[planned.document.sha256],
        )
    return events


def summary_of(events: list[Event]) -> PatientSummary:
    """What the record says after ``events``."""
    return fold_all(None, events, events[0].originator_id)


def lists_of(document: bytes) -> list[bytes]:
    """The three lists of a summary: each problem, allergy and treatment with all it says.

    Ids, times of recording here and references are left out: they are the record's own.
    """
    found = []
    for entry in exact_json.parse(document)["entry"]:
        resource = dict(entry["resource"])
        kind = resource["resourceType"]
        if kind in ("Condition", "AllergyIntolerance") or kind.startswith("Medication"):
            for own in ("id", "meta", "subject", "patient"):
                resource.pop(own, None)
            found.append(exact_json.dump(resource))
    return sorted(found)
