"""Sign the newest head of the log, and keep the notes that must be kept.

A checkpoint is a promise to the outside that nobody can take back, so none is made over a commit
that only one server may have: before signing, an empty durable commit makes sure that everything
up to the head is where it has to be.
"""

from __future__ import annotations

import threading
import time
from typing import Final

import psycopg
from psycopg.types.numeric import Int8

from releve.security.errors import Tampered
from releve.security.ledger import merkle
from releve.security.ledger.connection import (
    LedgerUnreachable,
    NoticeWatch,
    Pool,
    binary_cursor,
    borrowed,
)
from releve.security.ledger.notes import Checkpoint, LogSigner, parse_note
from releve.security.ledger.recorder import read
from releve.security.ledger.stored_tree import stored_hashes

_THIN_EVERY_S: Final = 60.0

_HEAD: Final = "SELECT h.size, h.frontier FROM ledger.head h"
_NEWEST: Final = "SELECT c.size, c.note FROM ledger.checkpoint c ORDER BY c.size DESC LIMIT 1"
_BARRIER: Final = "SELECT pg_logical_emit_message(true, 'releve.checkpoint', '')"
_KEEP: Final = """
INSERT INTO ledger.checkpoint AS c (size, note, cited) VALUES ($1, $2, $3)
ON CONFLICT (size) DO UPDATE SET cited = true WHERE EXCLUDED.cited AND NOT c.cited"""
_CITE: Final = "UPDATE ledger.checkpoint c SET cited = true WHERE c.size = $1 RETURNING c.note"
_THIN: Final = """
DELETE FROM ledger.checkpoint c WHERE NOT c.cited AND EXISTS (
    SELECT FROM ledger.checkpoint later WHERE later.size > c.size
    AND date_trunc('hour', later.signed_at, 'UTC') = date_trunc('hour', c.signed_at, 'UTC'))"""


class Checkpointer:
    """Makes checkpoints; safe to use from several threads, and beside others of its kind."""

    def __init__(self, pool: Pool, signer: LogSigner) -> None:
        """Take the worker role's pool and the log key."""
        self._pool = pool
        self._signer = signer
        self._lock = threading.Lock()
        self._trusts_newest = False
        self._thinned_at = time.monotonic()

    def run_once(self) -> str | None:
        """Sign the head if the log grew since the newest checkpoint; gives the note, or None.

        None too if the standby did not confirm: the next call tries again.

        Raises:
            Tampered: the log is shorter than, or another than, what was signed before.
            LedgerUnreachable: the database does not answer.
        """
        with self._lock:
            newest = self._newest()
            rows = read(self._pool, _HEAD, ())
            size, frontier = rows[0] if rows else (0, b"")
            if newest is not None:
                self._check(newest, size)
                if newest.size == size:
                    return None
            if not size or not self._is_durable():
                return None
            root = merkle.Frontier.from_bytes(size, frontier).root()
            note = self._keep(size, root, cited=False)
            if time.monotonic() - self._thinned_at > _THIN_EVERY_S:
                self._thinned_at = time.monotonic()
                self.thin()
            return note

    def latest(self) -> str | None:
        """The newest checkpoint, as a signed note.

        Raises:
            LedgerUnreachable: the database does not answer.
        """
        rows = read(self._pool, _NEWEST, ())
        return str(rows[0][1]) if rows else None

    def at(self, size: int, root: bytes | None = None) -> str:
        """The checkpoint of exactly ``size`` leaves, made if missing, cited and kept for ever.

        ``root`` is the head's at that size where the caller has it; else the tiles give it.

        Raises:
            Tampered: the log does not reach so far, or its tiles are damaged.
            LedgerUnreachable: the database or the standby did not answer.
        """
        with self._lock:
            # In one statement: another worker may thin out what was not cited yet.
            rows = read(self._pool, _CITE, (Int8(size),))
            if rows:
                return str(rows[0][0])
            if read(self._pool, _HEAD, ())[0][0] < size:
                raise Tampered("the log does not reach this size")
            if not self._is_durable():
                raise LedgerUnreachable("the standby did not confirm the log")
            if root is None:
                root = merkle.root_at(size, stored_hashes(self._pool, size))
            return self._keep(size, root, cited=True)

    def thin(self) -> None:
        """Remove checkpoints that are neither cited nor the newest of their hour."""
        self._execute(_THIN)

    def _newest(self) -> Checkpoint | None:
        rows = read(self._pool, _NEWEST, ())
        return Checkpoint.parse(parse_note(rows[0][1]).text) if rows else None

    def _check(self, newest: Checkpoint, size: int) -> None:
        """Refuse to sign a second history; the root is recomputed once a process."""
        if newest.size > size:
            raise Tampered("the log is shorter than its newest checkpoint")
        if not self._trusts_newest:
            if merkle.root_at(newest.size, stored_hashes(self._pool, newest.size)) != newest.root:
                raise Tampered("the log is not the one its newest checkpoint signed")
            self._trusts_newest = True

    def _is_durable(self) -> bool:
        """Commit something that waits for disk and standby: all that came before is there then."""
        try:
            with borrowed(self._pool) as connection, NoticeWatch(connection) as notices:
                binary_cursor(connection).execute(_BARRIER)
                if notices.seen:
                    connection.close()
                return not notices.seen
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise LedgerUnreachable("the database does not answer") from error

    def _keep(self, size: int, root: bytes, *, cited: bool) -> str:
        note = self._signer.sign(size, root)
        self._execute(_KEEP, Int8(size), note, cited)
        self._trusts_newest = True
        return note

    def _execute(self, query: str, *parameters: object) -> None:
        try:
            with borrowed(self._pool) as connection:
                binary_cursor(connection).execute(query, parameters)
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise LedgerUnreachable("the database does not answer") from error
