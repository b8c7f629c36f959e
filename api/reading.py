"""Where the doors read records from: sealed projection rows and the ledger, opened per request.

Nothing here is shown by itself: routes and pages reach these functions through
:func:`~releve.api.disclosure.read_clinical` alone. Each gives its content and the ledger position
that the content shows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from releve.domain.errors import NotFound
from releve.projections import records
from releve.projections.records import PatientAt
from releve.projections.timeline import TimelineEntry, entries_of

if TYPE_CHECKING:
    from releve.api.services import Services


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


def timeline_of(services: Services, patient: UUID) -> list[TimelineEntry]:
    """Every entry of a record, newest first, read from the ledger itself."""
    return entries_of(services.reader.stream(patient))[::-1]
