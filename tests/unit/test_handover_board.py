from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import UUID

import orjson
import pytest

from releve.domain.aggregates.health_centre import CentreOpened
from releve.domain.aggregates.patient.corrections import EntryMarkedInError
from releve.domain.aggregates.patient.death import DeathRecorded
from releve.domain.aggregates.patient.encounters import EncounterRecorded
from releve.domain.aggregates.patient.handover import HandoverReadBack, HandoverWritten
from releve.domain.aggregates.patient.identity import Registered
from releve.domain.aggregates.patient.severity import IllnessSeveritySet
from releve.domain.aggregates.stint import (
    BriefingIssued,
    BriefingOpened,
    HandoverClosed,
    StintPlanned,
    WatchTaken,
)
from releve.domain.events import CENTRE as CENTRE_CLASS
from releve.domain.events import STINT as STINT_CLASS
from releve.domain.events import Author, Event, Payload
from releve.domain.values import NamedPerson, Severity
from releve.projections.directory import Directory, DirectoryEntry, StintLine, fold_entry
from releve.projections.handover_board import Batch, batch_of, board, to_json, unanswered
from releve.projections.patient_summary import PatientSummary, fold_all
from support.patient_events import CENTRE, Stream

Kind = Literal["restatement", "question", "takes", "continuation"]

BEGINS = datetime(2026, 11, 16, 7, tzinfo=UTC)
FRIDAY = datetime(2026, 11, 20, 16, tzinfo=UTC)
MONDAY = datetime(2026, 11, 23, 7, 30, tzinfo=UTC)
SUMMARY = "Dyspnée nouvelle"


def entry(stream: Stream) -> DirectoryEntry:
    found: DirectoryEntry | None = None
    for event in stream.events:
        found = fold_entry(found, event)
    assert found is not None
    return found


def stint(week: int, doctor: int, *more: Payload) -> StintLine:
    stream = Stream(1000 + week, event_class=STINT_CLASS)
    begins = BEGINS + timedelta(weeks=week)
    stream.add(
        StintPlanned(
            practitioner=UUID(int=doctor), practitioner_name=f"Dr {doctor}", centre=CENTRE,
            starts_at=begins.isoformat(), ends_at=(begins + timedelta(days=5)).isoformat(),
        )
    )  # fmt: skip
    for payload in more:
        stream.add(payload)
    found = entry(stream)
    assert isinstance(found, StintLine)
    return found


def directory(*stints: StintLine) -> Directory:
    stream = Stream(event_class=CENTRE_CLASS)
    stream.id = CENTRE
    person = NamedPerson(name="Dr R", phone="+33 5 99 00 00 01")
    other = NamedPerson(name="Dr S", phone="+33 5 99 00 00 02")
    stream.add(CentreOpened(name="C", finess="990000010", referent=person,
                            on_call_chain=(person, other)))  # fmt: skip
    return Directory([entry(stream), *stints])


ONE, TWO = stint(0, 1), stint(1, 2)
AUTHOR = Author(role="doctor", name="Dr 1", person=UUID(int=1), stint=ONE.stint)
RECEIVER = Author(role="doctor", name="Dr 2", person=UUID(int=2), stint=TWO.stint)


def patient(number: int) -> Stream:
    stream = Stream(number, first=number * 100)
    stream.add(Registered(birth_name=f"NOM{number:02}", first_names=("A",), sex="female"))
    return stream


def hand_over(
    stream: Stream, severity: Severity = "watcher", *, asked: bool = False, at: datetime = FRIDAY
) -> Event:
    note = HandoverWritten(severity=severity, summary=SUMMARY, read_back_requested=asked)
    return stream.add(note, at=at, author=AUTHOR)


def answer(stream: Stream, handover: Event, kind: Kind, text: str = "") -> Event:
    said = HandoverReadBack(kind=kind, text=text)
    return stream.add(said, at=MONDAY, author=RECEIVER, target=handover.event_id)


def folded(*streams: Stream) -> list[PatientSummary]:
    return [fold_all(None, stream.events, stream.id) for stream in streams]


def batch(streams: list[Stream], *stints: StintLine, at: datetime = MONDAY) -> Batch:
    found = directory(*(stints or (ONE, TWO)))
    line = found.stints_of(CENTRE)[0]
    return batch_of(folded(*streams), found, line, at)


@pytest.mark.parametrize(
    ("kind", "state"),
    [("question", "asked"), ("restatement", "restated"), ("takes", "taken"),
     ("continuation", "continued")],
)  # fmt: skip
def test_an_answer_names_its_state_and_its_author(kind: Kind, state: str) -> None:
    stream = patient(1)
    answer(stream, hand_over(stream), kind, "J'appelle d'abord")
    (row,) = batch([stream]).rows
    assert (row.state, row.waiting, row.answered_by) == (state, False, "Dr 2")
    assert row.answered_at == MONDAY


def test_it_is_opened_only_by_an_edition_that_holds_it() -> None:
    stream = patient(1)
    position = hand_over(stream).position
    assert position is not None

    def opened(at: int, *, read: bool = True) -> str:
        issued = BriefingIssued(edition=UUID(int=5), number=1, manifest="00" * 32, position=at,
                                rule_release="2026-11", patients=1)  # fmt: skip
        more: tuple[Payload, ...] = (issued, BriefingOpened(edition=UUID(int=5))) if read else (
            issued,
        )  # fmt: skip
        return batch([stream], ONE, stint(1, 2, *more)).rows[0].state

    assert opened(position) == "opened"
    assert opened(position - 1) == "written"
    assert opened(position, read=False) == "written"


def test_an_answer_in_error_is_no_answer() -> None:
    stream = patient(1)
    said = answer(stream, hand_over(stream), "takes")
    stream.add(EntryMarkedInError(), target=said.event_id, reason="autre patient")
    assert batch([stream]).rows[0].waiting


def test_what_waits_is_listed_the_oldest_first_and_never_leaves_by_age() -> None:
    streams = [patient(n) for n in (1, 2, 3)]
    for hours, stream in enumerate(streams):
        hand_over(stream, at=FRIDAY - timedelta(hours=hours))
    answered = patient(4)
    answer(answered, hand_over(answered), "takes")
    found = directory(ONE, TWO)
    late = MONDAY + timedelta(weeks=40)
    waiting = unanswered(board(folded(*streams, answered), found, CENTRE, late))
    assert [row.name for _, row in waiting] == ["NOM03 A", "NOM02 A", "NOM01 A"]
    assert waiting[0][1].age(late) > timedelta(weeks=40)


def test_a_newer_handover_takes_the_place_of_one_that_nobody_answered() -> None:
    stream = patient(1)
    hand_over(stream)
    note = HandoverWritten(severity="stable", summary="Mieux")
    stream.add(note, at=MONDAY + timedelta(days=4), author=RECEIVER)
    found = board(folded(stream), directory(ONE, TWO), CENTRE, MONDAY + timedelta(days=4, hours=1))
    assert [(b.doctor, len(b.rows)) for b in found] == [("Dr 2", 1), ("Dr 1", 0)]


@pytest.mark.parametrize(("unstable", "asked", "overloaded"), [(4, 3, False), (4, 4, True)])
def test_more_than_seven_to_restate_is_an_overload(
    unstable: int, asked: int, overloaded: bool
) -> None:
    streams = [patient(n) for n in range(1, unstable + asked + 3)]
    for number, stream in enumerate(streams):
        hand_over(
            stream,
            "unstable" if number < unstable else "watcher",
            asked=unstable <= number < unstable + asked,
        )
    found = batch(streams)
    assert (found.restate, found.overloaded) == (unstable + asked, overloaded)


class TestMissing:
    def seen(self, number: int, severity: Severity, stint: StintLine = ONE) -> Stream:
        stream = patient(number)
        author = Author(role="doctor", name="Dr", person=UUID(int=1), stint=stint.stint)
        stream.add(EncounterRecorded(mode="cabinet"), at=FRIDAY, author=author)
        said = IllnessSeveritySet(severity=severity, reason="r")
        stream.add(said, at=FRIDAY, author=author)
        return stream

    def test_is_everybody_unstable_and_who_is_watched_and_was_seen(self) -> None:
        elsewhere = stint(-1, 3)
        streams = [
            self.seen(1, "stable"), self.seen(2, "watcher"), self.seen(3, "unstable"),
            self.seen(4, "watcher", elsewhere), self.seen(5, "unstable", elsewhere),
        ]  # fmt: skip
        found = batch(streams).missing
        assert [(each.name, each.seen) for each in found] == [
            ("NOM03 A", True), ("NOM05 A", False), ("NOM02 A", True),
        ]  # fmt: skip

    def test_is_nobody_who_was_handed_over_or_died(self) -> None:
        handed, dead = self.seen(1, "unstable"), self.seen(2, "unstable")
        hand_over(handed, "unstable", at=FRIDAY + timedelta(minutes=1))
        dead.add(DeathRecorded(date="2026-11-20", source="famille"), at=FRIDAY, author=AUTHOR)
        assert batch([handed, dead]).missing == ()

    def test_is_nobody_whose_handover_the_next_doctor_has_replaced(self) -> None:
        stream = self.seen(1, "unstable")
        hand_over(stream, "unstable", at=FRIDAY + timedelta(minutes=1))
        again = HandoverWritten(severity="unstable", summary=SUMMARY)
        stream.add(again, at=MONDAY, author=RECEIVER)
        assert batch([stream]).missing == ()

    def test_is_who_has_only_an_erroneous_handover(self) -> None:
        stream = self.seen(1, "unstable")
        wrong = hand_over(stream, "unstable", at=FRIDAY + timedelta(minutes=1))
        stream.add(
            EntryMarkedInError(), at=FRIDAY + timedelta(minutes=2),
            author=AUTHOR, target=wrong.event_id,
        )  # fmt: skip
        assert len(batch([stream]).missing) == 1

    def test_is_asked_for_on_the_board_from_the_third_day_before_the_end(self) -> None:
        summaries, found = folded(self.seen(1, "unstable")), directory(ONE, TWO)

        def missing(at: datetime) -> int:
            shown = board(summaries, found, CENTRE, at)
            return sum(len(each.missing) for each in shown if each.stint == ONE.stint)

        assert missing(ONE.over_at - timedelta(hours=73)) == 0
        assert missing(ONE.over_at - timedelta(hours=72)) == 1
        assert len(batch([self.seen(1, "unstable")], at=ONE.starts_at).missing) == 1

    def test_is_no_longer_said_once_nothing_can_be_written(self) -> None:
        stream = self.seen(1, "unstable")
        assert batch([stream], at=ONE.over_at + timedelta(hours=72)).missing
        assert not batch([stream], at=ONE.over_at + timedelta(hours=73)).missing


def test_a_batch_says_who_closed_it_and_who_took_over() -> None:
    left = stint(0, 1, HandoverClosed(patients=3, items_left=4, message="mot"))
    came = stint(1, 1, WatchTaken(first_action="appeler"))
    stream = patient(1)
    hand_over(stream)
    found = batch([stream], left, came)
    assert found.closed is not None
    assert found.watch is not None
    assert (found.closed.items_left, found.watch.first_action) == (4, "appeler")
    assert found.same_doctor
    assert found.receiver_in_post


def test_the_office_gets_states_and_ages_without_one_clinical_word() -> None:
    stream, ill = patient(1), TestMissing().seen(2, "unstable")
    answer(stream, hand_over(stream, asked=True), "question", "Pourquoi ce soir ?")
    left = stint(0, 1, HandoverClosed(patients=1, items_left=0, message="Mme X va mal"))
    found = board(folded(stream, ill), directory(left, TWO), CENTRE, MONDAY)
    office = orjson.dumps(to_json(found, MONDAY, clinical=False)).decode()
    for word in (SUMMARY, "Pourquoi", "unstable", "watcher", "va mal", "severity", "NOM02"):
        assert word not in office
    shown = json.loads(office)["batches"][-1]
    assert shown["missing"] == 1
    assert shown["handovers"][0]["state"] == "asked"
    assert shown["handovers"][0]["age_hours"] == 63
    doctor = orjson.dumps(to_json(found, MONDAY, clinical=True)).decode()
    for word in (SUMMARY, "Pourquoi", "va mal", "NOM02"):
        assert word in doctor
