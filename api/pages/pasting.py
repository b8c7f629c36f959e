"""Between this record and the centre's own software: paste a consultation in, copy a note out.

What is pasted becomes a signed note whose source says ``paste``; nothing is read into it.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from releve.api.gate import Granted, Guard, Submission, authorise, may, services_of
from releve.api.pages import forms, views
from releve.api.pages.about_patient import Opened, patient_page
from releve.api.pages.forms import Form
from releve.api.pages.late import is_late
from releve.api.pages.shell import see
from releve.api.pages.twice import DONE, perform_once
from releve.api.problems import problem_for
from releve.api.reading import timeline_of
from releve.domain.commands import COMMANDS
from releve.domain.errors import ReleveError
from releve.security.policy import Action

router = APIRouter(include_in_schema=False)

NOTE: Final = "patient.note-signed"
COPIED: Final = 3
"""Newest notes that can be copied from the page."""

Pasting = Annotated[Granted, Depends(Guard(Action.WRITE_NOTE, "patient", late=True))]


@router.get("/patients/{patient}/coller")
def blank(request: Request, granted: Pasting) -> Response:
    """The box to paste in, and the newest notes as plain text."""
    form = Form(granted.principal.session.form_token(), forms.new_key())
    return _page(request, granted, form)


@router.post("/patients/{patient}/coller")
def paste(request: Request, granted: Pasting, submitted: Submission) -> Response:
    """Sign the pasted text as a note."""
    form = forms.read_or_refuse(submitted, Form(granted.principal.session.form_token()))
    form.key = form.key or forms.new_key()
    if form.kept:
        return _page(request, granted, form)
    text = form.value("texte").strip()
    line = form.value("one_liner").strip()
    if not text:
        form.wrong["texte"] = "Coller le texte de la consultation."
    data: dict[str, Any] = {"subjective": text}
    if line:
        data["one_liner"] = line
    happened = forms.occurred_at(form, granted.principal.zone)
    if happened:
        data["occurred_at"] = happened
    if form.value("late_reason").strip():
        data["late_reason"] = form.value("late_reason").strip()
    if not form.wrong:
        try:
            fresh = perform_once(
                services_of(request),
                granted,
                COMMANDS["sign-note"].parse(data),
                form,
                client_key=form.key,
                channel="paste",
            )
        except ReleveError as error:
            form.refused(problem_for(error), {"subjective": "texte"})
        else:
            return see(f"/patients/{granted.patient}#fil", fait="note-collee" if fresh else DONE)
    return _page(request, granted, form, status=422)


def _page(request: Request, granted: Granted, form: Form, status: int = 200) -> Response:
    services, principal = services_of(request), granted.principal
    reading = authorise(services, principal, Action.READ_CLINICAL, "patient", granted.patient)

    def content(record: Opened) -> dict[str, Any]:
        form.position = record.position if form.position is None else form.position
        notes = [
            entry
            for entry in timeline_of(services, granted.patient)
            if entry.topic == NOTE and entry.status in ("current", "amended")
        ][:COPIED]
        return {
            "form": form,
            "late": is_late(granted),
            "may_sign": may(services, granted, Action.WRITE_NOTE),
            "notes": [views.entry_view(entry, record.at.zone) for entry in notes],
        }

    return patient_page(request, reading, "paste.html", content, status=status)
