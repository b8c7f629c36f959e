"""What a reader finds in one inbound document: whose it says it is, its coded lines, the rest.

Readers are pure: bytes in, :class:`ReadDocument` out. They keep values, units and codes as the
source wrote them; what has no event is listed under ``unmapped``, never dropped.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Final

import msgspec

from releve.domain.aggregates.patient.observations import ObservationRecorded
from releve.domain.aggregates.patient.results import ResultReceived
from releve.domain.commands import ImportedEntry, ReceiveDocument
from releve.domain.errors import Invalid
from releve.domain.events import Channel, Source
from releve.domain.values import (
    ONE_LINER_LIMIT,
    DocumentFormat,
    IdentityTraits,
    InboxDoor,
    ResultLine,
    ResultStatus,
    Unmapped,
)
from releve.fhir.lone_values import is_recent

MAX_BYTES: Final = 32 * 1024 * 1024
"""Largest document that is read, in bytes."""

TITLE_LIMIT: Final = 160
"""Characters of a title that the inbox keeps."""

MAX_TEXT: Final = 200_000
"""Characters of a document's words that are given beside its bytes; the rest is in the bytes."""

_CHANNELS: Final[Mapping[DocumentFormat, Channel]] = {
    "pdf": "pdf", "cda": "cda", "fhir": "fhir", "hprim": "hprim", "text": "paste", "phone": "phone",
}  # fmt: skip

_NO_LABORATORY: Final = frozenset({"vital-signs", "social-history"})

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class Unreadable(Invalid):
    """The bytes may not be read: too large, empty, or made to harm. ``why`` says which (French)."""

    code = "document-unreadable"
    what = "Le document n'est pas accepté."
    do = "Demander à l'expéditeur un document sain, ou le déposer en PDF."

    def __init__(self, why: str) -> None:
        super().__init__(why=why)


class EmbeddedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file carried inside a document: the PDF of a report, a page as text."""

    media_type: str
    content: bytes


class ReadDocument(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One inbound document as read; a document that nobody understands has warnings, no lines."""

    format: DocumentFormat
    media_type: str
    kind: str | None = None
    """LOINC code of the kind of document."""
    title: str = ""
    one_liner: str = ""
    """At most 160 characters on one line, free of names and identifiers."""
    issued_at: str | None = None
    """RFC 3339 instant or partial date, as the document gives it."""
    identity: IdentityTraits | None = None
    """Whose it says it is; None where nothing could be read."""
    system: str | None = None
    """The sender as written: the custodian's or the laboratory's identifier, else its name."""
    author: str | None = None
    """Who signs it, as written."""
    source_id: str | None = None
    """What its source calls it: the same one twice is the same document."""
    entries: tuple[ImportedEntry, ...] = ()
    unmapped: tuple[Unmapped, ...] = ()
    """Places are XPaths for XML, FHIRPaths for FHIR, ``ligne 12`` for text."""
    warnings: tuple[str, ...] = ()
    text: str = ""
    """Words that a person can read where the document is text; empty for the other formats."""
    embedded: tuple[EmbeddedFile, ...] = ()

    @property
    def reports(self) -> tuple[ResultReceived, ...]:
        """The results that it carries."""
        return tuple(e.payload for e in self.entries if isinstance(e.payload, ResultReceived))

    @property
    def results(self) -> tuple[ResultLine, ...]:
        """The lines of its results, in order."""
        return tuple(line for report in self.reports for line in report.lines)

    @property
    def measures(self) -> tuple[ResultLine, ...]:
        """Values that are no result and were news when it was written, vital signs apart.

        A critical one among them is urgent, whoever's it is.
        """
        return tuple(
            ResultLine(
                code=code,
                value=value,
                interpretation=told.interpretation,
                status=told.status,
                method=told.method,
            )
            for each in self.entries
            if isinstance(told := each.payload, ObservationRecorded)
            and told.category not in _NO_LABORATORY
            and is_recent(each.occurred_at, self.issued_at)
            for code, value in (
                (told.code, told.value),
                *((part.code, part.value) for part in told.components),
            )
            if value is not None
        )

    @property
    def result_status(self) -> ResultStatus | None:
        """The status of its results, the least advanced one first; None without results."""
        stated = {report.status for report in self.reports}
        order: tuple[ResultStatus, ...] = ("phoned", "partial", "corrected", "final")
        return next((status for status in order if status in stated), None)

    @property
    def coded_lines(self) -> int:
        """How many lines would be "à valider" on a record; each line of a result counts."""
        return sum(
            len(entry.payload.lines) or 1 if isinstance(entry.payload, ResultReceived) else 1
            for entry in self.entries
        )


def to_receive(
    read: ReadDocument, raw: bytes, *, door: InboxDoor = "upload"
) -> tuple[ReceiveDocument, Source]:
    """The command that keeps ``raw`` with what was read of it, and the source of what it says."""
    sha256 = hashlib.sha256(raw).hexdigest()
    command = ReceiveDocument(
        sha256=sha256,
        size=len(raw),
        media_type=read.media_type,
        format=read.format,
        door=door,
        title=read.title[:TITLE_LIMIT],
        kind=read.kind,
        one_liner=read.one_liner,
        identity=read.identity,
        issued_at=read.issued_at,
        results=(*read.results, *read.measures),
        result_status=read.result_status,
        coded_lines=read.coded_lines,
        unmapped=read.unmapped,
        warnings=read.warnings,
    )
    source = Source(
        channel=_CHANNELS[read.format],
        system=read.system,
        source_id=read.source_id,
        original_sha256=sha256,
        author=read.author,
    )
    return command, source


def glance(words: str) -> str:
    """``words`` on one line of at most 160 characters, cut at a word with an ellipsis."""
    line = " ".join(_CONTROL.sub(" ", words).split())
    if len(line) <= ONE_LINER_LIMIT:
        return line
    cut = line[: ONE_LINER_LIMIT - 1]
    return (cut.rpartition(" ")[0] or cut) + "…"


def readable_text(text: str) -> str:
    """``text`` without control characters, its line ends made one, at most ``MAX_TEXT`` long."""
    plain = text[:MAX_TEXT].replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROL.sub(" ", plain).strip()
