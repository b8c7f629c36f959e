"""Stint (séjour): one doctor's time at one centre, and the briefing issued for it."""

from __future__ import annotations

from typing import ClassVar, Literal
from uuid import UUID

from releve.domain.events import Payload
from releve.domain.values import StintMode


class StintPlanned(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """A doctor will be at a centre from ``starts_at`` to ``ends_at`` (RFC 3339 with offset)."""

    topic: ClassVar[str] = "stint.planned"

    practitioner: UUID
    practitioner_name: str
    centre: UUID
    starts_at: str
    ends_at: str
    mode: StintMode = "volontaire"


class StintStarted(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """The doctor arrived; the RPPS was checked."""

    topic: ClassVar[str] = "stint.started"

    rpps_verified: bool = False


class StintEnded(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """The stint is over: its ownership lapses here by fold, with no other event."""

    topic: ClassVar[str] = "stint.ended"

    cause: Literal["planned", "cut-short"] = "planned"


class BriefingIssued(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """An edition was issued: its manifest binds every card's sealed bytes (``formats.md`` §2)."""

    topic: ClassVar[str] = "stint.briefing-issued"

    edition: UUID
    number: int
    manifest: str
    """Hex SHA-256 of the edition's manifest."""
    position: int
    rule_release: str
    patients: int


class BriefingOpened(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """The incoming doctor opened an edition."""

    topic: ClassVar[str] = "stint.briefing-opened"

    edition: UUID
    device: str | None = None
