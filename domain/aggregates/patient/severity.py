"""Illness severity: the I of I-PASS."""

from __future__ import annotations

from typing import ClassVar

from releve.domain.events import Payload
from releve.domain.values import Severity


class IllnessSeveritySet(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """How ill the patient is now; after ``review_by`` it keeps its rank, "à réévaluer"."""

    topic: ClassVar[str] = "patient.illness-severity-set"

    severity: Severity
    reason: str = ""
    review_by: str | None = None
