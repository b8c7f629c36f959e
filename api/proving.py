"""Proof of one record, for a page: bytes, chain and place in the signed log, event by event."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

from releve.security.errors import Tampered
from releve.security.ledger import merkle
from releve.security.ledger.envelope import GENESIS, Header, leaf_hash
from releve.security.ledger.notes import verify_note
from releve.security.ledger.stored_tree import stored_hashes

if TYPE_CHECKING:
    from releve.api.services import Services

_ROWS = (
    "SELECT e.version, e.header, e.body, l.position, l.leaf FROM ledger.event e"
    " LEFT JOIN ledger.leaf l ON l.stream = e.stream AND l.version = e.version"
    " WHERE e.stream = %s ORDER BY e.version"
)


@dataclass(frozen=True, slots=True)
class ProvenEvent:
    """One event of a stream: where it stands, its leaf, and what is wrong with it, if anything."""

    version: int
    position: int | None
    recorded_at: datetime
    leaf: str
    problem: str = ""


@dataclass(frozen=True, slots=True)
class StreamProof:
    """What the check of one stream found, against which head, signed up to where."""

    size: int
    root: str
    signed_size: int
    events: tuple[ProvenEvent, ...]
    problems: tuple[str, ...] = field(default=())
    """What is wrong with the log itself rather than with one event."""

    @property
    def intact(self) -> bool:
        """Nothing is wrong, and every event has its place."""
        return not self.problems and all(
            not each.problem and each.position is not None for each in self.events
        )

    @property
    def waiting(self) -> int:
        """Events that have no position yet."""
        return sum(each.position is None for each in self.events)


def prove_stream(services: Services, stream: UUID) -> StreamProof:
    """Recompute every leaf of a stream from its bytes and prove each inside the signed log.

    Reads no column that repeats the header. Raises LedgerDown when the database does not answer.
    """
    head = services.reader.head()
    hashes = stored_hashes(services.pool, head.size)
    with services.pool.connection() as connection:
        rows = connection.execute(_ROWS, (stream,)).fetchall()
    found = []
    previous = GENESIS
    for number, (version, raw, body, position, stored) in enumerate(rows, 1):
        header = bytes(raw)
        computed = leaf_hash(header)
        problem = ""
        try:
            clear = Header.unpack(header)
        except Tampered:
            recorded, problem = datetime.fromtimestamp(0, UTC), "en-tête illisible"
        else:
            recorded = datetime.fromtimestamp(clear.recorded_at / 1_000_000, UTC)
            problem = _problem(clear, body, previous, number, stream, version)
        if not problem and position is not None:
            problem = _place(computed, bytes(stored), position, head.size, head.root, hashes)
        found.append(ProvenEvent(version, position, recorded, computed.hex(), problem))
        previous = computed
    signed, problems = _signed(services, head.size, head.root, hashes)
    return StreamProof(head.size, head.root.hex(), signed, tuple(found), tuple(problems))


def _problem(
    header: Header, body: bytes | None, previous: bytes, number: int, stream: UUID, version: int
) -> str:
    if header.stream != stream or header.version != version or version != number:
        return "hors de sa place"
    if header.prev != previous:
        return "chaîne rompue"
    if body is not None and hashlib.sha256(body).digest() != header.body_sha256:
        return "contenu altéré"
    return ""


def _place(
    computed: bytes, stored: bytes, position: int, size: int, root: bytes, hashes: merkle.Hashes
) -> str:
    if computed != stored:
        return "en-tête altéré"
    if position >= size:
        return ""
    try:
        proof = merkle.inclusion_proof(position, size, hashes)
    except Tampered:
        return "preuve manquante"
    return (
        "" if merkle.verify_inclusion(computed, position, size, proof, root) else "hors du registre"
    )


def _signed(
    services: Services, size: int, root: bytes, hashes: merkle.Hashes
) -> tuple[int, list[str]]:
    """Up to which size the head is signed, and whether what was signed is still there."""
    note = services.checkpointer.latest()
    if note is None:
        return 0, []
    try:
        checkpoint = verify_note(note, [services.signer.vkey])
        if checkpoint.size > size:
            return checkpoint.size, ["le registre est plus court que sa tête signée"]
        proof = merkle.consistency_proof(checkpoint.size, size, hashes)
        same = merkle.verify_consistency(checkpoint.size, size, checkpoint.root, root, proof)
    except Tampered:
        same = False
    if not same:
        return 0, ["la tête signée ne correspond plus au registre"]
    return checkpoint.size, []
