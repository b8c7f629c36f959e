"""Inbox documents: whose they are is proposed, compared trait by trait, and said by a person."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
import pytest

from releve.domain.aggregates.inbox_document import (
    Compared,
    DocumentMatched,
    DocumentReceived,
    DocumentRejected,
    InboxDocument,
    compare,
)
from releve.domain.aggregates.patient import Patient
from releve.domain.aggregates.patient.corrections import EntryMarkedInError
from releve.domain.aggregates.patient.documents import DocumentAttached
from releve.domain.aggregates.patient.identity import Registered
from releve.domain.aggregates.patient.ins import InsStatusChanged
from releve.domain.aggregates.patient.results import ResultReceived
from releve.domain.commands import Command, MatchDocument, ReceiveDocument, RejectDocument
from releve.domain.errors import Invalid, NotFound, Refused
from releve.domain.events import INTAKE, Author, Envelope, Event, Payload, Source
from releve.domain.requests import CommandContext, fold, propose
from releve.domain.values import (
    Coding,
    Concept,
    Identifier,
    IdentityTraits,
    Quantity,
    ResultLine,
)
from support.given import (
    ACTOR,
    AMONT,
    CENTRE,
    COORDINATOR,
    IDS,
    KEY,
    NOW,
    STREAM,
    Told,
    entry,
    events,
    named,
    stint_of,
)

SHA256 = "ab" * 32
PATIENT = named("patient")
INS = Identifier(system="urn:oid:1.2.250.1.213.1.4.10", value="248037512345678")
IPP = Identifier(system="urn:oid:2.999.1", value="0042")
KNOWN = Registered(
    birth_name="Lefèvre-Exemple",
    first_names=("Anne-Marie", "Odile"),
    used_name="Testard",
    birth_date="1948-03-12",
    sex="female",
    birth_place="75112",
    identifiers=(INS,),
)
SAID = IdentityTraits(birth_name="LEFEVRE EXEMPLE", first_names=("Anne-Marie",),
                      birth_date="1948-03-12", sex="female", birth_place="75112")  # fmt: skip
POTASSIUM = ResultLine(
    code=Concept(text="Potassium", codings=(Coding(system="http://loinc.org", code="2823-3"),)),
    value=Quantity(value="6.4", unit="mmol/L", code="mmol/L"),
)


def record(known: Registered = KNOWN, *more: Payload) -> Patient:
    state = fold("patient", None, events([known, *more], stream=PATIENT))
    assert isinstance(state, Patient)
    return state


def document(identity: IdentityTraits | None = SAID, *more: Payload) -> InboxDocument:
    received = DocumentReceived(
        sha256=SHA256, size=3, media_type="application/pdf", format="pdf", identity=identity
    )
    told = [
        Event(
            originator_id=STREAM,
            originator_version=place,
            event_id=entry(place),
            event_class=INTAKE,
            recorded_at=NOW,
            envelope=Envelope(occurred_at=NOW.isoformat(), author=COORDINATOR, centre=CENTRE),
            payload=payload,
        )
        for place, payload in enumerate((received, *more), 1)
    ]
    state = fold("inbox", None, told)
    assert isinstance(state, InboxDocument)
    return state


def decided(
    state: InboxDocument | None,
    command: Command,
    *,
    by: Author = COORDINATOR,
    candidate: Patient | None = None,
    centre: UUID | None = CENTRE,
    originals: tuple[str, ...] = (SHA256,),
    former: Patient | None = None,
    rivals: int = 0,
) -> tuple[Event, ...]:
    context = CommandContext(
        author=by, now=NOW, key=KEY, actor=ACTOR, centre=centre, source=Source(channel="pdf"),
        rivals=rivals,
    )  # fmt: skip
    return propose(
        IDS,
        state,
        command,
        context,
        STREAM,
        author_stint=stint_of(by) if by is AMONT else None,
        candidate=candidate,
        former=former,
        originals=originals,
    )


def refused(code: str, *args: Any, **kwargs: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        decided(*args, **kwargs)
    assert caught.value.code == code
    assert caught.value.what
    assert caught.value.why
    assert caught.value.do
    return caught.value


# Receiving


def receive(**more: Any) -> ReceiveDocument:
    basic: dict[str, Any] = {
        "sha256": SHA256, "size": 3, "media_type": "application/pdf", "format": "pdf",
    }  # fmt: skip
    return ReceiveDocument(**(basic | more))


def phoned(**more: Any) -> ReceiveDocument:
    basic: dict[str, Any] = {
        "format": "phone", "media_type": "application/json", "door": "phone",
        "results": (POTASSIUM,), "result_status": "phoned", "caller": "Laboratoire des Essais",
        "read_back": True, "identity": IdentityTraits(birth_name="Inconnue"),
    }  # fmt: skip
    return receive(**(basic | more))


def test_a_document_is_kept_as_it_was_read() -> None:
    (event,) = decided(
        None, receive(title="Courrier", one_liner="Une page.", identity=SAID, door="watched")
    )
    assert event.payload == DocumentReceived(
        sha256=SHA256, size=3, media_type="application/pdf", format="pdf", door="watched",
        title="Courrier", one_liner="Une page.", identity=SAID,
    )  # fmt: skip
    assert event.event_class == INTAKE
    assert event.key_scope == CENTRE


@pytest.mark.parametrize(
    ("command", "where", "field"),
    [
        (receive(), {"originals": ()}, "original"),
        (receive(), {"centre": None}, "centre"),
        (receive(sha256="ab"), {}, "sha256"),
        (receive(size=-1), {}, "size"),
        (receive(kind="11506-4"), {}, "kind"),
        (receive(one_liner="x" * 161), {}, "one_liner"),
        (phoned(results=()), {}, "results"),
        (phoned(caller=" "), {}, "caller"),
        (phoned(identity=None), {}, "identity"),
        (phoned(identity=IdentityTraits(birth_date="1948-03-12")), {}, "identity"),
    ],
)
def test_what_is_not_complete_is_not_received(
    command: ReceiveDocument, where: dict[str, Any], field: str
) -> None:
    with pytest.raises(Invalid) as caught:
        decided(None, command, **where)
    assert caught.value.field == field


def test_a_value_told_by_phone_was_read_back() -> None:
    assert refused("not-read-back", None, phoned(read_back=False)).field == "read_back"
    (event,) = decided(None, phoned())
    assert isinstance(event.payload, DocumentReceived)
    assert event.payload.results == (POTASSIUM,)


# Whose it is


def traits(**more: Any) -> IdentityTraits:
    return IdentityTraits(**more)


FULL = traits(birth_name="Lefèvre-Exemple", first_names=("Anne-Marie", "Odile"),
              used_name="Testard", birth_date="1948-03-12", sex="female", birth_place="75112",
              identifiers=(INS, IPP))  # fmt: skip


@pytest.mark.parametrize(
    ("said", "agreed", "differing", "enough"),
    [
        (SAID, ("birth_name", "first_names", "birth_date", "sex", "birth_place", "name",
          "first_name"), (), True),
        (traits(birth_name="Lefèvre Exemple"), ("birth_name", "name"), (), False),
        (traits(used_name="TESTARD", first_names=("anne marie",), birth_date="1948-03-12"),
         ("first_names", "birth_date", "name", "first_name"), (), True),
        (traits(first_names=("Anne", "Marie")), ("first_names", "first_name"), (), False),
        (traits(used_name="Testard", used_first_name="Odile", birth_date="1948-03-12"),
         ("birth_date", "name", "given_name"), (), False),
        (traits(used_name="Testard", used_first_name="Anne Marie", birth_date="1948-03-12"),
         ("birth_date", "name", "first_name"), (), True),
        (traits(used_name="Autre", used_first_name="Anne-Marie"), ("first_name",), (), False),
        (traits(used_name="Autre", birth_date="1948-03-12"), ("birth_date",), (), False),
        (traits(used_name="Autre"), (), ("name",), False),
        (traits(used_name="Autre", identifiers=(IPP,)), ("identifiers",), ("name",), False),
        (traits(identifiers=(IPP,)), ("identifiers",), (), False),
        (traits(identifiers=(IPP,), birth_date="1948-03-12"), ("birth_date", "identifiers"), (),
         False),
        (traits(identifiers=(IPP,), used_name="Testard"), ("identifiers", "name"), (), False),
        (traits(identifiers=(IPP,), used_name="Testard", birth_date="1948-03-12"),
         ("birth_date", "identifiers", "name"), (), True),
        (traits(identifiers=(IPP,), used_name="Testard", birth_date="1948-03-13"),
         ("identifiers", "name"), ("birth_date",), False),
        (traits(used_name="Testard", used_first_name="Rose", birth_date="1948-03-12"),
         ("birth_date", "name"), (), False),
        (traits(first_names=("Anne",)), (), ("first_names",), False),
        (traits(birth_date="1948-03-13"), (), ("birth_date",), False),
        (traits(birth_date="1948"), (), (), False),
        (traits(birth_date="1949"), (), ("birth_date",), False),
        (traits(sex="male"), (), ("sex",), False),
        (traits(sex="unknown"), (), (), False),
        (traits(birth_place="PARIS 12"), (), (), False),
        (traits(birth_place="75113"), (), ("birth_place",), False),
        (traits(identifiers=(INS,)), ("identifiers", "matricule"), (), True),
        (traits(identifiers=(Identifier(system=IPP.system, value="0043"),)), (), (), False),
        (traits(identifiers=(Identifier(system=INS.system, value="1"),)), (), ("identifiers",),
         False),
        (traits(), (), (), False),
    ],
)  # fmt: skip
def test_traits_are_compared_as_they_are_meant(
    said: IdentityTraits, agreed: tuple[str, ...], differing: tuple[str, ...], enough: bool
) -> None:
    found = compare(said, FULL)
    assert found == Compared(agreed, differing)
    assert found.enough is enough
    assert compare(FULL, said).differing == differing


def test_a_match_says_which_traits_agree() -> None:
    (event,) = decided(document(), MatchDocument(patient=PATIENT), candidate=record())
    assert event.payload == DocumentMatched(
        patient=PATIENT,
        agreed=(
            "birth_name",
            "first_names",
            "birth_date",
            "sex",
            "birth_place",
            "name",
            "first_name",
        ),
    )


@pytest.mark.parametrize(
    ("trait", "value"),
    [
        ("birth_name", "Lefèvre"),
        ("first_names", ("Anne",)),
        ("birth_date", "1948-03-13"),
        ("sex", "male"),
        ("birth_place", "75113"),
        ("identifiers", (Identifier(system=INS.system, value="248037512345679"),)),
    ],
)
def test_one_strict_trait_off_refuses_even_a_doctor_who_confirms(trait: str, value: object) -> None:
    said = msgspec.structs.replace(SAID, **{trait: value})
    for by in (COORDINATOR, AMONT):
        error = refused(
            "strict-trait-differs",
            document(said),
            MatchDocument(patient=PATIENT, confirmed=True),
            by=by,
            candidate=record(),
        )
        assert error.field == trait
        # The refusal names the trait and repeats no value of either side.
        said_aloud = f"{error} {error.why} {error.what} {error.do}"
        assert not any(word in said_aloud for word in ("1948", "Lef", "Anne", "7511", "2480"))


def test_a_matricule_learnt_since_registration_counts() -> None:
    bare = msgspec.structs.replace(KNOWN, identifiers=())
    since = InsStatusChanged(status="recuperee", matricule=INS)
    (event,) = decided(
        document(traits(identifiers=(INS,))),
        MatchDocument(patient=PATIENT),
        candidate=record(bare, since),
    )
    assert isinstance(event.payload, DocumentMatched)
    assert event.payload.agreed == ("identifiers", "matricule")


@pytest.mark.parametrize(
    "said", [None, traits(birth_name="Lefèvre-Exemple", first_names=("Anne-Marie",))]
)
def test_by_name_alone_only_a_doctor_who_read_it_matches(said: IdentityTraits | None) -> None:
    blind, unsure, sure = (
        MatchDocument(patient=PATIENT, confirmed=True),
        MatchDocument(patient=PATIENT),
        MatchDocument(patient=PATIENT, confirmed=True),
    )
    refused("identity-too-thin", document(said), blind, candidate=record())
    refused("confirmation-missing", document(said), unsure, by=AMONT, candidate=record())
    (event,) = decided(document(said), sure, by=AMONT, candidate=record())
    assert isinstance(event.payload, DocumentMatched)
    assert event.payload.confirmed


@pytest.mark.parametrize("rivals", [1, 2])
def test_where_several_records_fit_a_doctor_confirms(rivals: int) -> None:
    sure, unsure = MatchDocument(patient=PATIENT, confirmed=True), MatchDocument(patient=PATIENT)
    said = document()
    refused("several-records", said, sure, candidate=record(), rivals=rivals)
    refused("confirmation-missing", said, unsure, by=AMONT, candidate=record(), rivals=rivals)
    assert decided(said, sure, by=AMONT, candidate=record(), rivals=rivals)
    by_matricule = document(traits(identifiers=(INS,)))
    assert decided(by_matricule, unsure, candidate=record(), rivals=rivals)


@pytest.mark.parametrize(
    ("said", "fits"),
    [
        (traits(used_name="Testard", used_first_name="Odile", birth_date="1948-03-12"), True),
        (traits(used_name="Testard", birth_date="1948-03-12"), True),
        (traits(used_name="Testard", used_first_name="Rose", birth_date="1948-03-12"), False),
        (traits(used_name="Testard", used_first_name="Odile"), False),
        (traits(used_name="Testard", birth_date="1948-03-12", sex="male"), False),
    ],
)
def test_a_twin_may_be_the_one_who_is_meant(said: IdentityTraits, fits: bool) -> None:
    assert compare(said, FULL).fits is fits


def test_a_wrong_match_is_put_right_once_nothing_of_it_stands() -> None:
    """A doctor marks what came from it on the first record, then matches again."""
    other = named("the right record")
    wrong, again = document(SAID, DocumentMatched(patient=PATIENT)), MatchDocument(patient=other)

    def holding(*more: Told) -> Patient:
        original = DocumentAttached(sha256=SHA256, size=3, media_type="application/pdf")
        result = ResultReceived(status="final", lines=(POTASSIUM,))
        told = events([KNOWN, original, result, *more], stream=PATIENT)
        brought = [
            msgspec.structs.replace(
                each, envelope=msgspec.structs.replace(each.envelope, causation_id=entry(1))
            )
            if place in (1, 2)
            else each
            for place, each in enumerate(told)
        ]
        state = fold("patient", None, brought)
        assert isinstance(state, Patient)
        return state

    wrong_original, wrong_line = (
        Told(EntryMarkedInError(), target=entry(place, PATIENT), reason="Autre patiente")
        for place in (2, 3)
    )
    out = holding(wrong_original, wrong_line)
    for still in (holding(), holding(wrong_original), holding(wrong_line)):
        refused("still-on-record", wrong, again, by=AMONT, candidate=record(), former=still)
    refused("already-matched", wrong, again, candidate=record(), former=out)
    same = MatchDocument(patient=PATIENT)
    refused("already-matched", wrong, same, by=AMONT, candidate=record(), former=out)
    (event,) = decided(wrong, again, by=AMONT, candidate=record(), former=out)
    assert isinstance(event.payload, DocumentMatched)
    assert event.payload.patient == other


@pytest.mark.parametrize(
    "carried",
    [{"results": (POTASSIUM,)}, {"coded_lines": 2}, {"result_status": "phoned"}],
)
def test_what_carries_results_is_set_aside_by_a_doctor_only(carried: dict[str, Any]) -> None:
    state = document()
    state.received = msgspec.structs.replace(state.received, **carried)
    refused("carries-results", state, RejectDocument(reason="Inconnue"))
    assert decided(state, RejectDocument(reason="Inconnue"), by=AMONT)


def test_a_doctor_sets_aside_again_what_the_desk_had_once() -> None:
    aside = document(SAID, DocumentRejected())
    assert aside.aside
    (event,) = decided(aside, RejectDocument(reason="Vu"), by=AMONT)
    assert isinstance(event.payload, DocumentRejected)
    seen = fold("inbox", aside, [event])
    assert isinstance(seen, InboxDocument)
    assert not seen.aside
    refused("already-rejected", seen, RejectDocument(reason="Encore"), by=AMONT)


def test_a_document_is_matched_once_and_a_rejected_one_may_still_be() -> None:
    matched = document(SAID, DocumentMatched(patient=PATIENT))
    refused("already-matched", matched, MatchDocument(patient=PATIENT), candidate=record())
    refused("already-matched", matched, RejectDocument(reason="Erreur"))
    aside = document(SAID, DocumentRejected())
    refused("already-rejected", aside, RejectDocument(reason="Encore"))
    assert decided(aside, MatchDocument(patient=PATIENT), candidate=record())


def test_a_rejection_says_why_and_whether_the_sender_knows() -> None:
    (event,) = decided(document(), RejectDocument(reason=" Autre centre ", sender_told=True))
    assert event.payload == DocumentRejected(sender_told=True)
    assert event.envelope.reason == "Autre centre"
    with pytest.raises(Invalid):
        decided(document(), RejectDocument(reason=" "))


def test_an_unknown_record_or_document_is_not_available() -> None:
    with pytest.raises(NotFound):
        decided(document(), MatchDocument(patient=PATIENT), candidate=None)
    with pytest.raises(NotFound):
        decided(None, MatchDocument(patient=PATIENT), candidate=record())
