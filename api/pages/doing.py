"""The form of one act about a patient: what it is about is quoted, one button does it."""

from __future__ import annotations

from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from releve.api.acting import authorise_command
from releve.api.entry_kinds import kind_of
from releve.api.gate import (
    Granted,
    Guard,
    Submission,
    identifier,
    services_of,
)
from releve.api.pages import beside, forms, result_views, views
from releve.api.pages.about_patient import Opened, patient_page
from releve.api.pages.act_data import begun, carried, data_of, options_of, result_of_entry
from releve.api.pages.acts import ACTS, Act
from releve.api.pages.forms import Form
from releve.api.pages.late import SAY_WHEN, is_late, may_write
from releve.api.pages.shell import moment, see
from releve.api.pages.twice import DONE, perform_once
from releve.api.problems import NOT_AVAILABLE, RequestRefused, problem_for
from releve.api.reading import timeline_of
from releve.domain.commands import COMMANDS
from releve.domain.errors import ReleveError
from releve.projections.dates import Moment
from releve.projections.patient_summary import PatientSummary, Result
from releve.security.policy import Action

router = APIRouter(include_in_schema=False)

Reading = Annotated[Granted, Depends(Guard(Action.READ_CLINICAL, "patient"))]
BOARDS: Final = {"resultats": "/resultats", "points": "/points", "releve": "/releve"}
"""Where to go back to, beside the patient's own pages: a closed list."""


@router.get("/patients/{patient}/gestes/{act}")
def blank(request: Request, granted: Reading, act: str, retour: str = "") -> Response:
    """The form of an act about the patient."""
    return _opened(request, granted, act, None, retour)


@router.get("/patients/{patient}/gestes/{act}/{entry}")
def blank_about(
    request: Request, granted: Reading, act: str, entry: str, retour: str = ""
) -> Response:
    """The form of an act about one entry."""
    return _opened(request, granted, act, _known(identifier(entry)), retour)


@router.post("/patients/{patient}/gestes/{act}")
def do(request: Request, granted: Reading, act: str, submitted: Submission) -> Response:
    """Do an act about the patient."""
    form = forms.read_or_refuse(submitted, Form(granted.principal.session.form_token()))
    return _done(request, granted, act, None, form)


@router.post("/patients/{patient}/gestes/{act}/{entry}")
def do_about(
    request: Request, granted: Reading, act: str, entry: str, submitted: Submission
) -> Response:
    """Do an act about one entry."""
    form = forms.read_or_refuse(submitted, Form(granted.principal.session.form_token()))
    return _done(request, granted, act, _known(identifier(entry)), form)


def _known(entry: UUID | None) -> UUID:
    if entry is None:
        raise RequestRefused(NOT_AVAILABLE)
    return entry


def _asked(request: Request, granted: Granted, word: str, entry: UUID | None) -> tuple[Act, bool]:
    """The act, and whether it would be written late; refused as whoever may not do it."""
    act = ACTS.get(word)
    if act is None or bool(act.about) < (entry is not None) or (
        act.about and entry is None and not act.may_be_about
    ):  # fmt: skip
        raise RequestRefused(NOT_AVAILABLE)
    return act, is_late(may_write(request, granted, act.command, entry))


def _opened(
    request: Request, granted: Granted, word: str, entry: UUID | None, back: str
) -> Response:
    act, late = _asked(request, granted, word, entry)
    form = Form(granted.principal.session.form_token(), forms.new_key())
    form.values["retour"] = back if back in BOARDS else ""
    return _page(request, granted, word, act, entry, form, late=late, fresh=True)


def _done(
    request: Request, granted: Granted, word: str, entry: UUID | None, form: Form
) -> Response:
    act, late = _asked(request, granted, word, entry)
    services, principal = services_of(request), granted.principal
    form.key = form.key or forms.new_key()
    if form.kept:
        return _page(request, granted, word, act, entry, form, late=late)
    at = moment(request, principal)
    data = data_of(act, form, at, granted.centre, entry)
    if not form.wrong:
        try:
            command = COMMANDS[act.command].parse(data)
            fresh = perform_once(
                services,
                authorise_command(services, principal, command, granted.patient),
                command,
                form,
                client_key=f"{form.key}.{word}.{entry or ''}",
            )
        except RequestRefused:
            if not late:
                raise
            form.wrong["occurred_at"] = SAY_WHEN
        except ReleveError as error:
            form.refused(
                problem_for(error),
                {each.name: each.name for each in act.fields},
                {each.name: each.label for each in act.fields},
            )
        else:
            board = BOARDS.get(form.value("retour"))
            return see(
                board or f"/patients/{granted.patient}{act.back}", fait=act.done if fresh else DONE
            )
    return _page(request, granted, word, act, entry, form, late=late, status=422)


def _page(
    request: Request,
    granted: Granted,
    word: str,
    act: Act,
    entry: UUID | None,
    form: Form,
    *,
    late: bool,
    fresh: bool = False,
    status: int = 200,
) -> Response:

    def content(record: Opened) -> dict[str, Any]:
        summary, at = record.summary, record.at
        if fresh:
            form.position = record.position
            form.values.update(begun(act, summary, at, entry))
        result = result_of_entry(summary, entry)
        fields = []
        for each in act.fields:
            options = options_of(
                each, summary, record.directory, granted.centre, at, granted.principal.person,
                result,
            )  # fmt: skip
            if each.control in ("choice", "radio") and not options:
                continue
            fields.append({"field": each, "options": options})
        return {
            "act": act,
            "word": word,
            "entry": str(entry) if entry else "",
            "quoted": _quoted(request, granted, act, summary, entry, at) if entry else None,
            "result": result_views.result_view(result, summary, at) if result else None,
            "form": form,
            "fields": fields,
            "carried": carried(act),
            "treatments": [
                {"id": str(line.entry_id), "text": line.text}
                for line in summary.slot("medications") if line.current
            ],
            "late": late or bool(form.error("late_reason")),
            "beside": _beside(request, granted, record, result)
            if result and act.command == "review-result"
            else None,
            "back": BOARDS.get(form.value("retour")) or f"/patients/{granted.patient}{act.back}",
        }  # fmt: skip

    return patient_page(request, granted, "act.html", content, status=status)


def _beside(request: Request, granted: Granted, record: Opened, result: Result) -> dict[str, Any]:
    """What a result is read against: its earlier values, then the record."""
    thread = timeline_of(services_of(request), granted.patient, beside.READ_BACK)
    shown = beside.record(
        record.summary, thread, record.at, granted.centre, record.directory
    )  # fmt: skip
    return shown | {"results": beside.earlier_values(result, record.summary)}


def _quoted(
    request: Request,
    granted: Granted,
    act: Act,
    summary: PatientSummary,
    entry: UUID,
    at: Moment,
) -> dict[str, Any]:
    """The entry as the summary or the thread has it; one of another kind is not available."""
    line = summary.entry(entry)
    if line is not None and (not act.topics or line.topic in act.topics):
        kind = kind_of(line.topic)[0]
        return views.line_view(line, views.without_label(line.text), kind=kind)
    found = next(
        (each for each in timeline_of(services_of(request), granted.patient)
         if each.event_id == entry), None,
    )  # fmt: skip
    if found is None or (act.topics and found.topic not in act.topics):
        raise RequestRefused(NOT_AVAILABLE)
    return {**views.entry_view(found, at.zone), "late": found.late}
