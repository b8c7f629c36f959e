"""The leaving doctor's list: whom she saw, how ill they are, which handovers are still to write."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from releve.api.disclosure import read_clinical
from releve.api.gate import Granted, Guard, may, services_of
from releve.api.pages import views
from releve.api.pages.shell import clinical_page, moment, see
from releve.api.problems import refuse
from releve.api.reading import patient_at
from releve.projections.patient_summary import PatientSummary
from releve.projections.records import plain_name
from releve.security.policy import Action

router = APIRouter(include_in_schema=False)
_RANK = {"unstable": 0, "watcher": 1, None: 2, "stable": 3}

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
        position, everybody = services.records.summaries(line.centre)
        began = services.reader.known_at(line.starts_at)
        seen = [
            each
            for each in everybody.values()
            if each.position > began
            and wrote_about(patient_at(services, each.patient).summary, line.stint)
        ]
        seen.sort(key=lambda each: (_RANK[views.severity_of(each)], plain_name(
            each.full_name())))  # fmt: skip
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


def wrote_about(summary: PatientSummary, stint: UUID) -> bool:
    """Say whether a stint wrote something on a record, as far as its whole summary tells."""
    lines = [
        *summary.lines,
        *summary.absences,
        *summary.encounters,
        *summary.severities,
        *summary.contingencies,
        *(item.line for item in summary.items),
        *(note.line for note in summary.notes),
        *(amendment for note in summary.notes for amendment in note.amendments),
        *(each.line for each in summary.handovers),
        *(answer for each in summary.handovers for answer in each.read_backs),
    ]
    return any(line.stint == stint for line in lines)


def _row(summary: PatientSummary, stint: UUID, at: views.Moment) -> dict[str, Any]:
    spoken = summary.one_liner()
    written = any(each.line.stint == stint and not each.line.wrong for each in summary.handovers)
    return {
        **views.traits(summary, at),
        "severity": views.severity_of(summary),
        "allergy": views.allergy(summary, at),
        "one_liner": spoken.text if spoken else "",
        "open": len(summary.open_items),
        "written": written,
    }
