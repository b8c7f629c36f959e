"""If… then: what the leaving doctor would do, as words and, where possible, as a threshold."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import ClassVar, Literal
from uuid import UUID

from releve.domain.aggregates.deciding import Context, Fact
from releve.domain.aggregates.patient.record import Fold, Patient, file
from releve.domain.commands import SetContingency
from releve.domain.events import Event, Payload
from releve.domain.values import (
    ExactDecimal,
    Loinc,
    Quantity,
    Threshold,
    UcumUnit,
    readable,
    span,
    words,
)

# Events: the storage format. Never rename, retype or reuse a field; see domain/upcasting.py.


class ContingencySet(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """If this, then that, by whom; after ``valid_until`` it still fires, marked expired."""

    topic: ClassVar[str] = "patient.contingency-set"

    condition: str
    action: str
    threshold: Threshold | None = None
    who: str | None = None
    valid_until: str | None = None


class ContingencyActivated(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """A measure met the threshold of a contingency (the envelope's target)."""

    topic: ClassVar[str] = "patient.contingency-activated"

    by: UUID
    """The observation or result that met it."""


class ContingencyWithdrawn(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """A contingency (the envelope's target) was withdrawn, for the envelope's reason."""

    topic: ClassVar[str] = "patient.contingency-withdrawn"


# State

FOLDS: dict[type[Payload], Fold] = {
    ContingencySet: lambda patient, event: patient.contingencies.append(event),
    ContingencyActivated: file,
    ContingencyWithdrawn: file,
}


def current_contingencies(patient: Patient) -> Iterator[Event]:
    """Those that stand, expired ones included: nothing expires into calm."""
    return patient.standing(patient.contingencies)


def is_expired(contingency: ContingencySet, at: datetime, zone: str) -> bool:
    """True after ``valid_until``'s civil day in ``zone``: still fires, shown as expired."""
    if contingency.valid_until is None:
        return False
    return at >= span(contingency.valid_until, zone, field="valid_until")[1]


Match = Literal["met", "not-met", "unit-error"]


def matches(threshold: Threshold, value: Quantity) -> Match:
    """Whether a value of the threshold's LOINC code meets it; another unit is an error."""
    if (value.code or value.unit) != threshold.unit:
        return "unit-error"
    measured = ExactDecimal(value.value).number
    limit = ExactDecimal(threshold.value).number
    met = {
        ">": measured > limit,
        ">=": measured >= limit,
        "<": measured < limit,
        "<=": measured <= limit,
    }[threshold.comparator]
    return "met" if met else "not-met"


# Decisions


def set_contingency(patient: Patient, command: SetContingency, ctx: Context) -> tuple[Fact, ...]:
    """A condition and an action; a threshold has a LOINC code, an exact decimal and a UCUM unit."""
    if command.threshold is not None:
        Loinc(command.threshold.loinc, field="threshold.loinc")
        ExactDecimal(command.threshold.value, field="threshold.value")
        UcumUnit(command.threshold.unit, field="threshold.unit")
    if command.valid_until is not None:
        span(command.valid_until, ctx.zone, field="valid_until")
    return (
        Fact(
            ContingencySet(
                condition=words(command.condition, field="condition", limit=400),
                action=words(command.action, field="action", limit=400),
                threshold=command.threshold,
                who=readable(command.who or "", field="who", limit=160) or None,
                valid_until=command.valid_until,
            )
        ),
    )
