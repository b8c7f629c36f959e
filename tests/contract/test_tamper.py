"""Attacks by whoever owns the database: each is found, named and located; honest logs verify."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from releve.security.ledger import envelope, merkle, verify
from releve.security.ledger.export import NotInLog
from releve.security.ledger.notes import LogSigner, log_origin
from releve.security.ledger.verification import verify_database
from support.export_damage import Found, found
from support.ledger import Ledger, note
from support.postgres import Database
from support.tampering import AT, EACH, HEADS_AT, LAST, SIZE, STREAM, VERSION, Copy, flip

pytestmark = pytest.mark.postgres


class TestHonest:
    def test_database_and_exports_verify(self, copy: Copy) -> None:
        result = copy.verify(held=copy.held)
        assert result["problems"] == []
        assert result["verified"] is True
        assert result["unchecked"] == []
        assert (result["size"], result["checkpoint"]) == (SIZE, copy.held.decode())
        assert result["root"] == copy.held.decode().split("\n")[2]
        first = copy.export()
        assert copy.judge(first, held=copy.held)["problems"] == []
        second = copy.export(copy.streams[STREAM])
        assert copy.judge(second)["problems"] == []
        with zipfile.ZipFile(second) as archive:
            assert archive.read("verify.py") == Path(verify.__file__).read_bytes()
            assert archive.read("consistency").startswith(b"old %d\n" % (SIZE + 2))
        assert copy.verify(held=copy.held)["problems"] == []

    def test_no_key_from_outside_is_no_trust(self, copy: Copy) -> None:
        result = verify_database(copy.ledger.database.service_pool, [])
        assert found(result) == {("untrusted-key", None)}
        assert result["verified"] is False
        other = LogSigner(bytes(32), copy.signer.origin).vkey
        result = verify_database(copy.ledger.database.service_pool, [other])
        assert result["verified"] is False

    def test_an_empty_log_verifies(self, database: Database, tmp_path: Path) -> None:
        ledger = Ledger(database, tmp_path / "keys")
        signer = ledger.key_files.log_signer(log_origin(ledger.cell))
        result = verify_database(database.service_pool, [signer.vkey])
        assert (result["verified"], result["size"], result["checkpoint"]) == (True, 0, "")

    def test_a_stream_the_log_does_not_hold_is_refused(self, copy: Copy) -> None:
        with pytest.raises(NotInLog):
            copy.export(uuid4())
        assert copy.verify()["size"] == SIZE

    def test_events_that_wait_for_a_position_are_named_not_blamed(self, copy: Copy) -> None:
        copy.ledger.new_stream(3)
        result = copy.verify()
        assert result["verified"] is True
        assert result["unchecked"] == ["3 events wait for their position"]
        copy.ledger.number()
        result = copy.verify()
        assert result["verified"] is True
        assert result["unchecked"] == ["3 positions above the newest checkpoint"]

    def test_access_entries_that_name_a_patient_travel_as_extra(self, copy: Copy) -> None:
        stream, key = uuid4(), bytes(32)
        header, body = envelope.seal(
            key, event_class=6, event_id=uuid4(), stream=stream, version=1,
            recorded_at_us=int.from_bytes(copy.rows()[-1][0][48:56], "big"),
            session=UUID(int=0), key_generation=1, prev=bytes(32),
            content=("access.record-read", 1, {}, {}),
        )  # fmt: skip
        copy.sql(
            "INSERT INTO ledger.event (stream, version, topic, header, body, event_id) "
            "VALUES (%s, 1, 'access', %s, %s, %s)",
            stream, header, body, UUID(bytes=header[8:24]),
        )  # fmt: skip
        copy.ledger.number()
        done = copy.exported(
            requested={"patient": copy.streams[2].hex}, streams=[copy.streams[2]],
            extra=[SIZE, AT],
        )  # fmt: skip
        assert done.entries == EACH + 3
        assert copy.judge(done.path)["problems"] == []
        with zipfile.ZipFile(done.path) as archive:
            assert json.loads(archive.read("manifest.json"))["extra"] == [SIZE]

    def test_disclosed_event_keys_travel_along(self, copy: Copy) -> None:
        header = envelope.Header.unpack(copy.rows()[AT][0])
        data_key = copy.ledger.data_keys.get(header.stream)
        keys = envelope.event_keys(data_key, header.event_id, header.stream, header.version)
        done = copy.exported(
            requested={"patient": header.stream.hex}, streams=[header.stream],
            event_keys={header.event_id: keys},
        )  # fmt: skip
        assert copy.judge(done.path)["verified"] is True


def name(copy: Copy) -> tuple[UUID, int]:
    """The row that is attacked."""
    return copy.streams[STREAM], VERSION


def lengthen_body(copy: Copy) -> None:
    longer = "UPDATE ledger.event SET body = body || %s WHERE stream = %s AND version = %s"
    copy.sql(longer, bytes(256), *name(copy))


def remove_body(copy: Copy) -> None:
    copy.sql("UPDATE ledger.event SET body = NULL WHERE stream = %s AND version = %s", *name(copy))


def delete_event(copy: Copy) -> None:
    copy.sql("DELETE FROM ledger.event WHERE stream = %s AND version = %s", *name(copy))


def delete_event_and_leaf(copy: Copy) -> None:
    delete_event(copy)
    copy.sql("DELETE FROM ledger.leaf WHERE position = %s", AT)


def swap_leaves(copy: Copy) -> None:
    """Two events change places in the log."""
    copy.sql("UPDATE ledger.leaf SET version = version + 1000 WHERE position IN (%s, 400)", AT)
    copy.sql(
        "UPDATE ledger.leaf l SET stream = o.stream, version = o.version - 1000 "
        "FROM ledger.leaf o WHERE l.position + o.position = %s "
        "AND l.position IN (%s, 400) AND o.position IN (%s, 400) AND l.position <> o.position",
        AT + 400, AT, AT,
    )  # fmt: skip


def swap_patients(copy: Copy) -> None:
    """Two patients' events change places under their rows."""
    rows = copy.sql(
        "SELECT l.position, e.stream, e.version, e.header, e.body FROM ledger.leaf l "
        "JOIN ledger.event e USING (stream, version) WHERE l.position IN (%s, 400) ORDER BY 1",
        AT,
    )
    (_, s, v, h, b), (_, t, w, i, c) = rows
    change = "UPDATE ledger.event SET header = %s, body = %s WHERE stream = %s AND version = %s"
    copy.sql(change, i, c, s, v)
    copy.sql(change, h, b, t, w)


def tile_byte(copy: Copy) -> None:
    copy.sql(flip("tile", "hashes", 32 * (AT - 256) + 9, "level = 0 AND idx = 1"))


def repeat(copy: Copy) -> None:
    """An old event is appended once more, as another patient's newest."""
    copy.sql(
        "INSERT INTO ledger.event (stream, version, topic, header, body, event_id) "
        "SELECT %s, %s, topic, header, body, event_id FROM ledger.event "
        "WHERE stream = %s AND version = %s",
        copy.streams[0], EACH + 1, *name(copy),
    )  # fmt: skip
    copy.ledger.number()


@dataclass(frozen=True)
class Attack:
    """What somebody with the database does, and what each verifier must say of it."""

    do: Callable[[Copy], object] | str
    database: Found
    log: Found
    patient: Found


ATTACKS = {
    "a ciphertext bit": Attack(
        flip("event", "body", 40),
        {("body", AT)}, {("body", AT)}, {("body", AT)},
    ),
    "a body made longer": Attack(
        lengthen_body, {("body", AT)}, {("body", AT)}, {("body", AT)}
    ),
    "a body removed": Attack(
        remove_body,
        {("body-absent", AT)}, {("body-absent", AT)}, {("body-absent", AT)},
    ),
    "a bit of the version in a header": Attack(
        flip("event", "header", 47),
        {("leaf-unknown", AT)}, {("leaf-unknown", AT)}, {("leaf-unknown", AT)},
    ),
    "a bit of the time in a header": Attack(
        flip("event", "header", 50),
        {("leaf-unknown", AT)}, {("leaf-unknown", AT)}, {("leaf-unknown", AT)},
    ),
    "a forged session": Attack(
        flip("event", "header", 60),
        {("leaf-unknown", AT)}, {("leaf-unknown", AT)}, {("leaf-unknown", AT)},
    ),
    "a bit of the body's hash in a header": Attack(
        flip("event", "header", 150),
        {("leaf-unknown", AT), ("body", AT)},
        {("leaf-unknown", AT), ("body", AT)},
        {("leaf-unknown", AT), ("body", AT)},
    ),
    "an event deleted": Attack(
        delete_event, {("omitted-tail", AT)}, {("omitted-tail", AT)}, {("version", AT + 1)}
    ),
    "an event deleted with its leaf row": Attack(
        delete_event_and_leaf, {("omitted-tail", AT)}, {("omitted-tail", AT)},
        {("version", AT + 1)},
    ),
    "two events in each other's place": Attack(
        swap_leaves,
        {("leaf-unknown", AT), ("leaf-unknown", 400)},
        {("leaf-unknown", AT), ("leaf-unknown", 400)},
        {("leaf-unknown", 400), ("version", AT + 1)},
    ),
    "two patients' events exchanged": Attack(
        swap_patients,
        {("leaf-unknown", AT), ("leaf-unknown", 400)},
        {("leaf-unknown", AT), ("leaf-unknown", 400)},
        {("leaf-unknown", AT)},
    ),
    "a tile byte": Attack(
        tile_byte, {("tile-mismatch", AT)}, {("tile-mismatch", AT)}, {("tile-mismatch", AT)}
    ),
    "a leaf row's byte under a full tile": Attack(
        flip("leaf", "leaf", 3, "position = %s"),
        {("tile-mismatch", AT)}, set(), set(),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_named_and_located(copy: Copy, name: str) -> None:
    attack = ATTACKS[name]
    if isinstance(attack.do, str):
        copy.sql(attack.do, AT)
    else:
        attack.do(copy)
    result = copy.verify(held=copy.held)
    assert found(result) == attack.database
    assert verify.exit_code(result) == 5
    result = copy.judge(copy.export(), held=copy.held)
    assert found(result) == attack.log
    result = copy.judge(copy.export(copy.streams[STREAM]))
    assert found(result) == attack.patient


class TestDatabaseOnly:
    def test_a_repeated_event(self, copy: Copy) -> None:
        repeat(copy)
        kinds = {("duplicate", SIZE), ("entry-format", SIZE)}
        assert kinds <= found(copy.verify())
        assert ("duplicate", SIZE) in found(copy.judge(copy.export()))

    def test_an_event_filed_under_another_patient(self, copy: Copy) -> None:
        other = copy.streams[0]
        for table in ("event", "leaf"):
            change = ("UPDATE", f"ledger.{table}", "SET stream = %s, version = %s WHERE")
            where = "stream = %s AND version = %s"
            copy.sql(" ".join((*change, where)), other, EACH + 1, *name(copy))
        assert found(copy.verify()) == {("entry-format", AT)}

    def test_a_cut_tail(self, copy: Copy) -> None:
        kept = merkle.Frontier()
        kept.extend(envelope.leaf_hash(h) for h, _ in copy.rows()[:500])
        copy.sql(
            "DELETE FROM ledger.event e USING ledger.leaf l WHERE l.position >= 500 "
            "AND e.stream = l.stream AND e.version = l.version"
        )
        copy.sql("DELETE FROM ledger.leaf WHERE position >= 500")
        copy.sql("UPDATE ledger.head SET size = 500, frontier = %s", kept.to_bytes())
        result = found(copy.verify())
        assert ("omitted-tail", 500) in result
        copy.sql("DELETE FROM ledger.checkpoint")
        copy.sql("DELETE FROM ledger.tile WHERE level = 0 AND idx = 1")
        assert ("missing-signature", None) in found(copy.verify())
        assert ("rollback", None) in found(copy.verify(held=copy.held))

    def test_a_checkpoint_byte(self, copy: Copy) -> None:
        text = copy.held.decode()
        kinds: set[str] = set()
        for at in range(0, len(text), 5):
            changed = text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]
            copy.sql("UPDATE ledger.checkpoint SET note = %s", changed)
            result = copy.verify()
            assert verify.exit_code(result) == 5, at
            assert {p for _, p in found(result)} == {None}, at
            kinds |= {k for k, _ in found(result)}
        assert {"checkpoint-format", "checkpoint-signature", "root"} <= kinds

    def test_no_export_signs_on_top_of_a_damaged_checkpoint(self, copy: Copy) -> None:
        text = copy.held.decode()
        lines = text.split("\n")
        root = ("A" if lines[2][0] != "A" else "B") + lines[2][1:]
        for changed, kind in (
            (text.replace(lines[2], root), "checkpoint-signature"),
            (text[:-20] + ("A" if text[-20] != "A" else "B") + text[-19:], "checkpoint-signature"),
            (text.replace("\n\n", "\n"), "checkpoint-format"),
        ):
            copy.sql("UPDATE ledger.checkpoint SET note = %s", changed)
            assert kind in {k for k, _ in found(copy.verify())}
            for path in (copy.export(), copy.export(copy.streams[STREAM])):
                result = copy.judge(path)
                assert kind in {k for k, _ in found(result)}
                assert verify.exit_code(result) == 5

    def test_no_export_signs_a_history_that_was_rewritten(self, copy: Copy) -> None:
        rows = copy.rows()
        header, body = rows[LAST]
        rows[LAST] = (header[:50] + b"\1" + header[51:], body)
        copy.sign_again(rows)
        copy.sql("UPDATE ledger.checkpoint SET note = %s", copy.held.decode())
        assert ("root", None) in found(copy.verify())
        for path in (copy.export(), copy.export(copy.streams[STREAM])):
            result = copy.judge(path)
            assert ("manifest", None) in found(result)
            assert verify.exit_code(result) == 5

    def test_a_changed_head(self, copy: Copy) -> None:
        copy.sql(flip("head", "frontier", 5, "true"))
        assert found(copy.verify()) == {("root", None)}
        copy.sql(flip("head", "frontier", 5, "true"))
        copy.sql("UPDATE ledger.head SET size = size + 7")
        assert found(copy.verify()) == {("root", None)}

    def test_missing_and_added_tiles(self, copy: Copy) -> None:
        copy.sql("DELETE FROM ledger.tile WHERE level = 0 AND idx = 1")
        copy.sql("INSERT INTO ledger.tile VALUES (0, 9, %s)", bytes(8192))
        assert found(copy.verify()) == {("tile-missing", 256), ("tile-extra", None)}
        path = copy.export()
        assert found(copy.judge(path)) == {("tile-missing", 256)}

    @pytest.mark.parametrize("later", [-1, 3_600_000_000])
    def test_a_changed_known_time(self, copy: Copy, later: int) -> None:
        ((position,),) = copy.sql(
            "SELECT max(position) FROM ledger.known_time WHERE position < 560"
        )
        copy.sql(
            "UPDATE ledger.known_time SET known_us = known_us + %s WHERE position = %s",
            later, position,
        )  # fmt: skip
        result = copy.verify()
        assert found(result) == {("order", position)}
        assert result["verified"] is False

    def test_a_last_batch_without_its_known_time(self, copy: Copy) -> None:
        copy.sql("DELETE FROM ledger.known_time WHERE position = %s", HEADS_AT)
        assert found(copy.verify()) == {("order", HEADS_AT)}

    def test_an_event_slipped_in_below_the_cursor(self, copy: Copy) -> None:
        stream = uuid4()
        copy.ledger.put([note(stream, 1)])
        copy.sql("UPDATE ledger.event SET tx = '3'::xid8, id = 1 WHERE stream = %s", stream)
        copy.sql("UPDATE ledger.head SET floor_id = 1")
        copy.ledger.number()
        result = copy.verify()
        assert found(result) == {("leaf-unknown", None)}
        assert result["problems"][0]["stream"] == stream.hex

    @pytest.mark.parametrize("position", [0, 255, 256, 511, 512, 559, 560])
    def test_edges_of_tiles(self, copy: Copy, position: int) -> None:
        copy.sql(flip("event", "header", 100), position)
        assert found(copy.verify()) == {("leaf-unknown", position)}
        assert found(copy.judge(copy.export())) == {("leaf-unknown", position)}
