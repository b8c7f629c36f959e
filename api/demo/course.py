"""The visits of plain patients: what is said, measured, started, changed, asked and handed over."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from random import Random

from releve.api.demo import authors, background, people
from releve.api.demo.acts import LATER, PARIS, Entry
from releve.api.demo.background import Chart, Held, quantity
from releve.api.demo.calendar import Week, workday, working
from releve.api.demo.laboratory_flow import order
from releve.api.demo.scribe import Scribe
from releve.api.demo.tables import growth
from releve.api.demo.tables.drugs import DRUGS
from releve.api.demo.tables.laboratory import PANELS
from releve.api.demo.tables.shapes import Condition, sayable
from releve.domain.commands import (
    AcceptItem,
    AmendNote,
    AnswerQuestion,
    AskQuestion,
    AssertAbsence,
    ChangeAldStatus,
    ChangeMedication,
    CloseItem,
    DeclineItem,
    OfferItem,
    OpenItem,
    ReadBackHandover,
    ReconcileMedications,
    RecordConsultation,
    RecordObservation,
    RecordProblem,
    ReopenItem,
    ReviewSummary,
    ReviseItem,
    ReviseProblem,
    SetContingency,
    SetIllnessSeverity,
    SignNote,
    StartMedication,
    StopMedication,
    WithdrawContingency,
    WriteHandover,
)
from releve.domain.values import Coding, Concept, Owner

QUESTIONS = (
    "Avait-on déjà essayé une dose plus forte ?", "As-tu eu le courrier de l'hôpital ?",
    "Qui dans la famille est à prévenir ?", "Pourquoi ce traitement plutôt qu'un autre ?",
)  # fmt: skip
ANSWERS = (
    "Oui, mal supportée au printemps.", "Non, relance faite avant mon départ.",
    "La fille, dont le numéro est au dossier.", "À sa demande, rien ne s'oppose à changer.",
)  # fmt: skip
IF_THEN = (
    "Fièvre, essoufflement ou malaise => Revoir le jour même, sinon le 15",
    "Ne mange plus ou ne boit plus => Appeler l'entourage, visite avant le soir",
    "Douleur qui réveille malgré le traitement => Appel au médecin en poste, réévaluer la dose",
    "[16-] Ne répond pas à deux appels => Passage de l'infirmière, puis visite",
    "[65-] Confusion ou chute => Visite le jour même, revoir les traitements",
)
PICKED_UP = (
    "Répond au téléphone sans s'essouffler.", "Un proche a décroché et a confirmé.",
    "Rappelé au second essai.", "L'infirmière le confirme.",
)  # fmt: skip
LONGER = (
    "[18-] monitoring : Contrôler la tension au cabinet : 21", "referral : Avis du spécialiste, date à obtenir : 30",
    "[16- @fond] renewal : Ordonnance de fond à renouveler : 42", "admin : Dossier administratif à compléter : 25",
    "[16- @fond] review : Réévaluer le traitement de fond : 38", "[@fond] call : Appeler, tolérance du traitement : 12",
)  # fmt: skip
"""What any visit may leave to do, whatever its reason: kind, text, days."""
LOINC = "http://loinc.org"
ITEM = "patient.item-opened"
EHPADS = ("EHPAD Les Tilleuls", "EHPAD du Val-Fleuri")
SERIOUS = frozenset({"pneumopathie", "erysipele", "coeur", "depression", "bpco", "zona", "rein"})


def measure(loinc: str, label: str, value: str, unit: str) -> RecordObservation:
    """One measure with its LOINC code and UCUM unit."""
    return RecordObservation(
        code=Concept(text=label, codings=(Coding(system=LOINC, code=loinc, display=label),)),
        value=quantity(value, unit),
    )


class Course:
    """One centre's visits, one after the other, each knowing what came before."""

    def __init__(self, scribe: Scribe) -> None:
        self.scribe = scribe

    def visit(self, chart: Chart, at: datetime) -> None:
        """One consultation and all that follows from it."""
        scribe, person = self.scribe, chart.person
        rng = scribe.rng("consultation", f"{person.index}/{chart.visited}")
        day, age = at.date(), chart.age(at.date())
        week = scribe.week_of(at)
        first = not chart.opened
        acute = background.acute_for(rng, chart, day)
        chosen = acute if acute and (not chart.conditions or rng.random() < 0.38) else None
        condition = chosen or rng.choice(
            chart.conditions or [acute or background.CONDITIONS["fatigue"]]
        )
        if not condition.chronic and condition.key in chart.had:
            return
        label = f"visit-{at:%Y%m%d%H%M%S%f}"
        made = f"{chart.target}:{label}"
        problems, medicines = self._written(rng, chart, condition, made, day, first=first)
        panel = condition.panel
        due = panel is not None and (
            day - chart.ordered.get(panel, day - timedelta(days=999))
        ).days >= min(condition.every, 60)
        asked = PANELS[panel][0] if panel and due and rng.random() < 0.85 else ""
        observations, said = self._measures(rng, chart, condition, day)
        note = authors.note(
            scribe.style(week),
            rng,
            authors.Told(
                condition=condition,
                others=tuple(c for c in chart.conditions if c.key != condition.key),
                drugs=tuple(DRUGS[key].name for key in chart.drugs),
                measures=said,
                who=chart.who(day),
                village=person.hamlet,
                families=(people.family_name(rng), people.family_name(rng)),
                previous=chart.note,
                ordered=asked,
            ),
        )
        chart.note = authors.text_of(note)
        dying = chart.dead is not None and chart.dead <= week.monday + timedelta(days=14)
        watched = condition.key in SERIOUS and rng.random() < 0.55 and chart.handed != week.label
        watched = watched and not dying
        item = self._item(rng, chart, condition, day) if not asked else None
        resident = age > 80 and scribe.rng("ehpad", str(person.index)).random() < 0.15
        visited = age > 75 and rng.random() < 0.25
        trigger, action = rng.choice(sayable(IF_THEN, chart.who(day))).split(" => ")
        contingency = SetContingency(
            condition=trigger, action=action, who="médecin en poste",
            valid_until=(day + timedelta(days=12)).isoformat(),
        )  # fmt: skip
        scribe.write(
            at, label, chart.target, "doctor",
            RecordConsultation(
                mode="ehpad" if resident else "visite" if visited else "cabinet",
                site=scribe.rng("ehpad", str(person.index)).choice(EHPADS) if resident else None,
                reason=condition.label,
                note=note,
                observations=observations,
                problems=problems,
                medications=medicines,
                allergies=(background.allergy(chart.allergen, rng),) if first and chart.allergen else (),
                absences=self._absences(rng, chart, day) if first else (),
                items=(item,) if item else (),
                severity=SetIllnessSeverity(
                    severity="watcher",
                    reason=f"À revoir : {condition.label}",
                    review_by=(week.monday + timedelta(days=9)).isoformat(),
                ) if watched else None,
                contingencies=(contingency,) if watched else (),
            ),
        )  # fmt: skip
        chart.opened = True
        chart.visited += 1
        chart.seen = day
        if first:
            self._gathered(chart, at, rng)
        else:
            self._adjusted(rng, chart, at)
        if asked and panel:
            order(scribe, chart, condition, panel, at + timedelta(minutes=6), rng)
        if item:
            self._follow(rng, chart, made, item, at)
        if watched:
            chart.handed = week.label
            self._hand_over(rng, chart, made, condition, week)
        if not first and rng.random() < 0.03:
            self._ask(rng, chart, made, week, at + timedelta(minutes=10))
        if rng.random() < 0.02:
            self._amend(chart, made, at + timedelta(hours=3 + rng.random() * 2))

    # What is written in the consultation

    def _written(
        self, rng: Random, chart: Chart, condition: Condition, made: str, day: date, *, first: bool
    ) -> tuple[tuple[RecordProblem, ...], tuple[StartMedication, ...]]:
        """Problems and treatments of this visit; the chart learns where they stand."""
        problems: list[RecordProblem] = []
        medicines: list[StartMedication] = []
        told = list(chart.conditions) if first else []
        if not condition.chronic:
            told.append(condition)
        for each in told:
            entry = Entry(made, "patient.problem-recorded", len(problems))
            begun = (
                background.onset(rng, each, chart.person, day) if each.chronic else day.isoformat()
            )
            problems.append(background.problem(each, begun))
            if not each.chronic:
                chart.passing[each.key] = entry
                chart.had.add(each.key)
            for key in background.treatments(rng, chart, each, day):
                held = Held(
                    key,
                    Entry(made, "patient.medication-started", len(medicines)),
                    rng.randrange(3),
                    each,
                )
                held.level = min(held.level, len(DRUGS[key].doses) - 1)
                end = None if each.chronic else (day + timedelta(days=7)).isoformat()
                start = day.isoformat()
                if each.chronic and rng.random() < 0.9:
                    start = str(rng.randint(int(begun), day.year - 1))  # taken before they came
                medicines.append(background.started(key, held.level, each, start, end))
                if each.chronic:
                    chart.drugs[key] = held
        return tuple(problems), tuple(medicines)

    def _absences(self, rng: Random, chart: Chart, day: date) -> tuple[AssertAbsence, ...]:
        if chart.allergen or rng.random() < 0.2:
            return ()
        return (AssertAbsence(slot="allergies", asked_on=day.isoformat()),)

    def _item(self, rng: Random, chart: Chart, condition: Condition, day: date) -> OpenItem | None:
        who = chart.who(day)
        if condition.follow_up is not None and rng.random() < 0.6:
            kind, text, days = condition.follow_up
        elif rng.random() < 0.13:
            kind, text, after = rng.choice(sayable(LONGER, who)).split(" : ")
            days = int(after)
        else:
            return None
        due = workday(day + timedelta(days=days + rng.randrange(5)))
        return OpenItem(
            kind=kind,  # type: ignore[arg-type] # an ItemKind
            text=text,
            due=due.isoformat(),
            harm_if_late=condition.key in SERIOUS and rng.random() < 0.3,
        )

    def _measures(
        self, rng: Random, chart: Chart, condition: Condition, day: date
    ) -> tuple[tuple[RecordObservation, ...], tuple[str, ...]]:
        """What is measured, and how a note says it."""
        age = chart.age(day)
        own = self.scribe.rng("body", str(chart.person.index))
        if age < 16:
            return self._child(rng, own, chart, day)
        keys = {c.key for c in chart.conditions}
        height = own.gauss(162 if chart.female else 175, 6)
        index = own.gauss(32 if "obesite" in keys else 24.5, 2.0)
        weight = max(41.0, index * height * height / 10_000 + rng.gauss(0, 0.7))
        systolic = round(own.gauss(136 if "hta" in keys else 122, 9) + rng.gauss(0, 6))
        systolic = min(185, max(92, systolic))
        diastolic = min(104, max(52, round(systolic * 0.45 + own.gauss(17, 3) + rng.gauss(0, 3))))
        rate = min(118, max(48, round(own.gauss(72, 7) + rng.gauss(0, 4))))
        found = [
            measure("8480-6", "Pression artérielle systolique", str(systolic), "mm[Hg]"),
            measure("8462-4", "Pression artérielle diastolique", str(diastolic), "mm[Hg]"),
        ]
        said = [f"TA {systolic}/{diastolic}"]
        if rng.random() < 0.45:
            found.append(measure("29463-7", "Poids", f"{weight:.1f}", "kg"))
            said.append(f"poids {weight:.1f} kg".replace(".", ","))
        if rng.random() < 0.3:
            found.append(measure("8867-4", "Fréquence cardiaque", str(rate), "/min"))
            said.append(f"fréquence {rate}")
        if condition.key in ("bpco", "pneumopathie", "coeur", "asthme", "bronchite"):
            oxygen = rng.randint(92, 98)
            found.append(measure("59408-5", "Saturation en oxygène", str(oxygen), "%"))
            said.append(f"sat {oxygen} %")
        return tuple(found), tuple(said)

    def _child(
        self, rng: Random, own: Random, chart: Chart, day: date
    ) -> tuple[tuple[RecordObservation, ...], tuple[str, ...]]:
        months = growth.months_old(chart.person.born, day)
        sex: growth.Sex = "female" if chart.female else "male"
        score = max(-1.9, min(1.9, own.gauss(0, 0.9)))
        weight = growth.expected("weight", sex, months, score + rng.gauss(0, 0.12))
        height = growth.expected("height", sex, months, score * 0.7 + rng.gauss(0, 0.08))
        found = [
            measure("29463-7", "Poids", f"{weight:.1f}", "kg"),
            measure("8302-2", "Taille", f"{height:.0f}", "cm"),
        ]
        said = [f"poids {weight:.1f} kg".replace(".", ","), f"taille {height:.0f} cm"]
        if months < 30:
            head = growth.expected("head", sex, months, score * 0.4)
            found.append(measure("9843-4", "Périmètre crânien", f"{head:.1f}", "cm"))
            said.append(f"PC {head:.1f} cm".replace(".", ","))
        return tuple(found), tuple(said)

    # What follows

    def _gathered(self, chart: Chart, at: datetime, rng: Random) -> None:
        """The rest of a first visit, line by line."""
        scribe = self.scribe
        for n, command in enumerate(background.life(scribe.rng, chart, at.date())):
            scribe.write(
                at + timedelta(seconds=40 * (n + 1)), f"life-{n}", chart.target, "doctor", command
            )
        covered = [c for c in chart.conditions if c.ald]
        if covered and has_ald(scribe, chart):
            starts, _ = ald_dates(scribe, chart)
            scribe.write(
                at + timedelta(minutes=7), "ald-code", chart.target, "doctor",
                ChangeAldStatus(status="granted", code=covered[0].ald, starts=starts,
                                ends=ald_dates(scribe, chart)[1]),
            )  # fmt: skip
        if len(chart.drugs) >= 3 and rng.random() < 0.2:
            self._reconcile(rng, chart, at + timedelta(minutes=8))
        self._review(rng, chart, at + timedelta(minutes=9))

    def _reconcile(self, rng: Random, chart: Chart, at: datetime) -> None:
        self.scribe.write(
            at, "reconcile", chart.target, "doctor",
            ReconcileMedications(
                against=rng.choice(("ordonnance de sortie", "boîtes apportées", "pharmacie")),
                remarks=rng.choice(("", "Une boîte périmée retirée", "Pas d'écart")),
            ),
            entries={"checked": tuple(held.entry for held in chart.drugs.values())},
        )  # fmt: skip

    def _review(self, rng: Random, chart: Chart, at: datetime) -> None:
        if chart.age(at.date()) >= 75 and rng.random() < 0.3:
            again = at.date() + timedelta(days=90)
            self.scribe.write(at, f"summary-{at:%Y%m%d}", chart.target, "doctor",
                              ReviewSummary(next_review=again.isoformat()))  # fmt: skip

    def _adjusted(self, rng: Random, chart: Chart, at: datetime) -> None:
        """A later visit ends what has passed, and changes or stops a treatment."""
        scribe = self.scribe
        for n, (key, entry) in enumerate(list(chart.passing.items())):
            if entry.act.endswith(f"{at:%Y%m%d%H%M%S%f}"):
                continue
            scribe.write(
                at + timedelta(minutes=2, seconds=n), f"resolved-{key}", chart.target, "doctor",
                ReviseProblem(problem=LATER, clinical_status="resolved",
                              abatement=at.date().isoformat(), reason="Guérison constatée"),
                entries={"problem": entry},
            )  # fmt: skip
            del chart.passing[key]
        held = [
            h
            for h in chart.drugs.values()
            # Folic acid goes with methotrexate, and stays as long as it is taken.
            if h.key not in ("methotrexate", "acide_folique")
            and not h.entry.act.endswith(f"{at:%Y%m%d%H%M%S%f}")
        ]
        if not held:
            return
        pick = rng.choice(held)
        doses = DRUGS[pick.key].doses
        if rng.random() < 0.3 and pick.level + 1 < len(doses):
            pick.level += 1
            scribe.write(
                at + timedelta(minutes=3), f"change-{at:%Y%m%d}", chart.target, "doctor",
                ChangeMedication(medication=LATER, dose_text=doses[pick.level],
                                 reason="Objectif non atteint à la dose précédente"),
                entries={"medication": pick.entry},
            )  # fmt: skip
        elif rng.random() < 0.08:
            del chart.drugs[pick.key]
            scribe.write(
                at + timedelta(minutes=3), f"stop-{at:%Y%m%d}", chart.target, "doctor",
                StopMedication(medication=LATER, reason=rng.choice(("Mal toléré", "N'est plus utile"))),
                entries={"medication": pick.entry},
            )  # fmt: skip

    def _follow(self, rng: Random, chart: Chart, made: str, item: OpenItem, at: datetime) -> None:
        """An item is put off, done, done late, opened again, or left."""
        scribe, entry = self.scribe, Entry(made, ITEM)
        due = date.fromisoformat(item.due or "")
        if rng.random() < 0.08:
            due = workday(due + timedelta(days=7))
            desk = item.kind == "admin" and not item.harm_if_late
            scribe.write(
                working(at + timedelta(days=1), rng), f"put-off-{made[-12:]}", chart.target,
                "secretary" if desk else "doctor",
                ReviseItem(item=LATER, due=due.isoformat(), reason="Demande du patient"),
                entries={"item": entry},
            )  # fmt: skip
        far = (due - at.date()).days > 7
        if far and item.kind in ("referral", "review") and rng.random() < 0.15:
            self._offer(rng, chart, entry, working(at + timedelta(hours=2), rng))
        if rng.random() < 0.01 and due > scribe.monday - timedelta(days=30):
            return  # forgotten, and found soon: nothing stays forgotten for a year
        ready = workday(due - timedelta(days=rng.choice((0, 0, 1, 1, 2, 3))), before=True)
        done = datetime.combine(ready, time(8, 30), PARIS)
        done = working(max(done, at + timedelta(hours=3)), rng, 200)
        closed = scribe.write(
            done, f"close-{made[-12:]}", chart.target, "doctor",
            CloseItem(item=LATER, outcome="done", evidence=f"{item.text} : fait."),
            entries={"item": entry},
        )  # fmt: skip
        if closed and rng.random() < 0.02:
            again = working(done + timedelta(days=1), rng)
            opened = scribe.write(again, f"reopen-{made[-12:]}", chart.target, "doctor",
                                  ReopenItem(item=LATER, reason="À refaire : appel non abouti"),
                                  entries={"item": entry})  # fmt: skip
            if opened:
                scribe.write(working(again + timedelta(days=2), rng), f"close-again-{made[-12:]}",
                             chart.target, "doctor",
                             CloseItem(item=LATER, outcome="done", evidence="Joint ce jour."),
                             entries={"item": entry})  # fmt: skip

    def _offer(self, rng: Random, chart: Chart, entry: Entry, at: datetime) -> None:
        """An item is offered to the référent, who takes it or not."""
        scribe, key = self.scribe, f"{at:%Y%m%d%H%M%S}"
        offered = scribe.write(
            at, f"offer-{key}", chart.target, "doctor",
            OfferItem(item=LATER, to=Owner(role="referent"), message="Tu connais mieux la famille"),
            entries={"item": entry},
        )  # fmt: skip
        if offered is None:
            return
        answer = working(at + timedelta(hours=20), rng, 120)
        takes = rng.random() < 0.7
        command = (
            AcceptItem(item=LATER)
            if takes
            else DeclineItem(item=LATER, reason="Absente cette semaine")
        )
        scribe.write(answer, f"offer-answered-{key}", chart.target, "referent", command,
                     entries={"item": entry})  # fmt: skip

    def _ask(self, rng: Random, chart: Chart, made: str, week: Week, at: datetime) -> None:
        """A question to the doctor of the week before, who mostly answers from home; or a second
        look beside what somebody else wrote.
        """
        scribe = self.scribe
        place = scribe.weeks.index(week)
        before = scribe.weeks[place - 1]
        if place == 0 or before.doctor == week.doctor:
            return
        family, given = before.doctor
        asked = scribe.write(
            at, f"ask-{made[-12:]}", chart.target, "doctor",
            AskQuestion(to=LATER, to_name=f"Dr {given} {family}", text=rng.choice(QUESTIONS),
                        due=(at.date() + timedelta(days=5)).isoformat()),
            refers={"to": scribe.person(before.doctor)},
        )  # fmt: skip
        if asked is None or rng.random() < 0.2:
            return
        answered = min(
            at + timedelta(hours=6 + rng.random() * 60), before.ends + timedelta(days=12)
        )
        scribe.write(
            answered, f"answer-{made[-12:]}", chart.target, "doctor",
            AnswerQuestion(question=LATER, text=rng.choice(ANSWERS)), stint=before.label,
            entries={"question": Entry(asked, "patient.question-asked")},
        )  # fmt: skip

    def _amend(self, chart: Chart, made: str, at: datetime) -> None:
        self.scribe.write(
            at, f"amend-{made[-12:]}", chart.target, "doctor",
            AmendNote(note=LATER, text="Ajout : le conjoint a rappelé, mêmes consignes.",
                      reason="Appel du soir"),
            entries={"note": Entry(made, "patient.note-signed")},
        )  # fmt: skip

    def _hand_over(
        self, rng: Random, chart: Chart, made: str, condition: Condition, week: Week
    ) -> None:
        """Friday's handover (three in ten are poor), Monday's answer, and how the week ended."""
        scribe = self.scribe
        at = datetime.combine(week.monday + timedelta(days=4), time(18, 30), PARIS)
        at += timedelta(seconds=rng.randrange(4_000))
        plans = sayable(condition.plans, chart.who(at.date()))
        poor = rng.random() < 0.3
        written = scribe.write(
            at, f"handover-{made[-12:]}", chart.target, "doctor",
            WriteHandover(
                severity="watcher",
                severity_reason=f"À revoir : {condition.label}",
                review_by=(week.monday + timedelta(days=9)).isoformat(),
                summary="À revoir" if poor else f"{condition.label} : {rng.choice(plans)}"[:160],
                actions=() if poor else ("Revoir ou rappeler mardi", f"Vérifier : {plans[0]}"),
                situation="" if poor else rng.choice((
                    "Prévenu qu'un autre médecin le reverra.", "Joignable le matin, entourage présent.",
                    "Vit seul, voisin prévenu.", "La famille rappellera lundi.")),
            ),
        )  # fmt: skip
        following = scribe.weeks[scribe.weeks.index(week) + 1]
        if written is None or following.monday >= scribe.monday:
            return
        answer = working(following.starts, rng, 110)
        kind = rng.choice(("takes", "takes", "takes", "restatement", "question"))
        if following.doctor == week.doctor:
            kind = "continuation"
        scribe.write(
            answer, f"take-{made[-12:]}", chart.target, "doctor",
            ReadBackHandover(
                handover=LATER, kind=kind,  # type: ignore[arg-type] # one of its kinds
                text={"restatement": "Je l'appelle ce matin et je le revois mardi.",
                      "question": "Quelle est la limite pour l'adresser ?"}.get(kind, ""),
            ),
            entries={"handover": Entry(written, "patient.handover-written")},
        )  # fmt: skip
        seen = working(answer + timedelta(days=rng.choice((1, 1, 2))), rng, 300)
        scribe.write(seen, f"better-{made[-12:]}", chart.target, "doctor",
                     SetIllnessSeverity(severity="stable"))  # fmt: skip
        scribe.write(
            seen + timedelta(minutes=2), f"call-{made[-12:]}", chart.target, "doctor",
            SignNote(subjective=f"Appel : va mieux. {rng.choice(PICKED_UP)}",
                     plan="Fin de la surveillance."),
        )  # fmt: skip
        scribe.write(
            seen + timedelta(minutes=3), f"withdraw-{made[-12:]}", chart.target, "doctor",
            WithdrawContingency(contingency=LATER, reason="Épisode terminé"),
            entries={"contingency": Entry(made, "patient.contingency-set")},
        )  # fmt: skip


def has_ald(scribe: Scribe, chart: Chart) -> bool:
    """Whether one who could have a long-term condition (ALD) was granted it."""
    covered = any(condition.ald for condition in chart.conditions)
    return covered and scribe.rng("ald", str(chart.person.index)).random() < 0.72


def ald_dates(scribe: Scribe, chart: Chart) -> tuple[str, str]:
    """First and last day of the grant: five years, some of which end soon."""
    rng = scribe.rng("ald-dates", str(chart.person.index))
    starts = scribe.first - timedelta(days=rng.randrange(30, 1640))
    return starts.isoformat(), (starts + timedelta(days=1826)).isoformat()
