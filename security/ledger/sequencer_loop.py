"""Keep a sequencer working in a thread: soon after an append, seldom while nothing happens."""

from __future__ import annotations

import logging
import threading
import time
from datetime import timedelta
from typing import Final, Protocol

from releve.security.ledger.sequencer import Sequencer

_log: Final = logging.getLogger("releve.ledger")

_LOOK_AT_HEADS_S: Final = 60.0
_OUTAGE_PAUSE_S: Final = 0.5


class Setbacks(Protocol):
    """Told of each failure and each success of the loop."""

    def failed(self, error: Exception) -> float:
        """Take note of a failure; gives the seconds to pause before the next try."""

    def worked(self) -> None:
        """Take note that the sequencer works."""


class _Logged:
    """Logs failures by type alone."""

    def failed(self, error: Exception) -> float:
        _log.warning("sequencer waits: %s", type(error).__name__)
        return _OUTAGE_PAUSE_S

    def worked(self) -> None:
        return None


class SequencerLoop:
    """Runs a sequencer in a thread of its own until stopped; asks at once when poked."""

    def __init__(
        self,
        sequencer: Sequencer,
        *,
        shortest_s: float = 0.003,
        longest_s: float = 0.025,
        heads_every: timedelta | None = timedelta(hours=1),
        setbacks: Setbacks | None = None,
    ) -> None:
        """``shortest_s`` to ``longest_s``: the back-off between looks at an idle log, in seconds.

        ``heads_every``: append HEADS when the last is older than this; None: never.
        ``setbacks``: who is told of failures and names the pause; None: they are logged.
        """
        self._setbacks = setbacks or _Logged()
        self._sequencer = sequencer
        self._shortest, self._longest = shortest_s, longest_s
        self._heads_every = heads_every
        self._poked = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self.run, name="sequencer", daemon=True)
        self._thread.start()

    def poke(self) -> None:
        """Look now: something was appended. Cheap, from any thread."""
        self._poked.set()

    def stop(self) -> None:
        """End after the transaction under way, and wait for it."""
        self._stopping.set()
        self._poked.set()
        if self._thread is not None:
            self._thread.join()

    def run(self) -> None:
        """Number events until :meth:`stop`; whatever fails is waited out."""
        pause = self._shortest
        look_at_heads = time.monotonic() + _LOOK_AT_HEADS_S
        while not self._stopping.is_set():
            try:
                given = self._sequencer.run_once()
                if self._heads_every is not None and time.monotonic() >= look_at_heads:
                    look_at_heads = time.monotonic() + _LOOK_AT_HEADS_S
                    if self._sequencer.heads_due(self._heads_every):
                        self._sequencer.append_heads()
            except Exception as error:  # nothing is numbered once this thread has ended
                self._stopping.wait(self._setbacks.failed(error))
                continue
            self._setbacks.worked()
            if given:
                continue  # who did not ask for it can wait for the next look too
            if self._poked.wait(pause):
                self._poked.clear()
                pause = self._shortest
            else:
                pause = min(pause * 2, self._longest)
