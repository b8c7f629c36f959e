"""The inbox as read: lines folded from events, and senders that fell silent."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import msgspec
import pytest

from releve.domain.aggregates.inbox_document import (
    DocumentMatched,
    DocumentReceived,
    DocumentRejected,
)
from releve.domain.aggregates.patient.identity import Registered
from releve.domain.aggregates.patient.results import ResultReceived
from releve.domain.events import INTAKE, Author, Envelope, Event, Payload, Source
from releve.domain.values import ExpectedSource, IdentityTraits
from releve.projections.inbox import (
    InboxLine,
    fold_line,
    from_bytes,
    last_by_system,
    source_states,
    sources,
    to_bytes,
)
from releve.projections.patient_summary import PatientSummary, fold_all
from support.given import CENTRE, COORDINATOR, NOW, named
from support.patient_events import Stream

LABORATORY = "Laboratoire des Essais"


def line(
    *more: Payload,
    name: str = "document",
    hours_ago: float = 1,
    system: str | None = LABORATORY,
) -> InboxLine:
    received = DocumentReceived(
        sha256="ab" * 32,
        size=1,
        media_type="application/pdf",
        format="pdf",
        identity=IdentityTraits(birth_name="EXEMPLE", first_names=("Camille",)),
    )
    found: InboxLine | None = None
    for version, payload in enumerate((received, *more), 1):
        found = fold_line(
            found,
            Event(
                originator_id=named(name),
                originator_version=version,
                event_id=UUID(int=version),
                event_class=INTAKE,
                recorded_at=NOW - timedelta(hours=hours_ago) + timedelta(seconds=version),
                envelope=Envelope(
                    occurred_at=NOW.isoformat(),
                    author=Author(role="system", name="Boîte d'arrivée")
                    if version == 1
                    else COORDINATOR,
                    centre=CENTRE,
                    reason="Autre centre" if isinstance(payload, DocumentRejected) else None,
                    source=Source(channel="pdf", system=system),
                ),
                payload=payload,
                position=40 + version,
            ),
        )
    assert found is not None
    return found


def test_a_line_follows_its_document() -> None:
    patient = named("patient")
    waiting = line()
    assert (waiting.state, waiting.position, waiting.event) == ("waiting", 41, UUID(int=1))
    aside = line(DocumentRejected(sender_told=True))
    assert (aside.state, aside.reason, aside.sender_told) == ("rejected", "Autre centre", True)
    matched = line(DocumentRejected(), DocumentMatched(patient=patient, agreed=("birth_date",)))
    assert (matched.state, matched.patient, matched.reason) == ("matched", patient, "")
    assert (matched.matched_by, matched.decided_by) == (COORDINATOR.person, COORDINATOR.name)
    assert from_bytes(to_bytes(matched)) == matched


def test_what_the_desk_sets_aside_waits_for_a_doctor() -> None:
    aside = line(DocumentRejected())
    assert (aside.state, aside.aside, aside.waits_as) == ("rejected", True, "waiting")
    matched = line(DocumentRejected(), DocumentMatched(patient=named("patient")))
    assert (matched.aside, matched.waits_as) == (False, "matched")


def test_a_second_match_keeps_where_the_first_one_was() -> None:
    wrong, right = named("wrong"), named("right")
    moved = line(DocumentMatched(patient=wrong), DocumentMatched(patient=right))
    assert (moved.patient, moved.formers, moved.matched_at) == (right, (wrong,), UUID(int=3))


def test_an_event_out_of_place_is_refused() -> None:
    first = line()
    told = DocumentMatched(patient=named("patient"))
    event = Event(
        originator_id=first.document, originator_version=1, event_id=UUID(int=9),
        event_class=INTAKE, recorded_at=NOW, payload=told,
        envelope=Envelope(occurred_at=NOW.isoformat(), author=COORDINATOR, centre=CENTRE),
    )  # fmt: skip
    with pytest.raises(ValueError, match="no place"):
        fold_line(None, event)
    with pytest.raises(ValueError, match="no place"):
        fold_line(first, msgspec.structs.replace(event, payload=first.received))


def test_a_sender_is_silent_after_its_delay_and_if_it_never_spoke() -> None:
    last = last_by_system([
        line(hours_ago=30),
        line(name="newer", hours_ago=25),
        line(name="other", hours_ago=2, system="Radiologie"),
        line(name="nameless", system=None),
    ])  # fmt: skip
    assert last.keys() == {LABORATORY, "Radiologie"}
    states = sources(
        [
            ExpectedSource(system="Radiologie"),
            ExpectedSource(system=LABORATORY),
            ExpectedSource(system="Jamais"),
            ExpectedSource(system=LABORATORY, within_hours=72),
        ],
        last,
        NOW,
    )
    assert [(each.system, each.silent) for each in states] == [
        ("Jamais", True),
        (LABORATORY, True),
        (LABORATORY, False),
        ("Radiologie", False),
    ]
    exactly = {"A": NOW - timedelta(hours=24)}
    assert [s.silent for s in sources([ExpectedSource(system="A")], exactly, NOW)] == [False]


def test_a_sender_is_heard_whatever_the_capitals_of_its_name() -> None:
    expected = [ExpectedSource(system="laboratoire  des charmes")]
    last = {"Laboratoire des Charmes": NOW, "LABORATOIRE DES CHARMES": NOW - timedelta(days=9)}
    assert [(each.silent, each.last) for each in sources(expected, last, NOW)] == [(False, NOW)]


def test_a_result_that_came_by_another_door_is_a_sign_of_life() -> None:
    asked = []

    def summaries() -> list[PatientSummary]:
        asked.append(True)
        return [summary]

    told = ResultReceived(status="final", title="Ionogramme")
    stream = Stream(1)
    stream.add(Registered(birth_name="EXEMPLE"))
    stream.add(told, source=Source(channel="fhir", system=LABORATORY))
    summary = fold_all(None, stream.events, stream.id)
    at = stream.events[-1].recorded_at + timedelta(hours=1)
    expected = [ExpectedSource(system=LABORATORY)]
    (state,) = source_states(expected, [], summaries, at)
    assert (state.silent, state.last) == (False, stream.events[-1].recorded_at)
    (state,) = source_states(expected, [], list, at)
    assert state.silent
    assert source_states([], [line()], summaries, at) == []
    source_states(expected, [line()], summaries, NOW)
    assert asked == [True]  # records are opened only where the inbox would call somebody silent
