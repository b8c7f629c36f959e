"""French spaces and apostrophes of what pages say, put in once, when a template is loaded.

Literal text between tags, and literal sentences in expressions, get the spaces that do not break
before ``: ; ? ! »`` and after ``«``. Markup, attributes, addresses, what people typed and clinical
words are left as they are: only :func:`spaced`, as the filter ``fr``, treats a sentence of ours
that is made while a page is rendered, such as an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from jinja2.ext import Extension
from jinja2.lexer import Token, TokenStream

WIDE: Final = "\N{NO-BREAK SPACE}"
THIN: Final = "\N{NARROW NO-BREAK SPACE}"

_BEFORE_WIDE = re.compile(r" (?=[:»])")
_BEFORE_THIN = re.compile(r" (?=[;?!])")
_AFTER = re.compile(r"« ")
_APOSTROPHE = re.compile(r"(?<=[^\W\d_])'(?=[^\W\d_])")
_MEASURE = re.compile(r"(?<=[<>≤≥]) (?=\d)|(?<=\d) (?=[^\W\d_]+/|%|mm|g\b|kg\b|mg\b|h\b)")
_TAG = re.compile(r"<(/?)([a-zA-Z!][\w!-]*)")
_RAW: Final = frozenset({"textarea", "script", "style", "pre", "title"})
"""Elements whose content is not prose, or is what somebody typed."""


def spaced(text: str) -> str:
    """A French sentence with its spaces and its apostrophes; markup that is safe stays as it is."""
    if type(text) is not str:
        return text
    text = _BEFORE_WIDE.sub(WIDE, text)
    text = _BEFORE_THIN.sub(THIN, text)
    text = _AFTER.sub(f"«{WIDE}", text)
    return _APOSTROPHE.sub("’", text)


def glued(text: str) -> str:
    """Clinical words in which no line ends between a sign, its number and its unit."""
    return _MEASURE.sub(WIDE, text) if type(text) is str else text


class FrenchTypography(Extension):
    """Treats the literals of each template as it is loaded; a rendered page costs nothing more."""

    def filter_stream(self, stream: TokenStream) -> Iterable[Token]:
        """The template's tokens, its literals with French spaces."""
        prose = _Prose()
        for token in stream:
            if token.type == "data":
                yield Token(token.lineno, "data", "".join(prose.treated(token.value)))
            elif token.type == "string" and prose.between_tags:
                yield Token(token.lineno, "string", spaced(token.value))
            else:
                yield token


class _Prose:
    """Where in the markup a template stands: in a tag, in a quoted value, or between tags.

    A value or a tag may go on after an expression, so the place is kept from one piece of literal
    text to the next.
    """

    def __init__(self) -> None:
        self._in_tag = False
        self._quote = ""
        self._raw = ""

    @property
    def between_tags(self) -> bool:
        """Whether what comes next is prose: neither in a tag nor in somebody's own words."""
        return not self._in_tag and not self._raw

    def treated(self, text: str) -> Iterator[str]:
        """The text in pieces: what is between tags is treated, the rest is as it was."""
        at = 0
        while at < len(text):
            if self._in_tag:
                end = self._tag_end(text, at)
                yield text[at:end]
            else:
                end = text.find("<", at)
                end = len(text) if end < 0 else end
                yield text[at:end] if self._raw else spaced(text[at:end])
                if end < len(text):
                    self._open(text, end)
            at = end

    def _open(self, text: str, at: int) -> None:
        found = _TAG.match(text, at)
        self._in_tag = True
        if found is None:
            return
        name = found[2].lower()
        if found[1]:
            self._raw = "" if name == self._raw else self._raw
        elif name in _RAW:
            self._raw = name

    def _tag_end(self, text: str, at: int) -> int:
        for place in range(at, len(text)):
            sign = text[place]
            if self._quote:
                self._quote = "" if sign == self._quote else self._quote
            elif sign in "\"'":
                self._quote = sign
            elif sign == ">":
                self._in_tag = False
                return place + 1
        return len(text)
