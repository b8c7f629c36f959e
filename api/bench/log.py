"""``bench sequence``, ``bench verify`` and ``bench visible``: from commit to position to proof."""

from __future__ import annotations

import hashlib
import multiprocessing
import threading
import time
import zipfile
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any
from uuid import UUID, uuid4

import psycopg

from releve.api.bench.measure import Case, Report, measure, percentile, temporary_directory, timed
from releve.api.bench.writers import NOTE, history, note_event, server_version
from releve.api.services import Services, open_services
from releve.api.settings import Settings
from releve.api.worker import working
from releve.domain.events import Event
from releve.security.ledger.envelope import HEADER_LENGTH
from releve.security.ledger.export import export_audit
from releve.security.ledger.store import LedgerEventStore
from releve.security.ledger.verify import verify_export

SHA256 = "SHA-256 of the same bytes"
_STREAMS = 250


@contextmanager
def _ledger() -> Iterator[tuple[Services, Path]]:
    with (
        temporary_directory() as directory,
        open_services(Settings(state_dir=directory / "state"), size=16) as services,
    ):
        yield services, directory


def _settings(services: Services) -> dict[str, Any]:
    return {
        "server": server_version(services.database.owner_url),
        "synchronous_commit": "on",
        "event_bytes": len(NOTE),
    }


class _Filler:
    """Appends notes of 2 KB to a fixed set of streams, a thousand a transaction."""

    def __init__(self, services: Services) -> None:
        self._store = services.factory.event_store()
        self._centre = uuid4()
        self._versions = {uuid4(): 0 for _ in range(_STREAMS)}

    def append(self, events: int) -> None:
        chunk: list[list[Event]] = []
        for n, stream in enumerate(self._turns(events), 1):
            self._versions[stream] += 1
            chunk.append([note_event(stream, self._versions[stream], self._centre)])
            if n % 1_000 == 0 or n == events:
                self._store.put_many(chunk)
                chunk = []

    def _turns(self, events: int) -> Iterator[UUID]:
        streams = list(self._versions)
        return (streams[n % len(streams)] for n in range(events))


def bench_sequence(*, quick: bool) -> Report:
    """Give positions, leaves and tiles to committed events that have none yet."""
    events = 4_000 if quick else 20_000
    with _ledger() as (services, _):
        filler = _Filler(services)
        filler.append(1_000)
        services.sequencer.run_until_idle()

        def run() -> float:
            filler.append(events)
            given: list[int] = []
            seconds = timed(lambda: given.append(services.sequencer.run_until_idle()))
            return given[0] / seconds

        return measure(
            "sequence",
            "positions/s",
            "higher",
            {"backlog": Case(run, limit=20_000)},
            rounds=1 if quick else 5,
            settings={**_settings(services), "events_per_run": events},
        )


def bench_verify(*, quick: bool) -> Report:
    """Verify an export of the whole log offline, as an auditor does."""
    events = 4_000 if quick else 50_000
    with _ledger() as (services, directory):
        _Filler(services).append(events)
        services.settled()
        out = directory / "export.zip"
        exported = export_audit(
            services.worker_pool,
            services.sequencer,
            services.checkpointer,
            services.signer,
            requested={},
            streams=None,
            out=out,
        )
        vkeys = [services.signer.vkey]

        def run() -> float:
            found: list[dict[str, Any]] = []
            seconds = timed(lambda: found.append(verify_export(str(out), vkeys)))
            if not found[0]["verified"]:
                raise RuntimeError(f"the export does not verify: {found[0]['problems'][:3]}")
            return exported.entries / seconds

        def plain() -> float:
            return exported.entries / timed(lambda: _hashed(out))

        return measure(
            "verify",
            "leaves/s",
            "higher",
            {"export": Case(run, {SHA256: plain}, limit=50_000)},
            rounds=1 if quick else 5,
            settings={**_settings(services), "leaves": exported.entries},
            detail={"export_bytes": out.stat().st_size},
        )


def _hashed(export: Path) -> bytes:
    """One SHA-256 over every header and one over every body: what no verifier can avoid."""
    digest = b""
    with zipfile.ZipFile(export) as archive:
        for name in archive.namelist():
            if not name.startswith("entries"):
                continue
            raw = memoryview(archive.read(name))
            at = 0
            while at < len(raw):
                header = raw[at + 12 : at + 12 + HEADER_LENGTH]
                length_at = at + 12 + HEADER_LENGTH
                end = length_at + 4 + int.from_bytes(raw[length_at : length_at + 4], "big")
                digest = hashlib.sha256(header).digest()
                digest = hashlib.sha256(raw[length_at + 4 : end]).digest()
                at = end
    return digest


# --- visible --------------------------------------------------------------------------------------

_WRITERS = 4
_RATE = 50
"""Appends a second of each writer that is paced."""
_PATIENTS = 450
"""Patients of each writer: a centre's 1,800 in all."""
_SHORT_NOTE = NOTE[:400]
"""What a doctor types in a consultation; 2 KB a note would make records of no real patient."""
_WARM_S = 1.0


@dataclass
class _Run:
    """What one run saw, in milliseconds until the row could be read."""

    waits: list[float] = field(default_factory=list)
    """From the answer to the append."""
    whole: list[float] = field(default_factory=list)
    """From before it was sealed and sent."""
    rate: float = 0.0


def bench_visible(*, quick: bool) -> Report:
    """From the answer to an append until the projected row that holds it can be read.

    Writers are threads of the process that works, as requests of ``releve serve`` are. A process
    of its own looks at the feed's position every millisecond, through the database like any
    reader: position and rows are committed together.
    """
    seconds = 3.0 if quick else 8.0
    with _watcher() as watch, _ledger() as (services, _), working(services):
        writers = [_Writer(services) for _ in range(_WRITERS)]
        services.sequencer.run_until_idle()
        runs: dict[str, list[_Run]] = {"paced": [], "saturated": []}

        def run(label: str, rate: int | None, share: float) -> float:
            runs[label].append(_watched(services, writers, watch, rate, seconds))
            return percentile(runs[label][-1].waits, share)

        report = measure(
            "visible",
            "ms",
            "lower",
            {
                "w4 at 50/s, p50": Case(lambda: run("paced", _RATE, 0.5), limit=15.0),
                "w4 at 50/s, p99": Case(
                    lambda: percentile(runs["paced"][-1].waits, 0.99), limit=60.0
                ),
                "w4 saturated, p99": Case(lambda: run("saturated", None, 0.99), limit=150.0),
            },
            rounds=1 if quick else 5,
            settings={
                **_settings(services),
                "event_bytes": len(_SHORT_NOTE),
                "seconds_per_run": seconds,
                "writers": "threads",
                "patients": _WRITERS * _PATIENTS,
            },
        )
        for label, done in runs.items():
            report.detail[f"{label}, appends/s"] = round(median(run.rate for run in done), 1)
            report.detail[f"{label}, p50 with the append itself"] = round(
                median(percentile(run.whole, 0.5) for run in done), 2
            )
        return report


class _Writer:
    """One author at work: appends notes to patients of their own, in turn."""

    def __init__(self, services: Services) -> None:
        self._centre = uuid4()
        self._store: LedgerEventStore = services.factory.event_store()
        self._versions = {uuid4(): 1 for _ in range(_PATIENTS)}
        self._store.put_many([history(patient, self._centre, 1) for patient in self._versions])
        self.answered: list[tuple[UUID, int, float, float]] = []
        """Patient, version, when it was begun, when it was answered."""

    def write(self, rate: int | None, until: float) -> None:
        """Append until that monotonic time; ``rate`` a second, or as fast as it goes."""
        self.answered = []
        due = time.monotonic()
        while True:
            for patient in self._versions:
                if time.monotonic() >= until:
                    return
                version, began = self._versions[patient] + 1, time.monotonic()
                self._store.put([note_event(patient, version, self._centre, _SHORT_NOTE)])
                self._versions[patient] = version
                self.answered.append((patient, version, began, time.monotonic()))
                if rate is not None:
                    due += 1 / rate
                    time.sleep(max(0.0, due - time.monotonic()))


def _watched(
    services: Services,
    writers: Sequence[_Writer],
    watch: Callable[[str], Callable[[int], list[tuple[int, float]]]],
    rate: int | None,
    seconds: float,
) -> _Run:
    seen = watch(services.database.owner_url)
    began = time.monotonic()
    threads = [
        threading.Thread(target=writer.write, args=(rate, began + _WARM_S + seconds))
        for writer in writers
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    while services.sequencer.unnumbered():
        time.sleep(0.05)
    positions = _positions(services)
    observed = seen(services.reader.head().size - 1)
    reached = [position for position, _ in observed]
    run = _Run()
    for writer in writers:
        for patient, version, sent, answered in writer.answered:
            if answered - began >= _WARM_S:
                at = observed[bisect_left(reached, positions[patient, version])][1]
                run.whole.append((at - sent) * 1_000)
                run.waits.append(max(0.0, at - answered) * 1_000)
    run.rate = len(run.waits) / seconds
    return run


def _positions(services: Services) -> dict[tuple[UUID, int], int]:
    with services.pool.connection() as connection:
        rows = connection.execute("SELECT stream, version, position FROM ledger.leaf").fetchall()
    return {(stream, version): position for stream, version, position in rows}


@contextmanager
def _watcher() -> Iterator[Callable[[str], Callable[[int], list[tuple[int, float]]]]]:
    """A process that looks at the feed; started before any thread, told where to look later."""
    forked = multiprocessing.get_context("fork")
    ours, theirs = forked.Pipe()
    process = forked.Process(target=_watching, args=(theirs,), daemon=True)
    process.start()

    def watch(url: str) -> Callable[[int], list[tuple[int, float]]]:
        ours.send(url)
        ours.recv()

        def seen(last: int) -> list[tuple[int, float]]:
            ours.send(last)
            found: list[tuple[int, float]] = ours.recv()
            return found

        return seen

    try:
        yield watch
    finally:
        ours.send(None)
        process.join(timeout=10)


def _watching(pipe: Connection) -> None:
    """Give, for each run, when the feed was first seen at each position, until the last one."""
    while (url := pipe.recv()) is not None:
        observed: list[tuple[int, float]] = []
        with psycopg.connect(url, autocommit=True) as connection:
            pipe.send("ready")
            last: int | None = None
            deadline = None
            while last is None or not observed or observed[-1][0] < last:
                row = connection.execute(_POSITION, prepare=True).fetchone()
                now = time.monotonic()
                if row is not None and (not observed or row[0] != observed[-1][0]):
                    observed.append((int(row[0]), now))
                if last is None and pipe.poll():
                    last, deadline = pipe.recv(), now + 30
                if deadline is not None and now > deadline:
                    break
                time.sleep(0.001)
        pipe.send(observed)


_POSITION = "SELECT f.position FROM projection.feed f WHERE f.name = 'main'"
