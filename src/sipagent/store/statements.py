"""The SQL that writes rows, compiled once for each dialect.

Every statement may be carried out again, after a crash or an answer that was lost, and changes
nothing the second time. Nor does what an earlier owner of a call tells late change what a later one
has stored.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Table,
    and_,
    bindparam,
    case,
    func,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.sql.dml import DMLWhereBase, Insert

from sipagent.store import tables
from sipagent.store.rows import COLUMNS, RowKind

Columns = Any
"""A table's columns by their names."""

TABLES: Final[Mapping[RowKind, Table]] = {
    RowKind.SESSION: tables.sessions,
    RowKind.CALL: tables.calls,
    RowKind.ALIAS: tables.aliases,
    RowKind.TURN: tables.turns,
    RowKind.HAPPENING: tables.happenings,
    RowKind.USAGE: tables.usage,
    RowKind.TRANSFER: tables.transfers,
    RowKind.TOOL: tables.tool_calls,
    RowKind.MESSAGE: tables.messages,
    RowKind.SUMMARY: tables.summaries,
    RowKind.EVENT: tables.outbox,
    RowKind.OUTCOME: tables.calls,
}
"""Where each kind of row stands."""

_REPLACED: Final[Mapping[RowKind, tuple[str, ...]]] = {
    RowKind.SESSION: ("last_used_at",),
    RowKind.TRANSFER: ("answer", "outcome"),
    RowKind.OUTCOME: (
        *("answered_at", "attached_at", "heard_at", "ended_at", "outcome", "at_fault"),
        *("detail", "sip_code", "turns", "usage_complete"),
    ),
}
"""The columns that a row changes where there is one already; all others stay as they were."""

_NEWER: Final[Mapping[RowKind, Callable[[Columns, Columns], ColumnElement[bool]]]] = {
    RowKind.SESSION: lambda now, told: now.last_used_at < told.last_used_at,
    RowKind.TRANSFER: lambda now, told: and_(now.outcome.is_(None), told.outcome.is_not(None)),
    RowKind.OUTCOME: lambda now, _: now.outcome.is_(None),
}
"""Whether a row that is told says more than the one that is there `now`. Replicas tell what they
know in any order: one that has been cut off, or whose spool is read days later, tells old news."""

_SPEAKERS: Final[Mapping[str, Callable[[], DefaultDialect]]] = {
    "sqlite": lambda: sqlite.dialect(paramstyle="qmark"),
    "postgresql": PGDialect_asyncpg,
}


def statements(dialect: str) -> Mapping[RowKind, str]:
    """The SQL of each kind of row, with a placeholder for each of the kind's columns, in order."""
    return {kind: _compiled(kind, dialect) for kind in RowKind}


def _compiled(kind: RowKind, dialect: str) -> str:
    speaker = _SPEAKERS[dialect]()
    statement: Any = _totals() if kind is RowKind.TOTALS else _insert(kind, dialect)
    compiled = statement.compile(dialect=speaker)
    if tuple(compiled.positiontup or ()) != COLUMNS[kind]:
        raise ValueError(f"the columns of {kind} are not in their table's order")
    return str(compiled)


def _insert(kind: RowKind, dialect: str) -> Insert:
    table = TABLES[kind]
    make = sqlite.insert if dialect == "sqlite" else postgresql.insert
    statement = make(table).values({name: bindparam(name) for name in COLUMNS[kind]})
    replaced, newer = _REPLACED.get(kind), _NEWER.get(kind)
    if replaced is None or newer is None:
        return statement.on_conflict_do_nothing()
    return statement.on_conflict_do_update(
        index_elements=list(table.primary_key.columns),
        set_={name: statement.excluded[name] for name in replaced},
        where=newer(table.c, statement.excluded),
    )


def _totals() -> DMLWhereBase:
    """What a call that has ended took, from its bills: a cost is unknown where one of them is. Its
    outcome has counted the turns of its last owner only."""
    calls, usage, turns = tables.calls, tables.usage, tables.turns
    used = usage.c.text_in + usage.c.audio_in + usage.c.image_in
    used = used + usage.c.text_out + usage.c.audio_out
    of_call = usage.c.call_id == calls.c.call_id
    count, priced = func.count(), func.count(usage.c.cost)
    whole = case((count == priced, func.coalesce(func.sum(usage.c.cost), literal_column("0"))))
    tokens = select(func.coalesce(func.sum(used), literal_column("0"))).where(of_call)
    kept = select(count).where(turns.c.call_id == calls.c.call_id).scalar_subquery()
    return (
        update(calls)
        .values(
            turns=case((calls.c.turns < kept, kept), else_=calls.c.turns),
            tokens=tokens.scalar_subquery(),
            cost=select(whole).where(of_call).scalar_subquery(),
        )
        .where(calls.c.call_id == bindparam("call_id"), calls.c.outcome.is_not(None))
    )
