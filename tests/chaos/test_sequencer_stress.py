"""No event is passed over and none is numbered twice, whatever happens around the sequencer."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest
from eventsourcing.persistence import StoredEvent

from releve.api.database import binaries, dump
from releve.api.database.embedded import SUPERUSER, Postmaster
from releve.domain.aggregates import CODEC
from releve.security.keys.data_keys import DataKeys
from releve.security.ledger import merkle
from releve.security.ledger.connection import Pool, binary_cursor, borrowed
from releve.security.ledger.envelope import GENESIS
from releve.security.ledger.reader import LedgerReader
from releve.security.ledger.recorder import _APPEND_ONE
from releve.security.ledger.sequencer import SequenceBehind, Sequencer
from releve.security.ledger.sequencer_loop import SequencerLoop
from releve.security.ledger.store import LedgerEventStore
from support.commands import PATIENCE_S
from support.ledger import CENTRE, Ledger, held_open, note, notes
from support.postgres import Database, Server

pytestmark = pytest.mark.postgres

Place = tuple[UUID, int]


LEAST = 20
"""Events that each writer appends, on the slowest machine too."""


class Writer:
    """Appends to streams of its own, rolling one in five transactions back first."""

    def __init__(self, ledger: Ledger, seed: int) -> None:
        self.store: LedgerEventStore = ledger.factory.event_store()
        self.ledger = ledger
        self.random = random.Random(seed)  # noqa: S311 - a repeatable test
        self.acknowledged: list[Place] = []
        self.rolled_back = 0

    def run(self, until: float) -> None:
        while time.monotonic() < until or len(self.acknowledged) < LEAST:
            stream = uuid4()
            for version in range(1, self.random.randint(2, 6)):
                if version == 1 and self.random.random() < 0.5:
                    self._roll_back(uuid4())
                self.store.put([note(stream, version)])
                self.acknowledged.append((stream, version))

    def _roll_back(self, stream: UUID) -> None:
        key = self.ledger.data_keys.create(stream, 1, CENTRE)
        state = self.ledger.factory.mapper().seal(
            note(stream, 1), data_key=key, generation=1, prev=GENESIS
        )
        recorder = self.ledger.factory.application_recorder()
        parameters = recorder._one(StoredEvent(stream, 1, "patient", state))
        with (
            borrowed(self.ledger.database.service_pool) as connection,
            connection.transaction(force_rollback=True),
        ):
            binary_cursor(connection).execute(_APPEND_ONE, parameters)
            time.sleep(self.random.random() / 500)
        self.rolled_back += 1


class Tail:
    """A reader that follows the log while it is written."""

    def __init__(self, pool: Pool, data_keys: DataKeys) -> None:
        self.reader = LedgerReader(pool, data_keys, CODEC)
        self.seen: list[Place] = []
        self.stop = threading.Event()

    def run(self) -> None:
        while True:
            last_look = self.stop.is_set()
            reads = self.reader.by_position(len(self.seen) - 1, 300)
            for read in reads:
                assert read.position == len(self.seen)
                self.seen.append((read.header.stream, read.header.version))
            if not reads:
                if last_look:
                    return
                time.sleep(0.002)


def assert_each_once(acknowledged: list[Place], seen: list[Place]) -> None:
    """Nothing skipped, nothing doubled, every stream in order."""
    assert Counter(seen) == Counter(acknowledged)
    newest: dict[UUID, int] = {}
    for stream, version in seen:
        assert version == newest.get(stream, 0) + 1
        newest[stream] = version


@contextmanager
def open_elsewhere(url: str, seconds: float) -> Iterator[None]:
    """A writing transaction that stays open for a while, in whatever database ``url`` names."""
    opened = threading.Event()

    def hold() -> None:
        with held_open(url) as connection:
            connection.execute("SELECT pg_current_xact_id()")
            opened.set()
            time.sleep(seconds)
            connection.rollback()

    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(hold)
        assert opened.wait(PATIENCE_S)
        yield
        held.result()


def stress(ledger: Ledger, *, writers: int, seconds: float, held_s: float) -> None:
    database = ledger.database
    sequencers = [Sequencer(database.worker_pool, ledger.cell) for _ in range(2)]
    loops = [SequencerLoop(sequencer, heads_every=None) for sequencer in sequencers]
    tails = [Tail(database.worker_pool, ledger.data_keys) for _ in range(2)]
    working = [Writer(ledger, seed) for seed in range(writers)]
    other = database.server.create(template="template0")
    for loop in loops:
        loop.start()
    until = time.monotonic() + seconds
    with ThreadPoolExecutor(writers + len(tails)) as pool:
        readers = [pool.submit(tail.run) for tail in tails]
        try:
            writing = [pool.submit(writer.run, until) for writer in working]
            time.sleep(seconds / 5)
            with (
                open_elsewhere(other.superuser_url, held_s),
                open_elsewhere(database.owner_url, held_s / 2),
            ):
                pass
            for future in writing:
                future.result()
            while ledger.sequencer.backlog():
                time.sleep(0.01)
        finally:
            for loop in loops:
                loop.stop()
            for tail in tails:
                tail.stop.set()
        for future in readers:
            future.result()
    other.drop()
    acknowledged = [place for writer in working for place in writer.acknowledged]
    rolled_back = sum(writer.rolled_back for writer in working)
    assert len(acknowledged) >= LEAST * writers
    assert rolled_back >= 0.04 * len(acknowledged)
    for tail in tails:
        assert_each_once(acknowledged, tail.seen)
    assert ledger.sequencer.unnumbered() == 0
    head = ledger.reader.head()
    assert head.size == len(acknowledged)
    with database.owner_pool.connection() as connection:
        leaves = [
            row[0]
            for row in connection.execute("SELECT leaf FROM ledger.leaf ORDER BY position")
            if isinstance(row[0], bytes)
        ]
    assert merkle.root(leaves) == head.root


def test_eight_writers_and_a_transaction_held_open(database: Database, tmp_path: Path) -> None:
    stress(Ledger(database, tmp_path / "keys"), writers=8, seconds=4.0, held_s=2.0)


@pytest.mark.long
def test_eight_writers_for_a_minute(database: Database, tmp_path: Path) -> None:
    stress(Ledger(database, tmp_path / "keys"), writers=8, seconds=60.0, held_s=4.0)


@pytest.fixture(scope="module")
def own_server() -> Iterator[Server]:
    """A cluster that tests may stop and change; its transaction numbers only grow, so the tests
    that use it stand in the order of theirs."""
    server = Server(binaries.resolve())
    yield server
    server.close()


def set_next_transaction(server: Server, number: int) -> None:
    """Bring an own cluster close to a change in the number of digits of its transactions."""
    cluster = server.cluster
    server.postmaster.stop()
    (segment,) = (cluster.data / "pg_xact").iterdir()
    with segment.open("r+b") as file:
        file.truncate(256 * 1024)  # the pages that the skipped transactions would have made
    done = cluster.tool("pg_resetwal", "-x", str(number), "-D", str(cluster.data))
    assert done.returncode == 0, done.stderr
    server.postmaster = Postmaster.start(cluster, server.passwords[SUPERUSER])


@pytest.mark.parametrize("far", [False, True], ids=["young-cluster", "old-cluster"])
def test_a_dump_restored_into_another_cluster(
    database: Database, own_server: Server, tmp_path: Path, far: bool
) -> None:
    """Old positions stay, the tail without positions comes next, then what is new."""
    if far:  # its transaction numbers are far above those in the dump
        set_next_transaction(own_server, 500_000)
    ledger = Ledger(database, tmp_path / "keys")
    streams = [ledger.new_stream(3) for _ in range(10)]
    ledger.number()
    ledger.sequencer.append_heads()
    for stream in streams[:5]:
        ledger.put(notes(stream, 4, 2))
    ledger.number()
    before = positions(database)
    assert len(before) == 41
    for stream in streams[3:]:
        ledger.put(notes(stream, 4 if stream in streams[5:] else 6, 2))
    ledger.checkpointer.run_once()
    file = tmp_path / "dump.sql"
    with file.open("wb") as out:
        dump.dump(database.owner_url, out, pg_bin=database.server.installation.directory)
    restored = own_server.create(template="template0")
    dump.restore(restored.owner_url, file, pg_bin=own_server.installation.directory)
    after = Ledger(restored, tmp_path / "keys")
    # Written before the sequencer has looked, and while it works through the tail.
    after.put(notes(streams[3], 8, 2))
    assert after.sequencer.run_once(4) == 0  # adopts the cluster
    new = [after.new_stream(2) for _ in range(2)]
    while after.sequencer.backlog():
        if after.sequencer.run_once(4):
            new.append(after.new_stream(2))
            if len(new) > 6:
                after.sequencer.run_until_idle()
    numbered = positions(restored)
    assert {place: numbered[place] for place in before} == before
    expected = len(before) + 14 + 2 + 2 * len(new)
    assert sorted(numbered.values()) == list(range(expected))
    reads = after.reader.by_position(-1, 1000)
    assert len(reads) == expected
    newest: dict[UUID, int] = {}
    for read in reads:
        assert read.header.version == newest.get(read.header.stream, 0) + 1
        newest[read.header.stream] = read.header.version
    assert after.sequencer.unnumbered() == 0
    assert after.checkpointer.run_once() is not None
    after.new_stream()
    after.sequencer.append_heads()
    assert after.reader.head().size == expected + 2
    restored.drop()


def test_a_change_in_the_number_of_digits(own_server: Server, tmp_path: Path) -> None:
    set_next_transaction(own_server, 999_900)
    database = own_server.create()
    ledger = Ledger(database, tmp_path / "keys")
    ledger.number()  # this cluster is known: what follows is no restored tail
    written: list[Place] = []
    while len(written) < 200:
        stream = uuid4()
        for version in range(1, 5):
            ledger.put([note(stream, version)])
            written.append((stream, version))
    with psycopg.connect(database.owner_url) as connection:
        rows = connection.execute("SELECT tx::text FROM ledger.event").fetchall()
    assert {len(str(row[0])) for row in rows} == {6, 7}
    # Small batches: an order by text would put the seven digits first and pass over the rest.
    while given := ledger.sequencer.run_once(7) or ledger.sequencer.backlog():
        assert given
    seen = [
        (read.header.stream, read.header.version) for read in ledger.reader.by_position(-1, 1000)
    ]
    assert seen == written
    database.drop()


def test_a_sequence_left_behind_stops_numbering(database: Database, tmp_path: Path) -> None:
    """Rows that were copied without their sequence: new rows could take ids below theirs."""
    ledger = Ledger(database, tmp_path / "keys")
    ledger.new_stream(3)
    ledger.number()
    with database.owner_pool.connection() as connection:
        connection.execute("SELECT setval('ledger.event_id_seq', 1)")
        connection.execute("UPDATE ledger.head SET incarnation = 'another'")
    with pytest.raises(SequenceBehind):
        ledger.sequencer.run_once()


def positions(database: Database) -> dict[Place, int]:
    with psycopg.connect(database.owner_url) as connection:
        rows = connection.execute("SELECT stream, version, position FROM ledger.leaf")
        return {(row[0], row[1]): row[2] for row in rows}
