"""From the record to FHIR R4: one line of a summary, one resource, as plain data.

What a source sent leaves as it came: codings, statuses, dates in the form they had, decimals with
their digits. A status that R4's list does not have leaves as "unknown" or as words, so that what
we send is R4 even where what we got was not. Written with :mod:`releve.fhir.exact_json`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from releve.domain.aggregates.patient.allergies import AbsenceAsserted, AllergyRecorded, part_of
from releve.domain.aggregates.patient.identity import Registered
from releve.domain.aggregates.patient.medications import MedicationStarted
from releve.domain.aggregates.patient.observations import ObservationRecorded
from releve.domain.aggregates.patient.problems import ProblemRecorded
from releve.domain.values import Concept, Identifier, Reaction
from releve.fhir import codes, known_absence, moments, r4b
from releve.fhir.exact_json import JsonObject, decimal_from
from releve.projections.directory import CentreEntry
from releve.projections.patient_summary import Line, PatientSummary

FINESS: Final = "https://finess.esante.gouv.fr"
INS_SYSTEMS: Final = frozenset(f"urn:oid:1.2.250.1.213.1.4.{arc}" for arc in (8, 9, 10, 11))
"""INS-NIR, INS-NIA, and their test and demonstration twins: they leave only once qualified."""

_IDENTIFIER_TYPES: Final = "http://terminology.hl7.org/CodeSystem/v2-0203"
_CONDITION_CATEGORY: Final = "http://terminology.hl7.org/CodeSystem/condition-category"
_FREQUENCY: Final = re.compile(r"(\d{1,4}) x / (\d{1,6}(?:\.\d+)?) (s|min|h|d|wk|mo|a)")

Name = Callable[[UUID], str]
"""How a resource refers to another of the same answer: ``urn:uuid:…`` in a document."""


def in_document(identity: UUID) -> str:
    """The name of a resource inside a document."""
    return f"urn:uuid:{identity}"


def line_resource(line: Line, subject: str) -> JsonObject | None:
    """The resource of a line about ``subject``; ``None`` for lines that have none (documents)."""
    payload_type, build = _BUILDERS.get(line.topic, (None, None))
    if payload_type is None or build is None:
        return None
    content: JsonObject | None = build(line, msgspec.convert(line.detail, payload_type), subject)
    return content


def patient(summary: PatientSummary, centre: CentreEntry | None, name: Name | None) -> JsonObject:
    """The Patient; ``centre`` is the declared médecin traitant's, where it is a centre.

    ``name`` gives the reference to the centre's Organization where the answer holds it; without
    it the centre is named by its FINESS number.
    """
    identity = summary.identity or Registered()
    content = _resource("Patient", summary.patient, summary.version, summary.recorded_at)
    content["identifier"] = [*_identifiers(identity), _local_identifier(summary.patient)]
    content["active"] = True
    content["name"] = _names(identity)
    if identity.sex is not None:
        content["gender"] = identity.sex
    if identity.birth_date and re.fullmatch(r"\d{4}(-\d\d(-\d\d)?)?", identity.birth_date):
        content["birthDate"] = identity.birth_date
    else:
        content["_birthDate"] = codes.absent()
    declared = summary.medecin_traitant
    if declared is not None and declared.detail.get("kind") == "person":
        content["generalPractitioner"] = [
            {"type": "Practitioner", "display": declared.detail.get("name") or declared.text}
        ]
    elif declared is not None and centre is not None:
        content["generalPractitioner"] = [centre_reference(centre, name)]
    return content


def organization(centre: CentreEntry) -> JsonObject:
    """The Organization of a health centre."""
    content: JsonObject = {
        "resourceType": "Organization",
        "id": str(centre.centre),
        "identifier": [_finess(centre)],
        "active": True,
        "name": centre.name,
    }
    if centre.address:
        content["address"] = [{"text": centre.address}]
    return content


def centre_reference(centre: CentreEntry, name: Name | None) -> JsonObject:
    """A reference to a centre: literal where the answer holds it, else by FINESS."""
    if name is not None:
        return {"reference": name(centre.centre), "display": centre.name}
    return {"type": "Organization", "identifier": _finess(centre), "display": centre.name}


def instant(moment: datetime | None) -> str:
    """A FHIR instant in UTC; of an empty record, the first second of 1970."""
    shown = (moment or datetime.fromtimestamp(0, UTC)).astimezone(UTC)
    return shown.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _finess(centre: CentreEntry) -> JsonObject:
    return {"system": FINESS, "value": centre.finess}


def _identifiers(identity: Registered) -> list[JsonObject]:
    qualified = identity.identity_status == "qualifiee"
    sent = [one for one in identity.identifiers if qualified or one.system not in INS_SYSTEMS]
    return [_identifier(one) for one in sent]


def _identifier(identifier: Identifier) -> JsonObject:
    use = identifier.use
    known = use in r4b.elements_of("Identifier")["use"].codes
    content: JsonObject = {"use": use} if known else {}
    return content | {"system": identifier.system, "value": identifier.value}


def _local_identifier(patient_id: UUID) -> JsonObject:
    return {
        "use": "usual",
        "type": {"coding": [{"system": _IDENTIFIER_TYPES, "code": "PI"}]},
        "system": codes.ANY_URI,
        "value": f"urn:uuid:{patient_id}",
    }


def _names(identity: Registered) -> list[JsonObject]:
    official: JsonObject = {"use": "official"}
    if identity.birth_name:
        official["family"] = identity.birth_name
    if identity.first_names:
        official["given"] = list(identity.first_names)
    if len(official) == 1:
        official["_text"] = codes.absent()
    names = [official]
    if identity.used_name or identity.used_first_name:
        given = identity.used_first_name or next(iter(identity.first_names), None)
        family = identity.used_name or identity.birth_name
        usual: JsonObject = {"use": "usual"}
        usual |= {"family": family} if family else {}
        usual |= {"given": [given]} if given else {}
        names.append(usual)
    return names


def _resource(
    kind: str, identity: UUID, version: int | None, recorded_at: datetime | None
) -> JsonObject:
    meta: JsonObject = {} if version is None else {"versionId": str(version)}
    meta["lastUpdated"] = instant(recorded_at)
    return {"resourceType": kind, "id": str(identity), "meta": meta}


def _line(kind: str, line: Line) -> JsonObject:
    """What every resource of a line starts with: id, recorded time, the source's own name."""
    content = _resource(kind, line.entry_id, None, line.recorded_at)
    named = (line.source.source_id if line.source else None) or ""
    system, bar, value = named.partition("|")
    if bar and value:
        content["identifier"] = [{"system": system, "value": value} if system else {"value": value}]
    else:
        address = named if re.match(r"(urn|https?):\S+$", named) else f"urn:uuid:{line.entry_id}"
        content["identifier"] = [{"system": codes.ANY_URI, "value": address}]
    return content


def _problem(line: Line, problem: ProblemRecorded, subject: str) -> JsonObject:
    content = _line("Condition", line)
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
    return content | _recorded(line, problem.recorded, "recordedDate", "recorder")


def _allergy(line: Line, allergy: AllergyRecorded, subject: str) -> JsonObject:
    content = _line("AllergyIntolerance", line)
    in_error = _verified(line, allergy.verification) == "entered-in-error"
    _put_status(content, "clinicalStatus", allergy.clinical_status, codes.ALLERGY_CLINICAL, line)
    if "clinicalStatus" not in content and not in_error:
        content["clinicalStatus"] = codes.absent()  # ait-1: it may be absent only for an error
    _put_status(
        content, "verificationStatus", _verified(line, allergy.verification),
        codes.ALLERGY_VERIFICATION, line,
    )  # fmt: skip
    _put_code(content, "type", allergy.kind)
    known = r4b.elements_of("AllergyIntolerance")["category"].codes
    if categories := [one for one in allergy.categories if one in known]:
        content["category"] = categories
    _put_code(content, "criticality", allergy.criticality)
    content["code"] = codes.codeable(allergy.substance)
    content["patient"] = {"reference": subject}
    if allergy.onset:
        content |= moments.elements(allergy.onset, "onset")
    content |= _recorded(line, allergy.recorded, "recordedDate", "recorder")
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
    content |= _recorded(line, treatment.recorded, "dateAsserted", "informationSource")
    if dosage := _dosage(treatment):
        content["dosage"] = [dosage]
    return content


def _request(line: Line, treatment: MedicationStarted, subject: str) -> JsonObject:
    content = _treatment("MedicationRequest", line, treatment, subject)
    known = r4b.elements_of("MedicationRequest")["intent"].codes
    content["intent"] = treatment.intent if treatment.intent in known else "order"
    if treatment.status_reason:
        content["statusReason"] = {"text": treatment.status_reason}
    content |= _recorded(line, treatment.recorded, "authoredOn", "requester")
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
    content = _line(kind, line)
    known = r4b.elements_of(kind)["status"].codes
    status = "entered-in-error" if line.state == "in-error" else treatment.status
    content["status"] = status if status in known else "unknown"
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


def _observation(line: Line, observation: ObservationRecorded, subject: str) -> JsonObject:
    content = _line("Observation", line)
    known = r4b.elements_of("Observation")["status"].codes
    status = "entered-in-error" if line.state == "in-error" else observation.status
    content["status"] = status if status in known else "unknown"
    if observation.category and re.fullmatch(r"[a-z-]+", observation.category):
        coding = {"system": codes.OBSERVATION_CATEGORY, "code": observation.category}
        content["category"] = [{"coding": [coding]}]
    elif observation.category:
        content["category"] = [codes.token_element(observation.category)]
    elif line.slot == "vital-signs":
        coding = {"system": codes.OBSERVATION_CATEGORY, "code": "vital-signs"}
        content["category"] = [{"coding": [coding]}]
    content["code"] = codes.codeable(observation.code)
    content["subject"] = {"reference": subject}
    if moment := _moment(line.as_of):
        content["effectiveDateTime"] = moment
    content["performer"] = [{"display": line.source_author}]
    if observation.value is not None:
        content["valueQuantity"] = codes.quantity_element(observation.value)
    if observation.interpretation:
        content["interpretation"] = [codes.token_element(observation.interpretation)]
    if observation.method:
        content["method"] = {"text": observation.method}
    if observation.components:
        content["component"] = [
            {
                "code": codes.codeable(one.code),
                "valueQuantity": codes.quantity_element(one.value),
            }
            for one in observation.components
        ]
    return content


_BUILDERS: Final[Mapping[str, tuple[Any, Callable[[Line, Any, str], JsonObject | None]]]] = {
    ProblemRecorded.topic: (ProblemRecorded, _problem),
    AllergyRecorded.topic: (AllergyRecorded, _allergy),
    AbsenceAsserted.topic: (AbsenceAsserted, _absence),
    MedicationStarted.topic: (MedicationStarted, _medication),
    ObservationRecorded.topic: (ObservationRecorded, _observation),
}


def _verified(line: Line, verification: str | None) -> str | None:
    return "entered-in-error" if line.state == "in-error" else verification


def _put_status(content: JsonObject, key: str, status: str | None, system: str, line: Line) -> None:
    """Put a status where R4 wants it: as a code of its list, else as the source's word."""
    if status is None or (key == "clinicalStatus" and _in_error(line)):
        return
    known = status in codes.STATUS_CODES[system]
    content[key] = codes.status_element(status, system) if known else {"text": status}


def _in_error(line: Line) -> bool:
    return line.state == "in-error" or line.verification == "entered-in-error"


def _put_code(content: JsonObject, key: str, code: str | None) -> None:
    """Put a code that R4's list has; another one has no place."""
    if code in r4b.elements_of(content["resourceType"])[key].codes:
        content[key] = code


def _recorded(line: Line, recorded: str | None, key: str, by: str) -> JsonObject:
    """When and by whom a line was recorded: the source's word for an import, else ours."""
    content: JsonObject = {}
    moment = recorded or (None if line.source else _moment(line.recorded_at.isoformat()))
    if moment and moments.is_datetime(moment):
        content[key] = moment
    author = line.source.author if line.source else line.author
    if author:
        content[by] = {"display": author}
    return content


def _moment(text: str) -> str | None:
    """``text`` as a FHIR dateTime; ``None`` when it is no date."""
    if moments.is_datetime(text):
        return text
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        return None
    return parsed.isoformat() if parsed.tzinfo else None
