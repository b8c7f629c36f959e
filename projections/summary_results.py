"""Results in a summary: ordered, received in versions, reviewed, told; and the thresholds they met.

A result that replaces another keeps it: a review names the version that was read, so that a
correction is to be read again and the reader of the version before can be told.
"""

from __future__ import annotations

from datetime import date
from uuid import UUID

import msgspec

from releve.domain.aggregates.patient.result_agreement import differences, value_text
from releve.domain.aggregates.patient.results import (
    CONFIRMED_WITHIN,
    DEFINITIVE,
    Agreement,
    Link,
    ResultReceived,
    agreement,
    linked,
)
from releve.projections.result_grouping import kin, last_of_each, names_in, order_in, regrouped
from releve.projections.summary_contingencies import fire
from releve.projections.summary_corrections import place, read, weigh_result, with_cancellation
from releve.projections.summary_courses import Result, Settling
from releve.projections.summary_lines import Line
from releve.projections.summary_recall import without
from releve.projections.summary_record import PatientSummary

_VERSIONS, _SETTLED, _WHOLE = 6, 8, 2


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
    summary.results.append(Result(versions=(line,)))
    if line.target is not None or order_in(line) is not None:
        regroup(summary, line.entry_id)
    fire(summary, msgspec.structs.replace(line, as_of=as_of), said)
    settle(summary)


def regroup(summary: PatientSummary, entry: UUID) -> None:
    """Make anew the results that hang together with ``entry``, as the record itself decides."""
    places = kin(summary.results, [entry])
    if not places:
        return
    made = [
        with_cancellation(summary, _with_few_lines(one))
        for one in regrouped(summary.results[n] for n in places)
    ]
    gone = set(places)
    others = [one for n, one in enumerate(summary.results) if n not in gone]
    at = places[0]
    summary.results = [*others[:at], *made, *others[at:]]
    for result in made:
        weigh_result(summary, result)


def _with_few_lines(result: Result) -> Result:
    """Of many versions, only the last few keep their lines; all may be in force again."""
    old = len(result.versions) - _VERSIONS
    if old <= 0:
        return result
    now = result.received
    versions = tuple(
        _headed(each) if n < old and each is not now else each
        for n, each in enumerate(result.versions)
    )
    return msgspec.structs.replace(result, versions=versions)


def corrected(summary: PatientSummary, entry: UUID | None) -> None:
    """``entry`` was marked in error, reinstated, accepted or refused: what is in force now."""
    if entry is not None:
        regroup(summary, entry)
    summary.results = [with_cancellation(summary, each) for each in summary.results]
    settle(summary)


def reviewed(summary: PatientSummary, line: Line) -> None:
    """A doctor read a version; what it had set off has been judged."""
    _step(summary, line, "reviews")
    if order_in(line) is not None:
        regroup(summary, line.entry_id)
    read(summary, line)
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
            steps = last_of_each((*getattr(result, name), line))
            summary.results[index] = msgspec.structs.replace(result, **{name: steps})


def settle(summary: PatientSummary) -> None:
    """Note which phoned or partial results wait no more, as the record itself decides."""
    for index, said in enumerate(summary.results):
        if said.status in ("phoned", "partial"):
            by = _settled_by(summary, said)
            if by != said.settled_by:
                summary.results[index] = msgspec.structs.replace(said, settled_by=by)


def _settled_by(summary: PatientSummary, said: Result) -> Settling | None:
    before = _settling_of(said)
    for written in summary.results:
        if written.status not in DEFINITIVE or written.state(date.min) != "done":
            continue
        found = _settling(written, said)
        if found is not None:
            return found
    if before is not None and _is_forgotten(summary, before.by) and _ended(before, said):
        return before
    return None


def _settling(written: Result, said: Result) -> Settling | None:
    agree = _agreement(written, said)
    link = _link(written, said, agree)
    if link is None:
        return None
    read = 0 if written.review is None else written.review.version
    found = Settling(of=said.entry_id, by=written.entry_id, link=link, agree=agree, read=read)
    return found if _ended(found, said) else None


def _agreement(written: Result, said: Result) -> Agreement:
    known = _settling_of(said)
    if known is not None and known.by == written.entry_id:
        return known.agree  # the lines of one of them may be forgotten
    return agreement(
        msgspec.convert(written.line.detail, ResultReceived),
        msgspec.convert(said.line.detail, ResultReceived),
    )


def _settling_of(said: Result) -> Settling | None:
    known = said.settled_by
    return known if known is not None and known.of == said.entry_id else None


def _ended(settling: Settling, said: Result) -> bool:
    review = said.review
    if review is None:
        return settling.link == "settled"
    return not said.to_inform or settling.read > review.version


def _is_forgotten(summary: PatientSummary, entry: UUID) -> bool:
    """Whether a result that was done is no longer among those kept."""
    return not any(line.entry_id == entry for each in summary.results for line in each.versions)


def _link(written: Result, said: Result, agree: Agreement) -> Link | None:
    final, told = written.line, said.line
    order, asked = written.order, said.order
    return linked(
        final.detail["status"],
        told.detail["status"],
        agree,
        same_order=None if order is None or asked is None else order.entry_id == asked.entry_id,
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
        if _link(result, said, agreement(final, told)) is not None:
            how = "au téléphone" if told.status == "phoned" else "en partiel"
            caller = f" ({told.caller})" if told.caller else ""
            found += [
                f"annoncé {how} : {each.said.code.text} {value_text(each.said)}{caller}"
                for each in differences(final.lines, told.lines)
            ]
    return tuple(found)


def cancel(summary: PatientSummary, item: UUID | None) -> None:
    """The results whose item was closed as no longer needed, or opened again."""
    named = str(item)
    follows = next((one.follows for one in summary.items if one.line.entry_id == item), None)
    found = False
    for index, result in enumerate(summary.results):
        order = result.order
        ordered = order is not None and (order.detail["item"] == named or order.entry_id == follows)
        followed = follows and any(
            follows in (each.entry_id, each.target) for each in result.versions
        )
        if result.cancelled or ordered or followed:
            found = True
            summary.results[index] = with_cancellation(summary, result)
    if found:
        _forget_settled(summary)


def awaited_again(summary: PatientSummary) -> None:
    """An item was opened: what was given up may be waited for once more."""
    for index, result in enumerate(summary.results):
        if result.cancelled:
            summary.results[index] = with_cancellation(summary, result)


def _forget_settled(summary: PatientSummary) -> None:
    """Keep the last few results that are done; of all but two of them, not every line.

    What a later word takes back, or a call or a partial may yet be compared with, keeps its lines.
    """
    recalled = frozenset(summary.recalled)
    settled = [
        each for each in summary.results if each.settled and recalled.isdisjoint(_told_of(each))
    ]
    gone = settled[: max(0, len(settled) - _SETTLED)]
    old = settled[len(gone) : max(len(gone), len(settled) - _WHOLE)]
    thin = {
        id(result)
        for result in old
        if any("lines" in each.detail for each in result.versions)
        and not _is_recent(summary, result)
        and not any(_compared(result, other) for other in summary.results)
    }
    summary.results = [
        msgspec.structs.replace(each, versions=tuple(map(_headed, each.versions)))
        if id(each) in thin
        else each
        for each in without(summary.results, gone)
    ]


def _told_of(result: Result) -> set[UUID]:
    """Every entry that a result speaks of, and the result that settled it."""
    by = result.settled_by
    return names_in(result) | ({by.by} if by is not None else set())


def _is_recent(summary: PatientSummary, result: Result) -> bool:
    now = summary.recorded_at or result.line.recorded_at
    return now - result.line.recorded_at <= CONFIRMED_WITHIN


def _compared(result: Result, other: Result) -> bool:
    """Whether one of two results is a call or a partial that the other may settle."""
    if not any(each.status in ("phoned", "partial") for each in (result, other)):
        return False
    apart = abs(result.line.recorded_at - other.line.recorded_at)
    ordered = result.order is not None and result.order == other.order
    return ordered or apart <= CONFIRMED_WITHIN


def _headed(line: Line) -> Line:
    """A version without its lines: the newest values of each code stand in their slot."""
    kept = {name: value for name, value in line.detail.items() if name != "lines"}
    return msgspec.structs.replace(line, detail=kept)
