"""Every benchmark runs and speaks the contract's shape. Nothing here judges a time."""

from __future__ import annotations

import json

import pytest

from releve.api.bench.catalogue import BENCHES, run
from releve.api.bench.measure import Case, measure

CASES = {
    "append": {"w1", "w4", "w16"},
    "command": {"w1", "w4", "w16"},
    "sequence": {"backlog"},
    "verify": {"export"},
    "visible": {"w4 at 50/s, p50", "w4 at 50/s, p99", "w4 saturated, p99"},
    "feed": {"catch-up"},
    "rebuild": {"all"},
    "fold": {"10 events", "1000 events"},
    "briefing": {"76 weeks", "5 years", "10 years"},
    "patient-page": {"76 weeks", "1 year", "5 years", "10 years"},
}
BASELINES = {
    "append": {"plain INSERT", "stock recorder"},
    "command": {"library get and save"},
    "verify": {"SHA-256 of the same bytes"},
    "feed": {"ProjectionRunner"},
    "fold": {"library get"},
}
GROWTH = {("briefing", "76 weeks"): {"fresh fold"}} | {
    ("briefing", label): {"1 year"} for label in ("5 years", "10 years")
}


def test_every_benchmark_has_its_cases_here() -> None:
    assert BENCHES.keys() == CASES.keys()


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.parametrize("name", CASES)
def test_a_quick_run_gives_the_shape_of_the_contract(name: str) -> None:
    report = run(name, quick=True, say=lambda _: None)
    data = json.loads(json.dumps(report.data()))
    assert data["name"] == name
    assert data["better"] in ("higher", "lower")
    assert data["n"] == 1
    assert set(data) == {"name", "unit", "better", "cases", "n", "settings", "detail"}
    assert set(data["cases"]) == CASES[name]
    for label, case in data["cases"].items():
        assert case["ours"] > 0
        assert isinstance(case["met"], bool)
        assert set(case["baselines"]) == GROWTH.get((name, label), BASELINES.get(name, set()))
        for baseline, value in case["baselines"].items():
            assert value > 0
            assert case["ratios"][baseline] == pytest.approx(case["ours"] / value)
    assert name in report.text()


def test_medians_ratios_and_budgets_are_judged() -> None:
    ours, theirs = iter([100.0, 1.0, 110.0]), iter([50.0, 55.0, 60.0])
    report = measure(
        "x", "events/s", "higher",
        {"a": Case(lambda: next(ours), {"b": lambda: next(theirs)}, {"b": 1.8}, limit=90.0)},
        rounds=3,
    )  # fmt: skip
    assert report.cases["a"]["ours"] == 100.0
    assert report.cases["a"]["ratios"] == {"b": 100.0 / 55.0}
    assert report.cases["a"]["budget"] == {"b": 1.8, "ours": 90.0}
    assert report.met


def test_a_case_over_its_budget_is_not_met() -> None:
    slow = measure("x", "ms", "lower", {"a": Case(lambda: 3.0, limit=2.0)}, rounds=1)
    assert not slow.met
    below = measure(
        "x", "events/s", "higher",
        {"a": Case(lambda: 3.0, {"b": lambda: 2.0}, {"b": 2.0})}, rounds=1,
    )  # fmt: skip
    assert not below.met


def test_baselines_take_turns_in_alternating_order() -> None:
    order: list[str] = []

    def note(who: str) -> float:
        order.append(who)
        return 1.0

    case = Case(lambda: note("ours"), {"theirs": lambda: note("theirs")})
    measure("x", "ms", "lower", {"a": case}, rounds=2)
    assert order == ["ours", "theirs", "theirs", "ours"]


def test_a_round_is_the_mean_of_its_slices() -> None:
    values = iter([1.0, 3.0])
    report = measure("x", "ms", "lower", {"a": Case(lambda: next(values))}, rounds=1, slices=2)
    assert report.cases["a"]["ours"] == 2.0
