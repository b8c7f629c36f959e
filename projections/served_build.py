"""Which build of the projections is served, and how often its parts were written.

A reading asks once: what its directory, its records and its position are then belongs together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, NamedTuple
from uuid import UUID

from psycopg_pool import ConnectionPool

FEED: Final = "main"
"""The one feed that drives every projection, so that all stand at the same position."""
DIRECTORY_SCOPE: Final = UUID(int=0)
"""Whose revision the directory's is: no centre's."""


class Served(NamedTuple):
    """The served build, the ledger position it stands at, and the number of each part's revision.

    A part is a centre's records or, as :data:`DIRECTORY_SCOPE`, the directory. What is kept of a
    part is what stands as long as its number is the same.
    """

    build: int
    position: int
    revisions: Mapping[UUID, int]


class ServedBuild:
    """Tells what is served now; inside :meth:`one_picture`, what was served at the first asking."""

    def __init__(self, pool: ConnectionPool[Any]) -> None:
        """Read through ``pool``."""
        self._pool = pool
        self._held: ContextVar[list[Served | None] | None] = ContextVar("served", default=None)

    @contextmanager
    def one_picture(self) -> Iterator[None]:
        """Inside, the first answer serves the rest of the reading.

        For readings only: whoever writes must see what was written.
        """
        token = self._held.set([])
        try:
            yield
        finally:
            self._held.reset(token)

    def now(self) -> Served | None:
        """What is served, or None while nothing was projected yet."""
        held = self._held.get()
        if held:
            return held[0]
        with self._pool.connection() as connection:
            served = read_served(connection)
        if held is not None:
            held.append(served)
        return served


def read_served(connection: Any) -> Served | None:
    """What is served as the connection's transaction sees it; one row a centre, no more."""
    rows = connection.execute(_SERVED, (FEED,), binary=True).fetchall()
    if not rows:
        return None
    return Served(rows[0][0], rows[0][1], {row[2]: row[3] for row in rows if row[2] is not None})


_SERVED = (
    "SELECT f.build, f.position, r.scope, r.number FROM projection.feed f "
    "LEFT JOIN projection.revision r ON r.build = f.build WHERE f.name = %b"
)
