"""Documents that other houses send to the demo centre: reports, letters, summaries.

Each is written here byte for byte, read by the product's own readers, kept in the inbox, matched by
the coordinator and delivered, as a real one is. Contents, senders and people are invented.
"""

from __future__ import annotations

import hashlib
from datetime import date, datetime, timedelta
from random import Random
from typing import Final, Literal
from uuid import UUID
from xml.sax.saxutils import escape

import msgspec

from releve.api.demo import people
from releve.api.demo.acts import LATER, Entry
from releve.api.demo.background import Chart
from releve.api.demo.calendar import working
from releve.api.demo.scribe import Scribe
from releve.api.demo.tables.shapes import Condition
from releve.domain.commands import (
    ImportedDocument,
    ImportRecord,
    MatchDocument,
    RejectDocument,
    ValidateEntry,
)
from releve.domain.values import IdentityTraits
from releve.fhir.document_content import to_receive
from releve.fhir.received_document import read_document

PROBLEM: Final = "patient.problem-recorded"
Fate = Literal["matched", "rejected", "left"]

LETTERS = (
    ("Compte rendu de cardiologie", "Échographie : fonction conservée, contrôle dans un an."),
    ("Compte rendu d'ophtalmologie", "Fond d'œil sans lésion, revoir dans douze mois."),
    ("Lettre de sortie", "Séjour de trois jours, suites simples, pansement à domicile."),
    ("Compte rendu de radiographie", "Pas de lésion récente visible."),
    ("Bilan de kinésithérapie", "Quinze séances faites, marche améliorée."),
)  # fmt: skip


def documents(scribe: Scribe, charts: list[Chart]) -> None:
    """Letters and summaries of the weeks; a report that nobody may match, one that was rejected."""
    for chart in charts:
        rng = scribe.rng("paper", str(chart.person.index))
        place = rng.random()
        if not chart.visited or chart.since is None or chart.dead is not None or place > 0.07:
            continue
        first = chart.since + timedelta(days=1)
        at = working(first + max(timedelta(0), scribe.now - first) * rng.random(), rng)
        if place < 0.035 and chart.conditions:
            raw = summary(chart.person, rng.choice(chart.conditions), at.date())
        else:
            title, text = rng.choice(LETTERS)
            raw = letter(chart.person, title, text, at.date())
        fate: Fate = "left" if at > scribe.now - timedelta(hours=40) else "matched"
        bring(scribe, chart.person, chart.target, raw, at, fate, rng)


def bring(
    scribe: Scribe,
    person: people.Person,
    target: str,
    raw: bytes,
    at: datetime,
    fate: Fate,
    rng: Random,
) -> str | None:
    """A document comes in; the desk matches it or sets it aside, a doctor judges its lines.

    For what names nobody in a way that can be read, the desk types who it is.
    """
    read = read_document(raw)
    if read.identity is None:
        read = msgspec.structs.replace(read, identity=IdentityTraits(
            birth_name=person.family, first_names=(person.given,), birth_date=person.born.isoformat(),
            sex=person.sex,  # type: ignore[arg-type] # female or male
        ))  # fmt: skip
    received, source = to_receive(read, raw)
    sha256 = received.sha256
    inbox = f"{scribe.label}/document-{sha256[:16]}"
    made = scribe.write(
        at,
        "received",
        inbox,
        "coordinator",
        received,
        source=source,
        content=raw,
    )
    if made is None or fate == "left":
        return made
    seen = working(at + timedelta(minutes=10 + rng.random() * 300), rng, 240)
    if fate == "rejected":
        return scribe.write(
            seen, "rejected", inbox, "referent" if read.coded_lines else "coordinator",
            RejectDocument(reason="Patient inconnu du centre", sender_told=True),
        )  # fmt: skip
    matched = scribe.write(
        seen, "matched", inbox, "coordinator", MatchDocument(patient=LATER),
        refers={"patient": target}, candidate=target,
    )  # fmt: skip
    if matched is None:
        return made
    document = ImportedDocument(
        sha256=sha256,
        size=len(raw),
        media_type=read.media_type,
        title=" : ".join(part for part in (read.title, read.one_liner) if part)[:160],
        kind=read.kind,
        source_id=read.source_id,
        unmapped=read.unmapped,
        warnings=read.warnings,
    )
    delivered = scribe.write(
        seen + timedelta(seconds=1), f"delivered-{sha256[:16]}", target, "laboratory",
        ImportRecord(entries=read.entries, document=document),
        source=source, content=raw, entered_by=f"{scribe.label}/coordinator",
    )  # fmt: skip
    judged = any(entry.payload.topic == PROBLEM for entry in read.entries)
    if delivered and judged and rng.random() < 0.75:
        wrong = rng.random() < 0.12
        scribe.write(
            working(seen + timedelta(days=rng.choice((0, 1, 2))), rng, 300),
            f"judged-{sha256[:16]}", target, "doctor",
            ValidateEntry(entry=LATER, verdict="refused" if wrong else "accepted",
                          reason="Diagnostic écarté depuis" if wrong else ""),
            entries={"entry": Entry(delivered, PROBLEM)},
        )  # fmt: skip
    return delivered


# The bytes


def letter(person: people.Person, title: str, text: str, day: date) -> bytes:
    """A letter as a one-page PDF."""
    who = f"{person.family.upper()} {person.given}, {person.born:%d/%m/%Y}"
    shown = [title, f"Patient : {who}", f"Le {day:%d/%m/%Y}", text, "Confraternellement."]
    escaped = (line.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)") for line in shown)
    body = " ".join(f"({line}) Tj T*" for line in escaped)
    stream = f"BT /F1 12 Tf 56 780 Td 16 TL {body} ET".encode("cp1252", "replace")
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R"
        b" /Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    out, places = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    return out + (
        b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n"
        % (len(objects) + 1, table, len(objects) + 1, len(out))
    )


def report(person: people.Person, rows: tuple[str, ...], day: date, number: str) -> bytes:
    """A laboratory's report as HPRIM text with coded lines."""
    head = (
        number, person.family.upper(), person.given, "1 rue Inventée", "", "23999 BREVIAL",
        f"{person.born:%d/%m/%Y}", f"{person.ins[:13]} {person.ins[13:]}", number, f"{day:%d/%m/%Y}",
        "labo1 Laboratoire des Trois-Vallons", "medec1 Centre de santé",
    )  # fmt: skip
    text = (
        "Laboratoire des Trois-Vallons", "", *(f"{row.split('|')[1]:<30}{row.split('|')[4]}" for row in rows),
        "", "****LAB****", *rows, "****FIN****", "****FINFICHIER****", "",
    )  # fmt: skip
    return "\r\n".join((*head, *text)).encode("latin-1", "replace")


def summary(person: people.Person, condition: Condition, day: date) -> bytes:
    """A former doctor's summary (VSM, CDA level 3) with one problem."""
    name = escape(condition.label)
    since = max(person.born.year + 1, day.year - 9)
    entry = UUID(
        bytes=hashlib.blake2b(f"{person.ins}|{condition.key}".encode(), digest_size=16).digest()
    )
    gender = "F" if person.sex == "female" else "M"
    return _SUMMARY.format(
        document=str(entry.int)[:18], stamp=f"{day:%Y%m%d}093000+0100", ins=person.ins,
        family=escape(person.family.upper()), given=escape(person.given.upper()), gender=gender,
        born=f"{person.born:%Y%m%d}", insee=person.insee, name=name, code=condition.cim10,
        since=since, entry=str(entry).upper(),
    ).encode()  # fmt: skip


_SUMMARY = """<?xml version="1.0" encoding="UTF-8"?>
<ClinicalDocument xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
<realmCode code="FR"/><typeId root="2.16.840.1.113883.1.3" extension="POCD_HD000040"/>
<templateId root="2.16.840.1.113883.2.8.2.1"/><templateId root="1.2.250.1.213.1.1.1.13"/>
<id root="1.2.250.1.999.2.7.{document}"/>
<code code="SYNTH" displayName="Synthèse médicale" codeSystem="1.2.250.1.213.1.1.4.12"/>
<title>Volet de synthèse médicale</title><effectiveTime value="{stamp}"/>
<confidentialityCode code="N" codeSystem="2.16.840.1.113883.5.25"/><languageCode code="fr-FR"/>
<setId root="1.2.250.1.999.2.7.{document}"/><versionNumber value="1"/>
<recordTarget><patientRole><id root="1.2.250.1.213.1.4.10" extension="{ins}"/>
<patient classCode="PSN"><name><family qualifier="BR">{family}</family><given qualifier="BR">{given}</given></name>
<administrativeGenderCode code="{gender}" codeSystem="2.16.840.1.113883.5.1"/><birthTime value="{born}"/>
<birthplace><place><addr><county>{insee}</county></addr></place></birthplace></patient></patientRole></recordTarget>
<author><time value="{stamp}"/><assignedAuthor><id root="1.2.250.1.71.4.2.1" extension="889900000012"/>
<assignedPerson><name><prefix>DR</prefix><family>GRANDCLEMENT</family><given>Odile</given></name></assignedPerson>
<representedOrganization><id root="1.2.250.1.71.4.2.2" extension="1990000101"/><name>Ancien cabinet de Servalles</name></representedOrganization></assignedAuthor></author>
<custodian><assignedCustodian><representedCustodianOrganization><id root="1.2.250.1.71.4.2.2" extension="1990000101"/><name>Ancien cabinet de Servalles</name></representedCustodianOrganization></assignedCustodian></custodian>
<component><structuredBody><component><section><code code="11450-4" codeSystem="2.16.840.1.113883.6.1"/>
<title>Pathologies en cours</title><text><content ID="p1">{name}</content></text>
<entry><act classCode="ACT" moodCode="EVN"><templateId root="1.2.250.1.213.1.1.3.39"/><id root="{entry}"/>
<code nullFlavor="NA"/><statusCode code="active"/><effectiveTime><low value="{since}"/></effectiveTime>
<entryRelationship typeCode="SUBJ" inversionInd="false"><observation classCode="OBS" moodCode="EVN" negationInd="false">
<templateId root="1.2.250.1.213.1.1.3.37"/><id root="{entry}" extension="1"/>
<code code="282291009" codeSystem="2.16.840.1.113883.6.96"/><text><reference value="#p1"/></text>
<statusCode code="completed"/><effectiveTime><low value="{since}"/></effectiveTime>
<value xsi:type="CD" code="{code}" displayName="{name}" codeSystem="2.16.840.1.113883.6.3" codeSystemName="CIM-10"><originalText><reference value="#p1"/></originalText></value>
</observation></entryRelationship></act></entry></section></component></structuredBody></component></ClinicalDocument>
"""
