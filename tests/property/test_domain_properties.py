"""Properties of the domain over random histories."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from hypothesis import given as over
from hypothesis import settings
from hypothesis import strategies as some
from stdnum.fr import nir as stdnum_nir

from releve.domain.aggregates import CODEC, REGISTRY
from releve.domain.aggregates.health_centre import CentreOpened
from releve.domain.aggregates.inbox_document import DocumentReceived
from releve.domain.aggregates.patient import FOLDS, Patient
from releve.domain.aggregates.patient.allergies import (
    AbsenceAsserted,
    AllergyRecorded,
    current_allergies,
)
from releve.domain.aggregates.patient.contingencies import ContingencySet
from releve.domain.aggregates.patient.corrections import EntryMarkedInError
from releve.domain.aggregates.patient.handover import HandoverReadBack, HandoverWritten
from releve.domain.aggregates.patient.identity import Registered
from releve.domain.aggregates.patient.open_items import (
    Holder,
    ItemClosed,
    ItemOpened,
    closed_items,
    open_items,
    owner_at,
)
from releve.domain.aggregates.patient.problems import ProblemRecorded, current_problems
from releve.domain.aggregates.patient.results import ResultReceived
from releve.domain.aggregates.practitioner import PractitionerOnboarded
from releve.domain.aggregates.stint import Stint, StintEnded, StintPlanned, StintStarted
from releve.domain.commands import COMMANDS
from releve.domain.commands.command import ANY_ID
from releve.domain.errors import Invalid, NotFound, Refused, Tampered
from releve.domain.events import Author, Envelope, Event, Payload, Source
from releve.domain.requests import CommandContext, fold, propose
from releve.domain.values import Concept, NamedPerson, Nir, Owner
from releve.projections.patient_summary import fold_all
from releve.security.ledger.envelope import Header
from support.given import CENTRE, IDS, OTHER_CENTRE, named

START = datetime.fromisoformat("2026-11-23T08:00:00+01:00")
REFERENT = NamedPerson(name="Dr Camille Référent", phone="+33 5 99 00 00 01", person=named("r"))
PEOPLE = [named(f"doctor {n}") for n in range(4)]


# Ownership by fold: at every position each open item has exactly one holder


@dataclass
class Post:
    stint: UUID
    person: UUID
    centre: UUID
    begins: datetime
    ends: datetime


@dataclass
class World:
    """What one centre's ledger holds, folded up to a position."""

    stints: dict[UUID, Stint]
    patients: dict[UUID, Patient]
    at: datetime
    posts: dict[UUID, Post]
    """Told apart from the product's own fold: who should be where, from when, until when."""

    def there(self) -> list[Post]:
        return [
            post
            for post in self.posts.values()
            if post.centre == CENTRE and post.begins <= self.at < post.ends
        ]


def event(stream: UUID, version: int, at: datetime, payload: Payload, **envelope: Any) -> Event:
    return Event(
        originator_id=stream,
        originator_version=version,
        event_id=named(f"{stream} {version}"),
        event_class=1,
        recorded_at=at,
        envelope=Envelope(
            occurred_at=at.isoformat(),
            author=Author(role="doctor", name="Dr X"),
            centre=CENTRE,
            **envelope,
        ),
        payload=payload,
    )


STEPS = some.lists(
    some.tuples(
        some.sampled_from(["plan", "start", "end", "open", "close", "mark"]),
        some.integers(0, 7),
        some.integers(0, 7),
        some.integers(1, 120),
    ),
    max_size=60,
)


def histories(steps: Iterable[tuple[str, int, int, int]]) -> Iterable[World]:
    """The world after each step: ``step``, two numbers that choose who and what, hours passed."""
    world = World({}, {}, START, {})
    versions: dict[UUID, int] = {}

    def append(stream: UUID, kind: Any, payload: Payload, **envelope: Any) -> None:
        versions[stream] = versions.get(stream, 0) + 1
        told = event(stream, versions[stream], world.at, payload, **envelope)
        if kind == "stint":
            state = fold("stint", world.stints.get(stream), [told])
            assert isinstance(state, Stint)
            world.stints[stream] = state
        else:
            record = fold("patient", world.patients.get(stream), [told])
            assert isinstance(record, Patient)
            world.patients[stream] = record

    for step, one, other, hours in steps:
        world.at += timedelta(hours=hours)
        stints = list(world.stints)
        patient = named(f"patient {one % 3}")
        record = world.patients.get(patient)
        match step:
            case "plan":
                begins = world.at + timedelta(hours=other * 24 - 72)
                ends = begins + timedelta(days=1 + one)
                centre = OTHER_CENTRE if other == 7 else CENTRE
                stint = named(f"stint {len(stints)}")
                world.posts[stint] = Post(stint, PEOPLE[one % 4], centre, begins, ends)
                append(
                    stint,
                    "stint",
                    StintPlanned(
                        practitioner=PEOPLE[one % 4],
                        practitioner_name="Dr X",
                        centre=centre,
                        starts_at=begins.isoformat(),
                        ends_at=ends.isoformat(),
                    ),
                )
            case "start" if stints:
                post = world.posts[stints[one % len(stints)]]
                post.begins = min(post.begins, world.at)
                append(post.stint, "stint", StintStarted(rpps_verified=True))
            case "end" if stints:
                post = world.posts[stints[one % len(stints)]]
                post.ends = min(post.ends, world.at)
                append(post.stint, "stint", StintEnded(cause="cut-short"))
            case "open":
                bound = stints[other % len(stints)] if stints and one % 2 else None
                owner = [
                    Owner(),
                    Owner(role="referent"),
                    Owner(role="coordinator"),
                    Owner(person=PEOPLE[one % 4], stint=bound),
                ][other % 4]
                append(
                    patient,
                    "patient",
                    ItemOpened(kind="call", text="x", no_deadline=True, owner=owner),
                )
            case "close" | "mark" if record is not None:
                entries = list(record.entries)
                target = entries[other % len(entries)]
                closing = ItemClosed(outcome="done", evidence="x")
                append(
                    patient,
                    "patient",
                    closing if step == "close" else EntryMarkedInError(),
                    target=target,
                )
            case _:
                pass
        yield world


@settings(max_examples=150)
@over(STEPS)
def test_no_open_item_is_orphaned_at_any_position(steps: list[tuple[str, int, int, int]]) -> None:
    for world in histories(steps):
        there = world.there()
        for record in world.patients.values():
            for item in open_items(record):
                assert isinstance(item.payload, ItemOpened)
                owner = item.payload.owner
                holder = owner_at(owner, CENTRE, world.at, world.stints, REFERENT)
                match holder:
                    case Holder(role="medecin_en_poste"):
                        # Somebody who is really there, under the stint that says so.
                        assert (holder.stint, holder.person) in {
                            (post.stint, post.person) for post in there
                        }
                        still_bound = {
                            post.stint
                            for post in there
                            if post.person == owner.person and owner.stint in (None, post.stint)
                        }
                        assert not still_bound or holder.stint in still_bound
                    case Holder(role="referent"):
                        assert (holder.person, holder.name) == (REFERENT.person, REFERENT.name)
                        assert owner.role == "referent" or not there
                    case _:
                        assert holder == Holder(role="coordinator")
                        assert owner.role == "coordinator"
                assert owner_at(owner, CENTRE, world.at, world.stints, REFERENT) == holder


@settings(max_examples=100)
@over(STEPS)
def test_an_item_is_open_exactly_until_a_standing_event_closes_it(
    steps: list[tuple[str, int, int, int]],
) -> None:
    for world in histories(steps):
        for record in world.patients.values():
            still = {item.event_id for item in open_items(record)}
            assert still.isdisjoint(closed_items(record))
            assert still.isdisjoint(record.in_error)
            for item in record.items:
                gone = item.event_id in record.in_error or any(
                    closing.envelope.target == item.event_id
                    and closing.event_id not in record.in_error
                    for closing in record.closings
                )
                assert (item.event_id in still) is not gone


# Folding

PAYLOADS = some.sampled_from(
    [
        Registered(birth_name="EXEMPLE"),
        ProblemRecorded(concept=Concept(text="Asthme"), clinical_status="active"),
        AllergyRecorded(substance=Concept(text="Arachide"), categories=("food",)),
        AllergyRecorded(substance=Concept(text="Latex"), verification="refuted"),
        AbsenceAsserted(slot="allergies"),
        AbsenceAsserted(slot="allergies", part="food"),
        HandoverWritten(severity="stable", summary="RAS"),
        HandoverReadBack(kind="takes"),
        ItemOpened(kind="call", text="x", no_deadline=True),
        EntryMarkedInError(),
    ]
)
RECORDS = some.lists(some.tuples(PAYLOADS, some.none() | some.integers(1, 12)), max_size=25)


def told(entries: list[tuple[Payload, int | None]]) -> list[Event]:
    stream = named("stream")
    return [
        event(
            stream,
            version,
            START,
            payload,
            target=None if target is None or target >= version else named(f"{stream} {target}"),
        )
        for version, (payload, target) in enumerate(entries, start=1)
    ]


@over(RECORDS, some.integers(0, 25))
def test_folding_in_two_halves_is_folding_once(
    entries: list[tuple[Payload, int | None]], cut: int
) -> None:
    events = told(entries)
    whole = fold("patient", None, events)
    halves = fold("patient", fold("patient", None, events[:cut]), events[cut:])
    assert halves == whole


@over(RECORDS)
def test_a_badge_is_in_exactly_one_state_and_nothing_in_error_is_current(
    entries: list[tuple[Payload, int | None]],
) -> None:
    stream = told(entries)
    record = fold("patient", None, stream)
    if record is None:
        return
    assert isinstance(record, Patient)
    placed = [msgspec.structs.replace(e, position=n) for n, e in enumerate(stream, start=1)]
    said = fold_all(None, placed, named("stream")).presence("allergies")
    active = list(current_allergies(record))
    absences = [
        e for e in record.standing(record.absences) if isinstance(e.payload, AbsenceAsserted)
    ]
    whole = [e for e in absences if e.payload == AbsenceAsserted(slot="allergies")]
    assert said.state == ("known" if active else "none" if whole else "not-asked")
    # The only allergy drawn that is active is a food, the only part that is asked about.
    assert bool(said.parts) is (len(absences) > len(whole) and not active)
    current = [*active, *absences, *current_problems(record), *open_items(record)]
    assert not {e.event_id for e in current} & record.in_error


def test_every_topic_of_a_patient_folds() -> None:
    patients = {payload for topic, payload in REGISTRY.items() if topic.startswith("patient.")}
    assert set(FOLDS) == patients


# Whatever is sent, a command is accepted or refused in the domain's own words

WORD = some.text(max_size=12) | some.sampled_from(["2026", "2026-11-24T09:00:00+01:00", "stable"])
SIMPLE = some.none() | some.booleans() | some.integers(-3, 10**6) | WORD
JSON = SIMPLE | some.lists(SIMPLE, max_size=3) | some.dictionaries(WORD, SIMPLE, max_size=3)


HELD: list[Payload] = [
    Registered(birth_name="X"),
    ItemOpened(kind="call", text="x", no_deadline=True),
    ResultReceived(status="final", conclusion="x"),
    ContingencySet(condition="x", action="y"),
    HandoverWritten(severity="stable", summary="RAS"),
    ProblemRecorded(concept=Concept(text="Asthme"), clinical_status="active"),
]
CENTRE_OPENED = CentreOpened(
    name="X", finess="990000016", referent=REFERENT, on_call_chain=(REFERENT,)
)
KNOWN = PractitionerOnboarded(name="X", given="Y")
SENT = DocumentReceived(sha256="00" * 32, size=1, media_type="text/plain", format="text")


@settings(max_examples=150)
@over(some.sampled_from(sorted(COMMANDS)), some.data())
def test_a_damaged_command_is_refused_without_an_unexpected_error(
    name: str, data: some.DataObject
) -> None:
    spec = COMMANDS[name]
    entry = str(named(f"{named('stream')} {data.draw(some.integers(1, len(HELD)))}"))
    body = json.loads(json.dumps(dict(spec.example)).replace(ANY_ID, entry))
    fields = some.sampled_from([*body, "reason", "occurred_at", "due"])
    for key in data.draw(some.lists(fields, min_size=1, max_size=3)):
        body[key] = data.draw(JSON)
    context = CommandContext(
        author=Author(
            role=data.draw(some.sampled_from(sorted(spec.roles))),
            name="Dr X",
            person=PEOPLE[0],
            stint=named("s"),
        ),
        now=START + timedelta(hours=1),
        key=b"k",
        actor=b"a",
        centre=CENTRE,
        source=Source(channel="demo"),
    )
    stint = fold(
        "stint",
        None,
        [
            event(
                named("s"),
                1,
                START,
                StintPlanned(
                    practitioner=PEOPLE[0],
                    practitioner_name="Dr X",
                    centre=CENTRE,
                    starts_at=START.isoformat(),
                    ends_at=(START + timedelta(days=5)).isoformat(),
                ),
            )
        ],
    )
    assert isinstance(stint, Stint)
    state = {
        "patient": fold("patient", None, told([(payload, None) for payload in HELD])),
        "stint": stint,
        "centre": fold("centre", None, [event(CENTRE, 1, START, CENTRE_OPENED)]),
        "practitioner": fold("practitioner", None, [event(PEOPLE[0], 1, START, KNOWN)]),
        "inbox": fold("inbox", None, [event(named("d"), 1, START, SENT)]),
        "rules": None,
    }[spec.target]
    if spec.creates:
        state = None
    try:
        command = spec.parse(body)
        events = propose(
            IDS, state, command, context, named("stream"), author_stint=stint, originals=["00" * 32]
        )
    except (Invalid, Refused, NotFound):
        return
    for made in events:
        topic, schema, envelope, payload = CODEC.encode(made)
        stored = json.loads(json.dumps([envelope, payload]))
        assert CODEC.envelope(stored[0]) == made.envelope
        assert CODEC.payload(topic, schema, stored[1]) == made.payload


# Codec


@over(
    some.sampled_from(sorted(REGISTRY)),
    some.integers(-1, 4),
    some.dictionaries(some.text(max_size=10), JSON, max_size=4),
)
def test_a_damaged_content_is_refused_in_one_way(
    topic: str, schema: int, payload: dict[str, Any]
) -> None:
    try:
        read = CODEC.payload(topic, schema, payload)
    except Tampered:
        return
    assert 1 <= schema <= REGISTRY[topic].schema
    assert type(read) is REGISTRY[topic]


@over(some.integers(0, 2**63 - 1))
def test_the_clear_fields_come_from_the_header(recorded_at: int) -> None:
    recorded_at %= 253_402_300_800_000_000
    header = Header(
        flags=0,
        event_class=1,
        event_id=named("e"),
        stream=named("s"),
        version=3,
        recorded_at=recorded_at,
        session=UUID(int=0),
        key_generation=1,
        prev=bytes(32),
        commitment=bytes(32),
        body_sha256=bytes(32),
    )
    envelope = {"occurred_at": "2026", "author": {"role": "system", "name": "x"}}
    read = CODEC.decode("patient.note-signed", 1, envelope, {}, header=header)
    assert (read.originator_id, read.originator_version) == (header.stream, 3)
    exact = (read.recorded_at - datetime.fromisoformat("1970-01-01T00:00:00+00:00")) // timedelta(
        microseconds=1
    )
    assert exact == recorded_at


# Identifiers


@over(
    some.sampled_from("12"),
    some.integers(0, 99),
    some.integers(1, 12),
    some.sampled_from(["2A", "2B", "01", "75", "99"]),
    some.integers(1, 990),
    some.integers(1, 999),
)
def test_a_matricule_has_the_key_of_python_stdnum(
    sex: str, year: int, month: int, department: str, town: int, rank: int
) -> None:
    number = f"{sex}{year:02}{month:02}{department}{town:03}{rank:03}"
    key = int(stdnum_nir.calc_check_digits(number))
    assert Nir(f"{number}{key:02}") == f"{number}{key:02}"
    try:
        Nir(f"{number}{key % 97 + 1:02}")
    except Invalid:
        return
    raise AssertionError("another key was accepted")
