"""Measures a consultation form offers, and how "71,5 kg" is read: value and unit as one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

LOINC: Final = "http://loinc.org"


@dataclass(frozen=True, slots=True)
class Measure:
    """One measure: its LOINC code, and each unit as typed in French with its UCUM code."""

    key: str
    label: str
    loinc: str
    units: tuple[tuple[str, str], ...]
    parts: tuple[tuple[str, str], ...] = ()
    """(label, LOINC) of the values that are typed with a slash, such as the two pressures."""


_BEATS = (("/min", "{beats}/min"), ("bpm", "{beats}/min"), ("batt/min", "{beats}/min"))
MEASURES: Final = (
    Measure("pressure", "Pression artérielle (mmHg)", "85354-9", (("mmhg", "mm[Hg]"),),
            (("Systolique", "8480-6"), ("Diastolique", "8462-4"))),
    Measure("pulse", "Fréquence cardiaque (/min)", "8867-4", _BEATS),
    Measure("temperature", "Température (°C)", "8310-5", (("°c", "Cel"), ("c", "Cel"))),
    Measure("saturation", "Saturation (%)", "59408-5", (("%", "%"),)),
    Measure("breaths", "Fréquence respiratoire (/min)", "9279-1",
            (("/min", "{breaths}/min"), ("cycles/min", "{breaths}/min"))),
    Measure("weight", "Poids (kg)", "29463-7", (("kg", "kg"),)),
    Measure("height", "Taille (cm)", "8302-2", (("cm", "cm"),)),
    Measure("potassium", "Kaliémie (mmol/L)", "2823-3", (("mmol/l", "mmol/L"),)),
    Measure("sodium", "Natrémie (mmol/L)", "2951-2", (("mmol/l", "mmol/L"),)),
    Measure("creatinine", "Créatininémie (µmol/L)", "14682-9",
            (("µmol/l", "umol/L"), ("umol/l", "umol/L"))),
    Measure("glucose", "Glycémie (mmol/L)", "14749-6", (("mmol/l", "mmol/L"),)),
    Measure("hba1c", "HbA1c (%)", "4548-4", (("%", "%"),)),
    Measure("haemoglobin", "Hémoglobine (g/dL)", "718-7", (("g/dl", "g/dL"),)),
    Measure("inr", "INR", "6301-6", (("", "{INR}"), ("inr", "{INR}"))),
)  # fmt: skip
"""In the order of the form."""

BY_KEY: Final = {measure.key: measure for measure in MEASURES}
OPTIONS: Final = (("", "Choisir…"), *((each.key, each.label) for each in MEASURES))
_VALUE = re.compile(r"\s*([+-]?\d+(?:[.,]\d+)?(?:\s*/\s*\d+(?:[.,]\d+)?)?)\s*(\S.*)?\Z")


def read_measure(
    key: str, typed: str, among: Mapping[str, Measure] = BY_KEY
) -> dict[str, Any] | str:
    """Give the data of ``record-observation``, or one French sentence of what is wrong.

    ``among`` is what may be chosen, by key.
    """
    measure = among.get(key)
    if measure is None:
        return "Choisir la mesure."
    found = _VALUE.match(typed)
    if found is None:
        return "Écrire la valeur puis son unité, comme « 71,5 kg »."
    numbers = [part.strip().replace(",", ".") for part in found[1].split("/")]
    unit = (found[2] or "").strip()
    known = dict(measure.units)
    code = known.get(unit.casefold().replace("μ", "µ"))
    if code is None:
        expected = " ou ".join(sorted({_shown(c) for c in known.values()}))
        return (
            f"Écrire l’unité avec la valeur : {expected}."
            if not unit
            else f"Cette unité n’est pas attendue ici : {expected}."
        )
    if len(numbers) != max(1, len(measure.parts)):
        return (
            "Écrire les deux valeurs, comme « 135/80 mmHg »."
            if measure.parts
            else "Écrire une seule valeur."
        )
    values = [{"value": number, "unit": _shown(code), "code": code} for number in numbers]
    data: dict[str, Any] = {"code": _concept(measure.label.split(" (")[0], measure.loinc)}
    if measure.parts:
        data["components"] = [
            {"code": _concept(label, loinc), "value": value}
            for (label, loinc), value in zip(measure.parts, values, strict=True)
        ]
    else:
        data["value"] = values[0]
    return data


def _concept(text: str, loinc: str) -> dict[str, Any]:
    return {"text": text, "codings": [{"system": LOINC, "code": loinc}]}


def _shown(code: str) -> str:
    words = {"mm[Hg]": "mmHg", "Cel": "°C", "umol/L": "µmol/L", "{beats}/min": "/min",
             "{breaths}/min": "/min", "{INR}": "INR"}  # fmt: skip
    return words.get(code, code)
