"""The two forms that a doctor signs: the consultation and the handover."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request
from starlette.datastructures import FormData
from starlette.responses import Response

from releve.api.entry_kinds import kind_of
from releve.api.gate import Granted, Guard, Submission, authorise, instant, services_of
from releve.api.pages import beside, forms, measures, views
from releve.api.pages.about_patient import Opened, patient_page
from releve.api.pages.forms import Form
from releve.api.pages.late import SAY_WHEN, is_late
from releve.api.pages.patient import ITEM_KINDS
from releve.api.pages.shell import moment, see
from releve.api.pages.twice import DONE, perform_once
from releve.api.problems import Overloaded, Overtaken, RequestRefused, problem_for
from releve.api.reading import patient_at, rules_of, timeline_of
from releve.domain.commands import COMMANDS
from releve.domain.errors import ReleveError
from releve.projections import wording
from releve.projections.critical_values import of_result
from releve.projections.dates import Moment
from releve.projections.directory import Directory
from releve.projections.patient_summary import PatientSummary, Result
from releve.projections.rule_release import Rules
from releve.security.policy import Action

router = APIRouter(include_in_schema=False)

Consulting = Annotated[Granted, Depends(Guard(Action.WRITE_CLINICAL, "patient", late=True))]
HandingOver = Annotated[Granted, Depends(Guard(Action.WRITE_HANDOVER, "patient"))]
MODES = tuple((mode, word[:1].upper() + word[1:]) for mode, word in wording.MODE.items())


# Consultation


@router.get("/patients/{patient}/consultation")
def consultation(request: Request, granted: Consulting) -> Response:
    """The consultation form, empty."""
    return _consultation(request, granted, _form(granted, forms.CONSULTATION_ROWS))


@router.post("/patients/{patient}/consultation")
def record(request: Request, granted: Consulting, submitted: Submission) -> Response:
    """Record a consultation in one append, by the button that signs; any other shows the form."""
    form = _read(granted, submitted, forms.CONSULTATION_ROWS)
    if not form.value("signer"):
        return _consultation(request, granted, form)
    today = moment(request, granted.principal).day.isoformat()
    data = forms.consultation(form, granted.principal.zone, today)
    if len(data) == 1 and not form.wrong:
        form.general.append("Rien n’est saisi : écrire au moins une note, une mesure ou un point.")
    names = {"note": "note.one_liner"} if "note" not in data else {}
    return _signed(
        request, granted, form, "record-consultation", data, names, "consultation"
    ) or _consultation(request, granted, form, status=422)


def _consultation(request: Request, granted: Granted, form: Form, status: int = 200) -> Response:
    services = services_of(request)
    at, directory = moment(request, granted.principal), services.directory.load()

    def content(summary: PatientSummary) -> dict[str, Any]:
        return {
            "modes": MODES,
            "measures": measures.OPTIONS,
            "item_kinds": ITEM_KINDS,
            "late": is_late(granted) or bool(form.error("late_reason")),
            "beside": beside.record(
                summary, timeline_of(services, granted.patient, beside.READ_BACK), at,
                granted.centre, directory,
            ),
        }  # fmt: skip

    return _shown(request, granted, form, "consultation.html", content, status)


# Handover


@router.get("/patients/{patient}/transmission")
def handover(request: Request, granted: HandingOver) -> Response:
    """The handover form, prefilled from the record."""
    return _handover(request, granted, _form(granted, forms.HANDOVER_ROWS), fresh=True)


@router.post("/patients/{patient}/transmission")
def hand_over(request: Request, granted: HandingOver, submitted: Submission) -> Response:
    """Sign a handover, by the button that signs; it replaces the one this stint wrote before."""
    form = _read(granted, submitted, forms.HANDOVER_ROWS)
    if not form.value("signer"):
        return _handover(request, granted, form, submitted)
    chosen = (_chosen(submitted, "items"), _chosen(submitted, "contingencies"))
    data = forms.handover(form, *chosen)
    _own_words(granted, form, data, patient_at(services_of(request), granted.patient).summary)
    names = {"items": "items-0", "contingencies": "contingencies-0"}
    return _signed(
        request, granted, form, "write-handover", data, names, "transmission"
    ) or _handover(request, granted, form, submitted, status=422)


UNCHANGED: Final = "Inchangé, patient non revu pendant le séjour."
"""What a handover says that repeats the one before, of somebody whom its author has not seen."""


def _own_words(granted: Granted, form: Form, data: dict[str, Any], summary: PatientSummary) -> None:
    """Ask for words, or for the tick that nothing changed, where the line is not the author's own.

    An unstable or watched patient whom nobody saw during the stint is not handed on by signing
    what the doctor before had written.
    """
    spoken = summary.one_liner()
    untouched = spoken is not None and data.get("summary") == " ".join(spoken.text.split())
    if data.get("severity") == "stable" or not untouched or _seen(summary, granted):
        return
    if not form.value("unchanged"):
        form.wrong["unchanged"] = (
            "Rien n’est écrit sur ce patient pendant votre séjour, et la ligne est celle de"
            f" {spoken.line.source_author if spoken else ''} : la récrire, ou dire que le patient"
            " n’a pas été revu."
        )
    elif UNCHANGED not in data.get("situation", ""):
        data["situation"] = " ".join(filter(None, (data.get("situation", ""), UNCHANGED)))


def _seen(summary: PatientSummary, granted: Granted) -> bool:
    """Whether this stint wrote anything about the patient."""
    severity = summary.severity
    if severity is not None and severity.stint == granted.decision.stint:
        return True
    return bool(_week(summary, granted)) or _own_handover(summary, granted) is not None


def _chosen(submitted: FormData | None, name: str) -> list[str]:
    values = submitted.getlist(name) if submitted is not None else []
    return [value for value in values if isinstance(value, str)]


def _handover(
    request: Request,
    granted: Granted,
    form: Form,
    submitted: FormData | None = None,
    *,
    fresh: bool = False,
    status: int = 200,
) -> Response:
    services, principal = services_of(request), granted.principal
    at = moment(request, principal)
    directory = services.directory.load()
    stint = granted.decision.stint

    def content(summary: PatientSummary) -> dict[str, Any]:
        before = _own_handover(summary, granted)
        if fresh:
            _prefill(form, summary, before)
        items = views.items(summary, at, granted.centre, directory)
        chosen = None if fresh else set(_chosen(submitted, "items"))
        form.items = [
            {"entry_id": each["entry_id"], "text": each["text"], "when": _when(each),
             "checked": chosen is None or each["entry_id"] in chosen}
            for each in items
        ]  # fmt: skip
        kept = None if fresh else set(_chosen(submitted, "contingencies"))
        form.contingencies = [
            {"entry_id": each["entry_id"], "text": f"Si {each['condition']} : {each['action']}",
             "checked": kept is None or each["entry_id"] in kept}
            for each in views.contingencies(summary, at)
        ]  # fmt: skip
        following = directory.successor(stint) if stint and directory.stint(stint) else None
        return {
            "item_kinds": ITEM_KINDS,
            "replaces": f"le {before['as_of']}" if before else "",
            "next_doctor": following.practitioner_name if following else "",
            "week": _week(summary, granted),
            "warnings": _warnings(summary, items, at, directory),
            "unseen": bool(form.error("unchanged")) or not _seen(summary, granted),
            "late": is_late(granted) or bool(form.error("late_reason")),
        }

    return _shown(request, granted, form, "handover.html", content, status)


def _own_handover(summary: PatientSummary, granted: Granted) -> dict[str, Any] | None:
    found = views.handover(summary)
    stint = granted.decision.stint
    return found if found and stint and found["stint"] == stint else None


def _prefill(form: Form, summary: PatientSummary, before: dict[str, Any] | None) -> None:
    spoken = summary.one_liner()
    severity = summary.severity
    form.values["severity"] = str(severity.detail["severity"]) if severity else ""
    if severity:
        form.values["severity_reason"] = str(severity.detail.get("reason", ""))
        form.values["review_by"] = str(severity.detail.get("review_by") or "")
    form.values["summary"] = spoken.text if spoken else ""
    if before:
        form.values["situation"] = before["situation"]
        for number, text in enumerate(before["actions"]):
            form.values[f"actions[{number}]"] = text
        if before["requested"]:
            form.values["read_back_requested"] = "oui"


def _when(item: dict[str, Any]) -> str:
    parts = [f"pour le {item['due']}" if item["due"] else "sans échéance"]
    parts += ["en retard"] if item["late"] else []
    parts += ["danger si retard"] if item["harm"] else []
    return ", ".join(parts)


def _week(summary: PatientSummary, granted: Granted) -> list[dict[str, Any]]:
    """What was written on this record during the stint, newest first."""
    stint = granted.decision.stint
    lines = [*summary.encounters, *summary.lines, *(note.line for note in summary.notes)]
    mine = [line for line in lines if line.current and stint and line.stint == stint]
    mine.sort(key=lambda line: -line.version)
    return [
        views.line_view(line, views.without_label(line.text), kind=kind_of(line.topic)[0])
        for line in mine[:12]
    ]


def _warnings(
    summary: PatientSummary, items: list[dict[str, Any]], at: Moment, directory: Directory
) -> list[str]:
    found = []
    allergies = summary.presence("allergies")
    if allergies.state == "not-asked":
        found.append("Les allergies n’ont pas été demandées.")
    elif allergies.waits:
        found.append("« Aucune allergie » est importé, à valider : à demander.")
    late = [item for item in items if item["late"]]
    if late:
        found.append(f"{len(late)} point{'s' if len(late) > 1 else ''} en retard.")
    found += _results_left(summary, at, rules_of(directory))
    if summary.severity is None:
        found.append("La gravité n’a jamais été dite.")
    return found


def _results_left(summary: PatientSummary, at: Moment, rules: Rules) -> list[str]:
    """What is not done about results, the worst first: critical and unread, unread, to be told."""
    states = [(result, result.state(at.day)) for result in summary.results]
    unread = [result for result, state in states if state == "to-review"]
    critical = [each for each in summary.open_results(at.day) if _rings(each, summary, rules)]
    to_tell = sum(state == "to-inform" for _, state in states)
    by_hand = sum(item.kind == "result" and item.follows is None for item in summary.open_items)
    awaited = by_hand + sum(
        state in ("expected", "expected-late", "partial") and result not in critical
        for result, state in states
    )
    plain = len([each for each in unread if each not in critical])
    found = []
    if critical:
        found.append(f"{_some(len(critical), 'résultat critique reçu', 'non lu')} : le lire.")
    if plain:
        found.append(f"{_some(plain, 'résultat reçu', 'non lu')}.")
    if to_tell:
        found.append(f"{_some(to_tell, 'résultat lu')} : patient à prévenir.")
    if awaited:
        found.append(f"{_some(awaited, 'résultat attendu')} : le centre suit jusqu’à la réception.")
    return found


def _rings(result: Result, summary: PatientSummary, rules: Rules) -> bool:
    """Whether a result that nobody has read is critical for anybody at all."""
    return any(alarm.critical for alarm in of_result(result, summary, rules))


def _some(count: int, *words: str) -> str:
    """``1 résultat reçu, non lu``, ``2 résultats reçus, non lus``: a count and its words."""
    if count > 1:
        words = tuple(
            " ".join(w if w == "non" else f"{w}s" for w in each.split()) for each in words
        )
    return f"{count} {', '.join(words)}"


# Both


def _form(granted: Granted, rows: dict[str, int]) -> Form:
    return Form(granted.principal.session.form_token(), forms.new_key(), minimum=rows)


def _read(granted: Granted, submitted: FormData | None, rows: dict[str, int]) -> Form:
    form = Form(granted.principal.session.form_token(), minimum=rows)
    forms.read_or_refuse(submitted, form)
    form.key = form.key or forms.new_key()
    return form


def _signed(
    request: Request,
    granted: Granted,
    form: Form,
    command: str,
    data: dict[str, Any],
    names: dict[str, str],
    said: str,
) -> Response | None:
    """Perform the command and go to the patient; None when something is wrong on the form."""
    if form.wrong or form.general:
        return None
    services = services_of(request)
    try:
        exact = authorise(
            services, granted.principal, granted.action, "patient", granted.patient,
            occurred_at=instant(data.get("occurred_at")),
        )  # fmt: skip
    except RequestRefused:
        form.wrong["occurred_at"] = SAY_WHEN
        return None
    try:
        fresh = perform_once(
            services,
            exact,
            COMMANDS[command].parse(data),
            form,
            client_key=form.key or forms.new_key(),
            expected_version=form.version,
        )
    except Overtaken as meanwhile:
        form.arrived = meanwhile.arrived
        by = meanwhile.by.name if meanwhile.by else "Quelqu’un"
        form.version = None  # shown with the record as it is now; signing again takes its version
        form.general.append(
            f"{by} a écrit sur ce dossier entre-temps. Relire ce qui est arrivé,"
            " puis signer de nouveau : rien de ce que vous avez saisi n’est perdu."
        )
    except ReleveError as error:
        form.refused(problem_for(error), names)
        form.flagged = error.patients if isinstance(error, Overloaded) else ()
    else:
        return see(f"/patients/{granted.patient}", fait=said if fresh else DONE)
    return None


def _shown(
    request: Request, granted: Granted, form: Form, template: str, content: Any, status: int
) -> Response:
    """Show a form around the record it is about: reading it is a reading, and leaves its entry."""
    services, principal = services_of(request), granted.principal
    reading = authorise(services, principal, Action.READ_CLINICAL, "patient", granted.patient)

    def around(record: Opened) -> dict[str, Any]:
        if form.version is None:
            form.version, form.position = record.summary.version, record.position
        known = services.records.summaries(granted.centre)[1] if form.flagged else {}
        return {
            "form": form,
            "flagged": [
                {"href": f"/patients/{each}/transmission", "name": known[each].full_name()}
                for each in form.flagged
                if each in known
            ],
            **content(record.summary),
        }

    return patient_page(request, reading, template, around, others=form.flagged, status=status)
