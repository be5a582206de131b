"""How a model would call what an agent's tools list."""

from collections.abc import Iterator

from sipagent.config.findings import Steps
from sipagent.config.schema.base import given
from sipagent.config.schema.tools import McpTool, ToolWith


def names_of(entry: str | ToolWith) -> Iterator[tuple[str, Steps]]:
    """How the model would call it, each with the steps to the name: the given name, else the
    kind's. A server's label counts as one of them."""
    if isinstance(entry, str):
        yield entry, ()
        return
    kind, settings = next(iter(entry.written().items()))
    if isinstance(settings, McpTool):
        yield settings.server_label, (kind, "server_label")
        for at, tool in enumerate(given(settings.tools) or []):
            yield tool.name, (kind, "tools", at, "name")
        return
    own = given(getattr(settings, "name", None))
    yield (kind, ()) if own is None else (own, (kind, "name"))
