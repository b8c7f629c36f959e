"""If… then: what the leaving doctor would do, as words and, where possible, as a threshold."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import ClassVar, Literal, NamedTuple
from uuid import UUID

import msgspec

from releve.domain.aggregates.deciding import RELEVE, Context, Fact, refuse
from releve.domain.aggregates.patient.analyte_labels import telling, words_of
from releve.domain.aggregates.patient.loinc_families import kinship
from releve.domain.aggregates.patient.observations import (
    ObservationRecorded,
    loincs_of,
    tells_the_past,
)
from releve.domain.aggregates.patient.record import Fold, Patient, file
from releve.domain.aggregates.patient.results import ResultReceived, ResultReviewed
from releve.domain.commands import SetContingency, WithdrawContingency
from releve.domain.events import Event, Payload
from releve.domain.exact_numbers import number_of
from releve.domain.values import (
    Concept,
    ExactDecimal,
    Loinc,
    Quantity,
    Threshold,
    UcumUnit,
    readable,
    span,
    words,
)

# Events: the storage format. Never rename, retype or reuse a field; see domain/upcasting.py.


class ContingencySet(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """If this, then that, by whom; after ``valid_until`` it still fires, marked expired."""

    topic: ClassVar[str] = "patient.contingency-set"

    condition: str
    action: str
    threshold: Threshold | None = None
    who: str | None = None
    valid_until: str | None = None


class ContingencyActivated(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """A measure met the threshold of a contingency (the envelope's target)."""

    topic: ClassVar[str] = "patient.contingency-activated"

    by: UUID
    """The observation or result that met it."""


class ContingencyWithdrawn(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """A contingency (the envelope's target) was withdrawn, for the envelope's reason."""

    topic: ClassVar[str] = "patient.contingency-withdrawn"


# State

FOLDS: dict[type[Payload], Fold] = {
    ContingencySet: lambda patient, event: patient.contingencies.append(event),
    ContingencyActivated: file,
    ContingencyWithdrawn: file,
}


def current_contingencies(patient: Patient) -> Iterator[Event]:
    """Those that stand and were not withdrawn, expired ones included: nothing expires into calm."""
    withdrawn = {e.envelope.target for e in patient.standing(patient.told(ContingencyWithdrawn))}
    return (e for e in patient.standing(patient.contingencies) if e.event_id not in withdrawn)


Match = Literal["met", "not-met", "unit-error"]


def matches(threshold: Threshold, value: Quantity, comparator: str | None = None) -> Match:
    """Whether a value of what the threshold's LOINC code measures meets it.

    ``unit-error`` is for whatever cannot be compared: another unit, no number, or a bound (``> 4``,
    its ``comparator`` before it) that leaves both answers possible.
    """
    if (value.code or value.unit) != threshold.unit:
        return "unit-error"
    measured, limit = number_of(value.value), number_of(threshold.value)
    if measured is None or limit is None:
        return "unit-error"
    # A strict bound lies a hair beyond its number.
    at = (measured, {">": 1, "<": -1}.get(comparator or "", 0))
    edge = (limit, 0)
    holds = {
        ">": at > edge,
        ">=": at >= edge,
        "<": at < edge,
        "<=": at <= edge,
    }[threshold.comparator]
    if comparator is None:
        return "met" if holds else "not-met"
    if comparator[0] == threshold.comparator[0]:
        return "met" if holds else "unit-error"
    return "unit-error" if holds else "not-met"


_VOID = frozenset({"entered-in-error", "cancelled"})
_BRACKETS = re.compile(r"\([^()]*\)|\[[^\[\]]*\]")
_NAME = 3
"""Letters that a label has at least, to be looked for among words."""


def answers(contingency: ContingencySet, measure: Payload) -> Match | None:
    """What an observation or a result says to an if/then; None where it does not measure that.

    Codes of one family (``loinc_families``) are compared; the same words without such a code, or
    words in the place of a number, are a ``unit-error``: a doctor reads them.
    """
    if contingency.threshold is None:
        return None
    said: list[Match | None] = []
    match measure:
        case ObservationRecorded():
            parts = [(measure.code, measure.value)]
            parts += [(part.code, part.value) for part in measure.components]
            for code, value in parts if measure.status not in _VOID else ():
                if value is not None:
                    said.append(_answered(contingency, contingency.threshold, code, value))
        case ResultReceived():
            for line in measure.lines:
                if line.status not in _VOID:
                    found = (line.code, line.value, line.comparator)
                    said.append(_answered(contingency, contingency.threshold, *found))
        case _:
            pass
    return next((each for each in ("met", "unit-error", "not-met") if each in said), None)


def _answered(
    contingency: ContingencySet,
    threshold: Threshold,
    code: Concept,
    value: Quantity | None,
    comparator: str | None = None,
) -> Match | None:
    codes = loincs_of(code)
    kin = kinship((threshold.loinc,), codes, code.text)
    if kin is None:
        # A code that no family knows: what the doctor wrote may still name the line.
        named = not codes and _names(contingency.condition, code.text)
        return "unit-error" if named else None
    if kin != "same" or value is None:
        return "unit-error"
    return matches(threshold, value, comparator)


def _names(condition: str, label: str) -> bool:
    """Whether a condition says what a line's label tells, with or without what is in brackets."""
    said = set(words_of(condition))
    for written in (label, _BRACKETS.sub(" ", label)):
        told = telling(words_of(written))
        if len("".join(told)) >= _NAME and said.issuperset(told):
            return True
    return False


class Activation(NamedTuple):
    """An if/then that a measure met."""

    event: Event
    contingency: Event
    measure: Event


def activations(patient: Patient) -> Iterator[Activation]:
    """Activations of current if/thens whose measure still stands, oldest first."""
    current = {event.event_id: event for event in current_contingencies(patient)}
    for event in patient.standing(patient.told(ContingencyActivated)):
        if isinstance(event.payload, ContingencyActivated) and event.envelope.target in current:
            measure = patient.entries.get(event.payload.by)
            if measure is not None and patient.stands(measure):
                yield Activation(event, current[event.envelope.target], measure)


def unread_activations(patient: Patient) -> Iterator[Activation]:
    """Those whose measure no doctor has read since; withdrawing the if/then ends them too."""
    read = {e.envelope.target for e in patient.standing(patient.told(ResultReviewed))}
    return (each for each in activations(patient) if each.measure.event_id not in read)


def has_activated(patient: Patient, measure: UUID) -> bool:
    """True while that measure stands and met a current if/then."""
    return any(each.measure.event_id == measure for each in activations(patient))


# Decisions


def set_contingency(patient: Patient, command: SetContingency, ctx: Context) -> tuple[Fact, ...]:
    """A condition and an action; a threshold has a LOINC code, an exact decimal and a UCUM unit."""
    threshold = command.threshold
    if threshold is not None:
        Loinc(threshold.loinc, field="threshold.loinc")
        limit = str(ExactDecimal(threshold.value, field="threshold.value"))
        UcumUnit(threshold.unit, field="threshold.unit")
        threshold = msgspec.structs.replace(threshold, value=limit)
    if command.valid_until is not None:
        span(command.valid_until, ctx.zone, field="valid_until")
    return (
        Fact(
            ContingencySet(
                condition=words(command.condition, field="condition", limit=400),
                action=words(command.action, field="action", limit=400),
                threshold=threshold,
                who=readable(command.who or "", field="who", limit=160) or None,
                valid_until=command.valid_until,
            )
        ),
    )


def withdraw_contingency(
    patient: Patient, command: WithdrawContingency, ctx: Context
) -> tuple[Fact, ...]:
    """A current if/then is no longer so, for a reason; what it activated ends with it."""
    find_contingency(patient, command.contingency, "contingency")
    reason = words(command.reason, field="reason", limit=400)
    return (Fact(ContingencyWithdrawn(), target=command.contingency, reason=reason),)


def find_contingency(patient: Patient, contingency: UUID, field: str) -> Event:
    """The current if/then of that id. Refuses ``unknown-contingency``."""
    for event in current_contingencies(patient):
        if event.event_id == contingency:
            return event
    raise refuse(
        "unknown-contingency",
        "Cette conduite à tenir n'a pas cours.",
        "Aucun « si… alors » en cours de ce dossier ne porte ce nom.",
        "Relire le dossier.",
        field=field,
    )


def activated(
    patient: Patient, facts: Sequence[Fact], ctx: Context, *, happened: str | None
) -> tuple[Fact, ...]:
    """One activation for each current if/then that a measure among ``facts`` meets.

    By the rule itself, whatever door the measure came through; what tells the past meets none.
    ``happened`` is when, for facts that do not say it themselves.
    """
    waiting = [
        (event.event_id, event.payload)
        for event in current_contingencies(patient)
        if isinstance(event.payload, ContingencySet) and event.payload.threshold is not None
    ]
    found = []
    for place, fact in enumerate(facts if waiting else ()):
        if _tells_the_past(fact, ctx, happened):
            continue
        for contingency, said in waiting:
            if answers(said, fact.payload) == "met":
                found.append(
                    Fact(
                        ContingencyActivated(by=ctx.event_id(place)),
                        occurred_at=ctx.now.isoformat(timespec="seconds"),
                        target=contingency,
                        author=RELEVE,
                    )
                )
    return tuple(found)


def _tells_the_past(fact: Fact, ctx: Context, happened: str | None) -> bool:
    happened = fact.occurred_at or happened
    if isinstance(fact.payload, ResultReceived):
        if fact.payload.status == "phoned":
            return False
        happened = fact.payload.sampled_at or happened
    return happened is not None and tells_the_past(happened, ctx.zone, ctx.now)
