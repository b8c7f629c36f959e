"""Which of two statements is in force: the later one by clinical time, not by arrival.

A late entry tells what was so last week; what was written since about today stays. One order, used
by the decisions and by every view: the moment told, then the version on the stream.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from releve.domain.errors import Invalid
from releve.domain.values import span, time_zone

_TICK = timedelta(microseconds=1)

Recency = tuple[datetime, int]
"""What decides between two statements: the greater one is in force."""


class Moment(NamedTuple):
    """The moments, in UTC, between which something happened; the same one twice where known."""

    earliest: datetime
    latest: datetime


def moment(occurred_at: str, zone: str, recorded_at: datetime) -> Moment:
    """When it happened, as far as ``occurred_at`` says: nothing is told before it happens.

    ``occurred_at`` is an RFC 3339 instant or a partial date in civil days of ``zone``. Neither end
    is after ``recorded_at``; text that is no date means when it was written down.
    """
    meant = _meant(occurred_at, zone)
    if meant is None:
        return Moment(recorded_at, recorded_at)
    return Moment(min(meant.earliest, recorded_at), min(meant.latest, recorded_at))


def recency(occurred_at: str, zone: str, recorded_at: datetime, version: int) -> Recency:
    """The place of a statement in the order of what is in force.

    A day without an hour counts as late as it may mean: only what is surely older gives way.
    """
    return moment(occurred_at, zone, recorded_at).latest, version


@lru_cache(maxsize=65536)
def _meant(text: str, zone: str) -> Moment | None:
    try:
        first, end = span(text, zone)
        last = end if end == first else end - _TICK
    except Invalid:
        try:
            first = last = datetime.fromisoformat(text).replace(tzinfo=time_zone(zone))
        except (ValueError, Invalid):
            return None
    except OverflowError:
        return None
    try:
        return Moment(first.astimezone(UTC), last.astimezone(UTC))
    except OverflowError:
        return None
