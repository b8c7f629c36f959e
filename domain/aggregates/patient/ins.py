"""INS: how far an identity was checked, and when its matricule may leave."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar, Literal

from releve.domain.aggregates.deciding import Context, Fact, refuse
from releve.domain.aggregates.patient.entries import optional_text
from releve.domain.aggregates.patient.identity import Registered, identity_of, missing_traits
from releve.domain.aggregates.patient.record import Fold, Patient, file
from releve.domain.commands import ChangeInsStatus
from releve.domain.errors import Invalid
from releve.domain.events import Payload
from releve.domain.values import INS_SYSTEMS, Identifier, IdentityStatus, Nir, readable

# Events: the storage format. Never rename, retype or reuse a field; see domain/upcasting.py.


class InsStatusChanged(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """The identity's status changed; the matricule stands where the status gives one."""

    topic: ClassVar[str] = "patient.ins-status-changed"

    status: Literal["provisoire", "recuperee", "validee", "qualifiee"]
    matricule: Identifier | None = None
    proof: str | None = None
    service: bool = False


# State

FOLDS: dict[type[Payload], Fold] = {
    InsStatusChanged: file,
}

RANK: dict[IdentityStatus, int] = {"provisoire": 0, "recuperee": 1, "validee": 1, "qualifiee": 2}
"""How far each status goes; a récupérée identity lacks the proof, a validée one the service."""


def ins_of(
    registered: Registered | None, changes: Iterable[InsStatusChanged]
) -> tuple[IdentityStatus, Identifier | None]:
    """The status in force and the matricule held under it; ``changes`` that stand, oldest first.

    The last one written counts, whatever day it speaks of: a doubt takes effect when it is said.
    """
    status: IdentityStatus = "provisoire"
    held: Identifier | None = None
    if registered is not None:
        status = registered.identity_status
        held = next((i for i in registered.identifiers if i.system in INS_SYSTEMS), None)
    for change in changes:
        status, held = change.status, change.matricule
    return status, held


def exportable(status: IdentityStatus, held: Identifier | None) -> Identifier | None:
    """The matricule that may leave the product: that of a qualified identity, or none.

    Give what :func:`ins_of` or :func:`ins_status` say. The test and demonstration OIDs follow the
    same rule as the real ones (RNIV, INS référentiel).
    """
    if status != "qualifiee" or held is None:
        return None
    return Identifier(system=held.system, value=held.value, use="official")


def ins_status(patient: Patient) -> tuple[IdentityStatus, Identifier | None]:
    """The patient's status and the matricule held under it (:func:`ins_of`)."""
    return ins_of(identity_of(patient), _changes(patient))


def gave_in_error(patient: Patient, matricule: Identifier) -> bool:
    """True where the record has this matricule by nothing but entries that do not stand."""
    identity = identity_of(patient)
    if identity is not None and any(_same(each, matricule) for each in identity.identifiers):
        return False
    if any(_same(each.matricule, matricule) for each in _changes(patient)):
        return False
    return any(
        isinstance(event.payload, InsStatusChanged) and _same(event.payload.matricule, matricule)
        for event in patient.told(InsStatusChanged)
    )


def standing_matricules(patient: Patient) -> list[Identifier]:
    """Every matricule that an entry which stands has given, oldest first."""
    return [each.matricule for each in _changes(patient) if each.matricule is not None]


def _same(one: Identifier | None, other: Identifier) -> bool:
    return one is not None and (one.system, one.value) == (other.system, other.value)


def _changes(patient: Patient) -> Iterator[InsStatusChanged]:
    for event in patient.standing(patient.told(InsStatusChanged)):
        if isinstance(event.payload, InsStatusChanged):
            yield event.payload


# Decisions


def change_ins_status(patient: Patient, command: ChangeInsStatus, ctx: Context) -> tuple[Fact, ...]:
    """Each status has what it rests on: the service, a proof, the five traits; going down, why.

    A récupérée identity has its matricule from the service, a validée one a proof of identity and
    no matricule, a qualifiée one both, with all five strict traits. A matricule whose digits
    contradict the known traits is refused.
    """
    identity = identity_of(patient) or Registered()
    before, held = ins_status(patient)
    reason = readable(command.reason or "", field="reason", limit=400)
    if RANK[command.status] < RANK[before] and not reason:
        raise refuse(
            "reason-missing",
            "Le statut n'est pas changé.",
            "Une identité perd son statut pour une raison.",
            "Dire en quelques mots pourquoi.",
            field="reason",
        )
    proof = optional_text(command.proof, field="proof", limit=160)
    if command.status in ("validee", "qualifiee") and proof is None:
        raise refuse(
            "proof-missing",
            "Le statut n'est pas changé.",
            "Une identité est validée sur une pièce d'identité.",
            "Dire quelle pièce a été présentée.",
            field="proof",
        )
    if command.status in ("recuperee", "qualifiee") and not command.service:
        raise refuse(
            "service-missing",
            "Le statut n'est pas changé.",
            "Le matricule vient du téléservice INS, jamais d'une saisie.",
            "Interroger le téléservice, puis renvoyer.",
            field="service",
        )
    given = _given(command)
    if given is not None and command.status not in ("recuperee", "qualifiee"):
        raise refuse(
            "matricule-without-service",
            "Le matricule n'est pas gardé.",
            "Seule une identité récupérée ou qualifiée porte un matricule.",
            "Renvoyer sans matricule.",
            field="matricule",
        )
    matricule: Identifier | None = None
    if command.status in ("recuperee", "qualifiee"):
        matricule = given or held
        if matricule is None:
            raise Invalid("missing-field", field="matricule", why="Ce statut a un matricule.")
        if contradicts(matricule.value, identity):
            raise refuse(
                "matricule-contradicts-traits",
                "Le matricule n'est pas gardé.",
                "Son sexe, son année ou son mois de naissance n'est pas celui du dossier.",
                "Vérifier les traits sur une pièce d'identité.",
                field="matricule",
            )
    if command.status == "qualifiee" and missing_traits(identity):
        raise refuse(
            "not-qualified",
            "L'identité ne peut pas être qualifiée.",
            "Une identité qualifiée a ses cinq traits stricts.",
            "Compléter les traits, ou laisser l'identité récupérée.",
            field="status",
        )
    return (
        Fact(
            InsStatusChanged(
                status=command.status,
                matricule=matricule,
                proof=proof,
                service=command.service,
            ),
            reason=reason or None,
        ),
    )


def _given(command: ChangeInsStatus) -> Identifier | None:
    if command.matricule is None:
        if command.system is not None:
            raise Invalid("missing-field", field="matricule")
        return None
    if command.system is None:
        raise Invalid("missing-field", field="system", why="Un matricule a son OID.")
    if command.system not in INS_SYSTEMS:
        raise Invalid("invalid-field", field="system", why="Cet OID n'est pas celui d'une INS.")
    return Identifier(system=command.system, value=str(Nir(command.matricule, field="matricule")))


def contradicts(matricule: str, identity: Registered) -> bool:
    """True when the matricule's sex, birth year or birth month is not the traits'.

    Its first digit is odd for a man and even for a woman; months above 12 are those of incomplete
    civil records and say nothing (INSEE). The birthplace is not compared: communes merge.
    """
    number = Nir(matricule, field="matricule")
    sex = "male" if int(number[0]) % 2 else "female"
    if identity.sex in ("male", "female") and identity.sex != sex:
        return True
    born = identity.birth_date
    if born is None:
        return False
    if born[2:4] != number[1:3]:
        return True
    month = number[3:5]
    return len(born) >= 7 and "01" <= month <= "12" and born[5:7] != month
