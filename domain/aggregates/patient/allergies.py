"""Allergies and absences: known, asked and none, or not asked. Never two of these at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar

import msgspec

from releve.domain.aggregates.deciding import Context, Fact, refuse
from releve.domain.aggregates.patient.entries import (
    amended,
    from_source,
    past_date,
    revised,
    something,
    standing_entry,
)
from releve.domain.aggregates.patient.history import current_devices, current_procedures
from releve.domain.aggregates.patient.medications import MedicationStarted, current_medications
from releve.domain.aggregates.patient.problems import (
    ProblemRecorded,
    current_problems,
    is_denied,
    read_concept,
    same_concept,
)
from releve.domain.aggregates.patient.record import Fold, Patient, file, supersede
from releve.domain.commands import AssertAbsence, RecordAllergy, ReviseAllergy
from releve.domain.errors import Invalid
from releve.domain.events import Event, Payload
from releve.domain.values import AbsenceSlot, Concept, PartialDate, Reaction, words

# Events: the storage format. Never rename, retype or reuse a field; see domain/upcasting.py.


class AllergyRecorded(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """A substance the patient reacts to, with the status its source gives it (FHIR codes)."""

    topic: ClassVar[str] = "patient.allergy-recorded"

    substance: Concept
    clinical_status: str | None = None
    verification: str | None = None
    kind: str | None = None
    categories: tuple[str, ...] = ()
    criticality: str | None = None
    onset: str | None = None
    recorded: str | None = None
    reactions: tuple[Reaction, ...] = ()


class AllergyRevised(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """An allergy (the envelope's target) is now so; what is absent stays as it was."""

    topic: ClassVar[str] = "patient.allergy-revised"

    clinical_status: str | None = None
    verification: str | None = None
    criticality: str | None = None
    reactions: tuple[Reaction, ...] = ()


class AbsenceAsserted(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """Asked, and none known: on which day, for a slot or a part of it (``food``, ``drug``)."""

    topic: ClassVar[str] = "patient.absence-asserted"

    slot: AbsenceSlot
    part: str | None = None
    asked_on: str | None = None
    concept: Concept | None = None
    clinical_status: str | None = None
    verification: str | None = None


# State


def _allergy_recorded(patient: Patient, event: Event) -> None:
    patient.allergies.append(event)
    supersede(patient, event)


def _absence_asserted(patient: Patient, event: Event) -> None:
    patient.absences.append(event)
    supersede(patient, event)


FOLDS: dict[type[Payload], Fold] = {
    AllergyRecorded: _allergy_recorded,
    AbsenceAsserted: _absence_asserted,
    AllergyRevised: file,
}

SNOMED = "http://snomed.info/sct"
ABSENT_UNKNOWN = "http://hl7.org/fhir/uv/ips/CodeSystem/absent-unknown-uv-ips"


class Absence(msgspec.Struct, frozen=True):
    """What a known-absence code says there is none of."""

    slot: AbsenceSlot
    part: str | None = None


ABSENCE_CODES: dict[tuple[str, str], Absence] = {
    (SNOMED, "716186003"): Absence("allergies"),
    (SNOMED, "429625007"): Absence("allergies", "food"),
    (SNOMED, "409137002"): Absence("allergies", "medication"),
    (SNOMED, "428607008"): Absence("allergies", "environment"),
    (SNOMED, "716184000"): Absence("allergies", "latex"),
    (SNOMED, "716220001"): Absence("allergies", "animal"),
    (SNOMED, "428197003"): Absence("allergies", "insect"),
    (SNOMED, "160245001"): Absence("problems"),
    (SNOMED, "787481004"): Absence("medications"),
    (ABSENT_UNKNOWN, "no-known-allergies"): Absence("allergies"),
    (ABSENT_UNKNOWN, "no-known-food-allergies"): Absence("allergies", "food"),
    (ABSENT_UNKNOWN, "no-known-medication-allergies"): Absence("allergies", "medication"),
    (ABSENT_UNKNOWN, "no-known-environmental-allergies"): Absence("allergies", "environment"),
    (ABSENT_UNKNOWN, "no-known-medications"): Absence("medications"),
    (ABSENT_UNKNOWN, "no-known-problems"): Absence("problems"),
    (ABSENT_UNKNOWN, "no-known-procedures"): Absence("procedures"),
    (ABSENT_UNKNOWN, "no-known-devices"): Absence("devices"),
}
"""Codes that say "none known": SNOMED CT situations and the IPS absent-unknown code system."""

_PARTS = {"drug": "medication", "drugs": "medication", "medicament": "medication"}


def absence_of(concept: Concept) -> Absence | None:
    """What ``concept`` says there is none of, where it is a known-absence code."""
    for coding in concept.codings:
        found = ABSENCE_CODES.get((coding.system or "", coding.code or ""))
        if found is not None:
            return found
    return None


def part_of(absence: AbsenceAsserted) -> str | None:
    """The part an absence is about, in FHIR's word for the category; None is the whole slot."""
    return None if absence.part is None else _PARTS.get(absence.part, absence.part)


def is_active_allergy(allergy: AllergyRecorded) -> bool:
    """True for what may hurt the patient now: neither refuted nor resolved; no status is active."""
    return _holds(allergy)


def is_current_absence(absence: AbsenceAsserted) -> bool:
    """True unless the source itself denies or ended it."""
    return _holds(absence)


def _holds(said: AllergyRecorded | AbsenceAsserted) -> bool:
    ended = said.clinical_status in ("inactive", "resolved")
    return not ended and not is_denied(said.verification)


def contradicts(allergy: AllergyRecorded, absence: AbsenceAsserted) -> bool:
    """True when an active allergy lies in what ``absence`` says there is none of."""
    part = part_of(absence)
    return (
        absence.slot == "allergies"
        and is_active_allergy(allergy)
        and (part is None or part in allergy.categories)
    )


def allergy_in_force(patient: Patient, event: Event) -> AllergyRecorded:
    """What a recorded allergy says after its revisions."""
    if not isinstance(event.payload, AllergyRecorded):
        raise TypeError(event.topic)
    return revised(patient, event.event_id, event.payload, AllergyRevised)


def current_allergies(patient: Patient) -> Iterator[Event]:
    """Standing allergy events that are active after their revisions (:func:`allergy_in_force`)."""
    return (
        event
        for event in patient.standing(patient.allergies)
        if is_active_allergy(allergy_in_force(patient, event))
    )


# Decisions

CATEGORIES = frozenset({"food", "medication", "environment", "biologic"})
CRITICALITIES = frozenset({"low", "high", "unable-to-assess"})
"""FHIR allergy-intolerance-category and -criticality."""


def record_allergy(
    patient: Patient, command: RecordAllergy, ctx: Context, earlier: Iterable[Fact] = ()
) -> tuple[Fact, ...]:
    """A substance, never a known-absence code, and not twice as active from the same source."""
    if absence_of(command.substance) is not None:
        raise refuse(
            "absence-is-not-a-substance",
            "L'allergie n'est pas enregistrée.",
            "Ce code dit qu'aucune allergie n'est connue.",
            "Enregistrer une absence.",
            field="substance",
        )
    if command.clinical_status not in ("active", "inactive", "resolved"):
        raise Invalid("invalid-field", field="clinical_status")
    if command.verification not in ("unconfirmed", "confirmed", "refuted"):
        raise Invalid("invalid-field", field="verification")
    if not CATEGORIES.issuperset(command.categories):
        raise Invalid("invalid-field", field="categories")
    if command.criticality is not None and command.criticality not in CRITICALITIES:
        raise Invalid("invalid-field", field="criticality")
    if command.onset is not None:
        PartialDate(command.onset, field="onset")
    allergy = AllergyRecorded(
        substance=read_concept(command.substance, "substance"),
        clinical_status=command.clinical_status,
        verification=command.verification,
        kind=command.kind,
        categories=command.categories,
        criticality=command.criticality,
        onset=command.onset,
        reactions=command.reactions,
    )
    refuse_second_active(
        patient, allergy, ctx.source.system, (fact.payload for fact in earlier), field="substance"
    )
    return (Fact(allergy),)


def refuse_second_active(
    patient: Patient,
    allergy: AllergyRecorded,
    system: str | None,
    earlier: Iterable[Payload] = (),
    *,
    but: Event | None = None,
    field: str,
) -> None:
    """Refuse an allergy that is active already to the same substance from the same source.

    ``but`` is the entry itself, where it is one; ``earlier`` what the same command wrote before.
    """
    if not is_active_allergy(allergy):
        return
    known: list[Payload] = [
        allergy_in_force(patient, event)
        for event in from_source(patient, patient.allergies, system, but=but)
    ]
    for other in [*known, *earlier]:
        if (
            isinstance(other, AllergyRecorded)
            and is_active_allergy(other)
            and same_concept(other.substance, allergy.substance)
        ):
            raise refuse(
                "allergy-already-active",
                "Cette allergie est déjà connue.",
                "Le dossier la porte déjà comme active.",
                "Compléter l'allergie existante.",
                field=field,
            )


def revise_allergy(patient: Patient, command: ReviseAllergy, ctx: Context) -> tuple[Fact, ...]:
    """An allergy that stands is confirmed, refuted or resolved, for a reason.

    Once refuted or resolved it leaves the badge and no longer forbids "none known"; it stays in
    the history with the reason.
    """
    event, _ = standing_entry(patient, command.allergy, AllergyRecorded, field="allergy")
    reason = words(command.reason, field="reason", limit=400)
    if command.clinical_status not in (None, "active", "inactive", "resolved"):
        raise Invalid("invalid-field", field="clinical_status")
    if command.verification not in (None, "unconfirmed", "confirmed", "refuted"):
        raise Invalid("invalid-field", field="verification")
    if command.criticality is not None and command.criticality not in CRITICALITIES:
        raise Invalid("invalid-field", field="criticality")
    revision = AllergyRevised(
        clinical_status=command.clinical_status,
        verification=command.verification,
        criticality=command.criticality,
        reactions=command.reactions,
    )
    something(*msgspec.structs.astuple(revision))
    after = amended(allergy_in_force(patient, event), revision)
    refuse_second_active(
        patient, after, event.envelope.source.system, but=event, field="clinical_status"
    )
    return (Fact(revision, target=command.allergy, reason=reason),)


def assert_absence(
    patient: Patient, command: AssertAbsence, ctx: Context, earlier: Iterable[Fact] = ()
) -> tuple[Fact, ...]:
    """Invalid while something of that scope is active; ``asked_on`` is today where not given."""
    asked = command.asked_on or ctx.today.isoformat()
    past_date(asked, ctx, field="asked_on")
    absence = AbsenceAsserted(slot=command.slot, part=command.part, asked_on=asked)
    new = [fact.payload for fact in earlier]
    active: bool
    match command.slot:
        case "allergies":
            payloads: list[Payload] = [*new]
            payloads += [allergy_in_force(patient, e) for e in current_allergies(patient)]
            active = any(
                isinstance(p, AllergyRecorded) and contradicts(p, absence) for p in payloads
            )
        case "problems":
            active = command.part is None and (
                any(True for _ in current_problems(patient))
                or any(isinstance(p, ProblemRecorded) for p in new)
            )
        case "medications":
            active = command.part is None and (
                any(True for _ in current_medications(patient))
                or any(isinstance(p, MedicationStarted) for p in new)
            )
        case "procedures":
            active = command.part is None and any(True for _ in current_procedures(patient))
        case "devices":
            active = command.part is None and any(True for _ in current_devices(patient, ctx.today))
    if active:
        raise refuse(
            "absence-contradicted",
            "L'absence n'est pas enregistrée.",
            "Le dossier porte un élément actif de ce domaine.",
            "Relire l'élément actif ; le marquer erroné s'il l'est.",
            field="slot",
        )
    return (Fact(absence),)
