"""What every page is built with: templates, the assets they name, and what stands around them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final
from urllib.parse import urlencode

import jinja2
from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from releve.api.disclosure import Disclosed
from releve.api.gate import Principal, SignInNeeded, services_of, signed_in
from releve.api.pages.typography import FrenchTypography, glued, spaced
from releve.api.problems import NOT_AVAILABLE, Problem, RequestRefused
from releve.domain.aggregates.health_centre import NO_DOCTOR
from releve.domain.errors import ReleveError
from releve.domain.values import NamedPerson
from releve.projections import wording
from releve.projections.dates import Moment
from releve.security.errors import SecurityError
from releve.security.policy import Phase, phase

DONE: Final[Mapping[str, str]] = {
    "consultation": "Consultation signée.",
    "transmission": "Transmission signée.",
    "restitution": "Restitution enregistrée ; son auteur la verra.",
    "question": "Question enregistrée ; son auteur la verra.",
    "reprise": "Vous reprenez ce patient : vous en répondez.",
    "point-ouvert": "Point ouvert.",
    "point-clos": "Point clos.",
    "gravite": "Gravité enregistrée.",
    "complement": "Complément signé ; la note d’origine reste lisible.",
    "erreur": "Entrée marquée erronée ; elle reste barrée dans le fil.",
    "dossier": "Dossier ouvert.",
    "ligne-ajoutee": "Ajouté au dossier.",
    "ligne-revisee": "Révision enregistrée ; ce qui était dit avant reste dans le fil.",
    "absence-dite": "Enregistré : demandé, aucune.",
    "traitement-arrete": "Traitement arrêté.",
    "reconciliation": "Comparaison des traitements enregistrée.",
    "avis": "Second avis signé ; il se lit à côté de l’entrée.",
    "synthese-relue": "Relecture de la synthèse enregistrée.",
    "ligne-acceptee": "Ligne acceptée.",
    "ligne-refusee": "Ligne refusée ; elle reste barrée dans le fil.",
    "lignes-jugees": "Vos choix sont enregistrés ; une ligne sans choix reste à valider.",
    "retablie": "Entrée rétablie.",
    "prescription": "Examen prescrit ; un point reste ouvert jusqu’au patient prévenu.",
    "resultat-lu": "Lecture signée.",
    "patient-prevenu": "Patient prévenu : c’est noté.",
    "appel-note": "Tentative d’appel notée.",
    "point-propose": "Point proposé ; il reste à qui il est tant qu’il n’est pas accepté.",
    "point-accepte": "Point accepté : vous en répondez.",
    "point-decline": "Point décliné ; il reste à qui il était.",
    "point-revise": "Point révisé.",
    "point-rouvert": "Point rouvert, avec son âge d’origine.",
    "question-posee": "Question posée.",
    "reponse": "Réponse signée ; qui a posé la question la verra.",
    "coordonnees": "Coordonnées enregistrées.",
    "ins": "Statut de l’identité enregistré.",
    "ald": "ALD enregistrée.",
    "rendez-vous": "Rendez-vous noté.",
    "deces": "Décès enregistré.",
    "arrivee": "Document reçu et gardé ; il attend d’être rattaché.",
    "deja-recu": "Document déjà reçu : rien n’a été ajouté.",
    "rattache": "Document rattaché : il est dans le dossier.",
    "mis-de-cote": "Document mis de côté ; il reste gardé.",
    "resultat-dicte": "Résultat enregistré et montré au médecin. La valeur ne se relit pas ici.",
    "note-collee": "Note signée.",
    "transmissions-closes": "Transmissions closes ; ce qui reste ouvert revient au suivant.",
    "releve-prise": "Relève prise : vous répondez des patients du centre.",
    "sejour-prevu": "Séjour prévu.",
    "sejour-modifie": "Séjour enregistré.",
    "sejour-annule": "Séjour annulé ; il ne donne plus aucun droit.",
    "equipe": "Équipe enregistrée.",
    "horaires": "Horaires et sources enregistrés.",
    "fermeture": "Jours fermés notés.",
    "sans-medecin": "Jours sans médecin notés : le référent répond.",
    "lieu": "Lieu de soins ajouté.",
    "agenda": "Agenda repris.",
    "deja-fait": "C’était déjà enregistré : rien n’a été ajouté une seconde fois.",
}
"""What a redirect may say was done: words from a closed list, never text from the address."""

NOT_HERE: Final = "Cette page ou ce dossier n’est pas disponible."
NOT_HERE_DO: Final = "Vérifier l’adresse, ou chercher le patient dans la liste."
"""One answer for an address that was mistyped, a record that is not there and one that is not for
the reader."""

router = APIRouter()


@dataclass(frozen=True, slots=True)
class Asset:
    """One static file, read once: its bytes, media type and content hash."""

    content: bytes
    media_type: str
    digest: str


@lru_cache(maxsize=1)
def assets() -> Mapping[str, Asset]:
    """Every static file by name."""
    types = {".css": "text/css; charset=utf-8", ".svg": "image/svg+xml", ".txt": "text/plain"}
    found = {}
    for entry in files("releve.api").joinpath("static").iterdir():
        suffix = "." + entry.name.rpartition(".")[2]
        if entry.is_file() and suffix in types:
            content = entry.read_bytes()
            digest = hashlib.sha256(content).hexdigest()[:16]
            found[entry.name] = Asset(content, types[suffix], digest)
    return found


def asset_address(name: str) -> str:
    """The address of a static file, with its content hash: it can be kept for ever."""
    return f"/static/{name}?v={assets()[name].digest}"


@router.get("/static/{name}", include_in_schema=False)
async def static_file(name: str) -> Response:
    """A static file; kept by browsers for a year since its address changes with its content."""
    asset = assets().get(name)
    if asset is None:
        raise RequestRefused(NOT_AVAILABLE)
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "ETag": f'"{asset.digest}"'}
    return Response(asset.content, media_type=asset.media_type, headers=headers)


class _Pages(jinja2.Environment):
    def getattr(self, obj: Any, attribute: str) -> Any:
        """The key of that name where there is one: what pages are given are maps, nearly all."""
        if type(obj) is dict and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)


def _phases(principal: Principal, now: datetime) -> set[Phase]:
    """Where ``now`` lies in each of a doctor's stints."""
    return {phase(window, now) for window in principal.actor.stints}


@lru_cache(maxsize=1)
def _templates() -> jinja2.Environment:
    environment = _Pages(
        loader=jinja2.FunctionLoader(_source),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=[FrenchTypography],
    )
    environment.filters["fr"] = spaced
    environment.filters["glued"] = glued
    environment.globals["static"] = asset_address
    environment.globals["severity_word"] = lambda level: wording.SEVERITY.get(
        level or "", "gravité non dite"
    )
    return environment


def _source(name: str) -> str:
    return files("releve.api").joinpath("templates", name).read_text(encoding="utf-8")


def moment(request: Request, principal: Principal | None = None) -> Moment:
    """The record's time, in the zone of the centre that is looked at."""
    zone = principal.zone if principal else "Europe/Paris"
    return Moment(services_of(request).clock(), zone)


def surroundings(request: Request, principal: Principal | None, here: str = "") -> dict[str, Any]:
    """The bar, the strip and the message: what ``around`` is in every template."""
    services = services_of(request)
    at = moment(request, principal)
    done = DONE.get(request.query_params.get("fait", ""), "")
    base: dict[str, Any] = {"done": done, "demo": services.clock.demo, "now": at.long()}
    if principal is None:
        return base | {
            "nav": [], "name": "", "role": "", "centre": "", "token": "", "no_doctor": "",
        }  # fmt: skip
    directory = services.directory.load()
    centre = directory.centre(principal.centre)
    absent = directory.without_doctor(principal.centre, at.now)
    return base | {
        "nav": [
            {"href": href, "label": label, "current": key == here}
            for key, href, label in navigation(principal, at.now)
        ],
        "name": principal.name,
        "role": wording.ROLE.get(principal.role, principal.role),
        "centre": centre.name if centre else "",
        "token": principal.session.form_token(),
        "no_doctor": _no_doctor(absent) if absent else "",
    }


def _no_doctor(answering: NamedPerson) -> str:
    """Whom to call while no doctor is in post, and who answers for the centre meanwhile."""
    return f"{NO_DOCTOR[:1].upper()}{NO_DOCTOR[1:]} · {answering.name} répond, {answering.phone}"


def navigation(principal: Principal, now: datetime) -> list[tuple[str, str, str]]:
    """The entries of the bar for a role at ``now`` (aware): key, address, label.

    Outside a stint a doctor has what its windows leave open, not links that lead nowhere.
    """
    match principal.role:
        case "doctor" | "intern" if not (during := _phases(principal, now)) & {
            "reading",
            "in-post",
        }:
            asked = [("questions", "/questions", "Questions")]
            signed = [("transmissions", "/transmissions", "Transmissions")]
            return asked * bool(during & {"grace", "questions"}) + signed * ("grace" in during)
        case "doctor" | "intern":
            return [
                ("releve", "/releve", "Relève"),
                ("patients", "/patients", "Patients"),
                ("resultats", "/resultats", "Résultats"),
                ("points", "/points", "Points"),
                ("questions", "/questions", "Questions"),
                ("transmissions", "/transmissions", "Transmissions"),
                ("arrivees", "/arrivees", "Arrivées"),
            ]
        case "referent":
            return [
                ("releve", "/releve", "Relève"),
                ("patients", "/patients", "Patients"),
                ("resultats", "/resultats", "Résultats"),
                ("points", "/points", "Points"),
                ("questions", "/questions", "Questions"),
                ("transmissions", "/relais", "Transmissions"),
                ("arrivees", "/arrivees", "Arrivées"),
                ("coordination", "/coordination", "Coordination"),
            ]
        case "coordinator" | "secretary":
            return [
                ("coordination", "/coordination", "Coordination"),
                ("echeances", "/echeances", "Échéances"),
                ("transmissions", "/relais", "Transmissions"),
                ("patients", "/patients", "Patients"),
                ("arrivees", "/arrivees", "Arrivées"),
            ]
        case "nurse":
            return [
                ("patients", "/patients", "Patients"),
                ("resultats", "/resultats", "Résultats"),
                ("points", "/points", "Points"),
                ("arrivees", "/arrivees", "Arrivées"),
            ]
        case _:
            return [("audit", "/audit", "Audit")]


def page(
    request: Request,
    principal: Principal | None,
    template: str,
    *,
    here: str = "",
    status: int = 200,
    **context: Any,
) -> Response:
    """Render a page that holds no clinical content."""
    return _answered(rendered(request, principal, template, here=here, **context), status)


def rendered(
    request: Request, principal: Principal | None, template: str, *, here: str = "", **context: Any
) -> str:
    """A page's HTML; one of clinical content leaves by :func:`clinical_answer` alone."""
    around = surroundings(request, principal, here)
    return _templates().get_template(template).render(around=around, **context)


def clinical_page(
    request: Request,
    principal: Principal,
    template: str,
    disclosed: Disclosed[dict[str, Any]],
    *,
    here: str = "",
    status: int = 200,
) -> Response:
    """Render a page of clinical content: only what :func:`read_clinical` handed over."""

    def shown(content: dict[str, Any]) -> str:
        named = {"position": disclosed.position, **content}
        return rendered(request, principal, template, here=here, **named)

    return clinical_answer(disclosed.mapped(shown), status)


def clinical_answer(disclosed: Disclosed[str], status: int = 200) -> Response:
    """Send a page that was rendered while its access entry became durable."""
    answer = _answered(disclosed.content, status)
    answer.headers["Releve-Position"] = str(disclosed.position)
    return answer


def _answered(html: str, status: int) -> Response:
    return Response(
        html, status, {"Cache-Control": "no-store"}, media_type="text/html; charset=utf-8"
    )


def error_page(request: Request, problem: Problem) -> Response:
    """A problem as a page: the same bytes for a refusal and for what does not exist.

    Whoever is signed in keeps the bar, to go on from there, but for the form to leave, whose
    token is another on each page, and the hour of a demo. A failure of ours does without the bar,
    since it is read from the directory.
    """
    principal = _whoever(request) if problem.status < 500 and problem.status != 401 else None
    around: dict[str, Any] = {"done": ""}
    if principal is not None:
        around = surroundings(request, principal) | {"done": "", "token": "", "demo": False}
    if problem.code == NOT_AVAILABLE.code:
        problem = replace(problem, what=NOT_HERE, do=NOT_HERE_DO)
    body = (
        _templates()
        .get_template("message.html")
        .render(around=around, problem=problem, signed_in=principal is not None)
    )
    return Response(body, problem.status, problem.headers(), media_type="text/html; charset=utf-8")


def _whoever(request: Request) -> Principal | None:
    try:
        return signed_in(request)
    except (SignInNeeded, RequestRefused, ReleveError, SecurityError):
        return None


def see(path: str, **query: str) -> RedirectResponse:
    """Redirect after a form was accepted (303), to a path of this service only."""
    if not path.startswith("/") or path.startswith(("//", "/\\")):
        path = "/"
    parts = urlencode({name: value for name, value in query.items() if value})
    base, _, anchor = path.partition("#")
    joined = base + (("&" if "?" in base else "?") + parts if parts else "")
    return RedirectResponse(joined + (f"#{anchor}" if anchor else ""), 303)
