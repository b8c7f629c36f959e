"""Measures: vitals, scores, results that arrive as numbers."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from releve.domain.events import Payload
from releve.domain.values import Concept, Quantity


class Component(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One part of a measure that has several, such as the two pressures of a blood pressure."""

    code: Concept
    value: Quantity


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
