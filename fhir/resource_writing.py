"""What every resource of a line has: name, times, source, and whether a doctor has accepted it.

What a source sent leaves as it came; a status that R4's list does not have leaves as "unknown" or
as words, so that what we send is R4 even where what we got was not.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from releve.fhir import codes, moments, r4b
from releve.fhir.exact_json import JsonObject
from releve.projections import wording
from releve.projections.summary_lines import Line

Name = Callable[[UUID], str]
"""How a resource refers to another of the same answer: ``urn:uuid:…`` in a document."""

VALIDATION: Final = "urn:releve:validation"
"""Tag system of imported lines: ``to-validate`` until a doctor accepts them."""
TO_VALIDATE: Final = "à valider"


def in_document(identity: UUID) -> str:
    """The name of a resource inside a document."""
    return f"urn:uuid:{identity}"


def instant(moment: datetime | None) -> str:
    """A FHIR instant in UTC; of an empty record, the first second of 1970."""
    shown = (moment or datetime.fromtimestamp(0, UTC)).astimezone(UTC)
    return shown.isoformat(timespec="microseconds").replace("+00:00", "Z")


def resource(
    kind: str, identity: UUID, version: int | None, recorded_at: datetime | None
) -> JsonObject:
    """A resource with its id, version and recorded time."""
    meta: JsonObject = {} if version is None else {"versionId": str(version)}
    meta["lastUpdated"] = instant(recorded_at)
    return {"resourceType": kind, "id": str(identity), "meta": meta}


def line_start(kind: str, line: Line, identity: UUID | None = None) -> JsonObject:
    """What every resource of a line starts with: id, recorded time, the source's own name.

    ``identity`` is the resource's own where one line gives several: the source named the first.
    """
    content = resource(kind, identity or line.entry_id, None, line.recorded_at)
    if line.validation == "to-validate":
        tag = {"system": VALIDATION, "code": "to-validate", "display": TO_VALIDATE}
        content["meta"]["tag"] = [tag]
    named = (line.source.source_id if line.source and identity is None else None) or ""
    system, bar, value = named.partition("|")
    if bar and value:
        content["identifier"] = [{"system": system, "value": value} if system else {"value": value}]
    else:
        own = f"urn:uuid:{identity or line.entry_id}"
        address = named if re.match(r"(urn|https?):\S+$", named) else own
        content["identifier"] = [{"system": codes.ANY_URI, "value": address}]
    return content


def in_error(line: Line) -> bool:
    """Whether the line says something that never was so."""
    return line.state in ("in-error", "refused") or line.verification == "entered-in-error"


def status_of(line: Line, kind: str, status: str | None, *, otherwise: str = "unknown") -> str:
    """A status of the list that R4 requires; an error's is always ``entered-in-error``."""
    known = r4b.elements_of(kind)["status"].codes
    if in_error(line) and "entered-in-error" in known:
        return "entered-in-error"
    return status if status is not None and status in known else otherwise


def put_code(content: JsonObject, key: str, code: str | None) -> None:
    """Put a code that R4's list has; another one has no place."""
    if code in r4b.elements_of(content["resourceType"])[key].codes:
        content[key] = code


def recorded(line: Line, told: str | None, key: str, by: str) -> JsonObject:
    """When and by whom a line was recorded: the source's word for an import, else ours."""
    content: JsonObject = {}
    moment = told or recorded_here(line)
    if moment and moments.is_datetime(moment):
        content[key] = moment
    author = line.source.author if line.source else line.author
    if author:
        content[by] = {"display": author}
    return content


def recorded_here(line: Line) -> str | None:
    """When it was written down here; ``None`` for an import, whose source may not say."""
    return None if line.source else moment_of(line.recorded_at.isoformat())


def moment_of(text: str | None) -> str | None:
    """``text`` as a FHIR dateTime; ``None`` when it is no date."""
    if text is None or moments.is_datetime(text):
        return text
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        return None
    return parsed.isoformat() if parsed.tzinfo else None


def period_of(start: str | None, end: str | None) -> JsonObject:
    """A Period of the sides that are dates; empty when neither is."""
    sides = (("start", moment_of(start)), ("end", moment_of(end)))
    return {name: side for name, side in sides if side}


def provenance_words(line: Line) -> str:
    """Whose word a line is where it came from outside, and that nobody has accepted it yet."""
    if line.source is None or line.source.channel in ("ui", "demo"):
        return ""
    said = [wording.CHANNEL.get(line.source.channel, line.source.channel)]
    said += [line.source.author] if line.source.author else []
    if line.validation == "to-validate":
        said.append(TO_VALIDATE)
    return ", ".join(said)


def reference(literal: str, display: str | None = None) -> JsonObject:
    """A Reference, with words beside it where there are some."""
    content: dict[str, Any] = {"reference": literal}
    return content | ({"display": display} if display else {})
