"""Health centre (FINESS): it does not open without a référent and a chain of two named people."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import ClassVar, Literal
from uuid import UUID

from releve.domain.aggregates.deciding import Context, Fact, refuse
from releve.domain.commands import Command, OpenCentre
from releve.domain.events import Event, Payload
from releve.domain.values import (
    ExpectedSource,
    Finess,
    NamedPerson,
    OpeningSlot,
    readable,
    time_zone,
    words,
)

# Events: the storage format. Never rename, retype or reuse a field; see domain/upcasting.py.


class CentreOpened(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """A centre opened: FINESS, time zone, référent médical and on-call chain."""

    topic: ClassVar[str] = "centre.opened"

    name: str
    finess: str
    referent: NamedPerson
    on_call_chain: tuple[NamedPerson, ...]
    zone: str = "Europe/Paris"
    address: str = ""
    phones: tuple[tuple[str, str], ...] = ()
    """Local numbers as (label, number): SAMU, laboratory, pharmacy."""


class SiteAdded(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """The centre also gives care there, such as in an EHPAD."""

    topic: ClassVar[str] = "centre.site-added"

    name: str
    kind: Literal["ehpad", "annexe", "home-care", "other"]
    address: str = ""
    finess: str | None = None
    phone: str = ""


class PolicyChanged(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """Opening hours and expected sources, as they are from now on."""

    topic: ClassVar[str] = "centre.policy-changed"

    opening: tuple[OpeningSlot, ...] = ()
    expected_sources: tuple[ExpectedSource, ...] = ()


class RosterChanged(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """Référent, on-call chain and coordinators, as they are from now on."""

    topic: ClassVar[str] = "centre.roster-changed"

    referent: NamedPerson
    on_call_chain: tuple[NamedPerson, ...]
    coordinators: tuple[NamedPerson, ...] = ()


class ClosureRecorded(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """The centre is closed on these days, first and last included."""

    topic: ClassVar[str] = "centre.closure-recorded"

    first_day: str
    last_day: str
    reason: str


class GapRecorded(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """No doctor is in post on these days, first and last included: the référent answers."""

    topic: ClassVar[str] = "centre.gap-recorded"

    first_day: str
    last_day: str
    reason: str


# State


@dataclass(slots=True)
class HealthCentre:
    """One centre as its events tell it; ``referent`` answers when no doctor is in post."""

    id: UUID
    version: int
    name: str
    finess: str
    referent: NamedPerson
    on_call_chain: tuple[NamedPerson, ...]
    zone: str
    event_ids: dict[UUID, int] = field(default_factory=dict)
    last: Event | None = None


def fold(centre: HealthCentre | None, events: Iterable[Event]) -> HealthCentre | None:
    """``centre`` after ``events``; ``centre`` itself is changed."""
    for event in events:
        payload = event.payload
        if isinstance(payload, CentreOpened):
            centre = HealthCentre(
                id=event.originator_id,
                version=event.originator_version,
                name=payload.name,
                finess=payload.finess,
                referent=payload.referent,
                on_call_chain=payload.on_call_chain,
                zone=payload.zone,
            )
        if centre is not None:
            centre.version = event.originator_version
            centre.event_ids[event.event_id] = event.originator_version
            centre.last = event
    return centre


# Decisions

SHORTEST_CHAIN = 2
"""People in the on-call chain: an alarm that one person misses must reach another."""


def decide(centre: HealthCentre | None, command: Command, ctx: Context) -> tuple[Fact, ...]:
    """The facts that ``command`` makes of ``centre``, or the reason why it makes none."""
    if isinstance(command, OpenCentre):
        return open_centre(centre, command)
    raise TypeError(f"{command.name} is not a centre's command")


def open_centre(centre: HealthCentre | None, command: OpenCentre) -> tuple[Fact, ...]:
    """Valid FINESS, a named référent, and at least two different people in the chain."""
    if centre is not None:
        raise refuse(
            "already-open",
            "Ce centre est déjà ouvert.",
            "Un centre s'ouvre une seule fois.",
            "Relire le centre.",
        )
    chain = tuple(
        _reachable(person, f"on_call_chain[{place}]")
        for place, person in enumerate(command.on_call_chain)
    )
    if len({person.name.casefold() for person in chain}) < SHORTEST_CHAIN:
        raise refuse(
            "chain-too-short",
            "Ce centre ne peut pas ouvrir.",
            "La chaîne d'astreinte compte au moins deux personnes nommées.",
            "Ajouter une personne à la chaîne.",
            field="on_call_chain",
        )
    return (
        Fact(
            CentreOpened(
                name=words(command.centre_name, field="centre_name", limit=160),
                finess=str(Finess(command.finess)),
                referent=_reachable(command.referent, "referent"),
                on_call_chain=chain,
                zone=time_zone(command.zone).key,
                address=readable(command.address, field="address", limit=400),
                phones=command.phones,
            )
        ),
    )


def _reachable(person: NamedPerson, path: str) -> NamedPerson:
    return NamedPerson(
        name=words(person.name, field=f"{path}.name", limit=160),
        phone=words(person.phone, field=f"{path}.phone", limit=40),
        person=person.person,
    )
