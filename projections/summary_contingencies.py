"""If… then in a summary: which measures meet one in force, and what rings because of it.

Judged when either of the two comes in and again whenever one of them is given back, by the record's
own words (``aggregates.patient.contingencies``), so that a view and the record agree. What was
judged stays beside both, and says nothing while one of them does not stand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from releve.domain.aggregates.patient.contingencies import ContingencySet, answers, is_after
from releve.domain.aggregates.patient.observations import (
    HISTORY_AFTER,
    ObservationRecorded,
    tells_the_past,
)
from releve.domain.aggregates.patient.results import ResultReceived
from releve.domain.events import Payload
from releve.domain.values import ResultLine
from releve.projections.summary_corrections import is_unread
from releve.projections.summary_courses import Fired, standing
from releve.projections.summary_lines import REVIEWED, Line
from releve.projections.summary_recall import without
from releve.projections.summary_record import PatientSummary
from releve.projections.summary_standing import OBSERVATION
from releve.projections.wording import observation_text, result_line_text

_FIRED: Final = 6
"""How many are kept of each contingency that ring no more, and how many that are listed."""
Handler = Callable[[PatientSummary, Line], None]


def then_judged(handler: Handler, *, anew: bool = False) -> Handler:
    """``handler``, after which what rings is what stands and is unread then.

    ``anew`` judges every measure that is kept against each if/then in force.
    """

    def handled(summary: PatientSummary, line: Line) -> None:
        handler(summary, line)
        if anew:
            _judge(summary, line.recorded_at)
        refresh(summary)

    return handled


def fire(summary: PatientSummary, line: Line, measures: Iterable[Mapping[str, Any]]) -> None:
    """Note which contingencies in force the measures meet, or cannot be compared with.

    Once for each entry: what was noted before stays as it is.
    """
    known = {fired.contingency for fired in summary.fired if fired.observation == line.entry_id}
    waiting = [each for each in _waiting(summary) if each.entry_id not in known]
    if not waiting:
        return
    said = [(measure, _payload(line, measure)) for measure in measures]
    for contingency in waiting:
        asked = msgspec.convert(contingency.detail, ContingencySet)
        for measure, payload in said:
            match = answers(asked, payload)  # the record's own word on it, so that they agree
            if match in ("met", "unit-error"):
                summary.fired.append(
                    _fired(summary, contingency, line, _said(line, measure), match == "met")
                )


def activated(summary: PatientSummary, line: Line) -> None:
    """The record itself says that a measure met a threshold; mostly the fold knew already."""
    by = UUID(line.detail["by"])
    contingency = next((c for c in summary.contingencies if c.entry_id == line.target), None)
    if contingency is None or any(
        fired.contingency == line.target and fired.observation == by and fired.matched
        for fired in summary.fired
    ):
        return
    measure = _measure(summary, by)
    text = contingency.detail["condition"] if measure is None else measure.text
    summary.fired.append(_fired(summary, contingency, measure or line, text, matched=True, by=by))


def reviewed(summary: PatientSummary, review: Line) -> None:
    """A doctor has read a measure, which may no longer be kept: what it set off was judged."""
    summary.fired = [
        msgspec.structs.replace(fired, answers=(*fired.answers, review.entry_id)[-3:])
        if fired.observation == review.target
        else fired
        for fired in summary.fired
    ]


def refresh(summary: PatientSummary) -> None:
    """Say again of all that was noted whether it stands, is unread and was answered.

    Where its measure is no longer kept, that stays as it was; it goes with its contingency.
    """
    if not summary.fired:
        return
    contingencies = {line.entry_id: line for line in summary.contingencies}
    stands = {entry: line.current for entry, line in contingencies.items()}
    unread = _unread(summary)
    reviews: dict[UUID, list[Line]] = {}
    for result in summary.results:
        now = result.received
        stands.update((each.entry_id, each is now) for each in result.versions)
        for review in result.reviews:
            reviews.setdefault(review.target or review.entry_id, []).append(review)
    for line in summary.lines:
        if line.topic == OBSERVATION:
            stands[line.entry_id] = line.current
            reviews[line.entry_id] = [each for each in line.revisions if each.topic == REVIEWED]
    summary.fired = [
        msgspec.structs.replace(
            fired,
            unread=fired.observation in unread,
            void=tuple(
                entry
                for entry in (fired.contingency, fired.observation)
                if not stands.get(entry, entry not in fired.void)
            ),
            answers=_answers(
                fired,
                contingencies[fired.contingency],
                reviews.get(fired.observation, []),
                summary.severities,
            ),
        )
        for fired in summary.fired
        if fired.contingency in contingencies
    ]
    _forget(summary, [fired for fired in summary.fired if fired.answered])
    _forget(summary, sorted(summary.older_measures, key=lambda fired: fired.happened_by))


def _answers(
    fired: Fired, contingency: Line, reviews: list[Line], severities: list[Line]
) -> tuple[UUID, ...]:
    """Who read the measure, or said since how ill the patient is and not about a time before it.

    What was said before the if/then was written answers nothing that it lists, nor does what was
    written with it.
    """
    said = {each.entry_id for each in (*reviews, *severities)}
    found = [each for each in fired.answers if each not in said]
    found += [
        each.entry_id
        for each in standing(reviews)
        if not fired.before or each.version > contingency.version
    ]
    known = fired.version < contingency.version
    found += [
        each.entry_id
        for each in severities
        if each.current
        and each.moment.latest >= fired.happened_by
        and each.version > max(fired.version, contingency.version)
        and not (known and each.recorded_at <= contingency.recorded_at)
    ]
    return tuple(found[-3:])


def _judge(summary: PatientSummary, now: datetime) -> None:
    """Judge what is unread, and of all else that is kept the last 60 days."""
    if not _waiting(summary):
        return
    unread = _unread(summary)
    for line, measures in _measures(summary):
        if line.entry_id in unread or now - line.moment.latest <= HISTORY_AFTER:
            fire(summary, line, measures)


def _waiting(summary: PatientSummary) -> list[Line]:
    return [c for c in summary.contingencies if c.current and c.detail.get("threshold")]


def _measures(summary: PatientSummary) -> Iterator[tuple[Line, list[dict[str, Any]]]]:
    """Every measure in force that is kept, at the moment it was taken, and what it says."""
    for result in summary.results:
        if result.received is not None:
            yield sampled(result.received), result.lines
    for line in summary.lines:
        if line.topic == OBSERVATION and line.current:
            yield line, [line.detail]


def _measure(summary: PatientSummary, entry: UUID) -> Line | None:
    line = summary.entry(entry)
    return None if line is None else sampled(line)


def sampled(line: Line) -> Line:
    """A measure at the moment it was taken, as far as it says: a result's is its sample's."""
    taken = line.detail.get("sampled_at")
    return msgspec.structs.replace(line, as_of=taken) if taken else line


def _unread(summary: PatientSummary) -> set[UUID]:
    """Results that wait to be read, and measures from elsewhere; history waits for nobody."""
    found = {line.entry_id for line in summary.lines if is_unread(line)}
    for result in summary.results:
        now = result.received
        if now is None or result.review is not None or summary.is_history(result):
            continue
        if result.settled_by is None or result.status not in ("partial", "phoned"):
            found.add(now.entry_id)
    return found


def _is_history(summary: PatientSummary, line: Line) -> bool:
    """Whether it was old when it came in, as the record judges it (``results.is_history``)."""
    for result in summary.results:
        if any(each.entry_id == line.entry_id for each in result.versions):
            return summary.is_history(result)
    return tells_the_past(line.as_of, line.zone, line.recorded_at)


def _payload(line: Line, measure: Mapping[str, Any]) -> Payload:
    if line.topic == OBSERVATION:
        return msgspec.convert(measure, ObservationRecorded)
    return ResultReceived(status="final", lines=(msgspec.convert(measure, ResultLine),))


def _said(line: Line, measure: Mapping[str, Any]) -> str:
    said = observation_text if line.topic == OBSERVATION else result_line_text
    return said(measure, line.zone)


def _fired(
    summary: PatientSummary,
    contingency: Line,
    line: Line,
    text: str,
    matched: bool,
    by: UUID | None = None,
) -> Fired:
    known = line.version < contingency.version
    after = is_after(contingency.moment, line.moment, known=known)
    return Fired(
        contingency=contingency.entry_id,
        observation=by or line.entry_id,
        text=text,
        as_of=line.as_of,
        version=line.version,
        matched=matched,
        happened_by=line.moment.latest,
        before=_is_history(summary, line) or not after,
    )


def _forget(summary: PatientSummary, oldest_first: list[Fired]) -> None:
    """Keep the last few of each contingency, and whatever a later word takes or gives back."""
    recalled = set(summary.recalled)
    free: dict[UUID, list[Fired]] = {}
    for fired in oldest_first:
        if recalled.isdisjoint((fired.contingency, fired.observation, *fired.answers)):
            free.setdefault(fired.contingency, []).append(fired)
    gone = [fired for few in free.values() for fired in few[: max(0, len(few) - _FIRED)]]
    summary.fired = without(summary.fired, gone)
