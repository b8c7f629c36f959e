"""Reading what machines send: JSON within limits, entity tags, idempotency keys, positions."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any

import anyio
import msgspec
import orjson
from fastapi import Depends, Request
from starlette.responses import Response

from releve.api.disclosure import Disclosed
from releve.api.gate import instant, services_of
from releve.api.problems import refuse

NOTE_LIMIT = 64 * 1024
DEPTH_LIMIT = 32
MINIMUM_POSITION_WAIT_S = 2.0
_POLL_S = 0.01
_BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)
_KEY = re.compile(r"[\x21-\x7e]{1,255}\Z")
_ETAG = re.compile(r'(?:W/)?"(\d{1,18})"\Z')


async def json_body(request: Request) -> Any:
    """Decode a JSON body: at most 1 MiB (by the frame), 32 levels, 64 KiB a text.

    Raises:
        RequestRefused: 415 for another media type, 413 over a limit, 400 for what is not JSON.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise refuse(415)
    raw = await request.body()
    if depth_of(raw) > DEPTH_LIMIT:
        raise refuse(413, "too-deep")
    try:
        found = orjson.loads(raw or b"{}")
    except orjson.JSONDecodeError:
        raise refuse(400, "not-json") from None
    if not isinstance(found, dict):
        raise refuse(400, "not-an-object")
    if _longest_text(found) > NOTE_LIMIT:
        raise refuse(413, "text-too-long")
    return found


JsonBody = Annotated[Any, Depends(json_body)]


def depth_of(raw: bytes) -> int:
    """Count how deep a JSON text nests, without decoding it; brackets inside texts do not count."""
    deepest = depth = 0
    for found in _BRACKETS.finditer(raw):
        sign = found[0]
        if sign in b"{[":
            depth += 1
            deepest = max(deepest, depth)
        elif sign in b"}]":
            depth -= 1
    return deepest


def _longest_text(found: Any) -> int:
    longest, waiting = 0, [found]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            longest = max(longest, len(value.encode()))
        elif isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
    return longest


def idempotency_key(request: Request) -> str:
    """Give the client's key: without one, a request sent again would be written twice.

    Raises:
        RequestRefused: 400 where there is none, or it is not 1 to 255 visible ASCII characters.
    """
    key = request.headers.get("idempotency-key")
    if key is None:
        raise refuse(
            400,
            "idempotency-key-missing",
            what="Il manque l'en-tête Idempotency-Key.",
            why="Sans clé, la même demande envoyée deux fois s'écrirait deux fois.",
            do="Ajouter une clé neuve par demande (un UUID), et la garder pour la renvoyer.",
        )
    if not _KEY.match(key):
        raise refuse(
            400,
            "bad-idempotency-key",
            why="Idempotency-Key tient en 255 caractères ASCII visibles.",
            do="Envoyer un UUID, par exemple.",
        )
    return key


def if_match(request: Request) -> int | None:
    """Give the stream version that a writer last saw; None without ``If-Match``, or for ``*``."""
    tag = request.headers.get("if-match")
    if tag is None or tag.strip() == "*":
        return None
    found = _ETAG.match(tag.strip())
    if found is None:
        raise refuse(400, "bad-if-match", why='If-Match est la version du dossier, comme "12".')
    return int(found[1])


def seen_position(request: Request) -> int | None:
    """Give the ledger position that the writer's screen showed (``Releve-Seen-Position``)."""
    return _number(request, "releve-seen-position")


def _number(request: Request, name: str) -> int | None:
    text = request.headers.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise refuse(400, "bad-position")
    return int(text)


def moment_of(text: str | None, name: str) -> datetime | None:
    """Give the instant that the parameter ``name`` says; None where it was not sent.

    Raises:
        RequestRefused: 400 for what is not RFC 3339 with an offset.
    """
    if text is None:
        return None
    found = instant(text.replace(" ", "+"))  # a plus that nobody escaped in the address
    if found is None:
        raise refuse(400, "bad-moment", why=f"{name} est un instant RFC 3339 avec décalage.")
    return found


async def minimum_position(request: Request) -> None:
    """Wait at most 2 s until projections have reached ``Releve-Min-Position``.

    Raises:
        RequestRefused: 503 with ``Retry-After`` when they have not by then.
    """
    wanted = _number(request, "releve-min-position")
    if wanted is None:
        return
    services = services_of(request)
    deadline = anyio.current_time() + MINIMUM_POSITION_WAIT_S
    while await anyio.to_thread.run_sync(services.feed.position) < wanted:
        if anyio.current_time() >= deadline:
            raise refuse(
                503,
                "position-not-reached",
                what="Les lectures n'ont pas encore atteint cette position.",
                why="Elles suivent le registre avec un léger retard.",
                do="Réessayer dans quelques secondes.",
            )
        await anyio.sleep(_POLL_S)


AtPosition = Depends(minimum_position)


def clinical_json(disclosed: Disclosed[Any], *, version: int | None = None) -> Response:
    """Answer clinical content as JSON: only what :func:`read_clinical` handed over."""
    headers = {"Cache-Control": "no-store", "Releve-Position": str(disclosed.position)}
    if version is not None:
        headers["ETag"] = f'"{version}"'
    return Response(as_json(disclosed.content), 200, headers, media_type="application/json")


def as_json(content: Any) -> bytes:
    """Encode an answer; ids, instants and structures as their text."""
    return orjson.dumps(content, default=_plain)


def _plain(value: Any) -> Any:
    return msgspec.to_builtins(value, str_keys=True)
