"""Imports: entries as received, the same thing once, nothing brought back."""

from __future__ import annotations

from typing import Any

import pytest

from releve.domain.aggregates.patient.allergies import AbsenceAsserted, AllergyRecorded
from releve.domain.aggregates.patient.corrections import EntryMarkedInError
from releve.domain.aggregates.patient.documents import DocumentAttached
from releve.domain.aggregates.patient.identity import Registered
from releve.domain.aggregates.patient.medications import MedicationStarted
from releve.domain.aggregates.patient.observations import ObservationRecorded
from releve.domain.aggregates.patient.open_items import ItemOpened
from releve.domain.aggregates.patient.problems import ProblemRecorded, current_problems
from releve.domain.commands import (
    ImportedDocument,
    ImportedEntry,
    ImportRecord,
    RegisterPatient,
)
from releve.domain.events import Payload, Source
from releve.domain.values import Coding, Concept, Quantity
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
        ImportRecord(entries=lines, **command), by=SYSTEM, source=SYSTEM_A, originals=[HASH]
    )


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
