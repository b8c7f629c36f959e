"""The briefing's rules as data: tiers, limits, delays; one file per release, never edited after.

Which signal puts a patient in which tier, how many lines a card shows and after how many days a
one-liner is greyed are medical policy. They stand in ``rules/<release>.json``; an edition keeps the
name of the release that ranked it. No clinician has reviewed the release shipped here, and its file
says so.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Final, Literal

import msgspec

Signal = Literal[
    "incomplete", "unstable", "contingency-met", "overdue-with-harm",
    "contingency-not-comparable", "watcher", "overdue", "due-in-stint", "no-deadline", "changed",
]  # fmt: skip
"""What can be said of a patient for ranking."""

Tier = Literal["T0", "T1", "T2", "T3", "T4", "T5"]


class TierRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tier is reached by any one of its signals."""

    tier: Tier
    title: str
    any: tuple[Signal, ...] = ()


class CardLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much one card may say: lines per section, words, characters, days."""

    words: int
    one_liner_characters: int
    actions: int
    contingencies: int
    pending: int
    treatment_changes: int
    vigilance: int
    allergies: int
    line_words: int
    treatment_days: int


class PageLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much the two-minute page may say; ``shown`` rows per tier, the rest is counted."""

    words: int
    shown: dict[str, int]


class Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One release of the rules."""

    release: str
    reviewed_by: str
    tiers: tuple[TierRule, ...]
    rest: TierRule
    card: CardLimits
    page: PageLimits
    stale_days: dict[str, int]
    read_back_limit: int

    def tier_of(self, signals: frozenset[Signal]) -> Tier:
        """The first tier that one of these signals reaches."""
        for rule in self.tiers:
            if signals.intersection(rule.any):
                return rule.tier
        return self.rest.tier

    def titles(self) -> dict[str, str]:
        """French title per tier, in order."""
        return {rule.tier: rule.title for rule in (*self.tiers, self.rest)}


_FOLDER: Final = Path(__file__).parent / "rules"
CURRENT: Final = "2026-11"
"""The release that new editions are ranked with."""


@lru_cache
def load_rules(release: str = CURRENT) -> Rules:
    """One release of the rules.

    Raises:
        FileNotFoundError: this build does not carry that release.
    """
    return msgspec.json.decode((_FOLDER / f"{release}.json").read_bytes(), type=Rules)
