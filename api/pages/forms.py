"""Forms without JavaScript: everything typed comes back, errors stand beside their field.

A form knows its values by field name; rows of a group are named ``items[0].due``, which is also
how a refused command names the field that it refuses.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from starlette.datastructures import FormData

from releve.api.pages.measures import read_measure
from releve.api.pages.typed_dates import AS_TYPED, day_typed, moment_typed
from releve.api.problems import Problem, refuse
from releve.domain.errors import Invalid

_ROW = re.compile(r"(\w+)\[(\d{1,2})\](?:\.(.+))?\Z")
ONE_LINE = 160
MOST_ROWS = 20

CONSULTATION_ROWS = {
    "items": 1, "problems": 1, "observations": 2, "medications": 1, "allergies": 1,
    "contingencies": 1,
}  # fmt: skip
HANDOVER_ROWS = {"actions": 2, "new_items": 1, "new_contingencies": 1}
LABELS: Mapping[str, str] = {
    "occurred_at": "Date et heure", "late_reason": "Saisie tardive", "due": "Échéance",
    "onset": "Depuis", "measure": "Valeur et unité",
    "valid_until": "Jusqu’au", "review_by": "À réévaluer le", "reason": "Motif",
    "severity_reason": "Motif de la gravité", "summary": "Le patient en une ligne",
    "birth_date": "Date de naissance", "birth_place": "Commune de naissance",
    "birth_name": "Nom de naissance", "first_names": "Prénoms de naissance",
}  # fmt: skip
"""What a control is called, by the last part of its name: an error read alone names its field."""
_DEFAULTS = ("kind", "owner", "category", "criticality")
"""Fields of a row that have a value before anybody typed."""


@dataclass
class Form:
    """One form as it is shown: values, errors, and the hidden fields that make it safe to send."""

    token: str
    key: str | None = None
    position: int | None = None
    version: int | None = None
    values: dict[str, str] = field(default_factory=dict)
    wrong: dict[str, str] = field(default_factory=dict)
    general: list[str] = field(default_factory=list)
    minimum: Mapping[str, int] = field(default_factory=dict)
    items: list[dict[str, Any]] = field(default_factory=list)
    contingencies: list[dict[str, Any]] = field(default_factory=list)
    arrived: Sequence[Mapping[str, Any]] = ()
    """What others wrote on the record since the form was opened."""
    flagged: Sequence[UUID] = ()
    """Patients among whom the author must choose first."""
    again: str = ""
    """The hour at which the same person recorded the very same already, once that is known."""
    kept: bool = False
    """Sent by the Enter key: shown again as it was typed, nothing done."""

    def value(self, name: str) -> str:
        """What stands in a field."""
        return self.values.get(name, "")

    def error(self, name: str) -> str:
        """What is wrong with a field, or nothing."""
        return self.wrong.get(name, "")

    @property
    def errors(self) -> list[dict[str, str]]:
        """Every error for the summary: its text and the field it leads to."""
        found = [{"anchor": "", "text": text} for text in self.general]
        return found + [{"anchor": name, "text": text} for name, text in self.wrong.items()]

    def rows(self, group: str) -> range:
        """The row numbers of a group: what was typed, at least a few, one more when asked."""
        found = [int(row[2]) + 1 for name in self.values if (row := _ROW.match(name))
                 and row[1] == group]  # fmt: skip
        count = max([*found, self.minimum.get(group, 0)])
        return range(min(count + (self.values.get("ajouter") == group), MOST_ROWS))

    def filled(self, group: str) -> bool:
        """Say whether anything was typed in a group."""
        return any(self.row(group, n) for n in self.rows(group)) or self.value("ajouter") == group

    def row(self, group: str, number: int) -> dict[str, str]:
        """The typed fields of one row; empty when only choices with a default stand in it."""
        prefix = f"{group}[{number}]."
        found = {
            name.removeprefix(prefix): value.strip()
            for name, value in self.values.items()
            if name.startswith(prefix) and value.strip()
        }
        return found if any(name not in _DEFAULTS for name in found) else {}

    def counted(self, name: str) -> str:
        """How long a one-line text is, once it is too long: the counter without JavaScript."""
        length = len(self.value(name).strip())
        return f" ; {length} pour l’instant" if length > ONE_LINE else ""

    def refused(
        self,
        problem: Problem,
        names: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> None:
        """Put a refused command's error beside the field it names, in the reader's words.

        ``names`` gives the control of a path, ``labels`` what a control is called on its page.
        """
        text = problem.why or problem.what
        if problem.why and problem.what and problem.code not in ("invalid", "invalid-field",
                                                                 "missing-field"):  # fmt: skip
            text = f"{problem.what} {problem.why}"
        if problem.do and problem.do != Invalid.do:
            text = f"{text} {problem.do}"
        for path, _ in problem.fields:
            name = _control(path, names or {})
            label = {**LABELS, **(labels or {})}.get(name.rpartition(".")[2])
            if label:
                text = (
                    f"{label} : {text[:1].lower() if text[1:2].islower() else text[:1]}{text[1:]}"
                )
            shown = (*self.values, *(names or {}).values(), "late_reason", "occurred_at")
            if name in shown or _ROW.match(name):
                self.wrong.setdefault(name, text)
                return
        self.general.append(text)


def _control(path: str, names: Mapping[str, str]) -> str:
    """The form control that a command's path means."""
    for prefix, control in names.items():
        if path == prefix or path.startswith((prefix + ".", prefix + "[")):
            return control
    row = _ROW.match(path)
    if row is None or row[3] is None:
        return path
    group, number, rest = row[1], row[2], row[3]
    if group == "observations":
        rest = "code" if rest.startswith("code") and ".value" not in rest else "measure"
    elif rest.startswith(("concept", "substance")):
        rest = "text"
    return f"{group}[{number}].{rest.split('.')[0]}"


def read(form: FormData, into: Form) -> Form:
    """Take what was typed into ``into``; the hidden fields are not values."""
    for name, value in form.multi_items():
        if isinstance(value, str) and name not in ("jeton", "cle", "position_vue", "version_vue"):
            into.values[name] = value.replace("\r\n", "\n")
    into.kept = bool(form.get("garder"))
    key = form.get("cle")
    if isinstance(key, str) and 16 <= len(key) <= 64:
        into.key = key
    into.position = _number(form.get("position_vue"))
    into.version = _number(form.get("version_vue"))
    return into


def read_or_refuse(form: FormData | None, into: Form) -> Form:
    """As :func:`read`; a request that carries no form at all is refused.

    Raises:
        RequestRefused: 400.
    """
    if form is None:
        raise refuse(400)
    return read(form, into)


def _number(value: object) -> int | None:
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else None


def new_key() -> str:
    """A fresh idempotency key for one form: sending it twice makes one entry."""
    return secrets.token_urlsafe(24)


def occurred_at(form: Form, zone: str) -> str | None:
    """The clinical time typed in the centre's local time, with its offset; None when empty."""
    typed = form.value("occurred_at").strip()
    if not typed:
        return None
    moment = moment_typed(typed)
    if moment is None:
        form.wrong["occurred_at"] = f"Écrire une date et une heure, comme {AS_TYPED}."
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=ZoneInfo(zone))
    return moment.isoformat()


# Commands


def consultation(form: Form, zone: str, today: str) -> dict[str, Any]:
    """The data of ``record-consultation``; what cannot be read is an error on the form."""
    data: dict[str, Any] = {"mode": form.value("mode") or "cabinet"}
    _put(data, "reason", form.value("reason"))
    _put(data, "occurred_at", occurred_at(form, zone) or "")
    _put(data, "late_reason", form.value("late_reason"))
    note: dict[str, str] = {}
    for name in ("one_liner", "subjective", "objective", "assessment", "plan"):
        _put(note, name, form.value(f"note.{name}"))
    if len(note.get("one_liner", "")) > ONE_LINE:
        form.wrong["note.one_liner"] = _too_long(note["one_liner"])
    if note:
        data["note"] = note
    severity = form.value("severity.severity")
    if severity:
        data["severity"] = _severity(form, "severity.", severity)
    data["problems"] = [
        {
            "concept": _coded(row["text"], row.get("code", "")),
            **({"onset": day_typed(row["onset"])} if row.get("onset") else {}),
        }
        for number, row in _rows(form, "problems", "Nommer le problème.")
    ]
    data["observations"] = list(_observations(form))
    data["medications"] = [
        {"concept": {"text": row["text"]}, "start": today, **_kept(row, "dose_text", "indication")}
        for number, row in _rows(form, "medications", "Nommer le traitement.")
    ]
    data["allergies"] = [
        _allergy(row) for _, row in _rows(form, "allergies", "Nommer la substance.")
    ]
    if form.value("no_allergy"):
        if data["allergies"]:
            form.wrong["no_allergy"] = "Une allergie est saisie : décocher « aucune allergie »."
        data["absences"] = [{"slot": "allergies", "asked_on": today}]
    data["items"] = list(_items(form, "items"))
    data["contingencies"] = list(_contingencies(form, "contingencies"))
    return {name: value for name, value in data.items() if value not in ("", [])}


def handover(form: Form, items: Iterable[str], contingencies: Iterable[str]) -> dict[str, Any]:
    """The data of ``write-handover`` (I-PASS)."""
    summary = form.value("summary").strip()
    if not summary:
        form.wrong["summary"] = "Écrire le patient en une ligne."
    elif len(summary) > ONE_LINE:
        form.wrong["summary"] = _too_long(summary)
    severity = form.value("severity")
    data: dict[str, Any] = {"severity": severity, "summary": " ".join(summary.split())}
    if not severity:
        form.wrong["severity"] = "Dire la gravité."
    elif severity != "stable" and not form.value("severity_reason").strip():
        form.wrong["severity_reason"] = "Dire pourquoi : le motif est obligatoire sauf stable."
    _put(data, "severity_reason", form.value("severity_reason"))
    _put(data, "review_by", form.value("review_by"))
    _put(data, "situation", form.value("situation"))
    data["actions"] = [text for n in form.rows("actions")
                       if (text := form.value(f"actions[{n}]").strip())]  # fmt: skip
    data["items"] = list(items)
    data["contingencies"] = list(contingencies)
    data["new_items"] = list(_items(form, "new_items"))
    data["new_contingencies"] = list(_contingencies(form, "new_contingencies"))
    _put(data, "late_reason", form.value("late_reason"))
    if form.value("read_back_requested"):
        data["read_back_requested"] = True
    return {name: value for name, value in data.items() if value not in ("", [])}


def item(form: Form) -> dict[str, Any]:
    """The data of ``open-item`` from a form that has one item and no row number."""
    row = {name: value.strip() for name, value in form.values.items() if value.strip()}
    return _item(form, row, "")


def severity(form: Form) -> dict[str, Any]:
    """The data of ``set-illness-severity``."""
    chosen = form.value("severity")
    if not chosen:
        form.wrong["severity"] = "Dire la gravité."
    return _severity(form, "", chosen)


def registration(form: Form) -> dict[str, Any]:
    """The data of ``register-patient``: what is not known stays out."""
    data: dict[str, Any] = {}
    for name in ("birth_name", "used_name", "birth_date", "sex", "birth_place"):
        _put(data, name, form.value(name))
    names = form.value("first_names").replace(",", " ").split()
    if names:
        data["first_names"] = names
    if not data.get("birth_name") and not names:
        form.wrong["birth_name"] = "Écrire au moins un nom ou un prénom."
    if form.value("searched"):
        data["prior_search"] = "name"
    else:
        form.wrong["searched"] = "Chercher d’abord cette personne dans la liste, puis le dire ici."
    return data


def _put(data: dict[str, Any], name: str, value: str) -> None:
    if value.strip():
        data[name] = value.strip()


def _kept(row: Mapping[str, str], *names: str) -> dict[str, str]:
    return {name: row[name] for name in names if row.get(name)}


def _too_long(text: str) -> str:
    return f"Une ligne de {ONE_LINE} caractères au plus ; celle-ci en a {len(text)}."


def _rows(form: Form, group: str, missing: str) -> Iterable[tuple[int, dict[str, str]]]:
    """Rows in which something was typed; one without its main text is an error.

    Rows are moved up to be numbered as the command will number them, so that the command's errors
    come back to their own row.
    """
    typed = [row for n in form.rows(group) if (row := _whole(form, group, n))]
    for name in [n for n in form.values if (r := _ROW.match(n)) and r[1] == group]:
        del form.values[name]
    for number, row in enumerate(typed):
        for name, value in row.items():
            form.values[f"{group}[{number}].{name}"] = value
        if not row.get("text"):
            form.wrong[f"{group}[{number}].text"] = missing
            row["text"] = ""
        yield number, row


def _whole(form: Form, group: str, number: int) -> dict[str, str]:
    row = form.row(group, number)
    return dict(row) if row else {}


def _coded(text: str, code: str) -> dict[str, Any]:
    concept: dict[str, Any] = {"text": text}
    if code:
        concept["codings"] = [{"system": "http://hl7.org/fhir/sid/icd-10", "code": code.upper()}]
    return concept


def _allergy(row: Mapping[str, str]) -> dict[str, Any]:
    data: dict[str, Any] = {"substance": {"text": row["text"]}}
    if row.get("category"):
        data["categories"] = [row["category"]]
    if row.get("criticality"):
        data["criticality"] = row["criticality"]
    if row.get("reaction"):
        data["reactions"] = [{"manifestations": [{"text": row["reaction"]}]}]
    return data


def _observations(form: Form) -> Iterable[dict[str, Any]]:
    group = "observations"
    typed = [
        row for n in form.rows(group)
        if (row := form.row(group, n)) and (row.get("measure") or row.get("code"))
    ]  # fmt: skip
    for name in [n for n in form.values if (r := _ROW.match(n)) and r[1] == group]:
        del form.values[name]
    for number, row in enumerate(typed):
        for name, value in row.items():
            form.values[f"{group}[{number}].{name}"] = value
        if not row.get("measure"):
            form.wrong[f"{group}[{number}].measure"] = "Écrire la valeur et son unité."
            continue
        found = read_measure(row.get("code", ""), row["measure"])
        if isinstance(found, str):
            control = "measure" if row.get("code") else "code"
            form.wrong[f"{group}[{number}].{control}"] = found
            continue
        if row.get("confirmed"):
            found["confirmed"] = True
        yield found


def _items(form: Form, group: str) -> Iterable[dict[str, Any]]:
    for number, row in _rows(form, group, "Dire ce qui doit encore se faire."):
        yield _item(form, row, f"{group}[{number}].")


def _item(form: Form, row: Mapping[str, str], prefix: str) -> dict[str, Any]:
    data: dict[str, Any] = {"kind": row.get("kind") or "other", "text": row.get("text", "")}
    data.update(_kept(row, "due", "done_when"))
    if row.get("no_deadline"):
        data["no_deadline"] = True
    if row.get("harm_if_late"):
        data["harm_if_late"] = True
    if row.get("owner"):
        data["owner"] = {"role": row["owner"]}
    if not data["text"]:
        form.wrong[f"{prefix}text"] = "Dire ce qui doit encore se faire."
    if bool(row.get("due")) == bool(row.get("no_deadline")):
        form.wrong[f"{prefix}due"] = (
            "Choisir : une échéance, ou « sans échéance », pas les deux."
            if row.get("due")
            else "Donner une échéance, ou cocher « sans échéance »."
        )
    return data


def _contingencies(form: Form, group: str) -> Iterable[dict[str, Any]]:
    typed = [row for n in form.rows(group) if (row := form.row(group, n))]
    for name in [n for n in form.values if (r := _ROW.match(n)) and r[1] == group]:
        del form.values[name]
    for number, row in enumerate(typed):
        for name, value in row.items():
            form.values[f"{group}[{number}].{name}"] = value
        for name, missing in (("condition", "Dire si quoi."), ("action", "Dire alors quoi.")):
            if not row.get(name):
                form.wrong[f"{group}[{number}].{name}"] = missing
        yield {"condition": row.get("condition", ""), "action": row.get("action", ""),
               **_kept(row, "valid_until")}  # fmt: skip


def _severity(form: Form, prefix: str, chosen: str) -> dict[str, Any]:
    data: dict[str, Any] = {"severity": chosen}
    _put(data, "reason", form.value(f"{prefix}reason"))
    _put(data, "review_by", form.value(f"{prefix}review_by"))
    if chosen not in ("", "stable") and "reason" not in data:
        form.wrong[f"{prefix}reason"] = "Dire pourquoi : le motif est obligatoire sauf stable."
    return data
