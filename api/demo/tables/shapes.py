"""What a condition is, for the demo: who has it, what treats it, what is said and seen of it."""

from __future__ import annotations

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
        words=_parts(words),
        rates=rates,
        drugs=tuple(drugs.split()),
        complaints=_parts(says),
        signs=_parts(shows),
        plans=_parts(plans),
        chronic=chronic,
        **given,  # type: ignore[arg-type] # the remaining fields, by name
    )


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split("|") if part.strip())
