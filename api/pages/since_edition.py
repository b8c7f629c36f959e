"""What the briefing's page says beside an edition: fresh cards, and records that changed since."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from releve.api.entry_kinds import kind_of
from releve.api.pages import views
from releve.projections.briefing import Card
from releve.projections.critical_values import alarms
from releve.projections.dates import Moment, french_hour, zone_of
from releve.projections.ended_alarms import ended_alarms
from releve.projections.patient_summary import PatientSummary
from releve.projections.ranking import Viewpoint, rank
from releve.projections.records import plain_name
from releve.projections.rule_release import Rules

NAMED: Final = 4
"""Changed records that the banner names; the rest is counted."""
_REASONS: Final = 3


def stand_in(
    card: Card, kept: Card | None, live: PatientSummary | None, rules: Rules, at: Moment
) -> Card:
    """A card made now, shown instead of the edition's own.

    It keeps the place that the edition gave the patient, where that is nearer to the top, and says
    what became of the values that the kept card rang for.
    """
    card["fresh"] = True
    if kept is None:
        return card
    if kept["tier"] < card["tier"]:
        before = f"dans l’édition : {', '.join(kept['why'])}"
        card["tier"], card["why"] = kept["tier"], [*card["why"], before]
    card["read"] = ended_alarms(kept, live, rules, at)
    card["alarms"] += [line for line in kept.get("alarms", ()) if line["entry"] in card["read"]]
    return card


def changed_since(
    summaries: Mapping[UUID, PatientSummary],
    position: int,
    issued_at: datetime,
    view: Viewpoint,
    rules: Rules,
    shared_names: frozenset[str],
    at: Moment,
) -> dict[str, Any] | None:
    """Records with something newer than the edition, gravest first, each with what is new.

    None when nothing is. Two people of one name are told apart by their birth date.
    """
    changed = [each for each in summaries.values() if each.position > position]
    if not changed:
        return None
    rows = []
    for each in rank(changed, view, rules)[:NAMED]:
        who = views.traits(each.summary, at)
        twice = plain_name(who["name"]) in shared_names
        rows.append(
            {
                "patient": who["id"],
                "href": who["href"],
                "name": who["name"],
                "born": who["born"] if twice else "",
                "critical": any(alarm.critical for alarm in alarms(each.summary, rules)),
                "what": ", ".join(_kinds(each.summary, position)) or "dossier modifié",
            }
        )
    return {
        "count": len(changed),
        "since": french_hour(issued_at.astimezone(zone_of(at.zone))),
        "rows": rows,
        "rest": len(changed) - len(rows),
    }


def _kinds(summary: PatientSummary, position: int) -> Iterable[str]:
    """What kinds of entries are newer, each once, the newest first."""
    newer = [change for change in reversed(summary.changes) if change.position > position]
    kinds = list(dict.fromkeys(kind_of(change.topic)[0].lower() for change in newer))
    more = len(kinds) - _REASONS
    return kinds[:_REASONS] + ([f"+{more}"] if more > 0 else [])


def telephone(summary: PatientSummary | None) -> str:
    """The patient's first number as it is to be dialled; empty where none is known."""
    told = summary.contact_details if summary else None
    phones = told.detail.get("phones", ()) if told is not None else ()
    return str(phones[0][1]) if phones else ""
