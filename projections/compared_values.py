"""Measures that are judged by what they were before: a creatinine that rises.

A rise is told by the lowest value of the last months, from whatever laboratory and under whatever
name. So a summary keeps more of these than the newest few, and a bounded one keeps them beside what
nobody has read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

from releve.domain.aggregates.patient.loinc_families import kinship
from releve.domain.exact_numbers import number_of
from releve.projections.summary_lines import Line

COMPARED: Final = ("2160-0",)
"""LOINC codes that stand for what any release of the rules looks for a rise of."""
COMPARED_DAYS: Final = 90
"""The longest time, in days before a value, in which a release looks for a lower one."""

_LOINC = re.compile(r"\d{1,7}-\d", re.ASCII)


def loincs_in(code: Mapping[str, Any]) -> set[str]:
    """The LOINC codes of a code as kept; a laboratory's own ("K" in HPRIM) is none."""
    codings = code.get("codings", ())
    return {found for one in codings if _LOINC.fullmatch(found := one.get("code") or "")}


def is_compared(measure: Mapping[str, Any]) -> bool:
    """Whether a measure, or a line of a result, is or may be one of these."""
    code = measure["code"]
    return kinship(COMPARED, loincs_in(code), code.get("text", "")) is not None


def lowest(lines: Iterable[Line]) -> list[Line]:
    """Of measures of one code, each that has none after it as low: the lowest of any time since.

    Less those that were taken more than :data:`COMPARED_DAYS` before the newest, and any that has
    no number.
    """
    newest_first = sorted(lines, key=lambda line: line.recency, reverse=True)
    found: list[Line] = []
    least: dict[str | None, Decimal] = {}
    for line in newest_first:
        # A day more: two days of a zone may lie almost a day further apart.
        if newest_first[0].recency[0] - line.recency[0] > timedelta(days=COMPARED_DAYS + 1):
            break
        quantity = line.detail.get("value") or {}
        value = number_of(str(quantity.get("value", "")))
        unit = quantity.get("code") or quantity.get("unit")
        if not line.current or value is None or value >= least.get(unit, value + 1):
            continue
        least[unit] = value
        found.append(line)
    return found
