"""French words for what events tell: one plain line per topic.

A line says what was recorded, never when it is being read, so that a replay prints the same text
for ever.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import TYPE_CHECKING, Any

import msgspec

from releve.projections.dates import first_instant, french, french_hour, zone_of
from releve.projections.vocabulary import (
    ABSENCE,
    ALD_STATUS,
    ALLERGY_STATUS,
    ALLERGY_VERIFICATION,
    CHANNEL,
    CLINICAL_STATUS,
    CONTACT,
    CRITICALITY,
    DEVICE_STATUS,
    HISTORY,
    INS_STATUS,
    INTERPRETATION,
    INVESTIGATION,
    ITEM_KIND,
    MEDICATION_STATUS,
    MODE,
    OUTCOME,
    OWNER_ROLE,
    PART,
    PROCEDURE_STATUS,
    REACHED,
    READ_BACK,
    RESULT_STATE,
    RESULT_STATUS,
    ROLE,
    SEVERITY,
    SEX,
    STANCE,
    UNIT,
    VALIDATION,
    VERDICT,
    VERIFICATION,
)

__all__ = [
    "ABSENCE", "ALD_STATUS", "ALLERGY_STATUS", "ALLERGY_VERIFICATION", "BODIES", "CHANNEL",
    "CLINICAL_STATUS", "CONTACT", "CRITICALITY", "DEVICE_STATUS", "HISTORY", "INS_STATUS",
    "INTERPRETATION", "INVESTIGATION", "ITEM_KIND", "MEDICATION_STATUS", "MODE", "OUTCOME",
    "OWNER_ROLE", "PART", "PROCEDURE_STATUS", "REACHED", "READ_BACK", "RESULT_STATE",
    "RESULT_STATUS", "ROLE", "SEVERITY", "SEX", "STANCE", "UNIT", "VALIDATION", "VERDICT",
    "VERIFICATION", "absence_text", "ald_text", "allergy_text", "appointment_text",
    "concept_text", "contingency_text", "detail_of", "device_text", "entry_text", "history_text",
    "immunization_text", "line_text", "medication_text", "observation_text", "on",
    "owner_text", "problem_text", "procedure_text", "quantity_text", "result_line_text",
    "result_text", "since", "until", "vigilance_text",
]  # fmt: skip

if TYPE_CHECKING:
    from releve.projections.summary_lines import Line

_ENCODE = msgspec.msgpack.Encoder().encode
_DECODE = msgspec.msgpack.Decoder(dict[str, Any]).decode


def detail_of(said: msgspec.Struct) -> dict[str, Any]:
    """A payload, or a value inside one, as the map that is stored.

    Ids are strings, lists are lists, and defaults are left out.
    """
    return _DECODE(_ENCODE(said))


def concept_text(concept: Mapping[str, Any] | None) -> str:
    """The words of a concept: its text, else a display, else a code."""
    if not concept:
        return ""
    text: str = concept.get("text") or ""
    if text:
        return text
    for coding in concept.get("codings", ()):
        found: str = coding.get("display") or coding.get("code") or ""
        if found:
            return found
    return ""


def quantity_text(quantity: Mapping[str, Any] | None) -> str:
    """``5,6 mmol/L``: the decimal as written, with a French comma."""
    if not quantity:
        return ""
    value = str(quantity.get("value", "")).replace(".", ",")
    unit = quantity.get("unit") or quantity.get("code") or ""
    return f"{value} {UNIT.get(unit, unit)}".strip()


def on(text: str | None, zone: str) -> str:
    """``le 19/11/2026``, or ``en 11/2026``, ``en 2026`` where no more is known."""
    shown = french(text, zone)
    return f"le {shown}" if shown.count("/") == 2 else f"en {shown}"


def since(text: str, zone: str) -> str:
    """``depuis le 19/11/2026``, ``depuis 05/2021``, ``depuis 2021``."""
    shown = french(text, zone)
    return f"depuis le {shown}" if shown.count("/") == 2 else f"depuis {shown}"


def until(text: str, zone: str) -> str:
    """``jusqu'au 10/01/2026``, ``jusqu'en 05/2021``, ``jusqu'en 2021``."""
    shown = french(text, zone)
    return f"jusqu'au {shown}" if shown.count("/") == 2 else f"jusqu'en {shown}"


def words_of(token: str | None) -> str:
    """A source's coded word without its ``[system|code]``, or the code where there is no word."""
    coded = re.fullmatch(r"(.*?) ?\[[^\[\]|\s]*\|([^\[\]|]+)\]", token or "", re.DOTALL)
    return (coded[1] or coded[2]) if coded else token or ""


def line_text(line: Line, day: date) -> str:
    """A line as read on ``day``: a treatment still said to run after its planned end is doubtful.

    Only the source's status ends a treatment; that its end has passed is for the reader to check.
    """
    if not line.ended_by(day):
        return line.text
    end = line.detail["end"]
    rest = line.text.replace(f", {until(end, line.zone)}", "")
    return f"{rest}, fin prévue {on(end, line.zone)} dépassée (à vérifier)"


def absence_text(payload: Mapping[str, Any]) -> str:
    """``Aucune allergie alimentaire connue``, with the source's own words where it has some."""
    said = concept_text(payload.get("concept"))
    part = payload.get("part")
    if payload["slot"] == "allergies" and part:
        kind = PART.get(part)
        text = f"Aucune allergie {kind} connue" if kind else f"Aucune allergie connue ({part})"
    else:
        text = ABSENCE[payload["slot"]] + (f" ({part})" if part else "")
    return f"{text} ({said})" if said and payload["slot"] != "allergies" else text


def entry_text(topic: str, payload: Mapping[str, Any], zone: str) -> str:
    """One plain French line for what an event of this topic tells; every topic has one.

    Raises:
        KeyError: the topic is not of this product.
    """
    return _TEXTS[topic](payload, zone)


def _joined(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def _registered(p: Mapping[str, Any], zone: str) -> str:
    names = " ".join([p.get("birth_name") or "nom inconnu", *p.get("first_names", ())])
    born = f"né(e) {on(p['birth_date'], zone)}" if p.get("birth_date") else ""
    return "Identité ouverte : " + _joined(names, born, SEX.get(p.get("sex") or "", ""))


def _attending(p: Mapping[str, Any], zone: str) -> str:
    who = "le centre" if p["kind"] == "centre" else "une personne"
    who = p.get("name") or who
    return f"Médecin traitant déclaré : {who}, {since(p['since'], zone)}"


def _encounter(p: Mapping[str, Any], _zone: str) -> str:
    where = MODE.get(p["mode"], p["mode"]) + (f" ({p['site']})" if p.get("site") else "")
    return f"Consultation {where}" + (f" : {p['reason']}" if p.get("reason") else "")


def _note_parts(p: Mapping[str, Any]) -> str:
    labels = (("subjective", "S"), ("objective", "O"), ("assessment", "A"), ("plan", "P"))
    lines = [p.get("one_liner", "")]
    lines += [f"{label} : {p[name]}" for name, label in labels if p.get(name)]
    return " · ".join(line for line in lines if line)


def _note(p: Mapping[str, Any], _zone: str) -> str:
    return "Note : " + _note_parts(p)


def _amended(p: Mapping[str, Any], _zone: str) -> str:
    what = "Ajout à la note" if p["kind"] == "addendum" else "Note remplacée"
    said = " · ".join(part for part in (p.get("text", ""), _note_parts(p)) if part)
    return f"{what} : {said}"


def observation_text(p: Mapping[str, Any], _zone: str) -> str:
    """``Kaliémie 5,6 mmol/L``; the parts of a measure that has several are joined by ``/``."""
    values = [quantity_text(p.get("value"))]
    parts = [
        f"{concept_text(part['code'])} {quantity_text(part['value'])}"
        for part in p.get("components", ())
    ]
    text = f"{concept_text(p['code'])} {' / '.join(v for v in [*values, *parts] if v)}".strip()
    return text + (" (annulé)" if p.get("status") in ("cancelled", "entered-in-error") else "")


def problem_text(p: Mapping[str, Any], zone: str) -> str:
    """The problem with its side, its status where it is not simply active, and its dates."""
    status = p.get("clinical_status")
    verified = p.get("verification")
    return _joined(
        concept_text(p["concept"]),
        words_of(p.get("laterality")),
        CLINICAL_STATUS.get(status, status) if status and status != "active" else "",
        VERIFICATION.get(verified, verified) if verified and verified != "confirmed" else "",
        since(p["onset"], zone) if p.get("onset") else "",
        until(p["abatement"], zone) if p.get("abatement") else "",
    )


def _reactions_text(p: Mapping[str, Any]) -> str:
    shown = [
        concept_text(manifestation)
        for reaction in p.get("reactions", ())
        for manifestation in reaction.get("manifestations", ())
    ]
    return " et ".join(text for text in shown if text)


def allergy_text(p: Mapping[str, Any], zone: str) -> str:
    """The substance with its gravity, its reactions and its status where not simply active."""
    status = p.get("clinical_status")
    verified = p.get("verification")
    return _joined(
        concept_text(p["substance"]),
        CRITICALITY.get(p.get("criticality") or "", ""),
        _reactions_text(p),
        ALLERGY_STATUS.get(status, status) if status and status != "active" else "",
        ALLERGY_VERIFICATION.get(verified, verified)
        if verified and verified != "confirmed"
        else "",
        since(p["onset"], zone) if p.get("onset") else "",
    )


def medication_text(p: Mapping[str, Any], zone: str) -> str:
    """The drug with dose, rhythm, dates, and its status where it is not simply being taken."""
    status = p.get("status", "active")
    return _joined(
        concept_text(p["concept"]),
        p.get("dose_text") or quantity_text(p.get("dose")),
        p.get("frequency") or "",
        MEDICATION_STATUS.get(status, status) if status != "active" else "",
        since(p["start"], zone) if p.get("start") else "",
        until(p["end"], zone) if p.get("end") else "",
        p.get("indication") or "",
    )


def _document(p: Mapping[str, Any], _zone: str) -> str:
    unread = len(p.get("unmapped", ()))
    rest = f" ({unread} élément{'s' * (unread > 1)} non codé{'s' * (unread > 1)})" if unread else ""
    return f"Document joint : {p.get('title') or p['media_type']}{rest}"


def _item(p: Mapping[str, Any], zone: str) -> str:
    due = f"pour {on(p['due'], zone)}" if p.get("due") else "sans échéance"
    harm = "danger si retard" if p.get("harm_if_late") else ""
    return f"Point ouvert ({ITEM_KIND[p['kind']]}) : " + _joined(p["text"], due, harm)


def _item_closed(p: Mapping[str, Any], _zone: str) -> str:
    return f"Point clos, {OUTCOME[p['outcome']]} : {p['evidence']}"


def contingency_text(p: Mapping[str, Any], zone: str) -> str:
    """``Si kaliémie > 5,5 : arrêter le ramipril``, by whom and until when where it says so."""
    ends = until(p["valid_until"], zone) if p.get("valid_until") else ""
    return _joined(f"Si {p['condition']} : {p['action']}", p.get("who") or "", ends)


def _severity(p: Mapping[str, Any], zone: str) -> str:
    review = f"à réévaluer {on(p['review_by'], zone)}" if p.get("review_by") else ""
    return f"Gravité : {_joined(SEVERITY[p['severity']], p.get('reason', ''), review)}"


def _handover(p: Mapping[str, Any], _zone: str) -> str:
    parts = [f"{SEVERITY[p['severity']]} — {p['summary']}"]
    if p.get("actions"):
        parts.append("À faire : " + " ; ".join(p["actions"]))
    if p.get("situation"):
        parts.append("Situation : " + p["situation"])
    return "Transmission : " + " · ".join(parts)


def _read_back(p: Mapping[str, Any], _zone: str) -> str:
    return READ_BACK[p["kind"]] + (f" : {p['text']}" if p.get("text") else "")


def _in_error(p: Mapping[str, Any], _zone: str) -> str:
    return "Entrée déclarée erronée" + (", avec conséquence possible" if p.get("harm") else "")


def _absence(p: Mapping[str, Any], zone: str) -> str:
    asked = f", demandé {on(p['asked_on'], zone)}" if p.get("asked_on") else ""
    return absence_text(p) + asked


def result_line_text(p: Mapping[str, Any], _zone: str) -> str:
    """``Potassium 6,4 mmol/L (haut)``: one line of a result, with what its source says of it."""
    value = quantity_text(p.get("value"))
    value = f"{p['comparator']} {value}" if p.get("comparator") else value
    flag = INTERPRETATION.get(p.get("interpretation") or "", "")
    said = " ".join(part for part in (concept_text(p["code"]), value, p.get("text") or "") if part)
    gone = " (annulé)" if p.get("status") in ("cancelled", "entered-in-error") else ""
    return said + (f" ({flag})" if flag else "") + gone


def immunization_text(p: Mapping[str, Any], zone: str) -> str:
    """The vaccine, when it was given, its dose and lot; or that it was not done, and why."""
    done = p.get("status", "completed")
    dose = f"dose {p['dose_number']}" if p.get("dose_number") else ""
    if done != "completed":
        why = p.get("reason") or ""
        said = "non fait" if done == "not-done" else "saisi par erreur"
        return _joined(concept_text(p["vaccine"]), said, why)
    given = on(p["given_on"], zone) if p.get("given_on") else "date inconnue"
    lot = f"lot {p['lot']}" if p.get("lot") else ""
    return _joined(concept_text(p["vaccine"]), dose, given, lot)


def procedure_text(p: Mapping[str, Any], zone: str) -> str:
    """The act, where and when, its outcome, and its status where it is not simply done."""
    status = p.get("status", "completed")
    return _joined(
        concept_text(p["concept"]),
        words_of(p.get("body_site")),
        PROCEDURE_STATUS.get(status, "" if status == "completed" else status),
        on(p["performed"].partition("/")[0], zone) if p.get("performed") else "",
        p.get("outcome") or "",
    )


def device_text(p: Mapping[str, Any], zone: str) -> str:
    """The device, where and since when, and its status where it is not simply in use."""
    status = p.get("status", "active")
    return _joined(
        concept_text(p["concept"]),
        words_of(p.get("body_site")),
        DEVICE_STATUS.get(status, "" if status == "active" else status),
        since(p["since"], zone) if p.get("since") else "",
        until(p["until"], zone) if p.get("until") else "",
    )


_AS_USUAL = frozenset({"active", "final", "completed"})


def history_text(p: Mapping[str, Any], zone: str) -> str:
    """A line of family history, way of life, occupation, ability or adverse reaction."""
    relation = f"{words_of(p['relationship'])} : " if p.get("relationship") else ""
    said = f"{concept_text(p['concept'])} {quantity_text(p.get('value'))}".strip()
    status = p.get("status")
    return relation + _joined(
        said,
        CLINICAL_STATUS.get(status, status) if status and status not in _AS_USUAL else "",
        since(p["since"], zone) if p.get("since") else "",
        until(p["until"], zone) if p.get("until") else "",
    )


def vigilance_text(p: Mapping[str, Any], zone: str) -> str:
    """The point, with the day up to which it was said to hold."""
    return _joined(p["text"], until(p["until"], zone) if p.get("until") else "")


def ald_text(p: Mapping[str, Any], zone: str) -> str:
    """``ALD 8, accordée, depuis le 23/11/2026, jusqu'au 22/11/2031``."""
    number = f"ALD {p['code']}" if p.get("code") else "ALD"
    return _joined(
        number,
        ALD_STATUS[p["status"]],
        since(p["starts"], zone) if p.get("starts") else "",
        until(p["ends"], zone) if p.get("ends") else "",
    )


def appointment_text(p: Mapping[str, Any], zone: str) -> str:
    """When the patient comes, or is seen elsewhere; never why."""
    day = french(p["starts_at"], zone)
    moment = first_instant(p["starts_at"], zone) if "T" in p["starts_at"] else None
    hour = french_hour(moment.astimezone(zone_of(zone))) if moment else ""
    where = MODE.get(p.get("mode", "cabinet"), p.get("mode", ""))
    site = f" ({p['site']})" if p.get("site") else ""
    gone = "annulé" if p.get("status") == "cancelled" else ""
    return _joined(f"le {day}" + (f" à {hour}" if hour else ""), where + site, gone)


def _ordered(p: Mapping[str, Any], zone: str) -> str:
    urgent = "urgent" if p.get("criticality") == "urgent" else ""
    harm = "danger si retard" if p.get("harm_if_late") else ""
    expected = f"attendu {on(p['expected_by'], zone)}"
    what = f"Prescription ({INVESTIGATION[p['kind']]}) : "
    return what + _joined(p["text"], urgent, expected, harm, p.get("why") or "")


def result_text(p: Mapping[str, Any], zone: str) -> str:
    """What a report says: its title and status, each line, its conclusion, and who phoned."""
    said = [result_line_text(line, zone) for line in p.get("lines", ())]
    said += [p["conclusion"]] if p.get("conclusion") else []
    caller = f"appel de {p['caller']}" if p.get("caller") else ""
    again = "relu à l'appelant" if p.get("read_back") else ""
    what = p.get("title") or "Résultat"
    head = f"{what} ({RESULT_STATUS[p['status']]})"
    return head + " : " + _joined(" ; ".join(said), p.get("laboratory") or "", caller, again)


def _reviewed(p: Mapping[str, Any], _zone: str) -> str:
    tell = "" if p.get("inform_patient", True) else "patient non prévenu, par choix"
    return "Résultat lu : " + _joined(VERDICT[p["verdict"]], p.get("action") or "", tell)


def _attempted(p: Mapping[str, Any], _zone: str) -> str:
    whom = p.get("whom") or "patient"
    return f"Appel : {_joined(whom, CONTACT[p['channel']], REACHED[p['outcome']])}"


def _informed(p: Mapping[str, Any], _zone: str) -> str:
    whom = p.get("whom") or "patient"
    return f"Prévenu : {_joined(whom, CONTACT[p['channel']], p.get('text') or '')}"


def _revised(label: str, text: Callable[[Mapping[str, Any], str], str]) -> Any:
    """A change says only what it changes; the entry it changes is beside it."""

    def said(p: Mapping[str, Any], zone: str) -> str:
        return f"{label} : {text(p, zone) or 'sans changement'}"

    return said


def _problem_changes(p: Mapping[str, Any], zone: str) -> str:
    status, verified = p.get("clinical_status"), p.get("verification")
    return _joined(
        CLINICAL_STATUS.get(status, status) if status else "",
        VERIFICATION.get(verified, verified) if verified else "",
        p.get("severity") or "",
        words_of(p.get("laterality")),
        since(p["onset"], zone) if p.get("onset") else "",
        until(p["abatement"], zone) if p.get("abatement") else "",
    )


def _allergy_changes(p: Mapping[str, Any], _zone: str) -> str:
    status, verified = p.get("clinical_status"), p.get("verification")
    return _joined(
        ALLERGY_STATUS.get(status, status) if status else "",
        ALLERGY_VERIFICATION.get(verified, verified) if verified else "",
        CRITICALITY.get(p.get("criticality") or "", ""),
        _reactions_text(p),
    )


def _medication_changes(p: Mapping[str, Any], zone: str) -> str:
    return _joined(
        p.get("dose_text") or quantity_text(p.get("dose")),
        p.get("frequency") or "",
        concept_text(p.get("route")),
        until(p["end"], zone) if p.get("end") else "",
        p.get("indication") or "",
    )


def _item_changes(p: Mapping[str, Any], zone: str) -> str:
    due = f"pour {on(p['due'], zone)}" if p.get("due") else ""
    due = "sans échéance" if p.get("no_deadline") else due
    harm = {True: "danger si retard", False: "sans danger", None: ""}[p.get("harm_if_late")]
    return _joined(p.get("text") or "", due, harm, p.get("done_when") or "")


def owner_text(owner: Mapping[str, Any] | None) -> str:
    """The role that an owner is."""
    return OWNER_ROLE[(owner or {}).get("role", "medecin_en_poste")]


def _offered(p: Mapping[str, Any], _zone: str) -> str:
    to = p.get("to_name") or owner_text(p["to"])
    return f"Point proposé : {_joined(to, p.get('message') or '')}"


def _question(p: Mapping[str, Any], zone: str) -> str:
    due = f"réponse attendue {on(p['due'], zone)}" if p.get("due") else ""
    return f"Question à {p['to_name']} : {_joined(p['text'], due)}"


def _contact_details(p: Mapping[str, Any], _zone: str) -> str:
    phones = [f"{label} {number}".strip() for label, number in p.get("phones", ())]
    trusted = p.get("trusted_person")
    speakers = [each["name"] for each in p.get("legal_representatives", ())]
    return "Coordonnées : " + _joined(
        *phones,
        p.get("address") or "",
        f"personne de confiance {trusted['name']}" if trusted else "",
        f"représentants légaux {' et '.join(speakers)}" if speakers else "",
    )


def _ins(p: Mapping[str, Any], _zone: str) -> str:
    proof = f"preuve : {p['proof']}" if p.get("proof") else ""
    return "Identité INS " + _joined(INS_STATUS[p["status"]], proof)


def _reconciled(p: Mapping[str, Any], _zone: str) -> str:
    return f"Traitements comparés à {_joined(p['against'], p.get('remarks') or '')}"


def _summary_reviewed(p: Mapping[str, Any], zone: str) -> str:
    again = f"prochaine relecture {on(p['next_review'], zone)}" if p.get("next_review") else ""
    return "Synthèse relue" + (f", {again}" if again else "")


def _ended(p: Mapping[str, Any], zone: str) -> str:
    successor = f"successeur {p['successor']}" if p.get("successor") else ""
    return "Médecin traitant : fin " + _joined(on(p["ended"], zone), successor)


_TEXTS: Mapping[str, Callable[[Mapping[str, Any], str], str]] = {
    "patient.registered": _registered,
    "patient.medecin-traitant-declared": _attending,
    "patient.encounter-recorded": _encounter,
    "patient.note-signed": _note,
    "patient.note-amended": _amended,
    "patient.observation-recorded": lambda p, z: "Mesure : " + observation_text(p, z),
    "patient.problem-recorded": lambda p, z: "Problème : " + problem_text(p, z),
    "patient.allergy-recorded": lambda p, z: "Allergie : " + allergy_text(p, z),
    "patient.absence-asserted": _absence,
    "patient.medication-started": lambda p, z: "Traitement : " + medication_text(p, z),
    "patient.document-attached": _document,
    "patient.item-opened": _item,
    "patient.item-closed": _item_closed,
    "patient.contingency-set": contingency_text,
    "patient.illness-severity-set": _severity,
    "patient.handover-written": _handover,
    "patient.handover-read-back": _read_back,
    "patient.entry-marked-in-error": _in_error,
    "patient.entry-reinstated": lambda p, z: "Entrée rétablie",
    "patient.entry-validated": lambda p, z: f"Entrée importée {VALIDATION[p['verdict']]}",
    "patient.medecin-traitant-ended": _ended,
    "patient.problem-revised": _revised("Problème révisé", _problem_changes),
    "patient.allergy-revised": _revised("Allergie révisée", _allergy_changes),
    "patient.medication-changed": _revised("Traitement modifié", _medication_changes),
    "patient.medication-stopped": lambda p, z: f"Traitement arrêté {on(p['stopped_on'], z)}",
    "patient.medication-reconciled": _reconciled,
    "patient.immunization-recorded": lambda p, z: "Vaccin : " + immunization_text(p, z),
    "patient.procedure-recorded": lambda p, z: "Acte : " + procedure_text(p, z),
    "patient.device-recorded": lambda p, z: "Dispositif : " + device_text(p, z),
    "patient.history-recorded": lambda p, z: f"{HISTORY[p['slot']]} : {history_text(p, z)}",
    "patient.vigilance-point-set": lambda p, z: "Vigilance : " + vigilance_text(p, z),
    "patient.vigilance-point-lifted": lambda p, z: "Point de vigilance levé",
    "patient.investigation-ordered": _ordered,
    "patient.result-received": lambda p, z: "Résultat : " + result_text(p, z),
    "patient.result-reviewed": _reviewed,
    "patient.contact-attempted": _attempted,
    "patient.informed": _informed,
    "patient.item-revised": _revised("Point révisé", _item_changes),
    "patient.item-reopened": lambda p, z: "Point rouvert",
    "patient.item-offered": _offered,
    "patient.item-accepted": lambda p, z: "Point accepté",
    "patient.item-declined": lambda p, z: "Point décliné",
    "patient.contingency-activated": lambda p, z: "Si… alors : seuil atteint",
    "patient.contingency-withdrawn": lambda p, z: "Si… alors retiré",
    "patient.question-asked": _question,
    "patient.question-answered": lambda p, z: f"Réponse : {p['text']}",
    "patient.opinion-recorded": lambda p, z: f"Autre avis ({STANCE[p['stance']]}) : {p['text']}",
    "patient.ins-status-changed": _ins,
    "patient.contact-details-changed": _contact_details,
    "patient.death-recorded": lambda p, z: f"Décès {on(p['date'], z)} (source : {p['source']})",
    "patient.appointment-noticed": lambda p, z: "Rendez-vous " + appointment_text(p, z),
    "patient.summary-reviewed": _summary_reviewed,
    "patient.ald-status-changed": ald_text,
}
"""Every patient topic of this product, with its line."""


BODIES: Mapping[str, Callable[[Mapping[str, Any], str], str]] = {
    "patient.problem-recorded": problem_text,
    "patient.allergy-recorded": allergy_text,
    "patient.medication-started": medication_text,
    "patient.observation-recorded": observation_text,
    "patient.immunization-recorded": immunization_text,
    "patient.procedure-recorded": procedure_text,
    "patient.device-recorded": device_text,
    "patient.history-recorded": history_text,
    "patient.vigilance-point-set": vigilance_text,
    "patient.result-received": result_line_text,
    "patient.document-attached": lambda p, z: _document(p, z).removeprefix("Document joint : "),
}
"""What a line of the summary says under the title of its slot, which names what it is."""
