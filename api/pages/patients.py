"""The centre's patients: the list, the search by name, a new record."""

from __future__ import annotations

from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from releve.api.acting import perform
from releve.api.disclosure import read_clinical
from releve.api.gate import (
    Granted,
    Guard,
    Submission,
    authorise,
    field,
    identifier,
    may,
    services_of,
)
from releve.api.homonyms import homonyms
from releve.api.originals import granted_document
from releve.api.pages import forms, views
from releve.api.pages.forms import Form
from releve.api.pages.shell import clinical_page, moment, page, see
from releve.api.problems import problem_for
from releve.domain.commands import COMMANDS, Command, RegisterPatient
from releve.domain.errors import ReleveError
from releve.projections.dates import Moment
from releve.projections.patient_summary import PatientSummary
from releve.projections.records import plain_name
from releve.security.ledger.envelope import derive_stream
from releve.security.policy import Action

router = APIRouter(include_in_schema=False)
PER_PAGE = 50
SHOWN_FOR_A_SEARCH = 50

Listing = Annotated[Granted, Depends(Guard(Action.READ_IDENTITY, "centre"))]
Registering = Annotated[Granted, Depends(Guard(Action.WRITE_IDENTITY, "centre"))]


@router.get("/patients")
def listed(request: Request, granted: Listing, page: int = 1) -> Response:
    """Everybody by name, fifty a page."""
    return _list(request, granted, max(1, page), "")


@router.post("/patients")
def searched(request: Request, granted: Listing, form: Submission) -> Response:
    """Search by name; by POST, so that no name stands in an address."""
    return _list(request, granted, 1, field(form, "nom").strip()[:80])


def _list(request: Request, granted: Granted, number: int, query: str) -> Response:
    services = services_of(request)
    principal = granted.principal
    at = moment(request, principal)
    clinical = may(services, granted, Action.READ_CLINICAL)

    def produce() -> tuple[dict[str, Any], int]:
        records = services.records
        position, _ = records.summaries(granted.centre)
        found = records.search(granted.centre, query, limit=2**31)
        total = len(found)
        twice = records.shared_names(granted.centre)
        if query:
            pages, first, shown = 1, 0, SHOWN_FOR_A_SEARCH
        else:
            pages, first, shown = max(1, -(-total // PER_PAGE)), (number - 1) * PER_PAGE, PER_PAGE
        rows = [_row(each, at, twice, clinical) for each in found[first : first + shown]]
        return {
            "patients": rows,
            "total": total,
            "query": query,
            "searched": bool(query),
            "page": min(number, pages),
            "pages": pages,
            "clinical": clinical,
            "may_register": may(services, granted, Action.WRITE_IDENTITY),
        }, position

    disclosed = read_clinical(
        services,
        granted,
        produce,
        what="page.patients",
        patients=lambda content: [UUID(row["id"]) for row in content["patients"]],
    )
    return clinical_page(request, principal, "patients.html", disclosed, here="patients")


def _row(
    summary: PatientSummary, at: Moment, twice: frozenset[str], clinical: bool
) -> dict[str, Any]:
    traits = views.traits(summary, at)
    return {
        **traits,
        "href": traits["href"] if clinical else "",
        "namesake": plain_name(traits["name"]) in twice,
        "severity": views.severity_of(summary) if clinical else None,
        "allergy": views.allergy(summary, at) if clinical else None,
    }


@router.get("/patients/nouveau")
def blank(request: Request, granted: Registering, document: str = "") -> Response:
    """The form of a new record; with the traits of a received document's header, where it says."""
    principal = granted.principal
    form = Form(principal.session.form_token(), forms.new_key())
    received = identifier(document) if document else None
    if received is None:
        return page(request, principal, "register.html", here="patients", form=form)
    services = services_of(request)
    sorting = authorise(services, principal, Action.READ_INBOX_HEADER, "inbox", received)

    def produce() -> tuple[dict[str, Any], int]:
        said = granted_document(request, sorting).received.identity
        form.values["document"] = str(received)
        if said is not None:
            form.values |= {
                "birth_name": said.birth_name or "",
                "first_names": ", ".join(said.first_names),
                "used_name": said.used_name or "",
                "birth_date": said.birth_date or "",
                "sex": said.sex or "",
                "birth_place": said.birth_place or "",
            }
        return {"form": form}, services.feed.position()

    disclosed = read_clinical(
        services,
        sorting,
        produce,
        what="page.inbox-document",
        purpose=str(received),
        patients=lambda _: [],
    )
    return clinical_page(request, principal, "register.html", disclosed, here="patients")


@router.post("/patients/nouveau")
def register(request: Request, granted: Registering, submitted: Submission) -> Response:
    """Open a record, then show it; everything typed comes back with an error."""
    services, principal = services_of(request), granted.principal
    form = forms.read_or_refuse(submitted, Form(principal.session.form_token(), forms.new_key()))
    data = forms.registration(form)
    if not form.wrong:
        try:
            command = COMMANDS["register-patient"].parse(data)
            key = form.key or forms.new_key()
            if not form.value("homonym") and _homonyms(request, granted, command, key):
                form.wrong["homonym"] = _SAME
                return page(
                    request, principal, "register.html", here="patients", status=422, form=form
                )
            patient = perform(services, granted, command, client_key=key).outcome.stream
            if form.value("declared"):
                _declare(request, granted, patient, key)
            back = identifier(form.value("document"))
            if back is not None:
                return see(f"/arrivees/{back}", fait="dossier")
            readable = may(services, granted, Action.READ_CLINICAL)
            return see(f"/patients/{patient}" if readable else "/patients", fait="dossier")
        except ReleveError as error:
            form.refused(problem_for(error))
    return page(request, principal, "register.html", here="patients", status=422, form=form)


_SAME: Final = (
    "Un dossier du centre porte ce nom et cette date de naissance : le chercher dans la liste ; "
    "si c’est une autre personne, cocher cette case."
)


def _homonyms(request: Request, granted: Granted, command: Command, key: str) -> bool:
    """Whether another record bears these names; not the one that this very request opened."""
    services, actor = services_of(request), granted.principal.actor_bytes()
    own = derive_stream(actor, services.blind_index.request_key(actor, key.encode()))
    return isinstance(command, RegisterPatient) and bool(
        homonyms(services, granted.centre, command, but=own)
    )


def _declare(request: Request, granted: Granted, patient: UUID, key: str) -> None:
    since = moment(request, granted.principal).day.isoformat()
    data = {"kind": "centre", "since": since, "centre": str(granted.centre)}
    command = COMMANDS["declare-medecin-traitant"].parse(data)
    perform(services_of(request), granted, command, client_key=f"{key}.mt", target=patient)
