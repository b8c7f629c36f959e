"""Identity, contacts, death, appointments, ALD, vigilance and review: what may be said of them."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import pytest

from releve.domain.aggregates.patient.ald import AldStatusChanged, alds
from releve.domain.aggregates.patient.appointments import (
    AppointmentNoticed,
    booked,
)
from releve.domain.aggregates.patient.contact_details import (
    ContactDetailsChanged,
    contact_details,
)
from releve.domain.aggregates.patient.corrections import EntryMarkedInError
from releve.domain.aggregates.patient.death import CARE_ACTS, DeathRecorded, death_of
from releve.domain.aggregates.patient.encounters import NoteSigned
from releve.domain.aggregates.patient.identity import (
    MedecinTraitantDeclared,
    MedecinTraitantEnded,
    Registered,
    medecin_traitant,
)
from releve.domain.aggregates.patient.ins import InsStatusChanged, exportable, ins_status
from releve.domain.aggregates.patient.medications import MedicationStarted
from releve.domain.aggregates.patient.severity import IllnessSeveritySet
from releve.domain.aggregates.patient.summary_review import (
    SLOT_NAMES,
    SummaryReviewed,
)
from releve.domain.aggregates.patient.vigilance import (
    VigilancePointLifted,
    VigilancePointSet,
    current_vigilance,
)
from releve.domain.commands import (
    COMMANDS,
    ChangeAldStatus,
    ChangeContactDetails,
    ChangeInsStatus,
    Command,
    DeclareMedecinTraitant,
    EndMedecinTraitant,
    LiftVigilancePoint,
    NoticeAppointment,
    RecordConsultation,
    RecordDeath,
    RecordImmunization,
    RecordObservation,
    ReviewSummary,
    SetVigilancePoint,
    SignNote,
    StartMedication,
    StopMedication,
    WriteHandover,
)
from releve.domain.values import Coding, Concept, Identifier, Quantity, RelatedPerson
from releve.projections import summary_lines
from support.given import CENTRE, COORDINATOR, SYSTEM, Told, entry, given

TEST_OID = "urn:oid:1.2.250.1.213.1.4.10"
REAL_OID = "urn:oid:1.2.250.1.213.1.4.8"
WOMAN_OF_MAY_1979 = "279035121518989"
IDENTITY = Registered(
    birth_name="EXEMPLE",
    first_names=("Jeanne",),
    birth_date="1979-03-02",
    sex="female",
    birth_place="51215",
)
QUALIFIED = InsStatusChanged(
    status="qualifiee",
    matricule=Identifier(system=TEST_OID, value=WOMAN_OF_MAY_1979),
    proof="passeport",
    service=True,
)
DAY = date(2026, 11, 24)


# INS


def qualify(**fields: Any) -> ChangeInsStatus:
    told = {
        "status": "qualifiee",
        "matricule": WOMAN_OF_MAY_1979,
        "system": TEST_OID,
        "proof": "passeport",
        "service": True,
    }
    return ChangeInsStatus(**{**told, **fields})


@pytest.mark.parametrize("oid", [TEST_OID, REAL_OID])
def test_a_qualified_identity_alone_exports_its_matricule(oid: str) -> None:
    answer = given(IDENTITY).when(qualify(system=oid), by=COORDINATOR)
    matricule = Identifier(system=oid, value=WOMAN_OF_MAY_1979)
    answer.then(
        InsStatusChanged(status="qualifiee", matricule=matricule, proof="passeport", service=True)
    )
    assert exportable(*ins_status(answer.state)) == Identifier(
        system=oid, value=WOMAN_OF_MAY_1979, use="official"
    )


def test_a_retrieved_matricule_is_held_and_never_leaves() -> None:
    answer = given(IDENTITY).when(qualify(status="recuperee", proof=None), by=SYSTEM)
    held = Identifier(system=TEST_OID, value=WOMAN_OF_MAY_1979)
    answer.then(InsStatusChanged(status="recuperee", matricule=held, service=True))
    assert ins_status(answer.state) == ("recuperee", held)
    assert exportable(*ins_status(answer.state)) is None


def test_what_was_retrieved_is_qualified_by_a_proof_without_typing_it_again() -> None:
    held = Identifier(system=TEST_OID, value=WOMAN_OF_MAY_1979)
    before = InsStatusChanged(status="recuperee", matricule=held, service=True)
    given(IDENTITY, before).when(qualify(matricule=None, system=None)).then(QUALIFIED)


def test_going_down_takes_the_matricule_out_of_every_export() -> None:
    down = ChangeInsStatus(status="validee", proof="passeport", reason="Nom de naissance corrigé")
    answer = given(IDENTITY, QUALIFIED).when(down, by=COORDINATOR)
    answer.then(InsStatusChanged(status="validee", proof="passeport"))
    assert answer.events[0].envelope.reason == "Nom de naissance corrigé"
    assert exportable(*ins_status(answer.state)) is None
    silent = ChangeInsStatus(status="provisoire")
    given(IDENTITY, QUALIFIED).when(silent).refused("reason-missing", field="reason")


def test_the_last_status_written_counts_whatever_day_it_speaks_of() -> None:
    late = Told(InsStatusChanged(status="provisoire"), at="2020-01-01")
    assert exportable(*ins_status(given(IDENTITY, QUALIFIED, late).state)) is None
    wrong = Told(EntryMarkedInError(), target=entry(3))
    assert exportable(*ins_status(given(IDENTITY, QUALIFIED, late, wrong).state)) is not None


def test_an_identity_registered_as_qualified_exports_until_told_otherwise() -> None:
    identifiers = (Identifier(system=TEST_OID, value=WOMAN_OF_MAY_1979),)
    registered = Registered(
        birth_name="EXEMPLE", identifiers=identifiers, identity_status="qualifiee"
    )
    assert exportable(*ins_status(given(registered).state)) is not None
    known = Registered(birth_name="EXEMPLE", identifiers=identifiers)
    assert exportable(*ins_status(given(known).state)) is None


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"proof": None}, "proof-missing", "proof"),
        ({"proof": " "}, "proof-missing", "proof"),
        ({"service": False}, "service-missing", "service"),
        ({"status": "recuperee", "service": False}, "service-missing", "service"),
        ({"status": "validee"}, "matricule-without-service", "matricule"),
        ({"status": "provisoire"}, "matricule-without-service", "matricule"),
        ({"matricule": "179035121518994"}, "matricule-contradicts-traits", "matricule"),
        ({"matricule": "280035121518983"}, "matricule-contradicts-traits", "matricule"),
        ({"matricule": "279045121518986"}, "matricule-contradicts-traits", "matricule"),
    ],
)
def test_a_status_rests_on_what_it_needs(fields: dict[str, Any], code: str, field: str) -> None:
    if "matricule" in fields:
        digits = fields["matricule"][:13]
        fields = {"matricule": f"{digits}{97 - int(digits) % 97:02d}"}
    given(IDENTITY).when(qualify(**fields)).refused(code, field=field)


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"matricule": WOMAN_OF_MAY_1979[:-1] + "8"}, "invalid-field", "matricule"),
        ({"matricule": "279035A21518989"}, "invalid-field", "matricule"),
        ({"system": "urn:oid:2.999"}, "invalid-field", "system"),
        ({"system": None}, "missing-field", "system"),
        ({"matricule": None}, "missing-field", "matricule"),
        ({"matricule": None, "system": None}, "missing-field", "matricule"),
    ],
)
def test_a_matricule_has_a_key_and_an_oid(fields: dict[str, Any], code: str, field: str) -> None:
    given(IDENTITY).when(qualify(**fields)).invalid(code, field=field)


def test_a_corsican_matricule_and_an_unknown_month_are_no_contradiction() -> None:
    key = 97 - 2795019004001 % 97
    corsican = f"279502A004001{key:02d}"
    born_unknown = Registered(
        birth_name="EXEMPLE",
        first_names=("Jeanne",),
        birth_date="1979-03",
        sex="female",
        birth_place="2A004",
    )
    answer = given(born_unknown).when(qualify(matricule=corsican))
    assert answer.refusal is None


@pytest.mark.parametrize("missing", ["birth_name", "first_names", "birth_date", "birth_place"])
def test_five_traits_make_a_qualified_identity(missing: str) -> None:
    traits: dict[str, Any] = {
        "birth_name": "EXEMPLE",
        "first_names": ("Jeanne",),
        "birth_date": "1979-03-02",
        "sex": "female",
        "birth_place": "51215",
    }
    del traits[missing]
    given(Registered(**traits)).when(qualify()).refused("not-qualified", field="status")


# Contact details


def test_contact_details_replace_the_ones_before_and_the_same_again_is_nothing() -> None:
    first = ContactDetailsChanged(phones=(("fixe", "05 99 00 00 09"),))
    command = ChangeContactDetails(
        phones=(("mobile", " +33 6 99 00 00 01 "),),
        address="3 rue du Lavoir",
        trusted_person=RelatedPerson(name=" Dominique Exemple ", phone="+33 6 99 00 00 02"),
        legal_representatives=(RelatedPerson(name="Anne Exemple"),),
    )
    details = ContactDetailsChanged(
        phones=(("mobile", "+33 6 99 00 00 01"),),
        address="3 rue du Lavoir",
        trusted_person=RelatedPerson(name="Dominique Exemple", phone="+33 6 99 00 00 02"),
        legal_representatives=(RelatedPerson(name="Anne Exemple"),),
    )
    answer = given(IDENTITY, first).when(command, by=COORDINATOR).then(details)
    assert contact_details(answer.state) == details
    given(IDENTITY, details).when(command, by=COORDINATOR).nothing()
    given(IDENTITY).when(ChangeContactDetails(), by=COORDINATOR).nothing()


@pytest.mark.parametrize(
    ("command", "field"),
    [
        (ChangeContactDetails(phones=(("mobile", "appeler le voisin"),)), "phones[0][1]"),
        (ChangeContactDetails(phones=(("mobile", "+33 6 99 00 00 01 99 99 99"),)), "phones[0][1]"),
        (ChangeContactDetails(phones=(("x", "15"),) * 11), "phones"),
        (
            ChangeContactDetails(trusted_person=RelatedPerson(name="C", phone="?")),
            "trusted_person.phone",
        ),
    ],
)
def test_a_number_can_be_called(command: ChangeContactDetails, field: str) -> None:
    given(IDENTITY).when(command, by=COORDINATOR).invalid("invalid-field", field=field)


# Médecin traitant

DECLARED = MedecinTraitantDeclared(kind="centre", since="2026-01-05", centre=CENTRE)
END = EndMedecinTraitant(ended="2026-11-23", reason="Déménagement", successor="Dr Suivant")


def test_the_end_of_the_declaration_leaves_no_older_one() -> None:
    older = MedecinTraitantDeclared(kind="person", since="2020-01", name="Dr Avant")
    answer = given(IDENTITY, older, DECLARED).when(END, by=COORDINATOR)
    answer.then(MedecinTraitantEnded(ended="2026-11-23", successor="Dr Suivant"))
    assert (answer.events[0].envelope.target, answer.events[0].envelope.reason) == (
        entry(3),
        "Déménagement",
    )
    assert medecin_traitant(answer.state) is None
    given(IDENTITY).when(END, by=COORDINATOR).refused("no-medecin-traitant")


def test_after_an_end_the_same_centre_may_be_declared_again() -> None:
    ended = Told(MedecinTraitantEnded(ended="2026-11-20"), target=entry(2))
    again = DeclareMedecinTraitant(kind="centre", since="2026-11-23", centre=CENTRE)
    answer = given(IDENTITY, DECLARED, ended).when(again, by=COORDINATOR)
    renewed = MedecinTraitantDeclared(kind="centre", since="2026-11-23", centre=CENTRE)
    answer.then(renewed)
    assert medecin_traitant(answer.state) == renewed


def test_an_end_written_by_mistake_gives_the_declaration_back() -> None:
    ended = Told(MedecinTraitantEnded(ended="2026-11-20"), target=entry(2))
    wrong = Told(EntryMarkedInError(), target=entry(3))
    assert medecin_traitant(given(IDENTITY, DECLARED, ended, wrong).state) == DECLARED


def test_a_declaration_ends_after_it_began_and_not_in_the_future() -> None:
    early = EndMedecinTraitant(ended="2025", reason="Déménagement")
    late = EndMedecinTraitant(ended="2026-11-25", reason="Déménagement")
    given(IDENTITY, DECLARED).when(early, by=COORDINATOR).invalid("invalid-field", field="ended")
    given(IDENTITY, DECLARED).when(late, by=COORDINATOR).invalid("in-the-future", field="ended")


# Death

DIED = Told(DeathRecorded(date="2026-11-23", source="Hôpital"), at="2026-11-23T18:00:00+01:00")
POTASSIUM = Concept(text="K", codings=(Coding(system="http://loinc.org", code="2823-3"),))
FLU = Concept(text="Grippe")


def test_a_death_is_recorded_once_with_its_source() -> None:
    command = RecordDeath(date="2026-11-23", source="Appel de la famille")
    answer = given(IDENTITY).when(command)
    answer.then(DeathRecorded(date="2026-11-23", source="Appel de la famille"))
    assert death_of(answer.state) is not None
    given(IDENTITY, DIED).when(command).refused("death-already-recorded")
    wrong = Told(EntryMarkedInError(), target=entry(2))
    assert given(IDENTITY, DIED, wrong).when(command).refusal is None


def test_a_death_lies_between_birth_and_now() -> None:
    given(IDENTITY).when(RecordDeath(date="2026-11-25", source="x")).invalid(
        "in-the-future", field="date"
    )
    given(IDENTITY).when(RecordDeath(date="1979-02", source="x")).invalid(
        "before-birth", field="date"
    )


def _undated(name: str) -> Command:
    example = dict(COMMANDS[name].example)
    example.pop("given_on", None)
    example.pop("performed", None)
    return COMMANDS[name].parse(example)


@pytest.mark.parametrize("act", sorted(kind.name for kind in CARE_ACTS))
def test_no_care_follows_a_death(act: str) -> None:
    """Every act of the table, done now: the patient died yesterday."""
    given(IDENTITY, DIED).when(_undated(act)).refused("after-death")


@pytest.mark.parametrize(
    "command",
    [
        SignNote(plan="Appel de la famille"),
        StopMedication(medication=entry(3), reason="Décès"),
        RecordConsultation(occurred_at="2026-11-23T09:00:00+01:00", note=SignNote(plan="Vu")),
        RecordImmunization(vaccine=FLU, given_on="2026-11-20"),
        RecordObservation(
            code=POTASSIUM,
            value=Quantity(value="4.1", unit="mmol/L"),
            occurred_at="2026-11-22",
        ),
        NoticeAppointment(
            starts_at="2026-11-25T10:00:00+01:00", reference="a1", status="cancelled"
        ),
    ],
    ids=lambda command: command.name,
)
def test_what_is_no_care_or_came_before_still_enters(command: Command) -> None:
    before = (
        IDENTITY,
        DIED,
        MedicationStarted(concept=Concept(text="Ramipril")),
        AppointmentNoticed(starts_at="2026-11-25T10:00:00+01:00", reference="a1"),
    )
    assert given(*before).when(command).refusal is None


def test_a_part_of_an_earlier_consultation_does_not_follow_the_death() -> None:
    drug = StartMedication(
        concept=Concept(text="Ramipril"), occurred_at="2026-11-24T09:00:00+01:00"
    )
    seen = RecordConsultation(occurred_at="2026-11-23T09:00:00+01:00", medications=(drug,))
    given(IDENTITY, DIED).when(seen).refused("after-death")


def test_a_handover_says_no_new_severity_of_the_dead() -> None:
    told = WriteHandover(severity="unstable", summary="Décédée dimanche")
    given(IDENTITY, DIED).when(told).refused("after-death")
    known = IllnessSeveritySet(severity="unstable", reason="Dyspnée")
    assert given(IDENTITY, known, DIED).when(told).refusal is None
    reason = WriteHandover(severity="unstable", severity_reason="Pire", summary="Décédée")
    given(IDENTITY, known, DIED).when(reason).refused("after-death")
    early = WriteHandover(
        severity="unstable", summary="Vue vendredi", occurred_at="2026-11-20T09:00:00+01:00"
    )
    assert "after-death" not in str(given(IDENTITY, DIED).when(early).refusal)


def test_a_day_of_death_counts_until_it_was_written_down() -> None:
    """Written down at 10:00 the day before ``when`` asks, about that very day."""
    at_noon = NoticeAppointment(starts_at="2026-11-23T12:00:00+01:00")
    at_nine = NoticeAppointment(starts_at="2026-11-23T09:00:00+01:00")
    given(IDENTITY, DIED).when(at_noon).refused("after-death")
    assert given(IDENTITY, DIED).when(at_nine).refusal is None


def test_a_death_marked_in_error_lets_care_go_on() -> None:
    wrong = Told(EntryMarkedInError(), target=entry(2))
    seen = RecordConsultation(note=SignNote(plan="Va bien"))
    assert given(IDENTITY, DIED, wrong).when(seen).refusal is None


# Appointments

AT_TEN = AppointmentNoticed(starts_at="2026-11-25T10:00:00+01:00", reference="a1")
NOW = datetime.fromisoformat("2026-11-24T10:00:00+01:00")


def test_the_same_reference_moves_and_then_cancels_an_appointment() -> None:
    move = NoticeAppointment(starts_at="2026-11-26T09:00:00+01:00", reference="a1")
    moved = AppointmentNoticed(starts_at="2026-11-26T09:00:00+01:00", reference="a1")
    answer = given(IDENTITY, AT_TEN).when(move, by=COORDINATOR).then(moved)
    assert answer.events[0].envelope.target == entry(2)
    assert [noticed for *_, noticed in booked(answer.state)] == [moved]
    cancel = NoticeAppointment(
        starts_at="2026-11-25T10:00:00+01:00", reference="a1", status="cancelled"
    )
    assert list(booked(given(IDENTITY, AT_TEN).when(cancel, by=COORDINATOR).state)) == []


def test_the_day_list_may_come_twice() -> None:
    again = NoticeAppointment(starts_at="2026-11-25T10:00:00+01:00", reference="a1")
    given(IDENTITY, AT_TEN).when(again, by=COORDINATOR).nothing()
    unnamed = AppointmentNoticed(starts_at="2026-11-25T10:00:00+01:00")
    in_utc = NoticeAppointment(starts_at="2026-11-25T09:00:00Z", status="cancelled")
    answer = given(IDENTITY, unnamed).when(in_utc, by=COORDINATOR)
    assert list(booked(answer.state)) == []


def test_only_a_known_appointment_is_cancelled() -> None:
    cancel = NoticeAppointment(
        starts_at="2026-11-25T10:00:00+01:00", reference="a2", status="cancelled"
    )
    given(IDENTITY, AT_TEN).when(cancel, by=COORDINATOR).refused(
        "unknown-appointment", field="reference"
    )
    without_offset = NoticeAppointment(starts_at="2026-11-25T10:00:00")
    given(IDENTITY).when(without_offset, by=COORDINATOR).invalid("invalid-field", field="starts_at")
    endless = NoticeAppointment(starts_at="2026-11-25T10:00:00+01:00", minutes=481)
    given(IDENTITY).when(endless, by=COORDINATOR).invalid("invalid-field", field="minutes")


# ALD

DIABETES = AldStatusChanged(status="granted", code="8", starts="2022-02-01", ends="2027-02-12")


def test_an_ald_is_granted_with_its_number_and_dates() -> None:
    command = ChangeAldStatus(status="granted", code="8", starts="2022-02-01", ends="2027-02-12")
    answer = given(IDENTITY).when(command).then(DIABETES)
    (ald,) = alds(answer.state)
    assert (ald.code, ald.starts, ald.ends) == ("8", "2022-02-01", "2027-02-12")
    given(IDENTITY, DIABETES).when(command).refused("ald-already-granted", field="code")


def test_the_coordinator_gives_dates_and_never_the_number() -> None:
    told = ChangeAldStatus(status="granted", code="8", starts="2026-11-23")
    given(IDENTITY).when(told, by=COORDINATOR).refused("ald-code-is-clinical", field="code")
    dates = ChangeAldStatus(status="granted", starts="2026-11-23", ends="2031-11-22")
    answer = given(IDENTITY).when(dates, by=COORDINATOR)
    unnamed = AldStatusChanged(status="granted", starts="2026-11-23", ends="2031-11-22")
    answer.then(unnamed)
    completed = given(IDENTITY, unnamed).when(
        ChangeAldStatus(status="granted", code="8", starts="2026-11-23")
    )
    (ald,) = alds(completed.state)
    assert (ald.code, ald.starts, ald.ends) == ("8", "2026-11-23", "2031-11-22")


def test_dates_alone_complete_the_ald_that_a_doctor_named() -> None:
    dates = ChangeAldStatus(status="granted", starts="2022-02-01", ends="2028-02-12")
    answer = given(IDENTITY, DIABETES).when(dates, by=COORDINATOR)
    (ald,) = alds(answer.state)
    assert (ald.code, ald.starts, ald.ends) == ("8", "2022-02-01", "2028-02-12")
    same = ChangeAldStatus(status="granted", starts="2022-02-01", ends="2027-02-12")
    again = given(IDENTITY, DIABETES)
    again.when(same, by=COORDINATOR).refused("ald-already-granted", field="starts")
    renew = ChangeAldStatus(status="renewed", ends="2032-02-12")
    assert given(IDENTITY, DIABETES).when(renew, by=COORDINATOR).refusal is None


def test_a_renewal_by_dates_alone_keeps_the_number_and_the_first_day() -> None:
    renew = ChangeAldStatus(status="renewed", starts="2027-02-13", ends="2032-02-12")
    answer = given(IDENTITY, DIABETES).when(renew, by=COORDINATOR)
    assert answer.events[0].envelope.target == entry(2)
    (ald,) = alds(answer.state)
    assert (ald.code, ald.starts, ald.ends) == ("8", "2022-02-01", "2032-02-12")
    heart = AldStatusChanged(status="granted", code="5", starts="2024")
    given(IDENTITY, DIABETES, heart).when(renew, by=COORDINATOR).refused("ald-ambiguous")
    named = ChangeAldStatus(status="renewed", code="8", ends="2032-02-12")
    assert given(IDENTITY, DIABETES, heart).when(named).events[0].envelope.target == entry(2)


def test_an_ald_that_ended_stays_known_as_ended_and_may_be_granted_again() -> None:
    end = ChangeAldStatus(status="ended", code="8", ends="2026-11-20")
    answer = given(IDENTITY, DIABETES).when(end)
    (ald,) = alds(answer.state)
    assert (ald.ended, ald.ends) == (True, "2026-11-20")
    ended = Told(AldStatusChanged(status="ended", ends="2026-11-20"), target=entry(2))
    again = ChangeAldStatus(status="granted", code="8", starts="2026-11-24")
    assert given(IDENTITY, DIABETES, ended).when(again).events[0].envelope.target is None
    given(IDENTITY, DIABETES, ended).when(end).refused("no-ald")


@pytest.mark.parametrize(
    ("command", "code", "field"),
    [
        (ChangeAldStatus(status="granted", code="33", starts="2026"), "invalid-field", "code"),
        (ChangeAldStatus(status="granted", code="08", starts="2026"), "invalid-field", "code"),
        (ChangeAldStatus(status="granted", starts="2026"), "missing-field", "code"),
        (ChangeAldStatus(status="granted", code="8"), "missing-field", "starts"),
        (
            ChangeAldStatus(status="granted", code="8", starts="2026-11-23", ends="2026-11-22"),
            "invalid-field",
            "ends",
        ),
        (ChangeAldStatus(status="renewed", code="8"), "missing-field", "ends"),
        (ChangeAldStatus(status="renewed", code="8", ends="2021"), "invalid-field", "ends"),
    ],
)
def test_an_ald_that_cannot_be_is_refused(command: ChangeAldStatus, code: str, field: str) -> None:
    before = (IDENTITY, DIABETES) if command.status == "renewed" else (IDENTITY,)
    given(*before).when(command).invalid(code, field=field)


# Vigilance

POINT = VigilancePointSet(text="Rein unique : pas d'AINS", until="2026-12-01")


def test_a_vigilance_point_is_one_line_until_its_day() -> None:
    command = SetVigilancePoint(text=" Rein unique : pas d'AINS ", until="2026-12-01")
    answer = given(IDENTITY).when(command).then(POINT)
    assert [e.payload for e in current_vigilance(answer.state, date(2026, 12, 1))] == [POINT]
    assert list(current_vigilance(answer.state, date(2026, 12, 2))) == []
    given(IDENTITY, POINT).when(command).refused("already-recorded", field="text")


@pytest.mark.parametrize(
    ("text", "until", "code", "field"),
    [
        ("x" * 161, None, "invalid-field", "text"),
        ("une\ndeux", None, "invalid-field", "text"),
        (" ", None, "missing-field", "text"),
        ("Rein unique", "2026-11-23", "in-the-past", "until"),
    ],
)
def test_a_point_nobody_could_read_is_refused(
    text: str, until: str | None, code: str, field: str
) -> None:
    given(IDENTITY).when(SetVigilancePoint(text=text, until=until)).invalid(code, field=field)


def test_a_point_is_lifted_once_for_a_reason() -> None:
    lift = LiftVigilancePoint(point=entry(2), reason="Greffe")
    answer = given(IDENTITY, POINT).when(lift).then(VigilancePointLifted())
    assert answer.events[0].envelope.reason == "Greffe"
    assert list(current_vigilance(answer.state, DAY)) == []
    lifted = Told(VigilancePointLifted(), target=entry(2))
    given(IDENTITY, POINT, lifted).when(lift).refused("already-lifted", field="point")
    given(IDENTITY, POINT).when(LiftVigilancePoint(point=entry(2), reason="")).invalid(
        "missing-field", field="reason"
    )
    given(IDENTITY, NoteSigned(plan="x")).when(lift).refused("unknown-entry", field="point")


# Review of the summary


def test_the_slots_that_are_read_are_those_of_the_summary() -> None:
    assert tuple(slot.name for slot in summary_lines.SLOTS) == SLOT_NAMES


def test_a_review_names_what_was_read_and_when_to_read_again() -> None:
    command = ReviewSummary(slots=("problems", "allergies"), next_review="2027-11")
    answer = given(IDENTITY).when(command)
    answer.then(SummaryReviewed(slots=("problems", "allergies"), next_review="2027-11"))
    given(IDENTITY).when(ReviewSummary()).then(SummaryReviewed())


@pytest.mark.parametrize(
    ("command", "code", "field"),
    [
        (ReviewSummary(slots=("problems", "poems")), "invalid-field", "slots[1]"),
        (ReviewSummary(slots=("problems", "problems")), "invalid-field", "slots[1]"),
        (ReviewSummary(next_review="2026-11-24"), "in-the-past", "next_review"),
    ],
)
def test_a_review_of_nothing_known_is_refused(
    command: ReviewSummary, code: str, field: str
) -> None:
    given(IDENTITY).when(command).invalid(code, field=field)
