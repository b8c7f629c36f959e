"""The patient as the record stands: 19 slots of IPS-FR, and what continuity of care adds.

:func:`fold` is pure and the only reader of patient events on this side: the feed uses it to keep
sealed rows, a replay uses it to say what was known at a moment. A summary keeps what current views
need and is bounded; the whole history stays in the ledger. Corrections change a line's ``state``;
nothing is rewritten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final
from uuid import UUID

import msgspec

from releve.domain.aggregates.patient.identity import Registered
from releve.domain.events import Event, Source
from releve.projections import wording
from releve.projections.summary_lines import (
    FORMAT,
    SLOTS,
    Change,
    Fired,
    Handover,
    Item,
    Line,
    Note,
    PatientSummary,
    Presence,
    Slot,
    Spoken,
    State,
    from_bytes,
    to_bytes,
)

__all__ = [
    "FORMAT", "SLOTS", "Change", "Fired", "Handover", "Item", "Line", "Note", "PatientSummary",
    "Presence", "Slot", "Spoken", "State", "apply", "fold", "fold_all", "from_bytes", "to_bytes",
]  # fmt: skip

VITAL_SIGNS: Final = frozenset(
    {
        "85354-9", "8480-6", "8462-4", "8867-4", "9279-1", "8310-5", "29463-7", "8302-2",
        "39156-5", "59408-5", "2708-6", "8289-1", "9843-4", "72514-3",
    }
)  # fmt: skip
"""LOINC codes that are vital signs whatever category came with them."""

_PER_CODE, _DOCUMENTS, _ENCOUNTERS, _NOTES, _HANDOVERS, _CHANGES = 5, 30, 20, 10, 6, 40
_CLOSED_ITEMS, _SEVERITIES, _FIRED = 20, 12, 6


def fold(summary: PatientSummary | None, event: Event) -> PatientSummary:
    """The summary after ``event``; the one given is left as it was.

    Raises:
        KeyError: the topic has no place here: the record cannot be shown as complete.
    """
    return fold_all(summary, (event,), event.originator_id)


def fold_all(
    summary: PatientSummary | None, events: Iterable[Event], patient: UUID
) -> PatientSummary:
    """The summary after all ``events``, in their order; copies once, whatever their number."""
    folded = PatientSummary(patient=patient) if summary is None else _copied(summary)
    for event in events:
        apply(folded, event)
    return folded


def apply(summary: PatientSummary, event: Event) -> None:
    """Change ``summary`` by one event, in place: for whoever owns it alone, as the feed does."""
    handler = _HANDLERS[event.payload.topic]
    envelope = event.envelope
    detail = wording.detail_of(event.payload)
    author = envelope.author
    source = envelope.source
    line = Line(
        entry_id=event.event_id,
        topic=event.payload.topic,
        slot="",
        text=wording.entry_text(event.payload.topic, detail, envelope.zone),
        as_of=envelope.occurred_at,
        recorded_at=event.recorded_at,
        author=author.name,
        role=author.role,
        position=-1 if event.position is None else event.position,
        version=event.originator_version,
        detail=detail,
        zone=envelope.zone,
        person=author.person,
        stint=author.stint,
        centre=envelope.centre,
        encounter_id=envelope.encounter_id,
        target=envelope.target,
        reason=envelope.reason,
        source=None if source == _HERE else source,
    )
    if line.target is not None and line.topic in _SUPERSEDING:
        # The same line of the same source, said anew: what it replaces leaves current views.
        for held in (summary.lines, summary.absences):
            held[:] = [other for other in held if other.entry_id != line.target]
    handler(summary, line)
    summary.position = line.position
    summary.version = line.version
    summary.zone = line.zone
    if summary.recorded_at is None or summary.recorded_at < line.recorded_at:
        summary.recorded_at = line.recorded_at
    if line.centre is not None and line.centre not in summary.centres:
        summary.centres.append(line.centre)


_HERE = Source()

_SUPERSEDING: Final = frozenset(
    {
        "patient.problem-recorded", "patient.allergy-recorded", "patient.absence-asserted",
        "patient.medication-started", "patient.observation-recorded",
    }
)  # fmt: skip
"""Topics whose target, on an import, is the older version of the line that they replace."""


def _copied(summary: PatientSummary) -> PatientSummary:
    """A copy whose lists are its own; the lines in them are frozen and shared."""
    copy = PatientSummary(patient=summary.patient)
    for name in PatientSummary.__struct_fields__:
        value = getattr(summary, name)
        setattr(copy, name, list(value) if isinstance(value, list) else value)
    return copy


def _changed(summary: PatientSummary, line: Line) -> None:
    summary.changes.append(
        Change(entry_id=line.entry_id, position=line.position, text=line.text, stint=line.stint)
    )
    del summary.changes[:-_CHANGES]


def _registered(summary: PatientSummary, line: Line) -> None:
    summary.registered = line
    summary.identity = msgspec.convert(line.detail, Registered)


def _attending(summary: PatientSummary, line: Line) -> None:
    summary.attending.append(line)
    declared = line.detail.get("centre")
    if declared and UUID(declared) not in summary.centres:
        summary.centres.append(UUID(declared))


def _encounter(summary: PatientSummary, line: Line) -> None:
    summary.encounters.append(line)
    summary.encounter_count += 1
    _bounded(summary.encounters, _ENCOUNTERS)
    _changed(summary, line)


def _note(summary: PatientSummary, line: Line) -> None:
    summary.notes.append(Note(line=line))
    if len(summary.notes) > _NOTES:
        # The oldest goes, unless it is the last that says who the patient is.
        spoken = [note for note in summary.notes if note.line.current and note.spoken]
        kept = max(spoken, key=lambda note: note.spoken_at, default=None)
        others = [note for note in summary.notes if note is not kept]
        oldest = min(others, key=lambda note: note.line.recency)
        summary.notes = [note for note in summary.notes if note is not oldest]


def _amended(summary: PatientSummary, line: Line) -> None:
    for index, note in enumerate(summary.notes):
        if note.line.entry_id == line.target:
            summary.notes[index] = msgspec.structs.replace(
                note, amendments=(*note.amendments, line)
            )
    _changed(summary, line)


_PAST_CLINICAL = frozenset({"inactive", "remission", "resolved"})
_PAST_MEDICATION = frozenset(
    {"completed", "stopped", "cancelled", "not-taken", "not-done", "declined", "draft"}
)


def _verified(line: Line, past: bool) -> State:
    """The state that verification and clinical status, as received, give a line."""
    if line.verification == "entered-in-error":
        return "in-error"
    if line.verification == "refuted":
        return "refuted"
    return "past" if past else "current"


def _problem(summary: PatientSummary, line: Line) -> None:
    status = line.clinical_status
    ended = status is None and "abatement" in line.detail
    state = _verified(line, status in _PAST_CLINICAL or ended)
    slot = "past-illness" if state == "past" else "problems"
    # In the slot of past illness, a past problem is what is current to say.
    _placed(summary, line, slot, "current" if state == "past" else state)


def _allergy(summary: PatientSummary, line: Line) -> None:
    _placed(summary, line, "allergies", _verified(line, line.clinical_status in _PAST_CLINICAL))


def _medication(summary: PatientSummary, line: Line) -> None:
    state: State = "current"
    if line.status == "entered-in-error":
        state = "in-error"
    elif line.status in _PAST_MEDICATION:
        state = "past"
    _placed(summary, line, "medications", state)


def _placed(summary: PatientSummary, line: Line, slot: str, state: State) -> None:
    text = line.text.split(" : ", 1)[-1]
    summary.lines.append(msgspec.structs.replace(line, slot=slot, state=state, text=text))
    _changed(summary, line)


def _absence(summary: PatientSummary, line: Line) -> None:
    state = _verified(line, line.clinical_status in _PAST_CLINICAL)
    summary.absences.append(msgspec.structs.replace(line, slot=line.detail["slot"], state=state))


def _observation(summary: PatientSummary, line: Line) -> None:
    codes = {coding.get("code") for coding in line.detail["code"].get("codings", ())}
    category = line.detail.get("category")
    if category == "vital-signs" or codes & VITAL_SIGNS:
        slot = "vital-signs"
    elif category == "social-history":
        slot = "lifestyle"
    else:
        slot = "results"
    state: State = (
        "in-error" if line.detail.get("status") in ("entered-in-error", "cancelled") else "current"
    )
    text = line.text.split(" : ", 1)[-1]
    placed = msgspec.structs.replace(line, slot=slot, state=state, text=text)
    same = [
        index for index, other in enumerate(summary.lines)
        if other.topic == line.topic and other.detail["code"] == line.detail["code"]
    ]  # fmt: skip
    summary.lines.append(placed)
    if len(same) >= _PER_CODE:
        # The oldest measure goes, which may be the late one that has just come.
        places = [*same, len(summary.lines) - 1]
        del summary.lines[min(places, key=lambda index: summary.lines[index].recency)]
    if state == "current":
        for contingency in summary.contingencies:
            met = _compared(contingency, line.detail)
            if contingency.current and met is not None:
                happened = line.moment.latest
                summary.fired.append(
                    Fired(
                        contingency=contingency.entry_id, observation=line.entry_id, text=text,
                        as_of=line.as_of, position=line.position, matched=met,
                        happened_by=happened, old=happened < contingency.moment.earliest,
                    )
                )  # fmt: skip
        old = sorted(summary.older_measures, key=lambda fired: fired.happened_by)
        forgotten = old[: max(0, len(old) - _FIRED)]
        summary.fired = [fired for fired in summary.fired if fired not in forgotten]


def _compared(contingency: Line, observation: Mapping[str, Any]) -> bool | None:
    """True: the threshold is met; False: not comparable (unit, value); None: not concerned."""
    threshold = contingency.detail.get("threshold")
    if not threshold:
        return None
    measures = [(observation["code"], observation.get("value"))]
    measures += [(part["code"], part["value"]) for part in observation.get("components", ())]
    for code, value in measures:
        if not value or not any(
            coding.get("code") == threshold["loinc"] for coding in code.get("codings", ())
        ):
            continue
        if threshold["unit"] not in (value.get("unit"), value.get("code")):
            return False
        try:
            measured, limit = Decimal(value["value"]), Decimal(threshold["value"])
        except InvalidOperation:
            return False
        if _COMPARATORS[threshold["comparator"]](measured, limit):
            return True
    return None


_COMPARATORS: Mapping[str, Callable[[Decimal, Decimal], bool]] = {
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
}


def _document(summary: PatientSummary, line: Line) -> None:
    text = line.text.split(" : ", 1)[-1]
    summary.lines.append(msgspec.structs.replace(line, slot="documents", text=text))
    documents = [n for n, other in enumerate(summary.lines) if other.slot == "documents"]
    if len(documents) > _DOCUMENTS:
        del summary.lines[documents[0]]


def _item(summary: PatientSummary, line: Line) -> None:
    summary.items.append(Item(line=line))
    _changed(summary, line)


def _item_closed(summary: PatientSummary, line: Line) -> None:
    for index, item in enumerate(summary.items):
        if item.line.entry_id == line.target:
            summary.items[index] = msgspec.structs.replace(item, closing=line)
    closed = [index for index, item in enumerate(summary.items) if not item.open]
    if len(closed) > _CLOSED_ITEMS:
        del summary.items[closed[0]]
    _changed(summary, line)


def _contingency(summary: PatientSummary, line: Line) -> None:
    summary.contingencies.append(line)
    _changed(summary, line)


def _severity(summary: PatientSummary, line: Line) -> None:
    summary.severities.append(line)
    _bounded(summary.severities, _SEVERITIES, keep=summary.severity)
    _judged(summary, line)
    _changed(summary, line)


def _judged(summary: PatientSummary, line: Line) -> None:
    """A clinician has judged the patient after a measure: it no longer rings.

    Judging how the patient was before the measure answers nothing.
    """
    at = line.moment.latest
    summary.fired = [
        msgspec.structs.replace(fired, answered=True) if fired.happened_by <= at else fired
        for fired in summary.fired
    ]
    answered = [fired for fired in summary.fired if fired.answered]
    forgotten = answered[: max(0, len(answered) - _FIRED)]
    summary.fired = [fired for fired in summary.fired if fired not in forgotten]


def _handover(summary: PatientSummary, line: Line) -> None:
    state: State = "current"
    for index, other in enumerate(summary.handovers):
        if not (other.line.current and line.stint and other.line.stint == line.stint):
            continue
        if other.line.recency > line.recency:
            state = "superseded"  # a late one about an earlier day
        else:
            summary.handovers[index] = msgspec.structs.replace(
                other, line=msgspec.structs.replace(other.line, state="superseded")
            )
    summary.handovers.append(Handover(line=msgspec.structs.replace(line, state=state)))
    if len(summary.handovers) > _HANDOVERS:
        oldest = min(summary.handovers, key=lambda each: (each.line.current, each.line.recency))
        summary.handovers = [each for each in summary.handovers if each is not oldest]
    _severity(summary, line)


def _read_back(summary: PatientSummary, line: Line) -> None:
    for index, handover in enumerate(summary.handovers):
        if handover.line.entry_id == line.target:
            summary.handovers[index] = msgspec.structs.replace(
                handover, read_backs=(*handover.read_backs, line)
            )


def _in_error(summary: PatientSummary, line: Line) -> None:
    """The target leaves every current view, wherever it stands; an unknown one changes nothing."""
    target = line.target

    def marked(other: Line) -> Line:
        if other.entry_id != target:
            return other
        return msgspec.structs.replace(other, state="in-error", error_reason=line.reason)

    for name in ("lines", "absences", "encounters", "contingencies", "severities", "attending"):
        held: list[Line] = getattr(summary, name)
        setattr(summary, name, [marked(other) for other in held])
    summary.notes = [
        Note(line=marked(note.line), amendments=tuple(marked(each) for each in note.amendments))
        for note in summary.notes
    ]
    summary.handovers = [
        Handover(line=marked(each.line), read_backs=tuple(marked(r) for r in each.read_backs))
        for each in summary.handovers
    ]
    _revived(summary, target)
    # An item closed in error is open again.
    summary.items = [
        Item(
            line=marked(item.line),
            closing=None if item.closing and item.closing.entry_id == target else item.closing,
        )
        for item in summary.items
    ]
    summary.fired = [
        fired for fired in summary.fired if target not in (fired.observation, fired.contingency)
    ]
    summary.changes = [change for change in summary.changes if change.entry_id != target]
    _changed(summary, line)


def _revived(summary: PatientSummary, target: UUID | None) -> None:
    """A handover that an erroneous one had replaced is in force again."""
    wrong = next((each.line for each in summary.handovers if each.line.entry_id == target), None)
    if wrong is None:
        return
    same = [each.line for each in summary.handovers if each.line.stint == wrong.stint]
    if any(line.current for line in same):
        return
    replaced = [line for line in same if line.state == "superseded"]
    latest = max(replaced, key=lambda line: line.recency, default=None)
    summary.handovers = [
        msgspec.structs.replace(each, line=msgspec.structs.replace(latest, state="current"))
        if latest is not None and each.line is latest
        else each
        for each in summary.handovers
    ]


def _bounded(lines: list[Line], limit: int, keep: Line | None = None) -> None:
    """Drop the oldest lines by clinical time beyond ``limit``, in error first; ``keep`` stays."""
    while len(lines) > limit:
        others = [line for line in lines if line is not keep]
        oldest = min(others, key=lambda line: (line.current, line.recency))
        lines[:] = [line for line in lines if line is not oldest]


_HANDLERS: Mapping[str, Callable[[PatientSummary, Line], None]] = {
    "patient.registered": _registered,
    "patient.medecin-traitant-declared": _attending,
    "patient.encounter-recorded": _encounter,
    "patient.note-signed": _note,
    "patient.note-amended": _amended,
    "patient.observation-recorded": _observation,
    "patient.problem-recorded": _problem,
    "patient.allergy-recorded": _allergy,
    "patient.absence-asserted": _absence,
    "patient.medication-started": _medication,
    "patient.document-attached": _document,
    "patient.item-opened": _item,
    "patient.item-closed": _item_closed,
    "patient.contingency-set": _contingency,
    "patient.illness-severity-set": _severity,
    "patient.handover-written": _handover,
    "patient.handover-read-back": _read_back,
    "patient.entry-marked-in-error": _in_error,
}
"""One place for every patient topic; a test compares it with the registry."""
