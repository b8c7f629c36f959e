"""Correcting what is signed: a note is added to, an entry is marked as an error; nothing leaves."""

from __future__ import annotations

from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from releve.api.gate import Granted, Guard, Submission, authorise, identifier, may, services_of
from releve.api.pages import forms, views
from releve.api.pages.about_patient import Opened, patient_page
from releve.api.pages.forms import Form
from releve.api.pages.late import is_late
from releve.api.pages.shell import see
from releve.api.pages.twice import DONE, perform_once
from releve.api.problems import NOT_AVAILABLE, RequestRefused, problem_for
from releve.api.reading import timeline_of
from releve.domain.aggregates.patient.handover import left_by
from releve.domain.commands import COMMANDS
from releve.domain.errors import ReleveError
from releve.projections.timeline import TimelineEntry
from releve.security.policy import Action

router = APIRouter(include_in_schema=False)
NOTE: Final = "patient.note-signed"
NEVER: Final = frozenset({"patient.registered", "patient.entry-marked-in-error"})
"""What is not corrected this way: the identity, and a correction itself."""

Reading = Annotated[Granted, Depends(Guard(Action.READ_CLINICAL, "patient"))]
Amending = Annotated[Granted, Depends(Guard(Action.AMEND_NOTE, "patient"))]
Marking = Annotated[Granted, Depends(Guard(Action.MARK_IN_ERROR, "patient"))]


def correctable(entry: TimelineEntry) -> bool:
    """Say whether an entry of the thread still stands and is one that may be corrected."""
    return entry.status != "in-error" and entry.topic not in NEVER


@router.get("/patients/{patient}/entrees/{entry}")
def chosen(request: Request, granted: Reading, entry: str) -> Response:
    """One entry as it was signed, with the forms that correct it."""
    return _page(request, granted, entry, {})


@router.post("/patients/{patient}/entrees/{entry}/complement")
def amend(request: Request, granted: Amending, entry: str, submitted: Submission) -> Response:
    """Add to a note; its first text stays readable."""
    form = forms.read_or_refuse(submitted, Form(granted.principal.session.form_token()))
    text = form.value("text").strip()
    if not text:
        form.wrong["text"] = "Écrire ce qui complète la note."
    data = {"note": entry, "kind": "addendum", "text": text}
    return _signed(request, granted, entry, form, "amend-note", data, place="amend")


@router.post("/patients/{patient}/entrees/{entry}/erreur")
def mark(request: Request, granted: Marking, entry: str, submitted: Submission) -> Response:
    """Take an entry out of every current view; it stays in the thread, struck through."""
    form = forms.read_or_refuse(submitted, Form(granted.principal.session.form_token()))
    data: dict[str, Any] = {"entry": entry}
    if form.value("harm"):
        data["harm"] = True
    return _signed(request, granted, entry, form, "mark-entry-in-error", data, place="mark")


_SAID: Final = {"amend": "complement", "mark": "erreur"}
_MARK_REASON: Final = "error_reason"


def _signed(
    request: Request,
    granted: Granted,
    entry: str,
    form: Form,
    command: str,
    data: dict[str, Any],
    *,
    place: str,
) -> Response:
    control = _MARK_REASON if place == "mark" else "reason"
    reason = form.value(control).strip()
    if not reason:
        form.wrong[control] = "Dire pourquoi."
    data["reason"] = reason
    if is_late(granted):
        data["late_reason"] = reason
    if not form.wrong:
        try:
            fresh = perform_once(
                services_of(request),
                granted,
                COMMANDS[command].parse(data),
                form,
                client_key=form.key or forms.new_key(),
            )
        except ReleveError as error:
            form.refused(problem_for(error), {"reason": control})
        else:
            return see(f"/patients/{granted.patient}#fil", fait=_SAID[place] if fresh else DONE)
    form.key = form.key or forms.new_key()
    reading = authorise(
        services_of(request), granted.principal, Action.READ_CLINICAL, "patient", granted.patient
    )
    return _page(request, reading, entry, {place: form}, status=422)


def _page(
    request: Request, granted: Granted, entry: str, refused: dict[str, Form], status: int = 200
) -> Response:
    services, principal = services_of(request), granted.principal
    wanted = identifier(entry)

    def form(place: str, action: Action, position: int) -> Form | None:
        if wanted is None or not may(services, granted, action, entry=wanted):
            return None
        return refused.get(place) or Form(principal.session.form_token(), forms.new_key(), position)

    def content(record: Opened) -> dict[str, Any]:
        thread = timeline_of(services, granted.patient)
        found = _entry(thread, wanted)
        stands = correctable(found)
        left = left_by(services.continuity.patient(granted.patient), found.event_id)
        kept = {event.event_id for event in left}
        return {
            "entry": views.entry_view(found, record.at.zone),
            "left": [
                views.entry_view(each, record.at.zone) for each in thread if each.event_id in kept
            ],
            "is_note": stands and found.topic == NOTE,
            "amend_form": form("amend", Action.AMEND_NOTE, record.position)
            if stands and found.topic == NOTE
            else None,
            "mark_form": form("mark", Action.MARK_IN_ERROR, record.position) if stands else None,
        }

    return patient_page(request, granted, "correction.html", content, status=status)


def _entry(entries: list[TimelineEntry], wanted: UUID | None) -> TimelineEntry:
    found = next((each for each in entries if each.event_id == wanted), None)
    if found is None:
        raise RequestRefused(NOT_AVAILABLE)
    return found
