"""Checks of FHIR documents and International Patient Summaries that structure alone cannot make.

What R4's tables cannot see: references that lead nowhere or to the wrong kind of resource, entries
without ``fullUrl``, required IPS sections that are missing or silently empty, narrative that a
browser would run, and the invariants of Bundle, Composition, Condition and AllergyIntolerance that
are cheap to judge. Accepted here means accepted by this list of rules, nothing more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from releve.fhir import codes, narrative, r4b
from releve.fhir.bundle import BundleIndex, Entry
from releve.fhir.codes import LOINC
from releve.fhir.exact_json import JsonObject
from releve.fhir.r4b import Issue

IPS_TYPE: Final = "60591-5"
PROBLEMS, ALLERGIES, MEDICATIONS = "11450-4", "48765-2", "10160-0"
REQUIRED_SECTIONS: Final[Mapping[str, str]] = {
    PROBLEMS: "problèmes",
    ALLERGIES: "allergies",
    MEDICATIONS: "traitements",
}
_SECTION_TARGETS: Final[Mapping[str, tuple[str, ...]]] = {
    PROBLEMS: ("Condition", "DocumentReference"),
    "11348-0": ("Condition", "DocumentReference"),
    ALLERGIES: ("AllergyIntolerance", "DocumentReference"),
    MEDICATIONS: (
        "MedicationStatement",
        "MedicationRequest",
        "MedicationAdministration",
        "MedicationDispense",
        "DocumentReference",
    ),
    "8716-3": ("Observation", "DocumentReference"),
    "30954-2": ("Observation", "DiagnosticReport", "DocumentReference"),
    "47519-4": ("Procedure", "DocumentReference"),
    "46264-8": ("DeviceUseStatement", "DocumentReference"),
    "104605-1": ("Flag", "DocumentReference"),
    "47420-5": ("Condition", "ClinicalImpression", "DocumentReference"),
    "11369-6": ("Immunization", "DocumentReference"),
    "29762-2": ("Observation", "DocumentReference"),
    "10162-6": ("Observation", "DocumentReference"),
    "42348-3": ("Consent", "DocumentReference"),
    "18776-5": ("CarePlan", "ImmunizationRecommendation", "DocumentReference"),
}
"""What IPS 2.0.1 takes as entries of its sections; other sections take anything."""

_NAME_PARTS: Final = ("family", "given", "text", "_family", "_given", "_text")

REFUSING_RULES: Final = frozenset(
    {
        "structure", "resource", "full-url", "reference", "reference-target", "ips-subject",
        "bdl-7", "bdl-8", "bdl-9", "bdl-10", "bdl-11", "subject", "modifier", "withdrawn",
    }
)  # fmt: skip
"""Rules that make an import refuse; what breaks another rule is taken, with a warning."""


def check(bundle: JsonObject) -> list[Issue]:
    """Everything wrong with a document Bundle, empty when every rule here accepts it.

    Structure comes first: a resource that is not R4 is reported and not looked into further.
    """
    issues = r4b.structure(shell_of(bundle), "Bundle")
    index = BundleIndex(bundle)
    issues += entry_issues(bundle)
    sound: list[tuple[Entry, list[r4b.Node]]] = []
    for entry in index.entries:
        if entry.type in r4b.R4_ONLY or not r4b.is_resource(entry.type):
            continue
        found, nodes = r4b.judged(entry.resource, entry.path)
        issues += found
        if not found:
            sound.append((entry, nodes))
    issues += document_issues(index)
    for entry, nodes in sound:
        issues += resource_issues(index, entry, nodes)
    return issues


def shell_of(bundle: JsonObject) -> JsonObject:
    """The Bundle without its resources, which are judged one by one."""
    listed = bundle.get("entry")
    if not isinstance(listed, list):
        return bundle
    bare = [
        {key: value for key, value in one.items() if key != "resource"}
        if isinstance(one, dict)
        else one
        for one in listed
    ]
    # An entry may be nothing but its resource, and an empty object is no entry.
    return {**bundle, "entry": [one if one else {"id": "resource"} for one in bare]}


def entry_issues(bundle: JsonObject) -> list[Issue]:
    """Entries that hold no R4 resource, and fullUrls that are missing, doubled or versioned."""
    document = bundle.get("type") == "document"
    listed = bundle.get("entry")
    issues: list[Issue] = []
    seen: set[str] = set()
    for number, one in enumerate(listed if isinstance(listed, list) else ()):
        path = f"Bundle.entry[{number}]"
        if not isinstance(one, dict) or not isinstance(one.get("resource"), dict):
            issues.append(Issue(path, "entrée sans ressource", rule="resource"))
            continue
        type_name = one["resource"].get("resourceType")
        if not isinstance(type_name, str) or not r4b.is_resource(type_name):
            issues.append(
                Issue(f"{path}.resource", "type de ressource inconnu en FHIR R4", rule="resource")
            )
        url = one.get("fullUrl")
        if not isinstance(url, str):
            if document:
                issues.append(Issue(f"{path}.fullUrl", "fullUrl absent", rule="full-url"))
            continue
        if "/_history/" in url:
            issues.append(Issue(f"{path}.fullUrl", "fullUrl d'une version", rule="bdl-8"))
        if url in seen and bundle.get("type") != "history":
            issues.append(Issue(f"{path}.fullUrl", "fullUrl présent deux fois", rule="bdl-7"))
        seen.add(url)
    return issues


def document_issues(index: BundleIndex) -> list[Issue]:
    """What a document, and more so a patient summary, must have as a whole."""
    bundle = index.bundle
    if bundle.get("type") != "document":
        return []
    issues: list[Issue] = []
    if not bundle.get("identifier"):
        issues.append(Issue("Bundle.identifier", "document sans identifiant", rule="bdl-9"))
    if not bundle.get("timestamp"):
        issues.append(Issue("Bundle.timestamp", "document sans date", rule="bdl-10"))
    first = index.entries[0] if index.entries and index.entries[0].index == 0 else None
    if first is None or first.type != "Composition":
        reason = "la première entrée d'un document est sa Composition"
        return [*issues, Issue("Bundle.entry[0].resource", reason, rule="bdl-11")]
    if _has_code(first.resource.get("type"), IPS_TYPE):
        issues += _summary_issues(index, first)
    return issues


def resource_issues(
    index: BundleIndex, entry: Entry, walked: list[r4b.Node] | None = None
) -> list[Issue]:
    """References, codes, narrative and invariants of one resource that validated.

    ``walked`` are its elements, where they are at hand (:func:`releve.fhir.r4b.walk`).
    """
    nodes = r4b.walk(entry.resource, entry.type, entry.path) if walked is None else walked
    issues = list(_reference_issues(index, entry, nodes))
    issues += r4b.unknown_codes(nodes)
    issues += _narrative_issues(nodes)
    if entry.type == "AllergyIntolerance":
        issues += _allergy_issues(entry)
    elif entry.type == "Condition":
        issues += _condition_issues(entry)
    elif entry.type == "Composition":
        issues += _composition_issues(nodes)
    return issues


def _reference_issues(index: BundleIndex, entry: Entry, nodes: list[r4b.Node]) -> Iterator[Issue]:
    document = index.bundle.get("type") == "document"
    for one in index.references(entry, nodes):
        if not one.resolved and _must_resolve(one.literal, entry, document):
            yield Issue(
                one.node.path, "la référence ne mène à rien dans le fichier", rule="reference"
            )
        targets = one.node.element.targets
        open_to_all = not targets or "Resource" in targets
        if one.target_type and not open_to_all and one.target_type not in targets:
            reason = "la référence mène à une ressource d'un type qu'elle n'admet pas"
            yield Issue(one.node.path, reason, rule="reference-target")


def _must_resolve(literal: str, entry: Entry, document: bool) -> bool:
    if literal.startswith(("urn:uuid:", "urn:oid:", "#")):
        return True
    return document and entry.type == "Composition"


def _narrative_issues(nodes: list[r4b.Node]) -> Iterator[Issue]:
    for node in nodes:
        if node.element.datatype != "Narrative" or not isinstance(node.value, dict):
            continue
        if narrative.read(str(node.value.get("div", ""))).active:
            reason = "contenu actif dans le texte : retiré"
            yield Issue(f"{node.path}.div", reason, "warning", "narrative")


def _allergy_issues(entry: Entry) -> list[Issue]:
    content = entry.resource
    in_error = _verification(content, codes.ALLERGY_VERIFICATION) == "entered-in-error"
    path = f"{entry.path}.clinicalStatus"
    if in_error and content.get("clinicalStatus"):
        reason = "statut clinique donné à une allergie saisie par erreur"
        return [Issue(path, reason, "warning", "ait-2")]
    if not in_error and not content.get("clinicalStatus"):
        return [Issue(path, "allergie sans statut clinique", "warning", "ait-1")]
    return []


def _condition_issues(entry: Entry) -> list[Issue]:
    content = entry.resource
    path = f"{entry.path}.clinicalStatus"
    clinical = codes.status_of(content.get("clinicalStatus"), codes.CONDITION_CLINICAL)
    issues: list[Issue] = []
    if _verification(content, codes.CONDITION_VERIFICATION) == "entered-in-error" and clinical:
        reason = "statut clinique donné à un problème saisi par erreur"
        issues.append(Issue(path, reason, "warning", "con-5"))
    if any(key.startswith("abatement") for key in content) and clinical in (
        "active",
        "recurrence",
        "relapse",
    ):
        reason = "problème actif qui porte une date de fin"
        issues.append(Issue(path, reason, "warning", "con-4"))
    return issues


def _composition_issues(nodes: list[r4b.Node]) -> list[Issue]:
    issues: list[Issue] = []
    for node in nodes:
        if node.element.datatype != "CompositionSection":
            continue
        section: dict[str, Any] = node.value
        if not (section.get("text") or section.get("entry") or section.get("section")):
            issues.append(Issue(node.path, "section vide", "warning", "cmp-1"))
        if section.get("emptyReason") and section.get("entry"):
            reason = "section dite vide, qui a des entrées"
            issues.append(Issue(f"{node.path}.emptyReason", reason, "warning", "cmp-2"))
    return issues


def _summary_issues(index: BundleIndex, composition: Entry) -> list[Issue]:
    issues: list[Issue] = []
    subject = composition.resource.get("subject")
    literal = subject.get("reference") if isinstance(subject, dict) else None
    target = index.resolve(literal, composition) if isinstance(literal, str) else None
    if target is None and isinstance(literal, str):
        pass  # told as a reference that leads nowhere
    elif target is None or target.type != "Patient":
        reason = "le sujet du résumé n'est pas un Patient du fichier"
        issues.append(Issue(f"{composition.path}.subject", reason, rule="ips-subject"))
    else:
        issues += _patient_issues(target)
    listed = composition.resource.get("section")
    sections = [
        (f"{composition.path}.section[{number}]", one)
        for number, one in enumerate(listed if isinstance(listed, list) else ())
        if isinstance(one, dict)
    ]
    for code, name in REQUIRED_SECTIONS.items():
        if not any(_has_code(one.get("code"), code) for _, one in sections):
            reason = f"section obligatoire absente : {name} ({code})"
            issues.append(
                Issue(f"{composition.path}.section", reason, "warning", "ips-section-missing")
            )
    for path, section in sections:
        issues += _section_issues(index, composition, path, section)
    return issues


def _section_issues(
    index: BundleIndex, composition: Entry, path: str, section: JsonObject
) -> Iterator[Issue]:
    if not section.get("text"):
        yield Issue(f"{path}.text", "section sans texte", "warning", "ips-section-text")
    code = next((one for one in _SECTION_TARGETS if _has_code(section.get("code"), one)), None)
    entries = section.get("entry")
    if code in REQUIRED_SECTIONS and not entries and not section.get("emptyReason"):
        reason = "section obligatoire sans entrée et sans raison de l'être"
        yield Issue(path, reason, "warning", "ips-comp-1")
    if code is None:
        return
    for number, one in enumerate(entries if isinstance(entries, list) else ()):
        literal = one.get("reference") if isinstance(one, dict) else None
        target = index.resolve(literal, composition) if isinstance(literal, str) else None
        if target is not None and target.type not in _SECTION_TARGETS[code]:
            reason = "la section n'admet pas ce type de ressource"
            yield Issue(f"{path}.entry[{number}]", reason, rule="reference-target")


def _patient_issues(patient: Entry) -> Iterator[Issue]:
    content = patient.resource
    names = content.get("name")
    named = any(
        isinstance(one, dict) and any(one.get(key) for key in _NAME_PARTS)
        for one in (names if isinstance(names, list) else ())
    )
    if not named:
        yield Issue(f"{patient.path}.name", "patient sans nom", "warning", "ips-pat-1")
    if not content.get("birthDate") and not content.get("_birthDate"):
        reason = "ni date de naissance ni raison de son absence"
        yield Issue(f"{patient.path}.birthDate", reason, "warning", "ips-birthdate")


def _verification(content: JsonObject, system: str) -> str | None:
    return codes.status_of(content.get("verificationStatus"), system)


def _has_code(element: object, code: str) -> bool:
    codings = element.get("coding") if isinstance(element, dict) else None
    return isinstance(codings, list) and any(
        isinstance(one, dict) and one.get("code") == code and one.get("system") == LOINC
        for one in codings
    )
