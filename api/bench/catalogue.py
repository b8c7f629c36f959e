"""Every benchmark by name."""

from __future__ import annotations

from collections.abc import Callable

from releve.api.bench import log, pages, reading, writers
from releve.api.bench.measure import Report

BENCHES: dict[str, Callable[..., Report]] = {
    "append": writers.bench_append,
    "command": writers.bench_command,
    "sequence": log.bench_sequence,
    "verify": log.bench_verify,
    "visible": log.bench_visible,
    "feed": reading.bench_feed,
    "rebuild": reading.bench_rebuild,
    "fold": reading.bench_fold,
    "briefing": pages.bench_briefing,
    "patient-page": pages.bench_patient_page,
}


def run(name: str, *, quick: bool, say: Callable[[str], None]) -> Report:
    """Run one benchmark on a temporary cluster of its own."""
    say(f"· bench {name}{' (court)' if quick else ''}")
    return BENCHES[name](quick=quick)
