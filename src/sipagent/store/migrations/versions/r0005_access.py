"""The control API: its tokens, the audit of what is done by them, and what was asked under a key.

The releases before this one run on it as well: they have no such API.
"""

from typing import Final

import sqlalchemy as sa
from alembic import op

from sipagent.store.migrating import usable_by

revision: Final = "0005"
down_revision: Final = "0004"


def upgrade() -> None:
    _tokens()
    _audit()
    _idempotency()
    usable_by("0001", "0002", "0003", down_revision, revision)


def _tokens() -> None:
    op.create_table(
        "tokens",
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("tenant", sa.String(length=63)),
        sa.Column("scope", sa.String(length=16), nullable=False),
        sa.Column("secret", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.Double()),
        sa.Column("revoked_at", sa.Double()),
        sa.Column("last_used_at", sa.Double()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tokens")),
    )
    op.create_index(op.f("ix_tokens_created_at_id"), "tokens", ["created_at", "id"])


def _audit() -> None:
    op.create_table(
        "audit",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("token", sa.String(length=16)),
        sa.Column("operator", sa.Boolean(), nullable=False),
        sa.Column("action", sa.String(length=48), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("tenant", sa.String(length=63)),
        sa.Column("detail", sa.Text()),
        sa.Column("reason", sa.Text()),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_audit")),
    )
    op.create_index(op.f("ix_audit_tenant_number"), "audit", ["tenant", "number"])


def _idempotency() -> None:
    op.create_table(
        "idempotency",
        sa.Column("token", sa.String(length=16), nullable=False),
        sa.Column("key", sa.String(length=128), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("status", sa.Integer()),
        sa.Column("media_type", sa.String(length=64)),
        sa.Column("body", sa.Text()),
        sa.PrimaryKeyConstraint("token", "key", name=op.f("pk_idempotency")),
    )
    op.create_index(op.f("ix_idempotency_at"), "idempotency", ["at"])
