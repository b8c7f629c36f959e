"""After an update, rows of the version before are read by nobody, and are built again."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import psycopg
import pytest
from starlette.testclient import TestClient

from releve.projections.served_build import ROW_FORMAT
from support.postgres import Database
from support.web import Web

pytestmark = pytest.mark.postgres


@pytest.fixture
def patient(
    web: Web, doctor: TestClient, machine: TestClient, module_database: Database
) -> Iterator[UUID]:
    """A patient of whom another version wrote the rows; both clients had signed in before."""
    first = web.patient()
    with psycopg.connect(module_database.superuser_url, autocommit=True) as connection:
        connection.execute("UPDATE projection.feed SET format = %s", (ROW_FORMAT - 1,))
    yield first
    web.services.catch_up()


def test_rows_of_another_version_are_shown_to_nobody(
    web: Web, doctor: TestClient, machine: TestClient, patient: UUID
) -> None:
    for path in ("/releve", f"/patients/{patient}", "/connexion"):
        page = doctor.get(path)
        assert page.status_code == 503, path
        assert "Les lectures sont refaites après une mise à jour." in page.text
        assert "Réessayer dans une minute" in page.text
    for path in (f"/api/v1/patients/{patient}/summary", f"/fhir/Patient/{patient}/$summary"):
        assert machine.get(path).status_code == 503, path
    refused = machine.get(f"/api/v1/patients/{patient}/summary").json()
    assert refused["code"] == "readings-rebuilding"
    assert web.client().get("/readyz").json()["failing"] == ["readings"]


def test_they_are_built_again_and_read_as_before(
    web: Web, doctor: TestClient, machine: TestClient, patient: UUID
) -> None:
    assert machine.get(f"/api/v1/patients/{patient}/summary").status_code == 503
    web.services.catch_up()
    assert machine.get(f"/api/v1/patients/{patient}/summary").status_code == 200
    assert doctor.get(f"/patients/{patient}").status_code == 200
    assert web.client().get("/readyz").status_code == 200
