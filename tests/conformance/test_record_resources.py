"""Every kind of entry leaves as R4: in the summary where IPS has a place, else with everything."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from conformance.bundles import CENTRE, DIRECTORY, accepted, summary_of
from releve.domain.aggregates.patient.ald import AldStatusChanged
from releve.domain.aggregates.patient.allergies import AllergyRecorded, AllergyRevised
from releve.domain.aggregates.patient.appointments import AppointmentNoticed
from releve.domain.aggregates.patient.contact_details import ContactDetailsChanged
from releve.domain.aggregates.patient.corrections import EntryMarkedInError
from releve.domain.aggregates.patient.death import DeathRecorded
from releve.domain.aggregates.patient.documents import DocumentAttached
from releve.domain.aggregates.patient.encounters import EncounterRecorded
from releve.domain.aggregates.patient.history import (
    DeviceRecorded,
    HistoryRecorded,
    ImmunizationRecorded,
    ProcedureRecorded,
)
from releve.domain.aggregates.patient.identity import (
    MedecinTraitantDeclared,
    MedecinTraitantEnded,
    Registered,
)
from releve.domain.aggregates.patient.ins import InsStatusChanged
from releve.domain.aggregates.patient.medications import MedicationStarted, MedicationStopped
from releve.domain.aggregates.patient.offers import ItemOffered
from releve.domain.aggregates.patient.open_items import ItemClosed, ItemOpened
from releve.domain.aggregates.patient.problems import ProblemRecorded, ProblemRevised
from releve.domain.aggregates.patient.questions import (
    OpinionRecorded,
    QuestionAnswered,
    QuestionAsked,
)
from releve.domain.aggregates.patient.results import (
    ContactAttempted,
    Informed,
    InvestigationOrdered,
    ResultReceived,
    ResultReviewed,
)
from releve.domain.aggregates.patient.validation import EntryValidated
from releve.domain.aggregates.patient.vigilance import VigilancePointLifted, VigilancePointSet
from releve.domain.events import Event, Payload, Source
from releve.domain.values import (
    Coding,
    Concept,
    Identifier,
    Owner,
    Quantity,
    RelatedPerson,
    ResultLine,
    ResultStatus,
)
from releve.fhir import exact_json, ips_checker, r4b
from releve.fhir.answers import patient_resource
from releve.fhir.bundle import BundleIndex
from releve.fhir.exact_json import JsonObject
from releve.fhir.resource_writing import VALIDATION
from releve.fhir.summary import everything_bundle, summary_document
from releve.projections.patient_summary import PatientSummary
from support.patient_events import Stream

LOINC = "http://loinc.org"
ITEM = UUID("00000000-0000-4000-8000-0000000000aa")
COLLEAGUE = UUID("00000000-0000-4000-8000-0000000000bb")
POTASSIUM = Concept(text="Potassium", codings=(Coding(system=LOINC, code="2823-3"),))
IMPORTED = Source(channel="cda", system="urn:oid:1.2.250.1.999.2", author="Laboratoire des Essarts")


class Record:
    """A record that grows by one payload at a time."""

    def __init__(self, **traits: Any) -> None:
        given: dict[str, Any] = {
            "birth_name": "Sansonnet",
            "first_names": ("Odile",),
            "birth_date": "1951-04-12",
            "sex": "female",
        }
        self.stream = Stream()
        self.add(Registered(**{**given, **traits}))

    def add(self, payload: Payload, **envelope: Any) -> Event:
        """One more event."""
        return self.stream.add(payload, centre=CENTRE, **envelope)

    @property
    def summary(self) -> PatientSummary:
        """What it says now."""
        return summary_of(self.stream.events)

    @property
    def document(self) -> bytes:
        """Its ``$summary``, which R4 and the checker accept."""
        made = summary_document(self.summary, DIRECTORY)
        assert ips_checker.check(exact_json.parse(made)) == []
        return made

    @property
    def everything(self) -> bytes:
        """All of it, which R4 accepts, and whose references all lead somewhere."""
        made = everything_bundle(self.summary, DIRECTORY)
        bundle = exact_json.parse(made)
        assert r4b.structure(bundle, "Bundle") == []
        index = BundleIndex(bundle)
        issues = [one for each in index.entries for one in ips_checker.resource_issues(index, each)]
        assert issues == []
        return made

    @property
    def patient(self) -> JsonObject:
        """Its Patient."""
        made = exact_json.parse(patient_resource(self.summary, DIRECTORY))
        assert r4b.structure(made, "Patient") == []
        return made


def of_kind(bundle: bytes, kind: str) -> list[JsonObject]:
    """The resources of a type."""
    found = [one["resource"] for one in exact_json.parse(bundle)["entry"]]
    return [one for one in found if one["resourceType"] == kind]


def section(document: bytes, code: str) -> JsonObject | None:
    """The section of a LOINC code."""
    listed = exact_json.parse(document)["entry"][0]["resource"]["section"]
    return next((one for one in listed if one["code"]["coding"][0]["code"] == code), None)


def words(document: bytes, code: str) -> str:
    """What a section says to a reader; empty without it."""
    found = section(document, code)
    return str(found["text"]["div"]) if found else ""


def result(status: ResultStatus, value: str = "4.10", **other: Any) -> ResultReceived:
    line = ResultLine(
        code=POTASSIUM,
        value=Quantity(value=value, unit="mmol/L", code="mmol/L"),
        interpretation="H",
        reference_range="3,5 - 5,1",
    )
    return ResultReceived(status=status, title="Ionogramme", lines=(line,), **other)


SLOTS: dict[str, tuple[Payload, str, str]] = {
    "47519-4": (
        ProcedureRecorded(concept=Concept(text="Appendicectomie"), performed="1987"),
        "Procedure", "Appendicectomie",
    ),
    "46264-8": (
        DeviceRecorded(concept=Concept(text="Stimulateur"), since="2019-05", udi="(01)0001"),
        "DeviceUseStatement", "Stimulateur",
    ),
    "104605-1": (VigilancePointSet(text="Ne pas laisser seul"), "Flag", "Ne pas laisser seul"),
    "47420-5": (
        HistoryRecorded(slot="functional-status", concept=Concept(text="Marche avec une canne")),
        "Condition", "Marche avec une canne",
    ),
    "11369-6": (
        ImmunizationRecorded(
            vaccine=Concept(text="Grippe"), given_on="2025-10-20", lot="A1", dose_number=2
        ),
        "Immunization", "Grippe",
    ),
    "29762-2": (
        HistoryRecorded(slot="lifestyle", concept=Concept(text="Tabac sevré")),
        "Observation", "Tabac sevré",
    ),
    "10157-6": (
        HistoryRecorded(
            slot="family-history", concept=Concept(text="Infarctus"), relationship="père",
            since="age 52 a",
        ),
        "FamilyMemberHistory", "Infarctus",
    ),
    "44939-7": (
        HistoryRecorded(slot="adverse-reactions", concept=Concept(text="Toux sous IEC")),
        "AdverseEvent", "Toux sous IEC",
    ),
    "30954-2": (result("final"), "DiagnosticReport", "Potassium"),
    "55107-7": (
        DocumentAttached(
            sha256="5" * 64, size=2048, media_type="application/pdf", title="Courrier de sortie"
        ),
        "DocumentReference", "Courrier de sortie",
    ),
}  # fmt: skip


@pytest.mark.parametrize("code", SLOTS)
def test_each_slot_leaves_as_the_resource_that_ips_has_for_it(code: str) -> None:
    payload, kind, said = SLOTS[code]
    record = Record()
    assert section(record.document, code) is None
    record.add(payload)
    document = record.document
    (made,) = of_kind(document, kind)
    held = section(document, code)
    assert held is not None
    assert held["entry"] == [{"reference": f"urn:uuid:{made['id']}"}]
    assert said in words(document, code)
    assert of_kind(record.everything, kind)
    event = record.stream.events[-1]
    record.add(EntryMarkedInError(), target=event.event_id, reason="autre patient")
    assert section(record.document, code) is None
    assert said.encode() not in record.document


@pytest.mark.parametrize("code", SLOTS)
def test_a_line_of_everything_that_is_in_error_says_so(code: str) -> None:
    payload, kind, _ = SLOTS[code]
    record = Record()
    wrong = record.add(payload)
    record.add(EntryMarkedInError(), target=wrong.event_id, reason="autre patient")
    if kind == "AdverseEvent":  # R4 has no status for it: nothing is better than a live one
        assert of_kind(record.everything, kind) == []
        return
    (made,) = of_kind(record.everything, kind)
    if kind == "Condition":
        assert made["verificationStatus"]["coding"][0]["code"] == "entered-in-error"
    else:
        assert made["status"] == "entered-in-error"


def test_what_no_event_says_has_no_section() -> None:
    document = Record().document
    for code in ("18776-5", "10162-6", "42348-3", "81338-6"):
        assert section(document, code) is None


@pytest.mark.parametrize(
    ("status", "sent"),
    [
        ("partial", "preliminary"),
        ("final", "final"),
        ("corrected", "corrected"),
        ("phoned", "preliminary"),
    ],
)
def test_a_result_never_says_more_than_it_is(status: ResultStatus, sent: str) -> None:
    record = Record()
    record.add(result(status, caller="M. Exemple", read_back=True))
    (report,), (value,) = (of_kind(record.document, k) for k in ("DiagnosticReport", "Observation"))
    assert report["status"] == value["status"] == sent
    assert report["result"] == [{"reference": f"urn:uuid:{value['id']}"}]
    phoned = "note" in value
    assert phoned == (status == "phoned")
    if phoned:
        assert "téléphoné" in value["note"][0]["text"]
        assert "téléphoné" in report["text"]["div"]


def test_a_value_keeps_its_digits_and_its_bound() -> None:
    record = Record()
    line = ResultLine(
        code=POTASSIUM,
        value=Quantity(value="0.50", unit="mmol/L", code="mmol/L"),
        comparator="<",
    )
    record.add(ResultReceived(status="final", title="Ionogramme", lines=(line,)))
    assert b'"value":0.50,"comparator":"<"' in record.document
    (back,) = (one.payload for one in accepted(record.document).entries)
    assert isinstance(back, ResultReceived)
    assert back.lines[0].value == line.value
    assert back.lines[0].comparator == "<"


def test_a_corrected_result_replaces_the_one_before() -> None:
    record = Record()
    first = record.add(result("final", "6.40", report="R-1"))
    record.add(result("corrected", "4.60", report="R-1"), target=first.event_id)
    (report,) = of_kind(record.document, "DiagnosticReport")
    assert report["status"] == "corrected"
    assert b"6.40" not in record.document
    assert len(of_kind(record.everything, "DiagnosticReport")) == 1


def test_an_imported_line_is_tagged_and_says_so_until_it_is_accepted() -> None:
    record = Record()
    problem = ProblemRecorded(concept=Concept(text="Diabète"), clinical_status="active")
    line = record.add(problem, source=IMPORTED)
    tag = {"system": VALIDATION, "code": "to-validate", "display": "à valider"}
    (made,) = of_kind(record.document, "Condition")
    assert made["meta"]["tag"] == [tag]
    assert "import CDA, Laboratoire des Essarts, à valider" in words(record.document, "11450-4")
    record.add(EntryValidated(verdict="accepted"), target=line.event_id)
    (made,) = of_kind(record.document, "Condition")
    assert "tag" not in made["meta"]
    assert "à valider" not in words(record.document, "11450-4")
    assert "import CDA" in words(record.document, "11450-4")


def test_a_refused_line_is_nowhere_and_everything_calls_it_an_error() -> None:
    record = Record()
    problem = ProblemRecorded(concept=Concept(text="Diabète"), clinical_status="active")
    line = record.add(problem, source=IMPORTED)
    record.add(EntryValidated(verdict="refused"), target=line.event_id, reason="autre patient")
    assert "Diabète".encode() not in record.document
    (kept,) = of_kind(record.everything, "Condition")
    assert kept["verificationStatus"]["coding"][0]["code"] == "entered-in-error"


def test_reviewing_an_imported_result_accepts_its_report_and_its_values() -> None:
    record = Record()
    received = record.add(result("final"), source=IMPORTED)
    for kind in ("DiagnosticReport", "Observation"):
        assert [one["meta"].get("tag") is not None for one in of_kind(record.document, kind)] == [
            True
        ]
    record.add(ResultReviewed(verdict="normal"), target=received.event_id)
    (report,) = of_kind(record.document, "DiagnosticReport")
    assert report["resultsInterpreter"] == [{"display": "Dr Élise Garnier"}]
    assert b"to-validate" not in record.document


def test_a_refuted_allergy_leaves_the_summary_and_a_revised_problem_moves() -> None:
    record = Record()
    allergy = record.add(AllergyRecorded(substance=Concept(text="Iode"), clinical_status="active"))
    problem = record.add(ProblemRecorded(concept=Concept(text="Asthme"), clinical_status="active"))
    assert "Iode" in words(record.document, "48765-2")
    assert "Asthme" in words(record.document, "11450-4")
    record.add(AllergyRevised(verification="refuted"), target=allergy.event_id, reason="test")
    record.add(ProblemRevised(clinical_status="resolved"), target=problem.event_id, reason="guéri")
    assert "Iode" not in words(record.document, "48765-2")
    assert "Asthme" not in words(record.document, "11450-4")
    assert "Asthme" in words(record.document, "11348-0")


def test_a_stopped_treatment_says_when_and_why() -> None:
    record = Record()
    drug = record.add(MedicationStarted(concept=Concept(text="Ramipril"), start="2024-01"))
    stopped = MedicationStopped(stopped_on="2026-11-16")
    record.add(stopped, target=drug.event_id, reason="toux")
    (made,) = of_kind(record.document, "MedicationStatement")
    assert made["status"] == "stopped"
    assert made["effectivePeriod"]["end"] == "2026-11-16"
    assert made["statusReason"] == [{"text": "toux"}]


MATRICULE = Identifier(system="urn:oid:1.2.250.1.213.1.4.10", value="279035121518989")


@pytest.mark.parametrize("status", ["recuperee", "validee"])
def test_a_matricule_that_is_not_qualified_is_nowhere(status: Any) -> None:
    record = Record(
        identifiers=(
            Identifier(system="urn:oid:1.2.250.1.999.1", value="2 79 03 51 215 189"),
            Identifier(system="1.2.250.1.213.1.4.8", value="279035121518989"),
        )
    )
    record.add(InsStatusChanged(status=status, matricule=MATRICULE, proof="carte"))
    sent = record.document + record.everything + exact_json.dump(record.patient)
    assert b"279035121518" not in sent.replace(b" ", b"")


def test_a_qualified_matricule_leaves_until_the_identity_is_downgraded() -> None:
    record = Record()
    qualified = InsStatusChanged(
        status="qualifiee", matricule=MATRICULE, proof="carte", service=True
    )
    record.add(qualified)
    named = [one for one in record.patient["identifier"] if one["value"] == MATRICULE.value]
    assert named == [{"use": "official", "system": MATRICULE.system, "value": MATRICULE.value}]
    assert MATRICULE.value.encode() in record.document
    record.add(InsStatusChanged(status="provisoire"))
    assert MATRICULE.value.encode() not in record.document + record.everything


def test_a_patient_has_phones_contacts_and_a_date_of_death() -> None:
    record = Record()
    record.add(
        ContactDetailsChanged(
            phones=(("mobile", "+33 6 99 00 00 01"),),
            address="3 rue de la Fontaine, 23999 Les Essarts",
            trusted_person=RelatedPerson(
                name="Ysé Sansonnet", phone="+33 6 99 00 00 02", relationship="fille"
            ),
        )
    )
    assert record.patient["telecom"] == [
        {"system": "phone", "value": "+33 6 99 00 00 01", "use": "mobile"}
    ]
    assert record.patient["address"][0]["text"].startswith("3 rue")
    (contact,) = record.patient["contact"]
    assert contact["relationship"][0]["text"] == "Personne de confiance (fille)"
    assert "deceasedDateTime" not in record.patient
    record.add(DeathRecorded(date="2026-11", source="certificat"))
    assert record.patient["deceasedDateTime"] == "2026-11"


def test_an_ended_medecin_traitant_is_nobodys_general_practitioner() -> None:
    record = Record()
    declared = record.add(MedecinTraitantDeclared(kind="centre", since="2026-01-05", centre=CENTRE))
    assert "generalPractitioner" in record.patient
    record.add(MedecinTraitantEnded(ended="2026-11-10"), target=declared.event_id, reason="x")
    assert "generalPractitioner" not in record.patient


def test_a_lifted_vigilance_point_leaves_the_summary_and_is_inactive() -> None:
    record = Record()
    point = record.add(VigilancePointSet(text="Ne pas laisser seul"))
    record.add(VigilancePointLifted(), target=point.event_id, reason="va mieux")
    assert section(record.document, "104605-1") is None
    assert [one["status"] for one in of_kind(record.everything, "Flag")] == ["inactive"]


def test_everything_holds_the_order_its_report_the_item_and_who_told_the_patient() -> None:
    record = Record()
    order = record.add(
        InvestigationOrdered(
            kind="laboratory", text="Ionogramme", expected_by="2026-11-20", item=ITEM,
            codes=(POTASSIUM,), why="diurétique", criticality="urgent",
        )
    )  # fmt: skip
    item = record.add(
        ItemOpened(kind="result", text="Ionogramme", due="2026-11-20", harm_if_late=True,
                   follows=order.event_id)
    )  # fmt: skip
    (request,) = of_kind(record.everything, "ServiceRequest")
    assert (request["status"], request["priority"]) == ("active", "urgent")
    (task,) = of_kind(record.everything, "Task")
    assert task["status"] == "requested"
    assert task["owner"] == {"type": "PractitionerRole", "display": "médecin en poste"}
    assert task["focus"] == {"reference": f"urn:uuid:{order.event_id}"}
    assert task["restriction"] == {"period": {"end": "2026-11-20"}}
    offered = ItemOffered(to=Owner(person=COLLEAGUE), to_name="Dr Noé Exemple")
    record.add(offered, target=item.event_id)
    (task,) = of_kind(record.everything, "Task")
    assert task["businessStatus"] == {"text": "Proposé à Dr Noé Exemple"}
    assert task["owner"]["display"] == "médecin en poste"
    received = record.add(result("final", order=order.event_id))
    record.add(ResultReviewed(verdict="abnormal"), target=received.event_id)
    record.add(ContactAttempted(channel="phone", outcome="no-answer"), target=received.event_id)
    record.add(Informed(channel="phone", whom="sa fille"), target=received.event_id)
    record.add(ItemClosed(outcome="done", evidence="prévenue"), target=item.event_id)
    everything = record.everything
    (request,) = of_kind(everything, "ServiceRequest")
    (report,) = of_kind(everything, "DiagnosticReport")
    (task,) = of_kind(everything, "Task")
    assert (request["status"], task["status"]) == ("completed", "completed")
    assert report["basedOn"] == [{"reference": f"urn:uuid:{order.event_id}"}]
    tried, told = of_kind(everything, "Communication")
    assert (tried["status"], told["status"]) == ("not-done", "completed")
    assert told["recipient"] == [{"display": "sa fille"}]
    assert told["about"] == [{"reference": f"urn:uuid:{received.event_id}"}]
    for kind in ("ServiceRequest", "Task", "Communication"):
        assert of_kind(record.document, kind) == []


def test_everything_holds_questions_opinions_appointments_ald_and_consultations() -> None:
    record = Record()
    problem = record.add(ProblemRecorded(concept=Concept(text="Asthme"), clinical_status="active"))
    asked = record.add(
        QuestionAsked(to=COLLEAGUE, to_name="Dr Noé Exemple", text="Quel débit ?"),
        target=problem.event_id,
    )
    record.add(QuestionAnswered(text="350 L/min"), target=asked.event_id)
    record.add(OpinionRecorded(stance="agrees", text="D'accord"), target=problem.event_id)
    record.add(AppointmentNoticed(starts_at="2026-11-24T09:00+01:00", reference="a"))
    record.add(
        AldStatusChanged(status="granted", code="14", starts="2024-01-01", ends="2029-01-01")
    )
    record.add(EncounterRecorded(mode="visite", reason="renouvellement"))
    everything = record.everything
    about = {"reference": f"urn:uuid:{problem.event_id}"}
    question, answer, opinion = of_kind(everything, "Communication")
    assert question["about"] == opinion["about"] == [about]
    assert answer["inResponseTo"] == [{"reference": f"urn:uuid:{asked.event_id}"}]
    (appointment,) = of_kind(everything, "Appointment")
    assert appointment["start"] == "2026-11-24T09:00:00+01:00"
    assert appointment["end"] == "2026-11-24T09:15:00+01:00"
    (flag,) = of_kind(everything, "Flag")
    assert flag["period"] == {"start": "2024-01-01", "end": "2029-01-01"}
    assert flag["status"] == "active"
    (encounter,) = of_kind(everything, "Encounter")
    assert encounter["class"]["code"] == "HH"


def test_our_own_summary_comes_back_with_every_slot() -> None:
    record = Record()
    for payload, _, _ in SLOTS.values():
        record.add(payload)
    entries = accepted(record.document).entries
    back = {type(one.payload) for one in entries}
    assert back >= {
        ProcedureRecorded, DeviceRecorded, ImmunizationRecorded, HistoryRecorded, ResultReceived,
    }  # fmt: skip
    family = [
        one.payload
        for one in entries
        if isinstance(one.payload, HistoryRecorded) and one.payload.slot == "family-history"
    ]
    assert [(one.relationship, one.since) for one in family] == [("père", "age 52 a")]
