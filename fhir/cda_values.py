"""HL7 v3 data types of clinical documents as the record holds them: codes, quantities, dates.

Codes keep every translation, and values the digits and unit they were written with. An OID that
FHIR calls by a URI takes that name, any other stays ``urn:oid:…``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final, Literal, NamedTuple

from releve.domain.aggregates.patient.allergies import ABSENT_UNKNOWN
from releve.domain.values import Coding, Concept, Quantity, UcumUnit
from releve.fhir.cda_xml import (
    XSI_TYPE,
    Element,
    attribute,
    child,
    children,
    is_null,
    words,
)
from releve.fhir.codes import LOINC, SNOMED

SYSTEMS: Final[Mapping[str, str]] = {
    "2.16.840.1.113883.6.1": LOINC,
    "2.16.840.1.113883.6.96": SNOMED,
    "2.16.840.1.113883.6.3": "http://hl7.org/fhir/sid/icd-10",
    "2.16.840.1.113883.6.73": "http://www.whocc.no/atc",
    "2.16.840.1.113883.6.8": "http://unitsofmeasure.org",
    "2.16.840.1.113883.5.1150.1": ABSENT_UNKNOWN,
}
"""FHIR's names of the code systems that CDA calls by OID."""

LOINC_OID: Final = "2.16.840.1.113883.6.1"

Comparator = Literal["<", "<=", ">", ">="]

_DECIMAL: Final = re.compile(r"[+-]?\d{1,30}(?:[.,]\d{1,30})?", re.ASCII)
_MOMENT: Final = re.compile(
    r"(\d{4})(\d{2})?(\d{2})?(?:(\d{2})(\d{2})?(\d{2})?(?:\.\d+)?)?([+-]\d{4}|Z)?", re.ASCII
)


class Measured(NamedTuple):
    """A value as a document gives it: a number with its unit, or words; or nothing."""

    value: Quantity | None = None
    comparator: Comparator | None = None
    text: str | None = None

    @property
    def is_empty(self) -> bool:
        """True when nothing could be read."""
        return self.value is None and not self.text


class Narrative:
    """The narrative blocks of a document, by the ID that coded entries refer to."""

    def __init__(self, root: Element) -> None:
        self._by_id = {key: one for one in root.iter("*") if (key := one.get("ID"))}
        self._said: dict[str, str] = {}

    def said(self, element: Element | None) -> str:
        """The words of ``element``: those it refers to, else its own."""
        reference = child(element, "reference")
        if reference is None:
            return words(element)
        key = (attribute(reference, "value") or "").removeprefix("#")
        if key not in self._said:
            self._said[key] = words(self._by_id.get(key))
        return self._said[key]


def system_of(oid: str | None) -> str | None:
    """FHIR's name of a code system or identifier root; what is no OID is a URN of its own kind."""
    if not oid:
        return None
    if re.fullmatch(r"[0-2](?:\.\d+)+", oid, re.ASCII):
        return SYSTEMS.get(oid, f"urn:oid:{oid}")
    return f"urn:uuid:{oid.lower()}" if re.fullmatch(r"[0-9a-fA-F-]{36}", oid) else oid


def codings_of(element: Element | None) -> tuple[Coding, ...]:
    """Every code of a CD, CE or CV: its own, then each translation, as received."""
    if element is None:
        return ()
    found = []
    for one in (element, *children(element, "translation")):
        code, display = attribute(one, "code"), attribute(one, "displayName")
        if code and not is_null(one):
            found.append(
                Coding(
                    system=system_of(attribute(one, "codeSystem")),
                    code=code,
                    display=display,
                    version=attribute(one, "codeSystemVersion"),
                )
            )
    return tuple(found)


def concept_of(
    element: Element | None, narrative: Narrative, *, original_first: bool = True
) -> Concept | None:
    """A coded element with its words, or None where it says nothing.

    The words are the original text, which says what "autre" means, else the display of a code;
    ``original_first`` false prefers the display (an analysis' original text may be its value).
    """
    codings = codings_of(element)
    originals = [narrative.said(child(element, "originalText"))]
    originals += [narrative.said(child(one, "originalText")) for one in _translations(element)]
    displays = [one.display for one in codings]
    own = attribute(element, "displayName")
    ordered = [*originals, *displays, own] if original_first else [*displays, own, *originals]
    text = next((one for one in ordered if one), None) or next(
        (one.code for one in codings if one.code), None
    )
    return Concept(text=text, codings=codings) if text else None


def _translations(element: Element | None) -> list[Element]:
    return children(element, "translation")


def loinc_of(element: Element | None) -> str | None:
    """The LOINC code of a coded element, its own or that of a translation."""
    for one in () if element is None else (element, *children(element, "translation")):
        if attribute(one, "codeSystem") == LOINC_OID:
            return attribute(one, "code")
    return None


def decimal_text(written: str | None) -> str | None:
    """The decimal that was written, its comma a point; None for what is no plain decimal."""
    text = (written or "").strip()
    if not _DECIMAL.fullmatch(text):
        return None
    return text.replace(",", ".").removeprefix("+")


def quantity_of(element: Element | None) -> Quantity | None:
    """A PQ, INT or REAL with its digits; the unit is a UCUM code where it can be one."""
    if element is None or is_null(element):
        return None
    value = decimal_text(element.get("value"))
    if value is None:
        return None
    unit = attribute(element, "unit")
    code = unit if unit is not None and UcumUnit.is_syntactic(unit) else None
    return Quantity(value=value, unit=unit, code=code)


def measured_of(element: Element | None, narrative: Narrative) -> Measured:
    """The ``value`` of an observation, whatever its type; empty where nothing is said."""
    if element is None or is_null(element):
        return Measured()
    kind = (element.get(XSI_TYPE) or "").rpartition(":")[2]
    if kind.startswith("IVL_") and kind != "IVL_TS":
        return _interval(element)
    if kind in ("CD", "CE", "CV", "CO", "CS"):
        concept = concept_of(element, narrative, original_first=False)
        return Measured(text=concept.text if concept else None)
    if kind in ("TS", "IVL_TS"):
        low = child(element, "low")
        return Measured(text=moment_of(low if low is not None else element))
    if kind == "BL":
        said = {"true": "oui", "false": "non"}.get(element.get("value", ""))
        return Measured(text=said)
    if kind == "RTO" or kind.startswith("RTO_"):
        sides = [quantity_of(child(element, side)) for side in ("numerator", "denominator")]
        return Measured(text=" / ".join(amount(one) for one in sides if one) or None)
    if (quantity := quantity_of(element)) is not None:
        return Measured(value=quantity)
    written = " ".join(part for part in (element.get("value"), attribute(element, "unit")) if part)
    return Measured(text=narrative.said(element) or written or None)


def _interval(element: Element) -> Measured:
    low, high = (quantity_of(child(element, side)) for side in ("low", "high"))
    if low is not None and high is not None:
        return (
            Measured(value=low) if low == high else Measured(text=f"{low.value} à {amount(high)}")
        )
    if low is not None:
        return Measured(value=low, comparator=_bound(child(element, "low"), ">"))
    if high is not None:
        return Measured(value=high, comparator=_bound(child(element, "high"), "<"))
    return Measured(value=quantity_of(child(element, "center")))


def _bound(element: Element | None, strict: Literal["<", ">"]) -> Comparator:
    """A bound is part of its interval unless it says that it is not (HL7 v3 IVL.lowClosed)."""
    closed = attribute(element, "inclusive") != "false"
    if strict == "<":
        return "<=" if closed else "<"
    return ">=" if closed else ">"


def range_of(element: Element | None, narrative: Narrative) -> str | None:
    """An observationRange in words: ``3.5 à 5.1 mmol/L``, ``<= 34 U/L``, or its own text."""
    value = child(element, "value")
    read = measured_of(value, narrative) if value is not None else Measured()
    if read.value is not None:
        return f"{read.comparator or ''} {amount(read.value)}".strip()
    return read.text or narrative.said(child(element, "text")) or None


def amount(quantity: Quantity) -> str:
    """A quantity in words."""
    unit = quantity.unit if quantity.unit not in (None, "1") else None
    return f"{quantity.value} {unit}" if unit else quantity.value


def moment_of(element: Element | None) -> str | None:
    """A TS as a partial date or an RFC 3339 instant; None where it says nothing that exists.

    An hour without its offset is no instant: the day alone is kept.
    """
    if element is None or is_null(element):
        return None
    found = _MOMENT.fullmatch(element.get("value", "").strip())
    if found is None:
        return None
    year, month, day, hour, minute, second, offset = found.groups()
    date = "-".join(part for part in (year, month, day) if part)
    try:
        whole = f"{year}-{month or '01'}-{day or '01'}T{hour or '00'}:{minute or '00'}:"
        datetime.fromisoformat(f"{whole}{second or '00'}+00:00")
        if not (day and minute and offset):
            return date
        zone = offset if offset == "Z" else f"{offset[:3]}:{offset[3:]}"
        told = f"{whole}{second or '00'}{'+00:00' if zone == 'Z' else zone}"
        datetime.fromisoformat(told)
    except ValueError:
        return None
    return told


class Period(NamedTuple):
    """When something was so, each end as precise as it is known."""

    start: str | None = None
    end: str | None = None


def period_of(statement: Element | None) -> Period:
    """The effectiveTime of a statement; a point in time is its start."""
    for element in children(statement, "effectiveTime"):
        low, high = child(element, "low"), child(element, "high")
        if low is not None or high is not None:
            return Period(moment_of(low), moment_of(high))
        if (at := moment_of(element)) is not None:
            return Period(at)
    return Period()


def identifier_of(element: Element | None) -> str | None:
    """An II as one string, ``urn:oid:1.2.3|42``; what has no extension is its root alone."""
    if element is None or is_null(element):
        return None
    root, extension = system_of(attribute(element, "root")), attribute(element, "extension")
    if root and extension:
        return f"{root}|{extension}"
    return root or extension


def first_identifier(element: Element | None) -> str | None:
    """The first ``id`` of an element that says something."""
    found = (identifier_of(one) for one in children(element, "id"))
    return next((one for one in found if one), None)


def person_name(element: Element | None) -> str:
    """A person's name in one line: title (``DR``, a suffix in France), given names, family."""
    if element is None or is_null(element):
        return ""
    parts = [
        words(one) for name in ("suffix", "given", "family") for one in children(element, name)
    ]
    return " ".join(part for part in parts if part) or words(element)
