"""Makes the roles that the service and the worker log in as.

Rights belong to the groups ``releve_service`` and ``releve_worker``. In the embedded cluster the
groups are the logins themselves. On a server that others may share, each installation has logins
of its own, members of the groups, so that two installations never change each other's password.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.resources import files

import psycopg
from psycopg import sql

from releve.api.database.problems import ServerProblem

GROUPS = ("releve_service", "releve_worker", "releve_sequencer", "releve_shredder")
"""Every role that grants name; a dump can be restored where these exist."""

_LOCK = 0x52454C4556450002  # one process of a database at a time makes roles
_TRIES = 10

IDLE_IN_TRANSACTION = "5s"
"""An idle writing transaction holds every later position back (docs/operations.md)."""


@dataclass(frozen=True, slots=True)
class Login:
    """A role that logs in with the rights of a group, and its password."""

    name: str
    password: str
    group: str


def ensure_groups(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    """Make the groups that are missing; the second time nothing changes.

    Raises:
        ServerProblem: some are missing and this role may not make them.
    """
    text = files("releve.api").joinpath("migrations", "sql", "roles.sql").read_bytes()
    try:
        _in_turn(connection, lambda: connection.execute(text))
    except psycopg.errors.InsufficientPrivilege as refused:
        raise ServerProblem(
            "database-roles",
            "Le rôle propriétaire ne peut pas créer les rôles de Relève.",
            f"Il manque au moins un des rôles {', '.join(GROUPS)}, ou leurs appartenances.",
            "Donner CREATEROLE au propriétaire, ou exécuter "
            "api/migrations/sql/roles.sql en administrateur.",
        ) from refused


def ensure_logins(
    connection: psycopg.Connection[tuple[object, ...]], logins: Iterable[Login]
) -> None:
    """Make the logins, or give them the passwords that the caller keeps, and close the database
    to everybody else: no guests, no temporary tables (they hold the snapshot horizon back).

    Raises:
        ServerProblem: this role may not make logins.
    """
    wanted = list(logins)

    def make() -> None:
        for login in wanted:
            _ensure_login(connection, login)
        _guard_database(connection)

    try:
        _in_turn(connection, make)
    except psycopg.errors.InsufficientPrivilege as refused:
        raise ServerProblem(
            "database-roles",
            "Le rôle propriétaire ne peut pas créer les comptes de connexion.",
            "Le service et les tâches de fond se connectent avec leurs propres comptes.",
            "Donner CREATEROLE au propriétaire de la base.",
        ) from refused


def _in_turn(
    connection: psycopg.Connection[tuple[object, ...]], make: Callable[[], object]
) -> None:
    """Run ``make`` in one transaction, after whoever makes roles from the same database.

    From another database of the server the lock is not seen, and PostgreSQL refuses two who
    change one role at once: the second one looks again.
    """
    for left in reversed(range(_TRIES)):
        try:
            with connection.transaction():
                connection.execute("SELECT pg_catalog.pg_advisory_xact_lock(%s)", (_LOCK,))
                make()
        except (
            psycopg.errors.UniqueViolation,
            psycopg.errors.DuplicateObject,
            psycopg.errors.InternalError_,  # "tuple concurrently updated"
        ):
            if not left:
                raise
        else:
            return


def _ensure_login(connection: psycopg.Connection[tuple[object, ...]], login: Login) -> None:
    name, group = sql.Identifier(login.name), sql.Identifier(login.group)
    known = connection.execute(
        "SELECT FROM pg_catalog.pg_roles WHERE rolname = %s", (login.name,)
    ).fetchone()
    if known is None:
        connection.execute(sql.SQL("CREATE ROLE {}").format(name))
    connection.execute(
        sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(name, sql.Literal(login.password))
    )
    connection.execute(
        sql.SQL("ALTER ROLE {} SET idle_in_transaction_session_timeout = {}").format(
            name, sql.Literal(IDLE_IN_TRANSACTION)
        )
    )
    if login.name != login.group:
        member = connection.execute(
            "SELECT pg_catalog.pg_has_role(%s, %s, 'MEMBER')", (login.name, login.group)
        ).fetchone()
        if member != (True,):
            connection.execute(sql.SQL("GRANT {} TO {}").format(group, name))


def _guard_database(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    # Rights on a database travel neither with a dump nor with a template, so they stand here.
    # An owner of the schema who does not own the database gets a warning, not an error.
    database = sql.Identifier(connection.info.dbname)
    connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
    connection.execute(
        sql.SQL("GRANT CONNECT ON DATABASE {} TO releve_service, releve_worker").format(database)
    )
