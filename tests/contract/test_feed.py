"""The feed on a real ledger and a real PostgreSQL: exactly once, parked, erased, rebuilt."""

from __future__ import annotations

import threading

import pytest

from releve.domain.aggregates.patient.allergies import AllergyRecorded
from releve.domain.aggregates.patient.encounters import EncounterRecorded, NoteSigned
from releve.domain.aggregates.patient.open_items import ItemClosed, ItemOpened
from releve.domain.aggregates.patient.problems import ProblemRecorded
from releve.domain.aggregates.patient.severity import IllnessSeveritySet
from releve.domain.values import Concept
from releve.projections import directory, records
from releve.projections.feed import Feed
from releve.projections.rebuild import RebuildRunning, _alone
from releve.security.access import AccessEntry, AccessLog, Accessor
from support.commands import PATIENCE_S
from support.feed_house import NOW, House, mend, poison
from support.patient_events import CENTRE, MONDAY, Stream

pytestmark = pytest.mark.postgres


def test_a_patient_written_is_a_patient_read(house: House) -> None:
    house.found()
    stream = house.person(1, AllergyRecorded(substance=Concept(text="Pénicilline")))
    last = house.number()
    assert house.feed.lag().events == last + 1
    assert house.feed.run_until_idle() == last + 1
    assert house.feed.position() == last
    assert house.feed.lag()[:2] == (0, last)
    found = records.read_patient(house.database.service_pool, house.ledger.data_keys, stream.id)
    assert found is not None
    assert found.position == last
    assert found.summary.allergy_state == "known"
    assert found.summary.full_name() == "FOURNIER1 Zoé"
    assert records.centres_of_patient(house.database.service_pool, stream.id) == {CENTRE}


def test_batches_of_any_size_give_the_same_rows(house: House) -> None:
    house.found()
    for number in range(6):
        stream = house.person(number, NoteSigned(one_liner="HTA", plan="revoir"))
        house.write(stream, ItemOpened(kind="call", text="Appeler", due="2026-11-20"))
        house.write(stream, IllnessSeveritySet(severity="watcher", reason="poids"))
        if number % 2:
            house.write(
                stream, ItemClosed(outcome="done", evidence="fait"),
                target=stream.events[2].event_id,
            )  # fmt: skip
    house.number()
    for limit in (1, 2, 7, 500):
        house.feed.run_once(limit)
    house.feed.run_until_idle(3)
    assert house.rows("open_item") == 3
    report = house.feed.rebuild(check=True)
    assert report.identical is True
    assert report.events == house.feed.position() + 1


def test_two_feeds_at_once_apply_every_event_once(house: House) -> None:
    people = [house.person(number) for number in range(20)]
    for _ in range(5):
        for stream in people:
            house.write(stream, EncounterRecorded(mode="cabinet", reason="suivi"))
    last = house.number()
    failures: list[BaseException] = []

    def work(feed: Feed) -> None:
        try:
            while feed.position() < last:
                feed.run_once(7)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(house.another_feed(),)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    for stream in people:
        found = records.read_patient(house.database.service_pool, house.ledger.data_keys, stream.id)
        assert found is not None
        assert found.summary.encounter_count == 5


class TestParked:
    def test_one_poisoned_event_parks_its_patient_and_nobody_else(self, house: House) -> None:
        house.found()
        bad = house.person(1, NoteSigned(one_liner="un"), NoteSigned(one_liner="deux"))
        good = house.person(2)
        body = poison(house, bad, 2)
        house.run()
        house.write(bad, ProblemRecorded(concept=Concept(text="Asthme")))
        house.write(good, ProblemRecorded(concept=Concept(text="Asthme")))
        last = house.number()
        house.feed.run_until_idle()
        assert house.feed.position() == last
        (parked,) = house.feed.parked()
        assert (parked.stream, parked.events, parked.error) == (bad.id, 3, "Tampered")
        pool, keys = house.database.service_pool, house.ledger.data_keys
        found = records.read_patient(pool, keys, bad.id)
        assert found is not None
        assert found.summary.incomplete == "dossier incomplet : 3 éléments non lus"
        assert found.summary.full_name() == "FOURNIER1 Zoé"
        other = records.read_patient(pool, keys, good.id)
        assert other is not None
        assert other.summary.incomplete is None
        assert len(other.summary.slot("problems")) == 1

        # It is a row of T0, with the banner on the card.
        place = directory.load(pool, keys)
        edition = house.editions.issue(place, house.stint.id, NOW)
        (card,) = [c for c in edition.opened() if c and c["patient"] == str(bad.id)]
        assert card["tier"] == "T0"
        assert card["incomplete"] == "dossier incomplet : 3 éléments non lus"

        # Rebuilding parks it at the same event; reading it again after a repair frees it.
        assert house.feed.rebuild(check=True).identical is True
        assert house.feed.retry_parked() == 0
        mend(house, bad, 2, body)
        assert house.feed.retry_parked() == 1
        assert house.feed.parked() == []
        found = records.read_patient(pool, keys, bad.id)
        assert found is not None
        assert found.summary.incomplete is None
        assert len(found.summary.notes) == 2

    def test_a_first_event_that_cannot_be_read_still_has_a_place(self, house: House) -> None:
        house.found()
        bad = house.person(1)
        poison(house, bad, 1)
        house.run()
        _, here = house.records.summaries(CENTRE)
        assert here[bad.id].unread == 1
        assert here[bad.id].full_name() == "Identité inconnue"

    def test_a_projected_row_that_was_changed_is_folded_again(self, house: House) -> None:
        stream = house.person(1, NoteSigned(one_liner="HTA"))
        house.run()
        house.change("UPDATE projection.patient SET row = set_byte(row, 40, get_byte(row, 40) # 1)")
        house.write(stream, ProblemRecorded(concept=Concept(text="Asthme")))
        house.run()
        found = records.read_patient(house.database.service_pool, house.ledger.data_keys, stream.id)
        assert found is not None
        assert len(found.summary.notes) == 1
        assert house.feed.rebuild(check=True).identical is True


def test_an_erased_patient_leaves_every_view_with_the_next_event(house: House) -> None:
    gone = house.person(1, ItemOpened(kind="call", text="Appeler", due="2026-11-20"))
    house.person(2)
    house.write(gone, ProblemRecorded(concept=Concept(text="Asthme")))
    house.number()
    house.feed.run_once(2)
    house.ledger.destroy_key(gone.id)
    house.feed.run_until_idle()
    assert [house.rows(t) for t in ("patient", "briefing", "open_item")] == [1, 1, 0]
    assert house.feed.rebuild(check=True).identical is True
    assert set(house.records.summaries(CENTRE)[1]) == {Stream(2).id}


class TestRebuild:
    def test_swaps_while_readers_look_and_writers_write(self, house: House) -> None:
        people = [house.person(number) for number in range(30)]
        house.run()
        pool, keys = house.database.service_pool, house.ledger.data_keys
        stop = threading.Event()
        seen: list[int] = []
        failures: list[BaseException] = []

        def look() -> None:
            try:
                while not stop.is_set():
                    seen.append(len(records.CentreRecords(pool, keys).summaries(CENTRE)[1]))
            except BaseException as error:
                failures.append(error)

        def follow() -> None:
            try:
                feed = house.another_feed()
                while not stop.is_set():
                    feed.run_once()
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=look), threading.Thread(target=follow)]
        for thread in threads:
            thread.start()
        for round_ in range(4):
            for stream in people[:10]:
                house.write(stream, EncounterRecorded(mode="visite", reason=str(round_)))
            house.number()
            house.feed.rebuild()
        stop.set()
        for thread in threads:
            thread.join()
        assert failures == []
        assert set(seen) == {30}
        house.run()
        assert house.feed.rebuild(check=True).identical is True
        found = records.read_patient(pool, keys, people[0].id)
        assert found is not None
        assert found.summary.encounter_count == 4
        assert house.rows("patient") == 30, "the build that was served is gone"

    def test_is_refused_while_another_one_runs(self, house: House) -> None:
        with _alone(house.feed), pytest.raises(RebuildRunning):
            house.another_feed().rebuild()
        house.feed.rebuild()

    def test_notices_a_row_that_differs(self, house: House) -> None:
        house.person(1)
        house.run()
        assert house.feed.rebuild(check=True).identical is True
        house.change("DELETE FROM projection.patient_centre")
        assert house.feed.rebuild("patient", check=True).identical is False
        assert house.feed.rebuild(check=True).identical is True

    def test_refuses_a_name_that_is_none(self, house: House) -> None:
        with pytest.raises(ValueError, match="no such projection"):
            house.feed.rebuild("nothing")


def test_wait_for_answers_when_the_feed_gets_there(house: House) -> None:
    house.person(1)
    last = house.number()
    assert house.feed.wait_for(last, 0.05) is False
    worker = threading.Timer(0.05, house.feed.run_until_idle)
    worker.start()
    assert house.feed.wait_for(last, PATIENCE_S) is True
    worker.join()


def test_access_entries_are_filed_under_whom_they_name(house: House) -> None:
    stream = house.person(1)
    log = AccessLog(house.database.service_pool, house.ledger.data_keys, lambda: MONDAY, skew=None)
    try:
        log.record(
            AccessEntry(
                actor=Accessor("doctor", "Dr X"), action="read", what="page", patients=(stream.id,)
            )
        )
        log.record(AccessEntry(actor=Accessor("doctor", "Dr X"), action="read", what="page"))
    finally:
        log.close()
    house.run()
    pool = house.database.service_pool
    assert len(records.access_positions(pool, stream.id)) == 1
    assert house.feed.rebuild(check=True).identical is True


def test_nothing_readable_stands_in_the_projections(house: House) -> None:
    house.found()
    house.person(1, NoteSigned(one_liner="Dépression sévère"), ItemOpened(
        kind="call", text="Appeler la fille", no_deadline=True))  # fmt: skip
    house.run()
    pool, keys = house.database.service_pool, house.ledger.data_keys
    house.editions.issue(directory.load(pool, keys), house.stint.id, NOW)
    words = ["FOURNIER1", "Dépression", "Appeler", "Lenoir", "Référente", "Ajonc"]
    with house.database.owner_pool.connection() as connection:
        for table in (
            "projection.patient", "projection.briefing", "projection.open_item",
            "projection.directory", "ledger.edition", "ledger.edition_card",
        ):  # fmt: skip
            held = connection.execute(f"SELECT count(*) > 0 FROM {table}").fetchone()  # noqa: S608 - as below
            assert held == (True,), table
            for word in words:
                row = connection.execute(
                    f"SELECT count(*) FROM {table} t "  # noqa: S608 - our own names
                    "WHERE position(encode(convert_to(%s, 'UTF8'), 'hex') IN "
                    "encode(convert_to(t::text, 'UTF8'), 'hex')) > 0 "
                    "OR position(encode(convert_to(%s, 'UTF8'), 'hex') IN t::text) > 0",
                    (word, word),
                ).fetchone()
                assert row == (0,), (table, word)
