"""Jobs that fail again and again: counted, told to the probes, never with what they worked on.

A job of the worker that failed a few times in a row leaves a file in the state directory, renewed
at every failure and taken away once the job works again, so that ``/readyz`` and ``releve doctor``,
which may be other processes, can say so. The file holds an error's class and the place in our own
code; nothing of any record.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import time
from pathlib import Path
from typing import Final, NamedTuple

from releve.api.logs import where

_log: Final = logging.getLogger("releve.worker")

SHORTEST_S: Final = 0.5
LONGEST_S: Final = 30.0
"""The pause after a failure: doubled from the shortest at each further one, up to this."""

IN_A_ROW: Final = 3
"""Failures in a row from which a job is said to be failing; one outage makes fewer."""

_FORGOTTEN_S: Final = 4 * LONGEST_S
"""A file that nobody renewed for so long was left by a process that is gone."""


class Failing(NamedTuple):
    """A job that keeps failing in some process."""

    job: str
    error: str
    """Class name."""
    where: str
    """Module and line of our own code."""
    times: int


class Setbacks:
    """What went wrong with one job of this process since it last worked."""

    def __init__(self, job: str, state_dir: Path) -> None:
        """``job`` is a plain name; ``state_dir`` the state directory that probes look into."""
        self._job = job
        self._file = _folder(state_dir) / f"{job}.{os.getpid()}"
        self._times = 0

    def failed(self, error: Exception) -> float:
        """Log one more failure by type and place; gives the seconds to pause before going on."""
        self._times += 1
        place = where(error)
        _log.warning("%s waits: %s at %s", self._job, type(error).__name__, place)
        if self._times >= IN_A_ROW:
            told = {"error": type(error).__name__, "where": place, "times": self._times}
            with contextlib.suppress(OSError):  # a full disk must not end the job
                self._file.parent.mkdir(mode=0o700, exist_ok=True)
                self._file.write_text(json.dumps(told), encoding="utf-8")
        return float(min(SHORTEST_S * 2 ** min(self._times - 1, 10), LONGEST_S))

    def worked(self) -> None:
        """Forget the failures: the job did its work."""
        if self._times >= IN_A_ROW:
            with contextlib.suppress(OSError):
                self._file.unlink(missing_ok=True)
        self._times = 0


def failing(state_dir: Path) -> list[Failing]:
    """Jobs that keep failing in any process of this state directory, by name."""
    found = []
    with contextlib.suppress(FileNotFoundError):
        for file in sorted(_folder(state_dir).iterdir()):
            with contextlib.suppress(FileNotFoundError, ValueError, KeyError):  # renewed meanwhile
                if time.time() - file.stat().st_mtime > _FORGOTTEN_S:
                    file.unlink(missing_ok=True)
                    continue
                told = json.loads(file.read_text(encoding="utf-8"))
                job = file.name.partition(".")[0]
                found.append(Failing(job, told["error"], told["where"], told["times"]))
    return found


def _folder(state_dir: Path) -> Path:
    return state_dir / "failing"
