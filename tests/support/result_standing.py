"""Where each result stands, as the record has it and as its summary shows it, to be compared."""

from __future__ import annotations

from datetime import date
from typing import Final
from uuid import UUID

from releve.domain.aggregates.patient import Patient
from releve.domain.aggregates.patient.results import (
    InvestigationOrdered,
    ResultReceived,
    current_results,
    order_of,
    results_of,
    stage_of,
)
from releve.domain.events import Event
from releve.projections.patient_summary import PatientSummary

DAY: Final = date(2026, 11, 24)
Standing = dict[UUID, tuple[str, UUID | None]]
"""Of each result in force, and each order that nothing answers: its state, and its order."""

_SHOWN: Final = {
    "to-read": "to-review", "to-tell": "to-inform", "partial": "partial", "phoned": "partial",
    "done": "done",
}  # fmt: skip


def told(record: Patient) -> Standing:
    """As the record has it."""
    found = {
        event.event_id: (_said(record, event), order_of(record, event.event_id))
        for event in current_results(record)
    }
    for order in record.standing(record.told(InvestigationOrdered)):
        if not any(results_of(record, order.event_id)):
            found[order.event_id] = ("expected", order.event_id)
    return found


def _said(record: Patient, result: Event) -> str:
    stage = stage_of(record, result)
    if stage != "history":
        return _SHOWN[stage]
    # Nobody is asked to read it; it is shown as what nobody has read.
    payload = result.payload
    partial = isinstance(payload, ResultReceived) and payload.status == "partial"
    return "partial" if partial else "to-review"


def shown(summary: PatientSummary) -> Standing:
    """As the summary has it on :data:`DAY`, which every order of these tests still awaits."""
    return {
        one.entry_id: (one.state(DAY), one.order.entry_id if one.order is not None else None)
        for one in summary.results
        if one.received is not None or one.state(DAY) != "cancelled"
    }


def waiting(said: Standing) -> Standing:
    """What is not done."""
    return {entry: each for entry, each in said.items() if each[0] != "done"}
