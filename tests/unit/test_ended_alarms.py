"""What became of a kept card's alarms: no value is called judged that nobody saw."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from releve.domain.aggregates.patient.corrections import EntryMarkedInError
from releve.domain.aggregates.patient.results import ResultReviewed
from releve.domain.aggregates.patient.severity import IllnessSeveritySet
from releve.domain.aggregates.patient.validation import EntryValidated
from releve.domain.events import Event
from releve.projections.briefing_text import alarm_line
from releve.projections.dates import Moment
from releve.projections.ended_alarms import Became, ended_alarms
from support.briefing import ME, NEW, new_card, person
from support.patient_events import Stream, summary_of
from support.results import CDA, measure, phoned, result

AT = Moment(datetime(2026, 11, 16, 18, 0, tzinfo=UTC), "Europe/Paris")
REPLACED = Became("remplacé depuis par une autre version")
WRONG = Became("marqué erroné depuis")


def became(stream: Stream, came: Event, then: Callable[[Stream, Event], object]) -> Became | None:
    """What a card that rang for ``came`` says of it once ``then`` happened."""
    kept = new_card(stream)
    assert [line["entry"] for line in kept["alarms"]] == [str(came.event_id)]
    then(stream, came)
    return ended_alarms(kept, summary_of(stream), NEW, AT).get(str(came.event_id))


def read(stream: Stream, came: Event) -> None:
    stream.add(ResultReviewed(verdict="critical"), target=came.event_id, author=ME)


def in_error(stream: Stream, came: Event) -> None:
    stream.add(EntryMarkedInError(), target=came.event_id, reason="autre patient")


def replaced(stream: Stream, came: Event) -> None:
    stream.add(result("corrected", "4.2"), target=came.event_id)


def refused(stream: Stream, came: Event) -> None:
    stream.add(EntryValidated(verdict="refused"), target=came.event_id, reason="autre patient")


def accepted(stream: Stream, came: Event) -> None:
    stream.add(EntryValidated(verdict="accepted"), target=came.event_id)


def judged(stream: Stream, came: Event) -> None:
    accepted(stream, came)
    stream.add(IllnessSeveritySet(severity="unstable", reason="kaliémie"))


def nothing(stream: Stream, came: Event) -> None:
    pass


@pytest.mark.parametrize(
    ("then", "said"),
    [
        (nothing, None),
        (
            read,
            Became(
                "lu à 13\N{NO-BREAK SPACE}h\N{NO-BREAK SPACE}00 par Dr Paul Lenoir", judged=True
            ),
        ),
        (replaced, REPLACED),
        (in_error, WRONG),
    ],
)
def test_a_version_of_a_result(
    then: Callable[[Stream, Event], object], said: Became | None
) -> None:
    stream = person()
    came = stream.add(phoned("6.8"))
    assert became(stream, came, then) == said


def test_a_version_in_error_is_not_replaced_by_the_one_before_it() -> None:
    stream = person()
    first = stream.add(result("final", "4.1"))
    came = stream.add(result("corrected", "6.8"), target=first.event_id)
    assert became(stream, came, in_error) == WRONG


@pytest.mark.parametrize(
    ("then", "said"),
    [
        (nothing, None),
        (accepted, None),
        (judged, Became("jugé depuis l’édition", judged=True)),
        (refused, Became("jugé depuis l’édition", judged=True)),
        (in_error, WRONG),
    ],
)
def test_a_measure_that_came_in_by_itself(
    then: Callable[[Stream, Event], object], said: Became | None
) -> None:
    stream = person()
    came = stream.add(measure("6.8"), source=CDA)
    assert became(stream, came, then) == said


def test_a_critical_measure_written_here_asks_for_the_severity_and_ends_by_it() -> None:
    stream = person()
    came = stream.add(measure("6.8"))
    kept = new_card(stream)
    assert [alarm_line(line) for line in kept["alarms"]] == [
        "CRITIQUE, GRAVITÉ À DIRE : Potassium 6,8 mmol/L"
    ]
    stream.add(IllnessSeveritySet(severity="stable"))
    said = ended_alarms(kept, summary_of(stream), NEW, AT)
    assert said == {str(came.event_id): Became("jugé depuis l’édition", judged=True)}


def test_an_accepted_critical_measure_says_no_more_that_nobody_read_it() -> None:
    stream = person()
    came = stream.add(measure("6.8"), source=CDA)
    text = "Potassium 6,8 mmol/L"
    assert [alarm_line(line) for line in new_card(stream)["alarms"]] == [
        f"CRITIQUE NON LU : {text}"
    ]
    accepted(stream, came)
    assert [alarm_line(line) for line in new_card(stream)["alarms"]] == [
        f"CRITIQUE, GRAVITÉ À DIRE : {text}"
    ]


def test_what_the_summary_holds_no_more_is_not_called_judged() -> None:
    stream = person()
    came = stream.add(measure("6.8"), source=CDA)
    kept = new_card(stream)
    rest = summary_of(person())
    assert ended_alarms(kept, rest, NEW, AT) == {str(came.event_id): Became("ne sonne plus")}
