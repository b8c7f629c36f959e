"""Dates and hours as people and old formats write them in France, as ISO 8601."""

from __future__ import annotations

import re
from datetime import date, time
from typing import Final

_DAY: Final = re.compile(r"(\d{1,2})[/.-](\d{1,2})[/.-](\d{4})", re.ASCII)
_ISO: Final = re.compile(r"(\d{4})-?(\d{2})-?(\d{2})", re.ASCII)
_HOUR: Final = re.compile(r"(\d{1,2})\s?(?::|h|H)\s?(\d{2})?(?::\d{2})?", re.ASCII)


def day_of(written: str) -> str | None:
    """``02/03/1948``, ``2.3.1948``, ``1948-03-02`` or ``19480302`` as a date that exists.

    A year of two digits is not read: it would be a guess.
    """
    text = written.strip()
    if found := _DAY.fullmatch(text):
        day, month, year = (int(part) for part in found.groups())
    elif found := _ISO.fullmatch(text):
        year, month, day = (int(part) for part in found.groups())
    else:
        return None
    try:
        return date(year, month, day).isoformat()
    except ValueError:
        return None


def hour_of(written: str) -> time | None:
    """``09:15``, ``9h15``, ``9 h`` or ``09:15:00`` as a time of day; None for anything else."""
    found = _HOUR.fullmatch(written.strip())
    if found is None:
        return None
    try:
        return time(int(found[1]), int(found[2] or 0))
    except ValueError:
        return None
