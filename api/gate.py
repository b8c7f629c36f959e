"""The gate: who asks, and what the policy says.

Every route of the product depends on a :class:`Guard` (or stands in :data:`PUBLIC`, a closed
list); every clinical reading leaves through :func:`read_clinical`, which makes the access entry
durable before it hands the content over.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from releve.api.frame import UPLOAD_LIMIT, UPLOADS
from releve.api.problems import NOT_AVAILABLE, RequestRefused, refuse
from releve.domain.aggregates.patient import Patient
from releve.domain.aggregates.patient.questions import open_questions_to
from releve.domain.aggregates.patient.results import ResultReceived
from releve.domain.events import Event
from releve.domain.requests import fold
from releve.projections.directory import Directory
from releve.projections.records import centres_of_patient
from releve.security.access import AccessEntry, Accessor
from releve.security.errors import NotAuthenticated
from releve.security.identity import Persona, Session
from releve.security.policy import (
    Action,
    Actor,
    Context,
    Decision,
    Kind,
    Resource,
    StintWindow,
    decide,
    phase,
)

if TYPE_CHECKING:
    from releve.api.services import Services

MOST_FILES = 20
"""Documents that one form may bring."""

PUBLIC = frozenset(
    {
        "/connexion", "/healthz", "/readyz", "/robots.txt", "/.well-known/security.txt",
        "/api/openapi.json", "/fhir/metadata", "/static/{name}",
    }
)  # fmt: skip
"""Paths that answer without asking who is there; none of them reads a record."""


def services_of(request: Request) -> Services:
    """What the composition root built."""
    found: Services = request.app.state.services
    return found


# Who asks


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is signed in, as the policy sees them; ``centre`` is the one they look at."""

    subject: str
    name: str
    actor: Actor
    person: UUID
    centre: UUID
    stint: UUID | None
    zone: str
    session: Session

    @property
    def role(self) -> str:
        """The role they signed in with."""
        return self.actor.role

    def actor_bytes(self) -> bytes:
        """What idempotency keys are bound to: the person in a role, whatever the session."""
        return self.person.bytes + self.role.encode()


def principal_of(services: Services, session: Session) -> Principal:
    """Give the person behind a session, with their stints as the directory holds them.

    Raises:
        NotAuthenticated: the subject is nobody's any more.
    """
    demo = services.identity.demo
    if demo is None:
        raise NotAuthenticated("no identity provider knows this subject")
    persona = demo.persona(session.subject)
    return _from_persona(persona, services.directory.load(), session, services.clock())


def _from_persona(
    persona: Persona, directory: Directory, session: Session, now: datetime
) -> Principal:
    centre = directory.centre(persona.centre)
    standing = persona.role not in ("doctor", "intern")
    known = directory.practitioners.get(persona.person)
    actor = Actor(
        role=persona.role,
        person=persona.person,
        centres=directory.standing_at(persona.person, persona.role, now, {persona.centre})
        if standing
        else frozenset(),
        stints=tuple(windows_of(directory, persona.person)),
        suspended=known is not None and known.suspended,
    )
    return Principal(
        subject=session.subject,
        name=persona.name,
        actor=actor,
        person=persona.person,
        centre=persona.centre,
        stint=persona.stint,
        zone=centre.zone if centre else "Europe/Paris",
        session=session,
    )


def windows_of(directory: Directory, person: UUID) -> Iterable[StintWindow]:
    """Give a person's stints as windows of the policy, each in its centre's zone.

    A cancelled stint is no window.
    """
    for line in directory.stints_of_practitioner(person):
        if line.cancelled:
            continue
        centre = directory.centre(line.centre)
        zone = centre.zone if centre else "Europe/Paris"
        # As it really went: whoever answers for the items may open the records.
        yield StintWindow(line.stint, line.centre, *line.as_stint().window, zone)


class SignInNeeded(Exception):
    """Nobody is signed in on a page: the browser is sent to the chooser, then back."""


def signed_in(request: Request) -> Principal:
    """Give the person behind the request, or send them to sign in.

    Writes of the JSON and FHIR doors take a bearer token only: a browser never sends one by
    itself, so no other site can make it write.
    """
    services = services_of(request)
    machine = is_machine_path(request.url.path)
    session: Session | None = None
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme:
        if machine and scheme.lower() == "bearer":
            session = services.identity.sessions.by_token(token.strip())
    elif not machine or request.method in ("GET", "HEAD"):
        cookie = request.cookies.get(cookie_name(request))
        session = services.identity.sessions.by_cookie(cookie) if cookie else None
    if session is None:
        if machine:
            raise NotAuthenticated("no valid session or token")
        raise SignInNeeded
    try:
        return principal_of(services, session)
    except NotAuthenticated:
        if machine:
            raise
        raise SignInNeeded from None


SignedIn = Annotated[Principal, Depends(signed_in)]


def is_machine_path(path: str) -> bool:
    """Say whether a path belongs to the JSON or FHIR door rather than to the pages."""
    return path.startswith(("/api/", "/fhir/", "/healthz", "/readyz"))


def cookie_name(request: Request) -> str:
    """``__Host-releve`` over TLS; plain on a loopback demo, where that prefix cannot be set."""
    return "__Host-releve" if request.url.scheme == "https" else "releve"


def same_origin(request: Request, *, required: bool) -> None:
    """Refuse what another site made the browser send (Fetch metadata, then ``Origin``).

    Pages say ``Referrer-Policy: no-referrer``, so that a form of ours may carry ``Origin: null``:
    such a request is let through only when ``required`` is false, to be judged by its form token.
    """
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    own = f"{request.url.scheme}://{request.url.netloc}"
    if site is not None:
        allowed = site == "same-origin"
    elif origin is not None and origin != "null":
        allowed = origin == own
    else:
        allowed = not required
    if not allowed:
        raise foreign_request()


def foreign_request() -> RequestRefused:
    """The refusal of a form that is not ours."""
    return refuse(
        403,
        "foreign-request",
        what="Cette demande ne vient pas d'une page du service.",
        why="Son origine ou son jeton ne correspond pas à la session.",
        do="Rouvrir la page et recommencer.",
    )


async def submission(request: Request) -> FormData | None:
    """Give the form a page was posted with, read once; None for any other request."""
    if request.method != "POST" or is_machine_path(request.url.path):
        return None
    media_type = request.headers.get("content-type", "")
    if media_type.startswith("multipart/form-data") and request.url.path in UPLOADS:
        # Nobody sends us 32 MiB who is not signed in.
        await run_in_threadpool(signed_in, request)
        return await uploaded(request)
    if not media_type.startswith("application/x-www-form-urlencoded"):
        raise refuse(415)
    return await request.form(max_files=0, max_fields=2000)


class Upload(NamedTuple):
    """One file that came with a form, in memory."""

    name: str
    media_type: str | None
    content: bytes


async def uploaded(request: Request) -> FormData:
    """Read a multipart form; its files are given by :func:`uploads_of`.

    They stay in memory: a temporary file would hold a patient's document in the clear.
    """
    parser = MultiPartParser(request.headers, request.stream(), max_files=MOST_FILES, max_fields=50)
    parser.spool_max_size = UPLOAD_LIMIT
    try:
        form = await parser.parse()
    except MultiPartException:
        raise refuse(400, "not-multipart") from None
    try:
        request.state.uploads = [
            Upload(sent.filename, sent.content_type, await sent.read())
            for _, sent in form.multi_items()
            if isinstance(sent, UploadFile) and sent.filename
        ]
        return FormData([(n, v) for n, v in form.multi_items() if isinstance(v, str)])
    finally:
        await form.close()


def uploads_of(request: Request) -> Sequence[Upload]:
    """The files of the multipart form that a request was; none for any other request."""
    found: Sequence[Upload] = getattr(request.state, "uploads", ())
    return found


Submission = Annotated[FormData | None, Depends(submission)]


def field(form: FormData | None, name: str) -> str:
    """Give a form field as text, empty when it is missing or a file."""
    value = form.get(name) if form is not None else None
    return value if isinstance(value, str) else ""


# What they may do


@dataclass(frozen=True, slots=True)
class Granted:
    """An allowed request: who, what, on which stream, by which rule."""

    principal: Principal
    action: Action
    decision: Decision
    kind: Kind
    target: UUID | None
    centre: UUID
    """The centre in whose name it is done."""
    resource: Resource
    """What was asked about, as it stood then: the request's other actions are judged by it."""

    @property
    def patient(self) -> UUID:
        """The patient that a grant of that kind names."""
        if self.kind != "patient" or self.target is None:
            raise RequestRefused(NOT_AVAILABLE)
        return self.target

    @property
    def stint(self) -> UUID:
        """The stint that a grant of that kind names."""
        if self.kind != "stint" or self.target is None:
            raise RequestRefused(NOT_AVAILABLE)
        return self.target

    @property
    def document(self) -> UUID:
        """The document of the inbox that a grant of that kind names."""
        if self.kind != "inbox" or self.target is None:
            raise RequestRefused(NOT_AVAILABLE)
        return self.target


class Guard:
    """The dependency every route has: resolves the resource, asks the policy, or answers 404.

    A refusal and an unknown id are told apart by nothing in the answer, and both leave an access
    entry where a record was named.
    """

    def __init__(
        self,
        action: Action,
        kind: Kind = "service",
        *,
        param: str | None = None,
        late: bool = False,
    ) -> None:
        """``late``: open a form also for late entries; what it sends is asked about again."""
        self.action = action
        self.kind: Kind = kind
        self.param = param or kind
        self.late = late

    def __call__(self, request: Request, form: Submission) -> Granted:
        """Give the grant, or refuse.

        Sign-in is asked for here and not as a dependency: each of those costs a page a change of
        thread, and a page that waits for its turn among threads is a slow page.
        """
        services, principal = services_of(request), signed_in(request)
        if form is not None:
            same_origin(request, required=False)
            if not principal.session.accepts(field(form, "jeton")):
                raise foreign_request()
        return authorise(
            services,
            principal,
            self.action,
            self.kind,
            identifier(request.path_params.get(self.param)),
            occurred_at=late_moment(principal, services.clock())
            if self.late
            else instant(field(form, "occurred_at"), principal.zone),
            entry=identifier(request.path_params.get("entry")),
        )


def late_moment(principal: Principal, now: datetime) -> datetime | None:
    """Give a moment of the stint whose 72 hours run now: what a late entry could be about."""
    return next((w.ends_at for w in principal.actor.stints if phase(w, now) == "grace"), None)


def authorise(
    services: Services,
    principal: Principal,
    action: Action,
    kind: Kind,
    target: UUID | None,
    *,
    occurred_at: datetime | None = None,
    entry: UUID | None = None,
) -> Granted:
    """Ask the policy for one action on one resource.

    ``entry`` is the entry acted on, where an action is allowed on one's own only. A refusal leaves
    an access entry, which names the patient only where there is one: an id that somebody made up
    is no record's.

    Raises:
        RequestRefused: refused, or unknown: the same 404.
        LogUnavailable: a refusal could not be written down.
    """
    resource = _resource(services, principal, kind, target)
    if resource is not None:
        context = Context(services.clock(), occurred_at=occurred_at)
        decision = _decided(services, principal, action, resource, target, context, entry)
        if decision.allowed:
            return Granted(
                principal, action, decision, kind, target,
                _centre_of(services, principal, resource, decision), resource,
            )  # fmt: skip
    if kind in ("patient", "stint", "inbox"):
        services.access.record(
            AccessEntry(
                accessor(principal),
                action.value,
                kind,
                (target,) if target and resource and kind == "patient" else (),
                outcome="refused",
            )
        )
    raise RequestRefused(NOT_AVAILABLE)


def accessor(principal: Principal, stint: UUID | None = None) -> Accessor:
    """Give who reads, as access entries name them."""
    return Accessor(principal.role, principal.name, principal.person, stint)


def _decided(
    services: Services,
    principal: Principal,
    action: Action,
    resource: Resource,
    target: UUID | None,
    context: Context,
    entry: UUID | None,
) -> Decision:
    """Ask ``decide``; a patient's events are read only where the answer may depend on them."""
    decision = decide(principal.actor, action, resource, context)
    if decision.allowed or resource.kind != "patient" or target is None:
        return decision
    part = _with_part(services, principal, action, target, context, entry)
    return decision if part is context else decide(principal.actor, action, resource, part)


def may(services: Services, granted: Granted, action: Action, *, entry: UUID | None = None) -> bool:
    """Say whether the same person may do another action on the same record; asks, does not act."""
    now = services.clock()
    context = Context(now, occurred_at=late_moment(granted.principal, now))
    return _decided(
        services, granted.principal, action, granted.resource, granted.target, context, entry
    ).allowed


def allowed(services: Services, granted: Granted, actions: Iterable[Action]) -> set[Action]:
    """Say which actions the same person may do on the same record, late entries among them.

    As :func:`may` for each, with the record looked at once.
    """
    principal, target, resource = granted.principal, granted.target, granted.resource
    now = services.clock()
    context = Context(now, occurred_at=late_moment(principal, now))
    wanted = set(actions)
    found = {each for each in wanted if decide(principal.actor, each, resource, context).allowed}
    if found != wanted and resource.kind == "patient" and target is not None:
        part = _with_part(services, principal, granted.action, target, context, None)
        if part is not context:
            found = {
                each for each in wanted if decide(principal.actor, each, resource, part).allowed
            }
    return found


def _resource(
    services: Services, principal: Principal, kind: Kind, target: UUID | None
) -> Resource | None:
    match kind:
        case "service" | "ledger":
            return Resource(kind)
        case "centre":
            return Resource("centre", frozenset({target or principal.centre}))
        case "stint":
            line = services.directory.load().stint(target) if target else None
            return Resource("stint", frozenset({line.centre}), stint=line.stint) if line else None
        case "patient":
            centres = centres_of_patient(services.pool, target) if target else frozenset()
            return Resource("patient", centres) if centres else None
        case "practitioner":
            worked = services.directory.load().centres_of_practitioner(target) if target else ()
            return Resource("practitioner", frozenset(worked)) if worked else None
        case "inbox":
            centre = services.continuity.centre_of_document(target) if target else None
            return Resource("inbox", frozenset({centre})) if centre else None


def _with_part(
    services: Services,
    principal: Principal,
    action: Action,
    patient: UUID,
    context: Context,
    entry: UUID | None,
) -> Context:
    """Add the asker's part in this record: what they wrote, the entry itself, what is asked."""
    windows = {
        window.stint
        for window in principal.actor.stints
        if phase(window, context.now) in ("grace", "questions")
    }
    if not windows and entry is None and action not in _OF_QUESTIONS:
        return context
    return part_of(services.reader.stream(patient), principal.person, windows, context, entry)


_OF_QUESTIONS = frozenset({Action.READ_ASKED_CARD, Action.ANSWER_QUESTION})


def part_of(
    events: Sequence[Event],
    person: UUID,
    windows: Collection[UUID],
    context: Context,
    entry: UUID | None,
) -> Context:
    """``context`` with a person's part in a record (pure).

    A result is its orderer's, who reviews it after the stint too; a question is asked until it is
    answered, or marked as entered in error.
    """
    by_id = {event.event_id: event for event in events}
    acted_on = by_id.get(entry) if entry is not None else None
    if acted_on is not None and isinstance(acted_on.payload, ResultReceived):
        acted_on = by_id.get(acted_on.payload.order) if acted_on.payload.order else None
    record = fold("patient", None, events)
    return replace(
        context,
        treated=any(event.envelope.author.stint in windows for event in events),
        authored=acted_on is not None and acted_on.envelope.author.person == person,
        asked=isinstance(record, Patient) and bool(open_questions_to(record, person)),
    )


def _centre_of(
    services: Services, principal: Principal, resource: Resource, decision: Decision
) -> UUID:
    if decision.stint is not None:
        line = services.directory.load().stint(decision.stint)
        if line is not None:
            return line.centre
    shared = principal.actor.centres & resource.centres
    return min(shared, key=str) if shared else principal.centre


def identifier(text: object) -> UUID | None:
    """Give a canonical lower-case UUID of a path or form; None for anything else."""
    if isinstance(text, str) and len(text) == 36:
        with contextlib.suppress(ValueError):
            found = UUID(text)
            return found if str(found) == text else None
    return None


def instant(text: str | None, zone: str | None = None) -> datetime | None:
    """Give a clinical time that is a full instant; None for a partial date or anything else.

    ``zone`` is that of a form's local time, which has no offset of its own.
    """
    if not text or "T" not in text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        return moment.replace(tzinfo=ZoneInfo(zone)) if zone else None
    return moment
