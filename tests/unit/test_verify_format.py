"""verify.py on the file: its manifest, its members, its bytes; and run alone by an auditor."""

from __future__ import annotations

import ast
import hashlib
import json
import random
import struct
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from releve.security.ledger import envelope, verify
from support.export_bytes import (
    DATA_KEY,
    Ledger,
    b64,
    canonical,
    find_record,
    record,
    small_ledger,
    stream_id,
    write_zip,
    zipped,
)
from support.export_damage import (
    VKEY,
    Members,
    check,
    edit,
    edit_json,
    flipped,
    found,
    touch,
    without,
)


class TestManifest:
    def test_every_changed_byte_is_found(self, tmp_path: Path, patient_export: Members) -> None:
        for at in range(0, len(patient_export["manifest.json"]), 3):
            damaged = touch(patient_export, "manifest.json", at)
            result = check(tmp_path, damaged)
            assert "manifest" in {k for k, _ in found(result)}, at

    def test_missing(self, tmp_path: Path, patient_export: Members) -> None:
        result = found(check(tmp_path, without(patient_export, "manifest.json")))
        assert ("manifest", None) in result

    def test_an_export_the_log_does_not_know(self, tmp_path: Path, patient_export: Members) -> None:
        def other(value: Any) -> None:
            value["requested"] = {"stream": stream_id(2).hex}

        assert found(check(tmp_path, edit_json(patient_export, "manifest.json", other))) == {
            ("manifest", len(small_ledger().records) + 2)
        }

    def test_a_record_the_manifest_does_not_list(self, tmp_path: Path) -> None:
        made = small_ledger(30)
        members = made.export([stream_id(2)])
        stranger = made.record(5)
        at, _ = find_record(members["entries.bin"], 9)
        damaged = edit(members, "entries.bin", lambda raw: raw[:at] + stranger + raw[at:])
        assert found(check(tmp_path, damaged)) == {("manifest", 5)}

    def test_an_access_entry_left_out(self, tmp_path: Path, patient_export: Members) -> None:
        position = json.loads(patient_export["manifest.json"])["extra"][0]
        start, end = find_record(patient_export["entries.bin"], position)
        damaged = edit(patient_export, "entries.bin", lambda raw: raw[:start] + raw[end:])
        assert found(check(tmp_path, damaged)) == {("manifest", position)}


class TestSideFiles:
    def test_disclosed_keys_are_checked_against_the_commitment(
        self, tmp_path: Path, patient_export: Members
    ) -> None:
        at, _ = find_record(patient_export["entries.bin"], 27)
        header = envelope.Header.unpack(patient_export["entries.bin"][at + 12 : at + 184])
        keys = b"".join(
            envelope.event_keys(DATA_KEY, header.event_id, header.stream, header.version)
        )
        good = {**patient_export, "event_keys": canonical({header.event_id.hex: b64(keys)})}
        result = check(tmp_path, good)
        assert result["verified"] is True
        assert len(result["unchecked"]) == 1
        for value in (b64(flipped(keys, 40)), b64(keys[:32]), "x", 7):
            bad = {**patient_export, "event_keys": canonical({header.event_id.hex: value})}
            assert found(check(tmp_path, bad)) == {("event-key", None)}
        bad = {**patient_export, "event_keys": canonical({"0" * 32: b64(keys)})}
        assert found(check(tmp_path, bad)) == {("event-key", None)}

    def test_time_stamps_name_the_checkpoint_and_are_left_to_others(
        self, tmp_path: Path, log_export: Members
    ) -> None:
        text = log_export["checkpoint"].decode().split("\n\n")[0] + "\n"
        token = b"0\x82" + hashlib.sha256(text.encode()).digest() + b"signature"
        result = check(tmp_path, {**log_export, "tsr/309.tsr": token})
        assert result["verified"] is True
        assert result["unchecked"] == ["tsr/309.tsr: the authority's signature"]
        assert found(check(tmp_path, {**log_export, "tsr/308.tsr": token})) == {("tsr", None)}
        assert found(check(tmp_path, {**log_export, "tsr/309.tsr": b"other"})) == {("tsr", None)}


class TestZip:
    @pytest.mark.parametrize("name", ["checkpoint", "vkeys", "entries.bin"])
    def test_a_missing_member(self, tmp_path: Path, log_export: Members, name: str) -> None:
        assert ("zip", None) in found(check(tmp_path, without(log_export, name)))

    @pytest.mark.parametrize(
        "name", ["README", "tile/", "../entries.bin", "tsr/x.tsr", "tsr/007.tsr"]
    )
    def test_an_unknown_member(self, tmp_path: Path, log_export: Members, name: str) -> None:
        assert found(check(tmp_path, {**log_export, name: b""})) == {("zip", None)}

    def test_a_doubled_member(self, tmp_path: Path, log_export: Members) -> None:
        path = write_zip(tmp_path / "export.zip", log_export)
        with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("vkeys", log_export["vkeys"])
        assert ("zip", None) in found(verify.verify_export(str(path), [VKEY]))

    def test_a_claim_to_unfold_into_far_more(self, tmp_path: Path, log_export: Members) -> None:
        path = tmp_path / "export.zip"
        bomb = {**log_export, "heads.json": bytes(200 << 20)}
        path.write_bytes(zipped(bomb, zipfile.ZIP_DEFLATED))
        assert ("zip", None) in found(verify.verify_export(str(path), [VKEY]))

    @pytest.mark.slow
    def test_damage_never_passes_and_never_raises(self, tmp_path: Path) -> None:
        made = Ledger()
        for n in range(6):
            made.add(stream_id(n % 2))
        made.export()
        raw = zipped(made.export([stream_id(1)]))
        path = tmp_path / "export.zip"
        free = unaccounted(raw)
        generator = random.Random(5)  # noqa: S311 - a repeatable test
        for at in generator.sample(range(len(raw)), 700):
            path.write_bytes(flipped(raw, at, 1 << generator.randrange(8)))
            result = verify.verify_export(str(path), [VKEY])
            assert not result["verified"] or at in free, at
        for size in generator.sample(range(len(raw)), 60):
            path.write_bytes(raw[:size])
            assert not verify.verify_export(str(path), [VKEY])["verified"], size
        for _ in range(60):
            noisy = bytearray(raw)
            for _ in range(generator.randrange(2, 60)):
                noisy[generator.randrange(len(noisy))] = generator.randrange(256)
            path.write_bytes(noisy)
            verify.verify_export(str(path), [VKEY])
        for size in (0, 1, 22, 5000):
            path.write_bytes(generator.randbytes(size))
            assert found(verify.verify_export(str(path), [VKEY])) == {("zip", None)}
        path.write_bytes(raw + b"x")
        assert found(verify.verify_export(str(path), [VKEY])) == {("zip", None)}
        path.write_bytes(b"x" + raw)
        assert ("zip", None) in found(verify.verify_export(str(path), [VKEY]))


def unaccounted(raw: bytes) -> set[int]:
    """Offsets of the central directory that say nothing about a member: who made it, attributes."""
    free: set[int] = set()
    at = raw.index(b"PK\x01\x02")
    while raw[at : at + 4] == b"PK\x01\x02":
        free |= {*range(at + 4, at + 6), *range(at + 36, at + 42)}
        at += 46 + sum(struct.unpack_from("<HHH", raw, at + 28))
    return free


class TestAlone:
    """As an auditor runs it: this one file, nothing installed, no network."""

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-I", str(Path(verify.__file__).resolve()), *arguments]
        if (
            subprocess.run(["unshare", "-rn", "true"], capture_output=True, check=False).returncode
            == 0
        ):
            command = ["unshare", "-rn", *command]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def test_text_and_exit_codes(self, tmp_path: Path, log_export: Members) -> None:
        path = str(write_zip(tmp_path / "an export.zip", log_export))
        done = self.run(path, "--vkey", VKEY)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.splitlines()[-1].startswith("VERIFIED")
        done = self.run(path)
        assert done.returncode == 5
        assert "untrusted-key" in done.stdout
        assert done.stdout.splitlines()[-1] == "NOT VERIFIED"
        for wrong in ([], [path, "--vkey", "x"], ["/nowhere.zip"], [path, "--witness", VKEY]):
            done = self.run(*wrong)
            assert done.returncode == 2
            assert "Traceback" not in done.stderr
            assert len(done.stderr.splitlines()) == 1

    def test_json_is_one_object_on_the_last_line(self, tmp_path: Path, log_export: Members) -> None:
        start, _ = find_record(log_export["entries.bin"], 60)
        damaged = touch(log_export, "entries.bin", start + 200)
        path = str(write_zip(tmp_path / "export.zip", damaged))
        key, held = tmp_path / "log.vkey", tmp_path / "held"
        key.write_text(f"{VKEY}\n")
        held.write_bytes(small_ledger().note(50))
        done = self.run(path, "--vkey", f"@{key}", "--checkpoint", str(held), "--json")
        assert done.returncode == 5
        result = json.loads(done.stdout.splitlines()[-1])
        assert set(result) == {"size", "root", "checkpoint", "verified", "problems", "unchecked"}
        assert result["problems"] == [
            {
                "kind": "body",
                "position": 60,
                "stream": stream_id(59 % 6).hex,
                "detail": "the body is not what the header says",
            }
        ]
        done = self.run(path, "--vkey", "x", "--json")
        assert done.returncode == 2
        assert json.loads(done.stdout.splitlines()[-1])["error"]["code"] == "usage"

    def test_it_imports_the_standard_library_alone_and_reads_on_python_3_9(self) -> None:
        source = Path(verify.__file__).read_text(encoding="utf-8")
        names = set()
        for statement in ast.walk(ast.parse(source, feature_version=(3, 9))):
            if isinstance(statement, ast.Import):
                names |= {alias.name.split(".")[0] for alias in statement.names}
            elif isinstance(statement, ast.ImportFrom):
                assert statement.level == 0
                names.add(str(statement.module).split(".")[0])
        assert names <= sys.stdlib_module_names
        # "X | None" is evaluated outside annotations, where Python 3.9 has no such operator.
        evaluated = [s.value for s in ast.walk(ast.parse(source)) if isinstance(s, ast.Assign)]
        unions = [
            node.lineno
            for value in evaluated
            for node in ast.walk(value)
            if isinstance(node, ast.BinOp) and ast.unparse(node.right) == "None"
        ]
        assert unions == []


def test_a_record_is_as_long_as_the_format_says() -> None:
    assert len(record(0, bytes(172), b"")) == 188
