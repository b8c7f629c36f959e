"""What every aggregate but the patient keeps of its stream: how far, and which events."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from releve.domain.events import Event


@dataclass(slots=True, kw_only=True)
class Folded:
    """One stream, folded up to ``version``; a request that comes again is known by its events."""

    id: UUID
    version: int = 0
    event_ids: dict[UUID, int] = field(default_factory=dict)
    """Every event of the stream, with its version."""
    last: Event | None = None

    def passed(self, event: Event) -> None:
        """Keep that ``event`` was folded."""
        self.version = event.originator_version
        self.event_ids[event.event_id] = event.originator_version
        self.last = event
