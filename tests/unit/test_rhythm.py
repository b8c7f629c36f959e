"""The rhythm of a stint in French, and the days it covers."""

from __future__ import annotations

from datetime import date

import pytest

from releve.domain.values import Session
from releve.projections.rhythm import comes_on, rhythm


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ((), ""),
        ((Session(weekday=1),), "les lundis"),
        ((Session(weekday=1), Session(weekday=2)), "les lundis et mardis"),
        (
            (Session(weekday=1), Session(weekday=2), Session(weekday=5)),
            "les lundis, mardis et vendredis",
        ),
        (
            (Session(weekday=1, part="morning"), Session(weekday=4, part="morning")),
            "les lundis et jeudis matin",
        ),
        (
            (Session(weekday=1), Session(weekday=3, part="afternoon"),
             Session(weekday=4, part="hours", begins="09:00", ends="12:30")),
            "les lundis, les mercredis après-midi, les jeudis de 9 h 00 à 12 h 30",
        ),
        (
            (Session(weekday=6, part="hours", begins="20:00", ends="24:00"),),
            "les samedis de 20 h 00 à minuit",
        ),
    ],
)  # fmt: skip
def test_a_rhythm_is_said_as_people_say_it(pattern: tuple[Session, ...], said: str) -> None:
    assert rhythm(pattern).replace("\N{NO-BREAK SPACE}", " ") == said


def test_without_a_rhythm_every_day_is_covered() -> None:
    tuesday = date(2026, 11, 24)
    assert comes_on((), tuesday)
    assert comes_on((Session(weekday=2, part="morning"),), tuesday)
    assert not comes_on((Session(weekday=1),), tuesday)
