"""Bytes made by the first release, under test keys: they must open for ever.

A file in ``bytes/`` is never changed. A change of this test that makes an old file pass again is a
broken promise: what people keep would no longer open. ``bytes/vectors.json`` says what each file
holds, and is enough for somebody else's implementation of ``docs/formats.md``.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from releve.security.keys import sealed_rows
from releve.security.keys.keyfile import BlindIndex, KeyFiles, file_name, open_key_file
from releve.security.keys.records import KeyFileRecord, WrappedKey
from releve.security.ledger import envelope, notes
from releve.security.ledger.envelope import Header

HERE = Path(__file__).parent / "bytes"
VECTORS: dict[str, Any] = json.loads((HERE / "vectors.json").read_text("utf-8"))

FROZEN = "baaef05fcabf0b5a10d0e0f643011f44ddbd0e014c27f5e0a71436312b6b5356"
"""SHA-256 over the names and contents of all files, in order of name."""


def test_no_stored_file_was_changed() -> None:
    digest = hashlib.sha256()
    for path in sorted(HERE.iterdir()):
        digest.update(path.name.encode() + b"\n" + hashlib.sha256(path.read_bytes()).digest())
    assert digest.hexdigest() == FROZEN


@pytest.mark.parametrize("vector", VECTORS["events"], ids=lambda vector: str(vector["file"]))
def test_a_sealed_event_opens(vector: dict[str, Any]) -> None:
    raw = (HERE / vector["file"]).read_bytes()
    header, body = raw[:172], raw[172:]
    key = bytes.fromhex(vector["data_key"])
    assert Header.unpack(header) == Header(
        flags=0,
        event_class=vector["event_class"],
        event_id=UUID(vector["event_id"]),
        stream=UUID(vector["stream"]),
        version=vector["version"],
        recorded_at=vector["recorded_at"],
        session=UUID(vector["session"]),
        key_generation=vector["key_generation"],
        prev=bytes.fromhex(vector["prev"]),
        commitment=bytes.fromhex(vector["commitment"]),
        body_sha256=hashlib.sha256(body).digest(),
    )
    assert list(envelope.open_sealed(key, header, body)) == vector["content"]
    assert envelope.leaf_hash(header).hex() == vector["leaf"]
    assert envelope.encode_content(tuple(vector["content"])).hex() == vector["plaintext"]
    keys = envelope.event_keys(
        key, UUID(vector["event_id"]), UUID(vector["stream"]), vector["version"]
    )
    assert [part.hex() for part in keys] == [vector["encryption_key"], vector["commitment"]]


@pytest.mark.parametrize("vector", VECTORS["events"], ids=lambda vector: str(vector["file"]))
def test_a_sealed_event_opens_by_the_text_of_the_format_alone(vector: dict[str, Any]) -> None:
    raw = (HERE / vector["file"]).read_bytes()
    header, body = raw[:172], raw[172:]
    info = b"releve/event/v1" + header[8:24] + header[24:40] + header[40:48]
    derived = HKDFExpand(algorithm=SHA256(), length=64, info=info).derive(
        bytes.fromhex(vector["data_key"])
    )
    assert header[108:140] == derived[32:]
    padded = AESGCM(derived[:32]).decrypt(body[:12], body[12:], header[:140] + bytes(32))
    message = bytes.fromhex(vector["plaintext"])
    assert padded == message + b"\x80" + bytes(-(len(message) + 1) % 256)
    assert hashlib.sha256(b"\x00" + header).hexdigest() == vector["leaf"]


@pytest.mark.parametrize("vector", VECTORS["clear_events"], ids=lambda vector: str(vector["file"]))
def test_one_of_the_ledgers_own_events_opens(vector: dict[str, Any]) -> None:
    raw = (HERE / vector["file"]).read_bytes()
    header, body = raw[:172], raw[172:]
    assert Header.unpack(header).event_class == vector["event_class"]
    assert envelope.open_clear(header, body).hex() == vector["body"]
    assert envelope.leaf_hash(header).hex() == vector["leaf"]


def test_identifiers_are_derived_as_ever() -> None:
    vector = VECTORS["identifiers"]
    stream, actor, key = (
        UUID(vector["stream"]),
        bytes.fromhex(vector["actor"]),
        bytes.fromhex(vector["key"]),
    )
    made = [envelope.derive_event_id(stream, actor, key, ordinal).hex for ordinal in range(3)]
    assert made == vector["event_ids"]
    assert envelope.derive_stream(actor, key).hex == vector["new_stream"]
    assert envelope.heads_stream(UUID(vector["cell"])).hex == vector["heads_stream"]


@pytest.mark.parametrize("vector", VECTORS["key_files"], ids=lambda vector: str(vector["file"]))
def test_a_key_file_opens(vector: dict[str, Any]) -> None:
    record = KeyFileRecord.parse((HERE / vector["file"]).read_bytes())
    assert (record.purpose, record.key_id.hex, record.version) == (
        vector["purpose"],
        vector["key_id"],
        vector["version"],
    )
    passphrase = vector["passphrase"]
    key = open_key_file(record, passphrase.encode() if passphrase else None)
    assert key.hex() == vector["key"]


@pytest.mark.parametrize("vector", VECTORS["wrapped_keys"], ids=lambda vector: str(vector["file"]))
def test_a_wrapped_data_key_opens(vector: dict[str, Any], tmp_path: Path) -> None:
    record = WrappedKey.parse((HERE / vector["file"]).read_bytes())
    assert (record.kek.hex, record.kek_version, record.generation, record.stream.hex) == (
        vector["kek"],
        vector["kek_version"],
        vector["generation"],
        vector["stream"],
    )
    assert record.created == vector["created"]
    files = key_directory(tmp_path, vector["kek_file"])
    assert files.unwrap_many([record.pack()])[0].hex() == vector["data_key"]


def test_rows_and_attachments_open() -> None:
    for vector in VECTORS["rows"]:
        opened = sealed_rows.open_row(
            bytes.fromhex(vector["data_key"]),
            vector["kind"],
            UUID(vector["patient"]),
            vector["position"],
            (HERE / vector["file"]).read_bytes(),
        )
        assert opened.hex() == vector["plaintext"]
    for vector in VECTORS["attachments"]:
        opened = sealed_rows.open_attachment(
            bytes.fromhex(vector["data_key"]),
            UUID(vector["event_id"]),
            UUID(vector["patient"]),
            (HERE / vector["file"]).read_bytes(),
        )
        assert opened.hex() == vector["plaintext"]
    for vector in VECTORS["edition_macs"]:
        key, card = bytes.fromhex(vector["data_key"]), bytes.fromhex(vector["card"])
        assert sealed_rows.edition_mac(key, card).hex() == vector["mac"]


def test_the_blind_index_gives_the_same_macs() -> None:
    vector = VECTORS["blind_index"]
    index = BlindIndex(bytes.fromhex(vector["key"]))
    exact, request, entry = vector["mac"], vector["request"], vector["import"]
    assert index.mac(exact["kind"], exact["value"]).hex() == exact["mac"]
    made = index.request_key(bytes.fromhex(request["actor"]), bytes.fromhex(request["client_key"]))
    assert made.hex() == request["key"]
    made = index.import_key(bytes.fromhex(entry["file_sha256"]), bytes.fromhex(entry["entry"]))
    assert made.hex() == entry["key"]


def test_a_cosigned_checkpoint_verifies_and_is_signed_again_the_same(tmp_path: Path) -> None:
    vector = VECTORS["checkpoint"]
    note = (HERE / vector["file"]).read_text("utf-8")
    checkpoint = notes.verify_note(note, vector["vkeys"])
    assert checkpoint == notes.Checkpoint(
        vector["origin"], vector["size"], bytes.fromhex(vector["root"])
    )
    assert notes.log_origin(UUID(vector["cell"])) == checkpoint.origin
    assert notes.cosignature_time(notes.parse_note(note).signatures[1]) == vector["witness_time"]
    signer = key_directory(tmp_path, vector["key_file"]).log_signer(vector["origin"])
    assert signer.vkey == vector["vkeys"][0]
    assert note.startswith(signer.sign(checkpoint.size, checkpoint.root))


def key_directory(tmp_path: Path, name: str) -> KeyFiles:
    """A directory that holds one stored key file under its own name."""
    raw = (HERE / name).read_bytes()
    record = KeyFileRecord.parse(raw)
    directory = tmp_path / "keys"
    directory.mkdir(mode=0o700)
    path = directory / file_name((record.purpose, record.key_id, record.version))
    path.write_bytes(raw)
    path.chmod(0o600)
    return KeyFiles(directory)
