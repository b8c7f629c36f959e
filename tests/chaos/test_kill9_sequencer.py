"""kill -9 of the process that numbers events: another takes over, nothing is lost or doubled."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from releve.security.ledger import merkle
from releve.security.ledger.envelope import leaf_hash
from support.commands import PATIENCE_S
from support.ledger import Ledger, notes
from support.postgres import Database

pytestmark = pytest.mark.postgres

SEQUENCER = """
import sys
from uuid import UUID
from psycopg_pool import ConnectionPool
from releve.security.ledger.sequencer import Sequencer
from releve.security.ledger.sequencer_loop import SequencerLoop
with ConnectionPool(sys.argv[1], min_size=1, max_size=2, open=True) as pool:
    sequencer = Sequencer(pool, UUID(sys.argv[2]))
    run = sequencer.run_once
    sequencer.run_once = lambda: run(5)  # many small transactions, so that some are cut
    print("ready", flush=True)
    SequencerLoop(sequencer, heads_every=None).run()
"""


@contextmanager
def sequencer_process(ledger: Ledger) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", SEQUENCER, ledger.database.worker_url, str(ledger.cell)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def run_rounds(ledger: Ledger, rounds: int) -> None:
    written: dict[UUID, int] = {}
    with sequencer_process(ledger) as standby:  # takes over whenever the other is gone
        for _ in range(rounds):
            with sequencer_process(ledger) as victim:
                assert victim.stdout is not None
                for _ in range(20):
                    stream = uuid4()
                    ledger.put(notes(stream, 1, 4))
                    written[stream] = 4
                os.kill(victim.pid, signal.SIGKILL)
                assert victim.wait(PATIENCE_S) == -signal.SIGKILL
            deadline = time.monotonic() + PATIENCE_S
            while ledger.reader.head().size < 4 * len(written):
                assert time.monotonic() < deadline, "nobody took over"
                time.sleep(0.01)
        assert standby.poll() is None
    reads = ledger.reader.by_position(-1, 4 * len(written) + 1)
    assert len(reads) == 4 * len(written)
    for stream, versions in written.items():
        mine = [read.header.version for read in reads if read.header.stream == stream]
        assert mine == list(range(1, versions + 1))
    assert ledger.sequencer.unnumbered() == 0
    head = ledger.reader.head()
    assert head.root == merkle.root([leaf_hash(read.header.pack()) for read in reads])


def test_another_takes_over(database: Database, tmp_path: Path) -> None:
    run_rounds(Ledger(database, tmp_path / "keys"), 3)


@pytest.mark.long
def test_another_takes_over_many_times(database: Database, tmp_path: Path) -> None:
    run_rounds(Ledger(database, tmp_path / "keys"), 100)
