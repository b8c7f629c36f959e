"""A week at the centre told through public doors: what is written, and what a reader is shown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from httpx2 import Response
from starlette.testclient import TestClient

from releve.api.demo.generator import Sizes
from support.postgres import Database
from support.web import FORM, PARIS, Web, key, open_web

IRENE, BASILE, ANSELME = "stint-2026-11-23", "stint-2026-11-30", "stint-2026-11-16"
"""Who is in post this week, who comes next and who has just left, whatever the day looked from."""
FEW = Sizes(patients=6, weeks=2)
INS_TEST = "urn:oid:1.2.250.1.213.1.4.10"
Json = dict[str, Any]


@dataclass(frozen=True)
class Story:
    """One small centre of its own, looked at on days that follow each other."""

    database: Database
    state: Path
    sizes: Sizes = FEW

    @contextmanager
    def on(self, day: str) -> Iterator[Web]:
        """The application at a moment, in Paris: ``2026-11-24 10:00``."""
        now = datetime.fromisoformat(day).replace(tzinfo=PARIS)
        with open_web(self.database, self.state, now, self.sizes) as web:
            yield web


def path_of(patient: str | UUID, name: str = "") -> str:
    """Where a record, or one of its commands or readings, stands."""
    return f"/api/v1/patients/{patient}" + (f"/{name}" if name else "")


def register(client: TestClient, family: str, **traits: Any) -> str:
    """A new record; its id."""
    person = {"birth_name": family, "first_names": ["Jeanne"], "birth_date": "1948-03-02",
              "sex": "female", "birth_place": "23096", "prior_search": "name"}  # fmt: skip
    answer = client.post("/api/v1/patients", json={**person, **traits}, headers=key())
    assert answer.status_code == 201, answer.text
    return str(answer.json()["patient"])


def send(
    client: TestClient,
    patient: str,
    name: str,
    headers: Mapping[str, str] | None = None,
    **data: Any,
) -> Response:
    """Speak a command; its answer, whatever it is."""
    return client.post(path_of(patient, name), json=data, headers={**key(), **(headers or {})})


def write(client: TestClient, patient: str, name: str, **data: Any) -> list[str]:
    """Speak a command that is kept; the ids of its entries."""
    answer = send(client, patient, name, **data)
    assert answer.status_code == 201, answer.text
    return list(answer.json()["event_ids"])


def refused(answer: Response, code: str, status: int = 422) -> None:
    """Check that a command was refused for that reason."""
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


def read(client: TestClient, patient: str, name: str = "", **query: Any) -> Json:
    """A reading of a record."""
    answer = client.get(path_of(patient, name), params=query)
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


def open_items(client: TestClient, patient: str) -> dict[str, Json]:
    """The open items of a record by id."""
    return {each["item"]: each for each in read(client, patient, "open-items")["open_items"]}


def statuses(client: TestClient, patient: str) -> dict[str, str]:
    """What became of each entry of the thread."""
    entries = read(client, patient, "timeline")["entries"]
    return {each["event_id"]: each["status"] for each in entries}


def topics(client: TestClient, patient: str) -> list[str]:
    """What the thread holds, oldest first, without the aggregate's name."""
    entries = read(client, patient, "timeline")["entries"]
    return [each["topic"].partition(".")[2] for each in reversed(entries)]


def briefing(web: Web, persona: str = IRENE) -> Json:
    """The edition of a doctor's stint as it stands now: issued anew, then read as JSON."""
    stint = web.stint(persona)
    page = f"/sejours/{stint}/briefing"
    browser = web.browser(persona)
    token = re.search(r'name="jeton" value="([^"]+)"', browser.get(page).text)
    assert token is not None
    renewed = browser.post(f"/sejours/{stint}/edition", data={"jeton": token[1]}, headers=FORM)
    assert renewed.status_code == 303, renewed.text
    answer = web.machine(persona).get(f"/api/v1/stints/{stint}/briefing")
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


def row(edition: Json, patient: str) -> Json:
    """A patient's row of an edition."""
    (found,) = [each for each in edition["rows"] if each["patient"] == patient]
    return dict(found)


def potassium(value: str, unit: str = "mmol/L") -> Json:
    """One line of a laboratory's report."""
    coding = {"system": "http://loinc.org", "code": "2823-3", "display": "Potassium"}
    return {"code": {"text": "Potassium", "codings": [coding]},
            "value": {"value": value, "unit": unit, "code": unit}}  # fmt: skip
