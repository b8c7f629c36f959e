"""Which LOINC codes measure the same thing, and the French words a laboratory calls it by, as data.

One analyte has several codes: in serum or in whole blood, in moles or in grams, by one method or by
another; and a line that a laboratory wrote without any has its words. If/thens and centre-wide
critical values both ask this table, so that they never disagree about what a line measures. Codes
are of LOINC 2.7x; no clinician has reviewed the table.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Literal, NamedTuple

from releve.domain.aggregates.patient.analyte_labels import ASKED, Called, Labels, words_of


class Family(NamedTuple):
    """Codes of one thing measured, and what a line without a code calls it."""

    codes: frozenset[str]
    names: tuple[str, ...]
    apart: frozenset[str]
    """Codes that go by the same words and measure something else: in urine."""
    others: frozenset[str]
    """Words that make of the same name another measure (``analyte_labels``)."""
    unsure: frozenset[str]
    """Words that do so before the name, and are a doubt after it."""


def _family(codes: str, names: str, apart: str = "", others: str = "", unsure: str = "") -> Family:
    called = tuple(name.strip() for name in names.split(","))
    return Family(
        frozenset(codes.split()), called, frozenset(apart.split()), frozenset(others.split()),
        frozenset(unsure.split()),
    )  # fmt: skip


_QUOTIENTS = "excretion fractionnelle transtubulaire ttkg"
_ANTIBODIES = "anti anticorps autoanticorps ac recepteur recepteurs antirecepteur"

FAMILIES: tuple[Family, ...] = (
    _family(
        "2823-3 6298-4 77142-8 39789-3 32713-0",
        "potassium, potass, kaliemie, potassemie, k, k+",
        "2828-2 2829-0",
        f"vitamine vit ras anti antigene facteur losartan {_QUOTIENTS}",
        "apport apports",
    ),
    _family(
        "2951-2 2947-0 77139-4 32717-1",
        "sodium, natremie, na, na+",
        "2955-3 2956-1",
        f"losartan {_QUOTIENTS}",
        "apport apports",
    ),
    _family(
        "6301-6 34714-6 46418-0 38875-1",
        "inr, inr ratio, ratio inr, international normalized ratio,"
        " rapport international normalise, rapport normalise international",
    ),
    _family(
        "718-7 20509-6 30313-1",
        "hemoglobine, hemoglobin, haemoglobin, hb, hgb, hemoglobinemie",
        others="corpusculaire globulaire moyenne moyen moy foetale a2 a1c a1 glyquee glycosylee"
        " glycee fraction fractions electrophorese reticulocytaire reticulocytes tcmh ccmh libre"
        f" recherche immunologique {_ANTIBODIES}",
        unsure="f",  # "hemoglobine f" is a longer name; in "H/F" it is whose reference
    ),
    _family(
        "4548-4 17856-6 59261-8",
        "hemoglobine glyquee, hemoglobine glycosylee, hemoglobine a1c, hemoglobine glyquee a1c,"
        " hemoglobin a1c, hemoglobine a1c hemoglobine totale, hba1c, hb a1c, hb glyquee",
    ),
    _family(
        "2345-7 14749-6 1558-6 14771-0 2339-0 15074-8 41653-7 14743-9 2340-8",
        "glycemie, glucose, glucosemie, dextro",
        "2350-7 5792-7 15076-3",
        "phosphate deshydrogenase g6pd moyenne moyen estimee estime variabilite",
    ),
    _family(
        "2160-0 14682-9 38483-4 59826-8",
        "creatinine, creatininemie, creatinemie, creat",
        "2161-8 14683-7 2162-6",
        "kinase phosphokinase albumine microalbumine proteine proteines microalbuminurie"
        f" proteinurie albuminurie {_QUOTIENTS}",
        "clairance dfg dfge debit filtration cockcroft gault mdrd ckd epi cystatine",
    ),
    _family(
        "62238-1 98979-8 33914-3 77147-7",
        "dfg, dfge, debit de filtration glomerulaire, clairance de la creatinine,"
        " clairance creatinine, clairance de creatinine",
    ),
    _family(
        "6598-7 10839-9 67151-1 89579-7 48425-3 42757-5 49563-0",
        "troponine, troponine t, troponine i, troponines, troponin, tropo, hs tnt, hs tni, tnt hs,"
        " tni hs",
        others=_ANTIBODIES,
    ),
    _family("1988-5 30522-7", "crp, proteine c reactive, c reactive proteine, c reactive protein"),
    _family(
        "777-3 26515-7 778-1",
        "plaquettes, numeration des plaquettes, plaquette, thrombocytes, numeration plaquettaire",
        others=f"volume moyen agregation agregats distribution concentre concentres immatures"
        f" {_ANTIBODIES}",
    ),
    _family("6690-2 26464-8 804-5", "leucocytes, globules blancs, gb", others="esterase alteres"),
    _family(
        "751-8 753-4 26499-4",
        "polynucleaires neutrophiles, neutrophiles, pnn, granulocytes neutrophiles",
        "770-8 26511-6 769-0",
        "ancastatiques cytoplasme cytoplasmiques anca",
    ),
    _family(
        "17861-6 2000-8",
        "calcium, calcemie, calcium total, ca, ca++",
        "6874-2 17862-4",
        f"ionise ionisee canaux phosphate score coronaire coronaires {_QUOTIENTS}",
    ),
    _family(
        "2524-7 14118-4 32693-4 2518-9",
        "lactate, lactates, lactatemie, acide lactique",
        others="deshydrogenase ringer ldh",
    ),
    _family("3016-3 11579-0 11580-8", "tsh, thyreostimuline", others=f"trak trab {_ANTIBODIES}"),
    _family("30934-4 42637-9", "bnp"),
    _family("33762-6 83107-3", "nt-probnp, nt pro bnp, pro bnp"),
    _family("29463-7 3141-9 3142-7", "poids", others="naissance moleculaire ideal"),
    _family(
        "2708-6 59408-5",
        "saturation, spo2, sao2",
        others="transferrine siderophiline coefficient cst fer",
    ),
    _family("8867-4 8889-8", "frequence cardiaque, pouls, fc"),
    _family("8480-6 8459-0 8460-8 8461-6", "pression arterielle systolique, pas, tas"),
    _family("8462-4 8453-3 8454-1 8455-8", "pression arterielle diastolique, pad, tad"),
    _family("8310-5 8331-1 8332-9 8333-7 8328-7", "temperature", others="ambiante"),
)
"""What an if/then or a critical value is most often about."""

_OF = {code: family for family in FAMILIES for code in family.codes}
_LABELS = Labels([Called(each.names, each.others, each.unsure) for each in FAMILIES])

Kinship = Literal["same", "words", "perhaps"]


def family_of(loinc: str) -> Family | None:
    """The family of a LOINC code; None for one that the table does not know."""
    return _OF.get(loinc)


def sisters(loincs: Iterable[str]) -> frozenset[str]:
    """These codes and every code that measures the same."""
    return frozenset().union(
        *({code} if (family := family_of(code)) is None else family.codes for code in loincs)
    )


def kinship(
    wanted: Collection[str], codes: Collection[str], text: str, *, names: Iterable[str] = ()
) -> Kinship | None:
    """Whether a line measures what one of the ``wanted`` LOINC codes does.

    ``same``: by its own ``codes``. ``words``: it has no code that the table knows, and its text
    names the measure (or says one of ``names``). ``perhaps``: it may, and a reader has to look.
    None: something else.
    """
    known = sisters(wanted)
    if not known.isdisjoint(codes):
        return "same"
    if any(family_of(code) is not None for code in codes):
        return None
    for place, certainty in _LABELS.read(words_of(text), names).items():
        if place == ASKED or (
            not FAMILIES[place].codes.isdisjoint(known) and FAMILIES[place].apart.isdisjoint(codes)
        ):
            return "words" if certainty == "surely" else "perhaps"
    return None


def called_the_same(
    codes: Collection[str], text: str, others: Collection[str], other_text: str
) -> bool:
    """Whether two lines, one of them without a LOINC code, go by the words of one measure."""
    if codes and others:
        return False
    coded, label = (codes, other_text) if codes else (others, text)
    if coded and kinship(coded, (), label) == "words":
        return True
    if any(code in family.codes | family.apart for code in coded for family in FAMILIES):
        return False  # the table knows what it measures, and by which other words it goes
    said, also = words_of(text), words_of(other_text)
    if said == also:
        return bool(said)
    family = None if coded else _named(said)
    return family is not None and family is _named(also)


def _named(said: tuple[str, ...]) -> Family | None:
    """The family that a label surely names; None where it names none, or may name several."""
    sure = [place for place, certainty in _LABELS.read(said).items() if certainty == "surely"]
    return FAMILIES[sure[0]] if sure else None
