"""What runs behind the doors: positions, projections, checkpoints, keys, arrivals.

Any number of workers may run: each job takes its lease in the database and leaves when another
has it.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Final

from releve.api.delivering import Repair
from releve.api.nightly import Nightly
from releve.api.services import Services
from releve.api.setbacks import Setbacks
from releve.api.watched import WatchedFolder
from releve.security.ledger.sequencer_loop import SequencerLoop

IDLE_S: Final = 1.0
"""Longest pause of positions and projections when nobody of this process has anything for them.

What is written wakes them. What is read leaves access entries, numbered at this pace: each look
takes the processor from the pages being made.
"""
BESIDE_S: Final = 0.025
"""The same for positions where processes that cannot wake this one append too."""
CHECKPOINT_EVERY_S: Final = 1.0
HOUSEKEEPING_EVERY_S: Final = 600.0
DELIVERY_EVERY_S: Final = 5.0
WATCHING_EVERY_S: Final = 2.0
SWEEPING_EVERY_S: Final = 30.0
NIGHTLY_EVERY_S: Final = 300.0


class Loop:
    """Calls one job again and again; at once when poked, else after a pause.

    No error ends it: whatever a job raises is counted and told by ``setbacks``, and waited out.
    """

    def __init__(
        self, name: str, job: Callable[[], int], pause_s: float, setbacks: Setbacks
    ) -> None:
        """``job`` gives how much it did; ``pause_s`` is the pause, in seconds, after nothing."""
        self._setbacks = setbacks
        self._job = job
        self._pause = pause_s
        self._poked = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def poke(self) -> None:
        """Call the job now. Cheap, from any thread."""
        self._poked.set()

    def stop(self) -> None:
        """End after the call under way, and wait for it."""
        self._stopping.set()
        self._poked.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                done = self._job()
            except Exception as error:  # the other jobs' records must not wait for one bad one
                self._stopping.wait(self._setbacks.failed(error))
                continue
            self._setbacks.worked()
            if not done:
                self._poked.wait(self._pause)
                self._poked.clear()


@contextlib.contextmanager
def working(services: Services, *, beside: bool = False) -> Iterator[None]:
    """Run every job in threads of this process for as long as the block runs.

    ``beside``: other processes answer requests, and what they append is looked for more often.
    """
    state_dir = services.database.state.path

    def loop_of(name: str, job: Callable[[], int], pause_s: float) -> Loop:
        return Loop(name, job, pause_s, Setbacks(name, state_dir))

    sequencer = SequencerLoop(
        services.sequencer,
        longest_s=BESIDE_S if beside else IDLE_S,
        setbacks=Setbacks("sequencer", state_dir),
    )
    feed = loop_of("feed", services.feed.run_once, IDLE_S)
    loops: list[SequencerLoop | Loop] = [
        sequencer,
        feed,
        loop_of("checkpointer", _nothing(services.checkpointer.run_once), CHECKPOINT_EVERY_S),
        loop_of("housekeeping", _nothing(lambda: housekeep(services)), HOUSEKEEPING_EVERY_S),
        loop_of("memory", services.records.sweep, SWEEPING_EVERY_S),
        loop_of("inbox", Repair(services).run_once, DELIVERY_EVERY_S),
        loop_of("nightly", _nothing(Nightly(services).run_once), NIGHTLY_EVERY_S),
    ]
    if services.settings.watch_dir is not None:
        watched = WatchedFolder(services, services.settings.watch_dir)
        loops.append(loop_of("watched", _nothing(watched.run_once), WATCHING_EVERY_S))
    services.appended.add(sequencer.poke)
    services.numbered.add(feed.poke)
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
