"""What somebody's part in a record is: what they wrote, ordered, or are asked."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from releve.api.gate import part_of
from releve.domain.aggregates.patient.corrections import EntryMarkedInError, EntryReinstated
from releve.domain.aggregates.patient.identity import Registered
from releve.domain.aggregates.patient.questions import QuestionAnswered, QuestionAsked
from releve.domain.aggregates.patient.results import InvestigationOrdered, ResultReceived
from releve.domain.events import Payload
from releve.security.policy import Context
from support.given import AMONT, AVAL, COORDINATOR, Told, entry, events

NOW = Context(datetime(2026, 12, 2, 10, tzinfo=UTC))
ASKED = QuestionAsked(to=AMONT.person or UUID(int=0), to_name=AMONT.name, text="Pourquoi ?")
ORDER = InvestigationOrdered(
    kind="laboratory", text="Ionogramme", expected_by="2026-11-26", item=entry(3)
)


def part(*told: Payload | Told, acted_on: UUID | None = None) -> Context:
    assert AMONT.person is not None
    assert AMONT.stint is not None
    return part_of(events(told), AMONT.person, {AMONT.stint}, NOW, acted_on)


def test_a_patient_is_treated_by_who_wrote_on_the_record_in_that_stint() -> None:
    registered = Told(Registered(birth_name="EXEMPLE"), author=COORDINATOR)
    assert not part(registered).treated
    assert not part(Told(ORDER, author=AVAL)).treated
    assert part(registered, Told(ORDER, author=AMONT)).treated


def test_a_question_is_asked_until_it_is_answered_or_was_an_error() -> None:
    opened = Told(Registered(birth_name="EXEMPLE"), author=COORDINATOR)
    asked = Told(ASKED, author=AVAL)
    assert part(opened, asked).asked
    to_another = QuestionAsked(to=UUID(int=9), to_name="Dr X", text="?")
    assert not part(opened, Told(to_another, author=AVAL)).asked
    for after in (QuestionAnswered(text="Bradycardie"), EntryMarkedInError()):
        assert not part(opened, asked, Told(after, target=entry(2))).asked
        assert part(opened, asked, Told(after, target=entry(9))).asked
    wrongly = Told(EntryMarkedInError(), target=entry(2))
    assert part(opened, asked, wrongly, Told(EntryReinstated(), target=entry(2))).asked


def test_a_result_is_its_orderers_whoever_received_it() -> None:
    result = ResultReceived(status="final", title="Ionogramme", order=entry(1))
    mine = (Told(ORDER, author=AMONT), Told(result, author=COORDINATOR))
    theirs = (Told(ORDER, author=AVAL), Told(result, author=AMONT))
    assert part(*mine, acted_on=entry(2)).authored
    assert not part(*theirs, acted_on=entry(2)).authored
    unordered = ResultReceived(status="final", title="Ionogramme")
    assert not part(Told(unordered, author=AMONT), acted_on=entry(1)).authored
    assert not part(*mine, acted_on=entry(9)).authored
    assert not part(*mine).authored
