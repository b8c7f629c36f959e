"""From one FHIR resource to what the record keeps of it: payload, dates, words left over.

A resource that validated becomes a line, a family's history one a condition. Status, verification
and dates stay as the source wrote them; what the record has no place for is listed
(:mod:`releve.fhir.resource_reading`). Results and the other slots have readers of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Literal, NamedTuple, cast

from releve.domain.aggregates.patient.allergies import AllergyRecorded, absence_of
from releve.domain.aggregates.patient.medications import MedicationStarted
from releve.domain.aggregates.patient.problems import ProblemRecorded
from releve.domain.values import Concept, Quantity, Reaction
from releve.fhir import codes, moments, r4b, reading_history, reading_results
from releve.fhir.bundle import BundleIndex, Entry
from releve.fhir.exact_json import JsonObject, number_text
from releve.fhir.resource_reading import (
    UNNAMED,
    Reading,
    author_of,
    first_moment,
    forms,
    named,
    status_in,
    take_absence,
    token,
    unread,
)

MEDICATION_LINES: Final = (
    "MedicationStatement",
    "MedicationRequest",
    "MedicationAdministration",
    "MedicationDispense",
)
Statement = Literal[
    "MedicationStatement", "MedicationRequest", "MedicationAdministration", "MedicationDispense"
]


def read(index: BundleIndex, entry: Entry) -> Reading:
    """What the record keeps of ``entry``, a resource that validated (see :mod:`releve.fhir.r4b`).

    A type that has no event yet gives a reading without payload that lists the resource itself.
    """
    reading = Reading(entry)
    reader = _READERS.get(entry.type, unread)
    if entry.type == "Device" and entry.resource.get("patient"):
        reader = reading_history.read_device
    reader(index, entry.resource, reading)
    return reading


def _condition(index: BundleIndex, content: JsonObject, reading: Reading) -> None:
    concept = named(content.get("code"), reading)
    clinical = status_in(content, "clinicalStatus", codes.CONDITION_CLINICAL, reading)
    verification = status_in(content, "verificationStatus", codes.CONDITION_VERIFICATION, reading)
    onset, recorded = moments.text_of(content, "onset"), content.get("recordedDate")
    reading.author = author_of(index, content, reading.entry, "asserter", "recorder")
    reading.occurred_at = first_moment(onset, recorded)
    if take_absence(concept, recorded, clinical, verification, reading):
        return
    reading.payload = ProblemRecorded(
        concept=concept,
        clinical_status=clinical,
        verification=verification,
        onset=onset,
        abatement=moments.text_of(content, "abatement"),
        recorded=recorded,
        category=token(content, "category", reading),
        severity=token(content, "severity", reading),
        laterality=token(content, "bodySite", reading),
    )
    taken = {"clinicalStatus", "verificationStatus", "code", "recordedDate"}
    taken |= {"category", "severity", "bodySite"} | forms(content, "onset", "abatement")
    reading.leave(content, taken)


def _allergy(index: BundleIndex, content: JsonObject, reading: Reading) -> None:
    concept = named(content.get("code"), reading)
    clinical = status_in(content, "clinicalStatus", codes.ALLERGY_CLINICAL, reading)
    verification = status_in(content, "verificationStatus", codes.ALLERGY_VERIFICATION, reading)
    onset, recorded = moments.text_of(content, "onset"), content.get("recordedDate")
    reading.author = author_of(index, content, reading.entry, "asserter", "recorder")
    reading.occurred_at = first_moment(onset, recorded)
    if take_absence(concept, recorded, clinical, verification, reading):
        return
    reading.payload = AllergyRecorded(
        substance=concept,
        clinical_status=clinical,
        verification=verification,
        kind=content.get("type"),
        categories=tuple(one for one in content.get("category", ()) if one),
        criticality=content.get("criticality"),
        onset=onset,
        recorded=recorded,
        reactions=tuple(
            _reaction(one, f"{reading.entry.path}.reaction[{number}]", reading)
            for number, one in enumerate(content.get("reaction", ()))
        ),
    )
    taken = {"clinicalStatus", "verificationStatus", "code", "recordedDate", "type", "category"}
    taken |= {"criticality", "reaction"} | forms(content, "onset")
    reading.leave(content, taken)


def _reaction(content: JsonObject, path: str, reading: Reading) -> Reaction:
    taken = ("manifestation", "substance", "severity", "onset", "description")
    reading.leave(content, taken, of="AllergyIntoleranceReaction", path=path)
    return Reaction(
        manifestations=tuple(codes.concept_of(one) for one in content.get("manifestation", ())),
        substance=codes.optional_concept(content.get("substance")),
        severity=content.get("severity"),
        onset=content.get("onset"),
        description=content.get("description"),
    )


def _medication_line(index: BundleIndex, content: JsonObject, reading: Reading) -> None:
    kind = reading.entry.type
    if content.get("doNotPerform") is True:
        reading.warn(
            reading.entry.path, "prescription négative : elle n'est pas reprise", "negated"
        )
        unread(index, content, reading)
        return
    if content.get("intent") in ("proposal", "plan", "option"):
        where = f"{reading.entry.path}.intent"
        reading.warn(where, "proposition, qui n'est pas encore une prescription", "intent")
    concept = _medication(index, content, reading)
    start, end, recorded, taken = _TREATMENT_DATES[kind](content)
    reading.author = author_of(
        index, content, reading.entry, "informationSource", "requester", "recorder"
    )
    reading.occurred_at = first_moment(start, recorded)
    scope = absence_of(concept)
    if scope is not None and scope.slot == "medications":
        asked = recorded or first_moment(start)
        take_absence(concept, asked, content.get("status"), None, reading)
        return
    dosage, key = _dosage(content)
    taken_so = _posology(content, kind)
    reading.payload = MedicationStarted(
        concept=concept,
        statement=cast(Statement, kind),
        status=content.get("status", "unknown"),
        status_reason=_status_reason(content, reading),
        intent=content.get("intent"),
        start=start,
        end=end,
        recorded=recorded,
        dose_text=taken_so.text,
        dose=taken_so.dose,
        route=codes.optional_concept(dosage.get("route")),
        frequency=taken_so.frequency,
        indication=_indication(content, reading),
    )
    _leave_dosage(dosage, key, content, reading)
    taken |= {
        "status",
        "statusReason",
        "statusReasonCodeableConcept",
        "intent",
        "reasonCode",
        "medicationCodeableConcept",
        "doNotPerform",
        key,
    }
    reading.leave(content, taken)


def _statement_dates(content: JsonObject) -> tuple[str | None, str | None, str | None, set[str]]:
    asserted = content.get("dateAsserted")
    taken = {"dateAsserted"} | forms(content, "effective")
    if (period := content.get("effectivePeriod")) is not None:
        return period.get("start"), period.get("end"), asserted, taken
    moment = content.get("effectiveDateTime")
    return (f"{moment}/{moment}" if moment else None), None, asserted, taken


def _request_dates(content: JsonObject) -> tuple[str | None, str | None, str | None, set[str]]:
    authored = content.get("authoredOn")
    dosage, _ = _dosage(content)
    bounds = dosage.get("timing", {}).get("repeat", {}).get("boundsPeriod", {})
    return bounds.get("start", authored), bounds.get("end"), authored, {"authoredOn"}


def _dispense_dates(content: JsonObject) -> tuple[str | None, str | None, str | None, set[str]]:
    prepared = content.get("whenPrepared")
    return (
        content.get("whenHandedOver", prepared),
        None,
        prepared,
        {"whenHandedOver", "whenPrepared"},
    )


_TREATMENT_DATES: Final[
    Mapping[str, Callable[[JsonObject], tuple[str | None, str | None, str | None, set[str]]]]
] = {
    "MedicationStatement": _statement_dates,
    "MedicationAdministration": _statement_dates,
    "MedicationRequest": _request_dates,
    "MedicationDispense": _dispense_dates,
}


def _medication(index: BundleIndex, content: JsonObject, reading: Reading) -> Concept:
    if "medicationCodeableConcept" in content:
        return named(content["medicationCodeableConcept"], reading)
    reference = content.get("medicationReference", {})
    literal = reference.get("reference", "")
    target = index.resolve(literal, reading.entry) if literal else None
    inside = index.contained(literal, reading.entry) if literal.startswith("#") else None
    medication = target.resource if target is not None else inside
    path = f"{reading.entry.path}.medication"
    if target is not None:
        reading.taken_over.append(target)
        path = target.path
    if medication is None:
        if not reference.get("display"):
            reading.warn(path, "le médicament désigné n'est pas dans le fichier", "reference")
        return Concept(text=reference.get("display") or UNNAMED)
    taken = {"code", "status"}
    reading.leave(medication, taken, of="Medication", path=path)
    made = codes.concept_of(medication.get("code"), fallback=_ingredients(medication))
    if made.text:
        return made
    reading.warn(path, "médicament sans code ni libellé", "no-code")
    return Concept(text=reference.get("display") or UNNAMED)


def _ingredients(medication: JsonObject) -> str:
    named = (
        codes.concept_of(one.get("itemCodeableConcept")).text
        for one in medication.get("ingredient", ())
    )
    return " + ".join(one for one in named if one)


def _dosage(content: JsonObject) -> tuple[JsonObject, str]:
    dosages, key = _dosages(content)
    return (dosages[0] if dosages else {}), key


def _dosages(content: JsonObject) -> tuple[list[JsonObject], str]:
    for key in ("dosage", "dosageInstruction"):
        given = content.get(key)
        if isinstance(given, list):
            return given, key
        if isinstance(given, dict):
            return [given], key
    return [], "dosage"


class _Posology(NamedTuple):
    """How a treatment is taken, in words where figures would say a part of it alone."""

    text: str | None = None
    dose: Quantity | None = None
    frequency: str | None = None


def _posology(content: JsonObject, kind: str) -> _Posology:
    """The one dosage of a treatment; of several all in words, for the first alone would mislead."""
    dosages, _ = _dosages(content)
    told = [_one_posology(dosage, kind) for dosage in dosages]
    if len(told) < 2:
        return told[0] if told else _Posology()
    return _Posology(text=" ; ".join(_in_words(one) for one in told))


def _one_posology(dosage: JsonObject, kind: str) -> _Posology:
    text, dose = dosage.get("text"), _dose(dosage, kind)
    timing = dosage.get("timing", {})
    frequency = _frequency(timing)
    if text:
        return _Posology(text, dose, frequency)
    if frequency is None and set(timing.get("repeat", {})) - _BOUNDS | set(timing) - {"repeat"}:
        frequency = UNREAD_RHYTHM
    needed = dosage.get("asNeededCodeableConcept")
    if dosage.get("asNeededBoolean") is True or needed:
        why = codes.concept_of(needed).text
        said = f"si besoin ({why})" if why else "si besoin"
        frequency = f"{frequency}, {said}" if frequency else said
    return _Posology(None, dose, frequency)


def _in_words(posology: _Posology) -> str:
    dose = posology.dose
    amount = dose and " ".join(part for part in (dose.value, dose.unit or dose.code) if part)
    said = [part for part in (posology.text or amount, posology.frequency) if part]
    return ", ".join(said) or UNREAD_RHYTHM


UNREAD_RHYTHM: Final = "rythme à lire dans l'original"
"""Where a timing says more than a number of times in a period: on Mondays, before meals."""
_BOUNDS: Final = frozenset({"boundsPeriod", "boundsDuration", "boundsRange"})


def _dose(dosage: JsonObject, kind: str) -> Quantity | None:
    if kind == "MedicationAdministration":
        return codes.quantity_of(dosage.get("dose"))
    rates = dosage.get("doseAndRate", [{}])
    return codes.quantity_of(rates[0].get("doseQuantity")) if rates else None


def _leave_dosage(dosage: JsonObject, key: str, content: JsonObject, reading: Reading) -> None:
    path = f"{reading.entry.path}.{key}"
    if isinstance(content.get(key), list):
        reading.leave_rest(key, at=content)
        path += "[0]"
    taken = {"text", "route", "doseAndRate", "dose", "sequence"}
    if _frequency(dosage.get("timing", {})):
        taken.add("timing")
    of = r4b.elements_of(reading.entry.type)[key].datatype if key in content else "Dosage"
    reading.leave(dosage, taken, of=of, path=path)
    for number, rate in enumerate(dosage.get("doseAndRate", ())):
        used = (
            {"doseQuantity"}
            if number == 0 and codes.quantity_of(rate.get("doseQuantity"))
            else set()
        )
        where = f"{path}.doseAndRate[{number}]"
        reading.leave(rate, used | {"type"}, of="DosageDoseAndRate", path=where)


def _frequency(timing: JsonObject) -> str | None:
    """``2 x / 1 d`` for what repeats, the words of the timing's code, or nothing."""
    code = timing.get("code")
    if code and (words := codes.concept_of(code).text):
        return words
    repeat: JsonObject = timing.get("repeat", {})
    if (
        set(repeat) - {"frequency", "period", "periodUnit", "boundsPeriod"}
        or "period" not in repeat
    ):
        return None
    times = repeat.get("frequency", 1)
    return f"{times} x / {number_text(repeat['period'])} {repeat.get('periodUnit', '')}".strip()


def _status_reason(content: JsonObject, reading: Reading) -> str | None:
    given = content.get("statusReason", content.get("statusReasonCodeableConcept"))
    if isinstance(given, list):
        reading.leave_rest("statusReason", at=content)
        given = given[0] if given else None
    return codes.concept_of(given).text or None


def _indication(content: JsonObject, reading: Reading) -> str | None:
    reasons = content.get("reasonCode", ())
    if reasons:
        reading.leave_rest("reasonCode", at=content)
    return codes.concept_of(reasons[0]).text or None if reasons else None


_READERS: Final[Mapping[str, Callable[[BundleIndex, JsonObject, Reading], None]]] = {
    "Condition": _condition,
    "AllergyIntolerance": _allergy,
    "Observation": reading_results.read_observation,
    "DiagnosticReport": reading_results.read_report,
    "Immunization": reading_history.read_immunization,
    "Procedure": reading_history.read_procedure,
    "DeviceUseStatement": reading_history.read_device_use,
    "FamilyMemberHistory": reading_history.read_family_member,
    **dict.fromkeys(MEDICATION_LINES, _medication_line),
}
