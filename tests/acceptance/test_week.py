"""The main job from the command line: an imported patient is handed over, found and read back."""

from __future__ import annotations

import concurrent.futures
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conformance.bundles import EXAMPLES, SYNTHEA
from support.command_line import CommandLine, stopped

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

COPD = {"system": "http://snomed.info/sct", "code": "13645005"}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[CommandLine]:
    """An empty installation; its server stays up between commands."""
    line = CommandLine(tmp_path / "state")
    line.done("db", "start")
    yield line
    stopped(line)


def command(
    line: CommandLine, name: str, who: str, patient: str, data: dict[str, Any]
) -> dict[str, Any]:
    return line.done(
        "command", name, "--as", who, "--patient", patient, "--data", "-",
        stdin=json.dumps(data).encode(),
    )  # fmt: skip


def test_a_week_and_what_the_next_doctor_finds(house: CommandLine, tmp_path: Path) -> None:
    (patient,) = house.done("import", "fhir", EXAMPLES[0])["patients"]
    personas = {row["persona"]: row for row in house.done("demo", "personas")["personas"]}
    present = next(row for row in personas.values() if row["purpose"].startswith("En poste"))

    # This week's doctor sees the patient and hands over.
    command(
        house, "record-consultation", "present", patient,
        {
            "mode": "cabinet",
            "reason": "Dyspnée",
            "note": {"one_liner": "BPCO décompensée", "plan": "Revoir"},
            "problems": [{"concept": {"text": "BPCO", "codings": [COPD]}, "onset": "2026"}],
        },
    )  # fmt: skip
    severity = {"severity": "unstable", "reason": "Saturation 88 %"}
    command(house, "set-illness-severity", "present", patient, severity)
    command(
        house, "open-item", "present", patient,
        {
            "kind": "call",
            "text": "Rappeler pour la saturation",
            "due": "2026-12-01",
            "harm_if_late": True,
            "done_when": "saturation connue",
        },
    )  # fmt: skip
    handed = {
        "severity": "unstable",
        "severity_reason": "Saturation 88 %",
        "summary": "BPCO décompensée, corticoïdes depuis jeudi",
        "actions": ["Appeler lundi matin"],
        "situation": "Vit seul",
    }
    command(house, "write-handover", "present", patient, handed)

    # A week later the next one finds it first, and reads it back.
    later = house.with_environment(RELEVE_DEMO_NOW="2026-11-30T08:30:00+01:00")
    briefing = later.done("briefing")
    assert briefing["stint"] != present["stint"]
    (row,) = [each for each in briefing["rows"] if each["patient"] == patient]
    assert row["tier"] == "T0"
    assert row["one_liner"]["text"] == handed["summary"]
    assert [each["text"] for each in row["actions"]] == ["Rappeler pour la saturation"]
    assert row["allergies"]["state"] == "known"
    entries = later.done("replay", patient)["entries"]
    handover = [e["event_id"] for e in entries if e["topic"] == "patient.handover-written"][-1]
    answer = {"handover": handover, "kind": "restatement", "text": "Je l'appelle à 9 h"}
    command(later, "read-back-handover", "present", patient, answer)

    # The record tells each step with its author, and leaves as FHIR.
    steps = [(each["topic"], each["author"]) for each in later.done("replay", patient)["entries"]]
    assert ("patient.problem-recorded", present["name"]) in steps
    assert steps[-1][0] == "patient.handover-read-back"
    assert steps[-1][1] not in ("", present["name"])
    out = tmp_path / "summary.json"
    later.done("export", "fhir", "--patient", patient, "--summary", "--out", out)
    assert COPD["code"] in out.read_text()

    # Fifteen days past his stint the first doctor is told what an unknown record is told.
    past = house.with_environment(RELEVE_DEMO_NOW="2026-12-15T08:30:00+01:00")
    words = ("command", "sign-note", "--as", present["persona"], "--data", "-", "--patient")
    note = b'{"plan": "Revoir"}'
    refused = past.refused(1, *words, patient, stdin=note)
    unknown = past.refused(1, *words, "00000000-0000-4000-8000-00000000dead", stdin=note)
    assert refused == unknown

    # The evidence on the patient holds, and names who looked.
    evidence = tmp_path / "evidence.zip"
    past.done("export", "audit", "--patient", patient, "--out", evidence)
    assert past.done("verify", evidence)["verified"] is True
    assert past.done("verify")["problems"] == []


def test_three_imports_at_once_take_each_entry_once(house: CommandLine) -> None:
    files = [*EXAMPLES, *SYNTHEA]
    with concurrent.futures.ThreadPoolExecutor(3) as three:
        found = list(three.map(lambda _: house.done("import", "fhir", *files), range(3)))
    assert sum(each["events"] for each in found) == 94
    assert len({tuple(each["patients"]) for each in found}) == 1
    assert [each["rejected"] for each in found] == [[], [], []]
    assert house.done("verify")["problems"] == []
