"""What is written on a record: clinical lists, notes, measures, corrections."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal
from uuid import UUID

import msgspec

from releve.domain.commands.command import (
    ANY_ID,
    CLINICIANS,
    DESK,
    DOCTORS,
    MACHINES,
    PRESCRIBERS,
    TEAM,
    Command,
    Target,
)
from releve.domain.events import Role
from releve.domain.values import (
    AbsenceSlot,
    Component,
    Concept,
    HistorySlot,
    Mode,
    Quantity,
    Reaction,
    Severity,
)

POTASSIUM: Mapping[str, Any] = {
    "text": "Potassium",
    "codings": [{"system": "http://loinc.org", "code": "2823-3"}],
}


class NoteText(Command, frozen=True, kw_only=True, omit_defaults=True):
    """What a note says: one line for a glance, and S/O/A/P in plain text."""

    one_liner: str = ""
    subjective: str = ""
    objective: str = ""
    assessment: str = ""
    plan: str = ""


class SignNote(NoteText, frozen=True, kw_only=True, omit_defaults=True):
    """Sign a note outside a consultation: evening typing, a letter, a phone call."""

    name: ClassVar[str] = "sign-note"
    target: ClassVar[Target] = "patient"
    roles: ClassVar[frozenset[Role]] = CLINICIANS
    example: ClassVar[Mapping[str, Any]] = {"one_liner": "Appel de la famille", "plan": "Revoir"}

    encounter_id: UUID | None = None


class AmendNote(NoteText, frozen=True, kw_only=True, omit_defaults=True):
    """Add to a signed note, or replace its text; the first text stays readable."""

    name: ClassVar[str] = "amend-note"
    target: ClassVar[Target] = "patient"
    roles: ClassVar[frozenset[Role]] = DOCTORS | {"intern"}
    example: ClassVar[Mapping[str, Any]] = {
        "note": ANY_ID,
        "text": "Dosage reçu depuis",
        "reason": "Résultat arrivé le soir",
    }

    note: UUID
    reason: str
    kind: Literal["addendum", "replacement"] = "addendum"
    text: str = ""


class RecordObservation(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Record one measure."""

    name: ClassVar[str] = "record-observation"
    target: ClassVar[Target] = "patient"
    roles: ClassVar[frozenset[Role]] = CLINICIANS
    example: ClassVar[Mapping[str, Any]] = {
        "code": POTASSIUM,
        "value": {"value": "4.1", "unit": "mmol/L", "code": "mmol/L"},
    }

    code: Concept
    value: Quantity | None = None
    components: tuple[Component, ...] = ()
    method: str | None = None
    interpretation: str | None = None
    confirmed: bool = False
    """The author saw that the value is outside its usual range and confirms it."""


class RecordProblem(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Record one problem."""

    name: ClassVar[str] = "record-problem"
    target: ClassVar[Target] = "patient"
    roles: ClassVar[frozenset[Role]] = PRESCRIBERS
    example: ClassVar[Mapping[str, Any]] = {"concept": {"text": "Asthme"}, "onset": "2019"}

    concept: Concept
    clinical_status: str | None = "active"
    verification: str | None = "confirmed"
    onset: str | None = None
    abatement: str | None = None
    severity: str | None = None
    laterality: str | None = None


class RecordAllergy(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Record one allergy or intolerance."""

    name: ClassVar[str] = "record-allergy"
    target: ClassVar[Target] = "patient"
    roles: ClassVar[frozenset[Role]] = PRESCRIBERS
    example: ClassVar[Mapping[str, Any]] = {
        "substance": {"text": "Pénicilline"},
        "categories": ["medication"],
    }

    substance: Concept
    clinical_status: str | None = "active"
    verification: str | None = "confirmed"
    kind: str | None = None
    categories: tuple[str, ...] = ()
    criticality: str | None = None
    onset: str | None = None
    reactions: tuple[Reaction, ...] = ()


class AssertAbsence(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Record that it was asked, and none is known."""

    name: ClassVar[str] = "assert-absence"
    target: ClassVar[Target] = "patient"
    roles: ClassVar[frozenset[Role]] = PRESCRIBERS
    example: ClassVar[Mapping[str, Any]] = {
        "slot": "allergies",
        "part": "food",
        "asked_on": "2026-11-23",
    }

    slot: AbsenceSlot
    part: str | None = None
    asked_on: str | None = None


class StartMedication(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Record one treatment line."""

    name: ClassVar[str] = "start-medication"
    target: ClassVar[Target] = "patient"
    roles: ClassVar[frozenset[Role]] = PRESCRIBERS
    example: ClassVar[Mapping[str, Any]] = {
        "concept": {"text": "Ramipril 5 mg"},
        "start": "2026-11-23",
        "dose_text": "1 comprimé le matin",
    }

    concept: Concept
    start: str | None = None
    end: str | None = None
    dose_text: str | None = None
    dose: Quantity | None = None
    route: Concept | None = None
    frequency: str | None = None
    indication: str | None = None


class SetIllnessSeverity(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Say how ill the patient is; ``reason`` is required unless stable."""

    name: ClassVar[str] = "set-illness-severity"
    target: ClassVar[Target] = "patient"
    roles: ClassVar[frozenset[Role]] = PRESCRIBERS
    example: ClassVar[Mapping[str, Any]] = {
        "severity": "unstable",
        "reason": "Dyspnée de repos",
        "review_by": "2026-11-25",
    }

    severity: Severity
    reason: str = ""
    review_by: str | None = None


class AttachDocument(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Attach an original, named by its SHA-256; its bytes travel beside the command."""

    name: ClassVar[str] = "attach-document"
    target: ClassVar[Target] = "patient"
    roles: ClassVar[frozenset[Role]] = TEAM | {"ehr", "system"}
    example: ClassVar[Mapping[str, Any]] = {
        "sha256": "00" * 32,
        "size": 1024,
        "media_type": "application/pdf",
        "title": "Courrier",
    }

    sha256: str
    size: int
    media_type: str
    title: str = ""
    kind: str | None = None


class MarkEntryInError(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Take an entry out of every current view; it stays in the timeline, with the reason."""

    name: ClassVar[str] = "mark-entry-in-error"
    target: ClassVar[Target] = "patient"
    roles: ClassVar[frozenset[Role]] = PRESCRIBERS
    example: ClassVar[Mapping[str, Any]] = {
        "entry": ANY_ID,
        "reason": "Saisi sur le mauvais dossier",
    }

    entry: UUID
    reason: str
    harm: bool = False


class NoticeAppointment(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Note an appointment of the centre's agenda: a reference, never its reason."""

    name: ClassVar[str] = "notice-appointment"
    target: ClassVar[Target] = "patient"
    roles: ClassVar[frozenset[Role]] = DOCTORS | DESK | MACHINES
    example: ClassVar[Mapping[str, Any]] = {
        "starts_at": "2026-11-24T10:15:00+01:00",
        "reference": "agenda-20261124-1015",
    }

    starts_at: str
    minutes: int = 15
    status: Literal["booked", "cancelled"] = "booked"
    mode: Mode = "cabinet"
    site: str | None = None
    reference: str | None = None
    """What the agenda calls it; the same reference again moves or cancels it."""


class ReviseProblem(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Change the status, the dates or the certainty of a problem; what is left out stays."""

    name: ClassVar[str] = "revise-problem"
    target: ClassVar[Target] = "patient"
    roles: ClassVar[frozenset[Role]] = PRESCRIBERS
    example: ClassVar[Mapping[str, Any]] = {
        "problem": ANY_ID,
        "clinical_status": "resolved",
        "abatement": "2026-11-23",
        "reason": "Guérison constatée",
    }

    problem: UUID
    reason: str
    clinical_status: str | None = None
    verification: str | None = None
    onset: str | None = None
    abatement: str | None = None
    severity: str | None = None
    laterality: str | None = None


class ReviseAllergy(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Confirm, refute or resolve an allergy; a refuted one leaves the badge, with the reason."""

    name: ClassVar[str] = "revise-allergy"
    target: ClassVar[Target] = "patient"
    roles: ClassVar[frozenset[Role]] = PRESCRIBERS
    example: ClassVar[Mapping[str, Any]] = {
        "allergy": ANY_ID,
        "verification": "refuted",
        "reason": "Test de provocation négatif",
    }

    allergy: UUID
    reason: str
    clinical_status: str | None = None
    verification: str | None = None
    criticality: str | None = None
    reactions: tuple[Reaction, ...] = ()


class ChangeMedication(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Change how a treatment is taken, for a reason; what is left out stays."""

    name: ClassVar[str] = "change-medication"
    target: ClassVar[Target] = "patient"
    roles: ClassVar[frozenset[Role]] = PRESCRIBERS
    example: ClassVar[Mapping[str, Any]] = {
        "medication": ANY_ID,
        "dose_text": "2 comprimés le matin",
        "reason": "Tension encore haute",
    }

    medication: UUID
    reason: str
    dose_text: str | None = None
    dose: Quantity | None = None
    route: Concept | None = None
    frequency: str | None = None
    end: str | None = None
    indication: str | None = None


class StopMedication(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Stop a treatment, for a reason."""

    name: ClassVar[str] = "stop-medication"
    target: ClassVar[Target] = "patient"
    roles: ClassVar[frozenset[Role]] = PRESCRIBERS
    example: ClassVar[Mapping[str, Any]] = {"medication": ANY_ID, "reason": "Toux sèche"}

    medication: UUID
    reason: str
    stopped_on: str | None = None


class ReconcileMedications(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Record that the list of treatments was checked against a source."""

    name: ClassVar[str] = "reconcile-medications"
    target: ClassVar[Target] = "patient"
    roles: ClassVar[frozenset[Role]] = PRESCRIBERS
    example: ClassVar[Mapping[str, Any]] = {
        "against": "ordonnance de sortie",
        "checked": [ANY_ID],
        "remarks": "Pas d'écart",
    }

    against: str
    checked: tuple[UUID, ...] = ()
    """Treatment lines that the source confirms."""
    remarks: str = ""


class RecordImmunization(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Record a vaccination, given or not done."""

    name: ClassVar[str] = "record-immunization"
    target: ClassVar[Target] = "patient"
    roles: ClassVar[frozenset[Role]] = CLINICIANS
    example: ClassVar[Mapping[str, Any]] = {
        "vaccine": {"text": "Grippe saisonnière 2026-2027"},
        "given_on": "2026-11-23",
        "lot": "EX123",
    }

    vaccine: Concept
    status: Literal["completed", "not-done"] = "completed"
    given_on: str | None = None
    lot: str | None = None
    site: str | None = None
    dose_number: int | None = None
    reason: str | None = None
    """Why it was not done."""


class RecordProcedure(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Record surgery or another act that was done."""

    name: ClassVar[str] = "record-procedure"
    target: ClassVar[Target] = "patient"
    roles: ClassVar[frozenset[Role]] = PRESCRIBERS
    example: ClassVar[Mapping[str, Any]] = {
        "concept": {"text": "Cholécystectomie"},
        "performed": "2014",
    }

    concept: Concept
    performed: str | None = None
    body_site: str | None = None
    outcome: str | None = None


class RecordDevice(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Record a device that the patient carries or uses."""

    name: ClassVar[str] = "record-device"
    target: ClassVar[Target] = "patient"
    roles: ClassVar[frozenset[Role]] = PRESCRIBERS
    example: ClassVar[Mapping[str, Any]] = {
        "concept": {"text": "Stimulateur cardiaque double chambre"},
        "since": "2021-05",
    }

    concept: Concept
    since: str | None = None
    until: str | None = None
    body_site: str | None = None
    udi: str | None = None
    """Unique device identifier, as printed."""


class RecordHistory(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Record family history, way of life, occupation, what the patient can do, or a reaction."""

    name: ClassVar[str] = "record-history"
    target: ClassVar[Target] = "patient"
    roles: ClassVar[frozenset[Role]] = CLINICIANS
    example: ClassVar[Mapping[str, Any]] = {
        "slot": "family-history",
        "concept": {"text": "Infarctus avant 55 ans"},
        "relationship": "père",
    }

    slot: HistorySlot
    concept: Concept
    relationship: str | None = None
    """Whose history it is, for the family's."""
    value: Quantity | None = None
    since: str | None = None
    until: str | None = None


class SetVigilancePoint(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Write what everybody must keep in mind: at most 160 characters."""

    name: ClassVar[str] = "set-vigilance-point"
    target: ClassVar[Target] = "patient"
    roles: ClassVar[frozenset[Role]] = PRESCRIBERS
    example: ClassVar[Mapping[str, Any]] = {
        "text": "Rein unique : pas d'AINS, pas de produit de contraste sans avis",
    }

    text: str
    until: str | None = None


class LiftVigilancePoint(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Lift a vigilance point, for a reason."""

    name: ClassVar[str] = "lift-vigilance-point"
    target: ClassVar[Target] = "patient"
    roles: ClassVar[frozenset[Role]] = PRESCRIBERS
    example: ClassVar[Mapping[str, Any]] = {"point": ANY_ID, "reason": "Anticoagulant arrêté"}

    point: UUID
    reason: str


class ReviewSummary(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Record that the summary was read through and stands (CSP L1111-15)."""

    name: ClassVar[str] = "review-summary"
    target: ClassVar[Target] = "patient"
    roles: ClassVar[frozenset[Role]] = DOCTORS
    example: ClassVar[Mapping[str, Any]] = {
        "slots": ["problems", "allergies", "medications"],
        "next_review": "2027-11-23",
    }

    slots: tuple[str, ...] = ()
    """Slots of the summary that were read; none means all."""
    next_review: str | None = None


class ValidateEntry(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Accept or refuse an imported line; until then it is shown as "à valider"."""

    name: ClassVar[str] = "validate-entry"
    target: ClassVar[Target] = "patient"
    roles: ClassVar[frozenset[Role]] = DOCTORS
    example: ClassVar[Mapping[str, Any]] = {"entry": ANY_ID, "verdict": "accepted"}

    entry: UUID
    verdict: Literal["accepted", "refused"]
    reason: str = ""
    """Required to refuse."""


class Judgement(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a doctor says of one imported line among several."""

    entry: UUID
    verdict: Literal["accepted", "refused"]
    reason: str = ""
    """Required to refuse."""


class ValidateEntries(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Accept or refuse several imported lines, each by name, in one append."""

    name: ClassVar[str] = "validate-entries"
    target: ClassVar[Target] = "patient"
    roles: ClassVar[frozenset[Role]] = DOCTORS
    example: ClassVar[Mapping[str, Any]] = {
        "judgements": [{"entry": ANY_ID, "verdict": "refused", "reason": "Autre patient"}]
    }

    judgements: tuple[Judgement, ...]
    """A line that is not named here is not judged: there is no way to say "all"."""


class ReinstateEntry(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Bring back an entry that was marked in error by mistake."""

    name: ClassVar[str] = "reinstate-entry"
    target: ClassVar[Target] = "patient"
    roles: ClassVar[frozenset[Role]] = DOCTORS
    example: ClassVar[Mapping[str, Any]] = {"entry": ANY_ID, "reason": "C'était le bon dossier"}

    entry: UUID
    reason: str
