"""The leaving doctor's list: whom she saw, how ill they are, which handovers are still to write."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from releve.api.boards import handover_written, written_about_by
from releve.api.disclosure import read_clinical
from releve.api.gate import Granted, Guard, may, services_of
from releve.api.pages import views
from releve.api.pages.shell import clinical_page, moment, see
from releve.api.problems import refuse
from releve.projections.dates import Moment
from releve.projections.patient_summary import PatientSummary
from releve.security.policy import Action

router = APIRouter(include_in_schema=False)

Mine = Annotated[Granted, Depends(Guard(Action.USE_SERVICE))]
Listing = Annotated[Granted, Depends(Guard(Action.READ_OWN_PATIENTS, "stint"))]


@router.get("/transmissions")
def mine(request: Request, granted: Mine) -> Response:
    """Go to the list of one's own stint."""
    stint = granted.principal.stint
    if stint is None:
        raise refuse(404)
    return see(f"/sejours/{stint}/transmissions")


@router.get("/sejours/{stint}/transmissions")
def handovers(request: Request, granted: Listing) -> Response:
    """Everybody this stint wrote about, the most ill first, with or without a handover."""
    services, principal = services_of(request), granted.principal
    line = services.directory.load().stint(granted.stint)
    if line is None:
        raise refuse(404)
    at = moment(request, principal)

    def produce() -> tuple[dict[str, Any], int]:
        seen, position = written_about_by(services, line)
        rows = [_row(each, line.stint, at) for each in seen]
        return {
            "doctor": line.practitioner_name,
            "close": f"/sejours/{line.stint}/cloture"
            if may(services, granted, Action.CLOSE_HANDOVER)
            else "",
            "board": may(services, granted, Action.READ_HANDOVERS),
            "closed": views.day_and_hour(line.handover.at.isoformat(), at.zone)
            if line.handover
            else "",
            "rows": rows,
            "written": sum(row["written"] for row in rows),
        }, position

    disclosed = read_clinical(
        services, granted, produce, what="page.handovers",
        patients=lambda content: [UUID(row["id"]) for row in content["rows"]],
    )  # fmt: skip
    return clinical_page(request, principal, "handovers.html", disclosed, here="transmissions")


def _row(summary: PatientSummary, stint: UUID, at: Moment) -> dict[str, Any]:
    spoken = summary.one_liner()
    return {
        **views.traits(summary, at),
        "severity": views.severity_of(summary),
        "allergy": views.allergy(summary, at),
        "one_liner": spoken.text if spoken else "",
        "open": len(summary.open_items),
        "written": handover_written(summary, stint),
    }
