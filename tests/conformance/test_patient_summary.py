"""``$summary``: valid R4, accepted by our checker, and the same three lists after a round trip."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.bundles import (
    CENTRE,
    DIRECTORY,
    EXAMPLES,
    MUTANTS,
    SYNTHEA,
    accepted,
    allergy,
    coded,
    collection,
    condition,
    imported,
    lists_of,
    raw,
    statement,
    summary_of,
)
from conformance.test_import_plan import PLACES, SEED, changed, values
from releve.api.problems import Problem
from releve.domain.aggregates.patient.allergies import AbsenceAsserted, AllergyRecorded
from releve.domain.aggregates.patient.corrections import EntryMarkedInError
from releve.domain.aggregates.patient.identity import MedecinTraitantDeclared, Registered
from releve.domain.aggregates.patient.medications import MedicationStarted
from releve.domain.aggregates.patient.observations import ObservationRecorded
from releve.domain.aggregates.patient.problems import ProblemRecorded
from releve.domain.commands import StartMedication
from releve.domain.errors import Invalid, Refused
from releve.domain.values import Coding, Component, Concept, Identifier, Quantity, Sex
from releve.fhir import exact_json, ips_checker, r4b
from releve.fhir.answers import patient_resource
from releve.fhir.bundle import BundleIndex
from releve.fhir.capability import capability_statement
from releve.fhir.exact_json import JsonObject
from releve.fhir.summary import everything_bundle, summary_document
from releve.projections.directory import Directory
from releve.projections.patient_summary import PatientSummary
from support.given import given as asked
from support.patient_events import Stream

TAKEN = [MUTANTS[name] for name in ("m02", "m05", "m06", "m10", "m18", "m22")]
OURS = {
    "stopped-medication": collection(
        statement(
            coded("C09AA05", "ramipril", "http://www.whocc.no/atc"),
            "stopped",
            effectivePeriod={"start": "2019-02", "end": "2021-06-30"},
            statusReason=[{"text": "toux"}],
        ),
        statement(coded("N02BE01", "paracétamol"), effectiveDateTime="2026-05-04"),
    ),
    "refuted-allergy": collection(
        allergy(coded("764146007", "pénicilline"), "inactive", verification="refuted"),
        allergy(coded("256277009", "pollen"), "active", category=["environment"]),
    ),
    "two-episodes": collection(
        condition(coded("233604007", "Pneumonia"), "resolved",
                  onsetDateTime="2012-01-05", abatementDateTime="2012-02-01"),
        condition(coded("233604007", "Pneumonia"), "active", onsetDateTime="2026-11-01"),
    ),
    "refuted-problem": collection(
        condition(coded("22298006", "Infarctus"), "inactive", verification="refuted"),
    ),
    "in-error": collection(
        allergy(coded("764146007", "pénicilline"), None, verification="entered-in-error"),
        condition(coded("22298006", "Infarctus"), None, verification="entered-in-error"),
        statement(coded("N02BE01", "paracétamol"), "entered-in-error"),
    ),
    "dates": collection(
        condition(coded("1", "a"), "active",
                  onsetAge={"value": 40, "system": "http://unitsofmeasure.org", "code": "a"}),
        condition(coded("2", "b"), "resolved", onsetString="dans l'enfance",
                  abatementRange={"low": {"value": 1.50, "unit": "ans"}}),
        condition(coded("3", "c"), "recurrence", onsetPeriod={"start": "2020"}),
    ),
    "none-known": collection(
        allergy(coded("716186003", "No known allergy"), "active"),
        condition(coded("160245001", "No current problems"), "active"),
        statement(coded("787481004", "No known medications"), "unknown"),
    ),
    "odd-codes": collection(
        condition(coded("4", "d"), "bizarre"),
        statement(coded("5", "e"), "bizarre"),
        allergy(coded("6", "f"), None, criticality="bizarre"),
        patient={"gender": "bizarre"},
    ),
    "nothing": collection(patient={"birthDate": None, "name": None, "gender": None}),
}  # fmt: skip
for _bundle in OURS.values():
    _person = _bundle["entry"][0]["resource"]
    for _key in [key for key, value in _person.items() if value is None]:
        del _person[_key]

FILES: dict[str, bytes] = {path.name: path.read_bytes() for path in (*EXAMPLES, *SYNTHEA, *TAKEN)}
FILES |= {name: raw(bundle) for name, bundle in OURS.items()}


def document_of(*contents: bytes) -> bytes:
    """The summary of one record after importing these files."""
    return summary_document(summary_of(imported(*contents)), DIRECTORY)


@pytest.mark.parametrize("name", FILES)
def test_a_summary_is_r4_and_passes_the_checker(name: str) -> None:
    document = document_of(FILES[name])
    bundle = exact_json.parse(document)
    assert r4b.structure(bundle, "Bundle") == []
    assert ips_checker.check(bundle) == []


@pytest.mark.parametrize("name", FILES)
def test_everything_is_r4_and_has_no_reference_that_leads_nowhere(name: str) -> None:
    summary = summary_of(imported(FILES[name]))
    bundle = exact_json.parse(everything_bundle(summary, DIRECTORY))
    assert r4b.structure(bundle, "Bundle") == []
    index = BundleIndex(bundle)
    assert [
        one for entry in index.entries for one in ips_checker.resource_issues(index, entry)
    ] == []


@pytest.mark.parametrize("name", FILES)
def test_a_summary_imported_into_an_empty_record_gives_the_same_three_lists(name: str) -> None:
    first = document_of(FILES[name])
    planned = accepted(first)
    assert planned.document.warnings == ()
    second = document_of(first)
    assert lists_of(second) == lists_of(first)


def test_the_same_three_lists_after_all_files_of_one_patient() -> None:
    contents = [path.read_bytes() for path in EXAMPLES]
    first = document_of(*contents)
    assert lists_of(document_of(first)) == lists_of(first)


@pytest.mark.parametrize("path", [*EXAMPLES, *SYNTHEA], ids=lambda path: path.name[:24])
def test_each_coded_line_of_a_file_is_found_again_with_status_and_dates(path: Path) -> None:
    dates = (
        "onsetDateTime", "abatementDateTime", "recordedDate", "effectivePeriod", "authoredOn",
    )  # fmt: skip
    entries = exact_json.parse(path.read_bytes())["entry"]
    by_url = {entry["fullUrl"]: entry["resource"] for entry in entries}
    sent = [entry["resource"] for entry in entries]
    found = [
        entry["resource"] for entry in exact_json.parse(document_of(path.read_bytes()))["entry"]
    ]

    def told(one: JsonObject) -> tuple[object, ...]:
        code = one.get("code") or one.get("medicationCodeableConcept")
        if code is None:
            code = by_url[one["medicationReference"]["reference"]]["code"]
        return (
            one["resourceType"],
            [(coding["system"], coding["code"]) for coding in code["coding"]],
            one.get("status"),
            [
                (one.get(key) or {"coding": [{"code": None}]})["coding"][0]["code"]
                for key in ("clinicalStatus", "verificationStatus")
            ],
            [one.get(key) for key in dates],
        )

    kinds = ("Condition", "AllergyIntolerance", "MedicationStatement", "MedicationRequest")
    again = [told(one) for one in found if one["resourceType"] in kinds]
    for one in sent:
        if one["resourceType"] in kinds:
            assert told(one) in again


def sections(document: bytes) -> dict[str, JsonObject]:
    """The sections of a document by LOINC code."""
    composition = exact_json.parse(document)["entry"][0]["resource"]
    return {one["code"]["coding"][0]["code"]: one for one in composition["section"]}


def names_in(document: bytes, code: str) -> list[str]:
    """What the entries of a section are called."""
    by_url = {one["fullUrl"]: one["resource"] for one in exact_json.parse(document)["entry"]}
    found = [by_url[one["reference"]] for one in sections(document)[code].get("entry", ())]
    concepts = [one.get("code") or one["medicationCodeableConcept"] for one in found]
    return [one["text"] for one in concepts]


def test_remission_and_resolution_are_past_and_food_is_absent_beside_penicillin() -> None:
    document = document_of(EXAMPLES[0].read_bytes())
    assert names_in(document, "11450-4") == ["Menopausal flushing (finding)"]
    assert names_in(document, "11348-0") == ["Malignant tumor of breast"]
    assert set(names_in(document, "48765-2")) == {
        "Substance with penicillin structure (substance)",
        "No known food allergy (situation)",
    }
    floyd = next(path for path in SYNTHEA if path.name.startswith("Floyd"))
    document = document_of(floyd.read_bytes())
    assert names_in(document, "11348-0") == ["Viral sinusitis (disorder)"]
    assert "Viral sinusitis (disorder)" not in names_in(document, "11450-4")


def test_an_allergy_entered_in_error_is_nowhere_in_the_summary() -> None:
    document = document_of(MUTANTS["m10"].read_bytes())
    assert names_in(document, "48765-2") == ["No known food allergy (situation)"]
    assert b"penicillin" not in document


def test_a_stopped_treatment_stays_with_its_status_dates_and_reason() -> None:
    document = document_of(FILES["stopped-medication"])
    stopped = next(json.loads(one) for one in lists_of(document) if b"ramipril" in one)
    assert stopped["status"] == "stopped"
    assert stopped["effectivePeriod"] == {"start": "2019-02", "end": "2021-06-30"}
    assert stopped["statusReason"] == [{"text": "toux"}]


def test_a_past_end_changes_no_status_that_a_source_gave() -> None:
    drug = coded("C09AA05", "ramipril", "http://www.whocc.no/atc")
    line = statement(drug, "active", effectivePeriod={"start": "2019-02", "end": "2021-06-30"})
    document = document_of(raw(collection(line)))
    (kept,) = (json.loads(one) for one in lists_of(document) if b"ramipril" in one)
    assert kept["status"] == "active"
    assert kept["effectivePeriod"] == {"start": "2019-02", "end": "2021-06-30"}


def test_a_treatment_that_was_over_when_it_was_written_here_leaves_as_completed() -> None:
    command = StartMedication(concept=Concept(text="Amoxicilline"), end="2026-11-01")
    (event,) = asked(Registered(birth_name="EXEMPLE")).when(command).events
    document = summary_document(record(event.payload), DIRECTORY)
    assert ips_checker.check(exact_json.parse(document)) == []
    (kept,) = (json.loads(one) for one in lists_of(document) if b"Amoxicilline" in one)
    assert kept["status"] == "completed"
    assert kept["effectivePeriod"] == {"end": "2026-11-01"}
    assert lists_of(document_of(document)) == lists_of(document)


def test_two_doses_of_one_drug_are_two_lines() -> None:
    drug = coded("H03AA01", "lévothyroxine", "http://www.whocc.no/atc")
    doses = [{"text": "75 µg le matin"}, {"text": "50 µg le dimanche"}]
    lines = [statement(drug, dosage=[dose]) for dose in doses]
    document = document_of(raw(collection(*lines)))
    assert len(names_in(document, "10160-0")) == 2
    assert lists_of(document_of(document)) == lists_of(document)


def test_a_refuted_allergy_is_in_everything_alone_and_two_episodes_stay_two() -> None:
    assert b"nicilline" not in document_of(FILES["refuted-allergy"])
    summary = summary_of(imported(FILES["refuted-allergy"]))
    (refuted,) = [one for one in lists_of(everything_bundle(summary, DIRECTORY))
                  if b"nicilline" in one]  # fmt: skip
    assert json.loads(refuted)["verificationStatus"]["coding"][0]["code"] == "refuted"
    document = document_of(FILES["two-episodes"])
    assert names_in(document, "11450-4") == ["Pneumonia"]
    assert names_in(document, "11348-0") == ["Pneumonia"]


def test_a_refuted_problem_is_never_an_active_one() -> None:
    document = document_of(FILES["refuted-problem"])
    assert "entry" not in sections(document)["11450-4"]
    assert names_in(document, "11348-0") == ["Infarctus"]


def test_an_empty_section_says_why_and_a_known_absence_is_a_resource() -> None:
    empty = sections(document_of(FILES["nothing"]))
    for code in ("11450-4", "48765-2", "10160-0"):
        assert empty[code]["emptyReason"]["coding"][0]["code"] == "notasked"
    known = sections(document_of(FILES["none-known"]))
    for code in ("11450-4", "48765-2", "10160-0"):
        assert len(known[code]["entry"]) == 1
        assert "emptyReason" not in known[code]


def test_a_newer_word_of_the_same_source_replaces_the_older_one() -> None:
    document = document_of(EXAMPLES[0].read_bytes(), MUTANTS["m10"].read_bytes())
    assert b"penicillin" not in document
    problems = document_of(EXAMPLES[0].read_bytes(), MUTANTS["m22"].read_bytes())
    assert names_in(problems, "11450-4") == ["Menopausal flushing (finding)"]


def test_the_same_file_again_makes_no_event() -> None:
    for content in FILES.values():
        assert len(imported(content, content)) == len(imported(content))


def test_the_same_record_gives_the_same_bytes() -> None:
    events = imported(EXAMPLES[0].read_bytes())
    once = summary_document(summary_of(events), DIRECTORY)
    assert summary_document(summary_of(events), DIRECTORY) == once
    for event in events:
        if event.topic.startswith(("patient.problem", "patient.allergy", "patient.medication")):
            assert str(event.event_id).encode() in once


def identity(**traits: Any) -> Registered:
    given: dict[str, Any] = {
        "birth_name": "Sansonnet",
        "first_names": ("Odile", "Marie"),
        "birth_date": "1951-04-12",
        "sex": "female",
    }
    return Registered(**{**given, **traits})


def record(*payloads: Any, **traits: Any) -> PatientSummary:
    """A record written here, not imported."""
    stream = Stream()
    stream.add(identity(**traits), centre=CENTRE)
    for payload in payloads:
        stream.add(payload, centre=CENTRE)
    return summary_of(stream.events)


HANDWRITTEN = (
    ProblemRecorded(
        concept=Concept(
            text="Hypertension <script>alert(1)</script> & co",
            codings=(Coding(system="http://hl7.org/fhir/sid/icd-10", code="I10"),),
        ),
        clinical_status="active",
        verification="confirmed",
        onset="2015",
        laterality="gauche",
    ),
    AllergyRecorded(substance=Concept(text="Iode"), clinical_status="active"),
    AbsenceAsserted(slot="allergies", part="food", asked_on="2026-11-16"),
    AbsenceAsserted(slot="devices"),
    MedicationStarted(
        concept=Concept(text="Ramipril 5 mg"),
        start="2020-01",
        dose=Quantity(value="5.0", unit="mg", code="mg"),
        frequency="le matin",
    ),
    ObservationRecorded(
        code=Concept(text="Tension", codings=(Coding(system="http://loinc.org", code="85354-9"),)),
        components=(
            Component(code=Concept(text="PAS"), value=Quantity(value="142", unit="mm[Hg]")),
            Component(code=Concept(text="PAD"), value=Quantity(value="8.50", code="mm[Hg]")),
        ),
    ),
    ObservationRecorded(code=Concept(text="Poids"), value=Quantity(value="70,5", unit="kg")),
    MedecinTraitantDeclared(kind="centre", since="2026-01-05", centre=CENTRE),
)


def test_a_record_written_here_leaves_as_r4_and_comes_back_the_same() -> None:
    first = summary_document(record(*HANDWRITTEN), DIRECTORY)
    bundle = exact_json.parse(first)
    assert ips_checker.check(bundle) == []
    assert b'"value":8.50' in first
    assert b"<script" not in json.dumps(sections(first)).encode()
    assert lists_of(document_of(first)) == lists_of(first)
    everything = exact_json.parse(everything_bundle(record(*HANDWRITTEN), DIRECTORY))
    assert r4b.structure(everything, "Bundle") == []


def test_the_centre_is_general_practitioner_custodian_and_author() -> None:
    document = exact_json.parse(summary_document(record(*HANDWRITTEN), DIRECTORY))
    composition, patient, centre = (one["resource"] for one in document["entry"][:3])
    assert centre["resourceType"] == "Organization"
    assert centre["identifier"] == [
        {"system": "https://finess.esante.gouv.fr", "value": "230000010"}
    ]
    url = f"urn:uuid:{CENTRE}"
    assert patient["generalPractitioner"][0]["reference"] == url
    assert composition["custodian"]["reference"] == url
    assert composition["author"][0]["reference"] == url
    read = exact_json.parse(patient_resource(record(*HANDWRITTEN), DIRECTORY))
    assert read["generalPractitioner"][0]["identifier"]["value"] == "230000010"


def test_a_summary_without_a_known_centre_is_still_a_document() -> None:
    document = summary_document(record(*HANDWRITTEN), Directory([]))
    assert ips_checker.check(exact_json.parse(document)) == []


def test_what_was_marked_in_error_leaves_the_summary_and_stays_in_everything() -> None:
    stream = Stream()
    stream.add(identity(), centre=CENTRE)
    wrong = stream.add(HANDWRITTEN[0], centre=CENTRE)
    stream.add(EntryMarkedInError(), target=wrong.event_id, reason="autre patient")
    summary = summary_of(stream.events)
    assert b"Hypertension" not in summary_document(summary, DIRECTORY)
    kept = exact_json.parse(everything_bundle(summary, DIRECTORY))
    problem = next(
        one["resource"] for one in kept["entry"] if one["resource"]["resourceType"] == "Condition"
    )
    assert problem["verificationStatus"]["coding"][0]["code"] == "entered-in-error"
    assert "clinicalStatus" not in problem


NIR, TEST_NIR = "urn:oid:1.2.250.1.213.1.4.8", "urn:oid:1.2.250.1.213.1.4.10"


@pytest.mark.parametrize("system", [NIR, TEST_NIR])
@pytest.mark.parametrize("status", ["provisoire", "recuperee", "validee", "qualifiee"])
def test_an_ins_leaves_only_once_it_is_qualified(system: str, status: str) -> None:
    matricule = Identifier(system=system, value="279035121518989", use="official")
    summary = record(identifiers=(matricule,), identity_status=status)
    for sent in (patient_resource(summary, DIRECTORY), summary_document(summary, DIRECTORY)):
        assert (b"279035121518989" in sent) == (status == "qualifiee")


def test_a_missing_birth_date_or_name_says_that_it_is_unknown() -> None:
    summary = record(birth_date=None, birth_name=None, first_names=(), sex=None)
    patient = exact_json.parse(patient_resource(summary, DIRECTORY))
    assert r4b.structure(patient, "Patient") == []
    assert "birthDate" not in patient
    assert patient["_birthDate"]["extension"][0]["valueCode"] == "unknown"
    assert ips_checker.check(exact_json.parse(summary_document(summary, DIRECTORY))) == []


def test_used_and_birth_names_come_back_as_they_were() -> None:
    summary = record(used_name="Loriot", used_first_name="Dilette")
    back = accepted(summary_document(summary, DIRECTORY)).registration
    assert (back.birth_name, back.used_name) == ("Sansonnet", "Loriot")
    assert (back.first_names, back.used_first_name) == (("Odile", "Marie"), "Dilette")


def test_an_incomplete_record_says_so() -> None:
    summary = msgspec.structs.replace(record(*HANDWRITTEN), unread=2)
    document = exact_json.parse(summary_document(summary, DIRECTORY))
    composition = document["entry"][0]["resource"]
    assert "dossier incomplet : 2 éléments non lus" in composition["title"]
    for section in composition["section"]:
        assert "dossier incomplet" in section["text"]["div"]
    assert ips_checker.check(document) == []


def test_capability_statement_and_outcome_are_r4() -> None:
    statement_ = exact_json.parse(capability_statement("https://ici.example/fhir/"))
    assert r4b.structure(statement_, "CapabilityStatement") == []
    assert statement_["implementation"]["url"] == "https://ici.example/fhir"
    assert [one["type"] for one in statement_["rest"][0]["resource"]] == ["Patient"]
    refused = Problem(
        404, "not-available", "Ce dossier n'est pas disponible.", fields=(("id", "x"),)
    )
    outcome = exact_json.parse(bytes(refused.as_outcome().body))
    assert r4b.structure(outcome, "OperationOutcome") == []


@settings(max_examples=200)
@given(st.lists(st.tuples(st.sampled_from(PLACES), values()), min_size=1, max_size=3))
def test_whatever_is_taken_leaves_as_a_summary_that_passes(
    changes: list[tuple[tuple[Any, ...], Any]],
) -> None:
    content = json.dumps(changed(SEED, changes)).encode()
    try:
        events = imported(content)
    except (AssertionError, Invalid, Refused):
        return
    document = summary_document(summary_of(events), DIRECTORY)
    assert ips_checker.check(exact_json.parse(document)) == []
    assert lists_of(document_of(document)) == lists_of(document)


def test_every_sex_has_its_code() -> None:
    sexes: tuple[Sex, ...] = ("male", "female", "other", "unknown")
    for sex in sexes:
        patient = exact_json.parse(patient_resource(record(sex=sex), DIRECTORY))
        assert patient["gender"] == sex
