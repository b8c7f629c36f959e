"""Open items: what must still happen, by when, and who answers for it at every position."""

from __future__ import annotations

from typing import ClassVar, Literal
from uuid import UUID

import msgspec

from releve.domain.events import Payload

ItemKind = Literal["result", "call", "review", "referral", "renewal", "monitoring", "admin", "other"]
OwnerRole = Literal["medecin_en_poste", "referent", "coordinator"]


class Owner(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A role at the centre, or a person who accepted (with the stint that binds them)."""

    role: OwnerRole = "medecin_en_poste"
    person: UUID | None = None
    stint: UUID | None = None


class ItemOpened(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """Something must still happen. ``due`` is a date, or ``no_deadline`` says so explicitly."""

    topic: ClassVar[str] = "patient.item-opened"

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
