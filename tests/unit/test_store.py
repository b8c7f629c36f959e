"""What the store decides without a database: times, links and what a pool's connection is told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID, uuid4

import pytest
from eventsourcing.persistence import IntegrityError, OperationalError, StoredEvent

from releve.security.errors import LedgerDown
from releve.security.ledger.connection import LedgerUnreachable
from releve.security.ledger.envelope import GENESIS, leaf_hash, seal
from releve.security.ledger.mapper import microseconds
from releve.security.ledger.recorder import (
    ChainBroken,
    ClaimTaken,
    ClockRefused,
    DuplicateEvent,
    Link,
    OutcomeUnknown,
    Refusal,
    VersionConflict,
    links_of,
)


def stored(stream: UUID, version: int, prev: bytes) -> StoredEvent:
    header, body = seal(
        bytes(32),
        event_class=1,
        event_id=uuid4(),
        stream=stream,
        version=version,
        recorded_at_us=1,
        session=UUID(int=0),
        key_generation=1,
        prev=prev,
        content=("patient.note-signed", 1, {}, {}),
    )
    return StoredEvent(stream, version, "patient", header + body)


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        (datetime(1970, 1, 1, tzinfo=UTC), 0),
        (datetime(2026, 11, 23, 7, 30, 0, 1, tzinfo=UTC), 1_795_419_000_000_001),
        (datetime(2026, 11, 23, 8, 30, tzinfo=timezone(timedelta(hours=1))), 1_795_419_000_000_000),
        (datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), 253_402_300_799_999_999),
    ],
)
def test_times_are_whole_microseconds(when: datetime, expected: int) -> None:
    assert microseconds(when) == expected


def test_a_batch_is_linked_where_each_stream_enters_it() -> None:
    new, old = uuid4(), uuid4()
    first = stored(new, 1, GENESIS)
    sixth = stored(old, 6, b"p" * 32)
    batch = [
        first,
        stored(new, 2, leaf_hash(first.state[:172])),
        sixth,
        stored(old, 7, leaf_hash(sixth.state[:172])),
    ]
    assert links_of(batch) == [Link(old, 5, b"p" * 32)]
    assert links_of(batch[:2]) == []
    assert links_of([]) == []


@pytest.mark.parametrize(
    ("refusal", "cause"),
    [
        (VersionConflict, "version"),
        (ChainBroken, "chain"),
        (DuplicateEvent, "event-id"),
        (ClaimTaken, "claim"),
        (ClockRefused, "clock"),
    ],
)
def test_a_refusal_is_the_librarys_conflict_and_says_why(
    refusal: type[Refusal], cause: str
) -> None:
    assert issubclass(refusal, IntegrityError)
    assert refusal.cause == cause


def test_an_outage_is_never_a_refusal() -> None:
    for outage in (OutcomeUnknown, LedgerUnreachable):
        assert issubclass(outage, LedgerDown)
        assert issubclass(outage, OperationalError)
        assert not issubclass(outage, IntegrityError)
