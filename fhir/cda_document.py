"""Clinical documents (HL7 CDA R2): a page in an envelope (level 1), or coded sections (level 3).

Reads what French systems exchange: VSM and IPS-FR summaries, laboratory reports (CR-BIO), and
any document that only wraps a PDF or a text. What a document of another kind codes is listed.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

import msgspec

from releve.domain.aggregates.patient.allergies import AbsenceAsserted, AllergyRecorded, contradicts
from releve.domain.commands import ImportedEntry
from releve.domain.values import ResultLine
from releve.fhir.cda_header import Header, read_header
from releve.fhir.cda_history import lines_of
from releve.fhir.cda_reading import Gathered
from releve.fhir.cda_results import read_report
from releve.fhir.cda_sections import is_summary_section, read_section
from releve.fhir.cda_values import Narrative
from releve.fhir.cda_xml import (
    HL7,
    Element,
    attribute,
    child,
    children,
    descendants,
    parse,
    words,
)
from releve.fhir.document_content import (
    MAX_TEXT,
    EmbeddedFile,
    ReadDocument,
    glance,
    readable_text,
)

_MEDIA: Final = re.compile(r"[a-z]{1,20}/[a-z0-9.+-]{1,60}")
_ABNORMAL: Final = frozenset({"H", "L", "A", "HU", "LU"})
_CRITICAL: Final = frozenset({"HH", "LL", "AA"})


def is_cda(root: Element) -> bool:
    """True for the root of a clinical document."""
    return str(root.tag) == f"{{{HL7}}}ClinicalDocument"


def read_cda(raw: bytes) -> ReadDocument | None:
    """What a clinical document says, or None where well-formed XML is something else.

    Raises :class:`~releve.fhir.document_content.Unreadable` for XML made to harm and
    :class:`~releve.fhir.cda_xml.NotXml` for what is no XML.
    """
    root = parse(raw)
    if not is_cda(root):
        return None
    header = read_header(root)
    gathered = Gathered(Narrative(root), header.issued_at)
    embedded = _embedded(root, gathered)
    body = child(root, "component", "structuredBody")
    if header.identity is not None and body is not None:
        _read_body(root, body, header, gathered)
    elif body is not None:
        gathered.leave(body)
    entries = _without_contradictions(gathered)
    read = ReadDocument(
        format="cda",
        media_type="text/xml",
        kind=header.kind,
        title=glance(header.title),
        issued_at=header.issued_at,
        identity=header.identity,
        system=header.system,
        author=header.author,
        source_id=header.source_id,
        entries=entries,
        unmapped=(*header.unmapped, *gathered.unmapped),
        warnings=(*header.warnings, *gathered.warnings),
        text=_text_of(body, embedded),
        embedded=embedded,
    )
    return _with_glance(read)


def _read_body(root: Element, body: Element, header: Header, gathered: Gathered) -> None:
    """Each section by its code; in a laboratory's report every other section holds results."""
    results: list[Element] = []
    for section in descendants(body, "section"):
        entries = children(section, "entry")
        coded = [one for one in entries if not _only_media(one)]
        if header.is_laboratory and not is_summary_section(section):
            results += coded  # without any, a chapter's title or its rows as text
        elif coded or not entries:
            read_section(section, gathered)
    if header.is_laboratory:
        read_report(root, results, header, gathered)


def _only_media(entry: Element) -> bool:
    """True for an entry that carries a file and no coded statement."""
    return (
        next(descendants(entry, "observationMedia"), None) is not None
        and next(descendants(entry, "observation"), None) is None
    )


def _without_contradictions(gathered: Gathered) -> tuple[ImportedEntry, ...]:
    """An absence gives way to a current allergy of its scope: the danger is what is kept."""
    allergies = [e.payload for e in gathered.entries if isinstance(e.payload, AllergyRecorded)]
    kept = []
    for entry in gathered.entries:
        absence = entry.payload
        if isinstance(absence, AbsenceAsserted) and any(
            contradicts(allergy, absence) for allergy in allergies
        ):
            gathered.warnings.append(
                "absence contredite par une allergie du même document : elle n'est pas notée"
            )
            continue
        kept.append(entry)
    return tuple(kept)


def _embedded(root: Element, gathered: Gathered) -> tuple[EmbeddedFile, ...]:
    """Every file inside: the body of a level 1 document, and media beside coded sections."""
    holders = [child(root, "component", "nonXMLBody", "text")]
    holders += [child(one, "value") for one in descendants(root, "observationMedia")]
    found = []
    for holder in holders:
        if holder is None:
            continue
        content = _content(holder)
        media = (attribute(holder, "mediaType") or "text/plain").lower()
        if not content or not _MEDIA.fullmatch(media):
            gathered.refuse(holder, "pièce jointe illisible")
        else:
            found.append(EmbeddedFile(media_type=media, content=content))
    return tuple(found)


def _content(holder: Element) -> bytes:
    text = holder.text or ""
    if holder.get("representation") != "B64":
        return text.strip().encode()
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _text_of(body: Element | None, embedded: tuple[EmbeddedFile, ...]) -> str:
    """The narrative that the author signed, section by section; or the text of a level 1 body."""
    if body is None:
        plain = [one.content for one in embedded if one.media_type == "text/plain"]
        return readable_text("\n".join(one.decode(errors="replace") for one in plain))
    said: list[str] = []
    length = 0
    for section in descendants(body, "section"):
        title = words(child(section, "title"))
        lines = [line for _, line in lines_of(child(section, "text"))]
        said += ["", *([title.upper()] if title else []), *lines]
        length += sum(len(line) for line in lines)
        if length > MAX_TEXT:
            break
    return readable_text("\n".join(said))


def _with_glance(read: ReadDocument) -> ReadDocument:
    """The one line that says what came: how many lines, and whether any is out of range."""
    results = read.results
    title = "Document CDA" if _names_somebody(read) else read.title
    if results:
        told = f"{title} : {_plural(len(results), 'ligne')}{_judged(results)}"
    elif read.entries:
        told = f"{title} : {_plural(len(read.entries), 'ligne codée', 'lignes codées')}"
    else:
        told = f"{title} : sans ligne codée"
    return msgspec.structs.replace(read, one_liner=glance(told))


def _names_somebody(read: ReadDocument) -> bool:
    """True when the title that the source wrote holds a name or first name of the patient."""
    who = read.identity
    if who is None:
        return False
    names = (who.birth_name, who.used_name, who.used_first_name, *who.first_names)
    said = set(re.findall(r"\w+", read.title.casefold()))
    return any(said & set(re.findall(r"\w{2,}", name.casefold())) for name in names if name)


def _judged(results: tuple[ResultLine, ...]) -> str:
    critical = sum(line.interpretation in _CRITICAL for line in results)
    abnormal = sum(line.interpretation in _ABNORMAL for line in results)
    said = f", dont {_plural(abnormal, 'anormale')}" if abnormal else ""
    return f"{said}, {_plural(critical, 'critique')}" if critical else said


def _plural(count: int, one: str, many: str | None = None) -> str:
    return f"{count} {one if count < 2 else many or one + 's'}"
