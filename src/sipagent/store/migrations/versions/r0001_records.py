"""The first tables."""

from typing import Final

import sqlalchemy as sa
from alembic import op

from sipagent.store.migrating import usable_by

revision: Final = "0001"
down_revision: Final = None


def upgrade() -> None:
    _aliases()
    _calls()
    _deleted_calls()
    _erasures()
    _happenings()
    _holds()
    _sessions()
    _statements()
    _transfers()
    _turns()
    _usage()
    usable_by(revision)


def _aliases() -> None:
    op.create_table(
        "aliases",
        sa.Column("alias", sa.String(length=256), nullable=False),
        sa.Column("call_id", sa.String(length=128), nullable=False),
        sa.Column("header", sa.String(length=63), nullable=False),
        sa.PrimaryKeyConstraint("alias", "call_id", name=op.f("pk_aliases")),
    )
    op.create_index(op.f("ix_aliases_call_id"), "aliases", ["call_id"])


def _calls() -> None:
    op.create_table(
        "calls",
        sa.Column("call_id", sa.String(length=128), nullable=False),
        sa.Column("account", sa.String(length=63), nullable=False),
        sa.Column("webhook_id", sa.String(length=128), nullable=False),
        sa.Column("tenant", sa.String(length=63), nullable=False),
        sa.Column("agent", sa.String(length=63)),
        sa.Column("language", sa.String(length=35)),
        sa.Column("trunk", sa.String(length=63)),
        sa.Column("trunk_proven", sa.Boolean(), nullable=False),
        sa.Column("verdict", sa.String(length=16), nullable=False),
        sa.Column("destination", sa.String(length=63)),
        sa.Column("dialed", sa.Text()),
        sa.Column("dialed_source", sa.Text()),
        sa.Column("listed", sa.Boolean(), nullable=False),
        sa.Column("caller", sa.Text()),
        sa.Column("caller_name", sa.Text()),
        sa.Column("forwarded_from", sa.Text()),
        sa.Column("attestation", sa.String(length=16)),
        sa.Column("media_security", sa.String(length=16), nullable=False),
        sa.Column("flags", sa.Text()),
        sa.Column("trace", sa.Text(), nullable=False),
        sa.Column("plan", sa.Text()),
        sa.Column("session", sa.String(length=64)),
        sa.Column("config_hash", sa.String(length=16)),
        sa.Column("release", sa.String(length=32), nullable=False),
        sa.Column("replica", sa.String(length=63), nullable=False),
        sa.Column("model", sa.Text()),
        sa.Column("created_at", sa.Double()),
        sa.Column("began_at", sa.Double(), nullable=False),
        sa.Column("answered_at", sa.Double()),
        sa.Column("attached_at", sa.Double()),
        sa.Column("heard_at", sa.Double()),
        sa.Column("ended_at", sa.Double()),
        sa.Column("outcome", sa.String(length=48)),
        sa.Column("at_fault", sa.String(length=16)),
        sa.Column("detail", sa.Text()),
        sa.Column("sip_code", sa.Integer()),
        sa.Column("turns", sa.Integer()),
        sa.Column("tokens", sa.BigInteger()),
        sa.Column("cost", sa.BigInteger()),
        sa.Column("usage_complete", sa.Boolean()),
        sa.Column("price_version", sa.String(length=63)),
        sa.Column("hold", sa.Boolean(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("call_id", name=op.f("pk_calls")),
    )
    op.create_index(op.f("ix_calls_began_at_call_id"), "calls", ["began_at", "call_id"])
    op.create_index(
        op.f("ix_calls_caller_tenant_began_at_call_id"),
        "calls",
        ["caller", "tenant", "began_at", "call_id"],
    )
    op.create_index(
        op.f("ix_calls_dialed_tenant_began_at_call_id"),
        "calls",
        ["dialed", "tenant", "began_at", "call_id"],
    )
    op.create_index(op.f("ix_calls_ended_at_call_id"), "calls", ["ended_at", "call_id"])
    op.create_index(
        "ix_calls_live",
        "calls",
        ["began_at", "call_id"],
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index(
        op.f("ix_calls_outcome_began_at_call_id"), "calls", ["outcome", "began_at", "call_id"]
    )
    op.create_index(op.f("ix_calls_session"), "calls", ["session"])
    op.create_index(
        op.f("ix_calls_tenant_agent_began_at_call_id"),
        "calls",
        ["tenant", "agent", "began_at", "call_id"],
    )
    op.create_index(
        "ix_calls_tenant_days",
        "calls",
        [
            "tenant",
            "began_at",
            "call_id",
            "outcome",
            "answered_at",
            "ended_at",
            "tokens",
            "cost",
            "usage_complete",
        ],
    )
    op.create_index(
        op.f("ix_calls_tenant_outcome_began_at_call_id"),
        "calls",
        ["tenant", "outcome", "began_at", "call_id"],
    )
    op.create_index(
        op.f("ix_calls_tenant_trunk_began_at_call_id"),
        "calls",
        ["tenant", "trunk", "began_at", "call_id"],
    )
    op.create_index(
        op.f("ix_calls_trunk_began_at_call_id"), "calls", ["trunk", "began_at", "call_id"]
    )
    op.create_index(op.f("ix_calls_webhook_id_tenant"), "calls", ["webhook_id", "tenant"])


def _deleted_calls() -> None:
    op.create_table(
        "deleted_calls",
        sa.Column("call_id", sa.String(length=128), nullable=False),
        sa.Column("tenant", sa.String(length=63), nullable=False),
        sa.Column("began_at", sa.Double(), nullable=False),
        sa.Column("answered_at", sa.Double()),
        sa.Column("ended_at", sa.Double()),
        sa.Column("usage_complete", sa.Boolean()),
        sa.PrimaryKeyConstraint("call_id", name=op.f("pk_deleted_calls")),
    )
    op.create_index(
        op.f("ix_deleted_calls_tenant_began_at"), "deleted_calls", ["tenant", "began_at"]
    )


def _erasures() -> None:
    op.create_table(
        "erasures",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("tenant", sa.String(length=63)),
        sa.Column("caller", sa.String(length=64), nullable=False),
        sa.Column("requested_at", sa.Double(), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("calls", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_erasures")),
    )


def _happenings() -> None:
    op.create_table(
        "happenings",
        sa.Column("call_id", sa.String(length=128), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("tenant", sa.String(length=63), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("what", sa.String(length=24), nullable=False),
        sa.Column("detail", sa.Text()),
        sa.PrimaryKeyConstraint("call_id", "sequence", name=op.f("pk_happenings")),
    )
    op.create_index(op.f("ix_happenings_at"), "happenings", ["at"])


def _holds() -> None:
    op.create_table(
        "holds",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("tenant", sa.String(length=63)),
        sa.Column("caller", sa.String(length=64)),
        sa.Column("call_id", sa.String(length=128)),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("placed_at", sa.Double(), nullable=False),
        sa.Column("placed_by", sa.Text(), nullable=False),
        sa.Column("released_at", sa.Double()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_holds")),
    )


def _sessions() -> None:
    op.create_table(
        "sessions",
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("last_used_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_sessions")),
    )


def _statements() -> None:
    op.create_table(
        "statements",
        sa.Column("tenant", sa.String(length=63), nullable=False),
        sa.Column("month", sa.String(length=7), nullable=False),
        sa.Column("zone", sa.String(length=63), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("closed_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "month", name=op.f("pk_statements")),
    )


def _transfers() -> None:
    op.create_table(
        "transfers",
        sa.Column("call_id", sa.String(length=128), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("tenant", sa.String(length=63), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("destination", sa.String(length=63)),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("answer", sa.String(length=16), nullable=False),
        sa.PrimaryKeyConstraint("call_id", "number", name=op.f("pk_transfers")),
    )


def _turns() -> None:
    op.create_table(
        "turns",
        sa.Column("call_id", sa.String(length=128), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("tenant", sa.String(length=63), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("speaker", sa.String(length=8), nullable=False),
        sa.Column("text", sa.Text()),
        sa.Column("interrupted", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("call_id", "sequence", name=op.f("pk_turns")),
    )
    op.create_index(op.f("ix_turns_tenant_at"), "turns", ["tenant", "at"])


def _usage() -> None:
    op.create_table(
        "usage",
        sa.Column("call_id", sa.String(length=128), nullable=False),
        sa.Column("source_id", sa.String(length=128), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("tenant", sa.String(length=63), nullable=False),
        sa.Column("account", sa.String(length=63), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("model", sa.Text()),
        sa.Column("text_in", sa.Integer(), nullable=False),
        sa.Column("audio_in", sa.Integer(), nullable=False),
        sa.Column("image_in", sa.Integer(), nullable=False),
        sa.Column("text_cached", sa.Integer(), nullable=False),
        sa.Column("audio_cached", sa.Integer(), nullable=False),
        sa.Column("image_cached", sa.Integer(), nullable=False),
        sa.Column("text_out", sa.Integer(), nullable=False),
        sa.Column("audio_out", sa.Integer(), nullable=False),
        sa.Column("seconds", sa.Double()),
        sa.Column("cost", sa.BigInteger()),
        sa.Column("price_version", sa.String(length=63), nullable=False),
        sa.PrimaryKeyConstraint("call_id", "source_id", name=op.f("pk_usage")),
    )
    op.create_index(op.f("ix_usage_at"), "usage", ["at"])
    op.create_index(op.f("ix_usage_tenant_at"), "usage", ["tenant", "at"])
