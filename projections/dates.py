"""Clinical time as it was written: whole instants, or a year, a month, a day.

Nothing here reads a clock. A partial date keeps its precision; comparisons use the first instant
it may mean (did it happen yet?) or its last day (is it late?), and say which.
"""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

_PARTIAL = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?\Z")
_NONBREAKING = "\u00a0"


@lru_cache(maxsize=64)
def zone_of(name: str) -> ZoneInfo:
    """The civil time zone of that IANA name."""
    return ZoneInfo(name)


@lru_cache(maxsize=65536)
def first_instant(text: str, zone: str) -> datetime | None:
    """The earliest moment that ``text`` may mean, in UTC; None when it is no date at all."""
    partial = _PARTIAL.match(text)
    try:
        if partial:
            year, month, day = (int(part) if part else 1 for part in partial.groups())
            return datetime(year, month, day, tzinfo=zone_of(zone)).astimezone(UTC)
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone_of(zone))
    return moment.astimezone(UTC)


@lru_cache(maxsize=65536)
def last_day(text: str, zone: str) -> date | None:
    """The last civil day that ``text`` may mean; None when it is no date at all."""
    partial = _PARTIAL.match(text)
    try:
        if partial:
            year, month, day = (int(part) if part else 0 for part in partial.groups())
            if not month:
                return date(year, 12, 31)
            return date(year, month, day or calendar.monthrange(year, month)[1])
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        return None
    return (moment.astimezone(zone_of(zone)) if moment.tzinfo else moment).date()


@lru_cache(maxsize=65536)
def french(text: str | None, zone: str) -> str:
    """``23/11/2026``, ``11/2026`` or ``2026``: no more precise than what was written."""
    if not text:
        return ""
    partial = _PARTIAL.match(text)
    if partial:
        return "/".join(part for part in reversed(partial.groups()) if part)
    day = last_day(text, zone)
    return day.strftime("%d/%m/%Y") if day else text


def french_day(day: date) -> str:
    """``lundi 23 novembre 2026``."""
    return f"{_DAYS[day.weekday()]} {day.day} {_MONTHS[day.month - 1]} {day.year}"


def french_hour(moment: datetime) -> str:
    """``8 h 30``, in the moment's own zone; the spaces do not break."""
    return f"{moment.hour}{_NONBREAKING}h{_NONBREAKING}{moment.minute:02d}"


def age_on(birth_date: str | None, day: date) -> str:
    """``78 ans``, ``14 mois`` or ``12 jours`` on that day; empty when the birth date is unknown.

    Of a partial birth date, the age is the least it can be.
    """
    born = last_day(birth_date, "UTC") if birth_date else None
    if born is None or born > day:
        return ""
    months = (day.year - born.year) * 12 + day.month - born.month - (day.day < born.day)
    if months >= 36:
        return f"{months // 12} ans"
    if months >= 2:
        return f"{months} mois"
    days = (day - born).days
    return f"{days} jours" if days > 1 else f"{days} jour"


def is_child(birth_date: str | None, day: date) -> bool:
    """Whether somebody is under fifteen on that day; unknown is no."""
    born = last_day(birth_date, "UTC") if birth_date else None
    return (
        born is not None
        and born <= day
        and (day.year - born.year) * 12 + (day.month - born.month - (day.day < born.day)) < 15 * 12
    )


@dataclass(frozen=True, slots=True)
class Moment:
    """From when and where something is read: the record's time, in the centre's zone."""

    now: datetime
    zone: str

    @property
    def day(self) -> date:
        """The civil day."""
        return self.now.astimezone(zone_of(self.zone)).date()

    def long(self) -> str:
        """``lundi 23 novembre 2026, 8 h 30``."""
        local = self.now.astimezone(zone_of(self.zone))
        return f"{french_day(local.date())}, {french_hour(local)}"


_DAYS = ("lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche")
_MONTHS = (
    "janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre",
    "octobre", "novembre", "décembre",
)  # fmt: skip
