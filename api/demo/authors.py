"""How six colleagues write the same consultation.

One terse, one by the book (SOAP), one in full sentences, one in capitals, one in abbreviations,
one talkative who pastes the previous note. What they say comes from the condition's table; the
sentences here carry it. A note names no condition that the record does not hold, and no treatment
that is not taken.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random
from typing import Literal

from releve.api.demo.tables.shapes import Condition
from releve.domain.commands import SignNote

Style = Literal["terse", "soap", "full", "capitals", "short", "talkative"]
STYLES: tuple[Style, ...] = ("terse", "soap", "full", "capitals", "short", "talkative")

PASTING = {
    "terse": 0.4, "soap": 0.55, "full": 0.55, "capitals": 0.3, "short": 0.45, "talkative": 1.0,
}  # fmt: skip
"""How often each carries words over from the previous note of the same patient."""


@dataclass(frozen=True)
class Told:
    """What there is to write of one visit."""

    condition: Condition
    others: tuple[Condition, ...]
    """Long-standing conditions that the record holds, the visit's own aside."""
    drugs: tuple[str, ...]
    measures: tuple[str, ...]
    """Measures as they are said: ``TA 132/78``."""
    female: bool
    age: float
    hamlet: str
    witness: str
    previous: str = ""
    """The previous note of the same patient, as it was written."""
    ordered: str = ""
    """What is asked of the laboratory today."""


def style_of(rng: Random) -> Style:
    """The hand of a doctor, always the same: ``rng`` is the doctor's own."""
    return rng.choice(STYLES)


def note(style: Style, rng: Random, told: Told) -> SignNote:
    """The visit in the author's hand, with a slip of the pen now and then."""
    words = _Words(style, rng, told)
    pasted = _pasted(rng, told) if rng.random() < PASTING[style] else ""
    parts = _WRITERS[style](words)
    if pasted:
        parts["subjective"] = f"{parts['subjective']}\n{pasted}".strip()
    slips = {"capitals": 0.01, "short": 0.02, "talkative": 0.015}.get(style, 0.006)
    kept = _kept(told)
    written = {name: _slips(rng, text, slips, kept) for name, text in parts.items()}
    return SignNote(
        one_liner=one_liner(rng, told),
        subjective=written["subjective"],
        objective=written["objective"],
        assessment=written["assessment"],
        plan=written["plan"],
    )


def one_liner(rng: Random, told: Told) -> str:
    """What the next doctor reads first: at most 160 characters, no slip."""
    plan = rng.choice(told.condition.plans)
    name = rng.choice(told.condition.words) if told.others else told.condition.label
    with_others = f" ({', '.join(c.words[0] for c in told.others[:2])})" if told.others else ""
    line = f"{name}{with_others} : {plan}"
    return line[0].upper() + line[1:160]


def duplicated(previous: str, text: str) -> float:
    """The share of ``text`` (0 to 1) that stands in ``previous`` too, in runs of four words."""
    before, now = _tokens(previous), _tokens(text)
    if len(now) < 4:
        return 0.0
    runs = {tuple(before[n : n + 4]) for n in range(len(before) - 3)}
    same = [False] * len(now)
    for n in range(len(now) - 3):
        if tuple(now[n : n + 4]) in runs:
            same[n : n + 4] = [True] * 4
    return sum(same) / len(now)


def text_of(written: SignNote) -> str:
    """All that a note says, in order."""
    parts = (written.subjective, written.objective, written.assessment, written.plan)
    return "\n".join(part for part in parts if part)


def _tokens(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


# What each may draw from


class _Words:
    """The visit's facts, drawn once, in the wording of a style."""

    def __init__(self, style: Style, rng: Random, told: Told) -> None:
        condition = told.condition
        self.rng, self.told = rng, told
        self.label = condition.label
        self.short = condition.words[0]
        self.name = rng.choice(condition.words)
        self.says = self._drawn(condition.complaints)
        self.shows = self._drawn(condition.signs)
        self.plans = rng.sample(condition.plans, min(2, len(condition.plans)))
        self.measures = ", ".join(told.measures)
        self.others = told.others[:4]
        self.style = style
        self.slots = {
            "he": "elle" if told.female else "il",
            "He": "Elle" if told.female else "Il",
            "mr": "Mme" if told.female else "M.",
            "the": "La patiente" if told.female else "Le patient",
            "e": "e" if told.female else "",
            "hamlet": told.hamlet.capitalize(),
            "witness": told.witness.capitalize(),
            "label": condition.label.lower() if condition.label[1:2].islower() else condition.label,
            "name": self.name,
        }

    def _drawn(self, fragments: tuple[str, ...]) -> list[str]:
        """Two of the fragments at the most, agreeing with the patient."""
        ending = "e" if self.told.female else ""
        drawn = self.rng.sample(fragments, min(2, len(fragments)))
        return [each.replace("{e}", ending) for each in drawn]

    def one(self, *sentences: str) -> str:
        """One of the sentences, filled in."""
        return self.rng.choice(sentences).format(**self.slots)

    def maybe(self, chance: float, *sentences: str) -> str:
        """The same, now and then; else nothing."""
        return self.one(*sentences) if self.rng.random() < chance else ""


def _join(*parts: str) -> str:
    said = [part.strip() for part in parts if part.strip()]
    return " ".join(
        f"{part[0].upper()}{part[1:]}" + ("" if part[-1] in ".!?:" else ".") for part in said
    )


def _terse(w: _Words) -> dict[str, str]:
    return {
        "subjective": _join(w.says[0], w.one(
            "vit à {hamlet}", "venu{e} de {hamlet}, avec {witness}", "{witness} attend dehors",
            "voisin : {witness}", "lieu-dit {hamlet}, seul{e}", "amené{e} par {witness}",
            "prévenir {witness} si besoin")),
        "objective": _join(w.measures, w.shows[0]),
        "assessment": _join(w.one("{name}", "{name}, stable", "{name} : rien de neuf", "{name}, ça suit")),
        "plan": _join(w.plans[0], w.told.ordered and f"bio : {w.told.ordered}"),
    }  # fmt: skip


def _soap(w: _Words) -> dict[str, str]:
    history = ", ".join(c.label for c in w.others)
    return {
        "subjective": _join(w.one("Motif : {label}", "Vu{e} pour {label}", "Motif du jour : {name}"),
                            f"antécédents : {history}" if history else "", *w.says,
                            w.one("domicile : {hamlet}", "personne ressource : {witness}",
                                  "aidant : {witness}, à {hamlet}", "contact sur place : {witness}")),
        "objective": _join(w.measures and f"constantes : {w.measures}", *w.shows),
        "assessment": _join(w.one("{label}, évolution favorable", "{label}, situation stable", "{label}, l'examen le confirme",
                                  "{label}, objectif presque atteint", "{label}, équilibre à parfaire")),
        "plan": _join(*w.plans, w.told.ordered and f"prescription de biologie : {w.told.ordered}",
                      f"traitement de fond : {', '.join(w.told.drugs)}" if w.told.drugs else ""),
    }  # fmt: skip


def _full(w: _Words) -> dict[str, str]:
    says = " ; ".join(w.says)
    return {
        "subjective": _join(
            w.one("{the} vient ce jour pour le suivi : {name}", "J'ai revu {mr} de {hamlet} au sujet de : {label}",
                  "Consultation demandée par {witness} : {name}", "{He} consulte à la suite d'un appel de {witness}",
                  "{the}, que je rencontre pour la première fois, habite {hamlet}",
                  "Retour à mi-parcours comme convenu avec le confrère précédent"),
            f"à l'interrogatoire, on note : {says}",
            w.one("Les déplacements depuis {hamlet} restent difficiles", "{witness} passe chaque soir et peut être joint",
                  "La famille de {witness} aide pour les courses", "{He} garde des liens étroits avec {witness}, du village voisin",
                  "{He} vit à {hamlet} et souhaite y rester")),
        "objective": _join(
            w.measures and w.one("Les mesures prises après repos sont les suivantes") + " : " + w.measures,
            f"à l'examen : {' ; '.join(w.shows)}",
            w.maybe(0.3, "Le reste de l'examen n'apporte rien", "L'état général est conservé", "Je ne retrouve pas d'autre anomalie")),
        "assessment": _join(w.one("L'ensemble évoque une situation équilibrée : {label}", "Tableau compatible avec le diagnostic connu : {label}",
                                  "Je retiens : {label}", "Au total, {label} sans signe de gravité ce jour")),
        "plan": _join(f"nous convenons de ceci : {' ; '.join(w.plans)}",
                      w.told.ordered and f"j'ai demandé au laboratoire : {w.told.ordered}",
                      w.maybe(0.4, "{He} a bien compris et reviendra en cas de doute", "Les consignes ont été répétées devant {witness}",
                              "Un courrier a été remis en main propre")),
    }  # fmt: skip


def _capitals(w: _Words) -> dict[str, str]:
    return {name: text.upper() for name, text in {
        "subjective": _join(w.one("rappel pour {name}", "{name}", "vu{e} pour {name}", "demande de {witness}"), w.says[0],
                            w.one("{hamlet}", "tel {witness}", "habite {hamlet}")),
        "objective": _join(w.measures, *w.shows[:1]),
        "assessment": _join(w.one("ok", "stable", "{name} ok", "à surveiller", "RAS de plus")),
        "plan": _join(*w.plans[:1], w.told.ordered and f"bio {w.told.ordered}",
                      w.maybe(0.3, "attention voir avec le suivant", "ne pas oublier", "faire le point à la prochaine visite")),
    }.items()}  # fmt: skip


def _short(w: _Words) -> dict[str, str]:
    held = " ".join(c.words[0] for c in (w.told.condition, *w.others))
    return {
        "subjective": _join(f"{held} TTT inchangé" if w.told.condition.chronic else f"{w.short} {w.says[0]}",
                            w.says[-1] if w.told.condition.chronic else "", w.one("dom {hamlet}", "cf {witness}", "PC : {witness}")),
        "objective": _join(w.measures.replace("fréquence ", "FC "), w.shows[-1]),
        "assessment": _join(w.one("stable", "RAS", "idem", "équilibre ok", "pas d'argument pour une complication", "évol fav")),
        "plan": _join(w.plans[-1], w.told.ordered and f"bio ({w.told.ordered})", w.one("cs 3 M", "RDV 1 M", "cs SB", "revoir si pb")),
    }  # fmt: skip


def _talkative(w: _Words) -> dict[str, str]:
    base = _full(w)
    base["subjective"] = _join(
        base["subjective"],
        w.one(
            "Nous avons longuement parlé de la vie à {hamlet} et des travaux de la route",
            "{He} raconte la foire, le chien de {witness}, puis en vient au sujet",
            "L'entretien a surtout porté sur {witness}, qui ne donne plus de nouvelles",
            "{He} apporte un sac de papiers, dont des courriers de {witness} que je n'ai pas pu tous lire",
            "{the} évoque aussi la succession de {hamlet}, source de soucis",
            "Je note pour mémoire que le facteur de {hamlet} sert de relais",
        ),
    )
    base["plan"] = _join(
        base["plan"],
        w.one(
            "Je laisse au confrère suivant le soin d'apprécier",
            "On pourra reprendre tout cela calmement la prochaine fois",
            "Rien d'urgent mais à garder en tête",
            "J'ai prévenu le secrétariat, au cas où",
            "Merci à la personne qui me succédera de relire les anciens courriers",
        ),
    )
    return base  # fmt: skip


_WRITERS = {
    "terse": _terse, "soap": _soap, "full": _full, "capitals": _capitals, "short": _short,
    "talkative": _talkative,
}  # fmt: skip


def _pasted(rng: Random, told: Told) -> str:
    """Words of the previous note, carried over as they were; nothing where there is none."""
    words = told.previous.split()
    if not words:
        return ""
    longest = rng.choice((25, 45, 70, 100))
    return " ".join(words[: min(longest, len(words))])


def _kept(told: Told) -> set[str]:
    """Words that a slip never touches: names of conditions and treatments, of places and people."""
    said = [told.condition.label, *told.condition.words, *told.drugs, told.hamlet, told.witness]
    for other in told.others:
        said += [other.label, *other.words]
    return {word for text in said for word in _tokens(text)}


def _slips(rng: Random, text: str, rate: float, kept: set[str]) -> str:
    """Two letters changed places, or one left out, in a long word here and there."""
    pieces = re.split(r"(\W+)", text)
    for n, word in enumerate(pieces):
        if len(word) < 6 or not word.isalpha() or word.lower() in kept or rng.random() >= rate:
            continue
        place = rng.randrange(1, len(word) - 2)
        swapped = word[:place] + word[place + 1] + word[place] + word[place + 2 :]
        pieces[n] = swapped if rng.random() < 0.5 else word[:place] + word[place + 1 :]
    return "".join(pieces)
