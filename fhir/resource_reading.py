"""One FHIR resource on its way in: what came of it, and what every reader asks of it.

A resource that validated becomes lines of the record; an element that the record has no place for
is listed with its FHIRPath and datatype, never dropped in silence. Nothing here checks medicine.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from releve.domain.aggregates.patient.allergies import AbsenceAsserted, absence_of
from releve.domain.events import Payload
from releve.domain.values import Concept, Unmapped
from releve.fhir import codes, known_absence, moments, narrative, r4b
from releve.fhir.bundle import BundleIndex, Entry
from releve.fhir.exact_json import JsonObject

UNNAMED: Final = "(sans libellé dans la source)"
# Elements that carry no clinical content of their own, or are kept by other means.
_PASSED: Final = frozenset(
    {"resourceType", "id", "meta", "implicitRules", "language", "text", "identifier", "contained"}
)


@dataclass(slots=True)
class Reading:
    """What came of one resource; ``payload`` is ``None`` when the record has no event for it."""

    entry: Entry
    payload: Payload | None = None
    occurred_at: str | None = None
    author: str | None = None
    unmapped: list[Unmapped] = field(default_factory=list)
    warnings: list[r4b.Issue] = field(default_factory=list)
    taken_over: list[Entry] = field(default_factory=list)
    """Other resources whose content this one took over: Medication, Device, Observation."""
    further: list[tuple[str, Payload]] = field(default_factory=list)
    """Lines beside ``payload`` that the same resource gives, with the FHIRPath of each."""

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


def unread(_: BundleIndex, __: JsonObject, reading: Reading) -> None:
    """List the resource itself: the record has no place for it."""
    reading.unmapped.clear()
    reading.unmapped.append(Unmapped(path=reading.entry.path, type=reading.entry.type))


def take_absence(
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


def named(element: JsonObject | None, reading: Reading) -> Concept:
    """The concept of a coded element; without any word, the resource's narrative stands for it."""
    concept = codes.concept_of(element)
    if concept.text:
        return concept
    words = narrative.read(reading.entry.resource.get("text", {}).get("div", "")).text
    reading.warn(f"{reading.entry.path}.code", "ni code ni libellé", "no-code")
    return Concept(text=words[:160] or UNNAMED, codings=concept.codings)


def status_in(content: JsonObject, key: str, system: str, reading: Reading) -> str | None:
    """A status of a required list; another code is kept, with a warning."""
    status = codes.status_of(content.get(key), system)
    coded = bool(content.get(key, {}).get("coding"))
    if coded and status is not None and status not in codes.STATUS_CODES[system]:
        where = f"{reading.entry.path}.{key}"
        reading.warn(where, "statut hors de la liste que FHIR R4 impose", "required-code")
    return status


def token(content: JsonObject, key: str, reading: Reading) -> str | None:
    """The token of a coded element, of its first where it repeats: the others are listed."""
    given = content.get(key)
    if isinstance(given, list):
        reading.leave_rest(key, at=content)
        given = given[0] if given else None
    return codes.token_of(given)


def forms(content: JsonObject, *stems: str) -> set[str]:
    """The keys that say one of these choice elements as a date."""
    suffixes = ("DateTime", "Period", "Age", "Range", "String")
    return {f"{stem}{suffix}" for stem in stems for suffix in suffixes} & set(content)


def first_moment(*texts: str | None) -> str | None:
    """The first of these that is a date or starts with one."""
    for text in texts:
        start = (text or "").partition("/")[0]
        if moments.is_datetime(start):
            return start
    return None


def author_of(index: BundleIndex, content: JsonObject, entry: Entry, *keys: str) -> str | None:
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
