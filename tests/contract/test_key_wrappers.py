"""One suite for every adapter of the key-wrapper port.

An adapter is tested by subclassing :class:`KeyWrapperContract` and giving ``wrapper`` and
``another_opening``. The adapters that ran are printed at the end: one that is missing from the
list was not tested.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar
from uuid import UUID, uuid4

import pytest

from releve.security.errors import KeyServiceDown, Malformed, SecurityError
from releve.security.keys.keyfile import KeyFiles
from releve.security.keys.records import Purpose, WrappedKey
from releve.security.keys.wrapper import (
    AUDIT,
    SYSTEM,
    DataKeyContext,
    KeyWrapper,
    Scope,
    fixed_key_id,
)

CENTRES = [UUID(int=(n + 1) << 64) for n in range(2)]
SCOPES = [Scope.of_centre(CENTRES[0]), Scope.of_centre(CENTRES[1]), SYSTEM, AUDIT]
RAN: list[str] = []


class KeyWrapperContract:
    """What every adapter must do. ``wrapper`` and ``another_opening`` share one set of keys."""

    adapter: ClassVar[str]

    @pytest.fixture(scope="class")
    @classmethod
    def wrapper(cls, tmp_path_factory: pytest.TempPathFactory) -> KeyWrapper:
        """The adapter under test, over keys that this class alone uses."""
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def another_opening(cls, wrapper: KeyWrapper) -> KeyWrapper:
        """The same keys, as another process would open them."""
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def out_of_service(cls, wrapper: KeyWrapper) -> KeyWrapper:
        """The adapter while its keys cannot be reached."""
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def ready(cls, wrapper: KeyWrapper) -> Callable[[int], list[tuple[DataKeyContext, bytes]]]:
        """Give so many contexts with data keys, over all scopes; the scopes' keys exist."""

        def make(count: int) -> list[tuple[DataKeyContext, bytes]]:
            return [
                (DataKeyContext(uuid4(), 1 + n, SCOPES[n % len(SCOPES)]), os.urandom(32))
                for n in range(count)
            ]

        wrapper.wrap_many(make(len(SCOPES)))
        RAN.append(cls.adapter)
        return make

    Ready = Callable[[int], list[tuple[DataKeyContext, bytes]]]

    def test_a_batch_comes_back_in_order(self, wrapper: KeyWrapper, ready: Ready) -> None:
        items = ready(400)
        records = wrapper.wrap_many(items)
        assert wrapper.unwrap_many(records[::-1]) == [key for _, key in items][::-1]
        assert wrapper.wrap_many([]) == wrapper.unwrap_many([]) == []

    def test_a_record_says_what_it_is_for_and_by_which_key(
        self, wrapper: KeyWrapper, ready: Ready
    ) -> None:
        items = ready(8)
        for (context, _), raw in zip(items, wrapper.wrap_many(items), strict=True):
            record = WrappedKey.parse(raw)
            assert (record.stream, record.generation) == (context.stream, context.generation)
            assert record.kek == context.scope.kek
            assert record.kek_version == wrapper.current_version(record.kek) >= 1

    def test_the_data_key_is_not_in_the_record(self, wrapper: KeyWrapper, ready: Ready) -> None:
        ((context, key),) = ready(1)
        first, second = wrapper.wrap_many([(context, key), (context, key)])
        assert key not in first
        assert first != second

    def test_another_process_opens_them(
        self, wrapper: KeyWrapper, another_opening: KeyWrapper, ready: Ready
    ) -> None:
        items = ready(8)
        assert another_opening.unwrap_many(wrapper.wrap_many(items)) == [key for _, key in items]

    def test_every_bit_of_a_record_counts(self, wrapper: KeyWrapper, ready: Ready) -> None:
        (record,) = wrapper.wrap_many(ready(1))
        for bit in range(len(record) * 8):
            changed = bytearray(record)
            changed[bit // 8] ^= 1 << bit % 8
            with pytest.raises(SecurityError):
                wrapper.unwrap_many([bytes(changed)])

    def test_a_record_does_not_open_as_another_streams(
        self, wrapper: KeyWrapper, ready: Ready
    ) -> None:
        first, second = wrapper.wrap_many(ready(1) + ready(1))
        with pytest.raises(SecurityError):
            wrapper.unwrap_many([first[:29] + second[29:45] + first[45:]])

    def test_a_batch_is_opened_whole_or_not_at_all(self, wrapper: KeyWrapper, ready: Ready) -> None:
        records = wrapper.wrap_many(ready(3))
        for bad in (records[1][:-1], b"", records[1][:-1] + bytes((records[1][-1] ^ 1,))):
            with pytest.raises(SecurityError):
                wrapper.unwrap_many([records[0], bad, records[2]])

    def test_what_is_no_record_is_malformed(self, wrapper: KeyWrapper, ready: Ready) -> None:
        (record,) = wrapper.wrap_many(ready(1))
        for bad in (b"", record[:54], b"RLD2" + record[4:], record + b"\x00"):
            with pytest.raises(Malformed):
                wrapper.unwrap_many([bad])

    @pytest.mark.parametrize("length", [0, 16, 31, 33])
    def test_only_whole_data_keys_are_wrapped(
        self, wrapper: KeyWrapper, ready: Ready, length: int
    ) -> None:
        ((context, _),) = ready(1)
        with pytest.raises(SecurityError):
            wrapper.wrap_many([(context, bytes(length))])

    def test_a_key_that_was_never_used_has_no_version(
        self, wrapper: KeyWrapper, ready: Ready
    ) -> None:
        assert wrapper.current_version(uuid4()) == 0

    def test_keys_for_other_purposes_wrap_nothing(self, wrapper: KeyWrapper, ready: Ready) -> None:
        (record,) = wrapper.wrap_many(ready(1))
        for purpose in (Purpose.BLIND_INDEX, Purpose.LOG_SIGNING):
            named = record[:5] + fixed_key_id(purpose).bytes + record[21:]
            with pytest.raises(SecurityError):
                wrapper.unwrap_many([named])

    def test_threads_may_share_it(self, wrapper: KeyWrapper, ready: Ready) -> None:
        def there_and_back(_: int) -> bool:
            items = ready(20)
            return wrapper.unwrap_many(wrapper.wrap_many(items)) == [key for _, key in items]

        with ThreadPoolExecutor(8) as threads:
            assert all(threads.map(there_and_back, range(32)))

    def test_its_health_is_told_in_words(self, wrapper: KeyWrapper, ready: Ready) -> None:
        assert wrapper.health().startswith("kek: ")

    def test_an_outage_is_an_outage_and_nothing_else(
        self, wrapper: KeyWrapper, out_of_service: KeyWrapper, ready: Ready
    ) -> None:
        (record,) = wrapper.wrap_many(ready(1))
        with pytest.raises(KeyServiceDown):
            out_of_service.unwrap_many([record])


class TestKeyFiles(KeyWrapperContract):
    """Key files without a passphrase: the default of a first start."""

    adapter = "file"
    passphrase: ClassVar[bytes | None] = None

    @pytest.fixture(scope="class")
    @classmethod
    def directory(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        return tmp_path_factory.mktemp("wrapper") / "keys"

    @pytest.fixture(scope="class")
    @classmethod
    def wrapper(cls, directory: Path) -> KeyWrapper:
        return KeyFiles(directory, cls.passphrase)

    @pytest.fixture(scope="class")
    @classmethod
    def another_opening(cls, wrapper: KeyWrapper, directory: Path) -> KeyWrapper:
        return KeyFiles(directory, cls.passphrase)

    @pytest.fixture(scope="class")
    @classmethod
    def out_of_service(cls, wrapper: KeyWrapper, directory: Path) -> KeyWrapper:
        return KeyFiles(directory / "not mounted", cls.passphrase)


class TestKeyFilesWithPassphrase(TestKeyFiles):
    """Key files sealed under Argon2id."""

    adapter = "file with passphrase"
    passphrase: ClassVar[bytes | None] = "une phrase qui protège".encode()


def adapters(base: type[KeyWrapperContract] = KeyWrapperContract) -> set[str]:
    """Every adapter that has a suite here."""
    found = {base.adapter} if hasattr(base, "adapter") else set()
    return found.union(*(adapters(below) for below in base.__subclasses__()))


def test_every_adapter_ran(capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\nkey wrappers tested: {', '.join(sorted(RAN))}")  # noqa: T201 - the suite's report
    assert set(RAN) == adapters() >= {"file", "file with passphrase"}
