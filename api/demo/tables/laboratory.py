"""What the laboratory measures for the demo: panels, usual values, and how a value drifts.

LOINC codes with their UCUM units, in the units of French laboratories. Reference ranges are of the
usual order and not those of a laboratory.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

from releve.domain.values import Coding, Concept, Quantity, ResultLine

LOINC = "http://loinc.org"


@dataclass(frozen=True)
class Analyte:
    """One line of a report: its usual value, its spread between people and from one to the next."""

    key: str
    label: str
    loinc: str
    unit: str
    median: float
    between: float
    """Spread of people's own means, as a share of the median (lognormal)."""
    within: float
    """Spread from one measure to the next, as a share of one's own mean."""
    low: float
    high: float
    digits: int = 1


ANALYTES = {
    a.key: a
    for a in (
        Analyte("creatinine", "Créatinine", "14682-9", "umol/L", 76, 0.16, 0.06, 50, 104, 0),
        Analyte("potassium", "Potassium", "2823-3", "mmol/L", 4.25, 0.05, 0.05, 3.5, 5.1, 1),
        Analyte("sodium", "Sodium", "2951-2", "mmol/L", 140, 0.01, 0.008, 136, 145, 0),
        Analyte("hba1c", "Hémoglobine glyquée", "4548-4", "%", 7.1, 0.10, 0.05, 4.0, 6.0, 1),
        Analyte("ldl", "Cholestérol LDL", "2089-1", "mg/dL", 112, 0.22, 0.10, 0, 130, 0),
        Analyte("tsh", "TSH", "3016-3", "m[IU]/L", 2.6, 0.40, 0.25, 0.4, 4.0, 2),
        Analyte("inr", "INR", "6301-6", "{INR}", 2.5, 0.10, 0.14, 2.0, 3.0, 1),
        Analyte("hemoglobine", "Hémoglobine", "718-7", "g/dL", 13.8, 0.06, 0.03, 12.0, 17.0, 1),
        Analyte("leucocytes", "Leucocytes", "6690-2", "10*9/L", 6.8, 0.18, 0.14, 4.0, 10.0, 1),
        Analyte("plaquettes", "Plaquettes", "777-3", "10*9/L", 245, 0.15, 0.08, 150, 400, 0),
        Analyte("crp", "Protéine C réactive", "1988-5", "mg/L", 6, 0.9, 0.5, 0, 5, 0),
        Analyte("ferritine", "Ferritine", "2276-4", "ug/L", 62, 0.6, 0.2, 20, 300, 0),
        Analyte("alat", "ALAT", "1742-6", "U/L", 24, 0.3, 0.2, 0, 45, 0),
        Analyte("urate", "Acide urique", "14933-6", "umol/L", 360, 0.15, 0.08, 200, 420, 0),
        Analyte("glycemie", "Glycémie à jeun", "14749-6", "mmol/L", 5.4, 0.08, 0.06, 3.9, 5.8, 1),
    )
}

EGFR = ("Débit de filtration glomérulaire (CKD-EPI)", "62238-1", "mL/min/{1.73_m2}")

PANELS: dict[str, tuple[str, tuple[str, ...]]] = {
    "rénal": ("Créatinine, ionogramme", ("creatinine", "potassium", "sodium")),
    "diabète": ("HbA1c, créatinine", ("hba1c", "creatinine")),
    "lipides": ("Bilan lipidique", ("ldl", "alat")),
    "thyroïde": ("TSH", ("tsh",)),
    "inr": ("INR", ("inr",)),
    "anticoagulant": (
        "Créatinine, numération",
        ("creatinine", "potassium", "hemoglobine", "plaquettes"),
    ),
    "numération": (
        "Numération, ferritine",
        ("hemoglobine", "leucocytes", "plaquettes", "ferritine"),
    ),
    "méthotrexate": (
        "Numération, transaminases, créatinine",
        ("hemoglobine", "leucocytes", "plaquettes", "alat", "creatinine"),
    ),
    "urique": ("Acide urique, créatinine", ("urate", "creatinine")),
    "foie": ("Transaminases, numération", ("alat", "hemoglobine", "plaquettes")),
    "inflammation": ("Numération, CRP", ("hemoglobine", "leucocytes", "plaquettes", "crp")),
    "fatigue": (
        "Numération, ferritine, TSH, glycémie, créatinine",
        ("hemoglobine", "leucocytes", "plaquettes", "ferritine", "tsh", "glycemie", "creatinine"),
    ),
}
"""What is ordered under one name, and what comes back."""

SHIFTS = {
    ("rein", "creatinine"): 1.75,
    ("rein", "potassium"): 1.06,
    ("coeur", "creatinine"): 1.25,
    ("anemie", "hemoglobine"): 0.8,
    ("anemie", "ferritine"): 0.2,
    ("thyroide", "tsh"): 1.5,
    ("alcool", "alat"): 1.9,
    ("goutte", "urate"): 1.3,
    ("pneumopathie", "crp"): 12.0,
    ("dt2", "glycemie"): 1.45,
}
"""How many times the usual mean a condition makes of an analyte."""


def filtration(creatinine: float, age: float, *, female: bool) -> int:
    """mL/min/1.73 m² from µmol/L: CKD-EPI 2009 without the factor of origin (HAS, 2012)."""
    knee, slope = (0.7, -0.329) if female else (0.9, -0.411)
    ratio = creatinine / 88.4 / knee
    value: float = 141 * min(ratio, 1) ** slope * max(ratio, 1) ** -1.209 * 0.993**age
    return round(value * (1.018 if female else 1))


class Trend:
    """One person's values of one analyte: their own mean, and each measure near the last one."""

    def __init__(self, analyte: Analyte, rng: Random, shift: float) -> None:
        self._analyte = analyte
        self._rng = rng
        spread = math.exp(rng.gauss(0, min(analyte.between, 0.5)))
        self._mean = analyte.median * shift * spread
        self._last = 0.0

    def next(self) -> str:
        """The next measure, as the laboratory writes it; AR(1) with coefficient 0.7."""
        analyte = self._analyte
        self._last = 0.7 * self._last + self._rng.gauss(0, analyte.within)
        value = self._mean * math.exp(max(-0.5, min(0.5, self._last)))
        lowest, highest = SAFE.get(analyte.key, (0.0, 1e9))
        value = min(highest, max(lowest, value))
        return f"{value:.{analyte.digits}f}"


SAFE = {
    "potassium": (3.3, 5.4),
    "sodium": (131.0, 148.0),
    "inr": (1.6, 4.2),
    "hemoglobine": (9.1, 17.5),
    "creatinine": (42.0, 210.0),
    "hba1c": (5.2, 10.8),
    "tsh": (0.2, 12.0),
    "glycemie": (3.9, 14.0),
    "leucocytes": (3.2, 14.0),
    "plaquettes": (120.0, 460.0),
}
"""Plain patients stay short of the centre's critical values: those are the golden ones' part."""


def concept(label: str, loinc: str) -> Concept:
    """A laboratory line's name with its LOINC code."""
    return Concept(text=label, codings=(Coding(system=LOINC, code=loinc, display=label),))


def line(analyte: Analyte, value: str) -> ResultLine:
    """A line with its reference range and its flag."""
    number = float(value)
    flag = "H" if number > analyte.high else "L" if number < analyte.low else "N"
    return ResultLine(
        code=concept(analyte.label, analyte.loinc),
        value=Quantity(value=value, unit=analyte.unit, code=analyte.unit),
        interpretation=flag,
        reference_range=f"{analyte.low:g} - {analyte.high:g}",
    )


def filtration_line(creatinine: str, age: float, *, female: bool) -> ResultLine:
    """The filtration that goes with a creatinine."""
    label, loinc, unit = EGFR
    value = filtration(float(creatinine), age, female=female)
    return ResultLine(
        code=concept(label, loinc),
        value=Quantity(value=str(value), unit=unit, code=unit),
        interpretation="L" if value < 60 else "N",
        reference_range="60 - 120",
    )
