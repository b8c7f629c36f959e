"""Running a centre: one plain form for each act, all of one shape."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo

import msgspec
from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from releve.api.acting import perform
from releve.api.gate import Granted, Guard, Submission, services_of
from releve.api.pages import forms
from releve.api.pages.coordination import DAYS, SITES
from releve.api.pages.forms import Form
from releve.api.pages.shell import page, see
from releve.api.pages.typed_dates import AS_TYPED, moment_typed
from releve.api.problems import problem_for, refuse
from releve.domain.commands import COMMANDS
from releve.domain.errors import ReleveError
from releve.domain.values import NamedPerson
from releve.projections.dates import zone_of
from releve.projections.directory import CentreEntry, Directory, StintLine
from releve.security.policy import Action

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a form: a text, a choice, a day, a moment, or a box to tick."""

    name: str
    label: str
    kind: str = "text"
    hint: str = ""
    width: str = "w6"
    options: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Rows:
    """A group of fields that may be there several times."""

    name: str
    title: str
    fields: tuple[Field, ...]
    add: str
    at_least: int = 1


@dataclass(frozen=True, slots=True)
class Around:
    """What a form is about: the centre as it stands, and the stint where there is one."""

    directory: Directory
    centre: CentreEntry
    zone: str
    stint: StintLine | None = None
    asked: Mapping[str, str] = field(default_factory=dict)
    """What the link that led here says, such as the days of a hole."""


@dataclass(frozen=True, slots=True)
class Act:
    """One act: what it is called, what is asked, what was there, and the command it makes."""

    command: str
    title: str
    why: str
    button: str
    said: str
    fields: Callable[[Around], tuple[Field, ...]]
    data: Callable[[Form, Around], dict[str, Any]]
    start: Callable[[Around], Mapping[str, str]] = lambda _: {}
    rows: tuple[Rows, ...] = ()


# Stints

_MODES: Final = (
    ("volontaire", "volontaire"), ("salarie", "salarié"), ("remplacant", "remplaçant"),
    ("interne", "interne"),
)  # fmt: skip


def _doctors(around: Around) -> tuple[tuple[str, str], ...]:
    """Doctors whom the centre knows, by name."""
    found = [
        (str(each.practitioner), each.full_name)
        for each in around.directory.practitioners.values()
        if each.role in ("doctor", "intern")
        and not each.suspended
        and around.centre.centre in around.directory.centres_of_practitioner(each.practitioner)
    ]
    return (("", "Choisir…"), *sorted(found, key=lambda each: each[1]))


def _plan_fields(around: Around) -> tuple[Field, ...]:
    return (
        Field("practitioner", "Médecin", "select", options=_doctors(around)),
        Field("mode", "Mode", "select", options=_MODES),
        Field("starts_at", "Début", "datetime-local"),
        Field("ends_at", "Fin", "datetime-local", hint="1 à 21 jours"),
    )


def _plan(form: Form, around: Around) -> dict[str, Any]:
    chosen = form.value("practitioner")
    names = dict(_doctors(around))
    if not chosen or chosen not in names:
        form.wrong["practitioner"] = "Choisir un médecin que le centre connaît."
    data: dict[str, Any] = {
        "practitioner": chosen,
        "practitioner_name": names.get(chosen, ""),
        "centre": str(around.centre.centre),
        "mode": form.value("mode") or "volontaire",
        "starts_at": _moment(form, "starts_at", around),
        "ends_at": _moment(form, "ends_at", around),
        "pattern": _pattern(form),
    }
    _warn_of_others(form, around, data["starts_at"], data["ends_at"], chosen)
    return data


_WEEKDAYS = tuple((str(number), day) for number, day in enumerate(DAYS, 1))
_PARTS: Final = (
    ("day", "toute la journée"), ("morning", "le matin"), ("afternoon", "l’après-midi"),
    ("hours", "de telle à telle heure"),
)  # fmt: skip
_RHYTHM: Final = Rows(
    "pattern", "Jours de présence, si ce n’est pas toute la semaine",
    (Field("weekday", "Jour", "select", width="w4", options=(("", "aucun"), *_WEEKDAYS)),
     Field("part", "Quand", "select", width="w4", options=_PARTS),
     Field("begins", "De", "time", width="w2"),
     Field("ends", "À", "time", width="w2")), "Ajouter un jour",
)  # fmt: skip


def _pattern(form: Form) -> list[dict[str, Any]]:
    """The days that were chosen; hours count where hours are meant."""
    found = []
    for number in form.rows("pattern"):
        row = form.row("pattern", number)
        day = row.get("weekday", "")
        if day not in dict(_WEEKDAYS):
            continue
        session: dict[str, Any] = {"weekday": int(day)}
        if row.get("part", "day") != "day":
            session["part"] = row["part"]
        if row.get("part") == "hours":
            session |= {"begins": row.get("begins", ""), "ends": row.get("ends", "")}
        found.append(session)
    return found


def _pattern_start(line: StintLine) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, session in enumerate(line.pattern):
        row = {"weekday": str(session.weekday), "part": session.part, "begins": session.begins,
               "ends": session.ends}  # fmt: skip
        found |= {f"pattern[{number}].{name}": value for name, value in row.items()}
    return found


SHARED: Final = "shared"
"""The box that says that two doctors in post at once is meant; shown only where they would be."""


def _warn_of_others(form: Form, around: Around, starts: str, ends: str, doctor: str) -> None:
    """Ask whether doctors already planned for these days are meant to share the centre."""
    if form.wrong or form.value(SHARED):
        return
    zone = zone_of(around.zone)
    begins, over = (datetime.fromisoformat(each).astimezone(zone) for each in (starts, ends))
    there = [
        f"{each.practitioner_name} (du {each.starts_at.astimezone(zone):%d/%m} "
        f"au {each.over_at.astimezone(zone):%d/%m})"
        for each in around.directory.stints_of(around.centre.centre)
        if each.starts_at < over and begins < each.over_at and str(each.practitioner) != doctor
    ]
    if there:
        form.wrong[SHARED] = (
            f"Déjà prévu ces jours-là : {', '.join(there)}. Si les deux médecins seront là "
            "ensemble, cocher la case ; sinon, changer les dates."
        )


def _moment(form: Form, name: str, around: Around) -> str:
    """A typed civil time of the centre as an instant; what cannot be read is said beside it."""
    typed = moment_typed(form.value(name))
    if typed is None:
        form.wrong[name] = f"Écrire le jour et l’heure, comme {AS_TYPED}."
        return ""
    return (typed if typed.tzinfo else typed.replace(tzinfo=ZoneInfo(around.zone))).isoformat()


def _revise_fields(around: Around) -> tuple[Field, ...]:
    return (
        Field("starts_at", "Début", "datetime-local"),
        Field("ends_at", "Fin", "datetime-local"),
        Field("confirmed", "Le médecin a confirmé", "check", width="w12"),
        Field("reason", "Pourquoi", hint="confirmé par téléphone, prolongé, écourté…", width="w12"),
    )


def _revise_start(around: Around) -> Mapping[str, str]:
    line = around.stint
    if line is None:
        return {}
    local = {"starts_at": line.starts_at, "ends_at": line.ends_at}
    shown = {
        name: f"{each.astimezone(zone_of(around.zone)):%Y-%m-%dT%H:%M}"
        for name, each in local.items()
    }
    return shown | _pattern_start(line) | ({"confirmed": "oui"} if line.confirmed else {})


def _revise(form: Form, around: Around) -> dict[str, Any]:
    before = _revise_start(around)
    data: dict[str, Any] = {"reason": form.value("reason").strip()}
    for name in ("starts_at", "ends_at"):
        if form.value(name)[:16] != before.get(name):
            data[name] = _moment(form, name, around)
    if bool(form.value("confirmed")) != bool(before.get("confirmed")):
        data["confirmed"] = bool(form.value("confirmed"))
    pattern = _pattern(form)
    sent = any(name.startswith("pattern[") for name in form.values)
    if sent and around.stint and pattern != list(msgspec.to_builtins(around.stint.pattern)):
        data["pattern"] = pattern
    if around.stint is not None and ("starts_at" in data or "ends_at" in data):
        starts = data.get("starts_at", around.stint.starts_at.isoformat())
        ends = data.get("ends_at", around.stint.ends_at.isoformat())
        _warn_of_others(form, around, starts, ends, str(around.stint.practitioner))
    if len(data) == 1 and not form.wrong:
        form.general.append("Rien n’est changé : confirmer, ou changer une date ou un jour.")
    return data


_REASON = (Field("reason", "Pourquoi", width="w12"),)

# The centre

_PERSON = (Field("name", "Nom", width="w6"), Field("phone", "Téléphone", "tel", width="w6"))


def _roster_start(around: Around) -> Mapping[str, str]:
    here = around.centre
    found = {"referent_name": here.referent.name, "referent_phone": here.referent.phone}
    for group, people in (("on_call_chain", here.on_call_chain),
                          ("coordinators", here.coordinators)):  # fmt: skip
        for number, person in enumerate(people):
            found[f"{group}[{number}].name"] = person.name
            found[f"{group}[{number}].phone"] = person.phone
    return found


def _roster(form: Form, around: Around) -> dict[str, Any]:
    here = around.centre
    known = {each.name: each for each in (*here.coordinators, *here.on_call_chain, here.referent)}

    def person(name: str, phone: str) -> dict[str, Any]:
        before: NamedPerson | None = known.get(name)
        held = {"person": str(before.person)} if before and before.person else {}
        return {"name": name, "phone": phone, **held}

    def group(name: str) -> list[dict[str, Any]]:
        rows = (form.row(name, number) for number in form.rows(name))
        return [person(row.get("name", ""), row.get("phone", "")) for row in rows if row]

    return {
        "referent": person(
            form.value("referent_name").strip(), form.value("referent_phone").strip()
        ),
        "on_call_chain": group("on_call_chain"),
        "coordinators": group("coordinators"),
    }


def _policy_start(around: Around) -> Mapping[str, str]:
    found = {}
    for number, slot in enumerate(around.centre.opening):
        found[f"opening[{number}].weekday"] = str(slot.weekday)
        found[f"opening[{number}].opens"] = slot.opens
        found[f"opening[{number}].closes"] = slot.closes
    for number, source in enumerate(around.centre.expected_sources):
        found[f"expected_sources[{number}].system"] = source.system
        found[f"expected_sources[{number}].within_hours"] = str(source.within_hours)
    return found


def _policy(form: Form, around: Around) -> dict[str, Any]:
    opening = []
    for number in form.rows("opening"):
        row = form.row("opening", number)
        if row.get("opens") or row.get("closes"):
            day = row.get("weekday", "")
            opening.append(
                {
                    "weekday": int(day) if day in dict(_WEEKDAYS) else 0,
                    "opens": row.get("opens", ""),
                    "closes": row.get("closes", ""),
                }
            )
    sources = []
    for number in form.rows("expected_sources"):
        row = form.row("expected_sources", number)
        if not row.get("system"):
            continue
        hours = row.get("within_hours", "24")
        if not (hours.isascii() and hours.isdigit() and len(hours) <= 4):
            form.wrong[f"expected_sources[{number}].within_hours"] = "Un nombre d’heures."
            continue
        sources.append({"system": row["system"], "within_hours": int(hours)})
    return {"opening": opening, "expected_sources": sources}


_SPAN = (
    Field("first_day", "Premier jour", "date"),
    Field("last_day", "Dernier jour", "date"),
    *_REASON,
)


def _as_typed(*names: str) -> Callable[[Form, Around], dict[str, Any]]:
    """The fields as they were typed, empty ones left out."""

    def read(form: Form, _: Around) -> dict[str, Any]:
        return {name: form.value(name).strip() for name in names if form.value(name).strip()}

    return read


PLAN = Act(
    "plan-stint", "Prévoir un séjour", "Le médecin lira la relève dès le troisième jour avant.",
    "Prévoir le séjour", "sejour-prevu", _plan_fields, _plan,
    rows=(_RHYTHM,),
)  # fmt: skip
REVISE = Act(
    "revise-stint", "Confirmer ou modifier un séjour",
    "Les droits suivent ces dates : ils s’ouvrent et se ferment avec elles.",
    "Enregistrer", "sejour-modifie", _revise_fields, _revise, _revise_start,
    (_RHYTHM,),
)  # fmt: skip
CANCEL = Act(
    "cancel-stint", "Annuler un séjour", "Un séjour annulé ne donne aucun droit.",
    "Annuler ce séjour", "sejour-annule", lambda _: _REASON, _as_typed("reason"),
)  # fmt: skip
ROSTER = Act(
    "change-roster", "Changer l’équipe",
    "Un référent, et une chaîne d’astreinte d’au moins deux personnes : jamais de trou.",
    "Enregistrer l’équipe", "equipe",
    lambda _: (Field("referent_name", "Référent médical"),
               Field("referent_phone", "Son téléphone", "tel")),
    _roster, _roster_start,
    (Rows("on_call_chain", "Chaîne d’astreinte, dans l’ordre d’appel", _PERSON,
          "Ajouter une personne", 2),
     Rows("coordinators", "Coordination", _PERSON, "Ajouter une personne")),
)  # fmt: skip
POLICY = Act(
    "change-policy", "Horaires et sources attendues",
    "Une source attendue qui se tait trop longtemps est montrée à tous.",
    "Enregistrer", "horaires", lambda _: (), _policy, _policy_start,
    (Rows("opening", "Heures d’ouverture",
          (Field("weekday", "Jour", "select", width="w4", options=_WEEKDAYS),
           Field("opens", "Ouvre", "time", width="w4"),
           Field("closes", "Ferme", "time", width="w4")), "Ajouter une plage"),
     Rows("expected_sources", "Sources attendues",
          (Field("system", "Nom, comme il arrive", width="w8"),
           Field("within_hours", "Silence permis, en heures", width="w4")),
          "Ajouter une source")),
)  # fmt: skip
CLOSURE = Act(
    "record-closure", "Noter des jours fermés", "Le centre est fermé ; personne n’y est attendu.",
    "Noter", "fermeture", lambda _: _SPAN, _as_typed("first_day", "last_day", "reason"),
)  # fmt: skip
GAP = Act(
    "record-gap", "Noter des jours sans médecin",
    "Le référent répond ces jours-là ; chaque page dit d’appeler le 15 ou le 116 117.",
    "Noter", "sans-medecin", lambda _: _SPAN, _as_typed("first_day", "last_day", "reason"),
    lambda around: {"first_day": around.asked.get("du", "")[:10],
                    "last_day": around.asked.get("au", "")[:10]},
)  # fmt: skip
SITE = Act(
    "add-site", "Ajouter un lieu de soins", "Où le médecin se rend aussi : EHPAD, annexe.",
    "Ajouter", "lieu",
    lambda _: (
        Field("site_name", "Nom", width="w8"),
        Field("kind", "Nature", "select", width="w4", options=tuple(SITES.items())),
        Field("address", "Adresse", width="w12"),
        Field("finess", "FINESS", hint="facultatif"),
        Field("phone", "Téléphone", "tel", hint="facultatif"),
    ),
    _as_typed("site_name", "kind", "address", "finess", "phone"),
)  # fmt: skip


# Routes: one page and its form each


def _serve(path: str, act: Act, asked: Action, kind: Literal["centre", "stint"]) -> None:
    """Add the page that shows the form of an act, and what it is posted to."""

    def shown(request: Request, granted: Granted) -> Response:
        return _shown(request, granted, act)

    def done(request: Request, granted: Granted, submitted: Submission) -> Response:
        return _done(request, granted, act, submitted)

    guard = Guard(asked, kind)
    for method, route in (("GET", shown), ("POST", done)):
        # The guard is this page's own: a name in an annotation could not reach it.
        route.__annotations__["granted"] = Annotated[Granted, Depends(guard)]
        router.add_api_route(path, route, methods=[method], name=f"{method} {act.command}")


_serve("/coordination/sejour", PLAN, Action.WRITE_AGENDA, "centre")
_serve("/coordination/sejours/{stint}/modifier", REVISE, Action.WRITE_AGENDA, "stint")
_serve("/coordination/sejours/{stint}/annuler", CANCEL, Action.WRITE_AGENDA, "stint")
_serve("/coordination/equipe", ROSTER, Action.RUN_CENTRE, "centre")
_serve("/coordination/horaires", POLICY, Action.RUN_CENTRE, "centre")
_serve("/coordination/fermeture", CLOSURE, Action.RUN_CENTRE, "centre")
_serve("/coordination/sans-medecin", GAP, Action.RUN_CENTRE, "centre")
_serve("/coordination/lieu", SITE, Action.RUN_CENTRE, "centre")


def _around(request: Request, granted: Granted) -> Around:
    directory = services_of(request).directory.load()
    stint = directory.stint(granted.stint) if granted.kind == "stint" else None
    centre = directory.centre(stint.centre if stint else granted.centre)
    if centre is None:
        raise refuse(404)
    return Around(directory, centre, centre.zone, stint, request.query_params)


def _shown(request: Request, granted: Granted, act: Act) -> Response:
    around = _around(request, granted)
    form = Form(granted.principal.session.form_token(), forms.new_key())
    form.values.update(act.start(around))
    return _page(request, granted, act, around, form)


def _done(request: Request, granted: Granted, act: Act, submitted: Submission) -> Response:
    """Perform the act and go back to the board; or the form with everything that was typed."""
    around = _around(request, granted)
    form = forms.read_or_refuse(submitted, Form(granted.principal.session.form_token()))
    form.key = form.key or forms.new_key()
    if form.value("ajouter"):
        return _page(request, granted, act, around, form)
    data = act.data(form, around)
    addressed = granted.stint if granted.kind == "stint" else granted.centre
    if not form.wrong and not form.general:
        try:
            perform(
                services_of(request), granted, COMMANDS[act.command].parse(data),
                client_key=form.key,
                target=None if COMMANDS[act.command].creates else addressed,
            )  # fmt: skip
        except ReleveError as error:
            names = {"referent.name": "referent_name", "referent.phone": "referent_phone"}
            problem = problem_for(error)
            shown = (*act.fields(around), *(each for group in act.rows for each in group.fields))
            labels = {each.name: each.label for each in shown}
            form.refused(problem, names, labels if problem.code == "missing-field" else None)
        else:
            return see("/coordination", fait=act.said)
    return _page(request, granted, act, around, form, status=422)


def _page(
    request: Request, granted: Granted, act: Act, around: Around, form: Form, status: int = 200
) -> Response:
    form.minimum = {group.name: group.at_least for group in act.rows}
    fields = act.fields(around)
    if form.error(SHARED) or form.value(SHARED):
        fields += (Field(SHARED, "Les deux médecins seront là ensemble", "check", width="w12"),)
    return page(
        request,
        granted.principal,
        "centre_form.html",
        here="coordination",
        status=status,
        act=act,
        action=request.url.path,
        fields=fields,
        about=around.stint.practitioner_name if around.stint else around.centre.name,
        form=form,
    )
