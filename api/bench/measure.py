"""How a measurement is taken: own temporary cluster, alternating rounds, medians, ratios.

Timings on a shared machine are noisy, so ours and every baseline take turns inside each round and
only their ratio, or a budget on our own figure, is judged.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from releve.api.database.supervisor import stop

Run = Callable[[], float]
"""One timed run; gives the figure (a rate, or a time) of that run."""


@dataclass(frozen=True)
class Case:
    """One line of a report: our run, the baselines' runs, and the budget.

    ``ratio`` names, for each baseline that has a budget, the least ratio ours / baseline (the
    greatest, where lower is better); ``limit`` is a budget on our own figure.
    """

    ours: Run
    baselines: Mapping[str, Run] = field(default_factory=dict)
    ratio: Mapping[str, float] = field(default_factory=dict)
    limit: float | None = None


@dataclass(frozen=True)
class Report:
    """What a benchmark found, in the shape of ``releve bench --json``."""

    name: str
    unit: str
    better: Literal["higher", "lower"]
    cases: dict[str, dict[str, Any]]
    n: int
    settings: dict[str, Any]
    detail: dict[str, Any]

    @property
    def met(self) -> bool:
        """Whether every case is within its budget."""
        return all(case["met"] for case in self.cases.values())

    def data(self) -> dict[str, Any]:
        """The JSON object of the contract."""
        return {
            "name": self.name,
            "unit": self.unit,
            "better": self.better,
            "cases": self.cases,
            "n": self.n,
            "settings": self.settings,
            "detail": self.detail,
        }

    def text(self) -> str:
        """A table for a person."""
        lines = [f"{self.name} ({self.unit}, {self.better} is better, {self.n} rounds)"]
        for name, case in self.cases.items():
            ratios = ", ".join(f"{k} ×{v:.2f}" for k, v in case["ratios"].items())
            mark = "✓" if case["met"] else "✗"
            lines.append(f"  {mark} {name}: {case['ours']:.4g}  {ratios}  budget {case['budget']}")
        return "\n".join(lines)


def measure(
    name: str,
    unit: str,
    better: Literal["higher", "lower"],
    cases: Mapping[str, Case],
    *,
    rounds: int,
    slices: int = 1,
    settings: Mapping[str, Any] | None = None,
    detail: Mapping[str, Any] | None = None,
) -> Report:
    """Run every case ``rounds`` times, ours and baselines taking turns, and keep medians.

    A round is ``slices`` runs of each, taking turns too, and their mean: short runs side by side
    see the same neighbours on a shared machine, long ones do not.
    """
    figures: dict[str, dict[str, list[float]]] = {
        case: {who: [] for who in ("ours", *cases[case].baselines)} for case in cases
    }
    for turn in range(rounds):
        for label, case in cases.items():
            runs = [("ours", case.ours), *case.baselines.items()]
            found: dict[str, list[float]] = {who: [] for who, _ in runs}
            for part in range(slices):
                for who, run in runs if (turn + part) % 2 == 0 else reversed(runs):
                    found[who].append(run())
            for who, values in found.items():
                figures[label][who].append(statistics.fmean(values))
    judged = {label: _judged(case, figures[label], better) for label, case in cases.items()}
    return Report(name, unit, better, judged, rounds, dict(settings or {}), dict(detail or {}))


def _judged(case: Case, figures: Mapping[str, list[float]], better: str) -> dict[str, Any]:
    medians = {who: statistics.median(values) for who, values in figures.items()}
    ours = medians.pop("ours")
    ratios = {who: ours / value for who, value in medians.items() if value}
    kept = [ratios[who] >= least if better == "higher" else ratios[who] <= least
            for who, least in case.ratio.items()]  # fmt: skip
    if case.limit is not None:
        kept.append(ours >= case.limit if better == "higher" else ours <= case.limit)
    budget: dict[str, Any] = dict(case.ratio)
    if case.limit is not None:
        budget["ours"] = case.limit
    return {
        "ours": ours,
        "baselines": medians,
        "ratios": ratios,
        "budget": budget,
        "met": all(kept),
        "spread": [min(figures["ours"]), max(figures["ours"])],
    }


def timed(work: Callable[[], object]) -> float:
    """Seconds that one call takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def percentile(values: list[float], share: float) -> float:
    """The value below which ``share`` of them lie (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


@contextmanager
def temporary_directory() -> Iterator[Path]:
    """A directory of the benchmark's own, gone afterwards with the cluster in its ``state``."""
    with tempfile.TemporaryDirectory(prefix="releve-bench-") as name:
        try:
            yield Path(name)
        finally:
            if (Path(name) / "state").exists():
                stop(Path(name) / "state")  # its files would change while they are removed
