"""Who lives and works around the demo centre. Every name and place is invented.

One random generator per entity, from ``blake2b(seed | kind | id)``: adding a feature reshuffles
nobody (``docs/demo.md``).
"""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass, replace
from datetime import date, timedelta

from releve.api.demo.tables.context import VILLAGES

CENTRE_NAMES = (
    ("Centre de santé des Trois-Étangs", "Brévial-le-Haut"),
    ("Centre de santé du Val-Morvaine", "Morvaine"),
    ("Centre de santé de Pierregrise", "Pierregrise"),
    ("Centre de santé de la Vaubelle", "Saint-Orbain"),
    ("Centre de santé du Haut-Serval", "Servalles"),
)

DOCTORS: tuple[tuple[str, str], ...] = (
    ("Kervadec", "Maëlle"), ("Thiriet", "Ousmane"), ("Vautrin", "Anselme"), ("Escoubet", "Irène"),
    ("Dumarçay", "Basile"), ("Lestrade", "Noémie"), ("Orsini", "Ghjulia"), ("Pradelles", "Gaspard"),
    ("Benyahia", "Samia"), ("Castagnet", "Hugues"), ("Wolffart", "Clémence"), ("Ndoumbe", "Éric"),
    ("Tréguer", "Solène"), ("Haltebourg", "Justin"), ("Marivaux", "Coline"), ("Sabatier", "Ronan"),
)  # fmt: skip
_FURTHER = (
    "Abgrall Maxence, Arrighi Livia, Baudelot Victoire, Berthelon Amaury, Bichon-Faure Sidonie,"
    "Bourdieux Tanguy, Cazeneuve Oriane, Chevreuil Raphaëlle, Corbineau Lazare, Dambreville Awa,"
    "Darrigade Pauline, Desvignes Timothée, Diallo-Perret Fanta, Elissalde Maïtena, Estrabaut Côme,"
    "Fauconnier Élise, Ferréol Augustin, Fontvieille Apolline, Garaudet Silvère, Gauvrit Mélisande,"
    "Guyonvarch Erwan, Hautecloque Diane, Hennequin Corentin, Iribarne Xabi, Jaffrelot Perrine,"
    "Kowalczyk Hania, Lachenal Thibault, Larrouy Jeanne, Le Bihan Yuna, Lemercier Achille,"
    "Maisonneuve Ysé, Malbranque Octave, Marescot Zélie, Montagnier Félix, Mouret Ariane,"
    "Nguyen-Vidal Linh, Olivares Esteban, Paccard Domitille, Peyrelongue Firmine, Pontcallec Alan,"
    "Quemener Lena, Rabouin Hector, Rigaudière Blanche, Rostaing Marceau, Saint-Amans Flore,"
    "Sauvageot Ulysse, Tessandier Philippine, Trottignon Barnabé, Vauquelin Iseult, Verneuil Loup,"
    "Villedieu Capucine, Zaborowski Ignace"
)
DOCTORS += tuple(
    (family, given)
    for family, given in (name.strip().rsplit(" ", 1) for name in _FURTHER.split(","))
)
"""Sixty-eight doctors: some come back, most come once."""
TRAINEE = ("Charvolin", "Suzel")
SECRETARIES = (("Pradeau", "Lilou"), ("Mazeyrac", "Odilon"))
NURSE = ("Fromental", "Brune")
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
_STEMS = (
    "Auzel", "Bard", "Bel", "Bour", "Cam", "Cast", "Chab", "Chalm", "Combe", "Cour", "Croz", "Dard",
    "Delb", "Escar", "Fayol", "Ferr", "Gard", "Grang", "Jal", "Jou", "Lab", "Lac", "Land", "Marc",
    "Mar", "Mas", "Mont", "Mour", "Nav", "Pal", "Pell", "Peyr", "Pra", "Rav", "Roch", "Sal", "Sarr",
    "Serv", "Tard", "Val", "Verg", "Vil",
)  # fmt: skip
_TAILS = (
    "adoux", "agnol", "aillac", "anceau", "arelle", "assier", "audie", "avergne", "azeilles",
    "ebrune", "échaud", "elongue", "enoux", "erande", "esclaude", "etaud", "eyrat", "ibourg",
    "ignargue", "illonne", "imbaud", "isserand", "obillard", "olivard", "onteix", "orgeais",
    "oubeyre", "oulhac", "ouzade", "uzeaud",
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

STREETS = (
    "route de l'Étang", "chemin du Moulin", "rue du Lavoir", "impasse des Noisetiers",
    "rue de la Forge", "chemin de la Croix", "route du Puy", "rue des Écoles", "place du Foirail",
)  # fmt: skip


def generator(seed: int, kind: str, key: str) -> random.Random:
    """The random generator of one entity, and of nothing else."""
    digest = hashlib.blake2b(f"{seed}|{kind}|{key}".encode(), digest_size=16).digest()
    return random.Random(int.from_bytes(digest, "big"))  # noqa: S311 - invented people, no secret


def share(seed: int, kind: str, key: str) -> float:
    """A number from 0 to 1 that belongs to one entity."""
    digest = hashlib.blake2b(f"{seed}|{kind}|{key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def request_key(seed: int, kind: str, key: str) -> bytes:
    """The idempotency key of a demo command: from the seed, so that ids are the same everywhere."""
    return hashlib.blake2b(f"{seed}|request|{kind}|{key}".encode(), digest_size=32).digest()


def family_name(rng: random.Random) -> str:
    """An invented family name, that some inhabitant may bear too."""
    return (
        rng.choice(FAMILY_NAMES) if rng.random() < 0.3 else rng.choice(_STEMS) + rng.choice(_TAILS)
    )


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
    address: str = ""
    phones: tuple[tuple[str, str], ...] = ()
    household: int = 0
    """People of one household share it, with address and landline."""
    relative: str = ""
    """Who speaks for them, where somebody does: a parent, a spouse."""
    relationship: str = ""


PYRAMID = ((0.12, 0.3, 16.0), (0.50, 16.0, 65.0), (0.25, 65.0, 80.0), (0.13, 80.0, 97.0))
"""The rural age pyramid: (share, from, to), ages in years."""

HOMONYMS = 12
TWINS = 3


def inhabitants(seed: int, centre: int, count: int, today: date) -> list[Person]:
    """Everybody around one centre: households, planned homonyms, twins, a mother and her daughter.

    At full size (1,800) there are twelve pairs of homonyms and three of twins; smaller centres
    have them in proportion.
    """
    drawn = [_drawn(seed, centre, index, today) for index in range(count)]
    drawn = _twins(seed, centre, drawn, min(TWINS, count // 60))
    drawn = _households(seed, centre, drawn)
    drawn = _homonyms(drawn, min(HOMONYMS, count // 40))
    return _identified(seed, centre, drawn)


def _drawn(seed: int, centre: int, index: int, today: date) -> Person:
    rng = generator(seed, f"centre-{centre}/person", str(index))
    place, youngest, oldest = rng.random(), 0.3, 16.0
    for share, low, high in PYRAMID:
        youngest, oldest = low, high
        if place < share:
            break
        place -= share
    born = today - timedelta(days=round(rng.uniform(youngest, oldest) * 365.25))
    sex = rng.choices(("female", "male"), weights=(52, 48))[0]
    return Person(
        index=index,
        family=family_name(rng),
        given=rng.choice(WOMEN if sex == "female" else MEN),
        sex=sex,
        born=born,
        hamlet=rng.choice(VILLAGES),
        insee=f"23{990 + 2 * (centre % 5) + rng.randrange(2)}",
        ins="",
    )


def _twins(seed: int, centre: int, drawn: list[Person], pairs: int) -> list[Person]:
    """The person after every chosen one becomes their twin."""
    found = list(drawn)
    for n in range(pairs):
        rng = generator(seed, f"centre-{centre}/twins", str(n))
        first = found[5 + n * 11]
        names = [name for name in (WOMEN if first.sex == "female" else MEN) if name != first.given]
        found[6 + n * 11] = replace(
            first, index=6 + n * 11, given=rng.choice(names), household=-1 - n
        )
        found[5 + n * 11] = replace(first, household=-1 - n)
    return found


def _households(seed: int, centre: int, drawn: list[Person]) -> list[Person]:
    """Couples of about one age, their children, and those who live alone."""
    by_age = sorted(drawn, key=lambda p: (p.born, p.index))
    adults = [p for p in by_age if (by_age[-1].born - p.born).days > 20 * 365]
    homes: dict[int, list[int]] = {}
    home_of: dict[int, int] = {}
    waiting: dict[str, Person] = {}
    for person in adults:
        if share(seed, f"centre-{centre}/couple", str(person.index)) > 0.62:
            continue
        other = waiting.pop("male" if person.sex == "female" else "female", None)
        if other is None or abs((other.born - person.born).days) > 8 * 365:
            waiting[person.sex] = person
            continue
        homes[other.index] = [other.index, person.index]
        home_of[other.index] = home_of[person.index] = other.index
    mothers = [p for p in adults if p.sex == "female" and p.index in home_of]
    for child in by_age:
        rng = generator(seed, f"centre-{centre}/child", str(child.index))
        fit = [m for m in mothers if 20 * 365 < (child.born - m.born).days < 42 * 365]
        if not fit or child.index in home_of or child.born < adults[-1].born:
            continue
        if child.household < 0:
            fit = fit[:1]
        home = home_of[rng.choice(fit).index]
        homes[home].append(child.index)
        home_of[child.index] = home
    return [_at_home(seed, centre, p, drawn, homes, home_of) for p in drawn]


def _at_home(
    seed: int,
    centre: int,
    person: Person,
    drawn: list[Person],
    homes: dict[int, list[int]],
    home_of: dict[int, int],
) -> Person:
    twin = next(
        (p for p in drawn if person.household < 0 and p.household == person.household), person
    )
    home = home_of.get(person.index, home_of.get(twin.index, twin.index))
    head = drawn[home]
    rng = generator(seed, f"centre-{centre}/home", str(home))
    landline = f"05 36 49 {rng.randrange(100):02d} {rng.randrange(100):02d}"
    own = generator(seed, f"centre-{centre}/phone", str(person.index))
    mobile = f"06 39 98 {own.randrange(100):02d} {own.randrange(100):02d}"
    family = head.family if home in homes else person.family
    members = homes.get(home, [])
    others = [n for n in members[:2] if n != person.index]
    relative = f"{drawn[others[0]].given} {head.family}" if others else ""
    child = person.index not in members[:2]
    return replace(
        person,
        family=family,
        hamlet=head.hamlet,
        household=home,
        address=f"{rng.randint(1, 60)} {rng.choice(STREETS)}, {head.hamlet}",
        phones=(("fixe", landline),)
        if child or own.random() < 0.15
        else (("mobile", mobile), ("fixe", landline)),
        relative=relative,
        relationship=("parent" if child else "conjoint") if relative else "",
    )


def _homonyms(drawn: list[Person], pairs: int) -> list[Person]:
    """Two people of one name and sex; then a mother and a daughter whose names begin alike."""
    found = list(drawn)
    free = [p for p in reversed(drawn) if not p.relative]
    for _ in range(pairs):
        if len(free) < 2:
            break
        first = free.pop()
        second = next((p for p in free if p.sex == first.sex), None)
        if second is None:
            continue
        free.remove(second)
        found[second.index] = replace(second, family=first.family, given=first.given)
    daughter = next((p for p in found if p.relationship == "parent" and p.sex == "female"), None)
    if daughter is not None:
        mother = next(
            (
                p
                for p in found
                if p.household == daughter.household
                and p.sex == "female"
                and p.relationship == "conjoint"
            ),
            None,
        )
        if mother is not None:
            found[mother.index] = replace(mother, given="Marie")
            found[daughter.index] = replace(
                daughter, given="Marie-Lou", relative=f"Marie {mother.family}"
            )
    return found


def _identified(seed: int, centre: int, drawn: list[Person]) -> list[Person]:
    """With a matricule each, no two alike."""
    taken: set[str] = set()
    found = []
    for person in drawn:
        rng = generator(seed, f"centre-{centre}/ins", str(person.index))
        while True:
            ins = test_ins(person.sex, person.born, person.insee, rng.randint(1, 999))
            if ins not in taken:
                break
        taken.add(ins)
        found.append(replace(person, ins=ins))
    return found


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
