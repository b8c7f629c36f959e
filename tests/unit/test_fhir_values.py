"""Exact numbers, dates as written, short tokens, narrative: what goes in comes out."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from releve.domain.values import Quantity
from releve.fhir import codes, exact_json, moments, narrative
from releve.fhir.exact_json import NotReadable, decimal_from, dump, parse

KEYS = st.text(alphabet=st.characters(min_codepoint=32), max_size=3)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet=st.characters(min_codepoint=32)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(alphabet='abé"\\/', max_size=4), JSON, max_size=4))
def test_what_is_written_is_read_again(value: dict[str, Any]) -> None:
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return
    read = parse(text)
    assert read == value
    assert dump(read) == text


@pytest.mark.parametrize("text", ["1.50", "0.010", "1e2", "1E-7", "-0", "-0.0", "100", "7"])
def test_a_number_keeps_its_digits(text: str) -> None:
    read = parse(b'{"value":' + text.encode() + b"}")
    assert exact_json.number_text(read["value"]) == text
    assert dump(read) == b'{"value":' + text.encode() + b"}"
    assert Decimal(str(read["value"])) == Decimal(text)


@pytest.mark.parametrize("text", ["", "1,5", "+1", "01", ".5", "1.", "NaN", "1e", "0x1", " 1"])
def test_what_is_no_json_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a JSON number"):
        decimal_from(text)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a":1,"a":1}',
        b'{"a":{"b":1,"b":2}}',
        b'{"a":NaN}',
        b'{"a":-Infinity}',
        b'{"a":' + b"9" * 65 + b"}",
        b'{"a":1e401}',
        b'{"a":"\\u0000"}',
        b'{"\\u0001":1}',
        b'{"a":[["\\u0000"]]}',
        b'{"a":"\\udfff"}',
        b"[" * 33 + b"]" * 33,
        b'"text"',
        b"{",
        b'{"a":"\xe9"}',
    ],
)
def test_a_lenient_reader_would_let_these_pass(raw: bytes) -> None:
    with pytest.raises(NotReadable) as refused:
        parse(raw)
    assert refused.value.reason


def test_brackets_inside_a_text_are_not_depth() -> None:
    assert parse(b'{"a":"' + b"[" * 100 + b'\\"{"}')["a"].count("[") == 100


def test_a_byte_order_mark_is_passed_over() -> None:
    assert parse(b'\xef\xbb\xbf{"a":1}') == {"a": 1}


UCUM = {"system": "http://unitsofmeasure.org", "code": "a"}
FORMS: list[dict[str, Any]] = [
    {"onsetDateTime": "2015"},
    {"onsetDateTime": "2015-02-28T23:59:60.5Z"},
    {"onsetPeriod": {"start": "2015-01", "end": "2016"}},
    {"onsetPeriod": {"end": "2016"}},
    {"onsetPeriod": {"extension": [{"url": "x", "valueCode": "y"}]}},
    {"onsetAge": {"value": Decimal(40), **UCUM}},
    {"onsetAge": {"value": Decimal(40), "comparator": "<", **UCUM}},
    {"onsetAge": {"value": Decimal(40), "unit": "ans"}},
    {"onsetRange": {"low": {"value": Decimal(3), **UCUM}, "high": {"value": Decimal(5), **UCUM}}},
    {"onsetRange": {"high": {"value": Decimal(5), **UCUM}}},
    {"onsetRange": {"low": {"value": Decimal(3)}, "high": {"value": Decimal(5), **UCUM}}},
    {"onsetString": "enfance"},
    {"onsetString": "2015/2016"},
    {"onsetString": "age 40 a"},
    {"onsetString": '"entre guillemets"'},
    {"onsetString": '{"onsetAge":{}}'},
    {"onsetString": "2015-13"},
]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: dump(form).decode()[:40])
def test_every_form_of_a_date_comes_back_as_it_was(form: dict[str, Any]) -> None:
    text = moments.text_of(form, "onset")
    assert text is not None
    assert dump(moments.elements(text, "onset")) == dump(form)


@given(st.text(alphabet=st.characters(min_codepoint=32, codec="utf-8"), min_size=1))
def test_any_words_for_a_date_come_back_as_words(words: str) -> None:
    text = moments.text_of({"onsetString": words}, "onset")
    assert text is not None
    assert moments.elements(text, "onset") == {"onsetString": words}


def test_a_moment_said_as_a_period_is_a_moment() -> None:
    assert moments.elements("2015/2015", "effective") == {"effectiveDateTime": "2015"}
    assert moments.text_of({"abatementBoolean": True}, "abatement") is None


@pytest.mark.parametrize(
    ("element", "token"),
    [
        ({"coding": [{"system": "s", "code": "c", "display": "d"}]}, "d [s|c]"),
        ({"coding": [{"system": "s", "code": "c"}]}, "[s|c]"),
        ({"coding": [{"code": "c"}]}, "[|c]"),
        ({"text": "mots"}, "mots"),
    ],
)
def test_a_token_says_a_code_and_comes_back(element: dict[str, Any], token: str) -> None:
    assert codes.token_of(element) == token
    assert codes.token_element(token) == element


def test_a_quantity_keeps_digits_unit_and_only_ucum_codes() -> None:
    ucum = {"value": decimal_from("1.50"), "unit": "g", "system": moments.UCUM, "code": "g"}
    assert codes.quantity_of(ucum) == Quantity(value="1.50", unit="g", code="g")
    assert dump(codes.quantity_element(Quantity(value="1.50", unit="g", code="g"))) == dump(ucum)
    local = {"value": 2, "system": "urn:local", "code": "cp"}
    assert codes.quantity_of(local) == Quantity(value="2", unit="cp")
    assert codes.quantity_of({"value": 2, "comparator": ">"}) is None
    assert codes.quantity_of({"unit": "g"}) is None


@pytest.mark.parametrize(
    ("stored", "written"),
    [("6,8", "6.8"), ("6,80", "6.80"), ("+6.8", "6.8"), ("06.8", "6.8"), ("-0,50", "-0.50"),
     (".5", "0.5"), ("1e2", "1e2"), ("000", "0")],
)  # fmt: skip
def test_a_number_stored_as_it_was_typed_is_sent_with_its_digits(stored: str, written: str) -> None:
    sent = dump(codes.quantity_element(Quantity(value=stored, unit="mmol/L", code="mmol/L")))
    assert f'"value":{written},'.encode() in sent


@pytest.mark.parametrize("stored", ["", "NaN", "Infinity", "6,8,1", "1_000", "6.8 H", "٦", "."])
def test_what_is_stored_and_is_no_number_is_said_to_be_absent(stored: str) -> None:
    sent = dump(codes.quantity_element(Quantity(value=stored, unit="mmol/L")))
    assert b'"value"' not in sent
    assert b'"valueCode":"error"' in sent


@pytest.mark.parametrize(
    "div",
    [
        "<div><script>alert(1)</script>ok</div>",
        "<div><SCRIPT src=x></SCRIPT>ok</div>",
        '<div><img src="x" onerror="alert(1)"/>ok</div>',
        '<div><a href=" javascript:alert(1)">ok</a></div>',
        '<div><a href="java&#9;script:alert(1)">ok</a></div>',
        '<div><a href="data:text/html,x">ok</a></div>',
        "<div><svg><circle/></svg>ok</div>",
        "<div><xhtml:script>alert(1)</xhtml:script>ok</div>",
        '<div style="background:url(http://x/)">ok</div>',
        "<div><form action='http://x'>ok</form></div>",
        '<div><iframe src="x"></iframe>ok</div>',
    ],
)
def test_what_a_browser_would_run_is_found_and_taken_out(div: str) -> None:
    found = narrative.read(div)
    assert found.active
    assert "script" not in found.text.lower() or "alert" not in found.text
    assert "<" not in found.text


@pytest.mark.parametrize(
    "div",
    [
        '<div xmlns="http://www.w3.org/1999/xhtml"><p class="x">a</p><table></table></div>',
        '<div><a href="https://exemple.fr">x</a><a href="#p1">y</a></div>',
        '<div><img src="logo.png" alt=""/></div>',
        "<div>2 &lt; 3 &amp; 4</div>",
    ],
)
def test_plain_narrative_is_not_accused(div: str) -> None:
    assert not narrative.read(div).active


def test_words_of_cells_and_lines_do_not_run_together() -> None:
    assert narrative.read("<div><td>a</td><td>b</td><br/>c &lt; d</div>").text == "a b c < d"


def test_our_own_narrative_escapes_every_word() -> None:
    div = narrative.write(["<b>gras</b> & co"], empty="vide")
    assert "<b>" not in div
    assert narrative.read(div).text == "<b>gras</b> & co"
    assert "vide" in narrative.write([], empty="vide")
