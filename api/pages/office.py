"""The coordinator's page: deadlines by rank, labels only, and who is in post."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from releve.api.acting import perform
from releve.api.disclosure import read_clinical
from releve.api.gate import Granted, Guard, Submission, identifier, may, services_of
from releve.api.pages import forms, views
from releve.api.pages.forms import Form
from releve.api.pages.shell import clinical_page, moment, see
from releve.api.problems import problem_for, refuse
from releve.domain.commands import COMMANDS
from releve.domain.errors import ReleveError
from releve.projections import wording
from releve.projections.dates import Moment, french, zone_of
from releve.projections.directory import Directory, StintLine
from releve.projections.open_items import BoardLine
from releve.projections.records import open_items_of
from releve.projections.rhythm import rhythm
from releve.security.policy import Action

router = APIRouter(include_in_schema=False)
SHOWN = 100

Labels = Annotated[Granted, Depends(Guard(Action.READ_ITEM_LABELS, "centre"))]
Closing = Annotated[Granted, Depends(Guard(Action.CLOSE_ADMIN_ITEM, "patient"))]


@router.get("/echeances")
def deadlines(request: Request, granted: Labels) -> Response:
    """What must still happen in the centre: nature, deadline and who answers; never the text."""
    return _page(request, granted, None)


def _page(request: Request, granted: Granted, refused: Form | None, status: int = 200) -> Response:
    services, principal = services_of(request), granted.principal
    at = moment(request, principal)

    def produce() -> tuple[dict[str, Any], int]:
        records = services.records
        directory = services.directory.load()
        position, _ = records.summaries(granted.centre)
        lines = open_items_of(
            services.pool, services.data_keys, records, directory, granted.centre, at.now
        )
        summaries = records.summaries(granted.centre)[1]
        twice = records.shared_names(granted.centre)
        return {
            "lines": [
                {
                    **_label(line, at),
                    **views.traits(summaries[line.patient], at),
                    "who": views.who_on_a_board(summaries[line.patient], at, twice, clinical=False),
                }
                for line in lines[:SHOWN]
            ],
            "number": len(lines),
            "late": sum(line.overdue for line in lines),
            "form": refused or Form(principal.session.form_token(), forms.new_key(), position),
            "refused": refused,
            "may_close": may(services, granted, Action.CLOSE_ADMIN_ITEM),
            "stints": _stints(directory, granted.centre, at),
        }, position

    disclosed = read_clinical(
        services, granted, produce, what="page.deadlines",
        patients=lambda content: list(dict.fromkeys(UUID(each["id"]) for each in content["lines"])),
    )  # fmt: skip
    return clinical_page(
        request, principal, "deadlines.html", disclosed, here="echeances", status=status
    )


def _label(line: BoardLine, at: Moment) -> dict[str, Any]:
    """One item without its body; only an administrative one says what it is."""
    item = line.item
    late = line.overdue_days
    return {
        "entry_id": str(item.line.entry_id),
        "nature": wording.ITEM_KIND[item.kind].capitalize(),
        "admin": item.kind == "admin",
        "text": str(item.line.detail["text"]) if item.kind == "admin" else "",
        "due": french(item.due, at.zone) if item.due else "",
        "late": f"{late} jour{'s' if late > 1 else ''}" if late else "",
        "owner": line.owner,
    }


def _stints(directory: Directory, centre: UUID, at: Moment) -> list[dict[str, Any]]:
    """Who was, is and will be in post, around now."""
    stints = directory.stints_of(centre)
    past = [line for line in stints if line.over_at <= at.now][-1:]
    near = [line for line in stints if line.over_at > at.now][:4]
    return [_stint(line, at) for line in (*past, *near)]


def _stint(line: StintLine, at: Moment) -> dict[str, Any]:
    first, last = (m.astimezone(zone_of(at.zone)) for m in (line.starts_at, line.over_at))
    days = rhythm(line.pattern)
    return {
        "name": line.practitioner_name,
        "period": f"du {first:%d/%m} au {last:%d/%m/%Y}" + (days and f", {days}"),
        "now": line.active(at.now),
        "past": line.over_at <= at.now,
    }


@router.post("/patients/{patient}/echeances/{item}")
def close(request: Request, granted: Closing, item: str, submitted: Submission) -> Response:
    """Close an administrative item; the record refuses any other."""
    found = identifier(item)
    if found is None:
        raise refuse(404)
    services = services_of(request)
    form = forms.read_or_refuse(submitted, Form(granted.principal.session.form_token()))
    data = {"item": item, "outcome": "done", "evidence": form.value("evidence").strip()}
    try:
        perform(
            services, granted, COMMANDS["close-item"].parse(data),
            client_key=form.key or forms.new_key(), target=granted.patient,
            seen_position=form.position,
        )  # fmt: skip
    except ReleveError as error:
        problem = problem_for(error)
        if problem.status == 404:
            raise
        return see("/echeances", refus=problem.code)
    return see("/echeances", fait="point-clos")
