from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

from releve.domain.aggregates.inbox_document import DocumentReceived
from releve.domain.aggregates.patient.identity import Registered
from releve.domain.aggregates.patient.offers import ItemOffered
from releve.domain.aggregates.patient.open_items import (
    ItemClosed,
    ItemOpened,
    ItemReopened,
    ItemRevised,
)
from releve.domain.aggregates.patient.results import (
    ContactAttempted,
    InvestigationOrdered,
    ResultReceived,
    ResultReviewed,
)
from releve.domain.events import Author, Event, Source
from releve.domain.values import (
    Coding,
    Concept,
    ExpectedSource,
    NamedPerson,
    Owner,
    Quantity,
    ResultLine,
    ResultStatus,
)
from releve.projections.directory import CentreEntry, Directory
from releve.projections.inbox import InboxLine
from releve.projections.open_items import board as items_board
from releve.projections.patient_summary import PatientSummary, fold_all
from releve.projections.ranking import extract
from releve.projections.results_board import GROUPS, Group, ResultRow, board, intake_of
from releve.projections.rule_release import load_rules
from support.patient_events import CENTRE, MONDAY, Stream

RULES = load_rules()
NOW = datetime(2026, 11, 23, 7, 30, tzinfo=UTC)
POTASSIUM = Concept(text="Potassium", codings=(Coding(code="2823-3"),))
REFERENT = NamedPerson(name="Dr Odile Référente", phone="+33 5 99 00 00 01")
DIRECTORY = Directory(
    [
        CentreEntry(
            centre=CENTRE, name="Centre d'Ajonc", finess="990000010", referent=REFERENT,
            on_call_chain=(REFERENT, NamedPerson(name="Dr Alix Second", phone="+33 5 99 00 00 02")),
        )
    ]
)  # fmt: skip


def potassium(value: str, unit: str = "mmol/L") -> ResultLine:
    return ResultLine(code=POTASSIUM, value=Quantity(value=value, unit=unit))


def person(number: int) -> Stream:
    stream = Stream(number)
    stream.add(Registered(birth_name=f"EXEMPLE {number}", first_names=("Jeanne",)))
    return stream


def order(stream: Stream, expected_by: str = "2026-11-26") -> Event:
    item = uuid5(stream.id, str(len(stream.events) + 2))
    ordered = stream.add(
        InvestigationOrdered(kind="laboratory", text="Iono", expected_by=expected_by, item=item)
    )
    stream.add(ItemOpened(kind="result", text="Iono", due=expected_by, follows=ordered.event_id))
    return ordered


def receive(
    stream: Stream, value: str = "4.1", status: ResultStatus = "final", *, unit: str = "mmol/L",
    at: datetime | None = None,
) -> Event:  # fmt: skip
    payload = ResultReceived(status=status, title="Iono", lines=(potassium(value, unit),))
    return stream.add(payload, at=at)


def bounded(*streams: Stream) -> list[PatientSummary]:
    return [extract(fold_all(None, stream.events, stream.id)) for stream in streams]


def shown(*streams: Stream, waiting: list[InboxLine] | None = None) -> dict[Group, list[ResultRow]]:
    return board(bounded(*streams), waiting or [], RULES, NOW, "Europe/Paris", CENTRE, DIRECTORY)


def document(number: int, *lines: ResultLine, system: str = "Labo A") -> InboxLine:
    return InboxLine(
        document=UUID(int=number), centre=CENTRE, event=UUID(int=number), position=number,
        received_at=MONDAY + timedelta(hours=number),
        received=DocumentReceived(
            sha256="00" * 32, size=1, media_type="text/plain", format="hprim", title="Iono",
            results=lines, result_status="final",
        ),
        source=Source(channel="hprim", system=system),
    )  # fmt: skip


class TestResultsBoard:
    def test_every_result_that_is_not_done_is_in_one_group(self) -> None:
        ordered, partial, unread, told, done = (person(number) for number in range(1, 6))
        order(ordered)
        receive(partial, status="partial")
        receive(unread)
        read = receive(told)
        told.add(ResultReviewed(verdict="known"), target=read.event_id)
        told.add(ContactAttempted(channel="phone", outcome="no-answer"), target=read.event_id)
        kept = receive(done)
        done.add(ResultReviewed(verdict="normal", inform_patient=False), target=kept.event_id)
        found = shown(ordered, partial, unread, told, done, waiting=[document(1, potassium("4"))])
        assert list(found) == list(GROUPS)
        assert {group: [row.patient for row in rows] for group, rows in found.items()} == {
            "expected": [ordered.id], "partial": [partial.id], "to-review": [unread.id],
            "to-inform": [told.id], "unmatched": [None],
        }  # fmt: skip
        assert found["to-inform"][0].attempts == 1
        assert found["unmatched"][0].document == UUID(int=1)

    def test_critical_ones_come_first_then_late_ones_then_the_oldest(self) -> None:
        old, critical, odd, new = (person(number) for number in range(1, 5))
        receive(old, at=MONDAY)
        receive(new, at=MONDAY + timedelta(days=2))
        receive(critical, "6.4", "phoned", at=MONDAY + timedelta(days=5))
        receive(odd, "6.4", unit="mg/dL", at=MONDAY + timedelta(days=4))
        rows = shown(old, new, critical, odd)["to-review"]
        assert [row.patient for row in rows] == [critical.id, odd.id, old.id, new.id]
        assert [(row.critical, row.not_comparable) for row in rows[:2]] == [
            (True, False), (False, True),
        ]  # fmt: skip
        soon, late = person(5), person(6)
        order(soon, "2026-11-24")
        order(late, "2026-11-20")
        assert [(row.patient, row.late) for row in shown(soon, late)["expected"]] == [
            (late.id, True), (soon.id, False),
        ]  # fmt: skip

    def test_a_critical_value_that_was_read_stays_first_until_its_patient_knows(self) -> None:
        normal, critical = person(1), person(2)
        for stream, value, day in ((normal, "4.1", 0), (critical, "6.4", 3)):
            came = receive(stream, value, at=MONDAY + timedelta(days=day))
            stream.add(ResultReviewed(verdict="abnormal", action="rappeler"), target=came.event_id)
        rows = shown(normal, critical)["to-inform"]
        assert [row.patient for row in rows] == [critical.id, normal.id]
        assert [(row.critical, row.alarms) for row in rows] == [(True, ()), (False, ())]

    def test_a_result_awaited_without_an_order_is_expected_and_says_so(self) -> None:
        by_hand, ordered, late = person(1), person(2), person(3)
        order(ordered)
        point = by_hand.add(ItemOpened(kind="result", text="Scanner demandé à l'hôpital"))
        late.add(ItemOpened(kind="result", text="Biopsie", due="2026-11-20"))
        late.add(ItemOpened(kind="call", text="Rappeler", due="2026-11-20"))
        rows = shown(by_hand, ordered, late)["expected"]
        assert {(row.patient, row.title, row.by_hand, row.late) for row in rows} == {
            (late.id, "Biopsie", True, True),
            (ordered.id, "Iono", False, False),
            (by_hand.id, "Scanner demandé à l'hôpital", True, False),
        }
        assert all(row.owner for row in rows)
        by_hand.add(ItemClosed(outcome="done", evidence="reçu"), target=point.event_id)
        assert shown(by_hand)["expected"] == []

    def test_a_patient_to_be_told_comes_with_what_to_say(self) -> None:
        stream = person(1)
        read = receive(stream)
        stream.add(
            ResultReviewed(verdict="abnormal", action="doubler le furosémide"), target=read.event_id
        )
        (row,) = shown(stream)["to-inform"]
        assert row.result is not None
        assert row.result.to_say.endswith(", doubler le furosémide")

    def test_a_correction_names_who_had_read_the_version_before(self) -> None:
        stream = person(1)
        first = receive(stream)
        stream.add(
            ResultReviewed(verdict="normal", inform_patient=False),
            target=first.event_id,
            author=Author(role="doctor", name="Dr Paul Lenoir", person=UUID(int=8)),
        )
        corrected = ResultReceived(status="corrected", title="Iono", lines=(potassium("6.1"),))
        stream.add(corrected, target=first.event_id)
        (row,) = shown(stream)["to-review"]
        assert row.previous_reader == "Dr Paul Lenoir"
        assert row.critical

    def test_who_answers_for_an_expected_one_is_its_items_owner(self) -> None:
        stream = person(1)
        order(stream)
        (row,) = shown(stream)["expected"]
        assert row.owner == "Dr Odile Référente (référent)"
        assert row.ordered_by == "Dr Élise Garnier"


class TestIntake:
    def test_counts_what_is_unmatched_critical_and_silent(self) -> None:
        lines = [document(1, potassium("4.1")), document(2, potassium("6.4"))]
        expected = [ExpectedSource(system="Labo A", within_hours=24), ExpectedSource(system="B")]
        found = intake_of(lines, expected, RULES, MONDAY + timedelta(hours=20))
        assert (found.unmatched, found.critical, found.silent) == (2, 1, ("B",))
        later = intake_of(lines, expected, RULES, MONDAY + timedelta(hours=27))
        assert later.silent == ("B", "Labo A")


class TestItemsBoard:
    def test_says_state_age_last_step_and_what_comes_next(self) -> None:
        stream = person(1)
        item = stream.add(
            ItemOpened(kind="call", text="Appeler", due="2026-11-20", done_when="jointe")
        )
        order(stream, "2026-11-20")
        (summary,) = bounded(stream)
        call, awaited = sorted(
            items_board(((each, summary) for each in summary.open_items), NOW, DIRECTORY),
            key=lambda line: line.item.line.version,
        )
        assert (call.state, call.next_step, call.age_days) == ("open", "jointe", 7)
        assert awaited.next_step == "relancer le laboratoire"
        stream.add(ItemRevised(due="2026-11-30"), target=item.event_id, reason="absente")
        stream.add(ItemOffered(to=Owner(role="referent")), target=item.event_id)
        (summary,) = bounded(stream)
        (call,) = items_board([(summary.open_items[0], summary)], NOW, DIRECTORY)
        assert (call.state, call.offered_to) == ("offered", "référent médical")
        assert call.next_step == "réponse attendue : référent médical"
        assert (call.last_step.topic, call.age_days) == ("patient.item-offered", 7)

    def test_an_item_that_was_opened_again_keeps_its_age(self) -> None:
        stream = person(1)
        item = stream.add(ItemOpened(kind="call", text="Appeler", no_deadline=True))
        stream.add(ItemClosed(outcome="done", evidence="vue"), target=item.event_id)
        stream.add(ItemReopened(), target=item.event_id, reason="pas venue")
        (summary,) = bounded(stream)
        (line,) = items_board([(summary.open_items[0], summary)], NOW, DIRECTORY)
        assert (line.state, line.age_days) == ("reopened", 7)
