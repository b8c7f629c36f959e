"""Whatever comes in and is taken back: the summary says of each result what the record says.

A result that the record holds to be read and the summary leaves out rings nowhere; one that it
shows as read though nobody read it is worse.
"""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given as over
from hypothesis import settings
from hypothesis import strategies as some

from releve.domain.aggregates.patient import Patient
from releve.domain.aggregates.patient.results import (
    Informed,
    InvestigationOrdered,
    ResultReceived,
    ResultReviewed,
    current_results,
    stage_of,
)
from releve.domain.aggregates.patient.validation import EntryValidated
from releve.domain.commands import COMMANDS, Command, ImportedEntry, ImportRecord
from releve.domain.events import Payload
from releve.domain.values import ResultLine, ResultStatus
from support.histories import histories
from support.result_standing import DAY, shown, told, waiting
from support.results import NA, line

STATUSES: list[ResultStatus] = ["phoned", "partial", "final", "corrected"]
MEASURES: list[tuple[ResultLine, ...]] = [
    (line("6.4"),), (line("4.1"),), (line("140", code=NA),), (line("6.4"), line("140", code=NA)),
]  # fmt: skip
REPORTS = [None, "R1", "R2"]
LONG_AGO = "2026-09-15"
"""History, but for what an order or a result that was news awaits."""
ORDER, RECEIVE, READ, TELL = (
    "order-investigation", "receive-result", "review-result", "inform-patient",
)  # fmt: skip
MARK, BACK, JUDGE = "mark-entry-in-error", "reinstate-entry", "validate-entry"
Act = tuple[str, int, int]
"""A command, which entry it names, counted from the newest, and which of its variants."""

TEXTS = some.builds(
    lambda status, lines, report, sampled: ResultReceived(
        status=status, lines=lines, sampled_at=sampled, report=report,
        laboratory="Labo" if report else "",
        caller="Mme Exemple" if status == "phoned" else "", read_back=status == "phoned",
    ),
    some.sampled_from(STATUSES), some.sampled_from(MEASURES), some.sampled_from(REPORTS),
    some.sampled_from([None, None, LONG_AGO]),
)  # fmt: skip
ENTRIES = some.builds(ImportedEntry, payload=TEXTS, source_id=some.sampled_from([None, "r1", "r2"]))
IMPORTS = some.builds(ImportRecord, entries=some.lists(ENTRIES, min_size=1, max_size=3).map(tuple))
ACTS = some.tuples(
    some.sampled_from([ORDER, READ, TELL, MARK, MARK, BACK, BACK, JUDGE]),
    some.integers(0, 5),
    some.integers(0, 3),
)
RECEIPTS = some.tuples(TEXTS, some.integers(0, 2))
STEPS = some.lists(some.one_of(IMPORTS, RECEIPTS, ACTS, ACTS), min_size=2, max_size=14)


def commanded(step: Any, record: Patient) -> Command | None:
    """What a step asks of the record as it stands; None where it names nothing that is there."""
    if isinstance(step, ImportRecord):
        return step
    said: dict[str, Any]
    if isinstance(step[0], ResultReceived):
        text, ordered = step
        order = named(record, ordered - 1, InvestigationOrdered) if ordered else None
        said = {**msgspec.to_builtins(text), **({"order": order} if order else {})}
        return COMMANDS[RECEIVE].parse(said)
    act, which, how = step
    if act == ORDER:
        asked = {"kind": "laboratory", "text": "Ionogramme", "expected_by": "2026-11-26"}
        return COMMANDS[ORDER].parse(asked)
    kinds: tuple[type[Payload], ...] = (ResultReceived,)
    if act in (MARK, BACK):
        kinds = (*kinds, ResultReviewed, Informed, InvestigationOrdered, EntryValidated)
    entry = named(record, which, *kinds, wrong=act == BACK)
    if entry is None:
        return None
    match act:
        case "review-result":
            said = {"result": entry, "verdict": "normal"}
            if how % 2:
                said |= {"inform_patient": False, "reason": "x"}
            order = named(record, which, InvestigationOrdered) if how > 1 else None
            said |= {"order": order} if order else {}
        case "inform-patient":
            said = {"result": entry, "channel": "phone"}
        case "validate-entry":
            verdict = "refused" if how else "accepted"
            said = {"entry": entry, "verdict": verdict, "reason": "x"}
        case _:
            said = {"entry": entry, "reason": "x"}
    return COMMANDS[act].parse(said)


def named(record: Patient, which: int, *kinds: type[Payload], wrong: bool = False) -> str | None:
    found = [
        event
        for event in record.entries.values()
        if isinstance(event.payload, kinds) and (not wrong or event.event_id in record.in_error)
    ]
    return str(found[-1 - which % len(found)].event_id) if found else None


def agree(steps: list[Any]) -> int:
    """Hold each record of a history against its summary; how many of its results are history."""
    found = 0
    for record, summary in histories(commanded, steps):
        known, seen = told(record), shown(summary)
        assert waiting(seen) == waiting(known)
        assert seen.items() <= known.items()
        history = {
            event.event_id
            for event in current_results(record)
            if stage_of(record, event) == "history"
        }
        assert {
            one.entry_id
            for one in summary.results
            if one.received
            and summary.is_history(one)
            and not (one.review or one.state(DAY) == "done")
        } == history
        found = len(history)
    return found


@settings(max_examples=150)
@over(STEPS)
def test_the_summary_says_of_each_result_what_the_record_says(steps: list[Any]) -> None:
    agree(steps)


def imported(*entries: tuple[ResultStatus, str | None, str | None]) -> ImportRecord:
    """Results of one file: status, the source's name for it, and when it was sampled."""
    return ImportRecord(
        entries=tuple(
            ImportedEntry(
                payload=ResultReceived(
                    status=status, lines=(line("6.4"),), sampled_at=sampled,
                    caller="Mme Exemple" if status == "phoned" else "",
                    read_back=status == "phoned",
                ),
                source_id=source_id,
            )
            for status, source_id, sampled in entries
        )
    )  # fmt: skip


def test_what_completes_news_that_was_an_error_is_no_history_though_its_sample_is_old() -> None:
    final_comes = [
        imported(("phoned", None, None)),
        imported(("final", "r2", None)),
        imported(("partial", "r2", LONG_AGO)),
    ]
    assert agree([*final_comes, (MARK, 1, 0)]) == 0
    assert agree([imported(("partial", "r2", LONG_AGO))]) == 1
