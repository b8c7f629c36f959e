"""Where the doors read records from: sealed projection rows and the ledger, opened per request.

Nothing here is shown by itself: routes and pages reach these functions through
:func:`~releve.api.disclosure.read_clinical` alone. Each gives its content and the ledger position
that the content shows.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final
from uuid import UUID

from releve.api.gate import Granted, may
from releve.domain.errors import NotFound
from releve.projections import records
from releve.projections.directory import Directory
from releve.projections.records import PatientAt
from releve.projections.results_board import Group, ResultRow
from releve.projections.rule_release import Rules, in_force, load_rules
from releve.projections.timeline import TimelineEntry, entries_of
from releve.security.policy import Action

if TYPE_CHECKING:
    from releve.api.services import Services

LATE_AFTER_S: Final = 5.0
"""Readings that are further behind than this are said to be late."""


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


def timeline_of(services: Services, patient: UUID, last: int | None = None) -> list[TimelineEntry]:
    """Every entry of a record, or its ``last`` ones, newest first, read from the ledger itself."""
    return entries_of(services.reader.stream(patient, last=last))[::-1]


def rules_of(directory: Directory) -> Rules:
    """The rules in force."""
    return load_rules(in_force(directory.rules.release if directory.rules else None))


def alarms_now(services: Services, centre: UUID, now: datetime) -> list[str]:
    """What makes a briefing of a centre less than it should be at ``now``, in words: said first."""
    found = []
    directory = services.directory.load()
    if not directory.in_post(centre, now):
        here = directory.centre(centre)
        named = f" Le référent répond : {here.referent.name}." if here else ""
        found.append(f"Aucun médecin en poste : appeler le 15 ou le 116 117.{named}")
    found += services.editions.intake(centre, now)
    lag = services.feed.lag()
    if lag.behind_s > LATE_AFTER_S:
        found.append(f"Lectures en retard : {lag.events} événements ne sont pas encore montrés.")
    return found


def results_board_of(
    services: Services, granted: Granted, at: datetime
) -> tuple[dict[Group, list[ResultRow]], int]:
    """A centre's results by group, and the position they show.

    What nobody matched yet is there for whoever may read the inbox.
    """
    directory = services.directory.load()
    position, _ = services.records.summaries(granted.centre)
    reads_inbox = may(services, granted, Action.READ_INBOX)
    waiting = services.inbox.waiting(granted.centre) if reads_inbox else ()
    rules = rules_of(directory)
    found = records.results_of(services.records, waiting, directory, granted.centre, at, rules)
    return found, position
