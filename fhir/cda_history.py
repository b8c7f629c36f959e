"""Sections of a summary that are told line by line: family, way of life, ability, vigilance.

Their coded statements keep their codes. Where a source has words only, each row of its narrative
is a line; a row that says there is nothing is no line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

from releve.domain.aggregates.patient.history import HistoryRecorded
from releve.domain.aggregates.patient.vigilance import VigilancePointSet
from releve.domain.values import ONE_LINER_LIMIT, Concept, HistorySlot, Quantity
from releve.fhir.cda_reading import Gathered, observations_of, product_of
from releve.fhir.cda_values import concept_of, measured_of, period_of
from releve.fhir.cda_xml import (
    HL7,
    Element,
    attribute,
    child,
    children,
    descendants,
    name_of,
    words,
)

_NOTHING: Final = re.compile(
    r"(?i)[\W_]*(?:(?:aucune?s?|pas d[e']|absence d[e'])\b.*|n[ée]ant|r\.?a\.?s\.?|sans objet"
    r"|non (?:renseign|connu|pr[ée]cis)[ée]?e?s?)?[\W_]*"
)
"""A line that says that there is nothing, or that nothing was asked."""

_LINES: Final = frozenset({"tr", "item", "paragraph"})


def lines_of(text: Element | None) -> Iterator[tuple[Element, str]]:
    """Each row, item or paragraph of a narrative block, innermost, with its words."""
    if text is None:
        return
    found = False
    for one in text.iter(*(f"{{{HL7}}}{name}" for name in _LINES)):
        parent = one.getparent()
        if parent is not None and name_of(parent) == "thead":
            found = True
            continue
        if next(one.iterdescendants(*(f"{{{HL7}}}{name}" for name in _LINES)), None) is not None:
            continue
        found = True
        cells = [words(cell) for cell in children(one, "td")] or [words(one)]
        if said := " — ".join(cell for cell in cells if cell and cell != "-"):
            yield one, said
    if not found and (said := words(text)):
        yield text, said


def says_nothing(line: str) -> bool:
    """True for a line such as ``Néant`` or ``Aucun antécédent connu``."""
    return _NOTHING.fullmatch(line) is not None


def vigilance(section: Element, gathered: Gathered) -> None:
    """Points of vigilance: coded or free, each one a line of at most 160 characters."""
    for element, line in _told(section, gathered):
        if len(line) > ONE_LINER_LIMIT:
            gathered.refuse(element, "point de vigilance trop long pour une ligne : à lire")
            continue
        gathered.add(VigilancePointSet(text=line), element, None)


def _told(section: Element, gathered: Gathered) -> Iterator[tuple[Element, str]]:
    entries = children(section, "entry")
    for entry in entries:
        for statement in entry:
            concept = gathered.coded(statement, "value")
            concept = concept or concept_of(child(statement, "code"), gathered.narrative)
            if concept is None:
                gathered.leave(entry)
            elif gathered.is_fact(statement):
                yield statement, concept.text
    for element, line in lines_of(child(section, "text")) if not entries else ():
        if says_nothing(line):
            gathered.leave(element, "absence")
        else:
            yield element, line


def observed(slot: HistorySlot) -> Callable[[Element, Gathered], None]:
    """The reader of a section whose observations each become one line of ``slot``."""

    def read(section: Element, gathered: Gathered) -> None:
        entries = children(section, "entry")
        for entry in entries:
            top = [one for inner in entry for one in observations_of(inner)]
            for observation in top:
                _observed(slot, observation, gathered)
            if not top:
                gathered.leave(entry)
        if not entries:
            _free(slot, section, gathered)

    return read


def _observed(slot: HistorySlot, observation: Element, gathered: Gathered) -> None:
    if not gathered.is_fact(observation):
        return
    if slot == "adverse-reactions":
        _adverse(observation, gathered)
        return
    code = gathered.coded(observation, "code", original_first=False)
    if code is None:
        gathered.refuse(observation, "observation sans code ni libellé")
        return
    values = children(observation, "value")
    text, amount = _said(code, values[0] if values else None, gathered)
    period = period_of(observation)
    gathered.add(
        HistoryRecorded(
            slot=slot,
            concept=Concept(text=text, codings=code.codings),
            value=amount,
            since=period.start,
            until=period.end,
        ),
        observation,
        period.start,
    )
    if values and attribute(values[0], "code"):
        gathered.leave(values[0], "value")  # its words are taken, its code has no place
    gathered.leave_rest(observation, set(), values[:1])


def _said(code: Concept, value: Element | None, gathered: Gathered) -> tuple[str, Quantity | None]:
    read = measured_of(value, gathered.narrative)
    if read.value is not None and read.comparator is None:
        return code.text, read.value
    answer = read.text or (f"{read.comparator} {read.value.value}" if read.value else "")
    return (f"{code.text} : {answer}" if answer else code.text), None


def _adverse(observation: Element, gathered: Gathered) -> None:
    """A reaction to a medicine: the medicine's codes, and in words what it did."""
    taken: list[Element] = []
    drug: Concept | None = None
    shown: list[str] = []
    for link in children(observation, "entryRelationship"):
        reaction = child(link, "observation")
        if (given := child(link, "substanceAdministration")) is not None and drug is None:
            drug = product_of(given, gathered)
            taken.append(link)
        elif link.get("typeCode") == "MFST" and reaction is not None:
            said = gathered.coded(reaction, "value")
            shown += [said.text] if said else []
            taken.append(link)
    kind = gathered.coded(observation, "value")
    named = drug or kind
    if named is None:
        gathered.refuse(observation, "effet indésirable sans médicament ni réaction")
        return
    text = f"{named.text} : {', '.join(shown)}" if shown else named.text
    period = period_of(observation)
    gathered.add(
        HistoryRecorded(
            slot="adverse-reactions",
            concept=Concept(text=text, codings=named.codings),
            since=period.start,
            until=period.end,
        ),
        observation,
        period.start,
    )
    gathered.leave_rest(observation, {"value"}, taken)


def _free(slot: HistorySlot, section: Element, gathered: Gathered) -> None:
    for element, line in lines_of(child(section, "text")):
        if says_nothing(line):
            gathered.leave(element, "absence")
        else:
            gathered.add(HistoryRecorded(slot=slot, concept=Concept(text=line)), element, None)


def family_history(section: Element, gathered: Gathered) -> None:
    """Family history: one line a problem, with the relative who has it."""
    entries = children(section, "entry")
    for entry in entries:
        observations = [one for inner in entry for one in observations_of(inner)]
        if not observations:
            gathered.leave(entry)
        relative = next(descendants(entry, "relatedSubject"), None)
        who = concept_of(child(relative, "code"), gathered.narrative)
        for observation in observations:
            if not gathered.is_fact(observation):
                continue
            concept = gathered.coded(observation, "value")
            if concept is None:
                gathered.refuse(observation, "antécédent familial sans libellé")
                continue
            period = period_of(observation)
            gathered.add(
                HistoryRecorded(
                    slot="family-history",
                    concept=concept,
                    relationship=who.text if who else None,
                    since=period.start,
                    until=period.end,
                ),
                observation,
                period.start,
            )
            gathered.leave_rest(observation, {"value"}, [])
    if not entries:
        _free("family-history", section, gathered)
