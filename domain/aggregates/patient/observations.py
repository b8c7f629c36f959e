"""Measures: vitals, scores, results that arrive as numbers."""

from __future__ import annotations

from typing import ClassVar

from releve.domain.events import Payload
from releve.domain.values import Component, Concept, Quantity


class ObservationRecorded(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """A numeric observation: its code (LOINC when written here), exact decimal, UCUM unit."""

    topic: ClassVar[str] = "patient.observation-recorded"

    code: Concept
    value: Quantity | None = None
    components: tuple[Component, ...] = ()
    status: str = "final"
    category: str | None = None
    method: str | None = None
    interpretation: str | None = None
    confirmed: bool = False
    """Outside its usual range, and its author said so."""
