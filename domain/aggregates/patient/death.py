"""Death: what still enters a record afterwards, and what no longer does."""

from __future__ import annotations

from typing import ClassVar

from releve.domain.aggregates.patient.record import Fold, file
from releve.domain.events import Payload

# Events: the storage format. Never rename, retype or reuse a field; see domain/upcasting.py.


class DeathRecorded(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """The patient died on ``date`` (a partial date), as ``source`` says."""

    topic: ClassVar[str] = "patient.death-recorded"

    date: str
    source: str


# State

FOLDS: dict[type[Payload], Fold] = {
    DeathRecorded: file,
}
