"""Offers: an item changes hands only when somebody accepts it."""

from __future__ import annotations

from typing import ClassVar

from releve.domain.aggregates.patient.record import Fold, file
from releve.domain.events import Payload
from releve.domain.values import (
    Owner,
)

# Events: the storage format. Never rename, retype or reuse a field; see domain/upcasting.py.


class ItemOffered(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """An item (the envelope's target) was offered; its owner keeps it until somebody accepts."""

    topic: ClassVar[str] = "patient.item-offered"

    to: Owner
    to_name: str = ""
    message: str = ""


class ItemAccepted(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """Whom an item (the envelope's target) was offered to took it."""

    topic: ClassVar[str] = "patient.item-accepted"

    owner: Owner
    """Who holds it from now on: the person, bound by the stint they accepted in, or the role."""


class ItemDeclined(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """An offer of an item (the envelope's target) was declined, for the envelope's reason."""

    topic: ClassVar[str] = "patient.item-declined"


# State

FOLDS: dict[type[Payload], Fold] = {
    ItemOffered: file,
    ItemAccepted: file,
    ItemDeclined: file,
}
