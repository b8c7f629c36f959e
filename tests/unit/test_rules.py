from __future__ import annotations

import hashlib
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from releve.domain.aggregates.patient.corrections import EntryMarkedInError
from releve.domain.aggregates.patient.handover import MOST_READ_BACKS
from releve.domain.aggregates.patient.loinc_families import family_of
from releve.domain.aggregates.patient.observations import ObservationRecorded
from releve.domain.aggregates.patient.results import ResultReceived, ResultReviewed, is_past
from releve.domain.aggregates.patient.severity import IllnessSeveritySet
from releve.domain.aggregates.patient.validation import EntryValidated
from releve.domain.codes import Loinc
from releve.domain.events import Author, Role, Source
from releve.domain.values import (
    Coding,
    Component,
    Concept,
    Quantity,
    ResultLine,
)
from releve.projections import rule_release
from releve.projections.critical_values import alarms, in_unit, judge, relation, verdicts
from releve.projections.patient_summary import fold_all
from releve.projections.rule_release import CURRENT, CriticalValue, load_rules, release_bytes
from releve.security.errors import Malformed, Tampered
from releve.security.signed_release import release_text, sign_release, verify_release
from support.patient_events import MONDAY, Stream

SEED = bytes(range(32))
RULES = load_rules()


def rule(label: str) -> CriticalValue:
    return next(each for each in RULES.critical if each.label == label)


def line(
    value: str, unit: str | None = "mmol/L", *, code: str = "2823-3", **more: object
) -> dict[str, object]:
    return {
        "code": {"text": "Potassium", "codings": [{"code": code}]},
        "value": {"value": value, "unit": unit} if unit is not None else {"value": value},
        **more,
    }


class TestRelease:
    def test_each_one_loads_and_says_that_no_clinician_has_read_it(self) -> None:
        for release in rule_release.releases():
            rules = load_rules(release)
            assert rules.release == release
            assert "Non relu" in rules.reviewed_by

    def test_the_first_one_is_byte_for_byte_what_old_editions_were_ranked_with(self) -> None:
        digest = hashlib.sha256(release_bytes("2026-11")).hexdigest()
        assert digest == "fbca4dcaafde8f47f41d66ea947724ec5a96b27dea1c35b3b0f17be422266d09"
        assert load_rules("2026-11").critical == ()

    def test_one_whose_bytes_do_not_match_its_signature_is_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = Path(rule_release.__file__).parent / "rules"
        content = release_bytes(CURRENT)
        (tmp_path / f"{CURRENT}.sig").write_bytes((folder / f"{CURRENT}.sig").read_bytes())
        monkeypatch.setattr(rule_release, "_FOLDER", tmp_path)
        for changed in (content.replace(b'"6.0"', b'"9.0"'), content + b"\n"):
            (tmp_path / f"{CURRENT}.json").write_bytes(changed)
            with pytest.raises(Tampered):
                load_rules.__wrapped__(CURRENT)
        (tmp_path / f"{CURRENT}.json").write_bytes(content)
        assert load_rules.__wrapped__(CURRENT) == RULES

    def test_it_repeats_how_many_read_backs_the_domain_lets_a_stint_ask_for(self) -> None:
        assert RULES.read_back_limit == MOST_READ_BACKS

    def test_one_that_is_not_here_is_not_looked_for_elsewhere(self) -> None:
        with pytest.raises(FileNotFoundError):
            load_rules("../rule_release")


class TestSignature:
    def test_signs_these_bytes_under_this_name_with_this_key(self) -> None:
        note, vkey = sign_release(SEED, "releve-rules", "2027-01", b"{}")
        verify_release(note, vkey, "2027-01", b"{}")
        other = sign_release(bytes(32), "releve-rules", "2027-01", b"{}")[1]
        for name, content, key in (
            ("2027-01", b"{ }", vkey), ("2027-02", b"{}", vkey), ("2027-01", b"{}", other),
        ):  # fmt: skip
            with pytest.raises(Tampered):
                verify_release(note, key, name, content)

    def test_every_changed_bit_of_the_signature_is_found(self) -> None:
        note, vkey = sign_release(SEED, "releve-rules", "2027-01", b"{}")
        raw = bytearray(note.encode())
        start = note.encode().rindex(b" ") + 8
        for place in range(start, len(raw) - 3, 7):
            raw[place] ^= 1
            with pytest.raises(Tampered):
                verify_release(raw.decode("utf-8", "replace"), vkey, "2027-01", b"{}")
            raw[place] ^= 1

    def test_a_checkpoint_is_not_a_release(self) -> None:
        assert release_text("2027-01", b"{}").startswith("releve/rules/v1\n")
        with pytest.raises(Malformed):
            sign_release(b"short", "releve-rules", "2027-01", b"{}")


class TestCriticalValues:
    def test_have_codes_whose_check_digit_is_right_and_limits_that_are_numbers(self) -> None:
        for each in RULES.critical:
            for code in each.loinc:
                assert Loinc(code) == code
            for limit in (each.below, each.above, *each.units.values()):
                assert limit is None or Decimal(limit) > 0
            assert each.units.get(each.unit) == "1" or each.above_reference

    @pytest.mark.parametrize(
        ("value", "unit", "bound", "verdict"),
        [
            ("6.0", "mmol/L", None, None),
            ("6.01", "mmol/L", None, "critical"),
            ("6.4", "mEq/L", None, "critical"),
            ("2.8", "mmol/L", None, None),
            ("2.79", "mmol/L", None, "critical"),
            ("4.1", "mmol/L", None, None),
            ("6.4", "mg/dL", None, "not-comparable"),
            ("6.4", None, None, "not-comparable"),
            ("hémolysé", "mmol/L", None, "not-comparable"),
            ("6.0", "mmol/L", ">", "critical"),
            ("5.0", "mmol/L", ">", "not-comparable"),
            ("9.0", "mmol/L", "<", "not-comparable"),
            ("2.8", "mmol/L", "<", "critical"),
            ("2.0", "mmol/L", "<", "critical"),
            ("2,0", "mmol/L", "<=", "critical"),
            ("6,0", "mmol/L", ">", "critical"),
            ("7,0", "mmol/L", ">", "critical"),
            ("7,0", "mmol/L", ">=", "critical"),
            ("0,6", "mmol/L", "<", "critical"),
            ("6,8", "mmol/L", None, "critical"),
            ("6,80", "mmol/L", None, "critical"),
            ("2,7", "mmol/L", None, "critical"),
            ("4,1", "mmol/L", None, None),
            ("NaN", "mmol/L", None, "not-comparable"),
        ],
    )
    def test_potassium(self, value: str, unit: str | None, bound: str | None, verdict: str) -> None:
        more = {"comparator": bound} if bound else {}
        assert judge(rule("Kaliémie"), line(value, unit, **more)) == verdict

    @pytest.mark.parametrize(
        ("label", "value", "unit", "verdict"),
        [
            ("Hémoglobine", "69", "g/L", "critical"),
            ("Hémoglobine", "6.9", "g/dL", "critical"),
            ("Hémoglobine", "70", "g/L", None),
            ("Hémoglobine", "4.3", "mmol/L", "not-comparable"),
            ("Glycémie", "2.7", "mmol/L", "critical"),
            ("Glycémie", "0.49", "g/L", "critical"),
            ("Glycémie", "5.5", "mmol/L", None),
            ("Glycémie", "460", "mg/dL", "critical"),
            ("INR", "5.1", None, "critical"),
            ("INR", "2.5", "{INR}", None),
            ("INR", "60", "%", "not-comparable"),
            ("Natrémie", "124", "mmol/L", "critical"),
        ],
    )
    def test_others_in_the_units_that_laboratories_write(
        self, label: str, value: str, unit: str | None, verdict: str | None
    ) -> None:
        assert judge(rule(label), line(value, unit)) == verdict

    def test_creatinine_that_rises_by_half_whatever_the_unit(self) -> None:
        creatinine = rule("Créatininémie")
        before = [Decimal("80"), Decimal("100")]
        assert judge(creatinine, line("120", "umol/L"), before) == "critical"
        assert judge(creatinine, line("119", "umol/L"), before) is None
        assert judge(creatinine, line("13.6", "mg/L"), before) == "critical"
        assert judge(creatinine, line("400", "umol/L"), []) is None
        assert in_unit(creatinine, {"value": "10", "unit": "mg/L"}) == Decimal("88.40")

    @pytest.mark.parametrize(
        ("value", "bound", "verdict"),
        [("121", ">", "critical"), ("100", ">", "not-comparable"), ("120", "<", None),
         ("150", "<", "not-comparable"), ("120,0", None, "critical")],
    )  # fmt: skip
    def test_creatinine_that_is_only_bounded(
        self, value: str, bound: str | None, verdict: str | None
    ) -> None:
        said = line(value, "umol/L", **({"comparator": bound} if bound else {}))
        assert judge(rule("Créatininémie"), said, [Decimal("80")]) == verdict

    @pytest.mark.parametrize(
        ("value", "more", "verdict"),
        [
            ("10", {"comparator": ">"}, "not-comparable"),
            ("14", {"comparator": ">"}, "critical"),
            ("14", {"comparator": "<"}, None),
            ("20", {"comparator": "<"}, "not-comparable"),
            ("14,5", {}, "critical"),
            ("NaN", {}, "not-comparable"),
            ("20", {"reference_range": "> 14"}, "not-comparable"),
        ],
    )
    def test_troponin_that_is_only_bounded(
        self, value: str, more: dict[str, str], verdict: str | None
    ) -> None:
        said = line(value, "ng/L", **{"reference_range": "< 14", **more})
        assert judge(rule("Troponine"), said) == verdict

    @pytest.mark.parametrize(
        ("more", "verdict"),
        [
            ({"interpretation": "HH"}, "critical"),
            ({"interpretation": "N"}, None),
            ({"reference_range": "< 14 ng/L"}, "critical"),
            ({"reference_range": "0 - 40"}, None),
            ({"reference_range": "0 - 14 ng/L (VPN 99 %)"}, "not-comparable"),
            ({"reference_range": "femme < 14, homme < 34"}, "not-comparable"),
            ({"reference_range": "0 - 14 ng/L ; 0 - 34 ng/L"}, "critical"),
            ({"reference_range": "0,00 - 0,04 µg/L"}, "not-comparable"),
            ({"reference_range": "< 40 µg/L"}, "not-comparable"),
            ({"reference_range": ".. - 40 NG/L"}, None),
            ({}, "not-comparable"),
        ],
    )
    def test_troponin_above_its_laboratorys_own_reference(
        self, more: dict[str, str], verdict: str | None
    ) -> None:
        assert judge(rule("Troponine"), line("22", "ng/L", **more)) == verdict

    def test_a_line_without_a_code_is_known_by_its_words_and_urine_is_not_blood(self) -> None:
        potassium = rule("Kaliémie")
        assert relation(potassium, {"code": {"text": "Kaliémie"}}) == "words"
        assert relation(potassium, {"code": {"text": "POTASSIUM"}}) == "words"
        assert relation(potassium, {"code": {"text": "Potassium urinaire"}}) is None
        urine = {"code": {"text": "Potassium", "codings": [{"code": "2828-2"}]}}
        assert relation(potassium, urine) is None

    def test_a_laboratorys_own_code_does_not_hide_what_its_words_say(self) -> None:
        hprim = {"code": {"text": "POTASSIUM", "codings": [{"code": "K", "display": "POTASSIUM"}]}}
        assert relation(rule("Kaliémie"), hprim) == "words"
        assert relation(rule("Natrémie"), hprim) is None

    def test_a_number_among_words_is_not_taken_for_normal(self) -> None:
        potassium = rule("Kaliémie")
        said = {"code": {"text": "Potassium"}, "text": "6,9 (contrôlé) mmol/L"}
        assert judge(potassium, said) == "not-comparable"
        assert judge(potassium, {**said, "text": "hémolysé"}) is None

    def test_words_that_begin_with_a_known_name_are_known(self) -> None:
        for words in ("Potassium plasmatique", "K+", "k sanguin", "Kaliémie (plasma)"):
            assert verdicts({**line("6.4"), "code": {"text": words}}, RULES) == [
                ("critical", "Kaliémie")
            ]
        for words in ("Potassium urinaire", "K-ras", "Hémoglobine glyquée", "Apport en potassium"):
            assert verdicts({**line("6.4"), "code": {"text": words}}, RULES) == []

    def test_words_beside_a_code_that_nobody_knows_are_not_comparable(self) -> None:
        assert verdicts(line("6.4", code="99999-9"), RULES) == [("not-comparable", "Kaliémie")]
        assert verdicts(line("4.1", code="99999-9"), RULES) == []

    def test_agree_with_the_families_of_codes_about_what_is_the_same(self) -> None:
        for each in RULES.critical:
            (family,) = {family_of(code) for code in each.loinc}
            assert family is not None
            assert family.codes == set(each.loinc)
            assert set(each.names) <= set(family.names)

    @pytest.mark.parametrize(
        "flag", ["HH", "LL", "AA", "Critical high", "below lower panic limits"]
    )
    def test_the_laboratorys_own_alarm_rings_whatever_the_test(self, flag: str) -> None:
        calcium = line("3.6", code="2000-8", interpretation=flag)
        assert verdicts(calcium, RULES) == [("critical", "Signalé critique par le laboratoire")]
        assert verdicts({**calcium, "status": "cancelled"}, RULES) == []
        assert verdicts({**calcium, "interpretation": "H"}, RULES) == []
        # A value that the centre's own limit names already is told once, by its name.
        assert verdicts(line("6.4", interpretation=flag), RULES) == [("critical", "Kaliémie")]
        # In a unit that cannot be compared, the laboratory's word stands.
        assert [each[0] for each in verdicts(line("25", "mg/dL", interpretation=flag), RULES)] == [
            "critical"
        ]

    @pytest.mark.parametrize(
        ("text", "verdict"),
        [("Positif", "critical"), ("POSITIVE (seuil 14)", "critical"), ("+", "critical"),
         ("négatif", None), ("Négative", None), ("22 (contrôlé)", "not-comparable")],
    )  # fmt: skip
    def test_troponin_in_words(self, text: str, verdict: str | None) -> None:
        said = {"code": {"text": "Troponine T ultrasensible"}, "text": text}
        assert relation(rule("Troponine"), said) == "words"
        assert judge(rule("Troponine"), said) == verdict


POTASSIUM = Concept(text="Potassium", codings=(Coding(code="2823-3"),))
CREATININE = Concept(text="Créatinine", codings=(Coding(code="14682-9"),))


EHR = Source(channel="fhir", system="EHR")


def measured(value: str, unit: str = "mmol/L") -> ObservationRecorded:
    said = Quantity(value=value, unit=unit)
    return ObservationRecorded(code=POTASSIUM, value=said, category="laboratory")


def received(concept: Concept, value: str, unit: str, **more: Any) -> ResultReceived:
    said = ResultLine(code=concept, value=Quantity(value=value, unit=unit))
    return ResultReceived(status="final", lines=(said,), **more)


class TestAlarms:
    def of(self, stream: Stream) -> list[tuple[str, str]]:
        summary = fold_all(None, stream.events, stream.id)
        return [(alarm.verdict, alarm.label) for alarm in alarms(summary, RULES)]

    def test_ring_until_a_doctor_has_read_the_result(self) -> None:
        stream = Stream()
        came = stream.add(received(POTASSIUM, "6.4", "mmol/L"))
        assert self.of(stream) == [("critical", "Kaliémie")]
        stream.add(ResultReviewed(verdict="critical", action="SAMU"), target=came.event_id)
        assert self.of(stream) == []

    def test_compare_creatinine_with_what_is_known_of_the_days_before(self) -> None:
        stream = Stream()
        old = (MONDAY - timedelta(days=200)).date().isoformat()
        stream.add(received(CREATININE, "60", "umol/L"), occurred_at=old)
        known = stream.add(received(CREATININE, "90", "umol/L"))
        stream.add(ResultReviewed(verdict="known"), target=known.event_id)
        stream.add(received(CREATININE, "134", "umol/L"))
        assert self.of(stream) == []
        stream.add(received(CREATININE, "135", "umol/L"))
        assert self.of(stream) == [("critical", "Créatininémie")]

    def test_do_not_ring_for_what_was_old_when_it_came_in(self) -> None:
        stream = Stream()
        stream.add(received(POTASSIUM, "6.4", "mmol/L", sampled_at="2019-02-03"))
        assert self.of(stream) == []

    @pytest.mark.parametrize(("days", "found"), [(31, 1), (59, 1), (62, 0)])
    def test_are_of_what_the_record_holds_for_news(self, days: int, found: int) -> None:
        stream = Stream()
        sampled = (MONDAY - timedelta(days=days)).date().isoformat()
        came = stream.add(received(POTASSIUM, "6.4", "mmol/L", sampled_at=sampled))
        assert is_past(came) is not bool(found)
        assert len(self.of(stream)) == found

    def test_ring_for_an_imported_measure_until_somebody_said_how_ill_the_patient_is(self) -> None:
        stream = Stream()
        came = stream.add(measured("6.4"), source=EHR)
        assert self.of(stream) == [("critical", "Kaliémie")]
        stream.add(EntryValidated(verdict="accepted"), target=came.event_id)
        assert self.of(stream) == [("critical", "Kaliémie")]
        stream.add(IllnessSeveritySet(severity="stable"), occurred_at="2026-11-09")
        assert self.of(stream) == [("critical", "Kaliémie")]
        judged = stream.add(IllnessSeveritySet(severity="unstable", reason="kaliémie"))
        assert self.of(stream) == []
        stream.add(EntryMarkedInError(), target=judged.event_id, reason="autre patient")
        assert self.of(stream) == [("critical", "Kaliémie")]

    def test_ring_for_an_imported_measure_that_waits_whatever_was_said_of_the_patient(self) -> None:
        stream = Stream()
        came = stream.add(measured("6.4"), source=EHR)
        stream.add(IllnessSeveritySet(severity="stable"))
        assert self.of(stream) == [("critical", "Kaliémie")]
        stream.add(EntryValidated(verdict="refused"), target=came.event_id, reason="autre patient")
        assert self.of(stream) == []

    @pytest.mark.parametrize("role", ["nurse", "doctor"])
    def test_ring_for_a_critical_measure_written_here(self, role: Role) -> None:
        stream = Stream()
        stream.add(IllnessSeveritySet(severity="stable"))
        stream.add(measured("6.4"), author=Author(role=role, name="Camille Exemple"))
        assert self.of(stream) == [("critical", "Kaliémie")]
        stream.add(IllnessSeveritySet(severity="watcher", reason="kaliémie"))
        assert self.of(stream) == []

    def test_newer_measures_of_the_same_silence_none_that_nobody_judged(self) -> None:
        stream = Stream()
        nurse = Author(role="nurse", name="Camille Exemple")
        stream.add(measured("6.4"), author=nurse)
        for _ in range(6):
            stream.add(measured("4.1"), author=nurse)
        assert self.of(stream) == [("critical", "Kaliémie")]
        stream.add(IllnessSeveritySet(severity="stable"))
        assert self.of(stream) == []
        for _ in range(30):
            stream.add(measured("4.1"), author=nurse)
        summary = fold_all(None, stream.events, stream.id)
        assert len(summary.slot("results")) == 12

    @pytest.mark.parametrize(("role", "found"), [("nurse", "not-comparable"), ("doctor", None)])
    def test_a_measure_that_cannot_be_compared_is_for_a_doctor_to_read(
        self, role: Role, found: str | None
    ) -> None:
        stream = Stream()
        stream.add(measured("30", "mg/dL"), author=Author(role=role, name="Camille Exemple"))
        assert self.of(stream) == ([(found, "Kaliémie")] if found else [])

    def test_a_measure_that_cannot_be_compared_was_read_by_who_accepted_it(self) -> None:
        stream = Stream()
        came = stream.add(measured("30", "mg/dL"), source=EHR)
        assert self.of(stream) == [("not-comparable", "Kaliémie")]
        stream.add(EntryValidated(verdict="accepted"), target=came.event_id)
        assert self.of(stream) == []

    def test_ring_for_a_part_of_a_measure_and_for_what_its_laboratory_flags(self) -> None:
        stream = Stream()
        part = Component(code=POTASSIUM, value=Quantity(value="6.4", unit="mmol/L"))
        panel = ObservationRecorded(code=Concept(text="Ionogramme"), components=(part,))
        stream.add(panel, source=EHR)
        assert self.of(stream) == [("critical", "Kaliémie")]
        flagged = ObservationRecorded(
            code=Concept(text="Albumine"),
            value=Quantity(value="12", unit="g/L"),
            interpretation="Critical low [http://terminology.hl7.org/CodeSystem/v3|LL]",
        )
        stream.add(flagged, source=EHR)
        assert self.of(stream) == [
            ("critical", "Kaliémie"),
            ("critical", "Signalé critique par le laboratoire"),
        ]

    def test_do_not_ring_for_a_measure_that_was_old_when_it_came_in(self) -> None:
        stream = Stream()
        stream.add(measured("6.4"), source=EHR, occurred_at="2019-02-03")
        assert self.of(stream) == []

    def test_none_with_a_release_that_has_no_critical_values(self) -> None:
        stream = Stream()
        stream.add(received(POTASSIUM, "6.4", "mmol/L"))
        summary = fold_all(None, stream.events, stream.id)
        assert alarms(summary, load_rules("2026-11")) == []
