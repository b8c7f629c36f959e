"""What happened at the demo centre, in the order it was recorded.

:func:`history` yields acts oldest first: who did what, when, to whom. It knows nothing of keys,
streams or the ledger; :mod:`releve.api.demo.seeding` turns acts into sealed events through the
domain's own decisions.
"""

from __future__ import annotations

import heapq
from bisect import bisect
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from itertools import accumulate

from releve.api.demo import background, calendar, desk, paper, people
from releve.api.demo.acts import INS_TEST, PARIS, Act, Entry, Sizes
from releve.api.demo.background import Chart
from releve.api.demo.centre_life import CentreLife
from releve.api.demo.course import Course
from releve.api.demo.golden import Golden, Step, scenes
from releve.api.demo.scribe import Scribe
from releve.domain.commands import RecordConsultation

__all__ = ["INS_TEST", "PARIS", "Act", "Sizes", "centre_acts", "golden_scenes", "history"]

VISITS_PER_PATIENT_YEAR = 2.98


def history(sizes: Sizes, monday: date) -> Iterator[Act]:
    """Every act of every centre, by time of recording; ``monday`` begins the present stint."""
    centres = [centre_acts(sizes, number, monday) for number in range(sizes.centres)]
    return heapq.merge(*centres, key=lambda act: (act.at, act.label))


def golden_scenes(scribe: Scribe) -> tuple[Golden, ...]:
    """The hand-written scenes: all of them, and at most half of a very small centre."""

    def name_at(days: int) -> str:
        family, given = _doctor_at(scribe, days)
        return f"Dr {given} {family}"

    return scenes(scribe.monday, name_at)[: max(1, scribe.sizes.patients // 2)]


def _doctor_at(scribe: Scribe, days: int) -> tuple[str, str]:
    at = datetime.combine(scribe.monday + timedelta(days=days), time(12), PARIS)
    return scribe.week_of(at).doctor


def _labelled(scribe: Scribe, who: str) -> str:
    """The label of a stream of the centre; ``in-post@-13`` is the doctor of so many days ago."""
    if who.startswith("in-post@"):
        return scribe.person(_doctor_at(scribe, int(who.removeprefix("in-post@"))))
    return f"{scribe.label}/{who}"


def centre_acts(sizes: Sizes, number: int, monday: date) -> list[Act]:
    """The acts of one centre, oldest first."""
    scribe = Scribe(sizes, number, monday)
    CentreLife(scribe).write()
    golden = golden_scenes(scribe)
    _tell(scribe, golden)
    consulted = sum(isinstance(act.command, RecordConsultation) for act in scribe.acts)
    charts = _charts(scribe, sizes.patients - len(golden))
    _register(scribe, charts)
    desk.deaths(scribe, charts)
    total = round(sizes.patients * sizes.weeks * VISITS_PER_PATIENT_YEAR / 52)
    _visit(scribe, charts, max(total - consulted, total // 2))
    desk.renewals(scribe, charts)
    desk.departures(scribe, charts, 0.012 * sizes.weeks / 12)
    desk.appointments(scribe, charts)
    paper.documents(scribe, charts)
    scribe.acts.sort(key=lambda act: (act.at, act.label))
    return scribe.acts


def _charts(scribe: Scribe, count: int) -> list[Chart]:
    """A chart for each plain inhabitant: what they have and are allergic to."""
    found = people.inhabitants(scribe.sizes.seed, scribe.number, max(0, count), scribe.first)
    return [
        Chart(
            person=person,
            conditions=background.conditions_of(scribe.share, person, scribe.first),
            allergen=background.allergen_of(scribe.rng, person),
            target=f"{scribe.label}/patient-{person.index}",
        )
        for person in found
    ]


def _register(scribe: Scribe, charts: list[Chart]) -> None:
    """Seven in ten at the opening, the others as they come."""
    for chart in charts:
        rng = scribe.rng("registration", str(chart.person.index))
        week = 0 if rng.random() < 0.7 else rng.randrange(scribe.sizes.weeks)
        at = datetime.combine(
            scribe.first + timedelta(weeks=week, days=rng.randrange(4)), time(8, 5), PARIS
        ) + timedelta(seconds=rng.randrange(34_000), microseconds=chart.person.index)
        chart.since = at
        desk.register(scribe, chart, at)


def _visit(scribe: Scribe, charts: list[Chart], total: int) -> None:
    """Who comes when: visits of one person follow a negative binomial law, by their own rate."""
    if not charts:
        return
    course = Course(scribe)
    rates = []
    for chart in charts:
        own = scribe.rng("rate", str(chart.person.index)).gammavariate(1.4, 1.0)
        rates.append(own * (0.7 + 0.35 * len(chart.conditions)))
    whole = list(accumulate(rates))
    rng = scribe.rng("visits", "times")
    for n, at in enumerate(calendar.visits(scribe.first, scribe.sizes.weeks, total, rng)):
        pick = scribe.rng("visit", str(n))
        for _ in range(40):
            chart = charts[min(bisect(whole, pick.random() * whole[-1]), len(charts) - 1)]
            if chart.free(at):
                course.visit(chart, at)
                break


def _tell(scribe: Scribe, golden: tuple[Golden, ...]) -> None:
    """The hand-written scenes; their people are registered when the centre opens, or once born."""
    for index, scene in enumerate(golden):
        target = f"{scribe.label}/golden-{scene.key}"
        chart = Chart(golden_person(scene, scribe.number, index), [], None, target)
        known = max(scribe.first, scene.born + timedelta(days=20))
        at = datetime.combine(known, time(7, index % 60), PARIS)
        desk.register(scribe, chart, at, qualified=True)
        for n, step in enumerate(scene.steps):
            at = datetime.combine(scribe.monday + timedelta(days=step.day), step.at, PARIS)
            at = max(at, datetime.combine(scribe.first, time(9, n), PARIS))
            if step.command is None:
                if step.paper is None:
                    raise ValueError(f"{scene.key}: a step has a command or a document")
                paper.bring(
                    scribe,
                    chart.person,
                    target,
                    step.paper(chart.person),
                    at,
                    step.fate,
                    scribe.rng("paper", scene.key),
                )
                continue
            week = scribe.week_of(at)
            if step.week:
                week = scribe.weeks[max(0, scribe.weeks.index(week) + step.week)]
            scribe.write(
                at,
                f"{scene.key}-{step.label or n}",
                target,
                step.by,
                step.command,
                stint=_stint(scribe, step, week) if step.by == "doctor" else None,
                entries={
                    field: Entry(f"{target}:{scene.key}-{label}", topic, nth)
                    for field, (label, topic, nth) in step.about.items()
                },
                refers={field: _labelled(scribe, who) for field, who in step.refers.items()},
                source=step.source,
            )


def _stint(scribe: Scribe, step: Step, week: calendar.Week) -> str:
    """The author's stint: the week's own, or the one named where the demo is long enough for it."""
    named = f"{scribe.label}/{step.stint}"
    known = any(act.target == named for act in scribe.acts)
    return named if step.stint and known else week.label


def golden_person(golden: Golden, centre: int, index: int) -> people.Person:
    """A golden patient's traits."""
    insee = "23999"
    return people.Person(
        index=-1 - index,
        family=golden.family,
        given=golden.given,
        sex=golden.sex,
        born=golden.born,
        hamlet="",
        insee=insee,
        ins=people.test_ins(golden.sex, golden.born, insee, 100 * (centre + 1) + index),
        address="1 chemin de l'Exemple, Brévial-le-Haut",
        phones=(("mobile", f"06 39 98 90 {index:02d}"),),
    )
