"""The frame of an edition: where, for whom, after whom, whom to call, and what is amiss.

It holds nothing about a patient: what does stands in the cards, sealed under each patient's key.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, NamedTuple

from releve.projections.dates import french_day, french_hour, zone_of
from releve.projections.directory import CentreEntry, Directory, StintLine
from releve.projections.ranking import Viewpoint
from releve.projections.rhythm import rhythm

REST: Final = "T5"
_TO_ALL: Final = 3
"""Stints before one's own whose words to all are shown, where one was never here."""


class Intake(NamedTuple):
    """What the inbox of a centre holds that belongs to nobody's card, as numbers and senders."""

    unmatched: int = 0
    critical: int = 0
    """Of these, results that are critical, or cannot be compared."""
    silent: tuple[str, ...] = ()
    """Expected senders from whom nothing came for too long."""


def frame_of(
    directory: Directory, centre: CentreEntry, line: StintLine, view: Viewpoint
) -> dict[str, Any]:
    """Where, for whom, after whom and whom to call: the same until the directory changes."""
    before = directory.previous(line.stint)
    own = directory.last_stint_before(line.stint)
    left = own.over_at.astimezone(zone_of(centre.zone)) if own else None
    numbers = [list(each) for each in centre.phones]
    numbers += [[site.name, site.phone] for site in centre.sites if site.phone]
    return {
        "day": view.day.isoformat(),
        "zone": centre.zone,
        "centre": centre.name,
        "doctor": line.practitioner_name,
        "period": _period(line, centre.zone),
        "replaces": before.practitioner_name if before else "",
        "colleagues": [_colleague(each) for each in directory.overlapping(line.stint)],
        "returning": view.returning,
        "left": f"{left:%d/%m}" if left else "",
        "referent": f"{centre.referent.name} {centre.referent.phone}",
        "numbers": numbers,
        "on_call": [f"{each.name} {each.phone}" for each in centre.on_call_chain],
        "messages": _messages(directory, line),
    }


def _messages(directory: Directory, line: StintLine) -> list[str]:
    """What leaving doctors said to all since this one left, or over the last few stints."""
    earlier = [
        each
        for each in directory.stints_of(line.centre)
        if each.starts_at < line.starts_at and not each.cancelled
    ]
    own = directory.last_stint_before(line.stint)
    if own is not None:
        earlier = [each for each in earlier if each.starts_at > own.starts_at]
    return [
        f"{each.practitioner_name} : {each.handover.message}"
        for each in reversed(earlier[-_TO_ALL:])
        if each.handover is not None and each.handover.message
    ]


def intake_alarms(intake: Intake) -> list[str]:
    """What the inbox holds that no card can say: unmatched critical results, silent senders."""
    found = []
    if intake.critical:
        plural = "s" * (intake.critical > 1)
        found.append(
            f"{intake.critical} résultat{plural} critique{plural} non rattaché{plural} : "
            "ouvrir la boîte d'arrivée."
        )
    if intake.silent:
        found.append(f"Rien reçu de : {', '.join(intake.silent)}. Ne pas croire la liste calme.")
    return found


def alarms_of(
    directory: Directory, centre: CentreEntry, view: Viewpoint, intake: Intake, release: str
) -> list[str]:
    """What makes the page less than it should be, said first."""
    found = intake_alarms(intake)
    if not directory.in_post(centre.centre, view.at):
        found.append(
            f"Aucun médecin en poste : 15 ou 116 117. {centre.referent.name} (référent) répond."
        )
    if directory.rules is not None and directory.rules.release != release:
        found.append(f"Règles {directory.rules.release} inconnues ici : {release} appliquées.")
    return found


def issued_head(
    centre: CentreEntry,
    number: int,
    now: datetime,
    tiers: dict[str, int],
    told: dict[str, Any],
    previous: datetime | None,
    release: str,
) -> dict[str, Any]:
    """The part of the head that belongs to one edition alone; ``told`` is said of all patients."""
    return {
        "number": number,
        "issued": _moment(now, centre.zone),
        "last_edition": _moment(previous, centre.zone) if previous else "",
        "tiers": tiers,
        "t5": tiers[REST],
        **told,
        "rule_release": release,
    }


def _moment(at: datetime, zone: str) -> str:
    local = at.astimezone(zone_of(zone))
    return f"{french_day(local.date())} à {french_hour(local)}"


def counted_words(counts: dict[str, int]) -> str:
    """``12 dossiers modifiés, 2 décès, 5 diagnostics``; what is zero is not said."""
    words = {
        "patients": ("dossier modifié", "dossiers modifiés"), "deaths": ("décès", "décès"),
        "diagnoses": ("diagnostic", "diagnostics"),
        "stopped": ("traitement arrêté", "traitements arrêtés"),
        "closed": ("point clos", "points clos"), "results": ("résultat", "résultats"),
    }  # fmt: skip
    return ", ".join(
        f"{counts[name]} {forms[counts[name] > 1]}" for name, forms in words.items() if counts[name]
    )


def _period(line: StintLine, zone: str) -> str:
    """``du lundi 23 novembre 2026 au samedi 28 novembre 2026``, and on which days where told."""
    start, end = (moment.astimezone(zone_of(zone)) for moment in (line.starts_at, line.over_at))
    days = rhythm(line.pattern)
    return f"du {french_day(start.date())} au {french_day(end.date())}" + (days and f", {days}")


def _colleague(line: StintLine) -> str:
    """A colleague's name, and on which days of the week they come, where that was said."""
    days = rhythm(line.pattern)
    return line.practitioner_name + (days and f" ({days})")
