"""A ledger with its feed and its editions, and people to write about."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from releve.domain.aggregates.health_centre import CentreOpened
from releve.domain.aggregates.patient.identity import Registered
from releve.domain.aggregates.stint import StintPlanned, StintStarted
from releve.domain.events import CENTRE as CENTRE_CLASS
from releve.domain.events import STINT as STINT_CLASS
from releve.domain.events import Payload
from releve.domain.values import NamedPerson
from releve.projections import editions, records
from releve.projections.feed import Feed
from support.ledger import Ledger, unguarded
from support.patient_events import CENTRE, Stream
from support.postgres import Database

NOW = datetime(2026, 11, 23, 7, 30, tzinfo=UTC)
REFERENT = NamedPerson(name="Dr Odile Référente", phone="+33 5 99 00 00 01")


class House:
    """A ledger with its feed, and people to write about."""

    def __init__(self, database: Database, keys: Path) -> None:
        self.ledger = Ledger(database, keys, skew=None)
        self.database = database
        self.feed = self.another_feed()
        self.records = records.CentreRecords(database.service_pool, self.ledger.data_keys)
        self.editions = editions.Editions(
            database.service_pool,
            self.ledger.data_keys,
            self.records,
            self.ledger.reader.known_at,
        )
        self.written: dict[UUID, int] = {}
        self.centre = Stream(90_000, event_class=CENTRE_CLASS)
        self.centre.id = CENTRE
        self.stint = Stream(90_001, event_class=STINT_CLASS)

    def another_feed(self) -> Feed:
        return Feed(self.database.worker_pool, self.ledger.reader, self.ledger.data_keys)

    def write(self, stream: Stream, *payloads: Payload, **envelope: Any) -> None:
        for payload in payloads:
            stream.add(payload, **envelope)
        done = self.written.get(stream.id, 0)
        self.ledger.put(stream.events[done:])
        self.written[stream.id] = len(stream.events)

    def found(self) -> None:
        self.write(
            self.centre,
            CentreOpened(
                name="Centre d'Ajonc",
                finess="990000010",
                referent=REFERENT,
                on_call_chain=(REFERENT, NamedPerson(name="Dr B", phone="+33 5 99 00 00 02")),
            ),
        )
        self.write(
            self.stint,
            StintPlanned(
                practitioner=UUID(int=7),
                practitioner_name="Dr Paul Lenoir",
                centre=CENTRE,
                starts_at="2026-11-23T08:00:00+01:00",
                ends_at="2026-11-28T13:00:00+01:00",
            ),
            StintStarted(rpps_verified=True),
        )

    def person(self, number: int, *payloads: Payload) -> Stream:
        stream = Stream(number)
        self.write(
            stream,
            Registered(birth_name=f"FOURNIER{number}", first_names=("Zoé",), birth_date="1950"),
            *payloads,
        )
        return stream

    def number(self) -> int:
        self.ledger.number()
        return self.ledger.reader.head().size - 1

    def run(self) -> int:
        self.number()
        return self.feed.run_until_idle()

    def rows(self, table: str) -> int:
        with self.database.owner_pool.connection() as connection:
            row = connection.execute(
                f"SELECT count(*) FROM projection.{table}"  # noqa: S608 - our own names
            ).fetchone()
        assert row is not None
        assert isinstance(row[0], int)
        return row[0]

    def change(self, statement: str, *parameters: object) -> None:
        with self.database.owner_pool.connection() as connection:
            connection.execute(statement, parameters)


def poison(house: House, stream: Stream, version: int) -> bytes:
    """Damage one event's body in the database, as an attacker or a bad disk would; what it was."""
    ((body,),) = unguarded(
        house.database,
        "SELECT body FROM ledger.event WHERE stream = %s AND version = %s",
        stream.id,
        version,
    )
    assert isinstance(body, bytes)
    unguarded(
        house.database,
        "UPDATE ledger.event SET body = %s WHERE stream = %s AND version = %s",
        body[:-1] + bytes([body[-1] ^ 1]),
        stream.id,
        version,
    )
    return body


def mend(house: House, stream: Stream, version: int, body: bytes) -> None:
    """Put back what ``poison`` damaged."""
    unguarded(
        house.database,
        "UPDATE ledger.event SET body = %s WHERE stream = %s AND version = %s",
        body,
        stream.id,
        version,
    )
