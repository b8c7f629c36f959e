"""Writing: one route for each command, in the topic's words, from the registry of commands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from releve.api.acting import action_for, perform, public_commands
from releve.api.gate import Granted, SignedIn, authorise, identifier, instant, services_of
from releve.api.routes.bodies import JsonBody, as_json, idempotency_key, if_match, seen_position
from releve.domain.commands import (
    AmendNote,
    CloseItem,
    Command,
    CommandSpec,
    MarkEntryInError,
)

router = APIRouter(prefix="/api/v1")
Target = Literal["patient", "stint"]


class CommandGuard:
    """As :class:`~releve.api.gate.Guard`, for a command: the policy also sees when it happened."""

    def __init__(self, spec: CommandSpec) -> None:
        self.spec = spec

    def __call__(
        self, request: Request, principal: SignedIn, body: JsonBody
    ) -> tuple[Granted, Command]:
        """Give the grant and the command that the body describes, or refuse."""
        spec = self.spec
        command = spec.parse(body)
        creates = spec.creates and "target" not in request.path_params
        granted = authorise(
            services_of(request),
            principal,
            action_for(spec.name, principal.role),
            "centre" if creates else spec.target,  # type: ignore[arg-type]  # patient or stint here
            None if creates else identifier(request.path_params["target"]),
            occurred_at=instant(command.occurred_at),
            entry=_acted_on(command),
        )
        return granted, command


def _acted_on(command: Command) -> UUID | None:
    """The entry that a command changes, where the policy may ask whose it is."""
    match command:
        case AmendNote(note=entry) | MarkEntryInError(entry=entry) | CloseItem(item=entry):
            return entry
        case _:
            return None


def _route(spec: CommandSpec) -> Callable[..., Response]:
    guard = CommandGuard(spec)

    def write(request: Request, allowed: tuple[Granted, Command]) -> Response:
        granted, command = allowed
        creates = granted.kind == "centre"
        done = perform(
            services_of(request),
            granted,
            command,
            client_key=idempotency_key(request),
            target=None if creates else granted.target,
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
        where = "patients" if spec.target == "patient" else "stints"
        headers = {
            "Cache-Control": "no-store",
            "ETag": f'"{outcome.version}"',
            "Location": f"/api/v1/{where}/{outcome.stream}",
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


def _add(spec: CommandSpec) -> None:
    base = "/patients" if spec.target == "patient" else "/stints"
    path = base if spec.creates else f"{base}/{{target}}/{spec.name}"
    router.add_api_route(
        path,
        _route(spec),
        methods=["POST"],
        name=spec.name,
        summary=spec.summary,
        status_code=201,
        response_model=None,
    )


for _target in ("patient", "stint"):
    for _spec in public_commands(_target):
        _add(_spec)
