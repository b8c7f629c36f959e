"""What one doctor leaves the next in the summary: notes, open items, handovers."""

from __future__ import annotations

from datetime import timedelta

from releve.domain.aggregates.patient.corrections import EntryMarkedInError
from releve.domain.aggregates.patient.encounters import NoteAmended, NoteSigned
from releve.domain.aggregates.patient.handover import HandoverReadBack, HandoverWritten
from releve.domain.aggregates.patient.history import HistoryRecorded
from releve.domain.aggregates.patient.medications import MedicationStarted
from releve.domain.aggregates.patient.open_items import ItemClosed, ItemOpened
from releve.domain.aggregates.patient.severity import IllnessSeveritySet
from releve.domain.values import Concept
from releve.projections.patient_summary import to_bytes
from support.patient_events import MONDAY, Stream, summary_of
from support.results import measure


class TestNotes:
    def test_an_addendum_adds_and_a_replacement_replaces(self) -> None:
        stream = Stream()
        note = stream.add(NoteSigned(one_liner="Toux", plan="Repos"))
        stream.add(
            NoteAmended(kind="replacement", one_liner="Pneumopathie", plan="Amoxicilline"),
            target=note.event_id,
            reason="radio reçue",
        )
        stream.add(NoteAmended(kind="addendum", text="Allergie vérifiée"), target=note.event_id)
        summary = summary_of(stream)
        (kept,) = summary.notes
        assert len(kept.amendments) == 2
        assert b"Repos" not in to_bytes(summary), "the text of a note stays in the ledger"
        spoken = summary.one_liner()
        assert spoken is not None
        assert spoken.text == "Pneumopathie"

    def test_an_amendment_in_error_gives_the_first_text_back(self) -> None:
        stream = Stream()
        note = stream.add(NoteSigned(one_liner="Toux"))
        amended = stream.add(
            NoteAmended(kind="replacement", one_liner="Autre"), target=note.event_id
        )
        stream.add(EntryMarkedInError(), target=amended.event_id, reason="erreur")
        spoken = summary_of(stream).one_liner()
        assert spoken is not None
        assert spoken.text == "Toux"

    def test_a_one_liner_says_what_arrived_after_it(self) -> None:
        stream = Stream()
        together = MONDAY + timedelta(hours=1)
        stream.add(NoteSigned(one_liner="HTA équilibrée"), at=together)
        stream.add(MedicationStarted(concept=Concept(text="Ramipril")), at=together)
        spoken = summary_of(stream).one_liner()
        assert spoken is not None
        assert spoken.older_than is None, "what one consultation wrote together is not newer"
        coffee = HistoryRecorded(slot="lifestyle", concept=Concept(text="Trois tasses de café"))
        stream.add(coffee, at=together + timedelta(hours=2))
        spoken = summary_of(stream).one_liner()
        assert spoken is not None
        assert spoken.older_than is None, "a way of life makes no synthesis older"
        stream.add(measure("5.9"), at=together + timedelta(hours=3))
        spoken = summary_of(stream).one_liner()
        assert spoken is not None
        assert spoken.older_than is not None
        assert spoken.older_than.text == "Potassium 5,9 mmol/L"

    def test_the_last_one_liner_outlives_later_notes_without_one(self) -> None:
        stream = Stream()
        stream.add(NoteSigned(one_liner="Insuffisance cardiaque"))
        for _ in range(25):
            stream.add(NoteSigned(plan="rien"))
        spoken = summary_of(stream).one_liner()
        assert spoken is not None
        assert spoken.text == "Insuffisance cardiaque"


class TestItems:
    def test_an_item_is_open_until_it_is_closed_and_again_when_that_was_an_error(self) -> None:
        stream = Stream()
        item = stream.add(ItemOpened(kind="result", text="NFS", due="2026-11-20"))
        assert len(summary_of(stream).open_items) == 1
        closing = stream.add(ItemClosed(outcome="done", evidence="reçue"), target=item.event_id)
        assert summary_of(stream).open_items == []
        stream.add(EntryMarkedInError(), target=closing.event_id, reason="mauvais point")
        (reopened,) = summary_of(stream).open_items
        assert reopened.line.as_of == item.envelope.occurred_at

    def test_an_item_in_error_is_not_open(self) -> None:
        stream = Stream()
        item = stream.add(ItemOpened(kind="call", text="Appeler", no_deadline=True))
        stream.add(EntryMarkedInError(), target=item.event_id, reason="doublon")
        assert summary_of(stream).open_items == []


class TestHandover:
    def test_supersedes_the_previous_one_of_the_same_stint_and_keeps_read_backs(self) -> None:
        stream = Stream()
        first = stream.add(HandoverWritten(severity="watcher", summary="IC"))
        second = stream.add(HandoverWritten(severity="unstable", summary="IC décompensée"))
        stream.add(HandoverReadBack(kind="restatement", text="Je la pèse"), target=second.event_id)
        summary = summary_of(stream)
        assert [each.line.state for each in summary.handovers] == ["superseded", "current"]
        assert [line.detail["text"] for line in summary.handovers[1].read_backs] == ["Je la pèse"]
        assert summary.severity is not None
        assert summary.severity.detail["severity"] == "unstable"
        stream.add(EntryMarkedInError(), target=second.event_id, reason="autre patient")
        summary = summary_of(stream)
        assert summary.handovers[0].line.entry_id == first.event_id
        assert summary.handovers[0].line.current
        assert summary.severity is not None
        assert summary.severity.detail["severity"] == "watcher"

    def test_the_same_gravity_again_keeps_the_reason_in_force(self) -> None:
        stream = Stream()
        stream.add(IllnessSeveritySet(severity="unstable", reason="dyspnée de repos"))
        stream.add(HandoverWritten(severity="unstable", summary="IC"))
        severity = summary_of(stream).severity
        assert severity is not None
        assert severity.detail["reason"] == "dyspnée de repos"
