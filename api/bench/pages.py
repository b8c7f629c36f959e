"""``bench briefing`` and ``bench patient-page``: what a doctor waits for, over HTTP on loopback.

The real application answers on a socket of this process; sessions, policy, access entries and
rendering are all inside the figure. History grows from one year to ten, the number of patients
does not: a page must not cost more because a record is old.
"""

from __future__ import annotations

import http.client
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import uvicorn

from releve.api.app import create_app
from releve.api.bench.measure import Case, Report, measure, percentile, temporary_directory, timed
from releve.api.bench.writers import server_version
from releve.api.database.supervisor import stop
from releve.api.demo.generator import Sizes
from releve.api.demo.running import build
from releve.api.logs import configure_logs
from releve.api.server import bind
from releve.api.services import Services, open_services
from releve.api.settings import Settings
from releve.api.worker import working
from releve.projections.briefing import build_card, rank, viewpoint
from releve.projections.patient_summary import PatientSummary, fold_all
from releve.projections.rule_release import load_rules

ISSUE_SIZE, ONE_YEAR, FIVE_YEARS, TEN_YEARS = "76 weeks", "1 year", "5 years", "10 years"
_SIZES = {
    ISSUE_SIZE: Sizes(patients=1_800, weeks=76),
    ONE_YEAR: Sizes(patients=300, weeks=52),
    FIVE_YEARS: Sizes(patients=300, weeks=260),
    TEN_YEARS: Sizes(patients=300, weeks=520),
}
"""The whole centre once; what history costs is told by a smaller one, ten years long."""
_BRIEFING_MS, _PATIENT_MS, _GROWTH = 60.0, 30.0, 1.2
FRESH_FOLD = "fresh fold"


@dataclass(frozen=True)
class _Centre:
    """A served demo centre: whose stint it is, and the patients with the longest records."""

    services: Services
    ask: Callable[[str], float]
    """GET a path as the doctor in post; gives seconds to the last byte."""
    stint: UUID
    patients: Sequence[UUID]


@contextmanager
def _served(state: Path, sizes: Sizes) -> Iterator[_Centre]:
    configure_logs(logging.WARNING)  # a line a request would be measured too
    with ExitStack() as stack:
        stack.callback(stop, state)
        services = stack.enter_context(open_services(Settings(state_dir=state)))
        build(services, sizes, lambda share, said: None)
        services.settled()
        stack.enter_context(working(services))
        listening = bind("127.0.0.1", 0)
        server = uvicorn.Server(
            uvicorn.Config(
                create_app(services), access_log=False, log_config=None, timeout_keep_alive=3_600
            )
        )
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()

        def ended() -> None:
            server.should_exit = True
            thread.join(timeout=10)

        stack.callback(ended)
        persona = services.persona("present")
        if persona.stint is None:
            raise RuntimeError("the doctor in post has no stint")
        cookie = services.identity.sessions.open(persona.persona)
        port = listening.getsockname()[1]
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        stack.callback(connection.close)

        def ask(path: str) -> float:
            began = time.perf_counter()
            connection.request("GET", path, headers={"Cookie": f"releve={cookie}"})
            answer = connection.getresponse()
            answer.read()
            seconds = time.perf_counter() - began
            if answer.status != 200:
                raise RuntimeError(f"the page answered {answer.status}")
            return seconds

        summaries = services.records.summaries(persona.centre)[1].values()
        longest = sorted(summaries, key=lambda each: -each.version)[:50]
        yield _Centre(services, ask, persona.stint, [each.patient for each in longest])


def _centres(stack: ExitStack, directory: Path, *, quick: bool) -> dict[str, _Centre]:
    """A centre for each length of history; a quick run asks one small centre for all of them."""
    if quick:
        small = stack.enter_context(_served(directory / "state", Sizes(patients=40, weeks=3)))
        return dict.fromkeys(_SIZES, small)
    return {
        label: stack.enter_context(_served(directory / label.replace(" ", "-"), sizes))
        for label, sizes in _SIZES.items()
    }


def bench_briefing(*, quick: bool) -> Report:
    """The Monday page, server side; the baseline folds every record of the centre anew."""
    with temporary_directory() as directory, ExitStack() as stack:
        centres = _centres(stack, directory, quick=quick)
        times = 10 if quick else 40

        def page(label: str) -> Callable[[], float]:
            centre = centres[label]
            path = f"/sejours/{centre.stint}/briefing"
            centre.ask(path)

            def run() -> float:
                return percentile([centre.ask(path) for _ in range(times)], 0.95) * 1_000

            return run

        pages = {label: page(label) for label in centres}
        fresh = centres[ISSUE_SIZE]
        return measure(
            "briefing",
            "ms (p95)",
            "lower",
            {
                ISSUE_SIZE: Case(
                    pages[ISSUE_SIZE],
                    {FRESH_FOLD: lambda: _fresh_fold(fresh) * 1_000},
                    limit=_BRIEFING_MS,
                ),
                **_growing(pages),
            },
            rounds=1 if quick else 5,
            settings=_settings(centres),
        )


def bench_patient_page(*, quick: bool) -> Report:
    """The page of the fifty longest records, server side."""
    with temporary_directory() as directory, ExitStack() as stack:
        centres = _centres(stack, directory, quick=quick)

        def page(label: str) -> Callable[[], float]:
            centre = centres[label]
            paths = [f"/patients/{patient}" for patient in centre.patients]
            for path in paths[:5]:
                centre.ask(path)

            def run() -> float:
                return percentile([centre.ask(path) for path in paths], 0.95) * 1_000

            return run

        pages = {label: page(label) for label in centres}
        return measure(
            "patient-page",
            "ms (p95)",
            "lower",
            {label: Case(run, limit=_PATIENT_MS) for label, run in pages.items()},
            rounds=1 if quick else 5,
            settings=_settings(centres),
        )


def _growing(pages: dict[str, Callable[[], float]]) -> dict[str, Case]:
    """Five and ten years of history against one."""
    return {
        label: Case(pages[label], {ONE_YEAR: pages[ONE_YEAR]}, {ONE_YEAR: _GROWTH})
        for label in (FIVE_YEARS, TEN_YEARS)
    }


def _settings(centres: dict[str, _Centre]) -> dict[str, Any]:
    first = centres[ISSUE_SIZE].services
    return {
        "server": server_version(first.database.owner_url),
        "patients": {label: len(_everybody(each)) for label, each in centres.items()},
        "events": {label: each.services.reader.head().size for label, each in centres.items()},
    }


def _everybody(centre: _Centre) -> list[UUID]:
    line = centre.services.directory.load().stint(centre.stint)
    if line is None:
        raise RuntimeError("the stint is not in the directory")
    return list(centre.services.records.summaries(line.centre)[1])


def _fresh_fold(centre: _Centre) -> float:
    """Seconds to read, open and fold every record of the centre, rank it and make the cards."""
    services = centre.services
    directory = services.directory.load()
    line = directory.stint(centre.stint)
    if line is None:
        raise RuntimeError("the stint is not in the directory")
    patients = _everybody(centre)
    head = services.reader.head().size - 1

    def fold() -> None:
        summaries: list[PatientSummary] = []
        for patient, reads in services.reader.streams(patients, up_to=head).items():
            events = [read.event for read in reads if read.event is not None]
            summaries.append(fold_all(None, events, patient))
        rules = load_rules()
        view = viewpoint(line, line.zone, services.clock(), -1)
        for ranked in rank(summaries, view, rules):
            if ranked.tier != rules.rest.tier:
                build_card(ranked, view, directory, rules)

    return timed(fold)
