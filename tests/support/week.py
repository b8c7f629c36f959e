"""A week at the centre told through public doors: what is written, and what a reader is shown."""

from __future__ import annotations

import hashlib
import html
import json
import re
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from httpx2 import Response
from starlette.testclient import TestClient

from releve.api.cli.acts import briefing as cli_briefing
from releve.api.cli.acts import fhir_of
from releve.api.demo.generator import Sizes
from support.commands import PATIENCE_S
from support.postgres import Database
from support.web import FORM, PARIS, Web, key, open_web

MATRICULE = "2480323096123"
"""Thirteen digits of a matricule of the test range; its key is computed."""
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


def golden(web: Web, name: str) -> str:
    """The record of a golden patient, by family and first name as they are written."""
    centre = web.services.persona(IRENE).centre
    (found,) = [
        str(patient)
        for patient, summary in web.services.records.summaries(centre)[1].items()
        if summary.full_name() == name
    ]
    return found


def first_card(page: str) -> str:
    """The first card of a briefing page."""
    return html.unescape(page.partition("<article")[2].partition("</article>")[0])


def first_badge(web: Web, patient: str) -> str:
    """The allergy badge of the identity bar."""
    page = web.browser(IRENE).get(f"/patients/{patient}").text
    found = re.search(r'<span class="allergy[^>]*>(.*?)</span>', page, re.DOTALL)
    assert found is not None
    return html.unescape(found[1])


def insured(desk: TestClient, family: str) -> str:
    """A record whose matricule the INS service gave; its identity is not qualified."""
    number = MATRICULE + f"{97 - int(MATRICULE) % 97:02d}"
    patient = register(desk, family)
    write(desk, patient, "change-ins-status", status="recuperee", service=True, matricule=number,
          system=INS_TEST)  # fmt: skip
    return patient


def positions(raw: bytes) -> list[dict[str, int]]:
    """Every record of ``entries.bin``: its position and where it ends (docs/formats.md)."""
    found, at = [], 0
    while at < len(raw):
        (here,) = struct.unpack_from(">Q", raw, at)
        (size,) = struct.unpack_from(">I", raw, at + 184)
        at += 188 + size
        found.append({"position": here, "end": at})
    return found


def bundle(identifier: str, family: str) -> bytes:
    """What another centre's software knows of a patient: one problem, one treatment."""
    resources: list[Json] = [
        {"resourceType": "Patient", "id": "p", "name": [{"use": "official", "family": family,
         "given": ["Jeanne"]}], "gender": "female", "birthDate": "1948-03-02"},
        {"resourceType": "Condition", "id": "c", "subject": {"reference": "Patient/p"},
         "clinicalStatus": {"coding": [{"system":
          "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]},
         "code": {"text": "Goutte", "coding": [{"system": "http://hl7.org/fhir/sid/icd-10",
                                                "code": "M10.9"}]}, "onsetDateTime": "2019"},
        {"resourceType": "MedicationStatement", "id": "m", "status": "active",
         "subject": {"reference": "Patient/p"}, "effectivePeriod": {"start": "2019-05"},
         "medicationCodeableConcept": {"text": "Allopurinol 100 mg"}},
    ]  # fmt: skip
    entries = [{"fullUrl": f"http://ailleurs.example/{each['resourceType']}/{each['id']}",
                "resource": each} for each in resources]  # fmt: skip
    whole = {"resourceType": "Bundle", "id": identifier, "type": "collection",
             "timestamp": "2026-11-20T10:00:00+01:00", "entry": entries}  # fmt: skip
    return json.dumps(whole).encode()


def plan(web: Web, persona: str, starts: str, ends: str) -> str:
    """Another stint of somebody's at the same centre."""
    who = web.services.persona(persona)
    planned = web.machine("coordinator").post(
        "/api/v1/stints",
        json={"practitioner": str(who.person), "practitioner_name": who.name,
              "centre": str(who.centre), "starts_at": starts, "ends_at": ends},
        headers=key(),
    )  # fmt: skip
    assert planned.status_code == 201, planned.text
    return str(planned.json()["stint"])


def owners(client: TestClient, patient: str) -> dict[str, str]:
    """Who answers for each open item now."""
    return {item: each["answerable"] for item, each in open_items(client, patient).items()}


def shown(web: Web, edition: str | None = None, stint: UUID | None = None) -> tuple[Json, str]:
    """An edition as ``releve briefing`` gives it: its JSON, and its text."""
    found = cli_briefing(
        web.services, stint=stint, finess=None, position=None, at=None,
        edition=UUID(edition) if edition else None,
    )  # fmt: skip
    return found.data, found.rendered("text")


def sha256_of(web: Web, edition: str) -> str:
    """The hash over the card bytes, taken anew."""
    kept = web.services.editions.replay(edition=UUID(edition))
    assert kept is not None
    return hashlib.sha256(b"".join(card or b"" for card in kept.cards)).hexdigest()


def differing(headers: Any) -> dict[str, str]:
    """What an asker could compare, the request's own number aside."""
    return {name: value for name, value in headers.items() if "request" not in name.lower()}


def at_once(*calls: Callable[[], Response]) -> list[Response]:
    """The answers to calls that leave at the same moment."""
    ready = threading.Barrier(len(calls))

    def go(call: Callable[[], Response]) -> Response:
        ready.wait(timeout=PATIENCE_S)
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(go, calls))


def identity_bar(web: Web, patient: str) -> str:
    """The severity that stands beside the patient's name."""
    page = web.browser(IRENE).get(f"/patients/{patient}").text
    found = re.search(r'<span class="severity.*?</span>', page, re.DOTALL)
    assert found is not None
    return html.unescape(found[0]).lower()


def everywhere_outside(web: Web, patient: str) -> str:
    """What leaves as FHIR, by the doors and by the command line."""
    doctor = web.machine(IRENE)
    answers = [doctor.get(f"/fhir/Patient/{patient}{each}") for each in ("", "/$summary")]
    assert [each.status_code for each in answers] == [200, 200]
    files = [fhir_of(web.services, UUID(patient), everything=each) for each in (False, True)]
    return "".join(
        [f"{each.text} {each.headers}" for each in answers] + [each.decode() for each in files]
    )


def board(web: Web) -> dict[str, list[Json]]:
    """The centre's results board by group."""
    centre = web.services.persona(IRENE).centre
    answer = web.machine(IRENE).get(f"/api/v1/centres/{centre}/results")
    assert answer.status_code == 200, answer.text
    return {each["group"]: each["results"] for each in answer.json()["groups"]}
