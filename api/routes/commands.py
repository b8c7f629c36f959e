"""Writing: one route for each command, in the topic's words, from the registry of commands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from releve.api.acting import authorise_command, perform, public_commands
from releve.api.arrived import arrived_beside
from releve.api.gate import Granted, SignedIn, identifier, services_of
from releve.api.problems import NOT_AVAILABLE, RequestRefused
from releve.api.routes.bodies import JsonBody, as_json, idempotency_key, if_match, seen_position
from releve.domain.commands import Command, CommandSpec, Target

router = APIRouter(prefix="/api/v1")


class CommandGuard:
    """As :class:`~releve.api.gate.Guard`, for a command: the policy also sees when it happened."""

    def __init__(self, spec: CommandSpec) -> None:
        self.spec = spec

    def __call__(
        self, request: Request, principal: SignedIn, body: JsonBody
    ) -> tuple[Granted, Command]:
        """Give the grant and the command that the body describes, or refuse."""
        command = self.spec.parse(body)
        target: UUID | None = None
        if "target" in request.path_params:
            target = identifier(request.path_params["target"])
            if target is None:
                raise RequestRefused(NOT_AVAILABLE)
        return authorise_command(services_of(request), principal, command, target), command


BASES: Mapping[Target, str] = {
    "patient": "/patients",
    "stint": "/stints",
    "centre": "/centres",
    "practitioner": "/practitioners",
    "inbox": "/inbox",
}
"""Where the commands of each kind of target stand; rules are put in force by the product."""


def _route(spec: CommandSpec, base: str) -> Callable[..., Response]:
    guard = CommandGuard(spec)

    def write(request: Request, allowed: tuple[Granted, Command]) -> Response:
        granted, command = allowed
        done = perform(
            services_of(request),
            granted,
            command,
            client_key=idempotency_key(request),
            target=identifier(request.path_params.get("target")),
            expected_version=if_match(request),
            seen_position=seen_position(request),
        )
        outcome = done.outcome
        content: dict[str, Any] = {
            spec.target: outcome.stream,
            "event_ids": list(outcome.event_ids),
            "version": outcome.version,
            "position": done.position,
        }
        if granted.kind == "patient":
            beside = arrived_beside(services_of(request), granted, outcome, seen_position(request))
            content |= {"arrived": beside} if beside else {}
        headers = {
            "Cache-Control": "no-store",
            "ETag": f'"{outcome.version}"',
            "Location": f"/api/v1{base}/{outcome.stream}",
        }
        if done.position is not None:
            headers["Releve-Position"] = str(done.position)
        status = 200 if outcome.replayed or not outcome.event_ids else 201
        return Response(as_json(content), status, headers, media_type="application/json")

    # The guard is this route's own: a name in an annotation could not reach it.
    write.__annotations__["allowed"] = Annotated[tuple[Granted, Command], Depends(guard)]
    write.__name__ = spec.name.replace("-", "_")
    write.__doc__ = spec.summary
    return write


def _add(spec: CommandSpec, base: str) -> None:
    router.add_api_route(
        base if spec.creates else f"{base}/{{target}}/{spec.name}",
        _route(spec, base),
        methods=["POST"],
        name=spec.name,
        summary=spec.summary,
        status_code=201,
        response_model=None,
    )


for _target, _base in BASES.items():
    for _spec in public_commands(_target):
        _add(_spec, _base)
