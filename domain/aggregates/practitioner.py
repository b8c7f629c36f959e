"""Practitioner (RPPS): who the people are that write on records."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import ClassVar
from uuid import UUID

from releve.domain.aggregates.deciding import Context, Fact, refuse
from releve.domain.aggregates.folding import Folded
from releve.domain.commands import (
    Command,
    GrantRole,
    OnboardPractitioner,
    RevokeRole,
    SuspendPractitioner,
    VerifyPractitioner,
)
from releve.domain.errors import Invalid
from releve.domain.events import Event, Payload
from releve.domain.values import PartialDate, Rpps, readable, words

# Events: the storage format. Never rename, retype or reuse a field; see domain/upcasting.py.


class PractitionerOnboarded(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """A practitioner or another member of a centre's team was made known."""

    topic: ClassVar[str] = "practitioner.onboarded"

    name: str
    given: str
    rpps: str | None = None
    title: str = "Dr"
    qualification: str = ""
    role: str = "doctor"


class PractitionerVerified(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """The right to practise was checked."""

    topic: ClassVar[str] = "practitioner.verified"

    proof: str
    rpps: str | None = None


class PractitionerSuspended(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """No door opens for them from now on, for the envelope's reason, until verified again."""

    topic: ClassVar[str] = "practitioner.suspended"


class RoleGranted(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """A standing role at a centre."""

    topic: ClassVar[str] = "practitioner.role-granted"

    role: str
    centre: UUID
    until: str | None = None


class RoleRevoked(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """A standing role at a centre was taken back, for the envelope's reason."""

    topic: ClassVar[str] = "practitioner.role-revoked"

    role: str
    centre: UUID


# State


@dataclass(slots=True, kw_only=True)
class Practitioner(Folded):
    """One member of a team as their events tell it."""

    name: str
    given: str
    title: str
    role: str
    rpps: str | None = None
    verified: bool = False
    suspended: bool = False
    roles: dict[tuple[str, UUID], str | None] = field(default_factory=dict)
    """Standing roles by (role, centre), with their last day."""


def fold(practitioner: Practitioner | None, events: Iterable[Event]) -> Practitioner | None:
    """``practitioner`` after ``events``; ``practitioner`` itself is changed."""
    for event in events:
        payload = event.payload
        if isinstance(payload, PractitionerOnboarded):
            practitioner = Practitioner(
                id=event.originator_id,
                name=payload.name,
                given=payload.given,
                title=payload.title,
                role=payload.role,
                rpps=payload.rpps,
            )
        if practitioner is None:
            continue
        match payload:
            case PractitionerVerified():
                practitioner.verified, practitioner.suspended = True, False
                practitioner.rpps = payload.rpps or practitioner.rpps
            case PractitionerSuspended():
                practitioner.suspended = True
            case RoleGranted():
                practitioner.roles[payload.role, payload.centre] = payload.until
            case RoleRevoked():
                practitioner.roles.pop((payload.role, payload.centre), None)
            case _:
                pass
        practitioner.passed(event)
    return practitioner


# Decisions


def decide(practitioner: Practitioner | None, command: Command, ctx: Context) -> tuple[Fact, ...]:
    """The facts that ``command`` makes of ``practitioner``, or the reason why it makes none."""
    if isinstance(command, OnboardPractitioner):
        return onboard(practitioner, command)
    if practitioner is None:
        raise TypeError(f"{command.name} needs a practitioner")
    match command:
        case VerifyPractitioner():
            return verify(practitioner, command)
        case SuspendPractitioner():
            return suspend(practitioner, command)
        case GrantRole():
            return grant_role(practitioner, command, ctx)
        case RevokeRole():
            return revoke_role(practitioner, command)
        case _:
            raise TypeError(f"{command.name} is not a practitioner's command")


def onboard(practitioner: Practitioner | None, command: OnboardPractitioner) -> tuple[Fact, ...]:
    """Named, and with a valid RPPS where one is given."""
    if practitioner is not None:
        raise refuse(
            "already-onboarded",
            "Cette personne est déjà connue.",
            "Une fiche se crée une seule fois.",
            "Relire la fiche.",
        )
    return (
        Fact(
            PractitionerOnboarded(
                name=words(command.family, field="family", limit=80),
                given=words(command.given, field="given", limit=80),
                rpps=None if command.rpps is None else str(Rpps(command.rpps)),
                title=readable(command.title, field="title", limit=20),
                qualification=readable(command.qualification, field="qualification", limit=160),
                role=command.role,
            )
        ),
    )


def verify(practitioner: Practitioner, command: VerifyPractitioner) -> tuple[Fact, ...]:
    """With its proof; a number given again is the one known. Ends a suspension."""
    rpps = None if command.rpps is None else str(Rpps(command.rpps))
    if rpps is not None and practitioner.rpps not in (None, rpps):
        raise refuse(
            "other-rpps",
            "Cette vérification ne peut pas être enregistrée.",
            "Un autre numéro RPPS est connu pour cette personne.",
            "Vérifier le numéro ; une autre personne a sa propre fiche.",
            field="rpps",
        )
    return (
        Fact(PractitionerVerified(proof=words(command.proof, field="proof", limit=400), rpps=rpps)),
    )


def suspend(practitioner: Practitioner, command: SuspendPractitioner) -> tuple[Fact, ...]:
    """For a reason; once, until verified again."""
    reason = words(command.reason, field="reason", limit=400)
    if practitioner.suspended:
        return ()
    return (Fact(PractitionerSuspended(), reason=reason),)


STANDING_ROLES = frozenset(
    {"referent", "nurse", "coordinator", "secretary", "auditor", "dpo", "administrator"}
)
"""Roles that are held at a centre; a doctor's and a trainee's rights come from stints alone."""


def grant_role(practitioner: Practitioner, command: GrantRole, ctx: Context) -> tuple[Fact, ...]:
    """A role that is held at a centre, until a day to come or without end."""
    if command.role not in STANDING_ROLES:
        raise refuse(
            "not-a-standing-role",
            "Ce rôle ne s'attribue pas à un centre.",
            "Un médecin ou un interne tient ses droits de ses séjours.",
            "Prévoir un séjour.",
            field="role",
        )
    if practitioner.suspended:
        raise refuse(
            "suspended",
            "Ce rôle ne peut pas être attribué.",
            "Cette personne est suspendue.",
            "Vérifier d'abord son droit d'exercer.",
        )
    until = None
    if command.until is not None:
        until = PartialDate(command.until, field="until")
        if len(until) != 10 or until.first_day < ctx.today:
            raise Invalid("invalid-field", field="until", why="Un jour à venir, AAAA-MM-JJ.")
    held = (command.role, command.centre)
    granted = None if until is None else str(until)
    if held in practitioner.roles and practitioner.roles[held] == granted:
        return ()
    return (Fact(RoleGranted(role=command.role, centre=command.centre, until=granted)),)


def revoke_role(practitioner: Practitioner, command: RevokeRole) -> tuple[Fact, ...]:
    """A role that is held: granted at that centre, or the one the person was made known with."""
    held = (command.role, command.centre)
    if held not in practitioner.roles and command.role != practitioner.role:
        raise refuse(
            "role-not-held",
            "Ce rôle ne peut pas être retiré.",
            "Cette personne ne l'a pas dans ce centre.",
            "Relire ses rôles.",
            field="role",
        )
    return (
        Fact(
            RoleRevoked(role=command.role, centre=command.centre),
            reason=words(command.reason, field="reason", limit=400),
        ),
    )
