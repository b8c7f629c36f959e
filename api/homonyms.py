"""Other people of a centre who bear the same name and birth date as one who is being registered."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from releve.api.proposing import traits_of
from releve.domain.aggregates.inbox_document import compare
from releve.domain.commands import RegisterPatient
from releve.domain.values import IdentityTraits

if TYPE_CHECKING:
    from releve.api.services import Services


def homonyms(services: Services, centre: UUID, command: RegisterPatient, but: UUID) -> int:
    """How many records of the centre beside ``but`` this identity fits: namesakes, twins, doubles.

    Nobody is named: who registers is to search the list again.
    """
    said = IdentityTraits(
        birth_name=command.birth_name,
        first_names=command.first_names,
        used_name=command.used_name,
        used_first_name=command.used_first_name,
        birth_date=command.birth_date,
        sex=command.sex,
        birth_place=command.birth_place,
    )
    if not said.birth_date:
        return 0
    return sum(
        compare(said, known).fits
        for patient, summary in services.records.summaries(centre)[1].items()
        if patient != but
        and summary.identity is not None
        and summary.identity.birth_date == said.birth_date
        and (known := traits_of(summary)) is not None
    )
