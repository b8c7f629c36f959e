"""Command, replay and briefing: what was known when, the same edition for ever, every bad input."""

from __future__ import annotations

import json
import socket
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from support.command_line import CommandLine, EntryPoint

pytestmark = [pytest.mark.postgres, pytest.mark.slow]


@pytest.fixture(scope="module")
def briefing(demo: CommandLine) -> dict[str, Any]:
    return demo.done("briefing")


@pytest.fixture(scope="module")
def patient(briefing: dict[str, Any]) -> str:
    return str(briefing["rows"][0]["patient"])


def test_a_late_entry_is_the_only_difference_between_before_and_after(
    demo: CommandLine, patient: str
) -> None:
    before = demo.done("replay", patient)
    late = {
        "occurred_at": "2026-11-23T07:15:00+01:00",
        "code": {"text": "Poids", "codings": [{"system": "http://loinc.org", "code": "29463-7"}]},
        "value": {"value": "80.4", "unit": "kg", "code": "kg"},
    }
    told = demo.done(
        "command", "record-observation", "--patient", patient, "--as", "present", "--data", "-",
        stdin=json.dumps(late).encode(),
    )  # fmt: skip
    assert set(told) == {"patient", "event_ids", "version", "position"}
    after = demo.done("replay", patient)
    (written,) = [entry for entry in after["entries"] if entry["event_id"] == told["event_ids"][0]]
    assert written["position"] == told["position"]
    assert written["occurred_at"] == late["occurred_at"]
    previous = before["entries"][-1]["recorded_at"]
    assert previous < written["recorded_at"]
    known_before = demo.done("replay", patient, "--known-at", previous)
    known_after = demo.done("replay", patient, "--known-at", written["recorded_at"])
    assert known_before["entries"] == before["entries"]
    assert [entry for entry in known_after["entries"] if entry not in known_before["entries"]] == [
        written
    ]
    assert known_after["entries"][:-1] == known_before["entries"]
    assert known_before["known_at"] == previous
    slots = known_after["summary"]
    assert {name for name in slots if slots[name] != known_before["summary"][name]} == {
        "vital-signs"
    }
    # the other time: by when it happened
    by_seven = demo.done("replay", patient, "--at", "2026-11-23T07:00:00+01:00")
    by_eight = demo.done("replay", patient, "--at", "2026-11-23T08:00:00+01:00")
    ids = {entry["event_id"] for entry in by_eight["entries"]}
    assert ids - {entry["event_id"] for entry in by_seven["entries"]} == {written["event_id"]}


def test_the_same_request_twice_is_one_entry_and_another_body_is_refused(
    demo: CommandLine, patient: str
) -> None:
    words = ("command", "set-contingency", "--patient", patient, "--as", "present",
             "--idempotency-key", "k-1", "--data", "-")  # fmt: skip
    body = {"condition": "Fièvre", "action": "Revoir le jour même"}
    first = demo.done(*words, stdin=json.dumps(body).encode())
    again = demo.done(*words, stdin=json.dumps(body).encode())
    assert again["event_ids"] == first["event_ids"]
    other = json.dumps({**body, "action": "Autre chose"}).encode()
    assert demo.refused(2, *words, stdin=other)["code"] == "idempotency-key-reused"


def test_an_edition_is_replayed_byte_for_byte_after_the_record_has_changed(
    demo: CommandLine, briefing: dict[str, Any], patient: str
) -> None:
    for name in ("stint", "edition", "position", "issued_at", "rule_release", "sha256", "words",
                 "t5", "rows"):  # fmt: skip
        assert name in briefing, name
    row = briefing["rows"][0]
    for name in ("patient", "tier", "severity", "allergies", "one_liner", "actions",
                 "contingencies", "pending", "changes", "as_of"):  # fmt: skip
        assert name in row, name
    body = {"severity": "stable", "reason": "Va mieux"}
    demo.done(
        "command", "set-illness-severity", "--patient", patient, "--as", "present", "--data", "-",
        stdin=json.dumps(body).encode(),
    )  # fmt: skip
    changed = demo.done("briefing")
    assert changed["edition"] != briefing["edition"]
    assert changed["sha256"] != briefing["sha256"]
    replayed = demo.done("briefing", "--edition", briefing["edition"])
    assert replayed == briefing
    at = demo.done("briefing", "--position", str(briefing["position"]))
    assert at["edition"] == briefing["edition"]
    demo.done("rebuild")
    assert demo.done("briefing", "--edition", briefing["edition"]) == briefing


def test_rebuilt_projections_are_the_served_ones(demo: CommandLine) -> None:
    found = demo.done("rebuild", "--check")
    assert {"projection", "events", "seconds", "events_per_second", "identical"} <= set(found)
    assert found["identical"] is True
    assert found["events"] > 300


def test_a_briefing_and_a_record_are_written_for_their_owner_only(
    demo: CommandLine, patient: str, tmp_path: Path
) -> None:
    page, bundle = tmp_path / "briefing.html", tmp_path / "résumé.json"
    demo.done("briefing", "--format", "html", "--out", page)
    demo.done("export", "fhir", "--patient", patient, "--summary", "--out", bundle)
    assert page.read_text().startswith("<!doctype html>")
    assert json.loads(bundle.read_bytes())["type"] == "document"
    assert {each.stat().st_mode & 0o777 for each in (page, bundle)} == {0o600}
    everything = tmp_path / "tout.json"
    demo.done("export", "fhir", "--patient", patient, "--everything", "--out", everything)
    assert sha256(everything.read_bytes()) != sha256(bundle.read_bytes())


NOBODY = "00000000-0000-4000-8000-00000000dead"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (2, "replay pas-un-uuid"),
        (1, f"replay {NOBODY}"),
        (1, "replay {stint}"),
        (2, "replay {patient} --known-at hier"),
        (2, "replay {patient} --at 2026-11-23T08:00:00"),
        (2, "replay {patient} --position -1"),
        (2, "replay {patient} --position 99999999999999999999"),
        (1, f"briefing --stint {NOBODY}"),
        (1, f"briefing --edition {NOBODY}"),
        (1, "briefing --position 2"),
        (2, "briefing --centre 1"),
        (2, "briefing --format docx"),
        (2, "rebuild nothing"),
        (2, "command"),
        (2, "command no-such-command --as present"),
        (2, "command sign-note --as present"),
        (2, "command sign-note --as zorro --patient {patient}"),
        (1, "command sign-note --as present --data {note} --patient " + NOBODY),
        (1, "command sign-note --as coordinator --data {note} --patient {patient}"),
        (1, "command sign-note --as next --data {note} --patient {patient}"),
        (3, "command sign-note --as present --patient {patient} --data absent.json"),
        (3, "command sign-note --as present --patient {patient} --data /"),
        (2, "command sign-note --as present --patient {patient} --data {binary}"),
        (2, "command sign-note --as present --patient {patient} --data {deep}"),
        (2, "command sign-note --as present --patient {patient} --data {other}"),
        (2, "demo token zorro"),
        (1, f"export fhir --patient {NOBODY} --out x.json"),
        (1, f"export audit --patient {NOBODY} --out x.zip"),
        (2, "export audit --centre 1 --out x.zip"),
        (3, "export fhir --patient {patient} --out /absent/x.json"),
        (2, "export fhir --out x.json"),
        (2, "import fhir"),
        (2, "no-such-command"),
        (2, "replay {patient} --no-such-option"),
        (2, "db dump"),
        (2, "verify --vkey garbage"),
        (3, "verify absent.zip"),
        (2, "serve --port 70000"),
    ],
)
def test_what_is_wrong_is_said_with_its_exit_code(
    demo: CommandLine,
    capfd: pytest.CaptureFixture[str],
    refusable: dict[str, str],
    code: int,
    words: str,
) -> None:
    EntryPoint(demo, capfd).refused(code, *(word.format(**refusable) for word in words.split()))


@pytest.fixture(scope="module")
def refusable(
    patient: str, briefing: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    place = tmp_path_factory.mktemp("inputs")
    contents = {
        "note": b'{"plan": "Revoir"}',
        "binary": b"\xff\xfe\x00",
        "deep": b"[" * 100_000,
        "other": b'{"plan": "Revoir", "no-such-field": 1}',
    }
    for name, content in contents.items():
        (place / name).write_bytes(content)
    files = {name: str(place / name) for name in contents}
    return {"patient": patient, "stint": briefing["stint"], **files}


def test_a_taken_port_is_said_before_anything_is_started(demo: CommandLine) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        for name in ("serve", "demo"):
            error = demo.refused(3, name, "--port", str(taken.getsockname()[1]))
            assert error["code"] == "port-taken"


def test_nothing_waits_for_a_terminal_when_standard_input_is_closed(
    demo: CommandLine, patient: str
) -> None:
    words = ("command", "sign-note", "--as", "present", "--patient", patient, "--data", "-")
    assert demo.refused(2, *words, stdin=None)["code"] == "bad-json"
    assert demo.run("verify", stdin=None).code == 0


def test_a_person_reads_what_why_and_what_to_do(demo: CommandLine) -> None:
    ran = demo.say("replay", NOBODY)
    assert (ran.code, ran.out) == (1, b"")
    assert ran.err.startswith("✗ ")
    assert "Pourquoi :" in ran.err
    assert "À faire :" in ran.err
    assert demo.say("verify").out.decode().startswith("✓ intègre")
    assert "gardée" in demo.say("db", "status").out.decode()
