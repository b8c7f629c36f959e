"""What the pages show of a result: ordered, received in versions, read, told.

Pure. Versions stand side by side, the one in force first, so that a correction is seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from releve.api.document_words import name_of_test, reference_in_words
from releve.api.pages import views
from releve.api.pages.views import day_and_hour, line_view
from releve.projections import wording
from releve.projections.dates import Moment, french
from releve.projections.patient_summary import Line, PatientSummary, Result
from releve.projections.summary_corrections import item_of
from releve.projections.summary_results import announced_otherwise

TONE: Final[Mapping[str, str]] = {
    "to-review": "late", "expected-late": "late", "to-inform": "warn", "partial": "warn",
    "expected": "", "done": "good", "cancelled": "grey",
}  # fmt: skip
_RANK: Final = {
    state: rank
    for rank, state in enumerate(
        ("to-review", "to-inform", "expected-late", "partial", "expected", "done", "cancelled")
    )
}
FLAGGED: Final = frozenset({"H", "HH", "HU", "L", "LL", "LU", "A", "AA", "POS"})


def results_of_patient(summary: PatientSummary, at: Moment) -> list[dict[str, Any]]:
    """Every result of a record: what waits first, then what is done, newest first."""
    ordered = sorted(summary.results, key=lambda each: -each.line.version)
    ordered.sort(key=lambda each: _RANK[each.state(at.day)])
    return [result_view(each, summary, at) for each in ordered]


def result_view(result: Result, summary: PatientSummary, at: Moment) -> dict[str, Any]:
    """One result with its versions, what was done about it and what is to be done next."""
    state = result.state(at.day)
    shown = [each for each in (result.received, *reversed(result.earlier)) if each is not None]
    item = item_of(summary, result)
    order = result.order
    before = result.previous_review
    rows = _rows(shown)
    return {
        "entry_id": str(result.entry_id),
        "title": result.title,
        "state": state,
        "state_word": wording.RESULT_STATE[state],
        "tone": TONE[state],
        "ordered": _ordered(order, at) if order is not None else None,
        "versions": [_version(each, at) for each in shown],
        "rows": rows,
        "references": any(row["reference"] for row in rows),
        "corrected": result.corrected_after_review and result.review is None,
        "previous_reader": before.author if before else "",
        "announced": announced_otherwise(summary, result),
        "to_validate": result.validation == "to-validate",
        "review": _step(result.review, _read(result.review)) if result.review else None,
        "informed": _step(result.informed, _told(result.informed)) if result.informed else None,
        "attempts": [
            _step(each, _tried(each)) for each in result.attempts if not each.wrong
        ],
        "item": str(item.line.entry_id) if item is not None and item.open else "",
        "acts": list(_acts(result, state)),
    }  # fmt: skip


def _acts(result: Result, state: str) -> Iterable[tuple[str, str]]:
    """What may be done next, the main one first: act and verb."""
    if result.received is not None and result.review is None:
        yield "relire", "Lire"
    if state == "to-inform" or (result.review is not None and state == "partial"):
        yield "prevenu", "Noter qu’il est prévenu"
    if state in ("to-inform", "to-review", "partial", "expected-late"):
        yield "appel", "Noter un appel"


def _ordered(order: Line, at: Moment) -> dict[str, Any]:
    said = order.detail
    return line_view(
        order,
        str(said["text"]),
        expected=french(said["expected_by"], at.zone),
        why=said.get("why") or "",
        urgent=said.get("criticality") == "urgent",
        harm=bool(said.get("harm_if_late")),
        kind=wording.INVESTIGATION[said["kind"]],
    )


def _version(line: Line, at: Moment) -> dict[str, Any]:
    said = line.detail
    return line_view(
        line,
        "",
        status=wording.RESULT_STATUS[said["status"]],
        laboratory=said.get("laboratory") or "",
        caller=said.get("caller") or "",
        read_back=bool(said.get("read_back")),
        conclusion=said.get("conclusion") or "",
        sampled=day_and_hour(said.get("sampled_at"), at.zone),
        received=day_and_hour(line.recorded_at.isoformat(), at.zone),
    )


def _rows(versions: list[Line]) -> list[dict[str, Any]]:
    """One row a test, its value in each version; a test that a version lacks is left empty."""
    found: dict[str, dict[str, Any]] = {}
    for column, version in enumerate(versions):
        for said in version.detail.get("lines", ()):
            name = wording.concept_text(said["code"])
            row = found.setdefault(
                name, {"test": name_of_test(name), "reference": "", "cells": [None] * len(versions)}
            )
            row["reference"] = row["reference"] or reference_in_words(
                said.get("reference_range") or ""
            )
            row["cells"][column] = _cell(said)
    for row in found.values():
        texts = [cell["text"] for cell in row["cells"] if cell is not None]
        row["changed"] = len(set(texts)) > 1 or None in row["cells"]
    return list(found.values())


def value_text(said: Mapping[str, Any]) -> str:
    """The value of one line of a result, and what its source says of it: ``5,9 mmol/L (haut)``."""
    cell = _cell(said)
    text: str = cell["text"]
    return f"{text} ({cell['flag']})" if cell["flag"] else text


def _cell(said: Mapping[str, Any]) -> dict[str, Any]:
    value = " ".join(
        part
        for part in (said.get("comparator"), wording.quantity_text(said.get("value")),
                     said.get("text"))
        if part
    )  # fmt: skip
    flag = said.get("interpretation") or ""
    gone = said.get("status") in ("cancelled", "entered-in-error")
    return {
        "text": value + (" (annulé)" if gone else ""),
        "flag": wording.INTERPRETATION.get(flag, ""),
        "flagged": flag in FLAGGED,
    }


def _step(line: Line, text: str) -> dict[str, Any]:
    return line_view(line, text)


def _read(line: Line | None) -> str:
    if line is None:
        return ""
    said = line.detail
    silent = "" if said.get("inform_patient", True) else f"patient non prévenu : {line.reason}"
    parts = (wording.VERDICT[said["verdict"]], said.get("action") or "", silent)
    return ", ".join(part for part in parts if part)


def _told(line: Line | None) -> str:
    return "" if line is None else views.without_label(line.text).removeprefix("Prévenu : ")


def _tried(line: Line) -> str:
    return line.text.removeprefix("Appel : ")
