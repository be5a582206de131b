"""`sipagent print-config`: everything merged."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from sipagent.cli.options import DEFAULT_CONFIG, ConfigFile, fail, files_or_exit
from sipagent.cli.process import USAGE

if TYPE_CHECKING:
    from sipagent.config import Loaded


def print_config(
    config: ConfigFile = DEFAULT_CONFIG,
    number: Annotated[
        str | None, typer.Option(help="This number only, and the agents that it leads to.")
    ] = None,
    agent: Annotated[
        str | None,
        typer.Option(metavar="TENANT/NAME", help="This agent only, and the numbers it answers."),
    ] = None,
) -> None:
    """Print the configuration as YAML with defaults, models and extends applied.

    What is printed is for reading: it is not an agents file. Secrets are never read; only where
    each one stands is printed. Telephone numbers and texts are printed in full.

    Exit codes: 0 printed, 2 usage, or no such number or agent, 78 the file cannot be used.
    """
    from sipagent.config.report.printing import to_yaml

    if number is not None and agent is not None:
        raise typer.BadParameter("give --number or --agent, not both")
    loaded = files_or_exit(config)
    try:
        data = _chosen(loaded, number, agent)
    except ValueError as error:
        fail(USAGE, str(error))
    typer.echo(to_yaml(data), nl=False)


def _chosen(loaded: "Loaded", number: str | None, agent: str | None) -> dict[str, Any]:
    from sipagent.config.report.ordering import name_in, number_in
    from sipagent.config.report.printing import printed, printed_agent, printed_number
    from sipagent.model import AgentName, TenantName
    from sipagent.routing import Scope

    assert loaded.gathered is not None
    if number is not None:
        return printed_number(loaded, loaded.gathered, number_in(loaded.table, number))
    if agent is not None:
        tenant, _, name = name_in(loaded.table, Scope.AGENT, agent).partition("/")
        return printed_agent(loaded, loaded.gathered, (TenantName(tenant), AgentName(name)))
    return printed(loaded, loaded.gathered)
