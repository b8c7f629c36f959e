"""Who keeps later commits from getting a position: the oldest open transaction of the cluster."""

from __future__ import annotations

from typing import Final, NamedTuple

from releve.security.ledger.connection import Pool
from releve.security.ledger.recorder import read

_OLDEST: Final = """
SELECT a.pid, coalesce(a.datname, '')::text
FROM pg_stat_activity a WHERE a.backend_xid IS NOT NULL AND a.pid <> pg_backend_pid()
ORDER BY age(a.backend_xid) DESC LIMIT 1"""


class OpenWriter(NamedTuple):
    """A server process whose transaction has written and is still open, and its database."""

    pid: int
    database: str


def oldest_writer(pool: Pool) -> OpenWriter | None:
    """Which open transaction of the cluster holds positions back, None if none does.

    Any role of the ledger may ask: it sees other roles' transaction numbers, not their start or
    their statements. Prepared transactions have no process and are not found here; the embedded
    server has them switched off.

    Raises:
        LedgerUnreachable: the database did not answer in time.
    """
    rows = read(pool, _OLDEST, ())
    return OpenWriter(*rows[0]) if rows else None
