"""The briefing's rules as data: tiers, limits, delays, critical values; one signed file a release.

Which signal puts a patient in which tier, how many lines a card shows, which laboratory values are
critical centre-wide are medical policy. They stand in ``rules/<release>.json``, never edited after
it was activated, beside ``<release>.sig``: a signature of the maintainer's key over its bytes. An
edition keeps the name of the release that ranked it. No clinician has reviewed the releases
shipped here, and each says so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Final, Literal

import msgspec

from releve.security.errors import Tampered
from releve.security.signed_release import verify_release

Signal = Literal[
    "incomplete", "unstable", "contingency-met", "overdue-with-harm",
    "contingency-not-comparable", "watcher", "overdue", "due-in-stint", "no-deadline", "changed",
    "critical-result", "result-unit-error", "result-to-review", "result-late", "result-to-inform",
    "corrected-result", "question-to-me", "to-validate", "to-validate-danger", "booked-changed",
    "deceased",
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
    results: int = 3
    questions: int = 2
    opinions: int = 1


class PageLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much the two-minute page may say; ``shown`` rows per tier, the rest is counted."""

    words: int
    shown: dict[str, int]
    appointments: int = 6
    visits: int = 4
    since: int = 5
    messages: int = 2


class Rise(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A value at least ``ratio`` times the lowest one of the ``days`` before it."""

    ratio: str
    days: int


class CriticalValue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A value that is critical for anybody, before any contingency of one patient.

    ``below`` and ``above`` are exclusive and in ``unit``; ``units`` says what a value in each
    accepted unit is multiplied by to be in it. Any other unit is not comparable, which is a signal
    of its own and never "normal".
    """

    label: str
    loinc: tuple[str, ...]
    names: tuple[str, ...] = ()
    """For a line without a code: what its label may call it, without accents or capitals."""
    unit: str = ""
    units: dict[str, str] = {}
    below: str | None = None
    above: str | None = None
    rise: Rise | None = None
    above_reference: bool = False
    """Critical above the laboratory's own reference."""
    positive: tuple[str, ...] = ()
    """Words that say so of a test without a number, without accents or capitals."""


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
    """Patients of one stint that may have to be restated: repeats what the domain decides."""
    corrected_days: int = 14
    """For how many days the reader of a result is told that it was corrected."""
    summary_review_months: dict[str, int] = {}
    """Months after which a summary is to be read again: ``usual``, and ``frail``."""
    frail_age: int = 75
    critical: tuple[CriticalValue, ...] = ()
    flagged: tuple[str, ...] = ()
    """What a laboratory writes beside a value that it holds critical itself, in small letters."""
    flagged_label: str = ""

    def tier_of(self, signals: frozenset[Signal]) -> Tier:
        """The first tier that one of these signals reaches."""
        for rule in self.tiers:
            if signals.intersection(rule.any):
                return rule.tier
        return self.rest.tier

    def titles(self) -> dict[str, str]:
        """French title per tier, in order, as it is shown."""
        titles = {rule.tier: rule.title for rule in (*self.tiers, self.rest)}
        return {tier: _PLAINER.get(title, title) for tier, title in titles.items()}


_PLAINER: Final[Mapping[str, str]] = {"Attendus, du nouveau": "Attendus avec du nouveau"}
"""Titles of signed releases that a reader stumbled over; what ranks is untouched."""
_FOLDER: Final = Path(__file__).parent / "rules"
CURRENT: Final = "2026-11-2"
"""The release that new editions are ranked with, until another is activated."""
SIGNER: Final = "releve-rules+98c635cf+AXgwAPXCSRxqYr8B5UzmQdmhsOyFPMYU/jlqNXAXWRd4"
"""Verifier key of whoever signs releases; the private key is in no repository."""
_BEFORE_SIGNATURES: Final[Mapping[str, str]] = {
    "2026-11": "fbca4dcaafde8f47f41d66ea947724ec5a96b27dea1c35b3b0f17be422266d09",
}
"""Releases older than the signature, by the SHA-256 of their bytes."""


@lru_cache
def load_rules(release: str = CURRENT) -> Rules:
    """One release of the rules, as it was signed.

    Raises:
        FileNotFoundError: this build does not carry that release, or not its signature.
        Tampered: its bytes are not those that were signed.
    """
    content = release_bytes(release)
    pinned = _BEFORE_SIGNATURES.get(release)
    if pinned is None:
        note = (_FOLDER / f"{release}.sig").read_text(encoding="utf-8")
        verify_release(note, SIGNER, release, content)
    elif hashlib.sha256(content).hexdigest() != pinned:
        raise Tampered("a release of the rules is not the one that was shipped")
    return msgspec.json.decode(content, type=Rules)


def in_force(active: str | None) -> str:
    """The release to rank with: the one activated last where this build carries it."""
    return active if active is not None and active in releases() else CURRENT


def release_bytes(release: str) -> bytes:
    """The file of a release, nothing verified; ``rules.release-activated`` keeps its SHA-256.

    Raises:
        FileNotFoundError: this build does not carry that release.
    """
    if release not in releases():
        raise FileNotFoundError("no such release of the rules")
    return (_FOLDER / f"{release}.json").read_bytes()


def releases() -> tuple[str, ...]:
    """The releases that this build carries, by name."""
    return _releases_in(_FOLDER)


@cache
def _releases_in(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in folder.glob("*.json")))
