"""Who keeps later commits from getting a position: the oldest open transaction of the cluster."""

from __future__ import annotations

import time
from typing import Final, NamedTuple

from releve.security.ledger.connection import Pool
from releve.security.ledger.recorder import read

_OLDEST: Final = """
SELECT a.pid, a.backend_xid::text, coalesce(a.datname, '')::text
FROM pg_stat_activity a WHERE a.backend_xid IS NOT NULL AND a.pid <> pg_backend_pid()
ORDER BY age(a.backend_xid) DESC LIMIT 1"""


class Horizon(NamedTuple):
    """The oldest transaction that keeps later commits from getting a position."""

    age_s: float
    pid: int
    database: str


class HorizonWatch:
    """Asks again and again which open transaction holds positions back."""

    def __init__(self, pool: Pool) -> None:
        """Take the connections of any member of the ledger's roles."""
        self._pool = pool
        self._held: tuple[str, float] | None = None

    def oldest(self) -> Horizon | None:
        """Which open transaction holds positions back, None if none does.

        Its age counts from when this watch was first asked about it: a role that may not see
        other roles' activity sees its number, not its start.

        Raises:
            LedgerUnreachable: the database did not answer in time.
        """
        rows = read(self._pool, _OLDEST, ())
        if not rows:
            self._held = None
            return None
        pid, number, database = rows[0]
        now = time.monotonic()
        if self._held is None or self._held[0] != number:
            self._held = (number, now)
        return Horizon(now - self._held[1], pid, database)
