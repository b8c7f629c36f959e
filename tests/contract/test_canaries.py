"""Clinical text and identity never lie in clear: not in a dump, the cluster's files, or any log.

A story is told through every door: seeding, commands, HTTP with its refusals, exports. Then every
byte that was left behind is searched for every line of the demo's canary file, as text, base64,
hex and UTF-16. What the product hands out (briefing, FHIR, canary file) is no leftover.
"""

from __future__ import annotations

import base64
import bisect
import itertools
import json
import os
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from support.command_line import SIZES, CommandLine, stopped
from support.commands import PATIENCE_S

pytestmark = [pytest.mark.postgres, pytest.mark.slow]


Told = tuple[CommandLine, Path, list[str]]


def encodings(line: str) -> set[bytes]:
    """How a line may be hidden in ASCII: itself, hex, and base64 at each alignment.

    UTF-16 is searched as Latin-1 in the same bytes without their zeros.
    """
    found = {line.encode(), line.encode("latin-1", "replace")}
    for raw in (line.encode(), line.encode("utf-16-le"), line.encode("utf-16-be")):
        found.add(raw.hex().encode())
        for shift in range(3):
            code = base64.b64encode(bytes(shift) + raw).rstrip(b"=")
            # the first and last characters also hold bits of the neighbours
            inner = code[(0, 2, 3)[shift] : len(code) - ((len(raw) + shift) % 3 != 0)]
            found.add(inner)
            found.add(inner.translate(bytes.maketrans(b"+/", b"-_")))
    return {each for each in found if len(each) >= 8}


def leaks(place: Path, patterns: Path) -> list[str]:
    """Canaries found in the files of a folder: in their bytes, without zeros, in small letters."""
    found = []
    views: list[Callable[[bytes], bytes]] = [
        bytes,
        lambda raw: raw.replace(b"\0", b""),
        bytes.lower,
    ]
    paths = sorted(each for each in place.rglob("*") if each.is_file())
    contents = [(path, path.read_bytes()) for path in paths]
    for view in views:
        seen = [(path, view(raw)) for path, raw in contents]
        done = subprocess.run(
            ["grep", "--text", "--fixed-strings", "--only-matching", "--byte-offset",
             "--file", str(patterns)],
            input=b"\n".join(raw for _, raw in seen),
            capture_output=True,
            env={**os.environ, "LC_ALL": "C"},
            check=False,
        )  # fmt: skip
        assert done.returncode in (0, 1), done.stderr
        starts = list(itertools.accumulate((len(raw) + 1 for _, raw in seen), initial=0))
        for hit in done.stdout.splitlines()[:20]:
            offset, _, text = hit.partition(b":")
            path = seen[bisect.bisect_right(starts, int(offset)) - 1][0]
            found.append(f"{path.relative_to(place)}: {text!r}")
    return found


@pytest.fixture(scope="module")
def patterns(told: Told, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("patterns") / "canaries"
    lines = told[2]
    file.write_bytes(b"\n".join(sorted({form for line in lines for form in encodings(line)})))
    return file


@pytest.fixture(scope="module")
def told(
    tmp_path_factory: pytest.TempPathFactory,
) -> Told:
    """A demo centre after the story, what its commands left elsewhere, and the canaries."""
    place = tmp_path_factory.mktemp("canaries")
    leftovers, temporary = place / "leftovers", place / "tmp"
    leftovers.mkdir()
    temporary.mkdir()
    line = CommandLine(place / "state", TMPDIR=str(temporary))
    checked = line.run("demo", "--check", *SIZES)
    assert checked.code == 0
    (leftovers / "check.err").write_text(checked.err)
    canaries = Path(checked.data["canaries"]).read_text().splitlines()
    assert len(canaries) > 180
    row = line.done("briefing")["rows"][0]
    with line.serving(log=leftovers / "serve.log") as serving:
        token = line.done("demo", "token", "present")["token"]
        for number, answer in enumerate(story(serving.address, token, row["patient"], canaries)):
            (leftovers / f"answer-{number}").write_bytes(answer)
    on_patient = ("--patient", row["patient"], "--data", "-")
    entry = json.dumps({"concept": {"text": canaries[0]}, "onset": canaries[1]}).encode()
    failures = [
        line.run("replay", canaries[0]),
        line.run("command", "sign-note", "--as", canaries[0], "--patient", row["patient"]),
        line.run("command", "record-problem", "--as", "present", *on_patient, stdin=entry),
    ]
    for number, ran in enumerate(failures):
        assert ran.code != 0
        (leftovers / f"refused-{number}").write_bytes(ran.out + ran.err.encode())
    line.done("export", "audit", "--out", leftovers / "log.zip")
    line.done("db", "dump", "--out", leftovers / "dump.sql")
    stopped(line)
    (leftovers / "tmp").symlink_to(temporary)
    return line, leftovers, canaries


def story(address: str, token: str, patient: str, canaries: list[str]) -> Iterator[bytes]:
    """Requests that carry canaries; the answers of those that are refused."""
    name, other = canaries[0], canaries[1]
    identifier = next(line for line in canaries if line.isdigit())
    there = {"system": "urn:oid:1.2.250.1.213.1.4.10", "value": identifier}
    record = f"/api/v1/patients/{patient}"
    new = "/api/v1/patients"
    quoted = urllib.parse.quote(name)
    wrong: list[tuple[str, str, object]] = [
        ("POST", new, {"birth_name": {"x": name}}),
        ("POST", new, {"birth_name": name, "birth_date": other, "prior_search": "name"}),
        ("POST", new, {"birth_name": name, "identifiers": [there], name: 1}),
        ("POST", f"{record}/sign-note", {"plan": name, other: name}),
        ("POST", f"{record}/open-item", {"kind": other, "text": name}),
        ("GET", f"/fhir/Patient?identifier={identifier}", None),
        ("GET", f"/fhir/Patient/{quoted}", None),
        ("GET", f"/patients?q={quoted}", None),
        ("GET", f"{new}/{quoted}/summary", None),
    ]
    for method, path, body in wrong:
        status, answer = ask(address, token, method, path, body)
        assert status >= 400 or path.startswith("/patients"), path  # a page sends to sign in
        if status >= 400:  # the page to sign in names its doctors
            yield answer
    accepted: list[tuple[str, str, object]] = [
        ("POST", f"{record}/sign-note", {"plan": f"{name} {other}"}),
        ("POST", new, {"birth_name": name, "first_names": [other], "prior_search": "name"}),
        ("GET", f"{record}/summary", None),
        ("GET", f"/fhir/Patient/{patient}/$summary", None),
    ]
    for method, path, body in accepted:
        assert ask(address, token, method, path, body)[0] in (200, 201), path


def ask(address: str, token: str, method: str, path: str, body: object) -> tuple[int, bytes]:
    request = urllib.request.Request(  # noqa: S310 - our own address
        address + path,
        data=None if body is None else json.dumps(body).encode(),
        method=method,
        headers={
            "authorization": f"Bearer {token}",
            "content-type": "application/json",
            "idempotency-key": str(uuid4()),
        },
    )
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:  # noqa: S310 - as above
            return answer.status, answer.read()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read()


def test_the_search_finds_what_is_there(patterns: Path, told: Told, tmp_path: Path) -> None:
    name = next(line for line in told[2] if " " in line)
    hidden = {
        "text": f"<b>{name}</b>".encode(),
        "hex": b"\\x" + f"{name}".encode().hex().upper().encode(),
        "utf-16": name.encode("utf-16-le"),
        "utf-16-be": name.encode("utf-16-be"),
        **{f"base64-{n}": base64.b64encode(b"x" * n + f"{name}; etc".encode()) for n in range(3)},
    }
    for form, content in hidden.items():
        (tmp_path / form).write_bytes(b"\0before " + content + b" after\n")
    found = {hit.split(":")[0] for hit in leaks(tmp_path, patterns)}
    assert found == set(hidden)


def test_nothing_is_in_a_dump_an_export_a_refusal_or_a_log(told: Told, patterns: Path) -> None:
    _, leftovers, _ = told
    assert (leftovers / "dump.sql").stat().st_size > 1_000_000
    assert (leftovers / "serve.log").stat().st_size > 0
    assert leaks(leftovers, patterns) == []
    temporary = leftovers / "tmp"
    assert [each.name for each in temporary.iterdir()] == []


def test_nothing_is_in_the_cluster_its_write_ahead_log_or_its_logs(
    told: Told, patterns: Path
) -> None:
    pg = told[0].state / "pg"
    assert list((pg / "data" / "pg_wal").glob("0*"))
    assert (pg / "server.log").stat().st_size > 0
    assert (pg / "supervisor.log").exists()
    assert leaks(pg, patterns) == []
    assert leaks(told[0].state / "keys", patterns) == []
