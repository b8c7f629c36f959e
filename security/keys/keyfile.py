"""Keys in files: the first adapter of the key-wrapper port, and home of the other lasting keys.

One file a key and version, 108 bytes (``RLK1``, ``docs/formats.md`` §2), in a directory that only
its owner can write to. Every check is made on the opened descriptor, not on the name. With a
passphrase a file is sealed under Argon2id; without one it is protected against damage only, and
:meth:`KeyFiles.health` says so.

The four keys of an installation (audit, blind index, log signing, system) are made together, once.
One that is missing later is reported, never made again: a new one would silently open nothing.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hmac
import os
import re
import secrets
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NoReturn
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from releve.security.errors import KeyRefused, KeyServiceDown
from releve.security.keys.derivation import KEY_LENGTH, hkdf, length_prefixed
from releve.security.keys.records import (
    KEY_FILE_LENGTH,
    Algorithm,
    Kdf,
    KeyFileRecord,
    Purpose,
    WrappedKey,
)
from releve.security.keys.wrapper import DataKeyContext, Scope, fixed_key_id
from releve.security.ledger.notes import LogSigner

ARGON2ID: Final = (64 * 1024, 3, 4)
"""Memory (KiB), passes and lanes of new files with a passphrase: about 0.4 s."""

# The system key comes last: once it stands, the installation is founded.
_FOUNDING = (Purpose.AUDIT, Purpose.BLIND_INDEX, Purpose.LOG_SIGNING, Purpose.SYSTEM)
_NAME = re.compile(r"([a-z-]+)-([0-9a-f]{32})-([1-9][0-9]{0,9})\.rlk")
_UNFINISHED = ".new-"
_FILE_LABEL = b"releve/keyfile/v1"

_PURPOSES = {purpose.name.lower().replace("_", "-"): purpose for purpose in Purpose}

KeyName = tuple[Purpose, UUID, int]
"""Purpose, key id and version: what a file's name and its content must agree on."""


class BlindIndex:
    """Turns exact values into MACs that can be compared and cannot be reversed without the key."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        self._key = key

    def __repr__(self) -> str:
        return "BlindIndex()"

    def mac(self, kind: str, value: str | bytes) -> bytes:
        """Give 32 bytes for an already normalised value; ``kind`` keeps two uses apart."""
        raw = value.encode() if isinstance(value, str) else value
        return self._mac(b"releve/blind/v1", kind.encode(), raw)

    def request_key(self, actor: bytes, client_key: bytes) -> bytes:
        """Give what a client's ``Idempotency-Key`` becomes before event ids are derived from it."""
        return self._mac(b"releve/request/v1", actor, client_key)

    def import_key(self, file_sha256: bytes, entry: bytes) -> bytes:
        """Give the idempotency key of one entry of an imported file."""
        return self._mac(b"releve/import/v1", file_sha256, entry)

    def _mac(self, *parts: bytes) -> bytes:
        return hmac.digest(self._key, length_prefixed(*parts), "sha256")


class KeyFiles:
    """A directory of key files; implements ``KeyWrapper`` and gives blind index and log signer.

    Several processes may use one directory: making a key takes a lock on it.
    """

    def __init__(
        self,
        directory: Path,
        passphrase: bytes | None = None,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Take the directory, made (0700) with the first key if it is missing.

        Raises:
            KeyRefused: an empty passphrase.
        """
        if passphrase is not None and not passphrase:
            raise KeyRefused("la phrase secrète des clés est vide")
        self._directory = directory
        self._passphrase = passphrase
        self._now = now
        self._opened: dict[KeyName, bytes] = {}
        self._lock = threading.RLock()

    def __repr__(self) -> str:
        return f"KeyFiles({str(self._directory)!r})"

    def wrap_many(self, items: Sequence[tuple[DataKeyContext, bytes]]) -> list[bytes]:
        """Give one record for each data key; see ``KeyWrapper``."""
        current: dict[Scope, tuple[int, AESGCM]] = {}
        created = int(self._now().timestamp() * 1_000_000)
        records: list[bytes] = []
        for context, data_key in items:
            if len(data_key) != KEY_LENGTH:
                raise KeyRefused("une clé de données a 32 octets")
            scope = context.scope
            if scope not in current:
                version, key = self._current_key(scope.purpose, scope.kek)
                current[scope] = version, AESGCM(key)
            version, cipher = current[scope]
            record = WrappedKey(
                algorithm=Algorithm.LOCAL_GCM,
                kek=scope.kek,
                kek_version=version,
                generation=context.generation,
                stream=context.stream,
                created=created,
                blob=b"",
            )
            nonce = os.urandom(12)
            blob = nonce + cipher.encrypt(nonce, data_key, record.prefix())
            records.append(replace(record, blob=blob).pack())
        return records

    def unwrap_many(self, records: Sequence[bytes]) -> list[bytes]:
        """Give the data key of each record; see ``KeyWrapper``."""
        ciphers: dict[tuple[UUID, int], AESGCM] = {}
        keys: list[bytes] = []
        for raw in records:
            record = WrappedKey.parse(raw)
            if record.algorithm is not Algorithm.LOCAL_GCM:
                raise KeyRefused("cette clé de données n’a pas été scellée par un fichier de clé")
            named = record.kek, record.kek_version
            if named not in ciphers:
                purpose = Scope.of_key(record.kek).purpose
                ciphers[named] = AESGCM(self._key(purpose, *named))
            try:
                keys.append(
                    ciphers[named].decrypt(record.blob[:12], record.blob[12:], record.prefix())
                )
            except InvalidTag as error:
                raise KeyRefused("une clé de données scellée a été altérée") from error
        return keys

    def current_version(self, kek: UUID) -> int:
        """Give the newest version of this key, 0 while there is none."""
        return self._newest(Scope.of_key(kek).purpose, kek)

    def health(self) -> str:
        """Say what protects the keys, after reading every file (no passphrase is tried).

        Raises:
            KeyRefused: a file or the directory has a wrong owner, mode, link or content.
            KeyServiceDown: the directory cannot be read.
        """
        with self._open_directory(create=False) as directory:
            if directory is None:
                return "kek: embedded ; aucun fichier de clé encore"
            found = [self._read(directory, name) for name in self._names(directory)]
        bare = sum(record.kdf is Kdf.NONE for record in found)
        if bare:
            return (
                f"kek: embedded ; {len(found)} fichiers de clé, dont {bare} sans phrase secrète : "
                "protégés contre l’altération seulement, qui lit ce répertoire lit les dossiers"
            )
        return f"kek: embedded ; {len(found)} fichiers de clé sous phrase secrète (Argon2id)"

    def blind_index(self) -> BlindIndex:
        """Give the index under this installation's blind-index key."""
        return BlindIndex(self._fixed_key(Purpose.BLIND_INDEX))

    def log_signer(self, origin: str) -> LogSigner:
        """Give the signer of the log of this name (``notes.log_origin``)."""
        return LogSigner(self._fixed_key(Purpose.LOG_SIGNING), origin)

    def _fixed_key(self, purpose: Purpose) -> bytes:
        return self._current_key(purpose, fixed_key_id(purpose))[1]

    def _current_key(self, purpose: Purpose, key_id: UUID) -> tuple[int, bytes]:
        """Give the newest version and its key; makes version 1 of a key that may be made."""
        version = self._newest(purpose, key_id)
        if not version:
            with self._lock, self._open_directory(create=True) as directory:
                if directory is None:  # pragma: no cover - it was just made
                    raise KeyServiceDown("le répertoire des clés n’est pas lisible")
                fcntl.flock(directory, fcntl.LOCK_EX)
                self._found(directory)
                version = self._newest_in(directory, purpose, key_id)
                if not version and purpose is Purpose.CENTRE:
                    self._create(directory, (purpose, key_id, 1))
                    version = 1
            if not version:
                self._missing((purpose, key_id, 1))
        return version, self._key(purpose, key_id, version)

    def _key(self, purpose: Purpose, key_id: UUID, version: int) -> bytes:
        name = purpose, key_id, version
        with self._lock:
            key = self._opened.get(name)
            if key is None:
                with self._open_directory(create=False) as directory:
                    if directory is None:
                        self._missing(name)
                    key = open_key_file(self._read(directory, name), self._passphrase)
                self._opened[name] = key
            return key

    def _newest(self, purpose: Purpose, key_id: UUID) -> int:
        with self._open_directory(create=False) as directory:
            return 0 if directory is None else self._newest_in(directory, purpose, key_id)

    def _newest_in(self, directory: int, purpose: Purpose, key_id: UUID) -> int:
        versions = (n[2] for n in self._names(directory) if n[:2] == (purpose, key_id))
        return max(versions, default=0)

    def _names(self, directory: int) -> list[KeyName]:
        names: list[KeyName] = []
        for entry in sorted(os.listdir(directory)):
            match = _NAME.fullmatch(entry)
            purpose = _PURPOSES.get(match[1]) if match else None
            if match and purpose:
                names.append((purpose, UUID(hex=match[2]), int(match[3])))
        return names

    def _found(self, directory: int) -> None:
        """Make the installation's four keys, unless it already stands; finishes a broken start."""
        for entry in os.listdir(directory):
            if entry.startswith(_UNFINISHED):
                os.unlink(entry, dir_fd=directory)
        names = self._names(directory)
        if any(purpose in (Purpose.SYSTEM, Purpose.CENTRE) for purpose, _, _ in names):
            return
        for purpose in _FOUNDING:
            if not any(name[0] is purpose for name in names):
                self._create(directory, (purpose, fixed_key_id(purpose), 1))

    def _create(self, directory: int, name: KeyName) -> None:
        """Write a new random key: whole and durable under its name, or not at all."""
        raw = seal_key_file(name, os.urandom(KEY_LENGTH), self._passphrase)
        unfinished = _UNFINISHED + secrets.token_hex(8)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            descriptor = os.open(unfinished, flags, 0o600, dir_fd=directory)
            try:
                os.fchmod(descriptor, 0o600)
                if os.write(descriptor, raw) != len(raw):
                    raise OSError(errno.ENOSPC, "short write")
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            # The directory is locked and the name was free; a rename leaves a single link.
            os.rename(unfinished, file_name(name), src_dir_fd=directory, dst_dir_fd=directory)
            os.fsync(directory)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.unlink(unfinished, dir_fd=directory)
            raise KeyServiceDown("un fichier de clé n’a pas pu être écrit") from error

    def _read(self, directory: int, name: KeyName) -> KeyFileRecord:
        label = file_name(name)
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        try:
            descriptor = os.open(label, flags, dir_fd=directory)
        except FileNotFoundError:
            self._missing(name)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.EACCES, errno.EPERM):
                raise KeyRefused(f"{label} est un lien ou n’est pas lisible") from error
            raise KeyServiceDown(f"{label} n’a pas pu être lu") from error
        try:
            _check_file(os.fstat(descriptor), label)
            raw = os.read(descriptor, KEY_FILE_LENGTH + 1)
        except OSError as error:
            raise KeyServiceDown(f"{label} n’a pas pu être lu") from error
        finally:
            os.close(descriptor)
        record = KeyFileRecord.parse(raw)
        if (record.purpose, record.key_id, record.version) != name:
            raise KeyRefused(f"{label} contient une autre clé que celle de son nom")
        return record

    @contextlib.contextmanager
    def _open_directory(self, *, create: bool) -> Iterator[int | None]:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor: int | None = None
        try:
            try:
                descriptor = os.open(self._directory, flags)
            except FileNotFoundError:
                if create:
                    self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                    _sync_directory(self._directory.parent)
                    descriptor = os.open(self._directory, flags)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.EACCES):
                raise KeyRefused("le répertoire des clés est un lien ou illisible") from error
            raise KeyServiceDown("le répertoire des clés n’est pas lisible") from error
        try:
            if descriptor is not None:
                _check_directory(os.fstat(descriptor))
            yield descriptor
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def _missing(self, name: KeyName) -> NoReturn:
        raise KeyServiceDown(f"le fichier de clé {file_name(name)} manque : le remettre en place")


def file_name(name: KeyName) -> str:
    """Give a key's file name, such as ``centre-<id in hex>-1.rlk``; it names no person."""
    purpose, key_id, version = name
    return f"{purpose.name.lower().replace('_', '-')}-{key_id.hex}-{version}.rlk"


def seal_key_file(name: KeyName, key: bytes, passphrase: bytes | None) -> bytes:
    """Give the 108 bytes of a key file; without a passphrase they only show damage."""
    purpose, key_id, version = name
    kdf = Kdf.NONE if passphrase is None else Kdf.ARGON2ID
    memory_kib, passes, lanes = (0, 0, 0) if passphrase is None else ARGON2ID
    record = KeyFileRecord(
        purpose=purpose,
        key_id=key_id,
        version=version,
        kdf=kdf,
        memory_kib=memory_kib,
        passes=passes,
        lanes=lanes,
        salt=os.urandom(16),
        nonce=os.urandom(12),
        ciphertext=bytes(48),
    )
    cipher = AESGCM(_file_key(record, passphrase))
    return replace(record, ciphertext=cipher.encrypt(record.nonce, key, record.prefix())).pack()


def open_key_file(record: KeyFileRecord, passphrase: bytes | None) -> bytes:
    """Give the 32-byte key inside a key file.

    Raises:
        KeyRefused: a wrong or missing passphrase, a passphrase for a file that has none, or a
            changed byte.
    """
    label = file_name((record.purpose, record.key_id, record.version))
    if record.kdf is Kdf.ARGON2ID and passphrase is None:
        raise KeyRefused(f"{label} demande une phrase secrète")
    if record.kdf is Kdf.NONE and passphrase is not None:
        # Whoever can write to the directory could otherwise plant a key of theirs.
        raise KeyRefused(f"{label} n’est pas protégé par la phrase secrète donnée")
    try:
        return AESGCM(_file_key(record, passphrase)).decrypt(
            record.nonce, record.ciphertext, record.prefix()
        )
    except InvalidTag as error:
        raise KeyRefused(f"{label} : phrase secrète fausse ou fichier altéré") from error


def _file_key(record: KeyFileRecord, passphrase: bytes | None) -> bytes:
    if passphrase is None:
        return hkdf(bytes(KEY_LENGTH), record.salt, _FILE_LABEL, KEY_LENGTH)
    return Argon2id(
        salt=record.salt,
        length=KEY_LENGTH,
        iterations=record.passes,
        lanes=record.lanes,
        memory_cost=record.memory_kib,
    ).derive(passphrase)


def _check_file(found: os.stat_result, label: str) -> None:
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
        raise KeyRefused(f"{label} n’est pas un fichier simple à un seul nom")
    if found.st_uid != os.geteuid():
        raise KeyRefused(f"{label} appartient à un autre utilisateur")
    if found.st_mode & 0o077:
        raise KeyRefused(f"{label} est ouvert à d’autres que son propriétaire : chmod 600")


def _check_directory(found: os.stat_result) -> None:
    if found.st_uid != os.geteuid():
        raise KeyRefused("le répertoire des clés appartient à un autre utilisateur")
    if found.st_mode & 0o022:
        raise KeyRefused("le répertoire des clés est ouvert en écriture à d’autres : chmod 700")


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
