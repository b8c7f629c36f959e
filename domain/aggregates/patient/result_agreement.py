"""Whether two results speak of the same measures, and say the same: a call and its written result.

Numbers are compared as numbers (6.4 is 6,40), units as UCUM whatever their capitals, and what is
measured by its LOINC family or, where one of them has no code, by the words of ``loinc_families``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from releve.domain.aggregates.patient.loinc_families import called_the_same, sisters
from releve.domain.aggregates.patient.observations import loincs_of
from releve.domain.exact_numbers import number_of
from releve.domain.values import Quantity, ResultLine


class Difference(NamedTuple):
    """A measure of which two results say something else."""

    said: ResultLine
    written: ResultLine


def same_measure(one: ResultLine, other: ResultLine) -> bool:
    """Whether two lines measure the same: by their codes, by words where one has none."""
    codes, others = loincs_of(one.code), loincs_of(other.code)
    if codes and others:
        return not sisters(codes).isdisjoint(others)
    return called_the_same(codes, one.code.text, others, other.code.text)


def same_value(one: ResultLine, other: ResultLine) -> bool:
    """Whether two lines of one measure give the same number in the same unit, or the same words."""
    if one.comparator != other.comparator:
        return False
    if one.value is None or other.value is None:
        return one.value is other.value and _words(one.text) == _words(other.text)
    return _quantity(one.value) == _quantity(other.value)


def covers(written: Iterable[ResultLine], said: Iterable[ResultLine]) -> bool:
    """Whether every measure of ``said``, which has some, is in ``written``, whatever its value."""
    lines, asked = list(written), list(said)
    return bool(asked) and all(any(same_measure(line, one) for line in lines) for one in asked)


def repeats(written: Iterable[ResultLine], said: Iterable[ResultLine]) -> bool:
    """Whether ``written`` has every measure of ``said``, which has some, with the same value."""
    lines = list(written)
    return covers(lines, asked := list(said)) and not differences(lines, asked)


def differences(
    written: Iterable[ResultLine], said: Iterable[ResultLine]
) -> tuple[Difference, ...]:
    """The measures of ``said`` of which ``written`` gives only other values."""
    lines = list(written)
    found = []
    for one in said:
        same = [line for line in lines if same_measure(line, one)]
        if same and not any(same_value(line, one) for line in same):
            found.append(Difference(one, same[0]))
    return tuple(found)


def value_text(line: ResultLine) -> str:
    """The value of a line in French words: its bound, its number and unit, else its text."""
    value = line.value
    if value is None:
        return line.text or ""
    parts = (line.comparator, value.value.replace(".", ","), value.unit or value.code)
    return " ".join(part for part in parts if part)


_PURE = frozenset({"", "1", "{inr}", "{ratio}"})
"""Ways to write that a number has no unit."""


def _quantity(quantity: Quantity) -> tuple[object, str]:
    # One that is stored as no number agrees with its own digits alone; zero is a number.
    known = number_of(quantity.value)
    number: object = quantity.value.strip() if known is None else known
    unit = "".join((quantity.code or quantity.unit or "").split()).casefold()
    unit = unit.replace("µ", "u").replace("\N{GREEK SMALL LETTER MU}", "u")
    return number, "" if unit in _PURE else unit


def _words(text: str | None) -> str:
    return " ".join((text or "").split()).casefold()
