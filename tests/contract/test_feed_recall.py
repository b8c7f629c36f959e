"""The feed reads a record again from its beginning when a word takes back what was let go."""

from __future__ import annotations

import pytest

from releve.domain.aggregates.patient.corrections import EntryMarkedInError
from releve.domain.aggregates.patient.open_items import ItemClosed, ItemOpened
from releve.projections import records
from support.feed_house import House
from support.patient_events import Stream

pytestmark = pytest.mark.postgres


def close_many(house: House, stream: Stream, many: int = 20) -> None:
    for number in range(many):
        house.write(stream, ItemOpened(kind="call", text=f"Appel {number}", due="2026-11-20"))
        item = stream.events[-1].event_id
        house.write(stream, ItemClosed(outcome="done", evidence="fait"), target=item)


def test_a_closing_in_error_opens_its_item_after_many_others_were_closed(house: House) -> None:
    house.found()
    stream = house.person(1)
    close_many(house, stream)
    first, closing = stream.events[1], stream.events[2]
    other = house.person(2)
    house.run()
    assert house.rows("open_item") == 0
    house.write(stream, EntryMarkedInError(), target=closing.event_id, reason="autre patient")
    house.write(other, ItemOpened(kind="call", text="Appeler", due="2026-11-20"))
    house.run()
    found = records.read_patient(house.database.service_pool, house.ledger.data_keys, stream.id)
    assert found is not None
    assert [item.line.entry_id for item in found.summary.open_items] == [first.event_id]
    assert house.rows("open_item") == 2
    close_many(house, stream)
    house.write(stream, ItemClosed(outcome="done", evidence="fait"), target=first.event_id)
    house.run()
    assert house.rows("open_item") == 1
    assert house.feed.rebuild(check=True).identical is True
