"""Codes and words between FHIR and the record: CodeableConcept, Quantity, and short tokens.

Where the record has one string for a coded element (category, severity, body site), it is a
*token*: the display, then ``[system|code]``; or the words alone where the source has no code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from releve.domain.exact_numbers import decimal_text
from releve.domain.values import Coding, Concept, Quantity
from releve.fhir.exact_json import JsonObject, decimal_from, number_text
from releve.fhir.moments import UCUM

SNOMED: Final = "http://snomed.info/sct"
ANY_URI: Final = "urn:ietf:rfc:3986"
"""Identifier system of values that are URIs, such as ``urn:uuid:…``."""
LOINC: Final = "http://loinc.org"
DATA_ABSENT: Final = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"

UNDATED: Final = "date inconnue"
"""What stands for a date that R4 requires in words or figures, where nobody knows it."""

OBSERVATION_CATEGORY: Final = "http://terminology.hl7.org/CodeSystem/observation-category"
CONDITION_CLINICAL: Final = "http://terminology.hl7.org/CodeSystem/condition-clinical"
CONDITION_VERIFICATION: Final = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
ALLERGY_CLINICAL: Final = "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical"
ALLERGY_VERIFICATION: Final = (
    "http://terminology.hl7.org/CodeSystem/allergyintolerance-verification"
)

STATUS_CODES: Final[Mapping[str, frozenset[str]]] = {
    CONDITION_CLINICAL: frozenset(
        {"active", "recurrence", "relapse", "inactive", "remission", "resolved"}
    ),
    CONDITION_VERIFICATION: frozenset(
        {
            "unconfirmed",
            "provisional",
            "differential",
            "confirmed",
            "refuted",
            "entered-in-error",
        }
    ),
    ALLERGY_CLINICAL: frozenset({"active", "inactive", "resolved"}),
    ALLERGY_VERIFICATION: frozenset({"unconfirmed", "confirmed", "refuted", "entered-in-error"}),
}
"""Statuses that R4 requires, by code system."""

_TOKEN: Final = re.compile(r"(.*?) ?\[([^\[\]|\s]*)\|([^\[\]|]+)\]", re.DOTALL)


def concept_of(element: Mapping[str, Any] | None, *, fallback: str = "") -> Concept:
    """A CodeableConcept as received; its text is its own, else a display, a code, ``fallback``."""
    given = element or {}
    codings = tuple(
        Coding(
            system=one.get("system"),
            code=one.get("code"),
            display=one.get("display"),
            version=one.get("version"),
        )
        for one in given.get("coding", ())
        if one.get("code") or one.get("display")
    )
    words = [given.get("text")]
    words += [one.display for one in codings]
    words += [one.code for one in codings]
    return Concept(text=next((word for word in words if word), fallback), codings=codings)


def optional_concept(element: Mapping[str, Any] | None) -> Concept | None:
    """:func:`concept_of`, or ``None`` where the element says nothing."""
    concept = concept_of(element)
    return concept if concept.text or concept.codings else None


def codeable(concept: Concept) -> JsonObject:
    """The CodeableConcept of a concept, its codings in their order."""
    built: JsonObject = {}
    if concept.codings:
        built["coding"] = [coding_of(one) for one in concept.codings]
    if concept.text:
        built["text"] = concept.text
    return built or {"text": "non précisé"}


def coding_of(coding: Coding) -> JsonObject:
    """The Coding of one code, without what it does not say."""
    parts = {
        "system": coding.system,
        "version": coding.version,
        "code": coding.code,
        "display": coding.display,
    }
    return {name: value for name, value in parts.items() if value}


def status_of(element: Mapping[str, Any] | None, system: str) -> str | None:
    """The status of a CodeableConcept: its code of ``system``, else its first code, else words."""
    codings: Sequence[Mapping[str, Any]] = (element or {}).get("coding", ())
    for one in codings:
        if one.get("system") == system and one.get("code"):
            return str(one["code"])
    text: str | None = (element or {}).get("text")
    return next((str(one["code"]) for one in codings if one.get("code")), text)


def status_element(code: str, system: str) -> JsonObject:
    """The CodeableConcept of a status code."""
    return {"coding": [{"system": system, "code": code}]}


def token_of(element: Mapping[str, Any] | None) -> str | None:
    """The token of a CodeableConcept: its first coding, else its text."""
    given = element or {}
    for one in given.get("coding", ()):
        if one.get("code"):
            words = one.get("display") or given.get("text") or ""
            token = f"{words} [{one.get('system', '')}|{one['code']}]".strip()
            if _TOKEN.fullmatch(token):
                return token
    text: str | None = given.get("text")
    return text


def token_element(token: str) -> JsonObject:
    """The CodeableConcept that a token says."""
    coded = _TOKEN.fullmatch(token)
    if coded is None:
        return {"text": token}
    coding = coding_of(
        Coding(system=coded[2] or None, code=coded[3], display=coded[1].strip() or None)
    )
    return {"coding": [coding]}


def quantity_of(element: Mapping[str, Any] | None) -> Quantity | None:
    """A Quantity with the digits of its source; ``None`` without a value or with a comparator.

    The unit's code is kept when it is UCUM's; a unit of another system is kept as words.
    """
    given = element or {}
    if given.get("value") is None or given.get("comparator") is not None:
        return None
    ucum = given.get("system") == UCUM
    words = given.get("unit") or (None if ucum else given.get("code"))
    return Quantity(
        value=number_text(given["value"]), unit=words, code=given.get("code") if ucum else None
    )


def quantity_element(quantity: Quantity) -> JsonObject:
    """The Quantity element: the digits of its decimal as received, a stored comma a point."""
    try:
        built: JsonObject = {"value": decimal_from(decimal_text(quantity.value) or "")}
    except ValueError:  # no JSON number: say that there is a value that cannot be given
        built = {"_value": absent("error")}
    if quantity.unit:
        built["unit"] = quantity.unit
    if quantity.code:
        built |= {"system": UCUM, "code": quantity.code}
    return built


def absent(reason: str = "unknown") -> JsonObject:
    """An element that has no value, and says why (data-absent-reason)."""
    return {"extension": [{"url": DATA_ABSENT, "valueCode": reason}]}
