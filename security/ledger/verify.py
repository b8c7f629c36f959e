#!/usr/bin/env python3
"""Check an audit export of Relève's ledger with this one file and Python 3.9 or later, alone.

    python verify.py EXPORT.zip --vkey 'releve/...+....+...'
        [--checkpoint HELD] [--witness V]... [--quorum N] [--json]

It says whether every record of the export stands in the log that the given key signed, whether
anything was left out, and at which position something was changed. It needs no database, no
network and no decryption key, reads no clinical text, and trusts no key found inside the export:
the log's key comes from outside, by ``--vkey`` (the text, or ``@FILE``). ``--checkpoint`` takes a
checkpoint kept from an earlier day: only that shows a log that was rewritten by who holds its key.

Written from ``docs/formats.md`` alone, apart from the code that writes the ledger. Exit codes:
0 verified; 1 verified, but clocks ran backwards; 5 not verified; 2 wrong use.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import json
import os
import re
import struct
import sys
import zipfile
import zlib
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256, sha512
from typing import Any, NamedTuple

HEADER_LENGTH = 172
HEADER = struct.Struct(">8s16s16sQQ16sI32s32s32s")
RECORD = struct.Struct(">QI172sI")
MARK = b"\x00\x00\x00\xacRLE1"  # a record's header length, then the header's magic
HEADS, SHREDDED, PURGED, SESSION_OPENED, EXPORT = 0xFFF0, 0xFFF1, 0xFFF2, 0xFFF3, 0xFFF4
CLEAR_LENGTHS = {HEADS: 48, SHREDDED: 16, PURGED: 18, SESSION_OPENED: 32, EXPORT: 32}
ACCESS = 6
# The only beginnings of a header: magic, suite 1, flags (bit 0 = clear body), class.
CLASSES = {b"RLE1\x01\x00" + c.to_bytes(2, "big"): c for c in range(1, 9)}
CLASSES.update({b"RLE1\x01\x01" + c.to_bytes(2, "big"): c for c in CLEAR_LENGTHS})
ZERO16, ZERO32 = bytes(16), bytes(32)
CLOCK_TOLERANCE_US = 60_000_000
MAX_BODY = 64 << 20
MAX_RATIO = 200
LISTED_PER_KIND = 1000
DAMAGE = (
    zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError,
    RuntimeError, struct.error, LookupError, OverflowError, MemoryError,
)  # fmt: skip

# In quotes: these are evaluated, and Python 3.9 knows no "|" between types.
Claimed = Callable[[int, int], "bytes | None"]
Record = tuple[int, bytes, "bytes | None"]
"""Position, header, body (None where the body is absent)."""


class Unusable(ValueError):
    """An argument (a key, a kept checkpoint) cannot be used at all."""


class Problems:
    """What was found wrong, each with its kind and place; long lists are cut and say so."""

    def __init__(self) -> None:
        self.found: list[dict[str, Any]] = []
        self.unchecked: list[str] = []
        self.counts: dict[str, int] = {}

    def add(
        self, kind: str, detail: str, position: int | None = None, stream: bytes | None = None
    ) -> None:
        """Keep one problem; ``stream`` is a pseudonym's 16 bytes."""
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if self.counts[kind] <= LISTED_PER_KIND:
            text = None if stream is None else bytes(stream).hex()
            entry = {"kind": kind, "position": position, "stream": text, "detail": detail}
            if entry not in self.found[-4:]:
                self.found.append(entry)

    def result(self, size: int, root: bytes | None, checkpoint: str) -> dict[str, Any]:
        """Everything found, in the order of formats.md §5."""
        for kind, count in self.counts.items():
            if count > LISTED_PER_KIND:
                self.unchecked.append(f"{count - LISTED_PER_KIND} more problems of kind {kind}")
        self.found.sort(key=lambda p: -1 if p["position"] is None else p["position"])
        return {
            "size": size,
            "root": "" if root is None else base64.b64encode(root).decode(),
            "checkpoint": checkpoint,
            "verified": all(p["kind"] == "clock" for p in self.found),
            "problems": self.found,
            "unchecked": self.unchecked,
        }


# --- Ed25519 (RFC 8032 §5.1, §6) ------------------------------------------------------------------

_P = 2**255 - 19
_L = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, _P - 2, _P) % _P
_I = pow(2, (_P - 1) // 4, _P)
Point = tuple[int, int, int, int]


def _add(a: Point, b: Point) -> Point:
    one, two = (a[1] - a[0]) * (b[1] - b[0]) % _P, (a[1] + a[0]) * (b[1] + b[0]) % _P
    three, four = 2 * a[3] * b[3] * _D % _P, 2 * a[2] * b[2] % _P
    e, f, g, h = two - one, four - three, four + three, two + one
    return (e * f % _P, g * h % _P, f * g % _P, e * h % _P)


def _times(scalar: int, point: Point) -> Point:
    total: Point = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            total = _add(total, point)
        point, scalar = _add(point, point), scalar >> 1
    return total


def _decode_point(raw: bytes) -> Point | None:
    y = int.from_bytes(raw, "little")
    sign, y = y >> 255, y & ((1 << 255) - 1)
    if y >= _P:
        return None
    square = (y * y - 1) * pow(_D * y * y + 1, _P - 2, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * _I % _P
    if (x * x - square) % _P or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = _P - x
    return (x, y, 1, x * y % _P)


def _encode_point(point: Point) -> bytes:
    inverse = pow(point[2], _P - 2, _P)
    x, y = point[0] * inverse % _P, point[1] * inverse % _P
    return (y | (x & 1) << 255).to_bytes(32, "little")


_BASE = _decode_point(bytes([0x58]) + bytes([0x66]) * 31)


def ed25519_verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Say whether ``signature`` (64 bytes) over ``message`` is by the holder of ``public``."""
    point = _decode_point(public) if len(public) == 32 and len(signature) == 64 else None
    scalar = int.from_bytes(signature[32:], "little")
    if point is None or _BASE is None or scalar >= _L:
        return False
    k = int.from_bytes(sha512(signature[:32] + public + message).digest(), "little") % _L
    minus = (_P - point[0], point[1], 1, _P - point[3])
    return _encode_point(_add(_times(scalar, _BASE), _times(k, minus))) == signature[:32]


# --- Signed notes and checkpoints (C2SP signed-note, tlog-checkpoint, tlog-cosignature) -----------


class Key(NamedTuple):
    """A verifier key: alg 1 signs the log's checkpoints, alg 4 cosigns them for a witness."""

    name: str
    key_id: bytes
    alg: int
    public: bytes
    text: str


class Note(NamedTuple):
    """A checkpoint: its three lines, what they say, and (name, key id, signature) of each line."""

    text: bytes
    origin: str
    size: int
    root: bytes
    lines: list[tuple[str, bytes, bytes]]


def unbase64(text: str | bytes) -> bytes:
    """Decode canonical base64; anything else is a ValueError."""
    raw = text.encode("ascii") if isinstance(text, str) else text
    try:
        value = base64.b64decode(raw, validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error
    if base64.b64encode(value) != raw:
        raise ValueError("base64 not canonical")
    return value


def parse_vkey(text: str) -> Key:
    """Read ``name+key id+base64(alg, public key)``; ValueError where it is not one."""
    parts = text.split("+", 2)
    if len(parts) != 3 or not parts[0] or any(c.isspace() for c in text):
        raise ValueError("not of the form name+id+key")
    raw = unbase64(parts[2])
    if len(raw) != 33 or raw[0] not in (1, 4):
        raise ValueError("not an Ed25519 key of algorithm 1 or 4")
    key_id = sha256(parts[0].encode() + b"\n" + raw).digest()[:4]
    if parts[1] != key_id.hex():
        raise ValueError("its id does not belong to its key")
    if _decode_point(raw[1:]) is None:
        raise ValueError("no point of the curve")
    return Key(parts[0], key_id, raw[0], raw[1:], text)


def parse_note(raw: bytes) -> Note:
    """Read a checkpoint: origin, size, root, empty line, signature lines; else ValueError."""
    if len(raw) > 1 << 16:
        raise ValueError("longer than 64 KiB")
    whole = raw.decode("utf-8")
    if any(ord(c) < 32 and c != "\n" for c in whole):
        raise ValueError("a control character")
    text, gap, signatures = whole.rpartition("\n\n")
    lines = text.split("\n")
    if not gap or len(lines) != 3 or not lines[0]:
        raise ValueError("not three lines, an empty line and signature lines")
    if not re.fullmatch(r"0|[1-9][0-9]{0,18}", lines[1]):
        raise ValueError("its size is not a number")
    root = unbase64(lines[2])
    if len(root) != 32:
        raise ValueError("its root is not 32 bytes")
    found = []
    if not signatures.endswith("\n"):
        raise ValueError("its last line is not ended")
    for line in signatures[:-1].split("\n"):
        dash, name, value = [*line.split(" "), "", ""][:3]
        if dash != "—" or not name or "+" in name or line != f"{dash} {name} {value}":
            raise ValueError("a signature line of another form")
        signature = unbase64(value)
        if len(signature) < 5:
            raise ValueError("a signature too short")
        found.append((name, signature[:4], signature[4:]))
    return Note(text.encode() + b"\n", lines[0], int(lines[1]), root, found)


def line_verifies(note: Note, key: Key, signature: bytes) -> bool:
    """Check one signature line of a note: alg 1 plain Ed25519, alg 4 cosignature/v1."""
    if key.alg == 1:
        return len(signature) == 64 and ed25519_verify(key.public, note.text, signature)
    if len(signature) != 72:
        return False
    stamp = b"cosignature/v1\ntime %d\n" % int.from_bytes(signature[:8], "big")
    return ed25519_verify(key.public, stamp + note.text, signature[8:])


def parse_keys(vkeys: Sequence[str], witnesses: Sequence[str]) -> tuple[list[Key], list[Key]]:
    """Read the keys given from outside; :class:`Unusable` names the one that cannot be."""
    lists: list[list[Key]] = []
    for option, alg, texts in (("--vkey", 1, vkeys), ("--witness", 4, witnesses)):
        keys: list[Key] = []
        for text in texts:
            try:
                key = parse_vkey(text.strip())
            except ValueError as error:
                raise Unusable(f"{option} {text!r}: {error}") from error
            if key.alg != alg:
                raise Unusable(f"{option} {text!r}: its algorithm is {key.alg}, not {alg}")
            if key not in keys:
                keys.append(key)
        lists.append(keys)
    return lists[0], lists[1]


def parse_held(held: bytes | str | None) -> Note | None:
    """Read the checkpoint the auditor kept; :class:`Unusable` where it is not one."""
    try:
        return (
            None if held is None else parse_note(held if isinstance(held, bytes) else held.encode())
        )
    except ValueError as error:
        raise Unusable(f"--checkpoint: {error}") from error


def check_note(
    note: Note, log: Key | None, listed: Sequence[Key], witnesses: Sequence[Key], quorum: int,
    problems: Problems,
) -> bool:  # fmt: skip
    """Judge a checkpoint's lines against its keys; True when the log key's own line verifies."""
    if log is not None and note.origin != log.name:
        problems.add("checkpoint-format", f"its origin {note.origin!r} is not the log key's name")
    if not re.fullmatch(r"releve/[0-9a-f]{32}", note.origin):
        problems.add("checkpoint-format", "its origin is not releve/<cell>")
    known = {(k.name, k.key_id): k for k in [*witnesses, *listed]}
    if log is not None:
        known[log.name, log.key_id] = log
    named = {(k.name, k.key_id) for k in listed}
    seen: set[tuple[str, bytes]] = set()
    good: set[Key] = set()
    for name, key_id, signature in note.lines:
        key = known.get((name, key_id))
        if (name, key_id) in seen:
            problems.add("checkpoint-format", f"two signature lines by {name}")
        elif (name, key_id) not in named:
            problems.add("unknown-signature", f"a line by {name} ({key_id.hex()}), not in vkeys")
        seen.add((name, key_id))
        if key is not None and line_verifies(note, key, signature):
            good.add(key)
        elif key is not None:
            kind = "checkpoint-signature" if key.alg == 1 else "witness-signature"
            problems.add(kind, f"the line by {name} does not verify")
    needed = list(listed) if log is None or log in listed else [log, *listed]
    for key in needed:
        if (key.name, key.key_id) not in seen:
            problems.add("missing-signature", f"no line by {key.name} ({key.key_id.hex()})")
    met = len(good.intersection(witnesses))
    if met < quorum:
        problems.add("missing-signature", f"{met} of the given witnesses signed, {quorum} asked")
    return log is not None and log in good


# --- The tree (RFC 6962 §2.1, in tiles of 256: C2SP tlog-tiles) -----------------------------------


def node(left: bytes, right: bytes) -> bytes:
    """Join two subtrees."""
    return sha256(b"\x01" + left + right).digest()


def subtree(hashes: bytes) -> bytes:
    """Root of a power of two of hashes, given end to end."""
    while len(hashes) > 32:
        hashes = b"".join(
            [sha256(b"\x01" + hashes[o : o + 64]).digest() for o in range(0, len(hashes), 64)]
        )
    return hashes


def peaks(hashes: bytes) -> list[bytes]:
    """Roots of the perfect subtrees a run of hashes is made of, largest first."""
    found, start = [], 0
    for bit in range(len(hashes).bit_length(), 4, -1):
        if len(hashes) & 1 << bit:
            found.append(subtree(hashes[start : start + (1 << bit)]))
            start += 1 << bit
    return found


def join(roots: Sequence[bytes]) -> bytes:
    """Root of the tree over perfect subtrees, largest first (RFC 6962: empty tree = hash of '')."""
    if not roots:
        return sha256(b"").digest()
    total = roots[-1]
    for root in reversed(roots[:-1]):
        total = node(root, total)
    return total


def inclusion_holds(leaf: bytes, index: int, size: int, proof: list[bytes], root: bytes) -> bool:
    """RFC 9162 §2.1.3.2."""
    if not 0 <= index < size:
        return False
    fn, sn, total = index, size - 1, leaf
    for step in proof:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            total = node(step, total)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            total = node(total, step)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and total == root


def consistency_holds(
    old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]
) -> bool:
    """RFC 9162 §2.1.4.2; old = new needs an empty proof."""
    if old == new or old == 0:
        return not proof and (old == 0 or old_root == new_root)
    path = list(proof) if old & (old - 1) else [old_root, *proof]
    if not path or old > new:
        return False
    fn, sn = old - 1, new - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    first = second = path[0]
    for step in path[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            first, second = node(step, first), node(step, second)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            second = node(second, step)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and first == old_root and second == new_root


class Tree:
    """Says which leaf hash the signed root holds at each position, and whose fault a difference is.

    Each hash can be known in up to four ways: as a tile claims it, as the tile below it gives it,
    as the records give it, and in a database as leaf rows give it. From the root downwards, the
    way that hashes to the parent is right; so a changed record and a changed tile are told apart.
    """

    def __init__(
        self, size: int, root: bytes, leaves: Mapping[int, bytes], claimed: Claimed,
        problems: Problems, stored: Mapping[int, bytes] | None = None,
    ) -> None:  # fmt: skip
        self.size, self.root, self.leaves, self.problems = size, root, leaves, problems
        self.claimed, self.stored = claimed, stored or {}
        self.memo: dict[tuple[bool, int, int], bytes | None] = {}
        self.effort = 20_000
        self.nodes: dict[tuple[int, int], bytes | None] = {}
        self.rows: list[bytes] = []

    def width(self, level: int, index: int) -> int:
        """How many hashes a tile has at this size (256 when full, 0 when there is no such tile)."""
        return max(0, min(256, (self.size >> 8 * level) - 256 * index))

    def computed(self, level: int, index: int, leaves: Mapping[int, bytes]) -> bytes | None:
        """A node from leaf hashes alone (the records', or stored ones), where all are there."""
        if level == 0:
            return leaves.get(index)
        if len(leaves) < 256**level:
            return None
        key = (leaves is self.stored, level, index)
        if key not in self.memo:
            below = [self.computed(level - 1, 256 * index + n, leaves) for n in range(256)]
            whole = [h for h in below if h is not None]
            self.memo[key] = subtree(b"".join(whole)) if len(whole) == 256 else None
        return self.memo[key]

    def other_ways(self, level: int, index: int) -> list[bytes]:
        """What a node is without asking the tile that holds it."""
        tile = self.claimed(level - 1, index) if level else None
        below = None if tile is None else subtree(tile)
        stored = self.computed(level, index, self.stored)
        return [
            h for h in (below, stored, self.computed(level, index, self.leaves)) if h is not None
        ]

    def settle(
        self, slots: Sequence[tuple[int, int]], fits: Callable[[Sequence[bytes]], bool]
    ) -> tuple[list[bytes | None], bool]:
        """Find the value of each slot (level, node index) so that together they fit."""
        claims: list[bytes | None] = []
        for level, index in slots:
            tile = self.claimed(level, index >> 8)
            claims.append(tile and tile[32 * (index & 255) :][:32])
        if None not in claims and fits([c for c in claims if c is not None]):
            return claims, True
        ways = [self.other_ways(*slot) for slot in slots]
        # As long as each other; Python 3.9 knows no ``strict``.
        first = [c if c is not None else (w[0] if w else None) for c, w in zip(claims, ways)]  # noqa: B905
        base = [b for b in first if b is not None]
        if len(base) < len(first):
            return first, False
        differing = [(n, w) for n, b in enumerate(base) for w in dict.fromkeys(ways[n]) if w != b]
        trials: list[Iterable[tuple[int, bytes]]] = [
            differing[::-1], differing, *([d] for d in differing), [],
        ]  # fmt: skip
        if len(differing) <= 8:
            trials += [
                [d for n, d in enumerate(differing) if mask & 1 << n]
                for mask in range(1 << len(differing))
            ]
        for trial in trials:
            self.effort -= 1
            values = list(base)
            for n, value in trial:
                values[n] = value
            if self.effort >= 0 and fits(values):
                self.blame(slots, claims, values)
                return list(values), True
        return first, False

    def blame(
        self, slots: Sequence[tuple[int, int]], claims: Sequence[bytes | None],
        values: Sequence[bytes],
    ) -> None:  # fmt: skip
        """Report each hash a tile holds wrong, at the first position it covers."""
        for n, (level, index) in enumerate(slots):
            if claims[n] is not None and claims[n] != values[n]:
                self.problems.add(
                    "tile-mismatch", f"level {level}, hash {index}: the tile holds another hash",
                    index << 8 * level,
                )  # fmt: skip

    def edge(self) -> list[tuple[int, int]]:
        """Right-edge slots, left to right."""
        slots = []
        for level in range(8, -1, -1):
            end = self.size >> 8 * level
            slots += [(level, n) for n in range(end - (end & 255), end)]
        return slots

    def check(self, tiles: Iterable[tuple[int, int]]) -> dict[int, bytes | None]:
        """Judge these tiles (level, index) and return the leaf hash the log holds by position."""
        slots = self.edge()
        values, fine = self.settle(slots, lambda h: self.edge_root(slots, h) == self.root)
        if not fine:
            self.problems.add("root", "the tree does not give the checkpoint's root")
        held = self.nodes
        for n, slot in enumerate(slots):
            held[slot] = values[n]
        for level, index in sorted(set(tiles), reverse=True):
            if self.width(level, index) < 256:
                continue
            parent = held.get((level + 1, index))
            own = [(level, 256 * index + n) for n in range(256)]
            # The default binds this parent to the call, which mypy cannot follow.
            values, fine = self.settle(own, lambda h, p=parent: subtree(b"".join(h)) == p)  # type: ignore[misc]
            if not fine and parent is not None:
                self.problems.add(
                    "tile-mismatch", f"level {level}, tile {index}: not what its parent hash says",
                    index << 8 * (level + 1),
                )  # fmt: skip
            for n, slot in enumerate(own):
                held[slot] = values[n]
        return {index: h for (level, index), h in held.items() if level == 0}

    @staticmethod
    def edge_root(slots: Sequence[tuple[int, int]], hashes: Sequence[bytes]) -> bytes:
        """Root from the right edge's hashes."""
        runs: dict[int, list[bytes]] = {}
        for n, (level, _) in enumerate(slots):
            runs.setdefault(level, []).append(hashes[n])
        return join([p for run in runs.values() for p in peaks(b"".join(run))])

    def clean(self, leaves: bytes) -> bool:
        """The quick way when every record is there: True when all tiles and the root agree."""
        level, rows = 0, [leaves]
        while True:
            row = rows[level]
            for start in range(0, len(row), 8192):
                if self.claimed(level, start >> 13) not in (row[start : start + 8192], None):
                    return False
            whole = len(row) >> 13 << 13
            if not whole:
                break
            rows.append(b"".join([subtree(row[o : o + 8192]) for o in range(0, whole, 8192)]))
            level += 1
        self.rows = rows
        if self.root_at(self.size) == self.root:
            return True
        self.rows = []
        return False

    def root_at(self, size: int) -> bytes | None:
        """Root this tree had at a smaller size, where what was judged suffices for it."""
        found: list[bytes] = []
        for level in range(8, -1, -1):
            end = size >> 8 * level
            start = end - (end & 255)
            if start == end:
                continue
            if self.rows:
                run = self.rows[level][32 * start : 32 * end]
            else:
                nodes = [self.nodes.get((level, n)) for n in range(start, end)]
                run = b"".join([h for h in nodes if h is not None])
            if len(run) < 32 * (end - start):
                return None
            found += peaks(run)
        return join(found)


def tiles_at(size: int) -> list[tuple[int, int, int]]:
    """Every tile (level, index, width) of a log of this size."""
    found = []
    for level in range(9):
        end = size >> 8 * level
        found += [(level, n, 256) for n in range(end >> 8)]
        if end & 255:
            found.append((level, end >> 8, end & 255))
    return found


def tiles_for(size: int, positions: Iterable[int]) -> list[tuple[int, int, int]]:
    """Tiles that prove these positions: each one's own, those above, and the right edge."""
    found = {(level, size >> 8 * level + 8, (size >> 8 * level) & 255) for level in range(9)}
    for position in positions:
        for level in range(9):
            index = position >> 8 * level + 8
            if index == size >> 8 * level + 8 or (level, index, 256) in found:
                break
            found.add((level, index, 256))
    return sorted(t for t in found if t[2])


def tile_path(level: int, index: int, width: int) -> str:
    """C2SP tlog-tiles path of a tile: three digits a part, ``.p/W`` where it is partial."""
    parts = [f"{index % 1000:03d}"]
    while index >= 1000:
        index //= 1000
        parts.insert(0, f"x{index % 1000:03d}")
    return f"tile/{level}/{'/'.join(parts)}" + ("" if width == 256 else f".p/{width}")


# --- The records ----------------------------------------------------------------------------------


def uuid8(digest: bytes) -> bytes:
    """UUIDv8 of the first 16 bytes of a hash (RFC 9562 §5.8)."""
    raw = bytearray(digest[:16])
    raw[6], raw[8] = raw[6] & 0x0F | 0x80, raw[8] & 0x3F | 0x80
    return bytes(raw)


def heads_stream(cell: bytes) -> bytes:
    """Stream of a cell's HEADS and EXPORT events (formats.md §3)."""
    return uuid8(sha256(b"heads" + cell).digest())


def head_hash(stream: bytes, version: int, leaf: bytes) -> bytes:
    """Leaf of the HEADS tree."""
    return sha256(b"\x00" + stream + version.to_bytes(8, "big") + leaf).digest()


class HeadsTree:
    """RFC 6962 tree over every stream's last event, kept up as streams grow."""

    def __init__(self) -> None:
        self.order: list[bytes] = []
        self.levels: list[list[bytes]] = [[]]

    def root(
        self, last: Mapping[bytes, tuple[int, bytes, int]], changed: Iterable[bytes]
    ) -> tuple[int, bytes]:
        """Number of streams and root, after these streams changed."""
        if len(last) != len(self.order):
            self.order = sorted(last)
            self.levels = [[head_hash(s, last[s][0], last[s][1]) for s in self.order]]
            while len(self.levels[-1]) > 1:
                row = self.levels[-1]
                self.levels.append([self.above(row, n) for n in range((len(row) + 1) // 2)])
        else:
            touched = {bisect_left(self.order, s) for s in changed}
            for n in touched:
                stream = self.order[n]
                self.levels[0][n] = head_hash(stream, last[stream][0], last[stream][1])
            for depth in range(1, len(self.levels)):
                touched = {n >> 1 for n in touched}
                for n in touched:
                    self.levels[depth][n] = self.above(self.levels[depth - 1], n)
        return len(self.order), self.levels[-1][0] if self.order else join([])

    @staticmethod
    def above(row: Sequence[bytes], n: int) -> bytes:
        """Node n of the row above: a pair joined, an odd last one as it is."""
        return node(row[2 * n], row[2 * n + 1]) if 2 * n + 1 < len(row) else row[2 * n]


class Own(NamedTuple):
    """One of the ledger's own events."""

    event_class: int
    stream: bytes
    version: int
    event_id: bytes
    body: bytes


class Scan:
    """One pass over records in ascending position; what needs the tree to judge waits for it."""

    def __init__(
        self, size: int | None, listed: set[bytes] | None, cell: bytes | None,
        problems: Problems, wanted: Iterable[bytes] = (),
    ) -> None:  # fmt: skip
        """``listed``: the streams exported whole (None = the whole log, no position missing)."""
        self.size, self.listed, self.cell, self.problems = size, listed, cell, problems
        self.wanted: dict[bytes, bytes | None] = dict.fromkeys(wanted)
        self.positions = array("Q")
        self.times = array("Q")
        self.leaves = bytearray()
        self.late: dict[int, bytes] = {}
        self.gaps: list[tuple[int, int]] = []
        self.waiting: list[tuple[str, str, int, bytes, bytes | None]] = []
        self.last: dict[bytes, tuple[int, bytes, int]] = {}
        self.others: dict[bytes, list[tuple[int, bytes]]] = {}
        self.absent: list[tuple[int, bytes, bytes]] = []
        self.shredded: dict[bytes, int] = {}
        self.purged: dict[tuple[bytes, bytes], int] = {}
        self.own: dict[int, Own] = {}
        self.loose: dict[int, tuple[int, bytes]] = {}
        self.bad: set[int] = set()
        self.logged: set[bytes | None] = set()

    def read(self, records: Iterable[Record]) -> None:
        """Take every record in; the loop is long because it runs once for each leaf."""
        listed, last, waiting = self.listed, self.last, self.waiting
        whole = listed is None
        unpack, classes, sha = HEADER.unpack, CLASSES, sha256
        positions, times, leaves = self.positions, self.times, self.leaves
        limit = 1 << 64 if self.size is None else self.size
        ids: set[bytes] = set()
        opened: set[bytes] = set()
        changed: set[bytes] = set()
        heads = HeadsTree()
        expected = 0
        for position, header, body in records:
            leaf = sha(b"\x00" + header).digest()
            (prefix, event_id, stream, version, at, session, generation, prev, commitment,
             digest) = unpack(header)  # fmt: skip
            if position >= limit:
                self.problems.add("leaf-unknown", "above the checkpoint's size", position)
                continue
            if position < expected:
                if position in self.late or not any(a <= position < b for a, b in self.gaps):
                    self.problems.add("duplicate", "a second record of this position", position)
                    continue
                self.problems.add("order", "stands after a higher position", position)
                self.late[position] = leaf
            else:
                if position > expected:
                    self.gaps.append((expected, position))
                expected = position + 1
                positions.append(position)
                times.append(at)
                leaves += leaf
            event_class = classes.get(prefix)
            if event_class is None:
                waiting.append(("entry-format", "unknown magic, suite, flags or class", position,
                                stream, None))  # fmt: skip
            if event_id in ids:
                waiting.append(("duplicate", f"event id {event_id.hex()} was used before",
                                position, stream, None))  # fmt: skip
            ids.add(event_id)
            if body is None:
                if event_class is not None and event_class > ACCESS + 2:
                    waiting.append(("body-absent", "a clear body is never absent", position,
                                    stream, None))  # fmt: skip
                else:
                    self.absent.append((position, stream, event_id))
            elif sha(body).digest() != digest:
                waiting.append(("body", "the body is not what the header says", position, stream,
                                None))  # fmt: skip
            if event_class is not None and event_class > ACCESS + 2:
                self.note_own(position, Own(event_class, stream, version, event_id, body or b""))
                if generation or commitment != ZERO32:
                    waiting.append(("entry-format", "a clear event with a key", position, stream,
                                    None))  # fmt: skip
                if event_class == HEADS and whole:
                    self.judge_heads(position, stream, body or b"", heads.root(last, changed))
                    changed.clear()
            elif body is not None and (len(body) < 284 or (len(body) - 28) & 255):
                waiting.append(("entry-format", "a sealed body of impossible length", position,
                                stream, None))  # fmt: skip
            if session != ZERO16 and session not in opened:
                waiting.append(("session", "its session was not opened before", position, stream,
                                None))  # fmt: skip
            if event_class == SESSION_OPENED:
                opened.add(event_id)
            if event_id in self.wanted:
                self.wanted[event_id] = commitment
            if listed is None or stream in listed:
                known = last.get(stream)
                if (known is None and version == 1 and prev == ZERO32) or (
                    known is not None and version == known[0] + 1 and prev == known[1]
                ):
                    last[stream] = (version, leaf, position)
                else:
                    self.broken_chain(known, stream, version, prev, leaf, position)
                changed.add(stream)
            elif event_class is None or event_class <= ACCESS + 2:
                self.loose[position] = (event_class or 0, stream)
        if whole and self.size is not None and expected < self.size:
            self.gaps.append((expected, self.size))

    def note_own(self, position: int, event: Own) -> None:
        """Keep what the ledger's own event tells of others."""
        kept = event._replace(body=bytes(event.body))
        self.own[position] = kept
        if len(kept.body) != CLEAR_LENGTHS[event.event_class]:
            if kept.body:
                self.waiting.append(("entry-format", "a clear body of another length", position,
                                     event.stream, None))  # fmt: skip
        elif event.event_class == SHREDDED:
            self.shredded[event.stream] = position
        elif event.event_class == PURGED:
            self.purged[event.stream, kept.body[:16]] = position
        if self.cell is None:
            return
        if event.event_class == SESSION_OPENED and event.stream != self.cell:
            self.waiting.append(("session", "opened outside the administration stream", position,
                                 event.stream, None))  # fmt: skip
        if event.event_class in (HEADS, EXPORT) and event.stream != heads_stream(self.cell):
            kind = "heads-mismatch" if event.event_class == HEADS else "manifest"
            self.waiting.append((kind, "written outside the HEADS stream", position, event.stream,
                                 None))  # fmt: skip

    def judge_heads(
        self, position: int, stream: bytes, body: bytes, root: tuple[int, bytes]
    ) -> None:
        """Compare a HEADS event with the heads of all streams below it."""
        if bytes(body) != struct.pack(">QQ32s", position, *root):
            self.waiting.append(("heads-mismatch", "HEADS does not tell the heads below it",
                                 position, stream, None))  # fmt: skip

    def broken_chain(
        self, known: tuple[int, bytes, int] | None, stream: bytes, version: int, prev: bytes,
        leaf: bytes, position: int,
    ) -> None:  # fmt: skip
        """A record that does not follow its stream's last one: follow any other, or say so."""
        others = self.others.setdefault(stream, [])
        follows = (version - 1, prev) in others
        if not follows:
            after = known[0] if known else 0
            if version == after + 1:
                kind, detail = "prev", f"version {version} does not name the one before it"
            elif 0 < version <= after:
                kind, detail = "duplicate", f"version {version} came before in this stream"
            else:
                kind, detail = "version", f"version {version} where {after + 1} was due"
            self.waiting.append((kind, detail, position, stream, prev))
        if known is None or version > known[0]:
            self.last[stream] = (version, leaf, position)
            others.extend([] if known is None else [known[:2]])
        else:
            others.append((version, leaf))
        del others[:-8]

    def finish(self, held: Mapping[int, bytes | None] | None) -> None:
        """Judge what waited, knowing the leaf hashes the log holds (None: all as the records say).

        Afterwards ``bad`` has the positions whose record is missing or not the log's, and
        ``logged`` the leaf hashes the log holds there.
        """
        add, bad, logged = self.problems.add, self.bad, self.logged
        for start, end in self.gaps if self.listed is None else []:
            for position in range(start, min(end, start + 10_000)):
                if position not in self.late:
                    bad.add(position)
                    logged.add((held or {}).get(position))
            if bad.intersection(range(start, min(end, start + 10_000))):
                detail = "has no record" if end == start + 1 else f"to {end - 1}: no record"
                add("omitted-tail", f"position {start} {detail}", start)
        if held is not None:
            for n, position in enumerate(self.positions):
                right = held.get(position)
                if right is not None and right != self.leaves[32 * n : 32 * n + 32]:
                    add("leaf-unknown", "this record's header is not in the log", position)
                    bad.add(position)
                    logged.add(right)
            for position, leaf in self.late.items():
                if held.get(position) not in (leaf, None):
                    bad.add(position)
        for kind, detail, place, stream, prev in self.waiting:
            if kind == "heads-mismatch" and bad and min(bad) < place:
                self.problems.unchecked.append(f"HEADS at {place}: records below it are damaged")
            elif (place not in bad and (prev is None or prev not in logged)) or (
                place in bad and kind in ("body", "entry-format")
            ):
                add(kind, detail, place, stream)
        for place, stream, event_id in self.absent:
            excuse = max(self.shredded.get(stream, -1), self.purged.get((stream, event_id), -1))
            if excuse <= place and place not in bad:
                add("body-absent", "no later event says that this body was erased", place, stream)
        known = -1
        for n, at in enumerate(self.times):
            if self.positions[n] in bad:
                continue
            if at < known - CLOCK_TOLERANCE_US:
                add("clock", f"recorded {(known - at) / 1e6:.0f} s before an earlier position",
                    self.positions[n])  # fmt: skip
            known = max(known, at)

    def leaf_map(self) -> dict[int, bytes]:
        """Leaf hash from the record, by position."""
        found = {p: bytes(self.leaves[32 * n : 32 * n + 32]) for n, p in enumerate(self.positions)}
        found.update(self.late)
        return found

    def leaf_at(self, position: int) -> bytes:
        """Leaf hash of a position from its record, where the records are dense."""
        return bytes(self.leaves[32 * position : 32 * position + 32])

    def dense(self) -> bool:
        """Whether the records stand at 0, 1, 2 ... without gap."""
        return not self.gaps and not self.late


# --- The export (formats.md §5) -------------------------------------------------------------------

LIMITS = {"checkpoint": 1 << 16, "vkeys": 1 << 16, "consistency": 1 << 17}
REQUIRED = ("manifest.json", "checkpoint", "vkeys", "entries.bin", "heads.json")
MEMBER = re.compile(
    r"manifest\.json|checkpoint|vkeys|consistency|entries\.bin|heads\.json|event_keys|verify\.py"
    r"|tsr/(?:0|[1-9][0-9]*)\.tsr|tile/.+"
)
HEX32 = re.compile(r"[0-9a-f]{32}")


class Members:
    """The zip's members, each once, with bounds on what reading one may cost."""

    def __init__(self, path: str | os.PathLike[str], problems: Problems) -> None:
        self.problems = problems
        self.zip = zipfile.ZipFile(path)
        self.infos: dict[str, zipfile.ZipInfo] = {}
        self.unread: set[str] = set()
        for info in self.zip.infolist():
            if info.filename in self.infos:
                problems.add("zip", f"{info.filename!r} twice")
            elif info.filename.endswith("/") or not MEMBER.fullmatch(info.filename):
                problems.add("zip", f"{info.filename!r} is no member of an export")
            elif info.file_size > MAX_RATIO * info.compress_size + (1 << 16):
                problems.add("zip", f"{info.filename!r} claims too much for its compressed size")
            else:
                self.infos[info.filename] = info
        self.unread.update(self.infos)
        with open(path, "rb") as file:
            layout(file, self.zip, problems)

    def read(self, name: str, limit: int = 1 << 29) -> bytes | None:
        """Bytes of a member; None (and a problem, unless it is simply not there) without them."""
        info = self.infos.get(name)
        self.unread.discard(name)
        if info is None:
            return None
        try:
            with self.zip.open(info) as file:
                raw = file.read(limit + 1)
                file.read(1)
            if len(raw) <= limit:
                return raw
            self.problems.add("zip", f"{name}: longer than {limit} bytes")
        except DAMAGE as error:
            self.problems.add("zip", f"{name}: {error}")
            return self.salvage(info, limit)
        return None

    def salvage(self, info: zipfile.ZipInfo, limit: int) -> bytes | None:
        """What can be had of a member whose check sum is wrong, so that the damage is located."""
        try:
            with self.zip.open(info) as file:
                file._expected_crc = None  # type: ignore[attr-defined] # no public name
                return file.read(limit)
        except DAMAGE:
            return None

    def stream(self, name: str) -> Iterator[bytes]:
        """A member's bytes in pieces, reading on past a wrong check sum."""
        self.unread.discard(name)
        try:
            with self.zip.open(self.infos[name]) as file:
                expected = getattr(file, "_expected_crc", None)
                file._expected_crc = None  # type: ignore[attr-defined] # no public name
                crc = 0
                while piece := file.read(1 << 20):
                    crc = zlib.crc32(piece, crc)
                    yield piece
            if expected is not None and crc != expected:
                self.problems.add("zip", f"{name}: wrong check sum")
        except DAMAGE as error:
            self.problems.add("zip", f"{name}: {error}")


def layout(file: Any, archive: zipfile.ZipFile, problems: Problems) -> None:
    """Refuse bytes of the zip that no member accounts for, and headers that contradict."""
    file.seek(0, 2)
    total, at, slack = file.tell(), 0, 0
    central = archive.start_dir
    for info in sorted(archive.infolist(), key=lambda i: i.header_offset):
        file.seek(info.header_offset)
        raw = file.read(30)
        if len(raw) < 30 or raw[:4] != b"PK\x03\x04":
            problems.add("zip", f"{info.filename!r}: no local header")
            return
        need, flags, method, time, day, crc, packed, size, names, extra = struct.unpack(
            "<HHHHHIIIHH", raw[4:]
        )
        name = file.read(names)
        here = (info.date_time[3] << 11) | (info.date_time[4] << 5) | info.date_time[5] // 2
        date = (info.date_time[0] - 1980 << 9) | (info.date_time[1] << 5) | info.date_time[2]
        same = (flags, method, time, day) == (info.flag_bits, info.compress_type, here, date)
        if not flags & 8 and packed != 0xFFFFFFFF != size:
            same = same and (crc, packed, size) == (info.CRC, info.compress_size, info.file_size)
        same = same and need == info.extract_version | info.reserved << 8 and info.volume == 0
        if not same or name != info.orig_filename.encode("utf-8" if flags & 0x800 else "cp437"):
            problems.add("zip", f"{info.filename!r}: its two headers differ")
        if not at <= info.header_offset <= at + slack:
            problems.add("zip", f"{info.filename!r}: bytes before it that belong to no member")
        at = info.header_offset + 30 + names + extra + info.compress_size
        slack = 24 if flags & 8 else 0  # a data descriptor
    count, length = len(archive.infolist()), 0
    file.seek(central)
    for _ in range(count):
        raw = file.read(46).ljust(46, b"\0")
        names, extra, comment = struct.unpack("<HHH", raw[28:34])
        length += len(raw) + names + extra + comment
        file.seek(central + length)
    if not at <= central <= at + slack or archive.comment:
        problems.add("zip", "bytes that belong to no member")
    large = count >= 0xFFFF or central >= 0xFFFFFFFF
    ending = b""
    if not large:
        ending = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, length, central, 0)
    file.seek(central + length + (76 if large else 0))
    if file.read(len(ending)) != ending or total != central + length + (98 if large else 22):
        problems.add("zip", "the end of the zip is not what its members ask for")


def records_of(pieces: Iterator[bytes], problems: Problems) -> Iterator[Record]:
    """Records of ``entries.bin``; after a damaged one, go on at the next that can be recognised."""
    buffer, offset, done, last = b"", 0, False, -1

    def fill(need: int) -> bool:
        nonlocal buffer, offset, done
        parts, have = [buffer[offset:]], len(buffer) - offset
        while have < need and not done:
            piece = next(pieces, b"")
            done = not piece
            parts.append(piece)
            have += len(piece)
        buffer, offset = b"".join(parts), 0
        return have >= need

    unpack = RECORD.unpack_from
    while True:
        if len(buffer) - offset < 200 and not fill(200) and len(buffer) < 188:
            if buffer:
                problems.add("entry-format", "bytes after the last whole record", last + 1)
            return
        position, length, header, size = unpack(buffer, offset)
        end = offset + 188 + size
        fine = length == HEADER_LENGTH and size <= MAX_BODY
        if fine and len(buffer) < end + 16:
            fine = fill(188 + size + 16) or len(buffer) >= 188 + size
            end = offset + 188 + size
        if fine and buffer[end + 8 : end + 12] not in (b"\x00\x00\x00\xac", b""):
            fine = buffer[end + 12 : end + 16] == b"RLE1"
        if fine:
            yield position, header, buffer[offset + 188 : end] if size else None
            last, offset = position, end
            continue
        here = position if length == HEADER_LENGTH and position < 1 << 62 else last + 1
        problems.add("entry-format", "this record's lengths are wrong", here)
        following, offset = -1, offset + 1
        while following < 0:
            following = buffer.find(MARK, offset + 8)
            if following < 0:
                offset = max(offset, len(buffer) - 16)
                if not fill(1 << 20) and buffer.find(MARK, offset + 8) < 0:
                    return
        if length == HEADER_LENGTH and position < 1 << 62:
            size = following - 8 - (offset - 1) - 188
            if header[:4] == b"RLE1" and 0 <= size <= MAX_BODY and offset:
                yield position, header, buffer[offset + 187 : following - 8] if size else None
                last = position
        offset = following - 8


def read_json(raw: bytes) -> Any:
    """Read RFC 8785 JSON of integers, strings, lists and maps; ValueError for any other form."""

    def refuse(text: str) -> Any:
        raise ValueError(f"{text[:20]} is not an integer")

    def integer(text: str) -> int:
        return int(text) if len(text) < 20 else refuse(text)

    value = json.loads(
        raw.decode("utf-8"), parse_float=refuse, parse_constant=refuse, parse_int=integer
    )
    again = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    if again.encode() != raw:
        raise ValueError("not in canonical form (RFC 8785)")
    return value


def is_count(value: Any) -> bool:
    """Whether a JSON value is an integer from 0 (a bool is none)."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63


class Manifest(NamedTuple):
    """What the export says it is."""

    scope: str
    streams: list[bytes]
    extra: list[int]
    size: int


def read_manifest(raw: bytes, problems: Problems) -> Manifest:
    """Read ``manifest.json``; ValueError where it is not of its form."""
    value = read_json(raw)
    names = {"format", "scope", "requested", "streams", "extra", "checkpoint_size"}
    if not isinstance(value, dict) or set(value) != names:
        raise ValueError("not the fields of a manifest")
    streams, extra, requested = value["streams"], value["extra"], value["requested"]
    if value["format"] != "releve-export/1" or value["scope"] not in ("log", "streams"):
        raise ValueError("another format or scope")
    if not isinstance(streams, list) or not all(
        isinstance(s, str) and HEX32.fullmatch(s) for s in streams
    ):
        raise ValueError("streams are not pseudonyms")
    if not isinstance(extra, list) or not all(is_count(p) for p in extra):
        raise ValueError("extra holds no positions")
    if streams != sorted(set(streams)) or extra != sorted(set(extra)):
        raise ValueError("streams or extra not in ascending order")
    if not is_count(value["checkpoint_size"]):
        raise ValueError("checkpoint_size is no size")
    if not isinstance(requested, dict) or len(requested) > 1 or not all(
        isinstance(v, str) and k in ("patient", "centre", "stream") for k, v in requested.items()
    ):  # fmt: skip
        raise ValueError("requested is not a patient, a centre or a stream")
    if value["scope"] == "log" and extra:
        raise ValueError("extra is empty in an export of the log")
    for kind, name in requested.items():
        if kind != "centre" and not HEX32.fullmatch(name):
            raise ValueError("requested id is not 32 hex digits")
        if kind != "centre" and name not in streams:
            problems.add("omitted-stream", "what was asked for is not exported", None,
                         bytes.fromhex(name))  # fmt: skip
    if value["scope"] == "streams" and not requested:
        raise ValueError("requested is empty")
    return Manifest(value["scope"], [bytes.fromhex(s) for s in streams], extra,
                    value["checkpoint_size"])  # fmt: skip


def check_heads_file(
    raw: bytes | None, manifest: Manifest, scan: Scan, size: int, problems: Problems
) -> None:
    """Judge ``heads.json`` against the HEADS event below the checkpoint and the records."""
    at = size - 1
    event = scan.own.get(at)
    if event is None or event.event_class != HEADS or len(event.body) != 48:
        if at not in scan.bad:
            problems.add("heads-missing", "the checkpoint's last leaf is no HEADS event", at)
        event = None
    if raw is None:
        problems.add("heads-missing", "heads.json is not there")
        return
    try:
        value = read_json(raw)
        position, count, root = value["position"], value["tree_size"], unbase64(value["root"])
        rows = [
            (bytes.fromhex(r["stream"]), r["version"], unbase64(r["leaf"]), r["index"],
             [unbase64(h) for h in r["proof"]] if "proof" in r else None)
            for r in value["streams"]
        ]  # fmt: skip
        fields = {"stream", "version", "leaf", "index"}
        if set(value) != {"position", "tree_size", "root", "streams"} or not all(
            fields <= set(r) <= fields | {"proof"} and HEX32.fullmatch(r["stream"])
            and is_count(r["version"]) and is_count(r["index"]) for r in value["streams"]
        ):  # fmt: skip
            raise ValueError("not the fields of heads.json")
        if not is_count(position) or not is_count(count):
            raise ValueError("position or tree_size is no number")
        if [r[3] for r in rows] != sorted({r[3] for r in rows}):
            raise ValueError("rows not by index")
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        problems.add("heads-mismatch", f"heads.json: {error}")
        return
    if position != at:
        problems.add("heads-stale", f"heads.json is of position {position}, not {at}")
    elif event and event.body != struct.pack(">QQ", position, count) + root:
        problems.add("heads-mismatch", "heads.json is not what the HEADS event says", at)
    complete = len(rows) == count
    if complete and [r[3] for r in rows] == list(range(count)) and position == at:
        last = {r[0]: (r[1], r[2], 0) for r in rows}
        if HeadsTree().root(last, ()) != (count, root):
            problems.add("heads-mismatch", "the rows of heads.json do not give its root")
    known = set(manifest.streams)
    for stream, version, leaf, index, proof in rows:
        if complete != (proof is None):
            problems.add("heads-mismatch", "proofs stand exactly where streams are left out",
                         None, stream)  # fmt: skip
        elif proof is not None and not inclusion_holds(
            head_hash(stream, version, leaf), index, count, proof, root
        ):
            problems.add("heads-mismatch", "its proof does not lead to the root", None, stream)
        if stream not in known:
            problems.add("heads-mismatch", "a row of a stream not exported", None, stream)
            continue
        known.discard(stream)
        have = scan.last.get(stream)
        ledger = stream if scan.listed is None else None
        if have is None or (have[0], have[1]) == (version, leaf) or leaf in scan.logged:
            if have is None and leaf not in scan.logged:
                problems.add("omitted-stream", "no record of this stream", None, stream)
        elif have[0] < version:
            problems.add("omitted-tail", f"ends at version {have[0]} of {version}", None, stream)
        elif have[2] != at and have[2] not in scan.bad:
            problems.add("heads-mismatch", "its last record is another", None, ledger or stream)
    for stream in sorted(known):
        problems.add("omitted-stream", "heads.json does not prove this stream", None, stream)


def check_consistency(
    raw: bytes | None, note: Note, listed: Sequence[Key], problems: Problems, first: bool
) -> Note | None:
    """Judge ``consistency``; returns the old checkpoint where this one is proved to extend it."""
    if raw is None:
        if not first:
            problems.add("consistency", "missing, though the log was exported before")
        return None
    head, gap, rest = raw.partition(b"\n\n")
    lines = head.split(b"\n")
    try:
        if not gap or not re.fullmatch(rb"old (?:0|[1-9][0-9]{0,18})", lines[0]):
            raise ValueError("not of its form")
        proof = [unbase64(line) for line in lines[1:]]
        try:
            old = parse_note(rest)
        except ValueError as error:
            problems.add("checkpoint-format", f"the old checkpoint: {error}")
            raise
        if any(len(h) != 32 for h in proof) or old.size != int(lines[0][4:]):
            raise ValueError("not of its form")
        keys = {(k.name, k.key_id): k for k in listed}
        signers = {(name, key_id) for name, key_id, _ in old.lines}
        for name, key_id, signature in old.lines:
            key = keys.get((name, key_id))
            if key is None or not line_verifies(old, key, signature):
                detail = f"the old checkpoint's line by {name} does not verify"
                if key is not None:
                    kind = "checkpoint-signature" if key.alg == 1 else "witness-signature"
                    problems.add(kind, detail)
                raise ValueError(detail)
        if old.origin != note.origin or len(signers) != len(old.lines):
            raise ValueError("the old checkpoint is of another log or signed twice")
        if listed and (listed[0].name, listed[0].key_id) not in signers:
            raise ValueError("the log key did not sign the old checkpoint")
    except ValueError as error:
        problems.add("consistency", str(error))
        return None
    if old.size > note.size:
        problems.add("rollback", f"the log had {old.size} leaves before, {note.size} now")
    elif old.size == note.size and old.root != note.root:
        problems.add("fork", f"another root at the same size {old.size}")
    elif not consistency_holds(old.size, old.root, note.size, note.root, proof):
        problems.add("consistency", f"the log does not extend its checkpoint at {old.size}")
    else:
        return old
    return None


def check_held(
    held: Note | None, note: Note, old: Note | None, root_at: Callable[[int], bytes | None],
    keys: Sequence[Key], problems: Problems,
) -> None:  # fmt: skip
    """Compare the log with the checkpoint the auditor kept."""
    if held is None:
        return
    known = {(k.name, k.key_id): k for k in keys if k.alg == 1}
    lines = [(known.get((n, i)), s) for n, i, s in held.lines]
    if held.origin != note.origin:
        problems.add("fork", "the kept checkpoint is of another log")
        return
    if not any(key and line_verifies(held, key, signature) for key, signature in lines):
        problems.add("checkpoint-signature", "the kept checkpoint is not signed by the log key")
    if held.size > note.size:
        problems.add("rollback", f"the kept checkpoint has {held.size} leaves, this {note.size}")
        return
    known_roots = {note.size: note.root}
    if old is not None:
        known_roots[old.size] = old.root
    root = known_roots.get(held.size) or root_at(held.size)
    if root is None:
        problems.add("consistency", f"nothing here leads from the kept checkpoint ({held.size}) "
                     f"to this one ({note.size}): ask for the whole log")  # fmt: skip
    elif root != held.root:
        problems.add("fork", f"the kept checkpoint has another root at size {held.size}")


def check_side_files(
    members: Members, note: Note | None, old: Note | None, scan: Scan,
    disclosed: Mapping[bytes, bytes],
) -> None:  # fmt: skip
    """Judge what can be judged of time stamps and disclosed keys, and list the rest."""
    problems = members.problems
    notes = {n.size: n for n in (note, old) if n is not None}
    for name in sorted(n for n in members.infos if n.startswith("tsr/")):
        raw = members.read(name, 1 << 20)
        stamped = notes.get(int(name[4:-4]))
        if stamped is None:
            problems.add("tsr", f"{name}: no checkpoint of that size here")
        elif raw is not None and sha256(stamped.text).digest() not in raw:
            problems.add("tsr", f"{name}: not over the checkpoint's text")
        else:
            problems.unchecked.append(f"{name}: the authority's signature")
    for event_id, key in disclosed.items():
        if scan.wanted.get(event_id) is None:
            problems.add("event-key", f"a key of an event not exported ({event_id.hex()})")
        elif key[32:] != scan.wanted[event_id]:
            problems.add("event-key", f"not the key event {event_id.hex()} is committed to")
    if "event_keys" in members.infos:
        problems.unchecked.append("event_keys: bodies are not decrypted here")


def read_event_keys(raw: bytes | None, problems: Problems) -> dict[bytes, bytes]:
    """Read ``event_keys``: event id to encryption key and commitment."""
    try:
        value = {} if raw is None else read_json(raw)
        if not isinstance(value, dict) or not all(HEX32.fullmatch(k) for k in value):
            raise ValueError("not a map of event ids")
        keys = {bytes.fromhex(k): unbase64(v) for k, v in value.items()}
        if any(len(v) != 64 for v in keys.values()):
            raise ValueError("a key of another length")
    except (ValueError, TypeError, RecursionError) as error:
        problems.add("event-key", f"event_keys: {error}")
        return {}
    return keys


def read_vkeys(raw: bytes | None, given: Sequence[Key], problems: Problems) -> list[Key]:
    """Read ``vkeys``; the log key must be one that was given from outside."""
    listed: list[Key] = []
    try:
        text = "" if raw is None else raw.decode("utf-8")
        if raw is not None and not text.endswith("\n"):
            raise ValueError("its last line is not ended")
        for line in text.split("\n")[:-1]:
            key = parse_vkey(line)
            if key.alg != (4 if listed else 1) or key in listed:
                raise ValueError("the log key comes first, then witnesses, each once")
            listed.append(key)
    except ValueError as error:
        problems.add("untrusted-key", f"vkeys: {error}")
    if not given:
        problems.add("untrusted-key", "no key was given from outside (--vkey)")
    elif listed and listed[0] not in given:
        problems.add("untrusted-key", f"{listed[0].text} was not given from outside")
    return listed


def check_export(
    members: Members, given: list[Key], held: Note | None, witnesses: list[Key], quorum: int
) -> dict[str, Any]:
    """Every check of formats.md §5, in the order in which one needs another."""
    problems = members.problems
    for name in REQUIRED:
        if name not in members.infos and name not in ("manifest.json", "heads.json"):
            problems.add("zip", f"{name} is not there")
    raws = {n: members.read(n, LIMITS[n]) for n in LIMITS}
    listed = read_vkeys(raws["vkeys"], given, problems)
    checkpoint = (raws["checkpoint"] or b"").decode("utf-8", "replace")
    note, signed = None, False
    try:
        note = parse_note(raws["checkpoint"]) if raws["checkpoint"] is not None else None
    except ValueError as error:
        problems.add("checkpoint-format", str(error))
    log = listed[0] if listed else None
    if note is not None:
        log = log or next((k for k in given if k.name == note.origin), None)
        signed = check_note(note, log, listed, witnesses, quorum, problems)
    manifest_raw = members.read("manifest.json")
    manifest = None
    try:
        if manifest_raw is None:
            problems.add("manifest", "manifest.json is not there")
        else:
            manifest = read_manifest(manifest_raw, problems)
    except (ValueError, RecursionError) as error:
        problems.add("manifest", f"manifest.json: {error}")
    size = note.size if note else None
    if manifest and manifest.size != size:
        if note:
            problems.add("manifest", f"it is of size {manifest.size}, the checkpoint of {size}")
        size = size if signed else manifest.size
    anchored = note is not None and note.size == size
    cell = (
        bytes.fromhex(log.name[7:])
        if log and re.fullmatch("releve/[0-9a-f]{32}", log.name)
        else None
    )
    disclosed = read_event_keys(members.read("event_keys"), problems)
    whole = manifest is None or manifest.scope == "log"
    scan = Scan(size, None if whole or manifest is None else set(manifest.streams), cell,
                problems, disclosed)  # fmt: skip
    if "entries.bin" in members.infos:
        scan.read(records_of(members.stream("entries.bin"), problems))
    tree = check_tiles(members, scan, size, note.root if note and anchored else None)
    if manifest is not None and manifest_raw is not None and size is not None:
        check_records(manifest, sha256(manifest_raw).digest(), scan, size, problems)
        check_heads_file(members.read("heads.json"), manifest, scan, size, problems)
    elif "heads.json" not in members.infos:
        problems.add("heads-missing", "heads.json is not there")
    old = None
    if note is not None:
        before = [p for p, e in scan.own.items() if e.event_class == EXPORT and p < note.size - 2]
        first = not before or not whole
        old = check_consistency(raws["consistency"], note, [*listed, *witnesses], problems, first)
        if old and whole and (not before or old.size != max(before) + 2):
            problems.add("consistency", "not with the log's size at its previous export")
        check_held(held, note, old, tree.root_at if tree else lambda n: None, [*listed, *given],
                   problems)  # fmt: skip
    check_side_files(members, note, old, scan, disclosed)
    for name in sorted(members.unread):
        members.read(name)
    return problems.result(note.size if note else 0, note.root if note else None, checkpoint)


def check_tiles(members: Members, scan: Scan, size: int | None, root: bytes | None) -> Tree | None:
    """Judge tiles and leaves against the signed root, and what waited for it."""
    problems = members.problems
    if size is None or root is None or size > 188 * (1 << 40):
        scan.finish(None)
        return None
    if scan.listed is None:
        known = min(size, len(scan.positions) + len(scan.late) + (1 << 16))
        wanted = tiles_at(known if known < size else size)
    else:
        wanted = tiles_for(size, [*scan.positions, *scan.late])
    paths = {tile_path(*t): t for t in wanted}
    tiles: dict[tuple[int, int], bytes] = {}
    for path, (level, index, width) in paths.items():
        raw = members.read(path, 8192)
        if raw is None:
            problems.add("tile-missing", f"{path} is not there", index << 8 * (level + 1))
        elif len(raw) != 32 * width:
            problems.add("tile-mismatch", f"{path}: wrong length", index << 8 * (level + 1))
        else:
            tiles[level, index] = raw
    for path in sorted(members.infos):
        if path.startswith("tile/") and path not in paths:
            problems.add("tile-extra", f"{path} belongs to no export of this size")
    if scan.listed is None and scan.dense():
        tree = Tree(size, root, {}, lambda level, n: tiles.get((level, n)), problems)
        if len(scan.leaves) == 32 * size and tree.clean(bytes(scan.leaves)):
            scan.finish(None)
            return tree
    tree = Tree(size, root, scan.leaf_map(), lambda level, n: tiles.get((level, n)), problems)
    scan.finish(tree.check([(level, n) for level, n, _ in wanted]))
    return tree


def check_records(
    manifest: Manifest, digest: bytes, scan: Scan, size: int, problems: Problems
) -> None:
    """Judge that the records are those the manifest lists, and that the log knows this manifest."""
    event = scan.own.get(size - 2)
    if size - 2 not in scan.bad and (
        event is None or event.event_class != EXPORT or event.body != digest
    ):
        problems.add("manifest", "the log holds no EXPORT event over this manifest", size - 2)
    extra = set(manifest.extra)
    for position, (event_class, stream) in scan.loose.items():
        if position not in scan.bad and (event_class != ACCESS or position not in extra):
            problems.add("manifest", "a record the manifest does not list", position, stream)
    for position in extra.difference(scan.loose):
        if position not in scan.bad:
            problems.add("manifest", "listed as extra, but there is no such access entry", position)
    if manifest.scope == "log":
        known = set(manifest.streams)
        for stream, (_, _, position) in scan.last.items():
            if stream not in known and position not in scan.bad:
                problems.add("manifest", "a stream the manifest does not list", position, stream)


def verify_export(
    path: str | os.PathLike[str], vkeys: Sequence[str] = (), held: bytes | str | None = None,
    witnesses: Sequence[str] = (), quorum: int | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Verify an export and return formats.md §5's result; whatever the file holds, it returns.

    ``vkeys`` and ``witnesses`` are vkey texts, ``held`` is a checkpoint kept before, ``quorum``
    how many of the witnesses must have signed (all, when None).

    Raises:
        Unusable: a key or the kept checkpoint is not one.
        OSError: the file cannot be opened.
    """
    given, seen_by = parse_keys(vkeys, witnesses)
    kept = parse_held(held)
    needed = len(seen_by) if quorum is None else quorum
    problems = Problems()
    with open(path, "rb"):
        pass
    try:
        members = Members(path, problems)
        with members.zip:
            return check_export(members, given, kept, seen_by, needed)
    except DAMAGE as error:
        problems.add("zip", f"cannot be read: {type(error).__name__}: {error}")
        if not given:
            problems.add("untrusted-key", "no key was given from outside (--vkey)")
        return problems.result(0, None, "")


def exit_code(result: Mapping[str, Any]) -> int:
    """0 verified, 1 only clocks ran backwards, 5 not verified."""
    if not result["verified"]:
        return 5
    return 1 if result["problems"] else 0


def describe(result: Mapping[str, Any]) -> str:
    """The result for a reader: the verdict first, then each problem with its place."""
    lines = [
        f"log size   {result['size']}",
        f"root       {result['root'] or '-'}",
    ]
    for problem in result["problems"]:
        place = "" if problem["position"] is None else f" at position {problem['position']}"
        stream = "" if problem["stream"] is None else f" (stream {problem['stream']})"
        lines.append(f"PROBLEM    {problem['kind']}{place}{stream}: {problem['detail']}")
    lines += [f"unchecked  {text}" for text in result["unchecked"]]
    verdict = {
        0: "VERIFIED   everything here stands in the signed log, unchanged and complete",
        1: "VERIFIED   unchanged and complete, but a clock ran backwards (above)",
        5: "NOT VERIFIED",
    }
    return "\n".join([*lines, verdict[exit_code(result)]])


class _Parser(argparse.ArgumentParser):
    """Wrong use ends with 2, and with one JSON object where that was asked for."""

    def error(self, message: str) -> Any:
        if "--json" in sys.argv:
            what = {"code": "usage", "what": message, "why": "", "do": "see --help"}
            sys.stdout.write(json.dumps({"error": what}) + "\n")
        sys.stderr.write(f"verify.py: {message}\n")
        raise SystemExit(2)


def texts_of(values: Sequence[str]) -> list[str]:
    """Keys as given: the text itself, or every line of the file after an @."""
    found: list[str] = []
    for value in values:
        if value.startswith("@"):
            with open(value[1:], encoding="utf-8") as file:
                found += [line.strip() for line in file if line.strip()]
        else:
            found.append(value)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as a command; returns the exit code."""
    parser = _Parser(prog="verify.py", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("export", metavar="EXPORT.zip")
    parser.add_argument("--vkey", action="append", default=[], metavar="V|@FILE",
                        help="the log's key, from outside")  # fmt: skip
    parser.add_argument(
        "--checkpoint", metavar="HELD", help="a checkpoint kept from an earlier day"
    )
    parser.add_argument("--witness", action="append", default=[], metavar="V|@FILE")
    parser.add_argument("--quorum", type=int, metavar="N",
                        help="how many witnesses must have signed (default: all)")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    options = parser.parse_args(arguments)
    try:
        held = None
        if options.checkpoint is not None:
            with open(options.checkpoint, "rb") as file:
                held = file.read(1 << 17)
        result = verify_export(
            options.export, texts_of(options.vkey), held, texts_of(options.witness), options.quorum
        )
    except (OSError, ValueError) as error:
        parser.error(str(error))
    if options.json:
        sys.stdout.write(json.dumps(result) + "\n")
    else:
        sys.stdout.write(describe(result) + "\n")
    return exit_code(result)


if __name__ == "__main__":
    sys.exit(main())
