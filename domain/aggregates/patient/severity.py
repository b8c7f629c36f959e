"""Illness severity: the I of I-PASS."""

from __future__ import annotations

from typing import ClassVar

from releve.domain.aggregates.deciding import Context, Fact, refuse
from releve.domain.aggregates.patient.record import Fold, Patient
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


def current_severity(patient: Patient) -> IllnessSeveritySet | None:
    """The last one that stands; it never expires into calm."""
    for event in reversed(patient.severities):
        if patient.stands(event) and isinstance(event.payload, IllnessSeveritySet):
            return event.payload
    return None


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
