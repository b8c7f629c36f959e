from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from releve.domain.aggregates.health_centre import CentreOpened
from releve.domain.aggregates.patient.identity import Registered
from releve.domain.aggregates.patient.open_items import ItemOpened
from releve.domain.aggregates.patient.severity import IllnessSeveritySet
from releve.domain.aggregates.practitioner import PractitionerOnboarded
from releve.domain.aggregates.stint import (
    BriefingIssued,
    BriefingOpened,
    StintEnded,
    StintPlanned,
    StintStarted,
)
from releve.domain.events import CENTRE as CENTRE_CLASS
from releve.domain.events import PRACTITIONER, STINT
from releve.domain.values import NamedPerson, Owner
from releve.projections.directory import (
    CentreEntry,
    Directory,
    DirectoryEntry,
    PractitionerEntry,
    StintLine,
    fold_entry,
    from_bytes,
    to_bytes,
)
from releve.projections.open_items import board
from releve.projections.patient_summary import fold_all
from support.patient_events import CENTRE, Stream

REFERENT = NamedPerson(name="Dr R", phone="+33 5 99 00 00 01", person=UUID(int=99))
START = datetime(2026, 11, 16, 7, tzinfo=UTC)


def folded(stream: Stream) -> DirectoryEntry:
    entry: DirectoryEntry | None = None
    for event in stream.events:
        entry = from_bytes(to_bytes(fold_entry(entry, event)))
    assert entry is not None
    return entry


def centre() -> DirectoryEntry:
    stream = Stream(event_class=CENTRE_CLASS)
    stream.id = CENTRE
    stream.add(
        CentreOpened(
            name="Centre d'Ajonc", finess="990000010", referent=REFERENT,
            on_call_chain=(REFERENT, NamedPerson(name="Dr S", phone="+33 5 99 00 00 02")),
        )
    )  # fmt: skip
    return folded(stream)


def stint(week: int, doctor: int, *, days: int = 5) -> Stream:
    stream = Stream(1000 + week * 10 + doctor, event_class=STINT)
    begins = START + timedelta(days=7 * week)
    stream.add(
        StintPlanned(
            practitioner=UUID(int=doctor), practitioner_name=f"Dr {doctor}", centre=CENTRE,
            starts_at=begins.isoformat(), ends_at=(begins + timedelta(days=days)).isoformat(),
        )
    )  # fmt: skip
    return stream


def line(stream: Stream) -> StintLine:
    entry = folded(stream)
    assert isinstance(entry, StintLine)
    return entry


class TestStints:
    def directory(self) -> Directory:
        weeks = [line(stint(week, doctor)) for week, doctor in ((0, 1), (1, 2), (2, 1))]
        return Directory([centre(), *weeks])

    def test_follow_each_other(self) -> None:
        directory = self.directory()
        first, second, third = directory.stints_of(CENTRE)
        assert directory.previous(first.stint) is None
        assert directory.previous(second.stint) == first
        assert directory.next(second.stint) == third
        assert directory.next(third.stint) is None
        assert directory.last_stint_before(third.stint) == first
        assert directory.last_stint_before(second.stint) is None

    def test_in_post_follows_from_the_period_alone(self) -> None:
        directory = self.directory()
        first, second, _ = directory.stints_of(CENTRE)
        assert directory.in_post(CENTRE, START - timedelta(microseconds=1)) == []
        assert directory.in_post(CENTRE, START) == [first]
        assert directory.in_post(CENTRE, first.ends_at) == []
        assert directory.current_or_next(CENTRE, first.ends_at) == second

    def test_cut_short_ends_when_it_ended(self) -> None:
        stream = stint(0, 1)
        stream.add(StintStarted(rpps_verified=True), occurred_at=START.isoformat())
        ended = START + timedelta(days=2)
        stream.add(StintEnded(cause="cut-short"), occurred_at=ended.isoformat())
        entry = line(stream)
        assert entry.over_at == ended
        directory = Directory([centre(), entry])
        assert directory.in_post(CENTRE, ended) == []
        found = directory.answerable(Owner(stint=entry.stint), CENTRE, ended)
        assert found is not None
        assert (found.name, found.role) == ("Dr R", "referent")

    def test_colleagues_overlap(self) -> None:
        here, there = line(stint(0, 1)), line(stint(0, 2))
        directory = Directory([centre(), here, there])
        assert directory.overlapping(here.stint) == [there]
        assert len(directory.in_post(CENTRE, START + timedelta(hours=1))) == 2

    def test_keep_their_editions_and_who_opened_them(self) -> None:
        stream = stint(0, 1)
        edition = UUID(int=5)
        stream.add(
            BriefingIssued(
                edition=edition, number=1, manifest="00" * 32, position=7,
                rule_release="2026-11", patients=3,
            )
        )  # fmt: skip
        stream.add(BriefingOpened(edition=edition))
        stream.add(BriefingOpened(edition=edition))
        entry = line(stream)
        assert [each.edition for each in entry.editions] == [edition]
        assert entry.opened == (edition,)

    def test_nothing_out_of_place_is_taken_in(self) -> None:
        stream = Stream(event_class=STINT)
        stream.add(StintStarted())
        with pytest.raises(ValueError, match="no place"):
            folded(stream)


def test_people_and_centres_are_found() -> None:
    stream = Stream(7, event_class=PRACTITIONER)
    stream.add(PractitionerOnboarded(name="Exemple", given="Alix"))
    entry = folded(stream)
    assert isinstance(entry, PractitionerEntry)
    assert entry.full_name == "Dr Alix Exemple"
    directory = Directory([centre(), entry])
    found = directory.centre_by_finess("990000010")
    assert isinstance(found, CentreEntry)
    assert directory.centre_by_finess("990000025") is None
    assert directory.answerable(Owner(), UUID(int=1), START) is None


def test_board_orders_by_overdue_days_times_severity_then_due() -> None:
    directory = Directory([centre(), line(stint(0, 1))])
    now = datetime(2026, 11, 17, 8, tzinfo=UTC)
    rows = []
    for number, (level, due) in enumerate(
        [("stable", "2026-11-10"), ("unstable", "2026-11-13"), ("stable", None),
         ("stable", "2026-11-20"), ("watcher", "2026-11-19")], 1
    ):  # fmt: skip
        stream = Stream(number)
        stream.add(Registered(birth_name=f"P{number}"))
        stream.add(IllnessSeveritySet(severity=level, reason="x"))  # type: ignore[arg-type]
        stream.add(ItemOpened(kind="call", text="a", due=due, no_deadline=due is None))
        summary = fold_all(None, stream.events, stream.id)
        rows += [(item, summary) for item in summary.open_items]
    lines = board(rows, now, directory)
    assert [each.name for each in lines] == ["P2", "P1", "P5", "P4", "P3"]
    assert [each.overdue_days for each in lines] == [4, 7, 0, 0, 0]
    assert {each.owner for each in lines} == {"Dr 1"}
