from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import msgspec
import pytest

from releve.domain.aggregates.health_centre import Days
from releve.domain.aggregates.patient.ald import AldStatusChanged
from releve.domain.aggregates.patient.death import DeathRecorded
from releve.domain.aggregates.patient.identity import Registered
from releve.domain.aggregates.patient.open_items import ItemClosed, ItemOpened
from releve.domain.aggregates.patient.results import ContactAttempted
from releve.domain.values import NamedPerson, OpeningSlot, Owner, Session
from releve.projections.coordination import Coordination, ald_ends, coordination, weeks
from releve.projections.directory import CentreEntry, Directory, PractitionerEntry, StintLine
from releve.projections.inbox import SourceState
from releve.projections.open_items import board
from releve.projections.patient_summary import PatientSummary, fold_all
from support.patient_events import CENTRE, Stream

AldStatus = Literal["granted", "renewed", "ended"]
Outcome = Literal["no-answer", "message-left", "reached"]

NOW = datetime(2026, 11, 23, 7, 30, tzinfo=UTC)
TODAY = date(2026, 11, 23)
PERSON = NamedPerson(name="Dr R", phone="+33 5 99 00 00 01")


def centre(**more: Any) -> CentreEntry:
    return CentreEntry(
        centre=CENTRE, name="C", finess="990000010", referent=PERSON,
        on_call_chain=(PERSON,), **more,
    )  # fmt: skip


def stint(number: int, begins: datetime, days: int = 5, **more: Any) -> StintLine:
    return StintLine(
        stint=UUID(int=number), practitioner=UUID(int=100 + number),
        practitioner_name=f"Dr {number}", centre=CENTRE, starts_at=begins,
        ends_at=begins + timedelta(days=days), **more,
    )  # fmt: skip


MONDAY = datetime(2026, 11, 23, 7, tzinfo=UTC)


class TestWeeks:
    def test_a_day_on_which_nobodys_rhythm_falls_is_uncovered(self) -> None:
        pattern = (Session(weekday=1), Session(weekday=2, part="morning"))
        line = stint(1, MONDAY, pattern=pattern)
        (week,) = weeks(Directory([line]), centre(), NOW, count=1)
        assert [day.isoweekday() for day in week.uncovered] == [3, 4, 5]
        assert not week.hole
        assert week.posts[0].rhythm == "les lundis, les mardis matin"
        other = stint(2, MONDAY)
        (shared,) = weeks(Directory([line, other]), centre(), NOW, count=1)
        assert shared.uncovered == ()

    def test_a_week_without_a_doctor_is_a_hole_until_somebody_is_planned(self) -> None:
        lines = [stint(1, MONDAY), stint(2, MONDAY + timedelta(weeks=2))]
        found = weeks(Directory([centre(), *lines]), centre(), NOW, 3)
        assert [week.hole for week in found] == [False, True, False]
        assert [week.number for week in found] == [48, 49, 50]
        assert found[1].uncovered[0] == date(2026, 11, 30)
        assert not found[1].gap_recorded

    def test_a_cancelled_stint_covers_nothing_and_is_still_shown(self) -> None:
        (found,) = weeks(Directory([centre(), stint(1, MONDAY, cancelled=True)]), centre(), NOW, 1)
        assert found.hole
        assert [post.state for post in found.posts] == ["cancelled"]

    def test_a_gap_counts_as_recorded_only_where_it_covers_every_open_day(self) -> None:
        def recorded(last: date) -> tuple[bool, str]:
            here = centre(gaps=(Days(date(2026, 11, 23), last, "personne"),))
            week = weeks(Directory([here]), here, NOW, 1)[0]
            return week.gap_recorded, week.gap

        assert recorded(date(2026, 11, 27)) == (True, "personne")
        assert recorded(date(2026, 11, 26)) == (False, "")

    def test_days_alone_are_told_of_a_week_that_is_partly_covered(self) -> None:
        (found,) = weeks(Directory([centre(), stint(1, MONDAY, days=3)]), centre(), NOW, 1)
        assert not found.hole
        assert found.uncovered == (date(2026, 11, 27),)

    def test_closed_days_and_days_out_of_hours_need_nobody(self) -> None:
        here = centre(
            opening=(OpeningSlot(weekday=1, opens="08:00", closes="12:00"),
                     OpeningSlot(weekday=6, opens="08:00", closes="12:00")),
            closures=(Days(TODAY, TODAY, "férié"),),
        )  # fmt: skip
        found = weeks(Directory([here]), here, NOW, 2)
        assert found[0].uncovered == (date(2026, 11, 28),)
        assert found[1].uncovered == (date(2026, 11, 30), date(2026, 12, 5))
        closed = centre(closures=(Days(TODAY, TODAY + timedelta(days=6), "vacances"),))
        assert not weeks(Directory([closed]), closed, NOW, 1)[0].hole

    @pytest.mark.parametrize(
        ("more", "at", "state"),
        [({}, -1, "planned"), ({"confirmed": True}, -1, "confirmed"), ({}, 1, "started"),
         ({}, 24 * 6, "ended")],
    )  # fmt: skip
    def test_where_a_stint_stands(self, more: dict[str, Any], at: int, state: str) -> None:
        directory = Directory([centre(), stint(1, MONDAY, **more)])
        now = MONDAY + timedelta(hours=at)
        found = [post for week in weeks(directory, centre(), now, 2) for post in week.posts]
        assert {post.state for post in found} == {state}

    def test_rpps_is_verified_by_proof_or_at_the_start(self) -> None:
        person = PractitionerEntry(practitioner=UUID(int=101), name="A", given="B")
        proven = msgspec.structs.replace(person, verified_at=NOW)

        def verified(who: PractitionerEntry, **more: Any) -> bool:
            directory = Directory([centre(), who, stint(1, MONDAY, **more)])
            return weeks(directory, centre(), NOW, 1)[0].posts[0].rpps_verified

        assert not verified(person)
        assert verified(proven)
        assert verified(person, started_at=MONDAY)
        assert not verified(msgspec.structs.replace(proven, suspended=True))


def patient(number: int = 1, **traits: Any) -> Stream:
    stream = Stream(number)
    known: dict[str, Any] = {
        "birth_name": f"NOM{number}", "first_names": ("A",), "birth_date": "1950-01-02",
        "sex": "female", "birth_place": "23096", "identity_status": "qualifiee", **traits,
    }  # fmt: skip
    stream.add(Registered(**known))
    return stream


def shown(*streams: Stream) -> Coordination:
    directory = Directory([centre()])
    summaries = [fold_all(None, stream.events, stream.id) for stream in streams]
    items = board([(item, each) for each in summaries for item in each.open_items], NOW, directory)
    silent = SourceState("Labo", timedelta(hours=24), None, True)
    heard = SourceState("Imagerie", timedelta(hours=24), NOW, False)
    return coordination(summaries, items, [], [silent, heard], directory, centre(), NOW)


def test_identities_the_incomplete_ones_first() -> None:
    found = shown(
        patient(1), patient(2, identity_status="validee"), patient(3, birth_place=None)
    ).identities
    assert [(each.name, each.incomplete) for each in found] == [
        ("NOM3 A", True), ("NOM2 A", False),
    ]  # fmt: skip


class TestAld:
    def ends(self, *said: tuple[AldStatus, str], code: str = "8") -> list[tuple[date, int]]:
        stream = patient()
        before = None
        for status, ends in said:
            told = AldStatusChanged(status=status, code=code, starts="2020-01-01", ends=ends)
            before = stream.add(told, target=before.event_id if before else None)
        return [(each.ends, each.days) for each in shown(stream).ald]

    def test_is_told_ninety_days_before_its_end(self) -> None:
        assert self.ends(("granted", "2027-02-21")) == [(date(2027, 2, 21), 90)]
        assert self.ends(("granted", "2027-02-22")) == []

    def test_stays_after_its_end_until_it_is_renewed_or_ended(self) -> None:
        assert self.ends(("granted", "2026-11-20")) == [(date(2026, 11, 20), -3)]
        assert self.ends(("granted", "2026-11-20"), ("renewed", "2031-11-20")) == []
        assert self.ends(("granted", "2026-11-20"), ("ended", "2026-11-20")) == []

    def test_that_ended_long_ago_stands_last_and_leaves_only_by_a_word(self) -> None:
        long_ago: tuple[AldStatus, str] = ("granted", "2024-11-20")
        lately: tuple[AldStatus, str] = ("granted", "2026-11-20")
        assert self.ends(long_ago) == [(date(2024, 11, 20), -733)]
        assert self.ends(long_ago, ("ended", "2024-11-20")) == []
        assert self.ends(lately) == [(date(2026, 11, 20), -3)]
        first, second = patient(), patient()
        first.add(AldStatusChanged(status="granted", starts="2020", ends="2024-11-20"))
        second.add(AldStatusChanged(status="granted", starts="2020", ends="2026-11-20"))
        summaries = [fold_all(None, each.events, each.id) for each in (first, second)]
        found = ald_ends(summaries, date(2026, 11, 23))
        assert [(each.ends.year, each.lapsed) for each in found] == [(2026, False), (2024, True)]

    def test_never_says_which_one(self) -> None:
        stream = patient()
        stream.add(AldStatusChanged(status="granted", code="29", starts="2020", ends="2026-12"))
        (found,) = shown(stream).ald
        assert "29" not in str(msgspec.to_builtins(found)).replace(str(found.patient), "")
        assert found.ends == date(2026, 12, 31)


class TestUnreached:
    def stream(self, *outcomes: Outcome, about_item: bool = True) -> Stream:
        stream = patient()
        item = stream.add(ItemOpened(kind="call", text="Rappeler : potassium", due="2026-11-24"))
        for outcome in outcomes:
            stream.add(
                ContactAttempted(channel="phone", outcome=outcome),
                target=item.event_id if about_item else None,
            )
        return stream

    def test_counts_attempts_until_the_patient_is_reached(self) -> None:
        (found,) = shown(self.stream("no-answer", "message-left")).unreached
        assert (found.attempts, found.outcome) == (2, "message laissé")
        assert shown(self.stream("no-answer", "reached")).unreached == ()
        assert shown(self.stream()).unreached == ()

    def test_nobody_is_called_again_about_what_is_done(self) -> None:
        stream = self.stream("no-answer")
        item = next(e for e in stream.events if isinstance(e.payload, ItemOpened))
        stream.add(ItemClosed(outcome="done", evidence="vu"), target=item.event_id)
        assert shown(stream).unreached == ()


def test_errands_are_the_desks_own_the_most_overdue_first() -> None:
    stream = patient()
    stream.add(ItemOpened(kind="admin", text="x", due="2026-12-01"))
    stream.add(
        ItemOpened(kind="renewal", text="x", due="2026-11-20", owner=Owner(role="coordinator"))
    )
    stream.add(ItemOpened(kind="result", text="x", due="2026-11-01"))
    assert [(each.nature, each.overdue_days) for each in shown(stream).errands] == [
        ("renouvellement", 3), ("administratif", 0),
    ]  # fmt: skip


def test_the_dead_are_on_no_list() -> None:
    stream = patient(identity_status="provisoire")
    stream.add(AldStatusChanged(status="granted", starts="2020", ends="2026-12-01"))
    stream.add(DeathRecorded(date="2026-11-20", source="famille"))
    found = shown(stream)
    assert (found.identities, found.ald) == ((), ())


def test_only_silent_senders_are_named() -> None:
    assert [each.system for each in shown(patient()).silent] == ["Labo"]


def test_no_word_of_an_item_is_on_the_board() -> None:
    stream = patient()
    stream.add(ItemOpened(kind="admin", text="Transport vers la dialyse", due="2026-12-01"))
    summaries: list[PatientSummary] = [fold_all(None, stream.events, stream.id)]
    assert summaries[0].open_items
    assert "dialyse" not in str(msgspec.to_builtins(shown(stream)))
