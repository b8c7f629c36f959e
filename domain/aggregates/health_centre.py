"""Health centre (FINESS): it does not open without a référent and a chain of two named people."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import ClassVar, Literal

import msgspec

from releve.domain.aggregates.deciding import Context, Fact, refuse
from releve.domain.aggregates.folding import Folded
from releve.domain.commands import (
    AddSite,
    ChangePolicy,
    ChangeRoster,
    Command,
    OpenCentre,
    RecordClosure,
    RecordGap,
)
from releve.domain.errors import Invalid
from releve.domain.events import Event, Payload
from releve.domain.values import (
    ExpectedSource,
    Finess,
    NamedPerson,
    OpeningSlot,
    PartialDate,
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


class Days(msgspec.Struct, frozen=True):
    """Civil days at the centre, first and last included, and why nobody is there."""

    first: date
    last: date
    reason: str

    def covers(self, day: date) -> bool:
        """Whether ``day`` is one of them."""
        return self.first <= day <= self.last


@dataclass(slots=True, kw_only=True)
class HealthCentre(Folded):
    """One centre as its events tell it; ``referent`` answers when no doctor is in post."""

    name: str
    finess: str
    referent: NamedPerson
    on_call_chain: tuple[NamedPerson, ...]
    zone: str
    coordinators: tuple[NamedPerson, ...] = ()
    sites: tuple[SiteAdded, ...] = ()
    opening: tuple[OpeningSlot, ...] = ()
    expected_sources: tuple[ExpectedSource, ...] = ()
    closures: tuple[Days, ...] = ()
    gaps: tuple[Days, ...] = ()


def fold(centre: HealthCentre | None, events: Iterable[Event]) -> HealthCentre | None:
    """``centre`` after ``events``; ``centre`` itself is changed."""
    for event in events:
        payload = event.payload
        if isinstance(payload, CentreOpened):
            centre = HealthCentre(
                id=event.originator_id,
                name=payload.name,
                finess=payload.finess,
                referent=payload.referent,
                on_call_chain=payload.on_call_chain,
                zone=payload.zone,
            )
        if centre is None:
            continue
        match payload:
            case SiteAdded():
                centre.sites = (*centre.sites, payload)
            case PolicyChanged():
                centre.opening = payload.opening
                centre.expected_sources = payload.expected_sources
            case RosterChanged():
                centre.referent = payload.referent
                centre.on_call_chain = payload.on_call_chain
                centre.coordinators = payload.coordinators
            case ClosureRecorded():
                centre.closures = (*centre.closures, days_of(payload))
            case GapRecorded():
                centre.gaps = (*centre.gaps, days_of(payload))
            case _:
                pass
        centre.passed(event)
    return centre


def days_of(payload: ClosureRecorded | GapRecorded) -> Days:
    """The days that a closure or a gap names."""
    return Days(
        date.fromisoformat(payload.first_day), date.fromisoformat(payload.last_day), payload.reason
    )


# Decisions

NO_DOCTOR = "aucun médecin : 15 / 116 117"
"""What every page says when no doctor is in post: emergencies, and out-of-hours care."""

LONGEST_SILENCE = 24 * 31
"""Hours a source may be silent at most before it is shown: a month."""

LONGEST_DAYS = 366
"""Days that one closure or gap may last: longer is a mistyped year."""

SHORTEST_CHAIN = 2
"""People in the on-call chain: an alarm that one person misses must reach another."""


def decide(centre: HealthCentre | None, command: Command, ctx: Context) -> tuple[Fact, ...]:
    """The facts that ``command`` makes of ``centre``, or the reason why it makes none."""
    if isinstance(command, OpenCentre):
        return open_centre(centre, command)
    if centre is None:
        raise TypeError(f"{command.name} needs a centre")
    match command:
        case AddSite():
            return add_site(centre, command)
        case ChangePolicy():
            return change_policy(centre, command)
        case ChangeRoster():
            return change_roster(centre, command)
        case RecordClosure():
            return record_closure(centre, command)
        case RecordGap():
            return record_gap(centre, command)
        case _:
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
    chain = _chain(command.on_call_chain, "Ce centre ne peut pas ouvrir.")
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


def add_site(centre: HealthCentre, command: AddSite) -> tuple[Fact, ...]:
    """Named, once; the FINESS of an establishment is its own, never the centre's."""
    name = words(command.site_name, field="site_name", limit=160)
    finess = None if command.finess is None else str(Finess(command.finess))
    if (
        any(
            site.name.casefold() == name.casefold() or (finess and site.finess == finess)
            for site in centre.sites
        )
        or finess == centre.finess
    ):
        raise refuse(
            "site-known",
            "Ce lieu de soins est déjà connu.",
            "Le centre, ou un de ses lieux, porte ce nom ou ce numéro.",
            "Relire les lieux du centre.",
            field="finess" if finess == centre.finess else "site_name",
        )
    return (
        Fact(
            SiteAdded(
                name=name,
                kind=command.kind,
                address=readable(command.address, field="address", limit=400),
                finess=finess,
                phone=readable(command.phone, field="phone", limit=40),
            )
        ),
    )


def change_policy(centre: HealthCentre, command: ChangePolicy) -> tuple[Fact, ...]:
    """Hours that exist and never overlap; each source once, silent for a positive time."""
    slots = tuple(
        OpeningSlot(
            weekday=_weekday(slot.weekday, f"opening[{place}].weekday"),
            opens=_hour(slot.opens, f"opening[{place}].opens"),
            closes=_hour(slot.closes, f"opening[{place}].closes"),
        )
        for place, slot in enumerate(command.opening)
    )
    for place, slot in enumerate(slots):
        if slot.closes <= slot.opens:
            raise Invalid(
                "invalid-field",
                field=f"opening[{place}].closes",
                why="La fermeture vient après l'ouverture.",
            )
    ordered = tuple(sorted(slots, key=lambda each: (each.weekday, each.opens)))
    for before, after in itertools.pairwise(ordered):
        if before.weekday == after.weekday and after.opens < before.closes:
            raise refuse(
                "slots-overlap",
                "Ces horaires ne peuvent pas être enregistrés.",
                "Deux plages du même jour se recouvrent.",
                "Réunir les deux plages, ou corriger une heure.",
                field="opening",
            )
    sources = tuple(
        _expected(source, f"expected_sources[{place}]")
        for place, source in enumerate(command.expected_sources)
    )
    if len({source.system.casefold() for source in sources}) < len(sources):
        raise Invalid(
            "invalid-field", field="expected_sources", why="Une source n'est attendue qu'une fois."
        )
    if (ordered, sources) == (centre.opening, centre.expected_sources):
        return ()
    return (Fact(PolicyChanged(opening=ordered, expected_sources=sources)),)


def _expected(source: ExpectedSource, path: str) -> ExpectedSource:
    if not 0 < source.within_hours <= LONGEST_SILENCE:
        raise Invalid(
            "invalid-field",
            field=f"{path}.within_hours",
            why=f"Entre 1 et {LONGEST_SILENCE} heures.",
        )
    return ExpectedSource(
        system=words(source.system, field=f"{path}.system", limit=160),
        within_hours=source.within_hours,
    )


def _weekday(day: int, path: str) -> int:
    if not 1 <= day <= 7:
        raise Invalid("invalid-field", field=path, why="Un jour va de 1, lundi, à 7, dimanche.")
    return day


def _hour(text: str, path: str) -> str:
    if not re.fullmatch(r"(?:[01]\d|2[0-3]):[0-5]\d|24:00", text, re.ASCII):
        raise Invalid("invalid-field", field=path, why="Une heure s'écrit HH:MM.")
    return text


def change_roster(centre: HealthCentre, command: ChangeRoster) -> tuple[Fact, ...]:
    """The same people as an opening asks for: the centre is never without them."""
    roster = RosterChanged(
        referent=_reachable(command.referent, "referent"),
        on_call_chain=_chain(
            command.on_call_chain, "La chaîne d'astreinte ne peut pas être changée."
        ),
        coordinators=tuple(
            _reachable(person, f"coordinators[{place}]")
            for place, person in enumerate(command.coordinators)
        ),
    )
    held = (centre.referent, centre.on_call_chain, centre.coordinators)
    if held == (roster.referent, roster.on_call_chain, roster.coordinators):
        return ()
    return (Fact(roster),)


def record_closure(centre: HealthCentre, command: RecordClosure) -> tuple[Fact, ...]:
    """Days that exist, in order, not recorded before."""
    return _record_days(ClosureRecorded, command, centre.closures)


def record_gap(centre: HealthCentre, command: RecordGap) -> tuple[Fact, ...]:
    """Days that exist, in order, not recorded before.

    A stint planned on one of these days is no contradiction that is refused: who is in post
    follows from stints alone (a doctor found at the last moment fills the gap), and a gap only
    says why nobody was planned.
    """
    return _record_days(GapRecorded, command, centre.gaps)


def _record_days(
    kind: type[ClosureRecorded | GapRecorded],
    command: RecordClosure | RecordGap,
    known: tuple[Days, ...],
) -> tuple[Fact, ...]:
    days = _read_days(command)
    if days in known:
        return ()
    _apart(days, known)
    first, last = days.first.isoformat(), days.last.isoformat()
    return (Fact(kind(first_day=first, last_day=last, reason=days.reason)),)


def _read_days(command: RecordClosure | RecordGap) -> Days:
    days = Days(
        first=_day(command.first_day, "first_day"),
        last=_day(command.last_day, "last_day"),
        reason=words(command.reason, field="reason"),
    )
    if days.last < days.first:
        raise Invalid("invalid-field", field="last_day", why="Le dernier jour suit le premier.")
    if (days.last - days.first).days >= LONGEST_DAYS:
        raise Invalid("invalid-field", field="last_day", why="Au plus une année.")
    return days


def _day(text: str, field: str) -> date:
    day = PartialDate(text, field=field)
    if len(day) != 10:
        raise Invalid("invalid-field", field=field, why="Un jour s'écrit AAAA-MM-JJ.")
    return day.first_day


def _apart(days: Days, known: tuple[Days, ...]) -> None:
    if any(days.first <= each.last and each.first <= days.last for each in known):
        raise refuse(
            "days-overlap",
            "Ces jours sont déjà enregistrés.",
            "Une partie d'entre eux l'est déjà, pour une autre période.",
            "N'enregistrer que les jours qui manquent.",
            field="first_day",
        )


def _chain(people: tuple[NamedPerson, ...], what: str) -> tuple[NamedPerson, ...]:
    chain = tuple(
        _reachable(person, f"on_call_chain[{place}]") for place, person in enumerate(people)
    )
    if _different(chain) < SHORTEST_CHAIN:
        raise refuse(
            "chain-too-short",
            what,
            "La chaîne d'astreinte compte au moins deux personnes, chacune avec son téléphone.",
            "Ajouter une autre personne, avec un autre numéro.",
            field="on_call_chain",
        )
    return chain


def _different(chain: tuple[NamedPerson, ...]) -> int:
    """How many people a chain reaches: the same id, name or telephone is the same one."""
    known: list[set[object]] = []
    for person in chain:
        marks: set[object] = {" ".join(person.name.casefold().split()), _digits(person.phone)}
        if person.person is not None:
            marks.add(person.person)
        same = [each for each in known if each & marks]
        known = [each for each in known if not each & marks] + [marks.union(*same)]
    return len(known)


def _digits(phone: str) -> tuple[str, str]:
    """A number as it is dialled, whatever its spaces and its country code for France."""
    dialled = "".join(sign for sign in phone if sign.isdigit() or sign == "+")
    for prefix in ("+33", "0033"):
        if dialled.startswith(prefix):
            dialled = "0" + dialled.removeprefix(prefix).removeprefix("0")
    return "phone", dialled


def _reachable(person: NamedPerson, path: str) -> NamedPerson:
    return NamedPerson(
        name=words(person.name, field=f"{path}.name", limit=160),
        phone=words(person.phone, field=f"{path}.phone", limit=40),
        person=person.person,
    )


# Hours


def public_holidays(year: int) -> frozenset[date]:
    """The eleven public holidays of mainland France (Code du travail, L3133-1)."""
    easter = _easter(year)
    fixed = ((1, 1), (5, 1), (5, 8), (7, 14), (8, 15), (11, 1), (11, 11), (12, 25))
    moving = (1, 39, 50)  # Easter Monday, Ascension, Whit Monday
    return frozenset(
        [date(year, month, day) for month, day in fixed]
        + [easter + timedelta(days=days) for days in moving]
    )


def _easter(year: int) -> date:
    """Easter Sunday of the Gregorian calendar (Meeus, Astronomical Algorithms, ch. 8)."""
    golden = year % 19
    century, of_century = divmod(year, 100)
    leap, leap_rest = divmod(century, 4)
    moon = (century - (century + 8) // 25 + 1) // 3
    epact = (19 * golden + century - leap - moon + 15) % 30
    quarter, rest = divmod(of_century, 4)
    weekday = (32 + 2 * leap_rest + 2 * quarter - epact - rest) % 7
    correction = (golden + 11 * epact + 22 * weekday) // 451
    month, day = divmod(epact + weekday - 7 * correction + 114, 31)
    return date(year, month, day + 1)


def is_open(opening: Sequence[OpeningSlot], closures: Sequence[Days], at: datetime) -> bool | None:
    """Whether a centre with these hours is open at ``at``, in civil time of the centre.

    Closed on its closed days and on public holidays, whatever the weekday. None where the centre
    has no hours recorded: nobody knows.
    """
    if not opening:
        return None
    day = at.date()
    if day in public_holidays(day.year) or any(each.covers(day) for each in closures):
        return False
    time = f"{at:%H:%M}"
    return any(
        slot.weekday == day.isoweekday() and slot.opens <= time < slot.closes for slot in opening
    )
