"""The composition root: everything the doors use, built once from the settings.

Only this module introduces the domain to the ledger. :func:`open_services` gives a frozen
:class:`Services` for as long as the block runs; the database, its supervisor and the connections
live as long.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg_pool import ConnectionPool

from releve.api.clock import RecordClock
from releve.api.database.connection import Connection, connect_server
from releve.api.database.migration import migrate
from releve.api.database.problems import UsageProblem
from releve.api.database.supervisor import connect_state
from releve.api.demo.personas import alias, source
from releve.api.settings import Settings
from releve.domain.aggregates import CODEC
from releve.domain.continuity import Continuity
from releve.domain.errors import Unavailable
from releve.projections.directory import DirectoryCache
from releve.projections.edition_frame import Intake
from releve.projections.editions import Editions
from releve.projections.feed import Feed
from releve.projections.inbox import InboxRecords
from releve.projections.records import CentreRecords
from releve.projections.results_board import intake_of
from releve.projections.rule_release import in_force, load_rules
from releve.projections.served_build import ServedBuild
from releve.security.access import AccessLog
from releve.security.errors import Denied
from releve.security.identity import DemoIdentity, Identity, Persona, Sessions
from releve.security.keys.data_keys import DataKeys
from releve.security.keys.keyfile import BlindIndex, KeyFiles
from releve.security.ledger.checkpointer import Checkpointer
from releve.security.ledger.envelope import derive_event_id, derive_stream
from releve.security.ledger.notes import LogSigner, log_origin
from releve.security.ledger.reader import LedgerReader
from releve.security.ledger.sequencer import Sequencer
from releve.security.ledger.store import SKEW, LedgerFactory

Pool = ConnectionPool[psycopg.Connection[Any]]

NUMBERED_WITHIN_S = 2.0
"""How long a command waits for positions that another process gives, or holds back."""

STALLED_S = 20.0
"""How long a command waits for another worker that makes no progress."""


class DerivedIds:
    """Event and stream ids as ``docs/formats.md`` §1 derives them."""

    def event_id(self, stream: UUID, actor: bytes, key: bytes, ordinal: int) -> UUID:
        """The id of a command's event; the same request gives the same ids."""
        return derive_event_id(stream, actor, key, ordinal)

    def stream(self, actor: bytes, key: bytes) -> UUID:
        """The pseudonym of a stream that a command creates."""
        return derive_stream(actor, key)


class Poke:
    """Tells whoever listens in this process that something was appended or numbered."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[], None]] = []

    def add(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` at every poke from now on; it must return at once."""
        self._listeners.append(listener)

    def remove(self, listener: Callable[[], None]) -> None:
        """Stop calling ``listener``."""
        with contextlib.suppress(ValueError):
            self._listeners.remove(listener)

    def __call__(self, *_: object) -> None:
        """Call every listener; what is poked with does not matter."""
        for listener in list(self._listeners):
            listener()


@dataclass(frozen=True)
class Services:
    """What a door may use. Frozen; safe to share between threads."""

    settings: Settings
    database: Connection
    cell: UUID
    clock: RecordClock
    pool: Pool
    """Connections of the service role: appends and reads."""
    worker_pool: Pool
    """Connections of the worker role: positions and projections."""
    keys: KeyFiles
    blind_index: BlindIndex
    data_keys: DataKeys
    factory: LedgerFactory
    continuity: Continuity
    reader: LedgerReader
    sequencer: Sequencer
    checkpointer: Checkpointer
    signer: LogSigner
    feed: Feed
    served: ServedBuild
    directory: DirectoryCache
    records: CentreRecords
    inbox: InboxRecords
    editions: Editions
    access: AccessLog
    identity: Identity
    appended: Poke
    """Poked after every append of this process."""
    numbered: Poke
    """Poked when positions were given by this process."""

    @contextlib.contextmanager
    def one_picture(self) -> Iterator[None]:
        """Inside, a reading sees one state of the directory and of each centre's records."""
        with self.served.one_picture(), self.directory.one_picture(), self.records.one_picture():
            yield

    def catch_up(self, told: Callable[[int, int], None] | None = None) -> int:
        """Number and project everything that is committed; gives the log's size.

        Beside a worker that holds a lease this waits for the worker. ``told`` is called with the
        projected and the wanted position as the work goes on.

        Raises:
            Unavailable: whoever holds a lease makes no progress.
        """
        self.sequencer.run_until_idle()
        patience = time.monotonic() + NUMBERED_WITHIN_S
        while self.sequencer.backlog() and time.monotonic() < patience:
            if not self.sequencer.run_once():  # another process is numbering, or is still writing
                time.sleep(0.002)
        size = self.reader.head().size
        last, since = -2, time.monotonic()
        while (stand := self.feed.stand()).position < size - 1 or stand.outdated:
            if told is not None:
                told(stand.position, size - 1)
            if stand.position > last:
                last, since = stand.position, time.monotonic()
            elif time.monotonic() - since > STALLED_S:
                raise Unavailable("projections-stalled")
            if not self.feed.run_once():
                self.feed.wait_for(size - 1, 0.05)
        return size

    def settled(self) -> int:
        """As :meth:`catch_up`, with a checkpoint of the newest head."""
        size = self.catch_up()
        self.checkpointer.run_once()
        return size

    def persona(self, name: str) -> Persona:
        """The demo persona of that name, or of the alias previous, present or next.

        Raises:
            NotAuthenticated: there is none, or this is not the demo profile.
        """
        demo = self.identity.demo
        if demo is None:
            from releve.security.errors import NotAuthenticated

            raise NotAuthenticated("demo personas exist in the demo profile only")
        return demo.persona(alias(self.directory.load(), self.clock(), name))


@contextlib.contextmanager
def open_database(settings: Settings) -> Iterator[Connection]:
    """The embedded database of the state directory, or the one that the settings name."""
    if settings.database_url is None:
        with connect_state(settings.state_dir, settings.pg_bin) as connection:
            yield connection
    else:
        with connect_server(
            settings.state_dir, settings.database_url, settings.pg_bin
        ) as connection:
            yield connection


@contextlib.contextmanager
def open_services(
    settings: Settings, *, host: str = "127.0.0.1", size: int = 8
) -> Iterator[Services]:
    """Build everything for as long as the block runs; the schema is migrated first.

    ``host`` is where the doors will be reached: demo personas exist on loopback only. ``size`` is
    the most connections of the service pool.
    """
    with contextlib.ExitStack() as stack:
        database = stack.enter_context(open_database(settings))
        migrate(database.owner_url)
        cell = cell_of(database.owner_url)
        pool = stack.enter_context(_pool(database.service_url, size))
        worker_pool = stack.enter_context(_pool(database.worker_url, 4))
        yield stack.enter_context(_services(settings, database, cell, pool, worker_pool, host))


@contextlib.contextmanager
def _services(
    settings: Settings,
    database: Connection,
    cell: UUID,
    pool: Pool,
    worker_pool: Pool,
    host: str,
) -> Iterator[Services]:
    demo = settings.env == "demo"
    keys = KeyFiles(database.state.keys, settings.passphrase())
    signer = keys.log_signer(log_origin(cell))
    pin_log_key(database, signer)
    data_keys = DataKeys(pool, keys)
    appended, numbered = Poke(), Poke()
    reader = LedgerReader(pool, data_keys, CODEC)

    def known_time() -> datetime:
        return reader.head().known_time

    clock = RecordClock(start=settings.demo_now, known_time=known_time) if demo else RecordClock()
    factory = LedgerFactory(pool, data_keys, CODEC, skew=None if demo else SKEW, on_append=appended)
    continuity = Continuity(factory, DerivedIds())
    sequencer = Sequencer(worker_pool, cell, clock=clock.for_write, on_positions=numbered)
    served = ServedBuild(pool)
    directory = DirectoryCache(pool, data_keys, served)
    records = CentreRecords(pool, data_keys, served)
    inbox = InboxRecords(pool, data_keys)
    sessions = Sessions(pool)
    chooser = _chooser(settings, host, source(directory.load, clock)) if demo else None
    access = AccessLog(
        pool,
        data_keys,
        clock=clock.for_write,
        skew=None if demo else SKEW,
    )
    try:
        yield Services(
            settings=settings,
            database=database,
            cell=cell,
            clock=clock,
            pool=pool,
            worker_pool=worker_pool,
            keys=keys,
            blind_index=keys.blind_index(),
            data_keys=data_keys,
            factory=factory,
            continuity=continuity,
            reader=reader,
            sequencer=sequencer,
            checkpointer=Checkpointer(worker_pool, signer),
            signer=signer,
            feed=Feed(worker_pool, reader, data_keys),
            served=served,
            directory=directory,
            records=records,
            inbox=inbox,
            editions=Editions(
                pool, data_keys, records, reader.known_at, intake=_intake(directory, inbox, records)
            ),
            access=access,
            identity=Identity(provider=chooser, sessions=sessions, demo=chooser),
            appended=appended,
            numbered=numbered,
        )
    finally:
        access.close()
        continuity.close()


def _intake(
    directory: DirectoryCache, inbox: InboxRecords, records: CentreRecords
) -> Callable[[UUID, datetime], Intake]:
    """What a centre's inbox holds for the head of its briefing."""

    def held(centre: UUID, at: datetime) -> Intake:
        known = directory.load()
        here = known.centre(centre)
        rules = load_rules(in_force(known.rules.release if known.rules else None))
        expected = here.expected_sources if here else ()
        return intake_of(
            inbox.lines(centre), expected, rules, at,
            lambda: records.summaries(centre)[1].values(),
        )  # fmt: skip

    return held


def _chooser(
    settings: Settings, host: str, personas: Callable[[], Iterable[Persona]]
) -> DemoIdentity:
    try:
        return DemoIdentity(personas, environment=settings.env, host=host)
    except Denied:
        raise UsageProblem(
            "demo-off-loopback",
            "Le profil de démonstration ne s'ouvre que sur cette machine.",
            f"L'adresse {host} est joignable d'ailleurs, et chacun y choisirait qui il est.",
            "Relancer avec --host 127.0.0.1.",
        ) from None


def cell_of(owner_url: str) -> UUID:
    """The log's name for ever: chosen at random when the database is first used."""
    with psycopg.connect(owner_url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO ledger.cell (cell) VALUES (%s) ON CONFLICT DO NOTHING", (uuid4(),)
        )
        row = connection.execute("SELECT cell FROM ledger.cell").fetchone()
    if row is None:
        raise RuntimeError("the cell was neither found nor written")
    return UUID(str(row[0]))


def pin_log_key(database: Connection, signer: LogSigner) -> str:
    """Keep the log's verifier key in the state directory, once; later starts compare.

    Raises:
        KeyRefused: the log key is not the one that was pinned.
    """
    from releve.security.errors import KeyRefused

    path = database.state.path / "log.vkey"
    if not path.exists():
        # Whole or not at all, and once: another process may be starting in the same directory.
        written = path.with_name(f"{path.name}.{uuid4().hex}")
        written.write_text(signer.vkey + "\n", encoding="ascii")
        with contextlib.suppress(FileExistsError):
            os.link(written, path)
        written.unlink()
    pinned = path.read_text(encoding="ascii").strip()
    if pinned != signer.vkey:
        raise KeyRefused("the log key is not the one pinned in this state directory")
    return pinned


@contextlib.contextmanager
def _pool(url: str, size: int) -> Iterator[Pool]:
    with ConnectionPool(
        url, min_size=1, max_size=size, kwargs={"autocommit": True}, open=False, timeout=10
    ) as pool:
        yield pool
