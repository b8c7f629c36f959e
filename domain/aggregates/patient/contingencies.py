"""If… then: what the leaving doctor would do, as words and, where possible, as a threshold."""

from __future__ import annotations

from typing import ClassVar

from releve.domain.events import Payload
from releve.domain.values import Threshold


class ContingencySet(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """If this, then that, by whom; after ``valid_until`` it still fires, marked expired."""

    topic: ClassVar[str] = "patient.contingency-set"

    condition: str
    action: str
    threshold: Threshold | None = None
    who: str | None = None
    valid_until: str | None = None
