"""Who needs the incoming doctor first: what can be said of a patient, and the order it gives.

Ranking is a pure function of summaries, rules and a viewpoint. A day counts, not an hour: due dates
and delays are compared with the civil day of the viewpoint in the centre's zone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import date, datetime, time, timedelta
from itertools import chain
from typing import Final, NamedTuple
from uuid import UUID

import msgspec

from releve.projections.compared_values import is_compared
from releve.projections.critical_values import Alarm, alarms, to_tell
from releve.projections.dates import first_instant, last_day, zone_of
from releve.projections.directory_entries import StintLine
from releve.projections.patient_summary import Item, Line, PatientSummary, Result
from releve.projections.rule_release import Rules, Signal, Tier
from releve.projections.summary_corrections import is_judged
from releve.projections.summary_record import day_of, starts
from releve.projections.summary_standing import OBSERVATION

FAR: Final = 2**62
_SEVERITY_RANK: Mapping[str, int] = {"unstable": 3, "watcher": 2, "stable": 1}
_CRITICAL_RANK: Final = 4
"""A critical value that nobody has read comes before a patient who is known to be unstable."""


class Viewpoint(NamedTuple):
    """From where a briefing looks: whose stint, on which civil day, what they saw last."""

    stint: UUID
    centre: UUID
    zone: str
    day: date
    """Reference day for ages, delays and what is late."""
    at: datetime
    """Moment at which owners are resolved."""
    start_day: date
    last_day: date
    """Last civil day of the stint."""
    since: int
    """Ledger position up to which this doctor has read the centre's records."""
    reader: UUID | None = None
    """The doctor, for whom what they wrote themselves is not new."""
    returning: bool = False
    """Whether they have been at this centre before."""


class Ranked(NamedTuple):
    """One patient with tier and what put them there."""

    tier: Tier
    signals: frozenset[Signal]
    summary: PatientSummary
    key: tuple[int, int, bool, int, int, int, str]
    alarms: tuple[Alarm, ...] = ()


def viewpoint(
    stint: StintLine, zone: str, now: datetime, since: int, *, returning: bool = False
) -> Viewpoint:
    """The viewpoint of a stint at ``now``; before the stint begins, that of its first day."""
    start = stint.as_stint().window[0].astimezone(zone_of(zone))
    end = stint.over_at.astimezone(zone_of(zone))
    today = now.astimezone(zone_of(zone)).date()
    day = max(start.date(), today)
    at = start if day == start.date() else datetime.combine(day, time(12), zone_of(zone))
    return Viewpoint(
        stint.stint, stint.centre, zone, day, at, start.date(), max(end.date(), day), since,
        stint.practitioner, returning,
    )  # fmt: skip


def extract(summary: PatientSummary) -> PatientSummary:
    """The bounded part of a summary that ranking and card need; same type, same answers.

    It does not grow with the length of the record, so a briefing's cost depends on the number of
    patients alone.
    """
    spoken = summary.one_liner()
    unread = [each for each in summary.results if each.received and not each.review]
    codes = [line["code"] for each in unread for line in each.lines]
    whole = ("allergies", "vigilance")  # a card counts what it leaves out of these
    keep: list[Line] = [line for line in summary.lines if line.slot in whole and line.current]
    for slot, most in (("medications", 20), ("problems", 4)):
        keep += [line for line in summary.slot(slot) if line.current][:most]
    for slot in ("medications", "problems", "past-illness", "allergies"):
        changed = [line for line in summary.slot(slot) if line.revised and line not in keep]
        # A card counts the treatments that were stopped, beyond those that it names.
        keep += sorted(changed, key=_last_said)[: 20 if slot == "medications" else _CHANGED]
    keep += [
        line
        for line in summary.slot("results")
        if line.current
        and (
            line.detail["code"] in codes
            or line.validation == "to-validate"
            or (line.topic == OBSERVATION and not is_judged(line, summary))
        )
    ]
    keep += _compared(summary, keep)
    waiting = summary.to_validate[:TO_VALIDATE]
    keep += [line for line in waiting if line.ordinal is None and line in summary.lines
             and line not in keep]  # fmt: skip
    if spoken is not None and spoken.older_than is not None and spoken.older_than not in keep:
        keep.append(spoken.older_than)
    keep.sort(key=lambda line: (line.version, line.ordinal or 0))
    contact = summary.last_contact
    severity = summary.severity
    attending = summary.medecin_traitant
    handover = summary.handover
    shown = {line.entry_id for line in keep}
    return msgspec.structs.replace(
        summary,
        recalled=[],
        registered=None,
        attending=[attending] if attending else [],
        lines=[line if line.first is None else _said(line) for line in keep],
        absences=[line for line in summary.absences if line.current],
        encounters=[contact] if contact else [],
        notes=[
            note
            for note in summary.notes
            if note.amendments or (spoken is not None and note.spoken is spoken.line)
        ],
        handovers=[handover] if handover else [],
        items=[*_lately_closed(summary), *summary.open_items],
        results=[each for each in summary.results if not each.settled or each.previous_review],
        contingencies=[line for line in summary.contingencies if line.current],
        severities=[severity] if severity else [],
        fired=[*summary.firing, *summary.older_measures],
        opinions=[line for line in summary.opinions if line.current and line.target in shown],
        appointments=_to_come(summary),
        told=[
            line
            for line in (
                summary.ins,
                summary.death,
                summary.summary_review,
                summary.contact_details,
            )
            if line
        ],
    )


def _compared(summary: PatientSummary, kept: list[Line]) -> list[Line]:
    """What a measure that may be critical, or that its patient is to be told, is compared with.

    Under whatever name or code: another laboratory's is an earlier value all the same.
    """
    lines = [line for line in summary.slot("results") if line.current and line not in kept]
    earlier = [line for line in lines if is_compared(line.detail)]
    asking = (
        measure
        for result in summary.results
        if result.received is not None and (result.review is None or result.to_inform)
        for measure in result.lines
    )
    measures = (line.detail for line in kept if line.topic == OBSERVATION and "code" in line.detail)
    if earlier and any(map(is_compared, chain(asking, measures))):
        return earlier
    return []


_CHANGED = 4
_OWN = 2


def _lately_closed(summary: PatientSummary) -> list[Item]:
    """The items closed last, and of each person the last that they opened or answered for.

    Whoever comes back asks first what became of their own.
    """
    closed = [item for item in summary.items if not item.open]
    latest = sorted(closed, key=lambda item: item.last_step.version, reverse=True)
    kept = {item.line.entry_id for item in latest[:_CHANGED]}
    own: dict[str, int] = {}
    for item in latest:
        for person in {str(item.line.person), str(item.owner.get("person"))} - {"None"}:
            own[person] = own.get(person, 0) + 1
            if own[person] <= _OWN:
                kept.add(item.line.entry_id)
    return [item for item in closed if item.line.entry_id in kept]


TO_VALIDATE: Final = 40
"""Up to how many lines "à valider" of one patient are counted; beyond, there are at least these."""


def _to_come(summary: PatientSummary) -> list[Line]:
    """Booked appointments but those that were over when the record was last written to."""
    written = summary.recorded_at
    if written is None:
        return summary.booked
    first = written.date() - timedelta(days=1)  # a day ahead of UTC somewhere, never two
    return [line for line in summary.booked if day_of(line) >= first]


def _last_said(line: Line) -> int:
    changed = line.revised
    return -(changed.version if changed is not None else line.version)


def _said(line: Line) -> Line:
    """A line as it stands, without its first words: a bounded summary is never folded again."""
    return msgspec.structs.replace(line, first=None)


def signals(
    summary: PatientSummary, view: Viewpoint, rules: Rules, ringing: Collection[Alarm] = ()
) -> frozenset[Signal]:
    """What can be said of a patient for ranking, seen from ``view``; ``ringing`` are its alarms."""
    found: set[Signal] = set()
    if summary.unread:
        found.add("incomplete")
    for alarm in ringing:
        found.add("critical-result" if alarm.critical else "result-unit-error")
    if summary.death is None:
        found |= _ill(summary)
    else:
        found.add("deceased")
    for item in summary.open_items:
        due = due_day(item)
        if due is None:
            found.add("no-deadline")
        elif due < view.day:
            found.add("overdue-with-harm" if item.harm_if_late else "overdue")
        elif due <= view.last_day:
            found.add("due-in-stint")
    for result in summary.open_results(view.day):
        said = _RESULT_SIGNAL.get(result.state(view.day))
        if said is not None:
            found.add(said)
    if any(is_corrected_for(result, view, rules) for result in summary.corrected_results):
        found.add("corrected-result")
    if view.reader is not None and any(q.to == view.reader for q in summary.open_questions):
        found.add("question-to-me")
    found |= _unvalidated(summary, ringing)
    if summary.news_for(view.reader, view.since):
        found.add("changed")
        if summary.appointments_between(view.day, view.last_day):
            found.add("booked-changed")
    return frozenset(found)


_RESULT_SIGNAL: Mapping[str, Signal] = {
    "to-review": "result-to-review",
    "expected-late": "result-late",
    "to-inform": "result-to-inform",
}


def _unvalidated(summary: PatientSummary, ringing: Iterable[Alarm]) -> set[Signal]:
    """Lines that no doctor has accepted, and whether one of them harms if it waits."""
    waiting = summary.to_validate
    if not waiting:
        return set()
    alarming = {alarm.entry for alarm in ringing}
    harms = any(line.topic == _ALLERGY or line.entry_id in alarming for line in waiting)
    return {"to-validate", "to-validate-danger"} if harms else {"to-validate"}


_ALLERGY: Final = "patient.allergy-recorded"


def documents_to_validate(summary: PatientSummary) -> int:
    """How many documents, or files from another system, have a line that nobody accepted."""
    return len({
        (line.recorded_at, line.source.system if line.source else None)
        for line in summary.to_validate[:TO_VALIDATE]
    })  # fmt: skip


def _ill(summary: PatientSummary) -> set[Signal]:
    found: set[Signal] = set()
    severity = summary.severity
    level = severity.detail["severity"] if severity else None
    if level == "unstable":
        found.add("unstable")
    elif level == "watcher":
        found.add("watcher")
    for fired in summary.firing:
        found.add("contingency-met" if fired.matched else "contingency-not-comparable")
    return found


def is_corrected_for(result: Result, view: Viewpoint, rules: Rules) -> bool:
    """Whether this reader had read a version of the result that was corrected lately."""
    before, now = result.previous_review, result.received
    if before is None or now is None or view.reader is None or before.person != view.reader:
        return False
    came = now.recorded_at.astimezone(zone_of(view.zone)).date()
    again = result.review is not None and result.review.person == view.reader
    return view.day - came <= timedelta(days=rules.corrected_days) and not again


def rank(summaries: Iterable[PatientSummary], view: Viewpoint, rules: Rules) -> list[Ranked]:
    """All patients in briefing order: a total order, the same for the same inputs.

    Inside a tier: a critical value that nobody read, then the more severe, then one whose patient
    was not told of it, the earlier due, the earlier appointment of this stint, the older open item.
    """
    ranked = []
    tiers = {tier: index for index, tier in enumerate(rules.titles())}
    for summary in summaries:
        ringing = alarms(summary, rules)
        said = signals(summary, view, rules, ringing)
        tier = rules.tier_of(said)
        items = summary.open_items
        dues = [due.toordinal() for item in items if (due := due_day(item)) is not None]
        booked = summary.appointments_between(view.day, view.last_day)
        opened = [_opened(item) for item in items]
        key = (
            tiers[tier],
            -_gravity(summary, said),
            not any(to_tell(result, summary, rules) for result in summary.results),
            min(dues, default=FAR),
            int(starts(booked[0])[0].timestamp()) if booked else FAR,
            min(opened, default=FAR),
            summary.patient.hex,
        )
        ranked.append(Ranked(tier, said, summary, key, tuple(ringing)))
    ranked.sort(key=lambda each: each.key)
    return ranked


def _gravity(summary: PatientSummary, said: frozenset[Signal]) -> int:
    if "critical-result" in said:
        return _CRITICAL_RANK
    severity = summary.severity
    if severity is None or "deceased" in said:
        return 0
    return _SEVERITY_RANK.get(severity.detail["severity"], 0)


def due_day(item: Item) -> date | None:
    """The last day on which an item is in time; None without a deadline."""
    return last_day(item.due, item.line.zone) if item.due else None


def _opened(item: Item) -> int:
    moment = first_instant(item.line.as_of, item.line.zone) or item.line.recorded_at
    return int(moment.timestamp())


def urgency(view: Viewpoint, item: Item) -> tuple[bool, int, int, int]:
    """The place of an item among a patient's: late with harm, then by day, then its age."""
    due = due_day(item)
    late = due is not None and due < view.day
    return (
        not (late and item.harm_if_late),
        due.toordinal() if due else FAR,
        not item.harm_if_late,
        item.line.version,
    )
