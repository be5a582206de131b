"""`sipagent calls tail`: calls as they are decided and end."""

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Annotated, Final

import typer

from sipagent.cli.options import DEFAULT_DATA, DataDir, Format
from sipagent.cli.records import (
    AgentOption,
    Numbers,
    OutcomeOption,
    Since,
    TenantOption,
    TrunkOption,
    as_json,
    filter_of,
    moment,
    reading,
    whose,
)

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from sipagent.model import TenantName
    from sipagent.store.reading import CallFilter, CallRow

_MINUTE: Final = 60.0
_PAUSE: Final = 1.0
_OVERLAP: Final = 10.0
"""Seconds that are asked for again: records are written a moment after what they tell."""


def tail(
    tenant: TenantOption = None,
    agent: AgentOption = None,
    outcome: OutcomeOption = None,
    trunk: TrunkOption = None,
    since: Since = None,
    once: Annotated[
        bool, typer.Option("--once", help="Print what there is since then, and end.")
    ] = False,
    numbers: Numbers = False,
    output: Annotated[
        Format, typer.Option("--format", help="How it is printed; json is one object a line.")
    ] = Format.TEXT,
    data_dir: DataDir = DEFAULT_DATA,
) -> None:
    """Print calls as they are decided and as they end, until it is interrupted.

    It begins with those of the last minute, or since --since.

    Exit codes: 0 printed (--once), 2 usage, 3 the database's server was not reached, 78 settings
    or the records cannot be used, 130 interrupted.
    """
    whom, named = whose(tenant, agent)
    wanted = filter_of(named, outcome, trunk=trunk)
    begin = moment(since, "--since", ago=_MINUTE)
    assert begin is not None

    async def follow(engine: "AsyncEngine") -> None:
        async for call in told_calls(engine, whom, wanted, begin, once=once):
            typer.echo(_line(call, numbers=numbers, output=output))

    reading(data_dir, follow)


async def told_calls(
    engine: "AsyncEngine",
    tenant: "TenantName | None",
    wanted: "CallFilter",
    since: float,
    *,
    once: bool,
    pause: float = _PAUSE,
) -> "AsyncIterator[CallRow]":
    """Each call when it has been decided and when it has ended, as the records tell of it; one that
    has ended by then only once."""
    import asyncio

    from sipagent.store.reading import decided_since, ended_since

    told: dict[str, CallRow] = {}
    begun = over = since
    while True:
        async with engine.connect() as connection:
            decided = await decided_since(connection, tenant, wanted, begun)
            ended = await ended_since(connection, tenant, wanted, over)
        fresh = {call.call_id: call for call in (*decided, *ended) if _is_news(call, told)}
        for call in sorted(fresh.values(), key=lambda call: call.ended_at or call.began_at):
            yield call
        told |= fresh
        begun = _further(begun, decided, [call.began_at for call in decided])
        over = _further(over, ended, [call.ended_at or 0.0 for call in ended])
        told = {key: call for key, call in told.items() if _may_return(call, begun, over)}
        if not fresh and once:
            return
        if not fresh:
            await asyncio.sleep(pause)


def _is_news(call: "CallRow", told: "dict[str, CallRow]") -> bool:
    before = told.get(call.call_id)
    return before is None or (before.ended_at is None and call.ended_at is not None)


def _further(place: float, found: "Sequence[CallRow]", times: "Sequence[float]") -> float:
    """Where to ask from next: a little before the newest, or at the end of a full answer."""
    from sipagent.store.reading import MOST_NEW

    if not found:
        return place
    return times[-1] if len(found) == MOST_NEW else max(place, times[-1] - _OVERLAP)


def _may_return(call: "CallRow", begun: float, over: float) -> bool:
    return call.ended_at is None or call.began_at >= begun or call.ended_at >= over


def _line(call: "CallRow", *, numbers: bool, output: Format) -> str:
    from sipagent.store.shown import shown_call
    from sipagent.store.why.wording import at, number, seconds

    if output is Format.JSON:
        return as_json(shown_call(call, numbers=numbers), indent=None)
    who = f"{call.tenant}/{call.agent or '-'}"
    if call.seconds is not None and call.ended_at is not None:
        length = seconds(call.seconds)
        return f"{at(call.ended_at)}  {call.call_id}  {who}  {call.outcome} after {length}"
    caller = number(call.caller, numbers=numbers) or "withheld"
    dialed = number(call.dialed, numbers=numbers) or "unknown"
    return f"{at(call.began_at)}  {call.call_id}  {who}  {call.verdict}: {caller} to {dialed}"
