"""The life of one centre: it opens, people come and go, weeks begin and end."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime, time, timedelta

from releve.api.demo import calendar, people
from releve.api.demo.acts import LABORATORY, LATER, PARIS, Author
from releve.api.demo.calendar import Week, working
from releve.api.demo.course import EHPADS
from releve.api.demo.scribe import Scribe
from releve.domain.aggregates.health_centre import public_holidays
from releve.domain.commands import (
    ActivateRulesRelease,
    AddSite,
    CancelStint,
    ChangePolicy,
    ChangeRoster,
    CloseHandover,
    EndStint,
    GrantRole,
    OnboardPractitioner,
    OpenCentre,
    PlanStint,
    RecordClosure,
    RecordGap,
    ReviseStint,
    RevokeRole,
    StartStint,
    SuspendPractitioner,
    TakeWatch,
    VerifyPractitioner,
)
from releve.domain.events import Role
from releve.domain.values import ExpectedSource, NamedPerson, OpeningSlot
from releve.projections.rule_release import CURRENT, SIGNER, load_rules, release_bytes

REFERENT = NamedPerson(name=f"Dr {people.REFERENT[1]} {people.REFERENT[0]}", phone="05 36 49 00 01")
SECOND = NamedPerson(
    name=f"Dr {people.SECOND_ON_CALL[1]} {people.SECOND_ON_CALL[0]}", phone="05 36 49 00 02"
)
COORDINATOR = NamedPerson(
    name=f"Mme {people.COORDINATOR[1]} {people.COORDINATOR[0]}", phone="05 36 49 00 03"
)
FORMER = ("Sauveterre", "Gontran")
"""A doctor whose registration lapsed: suspended, with no stint."""

MESSAGES = (
    "Le laboratoire appelle après 18 h.", "La pharmacie ferme le lundi matin.", "",
    "Imprimante du bureau 2 en panne.", "Merci à toutes et à tous pour l'accueil.", "",
)  # fmt: skip
FIRST_ACTIONS = (
    "J'appelle d'abord les patients instables", "Je lis les résultats de vendredi",
    "Je commence par la visite à domicile prévue", "Je rappelle le laboratoire à neuf heures",
)  # fmt: skip


TRAINEE_STINT = "stint-trainee"


class CentreLife:
    """Everything that happens to the centre itself and to those who work there."""

    def __init__(self, scribe: Scribe) -> None:
        self.scribe = scribe
        self.finess = people.luhn_completed(f"2300099{scribe.number}")
        self.began = datetime.combine(scribe.first, time(6), PARIS)
        trainee = Week(
            f"{scribe.label}/{TRAINEE_STINT}", people.TRAINEE, scribe.monday - timedelta(weeks=2),
            mode="interne", last_day=4,
        )  # fmt: skip
        part_time = Week(
            f"{scribe.label}/stint-part-time", people.SECOND_ON_CALL, scribe.first,
            mode="salarie", first_day=1, last_day=2,
        )  # fmt: skip
        self.besides = [week for week in (trainee, part_time) if week.monday >= scribe.first]
        """Stints that overlap the week's own: a trainee's, and a salaried doctor's two days."""

    def write(self) -> None:
        """All of it, in the order of its concerns; the history sorts by time."""
        self._rules()
        self._opening()
        self._people()
        self._stints()
        self._weeks()
        self._hours()

    def _centre(
        self,
        at: datetime,
        label: str,
        command: object,
        author: Author = "system",
        refers: Mapping[str, str] | None = None,
    ) -> None:
        self.scribe.write(at, label, self.scribe.label, author, command, refers=refers)  # type: ignore[arg-type] # a Command

    def _rules(self) -> None:
        """The signed release that briefings are ranked with; once for the whole installation."""
        if self.scribe.number == 0:
            rules = load_rules(CURRENT)
            self.scribe.write(
                self.began - timedelta(minutes=1), "activate", "rules", "system",
                ActivateRulesRelease(
                    release=CURRENT,
                    sha256=hashlib.sha256(release_bytes(CURRENT)).hexdigest(),
                    signer=SIGNER,
                    reviewed_by=rules.reviewed_by,
                ),
            )  # fmt: skip

    def _opening(self) -> None:
        name, place = people.CENTRE_NAMES[self.scribe.number % len(people.CENTRE_NAMES)]
        self._centre(self.began, "open", OpenCentre(
            centre_name=name,
            finess=self.finess,
            referent=REFERENT,
            on_call_chain=(REFERENT, SECOND),
            address=f"1 place du Foirail, {place}",
            phones=(("SAMU", "15"), ("Laboratoire", "05 36 49 00 10"),
                    ("Pharmacie", "05 36 49 00 11"), ("Infirmières", "05 36 49 00 12")),
        ))  # fmt: skip
        for n, site in enumerate(EHPADS):
            self._centre(
                self.began + timedelta(minutes=1 + n), f"site-{n}",
                AddSite(site_name=site, kind="ehpad", address=f"{n + 3} allée du Parc, {place}",
                        phone=f"05 36 49 00 2{n}"), "coordinator",
            )  # fmt: skip

    def _people(self) -> None:
        doctors = [
            people.REFERENT,
            people.SECOND_ON_CALL,
            *(w.doctor for w in self.scribe.weeks),
            FORMER,
        ]
        at = self.began + timedelta(minutes=5)
        for n, (name, given) in enumerate(dict.fromkeys(doctors)):
            label = self.scribe.person((name, given))
            role: Role = "referent" if (name, given) == people.REFERENT else "doctor"
            self._onboard(at + timedelta(seconds=n), label, name, given, "Dr", role, n)
            self.scribe.write(
                at + timedelta(seconds=n, milliseconds=500), "verify", label, "coordinator",
                VerifyPractitioner(proof="Annuaire Santé, inscription à l'Ordre contrôlée"),
            )  # fmt: skip
        self._onboard(at + timedelta(minutes=2), self.scribe.person(people.TRAINEE),
                      *people.TRAINEE, "Mme", "intern", 900)  # fmt: skip
        staff: tuple[tuple[str, tuple[str, str], str, Role], ...] = (
            ("coordinator", people.COORDINATOR, "Mme", "coordinator"),
            ("secretary", people.SECRETARIES[0], "Mme", "secretary"),
            ("secretary-2", people.SECRETARIES[1], "M.", "secretary"),
            ("nurse", people.NURSE, "Mme", "nurse"),
        )
        for n, (key, (name, given), title, role) in enumerate(staff):
            self._onboard(self.began + timedelta(minutes=3, seconds=n),
                          f"{self.scribe.label}/{key}", name, given, title, role, None)  # fmt: skip
        self._rights()

    def _onboard(
        self, at: datetime, label: str, name: str, given: str, title: str, role: Role, n: int | None
    ) -> None:
        rpps = None if n is None else people.luhn_completed(f"1099{self.scribe.number}{n:05d}")
        self.scribe.write(at, "onboard", label, "system", OnboardPractitioner(
            family=name, given=given, title=title, rpps=rpps,
            qualification="Médecine générale" if n is not None else "", role=role,
        ))  # fmt: skip

    def _rights(self) -> None:
        """A role given and taken back; a doctor whose right to practise lapsed."""
        label, centre = f"{self.scribe.label}/secretary-2", {"centre": self.scribe.label}
        day = self.began + timedelta(days=2, hours=3)
        nurse = f"{self.scribe.label}/nurse"
        for n, (who, role) in enumerate(((nurse, "nurse"), (label, "coordinator"))):
            self.scribe.write(day + timedelta(minutes=n), "grant", who, "system",
                              GrantRole(role=role, centre=LATER), refers=centre)  # type: ignore[arg-type] # fmt: skip
        self.scribe.write(
            day + timedelta(days=9), "revoke", label, "system",
            RevokeRole(role="coordinator", centre=LATER, reason="Fin du remplacement"),
            refers=centre,
        )  # fmt: skip
        self.scribe.write(
            day + timedelta(days=11), "suspend", self.scribe.person(FORMER), "coordinator",
            SuspendPractitioner(reason="Inscription à l'Ordre interrompue"),
        )  # fmt: skip

    def _plan(self, at: datetime, week: Week) -> None:
        name, given = week.doctor
        title = "" if week.mode == "interne" else "Dr "
        self.scribe.write(
            at, "plan", week.label, "coordinator",
            PlanStint(practitioner=LATER, practitioner_name=f"{title}{given} {name}", centre=LATER,
                      starts_at=week.starts.isoformat(), ends_at=week.ends.isoformat(),
                      mode=week.mode),  # type: ignore[arg-type] # a StintMode
            refers={"practitioner": self.scribe.person(week.doctor), "centre": self.scribe.label},
        )  # fmt: skip

    def _stints(self) -> None:
        """Planned, confirmed, and one that its doctor gave up."""
        at = self.began + timedelta(minutes=10)
        for n, week in enumerate([*self.scribe.weeks, *self.besides]):
            self._plan(at + timedelta(seconds=n), week)
        given_up = Week(f"{self.scribe.label}/stint-given-up", self.scribe.weeks[0].doctor,
                        self.scribe.monday + timedelta(weeks=calendar.NEXT_STINTS + 1))  # fmt: skip
        self._plan(at + timedelta(minutes=2), given_up)
        self.scribe.write(
            working(self.scribe.now - timedelta(days=5), self.scribe.rng("give-up", "0")), "cancel",
            given_up.label, "coordinator", CancelStint(reason="Désistement pour raison familiale"),
        )  # fmt: skip
        for week in self.scribe.weeks[self.scribe.sizes.weeks + 1 :]:
            self.scribe.write(
                working(self.scribe.now - timedelta(days=5), self.scribe.rng("confirm", week.label)),
                "confirm", week.label, "coordinator",
                ReviseStint(reason="Confirmé par téléphone", confirmed=True),
            )  # fmt: skip

    def _weeks(self) -> None:
        scribe = self.scribe
        past = scribe.sizes.weeks
        for n, week in enumerate([*scribe.weeks[: past + 1], *self.besides]):
            rng = scribe.rng("week", week.label)
            scribe.write(
                week.starts, "start", week.label, "coordinator", StartStint(rpps_verified=True)
            )
            if week.mode == "volontaire":
                scribe.write(
                    working(week.starts + timedelta(minutes=40), rng), "watch", week.label, "doctor",
                    TakeWatch(first_action=rng.choice(FIRST_ACTIONS)), stint=week.label,
                )  # fmt: skip
            if n != past - 2 and week.mode == "volontaire":
                # The one of two weeks ago left without finishing: its golden patient says so.
                at = datetime.combine(week.monday + timedelta(days=4), time(19, 40), PARIS)
                scribe.write(
                    at + timedelta(minutes=rng.randrange(30)), "handed-over", week.label, "doctor",
                    CloseHandover(patients=rng.randint(5, 14), items_left=rng.randint(40, 90),
                                  message=rng.choice(MESSAGES)), stint=week.label,
                )  # fmt: skip
            scribe.write(week.ends, "end", week.label, "coordinator", EndStint(cause="planned"))

    def _hours(self) -> None:
        """Opening hours, expected sources, the roster, days off, a week without a doctor."""
        hours = tuple(
            OpeningSlot(weekday=day, opens=f"{opens:%H:%M}", closes=f"{closes:%H:%M}")
            for day in range(1, 6)
            for opens, closes in (
                (calendar.MORNING,) if day == 4 else (calendar.MORNING, calendar.AFTERNOON)
            )
        )
        self._centre(
            self.began + timedelta(minutes=4), "policy",
            ChangePolicy(opening=hours, expected_sources=(ExpectedSource(system=LABORATORY, within_hours=96),)),
            "coordinator",
        )  # fmt: skip
        self._centre(
            self.began + timedelta(days=1), "roster",
            ChangeRoster(referent=REFERENT, on_call_chain=(REFERENT, SECOND), coordinators=(COORDINATOR,)),
            "coordinator",
            # Whoever is named with their account can be asked a question.
            refers={
                "referent.person": self.scribe.person(people.REFERENT),
                "on_call_chain.0.person": self.scribe.person(people.REFERENT),
                "on_call_chain.1.person": self.scribe.person(people.SECOND_ON_CALL),
                "coordinators.0.person": f"{self.scribe.label}/coordinator",
            },
        )  # fmt: skip
        at = self.began + timedelta(days=1, hours=4)
        for n in range(self.scribe.sizes.weeks * 7 + 60):
            day = self.scribe.first + timedelta(days=n)
            if day in public_holidays(day.year) and day.weekday() < 5:
                self._centre(
                    at + timedelta(seconds=n), f"closure-{day}",
                    RecordClosure(first_day=day.isoformat(), last_day=day.isoformat(), reason="Jour férié"),
                    "coordinator",
                )  # fmt: skip
        empty = self.scribe.monday + timedelta(weeks=calendar.NEXT_STINTS + 2)
        self._centre(
            working(self.scribe.now - timedelta(days=4), self.scribe.rng("gap", "0")), "gap",
            RecordGap(first_day=empty.isoformat(), last_day=(empty + timedelta(days=6)).isoformat(),
                      reason="Aucun volontaire pour cette semaine"), "coordinator",
        )  # fmt: skip
