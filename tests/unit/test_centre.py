"""Centres and practitioners: named people, valid numbers."""

from __future__ import annotations

from typing import Any

import pytest

from releve.domain.aggregates.health_centre import CentreOpened
from releve.domain.aggregates.practitioner import PractitionerOnboarded
from releve.domain.commands import OnboardPractitioner, OpenCentre
from releve.domain.values import NamedPerson
from support.given import AMONT, COORDINATOR, STREAM, given

REFERENT = NamedPerson(name="Dr Camille Référent", phone="+33 5 99 00 00 01")
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
