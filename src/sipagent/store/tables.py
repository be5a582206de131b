"""The tables of the records, one schema for SQLite and PostgreSQL.

Times are unix seconds (UTC), money whole micro-dollars, JSON text. `tenant` stands in every table
that holds words or numbers, so that whatever is read or deleted is one tenant's.
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    text,
)

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    }
)

SAID: Final = "arguments IS NOT NULL OR output IS NOT NULL"
"""Tool calls of which words are left."""

calls: Final = Table(
    "calls",
    metadata,
    Column("call_id", String(128), primary_key=True),
    Column("account", String(63), nullable=False),
    Column("webhook_id", String(128), nullable=False),
    Column("tenant", String(63), nullable=False),
    Column("agent", String(63)),
    Column("language", String(35)),
    Column("trunk", String(63)),
    Column("trunk_proven", Boolean, nullable=False),
    Column("verdict", String(16), nullable=False),
    Column("destination", String(63)),
    Column("dialed", Text),
    Column("dialed_source", Text),
    Column("listed", Boolean, nullable=False),
    Column("caller", Text),
    Column("caller_name", Text),
    Column("forwarded_from", Text),
    Column("attestation", String(16)),
    Column("media_security", String(16), nullable=False),
    Column("flags", Text),
    Column("trace", Text, nullable=False),
    Column("plan", Text),
    Column("session", String(64)),
    Column("config_hash", String(16)),
    Column("release", String(32), nullable=False),
    Column("replica", String(63), nullable=False),
    Column("model", Text),
    Column("created_at", Double),
    Column("began_at", Double, nullable=False),
    Column("answered_at", Double),
    Column("attached_at", Double),
    Column("heard_at", Double),
    Column("ended_at", Double),
    Column("outcome", String(48)),
    Column("at_fault", String(16)),
    Column("detail", Text),
    Column("sip_code", Integer),
    Column("turns", Integer),
    Column("tokens", BigInteger),
    Column("cost", BigInteger),
    Column("usage_complete", Boolean),
    Column("price_version", String(63)),
    Column("hold", Boolean, nullable=False, server_default="0"),
    Index(
        "ix_calls_tenant_days",
        "tenant",
        "began_at",
        "call_id",
        "outcome",
        "answered_at",
        "ended_at",
        "tokens",
        "cost",
        "usage_complete",
    ),
    Index(None, "began_at", "call_id"),
    Index(None, "ended_at", "call_id"),
    Index(None, "tenant", "outcome", "began_at", "call_id"),
    Index(None, "outcome", "began_at", "call_id"),
    Index(None, "tenant", "agent", "began_at", "call_id"),
    Index(None, "tenant", "trunk", "began_at", "call_id"),
    Index(None, "trunk", "began_at", "call_id"),
    Index(None, "dialed", "tenant", "began_at", "call_id"),
    Index(None, "caller", "tenant", "began_at", "call_id"),
    Index(None, "webhook_id", "tenant"),
    Index(None, "session"),
    Index(
        "ix_calls_live",
        "began_at",
        "call_id",
        sqlite_where=text("ended_at IS NULL"),
        postgresql_where=text("ended_at IS NULL"),
    ),
)
"""`plan` is without its session, which stands once in `sessions` under the hash in `session`.
`caller`, `dialed` and their kin are plain or an HMAC, as the tenant's privacy says. `hold` keeps a
call from every deletion.

The first index holds all that a day's sums are made of, so that they are read from it alone.
"""

deleted_calls: Final = Table(
    "deleted_calls",
    metadata,
    Column("call_id", String(128), primary_key=True),
    Column("tenant", String(63), nullable=False),
    Column("began_at", Double, nullable=False),
    Column("answered_at", Double),
    Column("ended_at", Double),
    Column("usage_complete", Boolean),
    Index(None, "tenant", "began_at"),
)
"""What statements count of calls that are erased or too old: neither a word nor a number."""

sessions: Final = Table(
    "sessions",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("body", Text, nullable=False),
    Column("last_used_at", Double, nullable=False),
)

aliases: Final = Table(
    "aliases",
    metadata,
    Column("alias", String(256), primary_key=True),
    Column("call_id", String(128), primary_key=True),
    Column("header", String(63), nullable=False),
    Index(None, "call_id"),
)
"""The ids by which carriers name a call: Call-ID, X-Twilio-CallSid ..."""

turns: Final = Table(
    "turns",
    metadata,
    Column("call_id", String(128), primary_key=True),
    Column("sequence", Integer, primary_key=True),
    Column("tenant", String(63), nullable=False),
    Column("at", Double, nullable=False),
    Column("speaker", String(8), nullable=False),
    Column("text", Text),
    Column("interrupted", Boolean, nullable=False),
    Index(None, "tenant", "at"),
)

happenings: Final = Table(
    "happenings",
    metadata,
    Column("call_id", String(128), primary_key=True),
    Column("sequence", BigInteger, primary_key=True),
    Column("tenant", String(63), nullable=False),
    Column("at", Double, nullable=False),
    Column("what", String(24), nullable=False),
    Column("detail", Text),
    Index(None, "at"),
)

usage: Final = Table(
    "usage",
    metadata,
    Column("call_id", String(128), primary_key=True),
    Column("source_id", String(128), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("tenant", String(63), nullable=False),
    Column("account", String(63), nullable=False),
    Column("at", Double, nullable=False),
    Column("model", Text),
    Column("text_in", Integer, nullable=False),
    Column("audio_in", Integer, nullable=False),
    Column("image_in", Integer, nullable=False),
    Column("text_cached", Integer, nullable=False),
    Column("audio_cached", Integer, nullable=False),
    Column("image_cached", Integer, nullable=False),
    Column("text_out", Integer, nullable=False),
    Column("audio_out", Integer, nullable=False),
    Column("seconds", Double),
    Column("cost", BigInteger),
    Column("price_version", String(63), nullable=False),
    Index(None, "tenant", "at"),
    Index(None, "at"),
)

transfers: Final = Table(
    "transfers",
    metadata,
    Column("call_id", String(128), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("tenant", String(63), nullable=False),
    Column("at", Double, nullable=False),
    Column("destination", String(63)),
    Column("target", Text, nullable=False),
    Column("answer", String(16), nullable=False),
    Column("outcome", String(16)),
)

tool_calls: Final = Table(
    "tool_calls",
    metadata,
    Column("call_id", String(128), primary_key=True),
    Column("id", String(128), primary_key=True),
    Column("tenant", String(63), nullable=False),
    Column("at", Double, nullable=False),
    Column("agent", String(63)),
    Column("name", String(128), nullable=False),
    Column("status", String(16), nullable=False),
    Column("detail", Text),
    Column("began", Double, nullable=False),
    Column("ended", Double, nullable=False),
    Column("arguments", Text),
    Column("output", Text),
    Index(None, "at"),
    Index(None, "tenant", "at"),
    Index(
        "ix_tool_calls_said",
        "tenant",
        "at",
        "call_id",
        "id",
        sqlite_where=text(SAID),
        postgresql_where=text(SAID),
    ),
)
"""`began` and `ended` are seconds since the call began. `arguments` and `output` are words: they go
when words go, and are null where they are masked."""

messages: Final = Table(
    "messages",
    metadata,
    Column("call_id", String(128), primary_key=True),
    Column("id", String(128), primary_key=True),
    Column("tenant", String(63), nullable=False),
    Column("at", Double, nullable=False),
    Column("fields", Text, nullable=False),
    Index(None, "id"),
    Index(None, "at", "call_id", "id"),
    Index(None, "tenant", "at", "call_id", "id"),
)
"""What callers want to have told, JSON of texts: words, as turns are. `id` is that of the tool call
which took it."""

PENDING: Final = "state = 'pending'"

outbox: Final = Table(
    "outbox",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("endpoint", String(63), primary_key=True),
    Column("tenant", String(63), nullable=False),
    Column("type", String(32), nullable=False),
    Column("call_id", String(128)),
    Column("subject", String(128)),
    Column("at", Double, nullable=False),
    Column("data", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("since", Double, nullable=False),
    Column("next_at", Double, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("tried_at", Double),
    Column("ended_at", Double),
    Column("answer", String(64)),
    Index(None, "call_id"),
    Index(None, "at", "id", "endpoint"),
    Index(None, "state", "ended_at"),
    Index(
        "ix_outbox_pending",
        "tenant",
        "endpoint",
        "next_at",
        sqlite_where=text(PENDING),
        postgresql_where=text(PENDING),
    ),
)
"""What tenants are told, one row for each of an event's webhooks. Nothing of a caller stands in it:
what an event tells of a call is read when it is sent, from the rows of `call_id` and, of a message,
`subject`. `since` is when telling it began, or began again."""

summaries: Final = Table(
    "summaries",
    metadata,
    Column("call_id", String(128), primary_key=True),
    Column("tenant", String(63), nullable=False),
    Column("account", String(63), nullable=False),
    Column("at", Double, nullable=False),
    Column("wanted", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("next_at", Double, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("ended_at", Double),
    Column("detail", String(64)),
    Column("summary", Text),
    Column("extracted", Text),
    Index(None, "tenant", "at"),
    Index(
        "ix_summaries_pending",
        "next_at",
        sqlite_where=text(PENDING),
        postgresql_where=text(PENDING),
    ),
)
"""What is made of calls that are over: `wanted` is what of them, `summary` and `extracted` are
words, as turns are."""

statements: Final = Table(
    "statements",
    metadata,
    Column("tenant", String(63), primary_key=True),
    Column("month", String(7), primary_key=True),
    Column("zone", String(63), nullable=False),
    Column("body", Text, nullable=False),
    Column("closed_at", Double, nullable=False),
)
"""Closed months; a row is never changed."""

erasures: Final = Table(
    "erasures",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("tenant", String(63)),
    Column("caller", String(64), nullable=False),
    Column("requested_at", Double, nullable=False),
    Column("requested_by", Text, nullable=False),
    Column("calls", Integer, nullable=False),
)
"""Callers whose calls are deleted, by an HMAC of the number; replayed after a restore."""

usable_by: Final = Table("usable_by", metadata, Column("revision", String(32), primary_key=True))
"""The revisions of which the code can use the schema as it is."""

holds: Final = Table(
    "holds",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("tenant", String(63)),
    Column("caller", String(64)),
    Column("call_id", String(128)),
    Column("reason", Text, nullable=False),
    Column("placed_at", Double, nullable=False),
    Column("placed_by", Text, nullable=False),
    Column("released_at", Double),
)
"""Legal holds on one call, on a caller's calls, or on all of a tenant."""

shared: Final = Table(
    "shared",
    metadata,
    Column("name", String(16), primary_key=True),
    Column("revision", BigInteger, nullable=False),
    Column("body", Text),
)
"""What replicas have in common beside calls, JSON, each with a revision that rises when it changes:
the operator's `orders`, the `pin` of a rollback. Of `versions` there is the revision alone. `audit`
is how far the audit has come: its last line's number, and that line's hash."""

config_versions: Final = Table(
    "config_versions",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("at", Double, nullable=False),
    Column("body", Text, nullable=False),
)
"""The last good configurations, every text in them; never a secret."""

order_audit: Final = Table(
    "order_audit",
    metadata,
    Column("revision", BigInteger, primary_key=True, autoincrement=False),
    Column("at", Double, nullable=False),
    Column("by", Text, nullable=False),
    Column("did", Text, nullable=False),
)
"""Who gave and took back which order: one row for each revision of `orders`."""

tokens: Final = Table(
    "tokens",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("name", Text, nullable=False),
    Column("tenant", String(63)),
    Column("scope", String(16), nullable=False),
    Column("secret", String(64), nullable=False),
    Column("created_at", Double, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("expires_at", Double),
    Column("revoked_at", Double),
    Column("last_used_at", Double),
    Index(None, "created_at", "id"),
)
"""Who may use the control API: `secret` is a SHA-256, the operator's tokens have no tenant."""

audit: Final = Table(
    "audit",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("at", Double, nullable=False),
    Column("by", Text, nullable=False),
    Column("token", String(16)),
    Column("operator", Boolean, nullable=False),
    Column("action", String(48), nullable=False),
    Column("target", Text, nullable=False),
    Column("tenant", String(63)),
    Column("detail", Text),
    Column("reason", Text),
    Column("hash", String(64), nullable=False),
    Index(None, "tenant", "number"),
)
"""Who did what, one line after the other: `hash` is over the hash of the line before and all of
this one. No line is ever changed or deleted, so neither words nor callers' numbers stand in it."""

idempotency: Final = Table(
    "idempotency",
    metadata,
    Column("token", String(16), primary_key=True),
    Column("key", String(128), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("at", Double, nullable=False),
    Column("status", Integer),
    Column("media_type", String(64)),
    Column("body", Text),
    Index(None, "at"),
)
"""What was asked under an `Idempotency-Key`, and the answer; without a status it is being worked
at."""
