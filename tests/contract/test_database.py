"""What the product relies on from PostgreSQL, on Debian's server and on the wheel's."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import sql

from releve.api.database import dump, migration, roles
from releve.api.database.connection import connect_server
from support.commands import becomes
from support.ledger import held_open
from support.postgres import BUILDS, Database, Server, build

pytestmark = pytest.mark.postgres

HEADER = bytes(range(172))
EVENT_COLUMNS = ("stream", "version", "topic", "header", "body", "event_id")
INSERT = (
    "INSERT INTO ledger.event (stream, version, topic, header, body, event_id) "
    "VALUES (%s, %s, 'patient.registered', %s, %s, %s)"
)


@pytest.fixture(scope="module")
def each_shared(each_postgres: Server) -> Iterator[Database]:
    """One database a build for tests that leave nothing behind."""
    made = each_postgres.create()
    yield made
    made.drop()


def append(url: str, stream: UUID, version: int = 1, event_id: UUID | None = None) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(INSERT, (stream, version, HEADER, b"body", event_id or uuid4()))


def refused(url: str, statement: str) -> None:
    with psycopg.connect(url) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement)


def rows(url: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(statement).fetchall()


def test_both_builds_are_here() -> None:
    found = {source: build(source) for source in BUILDS}
    print("PostgreSQL builds under test:", *map(str, found.values()))  # noqa: T201 - names each
    assert [each.source for each in found.values()] == ["system", "wheel"]
    assert found["system"].directory != found["wheel"].directory
    assert min(each.major for each in found.values()) >= 15


class TestServer:
    @pytest.mark.parametrize(
        ("setting", "value"),
        [
            ("listen_addresses", ""),
            ("unix_socket_permissions", "0700"),
            ("password_encryption", "scram-sha-256"),
            ("data_checksums", "on"),
            ("server_encoding", "UTF8"),
            ("fsync", "on"),
            ("full_page_writes", "on"),
            ("synchronous_commit", "on"),
            ("max_prepared_transactions", "0"),
            ("idle_in_transaction_session_timeout", "5s"),
            ("log_parameter_max_length", "0"),
            ("log_parameter_max_length_on_error", "0"),
            ("log_min_error_statement", "panic"),
            ("log_error_verbosity", "terse"),
            ("log_statement", "none"),
        ],
    )
    def test_is_set_as_promised(self, each_postgres: Server, setting: str, value: str) -> None:
        url = each_postgres.url("postgres", "postgres")
        assert rows(url, f"SHOW {setting}") == [(value,)]

    def test_sorts_by_code_point_whatever_the_system_says(self, each_shared: Database) -> None:
        found = rows(
            each_shared.owner_url,
            "SELECT datcollate, datctype FROM pg_database WHERE datname = current_database()",
        )
        assert found == [("C.UTF-8", "C.UTF-8")]

    def test_asks_everybody_for_a_password(self, each_postgres: Server) -> None:
        rules = (each_postgres.cluster.data / "pg_hba.conf").read_text().splitlines()
        methods = {line.split()[-1] for line in rules if line.strip() and line[0] != "#"}
        assert methods == {"scram-sha-256"}
        for role in each_postgres.passwords:
            wrong = each_postgres.postmaster.url(role, "wrong", "postgres")
            with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
                psycopg.connect(wrong)

    def test_keeps_its_socket_to_itself(self, each_postgres: Server) -> None:
        assert each_postgres.postmaster.socket.stat().st_mode & 0o777 == 0o700

    def test_logs_no_value_that_a_statement_carried(self, each_database: Database) -> None:
        canary = f"canary{uuid4().hex}"
        with psycopg.connect(each_database.owner_url, autocommit=True) as connection:
            connection.execute("CREATE TABLE public.guest (word text UNIQUE)")
            connection.execute("INSERT INTO public.guest VALUES (%s)", (canary,))
            with pytest.raises(psycopg.errors.UniqueViolation):
                connection.execute("INSERT INTO public.guest VALUES (%s)", (canary,))
            with pytest.raises(psycopg.errors.InvalidTextRepresentation):
                connection.execute("SELECT %s::text::uuid", (canary,))
            with pytest.raises(psycopg.errors.SyntaxError):
                connection.execute(f"SELEKT '{canary}'".encode())
        log = each_database.server.cluster.log.read_text()
        assert "database system is ready" in log
        assert canary not in log


class TestService:
    """The service role appends events and reads; nothing more."""

    def test_appends_and_reads(self, each_database: Database) -> None:
        stream = uuid4()
        append(each_database.service_url, stream)
        read = rows(each_database.service_url, "SELECT stream, header, body FROM ledger.event")
        assert read == [(stream, HEADER, b"body")]

    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE ledger.event SET body = NULL",
            "UPDATE ledger.event SET topic = 'x' WHERE false",
            "DELETE FROM ledger.event",
            "TRUNCATE ledger.event",
            "SELECT FROM ledger.event FOR UPDATE",
            "SELECT FROM ledger.event FOR KEY SHARE",
            "LOCK TABLE ledger.event IN EXCLUSIVE MODE",
            "INSERT INTO ledger.event (stream, version, topic, header, event_id, tx) VALUES "
            "(gen_random_uuid(), 1, 'x', '', gen_random_uuid(), '1')",
            "INSERT INTO ledger.event (stream, version, topic, header, event_id, id) VALUES "
            "(gen_random_uuid(), 1, 'x', '', gen_random_uuid(), 1)",
            "COPY ledger.event FROM STDIN",
            "INSERT INTO ledger.event_00 (stream, version, topic, header, event_id) VALUES "
            "(gen_random_uuid(), 1, 'x', '', gen_random_uuid())",
            "SELECT FROM ledger.event_00",
            "SELECT setval('ledger.event_id_seq', 1)",
            "ALTER TABLE ledger.event DISABLE TRIGGER USER",
            "ALTER TABLE ledger.event ADD COLUMN more text",
            "DROP TABLE ledger.event",
            "CREATE TABLE ledger.mine ()",
            "CREATE TABLE public.mine ()",
            "CREATE SCHEMA mine",
            "CREATE TEMPORARY TABLE mine ()",
            "INSERT INTO ledger.leaf VALUES (0, gen_random_uuid(), 1, 1, '')",
            "INSERT INTO ledger.known_time VALUES (0, 0)",
            "INSERT INTO ledger.tile VALUES (0, 0, '')",
            "INSERT INTO ledger.checkpoint (size, note) VALUES (1, '')",
            "INSERT INTO ledger.cell (cell) VALUES (gen_random_uuid())",
            "UPDATE ledger.cell SET cell = gen_random_uuid()",
            "UPDATE ledger.head SET size = 0",
            "SELECT FROM ledger.head FOR UPDATE",
            "UPDATE ledger.checkpoint SET note = ''",
            "DELETE FROM ledger.leaf",
            "DELETE FROM ledger.claim",
            "UPDATE ledger.claim SET stream = gen_random_uuid()",
            "DELETE FROM ledger.attachment",
            "UPDATE ledger.attachment SET body = ''",
            "DELETE FROM ledger.edition",
            "UPDATE ledger.edition_card SET body = ''",
            "UPDATE keys.data_key SET record = NULL",
            "DELETE FROM keys.data_key",
            "INSERT INTO keys.data_key (stream, generation, kek_id, kek_version, destroyed_at) "
            "VALUES (gen_random_uuid(), 1, gen_random_uuid(), 1, now())",
            "INSERT INTO projection.patient VALUES (1, gen_random_uuid(), 0, '')",
            "UPDATE projection.feed SET position = 9",
            "DELETE FROM projection.briefing",
            "SELECT FROM migration.alembic_version",
            "SET ROLE releve_sequencer",
            "SET ROLE releve_owner",
            "SELECT pg_read_file('postgresql.conf')",
            "COPY (SELECT 1) TO PROGRAM 'true'",
        ],
    )
    def test_is_refused(self, each_shared: Database, statement: str) -> None:
        refused(each_shared.service_url, statement)

    def test_may_do_exactly_this(self, each_shared: Database) -> None:
        """The rights as a table: a new grant has to be written here too."""
        granted = rows(
            each_shared.superuser_url,
            """
            SELECT n.nspname || '.' || c.relname, string_agg(DISTINCT p.name, ' ' ORDER BY p.name)
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace,
                 unnest(ARRAY['SELECT','INSERT','UPDATE','DELETE','TRUNCATE','REFERENCES','TRIGGER'])
                 AS p (name)
            WHERE n.nspname IN ('ledger', 'keys', 'identity', 'migration', 'public')
              AND c.relkind IN ('r', 'p') AND has_table_privilege('releve_service', c.oid, p.name)
            GROUP BY 1 ORDER BY 1
            """,
        )
        assert dict(granted) == {  # type: ignore[arg-type] # two columns a row
            "identity.session": "DELETE INSERT SELECT UPDATE",
            "keys.data_key": "SELECT",
            "ledger.attachment": "INSERT SELECT",
            "ledger.cell": "SELECT",
            "ledger.checkpoint": "SELECT",
            "ledger.claim": "INSERT SELECT",
            "ledger.edition": "INSERT SELECT",
            "ledger.edition_card": "INSERT SELECT",
            "ledger.event": "SELECT",
            "ledger.head": "SELECT",
            "ledger.known_time": "SELECT",
            "ledger.leaf": "SELECT",
            "ledger.tile": "SELECT",
        }
        columns = rows(
            each_shared.superuser_url,
            "SELECT column_name FROM information_schema.column_privileges WHERE table_schema = "
            "'ledger' AND table_name = 'event' AND grantee = 'releve_service' AND privilege_type = "
            "'INSERT'",
        )
        assert {name for (name,) in columns} == set(EVENT_COLUMNS)

    def test_keeps_keys_claims_sessions_and_editions(self, each_database: Database) -> None:
        with psycopg.connect(each_database.service_url) as connection:
            for statement in (
                "INSERT INTO keys.data_key (stream, generation, kek_id, kek_version, record) "
                "VALUES (gen_random_uuid(), 1, gen_random_uuid(), 1, '')",
                "INSERT INTO ledger.claim VALUES ('ins', '', gen_random_uuid())",
                "INSERT INTO ledger.attachment VALUES (gen_random_uuid(), gen_random_uuid(), '')",
                "INSERT INTO identity.session (id_hash, subject, csrf, expires_at) "
                "VALUES ('a', 'b', 'c', now())",
                "UPDATE identity.session SET seen_at = now()",
                "DELETE FROM identity.session",
                "INSERT INTO ledger.edition VALUES ('00000000-0000-0000-0000-000000000001', "
                "gen_random_uuid(), 1, 0, 'r', now(), '', '')",
                "INSERT INTO ledger.edition_card VALUES "
                "('00000000-0000-0000-0000-000000000001', 0, gen_random_uuid(), '')",
            ):
                assert connection.execute(statement).rowcount == 1

    def test_cannot_reach_another_database(self, each_database: Database) -> None:
        elsewhere = each_database.server.create(template="template0")
        try:
            with psycopg.connect(elsewhere.superuser_url, autocommit=True) as connection:
                connection.execute(
                    sql.SQL("REVOKE CONNECT ON DATABASE {} FROM releve_service").format(
                        sql.Identifier(elsewhere.name)
                    )
                )
            with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
                psycopg.connect(elsewhere.service_url)
        finally:
            elsewhere.drop()


class TestWorker:
    """The worker gives positions, writes what people read, and alone may destroy a key."""

    @pytest.mark.parametrize(
        "statement",
        [
            "INSERT INTO ledger.leaf VALUES (0, gen_random_uuid(), 1, 1, decode(repeat('00', 32), "
            "'hex'))",
            "INSERT INTO ledger.known_time VALUES (0, 0)",
            "INSERT INTO ledger.tile VALUES (0, 0, decode(repeat('00', 8192), 'hex'))",
            "INSERT INTO ledger.checkpoint (size, note) VALUES (1, '')",
            "UPDATE ledger.head SET size = 1",
            "INSERT INTO projection.patient VALUES (1, gen_random_uuid(), 0, '')",
            "INSERT INTO projection.feed (name) VALUES ('patient')",
            "INSERT INTO keys.data_key (stream, generation, kek_id, kek_version, record) "
            "VALUES (gen_random_uuid(), 1, gen_random_uuid(), 1, '')",
        ],
    )
    def test_may(self, each_shared: Database, statement: str) -> None:
        with psycopg.connect(each_shared.worker_url) as connection:
            assert connection.execute(statement.encode()).rowcount == 1
            connection.rollback()

    def test_takes_the_head_as_its_lease(self, each_shared: Database) -> None:
        lease = "SELECT size FROM ledger.head FOR UPDATE SKIP LOCKED"
        with (
            psycopg.connect(each_shared.worker_url) as first,
            psycopg.connect(each_shared.worker_url) as second,
        ):
            assert first.execute(lease).fetchall() == [(0,)]
            assert second.execute(lease).fetchall() == []

    def test_appends_its_own_events(self, each_database: Database) -> None:
        append(each_database.worker_url, uuid4())

    def test_destroys_a_key_but_leaves_its_row(self, each_database: Database) -> None:
        with psycopg.connect(each_database.worker_url) as connection:
            connection.execute(
                "INSERT INTO keys.data_key (stream, generation, kek_id, kek_version, record) "
                "VALUES (gen_random_uuid(), 1, gen_random_uuid(), 1, 'x')"
            )
            destroyed = connection.execute(
                "UPDATE keys.data_key SET record = NULL, destroyed_at = now()"
            )
            assert destroyed.rowcount == 1
        refused(each_database.worker_url, "DELETE FROM keys.data_key")
        refused(each_database.worker_url, "UPDATE keys.data_key SET kek_version = 2")

    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE ledger.event SET body = NULL",
            "DELETE FROM ledger.event",
            "TRUNCATE ledger.event",
            "INSERT INTO ledger.event (stream, version, topic, header, event_id, tx) VALUES "
            "(gen_random_uuid(), 1, 'x', '', gen_random_uuid(), '1')",
            "UPDATE ledger.leaf SET leaf = ''",
            "DELETE FROM ledger.leaf",
            "UPDATE ledger.tile SET hashes = ''",
            "UPDATE ledger.checkpoint SET note = ''",
            "TRUNCATE ledger.checkpoint",
            "UPDATE ledger.known_time SET known_us = 0",
            "INSERT INTO ledger.head (singleton) VALUES (true)",
            "DELETE FROM ledger.head",
            "UPDATE ledger.edition SET manifest = ''",
            "TRUNCATE projection.patient",
            "CREATE TEMPORARY TABLE mine ()",
            "SET ROLE releve_owner",
        ],
    )
    def test_is_refused(self, each_shared: Database, statement: str) -> None:
        refused(each_shared.worker_url, statement)


class TestSecondNet:
    """Even a role that may change the log is refused, until it takes the net away."""

    FILL = (
        "INSERT INTO ledger.leaf VALUES (0, gen_random_uuid(), 1, 1, decode(repeat('00', 32), "
        "'hex'))",
        "INSERT INTO ledger.tile VALUES (0, 0, decode(repeat('00', 8192), 'hex'))",
        "INSERT INTO ledger.checkpoint (size, note) VALUES (1, '')",
    )
    CHANGES = (
        ("event", "UPDATE ledger.event SET header = set_byte(header, 5, 9)"),
        ("event", "DELETE FROM ledger.event"),
        ("event", "TRUNCATE ledger.event"),
        ("leaf", "UPDATE ledger.leaf SET leaf = set_byte(leaf, 5, 9)"),
        ("leaf", "DELETE FROM ledger.leaf"),
        ("leaf", "TRUNCATE ledger.leaf"),
        ("tile", "UPDATE ledger.tile SET hashes = set_byte(hashes, 5, 9)"),
        ("tile", "DELETE FROM ledger.tile"),
        ("tile", "TRUNCATE ledger.tile"),
        ("checkpoint", "UPDATE ledger.checkpoint SET note = 'x'"),
        ("checkpoint", "DELETE FROM ledger.checkpoint"),
        ("checkpoint", "TRUNCATE ledger.checkpoint"),
    )

    def _filled(self, database: Database) -> None:
        append(database.service_url, uuid4())
        with psycopg.connect(database.worker_url) as connection:
            for statement in self.FILL:
                connection.execute(statement.encode())

    @pytest.mark.parametrize("role", ["owner", "superuser"])
    def test_refuses_with_a_state_of_its_own(self, each_database: Database, role: str) -> None:
        self._filled(each_database)
        url = each_database.owner_url if role == "owner" else each_database.superuser_url
        with psycopg.connect(url, autocommit=True) as connection:
            for _, statement in self.CHANGES:
                with pytest.raises(psycopg.Error, match="refused") as caught:
                    connection.execute(statement.encode())
                assert caught.value.sqlstate == "RL001"

    def test_stands_on_each_partition_too(self, each_database: Database) -> None:
        with psycopg.connect(each_database.service_url) as connection:
            connection.execute(
                "INSERT INTO ledger.event (stream, version, topic, header, event_id) "
                "SELECT gen_random_uuid(), 1, 'x', %s, gen_random_uuid() "
                "FROM generate_series(1, 2000)",
                (HEADER,),
            )
        with psycopg.connect(each_database.owner_url, autocommit=True) as connection:
            for number in range(16):
                for verb in ("UPDATE {} SET topic = 'x'", "DELETE FROM {}", "TRUNCATE {}"):
                    part = sql.Identifier("ledger", f"event_{number:02}")
                    with pytest.raises(psycopg.Error, match="append-only"):
                        connection.execute(sql.SQL(verb).format(part))

    def test_lets_the_worker_thin_out_checkpoints_but_not_the_kept_ones(
        self, each_database: Database
    ) -> None:
        with psycopg.connect(each_database.worker_url, autocommit=True) as connection:
            for size, minute, cited in ((1, 1, False), (2, 2, True), (3, 3, False), (4, 4, False)):
                connection.execute(
                    "INSERT INTO ledger.checkpoint VALUES "
                    "(%s, '', '2026-11-23 08:00Z'::timestamptz + make_interval(mins => %s), %s)",
                    (size, minute, cited),
                )
            gone = connection.execute("DELETE FROM ledger.checkpoint WHERE size IN (1, 3)")
            assert gone.rowcount == 2
            for kept in (2, 4):
                with pytest.raises(psycopg.Error, match="is kept") as caught:
                    connection.execute("DELETE FROM ledger.checkpoint WHERE size = %s", (kept,))
                assert caught.value.sqlstate == "RL001"
            connection.execute("UPDATE ledger.checkpoint SET cited = true")
            with pytest.raises(psycopg.Error, match="is kept"):
                connection.execute("UPDATE ledger.checkpoint SET cited = false")

    @pytest.mark.parametrize("which", ["ALL", "USER"])
    def test_the_owner_may_take_it_away(self, each_database: Database, which: str) -> None:
        self._filled(each_database)
        with psycopg.connect(each_database.owner_url, autocommit=True) as connection:
            for table in ("event", "leaf", "tile", "checkpoint"):
                connection.execute(f"ALTER TABLE ledger.{table} DISABLE TRIGGER {which}".encode())
            for _, statement in self.CHANGES:
                if statement.startswith("UPDATE"):
                    assert connection.execute(statement.encode()).rowcount == 1


class TestEventTable:
    def test_has_sixteen_partitions_by_stream(self, each_shared: Database) -> None:
        parts = rows(
            each_shared.owner_url,
            "SELECT count(*) FROM pg_inherits WHERE inhparent = 'ledger.event'::regclass",
        )
        assert parts == [(16,)]

    def test_a_version_and_an_event_id_are_unique_inside_a_stream(
        self, each_database: Database
    ) -> None:
        stream, event_id = uuid4(), uuid4()
        append(each_database.service_url, stream, 1, event_id)
        with pytest.raises(psycopg.errors.UniqueViolation):
            append(each_database.service_url, stream, 1)
        with pytest.raises(psycopg.errors.UniqueViolation):
            append(each_database.service_url, stream, 2, event_id)
        append(each_database.service_url, uuid4(), 1, event_id)

    def test_a_header_is_of_its_length(self, each_shared: Database) -> None:
        with (
            psycopg.connect(each_shared.service_url) as connection,
            pytest.raises(psycopg.errors.CheckViolation),
        ):
            connection.execute(INSERT, (uuid4(), 1, HEADER[:-1], b"", uuid4()))

    def test_bodies_stay_out_of_the_way_of_headers(self, each_shared: Database) -> None:
        found = rows(
            each_shared.owner_url,
            "SELECT DISTINCT attname::text, attstorage::text FROM pg_attribute JOIN pg_inherits ON "
            "attrelid = inhrelid WHERE inhparent = 'ledger.event'::regclass AND attname IN "
            "('header', 'body') ORDER BY 1",
        )
        assert found == [("body", "e"), ("header", "x")]


def waits(connection: psycopg.Connection[tuple[object, ...]], pid: int) -> bool:
    """Whether a server process waits for another one's lock."""
    found = connection.execute("SELECT pg_blocking_pids(%s) <> '{}'", (pid,)).fetchone()
    return found == (True,)


class TestMigration:
    def test_each_sql_file_is_one_revision_in_order(self) -> None:
        names = migration.revisions()
        assert names == sorted(names, key=lambda n: (n.rsplit("_", 1)[0], n.endswith("_post")))
        assert names[0] == "0001_spine_pre"

    def test_the_second_time_nothing_happens(self, each_shared: Database) -> None:
        before = rows(each_shared.owner_url, "SELECT cell FROM ledger.cell")
        assert migration.migrate(each_shared.owner_url).pending == ()
        assert rows(each_shared.owner_url, "SELECT cell FROM ledger.cell") == before

    def test_an_empty_database_lacks_everything_and_then_nothing(
        self, each_postgres: Server
    ) -> None:
        empty = each_postgres.create(template="template0")
        try:
            told = migration.status(empty.owner_url)
            assert told.current is None
            assert list(told.pending) == migration.revisions()
            done = migration.migrate(empty.owner_url, up_to="pre")
            assert all(not name.endswith("_pre") for name in done.pending)
            done = migration.migrate(empty.owner_url)
            assert (done.current, done.pending) == (migration.revisions()[-1], ())
        finally:
            empty.drop()

    def test_a_later_schema_is_refused(self, each_database: Database) -> None:
        with psycopg.connect(each_database.owner_url) as connection:
            connection.execute("UPDATE migration.alembic_version SET version_num = '9999_x_pre'")
        with pytest.raises(Exception, match="database-newer"):
            migration.migrate(each_database.owner_url)

    def test_an_unreachable_server_is_told_as_such(self) -> None:
        with pytest.raises(Exception, match="database-unreachable"):
            migration.migrate("postgresql://nobody@/none?host=/nowhere")


class TestOrdinaryServer:
    """`--database-url`: a server that others run, an owner that may make roles."""

    def test_makes_logins_of_its_own_and_the_product_works(
        self, each_postgres: Server, tmp_path: Path
    ) -> None:
        database = each_postgres.create(template="template0")
        with psycopg.connect(database.superuser_url, autocommit=True) as connection:
            connection.execute("ALTER ROLE releve_owner CREATEROLE")
            if connection.info.server_version >= 160000:
                for group in roles.GROUPS:
                    connection.execute(f"GRANT {group} TO releve_owner WITH ADMIN OPTION".encode())
        try:
            urls = []
            for name in ("first", "second", "first"):
                with connect_server(tmp_path / name, database.owner_url) as reached:
                    migration.migrate(reached.owner_url)
                    append(reached.service_url, uuid4())
                    refused(reached.service_url, "DELETE FROM ledger.event")
                    refused(reached.service_url, "CREATE TEMPORARY TABLE mine ()")
                    assert rows(reached.worker_url, "SELECT count(*) FROM ledger.head") == [(1,)]
                    urls.append(reached.service_url)
            assert urls[0] == urls[2]
            assert urls[0] != urls[1]
            setting = rows(urls[0], "SHOW idle_in_transaction_session_timeout")
            assert setting == [("5s",)]
        finally:
            with psycopg.connect(database.superuser_url, autocommit=True) as connection:
                connection.execute("ALTER ROLE releve_owner NOCREATEROLE")
            database.drop()

    @pytest.mark.parametrize("same", [True, False], ids=["one database", "two databases"])
    def test_two_who_make_the_same_logins_at_once_both_go_on(
        self, each_postgres: Server, same: bool
    ) -> None:
        databases = [each_postgres.create(template="template0") for _ in range(2)]
        theirs, ours = databases[0], databases[0 if same else 1]
        logins = [roles.Login(f"releve_worker_{uuid4().hex[:8]}", "secret", "releve_worker")]
        try:
            with (
                ThreadPoolExecutor(1) as another,
                held_open(theirs.superuser_url) as first,
                psycopg.connect(ours.superuser_url, autocommit=True) as second,
            ):
                with first.transaction():
                    roles.ensure_logins(first, logins)
                    done = another.submit(roles.ensure_logins, second, logins)
                    assert becomes(lambda: waits(first, second.info.backend_pid))
                done.result()
            named = rows(ours.superuser_url, "SELECT rolname::text FROM pg_roles")
            assert named.count((logins[0].name,)) == 1
        finally:
            for database in databases:
                database.drop()

    def test_an_owner_without_the_right_is_told_what_to_do(
        self, each_postgres: Server, tmp_path: Path
    ) -> None:
        database = each_postgres.create(template="template0")
        try:
            with (
                pytest.raises(Exception, match="CREATEROLE"),
                connect_server(tmp_path / "state", database.owner_url),
            ):
                pass
        finally:
            database.drop()

    @pytest.mark.parametrize("url", ["postgresql://[", "no url at all"])
    def test_a_url_that_cannot_be_read_is_a_usage_problem(self, tmp_path: Path, url: str) -> None:
        with (
            pytest.raises(Exception, match="database-url") as caught,
            connect_server(tmp_path / "state", url),
        ):
            pass
        assert caught.value.exit_code == 2  # type: ignore[attr-defined] # DatabaseProblem


class TestDump:
    def test_restores_into_a_new_cluster(self, each_postgres: Server, tmp_path: Path) -> None:
        source = each_postgres.create()
        other = Server(each_postgres.installation)
        file = tmp_path / "dump.sql"
        streams = [uuid4() for _ in range(40)]
        try:
            for stream in streams:
                append(source.service_url, stream)
            with file.open("wb") as out:
                dump.dump(source.owner_url, out, pg_bin=each_postgres.installation.directory)
            assert b"COPY ledger.event_00" in file.read_bytes()
            target = other.create(template="template0")
            dump.restore(target.owner_url, file, pg_bin=other.installation.directory)
            query = "SELECT * FROM ledger.event ORDER BY stream"
            assert rows(target.service_url, query) == rows(source.service_url, query)
            assert migration.migrate(target.owner_url).pending == ()
            refused(target.service_url, "DELETE FROM ledger.event")
            append(target.service_url, uuid4())
            with (
                psycopg.connect(target.owner_url) as connection,
                pytest.raises(psycopg.Error, match="append-only"),
            ):
                connection.execute("DELETE FROM ledger.event")
            last = "SELECT max(id) FROM ledger.event"
            assert rows(target.service_url, last) == [(41,)]
        finally:
            other.close()
            source.drop()

    def test_brings_the_roles_that_its_rights_name(
        self, each_postgres: Server, tmp_path: Path
    ) -> None:
        """A bare cluster, psql, nothing of ours: the dump restores without one error."""
        source = each_postgres.create()
        file = tmp_path / "dump.sql"
        with file.open("wb") as out:
            dump.dump(source.owner_url, out, pg_bin=each_postgres.installation.directory)
        source.drop()
        bare = Server(each_postgres.installation, template=False)
        try:
            done = subprocess.run(
                [
                    bare.installation.program("psql"),
                    *("-X", "-q", "-v", "ON_ERROR_STOP=1", "-o", "/dev/null"),
                    *("-f", str(file), bare.url("postgres", "postgres")),
                ],
                capture_output=True,
                text=True,
                check=False,
            )
            assert (done.returncode, done.stderr) == (0, "")
        finally:
            bare.close()
