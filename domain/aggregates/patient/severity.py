"""Illness severity: the I of I-PASS."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Generic, NamedTuple, Protocol, TypeVar, runtime_checkable

from releve.domain.aggregates.deciding import Context, Fact, refuse
from releve.domain.aggregates.patient.record import Fold, Patient
from releve.domain.clinical_time import Recency
from releve.domain.commands import SetIllnessSeverity
from releve.domain.events import Payload
from releve.domain.values import PartialDate, Severity, readable

# Events: the storage format. Never rename, retype or reuse a field; see domain/upcasting.py.


class IllnessSeveritySet(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """How ill the patient is now; after ``review_by`` it keeps its rank, "à réévaluer"."""

    topic: ClassVar[str] = "patient.illness-severity-set"

    severity: Severity
    reason: str = ""
    review_by: str | None = None


# State

FOLDS: dict[type[Payload], Fold] = {
    IllnessSeveritySet: lambda patient, event: patient.severities.append(event),
}


T = TypeVar("T")


class Said(NamedTuple, Generic[T]):
    """One statement of how ill the patient is."""

    recency: Recency
    level: Severity
    restated: bool
    """By a handover, which gives the level and not the reason."""
    by: T
    """The statement itself, as the caller knows it."""


def in_force(said: Iterable[Said[T]]) -> T | None:
    """The statement in force: the latest by clinical time, whenever it was written.

    A handover that says the level that held when it was written keeps the statement it found, with
    its reason.
    """
    known = list(said)
    found: Said[T] | None = None
    while known:
        latest = max(known, key=lambda one: one.recency)
        if found is not None and latest.level != found.level:
            break
        found = latest
        if not found.restated:
            break
        written = found.recency[1]
        known = [one for one in known if one.recency[1] < written]
    return None if found is None else found.by


@runtime_checkable
class _SaysHowIll(Protocol):
    @property
    def severity(self) -> Severity: ...


def current_severity(patient: Patient) -> Severity | None:
    """How ill the patient was last said to be, by itself or in a handover.

    It never expires into calm, and a late entry about another day does not change today's.
    """
    return in_force(
        Said(
            event.recency,
            event.payload.severity,
            not isinstance(event.payload, IllnessSeveritySet),
            event.payload.severity,
        )
        for event in patient.severities
        if event.event_id not in patient.in_error and isinstance(event.payload, _SaysHowIll)
    )


# Decisions


def set_illness_severity(
    patient: Patient, command: SetIllnessSeverity, ctx: Context
) -> tuple[Fact, ...]:
    """A watcher or an unstable patient has a reason."""
    reason = readable(command.reason, field="reason", limit=400)
    if command.severity != "stable" and not reason:
        raise refuse(
            "severity-reason-missing",
            "La gravité n'est pas enregistrée.",
            "Un patient à surveiller ou instable l'est pour une raison.",
            "Dire en quelques mots pourquoi.",
            field="reason",
        )
    if command.review_by is not None:
        PartialDate(command.review_by, field="review_by")
    return (
        Fact(
            IllnessSeveritySet(
                severity=command.severity, reason=reason, review_by=command.review_by
            )
        ),
    )
