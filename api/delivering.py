"""A matched document reaches the record, once: its original, and the lines a doctor will judge.

Matching is durable before the record is written; :class:`Repair` finishes what a crash left between
the two, under the same request, so that nothing is written twice.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol
from uuid import UUID

import msgspec

from releve.api.inbox import ACTOR, BOX, KINDS, line_of, name_hint, original
from releve.domain.aggregates.deciding import Context
from releve.domain.aggregates.patient.imports import import_record
from releve.domain.aggregates.patient.results import ResultReceived
from releve.domain.aggregates.patient.validation import EntryValidated
from releve.domain.commands import ImportedDocument, ImportedEntry, ImportRecord
from releve.domain.continuity import Outcome
from releve.domain.errors import Invalid, NotFound, Refused, Reused
from releve.domain.events import Author
from releve.domain.requests import CommandContext
from releve.fhir.document_content import TITLE_LIMIT
from releve.fhir.received_document import ReadDocument, read_document
from releve.projections.inbox import InboxLine
from releve.security.ledger.envelope import derive_event_id

if TYPE_CHECKING:
    from releve.api.services import Services

_log: Final = logging.getLogger("releve.inbox")
_ALONE: Final = b".alone"


class Reader(Protocol):
    """Reads the bytes of a document, as :func:`read_document` does."""

    def __call__(
        self, raw: bytes, *, media_type: str | None = None, name_hint: str | None = None
    ) -> ReadDocument:
        """What the bytes say."""


def document_with(services: Services, patient: UUID, entry: UUID) -> UUID | None:
    """The record with which the document that brought an entry of ``patient`` is matched now.

    A verdict on an imported line is told as the line. None for an entry that no document brought,
    and for one whose document waits.
    """
    entries = services.continuity.patient(patient).entries
    event = entries.get(entry)
    if event is not None and isinstance(event.payload, EntryValidated) and event.envelope.target:
        event = entries.get(event.envelope.target)
    brought = None if event is None else event.envelope.causation_id
    if brought is None:
        return None
    with services.pool.connection() as connection:
        row = connection.execute(
            "SELECT stream FROM ledger.event WHERE event_id = %s", (brought,)
        ).fetchone()
    if row is None or services.continuity.centre_of_document(row[0]) is None:
        return None
    return line_of(services, row[0]).patient


def deliver(
    services: Services, document: UUID, *, reader: Reader = read_document
) -> Outcome | None:
    """Write a matched document on its record; the second time nothing happens.

    None while the document is matched with nobody. Where a rule of the record refuses a coded
    line, the document goes in alone and says so: its original holds every line.
    """
    line = line_of(services, document)
    if line.patient is None:
        return None
    raw = original(services, line)
    command = _command(line, raw, reader)
    try:
        return _delivered(services, line, command, raw)
    except Reused:
        return None  # delivered before, by a release that read the bytes otherwise
    except (Invalid, Refused) as refused:
        if not command.entries or command.document is None:
            raise
        told = f"Lignes codées non reprises : {refused.why or refused.what}"
        alone = msgspec.structs.replace(
            command.document, warnings=(*command.document.warnings, told)
        )
        return _delivered(services, line, ImportRecord(document=alone), raw, _ALONE)


def corrected(services: Services, document: UUID, seen: int | None, *, named: bool) -> UUID | None:
    """The match that stands on a document and that another one may correct; else None.

    Its delivery is over when this returns: nothing of it can reach the record where it was any
    more, and what stands there can be judged. It was seen by whoever's screen showed the position
    ``seen`` or a later one, or has ``named`` the document's version; who says neither may correct
    what they found on the record.

    Raises:
        NotFound: there is no such document.
    """
    line = line_of(services, document)
    if line.patient is None:
        return None
    if seen is not None and not named:
        at = next(
            e.position for e in services.reader.stream(document) if e.event_id == line.matched_at
        )
        if at is None or at > seen:
            return None
    with suppress(Invalid, Refused):  # then the record takes none of it, now as later
        deliver(services, document)
    if seen is None and not named and not written(services, line):
        return None
    return line.matched_at


def _command(line: InboxLine, raw: bytes, reader: Reader) -> ImportRecord:
    return _phoned(line) if line.received.format == "phone" else _import(line, raw, reader)


def _phoned(line: InboxLine) -> ImportRecord:
    told = line.received
    result = ResultReceived(
        status="phoned",
        title=told.title,
        lines=told.results,
        laboratory=told.caller,
        caller=told.caller,
        read_back=told.read_back,
    )
    return ImportRecord(entries=(ImportedEntry(payload=result, occurred_at=told.issued_at),))


def _import(line: InboxLine, raw: bytes, reader: Reader) -> ImportRecord:
    told = line.received
    read = reader(raw, media_type=told.media_type, name_hint=name_hint(line))
    title = told.title or KINDS.get(told.kind or "", "")
    return ImportRecord(
        entries=read.entries,
        document=ImportedDocument(
            sha256=told.sha256,
            size=told.size,
            media_type=told.media_type,
            title=_titled(title, told.one_liner),
            kind=told.kind,
            source_id=line.source.source_id,
            unmapped=told.unmapped,
            warnings=told.warnings,
        ),
    )


def _titled(title: str, one_liner: str) -> str:
    """A document's title on its record: a one-liner that begins with the title says both."""
    parts = (one_liner,) if title and one_liner.startswith(title) else (title, one_liner)
    return " : ".join(part for part in parts if part)[:TITLE_LIMIT]


def _delivered(
    services: Services, line: InboxLine, command: ImportRecord, raw: bytes, suffix: bytes = b""
) -> Outcome:
    context = CommandContext(
        author=Author(role="ehr", name=line.source.author or line.source.system or BOX.name),
        now=services.clock.for_write(),
        key=delivery_key(services, line, suffix),
        actor=ACTOR,
        centre=line.centre,
        source=line.source,
        entered_by=line.matched_by,
        causation_id=line.event,
        delivers=line.document,
    )
    return services.continuity.execute(
        command, context, target=line.patient, attachments=[raw] if command.document else []
    )


def delivery_key(services: Services, line: InboxLine, suffix: bytes = b"") -> bytes:
    """The request under which a match is delivered: the same one for ever.

    A match that corrects an earlier one is another request: its record is another one.
    """
    match_ = line.matched_at.bytes if line.formers and line.matched_at else b""
    return services.blind_index.request_key(
        ACTOR, b"deliver:" + line.document.bytes + match_ + suffix
    )


def delivery_of(services: Services, line: InboxLine) -> UUID | None:
    """The first entry that the document's lines came with; None where the record has none of it."""
    firsts = _written(services, line, b"")
    return firsts[0] if firsts else None


def written(services: Services, line: InboxLine) -> bool:
    """Whether the record holds the delivery's first event: one look-up, nothing is folded."""
    return bool(_written(services, line, b"", _ALONE))


def _written(services: Services, line: InboxLine, *suffixes: bytes) -> list[UUID]:
    """Which of these deliveries were written, by their first events."""
    if line.patient is None:
        return []
    firsts = [
        derive_event_id(line.patient, ACTOR, delivery_key(services, line, suffix), 0)
        for suffix in suffixes
    ]
    with services.pool.connection() as connection:
        found = connection.execute(
            "SELECT event_id FROM ledger.event WHERE stream = %s AND event_id = ANY(%s)",
            (line.patient, firsts),
        ).fetchall()
    return [row[0] for row in found]


def undelivered(services: Services, line: InboxLine) -> str:
    """Why a matched document is not on its record; empty where it is, or is not matched."""
    if line.state != "matched" or line.patient is None or written(services, line):
        return ""
    try:
        record = services.continuity.patient(line.patient)
        raw = original(services, line)
        command = _command(line, raw, read_document)
        alone = msgspec.structs.replace(command, entries=()) if command.document else command
        ctx = Context(
            author=BOX, now=services.clock(), event_id=lambda place: UUID(int=place),
            source=line.source, centre=line.centre,
            originals=frozenset({line.received.sha256}),
        )  # fmt: skip
        if not import_record(record, alone, ctx):
            return ""  # the record held all of it already
    except (Invalid, Refused) as refused:
        return refused.why or refused.what
    except NotFound:
        return "Ce dossier n'est plus disponible."
    return "Le versement au dossier attend : il est repris de lui-même."


@dataclass
class Repair:
    """Delivers matched documents whose delivery never happened; one per worker."""

    services: Services

    def __post_init__(self) -> None:
        """Nothing is known yet: the first pass looks at every matched document once."""
        self._done: set[tuple[UUID, str]] = set()

    def run_once(self) -> int:
        """Deliver what waits; give how many documents were written now.

        A document that is refused is left for the next start, and the inbox says why; what fails
        otherwise is tried again by the next pass. Neither keeps the next document waiting.
        """
        delivered = 0
        for document, mark in self.services.inbox.matched_rows():
            if (document, mark) in self._done:
                continue
            try:
                line = self.services.inbox.one(document)
                done = line is None or written(self.services, line)
                outcome = None if done else deliver(self.services, document)
            except (Invalid, Refused) as refused:
                _log.warning("a matched document is refused: %s", type(refused).__name__)
                outcome = None
            except Exception as failed:  # whatever one document holds, the others are delivered
                _log.warning("a matched document is not delivered: %s", type(failed).__name__)
                continue
            self._done.add((document, mark))
            delivered += outcome is not None and not outcome.replayed and bool(outcome.events)
        return delivered
