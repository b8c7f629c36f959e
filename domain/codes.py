"""Codes of terminologies and registers, each checked as far as its own form tells.

What another system sent is storage and is kept as written (:class:`~releve.domain.values.Coding`);
these are what a command written in this product must satisfy.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import ClassVar, Self

from releve.domain.errors import Invalid
from releve.domain.values import Coding, luhn_valid


class Loinc(str):
    """A LOINC code: up to seven digits, a hyphen and a check digit (Luhn on the digits)."""

    __slots__ = ()

    def __new__(cls, value: str, *, field: str = "loinc") -> Loinc:
        """Raises Invalid naming ``field``."""
        if not re.fullmatch(r"\d{1,7}-\d", value, re.ASCII) or not luhn_valid(
            value.replace("-", "")
        ):
            raise Invalid(
                "invalid-field",
                field=field,
                why="Un code LOINC a un chiffre de contrôle, qui n'est pas le bon.",
            )
        return super().__new__(cls, value)


class _Code(str):
    """A text that is all in its form: ``FORM`` is what it matches, ``WHY`` what is said if not."""

    __slots__ = ()
    FIELD: ClassVar[str]
    FORM: ClassVar[str]
    WHY: ClassVar[str]

    def __new__(cls, value: str, *, field: str | None = None) -> Self:
        """Raises Invalid naming ``field``, which is ``FIELD`` where none is given."""
        if not re.fullmatch(cls.FORM, value, re.ASCII):
            raise Invalid("invalid-field", field=field or cls.FIELD, why=cls.WHY)
        return super().__new__(cls, value)


class Atc(_Code):
    """A code of the Anatomical Therapeutic Chemical classification (WHO), of any of its levels.

    A substance has all five, in seven characters: C09AA05. A class has fewer: J01C.
    """

    __slots__ = ()
    FIELD = "atc"
    FORM = r"[A-DGHJL-NPRSV](?:\d{2}(?:[A-Z](?:[A-Z](?:\d{2})?)?)?)?"
    WHY = "Un code ATC s'écrit comme C09AA05, ou J01C pour une classe."

    @property
    def substance(self) -> bool:
        """True for a code of the last level, which names a substance."""
        return len(self) == 7


class Cim10(_Code):
    """A CIM-10 code: a letter, two digits, then the French or WHO subdivision: I50, E66.06, B24.+9.

    ``†`` and ``*`` of a double coding may follow. Whether the code is in an edition is not checked.
    """

    __slots__ = ()
    FIELD = "cim10"
    FORM = r"[A-Z]\d{2}(?:\.?(?:\d{1,3}|\d?\+\d{1,2}))?[*†+]?"
    WHY = "Un code CIM-10 s'écrit comme I50 ou E66.06."


class Cisp2(_Code):
    """A CISP-2 (ICPC-2) code: a chapter and two digits (K77), or a process of any chapter (-45)."""

    __slots__ = ()
    FIELD = "cisp2"
    FORM = r"[ABDFHKLNPRSTUWXYZ]\d{2}|-[3-6]\d"
    WHY = "Un code CISP-2 s'écrit comme K77, ou -45 pour une procédure."


class Cis(_Code):
    """The French number of a proprietary medicine (code identifiant de spécialité): 8 digits."""

    __slots__ = ()
    FIELD = "cis"
    FORM = r"[1-9]\d{7}"
    WHY = "Un code CIS a 8 chiffres."


class Cip13(str):
    """The French number of a medicine's pack: 13 digits from 3400, the last one the EAN-13 key."""

    __slots__ = ()

    def __new__(cls, value: str, *, field: str = "cip13") -> Cip13:
        """Blanks are dropped. Raises Invalid naming ``field``."""
        text = re.sub(r"\s", "", value)
        if not re.fullmatch(r"3400\d{9}", text, re.ASCII):
            raise Invalid(
                "invalid-field",
                field=field,
                why="Un code CIP13 a 13 chiffres et commence par 3400.",
            )
        if sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(text)) % 10:
            raise Invalid(
                "invalid-field", field=field, why="La clé du code CIP13 n'est pas la bonne."
            )
        return super().__new__(cls, text)


CODE_SYSTEMS: Mapping[str, Callable[..., str]] = {
    "http://loinc.org": Loinc,
    "urn:oid:2.16.840.1.113883.6.1": Loinc,
    "http://www.whocc.no/atc": Atc,
    "urn:oid:2.16.840.1.113883.6.73": Atc,
    "http://hl7.org/fhir/sid/icd-10": Cim10,
    "urn:oid:2.16.840.1.113883.6.3": Cim10,
    "http://hl7.org/fhir/sid/icpc-2": Cisp2,
    "urn:oid:1.2.250.1.213.2.3.1": Cis,
    "urn:oid:1.2.250.1.213.2.3.2": Cip13,
}
"""Code systems whose codes are checked where they are written here; others are kept as given."""


def written_codings(codings: tuple[Coding, ...], *, field: str) -> tuple[Coding, ...]:
    """Codings that a command carries: each code of a known system has that system's shape.

    A code that another system sent is storage and never passes here (:class:`Coding`). Raises
    Invalid naming ``field[n].code``.
    """
    for place, coding in enumerate(codings):
        read = CODE_SYSTEMS.get(coding.system or "")
        if read is None:
            continue
        if coding.code is None:
            raise Invalid(
                "missing-field", field=f"{field}[{place}].code", why="Ce champ est obligatoire."
            )
        read(coding.code, field=f"{field}[{place}].code")
    return codings


class Sha256(_Code):
    """A SHA-256 in lower-case hexadecimal."""

    __slots__ = ()
    FIELD = "sha256"
    FORM = r"[0-9a-f]{64}"
    WHY = "Une empreinte SHA-256 a 64 chiffres hexadécimaux minuscules."
