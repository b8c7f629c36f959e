"""The edition a doctor reads: the one of the day, issued when there is none, kept for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from releve.api.acting import perform
from releve.api.gate import Granted
from releve.domain.commands import COMMANDS
from releve.projections.dates import zone_of
from releve.projections.editions import Edition, Editions, issue_briefing_data

if TYPE_CHECKING:
    from releve.api.services import Services


def edition_of_the_day(
    services: Services, editions: Editions, granted: Granted, stint: UUID
) -> Edition:
    """The newest edition of a stint, issued now where none was since the civil day began.

    ``granted`` allows issuing: it is the stint's own doctor who asks.

    Raises:
        NotFound: no such stint.
    """
    newest = editions.newest(stint)
    if newest is not None:
        zone = zone_of(granted.principal.zone)
        today = services.clock().astimezone(zone).date()
        if newest.issued_at.astimezone(zone).date() >= today:
            _bind(services, granted, newest)
            return newest
    return issue_now(services, editions, granted, stint)


def issue_now(services: Services, editions: Editions, granted: Granted, stint: UUID) -> Edition:
    """The edition that stands now: a new one, unless its cards would be the newest one's.

    Raises:
        NotFound: no such stint.
    """
    edition = editions.issue(services.directory.load(), stint, services.clock())
    _bind(services, granted, edition)
    return edition


def _bind(services: Services, granted: Granted, edition: Edition) -> None:
    """Have ``stint.briefing-issued`` and ``-opened`` written, once each."""
    line = services.directory.load().stint(edition.stint)
    issued = {each.edition for each in line.editions} if line else set()
    if edition.edition not in issued:
        command = COMMANDS["issue-briefing"].parse(issue_briefing_data(edition))
        perform(
            services, granted, command, client_key=f"issue.{edition.edition}", target=edition.stint
        )
    if line is None or edition.edition not in line.opened:
        opened = COMMANDS["open-briefing"].parse({"edition": str(edition.edition)})
        perform(
            services, granted, opened, client_key=f"open.{edition.edition}", target=edition.stint
        )
