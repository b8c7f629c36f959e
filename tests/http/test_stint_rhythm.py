"""A part-time doctor's days: planned through API and form, shown to the team, never a right."""

from __future__ import annotations

import html
from typing import Any
from uuid import uuid4

import pytest

from support.web import Web, key, registered, submit, write

pytestmark = pytest.mark.postgres


def planned(web: Web, **more: Any) -> str:
    """A doctor's stint over the one in post; its id."""
    body = {
        "practitioner": str(uuid4()), "practitioner_name": "Dr Alix Mitemps",
        "centre": str(web.services.persona("present").centre), "mode": "salarie",
        "starts_at": "2026-11-23T08:15:00+01:00", "ends_at": "2027-05-31T20:00:00+02:00", **more,
    }  # fmt: skip
    answer = web.machine("coordinator").post("/api/v1/stints", json=body, headers=key())
    assert answer.status_code == 201, answer.text
    stint: str = answer.json()["stint"]
    return stint


def shown(web: Web, persona: str, page: str) -> str:
    return html.unescape(web.browser(persona).get(page).text)


def test_the_days_of_a_part_time_doctor_stand_wherever_the_stint_does(web: Web) -> None:
    stint = planned(web, pattern=[{"weekday": 2}, {"weekday": 1}])
    centre = f"/api/v1/centres/{web.services.persona('present').centre}"
    here = web.machine("present").get(centre).json()["in_post"]
    (line,) = [each for each in here if each["stint"] == stint]
    assert line["rhythm"] == "les lundis et mardis"
    assert line["pattern"] == [{"weekday": 1}, {"weekday": 2}]
    weeks = web.machine("coordinator").get(f"{centre}/coordination").json()["weeks"]
    posts = [post for post in weeks[3]["posts"] if post["stint"] == stint]
    assert [post["rhythm"] for post in posts] == ["les lundis et mardis"]
    assert "les lundis et mardis" in shown(web, "coordinator", "/coordination")
    briefing = f"/sejours/{web.stint('present')}/briefing"
    assert "Dr Alix Mitemps (salarié, les lundis et mardis)" in shown(web, "present", briefing)
    doctor = web.machine("present")
    ill = f"/patients/{registered(doctor, 'RYTHMEDUSEJOUR')}"
    write(doctor, ill, "set-illness-severity", severity="unstable", reason="Dyspnée")
    renewed = doctor.post(f"/api/v1/stints/{web.stint('present')}/issue-briefing", headers=key())
    assert "Dr Alix Mitemps (les lundis et mardis)" in renewed.json()["head"]["colleagues"]


def test_the_coordinators_form_plans_changes_and_ends_a_rhythm(web: Web) -> None:
    stint = planned(web)
    page = f"/coordination/sejours/{stint}/modifier"
    dates = {"starts_at": "2026-11-23T08:15", "ends_at": "2027-05-31T20:00"}
    office = web.browser("coordinator")
    days = {
        "pattern[0].weekday": "1", "pattern[0].part": "day",
        "pattern[1].weekday": "4", "pattern[1].part": "hours",
        "pattern[1].begins": "09:00", "pattern[1].ends": "08:00",
    }  # fmt: skip
    typed = {**dates, **days, "reason": "Mi-temps", "shared": "oui"}
    refused = submit(office, page, **typed)
    assert refused.status_code == 422
    assert "La fin vient après le début." in html.unescape(refused.text)
    done = submit(office, page, **{**typed, "pattern[1].ends": "12:00"})
    assert done.status_code == 303, done.text
    line = next(each for each in web.services.directory.load().stints.values()
                if str(each.stint) == stint)  # fmt: skip
    assert [(each.weekday, each.part, each.ends) for each in line.pattern] == [
        (1, "day", ""), (4, "hours", "12:00"),
    ]  # fmt: skip
    again = shown(web, "coordinator", page)
    assert 'name="pattern[1].ends"' in again
    assert 'value="12:00"' in again
    kept = {**typed, "pattern[1].ends": "12:00"}
    assert submit(office, page, **kept).status_code == 422, "nothing is changed"
    none = {**kept, "pattern[0].weekday": "", "pattern[1].weekday": "", "reason": "Plein temps"}
    assert submit(office, page, **none).status_code == 303
    assert next(each.pattern for each in web.services.directory.load().stints.values()
                if str(each.stint) == stint) == ()  # fmt: skip


def test_a_rhythm_that_cannot_be_is_refused_in_words(web: Web) -> None:
    body = {
        "practitioner": str(uuid4()), "practitioner_name": "Dr Impossible",
        "centre": str(web.services.persona("present").centre),
        "starts_at": "2026-11-23T08:00:00+01:00", "ends_at": "2026-11-27T18:00:00+01:00",
        "pattern": [{"weekday": 7}],
    }  # fmt: skip
    answer = web.machine("coordinator").post("/api/v1/stints", json=body, headers=key())
    assert (answer.status_code, answer.json()["errors"][0]["loc"]) == (422, "pattern")
    assert "Aucun de ces jours" in answer.json()["why"]
