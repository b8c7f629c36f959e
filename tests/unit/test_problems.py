"""Every error has its answer, and no answer says more than it should."""

from __future__ import annotations

import importlib
import json
import pkgutil

import orjson
import psycopg
import pytest
from psycopg_pool import PoolTimeout
from starlette.exceptions import HTTPException

import releve
from releve.api import problems
from releve.api.problems import NOT_AVAILABLE, Problem, problem_for, refuse
from releve.domain import errors as domain
from releve.domain.continuity import Claimed, Written
from releve.domain.events import Author
from releve.security import errors as security


def everything() -> None:
    """Import every module of the product, so that every subclass exists."""
    for module in pkgutil.walk_packages(releve.__path__, "releve."):
        if not module.name.endswith("__main__") and ".migrations" not in module.name:
            importlib.import_module(module.name)


def below(kind: type) -> set[type]:
    found = {kind}
    children: list[type] = kind.__subclasses__()
    for child in children:
        found |= below(child)
    return found


def test_every_error_of_both_trees_is_in_the_table() -> None:
    everything()
    missing = {
        f"{kind.__module__}.{kind.__qualname__}"
        for root, table in (
            (domain.ReleveError, problems.STATUS),
            (security.SecurityError, problems.SECURITY),
        )
        for kind in below(root)
        if kind not in table and not kind.__qualname__.startswith("_")
    }
    assert missing == set()


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (domain.Invalid(), 422, "invalid"),
        (domain.Refused("late-reason-missing"), 422, "late-reason-missing"),
        (domain.Reused(), 422, "idempotency-key-reused"),
        (domain.Conflict(), 409, "conflict"),
        (Written("conflict", by=None, version=3), 409, "conflict"),
        (Written("version-mismatch", by=None, version=3), 412, "version-mismatch"),
        (Claimed(None), 409, "identifier-claimed"),
        (domain.NotFound(), 404, "not-available"),
        (domain.Forbidden(), 404, "not-available"),
        (domain.Erased(), 410, "erased"),
        (domain.Tampered(), 500, "tampered"),
        (domain.Unavailable(), 503, "unavailable"),
        (security.Denied("x"), 404, "not-available"),
        (security.NotAuthenticated("x"), 401, "not-authenticated"),
        (security.KeyDestroyed("x"), 410, "erased"),
        (security.KeyServiceDown("x"), 503, "key-service-down"),
        (security.LogUnavailable("x"), 503, "access-log-down"),
        (security.Malformed("x"), 500, "tampered"),
        (PoolTimeout("x"), 503, "ledger-down"),
        (psycopg.OperationalError("x"), 503, "ledger-down"),
        (psycopg.errors.UniqueViolation("Key (ins)=(1841276) already exists"), 500, "internal"),
        (HTTPException(404), 404, "not-available"),
        (HTTPException(405), 405, "method-not-allowed"),
        (ValueError("1 84 12 76"), 500, "internal"),
        (KeyError("Guilloteau"), 500, "internal"),
    ],
)
def test_an_error_keeps_its_status_and_code(error: Exception, status: int, code: str) -> None:
    problem = problem_for(error)
    assert (problem.status, problem.code) == (status, code)
    answer = problem.as_json()
    assert answer.status_code == status
    assert answer.media_type == "application/problem+json"
    body = json.loads(bytes(answer.body))
    assert {"type", "title", "status", "code", "what", "why", "do"} <= set(body)
    assert body["type"] == f"urn:releve:problem:{code}"
    assert all(body[name] for name in ("what", "why", "do")) or status in (409, 412, 422)
    assert ("retry-after" in answer.headers) == (status == 503)
    for secret in ("1841276", "1 84 12 76", "Guilloteau"):
        assert secret not in bytes(answer.body).decode()


def test_refused_forbidden_and_unknown_are_the_same_bytes() -> None:
    told = {
        bytes(problem_for(error).as_json().body)
        for error in (
            domain.NotFound("other-code"),
            domain.Forbidden(),
            security.Denied("why"),
            HTTPException(404),
            refuse(404),
        )
    }
    assert told == {bytes(NOT_AVAILABLE.as_json().body)}


def test_a_conflict_names_who_wrote_meanwhile() -> None:
    by = Author(role="doctor", name="Dr Alix Exemple")
    body = orjson.loads(bytes(problem_for(Written("conflict", by=by, version=7)).as_json().body))
    assert body["by"] == {"name": "Dr Alix Exemple", "role": "doctor"}
    assert body["version"] == 7


def test_an_outcome_says_the_same_in_fhir() -> None:
    fields = (("Patient.name", "x"),)
    answer = Problem(422, "invalid", "Quoi", "Pourquoi", "Faire", fields).as_outcome()
    body = json.loads(bytes(answer.body))
    assert body["resourceType"] == "OperationOutcome"
    assert body["issue"][0]["code"] == "invalid"
    assert body["issue"][0]["expression"] == ["Patient.name"]
    assert answer.media_type == "application/fhir+json"
