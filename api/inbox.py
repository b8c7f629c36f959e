"""The inbox receives: a document is kept, durable with its bytes, before anything else happens.

The same bytes for the same centre are the same document, unless somebody typed that they are about
another patient: two letters may say the same words of two people. Whose it may be is said by
:mod:`.proposing`; it reaches the record by :mod:`.delivering`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple
from uuid import UUID

import msgspec

from releve.api.same_words import SAME_WORDS, named_by, says
from releve.domain.commands import (
    ReceiveDocument,
)
from releve.domain.continuity import Outcome
from releve.domain.errors import NotFound, Reused
from releve.domain.events import Author, Source
from releve.domain.requests import CommandContext
from releve.domain.values import IdentityTraits, InboxDoor, ResultLine
from releve.fhir.document_content import TITLE_LIMIT, to_receive
from releve.fhir.hprim_parts import parts_by_patient
from releve.fhir.received_document import ReadDocument, read_document
from releve.projections.inbox import InboxLine, fold_line

if TYPE_CHECKING:
    from releve.api.services import Services

BOX: Final = Author(role="system", name="Boîte d'arrivée")
"""Who brings in what no person did: the watched folder, a machine."""

ACTOR: Final = b"inbox"
"""Whose requests the inbox's own are, in the ids that are derived from them."""

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
    actor = ACTOR + centre.bytes
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
    actor = ACTOR + centre.bytes
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


def original(services: Services, line: InboxLine) -> bytes:
    """The bytes as they came in."""
    return services.reader.attachment(line.event, line.document)


def name_hint(line: InboxLine) -> str | None:
    """What a document's name said of it when it came; the name itself is not kept."""
    return ".csv" if line.received.media_type == "text/csv" else None
