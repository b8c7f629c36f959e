"""If… then: what the leaving doctor would do, as words and, where possible, as a threshold."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import ClassVar, Literal, NamedTuple
from uuid import UUID

import msgspec

from releve.domain.aggregates.deciding import RELEVE, Context, Fact, refuse
from releve.domain.aggregates.patient.analyte_labels import telling, words_of
from releve.domain.aggregates.patient.entries import about
from releve.domain.aggregates.patient.loinc_families import kinship
from releve.domain.aggregates.patient.observations import (
    HISTORY_AFTER,
    ObservationRecorded,
    loincs_of,
    tells_the_past,
)
from releve.domain.aggregates.patient.record import IMPORT_CHANNELS, Fold, Patient, file
from releve.domain.aggregates.patient.results import (
    ResultReceived,
    ResultReviewed,
    is_awaited,
    is_unread,
)
from releve.domain.aggregates.patient.validation import EntryValidated
from releve.domain.clinical_time import Moment, moment
from releve.domain.codes import Loinc
from releve.domain.commands import SetContingency, WithdrawContingency
from releve.domain.events import Event, Payload
from releve.domain.exact_numbers import number_of
from releve.domain.values import (
    Concept,
    ExactDecimal,
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


def is_after(said: Moment, taken: Moment, *, known: bool) -> bool:
    """Whether a measure counts as taken after an if/then was said.

    One that comes in later does unless it surely was before; one that the record had already
    (``known``), and its author could know, only where it surely was after.
    """
    if known:
        return taken.earliest > said.latest
    return taken.latest >= said.earliest


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
    """Those that ring: no doctor has read the measure since, nor surely before it was written.

    Withdrawing the if/then ends them too.
    """
    for each in activations(patient):
        if _is_read(patient, each.measure):
            continue
        if awaits_reading(patient, each.measure) or _after(each.contingency, each.measure):
            yield each


def has_activated(patient: Patient, measure: UUID) -> bool:
    """True while that measure stands and met a current if/then."""
    return any(each.measure.event_id == measure for each in activations(patient))


def awaits_reading(patient: Patient, measure: Event) -> bool:
    """True for a result that nobody has read, or another system's measure that nobody accepted.

    Not for what was history when it came in.
    """
    if not patient.stands(measure):
        return False
    if isinstance(measure.payload, ResultReceived):
        return is_unread(patient, measure)
    envelope = measure.envelope
    return (
        envelope.source.channel in IMPORT_CHANNELS
        and not tells_the_past(envelope.occurred_at, envelope.zone, measure.recorded_at)
        and not any(True for _ in about(patient, EntryValidated, measure.event_id))
        and not _is_read(patient, measure)
    )


def _is_read(patient: Patient, measure: Event) -> bool:
    return any(True for _ in about(patient, ResultReviewed, measure.event_id))


def _after(contingency: Event, measure: Event) -> bool:
    return is_after(
        _moment(contingency),
        _moment(measure),
        known=measure.originator_version < contingency.originator_version,
    )


def _moment(event: Event) -> Moment:
    sampled = event.payload.sampled_at if isinstance(event.payload, ResultReceived) else None
    envelope = event.envelope
    return moment(sampled or envelope.occurred_at, envelope.zone, event.recorded_at)


def _measures(patient: Patient, now: datetime) -> Iterator[tuple[Event, bool]]:
    """Measures and results to be judged anew, and whether each is yet to be read.

    All that is unread, and of what needs no reading the last 60 days; what was read has been
    judged.
    """
    for event in (*patient.observations, *patient.told(ResultReceived)):
        is_result = isinstance(event.payload, ResultReceived)
        lately = now - _moment(event).latest <= HISTORY_AFTER
        if not (is_result or lately or event.envelope.source.channel in IMPORT_CHANNELS):
            continue
        if _is_read(patient, event) or not patient.stands(event):
            continue
        unread = awaits_reading(patient, event)
        if unread or (lately and not is_result):
            yield event, unread


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
    patient: Patient, after: Patient, facts: Sequence[Fact], ctx: Context, *, happened: str | None
) -> tuple[Fact, ...]:
    """One activation for each measure that meets an if/then in force because of ``facts``.

    By the rule itself, whatever came: a measure, through whatever door; an if/then, beside what is
    unread; a correction that gives one of them back, or a reading back as one to be made.
    ``after`` is the record once its corrections count; ``happened`` is when, for facts that do not
    say it themselves. What tells the past meets none.
    """
    found = [
        *_by_measures(patient, facts, ctx, happened),
        *_by_if_thens(after, facts, ctx, happened),
    ]
    if after is not patient:
        found += _given_back(patient, after, ctx.now)
    return tuple(
        Fact(
            ContingencyActivated(by=measure),
            occurred_at=ctx.now.isoformat(timespec="seconds"),
            target=contingency,
            author=RELEVE,
        )
        for contingency, measure in found
    )


_Met = tuple[UUID, UUID]
"""An if/then and the measure that meets it."""


def _by_measures(
    patient: Patient, facts: Sequence[Fact], ctx: Context, happened: str | None
) -> Iterator[_Met]:
    """What meets an if/then because it comes in: it is unread, or was not surely taken before."""
    waiting = _waiting(patient)
    coming = {ctx.event_id(place): fact for place, fact in enumerate(facts)} if waiting else {}
    for entry, fact in coming.items():
        is_result = isinstance(fact.payload, ResultReceived)
        if not is_result and not isinstance(fact.payload, ObservationRecorded):
            continue
        if _tells_the_past(patient, fact, coming, ctx, happened):
            continue
        taken = _when(fact, ctx, happened)
        unread = is_result or (fact.source or ctx.source).channel in IMPORT_CHANNELS
        for event, said in waiting:
            timely = unread or is_after(_moment(event), taken, known=False)
            if timely and answers(said, fact.payload) == "met":
                yield event.event_id, entry


def _by_if_thens(
    patient: Patient, facts: Sequence[Fact], ctx: Context, happened: str | None
) -> Iterator[_Met]:
    """What meets an if/then because that is written now: unread, or surely taken since it was said.

    What its author had measured in the same consultation was before them.
    """
    for place, fact in enumerate(facts):
        if not isinstance(fact.payload, ContingencySet) or fact.payload.threshold is None:
            continue
        said = _when(fact, ctx, happened)
        for event, unread in _measures(patient, ctx.now):
            timely = unread or is_after(said, _moment(event), known=True)
            if timely and answers(fact.payload, event.payload) == "met":
                yield ctx.event_id(place), event.event_id


def _given_back(patient: Patient, after: Patient, now: datetime) -> Iterator[_Met]:
    """What meets an if/then because a correction gave one of them back, or took a reading away."""
    waiting = _waiting(after)
    if not waiting:
        return
    told = {
        (event.envelope.target, event.payload.by)
        for event in patient.told(ContingencyActivated)
        if isinstance(event.payload, ContingencyActivated)
    }
    for measure, unread in _measures(after, now):
        anew = unread and not awaits_reading(patient, measure)
        for event, said in waiting:
            if (event.event_id, measure.event_id) in told and not anew:
                continue
            if (unread or _after(event, measure)) and answers(said, measure.payload) == "met":
                yield event.event_id, measure.event_id


def _waiting(patient: Patient) -> list[tuple[Event, ContingencySet]]:
    return [
        (event, event.payload)
        for event in current_contingencies(patient)
        if isinstance(event.payload, ContingencySet) and event.payload.threshold is not None
    ]


def _when(fact: Fact, ctx: Context, happened: str | None) -> Moment:
    sampled = fact.payload.sampled_at if isinstance(fact.payload, ResultReceived) else None
    told = sampled or fact.occurred_at or happened
    return moment(told or ctx.now.isoformat(), ctx.zone, ctx.now)


def _tells_the_past(
    patient: Patient, fact: Fact, coming: Mapping[UUID, Fact], ctx: Context, happened: str | None
) -> bool:
    told = fact.occurred_at or happened
    if isinstance(fact.payload, ResultReceived):
        if fact.payload.status == "phoned" or is_awaited(patient, fact.payload.order, fact.target):
            return False
        told = fact.payload.sampled_at or told
    if told is None or not tells_the_past(told, ctx.zone, ctx.now):
        return False
    before = coming.get(fact.target) if fact.target is not None else None
    return before is None or _tells_the_past(patient, before, coming, ctx, happened)
