"""What is gathered while one clinical document is read: entries, parts left over, warnings."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from releve.domain.commands import ImportedEntry
from releve.domain.events import Payload
from releve.domain.values import Coding, Concept, Unmapped
from releve.fhir.cda_values import (
    Narrative,
    codings_of,
    concept_of,
    first_identifier,
    moment_of,
    person_name,
)
from releve.fhir.cda_xml import (
    HL7,
    Element,
    attribute,
    child,
    children,
    descendants,
    is_null,
    name_of,
    path_of,
    words,
)

MAX_UNMAPPED: Final = 1_000
"""Parts listed one by one; the rest is told as a number."""

_STRUCTURE: Final = frozenset(
    {
        "templateId",
        "realmCode",
        "typeId",
        "id",
        "code",
        "text",
        "statusCode",
        "effectiveTime",
        "author",
        "performer",
        "informant",
        "subject",
    }
)
"""Children of a statement that are read with it, or carry nothing of their own."""

_WITHDRAWN: Final = frozenset({"nullified", "cancelled", "obsolete"})


class Gathered:
    """Entries, leftovers and warnings of one document, in document order."""

    def __init__(self, narrative: Narrative, issued_at: str | None) -> None:
        self.narrative = narrative
        self.issued_at = issued_at
        self.entries: list[ImportedEntry] = []
        self.warnings: list[str] = []
        self._unmapped: list[Unmapped] = []
        self._more = 0

    @property
    def unmapped(self) -> tuple[Unmapped, ...]:
        """What found no place; past ``MAX_UNMAPPED`` one line tells how many more."""
        if not self._more:
            return tuple(self._unmapped)
        return (*self._unmapped, Unmapped(path="/", type=f"{self._more} autres parties"))

    def add(self, payload: Payload, statement: Element, at: str | None) -> None:
        """Take ``payload`` for what ``statement`` says; ``at`` is when it was so, if known."""
        self.entries.append(
            ImportedEntry(
                payload=payload,
                occurred_at=at or self.issued_at,
                source_id=first_identifier(statement),
                author=self._author(statement),
            )
        )

    def is_fact(self, statement: Element, *, negation: bool = False, planned: bool = False) -> bool:
        """Whether a statement says that something is or was so; one that does not is listed.

        ``negation`` and ``planned`` say that the reader handles these itself.
        """
        mood = statement.get("moodCode", "EVN")
        if is_null(statement) or (mood != "EVN" and not (planned and mood in ("INT", "RQO"))):
            self.leave(statement)
            return False
        if attribute(child(statement, "statusCode"), "code") in _WITHDRAWN:
            self.refuse(statement, "annulé par sa source : il n'est pas repris")
            return False
        if statement.get("negationInd") == "true" and not negation:
            self.refuse(statement, "énoncé négatif : il n'est pas repris")
            return False
        return True

    def free(self, statement: Element) -> Concept | None:
        """The words of a statement without a code."""
        said = self.narrative.said(child(statement, "text"))
        return Concept(text=said) if said else None

    def coded(self, statement: Element, *path: str, original_first: bool = True) -> Concept | None:
        """What the coded element at ``path`` says (:func:`concept_of`), else the words alone."""
        element = child(statement, *path)
        said = concept_of(element, self.narrative, original_first=original_first)
        return said or self.free(statement)

    def related(self, statement: Element, code: str, taken: list[Element]) -> Element | None:
        """The value of the observation of that code beside a statement; its link is ``taken``."""
        for link in children(statement, "entryRelationship"):
            observation = child(link, "observation")
            if attribute(child(observation, "code"), "code") == code:
                taken.append(link)
                value = child(observation, "value")
                return None if is_null(value) else value
        return None

    def written_at(self, statement: Element) -> str | None:
        """When the statement's author wrote it."""
        return moment_of(child(statement, "author", "time"))

    def warn(self, element: Element, why: str) -> None:
        """Tell something that whoever reads must know, with its place."""
        if len(self.warnings) < MAX_UNMAPPED:
            self.warnings.append(f"{path_of(element)} : {why}")

    def refuse(self, statement: Element, why: str) -> None:
        """List a statement that cannot be taken, and say why."""
        self.warn(statement, why)
        self.leave(statement)

    def leave(self, element: Element, kind: str | None = None) -> None:
        """List a part that has no place in the record."""
        if len(self._unmapped) >= MAX_UNMAPPED:
            self._more += 1
            return
        self._unmapped.append(Unmapped(path=path_of(element), type=kind or _kind(element)))

    def leave_rest(
        self, statement: Element, names: Collection[str], taken: Collection[Element]
    ) -> None:
        """List the children of a statement that were not taken, by name or one by one."""
        for one in statement:
            if name_of(one) in _STRUCTURE or name_of(one) in names or one in taken:
                continue
            if is_null(one) and not len(one):
                continue
            self.leave(one)

    def _author(self, statement: Element) -> str | None:
        for name, role in (
            ("author", "assignedAuthor"),
            ("performer", "assignedEntity"),
            ("informant", "assignedEntity"),
        ):
            entity = child(statement, name, role)
            said = person_name(child(entity, "assignedPerson", "name"))
            said = said or words(child(entity, "representedOrganization", "name"))
            if said:
                return said
        return None


def _kind(element: Element) -> str:
    """What a part is: its name, or that of the statement it wraps, with its code."""
    inner = element
    if name_of(element) in ("entry", "entryRelationship", "component"):
        inner = next((one for one in element if name_of(one) != "templateId"), element)
    code = attribute(child(inner, "code"), "code")
    return f"{name_of(inner)}:{code}" if code else name_of(inner)


def token_of(concept: Concept | None) -> str | None:
    """A concept in one string, as the record keeps severity or site: words, then the code."""
    if concept is None:
        return None
    coded = next((one for one in concept.codings if one.code), None)
    if coded is None:
        return concept.text
    return f"{coded.display or concept.text} [{coded.system or ''}|{coded.code}]"


def product_of(statement: Element | None, gathered: Gathered) -> Concept | None:
    """The medicine or vaccine of a substanceAdministration, its ATC class among its codes."""
    material = child(statement, "consumable", "manufacturedProduct", "manufacturedMaterial")
    concept = concept_of(child(material, "code"), gathered.narrative)
    if concept is None:
        name = words(child(material, "name"))
        concept = Concept(text=name) if name else None
    if material is None or concept is None:
        return concept
    classes: list[Coding] = [
        coding
        for one in material.iterdescendants("{*}generalizedMedicineClass")
        for code in one.iterchildren("{*}code")
        for coding in codings_of(code)
    ]
    known = {(one.system, one.code) for one in concept.codings}
    more = tuple(one for one in classes if (one.system, one.code) not in known)
    return Concept(text=concept.text, codings=concept.codings + more)


def observations_of(statement: Element) -> list[Element]:
    """The observations of a statement that are not part of another observation."""
    if name_of(statement) == "observation":
        return [statement]
    return [
        one
        for one in descendants(statement, "observation")
        if next(one.iterancestors(f"{{{HL7}}}observation"), None) is None
    ]
