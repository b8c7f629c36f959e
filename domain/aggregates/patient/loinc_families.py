"""Which LOINC codes measure the same thing, and the French words a laboratory calls it by, as data.

One analyte has several codes: in serum or in whole blood, in moles or in grams, by one method or by
another; and a line that a laboratory wrote without any has its words. If/thens and centre-wide
critical values both ask this table, so that they never disagree about what a line measures. Codes
are of LOINC 2.7x; no clinician has reviewed the table, and a new one is a new release.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable
from functools import lru_cache
from typing import Literal, NamedTuple

RELEASE = "2026-11"
"""Release of this table."""


class Family(NamedTuple):
    """Codes of one thing measured, and how a line without a code begins."""

    codes: frozenset[str]
    names: tuple[str, ...]
    apart: frozenset[str]
    """Codes that go by the same words and measure something else: in urine."""


def _family(codes: str, names: str, apart: str = "") -> Family:
    called = tuple(name.strip() for name in names.split(","))
    return Family(frozenset(codes.split()), called, frozenset(apart.split()))


FAMILIES: tuple[Family, ...] = (
    _family("2823-3 6298-4 77142-8 39789-3 32713-0", "potassium, kaliemie, k, k+", "2828-2 2829-0"),
    _family("2951-2 2947-0 77139-4 32717-1", "sodium, natremie, na, na+", "2955-3 2956-1"),
    _family("6301-6 34714-6 46418-0 38875-1", "inr"),
    _family("718-7 20509-6 30313-1", "hemoglobine, hb"),
    _family("4548-4 17856-6 59261-8", "hemoglobine glyquee, hemoglobine a1c, hba1c, hb a1c"),
    _family(
        "2345-7 14749-6 1558-6 14771-0 2339-0 15074-8 41653-7 14743-9 2340-8",
        "glycemie, glucose",
        "2350-7 5792-7 15076-3",
    ),
    _family(
        "2160-0 14682-9 38483-4 59826-8",
        "creatinine, creatininemie",
        "2161-8 14683-7 2162-6",
    ),
    _family(
        "62238-1 98979-8 33914-3 77147-7",
        "dfg, debit de filtration glomerulaire, clairance de la creatinine",
    ),
    _family(
        "6598-7 10839-9 67151-1 89579-7 48425-3 42757-5 49563-0",
        "troponine, troponine t, troponine i",
    ),
    _family("1988-5 30522-7", "crp, proteine c reactive, c reactive proteine"),
    _family("777-3 26515-7 778-1", "plaquettes, numeration des plaquettes"),
    _family("6690-2 26464-8 804-5", "leucocytes, globules blancs, gb"),
    _family("3016-3 11579-0 11580-8", "tsh"),
    _family("30934-4 42637-9", "bnp"),
    _family("33762-6 83107-3", "nt-probnp, nt pro bnp, pro bnp"),
    _family("29463-7 3141-9 3142-7", "poids"),
    _family("2708-6 59408-5", "saturation, spo2, sao2"),
    _family("8867-4 8889-8", "frequence cardiaque, pouls, fc"),
    _family("8480-6 8459-0 8460-8 8461-6", "pression arterielle systolique, pas, tas"),
    _family("8462-4 8453-3 8454-1 8455-8", "pression arterielle diastolique, pad, tad"),
    _family("8310-5 8331-1 8332-9 8333-7 8328-7", "temperature"),
)
"""What an if/then or a critical value is most often about."""

_ELSEWHERE = re.compile(
    r"^(urin|lcr$|liquide|ponction|ascite|pleur|selles?$|fec|sueur|salivaire|dialys|cible$|objectif)"
)
"""Words that make of the same name another measure, or no measure at all."""
_OTHERS = frozenset({"corpusculaire", "globulaire", "foetale", "a2", "f", "s", "fraction"})
_BLOOD = frozenset({"plasmatique", "serique", "sanguin", "sanguine", "plasma", "serum", "sang"})
_SHORT = 2
_SIGN = re.compile(r"[a-z0-9+]+")
_OF = {code: family for family in FAMILIES for code in family.codes}

Kinship = Literal["same", "words"]


def family_of(loinc: str) -> Family | None:
    """The family of a LOINC code; None for one that the table does not know."""
    return _OF.get(loinc)


def sisters(loincs: Iterable[str]) -> frozenset[str]:
    """These codes and every code that measures the same."""
    return frozenset().union(
        *({code} if (family := family_of(code)) is None else family.codes for code in loincs)
    )


def kinship(
    wanted: Collection[str], codes: Collection[str], text: str, *, names: Iterable[str] = ()
) -> Kinship | None:
    """Whether a line measures what one of the ``wanted`` LOINC codes does.

    ``same``: by its own ``codes``. ``words``: it has no code that the table knows, and its text
    begins with one of the names (theirs, or ``names``). None: something else.
    """
    known = sisters(wanted)
    if not known.isdisjoint(codes):
        return "same"
    if any(family_of(code) is not None for code in codes):
        return None
    said = words_of(text)
    named = max(
        ((_begins(said, family.names), family) for family in FAMILIES), key=lambda each: each[0]
    )
    if named[0]:
        of_name = named[1]
        related = not of_name.codes.isdisjoint(known) and of_name.apart.isdisjoint(codes)
        return "words" if related else None
    return "words" if _begins(said, names) else None


def words_of(text: str) -> tuple[str, ...]:
    """The words of a label, without accents, capitals or signs other than ``+``."""
    flat = unicodedata.normalize("NFKD", text.casefold())
    return tuple(_SIGN.findall("".join(c for c in flat if not unicodedata.combining(c))))


@lru_cache(maxsize=1024)
def _words_of_name(name: str) -> tuple[str, ...]:
    """The words of a name of the tables, worked out once; never a label of somebody's record."""
    return words_of(name)


def _begins(said: tuple[str, ...], names: Iterable[str]) -> int:
    """How many letters of a label are one of these names at its beginning; 0 where it is not."""
    if any(_ELSEWHERE.match(word) or word in _OTHERS for word in said[1:]):
        return 0
    longest = 0
    for name in names:
        first = _words_of_name(name)
        if not first or said[: len(first)] != first:
            continue
        # "K" alone, or in blood; "K-ras" is no potassium.
        if len(name) <= _SHORT and not _BLOOD.issuperset(said[len(first) :]):
            continue
        longest = max(longest, len(name))
    return longest
