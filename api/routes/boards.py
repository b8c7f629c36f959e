"""The boards of a centre as JSON: handovers and who answered them, and what the rotation lacks."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from releve.api.boards import coordination_of, handovers_of, is_clinical
from releve.api.disclosure import read_clinical
from releve.api.gate import Granted, Guard, services_of
from releve.api.routes.bodies import AtPosition, clinical_json
from releve.domain.aggregates.health_centre import NO_DOCTOR
from releve.projections.handover_board import to_json
from releve.security.policy import Action

router = APIRouter(prefix="/api/v1", dependencies=[AtPosition])

Handovers = Annotated[Granted, Depends(Guard(Action.READ_HANDOVERS, "centre"))]
Coordination = Annotated[Granted, Depends(Guard(Action.READ_COORDINATION, "centre"))]


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
