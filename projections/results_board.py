"""The results board of a centre: from what was ordered to a patient who was told.

Five groups, in the order in which they hurt; inside each, critical values first, then the oldest.
Pure: bounded summaries, the inbox's waiting documents and a release of the rules in, lines out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Final, Literal, NamedTuple
from uuid import UUID

from releve.domain.values import ExpectedSource
from releve.projections import wording
from releve.projections.briefing import owner_label
from releve.projections.critical_values import Alarm, of_result, to_tell, verdicts
from releve.projections.dates import first_instant, zone_of
from releve.projections.directory import Directory
from releve.projections.edition_frame import Intake
from releve.projections.inbox import InboxLine, source_states
from releve.projections.patient_summary import Item, PatientSummary, Result
from releve.projections.ranking import due_day
from releve.projections.rule_release import Rules
from releve.projections.summary_corrections import item_of
from releve.projections.summary_results import announced_otherwise

Group = Literal["expected", "partial", "to-review", "to-inform", "unmatched"]
GROUPS: Final[Mapping[Group, str]] = {
    "to-review": "À lire",
    "unmatched": "Non rattachés",
    "to-inform": "Patient à prévenir",
    "expected": "Attendus",
    "partial": "Partiels",
}
"""French title per group, in the order of the board."""


class ResultRow(NamedTuple):
    """One result as the board shows it; ``document`` instead of a patient when it is unmatched."""

    group: Group
    title: str
    since: datetime
    """Since when it waits: received, else ordered."""
    alarms: tuple[Alarm, ...] = ()
    critical: bool = False
    """Critical: nobody has read it, or its patient has not been told of it."""
    not_comparable: bool = False
    late: bool = False
    """Expected, and its last day is over."""
    patient: UUID | None = None
    name: str = ""
    severity: str | None = None
    result: Result | None = None
    item: Item | None = None
    owner: str = ""
    """Who answers now, as words."""
    ordered_by: str = ""
    expected_by: str = ""
    previous_reader: str = ""
    """Who had read the version that this one corrects: they must be told."""
    announced: tuple[str, ...] = ()
    """What a call or a partial had said otherwise."""
    attempts: int = 0
    """How often somebody tried to reach the patient."""
    document: UUID | None = None
    by_hand: bool = False
    """An item about a result that somebody awaits without an order here."""

    @property
    def order(self) -> tuple[bool, bool, bool, datetime, str]:
        """Its place inside its group: critical first, then late, then the oldest."""
        named = (self.patient or self.document or UUID(int=0)).hex
        return not self.critical, not self.not_comparable, not self.late, self.since, named


def board(
    summaries: Iterable[PatientSummary],
    waiting: Iterable[InboxLine],
    rules: Rules,
    at: datetime,
    zone: str,
    centre: UUID,
    directory: Directory,
) -> dict[Group, list[ResultRow]]:
    """Every result that is not done, by group in board order; a group may be empty."""
    found: dict[Group, list[ResultRow]] = {group: [] for group in GROUPS}
    for summary in summaries:
        for row in _of_patient(summary, rules, at, zone, centre, directory):
            found[row.group].append(row)
    for line in waiting:
        if line.received.result_status is not None or unmatched_verdicts(line, rules):
            found["unmatched"].append(_unmatched(line, rules))
    for rows in found.values():
        rows.sort(key=lambda row: row.order)
    return found


def _of_patient(
    summary: PatientSummary,
    rules: Rules,
    at: datetime,
    zone: str,
    centre: UUID,
    directory: Directory,
) -> Iterable[ResultRow]:
    day = at.astimezone(zone_of(zone)).date()
    severity = summary.severity
    told = {
        item.line.entry_id
        for result in summary.results
        if (item := item_of(summary, result)) is not None
    }
    for item in summary.open_items:
        if item.kind != "result" or item.line.entry_id in told:
            continue
        due = due_day(item)
        yield ResultRow(
            group="expected",
            title=str(item.line.detail["text"]),
            since=first_instant(item.line.as_of, item.line.zone) or item.line.recorded_at,
            late=due is not None and due < day,
            patient=summary.patient,
            name=summary.full_name(),
            severity=severity.detail["severity"] if severity else None,
            item=item,
            owner=owner_label(item, summary, centre, at, directory),
            ordered_by=item.line.author,
            expected_by=item.due or "",
            by_hand=True,
        )
    for result in summary.open_results(day):
        state = result.state(day)
        ringing = tuple(of_result(result, summary, rules))
        untold = bool(to_tell(result, summary, rules))
        item = item_of(summary, result)
        line = result.line
        before = result.previous_review
        yield ResultRow(
            group=_GROUP[state],
            title=result.title,
            since=first_instant(line.as_of, line.zone) or line.recorded_at,
            alarms=ringing,
            critical=untold or any(alarm.critical for alarm in ringing),
            not_comparable=any(not alarm.critical for alarm in ringing),
            late=state == "expected-late",
            patient=summary.patient,
            name=summary.full_name(),
            severity=severity.detail["severity"] if severity else None,
            result=result,
            item=item,
            owner=owner_label(item, summary, centre, at, directory) if item else "",
            ordered_by=result.order.author if result.order else "",
            expected_by=result.order.detail["expected_by"] if result.order else "",
            previous_reader=before.author if before else "",
            announced=announced_otherwise(summary, result),
            attempts=len([each for each in result.attempts if not each.wrong]),
        )


_GROUP: Final[Mapping[str, Group]] = {
    "expected": "expected", "expected-late": "expected", "partial": "partial",
    "to-review": "to-review", "to-inform": "to-inform",
}  # fmt: skip


def _unmatched(line: InboxLine, rules: Rules) -> ResultRow:
    said = unmatched_verdicts(line, rules)
    received = line.received
    title = received.title or received.one_liner or wording.RESULT_STATUS["final"]
    return ResultRow(
        group="unmatched",
        title=title,
        since=line.received_at,
        critical="critical" in said,
        not_comparable="not-comparable" in said,
        document=line.document,
    )


def unmatched_verdicts(line: InboxLine, rules: Rules) -> set[str]:
    """What the centre-wide critical values say of a document that is nobody's yet.

    Of its results, and of the measures of a summary that were news when it was written.
    """
    return {
        verdict
        for each in line.received.results
        for verdict, _ in verdicts(wording.detail_of(each), rules)
    }


def intake_of(
    lines: Iterable[InboxLine],
    expected: Iterable[ExpectedSource],
    rules: Rules,
    at: datetime,
    summaries: Callable[[], Iterable[PatientSummary]] = tuple,
) -> Intake:
    """What an inbox holds for the head of a briefing: unmatched, critical ones, silent senders.

    ``summaries`` are the centre's records, asked where the inbox alone would call one silent.
    """
    held = list(lines)
    waiting = [line for line in held if line.state == "waiting"]
    alarming = sum(bool(unmatched_verdicts(line, rules)) for line in waiting)
    silent = tuple(
        state.system for state in source_states(expected, held, summaries, at) if state.silent
    )
    return Intake(len(waiting), alarming, silent)
