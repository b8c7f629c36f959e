"""The open-items board of a centre: what must still happen, who answers, what is late.

One sealed row per open item; a closed item has none. The board's order is overdue days times
severity, then the due day; what has no deadline comes last, as its own group.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Final, NamedTuple
from uuid import UUID

import msgspec

from releve.domain.aggregates.patient.open_items import Holder
from releve.domain.values import Owner
from releve.projections import wording
from releve.projections.briefing import owner_label, owner_of
from releve.projections.dates import first_instant, zone_of
from releve.projections.directory import Directory
from releve.projections.patient_summary import Item, ItemState, Line, PatientSummary
from releve.projections.ranking import due_day
from releve.projections.summary_corrections import item_of

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
    age_days: int
    """Civil days since it was first opened, whatever was revised or reopened since."""
    state: ItemState
    offered_to: str
    """Whom it is offered to, who has not answered yet; empty otherwise."""
    last_step: Line
    """The newest thing that was done about it, its opening where nothing was."""
    next_step: str
    """What has to happen next, in words."""

    @property
    def overdue(self) -> bool:
        """Whether its last possible day is over."""
        return self.overdue_days > 0


def overdue_days(item: Item, at: datetime) -> int:
    """Whole days since the last possible day it was due; 0 when it is not late."""
    due = due_day(item)
    if due is None:
        return 0
    return max(0, (at.astimezone(zone_of(item.line.zone)).date() - due).days)


def age_days(item: Item, at: datetime) -> int:
    """Civil days since it was first opened."""
    zone = zone_of(item.line.zone)
    opened = first_instant(item.line.as_of, item.line.zone) or item.line.recorded_at
    return max(0, (at.astimezone(zone).date() - opened.astimezone(zone).date()).days)


def next_step(item: Item, summary: PatientSummary, at: datetime) -> str:
    """What has to happen next: the result's own next step, an answer to an offer, or its end."""
    offered = _offered_to(item)
    if offered:
        return f"réponse attendue : {offered}"
    day = at.astimezone(zone_of(item.line.zone)).date()
    for result in summary.open_results(day):
        found = item_of(summary, result)
        if found is not None and found.line.entry_id == item.line.entry_id:
            return _NEXT[result.state(day)]
    return str(item.line.detail.get("done_when") or wording.ITEM_KIND[item.kind])


_NEXT: Mapping[str, str] = {
    "expected": "attendre le résultat", "expected-late": "relancer le laboratoire",
    "partial": "attendre le résultat définitif", "to-review": "lire le résultat",
    "to-inform": "prévenir le patient",
}  # fmt: skip


def _offered_to(item: Item) -> str:
    offer = item.offer
    if offer is None:
        return ""
    return str(offer.detail.get("to_name") or wording.owner_text(offer.detail["to"]))


def is_offered_to(item: Item, person: UUID, role: str) -> bool:
    """Whether an item is offered to that person, or to a role that they fill."""
    offer = item.offer
    if offer is None:
        return False
    to = offer.detail["to"]
    if to.get("person"):
        return UUID(to["person"]) == person
    fills = {
        "medecin_en_poste": ("doctor", "intern", "referent"), "referent": ("referent",),
        "coordinator": ("coordinator",),
    }  # fmt: skip
    return role in fills[to.get("role", Owner().role)]


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
    """The items in board order, as of ``at``: by days overdue times severity, then by date.

    Where those are the same, what harms if late comes first.
    """
    lines = []
    for item, summary in items:
        severity = summary.severity
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
                due_day(item),
                overdue_days(item, at),
                age_days(item, at),
                item.state,
                _offered_to(item),
                item.last_step,
                next_step(item, summary, at),
            )
        )
    lines.sort(
        key=lambda line: (
            -line.overdue_days * _WEIGHT.get(line.severity or "", 1),
            line.due.toordinal() if line.due else 2**62,
            not line.item.harm_if_late,
            line.item.line.version,
            line.patient.hex,
        )
    )
    return lines
