"""`sipagent privacy`: callers are forgotten, holds are kept, and what is too old is deleted."""

import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sipagent.cli.changing import audit, changing, key_of, located, log_to_errors
from sipagent.cli.options import (
    DEFAULT_CONFIG,
    DEFAULT_DATA,
    ConfigFile,
    DataDir,
    Format,
    fail,
    in_force_or_exit,
    print_json,
    region_of,
    table,
    tenants_of,
    who,
)
from sipagent.cli.process import FINDINGS, USAGE

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from sipagent.model import TenantName
    from sipagent.store.erasure import Erased, Eraser
    from sipagent.store.holds import Hold
    from sipagent.store.location import Location
    from sipagent.store.numbers import InstallationKey
    from sipagent.store.retention import Pruned

Tenant = Annotated[
    str | None, typer.Option("--tenant", metavar="NAME", help="Of this tenant only.")
]

app = typer.Typer(
    help="Forget callers, keep legal holds, delete what is too old.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.command()
def erase(
    number: Annotated[str, typer.Argument(metavar="NUMBER", help="The caller's number.")],
    tenant: Tenant = None,
    config: ConfigFile = DEFAULT_CONFIG,
    data_dir: DataDir = DEFAULT_DATA,
) -> None:
    """Delete everything of a caller's calls up to now: facts, words, messages, tools, transfers.

    What stays is what they used and cost, in which nothing tells whose they were. Calls in progress
    lose what was said so far now, and the rest when they end. Erased callers are listed in the data
    directory, by what nobody can turn back into a number, and are erased again when an old copy of
    the records is put back. `sipagent backup` copies must be deleted or replaced by hand.

    Exit codes: 0 erased, 1 some calls are under a legal hold and were kept, 2 usage, 3 the
    database's server was not reached, 78 settings or the data directory cannot be used.
    """
    from sipagent.engine.memory import forget_deleted

    caller = _number(number, config, data_dir)
    location = located(data_dir)
    key = key_of(location, data_dir)
    whose = _tenant(tenant, location, config, data_dir)
    log_to_errors()
    erasure, done = changing(
        location,
        lambda engine: _eraser(engine, key, data_dir).erase(caller, by=who(), tenant=whose),
    )
    forget_deleted(data_dir)
    facts = {"tenant": tenant, "calls": done.calls, "held": len(done.held), "live": len(done.live)}
    audit(data_dir, "erase caller", erasure=erasure.id, **facts)
    _tell(done)


@app.command()
def replay(data_dir: DataDir = DEFAULT_DATA) -> None:
    """Carry out all erasures again, as after an old copy of the records has been put back.

    The service does so by itself whenever it starts.

    Exit codes: 0 done, 1 some calls are under a legal hold and were kept, 3 the database's server
    was not reached, 78 settings or the data directory cannot be used.
    """
    location = located(data_dir)
    key = key_of(location, data_dir)
    log_to_errors()
    done = changing(location, lambda engine: _eraser(engine, key, data_dir).replay())
    audit(data_dir, "replay erasures", calls=done.calls, held=len(done.held))
    _tell(done)


@app.command()
def prune(config: ConfigFile = DEFAULT_CONFIG, data_dir: DataDir = DEFAULT_DATA) -> None:
    """Delete now what is older than its tenant's `privacy` says. The service does it by itself.

    Exit codes: 0 done, 3 the database's server was not reached, 78 settings, the agents file or the
    data directory cannot be used.
    """
    from sipagent.store.why.wording import count

    routing = in_force_or_exit(config, data_dir).table
    location = located(data_dir)
    key = key_of(location, data_dir)

    async def work(engine: "AsyncEngine") -> "Pruned":
        from sipagent.concurrency import SystemClock
        from sipagent.store.retention import Pruner

        return await Pruner(engine, key, routing.privacy, SystemClock()).prune()

    log_to_errors()
    done = changing(location, work)
    parts = (
        f"{count(done.turns, 'turn')} of speech",
        count(done.messages, "message"),
        f"the words of {count(done.tools, 'tool call')}",
        count(done.calls, "whole call"),
    )
    typer.echo(f"deleted: {', '.join(parts)}")


@app.command()
def hold(
    reason: Annotated[str, typer.Option(help="Why, for whoever finds it later.")],
    call: Annotated[str | None, typer.Option(metavar="CALL", help="This call, by its id.")] = None,
    caller: Annotated[
        str | None, typer.Option(metavar="NUMBER", help="All calls of this caller.")
    ] = None,
    tenant: Annotated[
        str | None, typer.Option(metavar="NAME", help="All calls of this tenant.")
    ] = None,
    config: ConfigFile = DEFAULT_CONFIG,
    data_dir: DataDir = DEFAULT_DATA,
) -> None:
    """Keep calls from being erased and from being deleted by age, until the hold is released.

    With --caller and --tenant only that caller's calls to that tenant are held.

    Exit codes: 0 held, 1 there is no such call, 2 usage, 3 the database's server was not reached,
    78 settings or the data directory cannot be used.
    """
    if (call is None) == (caller is None and tenant is None):
        fail(USAGE, "name a --call, or a --caller, a --tenant or both")
    if not reason.strip():
        fail(USAGE, "--reason is empty")
    number = None if caller is None else _number(caller, config, data_dir)
    location = located(data_dir)
    key = key_of(location, data_dir)
    whose = _tenant(tenant, location, config, data_dir)

    async def work(engine: "AsyncEngine") -> "Hold | None":
        from sipagent.model import CallId
        from sipagent.store.holds import Subject, place

        subject = Subject(
            tenant=whose,
            caller=None if number is None else key.fingerprint(number),
            call_id=None if call is None else CallId(call),
        )
        return await place(engine, subject, reason=reason.strip(), by=who(), at=time.time())

    placed = changing(location, work)
    if placed is None:
        fail(FINDINGS, "there is no such call: `sipagent calls show CALL` tells the id of one")
    of = asdict(placed.subject)
    audit(data_dir, "hold", hold=placed.id, **of, reason=placed.reason)
    typer.echo(f"held: {placed.id}")


@app.command()
def release(
    hold_id: Annotated[str, typer.Argument(metavar="HOLD", help="The hold's id.")],
    data_dir: DataDir = DEFAULT_DATA,
) -> None:
    """End a legal hold. What it kept is deleted by age from now on; erasures need a replay.

    Exit codes: 0 released, 1 there is no such hold, 3 the database's server was not reached, 78
    settings or the data directory cannot be used.
    """
    location = located(data_dir)

    async def work(engine: "AsyncEngine") -> "Hold | None":
        from sipagent.store.holds import release as released

        return await released(engine, hold_id, at=time.time())

    if changing(location, work) is None:
        fail(FINDINGS, "there is no such hold in force: `sipagent privacy holds` lists them")
    audit(data_dir, "release", hold=hold_id)
    typer.echo(f"released: {hold_id}")


@app.command()
def holds(
    every: Annotated[bool, typer.Option("--all", help="Also those that were released.")] = False,
    data_dir: DataDir = DEFAULT_DATA,
    output: Annotated[Format, typer.Option("--format", help="How it is printed.")] = Format.TEXT,
) -> None:
    """List the legal holds, the oldest first. Callers are shown as their fingerprints.

    Exit codes: 0 listed, 3 the database's server was not reached, 78 settings or the data directory
    cannot be used.
    """

    async def work(engine: "AsyncEngine") -> "list[Hold]":
        from sipagent.store.holds import listed

        return await listed(engine, released=every)

    found = changing(located(data_dir), work)
    if output is Format.JSON:
        print_json([_as_json(one) for one in found])
        return
    rows = [
        (one.id, _subject(one), _day(one.placed_at), one.placed_by, one.reason) for one in found
    ]
    heads = ("hold", "of", "since", "by", "reason")
    for line in table(rows, heads=heads) if rows else ["no holds"]:
        typer.echo(line)


def _eraser(engine: "AsyncEngine", key: "InstallationKey", data_dir: Path) -> "Eraser":
    from sipagent.concurrency import SystemClock
    from sipagent.store.erasure import Eraser
    from sipagent.store.ledger import Ledger

    return Eraser(engine, key, Ledger(data_dir), SystemClock())


def _tell(done: "Erased") -> None:
    typer.echo(f"erased: {_calls(done.calls)}")
    if done.live:
        typer.echo(f"in progress, erased when they end: {len(done.live)}")
    if done.held:
        listed = "\n".join(f"  {call_id}" for call_id in done.held)
        fail(FINDINGS, f"kept, under a legal hold: {_calls(len(done.held))}\n{listed}")


def _number(text: str, config: Path, data_dir: Path) -> str:
    """The number that is meant, or the end with 2."""
    from sipagent.sip import to_e164

    written, region = text.strip(), region_of(config, data_dir)
    number = to_e164(written, region)
    if number is None:
        fail(USAGE, "that is no telephone number: write it as +1 713 481 0111")
    if region is None and not written.startswith(("+", "00")):
        # Read as an international one it would be somebody else's.
        fail(USAGE, "that names no country: write it as +1 713 481 0111")
    return number


def _tenant(
    name: str | None, location: "Location", config: Path, data_dir: Path
) -> "TenantName | None":
    """The tenant that is meant, of the configuration or only of the records, or the end with 2."""
    if name is None:
        return None
    from sipagent.config.words import closest, quoted
    from sipagent.model import TenantName
    from sipagent.store.reading import CallFilter, list_calls

    tenant = TenantName(name)
    known = tenants_of(config, data_dir)
    if tenant in known:
        return tenant

    async def has_calls(engine: "AsyncEngine") -> bool:
        async with engine.connect() as connection:
            found = await list_calls(connection, tenant, CallFilter(), limit=1)
        return bool(found.calls)

    if not changing(location, has_calls):
        meant = closest(name, known)
        hint = f" (did you mean {meant}?)" if meant else ""
        fail(USAGE, f"there is no tenant {quoted(name)}, and no call of one{hint}")
    return tenant


def _calls(many: int) -> str:
    return "1 call" if many == 1 else f"{many} calls"


def _subject(found: "Hold") -> str:
    subject = found.subject
    if subject.call_id is not None:
        return f"call {subject.call_id}"
    parts = [
        f"caller {subject.caller[:12]}" if subject.caller else "",
        f"tenant {subject.tenant}" if subject.tenant else "",
    ]
    return ", ".join(filter(None, parts))


def _as_json(found: "Hold") -> dict[str, object]:
    plain = asdict(found)
    return {**plain.pop("subject"), **plain}


def _day(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"
