"""What the answer to a command says of what it did, to whoever gave it.

The desk writes on records that it may not read. What a rule did with what it brought (an item
opened, an if/then met, a closed item opened again) would tell it on which side of a limit a value
lies: its answer has one shape whatever followed, and no number that counts events.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from releve.domain.commands import Target

if TYPE_CHECKING:
    from releve.api.acting import Performed

DESK: Final = frozenset({"coordinator", "secretary"})
"""Who writes on records without reading them."""


def told(role: str, target: Target, done: Performed) -> dict[str, Any]:
    """The stream, the ids of its events, its version and the position to read it at.

    Of what it writes on a record, or matches with one, the desk is told its own events only: null
    for the position, whose next one would count what followed, and on a record for the version.
    """
    outcome = done.outcome
    if role in DESK and target == "inbox":
        return {
            target: outcome.stream,
            "event_ids": list(outcome.event_ids),
            "version": outcome.version,
            "position": None,
        }
    if role not in DESK or target != "patient":
        return {
            target: outcome.stream,
            "event_ids": list(outcome.event_ids),
            "version": outcome.version,
            "position": done.position,
        }
    own = [event for event in outcome.events if event.envelope.author.role == role]
    return {
        target: outcome.stream,
        "event_ids": [event.event_id for event in own],
        "version": None,
        "position": None,
    }
