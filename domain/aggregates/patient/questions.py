"""Questions to a colleague, and second looks beside what was written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal
from uuid import UUID

from releve.domain.aggregates.deciding import ANSWER_WINDOW, Colleague, Context, Fact, refuse
from releve.domain.aggregates.patient.allergies import AllergyRevised
from releve.domain.aggregates.patient.corrections import EntryMarkedInError, EntryReinstated
from releve.domain.aggregates.patient.encounters import NoteAmended
from releve.domain.aggregates.patient.entries import about, standing_entry
from releve.domain.aggregates.patient.identity import Registered
from releve.domain.aggregates.patient.medications import MedicationChanged, MedicationStopped
from releve.domain.aggregates.patient.open_items import ItemRevised
from releve.domain.aggregates.patient.problems import ProblemRevised
from releve.domain.aggregates.patient.record import Fold, Patient, file
from releve.domain.aggregates.patient.validation import EntryValidated
from releve.domain.commands import AnswerQuestion, AskQuestion, RecordOpinion
from releve.domain.errors import Invalid
from releve.domain.events import Event, Payload
from releve.domain.values import span, words

# Events: the storage format. Never rename, retype or reuse a field; see domain/upcasting.py.


class QuestionAsked(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """A colleague was asked; the envelope's target is the entry that the question is about."""

    topic: ClassVar[str] = "patient.question-asked"

    to: UUID
    to_name: str
    text: str
    due: str | None = None


class QuestionAnswered(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """A question (the envelope's target) was answered."""

    topic: ClassVar[str] = "patient.question-answered"

    text: str


class OpinionRecorded(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """A second look stands beside an entry (the envelope's target), which it never changes."""

    topic: ClassVar[str] = "patient.opinion-recorded"

    stance: Literal["agrees", "challenges", "adds"]
    text: str


# State

FOLDS: dict[type[Payload], Fold] = {
    QuestionAsked: file,
    QuestionAnswered: file,
    OpinionRecorded: file,
}


def answer_to(patient: Patient, question: UUID) -> Event | None:
    """The standing answer to a question."""
    return next(about(patient, QuestionAnswered, question), None)


def open_questions(patient: Patient) -> Iterator[Event]:
    """Standing questions that nobody has answered, oldest first."""
    answered = {
        answer.envelope.target for answer in patient.standing(patient.told(QuestionAnswered))
    }
    return (
        event
        for event in patient.standing(patient.told(QuestionAsked))
        if event.event_id not in answered
    )


def open_questions_to(patient: Patient, person: UUID) -> list[Event]:
    """Unanswered questions put to ``person``, oldest first: what lets them back in to answer."""
    return [
        event
        for event in open_questions(patient)
        if isinstance(event.payload, QuestionAsked) and event.payload.to == person
    ]


REVISIONS: tuple[type[Payload], ...] = (
    ProblemRevised,
    AllergyRevised,
    MedicationChanged,
    MedicationStopped,
    NoteAmended,
    ItemRevised,
    EntryValidated,
)
"""Events that say something new of their target, and so answer who challenged it."""


def open_challenges(patient: Patient) -> Iterator[Event]:
    """Opinions that challenge an entry and were not answered, oldest first.

    A challenge is answered by what is written after it about the same entry: a revision of it, an
    opinion by the author of the entry, or the challenger's own agreement. It ends too with its
    entry, once that is replaced, refused or marked in error.
    """
    said = [
        *patient.told(OpinionRecorded),
        *patient.amendments,
        *(event for kind in REVISIONS for event in patient.told(kind)),
    ]
    later: dict[UUID, list[Event]] = {}
    for event in patient.standing(said):
        if event.envelope.target is not None:
            later.setdefault(event.envelope.target, []).append(event)
    for event in patient.standing(patient.told(OpinionRecorded)):
        target = event.envelope.target
        challenged = None if target is None else patient.entries.get(target)
        if (
            isinstance(event.payload, OpinionRecorded)
            and event.payload.stance == "challenges"
            and challenged is not None
            and patient.stands(challenged)
            and not any(_answers(reply, event, challenged) for reply in later[challenged.event_id])
        ):
            yield event


def _answers(reply: Event, challenge: Event, challenged: Event) -> bool:
    if reply.originator_version <= challenge.originator_version:
        return False
    if not isinstance(reply.payload, OpinionRecorded):
        return True
    by = reply.envelope.author.person
    if by is not None and by == challenged.envelope.author.person:
        return True
    return (
        by is not None
        and by == challenge.envelope.author.person
        and reply.payload.stance == "agrees"
    )


# Decisions

LIMIT = 2000
"""Characters of a question, an answer or an opinion: one screen."""

NO_SUBJECT = (Registered, EntryMarkedInError, EntryReinstated, EntryValidated)
"""What no question or opinion is about: the identity, and corrections."""


def ask_question(patient: Patient, command: AskQuestion, ctx: Context) -> tuple[Fact, ...]:
    """To somebody else who may still answer, about an entry that stands or the patient; due later.

    Raises:
        Refused: nobody would read it: an unknown person, a stint too long ago, another's name.
    """
    if command.to == ctx.author.person:
        raise refuse(
            "asked-of-oneself",
            "La question n'est pas posée.",
            "Elle s'adresse à un confrère.",
            "Choisir un autre médecin, ou ouvrir un point à suivre.",
            field="to",
        )
    if ctx.colleague is not None:
        _can_answer(ctx.colleague, command, ctx)
    if command.about is not None:
        _subject(patient, command.about)
    if command.due is not None and span(command.due, ctx.zone, field="due")[1] < ctx.now:
        raise Invalid("in-the-past", field="due", why="Cette échéance est passée.")
    return (
        Fact(
            QuestionAsked(
                to=command.to,
                to_name=words(command.to_name, field="to_name", limit=160),
                text=words(command.text, field="text", limit=LIMIT),
                due=command.due,
            ),
            target=command.about,
        ),
    )


def _can_answer(colleague: Colleague, command: AskQuestion, ctx: Context) -> None:
    over = colleague.stays_until
    if not colleague.known:
        raise refuse(
            "unknown-colleague",
            "La question n'est pas posée.",
            "Cette personne n'a ni séjour ni rôle médical dans ce centre : elle ne la lirait pas.",
            "Choisir un médecin du centre, ou la poser au référent médical.",
            field="to",
        )
    if not colleague.standing and over is not None and over + ANSWER_WINDOW < ctx.now:
        raise refuse(
            "answer-window-over",
            "La question n'est pas posée.",
            "Son dernier séjour ici est fini depuis plus de 14 jours : nul n'y répondrait.",
            "La poser au référent médical du centre.",
            field="to",
        )
    if not colleague.is_called(command.to_name):
        raise refuse(
            "another-name",
            "La question n'est pas posée.",
            "Le nom écrit n'est pas celui de la personne désignée.",
            "Vérifier à qui elle s'adresse.",
            field="to_name",
        )


def answer_question(patient: Patient, command: AnswerQuestion, ctx: Context) -> tuple[Fact, ...]:
    """By whom it was asked of, once; a wrong answer is marked in error first."""
    _, question = standing_entry(patient, command.question, QuestionAsked, field="question")
    if ctx.author.person is None or question.to != ctx.author.person:
        raise refuse(
            "not-asked",
            "La réponse n'est pas enregistrée.",
            "La question est posée à un autre médecin.",
            "Donner son avis sur l'entrée elle-même.",
            field="question",
        )
    if answer_to(patient, command.question) is not None:
        raise refuse(
            "already-answered",
            "Cette question a sa réponse.",
            "Elle a été donnée entre-temps.",
            "Relire le dossier.",
            field="question",
        )
    text = words(command.text, field="text", limit=LIMIT)
    return (Fact(QuestionAnswered(text=text), target=command.question),)


def record_opinion(patient: Patient, command: RecordOpinion, ctx: Context) -> tuple[Fact, ...]:
    """A second look at somebody else's entry, which it leaves as it is.

    The entry's own author speaks here only to answer a challenge; otherwise they revise.
    """
    event = _subject(patient, command.about)
    if isinstance(event.payload, OpinionRecorded):
        raise refuse(
            "opinion-on-an-opinion",
            "L'avis n'est pas enregistré.",
            "Un avis porte sur l'entrée elle-même.",
            "Le donner sur l'entrée.",
            field="about",
        )
    own = ctx.author.person is not None and ctx.author.person == event.envelope.author.person
    if own and not any(
        challenge.envelope.target == command.about for challenge in open_challenges(patient)
    ):
        raise refuse(
            "own-entry",
            "L'avis n'est pas enregistré.",
            "Un second avis est celui d'un autre.",
            "Compléter ou réviser sa propre entrée.",
            field="about",
        )
    return (
        Fact(
            OpinionRecorded(
                stance=command.stance, text=words(command.text, field="text", limit=LIMIT)
            ),
            target=command.about,
        ),
    )


def _subject(patient: Patient, entry: UUID) -> Event:
    event, payload = standing_entry(patient, entry, Payload, field="about")
    if isinstance(payload, NO_SUBJECT):
        raise refuse(
            "no-subject",
            "Rien n'est enregistré.",
            "Une question ou un avis porte sur une entrée clinique.",
            "Choisir une note, une ligne, un résultat ou un point ouvert.",
            field="about",
        )
    return event
