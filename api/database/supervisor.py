"""One process per state directory owns PostgreSQL; every command shares its server.

A command holds ``lock`` shared while it works. The first one starts the supervisor, which outlives
it and stops the server two seconds after the last one has ended, or keeps it between ``start`` and
``stop``. The supervisor holds ``pg/supervisor.lock`` while it lives; PostgreSQL dies with it, even
on kill -9. A server that dies by itself is started again as long as somebody works.

Race-free by this order: a command takes ``lock`` first and looks for the supervisor second; the
supervisor stops only while it holds ``lock`` alone, and keeps it until the server is gone.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import LiteralString

import psycopg
from psycopg import sql

from releve.api.database import roles
from releve.api.database.binaries import Binaries
from releve.api.database.connection import OWNER, SERVICE, WORKER, Connection, answers
from releve.api.database.embedded import SUPERUSER, Cluster, Postmaster, explained, socket_url
from releve.api.database.problems import (
    DatabaseProblem,
    EnvironmentProblem,
    ServerProblem,
)
from releve.api.database.state import StateDirectory, exclusive, open_state, reset, try_lock

DATABASE = "releve"

GRACE_S = 2.0
"""How long the server stays after the last command."""

START_S = 90.0
"""How long a command waits for a server; a long crash recovery may take that."""

_TICK_S = 0.25
_MOST_DEATHS = 5  # within a minute


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """What is known of the embedded server without starting it."""

    running: bool
    kept: bool
    """Whether it stays until ``stop``."""
    in_use: bool
    """Whether a command works in the state directory."""
    pid: int | None
    version: str | None
    binaries: str | None
    data_directory: Path
    socket: Path | None


@contextlib.contextmanager
def connect_state(state_dir: Path, pg_bin: Path | None = None) -> Iterator[Connection]:
    """Start or join the embedded server of a state directory for as long as the block runs.

    The schema is not migrated here (``migration.migrate(connection.owner_url)``).

    Raises:
        EnvironmentProblem: the directory is not ours, disk, rights, binaries.
        ServerProblem: the server does not start.
    """
    state = open_state(state_dir)
    with state.working():
        yield _joined(state, pg_bin)


def rejoin(connection: Connection) -> Connection:
    """Start the server again if its supervisor was killed; for commands that run for long.

    Call it only inside the block of :func:`connect_state`. The URLs stay what they were.
    """
    if connection.cluster is None:
        return connection
    return _joined(connection.state, connection.pg_bin)


def supervised(connection: Connection) -> bool:
    """Tell whether somebody watches over the server: its supervisor, or an operator of theirs."""
    return connection.cluster is None or _supervisor_pid(connection.state) is not None


def start(state_dir: Path, pg_bin: Path | None = None) -> ServerStatus:
    """Start the server and keep it until :func:`stop`."""
    with connect_state(state_dir, pg_bin) as connection:
        _kept_mark(connection.state).touch(mode=0o600)
        return status(state_dir)


def stop(state_dir: Path, *, wait_s: float = 40.0) -> ServerStatus:
    """Stop keeping the server: at once when nobody works, else after the last command.

    Look at ``running`` in the answer to know which.
    """
    state = open_state(state_dir, create=False)
    _kept_mark(state).unlink(missing_ok=True)
    pid = _supervisor_pid(state)
    if pid is not None:
        if pid > 0:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + wait_s
        while _supervisor_pid(state) == pid and time.monotonic() < deadline:
            if _in_use(state) and _read_run(state) is not None:
                break
            time.sleep(0.02)
    return status(state_dir)


def stop_and_reset(state_dir: Path) -> None:
    """Stop the server that the last command left, then empty the directory (:func:`.state.reset`).

    A server that runs on for its two seconds would otherwise lose its files under its feet, and
    take the next one's socket along when it ends.

    Raises:
        EnvironmentProblem, UsageProblem: as :func:`.state.reset`.
    """
    state = StateDirectory(Path(os.path.abspath(state_dir.expanduser())))
    if _supervisor_pid(state) is not None and not _in_use(state):
        stop(state_dir)
    reset(state_dir)


def status(state_dir: Path) -> ServerStatus:
    """Tell what is known of the embedded server; starts nothing, makes nothing.

    Raises:
        EnvironmentProblem: there is no such state directory.
    """
    state = open_state(state_dir, create=False)
    pid = _supervisor_pid(state)
    run = _read_run(state) if pid is not None else None
    return ServerStatus(
        running=run is not None,
        kept=_kept_mark(state).exists(),
        in_use=_in_use(state),
        pid=int(run["pid"]) if run else None,
        version=run["version"] if run else None,
        binaries=run["binaries"] if run else None,
        data_directory=state.pg / "data",
        socket=Path(run["socket"]) if run else None,
    )


def _joined(state: StateDirectory, pg_bin: Path | None) -> Connection:
    deadline = time.monotonic() + START_S
    while True:
        pid = _supervisor_pid(state)
        if pid is None:
            _spawn(state, pg_bin)
        elif (run := _read_run(state)) is not None and run["supervisor"] == str(pid):
            connection = _connection(state, Path(run["socket"]), pg_bin)
            if answers(connection.owner_url):  # else its supervisor has just been killed
                return connection
        if time.monotonic() > deadline:
            raise ServerProblem(
                "database-slow",
                "PostgreSQL ne répond pas à temps.",
                "Son superviseur tourne mais n'annonce pas de serveur.",
                f"Lire {state.pg / 'server.log'}, puis relancer.",
            )
        time.sleep(0.02)


def _connection(state: StateDirectory, socket: Path, pg_bin: Path | None) -> Connection:
    passwords = state.passwords()

    def url(role: str) -> str:
        return socket_url(socket, role, passwords[role], DATABASE)

    return Connection(
        state,
        owner_url=url(OWNER),
        service_url=url(SERVICE),
        worker_url=url(WORKER),
        superuser_url=url(SUPERUSER),
        cluster=Cluster(state.pg, pg_bin=pg_bin),
        pg_bin=pg_bin,
    )


def _spawn(state: StateDirectory, pg_bin: Path | None) -> None:
    """Start a supervisor and wait for its word: ready, already another, or what is wrong."""
    reading, writing = os.pipe()
    command = [sys.executable, "-I", "-m", __name__, str(state.path), "--report", str(writing)]
    if pg_bin is not None:
        command += ["--pg-bin", str(pg_bin)]
    try:
        log = os.open(
            state.pg / "supervisor.log",
            os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC,
            0o600,
        )
        try:
            process = subprocess.Popen(  # noqa: S603 - ourselves, no shell
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                pass_fds=(writing,),
                start_new_session=True,
            )
        finally:
            os.close(log)
            os.close(writing)
        with os.fdopen(reading, "rb") as said:
            answer = said.read()
    except OSError as failed:
        raise explained(failed, state.pg) from failed
    if not answer:
        process.wait()
        raise ServerProblem(
            "database-start",
            "Le superviseur de PostgreSQL s'est arrêté sans rien dire.",
            f"Code {process.returncode}.",
            f"Lire {state.pg / 'supervisor.log'}.",
        )
    said_back = json.loads(answer)
    if said_back["outcome"] == "ready":
        process.returncode = 0  # it outlives us: nothing to reap, and no warning about it
        return
    process.wait()
    if said_back["outcome"] == "problem":
        kind = EnvironmentProblem if said_back["exit_code"] == 3 else ServerProblem
        raise kind(said_back["code"], said_back["what"], said_back["why"], said_back["do"])


def _supervisor_pid(state: StateDirectory) -> int | None:
    """Process id of the live supervisor, the one that holds its lock file; 0 while unknown."""
    try:
        descriptor = os.open(_supervisor_lock(state), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        if try_lock(descriptor, fcntl.LOCK_SH):
            return None
        text = os.read(descriptor, 32)
    finally:
        os.close(descriptor)
    return int(text) if text.strip().isdigit() else 0


def _in_use(state: StateDirectory) -> bool:
    """Tell whether a command works; a supervisor that holds the lock alone is not one."""
    with exclusive(state.lock, patience_s=0.1) as alone:
        if alone:
            return False
    descriptor = os.open(state.lock, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return try_lock(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def _read_run(state: StateDirectory) -> dict[str, str] | None:
    try:
        return dict(json.loads(_run_file(state).read_bytes()))
    except FileNotFoundError:
        return None


def _supervisor_lock(state: StateDirectory) -> Path:
    return state.pg / "supervisor.lock"


def _run_file(state: StateDirectory) -> Path:
    return state.pg / "run.json"


def _kept_mark(state: StateDirectory) -> Path:
    return state.pg / "kept"


def _has(
    connection: psycopg.Connection[tuple[object, ...]], query: LiteralString, name: str
) -> bool:
    return connection.execute(query, (name,)).fetchone() is not None


class _Supervisor:
    """The supervisor's own process. Single-threaded: the death signal follows the main thread."""

    def __init__(self, state: StateDirectory, pg_bin: Path | None) -> None:
        self.state = state
        self.cluster = Cluster(state.pg, pg_bin=pg_bin)
        self.passwords = state.passwords()
        self.postmaster: Postmaster | None = None
        self._deaths: list[float] = []
        self._woken, waking = os.pipe()
        os.set_blocking(waking, False)
        os.set_blocking(self._woken, False)
        self._asked_to_stop = False
        signal.signal(signal.SIGTERM, self._ask_to_stop)
        for ignored in (signal.SIGCHLD, signal.SIGINT, signal.SIGHUP):
            # They wake us. A handler, unlike SIG_IGN, is not inherited by the server.
            signal.signal(ignored, lambda *_: None)
        signal.set_wakeup_fd(waking, warn_on_full_buffer=False)

    def serve(self) -> None:
        """Start the server, with its roles and its database, and tell where it is."""
        _run_file(self.state).unlink(missing_ok=True)
        self.cluster.initialise(self.passwords[SUPERUSER])
        self.postmaster = Postmaster.start(self.cluster, self.passwords[SUPERUSER])
        self._prepare(self.postmaster)
        self._announce(self.postmaster)

    def watch(self) -> None:
        """Stay until nobody works; hold the commands' lock from then until the server is gone."""
        idle_since: float | None = None
        commands = os.open(self.state.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            while True:
                if self.postmaster is not None and not self.postmaster.alive():
                    self._restart()
                kept = _kept_mark(self.state).exists()
                if not try_lock(commands, fcntl.LOCK_EX):
                    idle_since = None
                    self._asked_to_stop = self._asked_to_stop and not kept
                else:
                    now = time.monotonic()
                    idle_since = now if idle_since is None else idle_since
                    if self._asked_to_stop or (not kept and now - idle_since >= GRACE_S):
                        self.stop()
                        return
                    fcntl.flock(commands, fcntl.LOCK_UN)
                select.select([self._woken], [], [], _TICK_S)
                with contextlib.suppress(BlockingIOError):
                    os.read(self._woken, 4096)
        finally:
            os.close(commands)

    def stop(self) -> None:
        """Stop the server; what it told about itself goes first."""
        with contextlib.suppress(OSError):
            _run_file(self.state).unlink(missing_ok=True)
        if self.postmaster is not None:
            self.postmaster.stop()

    def _restart(self) -> None:
        now = time.monotonic()
        self._deaths = [each for each in self._deaths if now - each < 60] + [now]
        _run_file(self.state).unlink(missing_ok=True)
        if len(self._deaths) > _MOST_DEATHS:
            raise ServerProblem("database-start", "PostgreSQL meurt sans cesse.")
        self.postmaster = Postmaster.start(self.cluster, self.passwords[SUPERUSER])
        self._announce(self.postmaster)

    def _prepare(self, postmaster: Postmaster) -> None:
        """Make what is missing of roles and database; the database gets its name last."""
        password = self.passwords[SUPERUSER]
        url = postmaster.url(SUPERUSER, password, "postgres")
        owner, name = sql.Identifier(OWNER), sql.Identifier(DATABASE)
        unready = sql.Identifier(f"{DATABASE}_unready")
        with psycopg.connect(url, autocommit=True) as connection:
            roles.ensure_groups(connection)  # a new release may bring one
            if _has(connection, "SELECT FROM pg_catalog.pg_database WHERE datname = %s", DATABASE):
                return
            if not _has(connection, "SELECT FROM pg_catalog.pg_roles WHERE rolname = %s", OWNER):
                connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(owner))
            connection.execute(
                sql.SQL("ALTER ROLE {} PASSWORD {}").format(
                    owner, sql.Literal(self.passwords[OWNER])
                )
            )
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(unready))
            connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(unready, owner))
        logins = [roles.Login(login, self.passwords[login], login) for login in (SERVICE, WORKER)]
        with psycopg.connect(
            postmaster.url(SUPERUSER, password, f"{DATABASE}_unready"), autocommit=True
        ) as connection:
            roles.ensure_logins(connection, logins)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(unready, name))

    def _announce(self, postmaster: Postmaster) -> None:
        binaries: Binaries = self.cluster.binaries()
        text = json.dumps(
            {
                "supervisor": str(os.getpid()),
                "pid": str(postmaster.process.pid),
                "socket": str(postmaster.socket),
                "version": binaries.version,
                "binaries": str(binaries),
            }
        )
        unfinished = _run_file(self.state).with_name(".run.json.new")
        unfinished.write_text(text)
        unfinished.rename(_run_file(self.state))

    def _ask_to_stop(self, *_: object) -> None:
        self._asked_to_stop = True


def main(words: list[str]) -> int:
    """Run the supervisor of one state directory; its starter reads one line from ``--report``."""
    parser = argparse.ArgumentParser()
    parser.add_argument("state_dir", type=Path)
    parser.add_argument("--report", type=int, required=True)
    parser.add_argument("--pg-bin", type=Path)
    given = parser.parse_args(words)
    os.umask(0o077)

    def report(**said: object) -> None:
        with contextlib.suppress(BrokenPipeError):
            os.write(given.report, json.dumps(said).encode() + b"\n")
        os.close(given.report)

    os.set_inheritable(given.report, False)
    state = open_state(given.state_dir, create=False)
    with exclusive(_supervisor_lock(state), patience_s=1.0) as alone:
        if not alone:
            report(outcome="already")
            return 0
        supervisor = None
        try:
            _supervisor_lock(state).write_text(str(os.getpid()))
            supervisor = _Supervisor(state, given.pg_bin)
            supervisor.serve()
        except (DatabaseProblem, OSError, psycopg.Error) as failed:
            if supervisor is not None:
                supervisor.stop()
            problem = explained(failed, state.pg)
            report(
                outcome="problem",
                exit_code=problem.exit_code,
                code=problem.code,
                what=problem.what,
                why=problem.why,
                do=problem.do,
            )
            traceback.print_exc()  # last: the log may stand on the full disk
            return problem.exit_code
        report(outcome="ready")
        try:
            supervisor.watch()
        finally:
            supervisor.stop()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
