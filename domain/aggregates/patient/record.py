"""The patient's record as its events tell it: what every concern folds into and decides on.

State is kept as the events themselves, filed by what they concern, so that folding copies nothing
and every line keeps its author, its dates and its source. What "current" means is said by each
concern, always with :meth:`Patient.stands`: an entry marked in error, or superseded by a newer
version of the same line from the same source, is history only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from uuid import UUID

from releve.domain.events import Event, Payload


@dataclass(slots=True)
class Patient:
    """One record, folded up to ``version``."""

    id: UUID
    version: int = 0
    last: Event | None = None
    entries: dict[UUID, Event] = field(default_factory=dict)
    """Every event by its id, which is also the id of the entry it made."""
    in_error: set[UUID] = field(default_factory=set)
    superseded: dict[UUID, UUID] = field(default_factory=dict)
    """Entry -> the newer version that replaced it."""
    refused: dict[UUID, tuple[UUID, ...]] = field(default_factory=dict)
    """Imported entry -> the verdicts by which doctors refused it."""

    registered: Event | None = None
    medecins_traitants: list[Event] = field(default_factory=list)
    encounters: list[Event] = field(default_factory=list)
    notes: list[Event] = field(default_factory=list)
    amendments: list[Event] = field(default_factory=list)
    observations: list[Event] = field(default_factory=list)
    problems: list[Event] = field(default_factory=list)
    allergies: list[Event] = field(default_factory=list)
    absences: list[Event] = field(default_factory=list)
    medications: list[Event] = field(default_factory=list)
    documents: list[Event] = field(default_factory=list)
    items: list[Event] = field(default_factory=list)
    closings: list[Event] = field(default_factory=list)
    contingencies: list[Event] = field(default_factory=list)
    severities: list[Event] = field(default_factory=list)
    handovers: list[Event] = field(default_factory=list)
    read_backs: list[Event] = field(default_factory=list)
    filed: dict[type[Payload], list[Event]] = field(default_factory=dict)
    """Events of every other topic, by payload, oldest first."""

    def told(self, kind: type[Payload]) -> list[Event]:
        """Every event of a topic that is filed by its payload, oldest first."""
        return self.filed.get(kind, [])

    def stands(self, event: Event) -> bool:
        """True while ``event`` belongs in current views."""
        return not self.is_out(event.event_id) and not self.is_replaced(event.event_id)

    def is_out(self, entry: UUID) -> bool:
        """True for what was marked in error, or refused by a verdict that was not itself one."""
        if entry in self.in_error:
            return True
        return any(verdict not in self.in_error for verdict in self.refused.get(entry, ()))

    def is_replaced(self, entry: UUID) -> bool:
        """True while a newer version of ``entry`` stands; one that is out gives it back."""
        newer = self.superseded.get(entry)
        if newer is None:
            return False
        return not self.is_out(newer) or self.is_replaced(newer)

    def standing(self, events: Iterable[Event]) -> Iterator[Event]:
        """Those of ``events`` that belong in current views."""
        return (event for event in events if self.stands(event))


Fold = Callable[[Patient, Event], None]


def file(patient: Patient, event: Event) -> None:
    """Keep an event under its payload: what it means, its concern says."""
    patient.filed.setdefault(type(event.payload), []).append(event)


def supersede(patient: Patient, event: Event) -> None:
    """An entry that is a newer version of another names it as its target."""
    if event.envelope.target is not None:
        patient.superseded[event.envelope.target] = event.event_id


def file_version(patient: Patient, event: Event) -> None:
    """Keep an event under its payload; as a newer version of its target, where it names one."""
    file(patient, event)
    supersede(patient, event)
