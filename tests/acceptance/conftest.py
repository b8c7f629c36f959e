"""One small demo centre is built by the real command; tests that change it get a copy."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.command_line import SIZES, CommandLine, copied, stopped


@pytest.fixture(scope="session")
def checked(tmp_path_factory: pytest.TempPathFactory) -> tuple[CommandLine, dict[str, Any]]:
    """A state directory filled by ``demo --check``, its server stopped, and what was printed."""
    line = CommandLine(tmp_path_factory.mktemp("demo") / "an état with spaces")
    found = line.done("demo", "--check", *SIZES)
    stopped(line)
    return line, found


@pytest.fixture(scope="module")
def demo(checked: tuple[CommandLine, dict[str, Any]]) -> Iterator[CommandLine]:
    """A module's own copy of the demo centre; its server stays up between commands."""
    with tempfile.TemporaryDirectory(prefix="releve-acceptance-") as place:
        line = CommandLine(copied(checked[0].state, Path(place) / "state"))
        line.done("db", "start")
        yield line
        stopped(line)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    """A module's own empty installation; its server stays up between commands."""
    line = CommandLine(tmp_path_factory.mktemp("empty") / "state")
    line.done("db", "start")
    yield line
    stopped(line)
