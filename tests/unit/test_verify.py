"""verify.py on exports built byte by byte: honest ones pass, every change is named and located."""

from __future__ import annotations

import ast
import base64
import hashlib
import json
import random
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from releve.security.ledger import envelope, merkle, notes, verify
from support.export_bytes import (
    CELL,
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

Members = dict[str, bytes]
Found = set[tuple[str, int | None]]


@pytest.fixture(scope="module")
def whole() -> Members:
    """An export of the log: 309 leaves, a consistency proof from 306."""
    other = small_ledger()
    other.export()
    other.add(stream_id(2))
    return other.export()


@pytest.fixture(scope="module")
def partial() -> Members:
    """An export of one patient with an access entry that names them."""
    made = small_ledger()
    extra = made.add(stream_id(99), event_class=6)
    made.add(stream_id(98), event_class=6)
    return made.export([stream_id(2)], extra=[extra])


VKEY = Ledger().vkey


def check(path: Path, members: Members, **options: Any) -> dict[str, Any]:
    options.setdefault("vkeys", [VKEY])
    return verify.verify_export(str(write_zip(path / "export.zip", members)), **options)


def found(result: dict[str, Any]) -> Found:
    return {(p["kind"], p["position"]) for p in result["problems"]}


def flipped(raw: bytes, at: int, bit: int = 1) -> bytes:
    return raw[:at] + bytes([raw[at] ^ bit]) + raw[at + 1 :]


def edit(members: Members, name: str, change: Callable[[bytes], bytes]) -> Members:
    return {**members, name: change(members[name])}


def touch(members: Members, name: str, at: int, bit: int = 1) -> Members:
    return {**members, name: flipped(members[name], at, bit)}


def edit_json(members: Members, name: str, change: Callable[[Any], None]) -> Members:
    value = json.loads(members[name])
    change(value)
    return {**members, name: canonical(value)}


def without(members: Members, *names: str) -> Members:
    return {name: raw for name, raw in members.items() if name not in names}


class TestHonest:
    def test_an_export_of_the_log_verifies(self, tmp_path: Path, whole: Members) -> None:
        result = check(tmp_path, whole)
        assert result["problems"] == []
        assert result["verified"] is True
        assert result["unchecked"] == []
        note = notes.parse_note(whole["checkpoint"].decode())
        assert result["size"] == 309
        assert result["root"] == note.text.split("\n")[2]
        assert result["checkpoint"] == whole["checkpoint"].decode()
        assert verify.exit_code(result) == 0

    def test_an_export_of_one_patient_verifies(self, tmp_path: Path, partial: Members) -> None:
        assert check(tmp_path, partial)["problems"] == []

    @pytest.mark.parametrize("events", [1, 2, 5, 30, 252, 253, 254, 255, 256, 257, 511, 512, 770])
    def test_every_shape_of_tree_verifies(self, tmp_path: Path, events: int) -> None:
        made = Ledger()
        for n in range(events):
            made.add(stream_id(n % 3))
        first = made.export()
        assert check(tmp_path, first)["problems"] == []
        one = made.export([stream_id(0)])
        assert check(tmp_path, one, held=first["checkpoint"])["problems"] == []

    @pytest.mark.slow
    def test_a_tree_of_three_levels_verifies(self, tmp_path: Path) -> None:
        made = Ledger()
        event = made.add(stream_id(0), size=1)
        for _ in range(65_600):
            header, body = made.records[-1]
            version = int.from_bytes(header[40:48], "big") + 1
            made.ids += 1
            fields = envelope.Header.unpack(header)
            made.take(
                msgspec.structs.replace(
                    fields,
                    version=version,
                    event_id=made.next_id(),
                    prev=made.heads[stream_id(0)][1],
                ).pack(),
                body,
            )
        made.add(stream_id(1))
        members = made.export([stream_id(1)])
        assert "tile/2/000.p/1" in members
        assert check(tmp_path, members)["problems"] == []
        members = made.export()
        assert check(tmp_path, members)["problems"] == []
        at = find_record(members["entries.bin"], 40_000)[0] + 12 + 45
        damaged = touch(members, "entries.bin", at)
        assert found(check(tmp_path, damaged)) == {("leaf-unknown", 40_000)}
        damaged = touch(members, "tile/1/000", 32 * 7 + 3)
        assert found(check(tmp_path, damaged)) == {("tile-mismatch", 7 * 256)}
        assert event == 0

    def test_member_order_and_compression_do_not_matter(
        self, tmp_path: Path, whole: Members
    ) -> None:
        path = tmp_path / "export.zip"
        path.write_bytes(zipped(dict(reversed(whole.items())), zipfile.ZIP_DEFLATED))
        assert verify.verify_export(str(path), [VKEY])["problems"] == []

    def test_an_erased_body_is_accepted_where_the_log_says_so(self, tmp_path: Path) -> None:
        made = small_ledger(20)
        made.own(envelope.STREAM_SHREDDED, stream_id(2), bytes(16))
        target = made.records[4][0]
        stream = UUID(bytes=target[24:40])
        made.own(envelope.BODY_PURGED, stream, target[8:24] + b"\0\1")
        for position in (3, 9, 4):
            assert made.records[position][0][24:40] in (stream_id(2).bytes, stream.bytes)
        made.records[3] = (made.records[3][0], b"")
        made.records[4] = (made.records[4][0], b"")
        assert check(tmp_path, made.export())["problems"] == []
        made.records[10] = (made.records[10][0], b"")
        assert found(check(tmp_path, made.export())) == {("body-absent", 10)}


class TestRecords:
    @pytest.mark.parametrize("position", [0, 100, 255, 256, 300])
    def test_a_changed_header_is_located(
        self, tmp_path: Path, whole: Members, position: int
    ) -> None:
        start, _ = find_record(whole["entries.bin"], position)
        for offset in range(0, 172, 9):
            damaged = touch(whole, "entries.bin", start + 12 + offset, 1 << offset % 8)
            result = found(check(tmp_path, damaged))
            assert ("leaf-unknown", position) in result, offset
            # a session's own id is what later events name: they cannot be judged without it
            assert {p for k, p in result if k != "session"} == {position}, (offset, result)

    @pytest.mark.parametrize("position", [5, 100, 255, 256, 300, 308])
    def test_a_changed_body_is_located(self, tmp_path: Path, whole: Members, position: int) -> None:
        start, end = find_record(whole["entries.bin"], position)
        for at in (start + 188, end - 1):
            damaged = touch(whole, "entries.bin", at)
            assert ("body", position) in found(check(tmp_path, damaged))

    def test_every_single_bit_of_a_sealed_event_is_located(self) -> None:
        made = small_ledger(12)
        size, root = len(made.records), merkle.root(made.leaves())
        tile = b"".join(made.leaves())
        target = 5
        header, body = made.records[target]
        for bit in range(8 * (len(header) + len(body))):
            whole = flipped(header + body, bit >> 3, 1 << (bit & 7))
            records = [
                (p, *((whole[:172], whole[172:]) if p == target else record))
                for p, record in enumerate(made.records)
            ]
            problems = verify.Problems()
            scan = verify.Scan(size, None, CELL.bytes, problems)
            scan.read(records)
            tree = verify.Tree(size, root, scan.leaf_map(), lambda *_: tile, problems)
            scan.finish(tree.check([(0, 0)]))
            result = {(p["kind"], p["position"]) for p in problems.found}
            assert ("leaf-unknown" if bit < 8 * 172 else "body", target) in result, bit
            assert {p for _, p in result} == {target}, bit

    def test_changed_framing_is_located(self, tmp_path: Path, whole: Members) -> None:
        start, _ = find_record(whole["entries.bin"], 120)
        for offset in [*range(12), *range(184, 188)]:
            damaged = touch(whole, "entries.bin", start + offset)
            result = check(tmp_path, damaged)
            assert not result["verified"]
            places = {p for _, p in found(result)}
            assert places & {120, 121}, (offset, found(result))
            assert len(places) <= 3, (offset, found(result))

    def test_a_deleted_record_is_located(self, tmp_path: Path, whole: Members) -> None:
        start, end = find_record(whole["entries.bin"], 120)
        damaged = edit(whole, "entries.bin", lambda raw: raw[:start] + raw[end:])
        assert found(check(tmp_path, damaged)) == {("omitted-tail", 120)}

    def test_a_cut_tail_is_located(self, tmp_path: Path, whole: Members) -> None:
        start, _ = find_record(whole["entries.bin"], 280)
        damaged = edit(whole, "entries.bin", lambda raw: raw[:start])
        assert ("omitted-tail", 280) in found(check(tmp_path, damaged))
        damaged = edit(whole, "entries.bin", lambda raw: raw[: start + 50])
        assert {("omitted-tail", 280), ("entry-format", 280)} <= found(check(tmp_path, damaged))

    def test_swapped_records_are_located(self, tmp_path: Path, whole: Members) -> None:
        raw = whole["entries.bin"]
        (a, b), (c, d) = find_record(raw, 60), find_record(raw, 63)
        first, second, between = raw[a:b], raw[c:d], raw[b:c]
        moved = raw[:a] + second + between + first + raw[d:]
        result = found(check(tmp_path, {**whole, "entries.bin": moved}))
        assert ("order", 60) in result
        exchanged = raw[:a] + first[:8] + second[8:] + between + second[:8] + first[8:] + raw[d:]
        result = found(check(tmp_path, {**whole, "entries.bin": exchanged}))
        assert result == {("leaf-unknown", 60), ("leaf-unknown", 63)}

    def test_a_doubled_record_is_located(self, tmp_path: Path, whole: Members) -> None:
        raw = whole["entries.bin"]
        start, end = find_record(raw, 60)
        doubled = raw[:end] + raw[start:end] + raw[end:]
        assert found(check(tmp_path, {**whole, "entries.bin": doubled})) == {("duplicate", 60)}

    def test_bytes_after_the_last_record_are_found(self, tmp_path: Path, whole: Members) -> None:
        damaged = edit(whole, "entries.bin", lambda raw: raw + b"x")
        assert found(check(tmp_path, damaged)) == {("entry-format", 309)}

    def test_a_patients_changed_record_is_located(self, tmp_path: Path, partial: Members) -> None:
        start, _ = find_record(partial["entries.bin"], 27)
        damaged = touch(partial, "entries.bin", start + 12 + 30)
        assert found(check(tmp_path, damaged)) == {("leaf-unknown", 27)}
        damaged = touch(partial, "entries.bin", start + 188)
        assert found(check(tmp_path, damaged)) == {("body", 27)}


class TestForgery:
    """Whoever holds the log key can sign anything; the log's own rules still tell."""

    def forged(self, tmp_path: Path, **fields: Any) -> Found:
        made = small_ledger(12)
        made.add(stream_id(2), **fields)
        made.add(stream_id(3))
        return found(check(tmp_path, made.export()))

    def test_a_used_event_id(self, tmp_path: Path) -> None:
        made = small_ledger(12)
        made.add(stream_id(2), event_id=UUID(bytes=made.records[4][0][8:24]))
        assert found(check(tmp_path, made.export())) == {("duplicate", 13)}

    def test_a_skipped_version(self, tmp_path: Path) -> None:
        assert self.forged(tmp_path, version=7) == {("version", 13)}

    def test_another_predecessor(self, tmp_path: Path) -> None:
        assert self.forged(tmp_path, prev=bytes(32)) == {("prev", 13)}

    def test_a_version_given_twice(self, tmp_path: Path) -> None:
        made = small_ledger(12)
        kept = made.heads[stream_id(2)]
        made.add(stream_id(2), version=kept[0], prev=made.records[3][0][76:108])
        made.heads[stream_id(2)] = kept
        assert ("duplicate", 13) in found(check(tmp_path, made.export()))

    def test_an_unopened_session(self, tmp_path: Path) -> None:
        assert self.forged(tmp_path, session=UUID(int=77)) == {("session", 13)}

    def test_a_session_opened_later(self, tmp_path: Path) -> None:
        made = small_ledger(12)
        later = UUID(bytes=hashlib.sha256(b"event%d" % (made.ids + 2)).digest()[:16])
        position = made.add(stream_id(2), session=later)
        assert made.open_session() == later
        assert found(check(tmp_path, made.export())) == {("session", position)}

    def test_a_clock_set_back(self, tmp_path: Path) -> None:
        made = small_ledger(12)
        made.add(stream_id(2), at=made.now - 59_000_000)
        made.add(stream_id(2), at=made.now - 3_600_000_000)
        made.add(stream_id(2))
        result = check(tmp_path, made.export())
        assert found(result) == {("clock", 14)}
        assert result["verified"] is True
        assert verify.exit_code(result) == 1

    def test_heads_that_leave_a_stream_out(self, tmp_path: Path) -> None:
        made = small_ledger(12)
        hidden = made.heads.pop(stream_id(4))
        position = made.append_heads()
        made.heads[stream_id(4)] = hidden
        assert found(check(tmp_path, made.export())) == {("heads-mismatch", position)}

    def test_unknown_classes_flags_and_lengths(self, tmp_path: Path) -> None:
        for at, value in [(0, 0x53), (4, 2), (5, 2), (5, 1), (6, 0xFF), (7, 9), (7, 0)]:
            made = small_ledger(12)
            header, body = made.records[-1]
            header = header[:at] + bytes([value]) + header[at + 1 :]
            made.records[-1] = (header, body)
            stream, version = UUID(bytes=header[24:40]), int.from_bytes(header[40:48], "big")
            made.heads[stream] = (version, envelope.leaf_hash(header))
            assert found(check(tmp_path, made.export())) == {("entry-format", 12)}, (at, value)

    def test_a_sealed_body_of_impossible_length(self, tmp_path: Path) -> None:
        for size in (1, 28, 283, 285):
            made = small_ledger(12)
            body = bytes(size)
            header = made.records[-1][0][:140] + hashlib.sha256(body).digest()
            made.records[-1] = (header, body)
            made.heads[stream_id(5)] = (2, envelope.leaf_hash(header))
            assert found(check(tmp_path, made.export())) == {("entry-format", 12)}, size


class TestTiles:
    @pytest.mark.parametrize(
        ("name", "slot", "position"),
        [("tile/0/000", 17, 17), ("tile/0/001.p/53", 8, 264), ("tile/1/000.p/1", 0, 0)],
    )
    def test_a_changed_hash_is_located(
        self, tmp_path: Path, whole: Members, name: str, slot: int, position: int
    ) -> None:
        damaged = touch(whole, name, 32 * slot + 5)
        assert found(check(tmp_path, damaged)) == {("tile-mismatch", position)}

    def test_record_and_tile_faults_are_told_apart(self, tmp_path: Path, whole: Members) -> None:
        damaged = touch(whole, "tile/0/000", 32 * 17)
        start, _ = find_record(whole["entries.bin"], 30)
        damaged = touch(damaged, "entries.bin", start + 12 + 60)
        assert found(check(tmp_path, damaged)) == {("tile-mismatch", 17), ("leaf-unknown", 30)}

    def test_both_faults_at_one_place(self, tmp_path: Path, whole: Members) -> None:
        damaged = touch(whole, "tile/0/000", 32 * 17)
        start, _ = find_record(whole["entries.bin"], 17)
        damaged = touch(damaged, "entries.bin", start + 12 + 60)
        result = check(tmp_path, damaged)
        assert not result["verified"]
        assert ("leaf-unknown", 17) in found(result)

    def test_missing_extra_and_cut_tiles(self, tmp_path: Path, whole: Members) -> None:
        assert found(check(tmp_path, without(whole, "tile/0/000"))) == {("tile-missing", 0)}
        more = {**whole, "tile/3/000": bytes(32)}
        assert found(check(tmp_path, more)) == {("tile-extra", None)}
        cut = edit(whole, "tile/0/001.p/53", lambda raw: raw[:-1])
        assert found(check(tmp_path, cut)) == {("tile-mismatch", 256)}

    def test_a_partial_export_holds_only_its_tiles(self, tmp_path: Path) -> None:
        made = Ledger()
        for n in range(900):
            made.add(stream_id(1 if n == 300 else 0))
        members = made.export([stream_id(1)])
        assert {n for n in members if n.startswith("tile/")} == {
            "tile/0/001", "tile/0/003.p/134", "tile/1/000.p/3",
        }  # fmt: skip
        assert check(tmp_path, members)["problems"] == []
        damaged = touch(members, "tile/0/001", 32 * 44)
        assert found(check(tmp_path, damaged)) == {("tile-mismatch", 300)}
        damaged = touch(members, "tile/0/001", 32 * 45)
        assert found(check(tmp_path, damaged)) == {("tile-mismatch", 256)}
        leaves = made.leaves()
        more = {**members, "tile/0/000": b"".join(leaves[:256])}
        assert found(check(tmp_path, more)) == {("tile-extra", None)}


class TestCheckpoint:
    def test_every_changed_byte_is_found(self, tmp_path: Path, partial: Members) -> None:
        raw = partial["checkpoint"]
        for at in range(len(raw)):
            result = check(tmp_path, touch(partial, "checkpoint", at))
            kinds = {p["kind"] for p in result["problems"]}
            assert kinds & {
                "checkpoint-format", "checkpoint-signature", "unknown-signature",
                "missing-signature",
            }, at  # fmt: skip
            assert not result["verified"]

    def test_another_root_or_size_signed_by_the_log_key(
        self, tmp_path: Path, whole: Members
    ) -> None:
        signer = Ledger().signer
        damaged = {**whole, "checkpoint": signer.sign(309, bytes(32)).encode()}
        assert ("root", None) in found(check(tmp_path, damaged))
        root = base64.b64decode(whole["checkpoint"].split(b"\n")[2])
        for size in (308, 310, 10**15, 2**62):
            damaged = {**whole, "checkpoint": signer.sign(size, root).encode()}
            result = found(check(tmp_path, damaged))
            assert ("manifest", None) in result
        assert ("omitted-tail", 309) in result

    def test_no_key_or_another_key_is_not_trusted(self, tmp_path: Path, whole: Members) -> None:
        result = check(tmp_path, whole, vkeys=[])
        assert found(result) == {("untrusted-key", None)}
        assert verify.exit_code(result) == 5
        other = Ledger(seed=2).vkey
        assert found(check(tmp_path, whole, vkeys=[other])) == {("untrusted-key", None)}
        assert found(check(tmp_path, whole, vkeys=[other, VKEY])) == set()

    def test_a_log_of_another_key_under_the_same_name(self, tmp_path: Path) -> None:
        made = Ledger(seed=2)
        made.add(stream_id(1))
        assert found(check(tmp_path, made.export())) == {("untrusted-key", None)}

    @pytest.mark.parametrize(
        ("change", "kind"),
        [
            (lambda raw: raw[:-1], "untrusted-key"),
            (lambda raw: b"", "untrusted-key"),
            (lambda raw: raw + raw, "untrusted-key"),
            (lambda raw: raw + b"x\n", "untrusted-key"),
            (lambda raw: flipped(raw, 60), "untrusted-key"),
        ],
    )
    def test_bad_vkeys(
        self, tmp_path: Path, whole: Members, change: Callable[[bytes], bytes], kind: str
    ) -> None:
        assert kind in {k for k, _ in found(check(tmp_path, edit(whole, "vkeys", change)))}

    @pytest.mark.parametrize(
        "change",
        [
            lambda t: t.replace("\n\n", "\nextension\n\n"),
            lambda t: t.replace("\n309\n", "\n0309\n"),
            lambda t: t + "\n",
            lambda t: t[:-1],
            lambda t: t.replace("—", "-"),
            lambda t: t + t.splitlines()[-1] + "\n",
        ],
    )
    def test_other_forms_are_refused(
        self, tmp_path: Path, whole: Members, change: Callable[[str], str]
    ) -> None:
        damaged = edit(whole, "checkpoint", lambda raw: change(raw.decode()).encode())
        assert "checkpoint-format" in {k for k, _ in found(check(tmp_path, damaged))}

    def test_another_origin_than_the_keys_name(self, tmp_path: Path) -> None:
        made = Ledger()
        made.add(stream_id(1))
        members = made.export()
        key = Ed25519PrivateKey.from_private_bytes(bytes([1]) * 32)
        text = members["checkpoint"].decode().split("\n\n")[0].replace(CELL.hex, "0" * 32) + "\n"
        key_id = made.vkey.split("+")[1]
        signature = b64(bytes.fromhex(key_id) + key.sign(text.encode()))
        members["checkpoint"] = f"{text}\n— {made.signer.origin} {signature}\n".encode()
        assert found(check(tmp_path, members)) == {("checkpoint-format", None)}


def witness(seed: int, name: str, note: bytes) -> tuple[str, bytes]:
    """A witness's vkey and its line on a note (C2SP tlog-cosignature)."""
    key = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
    public = b"\x04" + key.public_key().public_bytes_raw()
    key_id = hashlib.sha256(name.encode() + b"\n" + public).digest()[:4]
    text = note.decode().split("\n\n")[0] + "\n"
    stamp = 1_795_420_900
    raw = key.sign(notes.cosigned_message(stamp, text))
    line = b64(key_id + stamp.to_bytes(8, "big") + raw)
    return f"{name}+{key_id.hex()}+{b64(public)}", f"— {name} {line}\n".encode()


class TestWitnesses:
    def test_signed_and_counted(self, tmp_path: Path, whole: Members) -> None:
        one, line = witness(7, "witness.one", whole["checkpoint"])
        two, _ = witness(8, "witness.two", whole["checkpoint"])
        signed = edit(whole, "checkpoint", lambda raw: raw + line)
        listed = edit(signed, "vkeys", lambda raw: raw + f"{one}\n".encode())
        assert found(check(tmp_path, listed)) == set()
        assert found(check(tmp_path, listed, witnesses=[one])) == set()
        assert found(check(tmp_path, listed, witnesses=[one, two])) == {("missing-signature", None)}
        assert found(check(tmp_path, listed, witnesses=[one, two], quorum=1)) == set()
        assert found(check(tmp_path, whole, witnesses=[one])) == {("missing-signature", None)}
        assert found(check(tmp_path, signed)) == {("unknown-signature", None)}
        unsigned = edit(listed, "checkpoint", lambda raw: raw[: -len(line)])
        assert found(check(tmp_path, unsigned)) == {("missing-signature", None)}
        wrong, bad = witness(7, "witness.one", whole["checkpoint"].replace(b"\n309", b"\n308"))
        assert wrong == one
        damaged = edit(listed, "checkpoint", lambda raw: raw.replace(line, bad))
        assert found(check(tmp_path, damaged)) == {("witness-signature", None)}


class TestHeld:
    def test_a_kept_checkpoint_of_this_log(self, tmp_path: Path, whole: Members) -> None:
        made = small_ledger()
        for size in (1, 100, 255, 256, 257, 304):
            assert found(check(tmp_path, whole, held=made.note(size))) == set(), size

    def test_a_truncated_and_signed_again_log_is_a_rollback(self, tmp_path: Path) -> None:
        made = small_ledger()
        held = made.note()
        shorter = small_ledger(200)
        assert ("rollback", None) in found(check(tmp_path, shorter.export(), held=held))

    def test_a_rewritten_and_signed_again_log_is_a_fork(self, tmp_path: Path) -> None:
        held = small_ledger().note(200)
        made = Ledger()
        for n in range(300):
            made.add(stream_id(n % 6), size=1)
        assert found(check(tmp_path, made.export(), held=held)) == {("fork", None)}

    def test_another_log_is_a_fork(self, tmp_path: Path, whole: Members) -> None:
        other = notes.LogSigner(bytes([1]) * 32, "releve/" + "0" * 32)
        held = other.sign(100, bytes(32)).encode()
        assert found(check(tmp_path, whole, held=held)) == {("fork", None)}

    def test_a_partial_export_says_when_it_cannot_tell(self, tmp_path: Path) -> None:
        made = Ledger()
        for _ in range(900):
            made.add(stream_id(1))
        made.add(stream_id(2))
        held = [made.note(300), made.note(890)]
        members = made.export([stream_id(2)])
        assert found(check(tmp_path, members, held=held[0])) == {("consistency", None)}
        assert found(check(tmp_path, members, held=held[1])) == set()
        forged = made.signer.sign(890, bytes(32)).encode()
        assert found(check(tmp_path, members, held=forged)) == {("fork", None)}

    def test_an_unusable_kept_checkpoint_is_wrong_use(self, tmp_path: Path, whole: Members) -> None:
        with pytest.raises(verify.Unusable):
            check(tmp_path, whole, held=b"nothing")

    def test_a_kept_checkpoint_signed_by_somebody_else(
        self, tmp_path: Path, whole: Members
    ) -> None:
        small = small_ledger()
        root = merkle.root(small.leaves()[:100])
        held = Ledger(seed=3).signer.sign(100, root).encode()
        assert found(check(tmp_path, whole, held=held)) == {("checkpoint-signature", None)}


class TestConsistency:
    @pytest.mark.parametrize("name", ["whole", "partial"])
    def test_a_wrong_proof(self, tmp_path: Path, name: str, whole: Members) -> None:
        made = small_ledger()
        made.export()
        made.add(stream_id(1))
        members = made.export(None if name == "whole" else [stream_id(1)])
        lines = members["consistency"].split(b"\n")
        for n in range(1, lines.index(b"")):
            changed = [*lines]
            changed[n] = b64(hashlib.sha256(lines[n]).digest()).encode()
            damaged = {**members, "consistency": b"\n".join(changed)}
            assert found(check(tmp_path, damaged)) == {("consistency", None)}
        for at in range(0, len(members["consistency"]), 3):
            result = found(check(tmp_path, touch(members, "consistency", at)))
            assert ("consistency", None) in result, at
            others = {("checkpoint-format", None), ("checkpoint-signature", None)}
            assert len(result & others) <= 1, at
            assert result <= {("consistency", None), *others}, at

    def test_absent_though_exported_before(self, tmp_path: Path, whole: Members) -> None:
        damaged = without(whole, "consistency")
        assert found(check(tmp_path, damaged)) == {("consistency", None)}

    def test_an_old_note_larger_than_the_checkpoint(self, tmp_path: Path, whole: Members) -> None:
        made = small_ledger(400)
        old = made.note()
        damaged = {**whole, "consistency": f"old {len(made.records)}\n\n".encode() + old}
        assert ("rollback", None) in found(check(tmp_path, damaged))

    def test_a_forked_history_does_not_prove(self, tmp_path: Path, whole: Members) -> None:
        made = Ledger()
        for _ in range(300):
            made.add(stream_id(1))
        other = made.note(306) if len(made.records) > 305 else made.note()
        proof = whole["consistency"].partition(b"\n\n")[0]
        size = other.split(b"\n")[1]
        damaged = {**whole, "consistency": b"old " + size + proof[7:] + b"\n\n" + other}
        assert found(check(tmp_path, damaged)) == {("consistency", None)}


class TestHeadsFile:
    def test_missing_and_damaged(self, tmp_path: Path, partial: Members) -> None:
        missing = found(check(tmp_path, without(partial, "heads.json")))
        assert missing == {("heads-missing", None)}
        for at in range(0, len(partial["heads.json"]), 11):
            damaged = touch(partial, "heads.json", at)
            kinds = {k for k, _ in found(check(tmp_path, damaged))}
            assert kinds & {
                "heads-mismatch", "heads-stale", "omitted-stream", "omitted-tail",
            }, at  # fmt: skip

    def test_a_stream_left_out(self, tmp_path: Path, partial: Members) -> None:
        damaged = edit_json(partial, "heads.json", lambda v: v["streams"].clear())
        result = check(tmp_path, damaged)
        assert found(result) == {("omitted-stream", None)}
        assert result["problems"][0]["stream"] == stream_id(2).hex

    def test_a_patient_left_out_of_the_manifest(self, tmp_path: Path) -> None:
        made = small_ledger(20)
        members = made.export([stream_id(2)], requested={"patient": stream_id(3).hex})
        assert ("omitted-stream", None) in found(check(tmp_path, members))

    def test_a_streams_last_record_left_out(self, tmp_path: Path, partial: Members) -> None:
        start, end = find_record(partial["entries.bin"], 299)
        assert partial["entries.bin"][start + 12 + 24 : start + 12 + 40] == stream_id(2).bytes
        damaged = edit(partial, "entries.bin", lambda raw: raw[:start] + raw[end:])
        result = check(tmp_path, damaged)
        assert ("omitted-tail", None) in found(result)
        assert [p["stream"] for p in result["problems"]] == [stream_id(2).hex]

    def test_a_streams_middle_record_left_out(self, tmp_path: Path, partial: Members) -> None:
        start, end = find_record(partial["entries.bin"], 27)
        damaged = edit(partial, "entries.bin", lambda raw: raw[:start] + raw[end:])
        assert found(check(tmp_path, damaged)) == {("version", 33)}

    def test_heads_of_an_earlier_day(self, tmp_path: Path) -> None:
        made = small_ledger(50)
        earlier = made.export([stream_id(2)])
        made.add(stream_id(3))
        members = made.export([stream_id(2)])
        stale = {**members, "heads.json": earlier["heads.json"]}
        assert ("heads-stale", None) in found(check(tmp_path, stale))

    def test_no_heads_event_below_the_checkpoint(self, tmp_path: Path) -> None:
        made = small_ledger(50)
        members = made.export([stream_id(2)], checkpoint_size=len(made.records) + 3)
        made.add(stream_id(2))
        later = made.export([stream_id(2)])
        size = len(made.records) - 2
        made.records = made.records[:size]
        hashes = merkle.hashes_in_memory(made.leaves())
        members["checkpoint"] = made.note()
        members = {n: r for n, r in members.items() if not n.startswith("tile/")}
        members |= {t.path: merkle.read_tile(t, hashes) for t in merkle.tiles_of(size)}
        kept = later["entries.bin"]
        members["entries.bin"] = kept[: find_record(kept, size)[0]]
        assert ("heads-missing", size - 1) in found(check(tmp_path, members))


class TestManifest:
    def test_every_changed_byte_is_found(self, tmp_path: Path, partial: Members) -> None:
        for at in range(0, len(partial["manifest.json"]), 3):
            damaged = touch(partial, "manifest.json", at)
            result = check(tmp_path, damaged)
            assert "manifest" in {k for k, _ in found(result)}, at

    def test_missing(self, tmp_path: Path, partial: Members) -> None:
        result = found(check(tmp_path, without(partial, "manifest.json")))
        assert ("manifest", None) in result

    def test_an_export_the_log_does_not_know(self, tmp_path: Path, partial: Members) -> None:
        def other(value: Any) -> None:
            value["requested"] = {"stream": stream_id(2).hex}

        assert found(check(tmp_path, edit_json(partial, "manifest.json", other))) == {
            ("manifest", len(small_ledger().records) + 2)
        }

    def test_a_record_the_manifest_does_not_list(self, tmp_path: Path) -> None:
        made = small_ledger(30)
        members = made.export([stream_id(2)])
        stranger = made.record(5)
        at, _ = find_record(members["entries.bin"], 9)
        damaged = edit(members, "entries.bin", lambda raw: raw[:at] + stranger + raw[at:])
        assert found(check(tmp_path, damaged)) == {("manifest", 5)}

    def test_an_access_entry_left_out(self, tmp_path: Path, partial: Members) -> None:
        position = json.loads(partial["manifest.json"])["extra"][0]
        start, end = find_record(partial["entries.bin"], position)
        damaged = edit(partial, "entries.bin", lambda raw: raw[:start] + raw[end:])
        assert found(check(tmp_path, damaged)) == {("manifest", position)}


class TestSideFiles:
    def test_disclosed_keys_are_checked_against_the_commitment(
        self, tmp_path: Path, partial: Members
    ) -> None:
        at, _ = find_record(partial["entries.bin"], 27)
        header = envelope.Header.unpack(partial["entries.bin"][at + 12 : at + 184])
        keys = b"".join(
            envelope.event_keys(DATA_KEY, header.event_id, header.stream, header.version)
        )
        good = {**partial, "event_keys": canonical({header.event_id.hex: b64(keys)})}
        result = check(tmp_path, good)
        assert result["verified"] is True
        assert len(result["unchecked"]) == 1
        for value in (b64(flipped(keys, 40)), b64(keys[:32]), "x", 7):
            bad = {**partial, "event_keys": canonical({header.event_id.hex: value})}
            assert found(check(tmp_path, bad)) == {("event-key", None)}
        bad = {**partial, "event_keys": canonical({"0" * 32: b64(keys)})}
        assert found(check(tmp_path, bad)) == {("event-key", None)}

    def test_time_stamps_name_the_checkpoint_and_are_left_to_others(
        self, tmp_path: Path, whole: Members
    ) -> None:
        text = whole["checkpoint"].decode().split("\n\n")[0] + "\n"
        token = b"0\x82" + hashlib.sha256(text.encode()).digest() + b"signature"
        result = check(tmp_path, {**whole, "tsr/309.tsr": token})
        assert result["verified"] is True
        assert result["unchecked"] == ["tsr/309.tsr: the authority's signature"]
        assert found(check(tmp_path, {**whole, "tsr/308.tsr": token})) == {("tsr", None)}
        assert found(check(tmp_path, {**whole, "tsr/309.tsr": b"other"})) == {("tsr", None)}


class TestZip:
    @pytest.mark.parametrize("name", ["checkpoint", "vkeys", "entries.bin"])
    def test_a_missing_member(self, tmp_path: Path, whole: Members, name: str) -> None:
        assert ("zip", None) in found(check(tmp_path, without(whole, name)))

    @pytest.mark.parametrize(
        "name", ["README", "tile/", "../entries.bin", "tsr/x.tsr", "tsr/007.tsr"]
    )
    def test_an_unknown_member(self, tmp_path: Path, whole: Members, name: str) -> None:
        assert found(check(tmp_path, {**whole, name: b""})) == {("zip", None)}

    def test_a_doubled_member(self, tmp_path: Path, whole: Members) -> None:
        path = write_zip(tmp_path / "export.zip", whole)
        with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("vkeys", whole["vkeys"])
        assert ("zip", None) in found(verify.verify_export(str(path), [VKEY]))

    def test_a_claim_to_unfold_into_far_more(self, tmp_path: Path, whole: Members) -> None:
        path = tmp_path / "export.zip"
        bomb = {**whole, "heads.json": bytes(200 << 20)}
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
        generator = random.Random(5)  # noqa: S311
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

    def test_text_and_exit_codes(self, tmp_path: Path, whole: Members) -> None:
        path = str(write_zip(tmp_path / "an export.zip", whole))
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

    def test_json_is_one_object_on_the_last_line(self, tmp_path: Path, whole: Members) -> None:
        start, _ = find_record(whole["entries.bin"], 60)
        damaged = touch(whole, "entries.bin", start + 200)
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


class TestEd25519:
    @pytest.mark.parametrize(
        ("public", "message", "signature"),
        [
            (
                "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
                "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bac"
                "c61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
            ),
            (
                "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
                "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290"
                "ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
            ),
        ],
    )  # fmt: skip
    def test_vectors_of_rfc_8032(self, public: str, message: str, signature: str) -> None:
        key, text, raw = (bytes.fromhex(v) for v in (public, message, signature))
        assert verify.ed25519_verify(key, text, raw)
        assert not verify.ed25519_verify(key, text + b"x", raw)
        assert not verify.ed25519_verify(key, text, flipped(raw, 3))
        assert not verify.ed25519_verify(key, text, raw[:-1])

    def test_agrees_with_another_implementation(self) -> None:
        generator = random.Random(3)  # noqa: S311
        for _ in range(10):
            key = Ed25519PrivateKey.from_private_bytes(generator.randbytes(32))
            message = generator.randbytes(40)
            public, signature = key.public_key().public_bytes_raw(), key.sign(message)
            assert verify.ed25519_verify(public, message, signature)
            at = generator.randrange(64)
            assert not verify.ed25519_verify(public, message, flipped(signature, at))

    def test_a_scalar_not_reduced_is_refused(self) -> None:
        key = Ed25519PrivateKey.from_private_bytes(bytes(32))
        signature = key.sign(b"m")
        order = 2**252 + 27742317777372353535851937790883648493
        larger = int.from_bytes(signature[32:], "little") + order
        forged = signature[:32] + larger.to_bytes(32, "little")
        assert not verify.ed25519_verify(key.public_key().public_bytes_raw(), b"m", forged)


def test_proofs_agree_with_the_ledgers_own_tree() -> None:
    leaves = [hashlib.sha256(bytes([n % 256, n // 256])).digest() for n in range(70)]
    for size in range(1, 70):
        hashes = merkle.hashes_in_memory(leaves[:size])
        root = merkle.root_at(size, hashes)
        for index in range(0, size, 3):
            proof = merkle.inclusion_proof(index, size, hashes)
            assert verify.inclusion_holds(leaves[index], index, size, proof, root)
            assert not verify.inclusion_holds(leaves[index], index + 1, size, proof, root)
            assert not verify.inclusion_holds(leaves[index], index, size, [*proof, root], root)
        for old in range(1, size + 1):
            old_root = merkle.root_at(old, hashes)
            proof = merkle.consistency_proof(old, size, hashes)
            assert verify.consistency_holds(old, old_root, size, root, proof)
            assert not verify.consistency_holds(old, bytes(32), size, root, proof)
            assert not verify.consistency_holds(old, old_root, size, bytes(32), proof)
        tree = verify.HeadsTree()
        last = {bytes([n]): (1, bytes(32), 0) for n in range(size)}
        heads = [verify.head_hash(s, 1, bytes(32)) for s in sorted(last)]
        assert tree.root(last, last) == (size, merkle.root(heads))
        last[bytes([size // 2])] = (2, bytes(32), 0)
        heads[size // 2] = verify.head_hash(bytes([size // 2]), 2, bytes(32))
        assert tree.root(last, [bytes([size // 2])]) == (size, merkle.root(heads))


def test_tile_paths_agree_with_the_ledgers_own_tree() -> None:
    for size in (1, 255, 256, 257, 70_000, 300_000):
        expected = {(t.level, t.index, t.width): t.path for t in merkle.tiles_of(size)}
        assert {t: verify.tile_path(*t) for t in verify.tiles_at(size)} == expected
    assert verify.tile_path(0, 1_234_067, 256) == "tile/0/x001/x234/067"


def test_a_record_is_as_long_as_the_format_says() -> None:
    assert len(record(0, bytes(172), b"")) == 188
