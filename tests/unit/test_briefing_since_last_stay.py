"""What the briefing tells somebody who comes back: only what is news to them."""

from __future__ import annotations

from uuid import UUID

from releve.domain.aggregates.patient.corrections import EntryMarkedInError
from releve.domain.aggregates.patient.death import DeathRecorded
from releve.domain.aggregates.patient.encounters import EncounterRecorded, NoteAmended, NoteSigned
from releve.domain.aggregates.patient.medications import MedicationStarted, MedicationStopped
from releve.domain.aggregates.patient.open_items import ItemClosed, ItemOpened
from releve.domain.aggregates.patient.problems import ProblemRecorded
from releve.domain.aggregates.patient.questions import QuestionAnswered, QuestionAsked
from releve.domain.aggregates.patient.results import ResultReceived, ResultReviewed
from releve.domain.values import Concept
from releve.projections.briefing_text import around_sections
from releve.projections.since_last_stay import centre_counts
from support.briefing import HEAD, ME, NEW, OTHER, back, new_card, person
from support.given import SECRETARY
from support.patient_events import Stream, summary_of


class TestSinceMyLastStay:
    """Dr Lenoir was here, left, and comes back; positions alone decide what is news."""

    def left(self) -> tuple[Stream, int]:
        stream = person()
        stream.add(EncounterRecorded(mode="cabinet"), author=ME)
        self.drug = stream.add(MedicationStarted(concept=Concept(text="Ramipril")), author=ME)
        self.item = stream.add(ItemOpened(kind="result", text="NFS", due="2026-11-10"), author=ME)
        self.asked = stream.add(
            QuestionAsked(to=UUID(int=7), to_name="Dr Élise Garnier", text="Échographie ?"),
            author=ME,
        )
        self.read = stream.add(ResultReceived(status="final", title="Iono"))
        stream.add(
            ResultReviewed(verdict="known", inform_patient=False), target=self.read.event_id,
            author=ME,
        )  # fmt: skip
        return stream, len(stream.events) - 1

    def news(self, stream: Stream, since: int) -> list[tuple[str, str]]:
        return [(each["kind"], each["text"]) for each in new_card(stream, back(since))["since"]]

    def test_tells_what_became_of_items_questions_drugs_and_results(self) -> None:
        stream, since = self.left()
        assert self.news(stream, since) == []
        stream.add(
            ItemClosed(outcome="done", evidence="normale"), target=self.item.event_id, author=OTHER
        )
        stream.add(
            QuestionAnswered(text="faite, normale"), target=self.asked.event_id, author=OTHER
        )
        stream.add(ProblemRecorded(concept=Concept(text="Goutte")), author=OTHER)
        stream.add(
            MedicationStopped(stopped_on="2026-11-15"), target=self.drug.event_id, reason="toux",
            author=OTHER,
        )  # fmt: skip
        stream.add(
            ResultReceived(status="corrected", title="Iono"), target=self.read.event_id,
            author=SECRETARY,
        )  # fmt: skip
        stream.add(DeathRecorded(date="2026-11-20", source="famille"), author=OTHER)
        assert self.news(stream, since) == [
            ("death", "décès le 20/11/2026"),
            ("outcome", "« NFS » fait : normale"),
            ("answer", "réponse : faite, normale"),
            ("stopped", "Ramipril arrêté (15/11/2026) : toux"),
            ("corrected", "corrigé après votre lecture : Iono"),
            ("diagnosis", "diagnostic : Goutte"),
        ]

    def test_the_outcome_of_her_item_is_told_whatever_was_closed_since(self) -> None:
        stream, since = self.left()
        later = [stream.add(ItemOpened(kind="call", text=f"rappel {n}"), author=OTHER)
                 for n in range(14)]  # fmt: skip
        for item in later[:7]:
            stream.add(ItemClosed(outcome="done", evidence="x"), target=item.event_id, author=OTHER)
        stream.add(
            ItemClosed(outcome="done", evidence="normale"), target=self.item.event_id, author=OTHER
        )
        for item in later[7:]:
            stream.add(ItemClosed(outcome="done", evidence="x"), target=item.event_id, author=OTHER)
        assert ("outcome", "« NFS » fait : normale") in self.news(stream, since)

    def test_on_the_page_the_weightiest_news_comes_first_and_says_since_when(self) -> None:
        cards = []
        for number, payload in enumerate(
            (ProblemRecorded(concept=Concept(text="Goutte")),) * 6
            + (DeathRecorded(date="2026-11-20", source="famille"),)
        ):
            stream = person(number)
            stream.add(EncounterRecorded(mode="cabinet"), author=ME)
            stream.add(payload, author=OTHER)
            cards.append(new_card(stream, back(1)))
        head = HEAD | {"since": "12 dossiers modifiés", "left": "18/10"}
        (section,) = around_sections(head, cards, NEW)
        assert section.title == "Depuis votre dernier séjour (depuis le 18/10)"
        assert section.rows[0] == "FOURNIER Marcel : décès le 20/11/2026"
        assert section.rows[-1] == "Au centre : 12 dossiers modifiés"
        assert (len(section.rows), section.hidden) == (6, 2)
        (whole,) = around_sections(head, cards, NEW, whole=True)
        assert (len(whole.rows), whole.hidden) == (8, 0)

    def test_a_late_entry_about_before_her_stay_is_news_and_her_own_writing_is_not(self) -> None:
        stream, since = self.left()
        stream.add(
            ProblemRecorded(concept=Concept(text="Asthme")), author=OTHER, occurred_at="2019-02-03"
        )
        stream.add(ProblemRecorded(concept=Concept(text="HTA")), author=ME)
        assert self.news(stream, since) == [], "she wrote after it: it was before her"
        stream.add(
            ProblemRecorded(concept=Concept(text="BPCO")), author=OTHER, occurred_at="2018-02-03"
        )
        assert self.news(stream, since) == [("diagnosis", "diagnostic : BPCO")]

    def test_an_amendment_is_told_and_an_error_counted(self) -> None:
        stream, since = self.left()
        note = stream.add(NoteSigned(one_liner="HTA"), author=ME)
        stream.add(NoteAmended(kind="addendum", text="suite"), target=note.event_id, author=OTHER)
        stream.add(EntryMarkedInError(), target=self.drug.event_id, reason="x", author=OTHER)
        assert self.news(stream, since) == [
            ("amended", "note amendée"),
            ("other", "1 autre changement"),
        ]

    def test_a_patient_whom_she_never_treated_is_counted_with_the_centre(self) -> None:
        stream = person()
        stream.add(ProblemRecorded(concept=Concept(text="Asthme")), author=OTHER)
        assert self.news(stream, -1) == []
        counts = centre_counts([summary_of(stream)], back(-1))
        assert counts["patients"] == counts["diagnoses"] == 1

    def test_what_her_screen_did_not_show_when_she_wrote_is_news(self) -> None:
        stream, since = self.left()
        stream.add(ProblemRecorded(concept=Concept(text="Asthme")), author=OTHER)
        stream.add(ProblemRecorded(concept=Concept(text="HTA")), author=ME, seen_position=since)
        assert self.news(stream, since) == [("diagnosis", "diagnostic : Asthme")]
