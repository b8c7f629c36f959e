"""A result told on the phone: whoever answers writes it down, and nobody at the desk reads it back.

The value goes to the record of the patient, or to the inbox where there is none; the answer says
that it was received, and shows nothing of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from releve.api.acting import authorise_command, perform
from releve.api.disclosure import read_clinical
from releve.api.gate import Granted, Guard, Submission, authorise, identifier, services_of
from releve.api.inbox import receive_phoned
from releve.api.inbox_views import identity as identity_said
from releve.api.pages import forms, views
from releve.api.pages.forms import Form
from releve.api.pages.measures import BY_KEY, Measure, read_measure
from releve.api.pages.shell import clinical_page, moment, see
from releve.api.problems import problem_for
from releve.domain.codes import Loinc
from releve.domain.commands import COMMANDS
from releve.domain.errors import Invalid, ReleveError
from releve.domain.events import Author
from releve.domain.values import (
    IdentityTraits,
    ResultLine,
    UcumUnit,
)
from releve.projections.dates import Moment, french
from releve.projections.patient_summary import PatientSummary
from releve.projections.records import plain_name
from releve.security.policy import Action

router = APIRouter(include_in_schema=False)

FOUND: Final = 12
OTHER: Final = "other"

_MORE: Final = (
    Measure("platelets", "Plaquettes (G/L)", "777-3", (("g/l", "10*9/L"),)),
    Measure("white-cells", "Leucocytes (G/L)", "6690-2", (("g/l", "10*9/L"),)),
    Measure("troponin-t", "Troponine T hypersensible (ng/L)", "67151-1", (("ng/l", "ng/L"),)),
    Measure("troponin-i", "Troponine I hypersensible (ng/L)", "89579-7", (("ng/l", "ng/L"),)),
    Measure("crp", "CRP (mg/L)", "1988-5", (("mg/l", "mg/L"),)),
    Measure("calcium", "Calcémie (mmol/L)", "2000-8", (("mmol/l", "mmol/L"),)),
    Measure("d-dimer", "D-dimères (µg/L)", "48058-2", (("µg/l", "ug/L"), ("ug/l", "ug/L"))),
)  # fmt: skip
_USUAL: Final = (
    "potassium", "sodium", "creatinine", "glucose", "haemoglobin", "inr",
)  # fmt: skip
TESTS: Final[Mapping[str, Measure]] = {
    **{key: BY_KEY[key] for key in _USUAL},
    **{measure.key: measure for measure in _MORE},
}
"""What laboratories phone about, each with its usual unit; any other by its LOINC code."""

OPTIONS: Final = (
    ("", "Choisir…"), *((each.key, each.label) for each in TESTS.values()),
    (OTHER, "Autre examen"),
)  # fmt: skip

Dropping = Annotated[Granted, Depends(Guard(Action.DROP_RESULT, "centre"))]


@router.get("/arrivees/telephone")
def blank(request: Request, granted: Dropping) -> Response:
    """The form; what is typed in it stands nowhere else once it is sent."""
    principal = granted.principal
    return _page(request, granted, Form(principal.session.form_token(), forms.new_key()))


@router.post("/arrivees/telephone")
def dropped(request: Request, granted: Dropping, submitted: Submission) -> Response:
    """Look the patient up, or keep the value: for a record, or for the inbox without one."""
    services, principal = services_of(request), granted.principal
    form = forms.read_or_refuse(submitted, Form(principal.session.form_token(), forms.new_key()))
    if form.value("chercher"):
        return _page(request, granted, form)
    line = _line(form)
    caller = form.value("caller").strip()
    if not caller:
        form.wrong["caller"] = "Dire qui appelle."
    if not form.value("read_back"):
        form.wrong["read_back"] = "Relire la valeur à l’appelant, puis cocher."
    patient = identifier(form.value("patient"))
    identity = None if patient else _identity(form)
    happened = forms.occurred_at(form, principal.zone)
    if form.wrong or line is None:
        return _page(request, granted, form, status=422)
    told = {"dossier": str(patient)} if patient else {}
    try:
        if patient is not None:
            data: dict[str, Any] = {
                "status": "phoned",
                "title": line.code.text,
                "lines": [msgspec.to_builtins(line)],
                "caller": caller,
                "laboratory": caller,
                "read_back": True,
            }
            if happened:
                data["occurred_at"] = happened
            command = COMMANDS["receive-result"].parse(data)
            perform(
                services,
                authorise_command(services, principal, command, patient),
                command,
                client_key=form.key or forms.new_key(),
                target=patient,
                channel="phone",
            )
        elif identity is not None:
            document = receive_phoned(
                services,
                centre=granted.centre,
                author=Author(
                    role=principal.role,  # type: ignore[arg-type]  # the policy's own words
                    name=principal.name,
                    person=principal.person,
                    stint=granted.decision.stint,
                ),
                identity=identity,
                line=line,
                caller=caller,
                read_back=True,
                occurred_at=happened or services.clock().isoformat(timespec="minutes"),
                zone=principal.zone,
            )
            services.catch_up()
            told = {"document": str(document)}
    except ReleveError as error:
        problem = problem_for(error)
        if problem.status == 404:
            raise
        form.refused(problem, {"lines": "measure", "identity": "birth_name"})
        return _page(request, granted, form, status=422)
    return see("/arrivees/telephone", fait="resultat-dicte", **told)


def _line(form: Form) -> ResultLine | None:
    """The value with its unit, as one typed field; what is wrong stands on the form."""
    chosen, typed = form.value("test"), form.value("measure").strip()
    among: Mapping[str, Measure] = TESTS
    if chosen == OTHER:
        other = _other(form)
        if other is None:
            return None
        among = {OTHER: other}
    if not chosen:
        form.wrong["test"] = "Choisir l’examen."
        return None
    found = read_measure(chosen, typed, among)
    if isinstance(found, str):
        form.wrong["measure"] = found
        return None
    return msgspec.convert(found, ResultLine)


def _other(form: Form) -> Measure | None:
    """A test by its LOINC code, with whatever known unit was typed after the value."""
    try:
        code = Loinc(form.value("loinc").strip(), field="loinc")
    except Invalid as refused:
        form.wrong["loinc"] = refused.why
        return None
    unit = form.value("measure").strip().partition(" ")[2].strip()
    if not unit:
        form.wrong["measure"] = "Écrire la valeur, un espace, puis son unité."
        return None
    try:
        known = UcumUnit(unit, field="measure")
    except Invalid as refused:
        form.wrong["measure"] = refused.why
        return None
    label = form.value("loinc_text").strip() or f"LOINC {code}"
    return Measure(OTHER, label, str(code), ((unit.casefold(), str(known)),))


def _identity(form: Form) -> IdentityTraits | None:
    """Whose result it is, where no record was chosen."""
    name, first, born = (form.value(n).strip() for n in ("birth_name", "first_name", "birth_date"))
    if not name:
        form.wrong["birth_name"] = "Choisir un dossier, ou écrire le nom de naissance."
        return None
    return IdentityTraits(
        birth_name=name, first_names=(first,) if first else (), birth_date=born or None
    )


def _sent_for(request: Request, granted: Granted, at: Moment) -> str:
    """Whose result was just sent: name and birth date, never the value; empty where unknown.

    The address names the record, or the document that waits for one, by its pseudonym alone.
    """
    services = services_of(request)
    record = identifier(request.query_params.get("dossier", ""))
    waiting = identifier(request.query_params.get("document", ""))
    if record is not None:
        summary = services.records.summaries(granted.centre)[1].get(record)
        who = views.traits(summary, at) if summary is not None else None
        return f"{who['name']}, {who['born']}" if who else ""
    line = services.inbox.one(waiting) if waiting is not None else None
    if line is None or line.centre != granted.centre or line.received.identity is None:
        return ""
    said = identity_said(line.received.identity)
    born = f", {french(said['birth_date'], at.zone)}" if said["birth_date"] else ""
    return f"{said['name']}{born}, à rattacher"


def _candidate(summary: PatientSummary, at: Moment, shared_names: frozenset[str]) -> dict[str, Any]:
    """A record that the value may be for, with what tells it from another of the same name."""
    who = views.traits(summary, at)
    return {**who, "namesake": plain_name(who["name"]) in shared_names}


def _named(request: Request, granted: Granted) -> list[UUID]:
    record = identifier(request.query_params.get("dossier", ""))
    known = services_of(request).records.summaries(granted.centre)[1]
    return [record] if record in known else []


def _page(request: Request, granted: Granted, form: Form, status: int = 200) -> Response:
    services, principal = services_of(request), granted.principal
    at = moment(request, principal)
    query = form.value("nom").strip()[:80]
    looking = authorise(services, principal, Action.READ_IDENTITY, "centre", granted.centre)

    def produce() -> tuple[dict[str, Any], int]:
        position = services.feed.position()
        found = services.records.search(granted.centre, query, limit=FOUND) if query else []
        twice = services.records.shared_names(granted.centre)
        return {
            "form": form,
            "tests": OPTIONS,
            "found": [_candidate(each, at, twice) for each in found],
            "sent_for": _sent_for(request, granted, at),
            "named": [each.patient for each in found] + _named(request, granted),
            "query": query,
        }, position

    disclosed = read_clinical(
        services, looking, produce, what="page.phoned", patients=lambda shown: shown["named"]
    )
    return clinical_page(
        request, principal, "inbox_phoned.html", disclosed, here="arrivees", status=status
    )
