"""Boards as JSON: open items, handovers and who answered them, what the rotation lacks."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import msgspec
from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from releve.api.boards import (
    coordination_of,
    handover_written,
    handovers_of,
    is_clinical,
    open_items_board,
    written_about_by,
)
from releve.api.disclosure import read_clinical
from releve.api.gate import Granted, Guard, may, services_of
from releve.api.problems import NOT_AVAILABLE, RequestRefused
from releve.api.routes.bodies import AtPosition, clinical_json
from releve.domain.aggregates.health_centre import NO_DOCTOR
from releve.projections import wording
from releve.projections.handover_board import to_json
from releve.projections.open_items import BoardLine, is_offered_to
from releve.projections.patient_summary import PatientSummary
from releve.projections.timeline import item_json, line_json
from releve.security.policy import Action

router = APIRouter(prefix="/api/v1", dependencies=[AtPosition])

Items = Annotated[Granted, Depends(Guard(Action.READ_ITEM_LABELS, "centre"))]
Own = Annotated[Granted, Depends(Guard(Action.READ_OWN_PATIENTS, "stint"))]
Handovers = Annotated[Granted, Depends(Guard(Action.READ_HANDOVERS, "centre"))]
Coordination = Annotated[Granted, Depends(Guard(Action.READ_COORDINATION, "centre"))]


@router.get("/centres/{centre}/open-items", response_model=None)
def open_items(request: Request, granted: Items) -> Response:
    """Everything that must still happen in a centre, in the board's order.

    The office is given the nature, the deadline and who answers; words to clinicians alone.
    """
    services, principal = services_of(request), granted.principal
    clinical = may(services, granted, Action.READ_CLINICAL)

    def produce() -> tuple[dict[str, Any], int]:
        lines, position = open_items_board(services, granted.centre)
        summaries = services.records.summaries(granted.centre)[1]
        return {
            "centre": str(granted.centre),
            "position": position,
            "number": len(lines),
            "late": sum(line.overdue for line in lines),
            "items": [
                {
                    **_label(line, summaries[line.patient]),
                    **(_words(line, principal.person, principal.role) if clinical else {}),
                }
                for line in lines
            ],
        }, position

    disclosed = read_clinical(
        services, granted, produce, what="api.open-items-board",
        patients=lambda content: list(dict.fromkeys(
            UUID(item["patient"]) for item in content["items"]
        )),
    )  # fmt: skip
    return clinical_json(disclosed)


def _label(line: BoardLine, summary: PatientSummary) -> dict[str, Any]:
    """One item without its words; only an administrative one says what it is."""
    item = line.item
    return {
        "item": str(item.line.entry_id),
        "patient": str(line.patient),
        "name": line.name,
        "birth_date": summary.identity.birth_date if summary.identity else None,
        "kind": item.kind,
        "nature": wording.ITEM_KIND[item.kind],
        "text": item.line.detail["text"] if item.kind == "admin" else None,
        "due": item.due,
        "no_deadline": item.due is None,
        "overdue_days": line.overdue_days,
        "answerable": line.owner,
    }


def _words(line: BoardLine, person: UUID, role: str) -> dict[str, Any]:
    """What a clinician is told besides: the words, how ill the patient is, where it stands."""
    return {
        **item_json(line.item),
        "severity": line.severity,
        "age_days": line.age_days,
        "answerable_person": line.answerable.name if line.answerable else None,
        "offered_to": line.offered_to or None,
        "offered_to_me": is_offered_to(line.item, person, role),
        "last_step": line_json(line.last_step),
        "next_step": line.next_step,
    }


@router.get("/stints/{stint}/patients", response_model=None)
def own_patients(request: Request, granted: Own) -> Response:
    """Everybody a stint wrote about, the most ill first, with or without a handover."""
    services = services_of(request)
    line = services.directory.load().stint(granted.stint)
    if line is None:
        raise RequestRefused(NOT_AVAILABLE)

    def produce() -> tuple[dict[str, Any], int]:
        seen, position = written_about_by(services, line)
        return {
            "stint": str(line.stint),
            "position": position,
            "closed_at": line.handover.at.isoformat() if line.handover else None,
            "patients": [_seen(each, line.stint) for each in seen],
        }, position

    disclosed = read_clinical(
        services, granted, produce, what="api.own-patients",
        patients=lambda content: [UUID(each["patient"]) for each in content["patients"]],
    )  # fmt: skip
    return clinical_json(disclosed)


def _seen(summary: PatientSummary, stint: UUID) -> dict[str, Any]:
    spoken, severity = summary.one_liner(), summary.severity
    return {
        "patient": str(summary.patient),
        "name": summary.full_name(),
        "birth_date": summary.identity.birth_date if summary.identity else None,
        "severity": severity.detail["severity"] if severity else None,
        "allergies": summary.allergy_state,
        "one_liner": spoken.text if spoken else None,
        "open_items": len(summary.open_items),
        "handover_written": handover_written(summary, stint),
    }


@router.get("/centres/{centre}/handovers", response_model=None)
def handovers(request: Request, granted: Handovers) -> Response:
    """Batches of handovers, stint to stint: states and ages; severities and words to clinicians."""
    services = services_of(request)
    clinical = is_clinical(granted)

    def produce() -> tuple[dict[str, Any], int]:
        found = handovers_of(services, granted.centre)
        content = to_json(found.batches, services.clock(), clinical=clinical)
        named = found.patients(clinical=clinical)
        return {"named": named, "position": found.position, **content}, found.position

    disclosed = read_clinical(
        services, granted, produce, what="api.handovers",
        patients=lambda content: content["named"],
    )  # fmt: skip
    return clinical_json(disclosed.mapped(_without_names))


@router.get("/centres/{centre}/coordination", response_model=None)
def coordination(request: Request, granted: Coordination) -> Response:
    """The coordinator's board: names, dates, states and counts, never clinical text."""
    services = services_of(request)

    def produce() -> tuple[dict[str, Any], int]:
        now = services.clock()
        found = coordination_of(services, granted.centre)
        absent = services.directory.load().without_doctor(granted.centre, now)
        return {
            "named": found.patients(),
            "centre": granted.centre,
            "position": found.position,
            **msgspec.to_builtins(found.board),
            "handovers": to_json(found.handovers.batches, now, clinical=False),
            "no_doctor": NO_DOCTOR if absent else None,
            "answerable": msgspec.to_builtins(absent) if absent else None,
        }, found.position

    disclosed = read_clinical(
        services, granted, produce, what="api.coordination",
        patients=lambda content: content["named"],
    )  # fmt: skip
    return clinical_json(disclosed.mapped(_without_names))


def _without_names(content: dict[str, Any]) -> dict[str, Any]:
    """The answer without the list that its access entry was made from."""
    return {name: value for name, value in content.items() if name != "named"}
