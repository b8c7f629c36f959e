"""From what was typed in the form of an act to the data of its command; and what a form begins as.

Pure. What cannot be read becomes an error beside its field, and everything typed stays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from releve.api.pages import forms, measures
from releve.api.pages.acts import ANSWERERS, COLLEAGUES, Act, Field, Options
from releve.api.pages.forms import Form
from releve.api.pages.typed_dates import AS_TYPED, PARTIAL, day_typed, moment_typed
from releve.projections.dates import Moment, french
from releve.projections.directory import Directory
from releve.projections.patient_summary import Item, PatientSummary, Result
from releve.security.policy import QUESTIONS

DIAGNOSES: Final = "http://hl7.org/fhir/sid/icd-10"

Data = dict[str, Any]


def data_of(act: Act, form: Form, at: Moment, centre: UUID, entry: UUID | None) -> Data:
    """The command's data; errors are put on the form."""
    data: Data = dict(act.fixed)
    for field in act.fields:
        typed = form.value(field.name).strip()
        if field.required and not typed and field.control != "lines":
            form.wrong.setdefault(field.name, field.asked)
        elif field.limit is not None and len(typed) > field.limit:
            form.wrong[field.name] = (
                f"{field.limit} caractères au plus ; ce texte en a {len(typed)}."
            )
        if typed and field.gives != "nothing":
            data[field.name] = _given(field, typed, form)
    if act.about and entry is not None:
        data[act.about] = str(entry)
    further = _FURTHER.get(act.command)
    if further is not None:
        further(form, data, at, centre)
    happened = forms.occurred_at(form, at.zone)
    if happened is not None:
        data["occurred_at"] = happened
    if form.value("late_reason").strip():
        data["late_reason"] = form.value("late_reason").strip()
    return {name: value for name, value in data.items() if value not in ("", [], ())}


def _given(field: Field, typed: str, form: Form) -> Any:
    match field.gives:
        case "concept":
            return {"text": typed}
        case "yes":
            return True
        case "owner":
            return {"role": typed}
        case "number":
            if not (typed.isascii() and typed.isdigit() and len(typed) < 6):
                form.wrong[field.name] = f"« {field.label} » : écrire un nombre."
                return ""
            return int(typed)
        case _:
            return day_typed(typed) if field.control == "date" or field.hint == PARTIAL else typed


# What takes more than one field


def _problem(form: Form, data: Data, _at: Moment, _centre: UUID) -> None:
    code = form.value("code").strip().upper()
    if code and "concept" in data:
        data["concept"]["codings"] = [{"system": DIAGNOSES, "code": code}]


def _allergy(form: Form, data: Data, _at: Moment, _centre: UUID) -> None:
    if form.value("category"):
        data["categories"] = [form.value("category")]
    reaction = form.value("reaction").strip()
    if reaction:
        data["reactions"] = [{"manifestations": [{"text": reaction}]}]


def _reconciled(form: Form, data: Data, _at: Moment, _centre: UUID) -> None:
    data.pop("checked", None)
    data["checked"] = [
        name.removeprefix("checked.")
        for name, value in form.values.items()
        if name.startswith("checked.") and value
    ]


def _observed(form: Form, data: Data, _at: Moment, _centre: UUID) -> None:
    if form.error("value"):
        return
    if not form.value("code"):
        return
    found = measures.read_measure(form.value("code"), form.value("value"))
    if isinstance(found, str):
        form.wrong["value"] = found
    else:
        data.update(found)


def _contingency(form: Form, data: Data, _at: Moment, _centre: UUID) -> None:
    key, typed = form.value("seuil"), form.value("threshold").strip()
    if not key and not typed:
        return
    found = measures.read_measure(key, typed)
    if isinstance(found, str):
        form.wrong["threshold" if key else "seuil"] = found
        return
    if not form.value("sens"):
        form.wrong["sens"] = "Dire si c’est au-dessus ou au-dessous de cette valeur."
        return
    data["threshold"] = {
        "loinc": found["code"]["codings"][0]["code"],
        "comparator": form.value("sens"),
        "value": found["value"]["value"],
        "unit": found["value"]["code"],
    }


def _contacts(form: Form, data: Data, _at: Moment, _centre: UUID) -> None:
    typed = (("label_0", "phones"), ("label_1", "number_1"))
    data["phones"] = [
        [form.value(label).strip() or "téléphone", form.value(number).strip()]
        for label, number in typed
        if form.value(number).strip()
    ]
    trusted = form.value("trusted_person").strip()
    if trusted:
        data["trusted_person"] = _person(
            trusted, form.value("trusted_phone"), form.value("trusted_link")
        )
    legal = form.value("legal_representatives").strip()
    if legal:
        data["legal_representatives"] = [_person(legal, form.value("legal_phone"), "")]


def _person(name: str, phone: str, link: str) -> dict[str, str]:
    found = {"name": name, "phone": phone.strip(), "relationship": link.strip()}
    return {key: value for key, value in found.items() if value}


def _reviewed(form: Form, data: Data, _at: Moment, _centre: UUID) -> None:
    if form.value("silent"):
        data["inform_patient"] = False


def _offered(form: Form, data: Data, _at: Moment, _centre: UUID) -> None:
    chosen, _, name = form.value("to").partition("|")
    if not chosen:
        form.wrong["to"] = "Choisir à qui."
    elif name:
        data["to"], data["to_name"] = {"person": chosen}, name
    else:
        data["to"] = {"role": chosen}


def _asked(form: Form, data: Data, _at: Moment, _centre: UUID) -> None:
    chosen, _, name = form.value("to").partition("|")
    if not name:
        form.wrong["to"] = "Choisir à qui."
    else:
        data["to"], data["to_name"] = chosen, name


def _item_revised(form: Form, data: Data, _at: Moment, _centre: UUID) -> None:
    """Only what differs from what the form began as: the rest stays as it is."""
    for name in ("text", "due"):
        if data.get(name) == form.value(f"avant_{name}"):
            data.pop(name, None)
    without = bool(form.value("no_deadline"))
    if without and "due" in data:
        form.wrong["due"] = "Choisir : une échéance, ou « sans échéance », pas les deux."
    if without and form.value("avant_due"):
        data["no_deadline"] = True
    elif not without and not form.value("avant_due") and "due" in data:
        data["no_deadline"] = False
    harm = bool(form.value("harm_if_late"))
    if harm != bool(form.value("avant_harm")):
        data["harm_if_late"] = harm


def _medication_changed(form: Form, data: Data, _at: Moment, _centre: UUID) -> None:
    for name in ("dose_text", "indication", "end"):
        if data.get(name) == form.value(f"avant_{name}"):
            data.pop(name, None)


def _attending(form: Form, data: Data, _at: Moment, centre: UUID) -> None:
    if form.value("kind") == "centre":
        data["centre"] = str(centre)
        data.pop("practitioner_name", None)


def _booked(form: Form, data: Data, at: Moment, _centre: UUID) -> None:
    typed = form.value("starts_at").strip()
    if not typed:
        return
    read = moment_typed(typed)
    if read is None:
        form.wrong["starts_at"] = f"Écrire une date et une heure, comme {AS_TYPED}."
    else:
        data["starts_at"] = read.replace(tzinfo=ZoneInfo(at.zone)).isoformat()


_FURTHER: Final[Mapping[str, Callable[[Form, Data, Moment, UUID], None]]] = {
    "record-problem": _problem,
    "record-allergy": _allergy,
    "reconcile-medications": _reconciled,
    "record-observation": _observed,
    "set-contingency": _contingency,
    "change-contact-details": _contacts,
    "review-result": _reviewed,
    "offer-item": _offered,
    "ask-question": _asked,
    "revise-item": _item_revised,
    "change-medication": _medication_changed,
    "declare-medecin-traitant": _attending,
    "notice-appointment": _booked,
}


# What a form begins as


def begun(act: Act, summary: PatientSummary, at: Moment, entry: UUID | None) -> dict[str, str]:
    """The values of a form before anybody typed: today, or what stands now."""
    values = {
        field.name: at.day.isoformat() if field.start == "today" else field.start
        for field in act.fields
        if field.start
    }
    if act.command == "change-contact-details":
        values.update(_contacts_now(summary))
    line = summary.entry(entry) if entry is not None else None
    if act.command == "change-medication" and line is not None:
        for name in ("dose_text", "indication", "end"):
            values[name] = values[f"avant_{name}"] = str(line.detail.get(name) or "")
    item = item_of_entry(summary, entry)
    if act.command == "revise-item" and item is not None:
        said = item.line.detail
        for name in ("text", "due"):
            values[name] = values[f"avant_{name}"] = str(said.get(name) or "")
        values["no_deadline"] = "" if said.get("due") else "oui"
        values["harm_if_late"] = values["avant_harm"] = "oui" if item.harm_if_late else ""
    return values


def carried(act: Act) -> tuple[str, ...]:
    """Hidden fields that say what the form began as."""
    match act.command:
        case "revise-item":
            return "avant_text", "avant_due", "avant_harm"
        case "change-medication":
            return "avant_dose_text", "avant_indication", "avant_end"
        case _:
            return ()


def _contacts_now(summary: PatientSummary) -> dict[str, str]:
    line = summary.contact_details
    if line is None:
        return {}
    said = line.detail
    values = {"address": said.get("address") or ""}
    for number, (label, phone) in enumerate(said.get("phones", ())[:2]):
        values[f"label_{number}"] = label
        values["phones" if number == 0 else "number_1"] = phone
    trusted = said.get("trusted_person") or {}
    values["trusted_person"] = trusted.get("name", "")
    values["trusted_phone"] = trusted.get("phone", "")
    values["trusted_link"] = trusted.get("relationship", "")
    for each in said.get("legal_representatives", ())[:1]:
        values["legal_representatives"] = each.get("name", "")
        values["legal_phone"] = each.get("phone", "")
    return values


def item_of_entry(summary: PatientSummary, entry: UUID | None) -> Item | None:
    """The item of that id, open or closed."""
    return next((each for each in summary.items if each.line.entry_id == entry), None)


def result_of_entry(summary: PatientSummary, entry: UUID | None) -> Result | None:
    """The result that an order or one of its versions belongs to."""
    for result in summary.results:
        named = [each.entry_id for each in result.versions]
        if result.order is not None:
            named.append(result.order.entry_id)
        if entry in named:
            return result
    return None


def options_of(
    field: Field, summary: PatientSummary, directory: Directory, centre: UUID, at: Moment,
    person: UUID, result: Result | None,
) -> Options:  # fmt: skip
    """What a choice offers, with the people and the prescriptions filled in."""
    if field.name == "order":
        if result is None or result.order is not None:
            return ()
        said = [
            (str(each.order.entry_id), f"{each.title}, {french(each.order.as_of, at.zone)}")
            for each in summary.results
            if each.order is not None and each.received is None
        ]
        return (("", "Aucune"), *said) if said else ()
    if field.options in (COLLEAGUES, ANSWERERS):
        gone_for = QUESTIONS if field.options == COLLEAGUES else timedelta()
        people = tuple(
            (f"{known}|{name}", name)
            for known, name in colleagues(directory, centre, at, gone_for)
            if known != person
        )
        if field.options == COLLEAGUES:
            return (("", "Choisir…"), *people)
        return (
            ("", "Choisir…"), ("medecin_en_poste", "Médecin en poste"),
            ("referent", "Référent médical"), ("coordinator", "Coordination"), *people,
        )  # fmt: skip
    return field.options


def colleagues(
    directory: Directory, centre: UUID, at: Moment, gone_for: timedelta
) -> list[tuple[UUID, str]]:
    """Doctors in post, due next, gone for less than ``gone_for``; the référent."""
    here = directory.centre(centre)
    found: dict[UUID, str] = {}
    coming = 0
    for line in directory.stints_of(centre):
        if line.over_at + gone_for < at.now:
            continue
        if line.starts_at > at.now:
            coming += 1
        if coming <= 2:
            found.setdefault(line.practitioner, line.practitioner_name)
    if here is not None and here.referent.person is not None:
        found.setdefault(here.referent.person, here.referent.name)
    return list(found.items())
