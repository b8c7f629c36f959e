"""Write an export that an auditor can verify offline (``docs/formats.md`` §5).

An export is evidence: it holds what the database holds, damaged or not, and says nothing about
whether it verifies; ``verify.py``, which travels inside, does. That an export was made is itself
in the log: an EXPORT event over its manifest and a HEADS event over all streams come first, and
the checkpoint it cites ends with them.
"""

from __future__ import annotations

import base64
import os
import struct
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple
from uuid import UUID

import psycopg
import rfc8785
from psycopg.types.numeric import Int4, Int8

from releve.security.errors import Malformed, SecurityError, Tampered
from releve.security.ledger import merkle, verify
from releve.security.ledger.checkpointer import Checkpointer
from releve.security.ledger.connection import (
    Connection,
    LedgerUnreachable,
    Pool,
    binary_cursor,
    borrowed,
)
from releve.security.ledger.envelope import ACCESS, EXPORT, HEADER_LENGTH, heads_stream
from releve.security.ledger.heads import heads_file, stream_heads
from releve.security.ledger.notes import Checkpoint, LogSigner, parse_note, verify_note
from releve.security.ledger.sequencer import Sequencer

BATCH: Final = 2_000
_BIG: Final = 1 << 31
_FIRST_DAY: Final = (1980, 1, 1, 0, 0, 0)
"""The zip's own dates say nothing, so that equal evidence gives equal bytes."""

_SNAPSHOT: Final = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
_CELL: Final = "SELECT c.cell FROM ledger.cell c"
_NEWEST: Final = """
SELECT c.note FROM ledger.checkpoint c WHERE c.size <= $1 ORDER BY c.size DESC LIMIT 1"""
_PREVIOUS: Final = """
SELECT l.position FROM ledger.leaf l WHERE l.stream = $1 AND l.class = $2 AND l.position < $3
ORDER BY l.version DESC LIMIT 1"""
_POSITIONS: Final = """
SELECT l.position FROM ledger.leaf l WHERE l.stream = ANY ($1::uuid[]) AND l.position < $2"""
_SESSIONS: Final = """
SELECT DISTINCT substring(e.header FROM 57 FOR 16)
FROM ledger.leaf l JOIN ledger.event e ON e.stream = l.stream AND e.version = l.version
WHERE l.position = ANY ($1::bigint[])"""
_OPENED: Final = """
SELECT l.position FROM ledger.event e
JOIN ledger.leaf l ON l.stream = e.stream AND l.version = e.version
WHERE e.stream = $1 AND e.event_id = ANY ($2::uuid[]) AND l.position < $3"""
_RECORDS: Final = """
SELECT l.position, e.header, e.body
FROM ledger.leaf l JOIN ledger.event e ON e.stream = l.stream AND e.version = l.version
WHERE l.position = ANY ($1::bigint[]) ORDER BY l.position"""
_ACCESS_ENTRIES: Final = """
SELECT l.position FROM ledger.leaf l
WHERE l.position = ANY ($1::bigint[]) AND l.class = $2 AND NOT l.stream = ANY ($3::uuid[])"""
_LEAVES: Final = """
SELECT l.position, l.leaf FROM ledger.leaf l WHERE l.position >= $1 AND l.position < $2
ORDER BY l.position"""
_HEADERS: Final = """
SELECT l.position, sha256('\\x00'::bytea || e.header)
FROM ledger.leaf l JOIN ledger.event e ON e.stream = l.stream AND e.version = l.version
WHERE l.position >= $1 AND l.position < $2 ORDER BY l.position"""
_TILE: Final = "SELECT t.hashes FROM ledger.tile t WHERE t.level = $1 AND t.idx = $2"


class NotInLog(SecurityError):
    """What was asked for has no numbered event in this log."""

    code = "not-available"


class Exported(NamedTuple):
    """What was written: the checkpoint's size and root, how many records and streams, where."""

    size: int
    root: bytes
    entries: int
    streams: int
    path: Path


def export_audit(
    pool: Pool,
    sequencer: Sequencer,
    checkpointer: Checkpointer,
    signer: LogSigner,
    *,
    requested: Mapping[str, str],
    streams: Sequence[UUID] | None,
    out: Path,
    extra: Iterable[int] = (),
    event_keys: Mapping[UUID, tuple[bytes, bytes]] | None = None,
) -> Exported:
    """Write the export of these streams, or of the whole log when ``streams`` is None.

    Appends EXPORT and HEADS, signs and cites the checkpoint above them unless the last one kept is
    damaged or another history's (that one is shown then), and leaves ``out`` whole or not
    there at all. ``requested`` is what was asked for (``patient``, ``stream``: 32 hex digits;
    ``centre``: FINESS; empty for the log). ``extra`` are positions of access entries that name
    the patient. ``event_keys`` (encryption key, commitment) open single events to the auditor.

    Raises:
        NotInLog: a stream has no event with a position.
        LedgerUnreachable: the database does not answer.
        OSError: the file cannot be written.
    """
    wanted = None if streams is None else sorted(set(streams), key=lambda stream: stream.bytes)
    named = [] if wanted is None else _access_entries(pool, sorted(set(extra)), wanted)
    listed: list[UUID] = []

    def build_manifest(size: int, everything: Sequence[UUID]) -> bytes:
        if wanted is not None and not set(wanted) <= set(everything):
            raise NotInLog("a stream that was asked for is not in this log")
        listed[:] = everything if wanted is None else wanted
        return rfc8785.dumps(
            {
                "format": "releve-export/1",
                "scope": "log" if wanted is None else "streams",
                "requested": dict(requested),
                "streams": [stream.hex for stream in listed],
                "extra": named,
                "checkpoint_size": size,
            }
        )

    appended = sequencer.append_export(build_manifest)
    size = appended.size
    members = {
        "manifest.json": appended.manifest,
        "vkeys": f"{signer.vkey}\n".encode(),
        "verify.py": Path(verify.__file__).read_bytes(),
    }
    if event_keys:
        members["event_keys"] = rfc8785.dumps(
            {event.hex: _base64(key + mark) for event, (key, mark) in event_keys.items()}
        )
    try:
        with borrowed(pool) as connection, connection.transaction():
            connection.execute(_SNAPSHOT)
            evidence = _Evidence(connection, size, appended.root)
            damaged = evidence.damaged_checkpoint(signer)
            note = damaged or checkpointer.at(size, appended.root)
            members["checkpoint"] = note.encode()
            heads = stream_heads(connection, size - 1)
            members["heads.json"] = rfc8785.dumps(heads_file(size - 1, heads, listed))
            old = None if damaged else evidence.previous_export()
            if old is not None:
                with suppress(Tampered):  # its checkpoint is gone and its tiles are damaged
                    members["consistency"] = evidence.consistency(old, checkpointer.at(old))
            positions: Sequence[int] = range(size)
            if wanted is not None:
                positions = evidence.positions(wanted, named)
            members.update(evidence.tiles(positions, whole=wanted is None))
            count = _write(out, members, evidence.records(positions))
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        raise LedgerUnreachable("the database does not answer") from error
    return Exported(size, appended.root, count, len(listed), out)


def _access_entries(pool: Pool, positions: Sequence[int], streams: Sequence[UUID]) -> list[int]:
    """The positions among these that hold access entries of other streams, ascending."""
    with borrowed(pool) as connection:
        parameters = ([Int8(p) for p in positions], Int4(ACCESS), list(streams))
        rows = binary_cursor(connection).execute(_ACCESS_ENTRIES, parameters).fetchall()
    return sorted(row[0] for row in rows)


class _Evidence:
    """Reads what an export of one size holds, in one snapshot."""

    def __init__(self, connection: Connection, size: int, root: bytes) -> None:
        self._connection = connection
        self._made: list[merkle.Hashes] = []
        self._size = size
        self._root = root
        self._cell: UUID = self._all(_CELL)[0][0]

    def damaged_checkpoint(self, signer: LogSigner) -> str | None:
        """The last checkpoint kept, if it is damaged or the log does not continue it.

        The log key never signs on top of one: an export then shows it as it is kept, and does not
        verify.
        """
        rows = self._all(_NEWEST, Int8(self._size))
        if not rows:
            return None
        kept: str = rows[0][0]
        try:
            signed = verify_note(kept, [signer.vkey])
        except Tampered:
            return kept
        continued = any(self._gives(hashes, signed) for hashes in self._trees())
        return None if continued else kept

    def _gives(self, hashes: merkle.Hashes, checkpoint: Checkpoint) -> bool:
        try:
            return merkle.root_at(checkpoint.size, hashes) == checkpoint.root
        except Tampered:
            return False

    def previous_export(self) -> int | None:
        """The log's size at its previous export."""
        stream = heads_stream(self._cell)
        rows = self._all(_PREVIOUS, stream, Int4(EXPORT), Int8(self._size - 2))
        return rows[0][0] + 2 if rows else None

    def consistency(self, old: int, note: str) -> bytes:
        """The proof that this log begins with the one of that size, before the old checkpoint."""
        try:
            old_root = Checkpoint.parse(parse_note(note).text).root
        except Malformed:
            old_root = b""
        proof: list[bytes] = []
        for hashes in self._trees():
            try:
                proof = merkle.consistency_proof(old, self._size, hashes)
            except Tampered:
                continue
            if merkle.verify_consistency(old, self._size, old_root, self._root, proof):
                break
        lines = "".join(f"{_base64(step)}\n" for step in proof)
        return f"old {old}\n{lines}\n{note}".encode()

    def positions(self, streams: Sequence[UUID], extra: Sequence[int]) -> list[int]:
        """What to export: the streams' own, EXPORT, HEADS, extra, and sessions referred to."""
        found = {row[0] for row in self._all(_POSITIONS, list(streams), Int8(self._size))}
        found |= {*extra, self._size - 2, self._size - 1}
        new = sorted(found)
        while new:
            sessions = self._sessions(new)
            rows = self._all(_OPENED, self._cell, sessions, Int8(self._size)) if sessions else []
            new = sorted({row[0] for row in rows} - found)
            found.update(new)
        return sorted(found)

    def records(self, positions: Sequence[int]) -> Iterator[tuple[int, bytes, bytes]]:
        """Position, header and body (empty where absent); a row that is gone is left out."""
        for start in range(0, len(positions), BATCH):
            chunk = [Int8(p) for p in positions[start : start + BATCH]]
            for position, header, body in self._all(_RECORDS, chunk):
                if len(header) == HEADER_LENGTH:
                    yield position, header, body or b""

    def tiles(self, positions: Sequence[int], *, whole: bool) -> dict[str, bytes]:
        """The tiles of an export as the database holds them, by member name; absent ones left out.

        Partial tiles above level 0 are not stored: they are made from the first of tiles, leaf
        rows and headers that gives the signed root, so that one damaged row stays one.
        """
        found = {}
        every = merkle.tiles_of(self._size)
        for tile in every if whole else _tiles_for(self._size, positions):
            raw = self._tile(tile)
            if raw is not None:
                found[tile.path] = raw
        return found

    def _tile(self, tile: merkle.Tile) -> bytes | None:
        if tile.width == merkle.TILE_WIDTH:
            rows = self._all(_TILE, Int4(tile.level), Int8(tile.index))
            return bytes(rows[0][0]) if rows else None
        start = tile.index * merkle.TILE_WIDTH
        if tile.level == 0:
            rows = self._all(_LEAVES, Int8(start), Int8(start + tile.width))
            return b"".join(row[1] for row in rows) if len(rows) == tile.width else None
        best: bytes | None = None
        for hashes in self._trees():
            try:
                raw = merkle.read_tile(tile, hashes)
                best = best or raw
                if merkle.root_at(self._size, hashes) == self._root:
                    return raw
            except Tampered:
                continue
        return best

    def _trees(self) -> Iterator[merkle.Hashes]:
        """The tree as the tiles have it, then as leaf rows do, then as headers do."""
        for n, make in enumerate((self._from_tiles, self._from_leaves, self._from_headers)):
            if n == len(self._made):
                self._made.append(make())
            yield self._made[n]

    def _from_tiles(self) -> merkle.Hashes:
        def stored(tile: merkle.Tile) -> bytes:
            if tile.width == merkle.TILE_WIDTH or tile.level == 0:
                raw = self._tile(tile)
                if raw is None:
                    raise Tampered("a tile or a leaf row is missing")
                return raw
            start = tile.index * merkle.TILE_WIDTH
            below = (merkle.Tile(tile.level - 1, n) for n in range(start, start + tile.width))
            return b"".join(merkle.root(merkle.split(stored(each))) for each in below)

        return merkle.hashes_in_tiles(self._size, stored)

    def _from_leaves(self) -> merkle.Hashes:
        return merkle.hashes_in_memory(self._hashes(_LEAVES))

    def _from_headers(self) -> merkle.Hashes:
        return merkle.hashes_in_memory(self._hashes(_HEADERS))

    def _hashes(self, query: str) -> list[bytes]:
        """Leaf hashes by position, up to the first that is missing."""
        found: list[bytes] = []
        while len(found) < self._size:
            end = min(len(found) + BATCH, self._size)
            rows = self._all(query, Int8(len(found)), Int8(end))
            found += [row[1] for n, row in enumerate(rows, len(found)) if row[0] == n]
            if len(found) < end:
                break
        return found

    def _sessions(self, positions: Sequence[int]) -> list[UUID]:
        rows = self._all(_SESSIONS, [Int8(p) for p in positions])
        return [UUID(bytes=row[0]) for row in rows if len(row[0]) == 16 and any(row[0])]

    def _all(self, query: str, *parameters: object) -> list[Any]:
        return binary_cursor(self._connection).execute(query, parameters).fetchall()


def _tiles_for(size: int, positions: Sequence[int]) -> Iterator[merkle.Tile]:
    """The right edge, and each position's own tile with those above it, up to a partial one."""
    full: set[tuple[int, int]] = set()
    for position in positions:
        level, index = 0, position >> merkle.TILE_HEIGHT
        while (level, index) not in full and index < size >> merkle.TILE_HEIGHT * (level + 1):
            full.add((level, index))
            level, index = level + 1, index >> merkle.TILE_HEIGHT
    for tile in merkle.tiles_of(size):
        if tile.width < merkle.TILE_WIDTH or (tile.level, tile.index) in full:
            yield tile


def _write(
    out: Path, members: Mapping[str, bytes], records: Iterator[tuple[int, bytes, bytes]]
) -> int:
    """Write the zip beside its place, then move it there; gives the number of records."""
    handle, name = tempfile.mkstemp(prefix=f".{out.name}.", dir=out.parent)
    try:
        with open(handle, "wb") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
                for member, raw in members.items():
                    archive.writestr(_member(member), raw)
                count = _write_entries(archive, records)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, out)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return count


def _write_entries(archive: zipfile.ZipFile, records: Iterator[tuple[int, bytes, bytes]]) -> int:
    count, total = 0, 0
    with tempfile.TemporaryFile() as spool:
        for position, header, body in records:
            head = struct.pack(">QI", position, HEADER_LENGTH) + header
            total += spool.write(head + struct.pack(">I", len(body)) + body)
            count += 1
        spool.seek(0)
        with archive.open(_member("entries.bin"), "w", force_zip64=total >= _BIG) as entries:
            while piece := spool.read(1 << 20):
                entries.write(piece)
    return count


def _member(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _FIRST_DAY)
    info.external_attr = 0o644 << 16
    return info


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")
