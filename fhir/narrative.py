"""Narrative (XHTML that a source wrote): what is active in it is found, and only its text is kept.

Nothing imported is ever shown as markup. :func:`read` says what a browser would have run or
fetched, and gives the words that are left without it; :func:`write` makes our own narrative from
plain words, escaped.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from html.parser import HTMLParser
from typing import Final, NamedTuple

import nh3

_ACTIVE_TAGS: Final = frozenset(
    {
        "applet", "audio", "base", "body", "button", "embed", "form", "frame", "frameset", "head",
        "iframe", "input", "link", "math", "meta", "object", "script", "select", "source", "svg",
        "template", "textarea", "track", "video",
    }
)  # fmt: skip
_SAFE_URL: Final = re.compile(r"(?i)\s*(https?:|mailto:|tel:|#|urn:|data:image/(png|jpeg|gif);)")
_HAS_SCHEME: Final = re.compile(r"(?i)[\s\x00-\x20]*[a-z][a-z0-9+.\-\s]*:")
_BLOCKS: Final = re.compile(r"(?i)<(?:br|/p|/div|/li|/tr|/td|/th|/h\d)\b[^>]*>")

XHTML: Final = "http://www.w3.org/1999/xhtml"


class Narrative(NamedTuple):
    """What a narrative says, and whether something active was taken out of it."""

    text: str
    active: bool


class _ActiveContent(HTMLParser):
    """Notes the first element, attribute or address that a browser would run or fetch."""

    found = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Judge one opening tag."""
        self.found = self.found or tag.rpartition(":")[2] in _ACTIVE_TAGS
        for name, value in attrs:
            given = value or ""
            if name.startswith("on") or (name == "style" and "url(" in given.lower()):
                self.found = True
            if (
                name in ("href", "src", "action", "xlink:href", "background")
                and _HAS_SCHEME.match(given)
                and not _SAFE_URL.match(given)
            ):
                self.found = True


def read(div: str) -> Narrative:
    """The words of a narrative ``div``, without scripts, styles or any markup."""
    parser = _ActiveContent(convert_charrefs=True)
    parser.feed(div)
    parser.close()
    spaced = _BLOCKS.sub(lambda match: " " + match.group(), div)
    bare = html.unescape(nh3.clean(spaced, tags=set(), attributes={}))
    return Narrative(" ".join(bare.split()), parser.found)


def write(lines: Iterable[str], *, empty: str) -> str:
    """A narrative ``div`` of one list item a line, every word escaped; ``empty`` when no line."""
    items = [f"<li>{html.escape(line, quote=False)}</li>" for line in lines]
    inside = f"<ul>{''.join(items)}</ul>" if items else f"<p>{html.escape(empty, quote=False)}</p>"
    return f'<div xmlns="{XHTML}">{inside}</div>'


def paragraphs(lines: Sequence[str]) -> str:
    """A narrative ``div`` of one paragraph a line, every word escaped."""
    inside = "".join(f"<p>{html.escape(line, quote=False)}</p>" for line in lines)
    return f'<div xmlns="{XHTML}">{inside}</div>'
