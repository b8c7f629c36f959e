"""The real application on a real database with a small demo centre, and clients signed in to it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from fastapi import FastAPI
from fastapi.routing import APIRoute
from httpx2 import Response
from starlette.routing import BaseRoute
from starlette.testclient import TestClient

from releve.api.app import create_app
from releve.api.demo.generator import Sizes
from releve.api.demo.running import build
from releve.api.services import Services, open_services
from releve.api.settings import Settings
from releve.projections.briefing import Card
from releve.security.identity import Persona
from support.postgres import Database

PARIS = ZoneInfo("Europe/Paris")
MONDAY = datetime(2026, 11, 23, 8, 30, tzinfo=PARIS)
BASE = "http://127.0.0.1"
SIZES = Sizes(patients=30, weeks=3)
FORM = {"sec-fetch-site": "same-origin", "content-type": "application/x-www-form-urlencoded"}


NARROW: Final = {ord("\N{NARROW NO-BREAK SPACE}"): " ", ord("\N{NO-BREAK SPACE}"): " "}


class Reader(TestClient):
    """A browser whose reader does not see which spaces break: the text of a page has plain ones.

    The bytes of an answer (``content``) stay as they were sent.
    """

    def request(self, *args: Any, **kwargs: Any) -> Response:
        """As the client's own."""
        answer = super().request(*args, **kwargs)
        if answer.headers.get("content-type", "").startswith("text/html"):
            answer._text = answer.text.translate(NARROW)
        return answer


@dataclass
class Web:
    """One running application and who may be signed in to it."""

    services: Services

    @cached_property
    def app(self) -> FastAPI:
        """The application."""
        return create_app(self.services)

    def client(self) -> TestClient:
        """A browser with no session; failures are answers, as on a real server."""
        return Reader(
            self.app, base_url=BASE, follow_redirects=False, raise_server_exceptions=False
        )

    def browser(self, persona: str) -> TestClient:
        """A browser signed in as a persona (or ``previous``, ``present``, ``next``)."""
        client = self.client()
        answer = client.post(
            "/connexion", data={"persona": self.services.persona(persona).persona}, headers=FORM
        )
        assert answer.status_code == 303, answer.text
        return client

    def machine(self, persona: str) -> TestClient:
        """A client with a bearer token."""
        client = self.client()
        subject = self.services.persona(persona).persona
        token, _ = self.services.identity.sessions.issue_token(subject)
        client.headers["authorization"] = f"Bearer {token}"
        return client

    def hire(self, role: str) -> str:
        """Somebody of a role that the demo has no persona for, at the same centre; their name."""
        demo = self.services.identity.demo
        assert demo is not None
        known = demo.personas()
        if all(each.persona != role for each in known):
            somebody = Persona(role, f"Personne {role}", role, uuid4(), known[0].centre)
            demo._personas = lambda: (*known, somebody)
        return role

    @cached_property
    def cards(self) -> list[Card]:
        """The cards of the present stint's newest edition."""
        stint = self.stint("present")
        edition = self.services.editions.newest(stint)
        assert edition is not None
        return [card for card in edition.opened() if card is not None]

    def stint(self, persona: str) -> UUID:
        """The stint of a doctor's persona."""
        found = self.services.persona(persona).stint
        assert found is not None
        return found

    def patient(self, tier: str = "T0", number: int = 0) -> UUID:
        """A patient of a tier in the present briefing."""
        return UUID([card for card in self.cards if card["tier"] == tier][number]["patient"])


@contextmanager
def open_web(
    database: Database, state: Path, now: datetime = MONDAY, sizes: Sizes = SIZES
) -> Iterator[Web]:
    """Open the application on a database; the demo centre is built where there is none yet.

    Opened again with a later ``now``, the same centre has lived on until then.
    """
    settings = Settings(state_dir=state, database_url=database.superuser_url, demo_now=now)
    with open_services(settings) as services:
        build(services, sizes, lambda share, said: None)
        yield Web(services)


def submit(client: TestClient, page: str, to: str | None = None, **fields: str) -> Response:
    """Post the form of a page with its hidden fields, as a browser does without JavaScript."""
    shown = client.get(page)
    assert shown.status_code == 200, shown.status_code
    return client.post(to or page, data={**hidden(shown, to or page), **fields}, headers=FORM)


def hidden(shown: Response, action: str) -> dict[str, str]:
    """The hidden fields of the form that a page sends to ``action``."""
    form = re.search(rf'<form[^>]*action="{re.escape(action)}".*?</form>', shown.text, re.DOTALL)
    assert form is not None, f"no form to {action}"
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form[0]))


def key() -> dict[str, str]:
    """A fresh idempotency key."""
    return {"idempotency-key": str(uuid4())}


def registered(client: TestClient, birth_name: str, first_name: str = "Ida") -> UUID:
    """A new record of the barest identity."""
    person = {"birth_name": birth_name, "first_names": [first_name], "prior_search": "name"}
    made = client.post("/api/v1/patients", json=person, headers=key())
    assert made.status_code == 201, made.text
    return UUID(made.json()["patient"])


def write(client: TestClient, page: str, command: str, **data: Any) -> list[str]:
    """Speak a command about the patient of a page at the API; the ids of what it wrote."""
    answer = client.post(f"/api/v1{page}/{command}", json=data, headers=key())
    assert answer.status_code == 201, answer.text
    found: list[str] = answer.json()["event_ids"]
    return found


def declared_here(web: Web, client: TestClient, birth_name: str) -> str:
    """The page of a new record that declared the demo's centre as its doctor."""
    page = f"/patients/{registered(client, birth_name)}"
    centre = str(web.services.persona("present").centre)
    write(client, page, "declare-medecin-traitant", kind="centre", since="2026-11-02",
          centre=centre)  # fmt: skip
    return page


def routes(app: FastAPI) -> list[APIRoute]:
    """Every route of the application, those of included routers too."""
    found: list[APIRoute] = []
    waiting: list[BaseRoute] = list(app.routes)
    while waiting:
        route = waiting.pop(0)
        if isinstance(route, APIRoute):
            found.append(route)
        else:
            router = getattr(route, "original_router", route)
            inside = list(getattr(router, "routes", None) or [])
            assert inside, f"a route that no policy can guard: {route!r}"
            waiting.extend(inside)
    return found
