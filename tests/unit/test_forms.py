"""What a form reads: a value with its unit, rows that move up, errors that find their field."""

from __future__ import annotations

from datetime import datetime

import pytest
from starlette.datastructures import FormData

from releve.api.pages import forms
from releve.api.pages.forms import Form
from releve.api.pages.measures import MEASURES, read_measure
from releve.api.pages.typed_dates import AS_TYPED, day_typed, moment_typed
from releve.api.problems import Problem, problem_for
from releve.domain.codes import Loinc
from releve.domain.errors import Invalid
from releve.domain.values import UCUM_KNOWN


class TestAMeasure:
    def test_is_one_value_with_its_unit(self) -> None:
        found = read_measure("weight", " 71,50 kg ")
        assert isinstance(found, dict)
        assert found["value"] == {"value": "71.50", "unit": "kg", "code": "kg"}

    def test_of_pressure_has_two_parts(self) -> None:
        found = read_measure("pressure", "135 / 80 mmHg")
        assert isinstance(found, dict)
        assert [part["value"]["value"] for part in found["components"]] == ["135", "80"]
        assert {part["value"]["code"] for part in found["components"]} == {"mm[Hg]"}

    @pytest.mark.parametrize(
        ("key", "typed"),
        [("weight", "71,5"), ("weight", "71,5 g/L"), ("weight", "lourd"), ("weight", "70/80 kg"),
         ("pressure", "135 mmHg"), ("pressure", "135/80"), ("", "71 kg"), ("rien", "71 kg"),
         ("weight", ""), ("weight", "1e3 kg"), ("weight", "-")],
    )  # fmt: skip
    def test_that_cannot_be_read_says_what_to_write(self, key: str, typed: str) -> None:
        told = read_measure(key, typed)
        assert isinstance(told, str)
        assert told.endswith(".")
        assert typed == "" or typed not in told

    def test_has_a_real_code_and_known_units(self) -> None:
        for measure in MEASURES:
            for code in (measure.loinc, *(loinc for _, loinc in measure.parts)):
                assert Loinc(code) == code
            assert {code for _, code in measure.units} <= UCUM_KNOWN


class TestRows:
    def test_move_up_so_that_a_commands_errors_come_back_to_them(self) -> None:
        form = Form("jeton", minimum=forms.CONSULTATION_ROWS)
        forms.read(
            FormData([("problems[0].text", ""), ("problems[3].text", "Goutte"),
                      ("items[0].kind", "call"), ("items[2].text", "Appeler"),
                      ("items[2].due", "2026-11-27"), ("note.plan", "a\r\nb")]), form,
        )  # fmt: skip
        data = forms.consultation(form, "Europe/Paris", "2026-11-23")
        assert [each["concept"]["text"] for each in data["problems"]] == ["Goutte"]
        assert [each["text"] for each in data["items"]] == ["Appeler"]
        assert data["note"]["plan"] == "a\nb"
        assert form.value("problems[0].text") == "Goutte"
        form.refused(
            Problem(422, "x", "Quoi.", "Pourquoi.", "", (("problems[0].concept.text", "x"),))
        )
        assert form.error("problems[0].text") == "Quoi. Pourquoi."

    def test_are_never_more_than_a_page_can_hold(self) -> None:
        form = Form("jeton")
        form.values = {"items[99].text": "x"}
        assert len(form.rows("items")) == forms.MOST_ROWS

    def test_an_error_without_a_field_stands_on_top(self) -> None:
        form = Form("jeton")
        form.refused(Problem(422, "x", "Quoi.", "Pourquoi.", "Faire."))
        assert form.errors == [{"anchor": "", "text": "Quoi. Pourquoi. Faire."}]

    def test_an_error_read_alone_names_its_field(self) -> None:
        form = Form("jeton", values={"onset": "demain", "due": "x"})
        form.refused(problem_for(Invalid("invalid-field", field="due")))
        assert form.error("due").startswith("Échéance : la valeur reçue")
        assert "renvoyer" not in form.error("due")
        form.refused(problem_for(Invalid(field="onset", why="INS inconnue.")), {}, {"onset": "Vu"})
        assert form.error("onset") == "Vu : INS inconnue."

    def test_dates_are_typed_as_french_people_write_them(self) -> None:
        assert [day_typed(text) for text in ("3/11/2026", "11/2026", "2026", "2026-11-03")] == [
            "2026-11-03", "2026-11", "2026", "2026-11-03"
        ]  # fmt: skip
        assert day_typed("hier") == "hier"
        morning = datetime(2026, 11, 23, 8, 30)  # noqa: DTZ001  # as typed: no offset
        for text in (AS_TYPED, "23/11/2026 à 8h30", "23/11/2026 08:30", "2026-11-23T08:30"):
            assert moment_typed(text) == morning, text
        for text in ("", "23/13/2026 8 h 30", "23/11/2026 25 h", "demain 8 h"):
            assert moment_typed(text) is None, text
        form = Form("jeton", values={"occurred_at": "23/11/2026 9 h"})
        assert forms.occurred_at(form, "Europe/Paris") == "2026-11-23T09:00:00+01:00"

    def test_local_time_takes_the_centres_offset(self) -> None:
        form = Form("jeton")
        form.values["occurred_at"] = "2026-11-23T09:05"
        assert forms.occurred_at(form, "Europe/Paris") == "2026-11-23T09:05:00+01:00"
        assert forms.occurred_at(form, "Indian/Reunion") == "2026-11-23T09:05:00+04:00"
