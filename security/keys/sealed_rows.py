"""Seal what stands beside the log under a patient's key: projection rows, attachments, editions.

Destroying the data key makes all of it unreadable together with the events
(``docs/formats.md`` §2). Pure: no I/O.
"""

from __future__ import annotations

import hmac
import os
import struct
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from releve.security.errors import Malformed, Tampered
from releve.security.keys.derivation import KEY_LENGTH, hkdf_expand, length_prefixed

ROW_OVERHEAD: Final = 28
"""Nonce (12) and tag (16) around the plaintext."""

_ROW_LABEL = b"releve/row/v1"
_EDITION_LABEL = b"releve/edition/v1"
_ATTACHMENT = "attachment:"


def seal_row(
    patient_key: bytes, kind: str, patient: UUID, position: int, plaintext: bytes
) -> bytes:
    """Encrypt one row so that it opens only as this kind, for this patient, at this position.

    For a stream without a patient (centre, stint), ``patient`` is that stream and ``patient_key``
    its data key. Two calls give different bytes.
    """
    nonce = os.urandom(12)
    key, context = _row(patient_key, kind, patient, position)
    return nonce + AESGCM(key).encrypt(nonce, plaintext, context)


def open_row(patient_key: bytes, kind: str, patient: UUID, position: int, sealed: bytes) -> bytes:
    """Give the plaintext of :func:`seal_row` called with the same key, kind, patient and position.

    Raises:
        Tampered: a byte was changed, or the row belongs somewhere else.
    """
    if len(sealed) < ROW_OVERHEAD:
        raise Malformed("a sealed row is at least 28 bytes long")
    key, context = _row(patient_key, kind, patient, position)
    try:
        return AESGCM(key).decrypt(sealed[:12], sealed[12:], context)
    except InvalidTag as error:
        raise Tampered("a sealed row does not open where it stands") from error


def seal_attachment(patient_key: bytes, event_id: UUID, patient: UUID, content: bytes) -> bytes:
    """Encrypt the original bytes of a document, bound to the event that brought it in.

    A row of kind ``attachment:`` followed by the event id in hex, at position 0: the event has no
    position yet when it is appended.
    """
    return seal_row(patient_key, _ATTACHMENT + event_id.hex, patient, 0, content)


def open_attachment(patient_key: bytes, event_id: UUID, patient: UUID, sealed: bytes) -> bytes:
    """Give the original bytes of a document.

    Raises:
        Tampered: a byte was changed, or it is another event's document.
    """
    return open_row(patient_key, _ATTACHMENT + event_id.hex, patient, 0, sealed)


def edition_mac(patient_key: bytes, card: bytes) -> bytes:
    """Give the HMAC (32 bytes) under which a briefing's manifest lists one patient's card."""
    return hmac.digest(hkdf_expand(patient_key, _EDITION_LABEL, KEY_LENGTH), card, "sha256")


def _row(patient_key: bytes, kind: str, patient: UUID, position: int) -> tuple[bytes, bytes]:
    name = kind.encode()
    try:
        where = struct.pack(">16sQ", patient.bytes, position)
    except struct.error as error:
        raise Malformed("a position is a whole number from 0") from error
    return hkdf_expand(patient_key, _ROW_LABEL + name, KEY_LENGTH), length_prefixed(name) + where
