"""``releve import fhir`` of files that others wrote, and the same records out again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from conformance.bundles import EXAMPLES, MUTANTS, SYNTHEA
from releve.fhir import exact_json, ips_checker
from support.command_line import CommandLine

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

REFUSED = {"m01", "m07", "m14", "m16", "m19"}
WARNED = {"m02", "m05", "m06", "m18"}
CODED = {
    "Condition": "code",
    "AllergyIntolerance": "code",
    "MedicationStatement": "medicationCodeableConcept",
    "MedicationRequest": "medicationCodeableConcept",
}


@pytest.fixture(scope="module")
def imported(empty: CommandLine) -> dict[str, Any]:
    """What the first import into an empty installation printed."""
    return empty.done("import", "fhir", *EXAMPLES, *SYNTHEA)


@pytest.fixture(scope="module")
def summaries(
    empty: CommandLine, imported: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """Each patient's exported summary, by patient."""
    place = tmp_path_factory.mktemp("summaries")
    found = {}
    for patient in imported["patients"]:
        found[patient] = place / f"{patient}.json"
        empty.done("export", "fhir", "--patient", patient, "--summary", "--out", found[patient])
    return found


def resources(path: Path) -> list[dict[str, Any]]:
    return [entry["resource"] for entry in json.loads(path.read_bytes())["entry"]]


def lines(path: Path) -> set[tuple[str, str, str, str, str]]:
    """Every coded line of the three lists: kind, code, status, verification, onset or start."""
    found = set()
    all_of_it = resources(path)
    medications = {f"{each['resourceType']}/{each.get('id')}": each for each in all_of_it}
    medications |= {
        entry["fullUrl"]: entry["resource"]
        for entry in json.loads(path.read_bytes())["entry"]
        if "fullUrl" in entry
    }
    for each in all_of_it:
        kind = each["resourceType"]
        if kind not in CODED:
            continue
        concept = each.get(CODED[kind])
        if concept is None and "medicationReference" in each:
            concept = medications[each["medicationReference"]["reference"]]["code"]
        codes = [coding["code"] for coding in (concept or {}).get("coding", ())]
        if not codes:
            continue
        status = each.get("status") or first_code(each.get("clinicalStatus"))
        date = (
            each.get("onsetDateTime")
            or each.get("onsetPeriod", {}).get("start")
            or each.get("effectivePeriod", {}).get("start")
            or each.get("effectiveDateTime")
            or each.get("authoredOn")
            or ""
        )
        family = "Medication" if kind.startswith("Medication") else kind
        found.add((family, codes[0], status, first_code(each.get("verificationStatus")), date))
    return found


def first_code(concept: dict[str, Any] | None) -> str:
    return concept["coding"][0]["code"] if concept and concept.get("coding") else ""


def test_all_files_are_accepted(imported: dict[str, Any]) -> None:
    assert set(imported) == {"files", "bundles", "patients", "events", "duplicates", "unmapped",
                             "warnings", "rejected"}  # fmt: skip
    assert (imported["files"], imported["bundles"]) == (5, 5)
    assert (imported["rejected"], imported["duplicates"]) == ([], [])
    assert len(imported["patients"]) == 3
    assert imported["events"] == 94
    types = {each["type"] for each in imported["unmapped"]}
    assert {"Encounter", "CarePlan", "Claim"} <= types
    now_taken = {"Immunization", "Procedure", "DiagnosticReport", "Observation"}
    assert not types & {"Condition", "AllergyIntolerance", "Medication", *CODED, *now_taken}


def test_every_coded_line_is_found_again_with_status_and_dates(summaries: dict[str, Path]) -> None:
    given = {line for path in (*EXAMPLES, *SYNTHEA) for line in lines(path)}
    told = {line for path in summaries.values() for line in lines(path)}
    assert {line[0] for line in given} == {"Condition", "AllergyIntolerance", "Medication"}
    assert len(given) == 11
    assert given <= told


def test_what_is_past_is_not_active(summaries: dict[str, Path]) -> None:
    told = {(line[1], line[2]) for path in summaries.values() for line in lines(path)}
    assert ("254837009", "remission") in told  # breast cancer
    assert ("444814009", "resolved") in told  # viral sinusitis
    assert not {("254837009", "active"), ("444814009", "active")} & told


def test_no_known_food_allergy_stands_as_an_absence_beside_penicillin(
    summaries: dict[str, Path],
) -> None:
    stated = {line[1] for path in summaries.values() for line in lines(path)
              if line[0] == "AllergyIntolerance"}  # fmt: skip
    assert {"764146007", "429625007"} <= stated


def test_each_summary_passes_our_own_checker(summaries: dict[str, Path]) -> None:
    for path in summaries.values():
        assert ips_checker.check(exact_json.parse(path.read_bytes())) == []


@pytest.mark.parametrize("name", ["m05", "m06", "m07", "m14", "m16", "m18"])
def test_the_checker_flags_what_is_wrong(name: str) -> None:
    assert ips_checker.check(exact_json.parse(MUTANTS[name].read_bytes())) != []


def test_the_same_files_again_are_no_event(empty: CommandLine, imported: dict[str, Any]) -> None:
    again = empty.done("import", "fhir", *EXAMPLES, *SYNTHEA)
    assert again["events"] == 0
    assert again["duplicates"] == [str(path) for path in (*EXAMPLES, *SYNTHEA)]
    assert again["patients"] == imported["patients"]


def test_summaries_into_an_empty_directory_give_the_same_three_lists(
    summaries: dict[str, Path], tmp_path: Path
) -> None:
    other = CommandLine(tmp_path / "other")
    other.done("db", "start")
    try:
        found = other.done("import", "fhir", *summaries.values())
        assert (found["rejected"], found["warnings"]) == ([], [])
        assert len(found["patients"]) == len(summaries)
        for number, (patient, path) in enumerate(
            zip(found["patients"], summaries.values(), strict=True)
        ):
            again = tmp_path / f"{number}.json"
            other.done("export", "fhir", "--patient", patient, "--out", again)
            assert lines(again) == lines(path)
        emptied(other, tmp_path)
    finally:
        other.done("db", "stop")


def emptied(line: CommandLine, place: Path) -> None:
    """What a damaged file does to an installation that has nothing of it yet."""
    for name, path in sorted(MUTANTS.items()):
        ran = line.run("import", "fhir", path)
        assert ran.code == (1 if name in REFUSED else 0), (name, ran.data)
        assert [each["file"] for each in ran.data["rejected"]] == (
            [str(path)] * len(ran.data["rejected"])
        )
        assert bool(ran.data["rejected"]) == (name in REFUSED)
        assert all(each["path"].startswith("Bundle") for each in ran.data["rejected"])
        if name in WARNED:
            assert ran.data["warnings"], name
        if name == "m22":
            assert ran.data["warnings"] == []
        if name == "m18":
            out = place / "m18.json"
            (patient,) = ran.data["patients"]
            line.done("export", "fhir", "--patient", patient, "--everything", "--out", out)
            assert b"<script" not in out.read_bytes()


def test_unreadable_files_are_each_named_and_the_good_one_taken(
    empty: CommandLine, imported: dict[str, Any], tmp_path: Path
) -> None:
    contents = {
        "not json.json": b"{",
        "list.json": b"[]",
        "other.json": b'{"resourceType": "Patient"}',
        "binary.json": b"\xff\xfe",
        "nothing.json": b"",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    paths = [tmp_path / name for name in contents] + [tmp_path / "absent.json", tmp_path]
    ran = empty.run("import", "fhir", *paths, EXAMPLES[0])
    assert ran.code == 1
    assert {each["file"] for each in ran.data["rejected"]} == {str(path) for path in paths}
    assert ran.data["duplicates"] == [str(EXAMPLES[0])]
    error = empty.refused(2, "import", "fhir", EXAMPLES[0], "--centre", "000000000")
    assert error["code"] == "unknown-centre"
