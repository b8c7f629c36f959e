"""Every command of ``releve command --list`` takes its own example, through policy and log."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any
from uuid import UUID

import pytest

from support.command_line import CommandLine, EntryPoint

pytestmark = [pytest.mark.postgres, pytest.mark.slow]


class House(EntryPoint):
    """A demo centre under command."""

    def command(self, name: str, data: dict[str, Any], who: str, *target: str) -> dict[str, Any]:
        """One command of the service that must be accepted."""
        file = self.line.state / "command.json"
        file.write_text(json.dumps(data))
        found = self.done("command", name, "--as", who, "--data", str(file), *target)
        assert all(UUID(each) for each in found["event_ids"])
        assert found["version"] >= 1
        assert isinstance(found["position"], int)
        return found


def test_every_command_takes_its_own_example(
    demo: CommandLine, capfd: pytest.CaptureFixture[str]
) -> None:
    house = House(demo, capfd)
    listed = {row["name"]: row for row in house.done("command", "--list")["commands"]}
    assert all({"name", "target", "schema", "example"} <= set(row) for row in listed.values())
    examples: dict[str, Any] = {name: row["example"] for name, row in listed.items()}
    personas = {row["persona"]: row for row in house.done("demo", "personas")["personas"]}
    doctor = next(row for row in personas.values() if row["role"] == "doctor")
    centre = doctor["centre"]

    made = house.command("register-patient", examples.pop("register-patient"), "present")
    patient = ("--patient", made["patient"])

    def on_patient(name: str, **given: Any) -> dict[str, Any]:
        data = {**examples.pop(name), **given}
        return house.command(name, data, "present", *patient)

    on_patient("declare-medecin-traitant", centre=centre)
    on_patient("record-consultation")
    note = on_patient("sign-note")["event_ids"][0]
    on_patient("amend-note", note=note)
    for name in ("record-observation", "record-problem", "assert-absence", "record-allergy"):
        on_patient(name)
    on_patient("start-medication")
    on_patient("set-illness-severity")
    item = on_patient("open-item")["event_ids"][0]
    on_patient("close-item", item=item)
    on_patient("set-contingency")
    on_patient("mark-entry-in-error", entry=note)
    letter = demo.state / "letter.pdf"
    letter.write_bytes(b"%PDF-1.7 an original")
    house.command(
        "attach-document",
        {**examples.pop("attach-document"), "sha256": sha256(letter.read_bytes()).hexdigest()},
        "present",
        *patient,
        "--original",
        str(letter),
    )
    on_patient("write-handover")
    entries = house.done("replay", made["patient"])["entries"]
    topics = {entry["topic"]: entry["event_id"] for entry in entries}
    handover = topics["patient.handover-written"]
    answer = {**examples.pop("read-back-handover"), "handover": handover}
    house.command("read-back-handover", answer, "referent", *patient)

    opened = {**examples.pop("open-centre"), "finess": "990000028"}
    assert house.command("open-centre", opened, "administrator")["centre"] != centre
    practitioner = house.command(
        "onboard-practitioner", examples.pop("onboard-practitioner"), "administrator"
    )["practitioner"]
    stint = house.command(
        "plan-stint",
        {**examples.pop("plan-stint"), "practitioner": practitioner, "centre": centre},
        "coordinator",
    )["stint"]
    for name in ("start-stint", "end-stint"):
        house.command(name, examples.pop(name), "coordinator", "--stint", stint)
    edition = house.done("briefing")["edition"]
    house.command(
        "open-briefing",
        {**examples.pop("open-briefing"), "edition": edition},
        "present",
        "--stint",
        doctor["stint"],
    )
    assert examples == {}
