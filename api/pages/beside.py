"""What stands beside a form that is written: the record, so that nobody writes blind.

Pure but for the thread that it is given. What it shows is what the patient's page shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from releve.api.document_words import name_of_test
from releve.api.pages import result_views, views
from releve.projections import wording
from releve.projections.dates import Moment, french
from releve.projections.directory import Directory
from releve.projections.patient_summary import PatientSummary, Result
from releve.projections.timeline import TimelineEntry

NOTE: Final = "patient.note-signed"
READ_BACK: Final = 60
"""Entries of the thread among which the last note is looked for."""
_SLOTS: Final = ("medications", "problems", "allergies")
_BEFORE: Final = 4
"""Earlier values shown of one test."""


def record(
    summary: PatientSummary,
    thread: Sequence[TimelineEntry],
    at: Moment,
    centre: UUID,
    directory: Directory,
) -> dict[str, Any]:
    """Treatments, problems, allergies, open items and the last note; ``thread`` is newest first."""
    note = next((each for each in thread if each.topic == NOTE and _stands(each)), None)
    boxes = {box["name"]: box for box in views.boxes(summary, at)}
    return {
        "boxes": [boxes[name] for name in _SLOTS],
        "items": views.items(summary, at, centre, directory),
        "note": {**views.entry_view(note, at.zone), "late": note.late} if note else None,
        "results": [],
    }


def _stands(entry: TimelineEntry) -> bool:
    return entry.status in ("current", "amended")


def earlier_values(result: Result, summary: PatientSummary) -> list[dict[str, Any]]:
    """For each test of a result, what it was before: newest first, with its day.

    The same test has a code in common, or the same words. Versions of the result itself stand side
    by side in its own table and are left out; so is what is an error or was refused.
    """
    own = {version.entry_id for version in result.versions}
    known = [line for line in summary.slot("results") if line.current and line.entry_id not in own]
    known.sort(key=lambda line: (line.as_of, line.version), reverse=True)
    return [
        {
            "test": name_of_test(wording.concept_text(said["code"])),
            "values": [
                {
                    "text": result_views.value_text(line.detail),
                    "on": french(line.as_of, line.zone),
                    "to_validate": line.validation == "to-validate",
                }
                for line in known
                if _same(said["code"], line.detail.get("code"))
            ][:_BEFORE],
        }
        for said in result.lines
    ]


def _same(one: Mapping[str, Any], other: Mapping[str, Any] | None) -> bool:
    if other is None:
        return False
    names = [wording.concept_text(each).casefold() for each in (one, other)]
    codes = [
        {(coding.get("system"), coding.get("code")) for coding in each.get("codings", ())}
        for each in (one, other)
    ]
    return bool(codes[0] & codes[1]) or names[0] == names[1]
