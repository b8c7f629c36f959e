"""Units as French laboratories write them, as UCUM codes: the spelling changes, never the value.

What is not listed keeps its own spelling and has no code: a unit is never guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from releve.domain.values import UCUM_KNOWN

_SPELLINGS: Final[Mapping[str, str]] = {
    "g/l": "g/L",
    "mg/l": "mg/L",
    "µg/l": "ug/L",
    "ug/l": "ug/L",
    "mcg/l": "ug/L",
    "ng/l": "ng/L",
    "g/dl": "g/dL",
    "g/100ml": "g/dL",
    "mg/dl": "mg/dL",
    "µg/dl": "ug/dL",
    "µg/ml": "ug/mL",
    "ng/ml": "ng/mL",
    "pg/ml": "pg/mL",
    "mmol/l": "mmol/L",
    "µmol/l": "umol/L",
    "umol/l": "umol/L",
    "nmol/l": "nmol/L",
    "pmol/l": "pmol/L",
    "meq/l": "meq/L",
    "u/l": "U/L",
    "ui/l": "[iU]/L",
    "mui/l": "m[iU]/L",
    "µui/ml": "m[iU]/L",  # the same ratio, both parts divided by a thousand
    "ui/ml": "[iU]/mL",
    "g/24h": "g/d",
    "mg/24h": "mg/d",
    "mg/mmol": "mg/mmol",
    "mg/g": "mg/g",
    "g/l/24h": "g/L/d",
    "giga/l": "10*9/L",
    "g/l (giga)": "10*9/L",
    "10^9/l": "10*9/L",
    "10e9/l": "10*9/L",
    "tera/l": "10*12/L",
    "téra/l": "10*12/L",
    "10^12/l": "10*12/L",
    "10e12/l": "10*12/L",
    "/mm3": "/uL",  # a cubic millimetre is a microlitre
    "/µl": "/uL",
    "fl": "fL",
    "µ3": "fL",
    "µm3": "fL",
    "pg": "pg",
    "%": "%",
    "mm": "mm",
    "mm/h": "mm/h",
    "sec": "s",
    "secondes": "s",
    "s": "s",
    "ml/min": "mL/min",
    "ml/mn": "mL/min",
    "ml/min/1,73m2": "mL/min/{1.73_m2}",
    "ml/min/1.73m2": "mL/min/{1.73_m2}",
    "ml/mn/1,73m2": "mL/min/{1.73_m2}",
    "mmhg": "mm[Hg]",
    "kpa": "kPa",
    "mosm/kg": "mosm/kg",
    "mosmol/kg": "mosm/kg",
}


def ucum_of(written: str) -> str | None:
    """The UCUM code of a unit as written, or None where it is not surely one.

    UCUM's own spelling is taken as it is. Case tells giga from gram: ``G/L`` and ``T/L`` are
    counts of cells, ``g/l`` is a mass.
    """
    unit = " ".join(written.split()).replace("\N{GREEK SMALL LETTER MU}", "µ").replace("²", "2")
    unit = unit.replace("³", "3")
    if unit in ("G/L", "G/l"):
        return "10*9/L"
    if unit in ("T/L", "T/l"):
        return "10*12/L"
    if unit in UCUM_KNOWN:
        return unit
    return _SPELLINGS.get(unit.replace(" ", "").lower())
