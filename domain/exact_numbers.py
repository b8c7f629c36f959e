"""Decimals as they are stored, and as they were stored: their digits are what a source wrote.

A person may type a decimal comma at any door; what is stored from then on has a point. What was
stored before, or comes from a machine that is kept as received, is read here with the same eyes,
so that no reader takes ``6,8`` for no number at all.
"""

from __future__ import annotations

import re
from decimal import Decimal

import msgspec

from releve.domain.errors import Invalid
from releve.domain.values import ExactDecimal, Quantity, ResultLine

_WRITTEN = re.compile(r"([+-]?)(\d*)(?:[.,](\d+))?([eE][+-]?\d{1,3})?", re.ASCII)


def decimal_text(written: str) -> str | None:
    """A stored number as JSON writes one, every digit after the point kept; None for no number.

    A comma, a plus sign and leading zeros are those of its source.
    """
    found = _WRITTEN.fullmatch(written.strip())
    if found is None or not (found[2] or found[3]):
        return None
    sign = "-" if found[1] == "-" else ""
    part = f".{found[3]}" if found[3] else ""
    return f"{sign}{found[2].lstrip('0') or '0'}{part}{found[4] or ''}"


def number_of(written: str) -> Decimal | None:
    """The exact number that is stored as ``written``; None for what is no number."""
    text = decimal_text(written)
    return None if text is None else Decimal(text)


def with_point(quantity: Quantity) -> Quantity:
    """The same digits with a point; what is no plain decimal stays as it was received."""
    try:
        exact = str(ExactDecimal(quantity.value))
    except Invalid:
        return quantity
    return quantity if exact == quantity.value else msgspec.structs.replace(quantity, value=exact)


def line_with_point(line: ResultLine) -> ResultLine:
    """A line of a result whose value, where it has one, is stored with a point."""
    if line.value is None:
        return line
    value = with_point(line.value)
    return line if value is line.value else msgspec.structs.replace(line, value=value)
