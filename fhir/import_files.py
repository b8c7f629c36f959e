"""Importing FHIR files: each plan carried out as one command a patient, and told as one report.

Same exact identifier, same patient: identifiers are compared as blind-index values, never in the
clear. The same file again makes no event. What a file says of a record that exists already is
taken in; identity traits that differ are told, never changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import msgspec
from psycopg import Connection
from psycopg_pool import ConnectionPool

from releve.domain.aggregates.patient import Patient
from releve.domain.aggregates.patient.documents import holds_document
from releve.domain.aggregates.patient.identity import identity_of
from releve.domain.commands import ImportRecord, RegisterPatient
from releve.domain.continuity import Claimed, Continuity, Outcome
from releve.domain.errors import Invalid, NotFound, Refused, Reused
from releve.domain.events import Author, Source
from releve.domain.requests import CommandContext
from releve.domain.values import Identifier, Unmapped
from releve.fhir import exact_json
from releve.fhir.codes import ANY_URI
from releve.fhir.exact_json import JsonObject
from releve.fhir.held_identifiers import HeldIdentifiers, identifier_value
from releve.fhir.import_bundle import PatientPlan, plan
from releve.fhir.r4b import Issue
from releve.security.keys.keyfile import BlindIndex

_IMPORT: Final = Author(role="ehr", name="Import FHIR")
_FIELDS: Final = {
    "birth_date": "birthDate",
    "birth_name": "name",
    "first_names": "name",
    "used_name": "name",
    "used_first_name": "name",
    "identifiers": "identifier",
}


@dataclass(frozen=True, slots=True)
class Importer:
    """What importing needs of the rest of the product."""

    continuity: Continuity
    pool: ConnectionPool[Connection[Any]]
    """Connections that may read the claims."""
    blind_index: BlindIndex
    centre: UUID
    """The centre that takes the records in; new patients are sealed under its key."""
    now: Callable[[], datetime]
    author: Author = _IMPORT
    actor: bytes = b"import-fhir"
    matched: Callable[[str], UUID | None] | None = None
    """The record with which a person matched a document of these bytes (hex SHA-256)."""
    namesakes: Callable[[RegisterPatient, UUID], int] | None = None
    """How many records of the centre beside one bear the same name and birth date."""

    @property
    def identifiers(self) -> HeldIdentifiers:
        """Who holds an identifier."""
        return HeldIdentifiers(self.continuity, self.pool, self.blind_index)

    def ours(self, identifiers: Iterable[Identifier]) -> UUID | None:
        """The record that one of these identifiers names by the id we gave it when it left."""
        for one in identifiers:
            if one.system != ANY_URI or not one.value.startswith("urn:uuid:"):
                continue
            try:
                return self.continuity.patient(UUID(one.value.removeprefix("urn:uuid:"))).id
            except (ValueError, NotFound):
                continue
        return None


@dataclass(slots=True)
class ImportReport:
    """What an import did, file by file; ``patients`` are the records that the files speak of."""

    files: int = 0
    bundles: int = 0
    patients: list[UUID] = field(default_factory=list)
    events: int = 0
    duplicates: list[str] = field(default_factory=list)
    unmapped: list[JsonObject] = field(default_factory=list)
    warnings: list[JsonObject] = field(default_factory=list)
    rejected: list[JsonObject] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """1 when anything was refused, else 0."""
        return 1 if self.rejected else 0

    def as_json(self) -> JsonObject:
        """The report as the command line prints it."""
        return {
            "files": self.files,
            "bundles": self.bundles,
            "patients": [str(one) for one in self.patients],
            "events": self.events,
            "duplicates": self.duplicates,
            "unmapped": self.unmapped,
            "warnings": self.warnings,
            "rejected": self.rejected,
        }


def import_files(
    paths: Iterable[Path | str], importer: Importer, *, keep_going: bool = False
) -> ImportReport:
    """Import each file in turn; one that is refused does not stop the others.

    One bad part refuses its whole file. With ``keep_going`` its good parts are taken and the bad
    ones listed. Raises only for what is not the files' fault: database, keys, disk.
    """
    report = ImportReport()
    for path in paths:
        report.files += 1
        _import_file(str(path), importer, report, keep_going)
    return report


def _import_file(file: str, importer: Importer, report: ImportReport, keep_going: bool) -> None:
    try:
        raw = _read(Path(file))
    except OSError:
        report.rejected.append(_told(file, Issue("Bundle", "fichier illisible ou absent")))
        return
    planned = plan(raw, keep_going=keep_going)
    report.bundles += planned.is_bundle
    report.rejected += [_told(file, one) for one in planned.rejected]
    alone = len(planned.patients) == 1
    for patient in planned.patients:
        try:
            taken = _take(patient, raw, importer, alone)
        except (Invalid, Refused, Reused) as refused:
            report.rejected.append(_told(file, _refusal(patient, refused)))
            return
        report.warnings += [_told(file, one) for one in (*planned.warnings, *taken.warnings)]
        report.unmapped += [
            {"file": file, "path": one.path, "type": one.type}
            for one in (*planned.unmapped, *taken.unmapped)
        ]
        if taken.stream not in report.patients:
            report.patients.append(taken.stream)
        report.events += taken.events
        if taken.duplicate:
            report.duplicates.append(file)


@dataclass(frozen=True, slots=True)
class _Taken:
    stream: UUID
    events: int
    duplicate: bool
    unmapped: tuple[Unmapped, ...] = ()
    warnings: tuple[Issue, ...] = ()


class _SeveralRecords(Refused):
    code = "several-records"
    what = "Les identifiants de ce patient désignent plusieurs dossiers."
    why = "Un identifiant désigne un seul patient."
    do = "Faire vérifier l'identité, puis importer de nouveau."


def _take(planned: PatientPlan, raw: bytes, importer: Importer, alone: bool) -> _Taken:
    """Carry out the plan of one patient: on the record that holds an identifier, else a new one.

    A file of that patient ``alone`` goes where a person said that it belongs, if one did.
    """
    try:
        return _execute(planned, raw, importer, alone)
    except Claimed:  # somebody opened the record in between: it is held now
        return _execute(planned, raw, importer, alone)


def _execute(planned: PatientPlan, raw: bytes, importer: Importer, alone: bool) -> _Taken:
    held = importer.identifiers.holders(planned.identifiers)
    ours = importer.ours(planned.identifiers)
    named = {*held.values(), *([ours] if ours else [])}
    if len(named) > 1:
        raise _SeveralRecords(field="identifiers")
    document = planned.document
    target = next(iter(named), None)
    if target is None and alone and importer.matched is not None:
        target = importer.matched(document.sha256)
    unmapped: tuple[Unmapped, ...] = ()
    warnings: tuple[Issue, ...] = ()
    if target is not None:
        record = importer.continuity.patient(target)
        if holds_document(record, document.sha256, document.source_id):
            return _Taken(target, 0, True)
        unmapped, warnings = _differences(planned, record)
        told = tuple(f"{one.path} : {one.reason}" for one in warnings)
        document = msgspec.structs.replace(
            document,
            unmapped=(*document.unmapped, *unmapped),
            warnings=(*document.warnings, *told),
        )
    command = ImportRecord(
        registration=planned.registration if target is None else None,
        entries=planned.entries,
        document=document,
    )
    context = CommandContext(
        author=importer.author,
        now=importer.now(),
        key=importer.blind_index.import_key(bytes.fromhex(document.sha256), planned.path.encode()),
        actor=importer.actor,
        centre=importer.centre,
        source=Source(channel="fhir", system=planned.system, original_sha256=document.sha256),
    )
    outcome: Outcome = importer.continuity.execute(
        command,
        context,
        target=target,
        claims=importer.identifiers.claims(
            [one for one in planned.identifiers if importer.identifiers.mac(one) not in held],
            target,
            again=False,
        ),
        attachments=[raw],
    )
    written = 0 if outcome.replayed else len(outcome.events)
    if target is None and written:
        warnings = _doubles(planned, outcome.stream, importer)
    return _Taken(outcome.stream, written, not written, unmapped, warnings)


def _doubles(planned: PatientPlan, opened: UUID, importer: Importer) -> tuple[Issue, ...]:
    """What is to be told of a record just opened: others of the centre bear the same identity."""
    count = 0 if importer.namesakes is None else importer.namesakes(planned.registration, opened)
    if not count:
        return ()
    others = (
        "un autre dossier du centre porte"
        if count == 1
        else (f"{count} autres dossiers du centre portent")
    )
    return (
        Issue(
            planned.path,
            f"nouveau dossier, mais {others} les mêmes nom et date de naissance : "
            "vérifier l'identité avant de s'en servir",
            "warning",
            "identity",
        ),
    )


def _differences(
    planned: PatientPlan, record: Patient
) -> tuple[tuple[Unmapped, ...], tuple[Issue, ...]]:
    """What the file says of the identity and the record does not: told, not taken over."""
    known = identity_of(record)
    if known is None:
        return (), ()
    said = planned.registration
    held = {identifier_value(one) for one in known.identifiers}
    unmapped = tuple(
        Unmapped(path=f"{planned.path}.identifier[{number}]", type="Identifier")
        for number, one in enumerate(said.identifiers)
        if identifier_value(one) not in held
    )
    pairs = (
        ("birthDate", "la date de naissance", said.birth_date, known.birth_date),
        ("gender", "le sexe", said.sex, known.sex),
        ("name", "le nom de naissance", _folded(said.birth_name), _folded(known.birth_name)),
    )
    warnings = tuple(
        Issue(
            f"{planned.path}.{element}",
            f"{what} diffère du dossier que désigne l'identifiant : le dossier garde le sien",
            "warning",
            "identity",
        )
        for element, what, new, old in pairs
        if new and old and new != old and new != "unknown"
    )
    return unmapped, warnings


def _folded(name: str | None) -> str:
    return (name or "").strip().casefold()


def _refusal(planned: PatientPlan, refused: Invalid | Refused | Reused) -> Issue:
    """A refusal of the domain, at the place of the file that it speaks of."""
    named, _, rest = (refused.field or "").partition("[")
    element = _FIELDS.get(named)
    path = planned.path if element is None else f"{planned.path}.{element}"
    if named == "entries" and rest[:1].isdigit():
        path = planned.entry_paths[int(rest.partition("]")[0])]
    elif element == "identifier" and rest:
        path += f"[{rest.partition(']')[0]}]"
    return Issue(path, refused.why or refused.what, rule=refused.code)


def _told(file: str, issue: Issue) -> JsonObject:
    return {"file": file, "path": issue.path, "reason": issue.reason}


def _read(path: Path) -> bytes:
    with path.open("rb") as opened:
        # One byte more than may be read is enough to refuse, and all that is ever held.
        return opened.read(exact_json.MAX_BYTES + 1)
