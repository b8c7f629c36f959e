"""``bench feed``, ``bench rebuild`` and ``bench fold``: from the log to what people read."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from statistics import median
from typing import Any
from uuid import UUID, uuid4

import msgspec
import psycopg
from eventsourcing.application import Application
from eventsourcing.dispatch import singledispatchmethod
from eventsourcing.persistence import Mapper, StoredEvent, Tracking
from eventsourcing.postgres import PostgresTrackingRecorder
from eventsourcing.projection import Projection, ProjectionRunner

from releve.api.bench.measure import Case, Report, measure, temporary_directory, timed
from releve.api.bench.writers import (
    HISTORY,
    LIBRARY,
    NOTE,
    Record,
    Records,
    create_library_tables,
    history,
    library_environment,
    server_version,
)
from releve.api.demo.generator import Sizes
from releve.api.demo.running import present_monday
from releve.api.demo.seeding import Seeder
from releve.api.services import Services, open_services
from releve.api.settings import Settings
from releve.domain.aggregates import CODEC
from releve.projections.feed import Feed
from releve.projections.projected_rows import TABLES, Batch, write
from releve.security.keys.data_keys import DataKeys
from releve.security.ledger.envelope import Header
from releve.security.ledger.reader import LedgerReader, Read

RUNNER = "ProjectionRunner"
_RUNNER_S = 8.0
"""Seconds that the baseline runs for: the whole log would take it minutes."""
_BASELINE_BUILD = 1_000_000
"""The build that the baseline writes; the feed never gets that far."""

_EMPTY = "TRUNCATE " + ", ".join(f"projection.{table}" for table in (*TABLES, "parked", "revision"))
_FROM_THE_START = "UPDATE projection.feed SET position = -1, epoch = epoch + 1 WHERE name = 'main'"


@contextmanager
def _centre(*, quick: bool) -> Iterator[tuple[Services, dict[str, Any]]]:
    """A demo centre whose events all have positions; nothing is projected yet."""
    sizes = Sizes(patients=200, weeks=4) if quick else Sizes()
    with (
        temporary_directory() as directory,
        open_services(Settings(state_dir=directory / "state")) as services,
    ):
        Seeder(services, sizes, present_monday(services.settings)).run(lambda *_: None)
        services.sequencer.run_until_idle()
        with psycopg.connect(services.database.owner_url, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")
        settings = {
            "server": server_version(services.database.owner_url),
            "synchronous_commit": "on",
            "patients": sizes.patients,
            "weeks": sizes.weeks,
            "events": services.reader.head().size,
        }
        yield services, settings


def _cold(services: Services) -> Feed:
    """A feed that knows no data key yet, as after a start."""
    data_keys = DataKeys(services.pool, services.keys)
    return Feed(
        services.worker_pool, LedgerReader(services.worker_pool, data_keys, CODEC), data_keys
    )


def _emptied(services: Services) -> None:
    with psycopg.connect(services.database.owner_url, autocommit=True) as connection:
        connection.execute(_EMPTY)
        connection.execute(_FROM_THE_START)


# --- feed -----------------------------------------------------------------------------------------


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    """What the library's recorder has no column for, and the event's content."""

    event_id: UUID
    event_class: int
    recorded_at: int
    session: UUID
    content: tuple[str, int, dict[str, Any], dict[str, Any]]


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(_Kept)


class _PlainMapper(Mapper[UUID]):
    """The product's own codec without its encryption: the quickest that the library can read."""

    def __init__(self) -> None:
        """Neither transcoder, compressor nor cipher is used."""

    def to_stored_event(self, domain_event: Any) -> StoredEvent:
        """The event's content as MessagePack."""
        kept = _Kept(
            domain_event.event_id,
            domain_event.event_class,
            int((domain_event.recorded_at - _EPOCH).total_seconds() * 1_000_000),
            domain_event.session,
            CODEC.encode(domain_event),
        )
        return StoredEvent(
            domain_event.originator_id,
            domain_event.originator_version,
            domain_event.topic,
            _ENCODER.encode(kept),
        )

    def to_domain_event(self, stored_event: StoredEvent) -> Any:
        """What the feed's handlers take: a header and the event."""
        kept = _DECODER.decode(stored_event.state)
        position = int(getattr(stored_event, "id", 1)) - 1
        header = Header(
            flags=0,
            event_class=kept.event_class,
            event_id=kept.event_id,
            stream=UUID(str(stored_event.originator_id)),
            version=stored_event.originator_version,
            recorded_at=kept.recorded_at,
            session=kept.session,
            key_generation=1,
            prev=b"",
            commitment=b"",
            body_sha256=b"",
        )
        event = CODEC.decode(*kept.content, header=header, position=position)
        return Read(position, header, event, False)


class _PlainLedger(Application[UUID]):
    """The same events in the library's stock recorder."""

    name = "plain"

    def construct_mapper(self) -> Mapper[UUID]:
        """The plain mapper."""
        return _PlainMapper()


class _View(PostgresTrackingRecorder):
    """The projection tables, written together with the library's tracking record."""

    def keep(self, batch: Batch, tracking: Tracking) -> None:
        """Write one event's rows and its tracking in one transaction."""
        with self.datastore.transaction(commit=True) as cursor:
            self._insert_tracking(cursor, tracking)
            write(cursor.connection, _BASELINE_BUILD, batch)


class _Views(Projection[_View]):
    """Calls the feed's own handlers, one event at a time."""

    name = "views"
    feed: Feed

    @singledispatchmethod
    def process_event(self, domain_event: Any, tracking: Tracking) -> None:
        """Fold, seal and write one event."""
        self.view.keep(self.feed.prepare(_BASELINE_BUILD, [domain_event]), tracking)


def bench_feed(*, quick: bool) -> Report:
    """Catch up into all projections from an empty start, with no data key in memory."""
    with _centre(quick=quick) as (services, settings):
        events = int(settings["events"])
        owner = services.database.owner_url
        environment = library_environment(owner, connections=5)
        create_library_tables(owner, "plain_events", "views_tracking")
        _copy_to_library(services, environment)

        def ours() -> float:
            _emptied(services)
            feed = _cold(services)
            seconds = timed(feed.run_until_idle)
            if feed.position() != events - 1 or feed.parked():
                raise RuntimeError("the feed did not reach the log's end")
            return events / seconds

        def runner() -> float:
            _emptied(services)
            with psycopg.connect(owner, autocommit=True) as connection:
                connection.execute("TRUNCATE bench.views_tracking")
            return _ran(_cold(services), environment, events)

        return measure(
            "feed",
            "events/s",
            "higher",
            {"catch-up": Case(ours, {RUNNER: runner}, {RUNNER: 5.0}, limit=5_000)},
            rounds=1 if quick else 5,
            settings={**settings, "baseline": "same handlers and events, not encrypted"},
        )


def _copy_to_library(services: Services, environment: dict[str, str]) -> None:
    mapper = _PlainMapper()
    application = _PlainLedger(environment)
    after, head = -1, services.reader.head().size
    while after + 1 < head:
        reads = services.reader.by_position(after, 100)
        application.recorder.insert_events([mapper.to_stored_event(read.event) for read in reads])
        after = reads[-1].position
    application.close()


def _ran(feed: Feed, environment: dict[str, str], events: int) -> float:
    """Events a second of the library's runner, over as many as it manages in :data:`_RUNNER_S`.

    It starts where the log does, where records are short: that favours it.
    """

    class Views(_Views):
        name = "views"

    Views.feed = feed
    began = time.perf_counter()
    with ProjectionRunner(
        application_class=_PlainLedger,
        projection_class=Views,
        view_class=_View,
        env=environment,
    ) as runner:
        while not runner.is_interrupted.wait(0.05):
            done = runner.view.max_tracking_id(_PlainLedger.name) or 0
            seconds = time.perf_counter() - began
            if done >= events or seconds >= _RUNNER_S:
                break
        runner.run_forever(timeout=0)
    return done / seconds


# --- rebuild --------------------------------------------------------------------------------------


def bench_rebuild(*, quick: bool) -> Report:
    """Build every projection again beside the served one, stream by stream, and swap."""
    with _centre(quick=quick) as (services, settings):
        services.feed.run_until_idle()
        whole: list[float] = []

        def run() -> float:
            feed = _cold(services)
            began = time.perf_counter()
            report = feed.rebuild()
            whole.append(time.perf_counter() - began)
            return report.events / report.seconds

        report = measure(
            "rebuild",
            "events/s",
            "higher",
            {"all": Case(run, limit=15_000)},
            rounds=1 if quick else 5,
            settings=settings,
        )
        report.detail["seconds with swap and clearing the old build"] = round(median(whole), 3)
        return report


# --- fold -----------------------------------------------------------------------------------------

_FOLDS = {10: 0.5, 1_000: 25.0}
"""Events of a patient, and the budget in milliseconds."""


def bench_fold(*, quick: bool) -> Report:
    """Load one patient through the application service: select, check, open, decode, fold."""
    with (
        temporary_directory() as directory,
        open_services(Settings(state_dir=directory / "state")) as services,
    ):
        owner = services.database.owner_url
        create_library_tables(owner, "library_events")
        application = Records(library_environment(owner))
        store = services.factory.event_store()
        cases = {}
        for length, limit in _FOLDS.items():
            patient = uuid4()
            store.put_many([history(patient, uuid4(), length)])
            record = Record(name="EXEMPLE")
            for n in range(length - 1):
                record.sign_note("Banc d'essai", NOTE)
                if n % 50 == 0:  # the library's pipeline does not end with 2 MB in one save
                    application.save(record)
            application.save(record)
            times = (20 if quick else 200) if length < HISTORY else (3 if quick else 15)
            cases[f"{length} events"] = Case(
                _repeated(services.continuity.patient, patient, times),
                {
                    LIBRARY_GET: _repeated(
                        lambda stream: application.repository.get(stream), record.id, times
                    )
                },
                limit=limit,
            )
        report = measure(
            "fold",
            "ms",
            "lower",
            cases,
            rounds=1 if quick else 5,
            settings={"server": server_version(owner), "event_bytes": len(NOTE)},
        )
        application.close()
        return report


LIBRARY_GET = LIBRARY.replace(" and save", "")


def _repeated(load: Callable[[UUID], Any], stream: UUID, times: int) -> Callable[[], float]:
    def run() -> float:
        return median(timed(lambda: load(stream)) for _ in range(times)) * 1_000

    return run
