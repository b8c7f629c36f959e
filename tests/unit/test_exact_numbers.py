"""A decimal comma that a person types is a point in what is stored, at every door."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from releve.domain.aggregates.patient.history import HistoryRecorded
from releve.domain.aggregates.patient.medications import MedicationChanged, MedicationStarted
from releve.domain.aggregates.patient.observations import LOINC, ObservationRecorded
from releve.domain.aggregates.patient.results import ResultReceived
from releve.domain.commands import (
    ChangeMedication,
    ReceiveResult,
    RecordHistory,
    RecordObservation,
    StartMedication,
)
from releve.domain.events import Author
from releve.domain.exact_numbers import decimal_text, number_of
from releve.domain.values import Coding, Component, Concept, Quantity
from support.given import SECRETARY, SYSTEM, entry, given
from support.ordered import REGISTERED
from support.results import K, line

COMMA = Quantity(value="6,80", unit="mmol/L", code="mmol/L")
POINT = Quantity(value="6.80", unit="mmol/L", code="mmol/L")
DRUG = Concept(text="Ramipril")
DOSE, DOSE_STORED = (Quantity(value=each, unit="mg") for each in ("2,50", "2.50"))


def lines_of(payload: Any) -> list[Quantity | None]:
    assert isinstance(payload, ResultReceived)
    return [each.value for each in payload.lines]


@pytest.mark.parametrize("door", ["secretary", "doctor", "ehr"])
def test_the_line_of_a_result(door: str) -> None:
    said = line("6,80")
    if door == "secretary":
        command = ReceiveResult(status="phoned", lines=(said,), caller="Labo", read_back=True)
        answer = given(REGISTERED).when(command, by=SECRETARY)
    elif door == "doctor":
        answer = given(REGISTERED).when(ReceiveResult(status="final", lines=(said,)))
    else:
        by = Author(role="ehr", name="Laboratoire")
        answer = given(REGISTERED).when(ReceiveResult(status="final", lines=(said,)), by=by)
    (stored,) = lines_of(answer.events[0].payload)
    assert stored is not None
    assert stored.value == "6.80"


def test_what_a_machine_sends_and_is_no_number_is_kept_as_received() -> None:
    command = ReceiveResult(status="final", lines=(line("6,8 H"), line("1e2")))
    answer = given(REGISTERED).when(command, by=SYSTEM)
    assert [each and each.value for each in lines_of(answer.events[0].payload)] == ["6,8 H", "1e2"]


def test_a_measure_and_its_parts() -> None:
    answer = given(REGISTERED).when(RecordObservation(code=K, value=COMMA, confirmed=True))
    measured = answer.events[0].payload
    assert isinstance(measured, ObservationRecorded)
    assert measured.value == POINT
    codes = [Concept(text=text, codings=(Coding(system=LOINC, code=code),))
             for text, code in (("PA", "85354-9"), ("Systolique", "8480-6"))]  # fmt: skip
    part = Component(code=codes[1], value=Quantity(value="134,5", unit="mm[Hg]"))
    answer = given(REGISTERED).when(RecordObservation(code=codes[0], components=(part,)))
    measured = answer.events[0].payload
    assert isinstance(measured, ObservationRecorded)
    assert [each.value.value for each in measured.components] == ["134.5"]


def test_a_dose() -> None:
    answer = given(REGISTERED).when(StartMedication(concept=DRUG, dose=DOSE))
    started = answer.events[0].payload
    assert isinstance(started, MedicationStarted)
    assert started.dose == DOSE_STORED
    answer = given(REGISTERED, MedicationStarted(concept=DRUG, status="active")).when(
        ChangeMedication(medication=entry(2), dose=DOSE, reason="HTA")
    )
    changed = answer.events[0].payload
    assert isinstance(changed, MedicationChanged)
    assert changed.dose == DOSE_STORED


def test_a_line_of_history() -> None:
    smoked = Quantity(value="12,5", unit="{Pack}.a")
    answer = given(REGISTERED).when(
        RecordHistory(slot="lifestyle", concept=Concept(text="Tabac"), value=smoked)
    )
    told = answer.events[0].payload
    assert isinstance(told, HistoryRecorded)
    assert told.value == Quantity(value="12.5", unit="{Pack}.a")


@pytest.mark.parametrize(
    ("stored", "text"),
    [("6,8", "6.8"), (" 6.80 ", "6.80"), ("+1,0", "1.0"), ("007", "7"), ("-0", "-0"),
     ("1E-7", "1E-7"), ("nan", None), ("inf", None), ("6,8 mmol/L", None), ("", None), ("-", None)],
)  # fmt: skip
def test_what_is_stored_is_read_whatever_its_point(stored: str, text: str | None) -> None:
    assert decimal_text(stored) == text
    assert number_of(stored) == (None if text is None else Decimal(text))
