"""Our own document checker: what it flags in mutants, and its silence on good documents."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from conformance.bundles import EXAMPLES, MUTANTS, read
from releve.fhir import exact_json, ips_checker
from releve.fhir.r4b import Issue

ROOT = Path(__file__).parents[2]
FLAGGED = {
    "m05": ("Bundle.entry[0].resource.section", "ips-section-missing"),
    "m06": ("Bundle.entry[0].resource.section[2]", "ips-comp-1"),
    "m07": ("Bundle.entry[0].resource.subject", "reference"),
    "m14": ("Bundle.entry[2].fullUrl", "full-url"),
    "m16": ("Bundle.entry[9].resource.patient", "reference-target"),
    "m18": ("Bundle.entry[0].resource.section[0].text.div", "narrative"),
    "m01": ("Bundle.entry[1].resource.foo", "structure"),
    "m02": ("Bundle.entry[1].resource.gender", "required-code"),
    "m10": ("Bundle.entry[9].resource.clinicalStatus", "ait-2"),
    "m19": ("Bundle.timestamp", "bdl-10"),
}


@pytest.mark.parametrize("mutant", FLAGGED)
def test_it_flags_each_defect_at_its_place(mutant: str) -> None:
    issues = ips_checker.check(read(MUTANTS[mutant]))
    assert FLAGGED[mutant] in [(one.path, one.rule) for one in issues]


@pytest.mark.parametrize("path", [*EXAMPLES, MUTANTS["m22"]], ids=lambda path: path.name[:24])
def test_it_says_nothing_of_good_documents(path: Path) -> None:
    assert ips_checker.check(read(path)) == []


def after(change: Any) -> list[Issue]:
    """What it says of HL7's first example once ``change`` was made to it."""
    bundle = json.loads(EXAMPLES[0].read_bytes())
    change(bundle)
    return ips_checker.check(exact_json.parse(json.dumps(bundle).encode()))


def resource(bundle: Any, kind: str) -> Any:
    """The first resource of a type."""
    return next(
        one["resource"] for one in bundle["entry"] if one["resource"]["resourceType"] == kind
    )


def no_identifier(bundle: Any) -> None:
    del bundle["identifier"]


def no_composition(bundle: Any) -> None:
    bundle["entry"] = bundle["entry"][1:]


def same_url_twice(bundle: Any) -> None:
    bundle["entry"][5]["fullUrl"] = bundle["entry"][4]["fullUrl"]


def versioned_url(bundle: Any) -> None:
    bundle["entry"][11]["fullUrl"] += "/_history/1"


def no_name(bundle: Any) -> None:
    resource(bundle, "Patient")["name"] = [{"use": "official"}]


def no_birth_date(bundle: Any) -> None:
    del resource(bundle, "Patient")["birthDate"]


def no_section_text(bundle: Any) -> None:
    del resource(bundle, "Composition")["section"][1]["text"]


def full_section_said_empty(bundle: Any) -> None:
    resource(bundle, "Composition")["section"][1]["emptyReason"] = {"text": "vide"}


def active_with_end(bundle: Any) -> None:
    resource(bundle, "Condition")["abatementDateTime"] = "2020"


def error_with_status(bundle: Any) -> None:
    problem = resource(bundle, "Condition")
    problem["verificationStatus"]["coding"][0]["code"] = "entered-in-error"


def allergy_without_status(bundle: Any) -> None:
    del resource(bundle, "AllergyIntolerance")["clinicalStatus"]


def observation_among_problems(bundle: Any) -> None:
    observation = next(
        one for one in bundle["entry"] if one["resource"]["resourceType"] == "Observation"
    )
    section = resource(bundle, "Composition")["section"][0]
    section["entry"].append({"reference": observation["fullUrl"]})


def text_where_a_number_stands(bundle: Any) -> None:
    measured = next(
        one["resource"] for one in bundle["entry"] if "valueQuantity" in one["resource"]
    )
    measured["valueQuantity"]["value"] = "7.5"


def a_null(bundle: Any) -> None:
    resource(bundle, "Condition")["code"]["text"] = None


def link_that_runs(bundle: Any) -> None:
    div = '<div xmlns="http://www.w3.org/1999/xhtml"><a href="java&#10;script:alert(1)">x</a></div>'
    resource(bundle, "Composition")["section"][0]["text"]["div"] = div


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (no_identifier, "bdl-9"),
        (no_composition, "bdl-11"),
        (same_url_twice, "bdl-7"),
        (versioned_url, "bdl-8"),
        (no_name, "ips-pat-1"),
        (no_birth_date, "ips-birthdate"),
        (no_section_text, "ips-section-text"),
        (full_section_said_empty, "cmp-2"),
        (active_with_end, "con-4"),
        (error_with_status, "con-5"),
        (allergy_without_status, "ait-1"),
        (observation_among_problems, "reference-target"),
        (text_where_a_number_stands, "structure"),
        (a_null, "structure"),
        (link_that_runs, "narrative"),
    ],
)
def test_it_flags_other_defects(change: Any, rule: str) -> None:
    assert rule in [one.rule for one in after(change)]


def test_only_the_r4b_half_of_the_library_is_imported() -> None:
    found = 0
    for path in sorted((ROOT / "fhir").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        for module in re.findall(r"^\s*(?:from|import)\s+(fhir\.\S*)", text, re.MULTILINE):
            found += 1
            assert module.startswith("fhir.resources.R4B"), path
    assert found
