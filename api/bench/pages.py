"""``bench briefing`` and ``bench patient-page``: what a doctor waits for, over HTTP on loopback.

``releve serve`` answers in a process of its own; sessions, policy, access entries and rendering are
all inside the figure. While one centre is asked the other servers are stopped, as no centre shares
its machine with its own past. History grows from one year to ten, the number of patients does not:
a page must not cost more because a record is old.
"""

from __future__ import annotations

import http.client
import json
import logging
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit
from uuid import UUID

import psycopg

from releve.api.bench.measure import Case, Report, measure, percentile, temporary_directory, timed
from releve.api.bench.writers import server_version
from releve.api.database.supervisor import stop
from releve.api.demo.generator import Sizes
from releve.api.demo.running import build
from releve.api.logs import configure_logs
from releve.api.services import Services, open_services
from releve.api.settings import Settings
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


class _Server:
    """``releve serve`` on a state directory, stopped while it is not asked."""

    def __init__(self, state: Path, persona: str) -> None:
        words = [sys.executable, "-m", "releve", "serve", "--port", "0", "--json"]
        self._process = subprocess.Popen(  # noqa: S603 - ourselves, no shell
            [*words, "--state-dir", str(state)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self._connection: http.client.HTTPConnection | None = None
        try:
            self._cookie = self._sign_in(persona)
        except BaseException:
            self.close()
            raise

    def _sign_in(self, persona: str) -> str:
        told = self._process.stdout
        if told is None:
            raise RuntimeError("the server's output is not read")
        address = json.loads(told.readline())["address"]
        self._connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=60)
        form = urlencode({"persona": persona, "retour": "/"})
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Origin": address}
        answer = self._answered(303, "POST", "/connexion", form, headers)
        return (answer.getheader("Set-Cookie") or "").partition(";")[0]

    def ask(self, path: str) -> float:
        """GET a path as the doctor in post; gives seconds to the last byte."""
        return timed(lambda: self._answered(200, "GET", path, None, {"Cookie": self._cookie}))

    def _answered(
        self, status: int, method: str, path: str, body: str | None, headers: Mapping[str, str]
    ) -> http.client.HTTPResponse:
        if self._connection is None:
            raise RuntimeError("the server told no address")
        self._connection.request(method, path, body, dict(headers))
        answer = self._connection.getresponse()
        answer.read()
        if answer.status != status:
            raise RuntimeError(f"the page answered {answer.status}")
        return answer

    def sleep(self) -> None:
        """Stop the process where it stands."""
        self._process.send_signal(signal.SIGSTOP)

    @contextmanager
    def awake(self) -> Iterator[None]:
        """Let the process run inside, on a new connection: it ends one that was idle for long."""
        if self._connection is not None:
            self._connection.close()
        self._process.send_signal(signal.SIGCONT)
        try:
            yield
        finally:
            self.sleep()

    def close(self) -> None:
        """End the process."""
        if self._connection is not None:
            self._connection.close()
        self._process.send_signal(signal.SIGCONT)
        self._process.terminate()
        self._process.communicate()


@dataclass(frozen=True)
class _Centre:
    """A served demo centre: whose stint it is, and the patients with the longest records."""

    services: Services
    server: _Server
    stint: UUID
    patients: Sequence[UUID]

    def p95(self, paths: Sequence[str]) -> float:
        """Milliseconds within which 95 % of the paths are answered, after all were asked once."""
        with self.server.awake():
            for path in dict.fromkeys(paths):
                self.server.ask(path)
            return percentile([self.server.ask(path) for path in paths], 0.95) * 1_000


@contextmanager
def _served(state: Path, sizes: Sizes) -> Iterator[_Centre]:
    configure_logs(logging.WARNING)
    with ExitStack() as stack:
        stack.callback(stop, state)
        services = stack.enter_context(open_services(Settings(state_dir=state)))
        build(services, sizes, lambda share, said: None)
        services.settled()
        _let_settle(services)
        persona = services.persona("present")
        if persona.stint is None:
            raise RuntimeError("the doctor in post has no stint")
        summaries = services.records.summaries(persona.centre)[1].values()
        longest = sorted(summaries, key=lambda each: -each.version)[:50]
        services.records.forget()
        server = _Server(state, persona.persona)
        stack.callback(server.close)
        server.sleep()
        yield _Centre(services, server, persona.stint, [each.patient for each in longest])


def _let_settle(services: Services) -> None:
    """Years written within a minute leave the database work that years would have spread."""
    superuser = services.database.superuser_url
    if superuser is None:
        raise RuntimeError("the database is not the embedded one")
    with psycopg.connect(superuser, autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE)")
        connection.execute("CHECKPOINT")


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
            return lambda: centre.p95([f"/sejours/{centre.stint}/briefing"] * times)

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
            return lambda: centre.p95([f"/patients/{patient}" for patient in centre.patients])

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
