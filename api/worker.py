"""What runs behind the doors: positions, projections, checkpoints, keys, arrivals.

Any number of workers may run: each job takes its lease in the database and leaves when another
has it.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Final

import psycopg
from psycopg_pool import PoolTimeout

from releve.api.inbox import Repair
from releve.api.nightly import Nightly
from releve.api.services import Services
from releve.api.watched import WatchedFolder
from releve.domain.errors import ReleveError
from releve.security.errors import SecurityError
from releve.security.ledger.sequencer_loop import SequencerLoop

_log: Final = logging.getLogger("releve.worker")

FEED_IDLE_S: Final = 0.02
CHECKPOINT_EVERY_S: Final = 1.0
HOUSEKEEPING_EVERY_S: Final = 600.0
OUTAGE_PAUSE_S: Final = 0.5
DELIVERY_EVERY_S: Final = 5.0
WATCHING_EVERY_S: Final = 2.0
NIGHTLY_EVERY_S: Final = 300.0


class _Loop:
    """Calls one job again and again; at once when poked, else after a pause."""

    def __init__(self, name: str, job: Callable[[], int], pause_s: float) -> None:
        self._name = name
        self._job = job
        self._pause = pause_s
        self._poked = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def poke(self) -> None:
        self._poked.set()

    def stop(self) -> None:
        self._stopping.set()
        self._poked.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                done = self._job()
            except (psycopg.Error, PoolTimeout, SecurityError, ReleveError, OSError) as error:
                _log.warning("%s waits: %s", self._name, type(error).__name__)
                self._stopping.wait(OUTAGE_PAUSE_S)
                continue
            if not done:
                self._poked.wait(self._pause)
                self._poked.clear()


@contextlib.contextmanager
def working(services: Services) -> Iterator[None]:
    """Run every job in threads of this process for as long as the block runs."""
    sequencer = SequencerLoop(services.sequencer)
    feed = _Loop("feed", services.feed.run_once, FEED_IDLE_S)
    checkpointer = _Loop(
        "checkpointer", _nothing(services.checkpointer.run_once), CHECKPOINT_EVERY_S
    )
    housekeeping = _Loop(
        "housekeeping", _nothing(lambda: housekeep(services)), HOUSEKEEPING_EVERY_S
    )
    services.appended.add(sequencer.poke)
    services.numbered.add(feed.poke)
    delivering = _Loop("inbox", Repair(services).run_once, DELIVERY_EVERY_S)
    nightly = _Loop("nightly", _nothing(Nightly(services).run_once), NIGHTLY_EVERY_S)
    loops: list[SequencerLoop | _Loop] = [
        sequencer, feed, checkpointer, housekeeping, delivering, nightly,
    ]  # fmt: skip
    if services.settings.watch_dir is not None:
        watched = WatchedFolder(services, services.settings.watch_dir)
        loops.append(_Loop("watched", _nothing(watched.run_once), WATCHING_EVERY_S))
    for loop in loops:
        loop.start()
    try:
        yield
    finally:
        services.appended.remove(sequencer.poke)
        services.numbered.remove(feed.poke)
        for loop in loops:
            loop.stop()


def housekeep(services: Services) -> None:
    """Sweep ended sessions; make the audit keys of this month and the next one ahead of time."""
    services.identity.sessions.sweep()
    services.data_keys.ensure_audit_months(services.clock())
    services.data_keys.ensure_audit_months(datetime.now(UTC))


def _nothing(job: Callable[[], object]) -> Callable[[], int]:
    def run() -> int:
        job()
        return 0

    return run
