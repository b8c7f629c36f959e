"""Writing: one route for each command, in the topic's words, from the registry of commands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from releve.api.acting import authorise_command, perform, public_commands
from releve.api.answers import DESK, told
from releve.api.arrived import arrived_beside
from releve.api.gate import Granted, SignedIn, identifier, services_of
from releve.api.homonyms import homonyms
from releve.api.problems import NOT_AVAILABLE, Problem, RequestRefused
from releve.api.routes.bodies import JsonBody, as_json, idempotency_key, if_match, seen_position
from releve.domain.aggregates.patient.handover import left_by
from releve.domain.commands import Command, CommandSpec, MarkEntryInError, RegisterPatient, Target

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

_NO_VERSION = Problem(
    412,
    "version-not-shown",
    "Rien n'est enregistré.",
    "Le secrétariat ne lit pas le dossier : aucune version ne lui en est montrée.",
    "Envoyer sans If-Match ; Releve-Seen-Position dit ce que l'écran montrait.",
)


def _route(spec: CommandSpec, base: str) -> Callable[..., Response]:
    guard = CommandGuard(spec)

    def write(request: Request, allowed: tuple[Granted, Command]) -> Response:
        granted, command = allowed
        if (
            spec.target == "patient"
            and granted.principal.role in DESK
            and if_match(request) is not None
        ):
            raise RequestRefused(_NO_VERSION)  # a guess that holds would count what a rule did
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
        content = told(granted.principal.role, spec.target, done)
        if granted.kind == "patient":
            beside = arrived_beside(services_of(request), granted, outcome, seen_position(request))
            content |= {"arrived": beside} if beside else {}
        if isinstance(command, MarkEntryInError) and granted.principal.role not in DESK:
            record = services_of(request).continuity.patient(outcome.stream)
            left = [
                {"entry": event.event_id, "topic": event.payload.topic}
                for event in left_by(record, command.entry)
            ]
            content |= {"left": left} if left else {}
        if isinstance(command, RegisterPatient):
            same = homonyms(services_of(request), granted.centre, command, but=outcome.stream)
            content |= {"homonyms": same} if same else {}
        headers = {
            "Cache-Control": "no-store",
            "Location": f"/api/v1{base}/{outcome.stream}",
        }
        if content["version"] is not None:
            headers["ETag"] = f'"{content["version"]}"'
        if content["position"] is not None:
            headers["Releve-Position"] = str(content["position"])
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
