"""The configuration in force, as far as it is asked for and changed from outside: what the control
API and the console stand on (`ConfigDesk` of `api/v1/ports.py`)."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from sipagent.api.v1.ports import Answered, Asked, ReloadTold
from sipagent.concurrency import finish
from sipagent.config.findings import Complaint, masked, without_numbers
from sipagent.config.loader import Loaded
from sipagent.config.numbers import directory_key
from sipagent.config.reload.live import LiveConfiguration, Status
from sipagent.config.reload.orders import OrderFile, OrderStore
from sipagent.config.reload.reloader import Reloader
from sipagent.config.report.difference import difference
from sipagent.config.report.explanation import Question, as_json, explain, headers_of
from sipagent.config.report.ordering import destination_in, in_force_at
from sipagent.config.report.wording import reached_of, rules_text
from sipagent.errors import ConfigError, Finding
from sipagent.model import AccountName, DestinationName, Json, TenantName, TrunkName
from sipagent.model.access import Principal
from sipagent.routing import AgentKey, Order, Route, RoutingTable, Scope
from sipagent.sessions.ports import Clock

MOST_TOLD: Final = 200
"""Findings and changes that are told one by one."""


@dataclass(frozen=True, slots=True)
class LiveDesk:
    """The real one, on files. `store` is where the orders are kept: a file, or the database that
    replicas share; `look` has this replica look at the shared ones."""

    live: LiveConfiguration
    reloader: Reloader
    store: OrderStore
    clock: Clock
    look: Callable[[], None] = lambda: None

    @property
    def table(self) -> RoutingTable:
        return self.live.table

    def status(self) -> Json:
        status = self.live.status
        return {
            "config_hash": status.config_hash,
            "origin": status.origin.value,
            "since": status.since,
            "file": str(self.live.path),
            "usable": not status.findings,
            "findings": list(_told(status.findings)),
            "stale": {str(tenant): _told(found) for tenant, found in status.stale.items()},
            "troubles": [
                {"part": one.part, "code": one.code, "detail": without_numbers(one.detail)}
                for one in status.troubles
            ],
        }

    async def reload(self) -> ReloadTold:
        """The files have been read again, whole or not at all. Cancelling lets it go on."""
        return await finish(self._reload(), name="reload on request")

    async def _reload(self) -> ReloadTold:
        before = self.live.loaded
        status = await self.reloader.reload()
        after = self.live.loaded
        changed = before.table.config_hash != after.table.config_hash
        lines = await asyncio.to_thread(_changes, before, after) if changed else []
        return ReloadTold(status.config_hash, not status.findings, _wrong(status), lines)

    async def diff(self) -> ReloadTold:
        before = self.live.loaded
        try:
            ahead = await self.live.ahead()
        except ConfigError as error:
            return ReloadTold(before.table.config_hash, False, _told(error.findings))
        if ahead.findings:
            return ReloadTold(before.table.config_hash, False, _told(ahead.findings))
        after = ahead.version.loaded
        changed = before.table.config_hash != after.table.config_hash
        lines = await asyncio.to_thread(_changes, before, after) if changed else []
        return ReloadTold(after.table.config_hash, changed, _stale(after.stale), lines)

    def explain(self, asked: Asked) -> Answered:
        headers = headers_of(asked.dialed, asked.caller, asked.headers)
        question = Question(
            headers,
            now=self.clock.wall(),
            at=asked.at,
            account=None if asked.account is None else AccountName(asked.account),
            trunk=None if asked.trunk is None else TrunkName(asked.trunk),
        )
        live = self.live
        told = explain(question, live.table, live.controls, live.trunk_secrets)
        return Answered(
            None if told.route is None else told.route.tenant, as_json(told, show=False)
        )

    def rules(self, route: Route) -> str:
        return rules_text(route.rules)

    def answering(self, route: Route) -> Sequence[AgentKey]:
        return reached_of(self.table, route)

    def key_of(self, number: str) -> str | None:
        key = directory_key(number, self.table.region)
        if isinstance(key, Complaint):
            return None
        for directory in self.table.directories.values():
            if (route := directory.exact.get(key)) is not None:
                return route.key
            others = (*directory.prefixes, directory.default)
            if any(route is not None and route.key == key for route in others):
                return key
        return None

    def destination(self, tenant: TenantName, name: str | None) -> DestinationName | None:
        try:
            if name is None:
                return self.table.tenants[tenant].fallback
            return destination_in(self.live.loaded, frozenset({tenant}), name)
        except (ValueError, KeyError):
            return None

    async def orders(self) -> Sequence[Order]:
        found = in_force_at(self.live.controls, self.clock.wall())
        return tuple(order for order in found if _has_calls(order, self.table))

    async def give(self, order: Order, by: Principal) -> None:
        """Raises StoreError where the orders cannot be written, TooManyOrdersError among them."""
        at = self.clock.wall()
        order = replace(order, by_tenant=not by.is_operator, tenant=by.tenant)
        await finish(self._given(order, by, at), name="give order")

    async def _given(self, order: Order, by: Principal, at: float) -> None:
        await asyncio.to_thread(self.store.add, order, by=_who(by), at=at)
        await self._follow()

    async def cancel(self, order: Order, by: Principal) -> bool:
        """Raises StoreError where the orders cannot be written."""
        return await finish(self._cancelled(order, by, self.clock.wall()), name="cancel order")

    async def _cancelled(self, order: Order, by: Principal, at: float) -> bool:
        removed = await asyncio.to_thread(
            self.store.remove,
            order.scope,
            order.name,
            by=_who(by),
            at=at,
            paused=order.paused,
            tenant=by.tenant,
        )
        await self._follow()
        return bool(removed)

    async def _follow(self) -> None:
        """Have this replica follow at once; the others look twice a second."""
        if isinstance(self.store, OrderFile):
            await self.reloader.refresh()
        else:
            self.look()


def _who(by: Principal) -> str:
    """How the orders' audit names whoever gave one."""
    return f"{by.name} (token {by.token_id})"


def _has_calls(order: Order, table: RoutingTable) -> bool:
    """Whether any call can be one that the order concerns: a tenant's order on a number that has
    become another's says nothing any more."""
    if order.tenant is None or order.scope is not Scope.NUMBER:
        return True
    return any(
        route is not None and (route.key, route.tenant) == (order.name, order.tenant)
        for directory in table.directories.values()
        for route in (directory.exact.get(order.name), *directory.prefixes, directory.default)
    )


def _told(findings: Sequence[Finding]) -> list[str]:
    """The first findings as file:line:col lines, in which no telephone number is whole."""
    told = [masked(finding) for finding in findings[:MOST_TOLD]]
    if len(findings) > MOST_TOLD:
        told.append(f"and {len(findings) - MOST_TOLD} more")
    return told


def _stale(stale: Mapping[TenantName, Sequence[Finding]]) -> list[str]:
    return [line for found in stale.values() for line in _told(found)]


def _wrong(status: Status) -> list[str]:
    """What is wrong with the files, and with those of tenants that go on with their last ones."""
    return [*_told(status.findings), *_stale(status.stale)]


def _changes(before: Loaded, after: Loaded) -> list[str]:
    """What is different, without numbers, texts or values."""
    lines = difference(before, after).lines()
    more = len(lines) - MOST_TOLD
    return lines if more <= 0 else [*lines[:MOST_TOLD], f"and {more} more"]
