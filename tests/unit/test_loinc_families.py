from __future__ import annotations

import pytest

from releve.domain.aggregates.patient.analyte_labels import words_of
from releve.domain.aggregates.patient.loinc_families import FAMILIES, family_of, kinship, sisters
from releve.domain.codes import Loinc


def test_each_code_has_its_check_digit_and_stands_in_one_family() -> None:
    seen: set[str] = set()
    for family in FAMILIES:
        for code in family.codes | family.apart:
            assert Loinc(code) == code
            assert code not in seen
            seen.add(code)
        for name in family.names:
            assert " ".join(words_of(name)) == name.replace("-", " ")


def test_a_code_of_no_family_is_its_own_only_sister() -> None:
    assert family_of("48065-7") is None
    assert sisters(("48065-7",)) == {"48065-7"}
    assert {"2823-3", "6298-4"} < sisters(("2823-3",))


@pytest.mark.parametrize(
    ("text", "kin"),
    [
        ("Hémoglobine", "words"),
        ("HEMOGLOBINE (sang)", "words"),
        ("Hb", "words"),
        ("Hémoglobine glyquée", None),
        ("Hb A1c", None),
        ("Hémoglobine corpusculaire moyenne", None),
        ("Teneur en hémoglobine", "perhaps"),
        ("HEMOGLOBINE H/F", "perhaps"),
        ("Hémoglobine F", None),
        ("", None),
    ],
)
def test_the_longest_name_says_which_family_a_label_is_of(text: str, kin: str | None) -> None:
    assert kinship(("718-7",), (), text) == kin


def test_a_name_of_the_asker_counts_where_no_family_has_it() -> None:
    assert kinship(("14334-7",), (), "Lithiémie", names=("lithiemie",)) == "words"
    assert kinship(("14334-7",), (), "Potassium", names=("lithiemie", "potassium")) is None
