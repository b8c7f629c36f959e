"""Small programs that tests run as processes of their own, and how to watch them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

PATIENCE_S = 120.0
"""How long to wait for what another thread or process does: it ends a hang, it judges nothing."""

CONNECT = """
import json, sys
from pathlib import Path
from releve.api.database.problems import DatabaseProblem
from releve.api.database.supervisor import connect_state
import psycopg
print("ready", flush=True)
sys.stdin.readline()
try:
    with connect_state(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None) as c:
        with psycopg.connect(c.superuser_url) as connection:
            started, = connection.execute("SELECT pg_postmaster_start_time()::text").fetchone()
        print(json.dumps({"started": started, "url": c.superuser_url}), flush=True)
        sys.stdin.read()
except DatabaseProblem as p:
    print(json.dumps({"code": p.code, "what": p.what, "why": p.why, "exit": p.exit_code}))
"""
"""Once told to begin, works in a state directory until its standard input closes.

It says when it is ready to begin, and when the server started.
"""


def command(state_dir: Path, *more: Path, before: Sequence[str] = ()) -> subprocess.Popen[str]:
    """Start a command that works in a state directory; close its input to end it."""
    process = loaded(state_dir, *more, before=before)
    begin(process)
    return process


def loaded(state_dir: Path, *more: Path, before: Sequence[str] = ()) -> subprocess.Popen[str]:
    """Start a command that waits to be told to begin, all its modules loaded."""
    process = subprocess.Popen(
        [*before, sys.executable, "-c", CONNECT, str(state_dir), *map(str, more)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def begin(process: subprocess.Popen[str]) -> None:
    """Tell a loaded command to begin."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def said(process: subprocess.Popen[str]) -> dict[str, str]:
    """The line that a command printed when the server was there, or what stopped it."""
    assert process.stdout is not None
    return dict(json.loads(process.stdout.readline()))


def ended(process: subprocess.Popen[str]) -> None:
    """End a command as it ends by itself."""
    process.communicate("", timeout=PATIENCE_S)


def becomes(true: Callable[[], bool]) -> bool:
    """Tell whether something becomes true, however slow the machine is."""
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def alive(pid: int) -> bool:
    """Tell whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False
