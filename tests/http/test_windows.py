"""One record through three weeks: rights open and close by the clock alone, on every door."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from starlette.testclient import TestClient

from releve.security.identity import Persona
from support.postgres import Database
from support.web import PARIS, Web, key, open_web, submit

pytestmark = pytest.mark.postgres
HAPPENED = datetime(2026, 11, 23, 8, 30, tzinfo=PARIS)


def rights(web: Web, persona: Persona, patient: str) -> str:
    """What a doctor may do now: r(ead), w(rite), l(ate entry), each or a dash."""
    machine = web.machine(persona.persona)
    path = f"/api/v1/patients/{patient}"
    return "".join(
        letter if answer else "-"
        for letter, answer in (
            ("r", machine.get(path).status_code == 200),
            ("w", noted(machine, path)),
            ("l", noted(machine, path, occurred_at=HAPPENED.isoformat(), late_reason="Oubli")),
        )
    )


def noted(machine: TestClient, path: str, **more: str) -> bool:
    answer = machine.post(f"{path}/sign-note", json={"plan": "Vu", **more}, headers=key())
    assert answer.status_code in (201, 404, 422), answer.text
    return answer.status_code == 201


def at_hour(day: datetime, hour: int) -> datetime:
    local = day.astimezone(PARIS)
    return datetime(local.year, local.month, local.day, hour, tzinfo=PARIS)


def test_doors_open_and_close_by_the_clock(database: Database, tmp_path: Path) -> None:
    state = tmp_path / "releve"
    with open_web(database, state) as web:
        leaving, coming = (web.services.persona(name) for name in ("present", "next"))
        stints = web.services.directory.load().stints
        ends = stints[web.stint("present")].over_at
        starts = stints[web.stint("next")].starts_at
        patient = str(web.patient())
        assert rights(web, leaving, patient) == "rwl"
        assert rights(web, coming, patient) == "---"
    friday = at_hour(starts, 8) - timedelta(days=3)
    minute = timedelta(minutes=1)
    for now, left, came in (
        (friday - 5 * minute, "rwl", "---"),
        (friday + minute, "rwl", "r--"),
        (max(ends, starts) + minute, "r-l", "rw-"),
        (ends + timedelta(hours=71), "r-l", "rw-"),
        (ends + timedelta(hours=73), "---", "rw-"),
        (ends + timedelta(days=15), "---", None),
    ):
        with open_web(database, state, now) as web:
            assert rights(web, leaving, patient) == left, now
            if came is not None:
                assert rights(web, coming, patient) == came, now
            if left == "r-l":
                still_hands_over(web, leaving, patient)
            if left == "---":
                same_bytes(web, leaving, patient)
                asked = ["/questions"] if now < ends + timedelta(days=14) else []
                assert bar(web.browser(leaving.persona).get("/questions").text) == asked


def bar(shown: str) -> list[str]:
    """The addresses of the bar's entries."""
    return re.findall(r'<li><a href="(.*?)"', shown.partition("</nav>")[0])


def still_hands_over(web: Web, persona: Persona, patient: str) -> None:
    """For 72 hours the list of her own patients opens, and a handover can be signed."""
    browser = web.browser(persona.persona)
    assert browser.get("/").headers["location"] == "/transmissions"
    listed = browser.get(browser.get("/transmissions").headers["location"])
    assert listed.status_code == 200
    assert bar(listed.text) == ["/questions", "/transmissions"]
    assert f'href="/patients/{patient}/transmission"' in listed.text
    page = f"/patients/{patient}/transmission"
    reason = {"severity": "unstable", "severity_reason": "Dyspnée"}
    typed = {"signer": "1", "summary": "Écrite après le départ", **reason}
    asked = submit(browser, page, **typed)
    assert asked.status_code == 422
    assert 'id="late_reason-erreur"' in asked.text
    assert submit(browser, page, late_reason="Soirée chargée", **typed).status_code == 303
    page = f"/patients/{patient}/consultation"
    late = {"signer": "1", "late_reason": "Soirée chargée", "note.plan": "Noté après coup"}
    now = submit(browser, page, **late)
    assert now.status_code == 422
    assert 'id="occurred_at-erreur"' in now.text
    assert "Noté après coup" in now.text
    then = HAPPENED.replace(tzinfo=None).isoformat(timespec="minutes")
    assert submit(browser, page, occurred_at=then, **late).status_code == 303


def same_bytes(web: Web, persona: Persona, patient: str) -> None:
    """A record lost by the clock is told exactly as one that never was."""
    for client, base in (
        (web.machine(persona.persona), "/api/v1/patients/{}"),
        (web.machine(persona.persona), "/fhir/Patient/{}/$summary"),
        (web.browser(persona.persona), "/patients/{}"),
    ):
        lost, unknown = client.get(base.format(patient)), client.get(base.format(uuid4()))
        assert lost.status_code == unknown.status_code == 404
        assert lost.content == unknown.content


def test_after_the_stint_only_ones_own_entry_is_corrected_and_old_words_are_greyed(
    database: Database, tmp_path: Path
) -> None:
    state = tmp_path / "releve"
    with open_web(database, state) as web:
        patient = str(web.patient("T3"))
        path = f"/api/v1/patients/{patient}"
        leaving = web.services.persona("present").persona
        over = web.services.directory.load().stints[web.stint("present")].over_at
        hers, mine = (
            written(web.machine("present"), f"{path}/sign-note", {"one_liner": words})
            for words in ("Saisi ailleurs", "Attend un lit")
        )
        item = {"kind": "call", "text": "Rappeler", "no_deadline": True}
        theirs = written(web.machine("referent"), f"{path}/open-item", item)
    with open_web(database, state, over + timedelta(hours=2)) as web:
        machine = web.machine(leaving)
        during = {"occurred_at": (over - timedelta(hours=2)).isoformat()}

        def mark(entry: str, **more: str) -> tuple[int, str]:
            sent = {"entry": entry, "reason": "Mauvais dossier", "late_reason": "Vu le soir"}
            answer = machine.post(
                f"{path}/mark-entry-in-error", json={**sent, **more}, headers=key()
            )
            return answer.status_code, answer.json().get("code", "")

        for entry in (theirs, str(uuid4())):
            for more in ({}, during):
                assert mark(entry, **more) == (404, "not-available")
        assert mark(hers) == (201, "")
        entries = machine.get(f"{path}/timeline").json()["entries"]
        status = {entry["event_id"]: entry["status"] for entry in entries}
        assert status[hers] == "in-error"
        assert status[theirs] != "in-error"
        assert machine.get(path).json()["one_liner"]["entry"] == mine
    for days, greyed in ((20, False), (60, True)):
        with open_web(database, state, over + timedelta(days=days)) as web:
            said = web.machine("referent").get(path).json()["one_liner"]
            page = web.browser("referent").get(f"/patients/{patient}").text
        assert (said["text"], said["greyed"]) == ("Attend un lit", greyed)
        assert ('class="one-liner stale"' in page) is greyed


def written(machine: TestClient, path: str, body: dict[str, Any]) -> str:
    answer = machine.post(path, json=body, headers=key())
    assert answer.status_code == 201, answer.text
    return str(answer.json()["event_ids"][0])
