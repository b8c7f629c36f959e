"""Alembic's entry: runs the revisions on the connection that ``migration.migrate`` opened."""

from alembic import context

from releve.api.database.migration import SCHEMA, VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    version_table=VERSION_TABLE,
    version_table_schema=SCHEMA,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
