"""Attacks by whoever holds the log key too, or the exported file; what was erased still verifies.

A log signed again is told by its own rules, or by a checkpoint kept elsewhere.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from psycopg.types.numeric import Int8

from releve.security.errors import KeyDestroyed
from releve.security.keys.data_keys import DataKeys
from releve.security.ledger import envelope, merkle, verify
from support.export_bytes import record, records
from support.export_damage import found
from support.tampering import AT, EACH, HEADS_AT, LAST, STREAM, Copy, flip

pytestmark = pytest.mark.postgres


class TestSignedAgain:
    """The attacker holds the log key and rewrites everything."""

    def replaced(self, copy: Copy, at: int, start: int, value: bytes) -> None:
        rows = copy.rows()
        header, body = rows[at]
        rows[at] = (header[:start] + value + header[start + len(value) :], body)
        copy.sign_again(rows)

    def test_a_rewritten_event_is_a_fork_of_a_kept_checkpoint(self, copy: Copy) -> None:
        self.replaced(copy, HEADS_AT - 1, 48, (1_700_000_000_000_000).to_bytes(8, "big"))
        assert ("fork", None) in found(copy.verify(held=copy.held))
        assert ("fork", None) in found(copy.judge(copy.export(), held=copy.held))

    def test_a_shortened_log_is_a_rollback(self, copy: Copy) -> None:
        copy.sign_again(copy.rows()[:400])
        assert found(copy.verify()) == set()
        assert found(copy.verify(held=copy.held)) == {("rollback", None)}
        for path in (copy.export(), copy.export(copy.streams[STREAM])):
            assert ("rollback", None) in found(copy.judge(path, held=copy.held))

    def test_a_forged_session(self, copy: Copy) -> None:
        copy.sign_again(copy.rows()[:HEADS_AT])
        self.replaced(copy, LAST, 56, uuid4().bytes)
        assert found(copy.verify()) == {("session", LAST)}
        assert found(copy.judge(copy.export())) == {("session", LAST)}
        assert found(copy.judge(copy.export(copy.streams[STREAM]))) == {("session", LAST)}

    def test_a_clock_set_back(self, copy: Copy) -> None:
        copy.sign_again(copy.rows()[:HEADS_AT])
        self.replaced(copy, LAST, 48, (1_700_000_000_000_000).to_bytes(8, "big"))
        for result in (copy.verify(), copy.judge(copy.export())):
            assert found(result) == {("clock", LAST)}
            assert (result["verified"], verify.exit_code(result)) == (True, 1)

    def test_an_event_taken_out(self, copy: Copy) -> None:
        rows = copy.rows()[:HEADS_AT]
        copy.sign_again(rows[:AT] + rows[AT + 1 :])
        assert found(copy.verify()) == {("version", AT)}
        assert found(copy.judge(copy.export())) == {("version", AT)}

    def test_a_whole_stream_taken_out(self, copy: Copy) -> None:
        rows = copy.rows()
        start = STREAM * EACH
        copy.sign_again(rows[:start] + rows[start + EACH :])
        assert found(copy.verify()) == {("heads-mismatch", HEADS_AT - EACH)}
        assert found(copy.judge(copy.export())) == {("heads-mismatch", HEADS_AT - EACH)}

    def test_two_events_of_a_stream_reordered(self, copy: Copy) -> None:
        rows = copy.rows()[:HEADS_AT]
        rows[AT], rows[AT + 1] = rows[AT + 1], rows[AT]
        copy.sign_again(rows)
        assert ("version", AT) in found(copy.verify())

    def test_an_older_checkpoint_that_was_left_is_a_fork(self, copy: Copy) -> None:
        rows = copy.rows()
        header, body = rows[LAST]
        rows[LAST] = (header[:60] + b"\1" + header[61:], body)
        copy.sign_again(rows[:HEADS_AT])
        copy.ledger.new_stream(2)
        note = copy.signer.sign(400, merkle.root([envelope.leaf_hash(h) for h, _ in rows[1:401]]))
        copy.sql("INSERT INTO ledger.checkpoint (size, note) VALUES (400, %s)", note)
        assert ("fork", None) in found(copy.verify())


class TestExportFile:
    """Attacks on the way to the auditor."""

    def rewritten(self, path: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        change(members)
        with zipfile.ZipFile(path, "w") as archive:
            for name, raw in members.items():
                archive.writestr(name, raw)
        return path

    def test_a_stream_left_out(self, copy: Copy) -> None:
        path = copy.export(copy.streams[3], copy.streams[STREAM])

        def leave_out(members: dict[str, bytes]) -> None:
            kept = b""
            for position, header, body in records(members["entries.bin"]):
                if header[24:40] != copy.streams[3].bytes:
                    kept += record(position, header, body)
            members["entries.bin"] = kept

        result = copy.judge(self.rewritten(path, leave_out))
        assert ("omitted-stream", None) in found(result)
        assert copy.streams[3].hex in {p["stream"] for p in result["problems"]}

    def test_a_streams_tail_left_out(self, copy: Copy) -> None:
        path = copy.export(copy.streams[STREAM])

        def leave_out(members: dict[str, bytes]) -> None:
            every = records(members["entries.bin"])
            members["entries.bin"] = b"".join(record(*r) for r in every if r[0] != LAST)

        result = copy.judge(self.rewritten(path, leave_out))
        assert ("omitted-tail", None) in found(result)

    def test_an_older_checkpoint_with_newer_tiles(self, copy: Copy) -> None:
        path = copy.export()

        def older(members: dict[str, bytes]) -> None:
            members["checkpoint"] = copy.held

        assert ("manifest", None) in found(copy.judge(self.rewritten(path, older)))


class TestErased:
    def test_the_log_verifies_without_the_erased_bodies(self, copy: Copy) -> None:
        stream = copy.streams[STREAM]
        last = copy.rows()[LAST][0]
        header, body = envelope.seal_clear(
            event_class=envelope.STREAM_SHREDDED,
            event_id=uuid4(),
            stream=stream,
            version=EACH + 1,
            recorded_at_us=int.from_bytes(copy.rows()[-1][0][48:56], "big"),
            session=UUID(int=0),
            prev=envelope.leaf_hash(last),
            body=uuid4().bytes,
        )
        copy.sql(
            "INSERT INTO ledger.event (stream, version, topic, header, body, event_id) "
            "VALUES (%s, %s, 'ledger.stream-shredded', %s, %s, %s)",
            stream, Int8(EACH + 1), header, body, UUID(bytes=header[8:24]),
        )  # fmt: skip
        copy.sql("UPDATE keys.data_key SET record = NULL, destroyed_at = now()")
        copy.sql("UPDATE ledger.event SET body = NULL WHERE stream = %s AND version <= 40", stream)
        copy.ledger.number()
        copy.ledger.checkpointer.run_once()
        with pytest.raises(KeyDestroyed):
            DataKeys(copy.ledger.database.service_pool, copy.ledger.key_files).get(stream)
        assert copy.verify(held=copy.held)["problems"] == []
        assert copy.judge(copy.export(stream))["problems"] == []
        assert copy.judge(copy.export())["problems"] == []


def test_an_auditor_needs_one_file_and_no_network(copy: Copy) -> None:
    copy.sql(flip("event", "header", 50), AT)
    path = copy.export()
    with zipfile.ZipFile(path) as archive:
        archive.extract("verify.py", copy.path)
    command = [sys.executable, "-I", "verify.py", path.name, "--vkey", copy.signer.vkey, "--json"]
    unshare = shutil.which("unshare")
    if unshare and not subprocess.run([unshare, "-rn", "true"], check=False).returncode:
        command = [unshare, "-rn", *command]
    done = subprocess.run(command, cwd=copy.path, capture_output=True, text=True, check=False)
    assert done.returncode == 5
    result = json.loads(done.stdout.splitlines()[-1])
    assert found(result) == {("leaf-unknown", AT)}
