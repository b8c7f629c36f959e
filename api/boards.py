"""What the boards of a centre are made from, read once for pages and JSON alike.

Nothing here is shown by itself: whoever calls goes through
:func:`~releve.api.disclosure.read_clinical`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from releve.api.gate import Granted
from releve.api.inbox_views import senders
from releve.api.reading import patient_at
from releve.domain.errors import NotFound
from releve.projections.coordination import Coordination, coordination
from releve.projections.directory import StintLine
from releve.projections.handover_board import Batch, batch_of, board
from releve.projections.open_items import BoardLine
from releve.projections.patient_summary import PatientSummary
from releve.projections.records import open_items_of, plain_name

if TYPE_CHECKING:
    from releve.api.services import Services

_RANK = {"unstable": 0, "watcher": 1, None: 2, "stable": 3}


class Handovers(NamedTuple):
    """A centre's handover batches, and the ledger position they show."""

    batches: list[Batch]
    position: int

    def patients(self, *, clinical: bool) -> list[UUID]:
        """Everybody the board names, once; who is missing a handover is named to clinicians."""
        named = [row.patient for batch in self.batches for row in batch.rows]
        if clinical:
            named += [each.patient for batch in self.batches for each in batch.missing]
        return list(dict.fromkeys(named))


class Coordinating(NamedTuple):
    """The coordinator's board with the handovers that wait, and the position they show."""

    board: Coordination
    handovers: Handovers
    position: int

    def patients(self) -> list[UUID]:
        """Everybody the board names, once."""
        waiting = [row.patient for b in self.handovers.batches for row in b.rows if row.waiting]
        return list(dict.fromkeys([*self.board.patients(), *waiting]))


def is_clinical(granted: Granted) -> bool:
    """Whether who was granted a board may read its words and severities."""
    return "labels-only" not in granted.decision.obligations


def handovers_of(services: Services, centre: UUID) -> Handovers:
    """The handover board of a centre as it stands now."""
    position, summaries = services.records.summaries(centre)
    directory = services.directory.load()
    return Handovers(board(summaries.values(), directory, centre, services.clock()), position)


def batch_at(services: Services, stint: UUID) -> tuple[Batch, int]:
    """What one stint hands over as it stands now.

    Raises:
        NotFound: no such stint.
    """
    directory = services.directory.load()
    line = directory.stint(stint)
    if line is None:
        raise NotFound
    position, summaries = services.records.summaries(line.centre)
    return batch_of(summaries.values(), directory, line, services.clock()), position


def wrote_about(summary: PatientSummary, stint: UUID) -> bool:
    """Say whether a stint wrote something on a record, as far as its whole summary tells."""
    lines = [
        *summary.lines,
        *summary.absences,
        *summary.encounters,
        *summary.severities,
        *summary.contingencies,
        *(item.line for item in summary.items),
        *(note.line for note in summary.notes),
        *(amendment for note in summary.notes for amendment in note.amendments),
        *(each.line for each in summary.handovers),
        *(answer for each in summary.handovers for answer in each.read_backs),
    ]
    return any(line.stint == stint for line in lines)


def handover_written(summary: PatientSummary, stint: UUID) -> bool:
    """Say whether a stint wrote a handover about a patient, the last word on them or not."""
    return any(each.line.stint == stint and not each.line.wrong for each in summary.handovers)


def written_about_by(services: Services, line: StintLine) -> tuple[list[PatientSummary], int]:
    """Everybody a stint wrote about, the most ill first, and the position that this shows."""
    position, everybody = services.records.summaries(line.centre)
    began = services.reader.known_at(line.starts_at)
    seen = [
        each
        for each in everybody.values()
        if each.position > began
        and wrote_about(patient_at(services, each.patient).summary, line.stint)
    ]

    def most_ill(summary: PatientSummary) -> tuple[int, str]:
        severity = summary.severity
        said = str(severity.detail["severity"]) if severity else None
        return _RANK[said], plain_name(summary.full_name())

    return sorted(seen, key=most_ill), position


def open_items_board(services: Services, centre: UUID) -> tuple[list[BoardLine], int]:
    """A centre's open items in board order, and the position that they show."""
    position, _ = services.records.summaries(centre)
    lines = open_items_of(
        services.pool,
        services.data_keys,
        services.records,
        services.directory.load(),
        centre,
        services.clock(),
    )
    return lines, position


def coordination_of(services: Services, centre: UUID) -> Coordinating:
    """The coordinator's board of a centre as it stands now.

    Raises:
        NotFound: no such centre.
    """
    directory = services.directory.load()
    here = directory.centre(centre)
    if here is None:
        raise NotFound
    now = services.clock()
    position, summaries = services.records.summaries(centre)
    items = open_items_of(
        services.pool, services.data_keys, services.records, directory, centre, now
    )
    found = coordination(
        summaries.values(),
        items,
        services.inbox.waiting(centre),
        senders(services, centre, now),
        directory,
        here,
        now,
    )
    return Coordinating(found, handovers_of(services, centre), position)
