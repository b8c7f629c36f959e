"""The embedded server under bad luck: kill -9, a full disk, closed directories, wrong versions."""

from __future__ import annotations

import fcntl
import json
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from releve.api.database import supervisor
from releve.api.database.embedded import Cluster, Postmaster, new_password
from releve.api.database.problems import EnvironmentProblem, ServerProblem, UsageProblem
from releve.api.database.state import open_state, reset
from support import commands
from support.postgres import BUILDS, build

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

AS_ROOT = os.geteuid() == 0


@pytest.fixture
def state_dir() -> Iterator[Path]:
    """An absent state directory under a short path with a space, stopped and removed after."""
    above = Path(tempfile.mkdtemp(prefix="releve test "))
    path = above / "state"
    yield path
    if (path / "VERSION").exists():
        supervisor.stop(path)
    shutil.rmtree(above)


def supervisor_pid(state_dir: Path) -> int:
    return int((state_dir / "pg" / "supervisor.lock").read_text())


def postmaster_pid(state_dir: Path) -> int:
    return int((state_dir / "pg" / "data" / "postmaster.pid").read_text().split()[0])


def target(descriptor: Path) -> str:
    """Where a descriptor of a running process leads; nowhere if it was closed meanwhile."""
    try:
        return os.readlink(descriptor)
    except FileNotFoundError:
        return ""


class TestSharing:
    def test_two_commands_share_a_server_and_the_first_to_end_does_not_stop_it(
        self, state_dir: Path
    ) -> None:
        first, second = commands.command(state_dir), commands.command(state_dir)
        try:
            told = commands.said(first)
            assert commands.said(second) == told
            commands.ended(first)
            time.sleep(supervisor.GRACE_S + 1)
            with psycopg.connect(told["url"]) as connection:
                row = connection.execute("SELECT pg_postmaster_start_time()::text").fetchone()
            assert row == (told["started"],)
        finally:
            asked_to_end = time.monotonic()
            commands.ended(second)
        assert commands.becomes(lambda: not supervisor.status(state_dir).running)
        assert time.monotonic() - asked_to_end >= supervisor.GRACE_S

    def test_a_command_within_the_grace_finds_the_same_server(self, state_dir: Path) -> None:
        # Loaded beforehand: on a busy machine that alone may take longer than the grace.
        first, second = (commands.loaded(state_dir) for _ in range(2))
        commands.begin(first)
        told = commands.said(first)
        commands.ended(first)
        commands.begin(second)
        assert commands.said(second) == told
        commands.ended(second)

    def test_start_keeps_it_and_stop_stops_it(self, state_dir: Path) -> None:
        assert supervisor.start(state_dir).kept
        time.sleep(supervisor.GRACE_S + 1)
        told = supervisor.status(state_dir)
        assert (told.running, told.kept, told.in_use) == (True, True, False)
        pid = postmaster_pid(state_dir)
        told = supervisor.stop(state_dir)
        assert (told.running, told.kept) == (False, False)
        assert not commands.alive(pid)

    def test_stop_waits_for_whoever_works(self, state_dir: Path) -> None:
        with supervisor.connect_state(state_dir) as connection:
            supervisor.start(state_dir)
            assert supervisor.stop(state_dir).running
            assert connection.superuser_url is not None
            with psycopg.connect(connection.superuser_url):
                pass
        assert commands.becomes(lambda: not supervisor.status(state_dir).running)

    def test_status_starts_nothing(self, state_dir: Path) -> None:
        with pytest.raises(EnvironmentProblem, match="state-absent"):
            supervisor.status(state_dir)
        open_state(state_dir)
        assert not supervisor.status(state_dir).running
        assert not (state_dir / "pg" / "data").exists()

    def test_many_commands_at_once_make_one_cluster(self, state_dir: Path) -> None:
        started = [commands.command(state_dir) for _ in range(4)]
        told = [commands.said(process) for process in started]
        for process in started:
            commands.ended(process)
        assert len({each["started"] for each in told}) == 1


class TestKilled:
    def test_the_server_dies_with_its_supervisor_and_comes_back_whole(
        self, state_dir: Path
    ) -> None:
        with supervisor.connect_state(state_dir) as connection:
            with psycopg.connect(connection.owner_url) as session:
                session.execute("CREATE TABLE public.kept (n integer)")
                session.execute("INSERT INTO public.kept VALUES (1)")
            pid = postmaster_pid(state_dir)
            os.kill(supervisor_pid(state_dir), signal.SIGKILL)
            assert commands.becomes(lambda: not commands.alive(pid))
            again = supervisor.rejoin(connection)
            assert again.owner_url == connection.owner_url
            with psycopg.connect(connection.owner_url) as session:
                assert session.execute("SELECT n FROM public.kept").fetchall() == [(1,)]
            assert postmaster_pid(state_dir) != pid

    def test_a_killed_server_is_started_again_under_its_supervisor(self, state_dir: Path) -> None:
        with supervisor.connect_state(state_dir) as connection:
            owner, pid = supervisor_pid(state_dir), postmaster_pid(state_dir)
            with psycopg.connect(connection.owner_url) as session:
                session.execute("CREATE TABLE public.kept (n integer)")
                session.execute("INSERT INTO public.kept VALUES (1)")
            os.kill(pid, signal.SIGKILL)

            def back() -> bool:
                try:
                    with psycopg.connect(connection.owner_url, connect_timeout=2) as session:
                        return session.execute("SELECT n FROM public.kept").fetchall() == [(1,)]
                except psycopg.OperationalError:
                    return False

            assert commands.becomes(back)
            assert supervisor_pid(state_dir) == owner
            assert postmaster_pid(state_dir) != pid

    def test_a_killed_command_lets_the_server_stop(self, state_dir: Path) -> None:
        process = commands.command(state_dir)
        commands.said(process)
        process.kill()
        process.communicate()
        assert commands.becomes(lambda: not supervisor.status(state_dir).running)

    def test_a_killed_initdb_leaves_no_half_cluster(self, state_dir: Path) -> None:
        half = state_dir / "pg" / "data.init"
        process = commands.command(state_dir)
        assert commands.becomes(lambda: (half / "global").exists())
        os.kill(supervisor_pid(state_dir), signal.SIGKILL)
        process.kill()
        process.communicate()
        assert not (state_dir / "pg" / "data").exists()
        assert half.exists()
        with supervisor.connect_state(state_dir) as connection:
            assert connection.superuser_url is not None
            with psycopg.connect(connection.superuser_url) as session:
                assert session.execute("SELECT 1").fetchone() == (1,)
        assert not half.exists()

    def test_killed_while_roles_are_made_it_makes_them_again(self, state_dir: Path) -> None:
        """The database gets its name last, so a half-prepared cluster is prepared again."""
        state = open_state(state_dir)
        password = state.passwords()["postgres"]
        cluster = Cluster(state.pg)
        cluster.initialise(password)
        server = Postmaster.start(cluster, password)
        with psycopg.connect(server.url("postgres", password, "postgres"), autocommit=True) as s:
            s.execute("CREATE ROLE releve_owner LOGIN")
            s.execute("CREATE ROLE releve_service NOLOGIN")
            s.execute("CREATE DATABASE releve_unready")
        server.stop()
        with supervisor.connect_state(state_dir) as connection:
            for url in (connection.owner_url, connection.service_url, connection.worker_url):
                with psycopg.connect(url) as session:
                    assert session.execute("SELECT current_database()").fetchone() == ("releve",)


class TestPlaces:
    def test_no_directory_and_no_account_is_touched(self, state_dir: Path) -> None:
        closed = state_dir.parent / "closed"
        closed.mkdir(mode=0o700)
        nested = closed / "nested"
        nested.mkdir(mode=0o711)
        path = nested / "state"
        installation = build("wheel").directory
        watched = {*path.parents, installation, *installation.parents, Path(sys.prefix)}
        before = {each: each.stat() for each in watched}
        accounts = Path("/etc/passwd").read_bytes()
        for source in BUILDS:
            state = path / source
            with supervisor.connect_state(state, build(source).directory):
                assert stat.S_IMODE(state.stat().st_mode) == 0o700
                for private in ("keys", "pg", "pg/data", "pg/socket"):
                    assert stat.S_IMODE((state / private).stat().st_mode) == 0o700
                for secret in ("database.json", "VERSION", "lock"):
                    assert stat.S_IMODE((state / secret).stat().st_mode) == 0o600
            supervisor.stop(state)
        for each, was in before.items():
            now = each.stat()
            assert (now.st_mode, now.st_uid, now.st_gid) == (was.st_mode, was.st_uid, was.st_gid)
        assert Path("/etc/passwd").read_bytes() == accounts

    def test_an_existing_directory_keeps_its_mode(self, state_dir: Path) -> None:
        state_dir.mkdir(mode=0o755)
        state_dir.chmod(0o755)
        open_state(state_dir)
        assert stat.S_IMODE(state_dir.stat().st_mode) == 0o755

    def test_listens_on_no_port(self, state_dir: Path) -> None:
        with supervisor.connect_state(state_dir):
            pid = postmaster_pid(state_dir)
            opened = map(target, Path(f"/proc/{pid}/fd").iterdir())
            sockets = {each[8:-1] for each in opened if each.startswith("socket:[")}
            listening = {
                line.split()[9]
                for table in ("/proc/net/tcp", "/proc/net/tcp6")
                for line in Path(table).read_text().splitlines()[1:]
                if line.split()[3] == "0A"
            }
            assert sockets
            assert not sockets & listening

    def test_a_long_path_moves_the_socket_to_a_short_private_directory(
        self, state_dir: Path
    ) -> None:
        deep = state_dir / ("long" * 20) / ("path" * 20)
        with supervisor.connect_state(deep) as connection:
            told = supervisor.status(deep)
            assert told.socket is not None
            assert len(os.fsencode(told.socket)) < 60
            assert stat.S_IMODE(told.socket.stat().st_mode) == 0o700
            pid = postmaster_pid(deep)
            os.kill(supervisor_pid(deep), signal.SIGKILL)
            assert commands.becomes(lambda: not commands.alive(pid))
            supervisor.rejoin(connection)
            with psycopg.connect(connection.owner_url):
                pass
        supervisor.stop(deep)
        assert not told.socket.exists()

    def test_a_directory_that_is_not_ours_is_refused(self, state_dir: Path) -> None:
        state_dir.mkdir()
        (state_dir / "thesis.txt").write_text("mine")
        with pytest.raises(EnvironmentProblem, match="state-foreign"):
            open_state(state_dir)
        with pytest.raises(EnvironmentProblem, match="state-foreign"):
            reset(state_dir)
        assert [each.name for each in state_dir.iterdir()] == ["thesis.txt"]
        (state_dir / "thesis.txt").unlink()
        state_dir.rmdir()

    def test_reset_empties_what_is_ours_but_not_under_somebody(self, state_dir: Path) -> None:
        reset(state_dir)
        with supervisor.connect_state(state_dir), pytest.raises(UsageProblem, match="state-busy"):
            reset(state_dir)
        assert (state_dir / "VERSION").exists()
        supervisor.stop(state_dir)
        reset(state_dir)
        assert list(state_dir.iterdir()) == []

    def test_a_reset_ends_the_server_that_the_last_command_left(self, state_dir: Path) -> None:
        with supervisor.connect_state(state_dir):
            left = [supervisor_pid(state_dir), postmaster_pid(state_dir)]
        supervisor.stop_and_reset(state_dir)
        assert not any(map(commands.alive, left))
        assert list(state_dir.iterdir()) == []
        supervisor.stop_and_reset(state_dir)
        with (
            supervisor.connect_state(state_dir),
            pytest.raises(UsageProblem, match="state-busy"),
        ):
            supervisor.stop_and_reset(state_dir)

    def test_a_command_overtaken_by_a_reset_works_in_the_directory_made_again(
        self, state_dir: Path
    ) -> None:
        state = open_state(state_dir)
        reset(state_dir)
        with state.working():
            assert all(path.is_dir() for path in (state.keys, state.pg))
            with pytest.raises(UsageProblem, match="state-busy"):
                reset(state_dir)

    def test_a_lock_that_was_waited_for_and_taken_away_is_no_lock(self, state_dir: Path) -> None:
        state = open_state(state_dir)
        held = os.open(state.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(held, fcntl.LOCK_EX)
        place = f":{os.fstat(held).st_ino} "
        refused: list[str] = []

        def work() -> None:
            with state.working():
                try:
                    reset(state_dir)
                except UsageProblem as busy:
                    refused.append(busy.code)

        waiting = threading.Thread(target=work)
        waiting.start()
        try:
            assert commands.becomes(
                lambda: any(
                    "->" in line and place in line
                    for line in Path("/proc/locks").read_text().splitlines()
                )
            )
            state.lock.unlink()
        finally:
            os.close(held)
            waiting.join()
        assert refused == ["state-busy"]

    def test_a_later_format_is_refused(self, state_dir: Path) -> None:
        open_state(state_dir)
        (state_dir / "VERSION").write_text("2\n")
        with pytest.raises(EnvironmentProblem, match="state-version"):
            open_state(state_dir)
        (state_dir / "VERSION").write_text("1\n")

    def test_lost_passwords_are_told_before_anything_is_overwritten(self, state_dir: Path) -> None:
        with supervisor.connect_state(state_dir):
            pass
        supervisor.stop(state_dir)
        kept = (state_dir / "database.json").read_bytes()
        (state_dir / "database.json").unlink()
        with (
            pytest.raises(EnvironmentProblem, match="state-incomplete"),
            supervisor.connect_state(state_dir),
        ):
            pass
        other = dict.fromkeys(json.loads(kept), new_password())
        (state_dir / "database.json").write_text(json.dumps(other))
        with (
            pytest.raises(ServerProblem, match="database-password"),
            supervisor.connect_state(state_dir),
        ):
            pass


class TestVersions:
    def test_data_is_opened_by_its_own_major_version_wherever_that_is(
        self, state_dir: Path
    ) -> None:
        wheel, system = build("wheel"), build("system")
        assert wheel.major != system.major
        with supervisor.connect_state(state_dir, wheel.directory):
            pass
        supervisor.stop(state_dir)
        with supervisor.connect_state(state_dir, system.directory):
            told = supervisor.status(state_dir)
        assert told.version == wheel.version

    def test_another_major_version_is_named(self, state_dir: Path) -> None:
        with supervisor.connect_state(state_dir):
            pass
        supervisor.stop(state_dir)
        mark = state_dir / "pg" / "data" / "PG_VERSION"
        kept = mark.read_text()
        mark.write_text("14\n")
        with (
            pytest.raises(EnvironmentProblem, match="PostgreSQL 14") as caught,
            supervisor.connect_state(state_dir),
        ):
            pass
        assert (caught.value.code, caught.value.exit_code) == ("database-version", 3)
        mark.write_text(kept)

    def test_a_configured_directory_without_postgresql_is_refused(self, state_dir: Path) -> None:
        with (
            pytest.raises(EnvironmentProblem, match="RELEVE_PG_BIN"),
            supervisor.connect_state(state_dir, Path("/usr/share")),
        ):
            pass


def in_small_disk(state_dir: Path, megabytes: int, script: str) -> dict[str, object]:
    """Run a script where the state directory's parent is a small disk of its own."""
    within = state_dir.parent
    mount = f'mount -t tmpfs -o size={megabytes}m small "{within}" && exec "$@"'
    kind = ["--mount"] if AS_ROOT else ["--mount", "--user", "--map-root-user"]
    done = subprocess.run(
        [
            "unshare",
            *kind,
            "--",
            "sh",
            "-c",
            mount,
            "sh",
            sys.executable,
            "-c",
            script,
            str(state_dir),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


SMALL = """
import json, os, shutil, sys
from pathlib import Path
from releve.api.database import embedded, supervisor
from releve.api.database.problems import DatabaseProblem
state = Path(sys.argv[1])
def attempt():
    try:
        with supervisor.connect_state(state):
            return {"code": "none"}
    except DatabaseProblem as p:
        return {"code": p.code, "what": p.what, "exit": p.exit_code}
"""


class TestFullDisk:
    def test_a_new_cluster_is_refused_by_name(self, state_dir: Path) -> None:
        told = in_small_disk(state_dir, 60, SMALL + "print(json.dumps(attempt()))")
        assert (told["code"], told["exit"]) == ("disk-full", 3)
        assert str(state_dir) in str(told["what"])

    def test_filling_up_under_initdb_leaves_no_half_cluster(self, state_dir: Path) -> None:
        script = (
            SMALL + "embedded.LEAST_FREE_BYTES = 0\n"
            "from releve.api.database.state import open_state\n"
            "opened = open_state(state)\n"
            "try:\n"
            "    embedded.Cluster(opened.pg).initialise('x')\n"
            "except DatabaseProblem as p:\n"
            "    print(json.dumps({'code': p.code, 'left': os.listdir(opened.pg)}))\n"
        )
        assert in_small_disk(state_dir, 20, script) == {"code": "disk-full", "left": []}

    def test_an_existing_cluster_says_so_and_comes_back_with_space(self, state_dir: Path) -> None:
        script = (
            SMALL + "first = attempt()['code']\n"
            "supervisor.stop(state)\n"
            "ballast = state.parent / 'ballast'\n"
            "with ballast.open('wb', buffering=0) as out:\n"
            "    try:\n"
            "        while True: out.write(bytes(4096))\n"
            "    except OSError: pass\n"
            "full = attempt()\n"
            "ballast.unlink()\n"
            "after = attempt()['code']\n"
            "supervisor.stop(state)\n"
            "print(json.dumps({'first': first, 'full': full['code'], 'after': after}))\n"
        )
        told = in_small_disk(state_dir, 200, script)
        assert told == {"first": "none", "full": "disk-full", "after": "none"}


def in_namespace(script: str, state_dir: Path, *, whole: bool) -> dict[str, object]:
    """Run a script as root of a user namespace that refuses further ones.

    ``whole`` maps every account, so that ``setpriv`` works inside; else root is alone there.
    """
    as_root = [
        "setpriv",
        "--reuid=0",
        "--regid=0",
        "--clear-groups" if whole else "--keep-groups",
    ]
    no_more = ["sh", "-c", 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"', "sh"]
    process = subprocess.Popen(
        [
            *("unshare", "--user", "--", "sh", "-c", 'read go && exec "$@"', "sh"),
            *as_root,
            *no_more,
            *(sys.executable, "-c", script, str(state_dir)),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    inside = Path(f"/proc/{process.pid}/ns/user")
    assert commands.becomes(lambda: os.readlink(inside) != os.readlink("/proc/self/ns/user"))
    count = 65536 if whole else 1
    if not whole:
        Path(f"/proc/{process.pid}/setgroups").write_text("deny")
    for name, mine in (("uid_map", os.geteuid()), ("gid_map", os.getegid())):
        Path(f"/proc/{process.pid}/{name}").write_text(f"0 {mine} {count}\n")
    out, error = process.communicate("go\n", timeout=600)
    assert process.returncode == 0, error
    return dict(json.loads(out.splitlines()[-1]))


REFUSED = (
    SMALL + "from releve.api.database.account import account\n"
    "told = attempt()\n"
    "told['uid'] = (state / 'pg').stat().st_uid if (state / 'pg').exists() else None\n"
    "if told['code'] == 'none': supervisor.stop(state)\n"
    "print(json.dumps(told))\n"
)


class TestWithoutUserNamespaces:
    def test_where_nothing_works_it_says_so(self, state_dir: Path) -> None:
        told = in_namespace(REFUSED, state_dir, whole=False)
        assert (told["code"], told["exit"]) == ("database-root", 3)

    if AS_ROOT:  # an ordinary user cannot map other accounts, and needs none of this

        def test_root_falls_back_to_an_unprivileged_account(self, state_dir: Path) -> None:
            state_dir.parent.chmod(0o755)
            told = in_namespace(REFUSED, state_dir, whole=True)
            assert told["code"] == "none"
            assert told["uid"] in {entry.pw_uid for entry in pwd.getpwall()} - {0}

        def test_a_directory_closed_to_that_account_is_named(self, state_dir: Path) -> None:
            told = in_namespace(REFUSED, state_dir, whole=True)
            assert (told["code"], told["exit"]) == ("database-directory", 3)
            assert str(state_dir.parent) in str(told["what"])

        def test_so_is_one_that_belongs_to_somebody_else(self, state_dir: Path) -> None:
            """Root may enter it, root in a user namespace may not, and its mode stays."""
            home = state_dir.parent / "home"
            home.mkdir(mode=0o700)
            os.chown(home, pwd.getpwnam("daemon").pw_uid, -1)
            with (
                pytest.raises(EnvironmentProblem, match="database-directory") as caught,
                supervisor.connect_state(home / "state"),
            ):
                pass
            assert str(home) in caught.value.what
            assert stat.S_IMODE(home.stat().st_mode) == 0o700

        def test_an_ordinary_user_needs_nothing(self, state_dir: Path) -> None:
            state_dir.parent.chmod(0o777)
            entry = pwd.getpwnam("daemon")
            ordinary = [f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups"]
            # Root's own interpreter may stand in a home that is closed to everybody else.
            reads = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
            process = commands.command(state_dir, before=["setpriv", *ordinary, *reads])
            assert "started" in commands.said(process)
            commands.ended(process)
            assert (state_dir / "pg" / "data").stat().st_uid == entry.pw_uid
