"""A file of ours beside a signature of its maintainer: what is loaded is what was signed.

The signature is a signed note (C2SP signed-note, Ed25519) over three lines: what kind of file it
is, its name, and the SHA-256 of its bytes. The private key is the maintainer's and stands in no
repository; the verifier key is pinned where the file is loaded.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from releve.security.errors import Malformed, Tampered
from releve.security.ledger.notes import SignatureKind, VerifierKey, parse_note

KIND: Final = "releve/rules/v1"
"""First signed line: a signature made for another kind of file signs nothing here."""


def release_text(name: str, content: bytes) -> str:
    """The lines that are signed for a file: kind, name, hex SHA-256 of its bytes."""
    return f"{KIND}\n{name}\n{hashlib.sha256(content).hexdigest()}\n"


def verify_release(note: str, vkey: str, name: str, content: bytes) -> None:
    """Return when the key signed exactly these bytes under that name.

    Raises:
        Malformed: not a signed note, or not a vkey.
        Tampered: the bytes or the name are others, or the key did not sign them.
    """
    key = VerifierKey.parse(vkey)
    parsed = parse_note(note)
    if parsed.text != release_text(name, content):
        raise Tampered("a release is not the file that its signature names")
    mine = [one for one in parsed.signatures if one.key_hash == key.key_hash]
    if key.kind is not SignatureKind.ED25519 or not any(
        one.name == key.name and key.verifies(one, parsed.text) for one in mine
    ):
        raise Tampered("a release is not signed by the key that is pinned")


def sign_release(seed: bytes, signer: str, name: str, content: bytes) -> tuple[str, str]:
    """The signed note for a file, and the vkey that verifies it; ``seed`` is 32 bytes.

    Raises:
        Malformed: the seed is not 32 bytes long.
    """
    if len(seed) != 32:
        raise Malformed("an Ed25519 seed is 32 bytes long")
    private = Ed25519PrivateKey.from_private_bytes(seed)
    key = VerifierKey(signer, SignatureKind.ED25519, private.public_key().public_bytes_raw())
    text = release_text(name, content)
    raw = key.key_hash + private.sign(text.encode())
    return f"{text}\n— {signer} {base64.b64encode(raw).decode()}\n", key.text()
