"""Who lives and works around the demo centre. Every name and place is invented.

One random generator per entity, from ``blake2b(seed | kind | id)``: adding a feature reshuffles
nobody (``docs/domain.md``, demo data).
"""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from datetime import date, timedelta

CENTRE_NAMES = (
    ("Centre de santé des Trois-Étangs", "Brévial-le-Haut"),
    ("Centre de santé du Val-Morvaine", "Morvaine"),
    ("Centre de santé de Pierregrise", "Pierregrise"),
    ("Centre de santé de la Vaubelle", "Saint-Orbain"),
    ("Centre de santé du Haut-Serval", "Servalles"),
)

DOCTORS = (
    ("Kervadec", "Maëlle"), ("Thiriet", "Ousmane"), ("Vautrin", "Anselme"), ("Escoubet", "Irène"),
    ("Dumarçay", "Basile"), ("Lestrade", "Noémie"), ("Orsini", "Ghjulia"), ("Pradelles", "Gaspard"),
    ("Benyahia", "Samia"), ("Castagnet", "Hugues"), ("Wolffart", "Clémence"), ("Ndoumbe", "Éric"),
    ("Tréguer", "Solène"), ("Haltebourg", "Justin"), ("Marivaux", "Coline"), ("Sabatier", "Ronan"),
)  # fmt: skip
REFERENT = ("Delaroche", "Mathilde")
SECOND_ON_CALL = ("Foucauld", "Étienne")
COORDINATOR = ("Berger", "Nadia")

FAMILY_NAMES = (
    "Aubrespin", "Bachellerie", "Barrandon", "Bassoulet", "Beaumatin", "Berthomier", "Besombes",
    "Bonnefoux", "Boutarel", "Brugerolles", "Cabarrus", "Cantournet", "Carbonnel", "Chabrillange",
    "Chantegreil", "Charpentreau", "Chastagnier", "Chevalerias", "Combrailles", "Coussergues",
    "Courtadon", "Dauvergnat", "Delafouchardière", "Delmasse", "Desgranges", "Desmoulières",
    "Destampes", "Doublier", "Dufraissy", "Escalère", "Estradier", "Fargeaudou", "Faucompret",
    "Ferrandou", "Fontanille", "Fougerolles", "Gaillardon", "Garrivet", "Gaumondie", "Gourdonnet",
    "Grandchamp", "Guillaumin", "Guilloteau", "Jaladieu", "Jarrigeon", "Jouvencel", "Labrousse",
    "Lachassagne", "Lafarguette", "Lagrenée", "Lamberterie", "Laspougeas", "Lavergnolle",
    "Lespinassou", "Loubeyrat", "Malaguise", "Maisonnial", "Marchadier", "Martignolles",
    "Massoubre", "Meyrignac", "Monteilhet", "Montmaurin", "Moulinjeune", "Nadalou", "Nouaillade",
    "Pascarelle", "Peyrissac", "Pestouric", "Pommerolle", "Pourchasse", "Pradignac", "Puyraveau",
    "Raffestin", "Ranouillet", "Ribeyrolles", "Rochemure", "Roudergues", "Rouffignat", "Sauvanet",
    "Savignoux", "Servientis", "Soulabaille", "Tarrissou", "Teyssandier", "Thevenoux", "Tournebize",
    "Trémolière", "Valadeix", "Varachaud", "Vaubourdolle", "Verdelhan", "Vergnolle", "Vialatoux",
    "Vigneronnat", "Villechenoux", "Viricelle", "Vayssettes", "Yzambart", "Zimmerlin",
)  # fmt: skip
WOMEN = (
    "Adèle", "Agathe", "Amandine", "Andrée", "Aurore", "Bernadette", "Camille", "Chantal",
    "Clarisse", "Colette", "Danielle", "Denise", "Élodie", "Émilie", "Estelle", "Fabienne",
    "Françoise", "Geneviève", "Ginette", "Hélène", "Huguette", "Inès", "Isabelle", "Jacqueline",
    "Jeannine", "Josiane", "Juliette", "Laurence", "Léonie", "Lucette", "Lydie", "Madeleine",
    "Manon", "Marguerite", "Marie-Thérèse", "Marinette", "Mireille", "Monique", "Nathalie",
    "Nicole", "Odette", "Océane", "Paulette", "Raymonde", "Romane", "Rosalie", "Sandrine",
    "Simone", "Solange", "Suzanne", "Sylviane", "Thérèse", "Valentine", "Véronique", "Yvette",
)  # fmt: skip
MEN = (
    "Adrien", "Aimé", "Albert", "Alexis", "André", "Antonin", "Armand", "Bastien", "Baptiste",
    "Bernard", "Christian", "Clément", "Daniel", "Edmond", "Émile", "Fabrice", "Fernand",
    "Firmin", "Florian", "Gabriel", "Georges", "Gérard", "Gilbert", "Guy", "Henri", "Honoré",
    "Jacques", "Jean-Luc", "Jean-Marc", "Joël", "Joseph", "Jules", "Julien", "Léon", "Loïc",
    "Lucas", "Lucien", "Marcel", "Marius", "Maurice", "Michel", "Nathan", "Noël", "Paul",
    "Raoul", "Raymond", "Rémi", "René", "Robert", "Roger", "Roland", "Sylvain", "Théo", "Yannick",
)  # fmt: skip

_ONSETS = (
    "B",
    "C",
    "Ch",
    "Cl",
    "D",
    "F",
    "Fr",
    "G",
    "Gr",
    "J",
    "L",
    "M",
    "N",
    "P",
    "Pl",
    "R",
    "S",
    "T",
    "Tr",
    "V",
)
_VOWELS = ("a", "e", "i", "o", "u", "ou", "au", "eu", "ei", "on", "an", "in")
_MIDDLES = ("b", "d", "g", "l", "m", "n", "r", "t", "v", "ss", "rd", "rt", "lv", "gn", "ll", "nt")
_ENDS = ("ergues", "aval", "ignac", "olles", "oubert", "assou", "ivert", "eyrol", "antel", "oudie")


def generator(seed: int, kind: str, key: str) -> random.Random:
    """The random generator of one entity, and of nothing else."""
    digest = hashlib.blake2b(f"{seed}|{kind}|{key}".encode(), digest_size=16).digest()
    return random.Random(int.from_bytes(digest, "big"))  # noqa: S311 - invented people, no secret


def request_key(seed: int, kind: str, key: str) -> bytes:
    """The idempotency key of a demo command: from the seed, so that ids are the same everywhere."""
    return hashlib.blake2b(f"{seed}|request|{kind}|{key}".encode(), digest_size=32).digest()


def invented_word(rng: random.Random) -> str:
    """A word that no dictionary and no schema holds: a hamlet, a neighbour's name."""
    word = rng.choice(_ONSETS) + rng.choice(_VOWELS) + rng.choice(_MIDDLES) + rng.choice(_VOWELS)
    return word + rng.choice(_MIDDLES) + rng.choice(_ENDS)


@dataclass(frozen=True)
class Person:
    """One inhabitant, before any medicine."""

    index: int
    family: str
    given: str
    sex: str
    born: date
    hamlet: str
    insee: str
    ins: str


def inhabitant(seed: int, index: int, today: date) -> Person:
    """A rural age pyramid: 12 % under 16, 50 % to 64, 25 % to 79, 13 % over."""
    rng = generator(seed, "person", str(index))
    band = rng.random()
    if band < 0.12:
        age = rng.uniform(0.3, 16)
    elif band < 0.62:
        age = rng.uniform(16, 65)
    elif band < 0.87:
        age = rng.uniform(65, 80)
    else:
        age = rng.uniform(80, 97)
    born = today - timedelta(days=round(age * 365.25))
    sex = rng.choice(("female", "male"))
    given = rng.choice(WOMEN if sex == "female" else MEN)
    insee = f"23{rng.randint(990, 999):03d}"
    return Person(
        index=index,
        family=rng.choice(FAMILY_NAMES),
        given=given,
        sex=sex,
        born=born,
        hamlet=invented_word(rng),
        insee=insee,
        ins=test_ins(sex, born, insee, rng.randint(1, 999)),
    )


def test_ins(sex: str, born: date, insee: str, rank: int) -> str:
    """A matricule with a valid key, for the test OID only: its commune code is not attributed."""
    root = f"{1 if sex == 'male' else 2}{born:%y%m}{insee}{rank:03d}"
    return f"{root}{97 - int(root) % 97:02d}"


def luhn_completed(root: str) -> str:
    """``root`` with its Luhn digit: RPPS (11 digits) and FINESS (9)."""
    total = 0
    for place, digit in enumerate(reversed(root)):
        value = int(digit) * (2 if place % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return f"{root}{-total % 10}"
