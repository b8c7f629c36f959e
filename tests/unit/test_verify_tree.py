"""verify.py on the tree over the records: tiles, proofs that it only grew, heads of streams."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from releve.security.ledger import merkle, verify
from support.export_bytes import Ledger, b64, find_record, small_ledger, stream_id
from support.export_damage import Members, check, edit, edit_json, found, touch, without


class TestTiles:
    @pytest.mark.parametrize(
        ("name", "slot", "position"),
        [("tile/0/000", 17, 17), ("tile/0/001.p/53", 8, 264), ("tile/1/000.p/1", 0, 0)],
    )
    def test_a_changed_hash_is_located(
        self, tmp_path: Path, log_export: Members, name: str, slot: int, position: int
    ) -> None:
        damaged = touch(log_export, name, 32 * slot + 5)
        assert found(check(tmp_path, damaged)) == {("tile-mismatch", position)}

    def test_record_and_tile_faults_are_told_apart(
        self, tmp_path: Path, log_export: Members
    ) -> None:
        damaged = touch(log_export, "tile/0/000", 32 * 17)
        start, _ = find_record(log_export["entries.bin"], 30)
        damaged = touch(damaged, "entries.bin", start + 12 + 60)
        assert found(check(tmp_path, damaged)) == {("tile-mismatch", 17), ("leaf-unknown", 30)}

    def test_both_faults_at_one_place(self, tmp_path: Path, log_export: Members) -> None:
        damaged = touch(log_export, "tile/0/000", 32 * 17)
        start, _ = find_record(log_export["entries.bin"], 17)
        damaged = touch(damaged, "entries.bin", start + 12 + 60)
        result = check(tmp_path, damaged)
        assert not result["verified"]
        assert ("leaf-unknown", 17) in found(result)

    def test_missing_extra_and_cut_tiles(self, tmp_path: Path, log_export: Members) -> None:
        assert found(check(tmp_path, without(log_export, "tile/0/000"))) == {("tile-missing", 0)}
        more = {**log_export, "tile/3/000": bytes(32)}
        assert found(check(tmp_path, more)) == {("tile-extra", None)}
        cut = edit(log_export, "tile/0/001.p/53", lambda raw: raw[:-1])
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


class TestConsistency:
    @pytest.mark.parametrize("name", ["whole", "partial"])
    def test_a_wrong_proof(self, tmp_path: Path, name: str) -> None:
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

    def test_absent_though_exported_before(self, tmp_path: Path, log_export: Members) -> None:
        damaged = without(log_export, "consistency")
        assert found(check(tmp_path, damaged)) == {("consistency", None)}

    def test_an_old_note_larger_than_the_checkpoint(
        self, tmp_path: Path, log_export: Members
    ) -> None:
        made = small_ledger(400)
        old = made.note()
        damaged = {**log_export, "consistency": f"old {len(made.records)}\n\n".encode() + old}
        assert ("rollback", None) in found(check(tmp_path, damaged))

    def test_a_forked_history_does_not_prove(self, tmp_path: Path, log_export: Members) -> None:
        made = Ledger()
        for _ in range(300):
            made.add(stream_id(1))
        other = made.note(306) if len(made.records) > 305 else made.note()
        proof = log_export["consistency"].partition(b"\n\n")[0]
        size = other.split(b"\n")[1]
        damaged = {**log_export, "consistency": b"old " + size + proof[7:] + b"\n\n" + other}
        assert found(check(tmp_path, damaged)) == {("consistency", None)}


class TestHeadsFile:
    def test_missing_and_damaged(self, tmp_path: Path, patient_export: Members) -> None:
        missing = found(check(tmp_path, without(patient_export, "heads.json")))
        assert missing == {("heads-missing", None)}
        for at in range(0, len(patient_export["heads.json"]), 11):
            damaged = touch(patient_export, "heads.json", at)
            kinds = {k for k, _ in found(check(tmp_path, damaged))}
            assert kinds & {
                "heads-mismatch", "heads-stale", "omitted-stream", "omitted-tail",
            }, at  # fmt: skip

    def test_a_stream_left_out(self, tmp_path: Path, patient_export: Members) -> None:
        damaged = edit_json(patient_export, "heads.json", lambda v: v["streams"].clear())
        result = check(tmp_path, damaged)
        assert found(result) == {("omitted-stream", None)}
        assert result["problems"][0]["stream"] == stream_id(2).hex

    def test_a_patient_left_out_of_the_manifest(self, tmp_path: Path) -> None:
        made = small_ledger(20)
        members = made.export([stream_id(2)], requested={"patient": stream_id(3).hex})
        assert ("omitted-stream", None) in found(check(tmp_path, members))

    def test_a_streams_last_record_left_out(self, tmp_path: Path, patient_export: Members) -> None:
        start, end = find_record(patient_export["entries.bin"], 299)
        assert (
            patient_export["entries.bin"][start + 12 + 24 : start + 12 + 40] == stream_id(2).bytes
        )
        damaged = edit(patient_export, "entries.bin", lambda raw: raw[:start] + raw[end:])
        result = check(tmp_path, damaged)
        assert ("omitted-tail", None) in found(result)
        assert [p["stream"] for p in result["problems"]] == [stream_id(2).hex]

    def test_a_streams_middle_record_left_out(
        self, tmp_path: Path, patient_export: Members
    ) -> None:
        start, end = find_record(patient_export["entries.bin"], 27)
        damaged = edit(patient_export, "entries.bin", lambda raw: raw[:start] + raw[end:])
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
