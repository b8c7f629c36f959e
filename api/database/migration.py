"""Brings a database's schema to the present: Alembic over plain SQL files.

Each file of ``migrations/sql`` named ``NNNN_name.pre.sql`` or ``NNNN_name.post.sql`` is one
revision. A *pre* half only adds, and runs before the new code starts: the previous release still
works on it. A *post* half removes what the previous release needed, and runs once no process of
that release is left. Revisions run in the order of their names, pre before post.

Alembic costs a second of import, so it is loaded only when there is something to apply.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import as_file, files
from importlib.resources.abc import Traversable
from typing import Literal

import psycopg

from releve.api.database.problems import ServerProblem
from releve.api.database.roles import ensure_groups

SCHEMA = "migration"
"""Schema of the table that says which revision stands."""

VERSION_TABLE = "alembic_version"

Half = Literal["pre", "post"]

_NAME = re.compile(r"(\d{4}_[a-z0-9_]+)\.(pre|post)\.sql")
_LOCK = 0x52454C4556450001  # "RELEVE", one migration at a time
_OLDEST_SERVER = 150000


@dataclass(frozen=True, slots=True)
class MigrationStatus:
    """Where a database's schema stands."""

    current: str | None
    """The last revision applied, None in an empty database."""
    pending: tuple[str, ...]
    """Revisions still to apply, in order."""


def revisions() -> list[str]:
    """List every revision of this release in order, ``0001_spine_pre`` for example."""
    found = [
        (match.group(1), 0 if match.group(2) == "pre" else 1, match.group(2))
        for entry in _sql().iterdir()
        if (match := _NAME.fullmatch(entry.name))
    ]
    return [f"{name}_{half}" for name, _, half in sorted(found)]


def status(owner_url: str) -> MigrationStatus:
    """Read which revisions a database has and which it lacks.

    Raises:
        ServerProblem: the server does not answer, or the schema is a later release's.
    """
    with _connect(owner_url) as connection:
        return _status(connection)


def migrate(owner_url: str, *, up_to: Half = "post") -> MigrationStatus:
    """Apply what is missing; ``up_to="pre"`` leaves the last post halves for later.

    Makes the groups that grants name. Two callers at once take turns.

    Raises:
        ServerProblem: the server does not answer, is too old, refuses, or the schema is a later
            release's.
    """
    with _connect(owner_url) as connection:
        before = _status(connection)
        if not _wanted(before.pending, up_to):
            return before
        if connection.info.server_version < _OLDEST_SERVER:
            raise ServerProblem(
                "database-too-old",
                "Ce serveur PostgreSQL est trop ancien.",
                f"Il annonce la version {connection.info.server_version // 10000} ; "
                "il en faut au moins 15.",
                "Donner l'adresse d'un serveur PostgreSQL 15 ou plus récent.",
            )
        connection.execute("SELECT pg_catalog.pg_advisory_lock(%s)", (_LOCK,))
        wanted = _wanted(_status(connection).pending, up_to)
        if wanted:
            ensure_groups(connection)
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
            _upgrade(connection, wanted[-1])
        return _status(connection)


def run_sql(name: str) -> None:
    """Run one SQL file inside the revision being applied; called by the revision modules."""
    from alembic import op

    text = _sql().joinpath(name).read_bytes()
    proxied = op.get_bind().connection.driver_connection
    if proxied is None:
        raise RuntimeError("alembic runs a revision without a connection")
    # The whole file in one message, without parameters: psycopg leaves its percent signs alone.
    proxied.execute(text)


def _sql() -> Traversable:
    return files("releve.api").joinpath("migrations", "sql")


def _wanted(pending: tuple[str, ...], up_to: Half) -> tuple[str, ...]:
    if up_to == "post":
        return pending
    last_pre = max((n for n, name in enumerate(pending) if name.endswith("_pre")), default=-1)
    return pending[: last_pre + 1]


def _status(connection: psycopg.Connection[tuple[object, ...]]) -> MigrationStatus:
    known = revisions()
    table = connection.execute(
        "SELECT pg_catalog.to_regclass(%s)::text", (f"{SCHEMA}.{VERSION_TABLE}",)
    ).fetchone()
    if table is None or table[0] is None:
        return MigrationStatus(None, tuple(known))
    row = connection.execute(f"SELECT version_num FROM {SCHEMA}.{VERSION_TABLE}").fetchone()  # noqa: S608 - our own constants
    if row is None:
        return MigrationStatus(None, tuple(known))
    current = str(row[0])
    if current not in known:
        raise ServerProblem(
            "database-newer",
            "Le schéma de cette base vient d'une version plus récente de Relève.",
            f"Révision {current}, inconnue ici.",
            "Installer la version de Relève qui va avec cette base.",
        )
    return MigrationStatus(current, tuple(known[known.index(current) + 1 :]))


def _upgrade(connection: psycopg.Connection[tuple[object, ...]], target: str) -> None:
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import create_engine
    from sqlalchemy.pool import StaticPool

    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: connection, poolclass=StaticPool
    )
    connection.autocommit = False
    try:
        with as_file(files("releve.api").joinpath("migrations")) as folder:
            config = Config()
            config.set_main_option("script_location", str(folder).replace("%", "%%"))
            config.set_main_option("path_separator", "os")
            with engine.connect() as alembic_connection:
                config.attributes["connection"] = alembic_connection
                command.upgrade(config, target)
    finally:
        if not connection.closed:
            connection.rollback()
            connection.autocommit = True


def _connect(url: str) -> psycopg.Connection[tuple[object, ...]]:
    try:
        return psycopg.connect(url, autocommit=True, connect_timeout=10)
    except psycopg.OperationalError as refused:
        raise ServerProblem(
            "database-unreachable",
            "La base de données ne répond pas.",
            "Connexion refusée avec l'adresse donnée.",
            "Vérifier --database-url, que le serveur tourne et que le rôle peut se connecter.",
        ) from refused
