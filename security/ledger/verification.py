"""Verify the live database with the checks an auditor runs on an export.

The checking core is :mod:`releve.security.ledger.verify`; only the evidence comes from elsewhere.
Everything is recomputed from header and body bytes, in one snapshot. Columns that repeat a header
(topic, event id, class, transaction) are not read; ``leaf`` says only which row stands at which
position, and its hash is itself checked as the lowest row of the tree.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any, Final, NamedTuple
from uuid import UUID

import psycopg
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from psycopg.types.numeric import Int8

from releve.security.errors import Malformed
from releve.security.ledger import merkle, verify
from releve.security.ledger.connection import (
    Connection,
    LedgerUnreachable,
    Pool,
    binary_cursor,
    borrowed,
)
from releve.security.ledger.notes import log_origin

BATCH: Final = 2_000
"""Records read at once: a few megabytes."""

_SNAPSHOT: Final = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
_RECORDS: Final = f"""
SELECT l.position, l.stream, l.version, l.leaf, e.header, e.body
FROM (SELECT * FROM ledger.leaf WHERE position > $1 ORDER BY position LIMIT {BATCH}) l
LEFT JOIN ledger.event e ON e.stream = l.stream AND e.version = l.version
ORDER BY l.position"""  # noqa: S608 - a constant of this module
_TILES: Final = "SELECT t.level, t.idx, t.hashes FROM ledger.tile t ORDER BY t.level, t.idx"
_CHECKPOINTS: Final = "SELECT c.size, c.note FROM ledger.checkpoint c ORDER BY c.size"
_KNOWN_TIMES: Final = "SELECT t.position, t.known_us FROM ledger.known_time t"
_HEAD: Final = """
SELECT h.size, h.frontier, coalesce((SELECT max(l.position) + 1 FROM ledger.leaf l), 0)
FROM ledger.head h"""
# Rows above the cursor, or of a restored tail whose turn has not come, wait for their position.
_UNNUMBERED: Final = """
SELECT e.stream, e.version, coalesce(
    (e.id > h.floor_id AND (e.tx, e.id) > (h.last_tx, h.last_id))
    OR (h.tail_through IS NOT NULL AND e.id <= h.floor_id), false)
FROM ledger.event e LEFT JOIN ledger.head h ON true
WHERE NOT EXISTS (
    SELECT FROM ledger.leaf l WHERE l.stream = e.stream AND l.version = e.version)
ORDER BY 3, 1, 2 LIMIT 10000"""


class _Head(NamedTuple):
    size: int
    frontier: bytes
    end: int
    """One above the highest position that has a leaf row."""


class _Kept(NamedTuple):
    """A kept checkpoint, and whether the log key signed it."""

    note: verify.Note
    text: str
    signed: bool


def verify_database(
    pool: Pool,
    vkeys: Sequence[str],
    held: bytes | str | None = None,
    witnesses: Sequence[str] = (),
    quorum: int | None = None,
) -> dict[str, Any]:
    """Verify the whole log as this snapshot of the database holds it.

    ``vkeys`` and ``witnesses`` are vkey texts from outside the database, ``held`` a checkpoint kept
    from an earlier day, ``quorum`` how many of the witnesses must have signed the newest one (all,
    when None). Gives the result of ``docs/formats.md`` §5; it never raises over damage.

    Raises:
        verify.Unusable: a key or the held checkpoint is not one.
        LedgerUnreachable: the database does not answer.
    """
    given, seen_by = verify.parse_keys(vkeys, witnesses)
    kept = verify.parse_held(held)
    needed = len(seen_by) if quorum is None else quorum
    try:
        with borrowed(pool) as connection, connection.transaction():
            connection.execute(_SNAPSHOT)
            return _Verification(connection, given, seen_by, needed).run(kept)
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        raise LedgerUnreachable("the database does not answer") from error


class _Verification:
    """One run over one snapshot."""

    def __init__(
        self, connection: Connection, given: list[verify.Key], witnesses: list[verify.Key],
        quorum: int,
    ) -> None:  # fmt: skip
        self.connection = connection
        self.given, self.witnesses, self.quorum = given, witnesses, quorum
        self.problems = verify.Problems()
        self.stored = bytearray()
        self.stored_at: dict[int, int] = {}
        self.misplaced: list[tuple[int, bytes]] = []
        self.tiles: dict[tuple[int, int], bytes] = {}

    def run(self, held: verify.Note | None) -> dict[str, Any]:
        """Every check, in the order in which one needs another."""
        cell: UUID = self._all("SELECT c.cell FROM ledger.cell c")[0][0]
        log = next((key for key in self.given if key.name == log_origin(cell)), None)
        if log is None:
            self.problems.add("untrusted-key", "no key of this log was given from outside")
        checkpoints = self._checkpoints(log, log_origin(cell))
        rows = self._all(_HEAD)
        head = _Head(*rows[0]) if rows else None
        end = head.end if head else self._all("SELECT count(*) FROM ledger.leaf")[0][0]
        size = max([end, *(c.note.size for c in checkpoints if c.signed)])
        scan = verify.Scan(size, None, cell.bytes, self.problems)
        scan.read(self._records())
        self._read_tiles(size)
        self._check_unnumbered()
        newest = checkpoints[-1] if checkpoints else None
        tree = self._tree(scan, size, self._anchor(newest, head, size))
        self._check_known_times(scan, size)
        for position, stream in self.misplaced:
            if position not in scan.bad:
                detail = "its row is filed under another stream or version"
                self.problems.add("entry-format", detail, position, stream)
        self._check_head(head, tree)
        self._check_roots(checkpoints, tree, size)
        root = tree.root_at(size)
        here = verify.Note(b"", log_origin(cell), size, root or bytes(32), [])
        verify.check_held(held, here, None, tree.root_at, self.given, self.problems)
        return self.problems.result(size, root, newest.text if newest else "")

    def _records(self) -> Iterator[verify.Record]:
        last = -1
        while True:
            rows = self._all(_RECORDS, Int8(last))
            for position, stream, version, leaf, header, body in rows:
                self.stored_at[position] = len(self.stored)
                self.stored += leaf
                if header is None:
                    continue
                if len(header) != verify.HEADER_LENGTH:
                    self.problems.add("entry-format", "a header of another length", position)
                    continue
                if header[24:48] != stream.bytes + version.to_bytes(8, "big"):
                    self.misplaced.append((position, stream.bytes))
                yield position, header, body
            if len(rows) < BATCH:
                return
            last = rows[-1][0]

    def _read_tiles(self, size: int) -> None:
        for level, index, hashes in self._all(_TILES):
            if size >> 8 * (level + 1) <= index or level > 7:
                self.problems.add("tile-extra", f"tile {level}/{index} is above the log's end")
            elif len(hashes) != 8192:
                self.problems.add("tile-mismatch", f"tile {level}/{index}: wrong length",
                                  index << 8 * (level + 1))  # fmt: skip
            else:
                self.tiles[level, index] = hashes
        for level, index, width in verify.tiles_at(size):
            if width == 256 and (level, index) not in self.tiles:
                self.problems.add("tile-missing", f"tile {level}/{index} is not there",
                                  index << 8 * (level + 1))  # fmt: skip
        partial = self._leaf_rows(size >> 8 << 8, size)
        if partial is not None:
            self.tiles[0, size >> 8] = partial

    def _tree(self, scan: verify.Scan, size: int, root: bytes) -> verify.Tree:
        """Judge records, leaf rows and tiles against the root, and what waited for it."""
        claimed = self.tiles.get
        tree = verify.Tree(size, root, {}, lambda level, n: claimed((level, n)), self.problems)
        if scan.dense() and len(scan.leaves) == 32 * size and tree.clean(bytes(scan.leaves)):
            scan.finish(None)
            self._check_leaf_rows(scan.leaf_at)
            return tree
        tree = verify.Tree(
            size, root, scan.leaf_map(), lambda level, n: claimed((level, n)), self.problems,
            stored={p: bytes(self.stored[at : at + 32]) for p, at in self.stored_at.items()},
        )  # fmt: skip
        right = tree.check([(level, n) for level, n, _ in verify.tiles_at(size)])
        scan.finish(right)
        self._check_leaf_rows(right.get)
        return tree

    def _leaf_rows(self, start: int, end: int) -> bytes | None:
        """Hashes of leaf rows from ``start`` to below ``end``; None where one is missing."""
        places = [self.stored_at.get(position) for position in range(start, end)]
        if None in places:
            return None
        return b"".join(bytes(self.stored[at : at + 32]) for at in places if at is not None)

    def _check_leaf_rows(self, right: Any) -> None:
        """Compare the hash each leaf row repeats with the one the log holds."""
        told = {p["position"] for p in self.problems.found if p["kind"] == "tile-mismatch"}
        for position, at in self.stored_at.items():
            if right(position) not in (bytes(self.stored[at : at + 32]), None) and (
                position not in told
            ):
                self.problems.add("tile-mismatch", "the leaf row holds another hash", position)

    def _check_known_times(self, scan: verify.Scan, size: int) -> None:
        """Compare the time at which each batch was known with its records', up to any damage.

        "Known at" reads these rows: another time there would hide events, or show them too early.
        """
        told: dict[int, int] = dict(self._all(_KNOWN_TIMES))
        end = min(scan.bad, default=size)
        for position, known in zip(scan.positions, accumulate(scan.times, max), strict=True):
            if position >= end:
                return
            if told.get(position, known) != known:
                self.problems.add("order", "its known time is not that of the records", position)
        if end == size and size and size - 1 not in told:
            self.problems.add("order", "the last batch has no known time", size - 1)

    def _anchor(self, newest: _Kept | None, head: _Head | None, size: int) -> bytes:
        """The root to judge by: signed, where the newest checkpoint is of this size."""
        if newest is not None and newest.note.size == size and newest.signed:
            return newest.note.root
        if head is not None and head.size == size:
            try:
                return merkle.Frontier.from_bytes(size, head.frontier).root()
            except Malformed:
                pass
        return newest.note.root if newest is not None and newest.note.size == size else bytes(32)

    def _check_head(self, head: _Head | None, tree: verify.Tree) -> None:
        if head is None:
            self.problems.add("root", "the log has no head row")
            return
        if head.size != head.end:
            detail = f"the head says size {head.size}, positions end at {head.end}"
            self.problems.add("root", detail)
            return
        try:
            root = merkle.Frontier.from_bytes(head.size, head.frontier).root()
        except Malformed:
            root = b""
        if root != tree.root_at(head.size) and not self.problems.counts.get("root"):
            self.problems.add("root", "the head's frontier is not the tree's")

    def _checkpoints(self, log: verify.Key | None, origin: str) -> list[_Kept]:
        """Judge every kept checkpoint; the newest with its witnesses."""
        rows = self._all(_CHECKPOINTS)
        kept = []
        for n, (size, text) in enumerate(rows):
            try:
                note = verify.parse_note(text.encode())
            except ValueError as error:
                self.problems.add("checkpoint-format", f"checkpoint {size}: {error}")
                continue
            if note.size != size:
                detail = f"checkpoint {size}: its text says {note.size}"
                self.problems.add("checkpoint-format", detail)
            if note.origin != origin:
                self.problems.add("checkpoint-format", f"checkpoint {size}: of another log")
            if log is None:
                signed = False
            elif n == len(rows) - 1:
                signers = {(name, key_id) for name, key_id, _ in note.lines}
                listed = [log, *(k for k in self.witnesses if (k.name, k.key_id) in signers)]
                signed = verify.check_note(
                    note, log, listed, self.witnesses, self.quorum, self.problems
                )
            else:
                signed = _signed(note, log)
                if not signed:
                    detail = f"checkpoint {size}: not signed by the log key"
                    self.problems.add("checkpoint-signature", detail)
            kept.append(_Kept(note, text, signed))
        return kept

    def _check_roots(self, kept: list[_Kept], tree: verify.Tree, size: int) -> None:
        """Compare every kept checkpoint with the log as it is now."""
        if size and not kept:
            self.problems.add("missing-signature", "no checkpoint of this log is kept")
        for note, _, signed in kept:
            root = tree.root_at(note.size) if note.size <= size else None
            if note.size > size:
                detail = f"checkpoint {note.size} is above the log's end {size}"
                self.problems.add("root", detail)
            elif root != note.root and not (note.size == size and self._told_root()):
                kind = "fork" if signed and note.size < size and root is not None else "root"
                self.problems.add(kind, f"the log has another root at checkpoint {note.size}")
        if kept and kept[-1].note.size < size:
            above = size - kept[-1].note.size
            self.problems.unchecked.append(f"{above} positions above the newest checkpoint")

    def _told_root(self) -> bool:
        return bool(self.problems.counts.get("root"))

    def _check_unnumbered(self) -> None:
        waiting = 0
        for stream, version, waits in self._all(_UNNUMBERED):
            if waits:
                waiting += 1
            else:
                detail = f"version {version} never got a position"
                self.problems.add("leaf-unknown", detail, None, stream.bytes)
        if waiting:
            self.problems.unchecked.append(f"{waiting} events wait for their position")

    def _all(self, query: str, *parameters: object) -> list[Any]:
        return binary_cursor(self.connection).execute(query, parameters).fetchall()


def _signed(note: verify.Note, key: verify.Key) -> bool:
    """Whether a key of algorithm 1 signed this note (the quick way: there may be thousands)."""
    public = Ed25519PublicKey.from_public_bytes(key.public)
    for name, key_id, signature in note.lines:
        if (name, key_id) == (key.name, key.key_id):
            try:
                public.verify(signature, note.text)
            except InvalidSignature:
                return False
            return True
    return False
