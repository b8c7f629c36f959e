"""One changed byte in the database or in an export: ``verify`` names what and where."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest

from releve.security.keys.keyfile import KeyFiles
from support.command_line import CommandLine

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

AT = 200
"""A position below the first full tile, of an event of the demo."""


def flipping(column: LiteralString, at: int, bit: int) -> str:
    """SQL that flips a bit of the event at the position, found by the leaf table."""
    return (
        f"UPDATE ledger.event e SET {column} = set_byte({column}, {at},"  # noqa: S608 - our own words
        f" get_byte({column}, {at}) # {bit}) FROM ledger.leaf l"
        f" WHERE l.stream = e.stream AND l.version = e.version AND l.position = {AT}"
    )


DATABASE = {
    "the header's event id": (flipping("header", 10, 1), {"leaf-unknown", "event", "entry-format"}),
    "the header's time": (flipping("header", 54, 1), {"leaf-unknown"}),
    "the header's chain": (flipping("header", 90, 128), {"leaf-unknown", "prev"}),
    "the header's magic": (flipping("header", 0, 1), {"entry-format"}),
    "the body's first byte": (flipping("body", 0, 1), {"body"}),
    "the body's last byte": (flipping("body", 60, 255), {"body"}),
}


class Owner:
    """Whoever owns the database and has switched its guards off."""

    def __init__(self, line: CommandLine) -> None:
        self._url = line.done("db", "url", "--role", "owner")["url"]
        for table in ("event", "leaf", "tile", "checkpoint"):
            self.sql(f"ALTER TABLE ledger.{table} DISABLE TRIGGER ALL")

    def sql(self, query: str) -> int:
        """Run one statement; rows it changed."""
        with psycopg.connect(self._url, autocommit=True) as connection:
            return connection.execute(query.encode()).rowcount

    @contextmanager
    def flipped(self, query: str) -> Iterator[None]:
        """Apply a change that undoes itself when applied again."""
        assert self.sql(query) == 1
        try:
            yield
        finally:
            assert self.sql(query) == 1


@pytest.fixture(scope="module")
def owner(demo: CommandLine) -> Owner:
    return Owner(demo)


def altered(line: CommandLine, *words: str) -> list[dict[str, Any]]:
    """The problems of a verification that must fail."""
    ran = line.run("verify", *words)
    assert ran.code == 5, (ran.code, ran.out[-2000:])
    assert ran.data["verified"] is False
    assert {"size", "root", "checkpoint", "verified", "problems", "unchecked"} == set(ran.data)
    return list(ran.data["problems"])


def test_the_owner_is_refused_until_the_guards_are_off(demo: CommandLine) -> None:
    url = demo.done("db", "url", "--role", "owner")["url"]
    with (
        psycopg.connect(url, autocommit=True) as connection,
        pytest.raises(psycopg.DatabaseError, match="append-only"),
    ):
        connection.execute("UPDATE ledger.event SET topic = topic")


def test_untouched_it_verifies(demo: CommandLine) -> None:
    found = demo.done("verify")
    assert (found["verified"], found["problems"]) == (True, [])
    assert found["size"] > 256


@pytest.mark.parametrize("what", DATABASE)
def test_a_changed_event_is_named_and_located(demo: CommandLine, owner: Owner, what: str) -> None:
    query, kinds = DATABASE[what]
    with owner.flipped(query):
        problems = altered(demo)
    assert AT in {each["position"] for each in problems}
    assert {each["kind"] for each in problems if each["position"] == AT} & kinds, problems
    assert demo.run("verify").code == 0


def test_a_changed_tile_is_named_and_located(demo: CommandLine, owner: Owner) -> None:
    with owner.flipped(
        "UPDATE ledger.tile SET hashes = set_byte(hashes, 32 * 77 + 5,"
        " get_byte(hashes, 32 * 77 + 5) # 4) WHERE level = 0 AND idx = 0"
    ):
        problems = altered(demo)
    assert ("tile-mismatch", 77) in {(each["kind"], each["position"]) for each in problems}


def test_a_changed_checkpoint_is_named(demo: CommandLine, owner: Owner) -> None:
    demo.done("verify")
    # the fifth character of the signature, turned to another of the alphabet
    change = (
        "UPDATE ledger.checkpoint SET note = overlay(note placing"
        " translate(substr(note, length(note) - 20, 1), '{0}', '{1}')"
        " from length(note) - 20 for 1)"
        " WHERE size = (SELECT max(size) FROM ledger.checkpoint)"
    )
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    other = "".join(letters[index ^ 1] for index in range(64))
    with owner.flipped(change.format(letters, other)):
        problems = altered(demo)
    assert "checkpoint-signature" in {each["kind"] for each in problems}
    # the first character of the root: changing the last one would be no base64 of 32 bytes
    root = (
        "UPDATE ledger.checkpoint SET note = replace(note, split_part(note, E'\\n', 3),"
        " overlay(split_part(note, E'\\n', 3) placing"
        " translate(left(split_part(note, E'\\n', 3), 1), '{0}', '{1}') from 1 for 1))"
        " WHERE size = (SELECT max(size) FROM ledger.checkpoint)"
    )
    with owner.flipped(root.format(letters, other)):
        problems = altered(demo)
    assert {each["kind"] for each in problems} & {"checkpoint-signature", "root"}


def test_an_event_that_was_taken_out_is_missed(demo: CommandLine, owner: Owner) -> None:
    owner.sql(
        "CREATE TABLE ledger.aside AS SELECT e.* FROM ledger.event e JOIN ledger.leaf l"
        " USING (stream, version) WHERE l.position = 200"
    )
    try:
        owner.sql(
            "DELETE FROM ledger.event e USING ledger.aside a"
            " WHERE a.stream = e.stream AND a.version = e.version"
        )
        problems = altered(demo)
    finally:
        owner.sql("INSERT INTO ledger.event SELECT * FROM ledger.aside")
        owner.sql("DROP TABLE ledger.aside")
    assert AT in {each["position"] for each in problems}


def test_a_held_checkpoint_and_a_foreign_key_are_judged(demo: CommandLine, tmp_path: Path) -> None:
    held = tmp_path / "held"
    held.write_text(demo.done("verify")["checkpoint"])
    demo.done("briefing")  # leaves an entry: the log grows
    assert demo.run("verify", "--checkpoint", str(held)).code == 0
    key = (demo.state / "log.vkey").read_text().strip()
    assert demo.run("verify", "--vkey", key).code == 0
    assert demo.run("verify", "--vkey", f"@{demo.state / 'log.vkey'}").code == 0
    foreign = KeyFiles(tmp_path / "keys").log_signer("releve/" + "0" * 32).vkey
    assert "untrusted-key" in {each["kind"] for each in altered(demo, "--vkey", foreign)}
    assert {each["kind"] for each in altered(demo, "--quorum", "1")} == {"missing-signature"}


# Exports


@pytest.fixture(scope="module")
def exports(demo: CommandLine, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """An export of the log, of a patient and of the centre."""
    place = tmp_path_factory.mktemp("exports")
    patient = demo.done("briefing")["rows"][0]["patient"]
    finess = demo.done("demo", "personas")["personas"][0]["finess"]
    found = {
        "log": (place / "log.zip", ()),
        "patient": (place / "patient.zip", ("--patient", patient)),
        "centre": (place / "centre.zip", ("--centre", finess)),
    }
    for path, words in found.values():
        told = demo.done("export", "audit", *words, "--out", path)
        assert told["vkey"] == (demo.state / "log.vkey").read_text().strip()
        assert path.stat().st_mode & 0o777 == 0o600
    return {name: path for name, (path, _) in found.items()}


def judged(export: Path, key: str | None) -> tuple[int, dict[str, Any]]:
    """What the export's own ``verify.py`` says, alone: standard library, no environment."""
    script = export.with_name("verify.py")
    with zipfile.ZipFile(export) as members:
        script.write_bytes(members.read("verify.py"))
    words = [sys.executable, "-I", str(script), str(export), "--json"]
    words += ["--vkey", key] if key else []
    done = subprocess.run(words, capture_output=True, env={}, check=False, cwd="/")
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    return done.returncode, json.loads(done.stdout.decode().splitlines()[-1])


def test_exports_verify_alone_and_by_the_command(
    demo: CommandLine, exports: dict[str, Path]
) -> None:
    key = (demo.state / "log.vkey").read_text().strip()
    for path in exports.values():
        code, found = judged(path, key)
        assert (code, found["verified"], found["problems"]) == (0, True, [])
        assert demo.done("verify", path) == found
        code, found = judged(path, None)
        assert (code, [each["kind"] for each in found["problems"]]) == (5, ["untrusted-key"])


def member(entries: bytes, position: int) -> tuple[int, int]:
    """Where a record's header and body start in ``entries.bin``."""
    offset = 0
    while offset < len(entries):
        here = int.from_bytes(entries[offset : offset + 8], "big")
        header = offset + 12
        length = int.from_bytes(entries[header + 172 : header + 176], "big")
        if here == position:
            return header, header + 176
        offset = header + 176 + length
    raise AssertionError("no such record")


@pytest.mark.parametrize("what", ["header", "body", "tile", "checkpoint"])
def test_a_changed_byte_of_an_export_is_named_and_located(
    demo: CommandLine, exports: dict[str, Path], tmp_path: Path, what: str
) -> None:
    key = (demo.state / "log.vkey").read_text().strip()
    damaged = tmp_path / "damaged.zip"
    with zipfile.ZipFile(exports["log"]) as good, zipfile.ZipFile(damaged, "w") as bad:
        for name in good.namelist():
            raw = bytearray(good.read(name))
            header, body = member(bytes(raw), AT) if name == "entries.bin" else (0, 0)
            if name == "entries.bin" and what in ("header", "body"):
                raw[header + 54 if what == "header" else body + 3] ^= 1
            elif name == "tile/0/000" and what == "tile":
                raw[32 * 77 + 5] ^= 4
            elif name == "checkpoint" and what == "checkpoint":
                raw[-12] = ord("A") if raw[-12] != ord("A") else ord("B")
            bad.writestr(name, bytes(raw))
    code, found = judged(damaged, key)
    assert (code, found["verified"]) == (5, False)
    expected = {
        "header": ("leaf-unknown", AT),
        "body": ("body", AT),
        "tile": ("tile-mismatch", 77),
        "checkpoint": ("checkpoint-signature", None),
    }[what]
    assert expected in {(each["kind"], each["position"]) for each in found["problems"]}
    ran = demo.run("verify", damaged)
    assert (ran.code, ran.data) == (5, found)


def test_a_damaged_database_is_exported_as_it_is(
    demo: CommandLine, owner: Owner, tmp_path: Path
) -> None:
    out = tmp_path / "as it is.zip"
    with owner.flipped(flipping("body", 4, 1)):
        demo.done("export", "audit", "--out", out)
    code, found = judged(out, (demo.state / "log.vkey").read_text().strip())
    assert code == 5
    assert ("body", AT) in {(each["kind"], each["position"]) for each in found["problems"]}


def test_a_damaged_zip_is_said_without_a_traceback(
    demo: CommandLine, exports: dict[str, Path], tmp_path: Path
) -> None:
    raw = exports["patient"].read_bytes()
    for number, content in enumerate((raw[: len(raw) // 2], b"PK\x03\x04", b"", raw[::-1])):
        path = tmp_path / f"{number}.zip"
        path.write_bytes(content)
        ran = demo.run("verify", path)
        assert ran.code == 5
        assert [each["kind"] for each in ran.data["problems"]] == ["zip"]
