"""The other slots of a summary on their way out: vaccines, acts, devices, family, vigilance."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final
from uuid import uuid5

from releve.domain.aggregates.patient.documents import DocumentAttached
from releve.domain.aggregates.patient.history import (
    DeviceRecorded,
    HistoryRecorded,
    ImmunizationRecorded,
    ProcedureRecorded,
)
from releve.domain.aggregates.patient.vigilance import VigilancePointSet
from releve.domain.values import Concept
from releve.fhir import codes, moments
from releve.fhir.codes import LOINC
from releve.fhir.exact_json import JsonObject
from releve.fhir.resource_writing import (
    in_document,
    in_error,
    line_start,
    moment_of,
    period_of,
    recorded,
    recorded_here,
    reference,
    status_of,
)
from releve.projections.summary_lines import Line

_FLAG_CATEGORY: Final = "http://terminology.hl7.org/CodeSystem/flag-category"
_QUESTIONS: Final[Mapping[str, tuple[str, str]]] = {
    "lifestyle": ("29762-2", "Social history note"),
    "occupation": ("11341-5", "History of Occupation"),
}
"""What an answer without a question of its own is an answer to."""


def immunization(line: Line, given: ImmunizationRecorded, subject: str) -> JsonObject:
    """The Immunization of a vaccination, or of one that was not done."""
    content = line_start("Immunization", line)
    content["status"] = status_of(line, "Immunization", given.status, otherwise="completed")
    if given.reason:
        content["statusReason"] = {"text": given.reason}
    content["vaccineCode"] = codes.codeable(given.vaccine)
    content["patient"] = {"reference": subject}
    if when := moment_of(given.given_on):
        content["occurrenceDateTime"] = when
    else:
        content["occurrenceString"] = given.given_on or codes.UNDATED
    if written := recorded_here(line):
        content["recorded"] = written
    if given.lot:
        content["lotNumber"] = given.lot
    if given.site:
        content["site"] = codes.token_element(given.site)
    if given.dose_number is not None and given.dose_number > 0:
        content["protocolApplied"] = [{"doseNumberPositiveInt": given.dose_number}]
    return content


def procedure(line: Line, act: ProcedureRecorded, subject: str) -> JsonObject:
    """The Procedure of an act."""
    content = line_start("Procedure", line)
    content["status"] = status_of(line, "Procedure", act.status)
    content["code"] = codes.codeable(act.concept)
    content["subject"] = {"reference": subject}
    if act.performed:
        content |= moments.elements(act.performed, "performed")
    else:
        content["_performedDateTime"] = codes.absent()
    if line.source_author:
        content["recorder"] = {"display": line.source_author}
    if act.body_site:
        content["bodySite"] = [codes.token_element(act.body_site)]
    if act.outcome:
        content["outcome"] = {"text": act.outcome}
    return content


def device(line: Line, worn: DeviceRecorded, subject: str) -> list[JsonObject]:
    """The DeviceUseStatement of a device, then the Device itself."""
    identity = uuid5(line.entry_id, "device")
    content = line_start("DeviceUseStatement", line)
    content["status"] = status_of(line, "DeviceUseStatement", worn.status, otherwise="active")
    content["subject"] = {"reference": subject}
    period = period_of(worn.since, worn.until)
    if period:
        content["timingPeriod"] = period
    else:
        content["_timingDateTime"] = codes.absent()
    if written := recorded_here(line):
        content["recordedOn"] = written
    content["device"] = reference(in_document(identity))
    if worn.body_site:
        content["bodySite"] = codes.token_element(worn.body_site)
    itself = line_start("Device", line, identity)
    if worn.udi:
        itself["udiCarrier"] = [{"carrierHRF": worn.udi}]
    itself["type"] = codes.codeable(worn.concept)
    itself["patient"] = {"reference": subject}
    return [content, itself]


def history(line: Line, said: HistoryRecorded, subject: str) -> JsonObject | None:
    """The resource that IPS has for a line of history, by its slot.

    ``None`` for a reaction that is an error: AdverseEvent has no status to say so (R4).
    """
    if said.slot == "adverse-reactions" and in_error(line):
        return None
    return _HISTORIES[said.slot](line, said, subject)


def _family(line: Line, said: HistoryRecorded, subject: str) -> JsonObject:
    content = line_start("FamilyMemberHistory", line)
    content["status"] = status_of(line, "FamilyMemberHistory", said.status, otherwise="completed")
    content["patient"] = {"reference": subject}
    if moment := moment_of(line.as_of):
        content["date"] = moment
    if said.relationship:
        content["relationship"] = codes.token_element(said.relationship)
    else:
        content["relationship"] = {"text": "parent non précisé"}
    condition: JsonObject = {"code": codes.codeable(said.concept)}
    if said.since:
        condition |= moments.elements(said.since, "onset")
    content["condition"] = [condition]
    return content


def _social(line: Line, said: HistoryRecorded, subject: str) -> JsonObject:
    """An Observation: LOINC codes are the question, every other coding the answer."""
    content = line_start("Observation", line)
    content["status"] = status_of(line, "Observation", said.status, otherwise="final")
    coding = {"system": codes.OBSERVATION_CATEGORY, "code": "social-history"}
    content["category"] = [{"coding": [coding]}]
    asked = tuple(one for one in said.concept.codings if _is_question(one.system, one.code))
    answer = tuple(one for one in said.concept.codings if one not in asked)
    if asked:
        words = next((one.display for one in asked if one.display), None) or said.concept.text
        content["code"] = codes.codeable(Concept(text=words, codings=asked))
    else:
        code, display = _QUESTIONS[said.slot]
        content["code"] = {"coding": [{"system": LOINC, "code": code, "display": display}]}
    content["subject"] = {"reference": subject}
    period = period_of(said.since, said.until)
    if period:
        content["effectivePeriod"] = period
    elif moment := moment_of(line.as_of):
        content["effectiveDateTime"] = moment
    content["performer"] = [{"display": line.source_author}]
    if said.value is not None:
        content["valueQuantity"] = codes.quantity_element(said.value)
        if answer or not asked:
            content["note"] = [{"text": said.concept.text}]
    else:
        kept = Concept(text=said.concept.text, codings=answer)
        content["valueCodeableConcept"] = codes.codeable(kept)
    return content


def _is_question(system: str | None, code: str | None) -> bool:
    return system == LOINC and not (code or "").startswith("LA")


def _ability(line: Line, said: HistoryRecorded, subject: str) -> JsonObject:
    """What the patient can no longer do, as a Condition: IPS takes no Observation here."""
    content = line_start("Condition", line)
    if not in_error(line):
        over = said.until is not None or said.status in ("inactive", "resolved", "completed")
        clinical = "inactive" if over else "active"
        content["clinicalStatus"] = codes.status_element(clinical, codes.CONDITION_CLINICAL)
    else:
        wrong = codes.status_element("entered-in-error", codes.CONDITION_VERIFICATION)
        content["verificationStatus"] = wrong
    words = said.concept.text
    if said.value is not None:
        words += f" : {said.value.value} {said.value.unit or ''}".rstrip()
    content["code"] = codes.codeable(Concept(text=words, codings=said.concept.codings))
    content["subject"] = {"reference": subject}
    if said.since:
        content |= moments.elements(said.since, "onset")
    if said.until:
        content |= moments.elements(said.until, "abatement")
    return content | recorded(line, None, "recordedDate", "recorder")


def _reaction(line: Line, said: HistoryRecorded, subject: str) -> JsonObject:
    """An adverse reaction that is no allergy: AdverseEvent, which no section of IPS refuses."""
    content = line_start("AdverseEvent", line)
    content["identifier"] = content["identifier"][0]
    content["actuality"] = "actual"
    content["event"] = codes.codeable(said.concept)
    content["subject"] = {"reference": subject}
    if when := moment_of(said.since):
        content["date"] = when
    return content | recorded(line, None, "recordedDate", "recorder")


_HISTORIES: Final[Mapping[str, Callable[[Line, HistoryRecorded, str], JsonObject]]] = {
    "family-history": _family,
    "lifestyle": _social,
    "occupation": _social,
    "functional-status": _ability,
    "adverse-reactions": _reaction,
}


def vigilance(line: Line, point: VigilancePointSet, subject: str) -> JsonObject:
    """The Flag of a vigilance point; inactive once it is lifted."""
    content = line_start("Flag", line)
    status = "active" if line.current else "inactive"
    content["status"] = status_of(line, "Flag", status)
    clinical = {"system": _FLAG_CATEGORY, "code": "clinical"}
    content["category"] = [{"coding": [clinical]}]
    content["code"] = {"text": point.text}
    content["subject"] = {"reference": subject}
    if period := period_of(line.as_of, point.until):
        content["period"] = period
    content["author"] = {"display": line.source_author}
    return content


def document(line: Line, attached: DocumentAttached, subject: str) -> JsonObject:
    """The DocumentReference of a kept original: what it is, never its bytes."""
    content = line_start("DocumentReference", line)
    content["status"] = "entered-in-error" if in_error(line) else "current"
    if attached.kind:
        content["type"] = {"coding": [{"system": LOINC, "code": attached.kind}]}
    content["subject"] = {"reference": subject}
    content["date"] = content["meta"]["lastUpdated"]
    content["author"] = [{"display": line.source_author}]
    attachment: JsonObject = {"contentType": attached.media_type}
    if attached.title:
        attachment["title"] = attached.title
    content["content"] = [{"attachment": attachment | {"size": attached.size}}]
    return content
