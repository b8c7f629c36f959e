"""Keeps the embedded database under whoever serves for long.

The supervisor starts a dead server again; only a command starts a dead supervisor again. A process
that serves for days is such a command: it looks twice a second whether the supervisor lives.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import psycopg

from releve.api.database.problems import DatabaseProblem
from releve.api.database.supervisor import rejoin, supervised

if TYPE_CHECKING:
    from releve.api.services import Services

_log: Final = logging.getLogger("releve.lifeline")

LOOK_EVERY_S: Final = 0.5


@contextlib.contextmanager
def surviving(services: Services) -> Iterator[None]:
    """Start the embedded database again whenever its supervisor was killed, while the block runs.

    Nothing to do for an ordinary server. A start that fails (a full disk, say) is tried again.
    """
    if services.database.cluster is None:
        yield
        return
    stopping = threading.Event()
    thread = threading.Thread(
        target=_watch, args=(services, stopping), name="lifeline", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()


def _watch(services: Services, stopping: threading.Event) -> None:
    while not stopping.wait(LOOK_EVERY_S):
        try:
            if supervised(services.database):
                continue
            _log.warning("the database's supervisor is gone: starting it again")
            rejoin(services.database)
            for pool in (services.pool, services.worker_pool):
                pool.check()
        except (DatabaseProblem, OSError, psycopg.Error) as error:
            _log.warning("the database does not start: %s", type(error).__name__)
