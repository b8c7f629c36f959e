"""Who the patient is: traits as known, declared doctor. Events, state and decisions on one page."""

from __future__ import annotations

from typing import ClassVar, Literal
from uuid import UUID

from releve.domain.events import Payload
from releve.domain.values import Identifier, IdentityStatus, Sex


class Registered(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """An identity was opened with the traits known; what is missing stays missing."""

    topic: ClassVar[str] = "patient.registered"

    birth_name: str | None = None
    first_names: tuple[str, ...] = ()
    used_name: str | None = None
    used_first_name: str | None = None
    birth_date: str | None = None
    sex: Sex | None = None
    birth_place: str | None = None
    """INSEE code of the birthplace, five characters."""
    identifiers: tuple[Identifier, ...] = ()
    identity_status: IdentityStatus = "provisoire"
    prior_search: str | None = None
    """How a prior search was made (``blind-index``, ``name``); required at the doors."""


class MedecinTraitantDeclared(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """The patient declared a médecin traitant: the centre itself, or a person."""

    topic: ClassVar[str] = "patient.medecin-traitant-declared"

    kind: Literal["centre", "person"]
    since: str
    centre: UUID | None = None
    finess: str | None = None
    practitioner: UUID | None = None
    name: str | None = None
