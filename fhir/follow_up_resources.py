"""What is going on around a patient, on its way out: orders, items, contacts, appointments, ALD.

None of it belongs to a patient summary; all of it leaves with everything that a record holds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid5

from releve.fhir import codes
from releve.fhir.exact_json import JsonObject
from releve.fhir.resource_writing import (
    in_document,
    in_error,
    line_start,
    moment_of,
    period_of,
    reference,
    status_of,
)
from releve.projections import wording
from releve.projections.summary_courses import Item, Question, Result, standing
from releve.projections.summary_lines import Line

PersonName = Callable[[UUID], str | None]
"""The name of a practitioner of the directory, where it holds one."""

_PARTICIPATION: Final = "http://terminology.hl7.org/CodeSystem/v3-ParticipationMode"
_ACT_CODE: Final = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
_FLAG_CATEGORY: Final = "http://terminology.hl7.org/CodeSystem/flag-category"
_MEDIA: Final[Mapping[str, tuple[str, str]]] = {
    "phone": ("PHONE", "Téléphone"),
    "sms": ("SMSWRIT", "SMS"),
    "letter": ("MAILWRIT", "Courrier"),
    "in-person": ("FACE", "De vive voix"),
    "message": ("ELECTRONIC", "Message"),
}
_CLASSES: Final[Mapping[str, tuple[str, str]]] = {
    "cabinet": ("AMB", "ambulatory"),
    "visite": ("HH", "home health"),
    "ehpad": ("HH", "home health"),
    "tele": ("VR", "virtual"),
    "telephone": ("VR", "virtual"),
}
_KINDS: Final[Mapping[str, tuple[str, str]]] = {
    "laboratory": ("108252007", "Laboratory procedure"),
    "imaging": ("363679005", "Imaging"),
}
_ATTEMPTS: Final[Mapping[str, str]] = {
    "no-answer": "pas de réponse",
    "message-left": "message laissé",
    "reached": "joint",
    "wrong-number": "mauvais numéro",
}


def encounter(line: Line, subject: str) -> JsonObject:
    """The Encounter of a consultation."""
    content = line_start("Encounter", line)
    content["status"] = status_of(line, "Encounter", "finished")
    code, display = _CLASSES.get(line.detail["mode"], _CLASSES["cabinet"])
    content["class"] = {"system": _ACT_CODE, "code": code, "display": display}
    content["subject"] = {"reference": subject}
    content["participant"] = [{"individual": {"display": line.source_author}}]
    if moment := moment_of(line.as_of):
        content["period"] = {"start": moment}
    if reason := line.detail.get("reason"):
        content["reasonCode"] = [{"text": reason}]
    return content


def order(result: Result, subject: str) -> list[JsonObject]:
    """The ServiceRequest of what was ordered; empty for a result that nobody ordered."""
    line = result.order
    if line is None:
        return []
    said = line.detail
    content = line_start("ServiceRequest", line)
    done = result.status in ("final", "corrected")
    status = "revoked" if result.cancelled else "completed" if done else "active"
    content["status"] = status_of(line, "ServiceRequest", status)
    content["intent"] = "order"
    if said["kind"] in _KINDS:
        code, display = _KINDS[said["kind"]]
        coding = {"system": codes.SNOMED, "code": code, "display": display}
        content["category"] = [{"coding": [coding]}]
    content["priority"] = "urgent" if said.get("criticality") == "urgent" else "routine"
    asked = [code for concept in said.get("codes", ()) for code in concept.get("codings", ())]
    content["code"] = {"text": said["text"]} | ({"coding": asked} if asked else {})
    content["subject"] = {"reference": subject}
    if expected := moment_of(said.get("expected_by")):
        content["occurrenceDateTime"] = expected
    if moment := moment_of(line.as_of):
        content["authoredOn"] = moment
    content["requester"] = {"display": line.source_author}
    if said.get("why"):
        content["reasonCode"] = [{"text": said["why"]}]
    return [content]


def contacts(result: Result, subject: str, held: frozenset[UUID]) -> list[JsonObject]:
    """A Communication for each time somebody told the patient, or tried to.

    ``held`` are the entries that the answer has resources for.
    """
    steps = [*standing(result.attempts), *standing(result.informings)]
    told = []
    for step in sorted(steps, key=lambda one: one.version):
        content = _contact(step, subject)
        if step.target in held and step.target is not None:
            content["about"] = [reference(in_document(step.target))]
        told.append(content)
    return told


def _contact(step: Line, subject: str) -> JsonObject:
    said = step.detail
    content = line_start("Communication", step)
    outcome = said.get("outcome")
    reached = outcome is None or outcome == "reached"
    content["status"] = "completed" if reached else "not-done"
    if outcome is not None and not reached:
        content["statusReason"] = {"text": _ATTEMPTS.get(outcome, outcome)}
    code, words = _MEDIA.get(said["channel"], ("ELECTRONIC", said["channel"]))
    content["medium"] = [{"coding": [{"system": _PARTICIPATION, "code": code}], "text": words}]
    content["subject"] = {"reference": subject}
    if moment := moment_of(step.as_of):
        content["sent"] = moment
    recipient: JsonObject = {"display": said["whom"]} if said.get("whom") else {}
    content["recipient"] = [recipient or {"reference": subject}]
    content["sender"] = {"display": step.author}
    if said.get("text"):
        content["payload"] = [{"contentString": said["text"]}]
    return content


def task(item: Item, subject: str, held: frozenset[UUID], name: PersonName) -> JsonObject:
    """The Task of an item; ``held`` are the entries that the answer has resources for.

    An offer that nobody answered leaves its owner who they were.
    """
    line = item.line
    content = line_start("Task", line)
    offer = item.offer
    status = {"open": "requested", "reopened": "requested", "offered": "requested"}.get(item.state)
    closing = item.closing
    if closing is not None:
        status = "cancelled" if closing.detail.get("outcome") == "not-needed" else "completed"
    if status == "requested" and item.owner.get("person"):
        status = "accepted"
    content["status"] = status_of(line, "Task", status, otherwise="requested")
    if closing is not None and closing.detail.get("evidence"):
        content["statusReason"] = {"text": closing.detail["evidence"]}
    if offer is not None:
        content["businessStatus"] = {"text": f"Proposé à {_offered_to(offer, name)}"}
    elif item.state == "reopened":
        content["businessStatus"] = {"text": "Rouvert"}
    content["intent"] = "plan"
    content["priority"] = "urgent" if item.harm_if_late else "routine"
    content["code"] = {"text": wording.ITEM_KIND.get(item.kind, item.kind)}
    content["description"] = line.detail["text"]
    if item.follows in held and item.follows is not None:
        content["focus"] = reference(in_document(item.follows))
    content["for"] = {"reference": subject}
    content["authoredOn"] = moment_of(line.as_of) or content["meta"]["lastUpdated"]
    content["lastModified"] = moment_of(item.last_step.recorded_at.isoformat())
    content["requester"] = {"display": line.source_author}
    content["owner"] = _owner(item.owner, name)
    if due := moment_of(item.due):
        content["restriction"] = {"period": {"end": due}}
    return content


def _owner(owner: Mapping[str, Any], name: PersonName) -> JsonObject:
    """A role of the centre, which outlives whoever holds it, or the person who accepted."""
    person = owner.get("person")
    if person:
        return {"type": "Practitioner", "display": name(UUID(person)) or "Une personne désignée"}
    role = owner.get("role", "medecin_en_poste")
    return {"type": "PractitionerRole", "display": wording.OWNER_ROLE.get(role, role)}


def _offered_to(offer: Line, name: PersonName) -> str:
    said = offer.detail.get("to_name")
    return str(said or _owner(offer.detail.get("to", {}), name)["display"])


def question(asked: Question, subject: str, held: frozenset[UUID]) -> list[JsonObject]:
    """The Communication of a question to a colleague, then one for each answer."""
    line = asked.line
    content = line_start("Communication", line)
    content["status"] = status_of(line, "Communication", "completed")
    content["category"] = [{"text": "Question à un confrère"}]
    content["subject"] = {"reference": subject}
    if line.target in held and line.target is not None:
        content["about"] = [reference(in_document(line.target))]
    if moment := moment_of(line.as_of):
        content["sent"] = moment
    content["recipient"] = [{"type": "Practitioner", "display": line.detail["to_name"]}]
    content["sender"] = {"display": line.author}
    content["payload"] = [{"contentString": line.detail["text"]}]
    answers = []
    for step in standing(asked.answers):
        answer = line_start("Communication", step)
        answer["inResponseTo"] = [reference(in_document(line.entry_id))]
        answer["status"] = "completed"
        answer["subject"] = {"reference": subject}
        if moment := moment_of(step.as_of):
            answer["sent"] = moment
        answer["sender"] = {"display": step.author}
        answer["payload"] = [{"contentString": step.detail["text"]}]
        answers.append(answer)
    return [content, *answers]


def opinion(line: Line, subject: str, held: frozenset[UUID]) -> JsonObject:
    """The Communication of a second look, about the entry that it stands beside."""
    content = line_start("Communication", line)
    content["status"] = status_of(line, "Communication", "completed")
    content["category"] = [{"text": "Second avis"}]
    content["subject"] = {"reference": subject}
    if line.target in held and line.target is not None:
        content["about"] = [reference(in_document(line.target))]
    if moment := moment_of(line.as_of):
        content["sent"] = moment
    content["sender"] = {"display": line.author}
    content["payload"] = [{"contentString": line.detail["text"]}]
    return content


def appointment(line: Line, subject: str) -> JsonObject:
    """The Appointment that the agenda holds, or no longer does; never its reason."""
    content = line_start("Appointment", line)
    status = line.detail.get("status", "booked")
    content["status"] = status_of(line, "Appointment", status)
    minutes = int(line.detail.get("minutes", 15))
    try:
        start = datetime.fromisoformat(line.detail["starts_at"])
    except ValueError:
        start = None
    if start is not None and start.tzinfo is not None:
        content["start"] = start.isoformat(timespec="seconds")
        content["end"] = (start + timedelta(minutes=minutes)).isoformat(timespec="seconds")
    elif status == "booked":
        content["status"] = "proposed"  # app-3: without times it is not booked
    content["minutesDuration"] = max(minutes, 1)
    actor = {"actor": {"reference": subject}, "status": "accepted"}
    content["participant"] = [actor]
    return content


def ald(line: Line, subject: str) -> list[JsonObject]:
    """The Condition that an ALD is about, by its number, and the Flag that it runs."""
    said = line.detail
    number = said.get("code")
    words = f"Affection de longue durée n° {number}" if number else "Affection de longue durée"
    over = said["status"] == "ended" or not line.current
    condition = line_start("Condition", line)
    if in_error(line):
        wrong = codes.status_element("entered-in-error", codes.CONDITION_VERIFICATION)
        condition["verificationStatus"] = wrong
    condition["code"] = {"text": words}
    condition["subject"] = {"reference": subject}
    flag = line_start("Flag", line, uuid5(line.entry_id, "flag"))
    flag["status"] = status_of(line, "Flag", "inactive" if over else "active")
    flag["category"] = [{"coding": [{"system": _FLAG_CATEGORY, "code": "admin"}]}]
    flag["code"] = {"text": f"{words} (exonération)"}
    flag["subject"] = {"reference": subject}
    if period := period_of(said.get("starts"), said.get("ends")):
        flag["period"] = period
    return [condition, flag]
