"""Data keys on a real database: made once, opened in batches, kept for a while, never confused."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest

from releve.security.errors import (
    KeyDestroyed,
    KeyMissing,
    KeyRefused,
    KeyServiceDown,
    SecurityError,
    Tampered,
)
from releve.security.keys.data_keys import ACCESS_STREAM, DataKeys, access_generation, key_of
from releve.security.keys.keyfile import KeyFiles
from releve.security.keys.wrapper import AUDIT, DataKeyContext
from support.commands import PATIENCE_S
from support.postgres import Database

pytestmark = pytest.mark.postgres

CENTRE = UUID("33333333-3333-8333-8333-333333333333")
PATIENT, CENTRE_CLASS, PRACTITIONER = 1, 2, 3


class CountedKeyFiles(KeyFiles):
    """The real key files, counting calls, and holding them back while ``gate`` is closed."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.unwrapped: list[int] = []
        self.gate = threading.Event()
        self.gate.set()
        self.reached = threading.Event()

    def unwrap_many(self, records: Sequence[bytes]) -> list[bytes]:
        self.unwrapped.append(len(records))
        self.reached.set()
        self.gate.wait(PATIENCE_S)
        return super().unwrap_many(records)


class OvertakenKeyFiles(KeyFiles):
    """The real key files of a process that another one overtakes between two of its steps."""

    def __init__(self, directory: Path, meanwhile: Callable[[], object]) -> None:
        super().__init__(directory)
        self._meanwhile: list[Callable[[], object]] = [meanwhile]

    def current_version(self, kek: UUID) -> int:
        version = super().current_version(kek)
        while self._meanwhile:
            self._meanwhile.pop()()
        return version


class OvertakenWrapping(KeyFiles):
    """The real key files; before the first key is wrapped another thread looks keys up, slowly."""

    def __init__(self, directory: Path, meanwhile: Callable[[], object]) -> None:
        super().__init__(directory)
        self._meanwhile: list[Callable[[], object]] = [meanwhile]
        self._looked_up = threading.Event()
        self._over = threading.Event()

    def wrap_many(self, items: Sequence[tuple[DataKeyContext, bytes]]) -> list[bytes]:
        while self._meanwhile:
            self._looking = threading.Thread(target=self._meanwhile.pop(), daemon=True)
            self._looking.start()
            self._looked_up.wait(PATIENCE_S)
        return super().wrap_many(items)

    def unwrap_many(self, records: Sequence[bytes]) -> list[bytes]:
        if not self._looked_up.is_set():
            self._looked_up.set()
            self._over.wait(3)  # whoever waits for this look-up is told what it saw before
        return super().unwrap_many(records)

    def end(self) -> None:
        """Let the look-up end, and wait until it has."""
        self._over.set()
        self._looking.join(PATIENCE_S)


@dataclass
class Clock:
    """Seconds that pass when a test says so."""

    seconds: float = 1_000.0

    def __call__(self) -> float:
        return self.seconds


@dataclass
class House:
    """One installation: its database, its key files, and as many processes as a test asks for."""

    database: Database
    files: CountedKeyFiles
    directory: Path
    clock: Clock = field(default_factory=Clock)

    def process(self, capacity: int = 5_000) -> DataKeys:
        return DataKeys(self.database.service_pool, self.files, capacity=capacity, clock=self.clock)

    def change(self, statement: str, *arguments: object) -> None:
        """What somebody with the machine's rights does to the table of keys."""
        with psycopg.connect(self.database.superuser_url, autocommit=True) as connection:
            connection.execute(statement.encode(), arguments)

    def destroy(self, stream: UUID) -> None:
        self.change(
            "UPDATE keys.data_key SET record = NULL, destroyed_at = now() WHERE stream = %s", stream
        )

    @contextmanager
    def out_of_service(self) -> Iterator[None]:
        """The key files are away for a while; whoever asks meanwhile asks new ones."""
        away = self.directory.with_name("away")
        self.directory.rename(away)
        self.files = CountedKeyFiles(self.directory)
        yield
        away.rename(self.directory)


@pytest.fixture
def house(database: Database, tmp_path: Path) -> House:
    directory = tmp_path / "keys"
    return House(database, CountedKeyFiles(directory), directory)


class TestMaking:
    def test_a_key_is_made_once_and_found_again_by_another_process(self, house: House) -> None:
        stream = uuid4()
        key = house.process().create(stream, PATIENT, CENTRE)
        assert len(key) == 32
        assert house.process().get(stream, 1) == key
        assert house.process().create(stream, PATIENT, CENTRE) == key

    def test_streams_have_keys_of_their_own(self, house: House) -> None:
        keys = house.process().create_many(
            [(uuid4(), PATIENT, CENTRE), (uuid4(), PRACTITIONER, None), (uuid4(), 4, CENTRE)]
        )
        assert len(set(keys.values())) == 3
        assert {generation for _, generation in keys} == {1}

    def test_a_centre_wraps_its_own_stream(self, house: House) -> None:
        centre = uuid4()
        key = house.process().create(centre, CENTRE_CLASS, None)
        assert house.files.current_version(centre) == 1
        assert house.process().get(centre) == key

    def test_a_patients_key_needs_a_centre(self, house: House) -> None:
        with pytest.raises(KeyRefused):
            house.process().create(uuid4(), PATIENT, None)

    def test_many_at_once_agree_on_one_key(self, house: House) -> None:
        stream = uuid4()
        with ThreadPoolExecutor(8) as threads:
            keys = list(
                threads.map(lambda _: house.process().create(stream, PATIENT, CENTRE), range(16))
            )
        assert len(set(keys)) == 1

    def test_a_centre_key_founded_by_another_process_meanwhile_is_not_a_lost_one(
        self, house: House
    ) -> None:
        stream = uuid4()
        overtaken = OvertakenKeyFiles(
            house.directory, lambda: house.process().create(stream, PATIENT, CENTRE)
        )
        made = DataKeys(house.database.service_pool, overtaken).create(stream, PATIENT, CENTRE)
        assert made == house.process().get(stream)

    def test_a_key_just_made_is_not_missing_because_it_was_looked_up_before(
        self, house: House
    ) -> None:
        known, month = uuid4(), (ACCESS_STREAM, 24_323)
        house.process().create(known, PATIENT, CENTRE)
        files = OvertakenWrapping(house.directory, lambda: keys.look_up([month, (known, 1)]))
        keys = DataKeys(house.database.service_pool, files)
        made = keys.audit_month(month[1])
        files.end()
        assert made == house.process().get(*month)

    def test_a_lost_centre_key_is_not_replaced_while_records_need_it(self, house: House) -> None:
        house.process().create(uuid4(), PATIENT, CENTRE)
        (lost,) = house.directory.glob("centre-*")
        raw = lost.read_bytes()
        lost.unlink()
        house.files = CountedKeyFiles(house.directory)
        with pytest.raises(KeyServiceDown):
            house.process().create(uuid4(), PATIENT, CENTRE)
        assert not lost.exists()
        lost.write_bytes(raw)
        lost.chmod(0o600)
        house.process().create(uuid4(), PATIENT, CENTRE)

    def test_both_builds_of_the_database_keep_them(
        self, each_database: Database, tmp_path: Path
    ) -> None:
        house = House(each_database, CountedKeyFiles(tmp_path / "keys"), tmp_path / "keys")
        stream = uuid4()
        key = house.process().create(stream, PATIENT, CENTRE)
        assert house.process().get_many([(stream, 1)]) == {(stream, 1): key}
        house.destroy(stream)
        with pytest.raises(KeyDestroyed):
            house.process().get(stream)


class TestThreeAnswers:
    def test_never_made(self, house: House) -> None:
        with pytest.raises(KeyMissing):
            house.process().get(uuid4(), 1)

    def test_destroyed(self, house: House) -> None:
        stream = uuid4()
        keys = house.process()
        keys.create(stream, PATIENT, CENTRE)
        house.destroy(stream)
        with pytest.raises(KeyDestroyed):
            house.process().get(stream)
        with pytest.raises(KeyDestroyed):
            house.process().create(stream, PATIENT, CENTRE)
        keys.forget(stream)
        with pytest.raises(KeyDestroyed):
            keys.get(stream)

    def test_out_of_service(self, house: House) -> None:
        stream = uuid4()
        key = house.process().create(stream, PATIENT, CENTRE)
        with house.out_of_service():
            keys = house.process()
            with pytest.raises(KeyServiceDown):
                keys.get(stream)
        assert keys.get(stream) == key, "an outage is not remembered"

    def test_a_database_that_is_gone(self, house: House) -> None:
        keys = house.process()
        house.database.service_pool.close()
        with pytest.raises(KeyServiceDown):
            keys.get(uuid4())
        with pytest.raises(KeyServiceDown):
            keys.create(uuid4(), PATIENT, CENTRE)

    def test_no_refusal_is_remembered(self, house: House) -> None:
        stream = uuid4()
        keys = house.process()
        with pytest.raises(KeyMissing):
            keys.get(stream)
        made = house.process().create(stream, PATIENT, CENTRE)
        assert keys.get(stream) == made

    def test_one_bad_record_does_not_hide_the_others(self, house: House) -> None:
        kept, destroyed, changed, lost, never = (uuid4() for _ in range(5))
        made = house.process().create_many(
            [(stream, PATIENT, CENTRE) for stream in (kept, destroyed, changed, lost)]
        )
        house.destroy(destroyed)
        house.change(
            "UPDATE keys.data_key SET record = set_byte(record, 70, 255 - get_byte(record, 70))"
            " WHERE stream = %s",
            changed,
        )
        house.change("UPDATE keys.data_key SET record = NULL WHERE stream = %s", lost)
        keys = house.process()
        names = [(stream, 1) for stream in (never, changed, kept, destroyed, lost)]
        answers = keys.look_up(names)
        assert list(answers) == names
        assert answers[kept, 1] == made[kept, 1]
        assert isinstance(answers[destroyed, 1], KeyDestroyed)
        assert isinstance(answers[never, 1], KeyMissing)
        assert isinstance(answers[changed, 1], KeyRefused)
        assert isinstance(answers[lost, 1], Tampered), "emptied without being destroyed"
        with pytest.raises(KeyMissing):
            keys.get_many(names)

    def test_a_record_in_another_ones_place(self, house: House) -> None:
        mine, other = uuid4(), uuid4()
        house.process().create_many([(mine, PATIENT, CENTRE), (other, PATIENT, CENTRE)])
        house.change(
            "UPDATE keys.data_key SET record = (SELECT record FROM keys.data_key WHERE stream = %s)"
            " WHERE stream = %s",
            other,
            mine,
        )
        with pytest.raises(Tampered):
            house.process().get(mine)

    def test_every_bit_of_a_stored_record_counts(self, house: House) -> None:
        streams = [uuid4() for _ in range(115 * 8)]
        made = house.process().create_many([(stream, PATIENT, CENTRE) for stream in streams])
        assert house.process().look_up(made) == made
        house.change(
            "UPDATE keys.data_key AS k SET record ="
            " set_bit(record, (n - 1)::integer, 1 - get_bit(record, (n - 1)::integer))"
            " FROM unnest(%s::uuid[]) WITH ORDINALITY AS u (stream, n) WHERE k.stream = u.stream",
            streams,
        )
        answers = house.process().look_up(made).values()
        assert len(answers) == 115 * 8
        assert all(isinstance(answer, KeyRefused | Tampered) for answer in answers)


class TestKeeping:
    def test_many_keys_cost_one_unwrapping(self, house: House) -> None:
        streams = [uuid4() for _ in range(300)]
        house.process().create_many([(stream, PATIENT, CENTRE) for stream in streams])
        house.files.unwrapped.clear()
        keys = house.process()
        names = [(stream, 1) for stream in streams]
        keys.get(streams[0])
        assert list(keys.get_many([*names, names[5]])) == names
        keys.get_many(names)
        assert house.files.unwrapped == [1, 299]

    def test_a_kept_key_has_a_life_and_an_idle_time(self, house: House) -> None:
        stream = uuid4()
        keys = house.process()
        keys.create(stream, PATIENT, CENTRE)
        house.files.unwrapped.clear()
        for minute in range(1, 5):  # used every four minutes: kept, for fifteen minutes
            house.clock.seconds += 239
            keys.get(stream)
            assert len(house.files.unwrapped) == (minute == 4)
        house.clock.seconds += 301  # idle for five
        keys.get(stream)
        assert len(house.files.unwrapped) == 2

    def test_no_more_than_so_many_are_kept(self, house: House) -> None:
        streams = [uuid4() for _ in range(4)]
        keys = house.process(capacity=3)
        keys.create_many([(stream, PATIENT, CENTRE) for stream in streams[:3]])
        keys.get(streams[0])
        keys.create(streams[3], PATIENT, CENTRE)
        house.files.unwrapped.clear()
        for stream in (streams[0], streams[2], streams[3]):
            keys.get(stream)
        assert house.files.unwrapped == []
        keys.get(streams[1])
        assert house.files.unwrapped == [1], "the one that was used least lately made room"
        assert repr(keys) == "DataKeys(3 opened)"

    def test_a_stream_that_is_forgotten_is_opened_again(self, house: House) -> None:
        stream, other = uuid4(), uuid4()
        keys = house.process()
        keys.create_many([(stream, PATIENT, CENTRE), (other, PATIENT, CENTRE)])
        house.files.unwrapped.clear()
        keys.forget(stream)
        keys.get_many([(stream, 1), (other, 1)])
        assert house.files.unwrapped == [1]

    def test_many_who_ask_at_once_cost_one_unwrapping(self, house: House) -> None:
        stream, other = uuid4(), uuid4()
        house.process().create_many([(stream, PATIENT, CENTRE), (other, PATIENT, CENTRE)])
        keys = house.process()
        house.files.unwrapped.clear()
        house.files.reached.clear()
        house.files.gate.clear()
        with ThreadPoolExecutor(9) as threads:
            first = threads.submit(keys.get, stream)
            assert house.files.reached.wait(PATIENCE_S)
            others = [threads.submit(keys.get_many, [(stream, 1)]) for _ in range(8)]
            house.files.gate.set()
            assert {other.result(PATIENCE_S)[stream, 1] for other in others} == {
                first.result(PATIENCE_S)
            }
        assert house.files.unwrapped == [1]

    def test_two_who_wait_for_each_others_keys_both_go_on(self, house: House) -> None:
        one, two = uuid4(), uuid4()
        house.process().create_many([(one, PATIENT, CENTRE), (two, PATIENT, CENTRE)])
        for _ in range(50):
            keys = house.process()
            with ThreadPoolExecutor(2) as threads:
                first = threads.submit(keys.get_many, [(one, 1), (two, 1)])
                second = threads.submit(keys.get_many, [(two, 1), (one, 1)])
                assert first.result(PATIENCE_S) == second.result(PATIENCE_S)

    def test_a_key_forgotten_while_it_is_opened_is_not_kept(self, house: House) -> None:
        stream = uuid4()
        house.process().create(stream, PATIENT, CENTRE)
        keys = house.process()
        house.files.reached.clear()
        house.files.gate.clear()
        with ThreadPoolExecutor(1) as threads:
            opening = threads.submit(keys.get, stream)
            assert house.files.reached.wait(PATIENCE_S)
            house.destroy(stream)
            keys.forget(stream)
            house.files.gate.set()
            opening.result(PATIENCE_S)
        with pytest.raises(KeyDestroyed):
            keys.get(stream)

    def test_an_outage_reaches_everybody_who_waits_and_is_over_after_it(self, house: House) -> None:
        stream = uuid4()
        key = house.process().create(stream, PATIENT, CENTRE)
        with house.out_of_service(), ThreadPoolExecutor(4) as threads:
            house.files.gate.clear()
            keys = house.process()
            waiting = [threads.submit(keys.get, stream) for _ in range(4)]
            assert house.files.reached.wait(PATIENCE_S)
            house.files.gate.set()
            for one in waiting:
                with pytest.raises(KeyServiceDown):
                    one.result(PATIENCE_S)
        assert keys.get(stream) == key


class TestAccessMonths:
    @pytest.mark.parametrize(
        ("when", "generation"),
        [
            ("2026-11-23T08:30:00+01:00", 2026 * 12 + 11),
            ("2026-12-31T23:30:00+00:00", 2026 * 12 + 12),
            ("2027-01-01T00:30:00+01:00", 2026 * 12 + 12),
            ("2027-01-01T00:00:00+00:00", 2027 * 12 + 1),
        ],
    )
    def test_months_are_numbered_in_utc(self, when: str, generation: int) -> None:
        assert access_generation(datetime.fromisoformat(when)) == generation

    def test_the_next_month_is_made_a_week_ahead(self, house: House) -> None:
        month = 2026 * 12 + 11
        keys = house.process()
        keys.ensure_audit_months(datetime(2026, 11, 23, 8, tzinfo=UTC))
        keys.ensure_audit_months(datetime(2026, 11, 23, 23, tzinfo=UTC))
        with pytest.raises(KeyMissing):
            house.process().get(ACCESS_STREAM, month + 1)
        keys.ensure_audit_months(datetime(2026, 11, 24, tzinfo=UTC))
        now, later = (house.process().get(ACCESS_STREAM, month + n) for n in (0, 1))
        assert now != later

    def test_writers_agree_on_a_months_key_and_readers_never_make_one(self, house: House) -> None:
        month = access_generation(datetime(2026, 11, 23, tzinfo=UTC) + timedelta(days=400))
        with pytest.raises(KeyMissing):
            house.process().get(ACCESS_STREAM, month)
        assert house.process().audit_month(month) == house.process().audit_month(month)
        with psycopg.connect(house.database.superuser_url) as connection:
            row = connection.execute("SELECT stream, kek_id FROM keys.data_key").fetchone()
        assert row == (UUID(int=0), AUDIT.kek)

    def test_a_destroyed_month_is_not_made_again(self, house: House) -> None:
        house.process().audit_month(24_323)
        house.destroy(ACCESS_STREAM)
        with pytest.raises(KeyDestroyed):
            house.process().audit_month(24_323)

    def test_a_header_alone_says_which_key_opens_it(self) -> None:
        stream = uuid4()
        assert key_of(1, stream, 3) == (stream, 3)
        assert key_of(6, stream, 24_323) == (ACCESS_STREAM, 24_323)


def test_every_refusal_is_of_the_security_tree() -> None:
    assert issubclass(KeyMissing, SecurityError)
    assert not issubclass(KeyMissing, KeyDestroyed | KeyServiceDown)
    assert not issubclass(KeyDestroyed, KeyServiceDown)
