"""One patient: what matters now, open items, the thread; and the small forms beside them."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from releve.api.acting import perform
from releve.api.disclosure import read_clinical
from releve.api.gate import (
    Granted,
    Guard,
    Principal,
    Submission,
    authorise,
    identifier,
    may,
    services_of,
)
from releve.api.pages import forms, views
from releve.api.pages.correcting import NOTE, correctable
from releve.api.pages.forms import Form
from releve.api.pages.shell import clinical_page, moment, see
from releve.api.problems import problem_for, refuse
from releve.api.reading import patient_at
from releve.domain.commands import COMMANDS
from releve.domain.errors import ReleveError
from releve.domain.events import Event
from releve.projections import wording
from releve.projections.patient_summary import PatientSummary
from releve.projections.timeline import entries_of
from releve.security.policy import Action

router = APIRouter(include_in_schema=False)
SHOWN = 40
ITEM_KINDS = tuple((kind, word.capitalize()) for kind, word in wording.ITEM_KIND.items())

Reading = Annotated[Granted, Depends(Guard(Action.READ_CLINICAL, "patient"))]
Opening = Annotated[Granted, Depends(Guard(Action.OPEN_ITEM, "patient"))]
Closing = Annotated[Granted, Depends(Guard(Action.CLOSE_ITEM, "patient"))]
Judging = Annotated[Granted, Depends(Guard(Action.WRITE_CLINICAL, "patient"))]
ReadingBack = Annotated[Granted, Depends(Guard(Action.READ_BACK, "patient"))]


@router.get("/patients/{patient}")
def shown(request: Request, granted: Reading, tout: int = 0) -> Response:
    """The patient's page."""
    return _page(request, granted, {}, whole=bool(tout))


def _page(
    request: Request,
    granted: Granted,
    refused: dict[str, Form],
    *,
    whole: bool = False,
    status: int = 200,
) -> Response:
    """The page, with a refused form in the place it came from."""
    services = services_of(request)

    def produce() -> tuple[dict[str, Any], int]:
        summary, position = patient_at(services, granted.patient)
        return _content(request, granted, summary, position, refused, whole), position

    disclosed = read_clinical(
        services, granted, produce, what="page.patient", patients=lambda _: (granted.patient,)
    )
    answer = clinical_page(
        request, granted.principal, "patient.html", disclosed, here="patients", status=status
    )
    return answer


def _content(
    request: Request,
    granted: Granted,
    summary: PatientSummary,
    position: int,
    refused: dict[str, Form],
    whole: bool,
) -> dict[str, Any]:
    services, principal = services_of(request), granted.principal
    at = moment(request, principal)
    directory = services.directory.load()
    allowed = {
        action: may(services, granted, action)
        for action in (Action.WRITE_CLINICAL, Action.WRITE_HANDOVER, Action.OPEN_ITEM,
                       Action.CLOSE_ITEM, Action.READ_BACK)
    }  # fmt: skip

    def form(name: str, possible: bool) -> Form | None:
        if not possible:
            return None
        return refused.get(name) or Form(
            principal.session.form_token(), forms.new_key(), position, summary.version
        )

    events = services.reader.stream(summary.patient)
    entries = entries_of(events)[::-1]
    written = {each.event_id for each in events if _writer_may_correct(each, principal)}
    shown = entries if whole else entries[:SHOWN]
    items = views.items(summary, at, granted.centre, directory)
    own_items = {
        str(item.line.entry_id)
        for item in summary.open_items
        if item.line.person == principal.person
    }
    for item in items:
        closable = allowed[Action.CLOSE_ITEM] or (
            item["entry_id"] in own_items
            and may(services, granted, Action.CLOSE_ITEM, entry=UUID(item["entry_id"]))
        )
        place = f"close.{item['entry_id']}"
        item["form"] = form(place, closable)
        item["prefix"] = f"p{item['entry_id'][:8]}."
    received = views.handover(summary)
    if received is not None:
        own = received["person"] == principal.person and received["stint"] == principal.stint
        open_to_answer = not own and not received["answered"]
        received["form"] = form("read-back", allowed[Action.READ_BACK] and open_to_answer)
        received["in_words"] = _in_words(summary, received)
        same = received["person"] == principal.person
        received["take_kind"] = "continuation" if same else "takes"
    return {
        "who": views.identity(
            summary, at, directory, services.records.same_names(granted.centre, summary)
        ),
        "incomplete": summary.incomplete,
        "fired_lines": views.fired(summary),
        "may": {
            "consult": allowed[Action.WRITE_CLINICAL],
            "hand_over": allowed[Action.WRITE_HANDOVER],
        },
        "last_contact": _contact(summary),
        "encounter_count": summary.encounter_count,
        "one_liner": views.one_liner(summary, at),
        "severity_line": views.severity_line(summary),
        "contingencies": views.contingencies(summary, at),
        "handover": received,
        "items": items,
        "item_form": form("open", allowed[Action.OPEN_ITEM]),
        "item_kinds": ITEM_KINDS,
        "severity_form": form("severity", allowed[Action.WRITE_CLINICAL]),
        "boxes": views.boxes(summary, at),
        "timeline": [
            {
                **views.entry_view(each, at.zone),
                "correct": each.event_id in written and correctable(each),
            }
            for each in shown
        ],
        "shown": len(shown),
        "total": len(entries),
        "more": len(shown) < len(entries),
    }


def _writer_may_correct(event: Event, principal: Principal) -> bool:
    """Whether the thread offers to correct an entry: to its author, and notes to the référent."""
    if principal.role == "referent" and event.topic == NOTE:
        return True
    author = event.envelope.author
    return author.person == principal.person and principal.role in ("doctor", "intern", "referent")


def _in_words(summary: PatientSummary, received: dict[str, Any]) -> bool:
    """Whether taking the patient on needs words: unstable now or then, or the author asked."""
    now = summary.severity.detail["severity"] if summary.severity else ""
    return "unstable" in (now, received["severity"]) or bool(received["requested"])


def _contact(summary: PatientSummary) -> str:
    line = summary.last_contact
    if line is None:
        return ""
    return f"{views.day_and_hour(line.as_of, line.zone)}, {line.author}"


def _submitted(granted: Granted, submitted: Submission) -> Form:
    return forms.read_or_refuse(submitted, Form(granted.principal.session.form_token()))


def _done(
    request: Request,
    granted: Granted,
    form: Form,
    command: str,
    data: dict[str, Any],
    *,
    said: str,
    place: str,
    back: str = "",
    names: dict[str, str] | None = None,
    anchor: str = "",
) -> Response:
    """Perform one small form's command, then show the page; or the page with what is wrong."""
    if not form.wrong:
        try:
            perform(
                services_of(request),
                granted,
                COMMANDS[command].parse(data),
                client_key=form.key or forms.new_key(),
                target=granted.patient,
                seen_position=form.position,
            )
        except ReleveError as error:
            form.refused(problem_for(error), names)
        else:
            return see(back or f"/patients/{granted.patient}{anchor}", fait=said)
    form.key = form.key or forms.new_key()
    reading = authorise(
        services_of(request), granted.principal, Action.READ_CLINICAL, "patient", granted.patient
    )
    return _page(request, reading, {place: form}, status=422)


@router.post("/patients/{patient}/points")
def open_item(request: Request, granted: Opening, submitted: Submission) -> Response:
    """Open an item."""
    form = _submitted(granted, submitted)
    return _done(
        request, granted, form, "open-item", forms.item(form),
        said="point-ouvert", place="open", anchor="#points",
    )  # fmt: skip


@router.post("/patients/{patient}/points/{entry}")
def close_item(request: Request, granted: Closing, entry: str, submitted: Submission) -> Response:
    """Close an item, with what shows that it is done."""
    if identifier(entry) is None:
        raise refuse(404)
    form = _submitted(granted, submitted)
    prefix = f"p{entry[:8]}."
    evidence = form.value(f"{prefix}evidence").strip()
    if not evidence:
        form.wrong[f"{prefix}evidence"] = "Dire ce qui montre que c’est fait ou inutile."
    data = {
        "item": entry,
        "outcome": form.value(f"{prefix}outcome") or "done",
        "evidence": evidence,
    }
    return _done(
        request, granted, form, "close-item", data, said="point-clos", place=f"close.{entry}",
        names={name: prefix + name for name in ("evidence", "outcome")}, anchor="#points",
    )  # fmt: skip


@router.post("/patients/{patient}/gravite")
def set_severity(request: Request, granted: Judging, submitted: Submission) -> Response:
    """Say how ill the patient is."""
    form = _submitted(granted, submitted)
    return _done(
        request, granted, form, "set-illness-severity", forms.severity(form),
        said="gravite", place="severity",
    )  # fmt: skip


_SAID: dict[str, str] = {
    "restatement": "restitution", "question": "question", "takes": "reprise",
    "continuation": "reprise",
}  # fmt: skip


@router.post("/patients/{patient}/restitution")
def read_back(request: Request, granted: ReadingBack, submitted: Submission) -> Response:
    """Answer a handover: restate it, ask, or take the patient on."""
    form = _submitted(granted, submitted)
    kind = form.value("kind")
    text = form.value("text").strip()
    if kind in ("restatement", "question") and not text:
        form.wrong["text"] = "Écrire avec vos mots ce que vous faites en premier, ou la question."
    data: dict[str, Any] = {"handover": form.value("handover"), "kind": kind}
    if text:
        data["text"] = text
    return _done(
        request, granted, form, "read-back-handover", data,
        said=_SAID.get(kind, ""), place="read-back", back=_inside(form.value("retour")),
        anchor="#transmission",
    )  # fmt: skip


def _inside(path: str) -> str:
    """A page of ours to go back to, and no other address."""
    return path if path.startswith("/releve") or path.startswith("/sejours/") else ""
