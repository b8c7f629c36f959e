"""Coded sections of a summary (VSM, IPS-FR): each statement as the event it becomes.

Status, certainty and dates stay as the source wrote them. A statement that is planned, negated or
withdrawn is never taken for a fact, and every part without a place in the record is listed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Final

from releve.domain.aggregates.patient.allergies import AbsenceAsserted, AllergyRecorded, absence_of
from releve.domain.aggregates.patient.history import (
    DeviceRecorded,
    ImmunizationRecorded,
    ProcedureRecorded,
)
from releve.domain.aggregates.patient.medications import MedicationStarted
from releve.domain.aggregates.patient.observations import ObservationRecorded
from releve.domain.aggregates.patient.problems import ProblemRecorded
from releve.domain.values import Concept, Quantity, Reaction
from releve.fhir import known_absence
from releve.fhir.cda_history import family_history, observed, vigilance
from releve.fhir.cda_reading import Gathered, observations_of, product_of, token_of
from releve.fhir.cda_results import alarming_value
from releve.fhir.cda_values import (
    amount,
    concept_of,
    first_identifier,
    measured_of,
    period_of,
    quantity_of,
)
from releve.fhir.cda_xml import (
    XSI_TYPE,
    Element,
    attribute,
    child,
    children,
    is_null,
    name_of,
    words,
)

STATUS: Final = "33999-4"
CERTAINTY: Final = "66455-7"
CRITICALITY: Final = "82606-5"
DOSE_NUMBER: Final = "30973-2"

_STATUSES: Final[Mapping[str, str]] = {
    "55561003": "active",
    "73425007": "inactive",
    "90734009": "active",  # chronic
    "7087005": "active",  # intermittent
    "255227004": "recurrence",
    "415684004": "inactive",  # ruled out of the list
    "413322009": "resolved",
}
"""SNOMED CT problem statuses of older summaries, as FHIR condition-clinical."""

_CONCERN: Final[Mapping[str, str]] = {"suspended": "inactive", "aborted": "inactive"}
_ALLERGY_KINDS: Final[Mapping[str, tuple[str | None, tuple[str, ...]]]] = {
    "416098002": ("allergy", ("medication",)),
    "414285001": ("allergy", ("food",)),
    "426232007": ("allergy", ("environment",)),
    "419199007": ("allergy", ()),
    "59037007": ("intolerance", ("medication",)),
    "235719002": ("intolerance", ("food",)),
    "419511003": (None, ("medication",)),
    "418471000": (None, ("food",)),
    "DALG": ("allergy", ("medication",)),
    "FALG": ("allergy", ("food",)),
    "EALG": ("allergy", ("environment",)),
    "ALG": ("allergy", ()),
    "DINT": ("intolerance", ("medication",)),
    "FINT": ("intolerance", ("food",)),
    "EINT": ("intolerance", ("environment",)),
}
"""SNOMED CT and HL7 ObservationIntoleranceType codes, as FHIR type and categories."""

_SEVERITIES: Final[Mapping[str, str]] = {
    "255604002": "mild",
    "6736007": "moderate",
    "24484000": "severe",
    "L": "mild",
    "M": "moderate",
    "H": "severe",
}


def is_summary_section(section: Element) -> bool:
    """True for a section of a summary, whose statements have events of their own."""
    return attribute(child(section, "code"), "code") in _READERS


def read_section(section: Element, gathered: Gathered) -> None:
    """Take what one section says itself; its own sections are read apart."""
    code = attribute(child(section, "code"), "code") or ""
    if is_null(section):
        gathered.warn(section, "la source dit ne rien savoir de cette section : rien n'est noté")
        return
    entries = children(section, "entry")
    reader = _READERS.get(code)
    if reader is not None and (entries or code in _FREE):
        reader(section, gathered)
        return
    for entry in entries:
        gathered.leave(entry)
    if not entries and words(child(section, "text")):
        gathered.leave(section, f"section:{code}")


def _statements(section: Element) -> Iterator[Element]:
    """The statement of each entry."""
    for entry in children(section, "entry"):
        yield from (one for one in entry if name_of(one) != "templateId")


def _facts(
    section: Element,
    gathered: Gathered,
    names: Collection[str],
    *,
    negation: bool = False,
    planned: bool = False,
) -> Iterator[Element]:
    """The statements called one of ``names`` that :meth:`Gathered.is_fact`; others are listed."""
    for statement in _statements(section):
        if name_of(statement) not in names:
            gathered.leave(statement)
        elif gathered.is_fact(statement, negation=negation, planned=planned):
            yield statement


def _concerns(section: Element, gathered: Gathered) -> Iterator[tuple[Element, Element | None]]:
    """Each observation of a list of concerns, with the act that holds it where there is one."""
    for statement in _statements(section):
        if name_of(statement) == "observation":
            yield statement, None
            continue
        if name_of(statement) != "act":
            gathered.leave(statement)
            continue
        for link in children(statement, "entryRelationship"):
            observation = child(link, "observation")
            if observation is None:
                gathered.leave(link)
            else:
                yield observation, statement


def _problems(section: Element, gathered: Gathered) -> None:
    for observation, act in _concerns(section, gathered):
        if not gathered.is_fact(observation, negation=True):
            continue
        concept = gathered.coded(observation, "value")
        if concept is None:
            gathered.refuse(observation, "problème sans code ni libellé")
            continue
        period = period_of(observation)
        if period.start is None and period.end is None:
            period = period_of(act)
        negated = observation.get("negationInd") == "true"
        taken: list[Element] = []
        status = gathered.related(observation, STATUS, taken)
        certainty = gathered.related(observation, CERTAINTY, taken)
        verification = "refuted" if negated else attribute(certainty, "code")
        clinical = _clinical(status) or _CONCERN.get(
            attribute(child(act, "statusCode"), "code") or ""
        )
        if clinical is None:
            past = attribute(child(section, "code"), "code") == "11348-0"
            clinical = ("resolved" if period.end else "inactive") if past else None
        if _absence(concept, observation, gathered, clinical, verification):
            continue
        severity = gathered.related(observation, "SEV", taken)
        gathered.add(
            ProblemRecorded(
                concept=concept,
                clinical_status=clinical,
                verification=verification,
                onset=period.start,
                abatement=period.end,
                recorded=gathered.written_at(observation),
                severity=token_of(concept_of(severity, gathered.narrative)),
                laterality=token_of(
                    concept_of(child(observation, "targetSiteCode"), gathered.narrative)
                ),
            ),
            observation,
            period.start,
        )
        gathered.leave_rest(observation, {"value", "targetSiteCode"}, taken)


def _clinical(status: Element | None) -> str | None:
    code = attribute(status, "code")
    return _STATUSES.get(code, code) if code else None


def _absence(
    concept: Concept,
    statement: Element,
    gathered: Gathered,
    clinical: str | None = None,
    verification: str | None = None,
) -> bool:
    """Take a known-absence code for what it is; true when ``concept`` was one."""
    if known_absence.says_unknown(concept.codings):
        gathered.warn(statement, "la source dit ne pas savoir : rien n'est noté")
        return True
    scope = absence_of(concept)
    if scope is None:
        return False
    if verification in ("refuted", "entered-in-error"):
        gathered.refuse(statement, "absence réfutée : elle n'est pas notée")
        return True
    asked = gathered.written_at(statement) or period_of(statement).start or gathered.issued_at
    gathered.add(
        AbsenceAsserted(
            slot=scope.slot,
            part=scope.part,
            asked_on=asked[:10] if asked else None,
            concept=concept,
            clinical_status=clinical,
            verification=verification,
        ),
        statement,
        asked,
    )
    return True


def _allergies(section: Element, gathered: Gathered) -> None:
    for observation, _ in _concerns(section, gathered):
        if not gathered.is_fact(observation, negation=True):
            continue
        negated = observation.get("negationInd") == "true"
        agents = [
            one
            for one in children(observation, "participant")
            if child(one, "participantRole", "playingEntity") is not None
        ]
        entity = child(agents[0], "participantRole", "playingEntity") if agents else None
        value = concept_of(child(observation, "value"), gathered.narrative)
        substance = concept_of(child(entity, "code"), gathered.narrative)
        if substance is None and (name := words(child(entity, "name"))):
            substance = Concept(text=name)
        if value is not None and absence_of(value) is None and not _says_unknown(value):
            substance, described = substance or value, substance is not None
        else:
            substance, described = value or substance, False
        if substance is None or (negated and not agents):
            why = "négation sans substance" if negated else "allergie sans substance"
            gathered.refuse(observation, f"{why} : rien n'est noté")
            continue
        taken: list[Element] = agents[:1]
        status = _clinical(gathered.related(observation, STATUS, taken))
        certainty = attribute(gathered.related(observation, CERTAINTY, taken), "code")
        verification = "refuted" if negated else certainty
        if _absence(substance, observation, gathered, status, verification):
            continue
        criticality = gathered.related(observation, CRITICALITY, taken)
        code = child(observation, "code")
        kind, categories = _ALLERGY_KINDS.get(attribute(code, "code") or "", (None, ()))
        onset = period_of(observation).start
        gathered.add(
            AllergyRecorded(
                substance=substance,
                clinical_status=status,
                verification=verification,
                kind=kind,
                categories=categories,
                criticality=attribute(criticality, "code"),
                onset=onset,
                recorded=gathered.written_at(observation),
                reactions=_reactions(observation, gathered, taken),
            ),
            observation,
            onset,
        )
        gathered.leave_rest(observation, set() if described else {"value"}, taken)


def _says_unknown(concept: Concept) -> bool:
    return known_absence.says_unknown(concept.codings)


def _reactions(
    observation: Element, gathered: Gathered, taken: list[Element]
) -> tuple[Reaction, ...]:
    found = []
    for link in children(observation, "entryRelationship"):
        reaction = child(link, "observation")
        if link.get("typeCode") != "MFST" or reaction is None:
            continue
        said = gathered.coded(reaction, "value")
        if said is None or not gathered.is_fact(reaction):
            continue
        inner: list[Element] = []
        severity = attribute(gathered.related(reaction, "SEV", inner), "code")
        taken.append(link)
        found.append(
            Reaction(
                manifestations=(said,),
                severity=_SEVERITIES.get(severity or ""),
                onset=period_of(reaction).start,
            )
        )
        gathered.leave_rest(reaction, {"value"}, inner)
    return tuple(found)


def _medications(section: Element, gathered: Gathered) -> None:
    for statement in _facts(section, gathered, ("substanceAdministration",), planned=True):
        concept = product_of(statement, gathered)
        stated = concept_of(child(statement, "code"), gathered.narrative)
        if stated is not None and (absence_of(stated) or _says_unknown(stated)):
            concept = stated
        if concept is None:
            concept = gathered.free(statement)
        if concept is None:
            gathered.refuse(statement, "traitement sans nom")
            continue
        if _absence(concept, statement, gathered):
            continue
        period = period_of(statement)
        taken: list[Element] = []
        dose = _dose(child(statement, "doseQuantity"), gathered)
        frequency = _frequency(statement, gathered)
        is_request = statement.get("moodCode") in ("INT", "RQO")
        gathered.add(
            MedicationStarted(
                concept=concept,
                statement="MedicationRequest" if is_request else "MedicationStatement",
                status=_treatment_status(statement, period.end, gathered.issued_at),
                intent="order" if is_request else None,
                start=period.start,
                end=period.end,
                recorded=gathered.written_at(statement),
                dose_text=dose[1],
                dose=dose[0],
                route=concept_of(child(statement, "routeCode"), gathered.narrative),
                frequency=frequency,
                indication=_reason(statement, gathered, taken),
            ),
            statement,
            period.start,
        )
        names = {"consumable", "routeCode"} | ({"doseQuantity"} if any(dose) else set())
        gathered.leave_rest(statement, names, taken)


def _treatment_status(statement: Element, end: str | None, issued_at: str | None) -> str:
    """FHIR's status: French summaries write ``completed`` for every line, taken or not.

    Only an end before the document's own date makes a treatment past; what was broken off or
    paused says so itself.
    """
    stated = attribute(child(statement, "statusCode"), "code")
    if stated == "aborted":
        return "stopped"
    if stated in ("suspended", "held"):
        return "on-hold"
    past = end is not None and issued_at is not None and end[:10] < issued_at[:10]
    return "completed" if past else "active"


def _dose(element: Element | None, gathered: Gathered) -> tuple[Quantity | None, str | None]:
    low, high = child(element, "low"), child(element, "high")
    words_of_it = next(
        (
            said
            for one in (low, element)
            if (said := gathered.narrative.said(child(one, "translation", "originalText")))
        ),
        None,
    )
    if low is None and high is None:
        return quantity_of(element), words_of_it
    least, most = quantity_of(low), quantity_of(high)
    if least == most or most is None or least is None:
        return least or most, words_of_it
    return None, words_of_it or f"{least.value} à {amount(most)}"


def _frequency(statement: Element, gathered: Gathered) -> str | None:
    """How often, in the source's words, else as ``1 x / 12 h``; other timings are listed."""
    frequency: str | None = None
    for element in children(statement, "effectiveTime"):
        kind = (element.get(XSI_TYPE) or "").rpartition(":")[2]
        period = child(element, "period")
        if kind == "PIVL_TS" and period is not None and frequency is None:
            said = gathered.narrative.said(child(period, "translation", "originalText"))
            each = quantity_of(period)
            frequency = said or (f"1 x / {each.value} {each.unit or ''}".strip() if each else None)
        elif kind not in ("", "TS", "IVL_TS"):
            gathered.leave(element)
    return frequency


def _reason(statement: Element, gathered: Gathered, taken: list[Element]) -> str | None:
    for link in children(statement, "entryRelationship"):
        if link.get("typeCode") == "RSON":
            for inner in link:
                said = concept_of(child(inner, "value"), gathered.narrative)
                said = said or concept_of(child(inner, "code"), gathered.narrative)
                if said is not None:
                    taken.append(link)
                    return said.text
    return None


def _procedures(section: Element, gathered: Gathered) -> None:
    statuses = {"aborted": "stopped", "active": "in-progress", "suspended": "on-hold"}
    kinds = ("procedure", "act", "observation")
    for statement in _facts(section, gathered, kinds, negation=True):
        concept = gathered.coded(statement, "code")
        if concept is None:
            gathered.refuse(statement, "acte sans code ni libellé")
            continue
        if _absence(concept, statement, gathered):
            continue
        period = period_of(statement)
        site = concept_of(child(statement, "targetSiteCode"), gathered.narrative)
        stated = attribute(child(statement, "statusCode"), "code") or ""
        negated = statement.get("negationInd") == "true"
        when = period.start or period.end
        both = period.start and period.end and period.start != period.end
        gathered.add(
            ProcedureRecorded(
                concept=concept,
                status="not-done" if negated else statuses.get(stated, "completed"),
                performed=f"{period.start}/{period.end}" if both else when,
                body_site=token_of(site),
            ),
            statement,
            when,
        )
        gathered.leave_rest(statement, {"targetSiteCode"}, [])


def _devices(section: Element, gathered: Gathered) -> None:
    for statement in _statements(section):
        participants = [
            one
            for one in children(statement, "participant")
            if child(one, "participantRole", "playingDevice") is not None
        ]
        role = child(participants[0], "participantRole") if participants else None
        said = concept_of(child(role, "playingDevice", "code"), gathered.narrative)
        concept = said or gathered.coded(statement, "code")
        if not gathered.is_fact(statement):
            continue
        if concept is None:
            gathered.refuse(statement, "dispositif sans code ni libellé")
            continue
        if _absence(concept, statement, gathered):
            continue
        period = period_of(statement)
        issued = gathered.issued_at
        over = period.end is not None and issued is not None and period.end[:10] < issued[:10]
        gathered.add(
            DeviceRecorded(
                concept=concept,
                status="inactive" if over else "active",
                since=period.start,
                until=period.end,
                body_site=token_of(
                    concept_of(child(statement, "targetSiteCode"), gathered.narrative)
                ),
                udi=first_identifier(role),
            ),
            statement,
            period.start,
        )
        gathered.leave_rest(statement, {"targetSiteCode"}, participants[:1])


def _vaccines(section: Element, gathered: Gathered) -> None:
    for statement in _facts(section, gathered, ("substanceAdministration",), negation=True):
        vaccine = product_of(statement, gathered) or gathered.free(statement)
        if vaccine is None:
            gathered.refuse(statement, "vaccin sans nom")
            continue
        negated = statement.get("negationInd") == "true"
        material = child(statement, "consumable", "manufacturedProduct", "manufacturedMaterial")
        taken: list[Element] = []
        number = attribute(gathered.related(statement, DOSE_NUMBER, taken), "value") or ""
        given = period_of(statement).start
        site = concept_of(child(statement, "approachSiteCode"), gathered.narrative)
        gathered.add(
            ImmunizationRecorded(
                vaccine=vaccine,
                status="not-done" if negated else "completed",
                given_on=given[:10] if given else None,
                lot=words(child(material, "lotNumberText")) or None,
                site=token_of(site),
                dose_number=int(number) if number.isascii() and number.isdigit() else None,
                reason=_reason(statement, gathered, taken),
            ),
            statement,
            given,
        )
        gathered.leave_rest(statement, {"consumable", "approachSiteCode"}, taken)


def _measures(category: str) -> Callable[[Element, Gathered], None]:
    def read(section: Element, gathered: Gathered) -> None:
        for statement in _statements(section):
            found = observations_of(statement)
            for observation in found:
                _measure(observation, gathered, category)
            if not found:
                gathered.leave(statement)

    return read


def _measure(observation: Element, gathered: Gathered, category: str) -> None:
    if not gathered.is_fact(observation):
        return
    code = concept_of(child(observation, "code"), gathered.narrative, original_first=False)
    values = children(observation, "value")
    read = measured_of(values[0] if values else None, gathered.narrative)
    if category == "laboratory" and code is not None and alarming_value(observation, gathered):
        return
    if code is None or read.value is None or read.comparator is not None:
        gathered.leave(observation)  # words, bounds and codes have no place in a measure
        return
    stated = attribute(child(observation, "statusCode"), "code")
    interpretation = concept_of(child(observation, "interpretationCode"), gathered.narrative)
    method = concept_of(child(observation, "methodCode"), gathered.narrative)
    at = period_of(observation).start
    gathered.add(
        ObservationRecorded(
            code=code,
            value=read.value,
            status="preliminary" if stated == "active" else "final",
            category=category,
            method=method.text if method else None,
            interpretation=token_of(interpretation),
        ),
        observation,
        at,
    )
    gathered.leave_rest(observation, {"interpretationCode", "methodCode"}, values[:1])


_READERS: Final[Mapping[str, Callable[[Element, Gathered], None]]] = {
    "11450-4": _problems,
    "11348-0": _problems,
    "47519-4": _procedures,
    "48765-2": _allergies,
    "44939-7": observed("adverse-reactions"),
    "10160-0": _medications,
    "46264-8": _devices,
    "44944-7": vigilance,
    "47420-5": observed("functional-status"),
    "8716-3": _measures("vital-signs"),
    "29762-2": observed("lifestyle"),
    "10161-8": observed("occupation"),
    "10157-6": family_history,
    "11369-6": _vaccines,
    "30954-2": _measures("laboratory"),
}
"""Sections (LOINC) whose statements have events, in the order of the IPS-FR."""

_FREE: Final = frozenset({"44944-7", "44939-7", "47420-5", "29762-2", "10161-8", "10157-6"})
"""Sections that may be told in words alone."""
