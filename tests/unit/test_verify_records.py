"""verify.py on an export's records: honest ones pass, changed and forged ones are located."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from releve.security.ledger import envelope, merkle, notes, verify
from support.export_bytes import CELL, Ledger, find_record, small_ledger, stream_id, zipped
from support.export_damage import VKEY, Found, Members, check, edit, flipped, found, touch


class TestHonest:
    def test_an_export_of_the_log_verifies(self, tmp_path: Path, log_export: Members) -> None:
        result = check(tmp_path, log_export)
        assert result["problems"] == []
        assert result["verified"] is True
        assert result["unchecked"] == []
        note = notes.parse_note(log_export["checkpoint"].decode())
        assert result["size"] == 309
        assert result["root"] == note.text.split("\n")[2]
        assert result["checkpoint"] == log_export["checkpoint"].decode()
        assert verify.exit_code(result) == 0

    def test_an_export_of_one_patient_verifies(
        self, tmp_path: Path, patient_export: Members
    ) -> None:
        assert check(tmp_path, patient_export)["problems"] == []

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
        self, tmp_path: Path, log_export: Members
    ) -> None:
        path = tmp_path / "export.zip"
        path.write_bytes(zipped(dict(reversed(log_export.items())), zipfile.ZIP_DEFLATED))
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
        self, tmp_path: Path, log_export: Members, position: int
    ) -> None:
        start, _ = find_record(log_export["entries.bin"], position)
        for offset in range(0, 172, 9):
            damaged = touch(log_export, "entries.bin", start + 12 + offset, 1 << offset % 8)
            result = found(check(tmp_path, damaged))
            assert ("leaf-unknown", position) in result, offset
            # a session's own id is what later events name: they cannot be judged without it
            assert {p for k, p in result if k != "session"} == {position}, (offset, result)

    @pytest.mark.parametrize("position", [5, 100, 255, 256, 300, 308])
    def test_a_changed_body_is_located(
        self, tmp_path: Path, log_export: Members, position: int
    ) -> None:
        start, end = find_record(log_export["entries.bin"], position)
        for at in (start + 188, end - 1):
            damaged = touch(log_export, "entries.bin", at)
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

    def test_changed_framing_is_located(self, tmp_path: Path, log_export: Members) -> None:
        start, _ = find_record(log_export["entries.bin"], 120)
        for offset in [*range(12), *range(184, 188)]:
            damaged = touch(log_export, "entries.bin", start + offset)
            result = check(tmp_path, damaged)
            assert not result["verified"]
            places = {p for _, p in found(result)}
            assert places & {120, 121}, (offset, found(result))
            assert len(places) <= 3, (offset, found(result))

    def test_a_deleted_record_is_located(self, tmp_path: Path, log_export: Members) -> None:
        start, end = find_record(log_export["entries.bin"], 120)
        damaged = edit(log_export, "entries.bin", lambda raw: raw[:start] + raw[end:])
        assert found(check(tmp_path, damaged)) == {("omitted-tail", 120)}

    def test_a_cut_tail_is_located(self, tmp_path: Path, log_export: Members) -> None:
        start, _ = find_record(log_export["entries.bin"], 280)
        damaged = edit(log_export, "entries.bin", lambda raw: raw[:start])
        assert ("omitted-tail", 280) in found(check(tmp_path, damaged))
        damaged = edit(log_export, "entries.bin", lambda raw: raw[: start + 50])
        assert {("omitted-tail", 280), ("entry-format", 280)} <= found(check(tmp_path, damaged))

    def test_swapped_records_are_located(self, tmp_path: Path, log_export: Members) -> None:
        raw = log_export["entries.bin"]
        (a, b), (c, d) = find_record(raw, 60), find_record(raw, 63)
        first, second, between = raw[a:b], raw[c:d], raw[b:c]
        moved = raw[:a] + second + between + first + raw[d:]
        result = found(check(tmp_path, {**log_export, "entries.bin": moved}))
        assert ("order", 60) in result
        exchanged = raw[:a] + first[:8] + second[8:] + between + second[:8] + first[8:] + raw[d:]
        result = found(check(tmp_path, {**log_export, "entries.bin": exchanged}))
        assert result == {("leaf-unknown", 60), ("leaf-unknown", 63)}

    def test_a_doubled_record_is_located(self, tmp_path: Path, log_export: Members) -> None:
        raw = log_export["entries.bin"]
        start, end = find_record(raw, 60)
        doubled = raw[:end] + raw[start:end] + raw[end:]
        assert found(check(tmp_path, {**log_export, "entries.bin": doubled})) == {("duplicate", 60)}

    def test_bytes_after_the_last_record_are_found(
        self, tmp_path: Path, log_export: Members
    ) -> None:
        damaged = edit(log_export, "entries.bin", lambda raw: raw + b"x")
        assert found(check(tmp_path, damaged)) == {("entry-format", 309)}

    def test_a_patients_changed_record_is_located(
        self, tmp_path: Path, patient_export: Members
    ) -> None:
        start, _ = find_record(patient_export["entries.bin"], 27)
        damaged = touch(patient_export, "entries.bin", start + 12 + 30)
        assert found(check(tmp_path, damaged)) == {("leaf-unknown", 27)}
        damaged = touch(patient_export, "entries.bin", start + 188)
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
