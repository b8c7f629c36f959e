"""What waits has one open item, what was read and told has none; record and summary agree on it."""

from __future__ import annotations

from datetime import date
from typing import Any
from uuid import UUID

import msgspec
import pytest

from releve.domain.aggregates.patient import Patient
from releve.domain.aggregates.patient.open_items import ItemClosed, ItemOpened, ItemReopened
from releve.domain.aggregates.patient.result_agreement import same_measure
from releve.domain.aggregates.patient.results import (
    Informed,
    ResultReceived,
    current_results,
    stage_of,
)
from releve.domain.commands import (
    CloseItem,
    Command,
    InformPatient,
    MarkEntryInError,
    ReceiveResult,
    ReinstateEntry,
    ReviewResult,
    ValidateEntry,
)
from releve.domain.values import Concept, Quantity, ResultLine
from releve.projections.patient_summary import PatientSummary, fold_all
from releve.projections.summary_results import announced_otherwise
from support.given import STREAM, Given, Told, entry, events, given
from support.ordered import ORDERED, REGISTERED, REVIEWED, imported, items, stages
from support.results import CDA, LAB, NA, K, line, phoned, result

DAY = date(2026, 11, 24)
READ = Told(REVIEWED, target=entry(4))
TOLD = Told(Informed(channel="phone"), target=entry(4))
CLOSED = Told(ItemClosed(outcome="done", evidence="Lu"), target=entry(3))
SHOWN = {
    "to-read": "to-review", "to-tell": "to-inform", "done": "done", "partial": "partial",
    "phoned": "partial",
}  # fmt: skip


class Story:
    """A record to which commands are said one after the other, none of them refused."""

    def __init__(self, *told: Any) -> None:
        self.told = [each if isinstance(each, Told) else Told(each) for each in told]

    def say(self, command: Command, **context: Any) -> UUID:
        """The id of the first event that it made."""
        answer = given(*self.told).when(command, **context)
        assert answer.refusal is None, answer.refusal
        made = {event.event_id: entry(len(self.told) + 1 + n)
                for n, event in enumerate(answer.events)}  # fmt: skip
        for event in answer.events:
            envelope, payload = event.envelope, event.payload
            if isinstance(payload, ItemOpened) and payload.follows in made:
                payload = msgspec.structs.replace(payload, follows=made[payload.follows])
            target = envelope.target
            self.told.append(
                Told(
                    payload,
                    envelope.author,
                    target=None if target is None else made.get(target, target),
                    source=envelope.source,
                    reason=envelope.reason,
                )
            )
        return entry(len(self.told) - len(answer.events) + 1)

    def read(self, result: UUID, **more: Any) -> UUID:
        return self.say(ReviewResult(result=result, **{"verdict": "normal", **more}))

    def tell(self, result: UUID) -> UUID:
        return self.say(InformPatient(result=result, channel="phone"))

    @property
    def given(self) -> Given:
        return given(*self.told)

    @property
    def record(self) -> Patient:
        state = self.given.state
        assert isinstance(state, Patient)
        return state

    @property
    def summary(self) -> PatientSummary:
        stream = [
            msgspec.structs.replace(event, position=place)
            for place, event in enumerate(events(self.told), start=1)
        ]
        return fold_all(None, stream, STREAM)

    @property
    def stages(self) -> list[str]:
        """How far each result has come, as the record says it and the summary shows it."""
        summary = {each.entry_id: each.state(DAY) for each in self.summary.results}
        for event in current_results(self.record):
            assert summary[event.event_id] == SHOWN[stage_of(self.record, event)]
        return stages(self.record)

    @property
    def open(self) -> list[UUID]:
        """Items that are open, in the record and in the summary."""
        found = items(self.record)
        assert [item.line.entry_id for item in self.summary.open_items] == found
        return found


def test_what_was_told_before_the_last_reading_counts_no_more() -> None:
    story = Story(*ORDERED, result(order=entry(2)))
    story.read(entry(4))
    story.tell(entry(4))
    assert (story.stages, story.open) == (["done"], [])
    story.read(entry(4), verdict="critical", action="rappeler ce soir")
    assert (story.stages, story.open) == (["to-tell"], [entry(3)])
    assert story.told[-1].reason == "Résultat relu : patient à prévenir"
    story.tell(entry(4))
    assert (story.stages, story.open) == (["done"], [])


def test_a_later_reading_that_nobody_is_to_be_told_of_reopens_nothing() -> None:
    story = Story(*ORDERED, result(order=entry(2)), READ, TOLD, CLOSED)
    story.read(entry(4), inform_patient=False, reason="déjà prévenu")
    assert (story.stages, story.open) == (["done"], [])


def test_a_reading_to_be_told_opens_an_item_where_there_is_none() -> None:
    story = Story(REGISTERED, result(), Told(REVIEWED, target=entry(2)))
    story.read(entry(2), verdict="critical", action="rappeler ce soir")
    opened = story.told[-1].payload
    assert isinstance(opened, ItemOpened)
    assert (opened.text, opened.follows) == ("Prévenir le patient : Ionogramme", entry(2))
    assert story.stages == ["to-tell"]


UNCODED = ResultLine(
    code=Concept(text="POTASSIUM"), value=Quantity(value="6,40", unit="mmol/l", code=None)
)


@pytest.mark.parametrize(
    "written",
    [line("6.40"), line("6,4"), line("+6.4"), line("6.4", unit="mmol/l"), UNCODED],
    ids=["digits", "comma", "sign", "unit", "words"],
)
def test_the_written_result_of_a_call_may_be_written_otherwise(written: ResultLine) -> None:
    story = Story(REGISTERED)
    said = story.say(ReceiveResult(status="phoned", lines=(line("6.4"),), caller="x",
                                   read_back=True))  # fmt: skip
    story.read(said, verdict="critical", action="ECG")
    story.tell(said)
    assert (story.stages, len(story.open)) == (["phoned"], 1)
    final = story.say(imported(ResultReceived(status="final", lines=(written,))), source=CDA)
    assert story.told[-1].target == said
    story.read(final, verdict="critical", action="ECG")
    story.tell(final)
    assert (story.stages, story.open) == (["done"], [])


def test_a_call_that_the_written_result_contradicts_ends_with_its_reading() -> None:
    story = Story(REGISTERED)
    said = story.say(ReceiveResult(status="phoned", lines=(line("6.4"),), caller="x",
                                   read_back=True))  # fmt: skip
    story.read(said, verdict="critical", action="ECG")
    story.tell(said)
    final = story.say(ReceiveResult(status="final", lines=(line("4.1"), line("140", code=NA))))
    assert (story.stages, len(story.open)) == (["phoned", "to-read"], 2)
    call, written = story.summary.results
    told = ("annoncé au téléphone : Potassium 6,4 mmol/L (x)",)
    assert announced_otherwise(story.summary, written) == told
    assert announced_otherwise(story.summary, call) == ()
    story.read(final)
    assert (story.stages, len(story.open)) == (["phoned", "to-tell"], 2)
    story.tell(final)
    assert (story.stages, story.open) == (["done", "done"], [])
    closing = story.told[-1].payload
    assert isinstance(closing, ItemClosed)
    assert closing.evidence == (
        "Résultat lu, patient prévenu ; annoncé au téléphone : "
        "Potassium 6,4 mmol/L au lieu de 4,1 mmol/L"
    )
    # Taken back, the call waits again with somebody who answers for it.
    story.say(MarkEntryInError(entry=final, reason="Autre patient"))
    assert (story.stages, len(story.open)) == (["phoned"], 1)
    story.say(ReinstateEntry(entry=final, reason="C'était bien elle"))
    assert (story.stages, story.open) == (["done", "done"], [])


def test_a_call_that_nobody_read_is_not_settled_by_another_value() -> None:
    story = Story(REGISTERED)
    said = story.say(ReceiveResult(status="phoned", lines=(line("6.4"),), caller="x",
                                   read_back=True))  # fmt: skip
    final = story.say(ReceiveResult(status="final", lines=(line("4.1"),)))
    story.read(final)
    story.tell(final)
    assert (story.stages, len(story.open)) == (["to-read", "done"], 1)
    story.read(said, inform_patient=False, reason="faux")
    assert (story.stages, story.open) == (["done", "done"], [])


def test_a_call_about_something_else_is_not_settled() -> None:
    said = phoned("6.4")
    own = ItemOpened(kind="result", text="Lire", due="2026-11-24", follows=entry(2))
    story = Story(REGISTERED, said, own)
    story.read(entry(2), inform_patient=False, reason="x")
    final = story.say(ReceiveResult(status="final", lines=(line("140", code=NA),)))
    story.read(final, inform_patient=False, reason="x")
    assert (story.stages, story.open) == (["phoned", "done"], [entry(3)])


def test_a_call_that_repeats_the_report_ends_when_it_is_read() -> None:
    story = Story(REGISTERED, result(value="6.4", report="R1", laboratory=LAB))
    story.read(entry(2), inform_patient=False, reason="x")
    said = story.say(ReceiveResult(status="phoned", lines=(line("6.40"),), caller="x",
                                   read_back=True))  # fmt: skip
    assert (story.stages, len(story.open)) == (["done", "to-read"], 1)
    story.read(said)
    story.tell(said)
    assert (story.stages, story.open) == (["done", "done"], [])


def test_a_final_settles_the_partials_of_its_order() -> None:
    story = Story(*ORDERED, result("partial", "4.2", order=entry(2)))
    story.read(entry(4))
    final = story.say(ReceiveResult(status="final", lines=(line("4.4"),), order=entry(2)))
    assert (story.stages, story.told[-1].target) == (["to-read"], entry(4))
    story.read(final)
    story.tell(final)
    assert (story.stages, story.open) == (["done"], [])
    # A final that leaves a measure out settles what somebody read.
    other = Story(*ORDERED, result("partial", "4.2", order=entry(2)))
    other.read(entry(4))
    final = other.say(ReceiveResult(status="final", lines=(line("140", code=NA),), order=entry(2)))
    assert other.stages == ["partial", "to-read"]
    other.read(final)
    other.tell(final)
    assert (other.stages, other.open) == (["done", "done"], [])


def test_an_order_that_a_reader_found_answered_is_awaited_no_more() -> None:
    story = Story(*ORDERED)
    came = story.say(ReceiveResult(status="final", lines=(line("4.1"),)))
    reading = story.read(came, order=entry(2), inform_patient=False, reason="vu")
    assert (story.stages, story.open) == (["done"], [])
    (one,) = story.summary.results
    assert one.order is not None
    assert (one.order.entry_id, one.entry_id, one.state(DAY)) == (entry(2), came, "done")
    story.say(MarkEntryInError(entry=reading, reason="Autre demande"))
    assert [each.state(DAY) for each in story.summary.results] == ["expected", "to-review"]
    assert len(story.open) == 2


def test_an_item_whose_results_are_all_settled_may_be_closed_as_done() -> None:
    reopened = Told(ItemReopened(), target=entry(3))
    story = Story(*ORDERED, result(order=entry(2)), READ, TOLD, CLOSED, reopened)
    story.say(CloseItem(item=entry(3), outcome="done", evidence="Revu"))
    assert story.open == []


@pytest.mark.parametrize("correction", ["refused", "in error"])
def test_a_correction_set_aside_closes_the_item_that_it_had_opened(correction: str) -> None:
    first = Told(result(report="R1", laboratory=LAB), source=CDA)
    own = ItemOpened(kind="result", text="Lire", due="2026-11-24", follows=entry(2))
    story = Story(REGISTERED, first, own)
    story.read(entry(2), inform_patient=False, reason="vu")
    assert story.open == []
    newer = result("corrected", "4.3", report="R1", laboratory=LAB)
    name = story.say(imported(newer), source=CDA)
    assert story.open == [entry(3)]
    asked: Command = MarkEntryInError(entry=name, reason="Autre patient")
    if correction == "refused":
        asked = ValidateEntry(entry=name, verdict="refused", reason="Autre patient")
    undone = story.say(asked)
    assert (stages(story.record), story.open) == (["done"], [])
    # Taken back too, the correction is to be read.
    back: Command = ReinstateEntry(entry=name, reason="C'était bien elle")
    if correction == "refused":
        back = MarkEntryInError(entry=undone, reason="C'était bien elle")
    story.say(back)
    assert (stages(story.record), story.open) == (["to-read"], [entry(3)])


def test_an_undone_telling_that_comes_back_closes_the_item_again() -> None:
    story = Story(*ORDERED, result(order=entry(2)))
    story.read(entry(4))
    told = story.tell(entry(4))
    story.say(MarkEntryInError(entry=told, reason="Pas elle"))
    assert story.open == [entry(3)]
    story.say(ReinstateEntry(entry=told, reason="Si"))
    assert story.open == []


def test_an_item_opened_again_by_hand_stays_open() -> None:
    story = Story(*ORDERED, result(order=entry(2)), READ, TOLD, CLOSED)
    story.told.append(Told(ItemReopened(), target=entry(3)))
    second = story.say(ReceiveResult(status="final", lines=(line("4.5"),), order=entry(2)))
    story.say(MarkEntryInError(entry=second, reason="Autre patient"))
    assert story.open == [entry(3)]


@pytest.mark.parametrize("came", [(), (result(order=entry(2)),)], ids=["awaited", "to read"])
def test_an_order_that_waits_keeps_one_open_item(came: tuple[ResultReceived, ...]) -> None:
    story = Story(*ORDERED, *came)
    story.say(MarkEntryInError(entry=entry(3), reason="Doublon"))
    (item,) = story.open
    stand_in = story.record.entries[item].payload
    assert stand_in == ItemOpened(
        kind="result", text="Ionogramme", due="2026-11-26", follows=entry(2),
        done_when="résultat définitif lu, patient prévenu",
    )  # fmt: skip
    summary = story.summary
    assert [each.state(DAY) for each in summary.results] == ["to-review" if came else "expected"]
    story.say(ReinstateEntry(entry=entry(3), reason="Non"))
    assert story.open == [entry(3)]
    story.say(MarkEntryInError(entry=entry(3), reason="Doublon"))
    assert story.open == [item]
    if not came:
        story.say(ReceiveResult(status="final", lines=(line("4.1"),), order=entry(2)))
        assert story.open == [item]


def test_what_somebody_gave_up_stays_closed() -> None:
    story = Story(*ORDERED)
    closing = story.say(CloseItem(item=entry(3), outcome="not-needed", evidence="Fait en ville"))
    story.say(MarkEntryInError(entry=closing, reason="Non"))
    assert story.open == [entry(3)]
    story.say(ReinstateEntry(entry=closing, reason="Si"))
    assert story.open == []
    story.say(MarkEntryInError(entry=entry(2), reason="x"))
    story.say(ReinstateEntry(entry=entry(2), reason="x"))
    assert story.open == []


def test_lines_are_of_one_measure_by_their_family_or_by_their_words() -> None:
    blood = Concept(text="K sang", codings=K.codings)
    assert same_measure(line("1", code=K), line("1", code=blood))
    for words, same in (("KALIEMIE", True), ("Potassium urinaire", False), ("Sodium", False)):
        assert same_measure(line("1", code=K), line("1", code=Concept(text=words))) is same
    urine = Concept(text="Potassium",
                    codings=(msgspec.structs.replace(K.codings[0], code="2828-2"),))  # fmt: skip
    assert not same_measure(line("1", code=urine), line("1", code=Concept(text="Potassium")))
    assert same_measure(line("1", code=Concept(text="Ferritine")),
                        line("1", code=Concept(text="FERRITINE")))  # fmt: skip
