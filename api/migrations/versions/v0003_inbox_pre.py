"""Runs ``sql/0003_inbox.pre.sql``."""

from releve.api.database.migration import run_sql

revision = "0003_inbox_pre"
down_revision = "0002_guards_pre"


def upgrade() -> None:
    """Apply the file; there is no way back, the log is kept."""
    run_sql("0003_inbox.pre.sql")
