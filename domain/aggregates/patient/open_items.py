"""Open items: what must still happen, by when, and who answers for it at every position."""

from __future__ import annotations

from typing import ClassVar, Literal

from releve.domain.events import Payload
from releve.domain.values import ItemKind, Owner


class ItemOpened(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """Something must still happen. ``due`` is a date, or ``no_deadline`` says so explicitly."""

    topic: ClassVar[str] = "patient.item-opened"
    schema: ClassVar[int] = 2

    kind: ItemKind
    text: str
    owner: Owner = Owner()
    due: str | None = None
    no_deadline: bool = False
    harm_if_late: bool = False
    done_when: str | None = None


class ItemClosed(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """An item (the envelope's target) is done, or no longer needed, with what shows it."""

    topic: ClassVar[str] = "patient.item-closed"

    outcome: Literal["done", "not-needed", "transferred"]
    evidence: str
