"""Codes that say "none known", on their way out, and codes that say "nobody knows".

Which received code is an absence is the domain's to say
(:func:`releve.domain.aggregates.patient.allergies.absence_of`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from releve.domain.aggregates.patient.allergies import ABSENT_UNKNOWN
from releve.domain.values import Coding
from releve.fhir.codes import SNOMED

_NO_INFORMATION: Final = frozenset(
    {"no-allergy-info", "no-medication-info", "no-problem-info", "no-procedure-info"}
)


def _situation(code: str, display: str) -> Coding:
    return Coding(system=SNOMED, code=code, display=f"{display} (situation)")


CODES: Final[Mapping[tuple[str, str | None], Coding]] = {
    ("allergies", None): _situation("716186003", "No known allergy"),
    ("allergies", "medication"): _situation("409137002", "No known drug allergy"),
    ("allergies", "food"): _situation("429625007", "No known food allergy"),
    ("allergies", "environment"): _situation("428607008", "No known environmental allergy"),
    ("medications", None): _situation("787481004", "No known medications"),
    ("problems", None): _situation("160245001", "No current problems or disability"),
}
"""The code of an absence asserted here, by slot and part, for what has one."""


def says_unknown(codings: Iterable[Coding]) -> bool:
    """Whether a coding says that nobody knows: neither a finding nor an absence."""
    return any(one.system == ABSENT_UNKNOWN and one.code in _NO_INFORMATION for one in codings)
