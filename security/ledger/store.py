"""The event store: the ``eventsourcing`` library's extension points over the sealed ledger.

:class:`LedgerFactory` gives an ``Application`` its recorder, mapper and event store. The mapper
seals and opens single events; the event store knows the chain: it remembers the leaf of each
stream's last known event and seals the next one to it; the recorder writes.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any, Final, NamedTuple, NoReturn
from uuid import UUID

from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import (
    AggregateRecorder,
    EventStore,
    InfrastructureFactory,
    NotSupportedError,
    ProcessRecorder,
    Recording,
    StoredEvent,
    TrackingRecorder,
    Transcoder,
)
from eventsourcing.utils import Environment

from releve.security.errors import Tampered
from releve.security.keys.data_keys import DataKeys, KeyId, key_of
from releve.security.keys.sealed_rows import seal_attachment
from releve.security.ledger.connection import Pool
from releve.security.ledger.envelope import (
    CLASS_NAMES,
    GENESIS,
    HEADER_LENGTH,
    leaf_hash,
)
from releve.security.ledger.mapper import Codec, LedgerEvent, LedgerMapper, Seen
from releve.security.ledger.recorder import (
    ChainBroken,
    Claim,
    ClaimTaken,
    ClockRefused,
    DuplicateEvent,
    LedgerRecorder,
    NotFirstWrite,
    OutcomeUnknown,
    Refusal,
    SealedAttachment,
    VersionConflict,
)

__all__ = [
    "Attachment",
    "ChainBroken",
    "Claim",
    "ClaimTaken",
    "ClockRefused",
    "DuplicateEvent",
    "LedgerEventStore",
    "LedgerFactory",
    "LedgerRecorder",
    "NotFirstWrite",
    "OutcomeUnknown",
    "Refusal",
    "SealedAttachment",
    "VersionConflict",
]

SKEW: Final = timedelta(seconds=30)
"""How far ``recorded_at`` may be from the database's clock (``docs/formats.md`` §1)."""

BATCH_EVENTS: Final = 1_000
"""Events a bulk append writes in one transaction: well under a quarter of a second."""

FIRST_GENERATION: Final = 1
"""The data-key generation that a stream starts with."""

_REMEMBERED_STREAMS: Final = 50_000


class Attachment(NamedTuple):
    """Original bytes that one of the appended events brought in; sealed beside it."""

    event_id: UUID
    content: bytes


class LedgerEventStore(EventStore[UUID]):
    """Appends events chained to their predecessors, and reads streams back.

    Safe to use from several threads.
    """

    mapper: LedgerMapper
    recorder: LedgerRecorder

    def __init__(
        self,
        mapper: LedgerMapper,
        recorder: LedgerRecorder,
        data_keys: DataKeys,
        on_append: Callable[[], None] | None = None,
    ) -> None:
        """``on_append`` is called after each acknowledged append, from the appending thread."""
        super().__init__(mapper, recorder)
        self._data_keys = data_keys
        self._on_append = on_append
        self._leaves: OrderedDict[UUID, tuple[int, bytes]] = OrderedDict()
        self._leaves_lock = threading.Lock()

    def put(
        self, domain_events: Sequence[DomainEventProtocol[UUID]], **kwargs: Any
    ) -> list[Recording[UUID]]:
        """Append events of one stream, in order, all or none; durable when this returns.

        Args:
            domain_events: consecutive versions of one stream, each a :class:`LedgerEvent`.
            kwargs: ``claims`` (:class:`Claim`) and ``attachments`` (:class:`Attachment`), written
                in the same transaction after the events. The library's ``tracking`` is ignored.

        Returns:
            An empty list: positions are given later, by the sequencer.

        Raises:
            VersionConflict: reload and decide again. DuplicateEvent: this request was done before.
            ClaimTaken: another record holds an identifier. ClockRefused: recorded_at is off.
            OutcomeUnknown: sent, no trustworthy answer; ask again with the same ids.
            LedgerUnreachable, KeyServiceDown: nothing was sent. KeyDestroyed: the record is erased.
        """
        if not domain_events:
            return []
        stream = domain_events[0].originator_id
        if len(domain_events) == 1 and not kwargs.get("claims") and not kwargs.get("attachments"):
            self._append_one(domain_events[0])
            return []
        if any(event.originator_id != stream for event in domain_events):
            raise ValueError("an append takes the events of one stream")
        self._append([domain_events], kwargs.get("claims", ()), kwargs.get("attachments", ()))
        return []

    def put_many(
        self,
        streams: Sequence[Sequence[LedgerEvent]],
        *,
        claims: Sequence[tuple[UUID, Claim]] = (),
        attachments: Sequence[Attachment] = (),
    ) -> None:
        """Append events of many streams, as seeding and import do: same bytes, same checks.

        Positions follow the order given. A stream may come several times, so that a caller can
        interleave streams by time. Written in transactions of at most ``BATCH_EVENTS`` events (a
        single list is never split); all of one list is kept or none, and lists before a refused
        transaction stay. ``claims`` name the stream they are for.

        Raises:
            As :meth:`put`.
        """
        batch: list[Sequence[DomainEventProtocol[UUID]]] = []
        size = 0
        for events in streams:
            if batch and size + len(events) > BATCH_EVENTS:
                self._append_batch(batch, claims, attachments)
                batch, size = [], 0
            if events:
                batch.append(events)
                size += len(events)
        if batch:
            self._append_batch(batch, claims, attachments)

    def get(
        self,
        originator_id: UUID,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Iterator[Any]:
        """Opened events of one stream; the ledger's own (clear) events in it are passed over.

        Checks that consecutive versions are chained.

        Raises:
            Tampered: a byte, a column or the chain does not hold.
            KeyDestroyed: the record is erased. KeyServiceDown, LedgerUnreachable: try again.
        """
        rows = self.recorder.select_rows(originator_id, gt=gt, lte=lte, desc=desc, limit=limit)
        if not rows:
            return iter(())
        if desc:
            rows.reverse()
        place, names = originator_id.bytes, dict[tuple[int, int], KeyId]()
        seen: list[Seen] = []
        for version, topic, raw, _ in rows:
            if len(raw) != HEADER_LENGTH or raw[24:40] != place:
                raise Tampered("a row stands in another one's place")
            header = Seen.of(raw, originator_id)
            if header.version != version or CLASS_NAMES.get(header.event_class) != topic:
                raise Tampered("a row stands in another one's place")
            if not header.clear:
                names.setdefault((header.event_class, header.key_generation), header.key_name)
            seen.append(header)
        found = self._data_keys.get_many(names.values())
        keys = {kind: found[name] for kind, name in names.items()}
        leaf, last = b"", -1
        events: list[Any] = []
        for (version, _, raw, body), header in zip(rows, seen, strict=True):
            if version == last + 1 and raw[76:108] != leaf:
                raise Tampered("a stream's chain is broken")
            leaf, last = leaf_hash(raw), version
            if not header.clear:
                key = keys[header.event_class, header.key_generation]
                events.append(self.mapper.open(header, raw, body or b"", key))
        self._remember(originator_id, last, leaf)
        if desc:
            events.reverse()
        return iter(events)

    def _append_batch(
        self,
        batch: Sequence[Sequence[DomainEventProtocol[UUID]]],
        claims: Sequence[tuple[UUID, Claim]],
        attachments: Sequence[Attachment],
    ) -> None:
        streams = {events[0].originator_id for events in batch}
        # The library's protocol has no event_id; every event of ours has.
        ids = {event.event_id for events in batch for event in events}  # type: ignore[attr-defined]
        self._append(
            batch,
            [claim for claim in claims if claim[0] in streams],
            [attachment for attachment in attachments if attachment.event_id in ids],
        )

    def _append(
        self,
        batch: Sequence[Sequence[Any]],
        claims: Sequence[Claim] | Sequence[tuple[UUID, Claim]],
        attachments: Sequence[Attachment],
    ) -> None:
        keys = self._keys_for(batch)
        leaves: dict[UUID, tuple[int, bytes]] = {}
        stored: list[StoredEvent] = []
        owners: dict[UUID, UUID] = {}
        for events in batch:
            stream, version = events[0].originator_id, events[0].originator_version
            prev = self._prev(stream, version, leaves)
            (_, generation), data_key = keys[stream]
            for event in events:
                if event.originator_version != version:
                    raise ValueError("an append takes consecutive versions")
                state = self.mapper.seal(event, data_key=data_key, generation=generation, prev=prev)
                stored.append(StoredEvent(stream, version, CLASS_NAMES[event.event_class], state))
                prev = leaf_hash(state[:HEADER_LENGTH])
                leaves[stream] = (version, prev)
                version += 1
            if attachments:
                owners.update((event.event_id, stream) for event in events)
        sealed = [
            SealedAttachment(
                attachment.event_id,
                owners[attachment.event_id],
                seal_attachment(
                    keys[owners[attachment.event_id]][1],
                    attachment.event_id,
                    owners[attachment.event_id],
                    attachment.content,
                ),
            )
            for attachment in attachments
        ]
        only = batch[0][0].originator_id
        named = [(only, claim) if isinstance(claim, Claim) else claim for claim in claims]
        try:
            self.recorder.insert_events(stored, claims=named, attachments=sealed)
        except Refusal:
            for stream in leaves:
                self._forget(stream)
            raise
        for stream, (version, leaf) in leaves.items():
            self._remember(stream, version, leaf)
        if self._on_append is not None:
            self._on_append()

    def _append_one(self, event: Any) -> None:
        """The common case of :meth:`_append`, without its bookkeeping."""
        stream, version = event.originator_id, event.originator_version
        name = key_of(event.event_class, stream, FIRST_GENERATION)
        if version == 1:
            data_key = self._data_keys.create(stream, event.event_class, event.key_scope)
        else:
            data_key = self._data_keys.get(*name)
        prev = self._prev(stream, version, {})
        state = self.mapper.seal(event, data_key=data_key, generation=name[1], prev=prev)
        try:
            self.recorder.insert_events(
                [StoredEvent(stream, version, CLASS_NAMES[event.event_class], state)]
            )
        except Refusal:
            self._forget(stream)
            raise
        self._remember(stream, version, leaf_hash(state[:HEADER_LENGTH]))
        if self._on_append is not None:
            self._on_append()

    def _keys_for(self, batch: Sequence[Sequence[Any]]) -> dict[UUID, tuple[KeyId, bytes]]:
        names: dict[UUID, KeyId] = {}
        new: list[tuple[UUID, int, UUID | None]] = []
        for events in batch:
            first = events[0]
            stream = first.originator_id
            if stream in names:
                continue
            names[stream] = key_of(first.event_class, stream, FIRST_GENERATION)
            if first.originator_version == 1:
                new.append((stream, first.event_class, first.key_scope))
        keys: dict[KeyId, bytes] = {}
        if len(new) == 1:
            stream, event_class, centre = new[0]
            keys[names[stream]] = self._data_keys.create(stream, event_class, centre)
        elif new:
            keys.update(self._data_keys.create_many(new))
        wanted = [name for name in names.values() if name not in keys]
        if wanted:
            keys.update(self._data_keys.get_many(wanted))
        return {stream: (name, keys[name]) for stream, name in names.items()}

    def _prev(self, stream: UUID, version: int, leaves: dict[UUID, tuple[int, bytes]]) -> bytes:
        """The leaf of version - 1: from this batch, from memory, or from the database."""
        if version == 1:
            return GENESIS
        known = leaves.get(stream)
        if known is None:
            with self._leaves_lock:
                known = self._leaves.get(stream)
        if known is not None and known[0] == version - 1:
            return known[1]
        leaf = self.recorder.select_leaf(stream, version - 1)
        if leaf is None:
            raise ChainBroken("there is no version before")
        return leaf

    def _remember(self, stream: UUID, version: int, leaf: bytes) -> None:
        with self._leaves_lock:
            known = self._leaves.get(stream)
            if known is None or known[0] <= version:
                self._leaves[stream] = (version, leaf)
            self._leaves.move_to_end(stream)
            if len(self._leaves) > _REMEMBERED_STREAMS:
                self._leaves.popitem(last=False)

    def _forget(self, stream: UUID) -> None:
        with self._leaves_lock:
            self._leaves.pop(stream, None)


class LedgerFactory(InfrastructureFactory[TrackingRecorder]):
    """Gives an ``eventsourcing`` application its ledger; takes nothing from the environment."""

    def __init__(
        self,
        pool: Pool,
        data_keys: DataKeys,
        codec: Codec,
        *,
        skew: timedelta | None = SKEW,
        on_append: Callable[[], None] | None = None,
    ) -> None:
        """Take the service role's pool, the data keys and the domain's codec.

        Args:
            pool: connections that may append to and read ``ledger.event``.
            data_keys: gives each stream's data key.
            codec: the closed registry of events.
            skew: how far ``recorded_at`` may be from the database's clock; None: not checked.
            on_append: called after each acknowledged append (pokes the sequencer).
        """
        super().__init__(Environment("ledger", {}))
        self._data_keys = data_keys
        self._on_append = on_append
        self._mapper = LedgerMapper(data_keys, codec)
        self._recorder = LedgerRecorder(pool, skew)

    def mapper(  # type: ignore[override] # it takes one class only
        self, transcoder: Transcoder | None = None, mapper_class: object = None
    ) -> LedgerMapper:
        """The one mapper; both arguments of the library are ignored."""
        return self._mapper

    def application_recorder(self) -> LedgerRecorder:
        """The one recorder."""
        return self._recorder

    def event_store(  # type: ignore[override] # it takes one class only
        self, mapper: object = None, recorder: object = None
    ) -> LedgerEventStore:
        """A new event store with a memory of leaves of its own; both arguments are ignored."""
        return LedgerEventStore(self._mapper, self._recorder, self._data_keys, self._on_append)

    def aggregate_recorder(self, purpose: str = "events") -> AggregateRecorder:
        """The recorder of events; snapshots are not kept.

        Raises:
            NotSupportedError: asked for snapshots, which would survive an erasure.
        """
        if purpose != "events":
            raise NotSupportedError("the ledger keeps no snapshots")
        return self._recorder

    def tracking_recorder(
        self, tracking_recorder_class: type[TrackingRecorder] | None = None
    ) -> NoReturn:
        """Not offered: projections keep their own positions."""
        raise NotSupportedError("the ledger keeps no tracking records")

    def process_recorder(self) -> ProcessRecorder:
        """Not offered: projections keep their own positions."""
        raise NotSupportedError("the ledger keeps no tracking records")
