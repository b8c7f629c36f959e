"""A critical value is one whatever its comma and its label, from the door to the first card."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from support.inbox import SAMPLES, match, odette, send
from support.web import Web, key

pytestmark = pytest.mark.postgres
HPRIM = (SAMPLES / "hprim-structured.hpr").read_bytes().decode("cp850")


def waiting(web: Web, patient: UUID) -> list[tuple[bool, bool]]:
    """Of each result of a patient on the board: critical, not comparable."""
    centre = web.services.persona("present").centre
    board = web.machine("present").get(f"/api/v1/centres/{centre}/results").json()
    rows = [row for group in board["groups"] for row in group["results"]]
    return [
        (row["critical"], row["not_comparable"]) for row in rows if row["patient"] == str(patient)
    ]


def first_card(web: Web) -> str:
    shown = web.browser("present").get("/releve", follow_redirects=True)
    assert shown.status_code == 200
    return shown.text.partition("<article")[2].partition("</article>")[0]


def test_a_potassium_typed_with_a_comma_is_first_and_leaves_with_its_digits(web: Web) -> None:
    patient = odette(web, birth_name="VIRGULE", birth_date="1950-01-02")
    doctor, desk = web.machine("present"), web.machine(web.hire("secretary"))
    code = {"text": "Potassium", "codings": [{"system": "http://loinc.org", "code": "2823-3"}]}
    line = {"code": code, "value": {"value": "6,80", "unit": "mmol/L"}}
    sent: dict[str, Any] = {
        "status": "phoned", "lines": [line], "caller": "Mme Exemple", "read_back": True,
    }  # fmt: skip
    answer = desk.post(f"/api/v1/patients/{patient}/receive-result", json=sent, headers=key())
    assert answer.status_code == 201, answer.text
    assert waiting(web, patient) == [(True, False)]
    card = first_card(web)
    assert "VIRGULE" in card
    assert "6,80 mmol/L" in card
    summary = doctor.get(f"/fhir/Patient/{patient}/$summary")
    assert '"value":6.80,' in summary.text


@pytest.mark.parametrize(
    ("label", "day", "seen"),
    [
        ("DOSAGE DU POTASSIUM", 3, (True, False)),
        ("IONOGRAMME : POTASSIUM", 4, (True, False)),
        ("POTASSIUM U", 5, (False, True)),
        ("POTASSIUM URINAIRE", 6, (False, False)),
    ],
)
def test_a_laboratorys_label_is_read_by_its_words(
    web: Web, label: str, day: int, seen: tuple[bool, bool]
) -> None:
    patient = odette(web, birth_date=f"1950-01-0{day}")
    text = HPRIM
    for said, told in (
        ("RES|POTASSIUM|K33|N|6.2|mmol/l|3.5|5.1|HH|F", f"RES|{label}|K33|N|7,1|mmol/l|||H|F"),
        ("02/03/1948", f"0{day}/01/1950"),
        ("2614187", f"261418{day}"),
    ):
        assert said in text
        text = text.replace(said, told)
    desk = web.machine("coordinator")
    answer = match(desk, send(desk, text.encode("cp850")), patient)
    assert answer.status_code == 201, answer.text
    assert waiting(web, patient) == [seen]
