"""Secrets within a session: named in plans, read only when the session is sent."""

from collections.abc import Callable
from typing import Any, Final

from sipagent.errors import SecretError
from sipagent.model.ids import SecretName, TenantName
from sipagent.model.json import Json
from sipagent.model.offer import offering

ReadSecret = Callable[[TenantName, SecretName], str]
"""The secret that a tenant has been granted, as it is now: whoever has it keeps it at hand, and
blocks on nothing. Raises SecretError."""

_MARK: Final = "$secret"


def no_secrets(tenant: TenantName, name: SecretName) -> str:
    """Nobody has been granted a secret. Raises SecretError."""
    raise SecretError(f"the secret {name}", "is not granted")


def secret_mark(tenant: TenantName, name: SecretName) -> Json:
    """What stands in a session in place of a secret."""
    return {_MARK: name, "tenant": tenant}


def holds_credentials(session: Json) -> bool:
    """Whether whoever gets the session could do something in somebody's name at an MCP server."""
    tools = session.get("tools") or ()
    return any(tool.get(name) for tool in tools for name in ("authorization", "headers"))


def with_secrets(session: Json, read: ReadSecret) -> Json:
    """The session as it is sent: with the secrets of its servers. A server whose secret cannot be
    read is left out, and the model need not use it, so that the call can be answered without."""
    tools = session.get("tools")
    if not tools or not any(_is_marked(tool) for tool in tools):
        return session
    sent = [tool if not _is_marked(tool) else _opened(tool, read) for tool in tools]
    left = [tool for tool in sent if tool is not None]
    return offering(session, left)


def _opened(tool: Json, read: ReadSecret) -> Json | None:
    mark = tool["authorization"]
    try:
        return {**tool, "authorization": read(mark["tenant"], mark[_MARK])}
    except SecretError:
        return None


def _is_marked(tool: Any) -> bool:
    mark = tool.get("authorization")
    return isinstance(mark, dict) and _MARK in mark
