"""Clinical documents: what is read of a summary and of a laboratory's report, and what is not."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TypeVar

import pytest
from lxml import etree

from releve.domain.aggregates.patient.allergies import AbsenceAsserted, AllergyRecorded
from releve.domain.aggregates.patient.history import (
    DeviceRecorded,
    HistoryRecorded,
    ImmunizationRecorded,
    ProcedureRecorded,
)
from releve.domain.aggregates.patient.medications import MedicationStarted
from releve.domain.aggregates.patient.observations import ObservationRecorded
from releve.domain.aggregates.patient.problems import ProblemRecorded
from releve.domain.aggregates.patient.results import ResultReceived
from releve.domain.aggregates.patient.vigilance import VigilancePointSet
from releve.domain.values import Finess, Identifier, Nir, Quantity, Rpps
from releve.fhir.cda_document import read_cda
from releve.fhir.cda_values import Narrative, measured_of, moment_of, range_of
from releve.fhir.cda_xml import NotXml
from releve.fhir.document_content import ReadDocument, Unreadable

INBOX = Path(__file__).resolve().parents[1] / "conformance" / "data" / "inbox"
HL7 = 'xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
P = TypeVar("P")


def read(name: str) -> ReadDocument:
    return read_bytes((INBOX / name).read_bytes())


def read_bytes(raw: bytes) -> ReadDocument:
    document = read_cda(raw)
    assert document is not None
    return document


def payloads(document: ReadDocument, kind: type[P]) -> list[P]:
    return [one.payload for one in document.entries if isinstance(one.payload, kind)]


def only_result(name: str) -> ResultReceived:
    (report,) = read(name).reports
    return report


def changed(name: str, old: str, new: str) -> bytes:
    text = (INBOX / name).read_text()
    assert old in text
    return text.replace(old, new).encode()


# Header


def test_the_header_gives_every_strict_trait() -> None:
    identity = read("vsm.xml").identity
    assert identity is not None
    assert (identity.birth_name, identity.used_name) == ("BELLANGER", "PICHON")
    assert identity.first_names == ("ODETTE", "MARIE", "ROSE")
    assert identity.used_first_name is None  # the one in use is the first of birth
    assert (identity.birth_date, identity.sex) == ("1948-03-02", "female")
    assert identity.birth_place == "23096"
    ins = Identifier(system="urn:oid:1.2.250.1.213.1.4.10", value="248032309601297")
    assert ins in identity.identifiers


def test_the_fixtures_numbers_have_valid_keys() -> None:
    for name in ("vsm.xml", "ips-fr.xml", "cr-bio-final.xml", "cda-level1-pdf.xml"):
        root = etree.fromstring((INBOX / name).read_bytes())
        for one in root.iter("{urn:hl7-org:v3}id"):
            number = one.get("extension", "")
            match one.get("root"):
                case "1.2.250.1.213.1.4.10":
                    Nir(number)
                case "1.2.250.1.71.4.2.2":
                    Finess(number[1:])
                case "1.2.250.1.71.4.2.1":
                    Rpps(number[1:])
                case _:
                    pass  # numbers without a key


def test_sender_author_type_and_version() -> None:
    document = read("cr-bio-corrected.xml")
    assert document.kind == "11502-2"
    assert document.issued_at == "2026-10-15T08:45:00+02:00"
    assert document.system == "urn:oid:1.2.250.1.71.4.2.2|1990000002"
    assert document.author == "DR Paul LESTRADE, Laboratoire des Charmes"
    assert document.source_id == "urn:oid:1.2.250.1.999.3.1.312"


def test_a_vsm_is_a_summary_by_its_french_code() -> None:
    assert read("vsm.xml").kind == "60591-5"


def test_header_parts_without_a_place_are_listed() -> None:
    listed = {one.type for one in read("ips-fr.xml").unmapped}
    assert "guardian" in listed
    assert not listed & {"addr", "telecom"}  # both are there, and null


def test_a_death_in_the_header_is_told_and_not_taken() -> None:
    raw = changed(
        "ips-fr.xml",
        '<birthTime value="19511119"/>',
        '<birthTime value="19511119"/><x:deceasedTime xmlns:x="urn:hl7-org:sdtc" value="2026"/>',
    )
    document = read_bytes(raw)
    assert any("décédé" in one for one in document.warnings)
    assert any(one.type == "deceasedTime" for one in document.unmapped)


def test_two_patients_make_a_document_of_nobody() -> None:
    target = (INBOX / "vsm.xml").read_text()
    start, end = target.index("  <recordTarget>"), target.index("  <author>")
    raw = (target[:end] + target[start:end] + target[end:]).encode()
    document = read_bytes(raw)
    assert document.identity is None
    assert document.entries == ()
    assert any("plusieurs patients" in one for one in document.warnings)
    assert any(one.type == "structuredBody" for one in document.unmapped)


def test_the_glance_names_nobody() -> None:
    for name in ("vsm.xml", "ips-fr.xml", "cr-bio-final.xml", "cda-level1-pdf.xml"):
        line = read(name).one_liner.casefold()
        assert 0 < len(line) <= 160
        assert not any(word in line for word in ("pichon", "bellanger", "odette", "vergnaud"))


def test_a_title_that_names_the_patient_stays_out_of_the_glance() -> None:
    title = "<title>Compte rendu de cardiologie"
    document = read_bytes(changed("cda-level1-pdf.xml", title, f"{title} de Mme Pichon"))
    assert document.title == "Compte rendu de cardiologie de Mme Pichon"
    assert document.one_liner == "Document CDA : sans ligne codée"


# Summary


def test_problems_keep_status_certainty_and_dates() -> None:
    problems = payloads(read("vsm.xml"), ProblemRecorded)
    heart = problems[0]
    assert heart.concept.text.startswith("Insuffisance cardiaque à fraction")
    assert heart.concept.codings[0].system == "http://hl7.org/fhir/sid/icd-10"
    assert (heart.clinical_status, heart.verification) == ("active", "confirmed")
    assert heart.onset == "2019-04-12"
    assert heart.severity == "modéré [http://snomed.info/sct|6736007]"
    assert problems[1].onset == "2017"
    pneumonia = next(one for one in problems if "Pneumopathie" in one.concept.text)
    assert (pneumonia.clinical_status, pneumonia.abatement) == ("resolved", "2015-01-31")


def test_a_negated_problem_is_refuted_and_never_active() -> None:
    (embolism,) = (
        one for one in payloads(read("vsm.xml"), ProblemRecorded) if "Embolie" in one.concept.text
    )
    assert embolism.verification == "refuted"
    assert embolism.clinical_status != "active"


def test_an_allergy_with_its_reaction() -> None:
    (allergy,) = payloads(read("vsm.xml"), AllergyRecorded)
    assert allergy.substance.text == "Amoxicilline"
    assert (allergy.kind, allergy.categories) == ("allergy", ("medication",))
    assert (allergy.criticality, allergy.clinical_status) == ("high", "active")
    (reaction,) = allergy.reactions
    assert reaction.manifestations[0].text == "anaphylaxie"
    assert reaction.severity == "severe"


def test_known_absences_are_absences_never_substances() -> None:
    document = read("ips-fr.xml")
    assert {one.slot for one in payloads(document, AbsenceAsserted)} == {
        "problems",
        "allergies",
        "medications",
    }
    assert all(one.asked_on == "2026-09-30" for one in payloads(document, AbsenceAsserted))
    assert payloads(document, AllergyRecorded) == []
    assert payloads(document, MedicationStarted) == []


def test_a_source_that_does_not_know_asserts_nothing() -> None:
    document = read_bytes(
        changed("ips-fr.xml", 'code="no-known-allergies"', 'code="no-allergy-info"')
    )
    assert "allergies" not in {one.slot for one in payloads(document, AbsenceAsserted)}
    assert payloads(document, AllergyRecorded) == []
    assert any("ne pas savoir" in one for one in document.warnings)


def test_an_absence_gives_way_to_an_allergy_of_the_same_document() -> None:
    vsm, ips = (INBOX / "vsm.xml").read_text(), (INBOX / "ips-fr.xml").read_text()
    start = vsm.rindex("<entry>", 0, vsm.index('root="1.2.250.1.213.1.1.3.40"'))
    entry = vsm[start : vsm.index("</entry>", start)] + "</entry>"
    place = ips.index('code="48765-2"')
    place = ips.index("</text>", place) + len("</text>")
    document = read_bytes((ips[:place] + entry + ips[place:]).encode())
    assert len(payloads(document, AllergyRecorded)) == 1
    assert "allergies" not in {one.slot for one in payloads(document, AbsenceAsserted)}
    assert any("contredite" in one for one in document.warnings)


def test_treatments_are_past_only_when_their_end_or_status_says_so() -> None:
    lines = {one.concept.text: one for one in payloads(read("vsm.xml"), MedicationStarted)}
    # French summaries write "completed" on every line: it says nothing of the treatment.
    assert lines["BISOPROLOL 2,5 mg, comprimé"].status == "active"
    assert lines["APIXABAN 5 mg, comprimé"].status == "active"
    assert lines["FUROSEMIDE 40 mg"].status == "completed"
    assert lines["Naproxène"].status == "stopped"
    assert not any("IBUPROFENE" in text for text in lines)  # negated: told, not taken


def test_a_treatment_keeps_dose_rhythm_class_and_reason() -> None:
    apixaban = next(
        one
        for one in payloads(read("vsm.xml"), MedicationStarted)
        if one.concept.text.startswith("APIXABAN")
    )
    assert apixaban.dose == Quantity(value="5", unit="mg", code="mg")
    assert apixaban.frequency == "2 fois par jour"
    assert ("http://www.whocc.no/atc", "B01AF02") in {
        (one.system, one.code) for one in apixaban.concept.codings
    }
    bisoprolol = payloads(read("vsm.xml"), MedicationStarted)[0]
    assert bisoprolol.indication == "Insuffisance cardiaque congestive"


def test_a_negated_treatment_is_listed_with_a_warning() -> None:
    document = read("vsm.xml")
    assert any(one.path.endswith("entry[5]/substanceAdministration") for one in document.unmapped)
    assert any("négatif" in one for one in document.warnings)


def test_acts_done_are_taken_and_acts_planned_are_listed() -> None:
    document = read("ips-fr.xml")
    assert [one.concept.text for one in payloads(document, ProcedureRecorded)] == [
        "Cholécystectomie par cœlioscopie"
    ]
    assert "procedure:HHQE005" in {one.type for one in document.unmapped}
    (hip,) = payloads(read("vsm.xml"), ProcedureRecorded)
    assert hip.performed == "2011-09-27"
    assert hip.body_site == "hanche droite [http://snomed.info/sct|287579007]"


def test_device_vaccines_and_vital_signs() -> None:
    document = read("ips-fr.xml")
    (device,) = payloads(document, DeviceRecorded)
    assert (device.since, device.status) == ("2019-08-11", "active")
    assert device.udi == "urn:oid:1.2.250.1.999.9|UDI-0001"
    given, refused = payloads(document, ImmunizationRecorded)
    assert (given.given_on, given.lot, given.dose_number) == ("2019-09-28", "4456672", 4)
    assert (refused.status, refused.reason) == ("not-done", "Refus du patient")
    weight = payloads(document, ObservationRecorded)[0]
    assert weight.value == Quantity(value="58.40", unit="kg", code="kg")  # digits as written
    assert weight.category == "vital-signs"


def test_history_in_codes_and_in_words() -> None:
    vsm, ips = read("vsm.xml"), read("ips-fr.xml")
    by_slot: dict[str, list[HistoryRecorded]] = {}
    for one in payloads(vsm, HistoryRecorded) + payloads(ips, HistoryRecorded):
        by_slot.setdefault(one.slot, []).append(one)
    assert [one.concept.text for one in by_slot["lifestyle"]] == [
        "Statut tabagique : Ancien fumeur",
        "Consommation tabagique",
    ]
    assert by_slot["lifestyle"][1].value == Quantity(value="15", unit="{Pack}.a", code="{Pack}.a")
    assert by_slot["occupation"][0].concept.text.startswith("Agricultrice")
    assert by_slot["family-history"][0].relationship == "Mère"
    assert by_slot["family-history"][1].concept.text == "Père — Infarctus à 52 ans"
    assert by_slot["adverse-reactions"][0].concept.text == "RAMIPRIL 5 mg : toux sèche"
    assert by_slot["functional-status"][0].since == "2026-01-14"


def test_vigilance_is_one_line_a_point() -> None:
    assert [one.text for one in payloads(read("ips-fr.xml"), VigilancePointSet)] == [
        "Vit seul, ne conduit plus",
        "Refuse toute transfusion",
    ]
    document = read_bytes(changed("ips-fr.xml", "Refuse toute transfusion", "x " * 120))
    assert len(payloads(document, VigilancePointSet)) == 1
    assert any("trop long" in one for one in document.warnings)


def test_what_has_no_event_is_listed_with_its_place() -> None:
    listed = {one.type: one.path for one in read("ips-fr.xml").unmapped}
    assert "section:42348-3" in listed  # advance directives
    assert "observation:28023-4" in listed  # care plan
    assert "absence" in listed  # "Aucun autre antécédent connu"
    assert listed["observation:94030-4"].endswith("/observation/entryRelationship[3]")


def test_a_section_that_knows_nothing_says_so() -> None:
    text = (INBOX / "ips-fr.xml").read_text()
    place = text.rindex("<section>", 0, text.index('code="44944-7"'))
    raw = text[:place] + '<section nullFlavor="NI">' + text[place + len("<section>") :]
    document = read_bytes(raw.encode())
    assert payloads(document, VigilancePointSet) == []
    assert any("ne rien savoir" in one for one in document.warnings)


def test_the_narrative_can_be_read() -> None:
    text = read("vsm.xml").text
    assert "PATHOLOGIES EN COURS\nInsuffisance cardiaque" in text
    assert "<" not in text


# Laboratory reports


def test_a_report_is_one_result_with_its_lines() -> None:
    report = only_result("cr-bio-final.xml")
    assert (report.status, report.laboratory) == ("final", "Laboratoire des Charmes")
    assert report.sampled_at == "2026-10-14T07:35:00+02:00"
    assert report.conclusion == "Résultat téléphoné au cabinet à 17 h."
    potassium = report.lines[0]
    assert potassium.value == Quantity(value="6.2", unit="mmol/L", code="mmol/L")
    assert [(one.system, one.code) for one in potassium.code.codings] == [
        ("http://loinc.org", "2823-3"),
        ("urn:oid:1.2.250.1.999.5.1", "K33"),
    ]
    assert (potassium.interpretation, potassium.reference_range) == ("HH", "3.5 à 5.1 mmol/L")


def test_results_are_read_without_the_template_of_their_entry() -> None:
    raw = changed("cr-bio-final.xml", '<templateId root="1.3.6.1.4.1.19376.1.3.1"/>', "")
    assert read_bytes(raw).reports == read("cr-bio-final.xml").reports


def test_versions_share_a_report_and_differ_in_status() -> None:
    names = ("cr-bio-partial.xml", "cr-bio-final.xml", "cr-bio-corrected.xml")
    reports = [only_result(name) for name in names]
    assert [one.status for one in reports] == ["partial", "final", "corrected"]
    assert {one.report for one in reports} == {"urn:oid:1.2.250.1.999.3.1.310"}
    assert len({read(name).source_id for name in names}) == 3


def test_a_partial_version_stays_partial_even_when_it_replaces_one() -> None:
    raw = changed(
        "cr-bio-corrected.xml",
        '<lab:statusCode code="completed"/>',
        '<lab:statusCode code="active"/>',
    )
    assert read_bytes(raw).result_status == "partial"


def test_bounds_words_and_what_was_not_done() -> None:
    lines = {one.code.text: one for one in only_result("cr-bio-final.xml").lines}
    crp = lines["CRP [Masse/Volume] Sérum/Plasma ; Numérique"]
    assert (crp.comparator, crp.value) == ("<", Quantity(value="0.6", unit="mg/L", code="mg/L"))
    assert lines["Aspect du sérum"].text == "Limpide"
    assert (lines["D-dimères"].status, lines["D-dimères"].value) == ("cancelled", None)
    awaited = only_result("cr-bio-partial.xml").lines[-1]
    assert (awaited.status, awaited.text) == ("preliminary", "pas encore disponible")


def test_withdrawn_and_negated_lines_are_listed_not_taken() -> None:
    document = read("cr-bio-final.xml")
    assert {"observation:2345-7", "observation:33959-8"} <= {one.type for one in document.unmapped}
    assert "9.9" not in {one.value.value for one in document.results if one.value}


def test_units_are_kept_as_received() -> None:
    glucose, ldh, isolate, amoxicillin = only_result("cr-bio-odd-unit.xml").lines
    assert glucose.value == Quantity(value="110", unit="mg/dL", code="mg/dL")
    assert ldh.value == Quantity(value="212", unit="UI par litre", code=None)
    assert isolate.text == "Escherichia coli"
    assert amoxicillin.code.text == "Escherichia coli : Amoxicilline"
    assert (amoxicillin.comparator, amoxicillin.interpretation) == (">=", "R")
    assert "PQR" in {one.type for one in read("cr-bio-odd-unit.xml").unmapped}


# Level 1


def test_a_level_one_document_gives_identity_and_its_pdf() -> None:
    document = read("cda-level1-pdf.xml")
    assert document.entries == ()
    assert document.identity is not None
    assert document.identity.birth_date == "1948-03-02"
    (pdf,) = document.embedded
    assert pdf.media_type == "application/pdf"
    assert pdf.content == (INBOX / "letter.pdf").read_bytes()


def test_a_level_one_text_is_readable() -> None:
    text = (INBOX / "cda-level1-pdf.xml").read_text()
    start, end = text.index("<text mediaType"), text.index("</text>")
    raw = text[:start] + '<text mediaType="text/plain">Compte rendu en clair.' + text[end:]
    document = read_bytes(raw.encode())
    assert document.text == "Compte rendu en clair."


def test_a_broken_attachment_is_a_warning() -> None:
    raw = changed("cda-level1-pdf.xml", "JVBERi0", "%%%%")
    document = read_bytes(raw)
    assert document.embedded == ()
    assert any("illisible" in one for one in document.warnings)


# Data types


@pytest.mark.parametrize(
    ("written", "read_as"),
    [
        ("20240104092200+0100", "2024-01-04T09:22:00+01:00"),
        ("202401040735+0100", "2024-01-04T07:35:00+01:00"),
        ("20240104092200.123+0100", "2024-01-04T09:22:00+01:00"),
        ("20240104092200", "2024-01-04"),  # an hour of nobody knows which zone
        ("20240104", "2024-01-04"),
        ("202401", "2024-01"),
        ("2024", "2024"),
        ("20240231", None),
        ("20241301", None),
        ("hier", None),
        ("20240104092200+9900", None),
    ],
)
def test_moments(written: str, read_as: str | None) -> None:
    assert moment_of(etree.fromstring(f'<a value="{written}"/>')) == read_as


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('<value xsi:type="PQ" value="6,2" unit="mmol/L"/>', ("6.2", None, None)),
        ('<value xsi:type="PQ" value="1e3" unit="g"/>', (None, None, "1e3 g")),
        ('<value xsi:type="INT" value="4"/>', ("4", None, None)),
        ('<value xsi:type="BL" value="true"/>', (None, None, "oui")),
        ('<value xsi:type="CD" code="1" displayName="Positif"/>', (None, None, "Positif")),
        ('<value xsi:type="ED">Libre</value>', (None, None, "Libre")),
        ('<value xsi:type="IVL_PQ"><low value="3" unit="g"/></value>', ("3", ">=", None)),
        (
            '<value xsi:type="IVL_PQ"><low value="3" unit="g" inclusive="false"/></value>',
            ("3", ">", None),
        ),
        (
            '<value xsi:type="IVL_PQ"><low value="3" unit="g"/><high value="5" unit="g"/></value>',
            (None, None, "3 à 5 g"),
        ),
        ('<value xsi:type="PQ" nullFlavor="NAV"/>', (None, None, None)),
    ],
)
def test_values(value: str, expected: tuple[str | None, str | None, str | None]) -> None:
    root = etree.fromstring(f"<observation {HL7}>{value}</observation>")
    read = measured_of(root[0], Narrative(root))
    assert (read.value.value if read.value else None, read.comparator, read.text) == expected


def test_ranges_in_words() -> None:
    for inside, said in (
        ('<high value="34" unit="U/L"/>', "<= 34 U/L"),
        ('<low value="3.5" unit="mmol/L"/><high value="5.1" unit="mmol/L"/>', "3.5 à 5.1 mmol/L"),
    ):
        root = etree.fromstring(
            f'<observationRange {HL7}><value xsi:type="IVL_PQ">{inside}</value></observationRange>'
        )
        assert range_of(root, Narrative(root)) == said


# What is made to harm

START = f"<ClinicalDocument {HL7}>"
END = "</ClinicalDocument>"
LAUGHS = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))


@pytest.mark.parametrize(
    "hostile",
    [
        f'<!DOCTYPE x [<!ENTITY a0 "ha">{LAUGHS}]>{START}&a9;{END}',
        f'<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>{START}&f;{END}',
        f'<!DOCTYPE ClinicalDocument SYSTEM "http://example.invalid/cda.dtd">{START}{END}',
        f'<!DOCTYPE x [<!ENTITY % p SYSTEM "http://example.invalid/p">%p;]>{START}{END}',
        f"<!-- <a> --><!DOCTYPE x>{START}{END}",
        f'{START}<i:include xmlns:i="http://www.w3.org/2001/XInclude" href="/etc/passwd"/>{END}',
        START + "<a>" * 1_000_000,
        START + "<a>" * 150 + "</a>" * 150 + END,
        START + "<a/>" * 450_000 + END,
    ],
    ids=["laughs", "file", "external", "parameter", "hidden", "xinclude", "deep", "depth", "many"],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_hostile_xml_is_refused(hostile: str, encoding: str) -> None:
    with pytest.raises(Unreadable):
        read_cda(hostile.encode(encoding))


def test_an_encoding_that_hides_something_is_not_read() -> None:
    with pytest.raises(NotXml):
        read_cda(b'<?xml version="1.0" encoding="UTF-7"?>' + START.encode() + END.encode())
    with pytest.raises(NotXml):
        read_cda(f"{START}&undefined;{END}".encode())


def test_a_text_beyond_what_xml_may_hold_is_not_read() -> None:
    huge = base64.b64encode(bytes(9 * 1024 * 1024)).decode()
    raw = changed("cda-level1-pdf.xml", "JVBERi0", huge)
    with pytest.raises(NotXml):
        read_cda(raw)


def test_many_references_to_one_long_text_stay_small() -> None:
    text = f"<text><content ID='x'>{'mot ' * 20_000}</content></text>"
    entries = (
        "<entry><observation classCode='OBS' moodCode='EVN'><code code='1'/>"
        "<text><reference value='#x'/></text></observation></entry>"
    ) * 2_000
    head = (INBOX / "vsm.xml").read_text()
    start = head.index("<structuredBody>") + len("<structuredBody>")
    section = f"<component><section><code code='29762-2'/>{text}{entries}</section></component>"
    raw = head[:start] + section + head[head.index("</structuredBody>") :]
    document = read_bytes(raw.encode())
    assert len(document.entries) == 2_000
    assert max(len(one.concept.text) for one in payloads(document, HistoryRecorded)) <= 1_000


# A critical value of a summary

_CREATININE = '<value xsi:type="PQ" value="118" unit="umol/L"/>'
_CODE = 'code="14682-9" displayName="Créatinine [Moles/Volume] Sérum/Plasma"'
_DAY = "20260917081500+0200"
_AS_POTASSIUM = ((_CODE, 'code="2823-3" displayName="Potassium"'),)


def of_vsm(*turned: tuple[str, str]) -> ReadDocument:
    """The summary of the fixtures (written on 5 October 2026), with other words in it."""
    text = (INBOX / "vsm.xml").read_text()
    for old, new in turned:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return read_bytes(text.encode())


def quantity(value: str, unit: str = "mmol/L") -> tuple[str, str]:
    return _CREATININE, f'<value xsi:type="PQ" value="{value}" unit="{unit}"/>'


def test_a_critical_value_of_a_summary_that_was_news_is_a_result() -> None:
    document = of_vsm(*_AS_POTASSIUM, quantity("7.6"))
    (result,) = document.reports
    assert (result.status, result.title) == ("final", "Potassium")
    assert [line.value for line in result.lines] == [
        Quantity(value="7.6", unit="mmol/L", code="mmol/L")
    ]
    assert result.sampled_at == "2026-09-17T08:15:00+02:00"
    assert payloads(document, ObservationRecorded) == []
    assert document.unmapped == of_vsm().unmapped


@pytest.mark.parametrize(
    ("turned", "told"),
    [
        ((quantity("7.6"), (_DAY, "20260806")), 1),  # sixty days before the summary
        ((quantity("7.6"), (_DAY, "20260805")), 0),
        ((quantity("4.1"),), 0),
        ((quantity("30", "mg/dL"),), 0),
    ],
)
def test_other_values_of_a_summary_stay_measures(
    turned: tuple[tuple[str, str], ...], told: int
) -> None:
    document = of_vsm(*_AS_POTASSIUM, *turned)
    assert len(document.reports) == told
    assert len(payloads(document, ObservationRecorded)) == 1 - told


def test_a_bound_that_is_critical_is_no_part_left_over() -> None:
    above = '<value xsi:type="IVL_PQ"><low value="7.5" unit="mmol/L" inclusive="false"/></value>'
    document = of_vsm(*_AS_POTASSIUM, (_CREATININE, above))
    (result,) = document.reports
    assert [(line.comparator, line.value and line.value.value) for line in result.lines] == [
        (">", "7.5")
    ]
