"""Value objects reject at construction, name the field and never repeat the value."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime

import pytest
from stdnum.fr import nir as stdnum_nir

from releve.domain.errors import Invalid
from releve.domain.values import (
    ExactDecimal,
    Finess,
    Loinc,
    Nir,
    PartialDate,
    Quantity,
    Rpps,
    Sha256,
    StintPeriod,
    UcumUnit,
    instant,
    measured,
    one_line,
    span,
    time_zone,
    words,
)

TEST_INS = "279035121518989"  # published by the ANS in its examples


@pytest.mark.parametrize(
    ("build", "value", "field"),
    [
        (Nir, "279035121518988", "ins"),
        (Nir, "2790351215189", "ins"),
        (Nir, "979035121518989", "ins"),
        (Rpps, "10000000001", "rpps"),
        (Rpps, "1000000000", "rpps"),
        (Rpps, "٠١٢٣٤٥٦٧٨٩٠", "rpps"),
        (Finess, "990000011", "finess"),
        (Finess, "2C0000014", "finess"),
        (Finess, "2A0000015", "finess"),
        (Loinc, "2823-4", "loinc"),
        (Loinc, "28233", "loinc"),
        (Loinc, "LP1-3", "loinc"),
        (Sha256, "AB" * 32, "sha256"),
        (Sha256, "ab" * 31, "sha256"),
        (ExactDecimal, "1e2", "value"),
        (ExactDecimal, "", "value"),
        (ExactDecimal, "1.", "value"),
        (ExactDecimal, "NaN", "value"),
        (UcumUnit, "mmHg", "unit"),
        (UcumUnit, "MMOL/L", "unit"),
        (PartialDate, "2021-13", "date"),
        (PartialDate, "2021-02-29", "date"),
        (PartialDate, "21", "date"),
        (PartialDate, "2021-4-2", "date"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_name_only(
    build: Callable[[str], str], value: str, field: str
) -> None:
    with pytest.raises(Invalid) as refused:
        build(value)
    assert refused.value.field == field
    said = " ".join((str(refused.value), refused.value.why, refused.value.do))
    assert not value or value not in said


@pytest.mark.parametrize(
    ("build", "value"),
    [
        (Nir, TEST_INS),
        (Rpps, "10000000009"),
        (Finess, "2A0000014"),
        (Finess, "2B0000020"),
        (Finess, "990000010"),
        (Loinc, "2823-3"),
        (Loinc, "85354-9"),
        (Sha256, "0" * 64),
        (ExactDecimal, "-0.50"),
        (UcumUnit, "mm[Hg]"),
        (PartialDate, "2024-02-29"),
    ],
)
def test_a_valid_value_is_the_string_it_was(build: Callable[[str], str], value: str) -> None:
    assert build(value) == value


def test_a_field_may_be_named_by_the_caller() -> None:
    with pytest.raises(Invalid) as refused:
        Nir("1", field="identifiers[0].value")
    assert refused.value.field == "identifiers[0].value"


@pytest.mark.parametrize("department", ["2A", "2B", "75", "99"])
def test_a_nir_has_the_key_that_stdnum_computes(department: str) -> None:
    number = f"18503{department}999123"
    key = stdnum_nir.calc_check_digits(number)
    assert Nir(number + key) == number + key
    assert stdnum_nir.is_valid(number + key)


def test_blanks_in_a_typed_number_are_dropped() -> None:
    assert Nir("2 79 03 51 215 189 89") == TEST_INS


def test_every_single_digit_error_in_a_nir_is_caught() -> None:
    survivors = []
    for place in range(len(TEST_INS)):
        for digit in "0123456789":
            wrong = TEST_INS[:place] + digit + TEST_INS[place + 1 :]
            if wrong == TEST_INS:
                continue
            try:
                survivors.append(Nir(wrong))
            except Invalid:
                continue
    assert survivors == []


def test_a_decimal_keeps_its_precision_and_reads_a_comma() -> None:
    assert ExactDecimal("1,50") == "1.50"
    assert str(ExactDecimal("0.010").number) == "0.010"


def test_a_partial_date_knows_its_first_and_last_day() -> None:
    assert (PartialDate("2024").first_day, PartialDate("2024").last_day) == (
        date(2024, 1, 1),
        date(2024, 12, 31),
    )
    assert PartialDate("2024-02").last_day == date(2024, 2, 29)
    assert PartialDate("2024-12").last_day == date(2024, 12, 31)
    assert PartialDate("2024-02-03").first_day == PartialDate("2024-02-03").last_day


def test_a_civil_day_is_longer_when_the_clocks_go_back() -> None:
    begins, ends = span("2026-10-25", "Europe/Paris")
    assert (ends.astimezone(UTC) - begins.astimezone(UTC)).total_seconds() == 25 * 3600
    begins, ends = span("2026-03-29", "Europe/Paris")
    assert (ends.astimezone(UTC) - begins.astimezone(UTC)).total_seconds() == 23 * 3600


def test_a_civil_day_is_the_centres_own() -> None:
    begins, _ = span("2026-11-24", "Indian/Reunion")
    assert begins.astimezone(UTC) == datetime(2026, 11, 23, 20, tzinfo=UTC)


def test_an_instant_is_a_span_of_nothing_and_has_an_offset() -> None:
    begins, ends = span("2026-11-24T08:00:00+01:00", "Europe/Paris")
    assert begins == ends
    with pytest.raises(Invalid):
        instant("2026-11-24T08:00:00", field="starts_at")
    with pytest.raises(Invalid):
        instant("demain", field="starts_at")


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../../etc/passwd", "", "/etc/localtime"])
def test_a_zone_that_does_not_exist_is_refused(zone: str) -> None:
    with pytest.raises(Invalid):
        time_zone(zone)


def test_a_measure_needs_its_unit() -> None:
    with pytest.raises(Invalid) as refused:
        measured(Quantity(value="4.1"), field="value")
    assert refused.value.field == "value.unit"
    assert measured(Quantity(value="4.1", unit="mmol/L"), field="value") == ("4.1", "mmol/L")


@pytest.mark.parametrize(
    ("unit", "possible"),
    [("10*3/uL", True), ("mol{creat}", True), ("pas une unité", False)],
)
def test_a_received_unit_may_have_the_shape_of_ucum(unit: str, possible: bool) -> None:
    assert UcumUnit.is_syntactic(unit) is possible


def test_a_line_fits_a_glance() -> None:
    assert one_line(" HTA équilibrée ", field="one_liner") == "HTA équilibrée"
    assert len(one_line("é" * 160, field="one_liner")) == 160
    for bad in ("é" * 161, "deux\nlignes"):
        with pytest.raises(Invalid):
            one_line(bad, field="one_liner")


@pytest.mark.parametrize("bad", ["", "   ", "a\x00b", "a\x1bb", "x" * 20_001])
def test_words_are_there_to_be_read(bad: str) -> None:
    with pytest.raises(Invalid) as refused:
        words(bad, field="text")
    assert refused.value.field == "text"


@pytest.mark.parametrize(
    ("starts", "ends", "mode", "field"),
    [
        ("2026-11-23T08:00:00+01:00", "2026-11-23T08:00:00+01:00", "volontaire", "ends_at"),
        ("2026-11-01T08:00:00+01:00", "2026-11-22T08:00:00+01:00", "volontaire", "ends_at"),
        ("2026-11-01T08:00:00+01:00", "2026-11-22T08:00:00+01:00", "remplacant", "ends_at"),
        ("hier", "2026-11-22T08:00:00+01:00", "salarie", "starts_at"),
    ],
)
def test_a_stint_that_cannot_be_is_refused(starts: str, ends: str, mode: str, field: str) -> None:
    with pytest.raises(Invalid) as refused:
        StintPeriod.read(starts, ends, mode)  # type: ignore[arg-type]  # parametrized literal
    assert refused.value.field == field


def test_a_stint_lasts_one_to_twenty_one_days_or_longer_for_a_salaried_doctor() -> None:
    one = StintPeriod.read("2026-11-23T08:00:00+01:00", "2026-11-23T18:00:00+01:00", "volontaire")
    assert one.civil_days == 1
    most = StintPeriod.read("2026-11-01T08:00:00+01:00", "2026-11-21T18:00:00+01:00", "volontaire")
    assert most.civil_days == 21
    long = StintPeriod.read("2026-01-01T08:00:00+01:00", "2026-12-31T18:00:00+01:00", "salarie")
    assert long.civil_days == 365
