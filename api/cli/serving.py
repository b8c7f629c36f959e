"""``releve demo``, ``serve``, ``worker``, ``doctor``: what runs, and whether it can."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Annotated

import typer

from releve.api.cli.runner import (
    DONE,
    FAILED,
    INTEGRITY,
    USAGE,
    CommandError,
    Invocation,
    Result,
    command,
    default_command,
)

if TYPE_CHECKING:
    from uuid import UUID

    from releve.api.services import Services

demos = typer.Typer(help="Le centre de démonstration.")


class Wrapper(enum.StrEnum):
    """What wraps data keys."""

    file = "file"


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.add_typer(demos, name="demo")
    command(app, "serve")(serve)
    command(app, "worker")(worker)
    command(app, "doctor")(doctor)


Host = Annotated[str | None, typer.Option("--host", help="Adresse d'écoute.")]
Port = Annotated[
    int | None, typer.Option("--port", min=0, max=65535, help="Port ; 0 en prend un libre.")
]


@default_command(demos)
def demo(
    at: Invocation,
    check: Annotated[
        bool, typer.Option("--check", help="Ne sert rien : construit, vérifie, mesure.")
    ] = False,
    patients: Annotated[int | None, typer.Option(min=20, max=20_000)] = None,
    weeks: Annotated[int | None, typer.Option(min=2, max=520)] = None,
    centres: Annotated[int | None, typer.Option(min=1, max=5)] = None,
    seed: Annotated[int | None, typer.Option()] = None,
    port: Port = None,
    no_browser: Annotated[bool, typer.Option("--no-browser")] = False,
    reset: Annotated[
        bool, typer.Option("--reset", help="Efface d'abord ce dossier d'état.")
    ] = False,
    key_wrapper: Annotated[Wrapper, typer.Option("--key-wrapper")] = Wrapper.file,
) -> Result | None:
    """Construire le centre de démonstration et le servir."""
    from releve.api.database.supervisor import stop_and_reset
    from releve.api.demo.running import check_demo, chosen_sizes, serve_demo

    if at.settings.env == "production":
        raise CommandError(
            USAGE, "demo-in-production", "La démonstration est refusée en production.",
            "RELEVE_ENV vaut `production`.", "Retirer RELEVE_ENV, ou utiliser un autre dossier.",
        )  # fmt: skip
    if reset and at.settings.state_dir.exists():
        stop_and_reset(at.settings.state_dir)
    sizes = chosen_sizes(at.settings, patients=patients, weeks=weeks, centres=centres, seed=seed)
    if check:
        found = check_demo(at, sizes)
        return Result(found.data, found.text, DONE if found.ok else _failure(found.data))
    serve_demo(at, sizes, port=port, browser=not no_browser)
    return None


def _failure(data: dict[str, object]) -> int:
    ledger = data["ledger"]
    verified = isinstance(ledger, dict) and ledger["verified"]
    return FAILED if verified else INTEGRITY


@command(demos, "personas")
def personas(at: Invocation) -> Result:
    """Lister qui l'on peut être dans la démonstration."""
    from releve.api.services import open_services

    with open_services(at.settings) as services:
        services.catch_up()
        demo = services.identity.demo
        if demo is None:
            raise CommandError(
                USAGE, "demo-in-production", "Il n'y a pas de personnes de démonstration ici.",
                "RELEVE_ENV vaut `production`.", "Retirer RELEVE_ENV.",
            )  # fmt: skip
        rows = [
            {
                "persona": each.persona,
                "person": each.person,
                "name": each.name,
                "role": each.role,
                "centre": each.centre,
                "finess": _finess(services, each.centre),
                "stint": each.stint,
                "from": each.starts_at.isoformat() if each.starts_at else None,
                "to": each.ends_at.isoformat() if each.ends_at else None,
                "purpose": each.purpose,
            }
            for each in demo.personas()
        ]
    text = "\n".join(f"{row['persona']:<22} {row['name']:<26} {row['purpose']}" for row in rows)
    return Result({"personas": rows}, text or "Aucune personne : lancer `releve demo`.")


def _finess(services: Services, centre: UUID) -> str | None:
    found = services.directory.load().centre(centre)
    return found.finess if found else None


@command(demos, "token")
def token(
    at: Invocation, persona: Annotated[str, typer.Argument(help="Voir `releve demo personas`.")]
) -> Result:
    """Donner un jeton porteur pour `/api/v1` et `/fhir` (démonstration seulement)."""
    from releve.api.services import open_services

    with open_services(at.settings) as services:
        services.catch_up()
        found = services.persona(persona)
        value, expires = services.identity.sessions.issue_token(found.persona)
    data = {"token": value, "persona": found.persona, "expires_at": expires.isoformat()}
    return Result(data, value)


def serve(
    at: Invocation,
    host: Host = None,
    port: Port = None,
    workers: Annotated[int, typer.Option("--workers", min=1, max=64)] = 1,
    no_worker: Annotated[
        bool, typer.Option("--no-worker", help="Sans séquenceur ni projections ici.")
    ] = False,
) -> None:
    """Servir les pages, l'API et FHIR."""
    from releve.api.server import serve as serve_http

    serve_http(at, host=host, port=port, workers=workers, with_worker=not no_worker)


def worker(at: Invocation) -> None:
    """Faire tourner séquenceur, projections et points de contrôle jusqu'à l'arrêt."""
    import signal
    import threading

    from releve.api.lifeline import surviving
    from releve.api.logs import configure_logs
    from releve.api.services import open_services
    from releve.api.worker import working

    configure_logs()
    stopping = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stopping.set())
    with (
        open_services(at.settings) as services,
        surviving(services),
        working(services, beside=True),
    ):
        at.tell({"working": True}, "Au travail ; Ctrl-C pour arrêter.")
        stopping.wait()


def doctor(at: Invocation) -> Result:
    """Vérifier la machine, les clés, la base, l'horloge, le retard, les sources et les tâches."""
    from releve.api.preflight import examine

    lines = examine(at.settings)
    ok = all(line.ok for line in lines)
    text = "\n".join(line.text() for line in lines)
    return Result(
        {"ok": ok, "checks": [line.data() for line in lines]}, text, DONE if ok else FAILED
    )
