"""The boards through their doors: who answers handovers, what the rotation lacks, two timelines."""

from __future__ import annotations


import pytest

from support.web import FORM, Web, hidden, key, submit

pytestmark = pytest.mark.postgres


def pages(web: Web) -> dict[str, str]:
    stint = web.stint("present")
    return {
        "/relais": "present",
        f"/sejours/{stint}/cloture": "present",
        f"/sejours/{stint}/prise-de-releve": "present",
        "/coordination": "coordinator",
        "/coordination/sejour": "coordinator",
        f"/coordination/sejours/{stint}/modifier": "coordinator",
        f"/coordination/sejours/{stint}/annuler": "coordinator",
        "/coordination/equipe": "coordinator",
        "/coordination/horaires": "coordinator",
        "/coordination/fermeture": "coordinator",
        "/coordination/sans-medecin": "coordinator",
        "/coordination/lieu": "coordinator",
        f"/patients/{web.patient()}/chronologie": "present",
    }


def test_every_page_opens(web: Web) -> None:
    for address, persona in pages(web).items():
        answer = web.browser(persona).get(address)
        assert answer.status_code == 200, (address, answer.text[:500])
