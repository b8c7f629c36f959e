"""The other slots of a summary on their way in: vaccines, acts, devices, family."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from releve.domain.aggregates.patient.history import (
    DeviceRecorded,
    HistoryRecorded,
    ImmunizationRecorded,
    ProcedureRecorded,
)
from releve.domain.values import Concept
from releve.fhir import codes, moments
from releve.fhir.bundle import BundleIndex
from releve.fhir.exact_json import JsonObject
from releve.fhir.resource_reading import (
    UNNAMED,
    Reading,
    author_of,
    first_moment,
    forms,
    named,
    take_absence,
    token,
    unread,
)

_GIVEN: Final[Mapping[str, Literal["completed", "not-done", "entered-in-error"]]] = {
    "completed": "completed",
    "not-done": "not-done",
    "entered-in-error": "entered-in-error",
}


def read_immunization(index: BundleIndex, content: JsonObject, reading: Reading) -> None:
    """A vaccination given, or not done and why."""
    status = _GIVEN.get(content.get("status", ""))
    vaccine = named(content.get("vaccineCode"), reading)
    given = content.get("occurrenceDateTime") or content.get("occurrenceString")
    given = None if given == codes.UNDATED else given
    reading.author = author_of(index, content, reading.entry, "performer")
    reading.occurred_at = first_moment(given, content.get("recorded"))
    if take_absence(vaccine, content.get("recorded"), None, content.get("status"), reading):
        return
    if status is None:
        reading.warn(f"{reading.entry.path}.status", "statut que FHIR R4 n'a pas", "required-code")
        unread(index, content, reading)
        return
    reason, kept = content.get("statusReason"), {"statusReason"}
    if reason is None and (reasons := content.get("reasonCode")):
        reading.leave_rest("reasonCode", at=content)
        reason, kept = reasons[0], {"reasonCode"}
    reading.payload = ImmunizationRecorded(
        vaccine=vaccine,
        status=status,
        given_on=given,
        lot=content.get("lotNumber"),
        site=token(content, "site", reading),
        dose_number=_dose_number(content, reading),
        reason=codes.concept_of(reason).text or None,
    )
    taken = {"status", "vaccineCode", "occurrenceDateTime", "occurrenceString", "lotNumber", "site"}
    reading.leave(content, taken | kept | {"recorded", "protocolApplied", "primarySource"})


def _dose_number(content: JsonObject, reading: Reading) -> int | None:
    found: int | None = None
    for number, one in enumerate(content.get("protocolApplied", ())):
        taken = set()
        if number == 0 and isinstance(one.get("doseNumberPositiveInt"), int):
            found, taken = one["doseNumberPositiveInt"], {"doseNumberPositiveInt"}
        where = f"{reading.entry.path}.protocolApplied[{number}]"
        reading.leave(one, taken, of="ImmunizationProtocolApplied", path=where)
    return found


def read_procedure(index: BundleIndex, content: JsonObject, reading: Reading) -> None:
    """Surgery or another act, with the status of its source."""
    concept = named(content.get("code"), reading)
    performed = moments.text_of(content, "performed")
    reading.author = author_of(index, content, reading.entry, "asserter", "recorder")
    reading.occurred_at = first_moment(performed)
    if take_absence(concept, performed, None, content.get("status"), reading):
        return
    reading.payload = ProcedureRecorded(
        concept=concept,
        status=content.get("status", "unknown"),
        performed=performed,
        body_site=token(content, "bodySite", reading),
        outcome=codes.concept_of(content.get("outcome")).text or None,
    )
    taken = {"status", "code", "bodySite", "outcome"} | forms(content, "performed")
    reading.leave(content, taken)


def read_device_use(index: BundleIndex, content: JsonObject, reading: Reading) -> None:
    """A device that the patient carries or uses, with the Device that it refers to."""
    entry = reading.entry
    literal = content.get("device", {}).get("reference", "")
    target = index.resolve(literal, entry) if literal else None
    inside = index.contained(literal, entry) if literal.startswith("#") else None
    device = target.resource if target is not None else inside
    display = content.get("device", {}).get("display")
    if target is not None:
        reading.taken_over.append(target)
    concept, udi = Concept(text=display or UNNAMED), None
    if device is not None:
        path = target.path if target is not None else f"{entry.path}.device"
        concept, udi = _device(device, path, display, reading)
    elif not display:
        reading.warn(f"{entry.path}.device", "le dispositif n'est pas dans le fichier", "reference")
    timing = moments.text_of(content, "timing")
    since, _, until = (timing or "").partition("/")
    reading.author = author_of(index, content, entry, "source")
    reading.occurred_at = first_moment(timing, content.get("recordedOn"))
    if take_absence(concept, content.get("recordedOn"), None, content.get("status"), reading):
        return
    taken = {"status", "bodySite", "recordedOn"}
    taken |= {"timingDateTime", "timingPeriod"} if timing else set()
    reading.payload = DeviceRecorded(
        concept=concept,
        status=content.get("status", "unknown"),
        since=since if since not in ("", "..") else None,
        until=until if until not in ("", "..") else None,
        body_site=token(content, "bodySite", reading),
        udi=udi,
    )
    reading.leave(content, taken)


def read_device(index: BundleIndex, content: JsonObject, reading: Reading) -> None:
    """A Device that nothing says the use of: the patient's own, where it names one."""
    concept, udi = _device(content, reading.entry.path, None, reading)
    reading.payload = DeviceRecorded(
        concept=concept, status=content.get("status", "unknown"), udi=udi
    )
    reading.author = author_of(index, content, reading.entry, "owner")


def _device(
    content: JsonObject, path: str, display: str | None, reading: Reading
) -> tuple[Concept, str | None]:
    taken = {"type", "status"}
    names = content.get("deviceName", ())
    fallback = next((one["name"] for one in names if one.get("name")), display or UNNAMED)
    concept = codes.concept_of(content.get("type"), fallback=fallback)
    if concept.text == fallback and names:
        taken.add("deviceName")
    udi: str | None = None
    for number, one in enumerate(content.get("udiCarrier", ())):
        kept = set()
        if number == 0:
            key = "carrierHRF" if one.get("carrierHRF") else "deviceIdentifier"
            udi, kept = one.get(key), {key}
        where = f"{path}.udiCarrier[{number}]"
        reading.leave(one, kept, of="DeviceUdiCarrier", path=where)
    reading.leave(content, taken | {"udiCarrier"}, of="Device", path=path)
    return concept, udi


def read_family_member(index: BundleIndex, content: JsonObject, reading: Reading) -> None:
    """What a relative has or had: one line a condition."""
    conditions = content.get("condition", ())
    if not conditions or content.get("status") == "entered-in-error":
        unread(index, content, reading)
        return
    reading.occurred_at = first_moment(content.get("date"))
    relationship = token(content, "relationship", reading)
    for number, one in enumerate(conditions):
        where = f"{reading.entry.path}.condition[{number}]"
        line = HistoryRecorded(
            slot="family-history",
            concept=codes.concept_of(one.get("code"), fallback=UNNAMED),
            relationship=relationship,
            since=moments.text_of(one, "onset"),
            status=content.get("status"),
        )
        if reading.payload is None:
            reading.payload = line
        else:
            reading.further.append((where, line))
        kept = {"code"} | forms(one, "onset")
        reading.leave(one, kept, of="FamilyMemberHistoryCondition", path=where)
    reading.leave(content, {"status", "relationship", "date", "condition"})
