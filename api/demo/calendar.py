"""The centre's hours, and the weeks with their doctors."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from random import Random

from releve.api.demo.acts import PARIS
from releve.domain.aggregates.health_centre import public_holidays

NEXT_STINTS = 3
MORNING = (time(8, 30), time(12, 30))
AFTERNOON = (time(14, 0), time(18, 30))
SLOT = timedelta(minutes=15)
LOAD = (30, 22, 22, 10, 20)
"""Visits by weekday, Monday first: Monday is heaviest, Thursday ends at noon."""


@dataclass(frozen=True)
class Week:
    """One stint: its doctor, its Monday, and how it differs from an ordinary week."""

    label: str
    doctor: tuple[str, str]
    monday: date
    mode: str = "volontaire"
    first_day: int = 0
    last_day: int = 6

    @property
    def starts(self) -> datetime:
        """08:00, civil time of the centre."""
        return datetime.combine(self.monday + timedelta(days=self.first_day), time(8), PARIS)

    @property
    def ends(self) -> datetime:
        """20:00, civil time of the centre."""
        return datetime.combine(self.monday + timedelta(days=self.last_day), time(20), PARIS)


def sessions(day: date) -> tuple[tuple[time, time], ...]:
    """When the centre is open on a day: none at weekends and on holidays, Thursday mornings."""
    if day.weekday() >= 5 or day in public_holidays(day.year):
        return ()
    return (MORNING,) if day.weekday() == 3 else (MORNING, AFTERNOON)


def workday(day: date, *, before: bool = False) -> date:
    """The first open day from ``day`` on, or the last one up to it."""
    while not sessions(day):
        day += timedelta(days=-1 if before else 1)
    return day


def is_open(at: datetime) -> bool:
    """Whether the centre is open at a civil time."""
    there = at.astimezone(PARIS)
    return any(opens <= there.time() < closes for opens, closes in sessions(there.date()))


def slots(day: date) -> list[datetime]:
    """The quarter hours of a day's sessions."""
    found = []
    for opens, closes in sessions(day):
        at, end = (datetime.combine(day, each, PARIS) for each in (opens, closes))
        while at < end:
            found.append(at)
            at += SLOT
    return found


def working(at: datetime, rng: Random, minutes: int = 45) -> datetime:
    """A moment at most ``minutes`` after the first open one from ``at`` on, still open."""
    day = at.date()
    while True:
        for opens, closes in sessions(day):
            begin = max(at, datetime.combine(day, opens, PARIS))
            room = (datetime.combine(day, closes, PARIS) - begin).total_seconds()
            if room > 120:
                seconds = rng.random() * min(room - 60, minutes * 60)
                return begin + timedelta(microseconds=round(seconds * 1e6))
        day += timedelta(days=1)


def visits(first: date, weeks: int, total: int, rng: Random) -> list[datetime]:
    """``total`` moments in open hours, a quarter hour each while there is room."""
    taken: list[datetime] = []
    for week in range(weeks):
        count = total * (week + 1) // weeks - total * week // weeks
        days = [first + timedelta(days=7 * week + n) for n in range(5)]
        open_days = [(day, load) for day, load in zip(days, LOAD, strict=True) if sessions(day)]
        whole = sum(load for _, load in open_days)
        wanted = [count * load // whole for _, load in open_days]
        for n in range(count - sum(wanted)):
            wanted[n % len(wanted)] += 1
        for (day, _), number in zip(open_days, wanted, strict=True):
            quarters = slots(day)
            rounds, rest = divmod(number, len(quarters))
            chosen = quarters * rounds + rng.sample(quarters, rest)
            taken += [at + timedelta(microseconds=rng.randrange(0, 420_000_000)) for at in chosen]
    return sorted(taken)


def stints(doctors: list[tuple[str, str]], first: date, weeks: int, label: str) -> list[Week]:
    """The weeks' stints, one after the other.

    The doctor in post was there six weeks before; every ninth week somebody else comes back.
    """
    found: list[Week] = []
    new = iter(doctors)
    for n in range(weeks + 1 + NEXT_STINTS):
        back = n - 6 if n == weeks or n % 9 == 8 else -1
        if 0 <= back < n and found[back].doctor not in [week.doctor for week in found[-2:]]:
            doctor = found[back].doctor
        else:
            doctor = next(new, None) or doctors[n % len(doctors)]
        found.append(Week(f"{label}/stint-{n}", doctor, first + timedelta(weeks=n)))
    return found
