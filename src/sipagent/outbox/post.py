"""The way to tenants' endpoints: a Protocol, and the one that goes through the egress guard."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from sipagent.errors import EgressError
from sipagent.outbox.schedule import Posted, retry_after
from sipagent.tools.egress import Ask, Egress


class Post(Protocol):
    """Sends one request, and answers within its time. Raises nothing but for being cancelled."""

    async def __call__(
        self, whose: str, url: str, headers: Mapping[str, str], body: bytes, within: float
    ) -> Posted: ...


@dataclass(frozen=True, slots=True)
class GuardedPost:
    """Requests through the egress guard. `whose` is the endpoint: its troubles are nobody else's,
    not even those of the tenant's tools. `wall` says when it is."""

    egress: Egress
    wall: Callable[[], float]

    async def __call__(
        self, whose: str, url: str, headers: Mapping[str, str], body: bytes, within: float
    ) -> Posted:
        # Only the operator's files may name a URL that is not encrypted.
        ask = Ask("POST", url, headers, body, within, tenant=whose, plain=True)
        try:
            answer = await self.egress.request(ask)
        except EgressError as error:
            if error.status is not None:  # it was answered, with a body that nobody needs
                return Posted(error.status)
            return Posted(None, f"{error.kind}: {error.detail}")
        wish = retry_after(answer.headers.get("retry-after"), self.wall())
        return Posted(answer.status, retry_after=wish)
