"""What the FHIR door answers besides the summary: one Patient, and errors as OperationOutcome."""

from __future__ import annotations

from typing import Final, Literal

from releve.fhir import exact_json, people
from releve.fhir.summary import custodian_of
from releve.projections.directory import Directory
from releve.projections.patient_summary import PatientSummary

MEDIA_TYPE: Final = "application/fhir+json; charset=utf-8"
"""Content type of every answer under ``/fhir``."""

IssueCode = Literal[
    "invalid", "structure", "required", "value", "not-found", "deleted", "forbidden", "login",
    "conflict", "too-costly", "throttled", "not-supported", "transient", "exception", "processing",
    "informational",
]  # fmt: skip


def patient_resource(summary: PatientSummary, directory: Directory) -> bytes:
    """The Patient of a record; ``meta.versionId`` is the stream version that it shows."""
    centre = custodian_of(summary, directory)
    return exact_json.dump(people.patient(summary, centre, None))


def operation_outcome(
    code: IssueCode,
    text: str,
    *,
    severity: Literal["fatal", "error", "warning", "information"] = "error",
    expression: str | None = None,
) -> bytes:
    """An OperationOutcome with one issue.

    ``text`` is for the reader and ``expression`` a FHIRPath; neither may repeat a value that was
    received.
    """
    issue: exact_json.JsonObject = {"severity": severity, "code": code, "details": {"text": text}}
    if expression is not None:
        issue["expression"] = [expression]
    return exact_json.dump({"resourceType": "OperationOutcome", "issue": [issue]})
