"""Identity, notes and corrections: what may be written on a record, by whom, and until when."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from releve.domain.aggregates.patient.corrections import EntryMarkedInError
from releve.domain.aggregates.patient.documents import DocumentAttached
from releve.domain.aggregates.patient.encounters import (
    EncounterRecorded,
    NoteAmended,
    NoteSigned,
)
from releve.domain.aggregates.patient.identity import (
    MedecinTraitantDeclared,
    Registered,
    medecin_traitant,
    missing_traits,
)
from releve.domain.aggregates.patient.problems import ProblemRecorded, current_problems
from releve.domain.commands import (
    AmendNote,
    AttachDocument,
    DeclareMedecinTraitant,
    MarkEntryInError,
    OpenItem,
    RecordConsultation,
    RecordProblem,
    RegisterPatient,
    SignNote,
)
from releve.domain.events import Source
from releve.domain.values import Concept, Identifier
from support.given import (
    AMONT,
    AVAL,
    CENTRE,
    COORDINATOR,
    NOW,
    NURSE,
    OTHER_CENTRE,
    REFERENT,
    Told,
    entry,
    given,
    named,
    stint_of,
)

REGISTERED = Registered(birth_name="EXEMPLE", first_names=("Jeanne",), birth_date="1948-03-02")
NOTE = NoteSigned(one_liner="HTA équilibrée", plan="Contrôle dans trois mois")
TEST_INS = Identifier(system="urn:oid:1.2.250.1.213.1.4.10", value="279035121518989")


# Identity


def test_a_record_opens_with_the_traits_known() -> None:
    command = RegisterPatient(birth_name="EXEMPLE", first_names=("Jeanne",), prior_search="name")
    answer = given().when(command, by=COORDINATOR)
    answer.then(Registered(birth_name="EXEMPLE", first_names=("Jeanne",), prior_search="name"))
    identity = answer.state.registered.payload
    assert missing_traits(identity) == ("birth_date", "sex", "birth_place")


def test_a_record_opens_only_after_a_search() -> None:
    given().when(RegisterPatient(birth_name="EXEMPLE"), by=COORDINATOR).refused(
        "prior-search-missing", field="prior_search"
    )


def test_a_record_opens_once() -> None:
    given(REGISTERED).when(
        RegisterPatient(birth_name="EXEMPLE", prior_search="name"), by=COORDINATOR
    ).refused("already-registered")


def test_an_unknown_sex_counts_as_absent() -> None:
    given().when(
        RegisterPatient(birth_name="EXEMPLE", sex="unknown", prior_search="name"), by=COORDINATOR
    ).then(Registered(birth_name="EXEMPLE", prior_search="name"))


def test_a_qualified_identity_has_its_five_traits_and_its_matricule() -> None:
    traits: dict[str, Any] = {
        "birth_name": "EXEMPLE",
        "first_names": ("Jeanne",),
        "birth_date": "1979-03-05",
        "sex": "female",
        "birth_place": "51215",
        "prior_search": "blind-index",
        "identity_status": "qualifiee",
    }
    incomplete = RegisterPatient(**{**traits, "birth_place": None}, identifiers=(TEST_INS,))
    given().when(incomplete, by=COORDINATOR).refused("not-qualified", field="identity_status")
    given().when(RegisterPatient(**traits), by=COORDINATOR).refused("not-qualified")
    qualified = given().when(RegisterPatient(**traits, identifiers=(TEST_INS,)), by=COORDINATOR)
    assert qualified.state.registered.payload.identity_status == "qualifiee"


@pytest.mark.parametrize(
    ("traits", "code", "field"),
    [
        ({"birth_date": "2027-01-01"}, "in-the-future", "birth_date"),
        ({"birth_date": "02/03/1948"}, "invalid-field", "birth_date"),
        ({"birth_place": "5121"}, "invalid-field", "birth_place"),
        (
            {"identifiers": (Identifier(system=TEST_INS.system, value="279035121518988"),)},
            "invalid-field",
            "identifiers[0].value",
        ),
        ({"birth_name": ""}, "missing-field", "birth_name"),
    ],
)
def test_a_trait_that_cannot_be_is_refused(traits: dict[str, Any], code: str, field: str) -> None:
    command = RegisterPatient(**{"birth_name": "EXEMPLE", "prior_search": "name", **traits})
    given().when(command, by=COORDINATOR).invalid(code, field=field)


def test_the_centre_is_declared_medecin_traitant_and_only_one_is_active() -> None:
    first = MedecinTraitantDeclared(kind="person", since="2021", name="Dr Ancien")
    asked = DeclareMedecinTraitant(since="2026-11-23")
    answer = given(REGISTERED, first).when(asked, by=COORDINATOR)
    declared = MedecinTraitantDeclared(kind="centre", since="2026-11-23", centre=CENTRE)
    answer.then(declared)
    assert medecin_traitant(answer.state) == declared
    given(REGISTERED, first, declared).when(asked, by=COORDINATOR).refused("already-declared")


def test_an_older_declaration_that_is_written_late_does_not_replace_the_one_in_force() -> None:
    declared = MedecinTraitantDeclared(kind="centre", since="2026-11", centre=CENTRE)
    older = DeclareMedecinTraitant(kind="person", since="2021", practitioner_name="Dr Ancien")
    answer = given(REGISTERED, declared).when(older, by=COORDINATOR)
    answer.then(MedecinTraitantDeclared(kind="person", since="2021", name="Dr Ancien"))
    assert medecin_traitant(answer.state) == declared


def test_a_declared_person_is_named() -> None:
    given(REGISTERED).when(
        DeclareMedecinTraitant(kind="person", since="2026"), by=COORDINATOR
    ).invalid("missing-field", field="practitioner_name")


# The author's stint


def test_a_doctor_writes_only_during_a_stint_of_their_own() -> None:
    note = SignNote(plan="Revoir")
    given(REGISTERED).when(note, stint=stint_of(AVAL)).refused("outside-stint")
    away = stint_of(AMONT, centre=OTHER_CENTRE)
    given(REGISTERED).when(note, stint=away).refused("outside-stint")
    given(REGISTERED).when(note).then(NoteSigned(plan="Revoir"))


@pytest.mark.parametrize(
    ("now", "allowed"),
    [
        ("2026-11-23T07:59:00+01:00", False),
        ("2026-11-23T08:00:00+01:00", True),
        ("2026-11-28T13:00:00+01:00", True),
        ("2026-11-28T13:01:00+01:00", False),
    ],
)
def test_the_window_is_the_stint_to_the_minute(now: str, allowed: bool) -> None:
    answer = given(REGISTERED).when(SignNote(plan="Revoir"), now=datetime.fromisoformat(now))
    if allowed:
        answer.then(NoteSigned(plan="Revoir"))
    elif "28T" in now:
        answer.refused("late-reason-missing", field="late_reason")
    else:
        answer.refused("outside-stint")


def test_what_happened_in_the_stint_may_be_written_up_to_72_hours_after_with_a_reason() -> None:
    during = "2026-11-27T18:00:00+01:00"
    late = SignNote(plan="Revoir", occurred_at=during, late_reason="Panne de réseau")
    end = datetime.fromisoformat("2026-11-28T13:00:00+01:00")
    answer = given(REGISTERED).when(late, now=end + timedelta(hours=72))
    answer.then(NoteSigned(plan="Revoir"))
    assert answer.events[0].envelope.reason == "Panne de réseau"
    assert answer.events[0].envelope.occurred_at == during
    given(REGISTERED).when(late, now=end + timedelta(hours=72, seconds=1)).refused("outside-stint")
    afterwards = SignNote(plan="Revoir", late_reason="Oubli")
    given(REGISTERED).when(afterwards, now=end + timedelta(hours=1)).refused("outside-stint")


def test_a_late_entry_inside_the_stint_keeps_both_times() -> None:
    answer = given(REGISTERED).when(SignNote(plan="Revoir", occurred_at="2026-11-23"))
    answer.then(NoteSigned(plan="Revoir"))
    written = answer.events[0]
    assert written.envelope.occurred_at == "2026-11-23"
    assert written.recorded_at == NOW


@pytest.mark.parametrize("happened", ["2026-11-20", "2026-11-22T12:00:00+01:00", "2025"])
def test_what_happened_before_the_stint_is_not_this_doctors_to_record(happened: str) -> None:
    given(REGISTERED).when(SignNote(plan="Revoir", occurred_at=happened)).refused("outside-stint")


def test_nothing_happens_in_the_future() -> None:
    tomorrow = SignNote(plan="Revoir", occurred_at="2026-11-25T10:00:00+01:00")
    given(REGISTERED).when(tomorrow).invalid("in-the-future", field="occurred_at")
    given(REGISTERED).when(tomorrow, by=NURSE).invalid("in-the-future", field="occurred_at")


def test_a_stint_cut_short_ends_where_it_was_cut() -> None:
    cut = stint_of(AMONT, ended="2026-11-23T20:00:00+01:00")
    given(REGISTERED).when(SignNote(plan="Revoir"), stint=cut).refused("late-reason-missing")


def test_the_referent_and_the_team_need_no_stint() -> None:
    given(REGISTERED).when(SignNote(plan="Revoir"), by=REFERENT).then(NoteSigned(plan="Revoir"))
    given(REGISTERED).when(SignNote(plan="Pansement"), by=NURSE).then(NoteSigned(plan="Pansement"))


def test_a_role_speaks_only_its_own_commands() -> None:
    given(REGISTERED).when(SignNote(plan="Revoir"), by=COORDINATOR).refused("role-not-allowed")
    asthma = RecordProblem(concept=Concept(text="Asthme"))
    given(REGISTERED).when(asthma, by=NURSE).refused("role-not-allowed")
    given(REGISTERED).when(RecordConsultation(problems=(asthma,)), by=NURSE).refused(
        "role-not-allowed"
    )


# Consultations and notes


def test_a_consultation_is_one_append_of_everything_it_produced() -> None:
    answer = given(REGISTERED).when(
        RecordConsultation(
            mode="visite",
            reason="Fièvre",
            note=SignNote(one_liner="Grippe", plan="Repos"),
            problems=(RecordProblem(concept=Concept(text="Grippe"), onset="2026-11-22"),),
            items=(OpenItem(kind="call", text="Rappeler", due="2026-11-26"),),
        )
    )
    topics = [event.topic for event in answer.events]
    assert topics == [
        "patient.encounter-recorded",
        "patient.note-signed",
        "patient.problem-recorded",
        "patient.item-opened",
    ]
    encounter, *parts = answer.events
    assert {part.envelope.encounter_id for part in parts} == {encounter.event_id}
    assert encounter.envelope.command_digest is not None
    assert all(part.envelope.command_digest is None for part in parts)
    assert [event.originator_version for event in answer.events] == [2, 3, 4, 5]


def test_one_bad_part_refuses_the_whole_consultation_and_names_itself() -> None:
    given(REGISTERED).when(
        RecordConsultation(
            note=SignNote(plan="Repos"),
            items=(
                OpenItem(kind="call", text="Rappeler", due="2026-11-26"),
                OpenItem(kind="call", text="Rappeler"),
            ),
        )
    ).invalid("missing-field", field="items[1].due")


def test_an_empty_note_is_not_signed() -> None:
    given(REGISTERED).when(SignNote(plan="  ")).invalid("missing-field", field="note")


def test_a_one_liner_has_at_most_160_characters() -> None:
    given(REGISTERED).when(SignNote(one_liner="é" * 161)).invalid(
        "invalid-field", field="one_liner"
    )


def test_a_note_is_amended_by_its_author_with_a_reason() -> None:
    answer = given(REGISTERED, NOTE).when(
        AmendNote(note=entry(2), text="Dosage reçu", reason="Arrivé le soir")
    )
    answer.then(NoteAmended(kind="addendum", text="Dosage reçu"))
    assert answer.events[0].envelope.target == entry(2)
    assert answer.events[0].envelope.reason == "Arrivé le soir"
    assert list(answer.state.standing(answer.state.amendments)) == [*answer.events]


def test_a_note_may_be_completed_after_the_stint_for_72_hours() -> None:
    after = datetime.fromisoformat("2026-11-29T09:00:00+01:00")
    late = AmendNote(note=entry(2), text="Dosage", reason="Reçu", late_reason="Reçu dimanche")
    given(REGISTERED, NOTE).when(late, now=after).then(NoteAmended(kind="addendum", text="Dosage"))


def test_a_note_is_amended_by_nobody_else_but_the_referent() -> None:
    amend = AmendNote(note=entry(2), text="Non", reason="Désaccord")
    given(REGISTERED, NOTE).when(amend, by=AVAL).refused("not-author")
    given(REGISTERED, NOTE).when(amend, by=REFERENT).then(NoteAmended(kind="addendum", text="Non"))


def test_a_note_in_error_is_not_amended() -> None:
    given(REGISTERED, NOTE, Told(EntryMarkedInError(), target=entry(2))).when(
        AmendNote(note=entry(2), text="Suite", reason="Oubli")
    ).refused("note-in-error")


@pytest.mark.parametrize(
    ("amend", "field"),
    [
        (AmendNote(note=entry(2), reason="Oubli"), "text"),
        (AmendNote(note=entry(2), reason=" ", text="Suite"), "reason"),
        (AmendNote(note=entry(2), reason="Oubli", kind="replacement"), "note"),
    ],
)
def test_an_amendment_says_something_and_why(amend: AmendNote, field: str) -> None:
    given(REGISTERED, NOTE).when(amend).invalid("missing-field", field=field)


def test_only_a_note_is_amended() -> None:
    given(REGISTERED, NOTE).when(AmendNote(note=entry(1), text="x", reason="y")).refused(
        "unknown-note"
    )


# Corrections


def test_an_entry_in_error_leaves_current_views_and_stays_in_the_record() -> None:
    asthma = ProblemRecorded(concept=Concept(text="Asthme"), clinical_status="active")
    answer = given(REGISTERED, asthma).when(
        MarkEntryInError(entry=entry(2), reason="Mauvais dossier")
    )
    answer.then(EntryMarkedInError())
    assert list(current_problems(answer.state)) == []
    assert entry(2) in answer.state.entries


def test_an_entry_is_marked_once_with_a_reason_and_never_the_identity() -> None:
    record = given(REGISTERED, NOTE, Told(EntryMarkedInError(), target=entry(2)))
    record.when(MarkEntryInError(entry=entry(2), reason="Encore")).refused("already-in-error")
    record.when(MarkEntryInError(entry=entry(1), reason="x")).refused("unknown-entry")
    record.when(MarkEntryInError(entry=entry(3), reason="x")).refused("unknown-entry")
    record.when(MarkEntryInError(entry=named("nowhere"), reason="x")).refused("unknown-entry")
    given(REGISTERED, NOTE).when(MarkEntryInError(entry=entry(2), reason="")).invalid(
        "missing-field", field="reason"
    )


def test_an_encounter_that_does_not_exist_is_not_referred_to() -> None:
    met = EncounterRecorded(mode="cabinet")
    given(REGISTERED, met).when(SignNote(plan="x", encounter_id=entry(1))).invalid(
        "invalid-field", field="encounter_id"
    )
    linked = given(REGISTERED, met).when(SignNote(plan="x", encounter_id=entry(2)))
    assert linked.events[0].envelope.encounter_id == entry(2)


# Documents


def test_a_document_comes_with_its_bytes_and_only_once() -> None:
    attach = AttachDocument(sha256="ab" * 32, size=3, media_type="application/pdf")
    attached = DocumentAttached(sha256="ab" * 32, size=3, media_type="application/pdf")
    given(REGISTERED).when(attach).invalid("missing-field", field="original")
    given(REGISTERED).when(attach, originals=["ab" * 32]).then(attached)
    given(REGISTERED, attached).when(attach, originals=["ab" * 32]).nothing()
    from_elsewhere = Source(channel="pdf", source_id="other")
    given(REGISTERED, attached).when(attach, originals=["ab" * 32], source=from_elsewhere).then(
        attached
    )
