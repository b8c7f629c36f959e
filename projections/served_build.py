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

from releve.domain.errors import Unavailable

FEED: Final = "main"
"""The one feed that drives every projection, so that all stand at the same position."""
ROW_FORMAT: Final = 8
"""Shape of the rows; a build of another shape is built again, and not read meanwhile."""
DIRECTORY_SCOPE: Final = UUID(int=0)
"""Whose revision the directory's is: no centre's."""


class OtherFormat(Unavailable):
    """The served rows are those of another version; they are being built again."""

    code = "readings-rebuilding"
    what = "Les lectures sont refaites après une mise à jour."
    why = "Elles ont la forme d'une autre version ; le registre, lui, n'a rien perdu."
    do = "Réessayer dans une minute ; si cela dure, prévenir l'exploitant (releve doctor)."


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
        """What is served, or None while nothing was projected yet.

        Raises:
            OtherFormat: rows of another version of the product stand there.
        """
        held = self._held.get()
        if held:
            return held[0]
        with self._pool.connection() as connection:
            served = read_served(connection)
        if held is not None:
            held.append(served)
        return served


def read_served(connection: Any) -> Served | None:
    """What is served as the connection's transaction sees it; raises as :meth:`ServedBuild.now`."""
    rows = connection.execute(_SERVED, (FEED,), binary=True).fetchall()
    if not rows:
        return None
    build, position, row_format, _, _ = rows[0]
    if row_format != ROW_FORMAT and position >= 0:
        raise OtherFormat
    return Served(build, position, {row[3]: row[4] for row in rows if row[3] is not None})


_SERVED = (
    "SELECT f.build, f.position, f.format, r.scope, r.number FROM projection.feed f "
    "LEFT JOIN projection.revision r ON r.build = f.build WHERE f.name = %b"
)
