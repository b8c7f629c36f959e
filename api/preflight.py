"""``releve doctor``: can this machine and this state directory do the work, and what to mend.

Each check is judged apart, so that one failure does not hide another. Nothing is created: without
a state directory the database and the keys are said to come with the first command.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psycopg

from releve.api.settings import Settings
from releve.security.ledger.horizon import oldest_writer
from releve.security.ledger.store import SKEW

if TYPE_CHECKING:
    from releve.api.services import Services

PYTHON: Final = (3, 11)
DISK_BYTES: Final = 1 << 30
MEMORY_BYTES: Final = 512 << 20


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the report: what was found, and for a failure why it matters and what to do."""

    name: str
    ok: bool
    what: str
    why: str = ""
    do: str = ""

    def text(self) -> str:
        """The check for a person: one line when it holds, three when it does not."""
        head = f"{'✓' if self.ok else '✗'} {self.name} : {self.what}"
        if self.ok:
            return head
        return f"{head}\n  Pourquoi : {self.why}\n  À faire : {self.do}"

    def data(self) -> dict[str, Any]:
        """The check for ``--json``."""
        return asdict(self)


def examine(settings: Settings) -> list[Check]:
    """Judge machine, directory, database, keys, clock, feed, parked records, senders and jobs."""
    found = [
        _python(),
        _judged("disque", lambda: _disk(settings.state_dir)),
        _judged("mémoire", _memory),
        _judged("port", lambda: _port(settings.host, settings.port)),
    ]
    if settings.database_url is None and not (settings.state_dir / "VERSION").exists():
        return [*found, *_without_state(settings)]
    found.append(_judged("clés", lambda: _keys(settings)))
    try:
        with _opened(settings) as services:
            found += [
                _judged("base", lambda: _database(services)),
                _judged("horloge", lambda: _clock(services)),
                _judged("retard", lambda: delay(services)),
                _judged("dossiers en attente", lambda: _parked(services)),
                _judged("sources", lambda: _senders(services)),
                _judged("dossier surveillé", lambda: _watched(services)),
                _judged("tâches", lambda: jobs(services.database.state.path)),
            ]
    except Exception as error:  # judged like any other finding
        found.append(_failed("base", error))
    return found


def _judged(name: str, check: Callable[[], Check]) -> Check:
    try:
        return check()
    except Exception as error:  # a check that cannot be made has failed
        return _failed(name, error)


def _failed(name: str, error: Exception) -> Check:
    from releve.api.cli.explain import explain

    said = explain(error)
    if said is None:
        return Check(
            name,
            False,
            "l'examen a échoué.",
            f"{type(error).__name__}.",
            "Relancer ; si cela dure, signaler l'erreur.",
        )
    return Check(name, False, said.what, said.why, said.do)


@contextlib.contextmanager
def _opened(settings: Settings) -> Iterator[Services]:
    from releve.api.services import open_services

    with open_services(settings, size=2) as services:
        yield services


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    return Check(
        "Python",
        sys.version_info[:2] >= PYTHON,
        version,
        f"Relève demande Python {'.'.join(map(str, PYTHON))} ou plus récent.",
        "Installer un Python plus récent, puis make setup.",
    )


def _disk(state_dir: Path) -> Check:
    place = state_dir
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    writable = os.access(place, os.W_OK | os.X_OK)
    if not writable:
        return Check(
            "disque",
            False,
            f"{place} n'est pas accessible en écriture.",
            "Les clés et la base embarquée y sont écrites.",
            "Corriger les droits, ou choisir un autre --state-dir.",
        )
    return Check(
        "disque",
        free >= DISK_BYTES,
        f"{free / (1 << 30):.1f} Gio libres dans {place}",
        "Un disque plein arrête les écritures.",
        "Libérer au moins 1 Gio, ou choisir un autre --state-dir.",
    )


def _memory() -> Check:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except FileNotFoundError:
        return Check("mémoire", True, "non mesurée sur ce système")
    free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    return Check(
        "mémoire",
        free >= MEMORY_BYTES,
        f"{free / (1 << 20):.0f} Mio disponibles",
        "La base et le service en demandent 512.",
        "Fermer d'autres programmes.",
    )


def _port(host: str, port: int) -> Check:
    if port == 0:
        return Check("port", True, "un port libre sera pris")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if _is_ours(host, port):
                return Check("port", True, f"{port} : Relève y répond déjà")
            return Check(
                "port",
                False,
                f"{host}:{port} ne peut pas être pris ({os.strerror(error.errno or 0)}).",
                "Un autre programme y écoute, ou l'adresse n'est pas celle de cette machine.",
                "Choisir un autre port par --port ou RELEVE_PORT.",
            )
    return Check("port", True, f"{port} libre")


def _is_ours(host: str, port: int) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=2)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().read(64) == b'{"status":"ok"}'
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _without_state(settings: Settings) -> list[Check]:
    from releve.api.database.binaries import resolve

    binaries = _judged(
        "base", lambda: Check("base", True, f"sera créée avec {resolve(settings.pg_bin)}")
    )
    if settings.state_dir.exists() and any(settings.state_dir.iterdir()):
        binaries = Check(
            "base",
            False,
            f"{settings.state_dir} n'est pas un dossier d'état de Relève.",
            "Il n'est pas vide et n'a pas de fichier VERSION.",
            "Choisir par --state-dir un dossier absent ou vide.",
        )
    return [binaries, Check("clés", True, "seront créées à la première commande")]


def _keys(settings: Settings) -> Check:
    from releve.security.keys.keyfile import KeyFiles

    return Check(
        "clés", True, KeyFiles(settings.state_dir / "keys", settings.passphrase()).health()
    )


def _database(services: Services) -> Check:
    from releve.api.database.migration import status

    schema = status(services.database.owner_url)
    with services.pool.connection() as connection:
        version = connection.info.server_version
    return Check(
        "base",
        not schema.pending,
        f"PostgreSQL {version // 10000}.{version % 10000}, schéma {schema.current}",
        "Le schéma n'est pas celui de cette version.",
        "releve db migrate",
    )


def _clock(services: Services) -> Check:
    with services.pool.connection() as connection:
        row = connection.execute("SELECT pg_catalog.clock_timestamp()").fetchone()
    if row is None:
        raise psycopg.DatabaseError("no row")
    apart = abs((row[0] - datetime.now(UTC)).total_seconds())
    most = SKEW.total_seconds()
    known = services.reader.head().known_time
    ahead = (known - services.clock()).total_seconds()
    kind = "de la démonstration" if services.clock.demo else "de la machine"
    return Check(
        "horloge",
        apart <= most and ahead <= most,
        f"{services.clock():%d/%m/%Y %H:%M} UTC, {kind} ; {apart:.1f} s d'écart avec la base",
        f"Au-delà de {most:.0f} s d'écart, ou sous l'heure du dernier événement, "
        "les écritures sont refusées ou signalées.",
        "Régler l'heure de cette machine (timedatectl set-ntp true).",
    )


def delay(services: Services) -> Check:
    """Whether what is written can be read, once everything that can be caught up has been.

    Events that still have no position then are held back by a transaction of the same server.
    """
    waiting = services.feed.lag().events
    services.catch_up()
    held = services.sequencer.backlog()
    if held:
        writer = oldest_writer(services.pool)
        who = f"le processus {writer.pid} (base {writer.database})" if writer else "une transaction"
        return Check(
            "retard",
            False,
            f"{held} événements sans position, retenus par {who}",
            "Une transaction qui a écrit, dans n'importe quelle base de ce serveur, retient la "
            "lecture de ce qui a été enregistré après elle ; rien n'est perdu.",
            "Terminer cette transaction ; les autres bases vont sur un autre serveur.",
        )
    lag = services.feed.lag()
    caught = f" ; {waiting} viennent d'être rattrapés" if waiting else ""
    return Check(
        "retard",
        lag.events == 0,
        f"{lag.events} événements en attente{caught}",
        "Les lectures ne montrent pas encore ce qui est écrit.",
        "Laisser tourner `releve serve` ou `releve worker`.",
    )


def _parked(services: Services) -> Check:
    parked = services.feed.parked()
    return Check(
        "dossiers en attente",
        not parked,
        f"{len(parked)}" if parked else "aucun",
        "Ces dossiers ne se lisent pas entièrement ; le briefing les montre en T0.",
        "releve verify, puis releve rebuild --parked.",
    )


def jobs(state_dir: Path) -> Check:
    """Jobs of a running worker that fail again and again: errors by class and place only."""
    from releve.api.setbacks import failing

    found = [f"{each.job} ({each.error}, {each.where}, {each.times} fois)"
             for each in failing(state_dir)]  # fmt: skip
    return Check(
        "tâches",
        not found,
        f"en échec : {', '.join(found)}" if found else "aucune en échec",
        "Ce que cette tâche devait faire (lire, recevoir, signaler) ne se fait plus.",
        "Signaler l'erreur ; la tâche réessaie seule et l'alerte disparaît quand elle aboutit.",
    )


def _watched(services: Services) -> Check:
    """What stands in the watched folder and belongs to no centre: counts, never a name."""
    from releve.api.watched import astray

    folder = services.settings.watch_dir
    found = None if folder is None else astray(services, folder)
    return Check(
        "dossier surveillé",
        not found,
        f"à aucun centre : {found.folders} dossiers, {found.files} fichiers"
        if found
        else ("aucun" if folder is None else "tout va à un centre"),
        "Personne ne reçoit ce qui n'est déposé pour aucun centre.",
        "Déposer dans <dossier>/<FINESS>/ d'un centre ouvert, ou corriger le nom du dossier.",
    )


def _senders(services: Services) -> Check:
    """How many expected senders are silent, by centre; systems are named, patients never."""
    from releve.api.inbox_views import senders

    now = services.clock()
    states = [
        (entry, state)
        for entry in services.directory.load().centres.values()
        for state in senders(services, entry.centre, now)
    ]
    silent = [f"{state.system} ({entry.finess})" for entry, state in states if state.silent]
    return Check(
        "sources",
        not silent,
        f"silencieuses : {', '.join(silent)}"
        if silent
        else f"{len(states)} attendues, aucune silencieuse",
        "Un envoi qui n'arrive plus ressemble à une liste calme.",
        "Vérifier la liaison avec l'expéditeur ; la page Arrivées dit depuis quand.",
    )
