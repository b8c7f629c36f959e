"""Which record holds an identifier: one at a time, and none that gave it by an entry in error.

A holder is a row of ``ledger.claim``, which is only ever added to: its blind-index value under a
kind. Where the holder's own entry was marked in error the identifier is free; whoever takes it
next, be it the same record again, adds a row of the next kind, and two who do so at once are told
apart by that row's key. The row of the highest kind says who holds it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from uuid import UUID

from psycopg import Connection
from psycopg_pool import ConnectionPool

from releve.domain.aggregates.patient.ins import gave_in_error
from releve.domain.continuity import Continuity
from releve.domain.errors import NotFound
from releve.domain.values import INS_SYSTEMS, Identifier
from releve.security.errors import KeyDestroyed
from releve.security.keys.keyfile import BlindIndex
from releve.security.ledger.store import Claim

IDENTIFIER: Final = "identifier"
"""Kind of claim under which a patient's identifiers are held."""

_KINDS: Final = (IDENTIFIER, *(f"{IDENTIFIER}.{number}" for number in range(2, 17)))
"""The kinds under which an identifier is held in turn; after the last one nobody else takes it."""


class _Row(NamedTuple):
    turn: int
    stream: UUID


def identifier_value(identifier: Identifier) -> str:
    """What is put through the blind index for an identifier: its system and value, exactly."""
    return f"{identifier.system}|{identifier.value}"


@dataclass(frozen=True, slots=True)
class HeldIdentifiers:
    """Asks and takes identifiers, compared as blind-index values, never in the clear."""

    continuity: Continuity
    pool: ConnectionPool[Connection[Any]]
    """Connections that may read the claims."""
    blind_index: BlindIndex

    def mac(self, identifier: Identifier) -> bytes:
        """The blind-index value of an identifier."""
        return self.blind_index.mac(IDENTIFIER, identifier_value(identifier))

    def holders(self, identifiers: Iterable[Identifier]) -> dict[bytes, UUID]:
        """The record that holds each of these, by blind-index value, for those that are held."""
        named = {self.mac(each): each for each in identifiers}
        return {
            mac: row.stream
            for mac, row in self._rows(named).items()
            if not self._free(named[mac], row.stream)
        }

    def claims(
        self, identifiers: Iterable[Identifier], stream: UUID | None, *, again: bool = True
    ) -> list[Claim]:
        """What ``stream`` (None for a record to be opened) claims to hold these.

        One that another record holds is claimed all the same: the store refuses it, and says
        whose it is. ``again`` is whether the record takes back what it gave in error.
        """
        named = {self.mac(each): each for each in identifiers}
        rows = self._rows(named)
        found = []
        for mac, identifier in named.items():
            row = rows.get(mac)
            if row is None:
                found.append(Claim(IDENTIFIER, mac))
                continue
            free = self._free(identifier, row.stream)
            if free and row.stream == stream and not again:
                continue
            turn = row.turn + 1 if free and row.turn + 1 < len(_KINDS) else row.turn
            found.append(Claim(_KINDS[turn], mac))
        return found

    def _rows(self, macs: Iterable[bytes]) -> dict[bytes, _Row]:
        wanted = list(macs)
        if not wanted:
            return {}
        with self.pool.connection() as connection:
            rows = connection.execute(
                "SELECT kind, mac, stream FROM ledger.claim WHERE kind = ANY(%s) AND mac = ANY(%s)",
                (list(_KINDS), wanted),
            ).fetchall()
        found: dict[bytes, _Row] = {}
        for kind, mac, stream in rows:
            row = _Row(_KINDS.index(kind), stream)
            found[bytes(mac)] = max(row, found.get(bytes(mac), row))
        return found

    def _free(self, identifier: Identifier, stream: UUID) -> bool:
        """Whether its holder has it by nothing but entries in error: matricules alone can be so."""
        if identifier.system not in INS_SYSTEMS:
            return False
        try:
            return gave_in_error(self.continuity.patient(stream), identifier)
        except (NotFound, KeyDestroyed):
            return False  # what nobody can read any more is not given to somebody else
