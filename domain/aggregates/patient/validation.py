"""Imported lines: "à valider" until a doctor accepts or refuses them."""

from __future__ import annotations

from typing import ClassVar, Literal

from releve.domain.aggregates.patient.record import Fold, file
from releve.domain.events import Payload

# Events: the storage format. Never rename, retype or reuse a field; see domain/upcasting.py.


class EntryValidated(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """A doctor accepted or refused an imported line (the envelope's target)."""

    topic: ClassVar[str] = "patient.entry-validated"

    verdict: Literal["accepted", "refused"]


# State

FOLDS: dict[type[Payload], Fold] = {
    EntryValidated: file,
}
