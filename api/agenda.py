"""The day's list from the centre's agenda: read, proposed to records, written once confirmed.

Only times, names and references are taken; why somebody comes is never kept. A line whose record
is not certain is listed for a person, never guessed and never dropped.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, NamedTuple
from uuid import UUID

from releve.api.proposing import holders, traits_of
from releve.domain.aggregates.inbox_document import compare
from releve.domain.commands import NoticeAppointment
from releve.fhir.day_list import DayListLine

if TYPE_CHECKING:
    from releve.api.services import Services

UNKNOWN: Final = "Aucun dossier du centre n'a ce nom et cette date de naissance."
SEVERAL: Final = "Plusieurs dossiers correspondent."
NO_BIRTH_DATE: Final = "La date de naissance manque : le nom seul ne suffit pas."


class Proposed(NamedTuple):
    """One appointment, and the one record that it is certainly of; else why there is none."""

    line: DayListLine
    patient: UUID | None
    why: str = ""

    @property
    def command(self) -> NoticeAppointment:
        """What is written on the record once a person confirmed."""
        return NoticeAppointment(
            starts_at=self.line.starts_at,
            minutes=self.line.minutes,
            status=self.line.status,
            reference=self.line.reference,
        )


def proposed(services: Services, centre: UUID, lines: Iterable[DayListLine]) -> list[Proposed]:
    """Each line with its record: exact names and birth date, or an identifier, of one record."""
    by_birth: dict[str, list[UUID]] = {}
    summaries = services.records.summaries(centre)[1]
    for patient, summary in summaries.items():
        if summary.identity is not None and summary.identity.birth_date:
            by_birth.setdefault(summary.identity.birth_date, []).append(patient)
    found = []
    for line in lines:
        said = line.identity
        near = {*by_birth.get(said.birth_date or "", ()), *holders(services, said)}
        fitting = [
            patient
            for patient in near & summaries.keys()
            if (known := traits_of(summaries[patient])) is not None
            and (compared := compare(said, known)).enough
            and not compared.differing
        ]
        if len(fitting) == 1:
            found.append(Proposed(line, fitting[0]))
        elif fitting:
            found.append(Proposed(line, None, SEVERAL))
        else:
            found.append(Proposed(line, None, UNKNOWN if said.birth_date else NO_BIRTH_DATE))
    return found
