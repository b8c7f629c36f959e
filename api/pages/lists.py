"""Lists of their own: one patient's treatments, and everything open in the centre."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from releve.api.disclosure import read_clinical
from releve.api.gate import Granted, Guard, allowed, may, services_of
from releve.api.pages import forms, record_views, views
from releve.api.pages.about_patient import Opened, patient_page
from releve.api.pages.forms import Form
from releve.api.pages.patient import acts_of
from releve.api.pages.shell import clinical_page, moment
from releve.projections import wording
from releve.projections.dates import Moment, french
from releve.projections.open_items import BoardLine
from releve.projections.patient_summary import PatientSummary
from releve.projections.records import open_items_of
from releve.security.policy import Action

router = APIRouter(include_in_schema=False)
SHOWN = 60
"""Open items that the board shows at first."""

_OF_TREATMENTS = (
    ("changer-traitement", "Changer"), ("arreter-traitement", "Arrêter"),
    ("second-avis", "Second avis"),
)  # fmt: skip

OfPatient = Annotated[Granted, Depends(Guard(Action.READ_CLINICAL, "patient"))]
OfCentre = Annotated[Granted, Depends(Guard(Action.READ_CLINICAL, "centre"))]


@router.get("/patients/{patient}/traitements")
def treatments(request: Request, granted: OfPatient) -> Response:
    """Treatments that run, how they changed, and those that ended."""

    def content(record: Opened) -> dict[str, Any]:
        boxes = views.boxes(record.summary, record.at)
        actions = allowed(services_of(request), granted, {Action.WRITE_CLINICAL})
        return {
            "box": next(each for each in boxes if each["name"] == "medications"),
            "reconciliation": record_views.told(record.summary.reconciliation),
            "can": (can := acts_of(granted.principal.role, actions)),
            "line_acts": {
                "patient.medication-started": [each for each in _OF_TREATMENTS if each[0] in can]
            },
        }

    return patient_page(request, granted, "treatments.html", content)


@router.get("/points")
def items(request: Request, granted: OfCentre, tout: int = 0) -> Response:
    """Everything that must still happen in the centre, the reader's own offers first."""
    services, principal = services_of(request), granted.principal
    at = moment(request, principal)

    def produce() -> tuple[dict[str, Any], int]:
        records = services.records
        position, summaries = records.summaries(granted.centre)
        lines = open_items_of(
            services.pool, services.data_keys, records, services.directory.load(),
            granted.centre, at.now,
        )  # fmt: skip
        wanted = {Action.OPEN_ITEM, Action.CLOSE_ITEM}
        twice = records.shared_names(granted.centre)
        shown = [
            {
                **_row(line, summaries[line.patient], principal.person, principal.role, at),
                "who": views.who_on_a_board(summaries[line.patient], at, twice, clinical=True),
            }
            for line in lines
        ]
        others = [row for row in shown if not row["offered_to_me"]]
        return {
            "offered": [row for row in shown if row["offered_to_me"]],
            "rows": others if tout else others[:SHOWN],
            "rest": 0 if tout else max(0, len(others) - SHOWN),
            "number": len(lines),
            "late": sum(line.overdue for line in lines),
            "can": acts_of(principal.role, allowed(services, granted, wanted)),
            "may_close": may(services, granted, Action.CLOSE_ITEM),
            "form": Form(principal.session.form_token(), forms.new_key(), position),
        }, position

    disclosed = read_clinical(
        services, granted, produce, what="page.items",
        patients=lambda content: list(dict.fromkeys(
            UUID(row["id"]) for row in (*content["offered"], *content["rows"])
        )),
    )  # fmt: skip
    return clinical_page(request, principal, "items.html", disclosed, here="points")


def _row(
    line: BoardLine, summary: PatientSummary, person: UUID, role: str, at: Moment
) -> dict[str, Any]:
    item = line.item
    return {
        **views.traits(summary, at),
        **record_views.item_more(item, person, role),
        "entry_id": str(item.line.entry_id),
        "text": str(item.line.detail["text"]),
        "kind": wording.ITEM_KIND[item.kind],
        "severity": line.severity,
        "due": french(item.due, at.zone) if item.due else "",
        "late": _days(line.overdue_days),
        "age": _days(line.age_days) or "aujourd’hui",
        "harm": item.harm_if_late,
        "owner": line.owner,
        "offered_name": line.offered_to,
        "next_step": line.next_step,
        "step_label": "fait quand"
        if line.next_step == item.line.detail.get("done_when")
        else "à suivre",
    }


def _days(number: int) -> str:
    return f"{number} jour{'s' if number > 1 else ''}" if number else ""
