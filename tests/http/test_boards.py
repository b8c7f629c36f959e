"""The boards through their doors: who answers handovers, what the rotation lacks, two timelines."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.testclient import TestClient

from releve.api.nightly import Nightly, renew_ald
from releve.domain.aggregates import CODEC, REGISTRY
from releve.domain.errors import Tampered
from releve.domain.events import PATIENT, SYSTEM_SESSION, Author, Envelope, Event
from releve.projections.records import read_patient
from support.web import FORM, Web, hidden, key, submit

pytestmark = pytest.mark.postgres
SAMPLES = Path(__file__).parents[1] / "stored" / "domain"


def register(web: Web, **traits: Any) -> UUID:
    made = web.machine("coordinator").post(
        "/api/v1/patients",
        json={"birth_name": "TABLEAU", "first_names": ["Alix"], "sex": "female",
              "birth_date": "1951-02-03", "birth_place": "23096", "prior_search": "name",
              **traits},
        headers=key(),
    )  # fmt: skip
    assert made.status_code == 201, made.text
    return UUID(made.json()["patient"])


def ask(client: TestClient, patient: UUID, command: str, **data: Any) -> None:
    answer = client.post(f"/api/v1/patients/{patient}/{command}", json=data, headers=key())
    assert answer.status_code == 201, answer.text


# Handovers


def test_a_handover_waits_on_the_board_until_it_is_answered_there(web: Web) -> None:
    doctor = web.browser("present")
    board = doctor.get("/relais")
    asked = re.findall(
        r'<form method="post" action="(/patients/[\w-]+/restitution)">.*?</form>', board.text, re.S
    )
    assert asked, "nobody to take on with one key"
    fields = hidden(board, asked[0])
    answer = doctor.post(asked[0], data={**fields, "kind": "takes"}, headers=FORM)
    assert answer.status_code == 303, answer.text
    assert answer.headers["location"].startswith("/relais?")
    after = doctor.get("/relais")
    assert asked[0] not in after.text
    assert after.text.count('action="/patients/') == board.text.count('action="/patients/') - 1


def test_every_board_says_who_by_birth_and_same_name(web: Web) -> None:
    """Two people of one name: a line says which one, with the allergy badge where it may."""
    one, _ = (register(web, birth_date=f"195{year}-02-03", first_names=["Dominique"])
              for year in (1, 2))  # fmt: skip
    doctor = web.machine("present")
    ask(doctor, one, "open-item", kind="result", text="Scanner awaited", due="2026-11-20")
    ask(doctor, one, "write-handover", severity="stable", summary="Va bien")
    browser = web.browser("present")
    for page in ("/resultats", "/points?tout=1", "/relais"):
        shown = html.unescape(browser.get(f"{page}").text)
        (line,) = re.findall(r"TABLEAU Dominique.{0,600}", shown, re.S)[:1]
        assert "née le 03/02/1951" in line, page
        assert "homonyme" in line, page
        assert "Allergies : non demandées" in line, page
    for page in ("/echeances", "/relais"):
        shown = html.unescape(web.browser("coordinator").get(page).text)
        (line,) = re.findall(r"TABLEAU Dominique.{0,600}", shown, re.S)[:1]
        assert "née le 03/02/1951" in line, page
        assert "homonyme" in line, page
        assert "Allergies" not in shown, page
    board = html.unescape(browser.get("/resultats").text)
    assert "point ouvert sans prescription" in board


def test_the_office_sees_states_and_ages_and_no_word_of_them(web: Web) -> None:
    path = f"/api/v1/centres/{web.services.persona('present').centre}/handovers"
    seen = web.machine("present").get(path).json()
    office = web.machine("coordinator").get(path)
    rows = [row for batch in seen["batches"] for row in batch["handovers"]]
    assert len(rows) >= 3
    shown = [row for batch in office.json()["batches"] for row in batch["handovers"]]
    assert [row["state"] for row in shown] == [row["state"] for row in rows]
    page = html.unescape(web.browser("coordinator").get("/relais").text)
    for row in rows:
        assert row["summary"] not in office.text
        assert row["summary"] not in page
        assert row["name"] in page
    assert "severity" not in office.text
    assert "instable" not in page
    assert rows[0]["summary"] in html.unescape(web.browser("present").get("/relais").text)


def test_the_board_of_another_centre_is_not_available(web: Web) -> None:
    for board in ("handovers", "coordination"):
        answer = web.machine("coordinator").get(f"/api/v1/centres/{uuid4()}/{board}")
        assert answer.status_code == 404
    centre = web.services.persona("present").centre
    assert web.machine("present").get(f"/api/v1/centres/{centre}/coordination").status_code == 404
    assert web.browser("present").get("/coordination").status_code == 404
    assert web.browser("auditor").get("/relais").status_code == 404


def test_taking_over_asks_for_words_and_keeps_what_was_typed(web: Web) -> None:
    path = f"/sejours/{web.stint('present')}/prise-de-releve"
    doctor = web.browser("present")
    refused = submit(doctor, path, first_action="  ", question="")
    assert refused.status_code == 422
    assert "Écrire la première action" in html.unescape(refused.text)
    long = "mot " * 200
    kept = submit(doctor, path, first_action=long, question="Qui a la clé ?")
    assert kept.status_code == 422
    assert "Qui a la clé ?" in html.unescape(kept.text)
    done = submit(doctor, path, first_action="J'appelle le laboratoire", question="")
    assert done.status_code == 303
    shown = html.unescape(doctor.get(path).text)
    assert "J'appelle le laboratoire" in shown
    assert f'action="{path}"' not in shown
    assert "relève prise" in html.unescape(web.browser("coordinator").get("/relais").text)
    assert "J'appelle" not in html.unescape(web.browser("coordinator").get("/relais").text)


def test_only_the_stints_own_doctor_closes_it_or_takes_over(web: Web) -> None:
    stint = web.stint("present")
    for who in ("next", "referent", "coordinator"):
        for page in ("cloture", "prise-de-releve"):
            assert web.browser(who).get(f"/sejours/{stint}/{page}").status_code == 404, who


def test_closing_counts_and_says_again_who_has_no_handover(web: Web) -> None:
    stint = web.stint("present")
    path = f"/sejours/{stint}/cloture"
    doctor = web.machine("present")
    ill = register(web, birth_name="SANSRELAIS")
    ask(doctor, ill, "set-illness-severity", severity="unstable", reason="Dyspnée")
    browser = web.browser("present")
    assert "SANSRELAIS" in browser.get(path).text
    refused = submit(browser, path, message="Le laboratoire ferme à 17 h")
    assert refused.status_code == 422
    assert "Le laboratoire ferme à 17 h" in html.unescape(refused.text)
    ask(doctor, ill, "write-handover", severity="unstable", summary="Dyspnée", actions=["Voir"],
        severity_reason="Dyspnée")  # fmt: skip
    assert "SANSRELAIS" not in re.split("<aside", browser.get(path).text)[0]
    done = submit(browser, path, message="Le laboratoire ferme à 17 h", sans="oui")
    assert done.status_code == 303
    line = web.services.directory.load().stint(stint)
    assert line is not None
    assert line.handover is not None
    assert line.handover.patients >= 1
    assert line.handover.message == "Le laboratoire ferme à 17 h"
    assert "transmissions closes" in web.browser("coordinator").get("/relais").text


# Running the centre


def test_a_hole_is_filled_or_said(web: Web) -> None:
    office = web.browser("coordinator")
    board = office.get("/coordination").text
    holes = re.findall(r"/coordination/sans-medecin\?du=([\d-]+)&amp;au=([\d-]+)", board)
    assert holes, "the demo plans few weeks: the others are holes"
    first, last = holes[0]
    form = f"/coordination/sans-medecin?du={first}&au={last}"
    assert f'value="{first}"' in office.get(form).text
    to = "/coordination/sans-medecin"
    done = submit(office, form, to, first_day=first, last_day=last, reason="Aucun volontaire")
    assert done.status_code == 303
    after = office.get("/coordination").text
    assert f"du={first}&amp;" not in after
    assert "noté : Aucun volontaire" in after

    first = holes[1][0]
    doctor = re.search(r'<option value="([\w-]{36})"', office.get("/coordination/sejour").text)
    assert doctor is not None
    typed = {"practitioner": doctor[1], "mode": "volontaire", "starts_at": f"{first}T08:00"}
    wrong = submit(office, "/coordination/sejour", ends_at="jeudi", **typed)
    assert wrong.status_code == 422
    assert f'value="{first}T08:00"' in wrong.text
    planned = submit(office, "/coordination/sejour", ends_at=f"{first}T18:00", **typed)
    assert planned.status_code == 303, planned.text
    again = {**typed, "ends_at": f"{first}T20:00"}
    twice = submit(office, "/coordination/sejour", **again)
    assert twice.status_code == 422
    assert "Ce médecin a déjà un séjour ici à ces dates." in twice.text
    others = re.findall(r'<option value="([\w-]{36})"', office.get("/coordination/sejour").text)
    again["practitioner"] = next(each for each in others if each != doctor[1])
    asked = submit(office, "/coordination/sejour", **again)
    assert asked.status_code == 422
    assert "Déjà prévu ces jours-là" in asked.text
    shared = submit(office, "/coordination/sejour", **again, shared="oui")
    assert shared.status_code == 303, shared.text
    board = office.get("/coordination").text
    assert f"du={first}&amp;au={holes[1][1]}" not in board

    stint = web.services.directory.load().stints_of(web.services.persona("present").centre)[-1]
    revise = f"/coordination/sejours/{stint.stint}/modifier"
    unchanged = submit(
        office, revise, reason="rien",
        **{n: re.findall(rf'name="{n}"[^>]*value="([^"]*)"', office.get(revise).text)[0]
           for n in ("starts_at", "ends_at")},
    )  # fmt: skip
    assert unchanged.status_code == 422
    kept = {n: re.findall(rf'name="{n}"[^>]*value="([^"]*)"', office.get(revise).text)[0]
            for n in ("starts_at", "ends_at")}  # fmt: skip
    confirmed = submit(office, revise, reason="par téléphone", confirmed="oui", **kept)
    assert confirmed.status_code == 303
    line = web.services.directory.load().stint(stint.stint)
    assert line is not None
    assert line.confirmed
    cancel = f"/coordination/sejours/{stint.stint}/annuler"
    assert submit(office, cancel, reason="").status_code == 422
    assert submit(office, cancel, reason="Désistement").status_code == 303
    assert ">annulé<" in office.get("/coordination").text


def test_the_team_hours_and_places_change_from_plain_forms(web: Web) -> None:
    office = web.browser("coordinator")
    shown = office.get("/coordination/equipe").text
    typed = {
        html.unescape(name): html.unescape(value)
        for name, value in re.findall(
            r'<input id="[^"]*" name="([^"]*)"[^>]*value="([^"]*)"', shown
        )
    }
    known = web.services.directory.load().centre(web.services.persona("present").centre)
    assert known is not None
    assert typed["referent_name"] == known.referent.name
    short = {name: "" if name.startswith("on_call_chain[1]") else value
             for name, value in typed.items()}  # fmt: skip
    short = {name: value for name, value in short.items() if "on_call_chain[2]" not in name}
    refused = submit(office, "/coordination/equipe", **short)
    assert refused.status_code == 422, "a chain of one person has a hole"
    more = submit(office, "/coordination/equipe", ajouter="coordinators", **typed)
    assert more.status_code == 200
    added = len(known.coordinators)
    typed[f"coordinators[{added}].name"] = "Mme Sam Nouvelle"
    typed[f"coordinators[{added}].phone"] = "+33 5 99 00 00 09"
    assert submit(office, "/coordination/equipe", **typed).status_code == 303
    now = web.services.directory.load().centre(known.centre)
    assert now is not None
    assert [each.name for each in now.coordinators][-1] == "Mme Sam Nouvelle"
    assert now.referent == known.referent
    assert now.on_call_chain == known.on_call_chain

    slot = {"opening[0].weekday": "1", "opening[0].opens": "12:00", "opening[0].closes": "08:00"}
    assert submit(office, "/coordination/horaires", **slot).status_code == 422
    slot |= {"opening[0].closes": "18:00", "expected_sources[0].system": "Labo Nord",
             "expected_sources[0].within_hours": "24"}  # fmt: skip
    assert submit(office, "/coordination/horaires", **slot).status_code == 303
    board = office.get("/coordination").text
    assert "Labo Nord : silencieux" in board
    day = {"first_day": "2027-03-02", "last_day": "2027-03-02", "reason": "Travaux"}
    empty = submit(office, "/coordination/fermeture", **{**day, "reason": ""})
    assert empty.status_code == 422
    assert "Pourquoi : ce champ est obligatoire." in empty.text
    assert submit(office, "/coordination/fermeture", **day).status_code == 303
    place = {"site_name": "EHPAD du Test", "kind": "ehpad"}
    assert submit(office, "/coordination/lieu", **place).status_code == 303
    assert "EHPAD du Test" in office.get("/coordination").text
    assert submit(office, "/coordination/lieu", **place).status_code == 422


def test_an_ending_ald_opens_one_item_at_the_desk_and_one_for_the_doctor(web: Web) -> None:
    services = web.services
    patient = register(web, birth_name="ALDFINIT")
    ends = (services.clock() + timedelta(days=80)).date().isoformat()
    ask(web.machine("present"), patient, "change-ald-status", status="granted", code="29",
        starts="2021-01-01", ends=ends)  # fmt: skip
    centre = services.persona("present").centre
    assert renew_ald(services, centre, services.clock()) >= 2
    services.catch_up()
    assert renew_ald(services, centre, services.clock()) == 0
    found = read_patient(services.pool, services.data_keys, patient)
    assert found is not None
    items = {item.kind: item for item in found.summary.open_items}
    assert set(items) == {"admin", "renewal"}
    assert items["admin"].owner["role"] == "coordinator"
    assert items["renewal"].owner.get("role", "medecin_en_poste") == "medecin_en_poste"
    assert {item.line.author for item in items.values()} == {"Relève"}
    assert {item.due for item in items.values()} == {ends}
    board = web.machine("coordinator").get(f"/api/v1/centres/{centre}/coordination").json()
    named = [line for line in board["ald"] if line["patient"] == str(patient)]
    assert [(line["ends"], line["days"]) for line in named] == [(ends, 80)]
    assert "29" not in json.dumps([list(line) for line in named])
    closed = web.machine("coordinator").post(
        f"/api/v1/patients/{patient}/close-item",
        json={"item": str(items["admin"].line.entry_id), "outcome": "done", "evidence": "accord"},
        headers=key(),
    )
    assert closed.status_code == 201, closed.text


def test_a_demo_centre_starts_with_its_night_done(web: Web) -> None:
    assert Nightly(web.services).run_once() == 0


# Known then, happened then


def test_what_had_happened_and_was_not_known_yet_is_said(web: Web) -> None:
    """Asked as known before the record began, and as happened after: everything is unknown."""
    patient = register(web, birth_name="TARDIVE")
    doctor = web.machine("present")
    path = f"/patients/{patient}/chronologie"
    ask(doctor, patient, "record-problem", concept={"text": "Zona ophtalmique"})
    page = html.unescape(web.browser("present").get(path).text)
    assert "Zona ophtalmique" in page
    assert "Pas encore connu à ce moment" not in page
    then = web.browser("present").get(path, params={"connu": "2020-01-01T00:00"})
    assert "ne disait encore rien" in html.unescape(then.text)
    asked = {"connu": "2020-01-01T00:00", "survenu": "2030-01-01T00:00"}
    split = html.unescape(web.browser("present").get(path, params=asked).text)
    assert "Zona ophtalmique" in re.split("La synthèse d’alors", split)[0]
    assert "La synthèse d’alors</h2>" not in split
    both = {"connu": "2030-01-01T00:00", "survenu": "2020-01-01T00:00"}
    early = html.unescape(web.browser("present").get(path, params=both).text)
    assert "Zona" not in early
    wrong = web.browser("present").get(path, params={"connu": "lundi"})
    assert wrong.status_code == 422
    assert "Zona" not in wrong.text
    audit = web.browser("auditor").get(f"/audit/patients/{patient}", params=asked).text
    assert "déjà survenu" in audit
    assert "Zona" not in audit


# No clinical word for the office


CANARY = "Canarixyz"
_NOT_TEXT = re.compile(r"\d{4}(-\d\d)*([T ].*)?$|-?\d+([.,]\d+)?$|[0-9a-f-]{32,}$|https?:|urn:")
_NAMES = {"code", "system", "unit", "media_type", "sha256", "phone", "value"}
IDENTITY = {
    "patient.registered", "patient.ins-status-changed", "patient.contact-details-changed",
    "patient.medecin-traitant-declared", "patient.medecin-traitant-ended",
    "patient.appointment-noticed",
}  # fmt: skip
"""What the office itself writes and reads: who the patient is, how to reach them, the agenda."""
ABOUT = {
    "patient.note-amended": "patient.note-signed",
    "patient.result-received": "patient.investigation-ordered",
    "patient.result-reviewed": "patient.result-received",
    "patient.informed": "patient.result-received",
    "patient.contact-attempted": "patient.item-opened",
    "patient.handover-read-back": "patient.handover-written",
    "patient.question-answered": "patient.question-asked",
    "patient.opinion-recorded": "patient.problem-recorded",
    "patient.entry-validated": "patient.problem-recorded",
    "patient.entry-marked-in-error": "patient.observation-recorded",
    "patient.entry-reinstated": "patient.observation-recorded",
    "patient.contingency-activated": "patient.contingency-set",
    "patient.contingency-withdrawn": "patient.contingency-set",
    "patient.vigilance-point-lifted": "patient.vigilance-point-set",
    "patient.medication-changed": "patient.medication-started",
    "patient.medication-stopped": "patient.medication-started",
}  # fmt: skip


def singing(topic: str, schema: int, value: Any, whole: Any, at: list[Any]) -> int:
    """Put the canary in every free text of a payload, in place; give how many there are."""
    found = 0
    places = value.items() if isinstance(value, Mapping) else enumerate(value)
    for name, each in list(places):
        if isinstance(each, (dict, list)):
            found += singing(topic, schema, each, whole, [*at, name])
        elif isinstance(each, str) and name not in _NAMES and not _NOT_TEXT.match(each):
            value[name] = f"{CANARY} {topic} {'.'.join(map(str, [*at, name]))}"[:150]
            try:
                CODEC.payload(topic, schema, whole)
                found += 1
            except Tampered:
                value[name] = each  # a word of a closed list
    return found


def canary_record(web: Web) -> tuple[UUID, set[str]]:
    """A record with the canary in every text field of every topic; and the topics that hold it."""
    services, present = web.services, web.services.persona("present")
    author = Author(role="doctor", name="Dr Canari", person=present.person, stint=present.stint)
    stream, now = uuid4(), services.clock.for_write()
    topics = ["patient.registered", *sorted(t for t in REGISTRY if t.startswith("patient.")
                                            and t not in IDENTITY and t not in ABOUT)]  # fmt: skip
    topics += sorted(ABOUT) + sorted(IDENTITY - {"patient.registered"})
    events: list[Event] = []
    ids: dict[str, UUID] = {}
    sung = set()
    for version, topic in enumerate(topics, 1):
        schema = REGISTRY[topic].schema
        sample = json.loads((SAMPLES / f"{topic}.{schema}.json").read_text("utf-8"))
        payload = sample["payload"]
        if topic not in IDENTITY and singing(topic, schema, payload, payload, []):
            sung.add(topic)
        if topic == "patient.item-opened":
            payload["kind"] = "result"
        about = ABOUT.get(topic) or (
            "patient.item-opened" if topic.startswith("patient.item-") else
            topic.replace("-revised", "-recorded") if topic.endswith("-revised") else None
        )  # fmt: skip
        ids[topic] = uuid4()
        events.append(
            Event(
                originator_id=stream, originator_version=version, event_id=ids[topic],
                event_class=PATIENT, recorded_at=now, session=SYSTEM_SESSION,
                envelope=Envelope(
                    occurred_at=now.isoformat(), author=author, centre=present.centre,
                    target=ids.get(about or ""),
                    reason=f"{CANARY} motif {topic}" if topic not in IDENTITY else None,
                ),
                payload=CODEC.payload(topic, schema, payload),
            )
        )  # fmt: skip
    services.factory.event_store().put(events)
    services.catch_up()
    return stream, sung


def get_routes(app: FastAPI) -> list[str]:
    found: list[str] = []
    waiting = list(app.routes)
    while waiting:
        route = waiting.pop()
        if isinstance(route, APIRoute):
            found += [route.path] if "GET" in (route.methods or ()) else []
        else:
            waiting += list(getattr(getattr(route, "original_router", route), "routes", ()))
    return found


def test_no_answer_to_the_office_holds_a_word_of_a_record(web: Web) -> None:
    """Every GET route as page, JSON and FHIR, for a record that sings in every topic."""
    patient, sung = canary_record(web)
    topics = {t for t in REGISTRY if t.startswith("patient.") and t not in IDENTITY}
    assert len(sung) > 30, topics - sung
    web.hire("secretary")
    stint, centre = web.stint("present"), web.services.persona("present").centre
    entry = web.services.reader.stream(patient)[5].event_id
    clients = [
        client for who in ("coordinator", "secretary")
        for client in (web.browser(who), web.machine(who))
    ]  # fmt: skip
    named = opened = 0
    for path in get_routes(web.app):
        address = path.replace("{patient}", str(patient)).replace("{stint}", str(stint))
        address = address.replace("{centre}", str(centre)).replace("{entry}", str(entry))
        for client in clients:
            answer = client.get(re.sub(r"\{\w+\}", str(entry), address) + "?tout=1")
            assert answer.status_code in (200, 303, 404), (path, answer.status_code, answer.text)
            shown = html.unescape(answer.text)
            assert CANARY not in shown, (path, shown[max(0, shown.find(CANARY) - 200) :][:400])
            opened += answer.status_code == 200
            named += str(patient) in answer.text
    assert opened > 30
    assert named, "the record is on none of the office's lists: nothing was tested"
    doctor = html.unescape(web.browser("present").get(f"/patients/{patient}").text)
    assert doctor.count(CANARY) > 20


def test_with_no_doctor_in_post_every_page_says_whom_to_call(web: Web) -> None:
    """The last test of this module: the stint in post ends here."""
    office = web.browser("coordinator")
    assert "116 117" not in office.get("/coordination").text
    centre = web.services.directory.load().centre(web.services.persona("present").centre)
    assert centre is not None
    for line in web.services.directory.load().in_post(centre.centre, web.services.clock()):
        ended = web.machine("coordinator").post(
            f"/api/v1/stints/{line.stint}/end-stint", json={"cause": "cut-short"}, headers=key()
        )
        assert ended.status_code == 201, ended.text
    for client, page in ((office, "/coordination"), (office, "/patients"),
                         (web.browser("referent"), "/relais")):  # fmt: skip
        shown = html.unescape(client.get(page).text)
        assert f"Aucun médecin : 15 / 116 117 · {centre.referent.name} répond" in shown, page
    told = web.machine("coordinator").get(f"/api/v1/centres/{centre.centre}/coordination").json()
    assert told["no_doctor"] == "aucun médecin : 15 / 116 117"
    assert told["answerable"]["name"] == centre.referent.name


def test_the_head_of_the_coordination_counts_what_the_deadlines_count(web: Web) -> None:
    office = web.browser("coordinator")
    (late,) = re.findall(r"dont (\d+) en retard", office.get("/echeances").text)
    head = office.get("/coordination").text.partition("<h1>")[2].partition("</p>")[0]
    assert f"{late} échéance" in head


def test_a_point_is_closed_from_its_own_line_of_the_board(web: Web) -> None:
    doctor = web.browser("referent")
    board = doctor.get("/points").text
    found = re.findall(r'href="(/patients/[\w-]+)#(clore-[\w-]+)">Clore', board)
    assert found
    record, anchor = found[0]
    assert f'id="{anchor}"' in doctor.get(record).text
