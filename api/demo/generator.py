"""What happened at the demo centre, in the order it was recorded.

:func:`history` yields acts oldest first: who did what, when, to whom. It knows nothing of keys,
streams or the ledger; :mod:`releve.api.demo.seeding` turns acts into sealed events through the
domain's own decisions.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from random import Random
from typing import Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from releve.api.demo import medicine, people
from releve.api.demo.golden import Golden, scenes
from releve.domain.commands import (
    AssertAbsence,
    CloseItem,
    Command,
    DeclareMedecinTraitant,
    EndStint,
    OnboardPractitioner,
    OpenCentre,
    OpenItem,
    PlanStint,
    ReadBackHandover,
    RecordAllergy,
    RecordConsultation,
    RecordObservation,
    RecordProblem,
    RegisterPatient,
    SetIllnessSeverity,
    SignNote,
    StartMedication,
    StartStint,
    WriteHandover,
)
from releve.domain.values import Coding, Concept, Identifier, NamedPerson, Quantity, Reaction

PARIS = ZoneInfo("Europe/Paris")
INS_TEST = "urn:oid:1.2.250.1.213.1.4.10"
VISITS_PER_PATIENT_YEAR = 2.98
NEXT_STINTS = 3

Author = Literal["doctor", "coordinator", "system"]


@dataclass(frozen=True)
class Sizes:
    """How large the demo is; the default is one centre's twelve weeks."""

    patients: int = 1800
    weeks: int = 12
    centres: int = 1
    seed: int = 20240418


@dataclass(frozen=True)
class Act:
    """One command at one time. ``target`` and ``stint`` are labels, not stream ids."""

    at: datetime
    label: str
    target: str
    command: Command
    author: Author
    centre: str
    stint: str | None = None
    entry_of: tuple[str, str, int] | None = None
    """(label of an earlier act, topic, which one): the entry that the command refers to."""
    refers: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Fields of the command to fill with a stream id: field -> (kind, label)."""


@dataclass(frozen=True)
class Week:
    """One stint: its doctor and its Monday."""

    label: str
    doctor: tuple[str, str]
    monday: date

    @property
    def starts(self) -> datetime:
        """Monday 08:00, civil time of the centre."""
        return datetime.combine(self.monday, time(8), PARIS)

    @property
    def ends(self) -> datetime:
        """Sunday 20:00, civil time of the centre."""
        return datetime.combine(self.monday + timedelta(days=6), time(20), PARIS)


class Centre:
    """One demo centre and the acts that fill it."""

    def __init__(self, sizes: Sizes, number: int, monday: date) -> None:
        """``monday`` is the first day of the present stint."""
        self.sizes = sizes
        self.number = number
        self.label = f"centre-{number}"
        self.name, self.place = people.CENTRE_NAMES[number % len(people.CENTRE_NAMES)]
        self.monday = monday
        self.first = monday - timedelta(weeks=sizes.weeks)
        doctors = people.DOCTORS[number * 3 :] + people.DOCTORS[: number * 3]
        self.weeks = [
            Week(
                f"{self.label}/stint-{n}",
                doctors[n % len(doctors)],
                self.first + timedelta(weeks=n),
            )
            for n in range(sizes.weeks + 1 + NEXT_STINTS)
        ]

    def week_of(self, at: datetime) -> Week:
        """The stint in which a moment lies."""
        return self.weeks[min((at.date() - self.first).days // 7, self.sizes.weeks)]

    def rng(self, kind: str, key: str) -> Random:
        """The generator of one entity of this centre."""
        return people.generator(self.sizes.seed, f"{self.label}/{kind}", key)

    # what happens

    def opening(self) -> Iterator[Act]:
        """The centre opens, its people are made known, the stints are planned."""
        began = datetime.combine(self.first, time(6), PARIS)
        family, given = people.REFERENT
        second, second_given = people.SECOND_ON_CALL
        finess = people.luhn_completed(f"2300099{self.number}")
        doctors = list(dict.fromkeys([people.REFERENT, *(w.doctor for w in self.weeks)]))
        yield self._act(
            began,
            "open",
            self.label,
            "system",
            OpenCentre(
                centre_name=self.name,
                finess=finess,
                referent=NamedPerson(name=f"Dr {given} {family}", phone="05 99 00 00 01"),
                on_call_chain=(
                    NamedPerson(name=f"Dr {given} {family}", phone="05 99 00 00 01"),
                    NamedPerson(name=f"Dr {second_given} {second}", phone="05 99 00 00 02"),
                ),
                address=f"1 place du Foirail, {self.place}",
                phones=(
                    ("SAMU", "15"),
                    ("Laboratoire", "05 99 00 00 10"),
                    ("Pharmacie", "05 99 00 00 11"),
                    ("Infirmières", "05 99 00 00 12"),
                ),
            ),
        )
        for n, (name, first) in enumerate(doctors):
            yield self._act(
                began + timedelta(minutes=5, seconds=n),
                f"onboard-{name}",
                f"{self.label}/doctor-{name}",
                "system",
                OnboardPractitioner(
                    family=name,
                    given=first,
                    rpps=people.luhn_completed(f"1099{self.number:01d}{n:05d}"),
                    qualification="Médecine générale",
                    role="referent" if (name, first) == people.REFERENT else "doctor",
                ),
            )
        name, first = people.COORDINATOR
        yield self._act(
            began + timedelta(minutes=8),
            f"onboard-{name}",
            f"{self.label}/coordinator",
            "system",
            OnboardPractitioner(family=name, given=first, title="Mme", role="coordinator"),
        )
        for n, week in enumerate(self.weeks):
            name, first = week.doctor
            yield self._act(
                began + timedelta(minutes=10, seconds=n),
                "plan",
                week.label,
                "coordinator",
                PlanStint(
                    practitioner=people_id(),
                    practitioner_name=f"Dr {first} {name}",
                    centre=people_id(),
                    starts_at=week.starts.isoformat(),
                    ends_at=week.ends.isoformat(),
                ),
                refers={
                    "practitioner": ("practitioner", f"{self.label}/doctor-{name}"),
                    "centre": ("centre", self.label),
                },
            )

    def stint_acts(self) -> Iterator[Act]:
        """Stints start on Monday and end on Sunday; the present one has started."""
        for n, week in enumerate(self.weeks[: self.sizes.weeks + 1]):
            yield self._act(
                week.starts, "start", week.label, "coordinator", StartStint(rpps_verified=True)
            )
            if n < self.sizes.weeks:
                yield self._act(
                    week.ends, "end", week.label, "coordinator", EndStint(cause="planned")
                )

    def golden_acts(self) -> Iterator[Act]:
        """The hand-written scenes; registered on the first day of the oldest week they need."""
        for golden in scenes(self.monday):
            target = f"{self.label}/golden-{golden.key}"
            yield from self._registration(
                target, datetime.combine(self.first, time(7), PARIS), golden_person(golden)
            )
            for n, step in enumerate(golden.steps):
                at = datetime.combine(self.monday + timedelta(days=step.day), step.at, PARIS)
                at = max(at, datetime.combine(self.first, time(9, n), PARIS))
                label = f"{golden.key}-{step.label or n}"
                entry = None
                if step.closes:
                    entry = (f"{target}:{golden.key}-{step.closes}", "patient.item-opened", 0)
                yield self._act(
                    at,
                    label,
                    target,
                    "doctor",
                    step.command,
                    stint=self.week_of(at).label,
                    entry_of=entry,
                )

    def plain_acts(self, golden: int) -> Iterator[Act]:
        """Everybody else: registered over the weeks, seen at the pace of a real centre."""
        count = self.sizes.patients - golden
        inhabitants = [
            people.inhabitant(self.sizes.seed + self.number, n, self.first) for n in range(count)
        ]
        registered: list[datetime] = []
        for person in inhabitants:
            rng = self.rng("registration", str(person.index))
            week = 0 if rng.random() < 0.7 else rng.randrange(self.sizes.weeks)
            at = datetime.combine(
                self.first + timedelta(weeks=week, days=rng.randrange(4)), time(8, 5), PARIS
            ) + timedelta(seconds=rng.randrange(34_000), microseconds=person.index)
            registered.append(at)
            yield from self._registration(f"{self.label}/patient-{person.index}", at, person)
        seen: set[int] = set()
        for at, index in self._visits(inhabitants, registered):
            yield from self._visit(at, inhabitants[index], first=index not in seen)
            seen.add(index)

    def _visits(
        self, inhabitants: list[people.Person], registered: list[datetime]
    ) -> Iterator[tuple[datetime, int]]:
        total = round(self.sizes.patients * self.sizes.weeks * VISITS_PER_PATIENT_YEAR / 52)
        weights = [0.6 + (self.first.year - p.born.year) / 40 for p in inhabitants]
        visits = []
        for n in range(total):
            rng = self.rng("visit", str(n))
            monday = self.first + timedelta(weeks=n * self.sizes.weeks // total)
            day = rng.choices(range(5), weights=(30, 22, 22, 10, 20))[0]
            minutes = (
                rng.randrange(240) if day == 3 or rng.random() < 0.5 else 300 + rng.randrange(220)
            )
            at = datetime.combine(monday + timedelta(days=day), time(8, 40), PARIS)
            at += timedelta(minutes=minutes, seconds=rng.randrange(60), microseconds=n)
            for _ in range(20):
                index = rng.choices(range(len(inhabitants)), weights=weights)[0]
                if registered[index] < at:
                    visits.append((at, index))
                    break
        return iter(sorted(visits))

    def _visit(self, at: datetime, person: people.Person, *, first: bool) -> Iterator[Act]:
        rng = self.rng("consultation", f"{person.index}@{at:%Y%m%d%H%M%S%f}")
        age = (at.date() - person.born).days / 365.25
        problems = self._problems_of(person)
        problem = rng.choice(problems)
        target = f"{self.label}/patient-{person.index}"
        week = self.week_of(at)
        label = f"visit-{at:%Y%m%d%H%M%S%f}"
        witness = people.invented_word(rng).capitalize()
        item = None
        if problem.follow_up and rng.random() < 0.45:
            kind, text, days = problem.follow_up
            due = at.date() + timedelta(days=days + rng.randrange(4))
            item = OpenItem(kind=kind, text=text, due=due.isoformat(), done_when=f"{text} : fait")  # type: ignore[arg-type] # the table's kinds are ItemKind
        watched = (
            item is not None
            and at.date() >= self.monday - timedelta(days=7)
            and rng.random() < 0.12
        )
        yield self._act(
            at,
            label,
            target,
            "doctor",
            RecordConsultation(
                mode="visite" if age > 80 and rng.random() < 0.4 else "cabinet",
                reason=problem.label,
                note=self._note(rng, person, problem, witness),
                observations=self._vitals(rng, age),
                problems=self._recorded(problems, at) if first else (),
                medications=self._treatments(problems, at) if first else (),
                allergies=self._allergy(person) if first else (),
                absences=self._absence(person, at) if first else (),
                items=(item,) if item else (),
                severity=SetIllnessSeverity(
                    severity="watcher",
                    reason=f"À revoir : {problem.label.lower()}",
                    review_by=(self.monday + timedelta(days=3)).isoformat(),
                )
                if watched
                else None,
            ),
            stint=week.label,
        )
        if item:
            yield from self._close(rng, target, f"{target}:{label}", item)
        if watched:
            yield from self._hand_over(rng, target, label, week, problem)

    def _close(self, rng: Random, target: str, opened: str, item: OpenItem) -> Iterator[Act]:
        done = date.fromisoformat(item.due or "") + timedelta(days=rng.randrange(-2, 2))
        while done.weekday() >= 5:
            done += timedelta(days=1)
        at = datetime.combine(done, time(9), PARIS) + timedelta(seconds=rng.randrange(12_000))
        if at >= datetime.combine(self.monday, time(7), PARIS) or rng.random() < 0.02:
            return
        yield self._act(
            at,
            f"close-{opened}",
            target,
            "doctor",
            CloseItem(
                item=people_id(), outcome="done", evidence=f"{item.text} : fait, patient informé."
            ),
            stint=self.week_of(at).label,
            entry_of=(opened, "patient.item-opened", 0),
        )

    def _hand_over(
        self, rng: Random, target: str, visit: str, week: Week, problem: medicine.Problem
    ) -> Iterator[Act]:
        at = datetime.combine(week.monday + timedelta(days=4), time(18), PARIS)
        at += timedelta(minutes=rng.randrange(40), seconds=rng.randrange(60))
        handover = f"handover-{visit}"
        yield self._act(
            at,
            handover,
            target,
            "doctor",
            WriteHandover(
                severity="watcher",
                severity_reason=f"À revoir : {problem.label.lower()}",
                review_by=(week.monday + timedelta(days=10)).isoformat(),
                summary=f"{problem.label}, à revoir cette semaine",
                actions=("Revoir en consultation",),
                situation="Prévenu qu'un autre médecin le reverra.",
            ),
            stint=week.label,
        )
        following = self.weeks[self.weeks.index(week) + 1]
        if following.monday < self.monday:
            yield self._act(
                following.starts + timedelta(minutes=45 + rng.randrange(60)),
                f"take-{visit}",
                target,
                "doctor",
                ReadBackHandover(handover=people_id(), kind="takes"),
                stint=following.label,
                entry_of=(f"{target}:{handover}", "patient.handover-written", 0),
            )

    # a plain patient's medicine

    def _problems_of(self, person: people.Person) -> list[medicine.Problem]:
        rng = self.rng("problems", str(person.index))
        age = (self.monday - person.born).days / 365.25
        fitting = [
            p
            for p in medicine.PROBLEMS
            if p.ages[0] <= age <= p.ages[1] and p.sex in (None, person.sex)
        ] or [medicine.PROBLEMS[13]]
        wanted = 1 + (age > 50) + (age > 70 and rng.random() < 0.6)
        chosen: list[medicine.Problem] = []
        for _ in range(8):
            pick = rng.choices(fitting, weights=[p.weight for p in fitting])[0]
            if pick not in chosen:
                chosen.append(pick)
            if len(chosen) == wanted:
                break
        return chosen

    def _recorded(
        self, problems: list[medicine.Problem], at: datetime
    ) -> tuple[RecordProblem, ...]:
        return tuple(
            RecordProblem(
                concept=Concept(
                    text=p.label,
                    codings=(Coding(system=medicine.CIM10, code=p.cim10, display=p.label),),
                ),
                onset=str(at.year - 1 - len(p.label) % 14) if p.chronic else at.date().isoformat(),
            )
            for p in problems
        )

    def _treatments(
        self, problems: list[medicine.Problem], at: datetime
    ) -> tuple[StartMedication, ...]:
        drugs = dict.fromkeys(d for p in problems for d in p.drugs)
        return tuple(
            StartMedication(
                concept=Concept(
                    text=d.name, codings=(Coding(system=medicine.ATC, code=d.atc, display=d.name),)
                ),
                dose_text=d.dose,
                start=at.date().isoformat(),
            )
            for d in drugs
        )

    def _allergic_to(self, person: people.Person) -> tuple[str, str | None, str] | None:
        rng = self.rng("allergy", str(person.index))
        taken = {d.atc[:5] for p in self._problems_of(person) for d in p.drugs}
        pick = rng.choice(medicine.ALLERGENS)
        return pick if rng.random() < 0.12 and (pick[1] or "-")[:5] not in taken else None

    def _allergy(self, person: people.Person) -> tuple[RecordAllergy, ...]:
        found = self._allergic_to(person)
        if found is None:
            return ()
        substance, atc, manifestation = found
        codings = (Coding(system=medicine.ATC, code=atc, display=substance),) if atc else ()
        return (
            RecordAllergy(
                substance=Concept(text=substance, codings=codings),
                reactions=(Reaction(manifestations=(Concept(text=manifestation),)),),
            ),
        )

    def _absence(self, person: people.Person, at: datetime) -> tuple[AssertAbsence, ...]:
        if self._allergic_to(person) or self.rng("asked", str(person.index)).random() < 0.2:
            return ()
        return (AssertAbsence(slot="allergies", asked_on=at.date().isoformat()),)

    def _vitals(self, rng: Random, age: float) -> tuple[RecordObservation, ...]:
        if age < 15:
            return ()
        rows = rng.sample(medicine.VITALS, 2)
        return tuple(
            RecordObservation(
                code=Concept(
                    text=label, codings=(Coding(system=medicine.LOINC, code=loinc, display=label),)
                ),
                value=Quantity(value=str(rng.randint(*span)), unit=unit, code=unit),
            )
            for loinc, label, unit, span in rows
        )

    def _note(
        self, rng: Random, person: people.Person, problem: medicine.Problem, witness: str
    ) -> SignNote:
        hamlet = person.hamlet.capitalize()
        came = rng.choice(
            (
                f"Vient de {hamlet}, conduit par {witness}",
                f"Habite à {hamlet}. Voisin joignable : {witness}",
                f"Accompagné par M. {witness}, lieu-dit {hamlet}",
                f"Seul à {hamlet}, l'aide-ménagère {witness} passe le mardi",
            )
        )
        return SignNote(
            one_liner=f"{problem.label} : {problem.plan}"[:160],
            subjective=f"{came}. {problem.plaint.capitalize()}.",
            objective=f"{problem.exam.capitalize()}.",
            assessment=rng.choice(
                (f"{problem.label}, stable.", f"{problem.label}.", "Équilibre correct.")
            ),
            plan=f"{problem.plan.capitalize()}.",
        )

    def _registration(self, target: str, at: datetime, person: people.Person) -> Iterator[Act]:
        yield self._act(
            at,
            "register",
            target,
            "coordinator",
            RegisterPatient(
                birth_name=person.family,
                first_names=(person.given,),
                birth_date=person.born.isoformat(),
                sex=person.sex,  # type: ignore[arg-type] # female or male
                birth_place=person.insee,
                prior_search="name",
                identifiers=(Identifier(system=INS_TEST, value=person.ins, use="official"),),
            ),
        )
        yield self._act(
            at + timedelta(milliseconds=200),
            "declare",
            target,
            "coordinator",
            DeclareMedecinTraitant(
                kind="centre",
                since=at.date().isoformat(),
                centre=people_id(),
                finess=people.luhn_completed(f"2300099{self.number}"),
            ),
            refers={"centre": ("centre", self.label)},
        )

    def _act(
        self,
        at: datetime,
        label: str,
        target: str,
        author: Author,
        command: Command,
        *,
        stint: str | None = None,
        entry_of: tuple[str, str, int] | None = None,
        refers: dict[str, tuple[str, str]] | None = None,
    ) -> Act:
        return Act(
            at=at,
            label=f"{target}:{label}",
            target=target,
            command=command,
            author=author,
            centre=self.label,
            stint=stint,
            entry_of=entry_of,
            refers=refers or {},
        )


def golden_person(golden: Golden) -> people.Person:
    """A golden patient's traits."""
    insee = "23999"
    return people.Person(
        index=-1,
        family=golden.family,
        given=golden.given,
        sex=golden.sex,
        born=golden.born,
        hamlet="",
        insee=insee,
        ins=people.test_ins(golden.sex, golden.born, insee, len(golden.key) * 7),
    )


def people_id() -> UUID:
    """A place for an id that the seeder fills in (``refers`` and ``entry_of``)."""
    return UUID(int=0)


def history(sizes: Sizes, monday: date) -> Iterator[Act]:
    """Every act of every centre, by time of recording."""
    streams = []
    for number in range(sizes.centres):
        centre = Centre(sizes, number, monday)
        acts = [*centre.opening(), *centre.stint_acts(), *centre.golden_acts()]
        acts += centre.plain_acts(golden=len(scenes(monday)))
        acts.sort(key=lambda act: (act.at, act.label))
        streams.append(acts)
    return heapq.merge(*streams, key=lambda act: (act.at, act.label))
