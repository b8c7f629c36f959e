"""Exports of a living log: others append and number meanwhile, and each export still verifies."""

from __future__ import annotations

import threading
import zipfile
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from releve.security.ledger import verify
from releve.security.ledger.export import export_audit
from releve.security.ledger.notes import log_origin
from releve.security.ledger.sequencer_loop import SequencerLoop
from releve.security.ledger.verification import verify_database
from support.commands import becomes
from support.ledger import Ledger, notes
from support.postgres import Database

pytestmark = pytest.mark.postgres


def test_exports_verify_while_others_append(database: Database, tmp_path: Path) -> None:
    ledger = Ledger(database, tmp_path / "keys")
    signer = ledger.key_files.log_signer(log_origin(ledger.cell))
    patient = ledger.new_stream(3)
    ledger.number()
    stopping = threading.Event()
    failures: list[BaseException] = []

    def append() -> None:
        try:
            while not stopping.is_set():
                stream = uuid4()
                for version in (1, 4):
                    ledger.put(notes(stream, version, 3))
        except BaseException as error:
            failures.append(error)

    loop = SequencerLoop(ledger.sequencer)
    writers = [threading.Thread(target=append) for _ in range(2)]
    loop.start()
    for writer in writers:
        writer.start()
    held: bytes | None = None
    sizes = []
    try:
        for n in range(6):
            done = export_audit(
                database.worker_pool,
                ledger.sequencer,
                ledger.checkpointer,
                signer,
                requested={} if n % 2 else {"patient": patient.hex},
                streams=None if n % 2 else [patient],
                out=tmp_path / f"{n}.zip",
            )
            result = verify.verify_export(done.path, [signer.vkey], held=held)
            assert result["problems"] == [], n
            assert result["size"] == done.size
            with zipfile.ZipFile(done.path) as archive:
                held = archive.read("checkpoint")
            sizes.append(done.size)
            assert becomes(lambda: ledger.reader.head().size > sizes[-1]), "nobody appends"
    finally:
        stopping.set()
        for writer in writers:
            writer.join()
        loop.stop()
    assert failures == []
    assert sizes == sorted(set(sizes))
    assert sizes[-1] > sizes[0] + 2 * 5, "nothing but the exports' own entries came meanwhile"
    ledger.number()
    ledger.checkpointer.run_once()
    result = verify_database(database.service_pool, [signer.vkey], held=held)
    assert result["problems"] == []
    assert result["unchecked"] == []


def test_an_export_is_whole_or_not_there(database: Database, tmp_path: Path) -> None:
    ledger = Ledger(database, tmp_path / "keys")
    signer = ledger.key_files.log_signer(log_origin(ledger.cell))
    patient = ledger.new_stream(3)
    out = tmp_path / "exports" / "record.zip"
    out.parent.mkdir()
    out.write_bytes(b"an older one")
    with database.owner_pool.connection() as connection:
        connection.execute("REVOKE SELECT ON ledger.tile, ledger.event FROM releve_service")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        export_audit(
            database.service_pool,
            ledger.sequencer,
            ledger.checkpointer,
            signer,
            requested={"patient": patient.hex},
            streams=[patient],
            out=out,
        )
    assert [path.name for path in out.parent.iterdir()] == ["record.zip"]
    assert out.read_bytes() == b"an older one"


def test_on_each_build(each_database: Database, tmp_path: Path) -> None:
    ledger = Ledger(each_database, tmp_path / "keys")
    signer = ledger.key_files.log_signer(log_origin(ledger.cell))
    streams = [ledger.new_stream(140) for _ in range(2)]
    out = tmp_path / "export.zip"

    def judged() -> list[set[tuple[str, int | None]]]:
        results = [verify_database(each_database.service_pool, [signer.vkey])]
        for chosen in (None, [streams[1]]):
            export_audit(
                each_database.service_pool,
                ledger.sequencer,
                ledger.checkpointer,
                signer,
                requested={} if chosen is None else {"stream": streams[1].hex},
                streams=chosen,
                out=out,
            )
            results.append(verify.verify_export(out, [signer.vkey]))
        return [{(p["kind"], p["position"]) for p in result["problems"]} for result in results]

    ledger.number()
    ledger.checkpointer.run_once()
    assert judged() == [set(), set(), set()]
    with psycopg.connect(each_database.superuser_url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute(
            "UPDATE ledger.event e SET header = set_byte(header, 50, get_byte(header, 50) # 1) "
            "FROM ledger.leaf l WHERE l.position = 200 AND e.stream = l.stream "
            "AND e.version = l.version"
        )
        connection.execute(
            "UPDATE ledger.tile SET hashes = set_byte(hashes, 8000, get_byte(hashes, 8000) # 1) "
            "WHERE level = 0 AND idx = 0"
        )
    assert judged() == [{("leaf-unknown", 200), ("tile-mismatch", 250)}] * 3
