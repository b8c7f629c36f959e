"""``releve db``: the embedded or configured database."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from releve.api.cli.runner import USAGE, CommandError, Invocation, Result, command

if TYPE_CHECKING:
    from releve.api.database.supervisor import ServerStatus

group = typer.Typer(no_args_is_help=True, help="La base embarquée ou configurée.")


class Role(enum.StrEnum):
    """Whose URL to print."""

    service = "service"
    owner = "owner"


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.add_typer(group, name="db")


def _external(at: Invocation) -> bool:
    return at.settings.database_url is not None


@command(group, "start")
def start(at: Invocation) -> Result:
    """Démarrer la base et la garder jusqu'à `db stop`."""
    from dataclasses import asdict

    from releve.api.database import migration, supervisor
    from releve.api.services import open_database

    if not _external(at):
        supervisor.start(at.settings.state_dir, at.settings.pg_bin)
    with open_database(at.settings) as database:
        migration.migrate(database.owner_url)
    if _external(at):
        return Result({"running": True, "external": True}, "La base configurée répond.")
    found = supervisor.status(at.settings.state_dir)
    return Result(asdict(found), "La base embarquée est démarrée ; `releve db stop` l'arrête.")


def _said(found: ServerStatus) -> str:
    if not found.running:
        return f"La base embarquée est à l'arrêt ; données dans {found.data_directory}."
    kept = "gardée jusqu'à `releve db stop`" if found.kept else "le temps des commandes en cours"
    return f"La base embarquée tourne, {kept} : {found.binaries}, processus {found.pid}."


@command(group, "stop")
def stop(at: Invocation) -> Result:
    """Arrêter la base embarquée."""
    from dataclasses import asdict

    from releve.api.database import supervisor

    if _external(at):
        return Result({"running": True, "external": True}, "La base configurée n'est pas la nôtre.")
    found = supervisor.stop(at.settings.state_dir)
    if found.running:
        return Result(
            asdict(found), "La base embarquée s'arrêtera après la dernière commande en cours."
        )
    return Result(asdict(found), "La base embarquée est arrêtée.")


@command(group, "status")
def status(at: Invocation) -> Result:
    """Dire si la base tourne, avec quels programmes, à quelle version du schéma."""
    from dataclasses import asdict

    from releve.api.database import migration, supervisor
    from releve.api.services import open_database

    if _external(at):
        with open_database(at.settings) as database:
            schema = migration.status(database.owner_url)
        return Result(
            {"running": True, "external": True, "schema": asdict(schema)},
            f"La base configurée répond ; schéma {schema.current}.",
        )
    found = supervisor.status(at.settings.state_dir)
    return Result(asdict(found), _said(found))


@command(group, "migrate")
def migrate(at: Invocation) -> Result:
    """Appliquer au schéma ce qui lui manque."""
    from dataclasses import asdict

    from releve.api.database import migration
    from releve.api.services import open_database

    with open_database(at.settings) as database:
        done = migration.migrate(database.owner_url)
    return Result(asdict(done), "Le schéma est à jour.")


@command(group, "url")
def url(
    at: Invocation,
    role: Annotated[Role, typer.Option("--role", help="Le rôle de l'URL.")] = Role.service,
) -> Result:
    """Imprimer une URL libpq ; le mot de passe y figure, ne pas la copier dans un journal."""
    from releve.api.services import open_database

    with open_database(at.settings) as database:
        found = database.owner_url if role is Role.owner else database.service_url
    return Result({"url": found, "role": role.value}, found)


@command(group, "dump")
def dump(
    at: Invocation,
    out: Annotated[Path | None, typer.Option("--out", help="Fichier ; sinon la sortie.")] = None,
) -> Result | None:
    """Sauvegarder tous les schémas en SQL, avec le pg_dump de la même version."""
    import os
    import sys

    if out is None and at.as_json:
        raise CommandError(
            USAGE,
            "dump-needs-out",
            "Avec --json, la sauvegarde va dans un fichier.",
            "La sortie ne tient pas à la fois du SQL et un objet JSON.",
            "Ajouter --out FICHIER.",
        )
    from releve.api.database.dump import dump as dump_database
    from releve.api.services import open_database

    with open_database(at.settings) as database:
        if out is None:
            dump_database(database.owner_url, sys.stdout.buffer, pg_bin=at.settings.pg_bin)
            return None
        handle = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(handle, "wb") as file:
            dump_database(database.owner_url, file, pg_bin=at.settings.pg_bin)
    size = out.stat().st_size
    return Result({"out": str(out), "bytes": size}, f"{out} : {size} octets")
