"""What probes, crawlers and tools ask: health, readiness, the API's description."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import structlog
from fastapi import APIRouter, Request
from starlette.responses import Response

from releve.api.acting import public_commands
from releve.api.gate import services_of
from releve.api.logs import where
from releve.api.problems import UNAVAILABLE
from releve.api.routes.bodies import as_json
from releve.api.routes.commands import BASES
from releve.api.setbacks import failing as failing_jobs
from releve.domain.commands import CommandSpec

if TYPE_CHECKING:
    from releve.api.services import Services

router = APIRouter(include_in_schema=False)
_log = structlog.get_logger("releve.ready")

LAG_LIMIT = 5000
"""Events that projections may be behind before the service says that it is not ready."""

SECURITY_TXT = """\
Contact: mailto:securite@releve.invalid
Expires: 2027-11-23T00:00:00Z
Preferred-Languages: fr, en
"""


@router.get("/healthz")
async def healthz() -> Response:
    """The process answers."""
    return Response(b'{"status":"ok"}', media_type="application/json")


@router.get("/readyz")
def readyz(request: Request) -> Response:
    """Ready or not, and which parts fail; anybody may ask, so nothing more is said."""
    failing = [name for name, works in _parts(services_of(request)) if not _working(works)]
    if failing:
        return replace(UNAVAILABLE, more={"failing": failing}).as_json()
    return Response(b'{"status":"ok"}', media_type="application/json")


def _parts(services: Services) -> tuple[tuple[str, Callable[[], bool]], ...]:
    """What the service needs, by name, and how to ask whether it works."""

    def database() -> bool:
        with services.pool.connection() as connection:
            return connection.execute("SELECT 1 FROM ledger.cell").fetchone() is not None

    def readings() -> bool:
        return services.feed.lag().events <= LAG_LIMIT and not services.feed.stand().outdated

    def jobs() -> bool:
        return not failing_jobs(services.database.state.path)

    return ("database", database), ("keys", lambda: bool(services.keys.health())), (
        "readings", readings,
    ), ("jobs", jobs)  # fmt: skip


def _working(works: Callable[[], bool]) -> bool:
    try:
        return works()
    except Exception as error:  # whatever is down, the answer is "not ready"
        _log.warning("not-ready", error=type(error).__name__, where=where(error))
        return False


@router.get("/robots.txt")
async def robots() -> Response:
    """Nothing here is for crawlers."""
    return Response("User-agent: *\nDisallow: /\n", media_type="text/plain")


@router.get("/.well-known/security.txt")
async def security_txt() -> Response:
    """Where to report a vulnerability (RFC 9116)."""
    return Response(SECURITY_TXT, media_type="text/plain; charset=utf-8")


@router.get("/api/openapi.json")
async def openapi(request: Request) -> Response:
    """The description of the JSON door (OpenAPI 3.1), schemas taken from the commands."""
    return Response(as_json(describe(str(request.base_url))), media_type="application/json")


def describe(base_url: str) -> dict[str, Any]:
    """The OpenAPI 3.1 document of the JSON door."""
    schemas: dict[str, Any] = {"Problem": _PROBLEM, "Written": _WRITTEN}
    paths: dict[str, Any] = {}
    for target, base in BASES.items():
        for spec in public_commands(target):
            path = "/api/v1" + (base if spec.creates else f"{base}/{{{target}}}/{spec.name}")
            paths.setdefault(path, {})["post"] = _operation(spec, target, schemas)
    for path, (summary, query) in _READINGS.items():
        parameters = [_in_path(part[1:-1]) for part in path.split("/") if part.startswith("{")]
        parameters += [{"name": name, "in": "query", "schema": {"type": kind}}
                       for name, kind in query.items()]  # fmt: skip
        parameters.append(_header("Releve-Min-Position", "integer", "Attendre cette position"))
        paths.setdefault(path, {})["get"] = {
            "operationId": _reading_id(path),
            "summary": summary,
            "parameters": parameters,
            "responses": {"200": {"description": "Contenu"}, "default": _ANY_PROBLEM},
        }
    paths["/api/v1/inbox"]["post"] = _DEPOSIT
    paths["/api/v1/stints/{stint}/issue-briefing"] = {"post": _ISSUE}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Relève", "version": "1", "description": "Continuité des soins."},
        "servers": [{"url": base_url.rstrip("/")}],
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def _reading_id(path: str) -> str:
    """What is read, after whose it is: ``patient_summary``, ``centre``, ``questions``."""
    parts = path.split("/")
    whose = [part[1:-1] for part in parts if part.startswith("{")]
    what = [] if parts[-1].startswith("{") else [parts[-1].replace("-", "_")]
    return "_".join([*whose, *what])


def _operation(spec: CommandSpec, target: str, schemas: dict[str, Any]) -> dict[str, Any]:
    schema = spec.schema()
    for name, definition in schema.pop("$defs", {}).items():
        schemas[name] = _moved(definition)
    parameters = [
        _header("Idempotency-Key", "string", "Une clé par demande : la renvoyer ne fait rien deux"
                " fois", required=True),
        _header("If-Match", "string", "Version du dossier telle que lue"),
        _header("Releve-Seen-Position", "integer", "Position que montrait l'écran"),
    ]  # fmt: skip
    if not spec.creates:
        parameters.insert(0, _in_path(target))
    return {
        "operationId": spec.name.replace("-", "_"),
        "summary": spec.summary,
        "parameters": parameters,
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": _moved(schema), "example": dict(spec.example)}
            },
        },
        "responses": {
            "201": {
                "description": "Écrit, durable",
                "content": {"application/json": {"schema": {"$ref": _SCHEMA + "Written"}}},
            },
            "200": {"description": "Déjà écrit par la même demande"},
            "default": _ANY_PROBLEM,
        },
    }


_SCHEMA = "#/components/schemas/"


def _moved(found: Any) -> Any:
    """The same schema with its references pointing into the document's components."""
    if isinstance(found, dict):
        return {
            name: value.replace("#/$defs/", _SCHEMA)
            if name == "$ref" and isinstance(value, str)
            else _moved(value)
            for name, value in found.items()
        }
    return [_moved(each) for each in found] if isinstance(found, list) else found


def _in_path(name: str) -> dict[str, Any]:
    schema = {"type": "string", "format": "uuid"}
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _header(name: str, kind: str, description: str, *, required: bool = False) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": required, "schema": {"type": kind},
            "description": description}  # fmt: skip


_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "code", "what", "why", "do"],
    "properties": {
        "type": {"type": "string"}, "title": {"type": "string"}, "status": {"type": "integer"},
        "detail": {"type": "string"}, "code": {"type": "string"}, "what": {"type": "string"},
        "why": {"type": "string"}, "do": {"type": "string"},
        "errors": {"type": "array", "items": {"type": "object", "properties": {
            "loc": {"type": "string"}, "type": {"type": "string"}}}},
    },
}  # fmt: skip
_ARRIVED = {
    "type": "array",
    "description": "Ce que d'autres ont écrit depuis l'état lu, selon le droit de lecture",
    "items": {"type": "object"},
}
_WRITTEN = {
    "type": "object",
    "required": ["event_ids", "version", "position"],
    "properties": {
        "patient": {"type": "string", "format": "uuid"},
        "stint": {"type": "string", "format": "uuid"},
        "centre": {"type": "string", "format": "uuid"},
        "practitioner": {"type": "string", "format": "uuid"},
        "inbox": {"type": "string", "format": "uuid"},
        "event_ids": {"type": "array", "items": {"type": "string", "format": "uuid"}},
        "version": {"type": ["integer", "null"]},
        "position": {"type": ["integer", "null"]},
        "arrived": _ARRIVED,
        "left": {
            "type": "array",
            "description": "Ce qu'une transmission marquée erronée avait écrit et qui reste",
            "items": {"type": "object"},
        },
    },
}
_ANY_PROBLEM = {
    "description": "Refus : quoi, pourquoi, que faire",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
_BYTES = {"type": "string", "format": "binary"}
_DEPOSIT: dict[str, Any] = {
    "operationId": "send_document",
    "summary": "Déposer un document ; les mêmes octets redonnent le même document.",
    "requestBody": {
        "required": True,
        "content": {
            "application/octet-stream": {"schema": _BYTES},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["document"],
                    "properties": {
                        "document": _BYTES,
                        "title": {"type": "string"},
                        "identity": {
                            "type": "string",
                            "contentMediaType": "application/json",
                            "description": "Nom, prénoms et date de naissance, si le document ne "
                            "les dit pas",
                        },
                    },
                }
            },
        },
    },
    "responses": {
        "201": {"description": "Reçu et durable ; il attend d'être rattaché"},
        "200": {"description": "Déjà reçu"},
        "default": _ANY_PROBLEM,
    },
}
_ISSUE: dict[str, Any] = {
    "operationId": "issue_briefing",
    "summary": "Émettre l'édition du moment ; celle qui tient, si rien n'a changé.",
    "parameters": [
        _in_path("stint"),
        _header("Idempotency-Key", "string", "Une clé par demande", required=True),
    ],
    "responses": {
        "201": {"description": "Une nouvelle édition"},
        "200": {"description": "L'édition qui tient encore"},
        "default": _ANY_PROBLEM,
    },
}
_READINGS: dict[str, tuple[str, dict[str, str]]] = {
    "/api/v1/patients/{patient}": ("Identité et synthèse", {}),
    "/api/v1/patients/{patient}/summary": ("Synthèse, 19 rubriques", {}),
    "/api/v1/patients/{patient}/timeline": ("Fil du dossier", {}),
    "/api/v1/patients/{patient}/open-items": ("Points ouverts", {}),
    "/api/v1/patients/{patient}/questions": ("Questions qui attendent la réponse du lecteur", {}),
    "/api/v1/patients/{patient}/results": (
        "Résultats et examens demandés, et où en est chacun",
        {},
    ),
    "/api/v1/patients/{patient}/replay": (
        "Ce que chacun pouvait savoir à un moment",
        {"known_at": "string", "at": "string", "position": "integer"},
    ),
    "/api/v1/stints/{stint}/briefing": (
        "La relève d'un séjour, et ce qui a changé depuis (since)",
        {"edition": "string", "position": "integer", "at": "string"},
    ),
    "/api/v1/centres/{centre}": ("Le centre, qui y est en poste, qui répond sinon", {}),
    "/api/v1/centres/{centre}/results": ("Résultats du centre qui ne sont pas terminés", {}),
    "/api/v1/centres/{centre}/open-items": (
        "Points ouverts du centre, dans l'ordre du tableau ; sans leurs mots pour l'accueil",
        {},
    ),
    "/api/v1/stints/{stint}/patients": ("Les patients d'un séjour, et qui n'a pas de relais", {}),
    "/api/v1/centres/{centre}/handovers": ("Les transmissions, de séjour en séjour", {}),
    "/api/v1/centres/{centre}/coordination": ("La rotation, sans contenu clinique", {}),
    "/api/v1/questions": (
        "Questions qui attendent la réponse de qui lit, et celles qu'il a posées",
        {},
    ),
    "/api/v1/inbox": ("Boîte d'arrivée : en-têtes et sources attendues, sans contenu", {}),
    "/api/v1/inbox/{document}": ("En-tête d'un document reçu, sans contenu", {}),
    "/api/v1/inbox/{document}/content": ("Ce que dit un document, à qui peut le lire", {}),
    "/api/v1/inbox/{document}/original": ("Les octets tels que reçus, à qui peut les lire", {}),
    "/api/v1/ledger/checkpoint": ("Dernière tête signée du registre", {}),
}
