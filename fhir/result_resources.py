"""Measures and results on their way out: Observation, and DiagnosticReport with its lines.

A partial result is never final and what was phoned stays preliminary with a note that says so; a
line never says more than its report does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID, uuid5

import msgspec

from releve.domain.aggregates.patient.observations import ObservationRecorded
from releve.domain.aggregates.patient.results import ResultReceived
from releve.domain.values import ResultLine
from releve.fhir import codes, narrative
from releve.fhir.exact_json import JsonObject
from releve.fhir.resource_writing import (
    in_document,
    line_start,
    moment_of,
    provenance_words,
    reference,
    status_of,
)
from releve.projections.summary_courses import Result
from releve.projections.summary_lines import Line

REPORT_STATUSES: Final[Mapping[str, str]] = {
    "partial": "preliminary",
    "phoned": "preliminary",
    "final": "final",
    "corrected": "corrected",
}
"""What R4 calls the four statuses of a result."""

_INTERPRETATIONS: Final = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
_UNFINISHED: Final = frozenset({"registered", "preliminary", "partial", "unknown"})
_INTERPRETED: Final = re.compile(r"[A-Z<>+-]{1,4}")
_SECTIONS: Final = "http://terminology.hl7.org/CodeSystem/v2-0074"


def observation(line: Line, measure: ObservationRecorded, subject: str) -> JsonObject:
    """The Observation of a measure."""
    content = line_start("Observation", line)
    content["status"] = status_of(line, "Observation", measure.status)
    if measure.category and re.fullmatch(r"[a-z-]+", measure.category):
        content["category"] = [_category(measure.category)]
    elif measure.category:
        content["category"] = [codes.token_element(measure.category)]
    elif line.slot == "vital-signs":
        content["category"] = [_category("vital-signs")]
    content["code"] = codes.codeable(measure.code)
    content["subject"] = {"reference": subject}
    if moment := moment_of(line.as_of):
        content["effectiveDateTime"] = moment
    content["performer"] = [{"display": line.source_author}]
    if measure.value is not None:
        content["valueQuantity"] = codes.quantity_element(measure.value)
    if measure.interpretation:
        content["interpretation"] = [codes.token_element(measure.interpretation)]
    if measure.method:
        content["method"] = {"text": measure.method}
    if measure.components:
        content["component"] = [
            {
                "code": codes.codeable(one.code),
                "valueQuantity": codes.quantity_element(one.value),
            }
            for one in measure.components
        ]
    return content


def report(
    result: Result,
    version: Line,
    values: Sequence[Line],
    subject: str,
    ordered: UUID | None = None,
) -> list[JsonObject]:
    """The DiagnosticReport of a version of a result, then one Observation a line.

    ``values`` are its lines that the summary still holds, for a version that was kept without
    them; ``ordered`` is the order's own resource, where the answer holds one.
    """
    payload = msgspec.convert(version.detail, ResultReceived)
    accepted = result.validation != "to-validate"
    numbered = list(enumerate(payload.lines)) or [
        (one.ordinal or 0, msgspec.convert(one.detail, ResultLine))
        for one in sorted(values, key=lambda one: one.ordinal or 0)
    ]
    lines = [
        _line(_Place(version, number, payload, accepted), one, subject) for number, one in numbered
    ]
    content = line_start("DiagnosticReport", version)
    if accepted:
        content["meta"].pop("tag", None)
    if payload.report and payload.report not in [one["value"] for one in content["identifier"]]:
        content["identifier"] = [{"value": payload.report}]
    source = "" if accepted else provenance_words(version)
    if said := " ; ".join(part for part in (_phoned(payload), source) if part):
        div = narrative.paragraphs([payload.title or result.title, said])
        content["text"] = {"status": "generated", "div": div}
    if ordered is not None:
        content["basedOn"] = [reference(in_document(ordered))]
    content["status"] = _status(version, payload, "DiagnosticReport")
    if lines:
        content["category"] = [{"coding": [{"system": _SECTIONS, "code": "LAB"}]}]
    content["code"] = {"text": payload.title or result.title}
    content["subject"] = {"reference": subject}
    if moment := _taken_at(version, payload):
        content["effectiveDateTime"] = moment
    content["performer"] = [{"display": payload.laboratory or version.source_author}]
    if result.review is not None and result.review.target == version.entry_id:
        content["resultsInterpreter"] = [{"display": result.review.author}]
    if lines:
        content["result"] = [reference(f"urn:uuid:{one['id']}") for one in lines]
    if payload.conclusion:
        content["conclusion"] = payload.conclusion
    return [content, *lines]


def lone_value(line: Line, subject: str) -> JsonObject:
    """The Observation of a line whose report the summary no longer holds: it was settled."""
    accepted = line.validation != "to-validate"
    place = _Place(line, line.ordinal or 0, ResultReceived(status="final"), accepted)
    return _line(place, msgspec.convert(line.detail, ResultLine), subject)


class _Place(NamedTuple):
    """Where a value stands: its version, its number there, the report, whether it was accepted."""

    version: Line
    number: int
    report: ResultReceived
    accepted: bool


def _status(version: Line, payload: ResultReceived, kind: str) -> str:
    return status_of(version, kind, REPORT_STATUSES.get(payload.status))


def _taken_at(version: Line, payload: ResultReceived) -> str | None:
    return moment_of(payload.sampled_at) or moment_of(version.as_of)


def _line(place: _Place, one: ResultLine, subject: str) -> JsonObject:
    version, payload = place.version, place.report
    content = line_start("Observation", version, uuid5(version.entry_id, f"line/{place.number}"))
    if place.accepted:
        content["meta"].pop("tag", None)
    status = _status(version, payload, "Observation")
    content["status"] = "preliminary" if one.status in _UNFINISHED else status
    content["category"] = [_category("laboratory")]
    content["code"] = codes.codeable(one.code)
    content["subject"] = {"reference": subject}
    if moment := _taken_at(version, payload):
        content["effectiveDateTime"] = moment
    content["performer"] = [{"display": payload.laboratory or version.source_author}]
    content |= _value(one)
    if one.interpretation:
        content["interpretation"] = [_interpretation(one.interpretation)]
    if note := _phoned(payload):
        content["note"] = [{"text": note}]
    if one.method:
        content["method"] = {"text": one.method}
    if one.reference_range:
        content["referenceRange"] = [{"text": one.reference_range}]
    return content


def _value(one: ResultLine) -> JsonObject:
    if one.value is None:
        return {"valueString": one.text} if one.text else {"dataAbsentReason": {"text": "absent"}}
    quantity = codes.quantity_element(one.value)
    if one.comparator is not None and "value" in quantity:
        quantity = {"value": quantity.pop("value"), "comparator": one.comparator, **quantity}
    return {"valueQuantity": quantity}


def _interpretation(code: str) -> JsonObject:
    if _INTERPRETED.fullmatch(code):
        return {"coding": [{"system": _INTERPRETATIONS, "code": code}]}
    return {"text": code}


def _phoned(payload: ResultReceived) -> str:
    if payload.status != "phoned":
        return ""
    caller = f" par {payload.caller}" if payload.caller else ""
    heard = ", relu à l'appelant" if payload.read_back else ""
    return f"Résultat téléphoné{caller}{heard} ; le compte rendu écrit n'est pas arrivé"


def _category(code: str) -> JsonObject:
    coding: dict[str, Any] = {"system": codes.OBSERVATION_CATEGORY, "code": code}
    return {"coding": [coding]}
