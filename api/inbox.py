"""The inbox at work: a document comes in, is proposed to a record, matched, and delivered to it.

Nothing that came in is lost: it is durable with its bytes before anything else happens, matching is
durable before the record is written, and :class:`Repair` finishes what a crash left between the
two. The same bytes for the same centre are the same document, unless somebody typed that they are
about another patient: two letters may say the same words of two people.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol
from uuid import UUID

import msgspec

from releve.api.same_words import SAME_WORDS, named_by, says
from releve.domain.aggregates.deciding import Context
from releve.domain.aggregates.inbox_document import Compared, compare, identity_traits
from releve.domain.aggregates.patient.imports import import_record
from releve.domain.aggregates.patient.results import ResultReceived
from releve.domain.aggregates.patient.validation import EntryValidated
from releve.domain.commands import (
    ImportedDocument,
    ImportedEntry,
    ImportRecord,
    ReceiveDocument,
)
from releve.domain.continuity import CommandContext, Outcome
from releve.domain.errors import Invalid, NotFound, Refused, Reused
from releve.domain.events import Author, Source
from releve.domain.values import IdentityTraits, InboxDoor, ResultLine
from releve.fhir.document_content import TITLE_LIMIT, to_receive
from releve.fhir.held_identifiers import HeldIdentifiers
from releve.fhir.hprim_parts import parts_by_patient
from releve.fhir.received_document import ReadDocument, read_document
from releve.projections.inbox import InboxLine, fold_line
from releve.projections.patient_summary import PatientSummary
from releve.security.ledger.envelope import derive_event_id

if TYPE_CHECKING:
    from releve.api.services import Services

BOX: Final = Author(role="system", name="Boîte d'arrivée")
"""Who brings in what no person did: the watched folder, a machine."""

_log: Final = logging.getLogger("releve.inbox")
_ACTOR: Final = b"inbox"
_ALONE: Final = b".alone"

KINDS: Final[Mapping[str, str]] = {
    "11502-2": "Compte rendu de biologie",
    "60591-5": "Synthèse médicale",
    "11506-3": "Note d'évolution",
    "34133-9": "Synthèse d'épisode",
    "11488-4": "Compte rendu de consultation",
    "18842-5": "Compte rendu d'hospitalisation",
    "34105-7": "Compte rendu d'hospitalisation",
    "18748-4": "Compte rendu d'imagerie",
    "57133-1": "Lettre d'adressage",
    "57833-6": "Ordonnance",
}
"""Kinds of documents in the reader's words, by LOINC code: what the desk may see of one."""

FORMATS: Final[Mapping[str, str]] = {
    "pdf": "PDF", "cda": "CDA", "fhir": "FHIR", "hprim": "HPRIM", "text": "texte",
    "phone": "téléphone",
}  # fmt: skip


class Reader(Protocol):
    """Reads the bytes of a document, as :func:`read_document` does."""

    def __call__(
        self, raw: bytes, *, media_type: str | None = None, name_hint: str | None = None
    ) -> ReadDocument:
        """What the bytes say."""


class Received(NamedTuple):
    """A document that is kept now; ``known`` when it already was."""

    document: UUID
    known: bool
    outcome: Outcome | None
    read: ReadDocument
    others: tuple[Received, ...] = ()
    """Documents of the other patients that the same file spoke of."""


def receive(
    services: Services,
    raw: bytes,
    *,
    centre: UUID,
    door: InboxDoor,
    author: Author = BOX,
    identity: IdentityTraits | None = None,
    title: str = "",
    media_type: str | None = None,
    name_hint: str | None = None,
    zone: str = "Europe/Paris",
) -> Received:
    """Read a document and keep it with its bytes, durable when this returns.

    A file of several patients becomes a document for each, with that patient's own bytes.
    ``identity`` is what a person typed of the patient: it fills in what the document does not say.

    Raises:
        Unreadable: empty, too large or made to harm; nothing was kept.
        Invalid: a typed field.
    """
    parts = parts_by_patient(raw)
    whole = ""
    if len(parts) > 1:
        file = hashlib.sha256(raw).hexdigest()
        whole = f"Extrait d'un fichier de {len(parts)} patients, SHA-256 {file}."
    kept = [
        _received(
            services, part, centre=centre, door=door, author=author,
            identity=None if whole else identity,  # what was typed is one patient's
            title=title, media_type=media_type, name_hint=name_hint, zone=zone, whole=whole,
        )
        for part in parts
    ]  # fmt: skip
    return kept[0]._replace(others=tuple(kept[1:]))


def _received(
    services: Services,
    raw: bytes,
    *,
    centre: UUID,
    door: InboxDoor,
    author: Author,
    identity: IdentityTraits | None,
    title: str,
    media_type: str | None,
    name_hint: str | None,
    zone: str,
    whole: str,
) -> Received:
    read = read_document(raw, media_type=media_type, name_hint=name_hint)
    command, source = to_receive(read, raw, door=door)
    command = msgspec.structs.replace(
        command,
        title=(title.strip() or read.title)[:TITLE_LIMIT],
        identity=_filled(read.identity, identity),
        warnings=(*read.warnings, whole) if whole else read.warnings,
    )
    document, known, outcome = _kept(
        services, command, raw, centre, author, source, zone, typed=identity is not None
    )
    return Received(document, known, outcome, read)


def receive_phoned(
    services: Services,
    *,
    centre: UUID,
    author: Author,
    identity: IdentityTraits,
    line: ResultLine,
    caller: str,
    read_back: bool,
    occurred_at: str,
    zone: str = "Europe/Paris",
) -> UUID:
    """Keep a result told by phone for somebody who has no record here; gives its document.

    The same value, caller and time told twice is one document.

    Raises:
        Invalid, Refused: what is missing; nothing was kept.
    """
    told = {
        "identity": identity, "result": line, "caller": caller, "read_back": read_back,
        "occurred_at": occurred_at,
    }  # fmt: skip
    raw = msgspec.json.encode(told)
    sha256 = hashlib.sha256(raw).hexdigest()
    command = ReceiveDocument(
        sha256=sha256,
        size=len(raw),
        media_type="application/json",
        format="phone",
        door="phone",
        title="Résultat dicté par téléphone",
        identity=identity,
        issued_at=occurred_at,
        results=(line,),
        result_status="phoned",
        coded_lines=1,
        caller=caller,
        read_back=read_back,
    )
    source = Source(channel="phone", original_sha256=sha256, author=caller)
    return _kept(services, command, raw, centre, author, source, zone)[0]


def _kept(
    services: Services,
    command: ReceiveDocument,
    raw: bytes,
    centre: UUID,
    author: Author,
    source: Source,
    zone: str,
    *,
    typed: bool = False,
) -> tuple[UUID, bool, Outcome | None]:
    """The document's stream is named by its centre and bytes: sent twice, it is found again.

    Where another identity was ``typed`` than the one it first came with, that names it too.
    """
    actor = _ACTOR + centre.bytes
    context = CommandContext(
        author=author,
        now=services.clock.for_write(),
        key=services.blind_index.import_key(bytes.fromhex(command.sha256), actor),
        actor=actor,
        centre=centre,
        source=source,
        zone=zone,
    )
    try:
        outcome = services.continuity.execute(command, context, attachments=[raw])
    except Reused:  # the same bytes, with another identity typed or read by another release
        document = services.continuity.stream_of(context)
        said = command.identity
        if not typed or said is None or says(line_of(services, document).received.identity, said):
            return document, True, None
    else:
        return outcome.stream, outcome.replayed, outcome
    named = replace(
        context,
        key=services.blind_index.import_key(bytes.fromhex(command.sha256), actor + named_by(said)),
    )
    told = msgspec.structs.replace(command, warnings=(*command.warnings, SAME_WORDS))
    try:
        outcome = services.continuity.execute(told, named, attachments=[raw])
    except Reused:  # read by another release
        return services.continuity.stream_of(named), True, None
    return outcome.stream, outcome.replayed, outcome


def _filled(said: IdentityTraits | None, typed: IdentityTraits | None) -> IdentityTraits | None:
    """What the document says, and for what it does not say, what was typed."""
    if said is None or typed is None:
        return said or typed
    given = {name: getattr(typed, name) for name in typed.__struct_fields__}
    missing = {name: value for name, value in given.items() if value and not getattr(said, name)}
    return msgspec.structs.replace(said, **missing)


def matched_with(services: Services, centre: UUID, sha256: str) -> UUID | None:
    """The record with which somebody matched the document that these bytes alone name.

    None where nobody did, or where only a document was matched that a typed identity names too.
    """
    actor = _ACTOR + centre.bytes
    context = CommandContext(
        author=BOX,
        now=services.clock(),
        key=services.blind_index.import_key(bytes.fromhex(sha256), actor),
        actor=actor,
    )
    try:
        return line_of(services, services.continuity.stream_of(context)).patient
    except NotFound:
        return None


# Whose it may be


class Proposal(NamedTuple):
    """A record that a document may belong to, and what the two identities say of each other."""

    patient: UUID
    compared: Compared
    rivals: int = 0
    """Other records of the centre that the document fits."""

    @property
    def fits(self) -> bool:
        """True when nobody would have to look twice."""
        if self.compared.differing or not self.compared.enough:
            return False
        return not self.rivals or "matricule" in self.compared.agreed


def proposals(
    services: Services, line: InboxLine, summaries: Mapping[UUID, PatientSummary]
) -> list[Proposal]:
    """Records of ``summaries`` that a document may belong to, best first; never by name alone.

    One that bears the same identifier is told even where a strict trait differs, since somebody
    has to look at that; it cannot be matched.
    """
    said = line.received.identity
    if said is None:
        return []
    named = holders(services, said)
    found = []
    for patient, summary in summaries.items():
        who = summary.identity
        if patient not in named and (
            who is None or not said.birth_date or who.birth_date != said.birth_date
        ):
            continue  # the birth date tells nearly everybody apart; names are compared after it
        known = traits_of(summary)
        if known is None:
            continue
        compared = compare(said, known)
        if patient in named and "identifiers" not in (*compared.agreed, *compared.differing):
            compared = Compared((*compared.agreed, "identifiers"), compared.differing)
        if patient in named or compared.fits:
            found.append(Proposal(patient, compared))
    fitting = sum(each.compared.fits for each in found)
    found = [each._replace(rivals=fitting - each.compared.fits) for each in found]
    return sorted(
        found, key=lambda each: (not each.fits, -len(each.compared.agreed), each.patient.hex)
    )


def rivals(services: Services, document: UUID, centre: UUID, patient: UUID) -> int:
    """How many records of the centre beside ``patient`` a document fits."""
    line = services.inbox.one(document)
    if line is None:
        return 0
    summaries = services.records.summaries(centre)[1]
    found = proposals(services, line, summaries)
    return sum(each.compared.fits and each.patient != patient for each in found)


def holders(services: Services, said: IdentityTraits) -> set[UUID]:
    """Records that hold one of these identifiers, compared as blind-index values."""
    return set(held_identifiers(services).holders(said.identifiers).values())


def held_identifiers(services: Services) -> HeldIdentifiers:
    """Who holds an identifier, asked of this service's database."""
    return HeldIdentifiers(services.continuity, services.pool, services.blind_index)


def traits_of(summary: PatientSummary) -> IdentityTraits | None:
    """The identity that a summary shows; None where there is none."""
    return None if summary.identity is None else identity_traits(summary.identity)


# To the record


def line_of(services: Services, document: UUID) -> InboxLine:
    """A document as its own events tell it, whatever projections have reached.

    Raises:
        NotFound: there is none.
    """
    line: InboxLine | None = None
    for event in services.reader.stream(document):
        line = fold_line(line, event)
    if line is None:
        raise NotFound
    return line


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


def original(services: Services, line: InboxLine) -> bytes:
    """The bytes as they came in."""
    return services.reader.attachment(line.event, line.document)


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


def name_hint(line: InboxLine) -> str | None:
    """What a document's name said of it when it came; the name itself is not kept."""
    return ".csv" if line.received.media_type == "text/csv" else None


def _delivered(
    services: Services, line: InboxLine, command: ImportRecord, raw: bytes, suffix: bytes = b""
) -> Outcome:
    context = CommandContext(
        author=Author(role="ehr", name=line.source.author or line.source.system or BOX.name),
        now=services.clock.for_write(),
        key=delivery_key(services, line, suffix),
        actor=_ACTOR,
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
        _ACTOR, b"deliver:" + line.document.bytes + match_ + suffix
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
        derive_event_id(line.patient, _ACTOR, delivery_key(services, line, suffix), 0)
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
