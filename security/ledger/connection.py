"""Borrow a pooled connection for the ledger, and know what its server said on the way.

Every ledger statement runs in autocommit (one statement, one transaction) or in an explicit block,
whatever mode the pool's other users prefer.
"""

from __future__ import annotations

from typing import Any, Final

import psycopg
from eventsourcing.persistence import OperationalError
from psycopg.errors import Diagnostic
from psycopg.pq import TransactionStatus
from psycopg.types.array import ListBinaryDumper
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout

from releve.security.errors import LedgerDown

Connection = psycopg.Connection[Any]
Pool = ConnectionPool[Connection]

WARNING: Final = "01000"
"""SQLSTATE of the only notice that matters: a cancelled wait for the synchronous standby answers
"done" with this notice, although the commit is durable on the primary alone."""

LARGEST: Final = 2**63 - 1
"""The largest ``bigint``: "no upper bound" in a prepared statement."""

_cursors: dict[Connection, psycopg.RawCursor[Any]] = {}
_MANY_CURSORS: Final = 200


class LedgerUnreachable(LedgerDown, OperationalError):
    """The database gave no connection or broke it while reading; nothing was written."""


class _Borrowed:
    """A connection taken from a pool for one block."""

    __slots__ = ("_autocommit", "_connection", "_pool")

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def __enter__(self) -> Connection:
        try:
            connection = self._connection = self._pool.getconn()
        except (PoolTimeout, PoolClosed, psycopg.OperationalError) as error:
            raise LedgerUnreachable("the database gives no connection") from error
        self._autocommit = connection.autocommit
        try:
            if not self._autocommit:
                connection.autocommit = True
            if connection not in _cursors:
                _prepare(connection)
        except psycopg.Error as error:
            self._pool.putconn(connection)
            raise LedgerUnreachable("the connection broke before it was used") from error
        return connection

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        connection = self._connection
        if connection.closed:
            _cursors.pop(connection, None)
        elif not self._autocommit and connection.info.transaction_status == TransactionStatus.IDLE:
            connection.autocommit = False
        self._pool.putconn(connection)
        if kind is not None and connection.closed and not self._pool.closed:
            # Whatever broke this one most often broke its idle neighbours too.
            self._pool.check()


def borrowed(pool: Pool) -> _Borrowed:
    """Take a connection in autocommit for one block; a broken one is not given back.

    Raises:
        LedgerUnreachable: the pool has no connection to give within its own timeout.
    """
    return _Borrowed(pool)


def binary_cursor(connection: Connection) -> psycopg.RawCursor[Any]:
    """A cursor for ``$1`` placeholders, with results in binary.

    A borrowed connection has one, kept with what it has learnt of types: fetch before the next
    use. Any other connection gets a new one.
    """
    return _cursors.get(connection) or _new_cursor(connection)


def _new_cursor(connection: Connection) -> psycopg.RawCursor[Any]:
    cursor: psycopg.RawCursor[Any] = psycopg.RawCursor(connection)
    cursor.format = psycopg.pq.Format.BINARY
    # Lists would go as text otherwise: every byte of a header as two digits, every value quoted.
    cursor.adapters.register_dumper(list, ListBinaryDumper)
    return cursor


def _prepare(connection: Connection) -> None:
    """Plan the ledger's prepared statements once, whatever their parameters.

    Sixteen hash partitions make PostgreSQL believe that a new plan for every stream is cheaper;
    it costs 100 microseconds an append.
    """
    connection.execute("SET plan_cache_mode = force_generic_plan")
    if len(_cursors) >= _MANY_CURSORS:
        for other in [known for known in list(_cursors) if known.closed]:
            _cursors.pop(other, None)
    _cursors[connection] = _new_cursor(connection)


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
