"""French spaces: in what pages say, never in markup, addresses, values or what somebody typed."""

from __future__ import annotations

import re
from importlib.resources import files

import jinja2
import pytest

from releve.api.pages.shell import _templates
from releve.api.pages.typography import THIN, WIDE, FrenchTypography, glued, spaced


def shown(source: str, **values: str) -> str:
    environment = jinja2.Environment(autoescape=True, extensions=[FrenchTypography])
    return environment.from_string(source).render(**values)


def test_a_sentence_has_its_spaces_and_one_kind_of_apostrophe() -> None:
    assert spaced("Si besoin : « l'appeler » ; sinon ?") == (
        f"Si besoin{WIDE}: «{WIDE}l’appeler{WIDE}»{THIN}; sinon{THIN}?"
    )
    assert spaced("à 8:30, 'x' et O'") == "à 8:30, 'x' et O'"


def test_no_line_ends_between_a_sign_a_number_and_its_unit() -> None:
    assert glued("CRP < 0,6 mg/L") == f"CRP <{WIDE}0,6{WIDE}mg/L"
    assert glued("Saturation 94 % et 134 mmHg") == f"Saturation 94{WIDE}% et 134{WIDE}mmHg"
    assert glued("lundi 8 h ou mardi 9 novembre") == f"lundi 8{WIDE}h ou mardi 9 novembre"


@pytest.mark.parametrize(
    "kept",
    [
        '<input value="a : b" placeholder="c ; d">',
        '<a href="/x?y=1 : 2" title="e ?">',
        "<textarea>f : g</textarea>",
        '<p class="{{ typed }} : h">',
        "<script>i = j ? 1 : 2;</script>",
    ],
)
def test_markup_and_what_is_typed_stay_as_they_are(kept: str) -> None:
    assert shown(kept, typed="x ; y") == kept.replace("{{ typed }}", "x ; y")


def test_a_value_that_was_typed_is_never_treated() -> None:
    source = '<p>Dit : {{ typed }} ;</p><input value="{{ typed }}{{ " : non" }}">'
    assert shown(source, typed="ceci : cela") == (
        f'<p>Dit{WIDE}: ceci : cela{THIN};</p><input value="ceci : cela : non">'
    )


def test_a_piece_between_two_expressions_and_a_literal_are_treated() -> None:
    assert shown("{{ a }} : {{ a ~ ' ; ' ~ a }}", a="x") == f"x{WIDE}: x{THIN}; x"


def test_a_tag_that_goes_on_after_an_expression_is_still_a_tag() -> None:
    source = '<a{% if a %} title="b : {{ a }} ; c"{% endif %} data-x="d : e">f : g</a>'
    assert shown(source, a="1") == f'<a title="b : 1 ; c" data-x="d : e">f{WIDE}: g</a>'


def test_no_template_says_a_sentence_with_a_space_that_breaks() -> None:
    environment = _templates()
    for entry in files("releve.api").joinpath("templates").iterdir():
        source = entry.read_text(encoding="utf-8")
        lexed = environment._tokenize(source, entry.name)
        text = "".join(str(token.value) for token in lexed if token.type == "data")
        prose = re.sub(r"<(textarea|script|style).*?</\1>|<[^>]*>", "", text, flags=re.DOTALL)
        assert not re.search(r" [:;?!»]|« ", prose), entry.name
        assert not re.search(r"\w'\w", prose), entry.name
