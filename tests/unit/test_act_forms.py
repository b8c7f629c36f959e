"""Acts as forms: what was typed becomes a command's data, or an error beside its field."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from releve.api.acting import ACTIONS
from releve.api.entry_kinds import KINDS
from releve.api.pages.act_data import begun, carried, data_of
from releve.api.pages.acts import ACTS
from releve.api.pages.forms import Form
from releve.api.pages.shell import DONE
from releve.domain.aggregates import REGISTRY
from releve.domain.aggregates.patient.open_items import ItemOpened
from releve.domain.commands import COMMANDS
from releve.projections.dates import Moment
from releve.projections.patient_summary import fold_all
from support.patient_events import Stream

AT = Moment(datetime(2026, 11, 23, 7, 30, tzinfo=UTC), "Europe/Paris")
CENTRE = uuid4()


def data(word: str, **typed: str) -> tuple[dict[str, Any], Form]:
    form = Form("token", values=dict(typed))
    entry = uuid4() if ACTS[word].about else None
    return data_of(ACTS[word], form, AT, CENTRE, entry), form


def test_every_act_names_a_command_an_action_and_what_is_said_once_it_is_done() -> None:
    for word, act in ACTS.items():
        kind = COMMANDS[act.command].type
        assert act.command in ACTIONS, word
        assert act.done in DONE, word
        assert not act.about or act.about in kind.__struct_fields__, word
        direct = {field.name for field in act.fields if field.gives != "nothing"}
        assert direct <= set(kind.__struct_fields__), word
        assert act.topics <= set(KINDS), word


def test_every_topic_of_a_patient_has_a_name_in_the_thread() -> None:
    assert {topic for topic in REGISTRY if topic.startswith("patient.")} <= set(KINDS)


@pytest.mark.parametrize("word", ACTS)
def test_what_is_required_is_asked_for(word: str) -> None:
    _, form = data(word)
    missing = {field.name for field in ACTS[word].fields if field.required}
    assert missing <= set(form.wrong)


QUALIFIES = {
    ("probleme", "clinical_status"),  # a problem that is added is active unless said otherwise
    ("prescrire", "criticality"),
    ("prescrire", "owner"),
    ("rendez-vous", "mode"),
}
"""Choices that qualify what is typed beside them; any other is itself what is recorded."""


@pytest.mark.parametrize("word", ACTS)
def test_nothing_that_is_a_fact_is_chosen_before_somebody_chooses(word: str) -> None:
    for field in ACTS[word].fields:
        if field.control == "radio":
            assert field.required, (word, field.name)
        if field.control != "choice" or not field.options or (word, field.name) in QUALIFIES:
            continue
        assert field.options[0][0] in ("", "*", "**"), (word, field.name)


@pytest.mark.parametrize(
    "word", [word for word, act in ACTS.items() if act.fields and word != "relecture"]
)
def test_an_untouched_form_records_nothing(word: str) -> None:
    """What a browser sends of a form that nobody touched: what stands in it, first options."""
    typed = {
        field.name: field.options[0][0] if field.control == "choice" and field.options
        else {"today": "2026-11-23"}.get(field.start, field.start)
        for field in ACTS[word].fields
        if field.control not in ("radio", "check", "lines")
    }  # fmt: skip
    sent = {name: "" if value in ("*", "**") else value for name, value in typed.items()}
    found, form = data(word, **sent)
    direct = set(found) - {ACTS[word].about}
    assert form.wrong or not direct, word


def test_an_error_says_what_to_do_and_no_two_of_a_form_are_alike() -> None:
    for word in ACTS:
        _, form = data(word)
        said = list(form.wrong.values())
        assert len(set(said)) == len(said), (word, said)
        assert "À remplir." not in said


def test_a_threshold_is_read_as_a_measure_is() -> None:
    typed = {"condition": "Kaliémie haute", "action": "ECG", "seuil": "potassium"}
    found, form = data("si-alors", **typed, threshold="5,5 mmol/L", sens=">")
    assert form.wrong == {}
    assert found["threshold"] == {
        "loinc": "2823-3", "comparator": ">", "value": "5.5", "unit": "mmol/L",
    }  # fmt: skip
    _, form = data("si-alors", **typed, threshold="5,5")
    assert "unité" in form.wrong["threshold"]
    plain, form = data("si-alors", condition="Fièvre", action="Rappeler")
    assert form.wrong == {}
    assert "threshold" not in plain


def test_a_revised_item_sends_only_what_changed() -> None:
    stream = Stream()
    stream.add(ItemOpened(kind="call", text="Rappeler la fille", due="2026-11-27"))
    summary = fold_all(None, stream.events, stream.id)
    item = summary.items[0].line.entry_id
    act = ACTS["reviser-point"]
    form = Form("token", values=begun(act, summary, AT, item))
    assert set(carried(act)) <= set(form.values)
    form.values.update(due="2026-11-30", reason="Absente")
    found = data_of(act, form, AT, CENTRE, item)
    assert found == {"item": str(item), "due": "2026-11-30", "reason": "Absente"}
    form.values.update(no_deadline="oui")
    data_of(act, form, AT, CENTRE, item)
    assert "due" in form.wrong
    form.wrong.clear()
    form.values.update(due="")
    assert data_of(act, form, AT, CENTRE, item)["no_deadline"] is True


def test_who_is_asked_comes_with_their_name() -> None:
    person = str(uuid4())
    found, _ = data("question", to=f"{person}|Dr Exemple", text="Pourquoi ?")
    assert (found["to"], found["to_name"]) == (person, "Dr Exemple")
    _, form = data("question", text="Pourquoi ?")
    assert "to" in form.wrong
    offered, _ = data("offrir", to="referent")
    assert offered["to"] == {"role": "referent"}


def test_not_telling_the_patient_is_said_and_silence_is_not() -> None:
    told, _ = data("relire", verdict="normal")
    assert "inform_patient" not in told
    silent, _ = data("relire", verdict="normal", silent="oui", reason="Déjà dit")
    assert silent["inform_patient"] is False


def test_the_hour_of_an_appointment_is_that_of_the_centre() -> None:
    found, _ = data("rendez-vous", starts_at="2026-11-24T10:15", minutes="20", mode="cabinet")
    assert found["starts_at"] == "2026-11-24T10:15:00+01:00"
    assert found["minutes"] == 20
    _, form = data("rendez-vous", starts_at="demain", minutes="vingt")
    assert set(form.wrong) == {"starts_at", "minutes"}
