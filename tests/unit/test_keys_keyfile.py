"""Key files: who may read them, what happens when one is lost, changed or half written."""

from __future__ import annotations

import hashlib
import hmac
import os
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from uuid import UUID

import pytest

from releve.security.errors import KeyRefused, KeyServiceDown, SecurityError
from releve.security.keys.keyfile import KeyFiles, file_name, open_key_file, seal_key_file
from releve.security.keys.records import KeyFileRecord, Purpose
from releve.security.keys.wrapper import (
    AUDIT,
    SYSTEM,
    DataKeyContext,
    Scope,
    fixed_key_id,
    scope_of,
)
from releve.security.ledger.notes import verify_note

STREAM = UUID("11111111-1111-8111-8111-111111111111")
CENTRE = UUID("33333333-3333-8333-8333-333333333333")
CONTEXT = DataKeyContext(STREAM, 1, Scope.of_centre(CENTRE))
DATA_KEY = bytes(range(32))
CENTRE_FILE = "centre-33333333333383338333333333333333-1.rlk"
SYSTEM_FILE = "system-00000000000000000000000000000005-1.rlk"
ORIGIN = "releve/00000000000000000000000000000001"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A directory of keys in which one centre's key has been used."""
    path = tmp_path / "keys"
    KeyFiles(path).wrap_many([(CONTEXT, DATA_KEY)])
    return path


@pytest.fixture
def record(directory: Path) -> bytes:
    return KeyFiles(directory).wrap_many([(CONTEXT, DATA_KEY)])[0]


class TestFiles:
    def test_files_are_their_owners_alone_and_name_no_person(self, directory: Path) -> None:
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        assert sorted(os.listdir(directory)) == [
            "audit-00000000000000000000000000000002-1.rlk",
            "blind-index-00000000000000000000000000000003-1.rlk",
            CENTRE_FILE,
            "log-signing-00000000000000000000000000000004-1.rlk",
            SYSTEM_FILE,
        ]
        for path in directory.iterdir():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert path.stat().st_size == 108

    def test_a_file_is_its_owners_alone_whatever_the_umask(self, tmp_path: Path) -> None:
        before = os.umask(0)
        try:
            KeyFiles(tmp_path / "keys").blind_index()
        finally:
            os.umask(before)
        modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "keys").iterdir()}
        assert modes == {0o600}

    def test_a_second_start_opens_the_same_keys(self, directory: Path, record: bytes) -> None:
        first, again = KeyFiles(directory), KeyFiles(directory)
        assert again.unwrap_many([record]) == [DATA_KEY]
        assert first.blind_index().mac("ins", "1") == again.blind_index().mac("ins", "1")
        assert first.log_signer(ORIGIN).vkey == again.log_signer(ORIGIN).vkey

    def test_the_installations_keys_are_all_different(self, directory: Path) -> None:
        contents = [
            open_key_file(KeyFileRecord.parse(path.read_bytes()), None)
            for path in directory.iterdir()
        ]
        assert len(set(contents)) == len(contents) == 5

    def test_nothing_secret_is_shown(self, directory: Path) -> None:
        files = KeyFiles(directory)
        index = files.blind_index()
        assert repr(index) == "BlindIndex()"
        assert repr(files) == f"KeyFiles({str(directory)!r})"

    def test_many_at_once_make_one_key(self, tmp_path: Path) -> None:
        path = tmp_path / "keys"

        def wrap(_: int) -> bytes:
            return KeyFiles(path).wrap_many([(CONTEXT, DATA_KEY)])[0]

        with ThreadPoolExecutor(8) as threads:
            records = list(threads.map(wrap, range(16)))
        assert KeyFiles(path).unwrap_many(records) == [DATA_KEY] * 16
        assert len(os.listdir(path)) == 5


class TestOpening:
    def refused(self, directory: Path, record: bytes) -> None:
        with pytest.raises(KeyRefused):
            KeyFiles(directory).unwrap_many([record])

    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o601])
    def test_a_file_open_to_others(self, directory: Path, record: bytes, mode: int) -> None:
        (directory / CENTRE_FILE).chmod(mode)
        self.refused(directory, record)
        with pytest.raises(KeyRefused):
            KeyFiles(directory).health()

    @pytest.mark.parametrize("mode", [0o770, 0o707, 0o1777, 0o720])
    def test_a_directory_others_may_write_to(
        self, directory: Path, record: bytes, mode: int
    ) -> None:
        directory.chmod(mode)
        self.refused(directory, record)

    def test_a_symbolic_link(self, directory: Path, record: bytes, tmp_path: Path) -> None:
        (directory / CENTRE_FILE).rename(tmp_path / "elsewhere")
        (directory / CENTRE_FILE).symlink_to(tmp_path / "elsewhere")
        self.refused(directory, record)

    def test_a_link_where_a_key_is_to_be_made(self, directory: Path, tmp_path: Path) -> None:
        other = UUID(int=1 << 100)
        name = file_name((Purpose.CENTRE, other, 1))
        (directory / name).symlink_to(tmp_path / "not there")
        with pytest.raises(SecurityError):
            KeyFiles(directory).wrap_many(
                [(DataKeyContext(STREAM, 1, Scope.of_centre(other)), DATA_KEY)]
            )
        assert not (tmp_path / "not there").exists()

    def test_a_second_name_for_the_file(
        self, directory: Path, record: bytes, tmp_path: Path
    ) -> None:
        os.link(directory / CENTRE_FILE, tmp_path / "second")
        self.refused(directory, record)

    def test_a_link_instead_of_the_directory(
        self, directory: Path, record: bytes, tmp_path: Path
    ) -> None:
        (tmp_path / "link").symlink_to(directory)
        self.refused(tmp_path / "link", record)

    def test_a_file_instead_of_the_directory(self, tmp_path: Path, record: bytes) -> None:
        (tmp_path / "file").touch()
        self.refused(tmp_path / "file", record)

    def test_a_pipe_is_refused_and_not_waited_for(self, directory: Path, record: bytes) -> None:
        (directory / CENTRE_FILE).unlink()
        os.mkfifo(directory / CENTRE_FILE, 0o600)
        self.refused(directory, record)

    def test_another_owner(self, directory: Path, record: bytes) -> None:
        if os.geteuid() == 0:
            os.chown(directory / CENTRE_FILE, 12_345, 12_345)
            self.refused(directory, record)
            os.chown(directory / CENTRE_FILE, 0, 0)
            os.chown(directory, 12_345, 12_345)
            self.refused(directory, record)
        else:
            self.refused(Path("/usr"), record)

    def test_a_file_under_another_keys_name(self, directory: Path, record: bytes) -> None:
        raw = (directory / SYSTEM_FILE).read_bytes()
        (directory / CENTRE_FILE).write_bytes(raw)
        self.refused(directory, record)

    @pytest.mark.parametrize("length", [0, 107, 109, 4_096])
    def test_a_file_of_another_length(self, directory: Path, record: bytes, length: int) -> None:
        raw = (directory / CENTRE_FILE).read_bytes()
        (directory / CENTRE_FILE).write_bytes(raw.ljust(length, b"\x00")[:length])
        with pytest.raises(SecurityError):
            KeyFiles(directory).unwrap_many([record])

    def test_every_bit_of_a_key_file_counts(self, directory: Path, record: bytes) -> None:
        path = directory / CENTRE_FILE
        raw = path.read_bytes()
        for bit in range(len(raw) * 8):
            changed = bytearray(raw)
            changed[bit // 8] ^= 1 << bit % 8
            path.write_bytes(changed)
            with pytest.raises(SecurityError):
                KeyFiles(directory).unwrap_many([record])
        path.write_bytes(raw)
        assert KeyFiles(directory).unwrap_many([record]) == [DATA_KEY]

    def test_every_bit_of_a_wrapped_key_counts(self, directory: Path, record: bytes) -> None:
        files = KeyFiles(directory)
        for bit in range(len(record) * 8):
            changed = bytearray(record)
            changed[bit // 8] ^= 1 << bit % 8
            with pytest.raises(SecurityError):
                files.unwrap_many([bytes(changed)])


class TestLosing:
    def test_a_lost_key_is_reported_and_never_made_again(
        self, directory: Path, record: bytes
    ) -> None:
        lost = {path.name: path.read_bytes() for path in directory.iterdir()}
        for name in lost:
            (directory / name).unlink()
            files = KeyFiles(directory)
            scope = SYSTEM if name == SYSTEM_FILE else AUDIT
            needs: dict[str, Callable[[], object]] = {
                "centre": partial(files.unwrap_many, [record]),
                "blind": files.blind_index,
                "log": partial(files.log_signer, ORIGIN),
            }
            wrap = partial(files.wrap_many, [(DataKeyContext(STREAM, 1, scope), DATA_KEY)])
            with pytest.raises(KeyServiceDown):
                needs.get(name.partition("-")[0], wrap)()
            assert not (directory / name).exists()
            (directory / name).write_bytes(lost[name])
            (directory / name).chmod(0o600)
        assert KeyFiles(directory).unwrap_many([record]) == [DATA_KEY]

    def test_a_directory_that_is_away_is_an_outage(self, directory: Path, record: bytes) -> None:
        away = directory.with_name("away")
        directory.rename(away)
        with pytest.raises(KeyServiceDown):
            KeyFiles(directory).unwrap_many([record])
        assert not directory.exists(), "opening makes nothing"
        away.rename(directory)
        assert KeyFiles(directory).unwrap_many([record]) == [DATA_KEY]

    def test_a_start_that_was_cut_short_is_finished(self, tmp_path: Path) -> None:
        path = tmp_path / "keys"
        vkey = KeyFiles(path).log_signer(ORIGIN).vkey
        (path / SYSTEM_FILE).unlink()
        (path / "audit-00000000000000000000000000000002-1.rlk").unlink()
        (path / ".new-0123456789abcdef").write_bytes(b"RLK1")
        files = KeyFiles(path)
        files.wrap_many([(CONTEXT, DATA_KEY)])
        assert files.log_signer(ORIGIN).vkey == vkey, "what stood is kept"
        assert SYSTEM_FILE in os.listdir(path)
        assert not [name for name in os.listdir(path) if name.startswith(".")]

    def test_the_newest_version_is_used_and_older_ones_still_open(
        self, directory: Path, record: bytes
    ) -> None:
        name = Purpose.CENTRE, CENTRE, 2
        path = directory / file_name(name)
        path.write_bytes(seal_key_file(name, bytes(32), None))
        path.chmod(0o600)
        files = KeyFiles(directory)
        assert files.current_version(CENTRE) == 2
        newer = files.wrap_many([(CONTEXT, DATA_KEY)])[0]
        assert newer[21:25] == b"\x00\x00\x00\x02"
        assert files.unwrap_many([record, newer]) == [DATA_KEY, DATA_KEY]


class TestPassphrase:
    NAME = Purpose.CENTRE, CENTRE, 1

    def test_only_the_passphrase_opens(self) -> None:
        raw = seal_key_file(self.NAME, DATA_KEY, b"une phrase")
        record = KeyFileRecord.parse(raw)
        assert (record.kdf, record.memory_kib, record.passes, record.lanes) == (1, 65_536, 3, 4)
        assert open_key_file(record, b"une phrase") == DATA_KEY
        for wrong in (b"une phrase ", None):
            with pytest.raises(KeyRefused):
                open_key_file(record, wrong)

    def test_every_part_of_the_file_counts(self) -> None:
        raw = seal_key_file(self.NAME, DATA_KEY, b"une phrase")
        for at in (32, 48, 60, 107):
            changed = raw[:at] + bytes((raw[at] ^ 1,)) + raw[at + 1 :]
            with pytest.raises(KeyRefused):
                open_key_file(KeyFileRecord.parse(changed), b"une phrase")

    def test_an_unprotected_file_is_refused_where_a_passphrase_is_set(
        self, directory: Path, record: bytes
    ) -> None:
        with pytest.raises(KeyRefused):
            KeyFiles(directory, b"une phrase").unwrap_many([record])

    def test_an_empty_passphrase_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(KeyRefused):
            KeyFiles(tmp_path, b"")


class TestHealth:
    def test_it_says_in_clear_words_what_protects_the_keys(
        self, tmp_path: Path, directory: Path
    ) -> None:
        assert "aucun" in KeyFiles(tmp_path / "none").health()
        words = KeyFiles(directory).health()
        assert words.startswith("kek: embedded ; 5 fichiers")
        assert "sans phrase secrète" in words

    def test_it_fails_where_a_key_cannot_be_used(self, directory: Path) -> None:
        (directory / SYSTEM_FILE).write_bytes(b"")
        with pytest.raises(SecurityError):
            KeyFiles(directory).health()


class TestScopes:
    def test_which_key_wraps_which_class(self) -> None:
        centre = Scope.of_centre(CENTRE)
        expected = {1: centre, 2: centre, 3: SYSTEM, 4: centre, 5: centre, 6: AUDIT, 7: SYSTEM}
        assert {number: scope_of(number, CENTRE) for number in expected} == expected
        assert scope_of(8, None) == SYSTEM
        for number, named in ((1, None), (9, CENTRE), (0xFFF0, CENTRE)):
            with pytest.raises(KeyRefused):
                scope_of(number, named)

    def test_ids_of_the_installations_own_keys_are_not_centres(self) -> None:
        assert Scope.of_key(fixed_key_id(Purpose.SYSTEM)) == SYSTEM
        assert Scope.of_key(fixed_key_id(Purpose.AUDIT)) == AUDIT
        for purpose in (Purpose.BLIND_INDEX, Purpose.LOG_SIGNING):
            with pytest.raises(KeyRefused):
                Scope.of_key(fixed_key_id(purpose))


class TestBlindIndex:
    def test_uses_are_kept_apart(self, directory: Path) -> None:
        index = KeyFiles(directory).blind_index()
        macs = [
            index.mac("ins", "123"),
            index.mac("ins", "124"),
            index.mac("phone", "123"),
            index.mac("in", "s123"),
            index.request_key(b"ins", b"123"),
            index.import_key(b"ins", b"123"),
        ]
        assert len(set(macs)) == 6
        assert {len(mac) for mac in macs} == {32}
        assert index.mac("ins", b"123") == macs[0]

    def test_the_macs_are_those_of_the_format(self, directory: Path) -> None:
        path = directory / "blind-index-00000000000000000000000000000003-1.rlk"
        key = open_key_file(KeyFileRecord.parse(path.read_bytes()), None)
        index = KeyFiles(directory).blind_index()
        for mac, label in (
            (index.mac("k", "v"), b"releve/blind/v1"),
            (index.request_key(b"k", b"v"), b"releve/request/v1"),
            (index.import_key(b"k", b"v"), b"releve/import/v1"),
        ):
            message = len(label).to_bytes(4, "big") + label
            message += b"\x00\x00\x00\x01k\x00\x00\x00\x01v"
            assert mac == hmac.new(key, message, hashlib.sha256).digest()


def test_the_log_signer_signs_under_the_logs_name(directory: Path) -> None:
    signer = KeyFiles(directory).log_signer(ORIGIN)
    assert verify_note(signer.sign(3, bytes(32)), [signer.vkey]).origin == ORIGIN
