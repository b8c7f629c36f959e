"""Files into the inbox and the agenda, each told as one report; nothing is dropped silently."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

from releve.api.agenda import proposed
from releve.api.inbox import receive, receive_phoned
from releve.api.services import Services
from releve.domain.codes import Loinc
from releve.domain.commands import NoticeAppointment
from releve.domain.errors import Invalid, Refused
from releve.domain.events import Author, Source
from releve.domain.requests import CommandContext
from releve.domain.values import (
    Coding,
    Concept,
    ExactDecimal,
    IdentityTraits,
    PartialDate,
    Quantity,
    ResultLine,
    UcumUnit,
    instant,
    time_zone,
)
from releve.fhir.day_list import read_day_list
from releve.fhir.document_content import MAX_BYTES

OPERATOR: Final = Author(role="system", name="Ligne de commande")


@dataclass(slots=True)
class Arrived:
    """What an import did, file by file; ``documents`` are those of the inbox."""

    files: int = 0
    documents: list[UUID] = field(default_factory=list)
    patients: list[UUID] = field(default_factory=list)
    events: int = 0
    duplicates: list[str] = field(default_factory=list)
    unmapped: list[dict[str, str]] = field(default_factory=list)
    warnings: list[dict[str, str]] = field(default_factory=list)
    rejected: list[dict[str, str]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """The report as the command line prints it."""
        return {
            "files": self.files,
            "documents": [str(one) for one in self.documents],
            "patients": [str(one) for one in self.patients],
            "events": self.events,
            "duplicates": self.duplicates,
            "unmapped": self.unmapped,
            "warnings": self.warnings,
            "rejected": self.rejected,
        }

    def refuse(self, file: str, path: str, reason: str) -> None:
        """List a file, or a part of one, that was not taken."""
        self.rejected.append({"file": file, "path": path, "reason": reason})


def deposit(services: Services, files: Sequence[Path], centre: UUID, media_type: str) -> Arrived:
    """Put each file into a centre's inbox, where a person matches it; one refused does not stop."""
    report = Arrived()
    for path, raw in _read(files, report):
        file = str(path)
        try:
            kept = receive(
                services, raw, centre=centre, door="upload", author=OPERATOR,
                media_type=media_type, name_hint=path.name,
            )  # fmt: skip
        except (Invalid, Refused) as refused:
            report.refuse(file, "", refused.why or refused.what)
            continue
        for one in (kept, *kept.others):
            report.documents.append(one.document)
            if one.known:
                report.duplicates.append(file)
                continue
            report.events += len(one.outcome.events) if one.outcome else 0
            report.unmapped += [
                {"file": file, "path": each.path, "type": each.type} for each in one.read.unmapped
            ]
            report.warnings += [
                {"file": file, "path": "", "reason": each} for each in one.read.warnings
            ]
    services.settled()
    return report


PHONE_LOG: Final = (
    "nom", "prenom", "naissance", "loinc", "examen", "valeur", "unite", "appelant", "heure", "relu",
)  # fmt: skip
"""Columns of a phone log; ``naissance`` is AAAA-MM-JJ, ``heure`` RFC 3339, ``unite`` UCUM."""


def phone_log(services: Services, files: Sequence[Path], centre: UUID) -> Arrived:
    """Keep each line of a CSV of phoned results as a document that waits to be matched."""
    report = Arrived()
    before = set(services.inbox.matched()) | {each.document for each in
                                              services.inbox.lines(centre)}  # fmt: skip
    for path, raw in _read(files, report):
        file = str(path)
        try:
            rows = _rows(raw)
        except (UnicodeDecodeError, csv.Error):
            report.refuse(file, "", "Le fichier n'est pas un CSV en UTF-8.")
            continue
        missing = [name for name in PHONE_LOG if rows and name not in rows[0]]
        if missing or not rows:
            report.refuse(file, "ligne 1", f"Colonnes attendues : {', '.join(PHONE_LOG)}.")
            continue
        for number, row in enumerate(rows, 2):
            place = f"ligne {number}"
            try:
                document = _phoned(services, centre, row)
            except (Invalid, Refused) as refused:
                report.refuse(file, place, refused.why or refused.what)
                continue
            report.documents.append(document)
            if document in before:
                report.duplicates.append(f"{file} {place}")
            else:
                before.add(document)
                report.events += 1
    services.settled()
    return report


def _phoned(services: Services, centre: UUID, row: dict[str, str]) -> UUID:
    code = str(Loinc(row["loinc"], field="loinc"))
    unit = str(UcumUnit(row["unite"], field="unite"))
    value = str(ExactDecimal(row["valeur"], field="valeur"))
    if row["heure"]:
        instant(row["heure"], field="heure")
    if row["naissance"]:
        PartialDate(row["naissance"], field="naissance")
    coding = Coding(system="http://loinc.org", code=code)
    return receive_phoned(
        services,
        centre=centre,
        author=OPERATOR,
        identity=IdentityTraits(
            birth_name=row["nom"] or None,
            first_names=(row["prenom"],) if row["prenom"] else (),
            birth_date=row["naissance"] or None,
        ),
        line=ResultLine(
            code=Concept(text=row["examen"] or f"LOINC {code}", codings=(coding,)),
            value=Quantity(value=value, unit=unit, code=unit),
        ),
        caller=row["appelant"],
        read_back=row["relu"].casefold() in ("oui", "1", "true", "x"),
        occurred_at=row["heure"] or services.clock().isoformat(timespec="minutes"),
    )


def _rows(raw: bytes) -> list[dict[str, str]]:
    """The lines of a CSV with a header, comma or semicolon, every cell trimmed."""
    text = raw.decode("utf-8-sig")
    first = text.partition("\n")[0]
    reader = csv.DictReader(io.StringIO(text), delimiter=";" if ";" in first else ",", strict=True)
    return [
        {(name or "").strip().casefold(): (value or "").strip() for name, value in row.items()
         if isinstance(value, str | None)}
        for row in reader
    ]  # fmt: skip


def day_list(services: Services, files: Sequence[Path], centre: UUID, *, confirm: bool) -> Arrived:
    """Read agendas; with ``confirm`` write each appointment whose record is certain.

    A line without one certain record is listed under ``rejected``; without ``confirm`` nothing is
    written, and ``patients`` are the records that would be.
    """
    report = Arrived()
    zone = services.directory.load().centres[centre].zone
    for path, raw in _read(files, report):
        file = str(path)
        try:
            today = services.clock().astimezone(time_zone(zone)).date()
            read = read_day_list(raw, zone=zone, day=today.isoformat())
        except Invalid as refused:
            report.refuse(file, "", refused.why or refused.what)
            continue
        for problem in read.problems:
            report.refuse(file, f"ligne {problem.line}", problem.why)
        for row in proposed(services, centre, read.lines):
            place = f"ligne {row.line.raw_line_number}"
            if row.patient is None:
                report.refuse(file, place, row.why)
                continue
            report.patients.append(row.patient)
            if not confirm:
                continue
            try:
                report.events += _noticed(services, centre, row.patient, row.command)
            except (Invalid, Refused) as refused:
                report.refuse(file, place, refused.why or refused.what)
    services.settled()
    return report


def _noticed(services: Services, centre: UUID, patient: UUID, command: NoticeAppointment) -> int:
    """Events written: none where the record says the same already."""
    actor = b"day-list"
    context = CommandContext(
        author=OPERATOR,
        now=services.clock.for_write(),
        key=services.blind_index.request_key(actor, uuid4().bytes),
        actor=actor,
        centre=centre,
        source=Source(channel="system"),
    )
    return len(services.continuity.execute(command, context, target=patient).events)


def _read(files: Iterable[Path], report: Arrived) -> Iterable[tuple[Path, bytes]]:
    for path in files:
        report.files += 1
        try:
            with path.open("rb") as opened:
                yield path, opened.read(MAX_BYTES + 1)
        except OSError:
            report.refuse(str(path), "", "fichier illisible ou absent")
