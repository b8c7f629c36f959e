"""An audit export built byte by byte, without a database: what verify.py is tested on."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import struct
import zipfile
from pathlib import Path
from typing import Any
from uuid import UUID

from releve.security.ledger import envelope, merkle
from releve.security.ledger.notes import LogSigner, log_origin

CELL = UUID(int=0xCE11 << 64)
START_US = 1_795_420_800_000_000
SYSTEM = UUID(int=0)
DATA_KEY = bytes(range(32))


def b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def stream_id(number: int) -> UUID:
    """A pseudonym that looks like one; ascending numbers do not sort alike."""
    return UUID(bytes=hashlib.sha256(b"stream%d" % number).digest()[:16])


class Ledger:
    """Records in order of position, and exports of them."""

    def __init__(self, seed: int = 1) -> None:
        self.signer = LogSigner(bytes([seed]) * 32, log_origin(CELL))
        self.records: list[tuple[bytes, bytes]] = []
        self.heads: dict[UUID, tuple[int, bytes]] = {}
        self.now = START_US
        self.previous: int | None = None
        self.ids = 0

    @property
    def vkey(self) -> str:
        return self.signer.vkey

    def next_id(self) -> UUID:
        self.ids += 1
        return UUID(bytes=hashlib.sha256(b"event%d" % self.ids).digest()[:16])

    def take(self, header: bytes, body: bytes) -> int:
        stream, version = UUID(bytes=header[24:40]), int.from_bytes(header[40:48], "big")
        self.records.append((header, body))
        self.heads[stream] = (version, envelope.leaf_hash(header))
        return len(self.records) - 1

    def add(
        self,
        stream: UUID,
        *,
        event_class: int = 1,
        at: int | None = None,
        session: UUID = SYSTEM,
        size: int = 200,
        event_id: UUID | None = None,
        version: int | None = None,
        prev: bytes | None = None,
    ) -> int:
        """Append an event whose body looks sealed (no verifier opens it) and give its position."""
        self.now += 1_000_000
        last = self.heads.get(stream, (0, envelope.GENESIS))
        event_id = event_id or self.next_id()
        version = last[0] + 1 if version is None else version
        body = hashlib.shake_256(event_id.bytes).digest(28 + 256 * (1 + size // 256))
        header = envelope.Header(
            flags=0,
            event_class=event_class,
            event_id=event_id,
            stream=stream,
            version=version,
            recorded_at=self.now if at is None else at,
            session=session,
            key_generation=1,
            prev=last[1] if prev is None else prev,
            commitment=envelope.event_keys(DATA_KEY, event_id, stream, version)[1],
            body_sha256=hashlib.sha256(body).digest(),
        )
        return self.take(header.pack(), body)

    def own(self, event_class: int, stream: UUID, body: bytes) -> int:
        """Append one of the ledger's own events and give its position."""
        self.now += 1_000_000
        version, leaf = self.heads.get(stream, (0, envelope.GENESIS))
        return self.take(
            *envelope.seal_clear(
                event_class=event_class,
                event_id=self.next_id(),
                stream=stream,
                version=version + 1,
                recorded_at_us=self.now,
                session=SYSTEM,
                prev=leaf,
                body=body,
            )
        )

    def open_session(self) -> UUID:
        position = self.own(envelope.SESSION_OPENED, CELL, hashlib.sha256(b"token").digest())
        return UUID(bytes=self.records[position][0][8:24])

    def append_heads(self) -> int:
        rows = [(s, v, leaf) for s, (v, leaf) in self.heads.items()]
        root = merkle.root(merkle.heads_leaves(rows))
        body = struct.pack(">QQ", len(self.records), len(rows)) + root
        return self.own(envelope.HEADS, envelope.heads_stream(CELL), body)

    def leaves(self) -> list[bytes]:
        return [envelope.leaf_hash(h) for h, _ in self.records]

    def note(self, size: int | None = None) -> bytes:
        leaves = self.leaves()[:size]
        return self.signer.sign(len(leaves), merkle.root(leaves)).encode()

    def export(
        self,
        streams: list[UUID] | None = None,
        *,
        extra: list[int] | None = None,
        **manifest: Any,
    ) -> dict[str, bytes]:
        """Append EXPORT and HEADS and give the members of an export, by name."""
        size = len(self.records) + 2
        whole = streams is None
        names = {*self.heads, envelope.heads_stream(CELL)} if streams is None else set(streams)
        members = {
            "manifest.json": canonical(
                {
                    "format": "releve-export/1",
                    "scope": "log" if whole else "streams",
                    "requested": {} if streams is None else {"patient": streams[0].hex},
                    "streams": sorted(s.hex for s in names),
                    "extra": extra or [],
                    "checkpoint_size": size,
                    **manifest,
                }
            )
        }
        digest = hashlib.sha256(members["manifest.json"]).digest()
        self.own(envelope.EXPORT, envelope.heads_stream(CELL), digest)
        rows = sorted((s.bytes, v, leaf) for s, (v, leaf) in self.heads.items())
        self.append_heads()
        hashes = merkle.hashes_in_memory(self.leaves())
        members["checkpoint"] = self.note()
        members["vkeys"] = f"{self.vkey}\n".encode()
        if self.previous is not None:
            proof = merkle.consistency_proof(self.previous, size, hashes)
            lines = "".join(f"{b64(h)}\n" for h in proof)
            old = self.note(self.previous)
            members["consistency"] = f"old {self.previous}\n{lines}\n".encode() + old
        self.previous = size
        kept = [
            p
            for p, (header, _) in enumerate(self.records)
            if whole
            or UUID(bytes=header[24:40]) in names
            or p in (extra or [])
            or p >= size - 2
            or header[6:8] == envelope.SESSION_OPENED.to_bytes(2, "big")
        ]
        members["entries.bin"] = b"".join(self.record(p) for p in kept)
        tiles = merkle.tiles_of(size)
        for tile in tiles:
            span = range(
                tile.index << 8 * (tile.level + 1), (tile.index + 1) << 8 * (tile.level + 1)
            )
            if whole or tile.width < 256 or any(p in span for p in kept):
                members[tile.path] = merkle.read_tile(tile, hashes)
        heads_rows = [(UUID(bytes=s), v, leaf) for s, v, leaf in rows]
        reader = merkle.hashes_in_memory(merkle.heads_leaves(heads_rows))
        heads_root = merkle.root_at(len(rows), reader)
        found = []
        for index, (stream, version, leaf) in enumerate(heads_rows):
            if stream in names:
                row: dict[str, Any] = {
                    "stream": stream.hex,
                    "version": version,
                    "leaf": b64(leaf),
                    "index": index,
                }
                if len(names) < len(rows):
                    proof = merkle.inclusion_proof(index, len(rows), reader)
                    row["proof"] = [b64(h) for h in proof]
                found.append(row)
        members["heads.json"] = canonical(
            {
                "position": size - 1,
                "tree_size": len(rows),
                "root": b64(heads_root),
                "streams": found,
            }
        )
        return members

    def record(self, position: int) -> bytes:
        header, body = self.records[position]
        return record(position, header, body)


def record(position: int, header: bytes, body: bytes) -> bytes:
    """One record of ``entries.bin``."""
    return struct.pack(">QI", position, 172) + header + struct.pack(">I", len(body)) + body


def records(entries: bytes) -> list[tuple[int, bytes, bytes]]:
    """Position, header and body of each record of ``entries.bin``."""
    every, at = [], 0
    while at < len(entries):
        position, _ = struct.unpack_from(">QI", entries, at)
        (size,) = struct.unpack_from(">I", entries, at + 184)
        every.append((position, entries[at + 12 : at + 184], entries[at + 188 : at + 188 + size]))
        at += 188 + size
    return every


def find_record(entries: bytes, position: int) -> tuple[int, int]:
    """Start and end of a position's record in ``entries.bin``."""
    at = 0
    while at < len(entries):
        here, _ = struct.unpack_from(">QI", entries, at)
        (size,) = struct.unpack_from(">I", entries, at + 184)
        if here == position:
            return at, at + 188 + size
        at += 188 + size
    raise KeyError(position)


def zipped(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """The members as a zip."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, raw in members.items():
            archive.writestr(name, raw)
    return buffer.getvalue()


def write_zip(path: Path, members: dict[str, bytes]) -> Path:
    """Write the members as a zip."""
    path.write_bytes(zipped(members))
    return path


def small_ledger(events: int = 300, streams: int = 6) -> Ledger:
    """Some patients, one session, HEADS in between."""
    ledger = Ledger()
    session = ledger.open_session()
    for n in range(events):
        ledger.add(
            stream_id(n % streams), session=session if n % 7 == 0 else SYSTEM, size=n % 5 * 100
        )
        if n % 100 == 99:
            ledger.append_heads()
    return ledger
