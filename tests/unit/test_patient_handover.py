"""Open items, contingencies, handovers and read-backs: what one doctor leaves for the next."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

import pytest

from releve.domain.aggregates.patient.contingencies import (
    ContingencySet,
    matches,
)
from releve.domain.aggregates.patient.corrections import EntryMarkedInError
from releve.domain.aggregates.patient.handover import (
    MOST_READ_BACKS,
    HandoverReadBack,
    HandoverWritten,
)
from releve.domain.aggregates.patient.identity import Registered
from releve.domain.aggregates.patient.open_items import (
    ItemClosed,
    ItemOpened,
    is_overdue,
    open_items,
    owner_at,
)
from releve.domain.aggregates.patient.severity import IllnessSeveritySet
from releve.domain.commands import (
    CloseItem,
    OpenItem,
    ReadBackHandover,
    SetContingency,
    WriteHandover,
)
from releve.domain.events import Author
from releve.domain.values import NamedPerson, Owner, Quantity, Threshold
from support.given import (
    AMONT,
    AVAL,
    CENTRE,
    COORDINATOR,
    REFERENT,
    Told,
    entry,
    given,
    named,
    stint_of,
)

REGISTERED = Registered(birth_name="EXEMPLE")
ITEM = ItemOpened(kind="result", text="Rappeler le laboratoire", due="2026-11-27")
ADMIN = ItemOpened(kind="admin", text="Renvoyer le dossier", no_deadline=True)
CLOSED = ItemClosed(outcome="done", evidence="Fait")
HANDOVER = HandoverWritten(severity="watcher", summary="Insuffisance cardiaque")
T0 = HandoverWritten(severity="unstable", summary="Dyspnée de repos")
REFERENT_PERSON = NamedPerson(name=REFERENT.name, phone="+33 5 99 00 00 01", person=REFERENT.person)
AMONT_LATER = Author(
    role="doctor", name=AMONT.name, person=AMONT.person, stint=named("second stint of amont")
)


# Open items


def test_an_item_is_due_or_says_that_it_has_no_deadline() -> None:
    open_item = OpenItem(kind="result", text="Rappeler le laboratoire")
    given(REGISTERED).when(open_item).invalid("missing-field", field="due")
    both = OpenItem(kind="result", text="x", due="2026-11-27", no_deadline=True)
    given(REGISTERED).when(both).invalid("invalid-field", field="no_deadline")
    given(REGISTERED).when(
        OpenItem(kind="result", text="Rappeler le laboratoire", due="2026-11-27")
    ).then(ITEM)
    given(REGISTERED).when(OpenItem(kind="result", text="x", due="demain")).invalid(
        "invalid-field", field="due"
    )


def test_a_person_owns_only_what_they_accepted() -> None:
    mine = OpenItem(kind="call", text="Appeler", due="2026-11-27", owner=Owner(person=AMONT.person))
    given(REGISTERED).when(mine).then(
        ItemOpened(
            kind="call",
            text="Appeler",
            due="2026-11-27",
            owner=Owner(person=AMONT.person, stint=AMONT.stint),
        )
    )
    theirs = OpenItem(kind="call", text="x", due="2026-11-27", owner=Owner(person=AVAL.person))
    given(REGISTERED).when(theirs).refused("owner-has-not-accepted", field="owner")


def test_an_item_is_closed_once_with_evidence() -> None:
    answer = given(REGISTERED, ITEM).when(CloseItem(item=entry(2), evidence="Normal"))
    answer.then(ItemClosed(outcome="done", evidence="Normal"))
    assert list(open_items(answer.state)) == []
    given(REGISTERED, ITEM, Told(CLOSED, target=entry(2))).when(
        CloseItem(item=entry(2), evidence="Normal")
    ).refused("item-already-closed")
    given(REGISTERED, ITEM).when(CloseItem(item=entry(2), evidence=" ")).invalid(
        "missing-field", field="evidence"
    )
    given(REGISTERED, ITEM).when(CloseItem(item=entry(1), evidence="x")).refused("unknown-item")


def test_the_coordinator_closes_only_administrative_items() -> None:
    record = given(REGISTERED, ITEM, ADMIN)
    record.when(CloseItem(item=entry(2), evidence="Fait"), by=COORDINATOR).refused("clinical-item")
    record.when(CloseItem(item=entry(3), evidence="Fait"), by=COORDINATOR).then(CLOSED)


def test_a_closing_marked_in_error_opens_its_item_again() -> None:
    closing = Told(CLOSED, target=entry(2))
    undone = given(REGISTERED, ITEM, closing, Told(EntryMarkedInError(), target=entry(3)))
    assert [item.event_id for item in open_items(undone.state)] == [entry(2)]
    undone.when(CloseItem(item=entry(2), evidence="Fait")).then(CLOSED)


@pytest.mark.parametrize(
    ("at", "overdue"),
    [("2026-11-27T23:59:00+01:00", False), ("2026-11-28T00:00:00+01:00", True)],
)
def test_an_item_is_overdue_after_its_civil_day(at: str, overdue: bool) -> None:
    assert is_overdue(ITEM, datetime.fromisoformat(at), "Europe/Paris") is overdue
    assert is_overdue(ADMIN, datetime.fromisoformat("2099-01-01T00:00:00+01:00"), "UTC") is False


# Ownership by fold (scenario 1)

DURING = datetime.fromisoformat("2026-11-24T10:00:00+01:00")
NEXT_WEEK = datetime.fromisoformat("2026-12-01T10:00:00+01:00")
NEXT = stint_of(AVAL, "2026-11-30T08:00:00+01:00", "2026-12-05T13:00:00+01:00")


def test_a_stint_that_ends_leaves_its_items_to_the_doctor_in_post_or_the_referent() -> None:
    accepted = Owner(person=AMONT.person, stint=AMONT.stint)
    first = stint_of(AMONT)
    stints = {first.id: first, NEXT.id: NEXT}
    for owner in (accepted, Owner()):
        before = owner_at(owner, CENTRE, DURING, stints, REFERENT_PERSON)
        assert (before.person, before.stint) == (AMONT.person, AMONT.stint)
        between = datetime.fromisoformat("2026-11-29T10:00:00+01:00")
        gap = owner_at(owner, CENTRE, between, stints, REFERENT_PERSON)
        assert (gap.role, gap.person, gap.name) == ("referent", REFERENT.person, REFERENT.name)
        after = owner_at(owner, CENTRE, NEXT_WEEK, stints, REFERENT_PERSON)
        assert (after.role, after.person) == ("medecin_en_poste", AVAL.person)


def test_at_the_very_instant_of_an_early_end_the_items_are_the_referents() -> None:
    cut_at = "2026-11-25T12:00:00+01:00"
    cut = stint_of(AMONT, ended=cut_at)
    at = datetime.fromisoformat(cut_at)
    owner = Owner(person=AMONT.person, stint=AMONT.stint)
    held = owner_at(owner, CENTRE, at, {cut.id: cut}, REFERENT_PERSON)
    assert held.role == "referent"
    before = owner_at(owner, CENTRE, at - timedelta(seconds=1), {cut.id: cut}, REFERENT_PERSON)
    assert before.person == AMONT.person


def test_with_two_doctors_in_post_each_item_has_one_owner() -> None:
    first, overlap = stint_of(AMONT), stint_of(AVAL, "2026-11-24T08:00:00+01:00")
    stints = {overlap.id: overlap, first.id: first}
    assert owner_at(Owner(), CENTRE, DURING, stints, REFERENT_PERSON).person == AMONT.person
    kept = Owner(person=AVAL.person, stint=AVAL.stint)
    assert owner_at(kept, CENTRE, DURING, stints, REFERENT_PERSON).person == AVAL.person


def test_roles_at_the_centre_keep_what_is_theirs() -> None:
    first = stint_of(AMONT)
    stints = {first.id: first}
    coordinator = owner_at(Owner(role="coordinator"), CENTRE, DURING, stints, REFERENT_PERSON)
    assert coordinator.role == "coordinator"
    referent = owner_at(Owner(role="referent"), CENTRE, DURING, stints, REFERENT_PERSON)
    assert referent.person == REFERENT.person
    elsewhere = owner_at(Owner(), named("other"), DURING, stints, REFERENT_PERSON)
    assert elsewhere.role == "referent"


# Contingencies

THRESHOLD = Threshold(loinc="2823-3", comparator=">", value="5.5", unit="mmol/L")


def test_a_contingency_says_if_and_then_and_its_threshold_is_a_measure() -> None:
    asked = SetContingency(condition="K+ > 5,5", action="ECG", threshold=THRESHOLD)
    given(REGISTERED).when(asked).then(
        ContingencySet(condition="K+ > 5,5", action="ECG", threshold=THRESHOLD)
    )
    for part, bad in (
        ("loinc", Threshold(loinc="2823-4", comparator=">", value="5.5", unit="mmol/L")),
        ("value", Threshold(loinc="2823-3", comparator=">", value="cinq", unit="mmol/L")),
        ("unit", Threshold(loinc="2823-3", comparator=">", value="5.5", unit="mmol")),
    ):
        wrong = SetContingency(condition="K+", action="ECG", threshold=bad)
        if part == "unit":  # mmol is a unit, but nobody measures a concentration in it
            given(REGISTERED).when(wrong).then(
                ContingencySet(condition="K+", action="ECG", threshold=bad)
            )
        else:
            given(REGISTERED).when(wrong).invalid("invalid-field", field=f"threshold.{part}")
    given(REGISTERED).when(SetContingency(condition="K+", action=" ")).invalid(
        "missing-field", field="action"
    )


@pytest.mark.parametrize(
    ("value", "unit", "match"),
    [
        ("5.6", "mmol/L", "met"),
        ("5.5", "mmol/L", "not-met"),
        ("5.6", "mg/dL", "unit-error"),
        ("5.6", None, "unit-error"),
    ],
)
def test_a_threshold_in_another_unit_is_an_error_never_a_no(
    value: str, unit: str | None, match: str
) -> None:
    assert matches(THRESHOLD, Quantity(value=value, unit=unit)) == match


# Handover


def test_a_handover_is_one_append_with_what_comes_along() -> None:
    answer = given(REGISTERED, ITEM).when(
        WriteHandover(
            severity="unstable",
            severity_reason="Dyspnée de repos",
            summary="Insuffisance cardiaque décompensée",
            actions=("Peser lundi",),
            items=(entry(2),),
            new_items=(OpenItem(kind="call", text="Appeler la fille", due="2026-11-30"),),
            new_contingencies=(SetContingency(condition="+ 2 kg", action="Doubler le diurétique"),),
        )
    )
    severity, item, contingency, handover = answer.events
    answer.then(
        IllnessSeveritySet(severity="unstable", reason="Dyspnée de repos"),
        ItemOpened(kind="call", text="Appeler la fille", due="2026-11-30"),
        ContingencySet(condition="+ 2 kg", action="Doubler le diurétique"),
        HandoverWritten(
            severity="unstable",
            summary="Insuffisance cardiaque décompensée",
            actions=("Peser lundi",),
            items=(entry(2), item.event_id),
            contingencies=(contingency.event_id,),
        ),
    )
    assert list(answer.state.standing(answer.state.handovers)) == [handover]
    assert severity.envelope.command_digest is not None


def test_an_unchanged_severity_is_not_set_again() -> None:
    stable = IllnessSeveritySet(severity="stable")
    given(REGISTERED, stable).when(WriteHandover(severity="stable", summary="RAS")).then(
        HandoverWritten(severity="stable", summary="RAS")
    )


def test_a_handover_supersedes_the_same_stints_previous_one_only() -> None:
    others = Told(HANDOVER, author=AVAL)
    record = given(REGISTERED, IllnessSeveritySet(severity="watcher"), others, HANDOVER)
    answer = record.when(WriteHandover(severity="watcher", summary="Mieux"))
    assert answer.events[-1].envelope.target == entry(4)
    standing = [event.event_id for event in answer.state.standing(answer.state.handovers)]
    assert standing == [entry(3), answer.events[-1].event_id]


def test_a_late_handover_about_an_earlier_day_does_not_replace_the_newer_one() -> None:
    late = Told(HANDOVER, target=entry(2), at="2026-11-20T10:00:00+01:00")
    record = given(REGISTERED, HANDOVER, late)
    assert [event.event_id for event in record.state.standing(record.state.handovers)] == [entry(2)]
    next_one = record.when(WriteHandover(severity=HANDOVER.severity, summary="Mieux"))
    assert next_one.events[-1].envelope.target == entry(2)
    undone = given(REGISTERED, HANDOVER, late, Told(EntryMarkedInError(), target=entry(2))).state
    assert [event.event_id for event in undone.standing(undone.handovers)] == [entry(3)]


def test_a_newer_version_in_error_gives_the_older_one_back() -> None:
    second = Told(HANDOVER, target=entry(2))
    marked = Told(EntryMarkedInError(), target=entry(3))
    state = given(REGISTERED, HANDOVER, second, marked).state
    assert [event.event_id for event in state.standing(state.handovers)] == [entry(2)]


@pytest.mark.parametrize(
    ("handover", "field"),
    [
        (WriteHandover(severity="stable", summary="x", items=(named("nowhere"),)), "items[0]"),
        (WriteHandover(severity="stable", summary="x", items=(entry(1),)), "items[0]"),
        (WriteHandover(severity="stable", summary="x", items=(entry(2), entry(3))), "items[1]"),
        (
            WriteHandover(severity="stable", summary="x", contingencies=(entry(2),)),
            "contingencies[0]",
        ),
        (WriteHandover(severity="stable", summary="é" * 161), "summary"),
        (
            WriteHandover(
                severity="stable", summary="x", new_items=(OpenItem(kind="call", text="x"),)
            ),
            "new_items[0].due",
        ),
    ],
)
def test_a_handover_refers_to_what_stands(handover: WriteHandover, field: str) -> None:
    answer = given(REGISTERED, ITEM, ADMIN, Told(CLOSED, target=entry(3))).when(handover)
    assert answer.refusal is not None
    assert answer.refusal.field == field


def test_a_handover_is_written_up_to_72_hours_after_the_stint() -> None:
    after = datetime.fromisoformat("2026-11-29T10:00:00+01:00")
    late = WriteHandover(severity="stable", summary="RAS", late_reason="Train à prendre")
    answer = given(REGISTERED).when(late, now=after)
    assert answer.refusal is None


def test_a_stint_asks_for_seven_read_backs_at_most() -> None:
    asked = WriteHandover(severity="stable", summary="RAS", read_back_requested=True)
    assert given(REGISTERED).when(asked, read_backs_requested=MOST_READ_BACKS - 1).refusal is None
    given(REGISTERED).when(asked, read_backs_requested=MOST_READ_BACKS).refused(
        "too-many-read-backs", field="read_back_requested"
    )
    flagged = HandoverWritten(severity="stable", summary="RAS", read_back_requested=True)
    rewritten = given(REGISTERED, flagged).when(asked, read_backs_requested=MOST_READ_BACKS)
    assert rewritten.refusal is None


# Read-back


def test_the_receiver_restates_in_their_own_words() -> None:
    answer = given(REGISTERED, T0).when(
        ReadBackHandover(handover=entry(2), kind="restatement", text="Je la pèse à 9 h"), by=AVAL
    )
    answer.then(HandoverReadBack(kind="restatement", text="Je la pèse à 9 h"))
    assert [event.envelope.target for event in answer.events] == [entry(2)]


@pytest.mark.parametrize("kind", ["restatement", "question"])
def test_a_read_back_without_words_commits_to_nothing(
    kind: Literal["restatement", "question"],
) -> None:
    empty = ReadBackHandover(handover=entry(2), kind=kind, text="  ")
    given(REGISTERED, T0).when(empty, by=AVAL).refused("read-back-empty", field="text")


def test_one_key_takes_a_watcher_but_never_an_unstable_or_flagged_patient() -> None:
    takes = ReadBackHandover(handover=entry(2), kind="takes")
    given(REGISTERED, HANDOVER).when(takes, by=AVAL).then(HandoverReadBack(kind="takes"))
    given(REGISTERED, T0).when(takes, by=AVAL).refused("read-back-required")
    flagged = HandoverWritten(severity="stable", summary="RAS", read_back_requested=True)
    given(REGISTERED, flagged).when(takes, by=AVAL).refused("read-back-required")
    worse_since = IllnessSeveritySet(severity="unstable", reason="Dyspnée")
    given(REGISTERED, HANDOVER, worse_since).when(takes, by=AVAL).refused("read-back-required")


def test_the_sender_does_not_answer_except_in_the_next_stint() -> None:
    restated = ReadBackHandover(handover=entry(2), kind="restatement", text="Fait")
    given(REGISTERED, HANDOVER).when(restated, by=AMONT).refused("not-receiver")
    continued = ReadBackHandover(handover=entry(2), kind="continuation")
    given(REGISTERED, HANDOVER).when(continued, by=AMONT).refused("not-receiver")
    given(REGISTERED, HANDOVER).when(continued, by=AVAL).refused("not-receiver")
    again = stint_of(AMONT_LATER)
    given(REGISTERED, HANDOVER).when(continued, by=AMONT_LATER, stint=again).then(
        HandoverReadBack(kind="continuation")
    )


def test_only_the_last_version_that_stands_is_answered() -> None:
    restated = ReadBackHandover(handover=entry(2), kind="restatement", text="Vu")
    superseded = given(REGISTERED, HANDOVER, Told(HANDOVER, target=entry(2)))
    superseded.when(restated, by=AVAL).refused("handover-superseded")
    in_error = given(REGISTERED, HANDOVER, Told(EntryMarkedInError(), target=entry(2)))
    in_error.when(restated, by=AVAL).refused("handover-superseded")
    given(REGISTERED, ITEM).when(restated, by=AVAL).refused("unknown-handover")
