"""What a laboratory's label names, read by its whole words, wherever they stand in it.

``DOSAGE DU POTASSIUM``, ``IONOGRAMME : POTASSIUM`` and ``K+ (plasma)`` are one thing;
``POTASSIUM (URINES)`` is another, and so is ``hémoglobine glyquée``. A label is ``surely`` of a
measure where nothing but the known words of a laboratory stands before its name, ``perhaps`` of it
where something says that a reader has to look. Only what is surely something else is nothing.

The words are data; no clinician has reviewed them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final, Literal, NamedTuple

Certainty = Literal["surely", "perhaps"]
ASKED: Final = -1
"""The place of a measure that only its asker names."""


class Called(NamedTuple):
    """The names of one measure, without accents or capitals."""

    names: tuple[str, ...]
    others: frozenset[str] = frozenset()
    """Words that make of its name another measure, wherever they stand."""
    unsure: frozenset[str] = frozenset()
    """Words that make of it another measure before its name, and a doubt after it."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_ELSEWHERE: Final = re.compile(
    r"^(urin|diurese$|miction|lcr$|csf$|cephalo?rachid|rachidien|cerebrospinal|lombaire$"
    r"|liquide|ascite|pleur|peritone|synovi|articulaire|selles?$|fec|sueur|saliv|dialysat"
    r"|drain|redons?$|lavage$|lba$|gastrique|amniot|bile$|biliaire|sperm|semin)"
)
"""Words that make of any name a measure elsewhere than in blood."""
_BLOOD: Final = _words(
    "sang sanguin sanguine sanguins plasma plasmatique plasmatiques serum serique seriques blood"
)
_UNSURE: Final = _words(
    "u ur 24h 24heures dialyse ponction recueil rapport ratio index indice delta gradient"
    " erythrocytaire intraerythrocytaire"
)
"""Words after which a value is shown to a reader, never taken for the measure nor for nothing."""
_NEUTRAL: Final = _BLOOD | _words(
    "de du des d la le les l en dans a au aux et ou sur par pour avec"
    " dosage dosages mesure taux concentration valeur resultat examen examens analyse test"
    " determination ionogramme iono electrolytes bilan biochimie chimie hematologie hemostase"
    " hemogramme nfs nf numeration formule sanguine gaz gds gazometrie marqueur marqueurs"
    " cardiaque cardiaques enzymes fonction renale coagulation metabolisme glucidique"
    " total totale totaux jeun urgent urgence controle capillaire veineux veineuse veine arteriel"
    " arterielle artere globale s p b pl sg ser of in the level"
    " ise potentiometrie direct directe indirecte enzymatique jaffe idms colorimetrie hexokinase"
    " hs us hypersensible ultrasensible ultra haute sensibilite sensible"
    " mmol mol umol meq g mg ng dl ml ul giga"
)
"""What laboratories write around a name without changing what is measured."""
_PHRASES: Final = tuple(
    tuple(phrase.split())
    for phrase in (
        "ponction veineuse", "ponction arterielle", "ponction capillaire", "avant dialyse",
        "apres dialyse", "pre dialyse", "post dialyse", "debut de dialyse", "fin de dialyse",
        "numeration globulaire",
    )
)  # fmt: skip
_DAY: Final = (("24", "h"), ("24", "heures"))
_TERSE: Final = frozenset({"k", "na", "hb", "ca"})
"""Names that are surely a measure only with known words beside them."""
_ALONE: Final = frozenset({"gb", "fc", "pas", "tas", "pad", "tad"})
"""Names that are one only with known words beside them: "pas" is mostly no pressure."""
_SALT: Final = re.compile(r".*([^s]ure|ate)s?$")
"""Valproate de sodium, iodure de potassium: a medicine; "mesure de sodium" is none."""
_LOOKALIKES: Final = (
    "hemoglobine a2", "hemoglobine f", "hemoglobine s", "hemoglobine c", "hemoglobine e",
    "hb a2", "hb f", "hb s", "hb c", "hb e", "proteine c", "vitamine k", "vitamine k1",
    "glucose 6 phosphate", "glucose 6 phosphate deshydrogenase", "lactate deshydrogenase",
    "ca 125", "ca 15 3", "ca 19 9", "ca 72 4",
    "calcium ionise", "calcium libre", "ca ionise", "ca++ ionise", "calcemie ionisee",
)  # fmt: skip
"""Longer names of what is none of the measures that their words name."""

_DOTTED: Final = re.compile(r"(?<![a-z0-9])(?:[a-z]\.){2,}[a-z]?(?![a-z0-9])")
_SIGN: Final = re.compile(r"[a-z0-9]+\+*|\++")


def words_of(text: str) -> tuple[str, ...]:
    """The words of a label, without accents, capitals or signs other than ``+``.

    ``I.N.R.`` is one word.
    """
    flat = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(sign for sign in flat if not unicodedata.combining(sign))
    return tuple(_SIGN.findall(_DOTTED.sub(lambda found: found[0].replace(".", ""), plain)))


@lru_cache(maxsize=1024)
def _words_of_name(name: str) -> tuple[str, ...]:
    """The words of a name of the tables, worked out once; never a label of somebody's record."""
    return words_of(name)


def telling(said: Iterable[str]) -> tuple[str, ...]:
    """The words of a label that tell what is measured, without those of every laboratory."""
    return tuple(word for word in said if word not in _NEUTRAL and not word.isdigit())


class _Span(NamedTuple):
    start: int
    end: int
    place: int | None
    """Of the measure in the table; None for a lookalike."""


class Labels:
    """Reads labels by a table of what measures are called."""

    def __init__(self, table: Sequence[Called]) -> None:
        """``table`` in any order; a measure is named by its place in it."""
        self._table = table
        self._index: dict[str, list[tuple[tuple[str, ...], int | None]]] = {}
        for place, called in enumerate(table):
            for name in called.names:
                self._enter(name, place)
        for name in _LOOKALIKES:
            self._enter(name, None)

    def _enter(self, name: str, place: int | None) -> None:
        written = words_of(name)
        self._index.setdefault(written[0], []).append((written, place))

    def read(self, said: tuple[str, ...], asked: Iterable[str] = ()) -> Mapping[int, Certainty]:
        """The measures that a label names, by their place in the table.

        ``asked`` are names of the asker's own, for what the table does not know: ``ASKED``.
        """
        spans = self._spans(said, asked)
        if not spans:
            return {}
        named = {
            place: [span for span in spans if span.place == place]
            for place in {span.place for span in spans}
            if place is not None
        }
        kept = {place: own for place, own in named.items() if not self._is_other(place, own, said)}
        return {
            place: "perhaps" if len(kept) > 1 or self._is_unsure(place, own, spans, said)
            else "surely"
            for place, own in kept.items()
        }  # fmt: skip

    def _spans(self, said: tuple[str, ...], asked: Iterable[str]) -> list[_Span]:
        found = [
            _Span(start, start + len(name), place)
            for start, word in enumerate(said)
            for name, place in self._index.get(word, ())
            if said[start : start + len(name)] == name
        ]
        for name in map(_words_of_name, asked):
            for start in range(len(said) - len(name) + 1) if name else ():
                end = start + len(name)
                if said[start:end] == name and not any(
                    each.start <= start and end <= each.end for each in found
                ):
                    found.append(_Span(start, end, ASKED))
        if not found:
            return []
        found = [span for span in found if not any(_inside(span, other) for other in found)]
        found = [span for span in found if not _is_salt(span, said)]
        long = {span.place for span in found if said[span.start : span.end][0] not in _TERSE}
        return [
            span
            for span in found
            if said[span.start] not in _TERSE
            or span.end > span.start + 1
            or not long - {span.place}
        ]

    def _is_other(self, place: int, own: list[_Span], said: tuple[str, ...]) -> bool:
        """Whether a label that bears the name is surely of something else."""
        called = self._table[place] if place != ASKED else Called(())
        beside = _beside(own, said)
        first = min(span.start for span in own)
        if any(
            word in called.others or (word in called.unsure and at < first) for at, word in beside
        ):
            return True
        # "Sang et urines" is for a reader.
        elsewhere = any(_ELSEWHERE.match(word) for _, word in beside)
        if elsewhere and not any(word in _BLOOD for _, word in beside):
            return True
        alone = all(said[span.start] in _ALONE for span in own)
        return alone and bool(telling(word for _, word in beside))

    def _is_unsure(
        self, place: int, own: list[_Span], spans: list[_Span], said: tuple[str, ...]
    ) -> bool:
        called = self._table[place] if place != ASKED else Called(())
        beside = _beside(own, said)
        words = [word for _, word in beside]
        if any(
            word in called.unsure or word in _UNSURE or _ELSEWHERE.match(word) for word in words
        ):
            return True
        if any(said[at : at + 2] in _DAY for at in range(len(said))):
            return True
        first = min(span.start for span in own)
        terse = all(said[span.start] in _TERSE and span.end == span.start + 1 for span in own)
        return bool(telling(word for at, word in beside if terse or at < first)) or any(
            span.place is None and span.start < first for span in spans
        )


def _inside(span: _Span, other: _Span) -> bool:
    """Whether a longer name holds this one."""
    longer = other.end - other.start > span.end - span.start
    return longer and other.start <= span.start and span.end <= other.end


def _is_salt(span: _Span, said: tuple[str, ...]) -> bool:
    at = span.start
    return at > 1 and said[at - 1] in ("de", "du") and _SALT.fullmatch(said[at - 2]) is not None


def _beside(own: Collection[_Span], said: tuple[str, ...]) -> list[tuple[int, str]]:
    """The words of a label that are none of its name's, nor of a phrase that changes nothing."""
    left = dict(enumerate(said))
    spans = [(span.start, span.end) for span in own]
    spans += [
        (at, at + len(phrase))
        for phrase in _PHRASES
        for at in range(len(said) - len(phrase) + 1)
        if said[at : at + len(phrase)] == phrase
    ]
    for start, end in spans:
        for at in range(start, end):
            left.pop(at, None)
    return list(left.items())
