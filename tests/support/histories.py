"""A record as any steps make it, and its summary beside it as the feed folds it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import Any, TypeVar

import msgspec

from releve.domain.aggregates.patient import Patient
from releve.domain.aggregates.patient.identity import Registered
from releve.domain.commands import Command, ImportRecord
from releve.domain.errors import Invalid, Refused
from releve.domain.events import Event, Source
from releve.domain.requests import CommandContext, fold, propose
from releve.projections.patient_summary import PatientSummary, fold_all, reads_whole
from support.given import AMONT, CENTRE, IDS, NOW, STREAM, SYSTEM, events, stint_of

Step = TypeVar("Step")
LABORATORY = Source(channel="hprim", system="Labo")
"""Who sends what is imported."""


def histories(
    commanded: Callable[[Step, Patient], Command | None],
    steps: Iterable[Step],
    stream: list[Event] | None = None,
) -> Iterator[tuple[Patient, PatientSummary]]:
    """The record and its summary after each step that was not refused.

    ``commanded`` makes a step a command on the record as it stands, or None where it names
    nothing. ``stream`` is filled with every event.
    """
    stream = [] if stream is None else stream
    stream += _numbered(events([Registered(birth_name="EXEMPLE")]))
    record: Any = fold("patient", None, stream)
    summary = fold_all(None, stream, STREAM)
    for place, step in enumerate(steps):
        command = commanded(step, record)
        if command is None:
            continue
        imported = isinstance(command, ImportRecord)
        context = CommandContext(
            author=SYSTEM if imported else AMONT,
            now=NOW + timedelta(minutes=place),
            key=str(place).encode(),
            actor=b"a",
            centre=CENTRE,
            source=LABORATORY if imported else Source(),
        )
        stint = None if imported else stint_of(AMONT)
        try:
            made = _numbered(propose(IDS, record, command, context, STREAM, author_stint=stint))
        except (Invalid, Refused):
            continue
        record = fold("patient", record, made)
        again = reads_whole(summary, made)
        stream += made
        summary = fold_all(None if again else summary, stream if again else made, STREAM)
        yield record, summary


def _numbered(made: Iterable[Event]) -> list[Event]:
    return [msgspec.structs.replace(event, position=event.originator_version) for event in made]
