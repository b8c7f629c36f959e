"""Practitioner (RPPS): who the people are that write on records."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import ClassVar
from uuid import UUID

from releve.domain.aggregates.deciding import Context, Fact, refuse
from releve.domain.commands import Command, OnboardPractitioner
from releve.domain.events import Event, Payload
from releve.domain.values import Rpps, readable, words

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


@dataclass(slots=True)
class Practitioner:
    """One member of a team as their events tell it."""

    id: UUID
    version: int
    name: str
    given: str
    title: str
    role: str
    rpps: str | None = None
    event_ids: dict[UUID, int] = field(default_factory=dict)
    last: Event | None = None


def fold(practitioner: Practitioner | None, events: Iterable[Event]) -> Practitioner | None:
    """``practitioner`` after ``events``; ``practitioner`` itself is changed."""
    for event in events:
        payload = event.payload
        if isinstance(payload, PractitionerOnboarded):
            practitioner = Practitioner(
                id=event.originator_id,
                version=event.originator_version,
                name=payload.name,
                given=payload.given,
                title=payload.title,
                role=payload.role,
                rpps=payload.rpps,
            )
        if practitioner is not None:
            practitioner.version = event.originator_version
            practitioner.event_ids[event.event_id] = event.originator_version
            practitioner.last = event
    return practitioner


# Decisions


def decide(practitioner: Practitioner | None, command: Command, ctx: Context) -> tuple[Fact, ...]:
    """The facts that ``command`` makes of ``practitioner``, or the reason why it makes none."""
    if isinstance(command, OnboardPractitioner):
        return onboard(practitioner, command)
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
