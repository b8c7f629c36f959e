"""The real ``releve`` as whoever installed it runs it: a process, its words, its exit code."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from releve.api.cli import app
from releve.api.cli.runner import run
from support.commands import PATIENCE_S

SIZES = ("--patients", "60", "--weeks", "3")
"""Of every demo centre here: small, with golden patients in each tier."""


@dataclass(frozen=True)
class Ran:
    """What one command did."""

    code: int
    out: bytes
    err: str

    @property
    def data(self) -> dict[str, Any]:
        """The JSON object on the last line of standard output."""
        lines = self.out.decode().splitlines()
        assert lines, f"nothing on standard output; on standard error: {self.err}"
        found = json.loads(lines[-1])
        assert isinstance(found, dict)
        return found

    @property
    def error(self) -> dict[str, str]:
        """What an error said: code, what, why, do."""
        found = self.data["error"]
        assert set(found) == {"code", "what", "why", "do"}
        return dict(found)


class CommandLine:
    """``releve`` on one state directory."""

    def __init__(self, state: Path, **environment: str) -> None:
        self.state = state
        self.environment = environment

    def with_environment(self, **environment: str) -> CommandLine:
        """The same directory under other settings."""
        return CommandLine(self.state, **{**self.environment, **environment})

    def arguments(self, *words: str | Path) -> list[str]:
        """The whole command, with state directory and ``--json``."""
        return [
            *(sys.executable, "-m", "releve", *map(str, words)),
            *("--state-dir", str(self.state), "--json"),
        ]

    @property
    def variables(self) -> dict[str, str]:
        """The environment of the command: nothing of ours from outside."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("RELEVE_")}
        return {**kept, **self.environment}

    def run(self, *words: str | Path, stdin: bytes | None = b"", timeout_s: float = 600) -> Ran:
        """Run a command with ``--json`` to its end."""
        return self.run_exactly(self.arguments(*words), stdin=stdin, timeout_s=timeout_s)

    def say(self, *words: str | Path) -> Ran:
        """Run a command as a person does, without ``--json``."""
        return self.run_exactly(self.arguments(*words)[:-1])

    def run_exactly(
        self, arguments: list[str], *, stdin: bytes | None = b"", timeout_s: float = 600
    ) -> Ran:
        """Run these words to their end; ``stdin`` None closes standard input."""
        if stdin is None:
            arguments = ["/bin/sh", "-c", 'exec "$@" <&-', "sh", *arguments]
        done = subprocess.run(
            arguments,
            input=stdin,
            capture_output=True,
            env=self.variables,
            timeout=timeout_s,
            check=False,
        )
        err = done.stderr.decode()
        assert "Traceback (most recent call last)" not in err, err
        return Ran(done.returncode, done.stdout, err)

    def done(self, *words: str | Path, stdin: bytes = b"") -> dict[str, Any]:
        """Run a command that must succeed; what it printed."""
        ran = self.run(*words, stdin=stdin)
        told = f"{words[0]} ended with {ran.code}\n{ran.out.decode()[-2000:]}\n{ran.err[-2000:]}"
        assert ran.code == 0, told
        return ran.data

    def refused(self, code: int, *words: str | Path, stdin: bytes | None = b"") -> dict[str, str]:
        """Run a command that must fail with this exit code; what, why and what to do."""
        return refusal(self.run(*words, stdin=stdin), code, words)

    @contextmanager
    def serving(self, *words: str, log: Path | None = None) -> Iterator[Serving]:
        """Run ``releve serve`` (or other words) until the block ends."""
        serving = Serving(self, words or ("serve", "--port", "0"), log or self.state / "serve.log")
        try:
            yield serving
        finally:
            serving.stop()

    def running(self) -> dict[str, str]:
        """What the supervisor told about the running server."""
        return dict(json.loads((self.state / "pg" / "run.json").read_bytes()))


class EntryPoint:
    """The same entry point called in this process: every word of it but Python's own start."""

    def __init__(self, line: CommandLine, capfd: pytest.CaptureFixture[str]) -> None:
        self.line = line
        self._capfd = capfd

    def run(self, *words: str) -> Ran:
        """One command line with ``--json``."""
        self._capfd.readouterr()
        code = run(app, self.line.arguments(*words)[3:])
        told = self._capfd.readouterr()
        return Ran(code, told.out.encode(), told.err)

    def done(self, *words: str) -> dict[str, Any]:
        """One command line that must succeed; what it printed."""
        ran = self.run(*words)
        assert ran.code == 0, (words, ran.out[-2000:])
        return ran.data

    def refused(self, code: int, *words: str) -> dict[str, str]:
        """One command line that must fail with this exit code; what, why and what to do."""
        return refusal(self.run(*words), code, words)


def refusal(ran: Ran, code: int, words: Sequence[str | Path]) -> dict[str, str]:
    """The error of a command that must have failed with this exit code."""
    assert ran.code == code, (words, ran.code, ran.out.decode()[-2000:], ran.err[-2000:])
    error = ran.error
    assert error["code"] != "internal", error
    assert all(error[name] for name in ("what", "why", "do")), error
    return error


class Serving:
    """A running ``releve serve`` that can be killed and started again."""

    def __init__(self, command_line: CommandLine, words: tuple[str, ...], log: Path) -> None:
        self.command_line = command_line
        self._arguments = command_line.arguments(*words)
        self._log = log
        self.start()

    def start(self) -> None:
        """Start it and wait for its address."""
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                self._arguments,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env=self.command_line.variables,
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"it ended: {self._log.read_text()[-2000:]}"
        self.address = str(json.loads(line).get("address", ""))

    def kill(self) -> None:
        """End it as the power cut does."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def stop(self) -> int:
        """End it as an operator does; its exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        code = self.process.wait(PATIENCE_S)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


@contextmanager
def own_port() -> Iterator[int]:
    """A loopback port that nobody else is given for as long as the block runs.

    It is bound and never listened on: whoever asks for it by its number may take it, again and
    again.
    """
    with socket.socket() as kept:
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        kept.bind(("127.0.0.1", 0))
        yield int(kept.getsockname()[1])


def copied(state: Path, to: Path) -> Path:
    """A copy of a state directory whose server is stopped."""
    shutil.copytree(
        state, to, symlinks=True, ignore=shutil.ignore_patterns("socket", "run.json", "kept")
    )
    return to


def stopped(command_line: CommandLine) -> None:
    """Stop the embedded server, now, and see it gone."""
    found = command_line.done("db", "stop")
    deadline = time.monotonic() + PATIENCE_S
    while found["running"] and time.monotonic() < deadline:
        time.sleep(0.1)
        found = command_line.done("db", "status")
    assert not found["running"], found
