"""The original of a received document as a download, for JSON routes and pages alike."""

from __future__ import annotations

from typing import Final

from fastapi import Request
from starlette.responses import Response

from releve.api.disclosure import read_clinical
from releve.api.gate import Granted, services_of
from releve.api.inbox import original
from releve.api.problems import NOT_AVAILABLE, RequestRefused
from releve.projections.inbox import InboxLine

_SAFE_TYPES: Final = frozenset({"application/pdf", "image/jpeg", "image/png", "image/tiff"})
"""Media types an original may be given as; any other one leaves as plain bytes."""


def send_original(request: Request, granted: Granted, *, what: str) -> Response:
    """The original as a download, once the access entry is durable.

    ``what`` names the reading in the access log.

    Raises:
        RequestRefused: the document is not there.
    """
    services = services_of(request)

    def produce() -> tuple[tuple[InboxLine, bytes], int]:
        line = granted_document(request, granted)
        return (line, original(services, line)), services.feed.position()

    disclosed = read_clinical(
        services, granted, produce, what=what, purpose=str(granted.document),
        patients=lambda found: [found[0].patient] if found[0].patient else [],
    )  # fmt: skip
    line, raw = disclosed.content
    return download(raw, line.received.media_type)


def download(raw: bytes, media_type: str) -> Response:
    """Bytes as a file with a name that says nothing; what could run in a page leaves as bytes."""
    safe = media_type in _SAFE_TYPES
    suffix = {"application/pdf": ".pdf", "image/jpeg": ".jpg", "image/png": ".png"}
    return Response(
        raw,
        200,
        {
            "Cache-Control": "no-store",
            "Content-Disposition": f'attachment; filename="document{suffix.get(media_type, "")}"',
        },
        media_type=media_type if safe else "application/octet-stream",
    )


def granted_document(request: Request, granted: Granted) -> InboxLine:
    """The document that was granted, as projected.

    Raises:
        RequestRefused: it is projected no more; the answer is the one of an unknown address.
    """
    line = services_of(request).inbox.one(granted.document)
    if line is None:
        raise RequestRefused(NOT_AVAILABLE)
    return line
