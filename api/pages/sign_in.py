"""Signing in and out: the chooser of the demo, the cookie, and the way back."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from releve.api.gate import (
    Granted,
    Guard,
    Submission,
    cookie_name,
    field,
    same_origin,
    services_of,
    submission,
)
from releve.api.pages.shell import moment, page, see
from releve.api.pages.validation_views import REASON
from releve.api.problems import NOT_AVAILABLE, RequestRefused
from releve.projections import wording
from releve.projections.dates import french_hour, zone_of
from releve.security.errors import NotAuthenticated
from releve.security.identity import ABSOLUTE, Persona
from releve.security.policy import GRACE, Action, phase, reading_opens_at

router = APIRouter(include_in_schema=False)


@router.get("/connexion")
def chooser(request: Request, retour: str = "/") -> Response:
    """The chooser: who are you this morning?"""
    return _chooser(request, retour)


def _chooser(request: Request, return_to: str, error: str = "", status: int = 200) -> Response:
    services = services_of(request)
    demo = services.identity.demo
    directory = services.directory.load()
    personas = [each for each in demo.personas() if each.role != "administrator"] if demo else []
    centre = next((directory.centre(each.centre) for each in personas), None)
    return page(
        request,
        None,
        "sign_in.html",
        status=status,
        personas=[_card(each) for each in personas if not _aside(each)],
        others=[_card(each) for each in personas if _aside(each)],
        demo=demo is not None,
        centre=centre.name if centre else "Démonstration",
        now=moment(request).long(),
        return_to=_inside(return_to),
        error=error,
    )


def _aside(persona: Persona) -> bool:
    """Whether a persona is neither in post, next nor just gone: shown on demand."""
    return persona.role == "doctor" and persona.purpose.startswith("Séjour")


def _card(persona: Persona) -> dict[str, str]:
    words = [word for word in persona.name.split() if word[:1].isupper() and word != "Dr"]
    return {
        "persona": persona.persona,
        "name": persona.name,
        "initial": words[-1][0] if words else "·",
        "role": wording.ROLE.get(persona.role, persona.role).capitalize(),
        "purpose": persona.purpose,
    }


def _inside(path: str) -> str:
    """A path of this service, or the home page."""
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) else "/"


@router.post("/connexion")
def choose(request: Request, form: Submission) -> Response:
    """Open a session for the chosen persona; the cookie is always a new one."""
    same_origin(request, required=True)
    services = services_of(request)
    return_to = _inside(field(form, "retour") or "/")
    provider = services.identity.provider
    if provider is None:
        raise RequestRefused(NOT_AVAILABLE)
    try:
        found = provider.complete({"persona": field(form, "persona")}, "")
    except NotAuthenticated:
        return _chooser(request, return_to, "Cette personne n’est plus dans la liste.", 422)
    old = request.cookies.get(cookie_name(request))
    session = services.identity.sessions.by_cookie(old) if old else None
    if session is not None:
        services.identity.sessions.close(session)
    answer = see(return_to)
    answer.set_cookie(
        cookie_name(request),
        services.identity.sessions.open(found.subject),
        max_age=int(ABSOLUTE.total_seconds()),
        path="/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="lax",
    )
    return answer


TYPED = {
    "reason": "Motif", "error_reason": "Motif", "one_liner": "En une ligne",
    "subjective": "Subjectif",
    "objective": "Objectif", "assessment": "Analyse", "plan": "Plan", "summary": "En une ligne",
    "situation": "Situation et consignes", "severity": "Gravité", "severity_reason": "Motif",
    "review_by": "À réévaluer le", "text": "Texte", "due": "Échéance",
    "evidence": "Ce qui le montre", "done_when": "Fait quand", "condition": "Si",
    "action": "Alors", "actions": "À faire", "measure": "Mesure",
    "dose_text": "Dose", "reaction": "Réaction", "onset": "Depuis",
    "occurred_at": "Quand", "late_reason": "Pourquoi si tard", "code": "Code",
    "birth_name": "Nom de naissance", "used_name": "Nom utilisé", "first_names": "Prénoms",
    "birth_date": "Date de naissance", "birth_place": "Lieu de naissance", "nom": "Nom cherché",
    "texte": "Texte", "message": "Message", "first_action": "Ce que je fais en premier",
    "question": "Question", "restitution": "Restitution", "reponse": "Réponse",
    "concept": "Quoi", "substance": "Substance",
    "vaccine": "Vaccin", "indication": "Pour", "remarks": "Écarts et remarques",
    "against": "Comparés à", "value": "Valeur et unité", "why": "Pourquoi", "caller": "Qui appelle",
    "address": "Adresse", "phones": "Numéro",
}  # fmt: skip
"""What the fields that somebody types in are called; choices and marks of the form are not here."""


async def session_ended(request: Request) -> Response | None:
    """Show back what was typed in a form whose session is over; None where nothing was.

    Only to a form of ours that the same browser sent: the text goes back to its sender, is kept
    nowhere, and no later session can send it on in somebody else's name.
    """
    if request.headers.get("content-type", "").startswith("multipart/"):
        return None  # files are the browser's to keep, and nobody signed in sent them
    try:
        same_origin(request, required=True)
        form = await submission(request)
    except RequestRefused:
        return None
    typed = [
        f"{TYPED[label]} : {wording.SEVERITY.get(value, value.strip())}"
        for name, value in (form.multi_items() if form is not None else ())
        if isinstance(value, str) and value.strip() and (label := _label(name)) in TYPED
    ]
    if not typed:
        return None
    text = "\n".join(typed).replace("\r\n", "\n")
    rows = min(24, max(6, text.count("\n") + 2))
    return page(request, None, "session_ended.html", status=401, typed=text, rows=rows)


def _label(name: str) -> str:
    """The last word of a field's name: ``text`` of ``items[0].text``, ``actions`` of its rows."""
    if name.startswith(REASON):
        return "reason"
    return name.rpartition(".")[2].partition("[")[0].partition("-")[0]


@router.post("/deconnexion")
def leave(
    request: Request, granted: Annotated[Granted, Depends(Guard(Action.USE_SERVICE))]
) -> Response:
    """End the session and make the browser forget what it showed."""
    services_of(request).identity.sessions.close(granted.principal.session)
    answer = see("/connexion")
    answer.delete_cookie(
        cookie_name(request),
        path="/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="lax",
    )
    answer.headers["Clear-Site-Data"] = '"cache", "cookies", "storage"'
    return answer


@router.get("/")
def home(
    request: Request, granted: Annotated[Granted, Depends(Guard(Action.USE_SERVICE))]
) -> Response:
    """The page that each role starts its morning with."""
    match granted.principal.role:
        case "doctor" | "intern" | "referent":
            shut = _shut(request, granted)
            if shut is not None:
                return page(request, granted.principal, "access_window.html", said=shut)
            return see("/transmissions" if _leaving(request, granted) else "/releve")
        case "coordinator" | "secretary":
            return see("/coordination")
        case "nurse":
            return see("/patients")
        case _:
            return see("/audit")


def _shut(request: Request, granted: Granted) -> dict[str, Any] | None:
    """When the doors of a stint open, or closed, for whoever stands before them; None inside."""
    windows = granted.principal.actor.stints
    at = moment(request, granted.principal)
    phases = {window: phase(window, at.now) for window in windows}
    if not windows or any(each in ("reading", "in-post", "grace") for each in phases.values()):
        return None
    own = next((each for each in windows if each.stint == granted.principal.stint), windows[-1])
    zone = zone_of(own.zone)
    starts, ends = own.starts_at.astimezone(zone), own.ends_at.astimezone(zone)
    period = f"va du {starts:%d/%m/%Y} au {ends:%d/%m/%Y}"
    if phases[own] == "closed":
        opens = reading_opens_at(own)
        return {
            "title": f"Votre accès s’ouvre le {opens:%d/%m} à {french_hour(opens)}",
            "period": period,
            "why": "Les dossiers se lisent à partir du troisième jour avant le début du séjour.",
            "do": "Revenir à cette date ; d’ici là, la coordination répond à toute question.",
            "questions": False,
        }
    closed = (own.ends_at + GRACE).astimezone(zone)
    return {
        "title": f"Votre accès s’est fermé le {closed:%d/%m} à {french_hour(closed)}",
        "period": period.replace("va du", "allait du"),
        "why": "Les dossiers ne s’ouvrent plus 72 heures après la fin d’un séjour.",
        "do": "Appeler le centre s’il reste quelque chose à dire d’un patient.",
        "questions": phases[own] == "questions",
    }


def _leaving(request: Request, granted: Granted) -> bool:
    """Whether the stint is over and its 72 hours are not: what is left to do is to hand over."""
    now = services_of(request).clock()
    return any(
        window.stint == granted.principal.stint and phase(window, now) == "grace"
        for window in granted.principal.actor.stints
    )
