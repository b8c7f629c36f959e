"""What one card says of a patient, in ninety words, and the same bytes whenever it is made."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID, uuid5

import pytest
import rfc8785

from releve.domain.aggregates.patient.ald import AldStatusChanged
from releve.domain.aggregates.patient.allergies import AbsenceAsserted, AllergyRecorded
from releve.domain.aggregates.patient.appointments import AppointmentNoticed
from releve.domain.aggregates.patient.contingencies import ContingencySet
from releve.domain.aggregates.patient.corrections import EntryMarkedInError
from releve.domain.aggregates.patient.death import DeathRecorded
from releve.domain.aggregates.patient.encounters import EncounterRecorded, NoteSigned
from releve.domain.aggregates.patient.handover import HandoverWritten
from releve.domain.aggregates.patient.identity import Registered
from releve.domain.aggregates.patient.medications import (
    MedicationChanged,
    MedicationStarted,
    MedicationStopped,
)
from releve.domain.aggregates.patient.open_items import ItemOpened
from releve.domain.aggregates.patient.problems import ProblemRecorded
from releve.domain.aggregates.patient.questions import OpinionRecorded, QuestionAsked
from releve.domain.aggregates.patient.results import (
    Informed,
    InvestigationOrdered,
    ResultReceived,
    ResultReviewed,
)
from releve.domain.aggregates.patient.severity import IllnessSeveritySet
from releve.domain.aggregates.patient.validation import EntryValidated
from releve.domain.aggregates.patient.vigilance import VigilancePointSet
from releve.domain.events import Source
from releve.domain.values import Concept, Owner, Quantity, ResultLine, Severity
from releve.projections.briefing import build_card, card_bytes, extract, rank
from releve.projections.briefing_text import (
    alarm_line,
    allergy_badge,
    banner,
    card_text,
    card_words,
    contingency_line,
    counted,
    page,
    page_row,
    short_badge,
)
from releve.projections.patient_summary import from_bytes, to_bytes
from releve.projections.ranking import documents_to_validate
from support.briefing import (
    DIRECTORY,
    HEAD,
    LENOIR,
    ME,
    NEW,
    OTHER,
    RULES,
    back,
    card_of,
    new_card,
    person,
    ranked_of,
    seen,
    tier_of,
)
from support.given import SECRETARY
from support.patient_events import CENTRE, STINT, Stream, summary_of
from support.results import CDA, IF_THEN, measure, phoned, result


def overloaded() -> Stream:
    long = "surveiller de près la fonction rénale et le poids chaque matin avant le petit déjeuner "
    stream = person()
    for number in range(9):
        stream.add(AllergyRecorded(substance=Concept(text=f"Substance numéro {number} longue")))
        stream.add(MedicationStarted(concept=Concept(text=f"Médicament {number} " + long)))
        stream.add(
            ItemOpened(kind="result", text=long + str(number), due="2026-11-18", harm_if_late=True)
        )
        stream.add(ContingencySet(condition=long, action=long, valid_until="2027-01-01"))
    stream.add(EncounterRecorded(mode="cabinet", reason=long))
    stream.add(NoteSigned(one_liner=("mot " * 40).strip()))
    stream.add(IllnessSeveritySet(severity="unstable", reason=long * 3))
    return stream


class TestCard:
    def test_holds_ninety_words_whatever_the_record_holds(self) -> None:
        card = card_of(overloaded())
        assert card_words(card) <= 90
        assert card["actions"], "the first action always stays"
        assert card["severity"]["level"] == "unstable"
        assert card["more"]["actions"] == 9 - len(card["actions"])
        assert len(card["one_liner"]["text"]) <= 160
        assert card["allergies"]["more"] == 9 - len(card["allergies"]["lines"])

    def test_is_canonical_json(self) -> None:
        for stream in (overloaded(), person()):
            card = card_of(stream)
            assert card_bytes(card) == rfc8785.dumps(card)
        odd = {"é": 'ligne\n"\\\x07\u2028😀', "a": [True, None, 12]}
        assert card_bytes({"x": odd["é"], "a": odd["a"]}) == rfc8785.dumps(
            {"x": odd["é"], "a": odd["a"]}
        )

    def test_does_not_change_with_the_hour_it_is_made(self) -> None:
        stream = overloaded()
        early = card_of(stream, seen(datetime(2026, 11, 21, 6, tzinfo=UTC)))
        late = card_of(stream, seen(datetime(2026, 11, 23, 21, tzinfo=UTC)))
        assert card_bytes(early) == card_bytes(late)

    def test_does_not_depend_on_ledger_positions(self) -> None:
        here, there = overloaded(), overloaded()
        moved = [
            event.__class__(
                **{
                    **{f: getattr(event, f) for f in event.__struct_fields__},
                    "position": (event.position or 0) + 5_000,
                }
            )
            for event in there.events
        ]
        there.events[:] = moved
        assert card_bytes(card_of(here)) == card_bytes(card_of(there))

    def test_of_the_extract_is_the_card_of_the_whole_summary(self) -> None:
        stream = overloaded()
        whole = summary_of(stream)
        thin = from_bytes(to_bytes(extract(whole)))
        view = seen()
        cards = [
            build_card(rank([each], view, RULES)[0], view, DIRECTORY, RULES)
            for each in (whole, thin)
        ]
        assert cards[0]["actions"] == cards[1]["actions"]
        for card in cards:
            card["treatments"]["lines"] = card["problems"]["lines"] = []
        assert card_bytes(cards[0]) == card_bytes(cards[1])

    def test_every_line_says_since_when_by_whom_and_from_where(self) -> None:
        stream = person()
        stream.add(AllergyRecorded(substance=Concept(text="Pénicilline")))
        stream.add(NoteSigned(one_liner="IC"))
        stream.add(IllnessSeveritySet(severity="watcher", reason="poids"))
        stream.add(ItemOpened(kind="result", text="NFS", due="2026-11-25"))
        stream.add(ContingencySet(condition="dyspnée", action="appeler le 15"))
        stream.add(MedicationStarted(concept=Concept(text="Furosémide 40 mg")))
        card = card_of(stream)
        lines = [card["severity"], card["one_liner"], *card["allergies"]["lines"]]
        for name in ("actions", "contingencies", "pending", "changes"):
            assert card[name]
            lines += card[name]
        for line in lines:
            assert line["author"] == "Dr Élise Garnier"
            assert line["source"] == "saisi"
            assert line["as_of"].startswith("2026-11-16")
            assert str(UUID(line["entry"])) == line["entry"]

    def test_badge_has_three_states(self) -> None:
        stream = person()
        assert allergy_badge(card_of(stream)) == "Allergies : non demandées"
        stream.add(AbsenceAsserted(slot="allergies", asked_on="2026-11-16"))
        assert allergy_badge(card_of(stream)) == "Aucune allergie connue (demandé le 16/11/2026)"
        stream.add(AllergyRecorded(substance=Concept(text="Pénicilline")))
        assert allergy_badge(card_of(stream)) == "Allergies : Pénicilline"

    def test_a_treatment_past_its_planned_end_is_to_be_checked(self) -> None:
        stream = person()
        imported = Source(channel="fhir", system="EHR")
        for end in ("2026-11-20", "2026-11-23", "2026-11"):
            stream.add(
                MedicationStarted(
                    concept=Concept(text="Ramipril"), status="active", start="2026-11-02", end=end
                ),
                source=imported,
            )
        texts = {line["text"] for line in card_of(stream)["changes"]}
        assert texts == {
            "Ramipril, depuis le 02/11/2026, fin prévue le 20/11/2026 dépassée (à vérifier)"
            " (à valider)",
            "Ramipril, depuis le 02/11/2026, jusqu'au 23/11/2026 (à valider)",
            "Ramipril, depuis le 02/11/2026, jusqu'en 11/2026 (à valider)",
        }

    def test_a_measure_older_than_the_contingency_is_listed_beside_it(self) -> None:
        stream = person()
        stream.add(IF_THEN)
        stream.add(measure("6.1"), occurred_at="2026-11-12")
        assert tier_of(stream) == "T5"
        (contingency,) = card_of(stream)["contingencies"]
        assert contingency["met"] is False
        assert contingency_line(contingency) == (
            "Si K+ > 5,5 : ECG [mesure antérieure : Potassium 6,1 mmol/L, 12/11/2026]"
        )

    def test_substances_with_long_names_are_counted_and_never_cut(self) -> None:
        stream = person()
        long = "Excipient à effet notoire " + "très " * 25
        for number in range(4):
            stream.add(AllergyRecorded(substance=Concept(text=f"{long}{number}")))
        card = card_of(stream)
        assert card_words(card) <= RULES.card.words
        names = [line["text"] for line in card["allergies"]["lines"]]
        assert all(name.startswith(long) for name in names)
        assert 1 <= len(names) == 4 - card["allergies"]["more"]

    def test_age_is_that_of_the_first_day_of_the_stint(self) -> None:
        stream = Stream()
        stream.add(Registered(birth_name="PETIT", birth_date="1948-11-23"))
        assert card_of(stream)["identity"]["age"] == "78 ans"
        stream = Stream()
        stream.add(Registered(birth_name="PETIT", birth_date="1948-11-24"))
        assert card_of(stream)["identity"]["age"] == "77 ans"

    def test_an_old_one_liner_is_greyed_sooner_when_the_patient_is_not_stable(self) -> None:
        cases: tuple[tuple[Severity, str, bool], ...] = (
            ("stable", "2026-09-01", False),
            ("stable", "2026-08-20", True),
            ("watcher", "2026-10-20", True),
            ("watcher", "2026-10-30", False),
        )
        for level, day, greyed in cases:
            stream = person()
            stream.add(IllnessSeveritySet(severity=level, reason="x"))
            stream.add(NoteSigned(one_liner="HTA"), occurred_at=day)
            assert card_of(stream)["one_liner"]["greyed"] is greyed

    def test_a_contingency_in_error_is_not_on_the_card(self) -> None:
        stream = person()
        wrong = stream.add(ContingencySet(condition="fièvre", action="appeler"))
        assert len(card_of(stream)["contingencies"]) == 1
        stream.add(EntryMarkedInError(), target=wrong.event_id, reason="autre patient")
        (ranked,) = rank([summary_of(stream)], seen(), RULES)
        for card in (build_card(ranked, seen(), DIRECTORY, RULES), card_of(stream)):
            assert card["contingencies"] == []

    def test_a_handover_that_asks_for_a_read_back_says_whether_one_came(self) -> None:
        stream = person()
        stream.add(HandoverWritten(severity="unstable", summary="IC", read_back_requested=True))
        handover = card_of(stream)["handover"]
        assert handover["read_back_requested"] is True
        assert handover["read_back"] is False


class TestOwner:
    def owner(self, owner: Owner, now: datetime) -> str:
        stream = person()
        stream.add(ItemOpened(kind="call", text="Appeler", due="2026-11-24", owner=owner))
        return str(card_of(stream, seen(now))["actions"][0]["owner"])

    def test_of_a_stint_that_is_over_is_the_doctor_in_post(self) -> None:
        accepted = Owner(person=UUID(int=7), stint=STINT)
        assert self.owner(accepted, datetime(2026, 11, 23, 8, tzinfo=UTC)) == "Dr Paul Lenoir"

    def test_is_the_referent_when_nobody_is_in_post(self) -> None:
        found = DIRECTORY.answerable(Owner(), CENTRE, datetime(2026, 11, 22, 8, tzinfo=UTC))
        assert found is not None
        assert (found.name, found.role) == ("Dr Odile Référente", "referent")

    def test_is_the_coordination_where_it_was_given_there(self) -> None:
        given_to = Owner(role="coordinator")
        assert self.owner(given_to, datetime(2026, 11, 23, 8, tzinfo=UTC)) == "coordination"


class TestMoreOnTheCard:
    def test_a_critical_value_that_was_read_keeps_value_and_conduct_uncut_until_told(self) -> None:
        stream = overloaded()
        for number in range(4):
            stream.add(result("final", f"4.{number}"))
        came = stream.add(result("final", "6.4"))
        conduct = "stopper la spironolactone ce soir, ECG demain matin, ionogramme mercredi à jeun"
        stream.add(ResultReviewed(verdict="critical", action=conduct), target=came.event_id)
        card = new_card(stream)
        (first, *_) = card["results"]
        assert first["text"] == f"Potassium 6,4 mmol/L : critique, {conduct}"
        assert card_words(card) <= NEW.card.words
        stream.add(Informed(channel="phone"), target=came.event_id)
        assert not any(line.get("critical") for line in new_card(stream)["results"])

    def test_where_conduct_is_cut_its_value_stays_whole_whatever_its_laboratory_calls_it(
        self,
    ) -> None:
        stream = overloaded()
        potassium = Concept(text="IONOGRAMME : POTASSIUM")
        conduct = " ".join(f"geste{number}" for number in range(70))
        for value in ("6.8", "6.9"):
            measured = ResultLine(code=potassium, value=Quantity(value=value, unit="mmol/L"))
            came = stream.add(ResultReceived(status="final", title="Iono", lines=(measured,)))
            stream.add(ResultReviewed(verdict="critical", action=conduct), target=came.event_id)
        card = new_card(stream)
        told = [each for each in card["results"] if each.get("critical")]
        for each, value in zip(told, ("6,8", "6,9"), strict=True):
            assert each["text"].startswith(f"IONOGRAMME : POTASSIUM {value} mmol/L : critique")
            assert each["text"].endswith("…")
            assert {"value", "conduct"}.isdisjoint(each)
        assert card_words(card) <= NEW.card.words

    @pytest.mark.parametrize("early", [phoned("6.8"), result("partial", "6.8")])
    def test_a_critical_value_is_untold_no_more_though_its_written_result_is_to_come(
        self, early: ResultReceived
    ) -> None:
        stream, spared = person(), person()
        came = stream.add(early)
        stream.add(ResultReviewed(verdict="critical", action="ECG"), target=came.event_id)
        assert [each.get("critical") for each in new_card(stream)["results"]] == [True]
        stream.add(Informed(channel="phone"), target=came.event_id)
        came = spared.add(early)
        known = ResultReviewed(verdict="critical", action="ECG", inform_patient=False)
        spared.add(known, target=came.event_id)
        for each in (stream, spared):
            (told,) = new_card(each)["results"]
            assert (told["state"], told.get("critical")) == ("partial", None)
            assert told["text"] == "Ionogramme"

    def test_a_death_stops_severity_from_ranking_and_is_said(self) -> None:
        stream = person()
        stream.add(IllnessSeveritySet(severity="unstable", reason="dyspnée"))
        stream.add(DeathRecorded(date="2026-11-20", source="famille"))
        stream.add(AppointmentNoticed(starts_at="2026-11-23T09:15:00+01:00"))
        (ranked,) = ranked_of(stream)
        assert (ranked.tier, "deceased" in ranked.signals) == ("T4", True)
        card = new_card(stream)
        assert "DÉCÈS le 20/11/2026" in card_text(card)
        assert "décès enregistré" in page(HEAD, [card], NEW)[-1].rows[0]

    def test_says_what_is_pending_by_whom_and_since_when(self) -> None:
        stream = person()
        item = uuid5(stream.id, "3")
        order = stream.add(
            InvestigationOrdered(
                kind="laboratory", text="Iono", expected_by="2026-11-20", item=item
            )
        )
        stream.add(ItemOpened(kind="result", text="Iono", due="2026-11-20", follows=order.event_id))
        (pending,) = new_card(stream)["pending"]
        assert (pending["entry"], pending["ordered_by"], pending["since"]) == (
            str(item), "Dr Élise Garnier", order.envelope.occurred_at,
        )  # fmt: skip
        assert pending["overdue"]

    def test_imported_lines_are_marked_until_a_doctor_accepts_them(self) -> None:
        stream = person()
        line = stream.add(
            AllergyRecorded(substance=Concept(text="Iode")), source=Source(channel="cda")
        )
        card = new_card(stream)
        assert allergy_badge(card) == "Allergies : Iode (à valider)"
        assert "À valider : 1" in card_text(card)
        stream.add(EntryValidated(verdict="accepted"), target=line.event_id)
        assert allergy_badge(new_card(stream)) == "Allergies : Iode"

    def test_an_imported_none_says_so_in_every_badge_until_a_doctor_accepts_it(self) -> None:
        stream = person()
        said = AbsenceAsserted(slot="allergies", asked_on="2020-01-01")
        line = stream.add(said, source=CDA)
        stream.add(AbsenceAsserted(slot="allergies", part="food"), source=CDA)
        stream.add(AbsenceAsserted(slot="problems", asked_on="2020-01-01"), source=CDA)
        card = new_card(stream)
        assert allergy_badge(card) == (
            "Aucune allergie connue, à valider (import CDA, demandé le 01/01/2020)"
            " ; Aucune allergie alimentaire connue (à valider)"
        )
        assert short_badge(card) == "Aucune allergie, à valider (01/01/2020)"
        no_problem = "Aucun problème connu, à valider (import CDA, demandé le 01/01/2020)"
        assert no_problem in card_text(card)
        stream.add(EntryValidated(verdict="accepted"), target=line.event_id)
        assert short_badge(new_card(stream)) == "Aucune allergie (01/01/2020)"

    def test_every_line_that_is_left_out_is_counted_once_in_words(self) -> None:
        stream = person()
        stream.add(result("final", "6.9"))
        for number in range(6):
            stream.add(ItemOpened(kind="result", text=f"Bilan {number}", due="2026-11-25"))
            stream.add(ContingencySet(condition=f"signe {number}", action="appeler"))
            stream.add(result("final", f"4.{number}"))
        card = new_card(stream)
        more = card["more"]
        assert more["actions"] == 6 - len(card["actions"]) > 0
        assert more["contingencies"] == 6 - len(card["contingencies"]) > 0
        assert more["results"] == 6 - sum(not line["alarm"] for line in card["results"]) > 0
        assert "pending" not in more, "each of them is an action, shown or counted there"
        assert card_text(card)[-1] == (
            f"+{more['actions']} actions, +{more['contingencies']} consignes,"
            f" +{more['results']} résultats"
        )

    def test_values_that_cannot_be_compared_give_way_and_critical_ones_never(self) -> None:
        stream = person()
        for unit in ("mg", "mmol/L", "mmol/L", "g", "mmol/L"):
            stream.add(phoned("6.9", unit))
        card = new_card(stream)
        assert [alarm["critical"] for alarm in card["alarms"]] == [True] * 3
        assert "+2 valeurs à lire" in card_text(card)

    def test_an_imported_line_is_something_to_do_and_an_allergy_cannot_wait(self) -> None:
        stream = person()
        lines = [
            stream.add(MedicationStarted(concept=Concept(text="Apixaban")), source=CDA),
            stream.add(ProblemRecorded(concept=Concept(text="Insuffisance cardiaque")), source=CDA),
        ]
        assert new_card(stream)["tier"] == "T3"
        lines.append(stream.add(AllergyRecorded(substance=Concept(text="Arachide")), source=CDA))
        card = new_card(stream)
        assert (card["tier"], card["to_validate"]) == ("T1", 3)
        assert card["why"] == ["allergie ou valeur critique à valider"]
        assert [line["text"] for line in card["unvalidated"]] == [
            "Arachide", "Apixaban", "Insuffisance cardiaque",
        ]  # fmt: skip
        assert "à valider" in page_row(card, 8)
        for number, line in enumerate(reversed(lines), 1):
            stream.add(EntryValidated(verdict="accepted"), target=line.event_id)
            tier = "T5" if number == 3 else "T3"
            assert (new_card(stream)["tier"], new_card(stream)["to_validate"]) == (tier, 3 - number)
        assert new_card(stream)["unvalidated"] == []

    def test_lines_to_validate_are_counted_as_documents_and_keep_the_budget(self) -> None:
        stream = person()
        for number in range(60):
            came = datetime(2026, 11, 20, 8 + number // 30, tzinfo=UTC)
            drug = MedicationStarted(concept=Concept(text=f"Médicament {number} " * 6))
            stream.add(drug, source=CDA, at=came)
        whole = summary_of(stream)
        assert documents_to_validate(whole) == documents_to_validate(extract(whole)) == 2
        card = new_card(stream)
        assert (card["to_validate"], len(card["unvalidated"])) == (40, 3)
        assert card_words(card) <= 90
        (ranked,) = rank([whole], back(-1), NEW)
        assert card_bytes(build_card(ranked, back(-1), DIRECTORY, NEW)) == card_bytes(card)
        assert "2 documents à valider" in "\n".join(banner(HEAD | {"to_validate": 2}))

    def test_stopped_and_changed_treatments_are_recent_ones(self) -> None:
        stream = person()
        for name in ("Ramipril", "Bisoprolol", "Ancien"):
            drug = stream.add(
                MedicationStarted(concept=Concept(text=name), start="2020"), occurred_at="2020"
            )
            if name == "Ramipril":
                stopped = MedicationStopped(stopped_on="2026-11-15")
                stream.add(stopped, target=drug.event_id, reason="toux")
            elif name == "Bisoprolol":
                stream.add(MedicationChanged(dose_text="5 mg"), target=drug.event_id, reason="TA")
        assert [line["text"] for line in new_card(stream)["changes"]] == [
            "Bisoprolol, 5 mg, depuis 2020 (modifié le 16/11/2026)",
            "Ramipril, arrêté le 15/11/2026 (toux)",
        ]

    def test_every_treatment_that_was_stopped_is_named_or_counted(self) -> None:
        stream = person()
        drugs = [
            stream.add(MedicationStarted(concept=Concept(text=f"Produit {n}"), start="2020"))
            for n in range(9)
        ]
        for drug in drugs[:7]:
            stopped = MedicationStopped(stopped_on="2026-11-16")
            stream.add(stopped, target=drug.event_id, reason="chute")
        card = new_card(stream)
        assert len(card["changes"]) + card["more"]["changes"] == 7

    def test_a_challenge_stands_beside_its_problem_and_a_question_names_its_reader(self) -> None:
        stream = person()
        problem = stream.add(ProblemRecorded(concept=Concept(text="Arthrose")))
        stream.add(
            OpinionRecorded(stance="challenges", text="goutte ?"), target=problem.event_id,
            author=OTHER,
        )  # fmt: skip
        stream.add(QuestionAsked(to=LENOIR, to_name="Dr Paul Lenoir", text="Pourquoi ?"))
        text = card_text(new_card(stream))
        assert "Arthrose remis en question : goutte ?" in text
        assert "Question pour vous : Pourquoi ?" in text
        assert "question-to-me" in ranked_of(stream)[0].signals

    def test_whoever_read_a_result_that_was_corrected_is_told_for_fourteen_days(self) -> None:
        stream = person()
        first = stream.add(ResultReceived(status="final", title="Iono"))
        stream.add(
            ResultReviewed(verdict="known", inform_patient=False), target=first.event_id, author=ME
        )
        stream.add(ResultReceived(status="corrected", title="Iono"), target=first.event_id)
        assert "Corrigé après votre lecture : Iono" in card_text(new_card(stream))
        stream.add(
            ResultReviewed(verdict="known", inform_patient=False),
            target=stream.events[-1].event_id,
            author=OTHER,
        )
        assert "Corrigé après votre lecture : Iono" in card_text(new_card(stream)), (
            "that somebody else has read it since tells her nothing"
        )
        later = seen(datetime(2026, 12, 3, 8, tzinfo=UTC))
        assert "corrected-result" not in ranked_of(stream, view=later)[0].signals
        someone = seen()._replace(reader=UUID(int=7))
        assert "corrected-result" not in ranked_of(stream, view=someone)[0].signals

    def test_holds_ninety_words_and_its_bytes_with_everything_on_it(self) -> None:
        stream = overloaded()
        for number in range(6):
            stream.add(phoned("6.4"), author=SECRETARY)
            stream.add(QuestionAsked(to=LENOIR, to_name="Dr Lenoir", text="pourquoi " * 20))
            stream.add(VigilancePointSet(text=f"vigilance {number} " * 8))
            stream.add(AppointmentNoticed(starts_at="2026-11-24T09:15:00+01:00"))
            stream.add(AldStatusChanged(status="granted", code=str(number + 1)))
        card = new_card(stream, back(-1))
        assert len(card["alarms"]) == 6, "no critical value gives way"
        assert card_words(card) - sum(counted(alarm_line(each)) for each in card["alarms"]) <= 90
        assert card_bytes(card) == rfc8785.dumps(card)
