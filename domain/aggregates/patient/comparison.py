"""What the record already says of an imported line: the same, or the contrary.

By codes, or words where one side has none: no thesaurus stands behind it. An empty answer means
that nothing of the same name was found, never that the line is safe to accept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import date
from typing import Literal, NamedTuple, TypeVar

from releve.domain.aggregates.patient.allergies import (
    AbsenceAsserted,
    AllergyRecorded,
    allergy_in_force,
    contradicts,
    current_allergies,
    is_active_allergy,
    is_current_absence,
    part_of,
)
from releve.domain.aggregates.patient.history import (
    DeviceRecorded,
    HistoryRecorded,
    ImmunizationRecorded,
    ProcedureRecorded,
    current_devices,
    current_procedures,
)
from releve.domain.aggregates.patient.medications import (
    MedicationStarted,
    current_medications,
    is_active_medication,
    medication_in_force,
)
from releve.domain.aggregates.patient.problems import (
    ProblemRecorded,
    current_problems,
    is_active_problem,
    is_denied,
    problem_in_force,
    same_concept,
)
from releve.domain.aggregates.patient.record import Patient
from releve.domain.events import Event

Relation = Literal["same", "over", "denied", "absent", "present", "allergy", "treatment"]
"""How an entry that stands bears on an imported line.

``same`` says it already; ``over`` says that it ended, or that the line ended what it says still
runs; ``denied`` refutes it; ``absent`` says that there is none, ``present`` that there is one where
the line says none; ``allergy`` is to the treatment, ``treatment`` is of what the line says the
patient reacts to.
"""


_Stated = TypeVar("_Stated", AllergyRecorded, ProblemRecorded)


class Bearing(NamedTuple):
    """One entry that stands, and how it bears on an imported line."""

    relation: Relation
    entry: Event


def bearings(patient: Patient, event: Event, day: date) -> tuple[Bearing, ...]:
    """Entries that bear on a line of the record, ``event``, on ``day`` of the centre (pure)."""
    match event.payload:
        case AllergyRecorded():
            found = _on_allergy(patient, event)
        case AbsenceAsserted() as absence:
            found = (Bearing("present", one) for one in _against(patient, absence, day))
        case MedicationStarted():
            found = _on_treatment(patient, event)
        case ProblemRecorded():
            found = _on_problem(patient, event)
        case _:
            found = (Bearing("same", one) for one in _said_before(patient, event))
    return tuple(each for each in found if each.entry is not event)


def _on_allergy(patient: Patient, event: Event) -> Iterator[Bearing]:
    said = allergy_in_force(patient, event)
    for other in patient.standing(patient.allergies):
        known = allergy_in_force(patient, other)
        if same_concept(known.substance, said.substance):
            yield Bearing(_stated(said, known, is_active_allergy), other)
    for other in patient.standing(patient.absences):
        absence = other.payload
        if (
            isinstance(absence, AbsenceAsserted)
            and is_current_absence(absence)
            and contradicts(said, absence)
        ):
            yield Bearing("absent", other)
    if is_active_allergy(said):
        for other in current_medications(patient):
            if same_concept(medication_in_force(patient, other).concept, said.substance):
                yield Bearing("treatment", other)


def _on_treatment(patient: Patient, event: Event) -> Iterator[Bearing]:
    said = medication_in_force(patient, event)
    runs = is_active_medication(said)
    for other in patient.standing(patient.medications):
        known = medication_in_force(patient, other)
        if same_concept(known.concept, said.concept) and (runs or is_active_medication(known)):
            yield Bearing(_relation(runs, is_active_medication(known)), other)
    if runs:
        for other in current_allergies(patient):
            if same_concept(allergy_in_force(patient, other).substance, said.concept):
                yield Bearing("allergy", other)
        yield from _none_of(patient, "medications")


def _on_problem(patient: Patient, event: Event) -> Iterator[Bearing]:
    said = problem_in_force(patient, event)
    for other in patient.standing(patient.problems):
        known = problem_in_force(patient, other)
        sides = {said.laterality, known.laterality}
        if same_concept(known.concept, said.concept) and (len(sides) == 1 or None in sides):
            yield Bearing(_stated(said, known, is_active_problem), other)
    if is_active_problem(said):
        yield from _none_of(patient, "problems")


def _stated(said: _Stated, known: _Stated, is_active: Callable[[_Stated], bool]) -> Relation:
    """How what stands bears on a line of the same name, where either may deny what it names."""
    if is_denied(said.verification) != is_denied(known.verification):
        return "denied"
    return _relation(is_active(said), is_active(known))


def _relation(said: bool, known: bool) -> Relation:
    """``said`` and ``known``: whether the line, and what stands, is so now."""
    return "same" if said == known else "over"


def _none_of(patient: Patient, slot: str) -> Iterator[Bearing]:
    for other in patient.standing(patient.absences):
        absence = other.payload
        if (
            isinstance(absence, AbsenceAsserted)
            and (absence.slot, part_of(absence)) == (slot, None)
            and is_current_absence(absence)
        ):
            yield Bearing("absent", other)


def _against(patient: Patient, absence: AbsenceAsserted, day: date) -> Iterable[Event]:
    """What stands where ``absence`` says that there is none."""
    if not is_current_absence(absence):
        return ()
    if absence.slot == "allergies":
        return (
            event
            for event in current_allergies(patient)
            if contradicts(allergy_in_force(patient, event), absence)
        )
    if part_of(absence) is not None:
        return ()
    match absence.slot:
        case "problems":
            return current_problems(patient)
        case "medications":
            return current_medications(patient)
        case "procedures":
            return current_procedures(patient)
        case "devices":
            return current_devices(patient, day)


def _said_before(patient: Patient, event: Event) -> Iterator[Event]:
    """Entries that say the same vaccine, act, device or line of history; dates agree if both say.

    A measure is never the same as another: each is of its moment.
    """
    for other in patient.standing(patient.told(type(event.payload))):
        match event.payload, other.payload:
            case ImmunizationRecorded() as said, ImmunizationRecorded() as known:
                same = (
                    said.status == known.status
                    and same_concept(said.vaccine, known.vaccine)
                    and _may_agree(said.given_on, known.given_on)
                )
            case ProcedureRecorded() as said, ProcedureRecorded() as known:
                same = same_concept(said.concept, known.concept) and _may_agree(
                    said.performed, known.performed
                )
            case DeviceRecorded() as said, DeviceRecorded() as known:
                same = same_concept(said.concept, known.concept)
            case HistoryRecorded() as said, HistoryRecorded() as known:
                same = (said.slot, said.relationship) == (
                    known.slot,
                    known.relationship,
                ) and same_concept(said.concept, known.concept)
            case _:
                same = False
        if same:
            yield other


def _may_agree(one: str | None, other: str | None) -> bool:
    """Whether two dates, as precise as each is, may be the same day; one left out may be any."""
    if one is None or other is None:
        return True
    return one.startswith(other) or other.startswith(one)
