"""Where a command runs: directories, settings, the embedded database, doctor."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from support.command_line import CommandLine, own_port, stopped
from support.commands import alive

pytestmark = [pytest.mark.postgres, pytest.mark.slow]


def test_a_directory_that_is_not_ours_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"x")
    line = CommandLine(tmp_path)
    for words in (("verify",), ("db", "start"), ("db", "status"), ("demo", "--check")):
        assert line.refused(3, *words)["code"] == "state-foreign"
    assert [each.name for each in tmp_path.iterdir()] == ["holiday.jpg"]


def test_a_file_or_an_absent_place_is_said(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    assert CommandLine(file).refused(3, "verify")["code"] == "state-unwritable"
    absent = CommandLine(tmp_path / "absent")
    assert absent.refused(3, "db", "status")["code"] == "state-absent"
    assert absent.refused(3, "db", "stop")["code"] == "state-absent"
    assert not absent.state.exists()


@pytest.mark.parametrize(
    ("code", "name", "value"),
    [
        (2, "RELEVE_ENV", "staging"),
        (2, "RELEVE_DEMO_NOW", "demain"),
        (2, "RELEVE_PORT", "http"),
        (3, "RELEVE_PG_BIN", "/nowhere"),
        (3, "RELEVE_KEY_PASSPHRASE_FILE", "/nowhere"),
        (2, "RELEVE_DATABASE_URL", "not a url"),
        (4, "RELEVE_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing"),
    ],
)
def test_a_setting_that_cannot_be_is_said(tmp_path: Path, code: int, name: str, value: str) -> None:
    CommandLine(tmp_path / "state").with_environment(**{name: value}).refused(code, "verify")


def test_the_database_is_started_kept_and_stopped(empty: CommandLine) -> None:
    found = empty.done("db", "status")
    assert (found["running"], found["kept"]) == (True, True)
    stopped(empty)
    assert empty.done("db", "status")["running"] is False
    assert "à l'arrêt" in empty.say("db", "status").out.decode()
    started = empty.done("db", "start")
    assert (started["running"], started["kept"]) == (True, True)
    assert empty.done("db", "migrate")["pending"] == []
    for role in ("owner", "service"):
        assert empty.done("db", "url", "--role", role)["url"].startswith(
            f"postgresql://releve_{role}:"
        )


def test_a_stop_while_somebody_works_does_not_say_that_it_stopped(empty: CommandLine) -> None:
    with empty.serving():
        ran = empty.say("db", "stop")
        assert ran.code == 0
        assert "après la dernière commande" in ran.out.decode()
        assert empty.done("db", "status")["running"] is True
    empty.done("db", "start")


def test_doctor_examines_everything_and_tells_what_to_mend(
    empty: CommandLine, tmp_path: Path
) -> None:
    with own_port() as port:  # the usual one may be taken where the tests run
        found = empty.with_environment(RELEVE_PORT=str(port)).done("doctor")
    assert found["ok"] is True
    names = [check["name"] for check in found["checks"]]
    assert names == ["Python", "disque", "mémoire", "port", "clés", "base", "horloge", "retard",
                     "dossiers en attente", "sources", "dossier surveillé", "tâches"]  # fmt: skip
    assert all({"name", "ok", "what", "why", "do"} == set(check) for check in found["checks"])
    foreign = CommandLine(tmp_path)
    (tmp_path / "x").write_text("x")
    ran = foreign.run("doctor")
    assert ran.code == 1
    (base,) = [check for check in ran.data["checks"] if not check["ok"]]
    assert base["name"] == "base"
    assert base["do"]
    fresh = CommandLine(tmp_path / "fresh", RELEVE_PORT="0")
    assert fresh.done("doctor")["ok"] is True
    assert not fresh.state.exists()


def test_doctor_says_which_key_file_is_refused(empty: CommandLine) -> None:
    empty.done("verify")
    (key,) = (empty.state / "keys").glob("log-signing-*")
    mode = key.stat().st_mode
    key.chmod(0o644)
    try:
        ran = empty.run("doctor")
        assert ran.code == 1
        (keys,) = [check for check in ran.data["checks"] if check["name"] == "clés"]
        assert keys["ok"] is False
        assert key.name in keys["why"]
        assert empty.refused(3, "verify")["code"] == "key-refused"
    finally:
        key.chmod(mode)


def test_everything_in_the_state_directory_is_its_owners_only(empty: CommandLine) -> None:
    assert empty.state.stat().st_mode & 0o777 == 0o700
    for each in (*empty.state.iterdir(), *(empty.state / "keys").iterdir()):
        if each.name in ("VERSION", "log.vkey", "lock", "serve.log"):
            continue
        assert each.stat().st_mode & 0o077 == 0, each
        assert each.stat().st_uid == os.getuid()


def test_a_worker_and_two_servers_end_when_asked(empty: CommandLine) -> None:
    with empty.serving("worker") as worker:
        assert worker.stop() == 0
    with empty.serving("serve", "--port", "0", "--workers", "2") as serving:
        children = Path(f"/proc/{serving.process.pid}/task/{serving.process.pid}/children")
        siblings = [int(pid) for pid in children.read_text().split()]
        assert siblings
        assert serving.stop() == 0
    assert not any(map(alive, siblings))
