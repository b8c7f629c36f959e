"""The list of a day's appointments, as an agenda exports it or as somebody pastes it.

Takes CSV with French headings, calendars (RFC 5545) and plain lines such as
``09:15 DUPONT Jeanne 02/03/1948``. What is kept of an appointment is when, who and its reference:
the reason of a visit is never read into anything.
"""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, time
from typing import Final, Literal
from zoneinfo import ZoneInfo

import msgspec

from releve.domain.values import IdentityTraits, Sex, time_zone
from releve.fhir.document_content import Unreadable
from releve.fhir.french_dates import day_of, hour_of
from releve.fhir.patient_line import NamedPatient, patient_in
from releve.fhir.plain_document import decoded

MAX_BYTES: Final = 2 * 1024 * 1024
MAX_APPOINTMENTS: Final = 1_000
"""Appointments of one list; a centre has some sixty a day."""

USUAL_MINUTES: Final = 15
_LONGEST: Final = 8 * 60


class DayListLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One appointment as the agenda tells it."""

    starts_at: str
    """RFC 3339 instant in the centre's offset."""
    minutes: int
    identity: IdentityTraits
    raw_line_number: int
    """Line of the list it was read from, from 1."""
    reference: str | None = None
    status: Literal["booked", "cancelled"] = "booked"


class DayListProblem(msgspec.Struct, frozen=True, kw_only=True):
    """A line that was not taken, and why (French); it holds no word of the line."""

    line: int
    why: str


class DayList(msgspec.Struct, frozen=True, kw_only=True):
    """What could be read of a list, and what could not."""

    lines: tuple[DayListLine, ...] = ()
    problems: tuple[DayListProblem, ...] = ()


class _Refused(ValueError):
    """Why a line is not taken."""


def read_day_list(raw: bytes, *, zone: str, day: str | None = None) -> DayList:
    """Every appointment of a list, and every line that could not be read.

    ``zone`` is the centre's (IANA); ``day`` (ISO 8601) is meant where the list gives hours alone.
    Raises :class:`Unreadable` over 2 MiB, and ``Invalid`` for an unknown zone.
    """
    if len(raw) > MAX_BYTES:
        raise Unreadable("La liste dépasse 2 Mio.")
    there = time_zone(zone)
    text, _ = decoded(raw)
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if text.lstrip().upper().startswith("BEGIN:VCALENDAR"):
        found = _calendar(text, there)
    elif (table := _table(text)) is not None:
        found = _rows(*table, there, day)
    else:
        found = _pasted(text, there, day)
    lines: list[DayListLine] = []
    problems: list[DayListProblem] = []
    for one in found:
        if len(lines) + len(problems) >= MAX_APPOINTMENTS:
            why = f"Au plus {MAX_APPOINTMENTS} rendez-vous par liste : la suite n'est pas lue."
            problems.append(DayListProblem(line=_line_of(one), why=why))
            break
        if isinstance(one, DayListLine):
            lines.append(one)
        else:
            problems.append(one)
    return DayList(lines=tuple(lines), problems=tuple(problems))


Found = DayListLine | DayListProblem


def _line_of(found: Found) -> int:
    return found.raw_line_number if isinstance(found, DayListLine) else found.line


def _at(day: str | None, hour: time | None, there: ZoneInfo) -> str:
    if day is None:
        raise _Refused("Le jour n'est pas indiqué.")
    if hour is None:
        raise _Refused("L'heure manque ou ne se lit pas.")
    return _instant(datetime.combine(date.fromisoformat(day), hour, there))


def _instant(moment: datetime) -> str:
    try:
        there = moment.astimezone(UTC).astimezone(moment.tzinfo)
    except OverflowError:
        raise _Refused("Cette date n'est pas possible.") from None
    if there.replace(tzinfo=None) != moment.replace(tzinfo=None):
        raise _Refused("Cette heure n'existe pas ce jour-là (changement d'heure).")
    return moment.isoformat()


# CSV

_HEADINGS: Final[Mapping[str, str]] = {
    "nom": "name",
    "nom usuel": "name",
    "nom utilise": "name",
    "nom d'usage": "name",
    "nom patient": "name",
    "nom du patient": "name",
    "patient": "patient",
    "nom prenom": "patient",
    "nom et prenom": "patient",
    "nom de naissance": "birth_name",
    "nom naissance": "birth_name",
    "prenom": "first_name",
    "prenom patient": "first_name",
    "prenom utilise": "first_name",
    "naissance": "born",
    "date de naissance": "born",
    "date naissance": "born",
    "ddn": "born",
    "ne le": "born",
    "ne(e) le": "born",
    "sexe": "sex",
    "civilite": "sex",
    "date": "day",
    "jour": "day",
    "date rdv": "day",
    "date du rendez-vous": "day",
    "heure": "hour",
    "horaire": "hour",
    "debut": "hour",
    "heure debut": "hour",
    "heure de debut": "hour",
    "heure rdv": "hour",
    "fin": "end",
    "heure fin": "end",
    "heure de fin": "end",
    "duree": "minutes",
    "duree (min)": "minutes",
    "reference": "reference",
    "ref": "reference",
    "id": "reference",
    "n° rdv": "reference",
    "numero": "reference",
    "statut": "status",
    "etat": "status",
}
"""Headings that are read, without accents; any other column (the reason first) is not."""

_SEXES: Final[Mapping[str, Sex]] = {
    "f": "female",
    "femme": "female",
    "mme": "female",
    "madame": "female",
    "mlle": "female",
    "m": "male",
    "h": "male",
    "homme": "male",
    "monsieur": "male",
    "mr": "male",
}
_CANCELLED: Final = re.compile(
    r"(?i)(?P<before>\b(?:non|not|pas|jamais)(?:\s+|-)(?:(?:encore|été|been)\s+)?)?"
    r"\b(?:annul[ée]e?|cancell?ed|supprim[ée]e?)\b"
    r"(?P<after>\s*[:=]\s*(?:non|no|faux|false|0)\b)?"
)


def _cancelled(said: str) -> bool:
    """Whether an appointment is said to be cancelled, and not that it is not."""
    return any(not (one["before"] or one["after"]) for one in _CANCELLED.finditer(said))


def _folded(text: str) -> str:
    bare = unicodedata.normalize("NFD", text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'"))
    kept = "".join(one for one in bare if not unicodedata.combining(one))
    return " ".join(kept.casefold().split())


def _table(text: str) -> tuple[list[str | None], str, list[tuple[int, str]]] | None:
    """The columns, separator and numbered rows of a CSV; None where the text has no headings."""
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    for place, (_, line) in enumerate(lines[:5]):
        for separator in (";", "\t", ",", "|"):
            cells = [_folded(cell.strip().strip('"')) for cell in line.split(separator)]
            columns = [_HEADINGS.get(cell) for cell in cells]
            if "hour" in columns and ("name" in columns or "patient" in columns):
                return columns, separator, lines[place + 1 :]
    return None


def _rows(
    columns: list[str | None],
    separator: str,
    lines: Iterable[tuple[int, str]],
    there: ZoneInfo,
    day: str | None,
) -> Iterator[Found]:
    for number, line in lines:
        try:
            cells = next(csv.reader([line], delimiter=separator))
            row = {
                name: cell.strip()
                for name, cell in zip(columns, cells, strict=False)
                if name is not None and cell.strip()
            }
            if row:
                yield _row(row, number, there, day)
        except _Refused as refused:
            yield DayListProblem(line=number, why=str(refused))
        except (csv.Error, StopIteration):
            yield DayListProblem(line=number, why="La ligne ne se lit pas comme un tableau.")


def _row(row: Mapping[str, str], number: int, there: ZoneInfo, day: str | None) -> DayListLine:
    written_day, _, rest = row.get("day", "").partition(" ")
    on = day_of(written_day) if written_day else day
    hour = hour_of(row.get("hour") or rest)
    if hour is None and " " in row.get("hour", ""):  # one column may hold the day and the hour
        first, _, last = row["hour"].partition(" ")
        on, hour = day_of(first) or on, hour_of(last)
    if row.get("patient") and not row.get("name"):
        patient = patient_in(row["patient"])
    else:
        patient = NamedPatient(row.get("name"), row.get("first_name"), row.get("birth_name"))
    if patient is None or not (patient.name or patient.birth_name):
        raise _Refused("Le nom du patient manque ou ne se lit pas.")
    born = row.get("born")
    if born is not None and day_of(born) is None:
        raise _Refused("La date de naissance n'existe pas ou ne se lit pas.")
    identity = IdentityTraits(
        birth_name=patient.birth_name,
        used_name=patient.name,
        used_first_name=patient.first_name,
        birth_date=day_of(born) if born else patient.born,
        sex=_SEXES.get(_folded(row.get("sex", "")).rstrip(".")) or patient.sex,
    )
    return DayListLine(
        starts_at=_at(on, hour, there),
        minutes=_minutes(row, hour),
        identity=identity,
        reference=row.get("reference"),
        status="cancelled" if _cancelled(row.get("status", "")) else "booked",
        raw_line_number=number,
    )


def _minutes(row: Mapping[str, str], hour: time | None) -> int:
    written = row.get("minutes", "")
    if found := re.fullmatch(r"(\d{1,3})(?:\s*min(?:utes)?\.?)?", written, re.ASCII | re.I):
        return _bounded(int(found[1]))
    length, end = hour_of(written), hour_of(row.get("end", ""))
    if length is not None:
        return _bounded(length.hour * 60 + length.minute)
    if end is not None and hour is not None:
        return _bounded((end.hour - hour.hour) * 60 + end.minute - hour.minute)
    return USUAL_MINUTES


def _bounded(minutes: int) -> int:
    return minutes if 0 < minutes <= _LONGEST else USUAL_MINUTES


# Plain lines

_STARTS: Final = re.compile(r"[\W_]{0,10}(\d{1,2}\s?(?::|h)\s?(?:\d{2})?)(?!\d)[\s,;:–—-]*", re.I)
_DATE: Final = re.compile(r"(?<!\d)\d{1,2}[/.-]\d{1,2}[/.-]\d{4}(?!\d)", re.ASCII)


def _pasted(text: str, there: ZoneInfo, day: str | None) -> Iterator[Found]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        starts = _STARTS.match(line[:500])
        if starts is None:
            dates = _DATE.findall(line[:500])
            if len(dates) == 1 and day_of(dates[0]):
                day = day_of(dates[0])  # a heading such as "Agenda du 15/10/2026"
                continue
            yield DayListProblem(line=number, why="La ligne ne commence pas par une heure.")
            continue
        try:
            yield _appointment(line[starts.end() : 500], starts[1], number, there, day)
        except _Refused as refused:
            yield DayListProblem(line=number, why=str(refused))


def _appointment(
    said: str, hour: str, number: int, there: ZoneInfo, day: str | None
) -> DayListLine:
    patient = patient_in(said)
    if patient is None:
        raise _Refused("Aucun patient ne se lit sur cette ligne.")
    if patient.bad_date:
        raise _Refused("La date de naissance n'existe pas ou ne se lit pas.")
    return DayListLine(
        starts_at=_at(day, hour_of(hour), there),
        minutes=USUAL_MINUTES,
        identity=patient.traits,
        status="cancelled" if _cancelled(said) else "booked",
        raw_line_number=number,
    )


# Calendars (RFC 5545)

_PROPERTY: Final = re.compile(r'([A-Za-z0-9-]{1,60})((?:;[^:;"]{1,200}(?:"[^"]{0,200}")?)*):(.*)')
_MOMENT: Final = re.compile(r"(\d{8})T(\d{2})(\d{2})(\d{2})(Z?)", re.ASCII)
_LENGTH: Final = re.compile(r"P(?:(\d{1,2})D)?(?:T(?:(\d{1,3})H)?(?:(\d{1,4})M)?(?:\d{1,5}S)?)?")
_ZONES: Final = {
    "romance standard time": "Europe/Paris",
    "w. europe standard time": "Europe/Berlin",
}
_ESCAPED: Final = re.compile(r"\\([\\;,nN])")

Event = dict[str, tuple[str, str]]
"""Parameters and value of each property of an event, its first one."""


def _calendar(text: str, there: ZoneInfo) -> Iterator[Found]:
    for number, event in _events(text):
        try:
            yield _event(event, number, there)
        except _Refused as refused:
            yield DayListProblem(line=number, why=str(refused))


def _events(text: str) -> Iterator[tuple[int, Event]]:
    """Each VEVENT with the number of its first line; what is nested in it is not its own."""
    inside: list[str] = []
    event: Event = {}
    first = 0
    for number, line in _unfolded(text):
        found = _PROPERTY.fullmatch(line)
        if found is None:
            continue
        name, parameters, value = found[1].upper(), found[2], found[3]
        if name == "BEGIN":
            inside.append(value.strip().upper())
            if inside[-1] == "VEVENT":
                event, first = {}, number
        elif name == "END":
            if inside and inside.pop() == "VEVENT":
                yield first, event
        elif inside and inside[-1] == "VEVENT":
            event.setdefault(name, (parameters, value))


def _unfolded(text: str) -> Iterator[tuple[int, str]]:
    """Logical lines: a line that begins with a blank continues the one before (RFC 5545 3.1)."""
    first, parts = 1, [""]
    for number, line in enumerate(text.split("\n"), 1):
        if line[:1] in (" ", "\t"):
            parts.append(line[1:])
            continue
        yield first, "".join(parts)
        first, parts = number, [line]
    yield first, "".join(parts)


def _event(event: Event, number: int, there: ZoneInfo) -> DayListLine:
    if "RRULE" in event:
        raise _Refused("Un rendez-vous répété n'est pas pris : exporter chaque date.")
    starts = _moment(event.get("DTSTART"), there)
    if starts is None:
        raise _Refused("L'événement n'a pas d'heure.")
    said = _ESCAPED.sub(
        lambda found: " " if found[1] in "nN" else found[1], event.get("SUMMARY", ("", ""))[1][:500]
    )
    patient = patient_in(said)
    if patient is None:
        raise _Refused("Aucun patient ne se lit dans l'intitulé.")
    if patient.bad_date:
        raise _Refused("La date de naissance n'existe pas ou ne se lit pas.")
    ends = _moment(event.get("DTEND"), there)
    minutes = USUAL_MINUTES
    if ends is not None:
        minutes = _bounded(int((ends - starts).total_seconds() // 60))
    elif length := _LENGTH.fullmatch(event.get("DURATION", ("", ""))[1].strip()):
        days, hours, left = (int(part or 0) for part in length.groups())
        minutes = _bounded(days * 1440 + hours * 60 + left)
    status = event.get("STATUS", ("", ""))[1].strip().upper()
    return DayListLine(
        starts_at=_instant(starts),
        minutes=minutes,
        identity=patient.traits,
        reference=event.get("UID", ("", ""))[1].strip()[:200] or None,
        status="cancelled" if status == "CANCELLED" or _cancelled(said) else "booked",
        raw_line_number=number,
    )


def _moment(given: tuple[str, str] | None, there: ZoneInfo) -> datetime | None:
    """The instant of a property, in the centre's zone; None for a day without an hour."""
    if given is None:
        return None
    parameters, value = given
    found = _MOMENT.fullmatch(value.strip())
    if found is None:
        return None
    on = day_of(found[1])
    try:
        hour = time(int(found[2]), int(found[3]))
        moment = datetime.combine(date.fromisoformat(on or ""), hour)
    except ValueError:
        return None
    if found[5]:
        return moment.replace(tzinfo=UTC).astimezone(there)
    named = re.search(r';TZID="?([^";]{1,80})', parameters, re.I)
    if named is None:
        return moment.replace(tzinfo=there)
    name = _ZONES.get(named[1].lower(), named[1].rpartition("//")[2].lstrip("/"))
    try:
        zone = ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise _Refused("Le fuseau horaire de l'événement n'est pas connu.") from None
    return moment.replace(tzinfo=zone).astimezone(there)
