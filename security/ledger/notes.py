"""Signed notes: how a log states its size and root (C2SP signed-note, tlog-checkpoint).

A note is text, an empty line, and one line per signature. A *vkey* (``name+hash+base64``) names a
public key together with the kind of signature it makes: 0x01 for the log's own Ed25519, 0x04 for a
witness's timestamped cosignature (C2SP tlog-cosignature). ``docs/formats.md`` §4 says which of
these a checkpoint of ours may hold.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from releve.security.errors import Malformed, Tampered

_DASH: Final = "— "
_NAME = re.compile(r"[^\s+]+")
_VKEY = re.compile(r"([^\s+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)")
_SIZE = re.compile(r"0|[1-9][0-9]{0,19}")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")
_HEADER = "cosignature/v1\ntime "


class SignatureKind(IntEnum):
    """What a key signs: its number stands in the key's hash and in its vkey."""

    ED25519 = 0x01
    COSIGNATURE = 0x04


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log states: ``size`` leaves whose tree has this ``root`` (32 bytes)."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """Give the three signed lines, each with its line end."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Read exactly three lines; extension lines are refused.

        Raises:
            Malformed: another number of lines, a size with leading zeros, a root that is not
                canonical base64 of 32 bytes.
        """
        lines = text.split("\n")
        if len(lines) != 4 or lines[3]:
            raise Malformed("a checkpoint has three lines")
        origin, size, root = lines[:3]
        if not origin or not _SIZE.fullmatch(size) or int(size) >= 1 << 64:
            raise Malformed("a checkpoint names an origin and a size")
        return cls(origin, int(size), _base64(root, 32))


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line: the signer's name, the first four bytes of its key hash, the rest."""

    name: str
    key_hash: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Note:
    """A note as it stands, nothing verified."""

    text: str
    signatures: tuple[Signature, ...]


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key with its name and the kind of signature it makes."""

    name: str
    kind: SignatureKind
    public_key: bytes

    @property
    def key_hash(self) -> bytes:
        """The four bytes by which a signature line names this key."""
        return key_hash(self.name, self.kind, self.public_key)

    def text(self) -> str:
        """Give the vkey: ``name+hash+base64(kind and public key)``."""
        encoded = base64.b64encode(bytes((self.kind,)) + self.public_key).decode()
        return f"{self.name}+{self.key_hash.hex()}+{encoded}"

    @classmethod
    def parse(cls, vkey: str) -> VerifierKey:
        """Read a vkey.

        Raises:
            Malformed: not a vkey, an unknown kind, or a hash that is not this key's.
        """
        match = _VKEY.fullmatch(vkey)
        if not match:
            raise Malformed("not a vkey")
        raw = _base64(match[3], 33)
        try:
            key = cls(match[1], SignatureKind(raw[0]), raw[1:])
        except ValueError as error:
            raise Malformed("a vkey of an unknown kind") from error
        if key.key_hash.hex() != match[2]:
            raise Malformed("the hash of a vkey is not this key's")
        return key

    def verifies(self, signature: Signature, text: str) -> bool:
        """Tell whether this key made this signature over this text; names are not compared."""
        if self.kind is SignatureKind.COSIGNATURE:
            if len(signature.signature) != 72:
                return False
            signed = cosigned_message(cosignature_time(signature), text)
            raw = signature.signature[8:]
        else:
            signed, raw = text.encode(), signature.signature
        try:
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(raw, signed)
        except (InvalidSignature, ValueError):
            return False
        return True


class LogSigner:
    """The log's own key. Its name is the log's origin, and lives as long as the log."""

    __slots__ = ("_key", "_vkey")

    def __init__(self, private_key: bytes | Ed25519PrivateKey, origin: str) -> None:
        """Take an Ed25519 private key, or its 32-byte seed.

        Raises:
            Malformed: the origin holds white space or ``+``, or the seed is not 32 bytes.
        """
        if not _NAME.fullmatch(origin):
            raise Malformed("an origin holds neither white space nor a plus sign")
        if isinstance(private_key, bytes):
            if len(private_key) != 32:
                raise Malformed("an Ed25519 seed is 32 bytes long")
            private_key = Ed25519PrivateKey.from_private_bytes(private_key)
        self._key = private_key
        self._vkey = VerifierKey(
            origin, SignatureKind.ED25519, private_key.public_key().public_bytes_raw()
        )

    def __repr__(self) -> str:
        return f"LogSigner({self._vkey.text()!r})"

    @property
    def origin(self) -> str:
        """The name of the log and of its key."""
        return self._vkey.name

    @property
    def vkey(self) -> str:
        """The public key in the text form that verifiers take."""
        return self._vkey.text()

    def sign(self, size: int, root: bytes) -> str:
        """Give the signed checkpoint for this size and root, ending in a line end."""
        text = Checkpoint(self.origin, size, root).text()
        raw = self._vkey.key_hash + self._key.sign(text.encode())
        return f"{text}\n{_DASH}{self.origin} {base64.b64encode(raw).decode()}\n"


def log_origin(cell: UUID) -> str:
    """Give the name of a cell's log: ``releve/`` and the cell's UUID in hex."""
    return f"releve/{cell.hex}"


def key_hash(name: str, kind: SignatureKind, public_key: bytes) -> bytes:
    """Give the first four bytes of SHA-256(name, 0x0A, kind, public key)."""
    return hashlib.sha256(name.encode() + b"\n" + bytes((kind,)) + public_key).digest()[:4]


def cosigned_message(time: int, text: str) -> bytes:
    """Give the bytes a witness signs: its time (seconds since 1970 UTC) before the note text."""
    return f"{_HEADER}{time}\n{text}".encode()


def cosignature_time(signature: Signature) -> int:
    """Give the time (seconds since 1970 UTC) that a cosignature states.

    Raises:
        Malformed: not a cosignature.
    """
    if len(signature.signature) != 72:
        raise Malformed("a cosignature is 72 bytes long")
    return int.from_bytes(signature.signature[:8], "big")


def parse_note(note: str) -> Note:
    """Split a note into its text and its signature lines.

    Raises:
        Malformed: no signature line, a line that is not one, control characters, no final line end.
    """
    if _CONTROL.search(note):
        raise Malformed("a note holds no control characters")
    text, separator, block = note.rpartition("\n\n")
    if not separator or not block.endswith("\n"):
        raise Malformed("a note is text, an empty line and signature lines")
    return Note(text + "\n", tuple(_signature(line) for line in block[:-1].split("\n")))


def verify_note(note: str, vkeys: Sequence[str]) -> Checkpoint:
    """Give the checkpoint of a note once every key of ``vkeys`` has signed it.

    Lines of other keys are passed over, as C2SP signed-note asks; a line that names one of the
    keys and does not verify refuses the note.

    Raises:
        Malformed: not a checkpoint in a note, or a bad vkey.
        Tampered: no key was given, one did not sign, or its signature does not verify.
    """
    parsed = parse_note(note)
    checkpoint = Checkpoint.parse(parsed.text)
    missing = [key for key in map(VerifierKey.parse, vkeys) if not _signed(parsed, key)]
    if missing or not vkeys:
        raise Tampered("a key that was asked for did not sign this checkpoint")
    return checkpoint


def add_signatures(note: str, lines: Sequence[str]) -> str:
    """Give the note with more signature lines, such as a witness returns; verifies nothing.

    Raises:
        Malformed: not a note, or a line is not a signature line.
    """
    parse_note(note)
    for line in lines:
        _signature(line)
    return note + "".join(f"{line}\n" for line in lines)


def _signed(note: Note, key: VerifierKey) -> bool:
    mine = [s for s in note.signatures if s.name == key.name and s.key_hash == key.key_hash]
    for signature in mine:
        if not key.verifies(signature, note.text):
            raise Tampered("a signature of this checkpoint does not verify")
    return bool(mine)


def _signature(line: str) -> Signature:
    name, space, encoded = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or not space or not _NAME.fullmatch(name):
        raise Malformed("not a signature line")
    raw = _base64(encoded)
    if len(raw) < 5:
        raise Malformed("a signature line is too short")
    return Signature(name, raw[:4], raw[4:])


def _base64(text: str, length: int | None = None) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Malformed("not base64") from error
    if base64.b64encode(raw).decode() != text or (length is not None and len(raw) != length):
        raise Malformed("not canonical base64 of the right length")
    return raw
