"""The table of docs/operations.md is the settings' own."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from releve.api.settings import PARIS, Settings

ROOT = Path(__file__).resolve().parents[2]


def rendered() -> list[tuple[str, str, str]]:
    rows = []
    for name, field in Settings.model_fields.items():
        default = field.get_default()
        if name == "state_dir":
            shown = "`${XDG_STATE_HOME:-~/.local/state}/releve`"
        elif default is None:
            shown = "none"
        elif isinstance(default, datetime):
            shown = f"`{default.isoformat()}`"
        else:
            shown = f"`{default}`"
        rows.append((f"`RELEVE_{name.upper()}`", shown, field.description or ""))
    return rows


def test_the_documented_settings_are_the_settings() -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    told = re.findall(r"^\| (`RELEVE_[A-Z_]+`) \| (.+?) \| (.+?) \|$", text, re.MULTILINE)
    assert told == rendered()


def test_a_demo_time_without_zone_is_the_centres(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELEVE_DEMO_NOW", "2026-11-30T08:30:00")
    assert Settings().demo_now == datetime(2026, 11, 30, 8, 30, tzinfo=PARIS)


def test_an_unknown_environment_is_refused() -> None:
    with pytest.raises(ValidationError):
        Settings(env="staging")
