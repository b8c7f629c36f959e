"""The open-items board of a centre: what must still happen, who answers, what is late.

One sealed row per open item; a closed item has none. The board's order is overdue days times
severity, then the due day; what has no deadline comes last, as its own group.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from typing import Final, NamedTuple
from uuid import UUID

import msgspec

from releve.domain.aggregates.patient.open_items import Holder
from releve.projections.briefing import owner_label, owner_of
from releve.projections.dates import last_day, zone_of
from releve.projections.directory import Directory
from releve.projections.patient_summary import Item, PatientSummary

KIND: Final = "item"
"""Label under which item rows are sealed."""

_ENCODER = msgspec.msgpack.Encoder(uuid_format="bytes")
_DECODER = msgspec.msgpack.Decoder(Item)
_WEIGHT = {"unstable": 3, "watcher": 2}


def to_bytes(item: Item) -> bytes:
    """The item as MessagePack."""
    return _ENCODER.encode(item)


def from_bytes(raw: bytes) -> Item:
    """The item that :func:`to_bytes` wrote."""
    return _DECODER.decode(raw)


class BoardLine(NamedTuple):
    """One open item as the board shows it."""

    item: Item
    patient: UUID
    name: str
    """Whose it is, ``NOM Prénom``."""
    severity: str | None
    owner: str
    answerable: Holder | None
    """Who answers, as a person; None only where the centre is unknown: an orphan."""
    due: date | None
    overdue_days: int

    @property
    def overdue(self) -> bool:
        """Whether its last possible day is over."""
        return self.overdue_days > 0


def overdue_days(item: Item, at: datetime) -> int:
    """Whole days since the last possible day it was due; 0 when it is not late."""
    due = last_day(item.due, item.line.zone) if item.due else None
    if due is None:
        return 0
    return max(0, (at.astimezone(zone_of(item.line.zone)).date() - due).days)


def answerable_for(
    item: Item, home: UUID | None, at: datetime, directory: Directory
) -> Holder | None:
    """Who answers for an item at a moment; None only where its centre is unknown.

    ``home`` is the patient's centre, for an item that names none.
    """
    return directory.answerable(owner_of(item), item.line.centre or home, at)


def board(
    items: Iterable[tuple[Item, PatientSummary]], at: datetime, directory: Directory
) -> list[BoardLine]:
    """The items in board order, as of ``at``."""
    lines = []
    for item, summary in items:
        severity = summary.severity
        due = last_day(item.due, item.line.zone) if item.due else None
        lines.append(
            BoardLine(
                item,
                summary.patient,
                summary.full_name(),
                severity.detail["severity"] if severity else None,
                owner_label(item, summary, item.line.centre, at, directory),
                answerable_for(
                    item, summary.centres[0] if summary.centres else None, at, directory
                ),
                due,
                overdue_days(item, at),
            )
        )
    lines.sort(
        key=lambda line: (
            -line.overdue_days * _WEIGHT.get(line.severity or "", 1),
            line.due.toordinal() if line.due else 2**62,
            line.item.line.version,
            line.patient.hex,
        )
    )
    return lines
