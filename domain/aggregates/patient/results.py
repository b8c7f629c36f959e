"""Results: from the order to a patient who was told; partial is not done."""

from __future__ import annotations

from typing import ClassVar, Literal
from uuid import UUID

from releve.domain.aggregates.patient.record import Fold, file
from releve.domain.events import Payload
from releve.domain.values import (
    Concept,
    ContactChannel,
    InvestigationKind,
    ResultLine,
    ResultStatus,
    ResultVerdict,
)

# Events: the storage format. Never rename, retype or reuse a field; see domain/upcasting.py.


class InvestigationOrdered(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """A laboratory test or imaging was ordered; ``item`` is open until the patient was told."""

    topic: ClassVar[str] = "patient.investigation-ordered"

    kind: InvestigationKind
    text: str
    expected_by: str
    item: UUID
    """The open item of the same append."""
    codes: tuple[Concept, ...] = ()
    why: str = ""
    criticality: Literal["routine", "urgent"] = "routine"
    harm_if_late: bool = False


class ResultReceived(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """A result came in; the envelope's target is the earlier version that it replaces."""

    topic: ClassVar[str] = "patient.result-received"

    status: ResultStatus
    title: str = ""
    lines: tuple[ResultLine, ...] = ()
    conclusion: str = ""
    order: UUID | None = None
    report: str | None = None
    laboratory: str = ""
    sampled_at: str | None = None
    caller: str = ""
    read_back: bool = False


class ResultReviewed(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """A doctor said what a result (the envelope's target) means and what follows."""

    topic: ClassVar[str] = "patient.result-reviewed"

    verdict: ResultVerdict
    action: str = ""
    inform_patient: bool = True


class ContactAttempted(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """Somebody tried to reach the patient; the envelope's target is what it was about."""

    topic: ClassVar[str] = "patient.contact-attempted"

    channel: ContactChannel
    outcome: Literal["no-answer", "message-left", "reached", "wrong-number"]
    whom: str = ""


class Informed(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """The patient, or who speaks for them, was told a result (the envelope's target)."""

    topic: ClassVar[str] = "patient.informed"

    channel: ContactChannel
    whom: str = ""
    text: str = ""


# State

FOLDS: dict[type[Payload], Fold] = {
    InvestigationOrdered: file,
    ResultReceived: file,
    ResultReviewed: file,
    ContactAttempted: file,
    Informed: file,
}
