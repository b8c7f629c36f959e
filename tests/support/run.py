"""Run the checks in order and stop at the first that fails: `full`, `quick` or `long`.

The steps are the same commands that a developer would type; pytest comes last.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
STATIC: list[tuple[str, list[str | Path]]] = [
    ("format", [BIN / "ruff", "format", "--check", "."]),
    ("lint", [BIN / "ruff", "check", "."]),
    ("types", [BIN / "mypy"]),
    ("imports", [BIN / "lint-imports"]),
]
PYTEST = [sys.executable, "-m", "pytest", "-q"]
# A file's tests share its server. Each process has servers of its own: eight are a machine's fill.
EVERY_CORE = ["-n", "auto", "--maxprocesses", "8", "--dist", "loadfile"]
SEARCH = "--hypothesis-profile=search"
QUICK = ["tests/unit", "tests/stored", "tests/property"]
PROFILES: dict[str, list[tuple[str, list[str | Path]]]] = {
    "full": [*STATIC, ("tests", [*PYTEST, *EVERY_CORE, "-m", "not long", "--durations=15"])],
    "quick": [
        *STATIC,
        (
            "tests",
            [*PYTEST, *EVERY_CORE, SEARCH, *QUICK, "-m", "not long and not slow and not postgres"],
        ),
    ],
    "long": [("tests", [*PYTEST, SEARCH, "-m", "long"])],
}


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def shown(command: list[str | Path]) -> str:
    return " ".join([Path(command[0]).name, *map(str, command[1:])])


def main(profile: str) -> int:
    """Run the profile's steps; the first failing step's exit code, or 0."""
    for name, command in PROFILES[profile]:
        began = time.monotonic()
        say(f"── {name}: {shown(command)}")
        code = subprocess.run([str(part) for part in command], cwd=ROOT, check=False).returncode
        outcome = "ok" if code == 0 else f"failed ({code})"
        say(f"   {name}: {outcome} in {time.monotonic() - began:.0f} s")
        if code:
            return code
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
