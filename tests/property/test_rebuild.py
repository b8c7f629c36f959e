"""Whatever happened, in whatever pieces it was read: one record has one summary."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from releve.domain.aggregates.patient import fold
from releve.domain.aggregates.patient.allergies import AbsenceAsserted, AllergyRecorded
from releve.domain.aggregates.patient.contingencies import ContingencySet
from releve.domain.aggregates.patient.corrections import EntryMarkedInError
from releve.domain.aggregates.patient.documents import DocumentAttached
from releve.domain.aggregates.patient.encounters import EncounterRecorded, NoteAmended, NoteSigned
from releve.domain.aggregates.patient.handover import HandoverReadBack, HandoverWritten
from releve.domain.aggregates.patient.identity import (
    MedecinTraitantDeclared,
    Registered,
    medecin_traitant,
)
from releve.domain.aggregates.patient.medications import MedicationStarted
from releve.domain.aggregates.patient.observations import ObservationRecorded
from releve.domain.aggregates.patient.open_items import ItemClosed, ItemOpened
from releve.domain.aggregates.patient.problems import ProblemRecorded
from releve.domain.aggregates.patient.severity import IllnessSeveritySet, current_severity
from releve.domain.values import Coding, Concept, NamedPerson, Owner, Quantity, Threshold
from releve.projections.briefing import build_card, card_bytes, extract, rank, viewpoint
from releve.projections.briefing_text import card_words, page, page_words
from releve.projections.directory import CentreEntry, Directory, StintLine
from releve.projections.open_items import board
from releve.projections.patient_summary import (
    fold_all,
    from_bytes,
    to_bytes,
)
from releve.projections.rule_release import load_rules
from releve.projections.timeline import entries_of
from support.patient_events import CENTRE, MONDAY, STINT, Stream, folded_by_the_feed

RULES = load_rules()
START = datetime(2026, 11, 23, 7, tzinfo=UTC)
STINTS = [
    StintLine(
        stint=STINT if week == 0 else UUID(int=500 + week),
        practitioner=UUID(int=700 + week % 3),
        practitioner_name=f"Dr {week}",
        centre=CENTRE,
        starts_at=START + timedelta(days=7 * (week - 1)),
        ends_at=START + timedelta(days=7 * (week - 1) + 5),
    )
    for week in range(4)
]
REFERENT = NamedPerson(name="Dr R", phone="+33 5 99 00 00 01")
DIRECTORY = Directory(
    [
        CentreEntry(
            centre=CENTRE, name="C", finess="990000010", referent=REFERENT,
            on_call_chain=(REFERENT, REFERENT),
        ),
        *STINTS,
    ]
)  # fmt: skip

words = st.text(
    alphabet=st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=60
)
days = st.dates(date(2026, 10, 1), date(2027, 1, 31)).map(str)
partial = st.one_of(days, st.sampled_from(["2026", "2026-11", "2019-02"]))
concepts = st.builds(
    Concept,
    text=words,
    codings=st.lists(
        st.builds(Coding, system=st.none() | words, code=st.sampled_from(["2823-3", "I10"])),
        max_size=2,
    ).map(tuple),
)
levels: Any = st.sampled_from(["stable", "watcher", "unstable"])
payloads: dict[str, st.SearchStrategy[Any]] = {
    "registered": st.builds(
        Registered, birth_name=st.none() | words, first_names=st.tuples(words),
        birth_date=st.none() | st.just("1950-05-05"),
    ),
    "attending": st.builds(
        MedecinTraitantDeclared, kind=st.just("centre"), since=partial, centre=st.just(CENTRE)
    ),
    "encounter": st.builds(EncounterRecorded, mode=st.just("cabinet"), reason=words),
    "note": st.builds(NoteSigned, one_liner=st.just("") | words, plan=words),
    "problem": st.builds(
        ProblemRecorded, concept=concepts,
        clinical_status=st.sampled_from([None, "active", "remission", "resolved"]),
        verification=st.sampled_from([None, "refuted", "entered-in-error"]),
        onset=st.none() | partial,
    ),
    "allergy": st.builds(
        AllergyRecorded, substance=concepts,
        clinical_status=st.sampled_from([None, "active", "resolved"]),
    ),
    "absence": st.builds(
        AbsenceAsserted, slot=st.sampled_from(["allergies", "medications", "problems"]),
        part=st.sampled_from([None, "food"]), asked_on=st.none() | partial,
    ),
    "medication": st.builds(
        MedicationStarted, concept=concepts, status=st.sampled_from(["active", "stopped"]),
        start=st.none() | partial, dose_text=st.none() | words,
    ),
    "observation": st.builds(
        ObservationRecorded, code=concepts,
        value=st.builds(
            Quantity, value=st.sampled_from(["4.1", "6.2", "~6"]),
            unit=st.sampled_from(["mmol/L", "mg/dL"]),
        ),
    ),
    "document": st.builds(
        DocumentAttached, sha256=st.just("00" * 32), size=st.just(1), media_type=words
    ),
    "item": st.builds(
        ItemOpened, kind=st.sampled_from(["result", "call", "admin"]), text=words,
        due=st.none() | partial, harm_if_late=st.booleans(),
        owner=st.sampled_from(
            [Owner(), Owner(role="coordinator"), Owner(person=UUID(int=700), stint=STINT),
             Owner(role="referent"), Owner(stint=UUID(int=9)), Owner(person=UUID(int=8))]
        ),
    ),
    "contingency": st.builds(
        ContingencySet, condition=words, action=words, valid_until=st.none() | partial,
        threshold=st.none() | st.just(
            Threshold(loinc="2823-3", comparator=">", value="5.5", unit="mmol/L")
        ),
    ),
    "severity": st.builds(
        IllnessSeveritySet, severity=levels, reason=words, review_by=st.none() | partial
    ),
    "handover": st.builds(
        HandoverWritten, severity=levels, summary=words, read_back_requested=st.booleans()
    ),
}  # fmt: skip
targeted: dict[str, st.SearchStrategy[Any]] = {
    "amend": st.builds(
        NoteAmended, kind=st.sampled_from(["addendum", "replacement"]), one_liner=words
    ),
    "close": st.builds(ItemClosed, outcome=st.just("done"), evidence=words),
    "read-back": st.builds(HandoverReadBack, kind=st.just("takes")),
    "in-error": st.builds(EntryMarkedInError, harm=st.booleans()),
}


@st.composite
def histories(draw: st.DrawFn, most: int = 30) -> Stream:
    stream = Stream(draw(st.integers(1, 50)))
    stream.add(draw(payloads["registered"]))
    kinds = draw(st.lists(st.sampled_from([*list(payloads)[1:], *targeted]), max_size=most))
    for kind in kinds:
        occurred = draw(st.none() | partial)
        if kind in targeted:
            target = draw(st.sampled_from(stream.events)).event_id
            stream.add(
                draw(targeted[kind]), target=target, reason="parce que", occurred_at=occurred
            )
        else:
            stream.add(draw(payloads[kind]), occurred_at=occurred)
    return stream


@settings(deadline=None)
@given(histories(), st.data())
def test_read_in_any_pieces_it_is_the_same_summary(stream: Stream, data: st.DataObject) -> None:
    whole = to_bytes(fold_all(None, stream.events, stream.id))
    pieces = data.draw(st.lists(st.integers(1, 5)))
    assert to_bytes(folded_by_the_feed(stream, pieces)) == whole


@settings(deadline=None)
@given(histories(), st.data())
def test_what_follows_never_changes_what_was_known(stream: Stream, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(stream.events)))
    known = fold_all(None, stream.events[:cut], stream.id)
    before = to_bytes(known)
    fold_all(known, stream.events[cut:], stream.id)
    assert to_bytes(known) == before
    assert [e.text for e in entries_of(stream.events)][:cut] == [
        e.text for e in entries_of(stream.events[:cut])
    ]


late_kinds = st.sampled_from(["severity", "handover", "note", "encounter", "attending"])
LONG_AGO = "2001-05-02"
VIEW = viewpoint(STINTS[1], "Europe/Paris", START, 10**6)


@settings(deadline=None)
@given(histories(), st.lists(late_kinds, min_size=1, max_size=30), st.data())
def test_a_late_entry_lowers_no_tier_and_replaces_nothing_newer(
    stream: Stream, late: list[str], data: st.DataObject
) -> None:
    known = len(stream.events)
    before = fold_all(None, stream.events, stream.id)
    bytes_before = to_bytes(before)
    for kind in late:
        payload = data.draw(payloads[kind])
        if kind == "attending":
            payload = MedecinTraitantDeclared(kind="person", since=LONG_AGO, name="Dr Ancien")
        stream.add(payload, occurred_at=LONG_AGO)
    after = fold_all(None, stream.events, stream.id)
    tiers = [rank([each], VIEW, RULES)[0].tier for each in (before, after)]
    assert tiers[1] <= tiers[0]
    for name in ("severity", "handover", "last_contact", "medecin_traitant"):
        if getattr(before, name) is not None:
            assert getattr(after, name) == getattr(before, name)
    spoken, again = before.one_liner(), after.one_liner()
    if spoken is not None:
        assert again is not None
        assert (again.text, again.line) == (spoken.text, spoken.line)
    assert after.firing == before.firing
    assert to_bytes(fold_all(None, stream.events[:known], stream.id)) == bytes_before


@settings(deadline=None)
@given(histories())
def test_decisions_and_views_hold_the_same_to_be_in_force(stream: Stream) -> None:
    summary = fold_all(None, stream.events, stream.id)
    record = fold(None, stream.events)
    assert record is not None
    shown = summary.severity
    assert current_severity(record) == (shown.detail["severity"] if shown else None)
    attending, declared = summary.medecin_traitant, medecin_traitant(record)
    assert (attending.detail["since"] if attending else None) == (
        declared.since if declared else None
    )


@settings(deadline=None)
@given(histories())
def test_every_open_item_has_somebody_at_every_moment(stream: Stream) -> None:
    for cut in range(1, len(stream.events) + 1):
        summary = fold_all(None, stream.events[:cut], stream.id)
        pairs = [(item, summary) for item in summary.open_items]
        for day in (-20, 1, 6, 9, 40):
            lines = board(pairs, MONDAY + timedelta(days=day, hours=1), DIRECTORY)
            assert len(lines) == len(pairs)
            assert all(line.answerable is not None and line.owner for line in lines)


@settings(deadline=None)
@given(histories())
def test_open_items_are_those_opened_and_neither_closed_nor_in_error(stream: Stream) -> None:
    standing: dict[UUID, UUID | None] = {}
    for event in stream.events:
        target = event.envelope.target
        match event.payload:
            case ItemOpened():
                standing[event.event_id] = None
            case ItemClosed() if target in standing:
                standing[target] = event.event_id
            case EntryMarkedInError() if target is not None:
                standing.pop(target, None)
                for item, closing in standing.items():
                    if closing == target:
                        standing[item] = None
            case _:
                pass
    found = {item.line.entry_id for item in fold_all(None, stream.events, stream.id).open_items}
    assert found == {item for item, closing in standing.items() if closing is None}


@settings(max_examples=40, deadline=None)
@given(st.lists(histories(12), min_size=1, max_size=6), st.integers(1, 3), st.integers(-2, 9))
def test_cards_are_canonical_within_budget_and_the_same_from_extracts(
    streams: list[Stream], week: int, day: int
) -> None:
    by_patient = {s.id: s for s in streams}
    wholes = [fold_all(None, s.events, s.id) for s in by_patient.values()]
    view = viewpoint(STINTS[week], "Europe/Paris", START + timedelta(days=day), 3)
    ranked = rank(wholes, view, RULES)
    thin = rank([from_bytes(to_bytes(extract(each))) for each in wholes], view, RULES)
    assert [each.key for each in ranked] == [each.key for each in thin]
    cards = [build_card(each, view, DIRECTORY, RULES) for each in ranked]
    again = [card_bytes(build_card(each, view, DIRECTORY, RULES)) for each in thin]
    assert [card_bytes(card) for card in cards] == again
    head = {
        "centre": "C", "doctor": "Dr", "period": "du … au …", "replaces": "", "colleagues": [],
        "numbers": [], "referent": "Dr R",
    }  # fmt: skip
    for card in cards:
        assert card_bytes(card) == rfc8785.dumps(card)
        assert card_words(card) <= RULES.card.words
        assert card["allergies"]["state"] in ("known", "none", "not-asked")
    assert page_words(head, page(head, cards, RULES)) <= RULES.page.words
