"""Audit exports that the tests of verify.py damage copies of."""

from __future__ import annotations

import pytest

from support.export_bytes import small_ledger, stream_id
from support.export_damage import Members


@pytest.fixture(scope="session")
def log_export() -> Members:
    """An export of the log: 309 leaves, a consistency proof from 306."""
    made = small_ledger()
    made.export()
    made.add(stream_id(2))
    return made.export()


@pytest.fixture(scope="session")
def patient_export() -> Members:
    """An export of one patient with an access entry that names them."""
    made = small_ledger()
    extra = made.add(stream_id(99), event_class=6)
    made.add(stream_id(98), event_class=6)
    return made.export([stream_id(2)], extra=[extra])
