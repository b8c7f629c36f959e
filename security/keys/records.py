"""Bytes of wrapped data keys (``RLD1``) and of key files (``RLK1``): pack and parse, no key needed.

Layouts of ``docs/formats.md`` §2. Parsing refuses whatever packing cannot give.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final
from uuid import UUID

from releve.security.errors import KeyRefused, Malformed

WRAPPED_MAGIC: Final = b"RLD1"
WRAPPED_PREFIX: Final = 53
"""Bytes of a wrapped key that are associated data of its blob."""
KEY_FILE_MAGIC: Final = b"RLK1"
KEY_FILE_LENGTH: Final = 108
KEY_FILE_PREFIX: Final = 48
"""Bytes of a key file that are associated data of its ciphertext."""
ARGON2ID_ALLOWED: Final = frozenset({(64 * 1024, 3, 4)})
"""(memory in KiB, passes, lanes) that may be derived with; anything else is refused unread."""

_WRAPPED = struct.Struct(">4sB16sII16sQH")
_KEY_FILE = struct.Struct(">4sB16sIBIBB16s12s48s")
_AEAD_BLOB = 60


class Algorithm(IntEnum):
    """What wrapped a data key."""

    LOCAL_GCM = 1
    PKCS11_GCM = 2
    TRANSIT = 3


class Purpose(IntEnum):
    """What a key file's key is for."""

    CENTRE = 1
    AUDIT = 2
    BLIND_INDEX = 3
    LOG_SIGNING = 4
    SYSTEM = 5


class Kdf(IntEnum):
    """How the key that opens a key file is made."""

    NONE = 0
    ARGON2ID = 1


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """One data key under a key-encryption key; ``created`` is in microseconds since 1970 UTC."""

    algorithm: Algorithm
    kek: UUID
    kek_version: int
    generation: int
    stream: UUID
    created: int
    blob: bytes

    def prefix(self) -> bytes:
        """Give the 53 bytes that the blob is bound to.

        Raises:
            Malformed: a number does not fit.
        """
        return self._packed()[:WRAPPED_PREFIX]

    def pack(self) -> bytes:
        """Give the whole record.

        Raises:
            Malformed: a number does not fit, or the blob is not one of this algorithm.
        """
        _check_blob(self.algorithm, self.blob)
        return self._packed() + self.blob

    @classmethod
    def parse(cls, raw: bytes) -> WrappedKey:
        """Read a whole record.

        Raises:
            Malformed: the bytes are not a wrapped key.
        """
        if len(raw) < _WRAPPED.size or raw[:4] != WRAPPED_MAGIC:
            raise Malformed("not a wrapped data key")
        _, number, kek, kek_version, generation, stream, created, length = _WRAPPED.unpack_from(raw)
        blob = raw[_WRAPPED.size :]
        if len(blob) != length:
            raise Malformed("a wrapped data key has the wrong length")
        try:
            algorithm = Algorithm(number)
        except ValueError as error:
            raise Malformed("unknown wrapping algorithm") from error
        _check_blob(algorithm, blob)
        return cls(
            algorithm=algorithm,
            kek=UUID(bytes=kek),
            kek_version=kek_version,
            generation=generation,
            stream=UUID(bytes=stream),
            created=created,
            blob=blob,
        )

    def _packed(self) -> bytes:
        try:
            return _WRAPPED.pack(
                WRAPPED_MAGIC,
                self.algorithm,
                self.kek.bytes,
                self.kek_version,
                self.generation,
                self.stream.bytes,
                self.created,
                len(self.blob),
            )
        except struct.error as error:
            raise Malformed("a number does not fit into a wrapped data key") from error


@dataclass(frozen=True, slots=True)
class KeyFileRecord:
    """The content of one key file; the key itself is inside ``ciphertext`` (32 bytes and a tag)."""

    purpose: Purpose
    key_id: UUID
    version: int
    kdf: Kdf
    memory_kib: int
    passes: int
    lanes: int
    salt: bytes
    nonce: bytes
    ciphertext: bytes

    def prefix(self) -> bytes:
        """Give the 48 bytes that the ciphertext is bound to."""
        return self.pack()[:KEY_FILE_PREFIX]

    def pack(self) -> bytes:
        """Give the 108 bytes.

        Raises:
            Malformed: a field has the wrong length or does not fit.
        """
        if (len(self.salt), len(self.nonce), len(self.ciphertext)) != (16, 12, 48):
            raise Malformed("a field of a key file has the wrong length")
        try:
            return _KEY_FILE.pack(
                KEY_FILE_MAGIC,
                self.purpose,
                self.key_id.bytes,
                self.version,
                self.kdf,
                self.memory_kib,
                self.passes,
                self.lanes,
                self.salt,
                self.nonce,
                self.ciphertext,
            )
        except struct.error as error:
            raise Malformed("a number does not fit into a key file") from error

    @classmethod
    def parse(cls, raw: bytes) -> KeyFileRecord:
        """Read the 108 bytes of a key file.

        Derivation parameters outside :data:`ARGON2ID_ALLOWED` are refused here, before anybody
        derives: one flipped bit could ask for terabytes.

        Raises:
            Malformed: the bytes are not a key file.
            KeyRefused: the derivation parameters are not allowed.
        """
        if len(raw) != KEY_FILE_LENGTH or raw[:4] != KEY_FILE_MAGIC:
            raise Malformed("not a key file")
        fields = _KEY_FILE.unpack(raw)
        try:
            purpose = Purpose(fields[1])
            kdf = Kdf(fields[4])
        except ValueError as error:
            raise Malformed("unknown purpose or derivation of a key file") from error
        if fields[3] < 1:
            raise Malformed("versions of a key start at 1")
        parameters = (fields[5], fields[6], fields[7])
        if parameters not in ARGON2ID_ALLOWED if kdf is Kdf.ARGON2ID else any(parameters):
            raise KeyRefused("the derivation parameters of a key file are not allowed")
        return cls(
            purpose=purpose,
            key_id=UUID(bytes=fields[2]),
            version=fields[3],
            kdf=kdf,
            memory_kib=fields[5],
            passes=fields[6],
            lanes=fields[7],
            salt=fields[8],
            nonce=fields[9],
            ciphertext=fields[10],
        )


def _check_blob(algorithm: Algorithm, blob: bytes) -> None:
    if algorithm is Algorithm.TRANSIT:
        if not blob or not blob.isascii():
            raise Malformed("the blob is not the string of a transit service")
    elif len(blob) != _AEAD_BLOB:
        raise Malformed("the blob of a wrapped data key is 60 bytes long")
