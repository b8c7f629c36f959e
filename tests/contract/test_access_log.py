"""Access entries on a real PostgreSQL: durable before anybody reads on, grouped, never doubled."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg_pool import ConnectionPool

from releve.security.access import EXPORTED, AccessEntry, AccessLog, Accessor, content_of, entry_of
from releve.security.errors import LogUnavailable, Tampered
from releve.security.keys.data_keys import ACCESS_STREAM, access_generation
from support.ledger import Ledger, now
from support.lossy_proxy import lossy_pool
from support.postgres import Database

pytestmark = pytest.mark.postgres

GARNIER = Accessor("doctor", "Dr Élise Garnier", UUID(int=1 << 100), UUID(int=2 << 100))


def entry(*patients: UUID, what: str = "patient-page") -> AccessEntry:
    return AccessEntry(GARNIER, "read-summary", what, patients, count=len(patients))


@pytest.fixture
def log(ledger: Ledger) -> Iterator[AccessLog]:
    made = AccessLog(ledger.database.service_pool, ledger.data_keys, now)
    yield made
    made.close()


def entries(ledger: Ledger) -> list[AccessEntry]:
    ledger.number()
    return [read.access for read in ledger.reader.by_position(-1, 1000) if read.access is not None]


def test_an_entry_is_durable_when_record_returns(log: AccessLog, ledger: Ledger) -> None:
    one, two = entry(uuid4()), entry(uuid4(), uuid4(), what="briefing")
    log.record(one)
    with psycopg.connect(ledger.database.owner_url) as other:
        assert other.execute("SELECT count(*) FROM ledger.event").fetchone() == (1,)
    log.record(two)
    assert entries(ledger) == [one, two]
    reads = ledger.reader.by_position(-1, 10)
    assert {read.header.stream for read in reads} == {log.stream}
    assert {read.header.event_class for read in reads} == {6}
    for read in reads:  # the month of each entry, not of the moment we look
        when = datetime.fromtimestamp(read.header.recorded_at / 1_000_000, UTC)
        assert read.header.key_generation == access_generation(when)


def test_nobody_is_named_in_the_clear(log: AccessLog, ledger: Ledger) -> None:
    patient = uuid4()
    log.record(entry(patient))
    with psycopg.connect(ledger.database.owner_url) as other:
        row = other.execute("SELECT header || body FROM ledger.event").fetchone()
    assert row is not None
    assert patient.bytes not in row[0]
    assert str(patient).encode() not in row[0]
    assert b"Garnier" not in row[0]


def test_readers_at_once_share_commits(log: AccessLog, ledger: Ledger) -> None:
    asked = [entry(uuid4()) for _ in range(200)]
    with ThreadPoolExecutor(40) as pool:
        list(pool.map(log.record, asked))
    found = entries(ledger)
    assert sorted(str(e.patients) for e in found) == sorted(str(e.patients) for e in asked)
    with psycopg.connect(ledger.database.owner_url) as other:
        row = other.execute(
            "SELECT count(*), count(DISTINCT tx::text), max(version) FROM ledger.event"
        ).fetchone()
    assert row is not None
    assert (row[0], row[2]) == (200, 200)
    assert row[1] < 200


def test_the_months_key_is_made_a_week_ahead(ledger: Ledger, database: Database) -> None:
    late = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
    log = AccessLog(database.service_pool, ledger.data_keys, lambda: late, skew=None)
    log.record(entry(uuid4()))
    log.close()
    november = 2026 * 12 + 11
    with psycopg.connect(database.owner_url) as other:
        rows = other.execute(
            "SELECT generation FROM keys.data_key WHERE stream = %s ORDER BY 1", (ACCESS_STREAM,)
        ).fetchall()
    assert rows == [(november,), (november + 1,)]


def test_without_a_database_nothing_may_be_shown(ledger: Ledger, tmp_path: Path) -> None:
    nowhere: ConnectionPool[psycopg.Connection[tuple[object, ...]]] = ConnectionPool(
        make_conninfo(host=str(tmp_path), user="nobody"),
        open=False,
        timeout=0.1,
        min_size=0,
        max_size=1,
    )
    nowhere.open()
    log = AccessLog(nowhere, ledger.data_keys, now, patience=timedelta(seconds=0.3))
    with pytest.raises(LogUnavailable):
        log.record(entry(uuid4()))
    log.close()
    nowhere.close()
    with pytest.raises(LogUnavailable):
        log.record(entry(uuid4()))


def test_a_lost_acknowledgement_makes_one_entry(ledger: Ledger, database: Database) -> None:
    with lossy_pool(database.service_url) as (pool, proxy):
        log = AccessLog(pool, ledger.data_keys, now)
        log.record(entry(uuid4()))
        proxy.lose_one()
        log.record(entry(uuid4(), what="lost"))
        assert proxy.lost == 1
        log.record(entry(uuid4(), what="after"))
        assert [e.what for e in entries(ledger)] == ["patient-page", "lost", "after"]
        log.close()


def test_an_entry_of_another_kind_is_refused() -> None:
    written = AccessEntry(GARNIER, "export", "audit", (uuid4(),), 3, "law", "granted", EXPORTED, 7)
    topic, schema, envelope, payload = content_of(written, now())
    assert entry_of((topic, schema, envelope, payload)) == written
    for changed in (
        ("access.other", schema, envelope, payload),
        (topic, 2, envelope, payload),
        (topic, schema, {}, payload),
        (topic, schema, envelope, {**payload, "patients": ["x"]}),
    ):
        with pytest.raises(Tampered):
            entry_of(changed)
