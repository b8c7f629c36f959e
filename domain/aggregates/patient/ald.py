"""ALD: long-term conditions that the insurer covers in full, with their dates."""

from __future__ import annotations

from typing import ClassVar, Literal

from releve.domain.aggregates.patient.record import Fold, file
from releve.domain.events import Payload

# Events: the storage format. Never rename, retype or reuse a field; see domain/upcasting.py.


class AldStatusChanged(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """An ALD was granted, renewed or ended; the number names the disease."""

    topic: ClassVar[str] = "patient.ald-status-changed"

    status: Literal["granted", "renewed", "ended"]
    code: str | None = None
    starts: str | None = None
    ends: str | None = None


# State

FOLDS: dict[type[Payload], Fold] = {
    AldStatusChanged: file,
}
