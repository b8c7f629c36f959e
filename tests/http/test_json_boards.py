"""What pages show is in the JSON too: the open-items board, a stint's list, a whole summary."""

from __future__ import annotations

import html
from typing import Any
from uuid import uuid4

import pytest
from starlette.testclient import TestClient

from releve.domain.aggregates.patient.allergies import AbsenceAsserted
from support.inbox import imported
from support.web import Web, key, registered, write

pytestmark = pytest.mark.postgres


def board(web: Web, client: TestClient) -> dict[str, Any]:
    centre = web.services.persona("present").centre
    answer = client.get(f"/api/v1/centres/{centre}/open-items")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def a_record(client: TestClient, name: str) -> tuple[str, str]:
    """A new record's id and its address."""
    patient = str(registered(client, name))
    return patient, f"/patients/{patient}"


def test_the_open_items_board_is_in_the_pages_order(web: Web, machine: TestClient) -> None:
    patient, page = a_record(machine, "TABLEAUPOINTS")
    item = write(machine, page, "open-item", kind="result", text="Échographie à obtenir",
                 due="2026-11-16", harm_if_late=True)[0]  # fmt: skip
    present = web.services.persona("present")
    write(machine, page, "offer-item", item=item, to={"person": str(present.person)},
          to_name=present.name)  # fmt: skip
    found = board(web, machine)
    assert found["number"] == len(found["items"]) > 3
    assert found["late"] == sum(each["overdue_days"] > 0 for each in found["items"])
    (row,) = [each for each in found["items"] if each["item"] == item]
    assert row["patient"] == patient
    assert (row["text"], row["due"], row["overdue_days"]) == (
        "Échographie à obtenir", "2026-11-16", 7,
    )  # fmt: skip
    assert row["harm_if_late"] is True
    assert (row["state"], row["offered_to_me"]) == ("offered", True)
    assert row["offered_to"] == present.name
    assert row["last_step"]["entry"] != item
    shown = html.unescape(web.browser("present").get("/points?tout=1").text)
    others = [each for each in found["items"] if not each["offered_to_me"]]
    places = [shown.index(str(each["item"])) for each in others if each["item"] in shown]
    assert len(places) > 3
    assert places == sorted(places)


def test_the_office_is_given_deadlines_and_no_words(web: Web, machine: TestClient) -> None:
    _, page = a_record(machine, "ECHEANCESEULE")
    write(machine, page, "open-item", kind="result", text="Biopsie à relire", due="2026-11-16")
    whole, labels = board(web, machine), web.machine("coordinator")
    office = board(web, labels)
    assert [each["item"] for each in office["items"]] == [each["item"] for each in whole["items"]]
    mine = [each for each in office["items"] if each["name"].startswith("ECHEANCESEULE")]
    assert [(each["nature"], each["text"], each["overdue_days"]) for each in mine] == [
        ("résultat attendu", None, 7)
    ]
    assert "Biopsie" not in str(office)
    for word in ("severity", "last_step", "next_step", "harm_if_late"):
        assert all(word not in each for each in office["items"]), word
    for path in (f"centres/{uuid4()}/open-items", f"stints/{uuid4()}/patients"):
        assert machine.get(f"/api/v1/{path}").status_code == 404
    assert labels.get(f"/api/v1/stints/{web.stint('present')}/patients").status_code == 404


def test_a_stints_list_says_who_lacks_a_handover(web: Web, machine: TestClient) -> None:
    patient, page = a_record(machine, "SANSTRANSMISSION")
    write(machine, page, "set-illness-severity", severity="unstable", reason="Dyspnée")
    path = f"/api/v1/stints/{web.stint('present')}/patients"
    (row,) = [each for each in machine.get(path).json()["patients"] if each["patient"] == patient]
    assert (row["severity"], row["allergies"], row["handover_written"]) == (
        "unstable", "not-asked", False,
    )  # fmt: skip
    write(machine, page, "write-handover", severity="unstable", summary="Dyspnée à revoir")
    (row,) = [each for each in machine.get(path).json()["patients"] if each["patient"] == patient]
    assert row["handover_written"] is True
    assert row["one_liner"] == "Dyspnée à revoir"


def test_a_summary_says_what_the_page_says(web: Web, machine: TestClient) -> None:
    _, page = a_record(machine, "SYNTHESEENTIERE")
    write(machine, page, "write-handover", severity="unstable", summary="Hyperkaliémie")
    potassium = {"text": "Potassium",
                 "codings": [{"system": "http://loinc.org", "code": "2823-3"}]}  # fmt: skip
    unit = {"unit": "mmol/L", "code": "mmol/L"}
    write(
        machine, page, "set-contingency", condition="Si K+ > 5,5", action="ECG, appeler le SAMU",
        threshold={"loinc": "2823-3", "comparator": ">", "value": "5.5", "unit": "mmol/L"},
    )  # fmt: skip
    value = {"code": potassium, "value": {"value": "7.1", **unit}}
    write(machine, page, "receive-result", status="phoned", caller="Laboratoire des Charmes",
          read_back=True, lines=[value])  # fmt: skip
    write(machine, page, "change-ald-status", code="13", status="granted",
          starts="2024-01-02", ends="2027-01-02")  # fmt: skip
    item = write(machine, page, "open-item", kind="call", text="Rappeler la fille",
                 due="2026-11-24")[0]  # fmt: skip
    present = web.services.persona("present")
    write(machine, page, "offer-item", item=item, to={"role": "referent"}, to_name="le référent")
    write(web.machine("coordinator"), page, "notice-appointment", reference="rdv-1",
          starts_at="2026-11-26T09:00:00+01:00")  # fmt: skip
    write(
        web.machine("coordinator"),
        page,
        "change-contact-details",
        phones=[["mobile", "06 39 98 00 01"]],
    )
    answer = machine.get(f"/api/v1{page}/summary")
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert [(each["label"], each["critical"]) for each in told["alarms"]] == [("Kaliémie", True)]
    (rule,) = told["contingencies"]
    assert rule["detail"]["action"] == "ECG, appeler le SAMU"
    assert (rule["expired"], len(rule["met"])) == (False, 1)
    assert "7,1" in rule["met"][0]["text"]
    assert [each["detail"]["code"] for each in told["ald"]] == ["13"]
    assert told["handover"]["detail"]["summary"] == "Hyperkaliémie"
    assert told["handover"]["author"] == present.name
    assert [(each["item"], each["text"]) for each in told["offers"]] == [
        (item, "Rappeler la fille")
    ]
    assert [each["detail"]["reference"] for each in told["appointments"]] == ["rdv-1"]
    assert told["contact_details"]["detail"]["phones"] == [["mobile", "06 39 98 00 01"]]


def test_an_imported_none_known_that_nobody_accepted_is_no_fact(
    web: Web, machine: TestClient
) -> None:
    patient = registered(machine, "AUCUNEALLERGIE")
    page = f"/patients/{patient}"
    (said,) = imported(web, patient, AbsenceAsserted(slot="allergies", asked_on="2026-10-01"))
    for address in (page, f"{page}/summary"):
        presence = machine.get(f"/api/v1{address}").json()["presence"]["allergies"]
        assert presence["state"] == "none"
        assert presence["validation"] == "to-validate"
        assert presence["said"]["entry"] == said
        assert presence["said"]["source"] == "cda"
    write(machine, page, "validate-entry", entry=said, verdict="accepted")
    accepted = machine.get(f"/api/v1{page}/summary").json()["presence"]["allergies"]
    assert (accepted["state"], accepted["validation"]) == ("none", "accepted")
    asked = machine.get(f"/api/v1{page}").json()["presence"]["problems"]
    assert asked == {"state": "not-asked", "asked_on": None, "validation": "", "said": None,
                     "parts": []}  # fmt: skip
    write(machine, page, "assert-absence", slot="problems")
    typed = machine.get(f"/api/v1{page}").json()["presence"]["problems"]
    assert (typed["state"], typed["validation"], typed["said"]["source"]) == ("none", "", "ui")


def test_a_handover_in_error_says_what_it_leaves(web: Web, machine: TestClient) -> None:
    _, page = a_record(machine, "RELAISERRONE")
    wrote = write(
        machine, page, "write-handover", severity="unstable", summary="Dyspnée",
        new_items=[{"kind": "call", "text": "Rappeler la fille", "due": "2026-11-24"}],
    )  # fmt: skip
    severity, item, handover = wrote
    address = f"{page}/entrees/{handover}"
    before = html.unescape(web.browser("present").get(address).text)
    assert "ne retire ni la gravité" in before
    assert "Rappeler la fille" in before
    marked = machine.post(
        f"/api/v1{page}/mark-entry-in-error",
        json={"entry": handover, "reason": "Autre patient"}, headers=key(),
    )  # fmt: skip
    assert marked.status_code == 201, marked.text
    assert marked.json()["left"] == [
        {"entry": severity, "topic": "patient.illness-severity-set"},
        {"entry": item, "topic": "patient.item-opened"},
    ]
    told = machine.get(f"/api/v1{page}/summary").json()
    assert told["handover"] is None
    assert told["severity"]["entry"] == severity
    assert "Rappeler la fille" in html.unescape(web.browser("present").get(address).text)
    write(machine, page, "close-item", item=item, outcome="done", evidence="Fait")
    note = write(machine, page, "sign-note", one_liner="Va mieux")[0]
    other = machine.post(
        f"/api/v1{page}/mark-entry-in-error",
        json={"entry": note, "reason": "Autre patient"}, headers=key(),
    )  # fmt: skip
    assert "left" not in other.json()


def test_questions_of_ones_own_are_told_with_their_answers(web: Web, machine: TestClient) -> None:
    patient, page = a_record(machine, "QUESTIONPOSEE")
    present = web.services.persona("present")
    colleague = web.services.persona("referent")
    asked = write(machine, page, "ask-question", to=str(colleague.person),
                  to_name=colleague.name, text="Faut-il un scanner ?")[0]  # fmt: skip
    told = machine.get("/api/v1/questions").json()
    (mine,) = [each for each in told["mine"] if each["question"] == asked]
    assert (mine["patient"], mine["text"], mine["answer"]) == (
        patient, "Faut-il un scanner ?", None,
    )  # fmt: skip
    referent = web.machine("referent")
    (waiting,) = [each for each in referent.get("/api/v1/questions").json()["questions"]
                  if each["question"] == asked]  # fmt: skip
    assert waiting["asked_by"] == present.name
    write(referent, page, "answer-question", question=asked, text="Oui, sans injection")
    (mine,) = [each for each in machine.get("/api/v1/questions").json()["mine"]
               if each["question"] == asked]  # fmt: skip
    assert mine["answer"]["detail"]["text"] == "Oui, sans injection"
