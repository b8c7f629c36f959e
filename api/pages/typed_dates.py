"""Dates as French people type them, where a browser has no calendar of its own.

Pure. What a browser's calendar sends (ISO 8601) is read too.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

AS_TYPED: Final = "23/11/2026 8 h 30"
"""How a date with an hour may be typed: what errors and hints show."""
PARTIAL: Final = "2026, 11/2026 ou 23/11/2026"
"""How a day, a month or a year may be typed."""

_DAY = re.compile(r"(?:(?:(\d{1,2})\s*/\s*)?(\d{1,2})\s*/\s*)?(\d{4})\Z", re.ASCII)
_MOMENT = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})(?:\s*(?:à|,)?\s*(\d{1,2})\s*[hH:]\s*(\d{2})?)\Z")


def moment_typed(text: str) -> datetime | None:
    """A date and an hour, with no offset unless one was typed; None where it cannot be read."""
    typed = text.replace("\N{NO-BREAK SPACE}", " ").strip()
    found = _MOMENT.match(typed)
    try:
        if found is None:
            # A date alone says no hour, and midnight would be one.
            return datetime.fromisoformat(typed) if "T" in typed or " " in typed else None
        day, month, year, hour, minute = found.groups()
        return datetime(int(year), int(month), int(day), int(hour), int(minute or 0))  # noqa: DTZ001  # the caller knows the centre's zone
    except ValueError:
        return None


def day_typed(text: str) -> str:
    """A day, a month or a year as ISO 8601 writes it; anything else as it came."""
    found = _DAY.match(text.strip())
    if found is None:
        return text.strip()
    day, month, year = found.groups()
    return "-".join(part.zfill(2) for part in (year, month, day) if part)
