"""From a host's name to the addresses that a connection is made to: the ones that were checked."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from aiohttp.abc import AbstractResolver, ResolveResult

from sipagent.tools.addresses import Address, Allow, parsed_address
from sipagent.tools.targets import may_reach

RESOLVED_WITHIN: Final = 2.0
_THREADS: Final = 16

Lookup = Callable[[str], Awaitable[Sequence[str]]]
"""The addresses of a name, as text. Raises OSError where it has none."""


class ForbiddenError(OSError):
    """A name leads where it must not."""


class SystemLookup:
    """The machine's own resolver, in threads of its own: a name server that does not answer holds
    up neither the process's other threads nor, once for each name, more than one of these."""

    def __init__(self) -> None:
        self._threads: ThreadPoolExecutor | None = None
        self._flying: dict[str, asyncio.Future[list[str]]] = {}

    async def __call__(self, host: str) -> Sequence[str]:
        """The addresses of a name. Cancelling it leaves the thread to its end."""
        lookup = self._flying.get(host)
        if lookup is None:
            if self._threads is None:
                self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="egress-dns")
            lookup = asyncio.get_running_loop().run_in_executor(self._threads, _addresses, host)
            self._flying[host] = lookup
            lookup.add_done_callback(lambda done: self._landed(host, done))
        return await asyncio.shield(lookup)

    def close(self) -> None:
        """Begin no further lookup."""
        threads, self._threads = self._threads, None
        if threads is not None:
            threads.shutdown(wait=False, cancel_futures=True)

    def _landed(self, host: str, done: "asyncio.Future[list[str]]") -> None:
        self._flying.pop(host, None)
        if not done.cancelled():
            done.exception()  # whoever waited has been told; nobody else has to be


def _addresses(host: str) -> list[str]:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class CheckedResolver(AbstractResolver):
    """Gives the client only addresses that may be connected to. It connects to just these."""

    def __init__(self, lookup: Lookup, allow: Allow) -> None:
        self._lookup = lookup
        self._allow = allow

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses of a name. Raises ForbiddenError if but one of them is forbidden: a name
        with addresses inside and outside is up to no good."""
        try:
            async with asyncio.timeout(RESOLVED_WITHIN):
                texts = await self._lookup(host)
        except TimeoutError:
            raise OSError("no answer of a name server") from None
        try:
            addresses = [parsed_address(text) for text in texts]
        except ValueError:
            raise ForbiddenError("not an address") from None
        if not addresses:
            raise OSError("no address")
        if not all(may_reach(address, self._allow, host) for address in addresses):
            raise ForbiddenError("address")
        return [_result(host, port, address) for address in addresses]

    async def close(self) -> None:
        """Nothing of it stays open: the lookup is whose it was."""


def _result(host: str, port: int, address: Address) -> ResolveResult:
    return ResolveResult(
        hostname=host,
        host=str(address),
        port=port,
        family=socket.AF_INET if address.version == 4 else socket.AF_INET6,
        proto=0,
        flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
    )
