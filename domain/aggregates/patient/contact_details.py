"""How to reach the patient, and who speaks for them."""

from __future__ import annotations

import re
from typing import ClassVar

from releve.domain.aggregates.deciding import Context, Fact
from releve.domain.aggregates.patient.record import Fold, Patient, file
from releve.domain.commands import ChangeContactDetails
from releve.domain.errors import Invalid
from releve.domain.events import Payload
from releve.domain.values import RelatedPerson, readable, words

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


def contact_details(patient: Patient) -> ContactDetailsChanged | None:
    """The details in force: the last by clinical time."""
    told = [
        (event.recency, event.payload)
        for event in patient.standing(patient.told(ContactDetailsChanged))
        if isinstance(event.payload, ContactDetailsChanged)
    ]
    return max(told, key=lambda one: one[0])[1] if told else None


# Decisions

PHONES = 10
"""Numbers that one patient may have."""

_PHONE = re.compile(r"\+?[0-9][0-9 .()/-]{1,28}", re.ASCII)


def change_contact_details(
    patient: Patient, command: ChangeContactDetails, ctx: Context
) -> tuple[Fact, ...]:
    """All details at once, readable and callable; the same as before makes no event."""
    if len(command.phones) > PHONES:
        raise Invalid("invalid-field", field="phones", why=f"Au plus {PHONES} numéros.")
    details = ContactDetailsChanged(
        phones=tuple(
            (
                readable(label, field=f"phones[{place}][0]", limit=40),
                _phone(number, f"phones[{place}][1]"),
            )
            for place, (label, number) in enumerate(command.phones)
        ),
        address=readable(command.address, field="address", limit=400),
        trusted_person=None
        if command.trusted_person is None
        else _person(command.trusted_person, "trusted_person"),
        legal_representatives=tuple(
            _person(person, f"legal_representatives[{place}]")
            for place, person in enumerate(command.legal_representatives)
        ),
    )
    if details == (contact_details(patient) or ContactDetailsChanged()):
        return ()
    return (Fact(details),)


def _phone(number: str, field: str) -> str:
    text = number.strip()
    if not _PHONE.fullmatch(text) or not 2 <= sum(map(str.isdigit, text)) <= 15:
        raise Invalid("invalid-field", field=field, why="Ce numéro ne peut pas être appelé.")
    return text


def _person(person: RelatedPerson, field: str) -> RelatedPerson:
    return RelatedPerson(
        name=words(person.name, field=f"{field}.name", limit=160),
        phone=_phone(person.phone, f"{field}.phone") if person.phone.strip() else "",
        relationship=readable(person.relationship, field=f"{field}.relationship", limit=80),
    )
