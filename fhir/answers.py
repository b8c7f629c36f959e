"""What the FHIR door answers besides the summary: one Patient."""

from __future__ import annotations

from releve.fhir import exact_json, people
from releve.fhir.summary import custodian_of
from releve.projections.directory import Directory
from releve.projections.patient_summary import PatientSummary


def patient_resource(summary: PatientSummary, directory: Directory) -> bytes:
    """The Patient of a record; ``meta.versionId`` is the stream version that it shows."""
    centre = custodian_of(summary, directory)
    return exact_json.dump(people.patient(summary, centre, None))
