"""Every act of the record that has a form of its own: its command, its words and its fields.

An act is written as data, so that each has the same page: the patient, the entry that it is about,
the fields, one button. What a field gives a command is said beside it; what takes more than one
field stands in :mod:`~releve.api.pages.act_data`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from releve.api.pages import measures
from releve.api.pages.typed_dates import PARTIAL
from releve.projections import wording

Control = Literal["text", "long", "date", "moment", "number", "choice", "radio", "check", "lines"]
Gives = Literal["text", "concept", "number", "yes", "owner", "nothing"]
Options = tuple[tuple[str, str], ...]

COLLEAGUES: Final[Options] = (("*", "*"),)
"""Stands for the doctors known at the centre, filled in when the form is shown."""
ANSWERERS: Final[Options] = (("**", "**"),)
"""Stands for whom an item may be offered to: roles, then the doctors known at the centre."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field: its control, its words, and what it gives the command under its name."""

    name: str
    label: str
    control: Control = "text"
    gives: Gives = "text"
    hint: str = ""
    options: Options = ()
    width: str = "w12"
    required: bool = False
    limit: int | None = None
    start: str = ""
    """What stands in it before anybody typed; ``today`` for the day."""
    missing: str = ""
    """What to do, said where a required field was left as it was."""

    @property
    def asked(self) -> str:
        """What is said of the field when it is required and nothing is in it."""
        verb = "Choisir" if self.control in ("choice", "radio") else "Remplir"
        return self.missing or f"{verb} « {self.label} »."


@dataclass(frozen=True, slots=True)
class Act:
    """One act: ``about`` is the command's field that names the entry, empty where there is none."""

    command: str
    title: str
    button: str
    done: str
    fields: tuple[Field, ...] = ()
    about: str = ""
    topics: frozenset[str] = frozenset()
    """What the entry must be; empty: any clinical entry."""
    may_be_about: bool = False
    """The entry may be left out."""
    fixed: tuple[tuple[str, str], ...] = ()
    back: str = ""
    """Where to go once it is done, after the patient's address."""
    hint: str = ""


CHOOSE: Final = "Choisir…"
"""Where a choice says what happened, nothing is chosen until somebody chooses."""


def _words(labels: Mapping[str, str], *kept: str, first: str | None = None) -> Options:
    chosen = tuple((key, labels[key][:1].upper() + labels[key][1:]) for key in (kept or labels))
    return (("", first), *chosen) if first is not None else chosen


def _reason(label: str = "Motif") -> Field:
    return Field("reason", label, required=True, limit=400, missing="Dire pourquoi.")


def _of(*topics: str) -> frozenset[str]:
    return frozenset(f"patient.{topic}" for topic in topics)


_OWNERS: Final[Options] = (
    ("medecin_en_poste", "Médecin en poste"), ("referent", "Référent médical"),
    ("coordinator", "Coordination"),
)  # fmt: skip
_UNCHANGED = "Inchangé"
_BY_WHAT_MEANS = Field(
    "channel", "Comment", "choice", width="w4", required=True, missing="Dire par quel moyen.",
    options=_words(wording.CONTACT, first=CHOOSE),
)  # fmt: skip

ACTS: Final[Mapping[str, Act]] = {
    # Problems and allergies
    "probleme": Act(
        "record-problem", "Ajouter un problème", "Ajouter le problème", "ligne-ajoutee",
        (
            Field("concept", "Problème", gives="concept", required=True, limit=200, width="w8",
                  missing="Nommer le problème."),
            Field("code", "Code CIM-10", gives="nothing", hint="facultatif", width="w4", limit=10),
            Field("clinical_status", "État", "choice", width="w4", options=_words(
                wording.CLINICAL_STATUS, "active", "recurrence", "remission", "inactive",
                "resolved")),
            Field("onset", "Depuis", hint=PARTIAL, width="w4", limit=10),
            Field("laterality", "Côté", width="w4", limit=40),
        ),
    ),
    "reviser-probleme": Act(
        "revise-problem", "Réviser un problème", "Réviser", "ligne-revisee",
        (
            Field("clinical_status", "État", "choice", width="w4",
                  options=_words(wording.CLINICAL_STATUS, first=_UNCHANGED)),
            Field("verification", "Certitude", "choice", width="w4", options=_words(
                wording.VERIFICATION, "confirmed", "provisional", "differential", "unconfirmed",
                "refuted", first=_UNCHANGED)),
            Field("abatement", "Fini le", hint=PARTIAL, width="w4", limit=10),
            _reason(),
        ),
        about="problem", topics=_of("problem-recorded"),
    ),
    "allergie": Act(
        "record-allergy", "Ajouter une allergie", "Ajouter l’allergie", "ligne-ajoutee",
        (
            Field("substance", "Substance", gives="concept", required=True, limit=200, width="w6",
                  missing="Nommer la substance."),
            Field("reaction", "Réaction", gives="nothing", limit=200, width="w6"),
            Field("category", "Nature", "choice", gives="nothing", width="w4", options=(
                ("", "Non précisée"), ("medication", "Médicament"), ("food", "Aliment"),
                ("environment", "Environnement"), ("biologic", "Produit biologique"))),
            Field("criticality", "Risque", "choice", width="w4",
                  options=_words(wording.CRITICALITY, first="Non précisé")),
            Field("verification", "Certitude", "choice", width="w4", required=True,
                  missing="Dire si l’allergie est confirmée.", options=_words(
                      wording.ALLERGY_VERIFICATION, "confirmed", "unconfirmed", first=CHOOSE)),
        ),
    ),
    "reviser-allergie": Act(
        "revise-allergy", "Confirmer ou réfuter une allergie", "Réviser", "ligne-revisee",
        (
            Field("verification", "Certitude", "choice", width="w4", options=_words(
                wording.ALLERGY_VERIFICATION, "confirmed", "unconfirmed", "refuted",
                first=_UNCHANGED)),
            Field("clinical_status", "État", "choice", width="w4", options=_words(
                wording.ALLERGY_STATUS, "active", "inactive", "resolved", first=_UNCHANGED)),
            Field("criticality", "Risque", "choice", width="w4",
                  options=_words(wording.CRITICALITY, first=_UNCHANGED)),
            _reason(),
        ),
        about="allergy", topics=_of("allergy-recorded"),
        hint="Une allergie réfutée quitte le bandeau ; elle reste lisible avec son motif.",
    ),
    "aucune": Act(
        "assert-absence", "Dire qu’il n’y en a pas", "Enregistrer", "absence-dite",
        (
            Field("slot", "Ce qui a été demandé", "choice", width="w6", required=True,
                  missing="Choisir ce qui a été demandé.",
                  options=_words(wording.ABSENCE, first=CHOOSE)),
            Field("asked_on", "Demandé le", "date", width="w6", start="today"),
        ),
        hint="« Demandé, aucune » n’est pas « non demandé » : le jour de la question est gardé.",
    ),
    # Treatments
    "traitement": Act(
        "start-medication", "Ajouter un traitement", "Ajouter le traitement", "ligne-ajoutee",
        (
            Field("concept", "Traitement", gives="concept", required=True, limit=200, width="w6",
                  missing="Nommer le traitement."),
            Field("dose_text", "Posologie", limit=200, width="w6"),
            Field("indication", "Pour", hint="l’indication", limit=200, width="w6"),
            Field("start", "Depuis le", "date", width="w3", start="today"),
            Field("end", "Jusqu’au", "date", width="w3"),
        ),
        back="/traitements",
    ),
    "changer-traitement": Act(
        "change-medication", "Changer un traitement", "Changer", "ligne-revisee",
        (
            Field("dose_text", "Nouvelle posologie", limit=200, width="w6"),
            Field("indication", "Pour", limit=200, width="w6", hint="si cela change"),
            Field("end", "Jusqu’au", "date", width="w6"),
            _reason(),
        ),
        about="medication", topics=_of("medication-started"), back="/traitements",
    ),
    "arreter-traitement": Act(
        "stop-medication", "Arrêter un traitement", "Arrêter ce traitement", "traitement-arrete",
        (_reason("Motif de l’arrêt"), Field("stopped_on", "Arrêté le", "date", start="today")),
        about="medication", topics=_of("medication-started"), back="/traitements",
    ),
    "reconcilier": Act(
        "reconcile-medications", "Comparer les traitements à une source",
        "Enregistrer la comparaison", "reconciliation",
        (
            Field("against", "Comparés à", required=True, limit=160,
                  missing="Dire à quoi les traitements sont comparés.",
                  hint="ordonnance de sortie, boîtes à domicile, pharmacie…"),
            Field("checked", "Lignes que la source confirme", "lines"),
            Field("remarks", "Écarts et remarques", "long", limit=400),
        ),
        back="/traitements",
    ),
    # The other lists
    "vaccin": Act(
        "record-immunization", "Ajouter un vaccin", "Ajouter le vaccin", "ligne-ajoutee",
        (
            Field("vaccine", "Vaccin", gives="concept", required=True, limit=200, width="w8",
                  missing="Nommer le vaccin."),
            Field("status", "Fait ou non", "choice", width="w4", required=True,
                  missing="Dire si le vaccin est fait.",
                  options=(("", CHOOSE), ("completed", "Fait"), ("not-done", "Non fait"))),
            Field("given_on", "Le", hint=PARTIAL, width="w4", limit=10),
            Field("lot", "Lot", width="w4", limit=40),
            Field("dose_number", "Dose n°", "number", gives="number", width="w4"),
            Field("reason", "Si non fait, pourquoi", limit=400),
        ),
    ),
    "acte": Act(
        "record-procedure", "Ajouter une intervention ou un acte", "Ajouter", "ligne-ajoutee",
        (
            Field("concept", "Acte", gives="concept", required=True, limit=200, width="w8",
                  missing="Nommer l’acte."),
            Field("performed", "Fait le", hint=PARTIAL, width="w4", limit=10),
            Field("body_site", "Où", width="w6", limit=120),
            Field("outcome", "Suites", width="w6", limit=200),
        ),
    ),
    "dispositif": Act(
        "record-device", "Ajouter un dispositif", "Ajouter le dispositif", "ligne-ajoutee",
        (
            Field("concept", "Dispositif", gives="concept", required=True, limit=200, width="w8",
                  missing="Nommer le dispositif."),
            Field("since", "Depuis", hint=PARTIAL, width="w4", limit=10),
            Field("body_site", "Où", width="w6", limit=120),
            Field("udi", "Identifiant unique", hint="comme imprimé", width="w6", limit=120),
        ),
    ),
    "histoire": Act(
        "record-history", "Ajouter au contexte de vie", "Ajouter", "ligne-ajoutee",
        (
            Field("slot", "Nature", "choice", width="w4", required=True,
                  missing="Choisir de quelle nature.",
                  options=_words(wording.HISTORY, first=CHOOSE)),
            Field("concept", "Quoi", gives="concept", required=True, limit=200, width="w8",
                  missing="Dire de quoi il s’agit."),
            Field("relationship", "Lien de parenté", width="w6", limit=60,
                  hint="pour un antécédent familial"),
            Field("since", "Depuis", hint=PARTIAL, width="w6", limit=10),
        ),
    ),
    "mesure": Act(
        "record-observation", "Ajouter une mesure", "Ajouter la mesure", "ligne-ajoutee",
        (
            Field("code", "Mesure", "choice", gives="nothing", options=measures.OPTIONS,
                  width="w6", required=True, missing="Choisir la mesure."),
            Field("value", "Valeur et unité", gives="nothing", required=True, width="w6", limit=40,
                  hint="135/80 mmHg, 71,5 kg", missing="Écrire la valeur et son unité."),
            Field("confirmed", "Valeur inhabituelle : je la confirme", "check", gives="yes"),
        ),
    ),
    "vigilance": Act(
        "set-vigilance-point", "Poser un point de vigilance", "Poser ce point", "ligne-ajoutee",
        (
            Field("text", "Ce que chacun doit garder en tête", required=True, limit=160,
                  hint="160 caractères au plus", missing="Écrire ce point de vigilance."),
            Field("until", "Jusqu’au", "date", hint="facultatif", width="w6"),
        ),
    ),
    "lever-vigilance": Act(
        "lift-vigilance-point", "Lever un point de vigilance", "Lever ce point", "ligne-revisee",
        (_reason(),), about="point", topics=_of("vigilance-point-set"),
    ),
    "si-alors": Act(
        "set-contingency", "Écrire un « si… alors »", "Ajouter", "ligne-ajoutee",
        (
            Field("condition", "Si", required=True, limit=200, width="w6", missing="Dire si quoi."),
            Field("action", "Alors", required=True, limit=400, width="w6",
                  missing="Dire alors quoi."),
            Field("who", "Qui", width="w6", limit=120),
            Field("valid_until", "Valable jusqu’au", "date", width="w6"),
            Field("seuil", "Seuil qui déclenche", "choice", gives="nothing", width="w6",
                  options=(("", "Aucun"), *((each.key, each.label) for each in measures.MEASURES
                                            if not each.parts))),
            Field("sens", "Sens", "choice", gives="nothing", width="w3",
                  options=(("", CHOOSE), (">", "Au-dessus de"), ("<", "Au-dessous de"))),
            Field("threshold", "Valeur et unité", gives="nothing", width="w3", limit=40),
        ),
    ),
    "retirer": Act(
        "withdraw-contingency", "Retirer un « si… alors »", "Retirer", "ligne-revisee",
        (_reason(),), about="contingency", topics=_of("contingency-set"),
    ),
    "second-avis": Act(
        "record-opinion", "Donner un second avis", "Signer cet avis", "avis",
        (
            Field("stance", "Votre avis", "radio", required=True, missing="Dire votre avis.",
                  options=(("agrees", "D’accord"), ("challenges", "Remet en question"),
                           ("adds", "Ajoute"))),
            Field("text", "Pourquoi", "long", required=True, limit=2000,
                  missing="Dire pourquoi."),
        ),
        about="about",
        hint="L’entrée n’est jamais changée : l’avis se lit à côté, jusqu’à ce qu’on y réponde.",
    ),
    "relecture": Act(
        "review-summary", "Relire la synthèse", "La synthèse est relue et juste", "synthese-relue",
        (Field("next_review", "Prochaine relecture", "date", width="w6"),),
    ),
    # What another system sent
    "accepter": Act(
        "validate-entry", "Accepter une ligne reçue", "Accepter", "ligne-acceptee",
        about="entry", fixed=(("verdict", "accepted"),), back="#a-valider",
    ),
    "refuser": Act(
        "validate-entry", "Refuser une ligne reçue", "Refuser cette ligne", "ligne-refusee",
        (_reason("Pourquoi elle est refusée"),),
        about="entry", fixed=(("verdict", "refused"),), back="#a-valider",
        hint="La ligne quitte les vues du moment ; elle reste barrée dans le fil, avec le motif.",
    ),
    "retablir": Act(
        "reinstate-entry", "Rétablir une entrée marquée erronée", "Rétablir", "retablie",
        (_reason(),), about="entry", back="#fil",
    ),
    # Results
    "prescrire": Act(
        "order-investigation", "Prescrire un examen", "Prescrire", "prescription",
        (
            Field("kind", "Nature", "choice", width="w4", required=True,
                  missing="Choisir la nature de l’examen.",
                  options=_words(wording.INVESTIGATION, first=CHOOSE)),
            Field("text", "Examen", required=True, limit=200, width="w8",
                  missing="Nommer l’examen."),
            Field("expected_by", "Résultat attendu le", "date", required=True, width="w4",
                  missing="Dire quand le résultat est attendu."),
            Field("criticality", "Urgence", "choice", width="w4",
                  options=(("routine", "Habituelle"), ("urgent", "Urgent"))),
            Field("owner", "Répond du résultat", "choice", gives="owner", width="w4",
                  options=_OWNERS),
            Field("why", "Pourquoi", limit=400),
            Field("harm_if_late", "Danger si le résultat tarde", "check", gives="yes"),
        ),
        back="/resultats",
        hint="Un point reste ouvert jusqu’à ce que le patient connaisse le résultat.",
    ),
    "relire": Act(
        "review-result", "Lire un résultat", "Signer la lecture", "resultat-lu",
        (
            Field("verdict", "Ce résultat est", "radio", required=True,
                  missing="Dire ce qu’est ce résultat.",
                  options=_words(wording.VERDICT)),
            Field("action", "Conduite à tenir", "long", limit=1000,
                  hint="obligatoire s’il est anormal ou critique"),
            Field("order", "Répond à la prescription", "choice"),
            Field("silent", "Ne pas prévenir le patient", "check", gives="nothing"),
            Field("reason", "Si le patient n’est pas prévenu, pourquoi", limit=400),
        ),
        about="result", topics=_of("result-received", "observation-recorded"), back="/resultats",
    ),
    "prevenu": Act(
        "inform-patient", "Le patient est prévenu", "Enregistrer", "patient-prevenu",
        (
            _BY_WHAT_MEANS,
            Field("whom", "Qui", width="w8", limit=160, hint="si ce n’est pas le patient"),
            Field("text", "Ce qui a été dit", "long", limit=2000),
        ),
        about="result", topics=_of("result-received"), back="/resultats",
        hint="C’est ce qui clôt l’examen.",
    ),
    "appel": Act(
        "record-contact-attempt", "Noter une tentative d’appel", "Noter l’appel", "appel-note",
        (
            _BY_WHAT_MEANS,
            Field("outcome", "Issue", "choice", width="w4", required=True,
                  missing="Dire l’issue de l’appel.",
                  options=_words(wording.REACHED, first=CHOOSE)),
            Field("whom", "Qui", width="w4", limit=160, hint="si ce n’est pas le patient"),
        ),
        about="about", may_be_about=True, back="/resultats",
        hint="Une tentative ne clôt rien, même quand le patient répond.",
    ),
    # Items
    "offrir": Act(
        "offer-item", "Proposer un point à quelqu’un", "Proposer", "point-propose",
        (
            Field("to", "À qui", "choice", gives="nothing", options=ANSWERERS),
            Field("message", "Message", limit=400),
        ),
        about="item", topics=_of("item-opened"), back="#points",
        hint="Le point reste à qui il est tant que la proposition n’est pas acceptée.",
    ),
    "accepter-point": Act(
        "accept-item", "Accepter un point", "Accepter : j’en réponds", "point-accepte",
        about="item", topics=_of("item-opened"), back="#points",
    ),
    "decliner-point": Act(
        "decline-item", "Décliner un point", "Décliner", "point-decline",
        (_reason(),), about="item", topics=_of("item-opened"), back="#points",
    ),
    "reviser-point": Act(
        "revise-item", "Réviser un point", "Réviser", "point-revise",
        (
            Field("text", "Ce qui doit encore se faire", limit=400),
            Field("due", "Échéance", "date", width="w4"),
            Field("no_deadline", "Sans échéance", "check", gives="nothing", width="w4"),
            Field("harm_if_late", "Danger si retard", "check", gives="nothing", width="w4"),
            _reason(),
        ),
        about="item", topics=_of("item-opened"), back="#points",
        hint="Son âge ne change pas : il compte depuis le jour où le point a été ouvert.",
    ),
    "rouvrir-point": Act(
        "reopen-item", "Rouvrir un point", "Rouvrir", "point-rouvert",
        (_reason(),), about="item", topics=_of("item-opened"), back="#points",
    ),
    # Questions
    "question": Act(
        "ask-question", "Poser une question à un confrère", "Poser la question", "question-posee",
        (
            Field("to", "À qui", "choice", gives="nothing", options=COLLEAGUES, width="w8"),
            Field("due", "Réponse attendue le", "date", width="w4"),
            Field("text", "Question", "long", required=True, limit=2000,
                  missing="Écrire la question."),
        ),
        about="about", may_be_about=True, back="#questions",
        hint="Qui a fini son séjour répond encore pendant 14 jours, en ne lisant que ce qui suit.",
    ),
    # Who the patient is
    "coordonnees": Act(
        "change-contact-details", "Changer les coordonnées", "Enregistrer", "coordonnees",
        (
            Field("label_0", "Premier numéro : lequel", gives="nothing", width="w4", limit=40),
            Field("phones", "Numéro", gives="nothing", width="w8", limit=40),
            Field("label_1", "Autre numéro : lequel", gives="nothing", width="w4", limit=40),
            Field("number_1", "Numéro", gives="nothing", width="w8", limit=40),
            Field("address", "Adresse", limit=200),
            Field("trusted_person", "Personne de confiance", gives="nothing", width="w4",
                  limit=120),
            Field("trusted_phone", "Son numéro", gives="nothing", width="w4", limit=40),
            Field("trusted_link", "Son lien", gives="nothing", width="w4", limit=60),
            Field("legal_representatives", "Représentant légal", gives="nothing", width="w8",
                  limit=120),
            Field("legal_phone", "Son numéro", gives="nothing", width="w4", limit=40),
        ),
        hint="Ce qui est écrit ici remplace les coordonnées d’avant.",
    ),
    "ins": Act(
        "change-ins-status", "Changer le statut de l’identité", "Enregistrer", "ins",
        (
            Field("status", "Statut", "choice", width="w6", required=True,
                  missing="Choisir le statut.",
                  options=(("", CHOOSE), ("validee", "Validée"), ("provisoire", "Provisoire"))),
            Field("proof", "Pièce présentée", width="w6", limit=160,
                  hint="obligatoire pour valider"),
            Field("reason", "Motif", limit=400, hint="obligatoire si le statut baisse"),
        ),
        hint="Récupérée et qualifiée viennent du téléservice INS, jamais d’une saisie.",
    ),
    "medecin-traitant": Act(
        "declare-medecin-traitant", "Déclarer le médecin traitant", "Déclarer", "ligne-ajoutee",
        (
            Field("kind", "Qui", "choice", width="w4", required=True,
                  missing="Dire qui est le médecin traitant.",
                  options=(("", CHOOSE), ("centre", "Ce centre"), ("person", "Un médecin"))),
            Field("practitioner_name", "Nom du médecin", width="w4", limit=160,
                  hint="si ce n’est pas le centre"),
            Field("since", "Depuis le", "date", required=True, width="w4", start="today",
                  missing="Dire depuis quand."),
        ),
    ),
    "fin-medecin-traitant": Act(
        "end-medecin-traitant", "Finir la déclaration de médecin traitant", "Finir",
        "ligne-revisee",
        (
            Field("ended", "Fin le", "date", required=True, width="w4", start="today",
                  missing="Dire quand cela finit."),
            Field("successor", "Successeur", width="w8", limit=160),
            _reason(),
        ),
    ),
    "ald": Act(
        "change-ald-status", "Enregistrer une ALD", "Enregistrer", "ald",
        (
            Field("status", "État", "choice", width="w3", required=True,
                  missing="Choisir l’état de l’ALD.",
                  options=_words(wording.ALD_STATUS, first=CHOOSE)),
            Field("code", "Numéro", hint="1 à 32", width="w3", limit=2),
            Field("starts", "Premier jour", "date", width="w3"),
            Field("ends", "Dernier jour", "date", width="w3"),
        ),
    ),
    "rendez-vous": Act(
        "notice-appointment", "Noter un rendez-vous", "Noter", "rendez-vous",
        (
            Field("starts_at", "Quand", "moment", gives="nothing", required=True, width="w6",
                  missing="Dire le jour et l’heure."),
            Field("minutes", "Minutes", "number", gives="number", width="w3", start="15"),
            Field("mode", "Où", "choice", width="w3", options=_words(wording.MODE)),
        ),
        hint="Jamais le motif : il est médical.",
    ),
    "deces": Act(
        "record-death", "Enregistrer un décès", "Enregistrer le décès", "deces",
        (
            Field("date", "Date du décès", "date", required=True, width="w4",
                  missing="Dire la date du décès."),
            Field("source", "Appris par", required=True, limit=160, width="w8",
                  missing="Dire par qui le décès est connu."),
        ),
        hint="Les résultats et courriers tardifs entrent encore ; les soins, non.",
    ),
}  # fmt: skip
"""Every act by the word of its address."""

BY_TOPIC: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "patient.problem-recorded": (("reviser-probleme", "Réviser"), ("second-avis", "Second avis")),
    "patient.allergy-recorded": (("reviser-allergie", "Confirmer ou réfuter"),),
    "patient.medication-started": (
        ("changer-traitement", "Changer"), ("arreter-traitement", "Arrêter"),
    ),
    "patient.vigilance-point-set": (("lever-vigilance", "Lever"),),
}  # fmt: skip
"""What may be done about a line that stands, by its topic: act and verb."""


def line_acts(can: Collection[str]) -> dict[str, tuple[tuple[str, str], ...]]:
    """:data:`BY_TOPIC` without what the reader may not do; topics with nothing left are missing."""
    kept = {
        topic: tuple(each for each in acts if each[0] in can) for topic, acts in BY_TOPIC.items()
    }
    return {topic: acts for topic, acts in kept.items() if acts}
