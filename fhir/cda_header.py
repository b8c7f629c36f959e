"""The header of a clinical document: whose it is, who sends it, which version, since when.

Traits follow the French profile (CI-SIS, *Structuration minimale*): ``family`` of birth
(qualifier BR) and as used (CL, or SP before 2021); ``given`` as the birth certificate lists them,
the first of birth (BR) and as used (CL); the birthplace is an INSEE code in ``county``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from releve.domain.values import Identifier, IdentityTraits, Sex, Unmapped
from releve.fhir.cda_values import identifier_of, loinc_of, moment_of, person_name, system_of
from releve.fhir.cda_xml import (
    Element,
    attribute,
    child,
    children,
    descendants,
    is_null,
    name_of,
    path_of,
    templates,
    words,
)
from releve.fhir.codes import ANY_URI

LABORATORY_REPORT: Final = "11502-2"
"""LOINC type of a laboratory's report (CR-BIO)."""

LABORATORY_TEMPLATES: Final = frozenset({"1.2.250.1.213.1.1.1.55", "1.3.6.1.4.1.19376.1.3.3"})
"""CR-BIO of the CI-SIS, and the laboratory report of IHE PaLM it stands on."""

_KINDS: Final[Mapping[str, str]] = {"SYNTH": "60591-5"}
"""LOINC of the document types that France calls by codes of its own: a VSM is a summary."""

_SEXES: Final[Mapping[str, Sex]] = {
    "M": "male",
    "F": "female",
    "UN": "other",
    "U": "unknown",
}
_PLACED: Final = frozenset({"id", "patient", "providerOrganization"})
_KNOWN: Final = frozenset({"name", "administrativeGenderCode", "birthTime", "birthplace"})
_DEAD: Final = frozenset({"deceasedInd", "deceasedTime"})


class Header(NamedTuple):
    """What a clinical document says of itself."""

    kind: str | None
    title: str
    issued_at: str | None
    source_id: str | None
    set_id: str | None
    replaces: tuple[str, ...]
    identity: IdentityTraits | None
    system: str | None
    organisation: str
    author: str | None
    service_status: str | None
    """Status of the laboratory's work (IHE PaLM): ``completed``, ``active``, ``aborted``."""
    is_laboratory: bool
    unmapped: tuple[Unmapped, ...]
    warnings: tuple[str, ...]


def read_header(root: Element) -> Header:
    """The header of a ClinicalDocument; a part that cannot be read is absent, with a warning."""
    unmapped: list[Unmapped] = []
    warnings: list[str] = []
    code = child(root, "code")
    kind = _KINDS.get(attribute(code, "code") or "") or loinc_of(code)
    custodian = child(root, "custodian", "assignedCustodian", "representedCustodianOrganization")
    author = child(root, "author", "assignedAuthor")
    organisation = custodian if custodian is not None else child(author, "representedOrganization")
    issued = moment_of(child(root, "effectiveTime"))
    if issued is None:
        warnings.append("Le document ne dit pas quand il a été établi.")
    return Header(
        kind=kind,
        title=words(child(root, "title")) or attribute(code, "displayName") or "Document CDA",
        issued_at=issued,
        source_id=identifier_of(child(root, "id")),
        set_id=identifier_of(child(root, "setId")),
        replaces=_replaced(root),
        identity=_identity(root, unmapped, warnings),
        system=_system(organisation),
        organisation=words(child(organisation, "name")),
        author=_author(author, organisation),
        service_status=_service_status(root),
        is_laboratory=kind == LABORATORY_REPORT
        or not LABORATORY_TEMPLATES.isdisjoint(templates(root)),
        unmapped=tuple(unmapped),
        warnings=tuple(warnings),
    )


def _replaced(root: Element) -> tuple[str, ...]:
    return tuple(
        named
        for related in children(root, "relatedDocument")
        if related.get("typeCode") == "RPLC"
        for parent in children(related, "parentDocument")
        for one in children(parent, "id")
        if (named := identifier_of(one)) is not None
    )


def _service_status(root: Element) -> str | None:
    """The least advanced status that a documented service gives."""
    stated = {
        code
        for event in descendants(root, "serviceEvent")
        for one in event.iterchildren("{*}statusCode")
        if (code := attribute(one, "code"))
    }
    order = ("active", "aborted", "completed")
    return next((one for one in order if one in stated), None)


def _system(organisation: Element | None) -> str | None:
    for one in children(organisation, "id"):
        if (named := identifier_of(one)) is not None:
            return named
    return words(child(organisation, "name")) or None


def _author(author: Element | None, custodian: Element | None) -> str | None:
    """Who wrote it, and for which organisation: the author's own, else the one that keeps it."""
    person = person_name(child(author, "assignedPerson", "name"))
    device = child(author, "assignedAuthoringDevice", "softwareName")
    organisation = words(child(author, "representedOrganization", "name"))
    organisation = organisation or words(child(custodian, "name"))
    return ", ".join(part for part in (person or words(device), organisation) if part) or None


def _identity(
    root: Element, unmapped: list[Unmapped], warnings: list[str]
) -> IdentityTraits | None:
    targets = children(root, "recordTarget")
    if len(targets) != 1:
        why = "aucun patient" if not targets else "plusieurs patients"
        warnings.append(f"Le document ne désigne pas un seul patient : {why}.")
        unmapped += [Unmapped(path=path_of(one), type="recordTarget") for one in targets]
        return None
    role = child(targets[0], "patientRole")
    patient = child(role, "patient")
    if role is None or patient is None:
        warnings.append("Le document ne dit pas qui est le patient.")
        return None
    for one in role:
        if name_of(one) not in _PLACED and not is_null(one):
            unmapped.append(Unmapped(path=path_of(one), type=name_of(one)))
    for one in patient:
        if name_of(one) in _DEAD and one.get("value") != "false":
            warnings.append("Le document dit que le patient est décédé : rien n'en est repris.")
        if name_of(one) not in _KNOWN and not is_null(one):
            unmapped.append(Unmapped(path=path_of(one), type=name_of(one)))
    birth_name, used_name = _families(patient)
    first_names, used_first_name = _givens(patient)
    born = moment_of(child(patient, "birthTime"))
    return IdentityTraits(
        birth_name=birth_name,
        first_names=first_names,
        used_name=used_name if used_name != birth_name else None,
        used_first_name=used_first_name if used_first_name not in first_names[:1] else None,
        birth_date=born[:10] if born else None,
        sex=_SEXES.get(attribute(child(patient, "administrativeGenderCode"), "code") or ""),
        birth_place=_birth_place(patient, unmapped),
        identifiers=_identifiers(role, unmapped),
    )


def _parts(patient: Element, name: str) -> list[tuple[str, str]]:
    """Qualifier and words of each part of a patient's names."""
    return [
        (one.get("qualifier", ""), text)
        for whole in children(patient, "name")
        for one in children(whole, name)
        if (text := words(one))
    ]


def _families(patient: Element) -> tuple[str | None, str | None]:
    parts = _parts(patient, "family")
    plain = next((text for qualifier, text in parts if not qualifier), None)
    birth = next((text for qualifier, text in parts if qualifier == "BR"), None)
    used = next((text for qualifier, text in parts if qualifier in ("CL", "SP")), None)
    return birth or plain, used or (plain if birth else None)


def _givens(patient: Element) -> tuple[tuple[str, ...], str | None]:
    """The first names of birth in order, and the one in use.

    The certificate's list is one text, its names apart by blanks; the first of birth says where
    a name that holds a blank itself ends.
    """
    parts = _parts(patient, "given")
    listed = [text for qualifier, text in parts if not qualifier]
    first = next((text for qualifier, text in parts if qualifier == "BR"), None)
    used = next((text for qualifier, text in parts if qualifier == "CL"), None)
    if first is None:
        return tuple(name for text in listed for name in text.split()), used
    rest = next((text[len(first) :] for text in listed if text.startswith(f"{first} ")), "")
    return (first, *rest.split()), used


def _birth_place(patient: Element, unmapped: list[Unmapped]) -> str | None:
    address = child(patient, "birthplace", "place", "addr")
    code = words(child(address, "county"))
    if re.fullmatch(r"\d[\dAB]\d{3}", code):
        return code
    if address is not None and words(address):
        unmapped.append(Unmapped(path=path_of(address), type="birthplace"))
    return None


def _identifiers(role: Element, unmapped: list[Unmapped]) -> tuple[Identifier, ...]:
    found = []
    for one in children(role, "id"):
        system, value = system_of(attribute(one, "root")), attribute(one, "extension")
        if is_null(one) or system is None:
            continue
        if value is None:
            unmapped.append(Unmapped(path=path_of(one), type="id"))
            continue
        if not system.startswith("urn:"):
            system, value = ANY_URI, f"{system}|{value}"
        found.append(Identifier(system=system, value=value))
    return tuple(found)
