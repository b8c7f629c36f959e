"""One record as it could be known at a moment, and as things had happened by another one."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from releve.api.disclosure import read_clinical
from releve.api.gate import Granted, Guard, services_of
from releve.api.pages import views
from releve.api.pages.shell import clinical_page, moment
from releve.api.pages.typed_dates import AS_TYPED, moment_typed
from releve.domain.errors import NotFound
from releve.projections.dates import Moment, french_hour, zone_of
from releve.projections.patient_summary import SLOTS, PatientSummary
from releve.projections.timeline import Replay, not_yet_known, replay
from releve.security.policy import Action

router = APIRouter(include_in_schema=False)

SHOWN: Final = 60
"""Entries that the page lists of each kind; the rest is counted."""

Reading = Annotated[Granted, Depends(Guard(Action.READ_CLINICAL, "patient"))]


class Asked(NamedTuple):
    """The two moments asked for, as typed and as instants; what could not be read of them."""

    connu: str
    survenu: str
    known_at: datetime | None
    at: datetime | None
    wrong: dict[str, str]


def asked(connu: str, survenu: str, zone: str) -> Asked:
    """Read the two fields: civil times of the centre, each may be empty."""
    wrong: dict[str, str] = {}
    found: dict[str, datetime | None] = {"connu": None, "survenu": None}
    for name, typed in (("connu", connu), ("survenu", survenu)):
        if not typed.strip():
            continue
        read = moment_typed(typed)
        if read is None:
            wrong[name] = f"Écrire une date et une heure, comme {AS_TYPED}."
            continue
        found[name] = read if read.tzinfo else read.replace(tzinfo=ZoneInfo(zone))
    return Asked(connu, survenu, found["connu"], found["survenu"], wrong)


def told(moment_asked: datetime, zone: str) -> str:
    """``le 23/11/2026 à 8 h 30``."""
    local = moment_asked.astimezone(zone_of(zone))
    return f"le {local:%d/%m/%Y} à {french_hour(local)}"


@router.get("/patients/{patient}/chronologie")
def chronology(request: Request, granted: Reading, connu: str = "", survenu: str = "") -> Response:
    """What the record said then, and what was already true without anybody knowing it."""
    services, principal = services_of(request), granted.principal
    at = moment(request, principal)
    when = asked(connu, survenu, principal.zone)

    def produce() -> tuple[dict[str, Any], int]:
        head = services.reader.head().size - 1
        events = services.reader.stream(granted.patient, up_to=head)
        whole = replay(services.reader, granted.patient, position=head)
        content: dict[str, Any] = {
            "who": views.identity(
                whole.summary, at, services.directory.load(),
                services.records.same_names(granted.centre, whole.summary),
            ),
            "connu": connu, "survenu": survenu, "wrong": when.wrong,
            "known_told": told(when.known_at, at.zone) if when.known_at else "",
            "at_told": told(when.at, at.zone) if when.at else "",
            "then": None, "unknown": [], "unknown_count": 0,
        }  # fmt: skip
        if when.wrong:
            return content, head  # the whole record must never pass for what was known then
        try:
            then: Replay | None = replay(
                services.reader, granted.patient, known_at=when.known_at, at=when.at
            )
        except NotFound:
            then = None
        if when.known_at is not None:
            late = not_yet_known(
                events, services.reader.known_at(when.known_at), when.at or when.known_at
            )
            content["unknown"] = [views.entry_view(each, at.zone) for each in late[:SHOWN]]
            content["unknown_count"] = len(late)
        if then is not None:
            content["then"] = _said(then, at)
        return content, head

    disclosed = read_clinical(
        services, granted, produce, what="page.chronology", patients=lambda _: (granted.patient,)
    )
    return clinical_page(
        request, principal, "chronology.html", disclosed, here="patients",
        status=422 if when.wrong else 200,
    )  # fmt: skip


def _said(then: Replay, at: Moment) -> dict[str, Any]:
    """The record as folded then: what its current views said, and its thread."""
    summary = then.summary
    entries = then.entries[::-1]
    return {
        "severity": views.severity_of(summary),
        "severity_line": views.severity_line(summary),
        "one_liner": spoken.text if (spoken := summary.one_liner()) else "",
        "allergy": views.allergy(summary, at),
        "slots": _slots(summary),
        "items": [
            views.line_view(item.line, str(item.line.detail["text"])) for item in summary.open_items
        ],
        "entries": [views.entry_view(each, at.zone) for each in entries[:SHOWN]],
        "count": len(entries),
        "position": then.position,
    }


def _slots(summary: PatientSummary) -> list[dict[str, Any]]:
    """The slots that held something then, each with its current lines."""
    found = []
    for slot in SLOTS:
        lines = [line for line in summary.slot(slot.name) if line.current]
        if lines:
            found.append(
                {
                    "title": slot.title,
                    "lines": [views.line_view(line, waits=line.waits) for line in lines[:20]],
                    "more": len(lines[20:]),
                }
            )
    return found
