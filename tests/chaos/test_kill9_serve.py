"""kill -9 of the real service, its worker, its database and the database's supervisor.

Writers send commands over HTTP the whole time and keep a ledger of what was acknowledged. What got
no answer is sent again with the same key until it is acknowledged: it must exist once. Page cache
survives a kill, so this says nothing of a disk that loses what it acknowledged.
"""

from __future__ import annotations

import http.client
import itertools
import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from support.command_line import CommandLine, Serving, own_port, stopped
from support.commands import PATIENCE_S

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

WRITERS = 4
BETWEEN_KILLS = 12
"""Acknowledged commands between two kills."""


@dataclass
class Acknowledged:
    """What clients were told is kept: event ids, each with the stream it is in."""

    events: dict[UUID, UUID] = field(default_factory=dict)
    commands: int = 0
    repeated: int = 0
    """Commands whose first answer was lost and that were sent again."""
    wrong: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, answer: dict[str, Any], attempts: int) -> None:
        """Keep one acknowledged command."""
        stream = UUID(answer["patient"])
        with self._lock:
            self.commands += 1
            self.repeated += attempts > 1
            self.events |= {UUID(each): stream for each in answer["event_ids"]}

    def copy(self) -> dict[UUID, UUID]:
        """What is acknowledged now."""
        with self._lock:
            return dict(self.events)


class Writer(threading.Thread):
    """A client that registers a patient, then writes on that record, without pause."""

    def __init__(self, port: int, token: str, told: Acknowledged, stopping: threading.Event):
        super().__init__(daemon=True)
        self._port, self._token, self._told, self._stopping = port, token, told, stopping

    def run(self) -> None:
        for number in itertools.count():
            if number % 5 == 0:
                body: dict[str, Any] = {
                    "birth_name": "ESSAI", "first_names": ["Un"], "prior_search": "name"
                }  # fmt: skip
                answer = self._until_acknowledged("/api/v1/patients", body)
                patient = answer["patient"] if answer else ""
            else:
                path = f"/api/v1/patients/{patient}/open-item"
                body = {"kind": "call", "text": f"Rappel {number}", "due": "2026-11-27"}
                answer = self._until_acknowledged(path, body)
            if answer is None:
                return

    def _until_acknowledged(self, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
        key = str(uuid4())
        for attempt in itertools.count(1):
            if self._stopping.is_set() and attempt == 1:
                return None
            status, answer = self._send(path, key, body)
            if status in (200, 201):
                self._told.add(answer, attempt)
                return answer
            if status not in (0, 503):
                self._told.wrong.append(f"{path.rpartition('/')[2]}: {status} {answer}")
                return None
            if self._stopping.is_set() and attempt > 2400:
                self._told.wrong.append("never acknowledged")
                return None
            time.sleep(0.05)
        return None

    def _send(self, path: str, key: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        headers = {
            "authorization": f"Bearer {self._token}",
            "content-type": "application/json",
            "idempotency-key": key,
        }
        try:
            connection.request("POST", path, json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, dict(json.loads(answer.read()))
        except (OSError, http.client.HTTPException, ValueError):
            return 0, {}
        finally:
            connection.close()


class House:
    """A served demo centre whose parts can be killed, each in its own way."""

    def __init__(self, line: CommandLine, port: int) -> None:
        self.line = line
        self.port = port
        self.logs = line.state.parent
        words = ("serve", "--port", str(port), "--no-worker")
        self.serve = Serving(line, words, self.logs / "serve.log")
        self.worker = Serving(line, ("worker",), self.logs / "worker.log")
        self.owner_url = line.done("db", "url", "--role", "owner")["url"]

    def kill_service(self) -> None:
        self.serve.kill()
        self.serve.start()

    def kill_worker(self) -> None:
        self.worker.kill()
        self.worker.start()

    def kill_database(self) -> None:
        self._kill(lambda: int(self.line.running()["pid"]))

    def kill_supervisor(self) -> None:
        self._kill(lambda: int((self.line.state / "pg" / "supervisor.lock").read_text()))

    @staticmethod
    def _kill(found: Callable[[], int]) -> None:
        with suppress(FileNotFoundError, ProcessLookupError):  # still down from the last time
            os.kill(found(), signal.SIGKILL)

    def query(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Ask the database as its owner; waits until it is back."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                with psycopg.connect(
                    self.owner_url, connect_timeout=5, autocommit=True
                ) as connection:
                    return connection.execute(statement.encode(), parameters or None).fetchall()
            except psycopg.OperationalError:
                assert time.monotonic() < deadline, "the database did not come back"
                time.sleep(0.05)

    def close(self) -> None:
        self.serve.stop()
        self.worker.stop()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with own_port() as port:
        line = CommandLine(tmp_path / "state")
        line.done("demo", "--check", "--patients", "20", "--weeks", "2")
        made = House(line, port)
        try:
            yield made
        finally:
            made.close()
            stopped(line)


@contextmanager
def writing(house: House) -> Iterator[Acknowledged]:
    """Writers at work while the block runs; on leaving, what they began is acknowledged."""
    told, stopping = Acknowledged(), threading.Event()
    token = house.line.done("demo", "token", "present")["token"]
    writers = [Writer(house.port, token, told, stopping) for _ in range(WRITERS)]
    for writer in writers:
        writer.start()
    try:
        yield told
    finally:
        stopping.set()
        for writer in writers:
            writer.join(PATIENCE_S)


def wait_for(told: Acknowledged, commands: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while told.commands < commands:
        assert time.monotonic() < deadline, f"no acknowledgement any more: {told.wrong}"
        assert not told.wrong, told.wrong
        time.sleep(0.01)


def all_there_once(house: House, events: dict[UUID, UUID]) -> None:
    """Every acknowledged event stands in its stream, and in no second place."""
    rows = house.query(
        "SELECT event_id, stream FROM ledger.event WHERE event_id = ANY(%s)", list(events)
    )
    assert {event: stream for event, stream in rows} == events
    assert len(rows) == len(events)
    numbered = house.query(
        "SELECT count(*), coalesce(max(position) + 1, 0), count(DISTINCT (stream, version))"
        " FROM ledger.leaf"
    )
    assert len(set(numbered[0])) == 1, f"positions are not dense: {numbered}"


def run_rounds(house: House, rounds: int) -> None:
    kills = [house.kill_service, house.kill_worker, house.kill_database]
    with writing(house) as told:
        for number in range(rounds):
            wait_for(told, told.commands + BETWEEN_KILLS)
            kept = told.copy()
            kill = house.kill_supervisor if number % 10 == 9 else kills[number % 3]
            kill()
            all_there_once(house, kept)
    assert told.wrong == []
    assert told.commands >= rounds * BETWEEN_KILLS
    assert told.repeated > 0, "no kill ever met a command under way"
    all_there_once(house, told.copy())
    everything_agrees(house, told)


def everything_agrees(house: House, told: Acknowledged) -> None:
    """Nothing exists that nobody was told of; the log verifies; projections saw each event once."""
    patients = set(told.events.values())
    written = house.query(
        "SELECT stream, event_id FROM ledger.event WHERE stream = ANY(%s)", list(patients)
    )
    assert {event: stream for stream, event in written} == told.events
    assert len(written) == len(told.events)
    checked = house.line.done("verify")
    assert (checked["verified"], checked["problems"]) == (True, [])
    assert house.line.done("rebuild", "--check")["identical"] is True
    some = next(iter(patients))
    entries = house.line.done("replay", str(some))["entries"]
    expected = {str(event) for event, stream in told.events.items() if stream == some}
    assert Counter(entry["event_id"] for entry in entries) == Counter(expected)


def test_nothing_acknowledged_is_lost_or_doubled_in_30_kills(house: House) -> None:
    run_rounds(house, 30)


@pytest.mark.long
def test_nothing_acknowledged_is_lost_or_doubled_in_300_kills(house: House) -> None:
    run_rounds(house, 300)
