"""`sipagent outbox`: what tenants are told by webhooks, what could not be, and telling it again."""

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sipagent.cli.changing import audit, changing, located
from sipagent.cli.options import DEFAULT_DATA, DataDir, Format, fail, one_of, table
from sipagent.cli.process import FINDINGS, USAGE
from sipagent.cli.records import Limit, as_json, reading

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from sipagent.store.outbox import EventState, OutboxEvent

Tenant = Annotated[
    str | None, typer.Option("--tenant", metavar="NAME", help="This tenant's events only.")
]
Webhook = Annotated[
    str | None, typer.Option("--webhook", metavar="NAME", help="Events for this webhook only.")
]

app = typer.Typer(
    help="List what tenants are told by webhooks, and have it told again.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _state(text: str) -> "EventState":
    from sipagent.store.outbox import EventState

    return one_of(EventState)(text)


@app.command("list")
def list_(
    state: Annotated[
        Any,
        typer.Option(
            "--state",
            metavar="STATE",
            parser=_state,
            help="In this state only: pending, delivered or dead.",
        ),
    ] = None,
    tenant: Tenant = None,
    webhook: Webhook = None,
    limit: Limit = 50,
    output: Annotated[Format, typer.Option("--format", help="How it is printed.")] = Format.TEXT,
    data_dir: DataDir = DEFAULT_DATA,
) -> None:
    """List events, the newest first, once for each webhook that gets them.

    Exit codes: 0 listed, 2 usage, 3 the database's server was not reached, 78 settings or the
    records cannot be used.
    """
    from sipagent.model import TenantName
    from sipagent.store.outbox import listed

    whose = None if tenant is None else TenantName(tenant)

    async def read(engine: "AsyncEngine") -> "list[OutboxEvent]":
        return await listed(engine, tenant=whose, endpoint=webhook, state=state, limit=limit)

    events = reading(data_dir, read)
    if output is Format.JSON:
        typer.echo(as_json([_as_json(event) for event in events]))
        return
    for line in table([_cells(event) for event in events], heads=_HEADS) if events else ["nothing"]:
        typer.echo(line)


@app.command()
def replay(
    event: Annotated[
        str | None, typer.Argument(metavar="[EVENT]", help="The event's id, evt_...")
    ] = None,
    dead: Annotated[bool, typer.Option("--dead", help="All events that were given up.")] = False,
    tenant: Tenant = None,
    webhook: Webhook = None,
    data_dir: DataDir = DEFAULT_DATA,
) -> None:
    """Have an event sent again, whatever became of it, or all of a tenant that were given up.

    It keeps its id, by which the receiver knows what it has had already. The service that keeps
    these records sends it within seconds.

    Exit codes: 0 it will be sent, 1 there is no such event, 2 usage, 3 the database's server was
    not reached, 78 settings or the data directory cannot be used.
    """
    from sipagent.model import TenantName
    from sipagent.store.outbox import replay as again

    if (event is None) == (not dead):
        fail(USAGE, "name an event, or --dead")
    if dead and tenant is None:
        fail(USAGE, "--dead needs a --tenant")
    whose = None if tenant is None else TenantName(tenant)

    async def work(engine: "AsyncEngine") -> int:
        return await again(engine, time.time(), id_=event, tenant=whose, endpoint=webhook)

    many = changing(located(data_dir), work)
    if not many:
        fail(FINDINGS, "there is no such event: `sipagent outbox list` lists them")
    audit(data_dir, "replay events", event=event, tenant=tenant, webhook=webhook, events=many)
    typer.echo("to be sent again: " + ("1 event" if many == 1 else f"{many} events"))


_HEADS = ("at", "event", "type", "tenant", "webhook", "state", "tries", "answer", "next")


def _cells(event: "OutboxEvent") -> tuple[str, ...]:
    from sipagent.store.why.wording import at

    return (
        at(event.at),
        event.id,
        event.type,
        event.tenant,
        event.endpoint,
        event.state,
        str(event.attempts),
        event.answer or "",
        at(event.next_at) if event.state == "pending" else "",
    )


def _as_json(event: "OutboxEvent") -> dict[str, Any]:
    from sipagent.store.shown import iso

    return {
        "id": event.id,
        "type": event.type,
        "tenant": event.tenant,
        "webhook": event.endpoint,
        "call_id": event.call_id,
        "at": iso(event.at),
        "state": event.state,
        "attempts": event.attempts,
        "answer": event.answer,
        "tried_at": iso(event.tried_at),
        "next_at": iso(event.next_at) if event.state == "pending" else None,
        "ended_at": iso(event.ended_at),
    }
