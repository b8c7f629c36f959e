"""Runs ``sql/0001_spine.pre.sql``."""

from releve.api.database.migration import run_sql

revision = "0001_spine_pre"
down_revision = None


def upgrade() -> None:
    """Apply the file; there is no way back, the log is kept."""
    run_sql("0001_spine.pre.sql")
