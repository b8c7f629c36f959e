"""How a command reaches the database: by which URL for which role."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

import psycopg
from psycopg.conninfo import conninfo_to_dict

from releve.api.database import roles
from releve.api.database.embedded import Cluster
from releve.api.database.problems import ServerProblem, UsageProblem
from releve.api.database.state import StateDirectory, open_state

OWNER = "releve_owner"
SERVICE = "releve_service"
WORKER = "releve_worker"


@dataclass(frozen=True, slots=True)
class Connection:
    """How to reach the database of a state directory while a command works in it."""

    state: StateDirectory
    owner_url: str
    """Owns the schema: migrations, dumps, and whoever inspects."""
    service_url: str
    """Appends and reads."""
    worker_url: str
    """Gives positions, writes projections."""
    superuser_url: str | None = None
    """Of the embedded cluster only."""
    cluster: Cluster | None = None
    """The embedded cluster, None for an ordinary server."""
    pg_bin: Path | None = None


@contextlib.contextmanager
def connect_server(
    state_dir: Path, owner_url: str, pg_bin: Path | None = None
) -> Iterator[Connection]:
    """Work with an ordinary server for as long as the block runs; keys stay in the state directory.

    Makes this installation's two logins the first time, with passwords kept in the state
    directory. The schema is not migrated here.

    Raises:
        EnvironmentProblem: the state directory is not ours or cannot serve.
        UsageProblem: the URL is not one of libpq's.
        ServerProblem: the server does not answer, or its owner may not make roles.
    """
    try:
        given = conninfo_to_dict(owner_url)
    except psycopg.ProgrammingError as wrong:
        raise UsageProblem(
            "database-url",
            "L'adresse de la base n'est pas une URL libpq.",
            "Elle ne se lit pas.",
            "La donner sous la forme postgresql://role:mot-de-passe@hote:port/base",
        ) from wrong
    state = open_state(state_dir)
    with state.working():
        passwords = state.passwords()
        suffix = passwords["installation"]
        logins = {
            group: roles.Login(f"{group}_{suffix}", passwords[group], group)
            for group in (SERVICE, WORKER)
        }
        urls = {
            group: _as(given, login.name, login.password, database=None)
            for group, login in logins.items()
        }
        if not all(answers(url) for url in urls.values()):
            try:
                with psycopg.connect(owner_url, autocommit=True, connect_timeout=10) as owner:
                    roles.ensure_groups(owner)
                    roles.ensure_logins(owner, logins.values())
                    database = owner.info.dbname
            except psycopg.OperationalError as refused:
                raise ServerProblem(
                    "database-unreachable",
                    "La base de données ne répond pas.",
                    "Connexion refusée avec l'adresse donnée.",
                    "Vérifier --database-url, que le serveur tourne et que le rôle peut se "
                    "connecter.",
                ) from refused
            urls = {
                group: _as(given, login.name, login.password, database=database)
                for group, login in logins.items()
            }
        yield Connection(
            state,
            owner_url=owner_url,
            service_url=urls[SERVICE],
            worker_url=urls[WORKER],
            pg_bin=pg_bin,
        )


def _as(given: Mapping[str, object], role: str, password: str, *, database: str | None) -> str:
    """Build the URL of the same server and database for another role."""
    name = database or given.get("dbname") or given.get("user") or ""
    rest = {
        key: str(value)
        for key, value in given.items()
        if key not in ("user", "password", "dbname", "passfile") and value is not None
    }
    return (
        f"postgresql://{quote(role, safe='')}:{quote(password, safe='')}@/"
        f"{quote(str(name), safe='')}{'?' + urlencode(rest, quote_via=quote) if rest else ''}"
    )


def answers(url: str) -> bool:
    """Tell whether a connection succeeds."""
    try:
        with psycopg.connect(url, connect_timeout=10):
            return True
    except psycopg.OperationalError:
        return False
