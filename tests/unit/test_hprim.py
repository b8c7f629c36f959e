"""HPRIM texts: header, letter, coded lines, units in French spelling."""

from __future__ import annotations

import codecs
from pathlib import Path

import pytest

from releve.domain.values import Quantity, UcumUnit
from releve.fhir.document_content import ReadDocument, Unreadable
from releve.fhir.french_units import _SPELLINGS, ucum_of
from releve.fhir.hprim import is_hprim, read_hprim
from releve.fhir.hprim_parts import MAX_PATIENTS, parts_by_patient
from releve.fhir.received_document import read_document
from releve.projections.critical_values import verdicts
from releve.projections.rule_release import load_rules
from releve.projections.wording import detail_of

INBOX = Path(__file__).resolve().parents[1] / "conformance" / "data" / "inbox"
TEXT = (INBOX / "hprim-structured.hpr").read_bytes().decode("cp850").replace("\r\n", "\n")


def read(name: str) -> ReadDocument:
    return read_document((INBOX / name).read_bytes())


def test_the_header_gives_names_as_used_and_the_birth_date() -> None:
    identity = read("hprim-structured.hpr").identity
    assert identity is not None
    assert (identity.used_name, identity.used_first_name) == ("PICHON", "Odette")
    assert identity.birth_date == "1948-03-02"
    assert (identity.birth_name, identity.first_names) == (None, ())


def test_the_insured_persons_number_names_no_patient() -> None:
    document = read("hprim-structured.hpr")
    assert document.identity is not None
    assert document.identity.identifiers == ()
    assert ("ligne 8", "numéro d'assuré") in {(one.path, one.type) for one in document.unmapped}


def test_sender_date_and_reference() -> None:
    document = read("hprim-structured.hpr")
    assert document.system == "Laboratoire des Charmes"
    assert document.issued_at == "2026-10-14"
    assert document.source_id == "Laboratoire des Charmes|2614187"


def test_a_remark_that_the_letter_does_not_repeat_is_told_with_the_values() -> None:
    """A potassium of 6.2 that is "hémolysé" is another potassium."""
    assert [one.conclusion for one in read("hprim-structured.hpr").reports] == [""]
    row = next(each for each in TEXT.splitlines() if each.startswith("RES|POTASSIUM"))
    told = TEXT.replace(row, f"{row}\nTEX|Prélèvement   hémolysé, à recontrôler\nTEX|-----")
    (report,) = read_hprim(told).reports
    assert report.conclusion == "POTASSIUM : Prélèvement hémolysé, à recontrôler"


def test_coded_lines_keep_value_unit_and_range() -> None:
    (report,) = read("hprim-structured.hpr").reports
    assert (report.status, report.report) == ("final", "Laboratoire des Charmes|2614187")
    potassium, mass, moles, crp, aspect, asat, odd = report.lines
    assert potassium.value == Quantity(value="6.2", unit="mmol/l", code="mmol/L")
    assert (potassium.interpretation, potassium.reference_range) == ("HH", "3.5 à 5.1 mmol/l")
    assert potassium.code.codings[0].code == "K33"
    assert potassium.code.codings[0].system is None  # a laboratory's own code is no LOINC
    assert mass.value == Quantity(value="16.1", unit="mg/l", code="mg/L")
    assert moles.value == Quantity(value="142", unit="µmol/l", code="umol/L")
    assert moles.reference_range == "45 à 84 µmol/l"
    assert (crp.comparator, crp.reference_range) == ("<", "< 5.0 mg/l")
    assert (aspect.value, aspect.text) == (None, "Limpide")
    assert asat.value == Quantity(value="21", unit="UI/l", code="[iU]/L")
    assert odd.value == Quantity(value="76", unit="drôle d'unité", code=None)


@pytest.mark.parametrize("label", ["POTASSIUM", "DOSAGE DU POTASSIUM", "IONOGRAMME : POTASSIUM"])
@pytest.mark.parametrize("value", ["7.1", "7,1", "> 6,0", ">6.0", "≥ 7,0", "< 2,0", "sup à 8"])
def test_a_critical_value_is_one_under_any_label_with_a_comma_or_a_bound(
    label: str, value: str
) -> None:
    row = f"RES|{label}|K33|N|{value}|mmol/l|3.5|5.1|H|F"
    text = TEXT.replace("RES|POTASSIUM|K33|N|6.2|mmol/l|3.5|5.1|HH|F", row)
    (report,) = read_hprim(text).reports
    assert verdicts(detail_of(report.lines[0]), load_rules()) == [("critical", "Kaliémie")]


def test_the_letter_is_the_text_without_the_header() -> None:
    document = read("hprim-text.hpr")
    assert document.text.startswith("Radiographie du thorax")
    assert "Silhouette cardiaque à la limite" in document.text
    assert document.entries == ()
    assert document.identity is not None
    assert document.identity.birth_date == "1951-11-19"


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "cp850", "utf-16"])
def test_accents_survive_every_encoding(encoding: str) -> None:
    letter = TEXT.replace("Limpide", "très foncé, café-crème, élevé, à l'œil nu")
    if encoding == "cp850":
        letter = letter.replace("œ", "oe")
    document = read_document(letter.encode(encoding))
    assert document.format == "hprim"
    assert "très foncé, café-crème, élevé, à l" in (document.results[4].text or "")


def test_a_line_still_awaited_makes_the_report_partial() -> None:
    assert read_hprim(TEXT.replace("|HH|F", "|HH|P")).result_status == "partial"
    assert read_hprim(TEXT.replace("|HH|F", "|HH|C")).result_status == "corrected"


def test_two_reports_of_one_patient_are_two_results() -> None:
    report = TEXT.replace("****FINFICHIER****\n", "")
    document = read_hprim(report + report.replace("2614187", "2614188"))
    assert [one.report for one in document.reports] == [
        "Laboratoire des Charmes|2614187",
        "Laboratoire des Charmes|2614188",
    ]


def test_two_patients_in_one_file_are_nobody() -> None:
    report = TEXT.replace("****FINFICHIER****\n", "")
    document = read_hprim(report + report.replace("Odette", "Jeanne"))
    assert (document.identity, document.entries) == (None, ())
    assert any("plusieurs patients" in one for one in document.warnings)


def several(*names: str) -> bytes:
    """A laboratory's file as it was exported: each report ended by its mark."""
    return "".join(TEXT.replace("Odette", name) for name in names).encode("cp850")


@pytest.mark.parametrize("encoding", ["cp850", "utf-8", "utf-8-sig", "utf-16", "utf-16-le-bom"])
def test_a_file_of_several_patients_is_cut_into_one_part_each(encoding: str) -> None:
    text = several("Jeanne", "Odile", "Jeanne").decode("cp850")
    raw = (
        codecs.BOM_UTF16_LE + text.encode("utf-16-le")
        if encoding == "utf-16-le-bom"
        else text.encode(encoding)
    )
    parts = parts_by_patient(raw)
    read = [read_document(part) for part in parts]
    assert [one.identity and one.identity.used_first_name for one in read] == ["Jeanne", "Odile"]
    assert [len(one.reports) for one in read] == [2, 1]
    assert sum(len(one.results) for one in read) == 3 * len(read_hprim(TEXT).results)
    assert not any(one.warnings for one in read)


def test_the_parts_hold_every_byte_of_the_file() -> None:
    raw = several("Jeanne", "Odile") + b"\nune ligne en trop\n"
    assert b"".join(parts_by_patient(raw)) == raw


@pytest.mark.parametrize(
    "raw", [several("Odette"), several("Odette", "Odette"), b"%PDF-1.4 FIN", b"", b"FIN\n" * 20]
)
def test_a_file_of_one_patient_or_none_stays_whole(raw: bytes) -> None:
    assert parts_by_patient(raw) == (raw,)


def test_a_file_of_too_many_patients_is_refused() -> None:
    names = [f"Rose{chr(97 + n // 26)}{chr(97 + n % 26)}" for n in range(MAX_PATIENTS + 1)]
    with pytest.raises(Unreadable):
        parts_by_patient(several(*names))
    assert len(parts_by_patient(several(*names[1:]))) == MAX_PATIENTS


def test_a_blank_first_name_or_birth_date_leaves_the_results_read() -> None:
    for text in (TEXT.replace("Odette", ""), TEXT.replace("02/03/1948", "").replace("Odette", "")):
        document = read_document(text.encode())
        assert document.format == "hprim"
        assert len(document.results) == len(read_hprim(TEXT).results)


@pytest.mark.parametrize("lost", [4, 9])
def test_a_header_that_has_slipped_names_nobody_and_gives_no_line(lost: int) -> None:
    """Where the sender should stand there may be a result: the desk is not to read it."""
    lines = TEXT.split("\n")
    document = read_document("\n".join([*lines[:1], *lines[1 + lost :]]).encode())
    assert document.format == "hprim"
    assert (document.identity, document.entries) == (None, ())
    assert (document.system, document.author, document.source_id) == (None, None, None)
    assert any("En-tête" in one for one in document.warnings)


def test_a_segment_message_is_kept_and_said_unread() -> None:
    document = read_document(b"H|~^\\&|123||LABO|||ORU||||||2.1|202610141500\rP|1||0001\r")
    assert document.format == "hprim"
    assert document.entries == ()
    assert any("HPRIM Santé" in one for one in document.warnings)


def test_a_line_that_is_not_an_analysis_is_listed() -> None:
    document = read_hprim(TEXT.replace("RES|DEBIT|DEB|N|76|", "RES|DEBIT|DEB|N||"))
    assert any(one.type == "RES" for one in document.unmapped)
    document = read_hprim(TEXT.replace("RES|DEBIT", "ZZZ|DEBIT"))
    assert any(one.type == "ZZZ" for one in document.unmapped)


@pytest.mark.parametrize(
    "text",
    [
        "Cher confrère,\n" + "une ligne\n" * 20,
        "\n".join(["02/03/1948"] * 5),
        "",
        "08:30 PICHON Odette 02/03/1948\n" * 15,
    ],
)
def test_a_letter_is_not_hprim(text: str) -> None:
    assert not is_hprim(text)


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("mmol/l", "mmol/L"),
        ("µmol/L", "umol/L"),
        ("\N{GREEK SMALL LETTER MU}mol/l", "umol/L"),
        ("mEq/l", "meq/L"),
        ("G/L", "10*9/L"),
        ("T/l", "10*12/L"),
        ("g/l", "g/L"),
        ("/mm³", "/uL"),
        ("mUI/L", "m[iU]/L"),
        ("ml/min/1,73m²", "mL/min/{1.73_m2}"),
        ("mm[Hg]", "mm[Hg]"),
        ("unités", None),
        ("", None),
    ],
)
def test_french_spellings(written: str, code: str | None) -> None:
    assert ucum_of(written) == code


def test_every_code_of_the_table_is_ucum() -> None:
    assert all(UcumUnit.is_syntactic(code) for code in _SPELLINGS.values())
