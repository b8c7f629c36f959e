"""How the summary is folded: every topic, one by one as all at once, bounded, late entries too."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid5

import pytest

from releve.domain.aggregates import CODEC, REGISTRY
from releve.domain.aggregates.patient.allergies import AllergyRecorded
from releve.domain.aggregates.patient.appointments import AppointmentNoticed
from releve.domain.aggregates.patient.corrections import EntryMarkedInError
from releve.domain.aggregates.patient.encounters import EncounterRecorded, NoteAmended, NoteSigned
from releve.domain.aggregates.patient.handover import HandoverWritten
from releve.domain.aggregates.patient.identity import Registered
from releve.domain.aggregates.patient.medications import MedicationStarted, MedicationStopped
from releve.domain.aggregates.patient.open_items import ItemClosed, ItemOpened
from releve.domain.aggregates.patient.problems import ProblemRecorded
from releve.domain.aggregates.patient.results import (
    Informed,
    InvestigationOrdered,
    ResultReceived,
    ResultReviewed,
)
from releve.domain.aggregates.patient.severity import IllnessSeveritySet
from releve.domain.values import Coding, Concept, Quantity, ResultLine
from releve.projections import patient_summary, wording
from releve.projections.patient_summary import fold, fold_all, to_bytes
from releve.projections.ranking import extract
from releve.projections.timeline import entries_of
from support.patient_events import LAST_WEEK, MONDAY, Stream, folded_by_the_feed, summary_of
from support.results import measure


class TestEveryTopic:
    def test_has_a_handler_and_a_line_of_french(self) -> None:
        patient = {topic for topic in REGISTRY if topic.startswith("patient.")}
        assert set(patient_summary._HANDLERS) == patient
        assert set(wording._TEXTS) == patient

    def test_that_is_unknown_here_is_refused_and_not_skipped(self) -> None:
        class Novel(Registered, frozen=True, kw_only=True):
            topic = "patient.novel"

        stream = Stream()
        stream.add(Novel())
        with pytest.raises(KeyError):
            summary_of(stream)


class TestFolding:
    def test_leaves_the_summary_it_was_given_as_it_was(self) -> None:
        stream = Stream()
        stream.add(Registered(birth_name="Exemple"))
        before = summary_of(stream)
        kept = to_bytes(before)
        fold(before, stream.add(ProblemRecorded(concept=Concept(text="Asthme"))))
        fold(before, stream.add(IllnessSeveritySet(severity="unstable", reason="x")))
        assert to_bytes(before) == kept

    def test_one_by_one_from_bytes_gives_the_bytes_of_all_at_once(self) -> None:
        stream = Stream()
        stream.add(Registered(birth_name="Exemple", first_names=("Jeanne",), birth_date="1948"))
        note = stream.add(NoteSigned(one_liner="HTA", plan="revoir"))
        for number in range(30):
            stream.add(measure(f"4.{number}"))
            stream.add(NoteSigned(subjective="encore", plan=str(number)))
        stream.add(
            NoteAmended(kind="addendum", text="suite"), target=note.event_id, reason="reçu depuis"
        )
        stream.add(EntryMarkedInError(), target=stream.events[10].event_id, reason="erreur")
        assert to_bytes(folded_by_the_feed(stream)) == to_bytes(summary_of(stream))

    def test_does_not_grow_with_the_length_of_the_record(self) -> None:
        def size(repeats: int) -> int:
            stream = Stream()
            stream.add(Registered(birth_name="Exemple"))
            for number in range(repeats):
                stream.add(EncounterRecorded(mode="cabinet", reason="suivi"))
                stream.add(NoteSigned(one_liner="HTA équilibrée", plan="revoir"))
                stream.add(measure("4.1"))
                item = stream.add(ItemOpened(kind="call", text="Appeler", due="2026-12-01"))
                stream.add(ItemClosed(outcome="done", evidence="fait"), target=item.event_id)
                stream.add(IllnessSeveritySet(severity="stable", reason=str(number % 10)))
            return len(to_bytes(summary_of(stream)))

        assert size(200) < size(40) * 1.05

    def test_reads_back_what_the_codec_stored(self) -> None:
        stream = Stream()
        event = stream.add(
            AllergyRecorded(substance=Concept(text="Pénicilline"), criticality="high")
        )
        topic, schema, envelope, payload = CODEC.encode(event)

        class Header:
            stream = event.originator_id
            version = event.originator_version
            event_id = event.event_id
            event_class = event.event_class
            recorded_at = int(event.recorded_at.timestamp() * 1_000_000)
            session = event.session

        again = CODEC.decode(
            topic, schema, envelope, payload, header=Header(), position=event.position
        )
        assert to_bytes(fold(None, again)) == to_bytes(fold(None, event))


class TestLateEntries:
    def test_a_late_severity_does_not_lower_todays(self) -> None:
        stream = Stream()
        today = stream.add(IllnessSeveritySet(severity="unstable", reason="dyspnée"))
        stream.add(IllnessSeveritySet(severity="stable"), occurred_at=LAST_WEEK)
        stream.add(HandoverWritten(severity="stable", summary="RAS"), occurred_at=LAST_WEEK)
        severity = summary_of(stream).severity
        assert severity is not None
        assert severity.entry_id == today.event_id
        stream.add(EntryMarkedInError(), target=today.event_id, reason="autre patient")
        severity = summary_of(stream).severity
        assert severity is not None
        assert severity.detail["severity"] == "stable"

    def test_many_late_entries_do_not_push_out_what_is_in_force(self) -> None:
        stream = Stream()
        stream.add(IllnessSeveritySet(severity="unstable", reason="dyspnée"))
        stream.add(NoteSigned(one_liner="IC décompensée"))
        contact = stream.add(EncounterRecorded(mode="cabinet", reason="dyspnée"))
        latest = stream.add(measure("5.1"))
        shown = stream.add(HandoverWritten(severity="unstable", summary="IC"))
        for _ in range(40):
            stream.add(IllnessSeveritySet(severity="stable"), occurred_at=LAST_WEEK)
            stream.add(NoteSigned(one_liner="RAS"), occurred_at=LAST_WEEK)
            stream.add(EncounterRecorded(mode="cabinet"), occurred_at=LAST_WEEK)
            stream.add(measure("4.0"), occurred_at=LAST_WEEK)
            stream.add(HandoverWritten(severity="stable", summary="RAS"), occurred_at=LAST_WEEK)
        summary = summary_of(stream)
        assert summary.severity is not None
        assert summary.severity.detail["reason"] == "dyspnée"
        assert summary.handover is not None
        assert summary.handover.line.entry_id == shown.event_id
        assert summary.last_contact is not None
        assert summary.last_contact.entry_id == contact.event_id
        assert latest.event_id in [line.entry_id for line in summary.slot("results")]

    def test_a_late_note_does_not_replace_todays_one_liner(self) -> None:
        stream = Stream()
        stream.add(NoteSigned(one_liner="IC décompensée"))
        late = stream.add(NoteSigned(one_liner="RAS"), occurred_at=LAST_WEEK)
        stream.add(NoteAmended(kind="replacement", one_liner="RAS, relu"), target=late.event_id)
        spoken = summary_of(stream).one_liner()
        assert spoken is not None
        assert spoken.text == "IC décompensée"
        stream.add(NoteAmended(kind="addendum", one_liner="IC, mieux"), target=late.event_id)
        spoken = summary_of(stream).one_liner()
        assert spoken is not None
        assert spoken.text == "IC, mieux", "an addendum speaks of the day it is written"

    def test_a_late_handover_is_not_the_one_to_read(self) -> None:
        stream = Stream()
        today = stream.add(HandoverWritten(severity="unstable", summary="IC"))
        late = stream.add(HandoverWritten(severity="stable", summary="RAS"), occurred_at=LAST_WEEK)
        summary = summary_of(stream)
        assert summary.handover is not None
        assert summary.handover.line.entry_id == today.event_id
        assert [each.line.state for each in summary.handovers] == ["current", "superseded"]
        assert [entry.status for entry in entries_of(stream.events)] == ["current", "superseded"]
        stream.add(EntryMarkedInError(), target=today.event_id, reason="autre patient")
        back = summary_of(stream).handover
        assert back is not None
        assert back.line.entry_id == late.event_id

    def test_a_replaced_handover_in_error_leaves_the_one_in_force_alone(self) -> None:
        stream = Stream()
        stream.add(HandoverWritten(severity="stable", summary="un"))
        replaced = stream.add(HandoverWritten(severity="stable", summary="deux"))
        stream.add(HandoverWritten(severity="stable", summary="trois"))
        stream.add(EntryMarkedInError(), target=replaced.event_id, reason="erreur")
        states = [each.line.state for each in summary_of(stream).handovers]
        assert states == ["superseded", "in-error", "current"]

    def test_the_record_known_before_a_late_entry_stays_as_it_was(self) -> None:
        stream = Stream()
        stream.add(IllnessSeveritySet(severity="unstable", reason="dyspnée"))
        before = to_bytes(summary_of(stream))
        stream.add(IllnessSeveritySet(severity="stable"), occurred_at=LAST_WEEK)
        assert to_bytes(fold_all(None, stream.events[:1], stream.id)) == before


def years(count: int) -> Stream:
    """A record of that many years of care, six visits a year, each with all that a visit makes."""
    stream = Stream()
    stream.add(Registered(birth_name="EXEMPLE", first_names=("Jeanne",), birth_date="1948"))
    text = "Suivi au long cours, bien toléré. " * 12
    for visit in range(count * 6):
        at = MONDAY + timedelta(days=60 * visit)
        day = at.date().isoformat()
        stream.add(EncounterRecorded(mode="cabinet", reason="suivi"), at=at)
        stream.add(NoteSigned(one_liner="HTA équilibrée", subjective=text, plan=text), at=at)
        stream.add(measure("4.1"), at=at)
        stream.add(IllnessSeveritySet(severity="watcher", reason=f"poids {visit}"), at=at)
        item = uuid5(stream.id, str(len(stream.events) + 2))
        order = stream.add(
            InvestigationOrdered(kind="laboratory", text="Bilan", expected_by=day, item=item), at=at
        )
        stream.add(ItemOpened(kind="result", text="Bilan", due=day, follows=order.event_id), at=at)
        came = stream.add(
            ResultReceived(
                status="final",
                order=order.event_id,
                lines=tuple(
                    ResultLine(
                        code=Concept(text=f"Analyse {n}", codings=(Coding(code=f"{n}-1"),)),
                        value=Quantity(value="1.0", unit="g/L"),
                    )
                    for n in range(15)
                ),
            ),
            at=at,
        )
        stream.add(ResultReviewed(verdict="normal"), target=came.event_id, at=at)
        stream.add(Informed(channel="phone"), target=came.event_id, at=at)
        stream.add(ItemClosed(outcome="done", evidence="prévenue"), target=item, at=at)
        drug = stream.add(MedicationStarted(concept=Concept(text=f"Produit {visit}")), at=at)
        stream.add(MedicationStopped(stopped_on=day), target=drug.event_id, reason="fini", at=at)
        stream.add(AppointmentNoticed(starts_at=at.isoformat(), reference=f"A{visit}"), at=at)
        stream.add(HandoverWritten(severity="watcher", summary="HTA", situation=text), at=at)
    return stream


class TestTheRow:
    def test_is_no_larger_after_ten_years_than_after_five(self) -> None:
        five, ten = (len(to_bytes(summary_of(years(count)))) for count in (5, 10))
        assert ten < five * 1.1, "what is bounded may be fuller, and no more"
        assert ten < 60_000

    def test_of_the_briefing_is_smaller_and_bounded(self) -> None:
        five, ten = (len(to_bytes(extract(summary_of(years(count))))) for count in (5, 10))
        assert ten < five * 1.05
        assert ten < 30_000
