"""Derive keys and identifiers: HKDF-SHA256 and length-prefixed hashing.

Every key of the product that is not random comes out of :func:`hkdf_expand` under its own label
(``docs/formats.md``, §1 and §2), so two uses of one data key never share bytes.
"""

from __future__ import annotations

import hmac
import struct
from hashlib import sha256

KEY_LENGTH = 32
"""Bytes of every symmetric key: AES-256, HMAC-SHA256."""

_INNER_PAD = bytes(byte ^ 0x36 for byte in range(256))
_OUTER_PAD = bytes(byte ^ 0x5C for byte in range(256))


def hkdf_expand(key: bytes, info: bytes, length: int) -> bytes:
    """Give ``length`` bytes (at most 8,160) of HKDF-Expand with SHA-256 (RFC 5869, 2.3)."""
    if not 0 < length <= 255 * 32:
        raise ValueError(f"HKDF-Expand gives 1 to 8160 bytes, not {length}")
    # HMAC (RFC 2104) spelled out: every event and row derives a key, and the pads of one key
    # serve all blocks. Twice as fast as hmac.digest.
    padded = (key if len(key) <= 64 else sha256(key).digest()).ljust(64, b"\x00")
    inner, outer = padded.translate(_INNER_PAD), padded.translate(_OUTER_PAD)
    block = output = sha256(outer + sha256(inner + info + b"\x01").digest()).digest()
    counter = 2
    while len(output) < length:
        message = inner + block + info + bytes((counter,))
        block = sha256(outer + sha256(message).digest()).digest()
        output += block
        counter += 1
    return output[:length]


def hkdf(input_key: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    """Give ``length`` bytes of HKDF-SHA256, extract then expand (RFC 5869, 2)."""
    return hkdf_expand(hmac.digest(salt or bytes(32), input_key, "sha256"), info, length)


def length_prefixed(*parts: bytes) -> bytes:
    """Join byte strings so that no two lists give the same bytes: u32 big endian, then the part."""
    return b"".join(struct.pack(">I", len(part)) + part for part in parts)
