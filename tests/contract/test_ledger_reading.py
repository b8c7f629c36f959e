"""Reading the ledger: by stream, by position, by time; what is erased, damaged or unknown."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from eventsourcing.persistence import NotSupportedError

from releve.domain.aggregates import CODEC
from releve.domain.errors import Tampered as UnknownTopic
from releve.security.errors import KeyDestroyed, KeyServiceDown, Tampered
from releve.security.keys.data_keys import DataKeys
from releve.security.keys.keyfile import KeyFiles
from releve.security.ledger.reader import LedgerReader
from releve.security.ledger.store import LedgerFactory
from support.ledger import Ledger, note, notes, now, unguarded
from support.postgres import Database

pytestmark = pytest.mark.postgres


class TestReading:
    def test_an_erased_stream_is_gone_and_the_others_stand(
        self, ledger: Ledger, database: Database
    ) -> None:
        erased, kept = ledger.new_stream(2), ledger.new_stream(1)
        ledger.number()
        ledger.destroy_key(erased)
        data_keys = DataKeys(database.service_pool, ledger.key_files)
        reader = LedgerReader(database.service_pool, data_keys, CODEC)
        reads = reader.by_position(-1, 10)
        assert [(r.gone, r.event is None) for r in reads] == [(True, True)] * 2 + [(False, False)]
        with pytest.raises(KeyDestroyed):
            reader.stream(erased)
        with pytest.raises(KeyDestroyed):
            LedgerFactory(database.service_pool, data_keys, CODEC).event_store().get(erased)
        assert len(reader.stream(kept)) == 1

    def test_a_key_service_that_is_down_is_not_an_erasure(
        self, ledger: Ledger, database: Database, tmp_path: Path
    ) -> None:
        ledger.new_stream()
        ledger.number()
        elsewhere = DataKeys(database.service_pool, KeyFiles(tmp_path / "other-keys"))
        with pytest.raises(KeyServiceDown):
            LedgerReader(database.service_pool, elsewhere, CODEC).by_position(-1, 10)

    @pytest.mark.parametrize(
        "change",
        [
            "header = set_byte(header, 30, 255 - get_byte(header, 30))",
            "body = set_byte(body, 100, 255 - get_byte(body, 100))",
            "topic = 'centre'",
        ],
    )
    def test_a_changed_row_is_tampering(
        self, ledger: Ledger, database: Database, change: str
    ) -> None:
        stream = ledger.new_stream(2)
        ledger.number()
        unguarded(
            database,
            f"UPDATE ledger.event SET {change} WHERE stream = %s AND version = 1",  # noqa: S608 - from above
            stream,
        )
        with pytest.raises((Tampered, UnknownTopic)):
            ledger.reader.by_position(-1, 10)
        with pytest.raises((Tampered, UnknownTopic)):
            list(ledger.store.get(stream))

    def test_a_lenient_reading_goes_on_past_a_damaged_event(
        self, ledger: Ledger, database: Database
    ) -> None:
        damaged, whole = ledger.new_stream(2), ledger.new_stream(2)
        ledger.number()
        unguarded(
            database,
            "UPDATE ledger.event SET body = set_byte(body, 20, 255 - get_byte(body, 20)) "
            "WHERE stream = %s AND version = 1",
            damaged,
        )
        reads = ledger.reader.by_position(-1, 10, lenient=True)
        assert [type(r.failure) for r in reads] == [Tampered, type(None), type(None), type(None)]
        found = ledger.reader.streams([whole, damaged, uuid4()], up_to=2)
        assert [len(reads) for reads in found.values()] == [1, 2, 0]
        assert found[damaged][0].failure is not None
        assert [each.event for each in found[whole]] == ledger.reader.stream(whole)[:1]

    def test_a_removed_row_is_noticed(self, ledger: Ledger, database: Database) -> None:
        stream = ledger.new_stream(3)
        ledger.number()
        unguarded(database, "DELETE FROM ledger.event WHERE version = 2")
        with pytest.raises(Tampered):
            ledger.reader.by_position(-1, 10)
        assert len(list(ledger.store.get(stream, gt=2))) == 1

    def test_streams_come_with_positions_and_stop_where_asked(self, ledger: Ledger) -> None:
        stream = ledger.new_stream(2)
        ledger.new_stream(1)
        ledger.put(notes(stream, 3, 1))
        ledger.number()
        ledger.put(notes(stream, 4, 1))
        assert [event.position for event in ledger.reader.stream(stream)] == [0, 1, 3, None]
        assert [event.position for event in ledger.reader.stream(stream, up_to=2)] == [0, 1]
        assert ledger.reader.position_of(stream, 3) == 3
        assert ledger.reader.position_of(stream, 4) is None
        found = ledger.reader.event(3)
        assert found is not None
        assert found.event == ledger.reader.stream(stream)[2]
        assert ledger.reader.event(4) is None

    def test_known_at_is_exact_inside_a_batch(self, database: Database, tmp_path: Path) -> None:
        ledger = Ledger(database, tmp_path / "keys", skew=None)
        start = now()
        minutes = [0, 1, 5, 3, 6, 7]  # one clock was late: 3 after 5

        def put(some: list[int]) -> None:
            ledger.store.put_many(
                [[note(uuid4(), 1, at=start + timedelta(minutes=m))] for m in some]
            )
            ledger.number()

        put(minutes[:4])
        put(minutes[4:])
        known = [
            ledger.reader.known_at(start + timedelta(minutes=m, seconds=s))
            for m, s in ((0, -1), (0, 0), (4, 0), (5, 0), (6, 0), (6, 59), (7, 0), (90, 0))
        ]
        assert known == [-1, 0, 1, 3, 4, 4, 5, 5]
        assert ledger.reader.head().known_time == start + timedelta(minutes=7)


class TestLibrary:
    def test_notifications_are_positions_from_one(self, ledger: Ledger) -> None:
        recorder = ledger.factory.application_recorder()
        assert recorder.max_notification_id() is None
        stream = ledger.new_stream(3)
        assert recorder.max_notification_id() is None
        ledger.number()
        assert recorder.max_notification_id() == 3
        found = recorder.select_notifications(1, 10)
        assert [(n.id, n.originator_id, n.originator_version) for n in found] == [
            (1, stream, 1), (2, stream, 2), (3, stream, 3),
        ]  # fmt: skip
        assert [n.id for n in recorder.select_notifications(1, 1, inclusive_of_start=False)] == [2]
        assert [n.id for n in recorder.select_notifications(None, 10, stop=2)] == [1, 2]
        assert recorder.select_notifications(1, 10, topics=["centre"]) == []

    def test_what_is_not_offered_says_so(self, ledger: Ledger) -> None:
        recorder = ledger.factory.application_recorder()
        for refused in (
            recorder.subscribe,
            ledger.factory.process_recorder,
            ledger.factory.tracking_recorder,
            lambda: ledger.factory.aggregate_recorder("snapshots"),
            lambda: ledger.factory.mapper().to_stored_event(note(uuid4(), 1)),
        ):
            with pytest.raises(NotSupportedError):
                refused()


def test_a_codec_refuses_topics_it_does_not_know(ledger: Ledger) -> None:
    stream = uuid4()
    event = note(stream, 1)
    content = ("os:getcwd", 1, *CODEC.encode(event)[2:])
    mapper = ledger.factory.mapper()
    mapper._codec = _Says(content)
    ledger.put([event])
    fresh = LedgerReader(ledger.database.service_pool, ledger.data_keys, CODEC)
    ledger.number()
    with pytest.raises(UnknownTopic):
        fresh.by_position(-1, 10)


class _Says:
    """A codec of another release, which writes a topic that this one does not know."""

    def __init__(self, content: tuple[str, int, dict[str, object], dict[str, object]]) -> None:
        self._content = content

    def encode(self, event: object) -> tuple[str, int, dict[str, object], dict[str, object]]:
        return self._content

    def decode(self, *_: object, **__: object) -> UUID:
        raise NotImplementedError
