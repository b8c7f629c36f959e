"""``$summary``: the record as an International Patient Summary document (IPS 2.0.1, R4).

Pure and deterministic: the same record at the same position gives the same bytes, whoever asks
and whenever. What was entered in error, refused or replaced, and refuted allergies, are left out;
past lines stay, with their status. Imported lines that no doctor has accepted are tagged and say
so. A required section never is silently empty: it holds a known-absence resource, or says why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple
from uuid import NAMESPACE_URL, UUID, uuid5

from releve.domain.aggregates.patient.observations import ObservationRecorded
from releve.domain.values import Coding
from releve.fhir import (
    codes,
    exact_json,
    follow_up_resources,
    mapping,
    narrative,
    people,
    result_resources,
)
from releve.fhir.exact_json import JsonObject
from releve.fhir.resource_writing import in_document, instant, provenance_words
from releve.projections.dates import french
from releve.projections.directory import CentreEntry, Directory
from releve.projections.patient_summary import Line, PatientSummary, Result

_GONE: Final = frozenset({"in-error", "superseded", "refused"})
EMPTY_REASON: Final = "http://terminology.hl7.org/CodeSystem/list-empty-reason"

_RELEVE: Final = uuid5(NAMESPACE_URL, "urn:releve:author")
"""The author of a summary whose centre is not known."""


class _Section(NamedTuple):
    slot: str
    code: str
    display: str
    """LOINC's own name of the code; empty where we have not seen it."""
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
    _Section(
        "procedures", "47519-4", "History of Procedures Document",
        "Antécédents chirurgicaux et actes", False, "",
    ),
    _Section(
        "devices", "46264-8", "History of medical device use", "Dispositifs", False, "",
    ),
    _Section("vigilance", "104605-1", "", "Points de vigilance", False, ""),
    _Section(
        "functional-status", "47420-5", "Functional status assessment note", "Statut fonctionnel",
        False, "",
    ),
    _Section(
        "immunizations", "11369-6", "History of Immunization note", "Vaccinations", False, "",
    ),
    _Section("vital-signs", "8716-3", "Vital signs note", "Constantes", False, ""),
    _Section(
        "results", "30954-2", "Relevant diagnostic tests/laboratory data note", "Résultats", False,
        "",
    ),
    _Section("social", "29762-2", "Social history note", "Mode de vie et travail", False, ""),
    _Section(
        "family-history", "10157-6", "History of family member diseases note",
        "Antécédents familiaux", False, "",
    ),
    _Section(
        "adverse-reactions", "44939-7", "", "Effets indésirables", False, "",
    ),
    _Section("documents", "55107-7", "", "Documents", False, ""),
)  # fmt: skip


def summary_document(summary: PatientSummary, directory: Directory) -> bytes:
    """The patient summary as the bytes of a document Bundle.

    ``directory`` names the centre that answers for the record (the declared médecin traitant, else
    the first centre that wrote on it): custodian and author of the document.
    """
    return exact_json.dump(document(summary, custodian_of(summary, directory)))


def everything_bundle(summary: PatientSummary, directory: Directory) -> bytes:
    """Everything of the record that has a resource, errors included, as a collection Bundle."""
    centre = custodian_of(summary, directory)
    subject = in_document(summary.patient)
    resources = [people.patient(summary, centre, in_document)]
    resources += [people.organization(centre)] if centre else []
    for line in [*summary.lines, *summary.absences]:
        resources += mapping.line_resources(line, subject)
    resources += _done(summary, subject)
    held = frozenset(UUID(one["id"]) for one in resources)
    resources += _going_on(summary, subject, held, _names(directory))
    bundle: JsonObject = {
        "resourceType": "Bundle",
        "type": "collection",
        "timestamp": instant(summary.recorded_at),
        "entry": [_entry(one) for one in resources],
    }
    return exact_json.dump(bundle)


def _names(directory: Directory) -> Callable[[UUID], str | None]:
    def name(person: UUID) -> str | None:
        found = directory.practitioners.get(person)
        return found.full_name if found is not None else None

    return name


def _done(summary: PatientSummary, subject: str) -> Iterable[JsonObject]:
    """Consultations, orders, and results with their values."""
    values = _values(summary)
    for line in summary.encounters:
        yield follow_up_resources.encounter(line, subject)
    for result in summary.results:
        yield from follow_up_resources.order(result, subject)
        ordered = result.order.entry_id if result.order is not None else None
        for version in result.versions:
            if version is result.received or not version.current:
                given = values.pop(version.entry_id, ())
                yield from result_resources.report(result, version, given, subject, ordered)
    for lines in values.values():
        yield from (result_resources.lone_value(line, subject) for line in lines)


def _going_on(
    summary: PatientSummary,
    subject: str,
    held: frozenset[UUID],
    name: Callable[[UUID], str | None],
) -> Iterable[JsonObject]:
    """Contacts, items, questions, appointments, ALD; ``held`` is what they may refer to."""
    made = follow_up_resources
    for result in summary.results:
        yield from made.contacts(result, subject, held)
    for item in summary.items:
        yield made.task(item, subject, held, name)
    for question in summary.questions:
        yield from made.question(question, subject, held)
    for line in summary.opinions:
        yield made.opinion(line, subject, held)
    for line in summary.appointments:
        yield made.appointment(line, subject)
    last_of_each = {line.detail.get("code"): line for line in _by_recency(summary.ald)}
    for line in last_of_each.values():
        yield from made.ald(line, subject)


def _by_recency(lines: Iterable[Line]) -> list[Line]:
    return sorted((line for line in lines if line.current), key=lambda line: line.recency)


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
    subject = in_document(summary.patient)
    composed = instant(summary.recorded_at)
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
        "author": [{"reference": in_document(UUID(author["id"]))}],
        "title": " — ".join([_title(summary), *_banner(summary)]),
        "custodian": {"reference": in_document(UUID(author["id"]))},
        "section": sections,
    }
    resources = [people.patient(summary, centre, in_document), author, *resources]
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


class _Made(NamedTuple):
    """One entry of a section: the words of its narrative, its resource and what that needs."""

    words: str
    resources: list[JsonObject]


def _sections(summary: PatientSummary, subject: str) -> tuple[list[JsonObject], list[JsonObject]]:
    sections: list[JsonObject] = []
    resources: list[JsonObject] = []
    for section in _SECTIONS:
        made = [
            _Made(_words(line), content)
            for slot in _SLOTS_OF.get(section.slot, (section.slot,))
            for line in _lines(summary, slot)
            if (content := mapping.line_resources(line, subject))
        ]
        if section.slot == "results":
            made = [*_reports(summary, subject), *made]
        if not made and not section.required:
            continue
        for one in made:
            resources += one.resources
        sections.append(_section(summary, section, made))
    return sections, resources


_SLOTS_OF: Final = {"social": ("lifestyle", "occupation")}


def _reports(summary: PatientSummary, subject: str) -> list[_Made]:
    """The results received, newest first, then values whose report was settled long ago.

    What was replaced or entered in error is left out.
    """
    values = _values(summary)
    received = [
        (result, result.received) for result in summary.results if result.received is not None
    ]
    received.sort(key=lambda each: each[1].recency, reverse=True)
    made = [
        _Made(
            _report_words(result, line),
            result_resources.report(result, line, values.pop(line.entry_id, ()), subject),
        )
        for result, line in received
    ]
    return made + [
        _Made(_words(line), [result_resources.lone_value(line, subject)])
        for lines in values.values()
        for line in lines
    ]


def _values(summary: PatientSummary) -> dict[UUID, list[Line]]:
    """The values of results that stand, by the entry of their report."""
    found: dict[UUID, list[Line]] = {}
    for line in summary.slot("results"):
        if line.ordinal is not None and line.state not in _GONE:
            found.setdefault(line.entry_id, []).append(line)
    return found


def _report_words(result: Result, line: Line) -> str:
    """A result in one line: what it is called, where it stands, its values, its day."""
    said = f"{line.text} ({_day(line)})"
    source = provenance_words(line) if result.validation == "to-validate" else ""
    return f"{said} — {source}" if source else said


def _lines(summary: PatientSummary, slot: str) -> list[Line]:
    """What a section holds: the slot's lines that stand, then what was said to be absent.

    A refuted problem is history, never an active problem; a refuted allergy and a vigilance point
    that was lifted are told to nobody.
    """
    lines = [line for line in summary.slot(slot) if line.state not in _GONE]
    if slot == "allergies":
        lines = [line for line in lines if line.state != "refuted"]
    if slot == "vigilance":
        lines = [line for line in lines if line.current]
    if slot == "problems":
        lines = [line for line in lines if line.state == "current"]
    if slot == "past-illness":
        lines += [one for one in summary.slot("problems") if one.state in ("refuted", "past")]
    return lines + summary.absences_in_force(slot)


def _section(summary: PatientSummary, section: _Section, made: list[_Made]) -> JsonObject:
    coded = Coding(system=codes.LOINC, code=section.code, display=section.display)
    content: JsonObject = {
        "title": section.title,
        "code": {"coding": [codes.coding_of(coded)]},
        "text": {
            "status": "generated",
            "div": narrative.write(
                [*_banner(summary), *(one.words for one in made)], empty=section.empty
            ),
        },
    }
    if made:
        content["entry"] = [{"reference": f"urn:uuid:{one.resources[0]['id']}"} for one in made]
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
        said += f" ({_day(line)})"
    source = provenance_words(line)
    return f"{said} — {source}" if source else said


def _day(line: Line) -> str:
    return french(line.as_of, line.zone)


def _banner(summary: PatientSummary) -> list[str]:
    return [summary.incomplete] if summary.incomplete else []


def _title(summary: PatientSummary) -> str:
    day = instant(summary.recorded_at)[:10]
    return f"Résumé du dossier au {'/'.join(reversed(day.split('-')))}"


def _author(centre: CentreEntry | None) -> JsonObject:
    if centre is not None:
        return people.organization(centre)
    return {"resourceType": "Organization", "id": str(_RELEVE), "active": True, "name": "Relève"}


def _entry(resource: JsonObject) -> JsonObject:
    return {"fullUrl": f"urn:uuid:{resource['id']}", "resource": resource}
