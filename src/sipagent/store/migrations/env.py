"""What Alembic runs for each of its commands. The connection comes from `sipagent.store.schema`."""

from alembic import context

from sipagent.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=True,
    compare_type=True,
    compare_server_default=True,
)
with context.begin_transaction():
    context.run_migrations()
