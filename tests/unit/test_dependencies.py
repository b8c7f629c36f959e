"""Every direct dependency has its line of reason in ADR 0010, and every line a dependency."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NAME = re.compile(r"^[A-Za-z0-9.-]+")


def declared() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = project["dependencies"] + project["optional-dependencies"]["dev"]
    return {found.group().lower() for line in lines if (found := NAME.match(line))}


def reasoned() -> set[str]:
    text = (ROOT / "docs" / "decisions" / "0010-dependencies.md").read_text()
    rows = re.findall(r"^\| ([a-z][^|]*) \|", text, re.MULTILINE)
    tests = re.search(r"^Tests: (.*)\.$", text, re.MULTILINE)
    assert tests
    listed = [name for row in rows if row != "library" for name in row.split(",")]
    listed += re.sub(r"\([^)]*\)", "", tests.group(1)).replace(" and ", ",").split(",")
    return {name.strip().lower() for name in listed if name.strip()}


def test_every_dependency_has_its_reason() -> None:
    assert declared() == reasoned()


def test_every_locked_line_has_hashes() -> None:
    for profile in ("runtime", "test"):
        text = (ROOT / "requirements" / f"{profile}.txt").read_text()
        pinned = re.findall(r"^[a-z0-9].*==", text, re.MULTILINE)
        blocks = re.findall(r"^[a-z0-9][^ ]*==[^\n]*\\\n\s+--hash=", text, re.MULTILINE)
        assert len(pinned) == len(blocks) > 20
