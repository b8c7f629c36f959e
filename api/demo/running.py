"""``releve demo``: build the demo centre once, then serve it; or check it and measure."""

from __future__ import annotations

import json
import os
import re
import sys
import threading
import time
import webbrowser
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from releve.api.cli.runner import ENVIRONMENT, USAGE, CommandError, Invocation
from releve.api.database.state import exclusive
from releve.api.demo.acts import PARIS, Sizes
from releve.api.settings import Settings

if TYPE_CHECKING:
    from releve.api.demo.progress import Progress
    from releve.api.demo.seeding import Seeded
    from releve.api.services import Services

MARK = "demo.json"
RARE_WORDS = 2_000
BUILD_PATIENCE_S = 600.0
"""How long a second command waits while the first one builds the centre."""


@dataclass(frozen=True)
class Checked:
    """What ``releve demo --check`` found."""

    data: dict[str, Any]
    text: str
    ok: bool


def chosen_sizes(
    settings: Settings,
    *,
    patients: int | None,
    weeks: int | None,
    centres: int | None,
    seed: int | None,
) -> Sizes:
    """The sizes asked for, the directory's own, or the defaults.

    Raises:
        CommandError: the directory was built with other sizes, or holds something else.
    """
    asked = {"patients": patients, "weeks": weeks, "centres": centres, "seed": seed}
    given = {name: value for name, value in asked.items() if value is not None}
    built = _mark(settings)
    if built is None:
        return Sizes(**given)
    held = Sizes(**{name: built[name] for name in asdict(Sizes())})
    wanted = Sizes(**{**asdict(held), **given})
    if wanted != held:
        raise CommandError(
            USAGE,
            "other-sizes",
            f"Ce dossier a été construit avec {_said(held)}, pas avec {_said(wanted)}.",
            "Un dossier d'état garde un seul centre de démonstration.",
            "Ajouter --reset pour le reconstruire, ou choisir un autre --state-dir.",
        )
    return held


def _said(sizes: Sizes) -> str:
    return ", ".join(f"{name} {value}" for name, value in asdict(sizes).items())


def _mark(settings: Settings) -> dict[str, Any] | None:
    path = settings.state_dir / MARK
    return json.loads(path.read_text()) if path.exists() else None


def present_monday(settings: Settings) -> date:
    """The Monday of the week that the demo's clock starts in."""
    today = settings.demo_now.astimezone(PARIS).date()
    return today - timedelta(days=today.weekday())


def built_monday(settings: Settings) -> date:
    """The Monday that the directory was built around, or would be."""
    mark = _mark(settings)
    return date.fromisoformat(mark["monday"]) if mark else present_monday(settings)


def build(
    services: Services, sizes: Sizes, told: Callable[[float, str], None]
) -> tuple[Seeded | None, dict[str, float]]:
    """Seed and project the demo centre unless it stands; give what was seeded and the seconds.

    Raises:
        CommandError: another command builds it and does not finish, or built it with other sizes.
    """
    lock = services.settings.state_dir / "demo.lock"
    with exclusive(lock, patience_s=BUILD_PATIENCE_S) as alone:
        if not alone:
            raise CommandError(
                ENVIRONMENT,
                "demo-being-built",
                "Une autre commande construit ce centre de démonstration.",
                "Elle n'a pas fini à temps.",
                "Attendre qu'elle finisse, puis relancer.",
            )
        return _build_alone(services, sizes, told)


def _build_alone(
    services: Services, sizes: Sizes, told: Callable[[float, str], None]
) -> tuple[Seeded | None, dict[str, float]]:
    from releve.api.cli.acts import issue_current
    from releve.api.demo.seeding import Seeder, share_done

    seconds = {"seed": 0.0, "project": 0.0}
    settings = services.settings
    # Again: another command may have built it with other sizes since they were chosen.
    chosen_sizes(settings, **asdict(sizes))
    mark = _mark(settings)
    if mark is not None and mark.get("complete"):
        services.catch_up()
        return None, seconds
    monday = built_monday(settings)
    if mark is None:
        _write_mark(settings, sizes, monday, complete=False)
    began = time.monotonic()

    def progress(at: datetime, events: int) -> None:
        share = share_done(at, sizes, monday)
        told(share * 0.7, f"Semaine du {at:%d/%m/%Y} : {events} événements.")
        services.sequencer.run_once()

    seeded = Seeder(services, sizes, monday).run(progress)
    seconds["seed"] = time.monotonic() - began
    began = time.monotonic()
    services.catch_up(
        lambda done, wanted: told(0.7 + 0.25 * (done + 1) / (wanted + 1), "Briefings et dossiers.")
    )
    now = services.clock.for_write()
    for centre in services.directory.load().centres.values():
        for line in services.directory.load().in_post(centre.centre, now):
            issue_current(services, line.stint)
    services.settled()
    seconds["project"] = time.monotonic() - began
    _write_mark(settings, sizes, monday, complete=True)
    return seeded, seconds


def _write_mark(settings: Settings, sizes: Sizes, monday: date, *, complete: bool) -> None:
    path = settings.state_dir / MARK
    text = json.dumps({**asdict(sizes), "monday": monday.isoformat(), "complete": complete})
    unfinished = path.with_suffix(".new")
    unfinished.write_text(text + "\n")
    os.replace(unfinished, path)


def serve_demo(at: Invocation, sizes: Sizes, *, port: int | None, browser: bool) -> None:
    """Serve at once; pages say how far the seeding is until the briefing stands."""
    from releve.api.app import create_app
    from releve.api.demo.progress import Progress, UntilReady
    from releve.api.lifeline import surviving
    from releve.api.logs import configure_logs
    from releve.api.server import address, bind, run, stop_on_sigterm
    from releve.api.services import open_services
    from releve.api.worker import working

    stop_on_sigterm()
    configure_logs()
    listening = bind(at.settings.host, at.settings.port if port is None else port)
    at.say("· base de données")
    with open_services(at.settings, host=at.settings.host) as services:
        progress = Progress()
        app = UntilReady(create_app(services), progress)
        building = threading.Thread(
            target=_build_and_tell,
            args=(at, services, sizes, progress, address(listening), browser),
            name="demo",
            daemon=True,
        )
        building.start()
        with surviving(services), working(services):
            run(app, listening)
    if progress.failure is not None:
        raise progress.failure
    at.say(f"Données gardées dans {at.settings.state_dir}")


def _build_and_tell(
    at: Invocation,
    services: Services,
    sizes: Sizes,
    progress: Progress,
    where: str,
    browser: bool,
) -> None:
    began = time.monotonic()
    bar = _bar(at)

    def tell(share: float, said: str) -> None:
        progress.say(share, said)
        bar(share, said)

    try:
        build(services, sizes, tell)
    except Exception as error:  # shown on the page and raised again when the server ends
        progress.fail(error)
        at.say(f"✗ {type(error).__name__} : la construction s'est arrêtée.")
        import signal

        signal.raise_signal(signal.SIGINT)
        return
    bar(1.0, "Prêt.")
    progress.done()
    seconds = time.monotonic() - began
    at.tell(
        {"address": where, "seconds": round(seconds, 3)}, f"✓ Prêt en {seconds:.0f} s → {where}"
    )
    demo = services.identity.demo
    first = demo.personas()[0] if demo else None
    if first is not None:
        at.say(f"  Pour commencer, être le médecin « {first.purpose.lower()} ».")
    at.say(f"  Données : {at.settings.state_dir}")
    at.say("  Tout effacer : releve demo --reset · Arrêter : Ctrl-C")
    if browser and sys.stdout.isatty() and (os.environ.get("DISPLAY") or sys.platform == "darwin"):
        webbrowser.open(where)


def _bar(at: Invocation) -> Callable[[float, str], None]:
    """A line that moves on a terminal; every tenth on a pipe."""
    shown = [-1]

    def show(share: float, said: str) -> None:
        tenth = int(share * 10)
        if sys.stderr.isatty():
            filled = "█" * round(share * 24)
            sys.stderr.write(f"\r\x1b[2K· [{filled:<24}] {said}")
            if share >= 1:
                sys.stderr.write("\n")
            sys.stderr.flush()
        elif tenth > shown[0]:
            shown[0] = tenth
            at.say(f"· {round(share * 100):>3} % {said}")

    return show


def check_demo(at: Invocation, sizes: Sizes) -> Checked:
    """Build, project, export every summary, verify the ledger; the contract's JSON."""
    from releve.api.demo.checking import examine
    from releve.api.services import open_services

    began = time.monotonic()
    with open_services(at.settings) as services:
        opened = time.monotonic() - began
        bar = _bar(at)
        seeded, seconds = build(services, sizes, bar)
        bar(1.0, "Construit ; vérification.")
        data, ok = examine(services, sizes, seeded)
    data["seconds"] = {
        "database": round(opened, 3),
        "seed": round(seconds["seed"], 3),
        "project": round(seconds["project"], 3),
        "total": round(time.monotonic() - began, 3),
    }
    return Checked(data, _summary(data), ok)


def _summary(data: dict[str, Any]) -> str:
    briefing, ledger = data["briefing"], data["ledger"]
    tiers = ", ".join(f"{tier} {count}" for tier, count in briefing["tiers"].items())
    return "\n".join(
        (
            f"{data['patients']} patients, {data['stints']} séjours, {data['events']} événements",
            f"briefing {briefing['sha256'][:16]}… : {tiers} ; {briefing['words']} mots",
            f"points ouverts {data['open_items']}, sans responsable {data['orphan_open_items']}",
            f"journal : {ledger['size']} positions, "
            + ("intègre" if ledger["verified"] else "ALTÉRÉ"),
        )
    )


_WORD = re.compile(r"[^\W\d_]{4,}", re.UNICODE)


def canaries(seeded: Seeded, common: set[str]) -> list[str]:
    """Every full name, identifier and 2,000 rare note words, each at least 8 bytes long."""
    counted = Counter(word for text in seeded.texts for word in _WORD.findall(text))
    rare = sorted(
        (count, word)
        for word, count in counted.items()
        if len(word.encode()) >= 8 and word.lower() not in common
    )
    names = [name for name in seeded.names if name.lower() not in common]
    lines = [*names, *seeded.identifiers, *(word for _, word in rare[:RARE_WORDS])]
    return [line for line in dict.fromkeys(lines) if len(line.encode()) >= 8]


def write_canaries(path: Path, lines: list[str]) -> None:
    """One canary a line; 0600, for it names the demo's invented people."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(handle, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
