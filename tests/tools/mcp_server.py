"""An MCP server to run beside us: started by tests as a process."""

import asyncio
import os
import sys

from mcp.server.mcpserver import MCPServer

server = MCPServer("demo")


@server.tool()
async def order_status(order_no: str) -> dict[str, str]:
    """Tell the state of an order."""
    return {"order": order_no, "state": "shipped\u202e"}


@server.tool(structured_output=False)
async def say(words: str) -> str:
    """Say it."""
    print("canary-of-standard-error", file=sys.stderr)
    return words


@server.tool()
async def fails(words: str) -> str:
    """Fail."""
    raise ValueError(words)


@server.tool()
async def hangs() -> str:
    """Never answer."""
    await asyncio.Event().wait()
    return ""


@server.tool()
async def ends() -> str:
    """End the process."""
    os._exit(3)


@server.tool(structured_output=False)
async def environment() -> str:
    """Tell what the process can see."""
    return " ".join(sorted(os.environ))


@server.tool(structured_output=False)
async def process() -> str:
    """Tell which process this is."""
    return str(os.getpid())


server.run()
