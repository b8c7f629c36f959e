"""What is read from the projections, and a record replayed as it was known."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from releve.domain.aggregates.patient.corrections import EntryMarkedInError
from releve.domain.aggregates.patient.encounters import EncounterRecorded, NoteSigned
from releve.domain.aggregates.patient.identity import Registered
from releve.domain.aggregates.patient.open_items import ItemClosed, ItemOpened
from releve.domain.aggregates.patient.problems import ProblemRecorded
from releve.domain.values import Concept
from releve.projections import directory, records, timeline
from releve.projections.patient_summary import to_bytes
from releve.projections.served_build import ServedBuild
from releve.security.errors import KeyDestroyed
from support.feed_house import NOW, House
from support.patient_events import CENTRE, MONDAY, Stream

pytestmark = pytest.mark.postgres
ELSEWHERE = UUID("7d3f0c52-7c1e-8d0a-9a54-2f6e3c1d0b77")


class TestReadings:
    def test_names_are_found_without_accents_by_their_beginnings_and_birth_date(
        self, house: House
    ) -> None:
        house.found()
        for number, (name, given, born) in enumerate(
            [("Lefèvre", "Zoé", "1950-03-12"), ("LEFEVRE", "Zoe", "1981-01-01"),
             ("Saint-Étienne", "Jean-Noël", "1950-03-12")]
        ):  # fmt: skip
            stream = Stream(number)
            house.write(stream, Registered(birth_name=name, first_names=(given,), birth_date=born))
        house.run()

        def found(words: str) -> list[int]:
            return [each.patient.int & 0xFF for each in house.records.search(CENTRE, words)]

        assert sorted(found("lefev")) == [0, 1]
        assert sorted(found("zoé LEFÈ")) == [0, 1]
        assert found("zoé 12/03/1950") == [0]
        assert found("noel etien") == [2]
        assert found("1950-03-12") == [0, 2]
        assert found("vre") == []
        assert len(found("")) == 3
        assert house.records.search(UUID(int=77), "") == []
        (first, *_) = house.records.search(CENTRE, "12/03/1950 zoe")
        assert [other.patient.int & 0xFF for other in house.records.same_names(CENTRE, first)] == [
            1
        ]

    def test_items_are_counted_and_listed_with_who_answers(self, house: House) -> None:
        house.found()
        late = house.person(1, ItemOpened(kind="result", text="NFS", due="2026-11-20"))
        house.person(2, ItemOpened(kind="call", text="Appeler", no_deadline=True))
        done = house.person(3, ItemOpened(kind="call", text="Appeler", due="2026-11-20"))
        house.write(
            done, ItemClosed(outcome="done", evidence="fait"), target=done.events[1].event_id
        )
        house.run()
        pool, keys = house.database.service_pool, house.ledger.data_keys
        place = directory.load(pool, keys)
        assert records.count_items(pool, keys, place, NOW) == (2, 1, 0)
        lines = records.open_items_of(pool, keys, house.records, place, CENTRE, NOW)
        assert lines[0].patient == late.id
        assert [(line.overdue_days, line.owner) for line in lines] == [
            (3, "Dr Paul Lenoir"), (0, "Dr Paul Lenoir"),
        ]  # fmt: skip
        before = records.count_items(pool, keys, place, NOW - timedelta(days=2))
        assert before.orphans == 0, "with nobody in post the référent answers"


class TestKeptRows:
    """What stays opened in memory is what the database holds, whatever wrote it."""

    def test_a_row_written_added_or_erased_is_noticed(self, house: House) -> None:
        house.found()
        first, second = house.person(1), house.person(2)
        house.run()
        kept = house.records.summaries(CENTRE)[1]
        assert house.records.summaries(CENTRE)[1] is kept, "nothing was written"
        assert house.records.sweep() == 0, "read a moment ago"
        house.write(first, ProblemRecorded(concept=Concept(text="Asthme")))
        house.run()
        read = house.records.summaries(CENTRE)[1]
        assert [line.text for line in read[first.id].slot("problems")] == ["Asthme"]
        assert read[second.id] is kept[second.id], "only what changed is opened again"
        third = house.person(3)
        house.run()
        assert third.id in house.records.summaries(CENTRE)[1]
        house.write(second, ProblemRecorded(concept=Concept(text="Goutte")))
        house.number()
        house.ledger.destroy_key(second.id)
        house.feed.run_until_idle()
        assert second.id not in house.records.summaries(CENTRE)[1]
        house.write(third, ProblemRecorded(concept=Concept(text="Migraine")))
        house.run()
        house.feed.rebuild()
        assert set(house.records.summaries(CENTRE)[1]) == {first.id, third.id}

    def test_another_centres_patient_changes_nothing_here(self, house: House) -> None:
        house.found()
        house.person(1)
        house.run()
        kept = house.records.summaries(CENTRE)[1]
        elsewhere = Stream(9)
        house.write(elsewhere, Registered(birth_name="AILLEURS"), centre=ELSEWHERE)
        house.run()
        assert house.records.summaries(CENTRE)[1] is kept
        assert set(house.records.summaries(ELSEWHERE)[1]) == {elsewhere.id}

    def test_the_directory_is_opened_again_when_one_of_its_rows_was_written(
        self, house: House
    ) -> None:
        cache = directory.DirectoryCache(house.database.service_pool, house.ledger.data_keys)
        assert cache.load().centres == {}
        house.found()
        house.run()
        known = cache.load()
        assert CENTRE in known.centres
        house.person(1)
        house.run()
        assert cache.load() is known, "a patient is not of the directory"

    def test_in_one_picture_what_is_kept_of_the_records_is_as_old_as_the_directory(
        self, house: House
    ) -> None:
        pool, keys = house.database.service_pool, house.ledger.data_keys
        served = ServedBuild(pool)
        cache = directory.DirectoryCache(pool, keys, served)
        rows = records.CentreRecords(pool, keys, served)
        house.found()
        house.person(1)
        house.run()
        at, before = rows.summaries(CENTRE)
        with served.one_picture():
            assert set(cache.load().centres) == {CENTRE}
            house.person(2)
            house.run()
            assert rows.summaries(CENTRE) == (at, before), "no newer than the directory"
        later, after = rows.summaries(CENTRE)
        assert later > at
        assert len(after) == len(before) + 1


class TestReplay:
    def test_as_known_before_and_after_a_late_entry_differ_by_that_entry(
        self, house: House
    ) -> None:
        stream = house.person(1, NoteSigned(one_liner="HTA"))
        stream.add(
            ProblemRecorded(concept=Concept(text="Asthme")),
            at=MONDAY + timedelta(days=3),
            occurred_at="2026-11-16",
        )
        house.write(stream)
        house.number()
        reader = house.ledger.reader
        before = timeline.replay(reader, stream.id, known_at=MONDAY + timedelta(days=2))
        after = timeline.replay(reader, stream.id, known_at=MONDAY + timedelta(days=4))
        told = [entry.to_json() for entry in after.entries]
        assert [e for e in told if e not in [b.to_json() for b in before.entries]] == told[-1:]
        assert told[-1]["late"] is True
        assert before.summary.slot("problems") == []
        happened = timeline.replay(reader, stream.id, at=MONDAY - timedelta(hours=1))
        assert [entry.topic for entry in happened.entries] == ["patient.problem-recorded"]
        stream.add(
            EntryMarkedInError(), at=MONDAY + timedelta(days=5), reason="autre patient",
            target=happened.entries[0].event_id,
        )  # fmt: skip
        house.write(stream)
        house.number()
        now = timeline.replay(reader, stream.id, at=MONDAY - timedelta(hours=1))
        assert [entry.status for entry in now.entries] == ["in-error"]
        assert now.summary.slot("problems") == []
        assert set(after.to_json()) >= {
            "patient", "position", "known_at", "at", "entries", "summary", "open_items",
        }  # fmt: skip
        assert set(told[0]) >= {
            "event_id", "position", "topic", "recorded_at", "occurred_at", "author", "role",
            "text", "status",
        }  # fmt: skip

    def test_equals_the_projected_summary(self, house: House) -> None:
        stream = house.person(1, NoteSigned(one_liner="HTA"), EncounterRecorded(mode="visite"))
        house.run()
        found = records.read_patient(house.database.service_pool, house.ledger.data_keys, stream.id)
        assert found is not None
        again = timeline.replay(house.ledger.reader, stream.id)
        assert to_bytes(again.summary) == to_bytes(found.summary)

    def test_of_an_erased_record_says_so(self, house: House) -> None:
        stream = house.person(1)
        house.number()
        house.ledger.destroy_key(stream.id)
        with pytest.raises(KeyDestroyed):
            timeline.replay(house.ledger.reader, stream.id)
