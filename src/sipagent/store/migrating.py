"""What every revision of the schema says."""

import sqlalchemy as sa
from alembic import op


def usable_by(*revisions: str) -> None:
    """From this revision on the schema can be used by the code of these, and of no other: its own,
    and those before it unless it takes away what they need."""
    table = sa.table("usable_by", sa.column("revision", sa.String))
    op.execute(table.delete())
    op.bulk_insert(table, [{"revision": revision} for revision in revisions])
