"""Problems: what the patient has, had, or was thought to have."""

from __future__ import annotations

from typing import ClassVar

from releve.domain.events import Payload
from releve.domain.values import Concept


class ProblemRecorded(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """A problem entered the record with the status its source gives it.

    Statuses are FHIR codes (condition-clinical, condition-ver-status); resolved, inactive and
    remission are never shown as active.
    """

    topic: ClassVar[str] = "patient.problem-recorded"

    concept: Concept
    clinical_status: str | None = None
    verification: str | None = None
    onset: str | None = None
    abatement: str | None = None
    recorded: str | None = None
    category: str | None = None
    severity: str | None = None
    laterality: str | None = None
