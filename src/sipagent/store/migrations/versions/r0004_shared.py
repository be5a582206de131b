"""What replicas share beside calls: the operator's orders, and the last good configurations.

The releases before this one run on it as well: they look for both in their data directories.
"""

from typing import Final

import sqlalchemy as sa
from alembic import op

from sipagent.store.migrating import usable_by

revision: Final = "0004"
down_revision: Final = "0003"


def upgrade() -> None:
    op.create_table(
        "shared",
        sa.Column("name", sa.String(length=16), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text()),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_shared")),
    )
    op.create_table(
        "config_versions",
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_config_versions")),
    )
    op.create_table(
        "order_audit",
        sa.Column("revision", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("did", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("revision", name=op.f("pk_order_audit")),
    )
    usable_by("0001", "0002", down_revision, revision)
