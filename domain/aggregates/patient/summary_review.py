"""Reviewing the summary: somebody read it through, and it stands."""

from __future__ import annotations

from typing import ClassVar

from releve.domain.aggregates.patient.record import Fold, file
from releve.domain.events import Payload

# Events: the storage format. Never rename, retype or reuse a field; see domain/upcasting.py.


class SummaryReviewed(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """The slots named (all where none is) were read; the next review is due on a day."""

    topic: ClassVar[str] = "patient.summary-reviewed"

    slots: tuple[str, ...] = ()
    next_review: str | None = None


# State

FOLDS: dict[type[Payload], Fold] = {
    SummaryReviewed: file,
}
