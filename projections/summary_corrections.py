"""What later events make of an entry: revised, accepted or refused, replaced, in error, back again.

A line is never rewritten: what it says and whether it stands are worked out again from its first
words and from what was said of it since, so that taking a word back gives exactly what was there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final
from uuid import UUID

import msgspec

from releve.domain.aggregates.deciding import RELEVE
from releve.domain.aggregates.patient.observations import tells_the_past
from releve.domain.aggregates.patient.record import REVISIONS
from releve.projections.compared_values import is_compared, lowest
from releve.projections.summary_courses import Handover, Item, Question, Result
from releve.projections.summary_lines import VALIDATED, Line, Note
from releve.projections.summary_recall import forgettable, without
from releve.projections.summary_record import PatientSummary
from releve.projections.summary_standing import ENDING, MERGED, OBSERVATION, place_in, settled

_REVISIONS: Final = 6
_PER_CODE: Final = 3
"""Measures kept of one code."""
_UNJUDGED: Final = 12
"""Of a laboratory's measures, while nobody said since how ill the patient is: one may ring."""
_KEPT: Final[Mapping[str, int]] = {"documents": 30, "medications": 20, "allergies": 12}
"""Lines that do not stand, kept for history; elsewhere 12. Of documents, all of them."""

# Placing and replacing


def place(summary: PatientSummary, line: Line) -> Line:
    """Put a line in its slot; of measures of one code, the newest few are kept."""
    placed = settled(line)
    summary.lines.append(placed)
    if placed.slot in ("vital-signs", "results") or line.topic == OBSERVATION:
        _newest_of_its_code(summary, placed)
    else:
        _forget_old(summary, placed.slot)
    return placed


def _newest_of_its_code(summary: PatientSummary, line: Line) -> None:
    measured = (
        other
        for other in summary.lines
        if other.slot == line.slot and other.detail.get("code") == line.detail["code"]
    )
    same = [other for other in forgettable(summary, measured) if not is_unread(other)]
    # The oldest measure goes, which may be the late one that has just come.
    older = sorted(same, key=lambda one: (_is_shown(one), one.recency))[:-_PER_CODE]
    # What a later value is compared with stays; of too many, the highest of it goes first.
    low = lowest(same) if older and is_compared(line.detail) else []
    gone = without(older, low)
    spare = [one for one in gone if not _may_ring(summary, one)]
    if spare or len(same) > _UNJUDGED:
        _forget(summary.lines, (spare or gone or [one for one in low if one in older])[0])


def _may_ring(summary: PatientSummary, line: Line) -> bool:
    """Whether it is a measure that rings if it is critical, which no summary knows."""
    if line.topic != OBSERVATION or line.ordinal is not None or line.slot != "results":
        return False
    old = tells_the_past(line.as_of, line.zone, line.recorded_at)
    return line.current and not old and not is_judged(line, summary)


def is_judged(line: Line, summary: PatientSummary) -> bool:
    """Whether somebody said since how ill the patient is, at a moment not before the measure."""
    taken = line.moment.latest
    return any(
        said.current and said.version > line.version and said.moment.latest >= taken
        for said in summary.severities
    )


def is_unread(line: Line) -> bool:
    """Whether it is a measure that came in from elsewhere, as news, and nobody has judged."""
    if line.ordinal is not None or line.topic != OBSERVATION:
        return False
    return (
        line.current and line.waits and not tells_the_past(line.as_of, line.zone, line.recorded_at)
    )


def _forget_old(summary: PatientSummary, slot: str) -> None:
    """Let the oldest lines of a slot go that no current view shows, beyond the last few.

    Oldest is what has not been spoken of for longest: a stop of today may be taken back.
    """
    most = _KEPT.get(slot, 12)
    if slot == "documents":
        old = [line for line in summary.lines if line.slot == slot]
        if len(old) > most:
            _forget(summary.lines, min(old, key=lambda line: line.recency))
        return
    ended = (line for line in summary.lines if line.slot == slot and not _is_shown(line))
    old = sorted(forgettable(summary, ended), key=_last_word)
    for line in old[: max(0, len(old) - most)]:
        _forget(summary.lines, line)


def _last_word(line: Line) -> int:
    return max((line.version, *(each.version for each in line.revisions)))


def _is_shown(line: Line) -> bool:
    """Whether it stands, or contradicts what stands and waits for a doctor's word."""
    return line.current or line.waits


def _forget(lines: list[Line], gone: Line) -> None:
    """Drop a line; its newer version is from then on one of what it had replaced."""
    lines[:] = [
        msgspec.structs.replace(line, target=gone.target)
        if line.target == gone.entry_id and line.ordinal is None
        else line
        for line in lines
        if line is not gone
    ]


def weigh(summary: PatientSummary, entry: UUID | None) -> None:
    """Say again which versions of a line are in force, from ``entry`` back to its first one.

    As the record has it (``Patient.is_replaced``): a version that no doctor accepted replaces only
    what no doctor accepted, or revised, either; and one that is out replaces nothing.
    """
    held = {
        line.entry_id: line for line in (*summary.lines, *summary.absences) if line.ordinal is None
    }
    newer = {line.target: line for line in held.values() if line.target is not None}
    line = None if entry is None else held.get(entry)
    while line is not None:
        _weigh_one(summary, line, newer)
        line = None if line.target is None else held.get(line.target)


def _weigh_one(summary: PatientSummary, line: Line, newer: Mapping[UUID, Line]) -> None:
    revised = any(each.topic in REVISIONS and not each.wrong for each in line.revisions)
    waits, replaced = line.validation == "to-validate" and not revised, False
    later = newer.get(line.entry_id)
    while later is not None and not replaced:
        is_out = later.wrong or later.validation == "refused"
        replaced = not is_out and (waits or later.validation != "to-validate")
        later = newer.get(later.entry_id)
    if replaced and line.state not in ("in-error", "refused"):
        _at(summary, line.entry_id, lambda one: msgspec.structs.replace(one, state="superseded"))
    elif not replaced and line.state == "superseded":
        _at(summary, line.entry_id, _back)


def weigh_result(summary: PatientSummary, result: Result) -> None:
    """Show the lines of the version in force alone, of a result that came in several."""
    now = result.received
    for version in result.versions:
        if version is now:
            _at(summary, version.entry_id, _back)
        elif version.current:
            _at(
                summary,
                version.entry_id,
                lambda line: msgspec.structs.replace(line, state="superseded"),
            )


def _back(line: Line) -> Line:
    if line.state != "superseded":
        return line
    return settled(msgspec.structs.replace(line, state="current"))


def _at(summary: PatientSummary, target: UUID, change: Callable[[Line], Line]) -> None:
    """Change the coded lines of one entry."""
    for held in (summary.lines, summary.absences):
        for index, line in enumerate(held):
            if line.entry_id == target:
                held[index] = change(line)


# Revisions and validation


def revise(summary: PatientSummary, revision: Line) -> None:
    """Put a revision beside the line that it names, which says it from now on."""
    target = revision.target

    def revised(line: Line) -> Line:
        return _beside(summary, line, revision) if line.entry_id == target else line

    for name in ("lines", "contingencies", "attending"):
        held: list[Line] = getattr(summary, name)
        for index, line in enumerate(held):
            held[index] = revised(line)
    for index, item in enumerate(summary.items):
        if item.line.entry_id == target:
            summary.items[index] = msgspec.structs.replace(item, line=revised(item.line))
    weigh(summary, target)
    for slot in ("medications", "allergies", "problems", "vigilance"):
        _forget_old(summary, slot)


def _beside(summary: PatientSummary, line: Line, revision: Line) -> Line:
    first = line.first
    if first is None and revision.topic in MERGED:
        first = line.detail
    revisions = _few_revisions(summary, line, (*line.revisions, revision))
    replaced = line.state == "superseded"
    line = settled(msgspec.structs.replace(line, first=first, revisions=revisions))
    return msgspec.structs.replace(line, state="superseded") if replaced else line


def _few_revisions(
    summary: PatientSummary, line: Line, revisions: tuple[Line, ...]
) -> tuple[Line, ...]:
    """``revisions`` without the first of many that change nothing any more.

    A later word says the same fields again, and neither of both is taken back; so a dose that was
    changed twenty times is the right one whatever is in error, or was told late.
    """
    kept = list(revisions)
    for each in revisions[:-1]:
        if len(kept) <= _REVISIONS:
            break
        if each.entry_id in summary.recalled or each.topic in ENDING | {VALIDATED}:
            continue
        later = (
            other
            for other in revisions
            if other.topic == each.topic and other.entry_id not in summary.recalled
            and place_in(line, other) > place_in(line, each)
        )  # fmt: skip
        if each.topic not in MERGED or any(_fields(other) >= _fields(each) for other in later):
            kept.remove(each)
    return tuple(kept)


_ONE_FIELD: Final[Mapping[str, str]] = {"dose_text": "dose", "no_deadline": "due"}


def _fields(change: Line) -> set[str]:
    return {_ONE_FIELD.get(name, name) for name in change.detail}


def validated(summary: PatientSummary, verdict: Line) -> None:
    """A doctor accepted or refused an imported line; a refused one leaves every current view."""
    target = verdict.target
    _judge(summary, verdict)
    for index, result in enumerate(summary.results):
        versions = tuple(
            _beside(summary, each, verdict) if each.entry_id == target else each
            for each in result.versions
        )
        if versions != result.versions:
            summary.results[index] = msgspec.structs.replace(result, versions=versions)
    weigh(summary, target)
    if verdict.detail["verdict"] == "refused":
        _void(summary, target)
    else:
        _unvoid(summary, target)


def read(summary: PatientSummary, review: Line) -> None:
    """A doctor read a result: that accepts the lines of it which another system sent."""
    _judge(summary, review)


def _judge(summary: PatientSummary, said: Line) -> None:
    for held in (summary.lines, summary.absences):
        for index, line in enumerate(held):
            if line.entry_id == said.target and (said.topic == VALIDATED or _is_read_alone(line)):
                held[index] = _beside(summary, line, said)


def _is_read_alone(line: Line) -> bool:
    """Whether a reading stands beside the line: what came from elsewhere, and any measure."""
    return line.imported or line.topic == OBSERVATION


# In error, and reinstated


def mark(summary: PatientSummary, line: Line, *, wrong: bool) -> None:
    """The target leaves every current view, wherever it stands, or is in all of them again.

    An unknown target changes nothing.
    """
    target = line.target
    if target is None:
        return
    touched = {target}

    def marked(other: Line) -> Line:
        if other.entry_id == target:
            reason = line.reason if wrong else None
            other = msgspec.structs.replace(other, wrong=wrong, error_reason=reason)
            return settled(other)
        if any(each.entry_id == target for each in other.revisions):
            touched.add(other.entry_id)
            revisions = tuple(
                msgspec.structs.replace(each, wrong=wrong) if each.entry_id == target else each
                for each in other.revisions
            )
            return settled(msgspec.structs.replace(other, revisions=revisions))
        return other

    _everywhere(summary, marked)
    for entry in touched:
        weigh(summary, entry)
    if wrong:
        _revived(summary, target)
        _void(summary, target)
        _unanswer(summary, target)
        summary.changes = [change for change in summary.changes if change.entry_id != target]
    else:
        _unvoid(summary, target)


def _everywhere(summary: PatientSummary, change: Callable[[Line], Line]) -> None:
    def each(lines: tuple[Line, ...]) -> tuple[Line, ...]:
        return tuple(change(line) for line in lines)

    for name in (
        "lines", "absences", "encounters", "contingencies", "severities", "attending", "opinions",
        "appointments", "ald", "told",
    ):  # fmt: skip
        held: list[Line] = getattr(summary, name)
        setattr(summary, name, [change(line) for line in held])
    summary.notes = [
        Note(line=change(note.line), amendments=each(note.amendments)) for note in summary.notes
    ]
    summary.handovers = [
        Handover(line=change(one.line), read_backs=each(one.read_backs))
        for one in summary.handovers
    ]
    summary.questions = [
        Question(line=change(one.line), answers=each(one.answers)) for one in summary.questions
    ]
    summary.items = [
        Item(
            line=change(item.line), closings=each(item.closings),
            reopenings=each(item.reopenings), steps=each(item.steps),
        )
        for item in summary.items
    ]  # fmt: skip
    summary.results = [
        Result(
            order=change(one.order) if one.order else None, versions=each(one.versions),
            reviews=each(one.reviews), informings=each(one.informings),
            attempts=each(one.attempts), cancelled=one.cancelled, settled_by=one.settled_by,
        )
        for one in summary.results
    ]  # fmt: skip


def with_cancellation(summary: PatientSummary, result: Result) -> Result:
    """The result with what its item says: closed by somebody as no longer needed, or not.

    What a rule closed because its order or result did not stand says nothing once that stands.
    """
    item = item_of(summary, result)
    closing = item.closing if item is not None else None
    if item is None:
        return result  # its closed item may be forgotten already
    cancelled = (
        closing is not None
        and closing.detail["outcome"] == "not-needed"
        and closing.role != RELEVE.role
    )
    if cancelled == result.cancelled:
        return result
    return msgspec.structs.replace(result, cancelled=cancelled)


def item_of(summary: PatientSummary, result: Result) -> Item | None:
    """The item that stays open until the patient knows this result, among those kept.

    Of several an open one first, then the order's own; versions of one result of which two are in
    force share theirs, as the record has it (``items_of``).
    """
    named = _versions_with(summary, result)
    ordered = None
    if result.order is not None:
        named.add(result.order.entry_id)
        ordered = UUID(result.order.detail["item"])
    found = [
        item
        for item in summary.items
        if item.line.current and (item.line.entry_id == ordered or item.follows in named)
    ]
    found.sort(key=lambda item: (not item.open, item.line.entry_id != ordered))
    return found[0] if found else None


def _versions_with(summary: PatientSummary, result: Result) -> set[UUID]:
    """The versions of a result, and those of another one that began as the same."""
    named = {each.entry_id for each in result.versions}
    pairs = [
        {each.entry_id, each.target}
        for one in summary.results
        for each in one.versions
        if each.target is not None
    ]
    grows = bool(pairs)
    while grows:
        near = set[UUID]().union(*(pair for pair in pairs if pair & named))
        grows = not near <= named
        named |= near
    return named


def _revived(summary: PatientSummary, target: UUID) -> None:
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


def _void(summary: PatientSummary, target: UUID | None) -> None:
    """A measure does not stand, kept here or not: thresholds met through it ring no more."""
    if target is None:
        return
    summary.fired = [
        msgspec.structs.replace(fired, void=(*fired.void, target))
        if target in (fired.observation, fired.contingency) and target not in fired.void
        else fired
        for fired in summary.fired
    ]


def _unvoid(summary: PatientSummary, target: UUID | None) -> None:
    """It stands again: what it had set off rings as before."""
    summary.fired = [
        msgspec.structs.replace(fired, void=tuple(each for each in fired.void if each != target))
        for fired in summary.fired
    ]


def _unanswer(summary: PatientSummary, target: UUID) -> None:
    summary.fired = [
        msgspec.structs.replace(fired, answers=tuple(a for a in fired.answers if a != target))
        if target in fired.answers
        else fired
        for fired in summary.fired
    ]
