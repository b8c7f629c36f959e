"""Every error as a person can act on it: RFC 9457 problems, FHIR OperationOutcomes, error pages.

The only place where errors meet HTTP numbers. No answer ever repeats a value that came in, names a
person or quotes the database: a code, what, why, what to do, and the path of a field, no more.
A refusal and an unknown record give the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

import orjson
import psycopg
from psycopg_pool import PoolTimeout
from starlette.exceptions import HTTPException
from starlette.responses import Response

from releve.domain import errors as domain
from releve.domain.continuity import Claimed, MatchedMeanwhile, Written
from releve.fhir.document_content import Unreadable
from releve.projections.served_build import OtherFormat
from releve.security import errors as security
from releve.security.ledger.connection import LedgerUnreachable
from releve.security.ledger.export import NotInLog
from releve.security.ledger.recorder import OutcomeUnknown
from releve.security.ledger.sequencer import SequenceBehind

PROBLEM_TYPE = "urn:releve:problem:"
RETRY_AFTER_S = 2


@dataclass(frozen=True, slots=True)
class Problem:
    """One refused request: HTTP status, stable code, and what, why and what to do in French."""

    status: int
    code: str
    what: str
    why: str = ""
    do: str = ""
    fields: tuple[tuple[str, str], ...] = ()
    """(path, kind of error), never a value."""
    retry_after_s: int | None = None
    challenge: str | None = None
    more: Mapping[str, Any] = field(default_factory=dict)
    """Members of its own, such as who wrote meanwhile (RFC 9457 §3.2)."""

    def headers(self) -> dict[str, str]:
        """Headers that go with the status (RFC 9110 §10.2.3, §11.6.1)."""
        found: dict[str, str] = {"Cache-Control": "no-store"}
        if self.retry_after_s is not None:
            found["Retry-After"] = str(self.retry_after_s)
        if self.challenge is not None:
            found["WWW-Authenticate"] = self.challenge
        return found

    def as_json(self) -> Response:
        """The problem as ``application/problem+json`` (RFC 9457)."""
        body: dict[str, Any] = {
            "type": PROBLEM_TYPE + self.code,
            "title": self.what,
            "status": self.status,
            "detail": self.why,
            "code": self.code,
            "what": self.what,
            "why": self.why,
            "do": self.do,
        }
        if self.fields:
            body["errors"] = [{"loc": path, "type": kind} for path, kind in self.fields]
        body.update(self.more)
        return Response(
            orjson.dumps(body), self.status, self.headers(), media_type="application/problem+json"
        )

    def as_outcome(self) -> Response:
        """The problem as a FHIR R4 OperationOutcome (FHIR R4 §2.33)."""
        issue: dict[str, Any] = {
            "severity": "fatal" if self.status >= 500 else "error",
            "code": _ISSUE_TYPE.get(self.status, "processing"),
            "details": {"text": self.what},
            "diagnostics": f"{self.code}: {self.why} {self.do}".strip(),
        }
        if self.fields:
            issue["expression"] = [path for path, _ in self.fields]
        body = {"resourceType": "OperationOutcome", "issue": [issue]}
        return Response(
            orjson.dumps(body), self.status, self.headers(), media_type="application/fhir+json"
        )


_ISSUE_TYPE = {
    400: "structure", 401: "login", 404: "not-found", 405: "not-supported", 409: "conflict",
    410: "deleted", 412: "conflict", 413: "too-long", 415: "not-supported", 422: "invalid",
    503: "transient",
}  # fmt: skip

NOT_AVAILABLE = Problem(
    404, domain.NotFound.code, domain.NotFound.what, domain.NotFound.why, domain.NotFound.do
)
"""What refused and unknown both answer."""

SIGN_IN = Problem(
    401,
    security.NotAuthenticated.code,
    "Il faut s'identifier.",
    "Aucune session valable n'accompagne la demande.",
    "Ouvrir une session, ou envoyer un jeton valable.",
    challenge='Bearer realm="releve"',
)

INTERNAL = Problem(
    500,
    "internal",
    "Une erreur inattendue s'est produite.",
    "La demande n'a pas pu être traitée ; rien n'a été confirmé.",
    "Réessayer, puis signaler le numéro de la demande à l'exploitant.",
)

UNAVAILABLE = Problem(
    503,
    domain.Unavailable.code,
    domain.Unavailable.what,
    domain.Unavailable.why,
    domain.Unavailable.do,
    retry_after_s=RETRY_AFTER_S,
)

_TAMPERED = Problem(
    500, domain.Tampered.code, domain.Tampered.what, domain.Tampered.why, domain.Tampered.do
)
_ERASED = Problem(410, domain.Erased.code, domain.Erased.what, domain.Erased.why, domain.Erased.do)


def _unavailable(code: str, why: str) -> Problem:
    return replace(UNAVAILABLE, code=code, why=why)


class Overtaken(Written):
    """As :class:`Written`, with what arrived since the asker read, as they may see it."""

    def __init__(self, meanwhile: Written, arrived: Sequence[Mapping[str, Any]]) -> None:
        super().__init__(meanwhile.code, by=meanwhile.by, version=meanwhile.version)
        self.arrived = tuple(arrived)


class Overloaded(domain.Refused):
    """More read-backs than a stint may ask for, with the patients to choose from."""

    def __init__(self, refused: domain.Refused, patients: Sequence[UUID]) -> None:
        super().__init__(
            refused.code, what=refused.what, why=refused.why, do=refused.do, field=refused.field
        )
        self.patients = tuple(patients)


STATUS: dict[type[domain.ReleveError], int] = {
    domain.ReleveError: 500,
    domain.Invalid: 422,
    Unreadable: 422,
    domain.Refused: 422,
    domain.Conflict: 409,
    Written: 409,
    Overtaken: 409,
    MatchedMeanwhile: 409,
    Overloaded: 422,
    Claimed: 409,
    domain.Reused: 422,
    domain.NotFound: 404,
    domain.Forbidden: 404,
    domain.Erased: 410,
    domain.Tampered: 500,
    domain.Unavailable: 503,
    OtherFormat: 503,
}
"""HTTP status of each class of the domain tree; code, what, why and do are the error's own."""

SECURITY: dict[type[security.SecurityError], Problem] = {
    security.SecurityError: INTERNAL,
    security.Tampered: _TAMPERED,
    security.Malformed: _TAMPERED,
    security.KeyRefused: _unavailable("key-refused", "Une clé du service a été refusée."),
    security.KeyDestroyed: _ERASED,
    security.KeyServiceDown: _unavailable(
        "key-service-down", "Le service de clés ne répond pas ; aucun dossier n'est effacé."
    ),
    security.LedgerDown: _unavailable("ledger-down", "La base de données ne répond pas."),
    LedgerUnreachable: _unavailable("ledger-down", "La base de données ne répond pas."),
    OutcomeUnknown: replace(
        _unavailable("outcome-unknown", "La base n'a pas dit si l'écriture est conservée."),
        do="Renvoyer la même demande avec la même clé.",
    ),
    SequenceBehind: _unavailable("ledger-sequence-behind", "Le registre n'avance pas."),
    NotInLog: NOT_AVAILABLE,
    security.KeyMissing: _unavailable(
        "key-missing", "Une clé n'a jamais été faite pour ce dossier ; rien n'est effacé."
    ),
    security.LogUnavailable: _unavailable(
        "access-log-down",
        "Le journal des accès ne répond pas, et aucune lecture ne se fait sans trace.",
    ),
    security.NotAuthenticated: SIGN_IN,
    security.Denied: NOT_AVAILABLE,
}
"""The whole answer for each class of the security tree, whose messages are not for readers."""

_HTTP: dict[int, Problem] = {
    400: Problem(
        400,
        "bad-request",
        "La demande n'est pas lisible.",
        "Son corps ou un de ses en-têtes n'a pas la forme attendue.",
        "Corriger la demande et la renvoyer.",
    ),
    401: SIGN_IN,
    404: NOT_AVAILABLE,
    405: Problem(
        405,
        "method-not-allowed",
        "Cette adresse ne connaît pas cette méthode.",
        "La ressource existe, pour d'autres méthodes HTTP.",
        "Consulter /api/openapi.json.",
    ),
    406: Problem(
        406,
        "not-acceptable",
        "Aucune forme demandée n'est disponible.",
        "Le service répond en JSON.",
        "Demander application/json ou application/fhir+json.",
    ),
    413: Problem(
        413,
        "too-large",
        "La demande est trop grande.",
        "Un corps se limite à 1 Mio, une note à 64 Kio, un JSON à 32 niveaux.",
        "Envoyer moins, ou en plusieurs fois.",
    ),
    415: Problem(
        415,
        "unsupported-media-type",
        "Ce type de contenu n'est pas reçu ici.",
        "Les commandes sont reçues en application/json.",
        "Corriger l'en-tête Content-Type.",
    ),
    428: Problem(
        428,
        "precondition-required",
        "Il manque une condition à la demande.",
        "Un en-tête obligatoire est absent.",
        "L'ajouter et renvoyer.",
    ),
}


class RequestRefused(Exception):
    """A request that fails at the door itself, before any command or reading."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(problem.code)


def refuse(
    status: int,
    code: str | None = None,
    *,
    what: str | None = None,
    why: str | None = None,
    do: str | None = None,
) -> RequestRefused:
    """Make a door's own refusal from the words of its status, save those given."""
    base = _HTTP.get(status, _HTTP[400])
    return RequestRefused(
        replace(
            base,
            status=status,
            code=code or base.code,
            what=what or base.what,
            why=why or base.why,
            do=do or base.do,
        )
    )


def problem_for(error: Exception) -> Problem:
    """Give the problem that an error is, whatever raised it."""
    if isinstance(error, RequestRefused):
        return error.problem
    if isinstance(error, domain.ReleveError):
        return _from_domain(error)
    if isinstance(error, security.SecurityError):
        return next(SECURITY[c] for c in type(error).__mro__ if c in SECURITY)
    if isinstance(error, PoolTimeout | psycopg.OperationalError | psycopg.InterfaceError):
        return SECURITY[security.LedgerDown]
    if isinstance(error, HTTPException):
        return _HTTP.get(error.status_code, INTERNAL if error.status_code >= 500 else _HTTP[400])
    return INTERNAL


def _from_domain(error: domain.ReleveError) -> Problem:
    status = next(STATUS[c] for c in type(error).__mro__ if c in STATUS)
    if error.code == "version-mismatch":
        status = 412  # the request carried If-Match (RFC 9110 §13.1.1)
    if status == 404:
        return NOT_AVAILABLE
    more: dict[str, Any] = {}
    why = error.why
    if isinstance(error, Written):
        more["version"] = error.version
        if error.by is not None:
            more["by"] = {"name": error.by.name, "role": error.by.role}
            why = error.why_by(error.by.name)
    if isinstance(error, Overtaken):
        more["arrived"] = list(error.arrived)
    if isinstance(error, Overloaded):
        more["choose_from"] = [str(patient) for patient in error.patients]
    return Problem(
        status,
        error.code,
        error.what,
        why,
        error.do,
        fields=((error.field, error.code),) if error.field else (),
        retry_after_s=RETRY_AFTER_S if status == 503 else None,
        more=more,
    )
