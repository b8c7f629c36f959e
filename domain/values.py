"""Value objects: each rejects at construction what cannot be what it claims.

A refusal is an :class:`~releve.domain.errors.Invalid` that names the field and never repeats the
value. What a source sent is kept as it was written: :class:`Coding`, :class:`Concept` and
:class:`Quantity` are storage and refuse nothing; the other types here are what a command written
in this product must satisfy (``docs/domain.md``).
"""

from __future__ import annotations

from typing import Literal
from uuid import UUID

import msgspec

Sex = Literal["male", "female", "other", "unknown"]
IdentityStatus = Literal["provisoire", "recuperee", "validee", "qualifiee"]
Mode = Literal["cabinet", "visite", "ehpad", "tele", "telephone"]
Severity = Literal["stable", "watcher", "unstable"]
"""I-PASS words; shown as stable / à surveiller / instable."""
ItemKind = Literal[
    "result", "call", "review", "referral", "renewal", "monitoring", "admin", "other"
]
OwnerRole = Literal["medecin_en_poste", "referent", "coordinator"]
AbsenceSlot = Literal["allergies", "medications", "problems", "procedures", "devices"]
StintMode = Literal["volontaire", "salarie", "remplacant", "interne"]

ONE_LINER_LIMIT = 160
"""Characters of a line that must be read in a glance (``docs/domain.md``, one-liners)."""


class Coding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One code of one system, as received; never translated, never checked against a list."""

    system: str | None = None
    code: str | None = None
    display: str | None = None
    version: str | None = None


class Concept(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is meant, in words and in every coding that came with it (FHIR CodeableConcept)."""

    text: str
    codings: tuple[Coding, ...] = ()


class Quantity(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A decimal exactly as written, with its UCUM unit."""

    value: str
    unit: str | None = None
    code: str | None = None


class Identifier(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An identifier as received: ``system`` is a FHIR identifier system."""

    system: str
    value: str
    use: str | None = None


class Owner(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A role at the centre, or a person who accepted (with the stint that binds them)."""

    role: OwnerRole = "medecin_en_poste"
    person: UUID | None = None
    stint: UUID | None = None


class Threshold(msgspec.Struct, frozen=True, kw_only=True):
    """A machine-checkable trigger, such as LOINC 2823-3 > 5.5 mmol/L."""

    loinc: str
    comparator: Literal[">", ">=", "<", "<="]
    value: str
    unit: str


class NamedPerson(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A person who can be reached: the practitioner's stream where they have one."""

    name: str
    phone: str
    person: UUID | None = None


class Unmapped(msgspec.Struct, frozen=True, kw_only=True):
    """A part of an import that has no event yet: listed, never dropped. ``path`` is a FHIRPath."""

    path: str
    type: str


class Reaction(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How the allergy showed itself."""

    manifestations: tuple[Concept, ...] = ()
    substance: Concept | None = None
    severity: str | None = None
    onset: str | None = None
    description: str | None = None


class Component(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One part of a measure that has several, such as the two pressures of a blood pressure."""

    code: Concept
    value: Quantity
