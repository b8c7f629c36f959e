"""From one FHIR resource to what the record keeps of it: payload, dates, words left over.

A resource that validated becomes at most one line. Status, verification and dates stay as the
source wrote them; an element that the record has no place for is listed with its FHIRPath and
datatype, never dropped in silence. Nothing here checks medicine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, cast

from releve.domain.aggregates.patient.allergies import (
    AbsenceAsserted,
    AllergyRecorded,
    absence_of,
)
from releve.domain.aggregates.patient.medications import MedicationStarted
from releve.domain.aggregates.patient.observations import ObservationRecorded
from releve.domain.aggregates.patient.problems import ProblemRecorded
from releve.domain.events import Payload
from releve.domain.values import Component, Concept, Quantity, Reaction, Unmapped
from releve.fhir import codes, known_absence, moments, narrative, r4b
from releve.fhir.bundle import BundleIndex, Entry
from releve.fhir.exact_json import JsonObject, number_text

MEDICATION_LINES: Final = (
    "MedicationStatement",
    "MedicationRequest",
    "MedicationAdministration",
    "MedicationDispense",
)
_UNNAMED: Final = "(sans libellé dans la source)"
# Elements that carry no clinical content of their own, or are kept by other means.
_PASSED: Final = frozenset(
    {"resourceType", "id", "meta", "implicitRules", "language", "text", "identifier", "contained"}
)

Statement = Literal[
    "MedicationStatement", "MedicationRequest", "MedicationAdministration", "MedicationDispense"
]


@dataclass(slots=True)
class Reading:
    """What came of one resource; ``payload`` is ``None`` when the record has no event for it."""

    entry: Entry
    payload: Payload | None = None
    occurred_at: str | None = None
    author: str | None = None
    unmapped: list[Unmapped] = field(default_factory=list)
    warnings: list[r4b.Issue] = field(default_factory=list)
    medications: list[Entry] = field(default_factory=list)
    """Medication resources whose content this line took over."""

    @property
    def source_id(self) -> str:
        """What the source calls the line: its first business identifier, else its address."""
        for one in self.entry.resource.get("identifier", ()):
            if one.get("value"):
                return f"{one.get('system', '')}|{one['value']}"
        return self.entry.name

    def warn(self, path: str, reason: str, rule: str) -> None:
        """Note something that whoever imports must know."""
        self.warnings.append(r4b.Issue(path, reason, "warning", rule))

    def leave(
        self, content: Mapping[str, Any], taken: Iterable[str], *, of: str = "", path: str = ""
    ) -> None:
        """List every element of ``content`` that is not ``taken``; references are not content."""
        known = r4b.elements_of(of or self.entry.type)
        place = path or self.entry.path
        taken = set(taken)
        for key, value in content.items():
            element = known.get(key)
            if key in taken or key in _PASSED or element is None or key.startswith("_"):
                continue
            if element.datatype == "Reference" and self.entry.type != "Patient":
                continue
            at = f"{place}.{element.name}"
            places = [f"{at}[{n}]" for n in range(len(value))] if element.many else [at]
            self.unmapped += [Unmapped(path=one, type=element.datatype) for one in places]

    def leave_rest(self, key: str, *, of: str = "", path: str = "", at: JsonObject) -> None:
        """List every item of a repeating element but the first, which was taken."""
        element = r4b.elements_of(of or self.entry.type)[key]
        for number in range(1, len(at.get(key, ()))):
            where = f"{path or self.entry.path}.{element.name}[{number}]"
            self.unmapped.append(Unmapped(path=where, type=element.datatype))


def read(index: BundleIndex, entry: Entry) -> Reading:
    """What the record keeps of ``entry``, a resource that validated (see :mod:`releve.fhir.r4b`).

    A type that has no event yet gives a reading without payload that lists the resource itself.
    """
    reading = Reading(entry)
    _READERS.get(entry.type, _unread)(index, entry.resource, reading)
    return reading


def _unread(_: BundleIndex, __: JsonObject, reading: Reading) -> None:
    reading.unmapped.append(Unmapped(path=reading.entry.path, type=reading.entry.type))


def _condition(index: BundleIndex, content: JsonObject, reading: Reading) -> None:
    concept = _named(content.get("code"), reading)
    clinical = _status(content, "clinicalStatus", codes.CONDITION_CLINICAL, reading)
    verification = _status(content, "verificationStatus", codes.CONDITION_VERIFICATION, reading)
    onset, recorded = moments.text_of(content, "onset"), content.get("recordedDate")
    reading.author = _author(index, content, reading.entry, "asserter", "recorder")
    reading.occurred_at = _first_moment(onset, recorded)
    if _absence(concept, recorded, clinical, verification, reading):
        return
    reading.payload = ProblemRecorded(
        concept=concept,
        clinical_status=clinical,
        verification=verification,
        onset=onset,
        abatement=moments.text_of(content, "abatement"),
        recorded=recorded,
        category=_token(content, "category", reading),
        severity=_token(content, "severity", reading),
        laterality=_token(content, "bodySite", reading),
    )
    taken = {"clinicalStatus", "verificationStatus", "code", "recordedDate"}
    taken |= {"category", "severity", "bodySite"} | _forms(content, "onset", "abatement")
    reading.leave(content, taken)


def _allergy(index: BundleIndex, content: JsonObject, reading: Reading) -> None:
    concept = _named(content.get("code"), reading)
    clinical = _status(content, "clinicalStatus", codes.ALLERGY_CLINICAL, reading)
    verification = _status(content, "verificationStatus", codes.ALLERGY_VERIFICATION, reading)
    onset, recorded = moments.text_of(content, "onset"), content.get("recordedDate")
    reading.author = _author(index, content, reading.entry, "asserter", "recorder")
    reading.occurred_at = _first_moment(onset, recorded)
    if _absence(concept, recorded, clinical, verification, reading):
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
    taken |= {"criticality", "reaction"} | _forms(content, "onset")
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
        _unread(index, content, reading)
        return
    if content.get("intent") in ("proposal", "plan", "option"):
        where = f"{reading.entry.path}.intent"
        reading.warn(where, "proposition, qui n'est pas encore une prescription", "intent")
    concept = _medication(index, content, reading)
    start, end, recorded, taken = _TREATMENT_DATES[kind](content)
    reading.author = _author(
        index, content, reading.entry, "informationSource", "requester", "recorder"
    )
    reading.occurred_at = _first_moment(start, recorded)
    scope = absence_of(concept)
    if scope is not None and scope.slot == "medications":
        asked = recorded or _first_moment(start)
        _absence(concept, asked, content.get("status"), None, reading)
        return
    dosage, key = _dosage(content)
    reading.payload = MedicationStarted(
        concept=concept,
        statement=cast(Statement, kind),
        status=content.get("status", "unknown"),
        status_reason=_status_reason(content, reading),
        intent=content.get("intent"),
        start=start,
        end=end,
        recorded=recorded,
        dose_text=dosage.get("text"),
        dose=_dose(dosage, kind),
        route=codes.optional_concept(dosage.get("route")),
        frequency=_frequency(dosage.get("timing", {})),
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
    taken = {"dateAsserted"} | _forms(content, "effective")
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
        return _named(content["medicationCodeableConcept"], reading)
    reference = content.get("medicationReference", {})
    literal = reference.get("reference", "")
    target = index.resolve(literal, reading.entry) if literal else None
    inside = index.contained(literal, reading.entry) if literal.startswith("#") else None
    medication = target.resource if target is not None else inside
    path = f"{reading.entry.path}.medication"
    if target is not None:
        reading.medications.append(target)
        path = target.path
    if medication is None:
        if not reference.get("display"):
            reading.warn(path, "le médicament désigné n'est pas dans le fichier", "reference")
        return Concept(text=reference.get("display") or _UNNAMED)
    taken = {"code", "status"}
    reading.leave(medication, taken, of="Medication", path=path)
    made = codes.concept_of(medication.get("code"), fallback=_ingredients(medication))
    if made.text:
        return made
    reading.warn(path, "médicament sans code ni libellé", "no-code")
    return Concept(text=reference.get("display") or _UNNAMED)


def _ingredients(medication: JsonObject) -> str:
    named = (
        codes.concept_of(one.get("itemCodeableConcept")).text
        for one in medication.get("ingredient", ())
    )
    return " + ".join(one for one in named if one)


def _dosage(content: JsonObject) -> tuple[JsonObject, str]:
    for key in ("dosage", "dosageInstruction"):
        given = content.get(key)
        if isinstance(given, list):
            return (given[0] if given else {}), key
        if isinstance(given, dict):
            return given, key
    return {}, "dosage"


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


def _observation(index: BundleIndex, content: JsonObject, reading: Reading) -> None:
    value = codes.quantity_of(content.get("valueQuantity"))
    if value is None and isinstance(content.get("valueInteger"), int):
        value = Quantity(value=number_text(content["valueInteger"]))
    parts: list[Component] = []
    for number, one in enumerate(content.get("component", ())):
        measured = codes.quantity_of(one.get("valueQuantity"))
        where = f"{reading.entry.path}.component[{number}]"
        if measured is None:
            reading.unmapped.append(Unmapped(path=where, type="ObservationComponent"))
            continue
        parts.append(
            Component(code=codes.concept_of(one.get("code"), fallback=_UNNAMED), value=measured)
        )
        reading.leave(one, {"code", "valueQuantity"}, of="ObservationComponent", path=where)
    if value is None and not parts:
        reading.unmapped.clear()
        _unread(index, content, reading)
        return
    effective = moments.text_of(content, "effective")
    reading.author = _author(index, content, reading.entry, "performer")
    reading.occurred_at = _first_moment(effective, content.get("issued"))
    category = _token(content, "category", reading)
    reading.payload = ObservationRecorded(
        code=_named(content.get("code"), reading),
        value=value,
        components=tuple(parts),
        status=content.get("status", "unknown"),
        category=_observation_category(content) or category,
        method=codes.concept_of(content.get("method")).text or None,
        interpretation=_token(content, "interpretation", reading),
    )
    taken = {"code", "component", "status", "category", "method", "interpretation", "issued"}
    taken |= {"effectiveDateTime", "effectiveInstant"}
    taken |= {"valueQuantity", "valueInteger"} if value is not None else set()
    reading.leave(content, taken)


def _observation_category(content: JsonObject) -> str | None:
    """The bare code of an HL7 category (``vital-signs``), which is what the record calls it."""
    for category in content.get("category", ())[:1]:
        for one in category.get("coding", ()):
            if one.get("system") == codes.OBSERVATION_CATEGORY and one.get("code"):
                return str(one["code"])
    return None


def _absence(
    concept: Concept,
    asked: str | None,
    clinical: str | None,
    verification: str | None,
    reading: Reading,
) -> bool:
    """Take a known-absence code for what it is; true when ``concept`` was one."""
    path = reading.entry.path
    if known_absence.says_unknown(concept.codings):
        reading.warn(path, "la source dit ne pas savoir : rien n'est noté", "no-information")
        return True
    scope = absence_of(concept)
    if scope is None:
        return False
    if verification in ("refuted", "entered-in-error") or clinical == "entered-in-error":
        reading.warn(path, "absence réfutée ou saisie par erreur : elle n'est pas notée", "absence")
        return True
    reading.payload = AbsenceAsserted(
        slot=scope.slot,
        part=scope.part,
        asked_on=asked,
        concept=concept,
        clinical_status=clinical,
        verification=verification,
    )
    return True


def _named(element: JsonObject | None, reading: Reading) -> Concept:
    """The concept of a coded element; without any word, the resource's narrative stands for it."""
    concept = codes.concept_of(element)
    if concept.text:
        return concept
    words = narrative.read(reading.entry.resource.get("text", {}).get("div", "")).text
    reading.warn(f"{reading.entry.path}.code", "ni code ni libellé", "no-code")
    return Concept(text=words[:160] or _UNNAMED, codings=concept.codings)


def _status(content: JsonObject, key: str, system: str, reading: Reading) -> str | None:
    status = codes.status_of(content.get(key), system)
    coded = bool(content.get(key, {}).get("coding"))
    if coded and status is not None and status not in codes.STATUS_CODES[system]:
        where = f"{reading.entry.path}.{key}"
        reading.warn(where, "statut hors de la liste que FHIR R4 impose", "required-code")
    return status


def _token(content: JsonObject, key: str, reading: Reading) -> str | None:
    given = content.get(key)
    if isinstance(given, list):
        reading.leave_rest(key, at=content)
        given = given[0] if given else None
    return codes.token_of(given)


def _forms(content: JsonObject, *stems: str) -> set[str]:
    """The keys that say one of these choice elements as a date."""
    suffixes = ("DateTime", "Period", "Age", "Range", "String")
    return {f"{stem}{suffix}" for stem in stems for suffix in suffixes} & set(content)


def _first_moment(*texts: str | None) -> str | None:
    """The first of these that is a date or starts with one."""
    for text in texts:
        start = (text or "").partition("/")[0]
        if moments.is_datetime(start):
            return start
    return None


def _author(index: BundleIndex, content: JsonObject, entry: Entry, *keys: str) -> str | None:
    """Who asserts it, as the source names them."""
    for key in keys:
        given = content.get(key)
        reference = given[0] if isinstance(given, list) and given else given
        if not isinstance(reference, dict):
            continue
        if display := reference.get("display"):
            return str(display)
        target = index.resolve(str(reference.get("reference", "")), entry)
        if target is not None and (name := display_name(target.resource)):
            return name
    return None


def display_name(content: JsonObject) -> str:
    """The name of a Practitioner, Organization or Patient, in one line; empty without one."""
    name = content.get("name", "")
    if isinstance(name, str):
        return name
    first = name[0] if isinstance(name, list) and name else {}
    given = [*first.get("prefix", ()), *first.get("given", ()), first.get("family")]
    return str(first.get("text") or " ".join(part for part in given if part))


_READERS: Final[Mapping[str, Callable[[BundleIndex, JsonObject, Reading], None]]] = {
    "Condition": _condition,
    "AllergyIntolerance": _allergy,
    "Observation": _observation,
    **dict.fromkeys(MEDICATION_LINES, _medication_line),
}
