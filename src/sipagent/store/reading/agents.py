"""What the calls of several agents of one tenant came to, side by side."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import BigInteger, cast, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from sipagent.model import Kind, Reason, TenantName
from sipagent.store.tables import calls

_TRANSFERRED: Final = f"{Reason.TRANSFERRED.kind}.{Reason.TRANSFERRED}"
_LIVE: Final = "live"


@dataclass(frozen=True, slots=True)
class AgentSums:
    """One agent's calls of a time. `seconds` are of answered calls, from the answer to the end;
    `cost` is in micro-dollars, of the `priced` calls whose cost is known. `outcomes` are counts by
    name, with the calls that are still held under `live`."""

    agent: str
    calls: int = 0
    answered: int = 0
    seconds: float = 0.0
    cost: int = 0
    priced: int = 0
    outcomes: Mapping[str, int] = field(default_factory=dict)

    @property
    def ended(self) -> int:
        return self.calls - self.outcomes.get(_LIVE, 0)

    @property
    def completed(self) -> int:
        return sum(
            many for name, many in self.outcomes.items() if name.startswith(f"{Kind.COMPLETED}.")
        )

    @property
    def transferred(self) -> int:
        return self.outcomes.get(_TRANSFERRED, 0)

    @property
    def mean_seconds(self) -> float | None:
        return self.seconds / self.answered if self.answered else None

    @property
    def mean_cost(self) -> float | None:
        """Micro-dollars of a call."""
        return self.cost / self.priced if self.priced else None


async def sums_by_agent(
    connection: AsyncConnection,
    tenant: TenantName,
    agents: Sequence[str],
    *,
    since: float,
    until: float,
) -> tuple[AgentSums, ...]:
    """The sums of these agents' calls that began from `since` until before `until` (unix seconds),
    in the agents' order."""
    c = calls.c
    rows = await connection.execute(
        select(
            c.agent,
            c.outcome,
            func.count(),
            func.count(c.answered_at),
            func.sum(c.ended_at - c.answered_at),
            cast(func.sum(c.cost), BigInteger),
            func.count(c.cost),
        )
        .where(c.tenant == tenant, c.agent.in_(agents))
        .where(c.began_at >= since, c.began_at < until)
        .group_by(c.agent, c.outcome)
    )
    by: dict[str, AgentSums] = {agent: AgentSums(agent) for agent in agents}
    for agent, outcome, *sums in rows:
        by[agent] = _with(by[agent], outcome or _LIVE, sums)
    return tuple(by.values())


def _with(one: AgentSums, outcome: str, sums: Sequence[float | None]) -> AgentSums:
    many, answered, seconds, cost, priced = (value or 0 for value in sums)
    return AgentSums(
        one.agent,
        one.calls + int(many),
        one.answered + int(answered),
        one.seconds + seconds,
        one.cost + int(cost),
        one.priced + int(priced),
        Counter(one.outcomes) + Counter({outcome: int(many)}),
    )
