"""Appends to the ledger on a real PostgreSQL: what one promises, refuses, and may leave unknown."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from eventsourcing.persistence import IntegrityError, StoredEvent
from psycopg.conninfo import make_conninfo
from psycopg_pool import ConnectionPool

from releve.domain.aggregates import CODEC
from releve.security.errors import LedgerDown
from releve.security.ledger.connection import LedgerUnreachable, binary_cursor, borrowed
from releve.security.ledger.envelope import leaf_hash
from releve.security.ledger.recorder import _APPEND_ONE
from releve.security.ledger.store import (
    SKEW,
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
from support.commands import PATIENCE_S, becomes
from support.ledger import Ledger, count, held_open, note, notes, now, unguarded
from support.lossy_proxy import LossyProxy, lossy_pool
from support.postgres import Database, Server

pytestmark = pytest.mark.postgres


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
        assert ledger.number() == 4
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
        unguarded(
            ledger.database,
            "UPDATE ledger.event SET header = set_byte(header, 60, 7) WHERE stream = %s",
            stream,
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

    @pytest.mark.parametrize("side", [1, -1])
    def test_a_clock_that_is_off_is_refused(
        self, database: Database, tmp_path: Path, side: int
    ) -> None:
        # An hour for thirty seconds: what passes between our look at the clock and the
        # database's does not count.
        ledger = Ledger(database, tmp_path / "keys", skew=timedelta(hours=1))
        stream, off = uuid4(), side * timedelta(minutes=66)
        with pytest.raises(ClockRefused):
            ledger.put([note(stream, 1, at=now() + off)])
        with pytest.raises(ClockRefused):
            ledger.put([note(stream, 1), note(stream, 2, at=now() + off)])
        ledger.put([note(stream, 1, at=now() + off * 0.8)])

    @pytest.mark.parametrize("off", [2 * SKEW, -SKEW])
    def test_half_a_minute_is_what_a_clock_may_be_off(self, ledger: Ledger, off: timedelta) -> None:
        assert timedelta(seconds=30) == SKEW
        with pytest.raises(ClockRefused):
            ledger.put([note(uuid4(), 1, at=now() + off)])

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
        barrier = threading.Barrier(12, timeout=PATIENCE_S)

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

    def test_a_taken_claim_is_told_with_the_only_connection(
        self, ledger: Ledger, database: Database
    ) -> None:
        holder = uuid4()
        ledger.store.put([note(holder, 1)], claims=[Claim("ins", b"m")])
        with ConnectionPool(
            database.service_url, min_size=1, max_size=1, timeout=60, open=True
        ) as pool:
            store = LedgerFactory(pool, ledger.data_keys, CODEC).event_store()
            with pytest.raises(ClaimTaken) as caught:
                store.put([note(uuid4(), 1)], claims=[Claim("ins", b"m")])
        assert caught.value.stream == holder

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
        ledger.number()
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
        ledger = Ledger(database, tmp_path / "keys")
        with lossy_pool(database.service_url) as (pool, proxy):
            ledger.factory = LedgerFactory(pool, ledger.data_keys, CODEC)
            ledger.store = ledger.factory.event_store()
            yield ledger, proxy

    def test_a_lost_acknowledgement_is_unknown_and_asked_again_makes_one_record(
        self, lossy: tuple[Ledger, LossyProxy]
    ) -> None:
        ledger, proxy = lossy
        stream = ledger.new_stream()
        event = note(stream, 2)
        proxy.lose_one()
        with pytest.raises(OutcomeUnknown) as caught:
            ledger.put([event])
        assert isinstance(caught.value, LedgerDown)
        assert proxy.lost == 1
        # The same request, sealed anew: the row that stands wins, and holds the same id.
        with pytest.raises(VersionConflict):
            ledger.put([event])
        assert [e.event_id for e in ledger.store.get(stream)][1:] == [event.event_id]

    def test_an_append_cut_before_it_ended_is_unknown_and_can_be_asked_again(
        self, ledger: Ledger, database: Database
    ) -> None:
        stream = ledger.new_stream()
        event = note(stream, 2)
        with held_open(database.owner_url) as blocker, ThreadPoolExecutor(1) as other:
            blocker.execute(
                "INSERT INTO ledger.event (stream, version, topic, header, event_id) "
                "SELECT stream, 2, topic, header, gen_random_uuid() FROM ledger.event "
                "WHERE stream = %s",
                (stream,),
            )
            waiting = other.submit(ledger.put, [event])
            _terminate_waiter(database)
            with pytest.raises(OutcomeUnknown):
                waiting.result(PATIENCE_S)
            blocker.rollback()
        ledger.put([event])
        assert [e.event_id for e in ledger.store.get(stream)][1:] == [event.event_id]

    def test_no_database_is_down_and_not_unknown(self, ledger: Ledger, tmp_path: Path) -> None:
        stream = ledger.new_stream()
        pool: ConnectionPool[psycopg.Connection[tuple[object, ...]]] = ConnectionPool(
            make_conninfo(host=str(tmp_path), user="nobody"),
            open=False,
            timeout=0.2,
            min_size=0,
            max_size=1,
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
        ledger.number()
        with psycopg.connect(database.superuser_url, autocommit=True) as admin:
            admin.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
            admin.execute("SELECT pg_reload_conf()")
            try:
                with ThreadPoolExecutor(1) as other:
                    _until_commits_wait(database, admin)
                    waiting = other.submit(ledger.put, [note(stream, 2)])
                    _cancel_when_waiting_for_standby(admin)
                    with pytest.raises(OutcomeUnknown):
                        waiting.result(PATIENCE_S)
                    # Nor is anything signed that only this server may have.
                    signing = other.submit(ledger.checkpointer.run_once)
                    _cancel_when_waiting_for_standby(admin)
                    assert signing.result(PATIENCE_S) is None
            finally:
                admin.execute("ALTER SYSTEM RESET synchronous_standby_names")
                admin.execute("SELECT pg_reload_conf()")
        assert ledger.checkpointer.latest() is None
        assert ledger.checkpointer.run_once() is not None
        database.drop()


def _terminate_waiter(database: Database) -> None:
    with psycopg.connect(database.superuser_url, autocommit=True) as admin:
        query = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        assert becomes(lambda: admin.execute(query).fetchone() is not None), "nobody waits"


WAITS_FOR_STANDBY = "wait_event = 'SyncRep' AND backend_type = 'client backend'"


def _cancel_when_waiting_for_standby(admin: psycopg.Connection[tuple[object, ...]]) -> None:
    query = f"SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE {WAITS_FOR_STANDBY}"  # noqa: S608 - our own words
    assert becomes(lambda: admin.execute(query.encode()).fetchone() is not None), (
        "nobody waits for a standby"
    )


def _until_commits_wait(database: Database, admin: psycopg.Connection[tuple[object, ...]]) -> None:
    """A server obeys a reloaded setting some time after it was told: commit until one waits."""
    commits_wait = threading.Event()

    def commit() -> None:
        with psycopg.connect(database.owner_url, autocommit=True) as connection:
            connection.add_notice_handler(lambda _: commits_wait.set())  # the wait was cut short
            connection.execute("CREATE TABLE public.probe (n integer)")
            while not commits_wait.is_set():
                connection.execute("INSERT INTO public.probe VALUES (1)")

    with ThreadPoolExecutor(1) as other:
        probing = other.submit(commit)
        _cancel_when_waiting_for_standby(admin)
        probing.result(PATIENCE_S)


@pytest.fixture(scope="module")
def own_server() -> Iterator[Server]:
    """A cluster whose settings a test may change."""
    from releve.api.database import binaries

    server = Server(binaries.resolve())
    yield server
    server.close()
