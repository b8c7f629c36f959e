"""The one door of inbound documents: from bytes to what they say, whatever their format.

What a document is, its bytes say; the declared media type and the name are only hints. Nothing
here writes, asks a network or opens a file.
"""

from __future__ import annotations

from typing import Final

from releve.fhir.document_content import MAX_BYTES, ReadDocument, Unreadable
from releve.fhir.plain_document import read_other, read_pdf, read_text

__all__ = ["ReadDocument", "Unreadable", "read_document"]

_BOMS: Final = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")


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
    if _is_binary(raw):
        return read_other(raw, media_type)
    return read_text(raw)


def _is_binary(raw: bytes) -> bool:
    return not raw.startswith(_BOMS) and b"\x00" in raw[:4096]
