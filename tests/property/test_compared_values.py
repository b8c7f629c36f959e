"""A creatinine that rises is told by all of the last 90 days, however much a summary lets go."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import NamedTuple

from hypothesis import given as over
from hypothesis import settings
from hypothesis import strategies as some

from releve.domain.aggregates.patient.loinc_families import sisters
from releve.domain.aggregates.patient.observations import LOINC
from releve.domain.aggregates.patient.results import ResultReceived, ResultReviewed
from releve.domain.values import Coding, Concept, Quantity, ResultLine
from releve.projections.compared_values import COMPARED, COMPARED_DAYS
from releve.projections.critical_values import alarms
from releve.projections.ranking import extract
from releve.projections.rule_release import load_rules
from support.briefing import NEW, person
from support.patient_events import MONDAY, Stream, folded_by_the_feed, summary_of

CODES = (
    Concept(text="Créatinine", codings=(Coding(system=LOINC, code="14682-9"),)),
    Concept(text="CREATININE SERIQUE", codings=(Coding(system=LOINC, code="2160-0"),)),
    Concept(text="Créatininémie", codings=(Coding(code="CREA"),)),
)
"""As three laboratories name it: by two codes, and by words alone."""


class Taken(NamedTuple):
    """A creatinine: how many days after the one before, its value and its name."""

    after: int
    umol: int
    named: Concept


TAKEN = some.builds(Taken, some.integers(1, 40), some.integers(60, 130), some.sampled_from(CODES))


@settings(max_examples=150)
@over(some.lists(TAKEN, min_size=1, max_size=12))
def test_a_rise_is_told_wherever_its_lowest_value_was(taken: list[Taken]) -> None:
    stream, day = person(), 0
    known: list[tuple[int, int]] = []
    for each in taken:
        day += each.after
        received(stream, each, day)
        earlier = [umol for then, umol in known if day - then <= 90]
        rises = bool(earlier) and Decimal(each.umol) >= min(earlier) * Decimal("1.5")
        summary = summary_of(stream)
        for seen in (summary, extract(summary), folded_by_the_feed(stream)):
            assert bool(alarms(seen, NEW)) is rises
        read(stream, day)
        known.append((day, each.umol))


def received(stream: Stream, taken: Taken, day: int) -> None:
    at = MONDAY + timedelta(days=day)
    value = Quantity(value=str(taken.umol), unit="umol/L", code="umol/L")
    line = ResultLine(code=taken.named, value=value)
    stream.add(ResultReceived(status="final", lines=(line,), sampled_at=at.isoformat()), at=at)


def read(stream: Stream, day: int) -> None:
    at = MONDAY + timedelta(days=day, hours=2)
    said = ResultReviewed(verdict="normal", inform_patient=False)
    stream.add(said, target=stream.events[-1].event_id, at=at, reason="connu")


def test_every_release_compares_what_a_summary_keeps_for_it() -> None:
    for release in ("2026-11", "2026-11-2"):
        for rule in load_rules(release).critical:
            if rule.rise is not None:
                assert sisters(COMPARED).issuperset(rule.loinc)
                assert rule.rise.days <= COMPARED_DAYS
