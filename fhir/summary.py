"""``$summary``: the record as an International Patient Summary document (IPS 2.0.1, R4).

Pure and deterministic: the same record at the same position gives the same bytes, whoever asks
and whenever. Entered-in-error lines are left out; refuted and past ones stay, with their status.
A required section never is silently empty: it holds a known-absence resource, or says why.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple
from uuid import NAMESPACE_URL, UUID, uuid5

import msgspec

from releve.domain.aggregates.patient.allergies import AbsenceAsserted, part_of
from releve.domain.aggregates.patient.observations import ObservationRecorded
from releve.fhir import codes, exact_json, mapping, narrative
from releve.fhir.exact_json import JsonObject
from releve.projections import wording
from releve.projections.dates import french
from releve.projections.directory import CentreEntry, Directory
from releve.projections.patient_summary import Line, PatientSummary

EMPTY_REASON: Final = "http://terminology.hl7.org/CodeSystem/list-empty-reason"

_RELEVE: Final = uuid5(NAMESPACE_URL, "urn:releve:author")
"""The author of a summary whose centre is not known."""


class _Section(NamedTuple):
    slot: str
    code: str
    display: str
    title: str
    required: bool
    """Whether IPS asks for the section even when it is empty."""
    empty: str
    """What the section says when nobody was asked."""


_SECTIONS: Final = (
    _Section(
        "problems", "11450-4", "Problem list - Reported", "Problèmes actifs", True,
        "Aucun problème actif n'est noté ; l'absence n'a pas été affirmée.",
    ),
    _Section(
        "allergies", "48765-2", "Allergies and adverse reactions Document",
        "Allergies et intolérances", True,
        "Allergies : la question n'a pas été posée.",
    ),
    _Section(
        "medications", "10160-0", "History of Medication use Narrative", "Traitements", True,
        "Aucun traitement n'est noté ; l'absence n'a pas été affirmée.",
    ),
    _Section(
        "past-illness", "11348-0", "History of Past illness note", "Antécédents médicaux", False,
        "",
    ),
    _Section("vital-signs", "8716-3", "Vital signs note", "Constantes", False, ""),
    _Section(
        "results", "30954-2", "Relevant diagnostic tests/laboratory data note", "Résultats", False,
        "",
    ),
    _Section("lifestyle", "29762-2", "Social history note", "Mode de vie", False, ""),
)  # fmt: skip


def summary_document(summary: PatientSummary, directory: Directory) -> bytes:
    """The patient summary as the bytes of a document Bundle.

    ``directory`` names the centre that answers for the record (the declared médecin traitant, else
    the first centre that wrote on it): custodian and author of the document.
    """
    return exact_json.dump(document(summary, custodian_of(summary, directory)))


def everything_bundle(summary: PatientSummary, directory: Directory) -> bytes:
    """Every line of the record that has a resource, errors included, as a collection Bundle."""
    centre = custodian_of(summary, directory)
    subject = mapping.in_document(summary.patient)
    resources = [mapping.patient(summary, centre, mapping.in_document)]
    resources += [mapping.organization(centre)] if centre else []
    for line in [*summary.lines, *summary.absences]:
        content = mapping.line_resource(line, subject)
        if content is not None:
            resources.append(content)
    bundle: JsonObject = {
        "resourceType": "Bundle",
        "type": "collection",
        "timestamp": mapping.instant(summary.recorded_at),
        "entry": [_entry(one) for one in resources],
    }
    return exact_json.dump(bundle)


def custodian_of(summary: PatientSummary, directory: Directory) -> CentreEntry | None:
    """The centre that answers for the record, where one is known."""
    declared = summary.medecin_traitant
    named = declared.detail.get("centre") if declared is not None else None
    candidates = [UUID(named)] if named else []
    for identity in [*candidates, *summary.centres]:
        if (centre := directory.centre(identity)) is not None:
            return centre
    return None


def document(summary: PatientSummary, centre: CentreEntry | None) -> JsonObject:
    """The document Bundle of :func:`summary_document`, as plain data."""
    subject = mapping.in_document(summary.patient)
    composed = mapping.instant(summary.recorded_at)
    author = _author(centre)
    sections, resources = _sections(summary, subject)
    composition: JsonObject = {
        "resourceType": "Composition",
        "id": str(uuid5(summary.patient, f"composition/{summary.version}")),
        "language": "fr-FR",
        "text": {
            "status": "generated",
            "div": narrative.paragraphs([_title(summary), *_banner(summary)]),
        },
        "status": "final",
        "type": {
            "coding": [
                {
                    "system": codes.LOINC,
                    "code": "60591-5",
                    "display": "Patient summary Document",
                }
            ]
        },
        "subject": {"reference": subject},
        "date": composed,
        "author": [{"reference": mapping.in_document(UUID(author["id"]))}],
        "title": " — ".join([_title(summary), *_banner(summary)]),
        "custodian": {"reference": mapping.in_document(UUID(author["id"]))},
        "section": sections,
    }
    resources = [mapping.patient(summary, centre, mapping.in_document), author, *resources]
    identity = uuid5(summary.patient, f"summary/{summary.version}")
    return {
        "resourceType": "Bundle",
        "id": str(identity),
        "meta": {"lastUpdated": composed},
        "language": "fr-FR",
        "identifier": {"system": codes.ANY_URI, "value": f"urn:uuid:{identity}"},
        "type": "document",
        "timestamp": composed,
        "entry": [_entry(one) for one in (composition, *resources)],
    }


def _sections(summary: PatientSummary, subject: str) -> tuple[list[JsonObject], list[JsonObject]]:
    sections: list[JsonObject] = []
    resources: list[JsonObject] = []
    for section in _SECTIONS:
        lines = _lines(summary, section.slot)
        made = [
            (line, content)
            for line in lines
            if (content := mapping.line_resource(line, subject)) is not None
        ]
        if not made and not section.required:
            continue
        resources += [content for _, content in made]
        sections.append(_section(summary, section, made))
    return sections, resources


def _lines(summary: PatientSummary, slot: str) -> list[Line]:
    """What a section holds: the slot's lines that stand, then what was said to be absent.

    A refuted problem is history, never an active problem.
    """
    lines = [line for line in summary.slot(slot) if line.state not in ("in-error", "superseded")]
    if slot == "problems":
        lines = [line for line in lines if line.state == "current"]
    if slot == "past-illness":
        lines += [one for one in summary.slot("problems") if one.state in ("refuted", "past")]
    known = {
        part
        for line in lines
        if line.current and slot == "allergies"
        for part in (None, *line.detail.get("categories", ()))
    }
    absences = [one for one in summary.absences if one.slot == slot and one.current]
    return lines + [one for one in absences if _part(one) not in known]


def _part(line: Line) -> str | None:
    """What a "none known" is about: a category of allergy, or the whole slot."""
    return part_of(msgspec.convert(line.detail, AbsenceAsserted))


def _section(
    summary: PatientSummary, section: _Section, made: list[tuple[Line, JsonObject]]
) -> JsonObject:
    words = [_words(line) for line, _ in made]
    content: JsonObject = {
        "title": section.title,
        "code": {
            "coding": [{"system": codes.LOINC, "code": section.code, "display": section.display}]
        },
        "text": {
            "status": "generated",
            "div": narrative.write([*_banner(summary), *words], empty=section.empty),
        },
    }
    if made:
        content["entry"] = [{"reference": mapping.in_document(line.entry_id)} for line, _ in made]
        return content
    told = bool(summary.unread) or bool(
        _lines(summary, "past-illness") and section.slot == "problems"
    )
    reason, display = ("unavailable", "Unavailable") if told else ("notasked", "Not Asked")
    content["emptyReason"] = {
        "coding": [{"system": EMPTY_REASON, "code": reason, "display": display}]
    }
    return content


def _words(line: Line) -> str:
    """One line of narrative: what it is, and whose word it is where it came from outside."""
    said = line.text
    if line.topic == ObservationRecorded.topic:
        said += f" ({french(line.as_of, line.zone)})"
    if line.source is not None and line.source.channel not in ("ui", "demo"):
        said += f" — {wording.CHANNEL.get(line.source.channel, line.source.channel)}"
    return said


def _banner(summary: PatientSummary) -> list[str]:
    return [summary.incomplete] if summary.incomplete else []


def _title(summary: PatientSummary) -> str:
    day = mapping.instant(summary.recorded_at)[:10]
    return f"Résumé du dossier au {'/'.join(reversed(day.split('-')))}"


def _author(centre: CentreEntry | None) -> JsonObject:
    if centre is not None:
        return mapping.organization(centre)
    return {"resourceType": "Organization", "id": str(_RELEVE), "active": True, "name": "Relève"}


def _entry(resource: JsonObject) -> JsonObject:
    return {"fullUrl": f"urn:uuid:{resource['id']}", "resource": resource}


def resources_of(bundle: JsonObject, *kinds: str) -> Iterable[JsonObject]:
    """The resources of these types in a Bundle of ours, in its order."""
    for entry in bundle["entry"]:
        if entry["resource"]["resourceType"] in kinds:
            yield entry["resource"]
