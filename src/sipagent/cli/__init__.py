"""The command line. Heavy packages are imported by the commands that need them.

Exit codes: 0 done; 1 findings, a call that was not answered, an unhealthy service; 2 usage; 3 the
service could not start, or a server that is needed was not reached; 78 settings or agents.yaml
cannot be used.
"""

import sys
from typing import Annotated

import typer

from sipagent import __version__
from sipagent.cli import (
    audit,
    backup,
    calls,
    check,
    db,
    hang_up,
    mcp,
    messages,
    orders,
    outbox,
    plan,
    print_config,
    privacy,
    route,
    scenarios,
    schema,
    simulate,
    statements,
    tokens,
    versions,
    why,
)

app = typer.Typer(
    name="sipagent",
    help="Answers phone calls with AI agents: SIP calls at the OpenAI Realtime API.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # tracebacks with local variables would show secrets
    add_completion=True,
)
_CONFIGURATION = "Configuration"
_ON_DUTY = "On duty"

app.command(rich_help_panel=_CONFIGURATION)(check.check)
app.command(rich_help_panel=_CONFIGURATION)(route.route)
app.command(rich_help_panel=_CONFIGURATION)(plan.plan)
app.command("test", rich_help_panel=_CONFIGURATION)(scenarios.rehearse)
app.command(rich_help_panel=_CONFIGURATION)(print_config.print_config)
app.command(rich_help_panel=_CONFIGURATION)(schema.schema)
app.command(rich_help_panel=_ON_DUTY)(versions.versions)
app.command(rich_help_panel=_ON_DUTY)(versions.rollback)
app.command(rich_help_panel=_ON_DUTY)(orders.divert)
app.command(rich_help_panel=_ON_DUTY)(orders.reject)
app.command("hang-up", rich_help_panel=_ON_DUTY)(hang_up.hang_up)
app.command(rich_help_panel=_ON_DUTY)(why.why)
app.add_typer(calls.app, name="calls", rich_help_panel=_ON_DUTY)
app.add_typer(messages.app, name="messages", rich_help_panel=_ON_DUTY)
app.add_typer(outbox.app, name="outbox", rich_help_panel=_ON_DUTY)
app.command(rich_help_panel=_ON_DUTY)(backup.backup)
app.add_typer(privacy.app, name="privacy", rich_help_panel=_ON_DUTY)
app.add_typer(orders.orders, name="orders", rich_help_panel=_ON_DUTY)
app.add_typer(orders.numbers, name="numbers", rich_help_panel=_ON_DUTY)
app.add_typer(db.app, name="db", rich_help_panel=_ON_DUTY)
app.add_typer(tokens.app, name="tokens", rich_help_panel=_ON_DUTY)
app.add_typer(audit.app, name="audit", rich_help_panel=_ON_DUTY)
app.add_typer(statements.app, name="statements", rich_help_panel=_ON_DUTY)
app.command(rich_help_panel=_ON_DUTY)(mcp.mcp)
app.add_typer(simulate.app, name="simulate")


@app.command()
def serve() -> None:
    """Run the service. Settings come from the environment; see docs/settings.md.

    Exit codes: 0 stopped and drained, 3 could not start (port taken ...), 78 settings or
    agents.yaml cannot be used.
    """
    from sipagent.cli.serve import run  # it imports the whole service

    raise typer.Exit(run())


@app.command()
def demo(
    pace: Annotated[
        float, typer.Option(help="Words a second at which people talk; 0 is as fast as possible.")
    ] = 10.0,
    config: Annotated[str, typer.Option(help="The agents file to show.")] = "config/agents.yaml",
) -> None:
    """Show three simulated calls to three personas, with no key, no phone and no network.

    Exit codes: 0 all calls were answered and ended well, 1 one was not, 78 the agents file
    cannot be used.
    """
    from sipagent.cli.demo import run  # it imports the whole service

    raise typer.Exit(run(config=config, pace=pace))


@app.command()
def healthcheck(
    url: Annotated[
        str | None, typer.Option(help="What to ask, in place of this machine's /healthz.")
    ] = None,
) -> None:
    """Say whether the service on this machine lives, for a container's health check.

    Exit codes: 0 it answered, 1 it did not within three seconds.
    """
    from sipagent.cli.healthcheck import run  # it needs nothing of the service

    raise typer.Exit(run(url))


@app.command()
def version() -> None:
    """Print the release."""
    typer.echo(__version__)


def main() -> None:
    """The `sipagent` command."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
