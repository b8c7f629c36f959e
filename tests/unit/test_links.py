"""Every page of the repository leads somewhere: links, anchors and the files it names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = (".ci", "api", "deploy", "docs", "domain", "fhir", "projections", "requirements",
           "security", "src", "tests")  # fmt: skip
_FENCED = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(<?([^)\s>]+)>?(?: \"[^\"]*\")?\)")
_NAMED = re.compile(rf"`((?:{'|'.join(map(re.escape, FOLDERS))})/[\w./*@-]*)`")
_CITED = re.compile(
    r"(?<![\w/.-])(?:docs/)?([a-z]+)\.md`{0,2}(?:,? ((?:§[\d.]*\d(?: and |, )?)+))?"
)
"""A page of ours that code names, and which of its chapters."""


def pages() -> list[Path]:
    """Every markdown page of ours: at the top and in our folders, installed packages aside."""
    found = [*ROOT.glob("*.md")]
    for folder in FOLDERS:
        found += (ROOT / folder).rglob("*.md")
    return sorted(page for page in found if "node_modules" not in page.parts)


def slug(heading: str) -> str:
    """A heading's anchor as forges make it."""
    text = re.sub(r"`|\*\*|\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    """The anchors of a markdown page; of any other file, none that we know of."""
    if page.suffix != ".md":
        return set()
    text = _FENCED.sub("", page.read_text(encoding="utf-8"))
    return {slug(each) for each in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}


def dead(page: Path) -> Iterator[str]:
    """What a page links to or names and that is not there."""
    text = page.read_text(encoding="utf-8")
    for link in _LINK.findall(_FENCED.sub("", text)):
        if re.match(r"[a-z][a-z0-9+.-]*:", link):
            continue
        address, _, anchor = link.partition("#")
        target = (page.parent / address).resolve() if address else page
        outside = address and not target.is_relative_to(ROOT)
        if outside or not target.exists() or (anchor and anchor not in anchors(target)):
            yield link
    for name in _NAMED.findall(text):
        path = name.removesuffix("...")
        if not (any(ROOT.glob(path)) if "*" in path else (ROOT / path).exists()):
            yield name


def chapters(page: Path) -> set[str]:
    """The numbers of a page's headings: ``2``, ``2.4``."""
    return set(re.findall(r"^#+ (\d+(?:\.\d+)*)\.? ", page.read_text(), re.MULTILINE))


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_leads_to_is_there(page: Path) -> None:
    assert sorted(set(dead(page))) == []


def test_a_dead_link_a_dead_anchor_and_a_missing_file_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Here\n[a](nowhere.md) [b](#there) [c](#here) `docs/nowhere.md`\n")
    found = sorted(set(dead(page)))
    assert found == ["#there", "docs/nowhere.md", "nowhere.md"]


def test_no_file_of_ours_is_left_out() -> None:
    shown = {path.name for path in ROOT.iterdir() if path.is_dir() and any(path.rglob("*.py"))}
    assert shown & {"api", "domain", "fhir", "projections", "security", "tests"} <= set(FOLDERS)
    assert ROOT / "docs" / "security.md" in pages()


def test_every_page_and_chapter_that_code_names_is_there() -> None:
    found = 0
    for path in (path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")):
        if path.samefile(__file__):
            continue
        for name, said in _CITED.findall(path.read_text(encoding="utf-8")):
            page = ROOT / "docs" / f"{name}.md"
            assert page.exists(), (path, name)
            assert set(re.findall(r"\d+(?:\.\d+)*", said)) <= chapters(page), (path, name, said)
            found += 1
    assert found > 30
