"""The zip in which French laboratories mail a document (IHE XDM): one CDA, perhaps its PDF.

Nothing is ever written to disk. An archive that expands beyond what a document needs, hides a
path or is encrypted is refused before anything in it is read.
"""

from __future__ import annotations

import io
import stat
import zipfile
import zlib
from pathlib import PurePosixPath
from typing import Final

import msgspec

from releve.fhir.cda_document import read_cda
from releve.fhir.cda_xml import NotXml
from releve.fhir.document_content import MAX_BYTES, EmbeddedFile, ReadDocument, Unreadable
from releve.fhir.plain_document import read_other

MAX_FILES: Final = 200
MAX_RATIO: Final = 200
"""How many times larger than its compressed bytes a file may be; XML compresses some 20 times."""

_SMALL: Final = 1024 * 1024
"""Below this size no ratio is dangerous."""


def read_archive(raw: bytes, media_type: str | None) -> ReadDocument:
    """What the one clinical document of an archive says; its PDF is given beside it.

    An archive without a clinical document, or with several, is kept with a warning. Raises
    :class:`Unreadable` for an archive made to harm.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            files = _judged(archive)
            return _read(archive, files, raw, media_type)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, OSError):
        return _kept(raw, media_type, "L'archive est incomplète ou illisible.")


def _judged(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    files = [one for one in archive.infolist() if not one.is_dir()]
    if len(files) > MAX_FILES:
        raise Unreadable("L'archive contient trop de fichiers.")
    if sum(one.file_size for one in files) > MAX_BYTES:
        raise Unreadable("L'archive est trop grande une fois ouverte.")
    names = set()
    for one in files:
        name = one.filename
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name:
            raise Unreadable("L'archive contient un chemin qui sort de son dossier.")
        if stat.S_ISLNK(one.external_attr >> 16):
            raise Unreadable("L'archive contient un lien.")
        if one.flag_bits & 0x1:
            raise Unreadable("L'archive est protégée par un mot de passe.")
        if one.file_size > _SMALL and one.file_size > MAX_RATIO * max(one.compress_size, 1):
            raise Unreadable("L'archive s'ouvre en quelque chose de démesuré.")
        if name.lower() in names:
            raise Unreadable("L'archive contient deux fois le même nom.")
        names.add(name.lower())
    return files


def _read(
    archive: zipfile.ZipFile, files: list[zipfile.ZipInfo], raw: bytes, media_type: str | None
) -> ReadDocument:
    documents: list[ReadDocument] = []
    beside: list[EmbeddedFile] = []
    left = MAX_BYTES
    for one in files:
        suffix = PurePosixPath(one.filename).suffix.lower()
        if suffix not in (".xml", ".pdf"):
            continue
        content = _content(archive, one, left)
        left -= len(content)
        if suffix == ".pdf":
            if content.startswith(b"%PDF-"):
                beside.append(EmbeddedFile(media_type="application/pdf", content=content))
            continue
        try:
            read = read_cda(content)
        except NotXml:
            read = None
        if read is not None:
            documents.append(read)
    if len(documents) != 1:
        if documents:
            return _kept(
                raw,
                media_type,
                f"L'archive contient {len(documents)} documents : les déposer un par un.",
            )
        return _kept(raw, media_type, "L'archive ne contient pas de document CDA.")
    only = documents[0]
    return msgspec.structs.replace(
        only, media_type="application/zip", embedded=(*only.embedded, *beside)
    )


def _content(archive: zipfile.ZipFile, one: zipfile.ZipInfo, left: int) -> bytes:
    """The bytes of a file, never more than are left to read: a size in a header may lie."""
    with archive.open(one) as opened:
        content = opened.read(left + 1)
    if len(content) > left:
        raise Unreadable("L'archive est trop grande une fois ouverte.")
    return content


def _kept(raw: bytes, media_type: str | None, why: str) -> ReadDocument:
    kept = read_other(raw, media_type)
    return msgspec.structs.replace(kept, warnings=(*kept.warnings, why))
