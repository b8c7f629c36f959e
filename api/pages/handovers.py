"""The handover board; finishing one's handovers (clore) and taking over (prendre la relève)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from releve.api.acting import perform
from releve.api.boards import Handovers, batch_at, handovers_of, is_clinical
from releve.api.disclosure import read_clinical
from releve.api.gate import Granted, Guard, Submission, services_of
from releve.api.pages import forms, views
from releve.api.pages.forms import Form
from releve.api.pages.shell import clinical_page, moment, see
from releve.api.problems import problem_for
from releve.domain.commands import COMMANDS
from releve.domain.errors import ReleveError
from releve.projections.dates import Moment
from releve.projections.handover_board import (
    MOST_RESTATED,
    Batch,
    HandoverRow,
    HandoverState,
    unanswered,
)
from releve.security.policy import Action

router = APIRouter(include_in_schema=False)

STATES: Final[dict[HandoverState, str]] = {
    "written": "écrite", "opened": "vue", "asked": "question posée", "restated": "restituée",
    "taken": "reprise", "continued": "poursuivie",
}  # fmt: skip
"""Where a handover stands, in words."""

OLD: Final = timedelta(hours=24)
"""A handover that its receiver in post has not answered for longer is shown as late."""

Board = Annotated[Granted, Depends(Guard(Action.READ_HANDOVERS, "centre"))]
Closing = Annotated[Granted, Depends(Guard(Action.CLOSE_HANDOVER, "stint"))]
Taking = Annotated[Granted, Depends(Guard(Action.TAKE_WATCH, "stint"))]


# The board


@router.get("/relais")
def shown(request: Request, granted: Board) -> Response:
    """Each batch of handovers, stint to stint; states and ages alone for the office."""
    services, principal = services_of(request), granted.principal
    at = moment(request, principal)
    clinical = is_clinical(granted)
    own = principal.stint
    mine = services.directory.load().stint(own) if own else None

    def produce() -> tuple[dict[str, Any], int]:
        found = handovers_of(services, granted.centre)
        named = found.patients(clinical=clinical)
        return {
            "who": _whos(request, granted.centre, named, at, clinical=clinical),
            "clinical": clinical,
            "waiting": [
                _row(row, batch, at, clinical, mine=own is not None and own == batch.receiver)
                for batch, row in unanswered(found.batches)
            ],
            "batches": [batch_view(batch, at, clinical) for batch in found.batches],
            "own_close": f"/sejours/{own}/cloture" if mine and mine.active(at.now) else "",
            "token": principal.session.form_token(),
            "named": named,
        }, found.position

    disclosed = read_clinical(
        services, granted, produce, what="page.handover-board",
        patients=lambda content: content["named"],
    )  # fmt: skip
    return clinical_page(request, principal, "handover_board.html", disclosed, here="transmissions")


def _whos(
    request: Request,
    centre: UUID,
    patients: Iterable[UUID],
    at: Moment,
    *,
    clinical: bool = True,
) -> dict[str, dict[str, Any]]:
    """Who each patient of a list is, beside the name."""
    records = services_of(request).records
    summaries, twice = records.summaries(centre)[1], records.shared_names(centre)
    return {
        str(each): views.who_on_a_board(summaries[each], at, twice, clinical=clinical)
        for each in patients
        if each in summaries
    }


def _row(
    row: HandoverRow, batch: Batch, at: Moment, clinical: bool, *, mine: bool = False
) -> dict[str, Any]:
    """One handover; its words and severity for clinicians alone."""
    own = mine and row.waiting
    shown: dict[str, Any] = {
        "name": row.name,
        "patient": str(row.patient),
        "href": f"/patients/{row.patient}",
        "by": row.by,
        "to": row.answered_by or batch.receiver_name or "référent",
        "state": STATES[row.state],
        "waiting": row.waiting,
        "written": views.day_and_hour(row.written_at.isoformat(), at.zone),
        "answered": views.day_and_hour(row.answered_at.isoformat(), at.zone)
        if row.answered_at
        else "",
        "age": age_text(row.written_at, at.now),
        "late": row.waiting and batch.receiver_in_post and row.age(at.now) > OLD,
    }
    if clinical:
        shown |= {
            "entry": str(row.entry),
            "severity": row.severity,
            "summary": row.summary,
            "answer": row.answer,
            "restate": row.restate,
            "take": ("continuation" if batch.same_doctor else "takes")
            if own and (not row.restate or batch.same_doctor)
            else "",
            "answer_there": own and row.restate and not batch.same_doctor,
            "key": forms.new_key() if own else "",
        }
    return shown


def batch_view(batch: Batch, at: Moment, clinical: bool) -> dict[str, Any]:
    """One batch: who to whom, how many in each state, overload, what is missing."""
    return {
        "doctor": batch.doctor,
        "receiver": batch.receiver_name or "personne : le référent répond",
        "until": views.day_and_hour(batch.over_at.isoformat(), at.zone) if batch.over_at else "",
        "over": batch.over_at is not None and batch.over_at <= at.now,
        "written": len(batch.rows),
        "waiting": batch.waiting,
        "states": [
            {"word": word, "number": batch.count(state), "waiting": state in ("written", "opened")}
            for state, word in STATES.items()
            if batch.count(state)
        ],
        "restate": batch.restate,
        "overloaded": batch.overloaded,
        "most": MOST_RESTATED,
        "missing": len(batch.missing),
        "missing_patients": [
            {"name": each.name, "patient": str(each.patient),
             "href": f"/patients/{each.patient}/transmission",
             "severity": each.severity, "seen": each.seen}
            for each in batch.missing
        ] if clinical else [],
        "closed": views.day_and_hour(batch.closed.at.isoformat(), at.zone) if batch.closed else "",
        "message": batch.closed.message if batch.closed and clinical else "",
        "watch": views.day_and_hour(batch.watch.at.isoformat(), at.zone) if batch.watch else "",
        "watch_said": (batch.watch.first_action or batch.watch.question)
        if batch.watch and clinical
        else "",
        "rows": [_row(row, batch, at, clinical) for row in batch.rows],
    }  # fmt: skip


def age_text(since: datetime, now: datetime) -> str:
    """``35 min``, ``15 h``, ``3 jours``: how long something has waited."""
    seconds = max(0, int((now - since).total_seconds()))
    if seconds < 3600:
        return f"{seconds // 60}\N{NO-BREAK SPACE}min"
    if seconds < 48 * 3600:
        return f"{seconds // 3600}\N{NO-BREAK SPACE}h"
    return f"{seconds // 86400}\N{NO-BREAK SPACE}jours"


# Finishing one's handovers


@router.get("/sejours/{stint}/cloture")
def closing(request: Request, granted: Closing) -> Response:
    """What the leaving doctor has handed over and what is still missing, before closing."""
    return _closing(request, granted, None)


@router.post("/sejours/{stint}/cloture")
def close(request: Request, granted: Closing, submitted: Submission) -> Response:
    """Finish the handovers with their counts and a word to all.

    Somebody unstable or watched without a handover is said again before it is accepted.
    """
    form = forms.read_or_refuse(submitted, Form(granted.principal.session.form_token()))
    services = services_of(request)
    batch, _ = batch_at(services, granted.stint)
    if batch.missing and not form.value("sans"):
        form.wrong["sans"] = (
            "Des patients instables ou à surveiller n’ont pas de transmission :"
            " l’écrire, ou dire que c’est voulu."
        )
    data = {
        "patients": len(batch.rows),
        "items_left": _left(request, batch)[0],
        "message": form.value("message").strip(),
    }
    done = _performed(request, granted, form, "close-handover", data)
    return (
        see(f"/sejours/{granted.stint}/transmissions", fait="transmissions-closes")
        if done
        else _closing(request, granted, form)
    )


def _closing(request: Request, granted: Granted, refused: Form | None) -> Response:
    services, principal = services_of(request), granted.principal
    at = moment(request, principal)

    def produce() -> tuple[dict[str, Any], int]:
        batch, position = batch_at(services, granted.stint)
        left, left_handed = _left(request, batch)
        named = Handovers([batch], position).patients(clinical=True)
        form = refused or Form(principal.session.form_token(), forms.new_key(), position)
        if refused is None and batch.closed is not None:
            form.values["message"] = batch.closed.message
        return {
            "stint": str(granted.stint),
            "batch": batch_view(batch, at, clinical=True),
            "restated": [_row(row, batch, at, clinical=True) for row in batch.rows if row.restate],
            "who": _whos(request, granted.centre, named, at),
            "left": left,
            "left_handed": left_handed,
            "form": form,
            "named": named,
        }, position

    disclosed = read_clinical(
        services, granted, produce, what="page.closing",
        patients=lambda content: content["named"],
    )  # fmt: skip
    return clinical_page(
        request, principal, "closing.html", disclosed, here="transmissions",
        status=422 if refused else 200,
    )  # fmt: skip


def _left(request: Request, batch: Batch) -> tuple[int, int]:
    """Items that stay open at the centre when the doctor leaves; of these, of those handed over."""
    services = services_of(request)
    line = services.directory.load().stint(batch.stint) if batch.stint else None
    if line is None:
        return 0, 0
    summaries = services.records.summaries(line.centre)[1]
    handed = {row.patient for row in batch.rows}
    open_of = {patient: len(summary.open_items) for patient, summary in summaries.items()}
    return sum(open_of.values()), sum(open_of.get(patient, 0) for patient in handed)


# Taking over


@router.get("/sejours/{stint}/prise-de-releve")
def taking(request: Request, granted: Taking) -> Response:
    """What waits for the incoming doctor, and the one sentence that taking over asks for."""
    return _taking(request, granted, None)


@router.post("/sejours/{stint}/prise-de-releve")
def take(request: Request, granted: Taking, submitted: Submission) -> Response:
    """Take over: a first action or a question; refused, the form keeps what was typed."""
    form = forms.read_or_refuse(submitted, Form(granted.principal.session.form_token()))
    data: dict[str, Any] = {
        name: form.value(name).strip()
        for name in ("first_action", "question")
        if form.value(name).strip()
    }
    edition = _read_edition(request, granted)
    if edition is not None:
        data["edition"] = str(edition)
    if _performed(request, granted, form, "take-watch", data):
        return see(f"/sejours/{granted.stint}/briefing", fait="releve-prise")
    return _taking(request, granted, form)


def _read_edition(request: Request, granted: Granted) -> UUID | None:
    """The newest edition that the doctor opened."""
    line = services_of(request).directory.load().stint(granted.stint)
    return line.opened[-1] if line and line.opened else None


def _taking(request: Request, granted: Granted, refused: Form | None) -> Response:
    services, principal = services_of(request), granted.principal
    at = moment(request, principal)

    def produce() -> tuple[dict[str, Any], int]:
        found = handovers_of(services, granted.centre)
        line = services.directory.load().stint(granted.stint)
        received = [
            (batch, row) for batch, row in unanswered(found.batches) if batch.stint != granted.stint
        ]
        before = next((b for b in found.batches if b.receiver == granted.stint), None)
        named = list(dict.fromkeys(row.patient for _, row in received))
        form = refused or Form(principal.session.form_token(), forms.new_key(), found.position)
        return {
            "stint": str(granted.stint),
            "taken": _watch(line.watch, at) if line and line.watch else None,
            "predecessor": before.doctor if before else "",
            "same_doctor": before is not None and before.same_doctor,
            "message": before.closed.message if before and before.closed else "",
            "waiting": [_row(row, batch, at, clinical=True) for batch, row in received],
            "form": form,
            "who": _whos(request, granted.centre, named, at),
            "named": named,
        }, found.position

    disclosed = read_clinical(
        services, granted, produce, what="page.taking", patients=lambda content: content["named"]
    )
    return clinical_page(
        request, principal, "taking.html", disclosed, here="releve", status=422 if refused else 200
    )


def _watch(watch: Any, at: Moment) -> dict[str, str]:
    return {
        "at": views.day_and_hour(watch.at.isoformat(), at.zone),
        "first_action": watch.first_action,
        "question": watch.question,
    }


def _performed(
    request: Request, granted: Granted, form: Form, command: str, data: dict[str, Any]
) -> bool:
    """Perform a stint's command; False when something on the form is wrong, which it then says."""
    if not form.wrong:
        try:
            perform(
                services_of(request), granted, COMMANDS[command].parse(data),
                client_key=form.key or forms.new_key(), target=granted.stint,
                seen_position=form.position,
            )  # fmt: skip
        except ReleveError as error:
            form.values.setdefault("first_action", "")
            form.refused(problem_for(error))
        else:
            return True
    form.key = form.key or forms.new_key()
    return False
