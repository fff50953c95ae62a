"""Runs migrations on the connection that `app.migrate` hands over; there is no alembic.ini."""

from alembic import context
from sqlmodel import SQLModel

import models  # noqa: F401  importing registers the tables

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    render_as_batch=True,
    compare_type=True,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
