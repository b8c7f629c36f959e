"""A record with an order of the laboratory, and what its results come to."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from releve.domain.aggregates.patient.identity import Registered
from releve.domain.aggregates.patient.open_items import ItemOpened, open_items
from releve.domain.aggregates.patient.results import (
    InvestigationOrdered,
    ResultReceived,
    ResultReviewed,
    current_results,
    stage_of,
)
from releve.domain.commands import ImportedEntry, ImportRecord
from support.given import entry

REGISTERED = Registered(birth_name="EXEMPLE")
ORDER = InvestigationOrdered(
    kind="laboratory", text="Ionogramme", expected_by="2026-11-26", item=entry(3)
)
"""Entry 2, whose item is entry 3."""
ORDER_ITEM = ItemOpened(kind="result", text="Ionogramme", due="2026-11-26", follows=entry(2))
ORDERED = (REGISTERED, ORDER, ORDER_ITEM)
REVIEWED = ResultReviewed(verdict="normal")


def items(state: Any) -> list[UUID]:
    """Ids of the items that are open."""
    return [event.event_id for event in open_items(state)]


def stages(state: Any) -> list[str]:
    """How far each current result has come."""
    return [stage_of(state, event) for event in current_results(state)]


def imported(
    *results: ResultReceived, at: str = "2026-11-24", source_id: str | None = None
) -> ImportRecord:
    """An import of these results."""
    return ImportRecord(
        entries=tuple(
            ImportedEntry(payload=each, occurred_at=at, source_id=source_id) for each in results
        )
    )
