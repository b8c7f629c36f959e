"""One application for each module: its tests share the database and change it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from support.postgres import Database
from support.web import Web, open_web


@pytest.fixture(scope="module")
def web(module_database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """The application on a small demo centre."""
    with open_web(module_database, tmp_path_factory.mktemp("state") / "releve") as opened:
        yield opened


@pytest.fixture(scope="module")
def doctor(web: Web) -> TestClient:
    """The browser of the doctor in post."""
    return web.browser("present")


@pytest.fixture(scope="module")
def machine(web: Web) -> TestClient:
    """A program of the doctor in post, with a bearer token."""
    return web.machine("present")


@pytest.fixture(scope="module")
def desk(web: Web) -> TestClient:
    """A client of the secretary, who sorts by the header and reads nothing."""
    return web.machine(web.hire("secretary"))
