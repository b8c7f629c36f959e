"""``bench append`` and ``bench command``: writers in processes of their own, taking turns.

Ours seals and appends (and for ``command`` loads, folds and decides first). Baselines write the
same sizes with the same durability: a plain prepared INSERT into a table with the same partitions,
indexes and storage, and the library's stock PostgreSQL recorder with its documented settings.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import msgspec
import psycopg
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from eventsourcing.persistence import StoredEvent
from eventsourcing.postgres import (
    PostgresApplicationRecorder,
    PostgresDatastore,
    PostgresRecorder,
    PostgresTrackingRecorder,
)
from psycopg_pool import ConnectionPool

from releve.api.bench.measure import Case, Report, Run, measure, temporary_directory
from releve.api.services import DerivedIds, open_services
from releve.api.settings import Settings
from releve.domain.aggregates import CODEC
from releve.domain.aggregates.patient.encounters import NoteSigned
from releve.domain.aggregates.patient.identity import Registered
from releve.domain.commands import SignNote
from releve.domain.continuity import Continuity
from releve.domain.events import PATIENT, Author, Envelope, Event
from releve.domain.requests import CommandContext
from releve.security.keys.data_keys import DataKeys
from releve.security.keys.keyfile import KeyFiles
from releve.security.ledger.store import LedgerFactory

WRITERS = (1, 4, 16)
HISTORY = 25
NOTE = "Suivi de la tension et du traitement, rien de nouveau depuis la dernière visite. " * 22
PLAIN = "plain INSERT"
STOCK = "stock recorder"
LIBRARY = "library get and save"
_AUTHOR = Author(role="referent", name="Dr Banc d'essai", person=UUID(int=7))

_BASELINE_TABLE = """
CREATE TABLE bench.event (LIKE ledger.event INCLUDING ALL) PARTITION BY HASH (stream);
DO $$ BEGIN FOR n IN 0..15 LOOP
  EXECUTE format('CREATE TABLE bench.event_%s PARTITION OF bench.event '
                 'FOR VALUES WITH (MODULUS 16, REMAINDER %s)', n, n);
  EXECUTE format('ALTER TABLE bench.event_%s ALTER COLUMN body SET STORAGE EXTERNAL', n);
END LOOP; END $$;
"""


@dataclass(frozen=True)
class Place:
    """Where the writers of one benchmark write."""

    service_url: str
    owner_url: str
    keys: Path
    centre: UUID


Step = Callable[[], None]
"""One durable transaction."""


def note_event(stream: UUID, version: int, centre: UUID, plan: str = NOTE) -> Event:
    """A signed note; of about 2 KB where nothing shorter is given."""
    return Event(
        originator_id=stream,
        originator_version=version,
        event_id=uuid4(),
        event_class=PATIENT,
        recorded_at=datetime.now(UTC),
        envelope=Envelope(occurred_at="2026-11-23", author=_AUTHOR, centre=centre),
        payload=NoteSigned(one_liner="Banc d'essai", plan=plan),
    )


def _factory(place: Place) -> LedgerFactory:
    pool: ConnectionPool[Any] = ConnectionPool(
        place.service_url, min_size=1, max_size=1, kwargs={"autocommit": True}, open=True
    )
    return LedgerFactory(pool, DataKeys(pool, KeyFiles(place.keys)), CODEC)


def _ours_append(place: Place) -> Step:
    store = _factory(place).event_store()
    stream = uuid4()
    version = 0

    def step() -> None:
        nonlocal version
        version += 1
        store.put([note_event(stream, version, place.centre)])

    return step


def _plain_append(place: Place) -> Step:
    connection = psycopg.connect(place.owner_url, autocommit=True)
    cursor = psycopg.RawCursor(connection)
    stream = uuid4()
    body = os.urandom(2_000)
    version = 0

    def step() -> None:
        nonlocal version
        version += 1
        cursor.execute(
            "INSERT INTO bench.event (stream, version, topic, header, body, event_id) "
            "VALUES ($1, $2, $3, $4, $5, $6)",
            (stream, version, "patient", os.urandom(172), body, uuid4()),
            prepare=True,
        )

    return step


def _datastore(url: str) -> PostgresDatastore:
    given = psycopg.conninfo.conninfo_to_dict(url)
    return PostgresDatastore(
        dbname=str(given["dbname"]),
        host=str(given["host"]),
        port=str(given["port"]),
        user=str(given["user"]),
        password=str(given["password"]),
        pool_size=1,
        max_overflow=1,
        schema="bench",
    )


def _stock_append(place: Place) -> Step:
    recorder = PostgresApplicationRecorder(
        _datastore(place.owner_url), events_table_name="stock_events"
    )
    stream = uuid4()
    state = os.urandom(2_100)
    version = 0

    def step() -> None:
        nonlocal version
        version += 1
        recorder.insert_events([StoredEvent(stream, version, "patient.note-signed", state)])

    return step


def _ours_command(place: Place) -> Step:
    factory = _factory(place)
    continuity = Continuity(factory, DerivedIds())
    store = factory.event_store()
    streams: list[UUID] = []

    def step() -> None:
        if not streams:
            fresh = [uuid4() for _ in range(40)]
            store.put_many([history(stream, place.centre, HISTORY) for stream in fresh])
            streams.extend(fresh)
        context = CommandContext(
            author=_AUTHOR,
            now=datetime.now(UTC),
            key=os.urandom(32),
            actor=b"bench",
            centre=place.centre,
        )
        note = SignNote(one_liner="Banc d'essai", plan=NOTE)
        continuity.execute(note, context, target=streams.pop())

    return step


def history(stream: UUID, centre: UUID, length: int) -> list[Event]:
    """A registered patient with notes of 2 KB, ``length`` events in all."""
    first = note_event(stream, 1, centre)
    registered = msgspec.structs.replace(
        first, payload=Registered(birth_name="EXEMPLE", first_names=("Jeanne",))
    )
    return [registered, *(note_event(stream, n, centre) for n in range(2, length + 1))]


class Record(Aggregate):
    """The library's own aggregate, with as much in each event."""

    @event("Opened")
    def __init__(self, name: str) -> None:
        self.name = name
        self.notes: list[str] = []

    @event("NoteSigned")
    def sign_note(self, one_liner: str, plan: str) -> None:
        """Keep one more note."""
        self.notes.append(one_liner + plan)


class Records(Application[UUID]):
    """Keeps :class:`Record` as the library does, in tables named ``library_*``."""

    name = "library"


def library_environment(url: str, connections: int = 1) -> dict[str, str]:
    """The library's documented settings for a database whose tables exist already.

    ``connections`` are kept open, so that none is opened while the clock runs.
    """
    given = psycopg.conninfo.conninfo_to_dict(url)
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": str(given["dbname"]),
        "POSTGRES_HOST": str(given["host"]),
        "POSTGRES_PORT": str(given["port"]),
        "POSTGRES_USER": str(given["user"]),
        "POSTGRES_PASSWORD": str(given["password"]),
        "POSTGRES_SCHEMA": "bench",
        "POSTGRES_POOL_SIZE": str(connections),
        "CREATE_TABLE": "n",
    }


def _library_command(place: Place) -> Step:
    application = Records(library_environment(place.owner_url))
    streams: list[UUID] = []

    def step() -> None:
        if not streams:
            for _ in range(40):
                record = Record(name="EXEMPLE")
                for _ in range(HISTORY - 1):
                    record.sign_note("Banc d'essai", NOTE)
                application.save(record)
                streams.append(record.id)
        record = application.repository.get(streams.pop())
        record.sign_note("Banc d'essai", NOTE)
        application.save(record)

    return step


_STEPS: dict[str, Callable[[Place], Step]] = {
    "ours append": _ours_append,
    PLAIN: _plain_append,
    STOCK: _stock_append,
    "ours command": _ours_command,
    LIBRARY: _library_command,
}
_UNTIMED_EVERY = 40
"""Command steps make their histories in batches of this many, outside the clock."""


def _writer(pipe: Connection) -> None:
    steps: dict[str, Step] = {}
    while (task := pipe.recv()) is not None:
        name, place, seconds = task
        if name not in steps:
            steps[name] = _STEPS[name](place)
            steps[name]()
        pipe.send("ready")
        pipe.recv()
        done, spent = 0, 0.0
        prepares = "command" in name or name == LIBRARY
        while spent < seconds:
            if prepares and done and done % _UNTIMED_EVERY == _UNTIMED_EVERY - 1:
                steps[name]()  # uses the last history and makes no new one
                steps[name]()  # makes the next batch: not counted
                done += 2
                continue
            began = time.perf_counter()
            steps[name]()
            spent += time.perf_counter() - began
            done += 1
        pipe.send((done, spent))


@contextmanager
def writers(count: int) -> Iterator[Callable[[str, Place, int, float], float]]:
    """Processes that write when told; gives ``run(what, where, how many, seconds) -> rate``."""
    forked = multiprocessing.get_context("fork")
    pipes: list[Connection] = []
    processes = []
    for _ in range(count):
        ours, theirs = forked.Pipe()
        process = forked.Process(target=_writer, args=(theirs,), daemon=True)
        process.start()
        pipes.append(ours)
        processes.append(process)

    def run(name: str, place: Place, chosen: int, seconds: float) -> float:
        active = pipes[:chosen]
        for pipe in active:
            pipe.send((name, place, seconds))
        for pipe in active:
            pipe.recv()
        for pipe in active:
            pipe.send("go")
        found = [pipe.recv() for pipe in active]
        return float(sum(done / spent for done, spent in found if spent))

    try:
        yield run
    finally:
        for pipe in pipes:
            pipe.send(None)
        for process in processes:
            process.join(timeout=10)


def _prepared(place: Place) -> None:
    create_library_tables(place.owner_url, "stock_events", "library_events")
    with psycopg.connect(place.owner_url, autocommit=True) as connection:
        connection.execute(_BASELINE_TABLE)


def create_library_tables(url: str, *names: str) -> None:
    """Make the library's tables of these names (``..._events``, ``..._tracking``), as owner."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA IF NOT EXISTS bench")
    with _datastore(url) as datastore:
        for name in names:
            recorder: PostgresRecorder = (
                PostgresTrackingRecorder(datastore, tracking_table_name=name)
                if name.endswith("_tracking")
                else PostgresApplicationRecorder(datastore, events_table_name=name)
            )
            recorder.create_table()


def _bench(name: str, quick: bool, cases: Callable[[int, Callable[[str], Run]], Case]) -> Report:
    rounds, slices, seconds = (1, 1, 0.4) if quick else (5, 5, 0.3)
    with (
        writers(max(WRITERS)) as run,
        temporary_directory() as directory,
        open_services(Settings(state_dir=directory / "state")) as services,
    ):
        place = Place(
            services.database.service_url,
            services.database.owner_url,
            services.database.state.keys,
            uuid4(),
        )
        _prepared(place)

        def runs(count: int) -> Callable[[str], Run]:
            return lambda what: lambda: run(what, place, count, seconds)

        built = {f"w{count}": cases(count, runs(count)) for count in WRITERS}
        return measure(
            name,
            "transactions/s",
            "higher",
            built,
            rounds=rounds,
            slices=slices,
            settings={
                "server": server_version(services.database.owner_url),
                "synchronous_commit": "on",
                "event_bytes": len(NOTE),
                "seconds_per_round": round(seconds * slices, 3),
                "stock": "POSTGRES_ENABLE_DB_FUNCTIONS off: with it the library loses events",
            },
        )


def server_version(url: str) -> str:
    """The version that the server gives itself."""
    with psycopg.connect(url) as connection:
        row = connection.execute("SHOW server_version").fetchone()
    return str(row[0]) if row else "?"


def bench_append(*, quick: bool) -> Report:
    """Seal and append one decided 2 KB event a transaction."""
    floor = {1: 0.65, 4: 0.65, 16: 0.5}

    def cases(count: int, run: Callable[[str], Run]) -> Case:
        ratio = {PLAIN: floor[count]}
        if count == 16:
            ratio[STOCK] = 4.0
        return Case(run("ours append"), {PLAIN: run(PLAIN), STOCK: run(STOCK)}, ratio)

    return _bench("append", quick, cases)


def bench_command(*, quick: bool) -> Report:
    """Load, fold 25 events, decide, seal, append; the library's own get and save beside it."""

    def cases(count: int, run: Callable[[str], Run]) -> Case:
        ratio = {LIBRARY: 1.5} if count == 16 else {}
        return Case(run("ours command"), {LIBRARY: run(LIBRARY)}, ratio)

    return _bench("command", quick, cases)
