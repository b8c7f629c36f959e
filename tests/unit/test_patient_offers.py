"""Items that change hands, are revised and reopened: never without somebody who answers."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from releve.domain.aggregates.deciding import Colleague
from releve.domain.aggregates.patient.corrections import EntryMarkedInError
from releve.domain.aggregates.patient.identity import Registered
from releve.domain.aggregates.patient.offers import (
    ItemAccepted,
    ItemDeclined,
    ItemOffered,
    owner_of,
    pending_offer,
)
from releve.domain.aggregates.patient.open_items import (
    ItemClosed,
    ItemOpened,
    ItemReopened,
    ItemRevised,
    current_item,
    open_items,
    owner_at,
)
from releve.domain.commands import (
    AcceptItem,
    DeclineItem,
    OfferItem,
    ReopenItem,
    ReviseItem,
)
from releve.domain.events import Author
from releve.domain.values import NamedPerson, Owner
from support.given import (
    AMONT,
    AVAL,
    CENTRE,
    COORDINATOR,
    NOW,
    NURSE,
    REFERENT,
    Given,
    Told,
    entry,
    given,
    named,
    stint_of,
)

REGISTERED = Registered(birth_name="EXEMPLE")
ITEM = ItemOpened(kind="call", text="Appeler", due="2026-11-27")
ADMIN = ItemOpened(kind="admin", text="Renvoyer le dossier", no_deadline=True)
MINE = ItemOpened(
    kind="call",
    text="Appeler",
    due="2026-11-27",
    owner=Owner(person=AMONT.person, stint=AMONT.stint),
)
TO_AVAL = ItemOffered(to=Owner(person=AVAL.person), to_name="Dr Aval")
CLOSED = ItemClosed(outcome="done", evidence="Fait")
REFERENT_PERSON = NamedPerson(name=REFERENT.name, phone="+33 5 99 00 00 01", person=REFERENT.person)
DURING = datetime.fromisoformat("2026-11-24T10:00:00+01:00")
INTERN = Author(role="intern", name="Alix", person=named("amont"), stint=named("stint of amont"))


def about(payload: Any, **more: Any) -> Told:
    return Told(payload, target=entry(2), **more)


def holder(record: Given, at: datetime = DURING) -> Any:
    first, second = stint_of(AMONT), stint_of(AVAL)
    stints = {first.id: first, second.id: second}
    item = record.state.entries[entry(2)]
    owner = owner_of(record.state, item)
    return owner_at(owner, CENTRE, at, stints, REFERENT_PERSON).person


# Offers (scenario 23)


def test_an_offer_leaves_the_item_with_whom_it_is() -> None:
    record = given(REGISTERED, MINE)
    answer = record.when(
        OfferItem(item=entry(2), to=Owner(person=AVAL.person), to_name="Dr Aval", message="Mardi ?")
    )
    answer.then(ItemOffered(to=Owner(person=AVAL.person), to_name="Dr Aval", message="Mardi ?"))
    offer = pending_offer(answer.state, entry(2))
    assert offer == answer.events[0]
    assert holder(given(REGISTERED, MINE, about(TO_AVAL))) == AMONT.person


def test_who_accepts_holds_it_while_their_stint_lasts() -> None:
    answer = given(REGISTERED, MINE, about(TO_AVAL)).when(AcceptItem(item=entry(2)), by=AVAL)
    taken = ItemAccepted(owner=Owner(person=AVAL.person, stint=AVAL.stint))
    answer.then(taken)
    assert pending_offer(answer.state, entry(2)) is None
    record = given(REGISTERED, MINE, about(TO_AVAL), about(taken))
    assert holder(record) == AVAL.person
    assert holder(record, DURING + timedelta(days=7)) == REFERENT.person
    undone = given(
        REGISTERED, MINE, about(TO_AVAL), about(taken), Told(EntryMarkedInError(), target=entry(4))
    )
    assert holder(undone) == AMONT.person


def test_a_declined_item_stays_with_whom_it_was() -> None:
    record = given(REGISTERED, MINE, about(TO_AVAL))
    record.when(DeclineItem(item=entry(2), reason=" "), by=AVAL).invalid(
        "missing-field", field="reason"
    )
    answer = record.when(DeclineItem(item=entry(2), reason="Je pars jeudi"), by=AVAL)
    answer.then(ItemDeclined())
    assert (answer.events[0].envelope.target, answer.events[0].envelope.reason) == (
        entry(2),
        "Je pars jeudi",
    )
    declined = given(REGISTERED, MINE, about(TO_AVAL), about(ItemDeclined(), author=AVAL))
    assert holder(declined) == AMONT.person
    declined.when(AcceptItem(item=entry(2)), by=AVAL).refused("not-offered-to-you", field="item")


@pytest.mark.parametrize(
    ("to", "by", "owner"),
    [
        (Owner(), AVAL, Owner(person=AVAL.person, stint=AVAL.stint)),
        (Owner(), INTERN, Owner(person=INTERN.person, stint=INTERN.stint)),
        (Owner(), REFERENT, Owner(role="referent")),
        (Owner(role="referent"), REFERENT, Owner(role="referent")),
        (
            Owner(person=REFERENT.person),
            REFERENT,
            Owner(role="referent", person=REFERENT.person),
        ),
        (Owner(role="coordinator"), COORDINATOR, Owner(role="coordinator")),
    ],
)
def test_who_fills_the_role_may_accept(to: Owner, by: Author, owner: Owner) -> None:
    stint = stint_of(by) if by.stint is not None else None
    record = given(REGISTERED, MINE, about(ItemOffered(to=to, to_name="x")))
    answer = record.when(AcceptItem(item=entry(2)), by=by, stint=stint)
    answer.then(ItemAccepted(owner=owner))
    assert owner_of(answer.state, answer.state.entries[entry(2)]) == owner


@pytest.mark.parametrize(
    ("told", "by", "code"),
    [
        ((), AVAL, "not-offered-to-you"),
        ((about(ItemOffered(to=Owner(role="referent"))),), AVAL, "not-offered-to-you"),
        ((about(ItemOffered(to=Owner())),), COORDINATOR, "not-offered-to-you"),
        ((about(TO_AVAL),), AMONT, "not-offered-to-you"),
        ((about(TO_AVAL), about(ItemOffered(to=Owner(role="referent")))), AVAL,
         "not-offered-to-you"),
        ((about(ItemOffered(to=Owner(person=NURSE.person), to_name="x")),), NURSE,
         "cannot-answer-for-it"),
        ((about(TO_AVAL), about(CLOSED)), AVAL, "item-already-closed"),
        ((about(TO_AVAL), about(CLOSED), about(ItemReopened())), AVAL, "not-offered-to-you"),
    ],
)  # fmt: skip
def test_nobody_takes_what_is_not_offered_to_them(
    told: tuple[Told, ...], by: Author, code: str
) -> None:
    given(REGISTERED, MINE, *told).when(AcceptItem(item=entry(2)), by=by).refused(code)


@pytest.mark.parametrize(
    ("offer", "code", "field"),
    [
        (OfferItem(item=entry(1), to=Owner()), "unknown-item", "item"),
        (OfferItem(item=entry(2), to=Owner(person=AVAL.person)), "missing-field", "to_name"),
        (OfferItem(item=entry(2), to=Owner(person=AVAL.person, stint=AVAL.stint), to_name="x"),
         "invalid-field", "to.stint"),
        (OfferItem(item=entry(2), to=Owner(person=AMONT.person), to_name="x"),
         "already-theirs", "to"),
    ],
)  # fmt: skip
def test_an_offer_names_an_open_item_and_somebody_else(
    offer: OfferItem, code: str, field: str
) -> None:
    answer = given(REGISTERED, MINE).when(offer)
    assert answer.refusal is not None
    assert (answer.refusal.code, answer.refusal.field) == (code, field)
    given(REGISTERED, ITEM).when(OfferItem(item=entry(2), to=Owner())).refused("already-theirs")


@pytest.mark.parametrize(
    ("colleague", "code"),
    [
        (Colleague(), "cannot-accept"),
        (Colleague(names=("Dr Aval",)), "cannot-accept"),
        (Colleague(names=("Dr Aval",), stays_until=NOW), "cannot-accept"),
        (Colleague(names=("Dr Maud Amont",), standing=True), "another-name"),
        (Colleague(names=("Dr Aval",), stays_until=NOW + timedelta(days=9)), None),
        (Colleague(names=("Docteur Léa AVAL",), standing=True), None),
    ],
)
def test_an_offer_goes_to_somebody_who_can_take_it(colleague: Colleague, code: str | None) -> None:
    command = OfferItem(item=entry(2), to=Owner(person=AVAL.person), to_name="Dr Aval")
    answer = given(REGISTERED, ITEM).when(command, colleague=colleague)
    if code is None:
        answer.then(TO_AVAL)
    else:
        answer.refused(code, field="to_name" if code == "another-name" else "to")


# Revised, reopened


def test_an_item_says_something_else_and_keeps_its_age() -> None:
    record = given(REGISTERED, ITEM)
    answer = record.when(
        ReviseItem(item=entry(2), due="2026-12-04", text="Rappeler", reason="Absent cette semaine")
    )
    answer.then(ItemRevised(text="Rappeler", due="2026-12-04"))
    assert answer.events[0].envelope.reason == "Absent cette semaine"
    (item,) = open_items(answer.state)
    assert item.recorded_at == record.state.entries[entry(2)].recorded_at
    assert current_item(answer.state, item) == ItemOpened(
        kind="call", text="Rappeler", due="2026-12-04"
    )
    open_ended = given(REGISTERED, ITEM, about(ItemRevised(no_deadline=True)))
    assert current_item(open_ended.state, item) == ItemOpened(
        kind="call", text="Appeler", no_deadline=True
    )
    dated = given(
        REGISTERED, ITEM, about(ItemRevised(no_deadline=True)), about(ItemRevised(due="2026-12-01"))
    )
    assert current_item(dated.state, item).due == "2026-12-01"
    assert not current_item(dated.state, item).no_deadline


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({}, "missing-field", "data"),
        ({"text": "Appeler"}, "missing-field", "data"),
        ({"text": " "}, "missing-field", "text"),
        ({"due": "demain"}, "invalid-field", "due"),
        ({"due": "2026-12-01", "no_deadline": True}, "invalid-field", "no_deadline"),
        ({"text": "Rappeler", "no_deadline": False}, "missing-field", "due"),
        ({"due": "2026-12-01", "reason": " "}, "missing-field", "reason"),
    ],
)
def test_a_revision_changes_something_for_a_reason(
    change: dict[str, Any], code: str, field: str
) -> None:
    asked = ReviseItem(item=entry(2), **{"reason": "Absent", **change})
    given(REGISTERED, ITEM).when(asked).invalid(code, field=field)


def test_the_desk_brings_deadlines_forward_and_changes_the_rest_of_admin_items_only() -> None:
    sooner = ReviseItem(item=entry(2), due="2026-11-25", reason="Avancé par l'hôpital")
    calm = ReviseItem(item=entry(2), harm_if_late=True, reason="x")
    given(REGISTERED, ITEM).when(sooner, by=COORDINATOR).then(ItemRevised(due="2026-11-25"))
    given(REGISTERED, ITEM).when(calm, by=COORDINATOR).refused("clinical-item", field="item")
    given(REGISTERED, ADMIN).when(calm, by=COORDINATOR).then(ItemRevised(harm_if_late=True))


@pytest.mark.parametrize(
    ("item", "refused"),
    [
        ({"kind": "admin", "due": "2026-11-27"}, False),
        ({"kind": "admin", "due": "2026-11-24"}, False),
        ({"kind": "admin", "due": "2026-11-23"}, True),  # overdue since this morning
        ({"kind": "admin", "due": "2026-11-27", "harm_if_late": True}, True),
        ({"kind": "result", "due": "2026-11-27"}, True),
        ({"kind": "referral", "due": "2026-11-27", "harm_if_late": True}, True),
    ],
)
def test_the_desk_puts_off_only_what_harms_nobody_by_waiting(
    item: dict[str, Any], refused: bool
) -> None:
    record = given(REGISTERED, ItemOpened(text="Rappeler", **item))
    for change in ({"due": "2026-12-04"}, {"no_deadline": True}):
        asked = ReviseItem(item=entry(2), reason="Repoussé par l'hôpital", **change)
        record.when(asked).then(ItemRevised(**change))
        answer = record.when(asked, by=COORDINATOR)
        if refused:
            answer.refused("not-the-desk-to-put-off", field="due")
        else:
            answer.then(ItemRevised(**change))


def test_the_desk_does_not_make_an_item_look_harmless() -> None:
    item = ItemOpened(kind="admin", text="Rappeler", due="2026-11-27", harm_if_late=True)
    lifted = ReviseItem(item=entry(2), harm_if_late=False, reason="x")
    given(REGISTERED, item).when(lifted, by=COORDINATOR).refused("not-the-desk-to-put-off")
    given(REGISTERED, item).when(lifted).then(ItemRevised(harm_if_late=False))


def test_a_closed_item_is_reopened_for_a_reason() -> None:
    again = ReopenItem(item=entry(2), reason="Le patient n'est pas venu")
    closed = given(REGISTERED, ITEM, about(CLOSED))
    answer = closed.when(again)
    answer.then(ItemReopened())
    assert [event.event_id for event in open_items(answer.state)] == [entry(2)]
    given(REGISTERED, ITEM).when(again).refused("item-not-closed", field="item")
    closed.when(ReopenItem(item=entry(2), reason=" ")).invalid("missing-field", field="reason")
    closed.when(again, by=COORDINATOR).refused("role-not-allowed")
    closed.when(ReviseItem(item=entry(2), text="x", reason="y")).refused("item-already-closed")
