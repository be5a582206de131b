"""`sipagent mcp`: the control API as tools, for programs that speak MCP."""

from typing import Final

import typer

from sipagent.cli.options import fail
from sipagent.cli.process import BAD_CONFIGURATION, USAGE

URL: Final = "SIPAGENT_URL"
TOKEN: Final = "SIPAGENT_TOKEN"  # noqa: S105  # a variable's name
_HERE: Final = "http://127.0.0.1:8000"


def mcp(
    url: str = typer.Option(
        _HERE, "--url", envvar=URL, metavar="URL", help="Where the service is."
    ),
) -> None:
    """Offer the control API as tools of an MCP server, on standard input and output.

    The token stands in SIPAGENT_TOKEN, or in the file that SIPAGENT_TOKEN_FILE names; what it may
    is what the tools may. Needs the extra `mcp`.

    Exit codes: 0 the program has gone, 2 usage, 78 there is no token, or it cannot be used.
    """
    import asyncio

    from sipagent import settings
    from sipagent.errors import SettingsError

    try:
        token = settings.value_of(TOKEN)
    except SettingsError as error:
        fail(BAD_CONFIGURATION, str(error))
    if not token:
        fail(BAD_CONFIGURATION, f"{TOKEN}: is not set: `sipagent tokens create` makes one")
    _judge(url, token.strip())
    try:
        from sipagent.client.mcp import mcp_server
    except ImportError:
        fail(USAGE, "the extra `mcp` is not installed: pip install 'sipagent[mcp]'")
    from sipagent.client.aio import AsyncClient

    async def run() -> None:
        async with AsyncClient(url, token.strip()) as client:
            await mcp_server(client).run_stdio_async()

    asyncio.run(run())


def _judge(url: str, token: str) -> None:
    """End the command if no client can be made of these."""
    from sipagent.client.asking import base_of, bearer_of
    from sipagent.client.errors import UnsendableError

    try:
        bearer_of(token)
    except UnsendableError as error:
        fail(BAD_CONFIGURATION, f"{TOKEN}: {error.what}")
    try:
        base_of(url)
    except UnsendableError as error:
        raise typer.BadParameter(error.what, param_hint="--url") from None
