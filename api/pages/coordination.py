"""The coordinator's page: the rotation, who is missing, what to complete; never clinical text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from releve.api.boards import Coordinating, coordination_of
from releve.api.disclosure import read_clinical
from releve.api.gate import Granted, Guard, may, services_of
from releve.api.pages import views
from releve.api.pages.handovers import STATES, age_text
from releve.api.pages.shell import clinical_page, moment
from releve.projections import wording
from releve.projections.coordination import AldEnd, Post, Week
from releve.projections.dates import Moment, french, french_day, french_hour
from releve.projections.directory import CentreEntry
from releve.projections.handover_board import MOST_RESTATED, unanswered
from releve.projections.patient_summary import PatientSummary
from releve.security.policy import Action

router = APIRouter(include_in_schema=False)

SHOWN: Final = 12
"""Lines of a list that the page shows before it counts the rest; ``tout`` shows them all."""
DAYS: Final = ("lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche")
SITES: Final = {
    "ehpad": "EHPAD", "annexe": "annexe", "home-care": "soins à domicile", "other": "autre",
}  # fmt: skip
_POST: Final = {
    "planned": ("prévu", "warn"), "confirmed": ("confirmé", "good"), "started": ("en cours", ""),
    "ended": ("fini", "grey"), "cancelled": ("annulé", "late"),
}  # fmt: skip
_INS: Final = {
    "provisoire": "provisoire", "recuperee": "récupérée", "validee": "validée",
    "qualifiee": "qualifiée",
}  # fmt: skip

Board = Annotated[Granted, Depends(Guard(Action.READ_COORDINATION, "centre"))]


@router.get("/coordination")
def shown(request: Request, granted: Board, tout: int = 0) -> Response:
    """Everything that keeps the centre running, as names, dates, states and counts."""
    services, principal = services_of(request), granted.principal
    at = moment(request, principal)

    def produce() -> tuple[dict[str, Any], int]:
        found = coordination_of(services, granted.centre)
        directory = services.directory.load()
        here = directory.centre(granted.centre)
        summaries = services.records.summaries(granted.centre)[1]
        return {
            **_content(found, at, None if tout else SHOWN, summaries),
            "centre": _centre(here, at) if here else None,
            "may_run": may(services, granted, Action.RUN_CENTRE),
            "whole": bool(tout),
            "named": found.patients(),
        }, found.position

    disclosed = read_clinical(
        services, granted, produce, what="page.coordination",
        patients=lambda content: content["named"],
    )  # fmt: skip
    return clinical_page(request, principal, "coordination.html", disclosed, here="coordination")


def _content(
    found: Coordinating,
    at: Moment,
    limit: int | None,
    summaries: Mapping[UUID, PatientSummary],
) -> dict[str, Any]:
    board = found.board

    def born(patient: UUID) -> str:
        known = summaries.get(patient)
        return str(views.traits(known, at)["born"]) if known else ""

    waiting = unanswered(found.handovers.batches)
    late = [line for line in board.errands if line.overdue_days]
    return {
        "weeks": [_week(week, at.day) for week in board.weeks],
        "holes": sum(week.hole for week in board.weeks),
        "unsaid": sum(week.hole and not week.gap_recorded for week in board.weeks),
        "handovers": {
            "number": len(waiting),
            "rows": [
                {"name": row.name, "born": born(row.patient), "by": row.by,
                 "to": batch.receiver_name or "référent",
                 "state": STATES[row.state], "age": age_text(row.written_at, at.now)}
                for batch, row in waiting[:limit]
            ],
            "overloaded": [
                {"doctor": batch.doctor, "number": batch.restate}
                for batch in found.handovers.batches if batch.overloaded
            ],
            "most": MOST_RESTATED,
            "missing": sum(len(batch.missing) for batch in found.handovers.batches),
        },
        "identities": {
            "number": len(board.identities),
            "incomplete": sum(line.incomplete for line in board.identities),
            "rows": [
                {"name": line.name,
                 "born": french(line.birth_date, at.zone) if line.birth_date else "inconnue",
                 "status": _INS[line.status], "incomplete": line.incomplete}
                for line in board.identities[:limit]
            ],
        },
        "ald": _ald([line for line in board.ald if not line.lapsed], limit, at),
        "ald_lapsed": _ald([line for line in board.ald if line.lapsed], limit, at),
        "unreached": {
            "number": len(board.unreached),
            "rows": [
                {"name": line.name, "born": born(line.patient),
                 "attempts": line.attempts, "by": line.by,
                 "channel": wording.CONTACT[line.channel], "outcome": line.outcome,
                 "last": views.day_and_hour(line.last_at.isoformat(), at.zone)}
                for line in board.unreached[:limit]
            ],
        },
        "errands": {
            "number": len(board.errands),
            "late": len(late),
            "rows": [
                {"name": line.name, "born": born(line.patient),
                 "nature": line.nature.capitalize(),
                 "due": f"{line.due:%d/%m/%Y}" if line.due else "", "late": line.overdue_days}
                for line in board.errands[:limit]
            ],
        },
        "late": board.late,
        "silent": [
            {"system": each.system,
             "last": views.day_and_hour(each.last.isoformat(), at.zone) if each.last else ""}
            for each in board.silent
        ],
        "documents": {
            "number": board.waiting_documents,
            "oldest": age_text(board.oldest_document, at.now) if board.oldest_document else "",
        },
    }  # fmt: skip


def _week(week: Week, today: date) -> dict[str, Any]:
    here = week.monday <= today and (today - week.monday).days < 7
    return {
        "number": week.number,
        "monday": f"{week.monday:%d/%m}",
        "now": here,
        "hole": week.hole,
        "gap": week.gap,
        "gap_recorded": week.gap_recorded,
        "uncovered": [] if week.hole else [french_day(day) for day in week.uncovered],
        "first_hole": week.uncovered[0].isoformat() if week.uncovered else "",
        "last_hole": week.uncovered[-1].isoformat() if week.uncovered else "",
        "posts": [_post(post) for post in week.posts],
    }


def _post(post: Post) -> dict[str, Any]:
    word, tone = _POST[post.state]
    return {
        "stint": str(post.stint),
        "name": post.name,
        "period": f"{post.first:%d/%m} – {post.last:%d/%m}",
        "rhythm": post.rhythm,
        "state": word,
        "tone": tone,
        "rpps": post.rpps_verified,
        "to_come": post.state in ("planned", "confirmed"),
        "to_confirm": post.state == "planned",
        "open": post.state in ("planned", "confirmed", "started"),
    }


def _centre(here: CentreEntry, at: Moment) -> dict[str, Any]:
    """The team, the places, the hours and the closed days of a centre."""
    coming = [each for each in here.closures if each.last >= at.day]
    return {
        "referent": {"name": here.referent.name, "phone": here.referent.phone},
        "chain": [{"name": each.name, "phone": each.phone} for each in here.on_call_chain],
        "coordinators": [{"name": each.name, "phone": each.phone} for each in here.coordinators],
        "sites": [{"name": each.name, "kind": SITES.get(each.kind, each.kind)}
                  for each in here.sites],
        "opening": [
            {"weekday": slot.weekday, "day": DAYS[slot.weekday - 1],
             "hours": f"{_hour(slot.opens)} – {_hour(slot.closes)}"}
            for slot in here.opening
        ],
        "sources": [
            {"system": each.system, "hours": each.within_hours} for each in here.expected_sources
        ],
        "closures": [
            {"days": f"{each.first:%d/%m/%Y}" if each.first == each.last
             else f"du {each.first:%d/%m} au {each.last:%d/%m/%Y}", "reason": each.reason}
            for each in sorted(coming, key=lambda each: each.first)
        ],
    }  # fmt: skip


def _ald(lines: Sequence[AldEnd], limit: int | None, at: Moment) -> dict[str, Any]:
    return {
        "number": len(lines),
        "rows": [
            {"name": line.name, "ends": f"{line.ends:%d/%m/%Y}", "days": line.days,
             "born": french(line.birth_date, at.zone) if line.birth_date else "inconnue"}
            for line in lines[:limit]
        ],
    }  # fmt: skip


def _hour(written: str) -> str:
    """``8 h 30`` for ``08:30``."""
    return french_hour(datetime.combine(date.min, time.fromisoformat(written)))
