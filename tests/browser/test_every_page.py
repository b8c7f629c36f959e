"""Each page in real Chromium: it answers 200, breaks no policy, and axe finds nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped] # no stubs
from playwright.sync_api import Page

from releve.api.acting import settle
from releve.api.inbox import receive
from releve.domain.aggregates.patient.allergies import AbsenceAsserted, AllergyRecorded
from releve.domain.aggregates.patient.medications import MedicationStarted
from releve.domain.commands import ImportedEntry, ImportRecord
from releve.domain.events import Author, Payload, Source
from releve.domain.requests import CommandContext
from releve.domain.values import Concept
from support.browser import Site

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def correction(site: Site) -> str:
    """The page that corrects the newest entry of the first patient."""
    patient = site.web.patient()
    newest = site.web.services.reader.stream(patient)[-1].event_id
    return f"/patients/{patient}/entrees/{newest}"


def document(site: Site) -> str:
    """The page of a document that carries a PDF and waits to be matched."""
    data = Path(__file__).parents[1] / "conformance" / "data" / "inbox"
    services = site.web.services
    kept = receive(
        services,
        (data / "cr-bio-final.xml").read_bytes(),
        centre=services.persona("present").centre,
        door="upload",
    )
    services.catch_up()
    return f"/arrivees/{kept.document}"


def unread(site: Site) -> str:
    """The form that reads the first result of the board."""
    centre = site.web.services.persona("present").centre
    for patient, summary in site.web.services.records.summaries(centre)[1].items():
        for result in summary.results:
            if result.received is not None and result.review is None:
                return f"/patients/{patient}/gestes/relire/{result.entry_id}"
    raise AssertionError("the demo centre has a result to read")


def to_judge(site: Site) -> str:
    """The page of lines of another system, one of which the record contradicts."""
    services, patient = site.web.services, site.web.patient()
    lines: tuple[Payload, ...] = (
        AllergyRecorded(substance=Concept(text="Iode"), clinical_status="active"),
        AbsenceAsserted(slot="allergies"),
        MedicationStarted(concept=Concept(text="Ramipril 5 mg")),
    )
    context = CommandContext(
        author=Author(role="ehr", name="Centre hospitalier"),
        now=services.clock.for_write(),
        key=b"to-judge",
        actor=b"browser",
        centre=services.persona("present").centre,
        source=Source(channel="cda", system="Centre hospitalier"),
    )
    entries = tuple(ImportedEntry(payload=each) for each in lines)
    settle(
        services,
        services.continuity.execute(ImportRecord(entries=entries), context, target=patient),
    )
    return f"/patients/{patient}/a-valider"


PAGES: dict[str, tuple[str | None, Callable[[Site], str]]] = {
    "sign-in": (None, lambda site: "/connexion"),
    "briefing": ("present", lambda site: f"/sejours/{site.web.stint('present')}/briefing"),
    "briefing, all rows": (
        "present",
        lambda site: f"/sejours/{site.web.stint('present')}/briefing?tout=1",
    ),
    "patients": ("present", lambda site: "/patients"),
    "patient": ("present", lambda site: f"/patients/{site.web.patient()}"),
    "consultation": ("present", lambda site: f"/patients/{site.web.patient()}/consultation"),
    "handover": ("present", lambda site: f"/patients/{site.web.patient()}/transmission"),
    "correction of an entry": ("present", correction),
    "handovers of the stint": (
        "present",
        lambda site: f"/sejours/{site.web.stint('present')}/transmissions",
    ),
    "results of a patient": ("present", lambda site: f"/patients/{site.web.patient()}/resultats"),
    "results of the centre": ("present", lambda site: "/resultats"),
    "open items": ("present", lambda site: "/points"),
    "questions": ("present", lambda site: "/questions"),
    "treatments": ("present", lambda site: f"/patients/{site.web.patient()}/traitements"),
    "an act": ("present", lambda site: f"/patients/{site.web.patient()}/gestes/prescrire"),
    "an act about a result": ("present", unread),
    "lines to judge": ("present", to_judge),
    "new record": ("present", lambda site: "/patients/nouveau"),
    "deadlines": ("coordinator", lambda site: "/echeances"),
    "patients of the office": ("coordinator", lambda site: "/patients"),
    "inbox": ("coordinator", lambda site: document(site) and "/arrivees"),
    "document for the desk": ("coordinator", document),
    "document for a doctor": ("present", document),
    "result by telephone": ("coordinator", lambda site: "/arrivees/telephone"),
    "day list": ("coordinator", lambda site: "/arrivees/agenda"),
    "handover board": ("present", lambda site: "/relais"),
    "handover board of the office": ("coordinator", lambda site: "/relais"),
    "closing": ("present", lambda site: f"/sejours/{site.web.stint('present')}/cloture"),
    "taking over": (
        "present",
        lambda site: f"/sejours/{site.web.stint('present')}/prise-de-releve",
    ),
    "coordination": ("coordinator", lambda site: "/coordination"),
    "plan a stint": ("coordinator", lambda site: "/coordination/sejour"),
    "team": ("coordinator", lambda site: "/coordination/equipe"),
    "hours": ("coordinator", lambda site: "/coordination/horaires"),
    "replay": (
        "present",
        lambda site: (
            f"/patients/{site.web.patient()}/chronologie"
            "?connu=2026-11-18T12:00&survenu=2026-11-23T08:00"
        ),
    ),
    "paste": ("present", lambda site: f"/patients/{site.web.patient()}/coller"),
    "audit": ("auditor", lambda site: "/audit"),
    "audit of a record": (
        "auditor",
        lambda site: (
            f"/audit/patients/{site.web.patient()}?connu=2026-11-20T12:00&survenu=2026-11-23T08:00"
        ),
    ),
}


RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def checked(page: Page, axe: Axe, *rules: str) -> None:
    """No axe finding: of the rules named, or of all that WCAG 2.2 AA asks for."""
    only = {"type": "rule", "values": list(rules)} if rules else {"type": "tag", "values": RULES}
    results = axe.run(page, options={"runOnly": only})
    assert results.violations_count == 0, results.generate_report()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_accessible_in_light_dark_small_and_forced_colours(
    site: Site, axe: Axe, name: str
) -> None:
    persona, path = PAGES[name]
    context = site.context()
    try:
        page = site.sign_in(context, persona) if persona else context.new_page()
        opened = page.goto(path(site))
        assert opened is not None
        assert opened.status == 200
        page.evaluate("document.querySelectorAll('details').forEach((each) => each.open = true)")
        checked(page, axe)
        page.emulate_media(color_scheme="dark")
        checked(page, axe, "color-contrast")
        for width in (1366, 360):
            page.set_viewport_size({"width": width, "height": 740})
            wider = page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
            assert not wider, f"the page scrolls sideways at {width} px"
        page.emulate_media(forced_colors="active")
        assert page.locator("h1").first.is_visible()
    finally:
        context.close()


def test_a_refused_form_is_accessible_and_leads_to_its_fields(site: Site, axe: Axe) -> None:
    context = site.context()
    try:
        page = site.sign_in(context, "present")
        page.goto(f"/patients/{site.web.patient('T3')}/consultation")
        page.locator('[name="observations[0].code"]').select_option("weight")
        page.fill('[name="observations[0].measure"]', "71,5")
        page.fill('[name="note.plan"]', "Revoir dans trois mois")
        with page.expect_navigation() as answered:
            page.get_by_role("button", name="Signer la consultation").last.click()
        assert answered.value is not None
        assert answered.value.status == 422
        checked(page, axe)
        page.get_by_role("alert").get_by_role("link").first.click()
        focused = page.evaluate("document.activeElement.getAttribute('name')")
        assert focused == "observations[0].measure"
        assert page.input_value('[name="note.plan"]') == "Revoir dans trois mois"
    finally:
        context.close()


def test_what_is_not_there_is_said_accessibly(site: Site, axe: Axe) -> None:
    context = site.context()
    try:
        page = site.sign_in(context, "present")
        opened = page.goto("/patients/00000000-0000-4000-8000-000000000001")
        assert opened is not None
        assert opened.status == 404
        checked(page, axe)
    finally:
        context.close()


def test_the_bar_is_one_line_and_leaves_a_small_screen_to_the_page(site: Site) -> None:
    for persona, entries in (("present", 7), ("referent", 8)):
        context = site.context(javascript=False)
        try:
            page = site.sign_in(context, persona)
            page.goto("/patients")
            links = page.locator(".bar nav a")
            page.set_viewport_size({"width": 1280, "height": 800})
            boxes = [links.nth(number).bounding_box() for number in range(entries)]
            boxes.append(page.get_by_role("button", name="Quitter").bounding_box())
            middles = {round((box["y"] + box["height"] / 2) / 8) for box in boxes if box}
            assert len(boxes) == entries + 1
            assert max(middles) - min(middles) <= 1, "the bar takes two lines at 1280 px"
            assert all(box and box["x"] + box["width"] <= 1280 for box in boxes)
            page.set_viewport_size({"width": 390, "height": 844})
            title = page.locator("h1").bounding_box()
            assert title is not None
            assert title["y"] < 120, "the bar pushes the page down"
            links.last.focus()
            shown = links.last.bounding_box()
            assert shown is not None
            assert 0 <= shown["x"] < shown["x"] + shown["width"] <= 390, "focus scrolls to it"
        finally:
            context.close()


def test_nothing_is_fetched_from_elsewhere_and_the_first_view_is_small(site: Site) -> None:
    context = site.context()
    try:
        page = context.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto("/connexion")
        with page.expect_navigation():
            page.click(f'button[value="{site.web.services.persona("present").persona}"]')
        assert asked
        assert all(url.startswith(site.url) for url in asked)
        sizes = page.evaluate(
            "performance.getEntriesByType('resource')"
            ".concat(performance.getEntriesByType('navigation'))"
            ".reduce((sum, entry) => sum + entry.encodedBodySize, 0)"
        )
        assert 0 < sizes <= 50 * 1024
    finally:
        context.close()


def test_going_back_after_leaving_shows_no_record(site: Site) -> None:
    context = site.context()
    try:
        page = site.sign_in(context, "present")
        page.goto(f"/patients/{site.web.patient()}")
        name = page.locator("h1").inner_text()
        page.get_by_role("button", name="Quitter").click()
        page.wait_for_url("**/connexion")
        page.go_back()
        page.wait_for_load_state()
        assert name not in page.content()
        assert page.url.split("?")[0].endswith("/connexion")
        stored = page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]")
        assert stored == [0, 0, ""]
    finally:
        context.close()


def test_a_printed_briefing_has_no_control_and_says_to_destroy_it(site: Site) -> None:
    context = site.context()
    try:
        page = site.sign_in(context, "present")
        page.emulate_media(media="print")
        assert page.locator("article.row").first.is_visible()
        assert page.get_by_role("button").count() == 0
        told = page.evaluate("getComputedStyle(document.querySelector('.foot'), '::after').content")
        assert "détruire" in told
    finally:
        context.close()


def test_the_keyboard_alone_reaches_the_first_patient(site: Site) -> None:
    context = site.context()
    try:
        page = site.sign_in(context, "present")
        page.bring_to_front()
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        page.keyboard.press("Enter")
        for _ in range(12):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.closest('.row-name') !== null"):
                break
        page.keyboard.press("Enter")
        page.wait_for_url("**/patients/*")
        assert page.locator(".identity").is_visible()
    finally:
        context.close()


def test_what_has_focus_never_stands_under_the_signing_bar(site: Site) -> None:
    context = site.context()
    try:
        page = site.sign_in(context, "present")
        page.set_viewport_size({"width": 1366, "height": 768})
        page.goto(f"/patients/{site.web.patient('T3')}/consultation")
        fields = page.locator("form.stack :is(input, select, textarea):visible")
        assert fields.count() > 5
        for number in range(fields.count()):
            if number:
                page.keyboard.press("Tab")
            else:
                fields.first.focus()
            focused, bar = page.evaluate(
                "[document.activeElement, document.querySelector('.sign')]"
                ".map((each) => { const box = each.getBoundingClientRect();"
                " return {top: box.top, bottom: box.bottom, bar: !!each.closest('.sign')}; })"
            )
            if not focused["bar"]:
                assert focused["bottom"] <= bar["top"] or focused["top"] >= bar["bottom"]
    finally:
        context.close()


def test_what_was_typed_is_shown_back_accessibly_when_the_session_ended(
    site: Site, axe: Axe
) -> None:
    context = site.context()
    try:
        page = site.sign_in(context, "present")
        page.goto(f"/patients/{site.web.patient('T3')}/consultation")
        page.fill('[name="note.plan"]', "Revoir dans trois mois")
        cookie = next(each for each in context.cookies() if each.get("name") == "releve")
        sessions = site.web.services.identity.sessions
        session = sessions.by_cookie(str(cookie.get("value")))
        assert session is not None
        sessions.close(session)
        with page.expect_navigation() as answered:
            page.get_by_role("button", name="Signer la consultation").last.click()
        assert answered.value is not None
        assert answered.value.status == 401
        assert page.get_by_label("Ce que vous aviez écrit").input_value() == (
            "Plan : Revoir dans trois mois"
        )
        checked(page, axe)
    finally:
        context.close()
