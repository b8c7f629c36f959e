"""The day's list: pasted or dropped, shown with the record of each line, written once confirmed."""

from __future__ import annotations

from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from releve.api.acting import authorise_command, perform
from releve.api.agenda import Proposed, proposed
from releve.api.disclosure import read_clinical
from releve.api.gate import (
    Granted,
    Guard,
    Submission,
    authorise,
    identifier,
    services_of,
    uploads_of,
)
from releve.api.pages import forms, views
from releve.api.pages.forms import Form
from releve.api.pages.shell import clinical_page, moment, see
from releve.api.problems import RequestRefused, problem_for
from releve.domain.commands import COMMANDS
from releve.domain.errors import Invalid, ReleveError
from releve.fhir.day_list import DayListProblem, read_day_list
from releve.projections.dates import Moment, french
from releve.security.policy import Action

router = APIRouter(include_in_schema=False)

MOST: Final = 250
"""Lines that one confirmation may carry; a longer list is confirmed in parts."""

Planning = Annotated[Granted, Depends(Guard(Action.WRITE_AGENDA, "centre"))]


@router.get("/arrivees/agenda")
def blank(request: Request, granted: Planning) -> Response:
    """The form."""
    form = Form(granted.principal.session.form_token(), forms.new_key())
    return _page(request, granted, form, [], ())


@router.post("/arrivees/agenda")
def preview(request: Request, granted: Planning, submitted: Submission) -> Response:
    """Show what was read and whose it is; nothing is written, and no reason is kept."""
    services, principal = services_of(request), granted.principal
    form = forms.read_or_refuse(submitted, Form(principal.session.form_token(), forms.new_key()))
    sent = [each.content for each in uploads_of(request)]
    pasted = form.values.pop("texte", "").strip()
    raw = sent[0] if sent else pasted.encode()
    if not raw.strip():
        form.wrong["texte"] = "Choisir un fichier, ou coller la liste."
        return _page(request, granted, form, [], (), status=422)
    day = form.value("jour").strip() or moment(request, principal).day.isoformat()
    try:
        found = read_day_list(raw, zone=principal.zone, day=day)
    except Invalid as refused:
        form.wrong["texte"] = refused.why or refused.what
        return _page(request, granted, form, [], (), status=422)
    rows = proposed(services, granted.centre, found.lines[:MOST])
    rest = tuple(
        DayListProblem(line=each.raw_line_number, why="Au-delà de ce qu'une page confirme.")
        for each in found.lines[MOST:]
    )
    return _page(request, granted, form, rows, (*found.problems, *rest))


@router.post("/arrivees/agenda/inscrire")
def confirm(request: Request, granted: Planning, submitted: Submission) -> Response:
    """Write what was confirmed, line by line; a line that is refused is told, the others stand."""
    services, principal = services_of(request), granted.principal
    form = forms.read_or_refuse(submitted, Form(principal.session.form_token(), forms.new_key()))
    key = form.key or forms.new_key()
    wrong: list[DayListProblem] = []
    written = 0
    for number in range(MOST):
        prefix = f"l{number}."
        patient = identifier(form.value(prefix + "patient"))
        if patient is None or not form.value(prefix + "take"):
            continue
        data: dict[str, Any] = {"starts_at": form.value(prefix + "starts_at")}
        if form.value(prefix + "minutes").isdigit():
            data["minutes"] = int(form.value(prefix + "minutes"))
        for name in ("reference", "status"):
            if form.value(prefix + name):
                data[name] = form.value(prefix + name)
        try:
            command = COMMANDS["notice-appointment"].parse(data)
            perform(
                services,
                authorise_command(services, principal, command, patient),
                command,
                client_key=f"{key}.{number}",
                target=patient,
                wait=False,
            )
            written += 1
        except RequestRefused:
            wrong.append(DayListProblem(line=number + 1, why="Dossier non disponible."))
        except ReleveError as error:
            problem = problem_for(error)
            wrong.append(DayListProblem(line=number + 1, why=problem.why or problem.what))
    services.catch_up()
    if wrong:
        return _page(request, granted, form, [], tuple(wrong), status=422, written=written)
    return see("/arrivees/agenda", fait="agenda" if written else "")


def _page(
    request: Request,
    granted: Granted,
    form: Form,
    rows: list[Proposed],
    problems: tuple[DayListProblem, ...],
    *,
    status: int = 200,
    written: int = 0,
) -> Response:
    services, principal = services_of(request), granted.principal
    at = moment(request, principal)
    looking = authorise(services, principal, Action.READ_IDENTITY, "centre", granted.centre)

    def produce() -> tuple[dict[str, Any], int]:
        position, summaries = services.records.summaries(granted.centre)
        named: list[UUID] = [row.patient for row in rows if row.patient]
        return {
            "form": form,
            "rows": [
                {
                    "number": number,
                    "when": views.day_and_hour(row.line.starts_at, at.zone),
                    "starts_at": row.line.starts_at,
                    "minutes": row.line.minutes,
                    "reference": row.line.reference or "",
                    "status": row.line.status,
                    "said": _said(row, at),
                    "patient": str(row.patient) if row.patient else "",
                    "name": summaries[row.patient].full_name() if row.patient else "",
                    "born": views.traits(summaries[row.patient], at)["born"] if row.patient else "",
                    "why": row.why,
                }
                for number, row in enumerate(rows)
            ],
            "certain": sum(row.patient is not None for row in rows),
            "problems": [{"line": each.line, "why": each.why} for each in problems],
            "written": written,
            "named": named,
        }, position

    disclosed = read_clinical(
        services, looking, produce, what="page.day-list", patients=lambda found: found["named"]
    )
    return clinical_page(
        request, principal, "day_list.html", disclosed, here="arrivees", status=status
    )


def _said(row: Proposed, at: Moment) -> str:
    """Who the agenda says it is for."""
    said = row.line.identity
    first = said.first_names[0] if said.first_names else ""
    name = " ".join(part for part in (first, said.used_name or said.birth_name) if part)
    return f"{name}, {french(said.birth_date, at.zone)}" if said.birth_date else name
