"""XML of clinical documents, read with everything dangerous in XML switched off.

A document that declares a DTD, includes another, nests or multiplies elements beyond what any
clinical document needs is refused before it is parsed. No entity is ever expanded and nothing is
fetched.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from typing import Final

from lxml import etree

from releve.fhir.document_content import MAX_BYTES, Unreadable

HL7: Final = "urn:hl7-org:v3"
XSI_TYPE: Final = "{http://www.w3.org/2001/XMLSchema-instance}type"
MAX_TAGS: Final = 150_000
"""Most opening and closing tags of a document; a real summary has some ten thousand."""

MAX_DEPTH: Final = 120
"""Deepest nesting; clinical documents stay under forty."""

_XINCLUDE: Final = "http://www.w3.org/2001/XInclude"
_DECLARATION: Final = re.compile(r"""<\?xml[^>]{0,200}?encoding\s*=\s*["']([\w.:-]{1,40})["']""")
_ENCODINGS: Final = {
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "us-ascii": "ascii",
    "iso-8859-1": "cp1252",  # what says Latin-1 and has bytes 80 to 9F means Windows
    "iso-8859-15": "iso-8859-15",
    "windows-1252": "cp1252",
}
_FORBIDDEN: Final = re.compile(r"<!(?:DOCTYPE|ENTITY|ELEMENT|ATTLIST|NOTATION)")

Element = etree._Element


class NotXml(ValueError):
    """The bytes are not XML that can be read; they are kept as a document all the same."""


def parse(raw: bytes) -> Element:
    """The root element of ``raw``.

    Raises :class:`Unreadable` for what only an attack holds (DTD, entities, inclusion, depth,
    number of elements), and :class:`NotXml` for what is simply not well formed.
    """
    if len(raw) > MAX_BYTES:
        raise Unreadable(f"Le document dépasse {MAX_BYTES // (1024 * 1024)} Mio.")
    text = _decoded(raw)
    if _FORBIDDEN.search(text):
        raise Unreadable("Le document XML porte une DTD ou des entités, ce qui est interdit.")
    if text.count("<") > MAX_TAGS:
        raise Unreadable("Le document XML compte trop d'éléments.")
    parser = etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        attribute_defaults=False,
        huge_tree=False,
        recover=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(text.encode("utf-8", errors="surrogatepass"), parser)
    except etree.XMLSyntaxError as error:
        if "depth" in str(error):
            raise Unreadable("Le document XML est trop profond.") from None
        raise NotXml from None
    except ValueError:
        raise NotXml from None
    _judge(root)
    return root


def _decoded(raw: bytes) -> str:
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    else:
        declared = _DECLARATION.match(raw[:300].decode("latin-1").lstrip("ï»¿ \r\n\t"))
        named = declared[1].lower() if declared else "utf-8"
        if named not in _ENCODINGS:
            raise NotXml
        encoding = "utf-8-sig" if _ENCODINGS[named] == "utf-8" else _ENCODINGS[named]
    try:
        return raw.decode(encoding).lstrip("\N{ZERO WIDTH NO-BREAK SPACE} \r\n\t")
    except UnicodeDecodeError:
        raise NotXml from None


def _judge(root: Element) -> None:
    if root.getroottree().docinfo.doctype:
        raise Unreadable("Le document XML porte une DTD, ce qui est interdit.")
    depth = 0
    for event, element in etree.iterwalk(root, events=("start", "end")):
        depth += 1 if event == "start" else -1
        if depth > MAX_DEPTH:
            raise Unreadable("Le document XML est trop profond.")
        if str(element.tag).startswith(f"{{{_XINCLUDE}}}"):
            raise Unreadable("Le document XML en inclut un autre, ce qui est interdit.")


def name_of(element: Element) -> str:
    """The local name of an element."""
    return str(element.tag).rpartition("}")[2]


def child(element: Element | None, *steps: str) -> Element | None:
    """The first child of that local name in HL7's namespace, then its child, and so on."""
    for step in steps:
        element = None if element is None else element.find(f"{{{HL7}}}{step}")
    return element


def children(element: Element | None, name: str) -> list[Element]:
    """Every child of that local name in HL7's namespace."""
    return [] if element is None else element.findall(f"{{{HL7}}}{name}")


def descendants(element: Element, name: str) -> Iterator[Element]:
    """Every element of that name under ``element``, in document order."""
    return element.iter(f"{{{HL7}}}{name}")


def attribute(element: Element | None, name: str) -> str | None:
    """A trimmed attribute that says something, else None; one over 2,000 characters says none."""
    said = (element.get(name) or "").strip() if element is not None else ""
    return said if 0 < len(said) <= 2_000 else None


def is_null(element: Element | None) -> bool:
    """True for an element that is absent, or whose nullFlavor says that nothing is known."""
    return element is None or element.get("nullFlavor") is not None


def templates(element: Element) -> set[str]:
    """The template identifiers that an element claims."""
    return {root for one in children(element, "templateId") if (root := attribute(one, "root"))}


def words(element: Element | None, *, limit: int = 1_000) -> str:
    """All text under an element, blanks made one; over ``limit`` characters it ends with "…"."""
    if element is None:
        return ""
    said = " ".join(_CONTROL.sub(" ", "".join(_texts(element))).split())
    return said if len(said) <= limit else f"{said[: limit - 1]}…"


_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SEPARATE: Final = frozenset({"br", "td", "th", "tr", "item", "paragraph", "list", "table"})


def _texts(element: Element) -> Iterator[str]:
    for event, one in etree.iterwalk(element, events=("start", "end")):
        if event == "start":
            if name_of(one) in _SEPARATE:
                yield " "
            yield one.text or ""
        elif one is not element:
            if name_of(one) in _SEPARATE:
                yield " "
            yield one.tail or ""


def path_of(element: Element) -> str:
    """Where an element stands, as an XPath of local names from the root."""
    steps = []
    at: Element | None = element
    while at is not None:
        tag = str(at.tag)
        before = len(list(at.itersiblings(tag, preceding=True)))
        alone = before == 0 and next(at.itersiblings(tag), None) is None
        steps.append(name_of(at) if alone else f"{name_of(at)}[{before + 1}]")
        at = at.getparent()
    return "/" + "/".join(reversed(steps))
