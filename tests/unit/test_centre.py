"""Centres and practitioners: named people, valid numbers."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from uuid import UUID

import pytest

from releve.domain.aggregates.health_centre import (
    CentreOpened,
    ClosureRecorded,
    Days,
    GapRecorded,
    PolicyChanged,
    RosterChanged,
    SiteAdded,
    is_open,
    public_holidays,
)
from releve.domain.aggregates.practitioner import (
    PractitionerOnboarded,
    PractitionerSuspended,
    PractitionerVerified,
    RoleGranted,
    RoleRevoked,
)
from releve.domain.aggregates.rules import RulesReleaseActivated
from releve.domain.commands import (
    ActivateRulesRelease,
    AddSite,
    ChangePolicy,
    ChangeRoster,
    GrantRole,
    OnboardPractitioner,
    OpenCentre,
    RecordClosure,
    RecordGap,
    RevokeRole,
    SuspendPractitioner,
    VerifyPractitioner,
)
from releve.domain.values import ExpectedSource, NamedPerson, OpeningSlot
from support.given import AMONT, CENTRE, COORDINATOR, OTHER_CENTRE, STREAM, SYSTEM, Told, given

REFERENT = NamedPerson(name="Dr Camille Référent", phone="+33 5 99 00 00 01")
SOMEBODY = UUID(int=7)
SECOND = NamedPerson(name="Dr Alix Second", phone="+33 5 99 00 00 02")


def opening(**fields: Any) -> OpenCentre:
    return OpenCentre(
        **{
            "centre_name": "Centre d'Exemple",
            "finess": "990000010",
            "referent": REFERENT,
            "on_call_chain": (REFERENT, SECOND),
            **fields,
        }
    )


OPENED = CentreOpened(
    name="Centre d'Exemple",
    finess="990000010",
    referent=REFERENT,
    on_call_chain=(REFERENT, SECOND),
)


def test_a_centre_opens_with_a_referent_and_a_chain_of_two_people() -> None:
    answer = given(kind="centre").when(opening(), by=COORDINATOR, centre=None)
    answer.then(OPENED)
    assert answer.events[0].key_scope == STREAM
    assert answer.state.referent == REFERENT


@pytest.mark.parametrize(
    "chain",
    [
        (),
        (REFERENT,),
        (REFERENT, NamedPerson(name="dr camille référent", phone="+33 5 99 00 00 09")),
        (REFERENT, NamedPerson(name="Camille Référent", phone=REFERENT.phone.replace(" ", ""))),
        (
            NamedPerson(name="Dr Rose", phone="05 99 00 00 07", person=SOMEBODY),
            NamedPerson(name="Rose Essai", phone="05 99 00 00 08", person=SOMEBODY),
        ),
        (
            NamedPerson(name="Dr Rose", phone="05 99 00 00 07"),
            NamedPerson(name="Rose Essai", phone="+33 5 99 00 00 07"),
        ),
    ],
)
def test_a_chain_of_one_person_does_not_open_a_centre(chain: tuple[NamedPerson, ...]) -> None:
    given(kind="centre").when(opening(on_call_chain=chain), by=COORDINATOR).refused(
        "chain-too-short", field="on_call_chain"
    )


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"finess": "990000011"}, "invalid-field", "finess"),
        ({"zone": "Europe/Ajain"}, "invalid-field", "zone"),
        ({"centre_name": " "}, "missing-field", "centre_name"),
        ({"referent": NamedPerson(name="", phone="1")}, "missing-field", "referent.name"),
        (
            {"on_call_chain": (REFERENT, NamedPerson(name="Dr X", phone=" "))},
            "missing-field",
            "on_call_chain[1].phone",
        ),
    ],
)
def test_a_centre_that_cannot_be_does_not_open(
    fields: dict[str, Any], code: str, field: str
) -> None:
    given(kind="centre").when(opening(**fields), by=COORDINATOR).invalid(code, field=field)


def test_a_centre_opens_once_and_not_by_a_doctor() -> None:
    given(OPENED, kind="centre").when(opening(), by=COORDINATOR).refused("already-open")
    given(kind="centre").when(opening(), by=AMONT).refused("role-not-allowed")


def test_a_practitioner_is_known_by_name_and_a_valid_rpps() -> None:
    known = OnboardPractitioner(family="Amont", given="Dominique", rpps="10000000009")
    onboarded = PractitionerOnboarded(name="Amont", given="Dominique", rpps="10000000009")
    given(kind="practitioner").when(known, by=COORDINATOR).then(onboarded)
    given(onboarded, kind="practitioner").when(known, by=COORDINATOR).refused("already-onboarded")
    wrong = OnboardPractitioner(family="Amont", given="Dominique", rpps="10000000008")
    given(kind="practitioner").when(wrong, by=COORDINATOR).invalid("invalid-field", field="rpps")
    nameless = OnboardPractitioner(family="", given="Dominique")
    given(kind="practitioner").when(nameless, by=COORDINATOR).invalid(
        "missing-field", field="family"
    )


def test_a_coordinator_has_no_rpps() -> None:
    asked = OnboardPractitioner(family="Lou", given="Sam", title="", role="coordinator")
    given(kind="practitioner").when(asked, by=COORDINATOR).then(
        PractitionerOnboarded(name="Lou", given="Sam", title="", role="coordinator")
    )


EHPAD = AddSite(site_name="EHPAD de l'Exemple", kind="ehpad", finess="990000028")


def test_a_site_is_added_once() -> None:
    added = SiteAdded(name="EHPAD de l'Exemple", kind="ehpad", finess="990000028")
    given(OPENED, kind="centre").when(EHPAD, by=COORDINATOR).then(added)
    known = given(OPENED, added, kind="centre")
    known.when(AddSite(site_name="ehpad de l'exemple", kind="ehpad"), by=COORDINATOR).refused(
        "site-known", field="site_name"
    )
    known.when(
        AddSite(site_name="Annexe", kind="annexe", finess="990000010"), by=COORDINATOR
    ).refused("site-known", field="finess")
    known.when(
        AddSite(site_name="Annexe", kind="annexe", finess="990000011"), by=COORDINATOR
    ).invalid("invalid-field", field="finess")
    known.when(EHPAD, by=AMONT).refused("role-not-allowed")


MORNING = OpeningSlot(weekday=1, opens="08:30", closes="12:30")
AFTERNOON = OpeningSlot(weekday=1, opens="12:30", closes="18:00")
LABORATORY = ExpectedSource(system="Laboratoire de l'exemple", within_hours=48)


def test_hours_and_sources_replace_what_they_were() -> None:
    changed = PolicyChanged(opening=(MORNING, AFTERNOON), expected_sources=(LABORATORY,))
    command = ChangePolicy(opening=(AFTERNOON, MORNING), expected_sources=(LABORATORY,))
    given(OPENED, kind="centre").when(command, by=COORDINATOR).then(changed)
    given(OPENED, changed, kind="centre").when(command, by=COORDINATOR).nothing()
    given(OPENED, changed, kind="centre").when(ChangePolicy(), by=COORDINATOR).then(PolicyChanged())


@pytest.mark.parametrize(
    ("policy", "field"),
    [
        (ChangePolicy(opening=(OpeningSlot(weekday=0, opens="08:00", closes="12:00"),)),
         "opening[0].weekday"),
        (ChangePolicy(opening=(MORNING, OpeningSlot(weekday=8, opens="08:00", closes="12:00"))),
         "opening[1].weekday"),
        (ChangePolicy(opening=(OpeningSlot(weekday=1, opens="8h", closes="12:00"),)),
         "opening[0].opens"),
        (ChangePolicy(opening=(OpeningSlot(weekday=1, opens="08:00", closes="24:01"),)),
         "opening[0].closes"),
        (ChangePolicy(opening=(OpeningSlot(weekday=1, opens="12:00", closes="12:00"),)),
         "opening[0].closes"),
        (ChangePolicy(expected_sources=(ExpectedSource(system="Labo", within_hours=0),)),
         "expected_sources[0].within_hours"),
        (ChangePolicy(expected_sources=(LABORATORY, ExpectedSource(system=LABORATORY.system))),
         "expected_sources"),
    ],
)  # fmt: skip
def test_hours_that_cannot_be_are_refused(policy: ChangePolicy, field: str) -> None:
    given(OPENED, kind="centre").when(policy, by=COORDINATOR).invalid("invalid-field", field=field)


def test_hours_of_one_day_never_overlap() -> None:
    noon = OpeningSlot(weekday=1, opens="12:00", closes="14:00")
    other_day = OpeningSlot(weekday=2, opens="12:00", closes="14:00")
    record = given(OPENED, kind="centre")
    record.when(ChangePolicy(opening=(noon, MORNING)), by=COORDINATOR).refused(
        "slots-overlap", field="opening"
    )
    assert record.when(ChangePolicy(opening=(other_day, MORNING)), by=COORDINATOR).refusal is None


def test_a_roster_keeps_a_referent_and_a_chain_of_two() -> None:
    third = NamedPerson(name="Dr Noor Troisième", phone="+33 5 99 00 00 05")
    office = NamedPerson(name="Mme Exemple", phone="+33 5 99 00 00 03")
    command = ChangeRoster(referent=SECOND, on_call_chain=(SECOND, third), coordinators=(office,))
    roster = RosterChanged(referent=SECOND, on_call_chain=(SECOND, third), coordinators=(office,))
    record = given(OPENED, kind="centre")
    answer = record.when(command, by=COORDINATOR)
    answer.then(roster)
    assert answer.state.referent == SECOND
    given(OPENED, roster, kind="centre").when(command, by=COORDINATOR).nothing()
    record.when(ChangeRoster(referent=SECOND, on_call_chain=(SECOND,)), by=COORDINATOR).refused(
        "chain-too-short", field="on_call_chain"
    )
    record.when(
        ChangeRoster(referent=NamedPerson(name="Dr X", phone=""), on_call_chain=(SECOND, third)),
        by=COORDINATOR,
    ).invalid("missing-field", field="referent.phone")


DAYS = {"first_day": "2026-12-28", "last_day": "2027-01-03", "reason": "Aucun volontaire"}


@pytest.mark.parametrize(
    ("kind", "payload"), [(RecordClosure, ClosureRecorded), (RecordGap, GapRecorded)]
)
def test_days_without_centre_or_doctor_are_told_once_and_never_overlap(
    kind: type[RecordClosure | RecordGap], payload: type[ClosureRecorded | GapRecorded]
) -> None:
    record = given(OPENED, kind="centre")
    record.when(kind(**DAYS), by=COORDINATOR).then(payload(**DAYS))
    known = given(OPENED, payload(**DAYS), kind="centre")
    known.when(kind(**DAYS), by=COORDINATOR).nothing()
    known.when(kind(**{**DAYS, "first_day": "2027-01-03"}), by=COORDINATOR).refused("days-overlap")
    after = {**DAYS, "first_day": "2027-01-04", "last_day": "2027-01-04"}
    known.when(kind(**after), by=COORDINATOR).then(payload(**after))
    for fields, code, field in (
        ({"last_day": "2026-12-27"}, "invalid-field", "last_day"),
        ({"first_day": "2026-12"}, "invalid-field", "first_day"),
        ({"last_day": "2037-01-03"}, "invalid-field", "last_day"),
        ({"reason": " "}, "missing-field", "reason"),
    ):
        record.when(kind(**{**DAYS, **fields}), by=COORDINATOR).invalid(code, field=field)


def test_public_holidays_are_those_of_france() -> None:
    assert sorted(public_holidays(2026)) == [
        date(2026, 1, 1), date(2026, 4, 6), date(2026, 5, 1), date(2026, 5, 8), date(2026, 5, 14),
        date(2026, 5, 25), date(2026, 7, 14), date(2026, 8, 15), date(2026, 11, 1),
        date(2026, 11, 11), date(2026, 12, 25),
    ]  # fmt: skip
    # Easter Mondays as the Bureau des longitudes gives them; 2008 had Ascension on 1 May.
    for monday in ("2008-03-24", "2011-04-25", "2024-04-01", "2038-04-26", "2100-03-29"):
        day = date.fromisoformat(monday)
        assert day in public_holidays(day.year)
    assert len(public_holidays(2008)) == 10


@pytest.mark.parametrize(
    ("at", "opened"),
    [
        ("2026-11-23T08:29", False),
        ("2026-11-23T08:30", True),
        ("2026-11-23T12:29", True),
        ("2026-11-23T18:00", False),
        ("2026-11-24T09:00", False),
        ("2026-11-30T09:00", False),  # closed that day
        ("2026-05-25T09:00", False),  # Whit Monday
    ],
)
def test_a_centre_is_open_in_its_hours_but_not_on_holidays(at: str, opened: bool) -> None:
    closed = (Days(date(2026, 11, 30), date(2026, 12, 1), "Travaux"),)
    moment = datetime.fromisoformat(at)
    assert is_open((MORNING, AFTERNOON), closed, moment) is opened
    assert is_open((), closed, moment) is None


ONBOARDED = PractitionerOnboarded(name="Amont", given="Dominique", rpps="10000000009")


def test_a_verification_has_a_proof_and_ends_a_suspension() -> None:
    verify = VerifyPractitioner(proof="Annuaire Santé", rpps="10000000009")
    verified = PractitionerVerified(proof="Annuaire Santé", rpps="10000000009")
    suspended = Told(PractitionerSuspended(), reason="Inscription interrompue")
    record = given(ONBOARDED, suspended, kind="practitioner")
    assert record.state.suspended
    answer = record.when(verify, by=COORDINATOR)
    answer.then(verified)
    assert (answer.state.suspended, answer.state.verified) == (False, True)
    record.when(VerifyPractitioner(proof=""), by=COORDINATOR).invalid(
        "missing-field", field="proof"
    )
    other = "10000000017"
    record.when(VerifyPractitioner(proof="x", rpps=other), by=COORDINATOR).refused(
        "other-rpps", field="rpps"
    )


def test_a_suspension_has_a_reason_and_is_told_once() -> None:
    suspend = SuspendPractitioner(reason="Inscription interrompue")
    answer = given(ONBOARDED, kind="practitioner").when(suspend, by=COORDINATOR)
    answer.then(PractitionerSuspended())
    assert answer.events[0].envelope.reason == "Inscription interrompue"
    given(ONBOARDED, PractitionerSuspended(), kind="practitioner").when(
        suspend, by=COORDINATOR
    ).nothing()
    given(ONBOARDED, kind="practitioner").when(suspend, by=AMONT).refused("role-not-allowed")


def test_a_role_is_granted_at_a_centre_and_taken_back() -> None:
    grant = GrantRole(role="nurse", centre=CENTRE, until="2027-06-30")
    granted = RoleGranted(role="nurse", centre=CENTRE, until="2027-06-30")
    record = given(ONBOARDED, kind="practitioner")
    record.when(grant, by=COORDINATOR).then(granted)
    record.when(GrantRole(role="doctor", centre=CENTRE), by=COORDINATOR).refused(
        "not-a-standing-role", field="role"
    )
    for until in ("2026-11-23", "2027-06"):
        record.when(GrantRole(role="nurse", centre=CENTRE, until=until), by=COORDINATOR).invalid(
            "invalid-field", field="until"
        )
    held = given(ONBOARDED, granted, kind="practitioner")
    held.when(grant, by=COORDINATOR).nothing()
    held.when(GrantRole(role="nurse", centre=CENTRE), by=COORDINATOR).then(
        RoleGranted(role="nurse", centre=CENTRE)
    )
    revoke = RevokeRole(role="nurse", centre=CENTRE, reason="Départ")
    answer = held.when(revoke, by=COORDINATOR)
    answer.then(RoleRevoked(role="nurse", centre=CENTRE))
    assert answer.state.roles == {}
    held.when(RevokeRole(role="nurse", centre=OTHER_CENTRE, reason="x"), by=COORDINATOR).refused(
        "role-not-held", field="role"
    )
    given(ONBOARDED, PractitionerSuspended(), kind="practitioner").when(
        grant, by=COORDINATOR
    ).refused("suspended")


def release(name: str, sha256: str) -> ActivateRulesRelease:
    return ActivateRulesRelease(
        release=name, sha256=sha256, signer="releve-rules+00000000+AA", reviewed_by="Non relu."
    )


def activated(name: str, sha256: str) -> RulesReleaseActivated:
    return RulesReleaseActivated(
        release=name, sha256=sha256, signer="releve-rules+00000000+AA", reviewed_by="Non relu."
    )


def test_a_release_is_put_in_force_once_and_its_name_means_one_thing() -> None:
    first, second = ("2026-11", "11" * 32), ("2026-11-2", "22" * 32)
    given(kind="rules").when(release(*first), by=SYSTEM).then(activated(*first))
    given(activated(*first), kind="rules").when(release(*first), by=SYSTEM).nothing()
    both = given(activated(*first), activated(*second), kind="rules")
    assert both.state.release == "2026-11-2"
    both.when(release("2026-11", "33" * 32), by=SYSTEM).refused("other-release", field="release")
    both.when(release(*first), by=SYSTEM).then(activated(*first))
    both.when(release("2026-12", "AB" * 32), by=SYSTEM).invalid("invalid-field", field="sha256")
    both.when(release("2026-12", "44" * 32), by=COORDINATOR).refused("role-not-allowed")
