"""Wrapped keys, key files and sealed rows as bytes: what packs comes back, the rest is refused."""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import struct
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

from releve.security.errors import KeyRefused, Malformed, SecurityError, Tampered
from releve.security.keys import sealed_rows
from releve.security.keys.derivation import hkdf, hkdf_expand, length_prefixed
from releve.security.keys.records import (
    Algorithm,
    Kdf,
    KeyFileRecord,
    Purpose,
    WrappedKey,
)

STREAM = UUID("11111111-1111-8111-8111-111111111111")
KEK = UUID("33333333-3333-8333-8333-333333333333")
WRAPPED = WrappedKey(
    algorithm=Algorithm.LOCAL_GCM,
    kek=KEK,
    kek_version=2,
    generation=3,
    stream=STREAM,
    created=1_795_419_000_000_000,
    blob=bytes(range(60)),
)
FILE = KeyFileRecord(
    purpose=Purpose.CENTRE,
    key_id=KEK,
    version=1,
    kdf=Kdf.ARGON2ID,
    memory_kib=65_536,
    passes=3,
    lanes=4,
    salt=bytes(range(16)),
    nonce=bytes(range(12)),
    ciphertext=bytes(range(48)),
)


class TestDerivation:
    @pytest.mark.parametrize("length", [1, 31, 32, 33, 64, 200, 8_160])
    def test_hkdf_agrees_with_another_implementation(self, length: int) -> None:
        key, salt, info = bytes(range(32)), b"salt", b"info"
        assert hkdf_expand(key, info, length) == HKDFExpand(
            algorithm=SHA256(), length=length, info=info
        ).derive(key)
        assert hkdf(key, salt, info, length) == HKDF(
            algorithm=SHA256(), length=length, salt=salt, info=info
        ).derive(key)

    @pytest.mark.parametrize("key_length", [0, 1, 63, 64, 65, 200])
    def test_keys_of_any_length_agree_too(self, key_length: int) -> None:
        key, info = bytes(range(key_length)), b"info"
        expected = HKDFExpand(algorithm=SHA256(), length=64, info=info).derive(key)
        assert hkdf_expand(key, info, 64) == expected

    def test_rfc_5869_first_case(self) -> None:
        made = hkdf(b"\x0b" * 22, bytes(range(13)), bytes(range(0xF0, 0xFA)), 42)
        assert made.hex() == (
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
        )

    @pytest.mark.parametrize("length", [0, 8_161])
    def test_lengths_that_hkdf_does_not_have_are_refused(self, length: int) -> None:
        with pytest.raises(ValueError, match="8160"):
            hkdf_expand(bytes(32), b"", length)

    def test_length_prefixes_keep_lists_apart(self) -> None:
        assert length_prefixed(b"ab", b"") == b"\x00\x00\x00\x02ab\x00\x00\x00\x00"
        assert length_prefixed(b"a", b"b") != length_prefixed(b"ab", b"")


class TestWrappedKey:
    def test_the_bytes_stand_where_the_format_puts_them(self) -> None:
        raw = WRAPPED.pack()
        assert raw[:5] == b"RLD1\x01"
        assert raw[5:21] == KEK.bytes
        assert struct.unpack(">II", raw[21:29]) == (2, 3)
        assert raw[29:45] == STREAM.bytes
        assert struct.unpack(">QH", raw[45:55]) == (1_795_419_000_000_000, 60)
        assert raw[55:] == WRAPPED.blob
        assert WRAPPED.prefix() == raw[:53]
        assert WrappedKey.parse(raw) == WRAPPED

    def test_a_transit_blob_is_the_services_own_string(self) -> None:
        record = dataclasses.replace(
            WRAPPED, algorithm=Algorithm.TRANSIT, blob=b"vault:v1:c29tZXRoaW5n"
        )
        assert WrappedKey.parse(record.pack()) == record
        for blob in (b"", "clé".encode()):
            with pytest.raises(Malformed):
                dataclasses.replace(record, blob=blob).pack()

    @pytest.mark.parametrize(
        "raw",
        [
            b"",
            WRAPPED.pack()[:-1],
            WRAPPED.pack() + b"\x00",
            b"RLD2" + WRAPPED.pack()[4:],
            WRAPPED.pack()[:4] + b"\x00" + WRAPPED.pack()[5:],
            WRAPPED.pack()[:4] + b"\x04" + WRAPPED.pack()[5:],
            WRAPPED.pack()[:53] + b"\x00\x3b" + WRAPPED.blob[:59],
        ],
    )
    def test_other_bytes_are_refused(self, raw: bytes) -> None:
        with pytest.raises(Malformed):
            WrappedKey.parse(raw)

    @pytest.mark.parametrize(
        "changes",
        [{"blob": bytes(59)}, {"generation": 1 << 32}, {"kek_version": -1}, {"created": 1 << 64}],
    )
    def test_what_does_not_fit_is_refused(self, changes: dict[str, Any]) -> None:
        with pytest.raises(Malformed):
            dataclasses.replace(WRAPPED, **changes).pack()


class TestKeyFileRecord:
    def test_the_bytes_stand_where_the_format_puts_them(self) -> None:
        raw = FILE.pack()
        assert len(raw) == 108
        assert raw[:5] == b"RLK1\x01"
        assert raw[5:21] == KEK.bytes
        assert struct.unpack(">IBIBB", raw[21:32]) == (1, 1, 65_536, 3, 4)
        assert raw[32:48] == FILE.salt
        assert raw[48:60] == FILE.nonce
        assert raw[60:] == FILE.ciphertext
        assert FILE.prefix() == raw[:48]
        assert KeyFileRecord.parse(raw) == FILE

    @pytest.mark.parametrize(
        "raw",
        [
            FILE.pack()[:-1],
            FILE.pack() + b"\x00",
            b"RLK2" + FILE.pack()[4:],
            FILE.pack()[:4] + b"\x00" + FILE.pack()[5:],
            FILE.pack()[:4] + b"\x06" + FILE.pack()[5:],
            dataclasses.replace(FILE, version=0).pack(),
            FILE.pack()[:25] + b"\x02" + FILE.pack()[26:],
        ],
    )
    def test_other_bytes_are_refused(self, raw: bytes) -> None:
        with pytest.raises(Malformed):
            KeyFileRecord.parse(raw)

    def test_derivation_parameters_off_the_list_are_refused_before_any_derivation(self) -> None:
        raw = FILE.pack()
        for bit in range(26 * 8, 32 * 8):
            changed = bytearray(raw)
            changed[bit // 8] ^= 0x80 >> bit % 8
            with pytest.raises(KeyRefused):
                KeyFileRecord.parse(bytes(changed))
        bare: dict[str, Any] = {"kdf": Kdf.NONE, "memory_kib": 0, "passes": 0, "lanes": 0}
        KeyFileRecord.parse(dataclasses.replace(FILE, **bare).pack())
        for name in ("memory_kib", "passes", "lanes"):
            with pytest.raises(KeyRefused):
                KeyFileRecord.parse(dataclasses.replace(FILE, **(bare | {name: 1})).pack())

    @pytest.mark.parametrize(
        "changes",
        [{"salt": bytes(15)}, {"nonce": b""}, {"ciphertext": bytes(47)}, {"lanes": 256}],
    )
    def test_what_does_not_fit_is_refused(self, changes: dict[str, Any]) -> None:
        with pytest.raises(Malformed):
            dataclasses.replace(FILE, **changes).pack()


class TestSealedRows:
    KEY = bytes(range(32))

    def test_a_row_opens_only_where_it_was_sealed(self) -> None:
        row = sealed_rows.seal_row(self.KEY, "briefing", STREAM, 7, b"clear")
        assert len(row) == 5 + sealed_rows.ROW_OVERHEAD
        assert sealed_rows.open_row(self.KEY, "briefing", STREAM, 7, row) == b"clear"
        elsewhere: list[tuple[bytes, str, UUID, int]] = [
            (bytes(32), "briefing", STREAM, 7),
            (self.KEY, "summary", STREAM, 7),
            (self.KEY, "briefing", KEK, 7),
            (self.KEY, "briefing", STREAM, 8),
        ]
        for key, kind, patient, position in elsewhere:
            with pytest.raises(Tampered):
                sealed_rows.open_row(key, kind, patient, position, row)

    def test_every_bit_of_a_row_counts(self) -> None:
        row = sealed_rows.seal_row(self.KEY, "k", STREAM, 0, b"clear")
        for bit in range(len(row) * 8):
            changed = bytearray(row)
            changed[bit // 8] ^= 1 << bit % 8
            with pytest.raises(Tampered):
                sealed_rows.open_row(self.KEY, "k", STREAM, 0, bytes(changed))
        for length in (0, 27, len(row) - 1):
            with pytest.raises(Tampered):
                sealed_rows.open_row(self.KEY, "k", STREAM, 0, row[:length])

    def test_the_bytes_are_those_of_the_format(self) -> None:
        row = sealed_rows.seal_row(self.KEY, "résumé", STREAM, 7, b"clear")
        info = b"releve/row/v1" + "résumé".encode()
        key = HKDFExpand(algorithm=SHA256(), length=32, info=info).derive(self.KEY)
        bound = b"\x00\x00\x00\x08" + "résumé".encode() + STREAM.bytes + bytes(7) + b"\x07"
        assert AESGCM(key).decrypt(row[:12], row[12:], bound) == b"clear"

    def test_an_attachment_is_its_events_own(self) -> None:
        sealed = sealed_rows.seal_attachment(self.KEY, KEK, STREAM, b"%PDF-1.7")
        assert sealed_rows.open_attachment(self.KEY, KEK, STREAM, sealed) == b"%PDF-1.7"
        with pytest.raises(Tampered):
            sealed_rows.open_attachment(self.KEY, STREAM, STREAM, sealed)
        kind = f"attachment:{KEK.hex}"
        assert sealed_rows.open_row(self.KEY, kind, STREAM, 0, sealed) == b"%PDF-1.7"

    @pytest.mark.parametrize("position", [-1, 1 << 64])
    def test_a_position_outside_the_log_is_refused(self, position: int) -> None:
        with pytest.raises(SecurityError):
            sealed_rows.seal_row(self.KEY, "k", STREAM, position, b"")

    def test_an_editions_mac_is_the_patients_own(self) -> None:
        key = HKDFExpand(algorithm=SHA256(), length=32, info=b"releve/edition/v1").derive(self.KEY)
        expected = hmac.new(key, b"card", hashlib.sha256).digest()
        assert sealed_rows.edition_mac(self.KEY, b"card") == expected
        assert sealed_rows.edition_mac(bytes(32), b"card") != expected
