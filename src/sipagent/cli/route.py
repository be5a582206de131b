"""`sipagent route`: what would happen to a call, and why."""

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sipagent.cli.options import (
    DEFAULT_CONFIG,
    DEFAULT_DATA,
    ConfigFile,
    DataDir,
    Format,
    fail,
    in_force_or_exit,
    print_json,
)
from sipagent.cli.process import BAD_CONFIGURATION, FINDINGS, USAGE
from sipagent.cli.sharing import order_store, refused

if TYPE_CHECKING:
    from sipagent.config import Loaded
    from sipagent.config.report.explanation import Explanation, Question
    from sipagent.model import TraceStep, TrunkName
    from sipagent.routing import Controls


Number = Annotated[
    str | None, typer.Argument(help="The dialed number, or a whole value of the To header.")
]
Caller = Annotated[
    str | None,
    typer.Option("--from", metavar="CALLER", help="The caller's number; else withheld."),
]
Header = Annotated[
    list[str] | None,
    typer.Option(metavar="'NAME: VALUE'", help="A SIP header, added or in place of its name."),
]
At = Annotated[
    str | None,
    typer.Option(
        metavar="TIME", help="ISO 8601, in the number's zone without an offset; else now."
    ),
]
Account = Annotated[
    str | None, typer.Option(help="The account that the call comes to; else the number's.")
]
TrunkOption = Annotated[
    str | None, typer.Option(help="Take it that the call comes by this trunk, as proven.")
]
Payload = Annotated[
    Path | None,
    typer.Option(exists=True, dir_okay=False, help="A stored webhook body in place of NUMBER."),
]
Show = Annotated[bool, typer.Option("--show", help="Print what the agent is told and says, too.")]
IgnoreOrders = Annotated[
    bool, typer.Option("--ignore-orders", help="Decide as if the operator had given none.")
]


def route(
    number: Number = None,
    from_: Caller = None,
    header: Header = None,
    at: At = None,
    account: Account = None,
    trunk: TrunkOption = None,
    payload: Payload = None,
    show: Show = False,
    ignore_orders: IgnoreOrders = False,
    config: ConfigFile = DEFAULT_CONFIG,
    data_dir: DataDir = DEFAULT_DATA,
    output: Annotated[Format, typer.Option("--format", help="How it is printed.")] = Format.TEXT,
) -> None:
    """Say what would happen to a call, which rule decides, and why no other one does.

    Nothing is called, claimed or counted: a limit that is reached does not show. The configuration
    is the one that the service would serve, with the operator's orders of the data directory.

    Exit codes: 0 answered or forwarded, 1 rejected, 2 usage, 3 the database's
    server was not reached, 78 a file cannot be used.
    """
    from sipagent.config.report.explanation import as_json, explain
    from sipagent.errors import QuestionError
    from sipagent.model import Reason, Reject

    question = _question(number, from_, header or [], payload, at, account, trunk)
    loaded = in_force_or_exit(config, data_dir)
    controls = _controls(data_dir, ignored=ignore_orders)
    try:
        told = explain(question, loaded.table, controls, secrets_of(loaded))
    except QuestionError as error:
        fail(USAGE, str(error))
    if output is Format.JSON:
        print_json(as_json(told, show=show))
    else:
        _print(told, loaded, show=show)
    verdict = told.decision.verdict
    if isinstance(verdict, Reject):
        if verdict.reason is Reason.UNTRUSTED_TRUNK:
            typer.echo("--trunk NAME takes it that the call comes by that trunk", err=True)
        raise typer.Exit(FINDINGS)


def _question(
    number: str | None,
    caller: str | None,
    written: Sequence[str],
    payload: Path | None,
    at: str | None,
    account: str | None,
    trunk: str | None,
) -> "Question":
    from sipagent.config.report.explanation import Question, headers_of
    from sipagent.model import AccountName, TrunkName

    if (number is None) == (payload is None):
        raise typer.BadParameter("give a NUMBER or --payload, not both or neither")
    headers = headers_of(number, caller, [_header(text) for text in written])
    question = Question(
        headers,
        now=time.time(),
        at=_time(at),
        account=None if account is None else AccountName(account),
        trunk=None if trunk is None else TrunkName(trunk),
    )
    return question if payload is None else _stored(question, payload)


def _time(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        datetime.fromisoformat(text)
    except ValueError:
        from sipagent.config.words import quoted

        message = f"{quoted(text)} is no time: write ISO 8601, as in 2026-11-23T10:00"
        raise typer.BadParameter(message, param_hint="--at") from None
    return text


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise typer.BadParameter(f"{text!r}: write 'Name: value'", param_hint="--header")
    return name.strip(), value.strip()


def _stored(question: "Question", path: Path) -> "Question":
    """The question about a stored webhook's call; headers of the command line are added."""
    from sipagent.config.report.replay import events_of, question_of

    try:
        events = events_of(path)
    except ValueError as error:
        fail(USAGE, str(error))
    if len(events) != 1:
        fail(USAGE, f"{path}: holds {len(events)} events of incoming calls; one is wanted")
    return question_of(events[0], question)


def _controls(data_dir: Path, *, ignored: bool) -> "Controls":
    from sipagent.errors import StoreError
    from sipagent.routing import Controls

    if ignored:
        return Controls()
    try:
        return order_store(data_dir).read()
    except StoreError as error:
        refused(error, data_dir, BAD_CONFIGURATION)


def secrets_of(loaded: "Loaded") -> "Mapping[TrunkName, Sequence[bytes]]":
    """The trunks' secrets, as far as they can be read here."""
    from sipagent.errors import SecretError

    found: dict[TrunkName, tuple[bytes, ...]] = {}
    for name, source in loaded.trunk_secrets.items():
        try:
            found[name] = tuple(secret.encode() for secret in source.read())
        except SecretError:
            found[name] = ()
    return found


def _print(told: "Explanation", loaded: "Loaded", *, show: bool) -> None:
    from sipagent.config.report.explanation import verdict_text

    decision = told.decision
    dialed = decision.dialed or "unknown"
    source = f"header {decision.dialed_source}" if decision.dialed_source else "no header"
    listed = "listed" if decision.listed else "not listed"
    local = told.local.strftime("%a %Y-%m-%d %H:%M:%S")
    rows = {
        "dialed": f"{dialed} ({source}, {listed})",
        "account": told.account,
        "time": f"{local} {told.timezone or 'UTC'}",
        "trunk": _trunk(told),
        "version": loaded.table.config_hash,
        "decision": verdict_text(decision),
    }
    for name, value in rows.items():
        typer.echo(f"{name:<9} {value}")
    for cap in decision.caps:
        typer.echo(f"{'limit':<9} {cap.which}, {cap.rate.count} in {cap.rate.seconds:g} s")
    typer.echo("\nwhy")
    for step in told.steps:
        typer.echo(f"  {_mark(step)} {step.source}: {step.considered}: {step.because}")
    if show:
        _show(decision.verdict)


def _trunk(told: "Explanation") -> str:
    if told.arrival.trunk is None:
        return "none"
    return f"{told.arrival.trunk.name} ({'proven' if told.arrival.verified else 'not proven'})"


def _mark(step: "TraceStep") -> str:
    return "yes" if step.held else "no "


def _show(verdict: Any) -> None:
    plan = getattr(verdict, "plan", None)
    if plan is None or plan.agent is None:
        return
    from sipagent.config.report.skills import skill_lines

    typer.echo("\ngreeting")
    typer.echo(f"  {plan.greeting.say}" if plan.greeting is not None else "  (none)")
    typer.echo("\ntools")
    for line in skill_lines(plan):
        typer.echo(f"  {line}")
    typer.echo("\ninstructions")
    for line in str(plan.session.get("instructions", "(none)")).splitlines():
        typer.echo(f"  {line}".rstrip())
