"""What agents do: tool calls, messages, and what came of transfers.

The release before this one runs on it as well. It knows nothing of the new tables, so that the
database itself takes a call's rows out of them when such a release erases the call.
"""

from typing import Final

import sqlalchemy as sa
from alembic import op

from sipagent.store.migrating import usable_by

revision: Final = "0002"
down_revision: Final = "0001"

_TRIGGER: Final = "calls_deleted"
_DELETES: Final = (
    "DELETE FROM tool_calls WHERE call_id = OLD.call_id;"
    " DELETE FROM messages WHERE call_id = OLD.call_id;"
)
_SAID: Final = "arguments IS NOT NULL OR output IS NOT NULL"


def upgrade() -> None:
    _tool_calls()
    _messages()
    op.add_column("transfers", sa.Column("outcome", sa.String(length=16)))
    _deleted_with_their_call()
    usable_by(down_revision, revision)


def _tool_calls() -> None:
    op.create_table(
        "tool_calls",
        sa.Column("call_id", sa.String(length=128), nullable=False),
        sa.Column("id", sa.String(length=128), nullable=False),
        sa.Column("tenant", sa.String(length=63), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("agent", sa.String(length=63)),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("detail", sa.Text()),
        sa.Column("began", sa.Double(), nullable=False),
        sa.Column("ended", sa.Double(), nullable=False),
        sa.Column("arguments", sa.Text()),
        sa.Column("output", sa.Text()),
        sa.PrimaryKeyConstraint("call_id", "id", name=op.f("pk_tool_calls")),
    )
    op.create_index(op.f("ix_tool_calls_at"), "tool_calls", ["at"])
    op.create_index(op.f("ix_tool_calls_tenant_at"), "tool_calls", ["tenant", "at"])
    op.create_index(
        "ix_tool_calls_said",
        "tool_calls",
        ["tenant", "at", "call_id", "id"],
        sqlite_where=sa.text(_SAID),
        postgresql_where=sa.text(_SAID),
    )


def _messages() -> None:
    op.create_table(
        "messages",
        sa.Column("call_id", sa.String(length=128), nullable=False),
        sa.Column("id", sa.String(length=128), nullable=False),
        sa.Column("tenant", sa.String(length=63), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("fields", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("call_id", "id", name=op.f("pk_messages")),
    )
    order = ["at", "call_id", "id"]
    op.create_index(op.f("ix_messages_id"), "messages", ["id"])
    op.create_index(op.f("ix_messages_at_call_id_id"), "messages", order)
    op.create_index(op.f("ix_messages_tenant_at_call_id_id"), "messages", ["tenant", *order])


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
