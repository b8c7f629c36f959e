"""JSON in and out without loss: numbers keep the digits they were written with.

FHIR says that the precision of a decimal is significant, and JSON readers turn ``1.50`` into
``1.5``. Here a number read is a :class:`Decimal` or an ``int`` that remembers its text, and a
number written is that text. Reading also refuses what a lenient reader lets pass: a key twice in
one object, NaN, half a surrogate pair, depth and size beyond what a record needs.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any, Final

import msgspec

MAX_BYTES: Final = 32 * 1024 * 1024
"""Largest file that is read, in bytes."""

MAX_DEPTH: Final = 32
"""Deepest nesting of objects and arrays that is read."""

MAX_NUMBER: Final = 64
"""Longest number that is read, in characters; exponents stay within 400."""

_STRUCTURE: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)
_EXPONENT: Final = re.compile(r"[eE]([+-]?\d+)$")

JsonObject = dict[str, Any]


class NotReadable(ValueError):
    """The bytes are not JSON that may be read; ``reason`` (French) holds no value of theirs."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class Exact(Decimal):
    """A decimal that is written again exactly as it was read."""

    text: str

    def __new__(cls, text: str) -> Exact:
        """Keep ``text`` beside its value."""
        made = super().__new__(cls, text)
        made.text = text
        return made


def number_text(value: Decimal | int | float) -> str:
    """The digits of a JSON number as they were written, or as few as say the same."""
    if isinstance(value, Exact):
        return value.text
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def parse(raw: bytes) -> JsonObject:
    """Read one JSON object.

    Raises :class:`NotReadable` for anything else, for bytes over :data:`MAX_BYTES`, nesting over
    :data:`MAX_DEPTH`, a repeated key, a number over :data:`MAX_NUMBER` characters, NaN or an
    infinity, a control character or half a surrogate pair in a string.
    """
    if len(raw) > MAX_BYTES:
        raise NotReadable(f"fichier de plus de {MAX_BYTES // (1024 * 1024)} Mio")
    _check_depth(raw)
    try:
        read = json.loads(
            raw.decode("utf-8-sig"),
            parse_float=_decimal,
            parse_int=_integer,
            parse_constant=_constant,
            object_pairs_hook=_object,
        )
    except UnicodeDecodeError as error:
        raise NotReadable("le fichier n'est pas en UTF-8") from error
    except json.JSONDecodeError as error:
        raise NotReadable(f"JSON illisible, ligne {error.lineno} colonne {error.colno}") from error
    except RecursionError as error:  # unbalanced openings that the depth scan took for a string
        raise NotReadable("imbrication trop profonde") from error
    if not isinstance(read, dict):
        raise NotReadable("le fichier n'est pas un objet JSON")
    return read


def dump(value: object) -> bytes:
    """Write plain data as compact UTF-8 JSON: keys in the order given, numbers as read."""
    return _ENCODER.encode(value)


def _written(value: object) -> msgspec.Raw:
    """A number that remembers its text, as that text."""
    if isinstance(value, Decimal):
        return msgspec.Raw(number_text(value).encode())
    raise TypeError(f"{type(value).__name__} has no JSON form here")


_ENCODER: Final = msgspec.json.Encoder(enc_hook=_written, decimal_format="number")


def decimal_from(text: str) -> Exact:
    """The number that ``text`` writes, for :func:`dump`; raises ``ValueError`` if it is none."""
    if not re.fullmatch(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?", text):
        raise ValueError("not a JSON number")
    return Exact(text)


def _check_depth(raw: bytes) -> None:
    depth = 0
    for match in _STRUCTURE.finditer(raw):
        first = match.group()[:1]
        if first in b"[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise NotReadable(f"plus de {MAX_DEPTH} niveaux d'imbrication")
        elif first in b"]}":
            depth -= 1


def _decimal(text: str) -> Exact:
    exponent = _EXPONENT.search(text)
    if len(text) > MAX_NUMBER or (exponent and abs(int(exponent[1])) > 400):
        raise NotReadable("nombre démesuré")
    return Exact(text)


def _integer(text: str) -> int | Exact:
    if len(text) > MAX_NUMBER:
        raise NotReadable("nombre démesuré")
    value = int(text)
    return value if str(value) == text else Exact(text)


def _constant(_: str) -> object:
    raise NotReadable("NaN et l'infini ne sont pas des nombres JSON")


def _object(pairs: list[tuple[str, Any]]) -> JsonObject:
    made: JsonObject = {}
    for key, value in pairs:
        if key in made:
            raise NotReadable("une clé est présente deux fois dans un même objet")
        made[_sound(key)] = _texts(value)
    return made


def _texts(value: Any) -> Any:
    if isinstance(value, list):
        return [_texts(one) for one in value]
    return _sound(value) if isinstance(value, str) else value


def _sound(text: str) -> str:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise NotReadable("un texte contient un demi-caractère (surrogate)") from error
    if any(ord(character) < 32 and character not in "\t\n\r" for character in text):
        raise NotReadable("un texte contient un caractère de contrôle")
    return text
