"""``releve demo``: the same centre from the same seed, and who may be whom in it."""

from __future__ import annotations

import concurrent.futures
import json
import subprocess
import time
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from support.command_line import SIZES, CommandLine, stopped

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

SHAPE: dict[str, Any] = {
    "patients": int, "stints": int, "consultations": int, "events": int, "position": int,
    "as_of": str, "topics": dict, "open_items": int, "overdue": int, "orphan_open_items": int,
    "canaries": str,
    "seconds": {"database", "seed", "project", "total"},
    "briefing": {"stint", "edition", "sha256", "patients", "words", "tiers"},
    "ledger": {"size", "root", "verified"},
    "fhir": {"resources", "summaries", "invalid"},
    "sizes": {"database_bytes"},
}  # fmt: skip


def test_the_check_tells_what_it_promised(checked: tuple[CommandLine, dict[str, Any]]) -> None:
    _, found = checked
    for name, kind in SHAPE.items():
        if isinstance(kind, set):
            assert kind <= set(found[name]), name
        else:
            assert isinstance(found[name], kind), name
    assert (found["patients"], found["fhir"]["summaries"]) == (60, 60)
    assert found["fhir"]["invalid"] == 0
    assert found["ledger"]["verified"] is True
    assert found["orphan_open_items"] == 0
    assert found["open_items"] > 0
    assert sum(found["topics"].values()) == found["events"]
    tiers = found["briefing"]["tiers"]
    assert set(tiers) == {"T0", "T1", "T2", "T3", "T4", "T5"}
    assert all(tiers[tier] > 0 for tier in ("T0", "T1", "T2", "T3"))
    assert found["briefing"]["patients"] == sum(tiers.values()) - tiers["T5"]


def test_one_seed_twice_is_one_briefing_under_two_roots(
    checked: tuple[CommandLine, dict[str, Any]], tmp_path: Path
) -> None:
    other = CommandLine(tmp_path / "other")
    found = other.done("demo", "--check", *SIZES)
    stopped(other)
    first = checked[1]
    assert found["briefing"] == first["briefing"]
    assert found["topics"] == first["topics"]
    assert found["ledger"]["root"] != first["ledger"]["root"]


def test_a_seeding_that_was_killed_is_finished_by_the_next_command(
    checked: tuple[CommandLine, dict[str, Any]], tmp_path: Path
) -> None:
    for attempt in range(5):
        line = CommandLine(tmp_path / str(attempt))
        words = line.arguments("demo", "--check", *SIZES)
        mark = line.state / "demo.json"
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            while not mark.exists():
                assert process.poll() is None, "it ended before it began to seed"
                time.sleep(0.005)
            time.sleep(0.1)
            process.kill()
        if not json.loads(mark.read_text())["complete"]:
            break
        stopped(line)
    found = line.done("demo", "--check", *SIZES)
    stopped(line)
    assert found["briefing"] == checked[1]["briefing"]
    assert found["topics"] == checked[1]["topics"]
    assert found["ledger"]["verified"] is True
    assert attempt < 4, "no kill met the seeding"


def test_two_at_once_in_one_directory_build_one_centre(
    checked: tuple[CommandLine, dict[str, Any]], tmp_path: Path
) -> None:
    line = CommandLine(tmp_path / "both")
    with concurrent.futures.ThreadPoolExecutor(2) as both:
        first, second = both.map(lambda _: line.done("demo", "--check", *SIZES), range(2))
    stopped(line)
    for found in (first, second):
        assert found["briefing"] == checked[1]["briefing"]
        assert found["events"] == checked[1]["events"]


def test_the_check_again_tells_the_same_and_other_sizes_are_refused(demo: CommandLine) -> None:
    first, again = demo.done("demo", "--check"), demo.done("demo", "--check", *SIZES)
    for name in ("briefing", "topics", "events", "patients", "open_items"):
        assert again[name] == first[name], name
    assert again["seconds"]["seed"] == 0
    error = demo.refused(2, "demo", "--check", "--patients", "61")
    assert error["code"] == "other-sizes"
    assert "60" in error["what"]
    assert "61" in error["what"]


def test_the_canary_file_holds_names_identifiers_and_rare_words(
    checked: tuple[CommandLine, dict[str, Any]],
) -> None:
    lines = Path(checked[1]["canaries"]).read_text().splitlines()
    assert all(len(line.encode()) >= 8 for line in lines)
    assert len(set(lines)) == len(lines)
    assert sum(line.isdigit() for line in lines) >= 60
    assert len(lines) > 180


def test_personas_are_the_previous_the_present_the_next_and_the_staff(demo: CommandLine) -> None:
    rows = demo.done("demo", "personas")["personas"]
    assert {"persona", "name", "role", "centre", "stint", "from", "to"} <= set(rows[0])
    assert [row["role"] for row in rows].count("doctor") >= 3
    assert {"referent", "coordinator", "auditor"} <= {row["role"] for row in rows}
    doctors = [row for row in rows if row["role"] == "doctor"]
    assert all(UUID(row["stint"]) for row in doctors)
    for name in ("previous", "present", "next", doctors[0]["persona"]):
        token = demo.done("demo", "token", name)
        assert set(token) == {"token", "persona", "expires_at"}
        assert len(token["token"]) > 30


@pytest.mark.parametrize(
    "words",
    [("demo", "--check"), ("demo", "personas"), ("demo", "token", "present"), ("demo",)],
    ids=" ".join,
)
def test_production_refuses_the_demo(demo: CommandLine, words: tuple[str, ...]) -> None:
    demo.with_environment(RELEVE_ENV="production").refused(2, *words)


def test_a_demo_is_served_on_this_machine_only(demo: CommandLine) -> None:
    error = demo.refused(2, "serve", "--host", "0.0.0.0", "--port", "0")  # noqa: S104 - refused
    assert error["code"] == "demo-off-loopback"


def test_a_reset_removes_only_what_is_ours(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    kept = foreign / "thesis.txt"
    kept.write_text("mine")
    error = CommandLine(foreign).refused(3, "demo", "--check", "--reset")
    assert error["code"] == "state-foreign"
    assert kept.read_text() == "mine"
    assert [each.name for each in foreign.iterdir()] == ["thesis.txt"]
