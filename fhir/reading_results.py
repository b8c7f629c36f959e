"""Results on their way in: a report with its observations is one result with lines.

A DiagnosticReport speaks for the Observations that it names, and an Observation that only groups
others (``hasMember``) for its members: they become lines of one result, never measures beside it.
A laboratory's value that nothing speaks for is a result all the same, with those of its sample.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Literal, cast

import msgspec

from releve.domain.aggregates.patient.history import HistoryRecorded
from releve.domain.aggregates.patient.observations import ObservationRecorded, loincs_of
from releve.domain.aggregates.patient.results import ResultReceived
from releve.domain.values import (
    Component,
    Concept,
    HistorySlot,
    Quantity,
    ResultLine,
    ResultStatus,
    Unmapped,
)
from releve.fhir import codes, moments
from releve.fhir.bundle import BundleIndex, Entry
from releve.fhir.codes import LOINC
from releve.fhir.exact_json import JsonObject, number_text
from releve.fhir.lone_values import is_alarming, is_of_a_laboratory
from releve.fhir.resource_reading import (
    UNNAMED,
    Reading,
    author_of,
    first_moment,
    named,
    token,
    unread,
)

STATUSES: Final[Mapping[str, ResultStatus]] = {
    "registered": "partial",
    "partial": "partial",
    "preliminary": "partial",
    "unknown": "partial",
    "final": "final",
    "amended": "corrected",
    "corrected": "corrected",
    "appended": "corrected",
}
"""Statuses of R4 (diagnostic-report-status, observation-status) that leave something to read."""

_TAKEN_BACK: Final = frozenset({"entered-in-error", "cancelled"})
_RESULT_CATEGORIES: Final = frozenset({"laboratory", "imaging", "procedure"})
_HISTORY_CODES: Final[Mapping[str, HistorySlot]] = {
    "72166-2": "lifestyle",  # tobacco smoking status
    "74013-4": "lifestyle",  # alcoholic drinks a day
    "11331-6": "lifestyle",  # history of alcohol use
    "11367-0": "lifestyle",  # history of tobacco use
    "11343-1": "lifestyle",  # history of other nonmedical drug use
    "29762-2": "lifestyle",  # social history
    "11341-5": "occupation",  # history of occupation
    "85658-3": "occupation",  # occupation
    "87510-4": "occupation",  # date of retirement
    "10161-8": "occupation",  # occupational exposure
}
_VALUES: Final = (
    "valueQuantity", "valueCodeableConcept", "valueString", "valueBoolean", "valueInteger",
    "valueDateTime", "valueTime",
)  # fmt: skip
_COMPARATORS: Final = frozenset({"<", "<=", ">", ">="})
_CRITICAL: Final = frozenset({"HH", "LL", "AA"})
"""HL7 v3 ObservationInterpretation, as v2 table 0078 has it too: beyond panic limits."""
_SECTIONS: Final = "http://terminology.hl7.org/CodeSystem/v2-0074"
_TITLED: Final = 3
"""Analyses that the title of a sample names; the others are counted."""
_DEPTH: Final = 4
"""How deep groups of observations are followed: a report, a panel, a panel in it."""


def members(index: BundleIndex, holder: Entry) -> list[Entry]:
    """The Observations that a report or a group speaks for, in its order, groups included."""
    found: dict[int, Entry] = {}
    _collect(index, holder, found, _DEPTH)
    found.pop(holder.index, None)
    return list(found.values())


def speaks_for_others(entry: Entry) -> bool:
    """Whether this is a report or a group whose observations are its lines."""
    content = entry.resource
    if content.get("status") not in STATUSES:
        return False
    if entry.type == "DiagnosticReport":
        return bool(content.get("result"))
    grouping = entry.type == "Observation" and bool(content.get("hasMember"))
    return grouping and not _valued(content) and category_of(content) in _RESULT_CATEGORIES


def _collect(index: BundleIndex, holder: Entry, found: dict[int, Entry], depth: int) -> None:
    key = "result" if holder.type == "DiagnosticReport" else "hasMember"
    for one in holder.resource.get(key, ()) if depth else ():
        target = index.resolve(str(one.get("reference", "")), holder)
        if target is not None and target.type == "Observation" and target.index not in found:
            found[target.index] = target
            _collect(index, target, found, depth - 1)


def _valued(content: JsonObject) -> bool:
    return bool(content.get("component")) or any(content.get(key) is not None for key in _VALUES)


def read_report(index: BundleIndex, content: JsonObject, reading: Reading) -> None:
    """A DiagnosticReport: one result, its observations as lines."""
    status = STATUSES.get(content.get("status", ""))
    lines = _lines_of(index, reading) if status else []
    conclusion = str(content.get("conclusion") or "") or _coded_conclusion(content)
    if not (lines or conclusion) and _is_attached(content):
        conclusion = ATTACHED
    if status is None or not (lines or conclusion):
        _not_taken(index, content, reading)
        return
    if content.get("status") == "unknown":
        reading.warn(f"{reading.entry.path}.status", "statut inconnu : gardé partiel", "status")
    _take(index, content, reading, status, lines, conclusion, "performer", "resultsInterpreter")
    taken = {"status", "code", "conclusion", "issued", "effectiveDateTime", "effectivePeriod"}
    if conclusion and not content.get("conclusion") and conclusion != ATTACHED:
        taken.add("conclusionCode")
    reading.leave(content, taken | {"category"})


ATTACHED: Final = "Compte rendu joint à l'original, à y lire."
"""The conclusion of a report that says everything in the file it carries."""


def _coded_conclusion(content: JsonObject) -> str:
    told = (codes.concept_of(one).text for one in content.get("conclusionCode", ()))
    return " ; ".join(text for text in told if text)


def _is_attached(content: JsonObject) -> bool:
    """Whether a report carries its text as a file, and is a result: of a laboratory, of imaging.

    A category of another list is a note's (US Core), which nobody waits for.
    """
    if not content.get("presentedForm"):
        return False
    listed = [
        one.get("system")
        for category in content.get("category", ())
        for one in category.get("coding", ())
    ]
    return not listed or _SECTIONS in listed


def read_observation(index: BundleIndex, content: JsonObject, reading: Reading) -> None:
    """An Observation of its own: a measure, a result, or a line of the way of life."""
    value = codes.quantity_of(content.get("valueQuantity"))
    if value is None and isinstance(content.get("valueInteger"), int):
        value = Quantity(value=number_text(content["valueInteger"]))
    measured = [codes.quantity_of(one.get("valueQuantity")) for one in content.get("component", ())]
    if value is not None or any(measured):
        _measure(index, content, reading, value)
        return
    status = STATUSES.get(content.get("status", ""))
    slot = _history_slot(content)
    if status is not None and slot is not None and _valued(content):
        _history(index, content, reading, slot)
    elif status is not None and (
        speaks_for_others(reading.entry)
        or (_valued(content) and category_of(content) in _RESULT_CATEGORIES)
    ):
        lines = [*_own_lines(reading, reading.entry), *_lines_of(index, reading)]
        if not lines:
            _not_taken(index, content, reading)
            return
        _take(index, content, reading, status, lines, "", "performer")
        reading.leave(content, _LINE_ELEMENTS | {"category", "issued"})
    else:
        unread(index, content, reading)


def is_lone_value(content: JsonObject) -> bool:
    """Whether an Observation that nothing speaks for is a laboratory's value.

    Its category says so; where it has none, its LOINC code is of an analyte that the rules know.
    """
    if content.get("status") not in STATUSES or not _valued(content):
        return False
    categories = [
        (one.get("system"), one.get("code"))
        for category in content.get("category", ())
        for one in category.get("coding", ())
    ]
    if {(codes.OBSERVATION_CATEGORY, "laboratory"), (_SECTIONS, "LAB")} & set(categories):
        return True
    if any(system == codes.OBSERVATION_CATEGORY for system, _ in categories):
        return False
    measured = (content, *content.get("component", ()))
    return any(is_of_a_laboratory(loincs_of(codes.concept_of(one.get("code")))) for one in measured)


def is_news_in_a_summary(entry: Entry, written_at: str | None) -> bool:
    """Whether such a value of a summary is a result: alarming, or in words, as no measure is."""
    content = entry.resource
    given = [content, *content.get("component", ())]
    if not any(
        codes.quantity_of(one.get("valueQuantity")) or isinstance(one.get("valueInteger"), int)
        for one in given
    ):
        return True
    effective = moments.text_of(content, "effective")
    happened = first_moment(effective, content.get("issued"))
    return is_alarming(_own_lines(Reading(entry), entry), happened, written_at)


def samples(lone: Iterable[Entry]) -> dict[int, list[Entry]]:
    """Values of one moment, performer and specimen, by the place of the one that names them all.

    That is the one whose name in the source sorts first: in whatever order they come again, the
    result has the same name.
    """
    found: dict[tuple[str, ...], list[Entry]] = {}
    for entry in lone:
        content = entry.resource
        taken = moments.text_of(content, "effective") or content.get("issued") or ""
        key = (taken, _pointed(content.get("performer")), _pointed(content.get("specimen")))
        found.setdefault(key, []).append(entry)
    return {
        min(values, key=lambda each: Reading(each).source_id).index: values
        for values in found.values()
    }


def _pointed(references: list[JsonObject] | JsonObject | None) -> str:
    """What one or several references point at, as one string to compare."""
    listed = references if isinstance(references, list) else [references or {}]
    keys = ("reference", "display")
    parts = [str(one.get(key, "")) for one in listed for key in keys]
    parts += [str(one.get("identifier", {}).get("value", "")) for one in listed]
    return "\n".join(parts)


def read_sample(index: BundleIndex, entry: Entry, values: list[Entry]) -> Reading:
    """One result of the laboratory's ``values`` that no report speaks for; ``entry`` names it.

    It is as far as the least advanced of them, and a correction where one of them is.
    """
    reading = Reading(entry)
    stated: set[ResultStatus] = set()
    lines: list[ResultLine] = []
    for one in values:
        status = STATUSES[one.resource["status"]]
        stated.add(status)
        if one.resource["status"] == "unknown":
            reading.warn(f"{one.path}.status", "statut inconnu : gardé partiel", "status")
        if one.index != entry.index:
            reading.taken_over.append(one)
        lines += _own_lines(reading, one)
        taken = _LINE_ELEMENTS | {"category", "issued"}
        reading.leave(one.resource, taken, of="Observation", path=one.path)
    order: tuple[ResultStatus, ...] = ("partial", "corrected", "final")
    status = next(each for each in order if each in stated)
    _take(index, entry.resource, reading, status, lines, "", "performer")
    if isinstance(reading.payload, ResultReceived):
        # An Observation's own number is no report's: the resource's name tells its versions.
        reading.payload = msgspec.structs.replace(
            reading.payload, title=_title(values), report=None
        )
    return reading


def _title(values: list[Entry]) -> str:
    told = (codes.concept_of(one.resource.get("code"), fallback=UNNAMED) for one in values)
    names = list(dict.fromkeys(one.text for one in told))
    more = len(names) - _TITLED
    beside = f" et {more} autre{'s' * (more > 1)}" if more > 0 else ""
    return ", ".join(names[:_TITLED]) + beside


def _take(
    index: BundleIndex,
    content: JsonObject,
    reading: Reading,
    status: ResultStatus,
    lines: list[ResultLine],
    conclusion: str,
    *authors: str,
) -> None:
    dated = (content, *(one.resource for one in reading.taken_over))
    sampled = first_moment(*(moments.text_of(one, "effective") for one in dated))
    reading.author = author_of(index, content, reading.entry, *authors)
    reading.occurred_at = first_moment(sampled, content.get("issued"))
    names = [
        one["value"]
        for one in content.get("identifier", ())
        if one.get("value") and one.get("system") != codes.ANY_URI
    ]
    reading.payload = ResultReceived(
        status=status,
        title=named(content.get("code"), reading).text,
        lines=tuple(lines),
        conclusion=conclusion,
        report=names[0] if names else None,
        laboratory=reading.author or "",
        sampled_at=sampled,
    )


def _not_taken(index: BundleIndex, content: JsonObject, reading: Reading) -> None:
    """A report taken back by its source, or one that says nothing in words or numbers."""
    if content.get("status") in _TAKEN_BACK:
        where = f"{reading.entry.path}.status"
        reading.warn(where, "résultat annulé ou saisi par erreur : il n'est pas repris", "status")
    unread(index, content, reading)


def _lines_of(index: BundleIndex, reading: Reading) -> list[ResultLine]:
    lines: list[ResultLine] = []
    for member in members(index, reading.entry):
        reading.taken_over.append(member)
        if member.resource.get("status") in _TAKEN_BACK:
            where = f"{member.path}.status"
            reading.warn(where, "ligne annulée ou saisie par erreur : elle n'est pas reprise", "")
            continue
        lines += _own_lines(reading, member)
        reading.leave(
            member.resource,
            _LINE_ELEMENTS | {"category", "issued"},
            of="Observation",
            path=member.path,
        )
    return lines


_LINE_ELEMENTS: Final = frozenset(
    {
        "code", "status", "method", "interpretation", "referenceRange", "component",
        "effectiveDateTime", "effectiveInstant", "effectivePeriod", "dataAbsentReason", *_VALUES,
    }
)  # fmt: skip


def _own_lines(reading: Reading, entry: Entry) -> Iterator[ResultLine]:
    """The line of one observation, and one for each of its components."""
    content = entry.resource
    if _has_value(content) or not (content.get("component") or content.get("hasMember")):
        yield _line(content, content)
    for number, part in enumerate(content.get("component", ())):
        yield _line(part, content)
        taken = ("code", "interpretation", "referenceRange", "dataAbsentReason", *_VALUES)
        where = f"{entry.path}.component[{number}]"
        reading.leave(part, taken, of="ObservationComponent", path=where)


def _has_value(content: JsonObject) -> bool:
    return any(content.get(key) is not None for key in _VALUES)


def _line(part: JsonObject, holder: JsonObject) -> ResultLine:
    given = part.get("valueQuantity") or {}
    comparator = given.get("comparator")
    bare = {key: one for key, one in given.items() if key != "comparator"}
    value = codes.quantity_of(bare)
    if value is None and isinstance(part.get("valueInteger"), int):
        value = Quantity(value=number_text(part["valueInteger"]))
    return ResultLine(
        code=codes.concept_of(part.get("code"), fallback=UNNAMED),
        value=value,
        comparator=_comparator(comparator),
        text=None if value is not None else _words(part),
        interpretation=_interpretation(part),
        reference_range=_range(part),
        status=holder.get("status"),
        method=codes.concept_of(holder.get("method")).text or None,
    )


def _comparator(given: object) -> Literal["<", "<=", ">", ">="] | None:
    return cast(Literal["<", "<=", ">", ">="], given) if given in _COMPARATORS else None


def _words(part: JsonObject) -> str | None:
    """What a line says where it is no number."""
    if part.get("valueCodeableConcept"):
        return codes.concept_of(part["valueCodeableConcept"]).text or None
    if isinstance(part.get("valueBoolean"), bool):
        return "oui" if part["valueBoolean"] else "non"
    for key in ("valueString", "valueDateTime", "valueTime"):
        if part.get(key):
            return str(part[key])
    return codes.concept_of(part.get("dataAbsentReason")).text or None


def _interpretation(part: JsonObject) -> str | None:
    given = part.get("interpretation", ())
    listed = [
        str(coding["code"])
        for one in given
        for coding in one.get("coding", ())
        if coding.get("code")
    ]
    # "High" beside "critical high", or a local code before it: the gravest is what is kept.
    gravest = next((code for code in listed if code in _CRITICAL), None)
    if gravest is not None or not given:
        return gravest
    first = next((c["code"] for c in given[0].get("coding", ()) if c.get("code")), None)
    return str(first) if first else codes.concept_of(given[0]).text or None


def _range(part: JsonObject) -> str | None:
    told = []
    for one in part.get("referenceRange", ()):
        low, high = one.get("low", {}), one.get("high", {})
        ends = [number_text(end["value"]) if end.get("value") is not None else ".."
                for end in (low, high)]  # fmt: skip
        unit = low.get("unit") or high.get("unit") or ""
        words = one.get("text") or (f"{ends[0]} - {ends[1]} {unit}".strip() if low or high else "")
        told += [words] if words else []
    return " ; ".join(told) or None


def _history_slot(content: JsonObject) -> HistorySlot | None:
    for one in content.get("code", {}).get("coding", ()):
        if one.get("system") == LOINC and one.get("code") in _HISTORY_CODES:
            return _HISTORY_CODES[one["code"]]
    return "lifestyle" if category_of(content) == "social-history" else None


def _history(index: BundleIndex, content: JsonObject, reading: Reading, slot: HistorySlot) -> None:
    """A question of the way of life and its answer, which keep their codings side by side.

    LOINC codes are the question's, every other one the answer's.
    """
    question = named(content.get("code"), reading)
    answer = codes.concept_of(content.get("valueCodeableConcept"))
    said = _words(content) or ""
    text = said if said.startswith(question.text) else f"{question.text} : {said}"
    effective = moments.text_of(content, "effective")
    reading.author = author_of(index, content, reading.entry, "performer")
    reading.occurred_at = first_moment(effective, content.get("issued"))
    reading.payload = HistoryRecorded(
        slot=slot,
        concept=Concept(text=text, codings=(*question.codings, *answer.codings)),
        since=effective if "effectivePeriod" in content else None,
        status=content.get("status"),
    )
    taken = {"code", "status", "category", "issued", "effectiveDateTime", "effectivePeriod"}
    reading.leave(content, taken | {"effectiveInstant", *_VALUES})


def _measure(
    index: BundleIndex, content: JsonObject, reading: Reading, value: Quantity | None
) -> None:
    parts: list[Component] = []
    for number, one in enumerate(content.get("component", ())):
        measured = codes.quantity_of(one.get("valueQuantity"))
        where = f"{reading.entry.path}.component[{number}]"
        if measured is None:
            reading.unmapped.append(Unmapped(path=where, type="ObservationComponent"))
            continue
        parts.append(
            Component(code=codes.concept_of(one.get("code"), fallback=UNNAMED), value=measured)
        )
        reading.leave(one, {"code", "valueQuantity"}, of="ObservationComponent", path=where)
    effective = moments.text_of(content, "effective")
    reading.author = author_of(index, content, reading.entry, "performer")
    reading.occurred_at = first_moment(effective, content.get("issued"))
    category = token(content, "category", reading)
    reading.payload = ObservationRecorded(
        code=named(content.get("code"), reading),
        value=value,
        components=tuple(parts),
        status=content.get("status", "unknown"),
        category=category_of(content) or category,
        method=codes.concept_of(content.get("method")).text or None,
        interpretation=token(content, "interpretation", reading),
    )
    taken = {"code", "component", "status", "category", "method", "interpretation", "issued"}
    taken |= {"effectiveDateTime", "effectiveInstant"}
    taken |= {"valueQuantity", "valueInteger"} if value is not None else set()
    reading.leave(content, taken)


def category_of(content: JsonObject) -> str | None:
    """The bare code of an HL7 category (``vital-signs``), which is what the record calls it."""
    categories: list[dict[str, Any]] = content.get("category", [])
    for category in categories[:1]:
        for one in category.get("coding", ()):
            if one.get("system") == codes.OBSERVATION_CATEGORY and one.get("code"):
                return str(one["code"])
    return None
