"""Stints: planned, started, ended, and the briefing issued and opened."""

from __future__ import annotations

from datetime import datetime

import pytest

from releve.domain.aggregates.stint import (
    BriefingIssued,
    BriefingOpened,
    Stint,
    StintEnded,
    StintPlanned,
    StintStarted,
)
from releve.domain.commands import EndStint, IssueBriefing, OpenBriefing, PlanStint, StartStint
from support.given import AMONT, AVAL, CENTRE, COORDINATOR, SYSTEM, Told, given, named, stint_of

PLANNED = StintPlanned(
    practitioner=named("amont"),
    practitioner_name="Dr Amont",
    centre=CENTRE,
    starts_at="2026-11-23T08:00:00+01:00",
    ends_at="2026-11-28T13:00:00+01:00",
)
EDITION = named("edition")
ISSUED = BriefingIssued(
    edition=EDITION, number=1, manifest="ab" * 32, position=7, rule_release="2026-11", patients=3
)


def plan(starts_at: str = PLANNED.starts_at, ends_at: str = PLANNED.ends_at) -> PlanStint:
    return PlanStint(
        practitioner=PLANNED.practitioner,
        practitioner_name="Dr Amont",
        centre=CENTRE,
        starts_at=starts_at,
        ends_at=ends_at,
    )


def test_a_stint_is_planned_once_for_1_to_21_days() -> None:
    given(kind="stint").when(plan(), by=COORDINATOR).then(PLANNED)
    given(PLANNED, kind="stint").when(plan(), by=COORDINATOR).refused("already-planned")
    given(kind="stint").when(plan(ends_at="2026-12-14T13:00:00+01:00"), by=COORDINATOR).invalid(
        "invalid-field", field="ends_at"
    )


def test_a_stint_belongs_to_its_own_centre() -> None:
    answer = given(kind="stint").when(plan(), by=COORDINATOR, centre=None)
    assert answer.events[0].envelope.centre == CENTRE
    assert answer.events[0].key_scope == CENTRE


def test_a_doctor_does_not_plan_stints() -> None:
    given(kind="stint").when(plan(), by=AMONT).refused("role-not-allowed")


def test_a_stint_starts_once_and_only_with_a_verified_rpps() -> None:
    record = given(PLANNED, kind="stint")
    record.when(StartStint(rpps_verified=False), by=COORDINATOR).refused("rpps-not-verified")
    record.when(StartStint(), by=COORDINATOR).then(StintStarted(rpps_verified=True))
    started = given(PLANNED, StintStarted(rpps_verified=True), kind="stint")
    started.when(StartStint(), by=COORDINATOR).refused("already-started")
    ended = given(PLANNED, StintEnded(), kind="stint")
    ended.when(StartStint(), by=COORDINATOR).refused("already-started")


def test_a_stint_ends_once_not_before_it_began_and_not_tomorrow() -> None:
    record = given(PLANNED, kind="stint")
    record.when(EndStint(cause="cut-short"), by=COORDINATOR).then(StintEnded(cause="cut-short"))
    record.when(EndStint(occurred_at="2026-11-20"), by=COORDINATOR).refused("not-started")
    record.when(EndStint(occurred_at="2026-11-26"), by=COORDINATOR).invalid(
        "in-the-future", field="occurred_at"
    )
    given(PLANNED, StintEnded(), kind="stint").when(EndStint(), by=COORDINATOR).refused(
        "already-ended"
    )


@pytest.mark.parametrize(
    ("at", "active"),
    [
        ("2026-11-23T07:59:59+01:00", False),
        ("2026-11-23T08:00:00+01:00", True),
        ("2026-11-28T12:59:59+01:00", True),
        ("2026-11-28T13:00:00+01:00", False),
    ],
)
def test_a_doctor_is_in_post_from_the_first_instant_to_the_last_one_excluded(
    at: str, active: bool
) -> None:
    assert stint_of(AMONT).active(datetime.fromisoformat(at)) is active


def test_what_really_happened_moves_the_window() -> None:
    early = Told(StintStarted(rpps_verified=True), at="2026-11-22T18:00:00+01:00")
    cut = Told(StintEnded(cause="cut-short"), at="2026-11-25T12:00:00+01:00")
    state = given(PLANNED, early, cut, kind="stint").state
    assert isinstance(state, Stint)
    assert [when.isoformat() for when in state.window] == [
        "2026-11-22T18:00:00+01:00",
        "2026-11-25T12:00:00+01:00",
    ]


def test_editions_are_numbered_and_issued_once() -> None:
    issue = IssueBriefing(
        edition=EDITION, manifest="ab" * 32, position=7, rule_release="2026-11", patients=3
    )
    given(PLANNED, kind="stint").when(issue, by=SYSTEM).then(ISSUED)
    given(PLANNED, ISSUED, kind="stint").when(issue, by=SYSTEM).nothing()
    second = IssueBriefing(
        edition=named("2"), manifest="cd" * 32, position=9, rule_release="2026-11", patients=4
    )
    answer = given(PLANNED, ISSUED, kind="stint").when(second, by=SYSTEM)
    payload = answer.events[0].payload
    assert isinstance(payload, BriefingIssued)
    assert payload.number == 2


def test_a_manifest_is_a_sha256() -> None:
    bad = IssueBriefing(
        edition=EDITION, manifest="non", position=7, rule_release="2026-11", patients=3
    )
    given(PLANNED, kind="stint").when(bad, by=SYSTEM).invalid("invalid-field", field="manifest")


def test_the_briefing_is_opened_by_the_doctor_it_is_for() -> None:
    opened = OpenBriefing(edition=EDITION)
    record = given(PLANNED, ISSUED, kind="stint")
    record.when(opened, by=AMONT).then(BriefingOpened(edition=EDITION))
    record.when(opened, by=AVAL).refused("not-addressee")
    given(PLANNED, kind="stint").when(opened, by=AMONT).refused("unknown-edition", field="edition")
