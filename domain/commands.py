"""What may be asked of the record: one frozen structure per command, data only.

The same names serve ``POST /api/v1/patients/{id}/<name>``, ``releve command <name>`` and the
forms. Dates and decimals are strings as typed; who asks, when and on which screen stand in
:class:`~releve.domain.continuity.CommandContext`. Whether a command is allowed is decided by the
aggregate it is addressed to, never here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Literal
from uuid import UUID

import msgspec

from releve.domain.errors import Invalid
from releve.domain.events import Payload, Role
from releve.domain.values import (
    AbsenceSlot,
    Component,
    Concept,
    Identifier,
    IdentityStatus,
    ItemKind,
    Mode,
    NamedPerson,
    Owner,
    Quantity,
    Reaction,
    Severity,
    Sex,
    StintMode,
    Threshold,
    Unmapped,
)

Target = Literal["patient", "centre", "practitioner", "stint"]

DOCTORS: frozenset[Role] = frozenset({"doctor", "referent"})
CLINICIANS: frozenset[Role] = frozenset({"doctor", "referent", "intern", "nurse"})
PRESCRIBERS: frozenset[Role] = frozenset({"doctor", "referent", "intern"})
TEAM: frozenset[Role] = CLINICIANS | {"coordinator", "secretary"}
OFFICE: frozenset[Role] = frozenset({"coordinator", "administrator", "system"})


class Command(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """A wish: in the imperative, addressed to one aggregate, refused or told as events."""

    name: ClassVar[str]
    occurred_at: str | None = None
    """Clinical time where it is not now: RFC 3339 with offset, or a partial date."""
    late_reason: str | None = None
    """Why it is written after the stint that it happened in."""


# Patient: identity


class RegisterPatient(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Open an identity with the traits known; a search for the same person came first."""

    name: ClassVar[str] = "register-patient"

    birth_name: str | None = None
    first_names: tuple[str, ...] = ()
    used_name: str | None = None
    used_first_name: str | None = None
    birth_date: str | None = None
    sex: Sex | None = None
    birth_place: str | None = None
    identifiers: tuple[Identifier, ...] = ()
    identity_status: IdentityStatus = "provisoire"
    prior_search: str | None = None


class DeclareMedecinTraitant(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Record that the patient declared the centre, or a person, as médecin traitant."""

    name: ClassVar[str] = "declare-medecin-traitant"

    kind: Literal["centre", "person"] = "centre"
    since: str
    centre: UUID | None = None
    finess: str | None = None
    practitioner: UUID | None = None
    practitioner_name: str | None = None


# Patient: clinical


class SignNote(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Sign a note outside a consultation: evening typing, a letter, a phone call."""

    name: ClassVar[str] = "sign-note"

    one_liner: str = ""
    subjective: str = ""
    objective: str = ""
    assessment: str = ""
    plan: str = ""

    encounter_id: UUID | None = None


class AmendNote(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Add to a signed note, or replace its text; the first text stays readable."""

    name: ClassVar[str] = "amend-note"

    one_liner: str = ""
    subjective: str = ""
    objective: str = ""
    assessment: str = ""
    plan: str = ""

    note: UUID
    reason: str
    kind: Literal["addendum", "replacement"] = "addendum"
    text: str = ""


class RecordObservation(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Record one measure."""

    name: ClassVar[str] = "record-observation"

    code: Concept
    value: Quantity | None = None
    components: tuple[Component, ...] = ()
    method: str | None = None
    interpretation: str | None = None
    confirmed: bool = False
    """The author saw that the value is outside its usual range and confirms it."""


class RecordProblem(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Record one problem."""

    name: ClassVar[str] = "record-problem"

    concept: Concept
    clinical_status: str | None = "active"
    verification: str | None = "confirmed"
    onset: str | None = None
    abatement: str | None = None
    severity: str | None = None
    laterality: str | None = None


class RecordAllergy(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Record one allergy or intolerance."""

    name: ClassVar[str] = "record-allergy"

    substance: Concept
    clinical_status: str | None = "active"
    verification: str | None = "confirmed"
    kind: str | None = None
    categories: tuple[str, ...] = ()
    criticality: str | None = None
    onset: str | None = None
    reactions: tuple[Reaction, ...] = ()


class AssertAbsence(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Record that it was asked, and none is known."""

    name: ClassVar[str] = "assert-absence"

    slot: AbsenceSlot
    part: str | None = None
    asked_on: str | None = None


class StartMedication(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Record one treatment line."""

    name: ClassVar[str] = "start-medication"

    concept: Concept
    start: str | None = None
    end: str | None = None
    dose_text: str | None = None
    dose: Quantity | None = None
    route: Concept | None = None
    frequency: str | None = None
    indication: str | None = None


class SetIllnessSeverity(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Say how ill the patient is; ``reason`` is required unless stable."""

    name: ClassVar[str] = "set-illness-severity"

    severity: Severity
    reason: str = ""
    review_by: str | None = None


class AttachDocument(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Attach an original, named by its SHA-256; its bytes travel beside the command."""

    name: ClassVar[str] = "attach-document"

    sha256: str
    size: int
    media_type: str
    title: str = ""
    kind: str | None = None


# Patient: continuity


class OpenItem(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Open an item: something must still happen, and somebody answers for it."""

    name: ClassVar[str] = "open-item"

    kind: ItemKind
    text: str
    owner: Owner = Owner()
    due: str | None = None
    no_deadline: bool = False
    harm_if_late: bool = False
    done_when: str | None = None


class CloseItem(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Close an item, with what shows that it is done or no longer needed."""

    name: ClassVar[str] = "close-item"

    item: UUID
    outcome: Literal["done", "not-needed", "transferred"] = "done"
    evidence: str


class SetContingency(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Write what to do if something happens."""

    name: ClassVar[str] = "set-contingency"

    condition: str
    action: str
    threshold: Threshold | None = None
    who: str | None = None
    valid_until: str | None = None


class RecordConsultation(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Record a consultation with everything it produced, in one append."""

    name: ClassVar[str] = "record-consultation"

    mode: Mode = "cabinet"
    reason: str = ""
    site: str | None = None
    note: SignNote | None = None
    observations: tuple[RecordObservation, ...] = ()
    problems: tuple[RecordProblem, ...] = ()
    allergies: tuple[RecordAllergy, ...] = ()
    absences: tuple[AssertAbsence, ...] = ()
    medications: tuple[StartMedication, ...] = ()
    severity: SetIllnessSeverity | None = None
    items: tuple[OpenItem, ...] = ()
    contingencies: tuple[SetContingency, ...] = ()


class WriteHandover(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Hand one patient over (I-PASS); new items and contingencies may come with it."""

    name: ClassVar[str] = "write-handover"

    severity: Severity
    severity_reason: str = ""
    review_by: str | None = None
    summary: str
    actions: tuple[str, ...] = ()
    situation: str = ""
    items: tuple[UUID, ...] = ()
    contingencies: tuple[UUID, ...] = ()
    new_items: tuple[OpenItem, ...] = ()
    new_contingencies: tuple[SetContingency, ...] = ()
    read_back_requested: bool = False


class ReadBackHandover(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Answer a handover: what is done first in one's own words, a question, or taking it on."""

    name: ClassVar[str] = "read-back-handover"

    handover: UUID
    kind: Literal["restatement", "question", "takes", "continuation"]
    text: str = ""


class MarkEntryInError(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Take an entry out of every current view; it stays in the timeline, with the reason."""

    name: ClassVar[str] = "mark-entry-in-error"

    entry: UUID
    reason: str
    harm: bool = False


# Patient: import (spoken by the importer, not by a door)


class ImportedEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One coded line of a source, as the payload it becomes."""

    payload: Payload
    occurred_at: str | None = None
    source_id: str | None = None
    """What the line is called in its source, such as ``Condition/123``."""
    author: str | None = None
    """Who asserts it in the source, as the source writes it."""


class ImportedDocument(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The original that the entries were read from, and what in it became no event."""

    sha256: str
    size: int
    media_type: str = "application/fhir+json"
    title: str = ""
    kind: str | None = None
    source_id: str | None = None
    unmapped: tuple[Unmapped, ...] = ()
    warnings: tuple[str, ...] = ()


class ImportRecord(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Take in what a source holds on one patient, in one append.

    Entries keep the status, verification and dates of the source, whatever the code system. What
    the record holds already (same code, onset and source; same document) makes no event, and when
    everything is known no event at all is written.
    """

    name: ClassVar[str] = "import-record"

    registration: RegisterPatient | None = None
    """The identity as the source gives it; ignored when the patient is registered already."""
    entries: tuple[ImportedEntry, ...] = ()
    document: ImportedDocument | None = None


# Centre, practitioner, stint


class OpenCentre(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Open a health centre, with its référent and an on-call chain of at least two people."""

    name: ClassVar[str] = "open-centre"

    centre_name: str
    finess: str
    referent: NamedPerson
    on_call_chain: tuple[NamedPerson, ...]
    zone: str = "Europe/Paris"
    address: str = ""
    phones: tuple[tuple[str, str], ...] = ()


class OnboardPractitioner(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Make a practitioner, or another member of a team, known."""

    name: ClassVar[str] = "onboard-practitioner"

    family: str
    given: str
    rpps: str | None = None
    title: str = "Dr"
    qualification: str = ""
    role: Role = "doctor"


class PlanStint(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Plan one doctor's time at one centre (RFC 3339 with offset)."""

    name: ClassVar[str] = "plan-stint"

    practitioner: UUID
    practitioner_name: str
    centre: UUID
    starts_at: str
    ends_at: str
    mode: StintMode = "volontaire"


class StartStint(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Open the stint's window: the doctor arrived and the RPPS was checked."""

    name: ClassVar[str] = "start-stint"

    rpps_verified: bool = True


class EndStint(Command, frozen=True, kw_only=True, omit_defaults=True):
    """End the stint; what it owned falls to the doctor in post, with no other event."""

    name: ClassVar[str] = "end-stint"

    cause: Literal["planned", "cut-short"] = "planned"


class IssueBriefing(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Issue an edition of the stint's briefing (spoken by the briefing itself, not by a door)."""

    name: ClassVar[str] = "issue-briefing"

    edition: UUID
    manifest: str
    position: int
    rule_release: str
    patients: int


class OpenBriefing(Command, frozen=True, kw_only=True, omit_defaults=True):
    """Record that the incoming doctor opened an edition."""

    name: ClassVar[str] = "open-briefing"

    edition: UUID
    device: str | None = None


@dataclass(frozen=True)
class CommandSpec:
    """How a command is addressed, who may speak it, and one example that is accepted."""

    type: type[Command]
    target: Target
    roles: frozenset[Role]
    example: Mapping[str, Any]
    creates: bool = False
    public: bool = True
    """False for what only the product itself speaks (import, issue of a briefing)."""

    @property
    def name(self) -> str:
        """The kebab-case name, in the topic's words."""
        return self.type.name

    @property
    def summary(self) -> str:
        """The first line of the command's docstring."""
        return (self.type.__doc__ or "").strip().splitlines()[0]

    def schema(self) -> dict[str, Any]:
        """JSON Schema of the command's data, definitions inside."""
        return msgspec.json.schema(self.type)

    def parse(self, data: object) -> Command:
        """The command that ``data`` (decoded JSON) describes.

        Raises:
            Invalid: a field is missing, unknown or of another type; names it, not its value.
        """
        try:
            parsed = msgspec.convert(data, self.type, strict=True)
        except msgspec.ValidationError as refused:
            raise _named(refused) from None
        inside = _unknown_in(data, parsed, "")
        if inside is not None:
            raise _unknown(inside)
        return parsed


def _unknown_in(data: object, parsed: object, path: str) -> str | None:
    """The path of the structure that was sent with a field it does not have; None where all do.

    Values of the domain read stored events, which a later release may have added fields to, so
    they let unknown ones pass; what somebody sends must not lose a field without being told.
    """
    if isinstance(parsed, msgspec.Struct) and isinstance(data, Mapping):
        names = dict(zip(parsed.__struct_encode_fields__, parsed.__struct_fields__, strict=True))
        tag = parsed.__struct_config__.tag_field
        if any(name not in names and name != tag for name in data):
            return path
        below = [(data[name], getattr(parsed, field), f"{path}.{name}".lstrip("."))
                 for name, field in names.items() if name in data]  # fmt: skip
    elif isinstance(parsed, list | tuple) and isinstance(data, list | tuple):
        below = [(sent, read, f"{path}[{n}]")
                 for n, (sent, read) in enumerate(zip(data, parsed, strict=True))]  # fmt: skip
    else:
        return None
    return next((found for each in below if (found := _unknown_in(*each)) is not None), None)


def _unknown(path: str) -> Invalid:
    """A refusal that says in which structure a field is unknown, never what it was called."""
    return Invalid(
        "unknown-field", why="Un champ n'existe pas dans cette commande.", field=path or None
    )


def _named(refused: msgspec.ValidationError) -> Invalid:
    """The path and kind of a refusal, without the value that the library may quote."""
    text = str(refused)
    path = re.search(r" - at `\$\.?([^`]*)`", text)
    missing = re.match(r"Object (?:missing required|contains unknown) field `([^`]*)`", text)
    field = path.group(1) if path else ""
    if missing and missing.group(0).startswith("Object missing"):
        field = f"{field}.{missing.group(1)}" if field else missing.group(1)
        return Invalid("missing-field", why="Ce champ est obligatoire.", field=field)
    if missing:
        return _unknown(field)
    return Invalid("invalid-field", field=field or None)


_ITEM: Mapping[str, Any] = {
    "kind": "result",
    "text": "Rappeler le laboratoire pour la kaliémie",
    "due": "2026-11-27",
    "harm_if_late": True,
    "done_when": "résultat reçu et patient prévenu",
}
_POTASSIUM: Mapping[str, Any] = {
    "text": "Potassium",
    "codings": [{"system": "http://loinc.org", "code": "2823-3"}],
}
_ANY_ID = "00000000-0000-4000-8000-000000000001"
_REFERENT: Mapping[str, Any] = {"name": "Dr Camille Référent", "phone": "+33 5 99 00 00 01"}

_SPECS = (
    CommandSpec(
        RegisterPatient,
        "patient",
        TEAM | {"ehr", "system"},
        {
            "birth_name": "EXEMPLE",
            "first_names": ["Jeanne"],
            "birth_date": "1948-03-02",
            "sex": "female",
            "prior_search": "name",
        },
        creates=True,
    ),
    CommandSpec(
        DeclareMedecinTraitant,
        "patient",
        TEAM | {"system"},
        {"kind": "centre", "since": "2026-11-23", "centre": _ANY_ID},
    ),
    CommandSpec(
        RecordConsultation,
        "patient",
        CLINICIANS,
        {
            "mode": "cabinet",
            "reason": "Renouvellement",
            "note": {"one_liner": "HTA équilibrée", "plan": "Contrôle dans trois mois"},
            "observations": [
                {
                    "code": {
                        "text": "Poids",
                        "codings": [{"system": "http://loinc.org", "code": "29463-7"}],
                    },
                    "value": {"value": "71.5", "unit": "kg", "code": "kg"},
                }
            ],
            "problems": [{"concept": {"text": "Hypertension artérielle"}}],
            "severity": {"severity": "watcher", "reason": "Créatinine en hausse"},
            "items": [_ITEM],
        },
    ),
    CommandSpec(
        SignNote, "patient", CLINICIANS, {"one_liner": "Appel de la famille", "plan": "Revoir"}
    ),
    CommandSpec(
        AmendNote,
        "patient",
        DOCTORS | {"intern"},
        {"note": _ANY_ID, "text": "Dosage reçu depuis", "reason": "Résultat arrivé le soir"},
    ),
    CommandSpec(
        RecordObservation,
        "patient",
        CLINICIANS,
        {"code": _POTASSIUM, "value": {"value": "4.1", "unit": "mmol/L", "code": "mmol/L"}},
    ),
    CommandSpec(
        RecordProblem, "patient", PRESCRIBERS, {"concept": {"text": "Asthme"}, "onset": "2019"}
    ),
    CommandSpec(
        RecordAllergy,
        "patient",
        PRESCRIBERS,
        {"substance": {"text": "Pénicilline"}, "categories": ["medication"]},
    ),
    CommandSpec(
        AssertAbsence,
        "patient",
        PRESCRIBERS,
        {"slot": "allergies", "part": "food", "asked_on": "2026-11-23"},
    ),
    CommandSpec(
        StartMedication,
        "patient",
        PRESCRIBERS,
        {
            "concept": {"text": "Ramipril 5 mg"},
            "start": "2026-11-23",
            "dose_text": "1 comprimé le matin",
        },
    ),
    CommandSpec(
        SetIllnessSeverity,
        "patient",
        PRESCRIBERS,
        {"severity": "unstable", "reason": "Dyspnée de repos", "review_by": "2026-11-25"},
    ),
    CommandSpec(
        AttachDocument,
        "patient",
        TEAM | {"ehr", "system"},
        {"sha256": "00" * 32, "size": 1024, "media_type": "application/pdf", "title": "Courrier"},
    ),
    CommandSpec(OpenItem, "patient", TEAM | {"system"}, _ITEM),
    CommandSpec(
        CloseItem,
        "patient",
        TEAM,
        {"item": _ANY_ID, "outcome": "done", "evidence": "Résultat normal, patient prévenu"},
    ),
    CommandSpec(
        SetContingency,
        "patient",
        PRESCRIBERS,
        {
            "condition": "Kaliémie > 5,5 mmol/L",
            "action": "Arrêter le ramipril, ECG le jour même",
            "threshold": {"loinc": "2823-3", "comparator": ">", "value": "5.5", "unit": "mmol/L"},
            "valid_until": "2026-12-31",
        },
    ),
    CommandSpec(
        WriteHandover,
        "patient",
        PRESCRIBERS,
        {
            "severity": "unstable",
            "severity_reason": "Dyspnée de repos",
            "summary": "Insuffisance cardiaque décompensée, diurétique doublé vendredi",
            "actions": ["Peser et rappeler lundi matin"],
            "situation": "Vit seule, sa fille passe le soir",
            "new_items": [_ITEM],
            "read_back_requested": True,
        },
    ),
    CommandSpec(
        ReadBackHandover,
        "patient",
        PRESCRIBERS,
        {"handover": _ANY_ID, "kind": "restatement", "text": "Je la pèse et l'appelle à 9 h"},
    ),
    CommandSpec(
        MarkEntryInError,
        "patient",
        PRESCRIBERS,
        {"entry": _ANY_ID, "reason": "Saisi sur le mauvais dossier"},
    ),
    CommandSpec(ImportRecord, "patient", TEAM | {"ehr", "system"}, {}, creates=True, public=False),
    CommandSpec(
        OpenCentre,
        "centre",
        OFFICE,
        {
            "centre_name": "Centre de démonstration",
            "finess": "990000010",
            "referent": _REFERENT,
            "on_call_chain": [_REFERENT, {"name": "Dr Alix Second", "phone": "+33 5 99 00 00 02"}],
        },
        creates=True,
    ),
    CommandSpec(
        OnboardPractitioner,
        "practitioner",
        OFFICE,
        {"family": "Exemple", "given": "Alix", "qualification": "Médecine générale"},
        creates=True,
    ),
    CommandSpec(
        PlanStint,
        "stint",
        OFFICE,
        {
            "practitioner": _ANY_ID,
            "practitioner_name": "Dr Alix Exemple",
            "centre": _ANY_ID,
            "starts_at": "2026-11-23T08:00:00+01:00",
            "ends_at": "2026-11-28T13:00:00+01:00",
        },
        creates=True,
    ),
    CommandSpec(StartStint, "stint", OFFICE, {"rpps_verified": True}),
    CommandSpec(EndStint, "stint", OFFICE, {"cause": "planned"}),
    CommandSpec(
        IssueBriefing,
        "stint",
        frozenset({"system", "doctor", "referent", "coordinator"}),
        {
            "edition": _ANY_ID,
            "manifest": "00" * 32,
            "position": 0,
            "rule_release": "2026-11",
            "patients": 12,
        },
        public=False,
    ),
    CommandSpec(OpenBriefing, "stint", PRESCRIBERS, {"edition": _ANY_ID}),
)

COMMANDS: Mapping[str, CommandSpec] = MappingProxyType({spec.name: spec for spec in _SPECS})
"""Every command by its kebab-case name."""
