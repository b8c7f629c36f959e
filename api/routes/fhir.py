"""The FHIR door: R4, read only, each read traced before a byte leaves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from releve.api.disclosure import read_clinical
from releve.api.gate import Granted, Guard, services_of
from releve.api.problems import refuse
from releve.api.reading import patient_at
from releve.api.routes.bodies import AtPosition
from releve.fhir.answers import patient_resource
from releve.fhir.capability import capability_statement
from releve.fhir.summary import summary_document
from releve.projections.directory import Directory
from releve.projections.patient_summary import PatientSummary
from releve.security.policy import Action

router = APIRouter(prefix="/fhir", include_in_schema=False)
JSON = "application/fhir+json"
_SERVED = {"", "*/*", "application/*", "application/json", JSON, "json", "text/json"}

Reading = Annotated[Granted, Depends(Guard(Action.READ_CLINICAL, "patient"))]


def _format(request: Request) -> None:
    """Refuse what is not JSON (FHIR R4 3.1.0.1.11): ``_format`` wins over ``Accept``."""
    asked = request.query_params.get("_format")
    accepted = [asked] if asked is not None else request.headers.get("accept", "").split(",")
    kinds = {each.partition(";")[0].strip().lower() for each in accepted}
    if asked is None and "text/html" in kinds:  # a browser looks: JSON is what there is
        return
    if kinds.isdisjoint(_SERVED):
        raise refuse(406)


@router.get("/metadata", dependencies=[Depends(_format)])
def metadata(request: Request) -> Response:
    """What this door can do (CapabilityStatement)."""
    base = str(request.base_url).rstrip("/") + "/fhir"
    return Response(capability_statement(base), media_type=JSON)


@router.get("/Patient/{patient}", dependencies=[Depends(_format), AtPosition])
def read_patient(request: Request, granted: Reading) -> Response:
    """One Patient resource."""
    return _served(request, granted, "fhir.Patient", patient_resource)


@router.get("/Patient/{patient}/$summary", dependencies=[Depends(_format), AtPosition])
def read_summary(request: Request, granted: Reading) -> Response:
    """The International Patient Summary of a patient, as a document Bundle."""
    return _served(request, granted, "fhir.summary", summary_document)


def _served(
    request: Request,
    granted: Granted,
    what: str,
    built: Callable[[PatientSummary, Directory], bytes],
) -> Response:
    services = services_of(request)
    patient = granted.patient

    def produce() -> tuple[tuple[bytes, int], int]:
        summary, position = patient_at(services, patient)
        return (built(summary, services.directory.load()), summary.version), position

    disclosed = read_clinical(services, granted, produce, what=what, patients=lambda _: (patient,))
    content, version = disclosed.content
    tag = f'W/"{version}"'
    headers = {
        "Cache-Control": "no-store",
        "ETag": tag,
        "Releve-Position": str(disclosed.position),
    }
    if request.headers.get("if-none-match") == tag:
        return Response(b"", 304, headers)
    return Response(content, 200, headers, media_type=JSON)
