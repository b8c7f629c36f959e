"""French words for what events tell: one plain line per topic, and the labels of coded values.

A line says what was recorded, never when it is being read, so that a replay prints the same text
for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import TYPE_CHECKING, Any

import msgspec

from releve.domain.events import Payload
from releve.projections.dates import french

if TYPE_CHECKING:
    from releve.projections.summary_lines import Line

SEVERITY: Mapping[str, str] = {
    "unstable": "instable",
    "watcher": "à surveiller",
    "stable": "stable",
}
SEX: Mapping[str, str] = {
    "male": "homme", "female": "femme", "other": "autre", "unknown": "inconnu",
}  # fmt: skip
ROLE: Mapping[str, str] = {
    "doctor": "médecin", "referent": "référent médical", "intern": "interne", "nurse": "infirmier",
    "coordinator": "coordination", "secretary": "secrétariat", "auditor": "auditeur",
    "dpo": "délégué à la protection des données", "administrator": "administration",
    "ehr": "logiciel", "system": "système",
}  # fmt: skip
OWNER_ROLE: Mapping[str, str] = {
    "medecin_en_poste": "médecin en poste",
    "referent": "référent médical",
    "coordinator": "coordination",
}
ITEM_KIND: Mapping[str, str] = {
    "result": "résultat attendu", "call": "appel", "review": "à revoir",
    "referral": "avis spécialisé", "renewal": "renouvellement", "monitoring": "surveillance",
    "admin": "administratif", "other": "autre",
}  # fmt: skip
MODE: Mapping[str, str] = {
    "cabinet": "au centre", "visite": "en visite", "ehpad": "en EHPAD",
    "tele": "en téléconsultation", "telephone": "au téléphone",
}  # fmt: skip
OUTCOME: Mapping[str, str] = {
    "done": "fait", "not-needed": "plus nécessaire", "transferred": "transmis",
}  # fmt: skip
READ_BACK: Mapping[str, str] = {
    "restatement": "Restitution", "question": "Question", "takes": "Reprise",
    "continuation": "Poursuite par le même médecin",
}  # fmt: skip
CLINICAL_STATUS: Mapping[str, str] = {
    "active": "actif", "recurrence": "récidive", "relapse": "rechute", "inactive": "inactif",
    "remission": "en rémission", "resolved": "résolu",
}  # fmt: skip
VERIFICATION: Mapping[str, str] = {
    "unconfirmed": "non confirmé", "provisional": "provisoire", "differential": "différentiel",
    "confirmed": "confirmé", "refuted": "réfuté", "presumed": "présumé",
    "entered-in-error": "saisi par erreur",
}  # fmt: skip
ALLERGY_STATUS: Mapping[str, str] = {
    "active": "active", "inactive": "inactive", "resolved": "résolue", "recurrence": "récidive",
    "relapse": "rechute", "remission": "en rémission",
}  # fmt: skip
ALLERGY_VERIFICATION: Mapping[str, str] = {
    "unconfirmed": "non confirmée", "provisional": "provisoire", "differential": "différentielle",
    "confirmed": "confirmée", "refuted": "réfutée", "presumed": "présumée",
    "entered-in-error": "saisie par erreur",
}  # fmt: skip
MEDICATION_STATUS: Mapping[str, str] = {
    "active": "en cours", "completed": "terminé", "entered-in-error": "saisi par erreur",
    "intended": "prévu", "stopped": "arrêté", "on-hold": "suspendu", "unknown": "statut inconnu",
    "not-taken": "non pris", "cancelled": "annulé", "draft": "projet",
    "in-progress": "en cours", "not-done": "non fait", "preparation": "en préparation",
    "declined": "refusé",
}  # fmt: skip
CRITICALITY: Mapping[str, str] = {"high": "risque élevé", "low": "risque faible"}
CHANNEL: Mapping[str, str] = {
    "ui": "saisi", "fhir": "import FHIR", "cda": "import CDA", "hprim": "import HPRIM",
    "pdf": "import PDF", "paste": "collé", "phone": "téléphone", "offline": "hors ligne",
    "system": "système", "demo": "démonstration",
}  # fmt: skip
ABSENCE: Mapping[str, str] = {
    "allergies": "Aucune allergie connue",
    "medications": "Aucun traitement connu",
    "problems": "Aucun problème connu",
    "procedures": "Aucune intervention connue",
    "devices": "Aucun dispositif connu",
}
_PART: Mapping[str, str] = {
    "food": "alimentaire",
    "drug": "médicamenteuse",
    "medication": "médicamenteuse",
    "environment": "environnementale",
}


_ENCODE = msgspec.msgpack.Encoder().encode
_DECODE = msgspec.msgpack.Decoder(dict[str, Any]).decode


def detail_of(payload: Payload) -> dict[str, Any]:
    """A payload as the map that is stored: ids as strings, lists as lists, defaults left out."""
    return _DECODE(_ENCODE(payload))


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
    return f"{value} {_UNIT_WORDS.get(unit, unit)}".strip()


_UNIT_WORDS: Mapping[str, str] = {
    "mm[Hg]": "mmHg", "Cel": "°C", "umol/L": "µmol/L", "{INR}": "", "{score}": "", "1": "",
    "{beats}/min": "/min", "{breaths}/min": "/min", "kg/m2": "kg/m²",
}  # fmt: skip
"""UCUM codes as a French reader writes them."""


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
        kind = _PART.get(part)
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
        p.get("laterality") or "",
        CLINICAL_STATUS.get(status, status) if status and status != "active" else "",
        VERIFICATION.get(verified, verified) if verified and verified != "confirmed" else "",
        since(p["onset"], zone) if p.get("onset") else "",
        until(p["abatement"], zone) if p.get("abatement") else "",
    )


def allergy_text(p: Mapping[str, Any], zone: str) -> str:
    """The substance with its gravity, its reactions and its status where not simply active."""
    shown = [
        concept_text(manifestation)
        for reaction in p.get("reactions", ())
        for manifestation in reaction.get("manifestations", ())
    ]
    status = p.get("clinical_status")
    verified = p.get("verification")
    return _joined(
        concept_text(p["substance"]),
        CRITICALITY.get(p.get("criticality") or "", ""),
        " et ".join(text for text in shown if text),
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
}
"""Every patient topic of this product, with its line."""
