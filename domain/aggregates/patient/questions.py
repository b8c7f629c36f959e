"""Questions to a colleague, and second looks beside what was written."""

from __future__ import annotations

from typing import ClassVar, Literal
from uuid import UUID

from releve.domain.aggregates.patient.record import Fold, file
from releve.domain.events import Payload

# Events: the storage format. Never rename, retype or reuse a field; see domain/upcasting.py.


class QuestionAsked(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """A colleague was asked; the envelope's target is the entry that the question is about."""

    topic: ClassVar[str] = "patient.question-asked"

    to: UUID
    to_name: str
    text: str
    due: str | None = None


class QuestionAnswered(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """A question (the envelope's target) was answered."""

    topic: ClassVar[str] = "patient.question-answered"

    text: str


class OpinionRecorded(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """A second look stands beside an entry (the envelope's target), which it never changes."""

    topic: ClassVar[str] = "patient.opinion-recorded"

    stance: Literal["agrees", "challenges", "adds"]
    text: str


# State

FOLDS: dict[type[Payload], Fold] = {
    QuestionAsked: file,
    QuestionAnswered: file,
    OpinionRecorded: file,
}
