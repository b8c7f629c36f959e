"""What the commands do to the record, and read from it: traced like any other door.

Writing goes through the policy as a persona of the demo; reading is the operator's and leaves an
access entry before anything is printed.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from releve.api.cli.runner import FAILED, USAGE, CommandError
from releve.api.demo import people
from releve.api.homonyms import homonyms
from releve.api.inbox import matched_with
from releve.api.services import Services
from releve.domain.commands import (
    COMMANDS,
    Command,
    IssueBriefing,
    OnboardPractitioner,
    OpenCentre,
    PlanStint,
    RegisterPatient,
    StartStint,
    Target,
)
from releve.domain.errors import NotFound, Unavailable
from releve.domain.events import Author, Source
from releve.domain.requests import CommandContext
from releve.domain.values import NamedPerson
from releve.fhir.import_files import Importer, ImportReport, import_files
from releve.fhir.summary import everything_bundle, summary_document
from releve.projections import records
from releve.projections.directory import Directory
from releve.projections.editions import Edition, issue_briefing_data
from releve.projections.timeline import replay
from releve.security.access import EXPORTED, AccessEntry, Accessor
from releve.security.identity import Persona, Session
from releve.security.ledger.export import export_audit

SYSTEM: Final = Author(role="system", name="Relève")
_ACTOR: Final = b"releve"

# Reading


def _account() -> str:
    """The account on this machine, or its number where it has no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _trace(
    services: Services, action: str, what: str, patients: Sequence[UUID], *, exported: bool = False
) -> None:
    """Make the operator's access entry durable; nothing is printed before it is.

    No policy decides here: whoever runs the command holds the keys of the state directory. The
    entry names their account on this machine.
    """
    entry = AccessEntry(
        Accessor(role="administrator", name=f"Ligne de commande ({_account()})"),
        action,
        what,
        tuple(dict.fromkeys(patients)),
        count=len(set(patients)),
        position=services.feed.position(),
    )
    services.access.record(replace(entry, topic=EXPORTED) if exported else entry)


@dataclass(frozen=True)
class Shown:
    """A briefing edition as the command prints it."""

    edition: Edition

    @property
    def data(self) -> dict[str, Any]:
        """The contract's JSON object."""
        return self.edition.to_json()

    def rendered(self, form: Literal["text", "json", "html"] | str) -> str:
        """The edition as text, JSON, or a plain HTML page."""
        if form == "json":
            return msgspec.json.encode(self.data).decode()
        text = self.edition.to_text()
        if form == "text":
            return text
        import html

        return (
            '<!doctype html><html lang="fr"><head><meta charset="utf-8"><title>Briefing</title>'
            f"</head><body><pre>{html.escape(text)}</pre></body></html>\n"
        )


def briefing(
    services: Services,
    *,
    stint: UUID | None,
    finess: str | None,
    edition: UUID | None,
    position: int | None,
    at: datetime | None,
) -> Shown:
    """Issue or show the current edition, or replay a kept one.

    Raises:
        CommandError: no such stint, or no edition is kept there (exit 1).
    """
    directory = services.directory.load()
    if finess is not None and directory.centre_by_finess(finess) is None:
        raise _unknown_centre()
    if edition is not None:
        found = services.editions.replay(edition=edition)
    else:
        chosen = stint or _stint_now(services, directory, finess)
        if position is not None or at is not None:
            found = services.editions.replay(stint=chosen, position=position, at=at)
        else:
            found = issue_current(services, chosen)
    if found is None:
        raise CommandError(
            FAILED,
            "no-edition",
            "Aucune édition n'est gardée à cet endroit.",
            "Un briefing ne se rejoue que s'il a été édité.",
            "Sans sélecteur, `releve briefing` édite celui du séjour en cours.",
        )
    _trace(services, "briefing.read", "briefing", found.patients)
    return Shown(found)


def issue_current(services: Services, stint: UUID) -> Edition:
    """The edition that stands now for a stint, issued and told on its stream if it is new."""
    now = services.clock.for_write()
    directory = services.directory.load()
    edition = services.editions.issue(directory, stint, now)
    if edition.fresh:
        line = directory.stint(stint)
        context = CommandContext(
            author=SYSTEM,
            now=now,
            key=services.blind_index.request_key(_ACTOR, edition.edition.bytes),
            actor=_ACTOR,
            centre=line.centre if line else None,
            source=Source(channel="system"),
        )
        command = msgspec.convert(issue_briefing_data(edition), IssueBriefing)
        services.continuity.execute(command, context, target=stint)
        services.catch_up()
    return edition


def _stint_now(services: Services, directory: Directory, finess: str | None) -> UUID:
    now = services.clock()
    centres = list(directory.centres.values())
    if finess is not None:
        centres = [centre for centre in centres if centre.finess == finess]
    for centre in sorted(centres, key=lambda each: each.finess):
        line = directory.current_or_next(centre.centre, now)
        if line is not None:
            return line.stint
    raise CommandError(
        FAILED,
        "no-stint",
        "Aucun séjour n'est en cours ni prévu.",
        "Un briefing est fait pour un séjour.",
        "Prévoir un séjour, ou donner --stint.",
    )


def replay_patient(
    services: Services,
    patient: UUID,
    *,
    at: datetime | None,
    position: int | None,
    known_at: datetime | None,
) -> dict[str, Any]:
    """The contract's replay object; the replay is itself an access entry."""
    found = replay(services.reader, patient, position=position, known_at=known_at, at=at)
    _trace(services, "clinical.read", "replay", (patient,))
    return found.to_json()


def fhir_of(services: Services, patient: UUID, *, everything: bool) -> bytes:
    """The record as a FHIR document or collection, once its export is written down."""
    found = records.read_patient(services.pool, services.data_keys, patient)
    if found is None:
        raise NotFound
    make = everything_bundle if everything else summary_document
    raw = make(found.summary, services.directory.load())
    _trace(services, "clinical.read", "fhir", (patient,), exported=True)
    return raw


def write_audit_export(
    services: Services, *, patient: UUID | None, finess: str | None, stream: UUID | None, out: Path
) -> dict[str, Any]:
    """Write the evidence on a patient, a centre, a stream, or the whole log."""
    requested: dict[str, str] = {}
    streams: list[UUID] | None = None
    if patient is not None:
        if not records.centres_of_patient(services.pool, patient):
            raise NotFound
        requested, streams = {"patient": patient.hex}, [patient]
    elif stream is not None:
        requested, streams = {"stream": stream.hex}, [stream]
    elif finess is not None:
        requested, streams = {"centre": finess}, _streams_of_centre(services, finess)
    exported = [one for one in streams or () if records.centres_of_patient(services.pool, one)]
    _trace(services, "audit.export", "export", exported, exported=True)
    services.catch_up()
    extra = records.access_positions(services.pool, patient) if patient is not None else []
    done = export_audit(
        services.pool,
        services.sequencer,
        services.checkpointer,
        services.signer,
        requested=requested,
        streams=streams,
        out=out,
        extra=extra,
    )
    return {
        "out": str(out),
        "size": done.size,
        "entries": done.entries,
        "streams": done.streams,
        "vkey": services.signer.vkey,
    }


def _streams_of_centre(services: Services, finess: str) -> list[UUID]:
    directory = services.directory.load()
    centre = directory.centre_by_finess(finess)
    if centre is None:
        raise _unknown_centre()
    with services.pool.connection() as connection:
        rows = connection.execute(
            "SELECT c.patient FROM projection.patient_centre c"
            " JOIN projection.feed f ON f.build = c.build WHERE f.name = 'main' AND c.centre = %s",
            (centre.centre,),
        ).fetchall()
    stints = [line.stint for line in directory.stints_of(centre.centre)]
    return [centre.centre, *stints, *(UUID(str(row[0])) for row in rows)]


# Writing


def catalogue() -> list[dict[str, Any]]:
    """Every command that a door speaks, with schema and an accepted example."""
    return [
        {
            "name": spec.name,
            "target": spec.target,
            "summary": spec.summary,
            "schema": spec.schema(),
            "example": msgspec.to_builtins(dict(spec.example)),
        }
        for spec in COMMANDS.values()
        if spec.public
    ]


def speak_as(
    services: Services,
    persona: Persona,
    name: str,
    data: Any,
    *,
    targets: Mapping[Target, UUID | None],
    client_key: str | None,
    originals: Sequence[bytes] = (),
) -> dict[str, Any]:
    """One command in a persona's name, through the policy; the contract's JSON.

    Raises:
        CommandError: no such command, or its target is missing.
    """
    # The doors' machinery takes longer to load than everything else a command needs.
    from releve.api.acting import authorise_command, perform
    from releve.api.answers import told
    from releve.api.gate import principal_of

    spec = COMMANDS.get(name)
    if spec is None or not spec.public:
        raise CommandError(
            USAGE,
            "unknown-command",
            "Cette commande n'existe pas.",
            "Son nom n'est pas dans la liste.",
            "releve command --list",
        )
    command = spec.parse(data)
    target = targets.get(spec.target)
    if target is None and not spec.creates:
        option, called = _TARGETS[spec.target]
        raise CommandError(
            USAGE,
            "missing-target",
            f"Cette commande s'adresse à un {called}.",
            "Son identifiant n'est pas donné.",
            f"Ajouter --{option} IDENTIFIANT.",
        )
    session = Session(
        persona.persona, b"", b"", bearer=True, expires_at=datetime.now(UTC) + timedelta(hours=1)
    )
    principal = principal_of(services, session)
    granted = authorise_command(services, principal, command, target)
    done = perform(
        services,
        granted,
        command,
        client_key=client_key or str(uuid.uuid4()),
        target=target,
        seen_position=services.feed.position(),
        attachments=originals,
    )
    # Who types this runs the installation, and may ask it for every position.
    return {**told(principal.role, spec.target, done), "position": done.position}


_TARGETS: Mapping[Target, tuple[str, str]] = {
    "patient": ("patient", "dossier"),
    "stint": ("stint", "séjour"),
    "centre": ("centre", "centre"),
    "practitioner": ("practitioner", "praticien"),
    "inbox": ("document", "document de la boîte d'arrivée"),
}
"""The option that names each kind of target, and what a reader calls it."""


def centre_called(services: Services, name: str) -> UUID:
    """The centre of that id or FINESS number.

    Raises:
        CommandError: no centre has that FINESS number.
    """
    with contextlib.suppress(ValueError):
        return UUID(name)
    found = services.directory.load().centre_by_finess(name)
    if found is None:
        raise _unknown_centre()
    return found.centre


def import_fhir(
    services: Services, files: Sequence[Path], *, finess: str | None, keep_going: bool
) -> ImportReport:
    """Import FHIR files into a centre; an empty installation gets one first."""
    centre = centre_of(services, finess)

    def namesakes(command: RegisterPatient, opened: UUID) -> int:
        # The file before may have opened the other record. Where another process holds the
        # projections up, what is known is told: the record stands already.
        with contextlib.suppress(Unavailable):
            services.catch_up()
        return homonyms(services, centre, command, but=opened)

    importer = Importer(
        continuity=services.continuity,
        pool=services.pool,
        blind_index=services.blind_index,
        centre=centre,
        now=services.clock.for_write,
        matched=partial(matched_with, services, centre),
        namesakes=namesakes,
    )
    report = import_files(files, importer, keep_going=keep_going)
    services.settled()
    return report


def centre_of(services: Services, finess: str | None) -> UUID:
    """The centre of that number, without one the first; an empty installation gets one first.

    Raises:
        CommandError: no centre has that number, or there is none and this is production.
    """
    services.catch_up()
    if not services.directory.load().centres:
        _open_demo_centre(services)
        services.catch_up()
    directory = services.directory.load()
    centres = sorted(directory.centres.values(), key=lambda each: each.finess)
    if finess is not None:
        centres = [centre for centre in centres if centre.finess == finess]
    if not centres:
        raise _unknown_centre()
    return centres[0].centre


def _unknown_centre() -> CommandError:
    return CommandError(
        USAGE,
        "unknown-centre",
        "Aucun centre n'a ce numéro FINESS.",
        "Le centre n'est pas ouvert dans cette installation.",
        "releve demo personas, ou retirer --centre.",
    )


def _open_demo_centre(services: Services) -> None:
    """A centre with a doctor in post, one before and two after, so that pages can be used."""
    if services.settings.env == "production":
        raise CommandError(
            USAGE,
            "no-centre",
            "Aucun centre n'est ouvert.",
            "En production, un centre s'ouvre avant tout import.",
            "releve command open-centre",
        )
    from releve.api.demo.generator import PARIS

    now = services.clock.for_write()
    monday = (now.astimezone(PARIS) - timedelta(days=now.astimezone(PARIS).weekday())).replace(
        hour=8, minute=0, second=0, microsecond=0
    )
    family, given = people.REFERENT
    second, second_given = people.SECOND_ON_CALL
    centre = _execute(
        services,
        "centre",
        OpenCentre(
            centre_name="Centre de démonstration",
            finess=people.luhn_completed("23000990"),
            referent=NamedPerson(name=f"Dr {given} {family}", phone="05 99 00 00 01"),
            on_call_chain=(
                NamedPerson(name=f"Dr {given} {family}", phone="05 99 00 00 01"),
                NamedPerson(name=f"Dr {second_given} {second}", phone="05 99 00 00 02"),
            ),
            phones=(("SAMU", "15"),),
        ),
    )
    coordinator, first = people.COORDINATOR
    staff = ((family, given, "Dr", "referent"), (coordinator, first, "Mme", "coordinator"))
    for name, first, title, role in staff:
        _execute(
            services,
            name,
            OnboardPractitioner(family=name, given=first, title=title, role=role),  # type: ignore[arg-type] # a Role
        )
    for week, (name, first) in zip((-1, 0, 1, 2), people.DOCTORS, strict=False):
        rpps = people.luhn_completed(f"10990{week + 1:05d}")
        person = _execute(services, name, OnboardPractitioner(family=name, given=first, rpps=rpps))
        starts = monday + timedelta(weeks=week)
        stint = _execute(
            services,
            f"stint {week}",
            PlanStint(
                practitioner=person,
                practitioner_name=f"Dr {first} {name}",
                centre=centre,
                starts_at=starts.isoformat(),
                ends_at=(starts + timedelta(days=6, hours=12)).isoformat(),
            ),
            centre=centre,
        )
        if week == 0 and starts <= now:
            _execute(services, f"start {week}", StartStint(), centre=centre, target=stint)


def _execute(
    services: Services,
    label: str,
    command: Command,
    *,
    centre: UUID | None = None,
    target: UUID | None = None,
) -> UUID:
    context = CommandContext(
        author=SYSTEM,
        now=services.clock.for_write(),
        key=people.request_key(0, "starter", f"{label}/{command.name}"),
        actor=_ACTOR,
        centre=centre,
        source=Source(channel="demo"),
    )
    return services.continuity.execute(command, context, target=target).stream
