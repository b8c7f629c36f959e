"""An if/then and an unread value, in whatever order they come: the patient is first."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from starlette.testclient import TestClient

from support.web import Web, declared_here, write
from support.week import briefing, potassium, row, topics

pytestmark = pytest.mark.postgres

RULE = {
    "condition": "Kaliémie > 5,5 mmol/L",
    "action": "Arrêter le ramipril",
    "threshold": {"loinc": "2823-3", "comparator": ">", "value": "5.5", "unit": "mmol/L"},
}


class Record:
    """One patient's record, written to through the API."""

    def __init__(self, web: Web, doctor: TestClient, name: str) -> None:
        self.doctor = doctor
        self.page = declared_here(web, doctor, name)

    @property
    def patient(self) -> str:
        return self.page.rpartition("/")[2]

    def said(self, command: str, **data: object) -> str:
        """The entry that a command made first."""
        return write(self.doctor, self.page, command, **data)[0]

    def received(self) -> str:
        lines = [potassium("5.8")]
        return self.said("receive-result", status="final", title="Ionogramme", lines=lines)

    def ruled(self) -> str:
        return self.said("set-contingency", **RULE)

    def withdrawn(self, rule: str) -> str:
        return self.said("withdraw-contingency", contingency=rule, reason="Arrêté")

    def in_error(self, entry: str) -> None:
        self.said("mark-entry-in-error", entry=entry, reason="Erreur de saisie")

    def back(self, entry: str) -> None:
        self.said("reinstate-entry", entry=entry, reason="C'était juste")


def fired_then_withdrawn_in_error(record: Record) -> None:
    rule = record.ruled()
    record.received()
    record.in_error(record.withdrawn(rule))


def came_while_the_if_then_was_in_error(record: Record) -> None:
    rule = record.ruled()
    record.in_error(rule)
    record.received()
    record.back(rule)


def came_while_the_if_then_was_withdrawn(record: Record) -> None:
    withdrawal = record.withdrawn(record.ruled())
    record.received()
    record.in_error(withdrawal)


def was_unread_when_the_if_then_was_set(record: Record) -> None:
    record.received()
    record.ruled()


def was_in_error_when_the_if_then_was_set(record: Record) -> None:
    came = record.received()
    record.in_error(came)
    record.ruled()
    record.back(came)


@pytest.mark.parametrize(
    "history",
    [
        fired_then_withdrawn_in_error,
        came_while_the_if_then_was_in_error,
        came_while_the_if_then_was_withdrawn,
        was_unread_when_the_if_then_was_set,
        was_in_error_when_the_if_then_was_set,
    ],
)
def test_an_if_then_in_force_rings_beside_an_unread_value(
    web: Web, machine: TestClient, history: Callable[[Record], None]
) -> None:
    record = Record(web, machine, history.__name__.replace("_", " ").upper()[:30])
    history(record)
    assert "contingency-activated" in topics(machine, record.patient)
    shown = row(briefing(web, "present"), record.patient)
    assert shown["tier"] == "T0"
    assert "seuil atteint" in shown["why"]
    (rule,) = shown["contingencies"]
    assert rule["met"] is True
    assert [each["text"] for each in rule["by"]] == ["Potassium 5,8 mmol/L"]
