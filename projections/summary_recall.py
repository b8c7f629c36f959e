"""What a summary must not let go: whatever a later word takes back, brings back or opens again.

A summary keeps the last few closed items, ended lines and statements; the ledger keeps all. A
closing, a stop or a reading can be taken back years later, by when what it ended is no longer among
the last few. So the words that can bring something back decide what is kept: what they name, and
what that was said of, stays and does not count among the last few. They are looked for in the whole
record before it is folded, which is why a record that hears such a word anew is folded again from
its beginning (:func:`reads_whole`): the summary of the first n events is one, however they came.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final, TypeVar
from uuid import UUID

from releve.domain.events import Event
from releve.projections.summary_lines import Line

if TYPE_CHECKING:
    from releve.projections.summary_record import PatientSummary

T = TypeVar("T")

_RECALLING: Final = frozenset(
    {
        "patient.entry-marked-in-error", "patient.entry-reinstated", "patient.item-reopened",
        "patient.allergy-revised", "patient.problem-revised", "patient.note-amended",
    }
)  # fmt: skip


def spoken_of_again(events: Iterable[Event]) -> list[UUID]:
    """What a whole record's words bring back or take back, and what that was said of."""
    about: dict[UUID, UUID | None] = {}
    found: dict[UUID, None] = {}
    for event in events:
        about[event.event_id] = target = event.envelope.target
        if event.topic not in _RECALLING:
            continue
        while target is not None and target not in found:
            found[target] = None
            target = about.get(target)
    return list(found)


def reads_whole(summary: PatientSummary, events: Iterable[Event]) -> bool:
    """Whether ``events`` speak of something that ``summary`` may have let go.

    It is then folded from the record's beginning, not from where it stands.
    """
    known = set(summary.recalled)
    return any(
        event.topic in _RECALLING and event.envelope.target not in {None, *known}
        for event in events
    )


def forgettable(summary: PatientSummary, held: Iterable[T]) -> list[T]:
    """Those of a summary's elements that nothing speaks of again: they may go, and are counted."""
    if not summary.recalled:
        return list(held)
    recalled = frozenset(summary.recalled)
    return [one for one in held if recalled.isdisjoint(_names(one))]


def without(held: Iterable[T], gone: Iterable[T]) -> list[T]:
    """``held`` less exactly those elements."""
    ids = {id(one) for one in gone}
    return [one for one in held if id(one) not in ids]


def _names(one: Any) -> Iterator[UUID]:
    """The entry of an element, what it is about, and everything that was said of it."""
    if isinstance(one, Line):
        yield one.entry_id
        if one.target is not None:
            yield one.target
        for said in one.revisions:
            yield said.entry_id
        return
    for name in one.__struct_fields__:
        value = getattr(one, name)
        for each in value if isinstance(value, tuple) else (value,):
            yield from _names(each)
