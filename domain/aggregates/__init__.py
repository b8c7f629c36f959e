"""One module per consistency boundary, and the closed registry of every topic they write.

Adding a topic: declare its payload beside the state it changes, name it here, freeze a sample of
it in ``tests/stored/domain``, and give it a line in ``docs/domain.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from releve.domain.aggregates.health_centre import CentreOpened
from releve.domain.aggregates.patient.allergies import AbsenceAsserted, AllergyRecorded
from releve.domain.aggregates.patient.contingencies import ContingencySet
from releve.domain.aggregates.patient.corrections import EntryMarkedInError
from releve.domain.aggregates.patient.documents import DocumentAttached
from releve.domain.aggregates.patient.encounters import EncounterRecorded, NoteAmended, NoteSigned
from releve.domain.aggregates.patient.handover import HandoverReadBack, HandoverWritten
from releve.domain.aggregates.patient.identity import MedecinTraitantDeclared, Registered
from releve.domain.aggregates.patient.medications import MedicationStarted
from releve.domain.aggregates.patient.observations import ObservationRecorded
from releve.domain.aggregates.patient.open_items import ItemClosed, ItemOpened
from releve.domain.aggregates.patient.problems import ProblemRecorded
from releve.domain.aggregates.patient.severity import IllnessSeveritySet
from releve.domain.aggregates.practitioner import PractitionerOnboarded
from releve.domain.aggregates.stint import (
    BriefingIssued,
    BriefingOpened,
    StintEnded,
    StintPlanned,
    StintStarted,
)
from releve.domain.events import Payload
from releve.domain.upcasting import EventCodec

_PAYLOADS: tuple[type[Payload], ...] = (
    CentreOpened,
    PractitionerOnboarded,
    StintPlanned,
    StintStarted,
    StintEnded,
    BriefingIssued,
    BriefingOpened,
    Registered,
    MedecinTraitantDeclared,
    EncounterRecorded,
    NoteSigned,
    NoteAmended,
    ObservationRecorded,
    ProblemRecorded,
    AllergyRecorded,
    AbsenceAsserted,
    MedicationStarted,
    DocumentAttached,
    ItemOpened,
    ItemClosed,
    ContingencySet,
    IllnessSeveritySet,
    HandoverWritten,
    HandoverReadBack,
    EntryMarkedInError,
)

REGISTRY: Mapping[str, type[Payload]] = MappingProxyType({p.topic: p for p in _PAYLOADS})
"""Every topic that may be stored, with the class of its newest schema."""

CODEC = EventCodec(REGISTRY)
"""Encodes and decodes every event of this product."""
