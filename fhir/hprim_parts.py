"""A laboratory's HPRIM file of several patients, cut into one document for each.

The bytes of a part are those of the file, so that each part is an original of its own.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from typing import Final

from releve.fhir.document_content import MAX_BYTES, Unreadable
from releve.fhir.hprim import END, HEADER, is_hprim, who
from releve.fhir.plain_document import decoded

MAX_PATIENTS: Final = 500
"""Patients that one file may speak of."""


def parts_by_patient(raw: bytes) -> tuple[bytes, ...]:
    """The file itself, or the reports of each patient in it, in the order of the file.

    Raises :class:`Unreadable` above ``MAX_PATIENTS``: nothing of such a file is kept.
    """
    if len(raw) > MAX_BYTES or b"FIN" not in raw.replace(b"\x00", b"").upper():
        return (raw,)
    if not is_hprim(decoded(raw[:16_000])[0]) and not is_hprim(decoded(raw)[0]):
        return (raw,)
    by_patient: dict[object, bytes] = {}
    last: object = None
    start = b""
    for chunk in _chunks(raw):
        header = [_text(line, raw) for line in chunk[:HEADER]]
        if len(chunk) > HEADER and any(line.strip() for line in header):
            last = who(header)
        elif last is None:
            start += b"".join(chunk)  # before the first report: it stays with it
            continue
        by_patient[last] = by_patient.get(last, b"") + b"".join(chunk)
    if len(by_patient) > MAX_PATIENTS:
        raise Unreadable(
            f"Le fichier parle de plus de {MAX_PATIENTS} patients : l'envoyer en plusieurs."
        )
    if len(by_patient) < 2:
        return (raw,)
    mark = _mark(raw)
    first, *rest = by_patient.values()
    return (start + first, *(each if each.startswith(mark) else mark + each for each in rest))


def _chunks(raw: bytes) -> Sequence[list[bytes]]:
    """The lines of each report with the mark that ends it."""
    chunks: list[list[bytes]] = [[]]
    for line in _lines(raw):
        chunks[-1].append(line)
        if END.fullmatch(_text(line, raw).strip()):
            chunks.append([])
    return [chunk for chunk in chunks if chunk]


def _mark(raw: bytes) -> bytes:
    """The byte order mark that says how the text is written."""
    marks = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF8)
    return next((mark for mark in marks if raw.startswith(mark)), b"")


def _lines(raw: bytes) -> list[bytes]:
    name = _wide(raw)
    if not name:
        return raw.splitlines(keepends=True)
    text = raw.decode(name, errors="surrogatepass")
    return [line.encode(name, "surrogatepass") for line in text.splitlines(keepends=True)]


def _wide(raw: bytes) -> str:
    if raw.startswith(codecs.BOM_UTF16_LE):
        return "utf-16-le"
    return "utf-16-be" if raw.startswith(codecs.BOM_UTF16_BE) else ""


def _text(line: bytes, raw: bytes) -> str:
    name = _wide(raw)
    return line.decode(name, errors="replace") if name else decoded(line)[0]
