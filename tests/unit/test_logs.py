"""A log line has only fields of the closed list."""

from __future__ import annotations

import json

import pytest
import structlog

from releve.api.logs import ALLOWED, configure_logs, only_allowed, where
from releve.api.pages.forms import Form, read_or_refuse
from releve.api.problems import RequestRefused


def test_other_fields_and_structures_are_dropped() -> None:
    kept = only_allowed(
        None,
        "info",
        {"event": "x", "route": "/patients/{patient}", "name": "Guilloteau", "status": 200,
         "code": ["Guilloteau"], "path": "/patients?nom=Guilloteau"},
    )  # fmt: skip
    assert kept == {"event": "x", "route": "/patients/{patient}", "status": 200}


def test_no_allowed_field_can_name_a_person_or_a_record() -> None:
    assert ALLOWED.isdisjoint({"name", "patient", "path", "query", "body", "user", "exception"})


def test_lines_are_json_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        configure_logs()
        structlog.get_logger().info("request", route="/x", patient="Guilloteau")
        told = capsys.readouterr()
    finally:
        structlog.reset_defaults()
    assert told.out == ""
    line = json.loads(told.err)
    assert (line["event"], line["route"]) == ("request", "/x")
    assert "Guilloteau" not in told.err


def test_a_place_is_ours_and_holds_no_value() -> None:
    with pytest.raises(RequestRefused) as refused:
        read_or_refuse(None, Form("jeton"))
    assert where(refused.value).startswith("releve.api.p")
    assert where(ValueError("Guilloteau")) == "?"
