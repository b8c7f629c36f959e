"""What became of an edition's cards since it was issued: values read, records that changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from releve.api.entry_kinds import kind_of
from releve.api.pages import views
from releve.projections.briefing import Card
from releve.projections.critical_values import alarms
from releve.projections.dates import french_hour, zone_of
from releve.projections.patient_summary import Line, PatientSummary, Result
from releve.projections.ranking import Viewpoint, rank
from releve.projections.records import plain_name
from releve.projections.rule_release import Rules
from releve.projections.summary_corrections import is_judged

NAMED: Final = 4
"""Changed records that the banner names; the rest is counted."""
_REASONS: Final = 3


class Became(NamedTuple):
    """What became of an alarm that rings no more."""

    words: str
    judged: bool = False
    """Whether a doctor read it or gave a verdict on it; else nobody may have seen it."""


def read_since(
    card: Card, live: PatientSummary | None, rules: Rules, at: views.Moment
) -> dict[str, Became]:
    """What became of each alarm of a kept card that rings no more, by its entry.

    ``lu à 8 h 42 par Dr Lenoir`` where the review is known, with its day when that is another.
    """
    kept = {line["entry"] for line in card.get("alarms", ())}
    if live is None or not kept:
        return {}
    still = {str(alarm.entry) for alarm in alarms(live, rules)}
    held = {
        str(line.entry_id): line
        for line in live.lines
        if line.ordinal is None and str(line.entry_id) in kept
    }
    found = {entry: _became(held.get(entry), live) for entry in kept - still}
    for result in live.results:
        for line in result.versions:
            if str(line.entry_id) in found:
                found[str(line.entry_id)] = _version_became(line, result, live, at)
    return found


def stand_in(
    card: Card, kept: Card | None, live: PatientSummary | None, rules: Rules, at: views.Moment
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
    card["read"] = read_since(kept, live, rules, at)
    card["alarms"] += [line for line in kept.get("alarms", ()) if line["entry"] in card["read"]]
    return card


def _became(line: Line | None, live: PatientSummary) -> Became:
    """Of an entry by itself; one that the record's summary keeps no more is of no known end."""
    if line is not None:
        if line.wrong:
            return Became("marqué erroné depuis")
        if line.validation in ("accepted", "refused"):
            return Became("jugé depuis l’édition", judged=True)
        if line.state == "superseded":
            return Became("remplacé depuis par une autre version")
        if is_judged(line, live):
            return Became("jugé depuis l’édition", judged=True)
    return Became("ne sonne plus")


def _version_became(line: Line, result: Result, live: PatientSummary, at: views.Moment) -> Became:
    """Of one version of a result; a version before it that stands again does not replace it."""
    now = result.received
    if line.wrong or line.state == "refused":
        return _became(line, live)
    if now is not None and now.version > line.version:
        return Became("remplacé depuis par une autre version")
    if now is not None and now.entry_id == line.entry_id and result.review is not None:
        return Became(f"lu {_hour(result.review, at)} par {result.review.author}", judged=True)
    return Became("ne sonne plus")


def _hour(line: Line, at: views.Moment) -> str:
    local = line.recorded_at.astimezone(zone_of(at.zone))
    hour = f"à {french_hour(local)}"
    return hour if local.date() == at.day else f"le {local:%d/%m} {hour}"


def changed_since(
    summaries: Mapping[UUID, PatientSummary],
    position: int,
    issued_at: datetime,
    view: Viewpoint,
    rules: Rules,
    shared_names: frozenset[str],
    at: views.Moment,
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
