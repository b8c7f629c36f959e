"""A whole ledger over a test's database: keys, store, sequencer, reader, checkpointer."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg

from releve.domain.aggregates import CODEC
from releve.domain.aggregates.patient.encounters import NoteSigned
from releve.domain.events import PATIENT, Author, Envelope, Event
from releve.security.keys.data_keys import DataKeys
from releve.security.keys.keyfile import KeyFiles
from releve.security.ledger.checkpointer import Checkpointer
from releve.security.ledger.notes import log_origin
from releve.security.ledger.reader import LedgerReader
from releve.security.ledger.sequencer import Sequencer
from releve.security.ledger.store import SKEW, LedgerEventStore, LedgerFactory
from support.commands import PATIENCE_S
from support.postgres import Database

CENTRE = UUID("00000000-0000-4000-8000-00000000000c")
AUTHOR = Author(role="doctor", name="Dr Élise Garnier")


def now() -> datetime:
    return datetime.now(UTC)


def note(
    stream: UUID,
    version: int,
    *,
    text: str = "Toux sèche depuis dix jours.",
    at: datetime | None = None,
    event_id: UUID | None = None,
) -> Event:
    """One signed note on a patient's stream."""
    recorded = at or now()
    return Event(
        originator_id=stream,
        originator_version=version,
        event_id=event_id or uuid4(),
        event_class=PATIENT,
        recorded_at=recorded,
        envelope=Envelope(occurred_at=recorded.isoformat(), author=AUTHOR, centre=CENTRE),
        payload=NoteSigned(one_liner="Toux", subjective=text),
    )


def notes(stream: UUID, first: int, count: int) -> list[Event]:
    return [note(stream, version) for version in range(first, first + count)]


class Ledger:
    """The parts as the composition root would build them."""

    def __init__(self, database: Database, keys: Path, *, skew: timedelta | None = SKEW) -> None:
        self.database = database
        self.key_files = KeyFiles(keys)
        self.data_keys = DataKeys(database.service_pool, self.key_files)
        self.factory = LedgerFactory(database.service_pool, self.data_keys, CODEC, skew=skew)
        self.store: LedgerEventStore = self.factory.event_store()

    @cached_property
    def cell(self) -> UUID:
        with self.database.owner_pool.connection() as connection:
            row = connection.execute("SELECT cell FROM ledger.cell").fetchone()
        assert row is not None
        assert isinstance(row[0], UUID)
        return row[0]

    @cached_property
    def sequencer(self) -> Sequencer:
        return Sequencer(self.database.worker_pool, self.cell)

    @cached_property
    def reader(self) -> LedgerReader:
        return LedgerReader(self.database.worker_pool, self.data_keys, CODEC)

    @cached_property
    def checkpointer(self) -> Checkpointer:
        signer = self.key_files.log_signer(log_origin(self.cell))
        return Checkpointer(self.database.worker_pool, signer)

    def put(self, events: Sequence[Event]) -> None:
        self.store.put(events)

    def number(self) -> int:
        """Number whatever is committed; gives how many positions were given.

        Any open transaction of the cluster holds numbers back, also one of another test or of
        PostgreSQL's own ANALYZE; this waits for its end.
        """
        given = self.sequencer.run_until_idle()
        deadline = time.monotonic() + PATIENCE_S
        while waiting := self.sequencer.backlog():
            assert time.monotonic() < deadline, f"{waiting} events are held back"
            time.sleep(0.005)
            given += self.sequencer.run_once()
        return given

    def destroy_key(self, stream: UUID) -> None:
        """Destroy a stream's key, as an erasure would; what was cached of it here is forgotten."""
        with self.database.worker_pool.connection() as connection:
            connection.execute(
                "UPDATE keys.data_key SET record = NULL, destroyed_at = now() WHERE stream = %s",
                (stream,),
            )
        self.data_keys.forget(stream)

    def new_stream(self, events: int = 1) -> UUID:
        """A new patient's stream with so many notes."""
        stream = uuid4()
        self.put(notes(stream, 1, events))
        return stream


@contextmanager
def held_open(url: str) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    """A connection whose open transaction the server does not end, however slow the machine is."""
    with psycopg.connect(url, options="-c idle_in_transaction_session_timeout=0") as connection:
        yield connection


def count(database: Database, table: str) -> int:
    """How many rows a table of the ledger holds."""
    with database.owner_pool.connection() as connection:
        row = connection.execute(f"SELECT count(*) FROM ledger.{table}").fetchone()  # noqa: S608 - a table's name
    assert row is not None
    return int(str(row[0]))


def unguarded(database: Database, query: str, *parameters: object) -> list[tuple[Any, ...]]:
    """Run something with the triggers off, as whoever owns the machine can; the rows it gives."""
    with psycopg.connect(database.superuser_url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        cursor = connection.execute(query, parameters or None)
        return cursor.fetchall() if cursor.description else []
