"""The page *Live*: the calls that are held now, how much room is left, and what is wrong."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import HTMLResponse
from sqlalchemy.ext.asyncio import AsyncConnection

from sipagent.api.console.shell import Shell, Visitor
from sipagent.api.problems import records_away
from sipagent.api.v1.base import noted, records
from sipagent.api.v1.ports import Backend, Deed
from sipagent.api.v1.streaming import frame
from sipagent.model import AccountName, CallId, TenantName
from sipagent.model.live import LiveEvent
from sipagent.routing import RoutingTable
from sipagent.sessions.ports import Clock
from sipagent.store.facts import CallRow
from sipagent.store.reading import CallFilter, list_calls
from sipagent.store.reading.moments import LONGEST_CALL
from sipagent.store.reading.speech import HeldCount, Reached, Said, held_counts, last_words, reached

MOST_CALLS: Final = 200
"""Calls that are shown; of more, the newest."""

FRESH: Final = 0.4
"""Seconds for which what was rendered for one viewer is good enough for the next. With those after
which an event's records are written it is less than the page waits (`delay` in live.html): what it
then gets has the event in it."""

_MOST_KEPT: Final = 64


@dataclass(frozen=True, slots=True)
class Shown:
    """One call of the list."""

    call: CallRow
    state: str
    said: Said | None = None


@dataclass(frozen=True, slots=True)
class Room:
    """How many calls are held of those that there may be."""

    name: str
    held: int
    most: int | None


@dataclass(frozen=True, slots=True)
class Held:
    """All that the page shows."""

    calls: Sequence[Shown]
    count: int
    rooms: Sequence[Room]


def router(backend: Backend, shell: Shell) -> APIRouter:
    routes = APIRouter()
    lists = Lists(backend.clock)
    visits = Annotated[Visitor, Depends(shell.visitor)]

    @routes.get("/live")
    async def live(
        request: Request, visitor: visits, tenant: str = "", words: bool = False
    ) -> Response:
        wanted = shell.tenant(visitor, tenant)
        seal = await _opened(backend, visitor, wanted) if words else ""
        values: dict[str, Any] = {
            "held": await _held(backend, wanted, words=bool(seal)),
            "tenants": sorted(backend.config.table.tenants),
        }
        return shell.page(request, visitor, "live.html", tenant=tenant, seal=seal, **values)

    @routes.get("/live/calls")
    async def calls(visitor: visits, tenant: str = "", seal: str = "") -> Response:
        wanted = shell.tenant(visitor, tenant)
        words = bool(seal) and wanted is not None and visitor.sealed(seal, "live", wanted)

        async def render() -> str:
            held = await _held(backend, wanted, words=words)
            return shell.part_text(visitor, "live_calls.html", held=held, words=words)

        key = (wanted, visitor.principal.is_operator, words)
        banner = shell.banner(visitor)
        return HTMLResponse(await lists.get(key, render) + banner)

    @routes.get("/live/events")
    async def events(request: Request, visitor: visits, tenant: str = "") -> Response:
        wanted = shell.tenant(visitor, tenant)
        opened = backend.watch.lifecycle(wanted, request.headers.get("last-event-id"))
        return shell.stream(request, visitor, opened, _changed)

    return routes


async def _opened(backend: Backend, visitor: Visitor, tenant: TenantName | None) -> str:
    """What opens the last words of calls to this session: for the tenant's own people, and it is
    noted; empty for others."""
    if tenant is None or visitor.principal.is_operator:
        return ""
    await noted(backend, visitor.principal, Deed("calls.live_words", "live", tenant))
    return visitor.seal("live", tenant)


def _changed(event: LiveEvent) -> bytes:
    """The list is not any more what it was: the page asks for it again."""
    return frame("", event="calls", id=event.id)


class Lists:
    """What was rendered for one viewer, for those who ask for the same soon after. If the records
    do not answer one of them, they do not answer those who waited with them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._looks: OrderedDict[tuple[object, ...], _Look] = OrderedDict()

    async def get(self, key: tuple[object, ...], render: Callable[[], Awaitable[str]]) -> str:
        """The text of this key, at most FRESH seconds old. Raises Problem."""
        look = self._looks.setdefault(key, _Look())
        self._looks.move_to_end(key)
        if len(self._looks) > _MOST_KEPT:
            self._looks.popitem(last=False)
        async with look.lock:
            if look.at is None or self._clock.monotonic() - look.at >= FRESH:
                look.text = None
                try:
                    look.text = await render()
                finally:
                    look.at = self._clock.monotonic()
            if look.text is None:
                raise records_away()
            return look.text


class _Look:
    """One look at the records: when it was over, and what was seen, if anything."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.at: float | None = None
        self.text: str | None = None


async def _held(backend: Backend, tenant: TenantName | None, *, words: bool) -> Held:
    since = backend.clock.wall() - LONGEST_CALL
    async with records(backend) as connection:
        page = await list_calls(
            connection, tenant, CallFilter(live=True, since=since), limit=MOST_CALLS
        )
        counts = await held_counts(connection, tenant, since=since)
        said = await _said(connection, tenant, page.calls) if words else {}
        far = await reached(connection, [CallId(call.call_id) for call in page.calls])
    shown = [Shown(call, state_of(call, far), said.get(call.call_id)) for call in page.calls]
    total = sum(one.calls for one in counts)
    return Held(shown, total, rooms_of(counts, backend.config.table, tenant))


async def _said(
    connection: AsyncConnection, tenant: TenantName | None, calls: Sequence[CallRow]
) -> dict[str, Said]:
    if tenant is None:
        return {}
    return dict(await last_words(connection, tenant, [CallId(call.call_id) for call in calls]))


def state_of(call: CallRow, far: Reached) -> str:
    """How far a call has come, in a word or two."""
    if call.outcome is not None:
        return "ended"
    if call.verdict == "forward":
        return "being sent on"
    if call.call_id in far.spoken:
        return "talking"
    return "connected" if call.call_id in far.attached else "answering"


def rooms_of(
    counts: Sequence[HeldCount], table: RoutingTable, tenant: TenantName | None
) -> list[Room]:
    """Tenants that have a limit; for the operator also accounts that have a limit or a call."""
    by_tenant: dict[str, int] = {}
    by_account: dict[str, int] = {}
    for one in counts:
        by_tenant[one.tenant] = by_tenant.get(one.tenant, 0) + one.calls
        by_account[one.account] = by_account.get(one.account, 0) + one.calls
    rooms: list[Room] = []
    if tenant is None:
        limits = {str(name): quota.held for name, quota in table.quotas.items()}
        named = sorted({*by_account, *(name for name, held in limits.items() if held)})
        rooms += [
            Room(f"Account {name}", by_account.get(name, 0), limits.get(AccountName(name)))
            for name in named
        ]
    for name in sorted(by_tenant if tenant is None else {tenant}):
        profile = table.tenants.get(TenantName(name))
        quota = None if profile is None else profile.quota
        if quota is not None and quota.held is not None:
            rooms.append(Room(f"Tenant {name}", by_tenant.get(name, 0), quota.held))
    return rooms
