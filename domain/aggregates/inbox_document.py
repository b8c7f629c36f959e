"""Inbox document (document reçu): what came in, whose it is, and who said so.

A small stream with its own key, so that it can be erased alone. The bytes are kept as they came,
sealed beside it; nothing that cannot be read is dropped.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import ClassVar
from uuid import UUID

from releve.domain.aggregates.deciding import Context, Fact
from releve.domain.commands import Command
from releve.domain.events import Event, Payload
from releve.domain.values import DocumentFormat, IdentityTraits, ResultLine, ResultStatus, Unmapped

# Events: the storage format. Never rename, retype or reuse a field; see domain/upcasting.py.


class DocumentReceived(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """A document came in; whose it says it is, and what could be read of it."""

    topic: ClassVar[str] = "inbox.document-received"

    sha256: str
    size: int
    media_type: str
    format: DocumentFormat
    title: str = ""
    kind: str | None = None
    """LOINC code of the kind of document."""
    one_liner: str = ""
    identity: IdentityTraits | None = None
    issued_at: str | None = None
    results: tuple[ResultLine, ...] = ()
    result_status: ResultStatus | None = None
    coded_lines: int = 0
    unmapped: tuple[Unmapped, ...] = ()
    warnings: tuple[str, ...] = ()
    caller: str = ""
    read_back: bool = False


class DocumentMatched(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """A person said whose record the document belongs to."""

    topic: ClassVar[str] = "inbox.document-matched"

    patient: UUID
    agreed: tuple[str, ...] = ()
    """Traits that the document and the record both give, and that agree."""
    confirmed: bool = False


class DocumentRejected(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """The document was set aside, for the envelope's reason."""

    topic: ClassVar[str] = "inbox.document-rejected"

    sender_told: bool = False


# State


@dataclass(slots=True)
class InboxDocument:
    """One document as its events tell it; ``patient`` once it is matched."""

    id: UUID
    version: int
    received: DocumentReceived
    centre: UUID | None
    patient: UUID | None = None
    rejected: bool = False
    event_ids: dict[UUID, int] = field(default_factory=dict)
    last: Event | None = None


def fold(document: InboxDocument | None, events: Iterable[Event]) -> InboxDocument | None:
    """``document`` after ``events``; ``document`` itself is changed."""
    for event in events:
        match event.payload:
            case DocumentReceived() as received:
                document = InboxDocument(
                    event.originator_id, event.originator_version, received, event.envelope.centre
                )
            case DocumentMatched() as matched if document is not None:
                document.patient, document.rejected = matched.patient, False
            case DocumentRejected() if document is not None:
                document.rejected = True
            case _:
                pass
        if document is not None:
            document.version = event.originator_version
            document.event_ids[event.event_id] = event.originator_version
            document.last = event
    return document


# Decisions


def decide(document: InboxDocument | None, command: Command, ctx: Context) -> tuple[Fact, ...]:
    """The facts that ``command`` makes of ``document``, or the reason why it makes none."""
    raise TypeError(f"{command.name} is not an inbox document's command")
