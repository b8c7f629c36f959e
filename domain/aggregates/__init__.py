"""One module per consistency boundary, and the closed registry of every topic they write.

Adding a topic: declare its payload beside the state it changes, name it here, freeze a sample of
it in ``tests/stored/domain``, and give it a line in ``docs/domain.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from releve.domain.aggregates.health_centre import (
    CentreOpened,
    ClosureRecorded,
    GapRecorded,
    PolicyChanged,
    RosterChanged,
    SiteAdded,
)
from releve.domain.aggregates.inbox_document import (
    DocumentMatched,
    DocumentReceived,
    DocumentRejected,
)
from releve.domain.aggregates.patient.ald import (
    AldStatusChanged,
)
from releve.domain.aggregates.patient.allergies import (
    AbsenceAsserted,
    AllergyRecorded,
    AllergyRevised,
)
from releve.domain.aggregates.patient.appointments import (
    AppointmentNoticed,
)
from releve.domain.aggregates.patient.contact_details import (
    ContactDetailsChanged,
)
from releve.domain.aggregates.patient.contingencies import (
    ContingencyActivated,
    ContingencySet,
    ContingencyWithdrawn,
)
from releve.domain.aggregates.patient.corrections import (
    EntryMarkedInError,
    EntryReinstated,
)
from releve.domain.aggregates.patient.death import (
    DeathRecorded,
)
from releve.domain.aggregates.patient.documents import (
    DocumentAttached,
)
from releve.domain.aggregates.patient.encounters import (
    EncounterRecorded,
    NoteAmended,
    NoteSigned,
)
from releve.domain.aggregates.patient.handover import (
    HandoverReadBack,
    HandoverWritten,
)
from releve.domain.aggregates.patient.history import (
    DeviceRecorded,
    HistoryRecorded,
    ImmunizationRecorded,
    ProcedureRecorded,
)
from releve.domain.aggregates.patient.identity import (
    MedecinTraitantDeclared,
    MedecinTraitantEnded,
    Registered,
)
from releve.domain.aggregates.patient.ins import (
    InsStatusChanged,
)
from releve.domain.aggregates.patient.medications import (
    MedicationChanged,
    MedicationReconciled,
    MedicationStarted,
    MedicationStopped,
)
from releve.domain.aggregates.patient.observations import (
    ObservationRecorded,
)
from releve.domain.aggregates.patient.offers import (
    ItemAccepted,
    ItemDeclined,
    ItemOffered,
)
from releve.domain.aggregates.patient.open_items import (
    ItemClosed,
    ItemOpened,
    ItemReopened,
    ItemRevised,
)
from releve.domain.aggregates.patient.problems import (
    ProblemRecorded,
    ProblemRevised,
)
from releve.domain.aggregates.patient.questions import (
    OpinionRecorded,
    QuestionAnswered,
    QuestionAsked,
)
from releve.domain.aggregates.patient.results import (
    ContactAttempted,
    Informed,
    InvestigationOrdered,
    ResultReceived,
    ResultReviewed,
)
from releve.domain.aggregates.patient.severity import (
    IllnessSeveritySet,
)
from releve.domain.aggregates.patient.summary_review import (
    SummaryReviewed,
)
from releve.domain.aggregates.patient.validation import (
    EntryValidated,
)
from releve.domain.aggregates.patient.vigilance import (
    VigilancePointLifted,
    VigilancePointSet,
)
from releve.domain.aggregates.practitioner import (
    PractitionerOnboarded,
    PractitionerSuspended,
    PractitionerVerified,
    RoleGranted,
    RoleRevoked,
)
from releve.domain.aggregates.rules import (
    RulesReleaseActivated,
)
from releve.domain.aggregates.stint import (
    BriefingIssued,
    BriefingOpened,
    HandoverClosed,
    StintCancelled,
    StintEnded,
    StintPlanned,
    StintRevised,
    StintStarted,
    WatchTaken,
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
    SiteAdded,
    PolicyChanged,
    RosterChanged,
    ClosureRecorded,
    GapRecorded,
    DocumentReceived,
    DocumentMatched,
    DocumentRejected,
    AldStatusChanged,
    AllergyRevised,
    AppointmentNoticed,
    ContactDetailsChanged,
    ContingencyActivated,
    ContingencyWithdrawn,
    EntryReinstated,
    DeathRecorded,
    ImmunizationRecorded,
    ProcedureRecorded,
    DeviceRecorded,
    HistoryRecorded,
    MedecinTraitantEnded,
    InsStatusChanged,
    MedicationChanged,
    MedicationStopped,
    MedicationReconciled,
    ItemOffered,
    ItemAccepted,
    ItemDeclined,
    ItemRevised,
    ItemReopened,
    ProblemRevised,
    QuestionAsked,
    QuestionAnswered,
    OpinionRecorded,
    InvestigationOrdered,
    ResultReceived,
    ResultReviewed,
    ContactAttempted,
    Informed,
    SummaryReviewed,
    EntryValidated,
    VigilancePointSet,
    VigilancePointLifted,
    PractitionerVerified,
    PractitionerSuspended,
    RoleGranted,
    RoleRevoked,
    RulesReleaseActivated,
    StintRevised,
    StintCancelled,
    HandoverClosed,
    WatchTaken,
)

REGISTRY: Mapping[str, type[Payload]] = MappingProxyType({p.topic: p for p in _PAYLOADS})
"""Every topic that may be stored, with the class of its newest schema."""

CODEC = EventCodec(REGISTRY)
"""Encodes and decodes every event of this product."""
