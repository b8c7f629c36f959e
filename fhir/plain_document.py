"""Documents without coded lines: PDF, pasted or plain text, and what nobody here can read."""

from __future__ import annotations

import codecs
import re
from typing import Final

from releve.fhir.document_content import ReadDocument, readable_text

_MAGIC: Final = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"{\\rtf", "application/rtf"),
    (b"PK\x03\x04", "application/zip"),
    (b"\xd0\xcf\x11\xe0", "application/x-ole-storage"),
)
_ENCRYPTED: Final = re.compile(rb"/Encrypt\s*(?:\d+\s+\d+\s+R|<<)")
_CP850_LETTERS: Final = frozenset(b"\x81\x82\x83\x84\x85\x87\x88\x89\x8a\x8b\x8c\x8d\x93\x96\x97")
_CP1252_LETTERS: Final = frozenset("àâäçéèêëîïôöùûüÀÂÇÉÈÊËÎÏÔÙÛÜœŒ°²³µ«»".encode("cp1252"))


def read_pdf(raw: bytes) -> ReadDocument:
    """A PDF, kept as it is; encrypted or cut short, it is kept with a warning."""
    warnings = []
    if not raw.startswith(b"%PDF-"):
        warnings.append("Le PDF est précédé d'octets qui n'en font pas partie.")
    if b"%%EOF" not in raw[-2048:]:
        warnings.append("Le PDF est incomplet : sa fin manque.")
    if _ENCRYPTED.search(raw):
        warnings.append("Le PDF est protégé par un mot de passe : il peut ne pas s'ouvrir.")
    return ReadDocument(
        format="pdf",
        media_type="application/pdf",
        title="Document PDF",
        one_liner="Document PDF sans ligne codée.",
        warnings=tuple(warnings),
    )


def read_other(raw: bytes, media_type: str | None) -> ReadDocument:
    """Bytes that nothing here reads, kept as they are and said to be so."""
    sniffed = next((kind for magic, kind in _MAGIC if raw.startswith(magic)), None)
    return ReadDocument(
        format="text",
        media_type=sniffed or _declared(media_type) or "application/octet-stream",
        title="Document",
        one_liner="Document gardé sans être lu.",
        warnings=("Ce format n'est pas lu ici : le document est gardé tel quel.",),
    )


def read_text(raw: bytes, name_hint: str | None = None) -> ReadDocument:
    """Plain or pasted text, in whichever of the usual encodings it came.

    ``name_hint`` only tells a spreadsheet's text from a letter.
    """
    text, warnings = decoded(raw)
    words = readable_text(text)
    is_table = (name_hint or "").lower().endswith((".csv", ".tsv"))
    return ReadDocument(
        format="text",
        media_type="text/csv" if is_table else "text/plain",
        title="Tableau" if is_table else "Texte",
        one_liner="Texte libre sans ligne codée." if words else "Texte vide.",
        text=words,
        warnings=warnings,
    )


def decoded(raw: bytes) -> tuple[str, tuple[str, ...]]:
    """The words of ``raw``: UTF-8 or UTF-16 where they say so, else CP850 or Windows-1252.

    French reports come in the three 8-bit encodings without saying which: the accents decide. A
    byte that no encoding explains becomes U+FFFD, with a warning.
    """
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = raw.decode("utf-16", errors="replace")
    else:
        try:
            return raw.decode("utf-8-sig"), ()
        except UnicodeDecodeError:
            text = raw.decode(_eight_bit(raw), errors="replace")
    lost = text.count("\N{REPLACEMENT CHARACTER}")
    return text, (f"{lost} caractères illisibles dans le texte.",) if lost else ()


def _eight_bit(raw: bytes) -> str:
    high = [byte for byte in raw[:200_000] if byte > 0x7F]
    dos = sum(byte in _CP850_LETTERS for byte in high)
    windows = sum(byte in _CP1252_LETTERS for byte in high)
    return "cp850" if dos > windows else "cp1252"


def _declared(media_type: str | None) -> str | None:
    kind = (media_type or "").partition(";")[0].strip().lower()
    return kind if re.fullmatch(r"[a-z]+/[a-z0-9.+-]{1,100}", kind) else None
