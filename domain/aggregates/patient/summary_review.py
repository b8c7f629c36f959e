"""Reviewing the summary: somebody read it through, and it stands."""

from __future__ import annotations

from datetime import date
from typing import ClassVar

from releve.domain.aggregates.deciding import Context, Fact
from releve.domain.aggregates.patient.record import Fold, Patient, file
from releve.domain.commands import ReviewSummary
from releve.domain.errors import Invalid
from releve.domain.events import Payload
from releve.domain.values import PartialDate

# Events: the storage format. Never rename, retype or reuse a field; see domain/upcasting.py.


class SummaryReviewed(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """The slots named (all where none is) were read; the next review is due on a day."""

    topic: ClassVar[str] = "patient.summary-reviewed"

    slots: tuple[str, ...] = ()
    next_review: str | None = None


# State

FOLDS: dict[type[Payload], Fold] = {
    SummaryReviewed: file,
}

SLOT_NAMES = (
    "problems",
    "past-illness",
    "procedures",
    "allergies",
    "adverse-reactions",
    "medications",
    "devices",
    "vigilance",
    "functional-status",
    "vital-signs",
    "lifestyle",
    "occupation",
    "family-history",
    "immunizations",
    "pregnancies",
    "care-plan",
    "advance-directives",
    "results",
    "documents",
)
"""The 19 sections of the summary (IPS-FR 2024.01), in its order."""


# Decisions


def review_summary(patient: Patient, command: ReviewSummary, ctx: Context) -> tuple[Fact, ...]:
    """Slots that exist, each named once; a next review that is still to come."""
    for place, slot in enumerate(command.slots):
        if slot not in SLOT_NAMES or slot in command.slots[:place]:
            raise Invalid(
                "invalid-field",
                field=f"slots[{place}]",
                why="Cette rubrique n'existe pas, ou est citée deux fois.",
            )
    if command.next_review is not None and _last_day(command.next_review) <= ctx.today:
        raise Invalid("in-the-past", field="next_review", why="La prochaine relecture est à venir.")
    return (Fact(SummaryReviewed(slots=command.slots, next_review=command.next_review)),)


def _last_day(value: str) -> date:
    return PartialDate(value, field="next_review").last_day
