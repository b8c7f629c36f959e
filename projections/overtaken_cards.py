"""Which kept cards would mislead by now: what they say of danger is no longer so.

An edition's bytes never change. A card made now stands in for one whose patient has since an
allergy that it does not say, a late point that harms, or an if/then that it does not hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from releve.projections.briefing_text import Card
from releve.projections.patient_summary import PatientSummary
from releve.projections.ranking import Viewpoint, due_day
from releve.projections.slot_presence import presence_of


def is_overtaken(
    kept: Card | None, summary: PatientSummary, position: int, view: Viewpoint
) -> bool:
    """Whether a card of an edition issued at ``position`` is to be replaced by one made now.

    ``kept`` is None where the edition has none: there is nothing to mislead, and only a new late
    point that harms asks for a card.
    """
    if _has_late_harm(kept, summary, position, view):
        return True
    if kept is None:
        return False
    now = presence_of(summary, "allergies", view.zone, view.day)
    return _other_allergies(kept["allergies"], now) or _other_contingencies(kept, summary, position)


def _has_late_harm(
    kept: Card | None, summary: PatientSummary, position: int, view: Viewpoint
) -> bool:
    """Whether a point is late with harm that was not when the edition was issued."""
    told = {
        line["entry"]
        for line in (kept or {}).get("actions", ())
        if line["overdue"] and line["harm_if_late"]
    }
    return any(
        item.harm_if_late
        and (due := due_day(item)) is not None
        and due < view.day
        and item.last_step.position > position
        and str(item.line.entry_id) not in told
        for item in summary.open_items
    )


def _other_allergies(kept: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    if any(kept.get(name) != now[name] for name in ("state", "asked_on", "text")):
        return True
    if len(kept["lines"]) + kept.get("more", 0) != len(now["lines"]):
        return True
    here, then = (
        {(line["entry"], line["text"], line.get("validation", "")) for line in said}
        for said in ((*now["lines"], *now["parts"]), (*kept["lines"], *kept["parts"]))
    )
    return not then <= here or len(kept["parts"]) != len(now["parts"])


def _other_contingencies(kept: Card, summary: PatientSummary, position: int) -> bool:
    """Whether one was set, met or withdrawn since."""
    standing = {str(line.entry_id): line.position for line in summary.contingencies if line.current}
    then = {line["entry"] for line in kept["contingencies"]}
    if not then <= standing.keys():
        return True
    if any(since > position for entry, since in standing.items() if entry not in then):
        return True
    rung = {(line["entry"], by["entry"]) for line in kept["contingencies"] for by in line["by"]}
    return any(
        (str(each.contingency), str(each.observation)) not in rung for each in summary.firing
    )
