"""What other systems send: documents of the inbox, and what their lines become on a record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar
from uuid import UUID

import msgspec

from releve.domain.commands.command import (
    ANY_ID,
    DESK,
    DOCTORS,
    MACHINES,
    TEAM,
    Command,
    Target,
)
from releve.domain.commands.identity import RegisterPatient
from releve.domain.events import Payload, Role
from releve.domain.values import (
    DocumentFormat,
    IdentityTraits,
    InboxDoor,
    ResultLine,
    ResultStatus,
    Unmapped,
)


class ImportedEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One coded line of a source, as the payload it becomes."""

    payload: Payload
    occurred_at: str | None = None
    source_id: str | None = None
    """What the line is called in its source, such as ``Condition/123``."""
    author: str | None = None
    """Who asserts it in the source, as the source writes it."""


class ImportedDocument(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The original that the entries were read from, and what in it became no event."""

    sha256: str
    size: int
    media_type: str = "application/fhir+json"
    title: str = ""
    kind: str | None = None
    source_id: str | None = None
    unmapped: tuple[Unmapped, ...] = ()
    warnings: tuple[str, ...] = ()


class ImportRecord(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Take in what a source holds on one patient, in one append.

    Entries keep the status, verification and dates of the source, whatever the code system. What
    the record holds already (same code, onset and source; same document) makes no event, and when
    everything is known no event at all is written.
    """

    name: ClassVar[str] = "import-record"
    target: ClassVar[Target] = "patient"
    roles: ClassVar[frozenset[Role]] = TEAM | {"ehr", "system"}
    example: ClassVar[Mapping[str, Any]] = {}
    creates: ClassVar[bool] = True
    public: ClassVar[bool] = False

    registration: RegisterPatient | None = None
    """The identity as the source gives it; ignored when the patient is registered already."""
    entries: tuple[ImportedEntry, ...] = ()
    document: ImportedDocument | None = None


class ReceiveDocument(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Keep a document that came in; its bytes travel beside the command (spoken by the inbox)."""

    name: ClassVar[str] = "receive-document"
    target: ClassVar[Target] = "inbox"
    roles: ClassVar[frozenset[Role]] = TEAM | MACHINES
    example: ClassVar[Mapping[str, Any]] = {
        "sha256": "00" * 32,
        "size": 1024,
        "media_type": "application/pdf",
        "format": "pdf",
        "title": "Compte rendu",
    }
    creates: ClassVar[bool] = True
    public: ClassVar[bool] = False

    sha256: str
    size: int
    media_type: str
    format: DocumentFormat
    door: InboxDoor = "upload"
    title: str = ""
    kind: str | None = None
    """LOINC code of the kind of document."""
    one_liner: str = ""
    identity: IdentityTraits | None = None
    """Whose it says it is; None where nothing could be read."""
    issued_at: str | None = None
    results: tuple[ResultLine, ...] = ()
    result_status: ResultStatus | None = None
    coded_lines: int = 0
    """Lines that will become entries "à valider" on the record it is matched with."""
    unmapped: tuple[Unmapped, ...] = ()
    warnings: tuple[str, ...] = ()
    caller: str = ""
    read_back: bool = False


class MatchDocument(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Say whose record a document belongs to; a strict trait that differs refuses."""

    name: ClassVar[str] = "match-document"
    target: ClassVar[Target] = "inbox"
    roles: ClassVar[frozenset[Role]] = DOCTORS | DESK
    example: ClassVar[Mapping[str, Any]] = {"patient": ANY_ID}

    patient: UUID
    confirmed: bool = False
    """A person compared the identity by eye; required where the document says too little."""


class RejectDocument(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Set a document aside, for a reason; it stays kept, and the sender is told or not."""

    name: ClassVar[str] = "reject-document"
    target: ClassVar[Target] = "inbox"
    roles: ClassVar[frozenset[Role]] = DOCTORS | DESK
    example: ClassVar[Mapping[str, Any]] = {
        "reason": "Patient inconnu du centre",
        "sender_told": True,
    }

    reason: str
    sender_told: bool = False
