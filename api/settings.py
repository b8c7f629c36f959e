"""Every setting, read once: environment variables ``RELEVE_*``, then the command line."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PARIS = ZoneInfo("Europe/Paris")
DEMO_NOW = datetime(2026, 11, 23, 8, 30, tzinfo=PARIS)
"""Monday morning of the demo: the record's time at the first start."""


def default_state_dir() -> Path:
    """``${XDG_STATE_HOME:-~/.local/state}/releve``."""
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "releve"


class Settings(BaseSettings):
    """What an operator may set; every default works on a laptop."""

    model_config = SettingsConfigDict(env_prefix="RELEVE_", frozen=True, extra="ignore")

    env: Literal["demo", "production"] = Field(
        "demo", description="`production` refuses demo personas and other conveniences."
    )
    state_dir: Path = Field(
        default_factory=default_state_dir,
        description="Keys, settings and the embedded database; 0700.",
    )
    database_url: str | None = Field(
        None,
        description="Owner's libpq URL of an ordinary PostgreSQL; without it, the embedded one.",
    )
    pg_bin: Path | None = Field(
        None, description="Directory of PostgreSQL's binaries for a new embedded cluster."
    )
    key_passphrase_file: Path | None = Field(
        None, description="File whose first line protects the key files (Argon2id)."
    )
    demo_now: datetime = Field(
        DEMO_NOW, description="The record's time at the start of a demo, RFC 3339."
    )
    host: str = Field("127.0.0.1", description="Address that `serve` and `demo` bind to.")
    port: int = Field(
        8080, ge=0, le=65535, description="Port that `serve` and `demo` bind to; 0 takes any."
    )

    watch_dir: Path | None = Field(
        None,
        description="Folder whose files are taken into the inbox, a subfolder per centre's FINESS.",
    )

    @field_validator("demo_now")
    @classmethod
    def _with_zone(cls, value: datetime) -> datetime:
        return value if value.tzinfo else value.replace(tzinfo=PARIS)

    def passphrase(self) -> bytes | None:
        """The first line of the passphrase file, or ``None`` where none is set."""
        if self.key_passphrase_file is None:
            return None
        return self.key_passphrase_file.read_bytes().split(b"\n", 1)[0]
