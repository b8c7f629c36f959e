"""One briefing edition as kept: frame, cards in order, manifest; it prints the same for ever."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any
from uuid import UUID

import msgspec

from releve.projections.briefing import Card
from releve.projections.briefing_text import Section, as_text, page, page_words, row_json
from releve.projections.edition_frame import REST
from releve.projections.rule_release import Rules, load_rules


@dataclass(frozen=True)
class Edition:
    """One edition as kept: the frame, the cards in order, and what proves them.

    ``cards`` holds the bytes that were issued; None stands for a patient erased since.
    """

    edition: UUID
    stint: UUID
    number: int
    position: int
    rule_release: str
    issued_at: datetime
    head: dict[str, Any]
    patients: tuple[UUID, ...]
    cards: tuple[bytes | None, ...]
    manifest: bytes
    fresh: bool = False
    """True from :meth:`Editions.issue` while ``stint.briefing-issued`` is not known to stand."""

    @property
    def sha256(self) -> str:
        """Hex SHA-256 over all card bytes that can be read, in order."""
        return hashlib.sha256(b"".join(card or b"" for card in self.cards)).hexdigest()

    @property
    def manifest_sha256(self) -> str:
        """Hex SHA-256 of the manifest, as ``stint.briefing-issued`` keeps it."""
        return hashlib.sha256(self.manifest).hexdigest()

    @property
    def rules(self) -> Rules:
        """The release that ranked it."""
        return load_rules(self.rule_release)

    @property
    def ranked(self) -> int:
        """How many patients are in T0 to T4; others have a card because they come today."""
        return sum(count for tier, count in self.head["tiers"].items() if tier != REST)

    def opened(self) -> list[Card | None]:
        """The cards as maps, in order, decoded once; None for an erased patient."""
        return self._opened

    @cached_property
    def _opened(self) -> list[Card | None]:
        return [None if card is None else msgspec.json.decode(card) for card in self.cards]

    def page(self) -> list[Section]:
        """The two-minute page of the edition."""
        return self._page

    @cached_property
    def _page(self) -> list[Section]:
        cards = [card for card in self.opened() if card is not None]
        return page(self.head, cards, self.rules)

    def words(self) -> int:
        """How many words the two-minute page makes its reader read."""
        return page_words(self.head, self.page())

    def to_json(self) -> dict[str, Any]:
        """The contract's object; ``rows`` are the patients of T0 to T4 in order."""
        rows = [
            {"patient": str(patient), "erased": True} if card is None else row_json(card)
            for patient, card in zip(self.patients, self.opened(), strict=True)
            if card is None or card["tier"] != REST
        ]
        return {
            "stint": str(self.stint),
            "edition": str(self.edition),
            "number": self.number,
            "position": self.position,
            "issued_at": self.issued_at.isoformat(),
            "rule_release": self.rule_release,
            "sha256": self.sha256,
            "manifest": self.manifest_sha256,
            "words": self.words(),
            "tiers": self.head["tiers"],
            "t5": self.head["t5"],
            "head": {
                name: self.head[name]
                for name in (
                    "replaces",
                    "colleagues",
                    "alarms",
                    "messages",
                    "since",
                    "last_edition",
                )
                if name in self.head
            },
            "rows": rows,
        }

    def to_text(self) -> str:
        """The edition as plain French text; the same edition always prints the same."""
        return as_text(
            self.head,
            self.opened(),
            self.rules,
            sha256=self.sha256,
            manifest=self.manifest_sha256,
        )
