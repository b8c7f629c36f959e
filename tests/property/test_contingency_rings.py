"""Whatever is set, withdrawn, measured, read, taken back or given back, and in whatever order: an
if/then in force never stands silent beside an unread value that meets it.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
from hypothesis import given as over
from hypothesis import settings
from hypothesis import strategies as some

from releve.domain.aggregates.patient import Patient
from releve.domain.aggregates.patient.contingencies import (
    ContingencySet,
    ContingencyWithdrawn,
    current_contingencies,
    unread_activations,
)
from releve.domain.aggregates.patient.observations import ObservationRecorded
from releve.domain.aggregates.patient.results import ResultReceived, ResultReviewed, settled_by
from releve.domain.aggregates.patient.validation import EntryValidated
from releve.domain.commands import (
    Command,
    ImportedEntry,
    ImportRecord,
    MarkEntryInError,
    ReceiveResult,
    RecordObservation,
    ReinstateEntry,
    ReviewResult,
    SetContingency,
    ValidateEntry,
    WithdrawContingency,
)
from releve.domain.events import Event, Payload
from releve.domain.values import Quantity
from releve.projections.patient_summary import PatientSummary, fold_all
from support.given import STREAM
from support.histories import LABORATORY, histories
from support.results import IF_THEN, K, line

YESTERDAY, LAST_WEEK, LAST_SPRING = "2026-11-23T18:00:00+01:00", "2026-11-17", "2026-04-02"
TAKEN = [None, None, YESTERDAY, LAST_WEEK, LAST_SPRING]
HIGH, LOW = "5.8", "4.1"
KEPT = 3
"""Measures of one code that a summary keeps, whatever it says of them."""

MEASURED: tuple[type[Payload], ...] = (ResultReceived, ObservationRecorded)
RULES: tuple[type[Payload], ...] = (ContingencySet,)
WITHDRAWN: tuple[type[Payload], ...] = (ContingencyWithdrawn,)
READ: tuple[type[Payload], ...] = (ResultReviewed, EntryValidated)

values = some.sampled_from([HIGH, HIGH, LOW])
taken = some.sampled_from(TAKEN)
results = some.builds(
    lambda value, sampled: ResultReceived(
        status="final", title="Ionogramme", lines=(line(value),), sampled_at=sampled
    ),
    values,
    taken,
)
measures = some.builds(
    lambda value: ObservationRecorded(code=K, value=Quantity(value=value, unit="mmol/L")), values
)
if_thens = some.builds(
    lambda at: SetContingency(
        condition="K+ > 5,5", action="ECG", threshold=IF_THEN.threshold, occurred_at=at
    ),
    some.sampled_from([None, None, YESTERDAY]),
)
WRITTEN = some.one_of(
    if_thens,
    results.map(
        lambda one: ReceiveResult(status="final", lines=one.lines, sampled_at=one.sampled_at)
    ),
    some.builds(
        lambda value, at: RecordObservation(
            code=K,
            value=Quantity(value=value, unit="mmol/L", code="mmol/L"),
            occurred_at=at,
        ),
        values,
        taken,
    ),
    some.builds(
        lambda payload, at: ImportRecord(entries=(ImportedEntry(payload=payload, occurred_at=at),)),
        some.one_of(results, measures),
        taken,
    ),
)
ACTS = some.tuples(
    some.sampled_from([
        ("withdraw", RULES), ("mark", RULES), ("back", RULES), ("mark", WITHDRAWN),
        ("back", WITHDRAWN), ("mark", MEASURED), ("back", MEASURED), ("review", MEASURED),
        ("judge", MEASURED), ("mark", READ), ("back", READ),
    ]),
    some.sampled_from([0, 0, 1, 2]),
)  # fmt: skip
STEPS = some.builds(
    lambda first, then: [first, *then],
    if_thens,
    some.lists(some.one_of(WRITTEN, ACTS, ACTS), min_size=1, max_size=14),
)


def commanded(step: Any, record: Patient) -> Command | None:
    """What a step asks of the record as it stands; None where it names nothing that is there."""
    if isinstance(step, Command):
        return step
    (act, kinds), which = step
    found = [
        event.event_id
        for event in record.entries.values()
        if isinstance(event.payload, kinds)
        and (act == "back") == (event.event_id in record.in_error)
    ]
    if not found:
        return None
    entry = found[-1 - which % len(found)]
    if act == "withdraw":
        return WithdrawContingency(contingency=entry, reason="x")
    if act == "mark":
        return MarkEntryInError(entry=entry, reason="x")
    if act == "back":
        return ReinstateEntry(entry=entry, reason="x")
    if act == "review":
        return ReviewResult(result=entry, verdict="normal", inform_patient=False, reason="x")
    return ValidateEntry(entry=entry, verdict="refused" if which % 2 else "accepted", reason="x")


def met(record: Patient) -> set[tuple[UUID, UUID]]:
    """Each if/then in force with each measure in force that meets it, by hand."""
    high = [
        event.event_id
        for event in record.entries.values()
        if isinstance(event.payload, MEASURED)
        and record.stands(event)
        and HIGH in str(msgspec.to_builtins(event.payload))
    ]
    return {(rule.event_id, entry) for rule in current_contingencies(record) for entry in high}


def is_news(event: Event) -> bool:
    told = event.payload.sampled_at if isinstance(event.payload, ResultReceived) else None
    return (told or event.envelope.occurred_at) != LAST_SPRING


def is_unread(record: Patient, entry: UUID) -> bool:
    """Whether somebody is to read it: a result, or a laboratory's measure; by hand."""
    event = record.entries[entry]
    judged: tuple[type[Payload], ...] = (ResultReviewed,)
    if isinstance(event.payload, ObservationRecorded):
        judged = READ
        if event.envelope.source != LABORATORY:
            return False
    elif settled_by(record, event) is not None:
        return False
    return is_news(event) and not is_read(record, entry, judged)


def is_read(
    record: Patient, entry: UUID, judged: tuple[type[Payload], ...] = (ResultReviewed,)
) -> bool:
    said = (each for kind in judged for each in record.told_about(kind, entry))
    return any(each.event_id not in record.in_error for each in said)


@settings(max_examples=300)
@over(STEPS)
def test_no_unread_value_meets_an_if_then_in_silence(steps: list[Any]) -> None:
    for record, summary in histories(commanded, steps):
        rings = {(one.contingency, one.observation) for one in summary.firing}
        listed = {(one.contingency, one.observation) for one in summary.older_measures}
        assert {pair for pair in met(record) if is_unread(record, pair[1])} <= rings
        assert rings == {
            (each.contingency.event_id, each.measure.event_id)
            for each in unread_activations(record)
        }
        assert rings | listed <= met(record)
        assert not rings & listed
        if sum(isinstance(each.payload, MEASURED) for each in record.entries.values()) <= KEPT:
            assert all(
                is_read(record, entry) or not is_news(record.entries[entry])
                for _, entry in met(record) - rings - listed
            )


@settings(max_examples=60)
@over(STEPS)
def test_what_rings_is_the_same_whether_the_record_is_read_at_once_or_as_it_grows(
    steps: list[Any],
) -> None:
    stream: list[Event] = []
    told = [(record, summary) for record, summary in histories(commanded, steps, stream)]
    if told:
        assert shown(told[-1][1]) == shown(fold_all(None, stream, STREAM))


def shown(summary: PatientSummary) -> list[Any]:
    return sorted(
        (str(one.contingency), str(one.observation), one.text, one.as_of, one.old)
        for one in (*summary.firing, *summary.older_measures)
    )
