"""The rhythm of a stint: on which days of the week, and for how much of each, a doctor comes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Final

from releve.domain.errors import Invalid
from releve.domain.values import Session, StintPeriod

MOST: Final = 21
"""Sessions of one week: three a day."""

_SPANS: Final = {"day": ("00:00", "24:00"), "morning": ("00:00", "13:00"),
                 "afternoon": ("13:00", "24:00")}  # fmt: skip


def read_pattern(
    sessions: Sequence[Session], period: StintPeriod, *, field: str = "pattern"
) -> tuple[Session, ...]:
    """The sessions in the order of the week; empty for a doctor who is there all along.

    Raises:
        Invalid: naming the session, or ``field``: a day or an hour that does not exist, two
            sessions at once, or no day of the period that any of them falls on.
    """
    if len(sessions) > MOST:
        raise _invalid(field, f"Un rythme tient en {MOST} séances par semaine.")
    for place, session in enumerate(sessions):
        _check(session, f"{field}[{place}]")
    found = tuple(sorted(sessions, key=lambda each: (each.weekday, _span(each))))
    for before, after in pairwise(found):
        if before.weekday == after.weekday and _span(after)[0] < _span(before)[1]:
            raise _invalid(field, "Deux séances du même jour se recouvrent.")
    if found and not any(each.weekday in _weekdays(period) for each in found):
        raise _invalid(field, "Aucun de ces jours ne tombe entre le début et la fin du séjour.")
    return found


def _check(session: Session, path: str) -> None:
    if not 1 <= session.weekday <= 7:
        raise _invalid(f"{path}.weekday", "Un jour va de 1, lundi, à 7, dimanche.")
    if session.part != "hours":
        if session.begins or session.ends:
            raise _invalid(f"{path}.part", "Des heures se disent avec « heures » (hours).")
        return
    for name, text in (("begins", session.begins), ("ends", session.ends)):
        if not re.fullmatch(r"(?:[01]\d|2[0-3]):[0-5]\d|24:00", text, re.ASCII):
            raise _invalid(f"{path}.{name}", "Une heure s'écrit HH:MM.")
    if session.ends <= session.begins:
        raise _invalid(f"{path}.ends", "La fin vient après le début.")


def _span(session: Session) -> tuple[str, str]:
    return _SPANS.get(session.part, (session.begins, session.ends))


def _weekdays(period: StintPeriod) -> set[int]:
    """Days of the week that the period touches, in the offset written."""
    first = period.starts_at.date()
    return {(first + timedelta(days=day)).isoweekday() for day in range(min(7, period.civil_days))}


def _invalid(field: str, why: str) -> Invalid:
    return Invalid("invalid-field", field=field, why=why)
