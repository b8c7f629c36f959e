"""Centre-wide critical values: is a result nobody has read an emergency for anybody at all?

Pure: a release of the rules and a summary in, verdicts out. A value whose unit or form cannot be
compared is said to be so; it is never taken for normal.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID

from releve.domain.aggregates.patient.analyte_labels import words_of
from releve.domain.aggregates.patient.loinc_families import Kinship, kinship
from releve.domain.aggregates.patient.observations import tells_the_past
from releve.domain.commands.command import DOCTORS
from releve.domain.exact_numbers import number_of
from releve.projections import wording
from releve.projections.compared_values import loincs_in
from releve.projections.dates import last_day
from releve.projections.rule_release import CriticalValue, Rules
from releve.projections.summary_corrections import is_judged
from releve.projections.summary_courses import Result
from releve.projections.summary_lines import Line
from releve.projections.summary_record import PatientSummary
from releve.projections.summary_standing import OBSERVATION

Verdict = Literal["critical", "not-comparable"]
_ABOVE = frozenset({"H", "HH", "HU", "A", "AA", ">", "POS"})
_NORMAL = frozenset({"N", "L", "LL", "LU", "NEG"})
_VOID = frozenset({"cancelled", "entered-in-error"})
_TOKEN = re.compile(r"(.*?) ?\[[^\[\]|\s]*\|([^\[\]|]+)\]", re.DOTALL)
"""``Critical high [system|HH]``, as the record keeps a coded word of a measure."""


class Alarm(NamedTuple):
    """A value that nobody has judged yet and that is critical, or cannot be compared."""

    verdict: Verdict
    label: str
    text: str
    """As received: ``Potassium 6,4 mmol/L``."""
    entry: UUID
    as_of: str
    line: Line

    @property
    def is_for_judging(self) -> bool:
        """Whether its words are known, as a measure's that was accepted or written here are.

        It rings until somebody says how ill the patient is.
        """
        return self.line.topic == OBSERVATION and self.line.validation != "to-validate"

    @property
    def critical(self) -> bool:
        """Whether it is critical; else it cannot be compared."""
        return self.verdict == "critical"


def alarms(summary: PatientSummary, rules: Rules) -> list[Alarm]:
    """Alarms of the results and measures that nobody has judged, critical first, then the oldest.

    A result counts in whatever version stands, partial and phoned included, until a doctor has
    read it. A measure has no reading of its own: it counts while it is "à valider", and a critical
    one, accepted or written here, until somebody says how ill the patient is, as a contingency
    that was met does. What was old when it came in is history.
    """
    if not rules.critical:
        return []
    found = [alarm for result in summary.results for alarm in of_result(result, summary, rules)]
    for line in summary.slot("results"):
        if line.current and line.ordinal is None and line.topic == OBSERVATION:
            found += _of_measure(line, summary, rules)
    found.sort(key=lambda each: (not each.critical, each.line.version))
    return found


def of_result(result: Result, summary: PatientSummary, rules: Rules) -> list[Alarm]:
    """The alarms of one result; none once its version in force was read."""
    received = result.received
    if received is None or result.review is not None:
        return []
    return [] if summary.is_history(result) else _judged(received, result.lines, summary, rules)


def _of_measure(line: Line, summary: PatientSummary, rules: Rules) -> list[Alarm]:
    waits = line.validation == "to-validate"
    if tells_the_past(line.as_of, line.zone, line.recorded_at):
        return []
    if not waits and is_judged(line, summary):
        return []
    ringing = _judged(line, [line.detail, *line.detail.get("components", ())], summary, rules)
    # Whoever accepted or wrote a value that cannot be compared has read it; "critical" is more
    # than words that are right.
    seen = not waits and (line.imported or line.role in DOCTORS)
    return [each for each in ringing if each.critical or not seen]


def to_tell(result: Result, summary: PatientSummary, rules: Rules) -> list[Alarm]:
    """What is critical in a result that was read and whose patient has not been told of it.

    Nothing once the patient was told, or need not be, though a phoned or partial one waits on for
    the written result.
    """
    received = result.received
    if not rules.critical or received is None or result.settled or not result.to_inform:
        return []
    if summary.is_history(result):
        return []
    return [each for each in _judged(received, result.lines, summary, rules) if each.critical]


def _judged(
    received: Line, lines: Iterable[Mapping[str, Any]], summary: PatientSummary, rules: Rules
) -> list[Alarm]:
    as_of = received.detail.get("sampled_at") or received.as_of
    day = last_day(as_of, received.zone) or received.recorded_at.date()
    found = []
    for line in lines:
        text = _text(received, line)
        said = verdicts(line, rules, lambda rule: _before(rule, summary, received, day))
        found += [Alarm(*each, text, received.entry_id, as_of, received) for each in said]
    return found


def verdicts(
    line: Mapping[str, Any],
    rules: Rules,
    before: Callable[[CriticalValue], Iterable[Decimal]] = lambda _: (),
) -> list[tuple[Verdict, str]]:
    """What the rules say of one line, each with its label; its laboratory's own word is one.

    ``before`` gives the earlier values that a rule compares with.
    """
    found: list[tuple[Verdict, str]] = []
    for rule in rules.critical:
        kin = relation(rule, line)
        verdict = None if kin is None else judge(rule, line, before(rule))
        if verdict is not None:
            # Words in doubt, or beside a code that nobody knows: perhaps another measure, for a
            # reader to say; never an alarm, never normal.
            doubtful = kin == "perhaps" or (kin == "words" and bool(loincs_in(line["code"])))
            found.append(("not-comparable" if doubtful else verdict, rule.label))
    if flagged(rules, line) and all(verdict != "critical" for verdict, _ in found):
        return [("critical", rules.flagged_label)]
    return found


def _text(received: Line, line: Mapping[str, Any]) -> str:
    if received.topic == OBSERVATION:
        return wording.observation_text(line, received.zone)
    return wording.result_line_text(line, received.zone)


def flagged(rules: Rules, line: Mapping[str, Any]) -> bool:
    """Whether its own laboratory says that a line is critical, whatever it measures."""
    if line.get("status") in _VOID:
        return False
    return any(
        " ".join(said.casefold().split()) in rules.flagged for said in _interpretations(line)
    )


def _interpretations(line: Mapping[str, Any]) -> list[str]:
    """What a line is said to be: bare as a result has it, words and code of a measure's token."""
    said = line.get("interpretation") or ""
    token = _TOKEN.fullmatch(said)
    return [said] if token is None else [token[1], token[2]]


def relation(rule: CriticalValue, line: Mapping[str, Any]) -> Kinship | None:
    """Whether a line is of the rule's test: by its LOINC codes, or by the words of its label."""
    return kinship(
        rule.loinc, loincs_in(line["code"]), line["code"].get("text", ""), names=rule.names
    )


def _known_as(rule: CriticalValue, line: Mapping[str, Any]) -> bool:
    kin = relation(rule, line)
    return kin == "same" or (kin == "words" and not loincs_in(line["code"]))


def judge(
    rule: CriticalValue, line: Mapping[str, Any], before: Iterable[Decimal] = ()
) -> Verdict | None:
    """Whether a line is critical under a rule; ``before`` are earlier values in the rule's unit."""
    if line.get("status") in _VOID:
        return None
    if rule.above_reference:
        return _above_reference(rule, line)
    value = in_unit(rule, line.get("value"))
    if value is None:
        # Words alone ("hémolysé") are for a reader; a number that cannot be read is not normal.
        return "not-comparable" if line.get("value") or _numbered(line) else None
    bound = line.get("comparator")
    if rule.rise is not None:
        lowest = min(before, default=None)
        if lowest is None:
            return None
        return _over(value, bound, lowest * Decimal(rule.rise.ratio), itself=True)
    over = None if rule.above is None else _over(value, bound, Decimal(rule.above))
    # Below a limit is above it with every sign turned round.
    under = None if rule.below is None else _over(-value, _TURNED.get(bound), -Decimal(rule.below))
    return next((said for said in ("critical", "not-comparable") if said in (over, under)), None)


_TURNED: Final[Mapping[str | None, str]] = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


def _over(
    value: Decimal, bound: str | None, limit: Decimal, *, itself: bool = False
) -> Verdict | None:
    """Whether a value, or what it bounds (``> 6``), is above a limit; at it too with ``itself``.

    A bound that leaves both answers possible cannot be compared.
    """
    over = value > limit or (value == limit and (itself or bound == ">"))
    if bound in (">", ">="):
        return "critical" if over else "not-comparable"
    if bound == "<" and value == limit:
        return None
    if bound in ("<", "<="):
        return "not-comparable" if over else None
    return "critical" if over else None


def in_unit(rule: CriticalValue, quantity: Mapping[str, Any] | None) -> Decimal | None:
    """A quantity in the rule's unit, exactly; None where it cannot be compared."""
    if not quantity:
        return None
    factor = None
    for unit in (quantity.get("code"), quantity.get("unit")):
        if unit is not None and factor is None:
            factor = rule.units.get(unit)
    if quantity.get("code") is None and quantity.get("unit") is None:
        factor = rule.units.get("")
    number = number_of(str(quantity["value"]))
    return None if factor is None or number is None else number * Decimal(factor)


def _before(
    rule: CriticalValue, summary: PatientSummary, received: Line, day: date
) -> list[Decimal]:
    """Earlier values of a rule that looks for a rise, within its days, in its unit."""
    if rule.rise is None:
        return []
    first = day - timedelta(days=rule.rise.days)
    found = []
    for line in summary.lines:
        if line.slot != "results" or not line.current or line.entry_id == received.entry_id:
            continue
        then = last_day(line.as_of, line.zone)
        if then is None or not first <= then <= day or not _known_as(rule, line.detail):
            continue
        value = in_unit(rule, line.detail.get("value"))
        if value is not None and value > 0:
            found.append(value)
    return found


def _numbered(line: Mapping[str, Any]) -> bool:
    return any(sign.isdecimal() for sign in line.get("text") or "")


def _above_reference(rule: CriticalValue, line: Mapping[str, Any]) -> Verdict | None:
    if words_of(line.get("text") or "")[:1] in [words_of(word) for word in rule.positive]:
        return "critical"
    said = _interpretations(line)
    if not _ABOVE.isdisjoint(said):
        return "critical"
    if not _NORMAL.isdisjoint(said):
        return None
    quantity = line.get("value")
    if not quantity:
        return "not-comparable" if _numbered(line) else None
    units = [unit for unit in (quantity.get("unit"), quantity.get("code")) if unit]
    limit = _upper(line.get("reference_range") or "", units)
    value = number_of(str(quantity["value"]))
    if limit is None or value is None:
        return "not-comparable"
    return _over(value, line.get("comparator"), limit)


def _upper(text: str, units: Collection[str]) -> Decimal | None:
    """The upper end of a reference as written: ``< 14``, ``0 - 14``, ``<= 14 ng/L``.

    Of several (by sex or age) the lowest. None for what says more than its ends, as the last number
    of ``0 - 14 ng/L (VPN 99 %)`` is no limit; and for one in another unit than the value's.
    """
    ends = [_end(part, units) for part in text.split(";") if part.strip()]
    found = [end for end in ends if end is not None]
    return min(found) if found and len(found) == len(ends) else None


def _end(text: str, units: Collection[str]) -> Decimal | None:
    written = _REFERENCE.fullmatch(text.strip())
    if written is None:
        return None
    unit = _plain(written["unit"])
    other = unit and units and unit not in {_plain(each) for each in units}
    return None if other else number_of(written["upper"])


def _plain(unit: str) -> str:
    return unit.casefold().replace("\N{MICRO SIGN}", "u").replace("\N{GREEK SMALL LETTER MU}", "u")


_REFERENCE: Final = re.compile(
    r"[\[(]?\s*(?:[<≤]\s*=?|inf\.? à|(?:\d+(?:[.,]\d+)?|\.\.)\s*(?:[-–—]|à))?\s*"
    r"(?P<upper>\d+(?:[.,]\d+)?)\s*(?P<unit>[^\d\s<>≤≥,()\[\]]*)\s*[\])]?",
    re.IGNORECASE,
)
"""One or two ends and a unit; a number alone is an upper end."""
