"""The log over the ledger: one order, one tree, heads of streams, signed checkpoints."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest

from releve.security.errors import Tampered
from releve.security.ledger import merkle
from releve.security.ledger.checkpointer import Checkpointer
from releve.security.ledger.envelope import EXPORT, HEADS, leaf_hash
from releve.security.ledger.horizon import oldest_writer
from releve.security.ledger.notes import LogSigner, log_origin, verify_note
from releve.security.ledger.sequencer import CHANNEL, Sequencer
from releve.security.ledger.stored_tree import stored_hashes
from support.commands import PATIENCE_S
from support.ledger import Ledger, count, held_open, note, notes, now, unguarded
from support.postgres import Database

pytestmark = pytest.mark.postgres


def leaves_of(connection: psycopg.Connection) -> list[bytes]:
    rows = connection.execute("SELECT leaf FROM ledger.leaf ORDER BY position")
    return [bytes(row[0]) for row in rows]


class TestLog:
    def test_the_head_tiles_and_leaves_are_one_tree(self, ledger: Ledger) -> None:
        sizes = [100, 300, 256, 1, 400]
        for size in sizes:
            ledger.store.put_many([[note(uuid4(), 1)] for _ in range(size)])
            ledger.number()
        total = sum(sizes)
        with psycopg.connect(ledger.database.owner_url) as connection:
            leaves = leaves_of(connection)
            tiles = connection.execute(
                "SELECT idx, hashes FROM ledger.tile ORDER BY idx"
            ).fetchall()
        assert len(leaves) == total
        assert ledger.reader.head().root == merkle.root(leaves)
        assert [row[0] for row in tiles] == list(range(total // 256))
        assert b"".join(bytes(row[1]) for row in tiles) == b"".join(leaves[: total // 256 * 256])
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
        assert ledger.number() == 68_000
        with psycopg.connect(database.owner_url) as connection:
            leaves = leaves_of(connection)
            rows = connection.execute("SELECT idx, hashes FROM ledger.tile WHERE level = 1")
            tiles = rows.fetchall()
        below = [merkle.root(leaves[at : at + 256]) for at in range(0, 65_536, 256)]
        assert tiles == [(0, b"".join(below))]
        for size in (65_535, 65_536, 68_000):
            hashes = stored_hashes(database.worker_pool, size)
            assert merkle.root_at(size, hashes) == merkle.root(leaves[:size])
        assert ledger.reader.head().root == merkle.root(leaves)

    def test_small_batches_give_the_same_order(self, ledger: Ledger) -> None:
        ledger.number()
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
        ledger.number()
        position = ledger.sequencer.append_heads()
        assert position == 6
        ledger.put(notes(streams[0], 2, 1))
        ledger.number()
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
        assert ledger.number() == 1
        assert ledger.reader.head().size == 7

    def test_heads_are_due_when_the_log_grew_and_time_passed(
        self, database: Database, ledger: Ledger
    ) -> None:
        hour = timedelta(hours=1)
        later = Sequencer(database.worker_pool, ledger.cell, clock=lambda: now() + hour)
        assert not ledger.sequencer.heads_due(hour)
        ledger.new_stream()
        ledger.number()
        assert ledger.sequencer.heads_due(hour)
        ledger.sequencer.append_heads()
        assert not later.heads_due(hour)
        ledger.new_stream()
        ledger.number()
        assert not ledger.sequencer.heads_due(hour)
        assert later.heads_due(hour)

    def test_one_of_two_sequencers_works_and_both_see_the_result(
        self, ledger: Ledger, database: Database
    ) -> None:
        ledger.new_stream(5)
        ledger.number()
        ledger.new_stream(5)
        second = Sequencer(database.worker_pool, ledger.cell)
        with held_open(database.worker_url) as holder:
            holder.execute("SELECT size FROM ledger.head FOR UPDATE")
            assert second.run_once() == 0
            holder.rollback()
        assert second.run_until_idle() == 5
        assert ledger.sequencer.run_once() == 0

    def test_listeners_hear_of_the_size(self, ledger: Ledger, database: Database) -> None:
        with psycopg.connect(database.service_url, autocommit=True) as listener:
            listener.execute(f"LISTEN {CHANNEL}")
            ledger.new_stream(2)
            ledger.number()
            heard = next(listener.notifies(timeout=PATIENCE_S))
        assert (heard.channel, heard.payload) == (CHANNEL, "2")

    def test_a_writer_that_stays_open_holds_later_positions_back(
        self, ledger: Ledger, database: Database
    ) -> None:
        ledger.new_stream()
        ledger.number()
        with held_open(database.owner_url) as writer:
            writer.execute("SELECT pg_current_xact_id()")
            ledger.new_stream(2)
            assert ledger.sequencer.run_once() == 0
            assert ledger.sequencer.backlog() == 2
            holder = oldest_writer(database.worker_pool)
            assert holder is not None
            assert holder == (writer.info.backend_pid, writer.info.dbname)
            writer.rollback()
        assert ledger.number() == 2


class OvertakenSigner(LogSigner):
    """The real signer of a process that another one overtakes before it has signed."""

    def __init__(self, ledger: Ledger, meanwhile: Callable[[], object]) -> None:
        signer = ledger.key_files.log_signer(log_origin(ledger.cell))
        self._signer, self._meanwhile = signer, meanwhile

    def sign(self, size: int, root: bytes) -> str:
        self._meanwhile()
        return self._signer.sign(size, root)


class TestCheckpoints:
    def test_the_head_is_signed_once_a_size(self, ledger: Ledger) -> None:
        assert ledger.checkpointer.run_once() is None
        ledger.new_stream(3)
        ledger.number()
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
        ledger.number()
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
            ledger.number()
            ledger.checkpointer.run_once()
        ledger.checkpointer.at(2)
        # Of one hour, at whatever minute they were made.
        unguarded(ledger.database, "UPDATE ledger.checkpoint SET signed_at = '2026-11-23 08:30Z'")
        ledger.checkpointer.thin()
        with ledger.database.owner_pool.connection() as connection:
            rows = connection.execute("SELECT size, cited FROM ledger.checkpoint ORDER BY 1")
            assert rows.fetchall() == [(2, True), (4, False)]
            with pytest.raises(psycopg.Error) as caught, connection.transaction():
                connection.execute("DELETE FROM ledger.checkpoint")
            assert caught.value.sqlstate == "RL001"
            with pytest.raises(psycopg.Error), connection.transaction():
                connection.execute("UPDATE ledger.checkpoint SET note = 'x'")

    def test_what_an_export_cites_stays_though_another_worker_signed_it_meanwhile(
        self, ledger: Ledger
    ) -> None:
        ledger.new_stream()
        ledger.number()
        signer = OvertakenSigner(ledger, ledger.checkpointer.run_once)
        cited = Checkpointer(ledger.database.worker_pool, signer).at(1)
        ledger.new_stream()
        ledger.number()
        ledger.checkpointer.run_once()
        unguarded(ledger.database, "UPDATE ledger.checkpoint SET signed_at = '2026-11-23 08:30Z'")
        ledger.checkpointer.thin()
        with ledger.database.owner_pool.connection() as connection:
            rows = connection.execute("SELECT note FROM ledger.checkpoint WHERE size = 1")
            assert rows.fetchall() == [(cited,)]

    def test_nothing_is_signed_over_a_log_that_is_not_the_one_signed_before(
        self, ledger: Ledger, database: Database
    ) -> None:
        ledger.new_stream(3)
        ledger.number()
        ledger.checkpointer.run_once()
        unguarded(database, "UPDATE ledger.leaf SET leaf = sha256('x') WHERE position = 1")
        ledger.new_stream()
        ledger.number()
        signer = ledger.key_files.log_signer(log_origin(ledger.cell))
        with pytest.raises(Tampered):
            type(ledger.checkpointer)(database.worker_pool, signer).run_once()

    def test_a_log_shorter_than_its_checkpoint_is_not_signed(
        self, ledger: Ledger, database: Database
    ) -> None:
        ledger.new_stream(3)
        ledger.number()
        ledger.checkpointer.run_once()
        with database.owner_pool.connection() as connection:
            connection.execute("UPDATE ledger.head SET size = 2")
        with pytest.raises(Tampered):
            ledger.checkpointer.run_once()
