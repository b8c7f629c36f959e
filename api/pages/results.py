"""Results: one patient's, and the centre's board, from what was ordered to a patient who knows."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from releve.api.disclosure import read_clinical
from releve.api.document_words import short_line
from releve.api.gate import Granted, Guard, allowed, services_of
from releve.api.pages import result_views, views
from releve.api.pages.about_patient import Opened, patient_page
from releve.api.pages.acts import ACTS
from releve.api.pages.patient import acts_of
from releve.api.pages.shell import clinical_page, moment
from releve.api.reading import results_board_of
from releve.projections import wording
from releve.projections.dates import Moment, french, zone_of
from releve.projections.results_board import GROUPS, Group, ResultRow
from releve.security.policy import Action

router = APIRouter(include_in_schema=False)

OfPatient = Annotated[Granted, Depends(Guard(Action.READ_CLINICAL, "patient"))]
OfCentre = Annotated[Granted, Depends(Guard(Action.READ_CLINICAL, "centre"))]
_ACTIONS = frozenset({Action.REVIEW_RESULT, Action.RECORD_CONTACT, Action.WRITE_CLINICAL})
SHOWN = 60
"""Results of one group that the board shows at first."""
_NEXT: dict[Group, tuple[str, str]] = {
    "to-review": ("relire", "Lire"), "to-inform": ("prevenu", "Noter qu’il est prévenu"),
}  # fmt: skip


@router.get("/patients/{patient}/resultats")
def of_patient(request: Request, granted: OfPatient) -> Response:
    """One patient's orders and results: what waits first, versions side by side."""

    def content(record: Opened) -> dict[str, Any]:
        can = acts_of(granted.principal.role, allowed(services_of(request), granted, _ACTIONS))
        found = result_views.results_of_patient(record.summary, record.at)
        for each in found:
            each["acts"] = [(act, verb) for act, verb in each["acts"] if act in can]
        return {
            "waiting": [each for each in found if each["state"] not in ("done", "cancelled")],
            "over": [each for each in found if each["state"] in ("done", "cancelled")],
            "can": can,
        }

    return patient_page(request, granted, "results.html", content)


@router.get("/resultats")
def of_centre(request: Request, granted: OfCentre, tout: int = 0) -> Response:
    """Every result of the centre that is not done, by what has to happen next."""
    services, principal = services_of(request), granted.principal
    at = moment(request, principal)

    def produce() -> tuple[dict[str, Any], int]:
        found, position = results_board_of(services, granted, at.now)
        can = acts_of(principal.role, allowed(services, granted, _ACTIONS))
        records = services.records
        summaries = records.summaries(granted.centre)[1]
        twice = records.shared_names(granted.centre)

        def who(patient: UUID | None) -> dict[str, Any] | None:
            summary = summaries.get(patient) if patient else None
            return views.who_on_a_board(summary, at, twice, clinical=True) if summary else None

        most = None if tout else SHOWN
        return {
            "groups": [
                {
                    "name": group,
                    "title": GROUPS[group],
                    "number": len(rows),
                    "rest": 0 if tout else max(0, len(rows) - SHOWN),
                    "rows": [
                        {**_row(row, can, at), "who": who(row.patient)} for row in rows[:most]
                    ],
                }
                for group, rows in found.items()
            ],
            "critical": sum(
                row.critical and bool(row.alarms or row.document)
                for rows in found.values()
                for row in rows
            ),
        }, position

    disclosed = read_clinical(
        services, granted, produce, what="page.results-board",
        patients=lambda content: list(dict.fromkeys(
            UUID(row["patient"]) for group in content["groups"] for row in group["rows"]
            if row["patient"]
        )),
    )  # fmt: skip
    return clinical_page(request, principal, "results_board.html", disclosed, here="resultats")


def _row(row: ResultRow, can: frozenset[str], at: Moment) -> dict[str, Any]:
    result = row.result
    act, verb = _NEXT.get(row.group, ("", ""))
    expected = french(row.expected_by, at.zone) if row.expected_by else ""
    return {
        "patient": str(row.patient) if row.patient else "",
        "name": row.name,
        "severity": row.severity,
        "title": row.title,
        "entry_id": str(result.entry_id) if result is not None else "",
        "document": str(row.document) if row.document else "",
        "since": views.day_and_hour(
            row.since.astimezone(zone_of(at.zone)).isoformat(), at.zone
        ),
        "values": [
            short_line(wording.result_line_text(each, at.zone), wording.concept_text(each["code"]))
            for each in result.lines[:4]
        ]
        if result is not None and row.group != "expected" else [],
        "critical": row.critical,
        "not_comparable": row.not_comparable,
        "alarms": [alarm.text for alarm in row.alarms],
        "late": row.late,
        "expected": expected,
        "owner": row.owner,
        "ordered_by": row.ordered_by,
        "previous_reader": row.previous_reader,
        "announced": row.announced,
        "attempts": row.attempts,
        "by_hand": row.by_hand,
        "item": str(row.item.line.entry_id) if row.item is not None else "",
        "to_say": result.to_say if result is not None and row.group == "to-inform" else "",
        "act": act if act in can and act in ACTS else "",
        "verb": verb,
        "call": row.group == "to-inform" and "appel" in can,
    }  # fmt: skip
