"""Runs ``sql/0004_revisions.pre.sql``."""

from releve.api.database.migration import run_sql

revision = "0004_revisions_pre"
down_revision = "0003_inbox_pre"


def upgrade() -> None:
    """Apply the file; there is no way back, the log is kept."""
    run_sql("0004_revisions.pre.sql")
