"""Value objects: each rejects at construction what cannot be what it claims."""

from __future__ import annotations

import msgspec


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
