"""Results that came in and belong to nobody yet: each is shown, and a critical one before all else.

Pure: a centre's waiting documents and a release of the rules in, verdicts out. A value that cannot
be compared is told as such and never taken for normal.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import msgspec

from releve.projections import wording
from releve.projections.critical_values import concerns, judge
from releve.projections.inbox import InboxLine
from releve.projections.rule_release import Rules


class Unmatched(NamedTuple):
    """A result of an inbox document that nobody matched or set aside yet."""

    document: UUID
    received_at: datetime
    name: str
    """Whose it says it is; empty where it does not say."""
    texts: tuple[str, ...]
    """Its lines as received, the alarming ones first; for who may read the record only."""
    critical: bool
    not_comparable: bool
    phoned: bool


def unmatched(
    lines: Iterable[InboxLine], rules: Rules, zone: str = "Europe/Paris"
) -> list[Unmatched]:
    """Waiting results: critical first, then those that cannot be compared, then the oldest."""
    found = [
        _judged(line, rules, zone)
        for line in lines
        if line.state == "waiting" and line.received.results
    ]
    return sorted(
        found,
        key=lambda each: (
            not each.critical, not each.not_comparable, each.received_at, each.document.hex,
        ),
    )  # fmt: skip


def is_critical(line: InboxLine, rules: Rules) -> bool:
    """Whether a waiting document holds a critical value: its rank, which tells no value."""
    return line.state == "waiting" and any(
        verdict == "critical" for _, verdict in _verdicts(line, rules)
    )


def _judged(line: InboxLine, rules: Rules, zone: str) -> Unmatched:
    verdicts = _verdicts(line, rules)
    rank = {"critical": 0, "not-comparable": 1}
    ordered = sorted(verdicts, key=lambda each: rank.get(each[1] or "", 2))
    said = line.received.identity
    name = ""
    if said is not None:
        first = said.first_names[0] if said.first_names else ""
        name = " ".join(part for part in (first, said.birth_name or said.used_name) if part)
    return Unmatched(
        document=line.document,
        received_at=line.received_at,
        name=name,
        texts=tuple(wording.result_line_text(each, zone) for each, _ in ordered),
        critical=any(verdict == "critical" for _, verdict in verdicts),
        not_comparable=any(verdict == "not-comparable" for _, verdict in verdicts),
        phoned=line.received.format == "phone",
    )


def _verdicts(line: InboxLine, rules: Rules) -> list[tuple[dict[str, object], str | None]]:
    """Each line of the result with the worst that a rule says of it."""
    found: list[tuple[dict[str, object], str | None]] = []
    for result in line.received.results:
        told = msgspec.to_builtins(result, str_keys=True)
        verdicts = {judge(rule, told) for rule in rules.critical if concerns(rule, told)}
        worst = next((v for v in ("critical", "not-comparable") if v in verdicts), None)
        found.append((told, worst))
    return found
