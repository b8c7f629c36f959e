"""From the bytes of one FHIR Bundle to what would be written on a record: a plan, no effect.

:func:`plan` judges a file as a whole: it gives the patient with identity, coded lines and
everything that found no place, or the reasons why the file is refused, each with its FHIRPath.
``fhir/import_files.py`` carries a plan out.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from releve.domain.aggregates.patient.allergies import AbsenceAsserted, AllergyRecorded, contradicts
from releve.domain.commands import ImportedDocument, ImportedEntry, RegisterPatient
from releve.domain.values import Identifier, Sex, Unmapped
from releve.fhir import exact_json, ips_checker, r4b, reading_results
from releve.fhir.bundle import BundleIndex, Entry
from releve.fhir.codes import ANY_URI
from releve.fhir.exact_json import JsonObject, NotReadable
from releve.fhir.lone_values import SUMMARIES
from releve.fhir.r4b import Issue
from releve.fhir.reading import MEDICATION_LINES, read
from releve.fhir.resource_reading import Reading

ACCEPTED_TYPES: Final = ("document", "transaction", "batch", "collection", "searchset")
"""Bundle types that may be imported; the others carry answers, versions or messages."""

MAPPED_TYPES: Final = (
    "Condition", "AllergyIntolerance", "Observation", "DiagnosticReport", "Immunization",
    "Procedure", "DeviceUseStatement", "FamilyMemberHistory", *MEDICATION_LINES,
)  # fmt: skip
_ABOUT: Final[Mapping[str, str]] = {
    "AllergyIntolerance": "patient",
    "Immunization": "patient",
    "FamilyMemberHistory": "patient",
    "Device": "patient",
}
"""The element that names the patient, where R4 does not call it ``subject``."""
_ABOUT_ANYBODY: Final = ("Observation", "DiagnosticReport", "MedicationDispense")
"""Types that R4 allows to be about nobody."""
_WHOLE: Final = frozenset({"bdl-9", "bdl-10", "bdl-11", "withdrawn"})
_ENTRY: Final = re.compile(r"Bundle\.entry\[(\d+)\]")
_SEXES: Final[Mapping[str, Sex]] = {
    "male": "male",
    "female": "female",
    "other": "other",
    "unknown": "unknown",
}
_TRAITS: Final = frozenset({"identifier", "name", "gender", "birthDate"})
_NOT_PERSONAL: Final = frozenset({"NH", "SN", "MB", "AN", "VN"})
"""Types (v2-0203) of numbers that a family or a stay shares: insurance, membership, account, visit.

A child is insured under a parent's number: it names no patient.
"""


@dataclass(frozen=True, slots=True)
class PatientPlan:
    """What one Bundle says of one patient, as the commands it becomes."""

    path: str
    registration: RegisterPatient
    entries: tuple[ImportedEntry, ...]
    entry_paths: tuple[str, ...]
    """FHIRPath of each entry, in the same order."""
    document: ImportedDocument
    system: str | None
    """What the source calls itself: an identifier system, or nothing."""

    @property
    def identifiers(self) -> tuple[Identifier, ...]:
        """The identifiers that name this patient and nobody else."""
        return tuple(one for one in self.registration.identifiers if one.use != "old")


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """What importing one file would do. ``patients`` is empty exactly when nothing can be taken."""

    sha256: str
    size: int
    is_bundle: bool
    patients: tuple[PatientPlan, ...] = ()
    rejected: tuple[Issue, ...] = ()
    unmapped: tuple[Unmapped, ...] = ()
    warnings: tuple[Issue, ...] = ()


def plan(raw: bytes, *, keep_going: bool = False) -> ImportPlan:
    """Judge the bytes of a file; never raises for what they hold.

    One bad part refuses the whole file. With ``keep_going`` the good parts are planned and the
    bad ones stay under ``rejected``; a Bundle that is bad as a whole is refused either way.
    """
    sha256 = hashlib.sha256(raw).hexdigest()
    try:
        bundle = exact_json.parse(raw)
    except NotReadable as error:
        return ImportPlan(sha256, len(raw), False, rejected=(Issue("Bundle", error.reason),))
    if bundle.get("resourceType") != "Bundle":
        refusal = Issue("Bundle", "le fichier n'est pas un Bundle FHIR")
        return ImportPlan(sha256, len(raw), False, rejected=(refusal,))
    return _Planner(bundle, sha256, len(raw), keep_going).plan()


class _Planner:
    """One pass over one Bundle."""

    def __init__(self, bundle: JsonObject, sha256: str, size: int, keep_going: bool) -> None:
        self.bundle = bundle
        self.sha256 = sha256
        self.size = size
        self.keep_going = keep_going
        self.whole = self.index = BundleIndex(bundle)
        self.rejected: list[Issue] = []
        self.warnings: list[Issue] = []
        self.bad: set[int] = set()

    def plan(self) -> ImportPlan:
        self._judge(r4b.structure(ips_checker.shell_of(self.bundle), "Bundle"))
        self._judge(self._type_issues())
        if self._refused_as_a_whole():
            return self._refusal()
        self._judge(ips_checker.entry_issues(self.bundle))
        for entry in self.index.entries:
            if entry.type in r4b.R4_ONLY:
                reason = "type de R4 que rien ici ne sait vérifier : gardé tel quel"
                self.warnings.append(Issue(entry.path, reason, "warning", "r4-only"))
            elif entry.index not in self.bad:
                self._judge(r4b.structure(entry.resource, entry.path))
        self._judge(ips_checker.document_issues(self.index))
        self._judge(self._withdrawn())
        for entry in self.index.entries:
            if entry.index not in self.bad:
                self._judge(ips_checker.resource_issues(self.index, entry))
                self._judge(_modifier_issues(entry))
        if self._refused_as_a_whole() or (self.rejected and not self.keep_going):
            return self._refusal()
        # From here on, what is read is R4: bad parts count as not there.
        self.index = BundleIndex(self.bundle, frozenset(self.bad))
        lines = self._lines()
        patient = self._patient(lines)
        if self.rejected and not self.keep_going:
            return self._refusal()
        if patient is None:
            return self._refusal()
        return self._accepted(patient, lines)

    def _judge(self, issues: Iterable[Issue]) -> None:
        """File what was found: refused parts apart from what is taken with a warning."""
        for issue in issues:
            if issue.rule not in ips_checker.REFUSING_RULES:
                self.warnings.append(issue._replace(severity="warning"))
                continue
            self.rejected.append(issue)
            at = _ENTRY.match(issue.path)
            if at:
                self.bad.add(int(at[1]))

    def _refused_as_a_whole(self) -> bool:
        return any(not _ENTRY.match(one.path) or one.rule in _WHOLE for one in self.rejected)

    def _refusal(self) -> ImportPlan:
        rejected = tuple(dict.fromkeys(self.rejected))
        if not rejected:
            rejected = (Issue("Bundle.entry", "aucun patient dans le fichier", rule="subject"),)
        return ImportPlan(self.sha256, self.size, True, rejected=rejected)

    def _type_issues(self) -> list[Issue]:
        if self.bundle.get("type") not in ACCEPTED_TYPES:
            return [Issue("Bundle.type", "ce type de Bundle ne s'importe pas")]
        listed = self.bundle.get("entry")
        issues = []
        for number, one in enumerate(listed if isinstance(listed, list) else ()):
            request = one.get("request") if isinstance(one, dict) else None
            method = request.get("method") if isinstance(request, dict) else "POST"
            if method not in ("POST", "PUT"):
                path = f"Bundle.entry[{number}].request.method"
                issues.append(Issue(path, "seules des créations s'importent"))
        return issues

    def _withdrawn(self) -> list[Issue]:
        """A document that its own author took back."""
        return [
            Issue(f"{one.path}.status", "document déclaré saisi par erreur", rule="withdrawn")
            for one in self.index.of_type("Composition")[:1]
            if one.resource.get("status") == "entered-in-error"
        ]

    def _lines(self) -> list[tuple[Reading, Entry | None]]:
        """Every good resource as read, with the patient it is about (``None``: about nobody)."""
        lines: list[tuple[Reading, Entry | None]] = []
        held = self._held()
        samples = self._samples(held)
        held |= {one.index for values in samples.values() for one in values} - samples.keys()
        for entry in self.index.entries:
            if entry.type == "Patient":
                continue
            if entry.type not in MAPPED_TYPES and not _worn(entry):
                lines.append((read(self.index, entry), None))
                continue
            patient, issue = self._subject(entry)
            issue = issue or self._medication_issue(entry)
            if issue is not None:
                self._judge([issue])
            elif patient is None:
                path, reason = f"{entry.path}.subject", "mesure qui n'est pas celle d'un patient"
                self.warnings.append(Issue(path, reason, "warning", "subject"))
                listed = [Unmapped(path=entry.path, type=entry.type)]
                lines.append((Reading(entry, unmapped=listed), None))
            elif entry.index in held:
                lines.append((Reading(entry), patient))
            elif entry.index in samples:
                values = samples[entry.index]
                lines.append((reading_results.read_sample(self.index, entry, values), patient))
            else:
                lines.append((read(self.index, entry), patient))
        return lines

    def _held(self) -> set[int]:
        """Places of what another resource speaks for: a report's observations, a device in use."""
        used = {
            device.index
            for entry in self.index.of_type("DeviceUseStatement")
            if (device := self.index.resolve(_device_of(entry), entry)) is not None
        }
        return used | {
            member.index
            for entry in self.index.of_type("DiagnosticReport", "Observation")
            if reading_results.speaks_for_others(entry) and self._subject(entry)[0] is not None
            for member in reading_results.members(self.index, entry)
        }

    def _samples(self, held: set[int]) -> dict[int, list[Entry]]:
        """The laboratory's values that nothing speaks for, as results (``reading_results``)."""
        in_summary, written_at = self._kind() in SUMMARIES, self._written_at()
        lone: dict[int, list[Entry]] = {}
        for entry in self.index.of_type("Observation"):
            if entry.index in held or not reading_results.is_lone_value(entry.resource):
                continue
            if in_summary and not reading_results.is_news_in_a_summary(entry, written_at):
                continue
            patient, issue = self._subject(entry)
            if patient is not None and issue is None:
                lone.setdefault(patient.index, []).append(entry)
        return {
            leader: values
            for of_one in lone.values()
            for leader, values in reading_results.samples(of_one).items()
        }

    def _subject(self, entry: Entry) -> tuple[Entry | None, Issue | None]:
        key = _ABOUT.get(entry.type, "subject")
        path = f"{entry.path}.{key}"
        reference = entry.resource.get(key)
        if reference is None and entry.type in _ABOUT_ANYBODY:
            return None, None
        literal = (reference or {}).get("reference", "")
        target = self.index.resolve(literal, entry) if literal else self._by_identifier(reference)
        if target is None:
            reason = "le patient désigné n'est pas dans le fichier, ou y est refusé"
            return None, Issue(path, reason, rule="subject")
        return (target, None) if target.type == "Patient" else (None, None)

    def _medication_issue(self, entry: Entry) -> Issue | None:
        """Why a treatment has no name: the Medication that it refers to is itself refused."""
        literal = entry.resource.get("medicationReference", {}).get("reference")
        target = self.whole.resolve(literal, entry) if literal else None
        if target is None or target.index not in self.bad:
            return None
        return Issue(f"{entry.path}.medication", "le médicament désigné est refusé", rule="subject")

    def _by_identifier(self, reference: JsonObject | None) -> Entry | None:
        named = (reference or {}).get("identifier", {})
        for patient in self.index.of_type("Patient"):
            for one in patient.resource.get("identifier", ()):
                if one.get("value") and all(
                    one.get(part) == named.get(part) for part in ("system", "value")
                ):
                    return patient
        return None

    def _patient(self, lines: list[tuple[Reading, Entry | None]]) -> Entry | None:
        """The one patient that the file is about."""
        patients = self.index.of_type("Patient")
        spoken_of = {one.index for _, one in lines if one is not None}
        about = [one for one in patients if one.index in spoken_of] or patients[:1]
        for composition in self.index.of_type("Composition")[:1]:
            literal = composition.resource.get("subject", {}).get("reference")
            named = self.index.resolve(literal, composition) if literal else None
            about = [one for one in patients if one == named] + [
                one for one in about if one != named
            ]
        for one in about[1:]:
            # The original is sealed under one patient's key: it may not hold another's record.
            reason = "un deuxième patient : un fichier par patient"
            self._judge([Issue(one.path, reason, rule="subject")])
        return about[0] if about else None

    def _accepted(self, patient: Entry, lines: list[tuple[Reading, Entry | None]]) -> ImportPlan:
        registration, unmapped, warnings = _registration(patient)
        readings = [reading for reading, about in lines if about in (None, patient)]
        readings = self._without_contradictions(readings)
        taken = {one.index for reading in readings for one in reading.taken_over}
        listed: list[Unmapped] = list(unmapped)
        listed += [
            Unmapped(path=other.path, type="Patient")
            for other in self.index.of_type("Patient")
            if other != patient
        ]
        for reading in readings:
            if reading.entry.index not in taken:
                listed += reading.unmapped
            self.warnings += reading.warnings
        self.warnings += warnings
        fallback = self._written_at()
        entries = [
            (
                ImportedEntry(
                    payload=payload,
                    occurred_at=reading.occurred_at or fallback,
                    source_id=reading.source_id,
                    author=reading.author,
                ),
                path,
            )
            for reading in readings
            if reading.payload is not None
            for path, payload in ((reading.entry.path, reading.payload), *reading.further)
        ]
        told = tuple(dict.fromkeys(self.warnings))
        places = tuple(sorted(dict.fromkeys(listed), key=_order))
        document = ImportedDocument(
            sha256=self.sha256,
            size=self.size,
            title=self._title(),
            kind=self._kind(),
            source_id=self._bundle_name(),
            unmapped=places,
            warnings=tuple(f"{one.path} : {one.reason}" for one in told),
        )
        made = PatientPlan(
            path=patient.path,
            registration=registration,
            entries=tuple(entry for entry, _ in entries),
            entry_paths=tuple(path for _, path in entries),
            document=document,
            system=self._system(patient),
        )
        rejected = tuple(dict.fromkeys(self.rejected))
        return ImportPlan(self.sha256, self.size, True, (made,), rejected, places, told)

    def _without_contradictions(self, readings: list[Reading]) -> list[Reading]:
        """An absence gives way to a current allergy of its scope: the danger is what is kept."""
        allergies = [one.payload for one in readings if isinstance(one.payload, AllergyRecorded)]
        kept: list[Reading] = []
        for one in readings:
            absence = one.payload
            if isinstance(absence, AbsenceAsserted) and any(
                contradicts(allergy, absence) for allergy in allergies
            ):
                reason = (
                    "absence contredite par une allergie du même fichier : elle n'est pas notée"
                )
                one.warn(one.entry.path, reason, "absence")
                one.payload = None
            kept.append(one)
        return kept

    def _written_at(self) -> str | None:
        composition = self.index.of_type("Composition")[:1]
        written: str | None = composition[0].resource.get("date") if composition else None
        return written or self.bundle.get("timestamp")

    def _title(self) -> str:
        composition = self.index.of_type("Composition")[:1]
        title: str | None = composition[0].resource.get("title") if composition else None
        return title or "Bundle FHIR"

    def _kind(self) -> str | None:
        for composition in self.index.of_type("Composition")[:1]:
            for one in composition.resource.get("type", {}).get("coding", ()):
                if one.get("system") == "http://loinc.org" and one.get("code"):
                    return str(one["code"])
        return None

    def _bundle_name(self) -> str | None:
        identifier = self.bundle.get("identifier")
        if identifier and identifier.get("value"):
            return f"{identifier.get('system', '')}|{identifier['value']}"
        identity = self.bundle.get("id")
        return f"Bundle/{identity}" if identity else None

    def _system(self, patient: Entry) -> str | None:
        source = self.bundle.get("meta", {}).get("source")
        if source:
            return str(source)
        identifier = self.bundle.get("identifier", {})
        if identifier.get("system", ANY_URI) != ANY_URI:
            return str(identifier["system"])
        for composition in self.index.of_type("Composition")[:1]:
            literal = composition.resource.get("custodian", {}).get("reference", "")
            custodian = self.index.resolve(literal, composition)
            for one in custodian.resource.get("identifier", ()) if custodian else ():
                if one.get("value"):
                    return f"{one.get('system', '')}|{one['value']}"
        for one in patient.resource.get("identifier", ()):
            if one.get("system"):
                return str(one["system"])
        return None


def _device_of(entry: Entry) -> str:
    return str(entry.resource.get("device", {}).get("reference", ""))


def _worn(entry: Entry) -> bool:
    """Whether a Device says itself whose it is; others are read through their use."""
    return entry.type == "Device" and bool(entry.resource.get("patient"))


def _modifier_issues(entry: Entry) -> list[Issue]:
    """What turns a resource that is read into something else, and that nothing here can honour."""
    if entry.type not in (*MAPPED_TYPES, "Patient", "Medication", "Device"):
        return []
    if "implicitRules" in entry.resource:
        reason = "règles implicites inconnues"
        return [Issue(f"{entry.path}.implicitRules", reason, rule="modifier")]
    reason = "extension inconnue qui change le sens"
    return [
        Issue(node.path, reason, rule="modifier")
        for node in r4b.walk(entry.resource, entry.type, entry.path)
        if node.key == "modifierExtension"
    ]


def _order(one: Unmapped) -> tuple[int, str]:
    at = _ENTRY.match(one.path)
    return (int(at[1]) if at else -1, one.path)


def _registration(patient: Entry) -> tuple[RegisterPatient, list[Unmapped], list[Issue]]:
    """The traits that a Patient gives; what the identity has no place for is listed."""
    content = patient.resource
    reading = Reading(patient)
    taken = set(_TRAITS)
    if content.get("active") is True:
        taken.add("active")
    reading.leave(content, taken)
    if content.get("deceasedBoolean") or content.get("deceasedDateTime"):
        reason = "décès noté dans la source : il n'est pas repris"
        reading.warn(f"{patient.path}.deceased", reason, "deceased")
    if content.get("link"):
        reason = "lien vers un autre dossier de la source : il n'est pas repris"
        reading.warn(f"{patient.path}.link", reason, "link")
    identifiers = []
    for number, one in enumerate(content.get("identifier", ())):
        if one.get("system") and one.get("value") and not _shared(one):
            identifiers.append(
                Identifier(system=one["system"], value=one["value"], use=one.get("use"))
            )
        else:
            where = f"{patient.path}.identifier[{number}]"
            reading.unmapped.append(Unmapped(path=where, type="Identifier"))
    names = list(enumerate(content.get("name", ())))
    maiden = _name(names, "maiden")
    main = _name(names, "official", "usual", None)
    usual = _name(names, "usual")
    if usual[0] is None:
        usual = main
    used = {number for number, _ in (maiden, main, usual) if number is not None}
    for number, one in names:
        where = f"{patient.path}.name[{number}]"
        if number not in used:
            reading.unmapped.append(Unmapped(path=where, type="HumanName"))
        else:
            reading.leave(one, {"use", "family", "given", "text"}, of="HumanName", path=where)
    family = _family(main[1])
    birth_name = _family(maiden[1]) or family
    used_name = _family(usual[1])
    first_names = _given(main[1]) or _given(maiden[1])
    used_first = next(iter(_given(usual[1])), None)
    registration = RegisterPatient(
        birth_name=birth_name,
        first_names=first_names,
        used_name=used_name if used_name != birth_name else None,
        used_first_name=used_first if used_first not in first_names[:1] else None,
        birth_date=content.get("birthDate"),
        sex=_SEXES.get(content.get("gender", "")),
        identifiers=tuple(identifiers),
        prior_search="blind-index" if identifiers else "none",
    )
    return registration, reading.unmapped, reading.warnings


def _shared(identifier: JsonObject) -> bool:
    codings = identifier.get("type", {}).get("coding", ())
    return any(one.get("code") in _NOT_PERSONAL for one in codings)


def _name(names: list[tuple[int, JsonObject]], *uses: str | None) -> tuple[int | None, JsonObject]:
    """The first name of the first of these uses; an empty name without a number if none."""
    for use in uses:
        for number, one in names:
            if one.get("use") == use:
                return number, one
    if None in uses and names:
        rest = [(n, one) for n, one in names if one.get("use") not in ("old", "maiden")]
        return rest[0] if rest else names[0]
    return None, {}


def _given(name: JsonObject) -> tuple[str, ...]:
    return tuple(one for one in name.get("given", ()) if one)


def _family(name: JsonObject) -> str | None:
    family: str | None = name.get("family")
    return family or (name.get("text") if not name.get("given") else None)
