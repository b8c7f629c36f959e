"""The log's Merkle tree: hashes, frontier, tiles, and proofs (RFC 6962 2.1, C2SP tlog-tiles).

Trees are never held whole. A log keeps a :class:`Frontier` (at most 64 hashes) to append, and
tiles of 256 hashes to prove from. Proof functions take a *reader* ``hashes(level, start, count)``:
``level`` counts tiles (level 0 are leaf hashes, level n the roots of complete subtrees of 256**n
leaves), ``start`` and ``count`` count hashes of that level.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from releve.security.errors import Malformed

HASH_LENGTH: Final = 32
TILE_HEIGHT: Final = 8
TILE_WIDTH: Final = 256
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()
"""The root of a tree without leaves (RFC 6962 2.1)."""

Hashes = Callable[[int, int, int], Sequence[bytes]]
"""A reader ``(level, start, count)`` of complete subtree hashes; see the module's docstring."""

_PATH = re.compile(r"tile/(0|[1-9][0-9]?)/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?")


def leaf(data: bytes) -> bytes:
    """Give the hash of a leaf: SHA-256 of 0x00 and the data (an event's header)."""
    return hashlib.sha256(b"\x00" + data).digest()


def node(left: bytes, right: bytes) -> bytes:
    """Give the hash of an inner node: SHA-256 of 0x01 and both children."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root(hashes: Sequence[bytes]) -> bytes:
    """Give the root of the tree over these leaf hashes."""
    frontier = Frontier()
    frontier.extend(hashes)
    return frontier.root()


class Frontier:
    """The right edge of a growing tree: enough to append for ever and to give the root."""

    __slots__ = ("_hashes", "_size")

    def __init__(self) -> None:
        self._size = 0
        self._hashes: list[bytes] = []

    @property
    def size(self) -> int:
        """The number of leaves."""
        return self._size

    def append(self, leaf_hash: bytes) -> None:
        """Add one leaf hash at the right."""
        carry = leaf_hash
        size = self._size
        while size & 1:
            carry = node(self._hashes.pop(), carry)
            size >>= 1
        self._hashes.append(carry)
        self._size += 1

    def extend(self, leaf_hashes: Iterable[bytes]) -> None:
        """Add leaf hashes in order."""
        for leaf_hash in leaf_hashes:
            self.append(leaf_hash)

    def root(self) -> bytes:
        """Give the root of the tree as it stands."""
        return _fold(self._hashes)

    def to_bytes(self) -> bytes:
        """Give the hashes of the complete subtrees, the largest first; the size is kept beside."""
        return b"".join(self._hashes)

    @classmethod
    def from_bytes(cls, size: int, raw: bytes) -> Frontier:
        """Take up a tree where :meth:`to_bytes` left it.

        Raises:
            Malformed: not as many hashes as a tree of this size has.
        """
        if not 0 <= size < 1 << 64 or len(raw) != size.bit_count() * HASH_LENGTH:
            raise Malformed("a frontier that does not belong to this size")
        frontier = cls()
        frontier._size = size
        frontier._hashes = split(raw)
        return frontier


@dataclass(frozen=True, slots=True, order=True)
class Tile:
    """A run of at most 256 hashes of one level; a full one (``width`` 256) never changes."""

    level: int
    index: int
    width: int = TILE_WIDTH

    @property
    def path(self) -> str:
        """The tile's path below the log's root, such as ``tile/0/x001/234.p/17``."""
        digits = f"{self.index:03d}"
        digits = digits.zfill(-(-len(digits) // 3) * 3)
        parts = [digits[at : at + 3] for at in range(0, len(digits), 3)]
        name = "/".join([f"x{part}" for part in parts[:-1]] + parts[-1:])
        partial = "" if self.width == TILE_WIDTH else f".p/{self.width}"
        return f"tile/{self.level}/{name}{partial}"

    @classmethod
    def parse(cls, path: str) -> Tile:
        """Read a tile's path.

        Raises:
            Malformed: not the one path by which a tile is named.
        """
        match = _PATH.fullmatch(path)
        if match:
            index = int(match[2].replace("x", "").replace("/", ""))
            tile = cls(int(match[1]), index, int(match[3]) if match[3] else TILE_WIDTH)
            if tile.level * TILE_HEIGHT < 64 and tile.width <= TILE_WIDTH and tile.path == path:
                return tile
        raise Malformed("not the path of a tile")


def completed_tiles(old_size: int, new_size: int) -> Iterator[Tile]:
    """Give the tiles that become full when the tree grows, lower levels first."""
    level, unit = 0, TILE_WIDTH
    while new_size >= unit:
        for index in range(old_size // unit, new_size // unit):
            yield Tile(level, index)
        level, unit = level + 1, unit * TILE_WIDTH


def tiles_of(size: int) -> Iterator[Tile]:
    """Give every tile of a tree, full ones and the partial one at the right edge of each level."""
    level, count = 0, size
    while count:
        for index in range(count // TILE_WIDTH):
            yield Tile(level, index)
        if count % TILE_WIDTH:
            yield Tile(level, count // TILE_WIDTH, count % TILE_WIDTH)
        level, count = level + 1, count // TILE_WIDTH


def read_tile(tile: Tile, hashes: Hashes) -> bytes:
    """Give the bytes of a tile, from a reader of its level."""
    return b"".join(hashes(tile.level, tile.index * TILE_WIDTH, tile.width))


def split(raw: bytes) -> list[bytes]:
    """Cut concatenated hashes.

    Raises:
        Malformed: not a whole number of hashes.
    """
    if len(raw) % HASH_LENGTH:
        raise Malformed("not a whole number of hashes")
    return [raw[at : at + HASH_LENGTH] for at in range(0, len(raw), HASH_LENGTH)]


def hashes_in_memory(leaf_hashes: Sequence[bytes]) -> Hashes:
    """Give a reader over leaf hashes that are all at hand."""
    levels: list[Sequence[bytes]] = [leaf_hashes]
    while len(levels[-1]) >= TILE_WIDTH:
        below = levels[-1]
        full = range(0, len(below) - len(below) % TILE_WIDTH, TILE_WIDTH)
        levels.append([_complete(below[at : at + TILE_WIDTH]) for at in full])

    def hashes(level: int, start: int, count: int) -> Sequence[bytes]:
        known = levels[level] if level < len(levels) else ()
        return _exactly(known[start : start + count], count)

    return hashes


def hashes_in_tiles(size: int, read: Callable[[Tile], bytes]) -> Hashes:
    """Give a reader over the tiles of a tree of this size; each tile is read once and kept.

    ``read`` gets the tile that is needed, with the width it has at this size, and gives its bytes.
    """
    kept: dict[Tile, Sequence[bytes]] = {}

    def hashes(level: int, start: int, count: int) -> Sequence[bytes]:
        there = size >> (TILE_HEIGHT * level)
        if start + count > there:
            raise Malformed("these hashes are not in a tree of this size")
        found: list[bytes] = []
        for index in range(start // TILE_WIDTH, -(-(start + count) // TILE_WIDTH)):
            tile = Tile(level, index, min(TILE_WIDTH, there - index * TILE_WIDTH))
            if tile not in kept:
                kept[tile] = _exactly(split(read(tile)), tile.width)
            first = index * TILE_WIDTH
            found += kept[tile][max(start - first, 0) : start + count - first]
        return found

    return hashes


def root_at(size: int, hashes: Hashes) -> bytes:
    """Give the root that the tree had when it held ``size`` leaves."""
    return _range(0, size, hashes) if size else EMPTY_ROOT


def inclusion_proof(index: int, size: int, hashes: Hashes) -> list[bytes]:
    """Give the audit path of leaf ``index`` in the tree of ``size`` leaves (RFC 6962 2.1.1).

    Raises:
        Malformed: no such leaf in a tree of this size.
    """
    if not 0 <= index < size:
        raise Malformed("no such leaf in a tree of this size")
    low, high = 0, size
    path: list[bytes] = []
    while high - low > 1:
        middle = low + _split_at(high - low)
        if index < middle:
            path.append(_range(middle, high, hashes))
            high = middle
        else:
            path.append(_range(low, middle, hashes))
            low = middle
    return path[::-1]


def verify_inclusion(
    leaf_hash: bytes, index: int, size: int, proof: Sequence[bytes], root_hash: bytes
) -> bool:
    """Tell whether the proof shows this leaf at this place under this root (RFC 9162 2.1.3.2)."""
    if not 0 <= index < size or not _all_hashes(proof):
        return False
    position, last, computed = index, size - 1, leaf_hash
    for sibling in proof:
        if last == 0:
            return False
        if position & 1 or position == last:
            computed = node(sibling, computed)
            while position and not position & 1:
                position, last = position >> 1, last >> 1
        else:
            computed = node(computed, sibling)
        position, last = position >> 1, last >> 1
    return last == 0 and computed == root_hash


def consistency_proof(old_size: int, new_size: int, hashes: Hashes) -> list[bytes]:
    """Give the proof that the larger tree begins with the smaller one (RFC 6962 2.1.2).

    Empty where the sizes are equal or the old tree had no leaf.

    Raises:
        Malformed: the old size is the larger one.
    """
    if not 0 <= old_size <= new_size:
        raise Malformed("a tree does not get smaller")
    if old_size in (0, new_size):
        return []
    low, high, old, whole = 0, new_size, old_size, True
    proof: list[bytes] = []
    while old != high - low:
        middle = low + _split_at(high - low)
        if old <= middle - low:
            proof.append(_range(middle, high, hashes))
            high = middle
        else:
            proof.append(_range(low, middle, hashes))
            old -= middle - low
            low, whole = middle, False
    if not whole:
        proof.append(_range(low, high, hashes))
    return proof[::-1]


def verify_consistency(
    old_size: int,
    new_size: int,
    old_root: bytes,
    new_root: bytes,
    proof: Sequence[bytes],
) -> bool:
    """Tell whether the proof shows that the new tree begins with the old one (RFC 9162 2.1.4.2)."""
    if not 0 <= old_size <= new_size or not _all_hashes(proof):
        return False
    if old_size == new_size:
        return not proof and old_root == new_root
    if old_size == 0:
        return not proof and old_root == EMPTY_ROOT
    path = list(proof)
    if not old_size & (old_size - 1):
        path.insert(0, old_root)
    if not path:
        return False
    position, last = old_size - 1, new_size - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    first = second = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if position & 1 or position == last:
            first, second = node(sibling, first), node(sibling, second)
            while position and not position & 1:
                position, last = position >> 1, last >> 1
        else:
            second = node(second, sibling)
        position, last = position >> 1, last >> 1
    return last == 0 and first == old_root and second == new_root


def heads_leaf(stream: UUID, version: int, leaf_hash: bytes) -> bytes:
    """Give the leaf of one stream's last event in a HEADS tree (``docs/formats.md`` §3)."""
    return leaf(stream.bytes + version.to_bytes(8, "big") + leaf_hash)


def heads_leaves(heads: Iterable[tuple[UUID, int, bytes]]) -> list[bytes]:
    """Give the leaves of a HEADS tree, in its order: by pseudonym.

    ``heads`` is each stream's last ``(stream, version, leaf hash)``, in any order.
    """
    ordered = sorted(heads, key=lambda head: head[0].bytes)
    return [heads_leaf(stream, version, leaf_hash) for stream, version, leaf_hash in ordered]


def _split_at(count: int) -> int:
    """Give the largest power of two below ``count`` (RFC 6962's k)."""
    return 1 << ((count - 1).bit_length() - 1)


def _range(start: int, end: int, hashes: Hashes) -> bytes:
    """Give the hash over leaves ``start`` to ``end`` (not included), where ``start`` is aligned."""
    complete: list[bytes] = []
    while start < end:
        height = (end - start).bit_length() - 1
        level, rest = divmod(height, TILE_HEIGHT)
        count = 1 << rest
        first = start >> (TILE_HEIGHT * level)
        complete.append(_complete(_exactly(hashes(level, first, count), count)))
        start += 1 << height
    return _fold(complete)


def _fold(complete: Sequence[bytes]) -> bytes:
    """Give the root over complete subtrees, the largest first."""
    if not complete:
        return EMPTY_ROOT
    computed = complete[-1]
    for left in reversed(complete[:-1]):
        computed = node(left, computed)
    return computed


def _complete(hashes: Sequence[bytes]) -> bytes:
    """Give the root over a power of two of equally high subtrees."""
    row = hashes
    while len(row) > 1:
        row = [node(row[at], row[at + 1]) for at in range(0, len(row), 2)]
    return row[0]


def _exactly(hashes: Sequence[bytes], count: int) -> Sequence[bytes]:
    if len(hashes) != count:
        raise Malformed("hashes of the tree are missing")
    return hashes


def _all_hashes(proof: Sequence[bytes]) -> bool:
    return all(len(part) == HASH_LENGTH for part in proof)
