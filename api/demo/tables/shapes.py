"""What a condition is, for the demo: who has it, what treats it, what is said and seen of it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

BANDS = (16, 45, 65, 80)
"""Ages at which the bands of a rate end; the last band has no end."""


@dataclass(frozen=True)
class Condition:
    """One problem of general practice.

    ``rates`` are cases per thousand in the five age bands (under 16, 45, 65, 80, and over);
    for an acute one they are its weight among the acute reasons of a visit at that age.
    """

    key: str
    label: str
    cim10: str
    words: tuple[str, ...]
    """How colleagues write it; the first is the shortest."""
    rates: tuple[float, float, float, float, float]
    drugs: tuple[str, ...] = ()
    """Keys of treatments: ``a/b`` is one of them, ``?`` for one patient in three."""
    complaints: tuple[str, ...] = ()
    """What patients say; ``{e}`` agrees with the patient, in the signs too."""
    signs: tuple[str, ...] = ()
    plans: tuple[str, ...] = ()
    chronic: bool = True
    sex: str | None = None
    ald: str | None = None
    panel: str | None = None
    """Laboratory panel that follows it, and how often, in days."""
    every: int = 365
    follow_up: tuple[str, str, int] | None = None
    """(kind, text, days) of the open item that a visit may leave."""
    drawn_by: dict[str, float] = field(default_factory=dict)
    """Conditions that make it more likely, and how many times."""
    months: tuple[int, ...] = ()
    """Months in which an acute one is four times as frequent."""
    male: float = 1.0
    """Cases among men for one among women."""
    youngest: int = 0
    oldest: int = 120


def band(age: float) -> int:
    """The place of an age in ``Condition.rates``."""
    return sum(age >= end for end in BANDS)


def condition(
    key: str,
    label: str,
    cim10: str,
    words: str,
    rates: tuple[float, float, float, float, float],
    *,
    drugs: str = "",
    says: str,
    shows: str,
    plans: str,
    chronic: bool = True,
    **given: object,
) -> Condition:
    """A row of the tables: lists are written with bars between their parts."""
    return Condition(
        key=key,
        label=label,
        cim10=cim10,
        words=parts(words),
        rates=rates,
        drugs=tuple(drugs.split()),
        complaints=parts(says),
        signs=parts(shows),
        plans=parts(plans),
        chronic=chronic,
        **given,  # type: ignore[arg-type] # the remaining fields, by name
    )


@dataclass(frozen=True)
class Who:
    """Of whom something is said: what its guard asks."""

    age: float
    """Years."""
    female: bool
    conditions: frozenset[str] = frozenset()
    """Keys of what the record holds."""
    drugs: frozenset[str] = frozenset()
    """Keys of what is taken."""


_GUARD = re.compile(r"\[([^\]]*)\]\s*")


def sayable(fragments: Iterable[str], who: Who) -> tuple[str, ...]:
    """The fragments that make sense for somebody, agreeing with their sex.

    A fragment may begin with a guard: ``[18-64]`` ages in years, ``[f]`` and ``[m]`` sex, ``[+x]``
    and ``[!x]`` with and without condition x, ``[@a/b]`` only who takes treatment a or b.
    """
    agreed = {
        "e": "e" if who.female else "",
        "he": "elle" if who.female else "il",
        "He": "Elle" if who.female else "Il",
        "village": "{village}",
        "family": "{family}",
    }
    found = []
    for fragment in fragments:
        guard = _GUARD.match(fragment)
        if guard is None or all(_holds(word, who) for word in guard[1].split()):
            found.append(fragment[guard.end() if guard else 0 :].format_map(agreed))
    return tuple(found)


def _holds(word: str, who: Who) -> bool:
    match word[0]:
        case "!":
            return word[1:] not in who.conditions
        case "+":
            return word[1:] in who.conditions
        case "@":
            return not who.drugs.isdisjoint(word[1:].split("/"))
        case "f" | "m":
            return who.female is (word == "f")
        case _:
            youngest, _, oldest = word.partition("-")
            return float(youngest or 0) <= who.age < float(oldest or 130) + 1


def parts(text: str) -> tuple[str, ...]:
    """What stands between bars and line ends."""
    return tuple(part.strip() for part in re.split(r"[|\n]", text) if part.strip())
