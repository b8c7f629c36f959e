"""The rhythm of a stint in words, and which days it covers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time
from typing import Final

from releve.domain.values import Session
from releve.projections.dates import french_hour

_DAYS: Final = ("lundis", "mardis", "mercredis", "jeudis", "vendredis", "samedis", "dimanches")
_PARTS: Final = {"day": "", "morning": " matin", "afternoon": " après-midi"}


def rhythm(pattern: Sequence[Session]) -> str:
    """``les lundis et mardis, les jeudis matin``; empty for a doctor who is there all along."""
    groups: dict[str, list[str]] = {}
    for session in pattern:
        days = groups.setdefault(_part(session), [])
        days.append(_DAYS[session.weekday - 1])
    return ", ".join(f"les {_listed(days)}{part}" for part, days in groups.items())


def comes_on(pattern: Sequence[Session], day: date) -> bool:
    """Whether a doctor of that rhythm comes on that day."""
    return not pattern or any(each.weekday == day.isoweekday() for each in pattern)


def _listed(days: list[str]) -> str:
    return " et ".join(part for part in (", ".join(days[:-1]), days[-1]) if part)


def _part(session: Session) -> str:
    if session.part != "hours":
        return _PARTS[session.part]
    return f" de {_hour(session.begins)} à {_hour(session.ends)}"


def _hour(written: str) -> str:
    if written == "24:00":
        return "minuit"
    return french_hour(datetime.combine(date.min, time.fromisoformat(written)))
