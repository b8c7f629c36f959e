"""Whom a record is about and who answers for it: Patient and Organization (FR Core's systems).

An INS leaves only once the identity is qualified, under whichever system it is written; a death,
an ended médecin traitant and contact details leave as they are in force.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final
from uuid import UUID

import msgspec

from releve.domain.aggregates.patient.contact_details import ContactDetailsChanged
from releve.domain.aggregates.patient.identity import Registered
from releve.domain.aggregates.patient.ins import InsStatusChanged, exportable, ins_of
from releve.domain.values import INS_SYSTEMS, Identifier, RelatedPerson
from releve.fhir import codes, moments, r4b
from releve.fhir.exact_json import JsonObject
from releve.fhir.resource_writing import Name, resource
from releve.projections.directory import CentreEntry
from releve.projections.patient_summary import PatientSummary

FINESS: Final = "https://finess.esante.gouv.fr"
_INS_TOPIC: Final = InsStatusChanged.topic
_INS_OID: Final = re.compile(r"(urn:oid:)?1\.2\.250\.1\.213\.1\.4\.\d+")
_IDENTIFIER_TYPES: Final = "http://terminology.hl7.org/CodeSystem/v2-0203"
_PHONE_USES: Final = (
    ("mobile", "mobile"), ("portable", "mobile"), ("travail", "work"), ("bureau", "work"),
    ("domicile", "home"), ("maison", "home"), ("fixe", "home"),
)  # fmt: skip


def patient(summary: PatientSummary, centre: CentreEntry | None, name: Name | None) -> JsonObject:
    """The Patient; ``centre`` is the declared médecin traitant's, where it is a centre.

    ``name`` gives the reference to the centre's Organization where the answer holds it; without
    it the centre is named by its FINESS number.
    """
    identity = summary.identity or Registered()
    content = resource("Patient", summary.patient, summary.version, summary.recorded_at)
    content["identifier"] = [*_identifiers(summary, identity), _local_identifier(summary.patient)]
    content["active"] = True
    content["name"] = _names(identity)
    if identity.sex is not None:
        content["gender"] = identity.sex
    if identity.birth_date and re.fullmatch(r"\d{4}(-\d\d(-\d\d)?)?", identity.birth_date):
        content["birthDate"] = identity.birth_date
    else:
        content["_birthDate"] = codes.absent()
    content |= _deceased(summary)
    if summary.contact_details is not None:
        content |= _reached(msgspec.convert(summary.contact_details.detail, ContactDetailsChanged))
    declared = summary.medecin_traitant
    if declared is not None and declared.detail.get("kind") == "person":
        content["generalPractitioner"] = [
            {"type": "Practitioner", "display": declared.detail.get("name") or declared.text}
        ]
    elif declared is not None and centre is not None:
        content["generalPractitioner"] = [centre_reference(centre, name)]
    return content


def organization(centre: CentreEntry) -> JsonObject:
    """The Organization of a health centre."""
    content: JsonObject = {
        "resourceType": "Organization",
        "id": str(centre.centre),
        "identifier": [_finess(centre)],
        "active": True,
        "name": centre.name,
    }
    if centre.address:
        content["address"] = [{"text": centre.address}]
    return content


def centre_reference(centre: CentreEntry, name: Name | None) -> JsonObject:
    """A reference to a centre: literal where the answer holds it, else by FINESS."""
    if name is not None:
        return {"reference": name(centre.centre), "display": centre.name}
    return {"type": "Organization", "identifier": _finess(centre), "display": centre.name}


def _finess(centre: CentreEntry) -> JsonObject:
    return {"system": FINESS, "value": centre.finess}


def _identifiers(summary: PatientSummary, identity: Registered) -> list[JsonObject]:
    """The identifiers that may leave: the INS of a qualified identity, and every other one."""
    changes = [line for line in summary.told if line.topic == _INS_TOPIC and line.current]
    changes.sort(key=lambda line: line.version)
    told = [msgspec.convert(line.detail, InsStatusChanged) for line in changes]
    held = [one for one in identity.identifiers if _is_ins(one)]
    held += [one.matricule for one in told if one.matricule is not None]
    withheld = {_plain(one.value) for one in held}
    qualified = exportable(*ins_of(identity, told))
    sent = [qualified] if qualified is not None else []
    sent += [
        one
        for one in identity.identifiers
        if not _is_ins(one) and _plain(one.value) not in withheld
    ]
    return [_identifier(one) for one in sent]


def _is_ins(identifier: Identifier) -> bool:
    named = _INS_OID.fullmatch(identifier.system.strip())
    return identifier.system in INS_SYSTEMS or named is not None


def _plain(value: str) -> str:
    """A number without the blanks that hide it: the 13 figures of a matricule, without its key."""
    return re.sub(r"\W", "", value).upper()[:13]


def _deceased(summary: PatientSummary) -> JsonObject:
    death = summary.death
    if death is None:
        return {}
    day = str(death.detail.get("date", ""))
    return {"deceasedDateTime": day} if moments.is_datetime(day) else {"deceasedBoolean": True}


def _reached(details: ContactDetailsChanged) -> JsonObject:
    content: JsonObject = {}
    if details.phones:
        content["telecom"] = [_phone(label, number) for label, number in details.phones]
    if details.address:
        content["address"] = [{"use": "home", "text": details.address}]
    if contacts := list(_contacts(details)):
        content["contact"] = contacts
    return content


def _phone(label: str, number: str) -> JsonObject:
    said = label.casefold()
    use = next((use for word, use in _PHONE_USES if word in said), None)
    return {"system": "phone", "value": number} | ({"use": use} if use else {})


def _contacts(details: ContactDetailsChanged) -> Iterator[JsonObject]:
    trusted = details.trusted_person
    if trusted is not None:
        yield _contact(trusted, "Personne de confiance")
    for one in details.legal_representatives:
        yield _contact(one, "Représentant légal")


def _contact(person: RelatedPerson, role: str) -> JsonObject:
    text = f"{role} ({person.relationship})" if person.relationship else role
    content: dict[str, Any] = {"relationship": [{"text": text}], "name": {"text": person.name}}
    if person.phone:
        content["telecom"] = [{"system": "phone", "value": person.phone}]
    return content


def _identifier(identifier: Identifier) -> JsonObject:
    use = identifier.use
    known = use in r4b.elements_of("Identifier")["use"].codes
    content: JsonObject = {"use": use} if known else {}
    return content | {"system": identifier.system, "value": identifier.value}


def _local_identifier(patient_id: UUID) -> JsonObject:
    return {
        "use": "usual",
        "type": {"coding": [{"system": _IDENTIFIER_TYPES, "code": "PI"}]},
        "system": codes.ANY_URI,
        "value": f"urn:uuid:{patient_id}",
    }


def _names(identity: Registered) -> list[JsonObject]:
    official: JsonObject = {"use": "official"}
    if identity.birth_name:
        official["family"] = identity.birth_name
    if identity.first_names:
        official["given"] = list(identity.first_names)
    if len(official) == 1:
        official["_text"] = codes.absent()
    names = [official]
    if identity.used_name or identity.used_first_name:
        given = identity.used_first_name or next(iter(identity.first_names), None)
        family = identity.used_name or identity.birth_name
        usual: JsonObject = {"use": "usual"}
        usual |= {"family": family} if family else {}
        usual |= {"given": [given]} if given else {}
        names.append(usual)
    return names
