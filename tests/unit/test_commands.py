"""Commands: every example is accepted, every refusal names its field and repeats no value."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import msgspec
import pytest

from releve.domain.aggregates.health_centre import CentreOpened
from releve.domain.aggregates.inbox_document import DocumentReceived
from releve.domain.aggregates.patient.allergies import AllergyRecorded
from releve.domain.aggregates.patient.contingencies import ContingencySet
from releve.domain.aggregates.patient.corrections import EntryMarkedInError
from releve.domain.aggregates.patient.encounters import NoteSigned
from releve.domain.aggregates.patient.handover import HandoverWritten
from releve.domain.aggregates.patient.identity import MedecinTraitantDeclared, Registered
from releve.domain.aggregates.patient.medications import MedicationStarted
from releve.domain.aggregates.patient.offers import ItemOffered
from releve.domain.aggregates.patient.open_items import ItemClosed, ItemOpened
from releve.domain.aggregates.patient.problems import ProblemRecorded
from releve.domain.aggregates.patient.questions import QuestionAsked
from releve.domain.aggregates.patient.results import ResultReceived, ResultReviewed
from releve.domain.aggregates.patient.vigilance import VigilancePointSet
from releve.domain.aggregates.practitioner import PractitionerOnboarded, RoleGranted
from releve.domain.aggregates.stint import BriefingIssued, StintPlanned
from releve.domain.commands import COMMANDS, CommandSpec
from releve.domain.errors import Invalid
from releve.domain.events import Payload, Source
from releve.domain.values import Concept, IdentityTraits, NamedPerson, Owner
from support.given import AMONT, AVAL, COORDINATOR, SYSTEM, Told, entry, given, named

ANY_ID = "00000000-0000-4000-8000-000000000001"
NOTE = NoteSigned(plan="Revoir")
ASTHMA = ProblemRecorded(concept=Concept(text="Asthme"), clinical_status="active")
DRUG = MedicationStarted(concept=Concept(text="Ramipril"))
ITEM = ItemOpened(kind="call", text="Appeler", no_deadline=True)
RESULT = ResultReceived(status="final", conclusion="Sans particularité")
HANDOVER = HandoverWritten(severity="stable", summary="RAS")
PLANNED = StintPlanned(
    practitioner=named("amont"),
    practitioner_name="Dr Amont",
    centre=named("centre"),
    starts_at="2026-11-23T08:00:00+01:00",
    ends_at="2026-11-28T13:00:00+01:00",
)
PLANNED_LATER = msgspec.structs.replace(
    PLANNED, starts_at="2026-11-30T08:00:00+01:00", ends_at="2026-12-05T13:00:00+01:00"
)
CENTRE_OPENED = CentreOpened(
    name="Centre d'Exemple",
    finess="990000010",
    referent=NamedPerson(name="Dr A", phone="1"),
    on_call_chain=(NamedPerson(name="Dr A", phone="1"), NamedPerson(name="Dr B", phone="2")),
)
SENT = DocumentReceived(
    sha256="00" * 32, size=1, media_type="application/pdf", format="pdf",
    identity=IdentityTraits(
        birth_name="EXEMPLE", first_names=("Jeanne",), birth_date="1948-03-02", sex="female"
    ),
)  # fmt: skip
WHOSE = Registered(
    birth_name="EXEMPLE", first_names=("Jeanne",), birth_date="1948-03-02", sex="female"
)
KNOWN = PractitionerOnboarded(name="Exemple", given="Alix")
ISSUED = BriefingIssued(
    edition=UUID(ANY_ID), number=1, manifest="ab" * 32, position=0, rule_release="1", patients=1
)
BEFORE: dict[str, tuple[Payload | Told, ...]] = {
    "amend-note": (NOTE,),
    "mark-entry-in-error": (NOTE,),
    "close-item": (ITEM,),
    "revise-item": (ITEM,),
    "reopen-item": (ITEM, Told(ItemClosed(outcome="done", evidence="Fait"), target=entry(2))),
    "offer-item": (ITEM,),
    "accept-item": (ITEM, Told(ItemOffered(to=Owner()), target=entry(2))),
    "decline-item": (ITEM, Told(ItemOffered(to=Owner()), target=entry(2))),
    "withdraw-contingency": (ContingencySet(condition="Kaliémie", action="ECG"),),
    "review-result": (RESULT,),
    "inform-patient": (RESULT, Told(ResultReviewed(verdict="normal"), target=entry(2))),
    "read-back-handover": (HANDOVER,),
    "open-briefing": (PLANNED, ISSUED),
    "start-stint": (PLANNED,),
    "end-stint": (PLANNED,),
    "issue-briefing": (PLANNED,),
    "revise-stint": (PLANNED,),
    "cancel-stint": (PLANNED_LATER,),
    "close-handover": (PLANNED,),
    "take-watch": (PLANNED,),
    "match-document": (SENT,),
    "reject-document": (SENT,),
    "add-site": (CENTRE_OPENED,),
    "change-policy": (CENTRE_OPENED,),
    "change-roster": (CENTRE_OPENED,),
    "record-closure": (CENTRE_OPENED,),
    "record-gap": (CENTRE_OPENED,),
    "verify-practitioner": (KNOWN,),
    "suspend-practitioner": (KNOWN,),
    "grant-role": (KNOWN,),
    "revoke-role": (KNOWN, RoleGranted(role="nurse", centre=UUID(ANY_ID))),
    "end-medecin-traitant": (
        MedecinTraitantDeclared(kind="centre", since="2026-01-05", centre=named("centre")),
    ),
    "revise-problem": (ASTHMA,),
    "revise-allergy": (AllergyRecorded(substance=Concept(text="Pénicilline")),),
    "change-medication": (DRUG,),
    "stop-medication": (DRUG,),
    "reconcile-medications": (DRUG,),
    "lift-vigilance-point": (VigilancePointSet(text="Anticoagulant"),),
    "validate-entry": (Told(ASTHMA, source=Source(channel="cda", system="urn:oid:2.999")),),
    "validate-entries": (Told(ASTHMA, source=Source(channel="cda", system="urn:oid:2.999")),),
    "reinstate-entry": (NOTE, Told(EntryMarkedInError(), target=entry(2))),
    "answer-question": (
        Told(QuestionAsked(to=named("amont"), to_name="Dr Amont", text="Pourquoi ?"), AVAL),
    ),
    "record-opinion": (Told(NOTE, AVAL),),
}


@pytest.mark.parametrize("spec", COMMANDS.values(), ids=lambda spec: spec.name)
def test_the_example_of_a_command_is_accepted(spec: CommandSpec) -> None:
    example = json.loads(json.dumps(dict(spec.example)).replace(ANY_ID, str(entry(2))))
    if spec.target != "patient":
        example = json.loads(json.dumps(dict(spec.example)))
    before = BEFORE.get(spec.name, ())
    if spec.target == "patient" and spec.name != "register-patient":
        before = (Registered(birth_name="EXEMPLE"), *before)
    by = next(
        author
        for author in ((AVAL if spec.name.startswith("read-back") else AMONT), COORDINATOR, SYSTEM)
        if author.role in spec.roles
    )
    answer = given(*before, kind=spec.target).when(
        spec.parse(example), by=by, originals=["00" * 32], candidate=given(WHOSE).state
    )
    assert answer.refusal is None
    assert answer.events or spec.name == "import-record"


@pytest.mark.parametrize("spec", COMMANDS.values(), ids=lambda spec: spec.name)
def test_a_command_has_a_name_a_sentence_and_a_schema(spec: CommandSpec) -> None:
    assert spec.name == spec.type.name
    assert COMMANDS[spec.name] is spec
    assert spec.summary.endswith((".", ")."))
    schema = spec.schema()
    assert schema["$ref"].endswith(spec.type.__name__)
    assert "occurred_at" in schema["$defs"][spec.type.__name__]["properties"]
    json.dumps(schema)


@pytest.mark.parametrize("spec", COMMANDS.values(), ids=lambda spec: spec.name)
def test_an_unknown_field_is_refused(spec: CommandSpec) -> None:
    with pytest.raises(Invalid) as caught:
        spec.parse({**spec.example, "un-mot-très-secret": 1})
    assert caught.value.code == "unknown-field"
    assert "secret" not in str(caught.value) + caught.value.why + caught.value.do


_SPIRONOLACTONE = {"text": "Spironolactone"}


@pytest.mark.parametrize(
    ("name", "data", "field"),
    [
        ("start-medication", {"concept": {**_SPIRONOLACTONE, "très-secret": 1}}, "concept"),
        ("start-medication",
         {"concept": _SPIRONOLACTONE, "dose": {"value": "25", "unit": "mg", "très-secret": "x"}},
         "dose"),
        ("record-consultation",
         {"problems": [{"concept": {"text": "Goutte"}},
                       {"concept": {"text": "Asthme", "codings": [{"très-secret": "J45"}]}}]},
         "problems[1].concept.codings[0]"),
        ("record-consultation", {"note": {"plan": "Revoir", "très-secret": "x"}}, "note"),
        ("open-item", {"kind": "call", "text": "x", "owner": {"très-secret": "x"}}, "owner"),
    ],
)  # fmt: skip
def test_an_unknown_field_inside_is_refused_where_it_stands(
    name: str, data: Any, field: str
) -> None:
    with pytest.raises(Invalid) as caught:
        COMMANDS[name].parse(data)
    assert (caught.value.code, caught.value.field) == ("unknown-field", field)
    assert "secret" not in " ".join((str(caught.value), caught.value.why, caught.value.do))


def test_a_field_with_its_default_value_is_no_unknown_one() -> None:
    sent = {"concept": {"text": "Spironolactone", "codings": []}, "dose": None}
    assert COMMANDS["start-medication"].parse(sent).name == "start-medication"


@pytest.mark.parametrize(
    ("name", "data", "code", "field"),
    [
        ("set-illness-severity", {"severity": "très-secret"}, "invalid-field", "severity"),
        ("set-illness-severity", {}, "missing-field", "severity"),
        ("open-item", {"kind": "call", "text": 5}, "invalid-field", "text"),
        (
            "record-consultation",
            {"items": [{"kind": "call", "text": "x"}, {"kind": "call"}]},
            "missing-field",
            "items[1].text",
        ),
        ("close-item", {"item": "très-secret", "evidence": "x"}, "invalid-field", "item"),
        ("sign-note", ["très-secret"], "invalid-field", ""),
        ("sign-note", None, "invalid-field", ""),
    ],
)
def test_a_refused_field_is_named_and_its_value_not_repeated(
    name: str, data: Any, code: str, field: str
) -> None:
    with pytest.raises(Invalid) as caught:
        COMMANDS[name].parse(data)
    assert (caught.value.code, caught.value.field or "") == (code, field)
    assert "secret" not in " ".join((str(caught.value), caught.value.why, caught.value.do))


def test_an_example_survives_the_way_through_json() -> None:
    for spec in COMMANDS.values():
        command = spec.parse(dict(spec.example))
        assert spec.parse(msgspec.json.decode(msgspec.json.encode(command))) == command
