"""How six colleagues write the same consultation.

One terse, one by the book (SOAP), one in full sentences, one in capitals, one in abbreviations,
one talkative who pastes the previous note. What they say comes from the condition's table; the
sentences here carry it. A note names no condition that the record does not hold, and no treatment
that is not taken.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from random import Random
from typing import Literal

from releve.api.demo.tables import context
from releve.api.demo.tables.shapes import Condition, Who, sayable
from releve.domain.commands import SignNote

Style = Literal["terse", "soap", "full", "capitals", "short", "talkative"]
STYLES: tuple[Style, ...] = ("terse", "soap", "full", "capitals", "short", "talkative")

PASTING = {
    "terse": 0.4, "soap": 0.55, "full": 0.55, "capitals": 0.3, "short": 0.45, "talkative": 1.0,
}  # fmt: skip
"""How often each carries words over from the previous note of the same patient."""


NAMING = 0.3
"""How often a note names a place or a family; what is pasted brings in a few more."""


@dataclass(frozen=True)
class Told:
    """What there is to write of one visit."""

    condition: Condition
    others: tuple[Condition, ...]
    """Long-standing conditions that the record holds, the visit's own aside."""
    drugs: tuple[str, ...]
    """Treatments, by their names."""
    measures: tuple[str, ...]
    """Measures as they are said: ``TA 132/78``."""
    who: Who
    village: str
    families: tuple[str, str]
    """Names of a neighbour, of a carer."""
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
    slips = {"capitals": 0.01, "short": 0.02, "talkative": 0.015}.get(style, 0.014)
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
    plan = rng.choice(sayable(told.condition.plans, told.who))
    name = rng.choice(told.condition.words) if told.others else told.condition.label
    with_others = f" ({', '.join(c.words[0] for c in told.others[:2])})" if told.others else ""
    line = f"{name}{with_others} : {plan}"
    return line[0].upper() + line[1:160]


def text_of(written: SignNote) -> str:
    """All that a note says, in order."""
    parts = (written.subjective, written.objective, written.assessment, written.plan)
    return "\n".join(part for part in parts if part)


def tokens(text: str) -> list[str]:
    """The words of a note in lower case, in their order."""
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
        self.measures = ", ".join(told.measures)
        self.others = told.others[:4]
        self.style = style
        who = told.who
        held = {*who.conditions, condition.key, *(["bio"] if told.ordered else [])}
        self.who = replace(who, conditions=frozenset(held))
        self.says = self.some(condition.complaints, 2)
        self.shows = self.some(condition.signs, 2)
        self.plans = self.some(condition.plans, 2)
        named = rng.random() < NAMING
        self.life = self.some(context.SOCIAL, 2)
        if named:
            both = self.some(context.SOCIAL_NAMED, 2)
            self.life[0] = " ; ".join(
                each.format(village=told.village, family=family)
                for each, family in zip(both, told.families, strict=False)
            )
        self.when = self.some(context.WHEN, 1)[0]
        self.beside = self.some(context.BESIDE, 3)
        self.past = self.some(context.BACKGROUND, 2)
        self.exam = self.some(context.EXAM, 4)
        self.next = self.some(context.NEXT, 2)
        self.slots = {
            "he": "elle" if told.who.female else "il",
            "He": "Elle" if told.who.female else "Il",
            "mr": "Mme" if told.who.female else "M.",
            "the": "La patiente" if told.who.female else "Le patient",
            "e": "e" if told.who.female else "",
            "label": condition.label.lower() if condition.label[1:2].islower() else condition.label,
            "name": self.name,
            "when": self.when,
        }
        if told.who.age < 16:
            self.slots["mr"] = "la petite patiente" if told.who.female else "le petit patient"

    def some(self, fragments: tuple[str, ...], count: int) -> list[str]:
        """As many of the fragments as fit the patient, ``count`` at the most."""
        fitting = sayable(fragments, self.who)
        return self.rng.sample(fitting, min(count, len(fitting)))

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
        "subjective": _join(w.says[0], w.rng.choice((w.when, w.beside[0])), w.life[0]),
        "objective": _join(w.measures, w.shows[0], w.exam[0]),
        "assessment": _join(w.one("{name}", "{name}, stable", "{name} : rien de neuf", "{name}, ça suit")),
        "plan": _join(w.plans[0], w.told.ordered and f"bio : {w.told.ordered}", w.next[0]),
    }  # fmt: skip


def _soap(w: _Words) -> dict[str, str]:
    history = ", ".join(c.label for c in w.others)
    return {
        "subjective": _join(w.one("Motif : {label}", "Vu{e} pour {label}", "Motif du jour : {name}"),
                            f"antécédents : {history}" if history else w.past[0], *w.says, w.when, w.beside[0],
                            w.one("contexte", "mode de vie", "entourage", "situation") + f" : {w.life[0]}"),
        "objective": _join(w.measures and f"constantes : {w.measures}", *w.shows, *w.exam[:2]),
        "assessment": _join(w.one("{label}, évolution favorable", "{label}, situation stable", "{label}, l'examen le confirme",
                                  "{label}, objectif presque atteint", "{label}, équilibre à parfaire")),
        "plan": _join(*w.plans, w.told.ordered and f"prescription de biologie : {w.told.ordered}", w.next[0],
                      f"traitement de fond : {', '.join(w.told.drugs)}" if w.told.drugs else ""),
    }  # fmt: skip


def _full(w: _Words) -> dict[str, str]:
    says, found = " ; ".join(w.says), " ; ".join(w.shows)
    adult = w.told.who.age >= 18
    return {
        "subjective": _join(
            w.one("{the} vient ce jour pour le suivi : {name}", "J'ai revu {mr} au sujet de : {label}",
                  "Consultation programmée : {name}", "{He} consulte plus tôt que prévu : {label}",
                  "{the}, que je rencontre pour la première fois, me parle de : {name}",
                  "Retour à mi-parcours comme convenu avec le confrère précédent",
                  "Troisième entretien cette année autour de : {name}"),
            w.rng.choice(("à l'interrogatoire, on note", "sont décrits", "les plaintes du moment",
                          "spontanément, la description est la suivante", "ce qui gêne surtout", "récit")) + f" : {says}",
            w.one("Chronologie : {when}", "Dans le temps : {when}", "Cela est {when}") if w.when.startswith("depuis") else w.when,
            w.beside[0], w.beside[1], w.past[0],
            w.rng.choice(("par ailleurs", "autour de cela", "côté quotidien", "au plan social", "à la maison")) + f" : {w.life[0]}"),
        "objective": _join(
            w.measures and w.rng.choice(("les mesures prises après repos sont les suivantes", "chiffres relevés", "j'ai mesuré",
                                         "valeurs de cette visite", "au cabinet de soins")) + f" : {w.measures}",
            w.rng.choice(("à l'examen", "cliniquement", "je constate", "l'examen physique montre", "je relève")) + f" : {found}",
            w.exam[0], w.exam[1],
            w.maybe(0.3, "Le reste de l'examen n'apporte rien", "L'état général est conservé", "Je ne retrouve pas d'autre anomalie")),
        "assessment": _join(w.one("L'ensemble évoque une situation équilibrée : {label}", "Tableau compatible avec le diagnostic connu : {label}",
                                  "Je retiens : {label}", "Au total, {label} sans signe de gravité ce jour",
                                  "Mon impression : {label}, rien d'inquiétant")),
        "plan": _join(w.rng.choice(("nous convenons de ceci", "conduite proposée", "je propose", "décisions partagées", "suite"))
                      + f" : {' ; '.join(w.plans)}",
                      w.told.ordered and w.rng.choice(("j'ai demandé au laboratoire", "analyses prescrites", "prélèvement à faire"))
                      + f" : {w.told.ordered}",
                      w.next[0],
                      w.maybe(0.4, "{He} a bien compris et reviendra en cas de doute" if adult else "La famille a bien compris",
                              "Les consignes ont été répétées", "Un courrier a été remis en main propre")),
    }  # fmt: skip


def _capitals(w: _Words) -> dict[str, str]:
    return {name: text.upper() for name, text in {
        "subjective": _join(w.one("rappel pour {name}", "{name}", "vu{e} pour {name}", "passage pour {name}"), w.says[0],
                            w.rng.choice((w.when, w.life[0], w.beside[0], w.past[0]))),
        "objective": _join(w.measures, *w.shows[:1], w.exam[0]),
        "assessment": _join(w.one("ok", "stable", "{name} ok", "à surveiller", "RAS de plus")),
        "plan": _join(*w.plans[:1], w.told.ordered and f"bio {w.told.ordered}",
                      w.maybe(0.3, "attention voir avec le suivant", "ne pas oublier", "faire le point à la prochaine visite")
                      or w.next[0]),
    }.items()}  # fmt: skip


def _short(w: _Words) -> dict[str, str]:
    held = " ".join(c.words[0] for c in (w.told.condition, *w.others))
    usual = w.told.condition.chronic and w.told.drugs
    return {
        "subjective": _join(f"{held} TTT inchangé" if usual else f"{w.short} {w.says[0]}", w.says[-1] if usual else "",
                            w.rng.choice((w.when, w.beside[0], w.past[0])), w.life[0] if w.rng.random() < 0.6 else ""),
        "objective": _join(w.measures.replace("fréquence ", "FC "), w.shows[-1], w.exam[0]),
        "assessment": _join(w.one("stable", "RAS", "idem", "équilibre ok", "pas d'argument pour une complication", "évol fav")),
        "plan": _join(w.plans[-1], w.told.ordered and f"bio ({w.told.ordered})",
                      w.one("cs 3 M", "RDV 1 M", "cs SB", "revoir si pb") if w.rng.random() < 0.5 else w.next[0]),
    }  # fmt: skip


def _talkative(w: _Words) -> dict[str, str]:
    base = _full(w)
    base["subjective"] = _join(
        base["subjective"],
        w.beside[2],
        w.past[1] if len(w.past) > 1 else "",
        w.one(
            "Nous avons longuement parlé des travaux de la route, puis du sujet",
            "Beaucoup de questions notées sur un papier, auxquelles j'ai répondu une à une",
            "L'entretien a surtout porté sur l'organisation des semaines qui viennent",
            "Un sac de papiers, dont des courriers que je n'ai pas pu tous lire",
            "Le récit passe par la foire et la météo avant d'arriver au fait",
            "Je note pour mémoire que le téléphone passe mal à la maison",
        ),
        f"en plus : {w.life[1]}" if len(w.life) > 1 else "",
    )
    base["objective"] = _join(base["objective"], *w.exam[2:4])
    base["plan"] = _join(
        base["plan"],
        w.next[1] if len(w.next) > 1 else "",
        w.one(
            "Je laisse au confrère suivant le soin d'apprécier",
            "On pourra reprendre tout cela calmement la prochaine fois",
            "Rien d'urgent mais à garder en tête",
            "J'ai prévenu le secrétariat, au cas où",
            "Merci à la personne qui me succédera de relire les anciens courriers",
        ),
    )
    return base


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
    said = [told.condition.label, *told.condition.words, *told.drugs, told.village, *told.families]
    for other in told.others:
        said += [other.label, *other.words]
    return {word for text in said for word in tokens(text)}


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
