"""A laboratory's report (CR-BIO of the CI-SIS, IHE PaLM): one result with all its lines.

Each analysis keeps every code it came with, its value and unit as written, its bounds and its
reference range. An analysis in two units is two lines. Lines that a laboratory withdrew are not
lines; an analysis that was not done is one, cancelled and without a value.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from releve.domain.aggregates.patient.results import ResultReceived
from releve.domain.commands import ImportedEntry
from releve.domain.values import Concept, ResultLine, ResultStatus
from releve.fhir.cda_header import Header
from releve.fhir.cda_reading import Gathered
from releve.fhir.cda_values import (
    concept_of,
    measured_of,
    moment_of,
    period_of,
    quantity_of,
    range_of,
)
from releve.fhir.cda_xml import (
    Element,
    attribute,
    child,
    children,
    descendants,
    is_null,
    name_of,
    templates,
    words,
)
from releve.fhir.document_content import MAX_TEXT
from releve.fhir.lone_values import is_alarming

SPECIMEN: Final = "1.3.6.1.4.1.19376.1.3.1.2"
ISOLATE: Final = "1.3.6.1.4.1.19376.1.3.1.5"
COMMENT: Final = "48767-8"
_DRAWN: Final = "PRELV"
_LINE_STATUS: Final = {"active": "preliminary", "aborted": "cancelled", "held": "preliminary"}
_LINKS: Final = frozenset({"entryRelationship", "component"})
_WITHIN: Final = frozenset({"observation", "organizer", "act"})
_TAKEN: Final = frozenset(
    {"interpretationCode", "methodCode", "referenceRange", "value", "specimen", "participant"}
)


def read_report(root: Element, entries: list[Element], header: Header, gathered: Gathered) -> None:
    """Take the results of a report: one :class:`ResultReceived`, where it has any line."""
    lines: list[ResultLine] = []
    comments: list[str] = []
    for entry in entries:
        for statement in entry:
            if name_of(statement) in _WITHIN:
                lines += _lines(statement, "", gathered, comments)
            elif name_of(statement) != "templateId":
                gathered.leave(statement)
    if not lines and not comments:
        return
    sampled = _sampled_at(root)
    gathered.entries.append(
        ImportedEntry(
            payload=ResultReceived(
                status=_status(header, lines),
                title=header.title,
                lines=tuple(lines),
                conclusion="\n".join(comments)[:MAX_TEXT],
                report=header.set_id or next(iter(header.replaces), None) or header.source_id,
                laboratory=header.organisation,
                sampled_at=sampled,
            ),
            occurred_at=sampled or header.issued_at,
            source_id=header.source_id,
            author=header.author,
        )
    )


def _status(header: Header, lines: list[ResultLine]) -> ResultStatus:
    """Partial while the laboratory still works; a version that replaces another corrects it.

    What the laboratory does not say, its lines do: one that is still awaited makes it partial.
    """
    awaited = any(line.status == "preliminary" for line in lines)
    unfinished = header.service_status in ("active", "aborted")
    if unfinished or (awaited and header.service_status is None):
        return "partial"
    return "corrected" if header.replaces else "final"


def _lines(
    statement: Element, within: str, gathered: Gathered, comments: list[str]
) -> Iterator[ResultLine]:
    """The lines of a statement and of everything it holds; ``within`` is the isolate's name."""
    name = name_of(statement)
    if not gathered.is_fact(statement):
        return
    if name == "act" and attribute(child(statement, "code"), "code") == COMMENT:
        if said := gathered.narrative.said(child(statement, "text")):
            comments.append(said)
        return
    if name == "observation":
        line = _line(statement, within, gathered)
        if line is None:
            gathered.leave(statement)
        else:
            yield line
            gathered.leave_rest(statement, _TAKEN | _LINKS, [])
    elif name == "organizer" and ISOLATE in templates(statement):
        germ = _germ(statement, gathered)
        code = concept_of(child(statement, "code"), gathered.narrative, original_first=False)
        if germ:
            yield ResultLine(code=code or Concept(text="Isolat"), text=germ)
            within = germ
    for link in statement:
        if name_of(link) not in _LINKS:
            continue
        for inner in link:
            if name_of(inner) in _WITHIN:
                yield from _lines(inner, within, gathered, comments)
            elif name_of(inner) == "procedure" and SPECIMEN in templates(inner):
                continue  # when and how it was sampled: read for the whole report
            elif name_of(inner) not in ("templateId", "sequenceNumber", "seperatableInd"):
                gathered.leave(inner)


def alarming_value(observation: Element, gathered: Gathered) -> bool:
    """Take a critical value of a summary for a result; false for every other, which stays untaken.

    One that was history when the summary was written is none (:mod:`releve.fhir.lone_values`).
    """
    at = period_of(observation).start
    line = _line(observation, "", Gathered(gathered.narrative, gathered.issued_at))
    if line is None or not is_alarming([line], at, gathered.issued_at):
        return False
    _line(observation, "", gathered)  # lists what of it is left over
    partial = attribute(child(observation, "statusCode"), "code") == "active"
    gathered.add(
        ResultReceived(
            status="partial" if partial else "final",
            title=line.code.text,
            lines=(line,),
            sampled_at=at,
        ),
        observation,
        at,
    )
    gathered.leave_rest(observation, _TAKEN, [])
    return True


def _germ(organizer: Element, gathered: Gathered) -> str:
    player = child(organizer, "specimen", "specimenRole", "specimenPlayingEntity")
    found = concept_of(child(player, "code"), gathered.narrative)
    return found.text if found else words(child(player, "name"))


def _line(observation: Element, within: str, gathered: Gathered) -> ResultLine | None:
    code = gathered.coded(observation, "code", original_first=False)
    if code is None:
        return None
    if within:
        code = Concept(text=f"{within} : {code.text}", codings=code.codings)
    values = children(observation, "value")
    read = measured_of(values[0] if values else None, gathered.narrative)
    for other in values[1:]:
        gathered.leave(other)
    if values and not is_null(values[0]):
        for local in children(values[0], "translation"):
            if quantity_of(local) is not None:
                gathered.leave(local, "PQR")  # the same value in the laboratory's own unit
    status = attribute(child(observation, "statusCode"), "code") or ""
    if read.is_empty and status not in _LINE_STATUS and not _says_why(values):
        return None
    judged = [
        said
        for one in children(observation, "interpretationCode")
        if (said := attribute(one, "code"))
    ]
    for more in children(observation, "interpretationCode")[1:]:
        gathered.leave(more)
    method = concept_of(child(observation, "methodCode"), gathered.narrative)
    ranges = [
        said
        for one in children(observation, "referenceRange")
        if (said := range_of(child(one, "observationRange"), gathered.narrative))
    ]
    return ResultLine(
        code=code,
        value=read.value,
        comparator=read.comparator,
        text=read.text or _says_why(values),
        interpretation=next(iter(judged), None),
        reference_range=" ; ".join(ranges) or None,
        status=_LINE_STATUS.get(status, "final"),
        method=method.text if method else None,
    )


_ABSENT: Final = {
    "UNK": "non connu",
    "NASK": "non demandé",
    "ASKU": "non obtenu",
    "NAV": "pas encore disponible",
    "NA": "sans objet",
    "MSK": "masqué par la source",
    "NP": "non réalisé",
}


def _says_why(values: list[Element]) -> str | None:
    """Why a value is absent, in words, where its nullFlavor says so (HL7 v3 NullFlavor)."""
    return _ABSENT.get(values[0].get("nullFlavor", "")) if values else None


def _sampled_at(root: Element) -> str | None:
    """When the sample was taken: by who took it, by the act of sampling, else the first value."""
    for participant in children(root, "participant"):
        if attribute(child(participant, "functionCode"), "code") == _DRAWN:
            time = child(participant, "time")
            at = moment_of(child(time, "low")) or moment_of(child(time, "high"))
            if at or (at := moment_of(time)):
                return at
    for procedure in descendants(root, "procedure"):
        if SPECIMEN in templates(procedure) and (at := period_of(procedure).start):
            return at
    for observation in descendants(root, "observation"):
        if at := period_of(observation).start:
            return at
    return None
