"""Runs ``sql/0002_guards.pre.sql``."""

from releve.api.database.migration import run_sql

revision = "0002_guards_pre"
down_revision = "0001_spine_pre"


def upgrade() -> None:
    """Apply the file; there is no way back, the log is kept."""
    run_sql("0002_guards.pre.sql")
