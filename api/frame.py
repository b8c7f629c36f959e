"""What surrounds every answer: limits before it, security headers and one log line after it."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from releve.api.logs import where
from releve.api.problems import Problem, problem_for, refuse

BODY_LIMIT = 1024 * 1024
UPLOAD_LIMIT = 32 * 1024 * 1024
"""Body of a request that brings a document into the inbox: a scanned letter has many pages."""
UPLOADS = frozenset({"/api/v1/inbox", "/arrivees", "/arrivees/agenda"})
"""The paths that take one; whoever is not signed in is refused before a byte of it is read."""
HEADER_LIMIT = 16 * 1024

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "font-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "require-trusted-types-for 'script'",
    )
)

SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": (
        "accelerometer=(), camera=(), geolocation=(), gyroscope=(), microphone=(), payment=(),"
        " usb=()"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Robots-Tag": "noindex, nofollow",
}
STRICT_TRANSPORT = "max-age=63072000; includeSubDomains"

_log: Any = structlog.get_logger("releve.http")


class Frame:
    """Pure ASGI: refuses what is too large, adds headers, logs the route's template only.

    An answer that says nothing about caching is ``no-store``: what carries clinical text must
    never be kept by a browser, and forgetting to say so must not be possible.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        failed: Callable[[Scope, Problem], ASGIApp],
        reading: Callable[[], AbstractContextManager[None]],
        hosts: frozenset[str] | None = None,
    ) -> None:
        """Take what renders a failure, what surrounds a reading, and the only names answered to.

        ``hosts`` of None answers to all.
        """
        self.app = app
        self.failed = failed
        self.reading = reading
        self.hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; other protocols pass unchanged."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = uuid.uuid4().hex
        scope.setdefault("state", {})["request"] = request
        began = time.perf_counter()
        status = 500
        started = False

        async def framed(message: Message) -> None:
            nonlocal status, started
            if message["type"] == "http.response.start":
                status, started = message["status"], True
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers[name] = value
                if scope.get("scheme") == "https":
                    headers["Strict-Transport-Security"] = STRICT_TRANSPORT
                headers.setdefault("Cache-Control", "no-store")
                headers["Releve-Request"] = request
            await send(message)

        try:
            refused = _too_large(scope) or self._foreign_host(scope)
            if refused is not None:
                await self.failed(scope, refused)(scope, receive, framed)
            else:
                within = self.reading() if scope["method"] in ("GET", "HEAD") else nullcontext()
                with within:
                    await self.app(scope, _limited(receive, _body_limit(scope)), framed)
        except Exception as error:
            _log.error("request-failed", request=request, error=type(error).__name__,
                       where=where(error))  # fmt: skip
            if not started:
                await self.failed(scope, problem_for(error))(scope, receive, framed)
        finally:
            route = scope.get("route")
            _log.info(
                "request",
                request=request,
                method=scope["method"],
                route=getattr(route, "path", None) or "unknown",
                status=status,
                duration_ms=round((time.perf_counter() - began) * 1000, 1),
            )

    def _foreign_host(self, scope: Scope) -> Problem | None:
        if self.hosts is None:
            return None
        named = Headers(scope=scope).get("host", "")
        host = named.rpartition(":")[0] if re.search(r":\d+\Z", named) else named
        return None if host.strip("[]") in self.hosts else refuse(400, "unknown-host").problem


def _too_large(scope: Scope) -> Problem | None:
    if sum(len(name) + len(value) for name, value in scope["headers"]) > HEADER_LIMIT:
        return refuse(413, "headers-too-large").problem
    length = Headers(scope=scope).get("content-length", "0")
    if not length.isascii() or not length.isdigit() or len(length) > 12:
        return refuse(400).problem
    return refuse(413).problem if int(length) > _body_limit(scope) else None


def _body_limit(scope: Scope) -> int:
    upload = scope["method"] == "POST" and scope["path"] in UPLOADS
    return UPLOAD_LIMIT if upload else BODY_LIMIT


def _limited(receive: Receive, limit: int) -> Receive:
    """The same stream of messages, refused past the limit even when no length was announced."""
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        if message["type"] == "http.request":
            seen += len(message.get("body", b""))
            if seen > limit:
                raise refuse(413)
        return message

    return counted
