"""The Merkle tree as the database holds it: full tiles as rows, everything else from leaf rows."""

from __future__ import annotations

from typing import Final

from psycopg.types.numeric import Int4, Int8

from releve.security.errors import Tampered
from releve.security.ledger import merkle
from releve.security.ledger.connection import Pool
from releve.security.ledger.recorder import read

_TILE: Final = "SELECT t.hashes FROM ledger.tile t WHERE t.level = $1 AND t.idx = $2"
_LEAVES: Final = """
SELECT l.leaf FROM ledger.leaf l WHERE l.position >= $1 AND l.position < $2 ORDER BY l.position"""


def read_tile(pool: Pool, tile: merkle.Tile) -> bytes:
    """The bytes of one tile, full or partial.

    Raises:
        Tampered: a full tile or a leaf row is missing.
        LedgerUnreachable: the database does not answer.
    """
    if tile.width == merkle.TILE_WIDTH:
        rows = read(pool, _TILE, (Int4(tile.level), Int8(tile.index)))
        if not rows:
            raise Tampered("a tile is missing")
        return bytes(rows[0][0])
    start = tile.index * merkle.TILE_WIDTH
    if tile.level == 0:
        rows = read(pool, _LEAVES, (Int8(start), Int8(start + tile.width)))
        if len(rows) != tile.width:
            raise Tampered("a leaf row is missing")
        return b"".join(row[0] for row in rows)
    below = range(start, start + tile.width)
    return b"".join(
        merkle.root(merkle.split(read_tile(pool, merkle.Tile(tile.level - 1, index))))
        for index in below
    )


def stored_hashes(pool: Pool, size: int) -> merkle.Hashes:
    """A reader of complete subtree hashes of the tree of ``size`` leaves, for proofs and roots.

    Reads each tile once and keeps it; raises as :func:`read_tile`.
    """
    return merkle.hashes_in_tiles(size, lambda tile: read_tile(pool, tile))
