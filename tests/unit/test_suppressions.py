"""What a checker is told to overlook says why, on its line or just above it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("domain", "security", "projections", "fhir", "api", "deploy", "tests")
SILENCED = re.compile(r"#\s*(?:type:\s*ignore|noqa)(?P<codes>\[[\w-]+\]|:\s*\w+)?(?P<why>.*)$")


def silenced() -> Iterator[tuple[str, str, re.Match[str]]]:
    """Where, the line above, and what is overlooked."""
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            lines = path.read_text(encoding="utf-8").splitlines()
            for above, (number, line) in zip(["", *lines], enumerate(lines, 1), strict=False):
                found = SILENCED.search(line)
                if found and path != Path(__file__):
                    yield f"{path.relative_to(ROOT)}:{number}", above.strip(), found


def test_nothing_is_silenced_as_a_whole_or_without_a_reason() -> None:
    found = list(silenced())
    assert len(found) > 40
    bare = [
        where
        for where, above, each in found
        if not each["codes"] or not (above.startswith("#") or re.search(r"\w{3}", each["why"]))
    ]
    assert bare == []
