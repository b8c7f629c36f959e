"""What became of the alarms of a kept card that ring no more: read, replaced, in error.

A briefing's edition never changes; whoever reads it later is told beside it what its values came
to, and whether a doctor judged them.
"""

from __future__ import annotations

from typing import NamedTuple

from releve.projections.briefing import Card
from releve.projections.critical_values import alarms
from releve.projections.dates import Moment, french_hour, zone_of
from releve.projections.patient_summary import Line, PatientSummary, Result
from releve.projections.rule_release import Rules
from releve.projections.summary_corrections import is_judged


class Became(NamedTuple):
    """What became of an alarm that rings no more."""

    words: str
    judged: bool = False
    """Whether a doctor read it or gave a verdict on it; else nobody may have seen it."""


def ended_alarms(
    card: Card, live: PatientSummary | None, rules: Rules, at: Moment
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


def _version_became(line: Line, result: Result, live: PatientSummary, at: Moment) -> Became:
    """Of one version of a result; a version before it that stands again does not replace it."""
    now = result.received
    if line.wrong or line.state == "refused":
        return _became(line, live)
    if now is not None and now.version > line.version:
        return Became("remplacé depuis par une autre version")
    if now is not None and now.entry_id == line.entry_id and result.review is not None:
        return Became(f"lu {_hour(result.review, at)} par {result.review.author}", judged=True)
    return Became("ne sonne plus")


def _hour(line: Line, at: Moment) -> str:
    local = line.recorded_at.astimezone(zone_of(at.zone))
    hour = f"à {french_hour(local)}"
    return hour if local.date() == at.day else f"le {local:%d/%m} {hour}"
