"""The one door of inbound documents: from bytes to what they say, whatever their format.

What a document is, its bytes say; the declared media type and the name are only hints. Nothing
here writes, asks a network or opens a file.
"""

from __future__ import annotations

import codecs

from releve.fhir.bundle_document import read_bundle
from releve.fhir.cda_document import read_cda
from releve.fhir.cda_xml import NotXml
from releve.fhir.document_content import MAX_BYTES, EmbeddedFile, ReadDocument, Unreadable
from releve.fhir.hprim import is_hprim, read_hprim
from releve.fhir.plain_document import decoded, read_other, read_pdf, read_text
from releve.fhir.xdm_archive import read_archive

__all__ = ["EmbeddedFile", "ReadDocument", "Unreadable", "read_document"]


def read_document(
    raw: bytes, *, media_type: str | None = None, name_hint: str | None = None
) -> ReadDocument:
    """What the bytes of one document say.

    ``media_type`` and ``name_hint`` are what the sender declared: they are only believed for
    bytes that say nothing themselves. What is merely not understood gives a document with
    warnings; raises :class:`Unreadable` for what is empty, too large, or made to harm.
    """
    if not raw.strip():
        raise Unreadable("Le document est vide.")
    if len(raw) > MAX_BYTES:
        raise Unreadable(f"Le document dépasse {MAX_BYTES // (1024 * 1024)} Mio.")
    if b"%PDF-" in raw[:1024]:
        return read_pdf(raw)
    if raw.startswith(b"PK\x03\x04"):
        return read_archive(raw, media_type)
    is_wide = raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    if not is_wide and b"\x00" in raw[:4096]:
        return read_other(raw, media_type)
    start = raw[:400].removeprefix(codecs.BOM_UTF8).lstrip()
    if start.startswith(b"<") or (is_wide and b"<" in raw[:16]):
        return _read_markup(raw, start)
    if start.startswith(b"{"):
        return read_bundle(raw)
    text, warnings = decoded(raw)
    if is_hprim(text):
        return read_hprim(text, warnings)
    return read_text(raw, name_hint)


def _read_markup(raw: bytes, start: bytes) -> ReadDocument:
    if start[:14].lower().startswith((b"<!doctype html", b"<html")):
        return read_other(raw, "text/html")  # kept as bytes, parsed by nobody
    try:
        read = read_cda(raw)
    except NotXml:
        read = None
    return read if read is not None else read_other(raw, "application/xml")
