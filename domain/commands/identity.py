"""Who the patient is: traits, INS, contact details, médecin traitant, ALD, death."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal
from uuid import UUID

from releve.domain.commands.command import (
    ANY_ID,
    DESK,
    DOCTORS,
    MACHINES,
    TEAM,
    Command,
    Target,
)
from releve.domain.events import Role
from releve.domain.values import (
    Identifier,
    IdentityStatus,
    RelatedPerson,
    Sex,
)


class RegisterPatient(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Open an identity with the traits known; a search for the same person came first."""

    name: ClassVar[str] = "register-patient"
    target: ClassVar[Target] = "patient"
    roles: ClassVar[frozenset[Role]] = TEAM | {"ehr", "system"}
    example: ClassVar[Mapping[str, Any]] = {
        "birth_name": "EXEMPLE",
        "first_names": ["Jeanne"],
        "birth_date": "1948-03-02",
        "sex": "female",
        "prior_search": "name",
    }
    creates: ClassVar[bool] = True

    birth_name: str | None = None
    first_names: tuple[str, ...] = ()
    used_name: str | None = None
    used_first_name: str | None = None
    birth_date: str | None = None
    sex: Sex | None = None
    birth_place: str | None = None
    identifiers: tuple[Identifier, ...] = ()
    identity_status: IdentityStatus = "provisoire"
    prior_search: str | None = None


class DeclareMedecinTraitant(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Record that the patient declared the centre, or a person, as médecin traitant."""

    name: ClassVar[str] = "declare-medecin-traitant"
    target: ClassVar[Target] = "patient"
    roles: ClassVar[frozenset[Role]] = TEAM | {"system"}
    example: ClassVar[Mapping[str, Any]] = {
        "kind": "centre",
        "since": "2026-11-23",
        "centre": ANY_ID,
    }

    kind: Literal["centre", "person"] = "centre"
    since: str
    centre: UUID | None = None
    finess: str | None = None
    practitioner: UUID | None = None
    practitioner_name: str | None = None


class ChangeInsStatus(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Say how far the identity was checked against the INS service, and on what proof."""

    name: ClassVar[str] = "change-ins-status"
    target: ClassVar[Target] = "patient"
    roles: ClassVar[frozenset[Role]] = DOCTORS | DESK | {"system"}
    example: ClassVar[Mapping[str, Any]] = {
        "status": "validee",
        "proof": "carte nationale d'identité",
    }

    status: IdentityStatus
    matricule: str | None = None
    system: str | None = None
    """OID of the matricule as a FHIR identifier system (.8 NIR, .9 NIA, .10 test)."""
    proof: str | None = None
    """What was shown: identity card, passport; required from ``validee`` on."""
    service: bool = False
    """The matricule came from the INS service; required for ``recuperee`` and ``qualifiee``."""
    reason: str | None = None


class ChangeContactDetails(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Replace phones, address, trusted person and legal representatives by these."""

    name: ClassVar[str] = "change-contact-details"
    target: ClassVar[Target] = "patient"
    roles: ClassVar[frozenset[Role]] = TEAM | MACHINES
    example: ClassVar[Mapping[str, Any]] = {
        "phones": [["mobile", "+33 6 99 00 00 01"]],
        "address": "3 rue du Lavoir",
        "trusted_person": {"name": "Dominique Exemple", "phone": "+33 6 99 00 00 02"},
    }

    phones: tuple[tuple[str, str], ...] = ()
    """(label, number), the one to call first coming first."""
    address: str = ""
    trusted_person: RelatedPerson | None = None
    legal_representatives: tuple[RelatedPerson, ...] = ()


class EndMedecinTraitant(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Record that the declaration of the médecin traitant ended."""

    name: ClassVar[str] = "end-medecin-traitant"
    target: ClassVar[Target] = "patient"
    roles: ClassVar[frozenset[Role]] = TEAM | {"system"}
    example: ClassVar[Mapping[str, Any]] = {
        "ended": "2026-11-23",
        "reason": "Déménagement",
        "successor": "Un cabinet de la ville",
    }

    ended: str
    reason: str
    successor: str | None = None


class RecordDeath(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Record a death: late results and letters still enter, care acts no longer do."""

    name: ClassVar[str] = "record-death"
    target: ClassVar[Target] = "patient"
    roles: ClassVar[frozenset[Role]] = DOCTORS
    example: ClassVar[Mapping[str, Any]] = {"date": "2026-11-22", "source": "Appel de la famille"}

    date: str
    source: str


class ChangeAldStatus(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Record that a long-term condition (ALD) was granted, renewed or ended.

    The coordinator gives dates only: the number names the disease.
    """

    name: ClassVar[str] = "change-ald-status"
    target: ClassVar[Target] = "patient"
    roles: ClassVar[frozenset[Role]] = DOCTORS | {"coordinator", "ehr"}
    example: ClassVar[Mapping[str, Any]] = {
        "status": "granted",
        "code": "8",
        "starts": "2026-11-23",
        "ends": "2031-11-22",
    }

    status: Literal["granted", "renewed", "ended"]
    code: str | None = None
    """1 to 30, 31 (hors liste) or 32 (polypathologie), article D160-4 CSS."""
    starts: str | None = None
    ends: str | None = None
