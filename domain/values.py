"""Value objects: each rejects at construction what cannot be what it claims.

A refusal is an :class:`~releve.domain.errors.Invalid` that names the field and never repeats the
value. What a source sent is kept as it was written: :class:`Coding`, :class:`Concept` and
:class:`Quantity` are storage and refuse nothing; the other types here are what a command written
in this product must satisfy: strings that were checked once. A payload holds
the plain string, ``str(value)``, because stored maps know no other kind.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import ClassVar, Literal
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from releve.domain.errors import Invalid

Sex = Literal["male", "female", "other", "unknown"]
IdentityStatus = Literal["provisoire", "recuperee", "validee", "qualifiee"]
Mode = Literal["cabinet", "visite", "ehpad", "tele", "telephone"]
Severity = Literal["stable", "watcher", "unstable"]
"""I-PASS words; shown as stable / à surveiller / instable."""
ItemKind = Literal[
    "result", "call", "review", "referral", "renewal", "monitoring", "admin", "other"
]
OwnerRole = Literal["medecin_en_poste", "referent", "coordinator"]
AbsenceSlot = Literal["allergies", "medications", "problems", "procedures", "devices"]
StintMode = Literal["volontaire", "salarie", "remplacant", "interne"]
HistorySlot = Literal[
    "family-history", "lifestyle", "occupation", "functional-status", "adverse-reactions"
]
InvestigationKind = Literal["laboratory", "imaging", "functional", "other"]
ResultStatus = Literal["partial", "final", "corrected", "phoned"]
ResultVerdict = Literal["normal", "known", "abnormal", "critical"]
"""What a doctor says of a result: as it should be, as known before, abnormal, an emergency."""
ContactChannel = Literal["phone", "sms", "letter", "in-person", "message"]
DocumentFormat = Literal["pdf", "cda", "fhir", "hprim", "text", "phone"]
InboxDoor = Literal["upload", "paste", "watched", "api", "phone"]
"""How a document came in: dropped on a page, pasted, taken from a folder, sent, told by phone."""

ONE_LINER_LIMIT = 160
"""Characters of a line that must be read in a glance."""

TEXT_LIMIT = 20_000
"""Characters of a free text: some eight printed pages."""

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class Coding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One code of one system, as received; never translated, never checked against a list."""

    system: str | None = None
    code: str | None = None
    display: str | None = None
    version: str | None = None


class Concept(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is meant, in words and in every coding that came with it (FHIR CodeableConcept)."""

    text: str
    codings: tuple[Coding, ...] = ()


class Quantity(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A decimal exactly as written, with its UCUM unit."""

    value: str
    unit: str | None = None
    code: str | None = None


class Identifier(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An identifier as received: ``system`` is a FHIR identifier system."""

    system: str
    value: str
    use: str | None = None


class Owner(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A role at the centre, or a person who accepted (with the stint that binds them)."""

    role: OwnerRole = "medecin_en_poste"
    person: UUID | None = None
    stint: UUID | None = None


class Threshold(msgspec.Struct, frozen=True, kw_only=True):
    """A machine-checkable trigger, such as LOINC 2823-3 > 5.5 mmol/L."""

    loinc: str
    comparator: Literal[">", ">=", "<", "<="]
    value: str
    unit: str


class NamedPerson(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A person who can be reached: the practitioner's stream where they have one."""

    name: str
    phone: str
    person: UUID | None = None


class Unmapped(msgspec.Struct, frozen=True, kw_only=True):
    """A part of an import that has no event yet: listed, never dropped. ``path`` is a FHIRPath."""

    path: str
    type: str


class Reaction(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How the allergy showed itself."""

    manifestations: tuple[Concept, ...] = ()
    substance: Concept | None = None
    severity: str | None = None
    onset: str | None = None
    description: str | None = None


class Component(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One part of a measure that has several, such as the two pressures of a blood pressure."""

    code: Concept
    value: Quantity


class RelatedPerson(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Somebody who speaks for a patient, or is told: a trusted person, a legal representative."""

    name: str
    phone: str = ""
    relationship: str = ""


class ResultLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of a result as its source writes it: a value with its unit, or words."""

    code: Concept
    value: Quantity | None = None
    comparator: Literal["<", "<=", ">", ">="] | None = None
    """What stands before the value, as in ``< 0.5``."""
    text: str | None = None
    interpretation: str | None = None
    """HL7 v3 ObservationInterpretation code, as received (``H``, ``LL``, ``N``)."""
    reference_range: str | None = None
    status: str | None = None
    method: str | None = None


class IdentityTraits(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whose a document says it is; what it does not say is absent."""

    birth_name: str | None = None
    first_names: tuple[str, ...] = ()
    used_name: str | None = None
    used_first_name: str | None = None
    birth_date: str | None = None
    sex: Sex | None = None
    birth_place: str | None = None
    identifiers: tuple[Identifier, ...] = ()


class OpeningSlot(msgspec.Struct, frozen=True, kw_only=True):
    """Hours on one weekday, civil time of the centre; ``weekday`` 1 is Monday (ISO 8601)."""

    weekday: int
    opens: str
    closes: str


DayPart = Literal["day", "morning", "afternoon", "hours"]
"""How much of a day a doctor comes for; ``hours`` says from when to when."""


class Session(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One session of a recurring week, civil time of the centre; ``weekday`` 1 is Monday.

    ``begins`` and ``ends`` (``HH:MM``) stand with ``hours`` alone.
    """

    weekday: int
    part: DayPart = "day"
    begins: str = ""
    ends: str = ""


class ExpectedSource(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A sender whose silence is a danger: silent for longer, it is shown and never a calm list."""

    system: str
    within_hours: int = 24


def _invalid(field: str, why: str) -> Invalid:
    return Invalid("invalid-field", field=field, why=why)


def luhn_valid(digits: str) -> bool:
    """True when the last of ``digits`` is their Luhn key (ISO/IEC 7812-1 annex B)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        worth = int(digit) * (2 if place % 2 else 1)
        total += worth - 9 if worth > 9 else worth
    return bool(digits) and total % 10 == 0


class Nir(str):
    """A social-security number with its key (13 + 2), which is also the INS matricule.

    Corsican departments are 2A (19) and 2B (18) in the key's arithmetic; the key is
    97 - (number mod 97).
    """

    __slots__ = ()

    def __new__(cls, value: str, *, field: str = "ins") -> Nir:
        """Blanks are dropped. Raises Invalid naming ``field``."""
        text = re.sub(r"[\s.\xa0\u202f]", "", value).upper()
        if not re.fullmatch(r"[1-478]\d{4}(?:\d{2}|2[AB])\d{6}\d{2}", text, re.ASCII):
            raise _invalid(field, "Un matricule a 13 caractères et une clé de 2 chiffres.")
        number = text[:13].replace("2A", "19", 1) if text[5:7] == "2A" else text[:13]
        number = number.replace("2B", "18", 1) if text[5:7] == "2B" else number
        if 97 - int(number) % 97 != int(text[13:]):
            raise _invalid(field, "La clé du matricule n'est pas la bonne.")
        return super().__new__(cls, text)


INS_SYSTEMS = {
    "urn:oid:1.2.250.1.213.1.4.8": "NIR",
    "urn:oid:1.2.250.1.213.1.4.9": "NIA",
    "urn:oid:1.2.250.1.213.1.4.10": "test",
    "urn:oid:1.2.250.1.213.1.4.11": "demo",
}
"""FHIR identifier systems of the INS (FR Core): real, temporary, test and demonstration."""


class Rpps(str):
    """A practitioner's national number: 11 digits, the last one a Luhn key."""

    __slots__ = ()

    def __new__(cls, value: str, *, field: str = "rpps") -> Rpps:
        """Blanks are dropped. Raises Invalid naming ``field``."""
        text = re.sub(r"\s", "", value)
        if not re.fullmatch(r"\d{11}", text, re.ASCII) or not luhn_valid(text):
            raise _invalid(field, "Un RPPS a 11 chiffres et une clé de Luhn.")
        return super().__new__(cls, text)


class Finess(str):
    """A health structure's national number: 9 characters, the last one a Luhn key.

    Corsican numbers begin with 2A or 2B: in the key's arithmetic A counts as 1 and B as 2.
    """

    __slots__ = ()

    def __new__(cls, value: str, *, field: str = "finess") -> Finess:
        """Blanks are dropped. Raises Invalid naming ``field``."""
        text = re.sub(r"\s", "", value).upper()
        if not re.fullmatch(r"(?:\d{2}|2[AB])\d{7}", text, re.ASCII):
            raise _invalid(field, "Un FINESS a 9 caractères.")
        if not luhn_valid(text.replace("A", "1").replace("B", "2")):
            raise _invalid(field, "La clé du FINESS n'est pas la bonne.")
        return super().__new__(cls, text)


def words(value: str, *, field: str, limit: int = TEXT_LIMIT) -> str:
    """``value`` trimmed, with something to read in it.

    Raises Invalid naming ``field`` when nothing is left, ``limit`` characters are passed or
    control characters stand in it.
    """
    text = readable(value, field=field, limit=limit)
    if not text:
        raise Invalid("missing-field", field=field, why="Ce champ est obligatoire.")
    return text


def readable(value: str, *, field: str, limit: int = TEXT_LIMIT) -> str:
    """``value`` trimmed, possibly empty. Raises Invalid naming ``field``."""
    text = value.strip()
    if len(text) > limit:
        raise _invalid(field, f"Au plus {limit} caractères.")
    if _CONTROL.search(text):
        raise _invalid(field, "Le texte contient des caractères de commande.")
    return text


def plain(text: str | None) -> str:
    """Lower case without accents; anything that is no letter or digit separates words."""
    flat = unicodedata.normalize("NFKD", text or "")
    kept = "".join(sign for sign in flat if not unicodedata.combining(sign)).casefold()
    return " ".join("".join(sign if sign.isalnum() else " " for sign in kept).split())


def one_line(value: str, *, field: str) -> str:
    """A line that fits a glance: at most 160 characters, no line break; may be empty."""
    text = readable(value, field=field, limit=ONE_LINER_LIMIT)
    if "\n" in text or "\r" in text:
        raise _invalid(field, "Une seule ligne.")
    return text


class ExactDecimal(str):
    """A decimal as it was written: its digits are its precision, no exponent, no float."""

    __slots__ = ()

    def __new__(cls, value: str, *, field: str = "value") -> ExactDecimal:
        """A decimal comma is read as a point. Raises Invalid naming ``field``."""
        text = value.strip().replace(",", ".")
        if not re.fullmatch(r"-?\d{1,12}(?:\.\d{1,8})?", text, re.ASCII):
            raise _invalid(field, "Un nombre décimal est attendu, sans exposant.")
        return super().__new__(cls, text)

    @property
    def number(self) -> Decimal:
        """The exact number."""
        return Decimal(self)


_UNITS = """
    % /min /h /d /uL 10*3/uL 10*6/uL 10*9/L 10*12/L [degF] [in_i] [lb_av] [pH] [iU]/L [iU]/mL
    [ppth] 1 a Cel cm d dB deg fL fmol/L g g/d g/dL g/L g/mol h kat/L kcal kg kg/m2 kPa
    L L/min m m/s mbar mg mg/d mg/dL mg/g mg/kg mg/kg/d mg/L mg/mmol min mL mL/h mL/min
    mL/min/{1.73_m2} mm mm/h mm[Hg] mmol mmol/L mmol/mol mo mosm/kg mU/L m[IU]/L m[iU]/L ng/L
    ng/mL nkat/L nmol/L osm/kg Pa pg pg/mL pmol/L s t U/L ug ug/d ug/L ug/dL ug/mL ukat/L um3
    umol/L wk {beats}/min {breaths}/min {score} {INR} {ratio} {#} {Pack}.a
"""
UCUM_KNOWN = frozenset(_UNITS.split())
"""Units that French general practice and its laboratories write; more may come with a release."""

_UCUM_PART = r"(?:10[*^]-?\d+|[A-Za-z%\[\]_'\"]+\d*-?\d*|\d+|\{[!-z|~]+\})(?:\{[!-z|~]+\})?"
_UCUM = re.compile(rf"/?{_UCUM_PART}(?:[./]{_UCUM_PART})*", re.ASCII)


class UcumUnit(str):
    """A UCUM unit, case sensitive: one of the known ones.

    ``is_syntactic`` tells whether a unit that a source sent could be UCUM at all.
    """

    __slots__ = ()

    def __new__(cls, value: str, *, field: str = "unit") -> UcumUnit:
        """Raises Invalid naming ``field`` for a unit that is not known here."""
        if value not in UCUM_KNOWN:
            raise _invalid(field, "Cette unité n'est pas une unité UCUM connue.")
        return super().__new__(cls, value)

    @staticmethod
    def is_syntactic(value: str) -> bool:
        """True when ``value`` has the shape of a UCUM expression (without parentheses)."""
        return value in UCUM_KNOWN or _UCUM.fullmatch(value) is not None


def measured(quantity: Quantity, *, field: str) -> tuple[ExactDecimal, UcumUnit]:
    """The exact number and known unit of a quantity that is written here.

    The unit is the UCUM ``code`` where there is one, else ``unit``. Raises Invalid naming
    ``field.value`` or ``field.unit``.
    """
    unit = quantity.code or quantity.unit
    if unit is None:
        raise Invalid(
            "missing-field", field=f"{field}.unit", why="Une valeur s'écrit avec son unité."
        )
    return (
        ExactDecimal(quantity.value, field=f"{field}.value"),
        UcumUnit(unit, field=f"{field}.unit"),
    )


class Dose(msgspec.Struct, frozen=True):
    """How much of a medicine is taken at a time: a positive decimal and a known UCUM unit."""

    value: Decimal
    unit: str

    @classmethod
    def read(cls, quantity: Quantity, *, field: str = "dose") -> Dose:
        """Raises Invalid naming ``field.value`` or ``field.unit``."""
        number, unit = measured(quantity, field=field)
        if number.number <= 0:
            raise _invalid(f"{field}.value", "Une dose est plus grande que zéro.")
        return cls(number.number, str(unit))


class PartialDate(str):
    """A year, a month or a day, as precise as it is known: 2021, 2021-04, 2021-04-02."""

    __slots__ = ()

    def __new__(cls, value: str, *, field: str = "date") -> PartialDate:
        """Raises Invalid naming ``field``."""
        if not re.fullmatch(r"\d{4}(?:-\d{2}(?:-\d{2})?)?", value, re.ASCII):
            raise _invalid(field, "Une date s'écrit AAAA, AAAA-MM ou AAAA-MM-JJ.")
        try:
            date.fromisoformat(value + "-01-01"[len(value) - 4 :])
        except ValueError:
            raise _invalid(field, "Cette date n'existe pas.") from None
        return super().__new__(cls, value)

    @property
    def first_day(self) -> date:
        """The earliest day it can mean."""
        return date.fromisoformat(self + "-01-01"[len(self) - 4 :])

    @property
    def last_day(self) -> date:
        """The latest day it can mean."""
        first = self.first_day
        if len(self) == 10:
            return first
        if len(self) == 7:
            return (first.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
        return first.replace(month=12, day=31)


def instant(value: str, *, field: str) -> datetime:
    """An RFC 3339 instant with its offset. Raises Invalid naming ``field``."""
    try:
        read = datetime.fromisoformat(value)
    except ValueError:
        raise _invalid(field, "Un instant s'écrit AAAA-MM-JJThh:mm:ss+01:00.") from None
    if read.tzinfo is None or len(value) < 16:
        raise _invalid(field, "Un instant s'écrit avec son décalage horaire.")
    return read


def span(value: str, zone: str, *, field: str = "occurred_at") -> tuple[datetime, datetime]:
    """The instants between which ``value`` lies: the same one twice, or a day, month or year.

    ``value`` is an RFC 3339 instant or a partial date, whose days are civil days of ``zone``; the
    end is exclusive. Raises Invalid naming ``field``.
    """
    if "T" in value or " " in value:
        at = instant(value, field=field)
        return at, at
    known = PartialDate(value, field=field)
    there = time_zone(zone)
    return (
        datetime.combine(known.first_day, time.min, there),
        datetime.combine(known.last_day + timedelta(days=1), time.min, there),
    )


def time_zone(name: str, *, field: str = "zone") -> ZoneInfo:
    """The civil time zone of that IANA name. Raises Invalid naming ``field``."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise _invalid(field, "Ce fuseau horaire n'existe pas.") from None


class StintPeriod(msgspec.Struct, frozen=True):
    """When a stint runs; a volunteer or locum stays at most 21 days, a salaried doctor longer."""

    starts_at: datetime
    ends_at: datetime

    LONGEST: ClassVar[timedelta] = timedelta(days=21)

    @classmethod
    def read(cls, starts_at: str, ends_at: str, mode: StintMode) -> StintPeriod:
        """Raises Invalid naming ``starts_at`` or ``ends_at``."""
        period = cls(instant(starts_at, field="starts_at"), instant(ends_at, field="ends_at"))
        if period.ends_at <= period.starts_at:
            raise _invalid("ends_at", "La fin vient après le début.")
        if mode in ("volontaire", "remplacant") and period.civil_days > cls.LONGEST.days:
            raise _invalid("ends_at", "Un séjour dure de 1 à 21 jours.")
        return period

    @property
    def civil_days(self) -> int:
        """Calendar days touched, from the first to the last, in the offset written."""
        return (self.ends_at.date() - self.starts_at.date()).days + 1
