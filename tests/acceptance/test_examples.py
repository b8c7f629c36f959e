"""Every command of ``releve command --list`` takes its own example, through policy and log."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from support.command_line import CommandLine, EntryPoint

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

INBOX = Path(__file__).parents[1] / "conformance" / "data" / "inbox"
ODETTE: dict[str, Any] = {
    "birth_name": "BELLANGER", "first_names": ["ODETTE", "MARIE", "ROSE"], "used_name": "PICHON",
    "birth_date": "1948-03-02", "sex": "female", "birth_place": "23096", "prior_search": "name",
}  # fmt: skip


class House(EntryPoint):
    """A demo centre under command."""

    def command(self, name: str, data: dict[str, Any], who: str, *target: str) -> dict[str, Any]:
        """One command of the service that must be accepted."""
        file = self.line.state / "command.json"
        file.write_text(json.dumps(data))
        found = self.done("command", name, "--as", who, "--data", str(file), *target)
        assert all(UUID(each) for each in found["event_ids"])
        unshown = who == "coordinator" and "patient" in found
        assert found["version"] is None if unshown else found["version"] >= 1
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

    def desk(name: str, **given: Any) -> dict[str, Any]:
        data = {**examples.pop(name), **given}
        return house.command(name, data, "coordinator", *patient)

    def entry(done: dict[str, Any]) -> str:
        return str(done["event_ids"][0])

    # The record
    on_patient("declare-medecin-traitant", centre=centre)
    desk("change-ins-status")
    desk("change-contact-details")
    desk("notice-appointment")
    on_patient("record-consultation")
    note = entry(on_patient("sign-note"))
    on_patient("amend-note", note=note)
    for name in ("record-observation", "assert-absence", "record-immunization",
                 "record-procedure", "record-device", "record-history"):  # fmt: skip
        on_patient(name)
    problem = entry(on_patient("record-problem"))
    on_patient("revise-problem", problem=problem)
    allergy = entry(on_patient("record-allergy"))
    on_patient("revise-allergy", allergy=allergy)
    medication = entry(on_patient("start-medication"))
    on_patient("change-medication", medication=medication)
    on_patient("reconcile-medications", checked=[medication])
    on_patient("stop-medication", medication=medication)
    on_patient("lift-vigilance-point", point=entry(on_patient("set-vigilance-point")))
    on_patient("change-ald-status")
    on_patient("review-summary")
    on_patient("set-illness-severity")
    on_patient("mark-entry-in-error", entry=note)
    on_patient("reinstate-entry", entry=note)
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

    # What must still happen
    item = entry(on_patient("open-item"))
    on_patient("revise-item", item=item)
    offer = examples.pop("offer-item")
    for answer in ("decline-item", "accept-item"):
        house.command("offer-item", {**offer, "item": item}, "present", *patient)
        house.command(answer, {**examples.pop(answer), "item": item}, "referent", *patient)
    on_patient("close-item", item=item)
    on_patient("reopen-item", item=item)
    on_patient("withdraw-contingency", contingency=entry(on_patient("set-contingency")))
    on_patient("order-investigation")
    result = entry(on_patient("receive-result"))
    on_patient("review-result", result=result)
    on_patient("record-contact-attempt", about=result)
    on_patient("inform-patient", result=result)
    referent = personas["referent"]
    asked = on_patient("ask-question", to=person_of(house, referent), to_name=referent["name"])
    answered = {**examples.pop("answer-question"), "question": entry(asked)}
    house.command("answer-question", answered, "referent", *patient)
    on_patient("write-handover")
    entries = house.done("replay", made["patient"])["entries"]
    topics = {each["topic"]: each["event_id"] for each in entries}
    handover = topics["patient.handover-written"]
    read_back = {**examples.pop("read-back-handover"), "handover": handover}
    house.command("read-back-handover", read_back, "referent", *patient)
    somebody, theirs = next(
        (row["patient"], each["event_id"])
        for row in house.done("briefing")["rows"]
        for each in house.done("replay", row["patient"])["entries"]
        if each["topic"] == "patient.problem-recorded" and each["author"] != doctor["name"]
    )
    opinion = {**examples.pop("record-opinion"), "about": theirs}
    house.command("record-opinion", opinion, "present", "--patient", somebody)

    # The inbox
    odette = house.command("register-patient", ODETTE, "coordinator")["patient"]
    vsm = house.done("import", "cda", str(INBOX / "vsm.xml"))["documents"][0]
    matched = {**examples.pop("match-document"), "patient": odette}
    house.command("match-document", matched, "coordinator", "--document", vsm)
    stray = house.done("import", "pdf", str(letter))["documents"][0]
    reason = examples.pop("reject-document")
    house.command("reject-document", reason, "coordinator", "--document", stray)
    imported, other = [
        each["event_id"]
        for each in house.done("replay", odette)["entries"]
        if each["topic"] == "patient.problem-recorded"
    ][:2]
    verdict = {**examples.pop("validate-entry"), "entry": imported}
    house.command("validate-entry", verdict, "present", "--patient", odette)
    (said,) = examples.pop("validate-entries")["judgements"]
    verdicts = {"judgements": [{**said, "entry": other}]}
    house.command("validate-entries", verdicts, "present", "--patient", odette)
    desk("end-medecin-traitant")
    on_patient("record-death")

    # The centre, its people and their stints
    opened = {**examples.pop("open-centre"), "finess": "990000028"}
    assert house.command("open-centre", opened, "administrator")["centre"] != centre
    examples["record-gap"] |= {"first_day": "2027-05-03", "last_day": "2027-05-09"}
    for name in ("add-site", "change-policy", "change-roster", "record-closure", "record-gap"):
        house.command(name, examples.pop(name), "coordinator", "--centre", centre)
    practitioner = house.command(
        "onboard-practitioner", examples.pop("onboard-practitioner"), "administrator"
    )["practitioner"]
    planned = {**examples.pop("plan-stint"), "practitioner": practitioner, "centre": centre}
    stint = house.command("plan-stint", planned, "coordinator")["stint"]
    whom = ("administrator", "--practitioner", practitioner)
    house.command("verify-practitioner", examples.pop("verify-practitioner"), *whom)
    for name in ("grant-role", "revoke-role"):
        house.command(name, {**examples.pop(name), "centre": centre}, *whom)
    for name in ("revise-stint", "start-stint", "end-stint"):
        house.command(name, examples.pop(name), "coordinator", "--stint", stint)
    later = {
        **planned,
        "starts_at": "2027-03-01T08:00:00+01:00",
        "ends_at": "2027-03-06T13:00:00+01:00",
    }
    other = house.command("plan-stint", later, "coordinator")["stint"]
    house.command("cancel-stint", examples.pop("cancel-stint"), "coordinator", "--stint", other)
    house.command("suspend-practitioner", examples.pop("suspend-practitioner"), *whom)
    edition = house.done("briefing")["edition"]
    own = ("present", "--stint", doctor["stint"])
    house.command("open-briefing", {**examples.pop("open-briefing"), "edition": edition}, *own)
    for name in ("take-watch", "close-handover"):
        house.command(name, examples.pop(name), *own)
    assert examples == {}


def person_of(house: House, persona: dict[str, Any]) -> str:
    """The practitioner behind a persona, as the entries they sign name them."""
    return str(persona["person"])
