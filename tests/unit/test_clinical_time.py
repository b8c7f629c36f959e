"""Clinical time orders what is in force: moments as written, days as late as they may mean."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from releve.domain.clinical_time import moment, recency

WRITTEN = datetime(2026, 11, 23, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("told", "earliest", "latest"),
    [
        ("2026-11-23T09:00:00+01:00", "2026-11-23T08:00+00:00", "2026-11-23T08:00+00:00"),
        ("2026-11-23T09:00:00", "2026-11-23T08:00+00:00", "2026-11-23T08:00+00:00"),
        ("2026-11-20", "2026-11-19T23:00+00:00", "2026-11-20T22:59:59.999999+00:00"),
        ("2026-11-23", "2026-11-22T23:00+00:00", "2026-11-23T15:00+00:00"),
        ("2026", "2025-12-31T23:00+00:00", "2026-11-23T15:00+00:00"),
        ("2026-11-23T16:04:00+00:00", "2026-11-23T15:00+00:00", "2026-11-23T15:00+00:00"),
        ("vers midi", "2026-11-23T15:00+00:00", "2026-11-23T15:00+00:00"),
        ("9999", "2026-11-23T15:00+00:00", "2026-11-23T15:00+00:00"),
    ],
)
def test_a_moment_is_as_precise_as_what_was_written_and_never_after_the_writing(
    told: str, earliest: str, latest: str
) -> None:
    found = moment(told, "Europe/Paris", WRITTEN)
    assert found.earliest == datetime.fromisoformat(earliest)
    assert found.latest == datetime.fromisoformat(latest)


def test_days_are_those_of_the_zone() -> None:
    paris = moment("2026-11-20", "Europe/Paris", WRITTEN)
    reunion = moment("2026-11-20", "Indian/Reunion", WRITTEN)
    assert reunion.earliest < paris.earliest


def test_of_two_at_the_same_moment_the_later_version_is_in_force() -> None:
    at = "2026-11-23T09:00:00+01:00"
    assert recency(at, "Europe/Paris", WRITTEN, 4) < recency(at, "Europe/Paris", WRITTEN, 5)
    assert recency("2026-11-16", "Europe/Paris", WRITTEN, 9) < recency(
        at, "Europe/Paris", WRITTEN, 1
    )
