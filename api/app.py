"""The HTTP service: every door put together, with what surrounds every answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response
from starlette.types import Scope

from releve.api.frame import Frame
from releve.api.gate import SignInNeeded, is_machine_path
from releve.api.logs import where
from releve.api.pages import PAGES
from releve.api.pages.shell import error_page, see
from releve.api.pages.sign_in import session_ended
from releve.api.problems import INTERNAL, Problem, RequestRefused, problem_for, refuse
from releve.api.routes import DOORS
from releve.domain.errors import ReleveError
from releve.security.errors import SecurityError

if TYPE_CHECKING:
    from releve.api.services import Services

_log = structlog.get_logger("releve.http")


def create_app(services: Services) -> FastAPI:
    """Build the application on services that are open; serving it stays the caller's affair.

    Serve it with ``access_log=False`` and ``server_header=False``: its own log line names routes,
    never addresses.
    """
    app = FastAPI(
        title="Relève",
        version="1",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    app.state.services = services
    for router in (*PAGES, *DOORS):  # tried one by one: pages first, people wait for them
        app.include_router(router)
    app.add_middleware(GZipMiddleware, minimum_size=1000)
    app.add_middleware(
        Frame,
        hosts=_hosts(services),
        failed=_failed,
        reading=services.one_picture,
    )
    app.add_exception_handler(RequestValidationError, _unreadable)
    app.add_exception_handler(SignInNeeded, _sign_in)
    for kind in (HTTPException, ReleveError, SecurityError, RequestRefused):
        app.add_exception_handler(kind, _refused)
    return app


def _hosts(services: Services) -> frozenset[str] | None:
    """Names that a demo answers to, against DNS rebinding; None answers to all."""
    if services.identity.demo is None:
        return None
    return frozenset({"127.0.0.1", "localhost", "::1"})


def answer(request: Request, problem: Problem) -> Response:
    """Tell a problem in the language of the door it happened at."""
    path = request.url.path
    if path.startswith("/fhir/"):
        return problem.as_outcome()
    return problem.as_json() if is_machine_path(path) else error_page(request, problem)


def _refused(request: Request, error: Exception) -> Response:
    problem = problem_for(error)
    if problem.status >= 500:
        _log.error("request-failed", request=request.state.request, code=problem.code,
                   error=type(error).__name__, where=where(error))  # fmt: skip
    return answer(request, problem)


def _failed(scope: Scope, problem: Problem) -> Response:
    """Tell a failure that no handler knew; its traceback, which may quote values, goes nowhere."""
    return answer(Request(scope), problem)


def _unreadable(request: Request, error: Exception) -> Response:
    """FastAPI's own refusal, with places and kinds only: its default repeats what was sent."""
    if not isinstance(error, RequestValidationError):
        return answer(request, INTERNAL)
    found = tuple(
        (".".join(str(part) for part in each["loc"]), str(each["type"])) for each in error.errors()
    )
    problem = refuse(400, "invalid-request").problem
    return answer(request, Problem(422, problem.code, problem.what, problem.why, problem.do, found))


async def _sign_in(request: Request, error: Exception) -> Response:
    if request.method not in ("GET", "HEAD"):
        return await session_ended(request) or see("/connexion")
    path = request.url.path
    return see("/connexion", retour=path if path != "/" else "")
