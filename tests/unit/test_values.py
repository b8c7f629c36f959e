"""Value objects reject at construction, name the field and never repeat the value."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum import ean as stdnum_ean
from stdnum.fr import nir as stdnum_nir

from releve.domain.codes import Atc, Cim10, Cip13, Cis, Cisp2, Loinc, Sha256, written_codings
from releve.domain.errors import Invalid
from releve.domain.values import (
    Coding,
    Dose,
    ExactDecimal,
    Finess,
    Nir,
    PartialDate,
    Quantity,
    Rpps,
    StintPeriod,
    UcumUnit,
    instant,
    luhn_valid,
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
        (Loinc, "2832-3", "loinc"),
        (Atc, "C09AA5", "atc"),
        (Atc, "c09aa05", "atc"),
        (Atc, "E01AA01", "atc"),
        (Cim10, "77", "cim10"),
        (Cim10, "Z9", "cim10"),
        (Cim10, "I50.", "cim10"),
        (Cim10, "I50-1", "cim10"),
        (Cisp2, "C77", "cisp2"),
        (Cisp2, "L9", "cisp2"),
        (Cisp2, "-77", "cisp2"),
        (Cis, "0123456", "cis"),
        (Cis, "6107752", "cis"),
        (Cip13, "3400930000018", "cip13"),
        (Cip13, "5012345678900", "cip13"),
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
        (Atc, "C09AA05"),
        (Atc, "J01C"),
        (Atc, "N"),
        (Cim10, "I50"),
        (Cim10, "E66.06"),
        (Cim10, "E6606"),
        (Cim10, "B24.+9"),
        (Cim10, "G30.1†"),
        (Cisp2, "K77"),
        (Cisp2, "-45"),
        (Cis, "60000000"),
        (Cip13, "3400930000014"),
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


def invented_nirs(count: int, seed: int) -> list[str]:
    """Numbers of communes that are never attributed (999): nobody's, with their keys."""
    chance = Random(seed)  # noqa: S311  numbers for a test
    departments = [f"{n:02d}" for n in range(1, 96) if n != 20] + ["2A", "2B", "99"]
    found = []
    for _ in range(count):
        number = (
            f"{chance.choice('12')}{chance.randrange(100):02d}{chance.randrange(1, 13):02d}"
            f"{chance.choice(departments)}999{chance.randrange(1, 1000):03d}"
        )
        found.append(number + stdnum_nir.calc_check_digits(number))
    return found


def accepted(build: Callable[[str], str], value: str) -> bool:
    try:
        build(value)
    except Invalid:
        return False
    return True


def test_5000_nirs_agree_with_stdnum_and_no_other_key_does() -> None:
    for number in invented_nirs(5000, 11):
        assert Nir(number) == number
        assert stdnum_nir.is_valid(number)
        other = f"{int(number[13:]) % 97 + 1:02d}"
        assert not accepted(Nir, number[:13] + other)
        assert not stdnum_nir.is_valid(number[:13] + other)


def one_digit_off(value: str) -> Iterator[str]:
    for place, was in enumerate(value):
        if was.isdigit():
            yield from (
                value[:place] + digit + value[place + 1 :] for digit in "0123456789" if digit != was
            )


def neighbours_swapped(value: str) -> Iterator[str]:
    for place, (left, right) in enumerate(itertools.pairwise(value)):
        if left != right and left.isdigit() and right.isdigit():
            yield value[:place] + right + left + value[place + 2 :]


def test_every_single_digit_error_and_swap_in_300_nirs_is_caught() -> None:
    for number in invented_nirs(300, 12):
        wrong = [*one_digit_off(number), *neighbours_swapped(number)]
        assert [each for each in wrong if accepted(Nir, each)] == []


DIGITS = st.text("0123456789", min_size=8, max_size=8)


def luhn_completed(digits: str) -> str:
    return next(digits + key for key in "0123456789" if luhn_valid(digits + key))


@given(digits=DIGITS, corsican=st.sampled_from(["", "2A", "2B"]))
def test_a_finess_and_its_errors(digits: str, corsican: str) -> None:
    counted = ({"2A": "21", "2B": "22"}[corsican] + digits[2:]) if corsican else digits
    key = luhn_completed(counted)[-1]
    number = (corsican + digits[2:] if corsican else digits) + key
    assert Finess(number) == number
    assert [each for each in one_digit_off(number) if accepted(Finess, each)] == []


@given(digits=DIGITS)
def test_an_rpps_and_its_errors(digits: str) -> None:
    number = luhn_completed("99" + digits)
    assert Rpps(number) == number
    assert [each for each in one_digit_off(number) if accepted(Rpps, each)] == []
    for wrong in neighbours_swapped(number):
        first = next(
            n for n, pair in enumerate(zip(number, wrong, strict=True)) if len({*pair}) > 1
        )
        # 09 for 90 is the one swap that a Luhn key never sees.
        assert accepted(Rpps, wrong) == (number[first : first + 2] in ("09", "90"))


@given(digits=st.text("0123456789", min_size=1, max_size=7).filter(lambda text: text.strip("0")))
def test_a_loinc_code_and_its_errors(digits: str) -> None:
    whole = luhn_completed(digits)
    code = f"{whole[:-1]}-{whole[-1]}"
    assert Loinc(code) == code
    assert [each for each in one_digit_off(code) if accepted(Loinc, each)] == []


@given(digits=DIGITS)
def test_a_cip13_and_its_errors(digits: str) -> None:
    pack = "3400" + digits
    valid = [pack + key for key in "0123456789" if accepted(Cip13, pack + key)]
    assert len(valid) == 1
    assert stdnum_ean.is_valid(valid[0])
    assert [each for each in one_digit_off(valid[0]) if accepted(Cip13, each)] == []


def test_an_atc_code_of_the_last_level_names_a_substance() -> None:
    assert Atc("C09AA05").substance
    assert not Atc("C09AA").substance


@pytest.mark.parametrize(
    ("system", "right", "wrong"),
    [
        ("http://loinc.org", "2823-3", "2823-4"),
        ("http://www.whocc.no/atc", "C09AA05", "ramipril"),
        ("http://hl7.org/fhir/sid/icd-10", "I50.1", "I5O.1"),
        ("http://hl7.org/fhir/sid/icpc-2", "K77", "K777"),
        ("urn:oid:1.2.250.1.213.2.3.1", "60000000", "6000000"),
        ("urn:oid:1.2.250.1.213.2.3.2", "3400930000014", "3400930000015"),
    ],
)
def test_a_code_written_here_has_its_systems_shape(system: str, right: str, wrong: str) -> None:
    other = Coding(system="http://snomed.info/sct", code="n'importe quoi")
    codings = (other, Coding(system=system, code=right))
    assert written_codings(codings, field="concept.codings") == codings
    for code, kind in ((wrong, "invalid-field"), (None, "missing-field")):
        with pytest.raises(Invalid) as refused:
            written_codings((other, Coding(system=system, code=code)), field="concept.codings")
        assert (refused.value.code, refused.value.field) == (kind, "concept.codings[1].code")


@pytest.mark.parametrize(
    ("quantity", "field"),
    [
        (Quantity(value="0", unit="mg"), "dose.value"),
        (Quantity(value="-5", unit="mg"), "dose.value"),
        (Quantity(value="5", unit="milligrammes"), "dose.unit"),
        (Quantity(value="5"), "dose.unit"),
        (Quantity(value="cinq", unit="mg"), "dose.value"),
    ],
)
def test_a_dose_is_a_positive_amount_of_a_known_unit(quantity: Quantity, field: str) -> None:
    assert Dose.read(Quantity(value="2,5", unit="mg")) == Dose(Decimal("2.5"), "mg")
    with pytest.raises(Invalid) as refused:
        Dose.read(quantity)
    assert refused.value.field == field


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
