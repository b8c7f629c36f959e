"""Consultations and notes: what was done, what was written, how it was amended."""

from __future__ import annotations

from typing import ClassVar, Literal

from releve.domain.aggregates.deciding import Context, Fact, refuse
from releve.domain.aggregates.patient.record import Fold, Patient
from releve.domain.commands import AmendNote, SignNote
from releve.domain.commands.record import NoteText
from releve.domain.errors import Invalid
from releve.domain.events import Payload
from releve.domain.values import Mode, one_line, readable, words

# Events: the storage format. Never rename, retype or reuse a field; see domain/upcasting.py.


class EncounterRecorded(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """A consultation took place."""

    topic: ClassVar[str] = "patient.encounter-recorded"

    mode: Mode
    reason: str = ""
    site: str | None = None


class NoteSigned(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """A note was signed: S/O/A/P in plain text, and one line of at most 160 characters."""

    topic: ClassVar[str] = "patient.note-signed"

    one_liner: str = ""
    subjective: str = ""
    objective: str = ""
    assessment: str = ""
    plan: str = ""


class NoteAmended(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """A signed note (the envelope's target) got an addendum, or is replaced, for a reason."""

    topic: ClassVar[str] = "patient.note-amended"

    kind: Literal["addendum", "replacement"]
    text: str = ""
    one_liner: str = ""
    subjective: str = ""
    objective: str = ""
    assessment: str = ""
    plan: str = ""


# State

FOLDS: dict[type[Payload], Fold] = {
    EncounterRecorded: lambda patient, event: patient.encounters.append(event),
    NoteSigned: lambda patient, event: patient.notes.append(event),
    NoteAmended: lambda patient, event: patient.amendments.append(event),
}


# Decisions

SECTIONS = ("subjective", "objective", "assessment", "plan")


def sign_note(patient: Patient, command: SignNote, ctx: Context) -> tuple[Fact, ...]:
    """Something is written; the one-liner fits a glance; no open encounter is needed."""
    sections, one_liner = _texts(command)
    if not one_liner and not any(sections.values()):
        raise Invalid("missing-field", field="note", why="La note est vide.")
    encounter = command.encounter_id
    if encounter is not None:
        known = patient.entries.get(encounter)
        if known is None or not isinstance(known.payload, EncounterRecorded):
            raise Invalid("invalid-field", field="encounter_id", why="Consultation inconnue.")
    return (Fact(NoteSigned(one_liner=one_liner, **sections), encounter_id=encounter),)


def amend_note(patient: Patient, command: AmendNote, ctx: Context) -> tuple[Fact, ...]:
    """By the note's author or the référent, with a reason; never a note marked in error."""
    note = patient.entries.get(command.note)
    if note is None or not isinstance(note.payload, NoteSigned):
        raise refuse(
            "unknown-note",
            "Cette note n'existe pas.",
            "Aucune note de ce dossier ne porte ce nom.",
            "Relire le dossier.",
            field="note",
        )
    if not patient.stands(note):
        raise refuse(
            "note-in-error",
            "La note n'est pas modifiée.",
            "Elle a été marquée erronée.",
            "Signer une nouvelle note.",
            field="note",
        )
    own = ctx.author.person is not None and ctx.author.person == note.envelope.author.person
    if not own and ctx.author.role != "referent":
        raise refuse(
            "not-author",
            "La note n'est pas modifiée.",
            "Seul son auteur ou le référent la complète.",
            "Signer sa propre note, ou poser la question à son auteur.",
            field="note",
        )
    reason = words(command.reason, field="reason", limit=400)
    sections, one_liner = _texts(command)
    text = readable(command.text, field="text")
    if command.kind == "addendum" and not text:
        raise Invalid("missing-field", field="text", why="Un complément a un texte.")
    if command.kind == "replacement" and not one_liner and not any(sections.values()):
        raise Invalid("missing-field", field="note", why="La nouvelle version est vide.")
    return (
        Fact(
            NoteAmended(kind=command.kind, text=text, one_liner=one_liner, **sections),
            target=command.note,
            reason=reason,
            encounter_id=note.envelope.encounter_id,
        ),
    )


def _texts(command: NoteText) -> tuple[dict[str, str], str]:
    sections = {name: readable(getattr(command, name), field=name) for name in SECTIONS}
    return sections, one_line(command.one_liner, field="one_liner")
