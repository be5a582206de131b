"""What tenants are told of their calls, until they have been told, and what is made of calls.

The releases before this one run on it as well. They know nothing of the new tables: nothing of a
caller stands in the outbox, and the database itself takes what was made of a call away with it.
"""

from typing import Final

import sqlalchemy as sa
from alembic import op

from sipagent.store.migrating import usable_by

revision: Final = "0003"
down_revision: Final = "0002"

_PENDING: Final = "state = 'pending'"
_TRIGGER: Final = "calls_summary_deleted"
_DELETES: Final = "DELETE FROM summaries WHERE call_id = OLD.call_id;"


def upgrade() -> None:
    _outbox()
    _summaries()
    _deleted_with_their_call()
    usable_by("0001", down_revision, revision)


def _outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("endpoint", sa.String(length=63), nullable=False),
        sa.Column("tenant", sa.String(length=63), nullable=False),
        sa.Column("type", sa.String(length=32), nullable=False),
        sa.Column("call_id", sa.String(length=128)),
        sa.Column("subject", sa.String(length=128)),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("since", sa.Double(), nullable=False),
        sa.Column("next_at", sa.Double(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("tried_at", sa.Double()),
        sa.Column("ended_at", sa.Double()),
        sa.Column("answer", sa.String(length=64)),
        sa.PrimaryKeyConstraint("id", "endpoint", name=op.f("pk_outbox")),
    )
    op.create_index(op.f("ix_outbox_call_id"), "outbox", ["call_id"])
    op.create_index(op.f("ix_outbox_at_id_endpoint"), "outbox", ["at", "id", "endpoint"])
    op.create_index(op.f("ix_outbox_state_ended_at"), "outbox", ["state", "ended_at"])
    op.create_index(
        "ix_outbox_pending",
        "outbox",
        ["tenant", "endpoint", "next_at"],
        sqlite_where=sa.text(_PENDING),
        postgresql_where=sa.text(_PENDING),
    )


def _summaries() -> None:
    op.create_table(
        "summaries",
        sa.Column("call_id", sa.String(length=128), nullable=False),
        sa.Column("tenant", sa.String(length=63), nullable=False),
        sa.Column("account", sa.String(length=63), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("wanted", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("next_at", sa.Double(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("ended_at", sa.Double()),
        sa.Column("detail", sa.String(length=64)),
        sa.Column("summary", sa.Text()),
        sa.Column("extracted", sa.Text()),
        sa.PrimaryKeyConstraint("call_id", name=op.f("pk_summaries")),
    )
    op.create_index(op.f("ix_summaries_tenant_at"), "summaries", ["tenant", "at"])
    op.create_index(
        "ix_summaries_pending",
        "summaries",
        ["next_at"],
        sqlite_where=sa.text(_PENDING),
        postgresql_where=sa.text(_PENDING),
    )


def _deleted_with_their_call() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute(f"CREATE TRIGGER {_TRIGGER} AFTER DELETE ON calls BEGIN {_DELETES} END")
        return
    op.execute(
        f"CREATE FUNCTION {_TRIGGER}() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN {_DELETES} RETURN NULL; END $$"
    )
    op.execute(
        f"CREATE TRIGGER {_TRIGGER} AFTER DELETE ON calls"
        f" FOR EACH ROW EXECUTE FUNCTION {_TRIGGER}()"
    )
