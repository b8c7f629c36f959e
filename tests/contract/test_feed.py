"""The feed on a real ledger and a real PostgreSQL: exactly once, parked, erased, rebuilt."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from releve.domain.aggregates.health_centre import CentreOpened
from releve.domain.aggregates.patient.allergies import AllergyRecorded
from releve.domain.aggregates.patient.encounters import EncounterRecorded, NoteAmended, NoteSigned
from releve.domain.aggregates.patient.identity import Registered
from releve.domain.aggregates.patient.open_items import ItemClosed, ItemOpened
from releve.domain.aggregates.patient.problems import ProblemRecorded
from releve.domain.aggregates.patient.severity import IllnessSeveritySet
from releve.domain.aggregates.stint import StintPlanned, StintStarted
from releve.domain.events import CENTRE as CENTRE_CLASS
from releve.domain.events import STINT as STINT_CLASS
from releve.domain.events import Payload
from releve.domain.values import Concept, NamedPerson
from releve.projections import directory, editions, records, rule_release, timeline
from releve.projections.briefing import build_card, card_bytes, rank
from releve.projections.feed import Feed
from releve.projections.patient_summary import to_bytes
from releve.projections.rebuild import RebuildRunning, _alone
from releve.projections.rule_release import CURRENT, release_bytes
from releve.security.access import AccessEntry, AccessLog, Accessor
from releve.security.errors import KeyDestroyed
from releve.security.signed_release import sign_release
from support.ledger import Ledger
from support.patient_events import CENTRE, MONDAY, Stream
from support.postgres import Database

NOW = datetime(2026, 11, 23, 7, 30, tzinfo=UTC)
REFERENT = NamedPerson(name="Dr Odile Référente", phone="+33 5 99 00 00 01")


class House:
    """A ledger with its feed, and people to write about."""

    def __init__(self, database: Database, keys: Path) -> None:
        self.ledger = Ledger(database, keys, skew=None)
        self.database = database
        self.feed = self.another_feed()
        self.records = records.CentreRecords(database.service_pool, self.ledger.data_keys)
        self.editions = editions.Editions(
            database.service_pool,
            self.ledger.data_keys,
            self.records,
            self.ledger.reader.known_at,
        )
        self.written: dict[UUID, int] = {}
        self.centre = Stream(90_000, event_class=CENTRE_CLASS)
        self.centre.id = CENTRE
        self.stint = Stream(90_001, event_class=STINT_CLASS)

    def another_feed(self) -> Feed:
        return Feed(self.database.worker_pool, self.ledger.reader, self.ledger.data_keys)

    def write(self, stream: Stream, *payloads: Payload, **envelope: object) -> None:
        for payload in payloads:
            stream.add(payload, **envelope)  # type: ignore[arg-type]
        done = self.written.get(stream.id, 0)
        self.ledger.put(stream.events[done:])
        self.written[stream.id] = len(stream.events)

    def found(self) -> None:
        self.write(
            self.centre,
            CentreOpened(
                name="Centre d'Ajonc",
                finess="990000010",
                referent=REFERENT,
                on_call_chain=(REFERENT, NamedPerson(name="Dr B", phone="+33 5 99 00 00 02")),
            ),
        )
        self.write(
            self.stint,
            StintPlanned(
                practitioner=UUID(int=7),
                practitioner_name="Dr Paul Lenoir",
                centre=CENTRE,
                starts_at="2026-11-23T08:00:00+01:00",
                ends_at="2026-11-28T13:00:00+01:00",
            ),
            StintStarted(rpps_verified=True),
        )

    def person(self, number: int, *payloads: Payload) -> Stream:
        stream = Stream(number)
        self.write(
            stream,
            Registered(birth_name=f"FOURNIER{number}", first_names=("Zoé",), birth_date="1950"),
            *payloads,
        )
        return stream

    def number(self) -> int:
        self.ledger.sequencer.run_until_idle()
        return self.ledger.reader.head().size - 1

    def run(self) -> int:
        self.number()
        return self.feed.run_until_idle()

    def rows(self, table: str) -> int:
        with self.database.owner_pool.connection() as connection:
            row = connection.execute(
                f"SELECT count(*) FROM projection.{table}"  # noqa: S608
            ).fetchone()
        assert row is not None
        assert isinstance(row[0], int)
        return row[0]

    def change(self, statement: str, *parameters: object) -> None:
        with self.database.owner_pool.connection() as connection:
            connection.execute(statement, parameters)


@pytest.fixture
def house(database: Database, tmp_path: Path) -> House:
    return House(database, tmp_path / "keys")


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
    def poison(self, house: House, stream: Stream, version: int) -> bytes:
        """Damage one event's body in the database, as an attacker or a bad disk would."""
        with house.database.owner_pool.connection() as connection:
            connection.execute("ALTER TABLE ledger.event DISABLE TRIGGER USER")
            row = connection.execute(
                "SELECT body FROM ledger.event WHERE stream = %s AND version = %s",
                (stream.id, version),
            ).fetchone()
            assert row is not None
            body = row[0]
            assert isinstance(body, bytes)
            bad = body[:-1] + bytes([body[-1] ^ 1])
            connection.execute(
                "UPDATE ledger.event SET body = %s WHERE stream = %s AND version = %s",
                (bad, stream.id, version),
            )
        return body

    def test_one_poisoned_event_parks_its_patient_and_nobody_else(self, house: House) -> None:
        house.found()
        bad = house.person(1, NoteSigned(one_liner="un"), NoteSigned(one_liner="deux"))
        good = house.person(2)
        body = self.poison(house, bad, 2)
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
        house.change(
            "UPDATE ledger.event SET body = %s WHERE stream = %s AND version = 2", body, bad.id
        )
        assert house.feed.retry_parked() == 1
        assert house.feed.parked() == []
        found = records.read_patient(pool, keys, bad.id)
        assert found is not None
        assert found.summary.incomplete is None
        assert len(found.summary.notes) == 2

    def test_a_first_event_that_cannot_be_read_still_has_a_place(self, house: House) -> None:
        house.found()
        bad = house.person(1)
        self.poison(house, bad, 1)
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


def destroy(house: House, stream: Stream) -> None:
    with house.database.worker_pool.connection() as connection:
        connection.execute(
            "UPDATE keys.data_key SET record = NULL, destroyed_at = now() WHERE stream = %s",
            (stream.id,),
        )
    house.ledger.data_keys.forget(stream.id)


def test_an_erased_patient_leaves_every_view_with_the_next_event(house: House) -> None:
    gone = house.person(1, ItemOpened(kind="call", text="Appeler", due="2026-11-20"))
    house.person(2)
    house.write(gone, ProblemRecorded(concept=Concept(text="Asthme")))
    house.number()
    house.feed.run_once(2)
    destroy(house, gone)
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
    assert house.feed.wait_for(last, 5) is True
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
            for word in words:
                row = connection.execute(
                    f"SELECT count(*) FROM {table} t "  # noqa: S608
                    "WHERE position(encode(convert_to(%s, 'UTF8'), 'hex') IN "
                    "encode(convert_to(t::text, 'UTF8'), 'hex')) > 0 "
                    "OR position(encode(convert_to(%s, 'UTF8'), 'hex') IN t::text) > 0",
                    (word, word),
                ).fetchone()
                assert row == (0,), (table, word)


class TestEditions:
    def arranged(self, house: House) -> Stream:
        house.found()
        stream = house.person(
            1,
            NoteSigned(one_liner="Insuffisance cardiaque"),
            IllnessSeveritySet(severity="unstable", reason="dyspnée de repos"),
            ItemOpened(kind="result", text="NFS", due="2026-11-20", harm_if_late=True),
        )
        house.person(2, IllnessSeveritySet(severity="watcher", reason="poids"))
        house.person(3, ProblemRecorded(concept=Concept(text="Asthme")))
        house.person(4)
        house.run()
        return stream

    def issue(self, house: House, now: datetime = NOW) -> editions.Edition:
        place = directory.load(house.database.service_pool, house.ledger.data_keys)
        return house.editions.issue(place, house.stint.id, now)

    def test_are_issued_once_while_nothing_changes(self, house: House) -> None:
        self.arranged(house)
        first = self.issue(house)
        again = self.issue(house, NOW + timedelta(hours=2))
        assert (first.fresh, first.number) == (True, 1)
        assert again.edition == first.edition
        assert again.sha256 == first.sha256
        assert again.manifest == first.manifest
        assert [card["tier"] for card in first.opened() if card] == ["T0", "T2"]
        told = first.to_json()
        assert told["tiers"] == {"T0": 1, "T1": 0, "T2": 1, "T3": 0, "T4": 0, "T5": 2}
        assert told["words"] <= 400
        for name in ("stint", "edition", "position", "issued_at", "rule_release", "sha256",
                     "words", "t5", "rows", "manifest"):  # fmt: skip
            assert name in told
        for name in ("patient", "tier", "severity", "allergies", "one_liner", "actions",
                     "contingencies", "pending", "changes", "as_of"):  # fmt: skip
            assert name in told["rows"][0]

    def test_are_issued_again_when_a_parked_record_is_whole_or_the_day_turns(
        self, house: House
    ) -> None:
        stream = self.arranged(house)
        first = self.issue(house)
        assert self.issue(house, NOW + timedelta(days=1)).edition == first.edition, (
            "another day with the same cards is the same edition"
        )
        body = TestParked().poison(house, stream, 2)
        house.write(stream, ProblemRecorded(concept=Concept(text="Goutte")))
        house.run()
        whole = self.issue(house)
        assert whole.number == 2
        house.feed.rebuild()
        parked = self.issue(house)
        assert parked.number == 3, "a rebuild reads the damaged event again and parks the record"
        house.change(
            "UPDATE ledger.event SET body = %s WHERE stream = %s AND version = 2", body, stream.id
        )
        assert house.feed.retry_parked() == 1
        again = self.issue(house)
        assert again.number == 4
        assert again.sha256 == whole.sha256

    def test_replay_byte_for_byte_after_amendments_and_a_rebuild(self, house: House) -> None:
        stream = self.arranged(house)
        first = self.issue(house)
        house.write(
            stream, NoteAmended(kind="replacement", one_liner="Autre chose"),
            target=stream.events[1].event_id, reason="erreur",
        )  # fmt: skip
        house.run()
        place = directory.load(house.database.service_pool, house.ledger.data_keys)
        assert house.editions.changed_since(first, CENTRE) == 1
        house.feed.rebuild()
        second = house.editions.issue(place, house.stint.id, NOW)
        assert second.number == 2
        assert second.sha256 != first.sha256
        again = house.editions.replay(edition=first.edition)
        assert again is not None
        assert again.cards == first.cards
        assert again.manifest == first.manifest
        assert again.to_text() == first.to_text()
        assert again.to_json() == first.to_json()
        by_position = house.editions.replay(stint=house.stint.id, position=first.position)
        assert by_position is not None
        assert by_position.edition == first.edition
        assert house.editions.replay(edition=uuid4()) is None

    def test_keep_the_rules_that_ranked_them(
        self, house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.arranged(house)
        first = self.issue(house)
        rules = json.loads(release_bytes(CURRENT))
        for path in (Path(rule_release.__file__).parent / "rules").iterdir():
            (tmp_path / path.name).write_bytes(path.read_bytes())
        rules["release"] = "2099-01"
        rules["tiers"][0]["any"].append("watcher")
        content = json.dumps(rules).encode()
        note, vkey = sign_release(bytes(32), "releve-rules", "2099-01", content)
        (tmp_path / "2099-01.json").write_bytes(content)
        (tmp_path / "2099-01.sig").write_text(note, encoding="utf-8")
        monkeypatch.setattr(rule_release, "SIGNER", vkey)
        monkeypatch.setattr(rule_release, "_FOLDER", tmp_path)
        house.editions = editions.Editions(
            house.database.service_pool,
            house.ledger.data_keys,
            house.records,
            house.ledger.reader.known_at,
            release="2099-01",
        )
        second = self.issue(house)
        assert (second.number, second.rule_release) == (2, "2099-01")
        assert second.head["tiers"]["T0"] == 2
        again = house.editions.replay(edition=first.edition)
        assert again is not None
        assert again.rule_release == CURRENT
        assert again.to_text() == first.to_text()
        assert again.sha256 == first.sha256

    def test_cards_are_those_of_the_fold_of_the_ledger_at_their_position(
        self, house: House
    ) -> None:
        stream = self.arranged(house)
        edition = self.issue(house)
        house.write(stream, ProblemRecorded(concept=Concept(text="Goutte")))
        house.run()
        place = directory.load(house.database.service_pool, house.ledger.data_keys)
        view = house.editions.seen_from(place, house.stint.id, edition.issued_at)
        for patient, kept in zip(edition.patients, edition.cards, strict=True):
            then = timeline.replay(house.ledger.reader, patient, position=edition.position)
            (ranked,) = rank([then.summary], view, edition.rules)
            assert card_bytes(build_card(ranked, view, place, edition.rules)) == kept

    def test_leave_a_grey_line_for_an_erased_patient(self, house: House) -> None:
        stream = self.arranged(house)
        first = self.issue(house)
        destroy(house, stream)
        again = house.editions.replay(edition=first.edition)
        assert again is not None
        assert again.cards[0] is None
        assert again.cards[1:] == first.cards[1:]
        assert again.manifest_sha256 == first.manifest_sha256
        assert again.to_json()["rows"][0] == {"patient": str(stream.id), "erased": True}
        assert "Dossier effacé" in again.to_text()


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
        destroy(house, stream)
        with pytest.raises(KeyDestroyed):
            timeline.replay(house.ledger.reader, stream.id)
