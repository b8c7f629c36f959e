"""What a page sends once: the same words again, from the same person, are told and not repeated.

A form that is sent twice with its own key is one request. A page that was opened anew (the
browser's Back) has another key: what says that it was done already is the command itself, which
every event keeps the digest of.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from releve.api.acting import perform
from releve.api.gate import Granted
from releve.api.pages import forms
from releve.api.pages.forms import Form
from releve.api.services import DerivedIds, Services
from releve.domain.commands import Command
from releve.domain.errors import Conflict, Reused
from releve.domain.events import Channel, Event
from releve.domain.requests import command_digest
from releve.projections.dates import french_hour, zone_of

WITHIN: Final = timedelta(minutes=15)
"""For how long the same words are taken for the same act."""
DONE: Final = "deja-fait"
"""What a redirect says of a request that had been done before."""
_LAST: Final = 30
_IN_ERROR: Final = "patient.entry-marked-in-error"


def perform_once(
    services: Services,
    granted: Granted,
    command: Command,
    form: Form,
    *,
    client_key: str,
    expected_version: int | None = None,
    channel: Channel = "ui",
) -> bool:
    """As :func:`~releve.api.acting.perform`, on the patient; False when it was done before.

    Raises:
        Conflict: the same person recorded the very same a few minutes ago, on a page of its own,
            and has not said that this is a second one (``form.again`` says when); or the form was
            sent before with other words, and has a new key to be sent with once more.
        ReleveError: as :func:`~releve.api.acting.perform`.
    """
    before = None if form.value("encore") else _same(services, granted, command, client_key)
    if before is not None:
        zone = zone_of(granted.principal.zone)
        form.again = french_hour(before.recorded_at.astimezone(zone))
        raise Conflict(
            "done-already",
            what="C’est déjà enregistré.",
            why=f"Vous avez enregistré exactement ceci à {form.again} : rien n’a été ajouté.",
            do="Renoncer, ou dire que c’est une seconde fois.",
        )
    try:
        done = perform(
            services, granted, command, client_key=client_key, target=granted.patient,
            expected_version=expected_version, seen_position=form.position, channel=channel,
        )  # fmt: skip
    except Reused:
        form.key = forms.new_key()
        raise Conflict(
            "sent-already",
            what="Cette page avait déjà été envoyée, avec d’autres mots.",
            why="Les premiers sont enregistrés ; ceux-ci ne le sont pas.",
            do="Les relire, puis envoyer de nouveau pour les enregistrer aussi.",
        ) from None
    return not done.outcome.replayed


def _same(services: Services, granted: Granted, command: Command, client_key: str) -> Event | None:
    """What the person recorded with the same command a moment ago, by another request."""
    patient, principal = granted.patient, granted.principal
    digest = command_digest(command, patient)
    actor = principal.actor_bytes()
    key = services.blind_index.request_key(actor, client_key.encode())
    own = DerivedIds().event_id(patient, actor, key, 0)
    since = services.clock() - WITHIN
    recent: list[Event] = services.reader.stream(patient, last=_LAST)
    wrong = {each.envelope.target for each in recent if each.topic == _IN_ERROR}
    found = [
        each
        for each in recent
        if each.envelope.command_digest == digest
        and each.envelope.author.person == principal.person
        and each.recorded_at >= since
        and each.event_id not in wrong
    ]
    if any(each.event_id == own for each in recent):
        return None
    return found[-1] if found else None
