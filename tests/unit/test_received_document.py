"""The one door of inbound documents: what is recognised, what is kept unread, what is refused."""

from __future__ import annotations

import contextlib
import io
import json
import stat
import zipfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from releve.domain.aggregates.patient.problems import ProblemRecorded
from releve.fhir.bundle_document import MAX_ENTRIES
from releve.fhir.document_content import MAX_BYTES, glance
from releve.fhir.received_document import ReadDocument, Unreadable, read_document

INBOX = Path(__file__).resolve().parents[1] / "conformance" / "data" / "inbox"
PDF = (INBOX / "letter.pdf").read_bytes()
CDA = (INBOX / "cr-bio-final.xml").read_bytes()


@pytest.mark.parametrize(
    ("name", "format", "media_type"),
    [
        ("vsm.xml", "cda", "text/xml"),
        ("ips-fr.xml", "cda", "text/xml"),
        ("cr-bio-final.xml", "cda", "text/xml"),
        ("cda-level1-pdf.xml", "cda", "text/xml"),
        ("ihe-xdm.zip", "cda", "application/zip"),
        ("hprim-structured.hpr", "hprim", "text/plain"),
        ("hprim-text.hpr", "hprim", "text/plain"),
        ("letter.pdf", "pdf", "application/pdf"),
        ("day-list.txt", "text", "text/plain"),
    ],
)
def test_bytes_say_what_they_are_whatever_is_declared(
    name: str, format: str, media_type: str
) -> None:
    document = read_document(
        (INBOX / name).read_bytes(), media_type="image/gif", name_hint="photo.gif"
    )
    assert (document.format, document.media_type) == (format, media_type)


def test_counts_of_a_result() -> None:
    document = read_document(CDA)
    assert (document.result_status, len(document.results), document.coded_lines) == ("final", 6, 6)
    summary = read_document((INBOX / "vsm.xml").read_bytes())
    assert (summary.result_status, summary.results) == (None, ())
    assert summary.coded_lines == len(summary.entries)


def test_an_archive_is_its_document_with_the_pdf_beside() -> None:
    document = read_document((INBOX / "ihe-xdm.zip").read_bytes())
    assert document.entries == read_document(CDA).entries
    assert [one.content for one in document.embedded] == [PDF]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_cda_in_its_encodings(encoding: str) -> None:
    declared = f'encoding="{encoding.removesuffix("-sig")}"'
    raw = CDA.decode().replace('encoding="UTF-8"', declared)
    assert read_document(raw.encode(encoding)).entries == read_document(CDA).entries


def test_a_latin_one_cda_is_read() -> None:
    raw = CDA.decode().replace('encoding="UTF-8"', 'encoding="ISO-8859-1"').encode("cp1252")
    assert read_document(raw).entries == read_document(CDA).entries


# FHIR


def bundle(*resources: dict[str, object]) -> bytes:
    entries = [
        {"fullUrl": f"urn:uuid:00000000-0000-4000-8000-00000000000{n}", "resource": one}
        for n, one in enumerate(resources)
    ]
    return json.dumps({"resourceType": "Bundle", "type": "collection", "entry": entries}).encode()


PATIENT: dict[str, object] = {
    "resourceType": "Patient",
    "name": [{"family": "VERGNAUD", "given": ["Marcel"]}],
    "birthDate": "1951-11-19",
    "gender": "male",
}


def problem(patient: int) -> dict[str, object]:
    return {
        "resourceType": "Condition",
        "subject": {"reference": f"urn:uuid:00000000-0000-4000-8000-00000000000{patient}"},
        "code": {"text": "Gonarthrose"},
    }


def test_a_bundle_of_one_patient_is_read() -> None:
    document = read_document(bundle(PATIENT, problem(0)))
    assert document.format == "fhir"
    assert document.identity is not None
    assert (document.identity.birth_name, document.identity.birth_date) == (
        "VERGNAUD",
        "1951-11-19",
    )
    assert [type(one.payload) for one in document.entries] == [ProblemRecorded]


def test_a_bundle_of_two_patients_is_kept_without_an_identity() -> None:
    document = read_document(bundle(PATIENT, PATIENT, problem(0), problem(1)))
    assert (document.identity, document.entries) == (None, ())
    assert document.warnings


def test_json_that_is_no_bundle_is_kept() -> None:
    document = read_document(b'{"hello": 1}')
    assert (document.media_type, document.entries) == ("application/json", ())
    assert document.warnings


# Without coded lines


@pytest.mark.parametrize(
    ("raw", "warning"),
    [
        (PDF, None),
        (PDF[:300], "incomplet"),
        (b"\r\n\r\n" + PDF, "précédé"),
        (PDF.replace(b"/Root 1 0 R", b"/Root 1 0 R /Encrypt 9 0 R"), "mot de passe"),
    ],
)
def test_a_pdf_is_kept_whatever_its_state(raw: bytes, warning: str | None) -> None:
    document = read_document(raw)
    assert (document.format, document.entries) == ("pdf", ())
    if warning is None:
        assert document.warnings == ()
    else:
        (told,) = document.warnings
        assert warning in told


@pytest.mark.parametrize(
    ("raw", "declared", "media_type"),
    [
        (b"\xff\xd8\xff\xe0\x00\x10JFIF\x00", None, "image/jpeg"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", None, "image/png"),
        (b"\x01\x00\x02\x03", "audio/amr", "audio/amr"),
        (b"\x01\x00\x02\x03", "x; rm -rf", "application/octet-stream"),
        (b"<html><body>Bonjour</body></html>", None, "text/html"),
        (b"<!DOCTYPE html><p>Bonjour", None, "text/html"),
        (b"<letter>Bonjour</letter>", None, "application/xml"),
        (b"<not closed", None, "application/xml"),
    ],
)
def test_what_is_not_read_is_kept_and_said(
    raw: bytes, declared: str | None, media_type: str
) -> None:
    document = read_document(raw, media_type=declared)
    assert (document.media_type, document.entries) == (media_type, ())
    assert document.warnings


def test_pasted_text_keeps_its_words_and_no_control_character() -> None:
    document = read_document(b"Consultation du jour\r\nTA 13/8\x07\x1b[2J")
    assert (document.format, document.identity) == ("text", None)
    assert document.text.startswith("Consultation du jour\nTA 13/8")
    assert not any(ord(sign) < 32 and sign != "\n" for sign in document.text)
    assert read_document(b"a;b\n1;2", name_hint="liste.CSV").media_type == "text/csv"


def test_a_glance_is_one_line() -> None:
    assert glance("mot " * 100).endswith("mot…")
    assert len(glance("x" * 500)) == 160
    assert "\n" not in glance("a\nb")


# Refused


@pytest.mark.parametrize("raw", [b"", b" \r\n\t "])
def test_nothing_is_refused(raw: bytes) -> None:
    with pytest.raises(Unreadable):
        read_document(raw)


def test_too_large_is_refused_before_it_is_read() -> None:
    with pytest.raises(Unreadable) as refused:
        read_document(b"<" + bytes(MAX_BYTES))
    assert refused.value.code == "document-unreadable"
    assert "32 Mio" in refused.value.why


def zipped(files: dict[str, bytes], *, level: int = zipfile.ZIP_DEFLATED) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", level) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return written.getvalue()


def linked() -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        link = zipfile.ZipInfo("DOC.XML")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    return written.getvalue()


def lying() -> bytes:
    """An archive whose headers say that a file is small."""
    raw = bytearray(zipped({"DOC.XML": b"<a>" + bytes(40 * 1024 * 1024)}))
    for signature, place in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = raw.index(signature) + place
        raw[at : at + 4] = (1000).to_bytes(4, "little")
    return bytes(raw)


@pytest.mark.parametrize(
    "raw",
    [
        zipped({"DOC.XML": bytes(20 * 1024 * 1024)}),
        zipped({f"{n}.xml": bytes(4 * 1024 * 1024) for n in range(10)}),
        zipped({f"{n}.txt": b"x" for n in range(300)}),
        zipped({"../../etc/cron.d/x.xml": CDA}),
        zipped({"/etc/x.xml": CDA}),
        zipped({"IHE_XDM\\..\\x.xml": CDA}),
        zipped({"C:x.xml": CDA}),
        linked(),
    ],
    ids=["bomb", "sum", "many", "dots", "absolute", "backslash", "drive", "link"],
)
def test_archives_made_to_harm_are_refused(raw: bytes) -> None:
    with pytest.raises(Unreadable):
        read_document(raw)


def test_an_archive_that_lies_about_its_size_is_not_believed() -> None:
    document = read_document(lying())
    assert document.entries == ()
    assert document.warnings


def test_an_encrypted_archive_is_refused() -> None:
    raw = bytearray(zipped({"DOC.XML": CDA}))
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(Unreadable):
        read_document(bytes(raw))


def test_hostile_xml_inside_an_archive_is_refused() -> None:
    with pytest.raises(Unreadable):
        read_document(zipped({"DOC.XML": b'<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>'}))


def test_archives_without_one_document_are_kept() -> None:
    for files in ({"lettre.docx": b"x"}, {"a.xml": CDA, "b.xml": CDA}, {"a.xml": b"<broken"}):
        document = read_document(zipped(files))
        assert (document.media_type, document.entries) == ("application/zip", ())
        assert len(document.warnings) == 2
    assert read_document(zipped({"a.xml": CDA})[:200]).warnings


# Whatever comes

SEEDS = [(INBOX / name).read_bytes() for name in ("vsm.xml", "cr-bio-final.xml", "ihe-xdm.zip",
         "hprim-structured.hpr", "letter.pdf")]  # fmt: skip
TOKENS = st.sampled_from(
    [b"<", b">", b"</section>", b"<entry/>", b'nullFlavor="NI"', b"&amp;", b"&#0;", b"\x00",
     b"<value/>", b'value="99999999999999999999"', b"|", b"****LAB****", b"****FIN****\n", b"PK",
     b"\xff", b"]]>", b"<![CDATA[", b"<!-- ", b'xsi:type="IVL_PQ"', b"<component>", b"\xef\xbb\xbf"]
)  # fmt: skip


@st.composite
def mutilated(draw: st.DrawFn) -> bytes:
    """A real document with a stretch of it replaced, moved or cut off."""
    raw = draw(st.sampled_from(SEEDS))
    start = draw(st.integers(0, len(raw)))
    end = min(len(raw), start + draw(st.integers(0, 400)))
    inside = draw(st.one_of(TOKENS, st.binary(max_size=40), st.just(raw[end : end + 300])))
    return raw[:start] + inside + (b"" if draw(st.booleans()) and end > 500 else raw[end:])


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.binary(max_size=400), mutilated()), st.none() | st.text(max_size=20))
@example(b"\xff\xfe<", None)
@example(b"\xfe\xff\xd8\x00\x00<", None)
@example(b"{" + b"[" * 5000, None)
@example(b"PK\x03\x04" + bytes(30), None)
def test_any_bytes_are_a_document_or_unreadable(raw: bytes, declared: str | None) -> None:
    with contextlib.suppress(Unreadable):  # the one refusal there may be
        document = read_document(raw, media_type=declared, name_hint=declared)
        judge(document)


def judge(document: ReadDocument) -> None:
    assert len(document.one_liner) <= 160
    assert document.identity is not None or document.entries == ()


def test_a_bundle_of_too_many_entries_is_kept_and_said_unread() -> None:
    entries = [{"resource": {"resourceType": "Basic"}}] * (MAX_ENTRIES + 1)
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": entries}
    read = read_document(json.dumps(bundle).encode())
    assert (read.format, read.entries, len(read.warnings)) == ("fhir", (), 1)
    assert "5000" in read.warnings[0]
