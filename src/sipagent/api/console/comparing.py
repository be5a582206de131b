"""Agents that share a number's calls by `split`, side by side."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from sipagent.model import AgentName, TenantName
from sipagent.routing import AnswerWith, ConsultWith, Route, RoutingTable
from sipagent.store.reading import AgentSums, Wait, Waits, sums_by_agent, waits

MOST_PAIRS: Final = 20


@dataclass(frozen=True, slots=True)
class Split:
    """Agents of a tenant of which a rule chooses one by lot, each with its share of the calls."""

    tenant: TenantName
    shares: tuple[tuple[AgentName, float], ...]


@dataclass(frozen=True, slots=True)
class Version:
    """One of the agents of a split, with what its calls came to."""

    agent: AgentName
    share: float
    sums: AgentSums
    answer: Waits
    sound: Waits

    @property
    def completed(self) -> float | None:
        """The share of its calls that have ended which ended well."""
        return self.sums.completed / self.sums.ended if self.sums.ended else None


@dataclass(frozen=True, slots=True)
class Compared:
    """A split and its versions, in the order of the rule."""

    split: Split
    versions: Sequence[Version]


def splits(table: RoutingTable, tenant: TenantName | None) -> list[Split]:
    """Every split of the rules of a tenant, or of all, each once."""
    routes = (
        route
        for directory in table.directories.values()
        for route in (*directory.exact.values(), *directory.prefixes, directory.default)
        if route is not None and tenant in (None, route.tenant)
    )
    found = dict.fromkeys(split for route in routes for split in _splits_of(route))
    return sorted(found, key=lambda one: (one.tenant, one.shares))


def _splits_of(route: Route) -> Iterator[Split]:
    for rule in route.rules:
        action = rule.action
        if isinstance(action, ConsultWith):
            action = action.otherwise
        if isinstance(action, AnswerWith) and action.split:
            rest = max(0.0, 1.0 - sum(share for _, share in action.split))
            yield Split(route.tenant, ((action.agent, round(rest, 6)), *action.split))


async def compared(
    connection: AsyncConnection,
    table: RoutingTable,
    tenant: TenantName | None,
    bounds: tuple[float, float],
) -> list[Compared]:
    """What the calls of each version came to that began within these unix seconds; of at most 20
    splits."""
    return [
        Compared(split, await _versions(connection, split, bounds))
        for split in splits(table, tenant)[:MOST_PAIRS]
    ]


async def _versions(
    connection: AsyncConnection, split: Split, bounds: tuple[float, float]
) -> list[Version]:
    names = list(dict.fromkeys(agent for agent, _ in split.shares))
    sums = await sums_by_agent(connection, split.tenant, names, since=bounds[0], until=bounds[1])
    by = {one.agent: one for one in sums}
    return [
        Version(
            agent,
            share,
            by[agent],
            *[
                (await waits(connection, split.tenant, wait, [bounds], agent=agent))[0]
                for wait in (Wait.ANSWER, Wait.SOUND)
            ],
        )
        for agent, share in split.shares
    ]
