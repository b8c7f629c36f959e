"""What is done once a civil day for each centre, by nobody in particular.

Long-term conditions (ALD) that end within 90 days get two items: the request, which the
coordinator owns and which says dates alone, and its medical part, which the doctor in post answers
for. Done twice it is done once: the request is named by the patient and the day of the end.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Final
from uuid import UUID

from releve.domain.commands import OpenItem
from releve.domain.events import Author, Source
from releve.domain.requests import CommandContext
from releve.domain.values import Owner
from releve.projections.coordination import AldEnd, ald_ends
from releve.projections.dates import zone_of

if TYPE_CHECKING:
    from releve.api.services import Services

RULE: Final = Author(role="system", name="Relève")
"""Who opens what a rule asks for."""

_ACTOR: Final = b"nightly"


@dataclass
class Nightly:
    """Does what the civil day of each centre asks for, once that day; one per worker.

    A demo centre is built with its nights behind it, and may be built while this works already:
    the day on which it is first seen counts as done.
    """

    services: Services
    _done: dict[UUID, date] = field(default_factory=dict)

    def run_once(self) -> int:
        """Do the day of every centre whose day is not done yet; give how many items were opened."""
        services = self.services
        now = services.clock()
        opened = 0
        for centre in services.directory.load().centres.values():
            today = now.astimezone(zone_of(centre.zone)).date()
            if self._done.get(centre.centre) == today:
                continue
            if centre.centre in self._done or not services.clock.demo:
                opened += renew_ald(services, centre.centre, now)
            self._done[centre.centre] = today
        return opened


def renew_ald(services: Services, centre: UUID, now: datetime) -> int:
    """Open the items of every ALD of a centre that ends within 90 days; give how many are new.

    An end that passed less than a year ago without a word is asked for too. A renewal has
    another end, and asks again 90 days before that one.
    """
    here = services.directory.load().centre(centre)
    if here is None:
        return 0
    summaries = services.records.summaries(centre)[1].values()
    living = [each for each in summaries if each.death is None]
    opened = 0
    for end in ald_ends(living, now.astimezone(zone_of(here.zone)).date()):
        if end.lapsed:
            continue  # the desk's list says so; a year late, a request is no routine
        for part, item in _items(end):
            key = b":".join((b"ald", part, end.patient.bytes, end.ends.isoformat().encode()))
            context = CommandContext(
                author=RULE,
                now=services.clock.for_write(),
                key=services.blind_index.request_key(_ACTOR, key),
                actor=_ACTOR,
                centre=centre,
                zone=here.zone,
                source=Source(channel="system"),
            )
            outcome = services.continuity.execute(item, context, target=end.patient)
            opened += not outcome.replayed
    return opened


def _items(end: AldEnd) -> tuple[tuple[bytes, OpenItem], ...]:
    """The request at the desk and its medical part; neither says which disease."""
    until = f"{end.ends:%d/%m/%Y}"
    due = end.ends.isoformat()
    return (
        (
            b"desk",
            OpenItem(
                kind="admin",
                text=f"ALD jusqu'au {until} : demander le renouvellement",
                owner=Owner(role="coordinator"),
                due=due,
                done_when="Accord reçu",
            ),
        ),
        (
            b"medical",
            OpenItem(
                kind="renewal",
                text=f"ALD jusqu'au {until} : remplir le protocole de soins",
                due=due,
                done_when="Protocole envoyé",
            ),
        ),
    )
