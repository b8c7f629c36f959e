"""A plain patient before the first visit: conditions, treatments, allergies, the life behind them.

Everything is drawn from generators of the patient's own, so that one more table reshuffles nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from random import Random

from releve.api.demo import people
from releve.api.demo.acts import Entry
from releve.api.demo.tables.acute import ACUTE
from releve.api.demo.tables.chronic import CHRONIC
from releve.api.demo.tables.drugs import DRUGS, conflict, forbidden, same_subgroup
from releve.api.demo.tables.laboratory import ANALYTES, SHIFTS, Trend
from releve.api.demo.tables.shapes import Condition, Who, band
from releve.domain.commands import (
    Command,
    RecordAllergy,
    RecordDevice,
    RecordHistory,
    RecordImmunization,
    RecordProblem,
    RecordProcedure,
    SetVigilancePoint,
    StartMedication,
)
from releve.domain.values import Coding, Concept, Quantity, Reaction

CIM10 = "http://hl7.org/fhir/sid/icd-10"
ATC = "http://www.whocc.no/atc"
CONDITIONS = {each.key: each for each in (*CHRONIC, *ACUTE)}
Draw = Callable[[str, str], Random]
"""The generator of one entity, from its kind and key."""

Share = Callable[[str, str], float]
"""A number from 0 to 1 that belongs to one entity, from its kind and key."""

ALLERGENS = (
    ("Pénicilline", "J01CE", "urticaire"),
    ("Acide acétylsalicylique", "N02BA01", "œdème des lèvres"),
    ("Produit de contraste iodé", "V08", "malaise"),
    ("Sulfamides", "J01E", "éruption"),
    ("Tramadol", "N02AX02", "vomissements"),
    ("Arachide", None, "urticaire"),
    ("Venin de guêpe", None, "réaction locale étendue"),
    ("Latex", None, "eczéma de contact"),
)


@dataclass
class Held:
    """A treatment that is taken: where it was written, and how much."""

    key: str
    entry: Entry
    level: int
    condition: Condition


@dataclass
class Chart:
    """What one patient's record says so far, as the demo's doctors know it."""

    person: people.Person
    conditions: list[Condition]
    allergen: tuple[str, str | None, str] | None
    target: str
    since: datetime | None = None
    """When the identity was opened."""
    opened: bool = False
    """The first visit was written."""
    drugs: dict[str, Held] = field(default_factory=dict)
    passing: dict[str, Entry] = field(default_factory=dict)
    """Acute problems that nobody resolved yet."""
    had: set[str] = field(default_factory=set)
    ordered: dict[str, date] = field(default_factory=dict)
    trends: dict[str, Trend] = field(default_factory=dict)
    note: str = ""
    visited: int = 0
    seen: date | None = None
    handed: str = ""
    """The last stint that handed this patient over."""
    dead: date | None = None

    def age(self, day: date) -> float:
        """Years."""
        return (day - self.person.born).days / 365.25

    def free(self, at: datetime) -> bool:
        """Whether the patient can come at a time: registered, alive, not seen that day."""
        if self.since is None or at <= self.since or at.date() == self.seen:
            return False
        return self.dead is None or at.date() < self.dead

    @property
    def female(self) -> bool:
        """Sex, as the tables ask for it."""
        return self.person.sex == "female"

    def who(self, day: date) -> Who:
        """Of whom something is said that day; ``fond`` stands for any lasting treatment."""
        held = frozenset(c.key for c in self.conditions) | frozenset(self.passing)
        drugs = frozenset(self.drugs)
        return Who(self.age(day), self.female, held, drugs | {"fond"} if drugs else drugs)

    def measured(self, key: str, rng: Random) -> str:
        """The next value of an analyte."""
        if key not in self.trends:
            shift = 1.0
            for condition in (*self.conditions, *(CONDITIONS[k] for k in self.passing)):
                shift *= SHIFTS.get((condition.key, key), 1.0)
            if key == "creatinine":
                shift *= 0.88 if self.female else 1.08
            if key == "hemoglobine" and self.female:
                shift *= 0.95
            self.trends[key] = Trend(ANALYTES[key], rng, shift)
        return self.trends[key].next()


def chance(condition: Condition, age: float, sex: str, held: list[Condition]) -> float:
    """How probable a condition is for somebody, given what they have already (0 to 0.95)."""
    if condition.sex not in (None, sex) or not condition.youngest <= age <= condition.oldest:
        return 0.0
    rate = condition.rates[band(age)] / 1000
    if condition.sex is None:
        rate *= 2 * (condition.male if sex == "male" else 1) / (1 + condition.male)
    for other in held:
        rate *= condition.drawn_by.get(other.key, 1.0)
    return min(rate, 0.95)


def _depth(condition: Condition) -> int:
    return 1 + max((_depth(CONDITIONS[key]) for key in condition.drawn_by), default=-1)


ORDERED = tuple(sorted(CHRONIC, key=_depth))
"""Chronic conditions so that what draws others comes first."""


def conditions_of(share: Share, person: people.Person, day: date) -> list[Condition]:
    """Long-standing conditions, the frequent ones of that age and sex more often."""
    age = (day - person.born).days / 365.25
    held: list[Condition] = []
    for condition in ORDERED:
        likely = chance(condition, age, person.sex, held)
        if likely and share(f"has-{condition.key}", str(person.index)) < likely:
            held.append(condition)
    return held


def allergen_of(draw: Draw, person: people.Person) -> tuple[str, str | None, str] | None:
    """What one person in eight is allergic to."""
    rng = draw("allergy", str(person.index))
    pick = rng.choice(ALLERGENS)
    return pick if rng.random() < 0.125 else None


def acute_for(rng: Random, chart: Chart, day: date) -> Condition | None:
    """An acute reason that this patient has not had yet; the season counts."""
    age = chart.age(day)
    fitting, weights = [], []
    for condition in ACUTE:
        if condition.sex not in (None, chart.person.sex) or condition.key in chart.had:
            continue
        weight = condition.rates[band(age)]
        if condition.key == "sport" and {"alzheimer", "coeur"} & {c.key for c in chart.conditions}:
            continue
        if weight and condition.youngest <= age <= condition.oldest:
            fitting.append(condition)
            weights.append(weight * (4 if day.month in condition.months else 1))
    return rng.choices(fitting, weights=weights)[0] if fitting else None


def acceptable(key: str, chart: Chart, day: date, beside: list[str]) -> bool:
    """Whether a treatment may be written: no allergy, no forbidden pair, not a second time."""
    drug, age = DRUGS[key], chart.age(day)
    if chart.allergen is not None and chart.allergen[1] and forbidden(chart.allergen[1], drug.atc):
        return False
    held = [DRUGS[k].atc for k in chart.drugs] + [DRUGS[k].atc for k in beside]
    if any(same_subgroup(drug.atc, other) or conflict(drug.atc, other) for other in held):
        return False
    if drug.atc.startswith("M01A"):
        return 12 <= age < 75 and not {"rein", "coeur"} & {c.key for c in chart.conditions}
    if drug.atc.startswith("A10BA") and any(c.key == "rein" for c in chart.conditions):
        return False
    if key == "methotrexate" and any(c.key in ("rein", "alcool") for c in chart.conditions):
        return False
    if key == "acide_folique" and "methotrexate" not in (*chart.drugs, *beside):
        return False
    return age >= 15 or key in CHILDREN


CHILDREN = frozenset({
    "salbutamol", "cetirizine", "desonide", "amoxicilline_enfant", "fusidique", "rifamycine",
    "levothyroxine", "levetiracetam", "macrogol", "phloroglucinol", "fer",
})  # fmt: skip
"""Treatments that the demo gives under fifteen."""


def treatments(rng: Random, chart: Chart, condition: Condition, day: date) -> list[str]:
    """What a doctor starts for a condition, after the list of what is taken already."""
    chosen: list[str] = []
    for wanted in condition.drugs:
        if wanted.endswith("?") and rng.random() >= 0.35:
            continue
        options = wanted.rstrip("?").split("/")
        if chart.age(day) < 15 and options == ["amoxicilline"]:
            options = ["amoxicilline_enfant"]
        fitting = [key for key in options if acceptable(key, chart, day, chosen)]
        if fitting:
            chosen.append(rng.choice(fitting))
    return chosen


def started(
    key: str, level: int, condition: Condition, start: str, end: str | None = None
) -> StartMedication:
    """A treatment line with its ATC code, its dose and what it is for."""
    drug = DRUGS[key]
    return StartMedication(
        concept=Concept(
            text=drug.name, codings=(Coding(system=ATC, code=drug.atc, display=drug.name),)
        ),
        dose_text=drug.doses[min(level, len(drug.doses) - 1)],
        start=start,
        end=end,
        indication=condition.label,
    )


def problem(condition: Condition, onset: str) -> RecordProblem:
    """A problem with its CIM-10 code."""
    coding = Coding(system=CIM10, code=condition.cim10, display=condition.label)
    return RecordProblem(concept=Concept(text=condition.label, codings=(coding,)), onset=onset)


def allergy(found: tuple[str, str | None, str], rng: Random) -> RecordAllergy:
    """An allergy with how it showed itself."""
    substance, atc, manifestation = found
    return RecordAllergy(
        substance=Concept(
            text=substance,
            codings=(Coding(system=ATC, code=atc, display=substance),) if atc else (),
        ),
        categories=("medication",) if atc else (),
        criticality=rng.choice(("low", "low", "high")),
        reactions=(Reaction(manifestations=(Concept(text=manifestation),)),),
    )


def onset(rng: Random, condition: Condition, person: people.Person, day: date) -> str:
    """When a long-standing condition began: a year, after the birth."""
    age = (day - person.born).days / 365.25
    earliest = max(person.born.year + 1, person.born.year + condition.youngest)
    years = rng.randint(0, max(0, min(18, int(age) - 1)))
    return str(max(min(earliest, day.year - 1), day.year - 1 - years))


PROCEDURES = (
    ("Appendicectomie", 12, 0.07, None),
    ("Cholécystectomie", 40, 0.06, None),
    ("Hystérectomie", 50, 0.06, "female"),
    ("Prothèse totale de hanche droite", 66, 0.08, None),
    ("Cataracte opérée des deux côtés", 72, 0.25, None),
    ("Cure de hernie inguinale", 45, 0.09, "male"),
    ("Amygdalectomie", 8, 0.05, None),
)
FAMILY = (
    ("Infarctus avant 55 ans", "père"), ("Diabète", "mère"), ("Glaucome", "mère"),
    ("Phlébite", "sœur"), ("Polypes coliques", "père"), ("Fracture du col du fémur", "mère"),
)  # fmt: skip
WORK = (
    "Agriculteur, élevage", "Aide à domicile", "Chauffeur routier", "Enseignement", "Maçonnerie",
    "Scierie", "Commerce", "Bureau, mairie", "Boulangerie", "Travaux forestiers",
)  # fmt: skip
LIFESTYLE = (
    "Potager, marche chaque jour", "Sédentaire, écran le soir", "Vit avec deux chiens",
    "Chasse et pêche", "Chante à la chorale", "Sommeil court, lever à cinq heures",
    "Trois tasses de café", "Repas pris chez sa sœur",
)  # fmt: skip


def life(draw: Draw, chart: Chart, day: date) -> list[Command]:
    """What a first visit gathers besides problems: the other slots of the summary."""
    person, age = chart.person, chart.age(day)
    rng = draw("life", str(person.index))
    told: list[Command] = []
    if age > 16 and rng.random() < 0.55:
        told.append(_history("lifestyle", rng.choice(LIFESTYLE)))
    retired = ", retraitée" if person.sex == "female" else ", retraité"
    if age > 18 and rng.random() < 0.5:
        told.append(_history("occupation", rng.choice(WORK) + (retired if age > 63 else "")))
    if age > 16 and rng.random() < 0.3:
        what, whose = rng.choice(FAMILY)
        told.append(_history("family-history", what, whose))
    if age > 80 and rng.random() < 0.6:
        told.append(
            _history("functional-status", rng.choice(("Sort seul, canne", "Aide à la toilette")))
        )
    if (
        "hta" in {c.key for c in chart.conditions}
        and "candesartan" in chart.drugs
        and rng.random() < 0.3
    ):
        told.append(_history("adverse-reactions", "Toux sèche sous inhibiteur de l'enzyme"))
    for label, oldest, share, sex in PROCEDURES:
        if sex in (None, person.sex) and age > oldest and rng.random() < share:
            year = person.born.year + rng.randint(oldest, int(age))
            told.append(RecordProcedure(concept=Concept(text=label), performed=str(year)))
    told += _devices(rng, chart, day)
    told += _vaccines(rng, chart, day)
    point = _vigilance(chart)
    if point and rng.random() < 0.8:
        told.append(SetVigilancePoint(text=point))
    return told


def _history(slot: str, text: str, relationship: str | None = None) -> RecordHistory:
    return RecordHistory(
        slot=slot,  # type: ignore[arg-type] # a HistorySlot
        concept=Concept(text=text),
        relationship=relationship,
    )


def _devices(rng: Random, chart: Chart, day: date) -> list[Command]:
    keys, age = {c.key for c in chart.conditions}, chart.age(day)
    wanted = []
    if "fa" in keys and rng.random() < 0.15:
        wanted.append("Stimulateur cardiaque double chambre")
    if "ischemie" in keys and rng.random() < 0.4:
        wanted.append("Stent coronaire actif")
    if "apnee" in keys and rng.random() < 0.7:
        wanted.append("Appareil de pression positive continue")
    if age > 76 and rng.random() < 0.2:
        wanted.append("Prothèses auditives")
    since = str(day.year - rng.randint(1, 6))
    return [RecordDevice(concept=Concept(text=text), since=since) for text in wanted]


_HEXAVALENT = "Hexavalent (DTCaPolio, Hib, hépatite B)"


def _vaccines(rng: Random, chart: Chart, day: date) -> list[Command]:
    """Of the French calendar (ministère chargé de la santé): some doses of each age."""
    person, age = chart.person, chart.age(day)
    given: list[tuple[str, date, int | None]] = []
    if age < 16:
        for months, name, number in (
            (2, _HEXAVALENT, 1), (4, _HEXAVALENT, 2), (11, _HEXAVALENT, 3),
            (12, "Rougeole, oreillons, rubéole", 1),
            (17, "Rougeole, oreillons, rubéole", 2), (72, "DTCaPolio", None),
        ):  # fmt: skip
            on = person.born + timedelta(days=round(months * 30.44) + rng.randrange(12))
            if on < day and rng.random() < 0.9:
                given.append((name, on, number))
    else:
        if rng.random() < 0.5:
            given.append(("dTPolio", day - timedelta(days=rng.randrange(400, 5500)), None))
        if age >= 65 and rng.random() < 0.7:
            given.append(
                ("Pneumocoque conjugué", day - timedelta(days=rng.randrange(200, 1500)), None)
            )
    told: list[Command] = [
        RecordImmunization(
            vaccine=Concept(text=name),
            given_on=max(on, person.born + timedelta(days=40)).isoformat(),
            lot=f"EX{rng.randrange(10_000):04d}",
            dose_number=number,
        )
        for name, on, number in given
        if max(on, person.born + timedelta(days=40)) < day
    ]
    if age >= 65 and day.month in (10, 11, 12, 1):
        flu = Concept(text="Grippe saisonnière")
        if rng.random() < 0.6:
            told.append(RecordImmunization(vaccine=flu, given_on=day.isoformat(), lot="EX7731"))
        elif rng.random() < 0.5:
            told.append(RecordImmunization(vaccine=flu, status="not-done", reason="Refus"))
    return told


def _vigilance(chart: Chart) -> str:
    keys = {c.key for c in chart.conditions}
    if "rein" in keys:
        return "Fonction rénale réduite : pas d'anti-inflammatoire, doses à adapter"
    if "fa" in keys:
        return "Anticoagulé : prévenir avant tout geste, pas d'injection intramusculaire"
    if "epilepsie" in keys:
        return "Ne jamais arrêter le traitement d'un coup"
    if "alzheimer" in keys:
        return "Consignes à donner à l'aidant, jamais au patient seul"
    if "pr" in keys:
        return "Immunodépression : fièvre = avis le jour même"
    return ""


def quantity(value: str, unit: str) -> Quantity:
    """A value with its UCUM unit."""
    return Quantity(value=value, unit=unit, code=unit)
