"""Codes that say "none known": they are an absence, never a substance, a drug or a problem."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from releve.domain.values import AbsenceSlot, Coding
from releve.fhir.codes import SNOMED

IPS_ABSENT: Final = "http://hl7.org/fhir/uv/ips/CodeSystem/absent-unknown-uv-ips"
"""Code system of IPS 1.x, gone in 2.0 and still met."""


class Scope(NamedTuple):
    """What is absent: a slot of the record, and the part of it that was asked about."""

    slot: AbsenceSlot
    part: str | None = None


_SNOMED_ABSENCES: Final[Mapping[str, Scope]] = {
    "716186003": Scope("allergies"),
    "160244002": Scope("allergies"),
    "409137002": Scope("allergies", "drug"),
    "429625007": Scope("allergies", "food"),
    "428607008": Scope("allergies", "environment"),
    "428197003": Scope("allergies", "insect"),
    "716220001": Scope("allergies", "animal"),
    "716184000": Scope("allergies", "latex"),
    "1003774007": Scope("allergies", "latex"),
    "787481004": Scope("medications"),
    "160245001": Scope("problems"),
    "787480003": Scope("procedures"),
    "787483001": Scope("devices"),
}
_IPS_ABSENCES: Final[Mapping[str, Scope]] = {
    "no-known-allergies": Scope("allergies"),
    "no-known-medication-allergies": Scope("allergies", "drug"),
    "no-known-food-allergies": Scope("allergies", "food"),
    "no-known-environmental-allergies": Scope("allergies", "environment"),
    "no-known-medications": Scope("medications"),
    "no-known-problems": Scope("problems"),
    "no-known-procedures": Scope("procedures"),
    "no-known-devices": Scope("devices"),
}
_NO_INFORMATION: Final = frozenset(
    {"no-allergy-info", "no-medication-info", "no-problem-info", "no-procedure-info"}
)
SNOMED_CODES: Final[Mapping[Scope, Coding]] = {
    Scope("allergies"): Coding(
        system=SNOMED, code="716186003", display="No known allergy (situation)"
    ),
    Scope("allergies", "drug"): Coding(
        system=SNOMED, code="409137002", display="No known drug allergy (situation)"
    ),
    Scope("allergies", "food"): Coding(
        system=SNOMED, code="429625007", display="No known food allergy (situation)"
    ),
    Scope("allergies", "environment"): Coding(
        system=SNOMED, code="428607008", display="No known environmental allergy (situation)"
    ),
    Scope("medications"): Coding(
        system=SNOMED, code="787481004", display="No known medications (situation)"
    ),
    Scope("problems"): Coding(
        system=SNOMED, code="160245001", display="No current problems or disability (situation)"
    ),
}
"""The code that says an absence asserted here, for what has one."""

CATEGORY_OF_PART: Final[Mapping[str, str]] = {
    "food": "food",
    "drug": "medication",
    "environment": "environment",
}
"""Category that an allergy must have to contradict the absence of a part."""


def scope_of(codings: Iterable[Coding]) -> Scope | None:
    """The absence that one of these codings asserts, ``None`` when none does."""
    for coding in codings:
        known = {SNOMED: _SNOMED_ABSENCES, IPS_ABSENT: _IPS_ABSENCES}.get(coding.system or "", {})
        if coding.code is not None and coding.code in known:
            return known[coding.code]
    return None


def says_unknown(codings: Iterable[Coding]) -> bool:
    """Whether a coding says that nobody knows: neither a finding nor an absence."""
    return any(one.system == IPS_ABSENT and one.code in _NO_INFORMATION for one in codings)
