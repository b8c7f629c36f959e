"""What the desk writes: identities, contact details, INS, dates of grants, the agenda."""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random

from releve.api.demo import calendar, people
from releve.api.demo.acts import INS_TEST, LATER
from releve.api.demo.background import Chart
from releve.api.demo.calendar import working
from releve.api.demo.course import ald_dates, has_ald
from releve.api.demo.scribe import Scribe
from releve.domain.commands import (
    ChangeAldStatus,
    ChangeContactDetails,
    ChangeInsStatus,
    DeclareMedecinTraitant,
    EndMedecinTraitant,
    NoticeAppointment,
    RecordDeath,
    RegisterPatient,
)
from releve.domain.values import Identifier, RelatedPerson


def register(scribe: Scribe, chart: Chart, at: datetime, *, qualified: bool | None = None) -> None:
    """An identity is opened and the centre declared médecin traitant; then the rest is gathered."""
    person, target = chart.person, chart.target
    rng = scribe.rng("desk", str(person.index) if person.index >= 0 else target)
    scribe.write(
        at, "register", target, "coordinator",
        RegisterPatient(
            birth_name=person.family,
            first_names=(person.given,),
            birth_date=person.born.isoformat(),
            sex=person.sex,  # type: ignore[arg-type] # female or male
            birth_place=person.insee,
            prior_search="name",
            identifiers=(Identifier(system=INS_TEST, value=person.ins, use="official"),),
        ),
    )  # fmt: skip
    scribe.write(
        at + timedelta(milliseconds=200), "declare", target, "coordinator",
        DeclareMedecinTraitant(kind="centre", since=at.date().isoformat(), centre=LATER,
                               finess=people.luhn_completed(f"2300099{scribe.number}")),
        refers={"centre": scribe.label},
    )  # fmt: skip
    if person.phones:
        relative = RelatedPerson(name=person.relative, phone=person.phones[-1][1],
                                 relationship=person.relationship) if person.relative else None  # fmt: skip
        minor = person.relationship == "parent" and chart.age(at.date()) < 18
        scribe.write(
            at + timedelta(milliseconds=400), "contact", target, "coordinator",
            ChangeContactDetails(
                phones=person.phones, address=person.address,
                trusted_person=None if minor else relative,
                legal_representatives=(relative,) if minor and relative else (),
            ),
        )  # fmt: skip
    place = rng.random() if qualified is None else 0.0
    ins = {"matricule": person.ins, "system": INS_TEST}
    status: ChangeInsStatus | None = None
    if place < 0.66:
        status = ChangeInsStatus(status="qualifiee", proof="carte d'identité", service=True, **ins)
    elif place < 0.78:
        status = ChangeInsStatus(status="recuperee", service=True, **ins)
    elif place < 0.86:
        status = ChangeInsStatus(status="validee", proof="passeport")
    if status is not None:
        scribe.write(at + timedelta(milliseconds=600), "ins", target, "coordinator", status)
    if person.index >= 0 and has_ald(scribe, chart):
        starts, ends = ald_dates(scribe, chart)
        scribe.write(at + timedelta(milliseconds=800), "ald", target, "coordinator",
                     ChangeAldStatus(status="granted", starts=starts, ends=ends))  # fmt: skip


def renewals(scribe: Scribe, charts: list[Chart]) -> None:
    """Grants that end soon and were renewed by the desk, and a few that ended."""
    for chart in charts:
        rng = scribe.rng("renewal", str(chart.person.index))
        if not has_ald(scribe, chart) or chart.dead is not None or rng.random() > 0.04:
            continue
        ends = ald_dates(scribe, chart)[1]
        at = _some_time(scribe, chart, rng)
        until = datetime.fromisoformat(ends).date().replace(day=1) + timedelta(days=1826)
        command = (
            ChangeAldStatus(status="ended", ends=at.date().isoformat())
            if rng.random() < 0.12
            else ChangeAldStatus(status="renewed", ends=until.isoformat())
        )
        scribe.write(at, "ald-renewal", chart.target, "coordinator", command)


def departures(scribe: Scribe, charts: list[Chart], rate: float) -> None:
    """Who moved away: the declaration ends, the record stays."""
    for chart in charts:
        rng = scribe.rng("departure", str(chart.person.index))
        if rng.random() >= rate or chart.visited or chart.dead is not None:
            continue
        at = _some_time(scribe, chart, rng)
        scribe.write(
            at, "moved-away", chart.target, "coordinator",
            EndMedecinTraitant(ended=at.date().isoformat(), reason="Déménagement",
                               successor=rng.choice((None, "Cabinet de la ville"))),
        )  # fmt: skip


def deaths(scribe: Scribe, charts: list[Chart]) -> None:
    """Some of the oldest die; nothing is done for them afterwards."""
    years = scribe.sizes.weeks / 52
    for chart in charts:
        rng = scribe.rng("death", str(chart.person.index))
        if chart.age(scribe.monday) < 82 or rng.random() > 0.11 * years:
            continue
        at = _some_time(scribe, chart, rng)
        made = scribe.write(
            at, "death", chart.target, "doctor",
            RecordDeath(date=(at.date() - timedelta(days=1)).isoformat(), source="Appel de la famille"),
        )  # fmt: skip
        if made:
            chart.dead = at.date() - timedelta(days=1)


def _some_time(scribe: Scribe, chart: Chart, rng: Random) -> datetime:
    """An open moment from two days after the registration to the present."""
    first = (chart.since or scribe.now) + timedelta(days=2)
    return working(first + max(timedelta(0), scribe.now - first) * rng.random(), rng)


def appointments(scribe: Scribe, charts: list[Chart]) -> None:
    """The agenda of the present week as it stands on Monday morning; a few were cancelled."""
    alive = [chart for chart in charts if chart.dead is None]
    if not alive:
        return
    rng = scribe.rng("agenda", "present")
    count = round(scribe.sizes.patients * 0.045)
    days = [scribe.monday + timedelta(days=n) for n in range(5)]
    quarters = [at for day in days for at in calendar.slots(day)]
    weights = [0.5 + chart.visited + len(chart.conditions) * 0.4 for chart in alive]
    chosen = rng.sample(quarters, min(count, len(quarters)))
    taken: set[str] = set()
    for n, starts in enumerate(sorted(chosen)):
        chart = rng.choices(alive, weights=weights)[0]
        if chart.target in taken:
            continue
        taken.add(chart.target)
        noticed = working(scribe.now - timedelta(days=rng.choice((3, 3, 4, 5, 6, 10))), rng, 480)
        if chart.since is None or noticed < chart.since:
            continue
        told = NoticeAppointment(
            starts_at=starts.isoformat(), reference=f"agenda-{scribe.number}-{n}"
        )
        scribe.write(noticed, f"appointment-{n}", chart.target, "secretary", told)
        if rng.random() < 0.04:
            cancelled = NoticeAppointment(
                starts_at=starts.isoformat(), status="cancelled", reference=told.reference
            )
            scribe.write(
                noticed + timedelta(hours=20),
                f"cancelled-{n}",
                chart.target,
                "secretary",
                cancelled,
            )
