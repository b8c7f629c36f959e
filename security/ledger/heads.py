"""The HEADS tree over the database: every stream's last event, so that none can be left out.

``docs/formats.md`` §3 has the tree, §5 the file. The sequencer writes the HEADS event; this module
reads the same heads again for an export and proves the streams that are exported.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

from psycopg.types.numeric import Int8

from releve.security.ledger import merkle
from releve.security.ledger.connection import Connection, binary_cursor

_BELOW: Final = """
SELECT DISTINCT ON (l.stream) l.stream, l.version, l.leaf FROM ledger.leaf l
WHERE l.position < $1 ORDER BY l.stream, l.version DESC"""


class StreamHead(NamedTuple):
    """A stream's last event: its version and leaf hash."""

    stream: UUID
    version: int
    leaf: bytes


def stream_heads(connection: Connection, below: int) -> list[StreamHead]:
    """The last event of every stream below a position, by pseudonym."""
    rows = binary_cursor(connection).execute(_BELOW, (Int8(below),)).fetchall()
    return [StreamHead(*row) for row in rows]


def heads_file(position: int, heads: Sequence[StreamHead], streams: Sequence[UUID]) -> Any:
    """What ``heads.json`` says of ``streams``, at the HEADS event of ``position``.

    ``heads`` are all streams' heads below that position, by pseudonym. Proofs are left out when
    every stream is among ``streams``.
    """
    leaves = merkle.heads_leaves(heads)
    reader = merkle.hashes_in_memory(leaves)
    wanted = set(streams)
    rows: list[dict[str, object]] = []
    for index, head in enumerate(heads):
        if head.stream not in wanted:
            continue
        row: dict[str, object] = {
            "stream": head.stream.hex,
            "version": head.version,
            "leaf": _base64(head.leaf),
            "index": index,
        }
        if len(wanted) < len(heads):
            proof = merkle.inclusion_proof(index, len(heads), reader)
            row["proof"] = [_base64(step) for step in proof]
        rows.append(row)
    return {
        "position": position,
        "tree_size": len(heads),
        "root": _base64(merkle.root(leaves)),
        "streams": rows,
    }


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")
