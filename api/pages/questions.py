"""Questions between colleagues: those put to the reader with what they quote, and her own."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from releve.api.acting import perform
from releve.api.asked import Asked, asked_by, asked_of
from releve.api.disclosure import Disclosed, read_clinical
from releve.api.gate import Granted, Guard, Submission, authorise, services_of
from releve.api.pages import forms, views
from releve.api.pages.forms import Form
from releve.api.pages.record_views import question_view
from releve.api.pages.shell import clinical_page, moment, page, see
from releve.api.problems import NOT_AVAILABLE, RequestRefused, problem_for
from releve.domain.commands import COMMANDS
from releve.domain.commands.follow_up import AnswerQuestion
from releve.domain.errors import ReleveError
from releve.projections.dates import Moment
from releve.security.policy import Action

router = APIRouter(include_in_schema=False)

SignedIn = Annotated[Granted, Depends(Guard(Action.USE_SERVICE))]
Answering = Annotated[Granted, Depends(Guard(Action.ANSWER_QUESTION, "patient"))]
_FIELD = "reponse"


@router.get("/questions")
def listed(request: Request, granted: SignedIn) -> Response:
    """Questions that wait for the reader's answer, and what became of those she asked."""
    return _page(request, granted, {})


@router.post("/patients/{patient}/questions/{entry}")
def answer(request: Request, granted: Answering, entry: str, submitted: Submission) -> Response:
    """Answer a question that was put to the author."""
    form = forms.read_or_refuse(submitted, Form(granted.principal.session.form_token()))
    control = f"{_FIELD}-{entry[:8]}"
    text = form.value(control).strip()
    if not text:
        form.wrong[control] = "Écrire la réponse."
    else:
        try:
            perform(
                services_of(request),
                granted,
                COMMANDS["answer-question"].parse({"question": entry, "text": text}),
                client_key=f"{form.key or forms.new_key()}.{entry}",
                target=granted.patient,
                seen_position=form.position,
            )
        except ReleveError as error:
            form.refused(problem_for(error), {"text": control})
        else:
            return see("/questions", fait="reponse")
    form.key = form.key or forms.new_key()
    return _page(request, granted, {entry: form}, status=422)


def _page(
    request: Request, granted: Granted, refused: dict[str, Form], status: int = 200
) -> Response:
    services, principal = services_of(request), granted.principal
    if principal.role not in AnswerQuestion.roles:
        raise RequestRefused(NOT_AVAILABLE)
    at = moment(request, principal)
    asked, position = asked_of(services, principal)

    def form(entry: str) -> Form:
        return refused.get(entry) or Form(principal.session.form_token(), forms.new_key(), position)

    mine = _mine(request, granted, at)
    if not asked:
        if mine is None:
            empty: dict[str, Any] = {"asked": [], "mine": [], "position": position}
            return page(request, principal, "questions.html", here="questions", **empty)
        told = mine.mapped(lambda own: {"asked": [], "mine": own})
    else:
        told = read_clinical(
            services, asked[0].granted,
            lambda: ([_asked(each, at, principal.person, form) for each in asked], position),
            what="page.questions",
            patients=lambda _: list(dict.fromkeys(each.summary.patient for each in asked)),
        ).mapped(lambda found: {"asked": found, "mine": mine.content if mine else []})  # fmt: skip
    return clinical_page(
        request, principal, "questions.html", told, here="questions", status=status
    )


def _asked(each: Asked, at: Moment, person: UUID, form: Any) -> dict[str, Any]:
    line = each.question.line
    return {
        "who": views.traits(each.summary, at),
        **question_view(each.question, person),
        "by": line.author,
        "about": views.entry_view(each.about, at.zone) if each.about is not None else None,
        "form": form(str(line.entry_id)),
        "control": f"{_FIELD}-{str(line.entry_id)[:8]}",
    }


def _mine(request: Request, granted: Granted, at: Moment) -> Disclosed[list[dict[str, Any]]] | None:
    """What the reader asked in the centre she looks at; None where she may read it no more."""
    services, principal = services_of(request), granted.principal
    try:
        reading = authorise(services, principal, Action.READ_CLINICAL, "centre", principal.centre)
    except RequestRefused:
        return None

    def produce() -> tuple[list[dict[str, Any]], int]:
        found, position = asked_by(services, principal.person, principal.centre)
        return [
            {"who": views.traits(summary, at), **question_view(question, principal.person)}
            for question, summary in found
        ], position

    return read_clinical(
        services, reading, produce, what="page.questions",
        patients=lambda rows: list(dict.fromkeys(UUID(row["who"]["id"]) for row in rows)),
    )  # fmt: skip
