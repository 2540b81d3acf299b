"""What Alembic runs around its scripts: the connection is the caller's, and so is the transaction."""

from __future__ import annotations

from alembic import context

from gameday.history.listing import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"], version_table=VERSION_TABLE, target_metadata=None
)
with context.begin_transaction():  # within the caller's, so it neither begins nor ends one
    context.run_migrations()
