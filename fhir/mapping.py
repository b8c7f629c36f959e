"""From the record to FHIR R4: the lines of a summary, each as one resource or a few.

Codings, statuses and dates leave in the form they had, decimals with their digits. Problems,
allergies and treatments are written here; results and the other slots have modules of their own.
Written with :mod:`releve.fhir.exact_json`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from releve.domain.aggregates.patient.allergies import AbsenceAsserted, AllergyRecorded, part_of
from releve.domain.aggregates.patient.documents import DocumentAttached
from releve.domain.aggregates.patient.history import (
    DeviceRecorded,
    HistoryRecorded,
    ImmunizationRecorded,
    ProcedureRecorded,
)
from releve.domain.aggregates.patient.medications import MedicationStarted
from releve.domain.aggregates.patient.observations import ObservationRecorded
from releve.domain.aggregates.patient.problems import ProblemRecorded
from releve.domain.aggregates.patient.vigilance import VigilancePointSet
from releve.domain.values import Concept, Reaction
from releve.fhir import codes, history_resources, known_absence, moments, r4b, result_resources
from releve.fhir.exact_json import JsonObject, decimal_from
from releve.fhir.resource_writing import (
    in_error,
    line_start,
    put_code,
    recorded,
    status_of,
)
from releve.projections.summary_lines import Line

_CONDITION_CATEGORY: Final = "http://terminology.hl7.org/CodeSystem/condition-category"
_FREQUENCY: Final = re.compile(r"(\d{1,4}) x / (\d{1,6}(?:\.\d+)?) (s|min|h|d|wk|mo|a)")


def line_resources(line: Line, subject: str) -> list[JsonObject]:
    """The resources of a line about ``subject``, the one that says it first.

    Empty for lines that have none here: the values of a result leave with their report
    (:func:`releve.fhir.result_resources.report`).
    """
    builder = _BUILDERS.get(line.topic)
    if builder is None or line.ordinal is not None:
        return []
    payload_type, build = builder
    made = build(line, msgspec.convert(line.detail, payload_type), subject)
    if made is None:
        return []
    return made if isinstance(made, list) else [made]


def _problem(line: Line, problem: ProblemRecorded, subject: str) -> JsonObject:
    content = line_start("Condition", line)
    _put_status(content, "clinicalStatus", problem.clinical_status, codes.CONDITION_CLINICAL, line)
    _put_status(
        content, "verificationStatus", _verified(line, problem.verification),
        codes.CONDITION_VERIFICATION, line,
    )  # fmt: skip
    if problem.category:
        content["category"] = [codes.token_element(problem.category)]
    elif line.source is None:
        item = {"system": _CONDITION_CATEGORY, "code": "problem-list-item"}
        content["category"] = [{"coding": [item]}]
    if problem.severity:
        content["severity"] = codes.token_element(problem.severity)
    content["code"] = codes.codeable(problem.concept)
    if problem.laterality:
        content["bodySite"] = [codes.token_element(problem.laterality)]
    content["subject"] = {"reference": subject}
    if problem.onset:
        content |= moments.elements(problem.onset, "onset")
    if problem.abatement:
        content |= moments.elements(problem.abatement, "abatement")
    return content | recorded(line, problem.recorded, "recordedDate", "recorder")


def _allergy(line: Line, allergy: AllergyRecorded, subject: str) -> JsonObject:
    content = line_start("AllergyIntolerance", line)
    in_error = _verified(line, allergy.verification) == "entered-in-error"
    _put_status(content, "clinicalStatus", allergy.clinical_status, codes.ALLERGY_CLINICAL, line)
    if "clinicalStatus" not in content and not in_error:
        content["clinicalStatus"] = codes.absent()  # ait-1: it may be absent only for an error
    _put_status(
        content, "verificationStatus", _verified(line, allergy.verification),
        codes.ALLERGY_VERIFICATION, line,
    )  # fmt: skip
    put_code(content, "type", allergy.kind)
    known = r4b.elements_of("AllergyIntolerance")["category"].codes
    if categories := [one for one in allergy.categories if one in known]:
        content["category"] = categories
    put_code(content, "criticality", allergy.criticality)
    content["code"] = codes.codeable(allergy.substance)
    content["patient"] = {"reference": subject}
    if allergy.onset:
        content |= moments.elements(allergy.onset, "onset")
    content |= recorded(line, allergy.recorded, "recordedDate", "recorder")
    if allergy.reactions:
        content["reaction"] = [_reaction(one) for one in allergy.reactions]
    return content


def _reaction(reaction: Reaction) -> JsonObject:
    content: JsonObject = {}
    if reaction.substance is not None:
        content["substance"] = codes.codeable(reaction.substance)
    shown = reaction.manifestations or (Concept(text="non précisée"),)
    content["manifestation"] = [codes.codeable(one) for one in shown]
    if reaction.description:
        content["description"] = reaction.description
    if reaction.onset and moments.is_datetime(reaction.onset):
        content["onset"] = reaction.onset
    if reaction.severity in r4b.elements_of("AllergyIntoleranceReaction")["severity"].codes:
        content["severity"] = reaction.severity
    return content


def _absence(line: Line, absence: AbsenceAsserted, subject: str) -> JsonObject | None:
    concept = absence.concept
    if concept is None:
        coding = known_absence.CODES.get((absence.slot, part_of(absence)))
        concept = Concept(text=line.text, codings=(coding,) if coding else ())
    asked = absence.asked_on or (None if line.source else line.as_of)
    if absence.slot == "allergies":
        kept = AllergyRecorded(
            substance=concept,
            clinical_status=absence.clinical_status or (None if line.source else "active"),
            verification=absence.verification or (None if line.source else "confirmed"),
            recorded=asked,
        )
        return _allergy(line, kept, subject)
    if absence.slot == "problems":
        problem = ProblemRecorded(
            concept=concept,
            clinical_status=absence.clinical_status or (None if line.source else "active"),
            verification=absence.verification,
            recorded=asked,
        )
        return _problem(line, problem, subject)
    if absence.slot == "medications":
        treatment = MedicationStarted(
            concept=concept, status=absence.clinical_status or "unknown", recorded=asked
        )
        return _statement(line, treatment, subject)
    return None


def _medication(line: Line, treatment: MedicationStarted, subject: str) -> JsonObject:
    return _TREATMENTS[treatment.statement](line, treatment, subject)


def _statement(line: Line, treatment: MedicationStarted, subject: str) -> JsonObject:
    content = _treatment("MedicationStatement", line, treatment, subject)
    if treatment.status_reason:
        content["statusReason"] = [{"text": treatment.status_reason}]
    content |= _effective(treatment)
    content |= recorded(line, treatment.recorded, "dateAsserted", "informationSource")
    if dosage := _dosage(treatment):
        content["dosage"] = [dosage]
    return content


def _request(line: Line, treatment: MedicationStarted, subject: str) -> JsonObject:
    content = _treatment("MedicationRequest", line, treatment, subject)
    known = r4b.elements_of("MedicationRequest")["intent"].codes
    content["intent"] = treatment.intent if treatment.intent in known else "order"
    if treatment.status_reason:
        content["statusReason"] = {"text": treatment.status_reason}
    content |= recorded(line, treatment.recorded, "authoredOn", "requester")
    dosage = _dosage(treatment)
    if treatment.end or treatment.start != content.get("authoredOn"):
        sides = (("start", treatment.start), ("end", treatment.end))
        bounds = {name: side for name, side in sides if side and moments.is_datetime(side)}
        if bounds:
            timing = dosage.setdefault("timing", {})
            timing["repeat"] = {"boundsPeriod": bounds, **timing.get("repeat", {})}
    if dosage:
        content["dosageInstruction"] = [dosage]
    return content


def _administration(line: Line, treatment: MedicationStarted, subject: str) -> JsonObject:
    content = _treatment("MedicationAdministration", line, treatment, subject)
    if treatment.status_reason:
        content["statusReason"] = [{"text": treatment.status_reason}]
    content |= _effective(treatment)
    dosage = _dosage(treatment)
    if treatment.dose is not None:  # R4 asks for a dose where there is a dosage (mad-1)
        kept = {name: value for name, value in dosage.items() if name in ("text", "route")}
        content["dosage"] = {**kept, "dose": codes.quantity_element(treatment.dose)}
    return content


def _dispense(line: Line, treatment: MedicationStarted, subject: str) -> JsonObject:
    content = _treatment("MedicationDispense", line, treatment, subject)
    if treatment.status_reason:
        content["statusReasonCodeableConcept"] = {"text": treatment.status_reason}
    prepared, handed = treatment.recorded, treatment.start
    if prepared and moments.is_datetime(prepared):
        content["whenPrepared"] = prepared
    if handed and moments.is_datetime(handed) and handed != prepared:
        content["whenHandedOver"] = handed
    if dosage := _dosage(treatment):
        content["dosageInstruction"] = [dosage]
    return content


_TREATMENTS: Final[Mapping[str, Callable[[Line, MedicationStarted, str], JsonObject]]] = {
    "MedicationStatement": _statement,
    "MedicationRequest": _request,
    "MedicationAdministration": _administration,
    "MedicationDispense": _dispense,
}


def _treatment(kind: str, line: Line, treatment: MedicationStarted, subject: str) -> JsonObject:
    content = line_start(kind, line)
    content["status"] = status_of(line, kind, treatment.status)
    content["medicationCodeableConcept"] = codes.codeable(treatment.concept)
    content["subject"] = {"reference": subject}
    if treatment.indication and kind != "MedicationDispense":
        content["reasonCode"] = [{"text": treatment.indication}]
    return content


def _effective(treatment: MedicationStarted) -> JsonObject:
    start, end = treatment.start or "", treatment.end or ""
    told = moments.elements(start, "effective")
    if "effectiveDateTime" in told and "/" in start:
        return told
    sides = (("start", start), ("end", end))
    period = {name: side for name, side in sides if moments.is_datetime(side)}
    return {"effectivePeriod": period} if period else {"_effectiveDateTime": codes.absent()}


def _dosage(treatment: MedicationStarted) -> JsonObject:
    content: JsonObject = {}
    if treatment.dose_text:
        content["text"] = treatment.dose_text
    if treatment.frequency:
        content["timing"] = _timing(treatment.frequency)
    if treatment.route is not None:
        content["route"] = codes.codeable(treatment.route)
    if treatment.dose is not None:
        content["doseAndRate"] = [{"doseQuantity": codes.quantity_element(treatment.dose)}]
    return content


def _timing(frequency: str) -> JsonObject:
    counted = _FREQUENCY.fullmatch(frequency)
    if counted is None:
        return {"code": {"text": frequency}}
    repeat: JsonObject = {"frequency": int(counted[1])}
    return {"repeat": repeat | {"period": decimal_from(counted[2]), "periodUnit": counted[3]}}


Built = JsonObject | list[JsonObject] | None

_BUILDERS: Final[Mapping[str, tuple[Any, Callable[[Line, Any, str], Built]]]] = {
    ProblemRecorded.topic: (ProblemRecorded, _problem),
    AllergyRecorded.topic: (AllergyRecorded, _allergy),
    AbsenceAsserted.topic: (AbsenceAsserted, _absence),
    MedicationStarted.topic: (MedicationStarted, _medication),
    ObservationRecorded.topic: (ObservationRecorded, result_resources.observation),
    ImmunizationRecorded.topic: (ImmunizationRecorded, history_resources.immunization),
    ProcedureRecorded.topic: (ProcedureRecorded, history_resources.procedure),
    DeviceRecorded.topic: (DeviceRecorded, history_resources.device),
    HistoryRecorded.topic: (HistoryRecorded, history_resources.history),
    VigilancePointSet.topic: (VigilancePointSet, history_resources.vigilance),
    DocumentAttached.topic: (DocumentAttached, history_resources.document),
}


def _verified(line: Line, verification: str | None) -> str | None:
    return "entered-in-error" if in_error(line) else verification


def _put_status(content: JsonObject, key: str, status: str | None, system: str, line: Line) -> None:
    """Put a status where R4 wants it: as a code of its list, else as the source's word."""
    if status is None or (key == "clinicalStatus" and in_error(line)):
        return
    known = status in codes.STATUS_CODES[system]
    content[key] = codes.status_element(status, system) if known else {"text": status}
