"""The numbers: whose each is, who answers it, and what has been ordered of it."""

from collections.abc import Sequence
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Request, Response
from fastapi import Query as QueryOf
from fastapi.responses import JSONResponse
from pydantic import BeforeValidator, Field

from sipagent.api.problems import Problem
from sipagent.api.v1.base import (
    Behind,
    Controller,
    Duration,
    Limit,
    Model,
    Name,
    Query,
    Reader,
    TenantWanted,
    duration_of,
    integer,
    missing,
    noted,
    once_of,
    records,
    whose,
)
from sipagent.api.v1.errors import Unusable, described
from sipagent.api.v1.idempotency import IdempotencyKey
from sipagent.api.v1.ports import Backend
from sipagent.errors import TooManyOrdersError
from sipagent.model import TenantName
from sipagent.model.access import Deed, Principal
from sipagent.routing import Controls, Order, Route, RoutingTable, Scope
from sipagent.store.reading.lastcalls import LastCall, last_calls
from sipagent.store.shown import iso

router = APIRouter(prefix="/api/v1", tags=["numbers"])

NumberName = Annotated[
    Name,
    Path(
        description="The number in any spelling, or the directory's key for it: a prefix with `*`,"
        " or `default`.",
        examples=["+442079460018"],
    ),
]


class OrderInForce(Model):
    """What the calls of a number meet in place of its rules."""

    kind: str = Field(description="paused, rejected or diverted.", examples=["diverted"])
    scope: str = Field(
        description="Of whom it was ordered: number, agent, tenant or all.", examples=["number"]
    )
    code: int | None = Field(description="The SIP status that refuses.", examples=[503])
    to: str | None = Field(description="Where calls go.", examples=["front_desk"])
    until: str | None = Field(description="When it ends; null: when it is taken back.")
    live: bool = Field(description="Whether held calls are sent there as well.")
    by: str = Field(
        description="Who gave it: tenant or operator. Only the operator takes back the operator's.",
        examples=["tenant"],
    )


class LastCallTo(Model):
    """The newest call to a number."""

    call_id: str
    began_at: str
    header: str | None = Field(description="The header in which the number was found.")
    outcome: str | None = Field(description="How it ended; null while it is held.")


class NumberTold(Model):
    """One line of the number directory."""

    number: str = Field(
        description="E.164, a prefix with `*`, a short number, or `default`.",
        examples=["+442079460018"],
    )
    tenant: str = Field(description="Whose it is.", examples=["acme"])
    calls: str = Field(
        description="What happens to its calls, one rule after the other.",
        examples=["when hours: office: agent reception; forward front_desk"],
    )
    agents: list[str] = Field(description="Who may answer.", examples=[["reception"]])
    trunk: str | None = Field(description="The carrier's line that it must come by.")
    order: OrderInForce | None = Field(description="What holds now in place of its rules.")
    last_call: LastCallTo | None = Field(description="Its newest call.")


class NumbersTold(Model):
    """Some numbers, in the order of their digits."""

    numbers: list[NumberTold]
    next: str | None = Field(description="Give this as `after` for the numbers that follow.")


class NumbersAsked(Query):
    """Which numbers are wanted."""

    tenant: TenantWanted = None
    limit: Limit = 100
    after: Name | None = Field(default=None, description="Go on after this number.")


class PauseWanted(Model):
    """How a number is paused."""

    code: Annotated[int, Field(ge=300, le=699), BeforeValidator(integer)] | None = Field(
        default=None, description="The SIP status that refuses; else 503.", examples=[480]
    )
    for_: Duration | None = Field(
        default=None, alias="for", description="How long; else until it is resumed."
    )


class DivertWanted(Model):
    """Where a number's calls go."""

    to: Name | None = Field(
        default=None,
        description="A destination of its tenant's; without one its fallback.",
        examples=["front_desk"],
    )
    live: bool = Field(
        default=False, description="Held calls are sent there as well.", examples=[False]
    )
    for_: Duration | None = Field(
        default=None, alias="for", description="How long; else until it is resumed."
    )


@router.get("/numbers", operation_id="list_numbers", responses=described())
async def numbers(
    by: Reader, behind: Behind, wanted: Annotated[NumbersAsked, QueryOf()]
) -> NumbersTold:
    """List the numbers of the configuration in force."""
    tenant = whose(by, wanted.tenant)
    after = wanted.after or ""
    found = [
        route
        for route in routes_of(behind.config.table, tenant)
        if _place(route.key) > _place(after) or not after
    ]
    page = found[: wanted.limit]
    told = await _told(behind, page)
    return NumbersTold(numbers=told, next=page[-1].key if len(found) > len(page) else None)


@router.get("/numbers/{number}", operation_id="get_number", responses=described(404))
async def number_(number: NumberName, by: Reader, behind: Behind) -> NumberTold:
    """Tell what is known of a number."""
    return (await _told(behind, [route_of(behind, by, number)]))[0]


_ANSWERS: Final[dict[str, Any]] = {
    "response_model": NumberTold,
    "responses": described(404, 409),
}


@router.post("/numbers/{number}/pause", operation_id="pause_number", **_ANSWERS)
async def pause(
    number: NumberName,
    by: Controller,
    behind: Behind,
    request: Request,
    wanted: PauseWanted | None = None,
    key: IdempotencyKey = None,
) -> Response:
    """Refuse new calls to a number. Calls that are held go on."""
    given = wanted or PauseWanted()
    route = route_of(behind, by, number)
    order = Order(
        Scope.NUMBER,
        route.key,
        code=given.code,
        until=_until(behind, given.for_),
        paused=True,
    )
    return await _ordered(behind, by, request, route, "numbers.pause", order)


@router.post("/numbers/{number}/divert", operation_id="divert_number", **_ANSWERS)
async def divert(
    number: NumberName,
    by: Controller,
    behind: Behind,
    request: Request,
    wanted: DivertWanted | None = None,
    key: IdempotencyKey = None,
) -> Response:
    """Send a number's new calls to a destination, with `live` those that are held as well."""
    given = wanted or DivertWanted()
    route = route_of(behind, by, number)
    to = behind.config.destination(route.tenant, given.to)
    if to is None:
        named = "There is no such destination." if given.to else "There is no fallback: name one."
        raise Unusable("#/to", named)
    order = Order(
        Scope.NUMBER,
        route.key,
        to=to,
        until=_until(behind, given.for_),
        live=behind.clock.wall() if given.live else None,
    )
    return await _ordered(behind, by, request, route, "numbers.divert", order)


@router.post("/numbers/{number}/resume", operation_id="resume_number", **_ANSWERS)
async def resume(
    number: NumberName, by: Controller, behind: Behind, request: Request, key: IdempotencyKey = None
) -> Response:
    """Take back what was ordered of a number: its pause, and its diversion. What was ordered of its
    agent, its tenant or of all stays, and for a tenant's token whatever the operator has ordered:
    `order` says what is still in force."""
    route = route_of(behind, by, number)
    return await _ordered(behind, by, request, route, "numbers.resume", None)


def routes_of(table: RoutingTable, tenant: TenantName | None) -> list[Route]:
    """The lines of all directories that are the tenant's, in the order of numbers, `default`
    last."""
    found: dict[str, Route] = {}
    for directory in table.directories.values():
        listed = [*directory.exact.values(), *directory.prefixes]
        if directory.default is not None:
            listed.append(directory.default)
        found |= {route.key: route for route in listed if tenant in (None, route.tenant)}
    return sorted(found.values(), key=lambda route: _place(route.key))


def route_of(behind: Backend, by: Principal, number: str) -> Route:
    """The line of the directory that this number has. Raises Problem 404."""
    key = behind.config.key_of(number)
    for directory in behind.config.table.directories.values():
        for route in (directory.exact.get(key or ""), *directory.prefixes, directory.default):
            if route is not None and route.key == key and by.sees(route.tenant):
                return route
    raise missing("number")


def _place(key: str) -> tuple[bool, str]:
    return key == "default", key


def _until(behind: Backend, duration: str | None) -> float | None:
    return None if duration is None else behind.clock.wall() + duration_of(duration)


async def _ordered(
    behind: Backend,
    by: Principal,
    request: Request,
    route: Route,
    action: str,
    order: Order | None,
) -> Response:
    """The order is noted, and in force; without one all that stand on the number are gone."""

    async def work() -> Response:
        detail = None if order is None else {"code": order.code, "to": order.to}
        await noted(behind, by, Deed(action, route.key, route.tenant, detail))
        if order is None:
            for paused in (True, False):
                await behind.config.cancel(Order(Scope.NUMBER, route.key, paused=paused), by)
        else:
            await _give(behind, by, order)
        told = (await _told(behind, [route]))[0]
        return JSONResponse(told.model_dump(mode="json"))

    return await once_of(request).answer(request, by, work)


async def _give(behind: Backend, by: Principal, order: Order) -> None:
    """The order is in force. Raises Problem 409 where too many stand."""
    try:
        await behind.config.give(order, by)
    except TooManyOrdersError:
        detail = "Too many orders stand already: resume first. Nothing has changed."
        raise Problem(409, "too-many-orders", detail) from None


async def _told(behind: Backend, routes: Sequence[Route]) -> list[NumberTold]:
    controls, now = Controls(tuple(await behind.config.orders())), behind.clock.wall()
    forms = {
        (route.tenant, form): route.key
        for route in routes
        for form in behind.records.forms_of(route.key, route.tenant)
    }
    last: dict[str, LastCall] = {}
    async with records(behind) as connection:
        for call in await last_calls(connection, list(forms)):
            key = forms[TenantName(call.tenant), call.dialed]
            if key not in last or last[key].began_at < call.began_at:
                last[key] = call
    return [
        NumberTold(
            number=route.key,
            tenant=route.tenant,
            calls=behind.config.rules(route),
            agents=[agent for _, agent in behind.config.answering(route)],
            trunk=route.trunk,
            order=_order(controls, route, now),
            last_call=_last(last.get(route.key)),
        )
        for route in routes
    ]


def _last(call: LastCall | None) -> LastCallTo | None:
    if call is None:
        return None
    return LastCallTo(
        call_id=call.call_id,
        began_at=str(iso(call.began_at)),
        header=call.header,
        outcome=call.outcome,
    )


def _order(controls: Controls, route: Route, now: float) -> OrderInForce | None:
    """What an order does to this number's calls, whoever would answer them."""
    order = controls.order_for(route.tenant, route.key, None, now)
    if order is None:
        return None
    kind = "paused" if order.paused else "rejected" if order.to is None else "diverted"
    return OrderInForce(
        kind=kind,
        scope=order.scope.value,
        code=None if order.to is not None else order.code or 503,
        to=order.to,
        until=iso(order.until),
        live=order.live is not None,
        by="tenant" if order.by_tenant else "operator",
    )
