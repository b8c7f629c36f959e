"""HPRIM texts of laboratories and colleagues: twelve lines of header, a letter, coded results.

The format (H.PR.I.M. Médecins 3.0, 1997) gives, one a line: file number, name, first name, two
lines of address, postcode and town, birth date, insured person's number, report number, date,
sender, addressee. ``****LAB****`` opens lines of fields apart by ``|``: ``TEX`` is the letter
again, ``RES`` one analysis. The number on line 8 is that of whoever is insured, who may be a
parent: it names no patient.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from releve.domain.aggregates.patient.results import ResultReceived
from releve.domain.commands import ImportedEntry
from releve.domain.values import (
    Coding,
    Concept,
    IdentityTraits,
    Quantity,
    ResultLine,
    ResultStatus,
    Unmapped,
)
from releve.fhir.cda_values import decimal_text
from releve.fhir.document_content import ReadDocument, glance, readable_text
from releve.fhir.french_dates import day_of
from releve.fhir.french_units import ucum_of

MAX_LINES: Final = 5_000
"""Coded lines that are read of one document."""

HEADER: Final = 12
"""Lines before the letter."""
_HEADER_LENGTH: Final = 4_000
"""Characters that the header may take; a line has some fifty."""
_LAB: Final = re.compile(r"\s*\*{3,4}\s*LAB\s*\*{3,4}\s*", re.IGNORECASE)
END: Final = re.compile(r"\s*\*{3,4}\s*FIN(?:FICHIER)?\s*\*{3,4}\s*", re.IGNORECASE)
_BOUND: Final = re.compile(
    r"(<=|>=|≤|≥|<|>|inf(?:\.|érieur)? à|sup(?:\.|érieur)? à)\s*(\S.*)", re.I
)

Bound = Literal["<", "<=", ">", ">="]
_BOUNDS: Final[dict[str, Bound]] = {
    "<": "<",
    "<=": "<=",
    "≤": "<=",
    ">": ">",
    ">=": ">=",
    "≥": ">=",
}
_JUDGED: Final = frozenset({"N", "H", "L", "HH", "LL", "A", "AA", "R", "S", "I", "POS", "NEG"})
_LINE_STATUS: Final = {
    "F": "final",
    "C": "corrected",
    "P": "preliminary",
    "R": "preliminary",
    "I": "preliminary",
    "S": "preliminary",
    "X": "cancelled",
}
"""HL7 v2 table 0085, which HPRIM took over, as FHIR observation statuses."""


class _Report(NamedTuple):
    first: int
    """Number of its first line in the file, from 1."""
    header: tuple[str, ...]
    letter: tuple[str, ...]
    coded: tuple[tuple[int, str], ...]


def is_hprim(text: str) -> bool:
    """True for a text with HPRIM's header: both dates in their places, or its marks.

    A first name may be missing; results under their mark are HPRIM whatever the dates are.
    """
    if text.startswith("H|"):
        return True
    lines = text[:_HEADER_LENGTH].splitlines()[:HEADER]
    if len(lines) < HEADER or not (lines[1].strip() or lines[2].strip()):
        return False
    dated = [day_of(lines[6].strip()), day_of(lines[9].strip()[:15].strip())]
    if all(dated):
        return True
    marks = text.upper()
    if any(dated) and ("***LAB*" in marks or "***FIN" in marks):
        return True
    return "***LAB*" in marks and "\nRES|" in marks.replace("\r", "\n")


def read_hprim(text: str, warnings: tuple[str, ...] = ()) -> ReadDocument:
    """What an HPRIM text says; several reports are taken when they are one patient's."""
    if text.startswith("H|"):
        why = "Message HPRIM Santé (segments H, P, OBR) : il est gardé sans être lu."
        return _document(text, None, (*warnings, why))
    reports = _reports(text)
    told = list(warnings)
    identities = {who(report.header) for report in reports}
    if len(identities) != 1:
        told.append("Le fichier parle de plusieurs patients : un document par patient.")
        return _document(text, None, tuple(told))
    first = reports[0]
    if _identity(first) is None:
        told.append("En-tête HPRIM sans patient ni date lisibles : aucune ligne n'est reprise.")
        return _document(text, None, tuple(told))
    sender = _sender(first)
    unmapped: list[Unmapped] = []
    entries = [
        entry for report in reports if (entry := _entry(report, sender, unmapped, told)) is not None
    ]
    for place, kind in ((4, "adresse"), (5, "adresse"), (6, "adresse"), (8, "numéro d'assuré")):
        if first.header[place - 1].strip():
            unmapped.append(Unmapped(path=f"ligne {first.first + place - 1}", type=kind))
    return _document(text, first, tuple(told), tuple(entries), tuple(unmapped))


def _document(
    text: str,
    report: _Report | None,
    warnings: tuple[str, ...],
    entries: tuple[ImportedEntry, ...] = (),
    unmapped: tuple[Unmapped, ...] = (),
) -> ReadDocument:
    count = sum(len(e.payload.lines) for e in entries if isinstance(e.payload, ResultReceived))
    title = "Résultats d'examens (HPRIM)" if entries else "Courrier (HPRIM)"
    told = f"{count} ligne{'s' if count > 1 else ''}" if count else "sans ligne codée"
    return ReadDocument(
        format="hprim",
        media_type="text/plain",
        title=title,
        one_liner=glance(f"{title} : {told}"),
        issued_at=_issued(report) if report else None,
        identity=_identity(report) if report else None,
        system=(_sender(report) or None) if report else None,
        author=(_sender(report) or None) if report else None,
        source_id=_source_id(report) if report else None,
        entries=entries,
        unmapped=unmapped,
        warnings=warnings,
        text=readable_text("\n".join(report.letter) if report else text),
    )


def _reports(text: str) -> list[_Report]:
    """Each header with its letter and coded lines, as the marks of end tell them apart."""
    found: list[_Report] = []
    lines = text.splitlines()
    start = 0
    for number, line in enumerate([*lines, "****FIN****"]):
        if not END.fullmatch(line):
            continue
        part = lines[start:number]
        if any(one.strip() for one in part) and len(part) >= HEADER:
            found.append(_report(part, start + 1))
        start = number + 1
    return found or [_report([*lines, *[""] * HEADER], 1)]


def _report(lines: list[str], first: int) -> _Report:
    lab = next((n for n, line in enumerate(lines) if _LAB.fullmatch(line)), len(lines))
    coded = tuple((first + n, line) for n, line in enumerate(lines) if n > lab and line.strip())
    return _Report(first, tuple(lines[:HEADER]), tuple(lines[HEADER:lab]), coded)


def who(header: Sequence[str]) -> tuple[str, str, str | None]:
    """What tells one patient's reports from another's: name, first name, birth date."""
    name, first = (header[place].strip().casefold() for place in (1, 2))
    return name, first, day_of(header[6].strip())


def _identity(report: _Report) -> IdentityTraits | None:
    """Names as they are used: HPRIM does not say whether a name is that of birth.

    Without a date in either of its places the lines have slipped: what stands where a name or the
    sender should may be a result, which nobody at the desk is to read.
    """
    name, first = report.header[1].strip(), report.header[2].strip()
    born = day_of(report.header[6].strip())
    if not (name or born) or not (born or _issued(report)):
        return None
    return IdentityTraits(used_name=name or None, used_first_name=first or None, birth_date=born)


def _issued(report: _Report) -> str | None:
    return day_of(report.header[9].strip()[:15].strip())


def _sender(report: _Report) -> str:
    """The sender as written, after the short code that precedes its name."""
    code, _, name = report.header[10].strip().partition(" ")
    return name.strip() or code


def _source_id(report: _Report) -> str | None:
    number = report.header[8].strip()
    return f"{_sender(report)}|{number}" if number else None


def _entry(
    report: _Report, sender: str, unmapped: list[Unmapped], warnings: list[str]
) -> ImportedEntry | None:
    lines: list[ResultLine] = []
    remarks: list[str] = []
    letter = _bare(" ".join(report.letter))
    for number, written in report.coded[:MAX_LINES]:
        kind, *fields = written.split("|")
        if kind.strip().upper() == "RES":
            read = _lines(fields)
            lines += read
            if not read:
                unmapped.append(Unmapped(path=f"ligne {number}", type="RES"))
        elif kind.strip().upper() == "TEX":
            # The letter again, mostly; what it does not say ("hémolysé") is told with the values.
            remark = " ".join(" ".join(fields).split())
            if (said := _bare(remark)) and said not in letter:
                about = f"{lines[-1].code.text} : " if lines else ""
                remarks.append(f"{about}{remark}")
        else:
            unmapped.append(Unmapped(path=f"ligne {number}", type=kind.strip()[:20] or "vide"))
    if len(report.coded) > MAX_LINES:
        warnings.append(f"Seules les {MAX_LINES} premières lignes codées sont lues.")
    if not lines:
        return None
    at = _issued(report)
    return ImportedEntry(
        payload=ResultReceived(
            status=_status(lines),
            title="Résultats d'examens",
            lines=tuple(lines),
            conclusion="\n".join(remarks),
            report=_source_id(report),
            laboratory=sender,
        ),
        occurred_at=at,
        source_id=_source_id(report),
        author=sender or None,
    )


def _bare(text: str) -> str:
    """Its letters and digits alone, to be looked for whatever the layout."""
    return "".join(sign for sign in text.casefold() if sign.isalnum())


def _status(lines: list[ResultLine]) -> ResultStatus:
    stated = {line.status for line in lines}
    if "preliminary" in stated:
        return "partial"
    return "corrected" if "corrected" in stated else "final"


def _lines(fields: list[str]) -> list[ResultLine]:
    """One analysis: its value, and once more in the second unit where it has one."""
    padded = [one.strip() for one in [*fields, *[""] * 13]]
    label, code, _, value, unit, low, high, judged, status = padded[:9]
    if not label or not value:
        return []
    concept = Concept(
        text=label[:400], codings=(Coding(code=code[:100], display=label[:400]),) if code else ()
    )
    stated = _LINE_STATUS.get(status.upper(), "final")
    verdict = judged.upper() if judged.upper() in _JUDGED else None
    made = [_line(concept, value, unit, low, high, verdict, stated)]
    second, second_unit, second_low, second_high = padded[9:13]
    if second and second_unit:
        made.append(_line(concept, second, second_unit, second_low, second_high, verdict, stated))
    return made


def _line(
    concept: Concept, value: str, unit: str, low: str, high: str, verdict: str | None, status: str
) -> ResultLine:
    comparator: Bound | None = None
    written = value
    if bound := _BOUND.fullmatch(value):
        sign = bound[1].lower()
        comparator = _BOUNDS.get(sign) or ("<" if sign.startswith("inf") else ">")
        written = bound[2]
    number = decimal_text(written)
    return ResultLine(
        code=concept,
        value=_quantity(number, unit) if number is not None else None,
        comparator=comparator if number is not None else None,
        text=None if number is not None else " ".join(part for part in (value, unit) if part),
        interpretation=verdict,
        reference_range=_range(low, high, unit),
        status=status,
    )


def _quantity(number: str, unit: str) -> Quantity:
    return Quantity(value=number, unit=unit or None, code=ucum_of(unit) if unit else None)


def _range(low: str, high: str, unit: str) -> str | None:
    if low and high:
        said = f"{low} à {high}"
    elif low or high:
        said = f"> {low}" if low else f"< {high}"
    else:
        return None
    return f"{said} {unit}".strip()
