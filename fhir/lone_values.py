"""Laboratory values that come in without a report: which of them are results, and of which one.

A value that somebody sends is news, and goes the way of every result: an item, a reading, the
patient told. The values of one sample are one result. A summary tells years of them instead: those
stay measures, but for what is critical and was recent when the summary was written.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from releve.domain.aggregates.patient.loinc_families import FAMILIES
from releve.domain.aggregates.patient.observations import HISTORY_AFTER
from releve.domain.values import ResultLine
from releve.projections import wording
from releve.projections.critical_values import verdicts
from releve.projections.dates import last_day
from releve.projections.rule_release import load_rules
from releve.projections.summary_standing import VITAL_SIGNS

SUMMARIES: Final = frozenset({"60591-5", "34133-9", "18842-5", "18761-7"})
"""Kinds of document (LOINC) that tell what is known: patient and episode summary, discharge,
transfer."""

_ZONE: Final = "Europe/Paris"
"""Of a day without an hour; sixty days do not hang on it."""
_LABORATORY: Final = frozenset(
    code for family in FAMILIES if family.codes.isdisjoint(VITAL_SIGNS) for code in family.codes
)


def is_of_a_laboratory(codes: Iterable[str]) -> bool:
    """Whether one of these LOINC codes is of an analyte that rules or if/thens ask about."""
    return not _LABORATORY.isdisjoint(codes)


def is_alarming(lines: Iterable[ResultLine], happened: str | None, written_at: str | None) -> bool:
    """Whether a summary of ``written_at`` tells a critical value, and one that was news then.

    Critical is what the release of the rules that this build ships says, and what the laboratory
    itself flags. A value, or a summary, without a date is news.
    """
    if not is_recent(happened, written_at):
        return False
    rules = load_rules()
    return any(
        verdict == "critical"
        for line in lines
        for verdict, _ in verdicts(wording.detail_of(line), rules)
    )


def is_recent(happened: str | None, written_at: str | None) -> bool:
    """Whether a value was news on the day of the document that tells it."""
    told = last_day(happened, _ZONE) if happened else None
    written = last_day(written_at, _ZONE) if written_at else None
    return told is None or written is None or written - told <= HISTORY_AFTER
