"""The patient's record as its events tell it: what every concern folds into and decides on.

State is kept as the events themselves, filed by what they concern, so that folding copies nothing
and every line keeps its author, its dates and its source. What "current" means is said by each
concern, always with :meth:`Patient.stands`: an entry marked in error, or superseded by a newer
version of the same line from the same source, is history only. What another system says anew takes
nothing out of current views that a doctor accepted: it stands beside it until one accepts it too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from releve.domain.events import Channel, Event, Payload, Source

IMPORT_CHANNELS: frozenset[Channel] = frozenset({"fhir", "cda", "hprim", "pdf"})
"""Doors through which another system speaks."""


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
    accepted: dict[UUID, tuple[UUID, ...]] = field(default_factory=dict)
    """Imported entry -> the verdicts by which doctors accepted it."""
    proposed: set[UUID] = field(default_factory=set)
    """Imported lines, which replace what a doctor accepted only once one accepts them."""

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
    filed: dict[type[Payload], list[Event]] = field(default_factory=dict)
    """Events of every other topic, by payload, oldest first."""
    filed_about: dict[tuple[type[Payload], UUID], list[Event]] = field(default_factory=dict)
    """The same by payload and target: a long record is asked what was said of each of its lines."""

    def told(self, kind: type[Payload]) -> list[Event]:
        """Every event of a topic that is filed by its payload, oldest first."""
        return self.filed.get(kind, [])

    def told_about(self, kind: type[Payload], entry: UUID) -> list[Event]:
        """Those of :meth:`told` whose target is ``entry``, oldest first."""
        return self.filed_about.get((kind, entry), [])

    def stands(self, event: Event) -> bool:
        """True while ``event`` belongs in current views."""
        return not self.is_out(event.event_id) and not self.is_replaced(event.event_id)

    def is_out(self, entry: UUID) -> bool:
        """True for what was marked in error, or refused by a verdict that was not itself one."""
        if entry in self.in_error:
            return True
        return any(verdict not in self.in_error for verdict in self.refused.get(entry, ()))

    def is_replaced(self, entry: UUID) -> bool:
        """True while a newer version of ``entry`` is in force; one that is out gives it back.

        A version that no doctor accepted replaces only what no doctor accepted, or revised, either:
        what was stopped here for a bleeding does not run again because it was sent again.
        """
        if entry not in self.superseded:
            return False  # nearly every entry, and asked of each of them over and over
        waits = self._waits(entry) and not self._is_revised(entry)
        return any(waits or not self._waits(newer) for newer in self.newer_than(entry))

    def newer_than(self, entry: UUID) -> Iterator[UUID]:
        """Later versions of ``entry`` that are not out, oldest first, accepted or not."""
        return (newer for newer in later_than(self.superseded, entry) if not self.is_out(newer))

    def _waits(self, entry: UUID) -> bool:
        return entry in self.proposed and all(
            verdict in self.in_error for verdict in self.accepted.get(entry, ())
        )

    def _is_revised(self, entry: UUID) -> bool:
        """Whether a doctor said here that it is otherwise, and that stands."""
        return any(
            event.event_id not in self.in_error
            for kind in self.filed
            if kind.topic in REVISIONS
            for event in self.told_about(kind, entry)
        )

    def standing(self, events: Iterable[Event]) -> Iterator[Event]:
        """Those of ``events`` that belong in current views."""
        return (event for event in events if self.stands(event))


REVISIONS = frozenset(
    {
        "patient.problem-revised", "patient.allergy-revised", "patient.medication-changed",
        "patient.medication-stopped",
    }
)  # fmt: skip
"""Topics by which a doctor says that a line is otherwise than it was told."""


def later_than(superseded: Mapping[UUID, UUID], entry: UUID) -> Iterator[UUID]:
    """Every later version of ``entry``, oldest first, whether it stands or not (pure)."""
    newer = superseded.get(entry)
    while newer is not None:
        yield newer
        newer = superseded.get(newer)


Fold = Callable[[Patient, Event], None]


def file(patient: Patient, event: Event) -> None:
    """Keep an event under its payload, and its target: what it means, its concern says."""
    kind, target = type(event.payload), event.envelope.target
    patient.filed.setdefault(kind, []).append(event)
    if target is not None:
        patient.filed_about.setdefault((kind, target), []).append(event)


def from_elsewhere(source: Source) -> bool:
    """True for what another system said, or a paste of somebody else's words."""
    return source.channel in IMPORT_CHANNELS or (
        source.channel == "paste" and source.author is not None
    )


def supersede(patient: Patient, event: Event) -> None:
    """An entry that is a newer version of another names it as its target.

    One that came from elsewhere waits for a doctor to take the place of an accepted one.
    """
    if event.envelope.target is not None:
        patient.superseded[event.envelope.target] = event.event_id
    if from_elsewhere(event.envelope.source):
        patient.proposed.add(event.event_id)


def file_version(patient: Patient, event: Event) -> None:
    """Keep an event under its payload; as a newer version of its target, where it names one."""
    file(patient, event)
    supersede(patient, event)
