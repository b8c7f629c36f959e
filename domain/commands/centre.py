"""What runs a centre: its people, its roster and hours, stints, the rules in force."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal
from uuid import UUID

from releve.domain.commands.command import (
    ANY_ID,
    OFFICE,
    PRESCRIBERS,
    Command,
    Target,
)
from releve.domain.events import Role
from releve.domain.values import (
    ExpectedSource,
    NamedPerson,
    OpeningSlot,
    Session,
    StintMode,
)

REFERENT_EXAMPLE: Mapping[str, Any] = {"name": "Dr Camille Référent", "phone": "+33 5 99 00 00 01"}


class OpenCentre(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Open a health centre, with its référent and an on-call chain of at least two people."""

    name: ClassVar[str] = "open-centre"
    target: ClassVar[Target] = "centre"
    roles: ClassVar[frozenset[Role]] = OFFICE
    example: ClassVar[Mapping[str, Any]] = {
        "centre_name": "Centre de démonstration",
        "finess": "990000010",
        "referent": REFERENT_EXAMPLE,
        "on_call_chain": [
            REFERENT_EXAMPLE,
            {"name": "Dr Alix Second", "phone": "+33 5 99 00 00 02"},
        ],
    }
    creates: ClassVar[bool] = True

    centre_name: str
    finess: str
    referent: NamedPerson
    on_call_chain: tuple[NamedPerson, ...]
    zone: str = "Europe/Paris"
    address: str = ""
    phones: tuple[tuple[str, str], ...] = ()


class OnboardPractitioner(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Make a practitioner, or another member of a team, known."""

    name: ClassVar[str] = "onboard-practitioner"
    target: ClassVar[Target] = "practitioner"
    roles: ClassVar[frozenset[Role]] = OFFICE
    example: ClassVar[Mapping[str, Any]] = {
        "family": "Exemple",
        "given": "Alix",
        "qualification": "Médecine générale",
    }
    creates: ClassVar[bool] = True

    family: str
    given: str
    rpps: str | None = None
    title: str = "Dr"
    qualification: str = ""
    role: Role = "doctor"


class PlanStint(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Plan one doctor's time at one centre (RFC 3339 with offset)."""

    name: ClassVar[str] = "plan-stint"
    target: ClassVar[Target] = "stint"
    roles: ClassVar[frozenset[Role]] = OFFICE
    example: ClassVar[Mapping[str, Any]] = {
        "practitioner": ANY_ID,
        "practitioner_name": "Dr Alix Exemple",
        "centre": ANY_ID,
        "starts_at": "2026-11-23T08:00:00+01:00",
        "ends_at": "2026-11-28T13:00:00+01:00",
    }
    creates: ClassVar[bool] = True

    practitioner: UUID
    practitioner_name: str
    centre: UUID
    starts_at: str
    ends_at: str
    mode: StintMode = "volontaire"
    pattern: tuple[Session, ...] = ()
    """On which days of the week the doctor comes; empty for all along."""


class StartStint(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Open the stint's window: the doctor arrived and the RPPS was checked."""

    name: ClassVar[str] = "start-stint"
    target: ClassVar[Target] = "stint"
    roles: ClassVar[frozenset[Role]] = OFFICE
    example: ClassVar[Mapping[str, Any]] = {"rpps_verified": True}

    rpps_verified: bool = True


class EndStint(Command, frozen=True, kw_only=True, omit_defaults=True):
    """End the stint; what it owned falls to the doctor in post, with no other event."""

    name: ClassVar[str] = "end-stint"
    target: ClassVar[Target] = "stint"
    roles: ClassVar[frozenset[Role]] = OFFICE
    example: ClassVar[Mapping[str, Any]] = {"cause": "planned"}

    cause: Literal["planned", "cut-short"] = "planned"


class IssueBriefing(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Issue an edition of the stint's briefing (spoken by the briefing itself, not by a door)."""

    name: ClassVar[str] = "issue-briefing"
    target: ClassVar[Target] = "stint"
    roles: ClassVar[frozenset[Role]] = frozenset({"system", "doctor", "referent", "coordinator"})
    example: ClassVar[Mapping[str, Any]] = {
        "edition": ANY_ID,
        "manifest": "00" * 32,
        "position": 0,
        "rule_release": "2026-11",
        "patients": 12,
    }
    public: ClassVar[bool] = False

    edition: UUID
    manifest: str
    position: int
    rule_release: str
    patients: int


class OpenBriefing(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Record that the incoming doctor opened an edition."""

    name: ClassVar[str] = "open-briefing"
    target: ClassVar[Target] = "stint"
    roles: ClassVar[frozenset[Role]] = PRESCRIBERS
    example: ClassVar[Mapping[str, Any]] = {"edition": ANY_ID}

    edition: UUID
    device: str | None = None


class ReviseStint(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Confirm, extend or cut short a planned stint; what is left out stays."""

    name: ClassVar[str] = "revise-stint"
    target: ClassVar[Target] = "stint"
    roles: ClassVar[frozenset[Role]] = OFFICE
    example: ClassVar[Mapping[str, Any]] = {
        "ends_at": "2026-11-29T20:00:00+01:00",
        "reason": "Prolongé d'un jour",
    }

    reason: str
    starts_at: str | None = None
    ends_at: str | None = None
    confirmed: bool | None = None
    pattern: tuple[Session, ...] | None = None
    """The rhythm from now on; empty for all along."""


class CancelStint(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Cancel a stint before it starts."""

    name: ClassVar[str] = "cancel-stint"
    target: ClassVar[Target] = "stint"
    roles: ClassVar[frozenset[Role]] = OFFICE
    example: ClassVar[Mapping[str, Any]] = {"reason": "Désistement"}

    reason: str


class CloseHandover(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Finish the stint's handovers: how many patients, how many items stay, a word to all."""

    name: ClassVar[str] = "close-handover"
    target: ClassVar[Target] = "stint"
    roles: ClassVar[frozenset[Role]] = PRESCRIBERS
    example: ClassVar[Mapping[str, Any]] = {
        "patients": 7,
        "items_left": 12,
        "message": "Le laboratoire appelle après 18 h",
    }

    patients: int
    items_left: int
    message: str = ""


class TakeWatch(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Take over: the incoming doctor answers for the centre's patients from now on."""

    name: ClassVar[str] = "take-watch"
    target: ClassVar[Target] = "stint"
    roles: ClassVar[frozenset[Role]] = PRESCRIBERS
    example: ClassVar[Mapping[str, Any]] = {"first_action": "J'appelle d'abord le laboratoire"}

    edition: UUID | None = None
    """The briefing that was read."""
    first_action: str = ""
    question: str = ""


class AddSite(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Add a place of care to the centre, such as an EHPAD."""

    name: ClassVar[str] = "add-site"
    target: ClassVar[Target] = "centre"
    roles: ClassVar[frozenset[Role]] = OFFICE
    example: ClassVar[Mapping[str, Any]] = {
        "site_name": "EHPAD de l'Exemple",
        "kind": "ehpad",
        "address": "2 chemin du Parc",
    }

    site_name: str
    kind: Literal["ehpad", "annexe", "home-care", "other"]
    address: str = ""
    finess: str | None = None
    phone: str = ""


class ChangePolicy(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Set opening hours and the sources that documents are expected from."""

    name: ClassVar[str] = "change-policy"
    target: ClassVar[Target] = "centre"
    roles: ClassVar[frozenset[Role]] = OFFICE
    example: ClassVar[Mapping[str, Any]] = {
        "opening": [{"weekday": 1, "opens": "08:30", "closes": "12:30"}],
        "expected_sources": [{"system": "Laboratoire de l'exemple", "within_hours": 24}],
    }

    opening: tuple[OpeningSlot, ...] = ()
    expected_sources: tuple[ExpectedSource, ...] = ()


class ChangeRoster(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Replace the référent, the on-call chain and the coordinators by these."""

    name: ClassVar[str] = "change-roster"
    target: ClassVar[Target] = "centre"
    roles: ClassVar[frozenset[Role]] = OFFICE
    example: ClassVar[Mapping[str, Any]] = {
        "referent": REFERENT_EXAMPLE,
        "on_call_chain": [
            REFERENT_EXAMPLE,
            {"name": "Dr Alix Second", "phone": "+33 5 99 00 00 02"},
        ],
        "coordinators": [{"name": "Mme Noor Exemple", "phone": "+33 5 99 00 00 03"}],
    }

    referent: NamedPerson
    on_call_chain: tuple[NamedPerson, ...]
    coordinators: tuple[NamedPerson, ...] = ()


class RecordClosure(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Record days on which the centre is closed."""

    name: ClassVar[str] = "record-closure"
    target: ClassVar[Target] = "centre"
    roles: ClassVar[frozenset[Role]] = OFFICE
    example: ClassVar[Mapping[str, Any]] = {
        "first_day": "2026-12-25",
        "last_day": "2026-12-25",
        "reason": "Jour férié",
    }

    first_day: str
    last_day: str
    reason: str


class RecordGap(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Record that no doctor is in post for some days: the référent answers."""

    name: ClassVar[str] = "record-gap"
    target: ClassVar[Target] = "centre"
    roles: ClassVar[frozenset[Role]] = OFFICE
    example: ClassVar[Mapping[str, Any]] = {
        "first_day": "2026-12-28",
        "last_day": "2027-01-03",
        "reason": "Aucun volontaire",
    }

    first_day: str
    last_day: str
    reason: str


class VerifyPractitioner(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Record that a practitioner's right to practise was checked, and how."""

    name: ClassVar[str] = "verify-practitioner"
    target: ClassVar[Target] = "practitioner"
    roles: ClassVar[frozenset[Role]] = OFFICE
    example: ClassVar[Mapping[str, Any]] = {"proof": "Annuaire Santé, inscription à l'Ordre"}

    proof: str
    rpps: str | None = None


class SuspendPractitioner(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Suspend a practitioner: no door opens for them, whatever their stints."""

    name: ClassVar[str] = "suspend-practitioner"
    target: ClassVar[Target] = "practitioner"
    roles: ClassVar[frozenset[Role]] = OFFICE
    example: ClassVar[Mapping[str, Any]] = {"reason": "Inscription à l'Ordre interrompue"}

    reason: str


class GrantRole(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Give somebody a standing role at a centre."""

    name: ClassVar[str] = "grant-role"
    target: ClassVar[Target] = "practitioner"
    roles: ClassVar[frozenset[Role]] = OFFICE
    example: ClassVar[Mapping[str, Any]] = {"role": "nurse", "centre": ANY_ID}

    role: Role
    centre: UUID
    until: str | None = None


class RevokeRole(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Take a standing role back."""

    name: ClassVar[str] = "revoke-role"
    target: ClassVar[Target] = "practitioner"
    roles: ClassVar[frozenset[Role]] = OFFICE
    example: ClassVar[Mapping[str, Any]] = {"role": "nurse", "centre": ANY_ID, "reason": "Départ"}

    role: Role
    centre: UUID
    reason: str


class ActivateRulesRelease(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Put a signed release of the rules in force, from its file."""

    name: ClassVar[str] = "activate-rules-release"
    target: ClassVar[Target] = "rules"
    roles: ClassVar[frozenset[Role]] = frozenset({"administrator", "system"})
    example: ClassVar[Mapping[str, Any]] = {
        "release": "2026-11-2",
        "sha256": "00" * 32,
        "signer": "releve-rules+00000000+AA",
        "reviewed_by": "Non relu par un clinicien.",
    }
    creates: ClassVar[bool] = True
    public: ClassVar[bool] = False

    release: str
    sha256: str
    """Of the release's bytes, as signed."""
    signer: str
    """Verifier key whose signature was checked."""
    reviewed_by: str
