"""Whether a slot is known, none or not asked, as a card keeps it and as every badge says it.

An imported "none known" that no doctor has accepted is never said like one that was asked here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, Final

from releve.projections import wording
from releve.projections.dates import french
from releve.projections.patient_summary import Line, PatientSummary

NAMED: Final = 4
"""Substances that a badge names; the rest is counted."""


def sourced(line: Line, **said: Any) -> dict[str, Any]:
    """What every line of a card carries: since when, by whom, from where."""
    return {
        **said,
        "as_of": line.as_of,
        "author": line.source_author,
        "role": line.role,
        "source": line.source_words,
        "entry": str(line.entry_id),
    }


def presence_of(summary: PatientSummary, slot: str, zone: str, day: date) -> dict[str, Any]:
    """The three states of a slot, and whether what is said of it waits for a doctor's word.

    ``validation`` is ``to-validate`` where "none known" was imported and nobody has accepted it;
    ``lines`` are given of allergies alone.
    """
    presence = summary.presence(slot)
    state, asked_on, parts, absence = presence
    known = [line for line in summary.slot(slot) if line.current] if state == "known" else []
    asked = f"demandé {wording.on(asked_on, zone)}"
    if absence is not None and presence.waits and absence.source is not None:
        door = wording.CHANNEL[absence.source.channel]
        none = f"{wording.ABSENCE[slot]}, à valider ({door}, {asked})"
    else:
        none = f"{wording.ABSENCE.get(slot, '')} ({asked})"
    texts = {"known": "", "none": none, "not-asked": _NOT_ASKED[slot]}
    return {
        "state": state,
        "validation": absence.validation if absence is not None else "",
        "asked_on": asked_on,
        "text": texts[state],
        "asked": _asked_day(asked_on, zone, day),
        "lines": [
            sourced(
                line,
                text=wording.concept_text(line.concept) or line.text,
                validation=line.validation,
            )
            for line in (known if slot == "allergies" else [])
        ],
        "parts": [
            sourced(
                line,
                text=wording.absence_text(line.detail) + _mark(line.validation),
                validation=line.validation,
            )
            for line in parts
        ],
        "absence": sourced(absence, text=none) if absence is not None else None,
    }


_NOT_ASKED: Final[Mapping[str, str]] = {
    "allergies": "Allergies : non demandées",
    "medications": "Traitements : non demandés",
    "problems": "Problèmes : non demandés",
}


def _asked_day(asked_on: str | None, zone: str, today: date) -> str:
    """``19/11``, with its year where that is another than the briefing's."""
    day = french(asked_on, zone)
    this_year = f"/{today.year}"
    return day.removesuffix(this_year) if day.count("/") == 2 else day


def is_imported_none(presence: Mapping[str, Any]) -> bool:
    """Whether a kept presence is "none" on another system's word alone."""
    return presence["state"] == "none" and presence.get("validation") == "to-validate"


def badge_of(allergies: Mapping[str, Any], zone: str) -> dict[str, Any]:
    """The allergy badge of every page, from a presence as a card keeps it.

    ``tone`` is known, none (asked here, or accepted), to-validate (none, on another system's word)
    or not-asked; ``text`` what it says after its own words, ``asked_on`` the day of a "none".
    """
    lines = allergies["lines"]
    hidden = len(lines[NAMED:]) + allergies.get("more", 0)
    names = ", ".join(substance(line) for line in lines[:NAMED])
    imported = is_imported_none(allergies)
    return {
        "tone": "to-validate" if imported else allergies["state"],
        "text": allergies["text"] if imported else names + (f" +{hidden}" if hidden else ""),
        "asked_on": french(allergies["asked_on"], zone),
    }


def substance(line: Mapping[str, Any]) -> str:
    """A substance, with what is said of an imported one that nobody has accepted."""
    return f"{line['text']}{_mark(line.get('validation'))}"


def _mark(validation: str | None) -> str:
    return " (à valider)" if validation == "to-validate" else ""
