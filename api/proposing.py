"""Whose a received document may be: records of the centre that its identity fits, never by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from releve.domain.aggregates.inbox_document import Compared, compare, identity_traits
from releve.domain.values import IdentityTraits
from releve.fhir.held_identifiers import HeldIdentifiers
from releve.projections.inbox import InboxLine
from releve.projections.patient_summary import PatientSummary

if TYPE_CHECKING:
    from releve.api.services import Services


class Proposal(NamedTuple):
    """A record that a document may belong to, and what the two identities say of each other."""

    patient: UUID
    compared: Compared
    rivals: int = 0
    """Other records of the centre that the document fits."""

    @property
    def fits(self) -> bool:
        """True when nobody would have to look twice."""
        if self.compared.differing or not self.compared.enough:
            return False
        return not self.rivals or "matricule" in self.compared.agreed


def proposals(
    services: Services, line: InboxLine, summaries: Mapping[UUID, PatientSummary]
) -> list[Proposal]:
    """Records of ``summaries`` that a document may belong to, best first; never by name alone.

    One that bears the same identifier is told even where a strict trait differs, since somebody
    has to look at that; it cannot be matched.
    """
    said = line.received.identity
    if said is None:
        return []
    named = holders(services, said)
    found = []
    for patient, summary in summaries.items():
        who = summary.identity
        if patient not in named and (
            who is None or not said.birth_date or who.birth_date != said.birth_date
        ):
            continue  # the birth date tells nearly everybody apart; names are compared after it
        known = traits_of(summary)
        if known is None:
            continue
        compared = compare(said, known)
        if patient in named and "identifiers" not in (*compared.agreed, *compared.differing):
            compared = Compared((*compared.agreed, "identifiers"), compared.differing)
        if patient in named or compared.fits:
            found.append(Proposal(patient, compared))
    fitting = sum(each.compared.fits for each in found)
    found = [each._replace(rivals=fitting - each.compared.fits) for each in found]
    return sorted(
        found, key=lambda each: (not each.fits, -len(each.compared.agreed), each.patient.hex)
    )


def rivals(services: Services, document: UUID, centre: UUID, patient: UUID) -> int:
    """How many records of the centre beside ``patient`` a document fits."""
    line = services.inbox.one(document)
    if line is None:
        return 0
    summaries = services.records.summaries(centre)[1]
    found = proposals(services, line, summaries)
    return sum(each.compared.fits and each.patient != patient for each in found)


def holders(services: Services, said: IdentityTraits) -> set[UUID]:
    """Records that hold one of these identifiers, compared as blind-index values."""
    return set(held_identifiers(services).holders(said.identifiers).values())


def held_identifiers(services: Services) -> HeldIdentifiers:
    """Who holds an identifier, asked of this service's database."""
    return HeldIdentifiers(services.continuity, services.pool, services.blind_index)


def traits_of(summary: PatientSummary) -> IdentityTraits | None:
    """The identity that a summary shows; None where there is none."""
    return None if summary.identity is None else identity_traits(summary.identity)
