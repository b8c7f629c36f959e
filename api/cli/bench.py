"""``releve bench``: ours against a baseline with its best documented settings, in the same run."""

from __future__ import annotations

import enum
from typing import Annotated

import typer

from releve.api.cli.runner import DONE, FAILED, Invocation, Result, command


class Bench(enum.StrEnum):
    """What can be measured."""

    append = "append"
    command = "command"
    sequence = "sequence"
    feed = "feed"
    rebuild = "rebuild"
    fold = "fold"
    visible = "visible"
    verify = "verify"
    briefing = "briefing"
    patient_page = "patient-page"


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    command(app, "bench")(bench)


def bench(
    at: Invocation,
    name: Annotated[Bench, typer.Argument(help="Ce qui est mesuré.")],
    quick: Annotated[bool, typer.Option("--quick", help="Un seul tour, plus court.")] = False,
) -> Result:
    """Mesurer sur un cluster temporaire, en rapport avec une référence du même tour."""
    from releve.api.bench.catalogue import run

    report = run(name.value, quick=quick, say=at.say)
    # One short round shows that a benchmark runs; what it measured is no verdict.
    return Result(report.data(), report.text(), DONE if quick or report.met else FAILED)
