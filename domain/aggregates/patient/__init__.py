"""Patient (dossier): one record, folded from its events, deciding on every command about it.

One module per clinical concern; each page reads events, then state, then decisions.
"""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from releve.domain.aggregates.deciding import Context, Fact, refuse, require_stint
from releve.domain.aggregates.patient import (
    ald,
    allergies,
    appointments,
    by_rule,
    contact_details,
    contingencies,
    corrections,
    death,
    documents,
    encounters,
    handover,
    history,
    identity,
    ins,
    medications,
    observations,
    offers,
    open_items,
    problems,
    questions,
    results,
    severity,
    summary_review,
    validation,
    vigilance,
)
from releve.domain.aggregates.patient import result_follow_up as follow_up
from releve.domain.aggregates.patient.consultation import record_consultation
from releve.domain.aggregates.patient.imports import import_record
from releve.domain.aggregates.patient.record import Fold, Patient
from releve.domain.commands import (
    AcceptItem,
    AmendNote,
    AnswerQuestion,
    AskQuestion,
    AssertAbsence,
    AttachDocument,
    ChangeAldStatus,
    ChangeContactDetails,
    ChangeInsStatus,
    ChangeMedication,
    CloseItem,
    Command,
    DeclareMedecinTraitant,
    DeclineItem,
    EndMedecinTraitant,
    ImportRecord,
    InformPatient,
    LiftVigilancePoint,
    MarkEntryInError,
    NoticeAppointment,
    OfferItem,
    OpenItem,
    OrderInvestigation,
    ReadBackHandover,
    ReceiveResult,
    ReconcileMedications,
    RecordAllergy,
    RecordConsultation,
    RecordContactAttempt,
    RecordDeath,
    RecordDevice,
    RecordHistory,
    RecordImmunization,
    RecordObservation,
    RecordOpinion,
    RecordProblem,
    RecordProcedure,
    RegisterPatient,
    ReinstateEntry,
    ReopenItem,
    ReviewResult,
    ReviewSummary,
    ReviseAllergy,
    ReviseItem,
    ReviseProblem,
    SetContingency,
    SetIllnessSeverity,
    SetVigilancePoint,
    SignNote,
    StartMedication,
    StopMedication,
    ValidateEntries,
    ValidateEntry,
    WithdrawContingency,
    WriteHandover,
)
from releve.domain.events import Event, Payload

__all__ = ["FOLDS", "Patient", "decide", "fold"]

FOLDS: dict[type[Payload], Fold] = {
    **identity.FOLDS,
    **encounters.FOLDS,
    **observations.FOLDS,
    **problems.FOLDS,
    **allergies.FOLDS,
    **medications.FOLDS,
    **documents.FOLDS,
    **open_items.FOLDS,
    **contingencies.FOLDS,
    **severity.FOLDS,
    **handover.FOLDS,
    **corrections.FOLDS,
    **ald.FOLDS,
    **appointments.FOLDS,
    **contact_details.FOLDS,
    **death.FOLDS,
    **history.FOLDS,
    **ins.FOLDS,
    **offers.FOLDS,
    **questions.FOLDS,
    **results.FOLDS,
    **summary_review.FOLDS,
    **validation.FOLDS,
    **vigilance.FOLDS,
}
"""How each payload changes the record."""


def fold(patient: Patient | None, events: Iterable[Event]) -> Patient | None:
    """``patient`` after ``events``; ``patient`` itself is changed. None when there are none."""
    for event in events:
        if patient is None:
            patient = Patient(id=event.originator_id)
        FOLDS[type(event.payload)](patient, event)
        patient.entries[event.event_id] = event
        patient.version = event.originator_version
        patient.last = event
    return patient


def decide(patient: Patient | None, command: Command, ctx: Context) -> tuple[Fact, ...]:
    """The facts that ``command`` makes of ``patient``, or the reason why it makes none.

    Raises:
        Invalid: a field cannot be what it claims; named, never quoted.
        Refused: a rule of medicine or of the centre says no; with why, and what to do.
    """
    creating = isinstance(command, RegisterPatient | ImportRecord)
    if patient is None:
        if not creating:
            raise TypeError(f"{command.name} needs a record")
        patient = Patient(id=ctx.stream or UUID(int=0))
    elif patient.registered is None and not creating:
        raise refuse(
            "not-registered",
            "Ce dossier n'est pas ouvert.",
            "Une identité ouvre tout dossier.",
            "Enregistrer d'abord le patient.",
        )
    if not isinstance(command, ImportRecord):
        afterwards = isinstance(
            command,
            AmendNote
            | WriteHandover
            | MarkEntryInError
            | ReinstateEntry
            | AttachDocument
            | ReviewResult
            | RecordContactAttempt
            | InformPatient,
        )
        measured = isinstance(command, RecordObservation | ReceiveResult)
        answering = isinstance(command, AnswerQuestion)
        require_stint(command, ctx, before=measured, afterwards=afterwards, answering=answering)
        death.refuse_care_after(patient, command, ctx)
    facts = _decided(patient, command, ctx)
    return (*facts, *by_rule.consequences(patient, facts, ctx, happened=ctx.happened(command)))


def _decided(patient: Patient, command: Command, ctx: Context) -> tuple[Fact, ...]:
    match command:
        case RegisterPatient():
            return identity.register(patient, command, ctx)
        case ImportRecord():
            return import_record(patient, command, ctx)
        case DeclareMedecinTraitant():
            return identity.declare_medecin_traitant(patient, command, ctx)
        case RecordConsultation():
            return record_consultation(patient, command, ctx)
        case SignNote():
            return encounters.sign_note(patient, command, ctx)
        case AmendNote():
            return encounters.amend_note(patient, command, ctx)
        case RecordObservation():
            return observations.record_observation(patient, command, ctx)
        case RecordProblem():
            return problems.record_problem(patient, command, ctx)
        case RecordAllergy():
            return allergies.record_allergy(patient, command, ctx)
        case AssertAbsence():
            return allergies.assert_absence(patient, command, ctx)
        case StartMedication():
            return medications.start_medication(patient, command, ctx)
        case AttachDocument():
            return documents.attach_document(patient, command, ctx)
        case OpenItem():
            return open_items.open_item(patient, command, ctx)
        case CloseItem():
            return follow_up.close_item(patient, command, ctx)
        case ReviseItem():
            return open_items.revise_item(patient, command, ctx)
        case ReopenItem():
            return open_items.reopen_item(patient, command, ctx)
        case OfferItem():
            return offers.offer_item(patient, command, ctx)
        case AcceptItem():
            return offers.accept_item(patient, command, ctx)
        case DeclineItem():
            return offers.decline_item(patient, command, ctx)
        case OrderInvestigation():
            return follow_up.order_investigation(patient, command, ctx)
        case ReceiveResult():
            return follow_up.receive_result(patient, command, ctx)
        case ReviewResult():
            return follow_up.review_result(patient, command, ctx)
        case RecordContactAttempt():
            return follow_up.record_contact_attempt(patient, command, ctx)
        case InformPatient():
            return follow_up.inform_patient(patient, command, ctx)
        case SetContingency():
            return contingencies.set_contingency(patient, command, ctx)
        case WithdrawContingency():
            return contingencies.withdraw_contingency(patient, command, ctx)
        case SetIllnessSeverity():
            return severity.set_illness_severity(patient, command, ctx)
        case WriteHandover():
            return handover.write_handover(patient, command, ctx)
        case ReadBackHandover():
            return handover.read_back(patient, command, ctx)
        case MarkEntryInError():
            return corrections.mark_in_error(patient, command, ctx)
        case ReinstateEntry():
            return corrections.reinstate_entry(patient, command, ctx)
        case EndMedecinTraitant():
            return identity.end_medecin_traitant(patient, command, ctx)
        case ChangeInsStatus():
            return ins.change_ins_status(patient, command, ctx)
        case ChangeContactDetails():
            return contact_details.change_contact_details(patient, command, ctx)
        case RecordDeath():
            return death.record_death(patient, command, ctx)
        case NoticeAppointment():
            return appointments.notice_appointment(patient, command, ctx)
        case ReviseProblem():
            return problems.revise_problem(patient, command, ctx)
        case ReviseAllergy():
            return allergies.revise_allergy(patient, command, ctx)
        case ChangeMedication():
            return medications.change_medication(patient, command, ctx)
        case StopMedication():
            return medications.stop_medication(patient, command, ctx)
        case ReconcileMedications():
            return medications.reconcile_medications(patient, command, ctx)
        case RecordImmunization():
            return history.record_immunization(patient, command, ctx)
        case RecordProcedure():
            return history.record_procedure(patient, command, ctx)
        case RecordDevice():
            return history.record_device(patient, command, ctx)
        case RecordHistory():
            return history.record_history(patient, command, ctx)
        case SetVigilancePoint():
            return vigilance.set_vigilance_point(patient, command, ctx)
        case LiftVigilancePoint():
            return vigilance.lift_vigilance_point(patient, command, ctx)
        case ChangeAldStatus():
            return ald.change_ald_status(patient, command, ctx)
        case ReviewSummary():
            return summary_review.review_summary(patient, command, ctx)
        case ValidateEntry():
            return validation.validate_entry(patient, command, ctx)
        case ValidateEntries():
            return validation.validate_entries(patient, command, ctx)
        case AskQuestion():
            return questions.ask_question(patient, command, ctx)
        case AnswerQuestion():
            return questions.answer_question(patient, command, ctx)
        case RecordOpinion():
            return questions.record_opinion(patient, command, ctx)
        case _:
            raise TypeError(f"{command.name} is not a patient's command")
