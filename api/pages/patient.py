"""One patient: what matters now, open items, the thread; and the small forms beside them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from releve.api.acting import ACTIONS
from releve.api.disclosure import show_clinical
from releve.api.gate import (
    Granted,
    Guard,
    Principal,
    Submission,
    allowed,
    authorise,
    identifier,
    may,
    services_of,
)
from releve.api.pages import forms, record_views, views
from releve.api.pages.acts import ACTS, line_acts
from releve.api.pages.correcting import NOTE, correctable
from releve.api.pages.forms import Form
from releve.api.pages.shell import clinical_answer, moment, rendered, see
from releve.api.pages.twice import DONE, perform_once
from releve.api.problems import problem_for, refuse
from releve.api.reading import patient_at, rules_of
from releve.domain.commands import COMMANDS
from releve.domain.errors import ReleveError
from releve.domain.events import Event
from releve.projections import wording
from releve.projections.dates import Moment
from releve.projections.directory import Directory
from releve.projections.patient_summary import PatientSummary
from releve.projections.records import PatientAt
from releve.projections.timeline import entries_of
from releve.security.policy import Action

if TYPE_CHECKING:
    from releve.api.services import Services

router = APIRouter(include_in_schema=False)
SHOWN = 20
ITEM_KINDS = tuple(
    (kind, wording.ITEM_KIND[kind].capitalize())
    for kind in sorted(wording.ITEM_KIND, key=lambda kind: kind != "other")
)
"""Kinds of items, the one that says nothing first: it is what stands when nobody chose."""

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

    def show(read: PatientAt) -> str:
        content = _content(request, granted, read.summary, read.position, refused, whole)
        return rendered(
            request, granted.principal, "patient.html", here="patients",
            position=read.position, **content,
        )  # fmt: skip

    def produce() -> tuple[PatientAt, int]:
        read = patient_at(services, granted.patient)
        return read, read.position

    disclosed = show_clinical(
        services, granted, produce, show, what="page.patient", patients=lambda _: (granted.patient,)
    )
    return clinical_answer(disclosed, status)


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
    may_do = allowed(services, granted, _ASKED)
    can = acts_of(principal.role, may_do)

    def form(name: str, possible: bool) -> Form | None:
        if not possible:
            return None
        return refused.get(name) or Form(
            principal.session.form_token(), forms.new_key(), position, summary.version
        )

    most = None if whole else SHOWN
    events = services.reader.stream(summary.patient, last=most)
    entries = entries_of(events)[::-1]
    written = {each.event_id for each in events if _writer_may_correct(each, principal)}
    total = len(entries) if whole else max(len(entries), summary.version)
    return {
        "errors": [error for each in refused.values() for error in each.errors],
        "who": views.identity(
            summary, at, directory, services.records.same_names(granted.centre, summary)
        ),
        "incomplete": summary.incomplete,
        "death": record_views.death(summary, at),
        "fired_lines": views.fired(summary),
        "may": {
            "consult": Action.WRITE_CLINICAL in may_do,
            "hand_over": Action.WRITE_HANDOVER in may_do,
        },
        "can": can,
        "line_acts": line_acts(can),
        "last_contact": record_views.last_contact(summary),
        "encounter_count": summary.encounter_count,
        "one_liner": views.one_liner(summary, at, rules_of(directory)),
        "severity_line": views.severity_line(summary),
        "vigilance": record_views.vigilance(summary, at),
        "contingencies": views.contingencies(summary, at),
        "to_validate": record_views.to_validate(summary),
        "act_form": form("act", True),
        "results": record_views.open_results(summary, at, rules_of(directory)),
        "questions": record_views.questions(summary, principal.person),
        "answer_form": form("answer", True),
        "handover": _handover(summary, principal, form, Action.READ_BACK in may_do),
        "items": _items(services, granted, summary, form, may_do, at, directory),
        "closed_items": record_views.closed_items(summary),
        "item_form": form("open", Action.OPEN_ITEM in may_do),
        "item_kinds": ITEM_KINDS,
        "severity_form": form("severity", Action.WRITE_CLINICAL in may_do),
        "boxes": views.boxes(summary, at, whole=whole),
        "appointments": record_views.appointments(summary, at),
        "admin": record_views.administrative(summary, at, rules_of(directory)),
        "timeline": [
            {
                **views.entry_view(each, at.zone),
                "correct": each.event_id in written and correctable(each),
            }
            for each in entries
        ],
        "shown": len(entries),
        "total": total,
        "more": len(entries) < total,
    }


_ASKED = (
    *dict.fromkeys(ACTIONS[act.command] for act in ACTS.values()),
    Action.WRITE_HANDOVER, Action.READ_BACK, Action.ANSWER_QUESTION,
)  # fmt: skip


def acts_of(role: str, actions: Collection[Action]) -> frozenset[str]:
    """The words of the acts that a person may do: by their role, and as the policy says."""
    return frozenset(
        word
        for word, act in ACTS.items()
        if ACTIONS[act.command] in actions and role in COMMANDS[act.command].roles
    )


Forms = Callable[[str, bool], Form | None]


def _items(
    services: Services,
    granted: Granted,
    summary: PatientSummary,
    form: Forms,
    may_do: Collection[Action],
    at: Moment,
    directory: Directory,
) -> list[dict[str, Any]]:
    """Open items with the forms beside them; whose own item it is may close it too."""
    person, role = granted.principal.person, granted.principal.role
    by_id = {str(item.line.entry_id): item for item in summary.open_items}
    shown = views.items(summary, at, granted.centre, directory)
    for each in shown:
        entry = each["entry_id"]
        item = by_id[entry]
        closable = Action.CLOSE_ITEM in may_do or (
            item.line.person == person
            and may(services, granted, Action.CLOSE_ITEM, entry=item.line.entry_id)
        )
        each.update(record_views.item_more(item, person, role))
        each["form"] = form(f"close.{entry}", closable)
        each["prefix"] = f"p{entry[:8]}."
        each["outcomes"] = (
            (("not-needed", wording.OUTCOME["not-needed"].capitalize()),)
            if item.follows is not None
            else (("", "Choisir…"), *((v, w.capitalize()) for v, w in wording.OUTCOME.items()))
        )
    return shown


def _handover(
    summary: PatientSummary, principal: Principal, form: Forms, may_answer: bool
) -> dict[str, Any] | None:
    received = views.handover(summary)
    if received is None:
        return None
    same = received["person"] == principal.person
    own = same and received["stint"] == principal.stint
    received["form"] = form("read-back", may_answer and not own and not received["answered"])
    received["in_words"] = _in_words(summary, received)
    received["take_kind"] = "continuation" if same else "takes"
    return received


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
            fresh = perform_once(
                services_of(request),
                granted,
                COMMANDS[command].parse(data),
                form,
                client_key=form.key or forms.new_key(),
            )
        except ReleveError as error:
            form.refused(problem_for(error), names)
        else:
            return see(back or f"/patients/{granted.patient}{anchor}", fait=said if fresh else DONE)
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
    outcome = form.value(f"{prefix}outcome")
    if not outcome:
        form.wrong[f"{prefix}outcome"] = "Choisir l’issue : fait, plus nécessaire ou transmis."
    if not evidence:
        form.wrong[f"{prefix}evidence"] = "Dire ce qui montre que c’est fait ou inutile."
    data = {"item": entry, "outcome": outcome, "evidence": evidence}
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
    text = form.values["restitution"] = (form.value("restitution") or form.value("text")).strip()
    if kind in ("restatement", "question") and not text:
        form.wrong["restitution"] = (
            "Écrire avec vos mots ce que vous faites en premier, ou la question."
        )
    back = _inside(form.value("retour"))
    if back.endswith("/briefing"):
        back += f"#p-{granted.patient}"
    form.values["retour"] = back
    data: dict[str, Any] = {"handover": form.value("handover"), "kind": kind}
    if text:
        data["text"] = text
    return _done(
        request, granted, form, "read-back-handover", data,
        said=_SAID.get(kind, ""), place="read-back", back=back, anchor="#transmission",
        names={"text": "restitution"},
    )  # fmt: skip


def _inside(path: str) -> str:
    """A page of ours to go back to, and no other address."""
    return path if path == "/relais" or path.startswith(("/releve", "/sejours/")) else ""
