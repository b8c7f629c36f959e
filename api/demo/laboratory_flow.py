"""From an order to a patient who was told, at the pace of a real laboratory and a real centre."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from random import Random

from releve.api.demo import calendar
from releve.api.demo.acts import LABORATORY, LATER, PARIS, Entry
from releve.api.demo.background import Chart
from releve.api.demo.calendar import working
from releve.api.demo.scribe import Scribe
from releve.api.demo.tables.laboratory import (
    ANALYTES,
    PANELS,
    concept,
    filtration_line,
    line,
)
from releve.api.demo.tables.shapes import Condition
from releve.domain.commands import (
    CloseItem,
    InformPatient,
    OrderInvestigation,
    ReceiveResult,
    RecordContactAttempt,
    ReviewResult,
)
from releve.domain.events import Source
from releve.domain.values import ResultLine

RESULT = "patient.result-received"


def order(
    scribe: Scribe, chart: Chart, condition: Condition, panel: str, at: datetime, rng: Random
) -> None:
    """A panel is ordered; what comes back, who reads it and who tells the patient follow."""
    title, keys = PANELS[panel]
    chart.ordered[panel] = at.date()
    urgent = not condition.chronic
    days = 1 if urgent else rng.randint(1, 14)
    expected = calendar.workday(
        at.date() + timedelta(days=days + (3 if urgent else rng.randint(4, 9)))
    )
    made = scribe.write(
        at,
        f"order-{at:%Y%m%d%H%M%S}",
        chart.target,
        "doctor",
        OrderInvestigation(
            kind="laboratory",
            text=title,
            expected_by=expected.isoformat(),
            codes=tuple(concept(ANALYTES[key].label, ANALYTES[key].loinc) for key in keys),
            why=condition.label,
            criticality="urgent" if urgent else "routine",
            harm_if_late=urgent or condition.key in ("coeur", "pr"),
        ),
    )
    if made is None:
        return
    if rng.random() < 0.03:
        _given_up(scribe, chart, made, expected, rng)
        return
    late = rng.random() < 0.02
    drawn = datetime.combine(at.date() + timedelta(days=days + (12 if late else 0)), time(8), PARIS)
    while drawn.weekday() == 6:
        drawn += timedelta(days=1)
    drawn += timedelta(minutes=rng.randrange(90))
    lines = _lines(chart, keys, drawn, rng)
    arrives = drawn + timedelta(hours=8 + rng.random() * 4)
    report = f"TV{drawn:%y%m%d}{rng.randrange(10_000):04d}"
    status = "final"
    if len(lines) > 2 and rng.random() < 0.1:
        _receive(scribe, chart, made, arrives, title, lines[:2], report, drawn, "partial")
        arrives += timedelta(hours=18 + rng.random() * 6)
    received = _receive(scribe, chart, made, arrives, title, lines, report, drawn, status)
    if received is None:
        return
    told = _read(scribe, chart, received, lines, arrives, rng)
    if told is not None and rng.random() < 0.02:
        amended = (*lines[:-1], _again(lines[-1]))
        again = told + timedelta(hours=26 + rng.random() * 3)
        corrected = _receive(scribe, chart, made, again, title, amended, report, drawn, "corrected")
        if corrected is not None:
            _read(scribe, chart, corrected, amended, again, rng)


def _given_up(scribe: Scribe, chart: Chart, made: str, expected: date, rng: Random) -> None:
    """Never drawn: a doctor says why it is awaited no more, some days after it was due."""
    first = datetime.combine(expected + timedelta(days=rng.choice((1, 2, 4))), time(8, 30), PARIS)
    scribe.write(
        working(first, rng, 300),
        f"given-up-{made[-14:]}",
        chart.target,
        "doctor",
        CloseItem(
            item=LATER, outcome="not-needed", evidence="Pas allé au laboratoire, refait plus tard"
        ),
        entries={"item": Entry(made, "patient.item-opened")},
    )


def _lines(
    chart: Chart, keys: tuple[str, ...], drawn: datetime, rng: Random
) -> tuple[ResultLine, ...]:
    found: list[ResultLine] = []
    for key in keys:
        value = chart.measured(key, rng)
        found.append(line(ANALYTES[key], value))
        if key == "creatinine":
            age = chart.age(drawn.date())
            if age >= 18:
                found.append(filtration_line(value, int(age), female=chart.female))
    return tuple(found)


def _again(told: ResultLine) -> ResultLine:
    """The same line after the laboratory looked again."""
    for analyte in ANALYTES.values():
        if told.value is not None and told.code.text == analyte.label:
            number = float(told.value.value) * 1.04
            return line(analyte, f"{number:.{analyte.digits}f}")
    return told


def _receive(
    scribe: Scribe,
    chart: Chart,
    made: str,
    at: datetime,
    title: str,
    lines: tuple[ResultLine, ...],
    report: str,
    drawn: datetime,
    status: str,
) -> str | None:
    return scribe.write(
        at,
        f"result-{report}-{status}",
        chart.target,
        "laboratory",
        ReceiveResult(
            status=status,  # type: ignore[arg-type] # a ResultStatus
            title=title,
            lines=lines,
            order=LATER,
            report=report,
            laboratory=LABORATORY,
            sampled_at=drawn.isoformat(timespec="seconds"),
        ),
        entries={"order": Entry(made, "patient.investigation-ordered")},
        source=Source(channel="system", system=LABORATORY, source_id=f"{report}/{status}"),
    )


def _read(
    scribe: Scribe,
    chart: Chart,
    received: str,
    lines: tuple[ResultLine, ...],
    arrived: datetime,
    rng: Random,
) -> datetime | None:
    """A doctor reads it, somebody tells the patient; gives when the patient knew."""
    if chart.dead is not None and chart.dead <= arrived.date():
        return None
    wait = timedelta(days=rng.choice((0, 0, 0, 1, 1, 3)))
    at = working(arrived + wait, rng, 180)
    flagged = [each for each in lines if each.interpretation != "N"]
    known = bool(chart.conditions) and rng.random() < 0.8
    verdict = "normal" if not flagged else "known" if known else "abnormal"
    tell = bool(flagged) or rng.random() < 0.6
    action = "Contrôle dans un mois, revu avec le traitement" if verdict == "abnormal" else ""
    entry = {"result": Entry(received, RESULT)}
    reviewed = scribe.write(
        at,
        f"review-{received[-18:]}",
        chart.target,
        "doctor",
        ReviewResult(
            result=LATER,
            verdict=verdict,  # type: ignore[arg-type] # a ResultVerdict
            action=action,
            inform_patient=tell,
            reason="" if tell else "Normal, sera dit à la prochaine consultation",
        ),
        entries=entry,
    )
    if reviewed is None or not tell:
        return at if reviewed else None
    for _ in range(rng.choice((0, 0, 0, 1, 2))):
        at = working(at + timedelta(minutes=20 + rng.random() * 240), rng, 60)
        scribe.write(
            at,
            f"attempt-{at:%Y%m%d%H%M%S}",
            chart.target,
            "secretary",
            RecordContactAttempt(
                channel="phone", outcome=rng.choice(("no-answer", "message-left")), about=LATER
            ),
            entries={"about": Entry(received, RESULT)},
        )
    at = working(at + timedelta(minutes=15 + rng.random() * 200), rng, 90)
    told = scribe.write(
        at,
        f"inform-{received[-18:]}",
        chart.target,
        "doctor",
        InformPatient(
            result=LATER,
            channel="phone" if flagged else rng.choice(("sms", "phone", "letter")),
            text=action or "Résultat expliqué, pas de changement",
        ),
        entries=entry,
    )
    return at if told else None
