"""Imports: entries as received, the same thing once, nothing brought back."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

import msgspec
import pytest

from releve.domain.aggregates.patient.allergies import (
    AbsenceAsserted,
    AllergyRecorded,
    current_allergies,
)
from releve.domain.aggregates.patient.corrections import EntryMarkedInError
from releve.domain.aggregates.patient.documents import DocumentAttached
from releve.domain.aggregates.patient.identity import Registered
from releve.domain.aggregates.patient.medications import MedicationStarted, medication_in_force
from releve.domain.aggregates.patient.observations import ObservationRecorded
from releve.domain.aggregates.patient.open_items import ItemOpened, ItemReopened
from releve.domain.aggregates.patient.problems import ProblemRecorded, current_problems
from releve.domain.aggregates.patient.results import (
    ResultReceived,
    current_results,
    stage_of,
)
from releve.domain.aggregates.patient.validation import EntryValidated, awaiting_validation
from releve.domain.commands import (
    AssertAbsence,
    ImportedDocument,
    ImportedEntry,
    ImportRecord,
    MarkEntryInError,
    RegisterPatient,
    StopMedication,
    ValidateEntry,
)
from releve.domain.events import Payload, Source
from releve.domain.values import Coding, Concept, Quantity, ResultLine, ResultStatus
from support.given import SYSTEM, Given, Told, When, entry, given

SYSTEM_A = Source(channel="fhir", system="urn:ehr-a")
REGISTERED = Registered(birth_name="EXEMPLE")
FLU = Concept(text="Influenza", codings=(Coding(system="http://snomed.info/sct", code="6142004"),))
HASH = "ab" * 32


def problem(onset: str | None, status: str | None = "active", **fields: Any) -> ProblemRecorded:
    return ProblemRecorded(concept=FLU, onset=onset, clinical_status=status, **fields)


def line(payload: Payload, source_id: str | None = None, at: str | None = None) -> ImportedEntry:
    return ImportedEntry(payload=payload, source_id=source_id, occurred_at=at)


def taken_in(record: Given, *lines: ImportedEntry, **command: Any) -> When:
    return record.when(
        ImportRecord(entries=lines, **command),
        by=SYSTEM,
        source=SYSTEM_A,
        originals=[HASH],
        key=another(record),
    )


def another(record: Given) -> bytes:
    """The key of a request that the record has not seen yet."""
    return b"" if record.state is None else str(record.state.version).encode()


def then_again(first: When) -> Given:
    """The record after ``first``, its events told with their real envelopes."""
    return Given("patient", first.state)


def test_an_import_opens_the_record_keeps_the_original_and_takes_every_line() -> None:
    document = ImportedDocument(sha256=HASH, size=9, source_id="Bundle/1")
    answer = taken_in(
        given(),
        line(problem("2021-04"), "Condition/1", "2021-04-02"),
        registration=RegisterPatient(birth_name="EXEMPLE", sex="unknown"),
        document=document,
    )
    answer.then(
        Registered(birth_name="EXEMPLE"),
        DocumentAttached(sha256=HASH, size=9, media_type="application/fhir+json"),
        problem("2021-04"),
    )
    _, original, condition = answer.events
    assert original.envelope.source.source_id == "Bundle/1"
    assert original.envelope.source.original_sha256 == HASH
    assert condition.envelope.occurred_at == "2021-04-02"
    assert condition.envelope.source.source_id == "Condition/1"


def test_a_record_needs_an_identity_and_a_document_its_bytes() -> None:
    taken_in(given()).invalid("missing-field", field="registration")
    given(REGISTERED).when(
        ImportRecord(document=ImportedDocument(sha256=HASH, size=1)), by=SYSTEM, source=SYSTEM_A
    ).invalid("missing-field", field="original")


def test_the_same_import_again_makes_no_event() -> None:
    lines = (
        line(problem("2021"), "Condition/1"),
        line(AllergyRecorded(substance=FLU), "AllergyIntolerance/1"),
        line(MedicationStarted(concept=FLU, status="stopped", end="2022"), "MedicationRequest/1"),
        line(
            ObservationRecorded(code=FLU, value=Quantity(value="1.50", unit="mg")),
            "Observation/1",
            "2021-04-02T10:00:00Z",
        ),
        line(AbsenceAsserted(slot="allergies", part="food"), "AllergyIntolerance/2"),
    )
    document = ImportedDocument(sha256=HASH, size=9, source_id="Bundle/1")
    first = taken_in(given(REGISTERED), *lines, document=document)
    assert len(first.events) == 6
    taken_in(then_again(first), *lines, document=document).nothing()


def test_two_episodes_of_one_condition_are_two_problems() -> None:
    first, second = problem("2019", "resolved"), problem("2021", "resolved")
    taken_in(given(REGISTERED), line(first), line(second), line(second)).then(first, second)


@pytest.mark.parametrize("kind", ["allergy", "treatment", "problem"])
def test_one_broad_code_with_other_words_is_another_line(kind: str) -> None:
    """ "Allergie médicamenteuse" is one code: to keep amoxicillin alone would lose ibuprofen."""

    def said(words: str) -> Payload:
        broad = Coding(system="http://snomed.info/sct", code="416098002")
        concept = Concept(text=words, codings=(broad,))
        if kind == "allergy":
            return AllergyRecorded(substance=concept, clinical_status="active")
        if kind == "treatment":
            return MedicationStarted(concept=concept)
        return ProblemRecorded(concept=concept, clinical_status="active")

    file = (line(said("Amoxicilline"), "a"), line(said("Ibuprofène"), "b"))
    first = taken_in(given(REGISTERED), *file)
    assert [event.payload for event in first.events] == [said("Amoxicilline"), said("Ibuprofène")]
    taken_in(then_again(first), *file).nothing()
    spaced = (line(said("AMOXICILLINE "), "a"), line(said("ibuprofène"), "b"))
    taken_in(then_again(first), *spaced).nothing()


def test_another_source_is_another_line() -> None:
    told = Told(problem("2021"), source=Source(channel="fhir", system="urn:ehr-b"))
    taken_in(given(REGISTERED, told), line(problem("2021"))).then(problem("2021"))


def test_the_same_resource_with_another_status_supersedes_its_older_version() -> None:
    source = Source(channel="fhir", system="urn:ehr-a", source_id="Condition/1")
    record = given(REGISTERED, Told(problem("2021"), source=source))
    resolved = line(problem("2021", "resolved"), "Condition/1")
    answer = taken_in(record, resolved)
    answer.then(problem("2021", "resolved"))
    assert answer.events[0].envelope.target == entry(2)
    assert list(current_problems(answer.state)) == []
    older_file = line(problem("2021"), "Condition/1")
    taken_in(then_again(answer), older_file, resolved).nothing()


ALLERGY = AllergyRecorded(substance=FLU, clinical_status="active")
REFUTED = AllergyRecorded(substance=FLU, clinical_status="inactive", verification="refuted")


def told(payload: Payload, source_id: str, **envelope: Any) -> Told:
    return Told(payload, source=msgspec.structs.replace(SYSTEM_A, source_id=source_id), **envelope)


def says(verdict: Literal["accepted", "refused"], place: int) -> Told:
    return Told(EntryValidated(verdict=verdict), target=entry(place))


def test_nobody_having_accepted_it_a_newer_version_takes_nothing_out() -> None:
    record = given(REGISTERED, told(ALLERGY, "a"), says("accepted", 2))
    first = taken_in(record, line(REFUTED, "a"))
    (refuted,) = first.events
    assert refuted.envelope.target == entry(2)
    assert [e.event_id for e in current_allergies(first.state)] == [entry(2)]
    assert list(awaiting_validation(first.state)) == [refuted]
    then_again(first).when(AssertAbsence(slot="allergies", asked_on="2026-11-24")).refused(
        "absence-contradicted"
    )
    # What the source says once more is not asked twice; its change of mind is.
    taken_in(then_again(first), line(ALLERGY, "a"), line(REFUTED, "a")).nothing()
    back = taken_in(then_again(first), line(ALLERGY, "a"))
    assert [event.envelope.target for event in back.events] == [refuted.event_id]
    assert list(awaiting_validation(back.state)) == list(back.events)

    def judged(verdict: Literal["accepted", "refused"]) -> list[UUID]:
        said = ValidateEntry(entry=refuted.event_id, verdict=verdict, reason="Vu avec le patient")
        answer = then_again(first).when(said, key=another(then_again(first)))
        assert list(awaiting_validation(answer.state)) == []
        return [event.event_id for event in current_allergies(answer.state)]

    assert judged("refused") == [entry(2)]
    assert judged("accepted") == []


def test_what_a_doctor_stopped_here_stays_stopped_when_it_is_sent_again() -> None:
    """Nobody had accepted the line; its stop for a bleeding is a doctor's word all the same."""

    def sent(dose: str) -> ImportedEntry:
        drug = Concept(text="Warfarine")
        return line(MedicationStarted(concept=drug, start="2024", dose_text=dose), "m1")

    first = taken_in(given(REGISTERED), sent("2 mg"))
    stop = StopMedication(medication=first.events[0].event_id, reason="Hématome")
    stopped = then_again(first).when(stop, key=b"stop")
    again = taken_in(then_again(stopped), sent("3 mg"))
    old, new = again.state.medications
    assert [again.state.stands(each) for each in (old, new)] == [True, True]
    assert medication_in_force(again.state, old).status == "stopped"
    assert new in awaiting_validation(again.state)
    (stopping,) = stopped.events
    back = MarkEntryInError(entry=stopping.event_id, reason="Erreur de dossier")
    undone = then_again(again).when(back, key=b"back").state
    assert [undone.stands(each) for each in undone.medications] == [False, True]


def test_what_nobody_accepted_is_replaced_by_its_newer_version() -> None:
    answer = taken_in(given(REGISTERED, told(ALLERGY, "a")), line(REFUTED, "a"))
    assert list(current_allergies(answer.state)) == []
    assert list(awaiting_validation(answer.state)) == list(answer.events)


def report(*values: tuple[str, str], status: ResultStatus = "final") -> ResultReceived:
    lines = tuple(
        ResultLine(code=Concept(text=name), value=Quantity(value=value, unit="mmol/L"))
        for name, value in values
    )
    return ResultReceived(status=status, report="R1", laboratory="Labo", lines=lines)


LOW, HIGH = report(("Potassium", "4.1")), report(("Potassium", "6.8"))


def results_in(answer: When) -> list[Payload]:
    return [event.payload for event in answer.events if isinstance(event.payload, ResultReceived)]


def in_force(answer: When) -> list[Payload]:
    return [event.payload for event in current_results(answer.state)]


def test_a_report_without_a_measure_of_the_earlier_one_stands_beside_it() -> None:
    high, other = told(HIGH, "r"), report(("TSH", "2.1"))
    answer = taken_in(given(REGISTERED, high), line(other, "r"))
    assert in_force(answer) == [HIGH, other]
    assert {stage_of(answer.state, event) for event in current_results(answer.state)} == {"to-read"}
    whole = report(("TSH", "2.1"), ("Potassium", "6.7"))
    assert in_force(taken_in(given(REGISTERED, high), line(whole, "r"))) == [whole]
    taken_in(then_again(answer), line(HIGH, "r"), line(other, "r")).nothing()


def test_a_partial_that_comes_late_is_history_only_as_far_as_the_final_has_it() -> None:
    whole = report(("TSH", "2.1"), ("Potassium", "6.7"))
    part = report(("Potassium", "6.8"), status="partial")
    answer = taken_in(given(REGISTERED, told(whole, "r")), line(part, "r"))
    assert in_force(answer) == [whole]
    taken_in(then_again(answer), line(part, "r")).nothing()
    more = report(("Calcium", "3.9"), status="partial")
    assert in_force(taken_in(given(REGISTERED, told(whole, "r")), line(more, "r"))) == [whole, more]


def test_a_laboratory_that_takes_its_correction_back_is_heard() -> None:
    record = given(REGISTERED, told(LOW, "r"))
    corrected = taken_in(record, line(HIGH, "r"))
    again = taken_in(then_again(corrected), line(LOW, "r"))
    assert results_in(again) == [LOW]
    assert (again.events[0].envelope.target, in_force(again)) == (
        corrected.events[0].event_id, [LOW],
    )  # fmt: skip
    taken_in(then_again(again), line(LOW, "r")).nothing()
    # One file that tells all three, once and again: its last word counts.
    three = (line(LOW, "r"), line(HIGH, "r"), line(LOW, "r"))
    whole = taken_in(given(REGISTERED), *three)
    assert (results_in(whole), in_force(whole)) == ([LOW, HIGH, LOW], [LOW])
    taken_in(then_again(whole), *three).nothing()


def test_a_line_that_a_source_takes_back_is_heard() -> None:
    active, over = problem("2021"), problem("2021", "resolved")
    record = given(REGISTERED, told(active, "c"), told(over, "c", target=entry(2)))
    answer = taken_in(record, line(active, "c"))
    answer.then(active)
    assert answer.events[0].envelope.target == entry(3)
    assert list(current_problems(answer.state)) == list(answer.events)


@pytest.mark.parametrize("out", [Told(EntryMarkedInError(), target=entry(2)), says("refused", 2)])
def test_a_result_that_was_set_aside_comes_in_when_it_is_sent_again(out: Told) -> None:
    answer = taken_in(given(REGISTERED, told(HIGH, "r"), out), line(HIGH, "r"))
    assert results_in(answer) == [HIGH]
    assert [stage_of(answer.state, event) for event in current_results(answer.state)] == ["to-read"]
    assert any(isinstance(event.payload, ItemOpened | ItemReopened) for event in answer.events)
    taken_in(then_again(answer), line(HIGH, "r")).nothing()


def test_a_document_that_was_withdrawn_whole_brings_all_of_it_again() -> None:
    document = ImportedDocument(sha256=HASH, size=9, source_id="Bundle/1")
    from_it = msgspec.structs.replace(SYSTEM_A, original_sha256=HASH)

    def delivered(record: Given) -> When:
        lines = (line(problem("2021"), "c"), line(HIGH, "r"))
        command = ImportRecord(entries=lines, document=document)
        return record.when(
            command, by=SYSTEM, source=from_it, originals=[HASH], key=another(record)
        )

    record = then_again(delivered(given(REGISTERED)))
    delivered(record).nothing()
    brought = [e for e in record.state.entries.values() if e.envelope.source == from_it or
               e.envelope.source.source_id]  # fmt: skip
    for event in brought:
        if not isinstance(event.payload, Registered | ItemOpened):
            wrong = MarkEntryInError(entry=event.event_id, reason="Mauvais dossier")
            record = then_again(record.when(wrong, key=another(record)))
    again = delivered(record)
    assert [type(event.payload) for event in again.events[:3]] == [
        DocumentAttached, ProblemRecorded, ResultReceived,
    ]  # fmt: skip
    delivered(then_again(again)).nothing()


def test_status_verification_and_dates_are_kept_as_received() -> None:
    received = ProblemRecorded(
        concept=Concept(text="x", codings=(Coding(system="urn:local", code="?"),)),
        clinical_status="remission",
        verification="provisional",
        onset="1987",
        abatement="2004-03",
        recorded="2004-03-02",
    )
    taken_in(given(REGISTERED), line(received)).then(received)


def test_a_refuted_line_beside_an_active_one_keeps_both() -> None:
    active = AllergyRecorded(substance=FLU, clinical_status="active")
    refuted = AllergyRecorded(substance=FLU, verification="refuted")
    taken_in(given(REGISTERED), line(active, "a"), line(refuted, "b")).then(active, refuted)


@pytest.mark.parametrize("code", ["716186003", "429625007"])
def test_a_known_absence_code_becomes_an_absence(code: str) -> None:
    none = Concept(text="None", codings=(Coding(system="http://snomed.info/sct", code=code),))
    carried = AllergyRecorded(substance=none, clinical_status="active", recorded="2024-01-01")
    taken_in(given(REGISTERED), line(carried)).then(
        AbsenceAsserted(
            slot="allergies",
            part="food" if code == "429625007" else None,
            asked_on="2024-01-01",
            concept=none,
            clinical_status="active",
        )
    )


def test_what_was_marked_in_error_does_not_come_back_with_the_same_file() -> None:
    source = Source(channel="fhir", system="urn:ehr-a", source_id="Condition/1")
    record = given(
        REGISTERED,
        Told(problem("2021"), source=source),
        Told(EntryMarkedInError(), target=entry(2)),
    )
    taken_in(record, line(problem("2021"), "Condition/1")).nothing()


def test_only_coded_lines_are_imported() -> None:
    item = ItemOpened(kind="call", text="x", no_deadline=True)
    taken_in(given(REGISTERED), line(item)).invalid("invalid-field", field="entries[0].payload")


def test_another_original_of_the_same_lines_is_kept_without_doubling_them() -> None:
    source = Source(channel="fhir", system="urn:ehr-a", source_id="Condition/1")
    record = given(REGISTERED, Told(problem("2021"), source=source))
    taken_in(
        record,
        line(problem("2021"), "Condition/other"),
        document=ImportedDocument(sha256=HASH, size=9, source_id="Bundle/2"),
    ).then(DocumentAttached(sha256=HASH, size=9, media_type="application/fhir+json"))
