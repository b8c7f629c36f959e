"""Measures: vitals, scores, results that arrive as numbers."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import ClassVar

import msgspec

from releve.domain.aggregates.deciding import Context, Fact, refuse
from releve.domain.aggregates.patient.plausible import RANGES
from releve.domain.aggregates.patient.problems import read_concept
from releve.domain.aggregates.patient.record import Fold, Patient, supersede
from releve.domain.clinical_time import moment
from releve.domain.codes import Loinc
from releve.domain.commands import RecordObservation
from releve.domain.errors import Invalid
from releve.domain.events import Event, Payload
from releve.domain.exact_numbers import with_point
from releve.domain.values import (
    Component,
    Concept,
    Quantity,
    measured,
)

# Events: the storage format. Never rename, retype or reuse a field; see domain/upcasting.py.


class ObservationRecorded(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """A numeric observation: its code (LOINC when written here), exact decimal, UCUM unit."""

    topic: ClassVar[str] = "patient.observation-recorded"

    code: Concept
    value: Quantity | None = None
    components: tuple[Component, ...] = ()
    status: str = "final"
    category: str | None = None
    method: str | None = None
    interpretation: str | None = None
    confirmed: bool = False
    """Outside its usual range, and its author said so."""


# State


def _recorded(patient: Patient, event: Event) -> None:
    patient.observations.append(event)
    supersede(patient, event)


FOLDS: dict[type[Payload], Fold] = {ObservationRecorded: _recorded}

LOINC = "http://loinc.org"


_LOINC_SYSTEMS = frozenset({LOINC, "urn:oid:2.16.840.1.113883.6.1"})
"""How FHIR and CDA name it."""

HISTORY_AFTER = timedelta(days=60)
"""A measure this much older than its arrival tells the past: nobody waits for it to act."""


def loinc_of(concept: Concept) -> str | None:
    """The LOINC code of a concept, where it has one."""
    return next((c.code for c in concept.codings if c.system == LOINC and c.code), None)


def loincs_of(concept: Concept) -> frozenset[str]:
    """Every LOINC code of a concept, as received; one that names no system by its check digit."""
    return frozenset(
        c.code
        for c in concept.codings
        if c.code and (c.system in _LOINC_SYSTEMS or (not c.system and _is_loinc(c.code)))
    )


def _is_loinc(code: str) -> bool:
    try:
        Loinc(code)
    except Invalid:
        return False
    return True


def tells_the_past(happened: str, zone: str, arrived: datetime) -> bool:
    """True for what was measured so long before it arrived that it is history, not news."""
    return arrived - moment(happened, zone, arrived).latest > HISTORY_AFTER


# Decisions


def record_observation(
    patient: Patient, command: RecordObservation, ctx: Context
) -> tuple[Fact, ...]:
    """A LOINC code, an exact decimal with its UCUM unit, inside what can be (``plausible``)."""
    if (command.value is None) == (not command.components):
        raise Invalid(
            "missing-field", field="value", why="Une mesure a une valeur, ou des composantes."
        )
    parts = [(command.code, command.value, "code", "value")] if command.value else []
    parts += [
        (part.code, part.value, f"components[{place}].code", f"components[{place}].value")
        for place, part in enumerate(command.components)
    ]
    unusual = False
    for code, value, code_field, value_field in parts:
        if value is not None:
            unusual |= _check(code, value, code_field, value_field, confirmed=command.confirmed)
    if not parts or command.components:
        _read_loinc(command.code, "code")
    return (
        Fact(
            ObservationRecorded(
                code=read_concept(command.code, "code"),
                value=None if command.value is None else with_point(command.value),
                components=tuple(
                    msgspec.structs.replace(part, value=with_point(part.value))
                    for part in command.components
                ),
                method=command.method,
                interpretation=command.interpretation,
                confirmed=unusual,
            )
        ),
    )


def _read_loinc(code: Concept, field: str) -> str:
    written = loinc_of(code)
    if written is None:
        raise Invalid("missing-field", field=field, why="Une mesure porte son code LOINC.")
    return str(Loinc(written, field=field))


def _check(
    code: Concept, value: Quantity, code_field: str, value_field: str, *, confirmed: bool
) -> bool:
    """True when the value is unusual and its author confirmed it."""
    if not possible(code, value, code_field, value_field):
        return False
    if not confirmed:
        raise refuse(
            "unusual-value",
            "La mesure n'est pas enregistrée.",
            "Cette valeur sort de l'ordinaire pour cette mesure.",
            "La vérifier, puis la confirmer.",
            field=f"{value_field}.value",
        )
    return True


def possible(code: Concept, value: Quantity, code_field: str, value_field: str) -> bool:
    """Whether a value written here, which is possible, is unusual for its LOINC code.

    Raises:
        Invalid: no LOINC code or a wrong one, no exact decimal, a unit that is not UCUM or not
            this measure's, or a value that cannot be (``plausible``).
    """
    loinc = _read_loinc(code, code_field)
    number, unit = measured(value, field=value_field)
    by_unit = RANGES.get(loinc)
    if by_unit is None:
        return False
    limits = by_unit.get(unit)
    if limits is None:
        raise Invalid(
            "unit-not-expected",
            field=f"{value_field}.unit",
            why="Cette mesure ne s'exprime pas dans cette unité.",
            do="Vérifier l'unité : " + ", ".join(sorted(by_unit)) + ".",
        )
    if not limits.hard_low <= number.number <= limits.hard_high:
        raise Invalid(
            "implausible-value",
            field=f"{value_field}.value",
            why="Cette valeur n'est pas possible pour cette mesure.",
            do="Vérifier la valeur et l'unité.",
        )
    return not limits.soft_low <= number.number <= limits.soft_high
