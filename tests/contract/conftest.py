"""A ledger, one with its feed, a copy of one to attack: each on a database of the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.feed_house import House
from support.ledger import Ledger
from support.postgres import Database, Server
from support.tampering import Copy, Original, build_original


@pytest.fixture
def ledger(database: Database, tmp_path: Path) -> Ledger:
    """An empty ledger."""
    return Ledger(database, tmp_path / "keys")


@pytest.fixture
def house(database: Database, tmp_path: Path) -> House:
    """An empty ledger with its feed."""
    return House(database, tmp_path / "keys")


@pytest.fixture(scope="session")
def original(postgres: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Original]:
    """The honest ledger that is copied for each attack."""
    built = build_original(postgres, tmp_path_factory.mktemp("keys") / "keys")
    yield built
    built.database.drop()


@pytest.fixture
def copy(original: Original, postgres: Server, tmp_path: Path) -> Iterator[Copy]:
    """One attack's own copy."""
    database = postgres.create(template=original.database.name)
    ledger = Ledger(database, original.keys)
    ledger.number()
    held = (ledger.checkpointer.latest() or "").encode()
    yield Copy(ledger, original.streams, held, tmp_path)
    database.drop()
