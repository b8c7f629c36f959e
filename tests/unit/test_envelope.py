"""A sealed event: what it says comes back, and nothing that is not exactly it is accepted."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from typing import Any
from uuid import UUID

import msgspec
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from releve.security.errors import Malformed, Tampered
from releve.security.ledger import envelope
from releve.security.ledger.envelope import Content, Header

KEY = bytes(range(32))
STREAM = UUID("11111111-1111-8111-8111-111111111111")
EVENT = UUID("22222222-2222-8222-8222-222222222222")
SYSTEM = UUID(int=0)
CONTENT: Content = (
    "patient.note-signed",
    2,
    {"occurred_at": "2026-11-23T08:30:00+01:00", "author": {"role": "doctor", "name": "Dr Essai"}},
    {"text": "Vu ce jour.", "items": ["a", 1, -1, 2**63, True, None, b"\x00\xff", {"é": []}]},
)


def sealed(content: Content = CONTENT, **changes: Any) -> tuple[bytes, bytes]:
    arguments: dict[str, Any] = {
        "event_class": 1,
        "event_id": EVENT,
        "stream": STREAM,
        "version": 1,
        "recorded_at_us": 1_795_419_000_000_000,
        "session": SYSTEM,
        "key_generation": 1,
        "prev": envelope.GENESIS,
    }
    return envelope.seal(KEY, content=content, **(arguments | changes))


def with_plaintext(plaintext: bytes) -> tuple[bytes, bytes]:
    """An event whose tags all hold, over a plaintext that sealing would not give."""
    header, _ = sealed()
    encryption_key, _ = envelope.event_keys(KEY, EVENT, STREAM, 1)
    body = bytes(12) + AESGCM(encryption_key).encrypt(
        bytes(12), plaintext, header[:140] + bytes(32)
    )
    return header[:140] + hashlib.sha256(body).digest(), body


def padded(message: bytes) -> bytes:
    return message + b"\x80" + bytes(-(len(message) + 1) % 256)


class TestSealing:
    def test_what_was_said_comes_back(self) -> None:
        header, body = sealed()
        topic, schema, context, payload = envelope.open_sealed(KEY, header, body)
        assert (topic, schema, context) == CONTENT[:3]
        assert payload == CONTENT[3]

    def test_the_header_holds_its_fields_where_the_format_puts_them(self) -> None:
        prev = bytes(range(32))
        session = UUID(int=7)
        header, body = sealed(version=9, session=session, key_generation=3, prev=prev)
        assert len(header) == envelope.HEADER_LENGTH == 172
        assert header[:8] == b"RLE1\x01\x00\x00\x01"
        assert header[8:24] == EVENT.bytes
        assert header[24:40] == STREAM.bytes
        assert struct.unpack(">QQ", header[40:56]) == (9, 1_795_419_000_000_000)
        assert header[56:72] == session.bytes
        assert header[72:76] == b"\x00\x00\x00\x03"
        assert header[76:108] == prev
        assert header[108:140] == envelope.event_keys(KEY, EVENT, STREAM, 9)[1]
        assert header[140:] == hashlib.sha256(body).digest()
        assert envelope.leaf_hash(header) == hashlib.sha256(b"\x00" + header).digest()

    def test_a_header_packs_as_it_was_unpacked(self) -> None:
        header, _ = sealed()
        fields = Header.unpack(header)
        assert fields.pack() == header
        assert (fields.event_class, fields.version, fields.clear) == (1, 1, False)

    def test_two_seals_of_one_event_share_no_ciphertext(self) -> None:
        (first, one), (second, two) = sealed(), sealed()
        assert one != two
        assert first[:140] == second[:140]

    def test_a_key_without_the_right_commitment_never_reaches_decryption(self) -> None:
        header, body = sealed()
        with pytest.raises(Tampered, match="commitment"):
            envelope.open_sealed(bytes(32), header, body)

    def test_one_disclosed_event_key_opens_that_event_alone(self) -> None:
        header, body = sealed()
        key, commitment = envelope.event_keys(KEY, EVENT, STREAM, 1)
        assert commitment == header[108:140]
        plaintext = AESGCM(key).decrypt(body[:12], body[12:], header[:140] + bytes(32))
        assert plaintext.startswith(b"\x94\xb3patient.note-signed\x02")
        assert envelope.event_keys(KEY, EVENT, STREAM, 2)[0] != key
        assert envelope.event_keys(KEY, STREAM, EVENT, 1)[0] != key

    @pytest.mark.parametrize(
        "changes",
        [
            {"event_class": 0},
            {"event_class": 9},
            {"event_class": envelope.HEADS},
            {"event_class": 0x10001},
            {"version": 0},
            {"version": 1 << 64},
            {"recorded_at_us": -1},
            {"key_generation": 1 << 32},
            {"prev": bytes(31)},
        ],
    )
    def test_what_does_not_fit_the_header_is_refused(self, changes: dict[str, Any]) -> None:
        with pytest.raises(Malformed):
            sealed(**changes)


class TestTampering:
    def test_every_bit_of_the_header_counts(self) -> None:
        header, body = sealed()
        for changed in flips(header):
            with pytest.raises(Tampered):
                envelope.open_sealed(KEY, changed, body)

    def test_every_bit_of_the_body_counts(self) -> None:
        header, body = sealed()
        for changed in flips(body):
            with pytest.raises(Tampered):
                envelope.open_sealed(KEY, header, changed)

    def test_every_bit_of_the_body_counts_when_its_hash_is_made_again(self) -> None:
        header, body = sealed()
        for changed in flips(body):
            forged = header[:140] + hashlib.sha256(changed).digest()
            with pytest.raises(Tampered):
                envelope.open_sealed(KEY, forged, changed)

    def test_an_event_does_not_open_as_another_patients(self) -> None:
        header, body = sealed()
        moved = header[:24] + UUID(int=5).bytes + header[40:]
        for key in (KEY, bytes(32)):
            with pytest.raises(Tampered):
                envelope.open_sealed(key, moved, body)

    @pytest.mark.parametrize("length", [0, 28, 28 + 255, 28 + 257, 28 + 512])
    def test_a_body_of_another_length_is_refused(self, length: int) -> None:
        header, body = sealed()
        with pytest.raises(Tampered):
            envelope.open_sealed(KEY, header, (body * 3)[:length])


class TestPadding:
    @pytest.mark.parametrize("length", [0, 1, 254, 255, 256, 257, 2_000])
    def test_a_body_is_the_fewest_blocks_and_one_byte_at_least(self, length: int) -> None:
        content: Content = ("t", 1, {}, {"text": "x" * length})
        _, body = sealed(content)
        message = envelope.encode_content(content)
        assert len(body) == 28 + 256 * (len(message) // 256 + 1)

    def test_only_that_padding_is_accepted(self) -> None:
        message = envelope.encode_content(CONTENT)
        assert envelope.open_sealed(KEY, *with_plaintext(padded(message)))[0] == CONTENT[0]
        whole = len(padded(message))
        for plaintext in (
            padded(message) + bytes(256),
            message.ljust(whole, b"\x00"),
            bytes(256),
            message + b"\x81" + bytes(whole - len(message) - 1),
            padded(message)[:-1] + b"\x01",
            (message + b"\x00\x80").ljust(whole, b"\x00"),
        ):
            with pytest.raises(Malformed):
                envelope.open_sealed(KEY, *with_plaintext(plaintext))


class TestContent:
    @pytest.mark.parametrize(
        "content",
        [
            ("t", 1, {}, {"x": 1.0}),
            ("t", 1, {"x": [{"y": (0, float("nan"))}]}, {}),
            ("t", 1, {}, {1: "x"}),
            ("t", 1, {}, {"x": {b"y": 1}}),
            ("t", 1, {}, {"x": {1, 2}}),
            ("t", 1, {}, {"x": UUID(int=1)}),
            ("t", 1, {}, {"x": 1 << 64}),
            ("t", 1, {}, {"x": "\ud800"}),
            ("t", 1, [], {}),
            ("t", 1, {}, None),
            ("", 1, {}, {}),
            (b"t", 1, {}, {}),
            ("t", 0, {}, {}),
            ("t", True, {}, {}),
            ("t", "1", {}, {}),
            ("t", 1, {}),
        ],
    )
    def test_what_the_format_does_not_know_is_not_written(self, content: Any) -> None:
        with pytest.raises(Malformed):
            envelope.encode_content(content)

    @pytest.mark.parametrize(
        "raw",
        [
            b"",
            b"\x80",
            b"\x93\xa1t\x01\x80",
            b"\x94\xa1t\x01\x80\x90",
            b"\x94\xa1t\x01\x80\x80\x00",
            b"\x95\xa1t\x01\x80\x80\x80",
            b"\x94\xc4\x01t\x01\x80\x80",
            b"\x94\xa1t\xc3\x80\x80",
            b"\x94\xa1t\xff\x80\x80",
            b"\x94\xa1t\x01\x80\x82\xa1a\x01\xa1a\x02",
            b"\x94\xa1t\x01\x80\x82\xa1a\x01\xa1a\x01",
            b"\x94\xa1t\x01\x80\x81\xa1a\x82\xa1b\x01\xa1b\x02",
            b"\x94\xa1t\x01\x80\x81\x01\x01",
            b"\x94\xa1t\x01\x80\x81\xc4\x01a\x01",
            b"\x94\xa1t\x01\x80\x81\xa1a\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00",
            b"\x94\xa1t\x01\x80\x81\xa1a\xca\x3f\x80\x00\x00",
            b"\x94\xa1t\x01\x80\x81\xa1a\x91\xca\x3f\x80\x00\x00",
            b"\x94\xa1t\x01\x80\x81\xa1a\xcc\x01",
            b"\x94\xa1t\x01\x80\x81\xd9\x01a\x01",
            b"\xdc\x00\x04\xa1t\x01\x80\x80",
            b"\x94\xa1t\x01\x80\x81\xa1a\xd4\x01\x00",
            b"\x94\xa1t\x01\x80\x81\xa1a\xd6\xff\x00\x00\x00\x00",
            b"\x94\xa1t\x01\x80\x81\xa1a\xa1\xff",
            b"\x94\xa1t\x01\x80\x81\xa1a\xc1",
            b"\x94\xa1t\x01\x80\x81\xa1a" + b"\x91" * 100_000,
        ],
    )
    def test_what_sealing_would_not_write_is_not_read(self, raw: bytes) -> None:
        with pytest.raises(Malformed):
            envelope.decode_content(raw)
        with pytest.raises(Malformed):
            envelope.open_sealed(KEY, *with_plaintext(padded(raw)))

    @pytest.mark.parametrize("depth", range(1, 12))
    @pytest.mark.parametrize("value", [1, "a", True, None, b"\x00", [], {}], ids=repr)
    def test_content_of_any_depth_comes_back(self, depth: int, value: Any) -> None:
        for _ in range(depth):
            value = {"in": [value]}
        content: Content = ("t", 1, {}, value)
        assert envelope.decode_content(envelope.encode_content(content)) == content

    @pytest.mark.parametrize("depth", range(12))
    @pytest.mark.parametrize(
        "value",
        [1.0, 1.5, {1: "a"}, msgspec.msgpack.Ext(1, b"x")],
        ids=["whole float", "float", "integer key", "extension"],
    )
    def test_nothing_unknown_hides_at_any_depth(self, depth: int, value: Any) -> None:
        for _ in range(depth):
            value = {"in": [value]}
        raw = msgspec.msgpack.encode(("t", 1, {}, {"v": value}))
        with pytest.raises(Malformed):
            envelope.decode_content(raw)

    @pytest.mark.parametrize("schema", [1.0, True, 0, "1", None], ids=repr)
    def test_a_schema_that_is_no_positive_integer_is_refused(self, schema: Any) -> None:
        with pytest.raises(Malformed):
            envelope.decode_content(msgspec.msgpack.encode(("t", schema, {}, {})))


class TestHeader:
    @pytest.mark.parametrize(
        "spoil",
        [
            lambda raw: raw[:-1],
            lambda raw: raw + b"\x00",
            lambda raw: b"RLE2" + raw[4:],
            lambda raw: raw[:4] + b"\x02" + raw[5:],
            lambda raw: raw[:5] + b"\x01" + raw[6:],
            lambda raw: raw[:5] + b"\x02" + raw[6:],
            lambda raw: raw[:6] + b"\x00\x00" + raw[8:],
            lambda raw: raw[:6] + b"\xff\xf0" + raw[8:],
            lambda raw: raw[:6] + b"\xff\xf5" + raw[8:],
        ],
    )
    def test_what_is_not_a_header_is_refused(self, spoil: Callable[[bytes], bytes]) -> None:
        header, _ = sealed()
        with pytest.raises(Malformed):
            Header.unpack(spoil(header))

    def test_a_hash_of_another_length_cannot_be_packed(self) -> None:
        header, _ = sealed()
        spoiled = msgspec.structs.asdict(Header.unpack(header))
        with pytest.raises(Malformed):
            Header(**(spoiled | {"prev": b""})).pack()


class TestTheLedgersOwnEvents:
    def make(self, event_class: int, body: bytes) -> tuple[bytes, bytes]:
        return envelope.seal_clear(
            event_class=event_class,
            event_id=EVENT,
            stream=STREAM,
            version=1,
            recorded_at_us=1,
            session=SYSTEM,
            prev=envelope.GENESIS,
            body=body,
        )

    @pytest.mark.parametrize(
        ("event_class", "length"),
        [(0xFFF0, 48), (0xFFF1, 16), (0xFFF2, 18), (0xFFF3, 32), (0xFFF4, 32)],
    )
    def test_their_bodies_are_clear_and_have_one_length(
        self, event_class: int, length: int
    ) -> None:
        body = bytes(range(length))
        header, stored = self.make(event_class, body)
        fields = Header.unpack(header)
        assert stored == body
        assert fields.clear
        assert (fields.key_generation, fields.commitment) == (0, bytes(32))
        assert envelope.open_clear(header, stored) == body
        for wrong in (body[:-1], body + b"\x00", b""):
            with pytest.raises(Malformed):
                self.make(event_class, wrong)
            with pytest.raises(Malformed):
                envelope.open_clear(header, wrong)
        for changed in flips(body):
            with pytest.raises(Tampered):
                envelope.open_clear(header, changed)

    def test_they_are_never_taken_for_sealed_ones(self) -> None:
        header, body = self.make(envelope.EXPORT, bytes(32))
        with pytest.raises(Malformed):
            envelope.open_sealed(KEY, header, body)
        with pytest.raises(Malformed):
            envelope.open_clear(*sealed())
        for event_class in (1, 0xFFF5, 0xFFFF):
            with pytest.raises(Malformed):
                self.make(event_class, bytes(32))

    def test_they_have_no_key(self) -> None:
        header, _ = self.make(envelope.EXPORT, bytes(32))
        for at in (75, 108, 139):
            with pytest.raises(Malformed):
                Header.unpack(header[:at] + b"\x01" + header[at + 1 :])


class TestIdentifiers:
    def test_the_same_request_gives_the_same_ids(self) -> None:
        first = envelope.derive_event_id(STREAM, b"actor", b"key", 0)
        assert first == envelope.derive_event_id(STREAM, b"actor", b"key", 0)
        assert first.version == 8
        assert first.variant == "specified in RFC 4122"
        others = {
            envelope.derive_event_id(STREAM, b"actor", b"key", 1),
            envelope.derive_event_id(EVENT, b"actor", b"key", 0),
            envelope.derive_event_id(STREAM, b"actork", b"ey", 0),
            envelope.derive_event_id(STREAM, b"acto", b"rkey", 0),
            envelope.derive_stream(b"actor", b"key"),
            envelope.derive_stream(b"acto", b"rkey"),
        }
        assert len(others) == 6
        assert first not in others

    def test_they_are_the_hashes_the_format_names(self) -> None:
        prefixed = b"\x00\x00\x00\x05event\x00\x00\x00\x10" + STREAM.bytes
        prefixed += b"\x00\x00\x00\x01a\x00\x00\x00\x02kk\x00\x00\x00\x03"
        assert_uuid8(envelope.derive_event_id(STREAM, b"a", b"kk", 3), prefixed)
        assert_uuid8(
            envelope.derive_stream(b"a", b"kk"),
            b"\x00\x00\x00\x06stream\x00\x00\x00\x01a\x00\x00\x00\x02kk",
        )
        assert_uuid8(envelope.heads_stream(STREAM), b"heads" + STREAM.bytes)


def assert_uuid8(made: UUID, preimage: bytes) -> None:
    expected = hashlib.sha256(preimage).hexdigest()[:32]
    assert made.hex[:12] == expected[:12]
    assert made.hex[12] == "8"
    assert made.hex[13:16] == expected[13:16]
    assert made.hex[16] in "89ab"
    assert int(made.hex[16], 16) & 3 == int(expected[16], 16) & 3
    assert made.hex[17:] == expected[17:]


def flips(raw: bytes) -> list[bytes]:
    """Each of the byte strings that differ from this one in a single bit."""
    number = int.from_bytes(raw, "big")
    return [(number ^ 1 << bit).to_bytes(len(raw), "big") for bit in range(len(raw) * 8)]
