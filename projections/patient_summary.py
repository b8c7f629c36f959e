"""The patient as the record stands: 19 slots of IPS-FR, and what continuity of care adds.

:func:`fold` is pure and the only reader of patient events on this side: the feed uses it to keep
sealed rows, a replay uses it to say what was known at a moment. A summary keeps what current views
need and is bounded; the whole history stays in the ledger. Corrections change a line's ``state``;
nothing is rewritten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from releve.domain.aggregates.patient.identity import Registered
from releve.domain.events import Event, Source
from releve.projections import summary_contingencies as contingencies
from releve.projections import summary_corrections as corrections
from releve.projections import summary_results as results
from releve.projections import wording
from releve.projections.summary_contingencies import then_judged
from releve.projections.summary_corrections import place, weigh
from releve.projections.summary_courses import (
    ACCEPTED,
    Change,
    Fired,
    Handover,
    Item,
    ItemState,
    Question,
    Result,
    ResultState,
    Seen,
    standing,
)
from releve.projections.summary_lines import (
    SLOTS,
    Line,
    Note,
    Presence,
    Slot,
    Spoken,
    State,
    Validation,
)
from releve.projections.summary_recall import forgettable, reads_whole, spoken_of_again, without
from releve.projections.summary_record import (
    FORMAT,
    INS,
    PatientSummary,
    from_bytes,
    starts,
    to_bytes,
)
from releve.projections.summary_standing import settled

__all__ = [
    "FORMAT", "SLOTS", "Change", "Fired", "Handover", "Item", "ItemState", "Line", "Note",
    "PatientSummary", "Presence", "Question", "Result", "ResultState", "Seen", "Slot", "Spoken",
    "State", "Validation", "apply", "fold", "fold_all", "from_bytes", "reads_whole", "to_bytes",
]  # fmt: skip

_ENCOUNTERS, _NOTES, _HANDOVERS, _CHANGES, _CLOSED_ITEMS = 10, 6, 4, 40, 12
_SEVERITIES, _ANSWERED, _OPINIONS, _APPOINTMENTS, _ALD, _TOLD, _TREATED = 8, 6, 12, 24, 8, 3, 40
_STEPS, _PAST_APPOINTMENTS, _COMING = 6, 4, 20


def fold(summary: PatientSummary | None, event: Event) -> PatientSummary:
    """The summary after ``event``; the one given is left as it was.

    Raises:
        KeyError: the topic has no place here: the record cannot be shown as complete.
    """
    return fold_all(summary, (event,), event.originator_id)


def fold_all(
    summary: PatientSummary | None, events: Iterable[Event], patient: UUID
) -> PatientSummary:
    """The summary after all ``events``, in their order; copies once, whatever their number.

    Where :func:`~.summary_recall.reads_whole` says so of ``summary`` and ``events``, give the whole
    record instead: what is spoken of again may have been let go.
    """
    if summary is None:
        events = list(events)
        folded = PatientSummary(patient=patient, recalled=spoken_of_again(events))
    else:
        folded = _copied(summary)
    for event in events:
        apply(folded, event)
    return folded


def apply(summary: PatientSummary, event: Event) -> None:
    """Change ``summary`` by one event, in place: for whoever owns it alone, as the feed does."""
    handler = _HANDLERS[event.payload.topic]
    envelope = event.envelope
    author = envelope.author
    source = envelope.source
    line = Line(
        entry_id=event.event_id,
        topic=event.payload.topic,
        as_of=envelope.occurred_at,
        recorded_at=event.recorded_at,
        author=author.name,
        role=author.role,
        position=-1 if event.position is None else event.position,
        version=event.originator_version,
        detail=wording.detail_of(event.payload),
        zone=envelope.zone,
        person=author.person,
        stint=author.stint,
        centre=envelope.centre,
        encounter_id=envelope.encounter_id,
        target=envelope.target,
        reason=envelope.reason,
        source=None if source == _HERE else source,
    )
    handler(summary, line)
    if line.topic not in _QUIET:
        summary.changes.append(
            Change(
                entry_id=line.entry_id, position=line.position, topic=line.topic, person=line.person
            )
        )
        del summary.changes[:-_CHANGES]
    if line.person is not None and not line.imported:
        _seen(summary, line.person, line, envelope.seen_position)
    summary.position = line.position
    summary.version = line.version
    summary.zone = line.zone
    if summary.recorded_at is None or summary.recorded_at < line.recorded_at:
        summary.recorded_at = line.recorded_at
    if line.centre is not None and line.centre not in summary.centres:
        summary.centres.append(line.centre)


def _seen(summary: PatientSummary, person: UUID, line: Line, screen: int | None) -> None:
    """Note what somebody who writes had before them: their screen, or the record itself."""
    before = next((seen for seen in summary.seen_by if seen.person == person), None)
    read = line.position if screen is None else min(screen, line.position)
    treated = line.topic in _CARE
    if before is not None:
        summary.seen_by.remove(before)
        read, treated = max(read, before.position), treated or before.treated
    summary.seen_by.append(Seen(person=person, position=read, treated=treated))
    del summary.seen_by[:-_TREATED]


_HERE = Source()

_QUIET: Final = frozenset(
    {
        "patient.registered", "patient.medecin-traitant-declared", "patient.note-signed",
        "patient.document-attached", "patient.handover-read-back", "patient.item-offered",
        "patient.item-declined", "patient.appointment-noticed", "patient.ins-status-changed",
        "patient.contact-details-changed", "patient.contact-attempted",
    }
)  # fmt: skip
"""Topics that alone do not make a record "new": they say nothing clinical that is not beside."""

_CARE: Final = frozenset(
    {
        "patient.encounter-recorded", "patient.note-signed", "patient.handover-written",
        "patient.investigation-ordered", "patient.result-reviewed", "patient.medication-started",
        "patient.medication-changed", "patient.medication-stopped", "patient.problem-recorded",
        "patient.illness-severity-set", "patient.item-opened", "patient.contingency-set",
        "patient.item-accepted",
    }
)  # fmt: skip
"""Topics whose author takes part in the patient's care."""


def _copied(summary: PatientSummary) -> PatientSummary:
    """A copy whose lists are its own; the lines in them are frozen and shared."""
    copy = PatientSummary(patient=summary.patient)
    for name in PatientSummary.__struct_fields__:
        value = getattr(summary, name)
        setattr(copy, name, list(value) if isinstance(value, list) else value)
    return copy


def _registered(summary: PatientSummary, line: Line) -> None:
    summary.registered = line
    _identify(summary)


def _identify(summary: PatientSummary) -> None:
    """The traits as registered, with the INS status in force."""
    if summary.registered is None:
        return
    who = msgspec.convert(summary.registered.detail, Registered)
    status = summary.ins
    if status is not None:
        who = msgspec.structs.replace(who, identity_status=status.detail["status"])
    summary.identity = who


def _attending(summary: PatientSummary, line: Line) -> None:
    summary.attending.append(line)
    declared = line.detail.get("centre")
    if declared and UUID(declared) not in summary.centres:
        summary.centres.append(UUID(declared))
    bound(summary, "attending", _TOLD + 3, keep=summary.medecin_traitant)


def _attending_ended(summary: PatientSummary, line: Line) -> None:
    if line.target is None and summary.medecin_traitant is not None:
        line = msgspec.structs.replace(line, target=summary.medecin_traitant.entry_id)
    corrections.revise(summary, line)


def _encounter(summary: PatientSummary, line: Line) -> None:
    summary.encounters.append(line)
    summary.encounter_count += 1
    bound(summary, "encounters", _ENCOUNTERS)


_SPOKEN = frozenset({"one_liner", "kind"})


def _thin(line: Line) -> Line:
    """A note's line without its text, which stays in the ledger."""
    kept = {name: value for name, value in line.detail.items() if name in _SPOKEN}
    return msgspec.structs.replace(line, detail=kept)


def _note(summary: PatientSummary, line: Line) -> None:
    summary.notes.append(Note(line=_thin(line)))
    _bound_notes(summary)


def _bound_notes(summary: PatientSummary) -> None:
    notes = forgettable(summary, summary.notes)
    # The oldest goes, unless it is the last that says who the patient is.
    spoken = [note for note in summary.notes if note.line.current and note.spoken]
    kept = max(spoken, key=lambda note: note.spoken_at, default=None)
    others = [note for note in notes if note is not kept]
    others.sort(key=lambda note: note.line.recency)
    summary.notes = without(summary.notes, others[: max(0, len(notes) - _NOTES)])


def _amended(summary: PatientSummary, line: Line) -> None:
    for index, note in enumerate(summary.notes):
        if note.line.entry_id == line.target:
            kept = (*note.amendments, _thin(line))[-_STEPS:]
            summary.notes[index] = msgspec.structs.replace(note, amendments=kept)


def _absence(summary: PatientSummary, line: Line) -> None:
    placed = msgspec.structs.replace(line, slot=line.detail["slot"])
    summary.absences.append(settled(placed))
    weigh(summary, line.target)
    gone = [each for each in forgettable(summary, summary.absences) if not each.current]
    summary.absences = without(summary.absences, gone[: max(0, len(gone) - _TOLD)])


def _observation(summary: PatientSummary, line: Line) -> None:
    placed = place(summary, line)
    weigh(summary, line.target)
    if placed.current:
        contingencies.fire(summary, placed, [placed.detail])


def _lines(summary: PatientSummary, line: Line) -> None:
    place(summary, line)
    weigh(summary, line.target)


def _item(summary: PatientSummary, line: Line) -> None:
    summary.items.append(Item(line=line))
    results.awaited_again(summary)


def _item_step(name: str) -> Callable[[PatientSummary, Line], None]:
    """Keep a step of an item under ``name``, and forget the first closed of many."""

    def kept(summary: PatientSummary, line: Line) -> None:
        for index, item in enumerate(summary.items):
            if item.line.entry_id == line.target:
                steps = _few((*getattr(item, name), line))
                summary.items[index] = msgspec.structs.replace(item, **{name: steps})
        if name == "steps":
            return
        results.cancel(summary, line.target)
        closed = forgettable(summary, (item for item in summary.items if not item.open))
        closed.sort(key=lambda item: item.last_step.version)
        summary.items = without(summary.items, closed[: max(0, len(closed) - _CLOSED_ITEMS)])

    return kept


def _few(steps: tuple[Line, ...]) -> tuple[Line, ...]:
    """The last few steps; attempts go before offers, and who holds the item is never forgotten."""
    kept = list(steps)
    while len(kept) > _STEPS:
        taken = [step for step in standing(kept) if step.topic == ACCEPTED][-1:]
        attempts = (step for step in kept if step.topic == _ATTEMPTED)
        kept.remove(next(attempts, None) or next(step for step in kept if step not in taken))
    return tuple(kept)


_ATTEMPTED: Final = "patient.contact-attempted"


def _contact(summary: PatientSummary, line: Line) -> None:
    _item_step("steps")(summary, line)
    results.attempted(summary, line)
    _told(summary, line)


def _contingency(summary: PatientSummary, line: Line) -> None:
    summary.contingencies.append(line)
    bound(summary, "contingencies", 12, only_past=True)


def _severity(summary: PatientSummary, line: Line) -> None:
    summary.severities.append(line)
    bound(summary, "severities", _SEVERITIES, keep=summary.severity)


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
    _bound_handovers(summary)
    said = {name: line.detail[name] for name in ("severity", "summary") if name in line.detail}
    _severity(summary, msgspec.structs.replace(line, detail=said))


def _bound_handovers(summary: PatientSummary) -> None:
    held = forgettable(summary, summary.handovers)
    held.sort(key=lambda each: (each.line.current, each.line.recency))
    summary.handovers = without(summary.handovers, held[: max(0, len(held) - _HANDOVERS)])


def _read_back(summary: PatientSummary, line: Line) -> None:
    for index, handover in enumerate(summary.handovers):
        if handover.line.entry_id == line.target:
            summary.handovers[index] = msgspec.structs.replace(
                handover, read_backs=(*handover.read_backs, line)[-_STEPS:]
            )


def _asked(summary: PatientSummary, line: Line) -> None:
    summary.questions.append(Question(line=line))
    answered = forgettable(summary, (each for each in summary.questions if not each.open))
    summary.questions = without(summary.questions, answered[: max(0, len(answered) - _ANSWERED)])


def _answered(summary: PatientSummary, line: Line) -> None:
    for index, question in enumerate(summary.questions):
        if question.line.entry_id == line.target:
            summary.questions[index] = msgspec.structs.replace(
                question, answers=(*question.answers, line)[-_STEPS:]
            )


def _opinion(summary: PatientSummary, line: Line) -> None:
    summary.opinions.append(line)
    _bound_opinions(summary)


def _bound_opinions(summary: PatientSummary) -> None:
    """Let the first go that are no challenge, or that were answered."""
    held = forgettable(summary, summary.opinions)
    if len(held) > _OPINIONS:
        asked = [found for line in summary.lines if (found := summary.challenge_of(line))]
        others = without(held, asked)
        summary.opinions = without(summary.opinions, others[: len(held) - _OPINIONS])


def _appointment(summary: PatientSummary, line: Line) -> None:
    """Keep the agenda's word; what is over when a new one comes is forgotten first."""
    summary.appointments.append(line)
    _bound_appointments(summary, line.recorded_at)


def _bound_appointments(summary: PatientSummary, now: datetime) -> None:
    if len(summary.appointments) <= _APPOINTMENTS:
        return
    last_word = {each.detail.get("reference") or each.entry_id.hex: each
                 for each in summary.appointments}  # fmt: skip
    by_start = sorted(last_word.values(), key=starts)
    over = [each for each in by_start if starts(each)[0] < now]
    coming = by_start[len(over) :]
    kept = {each.entry_id for each in [*over[-_PAST_APPOINTMENTS:], *coming[:_COMING]]}
    gone = forgettable(summary, (one for one in summary.appointments if one.entry_id not in kept))
    summary.appointments = without(summary.appointments, gone)


def _ald(summary: PatientSummary, line: Line) -> None:
    summary.ald.append(line)
    bound(summary, "ald", _ALD)


def _told(summary: PatientSummary, line: Line) -> None:
    summary.told.append(line)
    _bound_told(summary, line.topic)
    if line.topic == INS:
        _identify(summary)


def _bound_told(summary: PatientSummary, topic: str) -> None:
    same = forgettable(summary, (each for each in summary.told if each.topic == topic))
    # A reading of some slots never pushes out that of the whole summary, nor an INS status about
    # an older day the one that was said before it.
    if topic == INS:
        same.sort(key=lambda each: (each.current, each.version))
    else:
        same.sort(key=lambda each: (each.current, not each.detail.get("slots"), each.recency))
    summary.told = without(summary.told, same[: max(0, len(same) - _TOLD)])


def _reviewed(summary: PatientSummary, line: Line) -> None:
    results.reviewed(summary, line)
    contingencies.reviewed(summary, line)


def _corrected(summary: PatientSummary, line: Line) -> None:
    corrections.mark(summary, line, wrong=True)
    results.corrected(summary, line.target)
    _identify(summary)


def _reinstated(summary: PatientSummary, line: Line) -> None:
    corrections.mark(summary, line, wrong=False)
    results.corrected(summary, line.target)
    _identify(summary)


def _validated(summary: PatientSummary, line: Line) -> None:
    corrections.validated(summary, line)
    results.corrected(summary, line.target)


def bound(
    summary: PatientSummary,
    name: str,
    limit: int,
    keep: Line | None = None,
    *,
    only_past: bool = False,
) -> None:
    """Let the oldest lines by clinical time go beyond ``limit``, what does not stand first.

    ``keep`` stays; with ``only_past`` everything that stands does.
    """
    held: list[Line] = getattr(summary, name)
    lines = forgettable(summary, held)
    others = [line for line in lines if line is not keep and not (only_past and line.current)]
    others.sort(key=lambda line: (line.current, line.recency))
    setattr(summary, name, without(held, others[: max(0, len(lines) - limit)]))


_HANDLERS: Mapping[str, Callable[[PatientSummary, Line], None]] = {
    "patient.registered": _registered,
    "patient.medecin-traitant-declared": _attending,
    "patient.medecin-traitant-ended": _attending_ended,
    "patient.ins-status-changed": _told,
    "patient.contact-details-changed": _told,
    "patient.death-recorded": _told,
    "patient.encounter-recorded": _encounter,
    "patient.appointment-noticed": _appointment,
    "patient.note-signed": _note,
    "patient.note-amended": _amended,
    "patient.observation-recorded": then_judged(_observation),
    "patient.problem-recorded": _lines,
    "patient.problem-revised": corrections.revise,
    "patient.allergy-recorded": _lines,
    "patient.allergy-revised": corrections.revise,
    "patient.absence-asserted": _absence,
    "patient.medication-started": _lines,
    "patient.medication-changed": corrections.revise,
    "patient.medication-stopped": corrections.revise,
    "patient.medication-reconciled": _told,
    "patient.immunization-recorded": _lines,
    "patient.procedure-recorded": _lines,
    "patient.device-recorded": _lines,
    "patient.history-recorded": _lines,
    "patient.vigilance-point-set": _lines,
    "patient.vigilance-point-lifted": corrections.revise,
    "patient.document-attached": _lines,
    "patient.investigation-ordered": results.ordered,
    "patient.result-received": then_judged(results.received),
    "patient.result-reviewed": then_judged(_reviewed),
    "patient.contact-attempted": _contact,
    "patient.informed": then_judged(results.informed),
    "patient.item-opened": _item,
    "patient.item-revised": corrections.revise,
    "patient.item-closed": _item_step("closings"),
    "patient.item-reopened": _item_step("reopenings"),
    "patient.item-offered": _item_step("steps"),
    "patient.item-accepted": _item_step("steps"),
    "patient.item-declined": _item_step("steps"),
    "patient.contingency-set": then_judged(_contingency, anew=True),
    "patient.contingency-activated": then_judged(contingencies.activated),
    "patient.contingency-withdrawn": then_judged(corrections.revise),
    "patient.illness-severity-set": then_judged(_severity),
    "patient.handover-written": then_judged(_handover),
    "patient.handover-read-back": _read_back,
    "patient.question-asked": _asked,
    "patient.question-answered": _answered,
    "patient.opinion-recorded": _opinion,
    "patient.summary-reviewed": _told,
    "patient.ald-status-changed": _ald,
    "patient.entry-validated": then_judged(_validated, anew=True),
    "patient.entry-marked-in-error": then_judged(_corrected, anew=True),
    "patient.entry-reinstated": then_judged(_reinstated, anew=True),
}
"""One place for every patient topic; a test compares it with the registry."""
