"""The application service on the real ledger: once, in order, and honest about what it knows."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from releve.domain.aggregates import CODEC
from releve.domain.aggregates.patient.encounters import NoteSigned
from releve.domain.commands import (
    AttachDocument,
    CloseItem,
    EndStint,
    ImportedEntry,
    ImportRecord,
    OnboardPractitioner,
    OpenCentre,
    OpenItem,
    PlanStint,
    RegisterPatient,
    SignNote,
    StartStint,
)
from releve.domain.continuity import Claimed, Continuity, Outcome, Written
from releve.domain.errors import NotFound, Refused, Reused, Unavailable
from releve.domain.events import Author, Event, Source
from releve.domain.requests import CommandContext, command_digest
from releve.domain.values import Concept, NamedPerson
from releve.security.ledger.connection import LedgerUnreachable
from releve.security.ledger.store import Claim, LedgerFactory
from support.given import AMONT, AVAL, CENTRE, COORDINATOR, IDS, SYSTEM, named
from support.ledger import Ledger, now
from support.lossy_proxy import LossyProxy, lossy_pool
from support.postgres import Database

pytestmark = pytest.mark.postgres

REGISTER = RegisterPatient(birth_name="EXEMPLE", prior_search="name")
NOTE = SignNote(plan="Revoir dans trois mois")
DOCTORS = {AMONT: named("stint key of amont"), AVAL: named("stint key of aval")}


class Interrupted(Continuity):
    """The service, with something that happens between its decision and its append."""

    meanwhile: Callable[[], Any] | None = None

    name = "ledger"

    def _propose(self, *args: Any) -> tuple[Event, ...]:
        events = super()._propose(*args)
        if self.meanwhile is not None:
            self.meanwhile()
        return events


def asked(key: str, by: Author = COORDINATOR, **context: Any) -> CommandContext:
    return CommandContext(
        author=by,
        now=context.pop("now", None) or now(),
        key=key.encode(),
        actor=by.name.encode(),
        centre=context.pop("centre", CENTRE),
        **context,
    )


@pytest.fixture
def ledger(database: Database, tmp_path: Path) -> Ledger:
    return Ledger(database, tmp_path / "keys")


@pytest.fixture
def app(ledger: Ledger) -> Continuity:
    return Continuity(ledger.factory, IDS)


@pytest.fixture
def doctor(app: Continuity) -> Author:
    return in_post(app, AMONT)


def in_post(app: Continuity, who: Author) -> Author:
    """``who`` with a stint of their own, from yesterday to tomorrow."""
    assert who.person is not None
    planned = app.execute(
        PlanStint(
            practitioner=who.person,
            practitioner_name=who.name,
            centre=CENTRE,
            starts_at=(now() - timedelta(days=1)).isoformat(),
            ends_at=(now() + timedelta(days=1)).isoformat(),
        ),
        asked(f"plan {who.name}"),
    )
    return Author(role="doctor", name=who.name, person=who.person, stint=planned.stream)


@pytest.fixture
def patient(app: Continuity) -> UUID:
    return app.execute(REGISTER, asked("register")).stream


def test_a_command_is_kept_and_the_state_folds_from_what_is_stored(
    app: Continuity, patient: UUID, doctor: Author
) -> None:
    outcome = app.execute(NOTE, asked("note", doctor, seen_position=4), target=patient)
    assert (outcome.version, outcome.replayed) == (2, False)
    record = app.patient(patient)
    assert record.version == 2
    [note] = record.notes
    assert note == outcome.events[0]
    assert note.payload == NoteSigned(plan="Revoir dans trois mois")
    assert note.envelope.seen_position == 4
    assert note.envelope.command_digest == command_digest(NOTE, patient)


def test_the_same_request_twice_makes_one_record_even_for_a_new_patient(app: Continuity) -> None:
    first = app.execute(REGISTER, asked("register"))
    again = app.execute(REGISTER, asked("register", now=now() + timedelta(seconds=5)))
    assert again == replace(first, replayed=True)
    assert app.patient(first.stream).version == 1


def test_the_same_request_for_a_record_that_moved_on_gives_its_first_answer(
    app: Continuity, patient: UUID, doctor: Author
) -> None:
    item = OpenItem(kind="call", text="Appeler", due="2027-01-01")
    first = app.execute(item, asked("item", doctor), target=patient)
    app.execute(NOTE, asked("note", doctor), target=patient)
    again = app.execute(item, asked("item", doctor, expected_version=1), target=patient)
    assert again == replace(first, replayed=True)


def test_the_same_key_with_another_body_is_refused(
    app: Continuity, patient: UUID, doctor: Author
) -> None:
    app.execute(NOTE, asked("note", doctor), target=patient)
    with pytest.raises(Reused):
        app.execute(SignNote(plan="Autre"), asked("note", doctor), target=patient)
    with pytest.raises(Reused):
        app.execute(RegisterPatient(birth_name="AUTRE", prior_search="name"), asked("register"))


def test_the_same_key_of_another_actor_is_another_request(app: Continuity, patient: UUID) -> None:
    first, second = in_post(app, AMONT), in_post(app, AVAL)
    one = app.execute(NOTE, asked("note", first), target=patient)
    other = app.execute(NOTE, asked("note", second), target=patient)
    assert not other.replayed
    assert set(one.event_ids).isdisjoint(other.event_ids)


def test_two_servers_asked_the_same_at_once_open_one_record(ledger: Ledger) -> None:
    servers = [Continuity(ledger.factory, IDS) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(lambda app: app.execute(REGISTER, asked("register")), servers))
    assert len({outcome.stream for outcome in outcomes}) == 1
    assert [outcome.replayed for outcome in outcomes].count(False) == 1
    assert servers[0].patient(outcomes[0].stream).version == 1


def test_if_match_of_an_older_version_names_who_wrote_meanwhile(
    app: Continuity, patient: UUID, doctor: Author
) -> None:
    app.execute(NOTE, asked("note", doctor), target=patient)
    with pytest.raises(Written) as caught:
        app.execute(NOTE, asked("other", doctor, expected_version=1), target=patient)
    assert (caught.value.code, caught.value.version) == ("version-mismatch", 2)
    assert caught.value.by == doctor
    assert doctor.name not in str(caught.value)
    kept = app.execute(NOTE, asked("other", doctor, expected_version=2), target=patient)
    assert kept.version == 3


def test_two_doctors_writing_at_once_are_both_kept(ledger: Ledger, patient: UUID) -> None:
    other = Continuity(ledger.factory, IDS)
    first, second = in_post(other, AMONT), in_post(other, AVAL)
    app = Interrupted(ledger.factory, IDS)

    def once() -> None:
        app.meanwhile = None
        other.execute(NOTE, asked("second", second), target=patient)

    app.meanwhile = once
    outcome = app.execute(NOTE, asked("first", first), target=patient)
    assert outcome.version == 3
    assert [event.envelope.author for event in app.patient(patient).notes] == [second, first]


def test_after_a_race_the_command_is_decided_again_on_what_stands(
    ledger: Ledger, patient: UUID
) -> None:
    other = Continuity(ledger.factory, IDS)
    first, second = in_post(other, AMONT), in_post(other, AVAL)
    opened = other.execute(
        OpenItem(kind="call", text="Appeler", due="2027-01-01"), asked("i", first), target=patient
    )
    close = CloseItem(item=opened.event_ids[0], evidence="Fait")
    app = Interrupted(ledger.factory, IDS)

    def once() -> None:
        app.meanwhile = None
        other.execute(close, asked("second", second), target=patient)

    app.meanwhile = once
    with pytest.raises(Refused) as caught:
        app.execute(close, asked("first", first), target=patient)
    assert caught.value.code == "item-already-closed"


def test_a_writer_who_always_comes_first_is_named(ledger: Ledger, patient: UUID) -> None:
    other = Continuity(ledger.factory, IDS)
    first, second = in_post(other, AMONT), in_post(other, AVAL)
    app = Interrupted(ledger.factory, IDS)
    written: list[Outcome] = []
    app.meanwhile = lambda: written.append(
        other.execute(NOTE, asked(f"second {len(written)}", second), target=patient)
    )
    with pytest.raises(Written) as caught:
        app.execute(NOTE, asked("first", first), target=patient)
    assert caught.value.code == "conflict"
    assert caught.value.by == second
    assert len(written) == 4
    assert second.name not in str(caught.value)


def test_an_identifier_belongs_to_one_record(app: Continuity) -> None:
    claim = Claim("ins", bytes(32))
    first = app.execute(REGISTER, asked("one"), claims=[claim])
    with pytest.raises(Claimed) as caught:
        app.execute(REGISTER, asked("two"), claims=[claim])
    assert caught.value.stream == first.stream
    with pytest.raises(NotFound):
        app.patient(IDS.stream(COORDINATOR.name.encode(), b"two"))


def test_an_original_is_kept_beside_the_event_that_names_it(
    ledger: Ledger, app: Continuity, patient: UUID
) -> None:
    original = b"%PDF-1.7 invented"
    attach = AttachDocument(
        sha256=hashlib.sha256(original).hexdigest(),
        size=len(original),
        media_type="application/pdf",
    )
    outcome = app.execute(attach, asked("attach"), target=patient, attachments=[original])
    assert ledger.reader.attachment(outcome.event_ids[0], patient) == original
    again = app.execute(attach, asked("again"), target=patient, attachments=[original])
    assert again == Outcome(patient, (), 2, False, ())


def test_an_import_of_what_is_known_writes_nothing(app: Continuity) -> None:
    from releve.domain.aggregates.patient.problems import ProblemRecorded

    asthma = ProblemRecorded(concept=Concept(text="Asthme"), clinical_status="active")
    bundle = ImportRecord(registration=REGISTER, entries=(ImportedEntry(payload=asthma),))
    source = Source(channel="fhir", system="urn:ehr")
    first = app.execute(bundle, asked("file 1", SYSTEM, source=source))
    assert [event.topic for event in first.events] == [
        "patient.registered",
        "patient.problem-recorded",
    ]
    again = app.execute(bundle, asked("file 2", SYSTEM, source=source), target=first.stream)
    assert again.events == ()
    assert app.patient(first.stream).version == 2


def test_a_digest_tells_two_topics_with_the_same_fields_apart() -> None:
    from releve.domain.aggregates.patient.medications import MedicationStarted
    from releve.domain.aggregates.patient.problems import ProblemRecorded

    concept = Concept(text="x")
    digests = {
        command_digest(ImportRecord(entries=(ImportedEntry(payload=payload),)), None)
        for payload in (ProblemRecorded(concept=concept), MedicationStarted(concept=concept))
    }
    assert len(digests) == 2


def test_the_digest_is_the_one_of_the_format() -> None:
    form = b'["sign-note",null,{"plan":"\xc3\xa9"}]'
    assert command_digest(SignNote(plan="é"), None) == hashlib.sha256(form).hexdigest()


def test_a_command_to_nobody_finds_nobody(app: Continuity, patient: UUID, doctor: Author) -> None:
    with pytest.raises(NotFound):
        app.execute(NOTE, asked("a", doctor), target=named("nowhere"))
    with pytest.raises(NotFound):
        app.execute(NOTE, asked("b", doctor))
    with pytest.raises(NotFound):
        app.execute(StartStint(), asked("c"), target=patient)
    with pytest.raises(NotFound):
        app.stint(patient)


def test_stints_centres_and_practitioners_are_kept_the_same_way(app: Continuity) -> None:
    known = app.execute(OnboardPractitioner(family="Amont", given="Dominique"), asked("p"))
    assert app.practitioner(known.stream).name == "Amont"
    referent = NamedPerson(name="Dr R", phone="+33 5 99 00 00 01")
    chain = (referent, NamedPerson(name="Dr S", phone="+33 5 99 00 00 02"))
    centre = app.execute(
        OpenCentre(
            centre_name="Exemple", finess="990000010", referent=referent, on_call_chain=chain
        ),
        asked("c", centre=None),
    )
    assert app.centre(centre.stream).referent == referent
    author = in_post(app, AMONT)
    assert author.stint is not None
    started = app.execute(StartStint(), asked("s"), target=author.stint)
    app.execute(EndStint(cause="cut-short"), asked("e"), target=author.stint)
    assert app.execute(StartStint(), asked("s"), target=author.stint) == replace(
        started, replayed=True
    )
    assert app.stint(author.stint).ended_at is not None


def test_a_stint_that_ended_a_moment_ago_no_longer_writes(
    app: Continuity, patient: UUID, doctor: Author
) -> None:
    assert doctor.stint is not None
    app.execute(EndStint(cause="cut-short"), asked("end"), target=doctor.stint)
    with pytest.raises(Refused) as caught:
        app.execute(NOTE, asked("n", doctor, now=now() + timedelta(seconds=2)), target=patient)
    assert caught.value.code == "late-reason-missing"


def test_nothing_comes_from_the_process_environment(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGGREGATE_CACHE_MAXSIZE", "10")
    monkeypatch.setenv("LEDGER_IS_SNAPSHOTTING_ENABLED", "y")
    app = Continuity(ledger.factory, IDS)
    assert dict(app.env) == {}
    assert app.repository.cache is None
    assert app.snapshots is None


class TestUnknown:
    """The database did the work, or not, and did not say."""

    @pytest.fixture
    def lossy(self, ledger: Ledger) -> Iterator[tuple[LedgerFactory, LossyProxy]]:
        with lossy_pool(ledger.database.service_url, 1) as (pool, proxy):
            yield LedgerFactory(pool, ledger.data_keys, CODEC), proxy

    def test_a_lost_acknowledgement_is_asked_about_with_the_same_ids(
        self,
        lossy: tuple[LedgerFactory, LossyProxy],
        app: Continuity,
        patient: UUID,
        doctor: Author,
    ) -> None:
        factory, proxy = lossy
        unsure = Interrupted(factory, IDS)
        before = unsure.execute(NOTE, asked("before", doctor), target=patient)
        unsure.meanwhile = proxy.lose_one
        outcome = unsure.execute(NOTE, asked("note", doctor), target=patient)
        assert proxy.lost == 1
        assert outcome.replayed
        kept = [event.event_id for event in app.patient(patient).notes]
        assert kept == [*before.event_ids, *outcome.event_ids]

    def test_an_append_that_never_arrived_is_sent_again(
        self,
        lossy: tuple[LedgerFactory, LossyProxy],
        app: Continuity,
        patient: UUID,
        doctor: Author,
    ) -> None:
        factory, proxy = lossy
        unsure = Interrupted(factory, IDS)

        def once() -> None:
            unsure.meanwhile = None
            proxy.lose_one()

        # The connection's first append: what is lost is the answer to its preparation.
        unsure.meanwhile = once
        outcome = unsure.execute(NOTE, asked("note", doctor), target=patient)
        assert (proxy.lost, outcome.replayed, outcome.version) == (1, False, 2)
        assert [event.event_id for event in app.patient(patient).notes] == list(outcome.event_ids)

    def test_past_the_deadline_the_caller_is_told_that_nobody_knows(
        self,
        lossy: tuple[LedgerFactory, LossyProxy],
        app: Continuity,
        patient: UUID,
        doctor: Author,
    ) -> None:
        factory, proxy = lossy
        unsure = Interrupted(factory, IDS, unknown_deadline=timedelta(0))
        unsure.execute(NOTE, asked("before", doctor), target=patient)
        unsure.meanwhile = proxy.losing.set
        context = asked("note", doctor)
        with pytest.raises(Unavailable) as caught:
            unsure.execute(NOTE, context, target=patient)
        assert caught.value.code == "outcome-unknown"
        proxy.losing.clear()
        # The same request, asked again by the caller, has its one answer.
        assert app.execute(NOTE, context, target=patient).replayed
        assert app.patient(patient).version == 3

    def test_what_was_never_sent_is_not_called_unknown(
        self, lossy: tuple[LedgerFactory, LossyProxy], patient: UUID, doctor: Author
    ) -> None:
        factory, proxy = lossy
        proxy.losing.set()
        with pytest.raises(LedgerUnreachable):
            Continuity(factory, IDS).execute(NOTE, asked("note", doctor), target=patient)


def test_recorded_at_is_the_moment_given(app: Continuity) -> None:
    at = now().replace(microsecond=123456)
    outcome = app.execute(REGISTER, asked("register", now=at))
    [event] = app.patient(outcome.stream).entries.values()
    assert event.recorded_at == at
    assert datetime.fromisoformat(event.envelope.occurred_at) == at.replace(microsecond=0)
