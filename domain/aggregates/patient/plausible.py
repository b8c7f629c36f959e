"""Plausible ranges of measures, as data: LOINC code -> UCUM unit -> limits.

Outside the hard limits a value is a slip of the pen and is refused; outside the soft ones it is
kept once its author confirms it. No clinician has reviewed these limits: they are wide on purpose.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple


class Limits(NamedTuple):
    """Lowest and highest value that can be, and that is usual."""

    hard_low: Decimal
    soft_low: Decimal
    soft_high: Decimal
    hard_high: Decimal


def _limits(text: str) -> Limits:
    return Limits(*(Decimal(number) for number in text.split()))


_RATE = {"/min": _limits("10 40 160 350"), "{beats}/min": _limits("10 40 160 350")}
_BREATHS = {"/min": _limits("2 8 40 120"), "{breaths}/min": _limits("2 8 40 120")}

RANGES: dict[str, dict[str, Limits]] = {
    "8480-6": {"mm[Hg]": _limits("30 80 220 350")},  # systolic pressure
    "8462-4": {"mm[Hg]": _limits("10 40 130 250")},  # diastolic pressure
    "8867-4": _RATE,  # heart rate
    "9279-1": _BREATHS,  # respiratory rate
    "8310-5": {"Cel": _limits("24 35 41 45")},  # body temperature
    "2708-6": {"%": _limits("20 85 100 100")},  # oxygen saturation
    "59408-5": {"%": _limits("20 85 100 100")},  # oxygen saturation, pulse oximetry
    "29463-7": {"kg": _limits("0.2 2 200 500"), "g": _limits("200 2000 15000 30000")},  # weight
    "8302-2": {"cm": _limits("15 45 210 260")},  # height
    "9843-4": {"cm": _limits("10 30 62 90")},  # head circumference
    "39156-5": {"kg/m2": _limits("5 12 60 150")},  # body mass index
    "72514-3": {"{score}": _limits("0 0 10 10"), "1": _limits("0 0 10 10")},  # pain
    "2823-3": {"mmol/L": _limits("0.8 2.5 6.5 15")},  # potassium
    "2951-2": {"mmol/L": _limits("80 120 160 220")},  # sodium
    "2160-0": {"mg/dL": _limits("0.05 0.3 8 50")},  # creatinine, mass
    "14682-9": {"umol/L": _limits("5 25 700 4500")},  # creatinine, moles
    "62238-1": {"mL/min/{1.73_m2}": _limits("0 10 150 250")},  # glomerular filtration, CKD-EPI
    "98979-8": {"mL/min/{1.73_m2}": _limits("0 10 150 250")},  # the same, 2021 equation
    "4548-4": {"%": _limits("2 4 14 25")},  # glycated haemoglobin
    "2345-7": {"mg/dL": _limits("5 50 400 2500")},  # glucose, mass
    "14749-6": {"mmol/L": _limits("0.3 2.8 22 140")},  # glucose, moles
    "718-7": {"g/dL": _limits("1 7 20 30")},  # haemoglobin
    "6301-6": {"{INR}": _limits("0.5 0.8 5 20"), "1": _limits("0.5 0.8 5 20")},  # INR
    "3016-3": {"m[IU]/L": _limits("0 0.1 20 1000"), "mU/L": _limits("0 0.1 20 1000")},  # TSH
}
