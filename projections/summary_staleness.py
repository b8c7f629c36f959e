"""When what a summary says is too old: with rotating doctors, nobody else remembers.

CSP L1111-15 has the médecin traitant keep the synthesis and review it yearly; sooner for who is
frail. The months, the age, and the days after which the one line that says who somebody is fades,
are policy and stand in the rules.
"""

from __future__ import annotations

import calendar
from datetime import date, timedelta
from typing import NamedTuple

from releve.projections.dates import first_instant, last_day
from releve.projections.patient_summary import PatientSummary
from releve.projections.rule_release import Rules
from releve.projections.summary_lines import Spoken

_USUAL, _FRAIL = 12, 3


class ReviewDue(NamedTuple):
    """When the summary was read through, and by when it is to be again."""

    last: date | None
    """None: never."""
    due: date
    frail: bool

    def is_over(self, day: date) -> bool:
        """Whether its day has passed."""
        return self.due < day


def review_due(summary: PatientSummary, rules: Rules, day: date) -> ReviewDue | None:
    """By when the summary is to be read again, seen on ``day``; None after a death.

    The day that the last review named where it named one, never later than the rules say; a
    summary that nobody has read counts from the day on which the record was opened.
    """
    if summary.death is not None:
        return None
    frail = is_frail(summary, rules, day)
    months = rules.summary_review_months.get("frail" if frail else "usual")
    months = months or (_FRAIL if frail else _USUAL)
    reviewed = summary.summary_review
    since = reviewed or summary.registered
    if since is not None:
        began = last_day(since.as_of, since.zone) or since.recorded_at.date()
    else:
        began = summary.recorded_at.date() if summary.recorded_at else day
    due = _after(began, months)
    if reviewed is not None and reviewed.detail.get("next_review"):
        named = last_day(reviewed.detail["next_review"], reviewed.zone)
        due = min(due, named) if named else due
    return ReviewDue(began if reviewed is not None else None, due, frail)


def is_old_line(summary: PatientSummary, spoken: Spoken, rules: Rules, day: date) -> bool:
    """Whether the one-liner is older on ``day`` than the patient's severity lets it be trusted."""
    severity = summary.severity
    level = severity.detail["severity"] if severity else "unknown"
    said = first_instant(spoken.line.as_of, spoken.line.zone) or spoken.line.recorded_at
    return said.date() < day - timedelta(days=rules.stale_days[level])


def is_frail(summary: PatientSummary, rules: Rules, day: date) -> bool:
    """Whether the patient has an ALD in force, is old by the rules, or lives in an EHPAD."""
    if summary.ald_in_force:
        return True
    who = summary.identity
    born = last_day(who.birth_date, summary.zone) if who and who.birth_date else None
    if born is not None and _years(born, day) >= rules.frail_age:
        return True
    contact = summary.last_contact
    seen_there = contact is not None and contact.detail.get("mode") == "ehpad"
    return seen_there or any(line.detail.get("mode") == "ehpad" for line in summary.booked)


def _years(born: date, day: date) -> int:
    return day.year - born.year - ((day.month, day.day) < (born.month, born.day))


def _after(day: date, months: int) -> date:
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))
