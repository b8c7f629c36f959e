"""What a reader of documents leaves over or warns of, in words for whoever reads the page.

Readers name parts by their path, which the record keeps; a doctor is told what kind of thing it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

_PATH: Final = re.compile(r"/[\w:./\[\]@-]+")
_ELEMENT: Final = re.compile(r"([A-Za-z]+)(?:\[\d+\])?\Z")
_WORDS: Final[Mapping[str, str]] = {
    "absence": "énoncé négatif",
    "act": "énoncé",
    "addr": "adresse",
    "author": "auteur",
    "birthplace": "lieu de naissance",
    "encounter": "contact",
    "entry": "énoncé",
    "externalDocument": "renvoi à un autre document",
    "guardian": "représentant légal",
    "id": "identifiant",
    "observation": "observation",
    "observationMedia": "image",
    "organizer": "groupe de résultats",
    "paragraph": "paragraphe",
    "participant": "intervenant",
    "procedure": "acte",
    "recordTarget": "patient",
    "section": "rubrique",
    "substanceAdministration": "traitement",
    "supply": "délivrance",
    "table": "tableau",
    "telecom": "téléphone",
    "text": "texte",
    "tr": "ligne de tableau",
    "value": "valeur",
}


_LOINC_NAME: Final = re.compile(r" \[[^\]]+\]((?: [^\s<>≤≥\d]\S*)*)(?=\s[<>≤≥]?\s?\d)")
"""What a LOINC name says of method and matter: ``Potassium [Moles/Volume] Sérum/Plasma 6,2``."""
_METHOD_AND_MATTER: Final = re.compile(r" \[[^\]]+\](.*)", re.DOTALL)
_USUAL_MATTER: Final = frozenset({"", "sérum", "plasma", "sérum/plasma", "sang"})


def short_test(text: str) -> str:
    """A value with the name of its test, without the method: ``Potassium 6,2 mmol/L``.

    What was measured in something else than blood says so: ``Potassium (urine) 62 mmol/L``.
    """
    return _LOINC_NAME.sub(_matter, text, count=1)


def name_of_test(name: str) -> str:
    """The name of a test by itself, shortened as :func:`short_test` does."""
    return _METHOD_AND_MATTER.sub(_matter, name, count=1)


def short_line(text: str, name: str) -> str:
    """A line that begins with the name of its test: ``TSH pas encore disponible``."""
    return name_of_test(name) + text[len(name) :] if name and text.startswith(name) else text


def _matter(found: re.Match[str]) -> str:
    matter = found[1].partition(";")[0].strip()
    return "" if matter.casefold() in _USUAL_MATTER else f" ({matter[:1].lower()}{matter[1:]})"


def reference_in_words(text: str) -> str:
    """A reference range as its source wrote it, with the signs that a French page uses."""
    said = _DECIMAL.sub(",", text).replace("<=", "≤").replace(">=", "≥")
    return _MICRO.sub("µ", said)


_DECIMAL: Final = re.compile(r"(?<=\d)\.(?=\d)")
_MICRO: Final = re.compile(r"(?<![A-Za-z])u(?=(?:mol|g|L|kat|UI|IU)\b)")


def part_in_words(kind: str, path: str) -> str:
    """A part that was left over: ``observation (code 34552-0), traitement``.

    What nobody has a word for keeps its own name; no path is shown.
    """
    name, _, code = kind.partition(":")
    place = _WORDS.get(_last(path))
    word = _WORDS.get(name) or (f"{place} : {name}" if place else name)
    return f"{word} (code {code})" if code and code != "DRUG" else word


def warning_in_words(text: str) -> str:
    """A warning with the kind of thing that it is about in place of the path to it."""

    def said(found: re.Match[str]) -> str:
        return _word_of(found[0])

    if not text.startswith("/"):
        return text
    told = _PATH.sub(said, text, count=1)
    return told[:1].upper() + told[1:]


def _last(path: str) -> str:
    found = _ELEMENT.search(path)
    return found[1] if found else ""


def _word_of(path: str) -> str:
    return _WORDS.get(_last(path), "élément")
