"""Makes a PostgreSQL cluster in a private directory and runs its server as a child process.

No TCP: only a socket in a directory of mode 0700. SCRAM passwords, data checksums, UTF-8, C.UTF-8.
The server is told by the kernel to stop (``PR_SET_PDEATHSIG``) when the process that started it
dies, even by kill -9. That signal follows the *thread* that forked, so :meth:`Postmaster.start`
must be called from the main thread. On systems other than Linux there is no such signal.

Layout of the directory given (``pg/`` of a state directory)::

    data/        the cluster (initdb works in data.init, renamed when whole)
    socket/      the socket, unless its path would be too long
    server.log   what the server writes; no statement, no parameter, no error detail
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

import psycopg

from releve.api.database.account import Account, account
from releve.api.database.binaries import Binaries, resolve
from releve.api.database.problems import (
    DatabaseProblem,
    EnvironmentProblem,
    ServerProblem,
)

SUPERUSER = "postgres"
"""The cluster's first role. Only the launcher uses it."""

PORT = 5432
"""Names the socket file; nothing listens on TCP."""

LONGEST_SOCKET_PATH = 100
"""Bytes. The kernel's limit is 107; a longer path moves to a short private directory."""

LEAST_FREE_BYTES = 120 * 1024 * 1024
"""A new cluster takes about 40 MB and its first write-ahead log segments as much."""

SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "password_encryption": "scram-sha-256",
    # An acknowledged write is on the disk.
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    # What holds the snapshot horizon back stalls positions (docs/operations.md).
    "idle_in_transaction_session_timeout": "5s",
    "max_prepared_transactions": "0",
    # Nothing that a statement carries reaches the log: neither parameters, nor the statement,
    # nor an error's detail ("Key (ins)=(...) already exists"), nor its primary text.
    "log_statement": "none",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_min_messages": "log",
    "log_destination": "stderr",
    "logging_collector": "off",
    "log_line_prefix": "%m [%p] ",
    "log_timezone": "GMT",
    "timezone": "GMT",
    "lc_messages": "C",
    "jit": "off",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
}

# Runs between us and the program: PR_SET_PDEATHSIG survives exec. Our death before it is seen too.
_DYING = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, int(sys.argv[2]), 0, 0, 0)
if os.getppid() != int(sys.argv[1]):
    sys.exit(1)
os.execv(sys.argv[3], sys.argv[3:])
"""

_LOG_LIMIT = 4 * 1024 * 1024


class Cluster:
    """A directory that holds, or will hold, one PostgreSQL cluster."""

    def __init__(self, directory: Path, *, pg_bin: Path | None = None) -> None:
        """Name the directory; nothing is read or made yet."""
        self.directory = directory
        self._pg_bin = pg_bin

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.directory / "data"

    @property
    def log(self) -> Path:
        """The server's log."""
        return self.directory / "server.log"

    def exists(self) -> bool:
        """Tell whether a whole cluster is there; half of one never counts."""
        return (self.data / "PG_VERSION").exists()

    def major(self) -> int | None:
        """Major version of the data, None before there is any."""
        try:
            return int((self.data / "PG_VERSION").read_text().strip())
        except FileNotFoundError:
            return None
        except PermissionError as refused:
            raise _unreadable(self.data) from refused

    def binaries(self) -> Binaries:
        """Choose the installation: the data's own major version, or the preferred one if new.

        Raises:
            EnvironmentProblem: none fits.
        """
        return resolve(self._pg_bin, major=self.major())

    def initialise(self, superuser_password: str) -> None:
        """Make the cluster unless it exists. Killed half way, it leaves none.

        Raises:
            EnvironmentProblem: the disk is full, or PostgreSQL cannot reach the directory.
        """
        if self.exists():
            return
        who, binaries = account(), self.binaries()
        half = self.directory / "data.init"
        if half.exists():
            shutil.rmtree(half)
        _refuse_full_disk(self.directory)
        password_file = self.directory / ".initdb-password"
        password_file.unlink(missing_ok=True)
        _write_private(password_file, superuser_password + "\n")
        who.own(password_file)
        try:
            half.mkdir(mode=0o700)
            who.own(half)
            done = subprocess.run(  # noqa: S603 - programs found by us, no shell
                _dying_with_us(
                    who.command(
                        binaries.program("initdb"),
                        f"--pgdata={half}",
                        f"--username={SUPERUSER}",
                        "--auth=scram-sha-256",
                        f"--pwfile={password_file}",
                        "--data-checksums",
                        "--encoding=UTF8",
                        "--locale=C.UTF-8",
                        "--no-instructions",
                    ),
                    signal.SIGKILL,
                ),
                capture_output=True,
                text=True,
                check=False,
                cwd="/",
                env=_environment(),
            )
            if done.returncode != 0:
                raise self._explained(done.stdout + done.stderr, who, "initdb")
            half.rename(self.data)
            _sync_directory(self.directory)
        finally:
            password_file.unlink(missing_ok=True)
            if half.exists():
                shutil.rmtree(half, ignore_errors=True)

    def tool(self, name: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Run one of PostgreSQL's own programs as the account that owns the cluster.

        For programs that work on the data directory, such as ``pg_resetwal`` or
        ``pg_controldata``; the exit code is the caller's to look at.
        """
        return subprocess.run(  # noqa: S603 - programs found by us, no shell
            account().command(self.binaries().program(name), *words),
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            env=_environment(),
        )

    def _explained(self, output: str, who: Account, program: str) -> DatabaseProblem:
        if "No space left on device" in output:
            return _full(self.directory)
        closed = who.first_unreachable(self.directory) or who.first_unreachable(
            self.binaries().directory
        )
        if closed is not None:
            return EnvironmentProblem(
                "database-directory",
                f"PostgreSQL ne peut pas entrer dans {closed}.",
                "Ce dossier est fermé au compte sous lequel il tourne, et Relève ne change les "
                "droits d'aucun dossier existant.",
                "Choisir par --state-dir un dossier accessible, par exemple sous /var/lib.",
            )
        if "Permission denied" in output or "Read-only file system" in output:
            return _unreadable(self.directory)
        return ServerProblem(
            "database-start",
            f"{program} a échoué.",
            _last_line(output),
            f"Lire {self.log}, puis relancer.",
        )


class Postmaster:
    """A running server. It dies with the process that started it."""

    def __init__(self, cluster: Cluster, process: subprocess.Popen[bytes], socket: Path) -> None:
        """Keep what is needed to reach the server and to stop it."""
        self.cluster = cluster
        self.process = process
        self.socket = socket

    @classmethod
    def start(
        cls,
        cluster: Cluster,
        superuser_password: str,
        *,
        settings: dict[str, str] | None = None,
        wait_s: float = 60.0,
    ) -> Postmaster:
        """Start the server and return when it accepts connections.

        Call it from the main thread. A server of the same directory whose starter has died is
        waited for, and ended if it does not end by itself. ``settings`` override ours.

        Raises:
            EnvironmentProblem: disk, path or binaries.
            ServerProblem: the server does not start within ``wait_s`` seconds.
        """
        deadline = time.monotonic() + wait_s
        binaries, who = cluster.binaries(), account()
        _end_orphan(cluster.data, deadline)
        socket = _socket_directory(cluster.directory, who)
        chosen = SETTINGS | {"unix_socket_directories": f'"{socket}"'} | (settings or {})
        words = [f"--{name}={value}" for name, value in chosen.items()]
        while True:
            _rotate(cluster.log)
            with cluster.log.open("ab") as log:
                began = log.tell()
                process = subprocess.Popen(  # noqa: S603 - programs found by us, no shell
                    _dying_with_us(
                        who.command(
                            binaries.program("postgres"),
                            *("-D", str(cluster.data), "-p", str(PORT)),
                            *words,
                        ),
                        signal.SIGINT,
                    ),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd="/",
                    env=_environment(),
                    start_new_session=True,
                )
            server = cls(cluster, process, socket)
            try:
                if server._ready(superuser_password, deadline):
                    return server
            except BaseException:
                server.stop()
                raise
            said = _said_since(cluster.log, began)
            busy = "pre-existing shared memory block" in said or "lock file" in said
            if busy and "No space left" not in said and time.monotonic() < deadline:
                time.sleep(0.1)  # backends of a killed server are still leaving
                continue
            server._forget_socket()
            raise cluster._explained(said, who, "postgres")

    def url(self, role: str, password: str, database: str) -> str:
        """A libpq URL for one role and database."""
        return socket_url(self.socket, role, password, database)

    def alive(self) -> bool:
        """Tell whether the server process still runs."""
        return self.process.poll() is None

    def stop(self, *, wait_s: float = 30.0) -> None:
        """Stop fast (sessions end, a checkpoint is written), harder if that takes too long."""
        for wanted in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            if self.process.poll() is not None:
                break
            self.process.send_signal(wanted)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(wait_s)
        self._forget_socket()

    def _ready(self, password: str, deadline: float) -> bool:
        url = self.url(SUPERUSER, password, "postgres")
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                return False
            try:
                with psycopg.connect(url, connect_timeout=5):
                    return True
            except psycopg.OperationalError as refused:
                if "password authentication failed" in str(refused):
                    raise ServerProblem(
                        "database-password",
                        "Le serveur refuse le mot de passe gardé dans le dossier d'état.",
                        "database.json ne correspond pas aux données de pg/.",
                        "Remettre le database.json qui accompagne ces données.",
                    ) from refused
                time.sleep(0.02)
        raise ServerProblem(
            "database-slow",
            "PostgreSQL ne répond pas à temps.",
            "Il démarre encore, ou rejoue un long journal.",
            f"Attendre, lire {self.cluster.log}, puis relancer.",
        )

    def _forget_socket(self) -> None:
        if self.socket.parent != self.cluster.directory:
            shutil.rmtree(self.socket, ignore_errors=True)


def socket_url(socket: Path, role: str, password: str, database: str) -> str:
    """Build a libpq URL that reaches a server through a socket directory."""
    return (
        f"postgresql://{quote(role, safe='')}:{quote(password, safe='')}@/"
        f"{quote(database, safe='')}?host={quote(str(socket), safe='')}&port={PORT}"
    )


def new_password() -> str:
    """Make a random password of 192 bits that needs no quoting anywhere."""
    return secrets.token_hex(24)


def explained(failed: Exception, directory: Path) -> DatabaseProblem:
    """Say in an operator's words what stopped us from making or preparing a cluster."""
    if isinstance(failed, DatabaseProblem):
        return failed
    if isinstance(failed, psycopg.errors.DiskFull):
        return _full(directory)
    if isinstance(failed, OSError):
        if failed.errno in (errno.ENOSPC, errno.EDQUOT):
            return _full(directory)
        return _unreadable(directory)
    return ServerProblem(
        "database-start",
        "La base n'a pas pu être préparée.",
        f"{type(failed).__name__}.",
        f"Lire {directory / 'supervisor.log'} et {directory / 'server.log'}, puis relancer.",
    )


def _socket_directory(directory: Path, who: Account) -> Path:
    """Give the socket's directory: inside ours, or a short one that a restart finds again."""
    natural = directory / "socket"
    if len(os.fsencode(natural / f".s.PGSQL.{PORT}.lock")) <= LONGEST_SOCKET_PATH:
        if not natural.exists():
            natural.mkdir(mode=0o700)
            who.own(natural)
        return natural
    note = directory / "socket-path"
    with contextlib.suppress(OSError):
        remembered = Path(note.read_text())
        found = remembered.lstat()
        ours = found.st_uid == (who.owner[0] if who.owner else os.geteuid())
        if stat.S_ISDIR(found.st_mode) and stat.S_IMODE(found.st_mode) == 0o700 and ours:
            return remembered
    short = Path(tempfile.mkdtemp(prefix="releve-", dir="/tmp"))
    who.own(short)
    note.write_text(str(short))
    return short


def _dying_with_us(command: list[str], wanted: signal.Signals) -> list[str]:
    """Wrap a command so that the kernel sends it a signal when this thread's process dies."""
    if not sys.platform.startswith("linux"):
        return command
    return [sys.executable, "-I", "-S", "-c", _DYING, str(os.getpid()), str(int(wanted)), *command]


def _end_orphan(data: Path, deadline: float) -> None:
    """Wait for a server whose starter died to leave; ask it to, if it does not by itself."""
    patience = time.monotonic() + 5.0
    asked = False
    while (pid := _running(data)) is not None:
        now = time.monotonic()
        if now > deadline:
            raise ServerProblem(
                "database-busy",
                "Un autre serveur PostgreSQL tient ces données.",
                f"Le processus {pid} ne se termine pas.",
                "L'arrêter, puis relancer.",
            )
        if now > patience and not asked:
            asked = True
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGINT)
        time.sleep(0.05)


def _running(data: Path) -> int | None:
    """Process id of the live server of this data directory; a zombie is not one."""
    try:
        pid = int((data / "postmaster.pid").read_text().splitlines()[0])
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        if state in "ZX" or Path(f"/proc/{pid}/cwd").resolve() != data.resolve():
            return None
    except (OSError, ValueError, IndexError):
        return None
    return pid


def _environment() -> dict[str, str]:
    """Give PostgreSQL a plain environment: none of the caller's PG* or locale variables."""
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "GMT"}


def _write_private(path: Path, text: str) -> None:
    """Write a new file that only its owner reads."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w") as opened:
        opened.write(text)


def _refuse_full_disk(directory: Path) -> None:
    free = shutil.disk_usage(directory).free
    if free < LEAST_FREE_BYTES:
        raise _full(directory)


def _full(directory: Path) -> EnvironmentProblem:
    free = shutil.disk_usage(directory).free // (1024 * 1024)
    return EnvironmentProblem(
        "disk-full",
        f"Le disque de {directory} est plein.",
        f"Il reste {free} Mo ; une base neuve en demande "
        f"{LEAST_FREE_BYTES // (1024 * 1024)}, et une base existante de quoi écrire son journal.",
        "Libérer de la place, ou choisir un autre --state-dir. Rien de confirmé n'est perdu.",
    )


def _unreadable(directory: Path) -> EnvironmentProblem:
    return EnvironmentProblem(
        "database-directory",
        f"Le dossier {directory} n'est pas lisible ou pas inscriptible.",
        "PostgreSQL doit pouvoir y lire et y écrire.",
        "Corriger ses droits, ou choisir un autre --state-dir.",
    )


def _said_since(log: Path, offset: int) -> str:
    with log.open("rb") as opened:
        opened.seek(offset)
        return opened.read(64 * 1024).decode(errors="replace")


def _last_line(output: str) -> str:
    lines = [line for line in output.splitlines() if line.strip()]
    return lines[-1].strip() if lines else "Il n'a rien dit."


def _rotate(log: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size > _LOG_LIMIT:
            log.replace(log.with_name(log.name + ".1"))


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
