from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from releve.api.gate import windows_of
from releve.domain.aggregates.health_centre import (
    CentreOpened,
    ClosureRecorded,
    GapRecorded,
    PolicyChanged,
    RosterChanged,
    SiteAdded,
)
from releve.domain.aggregates.patient.identity import Registered
from releve.domain.aggregates.patient.open_items import ItemOpened
from releve.domain.aggregates.patient.severity import IllnessSeveritySet
from releve.domain.aggregates.practitioner import (
    PractitionerOnboarded,
    PractitionerSuspended,
    PractitionerVerified,
    RoleGranted,
    RoleRevoked,
)
from releve.domain.aggregates.rules import RulesReleaseActivated
from releve.domain.aggregates.stint import (
    BriefingIssued,
    BriefingOpened,
    HandoverClosed,
    StintCancelled,
    StintEnded,
    StintPlanned,
    StintRevised,
    StintStarted,
    WatchTaken,
)
from releve.domain.events import ADMINISTRATION, PRACTITIONER, STINT
from releve.domain.events import CENTRE as CENTRE_CLASS
from releve.domain.values import ExpectedSource, NamedPerson, OpeningSlot, Owner, Severity
from releve.projections.directory import (
    CentreEntry,
    Directory,
    DirectoryEntry,
    PractitionerEntry,
    RulesEntry,
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

    def test_nobody_is_their_own_predecessor_successor_or_colleague(self) -> None:
        first, again, other = (
            line(stint(week, doctor)) for week, doctor in ((0, 1), (1, 1), (2, 2))
        )
        twice = line(stint(0, 1, days=2))
        directory = Directory([centre(), first, again, other, twice])
        assert directory.previous(again.stint) is None
        assert directory.next(first.stint) == again
        assert directory.successor(first.stint) == other
        assert directory.previous(other.stint) == again
        assert directory.overlapping(first.stint) == []

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


class TestWhatBecomesOfAStint:
    def test_an_extension_moves_the_window_everywhere(self) -> None:
        stream = stint(0, 1)
        planned = line(stream)
        longer = planned.ends_at + timedelta(days=1)
        stream.add(StintRevised(ends_at=longer.isoformat(), confirmed=True))
        entry = line(stream)
        assert (entry.starts_at, entry.ends_at, entry.over_at) == (
            planned.starts_at, longer, longer,
        )  # fmt: skip
        assert entry.confirmed
        directory = Directory([centre(), entry])
        assert directory.in_post(CENTRE, planned.ends_at) == [entry]
        assert [w.ends_at for w in windows_of(directory, UUID(int=1))] == [longer]

    def test_a_cancelled_one_is_nobodys_post_and_no_window(self) -> None:
        gone, stays = stint(0, 1), line(stint(1, 2))
        gone.add(StintCancelled())
        entry = line(gone)
        directory = Directory([centre(), entry, stays])
        assert directory.stint(entry.stint) == entry
        assert directory.stints_of(CENTRE) == [stays]
        assert directory.previous(stays.stint) is None
        assert directory.in_post(CENTRE, START) == []
        assert list(windows_of(directory, UUID(int=1))) == []
        assert directory.current_or_next(CENTRE, START) == stays
        assert directory.without_doctor(CENTRE, START) == REFERENT
        held = directory.answerable(Owner(person=UUID(int=1), stint=entry.stint), CENTRE, START)
        assert held is not None
        assert held.role == "referent"

    def test_how_the_doctor_left_and_took_over_is_kept(self) -> None:
        stream = stint(0, 1)
        stream.add(WatchTaken(edition=UUID(int=5), first_action="Labo", question="Pansement ?"))
        stream.add(HandoverClosed(patients=7, items_left=12))
        stream.add(HandoverClosed(patients=8, items_left=11, message="Le labo appelle à 18 h"))
        entry = line(stream)
        assert entry.watch is not None
        assert (entry.watch.first_action, entry.watch.question) == ("Labo", "Pansement ?")
        assert entry.handover is not None
        assert (entry.handover.patients, entry.handover.message) == (8, "Le labo appelle à 18 h")

    def test_no_doctor_in_post_names_the_referent(self) -> None:
        entry = line(stint(0, 1))
        directory = Directory([centre(), entry])
        assert directory.without_doctor(CENTRE, START) is None
        assert directory.without_doctor(CENTRE, entry.ends_at) == REFERENT
        assert directory.without_doctor(UUID(int=1), START) is None


class TestACentre:
    def changed(self) -> CentreEntry:
        stream = Stream(event_class=CENTRE_CLASS)
        stream.id = CENTRE
        other = NamedPerson(name="Dr S", phone="+33 5 99 00 00 02")
        stream.add(
            CentreOpened(
                name="A", finess="990000010", referent=REFERENT, on_call_chain=(REFERENT, other)
            )
        )
        stream.add(SiteAdded(name="EHPAD", kind="ehpad"))
        stream.add(
            PolicyChanged(
                opening=(OpeningSlot(weekday=1, opens="08:30", closes="12:30"),),
                expected_sources=(ExpectedSource(system="Labo", within_hours=48),),
            )
        )
        office = NamedPerson(name="Mme N", phone="+33 5 99 00 00 03", person=UUID(int=55))
        stream.add(
            RosterChanged(referent=other, on_call_chain=(other, REFERENT), coordinators=(office,))
        )
        stream.add(ClosureRecorded(first_day="2026-11-23", last_day="2026-11-23", reason="Travaux"))
        stream.add(GapRecorded(first_day="2026-12-28", last_day="2027-01-03", reason="Personne"))
        entry = folded(stream)
        assert isinstance(entry, CentreEntry)
        return entry

    def test_is_its_people_places_and_hours_as_last_told(self) -> None:
        entry = self.changed()
        assert [site.name for site in entry.sites] == ["EHPAD"]
        assert entry.referent.name == "Dr S"
        assert [each.name for each in entry.coordinators] == ["Mme N"]
        assert [each.system for each in entry.expected_sources] == ["Labo"]

    def test_is_open_in_civil_time_of_its_zone(self) -> None:
        entry = self.changed()
        assert entry.open_at(datetime(2026, 11, 16, 7, 30, tzinfo=UTC)) is True
        assert entry.open_at(datetime(2026, 11, 16, 7, 29, tzinfo=UTC)) is False
        assert entry.open_at(datetime(2026, 11, 23, 9, tzinfo=UTC)) is False

    def test_says_why_nobody_is_planned(self) -> None:
        entry = self.changed()
        gap = entry.gap_at(datetime(2026, 12, 27, 23, 30, tzinfo=UTC))
        assert gap is not None
        assert gap.reason == "Personne"
        assert entry.gap_at(datetime(2027, 1, 3, 23, 30, tzinfo=UTC)) is None


class TestAPerson:
    def stream(self) -> Stream:
        stream = Stream(7, event_class=PRACTITIONER)
        stream.add(PractitionerOnboarded(name="Exemple", given="Alix"))
        return stream

    def entry(self, stream: Stream) -> PractitionerEntry:
        entry = folded(stream)
        assert isinstance(entry, PractitionerEntry)
        return entry

    def test_is_suspended_until_verified_again(self) -> None:
        stream = self.stream()
        stream.add(PractitionerSuspended())
        assert self.entry(stream).suspended
        stream.add(PractitionerVerified(proof="Annuaire Santé", rpps="10000000009"))
        entry = self.entry(stream)
        assert not entry.suspended
        assert (entry.proof, entry.rpps) == ("Annuaire Santé", "10000000009")
        assert entry.verified_at is not None

    def test_holds_a_role_until_its_last_day_or_its_end(self) -> None:
        stream = self.stream()
        stream.add(RoleGranted(role="nurse", centre=CENTRE, until="2026-11-30"))
        held = Directory([centre(), self.entry(stream)])
        last, after = (
            datetime(2026, 11, 30, 22, 59, tzinfo=UTC),
            datetime(2026, 11, 30, 23, tzinfo=UTC),
        )
        assert held.standing_at(stream.id, "nurse", last) == {CENTRE}
        assert held.standing_at(stream.id, "nurse", after, {CENTRE}) == frozenset()
        assert held.standing_at(stream.id, "coordinator", last) == frozenset()
        stream.add(RoleRevoked(role="nurse", centre=CENTRE))
        gone = Directory([centre(), self.entry(stream)])
        assert gone.standing_at(stream.id, "nurse", last, {CENTRE}) == frozenset()
        stream.add(RoleGranted(role="nurse", centre=CENTRE))
        again = Directory([centre(), self.entry(stream)])
        assert again.standing_at(stream.id, "nurse", after) == {CENTRE}
        assert again.centres_of_practitioner(stream.id) == {CENTRE}

    def test_whoever_the_directory_does_not_know_is_vouched_for_by_the_sign_in(self) -> None:
        directory = Directory([centre()])
        assert directory.standing_at(UUID(int=9), "auditor", START, {CENTRE}) == {CENTRE}
        assert directory.centres_of_practitioner(UUID(int=9)) == frozenset()


def test_the_last_release_activated_is_in_force() -> None:
    stream = Stream(9, event_class=ADMINISTRATION)
    for release in ("2026-11", "2026-11-2"):
        stream.add(
            RulesReleaseActivated(
                release=release, sha256="ab" * 32, signer="k", reviewed_by="Non relu."
            )
        )
    entry = folded(stream)
    assert isinstance(entry, RulesEntry)
    assert entry.release == "2026-11-2"
    assert Directory([entry]).rules == entry
    assert Directory([]).rules is None


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
    cases: list[tuple[Severity, str | None]] = [
        ("stable", "2026-11-10"), ("unstable", "2026-11-13"), ("stable", None),
        ("stable", "2026-11-20"), ("watcher", "2026-11-19"),
    ]  # fmt: skip
    for number, (level, due) in enumerate(cases, 1):
        stream = Stream(number)
        stream.add(Registered(birth_name=f"P{number}"))
        stream.add(IllnessSeveritySet(severity=level, reason="x"))
        stream.add(ItemOpened(kind="call", text="a", due=due, no_deadline=due is None))
        summary = fold_all(None, stream.events, stream.id)
        rows += [(item, summary) for item in summary.open_items]
    lines = board(rows, now, directory)
    assert [each.name for each in lines] == ["P2", "P1", "P5", "P4", "P3"]
    assert [each.overdue_days for each in lines] == [4, 7, 0, 0, 0]
    assert {each.owner for each in lines} == {"Dr 1"}


def test_at_equal_lateness_what_harms_if_late_comes_first() -> None:
    rows = []
    for number, (harms, due) in enumerate(
        [(False, "2026-11-10"), (True, "2026-11-10"), (False, "2026-11-27"), (True, "2026-11-27")],
        1,
    ):
        stream = Stream(number)
        stream.add(Registered(birth_name=f"P{number}"))
        stream.add(ItemOpened(kind="call", text="a", due=due, harm_if_late=harms))
        summary = fold_all(None, stream.events, stream.id)
        rows += [(item, summary) for item in summary.open_items]
    directory = Directory([centre(), line(stint(0, 1))])
    lines = board(rows, datetime(2026, 11, 17, 12, tzinfo=UTC), directory)
    assert [each.name for each in lines] == ["P2", "P1", "P4", "P3"]
