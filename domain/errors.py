"""What can go wrong in the domain, as types a caller can act on.

::

    ReleveError
    ├── Invalid        the request itself is malformed (a value object refused it)
    ├── Refused        a rule of medicine or of the centre says no
    ├── Conflict       somebody else wrote meanwhile
    │   └── Reused     an idempotency key came back with another request
    ├── NotFound       no such record, or none this caller may know of
    ├── Forbidden      policy says no (doors answer as for NotFound)
    ├── Erased         the key of this record was destroyed
    ├── Tampered       stored bytes do not say what they said when written
    └── Unavailable    database, keys or another needed service is down; try again

No message ever carries clinical text, a name or an identifier: they end in logs.
"""

from __future__ import annotations


class ReleveError(Exception):
    """Something was refused; ``code`` is stable, ``why`` and ``do`` are for the reader."""

    code = "error"
    what = "La demande n'a pas abouti."
    why = ""
    do = ""

    def __init__(
        self,
        code: str | None = None,
        *,
        what: str | None = None,
        why: str | None = None,
        do: str | None = None,
        field: str | None = None,
    ) -> None:
        """Keep the class's own words for what is not given; ``field`` is a path, not a value."""
        self.code = code or type(self).code
        self.what = what or type(self).what
        self.why = why or type(self).why
        self.do = do or type(self).do
        self.field = field
        super().__init__(f"{self.code}: {self.what}")


class Invalid(ReleveError):
    """The request is malformed: a field is missing, or its value cannot be what it claims."""

    code = "invalid"
    what = "Une valeur n'est pas valable."
    why = "La valeur reçue ne peut pas être lue comme ce champ le demande."
    do = "Corriger le champ indiqué et renvoyer."


class Refused(ReleveError):
    """A rule of medicine or of the centre refuses this command."""

    code = "refused"
    what = "La commande est refusée."


class Conflict(ReleveError):
    """Somebody else wrote on this record since it was read."""

    code = "conflict"
    what = "Le dossier a changé entre-temps."
    why = "Un autre soignant a écrit sur ce dossier depuis sa lecture."
    do = "Relire ce qui est arrivé, puis renvoyer."


class Reused(Conflict):
    """The same idempotency key came with another request."""

    code = "idempotency-key-reused"
    what = "Cette clé d'idempotence a déjà servi pour une autre demande."
    why = "Une clé désigne une seule demande, au contenu près."
    do = "Prendre une nouvelle clé pour une nouvelle demande."


class NotFound(ReleveError):
    """No such record, or none that this caller may know of."""

    code = "not-available"
    what = "Ce dossier n'est pas disponible."
    why = "Il n'existe pas, ou il n'est pas accessible avec ce rôle et à cette date."
    do = "Vérifier l'adresse et la période du séjour."


class Forbidden(ReleveError):
    """Policy refuses; doors answer exactly as for :class:`NotFound`."""

    code = "not-available"
    what = NotFound.what
    why = NotFound.why
    do = NotFound.do


class Erased(ReleveError):
    """The key of this record was destroyed: nothing can be read again."""

    code = "erased"
    what = "Ce dossier a été effacé."
    why = "Sa clé a été détruite dans le cadre d'une procédure d'effacement."
    do = "Consulter l'attestation d'effacement."


class Tampered(ReleveError):
    """Stored bytes do not say what they said when they were written."""

    code = "tampered"
    what = "Un enregistrement a été altéré."
    why = "Ses octets ne correspondent plus à leur empreinte."
    do = "Lancer `releve verify` et prévenir l'exploitant."


class Unavailable(ReleveError):
    """A needed service (database, keys, access log) is down; nothing was lost, try again."""

    code = "unavailable"
    what = "Le service est momentanément indisponible."
    why = "La base, les clés ou le journal des accès ne répondent pas."
    do = "Réessayer dans quelques secondes ; rien de ce qui a été confirmé n'est perdu."
