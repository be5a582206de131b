"""What tools need of the process: the guard of all that leaves it, and the servers beside it."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Protocol, Self

from sipagent.model import SecretName, TenantName
from sipagent.model.trace import TraceHeaders, untraced
from sipagent.sessions.ports import Clock, Records
from sipagent.tools.egress import Egress
from sipagent.tools.http import HttpTools
from sipagent.tools.local import LocalServer
from sipagent.tools.mcp import LocalServers
from sipagent.tools.python import PythonTools
from sipagent.tools.runner import Observe, Toolbox


class Equipment(Protocol):
    """What of the configuration in force tools use, live."""

    @property
    def servers(self) -> Mapping[str, LocalServer]:
        """The MCP servers that run beside us, by label."""

    def secret(self, tenant: TenantName, name: SecretName) -> str:
        """The secret of this name that the tenant is granted. Raises SecretError."""


class Toolroom:
    """The tools of all calls. Used as `async with`: its end lets go of connections and servers."""

    def __init__(
        self,
        equipment: Equipment,
        egress: Egress,
        records: Records,
        clock: Clock,
        observe: Observe,
        trace: TraceHeaders = untraced,
    ) -> None:
        self.egress = egress
        self._equipment = equipment
        self._servers = LocalServers()
        http = HttpTools(egress, equipment.secret, clock, trace)
        self.toolbox = Toolbox(http, PythonTools(), self._servers, records.message, clock, observe)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self.egress)
        await self._stack.enter_async_context(self._servers)
        self._stack.push_async_callback(self.toolbox.close)
        self.renew()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    def renew(self) -> None:
        """Have just the servers run that the configuration in force has."""
        self._servers.hold(self._equipment.servers)
