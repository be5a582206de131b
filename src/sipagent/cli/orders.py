"""The red button: `sipagent divert`, `reject`, `orders` and `numbers`.

Orders are written into the data directory, or into the database that replicas share; running
services watch it and follow them.
"""

import time
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from sipagent.cli.options import (
    DEFAULT_CONFIG,
    DEFAULT_DATA,
    ConfigFile,
    DataDir,
    For,
    Format,
    fail,
    in_force_or_exit,
    one_of,
    print_json,
    region_of,
    seconds_of,
    table,
    who,
)
from sipagent.cli.process import BAD_CONFIGURATION, FINDINGS, USAGE
from sipagent.cli.sharing import order_store, refused

if TYPE_CHECKING:
    from pathlib import Path

    from sipagent.routing import Controls, Order


class Whom(StrEnum):
    """Whom an order is about."""

    ALL = "all"
    TENANT = "tenant"
    NUMBER = "number"
    AGENT = "agent"


WhomArgument = Annotated[
    Whom,
    typer.Argument(metavar="SCOPE", help="all, tenant, number or agent.", parser=one_of(Whom)),
]
NameArgument = Annotated[
    str | None,
    typer.Argument(metavar="[NAME]", help="The tenant, the number, or the agent as TENANT/NAME."),
]

orders = typer.Typer(
    help="List the operator's orders, and take them back.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
numbers = typer.Typer(
    help="List, pause and resume numbers.", no_args_is_help=True, pretty_exceptions_enable=False
)


def divert(
    scope: WhomArgument,
    name: NameArgument = None,
    to: Annotated[
        str | None,
        typer.Option(metavar="DESTINATION", help="Where calls go; else the tenant's fallback."),
    ] = None,
    live: Annotated[
        bool, typer.Option("--live", help="Send calls there as well that agents hold now.")
    ] = False,
    duration: For = None,
    config: ConfigFile = DEFAULT_CONFIG,
    data_dir: DataDir = DEFAULT_DATA,
) -> None:
    """Send new calls of a scope to a destination, whatever the rules say.

    The destination must be one of every tenant whose calls it concerns. Calls that are held go on,
    unless the order is `--live`: then each of them is transferred there, once, twenty a second;
    where nobody takes a call its agent goes on. A narrower order precedes a wider one; of two of
    one scope the newer one does.

    Exit codes: 0 the order is written, 1 too many stand already, or the data directory cannot be
    written, 2 usage, or nothing of this name, 3 the database's server was not reached, 78 the
    agents file or the orders cannot be used.
    """
    from sipagent.config.report.ordering import destination_in, name_in, tenants_of
    from sipagent.routing import Order, Scope

    loaded = in_force_or_exit(config, data_dir)
    until = _until(duration)
    try:
        named = name_in(loaded.table, Scope(scope), name)
        whose = tenants_of(loaded.table, Scope(scope), named)
        destination = destination_in(loaded, whose, to)
    except ValueError as error:
        fail(USAGE, str(error))
    given = time.time() if live else None
    _give(Order(Scope(scope), named, to=destination, until=until, live=given), data_dir)


def reject(
    scope: WhomArgument,
    name: NameArgument = None,
    code: Annotated[
        int, typer.Option(min=300, max=699, help="The SIP status that refuses, 300 to 699.")
    ] = 480,
    duration: For = None,
    config: ConfigFile = DEFAULT_CONFIG,
    data_dir: DataDir = DEFAULT_DATA,
) -> None:
    """Refuse new calls of a scope, whatever the rules say. Calls that are held go on.

    Exit codes: 0 the order is written, 1 too many stand already, or the data directory cannot be
    written, 2 usage, or nothing of this name, 3 the database's server was not reached, 78 the
    agents file or the orders cannot be used.
    """
    from sipagent.config.report.ordering import name_in
    from sipagent.routing import Order, Scope

    loaded = in_force_or_exit(config, data_dir)
    try:
        named = name_in(loaded.table, Scope(scope), name)
    except ValueError as error:
        fail(USAGE, str(error))
    _give(Order(Scope(scope), named, code=code, until=_until(duration)), data_dir)


@orders.command("list")
def list_orders(
    data_dir: DataDir = DEFAULT_DATA,
    output: Annotated[Format, typer.Option("--format", help="How it is printed.")] = Format.TEXT,
) -> None:
    """List the orders in force, the narrowest first. Of two on one call the first one holds.

    Exit codes: 0 listed, 3 the database's server was not reached, 78 the orders cannot be read.
    """
    from sipagent.config.report.ordering import in_force_at, order_text, until_text

    found = list(in_force_at(_read(data_dir), time.time()))
    if output is Format.JSON:
        print_json([_as_json(order) for order in found])
        return
    for order in found:
        typer.echo(f"{order_text(order)}, {until_text(order)}")
    if not found:
        typer.echo("no orders")


@orders.command()
def cancel(
    scope: WhomArgument,
    name: NameArgument = None,
    config: ConfigFile = DEFAULT_CONFIG,
    data_dir: DataDir = DEFAULT_DATA,
) -> None:
    """Take back all orders of a scope, a number's pause among them.

    It works without a usable agents file, and for what it no longer has.

    Exit codes: 0 taken back, 1 there was none, or the data directory cannot be written, 2 usage,
    3 the database's server was not reached, 78 the orders cannot be read.
    """
    from sipagent.config.report.ordering import spelled
    from sipagent.routing import Scope

    if (name is None) != (scope is Whom.ALL):
        fail(USAGE, "`all` takes no name" if name else f"name the {scope}")
    named = name or ""
    if scope is Whom.NUMBER:
        named = spelled(named, region_of(config, data_dir))
    elif scope is Whom.AGENT:
        named = _ordered_agent(named, data_dir)
    _take_back(Scope(scope), named, data_dir, paused=None)


@numbers.command("list")
def list_numbers(
    tenant: Annotated[str | None, typer.Option(help="Those of this tenant only.")] = None,
    config: ConfigFile = DEFAULT_CONFIG,
    data_dir: DataDir = DEFAULT_DATA,
    output: Annotated[Format, typer.Option("--format", help="How it is printed.")] = Format.TEXT,
) -> None:
    """List all numbers: whose each is, what happens to its calls, and the order on it, if any.

    Exit codes: 0 listed, 2 there is no such tenant, 3 the database's server was not reached,
    78 the agents file or the orders cannot be used.
    """
    from sipagent.config.report.ordering import name_in, state_of
    from sipagent.config.report.wording import routes_of, rules_text
    from sipagent.routing import Scope

    loaded = in_force_or_exit(config, data_dir)
    if tenant is not None:
        try:
            name_in(loaded.table, Scope.TENANT, tenant)
        except ValueError as error:
            fail(USAGE, str(error))
    controls, now = _read(data_dir), time.time()
    rows = [
        (route.key, str(route.tenant), rules_text(route.rules), state_of(controls, route, now))
        for route in routes_of(loaded.table).values()
        if tenant in (None, route.tenant)
    ]
    heads = ("number", "tenant", "calls", "order")
    if output is Format.JSON:
        print_json([dict(zip(heads, row, strict=True)) for row in rows])
        return
    for line in table(rows, heads=heads):
        typer.echo(line)


@numbers.command()
def pause(
    number: Annotated[str, typer.Argument(help="The number as the agents file has it.")],
    duration: For = None,
    config: ConfigFile = DEFAULT_CONFIG,
    data_dir: DataDir = DEFAULT_DATA,
) -> None:
    """Refuse new calls to one number with 503, so that the carrier may try elsewhere.

    Exit codes: 0 paused, 1 too many orders stand already, or the data directory cannot be written,
    2 there is no such number, 3 the database's server was not reached, 78 the agents file or the
    orders cannot be used.
    """
    from sipagent.config.report.ordering import number_in
    from sipagent.routing import Order, Scope

    loaded = in_force_or_exit(config, data_dir)
    try:
        key = number_in(loaded.table, number)
    except ValueError as error:
        fail(USAGE, str(error))
    _give(Order(Scope.NUMBER, key, until=_until(duration), paused=True), data_dir)


@numbers.command()
def resume(
    number: Annotated[str, typer.Argument(help="The number in any spelling.")],
    config: ConfigFile = DEFAULT_CONFIG,
    data_dir: DataDir = DEFAULT_DATA,
) -> None:
    """End a number's pause. Other orders on it stay: see `sipagent orders`.

    Exit codes: 0 resumed, 1 it was not paused, or the data directory cannot be written, 3 the
    database's server was not reached, 78 the orders cannot be read.
    """
    from sipagent.config.report.ordering import spelled
    from sipagent.routing import Scope

    key = spelled(number, region_of(config, data_dir))
    _take_back(Scope.NUMBER, key, data_dir, paused=True)


def _give(order: "Order", data_dir: "Path") -> None:
    from sipagent.config.report.ordering import order_text, until_text
    from sipagent.errors import StoreError, TooManyOrdersError

    _read(data_dir)  # what cannot be read is told as such, before anything is written
    try:
        order_store(data_dir).add(order, by=who(), at=time.time())
    except TooManyOrdersError as error:  # also where replicas share them: their server was reached
        fail(FINDINGS, str(error))
    except StoreError as error:
        refused(error, data_dir, FINDINGS)
    typer.echo(f"{order_text(order)}, {until_text(order)}")


def _take_back(scope: object, name: str, data_dir: "Path", *, paused: bool | None) -> None:
    from sipagent.config.report.ordering import order_text
    from sipagent.errors import StoreError
    from sipagent.routing import Scope

    _read(data_dir)
    try:
        removed = order_store(data_dir).remove(
            Scope(str(scope)), name, by=who(), at=time.time(), paused=paused
        )
    except StoreError as error:
        refused(error, data_dir, FINDINGS)
    for order in removed:
        typer.echo(f"no longer in force: {order_text(order)}")
    if not removed:
        fail(FINDINGS, f"there is no such order on {f'{scope} {name}'.strip()}")


def _ordered_agent(name: str, data_dir: "Path") -> str:
    """The agent that an order names; a name alone is that of the only order on such an agent."""
    named = {
        order.name for order in _read(data_dir).orders if order.scope.value == Whom.AGENT.value
    }
    meant = [each for each in named if each.partition("/")[2] == name]
    return meant[0] if len(meant) == 1 and name not in named else name


def _until(duration: str | None) -> float | None:
    seconds = seconds_of(duration)
    return None if seconds is None else time.time() + seconds


def _read(data_dir: "Path") -> "Controls":
    from sipagent.errors import StoreError

    try:
        return order_store(data_dir).read()
    except StoreError as error:
        refused(error, data_dir, BAD_CONFIGURATION)


def _as_json(order: "Order") -> dict[str, object]:
    return {
        "scope": order.scope.value,
        "name": order.name,
        "paused": order.paused,
        "code": order.code,
        "to": order.to,
        "until": order.until,
        "live": order.live is not None,
    }
