"""What is done with results: ordered, received, read, told; and the items that follow them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple
from uuid import UUID

import msgspec

from releve.domain.aggregates.deciding import (
    CLOCK_TOLERANCE,
    NEEDS_STINT,
    RELEVE,
    Context,
    Fact,
    refuse,
)
from releve.domain.aggregates.patient import open_items
from releve.domain.aggregates.patient.contingencies import has_activated
from releve.domain.aggregates.patient.observations import loinc_of, possible, tells_the_past
from releve.domain.aggregates.patient.open_items import (
    ItemClosed,
    ItemOpened,
    ItemReopened,
    closed_items,
    find_open_item,
    read_owner,
)
from releve.domain.aggregates.patient.problems import read_concept
from releve.domain.aggregates.patient.record import Patient
from releve.domain.aggregates.patient.result_agreement import differences, value_text
from releve.domain.aggregates.patient.results import (
    DEFINITIVE,
    ContactAttempted,
    Informed,
    InvestigationOrdered,
    ResultReceived,
    ResultReviewed,
    awaited_by,
    comes_late,
    current_results,
    earlier_version,
    is_awaited,
    is_unread,
    items_of,
    order_of,
    reading_of,
    settles,
    stage_of,
    stands_beside,
)
from releve.domain.codes import Loinc
from releve.domain.commands import (
    CloseItem,
    InformPatient,
    OrderInvestigation,
    ReceiveResult,
    RecordContactAttempt,
    ReviewResult,
)
from releve.domain.errors import Invalid, Refused
from releve.domain.events import Event
from releve.domain.exact_numbers import line_with_point
from releve.domain.values import (
    Concept,
    Owner,
    PartialDate,
    ResultLine,
    readable,
    span,
    words,
)

# Decisions: the order


def order_investigation(
    patient: Patient, command: OrderInvestigation, ctx: Context
) -> tuple[Fact, ...]:
    """An order and its open item, due when the result is expected, in one append."""
    expected = PartialDate(command.expected_by, field="expected_by")
    ordered = span(ctx.happened(command) or ctx.now.isoformat(), ctx.zone)[0]
    if span(expected, ctx.zone)[1] <= ordered:
        raise Invalid(
            "invalid-field", field="expected_by", why="Le résultat est attendu après la demande."
        )
    text = words(command.text, field="text", limit=400)
    ordered_fact = InvestigationOrdered(
        kind=command.kind,
        text=text,
        expected_by=command.expected_by,
        item=ctx.event_id(1),
        codes=tuple(_code(code, f"codes[{n}]") for n, code in enumerate(command.codes)),
        why=readable(command.why, field="why", limit=400),
        criticality=command.criticality,
        harm_if_late=command.harm_if_late,
    )
    owner = read_owner(command.owner, ctx)
    return Fact(ordered_fact), Fact(_item_of(ordered_fact, ctx.event_id(0), owner))


def order_item(ordered: InvestigationOrdered, order: UUID, ctx: Context) -> Fact:
    """The item of an order that lost the one it had: the doctor in post's, due as it was."""
    now = ctx.now.isoformat(timespec="seconds")
    return Fact(_item_of(ordered, order, Owner()), occurred_at=now, author=RELEVE)


def _item_of(ordered: InvestigationOrdered, order: UUID, owner: Owner) -> ItemOpened:
    return ItemOpened(
        kind="result",
        text=ordered.text,
        owner=owner,
        due=ordered.expected_by,
        harm_if_late=ordered.harm_if_late,
        done_when="résultat définitif lu, patient prévenu",
        follows=order,
    )


def _code(concept: Concept, field: str) -> Concept:
    loinc = loinc_of(concept)
    if loinc is not None:
        Loinc(loinc, field=field)
    return read_concept(concept, field)


# Decisions: a result comes in


class Arrival(NamedTuple):
    """A result of the append that is being decided."""

    id: UUID
    payload: ResultReceived
    replaces: UUID | None
    happened: str | None


def receive_result(patient: Patient, command: ReceiveResult, ctx: Context) -> tuple[Fact, ...]:
    """A result, and the item that keeps it in sight until a doctor read it and the patient knows.

    What a person types has LOINC codes, exact decimals and UCUM units; a machine's lines are kept
    as received, but for a decimal comma. A phoned result has a caller, and was read back to them.
    The desk may drop one, and nothing else. A newer version replaces the one in force and opens its
    item again.
    """
    if ctx.author.role in ("secretary", "coordinator") and (
        command.status != "phoned" or command.replaces is not None
    ):
        raise refuse(
            "phoned-results-only",
            "Le résultat n'est pas enregistré.",
            "Le secrétariat note un résultat dicté au téléphone ; les autres passent par un "
            "soignant ou par la boîte d'arrivée.",
            "Déposer le document dans la boîte d'arrivée.",
            field="status",
        )
    caller = readable(command.caller, field="caller", limit=160)
    if command.status == "phoned":
        _phoned(caller, command.read_back)
    if command.sampled_at is not None:
        taken = span(command.sampled_at, ctx.zone, field="sampled_at")[0]
        if taken > ctx.now + CLOCK_TOLERANCE:
            raise Invalid("in-the-future", field="sampled_at", why="Cette date est à venir.")
    typed = ctx.author.role not in ("ehr", "system")
    if typed:
        for place, line in enumerate(command.lines):
            _check_typed(line, f"lines[{place}]")
    lines = tuple(line_with_point(line) for line in command.lines)
    conclusion = readable(command.conclusion, field="conclusion")
    if not lines and not conclusion:
        raise Invalid("missing-field", field="lines", why="Un résultat dit une valeur ou des mots.")
    if command.order is not None:
        _known_order(patient, command.order, "order")
    received = ResultReceived(
        status=command.status,
        title=readable(command.title, field="title", limit=160),
        lines=lines,
        conclusion=conclusion,
        order=command.order,
        report=readable(command.report or "", field="report", limit=160) or None,
        laboratory=readable(command.laboratory, field="laboratory", limit=160),
        sampled_at=command.sampled_at,
        caller=caller,
        read_back=command.read_back,
    )
    replaced = _replaced(patient, command, received, ctx)
    target = None if replaced is None else replaced.event_id
    if replaced is not None and received.order is None:
        order = order_of(patient, replaced.event_id)
        received = msgspec.structs.replace(received, order=order)
    arrival = Arrival(ctx.event_id(0), received, target, ctx.happened(command))
    return (Fact(received, target=target), *kept_in_sight(patient, [arrival], ctx))


def _phoned(caller: str, read_back: bool) -> None:
    if not caller:
        raise Invalid("missing-field", field="caller", why="Dire qui a appelé.")
    if not read_back:
        raise refuse(
            "not-read-back",
            "Le résultat n'est pas enregistré.",
            "Une valeur dictée au téléphone est relue à qui appelle.",
            "Relire la valeur et son unité, puis le confirmer.",
            field="read_back",
        )


def _check_typed(line: ResultLine, field: str) -> None:
    if line.value is None and not (line.text or "").strip():
        raise Invalid("missing-field", field=f"{field}.value", why="Une ligne dit une valeur.")
    _code(line.code, f"{field}.code")
    if line.value is not None:
        possible(line.code, line.value, f"{field}.code", f"{field}.value")
    readable(line.text or "", field=f"{field}.text", limit=2000)


def _replaced(
    patient: Patient, command: ReceiveResult, received: ResultReceived, ctx: Context
) -> Event | None:
    """The version in force that this one replaces: as it names it, or as they show it."""
    if command.replaces is None:
        return earlier_version(patient, received, ctx.now)
    result = _known_result(patient, command.replaces, "replaces")
    if comes_late(received, result.payload) or stands_beside(received, result.payload):
        raise refuse(
            "definitive-already",
            "Le résultat n'est pas enregistré.",
            "Le résultat définitif est déjà au dossier ; ni partiel ni appel ne le remplace.",
            "Relire le dossier ; un appel qui dit autre chose est un résultat à part.",
            field="replaces",
        )
    return result


def kept_in_sight(patient: Patient, arrivals: Iterable[Arrival], ctx: Context) -> tuple[Fact, ...]:
    """What the results of one append do to the items that follow them.

    A result whose item was closed opens it again; one that has none opens its own, so that an
    unread result is never without somebody who answers for it. What tells the past opens nothing.
    """
    arrived = {arrival.id: arrival for arrival in arrivals}
    replaced = {
        arrival.replaces for arrival in arrived.values() if not _is_late(patient, arrival, arrived)
    }
    closed = closed_items(patient)
    facts: list[Fact] = []
    reopened: set[UUID] = set()
    for arrival in arrived.values():
        if arrival.id in replaced or _is_late(patient, arrival, arrived):
            continue
        if _is_history(patient, arrival, arrived, ctx):
            continue
        root: Arrival | None = arrival
        known: UUID | None = arrival.replaces
        while root is not None and known in arrived:
            root = arrived[known]
            known = root.replaces
        items = [] if known is None else items_of(patient, known)
        order = patient.entries.get(arrival.payload.order) if arrival.payload.order else None
        if order is not None and isinstance(order.payload, InvestigationOrdered):
            items += [
                item
                for item in patient.items
                if _is_of_order(item, order.event_id, order.payload)
                and item not in items
                and patient.stands(item)
            ]
        if not items:
            facts.append(own_item(arrival, ctx))
        elif all(item.event_id in closed for item in items) and items[0].event_id not in reopened:
            reopened.add(items[0].event_id)
            why = "Résultat corrigé reçu" if arrival.replaces else "Résultat reçu"
            facts.append(Fact(ItemReopened(), target=items[0].event_id, reason=why, author=RELEVE))
    return tuple(facts)


def _is_of_order(item: Event, order: UUID, ordered: InvestigationOrdered) -> bool:
    follows = item.payload.follows if isinstance(item.payload, ItemOpened) else None
    return follows == order or item.event_id == ordered.item


def _is_late(patient: Patient, arrival: Arrival, arrived: dict[UUID, Arrival]) -> bool:
    if arrival.replaces is None:
        return False
    if arrival.replaces in arrived:
        return comes_late(arrival.payload, arrived[arrival.replaces].payload)
    known = patient.entries.get(arrival.replaces)
    if known is None or patient.is_out(known.event_id):
        return False
    return comes_late(arrival.payload, known.payload)


def _is_history(
    patient: Patient, arrival: Arrival, arrived: dict[UUID, Arrival], ctx: Context
) -> bool:
    """Whether nobody is asked to read it (``results.is_history``), nor what it replaces."""
    if not _old(arrival, ctx) or is_awaited(patient, arrival.payload.order, arrival.replaces):
        return False
    before = arrived.get(arrival.replaces) if arrival.replaces is not None else None
    return before is None or _is_history(patient, before, arrived, ctx)


def _old(arrival: Arrival, ctx: Context) -> bool:
    happened = arrival.payload.sampled_at or arrival.happened
    return (
        arrival.payload.status != "phoned"
        and happened is not None
        and tells_the_past(happened, ctx.zone, ctx.now)
    )


def own_item(
    arrival: Arrival, ctx: Context, act: str = "Lire le résultat", *, harm: bool = False
) -> Fact:
    """The item that a result opens by itself: to read it today, or to do ``act``.

    Late it does harm where ``harm`` says so, and always where it was phoned.
    """
    told = arrival.payload
    title = told.title or next((line.code.text for line in told.lines), "") or "sans titre"
    return Fact(
        ItemOpened(
            kind="result",
            text=f"{act} : {title}"[:400],
            due=ctx.today.isoformat(),
            harm_if_late=harm or told.status == "phoned",
            done_when="résultat définitif lu, patient prévenu",
            follows=arrival.id,
        ),
        occurred_at=ctx.now.isoformat(timespec="seconds"),
        author=RELEVE,
    )


# Decisions: it is read, and the patient is told


def review_result(patient: Patient, command: ReviewResult, ctx: Context) -> tuple[Fact, ...]:
    """What the version in force means; the item ends with a definitive one the patient knows.

    An abnormal result has an action; not telling the patient has a reason. What was told before is
    not what is read now: the patient is to be told again, and a closed item opens again. A measure
    that met an if/then is read in the same way. In the 72 hours after a stint, only on one's own
    orders.
    """
    result = patient.entries.get(command.result)
    if result is None or not has_activated(patient, command.result):
        result = _known_result(patient, command.result, "result")
    _own_in_grace(patient, command.result, ctx)
    action = readable(command.action, field="action", limit=1000)
    if command.verdict in ("abnormal", "critical") and not action:
        raise Invalid(
            "missing-field", field="action", why="Un résultat anormal appelle une conduite."
        )
    reason = readable(command.reason, field="reason", limit=400)
    if not command.inform_patient and not reason:
        raise Invalid(
            "missing-field", field="reason", why="Ne pas prévenir le patient a une raison."
        )
    if command.order is not None:
        _known_order(patient, command.order, "order")
    reviewed = ResultReviewed(
        verdict=command.verdict,
        action=action,
        inform_patient=command.inform_patient,
        order=command.order,
    )
    facts = [Fact(reviewed, target=command.result, reason=reason or None)]
    if not isinstance(result.payload, ResultReceived):
        return tuple(facts)
    if command.inform_patient:
        facts += _still_to_tell(patient, result, command.order, ctx)
    else:
        why = f"Résultat lu, patient non prévenu ({reason})"
        facts += _closings(patient, result, why, order=command.order, read_now=True)
    return tuple(facts)


def inform_patient(patient: Patient, command: InformPatient, ctx: Context) -> tuple[Fact, ...]:
    """The patient knows what a doctor read; with a definitive result this ends the matter."""
    result = _known_result(patient, command.result, "result")
    _own_in_grace(patient, command.result, ctx)
    reading = reading_of(patient, command.result)
    if not reading.reviews:
        raise refuse(
            "result-not-reviewed",
            "L'information du patient n'est pas enregistrée.",
            "Le patient est prévenu de ce qu'un médecin a lu.",
            "Lire d'abord le résultat.",
            field="result",
        )
    informed = Informed(
        channel=command.channel,
        whom=readable(command.whom, field="whom", limit=160),
        text=readable(command.text, field="text", limit=2000),
    )
    facts = [Fact(informed, target=command.result)]
    facts += _closings(patient, result, "Résultat lu, patient prévenu")
    return tuple(facts)


def record_contact_attempt(
    patient: Patient, command: RecordContactAttempt, ctx: Context
) -> tuple[Fact, ...]:
    """Somebody tried; an attempt closes nothing, even when the patient was reached."""
    if command.about is not None:
        known = patient.entries.get(command.about)
        kinds = ResultReceived | ItemOpened | InvestigationOrdered
        if known is None or not isinstance(known.payload, kinds):
            raise Invalid("invalid-field", field="about", why="Résultat ou point inconnu.")
    _own_in_grace(patient, command.about, ctx)
    attempted = ContactAttempted(
        channel=command.channel,
        outcome=command.outcome,
        whom=readable(command.whom, field="whom", limit=160),
    )
    return (Fact(attempted, target=command.about),)


def close_item(patient: Patient, command: CloseItem, ctx: Context) -> tuple[Fact, ...]:
    """As :func:`~.open_items.close_item`; an item that follows a result ends with the result.

    By hand it is said to be needed no more, never while a result of it is unread; or done, where
    every result of it is read and told.
    """
    _, item = find_open_item(patient, command.item)
    if item.follows is not None:
        awaited = awaited_by(patient, item)
        stages = [stage_of(patient, event) for event in awaited]
        ended = bool(stages) and set(stages) <= {"done", "history"}
        unread = any(is_unread(patient, event) for event in awaited)
        if unread or not (ended or command.outcome == "not-needed"):
            raise refuse(
                "follows-result",
                "Ce point n'est pas clos.",
                "Il se clôt quand le résultat définitif est lu et le patient prévenu.",
                "Lire le résultat et prévenir le patient ; ou, sans résultat à lire, dire pourquoi "
                "il n'est plus attendu.",
                field="outcome",
            )
    return open_items.close_item(patient, command, ctx)


def _still_to_tell(patient: Patient, result: Event, order: UUID | None, ctx: Context) -> list[Fact]:
    """The item that is open until the patient knows what is read now, where none is."""
    told = result.payload
    if not isinstance(told, ResultReceived):
        return []
    items = items_of(patient, result.event_id, order=order)
    closed = closed_items(patient)
    if any(item.event_id not in closed for item in items):
        return []
    if items:
        why = "Résultat relu : patient à prévenir"
        return [Fact(ItemReopened(), target=items[0].event_id, reason=why, author=RELEVE)]
    return [own_item(Arrival(result.event_id, told, None, None), ctx, "Prévenir le patient")]


def _closings(
    patient: Patient,
    result: Event,
    evidence: str,
    *,
    order: UUID | None = None,
    read_now: bool = False,
) -> list[Fact]:
    """The closing of each item that ends now that ``result`` is read and told.

    A phoned or partial result ends nothing before its definitive one; which ends what waited for it
    too, and says where the call had said something else. None ends while another of the same order
    waits. ``order`` is the one that the same decision says it answers, ``read_now`` that it reads.
    """
    ended, written = [result], result
    if _is_definitive(result):
        ended += [
            event
            for event in current_results(patient)
            if settles(patient, result, event, order=order, read_now=read_now)
        ]
    else:
        known = (
            event
            for event in current_results(patient)
            if _is_definitive(event)
            and settles(patient, event, result, known_now=True)
            and stage_of(patient, event) == "done"
        )
        written = next(known, result)
        if written is result:
            return []
    named = {event.event_id for event in ended}
    closed = closed_items(patient)
    evidence = "".join((evidence, *(_difference(written, event) for event in ended)))
    facts = []
    found = {
        item.event_id: item
        for event in ended
        for item in items_of(patient, event.event_id, order=order if event is result else None)
    }
    for item in found.values():
        if item.event_id in closed or not isinstance(item.payload, ItemOpened):
            continue
        others = (e for e in awaited_by(patient, item.payload) if e.event_id not in named)
        if all(stage_of(patient, other) in ("done", "history") for other in others):
            closing = ItemClosed(outcome="done", evidence=evidence[:1000])
            facts.append(Fact(closing, target=item.event_id))
    return facts


def _is_definitive(event: Event) -> bool:
    return isinstance(event.payload, ResultReceived) and event.payload.status in DEFINITIVE


def _difference(written: Event, said: Event) -> str:
    """What a call or a partial had said otherwise than the written result; empty where nothing."""
    final, told = written.payload, said.payload
    if not isinstance(final, ResultReceived) or not isinstance(told, ResultReceived):
        return ""
    found = differences(final.lines, told.lines)
    if not found:
        return ""
    how = "au téléphone" if told.status == "phoned" else "en partiel"
    return f" ; annoncé {how} : " + ", ".join(
        f"{each.said.code.text} {value_text(each.said)} au lieu de {value_text(each.written)}"
        for each in found
    )


def _known_result(patient: Patient, result: UUID, field: str) -> Event:
    event = patient.entries.get(result)
    if event is None or not isinstance(event.payload, ResultReceived):
        raise refuse(
            "unknown-result",
            "Ce résultat n'existe pas.",
            "Aucun résultat de ce dossier ne porte ce nom.",
            "Relire les résultats.",
            field=field,
        )
    if not patient.stands(event):
        raise refuse(
            "result-superseded",
            "Ce résultat n'a plus cours.",
            "Une version plus récente l'a remplacé, ou il a été écarté.",
            "Relire la dernière version, puis y répondre.",
            field=field,
        )
    return event


def _known_order(patient: Patient, order: UUID, field: str) -> Event:
    event = patient.entries.get(order)
    known = event is not None and isinstance(event.payload, InvestigationOrdered)
    if event is None or not known or not patient.stands(event):
        raise _unknown_order(field)
    return event


def _unknown_order(field: str) -> Refused:
    return refuse(
        "unknown-order",
        "Cette demande d'examen n'existe pas.",
        "Aucune demande en cours de ce dossier ne porte ce nom.",
        "Relire les examens demandés.",
        field=field,
    )


def _own_in_grace(patient: Patient, result: UUID | None, ctx: Context) -> None:
    """After the end of their stint, a doctor answers only for what they ordered themselves."""
    if ctx.author.role not in NEEDS_STINT or ctx.stint is None:
        return
    if ctx.now <= ctx.stint.window[1]:
        return
    order = None if result is None else order_of(patient, result)
    ordered = None if order is None else patient.entries[order]
    if ordered is None or ordered.envelope.author.person != ctx.author.person:
        raise refuse(
            "not-own-order",
            "La saisie n'est pas enregistrée.",
            "Après son séjour, un médecin ne suit que les résultats qu'il a demandés.",
            "La laisser au médecin en poste.",
            field="result",
        )
