"""Turns the demo's history into sealed events, through the domain's own decisions.

Every act goes the way of a real command: folded state, pure decision, sealed append with chain and
checks. Only the idempotency keys come from the seed, so that ids are the same in any directory. A
seeding that was cut short goes on where it stopped: what a stream holds already is not written
again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from uuid import UUID

from releve.api.demo.acts import INS_TEST, Act, Sizes
from releve.api.demo.generator import history
from releve.api.demo.telling import Teller, attached
from releve.api.services import Services
from releve.domain.commands import (
    Command,
    OnboardPractitioner,
    ReceiveDocument,
    RecordConsultation,
    RegisterPatient,
    SignNote,
)
from releve.domain.continuity import Attachment
from releve.domain.events import (
    Event,
)
from releve.fhir.held_identifiers import IDENTIFIER, identifier_value
from releve.security.ledger.store import Claim

CHUNK = 1_000
Told = Callable[[datetime, int], None]
"""Called as acts are written: time reached, events so far."""


@dataclass
class Seeded:
    """What the seeding wrote, for counts and canaries."""

    events: int = 0
    patients: int = 0
    stints: int = 0
    consultations: int = 0
    topics: dict[str, int] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    identifiers: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)


class Seeder:
    """Writes one demo history into one ledger."""

    def __init__(self, services: Services, sizes: Sizes, monday: date) -> None:
        """``monday`` is the first day of the present stint."""
        self._services = services
        self._sizes = sizes
        self._monday = monday
        self._teller = Teller(sizes.seed)
        self.seeded = Seeded()

    def run(self, told: Told) -> Seeded:
        """Write every act, oldest first; calls ``told`` after each chunk."""
        store = self._services.factory.event_store()
        held = self._held()
        chunk: list[tuple[Event, ...]] = []
        claims: list[tuple[UUID, Claim]] = []
        originals: list[Attachment] = []
        streams: list[tuple[UUID, int, UUID | None]] = []
        size = 0
        for act in history(self._sizes, self._monday):
            events = self._teller.decided(act)
            if not events:
                continue
            self._count(act, events)
            stream = events[0].originator_id
            if events[-1].originator_version <= held.get(stream, 0):
                continue
            if events[0].originator_version == 1:
                streams.append((stream, events[0].event_class, events[0].key_scope))
                claims += self._claims(stream, act.command)
            chunk.append(events)
            if act.content is not None:
                originals += attached(events, [act.content])
            size += len(events)
            if size >= CHUNK:
                self._write(store.put_many, streams, chunk, claims, originals)
                told(act.at, self.seeded.events)
                chunk, claims, originals, streams, size = [], [], [], [], 0
        self._write(store.put_many, streams, chunk, claims, originals)
        told(datetime.combine(self._monday, datetime.min.time()), self.seeded.events)
        return self.seeded

    def _write(
        self,
        put_many: Callable[..., None],
        streams: Sequence[tuple[UUID, int, UUID | None]],
        chunk: Sequence[tuple[Event, ...]],
        claims: Sequence[tuple[UUID, Claim]],
        originals: Sequence[Attachment],
    ) -> None:
        if streams:
            self._services.data_keys.create_many(streams)
        if chunk:
            put_many(chunk, claims=claims, attachments=originals)

    def _held(self) -> dict[UUID, int]:
        with self._services.pool.connection() as connection:
            rows = connection.execute(
                "SELECT stream, max(version) FROM ledger.event GROUP BY stream"
            ).fetchall()
        return {UUID(str(stream)): int(version) for stream, version in rows}

    def _claims(self, stream: UUID, command: Command) -> Iterable[tuple[UUID, Claim]]:
        if isinstance(command, RegisterPatient):
            for identifier in command.identifiers:
                mac = self._services.blind_index.mac(IDENTIFIER, identifier_value(identifier))
                yield stream, Claim(IDENTIFIER, mac)

    def _count(self, act: Act, events: tuple[Event, ...]) -> None:
        seeded = self.seeded
        seeded.events += len(events)
        for event in events:
            seeded.topics[event.topic] = seeded.topics.get(event.topic, 0) + 1
        seeded.patients += act.command.name == "register-patient"
        seeded.stints += act.command.name == "plan-stint"
        seeded.consultations += act.command.name == "record-consultation"
        if isinstance(act.command, RegisterPatient):
            given = " ".join(act.command.first_names)
            seeded.names += _as_written(act.command.birth_name or "", given)
            seeded.identifiers += [
                each.value for each in act.command.identifiers if each.system == INS_TEST
            ]
        if isinstance(act.command, OnboardPractitioner):
            seeded.names += _as_written(act.command.family, act.command.given)
            seeded.identifiers += [act.command.rpps] if act.command.rpps else []
        if isinstance(act.command, ReceiveDocument) and act.command.identity is not None:
            who = act.command.identity
            seeded.names += _as_written(who.birth_name or "", " ".join(who.first_names))
        if act.source is not None and act.source.author:
            seeded.names.append(act.source.author)
        note = act.command.note if isinstance(act.command, RecordConsultation) else act.command
        if isinstance(note, SignNote):
            parts = (note.one_liner, note.subjective, note.objective, note.assessment, note.plan)
            seeded.texts.append(" ".join(part for part in parts if part))


def _as_written(family: str, given: str) -> tuple[str, ...]:
    """A full name in every order and case that the product writes, and the family name alone."""
    return f"{family.upper()} {given}", f"{given} {family}", f"{family} {given}", family


def share_done(at: datetime, sizes: Sizes, monday: date) -> float:
    """How far a time lies between the first week and the present Monday, 0 to 1."""
    first = monday - timedelta(weeks=sizes.weeks)
    days = (at.date() - first).days / max(1, sizes.weeks * 7)
    return min(1.0, max(0.0, days))


def recounted(services: Services, sizes: Sizes, monday: date) -> Seeded:
    """Count again what stands: every act is decided, and as all is held nothing is written."""
    return Seeder(services, sizes, monday).run(lambda at, events: None)
