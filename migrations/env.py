"""Runs migrations on the connection that ``store/database.py`` hands over, inside one transaction."""

from alembic import context

from salesforce_poller.store.tables import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, render_as_batch=True, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
