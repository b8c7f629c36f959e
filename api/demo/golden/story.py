"""What a golden patient is, and the short words that scenes are told with.

Each scene is told in days before the present Monday (``-3`` is Friday), at a time of day, by the
doctor in post that day unless another is named. Not reviewed by a clinician; every person is
invented.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, time

from releve.api.demo import people
from releve.api.demo.acts import LATER, Author
from releve.api.demo.background import ATC, CIM10
from releve.api.demo.course import measure
from releve.api.demo.paper import Fate
from releve.api.demo.tables.laboratory import concept
from releve.domain.commands import (
    AssertAbsence,
    Command,
    RecordAllergy,
    RecordProblem,
    StartMedication,
)
from releve.domain.events import Source
from releve.domain.values import Coding, Concept, Quantity, Reaction, ResultLine

__all__ = [
    "LATER",
    "Golden",
    "Step",
    "allergy",
    "drug",
    "measure",
    "none_known",
    "problem",
    "value",
]


@dataclass(frozen=True)
class Step:
    """One command, so many days from the present Monday, at a time of day.

    ``about`` names entries of earlier steps: field -> (label of the step, topic, which one).
    """

    day: int
    at: time
    command: Command | None = None
    label: str = ""
    by: Author = "doctor"
    about: Mapping[str, tuple[str, str, int]] = field(default_factory=dict)
    refers: Mapping[str, str] = field(default_factory=dict)
    """Fields to fill with the id of a person or another stream: path -> label within the centre."""
    week: int = 0
    """The author's stint, in weeks from that of ``day``: -1 is who left the Sunday before."""
    stint: str = ""
    """Another stint than the week's own, such as the trainee's."""
    source: Source | None = None
    paper: Callable[[people.Person], bytes] | None = None
    """A document that comes in instead of a command, and what the desk does with it."""
    fate: Fate = "left"


@dataclass(frozen=True)
class Golden:
    """One invented patient and everything that happened to them."""

    key: str
    family: str
    given: str
    sex: str
    born: date
    steps: tuple[Step, ...] = field(default=())


def problem(label: str, code: str, onset: str | None = None, **given: str) -> RecordProblem:
    """A problem with its CIM-10 code."""
    return RecordProblem(
        concept=Concept(text=label, codings=(Coding(system=CIM10, code=code, display=label),)),
        onset=onset,
        **given,
    )


def drug(
    name: str, atc: str, dose: str, start: str | None = None, *, why: str = ""
) -> StartMedication:
    """A treatment line with its ATC code and what it is for."""
    return StartMedication(
        concept=Concept(text=name, codings=(Coding(system=ATC, code=atc, display=name),)),
        dose_text=dose,
        start=start,
        indication=why or None,
    )


def value(label: str, loinc: str, number: str, unit: str, flag: str = "N") -> ResultLine:
    """One line of a laboratory's report."""
    return ResultLine(
        code=concept(label, loinc),
        value=Quantity(value=number, unit=unit, code=unit),
        interpretation=flag,
    )


def allergy(
    substance: str,
    manifestation: str,
    criticality: str = "low",
    onset: str | None = None,
    *,
    atc: str | None = None,
) -> RecordAllergy:
    """An allergy with how it showed itself."""
    codings = (Coding(system=ATC, code=atc, display=substance),) if atc else ()
    return RecordAllergy(
        substance=Concept(text=substance, codings=codings),
        criticality=criticality,
        onset=onset,
        reactions=(Reaction(manifestations=(Concept(text=manifestation),)),),
    )


def none_known(day: str) -> AssertAbsence:
    """No known allergy, asked on a day."""
    return AssertAbsence(slot="allergies", asked_on=day)
