"""Seal one event into bytes that never change, and open them again (``docs/formats.md`` §1).

A sealed event is a clear 172-byte header and a body. The header is associated data of the body
and, hashed, the event's leaf in the Merkle log; it holds no identity and no clinical word. The
body is AES-256-GCM under a key derived for this event alone; the header commits to that key, so
one ciphertext can never be shown to mean two things.

Nothing here does I/O or reads a clock. Whoever calls chooses the data key.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import struct
from typing import Any, Final, cast
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from releve.security.errors import Malformed, Tampered
from releve.security.keys.derivation import hkdf_expand, length_prefixed
from releve.security.ledger import merkle

Content = tuple[str, int, dict[str, Any], dict[str, Any]]
"""What a body says: topic, schema version, envelope, payload."""

MAGIC: Final = b"RLE1"
HEADER_LENGTH: Final = 172
GENESIS: Final = bytes(32)
"""``prev`` of the first event of a stream."""
SUITE: Final = 1
"""HKDF-SHA256 and AES-256-GCM."""
CLEAR_BODY: Final = 0x01
"""Flag: the body is one of the ledger's own and is not encrypted."""

ACCESS: Final = 6
"""Who read what; its data keys are filed by month."""
HEADS: Final = 0xFFF0
STREAM_SHREDDED: Final = 0xFFF1
BODY_PURGED: Final = 0xFFF2
SESSION_OPENED: Final = 0xFFF3
EXPORT: Final = 0xFFF4

CLASS_NAMES: Final[dict[int, str]] = {
    1: "patient",
    2: "centre",
    3: "practitioner",
    4: "stint",
    5: "intake",
    ACCESS: "access",
    7: "administration",
    8: "erasure",
    HEADS: "ledger.heads",
    STREAM_SHREDDED: "ledger.stream-shredded",
    BODY_PURGED: "ledger.body-purged",
    SESSION_OPENED: "ledger.session-opened",
    EXPORT: "ledger.export",
}
"""Every known event class; any other is refused."""

CLEAR_BODY_LENGTHS: Final[dict[int, int]] = {
    HEADS: 48,
    STREAM_SHREDDED: 16,
    BODY_PURGED: 18,
    SESSION_OPENED: 32,
    EXPORT: 32,
}
"""Bytes of the body of each of the ledger's own events (``docs/formats.md`` §3)."""

PADDING_BLOCK: Final = 256
BODY_OVERHEAD: Final = 28
"""Nonce (12) and tag (16) around the padded plaintext."""

_LAYOUT = struct.Struct(">4sBBH16s16sQQ16sI32s32s32s")
_EVENT_LABEL = b"releve/event/v1"
_BODY_HASH_AT = 140
_ZERO_HASH = bytes(32)
_STRING = frozenset({str})
_SCALARS = frozenset({str, int, bool, bytes, type(None)})
_SEALED = frozenset(
    MAGIC + bytes((SUITE, 0)) + event_class.to_bytes(2, "big")
    for event_class in CLASS_NAMES
    if event_class not in CLEAR_BODY_LENGTHS
)
"""The only beginnings of a header whose body is encrypted."""
_as_uuid = msgspec.convert
"""From 16 bytes; a sixth of the time that ``UUID(bytes=...)`` takes, thrice an event."""
_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder()


def _checked_decoder(depth: int) -> msgspec.msgpack.Decoder[Any]:
    """Decodes content and checks its types in one go, in C, where maps lie at most so deep."""
    scalar = str | int | bool | None  # bytes, which hardly occur, go the other way
    value: Any = scalar
    for _ in range(depth):
        value = scalar | list.__class_getitem__(value) | dict.__class_getitem__((str, value))
    fields = dict.__class_getitem__((str, value))
    return msgspec.msgpack.Decoder(tuple.__class_getitem__((str, int, fields, fields)))


_CHECKED_DECODER = _checked_decoder(6)

if _LAYOUT.size != HEADER_LENGTH:  # pragma: no cover - a wrong edit of the layout
    raise AssertionError("the header layout is not 172 bytes")


class Header(msgspec.Struct, frozen=True):
    """The clear part of an event; ``recorded_at`` is in microseconds since 1970 UTC."""

    flags: int
    event_class: int
    event_id: UUID
    stream: UUID
    version: int
    recorded_at: int
    session: UUID
    key_generation: int
    prev: bytes
    commitment: bytes
    body_sha256: bytes

    @property
    def clear(self) -> bool:
        """True for the ledger's own events, whose body is not encrypted."""
        return bool(self.flags & CLEAR_BODY)

    def pack(self) -> bytes:
        """Give the 172 bytes.

        Raises:
            Malformed: a field does not fit, or flags and class do not agree.
        """
        for value in (self.prev, self.commitment, self.body_sha256):
            if len(value) != 32:
                raise Malformed("a hash in the header is not 32 bytes long")
        try:
            raw = _LAYOUT.pack(
                MAGIC,
                SUITE,
                self.flags,
                self.event_class,
                self.event_id.bytes,
                self.stream.bytes,
                self.version,
                self.recorded_at,
                self.session.bytes,
                self.key_generation,
                self.prev,
                self.commitment,
                self.body_sha256,
            )
        except struct.error as error:
            raise Malformed("a number does not fit into the header") from error
        _check_header(raw)
        return raw

    @classmethod
    def unpack(cls, raw: bytes) -> Header:
        """Read 172 bytes.

        Checks length, magic, suite, flags and class, and that flags, class, key generation and
        commitment agree. Does not judge version, ``prev`` or time: those need the neighbours.

        Raises:
            Malformed: the bytes are not a header.
        """
        _check_header(raw)
        fields = _LAYOUT.unpack(raw)
        return cls(
            flags=fields[2],
            event_class=fields[3],
            event_id=_as_uuid(fields[4], UUID),
            stream=_as_uuid(fields[5], UUID),
            version=fields[6],
            recorded_at=fields[7],
            session=_as_uuid(fields[8], UUID),
            key_generation=fields[9],
            prev=fields[10],
            commitment=fields[11],
            body_sha256=fields[12],
        )


def seal(
    data_key: bytes,
    *,
    event_class: int,
    event_id: UUID,
    stream: UUID,
    version: int,
    recorded_at_us: int,
    session: UUID,
    key_generation: int,
    prev: bytes,
    content: Content,
) -> tuple[bytes, bytes]:
    """Encrypt one event and give ``(header, body)``; each call gives other bytes (random nonce).

    Raises:
        Malformed: the content holds a float, a key that is not a string, or another type that the
            format does not know; or a number does not fit.
    """
    if event_class in CLEAR_BODY_LENGTHS:
        raise Malformed("this class has a clear body")
    if not 1 <= version < 1 << 64:
        raise Malformed("the version does not fit into the header")
    plaintext = _pad(encode_content(content))
    encryption_key, commitment = event_keys(data_key, event_id, stream, version)
    try:
        head = _LAYOUT.pack(
            MAGIC,
            SUITE,
            0,
            event_class,
            event_id.bytes,
            stream.bytes,
            version,
            recorded_at_us,
            session.bytes,
            key_generation,
            prev,
            commitment,
            _ZERO_HASH,
        )
    except struct.error as error:
        raise Malformed("a number does not fit into the header") from error
    if len(prev) != 32:
        raise Malformed("prev is not 32 bytes long")
    _check_header(head)
    nonce = os.urandom(12)
    body = nonce + AESGCM(encryption_key).encrypt(nonce, plaintext, head)
    return head[:_BODY_HASH_AT] + hashlib.sha256(body).digest(), body


def open_sealed(data_key: bytes, header: bytes, body: bytes) -> Content:
    """Give what a sealed event says, after its hash, its key commitment and its tag were checked.

    Raises:
        Malformed: the bytes are not of the shape the format asks for.
        Tampered: a byte was changed, or the key is not the one it was sealed with.
    """
    _check_header(header)
    if header[5] & CLEAR_BODY:
        raise Malformed("this event has a clear body")
    if len(body) <= BODY_OVERHEAD or (len(body) - BODY_OVERHEAD) % PADDING_BLOCK:
        raise Malformed("the body has a length that no sealed event has")
    check_body(header, body)
    encryption_key, commitment = _event_keys(data_key, header[8:24], header[24:40], header[40:48])
    if not hmac.compare_digest(commitment, header[108:140]):
        raise Tampered("the key does not match the commitment in the header")
    try:
        padded = AESGCM(encryption_key).decrypt(
            body[:12], body[12:], header[:_BODY_HASH_AT] + _ZERO_HASH
        )
    except InvalidTag as error:
        raise Tampered("the body does not open under its header") from error
    return decode_content(_unpad(padded))


def seal_clear(
    *,
    event_class: int,
    event_id: UUID,
    stream: UUID,
    version: int,
    recorded_at_us: int,
    session: UUID,
    prev: bytes,
    body: bytes,
) -> tuple[bytes, bytes]:
    """Give ``(header, body)`` of one of the ledger's own events (``docs/formats.md`` §3).

    Raises:
        Malformed: not one of the ledger's classes, or the body has not that class's length.
    """
    if CLEAR_BODY_LENGTHS.get(event_class) != len(body):
        raise Malformed("not a clear body of this class")
    if version < 1:
        raise Malformed("versions start at 1")
    header = Header(
        flags=CLEAR_BODY,
        event_class=event_class,
        event_id=event_id,
        stream=stream,
        version=version,
        recorded_at=recorded_at_us,
        session=session,
        key_generation=0,
        prev=prev,
        commitment=_ZERO_HASH,
        body_sha256=hashlib.sha256(body).digest(),
    )
    return header.pack(), body


def open_clear(header: bytes, body: bytes) -> bytes:
    """Give the body of one of the ledger's own events once its length and hash were checked.

    Raises:
        Malformed: the header is not one of a clear event, or the length is wrong.
        Tampered: the body is not the one the header names.
    """
    _check_header(header)
    if CLEAR_BODY_LENGTHS.get(int.from_bytes(header[6:8], "big")) != len(body):
        raise Malformed("not a clear body of this class")
    check_body(header, body)
    return body


def check_body(header: bytes, body: bytes) -> None:
    """Compare a body with the SHA-256 its header holds; needs no key.

    Raises:
        Tampered: they do not match.
    """
    if not hmac.compare_digest(hashlib.sha256(body).digest(), header[_BODY_HASH_AT:]):
        raise Tampered("the body is not the one the header names")


def leaf_hash(header: bytes) -> bytes:
    """Give the event's leaf in the log, which is also ``prev`` of the next event of its stream."""
    return merkle.leaf(header)


def event_keys(data_key: bytes, event_id: UUID, stream: UUID, version: int) -> tuple[bytes, bytes]:
    """Give ``(encryption key, commitment)`` of one event; disclosed, they open it alone."""
    return _event_keys(data_key, event_id.bytes, stream.bytes, version.to_bytes(8, "big"))


def derive_event_id(stream: UUID, actor: bytes, key: bytes, ordinal: int) -> UUID:
    """Give the id of the ``ordinal``-th event (from 0) of a request: same request, same id.

    ``key`` is the idempotency key after its HMAC (``BlindIndex.request_key``).
    """
    parts = length_prefixed(b"event", stream.bytes, actor, key)
    return _uuid8(hashlib.sha256(parts + ordinal.to_bytes(4, "big")).digest())


def derive_stream(actor: bytes, key: bytes) -> UUID:
    """Give the pseudonym of the stream that a request creates: same request, same stream."""
    return _uuid8(hashlib.sha256(length_prefixed(b"stream", actor, key)).digest())


def heads_stream(cell: UUID) -> UUID:
    """Give the stream that holds a cell's HEADS and EXPORT events."""
    return _uuid8(hashlib.sha256(b"heads" + cell.bytes).digest())


def encode_content(content: Content) -> bytes:
    """Give the canonical MessagePack of ``(topic, schema, envelope, payload)``, without padding.

    Canonical: each value in its shortest form, maps in the order given.

    Raises:
        Malformed: a float, a key that is not a string, or a type the format does not know.
    """
    _check_content(content)
    try:
        return _ENCODER.encode(content)
    except (OverflowError, UnicodeEncodeError, ValueError, RecursionError) as error:
        raise Malformed("the content cannot be written as MessagePack") from error


def decode_content(raw: bytes) -> Content:
    """Read what :func:`encode_content` wrote, and nothing else.

    Raises:
        Malformed: floats, doubled or non-string keys, longer forms than needed, trailing bytes,
            or another shape than ``[topic, schema, envelope, payload]``.
    """
    try:
        content: Content = _CHECKED_DECODER.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError, RecursionError):
        content = _decode_deep(raw)
    if not content[0] or content[1] < 1:
        raise Malformed("the topic is empty, or the schema version is not positive")
    # A doubled key, a longer form than needed or an extension does not come back the same.
    if _ENCODER.encode(content) != raw:
        raise Malformed("the content is not in canonical form")
    return content


def _decode_deep(raw: bytes) -> Content:
    """Content of any depth, checked value by value; says what is wrong with any other."""
    try:
        value = _DECODER.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise Malformed("the content is not MessagePack") from error
    if type(value) is not list:
        raise Malformed("the content is not an array")
    content = tuple(value)
    _check_content(content)
    return cast(Content, content)


def _check_content(content: tuple[Any, ...]) -> None:
    if len(content) != 4:
        raise Malformed("the content is not topic, schema, envelope and payload")
    topic, schema, envelope, payload = content
    if type(topic) is not str or not topic:
        raise Malformed("the topic is not a string")
    if type(schema) is not int or schema < 1:
        raise Malformed("the schema version is not a positive integer")
    if type(envelope) is not dict or type(payload) is not dict:
        raise Malformed("envelope and payload are not maps")
    pending: list[Any] = [envelope, payload]
    while pending:
        value = pending.pop()
        if type(value) is dict:
            if not _STRING.issuperset(map(type, value)):
                raise Malformed("a map key is not a string")
            value = value.values()
        if _SCALARS.issuperset(map(type, value)):
            continue
        for each in value:
            kind = type(each)
            if kind is dict or kind is list or kind is tuple:
                pending.append(each)
            elif kind not in _SCALARS:
                raise Malformed("the content holds a type that the format does not know")


def _check_header(raw: bytes) -> None:
    if len(raw) == HEADER_LENGTH and raw[:8] in _SEALED:
        return
    if len(raw) != HEADER_LENGTH or raw[:4] != MAGIC:
        raise Malformed("not an event header")
    if raw[4] != SUITE:
        raise Malformed("unknown suite")
    if raw[5] & ~CLEAR_BODY:
        raise Malformed("unknown flag")
    event_class = (raw[6] << 8) | raw[7]
    if event_class not in CLASS_NAMES:
        raise Malformed("unknown event class")
    if bool(raw[5]) != (event_class in CLEAR_BODY_LENGTHS):
        raise Malformed("flags and class do not agree")
    if raw[5] and any(raw[72:76] + raw[108:140]):
        raise Malformed("a clear body has no key")


def _event_keys(
    data_key: bytes, event_id: bytes, stream: bytes, version: bytes
) -> tuple[bytes, bytes]:
    derived = hkdf_expand(data_key, _EVENT_LABEL + event_id + stream + version, 64)
    return derived[:32], derived[32:]


def _pad(message: bytes) -> bytes:
    return message + b"\x80" + bytes(-(len(message) + 1) % PADDING_BLOCK)


def _unpad(padded: bytes) -> bytes:
    message = padded.rstrip(b"\x00")
    if not message.endswith(b"\x80") or len(padded) - len(message) >= PADDING_BLOCK:
        raise Malformed("the padding is not the one the format asks for")
    return message[:-1]


def _uuid8(digest: bytes) -> UUID:
    number = int.from_bytes(digest[:16], "big")
    number = number & ~(0xF << 76) | 8 << 76
    number = number & ~(0x3 << 62) | 0x2 << 62
    return UUID(int=number)
