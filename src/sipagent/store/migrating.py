"""What every revision of the schema says."""

import sqlalchemy as sa
from alembic import op


def usable_by(*revisions: str) -> None:
    """From this revision on the schema can be used by the code of these, and of no other: its own,
    and those before it unless it takes away what they need."""
    connection = op.get_bind()
    if not sa.inspect(connection).has_table("usable_by"):
        op.create_table(
            "usable_by",
            sa.Column("revision", sa.String(length=32), nullable=False),
            sa.PrimaryKeyConstraint("revision", name=op.f("pk_usable_by")),
        )
    table = sa.table("usable_by", sa.column("revision", sa.String))
    op.execute(table.delete())
    op.bulk_insert(table, [{"revision": revision} for revision in revisions])
