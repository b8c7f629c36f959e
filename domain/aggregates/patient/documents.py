"""Originals: the exact bytes something came in, kept sealed beside the record."""

from __future__ import annotations

from typing import ClassVar

from releve.domain.aggregates.deciding import Context, Fact
from releve.domain.aggregates.patient.record import Fold, Patient
from releve.domain.codes import Loinc, Sha256
from releve.domain.commands import AttachDocument, ReceiveDocument
from releve.domain.errors import Invalid
from releve.domain.events import Payload
from releve.domain.values import (
    Unmapped,
    readable,
    words,
)

# Events: the storage format. Never rename, retype or reuse a field; see domain/upcasting.py.


class DocumentAttached(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """An original was attached; its bytes are sealed apart under the same patient key."""

    topic: ClassVar[str] = "patient.document-attached"

    sha256: str
    size: int
    media_type: str
    title: str = ""
    kind: str | None = None
    """LOINC code of the kind of document."""
    unmapped: tuple[Unmapped, ...] = ()
    warnings: tuple[str, ...] = ()


# State

FOLDS: dict[type[Payload], Fold] = {
    DocumentAttached: lambda patient, event: patient.documents.append(event),
}


def holds_document(patient: Patient, sha256: str, source_id: str | None) -> bool:
    """True when these bytes, under this name in their source, are attached already."""
    return any(
        isinstance(event.payload, DocumentAttached)
        and event.payload.sha256 == sha256
        and event.envelope.source.source_id == source_id
        for event in patient.standing(patient.documents)
    )


# Decisions


def read_original(command: AttachDocument | ReceiveDocument, ctx: Context) -> str:
    """Hex SHA-256 of the original that came with the command. Raises Invalid."""
    sha256 = str(Sha256(command.sha256))
    if sha256 not in ctx.originals:
        raise Invalid("missing-field", field="original", why="Les octets du document manquent.")
    if command.size < 0:
        raise Invalid("invalid-field", field="size")
    if command.kind is not None:
        Loinc(command.kind, field="kind")
    return sha256


def attach_document(patient: Patient, command: AttachDocument, ctx: Context) -> tuple[Fact, ...]:
    """The same bytes under the same source id make one document; the second time, no event."""
    sha256 = read_original(command, ctx)
    if holds_document(patient, sha256, ctx.source.source_id):
        return ()
    return (
        Fact(
            DocumentAttached(
                sha256=sha256,
                size=command.size,
                media_type=words(command.media_type, field="media_type", limit=100),
                title=readable(command.title, field="title", limit=160),
                kind=command.kind,
            )
        ),
    )
