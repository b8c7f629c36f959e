"""Who the demo lets you be: the doctor of each stint, and the people who stay.

A stint's persona is named by its Monday, so that it means the same doctor at every start;
``previous``, ``present`` and ``next`` are other names for three of them, by the record's time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

from releve.projections.directory import CentreEntry, Directory, StintLine
from releve.security.identity import Persona

SHOWN = timedelta(weeks=6)
"""How far back stints have a persona of their own."""

FRESH = timedelta(seconds=1)
"""Every request asks who asks: the people of a moment ago are those of now."""

AUDITOR = UUID("6b1f9a52-7c1e-8d0a-9a54-2f6e3c1d0a01")
"""The demo auditor is nobody's colleague: a fixed id, of no practitioner's stream."""

ADMINISTRATOR = UUID("6b1f9a52-7c1e-8d0a-9a54-2f6e3c1d0a02")
"""Nor is who administers the demo; no page is theirs."""


def personas(directory: Directory, now: datetime) -> tuple[Persona, ...]:
    """Everybody one may be now, the doctor in post first."""
    centres = sorted(directory.centres.values(), key=lambda c: c.finess)
    found: list[Persona] = []
    for number, centre in enumerate(centres):
        suffix = f"-{number + 1}" if number else ""
        found += _doctors(directory, centre, now, suffix)
        found += _staff(directory, centre, suffix)
    return tuple(found)


def alias(directory: Directory, now: datetime, name: str, *, centre: UUID | None = None) -> str:
    """The lasting name behind ``previous``, ``present`` or ``next``; any other name unchanged."""
    if name not in ("previous", "present", "next"):
        return name
    for persona in personas(directory, now):
        if persona.purpose.startswith(_PURPOSES[name]) and centre in (None, persona.centre):
            return persona.persona
    return name


def source(
    directory: Callable[[], Directory], clock: Callable[[], datetime]
) -> Callable[[], Iterable[Persona]]:
    """What the demo's identity provider asks for its personas; the same ones for a second."""
    last: tuple[Directory, datetime, tuple[Persona, ...]] | None = None

    def known() -> tuple[Persona, ...]:
        nonlocal last
        place, now = directory(), clock()
        if last is None or last[0] is not place or abs(now - last[1]) > FRESH:
            last = place, now, personas(place, now)
        return last[2]

    return known


_PURPOSES = {
    "present": "En poste cette semaine",
    "next": "Arrive ensuite",
    "previous": "Vient de partir",
}


def _doctors(
    directory: Directory, centre: CentreEntry, now: datetime, suffix: str
) -> Iterable[Persona]:
    standing = (
        line for line in directory.stints_of(centre.centre)
        # No stint outlasts its plan: years of others need no further look.
        if line.ends_at > now - SHOWN and not line.cancelled
    )  # fmt: skip
    stints = sorted(standing, key=lambda line: (line.starts_at, line.mode != "interne"))
    in_post = [line for line in stints if line.active(now)]
    ahead = [line for line in stints if line.starts_at > now]
    behind = [line for line in stints if line.over_at <= now]
    roles: dict[UUID, str] = {}
    for line in in_post:
        roles[line.stint] = "present"
    if ahead:
        roles[ahead[0].stint] = "next"
    if behind:
        roles[behind[-1].stint] = "previous"
    order = {"present": 0, "next": 1, "previous": 2}
    shown = [line for line in stints if line.over_at > now - SHOWN]
    shown.sort(key=lambda line: (order.get(roles.get(line.stint, ""), 3), line.starts_at))
    for line in shown:
        yield _doctor(line, centre, roles.get(line.stint), suffix)


def _doctor(line: StintLine, centre: CentreEntry, role: str | None, suffix: str) -> Persona:
    zone = ZoneInfo(centre.zone)
    starts = line.starts_at.astimezone(zone)
    ends = line.ends_at.astimezone(zone)
    span = f"du {starts:%d/%m} au {ends:%d/%m}"
    trainee = line.mode == "interne"
    return Persona(
        persona=f"{'interne' if trainee else 'stint'}-{starts:%Y-%m-%d}{suffix}",
        name=line.practitioner_name,
        role="intern" if trainee else "doctor",
        person=line.practitioner,
        centre=centre.centre,
        stint=line.stint,
        starts_at=line.starts_at,
        ends_at=line.ends_at,
        purpose=f"{_PURPOSES[role]}, {span}" if role else f"Séjour {span}",
    )


def _staff(directory: Directory, centre: CentreEntry, suffix: str) -> Iterable[Persona]:
    for role, name, purpose in (
        ("referent", "referent", "Référent médical du centre"),
        ("coordinator", "coordinator", "Coordination, sans texte clinique"),
        ("secretary", "secretary", "Secrétariat : agenda, résultats dictés, sans texte clinique"),
        ("nurse", "nurse", "Soins infirmiers"),
    ):
        for person in directory.practitioners.values():
            if person.role == role:
                yield Persona(
                    persona=f"{name}{suffix}",
                    name=person.full_name,
                    role=role,
                    person=person.practitioner,
                    centre=centre.centre,
                    purpose=purpose,
                )
                break
    yield Persona(
        persona=f"auditor{suffix}",
        name="Contrôle interne",
        role="auditor",
        person=uuid5(AUDITOR, centre.finess),
        centre=centre.centre,
        purpose="Vérifie la structure, les preuves et les accès",
    )
    yield Persona(
        persona=f"administrator{suffix}",
        name="Administration",
        role="administrator",
        person=uuid5(ADMINISTRATOR, centre.finess),
        centre=centre.centre,
        purpose="Ouvre centres et comptes, par la ligne de commande",
    )
