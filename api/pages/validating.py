"""A received document's lines, judged on one page: each by a choice of its own, in one append."""

from __future__ import annotations

from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from starlette.datastructures import FormData
from starlette.responses import Response

from releve.api.acting import authorise_command, perform
from releve.api.disclosure import read_clinical
from releve.api.gate import (
    Granted,
    Guard,
    Submission,
    identifier,
    services_of,
)
from releve.api.pages import forms, views
from releve.api.pages.forms import Form
from releve.api.pages.late import SAY_WHEN, is_late, may_write
from releve.api.pages.shell import clinical_page, moment, see
from releve.api.pages.validation_views import CHOICE, REASON, Waiting
from releve.api.problems import NOT_AVAILABLE, Overtaken, RequestRefused, problem_for
from releve.api.reading import rules_of
from releve.domain.commands import COMMANDS
from releve.domain.errors import ReleveError, Reused
from releve.security.policy import Action

router = APIRouter(include_in_schema=False)

Reading = Annotated[Granted, Depends(Guard(Action.READ_CLINICAL, "patient"))]
COMMAND: Final = "validate-entries"


@router.get("/patients/{patient}/a-valider")
def shown(request: Request, granted: Reading) -> Response:
    """Every line of the record that waits, document by document; nothing is chosen."""
    return _opened(request, granted, None)


@router.get("/patients/{patient}/a-valider/{entry}")
def shown_of(request: Request, granted: Reading, entry: str) -> Response:
    """The lines that wait of the document that brought one entry."""
    return _opened(request, granted, _known(entry))


@router.post("/patients/{patient}/a-valider")
def judge(request: Request, granted: Reading, submitted: Submission) -> Response:
    """Accept or refuse the lines for which that was chosen; all others stay as they are."""
    return _judged(request, granted, None, submitted)


@router.post("/patients/{patient}/a-valider/{entry}")
def judge_of(request: Request, granted: Reading, entry: str, submitted: Submission) -> Response:
    """As :func:`judge`, from the page of one document."""
    return _judged(request, granted, _known(entry), submitted)


def _known(entry: str) -> UUID:
    found = identifier(entry)
    if found is None:
        raise RequestRefused(NOT_AVAILABLE)
    return found


def _asked(request: Request, granted: Granted) -> bool:
    """Whether it would be written late; refused as whoever may not judge."""
    return is_late(may_write(request, granted, COMMAND))


def _opened(request: Request, granted: Granted, entry: UUID | None) -> Response:
    late = _asked(request, granted)
    form = Form(granted.principal.session.form_token(), forms.new_key())
    return _page(request, granted, entry, form, late=late)


def _judged(
    request: Request, granted: Granted, entry: UUID | None, submitted: FormData | None
) -> Response:
    late = _asked(request, granted)
    services, principal = services_of(request), granted.principal
    form = forms.read_or_refuse(submitted, Form(principal.session.form_token()))
    form.key = form.key or forms.new_key()
    if form.kept:
        return _page(request, granted, entry, form, late=late)
    data = _data(form, principal.zone)
    if form.wrong or form.general:
        return _page(request, granted, entry, form, late=late, status=422)
    try:
        command = COMMANDS[COMMAND].parse(data)
        perform(
            services,
            authorise_command(services, principal, command, granted.patient),
            command,
            client_key=f"{form.key}.{COMMAND}",
            target=granted.patient,
            expected_version=form.version,
            seen_position=form.position,
        )
    except RequestRefused:
        if not late:
            raise
        form.wrong["occurred_at"] = SAY_WHEN
    except Overtaken as meanwhile:
        by = meanwhile.by.name if meanwhile.by else "Quelqu’un"
        form.arrived = meanwhile.arrived
        form.version = None  # shown with the record as it is now; the next try takes its version
        form.general.append(
            f"{by} a écrit sur ce dossier entre-temps. Relire ce qui est arrivé, puis enregistrer"
            " de nouveau : vos choix sont gardés."
        )
        return _page(request, granted, entry, form, late=late, status=409)
    except Reused:
        form.key, form.version = forms.new_key(), None
        form.general.append(
            "Cette page avait déjà été envoyée, avec d’autres choix : les premiers sont"
            " enregistrés. Ce qui attend encore est ci-dessous."
        )
        return _page(request, granted, entry, form, late=late, status=409)
    except ReleveError as error:
        form.version = None
        form.refused(problem_for(error), _controls(data["judgements"]))
    else:
        return see(f"/patients/{granted.patient}#a-valider", fait="lignes-jugees")
    return _page(request, granted, entry, form, late=late, status=422)


def _data(form: Form, zone: str) -> dict[str, Any]:
    """The command's data: the lines for which a verdict was chosen, and no others."""
    judgements = []
    for name, chosen in form.values.items():
        entry = identifier(name.removeprefix(CHOICE)) if name.startswith(CHOICE) else None
        if entry is None or chosen in ("", "later"):
            continue
        reason = form.value(f"{REASON}{entry}").strip()
        if chosen not in ("accepted", "refused"):
            form.wrong[name] = "Choisir « Accepter », « Refuser » ou « Plus tard »."
        elif chosen == "refused" and not reason:
            form.wrong[f"{REASON}{entry}"] = "Dire pourquoi cette ligne est refusée."
        judgements.append({"entry": str(entry), "verdict": chosen, "reason": reason})
    for name, typed in form.values.items():
        entry_id = name.removeprefix(REASON)
        if (
            name.startswith(REASON)
            and typed.strip()
            and form.value(f"{CHOICE}{entry_id}") != "refused"
        ):
            form.wrong[name] = "Un motif est écrit : choisir « Refuser », ou effacer le motif."
    if not judgements and not form.wrong:
        form.general.append("Choisir « Accepter » ou « Refuser » pour une ligne au moins.")
    data: dict[str, Any] = {"judgements": judgements}
    happened = forms.occurred_at(form, zone)
    if happened is not None:
        data["occurred_at"] = happened
    if form.value("late_reason").strip():
        data["late_reason"] = form.value("late_reason").strip()
    return data


def _controls(judgements: list[dict[str, str]]) -> dict[str, str]:
    """The form's field for each path that the command may refuse."""
    found = {}
    for place, each in enumerate(judgements):
        found[f"judgements[{place}].reason"] = REASON + each["entry"]
        found[f"judgements[{place}]"] = CHOICE + each["entry"]
    return found


def _page(
    request: Request,
    granted: Granted,
    entry: UUID | None,
    form: Form,
    *,
    late: bool,
    status: int = 200,
) -> Response:
    services, principal = services_of(request), granted.principal
    at = moment(request, principal)

    def produce() -> tuple[dict[str, Any], int]:
        directory = services.directory.load()
        waiting = Waiting(services.reader.stream(granted.patient), at, rules_of(directory))
        summary = waiting.summary
        if form.version is None:
            form.version, form.position = waiting.record.version, waiting.position
        documents = waiting.documents(entry)
        chosen = [
            found
            for name, value in form.values.items()
            if name.startswith(CHOICE) and value in ("accepted", "refused")
            if (found := identifier(name.removeprefix(CHOICE))) is not None
        ]
        return {
            "who": views.identity(
                summary, at, directory, services.records.same_names(granted.centre, summary)
            ),
            "form": form,
            "address": f"/patients/{granted.patient}/a-valider" + (f"/{entry}" if entry else ""),
            "documents": documents,
            "elsewhere": len(waiting.lines) - sum(each["number"] for each in documents),
            "meanwhile": waiting.judged_meanwhile(chosen),
            "late": late or bool(form.error("late_reason")),
        }, waiting.position

    disclosed = read_clinical(
        services, granted, produce, what="page.validating", patients=lambda _: (granted.patient,)
    )
    return clinical_page(
        request, principal, "validating.html", disclosed, here="patients", status=status
    )
