"""A ledger in a real PostgreSQL, and copies of it for attackers who own the server.

The ledger is built once by the real store, sequencer and checkpointer; every attack gets a copy of
its database, as somebody who owns the server would have it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg

from releve.security.ledger import envelope, merkle, verify
from releve.security.ledger.export import Exported, export_audit
from releve.security.ledger.notes import LogSigner, log_origin
from releve.security.ledger.verification import verify_database
from support.ledger import Ledger, unguarded
from support.postgres import Database, Server

STREAMS, EACH = 14, 40
HEADS_AT = STREAMS * EACH
SIZE = HEADS_AT + 1
AT = 300
"""An event in the middle of stream 7, below a full tile."""
STREAM, VERSION = 7, 21
LAST = 319
"""The last event of stream 7."""


@dataclass(frozen=True)
class Original:
    """The honest ledger, closed so that its database can be copied."""

    database: Database
    streams: list[UUID]
    keys: Path


def build_original(server: Server, keys: Path) -> Original:
    """Write the ledger that is attacked, with the real store, sequencer and checkpointer."""
    database = server.create()
    ledger = Ledger(database, keys)
    streams = [ledger.new_stream(EACH) for _ in range(STREAMS)]
    ledger.number()
    assert ledger.sequencer.append_heads() == HEADS_AT
    ledger.checkpointer.run_once()
    for pool in database._pools:
        pool.close()
    return Original(database, streams, keys)


@dataclass
class Copy:
    """One attack's own copy of the ledger."""

    ledger: Ledger
    streams: list[UUID]
    held: bytes
    path: Path

    @property
    def signer(self) -> LogSigner:
        return self.ledger.key_files.log_signer(log_origin(self.ledger.cell))

    def sql(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Run something as the owner of the machine, triggers off."""
        return unguarded(self.ledger.database, query, *parameters)

    def verify(self, **options: Any) -> dict[str, Any]:
        return verify_database(self.ledger.database.service_pool, [self.signer.vkey], **options)

    def export(self, *streams: UUID) -> Path:
        """Export these streams, or the log."""
        requested = {"stream": streams[0].hex} if streams else {}
        chosen = list(streams) if streams else None
        return self.exported(requested=requested, streams=chosen).path

    def exported(self, **options: Any) -> Exported:
        return export_audit(
            self.ledger.database.worker_pool,
            self.ledger.sequencer,
            self.ledger.checkpointer,
            self.signer,
            out=self.path / "export.zip",
            **options,
        )

    def judge(self, path: Path, **options: Any) -> dict[str, Any]:
        return verify.verify_export(path, [self.signer.vkey], **options)

    def rows(self) -> list[tuple[bytes, bytes | None]]:
        """Header and body of every position."""
        found = self.sql(
            "SELECT e.header, e.body FROM ledger.leaf l JOIN ledger.event e "
            "ON e.stream = l.stream AND e.version = l.version ORDER BY l.position"
        )
        return [(bytes(h), None if b is None else bytes(b)) for h, b in found]

    def sign_again(self, rows: list[tuple[bytes, bytes | None]]) -> None:
        """Make these rows the whole log, as its owner with the log key could."""
        for table in ("event", "leaf", "tile", "checkpoint", "known_time"):
            self.sql(f"DELETE FROM ledger.{table}")  # noqa: S608 - our own names
        url = self.ledger.database.superuser_url
        frontier = merkle.Frontier()
        leaves = [envelope.leaf_hash(header) for header, _ in rows]
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("SET session_replication_role = replica")
            for position, (header, body) in enumerate(rows):
                fields = envelope.Header.unpack(header)
                connection.execute(
                    "INSERT INTO ledger.event (stream, version, topic, header, body, event_id) "
                    "VALUES (%s, %s, %s, %s, %s, %s)",
                    (
                        fields.stream, fields.version, envelope.CLASS_NAMES[fields.event_class],
                        header, body, fields.event_id,
                    ),
                )  # fmt: skip
                connection.execute(
                    "INSERT INTO ledger.leaf VALUES (%s, %s, %s, %s, %s)",
                    (
                        position, fields.stream, fields.version, fields.event_class,
                        leaves[position],
                    ),
                )  # fmt: skip
                frontier.append(leaves[position])
            hashes = merkle.hashes_in_memory(leaves)
            for tile in merkle.completed_tiles(0, len(rows)):
                connection.execute(
                    "INSERT INTO ledger.tile VALUES (%s, %s, %s)",
                    (tile.level, tile.index, merkle.read_tile(tile, hashes)),
                )
            connection.execute(
                "INSERT INTO ledger.known_time VALUES (%s, %s)",
                (
                    len(rows) - 1,
                    max(envelope.Header.unpack(header).recorded_at for header, _ in rows),
                ),
            )
            connection.execute(
                "UPDATE ledger.head SET size = %s, frontier = %s",
                (len(rows), frontier.to_bytes()),
            )
            connection.execute(
                "INSERT INTO ledger.checkpoint (size, note) VALUES (%s, %s)",
                (len(rows), self.signer.sign(len(rows), frontier.root())),
            )


HERE = "(stream, version) = (SELECT stream, version FROM ledger.leaf WHERE position = %s)"


def flip(table: str, column: str, at: int, where: str = HERE) -> str:
    """Change one bit of one byte."""
    change = f"{column} = set_byte({column}, {at}, get_byte({column}, {at}) # 1)"
    return " ".join(("UPDATE", f"ledger.{table}", "SET", change, "WHERE", where))
