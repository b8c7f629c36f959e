"""A stint that begins early: whoever answers for what is open may open the records."""

from __future__ import annotations

from datetime import timedelta

from releve.api.gate import windows_of
from releve.domain.aggregates.stint import StintPlanned, StintStarted
from releve.domain.commands import StartStint
from releve.domain.values import NamedPerson
from releve.projections.directory import CentreEntry, Directory, StintLine
from releve.projections.ranking import viewpoint
from releve.security.policy import phase
from support.given import AMONT, CENTRE, COORDINATOR, NOW, given, named

SOMEBODY = NamedPerson(name="Dr Odile Référente", phone="+33 5 99 00 00 01")
PERSON, STINT = named("amont"), named("stint of amont")


def planned(days: int) -> StintPlanned:
    start = NOW + timedelta(days=days)
    return StintPlanned(
        practitioner=PERSON,
        practitioner_name=AMONT.name,
        centre=CENTRE,
        starts_at=start.isoformat(),
        ends_at=(start + timedelta(days=5)).isoformat(),
    )


def test_a_stint_of_another_week_is_not_started_by_mistake() -> None:
    given(planned(14), kind="stint").when(StartStint(), by=COORDINATOR).refused("too-early")
    told = StartStint(occurred_at="2020")
    given(planned(0), kind="stint").when(told, by=COORDINATOR).refused("too-early")
    answer = given(planned(2), kind="stint").when(StartStint(), by=COORDINATOR)
    answer.then(StintStarted(rpps_verified=True))


def test_the_rights_of_a_doctor_begin_with_what_they_answer_for() -> None:
    start = NOW + timedelta(days=2)
    line = StintLine(
        stint=STINT,
        practitioner=PERSON,
        practitioner_name=AMONT.name,
        centre=CENTRE,
        starts_at=start,
        ends_at=start + timedelta(days=5),
        started_at=NOW - timedelta(hours=1),
    )
    centre = CentreEntry(
        centre=CENTRE, name="Centre", finess="990000010", referent=SOMEBODY, on_call_chain=()
    )
    directory = Directory([centre, line])
    assert line.active(NOW)
    (window,) = windows_of(directory, PERSON)
    assert phase(window, NOW) == "in-post"
    assert viewpoint(line, "Europe/Paris", NOW, -1).day == NOW.date()
