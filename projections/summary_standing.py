"""What a line says and whether it stands: its first words, and what was said of it since.

Worked out anew each time, so that a revision or a correction that is taken back leaves no trace.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from releve.domain.aggregates.patient.problems import ACTIVE
from releve.domain.clinical_time import Recency
from releve.projections.summary_lines import RESULT, Line, State

VITAL_SIGNS: Final = frozenset(
    {
        "85354-9", "8480-6", "8462-4", "8867-4", "9279-1", "8310-5", "29463-7", "8302-2",
        "39156-5", "59408-5", "2708-6", "8289-1", "9843-4", "72514-3",
    }
)  # fmt: skip
"""LOINC codes that are vital signs whatever category came with them."""

Detail = dict[str, Any]


def settled(line: Line) -> Line:
    """The line as its first words, its standing revisions and its corrections make it."""
    base = line.detail if line.first is None else line.first
    changes = [each for each in line.revisions if each.topic in MERGED and not each.wrong]
    changes.sort(key=lambda each: place_in(line, each))
    detail = base
    for change in changes:
        detail = MERGED[change.topic](detail, change)
    first = base if any(each.topic in MERGED for each in line.revisions) else None
    line = msgspec.structs.replace(line, detail=detail, first=first)
    slot, state = _SETTLED.get(line.topic, _as_it_is)(line)
    verdict = line.validated
    if verdict is not None and verdict.detail["verdict"] == "refused":
        state = "refused"
    if line.wrong:
        state = "in-error"
    return msgspec.structs.replace(line, slot=slot, state=state)


_PAST_CLINICAL = frozenset({"inactive", "remission", "resolved"})
_PAST_MEDICATION = frozenset(
    {"completed", "stopped", "cancelled", "not-taken", "not-done", "declined", "draft"}
)
_PAST_DEVICE = frozenset({"inactive", "completed", "stopped", "intended"})
_NOT_DONE = frozenset({"not-done", "preparation", "stopped"})


def _verified(line: Line, past: bool) -> State:
    """The state that verification and clinical status, as received, give a line."""
    if line.verification == "entered-in-error":
        return "in-error"
    if line.verification == "refuted":
        return "refuted"
    return "past" if past else "current"


def _by_status(line: Line, past: frozenset[str]) -> State:
    if line.status == "entered-in-error":
        return "in-error"
    return "past" if line.status in past else "current"


def _as_it_is(line: Line) -> tuple[str, State]:
    ended = any(each.topic in ENDING and not each.wrong for each in line.revisions)
    if line.state == "superseded":
        return line.slot, "superseded"
    return line.slot, "past" if ended else "current"


ENDING = frozenset(
    {
        "patient.vigilance-point-lifted", "patient.contingency-withdrawn",
        "patient.medecin-traitant-ended",
    }
)  # fmt: skip
"""Topics that end a line, whatever it says."""


def _problem(line: Line) -> tuple[str, State]:
    status = line.clinical_status
    ended = status is None and bool(line.detail.get("abatement"))
    state = _verified(line, status in _PAST_CLINICAL or ended)
    # In the slot of past illness, a past problem is what is current to say.
    return ("past-illness", "current") if state == "past" else ("problems", state)


def _allergy(line: Line) -> tuple[str, State]:
    return "allergies", _verified(line, line.clinical_status in _PAST_CLINICAL)


def _absence(line: Line) -> tuple[str, State]:
    return line.detail["slot"], _verified(line, line.clinical_status in _PAST_CLINICAL)


def _medication(line: Line) -> tuple[str, State]:
    return "medications", _by_status(line, _PAST_MEDICATION)


def _observation(line: Line) -> tuple[str, State]:
    codes = {coding.get("code") for coding in line.detail["code"].get("codings", ())}
    category = line.detail.get("category")
    if category == "vital-signs" or codes & VITAL_SIGNS:
        slot = "vital-signs"
    elif category == "social-history":
        slot = "lifestyle"
    else:
        slot = "results"
    gone = line.status in ("entered-in-error", "cancelled")
    return slot, "in-error" if gone else "current"


def _result_line(line: Line) -> tuple[str, State]:
    if line.ordinal is None:
        return "", "current"
    gone = line.status in ("entered-in-error", "cancelled")
    return "results", "in-error" if gone else "current"


def _history(line: Line) -> tuple[str, State]:
    past = _verified(line, line.detail.get("status") in _PAST_CLINICAL)
    return line.detail["slot"], past


def _device(line: Line) -> tuple[str, State]:
    over = line.detail.get("status") is None and bool(line.detail.get("until"))
    return "devices", "past" if over else _by_status(line, _PAST_DEVICE)


def _vigilance(line: Line) -> tuple[str, State]:
    return "vigilance", _as_it_is(line)[1]


_SETTLED: Final[Mapping[str, Callable[[Line], tuple[str, State]]]] = {
    "patient.problem-recorded": _problem,
    "patient.allergy-recorded": _allergy,
    "patient.absence-asserted": _absence,
    "patient.medication-started": _medication,
    "patient.observation-recorded": _observation,
    RESULT: _result_line,
    "patient.immunization-recorded": lambda line: ("immunizations", _by_status(line, _NOT_DONE)),
    "patient.procedure-recorded": lambda line: ("procedures", _by_status(line, _NOT_DONE)),
    "patient.device-recorded": _device,
    "patient.history-recorded": _history,
    "patient.vigilance-point-set": _vigilance,
    "patient.document-attached": lambda line: ("documents", "current"),
}


_ITEM: Final = "patient.item-opened"
OBSERVATION: Final = "patient.observation-recorded"


def _merge(detail: Detail, change: Line) -> Detail:
    """What a revision names is now so; what it leaves out stays."""
    return {**detail, **change.detail}


def _problem_revised(detail: Detail, change: Line) -> Detail:
    """A problem that is active again has no end date any more."""
    if change.detail.get("clinical_status") in ACTIVE:
        detail = {name: value for name, value in detail.items() if name != "abatement"}
    return {**detail, **change.detail}


def _redosed(detail: Detail, change: Line) -> Detail:
    """A new dose replaces the old one in both of its forms: one of them would mislead."""
    said = change.detail
    if "dose" in said or "dose_text" in said:
        detail = {name: value for name, value in detail.items() if name not in _DOSE}
    return {**detail, **said}


_DOSE = frozenset({"dose", "dose_text"})


def _stopped(detail: Detail, change: Line) -> Detail:
    found = {**detail, "status": "stopped", "end": change.detail["stopped_on"]}
    return {**found, "status_reason": change.reason} if change.reason else found


def _item(detail: Detail, change: Line) -> Detail:
    """A new day ends "no deadline"; saying "no deadline" ends the day."""
    said = change.detail
    found = {**detail, **said}
    if said.get("due"):
        found.pop("no_deadline", None)
    elif said.get("no_deadline"):
        found.pop("due", None)
    return found


MERGED: Final[Mapping[str, Callable[[Detail, Line], Detail]]] = {
    "patient.problem-revised": _problem_revised,
    "patient.allergy-revised": _merge,
    "patient.medication-changed": _redosed,
    "patient.medication-stopped": _stopped,
    "patient.item-revised": _item,
}
"""What a revision of each topic makes of the words before it."""


def place_in(line: Line, change: Line) -> Recency:
    """Where a change of a line stands among the others: what is to be done is as was said last."""
    return (change.recorded_at, change.version) if line.topic == _ITEM else change.recency
