"""Where the doors read records from: sealed projection rows and the ledger, opened per request.

Nothing here is shown by itself: routes and pages reach these functions through
:func:`~releve.api.disclosure.read_clinical` alone. Each gives its content and the ledger position
that the content shows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from starlette.requests import Request

from releve.domain.errors import NotFound
from releve.projections import records
from releve.projections.editions import Editions
from releve.projections.patient_summary import PatientSummary
from releve.projections.records import CentreRecords, PatientAt
from releve.projections.timeline import TimelineEntry, entries_of

if TYPE_CHECKING:
    from releve.api.services import Services


def records_of(request: Request) -> CentreRecords:
    """The opened rows of centres, kept for a minute by this process."""
    found: CentreRecords = request.app.state.records
    return found


def editions_of(request: Request) -> Editions:
    """The briefing editions, issued and kept."""
    found: Editions = request.app.state.editions
    return found


def patient_at(services: Services, patient: UUID) -> PatientAt:
    """The whole summary of one patient and the position it shows.

    Raises:
        NotFound: no such patient is projected.
        KeyDestroyed: the record was erased.
    """
    found = records.read_patient(services.pool, services.data_keys, patient)
    if found is None:
        raise NotFound
    return found


def everybody(request: Request, centre: UUID) -> tuple[list[PatientSummary], int]:
    """The bounded summary of every patient of a centre."""
    position, found = records_of(request).summaries(centre)
    return list(found.values()), position


def timeline_of(services: Services, patient: UUID) -> list[TimelineEntry]:
    """Every entry of a record, newest first, read from the ledger itself."""
    return entries_of(services.reader.stream(patient))[::-1]
