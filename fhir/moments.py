"""Clinical dates as a source wrote them, in one string each, and back.

The record keeps a date as text. FHIR gives one in five forms: a dateTime stays as it is
(``2015-01``); a Period is ``2015-01/2015-03``, an open end ``..`` (two equal ends say one moment);
an Age is ``age 40 a`` and a Range ``range 40..45 a`` in UCUM; a string is itself, in quotation
marks where it would read as one of the others. What these cannot hold exactly (a comparator, a
unit that is not UCUM) is kept as the compact JSON of the element.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from releve.fhir.exact_json import (
    JsonObject,
    NotReadable,
    decimal_from,
    dump,
    number_text,
    parse,
)

UCUM: Final = "http://unitsofmeasure.org"

_DATETIME: Final = re.compile(
    r"\d{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01])"
    r"(T([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d+)?(Z|[+-](0\d|1[0-4]):[0-5]\d))?)?)?"
)
_NUMBER: Final = r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?"
_AGE: Final = re.compile(rf"age ({_NUMBER}) (\S+)")
_RANGE: Final = re.compile(rf"range ({_NUMBER}|)\.\.({_NUMBER}|) (\S+)")
_OPEN: Final = ".."


def is_datetime(text: str) -> bool:
    """Whether ``text`` is a FHIR dateTime: a partial date, a date, or a time with its offset."""
    return _DATETIME.fullmatch(text) is not None


def period_text(period: Mapping[str, Any]) -> str:
    """A Period as ``start/end``, ``..`` where it has none."""
    return f"{period.get('start', _OPEN)}/{period.get('end', _OPEN)}"


def text_of(content: Mapping[str, Any], stem: str) -> str | None:
    """What ``content`` says under ``stem`` (``onset``, ``abatement``, ``effective``) as one string.

    ``None`` when it has no such element, or one of a form that is no date (a boolean, a Timing).
    """
    for form in ("DateTime", "Instant"):
        if (moment := content.get(f"{stem}{form}")) is not None:
            return str(moment)
    if (period := content.get(f"{stem}Period")) is not None:
        return _shortest(f"{stem}Period", period, period_text(period), stem)
    if (age := content.get(f"{stem}Age")) is not None:
        short = f"age {_number(age.get('value'))} {age.get('code')}"
        return _shortest(f"{stem}Age", age, short, stem)
    if (span := content.get(f"{stem}Range")) is not None:
        low, high = span.get("low", {}), span.get("high", {})
        unit = low.get("code", high.get("code"))
        short = f"range {_number(low.get('value'))}..{_number(high.get('value'))} {unit}"
        return _shortest(f"{stem}Range", span, short, stem)
    if (words := content.get(f"{stem}String")) is not None:
        said = str(words)
        return said if elements(said, stem) == {f"{stem}String": said} else json.dumps(said)
    return None


def elements(text: str, stem: str) -> JsonObject:
    """The FHIR element that ``text`` says: the inverse of :func:`text_of`."""
    if is_datetime(text):
        return {f"{stem}DateTime": text}
    start, slash, end = text.partition("/")
    if slash and all(side == _OPEN or is_datetime(side) for side in (start, end)):
        if start == end and start != _OPEN:
            return {f"{stem}DateTime": start}
        sides = (("start", start), ("end", end))
        return {f"{stem}Period": {name: side for name, side in sides if side != _OPEN}}
    if age := _AGE.fullmatch(text):
        return {f"{stem}Age": _ucum(age[1], age[2])}
    if (span := _RANGE.fullmatch(text)) and (span[1] or span[2]):
        sides = (("low", span[1]), ("high", span[2]))
        return {f"{stem}Range": {name: _ucum(value, span[3]) for name, value in sides if value}}
    if text.startswith('{"'):
        try:
            kept = parse(text.encode())
        except NotReadable:
            return {f"{stem}String": text}
        if len(kept) == 1 and next(iter(kept)) in (f"{stem}Period", f"{stem}Age", f"{stem}Range"):
            return kept
    if text.startswith('"'):
        try:
            said = json.loads(text)
        except json.JSONDecodeError:
            said = text
        return {f"{stem}String": said if isinstance(said, str) else text}
    return {f"{stem}String": text}


def _shortest(key: str, element: Mapping[str, Any], short: str, stem: str) -> str:
    """``short`` where it says all of ``element``, else the element's own JSON."""
    exact = dump({key: element})
    return short if dump(elements(short, stem)) == exact else exact.decode()


def _number(value: Any) -> str:
    return "" if value is None else number_text(value)


def _ucum(value: str, code: str) -> JsonObject:
    return {"value": decimal_from(value), "system": UCUM, "code": code}
