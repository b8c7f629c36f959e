"""Potassium in every form that tests ask about: measured, reported, phoned, ordered, watched."""

from __future__ import annotations

from typing import Any

from releve.domain.aggregates.patient.contingencies import ContingencySet
from releve.domain.aggregates.patient.observations import LOINC, ObservationRecorded
from releve.domain.aggregates.patient.results import ResultReceived
from releve.domain.events import Source
from releve.domain.values import Coding, Concept, Quantity, ResultLine, ResultStatus, Threshold

K = Concept(text="Potassium", codings=(Coding(system=LOINC, code="2823-3"),))
NA = Concept(text="Sodium", codings=(Coding(system=LOINC, code="2951-2"),))
LAB = "Laboratoire de l'exemple"
ABOVE = Threshold(loinc="2823-3", comparator=">", value="5.5", unit="mmol/L")
IF_THEN = ContingencySet(condition="K+ > 5,5", action="ECG", threshold=ABOVE)
CDA = Source(channel="cda", system="urn:oid:1.2.250.1.999")


def line(value: str, *, code: Concept = K, unit: str | None = "mmol/L", **more: Any) -> ResultLine:
    """One line of a result."""
    return ResultLine(code=code, value=Quantity(value=value, unit=unit, code=unit), **more)


def result(status: ResultStatus = "final", value: str = "4.1", **more: Any) -> ResultReceived:
    """A result of one line."""
    return ResultReceived(status=status, title="Ionogramme", lines=(line(value),), **more)


def phoned(value: str, unit: str = "mmol/L", **more: Any) -> ResultReceived:
    """A result dictated by telephone and read back to the caller."""
    return ResultReceived(
        status="phoned",
        title="Ionogramme",
        lines=(line(value, unit=unit),),
        caller="Mme Exemple",
        read_back=True,
        **more,
    )


def measure(value: str, unit: str = "mmol/L") -> ObservationRecorded:
    """A value that a doctor entered."""
    return ObservationRecorded(code=K, value=Quantity(value=value, unit=unit))
