"""The ledger on a real PostgreSQL: what an append promises, and what it refuses."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest
from eventsourcing.persistence import IntegrityError, NotSupportedError, StoredEvent
from psycopg_pool import ConnectionPool

from releve.domain.aggregates import CODEC
from releve.domain.errors import Tampered as UnknownTopic
from releve.security.errors import KeyDestroyed, KeyServiceDown, LedgerDown, Tampered
from releve.security.keys.data_keys import DataKeys
from releve.security.keys.keyfile import KeyFiles
from releve.security.ledger import merkle
from releve.security.ledger.connection import LedgerUnreachable, binary_cursor, borrowed
from releve.security.ledger.envelope import EXPORT, HEADS, leaf_hash
from releve.security.ledger.notes import log_origin, verify_note
from releve.security.ledger.reader import LedgerReader
from releve.security.ledger.recorder import _APPEND_ONE
from releve.security.ledger.sequencer import CHANNEL, Sequencer
from releve.security.ledger.store import (
    Attachment,
    ChainBroken,
    Claim,
    ClaimTaken,
    ClockRefused,
    DuplicateEvent,
    LedgerFactory,
    OutcomeUnknown,
    VersionConflict,
)
from releve.security.ledger.stored_tree import stored_hashes
from support.ledger import Ledger, note, notes, now
from support.lossy_proxy import LossyProxy
from support.postgres import Database, Server

pytestmark = pytest.mark.postgres


@pytest.fixture
def ledger(database: Database, tmp_path: Path) -> Ledger:
    return Ledger(database, tmp_path / "keys")


def count(database: Database, table: str) -> int:
    with database.owner_pool.connection() as connection:
        row = connection.execute(f"SELECT count(*) FROM ledger.{table}").fetchone()  # noqa: S608 - a table's name
    assert row is not None
    return int(str(row[0]))


class TestAppend:
    def test_reads_back_what_was_put_in_both_directions(self, ledger: Ledger) -> None:
        stream = uuid4()
        written = notes(stream, 1, 3)
        ledger.put(written[:2])
        ledger.put(written[2:])

        assert list(ledger.store.get(stream)) == written
        assert list(ledger.store.get(stream, desc=True, limit=2)) == written[:0:-1]
        assert list(ledger.store.get(stream, gt=1, lte=2)) == written[1:2]
        assert list(ledger.store.get(uuid4())) == []

    def test_works_on_both_builds(self, each_database: Database, tmp_path: Path) -> None:
        ledger = Ledger(each_database, tmp_path / "keys")
        stream = ledger.new_stream(2)
        ledger.put(notes(stream, 3, 2))
        assert ledger.sequencer.run_until_idle() == 4
        assert [read.position for read in ledger.reader.by_position(-1, 10)] == [0, 1, 2, 3]
        assert ledger.checkpointer.run_once() is not None

    def test_events_are_chained_across_stores_that_remember_nothing(self, ledger: Ledger) -> None:
        stream = ledger.new_stream(2)
        ledger.factory.event_store().put(notes(stream, 3, 1))
        headers = [
            e.state[:172] for e in ledger.factory.application_recorder().select_events(stream)
        ]
        assert headers[0][76:108] == bytes(32)
        assert [header[76:108] for header in headers[1:]] == [leaf_hash(h) for h in headers[:-1]]

    def test_takes_one_stream_with_consecutive_versions(self, ledger: Ledger) -> None:
        stream = uuid4()
        with pytest.raises(ValueError, match="one stream"):
            ledger.put([note(stream, 1), note(uuid4(), 2)])
        with pytest.raises(ValueError, match="consecutive"):
            ledger.put([note(stream, 1), note(stream, 3)])
        assert ledger.store.put([]) == []

    def test_a_taken_version_is_a_conflict(self, ledger: Ledger, database: Database) -> None:
        stream = ledger.new_stream()
        ledger.put([note(stream, 2)])
        with pytest.raises(VersionConflict) as caught:
            ledger.put([note(stream, 2)])
        assert isinstance(caught.value, IntegrityError)
        assert caught.value.cause == "version"
        assert count(database, "event") == 2

    def test_a_missing_predecessor_breaks_the_chain(self, ledger: Ledger) -> None:
        stream = ledger.new_stream()
        with pytest.raises(ChainBroken):
            ledger.put([note(stream, 3)])

    @pytest.mark.parametrize("many", [False, True])
    def test_the_statement_itself_checks_the_predecessor(self, ledger: Ledger, many: bool) -> None:
        """A row that was changed after this process remembered its leaf."""
        stream = ledger.new_stream()
        with ledger.database.owner_pool.connection() as connection:
            connection.execute("ALTER TABLE ledger.event DISABLE TRIGGER append_only")
            connection.execute(
                "UPDATE ledger.event SET header = set_byte(header, 60, 7) WHERE stream = %s",
                (stream,),
            )
        others = [notes(uuid4(), 1, 1)] if many else []
        with pytest.raises(ChainBroken):
            ledger.store.put_many([*others, notes(stream, 2, 1)])
        assert count(ledger.database, "event") == 1

    def test_the_same_event_again_is_a_duplicate(self, ledger: Ledger) -> None:
        stream = uuid4()
        first = note(stream, 1)
        ledger.put([first])
        with pytest.raises(DuplicateEvent):
            ledger.put([note(stream, 2, event_id=first.event_id)])

    @pytest.mark.parametrize("off", [timedelta(seconds=31), timedelta(seconds=-31)])
    def test_a_clock_that_is_off_is_refused(self, ledger: Ledger, off: timedelta) -> None:
        stream = uuid4()
        with pytest.raises(ClockRefused):
            ledger.put([note(stream, 1, at=now() + off)])
        with pytest.raises(ClockRefused):
            ledger.put([note(stream, 1), note(stream, 2, at=now() + off)])
        ledger.put([note(stream, 1, at=now() + off * 0.9)])

    def test_without_a_skew_any_clock_is_taken(self, database: Database, tmp_path: Path) -> None:
        ledger = Ledger(database, tmp_path / "keys", skew=None)
        ledger.put([note(uuid4(), 1, at=now() + timedelta(days=400))])
        assert count(database, "event") == 1

    def test_an_append_is_the_first_write_of_its_transaction(self, ledger: Ledger) -> None:
        stream = ledger.new_stream()
        event = note(stream, 2)
        prev = ledger.factory.application_recorder().select_leaf(stream, 1)
        assert prev is not None
        state = ledger.factory.mapper().seal(
            event, data_key=ledger.data_keys.get(stream), generation=1, prev=prev
        )
        stored = StoredEvent(stream, 2, "patient", state)
        parameters = ledger.factory.application_recorder()._one(stored)
        with borrowed(ledger.database.service_pool) as connection, connection.transaction():
            cursor = binary_cursor(connection)
            cursor.execute("INSERT INTO ledger.claim VALUES ('x', '\\x00', $1)", (stream,))
            cursor.execute(_APPEND_ONE, parameters)
            assert cursor.fetchone() == (True, True, False, 0)

    def test_twelve_writers_on_one_stream_have_one_winner_a_version(self, ledger: Ledger) -> None:
        stream = ledger.new_stream()
        wins: list[int] = []
        barrier = threading.Barrier(12)

        def write(_: int) -> int:
            won = 0
            for version in range(2, 7):
                barrier.wait()
                try:
                    ledger.put([note(stream, version)])
                    won += 1
                    wins.append(version)
                except VersionConflict:
                    pass
            return won

        with ThreadPoolExecutor(12) as pool:
            assert sum(pool.map(write, range(12))) == 5
        assert sorted(wins) == [2, 3, 4, 5, 6]
        assert len(list(ledger.store.get(stream))) == 6


class TestClaimsAndAttachments:
    def test_they_stand_with_their_event(self, ledger: Ledger, database: Database) -> None:
        stream = uuid4()
        event = note(stream, 1)
        ledger.store.put(
            [event],
            claims=[Claim("ins", b"m" * 32)],
            attachments=[Attachment(event.event_id, b"%PDF-1.7 original")],
        )
        assert (count(database, "claim"), count(database, "attachment")) == (1, 1)
        assert ledger.reader.attachment(event.event_id, stream) == b"%PDF-1.7 original"
        with pytest.raises(LookupError):
            ledger.reader.attachment(uuid4(), stream)

    def test_a_taken_claim_writes_nothing_and_names_the_holder(
        self, ledger: Ledger, database: Database
    ) -> None:
        holder, other = uuid4(), uuid4()
        ledger.store.put([note(holder, 1)], claims=[Claim("ins", b"m" * 32)])
        with pytest.raises(ClaimTaken) as caught:
            ledger.store.put(
                [note(other, 1)], claims=[Claim("local", b"l"), Claim("ins", b"m" * 32)]
            )
        assert (caught.value.kind, caught.value.stream) == ("ins", holder)
        assert (count(database, "event"), count(database, "claim")) == (1, 1)

    def test_a_refused_append_claims_nothing(self, ledger: Ledger, database: Database) -> None:
        stream = ledger.new_stream()
        with pytest.raises(ClockRefused):
            ledger.store.put(
                [note(stream, 2, at=now() - timedelta(hours=1))], claims=[Claim("ins", b"m")]
            )
        assert count(database, "claim") == 0

    def test_its_own_claim_again_changes_nothing(self, ledger: Ledger, database: Database) -> None:
        stream = uuid4()
        ledger.store.put([note(stream, 1)], claims=[Claim("ins", b"m")])
        ledger.store.put([note(stream, 2)], claims=[Claim("ins", b"m")])
        assert (count(database, "event"), count(database, "claim")) == (2, 1)


class TestBulk:
    def test_positions_follow_the_order_given_even_when_streams_take_turns(
        self, ledger: Ledger
    ) -> None:
        first, second = uuid4(), uuid4()
        ledger.store.put_many([notes(first, 1, 2), notes(second, 1, 1), notes(first, 3, 2), []])
        ledger.store.put_many([notes(second, 2, 1), notes(first, 5, 1)])
        ledger.sequencer.run_until_idle()
        reads = ledger.reader.by_position(-1, 100)
        assert [(r.header.stream, r.header.version) for r in reads] == [
            (first, 1), (first, 2), (second, 1), (first, 3), (first, 4), (second, 2), (first, 5),
        ]  # fmt: skip
        assert len(list(ledger.store.get(first))) == 5

    def test_a_refused_batch_leaves_the_ones_before(
        self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("releve.security.ledger.store.BATCH_EVENTS", 3)
        stream, kept = ledger.new_stream(2), uuid4()
        with pytest.raises(VersionConflict):
            ledger.store.put_many([notes(kept, 1, 3), notes(uuid4(), 1, 1), notes(stream, 2, 2)])
        assert len(list(ledger.store.get(kept))) == 3
        assert count(ledger.database, "event") == 5

    def test_claims_and_attachments_go_with_their_batch(self, ledger: Ledger) -> None:
        first, second = uuid4(), uuid4()
        event = note(second, 1)
        ledger.store.put_many(
            [notes(first, 1, 1), [event]],
            claims=[(first, Claim("ins", b"a")), (second, Claim("ins", b"b"))],
            attachments=[Attachment(event.event_id, b"x")],
        )
        assert count(ledger.database, "claim") == 2
        assert ledger.reader.attachment(event.event_id, second) == b"x"
        third, fourth = uuid4(), uuid4()
        with pytest.raises(ClaimTaken) as caught:
            ledger.store.put_many(
                [notes(third, 1, 1), notes(fourth, 1, 1)],
                claims=[(third, Claim("ins", b"c")), (fourth, Claim("ins", b"b"))],
            )
        assert caught.value.stream == second


class TestUnknownOutcome:
    """The database did the work, or not, and did not say."""

    @pytest.fixture
    def lossy(self, database: Database, tmp_path: Path) -> Iterator[tuple[Ledger, LossyProxy]]:
        proxy = LossyProxy(database.service_url, tmp_path)
        ledger = Ledger(database, tmp_path / "keys")
        pool: ConnectionPool[psycopg.Connection[tuple[object, ...]]] = ConnectionPool(
            proxy.url, min_size=1, max_size=2, open=True, timeout=5
        )
        ledger.factory = LedgerFactory(pool, ledger.data_keys, CODEC)
        ledger.store = ledger.factory.event_store()
        yield ledger, proxy
        pool.close()
        proxy.close()

    def test_a_lost_acknowledgement_is_unknown_and_asked_again_makes_one_record(
        self, lossy: tuple[Ledger, LossyProxy]
    ) -> None:
        ledger, proxy = lossy
        stream = ledger.new_stream()
        event = note(stream, 2)
        proxy.losing.set()
        with pytest.raises(OutcomeUnknown) as caught:
            ledger.put([event])
        assert isinstance(caught.value, LedgerDown)
        assert proxy.lost == 1
        proxy.losing.clear()
        # The same request, sealed anew: the row that stands wins, and holds the same id.
        with pytest.raises(VersionConflict):
            ledger.put([event])
        assert [e.event_id for e in ledger.store.get(stream)][1:] == [event.event_id]

    def test_an_append_cut_before_it_ended_is_unknown_and_can_be_asked_again(
        self, ledger: Ledger, database: Database
    ) -> None:
        stream = ledger.new_stream()
        event = note(stream, 2)
        with psycopg.connect(database.owner_url) as blocker, ThreadPoolExecutor(1) as other:
            blocker.execute(
                "INSERT INTO ledger.event (stream, version, topic, header, event_id) "
                "SELECT stream, 2, topic, header, gen_random_uuid() FROM ledger.event "
                "WHERE stream = %s",
                (stream,),
            )
            waiting = other.submit(ledger.put, [event])
            _terminate_waiter(database)
            with pytest.raises(OutcomeUnknown):
                waiting.result(10)
            blocker.rollback()
        ledger.put([event])
        assert [e.event_id for e in ledger.store.get(stream)][1:] == [event.event_id]

    def test_no_database_is_down_and_not_unknown(self, ledger: Ledger, tmp_path: Path) -> None:
        stream = ledger.new_stream()
        pool: ConnectionPool[psycopg.Connection[tuple[object, ...]]] = ConnectionPool(
            f"host={tmp_path} user=nobody", open=False, timeout=0.2, min_size=0, max_size=1
        )
        pool.open()
        ledger.factory.application_recorder()._pool = pool
        with pytest.raises(LedgerUnreachable):
            ledger.put([note(stream, 2)])
        pool.close()

    def test_a_commit_the_standby_did_not_confirm_is_unknown(
        self, own_server: Server, tmp_path: Path
    ) -> None:
        database = own_server.create()
        ledger = Ledger(database, tmp_path / "keys")
        stream = ledger.new_stream()
        ledger.sequencer.run_until_idle()
        with psycopg.connect(database.superuser_url, autocommit=True) as admin:
            admin.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
            admin.execute("SELECT pg_reload_conf()")
            try:
                with ThreadPoolExecutor(1) as other:
                    waiting = other.submit(ledger.put, [note(stream, 2)])
                    _cancel_when_waiting_for_standby(admin)
                    with pytest.raises(OutcomeUnknown):
                        waiting.result(10)
                    # Nor is anything signed that only this server may have.
                    signing = other.submit(ledger.checkpointer.run_once)
                    _cancel_when_waiting_for_standby(admin)
                    assert signing.result(10) is None
            finally:
                admin.execute("ALTER SYSTEM RESET synchronous_standby_names")
                admin.execute("SELECT pg_reload_conf()")
        assert ledger.checkpointer.latest() is None
        assert ledger.checkpointer.run_once() is not None
        database.drop()


def _terminate_waiter(database: Database) -> None:
    with psycopg.connect(database.superuser_url, autocommit=True) as admin:
        for _ in range(500):
            if admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND wait_event_type = 'Lock'"
            ).fetchone():
                return
            time.sleep(0.01)
    raise AssertionError("nobody waits")


def _cancel_when_waiting_for_standby(admin: psycopg.Connection[tuple[object, ...]]) -> None:
    for _ in range(500):
        if admin.execute(
            "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        ).fetchone():
            return
        time.sleep(0.01)
    raise AssertionError("nobody waits for a standby")


@pytest.fixture(scope="module")
def own_server() -> Iterator[Server]:
    """A cluster whose settings a test may change."""
    from releve.api.database import binaries

    server = Server(binaries.resolve())
    yield server
    server.close()


class TestLibrary:
    def test_notifications_are_positions_from_one(self, ledger: Ledger) -> None:
        recorder = ledger.factory.application_recorder()
        assert recorder.max_notification_id() is None
        stream = ledger.new_stream(3)
        assert recorder.max_notification_id() is None
        ledger.sequencer.run_until_idle()
        assert recorder.max_notification_id() == 3
        found = recorder.select_notifications(1, 10)
        assert [(n.id, n.originator_id, n.originator_version) for n in found] == [
            (1, stream, 1), (2, stream, 2), (3, stream, 3),
        ]  # fmt: skip
        assert [n.id for n in recorder.select_notifications(1, 1, inclusive_of_start=False)] == [2]
        assert [n.id for n in recorder.select_notifications(None, 10, stop=2)] == [1, 2]
        assert recorder.select_notifications(1, 10, topics=["centre"]) == []

    def test_what_is_not_offered_says_so(self, ledger: Ledger) -> None:
        recorder = ledger.factory.application_recorder()
        for refused in (
            recorder.subscribe,
            ledger.factory.process_recorder,
            ledger.factory.tracking_recorder,
            lambda: ledger.factory.aggregate_recorder("snapshots"),
            lambda: ledger.factory.mapper().to_stored_event(note(uuid4(), 1)),
        ):
            with pytest.raises(NotSupportedError):
                refused()


class TestReading:
    def test_an_erased_stream_is_gone_and_the_others_stand(
        self, ledger: Ledger, database: Database
    ) -> None:
        erased, kept = ledger.new_stream(2), ledger.new_stream(1)
        ledger.sequencer.run_until_idle()
        with database.owner_pool.connection() as connection:
            connection.execute(
                "UPDATE keys.data_key SET record = NULL, destroyed_at = now() WHERE stream = %s",
                (erased,),
            )
        data_keys = DataKeys(database.service_pool, ledger.key_files)
        reader = LedgerReader(database.service_pool, data_keys, CODEC)
        reads = reader.by_position(-1, 10)
        assert [(r.gone, r.event is None) for r in reads] == [(True, True)] * 2 + [(False, False)]
        with pytest.raises(KeyDestroyed):
            reader.stream(erased)
        with pytest.raises(KeyDestroyed):
            LedgerFactory(database.service_pool, data_keys, CODEC).event_store().get(erased)
        assert len(reader.stream(kept)) == 1

    def test_a_key_service_that_is_down_is_not_an_erasure(
        self, ledger: Ledger, database: Database, tmp_path: Path
    ) -> None:
        ledger.new_stream()
        ledger.sequencer.run_until_idle()
        elsewhere = DataKeys(database.service_pool, KeyFiles(tmp_path / "other-keys"))
        with pytest.raises(KeyServiceDown):
            LedgerReader(database.service_pool, elsewhere, CODEC).by_position(-1, 10)

    @pytest.mark.parametrize(
        "change",
        [
            "header = set_byte(header, 30, 255 - get_byte(header, 30))",
            "body = set_byte(body, 100, 255 - get_byte(body, 100))",
            "topic = 'centre'",
        ],
    )
    def test_a_changed_row_is_tampering(
        self, ledger: Ledger, database: Database, change: str
    ) -> None:
        stream = ledger.new_stream(2)
        ledger.sequencer.run_until_idle()
        with database.owner_pool.connection() as connection:
            connection.execute("ALTER TABLE ledger.event DISABLE TRIGGER append_only")
            connection.execute(
                f"UPDATE ledger.event SET {change} WHERE stream = %s AND version = 1",  # noqa: S608 - from above
                (stream,),
            )
        with pytest.raises((Tampered, UnknownTopic)):
            ledger.reader.by_position(-1, 10)
        with pytest.raises((Tampered, UnknownTopic)):
            list(ledger.store.get(stream))

    def test_a_lenient_reading_goes_on_past_a_damaged_event(
        self, ledger: Ledger, database: Database
    ) -> None:
        damaged, whole = ledger.new_stream(2), ledger.new_stream(2)
        ledger.sequencer.run_until_idle()
        with database.owner_pool.connection() as connection:
            connection.execute("ALTER TABLE ledger.event DISABLE TRIGGER append_only")
            connection.execute(
                "UPDATE ledger.event SET body = set_byte(body, 20, 255 - get_byte(body, 20)) "
                "WHERE stream = %s AND version = 1",
                (damaged,),
            )
        reads = ledger.reader.by_position(-1, 10, lenient=True)
        assert [type(r.failure) for r in reads] == [Tampered, type(None), type(None), type(None)]
        found = ledger.reader.streams([whole, damaged, uuid4()], up_to=2)
        assert [len(reads) for reads in found.values()] == [1, 2, 0]
        assert found[damaged][0].failure is not None
        assert [each.event for each in found[whole]] == ledger.reader.stream(whole)[:1]

    def test_a_removed_row_is_noticed(self, ledger: Ledger, database: Database) -> None:
        stream = ledger.new_stream(3)
        ledger.sequencer.run_until_idle()
        with database.owner_pool.connection() as connection:
            connection.execute("ALTER TABLE ledger.event DISABLE TRIGGER append_only")
            connection.execute("DELETE FROM ledger.event WHERE version = 2")
        with pytest.raises(Tampered):
            ledger.reader.by_position(-1, 10)
        assert len(list(ledger.store.get(stream, gt=2))) == 1

    def test_streams_come_with_positions_and_stop_where_asked(self, ledger: Ledger) -> None:
        stream = ledger.new_stream(2)
        ledger.new_stream(1)
        ledger.put(notes(stream, 3, 1))
        ledger.sequencer.run_until_idle()
        ledger.put(notes(stream, 4, 1))
        assert [event.position for event in ledger.reader.stream(stream)] == [0, 1, 3, None]
        assert [event.position for event in ledger.reader.stream(stream, up_to=2)] == [0, 1]
        assert ledger.reader.position_of(stream, 3) == 3
        assert ledger.reader.position_of(stream, 4) is None
        found = ledger.reader.event(3)
        assert found is not None
        assert found.event == ledger.reader.stream(stream)[2]
        assert ledger.reader.event(4) is None

    def test_known_at_is_exact_inside_a_batch(self, database: Database, tmp_path: Path) -> None:
        ledger = Ledger(database, tmp_path / "keys", skew=None)
        start = now()
        minutes = [0, 1, 5, 3, 6, 7]  # one clock was late: 3 after 5

        def put(some: list[int]) -> None:
            ledger.store.put_many(
                [[note(uuid4(), 1, at=start + timedelta(minutes=m))] for m in some]
            )
            ledger.sequencer.run_until_idle()

        put(minutes[:4])
        put(minutes[4:])
        known = [
            ledger.reader.known_at(start + timedelta(minutes=m, seconds=s))
            for m, s in ((0, -1), (0, 0), (4, 0), (5, 0), (6, 0), (6, 59), (7, 0), (90, 0))
        ]
        assert known == [-1, 0, 1, 3, 4, 4, 5, 5]
        assert ledger.reader.head().known_time == start + timedelta(minutes=7)


class TestLog:
    def test_the_head_tiles_and_leaves_are_one_tree(self, ledger: Ledger) -> None:
        sizes = [100, 300, 256, 1, 400]
        for size in sizes:
            ledger.store.put_many([[note(uuid4(), 1)] for _ in range(size)])
            ledger.sequencer.run_until_idle()
        total = sum(sizes)
        with ledger.database.owner_pool.connection() as connection:
            leaves = [
                bytes(row[0])  # type: ignore[call-overload]
                for row in connection.execute(
                    "SELECT leaf FROM ledger.leaf ORDER BY position"
                ).fetchall()
            ]
            tiles = connection.execute(
                "SELECT idx, hashes FROM ledger.tile ORDER BY idx"
            ).fetchall()
        assert len(leaves) == total
        assert ledger.reader.head().root == merkle.root(leaves)
        assert [row[0] for row in tiles] == list(range(total // 256))
        assert b"".join(bytes(row[1]) for row in tiles) == b"".join(leaves[: total // 256 * 256])  # type: ignore[call-overload]
        hashes = stored_hashes(ledger.database.worker_pool, 700)
        assert merkle.root_at(700, hashes) == merkle.root(leaves[:700])

    @pytest.mark.long
    def test_tiles_of_the_second_level(self, ledger: Ledger, database: Database) -> None:
        with database.owner_pool.connection() as connection:
            connection.execute(
                "INSERT INTO ledger.event (stream, version, topic, header, event_id) "
                "SELECT s, v, 'patient', decode('524c453101000001', 'hex') "
                "|| uuid_send(gen_random_uuid()) || uuid_send(s) || int8send(v) "
                "|| decode(repeat('00', 124), 'hex'), gen_random_uuid() "
                "FROM (SELECT gen_random_uuid() AS s FROM generate_series(1, 2000)) AS streams, "
                "generate_series(1, 34) AS v"
            )
        assert ledger.sequencer.run_until_idle() == 68_000
        with database.owner_pool.connection() as connection:
            leaves = [
                bytes(row[0])  # type: ignore[call-overload]
                for row in connection.execute("SELECT leaf FROM ledger.leaf ORDER BY position")
            ]
            rows = connection.execute("SELECT idx, hashes FROM ledger.tile WHERE level = 1")
            tiles = rows.fetchall()
        below = [merkle.root(leaves[at : at + 256]) for at in range(0, 65_536, 256)]
        assert tiles == [(0, b"".join(below))]
        for size in (65_535, 65_536, 68_000):
            hashes = stored_hashes(database.worker_pool, size)
            assert merkle.root_at(size, hashes) == merkle.root(leaves[:size])
        assert ledger.reader.head().root == merkle.root(leaves)

    def test_small_batches_give_the_same_order(self, ledger: Ledger) -> None:
        ledger.sequencer.run_until_idle()
        streams = [uuid4() for _ in range(20)]
        ledger.store.put_many([[note(stream, 1)] for stream in streams])
        given = 0
        while some := ledger.sequencer.run_once(3):
            given += some
        assert given == 20
        reads = ledger.reader.by_position(-1, 100)
        assert [read.header.stream for read in reads] == streams
        assert ledger.sequencer.backlog() == ledger.sequencer.unnumbered() == 0

    def test_heads_cover_each_streams_last_event_below_them(self, ledger: Ledger) -> None:
        streams = [ledger.new_stream(n) for n in (1, 3, 2)]
        position = ledger.sequencer.append_heads()
        assert position == 6
        ledger.put(notes(streams[0], 2, 1))
        assert ledger.sequencer.append_heads() == 8
        reads = ledger.reader.by_position(-1, 100)
        for at in (6, 8):
            assert reads[at].header.event_class == HEADS
            assert reads[at].event is None
            assert not reads[at].gone
            newest = {r.header.stream: r for r in reads[:at]}
            heads = merkle.heads_leaves(
                (stream, r.header.version, leaf_hash(r.header.pack()))
                for stream, r in newest.items()
            )
            assert reads[at].body == (
                at.to_bytes(8, "big") + len(newest).to_bytes(8, "big") + merkle.root(heads)
            )

    def test_an_export_is_named_by_the_two_leaves_below_its_checkpoint(
        self, ledger: Ledger
    ) -> None:
        ledger.new_stream(4)
        size, root, manifest = ledger.sequencer.append_export(
            lambda n, streams: b'{"checkpoint_size":%d,"streams":%d}' % (n, len(streams))
        )
        assert (size, manifest) == (6, b'{"checkpoint_size":6,"streams":2}')
        assert root == ledger.reader.head().root
        export, heads = ledger.reader.by_position(3, 10)
        assert export.header.event_class == EXPORT
        assert export.body == hashlib.sha256(manifest).digest()
        assert heads.header.event_class == HEADS
        assert heads.header.prev == leaf_hash(export.header.pack())
        ledger.new_stream()
        assert ledger.sequencer.run_until_idle() == 1
        assert ledger.reader.head().size == 7

    def test_heads_are_due_when_the_log_grew_and_time_passed(
        self, database: Database, ledger: Ledger
    ) -> None:
        hour = timedelta(hours=1)
        later = Sequencer(database.worker_pool, ledger.cell, clock=lambda: now() + hour)
        assert not ledger.sequencer.heads_due(hour)
        ledger.new_stream()
        ledger.sequencer.run_until_idle()
        assert ledger.sequencer.heads_due(hour)
        ledger.sequencer.append_heads()
        assert not later.heads_due(hour)
        ledger.new_stream()
        ledger.sequencer.run_until_idle()
        assert not ledger.sequencer.heads_due(hour)
        assert later.heads_due(hour)

    def test_one_of_two_sequencers_works_and_both_see_the_result(
        self, ledger: Ledger, database: Database
    ) -> None:
        ledger.new_stream(5)
        ledger.sequencer.run_until_idle()
        ledger.new_stream(5)
        second = Sequencer(database.worker_pool, ledger.cell)
        with psycopg.connect(database.worker_url) as holder:
            holder.execute("SELECT size FROM ledger.head FOR UPDATE")
            assert second.run_once() == 0
            holder.rollback()
        assert second.run_until_idle() == 5
        assert ledger.sequencer.run_once() == 0

    def test_listeners_hear_of_the_size(self, ledger: Ledger, database: Database) -> None:
        with psycopg.connect(database.service_url, autocommit=True) as listener:
            listener.execute(f"LISTEN {CHANNEL}")
            ledger.new_stream(2)
            ledger.sequencer.run_until_idle()
            heard = next(listener.notifies(timeout=5))
        assert (heard.channel, heard.payload) == (CHANNEL, "2")

    def test_a_writer_that_stays_open_holds_later_positions_back(
        self, ledger: Ledger, database: Database
    ) -> None:
        ledger.new_stream()
        ledger.sequencer.run_until_idle()
        with psycopg.connect(database.owner_url) as writer:
            writer.execute("SELECT pg_current_xact_id()")
            ledger.new_stream(2)
            assert ledger.sequencer.run_once() == 0
            assert ledger.sequencer.backlog() == 2
            horizon = ledger.sequencer.horizon()
            assert horizon is not None
            assert horizon.pid == writer.info.backend_pid
            writer.rollback()
        assert ledger.sequencer.run_until_idle() == 2


class TestCheckpoints:
    def test_the_head_is_signed_once_a_size(self, ledger: Ledger) -> None:
        assert ledger.checkpointer.run_once() is None
        ledger.new_stream(3)
        ledger.sequencer.run_until_idle()
        signed = ledger.checkpointer.run_once()
        assert signed is not None
        signer = ledger.key_files.log_signer(log_origin(ledger.cell))
        checkpoint = verify_note(signed, [signer.vkey])
        head = ledger.reader.head()
        assert (checkpoint.size, checkpoint.root) == (head.size, head.root)
        assert ledger.checkpointer.run_once() is None
        assert ledger.checkpointer.latest() == signed

    def test_an_earlier_size_can_be_signed_and_is_kept(self, ledger: Ledger) -> None:
        ledger.store.put_many([[note(uuid4(), 1)] for _ in range(300)])
        ledger.sequencer.run_until_idle()
        roots = {}
        signer = ledger.key_files.log_signer(log_origin(ledger.cell))
        for size in (1, 255, 256, 257, 300):
            checkpoint = verify_note(ledger.checkpointer.at(size), [signer.vkey])
            roots[checkpoint.size] = checkpoint.root
        assert roots[300] == ledger.reader.head().root
        hashes = stored_hashes(ledger.database.worker_pool, 300)
        proof = merkle.consistency_proof(255, 300, hashes)
        assert merkle.verify_consistency(255, 300, roots[255], roots[300], proof)
        with pytest.raises(Tampered):
            ledger.checkpointer.at(301)
        ledger.checkpointer.thin()
        assert count(ledger.database, "checkpoint") == 5

    def test_only_the_newest_of_an_hour_and_the_cited_stay(self, ledger: Ledger) -> None:
        for _ in range(4):
            ledger.new_stream()
            ledger.sequencer.run_until_idle()
            ledger.checkpointer.run_once()
        ledger.checkpointer.at(2)
        ledger.checkpointer.thin()
        with ledger.database.owner_pool.connection() as connection:
            rows = connection.execute("SELECT size, cited FROM ledger.checkpoint ORDER BY 1")
            assert rows.fetchall() == [(2, True), (4, False)]
            with pytest.raises(psycopg.Error) as caught, connection.transaction():
                connection.execute("DELETE FROM ledger.checkpoint")
            assert caught.value.sqlstate == "RL001"
            with pytest.raises(psycopg.Error), connection.transaction():
                connection.execute("UPDATE ledger.checkpoint SET note = 'x'")

    def test_nothing_is_signed_over_a_log_that_is_not_the_one_signed_before(
        self, ledger: Ledger, database: Database
    ) -> None:
        ledger.new_stream(3)
        ledger.sequencer.run_until_idle()
        ledger.checkpointer.run_once()
        with database.owner_pool.connection() as connection:
            connection.execute("ALTER TABLE ledger.leaf DISABLE TRIGGER append_only")
            connection.execute("UPDATE ledger.leaf SET leaf = sha256('x') WHERE position = 1")
        ledger.new_stream()
        ledger.sequencer.run_until_idle()
        signer = ledger.key_files.log_signer(log_origin(ledger.cell))
        with pytest.raises(Tampered):
            type(ledger.checkpointer)(database.worker_pool, signer).run_once()

    def test_a_log_shorter_than_its_checkpoint_is_not_signed(
        self, ledger: Ledger, database: Database
    ) -> None:
        ledger.new_stream(3)
        ledger.sequencer.run_until_idle()
        ledger.checkpointer.run_once()
        with database.owner_pool.connection() as connection:
            connection.execute("UPDATE ledger.head SET size = 2")
        with pytest.raises(Tampered):
            ledger.checkpointer.run_once()


def test_a_codec_refuses_topics_it_does_not_know(ledger: Ledger) -> None:
    stream = uuid4()
    event = note(stream, 1)
    content = ("os:getcwd", 1, *CODEC.encode(event)[2:])
    mapper = ledger.factory.mapper()
    mapper._codec = _Says(content)
    ledger.put([event])
    fresh = LedgerReader(ledger.database.service_pool, ledger.data_keys, CODEC)
    ledger.sequencer.run_until_idle()
    with pytest.raises(UnknownTopic):
        fresh.by_position(-1, 10)


class _Says:
    """A codec of another release, which writes a topic that this one does not know."""

    def __init__(self, content: tuple[str, int, dict[str, object], dict[str, object]]) -> None:
        self._content = content

    def encode(self, event: object) -> tuple[str, int, dict[str, object], dict[str, object]]:
        return self._content

    def decode(self, *_: object, **__: object) -> UUID:
        raise NotImplementedError
