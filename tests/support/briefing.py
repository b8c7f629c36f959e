"""The briefing of Dr Lenoir, who replaces Dr Garnier: a centre, records, their cards."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from releve.domain.aggregates.patient.identity import Registered
from releve.domain.events import Author
from releve.domain.values import NamedPerson
from releve.projections.briefing import (
    Card,
    Ranked,
    Viewpoint,
    build_card,
    extract,
    rank,
    viewpoint,
)
from releve.projections.directory import CentreEntry, Directory, PractitionerEntry, StintLine
from releve.projections.rule_release import load_rules
from support.patient_events import CENTRE, STINT, Stream, summary_of

RULES = load_rules("2026-11")
NEW = load_rules("2026-11-2")
LENOIR = UUID("00000000-0000-4000-8000-0000000000d2")
NEXT = UUID("00000000-0000-4000-8000-00000000005b")
ME = Author(role="doctor", name="Dr Paul Lenoir", person=LENOIR)
OTHER = Author(role="doctor", name="Dr Élise Garnier", person=UUID(int=7))
REFERENT = NamedPerson(name="Dr Odile Référente", phone="+33 5 99 00 00 01")
DIRECTORY = Directory(
    [
        CentreEntry(
            centre=CENTRE,
            name="Centre de santé d'Ajonc",
            finess="990000010",
            referent=REFERENT,
            on_call_chain=(REFERENT, NamedPerson(name="Dr Alix Second", phone="+33 5 99 00 00 02")),
            phones=(("SAMU", "15"),),
        ),
        PractitionerEntry(practitioner=LENOIR, name="Lenoir", given="Paul"),
        StintLine(
            stint=STINT,
            practitioner=UUID(int=7),
            practitioner_name="Dr Élise Garnier",
            centre=CENTRE,
            starts_at=datetime(2026, 11, 16, 7, tzinfo=UTC),
            ends_at=datetime(2026, 11, 21, 12, tzinfo=UTC),
        ),
        StintLine(
            stint=NEXT,
            practitioner=LENOIR,
            practitioner_name="Dr Paul Lenoir",
            centre=CENTRE,
            starts_at=datetime(2026, 11, 23, 7, tzinfo=UTC),
            ends_at=datetime(2026, 11, 28, 12, tzinfo=UTC),
        ),
    ]
)
HEAD = {
    "zone": "Europe/Paris",
    "centre": "Centre de santé d'Ajonc",
    "doctor": "Dr Paul Lenoir",
    "period": "du lundi 23 novembre 2026 au samedi 28 novembre 2026",
    "replaces": "Dr Élise Garnier",
    "colleagues": [],
    "numbers": [["SAMU", "15"]],
    "referent": "Dr Odile Référente",
    "number": 1,
    "issued": "lundi 23 novembre 2026",
    "t5": 0,
    "rule_release": "2026-11",
}


def seen(now: datetime = datetime(2026, 11, 23, 7, 30, tzinfo=UTC), since: int = -1) -> Viewpoint:
    """The view of Dr Lenoir on the first morning; ``since`` is the last position read."""
    return viewpoint(DIRECTORY.stints[NEXT], "Europe/Paris", now, since)


def back(since: int) -> Viewpoint:
    """The view of Dr Lenoir, who has been here before and had read up to ``since``."""
    return seen(since=since)._replace(returning=True)


def person(number: int = 1) -> Stream:
    """A record with a whole identity and nothing else."""
    stream = Stream(number)
    stream.add(
        Registered(
            birth_name="FOURNIER",
            first_names=("Marcel",),
            birth_date="1948-03-12",
            sex="male",
            birth_place="23096",
        )
    )
    return stream


def card_of(stream: Stream, view: Viewpoint | None = None) -> Card:
    """The card of a record under the older release of the rules."""
    view = view or seen()
    (ranked,) = rank([extract(summary_of(stream))], view, RULES)
    return build_card(ranked, view, DIRECTORY, RULES)


def tier_of(stream: Stream, *, since: int = 10**6, unread: int = 0) -> str:
    """The tier of a record under the older release, ``unread`` events of it being parked."""
    summary = summary_of(stream)
    summary.unread = unread
    (ranked,) = rank([summary], seen(since=since), RULES)
    return ranked.tier


def ranked_of(*streams: Stream, view: Viewpoint | None = None) -> list[Ranked]:
    """Records in the order of the newer release."""
    return rank([extract(summary_of(each)) for each in streams], view or seen(), NEW)


def new_card(stream: Stream, view: Viewpoint | None = None) -> Card:
    """The card of a record under the newer release."""
    (ranked,) = ranked_of(stream, view=view)
    return build_card(ranked, view or seen(), DIRECTORY, NEW)
