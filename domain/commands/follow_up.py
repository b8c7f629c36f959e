"""What must still happen and who answers: items, results, handovers, questions, if/then."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal
from uuid import UUID

from releve.domain.commands.command import (
    ANY_ID,
    CLINICIANS,
    DOCTORS,
    MACHINES,
    PRESCRIBERS,
    TEAM,
    Command,
    Target,
)
from releve.domain.commands.record import (
    POTASSIUM,
    AssertAbsence,
    RecordAllergy,
    RecordObservation,
    RecordProblem,
    SetIllnessSeverity,
    SignNote,
    StartMedication,
)
from releve.domain.events import Role
from releve.domain.values import (
    Concept,
    ContactChannel,
    InvestigationKind,
    ItemKind,
    Mode,
    Owner,
    ResultLine,
    ResultStatus,
    ResultVerdict,
    Severity,
    Threshold,
)

ITEM_EXAMPLE: Mapping[str, Any] = {
    "kind": "result",
    "text": "Rappeler le laboratoire pour la kaliémie",
    "due": "2026-11-27",
    "harm_if_late": True,
    "done_when": "résultat reçu et patient prévenu",
}


class OpenItem(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Open an item: something must still happen, and somebody answers for it."""

    name: ClassVar[str] = "open-item"
    target: ClassVar[Target] = "patient"
    roles: ClassVar[frozenset[Role]] = TEAM | {"system"}
    example: ClassVar[Mapping[str, Any]] = ITEM_EXAMPLE

    kind: ItemKind
    text: str
    owner: Owner = Owner()
    due: str | None = None
    no_deadline: bool = False
    harm_if_late: bool = False
    done_when: str | None = None


class CloseItem(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Close an item, with what shows that it is done or no longer needed."""

    name: ClassVar[str] = "close-item"
    target: ClassVar[Target] = "patient"
    roles: ClassVar[frozenset[Role]] = TEAM
    example: ClassVar[Mapping[str, Any]] = {
        "item": ANY_ID,
        "outcome": "done",
        "evidence": "Résultat normal, patient prévenu",
    }

    item: UUID
    outcome: Literal["done", "not-needed", "transferred"] = "done"
    evidence: str


class SetContingency(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Write what to do if something happens."""

    name: ClassVar[str] = "set-contingency"
    target: ClassVar[Target] = "patient"
    roles: ClassVar[frozenset[Role]] = PRESCRIBERS
    example: ClassVar[Mapping[str, Any]] = {
        "condition": "Kaliémie > 5,5 mmol/L",
        "action": "Arrêter le ramipril, ECG le jour même",
        "threshold": {"loinc": "2823-3", "comparator": ">", "value": "5.5", "unit": "mmol/L"},
        "valid_until": "2026-12-31",
    }

    condition: str
    action: str
    threshold: Threshold | None = None
    who: str | None = None
    valid_until: str | None = None


class RecordConsultation(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Record a consultation with everything it produced, in one append."""

    name: ClassVar[str] = "record-consultation"
    target: ClassVar[Target] = "patient"
    roles: ClassVar[frozenset[Role]] = CLINICIANS
    example: ClassVar[Mapping[str, Any]] = {
        "mode": "cabinet",
        "reason": "Renouvellement",
        "note": {"one_liner": "HTA équilibrée", "plan": "Contrôle dans trois mois"},
        "observations": [
            {
                "code": {
                    "text": "Poids",
                    "codings": [{"system": "http://loinc.org", "code": "29463-7"}],
                },
                "value": {"value": "71.5", "unit": "kg", "code": "kg"},
            }
        ],
        "problems": [{"concept": {"text": "Hypertension artérielle"}}],
        "severity": {"severity": "watcher", "reason": "Créatinine en hausse"},
        "items": [ITEM_EXAMPLE],
    }

    mode: Mode = "cabinet"
    reason: str = ""
    site: str | None = None
    note: SignNote | None = None
    observations: tuple[RecordObservation, ...] = ()
    problems: tuple[RecordProblem, ...] = ()
    allergies: tuple[RecordAllergy, ...] = ()
    absences: tuple[AssertAbsence, ...] = ()
    medications: tuple[StartMedication, ...] = ()
    severity: SetIllnessSeverity | None = None
    items: tuple[OpenItem, ...] = ()
    contingencies: tuple[SetContingency, ...] = ()


class WriteHandover(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Hand one patient over (I-PASS); new items and contingencies may come with it."""

    name: ClassVar[str] = "write-handover"
    target: ClassVar[Target] = "patient"
    roles: ClassVar[frozenset[Role]] = PRESCRIBERS
    example: ClassVar[Mapping[str, Any]] = {
        "severity": "unstable",
        "severity_reason": "Dyspnée de repos",
        "summary": "Insuffisance cardiaque décompensée, diurétique doublé vendredi",
        "actions": ["Peser et rappeler lundi matin"],
        "situation": "Vit seule, sa fille passe le soir",
        "new_items": [ITEM_EXAMPLE],
        "read_back_requested": True,
    }

    severity: Severity
    severity_reason: str = ""
    review_by: str | None = None
    summary: str
    actions: tuple[str, ...] = ()
    situation: str = ""
    items: tuple[UUID, ...] = ()
    contingencies: tuple[UUID, ...] = ()
    new_items: tuple[OpenItem, ...] = ()
    new_contingencies: tuple[SetContingency, ...] = ()
    read_back_requested: bool = False


class ReadBackHandover(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Answer a handover: what is done first in one's own words, a question, or taking it on."""

    name: ClassVar[str] = "read-back-handover"
    target: ClassVar[Target] = "patient"
    roles: ClassVar[frozenset[Role]] = PRESCRIBERS
    example: ClassVar[Mapping[str, Any]] = {
        "handover": ANY_ID,
        "kind": "restatement",
        "text": "Je la pèse et l'appelle à 9 h",
    }

    handover: UUID
    kind: Literal["restatement", "question", "takes", "continuation"]
    text: str = ""


class ReviseItem(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Change an open item's text, deadline or harm, for a reason; its age is never reset."""

    name: ClassVar[str] = "revise-item"
    target: ClassVar[Target] = "patient"
    roles: ClassVar[frozenset[Role]] = TEAM | {"system"}
    example: ClassVar[Mapping[str, Any]] = {
        "item": ANY_ID,
        "due": "2026-12-04",
        "reason": "Rendez-vous repoussé par l'hôpital",
    }

    item: UUID
    reason: str
    text: str | None = None
    due: str | None = None
    no_deadline: bool | None = None
    harm_if_late: bool | None = None
    done_when: str | None = None


class ReopenItem(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Open a closed item again, with its first age."""

    name: ClassVar[str] = "reopen-item"
    target: ClassVar[Target] = "patient"
    roles: ClassVar[frozenset[Role]] = CLINICIANS | {"system"}
    example: ClassVar[Mapping[str, Any]] = {"item": ANY_ID, "reason": "Le patient n'est pas venu"}

    item: UUID
    reason: str


class OfferItem(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Offer an item to a person or a role; who has it keeps it until the offer is accepted."""

    name: ClassVar[str] = "offer-item"
    target: ClassVar[Target] = "patient"
    roles: ClassVar[frozenset[Role]] = CLINICIANS | {"coordinator", "system"}
    example: ClassVar[Mapping[str, Any]] = {
        "item": ANY_ID,
        "to": {"role": "referent"},
        "message": "Peux-tu la rappeler mardi ?",
    }

    item: UUID
    to: Owner
    to_name: str = ""
    """The person's name as shown, where the offer is to a person."""
    message: str = ""


class AcceptItem(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Accept an item that was offered: it is the author's from now on."""

    name: ClassVar[str] = "accept-item"
    target: ClassVar[Target] = "patient"
    roles: ClassVar[frozenset[Role]] = CLINICIANS | {"coordinator"}
    example: ClassVar[Mapping[str, Any]] = {"item": ANY_ID}

    item: UUID


class DeclineItem(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Decline an item that was offered: it stays with who had it."""

    name: ClassVar[str] = "decline-item"
    target: ClassVar[Target] = "patient"
    roles: ClassVar[frozenset[Role]] = CLINICIANS | {"coordinator"}
    example: ClassVar[Mapping[str, Any]] = {"item": ANY_ID, "reason": "Je pars jeudi"}

    item: UUID
    reason: str


class WithdrawContingency(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Withdraw an if/then, for a reason."""

    name: ClassVar[str] = "withdraw-contingency"
    target: ClassVar[Target] = "patient"
    roles: ClassVar[frozenset[Role]] = PRESCRIBERS
    example: ClassVar[Mapping[str, Any]] = {"contingency": ANY_ID, "reason": "Ramipril arrêté"}

    contingency: UUID
    reason: str


class OrderInvestigation(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Order a laboratory test or imaging: an item is open until the patient knows the result."""

    name: ClassVar[str] = "order-investigation"
    target: ClassVar[Target] = "patient"
    roles: ClassVar[frozenset[Role]] = PRESCRIBERS
    example: ClassVar[Mapping[str, Any]] = {
        "kind": "laboratory",
        "text": "Ionogramme, créatinine",
        "codes": [POTASSIUM],
        "expected_by": "2026-11-26",
        "why": "Ramipril augmenté",
        "harm_if_late": True,
    }

    kind: InvestigationKind
    text: str
    expected_by: str
    codes: tuple[Concept, ...] = ()
    why: str = ""
    criticality: Literal["routine", "urgent"] = "routine"
    harm_if_late: bool = False
    owner: Owner = Owner()


class ReceiveResult(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Take in a result: partial, final, corrected, or phoned and read back to the caller."""

    name: ClassVar[str] = "receive-result"
    target: ClassVar[Target] = "patient"
    roles: ClassVar[frozenset[Role]] = TEAM | MACHINES
    example: ClassVar[Mapping[str, Any]] = {
        "status": "phoned",
        "title": "Ionogramme",
        "lines": [
            {
                "code": POTASSIUM,
                "value": {"value": "6.4", "unit": "mmol/L", "code": "mmol/L"},
            }
        ],
        "laboratory": "Laboratoire de l'exemple",
        "caller": "Mme Exemple, biologiste",
        "read_back": True,
    }

    status: ResultStatus
    title: str = ""
    lines: tuple[ResultLine, ...] = ()
    conclusion: str = ""
    """What a report says in words, where it has no values."""
    order: UUID | None = None
    """The order that it answers, where that is known."""
    replaces: UUID | None = None
    """The earlier version of the same report."""
    report: str | None = None
    """What the laboratory calls the report."""
    laboratory: str = ""
    sampled_at: str | None = None
    caller: str = ""
    """Who phoned, for a phoned result."""
    read_back: bool = False
    """The value was read back to the caller; required for a phoned result."""


class ReviewResult(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Say what a result means and what follows; only a final one can end the matter."""

    name: ClassVar[str] = "review-result"
    target: ClassVar[Target] = "patient"
    roles: ClassVar[frozenset[Role]] = DOCTORS | {"intern"}
    example: ClassVar[Mapping[str, Any]] = {
        "result": ANY_ID,
        "verdict": "abnormal",
        "action": "Arrêt du ramipril, contrôle demain",
    }

    result: UUID
    verdict: ResultVerdict
    action: str = ""
    """What follows; required where the result is abnormal or critical."""
    inform_patient: bool = True
    """The patient must still be told; false only with a reason."""
    reason: str = ""
    order: UUID | None = None
    """The order that it answers, where the result did not say."""


class RecordContactAttempt(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Record an attempt to reach the patient, or whoever speaks for them."""

    name: ClassVar[str] = "record-contact-attempt"
    target: ClassVar[Target] = "patient"
    roles: ClassVar[frozenset[Role]] = TEAM
    example: ClassVar[Mapping[str, Any]] = {"channel": "phone", "outcome": "no-answer"}

    channel: ContactChannel
    outcome: Literal["no-answer", "message-left", "reached", "wrong-number"]
    whom: str = ""
    about: UUID | None = None
    """The result or item that it was about."""


class InformPatient(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Record that the patient was told a result; this is what closes the matter."""

    name: ClassVar[str] = "inform-patient"
    target: ClassVar[Target] = "patient"
    roles: ClassVar[frozenset[Role]] = CLINICIANS
    example: ClassVar[Mapping[str, Any]] = {
        "result": ANY_ID,
        "channel": "phone",
        "text": "Potassium haut, ramipril arrêté, contrôle demain",
    }

    result: UUID
    channel: ContactChannel
    whom: str = ""
    """Who was told, where it was not the patient."""
    text: str = ""


class AskQuestion(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Ask a colleague something about this patient; they may answer until day 14 after theirs."""

    name: ClassVar[str] = "ask-question"
    target: ClassVar[Target] = "patient"
    roles: ClassVar[frozenset[Role]] = PRESCRIBERS
    example: ClassVar[Mapping[str, Any]] = {
        "to": ANY_ID,
        "to_name": "Dr Alix Exemple",
        "text": "Pourquoi avoir arrêté le bêtabloquant ?",
        "due": "2026-11-27",
    }

    to: UUID
    """The practitioner asked."""
    to_name: str
    text: str
    due: str | None = None
    about: UUID | None = None
    """The entry that the question is about: it is quoted to whom is asked."""


class AnswerQuestion(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Answer a question that was asked of the author."""

    name: ClassVar[str] = "answer-question"
    target: ClassVar[Target] = "patient"
    roles: ClassVar[frozenset[Role]] = PRESCRIBERS
    example: ClassVar[Mapping[str, Any]] = {
        "question": ANY_ID,
        "text": "Bradycardie à 42, repris à demi-dose si plus de 60",
    }

    question: UUID
    text: str


class RecordOpinion(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Put a second look beside an entry; the entry itself is never changed by it."""

    name: ClassVar[str] = "record-opinion"
    target: ClassVar[Target] = "patient"
    roles: ClassVar[frozenset[Role]] = PRESCRIBERS
    example: ClassVar[Mapping[str, Any]] = {
        "about": ANY_ID,
        "stance": "challenges",
        "text": "Plutôt une insuffisance veineuse : pas de signe de surcharge",
    }

    about: UUID
    stance: Literal["agrees", "challenges", "adds"]
    text: str
