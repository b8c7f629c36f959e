"""Results in a summary: ordered, received in versions, reviewed, told; and the thresholds they met.

A result that replaces another keeps it: a review names the version that was read, so that a
correction is to be read again and the reader of the version before can be told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any
from uuid import UUID

import msgspec

from releve.domain.aggregates.patient.contingencies import ContingencySet, answers
from releve.domain.aggregates.patient.observations import ObservationRecorded
from releve.domain.aggregates.patient.result_agreement import differences, value_text
from releve.domain.aggregates.patient.results import (
    DEFINITIVE,
    Link,
    ResultReceived,
    linked,
)
from releve.domain.events import Payload
from releve.domain.values import ResultLine
from releve.projections.summary_corrections import place, read, weigh_result, with_cancellation
from releve.projections.summary_courses import Fired, Result, standing
from releve.projections.summary_lines import Line
from releve.projections.summary_record import PatientSummary

_VERSIONS, _STEPS, _SETTLED, _WHOLE, _FIRED = 3, 6, 8, 2, 6


def ordered(summary: PatientSummary, line: Line) -> None:
    """A test was ordered: its result is expected."""
    summary.results.append(Result(order=line))


def received(summary: PatientSummary, line: Line) -> None:
    """A version of a result came: it replaces the one before, and has to be read."""
    said = line.detail.get("lines", ())
    as_of = line.detail.get("sampled_at") or line.as_of
    for ordinal, each in enumerate(said):
        place(
            summary,
            msgspec.structs.replace(
                line, detail=dict(each), ordinal=ordinal, as_of=as_of, target=None, reason=None
            ),
        )
    place_of = _place_of(summary.results, line)
    if place_of is None:
        order = _order_of(summary.results, line)
        summary.results.append(Result(order=order, versions=(line,)))
    else:
        before = summary.results[place_of]
        at = _late_place(before, line)
        versions = (*before.versions[:at], line, *before.versions[at:])
        whole = msgspec.structs.replace(before, versions=versions)
        weigh_result(summary, whole)
        summary.results[place_of] = msgspec.structs.replace(whole, versions=versions[-_VERSIONS:])
        if whole.received is not line:
            return
    fire(summary, msgspec.structs.replace(line, as_of=as_of), said)
    settle(summary)


def _late_place(before: Result, line: Line) -> int:
    """Where a version stands among the others: last, or before the final one it only prepared."""
    if line.detail["status"] == "partial":
        for place_of, version in enumerate(before.versions):
            if version.entry_id == line.target and version.detail["status"] in DEFINITIVE:
                return place_of
    return len(before.versions)


def _place_of(results: list[Result], line: Line) -> int | None:
    """Which result it is a version of: the one it names, else its order's where nothing came.

    Of one report or one order there may be several, side by side, as the record itself decided.
    """
    detail = line.detail
    for index, result in enumerate(results):
        if line.target is not None and line.target in [v.entry_id for v in result.versions]:
            # A call after the report stands beside it.
            is_beside = detail["status"] == "phoned" and result.status in DEFINITIVE
            return None if is_beside else index
    order = detail.get("order")
    for index, result in enumerate(results):
        is_ordered = result.order is not None and str(result.order.entry_id) == order
        if is_ordered and result.received is None:
            return index
    return None


def _order_of(results: list[Result], line: Line) -> Line | None:
    order = line.detail.get("order")
    for result in results:
        if order and result.order is not None and str(result.order.entry_id) == order:
            return result.order
    return None


def reviewed(summary: PatientSummary, line: Line) -> None:
    """A doctor read a version; what it had set off has been judged."""
    _step(summary, line, "reviews")
    read(summary, line)
    summary.fired = [
        msgspec.structs.replace(fired, answers=(*fired.answers, line.entry_id)[-3:])
        if fired.observation == line.target
        else fired
        for fired in summary.fired
    ]
    settle(summary)
    _forget_settled(summary)


def informed(summary: PatientSummary, line: Line) -> None:
    """The patient was told."""
    _step(summary, line, "informings")
    settle(summary)
    _forget_settled(summary)


def attempted(summary: PatientSummary, line: Line) -> None:
    """Somebody tried to reach the patient about a result."""
    _step(summary, line, "attempts")


def _step(summary: PatientSummary, line: Line, name: str) -> None:
    for index, result in enumerate(summary.results):
        named = [each.entry_id for each in result.versions]
        if result.order is not None:
            named.append(result.order.entry_id)
        if line.target in named:
            steps = (*getattr(result, name), line)[-_STEPS:]
            summary.results[index] = msgspec.structs.replace(result, **{name: steps})


def settle(summary: PatientSummary) -> None:
    """Note which phoned or partial results wait no more, as the record itself decides.

    Nor does an order that another result answers, as its reader said.
    """
    for index, said in enumerate(summary.results):
        if said.status in ("phoned", "partial", None):
            by = _settled_by(summary, said) if said.status else _answered_by(summary, said)
            if by != said.settled_by:
                summary.results[index] = msgspec.structs.replace(said, settled_by=by)


def _settled_by(summary: PatientSummary, said: Result) -> UUID | None:
    done = [
        each
        for each in summary.results
        if each.status in DEFINITIVE and each.state(date.min) == "done"
    ]
    by = said.settled_by
    if by is not None:
        if _is_forgotten(summary, by):
            return by
        known = next((each for each in done if each.entry_id == by), None)
        if known is not None and not (known.lines and said.lines):
            return by  # of one of them the lines are forgotten
    return next((each.entry_id for each in done if _settles(each, said)), None)


def _answered_by(summary: PatientSummary, awaited: Result) -> UUID | None:
    """The result of which a reader said that it is of this order, which nothing else answers."""
    by = awaited.settled_by
    if by is not None and _is_forgotten(summary, by):
        return by
    order = None if awaited.order is None else str(awaited.order.entry_id)
    return next(
        (
            each.entry_id
            for each in summary.results
            if each.received is not None and order is not None and _answers(each) == order
        ),
        None,
    )


def _is_forgotten(summary: PatientSummary, entry: UUID) -> bool:
    """Whether a result that was done is no longer among those kept."""
    return not any(line.entry_id == entry for each in summary.results for line in each.versions)


def _settles(written: Result, said: Result) -> bool:
    link = _link(written, said)
    if link is None or said.review is None:
        return link == "settled"
    return not said.to_inform or (
        written.review is not None and written.review.version > said.review.version
    )


def _link(written: Result, said: Result) -> Link | None:
    final, told = written.line, said.line
    order, asked = _answers(written), _answers(said)
    return linked(
        msgspec.convert(final.detail, ResultReceived),
        msgspec.convert(told.detail, ResultReceived),
        same_order=None if order is None or asked is None else order == asked,
        elapsed=final.recorded_at - told.recorded_at,
    )


def announced_otherwise(summary: PatientSummary, result: Result) -> tuple[str, ...]:
    """What calls and partials had said otherwise than a definitive result, in words.

    ``annoncé au téléphone : Potassium 6,4 mmol/L (Mme Exemple)``; both stand until they are read.
    """
    if result.status not in DEFINITIVE or result.received is None:
        return ()
    final = msgspec.convert(result.received.detail, ResultReceived)
    found = []
    for said in summary.results:
        if said.received is None or said.status not in ("phoned", "partial"):
            continue
        told = msgspec.convert(said.received.detail, ResultReceived)
        if _link(result, said) is not None:
            how = "au téléphone" if told.status == "phoned" else "en partiel"
            caller = f" ({told.caller})" if told.caller else ""
            found += [
                f"annoncé {how} : {each.said.code.text} {value_text(each.said)}{caller}"
                for each in differences(final.lines, told.lines)
            ]
    return tuple(found)


def _answers(result: Result) -> str | None:
    """The order that a result answers: as its reader said, else as it came."""
    said = [each.detail["order"] for each in standing(result.reviews) if each.detail.get("order")]
    if said:
        return str(said[-1])
    return None if result.order is None else str(result.order.entry_id)


def cancel(summary: PatientSummary, item: UUID | None) -> None:
    """The results whose item was closed as no longer needed, or opened again."""
    named = str(item)
    follows = next((one.follows for one in summary.items if one.line.entry_id == item), None)
    for index, result in enumerate(summary.results):
        order = result.order
        ordered = order is not None and (order.detail["item"] == named or order.entry_id == follows)
        if ordered or (follows and any(each.entry_id == follows for each in result.versions)):
            summary.results[index] = with_cancellation(summary, result)
            _forget_settled(summary)
            return


def _forget_settled(summary: PatientSummary) -> None:
    """Keep the last few results that are done; of all but two of them, not every line."""
    settled = [each for each in summary.results if each.settled]
    gone = settled[: max(0, len(settled) - _SETTLED)]
    for result in settled[len(gone) : max(len(gone), len(settled) - _WHOLE)]:
        if any("lines" in each.detail for each in result.versions):
            thin = msgspec.structs.replace(result, versions=tuple(map(_headed, result.versions)))
            summary.results[summary.results.index(result)] = thin
    if gone:
        summary.results = [each for each in summary.results if each not in gone]


def _headed(line: Line) -> Line:
    """A version without its lines: the newest values of each code stand in their slot."""
    kept = {name: value for name, value in line.detail.items() if name != "lines"}
    return msgspec.structs.replace(line, detail=kept)


# Thresholds of if… then


def fire(summary: PatientSummary, line: Line, measures: Iterable[Mapping[str, Any]]) -> None:
    """Note which contingencies in force the measures meet, or cannot be compared with."""
    waiting = [c for c in summary.contingencies if c.current and c.detail.get("threshold")]
    if not waiting:
        return
    said = [(measure, _payload(line, measure)) for measure in measures]
    for contingency in waiting:
        asked = msgspec.convert(contingency.detail, ContingencySet)
        for measure, payload in said:
            match = answers(asked, payload)  # the record's own word on it, so that they agree
            if match in ("met", "unit-error"):
                _fired(summary, contingency, line, measure, match == "met")
    old = sorted(summary.older_measures, key=lambda fired: fired.happened_by)
    _forget(summary, old)


def _payload(line: Line, measure: Mapping[str, Any]) -> Payload:
    if line.topic == "patient.observation-recorded":
        return msgspec.convert(measure, ObservationRecorded)
    return ResultReceived(status="final", lines=(msgspec.convert(measure, ResultLine),))


def _fired(
    summary: PatientSummary, contingency: Line, line: Line, measure: Mapping[str, Any], met: bool
) -> None:
    happened = line.moment.latest
    summary.fired.append(
        Fired(
            contingency=contingency.entry_id,
            observation=line.entry_id,
            text=_said(line, measure),
            as_of=line.as_of,
            position=line.position,
            matched=met,
            happened_by=happened,
            old=happened < contingency.moment.earliest,
        )
    )


def _said(line: Line, measure: Mapping[str, Any]) -> str:
    from releve.projections.wording import observation_text, result_line_text

    said = observation_text if line.topic == "patient.observation-recorded" else result_line_text
    return said(measure, line.zone)


def activated(summary: PatientSummary, line: Line) -> None:
    """The record itself says that a measure met a threshold; mostly the fold knew already."""
    by = UUID(line.detail["by"])
    contingency = next((c for c in summary.contingencies if c.entry_id == line.target), None)
    if contingency is None or any(
        fired.contingency == line.target and fired.observation == by and fired.matched
        for fired in summary.fired
    ):
        return
    measure = summary.entry(by)
    of = measure or line
    happened = of.moment.latest
    summary.fired.append(
        Fired(
            contingency=contingency.entry_id,
            observation=by,
            text=measure.text if measure is not None else contingency.detail["condition"],
            as_of=of.as_of,
            position=line.position,
            matched=True,
            happened_by=happened,
            old=happened < contingency.moment.earliest,
        )
    )


def answer(summary: PatientSummary, line: Line) -> None:
    """A clinician has judged the patient after a measure: it no longer rings.

    Judging how the patient was before the measure answers nothing.
    """
    at = line.moment.latest
    summary.fired = [
        msgspec.structs.replace(fired, answers=(*fired.answers, line.entry_id)[-3:])
        if fired.happened_by <= at
        else fired
        for fired in summary.fired
    ]
    _forget(summary, [fired for fired in summary.fired if fired.answered])


def _forget(summary: PatientSummary, oldest_first: list[Fired]) -> None:
    gone = oldest_first[: max(0, len(oldest_first) - _FIRED)]
    if gone:
        summary.fired = [fired for fired in summary.fired if fired not in gone]
