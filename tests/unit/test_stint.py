"""Stints: planned, started, ended, and the briefing issued and opened."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
import pytest

from releve.domain.aggregates.patient.identity import Registered
from releve.domain.aggregates.stint import (
    BriefingIssued,
    BriefingOpened,
    HandoverClosed,
    Stint,
    StintCancelled,
    StintEnded,
    StintPlanned,
    StintRevised,
    StintStarted,
    WatchTaken,
)
from releve.domain.commands import (
    CancelStint,
    CloseHandover,
    EndStint,
    IssueBriefing,
    OpenBriefing,
    OpenItem,
    PlanStint,
    ReviseStint,
    StartStint,
    TakeWatch,
)
from releve.domain.values import Session, StintPeriod
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


BEFORE = datetime.fromisoformat("2026-11-20T10:00:00+01:00")
OVER = datetime.fromisoformat("2026-11-28T13:00:01+01:00")


def revise(**fields: Any) -> ReviseStint:
    return ReviseStint(**{"reason": "Accord du médecin", **fields})


def test_a_stint_is_extended_and_its_window_with_it() -> None:
    longer = "2026-11-29T20:00:00+01:00"
    answer = given(PLANNED, kind="stint").when(revise(ends_at=longer), by=COORDINATOR)
    answer.then(StintRevised(ends_at=longer))
    assert answer.events[0].envelope.reason == "Accord du médecin"
    after: Stint = answer.state
    assert after.window == (datetime.fromisoformat(PLANNED.starts_at), _at(longer))
    assert after.active(OVER)


def test_a_stint_is_cut_to_an_end_that_lies_ahead() -> None:
    record = given(PLANNED, kind="stint")
    record.when(revise(ends_at="2026-11-26T12:00:00+01:00"), by=COORDINATOR).then(
        StintRevised(ends_at="2026-11-26T12:00:00+01:00")
    )
    record.when(revise(ends_at="2026-11-23T20:00:00+01:00"), by=COORDINATOR).refused(
        "end-in-the-past", field="ends_at"
    )


def test_a_beginning_moves_only_while_it_lies_ahead() -> None:
    later = "2026-11-24T08:00:00+01:00"
    record = given(PLANNED, kind="stint")
    record.when(revise(starts_at=later), by=COORDINATOR, now=BEFORE).then(
        StintRevised(starts_at=later)
    )
    record.when(revise(starts_at="2026-11-19T08:00:00+01:00"), by=COORDINATOR, now=BEFORE).refused(
        "already-started", field="starts_at"
    )
    record.when(revise(starts_at="2026-11-25T08:00:00+01:00"), by=COORDINATOR).refused(
        "already-started", field="starts_at"
    )
    started = Told(StintStarted(rpps_verified=True), at="2026-11-20T09:00:00+01:00")
    given(PLANNED, started, kind="stint").when(
        revise(starts_at=later), by=COORDINATOR, now=BEFORE
    ).refused("already-started", field="starts_at")


def test_a_revised_period_obeys_the_rules_of_a_planned_one() -> None:
    record = given(PLANNED, kind="stint")
    for ends_at in ("2026-12-14T13:00:00+01:00", "2026-11-23T08:00:00+01:00"):
        record.when(revise(ends_at=ends_at), by=COORDINATOR, now=BEFORE).invalid(
            "invalid-field", field="ends_at"
        )


def test_a_stint_that_is_over_is_not_revised() -> None:
    longer = revise(ends_at="2026-12-01T13:00:00+01:00")
    given(PLANNED, kind="stint").when(longer, by=COORDINATOR, now=OVER).refused("already-ended")
    given(PLANNED, StintEnded(cause="cut-short"), kind="stint").when(
        longer, by=COORDINATOR
    ).refused("already-ended")


def test_a_confirmation_is_told_once() -> None:
    record = given(PLANNED, kind="stint")
    record.when(revise(confirmed=True), by=COORDINATOR).then(StintRevised(confirmed=True))
    confirmed = given(PLANNED, StintRevised(confirmed=True), kind="stint")
    confirmed.when(revise(confirmed=True), by=COORDINATOR).nothing()
    confirmed.when(revise(ends_at=PLANNED.ends_at), by=COORDINATOR).nothing()
    assert confirmed.state.confirmed


def test_a_stint_is_cancelled_before_it_starts_and_gives_nothing_then() -> None:
    cancel = CancelStint(reason="Désistement")
    record = given(PLANNED, kind="stint")
    record.when(cancel, by=COORDINATOR, now=BEFORE).then(StintCancelled())
    record.when(cancel, by=COORDINATOR).refused("already-started")
    record.when(CancelStint(reason=" "), by=COORDINATOR, now=BEFORE).invalid(
        "missing-field", field="reason"
    )
    record.when(cancel, by=AMONT, now=BEFORE).refused("role-not-allowed")
    gone = given(PLANNED, StintCancelled(), kind="stint")
    gone.when(cancel, by=COORDINATOR).nothing()
    assert not gone.state.active(_at("2026-11-24T10:00:00+01:00"))
    for command in (StartStint(), EndStint(), revise(confirmed=True)):
        gone.when(command, by=COORDINATOR).refused("cancelled")
    gone.when(TakeWatch(first_action="Labo"), by=AMONT).refused("cancelled")


def test_nothing_is_written_in_a_cancelled_stint() -> None:
    gone = given(PLANNED, StintCancelled(), kind="stint").state
    item = OpenItem(kind="call", text="Appeler", no_deadline=True)
    record = given(Registered(birth_name="EXEMPLE"))
    assert record.when(item, by=AMONT).refusal is None
    record.when(item, by=AMONT, stint=gone).refused("outside-stint")


CLOSE = CloseHandover(patients=7, items_left=12, message="Le laboratoire appelle après 18 h")
CLOSED = HandoverClosed(patients=7, items_left=12, message="Le laboratoire appelle après 18 h")


def test_handovers_are_closed_by_their_doctor_until_72_hours_after_the_stint() -> None:
    record = given(PLANNED, kind="stint")
    record.when(CLOSE, by=AMONT).then(CLOSED)
    record.when(CLOSE, by=AVAL).refused("not-own-stint")
    record.when(CLOSE, by=COORDINATOR).refused("role-not-allowed")
    record.when(CLOSE, by=AMONT, now=BEFORE).refused("outside-stint")
    record.when(CLOSE, by=AMONT, now=_at("2026-12-01T13:00:00+01:00")).then(CLOSED)
    record.when(CLOSE, by=AMONT, now=_at("2026-12-01T13:00:01+01:00")).refused("outside-stint")
    for bad, field in (
        (CloseHandover(patients=-1, items_left=1), "patients"),
        (CloseHandover(patients=1, items_left=100_001), "items_left"),
    ):
        record.when(bad, by=AMONT).invalid("invalid-field", field=field)


def test_the_last_closing_of_the_handovers_stands() -> None:
    record = given(PLANNED, CLOSED, kind="stint")
    record.when(CLOSE, by=AMONT).nothing()
    again = record.when(CloseHandover(patients=8, items_left=11), by=AMONT)
    assert again.state.handover == HandoverClosed(patients=8, items_left=11)


def test_the_watch_is_not_taken_without_a_first_action_or_a_question() -> None:
    record = given(PLANNED, kind="stint")
    for empty in (TakeWatch(), TakeWatch(first_action="  ", question="\n")):
        record.when(empty, by=AMONT).refused("first-action-missing", field="first_action")
    record.when(TakeWatch(question="Qui suit le pansement ?"), by=AMONT).then(
        WatchTaken(question="Qui suit le pansement ?")
    )


def test_the_watch_is_taken_once_in_post_by_the_stints_own_doctor() -> None:
    take = TakeWatch(edition=EDITION, first_action="J'appelle le laboratoire")
    taken = WatchTaken(edition=EDITION, first_action="J'appelle le laboratoire")
    record = given(PLANNED, ISSUED, kind="stint")
    record.when(take, by=AMONT).then(taken)
    record.when(take, by=AVAL).refused("not-own-stint")
    record.when(take, by=AMONT, now=BEFORE).refused("outside-stint")
    record.when(take, by=AMONT, now=OVER).refused("outside-stint")
    given(PLANNED, kind="stint").when(take, by=AMONT).refused("unknown-edition", field="edition")
    done = given(PLANNED, ISSUED, taken, kind="stint")
    done.when(take, by=AMONT).nothing()
    done.when(TakeWatch(first_action="Autre chose"), by=AMONT).refused("watch-taken")


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_a_doctor_is_never_in_post_twice_at_one_centre() -> None:
    own = StintPeriod(
        datetime.fromisoformat("2026-11-25T08:00:00+01:00"),
        datetime.fromisoformat("2026-11-27T18:00:00+01:00"),
    )
    told = given(kind="stint")
    told.when(plan(), by=COORDINATOR, own_stints=(own,)).refused(
        "own-stint-overlaps", field="starts_at"
    )
    before = plan(ends_at="2026-11-25T08:00:00+01:00")
    assert told.when(before, by=COORDINATOR, own_stints=(own,)).events
    planned = given(
        msgspec.structs.replace(PLANNED, ends_at="2026-11-25T07:00:00+01:00"), kind="stint"
    )
    longer = ReviseStint(ends_at="2026-11-25T09:00:00+01:00", reason="prolongé")
    planned.when(longer, by=COORDINATOR, own_stints=(own,)).refused("own-stint-overlaps")
    said = ReviseStint(confirmed=True, reason="au téléphone")
    assert planned.when(said, by=COORDINATOR, own_stints=(own,)).events


# The rhythm: on which days of the week the doctor comes

MONDAYS, TUESDAYS = Session(weekday=1), Session(weekday=2, part="morning")


def of_week(*pattern: Session, **more: Any) -> PlanStint:
    return msgspec.structs.replace(plan(), pattern=pattern, **more)


def test_a_half_time_doctor_comes_on_some_days_for_months() -> None:
    half_time = of_week(TUESDAYS, MONDAYS, mode="salarie", ends_at="2027-06-30T18:00:00+02:00")
    expected = msgspec.structs.replace(
        PLANNED, pattern=(MONDAYS, TUESDAYS), mode="salarie", ends_at="2027-06-30T18:00:00+02:00"
    )
    given(kind="stint").when(half_time, by=COORDINATOR).then(expected)


@pytest.mark.parametrize(
    ("pattern", "field"),
    [
        ((Session(weekday=0),), "pattern[0].weekday"),
        ((MONDAYS, Session(weekday=8)), "pattern[1].weekday"),
        ((Session(weekday=1, begins="08:00"),), "pattern[0].part"),
        ((Session(weekday=1, part="hours", begins="8h", ends="12:00"),), "pattern[0].begins"),
        ((Session(weekday=1, part="hours", begins="08:00"),), "pattern[0].ends"),
        ((Session(weekday=1, part="hours", begins="12:00", ends="08:00"),), "pattern[0].ends"),
        ((MONDAYS, Session(weekday=1, part="afternoon")), "pattern"),
        ((MONDAYS, MONDAYS), "pattern"),
        ((Session(weekday=7),), "pattern"),
        (tuple(Session(weekday=1) for _ in range(22)), "pattern"),
    ],
    ids=["day-0", "day-8", "hours-of-a-day", "hour", "no-end", "backwards", "overlap", "twice",
         "outside-the-period", "too-many"],
)  # fmt: skip
def test_a_rhythm_that_cannot_be_is_said(pattern: tuple[Session, ...], field: str) -> None:
    given(kind="stint").when(of_week(*pattern), by=COORDINATOR).invalid(
        "invalid-field", field=field
    )


def test_two_sessions_of_one_day_stand_side_by_side() -> None:
    early = Session(weekday=1, part="hours", begins="08:00", ends="10:00")
    late = Session(weekday=1, part="afternoon")
    given(kind="stint").when(of_week(late, early), by=COORDINATOR).then(
        msgspec.structs.replace(PLANNED, pattern=(early, late))
    )


def test_a_rhythm_changes_and_ends_and_what_is_left_out_stays() -> None:
    record = given(msgspec.structs.replace(PLANNED, pattern=(MONDAYS,)), kind="stint")
    record.when(ReviseStint(reason="temps partiel", pattern=(TUESDAYS,)), by=COORDINATOR).then(
        StintRevised(pattern=(TUESDAYS,))
    )
    record.when(ReviseStint(reason="à plein temps", pattern=()), by=COORDINATOR).then(
        StintRevised(pattern=())
    )
    record.when(ReviseStint(reason="rien", pattern=(MONDAYS,)), by=COORDINATOR).then()
    record.when(ReviseStint(reason="confirmé", confirmed=True), by=COORDINATOR).then(
        StintRevised(confirmed=True)
    )


def test_access_does_not_depend_on_the_rhythm() -> None:
    record = given(msgspec.structs.replace(PLANNED, pattern=(MONDAYS,)), kind="stint")
    stint = record.when(ReviseStint(reason="x", pattern=(TUESDAYS,)), by=COORDINATOR).state
    assert isinstance(stint, Stint)
    assert stint.pattern == (TUESDAYS,)
    assert stint.active(datetime.fromisoformat("2026-11-26T10:00:00+01:00")), "a Thursday"
