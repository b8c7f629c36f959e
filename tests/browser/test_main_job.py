"""The main job on an imported patient, through the pages, with JavaScript off.

The doctor in post records a consultation with a new problem, says "instable", opens an item with
harm if late and hands over; a week later the next doctor finds the patient first and reads back.
"""

from __future__ import annotations

import io
import zipfile
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from playwright.sync_api import Browser, Page, expect

from releve.api.cli.acts import import_fhir, write_audit_export
from releve.security.ledger.verify import verify_export
from support.browser import Site, served
from support.postgres import Database
from support.web import MONDAY, Web, open_web

pytestmark = [pytest.mark.browser, pytest.mark.slow]
BUNDLE = (
    Path(__file__).parents[1]
    / "conformance"
    / "data"
    / "ips"
    / "examples"
    / "Bundle-IPS-examples-Bundle-01.json"
)


def consult(page: Page, patient: UUID) -> None:
    opened = page.goto(f"/patients/{patient}/consultation")
    assert opened is not None
    assert opened.status == 200
    page.fill('[name="reason"]', "Essoufflement depuis trois jours")
    page.fill('[name="note.one_liner"]', "Décompensation cardiaque débutante, refuse l'hôpital")
    page.fill('[name="note.subjective"]', "Dort assis depuis trois nuits")
    page.fill('[name="note.objective"]', "Crépitants des bases, œdèmes des chevilles")
    page.fill('[name="note.plan"]', "Furosémide 40 mg, poids chaque matin")
    page.fill('[name="problems[0].text"]', "Insuffisance cardiaque")
    page.locator('[name="observations[0].code"]').select_option("weight")
    page.fill('[name="observations[0].measure"]', "82,4 kg")
    page.check('[name="severity.severity"][value="unstable"]')
    page.fill('[name="severity.reason"]', "Orthopnée, œdèmes")
    page.locator('[name="items[0].kind"]').select_option("result")
    page.fill('[name="items[0].text"]', "Lire créatinine et potassium prélevés lundi")
    page.fill('[name="items[0].due"]', "2026-11-27")
    page.check('[name="items[0].harm_if_late"]')
    page.fill('[name="contingencies[0].condition"]', "poids au-dessus de 84 kg")
    page.fill('[name="contingencies[0].action"]', "appeler le 15")
    with page.expect_navigation():
        page.get_by_role("button", name="Signer la consultation").last.click()


def hand_over(page: Page, patient: UUID) -> None:
    opened = page.goto(f"/patients/{patient}/transmission")
    assert opened is not None
    assert opened.status == 200
    assert page.is_checked('[name="severity"][value="unstable"]')
    assert page.input_value('[name="summary"]').startswith("Décompensation cardiaque")
    page.fill('[name="actions[0]"]', "Peser et appeler lundi à 9 h")
    page.fill('[name="situation"]', "Vit seul, sa sœur passe le soir")
    with page.expect_navigation():
        page.get_by_role("button", name="Signer la transmission").last.click()


def test_one_doctor_hands_over_and_the_next_takes_up(
    database: Database, tmp_path: Path, browser: Browser
) -> None:
    state = tmp_path / "releve"
    with open_web(database, state) as web, served(web) as url:
        patient = imported(web)
        site = Site(web, url, browser)
        context = site.context(javascript=False)
        page = site.sign_in(context, "present")
        coming = web.services.persona("next")
        starts = web.services.directory.load().stints[web.stint("next")].starts_at
        consult(page, patient)
        assert page.url.endswith(f"/patients/{patient}?fait=consultation"), page.inner_text("main")
        expect(page.get_by_role("status")).to_have_text("Consultation signée.")
        expect(page.locator(".identity .severity")).to_have_text("Instable")
        hand_over(page, patient)
        assert page.url.endswith(f"/patients/{patient}?fait=transmission"), page.inner_text("main")
        context.close()
        assert site.violations == []
    week_later = max(starts, MONDAY + timedelta(days=7)) + timedelta(minutes=30)
    with open_web(database, state, week_later) as web, served(web) as url:
        site = Site(web, url, browser)
        context = site.context(javascript=False)
        page = site.sign_in(context, coming.persona)
        found_first(page, patient)
        read_back(page, patient)
        context.close()
        leaves_a_trace(web, patient)
        proves(web, patient, tmp_path / "preuve.zip")


def imported(web: Web) -> UUID:
    report = import_fhir(web.services, [BUNDLE], finess=None, keep_going=False)
    assert report.rejected == []
    assert len(report.patients) == 1
    return report.patients[0]


def found_first(page: Page, patient: UUID) -> None:
    """The patient stands in T0 with badge, one-liner, action, owner and if… then."""
    row = page.locator("#T0 article", has=page.locator(f'a[href="/patients/{patient}"]'))
    expect(row).to_have_count(1)
    expect(row.locator(".severity")).to_have_text("Instable")
    expect(row.locator(".allergy")).to_have_count(1)
    expect(row.locator(".one-liner")).to_contain_text("Décompensation cardiaque débutante")
    expect(row).to_contain_text("Lire créatinine et potassium prélevés lundi")
    expect(row).to_contain_text("en retard, pour le 27/11/2026")
    expect(row).to_contain_text("danger si retard")
    expect(row).to_contain_text("poids au-dessus de 84 kg")


def read_back(page: Page, patient: UUID) -> None:
    form = page.locator(f'form[action="/patients/{patient}/restitution"]')
    form.locator('[name="text"]').fill("Je le pèse, puis je lis la kaliémie")
    with page.expect_navigation():
        form.get_by_role("button", name="Restituer").click()
    expect(page.get_by_role("status").first).to_contain_text("Restitution enregistrée")
    row = page.locator("#T0 article", has=page.locator(f'a[href="/patients/{patient}"]'))
    expect(row).to_contain_text("✓ Restitution")


def leaves_a_trace(web: Web, patient: UUID) -> None:
    """Each step has its author; each reading is an entry; the summary holds the new problem."""
    machine = web.machine("present")
    told = machine.get(f"/api/v1/patients/{patient}/replay").json()
    topics = {entry["topic"]: entry["author"] for entry in told["entries"]}
    for topic in (
        "patient.encounter-recorded", "patient.note-signed", "patient.problem-recorded",
        "patient.illness-severity-set", "patient.item-opened", "patient.handover-written",
        "patient.handover-read-back",
    ):  # fmt: skip
        assert topics[topic].startswith("Dr "), topic
    assert topics["patient.handover-read-back"] != topics["patient.handover-written"]
    document = machine.get(f"/fhir/Patient/{patient}/$summary").json()
    conditions = [
        entry["resource"]["code"].get("text")
        for entry in document["entry"]
        if entry["resource"]["resourceType"] == "Condition"
    ]
    assert "Insuffisance cardiaque" in conditions
    text = web.browser("auditor").get(f"/audit/patients/{patient}").text
    for read in ("formulaire de consultation", "formulaire de transmission", "relève", "FHIR"):
        assert read in text


def proves(web: Web, patient: UUID, out: Path) -> None:
    """The evidence verifies on its own, and one flipped byte does not."""
    write_audit_export(web.services, patient=patient, finess=None, stream=None, out=out)
    keys = [web.services.signer.vkey]
    assert verify_export(out, keys)["verified"]
    with zipfile.ZipFile(out) as good:
        members = {name: good.read(name) for name in good.namelist()}
    body = bytearray(members["entries.bin"])
    body[400] ^= 1
    members["entries.bin"] = bytes(body)
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as bad:
        for name, content in members.items():
            bad.writestr(name, content)
    out.write_bytes(held.getvalue())
    assert not verify_export(out, keys)["verified"]
