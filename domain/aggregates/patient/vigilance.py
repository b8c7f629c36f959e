"""Vigilance points: what everybody who acts must keep in mind."""

from __future__ import annotations

from typing import ClassVar

from releve.domain.aggregates.patient.record import Fold, file
from releve.domain.events import Payload

# Events: the storage format. Never rename, retype or reuse a field; see domain/upcasting.py.


class VigilancePointSet(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """One line of at most 160 characters, until a day where one is given."""

    topic: ClassVar[str] = "patient.vigilance-point-set"

    text: str
    until: str | None = None


class VigilancePointLifted(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """A vigilance point (the envelope's target) was lifted, for the envelope's reason."""

    topic: ClassVar[str] = "patient.vigilance-point-lifted"


# State

FOLDS: dict[type[Payload], Fold] = {
    VigilancePointSet: file,
    VigilancePointLifted: file,
}
