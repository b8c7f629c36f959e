"""Files imported into a real ledger: sealed, kept byte for byte, taken once, one patient each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from conformance.bundles import (
    CENTRE,
    DIRECTORY,
    EXAMPLES,
    MUTANTS,
    SYNTHEA,
    coded,
    collection,
    condition,
    lists_of,
    raw,
    summary_of,
)
from releve.domain.aggregates import CODEC
from releve.domain.aggregates.patient.documents import DocumentAttached
from releve.domain.continuity import Continuity
from releve.fhir import exact_json, ips_checker
from releve.fhir.import_files import Importer, ImportReport, import_files
from releve.fhir.summary import summary_document
from releve.projections.patient_summary import PatientSummary
from releve.security.keys.data_keys import DataKeys
from releve.security.keys.keyfile import KeyFiles
from releve.security.ledger.reader import LedgerReader
from releve.security.ledger.store import LedgerFactory
from support.given import IDS
from support.postgres import Database

pytestmark = pytest.mark.postgres


class House:
    """A ledger with its importer."""

    def __init__(self, database: Database, keys: Path) -> None:
        self.pool = database.service_pool
        key_files = KeyFiles(keys, None)
        data_keys = DataKeys(self.pool, key_files)
        self.continuity = Continuity(LedgerFactory(self.pool, data_keys, CODEC, skew=None), IDS)
        self.reader = LedgerReader(self.pool, data_keys, CODEC)
        self.importer = Importer(
            continuity=self.continuity,
            pool=self.pool,
            blind_index=key_files.blind_index(),
            centre=CENTRE,
            now=lambda: datetime.now(UTC),
        )

    def take(self, *paths: Path, keep_going: bool = False) -> ImportReport:
        """Import files."""
        return import_files(paths, self.importer, keep_going=keep_going)

    def summary(self, report: ImportReport) -> PatientSummary:
        """The record of the one patient of a report."""
        (patient,) = report.patients
        return summary_of(self.reader.stream(patient))

    def document(self, report: ImportReport) -> bytes:
        """The patient summary of the one patient of a report."""
        return summary_document(self.summary(report), DIRECTORY)


@pytest.fixture
def house(database: Database, tmp_path: Path) -> Iterator[House]:
    made = House(database, tmp_path / "keys")
    yield made
    made.continuity.close()


@pytest.fixture
def other_house(postgres: object, tmp_path: Path) -> Iterator[House]:
    from support.postgres import Server

    assert isinstance(postgres, Server)
    database = postgres.create()
    made = House(database, tmp_path / "other keys")
    yield made
    made.continuity.close()
    database.drop()


def test_examples_and_synthea_are_taken_and_again_make_no_event(house: House) -> None:
    paths = [*EXAMPLES, *SYNTHEA]
    report = house.take(*paths)
    assert (report.files, report.bundles, report.exit_code) == (5, 5, 0)
    assert (report.rejected, report.duplicates) == ([], [])
    assert len(report.patients) == 3  # HL7's three examples are about one person
    assert report.events == 94
    again = house.take(*paths)
    assert again.events == 0
    assert again.duplicates == [str(path) for path in paths]
    assert again.patients == report.patients


def test_the_report_has_the_shape_that_was_promised(house: House) -> None:
    report = house.take(EXAMPLES[0], MUTANTS["m02"], MUTANTS["m16"])
    told = json.loads(json.dumps(report.as_json()))
    assert set(told) == {
        "files", "bundles", "patients", "events", "duplicates", "unmapped", "warnings", "rejected",
    }  # fmt: skip
    assert {"file", "path", "type"} == set(told["unmapped"][0])
    assert told["warnings"] == [
        {
            "file": str(MUTANTS["m02"]),
            "path": "Bundle.entry[1].resource.gender",
            "reason": "code hors de la liste que FHIR R4 impose",
        }
    ]
    (rejected,) = told["rejected"]
    assert rejected["file"] == str(MUTANTS["m16"])
    assert rejected["path"] == "Bundle.entry[9].resource.patient"
    assert report.exit_code == 1


def test_one_refused_file_does_not_stop_the_others(house: House, tmp_path: Path) -> None:
    report = house.take(MUTANTS["m01"], tmp_path / "absent.json", EXAMPLES[0])
    assert [one["file"] for one in report.rejected] == [
        str(MUTANTS["m01"]),
        str(tmp_path / "absent.json"),
    ]
    assert report.events == 11


def test_mutants_into_an_empty_ledger(house: House) -> None:
    taken = ("m02", "m05", "m06", "m18", "m22", "m10")
    for name in MUTANTS:
        report = house.take(MUTANTS[name])
        assert (report.exit_code == 0) == (name in taken), name


def test_an_allergy_entered_in_error_is_not_current(house: House) -> None:
    report = house.take(MUTANTS["m10"])
    summary = house.summary(report)
    assert [line.state for line in summary.slot("allergies", every=True)] == ["in-error"]
    assert summary.allergy_state == "not-asked"  # food was asked about, the rest was not
    assert b"penicillin" not in house.document(report)


def test_the_original_is_kept_byte_for_byte_and_sealed(house: House) -> None:
    (patient,) = house.take(EXAMPLES[0]).patients
    content = EXAMPLES[0].read_bytes()
    events = house.reader.stream(patient)
    (attached,) = [one for one in events if isinstance(one.payload, DocumentAttached)]
    assert house.reader.attachment(attached.event_id, patient) == content
    assert isinstance(attached.payload, DocumentAttached)
    assert attached.payload.sha256 == hashlib.sha256(content).hexdigest()
    with house.pool.connection() as connection:
        rows = connection.execute("SELECT body FROM ledger.attachment").fetchall()
        rows += connection.execute("SELECT body FROM ledger.event").fetchall()
        rows += connection.execute("SELECT mac FROM ledger.claim").fetchall()
    assert len(rows) > 10
    assert all(isinstance(row[0], bytes) for row in rows)
    for word in (b"DeLarosa", b"574687583", b"penicillin", b"Anastrozol"):
        assert not any(isinstance(row[0], bytes) and word in row[0] for row in rows)


def test_the_same_identifier_is_the_same_patient_and_traits_that_differ_are_told(
    house: House, tmp_path: Path
) -> None:
    first, second = tmp_path / "1.json", tmp_path / "2.json"
    first.write_bytes(raw(collection(condition(coded("1", "a"), "active"))))
    second.write_bytes(
        raw(collection(condition(coded("2", "b"), "active"), patient={"birthDate": "1950-01-01"}))
    )
    report = house.take(first, second)
    assert len(report.patients) == 1
    assert [one["path"] for one in report.warnings] == ["Bundle.entry[0].resource.birthDate"]
    summary = house.summary(report)
    assert summary.identity is not None
    assert summary.identity.birth_date == "1951-04-12"
    assert len(summary.slot("problems")) == 2


def test_identifiers_of_two_records_refuse_the_file(house: House, tmp_path: Path) -> None:
    system = "urn:oid:1.2.250.1.999.1"
    people = {
        "a.json": [{"system": system, "value": "A"}],
        "b.json": [{"system": system, "value": "B"}],
        "both.json": [{"system": system, "value": "A"}, {"system": system, "value": "B"}],
    }
    for name, identifiers in people.items():
        (tmp_path / name).write_bytes(raw(collection(patient={"identifier": identifiers})))
    report = house.take(*(tmp_path / name for name in people))
    assert len(report.patients) == 2
    assert [one["path"] for one in report.rejected] == ["Bundle.entry[0].resource.identifier"]


def test_a_trait_that_cannot_be_refuses_the_file_at_its_place(house: House, tmp_path: Path) -> None:
    path = tmp_path / "later.json"
    path.write_bytes(raw(collection(patient={"birthDate": "2999-01-01"})))
    report = house.take(path)
    assert [one["path"] for one in report.rejected] == ["Bundle.entry[0].resource.birthDate"]
    assert report.patients == []


def test_without_any_identifier_the_same_file_is_still_taken_once(
    house: House, tmp_path: Path
) -> None:
    path = tmp_path / "nameless.json"
    path.write_bytes(
        raw(collection(condition(coded("1", "a"), "active"), patient={"identifier": []}))
    )
    bundle = json.loads(path.read_bytes())
    del bundle["entry"][0]["resource"]["identifier"]
    path.write_bytes(raw(bundle))
    first, again = house.take(path), house.take(path)
    assert first.events == 3
    assert (again.events, again.duplicates, again.patients) == (0, [str(path)], first.patients)


def test_keep_going_takes_the_good_part_and_lists_the_rest(house: House) -> None:
    report = house.take(MUTANTS["m16"], keep_going=True)
    assert report.exit_code == 1
    assert report.events == 10
    assert [one["path"] for one in report.rejected] == ["Bundle.entry[9].resource.patient"]


def test_a_summary_taken_into_an_empty_ledger_gives_the_same_three_lists(
    house: House, other_house: House, tmp_path: Path
) -> None:
    first = house.document(house.take(*EXAMPLES))
    assert ips_checker.check(exact_json.parse(first)) == []
    path = tmp_path / "summary.json"
    path.write_bytes(first)
    report = other_house.take(path)
    assert (report.rejected, report.warnings) == ([], [])
    assert lists_of(other_house.document(report)) == lists_of(first)


def test_our_own_summary_taken_back_is_the_same_patient(house: House, tmp_path: Path) -> None:
    without = tmp_path / "without.json"
    bundle = collection(condition(coded("1", "a"), "active", onsetDateTime="2020"))
    del bundle["entry"][0]["resource"]["identifier"]
    without.write_bytes(raw(bundle))
    report = house.take(without)
    path = tmp_path / "summary.json"
    path.write_bytes(house.document(report))
    assert house.take(path).patients == report.patients


def test_the_service_role_cannot_change_what_was_imported(house: House) -> None:
    house.take(EXAMPLES[2])
    with (
        house.pool.connection() as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("UPDATE ledger.attachment SET body = ''::bytea")
