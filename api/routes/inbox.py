"""The inbox for machines: send a document, list headers, read one; commands stand elsewhere.

``GET /api/v1/inbox`` and ``GET /api/v1/inbox/{document}`` hold no content; ``/content`` and
``/original`` are refused to whoever may not read the record.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Request
from starlette.datastructures import FormData
from starlette.responses import Response

from releve.api.acting import settle
from releve.api.answers import DESK
from releve.api.disclosure import read_clinical
from releve.api.gate import Granted, Guard, services_of, uploaded, uploads_of
from releve.api.inbox import receive
from releve.api.inbox_views import Sorting, content, patients_in, senders
from releve.api.originals import granted_document, send_original
from releve.api.problems import refuse
from releve.api.routes.bodies import AtPosition, as_json, clinical_json
from releve.domain.events import Author
from releve.domain.values import IdentityTraits
from releve.security.policy import Action

router = APIRouter(prefix="/api/v1")

Sending = Annotated[Granted, Depends(Guard(Action.IMPORT, "centre"))]
SortingPost = Annotated[Granted, Depends(Guard(Action.READ_INBOX_HEADER, "centre"))]
Header = Annotated[Granted, Depends(Guard(Action.READ_INBOX_HEADER, "inbox", param="document"))]
Content = Annotated[Granted, Depends(Guard(Action.READ_INBOX, "inbox", param="document"))]


async def _sent(request: Request, granted: Sending) -> tuple[Granted, bytes, dict[str, Any]]:
    """The bytes and what was said of them; read only for who may send."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "multipart/form-data":
        return granted, await request.body(), {"media_type": media_type or None}
    form = await uploaded(request)
    files = uploads_of(request)
    if len(files) != 1:
        raise refuse(400, "document-missing", do="Envoyer les octets dans la partie « document ».")
    return (
        granted,
        files[0].content,
        {
            "media_type": files[0].media_type,
            "name_hint": files[0].name,
            "title": _text(form, "title"),
            "identity": _typed(_text(form, "identity")),
        },
    )


Sent = Annotated[tuple[Granted, bytes, dict[str, Any]], Depends(_sent)]


def _text(form: FormData, name: str) -> str:
    value = form.get(name)
    return value if isinstance(value, str) else ""


def _typed(text: str) -> IdentityTraits | None:
    if not text:
        return None
    try:
        return msgspec.json.decode(text.encode(), type=IdentityTraits)
    except msgspec.MsgspecError:
        raise refuse(
            400, "bad-identity", why="La partie « identity » n'est pas une identité en JSON."
        ) from None


@router.post("/inbox", status_code=201, response_model=None)
def send(request: Request, sent: Sent) -> Response:
    """Send one document: its bytes as the body, or multipart with ``identity`` and ``title``.

    The bytes name the request: sent again they answer 200 and the same document. A file of several
    patients becomes a document for each: ``others`` names those after the first. How much could be
    read of it is content, which the desk is not told.
    """
    granted, raw, said = sent
    services, principal = services_of(request), granted.principal
    author = Author(
        role=principal.role,  # type: ignore[arg-type]  # the policy knows the same words
        name=principal.name,
        person=principal.person,
        stint=granted.decision.stint,
    )
    kept = receive(
        services, raw, centre=granted.centre, door="api", author=author, zone=principal.zone, **said
    )
    positions = [settle(services, each.outcome) for each in (kept, *kept.others) if each.outcome]
    position = positions[-1] if positions else services.feed.position()
    fresh = not all(each.known for each in (kept, *kept.others))
    blind = principal.role in DESK
    position = None if blind else position
    body = {
        "inbox": kept.document,
        "others": [each.document for each in kept.others],
        "known": not fresh,
        "format": kept.read.format,
        "coded_lines": None if blind else kept.read.coded_lines,
        "unmapped": None if blind else len(kept.read.unmapped),
        "warnings": None if blind else len(kept.read.warnings),
        "position": position,
    }
    headers = {"Cache-Control": "no-store", "Location": f"/api/v1/inbox/{kept.document}"}
    if position is not None:
        headers["Releve-Position"] = str(position)
    return Response(as_json(body), 201 if fresh else 200, headers, media_type="application/json")


@router.get("/inbox", dependencies=[AtPosition], response_model=None)
def listed(request: Request, granted: SortingPost) -> Response:
    """Headers of what waits and of the newest others, newest first; expected senders."""
    services = services_of(request)

    def produce() -> tuple[dict[str, Any], int]:
        sorting = Sorting.of(services, granted.centre)
        lines = services.inbox.lines(granted.centre)
        return {
            "documents": [sorting.header(line) for line in lines],
            "sources": [
                {
                    "system": each.system,
                    "last": each.last,
                    "within_hours": each.within.total_seconds() / 3600,
                    "silent": each.silent,
                }
                for each in senders(services, granted.centre, services.clock())
            ],
        }, sorting.position

    return clinical_json(
        read_clinical(
            services,
            granted,
            produce,
            what="api.inbox",
            patients=lambda found: patients_in(found["documents"]),
        )
    )


@router.get("/inbox/{document}", dependencies=[AtPosition], response_model=None)
def one(request: Request, granted: Header) -> Response:
    """One document's header."""
    services = services_of(request)

    def produce() -> tuple[dict[str, Any], int]:
        line = granted_document(request, granted)
        sorting = Sorting.of(services, line.centre)
        return sorting.header(line), sorting.position

    return clinical_json(
        read_clinical(
            services,
            granted,
            produce,
            what="api.inbox-header",
            purpose=str(granted.document),
            patients=lambda found: patients_in([found]),
        )
    )


@router.get("/inbox/{document}/content", dependencies=[AtPosition], response_model=None)
def read(request: Request, granted: Content) -> Response:
    """What the document says: title, values, words, what could not be read."""
    services = services_of(request)

    def produce() -> tuple[dict[str, Any], int]:
        position = services.feed.position()
        line = granted_document(request, granted)
        return {"patient": line.patient, **content(services, line)}, position

    return clinical_json(
        read_clinical(
            services,
            granted,
            produce,
            what="api.inbox-content",
            purpose=str(granted.document),
            patients=lambda found: [found["patient"]] if found["patient"] else [],
        )
    )


@router.get("/inbox/{document}/original", response_model=None)
def bytes_of(request: Request, granted: Content) -> Response:
    """The bytes as they came in, never shown by the browser itself."""
    return send_original(request, granted, what="api.inbox-original")
