"""Borrow a pooled connection for the ledger, and know what its server said on the way.

Every ledger statement runs in autocommit (one statement, one transaction) or in an explicit block,
whatever mode the pool's other users prefer.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from weakref import WeakSet

import psycopg
from eventsourcing.persistence import OperationalError
from psycopg.errors import Diagnostic
from psycopg.pq import TransactionStatus
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout

from releve.security.errors import LedgerDown

Connection = psycopg.Connection[Any]
Pool = ConnectionPool[Connection]

WARNING: Final = "01000"
"""SQLSTATE of the only notice that matters: a cancelled wait for the synchronous standby answers
"done" with this notice, although the commit is durable on the primary alone."""

LARGEST: Final = 2**63 - 1
"""The largest ``bigint``: "no upper bound" in a prepared statement."""

_configured: WeakSet[Connection] = WeakSet()


class LedgerUnreachable(LedgerDown, OperationalError):
    """The database gave no connection or broke it while reading; nothing was written."""


def configure(connection: Connection) -> None:
    """Plan the ledger's prepared statements once, whatever their parameters.

    Sixteen hash partitions make PostgreSQL believe that a new plan for every stream is cheaper;
    it costs 100 microseconds an append. Suits as ``configure=`` of a pool; connections that were
    not configured are when they are first borrowed.
    """
    if connection not in _configured:
        autocommit = connection.autocommit
        connection.autocommit = True
        connection.execute("SET plan_cache_mode = force_generic_plan")
        connection.autocommit = autocommit
        _configured.add(connection)


@contextmanager
def borrowed(pool: Pool) -> Iterator[Connection]:
    """A connection in autocommit; a broken one is not given back.

    Raises:
        LedgerUnreachable: the pool has no connection to give within its own timeout.
    """
    try:
        connection = pool.getconn()
    except (PoolTimeout, PoolClosed, psycopg.OperationalError) as error:
        raise LedgerUnreachable("the database gives no connection") from error
    autocommit = connection.autocommit
    try:
        if not autocommit:
            connection.autocommit = True
        try:
            configure(connection)
        except psycopg.OperationalError as error:
            raise LedgerUnreachable("the connection broke before it was used") from error
        yield connection
    except psycopg.OperationalError:
        if connection.closed:
            # Whatever broke this one most often broke its idle neighbours too.
            _expire_idle(pool)
        raise
    finally:
        if (
            not autocommit
            and not connection.closed
            and connection.info.transaction_status == TransactionStatus.IDLE
        ):
            connection.autocommit = False
        pool.putconn(connection)


def _expire_idle(pool: Pool) -> None:
    if not pool.closed:
        pool.check()


class NoticeWatch:
    """Notices with SQLSTATE 01000 that arrive on ``connection`` while the block runs."""

    __slots__ = ("_connection", "seen")

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.seen = False

    def __enter__(self) -> NoticeWatch:
        self._connection.add_notice_handler(self._take)
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.remove_notice_handler(self._take)

    def _take(self, diagnostic: Diagnostic) -> None:
        if diagnostic.sqlstate == WARNING:
            self.seen = True


def binary_cursor(connection: Connection) -> psycopg.RawCursor[Any]:
    """A cursor for statements with ``$1`` placeholders whose results arrive in binary."""
    cursor: psycopg.RawCursor[Any] = psycopg.RawCursor(connection)
    cursor.format = psycopg.pq.Format.BINARY
    return cursor
