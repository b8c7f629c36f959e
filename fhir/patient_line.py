"""A patient on one line of an agenda: ``Mme PICHON née BELLANGER Odette (02/03/1948)``.

The family name is what stands in capitals, the first name what follows it; both end at the birth
date or at the first word that is no name. What comes after is somebody's reason to come: unread.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from releve.domain.values import IdentityTraits, Sex
from releve.fhir.french_dates import day_of

_BORN: Final = re.compile(
    r"(?<!\d)(\d{1,2}[/.-]\d{1,2}[/.-]\d{4}|\d{4}-\d{2}-\d{2})(?!\d)", re.ASCII
)
_TITLES: Final[dict[str, Sex | None]] = {
    "mme": "female",
    "mlle": "female",
    "madame": "female",
    "m": "male",
    "mr": "male",
    "monsieur": "male",
    "enfant": None,
    "dr": None,
}
_WORD: Final = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_BETWEEN: Final = re.compile(r"[\s,.]*")
_MOST: Final = 5
"""Words of a family name or of first names, at most."""


class NamedPatient(NamedTuple):
    """What a line says of who comes."""

    name: str | None
    first_name: str | None = None
    birth_name: str | None = None
    born: str | None = None
    sex: Sex | None = None
    bad_date: bool = False
    """The line gives a birth date that does not exist."""

    @property
    def traits(self) -> IdentityTraits:
        """The traits it gives: names as they are used."""
        return IdentityTraits(
            birth_name=self.birth_name,
            used_name=self.name,
            used_first_name=self.first_name,
            birth_date=self.born,
            sex=self.sex,
        )


def patient_in(line: str) -> NamedPatient | None:
    """The patient that ``line`` begins with, or None where no name in capitals stands there."""
    found = _BORN.search(line)
    head = line[: found.start()] if found else line
    names = _words(head)
    sex: Sex | None = None
    if names and names[0].casefold() in _TITLES:
        sex = _TITLES[names.pop(0).casefold()]
    family, rest = _family(names)
    if not family:
        return None
    birth: list[str] = []
    if rest and rest[0].casefold() in ("née", "né", "nee", "ne"):
        birth, rest = _family(rest[1:])
    first = _given(rest, whole=found is not None)
    if not first and not birth and len(family) > 1:
        family, first = family[:-1], family[-1:]  # all in capitals: the last is the first name
    born = day_of(found[1]) if found else None
    return NamedPatient(
        name=" ".join(family),
        first_name=" ".join(first) or None,
        birth_name=" ".join(birth) or None,
        born=born,
        sex=sex,
        bad_date=found is not None and born is None,
    )


def _words(text: str) -> list[str]:
    """The words that ``text`` begins with, apart by blanks, commas or points."""
    words = []
    at = _BETWEEN.match(text)
    place = at.end() if at else 0
    while (word := _WORD.match(text, place)) is not None:
        words.append(word[0])
        after = _BETWEEN.match(text, word.end())
        place = after.end() if after else word.end()
        if place == word.end():
            break
    return words


def _family(words: list[str]) -> tuple[list[str], list[str]]:
    taken = 0
    while taken < min(len(words), _MOST) and words[taken].isupper() and len(words[taken]) > 1:
        taken += 1
    return words[:taken], words[taken:]


def _given(words: list[str], *, whole: bool) -> list[str]:
    """First names: capitalised words; one alone where nothing says where the names end."""
    taken = 0
    while taken < min(len(words), _MOST) and words[taken][:1].isupper():
        taken += 1
    return words[: taken if whole else min(taken, 1)]
