"""How to reach the patient, and who speaks for them."""

from __future__ import annotations

from typing import ClassVar

from releve.domain.aggregates.patient.record import Fold, file
from releve.domain.events import Payload
from releve.domain.values import (
    RelatedPerson,
)

# Events: the storage format. Never rename, retype or reuse a field; see domain/upcasting.py.


class ContactDetailsChanged(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """Phones, address, trusted person and legal representatives, as they are from now on."""

    topic: ClassVar[str] = "patient.contact-details-changed"

    phones: tuple[tuple[str, str], ...] = ()
    address: str = ""
    trusted_person: RelatedPerson | None = None
    legal_representatives: tuple[RelatedPerson, ...] = ()


# State

FOLDS: dict[type[Payload], Fold] = {
    ContactDetailsChanged: file,
}
