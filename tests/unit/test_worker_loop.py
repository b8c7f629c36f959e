"""A job of the worker goes on whatever it raised, and says so while it keeps failing."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from releve.api import setbacks as setbacks_module
from releve.api.preflight import jobs
from releve.api.setbacks import IN_A_ROW, LONGEST_S, SHORTEST_S, Setbacks, failing
from releve.api.worker import Loop
from support.commands import PATIENCE_S

OF_SOMEBODY = "Zélie Castagnoli"


def test_a_job_that_raised_something_unforeseen_is_called_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(setbacks_module, "SHORTEST_S", 0.001)
    called, again = [], threading.Event()

    def job() -> int:
        called.append(1)
        if len(called) == 1:
            raise ValueError(OF_SOMEBODY)
        again.set()
        return 0

    loop = Loop("inbox", job, 0.001, Setbacks("inbox", tmp_path))
    loop.start()
    try:
        assert again.wait(PATIENCE_S)
    finally:
        loop.stop()
    assert "inbox waits: ValueError" in caplog.text
    assert OF_SOMEBODY not in caplog.text


def test_pauses_grow_to_a_limit_and_start_again_after_a_success(tmp_path: Path) -> None:
    setbacks = Setbacks("feed", tmp_path)
    pauses = [setbacks.failed(ValueError()) for _ in range(30)]
    assert pauses[:3] == [SHORTEST_S, 2 * SHORTEST_S, 4 * SHORTEST_S]
    assert pauses[-1] == LONGEST_S == max(pauses)
    setbacks.worked()
    assert setbacks.failed(ValueError()) == SHORTEST_S


def test_a_job_is_said_to_be_failing_until_it_works_and_its_values_never(tmp_path: Path) -> None:
    setbacks = Setbacks("watched", tmp_path)
    for _ in range(IN_A_ROW - 1):
        setbacks.failed(KeyError(OF_SOMEBODY))
    assert failing(tmp_path) == []
    assert jobs(tmp_path).ok
    setbacks.failed(KeyError(OF_SOMEBODY))
    (found,) = failing(tmp_path)
    assert (found.job, found.error, found.times) == ("watched", "KeyError", IN_A_ROW)
    said = jobs(tmp_path)
    assert not said.ok
    assert "watched (KeyError" in said.text()
    assert OF_SOMEBODY not in said.text()
    setbacks.worked()
    assert failing(tmp_path) == []
