"""Every benchmark by name."""

from __future__ import annotations

from collections.abc import Callable

from releve.api.bench.measure import Report


def run(name: str, *, quick: bool, say: Callable[[str], None]) -> Report:
    """Run one benchmark on a temporary cluster of its own."""
    say(f"· bench {name}{' (court)' if quick else ''}")
    if name in ("append", "command"):
        from releve.api.bench import writers

        return {"append": writers.bench_append, "command": writers.bench_command}[name](quick=quick)
    if name in ("sequence", "verify", "visible"):
        from releve.api.bench import log

        return {
            "sequence": log.bench_sequence,
            "verify": log.bench_verify,
            "visible": log.bench_visible,
        }[name](quick=quick)
    from releve.api.bench import reading

    return {
        "feed": reading.bench_feed,
        "rebuild": reading.bench_rebuild,
        "fold": reading.bench_fold,
    }[name](quick=quick)
