"""A centre for its team: people, places, hours, who is in post, and who answers when nobody is."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from releve.api.gate import Granted, Guard, services_of
from releve.api.problems import NOT_AVAILABLE, RequestRefused
from releve.api.routes.bodies import AtPosition, as_json
from releve.domain.aggregates.health_centre import NO_DOCTOR
from releve.projections.rhythm import rhythm
from releve.security.policy import Action

router = APIRouter(prefix="/api/v1", dependencies=[AtPosition])

Reading = Annotated[Granted, Depends(Guard(Action.READ_AGENDA, "centre"))]


@router.get("/centres/{centre}", response_model=None)
def centre(request: Request, granted: Reading) -> Response:
    """What is known of a centre, who is in post now, and whom to call when nobody is.

    No patient stands in it, so that no access entry is owed.
    """
    services = services_of(request)
    position = services.feed.position()
    now = services.clock()
    directory = services.directory.load()
    here = directory.centre(granted.target) if granted.target else None
    if here is None:
        raise RequestRefused(NOT_AVAILABLE)
    in_post = directory.in_post(here.centre, now)
    gap = here.gap_at(now)
    content = {
        **msgspec.to_builtins(here),
        "open": here.open_at(now),
        "in_post": [
            {
                "stint": line.stint,
                "practitioner": line.practitioner,
                "name": line.practitioner_name,
                "until": line.over_at.isoformat(),
                "pattern": msgspec.to_builtins(line.pattern),
                "rhythm": rhythm(line.pattern) or None,
                "watch_taken": line.watch is not None,
            }
            for line in in_post
        ],
        "no_doctor": None if in_post else NO_DOCTOR,
        "answerable": None if in_post else msgspec.to_builtins(here.referent),
        "gap": gap.reason if gap else None,
        "position": position,
    }
    headers = {"Cache-Control": "no-store", "Releve-Position": str(position)}
    return Response(as_json(content), 200, headers, media_type="application/json")
