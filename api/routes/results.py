"""Results and questions as JSON: of a patient, of a centre, of whoever asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from releve.api.asked import Asked, asked_by, asked_of
from releve.api.disclosure import Disclosed, read_clinical
from releve.api.gate import Granted, Guard, Principal, authorise, services_of
from releve.api.problems import NOT_AVAILABLE, RequestRefused
from releve.api.reading import patient_at, results_board_of
from releve.api.routes.bodies import AtPosition, as_json, clinical_json
from releve.domain.commands.follow_up import AnswerQuestion
from releve.projections.dates import Moment
from releve.projections.patient_summary import Line, PatientSummary, Question, Result
from releve.projections.results_board import ResultRow
from releve.projections.timeline import line_json
from releve.security.policy import Action

if TYPE_CHECKING:
    from releve.api.services import Services

router = APIRouter(prefix="/api/v1", dependencies=[AtPosition])

OfPatient = Annotated[Granted, Depends(Guard(Action.READ_CLINICAL, "patient"))]
OfCentre = Annotated[Granted, Depends(Guard(Action.READ_CLINICAL, "centre"))]
Asking = Annotated[Granted, Depends(Guard(Action.USE_SERVICE))]


@router.get("/patients/{patient}/results", response_model=None)
def of_patient(request: Request, granted: OfPatient) -> Response:
    """Every order and result of a patient with its versions and what was done about it."""
    services = services_of(request)
    day = Moment(services.clock(), granted.principal.zone).day

    def produce() -> tuple[dict[str, Any], int]:
        summary, position = patient_at(services, granted.patient)
        return {
            "patient": str(granted.patient),
            "version": summary.version,
            "position": position,
            "results": [
                {**result_json(each), "state": each.state(day)} for each in summary.results
            ],
        }, position

    disclosed = read_clinical(
        services, granted, produce, what="api.results", patients=lambda _: (granted.patient,)
    )
    return clinical_json(disclosed, version=disclosed.content["version"])


@router.get("/centres/{centre}/results", response_model=None)
def of_centre(request: Request, granted: OfCentre) -> Response:
    """A centre's results that are not done, by group in the order in which they hurt.

    Documents that nobody matched are there for whoever may read the inbox.
    """
    services = services_of(request)

    def produce() -> tuple[dict[str, Any], int]:
        found, position = results_board_of(services, granted, services.clock())
        return {
            "centre": str(granted.centre),
            "position": position,
            "groups": [
                {"group": group, "results": [_row(row) for row in rows]}
                for group, rows in found.items()
            ],
        }, position

    disclosed = read_clinical(
        services, granted, produce, what="api.results-board",
        patients=lambda content: list(dict.fromkeys(
            UUID(row["patient"]) for group in content["groups"] for row in group["results"]
            if row["patient"]
        )),
    )  # fmt: skip
    return clinical_json(disclosed)


@router.get("/questions", response_model=None)
def questions(request: Request, granted: Asking) -> Response:
    """Questions that wait for the reader's answer, and what became of those they asked (``mine``).

    The first are of every record where they may still answer; the others of the centre they read.
    """
    services, principal = services_of(request), granted.principal
    if principal.role not in AnswerQuestion.roles:
        raise RequestRefused(NOT_AVAILABLE)
    asked, position = asked_of(services, principal)
    mine = _mine(services, principal)
    if not asked and mine is None:
        headers = {"Cache-Control": "no-store", "Releve-Position": str(position)}
        empty = as_json({"questions": [], "mine": [], "position": position})
        return Response(empty, 200, headers, media_type="application/json")
    own = mine.content if mine else []
    if not asked and mine is not None:
        return clinical_json(
            mine.mapped(lambda own: {"questions": [], "mine": own, "position": mine.position})
        )
    disclosed = read_clinical(
        services, asked[0].granted,
        lambda: ({"questions": [_asked(each) for each in asked], "position": position}, position),
        what="api.questions",
        patients=lambda _: list(dict.fromkeys(each.summary.patient for each in asked)),
    )  # fmt: skip
    return clinical_json(disclosed.mapped(lambda found: {**found, "mine": own}))


def _mine(services: Services, principal: Principal) -> Disclosed[list[dict[str, Any]]] | None:
    """What the reader asked in the centre they look at; None where they may read it no more."""
    try:
        reading = authorise(services, principal, Action.READ_CLINICAL, "centre", principal.centre)
    except RequestRefused:
        return None

    def produce() -> tuple[list[dict[str, Any]], int]:
        found, position = asked_by(services, principal.person, principal.centre)
        return [_own(question, summary) for question, summary in found], position

    return read_clinical(
        services, reading, produce, what="api.questions",
        patients=lambda rows: list(dict.fromkeys(UUID(row["patient"]) for row in rows)),
    )  # fmt: skip


def _own(question: Question, summary: PatientSummary) -> dict[str, Any]:
    line = question.line
    return {
        "question": str(line.entry_id),
        "patient": str(summary.patient),
        "name": summary.full_name(),
        "to": line.detail["to_name"],
        "asked_at": line.recorded_at.isoformat(),
        "text": line.detail["text"],
        "due": line.detail.get("due"),
        "answer": _line(question.answer),
    }


def _asked(each: Asked) -> dict[str, Any]:
    line = each.question.line
    return {
        "question": str(line.entry_id),
        "patient": str(each.summary.patient),
        "name": each.summary.full_name(),
        "asked_by": line.author,
        "asked_at": line.recorded_at.isoformat(),
        "text": line.detail["text"],
        "due": line.detail.get("due"),
        "about": each.about.to_json() if each.about is not None else None,
    }


def result_json(result: Result) -> dict[str, Any]:
    """One result: its order, its versions oldest first, and what was done about it.

    A version that the one in force replaced is "superseded", however it stands otherwise.
    """
    replaced = {each.entry_id for each in result.earlier}
    return {
        "entry": str(result.entry_id),
        "title": result.title,
        "order": _line(result.order),
        "versions": [
            line_json(each) | ({"state": "superseded"} if each.entry_id in replaced else {})
            for each in result.versions
        ],
        "review": _line(result.review),
        "informed": _line(result.informed),
        "attempts": [line_json(each) for each in result.attempts if not each.wrong],
        "previous_review": _line(result.previous_review),
        "validation": result.validation,
    }


def _line(line: Line | None) -> dict[str, Any] | None:
    return line_json(line) if line is not None else None


def _row(row: ResultRow) -> dict[str, Any]:
    return {
        "title": row.title,
        "since": row.since.isoformat(),
        "critical": row.critical,
        "not_comparable": row.not_comparable,
        "alarms": [{"label": each.label, "text": each.text} for each in row.alarms],
        "late": row.late,
        "patient": str(row.patient) if row.patient else None,
        "name": row.name or None,
        "severity": row.severity,
        "result": result_json(row.result) if row.result is not None else None,
        "item": str(row.item.line.entry_id) if row.item is not None else None,
        "answerable": row.owner,
        "ordered_by": row.ordered_by,
        "expected_by": row.expected_by or None,
        "previous_reader": row.previous_reader or None,
        "announced": list(row.announced),
        "attempts": row.attempts,
        "document": str(row.document) if row.document else None,
        "without_order": row.by_hand,
    }
